/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pool.h"

#include <inttypes.h>
#include <string.h>

#include "controller/node_claims.h"

struct looker {
	const struct pools *all;
	const struct gpu_pool *pool;
	const struct gpu_unit *unit;
	const struct unit_order *order; /* of this pool, or NULL */
	struct arena *arena;
};

/* --- what the node says ----------------------------------------------------------------------- */

static struct verdict said(const struct condition *c)
{
	return verdict_no(str_empty(c->reason) ? c->type : c->reason, c->message);
}

/* Somebody has to see to it. */
static const struct condition *trouble(const struct gpu_unit *u)
{
	static const char *const types[] = {"Stuck", "Quarantined", "Dirty"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (condition_is(&u->conditions, types[i], "True")) {
			return condition_find(&u->conditions, types[i]);
		}
	}
	return NULL;
}

/* Why it cannot be given, though it stands as it shall: that somebody has it is no reason. */
static const struct condition *unavailable(const struct gpu_unit *u)
{
	const struct condition *c = condition_find(&u->conditions, "Available");

	return c && !str_eq(c->status, "True") && !str_eq(c->reason, "InUse") &&
			       !str_eq(c->reason, "VGPUsFull")
		       ? c
		       : NULL;
}

/* --- does it stand ---------------------------------------------------------------------------- */

/* Virtual functions that are GPUs by themselves: how many can be given; *ret_all: how many there shall
 * be. */
static int64_t functions_of(const struct looker *k, int64_t *ret_all)
{
	const struct gpu_unit *vf;
	int64_t n = 0;

	*ret_all = k->unit->sriov ? k->unit->sriov->num_vfs : 0;
	if (k->order->vfs.set) {
		*ret_all = MAX(*ret_all, k->order->vfs.value);
	}
	for (size_t i = 0; (vf = pool_function(k->all->node, k->unit, i)); i++) {
		n += str_eq(vf->mode, "vfio");
	}
	return n;
}

static bool has_functions(const struct looker *k)
{
	return pool_function(k->all->node, k->unit, 0);
}

/* Of the vGPUs of the layout: how many there are; *ret_all: how many there shall be. */
static int64_t made_of(const struct looker *k, int64_t *ret_all)
{
	int64_t n = 0;

	if (has_functions(k)) {
		return functions_of(k, ret_all);
	}
	*ret_all = 0;
	list_each(l, &k->pool->spec->layout) {
		int64_t made = 0;

		list_each(s, &k->unit->slots) {
			made += pool_same_type(s->type, l->type);
		}
		n += MIN(made, l->count);
		*ret_all += l->count;
	}
	return n;
}

static bool is_whole(const struct looker *k)
{
	return str_eq(k->order->want, "vfio") && str_eq(k->unit->mode, "vfio");
}

static bool is_cut(const struct looker *k)
{
	int64_t all, made = made_of(k, &all);

	return str_eq(k->order->want, "vgpu") &&
	       (str_eq(k->unit->mode, "vgpu") || has_functions(k)) && made == all;
}

static bool is_hosts(const struct looker *k)
{
	bool vfs = k->order->vfs.set && k->unit->sriov && k->unit->sriov->num_vfs;

	return str_eq(k->order->want, "host") && !str_eq(k->unit->mode, "vfio") && !vfs;
}

/* --- why it does not -------------------------------------------------------------------------- */

static bool in_layout(const struct looker *k, const char *type)
{
	list_each(l, &k->pool->spec->layout) {
		if (pool_same_type(l->type, type)) {
			return true;
		}
	}
	return !k->pool->spec->layout.n;
}

static struct verdict making(const struct looker *k)
{
	int64_t all, made = made_of(k, &all);

	list_each(s, &k->unit->slots) {
		if (!str_empty(s->holder) && s->type && !in_layout(k, s->type)) {
			return verdict_no(
				"InUse", arena_printf(k->arena,
						      "%s has %s of it, which is not in the layout "
						      "and goes when that has ended",
						      device_slot_holder(k->arena, s), s->type));
		}
	}
	return all ? verdict_no("Making",
				arena_printf(k->arena, "%" PRId64 " of %" PRId64 " %s", made, all,
					     has_functions(k) ? "virtual functions can be given"
							      : "vGPUs are made"))
		   : verdict_no("Making", "its driver is told to cut it");
}

/* What the node is doing, where it does not say why it cannot. */
static struct verdict doing(const struct looker *k)
{
	const struct condition *obeying = condition_find(&k->all->node->conditions, "Obeying");

	if (obeying && str_eq(obeying->status, "False")) {
		return said(obeying);
	}
	if (str_eq(k->order->want, "vgpu")) {
		return making(k);
	}
	return str_eq(k->order->want, "vfio")
		       ? verdict_no("Binding", "it is being bound to vfio-pci")
	       : k->order->vfs.set && k->unit->sriov && k->unit->sriov->num_vfs
		       ? verdict_no("GoingBack", "its virtual functions go, each when it is free")
		       : verdict_no("GoingBack",
				    "it goes back to the driver that it had before; what an admin "
				    "has bound to vfio-pci stays there until he unbinds it");
}

/* A machine has what is to go. */
static struct verdict held(const struct looker *k)
{
	const struct gpu_holder *h = k->unit->holder;
	const char *use = k->pool->spec->use, *who = NULL;
	const struct gpu_unit *vf;

	list_each(s, &k->unit->slots) {
		if (!str_empty(s->holder) && !str_eq(use, "vgpu")) {
			who = device_slot_holder(k->arena, s);
		}
	}
	for (size_t i = 0;
	     !h && !str_eq(use, "vgpu") && (vf = pool_function(k->all->node, k->unit, i)); i++) {
		h = vf->holder;
	}
	if (h && !str_eq(use, "passthrough")) {
		who = device_holder(k->arena, h->ns, h->pod, h->vm);
	}
	return who ? verdict_no("InUse", arena_printf(k->arena,
						      "%s has it, and it follows when that has "
						      "ended",
						      who))
		   : verdict_none();
}

static struct verdict waits(const struct looker *k)
{
	const struct condition *available = condition_find(&k->unit->conditions, "Available"),
			       *c = trouble(k->unit);

	if (c) {
		return said(c);
	}
	return available && str_eq(available->status, "False") &&
			       !str_eq(available->reason, "VGPUsFull") && !has_functions(k)
		       ? said(available)
		       : doing(k);
}

struct verdict pool_unit_waits(const struct pools *all, const struct gpu_pool *p,
			       const struct gpu_unit *u)
{
	const struct unit_order *o = claims_standing(all->node, u->id);
	bool ours = pool_ordered(o) && str_eq(o->by + strlen(POOL_BY), p->obj.name);
	struct looker k = {all, p, u, ours ? o : NULL, all->pass->arena};
	struct verdict v = verdict_none();
	const struct condition *c;

	if (str_eq(p->spec->use, "vgpu")) {
		v = pool_layout_judge(p, all->node, u, k.arena);
	}
	if (v.status) {
		v.message = arena_printf(k.arena, "%s; it is left as it is", v.message);
		return v;
	}
	v = held(&k);
	if (v.status) {
		return v;
	}
	if (!ours) {
		return verdict_no("Ordering", "its node is about to be told");
	}
	if (str_eq(p->spec->use, "host")) {
		return is_hosts(&k) ? verdict_none() : waits(&k);
	}
	if (str_eq(p->spec->use, "vgpu") ? !is_cut(&k) : !is_whole(&k)) {
		return waits(&k);
	}
	c = trouble(u);
	c = c || has_functions(&k) ? c : unavailable(u);
	return c ? said(c) : verdict_none();
}
