/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_node.h"

#include <stdlib.h>
#include <string.h>

#include "api/vmgpu.h"
#include "base/clock.h"
#include "controller/beats.h"
#include "controller/cr.h"
#include "controller/node_claims.h"
#include "controller/node_operator.h"
#include "controller/options.h"
#include "controller/pool.h"

#define PERMITTED_MAX 1024 /* as the CRD has it */
#define BY_DEFAULT "the default policy: no driver of the host has it"
#define BY_UNUSED "--take-gpus=unused: nobody on the host is to use it"

struct node_seen {
	const struct pass *pass;
	const struct options *options;
	const struct gpu_node *node;
	const char *left; /* what of the gpu-operator has the node, or NULL */
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
	*s = (struct node_seen){pass, pass->options, node, node_operator_has(pass->cache, node)};
	return s;
}

/* --- policy ----------------------------------------------------------------------------------- */

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

/* Another device plugin of the node gives it out, most often to containers. */
static bool is_anothers(const struct gpu_unit *u)
{
	const struct condition *c = condition_find(&u->conditions, "Available");

	return c && str_eq(c->reason, "ServedByOther");
}

/* What the claims of objects and pools leave to it: who wants it, NULL: nobody. What was ordered once stays
 * so, whatever its daemon says of it since; but what the host still has when it is to be left to
 * it, or to a plugin that came before it was taken. */
static const char *taken_by(const struct node_seen *s, const struct gpu_unit *u)
{
	const struct unit_order *before = claims_standing(s->node, u->id);
	bool unused = s->options->take == OPTIONS_TAKE_UNUSED;

	if (s->options->take == OPTIONS_TAKE_NONE) {
		return NULL;
	}
	if (before && str_eq(before->want, "vfio") &&
	    str_eq(before->device, claims_device(s->pass->arena, u))) {
		bool by_unused = str_eq(before->by, BY_UNUSED);

		if (is_anothers(u) && str_eq(u->mode, "host")) {
			return NULL;
		}
		return !by_unused			    ? BY_DEFAULT
		       : unused || !str_eq(u->mode, "host") ? BY_UNUSED
							    : NULL;
	}
	if (s->left && node_operator_is_its(u)) {
		return NULL;
	}
	return is_nobodys(u) ? BY_DEFAULT : unused && is_hosts(u) ? BY_UNUSED : NULL;
}

/* An object first, then a pool, then the default policy. False: nobody orders anything of it. */
static bool order_unit(const struct node_seen *s, const struct pools *pools,
		       const struct gpu_unit *u, struct unit_order *ret)
{
	const char *by;
	struct claims c;

	claims_of_unit(s->pass, s->node, u, &c);
	if (claims_order(&c, ret)) {
		if (str_eq(ret->want, "vfio")) {
			pool_undo(pools, u, ret);
		}
		return true;
	}
	switch (pool_order(pools, u, ret)) {
	case POOL_ORDERS:
		return true;
	case POOL_LEAVES:
		return false;
	case POOL_NOTHING:
		break;
	}
	by = taken_by(s, u);
	*ret = (struct unit_order){
		.id = u->id, .device = claims_device(s->pass->arena, u), .want = "vfio", .by = by};
	return by;
}

static void order_units(const struct node_seen *s, struct node_orders *ret)
{
	struct arena *a = s->pass->arena;
	const struct node_orders *had = s->node->orders;
	struct pools pools;

	pools_of_node(s->pass, s->node, &pools);
	ret->units.items =
		arena_array(a, struct unit_order, s->node->units.n + (had ? had->units.n : 0));
	list_each(u, &s->node->units) {
		ret->units.n += order_unit(s, &pools, u, &ret->units.items[ret->units.n]);
	}
}

static bool is_reported(const struct gpu_node *n, const char *id)
{
	list_each(u, &n->units) {
		if (str_eq(u->id, id)) {
			return true;
		}
	}
	return false;
}

/* Of cards that are not there now: what objects order stays, so that another card in the slot is
 * known for another. */
static void order_absent(const struct node_seen *s, struct node_orders *ret)
{
	if (!s->node->orders) {
		return;
	}
	list_each(o, &s->node->orders->units) {
		if (!is_reported(s->node, o->id) && claims_still_wanted(s->pass, s->node, o)) {
			ret->units.items[ret->units.n++] = *o;
		}
	}
}

/* --- permitted types -------------------------------------------------------------------------- */

