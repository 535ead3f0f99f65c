/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_operator.h: which nodes NVIDIA's gpu-operator has: where it runs a device plugin, or is about
 * to. Pure; lent from the cache.
 *
 * Its DaemonSets pick their nodes by labels that it puts on each Node for itself (nvidia.md 3.1). The
 * labels outlive it, the DaemonSets do not: both together mean that a plugin comes, long before it
 * has brought a driver and registered (node-daemon/rivals.h), and after each boot anew. Cards that no
 * driver has meanwhile would else be taken from under it.
 */
#pragma once

#include "kube/plan.h"

struct gpu_node;
struct gpu_unit;

/* The DaemonSet that has the node, NULL: none has, or nothing there is NVIDIA's. */
const char *node_operator_has(const struct cache *c, const struct gpu_node *n);
/* One of its cards. */
bool node_operator_is_its(const struct gpu_unit *u);

/* Wakes the nodes' orders. */
void node_operator_by_node(const struct cache *c, const struct obj *old, const struct obj *now,
			   wake_fn *wake, void *ctx);
void node_operator_by_set(const struct cache *c, const struct obj *old, const struct obj *now,
			  wake_fn *wake, void *ctx);
