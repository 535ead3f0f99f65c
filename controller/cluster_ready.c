/* SPDX-License-Identifier: Apache-2.0 */
/* Condition Ready: the first of these reasons that holds (table in cases/README.md). */
#include "controller/cluster.h"

#include <string.h>

#include "controller/start_failure.h"

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

/* KubeVirt's words of why this worker gets no pod, or NULL. One that goes away needs none. */
static const char *no_pod(const struct cluster_machine *m)
{
	const struct condition *c =
		m->vmi ? condition_find(&m->vmi->conditions, "Synchronized") : NULL;
	bool is = c && str_eq(c->status, "False") && !str_empty(c->message) && !m->vmi->node &&
		  !m->machine->of.obj.deleting;

	return is ? c->message : NULL;
}

static struct verdict of_worker(const struct cluster_seen *s, const struct cluster_machine *m,
				const char *reason, const char *words)
{
	return verdict_no(reason, arena_printf(s->pass->arena, "worker %s: %s",
					       m->machine->of.obj.name, words));
}

/* What we know of the permission comes before KubeVirt's words. */
static struct verdict not_permitted(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_machines; i++) {
		const struct cluster_machine *m = &s->machines[i];
		const char *theirs = no_pod(m);
		struct verdict v;

		if (!theirs || !strstr(theirs, "not permitted")) {
			continue;
		}
		v = gpus_permitted(m->group ? &m->group->asked : &s->total);
		return of_worker(s, m, "NotPermitted",
				 str_eq(v.status, "False")
					 ? arena_printf(s->pass->arena, "%s (KubeVirt: %s)",
							v.message, theirs)
					 : theirs);
	}
	return verdict_none();
}

/* KubeVirt tried in vain to start its VM, which forgets that only after a while. */
static const char *no_start(const struct cluster_machine *m, struct arena *a)
{
	bool runs = m->vmi && str_eq(m->vmi->phase, "Running");

	return m->vm && !runs && !m->machine->of.obj.deleting ? start_failure_words(m->vm, a)
							      : NULL;
}

static struct verdict start_failure(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_machines; i++) {
		const struct cluster_machine *m = &s->machines[i];
		const char *words = no_pod(m);

		words = words ? words : no_start(m, s->pass->arena);
		if (words) {
			return of_worker(s, m, "StartFailure", words);
		}
	}
	return verdict_none();
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

	return g->rolls || g->scales || g->behind ||
	       (d && d->up_to_date < opt_int_or(d->replicas, 0));
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

/* A worker without a network plugin runs and never gets ready, though nothing in it fails. Where one
 * is ready there is a plugin. */
static const char *network_words(const struct cluster_seen *s)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		if (s->groups[i].ready) {
			return "";
		}
	}
	return cluster_has_network(s) ? ""
				      : "; none gets ready before you have installed a network "
					"plugin (CNI) in the cluster";
}

static struct verdict waiting_for_workers(const struct cluster_seen *s)
{
	const char *groups = groups_that(s, lacks_workers);

	return groups ? verdict_no("WaitingForWorkers",
				   arena_printf(s->pass->arena,
						"workers are being started; ready: %s%s", groups,
						network_words(s)))
		      : verdict_none();
}

struct verdict cluster_ready(const struct cluster_seen *s)
{
	static struct verdict (*const reasons[])(const struct cluster_seen *) = {
		not_accepted,	 neighbour_missing,	  cdi_missing,	 type_missing,
		creating,	 control_plane_not_ready, not_permitted, quota_exceeded,
		waiting_for_gpu, start_failure,		  rolling_out,	 waiting_for_workers,
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct verdict v = reasons[i](s);

		if (v.status) {
			return v;
		}
	}
	return verdict_yes("Ready", "the control plane answers and all workers are there");
}
