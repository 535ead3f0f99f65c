/* SPDX-License-Identifier: Apache-2.0 */
/* What the object's status says, in words that tell the user what is missing and who can change it (table in cases/README.md). */
#include "controller/vm.h"

#include <string.h>

static const struct condition *condition_of(const struct condition_list *l, const char *type)
{
	list_each(c, l) {
		if (str_eq(c->type, type)) {
			return c;
		}
	}
	return NULL;
}

static bool failed_with(const struct condition *c, const char *status, const char *text)
{
	return c && str_eq(c->status, status) && c->message && strstr(c->message, text);
}

/* --- Ready ----------------------------------------------------------------------------------------------- */

static bool wants_to_run(const char *strategy)
{
	return !str_eq(strategy, "Halted") && !str_eq(strategy, "Manual");
}

static struct vm_state no(const char *reason, const char *message)
{
	return (struct vm_state){"False", reason, message};
}

/* Reasons that lie in ourselves or in what is not installed. */
static struct vm_state not_written(const struct vm_seen *s)
{
	struct vm_state permitted = vm_gpus_permitted(s);

	if (s->accepted.reason) {
		return no("NotAccepted", s->accepted.message);
	}
	if (!s->kubevirt_served || (!s->kubevirts && !s->vm)) {
		return no("KubeVirtMissing", s->kubevirt_served ? "there is no deployed KubeVirt CR: install KubeVirt" : "KubeVirt is not installed: its CRDs are absent");
	}
	if (s->kubevirts > 1 && s->n_gpus && !s->vm) {
		return no("SeveralKubeVirts", "more than one KubeVirt CR is deployed: remove all but one");
	}
	if (s->vm) {
		return (struct vm_state){0};
	}
	if (s->n_gpus && str_eq(permitted.reason, "Registering")) {
		return no("WaitingForPermit", permitted.message);
	}
	if (vm_disks_wait(s)) {
		return no("WaitingForDisk", vm_disks_ready(s).message);
	}
	return (struct vm_state){0};
}

/* The first of KubeVirt's own troubles, most telling first (kubevirt.md 5). */
static struct vm_state kubevirt_trouble(const struct vm_seen *s)
{
	const struct condition_list *of_vm = &s->vm->conditions, *of_vmi = s->vmi ? &s->vmi->conditions : of_vm;
	const struct condition *sync = condition_of(of_vmi, "Synchronized"), *failure = condition_of(of_vm, "Failure");
	const struct condition *scheduled = condition_of(of_vmi, "PodScheduled");
	struct arena *a = s->pass->arena;

	if (failed_with(sync, "False", "not permitted")) {
		return no("NotPermitted", sync->message);
	}
	if (failed_with(sync, "False", "exceeded quota")) {
		return no("QuotaExceeded", sync->message);
	}
	if (str_eq(s->vm->printable_status, "ErrorUnschedulable") || failed_with(scheduled, "False", "Insufficient")) {
		const char *why = scheduled && scheduled->message ? scheduled->message : "the scheduler finds no node";
		bool gpu = false;

		for (size_t i = 0; i < s->n_gpus; i++) {
			gpu |= strstr(why, s->gpus[i].device) != NULL;
		}
		return no(gpu ? "WaitingForGPU" : "Unschedulable", why);
	}
	if (failure && str_eq(failure->status, "True")) {
		return no("StartFailure", failure->message);
	}
	if (s->vm->start_failure && s->vm->start_failure->count) {
		return no("StartFailure", arena_printf(a, "the VM failed to start %lld times in a row; KubeVirt tries again%s%s",
						       (long long)s->vm->start_failure->count, s->vm->start_failure->retry_after ? " at " : "",
						       s->vm->start_failure->retry_after ? s->vm->start_failure->retry_after : ""));
	}
	return (struct vm_state){0};
}

/* KubeVirt's CRD defaults printableStatus to Stopped before anybody has looked (kubevirt.md 5). */
static bool looked_at(const struct vm_seen *s)
{
	return s->vm->conditions.n > 0 || !str_eq(s->vm->printable_status, "Stopped");
}

static struct vm_state running_state(const struct vm_seen *s)
{
	const struct condition *restart = condition_of(&s->vm->conditions, "RestartRequired");
	const char *shown = s->vm->printable_status ? s->vm->printable_status : "Stopped";
	const char *live = s->live_strategy ? s->live_strategy : s->run_strategy;
	struct arena *a = s->pass->arena;

