/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes which object: the watches of the plans (vm_wake.c, plan_disk.c,
 * cluster_wake.c, permit_watch.c), over a cache that tells them what a running controller would.
 */
#include "base/buf.h"
#include "base/test.h"
#include "api/apps.h"
#include "api/capi.h"
#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "controller/kinds.h"
#include "json/yaml.h"

static struct cache *c;
static struct buf woken;
static const char *told; /* of which reconciler */

static void wake(void *ctx, const char *ns, const char *name)
{
	buf_printf(&woken, "%s%s/%s", woken.len ? " " : "", ns, name);
	(void)ctx;
}

static void listen(void *ctx, const struct kube_kind *k, const struct obj *old,
		   const struct obj *now)
{
	(void)ctx;
	for (size_t i = 0; controller_reconcilers[i]; i++) {
		const struct reconciler *r = controller_reconcilers[i];

		for (const struct plan_watch *w = r->watches; w && w->kind; w++) {
			if (w->kind == k && str_eq(r->name, told)) {
				w->map(c, old, now, wake, NULL);
			}
		}
	}
}

static void start(const char *reconciler)
{
	cache_destroy(c);
	c = cache_create(controller_kinds);
	cache_listen(c, listen, NULL);
	told = reconciler;
	buf_finish(&woken);
	buf_init(&woken, MiB);
}

static void put(const char *text)
{
	struct err err = {""};
	json_t *docs = yaml_read("test", text, strlen(text), &err), *o;
	size_t i;

	is_str(err.text, "");
	buf_reset(&woken);
	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
	}
	json_decref(docs);
}

static void gone(const struct kube_kind *k, const char *ns, const char *name)
{
	buf_reset(&woken);
	is_int(cache_del(c, k, ns, name), CACHE_REMOVED);
}

static void wakes(const char *want)
{
	is_str(buf_text(&woken), want);
}

#define APP(kind, name, spec)                                                                      \
	"{apiVersion: apps.cozystack.io/v1alpha1, kind: " kind ", metadata: {name: " name          \
	", namespace: t, uid: " name "}, spec: " spec "}\n---\n"
#define L40S "nvidia.com/AD102GL_L40S"
#define A100 "nvidia.com/GA100_A100_PCIE_80GB"
#define ASKS(name) "{gpus: [{name: " name "}]}"
#define KUBEVIRT(list, ours)                                                                       \
	"{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k, "   \
	"annotations: {vmgpu.io/permitted-host-devices: '{\"pciHostDevices\":[" ours               \
	"]}'}}, spec: {configuration: {" list "}}, status: {phase: Deployed}}\n---\n"
#define LISTS(name)                                                                                \
	"permittedHostDevices: {pciHostDevices: [{pciVendorSelector: x, resourceName: " name "}]}"
#define UNIT(name, id, available)                                                                  \
	"{name: " name ", vendorID: '10de', deviceID: '" id                                        \
	"', aliases: [nvidia.com/other], conditions: [{type: Available, status: '" available       \
	"'}]}"
#define NODE(units)                                                                                   \
	"{apiVersion: vmgpu.io/v1alpha1, kind: GPUNode, metadata: {name: n}, status: {units: [" units \
	"]}}\n---\n"
#define MACHINE(name, devices, status)                                                             \
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: " name        \
	", namespace: t}, spec: {domain: {devices: {hostDevices: " devices "}}}, status: " status  \
	"}\n---\n"
#define HAS(name) "[{name: gpu1, deviceName: " name "}]"
#define KV_VM(name, devices)                                                                       \
	"{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: " name                \
	", namespace: t}, spec: {template: {spec: {domain: {devices: {hostDevices: " devices       \
	"}}}}}}\n---\n"

/* --- VMs -------------------------------------------------------------------------------------- */

static void children_wake_by_their_name(void)
{
	start("vminstance");
	put(APP("VMInstance", "a", "{}"));
	put(KV_VM("vm-instance-a", "[]"));
	wakes("t/a");
	put(KV_VM("a", "[]")); /* --naming=plain */
	wakes("t/a");
	put(KV_VM("virtual-machine-a", "[]"));
	wakes("");
	put("{apiVersion: v1, kind: Service, metadata: {name: vm-instance-a, namespace: t}}");
	wakes("t/a");
	put("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: vm-instance-a, namespace: t}}");
	wakes("t/a");
	put("{apiVersion: v1, kind: Service, metadata: {name: vm-instance-a, namespace: other}}");
	wakes("");
	gone(&kind_kv_vm, "t", "vm-instance-a");
	wakes("t/a");
}

