/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Condition Ready: the first reason of the table that holds, in the order of cases/README.md. Some
 * of them also keep the VM from being written.
 */
#include "controller/vm.h"

#include <string.h>

#include "api/resource.h"
#include "controller/start_failure.h"

/* --- what we look at -------------------------------------------------------------------------- */

bool vm_strategy_runs(const char *strategy)
{
	return !str_eq(strategy, "Halted") && !str_eq(strategy, "Manual");
}

/* KubeVirt's CRD defaults printableStatus to Stopped (kubevirt.md 5). */
static const char *shown(const struct vm_seen *s)
{
	return s->vm && s->vm->printable_status ? s->vm->printable_status : "Stopped";
}

bool vm_looked_at(const struct vm_seen *s)
{
	return s->vm && (s->vm->conditions.n || !str_eq(shown(s), "Stopped"));
}

static bool runs(const struct vm_seen *s)
{
	return str_eq(shown(s), "Running") || str_eq(shown(s), "Migrating");
}

static bool stopped(const struct vm_seen *s)
{
	return str_eq(shown(s), "Stopped");
}

/* The guest has come to its end, and the strategy lets it be. */
static bool ended(const struct vm_seen *s)
{
	if (str_eq(s->live, "Once")) {
		return vm_looked_at(s) && !s->power;
	}
	return str_eq(s->live, "RerunOnFailure") && s->vmi && !kv_vmi_lives(s->vmi);
}

/* virt-api refuses every change of a VM with hostDevices while the gate is off. */
bool vm_frozen(const struct vm_seen *s)
{
	return s->vm && s->vm->host_devices.n && s->cr.config && !s->cr.gate;
}

/* The VM is not there, or is to be changed: what is missing keeps it back. */
static bool kept_back(const struct vm_seen *s)
{
	return !s->vm || s->differs;
}

/* Conditions of the VMI are copied to the VM; the original is newer. */
static const struct condition *said(const struct vm_seen *s, const char *type)
{
	const struct condition *c = s->vmi ? condition_find(&s->vmi->conditions, type) : NULL;

	return c ? c : condition_find(&s->vm->conditions, type);
}

static const char *message_of(const struct condition *c, const char *otherwise)
{
	return c && !str_empty(c->message) ? c->message : otherwise;
}

/* KubeVirt could not make the pod, with this text in its words. */
static struct verdict not_created(const struct vm_seen *s, const char *text, const char *reason)
{
	const struct condition *c = said(s, "Synchronized");
	bool is = c && str_eq(c->status, "False") && c->message && strstr(c->message, text);

	return is ? verdict_no(reason, c->message) : verdict_none();
}

/* --- reasons, in the order in which they are told -----------------------------------------------
 */

static struct verdict not_accepted(const struct vm_seen *s)
{
	struct verdict v = vm_accepted(s);

	return str_eq(v.status, "False") ? verdict_no("NotAccepted", v.message) : verdict_none();
}

static struct verdict kubevirt_missing(const struct vm_seen *s)
{
	if (!s->kubevirt_served) {
		return verdict_no(
			"KubeVirtMissing",
			"the API kubevirt.io is not served: an administrator must install KubeVirt");
	}
	return s->devices.n && !s->cr.n
		       ? verdict_no(
				 "KubeVirtMissing",
				 "there is no KubeVirt CR: an administrator must install KubeVirt")
		       : verdict_none();
}

static struct verdict several_kubevirts(const struct vm_seen *s)
{
	return s->devices.n && s->cr.n > 1
		       ? verdict_no("SeveralKubeVirts", gpus_permitted(&s->asked).message)
		       : verdict_none();
}

static struct verdict terminating(const struct vm_seen *s)
{
	return s->vm && s->vm->obj.deleting
		       ? verdict_no(
				 "Terminating",
				 "the KubeVirt VM is being deleted; it is made anew when it has gone")
		       : verdict_none();
}

static struct verdict type_missing(const struct vm_seen *s)
{
	if (!kept_back(s) || !s->type_name || s->type) {
		return verdict_none();
	}
	return verdict_no(
		"InstanceTypeMissing",
		arena_printf(
			s->pass->arena,
			"there is no VirtualMachineClusterInstancetype %s: choose another instanceType, or have an "
			"administrator make it",
			s->type_name));
}

