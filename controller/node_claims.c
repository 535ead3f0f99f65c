/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/node_claims.h"

#include <string.h>

#include "api/vf_counts.h"
#include "controller/options.h"
#include "controller/pool.h"

#define BY_CLAIM "PCIDeviceClaim "
#define BY_SRIOV "SRIOVGPUDevice "
#define BY_VGPU "VGPUDevice "

/* --- orders that stand ------------------------------------------------------------------------ */

const char *claims_device(struct arena *a, const struct gpu_unit *u)
{
	return arena_printf(a, "%s:%s", u->vendor_id, u->device_id);
}

const struct unit_order *claims_standing(const struct gpu_node *n, const char *id)
{
	for (size_t i = 0; n->orders && i < n->orders->units.n; i++) {
		if (str_eq(n->orders->units.items[i].id, id)) {
			return &n->orders->units.items[i];
		}
	}
	return NULL;
}

static bool is_by(const struct unit_order *o, const char *kind)
{
	return o && o->by && str_starts(o->by, kind);
}

bool claims_ordered(const struct unit_order *o)
{
	return is_by(o, BY_CLAIM) || is_by(o, BY_SRIOV) || is_by(o, BY_VGPU);
}

/* The report answers the orders as they are now. */
static bool is_answered(const struct claims *c)
{
	return c->node->observed_generation >= c->node->obj.generation;
}

bool claims_stand_whole(const struct claims *c)
{
	return is_by(c->before, BY_CLAIM);
}

bool claims_stand_cut(const struct claims *c)
{
	return is_by(c->before, BY_SRIOV) || is_by(c->before, BY_VGPU);
}

/* --- who asks --------------------------------------------------------------------------------- */

bool claims_sriov_is(const struct claims *c, tri enabled)
{
	return c->sriov && c->sriov->spec && c->sriov->spec->enabled == enabled;
}

/* Its fields say what its name says, or nothing. */
bool claims_well_made(const struct gpu_node *n, const struct pci_claim *claim, const char *address)
{
	const struct pci_claim_spec *s = claim->spec;

	return !s || ((str_empty(s->address) || str_eq(s->address, address)) &&
		      (str_empty(s->node_name) || str_eq(s->node_name, n->obj.name)));
}

/* What stands behind the slash of a resource (apimachinery, IsQualifiedName). */
bool claims_name_fits(const struct pci_claim *claim)
{
	return !claim->spec || claim->spec->not_pooled != TRI_TRUE ||
	       strlen(claim->obj.name) <= CLAIMS_RESOURCE_MAX;
}

static void find_claims(struct claims *c)
{
	list_each(f, &c->unit->functions) {
		const struct pci_claim *claim =
			device_is_gpu(f) && f->address
				? cache_get(c->pass->cache, &kind_pci_claim, NULL,
					    device_name(c->pass->arena, c->node->obj.name,
							f->address))
				: NULL;

		if (!claim || !claims_well_made(c->node, claim, f->address) ||
		    !claims_name_fits(claim)) {
			continue;
		}
		if (claim->obj.deleting) {
			c->going = c->going ? c->going : claim;
		} else if (c->unit->group) {
			c->claim = c->claim ? c->claim : claim;
		}
	}
}

static void find_sriov(struct claims *c)
{
	const struct sriov_gpu *s =
		cache_get(c->pass->cache, &kind_sriov_gpu, NULL,
			  device_name(c->pass->arena, c->node->obj.name, c->unit->address));

	c->sriov = s && !s->obj.deleting ? s : NULL;
}

/* --- whose card it is ------------------------------------------------------------------------- */

static bool asks_cut(const struct claims *c)
{
	if (claims_sriov_is(c, TRI_TRUE)) {
		return true;
	}
	list_each(s, &c->slots) {
		if (s->asked) {
			return true;
		}
	}
	return false;
}

static bool shows_cut(const struct gpu_unit *u)
{
	if (u->sriov && u->sriov->num_vfs > 0) {
		return true;
	}
	list_each(s, &u->slots) {
		if (s->type) {
			return true;
		}
	}
	return false;
}

/* Who has the order still wants it, or who came later must wait until it is carried out. */
static enum claims_side side_of(const struct claims *c)
{
	bool cut = asks_cut(c),
	     other = c->before && claims_ordered(c->before) &&
		     !str_eq(c->before->device, claims_device(c->pass->arena, c->unit));

