/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orders_inner.h: the part of an order that cuts a card. Private to orders.c and orders_cut.c.
 */
#pragma once

#include "node-daemon/orders.h"

/* Fills vfs and slots of ret, whose unit and want are there. NULL: they are obeyed; else why not. */
const char *order_cut(const struct unit_order *given, const struct unit_list *units,
		      struct arena *a, struct order *ret);
