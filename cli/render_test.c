/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/render.h"

#include "api/core.h"
#include "api/kubevirt.h"
#include "base/sha256.h"
#include "base/test.h"
#include "json/yaml.h"
#include "kube/intent.h"

static json_t *docs(const char *yaml)
{
	struct err err = {""};
	json_t *all = yaml_read("test", yaml, strlen(yaml), &err);

	ok(all);
	return all;
}

/* What comes out as one JSON line, or the error. */
static char *rendered(const char *manifests, const char *facts, json_t **ret_notes)
{
	const struct options o = {0};
	json_t *m = docs(manifests), *f = docs(facts), *objects = NULL, *notes = NULL;
	const struct render_input in = {.manifests = m, .facts = f, .options = &o};
	struct err err = {""};
	char *s;

	if (render(&in, &objects, &notes, &err) < 0) {
		s = xstrdup(err.text);
	} else {
		s = json_dumps(objects, JSON_COMPACT);
	}
	if (ret_notes) {
		*ret_notes = json_incref(notes);
	}
	json_decref(m);
	json_decref(f);
	json_decref(objects);
	json_decref(notes);
	return s;
}

#define VM                                                                                              \
	"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: a, namespace: t}\n" \
	"spec: {gpus: [{name: nvidia.com/H100_94GB}]}\n"

static void objects_of_a_vm(void)
{
	json_t *notes;
	auto_free char *s = rendered(VM, "", &notes);

	has(s, "\"kind\":\"Service\"");
	has(s,
	    "\"kind\":\"VirtualMachine\",\"metadata\":{\"name\":\"vm-instance-a\",\"namespace\":\"t\"");
	has(s,
	    "\"hostDevices\":[{\"name\":\"gpu1\",\"deviceName\":\"nvidia.com/GH100_H100L_94GB\"}]");
	ok(!strstr(s, "ownerReferences"));
	ok(json_array_size(notes) >= 3);
	json_decref(notes);
}

static void same_bytes(void)
{
	auto_free char *a = rendered(
		VM
		"---\n"
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: b, namespace: t}\n",
		"", NULL);
	auto_free char *b = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: b, namespace: t}\n---\n" VM,
		"", NULL);

	is_str(a, b);
}

static void owner_from_facts(void)
{
	auto_free char *s = rendered(
		VM,
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\n"
		"metadata: {name: a, namespace: t, uid: u-1, resourceVersion: '5', generation: 3}\n",
		NULL);

	has(s,
	    "\"ownerReferences\":[{\"apiVersion\":\"apps.cozystack.io/v1alpha1\",\"kind\":\"VMInstance\",\"name\":\"a\",\"uid\":\"u-1\"");
}

static void gate_from_facts(void)
{
	auto_free char *s = rendered(
		VM,
		"apiVersion: kubevirt.io/v1\nkind: KubeVirt\nmetadata: {name: kubevirt, namespace: kubevirt, uid: u, resourceVersion: '1'}\n"
		"spec: {configuration: {}}\nstatus: {phase: Deployed}\n",
		NULL);

	has(s, "\"gpus\":[{\"name\":\"gpu1\"");
	ok(!strstr(s, "hostDevices"));
}

static void misspelt(void)
{
	auto_free char *s = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: a}\nspec: {gpu: []}\n",
		"", NULL);
	auto_free char *n = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nspec: {}\n", "", NULL);

	has(s, "VMInstance a: spec");
	has(s, "gpu");
	has(n, "without metadata.name");
}

static void unknown_kinds(void)
{
	static const struct {
		const char *version, *kind, *said;
	} rows[] = {
		{"apps.cozystack.io/v1alpha1", "VMInstnce", "VMInstnce a: no such kind"},
		{"apps.cozystack.io/v1", "VMInstance", "VMInstance a: no such kind"},
		{"apps.cozystack.com/v1alpha1", "Kubernetes", "Kubernetes a: no such kind"},
		{"v1", "ConfigMap", "[]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *m = xprintf("apiVersion: %s\nkind: %s\nmetadata: {name: a}\n",
					    rows[i].version, rows[i].kind);
		json_t *notes = NULL;
		auto_free char *s = rendered(m, "", &notes), *said = json_dumps(notes, 0);

		has(s, rows[i].said);
		if (str_eq(s, "[]")) {
			has(said, "ConfigMap a: not a kind that render knows");
		}
		json_decref(notes);
	}
}

