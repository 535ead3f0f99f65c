/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a cluster from being written at all (condition Accepted=False). */
#include "controller/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/quantity.h"

/* --- what can be read ------------------------------------------------------------------------- */

static struct verdict check_part(const struct cluster_seen *s, const char *part,
				 const struct control_plane_part *p)
{
	static const struct vm_resources none;
	const struct vm_resources *r = p && p->resources ? p->resources : &none;
	struct arena *a = s->pass->arena;

#define FIELD_OF(name) arena_printf(a, "controlPlane.%s." name, part)
	const struct child_raw raws[] = {
		{FIELD_OF("resources.requests"), r->requests},
		{FIELD_OF("resources.limits"), r->limits},
		{FIELD_OF("extraArgs"), p ? p->extra_args : NULL},
		{FIELD_OF("extraVolumeMounts"), p ? p->extra_volume_mounts : NULL},
	};
#undef FIELD_OF

	return child_raws_read(a, raws, ARRAY_LEN(raws));
}

static struct verdict check_parts(const struct cluster_seen *s)
{
	static const struct control_plane none;
	const struct control_plane *c = s->spec.control_plane ? s->spec.control_plane : &none;
	const struct {
		const char *name;
		const struct control_plane_part *part;
	} parts[] = {
		{"apiServer", c->api_server},
		{"controllerManager", c->controller_manager},
		{"scheduler", c->scheduler},
		{"konnectivity.server", c->konnectivity ? c->konnectivity->server : NULL},
	};
	struct verdict v = verdict_none();

	for (size_t i = 0; i < ARRAY_LEN(parts) && !v.status; i++) {
		v = check_part(s, parts[i].name, parts[i].part);
	}
	return v;
}

/* What nobody acts on is named instead (cluster_fields.c). */
static struct verdict check_raws(const struct cluster_seen *s)
{
	const struct cluster_operator *o = &s->gpu_operator;
	struct arena *a = s->pass->arena;
	struct child_raw raw = {"", o->wanted ? o->values : NULL};
	struct verdict v = check_parts(s);

	if (raw.text && !v.status) {
		raw.field = arena_printf(a, "%s.valuesOverride", o->values_path);
		v = child_raws_read(a, &raw, 1);
	}
	for (size_t i = 0; i < s->n_groups && !v.status; i++) {
		const struct cluster_group *g = &s->groups[i];

		if (g->spec->ephemeral_storage && str_empty(g->spec->disk_size)) {
			raw.field = arena_printf(a, "nodeGroups.%s.ephemeralStorage", g->key);
			raw.text = g->spec->ephemeral_storage;
			v = child_raws_read(a, &raw, 1);
		}
	}
	return v;
}

/* --- names and versions ----------------------------------------------------------------------- */

static struct verdict check_names(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];
		size_t n = strlen(g->name);

		if (n > CLUSTER_MAX_NAME) {
			return verdict_no(
				"NameTooLong",
				arena_printf(s->pass->arena,
					     "node group %s makes machines named %s-xxxxx-xxxxx: "
					     "%s has %zu characters, at most %d fit; choose a "
					     "shorter name for the group or the cluster",
					     g->key, g->name, g->name, n, CLUSTER_MAX_NAME));
		}
	}
	return verdict_none();
}

static struct verdict check_version(const struct cluster_seen *s)
{
	if (s->version) {
		return verdict_none();
	}
	return verdict_no(
		"VersionUnknown",
		arena_printf(s->pass->arena,
			     "no release of Kubernetes %s is known: write one of %s, or a "
			     "full version as v1.34.2",
			     s->spec.version, s->known_versions));
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* With a size that is none no worker starts, or none becomes a node, and nothing here says why. */
struct size {
	const char *field, *text; /* nothing: not asked */
	long double most;
	bool may_be_zero, per_cent;
};

/* As a kubelet reads its thresholds (pkg/kubelet/eviction parsePercentage), without exponents. */
static bool is_per_cent(const char *text)
{
	size_t n = strspn(text, "0123456789.");
	char *end;
	double v = strtod(text, &end);

	return n && end == text + n && str_eq(end, "%") && v <= 100;
}

static bool is_size(const struct size *z)
{
	long double v;

	if (z->per_cent && is_per_cent(z->text)) {
		return true;
	}
	return quantity_parse(z->text, &v) == 0 && v <= z->most &&
	       (v > 0 || (z->may_be_zero && v == 0));
}

static struct verdict no_size(const struct cluster_seen *s, const struct cluster_group *g,
			      const struct size *z)
{
	return verdict_no("InvalidSize",
			  arena_printf(s->pass->arena,
				       "nodeGroups.%s.%s is no size of a worker: write a quantity "
				       "%s and at most %.0Lf%s",
				       g->key, z->field, z->may_be_zero ? "not below 0" : "above 0",
				       z->most, z->per_cent ? ", or 0% to 100%" : ""));
}

/* KubeVirt refuses such a worker. */
static struct verdict check_pod_cpu(const struct cluster_seen *s, const struct cluster_group *g)
{
	const char *limit = g->spec->pod_cpu_limit, *request = g->spec->pod_cpu_request;

