/* SPDX-License-Identifier: Apache-2.0 */
/* When a machine that KubeVirt refused is touched again: what the cases cannot show, since it is a
 * time. */
#include "api/kubevirt.h"
#include "base/clock.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/plan_permit.h"
#include "json/yaml.h"

/* A refused machine that was touched at midnight, and what else the annotation says. */
static const char list[] =
	"{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k}, spec: {configuration: "
	"{permittedHostDevices: {pciHostDevices: [{resourceName: nvidia.com/x, pciVendorSelector: x, "
	"externalResourceProvider: true}]}}}, status: {phase: Deployed}}\n";
static const char machine[] =
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: m%zu, namespace: t, annotations: "
	"{vmgpu.io/woken: '%s'}}, spec: {domain: {devices: {gpus: [{deviceName: nvidia.com/x}]}}}, "
	"status: {phase: Pending, conditions: [{type: Synchronized, status: 'False', reason: FailedCreate, message: "
	"'GPU nvidia.com/x is not permitted in permittedHostDevices configuration'}]}}\n";

static void load(struct cache *c, const char *text)
{
	struct err err = {""};
	json_t *docs = yaml_read("test", text, strlen(text), &err), *o;
	size_t i;

	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
	}
	json_decref(docs);
}

/* What is planned for so many machines that were touched as `note` says, so long after midnight. */
static void plan_for(size_t machines, const char *note, int64_t since_ms,
		     void (*look)(const struct plan *plan))
{
	struct cache *c = cache_create(controller_kinds);
	struct arena a;
	struct plan plan;
	struct pass pass;
	int64_t us;

	load(c, list);
	for (size_t i = 0; i < machines; i++) {
		auto_free char *text = xprintf(machine, i, note);

		load(c, text);
	}
	is_int(clock_parse("2026-01-01T00:00:00Z", &us), 0);
	arena_init(&a, 16 * MiB);
	plan_init(&plan, &a, c);
	pass = (struct pass){
		.arena = &a,
		.cache = c,
		.kind = reconcile_permit.primary,
		.key = {"k", "kubevirt"},
		.now_ms = us / 1000 + since_ms,
	};
	reconcile_permit.plan(reconcile_permit.gather(&pass), &plan);
	look(&plan);
	plan_finish(&plan);
	arena_finish(&a);
	cache_destroy(c);
}

static int64_t until; /* the next look, 0 when the machine is touched now */
static char noted[64];

static void look_at_one(const struct plan *plan)
{
	const struct action *a = plan->actions;
	const char *note = NULL;

	is_int(plan->n, 1);
	until = a->what == ACTION_AGAIN ? a->after_ms : 0;
	if (a->body) {
		json_unpack(a->body, "{s:{s:{s:s}}}", "metadata", "annotations", "vmgpu.io/woken",
			    &note);
	}
	snprintf(noted, sizeof(noted), "%s", note ? note : "");
}

static int64_t touched(const char *note, int64_t since_ms)
{
	plan_for(1, note, since_ms, look_at_one);
	return until;
}

static int64_t touched_since(int64_t since_ms)
{
	return touched("2026-01-01T00:00:00Z", since_ms);
}

/* How many machines of n are touched, each of which has four devices of which the CR lacks one (4:
 * none). */
static size_t touched_of(int n, int lacking)
{
	static const char *const names[] = {"a/a", "b/b", "c/c", "d/d"};
	static const char *const lists[] = {"pciHostDevices", "mediatedDevices", "usb",
					    "pciHostDevices"};
	json_t *permitted =
		json_pack("{s:[], s:[], s:[]}", "pciHostDevices", "mediatedDevices", "usb");
	struct cache *c = cache_create(controller_kinds);
	auto_free char *text = NULL;
	struct kv_gpu gpus[] = {{"g", names[0]}, {"g", names[1]}},
		      host[] = {{"h", names[2]}, {"h", names[3]}};
	struct condition said = {
		.type = "Synchronized",
		.status = "False",
		.reason = "FailedCreate",
		.message = "GPU is not permitted in permittedHostDevices configuration"};
	size_t touched = 0;
	struct arena a;
	struct plan plan;
	struct pass pass;

	for (int i = 0; i < 4; i++) {
		if (i != lacking) {
			json_array_append_new(json_object_get(permitted, lists[i]),
					      json_pack("{s:s}", "resourceName", names[i]));
		}
	}
	text = json_dumps(permitted, JSON_COMPACT);
	json_decref(permitted);
	cache_put(c, &kind_kv_config,
		  &(struct kv_config){.obj = {.ns = "k", .name = "kubevirt", .rv = "1"},
				      .permitted = text,
				      .phase = "Deployed"});
	for (int i = 0; i < n; i++) {
		const char name[] = {(char)('a' + i), 0};

		cache_put(c, &kind_kv_vmi,
			  &(struct kv_vmi){.obj = {.ns = "t", .name = name, .rv = "1"},
					   .gpus = {gpus, 2},
					   .host_devices = {host, 2},
					   .phase = "Pending",
					   .conditions = {&said, 1}});
	}
	arena_init(&a, MiB);
	plan_init(&plan, &a, c);
	pass = (struct pass){.arena = &a,
			     .cache = c,
			     .kind = reconcile_permit.primary,
			     .key = {"k", "kubevirt"}};
	reconcile_permit.plan(reconcile_permit.gather(&pass), &plan);
	for (size_t i = 0; i < plan.n; i++) {
		touched += plan.actions[i].what == ACTION_MERGE &&
			   plan.actions[i].kind == &kind_kv_vmi;
	}
	plan_finish(&plan);
	arena_finish(&a);
	cache_destroy(c);
	return touched;
}

