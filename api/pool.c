/* SPDX-License-Identifier: Apache-2.0 */
#include "api/pool.h"

#define T struct pool_requirement
static const struct field requirement_fields[] = {
	FIELD(T, key, "key", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, op, "operator", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, values, "values", TYPE_STRS, .flags = TYPE_INTERN),
	{0},
};
static const struct type requirement_type = {sizeof(T), requirement_fields, NULL};
#undef T

#define T struct pool_selector
static const struct field selector_fields[] = {
	FIELD(T, labels, "matchLabels", TYPE_MAP, .flags = TYPE_INTERN),
	FIELD(T, expressions, "matchExpressions", TYPE_OBJS, .sub = &requirement_type),
	{0},
};
static const struct type selector_type = {sizeof(T), selector_fields, NULL};
#undef T

#define T struct pool_layout
static const struct field layout_fields[] = {
	FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, count, "count", TYPE_INT),
	{0},
};
static const struct type layout_type = {sizeof(T), layout_fields, NULL};
#undef T

#define T struct gpu_pool_spec
static const struct field spec_fields[] = {
	FIELD(T, use, "use", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, gpus, "gpus", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, node_names, "nodeNames", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, node_selector, "nodeSelector", TYPE_OBJ, .sub = &selector_type),
	FIELD(T, layout, "layout", TYPE_OBJS, .sub = &layout_type),
	FIELD(T, priority, "priority", TYPE_INT),
	{0},
};
const struct type gpu_pool_spec_type = {sizeof(T), spec_fields, NULL};
#undef T

#define T struct gpu_pool_status
#define COUNT(member, key) FIELD(T, member, key, TYPE_INT, .flags = TYPE_KEEP_ZERO)
static const struct field status_fields[] = {
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	COUNT(gpus, "gpus"),
	COUNT(ready_gpus, "readyGPUs"),
	COUNT(in_use, "inUse"),
	COUNT(nodes, "nodes"),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
const struct type gpu_pool_status_type = {sizeof(T), status_fields, NULL};
#undef COUNT
#undef T

#define T struct gpu_pool
static const struct field gpu_pool_fields[] = {
	OBJ_METADATA,
	FIELD(T, spec, "spec", TYPE_OBJ, .sub = &gpu_pool_spec_type),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &gpu_pool_status_type),
	{0},
};
static const struct type gpu_pool_type = {sizeof(T), gpu_pool_fields, obj_finish};
#undef T

const struct kube_kind kind_gpu_pool = {
	"vmgpu.io", "v1alpha1", "GPUPool", "gpupools", .type = &gpu_pool_type,
};
