/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_pool.h"

#include <inttypes.h>

#include "api/gpu_names.h"
#include "base/listing.h"
#include "controller/inventory.h"
#include "controller/node_claims.h"
#include "controller/pool.h"

struct pool_seen {
	const struct pass *pass;
	const struct gpu_pool *pool;
};

/* What is counted and listed over all nodes. */
struct tally {
	const struct pool_seen *s;
	struct gpu_pool_status *status;
	struct verdict waits; /* the first of its cards that does not stand */
	struct listing waiting;
	struct listing lost, won; /* cards that several pools select */
	bool any_lost, any_won, any_claimed;
};

static const void *gather(const struct pass *pass)
{
	const struct gpu_pool *p = cache_get(pass->cache, &kind_gpu_pool, NULL, pass->key.name);
	struct pool_seen *s;

	if (!p || p->obj.deleting || !p->spec) {
		return NULL;
	}
	s = arena_new(pass->arena, struct pool_seen);
	*s = (struct pool_seen){pass, p};
	return s;
}

/* --- counting --------------------------------------------------------------------------------- */

static void note_overlaps(struct tally *t, const struct pools *all, const struct gpu_unit *u,
			  const struct gpu_pool *has)
{
	const struct gpu_pool *me = t->s->pool;

	if (has != me) {
		t->any_lost = true;
		listing_add(&t->lost, "%s %s (GPUPool %s)", all->node->obj.name, u->id,
			    has->obj.name);
		return;
	}
	list_each(r, &all->items) {
		if (r->pool != me && pool_selects(all, r, u)) {
			t->any_won = true;
			listing_add(&t->won, "%s %s (GPUPool %s)", all->node->obj.name, u->id,
				    r->pool->obj.name);
		}
	}
}

/* What an object of Harvester's has is the pool's when it is given back. */
static bool is_claimed(const struct gpu_node *n, const struct gpu_unit *u)
{
	return claims_ordered(claims_standing(n, u->id));
}

static bool count_unit(struct tally *t, const struct pools *all, const struct gpu_unit *u)
{
	struct verdict v;

	if (!u->physical_function) {
		note_overlaps(t, all, u, pool_of(all, u));
	}
	if (pool_of(all, u) != t->s->pool) {
		return false;
	}
	if (is_claimed(all->node, u)) {
		t->any_claimed = true;
		return false;
	}
	if (u->physical_function && str_eq(t->s->pool->spec->use, "vgpu")) {
		return true; /* of a card that is counted */
	}
	v = pool_unit_waits(all, t->s->pool, u);
	t->status->gpus++;
	t->status->ready_gpus += !v.status;
	t->status->in_use += pool_in_use(all->node, u);
	if (v.status) {
		t->waits = t->waits.status ? t->waits : v;
		listing_add(&t->waiting, "%s %s: %s", all->node->obj.name, u->id,
			    v.message ? v.message : v.reason);
	}
	return true;
}

static const struct pool_reach *mine(const struct tally *t, const struct pools *all)
{
	list_each(r, &all->items) {
		if (r->pool == t->s->pool) {
			return r;
		}
	}
	return NULL;
}

static void count_node(struct tally *t, const struct gpu_node *n)
{
	const struct pool_reach *r;
	struct pools all;
	bool any = false;

	pools_of_node(t->s->pass, n, &all);
	r = mine(t, &all);
	if (!r) {
		return;
	}
	list_each(u, &n->units) {
		any |= u->id && pool_selects(&all, r, u) && count_unit(t, &all, u);
	}
	t->status->nodes += any;
}

static void count(struct tally *t)
{
	const struct pass *pass = t->s->pass;
	struct obj_list nodes = cache_sorted(pass->cache, &kind_gpu_node, NULL, pass->arena);

	listing_init(&t->waiting, pass->arena, "; ");
	listing_init(&t->lost, pass->arena, ", ");
	listing_init(&t->won, pass->arena, ", ");
	list_each(o, &nodes) {
		count_node(t, (const struct gpu_node *)*o);
	}
}

/* --- conditions ------------------------------------------------------------------------------- */

static struct verdict ready(struct tally *t)
{
	struct gpu_pool_status *st = t->status;

	if (t->waits.status) {
		return verdict_no(t->waits.reason, listing_end(&t->waiting));
	}
	if (st->gpus) {
		return verdict_yes("Ready", arena_printf(t->s->pass->arena,
							 "as wanted: %" PRId64 " GPU%s on %" PRId64
							 " node%s",
							 st->gpus, st->gpus == 1 ? "" : "s",
							 st->nodes, st->nodes == 1 ? "" : "s"));
	}
	return t->any_lost ? verdict_no("Outranked", "other pools have all that it selects: see "
						     "Overlaps")
	       : t->any_claimed
		       ? verdict_no("Claimed", "PCIDeviceClaim, SRIOVGPUDevice and VGPUDevice "
					       "objects have all that it selects")
		       : verdict_no("NoGPUs", "it selects no GPU that a node reports: kubectl get "
					      "gpunodes has their names, see gpus, nodeNames and "
					      "nodeSelector");
}

#define WHO_HAS_IT                                                                                 \
	"; a GPU is with the pool of the highest priority, of equals with the first by name"

