/* SPDX-License-Identifier: Apache-2.0 */
#include "api/orders.h"

#define T struct unit_order
static const struct field unit_order_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, device, "device", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, want, "want", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, by, "by", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
#undef T
static const struct type unit_order_type = {sizeof(struct unit_order), unit_order_fields, NULL};

#define T struct node_orders
static const struct field node_orders_fields[] = {
	FIELD(T, term, "term", TYPE_INT),
	FIELD(T, units, "units", TYPE_OBJS, .sub = &unit_order_type),
	{0},
};
#undef T
const struct type node_orders_type = {sizeof(struct node_orders), node_orders_fields, NULL};