static void misspelt_top(void)
{
	auto_free char *s = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: a}\nspce: {}\n",
		"", NULL);
	auto_free char *n = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: a}\nspec: [gpus]\n",
		"", NULL);
	auto_free char *empty = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: {name: a}\nappVersion: x\nspec:\n",
		"", NULL);

	has(s, "VMInstance a: unknown field \"spce\"");
	has(n, "VMInstance a: spec is no object");
	has(empty, "\"kind\":\"VirtualMachine\"");
}

/* Cozystack's ingressNginx has fields that the CRD keeps. */
static void fields_that_the_crd_keeps(void)
{
	auto_free char *kept = rendered(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\nmetadata: {name: a}\n"
		"spec: {addons: {ingressNginx: {enabled: true, exposeMethod: Proxied}}}\n",
		"", NULL);

	ok(!strstr(kept, "unknown field"));
}

#define OURS "apiVersion: apps.cozystack.io/v1alpha1\nkind: VMInstance\nmetadata: "

#define KEYS OURS "{name: a, namespace: t}\nspec: {gpus: [{name: x/y}], sshKeys: [ssh-ed25519 A]}\n"
#define KEYS_FACT OURS "{name: a, namespace: t, uid: u-1}\nstatus: {secretsHash: {}}\n"

/* The object as the server shows it after the controller's apply. */
static json_t *applied(const json_t *body, const struct kube_kind *k)
{
	json_t *o = json_deep_copy(body), *metadata = json_object_get(o, "metadata");
	auto_buf struct buf fields = {.max = MiB};

	intent_fields(k, body, true, &fields);
	json_object_set_new(metadata, "uid", json_sprintf("uid of the %s", k->kind));
	json_object_set_new(metadata, "resourceVersion", json_string("7"));
	json_object_set_new(metadata, "managedFields",
			    json_pack("[{s:s, s:s, s:o}]", "manager", OBJ_MANAGER, "operation",
				      "Apply", "fieldsV1", json_loads(buf_text(&fields), 0, NULL)));
	return o;
}

/* By this the controller knows that a Secret needs no write. */
static void note_hash(json_t *fact, const json_t *secret)
{
	json_t *body = json_deep_copy(secret), *metadata = json_object_get(body, "metadata");
	json_t *hashes = json_object_get(json_object_get(fact, "status"), "secretsHash");
	auto_free char *text = NULL, *salted = NULL;
	char hex[SHA256_HEX];

	json_object_del(metadata, "annotations"); /* the mark */
	text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	salted = xprintf("u-1 %s", text);
	sha256_hex(salted, strlen(salted), hex);
	json_object_set_new(hashes, json_string_value(json_object_get(metadata, "name")),
			    json_stringn(hex, 16));
	json_decref(body);
}

static void written_before(void)
{
	const struct options options = {0};
	json_t *m = docs(KEYS), *facts = docs(KEYS_FACT), *first = NULL, *again = NULL, *o;
	json_t *notes = NULL;
	const struct render_input in = {.manifests = m, .facts = facts, .options = &options};
	struct err err = {""};
	size_t i;

	ok(render(&in, &first, &notes, &err) == 0);
	json_decref(notes);
	is_int(json_array_size(first), 4); /* two Secrets, Service, VirtualMachine */
	json_array_foreach(first, i, o) {
		const char *kind = json_string_value(json_object_get(o, "kind"));

		if (str_eq(kind, "Secret")) {
			note_hash(json_array_get(facts, 0), o);
		} else {
			json_array_append_new(
				facts,
				applied(o, str_eq(kind, "Service") ? &kind_service : &kind_kv_vm));
		}
	}
	ok(render(&in, &again, &notes, &err) == 0);
	ok(json_equal(first, again));
	json_decref(notes);
	json_decref(m);
	json_decref(facts);
	json_decref(first);
	json_decref(again);
}

