/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VGPUDevice: one for each virtual function of a card whose driver serves vGPUs, of either
 * generation: mediated devices (uuid is a UUID) and the vendor's own framework (uuid is the type's
 * id). `enabled` and `vGPUTypeName` are the user's; once, where nobody has said anything yet, they
 * are filled with what is there. While one is ordered the finalizer holds the object.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/node_claims.h"
#include "controller/plan_device.h"
#include "controller/pool.h"

struct vgpu_seen {
	struct device d;
	const struct vgpu_device *have;
	struct claims claims;		/* of its card, where that is reported */
	const struct claims_slot *slot; /* of have, in claims */
};

/* A card without a driver that cuts it has virtual functions for other uses. */
static bool carries_vgpus(const struct gpu_unit *u)
{
	return u->vgpu_framework || str_eq(u->vendor_id, "10de");
}

static const void *gather(const struct pass *pass)
{
	struct vgpu_seen *s = arena_new(pass->arena, struct vgpu_seen);

	device_find(pass, &s->d);
	s->have = cache_get(pass->cache, &kind_vgpu_device, NULL, pass->key.name);
	if (!device_served(pass) ||
	    (s->have && s->have->obj.deleting && !device_has_finalizer(&s->have->finalizers))) {
		return NULL;
	}
	if (s->d.unit && (!s->d.slot || !carries_vgpus(s->d.unit))) {
		s->d.unit = NULL;
		s->d.slot = NULL;
	}
	if (s->d.unit) {
		claims_of_unit(pass, s->d.node, s->d.unit, &s->claims);
		s->slot = s->have ? claims_slot_of(&s->claims, s->d.name) : NULL;
	}
	return s->d.node || (s->have && s->have->obj.deleting) ? s : NULL;
}

static tri enabled(const struct vgpu_seen *s)
{
	return s->have && s->have->spec ? s->have->spec->enabled : TRI_UNSET;
}

/* --- is it still held ------------------------------------------------------------------------- */

static bool is_ordered(const struct vgpu_seen *s)
{
	for (size_t i = 0; s->d.node->orders && i < s->d.node->orders->units.n; i++) {
		list_each(o, &s->d.node->orders->units.items[i].slots) {
			if (str_eq(device_name(s->d.pass->arena, s->d.node_name, o->vf),
				   s->d.name)) {
				return true;
			}
		}
	}
	return false;
}

/* Its order has gone, the node has answered, and what was made is not there any more. */
static bool is_let_go(const struct vgpu_seen *s)
{
	const struct gpu_node *n = s->d.node;
	const char *type = s->have->spec ? s->have->spec->type_name : NULL;

	if (!n) {
		return s->d.node_gone;
	}
	return !is_ordered(s) && n->observed_generation >= n->obj.generation &&
	       !(s->d.slot && s->d.slot->type && str_eq(s->d.slot->type, type));
}

static bool holds(const struct vgpu_seen *s)
{
	if (!s->have) {
		return false;
	}
	return (enabled(s) == TRI_TRUE && !s->have->obj.deleting) ||
	       (device_has_finalizer(&s->have->finalizers) && !is_let_go(s));
}

/* --- status ----------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static void say_available(const struct vgpu_seen *s, struct vgpu_device_status *ret)
{
	const struct gpu_unit *u = s->d.unit;

	ret->available.items = arena_array(s->d.pass->arena, struct pair, u->profiles.n);
	list_each(p, &u->profiles) {
		const char *id = p->name ? device_type_id(s->d.node, u, p->name) : NULL;

		if (p->available > 0 && id) {
			ret->available.items[ret->available.n++] = (struct pair){p->name, id};
		}
	}
	if (ret->available.n) {
		qsort(ret->available.items, ret->available.n, sizeof(*ret->available.items),
		      by_key);
	}
}

static void say(const struct vgpu_seen *s, struct vgpu_device_status *ret, const char *type,
		const char *reason, const char *message)
{
	device_say(&s->d, &ret->conditions, s->have->status ? &s->have->status->conditions : NULL,
		   s->have->obj.generation, type, reason, message);
}

static struct verdict refused(const struct vgpu_seen *s)
{
	enum claims_side side = s->claims.side;

	if (s->slot && s->slot->asked && side != CLAIMS_CUT && side != CLAIMS_NONE) {
		return claims_refused_sriov(&s->claims);
	}
	return s->slot ? s->slot->refused : verdict_none();
}

static bool is_made(const struct vgpu_seen *s)
{
	return str_eq(s->d.slot->type, s->have->spec->type_name);
}

static void say_what_is_missing(const struct vgpu_seen *s, struct vgpu_device_status *ret)
{
	bool asked = s->slot && s->slot->asked;
	const char *silent = device_silent(&s->d);
	struct verdict no = refused(s);

	if (s->d.pass->trouble) {
		say(s, ret, "Accepted", "Refused", s->d.pass->trouble);
	} else if (no.status) {
		say(s, ret, asked ? "Accepted" : "Ready", no.reason, no.message);
	}
	if (!asked && !no.status && silent && holds(s)) {
		say(s, ret, "Ready", "NodeSilent", silent);
	}
	if (asked && !no.status && !is_made(s)) {
		say(s, ret, "Ready", silent ? "NodeSilent" : "Making",
		    silent ? silent
			   : arena_printf(s->d.pass->arena, "node %s is told to make %s on %s",
					  s->d.node_name, s->have->spec->type_name, s->d.slot->vf));
	}
}

static void say_slot(const struct vgpu_seen *s, struct vgpu_device_status *ret)
{
	const struct gpu_slot *slot = s->d.slot;

	if (slot->type) {
		ret->type_name = slot->type;
		ret->uuid =
			slot->uuid ? slot->uuid : device_type_id(s->d.node, s->d.unit, slot->type);
		ret->state = "vGPUConfigured";
	} else {
		say_available(s, ret);
	}
	say_what_is_missing(s, ret);
}

static void write_status(const struct vgpu_seen *s, struct plan *plan)
{
	struct vgpu_device_status status = {0};

	if (!s->d.node) {
		say(s, &status, "Ready", "NodeSilent",
		    arena_printf(s->d.pass->arena,
				 "vmgpu-node does not report for node %s: start it, or delete the "
				 "Node",
				 s->d.node_name));
	} else if (s->d.slot) {
		say_slot(s, &status);
	} else {
		say(s, &status, "Ready", "DeviceMissing",
		    arena_printf(s->d.pass->arena,
				 "node %s reports no such virtual function now; this object stays "
				 "while it or its card is enabled",
				 s->d.node_name));
	}
	plan_status_of(plan, &kind_vgpu_device, &s->have->obj, &vgpu_device_status_type,
		       s->have->status, &status, "the vGPU that the node reports");
}

/* --- the object ------------------------------------------------------------------------------- */

