/* SPDX-License-Identifier: Apache-2.0 */
/* Condition Ready of a VM that is there: each of KubeVirt's words, alone and beside another. */
#include "controller/vm.h"

#include "base/test.h"
#include "controller/kinds.h"

#define CARD "example.com/CARD"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct vm_app app;
static struct kv_vm vm;
static struct kv_vmi vmi;
static struct kv_start_failure failure;
static struct device device;
static struct vm_seen s;

struct row {
	const char *shown, *wanted, *live;
	struct condition vm, vmi; /* the one that it has */
	int64_t failures;
	const char *reason, *message;
	const char *phase; /* of the machine; NULL: there is none, unless it has a condition */
	bool gpu, power;
};

static void see(const struct row *r)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	app = (struct vm_app){.obj = {.ns = "t", .name = "a"}};
	failure = (struct kv_start_failure){.count = r->failures};
	vm = (struct kv_vm){.printable_status = r->shown, .start_failure = &failure};
	vm.conditions.items = (struct condition *)(uintptr_t)&r->vm;
	vm.conditions.n = r->vm.type != NULL;
	vmi = (struct kv_vmi){.phase = r->phase ? r->phase : "Scheduling"};
	vmi.conditions.items = (struct condition *)(uintptr_t)&r->vmi;
	vmi.conditions.n = r->vmi.type != NULL;
	device = (struct device){.device = CARD};
	s = (struct vm_seen){
		.pass = &pass,
		.kind = &kind_vm_instance,
		.app = &app,
		.child.name = "vm-instance-a",
		.is_instance = true,
		.kubevirt_served = true,
		.cdi_served = true,
		.vm = &vm,
		.vmi = r->phase || r->vmi.type ? &vmi : NULL,
		.vm_whose = CHILD_OURS,
		.profile_exists = true,
		.wanted = r->wanted ? r->wanted : "Always",
		.live = r->live	    ? r->live
			: r->wanted ? r->wanted
				    : "Always",
		.power = r->power,
		.devices = {&device, r->gpu},
		.cr = {.n = r->gpu},
	};
}

#define COND(t, st, re, me)                                                                        \
	{                                                                                          \
		.type = t, .status = st, .reason = re, .message = me                               \
	}
#define FULL COND("PodScheduled", "False", "Unschedulable", "Insufficient memory")