static void others_of_the_facts(void)
{
	auto_free char *s = rendered(
		VM, OURS "{name: b, namespace: t, uid: u-2, resourceVersion: '5'}\n", NULL);

	has(s, "vm-instance-a");
	ok(!strstr(s, "vm-instance-b"));
}

#define CLUSTER                                                                                         \
	"apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\nmetadata: {name: k, namespace: t}\n" \
	"spec: {nodeGroups: {g: {resources: {cpu: 2, memory: 4Gi}}}}\n"
#define CRD(version)                                                                               \
	"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"                    \
	"metadata: {name: machinedeployments.cluster.x-k8s.io}\n"                                  \
	"spec: {group: cluster.x-k8s.io, names: {plural: machinedeployments}, versions: "          \
	"[{name: v1beta1, served: true}, {name: " version ", served: true}]}\n"

static char *cluster(const char *facts)
{
	const struct options o = {.worker_image = "w"};
	json_t *m = docs(CLUSTER), *f = docs(facts), *objects = NULL, *notes = NULL;
	const struct render_input in = {.manifests = m, .facts = f, .options = &o};
	struct err err = {""};
	char *s;

	ok(render(&in, &objects, &notes, &err) == 0);
	s = json_dumps(objects, JSON_COMPACT);
	json_decref(m);
	json_decref(f);
	json_decref(objects);
	json_decref(notes);
	return s;
}

static void versions_from_crds(void)
{
	auto_free char *newest = cluster(""), *old = cluster(CRD("v1alpha4"));
	auto_free char *both = cluster(CRD("v1beta2")), *neither = cluster(CRD("v2"));

	has(newest, "\"cluster.x-k8s.io/v1beta2\",\"kind\":\"MachineDeployment\"");
	has(old, "\"cluster.x-k8s.io/v1beta1\",\"kind\":\"MachineDeployment\"");
	has(old, "\"cluster.x-k8s.io/v1beta2\",\"kind\":\"MachineHealthCheck\"");
	has(both, "\"cluster.x-k8s.io/v1beta2\",\"kind\":\"MachineDeployment\"");
	has(neither, "\"cluster.x-k8s.io/v1beta1\",\"kind\":\"MachineDeployment\"");
}

#define TYPE(name)                                                                                 \
	"apiVersion: instancetype.kubevirt.io/v1beta1\nkind: VirtualMachineClusterInstancetype\n"  \
	"metadata: {name: " name "}\nspec: {cpu: {guest: 2}, memory: {guest: 4Gi}}\n---\n"
#define PREFERENCE(name)                                                                           \
	"apiVersion: instancetype.kubevirt.io/v1beta1\nkind: VirtualMachineClusterPreference\n"    \
	"metadata: {name: " name "}\nspec: {}\n---\n"

/* What is said of a manifest and facts, with an image for workers, in one text. */
static char *notes_of(const char *manifest, const char *facts)
{
	const struct options o = {.worker_image = "w"};
	json_t *m = docs(manifest), *f = docs(facts), *objects = NULL, *notes = NULL;
	const struct render_input in = {.manifests = m, .facts = f, .options = &o};
	struct err err = {""};
	char *said;

	ok(render(&in, &objects, &notes, &err) == 0);
	said = json_dumps(notes, JSON_ENCODE_ANY);
	json_decref(m);
	json_decref(f);
	json_decref(objects);
	json_decref(notes);
	return said;
}

#define ASSUMED_TYPE "assumed: VirtualMachineClusterInstancetype "
#define ASSUMED_PREFERENCE "assumed: VirtualMachineClusterPreference "

