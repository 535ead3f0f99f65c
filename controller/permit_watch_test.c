/* SPDX-License-Identifier: Apache-2.0 */
/* Which change wakes the permit plan. */
#include "controller/wakes_test.h"

/* --- the KubeVirt CR -------------------------------------------------------------------------- */

static void a_name_that_the_cr_lacks_wakes_it(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True") ", " UNIT(A100, "20b5", "True"))
		    KUBEVIRT(LISTS(L40S), ""));
	put(APP("VMInstance", "a", ASKS(L40S)));
	wakes("");
	put(APP("VMInstance", "b", ASKS(A100)));
	wakes("k/kubevirt");
	put(APP("VMInstance", "b", ASKS("nvidia.com/unheard-of")));
	wakes("");
	put(APP("VMInstance", "none", "{}"));
	wakes("");
	put(APP("VirtualMachine", "d", ASKS("10de:20b5"))); /* the same card */
	wakes("k/kubevirt");
	put(APP("VirtualMachine", "e", ASKS("10de:20b5")));
	wakes(""); /* d has said it in these words */
	put(APP("VMInstance", "f", ASKS("10de:20b5")));
	wakes("");
	put(KV_VM("plain", HAS(A100)));
	wakes("k/kubevirt");
	put(KV_VM("plain2", HAS(L40S)));
	wakes("");
	put(MACHINE("m", HAS(A100), "{phase: Pending}"));
	wakes(""); /* plain has woken it for that name */
	put(MACHINE("other", HAS("10de:20b5"), "{phase: Pending}"));
	wakes("k/kubevirt");
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {gpus: [{name: x}]}}}"));
	wakes("k/kubevirt");
	put(APP("Kubernetes", "d", "{nodeGroups: {g: {}}}"));
	wakes("");
}

static void without_a_list_every_device_counts(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT("", ""));
	put(KV_VM("plain", HAS("example.com/unheard-of")));
	wakes("k/kubevirt");
	put(KV_VM("second", HAS("example.com/unheard-of")));
	wakes("");
	gone(&kind_kv_vm, "t", "second");
	wakes("");
	gone(&kind_kv_vm, "t", "plain");
	wakes("k/kubevirt");
	put(KV_VM("none", "[]"));
	wakes("");
}

static void the_last_that_asked_for_a_name_of_ours_wakes_it(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), "[\"10DE:26B9\",\"" L40S "\"]"));
	put(APP("VMInstance", "a", ASKS(L40S)) APP("VMInstance", "b", ASKS(L40S))
		    KV_VM("a", HAS(L40S)));
	gone(&kind_vm_instance, "t", "a");
	wakes(""); /* b asks still */
	gone(&kind_vm_instance, "t", "b");
	wakes(""); /* a VM has it still */
	gone(&kind_kv_vm, "t", "a");
	wakes("k/kubevirt");
	put(APP("VMInstance", "a", ASKS(L40S)));
	put(APP("VMInstance", "a", "{}"));
	wakes("k/kubevirt");
}

static void a_name_counts_only_as_a_whole_word(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True"))
		    KUBEVIRT(LISTS("x/" L40S) ", emulation: \"" L40S "2\"", ""));
	put(APP("VMInstance", "a", ASKS(L40S)));
	wakes("k/kubevirt");
	put(KUBEVIRT(LISTS(L40S), "[\"10DE:26B9\",\"" L40S "\"]"));
	put(APP("VMInstance", "b", "{cloudInit: about " L40S ", gpus: []}"));
	gone(&kind_vm_instance, "t", "a");
	wakes("k/kubevirt");
}

static void entries_of_others_do_not_matter(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), ""));
	put(APP("VMInstance", "a", ASKS(L40S)));
	gone(&kind_vm_instance, "t", "a");
	wakes("");
}