static const struct row rows[] = {
	{.shown = "Running", .reason = "Running", .message = "runs"},
	{.shown = "Migrating", .reason = "Running"},
	{.shown = "Paused", .reason = "Paused", .message = "KubeVirt says Paused"},
	{.shown = NULL, .reason = "Starting"},
	{.shown = "Stopped", .reason = "Starting"},
	{.shown = "Starting", .reason = "Starting", .message = "KubeVirt says Starting"},

	{.shown = "Stopped", .wanted = "Halted", .reason = "Stopped"},
	{.shown = "Stopped", .wanted = "Manual", .reason = "Stopped"},
	{.shown = "Stopped", .live = "Halted", .reason = "StoppedByUser"},
	{.shown = "Stopped", .live = "Manual", .reason = "StoppedByUser"},
	{.shown = "Stopping", .live = "Halted", .reason = "Stopping"},
	{.shown = "Stopped",
	 .wanted = "RerunOnFailure",
	 .phase = "Succeeded",
	 .reason = "Stopped",
	 .message = "the guest has ended (runStrategy RerunOnFailure)"},
	{.shown = "Stopped", .wanted = "RerunOnFailure", .phase = "Running", .reason = "Starting"},
	{.shown = "Stopped", .wanted = "RerunOnFailure", .reason = "Starting"},
	{.shown = "Stopped",
	 .wanted = "Once",
	 .vm = COND("Ready", "False", "x", "x"),
	 .reason = "Stopped"},
	{.shown = "Stopped",
	 .wanted = "Once",
	 .vm = COND("Ready", "False", "x", "x"),
	 .power = true,
	 .reason = "Starting"},
	{.shown = "Stopped", .wanted = "Once", .reason = "Starting"},

	{.shown = "Running",
	 .vm = COND("RestartRequired", "True", "x", "cores differ"),
	 .reason = "RestartRequired",
	 .message = "cores differ; it takes effect"},
	{.shown = "Running",
	 .vm = COND("RestartRequired", "True", "x", NULL),
	 .reason = "RestartRequired",
	 .message = "a change waits; it takes effect"},
	{.shown = "Running", .vm = COND("RestartRequired", "False", "x", "x"), .reason = "Running"},
	{.shown = "Stopped",
	 .wanted = "Halted",
	 .vm = COND("RestartRequired", "True", "x", "x"),
	 .reason = "Stopped"},

#define MENDED .vm = COND("RestartRequired", "True", "x", "x"), .shown = "Starting"
	{MENDED, .phase = "", .reason = "RestartRequired",
	 .message = "the machine waits as an older"},
	{MENDED, .phase = "Pending", .reason = "RestartRequired", .message = "the machine waits"},
	{MENDED, .phase = "Scheduling", .reason = "RestartRequired",
	 .message = "the machine waits"},
	{MENDED, .phase = "Scheduled", .reason = "RestartRequired", .message = "the machine waits"},
	{MENDED, .phase = "Running", .reason = "Starting"},
	{MENDED, .phase = "Failed", .reason = "Starting"},
	{MENDED, .reason = "Starting"},
	{.shown = "Starting",
	 .vm = COND("RestartRequired", "False", "x", "x"),
	 .phase = "Pending",
	 .reason = "Starting"},

	{.shown = "Starting", .vmi = FULL, .reason = "Unschedulable", .message = "memory"},
	{.shown = "Starting", .vm = FULL, .reason = "Unschedulable", .message = "memory"},
	{.shown = "Starting",
	 .vm = FULL,
	 .vmi = COND("PodScheduled", "True", "x", "x"),
	 .reason = "Starting"},
	{.shown = "Starting",
	 .vmi = COND("PodScheduled", "False", "Other", "x"),
	 .reason = "Starting"},
	{.shown = "Starting",
	 .vmi = COND("PodScheduled", "True", "Unschedulable", "x"),
	 .reason = "Starting"},
	{.shown = "ErrorUnschedulable",
	 .reason = "Unschedulable",
	 .message = "the scheduler finds no node"},
	{.shown = "ErrorUnschedulable",
	 .vmi = COND("PodScheduled", "False", "Unschedulable", "Insufficient " CARD),
	 .gpu = true,
	 .reason = "WaitingForGPU",
	 .message = "Insufficient " CARD},
	{.shown = "ErrorUnschedulable",
	 .vmi = COND("PodScheduled", "False", "Unschedulable", "Insufficient " CARD),
	 .reason = "Unschedulable"},

	{.shown = "Starting",
	 .vmi = COND("Synchronized", "False", "FailedCreate", "x exceeded quota: y"),
	 .reason = "QuotaExceeded",
	 .message = "x exceeded quota: y"},
	{.shown = "Starting",
	 .vmi = COND("Synchronized", "False", "FailedCreate", "x is not permitted in y"),
	 .reason = "NotPermitted",
	 .message = "x is not permitted in y"},
	{.shown = "Starting",
	 .vmi = COND("Synchronized", "True", "x", "exceeded quota, not permitted"),
	 .reason = "Starting"},
	{.shown = "Starting",
	 .vmi = COND("Synchronized", "False", "x", NULL),
	 .reason = "Starting"},

	{.shown = "CrashLoopBackOff",
	 .failures = 3,
	 .reason = "StartFailure",
	 .message = "KubeVirt could not start it; failed 3 times in a row"},
	{.shown = "Stopped", .failures = 1, .reason = "StartFailure"},
	{.shown = "Stopped",
	 .vm = COND("Failure", "True", "x", "no such disk"),
	 .reason = "StartFailure",
	 .message = "no such disk"},
	{.shown = "Stopped",
	 .vm = COND("Failure", "True", "x", "no such disk"),
	 .failures = 2,
	 .reason = "StartFailure",
	 .message = "no such disk; failed 2 times in a row"},
	{.shown = "Stopped",
	 .vm = COND("Failure", "False", "x", "no such disk"),
	 .reason = "Starting"},
};

