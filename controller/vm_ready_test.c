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

TESTS({"the first reason that holds is said", the_first_that_holds_is_said},
      {"one that is not there starts, or is made", one_that_is_not_there},
      {"a gate that is off keeps a change back", a_gate_that_is_off},
      {"where it runs is said", where_it_runs},
      {"what is missing keeps back what is to be made or changed", what_keeps_it_back})