static void what_nodes_call_their_gpus_wakes_it(void)
{
	start("permit");
	put(KUBEVIRT(LISTS(L40S), ""));
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("k/kubevirt");
	put(NODE(UNIT(L40S, "26b9", "False")));
	wakes("");
	put(NODE(UNIT(L40S, "26ba", "False")));
	wakes("k/kubevirt");
	put(NODE(UNIT(A100, "26ba", "False")));
	wakes("k/kubevirt");
	put(NODE(UNIT(A100, "26ba", "False") ", " UNIT(A100, "26ba", "False")));
	wakes("k/kubevirt");
	put(NODE("{name: x, aliases: [nvidia.com/one]}"));
	put(NODE("{name: x, aliases: [nvidia.com/two]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x, aliases: [nvidia.com/two], profiles: [{name: a}]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x, aliases: [nvidia.com/two], profiles: [{name: b}]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x, aliases: [nvidia.com/two], profiles: [{name: b, available: 3}]}"));
	wakes("");
	gone(&kind_gpu_node, NULL, "n");
	wakes("k/kubevirt");
}

static void node_groups_that_get_or_lose_gpus_wake_it(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), ""));
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {minReplicas: 1}}}"));
	wakes("");
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {gpus: [{name: x}]}}}"));
	wakes("k/kubevirt");
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {minReplicas: 2}}}"));
	wakes("k/kubevirt");
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {minReplicas: 3}}}"));
	wakes("");
	put(APP("Kubernetes", "d", "{nodeGroups: {g: {gpus: [{name: x}]}}}"));
	wakes("k/kubevirt");
	gone(&kind_kubernetes, "t", "d");
	wakes("k/kubevirt");
}

static void a_refused_machine_wakes_it(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), ""));
	put(MACHINE("m", HAS(L40S), "{phase: Pending}"));
	wakes("");
	put(MACHINE(
		"m", HAS(L40S),
		"{phase: Pending, conditions: [{type: Synchronized, status: 'False', reason: FailedCreate, message: GPU "
		"x is not permitted in permittedHostDevices configuration}]}"));
	wakes("k/kubevirt");
}

/* Only a pass may tell what its going changes. */
static void a_spec_that_cannot_be_read_wakes_it(void)
{
	const struct vm_app broken = {.obj = {.name = "a", .ns = "t", .rv = "1"},
				      .spec = "{\"gpus\":[{\"name\":\"x\""};

	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), ""));
	buf_reset(&woken);
	cache_put(c, &kind_vm_instance, &broken);
	wakes("k/kubevirt");
	gone(&kind_vm_instance, "t", "a");
	wakes("k/kubevirt");
}

/* --- what does not matter, and what two of a list do ------------------------------------------ */

#define IN_GPUS(name, devices)                                                                     \
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: " name                \
	", namespace: t}, spec: {template: {spec: {domain: {devices: {gpus: " devices              \
	"}}}}}}\n---\n"
#define TWO(a, b) "[{name: gpu1, deviceName: " a "}, {name: gpu2, deviceName: " b "}]"

static void devices_that_stay_wake_nobody(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True") ", " UNIT(A100, "20b5", "True"))
		    KUBEVIRT(LISTS(L40S), ""));
	put(KV_VM("a", HAS(A100)));
	wakes("k/kubevirt");
	put(KV_VM("a", TWO(A100, L40S))); /* what came is listed, what is not was there */
	wakes("");
	put(IN_GPUS("a", TWO(A100, L40S)));
	wakes("");
	put(KV_VM("a", TWO(L40S, A100)));
	wakes("");
	put(KV_VM("claim", "[{name: gpu1}]"));
	wakes("");
	put(IN_GPUS("b", TWO(L40S, A100))); /* which a has */
	wakes("");
	put(IN_GPUS("b", "[{name: gpu1}]"));
	wakes("");
	gone(&kind_kv_vm, "t", "a");
	wakes(""); /* no entry of ours */
	put(IN_GPUS("c", TWO(L40S, A100)));
	wakes("k/kubevirt");
}