static void the_first_that_holds_is_said(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct verdict v;

		see(&rows[i]);
		v = vm_ready(&s);
		if (!str_eq(v.reason, rows[i].reason)) {
			printf("# row %zu\n", i);
		}
		is_str(v.reason, rows[i].reason);
		if (rows[i].message) {
			has(v.message, rows[i].message);
		}
	}
}

static void one_that_is_not_there(void)
{
	const struct row row = {.shown = NULL};

	see(&row);
	s.vm = NULL;
	is_str(vm_ready(&s).reason, "Starting");
	s.wanted = s.live = "Halted";
	is_str(vm_ready(&s).reason, "Creating");
	s.kubevirt_served = false;
	is_str(vm_ready(&s).reason, "KubeVirtMissing");
}

/* Only one that has hostDevices, while the gate of a CR that is there is off, and for a change. */
static void a_gate_that_is_off(void)
{
	static const struct row row = {.shown = "Running"};
	static struct kv_gpu gpu = {"gpu1", CARD};
	static const struct kv_config config;

	for (int i = 0; i < 32; i++) {
		see(&row);
		vm.host_devices.items = &gpu;
		vm.host_devices.n = i & 1;
		s.cr.config = i & 2 ? &config : NULL;
		s.cr.gate = !(i & 4);
		s.differs = i & 8;
		s.power = i & 16;
		is_str(vm_ready(&s).reason,
		       (i & 7) == 7 && (s.differs || s.power) ? "GateOff" : "Running");
	}
}

static void where_it_runs(void)
{
	static const struct row row = {.shown = "Running", .phase = "Running"};

	see(&row);
	is_str(vm_ready(&s).message, "runs");
	vmi.node = "gpu-a";
	is_str(vm_ready(&s).message, "runs on gpu-a");
	s.vmi = NULL;
	is_str(vm_ready(&s).message, "runs");
}

/* What is missing keeps back one that is not there or is to change, no other. */
static void what_keeps_it_back(void)
{
	static const struct row row = {.shown = "Running"};

	for (int i = 0; i < 4; i++) {
		bool back = i != 1;

		see(&row);
		s.vm = i & 1 ? &vm : NULL;
		s.differs = i & 2;
		s.profile_exists = false;
		s.profile_name = "windows";
		is_str(vm_ready(&s).reason, back ? "PreferenceMissing" : "Running");
		s.type_name = "big";
		is_str(vm_ready(&s).reason, back ? "InstanceTypeMissing" : "Running");
		if (back) {
			has(vm_ready(&s).message, "VirtualMachineClusterInstancetype big");
		}
		s.type = &(const struct kv_instancetype){0};
		is_str(vm_ready(&s).reason, back ? "PreferenceMissing" : "Running");
	}
}

/* --- the status ------------------------------------------------------------------------------- */

static struct plan plan;

