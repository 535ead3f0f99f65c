/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes which cluster. All that a cluster is made of, and its workers' machines, has
 * names that begin with R; there are few clusters, so each is asked.
 */
#include "controller/cluster.h"

#include <string.h>

static bool named_after(const struct obj *app, const char *name)
{
	return str_starts(name, app->name) ||
	       (str_starts(name, CLUSTER_PREFIX) &&
		str_starts(name + strlen(CLUSTER_PREFIX), app->name));
}

static void by_name(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	const struct obj *o = now ? now : old;

	for (const struct obj *app = NULL; (app = cache_next(c, &kind_kubernetes, app));) {
		if (str_eq(app->ns, o->ns) && named_after(app, o->name)) {
			wake(ctx, app->ns, app->name);
		}
	}
}

static bool asks_for_gpus(const struct obj *app)
{
	const char *spec = ((const struct cluster_app *)app)->spec;

	return spec && strstr(spec, "\"gpus\"");
}

static void all_with_gpus(const struct cache *c, const struct obj *old, const struct obj *now,
			  wake_fn *wake, void *ctx)
{
	(void)old, (void)now;
	for (const struct obj *app = NULL; (app = cache_next(c, &kind_kubernetes, app));) {
		if (asks_for_gpus(app)) {
			wake(ctx, app->ns, app->name);
		}
	}
}

static const char *holds_on(const struct obj *o)
{
	return o ? kind_kv_vmi.second_key(o) : NULL;
}

/* Anybody's machine that takes or gives back GPUs changes what is free. */
static void by_machine(const struct cache *c, const struct obj *old, const struct obj *now,
		       wake_fn *wake, void *ctx)
{
	const char *before = holds_on(old), *after = holds_on(now);

	by_name(c, old, now, wake, ctx);
	if ((before || after) && !str_eq(before, after)) {
		all_with_gpus(c, old, now, wake, ctx);
	}
}

static void by_type(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	const char *type = (now ? now : old)->name;

	for (const struct cluster_app *app = NULL; (app = cache_next(c, &kind_kubernetes, app));) {
		if (str_eq(type, CLUSTER_DEFAULT_TYPE) || (app->spec && strstr(app->spec, type))) {
			wake(ctx, app->obj.ns, app->obj.name);
		}
	}
}

static void by_namespace(const struct cache *c, const struct obj *old, const struct obj *now,
			 wake_fn *wake, void *ctx)
{
	const char *ns = (now ? now : old)->name;

	for (const struct obj *app = NULL; (app = cache_next(c, &kind_kubernetes, app));) {
		if (str_eq(app->ns, ns)) {
			wake(ctx, app->ns, app->name);
		}
	}
}

const struct plan_watch cluster_watches[] = {
	{&kind_capi_cluster, by_name},
	{&kind_capi_control_plane, by_name},
	{&kind_capi_kubevirt_cluster, by_name},
	{&kind_capi_bootstrap, by_name},
	{&kind_capi_machine_template, by_name},
	{&kind_capi_machine_deployment, by_name},
	{&kind_capi_machine_health_check, by_name},
	{&kind_capi_machine_set, by_name},
	{&kind_capi_machine, by_name},
	{&kind_flux_release, by_name},
	{&kind_flux_repository, by_name},
	{&kind_kv_vm, by_name},
	{&kind_kv_vmi, by_machine},
	{&kind_gpu_node, all_with_gpus},
	{&kind_kv_config, all_with_gpus},
	{&kind_kv_instancetype, by_type},
	{&kind_namespace, by_namespace},
	{0},
};