	if (str_eq(shown, "Running") || str_eq(shown, "Migrating")) {
		if (restart && str_eq(restart->status, "True")) {
			return no("RestartRequired", arena_printf(a, "%s; it takes effect when the VM is restarted (virtctl restart %s)", restart->message, s->child.name));
		}
		return (struct vm_state){"True", "Running", s->vmi && s->vmi->node ? arena_printf(a, "running on %s", s->vmi->node) : "running"};
	}
	if (str_eq(shown, "Stopped")) {
		if (!wants_to_run(s->run_strategy) && !wants_to_run(live)) {
			return (struct vm_state){"True", "Stopped", "stopped, as asked"};
		}
		if (!wants_to_run(live)) {
			return (struct vm_state){"True", "StoppedByUser", arena_printf(a, "stopped through KubeVirt; virtctl start %s starts it", s->child.name)};
		}
		if (!looked_at(s)) {
			return no("Starting", "KubeVirt has not looked at the VM yet");
		}
		if (str_eq(live, "Once") || str_eq(live, "RerunOnFailure")) {
			return (struct vm_state){"True", "Stopped", arena_printf(a, "the guest has ended (runStrategy %s)", live)};
		}
	}
	return no(shown, arena_printf(a, "KubeVirt says: %s", shown));
}

static struct vm_state ready(const struct vm_seen *s)
{
	struct vm_state state = not_written(s);

	if (state.status) {
		return state;
	}
	if (!s->vm) {
		if (s->type_name && !s->type) {
			return no("InstanceTypeMissing", arena_printf(s->pass->arena, "there is no VirtualMachineClusterInstancetype %s", s->type_name));
		}
		if (s->profile_name && !s->profile_exists) {
			return no("PreferenceMissing", arena_printf(s->pass->arena, "there is no VirtualMachineClusterPreference %s", s->profile_name));
		}
		return wants_to_run(s->run_strategy) ? no("Starting", "the KubeVirt VM is being made") : no("Creating", "the KubeVirt VM is being made");
	}
	state = kubevirt_trouble(s);
	return state.status ? state : running_state(s);
}

/* --- the whole ------------------------------------------------------------------------------------------- */

static struct vm_state accepted(const struct vm_seen *s)
{
	if (s->accepted.reason) {
		return (struct vm_state){"False", s->accepted.reason, s->accepted.message};
	}
	if (s->pass->trouble) {
		return (struct vm_state){"False", "Refused", s->pass->trouble};
	}
	if (s->vm_whose == CHILD_HELM) {
		return (struct vm_state){"True", "Adopted", arena_printf(s->pass->arena, "KubeVirt VM %s, made by Cozystack, is kept as it was found", s->child.name)};
	}
	if (s->not_handled) {
		return (struct vm_state){"True", "NotHandled", arena_printf(s->pass->arena, "accepted without effect: %s", s->not_handled)};
	}
	return (struct vm_state){"True", "Accepted", "every field is acted on"};
}

static void set(const struct vm_seen *s, struct vm_status *st, const char *type, struct vm_state state)
{
	if (state.status) {
		condition_set(&st->conditions, s->app->status ? &s->app->status->conditions : NULL, s->pass->arena,
			      &(struct condition){.type = type, .status = state.status, .reason = state.reason, .message = state.message,
						  .observed_generation = s->app->obj.generation},
			      s->pass->now_ms);
	}
}

static void mirrored(const struct vm_seen *s, struct vm_status *st)
{
	const struct condition *restart = s->vm ? condition_of(&s->vm->conditions, "RestartRequired") : NULL;
	const struct condition *sync = s->vmi ? condition_of(&s->vmi->conditions, "Synchronized") : s->vm ? condition_of(&s->vm->conditions, "Synchronized") : NULL;

	if (restart && str_eq(restart->status, "True")) {
		set(s, st, "RestartRequired", (struct vm_state){"True", "RestartRequired", restart->message});
	}
	if (failed_with(sync, "False", "exceeded quota")) {
		set(s, st, "QuotaExceeded", (struct vm_state){"True", "QuotaExceeded", sync->message});
	}
}

