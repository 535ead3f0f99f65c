/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kinds.h"

#include "api/apps.h"
#include "api/capi.h"
#include "api/harvester.h"
#include "api/kubevirt.h"
#include "api/pool.h"
#include "api/vmgpu.h"
#include "controller/plan_cluster.h"
#include "controller/plan_device.h"
#include "controller/plan_disk.h"
#include "controller/plan_node.h"
#include "controller/plan_permit.h"
#include "controller/plan_pool.h"
#include "controller/plan_vm.h"

const struct kube_kind *const controller_kinds[] = {
	&kind_crd,
	&kind_virtual_machine,
	&kind_vm_instance,
	&kind_vm_disk,
	&kind_kubernetes,
	&kind_node,
	&kind_gpu_node,
	&kind_gpu_pool,
	&kind_beat,
	&kind_daemon_set,
	&kind_pci_device,
	&kind_pci_claim,
	&kind_sriov_gpu,
	&kind_vgpu_device,
	&kind_kv_vm,
	&kind_kv_vmi,
	&kind_kv_config,
	&kind_kv_instancetype,
	&kind_kv_preference,
	&kind_data_volume,
	&kind_service,
	&kind_secret,
	&kind_pvc,
	&kind_storage_class,
	&kind_namespace,
	&kind_capi_cluster,
	&kind_capi_control_plane,
	&kind_capi_kubevirt_cluster,
	&kind_capi_bootstrap,
	&kind_capi_machine_template,
	&kind_capi_machine_deployment,
	&kind_capi_machine_health_check,
	&kind_capi_machine_set,
	&kind_capi_machine,
	&kind_flux_release,
	&kind_flux_repository,
	NULL,
};

const struct reconciler *const controller_reconcilers[] = {
	&reconcile_virtual_machine, &reconcile_vm_instance, &reconcile_vm_disk,
	&reconcile_kubernetes,	    &reconcile_permit,	    &reconcile_node,
	&reconcile_gpu_pool,	    &reconcile_pci_device,  &reconcile_pci_claim,
	&reconcile_sriov_gpu,	    &reconcile_vgpu_device, NULL,
};