static void types_are_assumed_where_the_facts_have_none(void)
{
	static const struct {
		const char *spec, *said, *unsaid;
	} rows[] = {
		{"{nodeGroups: {g: {instanceType: u1.2xlarge}}}", ASSUMED_TYPE "u1.2xlarge",
		 "u1.medium"},
		{"{nodeGroups: {g: {}}}", ASSUMED_TYPE "u1.medium", "no such"},
		{"{}", ASSUMED_TYPE "u1.medium", "no such"},
		{"{nodeGroups: {g: {resources: {cpu: 2, memory: 4Gi}}}}", "KubeVirt", ASSUMED_TYPE},
	};
	auto_free char *vm = notes_of(OURS "{name: a}\nspec: {instanceType: u1.large}\n", "");
	auto_free char *sized = notes_of(
		OURS "{name: a}\nspec: {resources: {cpu: 1, memory: 1Gi}}\n", PREFERENCE("ubuntu"));

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *m =
			xprintf("apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\n"
				"metadata: {name: k}\nspec: %s\n",
				rows[i].spec);
		auto_free char *said = notes_of(m, "");

		has(said, rows[i].said);
		ok(!strstr(said, rows[i].unsaid));
		ok(!strstr(said, "wants the instance type"));
	}
	has(vm, ASSUMED_TYPE "u1.large");
	has(vm, ASSUMED_PREFERENCE "ubuntu");
	ok(!strstr(sized, ASSUMED_TYPE) && !strstr(sized, ASSUMED_PREFERENCE));
}

static void types_of_the_facts_are_all_there_are(void)
{
	auto_free char *group = notes_of(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\nmetadata: {name: k}\n"
		"spec: {nodeGroups: {g: {instanceType: u1.2xlarge}}}\n",
		TYPE("u1.medium"));
	auto_free char *type =
		notes_of(OURS "{name: a}\nspec: {instanceType: u1.large}\n", TYPE("u1.medium"));
	auto_free char *profile =
		notes_of(OURS "{name: a}\nspec: {instanceProfile: none}\n", PREFERENCE("ubuntu"));
	auto_free char *given = notes_of(OURS "{name: a}\n---\n" TYPE("u1.medium"), "");

	ok(!strstr(group, ASSUMED_TYPE) && !strstr(type, ASSUMED_TYPE));
	ok(!strstr(given, ASSUMED_TYPE) && !strstr(given, "there is no"));
	ok(!strstr(profile, ASSUMED_PREFERENCE));
	has(group,
	    "Kubernetes k: node group g wants the instance type u1.2xlarge: there is no such");
	has(type, "VMInstance a: there is no VirtualMachineClusterInstancetype u1.large");
	has(type, ASSUMED_PREFERENCE "ubuntu");
	has(profile, "VMInstance a: there is no VirtualMachineClusterPreference none");
	has(profile, ASSUMED_TYPE "u1.medium");
}

