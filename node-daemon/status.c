/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/status.h"

#define T struct status_summary
static const struct field summary_fields[] = {
	FIELD(T, gpus, "gpus", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, in_use, "inUse", TYPE_OPT_INT),
	FIELD(T, names, "names", TYPE_STR),
	FIELD(T, modes, "modes", TYPE_STR),
	FIELD(T, drivers, "drivers", TYPE_STR),
	FIELD(T, groups, "groups", TYPE_STR),
	{0},
};
static const struct type summary_type = {sizeof(T), summary_fields, NULL};
#undef T

#define T struct status_node_info
static const struct field node_info_fields[] = {
	FIELD(T, kernel, "kernel", TYPE_STR),
	FIELD(T, iommu, "iommu", TYPE_STR),
	FIELD(T, versions, "versions", TYPE_MAP),
	{0},
};
static const struct type node_info_type = {sizeof(T), node_info_fields, NULL};
#undef T

#define T struct status_function
static const struct field function_fields[] = {
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, role, "role", TYPE_STR),
	FIELD(T, vendor_id, "vendorID", TYPE_STR),
	FIELD(T, device_id, "deviceID", TYPE_STR),
	FIELD(T, class_code, "class", TYPE_STR),
	FIELD(T, driver, "driver", TYPE_STR, .flags = TYPE_KEEP_ZERO),
	FIELD(T, description, "description", TYPE_STR),
	{0},
};
static const struct type function_type = {sizeof(T), function_fields, NULL};
#undef T

#define T struct status_group
static const struct field group_fields[] = {
	FIELD(T, id, "id", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, members, "members", TYPE_STRS),
	{0},
};
static const struct type group_type = {sizeof(T), group_fields, NULL};
#undef T

#define T struct status_sriov
static const struct field sriov_fields[] = {
	FIELD(T, total_vfs, "totalVFs", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, num_vfs, "numVFs", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	{0},
};
static const struct type sriov_type = {sizeof(T), sriov_fields, NULL};
#undef T

#define T struct status_link
static const struct field link_fields[] = {
	FIELD(T, unit, "unit", TYPE_STR),
	FIELD(T, kind, "kind", TYPE_STR),
	FIELD(T, lanes, "lanes", TYPE_INT),
	{0},
};
static const struct type link_type = {sizeof(T), link_fields, NULL};
#undef T

#define T struct status_profile
static const struct field profile_fields[] = {
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, framebuffer_mib, "framebufferMiB", TYPE_INT),
	FIELD(T, max, "max", TYPE_INT),
	FIELD(T, available, "available", TYPE_INT),
	{0},
};
static const struct type profile_type = {sizeof(T), profile_fields, NULL};
#undef T

#define T struct status_slot
static const struct field slot_fields[] = {
	FIELD(T, vf, "vf", TYPE_STR),
	FIELD(T, type, "type", TYPE_STR),
	FIELD(T, uuid, "uuid", TYPE_STR),
	FIELD(T, holder, "holder", TYPE_STR),
	{0},
};
static const struct type slot_type = {sizeof(T), slot_fields, NULL};
#undef T

#define T struct status_holder
static const struct field holder_fields[] = {
	FIELD(T, ns, "namespace", TYPE_STR),
	FIELD(T, pod, "pod", TYPE_STR),
	FIELD(T, vm, "vm", TYPE_STR),
	{0},
};
static const struct type holder_type = {sizeof(T), holder_fields, NULL};
#undef T

#define T struct status_reset
static const struct field reset_fields[] = {
	FIELD(T, method, "method", TYPE_STR),
	FIELD(T, at, "at", TYPE_STR),
	FIELD(T, ms, "milliseconds", TYPE_INT),
	{0},
};
static const struct type reset_type = {sizeof(T), reset_fields, NULL};
#undef T

#define T struct status_unit
static const struct field unit_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, address, "address", TYPE_STR),
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, resource, "resource", TYPE_STR),
	FIELD(T, model, "model", TYPE_STR),
	FIELD(T, aliases, "aliases", TYPE_STRS),
	FIELD(T, vendor_id, "vendorID", TYPE_STR),
	FIELD(T, device_id, "deviceID", TYPE_STR),
	FIELD(T, subsystem, "subsystem", TYPE_STR),
	FIELD(T, class_code, "class", TYPE_STR),
	FIELD(T, boot_display, "bootDisplay", TYPE_BOOL),
	FIELD(T, physical_function, "physicalFunction", TYPE_STR),
	FIELD(T, functions, "functions", TYPE_OBJS, .sub = &function_type),
	FIELD(T, group, "iommuGroup", TYPE_OBJ, .sub = &group_type),
	FIELD(T, numa_node, "numaNode", TYPE_OPT_INT),
	FIELD(T, driver, "driver", TYPE_STR, .flags = TYPE_KEEP_ZERO),
	FIELD(T, mode, "mode", TYPE_STR),
	FIELD(T, vgpu_framework, "vgpuFramework", TYPE_STR),
	FIELD(T, sriov, "sriov", TYPE_OBJ, .sub = &sriov_type),
	FIELD(T, links, "links", TYPE_OBJS, .sub = &link_type),
	FIELD(T, profiles, "profiles", TYPE_OBJS, .sub = &profile_type),
	FIELD(T, slots, "slots", TYPE_OBJS, .sub = &slot_type),
	FIELD(T, served_by, "servedBy", TYPE_STR),
	FIELD(T, holder, "holder", TYPE_OBJ, .sub = &holder_type),
	FIELD(T, last_reset, "lastReset", TYPE_OBJ, .sub = &reset_type),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
static const struct type unit_type = {sizeof(T), unit_fields, NULL};
#undef T

#define T struct status
static const struct field status_fields[] = {
	FIELD(T, observed_term, "observedTerm", TYPE_INT),
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, summary, "summary", TYPE_OBJ, .sub = &summary_type),
	FIELD(T, node_info, "nodeInfo", TYPE_OBJ, .sub = &node_info_type),
	FIELD(T, units, "units", TYPE_OBJS, .flags = TYPE_KEEP_ZERO, .sub = &unit_type),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
const struct type status_type = {sizeof(T), status_fields, NULL};
#undef T
