/* SPDX-License-Identifier: Apache-2.0 */
#include "api/orders.h"

#define T struct slot_order
static const struct field slot_order_fields[] = {
	FIELD(T, vf, "vf", TYPE_STR),
	FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
#undef T
static const struct type slot_order_type = {sizeof(struct slot_order), slot_order_fields, NULL};

#define T struct unit_order
static const struct field unit_order_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, device, "device", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, want, "want", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, by, "by", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, vfs, "vfs", TYPE_OPT_INT),
	FIELD(T, slots, "slots", TYPE_OBJS, .sub = &slot_order_type),
	FIELD(T, exclusive, "exclusive", TYPE_STR),
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
#undef T
static const struct type unit_order_type = {sizeof(struct unit_order), unit_order_fields, NULL};

#define T struct node_orders
static const struct field node_orders_fields[] = {
	FIELD(T, term, "term", TYPE_INT),
	FIELD(T, permitted, "permittedTypes", TYPE_STRS, .flags = TYPE_INTERN),
	FIELD(T, units, "units", TYPE_OBJS, .sub = &unit_order_type),
	{0},
};
#undef T
const struct type node_orders_type = {sizeof(struct node_orders), node_orders_fields, NULL};