static void what_is_not_from_its_crd_is_refused(void)
{
#define X "{name: x/y}, "
#define X8 X X X X X X X X
	static const struct {
		const char *gpus, *said; /* NULL: it is taken */
	} rows[] = {
		{"{name: x/y, count: 1}, {name: x/y, count: 63}", NULL},
		{"{name: x/y, count: 64}", NULL},
		{"{name: x/y, count: null}", NULL},
		{X "{name: x/y, count: 0}",
		 "gpus[1].count is not from 1 to 64: write how many, or leave it out for 1"},
		{"{name: x/y, count: -1}", "gpus[0].count is not from 1 to 64"},
		{"{name: x/y, count: 65}", "gpus[0].count is not from 1 to 64"},
		{"{name: ''}", "gpus[0].name is empty: write which GPU"},
		{"{count: 1}", "gpus[0].name is empty"},
		{X8 X8 X8 X8 X8 X8 X8 X8, NULL},
		{X8 X8 X8 X8 X8 X8 X8 X8 X,
		 "gpus asks for 65 GPUs: a machine may have 64 at most, ask for fewer"},
		{"{name: x/y, count: 33}, {name: x/z, count: 32}", "gpus asks for 65 GPUs"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *vm = xprintf(OURS "{name: a}\nspec: {gpus: [%s]}\n", rows[i].gpus);
		auto_free char *group =
			xprintf("apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\n"
				"metadata: {name: k}\nspec: {nodeGroups: {g: {gpus: [%s]}}}\n",
				rows[i].gpus);
		auto_free char *a = rendered(vm, "", NULL), *b = rendered(group, "", NULL);

		ok((*a == '[') == !rows[i].said && (*b == '[') == !rows[i].said);
		if (rows[i].said) {
			has(a, "VMInstance a: spec.gpus");
			has(a, rows[i].said);
			has(b, "Kubernetes k: spec.nodeGroups.g.gpus");
			has(b, rows[i].said);
		}
	}
}

static json_t *at(const json_t *o, const char *path)
{
	auto_free char *keys = xstrdup(path);

	for (char *save, *key = strtok_r(keys, ".", &save); key; key = strtok_r(NULL, ".", &save)) {
		o = json_is_array(o) ? json_array_get(o, 0) : json_object_get(o, key);
	}
	return (json_t *)o;
}

/* The longest name and the largest count that the CRD takes, and one more. */
static void limits_are_those_of_the_crds(void)
{
#define SPEC "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties."
	struct err err = {""};
	json_t *crd = yaml_read_file("crds/apps.cozystack.io_vminstances.yaml", &err);
	const json_t *gpu = at(json_array_get(crd, 0), SPEC "gpus.items.properties");
	int limit[] = {(int)json_integer_value(at(gpu, "name.maxLength")),
		       (int)json_integer_value(at(gpu, "count.maximum"))};

	ok(limit[0] > 0 && limit[1] > 0);
	for (int more = 0; more < 2; more++) {
		auto_free char *longest = xcalloc(1, (size_t)limit[0] * 2 + 3);
		auto_free char *name = NULL, *count = NULL;
		auto_free char *a = NULL, *b = NULL;

		for (int i = 0; i < limit[0] + more; i++) { /* a character of two bytes */
			memcpy(longest + (ptrdiff_t)2 * i, "\xc3\xa9", 2);
		}
		name = xprintf(OURS "{name: a}\nspec: {gpus: [{name: %s}]}\n", longest);
		count = xprintf(OURS "{name: a}\nspec: {gpus: [{name: x, count: %d}]}\n",
				limit[1] + more);
		a = rendered(name, "", NULL);
		b = rendered(count, "", NULL);
		ok((*a == '[') == !more && (*b == '[') == !more);
	}
	json_decref(crd);
}

static void the_file_is_named(void)
{
	const struct options o = {0};
	json_t *m = docs("kind: List\nitems:\n- {apiVersion: apps.cozystack.io/v1alpha1, "
			 "kind: VMInstance, metadata: {name: a}}\n---\n" OURS
			 "{name: b}\nspec: {gpus: [{name: ''}]}\n");
	json_t *files = json_pack("[s, s]", "one.yaml", "two.yaml"), *objects = NULL, *notes = NULL;
	const struct render_input in = {.manifests = m, .files = files, .options = &o};
	struct err err = {""};

	ok(render(&in, &objects, &notes, &err) < 0);
	ok(str_starts(err.text, "two.yaml: VMInstance b: spec.gpus[0].name is empty"));
	json_decref(m);
	json_decref(files);
}

#define GPU_NODE                                                                                   \
	"apiVersion: vmgpu.io/v1alpha1\nkind: GPUNode\nmetadata: {name: n1}\n"                     \
	"status: {units: [{id: a, name: nvidia.com/AD102GL_L40S, vendorID: 10de, deviceID: 26b9}]}\n"
#define TYPO OURS "{name: a, namespace: t}\nspec: {gpus: [{name: nvidia.com/AD102GL_L4OS}]}\n"

static void a_name_that_no_node_has_is_told(void)
{
	json_t *notes;
	auto_free char *s = rendered(TYPO, GPU_NODE, &notes), *said = json_dumps(notes, 0);
	auto_free char *nodeless = notes_of(TYPO, ""), *right = notes_of(VM, GPU_NODE);
	auto_free char *group = notes_of(
		"apiVersion: apps.cozystack.io/v1alpha1\nkind: Kubernetes\nmetadata: {name: k}\n"
		"spec: {nodeGroups: {g: {gpus: [{name: nvidia.com/AD102GL_L4OS}]}}}\n",
		GPU_NODE);

	has(s, "\"deviceName\":\"nvidia.com/AD102GL_L4OS\"");
	has(said, "VMInstance a: no node has nvidia.com/AD102GL_L4OS; near names: "
		  "nvidia.com/AD102GL_L40S; GPUs are: nvidia.com/AD102GL_L40S (n1: 1)");
	has(group, "Kubernetes k: no node has nvidia.com/AD102GL_L4OS; near names: ");
	ok(!strstr(nodeless, "no node has"));
	has(right, "VMInstance a: no node has nvidia.com/H100_94GB; GPUs are: ");
	json_decref(notes);
}

static void namespace_of_what_names_none(void)
{
	const struct options o = {0};
	json_t *m = docs(OURS "{name: a}\n---\n" OURS "{name: b, namespace: t}\n---\n" OURS
			      "{name: c, namespace: ''}\n");
	json_t *objects = NULL, *notes = NULL;
	const struct render_input in = {.manifests = m, .ns = "tenant-x", .options = &o};
	struct err err = {""};
	auto_free char *named = NULL, *otherwise = rendered(OURS "{name: a}\n", "", NULL);

	ok(render(&in, &objects, &notes, &err) == 0);
	named = json_dumps(objects, JSON_COMPACT);
	has(named, "{\"name\":\"vm-instance-a\",\"namespace\":\"tenant-x\"");
	has(named, "{\"name\":\"vm-instance-b\",\"namespace\":\"t\"");
	has(named, "{\"name\":\"vm-instance-c\",\"namespace\":\"tenant-x\"");
	has(otherwise, "{\"name\":\"vm-instance-a\",\"namespace\":\"default\"");
	json_decref(m);
	json_decref(objects);
	json_decref(notes);
}

static void nothing_of_ours(void)
{
#define NOTHING                                                                                    \
	"nothing to render: none of what was given is a VirtualMachine, VMInstance, VMDisk or "    \
	"Kubernetes of apps.cozystack.io/v1alpha1"
	auto_free char *empty = notes_of("", "");
	auto_free char *theirs = notes_of(
		"apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\n", "");
	auto_free char *unknown =
		notes_of("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "");
	auto_free char *ours = notes_of(OURS "{name: a}\n", "");

	is_str(empty, "[\"" NOTHING "\"]");
	is_str(theirs, "[\"" NOTHING "\"]");
	has(unknown, NOTHING);
	ok(!strstr(ours, NOTHING));
}

static void why_nothing(void)
{
	json_t *notes;
	auto_free char *s = rendered(CLUSTER, "", &notes);
	auto_free char *said = json_dumps(notes, 0);

	is_str(s, "[]");
	has(said, "Kubernetes k: vmgpu-controller has no image for workers: an administrator must "
		  "give it --worker-image, a container disk with kubeadm; here, render "
		  "--worker-image=IMAGE does the same");
	json_decref(notes);
}

TESTS({"a VM's objects are rendered, without an owner that has no uid yet", objects_of_a_vm},
      {"the order of manifests does not change a byte", same_bytes},
      {"an owner that the facts know is referred to", owner_from_facts},
      {"the feature gate of the facts decides the list of devices", gate_from_facts},
      {"what the facts say we wrote already is rendered again", written_before},
      {"our objects that only the facts have are not rendered", others_of_the_facts},
      {"versions are those that the CRDs of the facts serve", versions_from_crds},
      {"why nothing comes of a manifest is told", why_nothing},
      {"types and preferences are assumed where the facts have none",
       types_are_assumed_where_the_facts_have_none},
      {"types and preferences of the facts are all there are",
       types_of_the_facts_are_all_there_are},
      {"GPUs that the API server refuses are refused", what_is_not_from_its_crd_is_refused},
      {"the limits are those of the CRDs", limits_are_those_of_the_crds},
      {"an error names the file", the_file_is_named},
      {"a GPU's name that no node has is told, and written", a_name_that_no_node_has_is_told},
      {"the namespace is for what names none", namespace_of_what_names_none},
      {"that nothing is ours is told", nothing_of_ours},
      {"a misspelt field and a missing name are told", misspelt},
      {"a kind that nobody knows is told, one that looks like ours refused", unknown_kinds},
      {"fields that the CRD keeps are not unknown", fields_that_the_crd_keeps},
      {"a misspelt field beside spec, and a spec that is none, are told", misspelt_top})
