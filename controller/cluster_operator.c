/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gpu-operator of the tenant cluster, which makes its nodes' GPUs usable: a Flux HelmRelease
 * that is carried out there. Cozystack has it off by default, so GPU groups came without drivers;
 * here a group with GPUs of NVIDIA's wants it, unless the manifest says otherwise
 * (cozystack.md 5.9).
 */
#include "controller/cluster.h"

#include <string.h>

#define CHART "gpu-operator"
#define CHART_VERSION "v26.3.1"
#define REPOSITORY "https://helm.ngc.nvidia.com/nvidia"
#define NAMESPACE "cozy-gpu-operator"
/* Of Cozystack's wrapper, beside the chart's own values. */
#define MODULE_CONFIG "kernelModuleConfig"

/* --- gather ----------------------------------------------------------------------------------- */

static bool has_nvidia(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->total.n; i++) {
		if (str_starts(s->total.asks[i].device, "nvidia.com/")) {
			return true;
		}
	}
	return false;
}

static const struct addon *named(const struct addon *items, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(items[i].key, name)) {
			return &items[i];
		}
	}
	return NULL;
}

/* addons before plugins (seed 001), and each in both spellings. */
static void find_addons(const struct cluster_seen *s, struct cluster_addon *ret)
{
	static const char *const paths[] = {
		"addons.gpuOperator",
		"addons.gpu-operator",
		"plugins.gpu-operator",
		"plugins.gpuOperator",
	};

	_Static_assert(ARRAY_LEN(paths) == CLUSTER_OPERATOR_ADDONS, "one path each");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const char *name = strchr(paths[i], '.') + 1;

		ret[i].path = paths[i];
		ret[i].addon = i < 2 ? named(s->spec.addons.items, s->spec.addons.n, name)
				     : named(s->spec.plugins.items, s->spec.plugins.n, name);
	}
}

static bool uses_own_chart(const struct cluster_seen *s)
{
	return !s->options || !s->options->gpu_operator_chart;
}

void cluster_operator_gather(struct cluster_seen *s)
{
	const struct cache *c = s->pass->cache;
	struct cluster_operator *o = &s->gpu_operator;

	o->name = arena_printf(s->pass->arena, "%s-gpu-operator", s->child.name);
	find_addons(s, o->addons);
	o->wanted = has_nvidia(s);
	o->wanted_path = o->addons[0].path;
	for (size_t i = CLUSTER_OPERATOR_ADDONS; i-- > 0;) {
		const struct addon *a = o->addons[i].addon;

		if (a && a->enabled != TRI_UNSET) {
			o->wanted = a->enabled == TRI_TRUE;
			o->wanted_path = o->addons[i].path;
		}
		if (a && cluster_says(a->values_override)) {
			o->values = a->values_override;
			o->values_path = o->addons[i].path;
		}
	}
	o->served = cache_version(c, &kind_flux_release) &&
		    (!uses_own_chart(s) || cache_version(c, &kind_flux_repository));
}

/* --- values ----------------------------------------------------------------------------------- */

/* over into base, objects in depth; lists are replaced. */
static void merge(json_t *base, json_t *over)
{
	const char *key;
	json_t *v;

	json_object_foreach(over, key, v) {
		json_t *had = json_object_get(base, key);

		if (json_is_object(had) && json_is_object(v)) {
			merge(had, v);
		} else {
			json_object_set_new(base, key, json_deep_copy(v));
		}
	}
}

/* Hikube and upstream spell the chart's name differently; what is beside it are plain values. */
static void merge_override(json_t *chart, json_t *wrapper, json_t *override)
{
	static const char *const names[] = {"gpuOperator", CHART};
	const char *key;
	json_t *v, *one = json_object();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		merge(chart, json_object_get(override, names[i]));
	}
	json_object_foreach(override, key, v) {
		bool name = str_eq(key, names[0]) || str_eq(key, names[1]);

		if (!name) {
			json_object_set(one, key, v);
			merge(wrapper && str_eq(key, MODULE_CONFIG) ? wrapper : chart, one);
			json_object_clear(one);
		}
	}
	json_decref(one);
}

/* A single SXM card without NVSwitch never initialises CUDA but with this (cozystack.md 2). */
static json_t *wrapper_defaults(void)
{
	return json_pack("{s:{s:b}}", MODULE_CONFIG, "create", 1);
}

static json_t *chart_defaults(bool wrapped)
{
	return wrapped ? json_pack("{s:{s:{s:s}}}", "driver", MODULE_CONFIG, "name",
				   "nvidia-kernel-module-params")
		       : json_object();
}

