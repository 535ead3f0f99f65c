/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and published schemas agree, so neither can drift. */
#include "api/apps.h"
#include "api/crd_test.h"
#include "api/vmgpu.h"

static void vm(void)
{
	agree("crds/apps.cozystack.io_virtualmachines.yaml", "spec", &vm_spec_type, false);
	agree("crds/apps.cozystack.io_virtualmachines.yaml", "status", &vm_status_type, false);
}

static void vm_instance(void)
{
	agree("crds/apps.cozystack.io_vminstances.yaml", "spec", &vm_spec_type, false);
	agree("crds/apps.cozystack.io_vminstances.yaml", "status", &vm_status_type, false);
}

static void vm_disk(void)
{
	agree("crds/apps.cozystack.io_vmdisks.yaml", "spec", &vm_disk_spec_type, false);
	agree("crds/apps.cozystack.io_vmdisks.yaml", "status", &vm_disk_status_type, false);
}

static void kubernetes(void)
{
	agree("crds/apps.cozystack.io_kuberneteses.yaml", "spec", &cluster_spec_type, false);
	agree("crds/apps.cozystack.io_kuberneteses.yaml", "status", &cluster_status_type, false);
}

static void gpu_node(void)
{
	const struct field *status = kind_gpu_node.type->fields;

	while (!str_eq(status->key, "status")) {
		status++;
	}
	agree("crds/vmgpu.io_gpunodes.yaml", "status", status->sub, true);
}

TESTS({"VirtualMachine: table and CRD agree", vm}, {"VMInstance: table and CRD agree", vm_instance},
      {"VMDisk: table and CRD agree", vm_disk}, {"Kubernetes: table and CRD agree", kubernetes},
      {"GPUNode: the controller's view is part of the CRD", gpu_node})