static void a_virtual_machine_wakes_the_instance_of_its_name(void)
{
	start("vminstance");
	put(APP("VirtualMachine", "a", "{}") APP("VMInstance", "a", "{}"));
	gone(&kind_virtual_machine, "t", "a");
	wakes("t/a");
}

#define ATTACHED                                                                                           \
	"{apiVersion: apps.cozystack.io/v1alpha1, kind: VMInstance, metadata: {name: has, namespace: t}, " \
	"spec: {gpus: [{name: " L40S "}]}, status: {gpus: [{name: " L40S ", deviceName: " L40S             \
	"}], "                                                                                             \
	"conditions: [{type: GPUsAvailable, status: 'True', reason: Attached}]}}\n---\n"
#define WAITING                                                                                              \
	"{apiVersion: apps.cozystack.io/v1alpha1, kind: VMInstance, metadata: {name: waits, namespace: t}, " \
	"spec: {gpus: [{name: " L40S "}]}, status: {gpus: [{name: " L40S ", deviceName: " L40S               \
	"}], "                                                                                               \
	"conditions: [{type: GPUsAvailable, status: 'False', reason: NoneFree}]}}\n---\n"

static void nodes_wake_who_looks_for_gpus(void)
{
	start("vminstance");
	put(ATTACHED WAITING APP("VMInstance", "none", "{}"));
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("t/waits");
}

static void the_cr_wakes_who_asks_for_gpus(void)
{
	start("vminstance");
	put(ATTACHED APP("VMInstance", "none", "{}"));
	put(KUBEVIRT("", ""));
	wakes("t/has");
}

static void machines_wake_who_waits_for_their_gpus(void)
{
	start("vminstance");
	put(ATTACHED WAITING);
	put(MACHINE("other", HAS(L40S), "{phase: Pending}"));
	wakes("");
	put(MACHINE("other", HAS(L40S), "{phase: Scheduled, nodeName: n}"));
	wakes("t/waits");
	put(MACHINE("other", HAS(L40S), "{phase: Running, nodeName: n}"));
	wakes("");
	put(MACHINE("other", HAS(L40S), "{phase: Succeeded, nodeName: n}"));
	wakes("t/waits");
	put(MACHINE("another", HAS(A100), "{phase: Running, nodeName: n}"));
	wakes("");
	gone(&kind_kv_vmi, "t", "another");
	wakes("");
	put(MACHINE("vm-instance-has", HAS(L40S), "{phase: Pending}"));
	wakes("t/has");
}

#define VOLUME(ns, name, phase)                                                                    \
	"{apiVersion: cdi.kubevirt.io/v1beta1, kind: DataVolume, metadata: {name: " name           \
	", namespace: " ns "}, status: {phase: " phase "}}\n---\n"

static void disks_wake_who_names_them(void)
{
	start("vminstance");
	put(APP("VMInstance", "a", "{disks: [data]}")
		    APP("VMInstance", "b", "{disks: [{name: data2}]}")
			    APP("VMInstance", "none", "{cloudInit: data}"));
	put(VOLUME("t", "vm-disk-data", "Succeeded"));
	wakes("t/a");
	put(VOLUME("other", "vm-disk-data", "Succeeded"));
	wakes("");
	put(VOLUME("t", "vm-instance-b", "Succeeded"));
	wakes("t/b");
}

static void images_wake_when_they_come_or_go(void)
{
	start("virtualmachine");
	put(APP("VirtualMachine", "a", "{systemDisk: {image: rocky}}")
		    APP("VirtualMachine", "b", "{}"));
	put(VOLUME("cozy-public", "vm-default-images-rocky", "Succeeded"));
	wakes("t/a");
	put(VOLUME("cozy-public", "vm-default-images-rocky", "Failed"));
	wakes("");
	gone(&kind_data_volume, "cozy-public", "vm-default-images-rocky");
	wakes("t/a");
	put(VOLUME("cozy-public", "vm-image-ubuntu", "Succeeded"));
	wakes("t/b");
}

static void sizes_wake_who_has_them(void)
{
	start("vminstance");
	put(APP("VMInstance", "a", "{instanceType: big, instanceProfile: windows}")
		    APP("VMInstance", "b", "{}"));
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: big}}");
	wakes("t/a");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: u1.medium}}");
	wakes("t/b");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterPreference, metadata: {name: windows}}");
	wakes("t/a");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterPreference, metadata: {name: ubuntu}}");
	wakes("t/b");
}

static void classes_wake_who_may_have_a_system_disk(void)
{
	const char *class =
		"{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: replicated}}";

	start("vminstance");
	put(APP("VMInstance", "a", "{systemDisk: {}}") APP("VMInstance", "b", "{}"));
	put(class);
	wakes("t/a");
	start("virtualmachine");
	put(APP("VirtualMachine", "a", "{}"));
	put(class);
	wakes("t/a");
	gone(&kind_storage_class, NULL, "replicated");
	wakes("t/a");
}

