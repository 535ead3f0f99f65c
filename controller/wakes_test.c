/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes which object: the watches of the plans but that of the KubeVirt CR (vm_wake.c,
 * plan_disk.c, cluster_wake.c).
 */
#include "controller/wakes_test.h"

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

TESTS({"children wake by their name", children_wake_by_their_name},
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
      {"a VirtualMachine is woken as a VMInstance is",
       a_virtual_machine_is_woken_as_an_instance_is},
      {"machines wake by either list of their devices", machines_wake_by_either_list},
      {"clusters wake in their namespace alone", clusters_wake_in_their_namespace_alone})
