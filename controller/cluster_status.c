/* SPDX-License-Identifier: Apache-2.0 */
/* What the object's status says: conditions but Ready, and numbers. */
#include "controller/cluster.h"

#include <string.h>

/* --- conditions ------------------------------------------------------------------------------- */

static struct verdict accepted(const struct cluster_seen *s)
{
	if (s->accepted.status) {
		return s->accepted;
	}
	if (s->pass->trouble) {
		return verdict_no("Refused", s->pass->trouble);
	}
	if (s->not_handled) {
		return verdict_yes("NotHandled",
				   arena_printf(s->pass->arena, "accepted without effect: %s",
						s->not_handled));
	}
	return verdict_yes("Accepted", "every field is acted on");
}

/* All GPUs of all workers that are wanted now are theirs. */
static bool attached(const struct cluster_seen *s)
{
	struct gpus_device_list devices = gpus_devices(&s->total);
	int64_t wanted = 0;

	list_each(d, &devices) {
		wanted += d->count;
		if (cluster_allocated(s, d->device) < d->count) {
			return false;
		}
	}
	return wanted > 0;
}

/* What keeps a worker longest is said first. */
static int badness(const struct verdict *v)
{
	static const char *const worst_first[] = {"NoGPUNodes", "UnknownName", "TooMany",
						  "NoneFree"};

	for (size_t i = 0; i < ARRAY_LEN(worst_first); i++) {
		if (str_eq(v->reason, worst_first[i])) {
			return (int)(ARRAY_LEN(worst_first) - i);
		}
	}
	return 0;
}

/* For one more worker of each group. */
static struct verdict available(const struct cluster_seen *s)
{
	struct verdict worst = verdict_none();

	if (!s->total.n) {
		return verdict_none();
	}
	if (attached(s)) {
		return verdict_yes("Attached", "all GPUs of all workers are attached");
	}
	for (size_t i = 0; i < s->n_groups; i++) {
		struct verdict v = gpus_available(&s->groups[i].asked);

		if (v.status && (!worst.status || badness(&v) > badness(&worst))) {
			worst = v;
		}
	}
	return worst;
}

static void set(const struct cluster_seen *s, struct cluster_status *st, const char *type,
		struct verdict v)
{
	const struct condition_list *old = s->app->status ? &s->app->status->conditions : NULL;
	struct condition c = {
		.type = type,
		.status = v.status,
		.reason = v.reason,
		.message = v.message,
		.observed_generation = s->app->obj.generation,
	};

	if (v.status) {
		condition_set(&st->conditions, old, s->pass->arena, &c, s->pass->now_ms);
	}
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void write_groups(const struct cluster_seen *s, struct cluster_status *st)
{
	st->node_groups.items = arena_array(s->pass->arena, struct node_group_status, s->n_groups);
	for (size_t i = 0; i < s->n_groups; i++) {
		const struct cluster_group *g = &s->groups[i];

		st->node_groups.items[st->node_groups.n++] = (struct node_group_status){
			.name = g->key,
			.desired = g->desired,
			.ready = g->ready,
			.waiting_for_gpu = g->waiting,
		};
		st->nodes += g->ready;
		st->gpu_nodes += g->devices.n ? g->ready : 0;
	}
}

static void write_gpus(const struct cluster_seen *s, struct cluster_status *st)
{
	st->gpus = gpus_status(&s->total);
	list_each(g, &st->gpus) {
		g->allocated = cluster_allocated(s, g->device_name);
	}
	st->gpu_summary = gpus_summary(&s->total);
}

static const char *state_word(const struct verdict *r)
{
	static const struct {
		const char *reason, *state;
	} words[] = {
		{"Ready", "Running"},
		{"Creating", "Starting"},
		{"ControlPlaneNotReady", "Starting"},
		{"QuotaExceeded", "Starting"},
		{"NotPermitted", "WaitingForGPU"},
		{"WaitingForGPU", "WaitingForGPU"},
		{"RollingOut", "Updating"},
		{"WaitingForWorkers", "Starting"},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq(words[i].reason, r->reason)) {
			return words[i].state;
		}
	}
	return "Failed";
}

void cluster_status(const struct cluster_seen *s, struct plan *plan)
{
	const struct condition *quota = cluster_quota(s);
	bool made = s->cluster_ours || cluster_writes(s);
	struct verdict ready = cluster_ready(s);
	struct cluster_status st = {
		.observed_generation = s->app->obj.generation,
		.state = state_word(&ready),
		.message = condition_text(s->pass->arena, ready.message),
	};

	if (made) {
		st.kubeconfig_secret =
			arena_printf(s->pass->arena, "%s-admin-kubeconfig", s->child.name);
	}
	set(s, &st, "Ready", ready);
	set(s, &st, "Accepted", accepted(s));
	set(s, &st, "GPUsPermitted", gpus_permitted(&s->total));
	set(s, &st, "GPUsAvailable", available(s));
	if (quota) {
		set(s, &st, "QuotaExceeded", verdict_yes("QuotaExceeded", quota->message));
	}
	write_groups(s, &st);
	write_gpus(s, &st);
	plan_status_of(plan, &kind_kubernetes, &s->app->obj, &cluster_status_type, s->app->status,
		       &st, ready.message);
}
