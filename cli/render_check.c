/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/render_check.h"

#include "api/apps.h"

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static const struct {
	const struct kube_kind *kind;
	const struct type *spec;
} checks[] = {
	{&kind_virtual_machine, &vm_spec_type},
	{&kind_vm_instance, &vm_spec_type},
	{&kind_vm_disk, &vm_disk_spec_type},
	{&kind_kubernetes, &cluster_spec_type},
};

static const struct type *spec_type(const struct kube_kind *k)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].kind == k) {
			return checks[i].spec;
		}
	}
	return NULL;
}

static bool is_ours(const char *api_version, const char *kind)
{
	if (api_version && str_starts(api_version, "apps.cozystack.io/")) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (str_eq(checks[i].kind->kind, kind) &&
		    !(api_version && str_starts(api_version, "kubevirt.io/"))) {
			return true;
		}
	}
	return false;
}

/* What nobody knows may be in a folder of manifests; what looks like ours is a slip. */
static int check_unknown(const json_t *o, const char *name, struct err *err)
{
	const char *version = text(o, "apiVersion"), *kind = text(o, "kind");

	if (!version || !kind) {
		return err_set(err, "%s: an object without apiVersion or kind", name);
	}
	if (is_ours(version, kind)) {
		return err_set(
			err,
			"%s %s: no such kind in %s: write VirtualMachine, VMInstance, VMDisk "
			"or Kubernetes of apps.cozystack.io/v1alpha1, or leave it out",
			kind, name, version);
	}
	return RENDER_UNKNOWN;
}

static int check_top(const json_t *o, struct err *err)
{
	static const char *const known[] = {"apiVersion", "kind",   "metadata",
					    "spec",	  "status", "appVersion"};
	const json_t *spec = json_object_get(o, "spec"), *value;
	const char *key;

	json_object_foreach((json_t *)o, key, value) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			found |= str_eq(key, known[i]);
		}
		if (!found) {
			return err_set(err,
				       "unknown field \"%s\" beside metadata: what is wanted "
				       "stands in spec",
				       key);
		}
	}
	if (spec && !json_is_object(spec) && !json_is_null(spec)) {
		return err_set(err, "spec is no object: write its fields below it, indented");
	}
	return 0;
}

/* --- what the CRDs allow of gpus, a type of C does not ---------------------------------------- */

#define MAX_GPUS 64 /* of a machine, and of one entry */
#define MAX_NAME 317

static bool nameless(const struct gpu_request *g)
{
	return str_empty(g->name);
}

/* In characters, as the API server counts. */
static bool long_name(const struct gpu_request *g)
{
	size_t n = 0;

	for (const char *p = g->name; *p; p++) {
		n += ((unsigned char)*p & 0xc0) != 0x80;
	}
	return n > MAX_NAME;
}

static bool wrong_count(const struct gpu_request *g)
{
	return g->count.set && (g->count.value < 1 || g->count.value > MAX_GPUS);
}

static const struct {
	const char *field;
	bool (*wrong)(const struct gpu_request *g);
	const char *remedy;
} limits[] = {
	{"name", nameless, "is empty: write which GPU, for example nvidia.com/AD102GL_L40S"},
	{"name", long_name, "has more than 317 characters: write a name that a node reports"},
	{"count", wrong_count, "is not from 1 to 64: write how many, or leave it out for 1"},
};

static int check_gpus(const struct gpu_request_list *gpus, const char *path, struct err *err)
{
	int64_t sum = 0;

	for (size_t i = 0; i < gpus->n; i++) {
		const struct gpu_request *g = &gpus->items[i];

		for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
			if (limits[k].wrong(g)) {
				return err_set(err, "%s[%zu].%s %s", path, i, limits[k].field,
					       limits[k].remedy);
			}
		}
		sum += opt_int_or(g->count, 1);
	}
	return sum <= MAX_GPUS ? 0
			       : err_set(err,
					 "%s asks for %lld GPUs: a machine may have %d at most, "
					 "ask for fewer",
					 path, (long long)sum, MAX_GPUS);
}

static int check_limits(const struct type *type, const void *spec, struct arena *a, struct err *err)
{
	if (type == &vm_spec_type) {
		return check_gpus(&((const struct vm_spec *)spec)->gpus, "spec.gpus", err);
	}
	if (type == &cluster_spec_type) {
		list_each(g, &((const struct cluster_spec *)spec)->node_groups) {
			const char *path = arena_printf(a, "spec.nodeGroups.%s.gpus", g->key);

			if (check_gpus(&g->gpus, path, err) < 0) {
				return -1;
			}
		}
	}
	return 0;
}

/* --- one manifest ------------------------------------------------------------------------------ */

/* Strictly, as kubectl would: a misspelt field must not be lost in silence. */
static int check_spec(const struct type *type, json_t *spec, struct arena *a, struct err *err)
{
	void *read = arena_alloc(a, type->size);

	if (type_read(type, spec, true, a, read, err) < 0) {
		return err_wrap(err, "spec");
	}
	return check_limits(type, read, a, err);
}

int render_check(const struct cache *c, const json_t *o, struct arena *a, struct err *err)
{
	const struct kube_kind *k = cache_kind(c, text(o, "apiVersion"), text(o, "kind"));
	const char *name = text(json_object_get(o, "metadata"), "name");
	const struct type *type = spec_type(k);
	json_t *spec = json_object_get(o, "spec");

	if (!name) {
		return err_set(err, "%s without metadata.name: give it one",
			       text(o, "kind") ? text(o, "kind") : "an object");
	}
	if (!k) {
		return check_unknown(o, name, err);
	}
	if (!type) {
		return RENDER_NEIGHBOUR;
	}
	if (check_top(o, err) < 0 || (json_is_object(spec) && check_spec(type, spec, a, err) < 0)) {
		return err_wrap(err, "%s %s", text(o, "kind"), name);
	}
	return RENDER_OURS;
}
