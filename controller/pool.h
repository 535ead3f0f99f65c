/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h: which GPUPool has a card, and what that one orders of it. Pure; lent from the cache or in the
 * pass's arena.
 *
 * Of the pools that select a card the one with the highest priority has it, of equals the first by
 * name. What Harvester's objects order of a card comes before every pool (node_claims.h), and a pool
 * before the default policy: that is plan_node.c's.
 *
 * The order that stands is the memory, as for claims: its `by` is "GPUPool NAME". So a card whose pool
 * has gone, or wants something else, is brought back first: vGPUs and virtual functions that the pool
 * had made go, then the card gets the driver that it had before. What a machine has stays ordered until
 * the report names no holder any more; of other users the node knows, and waits.
 *
 * Private to pool_*.c, plan_pool.c, plan_node.c and node_claims.c:
 *	pool_select.c	which pool has a card
 *	pool_order.c	what is ordered of it
 *	pool_layout.c	the vGPUs of a layout, and whether a card carries them
 *	pool_status.c	whether a card stands as its pool wants it
 *	pool_wake.c	which change wakes which pool, and the orders of which node
 */
#pragma once

#include "api/core.h"
#include "api/pool.h"
#include "api/vmgpu.h"
#include "controller/verdict.h"
#include "kube/plan.h"

#define POOL_BY "GPUPool "

/* A pool that may select cards of one node, with what its names mean. */
struct pool_reach {
	const struct gpu_pool *pool;
	bool unsure; /* the Node is not there: its labels may be what they were, or not */
	LIST(const char *) names; /* canonical names that spec.gpus means, and as they were typed */
};

/* The pools of one node, those that go before first. */
struct pools {
	const struct pass *pass;
	const struct gpu_node *node;
	bool served; /* false: the cluster does not have the kind now, which takes nothing back */
	LIST(struct pool_reach) items;
};

/* --- pool_select.c */

/* All of matchLabels and matchExpressions hold, as apimachinery has it; of an operator that nobody
 * knows nothing does. s NULL: true. */
bool pool_selector_holds(const struct pool_selector *s, const struct pair *labels, size_t n);
/* By nodeNames and nodeSelector. host: its Node, NULL: it is not there; *ret_unsure: that would say. */
bool pool_has_node(const struct gpu_pool *p, const char *node, const struct core_node *host,
		   bool *ret_unsure);
/* "10de:26b9", "10de:25b6:10de:157e" */
bool pool_is_pci_id(const char *name);

void pools_of_node(const struct pass *pass, const struct gpu_node *n, struct pools *ret);
bool pool_selects(const struct pools *all, const struct pool_reach *r, const struct gpu_unit *u);
/* Who has the card, NULL: none of them. */
const struct gpu_pool *pool_of(const struct pools *all, const struct gpu_unit *u);
/* It is to be given whole: also a virtual function that is a unit, of a card that the pool cuts. */
bool pool_wants_whole(const struct gpu_pool *p, const struct gpu_unit *u);
/* The card that a virtual function is of, or NULL; and the i-th unit that is one of this card. */
const struct gpu_unit *pool_card_of(const struct gpu_node *n, const struct gpu_unit *u);
const struct gpu_unit *pool_function(const struct gpu_node *n, const struct gpu_unit *card,
				     size_t i);
/* Somebody has it, or something of it. */
bool pool_in_use(const struct gpu_node *n, const struct gpu_unit *u);

/* --- pool_order.c */

enum pool_says {
	POOL_NOTHING, /* no pool has the card, and none has left anything on it */
	POOL_ORDERS,
	POOL_LEAVES, /* nothing is ordered, nor by the default policy */
};
enum pool_says pool_order(const struct pools *all, const struct gpu_unit *u,
			  struct unit_order *ret);
/* What a pool has cut is not undone yet, and this has to be ordered before the card is taken whole. */
bool pool_undo(const struct pools *all, const struct gpu_unit *u, struct unit_order *ret);
/* An order that a pool gave; NULL: false. */
bool pool_ordered(const struct unit_order *o);

/* --- pool_layout.c */

/* Why the card cannot carry the layout; status NULL: it can, or nothing is known of it yet. */
struct verdict pool_layout_judge(const struct gpu_pool *p, const struct gpu_node *n,
				 const struct gpu_unit *u, struct arena *a);
/* The places for it, into ret->slots. before: the pool's own order that stands, or NULL. */
void pool_layout_place(const struct gpu_pool *p, const struct gpu_unit *u,
		       const struct unit_order *before, struct arena *a, struct unit_order *ret);
/* Of one type: resources have _ for white space. */
bool pool_same_type(const char *x, const char *y);

/* --- pool_status.c */

/* status NULL: it stands as the pool wants it; else why it does not. */
struct verdict pool_unit_waits(const struct pools *all, const struct gpu_pool *p,
			       const struct gpu_unit *u);

/* --- pool_wake.c */

extern const struct plan_watch pool_watches[];
void pool_wake_nodes(const struct cache *c, const struct obj *old, const struct obj *now,
		     wake_fn *wake, void *ctx);
void pool_wake_node(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx);