static void touches_each_whose_devices_are_all_permitted(void)
{
	for (int n = 0; n < 5; n++) {
		for (int lacking = 0; lacking < 4; lacking++) {
			is_int((int64_t)touched_of(n, lacking), 0);
		}
		is_int((int64_t)touched_of(n, 4), n);
	}
}

static void waits_the_rest_of_half_a_minute(void)
{
	is_int(touched_since(0), 30000);
	is_int(touched_since(10000), 20000);
	is_int(touched_since(29999), 1);
}

static void touches_after_half_a_minute(void)
{
	is_int(touched_since(30000), 0);
	is_int(touched_since(100000), 0);
}

static void a_time_to_come_counts_as_none(void)
{
	is_int(touched_since(-1), 0);
}

/* As long as virt-controller does not run, each touch would be a write for nothing. */
static void the_wait_doubles_up_to_kubevirts_own(void)
{
	static const struct {
		const char *times;
		int64_t wait_ms;
		const char *next;
	} rows[] = {
		{"", 30000, " 2"},     {" 1", 30000, " 2"},
		{" 2", 60000, " 3"},   {" 3", 120000, " 4"},
		{" 4", 240000, " 5"},  {" 5", 480000, " 6"},
		{" 6", 960000, " 7"},  {" 7", 1000000, " 8"},
		{" 8", 1000000, " 8"}, {" -3", 30000, " 2"},
		{" x", 30000, " 2"},   {" 99999999999999999999", 1000000, " 8"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *note = xprintf("2026-01-01T00:00:00Z%s", rows[i].times);
		const char *space;

		is_int(touched(note, 0), rows[i].wait_ms);
		is_int(touched(note, rows[i].wait_ms - 1), 1);
		is_int(touched(note, rows[i].wait_ms), 0);
		space = strchr(noted, ' ');
		is_str(space ? space : "", rows[i].next);
	}
}

/* Anybody can write the annotation. */
static void what_is_no_time_counts_as_none(void)
{
	static const char *const notes[] = {
		"",
		" ",
		" 5",
		"yesterday",
		"2026-01-01T00:00:00Zx",
		"2026-01-01T00:00:00.000000000000000000000000000000000000000000000000Z 7"};

	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		is_int(touched(notes[i], 0), 0);
		is_str(noted, "2026-01-01T00:00:00Z");
	}
}

static void look_at_many(const struct plan *plan)
{
	is_int(plan->n, 501);
	is_int(plan->actions[499].what, ACTION_MERGE);
	is_int(plan->actions[500].what, ACTION_AGAIN);
	is_int(plan->actions[500].after_ms, 1000);
}

static void look_at_waiting(const struct plan *plan)
{
	is_int(plan->n, 1);
	is_int(plan->actions[0].after_ms, 30000);
}

static void many_are_touched_in_turns(void)
{
	plan_for(600, "", 0, look_at_many);
	plan_for(600, "2026-01-01T00:00:00Z", 0, look_at_waiting);
}

TESTS({"it waits the rest of half a minute", waits_the_rest_of_half_a_minute},
      {"it touches each machine whose devices are all permitted",
       touches_each_whose_devices_are_all_permitted},
      {"it touches again after half a minute", touches_after_half_a_minute},
      {"a time to come (clocks differ) counts as none", a_time_to_come_counts_as_none},
      {"the wait doubles, up to KubeVirt's own", the_wait_doubles_up_to_kubevirts_own},
      {"what is no time counts as none", what_is_no_time_counts_as_none},
      {"many are touched in turns", many_are_touched_in_turns})