static json_t *values(const struct cluster_seen *s, bool wrapped)
{
	json_t *override = type_raw(s->gpu_operator.values);
	json_t *wrapper = wrapped ? wrapper_defaults() : NULL, *chart = chart_defaults(wrapped);

	merge_override(chart, wrapper, override);
	json_decref(override);
	if (!wrapped) {
		return chart;
	}
	json_object_set_new(wrapper, CHART, chart);
	return wrapper;
}

/* --- release ---------------------------------------------------------------------------------- */

static void set_chart(const struct cluster_seen *s, json_t *spec, const char *artifact)
{
	const char *slash = artifact ? strchr(artifact, '/') : NULL;

	if (!artifact) {
		json_object_set_new(spec, "chart",
				    json_pack("{s:{s:s, s:s, s:{s:s, s:s}}}", "spec", "chart",
					      CHART, "version", CHART_VERSION, "sourceRef", "kind",
					      kind_flux_repository.kind, "name",
					      s->gpu_operator.name));
		return;
	}
	json_object_set_new(spec, "chartRef",
			    json_pack("{s:s, s:s, s:s}", "kind", "ExternalArtifact", "name",
				      slash ? slash + 1 : artifact, "namespace",
				      slash ? arena_strndup(s->pass->arena, artifact,
							    (size_t)(slash - artifact))
					    : s->ns));
}

static const char *cilium(const struct cluster_seen *s)
{
	return arena_printf(s->pass->arena, "%s-cilium", s->child.name);
}

bool cluster_has_network(const struct cluster_seen *s)
{
	return cache_get(s->pass->cache, &kind_flux_release, s->ns, cilium(s));
}

/* Nodes have no network before cilium; where somebody else brings one there is nothing to wait for.
 */
static void set_depends(const struct cluster_seen *s, json_t *spec)
{
	if (cluster_has_network(s)) {
		json_object_set_new(
			spec, "dependsOn",
			json_pack("[{s:s, s:s}]", "name", cilium(s), "namespace", s->ns));
	}
}

static json_t *release(const struct cluster_seen *s)
{
	const char *artifact = s->options ? s->options->gpu_operator_chart : NULL;
	json_t *body = cluster_object(s, &kind_flux_release, s->gpu_operator.name);
	json_t *secret = json_pack("{s:{s:o, s:s}}", "secretRef", "name",
				   json_sprintf("%s-admin-kubeconfig", s->child.name), "key",
				   "super-admin.svc");
	json_t *spec = json_pack(
		"{s:s, s:s, s:s, s:o, s:s, s:s, s:{s:b, s:{s:i}}, s:{s:{s:i}}}", "releaseName",
		CHART, "targetNamespace", NAMESPACE, "storageNamespace", NAMESPACE, "kubeConfig",
		secret, "interval", "5m", "timeout", "10m", "install", "createNamespace", 1,
		"remediation", "retries", -1, "upgrade", "remediation", "retries", -1);
	json_t *chart_values = values(s, artifact != NULL);

	set_chart(s, spec, artifact);
	set_depends(s, spec);
	if (json_object_size(chart_values)) {
		json_object_set(spec, "values", chart_values);
	}
	json_decref(chart_values);
	json_object_set_new(body, "spec", spec);
	return body;
}

static json_t *repository(const struct cluster_seen *s)
{
	json_t *body = cluster_object(s, &kind_flux_repository, s->gpu_operator.name);

	json_object_set_new(body, "spec",
			    json_pack("{s:s, s:s}", "url", REPOSITORY, "interval", "1h"));
	return body;
}

static void drop(const struct cluster_seen *s, struct plan *plan, const struct kube_kind *k,
		 const char *why)
{
	const struct obj *o = cache_get(s->pass->cache, k, s->ns, s->gpu_operator.name);

	if (o && cluster_owns(s, o)) {
		plan_delete(plan, k, o, why);
	}
}

void cluster_operator_plan(const struct cluster_seen *s, struct plan *plan)
{
	bool own_chart = uses_own_chart(s);

	if (s->gpu_operator.wanted && !s->gpu_operator.served) {
		return;
	}
	if (s->gpu_operator.wanted && own_chart) {
		plan_apply(plan, &kind_flux_repository, OBJ_MANAGER, repository(s),
			   "where the gpu-operator's chart is");
	}
	if (s->gpu_operator.wanted) {
		plan_apply(plan, &kind_flux_release, OBJ_MANAGER, release(s),
			   "the gpu-operator makes the GPUs usable in the cluster");
	} else {
		drop(s, plan, &kind_flux_release, "the gpu-operator is not wanted any more");
	}
	if (!s->gpu_operator.wanted || !own_chart) {
		drop(s, plan, &kind_flux_repository, "nothing comes from it any more");
	}
}
