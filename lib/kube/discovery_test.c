/* SPDX-License-Identifier: Apache-2.0 */
/* What a discovery document says of our kinds, cut anywhere; and what is none. */
#include "kube/discovery.h"

#include "base/test.h"
#include "kube/bodies_test.h"
#include "kube/thing_test.h"

static const struct kube_kind other = {
	.group = "other.io", .versions = "v1", .kind = "Thing", .plural = "things"};
static const struct kube_kind core = {
	.group = "", .versions = "v1", .kind = "Node", .plural = "nodes", .builtin = true};
static const struct kube_kind *const kinds[] = {&thing, &other, &core, NULL};

#define LIST_OF_GROUPS(groups)                                                                     \
	"{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\","           \
	"\"metadata\":{},\"items\":[" groups "]}"
#define GROUP(name, versions)                                                                      \
	"{\"metadata\":{\"name\":\"" name "\",\"creationTimestamp\":null},\"versions\":[" versions \
	"]}"
#define VERSION(name, resources)                                                                   \
	"{\"version\":\"" name "\",\"resources\":[" resources "],\"freshness\":\"Current\"}"
/* As kube-apiserver 1.36 shows a CRD's kind. */
#define RESOURCE(plural)                                                                           \
	"{\"resource\":\"" plural                                                                  \
	"\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"X\"},"                    \
	"\"scope\":\"Namespaced\",\"singularResource\":\"x\",\"verbs\":[\"get\",\"list\"],"        \
	"\"shortNames\":[\"x\"],\"subresources\":[{\"subresource\":\"status\",\"responseKind\":"   \
	"{\"group\":\"\",\"version\":\"\",\"kind\":\"X\"},\"verbs\":[\"get\"]}]}"

/* The whole answer, in two pieces. */
static int read_cut(struct discovery *d, int status, const char *text, size_t cut, struct err *err)
{
	discovery_begin(d, status);
	discovery_feed(d, text, cut);
	discovery_feed(d, text + cut, strlen(text) - cut);
	return discovery_end(d, err);
}

static void what_it_says_of_our_kinds(void)
{
	static const struct {
		const char *text;
		bool listed, preferred;
		const char *version; /* of test.io's things, which we know as "v2 v1" */
	} rows[] = {
		{LIST_OF_GROUPS(""), false, false, NULL},
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v1", RESOURCE("things")))), true, false,
		 "v1"},
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v2", RESOURCE("things")))), true, true,
		 "v2"},
		/* Whatever the order in which it stands there. */
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v1", RESOURCE("things")) "," VERSION(
							 "v2", RESOURCE("things")))),
		 true, true, "v2"},
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v2", RESOURCE("things")) "," VERSION(
							 "v1", RESOURCE("things")))),
		 true, true, "v2"},
		{LIST_OF_GROUPS(GROUP("test.io",
				      VERSION("v2", RESOURCE("others")) "," VERSION(
					      "v1", RESOURCE("others") "," RESOURCE("things")))),
		 true, false, "v1"},
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v3", RESOURCE("things")))), true, false,
		 NULL},
		/* A version is a whole word. */
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v", RESOURCE("things")) "," VERSION(
							 "v2 v1", RESOURCE("things")))),
		 true, false, NULL},
		{LIST_OF_GROUPS(GROUP("test.io", VERSION("v2", RESOURCE("thing")))), false, false,
		 NULL},
		{LIST_OF_GROUPS(GROUP("x.test.io", VERSION("v2", RESOURCE("things")))), false,
		 false, NULL},
		/* An aggregated API whose server is away. */
		{LIST_OF_GROUPS(GROUP("test.io", "{\"version\":\"v2\",\"freshness\":\"Stale\"}")),
		 false, false, NULL},
		/* Its kind may stand behind its items, and what is no object among them is passed. */
		{"{\"items\":[1,null,{\"metadata\":{\"name\":1}},{\"metadata\":{\"name\":\"test.io\"},"
		 "\"versions\":[7,{\"resources\":[{\"resource\":\"things\"}]},{\"version\":\"v1\","
		 "\"resources\":[[],{\"resource\":2},{\"resource\":\"things\"}]}]}],"
		 "\"kind\":\"APIGroupDiscoveryList\"}",
		 true, false, "v1"},
	};
	struct discovery *d = discovery_create(kinds);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t cut = 0; cut <= strlen(rows[i].text); cut++) {
			struct discovery_kind k;
			struct err err = {""};

			is_int(read_cut(d, 200, rows[i].text, cut, &err), 0);
			k = discovery_find(d, &thing);
			is_int(k.listed, rows[i].listed);
			is_int(k.preferred, rows[i].preferred);
			is_str(k.version, rows[i].version);
			ok(!discovery_find(d, &other).listed);
			ok(!discovery_find(d, &core).listed);
		}
	}
	discovery_destroy(d);
}