static void each_of_two_that_ask_keeps_a_name(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), "[\"10DE:26B9\",\"" L40S "\"]"));
	put(APP("VMInstance", "a", ASKS(L40S)) APP("VMInstance", "b", ASKS(L40S)));
	gone(&kind_vm_instance, "t", "a");
	wakes("");
	put(APP("VirtualMachine", "a", ASKS(L40S)));
	gone(&kind_vm_instance, "t", "b");
	wakes("");
	gone(&kind_virtual_machine, "t", "a");
	wakes("k/kubevirt");
	put(IN_GPUS("a", HAS(L40S)) APP("VMInstance", "a", ASKS(L40S)));
	gone(&kind_vm_instance, "t", "a");
	wakes("");
	put(IN_GPUS("b", TWO(A100, L40S)));
	gone(&kind_kv_vm, "t", "a");
	wakes("");
	put(IN_GPUS("b", HAS(A100)));
	wakes("k/kubevirt");
	put(MACHINE("m", HAS(L40S), "{phase: Running, nodeName: n}"));
	wakes("");
	put(MACHINE("m", HAS(L40S), "{phase: Succeeded, nodeName: n}"));
	wakes("k/kubevirt");
	put(MACHINE("m", HAS(L40S), "{phase: Running, nodeName: n}"));
	gone(&kind_kv_vmi, "t", "m");
	wakes("k/kubevirt");
}

static void names_of_the_table_alone_wake_nobody(void)
{
	start("permit");
	put(NODE(UNIT(L40S, "26b9", "True")) KUBEVIRT(LISTS(L40S), ""));
	put(APP("VMInstance", "a", "{gpus: [{}, {name: nvidia.com/H100_94GB}]}"));
	wakes("");
	put(APP("VMInstance", "b", "{gpus: [{}, {name: nvidia.com/other}]}"));
	wakes(""); /* the L40S's alias */
	put(NODE(UNIT(A100, "20b5", "True")));
	put(APP("VMInstance", "c", "{gpus: [{}, {name: nvidia.com/x}, {name: nvidia.com/other}]}"));
	wakes("k/kubevirt");
	start("permit");
	put(KUBEVIRT("", ""));
	put(APP("VMInstance", "a", ASKS("nvidia.com/H100_94GB")));
	wakes("k/kubevirt");
}

#define WITH_STATUS(kind, spec, state)                                                             \
	"{apiVersion: apps.cozystack.io/v1alpha1, kind: " kind                                     \
	", metadata: {name: a, namespace: t}, spec: " spec ", status: {state: " state "}}"

static void a_status_wakes_no_cr(void)
{
	start("permit");
	put(NODE(UNIT(A100, "20b5", "True")) KUBEVIRT(LISTS(L40S), ""));
	put(WITH_STATUS("VMInstance", ASKS(A100), "One"));
	wakes("k/kubevirt");
	put(WITH_STATUS("VMInstance", ASKS(A100), "Two"));
	wakes("");
	put(WITH_STATUS("Kubernetes", "{nodeGroups: {g: {gpus: [{name: x}]}}}", "One"));
	wakes("k/kubevirt");
	put(WITH_STATUS("Kubernetes", "{nodeGroups: {g: {gpus: [{name: x}]}}}", "Two"));
	wakes("");
}

static void the_second_unit_counts(void)
{
	start("permit");
	put(KUBEVIRT(LISTS(L40S), ""));
	put(NODE("{name: x}, {name: y}"));
	put(NODE("{name: x}, {name: z}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, vendorID: '10de'}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, vendorID: '1002'}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, vgpuFramework: mdev}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, vgpuFramework: vendor-vfio}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, aliases: [a, b]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, aliases: [a, c]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, aliases: [a]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, aliases: [a], profiles: [{name: p}, {name: q}]}"));
	wakes("k/kubevirt");
	put(NODE("{name: x}, {name: z, aliases: [a], profiles: [{name: p}, {name: r}]}"));
	wakes("k/kubevirt");
	put(NODE(
		"{name: x}, {name: z, aliases: [a], profiles: [{name: p}, {name: r}], mode: vgpu}"));
	wakes("");
	put(NODE("{name: x}"));
	wakes("k/kubevirt");
	put(NODE("{name: x, resource: own}"));
	wakes("k/kubevirt");
	put(NODE("{name: x, resource: another}"));
	wakes("k/kubevirt");
}

#define ORDERS(term, units)                                                                        \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n}, spec: {term: " term   \
	", units: [" units "]}}\n---\n"

