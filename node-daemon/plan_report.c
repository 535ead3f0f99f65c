/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_report.h"

#define T struct own_node
static const struct field own_node_fields[] = {
	OBJ_METADATA,
	FIELD(T, orders, "spec", TYPE_OBJ, .sub = &node_orders_type),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &status_type),
	{0},
};
static const struct type own_node_type = {sizeof(T), own_node_fields, obj_finish};
#undef T

const struct kube_kind kind_own_node = {
	"vmgpu.io", "v1alpha1", "GPUNode", "gpunodes", .type = &own_node_type,
};

bool plan_report_wants_uid(const struct own_node *have)
{
	return !have || (!have->obj.deleting && !have->obj.owner_uid);
}

/* An apply of the owner alone: makes the object, or adds the owner to one that somebody made
 * without. */
static void plan_object(const struct report_seen *seen, struct plan *plan)
{
	json_t *body = json_pack("{s:{s:s, s:[{s:s, s:s, s:s, s:s}]}}", "metadata", "name",
				 seen->name, "ownerReferences", "apiVersion", "v1", "kind", "Node",
				 "name", seen->name, "uid", seen->node_uid);

	plan_apply(plan, &kind_own_node, REPORT_MANAGER, body,
		   seen->have ? "the GPUNode goes when its Node goes"
			      : "this node has no GPUNode yet");
}

void plan_report(const void *ctx, struct plan *plan)
{
	const struct report_seen *seen = ctx;
	struct action *a;
	struct status s;

	if (plan_report_wants_uid(seen->have) && seen->node_uid) {
		plan_object(seen, plan);
	}
	if (!seen->have || seen->have->obj.deleting) {
		return;
	}
	report(seen->machine, &seen->facts, seen->have->status, seen->now_ms, plan->arena, &s);
	a = plan_status_of(plan, &kind_own_node, &seen->have->obj, &status_type, seen->have->status,
			   &s,
			   seen->facts.blind ? "the machine could not be looked at"
					     : "the machine has changed");
	if (a) {
		a->manager = REPORT_MANAGER;
	}
}