static const json_t *status(void)
{
	plan_finish(&plan);
	plan_init(&plan, &arena, c);
	s.asked = (struct gpus){.pass = &pass, .inventory = &s.inventory, .cr = &s.cr};
	vm_status(&s, &plan);
	is_int(plan.n, 1);
	return json_object_get(plan.actions[0].body, "status");
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* The message of a condition that is True, or NULL. */
static const char *true_one(const char *type)
{
	json_t *all = json_object_get(status(), "conditions"), *one;
	size_t i;

	json_array_foreach(all, i, one) {
		if (str_eq(text(one, "type"), type)) {
			is_str(text(one, "status"), "True");
			is_str(text(one, "reason"), type);
			return text(one, "message");
		}
	}
	return NULL;
}

/* State is what KubeVirt shows, unless what keeps the VM has a state of its own. */
static void each_reason_has_its_state(void)
{
	static const char *const own[][2] = {
		{"StartFailure", "Failed"},
		{"NotPermitted", "WaitingForGPU"},
		{"WaitingForGPU", "WaitingForGPU"},
		{"Starting", "Starting"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *state = rows[i].shown ? rows[i].shown : "Stopped";

		for (size_t k = 0; k < ARRAY_LEN(own); k++) {
			state = str_eq(rows[i].reason, own[k][0]) ? own[k][1] : state;
		}
		see(&rows[i]);
		if (!vm_looked_at(&s)) {
			/* Stopped is KubeVirt's default then, and says nothing. */
			state = vm_strategy_runs(s.live) ? "Starting" : "Stopped";
			state = str_eq(rows[i].reason, "StartFailure") ? "Failed" : state;
		}
		is_str(text(status(), "state"), state);
		is_str(text(status(), "message"), vm_ready(&s).message);
	}
}

static void what_kubevirt_says_is_carried_up(void)
{
	static const struct row shown = {.shown = "Running", .phase = "Running"};
	static const struct {
		struct condition is;
		const char *restart, *quota;
	} conditions[] = {
		{COND("RestartRequired", "True", "x", "cores differ"), "cores differ", NULL},
		{COND("RestartRequired", "False", "x", "cores differ"), NULL, NULL},
		{COND("Synchronized", "False", "x", "a exceeded quota: b"), NULL,
		 "a exceeded quota: b"},
		{COND("Synchronized", "True", "x", "a exceeded quota: b"), NULL, NULL},
		{COND("Synchronized", "False", "x", "a is not permitted"), NULL, NULL},
		{COND("Synchronized", "False", "x", NULL), NULL, NULL},
		{COND("Other", "False", "x", "a exceeded quota: b"), NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		struct condition is = conditions[i].is;

		see(&shown); /* of the VM, whose machine is there */
		vm.conditions.items = &is;
		vm.conditions.n = 1;
		is_str(true_one("RestartRequired"), conditions[i].restart);
		is_str(true_one("QuotaExceeded"), NULL);
		s.vmi = NULL; /* of the VM alone */
		is_str(true_one("QuotaExceeded"), conditions[i].quota);
		see(&shown); /* of the machine */
		vmi.conditions.items = &is;
		vmi.conditions.n = 1;
		is_str(true_one("QuotaExceeded"), conditions[i].quota);
		is_str(true_one("RestartRequired"), NULL);
	}
	see(&shown);
	s.vm = NULL;
	s.vmi = NULL;
	is_str(true_one("RestartRequired"), NULL);
	is_str(true_one("QuotaExceeded"), NULL);
}

static void where_it_is(void)
{
	static const struct row row = {.shown = "Running", .phase = "Running"};
	struct kv_interface nics[] = {{"default", "10.0.0.1"}, {"more", "10.0.0.2"}};

	see(&row);
	is_str(text(status(), "node"), NULL);
	is_str(text(status(), "ip"), NULL);
	is_str(text(status(), "virtualMachine"), "vm-instance-a");
	vmi.node = "gpu-a";
	vmi.interfaces.items = nics;
	vmi.interfaces.n = 2;
	is_str(text(status(), "node"), "gpu-a");
	is_str(text(status(), "ip"), "10.0.0.1");
	s.vmi = NULL;
	is_str(text(status(), "node"), NULL);
	s.accepted = verdict_no("InvalidDisk", "x");
	is_str(text(status(), "virtualMachine"), "vm-instance-a");
	s.vm = NULL;
	is_str(text(status(), "virtualMachine"), NULL);
}

/* All that is asked, in either list of a machine that has a node, and nothing else. */
static void gpus_that_are_attached(void)
{
	static const struct row row = {.shown = "Running"};
	static const struct {
		const char *phase, *node;
		size_t cards, others;
		bool attached;
	} machines[] = {
		{"Running", "n", 2, 0, true},	 {"Scheduled", "n", 2, 0, true},
		{"Running", NULL, 2, 0, false},	 {"Scheduling", "n", 2, 0, false},
		{"Succeeded", "n", 2, 0, false}, {"Running", "n", 1, 0, false},
		{"Running", "n", 1, 1, false},	 {"Running", "n", 2, 1, false},
		{"Running", "n", 0, 0, false},
	};
	struct kv_gpu all[] = {{"a", CARD}, {"b", CARD}, {"c", "example.com/OTHER"}};
	struct device two[] = {{.device = CARD}, {.device = CARD}};

	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		size_t n = machines[i].cards + machines[i].others,
		       first = machines[i].cards == 1 && machines[i].others ? 1 : 0;

		for (size_t host = 0; host <= n; host++) {
			bool has = machines[i].attached;

			see(&row);
			s.asked = (struct gpus){
				.pass = &pass, .inventory = &s.inventory, .cr = &s.cr};
			gpus_ask(&s.asked, CARD, CARD)->count = 2;
			s.devices.items = two;
			s.devices.n = 2;
			s.vmi = &vmi;
			vmi.phase = machines[i].phase;
			vmi.node = machines[i].node;
			vmi.gpus.items = all + first;
			vmi.gpus.n = n - host;
			vmi.host_devices.items = all + first + n - host;
			vmi.host_devices.n = host;
			is_int(vm_gpus_attached(&s), has);
			s.devices.n = 0;
			is_int(vm_gpus_attached(&s), false);
			s.devices.n = 2;
			s.vmi = NULL;
			is_int(vm_gpus_attached(&s), false);
			is_int(vm_gpus_in_machine(&s, CARD), 0);
		}
	}
}

static void gpus_of_its_own_or_of_its_type(void)
{
	static const struct row row = {.shown = "Running"};
	struct kv_gpu one = {"a", CARD};
	struct kv_instancetype type = {0};

	see(&row);
	is_int(vm_gpus_any(&s), false);
	s.type = &type;
	is_int(vm_gpus_any(&s), false);
	type.gpus.items = &one;
	type.gpus.n = 1;
	is_int(vm_gpus_any(&s), true);
	type.host_devices = type.gpus;
	type.gpus.n = 0;
	is_int(vm_gpus_any(&s), true);
	s.type = NULL;
	is_int(vm_gpus_any(&s), false);
	s.devices.n = 1;
	is_int(vm_gpus_any(&s), true);
}

/* Whichever of its devices the scheduler names. */
static void each_device_may_be_the_one_that_lacks(void)
{
	static const struct row row = {
		.shown = "Starting",
		.vmi = COND("PodScheduled", "False", "Unschedulable", "Insufficient e/B"),
		.gpu = true,
	};
	struct device two[] = {{.device = "e/A"}, {.device = "e/B"}};

	for (size_t n = 0; n <= ARRAY_LEN(two); n++) {
		see(&row);
		s.devices.items = two;
		s.devices.n = n;
		is_str(vm_ready(&s).reason, n == 2 ? "WaitingForGPU" : "Unschedulable");
	}
}

TESTS({"the first reason that holds is said", the_first_that_holds_is_said},
      {"one that is not there starts, or is made", one_that_is_not_there},
      {"a gate that is off keeps a change back", a_gate_that_is_off},
      {"where it runs is said", where_it_runs},
      {"what is missing keeps back what is to be made or changed", what_keeps_it_back},
      {"each reason has its state", each_reason_has_its_state},
      {"what KubeVirt says is carried up", what_kubevirt_says_is_carried_up},
      {"where it is", where_it_is},
      {"GPUs are attached when the machine has them all", gpus_that_are_attached},
      {"GPUs are its own or those of its type", gpus_of_its_own_or_of_its_type},
      {"each device may be the one that lacks", each_device_may_be_the_one_that_lacks})
