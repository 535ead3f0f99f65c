/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_node.h"

#include "api/vmgpu.h"
#include "controller/options.h"

#define BY_DEFAULT "the default policy: no driver of the host has it"
#define BY_UNUSED "--take-gpus=unused: nobody on the host is to use it"

struct node_seen {
	const struct pass *pass;
	const struct options *options;
	const struct gpu_node *node;
};

int64_t node_top_term(const struct cache *c, bool obeyed)
{
	const struct obj *o = NULL;
	int64_t top = 0;

	while ((o = cache_next(c, &kind_gpu_node, o))) {
		const struct gpu_node *n = (const struct gpu_node *)o;

		top = MAX(top, n->observed_term);
		top = MAX(top, n->orders && !obeyed ? n->orders->term : 0);
	}
	return top;
}

/* --- gather ----------------------------------------------------------------------------------- */

static const void *gather(const struct pass *pass)
{
	const struct gpu_node *node = cache_get(pass->cache, &kind_gpu_node, NULL, pass->key.name);
	struct node_seen *s;

	if (!node || node->obj.deleting || !pass->term ||
	    (node->orders && node->orders->term > pass->term)) {
		return NULL; /* the last: who leads now gives the orders */
	}
	s = arena_new(pass->arena, struct node_seen);
	*s = (struct node_seen){pass, pass->options, node};
	return s;
}

/* --- policy ----------------------------------------------------------------------------------- */

static const char *device_of(const struct gpu_unit *u, struct arena *a)
{
	return arena_printf(a, "%s:%s", u->vendor_id, u->device_id);
}

static const struct unit_order *order_of(const struct node_orders *orders, const char *id)
{
	for (size_t i = 0; orders && i < orders->units.n; i++) {
		if (str_eq(orders->units.items[i].id, id)) {
			return &orders->units.items[i];
		}
	}
	return NULL;
}

static bool is_nobodys(const struct gpu_unit *u)
{
	const struct condition *c = condition_find(&u->conditions, "Available");

	return c && str_eq(c->status, "True") &&
	       (str_eq(c->reason, "Unbound") || str_eq(c->reason, "Idle"));
}

/* Whether anybody uses it only its daemon sees, right before it takes it. */
static bool is_hosts(const struct gpu_unit *u)
{
	const struct condition *c = condition_find(&u->conditions, "Available");

	return c && str_eq(c->status, "False") && str_eq(c->reason, "HostDriver");
}

/* Who wants it, NULL: nobody. What was ordered once stays so, whatever its daemon says of it since;
 * but what the host still has when it is to be left to it. */
static const char *taken_by(const struct node_seen *s, const struct gpu_unit *u)
{
	const struct unit_order *before = order_of(s->node->orders, u->id);
	bool unused = s->options->take == OPTIONS_TAKE_UNUSED;

	if (s->options->take == OPTIONS_TAKE_NONE) {
		return NULL;
	}
	if (before && str_eq(before->device, device_of(u, s->pass->arena))) {
		bool by_unused = str_eq(before->by, BY_UNUSED);

		return !by_unused			    ? BY_DEFAULT
		       : unused || !str_eq(u->mode, "host") ? BY_UNUSED
							    : NULL;
	}
	return is_nobodys(u) ? BY_DEFAULT : unused && is_hosts(u) ? BY_UNUSED : NULL;
}

/* --- plan ------------------------------------------------------------------------------------- */

static json_t *orders(const struct node_seen *s)
{
	json_t *units = json_array();

	list_each(u, &s->node->units) {
		const char *by = taken_by(s, u);

		if (by) {
			json_array_append_new(units,
					      json_pack("{s:s, s:s, s:s, s:s}", "id", u->id,
							"device", device_of(u, s->pass->arena),
							"want", "vfio", "by", by));
		}
	}
	return units;
}

/* With the uid: a GPUNode that its daemon has not made yet must not be made here, without owner. */
static void plan(const void *ctx, struct plan *plan)
{
	const struct node_seen *s = ctx;
	json_t *units = orders(s);

	if (!json_array_size(units) && !s->node->orders) {
		json_decref(units);
		return; /* nothing to order, and never was */
	}
	plan_apply(plan, &kind_gpu_node, OBJ_MANAGER,
		   json_pack("{s:{s:s, s:s}, s:{s:I, s:o}}", "metadata", "name", s->node->obj.name,
			     "uid", s->node->obj.uid, "spec", "term", (json_int_t)s->pass->term,
			     "units", units),
		   "what the GPUs of this node shall be");
}

const struct reconciler reconcile_node = {
	.name = "node", .primary = &kind_gpu_node, .gather = gather, .plan = plan};