	if (other && (c->claim || cut)) {
		return CLAIMS_OTHER;
	}
	if (other) {
		return CLAIMS_NONE;
	}
	if (claims_stand_whole(c)) {
		return c->claim ? CLAIMS_WHOLE : CLAIMS_LEAVING;
	}
	if (claims_stand_cut(c)) {
		return CLAIMS_CUT;
	}
	if (c->claim && cut) {
		return shows_cut(c->unit) ? CLAIMS_CUT : CLAIMS_WHOLE;
	}
	return c->claim ? CLAIMS_WHOLE : cut ? CLAIMS_CUT : CLAIMS_NONE;
}

void claims_of_unit(const struct pass *pass, const struct gpu_node *n, const struct gpu_unit *u,
		    struct claims *ret)
{
	*ret = (struct claims){.pass = pass, .node = n, .unit = u};
	ret->before = claims_standing(n, u->id);
	find_claims(ret);
	find_sriov(ret);
	claims_slots(ret);
	ret->side = side_of(ret);
}

/* --- going back ------------------------------------------------------------------------------- */

/*
 * The driver that gets the card back: "vfio-pci" when an admin had bound it before us, NULL when no
 * driver had it.
 */
const char *claims_former_driver(const struct claims *c)
{
	const struct pci_device *d;

	if (c->going && c->going->status) {
		return str_empty(c->going->status->driver) ? NULL : c->going->status->driver;
	}
	d = cache_get(c->pass->cache, &kind_pci_device, NULL,
		      device_name(c->pass->arena, c->node->obj.name, c->unit->address));
	return d && !str_empty(d->first_driver) ? d->first_driver : NULL;
}

static bool pool_wants_it(const struct claims *c)
{
	const struct gpu_pool *p;
	struct pools all;

	pools_of_node(c->pass, c->node, &all);
	p = pool_of(&all, c->unit);
	return p && pool_wants_whole(p, c->unit);
}

/* Nothing is to be undone: it stays where it is, as the admin's, as a pool's or as one of the idle
 * cards. */
bool claims_stay(const struct claims *c)
{
	const struct options *o = c->pass->options;
	const char *driver = claims_former_driver(c);

	return str_eq(driver, "vfio-pci") || pool_wants_it(c) ||
	       (!driver && !str_eq(c->before->want, "host") &&
		(!o || o->take != OPTIONS_TAKE_NONE));
}

bool claims_back(const struct claims *c)
{
	return str_eq(c->before->want, "host") && is_answered(c) && !str_eq(c->unit->mode, "vfio");
}

/* --- the order -------------------------------------------------------------------------------- */

static void keep_order(const struct claims *c, struct unit_order *ret)
{
	*ret = *c->before;
}

static const char *vendor_of(struct arena *a, const char *resource)
{
	return arena_strndup(a, resource, strcspn(resource, "/"));
}

static bool order_whole(const struct claims *c, struct unit_order *ret)
{
	const struct pci_claim *claim = c->claim;
	const char *name = c->before && c->before->name ? c->before->name : c->unit->name;

	if (!device_has_finalizer(&claim->finalizers)) {
		if (claims_stand_whole(c)) {
			keep_order(c, ret);
		}
		return claims_stand_whole(c);
	}
	ret->want = "vfio";
	ret->by = arena_printf(c->pass->arena, BY_CLAIM "%s", claim->obj.name);
	ret->name = str_empty(name) ? NULL : name;
	if (claim->spec && claim->spec->not_pooled == TRI_TRUE && ret->name) {
		ret->exclusive =
			arena_printf(c->pass->arena, "%s/%s", vendor_of(c->pass->arena, ret->name),
				     claim->obj.name);
	}
	return true;
}

/* A server that does not know the kind for a moment has not lost its objects. */
static bool order_leaving(const struct claims *c, struct unit_order *ret)
{
	if (c->unit->holder || !cache_version(c->pass->cache, &kind_pci_claim)) {
		keep_order(c, ret);
		return true;
	}
	if (claims_stay(c) || claims_back(c)) {
		return false;
	}
	ret->want = "host";
	ret->by = c->before->by;
	return true;
}

static bool any_slot(const struct claims *c)
{
	list_each(s, &c->slots) {
		if (s->asked || s->type || claims_held(s)) {
			return true;
		}
	}
	return false;
}

static void order_slots(const struct claims *c, struct unit_order *ret)
{
	ret->slots.items = arena_array(c->pass->arena, struct slot_order, c->slots.n);
	list_each(s, &c->slots) {
		if (s->type) {
			ret->slots.items[ret->slots.n++] = (struct slot_order){s->vf, s->type};
		}
	}
}

static const char *who_cuts(const struct claims *c)
{
	struct arena *a = c->pass->arena;

	if (claims_sriov_is(c, TRI_TRUE)) {
		return arena_printf(a, BY_SRIOV "%s", c->sriov->obj.name);
	}
	if (claims_stand_cut(c)) {
		return c->before->by;
	}
	list_each(s, &c->slots) {
		if (s->type && s->asked) {
			return arena_printf(a, BY_VGPU "%s", s->device->obj.name);
		}
	}
	return NULL;
}