static struct verdict profile_missing(const struct vm_seen *s)
{
	if (!kept_back(s) || s->profile_exists) {
		return verdict_none();
	}
	return verdict_no(
		"PreferenceMissing",
		arena_printf(
			s->pass->arena,
			"there is no VirtualMachineClusterPreference %s: choose another instanceProfile, or have an "
			"administrator make it",
			s->profile_name));
}

static struct verdict waiting_for_disk(const struct vm_seen *s)
{
	return kept_back(s) && vm_disks_wait(s)
		       ? verdict_no("WaitingForDisk", vm_disks_ready(s).message)
		       : verdict_none();
}

/* KubeVirt looks once and then not for a long time (kubevirt.md 1), so the name comes first. A VM
 * that is there takes a restart anyway. */
static struct verdict waiting_for_permit(const struct vm_seen *s)
{
	struct verdict v;

	if (s->vm) {
		return verdict_none();
	}
	v = gpus_permitted(&s->asked);
	return str_eq(v.reason, "Registering") ? verdict_no("WaitingForPermit", v.message)
					       : verdict_none();
}

/* Of its power too. */
static struct verdict gate_off(const struct vm_seen *s)
{
	if (!vm_frozen(s) || !(s->differs || s->power)) {
		return verdict_none();
	}
	return verdict_no(
		"GateOff",
		arena_printf(
			s->pass->arena,
			"the VM has its GPUs in hostDevices and KubeVirt's feature gate HostDevices is off, so KubeVirt would "
			"refuse any change: an administrator must switch the gate on, or the VM be deleted, so that it is "
			"made anew with gpus (kubectl delete vm.kubevirt.io %s)",
			s->child.name));
}

static struct verdict updating(const struct vm_seen *s)
{
	return s->updating ? verdict_no("Updating",
					"the KubeVirt VM is being given what the manifest says")
			   : verdict_none();
}

static struct verdict creating(const struct vm_seen *s)
{
	return !s->vm && !vm_strategy_runs(s->wanted)
		       ? verdict_no("Creating", "the KubeVirt VM is being made")
		       : verdict_none();
}

/* KubeVirt tried, and says why not: printableStatus is Stopped then as if nobody had. */
static bool failed_to_start(const struct vm_seen *s)
{
	return s->vm && (condition_is(&s->vm->conditions, "Failure", "True") ||
			 (s->vm->start_failure && s->vm->start_failure->count));
}

/*
 * The same words from the moment that the VM is made until KubeVirt says something: nothing is
 * written in between.
 */
static struct verdict starting(const struct vm_seen *s)
{
	bool should =
		vm_strategy_runs(s->live) && (vm_strategy_runs(s->wanted) || !vm_looked_at(s));

	if (s->vm && (!stopped(s) || !should || ended(s) || failed_to_start(s))) {
		return verdict_none();
	}
	return verdict_no("Starting", "KubeVirt is to start it");
}

static struct verdict restart_required(const struct vm_seen *s)
{
	const struct condition *c = condition_find(&s->vm->conditions, "RestartRequired");

	if (!runs(s) || !c || !str_eq(c->status, "True")) {
		return verdict_none();
	}
	return verdict_no(
		"RestartRequired",
		arena_printf(s->pass->arena,
			     "%s; it takes effect when the VM is restarted: virtctl restart %s",
			     message_of(c, "a change waits"), s->child.name));
}

static struct verdict running(const struct vm_seen *s)
{
	if (!runs(s)) {
		return verdict_none();
	}
	return verdict_yes("Running",
			   s->vmi && s->vmi->node
				   ? arena_printf(s->pass->arena, "runs on %s", s->vmi->node)
				   : "runs");
}

static struct verdict stopped_by_user(const struct vm_seen *s)
{
	bool is = stopped(s) && vm_strategy_runs(s->wanted) && !vm_strategy_runs(s->live);

	return is ? verdict_yes(
			    "StoppedByUser",
			    arena_printf(s->pass->arena,
					 "was stopped through KubeVirt: virtctl start %s starts it",
					 s->child.name))
		  : verdict_none();
}

static struct verdict stopped_as_asked(const struct vm_seen *s)
{
	if (!stopped(s) || (vm_strategy_runs(s->wanted) && !ended(s))) {
		return verdict_none();
	}
	return verdict_yes("Stopped",
			   vm_strategy_runs(s->wanted)
				   ? arena_printf(s->pass->arena,
						  "the guest has ended (runStrategy %s)", s->live)
				   : "is stopped, as asked");
}