static int64_t allocated(const struct vm_seen *s, const char *device)
{
	int64_t n = 0;

	if (!s->vmi || !s->vmi->node) {
		return 0;
	}
	list_each(g, &s->vmi->gpus) {
		n += str_eq(g->device_name, device);
	}
	list_each(h, &s->vmi->host_devices) {
		n += str_eq(h->device_name, device);
	}
	return n;
}

static void write_gpus(const struct vm_seen *s, struct vm_status *st)
{
	struct arena *a = s->pass->arena;
	const char *summary = NULL;

	st->gpus.items = arena_array(a, struct gpu_status, s->n_gpus);
	for (size_t i = 0; i < s->n_gpus; i++) {
		struct gpu_status *g = NULL;

		for (size_t k = 0; k < st->gpus.n && !g; k++) {
			g = str_eq(st->gpus.items[k].name, s->gpus[i].asked) ? &st->gpus.items[k] : NULL;
		}
		if (!g) {
			g = &st->gpus.items[st->gpus.n++];
			*g = (struct gpu_status){.name = s->gpus[i].asked, .device_name = s->gpus[i].device,
						 .permitted = vm_gpus_listed(s, s->gpus[i].device), .allocated = allocated(s, s->gpus[i].device)};
		}
		g->count++;
	}
	list_each(g, &st->gpus) {
		summary = arena_printf(a, "%s%s%lldx %s", summary ? summary : "", summary ? ", " : "", (long long)g->count,
				       inventory_human(&s->inventory, g->device_name));
	}
	st->gpu_summary = summary;
}

static const char *state_word(const struct vm_seen *s, const struct vm_state *ready_)
{
	static const char *const failed[] = {"NotAccepted", "NotPermitted", "QuotaExceeded", "StartFailure", "Refused"};

	for (size_t i = 0; i < ARRAY_LEN(failed); i++) {
		if (str_eq(ready_->reason, failed[i])) {
			return "Failed";
		}
	}
	if (str_eq(ready_->reason, "WaitingForGPU") || str_eq(ready_->reason, "WaitingForDisk")) {
		return ready_->reason;
	}
	if (s->vm && (looked_at(s) || !wants_to_run(s->live_strategy ? s->live_strategy : s->run_strategy))) {
		return s->vm->printable_status ? s->vm->printable_status : "Stopped";
	}
	return wants_to_run(s->run_strategy) ? "Starting" : "Stopped";
}

static void write_place(const struct vm_seen *s, struct vm_status *st)
{
	if (s->vm && s->vm_whose != CHILD_TAKEN) {
		st->virtual_machine = s->child.name;
	} else if (!s->accepted.reason && !s->pass->trouble && s->will_create) {
		st->virtual_machine = s->child.name;
	}
	if (s->vmi) {
		st->node = s->vmi->node;
		st->ip = s->vmi->interfaces.n ? s->vmi->interfaces.items[0].ip : NULL;
	}
	if (s->service && s->service->ingress.n) {
		st->external_ip = s->service->ingress.items[0].ip ? s->service->ingress.items[0].ip : s->service->ingress.items[0].hostname;
	}
}

void vm_status(const struct vm_seen *s, struct plan *plan)
{
	static const struct vm_status empty;
	const struct vm_status *old = s->app->status ? s->app->status : &empty;
	struct vm_state ready_ = ready(s);
	struct vm_status st = {
		.observed_generation = s->app->obj.generation, .message = ready_.message, 
		.applied_run_strategy = s->applied_strategy ? s->applied_strategy : old->applied_run_strategy,
	};

	if (s->pass->trouble) {
		ready_ = no("Refused", s->pass->trouble);
		st.message = ready_.message;
	}
	st.state = state_word(s, &ready_);
	set(s, &st, "Ready", ready_);
	set(s, &st, "Accepted", accepted(s));
	set(s, &st, "GPUsPermitted", vm_gpus_permitted(s));
	set(s, &st, "GPUsAvailable", vm_gpus_available(s));
	set(s, &st, "DisksReady", vm_disks_ready(s));
	mirrored(s, &st);
	write_gpus(s, &st);
	write_place(s, &st);
	st.secrets_hash.items = arena_array(s->pass->arena, struct pair, 2);
	memcpy(st.secrets_hash.items, s->secrets, sizeof(s->secrets));
	st.secrets_hash.n = s->n_secrets;
	plan_status_of(plan, s->kind, &s->app->obj, &vm_status_type, s->app->status, &st, ready_.message);
}