static void each_kind_has_its_own_group(void)
{
	static const struct kube_kind unknown = {.group = "test.io", .plural = "things"};
	struct discovery *d = discovery_create(kinds);
	struct err err = {""};

	is_int(read_cut(d, 200,
			LIST_OF_GROUPS(
				GROUP("other.io", VERSION("v1", RESOURCE("things"))) "," GROUP(
					"test.io", VERSION("v1", RESOURCE("things")))),
			0, &err),
	       0);
	is_str(discovery_find(d, &thing).version, "v1");
	ok(!discovery_find(d, &thing).preferred);
	is_str(discovery_find(d, &other).version, "v1");
	ok(discovery_find(d, &other).preferred);
	ok(!discovery_find(d, &unknown).listed); /* it was not told to look for that */
	/* The next answer begins with nothing. */
	is_int(read_cut(d, 200, LIST_OF_GROUPS(""), 0, &err), 0);
	ok(!discovery_find(d, &thing).listed);
	ok(!discovery_find(d, &thing).version);
	ok(!discovery_find(d, &other).version);
	ok(!discovery_destroy(d));
}

static void order_of_preference_is_ours(void)
{
	static const struct kube_kind three = {
		.group = "test.io", .versions = "v1beta2 v1beta1 v1alpha1", .plural = "things"};
	static const struct kube_kind *const only[] = {&three, NULL};
	static const struct {
		const char *versions[3], *version;
		bool preferred;
	} rows[] = {
		{{"v1alpha1", "v1beta1", "v1beta2"}, "v1beta2", true},
		{{"v1beta2", "v1beta1", "v1alpha1"}, "v1beta2", true},
		{{"v1alpha1", "v1beta1", "v1"}, "v1beta1", false},
		{{"v1beta1", "v1alpha1", "v1"}, "v1beta1", false},
		{{"v1", "v2", "v1alpha1"}, "v1alpha1", false},
		{{"v1", "v2", "v3"}, NULL, false},
	};
	struct discovery *d = discovery_create(only);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *text = xprintf(
			LIST_OF_GROUPS(GROUP(
				"test.io",
				VERSION("%s", RESOURCE("things")) "," VERSION(
					"%s", RESOURCE("things")) "," VERSION("%s",
									      RESOURCE("things")))),
			rows[i].versions[0], rows[i].versions[1], rows[i].versions[2]);
		struct err err = {""};

		is_int(read_cut(d, 200, text, 0, &err), 0);
		is_str(discovery_find(d, &three).version, rows[i].version);
		is_int(discovery_find(d, &three).preferred, rows[i].preferred);
	}
	discovery_destroy(d);
}

static void what_is_no_discovery_document(void)
{
	static const struct {
		int status;
		const char *text, *said;
	} rows[] = {
		{200, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[]}",
		 "kind is APIGroupList, not APIGroupDiscoveryList: the API server is older than "
		 "Kubernetes 1.26"},
		{200, "{}", "kind is not said"},
		{200, "", "nothing came"},
		{200, "<html>", "byte 0: expected an object"},
		{200, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[", "in its middle"},
		{200, LIST_OF_GROUPS("") "}", "byte "},
		{200, STATUS("500", "InternalError", "no", ""), "500 InternalError: no"},
		{403, STATUS("403", "Forbidden", "not for you", ""), "403 Forbidden: not for you"},
		{406, STATUS("406", "NotAcceptable", "only these", ""), "406 NotAcceptable"},
		{503, "<html>", "the API server answered 503"},
		{503, "", "the API server answered 503"},
		{404, LIST_OF_GROUPS(GROUP("test.io", VERSION("v2", RESOURCE("things")))),
		 "the API server answered 404"},
	};
	struct discovery *d = discovery_create(kinds);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t cut = 0; cut <= strlen(rows[i].text); cut++) {
			struct err err = {""};

			is_int(read_cut(d, rows[i].status, rows[i].text, cut, &err), -1);
			has(err.text, rows[i].said);
		}
	}
	discovery_destroy(d);
}

static void feed(struct discovery *d, const char *text)
{
	discovery_feed(d, text, strlen(text));
}

/* A few hundred groups of others leave nothing behind but what there is of ours. */
static void it_is_as_large_as_it_may_be(void)
{
	struct discovery *d = discovery_create(kinds);
	struct err err = {""};

	discovery_begin(d, 200);
	feed(d, "{\"items\":[");
	for (int i = 0; i < 20000; i++) {
		auto_free char *group =
			xprintf(GROUP("g%d.io", VERSION("v1", RESOURCE("things"))) ",", i);

		feed(d, group);
	}
	feed(d, GROUP("test.io", VERSION("v2", RESOURCE("things"))));
	feed(d, "],\"kind\":\"APIGroupDiscoveryList\"}");
	is_int(discovery_end(d, &err), 0);
	is_str(err.text, "");
	is_str(discovery_find(d, &thing).version, "v2");
	discovery_destroy(d);
}

TESTS({"what a discovery document says of our kinds", what_it_says_of_our_kinds},
      {"each kind is looked for in its own group", each_kind_has_its_own_group},
      {"the order of preference is ours", order_of_preference_is_ours},
      {"what is no discovery document is named", what_is_no_discovery_document},
      {"it may be as large as it is", it_is_as_large_as_it_may_be})
