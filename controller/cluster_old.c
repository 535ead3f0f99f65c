/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not wanted any more. Templates are read by Cluster API as long as a MachineSet makes
 * machines from them, so they go last.
 */
#include "controller/cluster.h"

#include <stdlib.h>
#include <string.h>

static bool of_this(const struct cluster_seen *s, const struct capi_object *o)
{
	return str_eq(o->obj.ns, s->ns) && str_eq(o->cluster, s->child.name);
}

static bool is_group(const struct cluster_seen *s, const char *name)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		if (str_eq(s->groups[i].name, name)) {
			return true;
		}
	}
	return false;
}

static bool is_template(const struct cluster_seen *s, const char *name)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		if (str_eq(s->groups[i].template_name, name)) {
			return true;
		}
	}
	return false;
}

/* A MachineDeployment counts too: it may be about to make a MachineSet. */
static bool group_in_use(const struct cluster_seen *s, const char *name)
{
	const struct cache *c = s->pass->cache;

	for (const struct capi_machine_set *m = NULL;
	     (m = cache_next(c, &kind_capi_machine_set, m));) {
		if (of_this(s, &m->of) && str_eq(m->of.deployment, name)) {
			return true;
		}
	}
	return cache_get(c, &kind_capi_machine_deployment, s->ns, name) != NULL;
}

static bool template_in_use(const struct cluster_seen *s, const char *name)
{
	const struct cache *c = s->pass->cache;

	for (const struct capi_machine_set *m = NULL;
	     (m = cache_next(c, &kind_capi_machine_set, m));) {
		if (str_eq(m->of.obj.ns, s->ns) && str_eq(m->template_name, name)) {
			return true;
		}
	}
	for (const struct capi_machine_deployment *d = NULL;
	     (d = cache_next(c, &kind_capi_machine_deployment, d));) {
		if (str_eq(d->of.obj.ns, s->ns) && str_eq(d->template_name, name)) {
			return true;
		}
	}
	return false;
}

static bool template_wanted(const struct cluster_seen *s, const char *name)
{
	return is_template(s, name) || template_in_use(s, name);
}

static bool bootstrap_wanted(const struct cluster_seen *s, const char *name)
{
	return is_group(s, name) || group_in_use(s, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct obj *const *)a)->name, (*(const struct obj *const *)b)->name);
}

/* Ours of this kind that are not wanted. */
static struct obj_list unwanted(const struct cluster_seen *s, const struct kube_kind *k,
				bool (*wanted)(const struct cluster_seen *s, const char *name))
{
	const struct cache *c = s->pass->cache;
	struct obj_list l = {
		.items = arena_array(s->pass->arena, const struct obj *, cache_count(c, k))};

	for (const struct capi_object *o = NULL; (o = cache_next(c, k, o));) {
		if (of_this(s, o) && cluster_owns(s, &o->obj) && !wanted(s, o->obj.name)) {
			l.items[l.n++] = &o->obj;
		}
	}
	if (l.n) {
		qsort(l.items, l.n, sizeof(*l.items), by_name);
	}
	return l;
}

void cluster_old_plan(const struct cluster_seen *s, struct plan *plan)
{
	static const struct {
		const struct kube_kind *kind;
		bool (*wanted)(const struct cluster_seen *s, const char *name);
		const char *why;
	} kinds[] = {
		{&kind_capi_machine_deployment, is_group, "its node group is gone"},
		{&kind_capi_machine_health_check, is_group, "its node group is gone"},
		{&kind_capi_bootstrap, bootstrap_wanted, "no machine is made from it any more"},
		{&kind_capi_machine_template, template_wanted,
		 "no machine is made from it any more"},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct obj_list l = unwanted(s, kinds[i].kind, kinds[i].wanted);

		for (size_t k = 0; k < l.n; k++) {
			plan_delete(plan, kinds[i].kind, l.items[k], kinds[i].why);
		}
	}
}
