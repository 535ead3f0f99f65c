/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_pool.h: GPUPool.status: what became of a pool, told from the GPUNodes. Pure.
 *
 * Nothing else is written here: the orders for a pool's cards are plan_node.c's, by pool_order.c.
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_gpu_pool;
