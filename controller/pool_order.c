/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pool.h"

#include "api/vf_counts.h"
#include "controller/node_claims.h"
#include "controller/options.h"

struct orderer {
	const struct pools *all;
	const struct gpu_unit *unit;
	const struct gpu_pool *pool; /* that has it, or NULL */
	/* That a pool gave and that still stands, or NULL: of this card */
	const struct unit_order *before;
	struct unit_order *ret;
};

bool pool_ordered(const struct unit_order *o)
{
	return o && o->by && str_starts(o->by, POOL_BY);
}

static const char *device_of(const struct orderer *k)
{
	return claims_device(k->all->pass->arena, k->unit);
}

static void begin(const struct pools *all, const struct gpu_unit *u, struct unit_order *ret,
		  struct orderer *k)
{
	const struct unit_order *o = claims_standing(all->node, u->id);

	*k = (struct orderer){.all = all, .unit = u, .pool = pool_of(all, u), .ret = ret};
	k->before = pool_ordered(o) && str_eq(o->device, device_of(k)) ? o : NULL;
}

static void want(struct orderer *k, const char *what)
{
	struct arena *a = k->all->pass->arena;

	*k->ret = (struct unit_order){
		.id = k->unit->id,
		.device = device_of(k),
		.want = what,
		.by = k->pool ? arena_printf(a, POOL_BY "%s", k->pool->obj.name) : k->before->by,
	};
}

/* --- what is there of ours -------------------------------------------------------------------- */

static bool is_answered(const struct orderer *k)
{
	return k->all->node->observed_generation >= k->all->node->obj.generation;
}

static int64_t vfs_there(const struct gpu_unit *u)
{
	return u->sriov ? u->sriov->num_vfs : 0;
}

static bool made_vfs(const struct orderer *k)
{
	return k->before && k->before->vfs.set;
}

/* A card that a pool ordered to be cut, and whose node has not said yet that nothing of it is left. */
static bool is_cut(const struct orderer *k)
{
	if (!k->before) {
		return false;
	}
	return str_eq(k->before->want, "vgpu") || (made_vfs(k) && vfs_there(k->unit));
}

static bool has_vgpus(const struct gpu_unit *u)
{
	list_each(s, &u->slots) {
		if (s->type) {
			return true;
		}
	}
	return false;
}

/* As many as stand, else as many as the card has by default. */
static void order_some_vfs(struct orderer *k)
{
	const struct gpu_unit *u = k->unit;
	int64_t total = u->sriov ? u->sriov->total_vfs : 0,
		n = k->before && k->before->vfs.value
			    ? k->before->vfs.value
			    : vf_counts_default(u->vendor_id, u->device_id, total);

	k->ret->vfs = (struct opt_int){n, true};
}

/* What machines have, and nothing else: so it becomes less. */
static void order_held(struct orderer *k)
{
	want(k, "vgpu");
	if (made_vfs(k)) {
		order_some_vfs(k);
	}
	k->ret->slots.items = arena_array(k->all->pass->arena, struct slot_order, k->unit->slots.n);
	list_each(s, &k->unit->slots) {
		if (!str_empty(s->holder) && s->type) {
			k->ret->slots.items[k->ret->slots.n++] =
				(struct slot_order){s->vf, s->type};
		}
	}
}

/* "host" and not "vgpu", of which new ones would be offered. */
static void order_undone(struct orderer *k)
{
	if (is_cut(k) && pool_in_use(k->all->node, k->unit)) {
		order_held(k);
		return;
	}
	want(k, "host");
	if (made_vfs(k)) {
		k->ret->vfs = (struct opt_int){0, true};
	}
}

/* As it is: by whomever, but an object that does not want it any more. */
static enum pool_says keep(struct orderer *k)
{
	const struct unit_order *o = claims_standing(k->all->node, k->unit->id);

	if (!o || claims_ordered(o) || !str_eq(o->device, device_of(k))) {
		return POOL_LEAVES;
	}
	*k->ret = *o;
	return POOL_ORDERS;
}

/* A machine has it whole: it follows when that has ended. */
static bool is_held(const struct orderer *k)
{
	return k->unit->holder && str_eq(k->unit->mode, "vfio");
}

/* --- leaving ---------------------------------------------------------------------------------- */

static bool is_back(const struct orderer *k)
{
	return str_eq(k->before->want, "host") && is_answered(k) &&
	       !str_eq(k->unit->mode, "vfio") && !is_cut(k);
}

/* What had no driver before, or an admin had bound to vfio-pci, is one of the idle cards. */
static bool becomes_idle(const struct orderer *k)
{
	const struct pass *pass = k->all->pass;
	const struct options *o = pass->options;
	const struct pci_device *d =
		cache_get(pass->cache, &kind_pci_device, NULL,
			  device_name(pass->arena, k->all->node->obj.name, k->unit->address));

	return d && str_empty(d->first_driver) && !is_cut(k) &&
	       (str_eq(k->unit->mode, "vfio") || str_eq(k->unit->mode, "unbound")) &&
	       (!o || o->take != OPTIONS_TAKE_NONE);
}

static enum pool_says leave(struct orderer *k)
{
	if (is_back(k) || becomes_idle(k)) {
		return POOL_NOTHING;
	}
	if (is_held(k)) {
		return keep(k);
	}
	order_undone(k);
	return POOL_ORDERS;
}

/* --- having ----------------------------------------------------------------------------------- */

bool pool_undo(const struct pools *all, const struct gpu_unit *u, struct unit_order *ret)
{
	struct orderer k;

	begin(all, u, ret, &k);
	if (!is_cut(&k) &&
	    !(k.before && str_eq(k.before->want, "host") && (!is_answered(&k) || has_vgpus(u)))) {
		return false;
	}
	order_undone(&k);
	return true;
}

/* All that it can have, unless somebody else has made some. */
static void order_vfs(struct orderer *k)
{
	int64_t total = k->unit->sriov ? k->unit->sriov->total_vfs : 0;

	if (total > 0 && (made_vfs(k) || !vfs_there(k->unit))) {
		order_some_vfs(k);
	}
}

static enum pool_says order_cut(struct orderer *k)
{
	struct arena *a = k->all->pass->arena;

	if (pool_layout_judge(k->pool, k->all->node, k->unit, a).status) {
		return keep(k);
	}
	want(k, "vgpu");
	order_vfs(k);
	pool_layout_place(k->pool, k->unit, k->before, a, k->ret);
	return POOL_ORDERS;
}

enum pool_says pool_order(const struct pools *all, const struct gpu_unit *u, struct unit_order *ret)
{
	struct orderer k;

	begin(all, u, ret, &k);
	if (!all->served && k.before) {
		*ret = *k.before;
		return POOL_ORDERS;
	}
	if (!k.pool) {
		return k.before ? leave(&k) : POOL_NOTHING;
	}
	if (is_held(&k) && !pool_wants_whole(k.pool, u)) {
		return keep(&k);
	}
	if (pool_wants_whole(k.pool, u)) {
		if (!pool_undo(all, u, ret)) {
			want(&k, "vfio");
		}
		return POOL_ORDERS;
	}
	if (str_eq(k.pool->spec->use, "vgpu")) {
		return order_cut(&k);
	}
	if (str_eq(k.pool->spec->use, "host")) {
		order_undone(&k);
		return POOL_ORDERS;
	}
	return keep(&k); /* a use of a later version */
}
