/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a cluster from being written at all (condition Accepted=False). */
#include "controller/cluster.h"

#include <string.h>

#include "base/quantity.h"

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

static struct verdict check_size(const struct cluster_seen *s, const struct cluster_group *g,
				 const char *field, const char *text, long double most)
{
	long double v;

	if (quantity_parse(text, &v) == 0 && v > 0 && v <= most) {
		return verdict_none();
	}
	return verdict_no("InvalidSize",
			  arena_printf(s->pass->arena,
				       "nodeGroups.%s.resources.%s is no size of a worker: write a "
				       "quantity above 0 and at most %.0Lf",
				       g->key, field, most));
}

static struct verdict check_sizes(const struct cluster_seen *s)
{
	struct verdict v = verdict_none();

	for (size_t i = 0; i < s->n_groups && !v.status; i++) {
		const struct cluster_group *g = &s->groups[i];
		const struct vm_resources *r = g->spec->resources;

		if (cluster_group_sized(g->spec)) {
			v = check_size(s, g, "cpu", r->cpu, CLUSTER_MAX_CORES);
			v = v.status ? v
				     : check_size(s, g, "memory", r->memory, CLUSTER_MAX_MEMORY);
		}
	}
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
		check_names, check_version,	 cluster_labels_check, check_sizes,
		check_taken, check_groups_taken, check_operator_taken, check_devices,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.status; i++) {
		s->accepted = checks[i](s);
	}
	s->not_handled = cluster_not_handled(s);
}
