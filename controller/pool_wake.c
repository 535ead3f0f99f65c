/* SPDX-License-Identifier: Apache-2.0 */
/*
 * There are few pools: whatever may concern one wakes each. Of nodes there are many: a pool wakes those
 * that it had or has.
 */
#include "controller/pool.h"

static bool asks_anew(const struct gpu_pool *a, const struct gpu_pool *b)
{
	return !a || !b || !a->spec || !b->spec || !str_eq(a->obj.deleting, b->obj.deleting) ||
	       !type_equal(&gpu_pool_spec_type, a->spec, b->spec);
}

static void wake_pools(const struct cache *c, wake_fn *wake, void *ctx)
{
	for (const struct obj *p = NULL; (p = cache_next(c, &kind_gpu_pool, p));) {
		wake(ctx, NULL, p->name);
	}
}

static void by_report(const struct cache *c, const struct obj *old, const struct obj *now,
		      wake_fn *wake, void *ctx)
{
	(void)old, (void)now;
	wake_pools(c, wake, ctx);
}

static void by_pool(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	if (asks_anew((const struct gpu_pool *)old, (const struct gpu_pool *)now)) {
		wake_pools(c, wake, ctx);
	}
}

/* --- nodes ------------------------------------------------------------------------------------ */

static bool same_labels(const struct core_node *a, const struct core_node *b)
{
	bool same = a && b && a->labels.n == b->labels.n;

	for (size_t i = 0; same && i < a->labels.n; i++) {
		same = str_eq(a->labels.items[i].key, b->labels.items[i].key) &&
		       str_eq(a->labels.items[i].value, b->labels.items[i].value);
	}
	return same;
}

static void by_node(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	if (!same_labels((const struct core_node *)old, (const struct core_node *)now)) {
		wake_pools(c, wake, ctx);
	}
}

void pool_wake_node(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	if (cache_count(c, &kind_gpu_pool) &&
	    !same_labels((const struct core_node *)old, (const struct core_node *)now)) {
		wake(ctx, NULL, now ? now->name : old->name);
	}
}

void pool_wake_nodes(const struct cache *c, const struct obj *old, const struct obj *now,
		     wake_fn *wake, void *ctx)
{
	const struct gpu_pool *a = (const struct gpu_pool *)old, *b = (const struct gpu_pool *)now;
	bool unsure;

	if (!asks_anew(a, b)) {
		return;
	}
	for (const struct obj *n = NULL; (n = cache_next(c, &kind_gpu_node, n));) {
		const struct core_node *host = cache_get(c, &kind_node, NULL, n->name);

		if ((a && pool_has_node(a, n->name, host, &unsure)) ||
		    (b && pool_has_node(b, n->name, host, &unsure))) {
			wake(ctx, NULL, n->name);
		}
	}
}

const struct plan_watch pool_watches[] = {
	{&kind_gpu_node, by_report},
	{&kind_node, by_node},
	{&kind_gpu_pool, by_pool},
	{0},
};
