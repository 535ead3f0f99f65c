/* SPDX-License-Identifier: Apache-2.0 */
#include "api/harvester.h"

#define NODENAME(T) FIELD(T, nodename, "nodename", TYPE_STR, .flags = TYPE_INTERN)
#define PARENT(T) FIELD(T, parent, HARVESTER_PARENT_LABEL, TYPE_STR, .flags = TYPE_INTERN)
#define CONDITIONS(T) FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type)
#define DEVICE(kind_, plural_, type_)                                                              \
	{                                                                                          \
		"devices.harvesterhci.io", "v1beta1", kind_, plural_, .type = (type_)              \
	}

/* --- PCIDevice -------------------------------------------------------------------------------- */

#define T struct pci_device_status
static const struct field pci_device_status_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, vendor_id, "vendorId", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_id, "deviceId", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, class_id, "classId", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, iommu_group, "iommuGroup", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, node_name, "nodeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, resource_name, "resourceName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, description, "description", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, driver, "kernelDriverInUse", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
const struct type pci_device_status_type = {sizeof(T), pci_device_status_fields, NULL};
#undef T

#define T struct pci_device
static const struct field pci_device_label_fields[] = {NODENAME(T), PARENT(T), {0}};
static const struct type pci_device_labels = {sizeof(T), pci_device_label_fields, NULL};
static const struct field pci_device_annotation_fields[] = {
	FIELD(T, first_driver, HARVESTER_DRIVER_ANNOTATION, TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, override_to, HARVESTER_OVERRIDE_ANNOTATION, TYPE_STR),
	{0},
};
static const struct type pci_device_annotations = {sizeof(T), pci_device_annotation_fields, NULL};
static const struct field pci_device_metadata_fields[] = {
	FIELD_INLINE("labels", &pci_device_labels),
	FIELD_INLINE("annotations", &pci_device_annotations),
	{0},
};
static const struct type pci_device_metadata = {sizeof(T), pci_device_metadata_fields, NULL};
static const struct field pci_device_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &pci_device_metadata),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &pci_device_status_type),
	{0},
};
static const struct type pci_device_type = {sizeof(T), pci_device_fields, obj_finish};
#undef T

/* --- PCIDeviceClaim --------------------------------------------------------------------------- */

#define T struct pci_claim_spec
static const struct field pci_claim_spec_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, node_name, "nodeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, user_name, "userName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, not_pooled, "disableResourcePooling", TYPE_BOOL),
	{0},
};
const struct type pci_claim_spec_type = {sizeof(T), pci_claim_spec_fields, NULL};
#undef T

#define T struct pci_claim_status
static const struct field pci_claim_status_fields[] = {
	FIELD(T, driver, "kernelDriverToUnbind", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, passthrough, "passthroughEnabled", TYPE_BOOL),
	CONDITIONS(T),
	{0},
};
const struct type pci_claim_status_type = {sizeof(T), pci_claim_status_fields, NULL};
#undef T

#define T struct pci_claim
static const struct field pci_claim_metadata_fields[] = {
	FIELD(T, finalizers, "finalizers", TYPE_STRS, .flags = TYPE_INTERN),
	{0},
};
static const struct type pci_claim_metadata = {sizeof(T), pci_claim_metadata_fields, NULL};
static const struct field pci_claim_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &pci_claim_metadata),
	FIELD(T, spec, "spec", TYPE_OBJ, .sub = &pci_claim_spec_type),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &pci_claim_status_type),
	{0},
};
static const struct type pci_claim_type = {sizeof(T), pci_claim_fields, obj_finish};
#undef T

/* --- SRIOVGPUDevice --------------------------------------------------------------------------- */

#define T struct sriov_gpu_spec
static const struct field sriov_gpu_spec_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, node_name, "nodeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, enabled, "enabled", TYPE_BOOL),
	{0},
};
const struct type sriov_gpu_spec_type = {sizeof(T), sriov_gpu_spec_fields, NULL};
#undef T

