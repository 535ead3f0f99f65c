/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MachineDeployment and MachineHealthCheck of a group. Between its bounds replicas are the
 * autoscaler's (or whoever scales it), so the whole body never has them; Cluster API begins with the
 * annotation's minimum.
 */
#include "controller/cluster.h"

#include <string.h>

#include "base/flag.h"

#define AUTOSCALER "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
#define CAPACITY "capacity.cluster-autoscaler.kubernetes.io/"

/* --- surge ------------------------------------------------------------------------------------ */

/* Workers that would start on this node now. */
static int64_t fit_on(const struct cluster_seen *s, const struct cluster_group *g, const char *node)
{
	int64_t fit = INT64_MAX;

	for (size_t i = 0; i < g->asked.n; i++) {
		const char *device = g->asked.asks[i].device;
		const struct inventory_model *m = inventory_find(&s->inventory, device);
		const struct inventory_place *p = m ? inventory_place_on(m, node) : NULL;
		int64_t n = MAX(gpus_count(&g->asked, device), (int64_t)1);

		fit = MIN(fit, p ? inventory_free(&s->inventory, m, p) / n : 0);
	}
	return fit;
}

static int64_t fit(const struct cluster_seen *s, const struct cluster_group *g)
{
	const struct inventory_model *m = inventory_find(&s->inventory, g->asked.asks[0].device);
	int64_t n = 0;

	for (size_t i = 0; m && i < m->n_places; i++) {
		n += fit_on(s, g, m->places[i].node);
	}
	return n;
}

/*
 * A rollout of a GPU group starts no more workers than there are GPUs for, or the new ones wait for
 * the old ones and these for them. With none free old ones go first: one more than is missing
 * already, since Cluster API counts what is missing against maxUnavailable (cozystack.md 5.2).
 */
static json_t *reckoned(const struct cluster_seen *s, const struct cluster_group *g)
{
	int64_t surge = g->max, unavailable = 1;

	if (g->devices.n) {
		surge = MIN(fit(s, g), g->max);
	}
	if (g->devices.n && surge == 0) {
		int64_t available = g->deployment ? g->deployment->available : 0;

		unavailable = MAX(g->desired - available, (int64_t)0) + 1;
	}
	return json_pack("{s:I, s:I}", "maxSurge", (json_int_t)surge, "maxUnavailable",
			 (json_int_t)unavailable);
}

/* What was reckoned when the rollout began holds until the next one. */
static json_t *rolling_update(const struct cluster_seen *s, const struct cluster_group *g)
{
	const struct capi_machine_deployment *d = g->deployment;

	if (!d || g->rolls || !d->max_surge || !d->max_unavailable) {
		return reckoned(s, g);
	}
	return json_pack("{s:o, s:o}", "maxSurge", cluster_int_or_string(d->max_surge),
			 "maxUnavailable", cluster_int_or_string(d->max_unavailable));
}

/* --- MachineDeployment ------------------------------------------------------------------------ */

static void set_number(json_t *o, const char *key, int64_t n, const char *unit)
{
	json_object_set_new(o, key, json_sprintf("%lld%s", (long long)n, unit));
}

static json_t *annotations(const struct cluster_seen *s, const struct cluster_group *g)
{
	const char *resource = cluster_gpu_resource(g);
	json_t *o = json_pack("{s:s}", "cluster.x-k8s.io/autoscaling-options-maxnodeprovisiontime",
			      cluster_duration(s->spec.max_node_provision_time, "30m"));
	struct cluster_amounts left;

	set_number(o, AUTOSCALER "min-size", g->min, "");
	set_number(o, AUTOSCALER "max-size", g->max, "");
	if (cluster_capacity(s, g, &left)) {
		set_number(o, CAPACITY "memory", left.memory_mi, "Mi");
		set_number(o, CAPACITY "cpu", left.cpu_m, "m");
	}
	if (resource) {
		json_object_set_new(o, CAPACITY "gpu-type", json_string(resource));
		set_number(o, CAPACITY "gpu-count", (int64_t)g->devices.n, "");
	}
	if (*g->labels) {
		json_object_set_new(o, CAPACITY "labels", json_string(g->labels));
	}
	return o;
}

static json_t *selector_labels(const struct cluster_seen *s, const struct cluster_group *g)
{
	return json_pack("{s:s, s:s}", CAPI_CLUSTER_LABEL, s->child.name, CAPI_DEPLOYMENT_LABEL,
			 g->name);
}

