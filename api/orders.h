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

struct slot_order {
	const char *vf;	  /* PCI address of the virtual function, or of a card without them */
	const char *type; /* NVIDIA L40S-2Q */
};

struct unit_order {
	const char *id;	    /* of the unit: the PCI address of its first GPU */
	const char *device; /* "10de:26b9": what must be there, or the order is of another card */
	const char *want;   /* "host", "vfio", "vgpu"; NULL: no order about its driver */
	const char *by;	    /* who wants it, for people */
	struct opt_int vfs; /* virtual functions: how many; 0: none; unset: as they are */
	LIST(struct slot_order) slots; /* vGPUs to keep; none: what virtual machines ask for */
	const char *exclusive;	       /* resource that names this unit alone; NULL: its model's */
	const char *name;	       /* resource of its model, frozen by a claim; NULL: not */
};

struct node_orders {
	int64_t term;		      /* of the leadership that gave them; 0: none were given */
	LIST(const char *) permitted; /* vGPU types that the KubeVirt CR shows as ours to make */
	LIST(struct unit_order) units;
};

extern const struct type node_orders_type;
