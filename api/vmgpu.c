/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vmgpu.h"

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

#define T struct gpu_unit
static const struct field gpu_unit_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, address, "address", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, model, "model", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, aliases, "aliases", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, vendor_id, "vendorID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_id, "deviceID", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, driver, "driver", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, mode, "mode", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, vgpu_framework, "vgpuFramework", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, numa_node, "numaNode", TYPE_INT),
	FIELD(T, profiles, "profiles", TYPE_OBJS, .sub = &gpu_profile_type),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
#undef T
static const struct type gpu_unit_type = {sizeof(struct gpu_unit), gpu_unit_fields, NULL};

#define T struct gpu_node
static const struct field gpu_node_status_fields[] = {
	FIELD(T, units, "units", TYPE_OBJS, .sub = &gpu_unit_type),
	FIELD(T, observed_term, "observedTerm", TYPE_INT),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
static const struct type gpu_node_status_type = {sizeof(T), gpu_node_status_fields, NULL};
static const struct field gpu_node_fields[] = {
	OBJ_METADATA,
	FIELD(T, orders, "spec", TYPE_OBJ, .sub = &node_orders_type),
	FIELD_INLINE("status", &gpu_node_status_type),
	{0},
};
static const struct type gpu_node_type = {sizeof(T), gpu_node_fields, obj_finish};
#undef T

const struct kube_kind kind_gpu_node = {
	"vmgpu.io", "v1alpha1", "GPUNode", "gpunodes", .type = &gpu_node_type,
};

#define T struct gpu_pool
static const struct field gpu_pool_fields[] = {
	OBJ_METADATA,
	FIELD(T, spec, "spec", TYPE_RAW),
	{0},
};
#undef T
static const struct type gpu_pool_type = {sizeof(struct gpu_pool), gpu_pool_fields, obj_finish};

const struct kube_kind kind_gpu_pool = {
	"vmgpu.io", "v1alpha1", "GPUPool", "gpupools", .type = &gpu_pool_type,
};