static json_t *body(const struct vgpu_seen *s)
{
	const char *card = s->d.unit->address;
	json_t *m = device_metadata(&s->d, device_name(s->d.pass->arena, s->d.node_name, card));

	if (holds(s)) {
		json_object_set_new(m, "finalizers", json_pack("[s]", DEVICE_FINALIZER));
	}
	return json_pack("{s:o, s:{s:s, s:s, s:s}}", "metadata", m, "spec", "address",
			 s->d.slot->vf, "nodeName", s->d.node_name, "parentGPUDeviceAddress", card);
}

/*
 * What an admin made is his: it is shown as enabled. What a machine holds may have been made for that
 * machine alone.
 */
static const char *first_type(const struct vgpu_seen *s)
{
	if (s->slot && s->slot->stands) {
		return s->slot->stands;
	}
	if (pool_ordered(s->claims.before)) {
		return NULL; /* enabled, this object would have the pool's card */
	}
	return s->d.slot->type && str_empty(s->d.slot->holder) &&
			       (!s->have->spec || str_empty(s->have->spec->type_name))
		       ? s->d.slot->type
		       : NULL;
}

static void fill_in(const struct vgpu_seen *s, struct plan *plan)
{
	const char *type = first_type(s);

	plan_merge(plan, &kind_vgpu_device, NULL, s->d.name,
		   json_pack("{s:{s:s}, s:{s:b, s:s*}}", "metadata", "resourceVersion",
			     s->have->obj.rv, "spec", "enabled", type != NULL, "vGPUTypeName",
			     type),
		   "nobody has said whether it is enabled: it is as the card shows it");
}

/* As it is, without the finalizer; with the uid, so that one that has gone is not made again. */
static json_t *body_without(const struct vgpu_seen *s)
{
	const struct vgpu_device_spec *spec = s->have->spec;

	return json_pack("{s:{s:s, s:s}, s:{s:s*, s:s*, s:s*}}", "metadata", "name", s->d.name,
			 "uid", s->have->obj.uid, "spec", "address", spec ? spec->address : NULL,
			 "nodeName", spec ? spec->node_name : NULL, "parentGPUDeviceAddress",
			 spec ? spec->parent_address : NULL);
}

static bool parent_is_enabled(const struct vgpu_seen *s)
{
	const char *address = s->have->spec ? s->have->spec->parent_address : NULL;
	const struct sriov_gpu *parent =
		address ? cache_get(s->d.pass->cache, &kind_sriov_gpu, NULL,
				    device_name(s->d.pass->arena, s->d.node_name, address))
			: NULL;

	return parent && parent->spec && parent->spec->enabled == TRI_TRUE;
}

/* Virtual functions go and come with every start of the machine. */
static void plan_gone(const struct vgpu_seen *s, struct plan *plan)
{
	bool has = device_has_finalizer(&s->have->finalizers);

	if (!device_reported(s->d.node)) {
		return;
	}
	if (enabled(s) == TRI_TRUE || parent_is_enabled(s) || (has && holds(s))) {
		write_status(s, plan);
	} else if (has) {
		plan_apply(plan, &kind_vgpu_device, OBJ_MANAGER, body_without(s),
			   "nothing of the vGPU is left");
	} else {
		plan_delete(plan, &kind_vgpu_device, &s->have->obj,
			    "its node reports no such virtual function any more, and it is not "
			    "enabled");
	}
}

static void plan_going(const struct vgpu_seen *s, struct plan *plan)
{
	if (holds(s)) {
		write_status(s, plan);
	} else {
		plan_apply(plan, &kind_vgpu_device, OBJ_MANAGER, body_without(s),
			   "nothing of the vGPU is left");
	}
}

static void plan_vgpu(const void *seen, struct plan *plan)
{
	const struct vgpu_seen *s = seen;

	if (s->have && s->have->obj.deleting) {
		plan_going(s, plan);
		return;
	}
	if (s->d.leaves) {
		return;
	}
	if (!s->d.unit) {
		if (s->have) {
			plan_gone(s, plan);
		}
		return;
	}
	plan_apply(plan, &kind_vgpu_device, OBJ_MANAGER, body(s),
		   "a virtual function that can carry a vGPU");
	if (s->have && enabled(s) == TRI_UNSET) {
		fill_in(s, plan);
	}
	if (s->have) {
		write_status(s, plan);
	}
}

const struct reconciler reconcile_vgpu_device = {
	"vgpudevice", &kind_vgpu_device, device_vgpu_watches, gather, plan_vgpu, &kind_gpu_node,
};