static struct verdict overlaps(struct tally *t)
{
	struct arena *a = t->s->pass->arena;

	if (t->any_lost) {
		return (struct verdict){"True", "Outranked",
					arena_printf(a,
						     "other pools have what it selects, too: %s%s",
						     listing_end(&t->lost), WHO_HAS_IT)};
	}
	return t->any_won
		       ? (struct verdict){"True", "GoesBefore",
					  arena_printf(a,
						       "other pools select what it has, too: %s%s",
						       listing_end(&t->won), WHO_HAS_IT)}
		       : verdict_none();
}

static bool means_cards(const struct inventory *inv, const char *name)
{
	const struct inventory_model *m = inventory_find(inv, name);
	const char *meanings[GPU_NAMES_MAX];

	return pool_is_pci_id(name) ||
	       (m ? !m->vgpu : inventory_meanings(inv, name, meanings, ARRAY_LEN(meanings)) > 0);
}

static void add_unknown(struct listing *all, const struct inventory *inv, const char *name,
			struct arena *a)
{
	const char *hint = inventory_suggest(inv, name, a);

	if (inventory_is_vgpu(inv, name)) {
		listing_add(all,
			    "gpus: %s is a vGPU: name the card that carries it, and its type in "
			    "layout",
			    name);
	} else {
		listing_add(all, "gpus: %s is the name of no GPU%s%s", name, *hint ? ": " : "",
			    hint);
	}
}

static struct verdict unknown_names(const struct pool_seen *s)
{
	struct arena *a = s->pass->arena;
	struct listing all;
	struct inventory inv;

	inventory_make(s->pass, NULL, NULL, &inv);
	listing_init(&all, a, "; ");
	list_each(name, &s->pool->spec->gpus) {
		if (!means_cards(&inv, *name)) {
			add_unknown(&all, &inv, *name, a);
		}
	}
	return *listing_end(&all) ? verdict_no("UnknownName", listing_end(&all)) : verdict_none();
}

static struct verdict unknown_nodes(const struct pool_seen *s)
{
	const struct cache *c = s->pass->cache;
	struct listing all;

	listing_init(&all, s->pass->arena, ", ");
	list_each(name, &s->pool->spec->node_names) {
		if (!cache_get(c, &kind_node, NULL, *name) &&
		    !cache_get(c, &kind_gpu_node, NULL, *name)) {
			listing_add(&all, "%s", *name);
		}
	}
	return *listing_end(&all)
		       ? verdict_no("NodeUnknown",
				    arena_printf(s->pass->arena,
						 "nodeNames: there is no node %s: kubectl get "
						 "nodes lists what there is",
						 listing_end(&all)))
		       : verdict_none();
}

static struct verdict accepted(const struct pool_seen *s)
{
	struct verdict v;

	if (s->pass->trouble) {
		return verdict_no("Refused", s->pass->trouble);
	}
	v = unknown_names(s);
	v = v.status ? v : unknown_nodes(s);
	return v.status ? v : verdict_yes("Accepted", "all names mean something");
}

/* --- writing ---------------------------------------------------------------------------------- */

static const struct condition_list *had(const struct pool_seen *s)
{
	return s->pool->status ? &s->pool->status->conditions : NULL;
}

static void say(const struct tally *t, const char *type, struct verdict v)
{
	const struct pass *pass = t->s->pass;
	struct condition c = {
		.type = type,
		.status = v.status,
		.reason = v.reason,
		.message = condition_text(pass->arena, v.message),
		.observed_generation = t->s->pool->obj.generation,
	};

	if (v.status) {
		condition_set(&t->status->conditions, had(t->s), pass->arena, &c, pass->now_ms);
	}
}

/* What somebody has to see to, when it is new. */
static void tell(const struct pool_seen *s, const char *type, struct verdict v, struct plan *plan)
{
	const struct condition *old = had(s) ? condition_find(had(s), type) : NULL;

	if (v.status && !s->pass->trouble && !(old && str_eq(old->reason, v.reason))) {
		plan_event(plan, true, v.reason, v.message);
	}
}

static struct verdict when(bool is, struct verdict v)
{
	return is ? v : verdict_none();
}

static void plan_pool(const void *seen, struct plan *plan)
{
	const struct pool_seen *s = seen;
	struct gpu_pool_status status = {.observed_generation = s->pool->obj.generation};
	struct tally t = {.s = s, .status = &status};
	struct verdict is_ready, is_accepted, overlap;

	count(&t);
	is_ready = ready(&t);
	is_accepted = accepted(s);
	overlap = overlaps(&t);
	say(&t, "Ready", is_ready);
	say(&t, "Accepted", is_accepted);
	say(&t, "Overlaps", overlap);
	tell(s, "Ready", when(str_eq(is_ready.reason, "LayoutNotCarried"), is_ready), plan);
	tell(s, "Accepted", when(str_eq(is_accepted.status, "False"), is_accepted), plan);
	tell(s, "Overlaps", when(t.any_lost, overlap), plan);
	plan_status_of(plan, &kind_gpu_pool, &s->pool->obj, &gpu_pool_status_type, s->pool->status,
		       &status, "what became of the pool");
}

const struct reconciler reconcile_gpu_pool = {
	"gpupool", &kind_gpu_pool, pool_watches, gather, plan_pool,
};
