/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each virtual function of a card, what its VGPUDevice asks for, and whether it can have that: seed
 * 003 and harvester.md 3. What is refused changes nothing.
 */
#include "base/listing.h"
#include "controller/node_claims.h"
#include "controller/pool.h"

static const char *standing_type(const struct unit_order *o, const char *vf)
{
	for (size_t i = 0; o && i < o->slots.n; i++) {
		if (str_eq(o->slots.items[i].vf, vf)) {
			return o->slots.items[i].type;
		}
	}
	return NULL;
}

static bool is_enabled(const struct vgpu_device *d)
{
	return d && !d->obj.deleting && d->spec && d->spec->enabled == TRI_TRUE;
}

/* It says so itself: an object without the field, or none at all, says nothing. */
bool claims_given_up(const struct vgpu_device *d)
{
	return d && (d->obj.deleting || (d->spec && d->spec->enabled == TRI_FALSE));
}

/* --- slots ------------------------------------------------------------------------------------ */

static void add_slot(struct claims *c, const char *vf, const struct gpu_slot *slot)
{
	struct claims_slot *s = &c->slots.items[c->slots.n];

	for (size_t i = 0; i < c->slots.n; i++) {
		if (str_eq(c->slots.items[i].vf, vf)) {
			return; /* a function that has several */
		}
	}
	*s = (struct claims_slot){
		.vf = vf,
		.slot = slot,
		.device = cache_get(c->pass->cache, &kind_vgpu_device, NULL,
				    device_name(c->pass->arena, c->node->obj.name, vf)),
		.stands = pool_ordered(c->before) ? NULL : standing_type(c->before, vf),
	};
	s->asked = is_enabled(s->device);
	c->slots.n++;
}

static void find_slots(struct claims *c)
{
	size_t standing = c->before ? c->before->slots.n : 0;

	c->slots.items =
		arena_array(c->pass->arena, struct claims_slot, c->unit->slots.n + standing);
	list_each(s, &c->unit->slots) {
		if (s->vf && device_is_vf(c->unit, s)) {
			add_slot(c, s->vf, s);
		}
	}
	for (size_t i = 0; i < standing; i++) {
		if (c->before->slots.items[i].vf) {
			add_slot(c, c->before->slots.items[i].vf, NULL);
		}
	}
}

static const struct gpu_profile *profile_of(const struct gpu_unit *u, const char *type)
{
	list_each(p, &u->profiles) {
		if (str_eq(p->name, type)) {
			return p;
		}
	}
	return NULL;
}

/* How many of this type others are promised, and are not made yet: those before the i-th slot, and
 * behind it those that are ordered already. */
static int64_t promised(const struct claims *c, size_t i, const char *type)
{
	int64_t n = 0;

	for (size_t k = 0; k < c->slots.n; k++) {
		const struct claims_slot *s = &c->slots.items[k];
		const char *of = k < i ? s->type : k > i ? s->stands : NULL;

		n += str_eq(of, type) && !(s->slot && str_eq(s->slot->type, type));
	}
	return n;
}

static const char *creatable(const struct claims *c)
{
	struct listing all;

	listing_init(&all, c->pass->arena, ", ");
	list_each(p, &c->unit->profiles) {
		if (p->available > 0) {
			listing_add(&all, "%s", p->name);
		}
	}
	return *listing_end(&all) ? listing_end(&all) : "none: the card is full";
}

static const char *all_types(const struct claims *c)
{
	struct listing all;

	listing_init(&all, c->pass->arena, ", ");
	list_each(p, &c->unit->profiles) {
		listing_add(&all, "%s", p->name);
	}
	return *listing_end(&all) ? listing_end(&all) : "none now";
}

static struct verdict in_use(const struct claims *c, const struct claims_slot *s)
{
	return verdict_no("InUse",
			  arena_printf(c->pass->arena,
				       "device %s is in use with %s: stop that first; until then "
				       "it stays as it is",
				       s->device->obj.name,
				       device_slot_holder(c->pass->arena, s->slot)));
}

/* What is there, else what is ordered. */
static const char *keep(const struct claims_slot *s)
{
	return s->slot && s->slot->type ? s->slot->type : s->stands;
}

/* The slot has a vGPU of ours that somebody has. */
bool claims_held(const struct claims_slot *s)
{
	return s->slot && !str_empty(s->slot->holder);
}

static struct verdict no_type(const struct claims *c, const char *name)
{
	return verdict_no("TypeMissing",
			  arena_printf(c->pass->arena,
				       "VGPUTypeName cannot be empty for vGPU device %s: set "
				       "spec.vGPUTypeName to one of status.availableTypes",
				       name));
}

static struct verdict unknown_type(const struct claims *c, const char *name, const char *type)
{
	return verdict_no("TypeUnknown",
			  arena_printf(c->pass->arena,
				       "VGPUTypeName %s is not a valid profile for vGPU device "
				       "%s: the card %s has %s",
				       type, name, c->unit->address, all_types(c)));
}

static struct verdict not_creatable(const struct claims *c, const char *name, const char *type)
{
	return verdict_no("TypeNotCreatable",
			  arena_printf(c->pass->arena,
				       "VGPUTypeName %s cannot be made on vGPU device %s now, "
				       "with what is on the card %s; what can be made: %s",
				       type, name, c->unit->address, creatable(c)));
}

/* Why the i-th slot cannot have what its object asks for. */
static struct verdict judge_type(const struct claims *c, size_t i, const char *type)
{
	const struct claims_slot *s = &c->slots.items[i];
	const struct gpu_profile *p = str_empty(type) ? NULL : profile_of(c->unit, type);
	const char *name = s->device->obj.name;

	if (str_empty(type)) {
		return no_type(c, name);
	}
	if (str_eq(type, s->stands) || (s->slot && str_eq(type, s->slot->type))) {
		return verdict_none();
	}
	if (claims_held(s)) {
		return in_use(c, s);
	}
	if (!p) {
		return unknown_type(c, name, type);
	}
	/* In the place of what is there it fits, or the node says that it does not. */
	return (s->slot && s->slot->type) || p->available > promised(c, i, type)
		       ? verdict_none()
		       : not_creatable(c, name, type);
}

/* What is refused changes nothing; nor is anything made that could not be given back. */
static void judge_asked(struct claims *c, size_t i)
{
	struct claims_slot *s = &c->slots.items[i];
	const char *type = s->device->spec->type_name;

	s->refused = judge_type(c, i, type);
	s->type =
		s->refused.status || !device_has_finalizer(&s->device->finalizers) ? keep(s) : type;
}

static void judge_slots(struct claims *c)
{
	for (size_t i = 0; i < c->slots.n; i++) {
		struct claims_slot *s = &c->slots.items[i];

		if (s->asked) {
			judge_asked(c, i);
		} else if (claims_given_up(s->device)) {
			s->type = s->stands && claims_held(s) ? keep(s) : NULL;
			s->refused = s->stands && claims_held(s) ? in_use(c, s) : verdict_none();
		} else {
			/* Nobody has said anything: what is there stays, but for what a machine asked for. */
			s->type = s->stands || !claims_held(s) ? keep(s) : NULL;
		}
	}
}

void claims_slots(struct claims *c)
{
	find_slots(c);
	judge_slots(c);
}

const struct claims_slot *claims_slot_of(const struct claims *c, const char *name)
{
	list_each(s, &c->slots) {
		if (s->device && str_eq(s->device->obj.name, name)) {
			return s;
		}
	}
	return NULL;
}