const struct gpu_unit *claims_vf_held(const struct claims *c)
{
	list_each(u, &c->node->units) {
		if (u->holder && str_eq(u->physical_function, c->unit->address)) {
			return u;
		}
	}
	return NULL;
}

/* Off, since nobody wants them and nothing is on them; and they are ours to switch off. */
static bool vfs_go(const struct claims *c)
{
	return claims_sriov_is(c, TRI_FALSE) && claims_stand_cut(c) && c->before->vfs.set &&
	       !any_slot(c) && !claims_vf_held(c);
}

static bool vfs_have_gone(const struct claims *c)
{
	return vfs_go(c) && !c->before->vfs.value && is_answered(c) &&
	       (!c->unit->sriov || !c->unit->sriov->num_vfs);
}

/* As many as somebody asks for on the object, if the card can have so many; who asks for what it
 * cannot have changes nothing. */
int64_t claims_vfs(const struct claims *c, const char **ret_refusal)
{
	const struct gpu_unit *u = c->unit;
	int64_t total = u->sriov ? u->sriov->total_vfs : 0, asked;

	*ret_refusal = NULL;
	if (!c->sriov || !c->sriov->count || total <= 0) {
		return MAX(vf_counts_default(u->vendor_id, u->device_id, total), 0);
	}
	if (parse_int(c->sriov->count, 0, INT32_MAX, &asked) < 0) {
		*ret_refusal = "it is no number";
	} else {
		*ret_refusal =
			vf_counts_refusal(u->vendor_id, u->device_id, total, asked, c->pass->arena);
	}
	return *ret_refusal ? 0 : asked;
}

static struct opt_int order_vfs(const struct claims *c)
{
	const char *refusal;
	int64_t n = claims_vfs(c, &refusal);

	if (claims_sriov_is(c, TRI_TRUE) && n > 0) {
		return (struct opt_int){n, true};
	}
	if (vfs_go(c)) {
		return (struct opt_int){0, true};
	}
	return claims_stand_cut(c) || (pool_ordered(c->before) && c->before->vfs.value)
		       ? c->before->vfs
		       : (struct opt_int){0};
}

static bool order_cut(const struct claims *c, struct unit_order *ret)
{
	const char *name = c->before && c->before->name ? c->before->name : c->unit->name;
	bool undo = c->before && (c->before->slots.n || !is_answered(c));

	if (vfs_have_gone(c)) {
		return false;
	}
	order_slots(c, ret);
	ret->vfs = order_vfs(c);
	ret->want = "vgpu";
	ret->by = who_cuts(c);
	ret->name = str_empty(name) ? NULL : name;
	/* An order of no slot is one, until the node has answered that it keeps none. */
	return ret->by && (ret->vfs.set || ret->slots.n || undo || any_slot(c));
}

bool claims_order(const struct claims *c, struct unit_order *ret)
{
	*ret = (struct unit_order){.id = c->unit->id,
				   .device = claims_device(c->pass->arena, c->unit)};
	switch (c->side) {
	case CLAIMS_WHOLE:
		return order_whole(c, ret);
	case CLAIMS_LEAVING:
		return order_leaving(c, ret);
	case CLAIMS_CUT:
		return order_cut(c, ret);
	case CLAIMS_OTHER:
		keep_order(c, ret);
		return true;
	default:
		return false;
	}
}

static bool device_wants(const struct pass *pass, const struct gpu_node *n, const char *vf)
{
	const struct vgpu_device *d = cache_get(pass->cache, &kind_vgpu_device, NULL,
						device_name(pass->arena, n->obj.name, vf));

	return d && !claims_given_up(d);
}

/* So that a claim knows its card again, and what was bound by it is not forgotten meanwhile. */
bool claims_still_wanted(const struct pass *pass, const struct gpu_node *n,
			 const struct unit_order *o)
{
	const char *name = o->by ? strchr(o->by, ' ') : NULL;

	if (is_by(o, BY_CLAIM)) {
		return cache_get(pass->cache, &kind_pci_claim, NULL, name + 1) != NULL;
	}
	if (is_by(o, BY_SRIOV)) {
		const struct sriov_gpu *s = cache_get(pass->cache, &kind_sriov_gpu, NULL, name + 1);

		if (s && s->spec && s->spec->enabled == TRI_TRUE) {
			return true;
		}
	}
	for (size_t i = 0; claims_ordered(o) && i < o->slots.n; i++) {
		if (device_wants(pass, n, o->slots.items[i].vf)) {
			return true;
		}
	}
	return false;
}