	if (!cluster_group_sized(g->spec) || str_empty(limit) || str_empty(request) ||
	    quantity_compare(request, limit) <= 0) {
		return verdict_none();
	}
	return verdict_no("InvalidSize",
			  arena_printf(s->pass->arena,
				       "nodeGroups.%s.podCpuRequest is above podCpuLimit: write "
				       "one that is not",
				       g->key));
}

/* A kubelet that is to keep more than its machine has does not start (validateNodeAllocatable). */
static struct verdict check_rest(const struct cluster_seen *s, const struct cluster_group *g)
{
	struct cluster_amounts left;

	if (!cluster_capacity(s, g, &left) || (left.memory_mi && left.cpu_m)) {
		return verdict_none();
	}
	return verdict_no(
		"InvalidSize",
		arena_printf(s->pass->arena,
			     "nodeGroups.%s: system, kubelet and eviction keep all %s of "
			     "a worker, so that no pod could run: choose a larger worker, "
			     "or keep less in nodeGroups.%s.kubelet",
			     g->key, left.memory_mi ? "CPU" : "memory", g->key));
}

static struct verdict check_group_sizes(const struct cluster_seen *s, const struct cluster_group *g)
{
	static const struct kubelet_reserve none;
	static const struct vm_resources no_size_given;
	const long double cores = CLUSTER_MAX_CORES, bytes = CLUSTER_MAX_MEMORY;
	const struct node_group *spec = g->spec;
	const struct kubelet_reserve *k = spec->kubelet ? spec->kubelet : &none;
	bool sized = cluster_group_sized(spec);
	const struct vm_resources *r = sized ? spec->resources : &no_size_given;
	const struct size sizes[] = {
		{"resources.cpu", r->cpu, cores, false, false},
		{"resources.memory", r->memory, bytes, false, false},
		{"podCpuLimit", sized ? spec->pod_cpu_limit : NULL, cores, true, false},
		{"podCpuRequest", sized ? spec->pod_cpu_request : NULL, cores, true, false},
		{str_empty(spec->disk_size) ? "ephemeralStorage" : "diskSize", g->disk_size, bytes,
		 false, false},
		{"kubelet.systemReservedMemory", k->system_reserved_memory, bytes, true, false},
		{"kubelet.kubeReservedMemory", k->kube_reserved_memory, bytes, true, false},
		{"kubelet.systemReservedCpu", k->system_reserved_cpu, cores, true, false},
		{"kubelet.kubeReservedCpu", k->kube_reserved_cpu, cores, true, false},
		{"kubelet.evictionHardMemory", k->eviction_hard_memory, bytes, false, true},
		{"kubelet.evictionSoftMemory", k->eviction_soft_memory, bytes, false, true},
	};
	struct verdict v;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (!str_empty(sizes[i].text) && !is_size(&sizes[i])) {
			return no_size(s, g, &sizes[i]);
		}
	}
	v = check_pod_cpu(s, g);
	return v.status ? v : check_rest(s, g);
}

static struct verdict check_sizes(const struct cluster_seen *s)
{
	struct verdict v = verdict_none();

	for (size_t i = 0; i < s->n_groups && !v.status; i++) {
		v = check_group_sizes(s, &s->groups[i]);
	}
	return v;
}

/* --- the control plane ------------------------------------------------------------------------ */

#define MAX_SOURCE 63 /* characters that are repeated */

static struct verdict no_volume(const struct cluster_seen *s, size_t i, const char *source)
{
	return verdict_no("InvalidVolume",
			  arena_printf(s->pass->arena,
				       "controlPlane.apiServer.extraVolumes[%zu].%s cannot be "
				       "had: the API server's pod is made with vmgpu's rights, not "
				       "with yours; write a volume of configMap, downwardAPI, "
				       "emptyDir, projected or secret",
				       i, strlen(source) <= MAX_SOURCE ? source : "(a long word)"));
}

/* What a pod gets from its own namespace and from itself. Anything else, and what comes with later
 * releases, could reach the node or other tenants. */
