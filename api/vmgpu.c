/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vmgpu.h"

#include "kube/lease.h"

#define T struct gpu_profile
static const struct field gpu_profile_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, id, "id", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, framebuffer_mib, "framebufferMiB", TYPE_INT),
	FIELD(T, max, "max", TYPE_INT),
	FIELD(T, available, "available", TYPE_INT),
	{0},
};
#undef T
static const struct type gpu_profile_type = {sizeof(struct gpu_profile), gpu_profile_fields, NULL};

#define T struct gpu_function
static const struct field gpu_function_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, role, "role", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, vendor_id, "vendorID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_id, "deviceID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, class_code, "class", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, driver, "driver", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, description, "description", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
static const struct type gpu_function_type = {sizeof(T), gpu_function_fields, NULL};
#undef T

static const struct field gpu_group_fields[] = {
	FIELD(struct gpu_group, id, "id", TYPE_INT),
	{0},
};
static const struct type gpu_group_type = {sizeof(struct gpu_group), gpu_group_fields, NULL};

#define T struct gpu_sriov
static const struct field gpu_sriov_fields[] = {
	FIELD(T, total_vfs, "totalVFs", TYPE_INT),
	FIELD(T, num_vfs, "numVFs", TYPE_INT),
	{0},
};
static const struct type gpu_sriov_type = {sizeof(T), gpu_sriov_fields, NULL};
#undef T

#define T struct gpu_slot
static const struct field gpu_slot_fields[] = {
	FIELD(T, vf, "vf", TYPE_STR),
	FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, uuid, "uuid", TYPE_STR),
	FIELD(T, holder, "holder", TYPE_STR),
	{0},
};
static const struct type gpu_slot_type = {sizeof(T), gpu_slot_fields, NULL};
#undef T

#define T struct gpu_holder
static const struct field gpu_holder_fields[] = {
	FIELD(T, ns, "namespace", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, pod, "pod", TYPE_STR),
	FIELD(T, vm, "vm", TYPE_STR),
	{0},
};
static const struct type gpu_holder_type = {sizeof(T), gpu_holder_fields, NULL};
#undef T

#define T struct gpu_unit
static const struct field gpu_unit_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, address, "address", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, resource, "resource", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, model, "model", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, aliases, "aliases", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, vendor_id, "vendorID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_id, "deviceID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, subsystem, "subsystem", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, driver, "driver", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, mode, "mode", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, vgpu_framework, "vgpuFramework", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, physical_function, "physicalFunction", TYPE_STR),
	FIELD(T, numa_node, "numaNode", TYPE_INT),
	FIELD(T, profiles, "profiles", TYPE_OBJS, .sub = &gpu_profile_type),
	FIELD(T, functions, "functions", TYPE_OBJS, .sub = &gpu_function_type),
	FIELD(T, group, "iommuGroup", TYPE_OBJ, .sub = &gpu_group_type),
	FIELD(T, sriov, "sriov", TYPE_OBJ, .sub = &gpu_sriov_type),
	FIELD(T, slots, "slots", TYPE_OBJS, .sub = &gpu_slot_type),
	FIELD(T, holder, "holder", TYPE_OBJ, .sub = &gpu_holder_type),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
#undef T
const struct type gpu_unit_type = {sizeof(struct gpu_unit), gpu_unit_fields, NULL};

#define T struct gpu_node
static const struct field gpu_node_status_fields[] = {
	FIELD(T, units, "units", TYPE_OBJS, .sub = &gpu_unit_type),
	FIELD(T, observed_term, "observedTerm", TYPE_INT),
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
static const struct type gpu_node_status_type = {sizeof(T), gpu_node_status_fields, NULL};
static const struct field gpu_node_annotation_fields[] = {
	FIELD(T, silent, SILENT_ANNOTATION, TYPE_STR),
	FIELD(T, left, LEFT_ANNOTATION, TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
static const struct type gpu_node_annotations = {sizeof(T), gpu_node_annotation_fields, NULL};
static const struct field gpu_node_metadata_fields[] = {
	FIELD_INLINE("annotations", &gpu_node_annotations),
	{0},
};
static const struct type gpu_node_metadata = {sizeof(T), gpu_node_metadata_fields, NULL};
static const struct field gpu_node_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &gpu_node_metadata),
	FIELD(T, orders, "spec", TYPE_OBJ, .sub = &node_orders_type),
	FIELD_INLINE("status", &gpu_node_status_type),
	{0},
};
static const struct type gpu_node_type = {sizeof(T), gpu_node_fields, obj_finish};
#undef T

const struct kube_kind kind_gpu_node = {
	"vmgpu.io", "v1alpha1", "GPUNode", "gpunodes", .type = &gpu_node_type,
};

const struct kube_kind kind_beat = {
	"coordination.k8s.io",
	"v1",
	"Lease",
	"leases",
	.namespaced = true,
	.builtin = true,
	.type = &lease_record_type,
	.selector = BEAT_LABEL,
};
