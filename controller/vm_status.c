/* SPDX-License-Identifier: Apache-2.0 */
/* What the status says beside Ready, in words that tell what is missing and who can change it. */
#include "controller/vm.h"

#include <string.h>

/* --- conditions ------------------------------------------------------------------------------- */

struct verdict vm_accepted(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const char *differences;

	if (s->accepted.status) {
		return s->accepted;
	}
	if (s->pass->trouble) {
		return verdict_no("Refused", s->pass->trouble);
	}
	if (s->adopted) {
		differences = vm_adopt_differences(s);
		return verdict_yes(
			"Adopted",
			arena_printf(
				a,
				"KubeVirt VM %s of Cozystack's chart is kept as it was found until this object changes%s%s",
				s->child.name, differences ? "; then it gets " : "",
				differences ? differences : ""));
	}
	if (s->not_handled) {
		return verdict_yes("NotHandled",
				   arena_printf(a, "accepted without effect: %s", s->not_handled));
	}
	return verdict_yes("Accepted", "every field is acted on");
}

static struct verdict available(const struct vm_seen *s)
{
	if (vm_gpus_attached(s)) {
		return verdict_yes("Attached", arena_printf(s->pass->arena, "has %s on %s",
							    gpus_wish(&s->asked), s->vmi->node));
	}
	return gpus_available(&s->asked);
}

static struct verdict permitted(const struct vm_seen *s)
{
	return gpus_permitted(&s->asked);
}

/* KubeVirt's own condition, carried up while it lasts. */
static struct verdict restart_required(const struct vm_seen *s)
{
	const struct condition *c =
		s->vm ? condition_find(&s->vm->conditions, "RestartRequired") : NULL;

	return c && str_eq(c->status, "True") ? verdict_yes("RestartRequired", c->message)
					      : verdict_none();
}

static struct verdict quota_exceeded(const struct vm_seen *s)
{
	const struct condition_list *l = s->vmi	 ? &s->vmi->conditions
					 : s->vm ? &s->vm->conditions
						 : NULL;
	const struct condition *c = condition_find(l, "Synchronized");
	bool is = c && str_eq(c->status, "False") && c->message &&
		  strstr(c->message, "exceeded quota");

	return is ? verdict_yes("QuotaExceeded", c->message) : verdict_none();
}

static const struct {
	const char *type;
	struct verdict (*is)(const struct vm_seen *s);
} conditions[] = {
	{"Ready", vm_ready},
	{"Accepted", vm_accepted},
	{"GPUsPermitted", permitted},
	{"GPUsAvailable", available},
	{"DisksReady", vm_disks_ready},
	{"RestartRequired", restart_required},
	{"QuotaExceeded", quota_exceeded},
};

static void write_conditions(const struct vm_seen *s, struct vm_status *st)
{
	const struct condition_list *old = s->app->status ? &s->app->status->conditions : NULL;

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		struct verdict v = conditions[i].is(s);
		struct condition c = {
			.type = conditions[i].type,
			.status = v.status,
			.reason = v.reason,
			.message = v.message,
			.observed_generation = s->app->obj.generation,
		};

		if (v.status) {
			condition_set(&st->conditions, old, s->pass->arena, &c, s->pass->now_ms);
		}
	}
}

/* --- GPUs ------------------------------------------------------------------------------------- */

/* What the machine has of a device goes to its spellings in their order. */
static void write_gpus(const struct vm_seen *s, struct vm_status *st)
{
	st->gpus = gpus_status(&s->asked);
	st->gpu_summary = gpus_summary(&s->asked);
	list_each(g, &st->gpus) {
		int64_t left = vm_gpus_in_machine(s, g->device_name);

		for (const struct gpu_status *before = st->gpus.items; before < g; before++) {
			left -= str_eq(before->device_name, g->device_name) ? before->allocated : 0;
		}
		g->allocated = MIN(g->count, MAX(left, (int64_t)0));
	}
}

/* --- state and places ------------------------------------------------------------------------- */

/* Reasons of Ready that are a state of their own. NULL: only while there is no VM to show its own.
 */
static const struct {
	const char *reason, *state;
	bool without_vm;
} states[] = {
	{"NotAccepted", "Failed", false},
	{"KubeVirtMissing", "Failed", false},
	{"SeveralKubeVirts", "Failed", false},
	{"InstanceTypeMissing", "Failed", false},
	{"PreferenceMissing", "Failed", false},
	{"GateOff", "Failed", false},
	{"StartFailure", "Failed", false},
	{"NotPermitted", "WaitingForGPU", false},
	{"WaitingForPermit", "WaitingForGPU", false},
	{"WaitingForGPU", "WaitingForGPU", false},
	{"WaitingForDisk", "WaitingForDisk", true},
	{"Starting", "Starting", false},
};

static const char *state_of(const struct vm_seen *s, const char *reason)
{
	const char *strategy = s->vm ? s->live : s->wanted;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (str_eq(reason, states[i].reason) && !(states[i].without_vm && s->vm)) {
			return states[i].state;
		}
	}
	if (vm_looked_at(s)) {
		return s->vm->printable_status ? s->vm->printable_status : "Stopped";
	}
	return vm_strategy_runs(strategy) ? "Starting" : "Stopped";
}

static void write_places(const struct vm_seen *s, struct vm_status *st)
{
	if (s->vm || !s->accepted.status) {
		st->virtual_machine = s->child.name;
	}
	if (s->vmi) {
		st->node = s->vmi->node;
		st->ip = s->vmi->interfaces.n ? s->vmi->interfaces.items[0].ip : NULL;
	}
	st->external_ip = vm_service_address(s);
}

/*
 * Nothing was written: what stands there of Secrets, stands there still. After a refusal nobody
 * knows how far the pass came: what it was about to write is in the status since before, and what
 * it was to delete must not go out of it.
 */
static void write_hashes(const struct vm_seen *s, struct vm_status *st)
{
	if (s->accepted.status || s->adopted || !s->kubevirt_served || s->pass->trouble) {
		if (s->app->status) {
			st->secrets_hash.items = s->app->status->secrets_hash.items;
			st->secrets_hash.n = s->app->status->secrets_hash.n;
		}
		return;
	}
	st->secrets_hash.items = s->hashes.items;
	st->secrets_hash.n = s->hashes.n;
}

void vm_status(const struct vm_seen *s, struct plan *plan)
{
	struct vm_status st = {.observed_generation = s->app->obj.generation,
			       .applied_run_strategy = s->applied};
	const struct condition *ready;

	write_conditions(s, &st);
	ready = condition_find(&st.conditions, "Ready");
	st.message = ready->message;
	st.state = state_of(s, ready->reason);
	write_gpus(s, &st);
	write_places(s, &st);
	write_hashes(s, &st);
	plan_status_of(plan, s->kind, &s->app->obj, &vm_status_type, s->app->status, &st,
		       ready->message);
}