/* --- disks ------------------------------------------------------------------------------------ */

#define CLAIM(name)                                                                                \
	"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: " name                     \
	", namespace: t}}\n---\n"

static void a_disk_wakes_with_its_volume_and_claim(void)
{
	start("vmdisk");
	put(APP("VMDisk", "a", "{}") APP("VMDisk", "b", "{source: {upload: {}}}"));
	put(VOLUME("t", "vm-disk-a", "ImportInProgress"));
	wakes("t/a");
	put(VOLUME("t", "vm-disk-a", "Succeeded"));
	wakes("t/a");
	put(CLAIM("vm-disk-b"));
	wakes("t/b");
	put(CLAIM("a"));
	wakes("");
	put(VOLUME("other", "vm-disk-a", "Succeeded"));
	wakes("");
}

static void copies_wake_when_the_original_comes_or_goes(void)
{
	start("vmdisk");
	put(APP("VMDisk", "copy", "{source: {disk: {name: first}}}")
		    APP("VMDisk", "golden", "{source: {image: {name: rocky}}}")
			    APP("VMDisk", "blank", "{}"));
	put(VOLUME("t", "vm-disk-first", "Succeeded"));
	wakes("t/copy");
	put(VOLUME("t", "vm-disk-first", "Failed"));
	wakes("");
	put(VOLUME("cozy-public", "vm-default-images-rocky", "Succeeded"));
	wakes("t/golden");
	put(VOLUME("cozy-public", "vm-disk-first", "Succeeded"));
	wakes("");
	gone(&kind_data_volume, "t", "vm-disk-first");
	wakes("t/copy");
}

/* --- clusters --------------------------------------------------------------------------------- */

#define OF_CLUSTER(version, kind, name)                                                            \
	"{apiVersion: " version ", kind: " kind ", metadata: {name: " name ", namespace: t}}\n---\n"
#define CAPI "cluster.x-k8s.io/v1beta2"

static void all_of_a_cluster_wakes_it_by_its_name(void)
{
	start("kubernetes");
	put(APP("Kubernetes", "a", "{}") APP("Kubernetes", "b", "{}"));
	put(OF_CLUSTER(CAPI, "Cluster", "kubernetes-a"));
	wakes("t/a");
	put(OF_CLUSTER(CAPI, "Machine", "kubernetes-b-md0-x7k2p-a1b2c"));
	wakes("t/b");
	put(OF_CLUSTER(CAPI, "MachineSet", "b-md0-x7k2p")); /* --naming=plain */
	wakes("t/b");
	put(OF_CLUSTER("helm.toolkit.fluxcd.io/v2", "HelmRelease", "kubernetes-a-cilium"));
	wakes("t/a");
	put(MACHINE("kubernetes-b-md0-x7k2p-a1b2c", "[]", "{phase: Pending}"));
	wakes("t/b");
	put(KV_VM("kubernetes-a-md0-x7k2p-a1b2c", "[]"));
	wakes("t/a");
	put(OF_CLUSTER(CAPI, "Cluster", "other"));
	wakes("");
	gone(&kind_capi_cluster, "t", "kubernetes-a");
	wakes("t/a");
}

static void gpus_that_come_or_go_wake_clusters_that_ask_for_some(void)
{
	start("kubernetes");
	put(APP("Kubernetes", "c", "{nodeGroups: {g: {gpus: [{name: x}]}}}")
		    APP("Kubernetes", "d", "{}"));
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("t/c");
	put(KUBEVIRT("", ""));
	wakes("t/c");
	put(MACHINE("m", HAS(L40S), "{phase: Scheduled, nodeName: n}"));
	wakes("t/c");
	put(MACHINE("m", HAS(L40S), "{phase: Running, nodeName: n}"));
	wakes("");
	gone(&kind_kv_vmi, "t", "m");
	wakes("t/c");
}

static void types_and_namespaces_wake_who_is_of_them(void)
{
	start("kubernetes");
	put(APP("Kubernetes", "a", "{nodeGroups: {g: {instanceType: big}}}")
		    APP("Kubernetes", "b", "{}"));
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: big}}");
	wakes("t/a");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: u1.medium}}");
	wakes("t/a t/b");
	put("{apiVersion: v1, kind: Namespace, metadata: {name: other}}");
	wakes("");
	put("{apiVersion: v1, kind: Namespace, metadata: {name: t}}");
	wakes("t/a t/b");
}

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