static void ordered_types_wake_the_cr(void)
{
	start("permit");
	put(KUBEVIRT(LISTS(L40S), ""));
	put(ORDERS("1", "{id: x, slots: []}, {id: y, slots: [{vf: a, type: p}]}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: y, slots: [{vf: b, type: p}]}"));
	wakes("");
	put(ORDERS("2", "{id: y, slots: [{vf: b, type: q}]}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: y, slots: [{vf: b, type: q}, {vf: c, type: r}]}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: y, slots: [{vf: b, type: q}]}"));
	wakes("k/kubevirt");
}

static void ordered_names_wake_the_cr(void)
{
	start("permit");
	put(KUBEVIRT(LISTS(L40S), ""));
	put(ORDERS("1", "{id: x}, {id: y, exclusive: one}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: y, exclusive: one}"));
	wakes("");
	put(ORDERS("2", "{id: y, exclusive: two}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: x, exclusive: two}, {id: y}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: x, exclusive: two}, {id: y, exclusive: two}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: x}, {id: y}"));
	wakes("k/kubevirt");
	put(ORDERS("2", "{id: y}"));
	wakes("");
}

#define WITH(functions)                                                                            \
	NODE("{name: " L40S ", address: '0000:41:00.0', functions: [{address: '0000:41:00.0', "    \
	     "role: gpu}" functions "]}")
#define AUDIO(id) ", {address: '0000:41:00.1', role: audio, vendorID: '10de', deviceID: '" id "'}"

static void audio_functions_count(void)
{
	start("permit");
	put(KUBEVIRT(LISTS(L40S), ""));
	put(WITH(""));
	put(WITH(AUDIO("22ba")));
	wakes("k/kubevirt");
	put(WITH(AUDIO("22ba") ", {address: '0000:41:00.2', role: usb}"));
	wakes("");
	put(WITH(AUDIO("10f8")));
	wakes("k/kubevirt");
	put(APP("VMInstance", "a", ASKS(L40S)));
	wakes(""); /* the gate is off */
	put(KUBEVIRT(LISTS(L40S) ", developerConfiguration: {featureGates: [HostDevices]}", ""));
	put(APP("VMInstance", "b", "{x: 1, gpus: [{name: " L40S "}]}"));
	wakes("k/kubevirt");
	put(NODE(
		"{name: " L40S
		", address: '0000:41:00.0', functions: [{address: '0000:41:00.0', role: gpu}" AUDIO(
			"22ba") "]}, {name: " L40S "}"));
	put(APP("VMInstance", "c", "{x: 2, gpus: [{name: " L40S "}]}"));
	wakes(""); /* one has none */
}

TESTS({"audio functions of GPUs count, and a token that the CR lacks", audio_functions_count},
      {"node groups that get or lose GPUs wake the KubeVirt CR",
       node_groups_that_get_or_lose_gpus_wake_it},
      {"a name that the CR lacks wakes it", a_name_that_the_cr_lacks_wakes_it},
      {"without a list every device counts", without_a_list_every_device_counts},
      {"the last that asked for a name of ours wakes it",
       the_last_that_asked_for_a_name_of_ours_wakes_it},
      {"a name counts only as a whole word", a_name_counts_only_as_a_whole_word},
      {"a spec that cannot be read wakes it", a_spec_that_cannot_be_read_wakes_it},
      {"entries of others do not matter", entries_of_others_do_not_matter},
      {"what nodes call their GPUs wakes it, not what becomes of them",
       what_nodes_call_their_gpus_wakes_it},
      {"a machine that KubeVirt refused wakes it", a_refused_machine_wakes_it},
      {"devices that stay wake nobody", devices_that_stay_wake_nobody},
      {"each of two that ask keeps a name", each_of_two_that_ask_keeps_a_name},
      {"names of the table alone wake nobody", names_of_the_table_alone_wake_nobody},
      {"a status wakes no KubeVirt CR", a_status_wakes_no_cr},
      {"the second unit of a node counts as the first", the_second_unit_counts},
      {"types that a node is ordered to make wake the KubeVirt CR, whatever else becomes of the orders",
       ordered_types_wake_the_cr},
      {"names of single cards that a node is ordered to list wake the KubeVirt CR",
       ordered_names_wake_the_cr})
