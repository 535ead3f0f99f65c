/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orders.h: GPUNode.spec: what a node's units shall be. The controller writes it (controller/plan_node.c),
 * the daemon obeys it (node-daemon/orders.c); both have it from here. Contract:
 * crds/vmgpu.io_gpunodes.yaml.
 *
 * Only what is named is ordered: a unit that is not listed is left as it is.
 */
#pragma once

#include "kube/kind.h"

struct unit_order {
	const char *id;	    /* of the unit: the PCI address of its first GPU */
	const char *device; /* "10de:26b9": what must be there, or the order is of another card */
	const char *want;   /* "host", "vfio", "vgpu"; NULL: no order about its driver */
	const char *by;	    /* who wants it, for people */
};

struct node_orders {
	int64_t term; /* of the leadership that gave them; 0: none were given */
	LIST(struct unit_order) units;
};

extern const struct type node_orders_type;