static bool is_own_source(const char *key)
{
	static const char *const keys[] = {"name",     "configMap", "downwardAPI",
					   "emptyDir", "projected", "secret"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (str_eq(key, keys[i])) {
			return true;
		}
	}
	return false;
}

/* They are in the manifest of a tenant, and become part of a pod that the tenant may not make. */
static struct verdict check_volumes(const struct cluster_seen *s)
{
	const struct control_plane *c = s->spec.control_plane;
	const char *text = c && c->api_server ? c->api_server->extra_volumes : NULL, *key;
	json_t *all = type_raw(text), *volume, *value;
	struct verdict v = verdict_none();
	size_t i;

	if (text && !json_is_array(all)) {
		v = verdict_no("InvalidVolume", "controlPlane.apiServer.extraVolumes cannot be "
						"read: write a list of volumes, as in a Pod");
	}
	json_array_foreach(all, i, volume) {
		json_object_foreach(volume, key, value) {
			if (!v.status && !json_is_null(value) && !is_own_source(key)) {
				v = no_volume(s, i, key);
			}
		}
	}
	json_decref(all);
	return v;
}

/* --- taken names ------------------------------------------------------------------------------ */

static struct verdict taken(const struct cluster_seen *s, const struct kube_kind *k,
			    const struct obj *o)
{
	const struct capi_object *c = (const struct capi_object *)o;
	struct arena *a = s->pass->arena;
	const char *whose = "is not vmgpu's";

	if (o->owner_name) {
		whose = arena_printf(a, "belongs to %s %s", o->owner_kind, o->owner_name);
	} else if (str_eq(c->managed_by, "Helm")) {
		whose = "was made by Helm, as Cozystack's chart does: other templates would "
			"replace all its workers";
	}
	return verdict_no("ChildTaken",
			  arena_printf(a,
				       "%s %s/%s is there already and %s: it is left alone; rename "
				       "this object, or remove that one",
				       k->kind, o->ns, o->name, whose));
}

static struct verdict check_one(const struct cluster_seen *s, const struct kube_kind *k,
				const char *name)
{
	const struct obj *o = cache_get(s->pass->cache, k, s->ns, name);

	return !o || cluster_owns(s, o) ? verdict_none() : taken(s, k, o);
}

static struct verdict check_taken(const struct cluster_seen *s)
{
	static const struct kube_kind *const own[] = {
		&kind_capi_cluster,
		&kind_capi_control_plane,
		&kind_capi_kubevirt_cluster,
	};
	struct verdict v = verdict_none();

	for (size_t i = 0; i < ARRAY_LEN(own) && !v.status; i++) {
		v = check_one(s, own[i], s->child.name);
	}
	return v;
}

static struct verdict check_groups_taken(const struct cluster_seen *s)
{
	static const struct kube_kind *const own[] = {
		&kind_capi_bootstrap,
		&kind_capi_machine_deployment,
		&kind_capi_machine_health_check,
	};
	struct verdict v = verdict_none();

	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];

		for (size_t k = 0; k < ARRAY_LEN(own) && !v.status; k++) {
			v = check_one(s, own[k], g->name);
		}
		v = v.status ? v : check_one(s, &kind_capi_machine_template, g->template_name);
	}
	return v;
}

static struct verdict check_operator_taken(const struct cluster_seen *s)
{
	struct verdict v;

	if (!s->gpu_operator.wanted) {
		return verdict_none();
	}
	v = check_one(s, &kind_flux_release, s->gpu_operator.name);
	return v.status ? v : check_one(s, &kind_flux_repository, s->gpu_operator.name);
}

/* --- GPUs ------------------------------------------------------------------------------------- */

static struct verdict check_devices(const struct cluster_seen *s)
{
	struct arena *a = s->pass->arena;

	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];
		const char *path = arena_printf(a, "nodeGroups.%s.gpus", g->key);
		struct verdict v = devices_check(&g->devices, path, g->type, a);

		if (v.status) {
			return v;
		}
	}
	return verdict_none();
}

void cluster_check(struct cluster_seen *s)
{
	static struct verdict (*const checks[])(const struct cluster_seen *) = {
		check_raws,    check_names, check_version,	cluster_labels_check, check_sizes,
		check_volumes, check_taken, check_groups_taken, check_operator_taken, check_devices,
	};

	if (s->accepted.status) {
		return; /* too large: nothing of it was read */
	}
	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.status; i++) {
		s->accepted = checks[i](s);
	}
	s->not_handled = cluster_not_handled(s);
}
