/* SPDX-License-Identifier: Apache-2.0 */
/* When a machine that KubeVirt refused is touched again: what the cases cannot show, since it is a
 * time. */
#include "api/kubevirt.h"
#include "base/clock.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/plan_permit.h"
#include "json/yaml.h"

static const char world[] =
	"{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k}, spec: {configuration: "
	"{permittedHostDevices: {pciHostDevices: [{resourceName: nvidia.com/x, pciVendorSelector: x, "
	"externalResourceProvider: true}]}}}, status: {phase: Deployed}}\n"
	"---\n"
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: m, namespace: t, annotations: "
	"{vmgpu.io/woken: '2026-01-01T00:00:00Z'}}, spec: {domain: {devices: {gpus: [{deviceName: nvidia.com/x}]}}}, "
	"status: {phase: Pending, conditions: [{type: Synchronized, status: 'False', reason: FailedCreate, message: "
	"'GPU nvidia.com/x is not permitted in permittedHostDevices configuration'}]}}\n";

static struct cache *load(void)
{
	struct cache *c = cache_create(controller_kinds);
	struct err err = {""};
	json_t *docs = yaml_read("test", world, strlen(world), &err), *o;
	size_t i;

	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
	}
	json_decref(docs);
	return c;
}

/* Milliseconds until the next look, 0 when the machine is touched now; after it was touched `since`
 * ago. */
static int64_t touched_since(int64_t since_ms)
{
	struct cache *c = load();
	struct arena a;
	struct plan plan;
	struct pass pass;
	int64_t us, result = -1;

	is_int(clock_parse("2026-01-01T00:00:00Z", &us), 0);
	arena_init(&a, MiB);
	plan_init(&plan, &a, c);
	pass = (struct pass){
		.arena = &a,
		.cache = c,
		.kind = reconcile_permit.primary,
		.key = {"k", "kubevirt"},
		.now_ms = us / 1000 + since_ms,
	};
	reconcile_permit.plan(reconcile_permit.gather(&pass), &plan);
	if (plan.n == 1) {
		result = plan.actions[0].what == ACTION_AGAIN ? plan.actions[0].after_ms : 0;
	}
	plan_finish(&plan);
	arena_finish(&a);
	cache_destroy(c);
	return result;
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

TESTS({"it waits the rest of half a minute", waits_the_rest_of_half_a_minute},
      {"it touches each machine whose devices are all permitted",
       touches_each_whose_devices_are_all_permitted},
      {"it touches again after half a minute", touches_after_half_a_minute},
      {"a time to come (clocks differ) counts as none", a_time_to_come_counts_as_none})