static json_t *machine_labels(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *labels = selector_labels(s, g);

	list_each(role, &g->spec->roles) {
		json_object_set_new(
			labels, arena_printf(s->pass->arena, "node-role.kubernetes.io/%s", *role),
			json_string(""));
	}
	return labels;
}

static json_t *machine(const struct cluster_seen *s, const struct cluster_group *g)
{
	const struct kube_kind *from = &kind_capi_machine_deployment;

	return json_pack("{s:{s:o}, s:{s:{s:o}, s:s, s:o, s:s}}", "metadata", "labels",
			 machine_labels(s, g), "spec", "bootstrap", "configRef",
			 cluster_reference(s, from, &kind_capi_bootstrap, g->name), "clusterName",
			 s->child.name, "infrastructureRef",
			 cluster_reference(s, from, &kind_capi_machine_template, g->template_name),
			 "version", s->version);
}

json_t *cluster_deployment(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *body = cluster_object(s, &kind_capi_machine_deployment, g->name);
	json_t *strategy = json_pack("{s:s, s:o}", "type", "RollingUpdate", "rollingUpdate",
				     rolling_update(s, g));
	json_t *spec = json_pack("{s:s, s:{s:o}, s:o}", "clusterName", s->child.name, "selector",
				 "matchLabels", selector_labels(s, g), "template", machine(s, g));

	if (cluster_serves(s, &kind_capi_machine_deployment, "v1beta1")) {
		json_object_set_new(spec, "strategy", strategy);
	} else {
		json_object_set_new(spec, "rollout", json_pack("{s:o}", "strategy", strategy));
	}
	json_object_set_new(json_object_get(body, "metadata"), "annotations", annotations(s, g));
	json_object_set_new(body, "spec", spec);
	return body;
}

/*
 * Cluster API looks at the bounds only where replicas are not set, and an autoscaler need not be
 * there, nor undo what is outside of them: bounds that were changed would do nothing.
 */
json_t *cluster_scale(const struct cluster_seen *s, const struct cluster_group *g)
{
	return json_pack("{s:{s:s, s:s}, s:{s:I}}", "metadata", "name", g->name, "namespace", s->ns,
			 "spec", "replicas", (json_int_t)g->desired);
}

/* --- MachineHealthCheck ----------------------------------------------------------------------- */

static json_t *seconds(const char *duration)
{
	int64_t ms = 0;

	(void)flag_duration(duration, &ms); /* cluster_duration has tried it */
	return json_integer(ms / 1000);
}

/* In v1beta2 times are numbers, and the parts have got names. */
static json_t *checks(const struct cluster_health *h)
{
	return json_pack("{s:o, s:[{s:s, s:s, s:o}, {s:s, s:s, s:o}]}", "nodeStartupTimeoutSeconds",
			 seconds(h->startup), "unhealthyNodeConditions", "type", "Ready", "status",
			 "Unknown", "timeoutSeconds", seconds(h->unknown), "type", "Ready",
			 "status", "False", "timeoutSeconds", seconds(h->not_ready));
}

static void set_checks_v1beta1(json_t *spec, const struct cluster_health *h)
{
	json_object_set_new(spec, "maxUnhealthy", cluster_int_or_string(h->max_unhealthy));
	json_object_set_new(spec, "nodeStartupTimeout", json_string(h->startup));
	json_object_set_new(spec, "unhealthyConditions",
			    json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "type", "Ready",
				      "status", "Unknown", "timeout", h->unknown, "type", "Ready",
				      "status", "False", "timeout", h->not_ready));
}

json_t *cluster_health_check(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *body = cluster_object(s, &kind_capi_machine_health_check, g->name);
	json_t *spec = json_pack("{s:s, s:{s:o}}", "clusterName", s->child.name, "selector",
				 "matchLabels", selector_labels(s, g));
	struct cluster_health h = s->health;

	if (!str_empty(g->spec->max_unhealthy)) {
		h.max_unhealthy = g->spec->max_unhealthy;
	}
	h.startup = cluster_duration(g->spec->node_startup_timeout, h.startup);
	if (cluster_serves(s, &kind_capi_machine_health_check, "v1beta1")) {
		set_checks_v1beta1(spec, &h);
	} else {
		json_object_set_new(spec, "checks", checks(&h));
		json_object_set_new(spec, "remediation",
				    json_pack("{s:{s:o}}", "triggerIf",
					      "unhealthyLessThanOrEqualTo",
					      cluster_int_or_string(h.max_unhealthy)));
	}
	json_object_set_new(body, "spec", spec);
	return body;
}
