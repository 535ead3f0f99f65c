/* SPDX-License-Identifier: Apache-2.0 */
/* The words that all of Harvester's objects share. */
#include "controller/plan_device.h"

#include "base/test.h"
#include "controller/device.h"

static void holders(void)
{
	static const struct {
		const char *ns, *pod, *vm, *said;
	} rows[] = {
		{"a", "virt-launcher-vm-instance-train-x7k2p", NULL,
		 "vm vm-instance-train in namespace a"},
		{"a", "virt-launcher-v-x7k2p", "other", "vm other in namespace a"},
		{"a", "virt-launcher-v-x7k2p", "", "vm v in namespace a"},
		{"a", "virt-launcher-x7k2p", NULL, "pod virt-launcher-x7k2p in namespace a"},
		{"a", "virt-launcher--x7k2p", NULL, "pod virt-launcher--x7k2p in namespace a"},
		{"a", "cuda-job-of-somebody-who-has-a-long-name", NULL,
		 "pod cuda-job-of-somebody-who-has-a-long-name in namespace a"},
		{"", "job", NULL, "pod job in namespace unknown"},
		{NULL, NULL, NULL, "pod unknown in namespace unknown"},
		{"a", NULL, "v", "vm v in namespace a"},
	};
	struct arena a;

	arena_init(&a, MiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(device_holder(&a, rows[i].ns, rows[i].pod, rows[i].vm), rows[i].said);
	}
	is_str(device_slot_holder(&a, &(struct gpu_slot){.holder = "b/virt-launcher-v-x7k2p"}),
	       "vm v in namespace b");
	is_str(device_slot_holder(&a, &(struct gpu_slot){.holder = "job"}),
	       "pod job in namespace unknown");
	arena_finish(&a);
}

static void reports(void)
{
	static const struct {
		const char *type, *status;
		bool reported;
	} rows[] = {
		{"Ready", "True", true},
		{"Ready", "False", true},
		{"Ready", "Unknown", false},
		{"Other", "True", false},
	};
	struct gpu_node deleting = {.obj.deleting = "2026-01-01T00:00:00Z"};

	ok(!device_reported(NULL));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct condition c = {.type = rows[i].type, .status = rows[i].status};
		struct gpu_node n = {.conditions = {&c, 1}};

		is_int(device_reported(&n), rows[i].reported);
		deleting.conditions = n.conditions;
		ok(!device_reported(&deleting));
	}
}

static void names(void)
{
	struct gpu_unit u = {.address = "0000:41:00.0"};
	struct arena a;

	arena_init(&a, MiB);
	is_str(device_name(&a, "gpu-a", "0000:41:00.0"), "gpu-a-000041000");
	is_str(device_name(&a, "n", "10000:e1:1f.7"), "n-10000e11f7");
	ok(!device_is_vf(&u, &(struct gpu_slot){.vf = "0000:41:00.0"}));
	ok(device_is_vf(&u, &(struct gpu_slot){.vf = "0000:41:00.4"}));
	arena_finish(&a);
}

TESTS({"who has it is said by its machine, where the pod is a launcher", holders},
      {"a daemon has reported when it says whether it is ready", reports},
      {"an object is called by its node and its address", names})