static bool is_ours_to_make(const struct cr_permitted *p, const char *type)
{
	list_each(e, &p->mdev) {
		if (e->selector && e->external == TRI_TRUE && cr_same_selector(e->selector, type)) {
			return true;
		}
	}
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_type(struct node_orders *ret, const char *type)
{
	list_each(known, &ret->permitted) {
		if (str_eq(*known, type)) {
			return;
		}
	}
	if (ret->permitted.n < PERMITTED_MAX) {
		ret->permitted.items[ret->permitted.n++] = type;
	}
}

/*
 * virt-handler deletes each mediated device whose type the KubeVirt CR does not show as served from
 * outside (kubevirt.md 3): those it shows may be made. The permit plan brings them there.
 */
static void permit_types(const struct node_seen *s, struct node_orders *ret)
{
	struct cr_permitted permitted;
	struct cr cr;

	cr_find(s->pass, &cr);
	if (!cr.config) {
		return;
	}
	cr_permitted_read(cr.config, s->pass->arena, &permitted);
	ret->permitted.items = arena_array(s->pass->arena, const char *, PERMITTED_MAX);
	list_each(u, &s->node->units) {
		bool mdev = str_eq(u->vgpu_framework, "mdev");

		list_each(p, &u->profiles) {
			if (mdev && p->name && is_ours_to_make(&permitted, p->name)) {
				add_type(ret, p->name);
			}
		}
	}
	qsort(ret->permitted.items, ret->permitted.n, sizeof(*ret->permitted.items), by_text);
}

/* --- marks ---------------------------------------------------------------------------------- */

/* The time of its last beat by its own clock, which is for people. */
static const char *since(const struct node_seen *s, const char *renewed)
{
	char text[CLOCK_TEXT_MAX];
	int64_t us;

	if (!renewed || clock_parse(renewed, &us) < 0) {
		us = s->pass->now_ms * 1000;
	}
	return arena_strdup(s->pass->arena, clock_time(us, text));
}

static void mark(const struct node_seen *s, struct plan *plan, const char *key, const char *value,
		 const char *why)
{
	plan_merge(plan, &kind_gpu_node, NULL, s->node->obj.name,
		   json_pack("{s:{s:s, s:{s:s?}}}", "metadata", "uid", s->node->obj.uid,
			     "annotations", key, value),
		   why);
}

static void mark_silence(const struct node_seen *s, struct plan *plan)
{
	const struct gpu_node *n = s->node;
	struct arena *a = s->pass->arena;
	const char *renewed, *at;
	enum beats_state beat =
		beats_of(s->options ? s->options->beats : NULL, n->obj.name, &renewed);

	if (beat == BEATS_SILENT && !n->silent) {
		at = since(s, renewed);
		mark(s, plan, SILENT_ANNOTATION, at, "its daemon has stopped to beat");
		plan_event(plan, true, "NodeSilent",
			   arena_printf(a,
					"vmgpu-node has been silent since %s: what it holds stays "
					"held, and what is free here does not count until it is "
					"heard again; look at its pod on node %s, and at the "
					"node's way to the API server",
					at, n->obj.name));
	} else if (beat == BEATS_ALIVE && n->silent) {
		mark(s, plan, SILENT_ANNOTATION, NULL, "its daemon beats again");
		plan_event(plan, false, "NodeBack", "vmgpu-node is heard again");
	}
}

/* --- plan ------------------------------------------------------------------------------------- */

/* The whole spec: an order of nothing is one, too. */
static json_t *spec_of(const struct node_orders *orders)
{
	json_t *spec = type_json(&node_orders_type, orders);

	if (!json_object_get(spec, "units")) {
		json_object_set_new(spec, "units", json_array());
	}
	return spec;
}

/* With the uid: a GPUNode that its daemon has not made yet must not be made here, without owner. */
static void plan(const void *ctx, struct plan *plan)
{
	const struct node_seen *s = ctx;
	struct node_orders orders = {.term = s->pass->term};

	mark_silence(s, plan);
	if (!str_eq(s->left, s->node->left)) {
		mark(s, plan, LEFT_ANNOTATION, s->left,
		     s->left ? "the gpu-operator serves this node"
			     : "the gpu-operator does not serve this node any more");
	}
	order_units(s, &orders);
	order_absent(s, &orders);
	permit_types(s, &orders);
	if (!orders.units.n && !orders.permitted.n && !s->node->orders) {
		return; /* nothing to order, and never was */
	}
	plan_apply(plan, &kind_gpu_node, OBJ_MANAGER,
		   json_pack("{s:{s:s, s:s}, s:o}", "metadata", "name", s->node->obj.name, "uid",
			     s->node->obj.uid, "spec", spec_of(&orders)),
		   "what the GPUs of this node shall be");
}

const struct reconciler reconcile_node = {"node", &kind_gpu_node, node_watches, gather, plan};
