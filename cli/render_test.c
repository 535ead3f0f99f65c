/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/render.h"

#include "base/test.h"
#include "json/yaml.h"

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

TESTS({"a VM's objects are rendered, without an owner that has no uid yet", objects_of_a_vm},
      {"the order of manifests does not change a byte", same_bytes},
      {"an owner that the facts know is referred to", owner_from_facts},
      {"the feature gate of the facts decides the list of devices", gate_from_facts},
      {"a misspelt field and a missing name are told", misspelt})