static void a_virtual_machine_is_woken_as_an_instance_is(void)
{
	start("virtualmachine");
	put(APP("VirtualMachine", "a",
		"{instanceType: big, instanceProfile: windows, disks: [data]}")
		    APP("VirtualMachine", "gpu", "{gpus: [{name: x}]}"));
	put(KV_VM("virtual-machine-a", "[]"));
	wakes("t/a");
	put(KV_VM("vm-instance-a", "[]"));
	wakes("");
	put(MACHINE("virtual-machine-a", "[]", "{phase: Pending}"));
	wakes("t/a");
	gone(&kind_kv_vmi, "t", "virtual-machine-a");
	wakes("t/a");
	put(VOLUME("t", "vm-disk-data", "Succeeded"));
	wakes("t/a");
	gone(&kind_data_volume, "t", "vm-disk-data");
	wakes("t/a");
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("t/gpu");
	put(KUBEVIRT("", ""));
	wakes("t/gpu");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: big}}");
	wakes("t/a");
	gone(&kind_kv_instancetype, NULL, "big");
	wakes("t/a");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterPreference, metadata: {name: windows}}");
	wakes("t/a");
	gone(&kind_kv_preference, NULL, "windows");
	wakes("t/a");
}

/* Without spec or status, and with its device in the other list. */
static void machines_wake_by_either_list(void)
{
	start("vminstance");
	put("{apiVersion: apps.cozystack.io/v1alpha1, kind: VMInstance, metadata: {name: bare, namespace: t}}\n---\n" WAITING);
	put("{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: m, namespace: t}, spec: {domain: "
	    "{devices: {gpus: " HAS(L40S) "}}}, status: {phase: Scheduled, nodeName: n}}");
	wakes("t/waits");
	put("{apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, metadata: {name: m, namespace: t}, spec: {domain: "
	    "{devices: {gpus: " HAS(L40S) "}}}, status: {phase: Scheduled, nodeName: n2}}");
	wakes("t/waits");
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("t/waits");
	put(VOLUME("t", "vm-disk-x", "Succeeded"));
	wakes("");
}

static void clusters_wake_in_their_namespace_alone(void)
{
	start("kubernetes");
	put("{apiVersion: apps.cozystack.io/v1alpha1, kind: Kubernetes, metadata: {name: a, namespace: t}}\n---\n"
	    "{apiVersion: apps.cozystack.io/v1alpha1, kind: Kubernetes, metadata: {name: a, namespace: other}}");
	put(OF_CLUSTER(CAPI, "Cluster", "kubernetes-a"));
	wakes("t/a");
	put(NODE(UNIT(L40S, "26b9", "True")));
	wakes("");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: big}}");
	wakes("");
	put("{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, metadata: {name: u1.medium}}");
	wakes("t/a other/a");
	gone(&kind_kv_instancetype, NULL, "u1.medium");
	wakes("t/a other/a");
	put("{apiVersion: v1, kind: Namespace, metadata: {name: t}}");
	gone(&kind_namespace, NULL, "t");
	wakes("t/a");
}

TESTS({"node groups that get or lose GPUs wake the KubeVirt CR",
       node_groups_that_get_or_lose_gpus_wake_it},
      {"children wake by their name", children_wake_by_their_name},
      {"a VirtualMachine wakes the VMInstance of its name",
       a_virtual_machine_wakes_the_instance_of_its_name},
      {"nodes wake who looks for GPUs", nodes_wake_who_looks_for_gpus},
      {"the KubeVirt CR wakes who asks for GPUs", the_cr_wakes_who_asks_for_gpus},
      {"machines wake who waits for their GPUs", machines_wake_who_waits_for_their_gpus},
      {"disks wake who names them", disks_wake_who_names_them},
      {"images wake when they come or go", images_wake_when_they_come_or_go},
      {"instance types and preferences wake who has them", sizes_wake_who_has_them},
      {"storage classes wake who may have a system disk", classes_wake_who_may_have_a_system_disk},
      {"a disk wakes with its volume and claim", a_disk_wakes_with_its_volume_and_claim},
      {"copies wake when the original comes or goes", copies_wake_when_the_original_comes_or_goes},
      {"all of a cluster wakes it by its name", all_of_a_cluster_wakes_it_by_its_name},
      {"GPUs that come or go wake clusters that ask for some",
       gpus_that_come_or_go_wake_clusters_that_ask_for_some},
      {"instance types and namespaces wake who is of them",
       types_and_namespaces_wake_who_is_of_them},
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
       ordered_names_wake_the_cr},
      {"a VirtualMachine is woken as a VMInstance is",
       a_virtual_machine_is_woken_as_an_instance_is},
      {"machines wake by either list of their devices", machines_wake_by_either_list},
      {"clusters wake in their namespace alone", clusters_wake_in_their_namespace_alone})
