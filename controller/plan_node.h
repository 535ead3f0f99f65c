/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_node.h: what each node's GPUs shall be: GPUNode.spec from what the node reports. Pure.
 *
 * What PCIDeviceClaim, SRIOVGPUDevice and VGPUDevice objects ask for comes first (node_claims.h),
 * then what GPUPools do (pool.h). The default policy takes of the rest only what nobody else has: units
 * that no driver has, or that stand on vfio-pci already, unless another device plugin of the node gives
 * them out, or the gpu-operator has the node (node_operator.h), which a mark says. An order stays while its card is there, so that nothing is written when a
 * virtual machine takes the card or gives it back.
 *
 * A node whose daemon's beat has stopped (beats.h) is marked by an annotation with the time since
 * when, and unmarked when it beats again. The mark is what all plans go by, and what people see: the
 * status is the daemon's alone, the spec is what it is to obey, and a mark outlives whoever made it:
 * the next leader, who knows nothing yet, leaves it as it stands. A silent node keeps its orders and
 * its report; what is free on it is not counted (inventory.c).
 *
 * Orders carry the term of our leadership (pass.term), which is written to every node with orders
 * as soon as we lead: from then on the API server refuses what a former leader may still send (the
 * CEL rule of the CRD), and a daemon obeys no lower one.
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_node;

/* The highest term that any node knows; obeyed: that one has obeyed. */
int64_t node_top_term(const struct cache *c, bool obeyed);