#define T struct sriov_gpu_status
static const struct field sriov_gpu_status_fields[] = {
	FIELD(T, vf_addresses, "vfAddresses", TYPE_STRS),
	FIELD(T, vgpu_devices, "vGPUDevices", TYPE_STRS),
	CONDITIONS(T),
	{0},
};
const struct type sriov_gpu_status_type = {sizeof(T), sriov_gpu_status_fields, NULL};
#undef T

#define T struct sriov_gpu
static const struct field sriov_gpu_label_fields[] = {NODENAME(T), {0}};
static const struct type sriov_gpu_labels = {sizeof(T), sriov_gpu_label_fields, NULL};
static const struct field sriov_gpu_annotation_fields[] = {
	FIELD(T, count, SRIOV_COUNT_ANNOTATION, TYPE_STR),
	{0},
};
static const struct type sriov_gpu_annotations = {sizeof(T), sriov_gpu_annotation_fields, NULL};
static const struct field sriov_gpu_metadata_fields[] = {
	FIELD_INLINE("labels", &sriov_gpu_labels),
	FIELD_INLINE("annotations", &sriov_gpu_annotations),
	{0},
};
static const struct type sriov_gpu_metadata = {sizeof(T), sriov_gpu_metadata_fields, NULL};
static const struct field sriov_gpu_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &sriov_gpu_metadata),
	FIELD(T, spec, "spec", TYPE_OBJ, .sub = &sriov_gpu_spec_type),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &sriov_gpu_status_type),
	{0},
};
static const struct type sriov_gpu_type = {sizeof(T), sriov_gpu_fields, obj_finish};
#undef T

/* --- VGPUDevice ------------------------------------------------------------------------------- */

#define T struct vgpu_device_spec
static const struct field vgpu_device_spec_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, node_name, "nodeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, parent_address, "parentGPUDeviceAddress", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, type_name, "vGPUTypeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, enabled, "enabled", TYPE_BOOL),
	{0},
};
const struct type vgpu_device_spec_type = {sizeof(T), vgpu_device_spec_fields, NULL};
#undef T

#define T struct vgpu_device_status
static const struct field vgpu_device_status_fields[] = {
	FIELD(T, available, "availableTypes", TYPE_MAP, .flags = TYPE_INTERN),
	FIELD(T, type_name, "configureVGPUTypeName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, uuid, "uuid", TYPE_STR),
	FIELD(T, state, "vGPUStatus", TYPE_STR, .flags = TYPE_INTERN),
	CONDITIONS(T),
	{0},
};
const struct type vgpu_device_status_type = {sizeof(T), vgpu_device_status_fields, NULL};
#undef T

#define T struct vgpu_device
static const struct field vgpu_device_label_fields[] = {NODENAME(T), PARENT(T), {0}};
static const struct type vgpu_device_labels = {sizeof(T), vgpu_device_label_fields, NULL};
static const struct field vgpu_device_metadata_fields[] = {
	FIELD_INLINE("labels", &vgpu_device_labels),
	FIELD(T, finalizers, "finalizers", TYPE_STRS, .flags = TYPE_INTERN),
	{0},
};
static const struct type vgpu_device_metadata = {sizeof(T), vgpu_device_metadata_fields, NULL};
static const struct field vgpu_device_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &vgpu_device_metadata),
	FIELD(T, spec, "spec", TYPE_OBJ, .sub = &vgpu_device_spec_type),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &vgpu_device_status_type),
	{0},
};
static const struct type vgpu_device_type = {sizeof(T), vgpu_device_fields, obj_finish};
#undef T

const struct kube_kind kind_pci_device = DEVICE("PCIDevice", "pcidevices", &pci_device_type);
const struct kube_kind kind_pci_claim =
	DEVICE("PCIDeviceClaim", "pcideviceclaims", &pci_claim_type);
const struct kube_kind kind_sriov_gpu =
	DEVICE("SRIOVGPUDevice", "sriovgpudevices", &sriov_gpu_type);
const struct kube_kind kind_vgpu_device = DEVICE("VGPUDevice", "vgpudevices", &vgpu_device_type);
