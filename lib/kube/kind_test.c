/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kind.h"

#include "base/test.h"

static const struct kube_kind vm = {
	.group = "kubevirt.io",
	.versions = "v1 v1alpha3",
	.kind = "VirtualMachine",
	.plural = "virtualmachines",
	.namespaced = true,
};
static const struct kube_kind node = {
	.group = "",
	.versions = "v1",
	.kind = "Node",
	.plural = "nodes",
	.builtin = true,
};
static const struct kube_kind service = {
	.group = "",
	.versions = "v1",
	.kind = "Service",
	.plural = "services",
	.namespaced = true,
};

static void is_path(const struct kube_kind *k, const char *ns, const char *name, const char *sub,
		    const char *want)
{
	auto_buf struct buf b;

	buf_init(&b, KiB);
	kind_path(k, "v1", ns, name, sub, &b);
	is_str(buf_text(&b), want);
}

static void paths(void)
{
	is_path(&vm, "a", "x", NULL, "/apis/kubevirt.io/v1/namespaces/a/virtualmachines/x");
	is_path(&vm, "a", "x", "status",
		"/apis/kubevirt.io/v1/namespaces/a/virtualmachines/x/status");
	is_path(&vm, "a", NULL, NULL, "/apis/kubevirt.io/v1/namespaces/a/virtualmachines");
	is_path(&vm, NULL, NULL, NULL, "/apis/kubevirt.io/v1/virtualmachines");
	is_path(&service, "a", "x", NULL, "/api/v1/namespaces/a/services/x");
	is_path(&node, NULL, "n", NULL, "/api/v1/nodes/n");
}

static void cluster_scoped_kind_has_no_namespace_in_its_path(void)
{
	is_path(&node, "stray", "n", NULL, "/api/v1/nodes/n");
}

static void a_name_cannot_leave_its_segment(void)
{
	is_path(&vm, "a", "../b?c#d%", NULL,
		"/apis/kubevirt.io/v1/namespaces/a/virtualmachines/..%2Fb%3Fc%23d%25");
}

static void escaping(void)
{
	auto_buf struct buf b;

	buf_init(&b, KiB);
	kind_escape(&b, "aZ09-._~ /=,!\u00e9");
	is_str(buf_text(&b), "aZ09-._~%20%2F%3D%2C%21%C3%A9");
}

static void api_versions(void)
{
	auto_buf struct buf b;

	buf_init(&b, KiB);
	kind_api_version(&vm, "v1alpha3", &b);
	is_str(buf_text(&b), "kubevirt.io/v1alpha3");
	buf_reset(&b);
	kind_api_version(&vm, NULL, &b);
	is_str(buf_text(&b), "kubevirt.io/v1");
	buf_reset(&b);
	kind_api_version(&node, NULL, &b);
	is_str(buf_text(&b), "v1");
	ok(kind_has_api_version(&vm, "kubevirt.io/v1"));
	ok(kind_has_api_version(&vm, "kubevirt.io/v1alpha3"));
	ok(!kind_has_api_version(&vm, "kubevirt.io/v1alpha"));
	ok(!kind_has_api_version(&vm, "kubevirt.io/"));
	ok(!kind_has_api_version(&vm, "kubevirt.io"));
	ok(!kind_has_api_version(&vm, "v1"));
	ok(kind_has_api_version(&node, "v1"));
	ok(!kind_has_api_version(&node, "apps/v1"));
	ok(!kind_has_api_version(&node, ""));
}

static void versions_compare_as_numbers_of_any_length(void)
{
	is_int(rv_compare("9", "10"), -1);
	is_int(rv_compare("10", "9"), 1);
	is_int(rv_compare("10", "10"), 0);
	/* Two neighbours beyond 2^53 and beyond 2^64. */
	is_int(rv_compare("9007199254740993", "9007199254740992"), 1);
	is_int(rv_compare("18446744073709551617", "18446744073709551616"), 1);
	is_int(rv_compare("007", "7"), 0);
	is_int(rv_compare("199", "200"), -1);
}

static void no_version_is_the_smallest(void)
{
	is_int(rv_compare(NULL, "1"), -1);
	is_int(rv_compare("", "1"), -1);
	is_int(rv_compare("1", NULL), 1);
	is_int(rv_compare(NULL, ""), 0);
	is_int(rv_compare("0", ""), 0);
}

static void the_controlling_owner_counts(void)
{
	struct obj_owner owners[] = {
		{"Backup", "b", "uid-b", TRI_UNSET},
		{"VMInstance", "v", "uid-v", TRI_TRUE},
		{"Other", "o", "uid-o", TRI_TRUE},
	};
	struct obj o = {.owners = {owners, 3}};

	obj_finish(&o);
	is_str(o.owner_kind, "VMInstance");
	is_str(o.owner_name, "v");
	is_str(o.owner_uid, "uid-v");
	o = (struct obj){.owners = {owners, 1}};
	obj_finish(&o);
	is_str(o.owner_uid, "uid-b");
	o = (struct obj){0};
	obj_finish(&o);
	ok(!o.owner_uid);
}

static void only_our_own_apply_is_our_fingerprint(void)
{
	struct obj_managed managed[] = {
		{"vmgpu", "Update", NULL, 1},	   {"vmgpu", "Apply", "status", 2},
		{"vmgpu", "Apply", NULL, 3},	   {"kubectl", "Apply", NULL, 4},
		{"vmgpu-power", "Apply", NULL, 5},
	};
	struct obj o = {.managed = {managed, ARRAY_LEN(managed)}};

	obj_finish(&o);
	is_int(o.owned, 3);
	o = (struct obj){.managed = {managed, 2}};
	obj_finish(&o);
	is_int(o.owned, 0);
}

TESTS({"paths of collections, objects and subresources", paths},
      {"a cluster-scoped kind has no namespace in its path",
       cluster_scoped_kind_has_no_namespace_in_its_path},
      {"a name cannot leave its path segment", a_name_cannot_leave_its_segment},
      {"all but unreserved characters are escaped", escaping},
      {"apiVersion of the core group and of others", api_versions},
      {"resourceVersions compare as numbers of any length",
       versions_compare_as_numbers_of_any_length},
      {"no resourceVersion is the smallest", no_version_is_the_smallest},
      {"the controlling owner counts, else the first", the_controlling_owner_counts},
      {"only our own apply of the main resource is our fingerprint",
       only_our_own_apply_is_our_fingerprint})
