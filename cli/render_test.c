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
	struct err err = {""};
	char *s;

	if (render(m, f, &o, &objects, &notes, &err) < 0) {
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
	struct err err = {""};
	size_t i;

	ok(render(m, facts, &options, &first, &notes, &err) == 0);
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
	ok(render(m, facts, &options, &again, &notes, &err) == 0);
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
	struct err err = {""};
	char *s;

	ok(render(m, f, &o, &objects, &notes, &err) == 0);
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

static void why_nothing(void)
{
	json_t *notes;
	auto_free char *s = rendered(CLUSTER, "", &notes);
	auto_free char *said = json_dumps(notes, 0);

	is_str(s, "[]");
	has(said, "Kubernetes k: vmgpu-controller has no image for workers");
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
      {"a misspelt field and a missing name are told", misspelt},
      {"a kind that nobody knows is told, one that looks like ours refused", unknown_kinds},
      {"fields that the CRD keeps are not unknown", fields_that_the_crd_keeps},
      {"a misspelt field beside spec, and a spec that is none, are told", misspelt_top})
