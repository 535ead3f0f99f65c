/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_report.h: the node's GPUNode: made when it is not there, owned by the Node; its status
 * written when it differs from the machine. Pure. The daemon reads and writes no other object (its
 * Lease aside: beat.h), and of this one it never writes the spec.
 */
#pragma once

#include "api/orders.h"
#include "kube/plan.h"
#include "node-daemon/report.h"

/* What the daemon writes is told apart from what the controller applies to the same object. */
#define REPORT_MANAGER "vmgpu-node"

/* Our own GPUNode, with its status whole: to see what must change, and when conditions last did. */
struct own_node {
	struct obj obj;
	const struct node_orders *orders; /* spec, NULL: none */
	const struct status *status;
};
extern const struct kube_kind kind_own_node;

struct report_seen {
	const struct own_node *have; /* NULL: not there */
	const char *name;
	const char *node_uid; /* of the Node, NULL: not known yet */
	const struct machine *machine;
	struct report_facts facts;
	int64_t now_ms;
};

void plan_report(const void *seen, struct plan *plan);
/* The plan cannot go on without the uid of the Node. */
bool plan_report_wants_uid(const struct own_node *have);
