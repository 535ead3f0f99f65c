/* SPDX-License-Identifier: Apache-2.0 */
/* Condition Ready: the first of these reasons that holds (table in cases/README.md). */
#include "controller/cluster.h"

#include <string.h>

/* --- what keeps us from writing --------------------------------------------------------------- */

static struct verdict not_accepted(const struct cluster_seen *s)
{
	if (s->accepted.status) {
		return verdict_no("NotAccepted", s->accepted.message);
	}
	return s->pass->trouble ? verdict_no("NotAccepted", s->pass->trouble) : verdict_none();
}

static struct verdict neighbour_missing(const struct cluster_seen *s)
{
	return s->missing.status ? s->missing : verdict_none();
}

/* --- what keeps workers from starting --------------------------------------------------------- */

static struct verdict cdi_missing(const struct cluster_seen *s)
{
	return s->cdi_served
		       ? verdict_none()
		       : verdict_no("CDIMissing",
				    "CDI is not installed, so workers get no disks: nobody serves "
				    "cdi.kubevirt.io; an administrator must install it");
}

static struct verdict type_missing(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];

		if (g->type_name && !g->type) {
			return verdict_no(
				"InstanceTypeMissing",
				arena_printf(
					s->pass->arena,
					"node group %s wants the instance type %s: there is no "
					"such VirtualMachineClusterInstancetype; name another, "
					"or write resources.cpu and memory",
					g->key, g->type_name));
		}
	}
	return verdict_none();
}

/* --- the control plane ------------------------------------------------------------------------ */

/* Named differently in Cluster API's two contracts. */
static const struct condition *control_plane(const struct cluster_seen *s)
{
	const struct condition_list *l = s->cluster ? &s->cluster->conditions : NULL;
	const struct condition *c = condition_find(l, "ControlPlaneAvailable");

	return c ? c : condition_find(l, "ControlPlaneReady");
}

static struct verdict creating(const struct cluster_seen *s)
{
	return control_plane(s) ? verdict_none()
				: verdict_no("Creating", "the cluster is being made");
}

static struct verdict control_plane_not_ready(const struct cluster_seen *s)
{
	const struct condition *c = control_plane(s);
	const char *why = !str_empty(c->message) ? c->message : c->reason;

	if (str_eq(c->status, "True")) {
		return verdict_none();
	}
	return verdict_no("ControlPlaneNotReady",
			  arena_printf(s->pass->arena, "the control plane is not up yet%s%s",
				       str_empty(why) ? "" : ": ", str_empty(why) ? "" : why));
}

/* --- workers ---------------------------------------------------------------------------------- */

const struct condition *cluster_quota(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_machines; i++) {
		const struct kv_vmi *v = s->machines[i].vmi;
		const struct condition *c =
			v ? condition_find(&v->conditions, "Synchronized") : NULL;

		if (c && str_eq(c->status, "False") && c->message &&
		    strstr(c->message, "exceeded quota")) {
			return c;
		}
	}
	return NULL;
}

static struct verdict quota_exceeded(const struct cluster_seen *s)
{
	const struct condition *c = cluster_quota(s);

	return c ? verdict_no("QuotaExceeded", c->message) : verdict_none();
}

static struct verdict waiting_for_gpu(const struct cluster_seen *s)
{
	const struct cluster_machine *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->n_machines; i++) {
		if (s->machines[i].waits) {
			first = first ? first : &s->machines[i];
			n++;
		}
	}
	if (!n) {
		return verdict_none();
	}
	return verdict_no(
		"WaitingForGPU",
		arena_printf(s->pass->arena, "%zu worker%s for a GPU, %s among them: %s", n,
			     n == 1 ? " waits" : "s wait", first->machine->of.obj.name,
			     condition_find(&first->vmi->conditions, "PodScheduled")->message));
}

static bool is_rolling(const struct cluster_group *g)
{
	const struct capi_machine_deployment *d = g->deployment;

	return g->rolls || g->scales || g->behind || (d && d->up_to_date < opt_int_or(d->replicas, 0));
}

static bool lacks_workers(const struct cluster_group *g)
{
	return g->ready < g->desired;
}

/* "gpu (1 of 2)" of each group that is so, or NULL. */
static const char *groups_that(const struct cluster_seen *s,
			       bool (*is)(const struct cluster_group *g))
{
	const char *text = NULL;

	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];

		if (is(g)) {
			text = arena_printf(s->pass->arena, "%s%s%s (%lld of %lld)",
					    text ? text : "", text ? ", " : "", g->key,
					    (long long)g->ready, (long long)g->desired);
		}
	}
	return text;
}

static struct verdict rolling_out(const struct cluster_seen *s)
{
	const char *groups = groups_that(s, is_rolling);

	return groups ? verdict_no("RollingOut",
				   arena_printf(s->pass->arena,
						"workers are brought to what the manifest says; "
						"ready: %s",
						groups))
		      : verdict_none();
}

static struct verdict waiting_for_workers(const struct cluster_seen *s)
{
	const char *groups = groups_that(s, lacks_workers);

	return groups ? verdict_no("WaitingForWorkers",
				   arena_printf(s->pass->arena,
						"workers are being started; ready: %s", groups))
		      : verdict_none();
}

struct verdict cluster_ready(const struct cluster_seen *s)
{
	static struct verdict (*const reasons[])(const struct cluster_seen *) = {
		not_accepted, neighbour_missing,       cdi_missing,    type_missing,
		creating,     control_plane_not_ready, quota_exceeded, waiting_for_gpu,
		rolling_out,  waiting_for_workers,
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct verdict v = reasons[i](s);

		if (v.status) {
			return v;
		}
	}
	return verdict_yes("Ready", "the control plane answers and all workers are there");
}