/* KubeVirt's phases before the guest is there. */
static bool waits(const struct kv_vmi *v)
{
	static const char *const phases[] = {"Pending", "Scheduling", "Scheduled"};
	bool is = str_empty(v->phase);

	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		is |= str_eq(v->phase, phases[i]);
	}
	return is;
}

/*
 * The machine waits as an older manifest made it; KubeVirt changes it no more, though it never ran
 * and the manifest may have been mended meanwhile.
 */
static struct verdict never_ran(const struct vm_seen *s)
{
	if (!condition_is(&s->vm->conditions, "RestartRequired", "True") || !s->vmi ||
	    !waits(s->vmi)) {
		return verdict_none();
	}
	return verdict_no(
		"RestartRequired",
		arena_printf(s->pass->arena,
			     "the machine waits as an older manifest made it: virtctl restart %s "
			     "makes it anew from the present one",
			     s->child.name));
}

/* What we know of the GPUs before KubeVirt's words of them. */
static const char *in_our_words(const struct vm_seen *s, const char *theirs)
{
	struct verdict v;

	if (!s->asked.n) {
		return theirs;
	}
	v = gpus_available(&s->asked);
	if (!str_eq(v.status, "False")) {
		v = gpus_permitted(&s->asked);
	}
	return str_eq(v.status, "False")
		       ? arena_printf(s->pass->arena, "%s (KubeVirt: %s)", v.message, theirs)
		       : theirs;
}

static struct verdict not_permitted(const struct vm_seen *s)
{
	struct verdict v = not_created(s, "not permitted", "NotPermitted");

	return v.status ? verdict_no(v.reason, in_our_words(s, v.message)) : v;
}

static struct verdict quota_exceeded(const struct vm_seen *s)
{
	return not_created(s, "exceeded quota", "QuotaExceeded");
}

static struct verdict unschedulable(const struct vm_seen *s)
{
	const struct condition *c = said(s, "PodScheduled");
	const char *why = message_of(c, "the scheduler finds no node");
	bool gpu = false;

	if (!str_eq(shown(s), "ErrorUnschedulable") &&
	    !(c && str_eq(c->status, "False") && str_eq(c->reason, "Unschedulable"))) {
		return verdict_none();
	}
	for (size_t i = 0; i < s->devices.n; i++) {
		gpu |= strstr(why, s->devices.items[i].device) != NULL;
	}
	gpu |= s->devices.companions && strstr(why, RESOURCE_COMPANION);
	return gpu ? verdict_no("WaitingForGPU", in_our_words(s, why))
		   : verdict_no("Unschedulable", why);
}

static struct verdict start_failure(const struct vm_seen *s)
{
	const char *words = start_failure_words(s->vm, s->pass->arena);

	return words ? verdict_no("StartFailure", words) : verdict_none();
}

static struct verdict as_kubevirt_says(const struct vm_seen *s)
{
	return verdict_no(shown(s), arena_printf(s->pass->arena, "KubeVirt says %s", shown(s)));
}

/* From `restart_required` on the VM is there. */
static const struct {
	struct verdict (*is)(const struct vm_seen *s);
	bool holds;
} reasons[] = {
	{not_accepted, false},	   {kubevirt_missing, true},   {several_kubevirts, true},
	{terminating, true},	   {type_missing, true},       {profile_missing, true},
	{waiting_for_disk, true},  {waiting_for_permit, true}, {gate_off, true},
	{updating, false},	   {creating, false},	       {starting, false},
	{restart_required, false}, {running, false},	       {stopped_by_user, false},
	{stopped_as_asked, false}, {never_ran, false},	       {not_permitted, false},
	{quota_exceeded, false},   {unschedulable, false},     {start_failure, false},
	{as_kubevirt_says, false},
};

struct verdict vm_held(const struct vm_seen *s)
{
	struct verdict v = verdict_none();

	for (size_t i = 0; i < ARRAY_LEN(reasons) && !v.status; i++) {
		v = reasons[i].holds ? reasons[i].is(s) : v;
	}
	return v;
}

struct verdict vm_ready(const struct vm_seen *s)
{
	struct verdict v = verdict_none();

	for (size_t i = 0; i < ARRAY_LEN(reasons) && !v.status; i++) {
		v = reasons[i].is(s);
	}
	return v;
}
