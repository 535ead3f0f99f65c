/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_node.h: what each node's GPUs shall be: GPUNode.spec from what the node reports. Pure.
 *
 * What PCIDeviceClaim, SRIOVGPUDevice and VGPUDevice objects ask for comes first (node_claims.h),
 * then what GPUPools do (pool.h). The default policy takes of the rest only what nobody else has: units
 * that no driver has, or that stand on vfio-pci already. An order stays while its card is there, so that nothing is written when a
 * virtual machine takes the card or gives it back.
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
