/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCIDeviceClaim: the user's object. We own its status, its finalizer, and the reference to the
 * PCIDevice, which takes it along when the Node goes. The finalizer stands before anything is ordered
 * (node_claims.c waits for it), and goes when nothing is left of the order.
 */
#include "controller/node_claims.h"
#include "controller/plan_device.h"

struct claim_seen {
	struct device d;
	const struct pci_claim *claim;
};

static const void *gather(const struct pass *pass)
{
	const struct pci_claim *claim =
		cache_get(pass->cache, &kind_pci_claim, NULL, pass->key.name);
	struct claim_seen *s;

	if (!claim || (claim->obj.deleting && !device_has_finalizer(&claim->finalizers))) {
		return NULL;
	}
	s = arena_new(pass->arena, struct claim_seen);
	s->claim = claim;
	device_find(pass, &s->d);
	return s;
}

/* --- the object ------------------------------------------------------------------------------- */

/*
 * The PCIDevice of now, else the one that the claim has as owner: without one the garbage collector,
 * which has just taken that one along with its Node, would leave the claim behind.
 */
static json_t *owner(const struct claim_seen *s)
{
	const struct pci_device *device =
		cache_get(s->d.pass->cache, &kind_pci_device, NULL, s->d.name);
	const struct obj *had = &s->claim->obj;
	bool kept = !device && str_eq(had->owner_kind, "PCIDevice");
	const char *uid = device ? device->obj.uid : kept ? had->owner_uid : NULL;

	return uid ? json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion",
			       "devices.harvesterhci.io/v1beta1", "kind", "PCIDevice", "name",
			       device ? device->obj.name : had->owner_name, "uid", uid)
		   : NULL;
}

/* With the uid: a claim that goes in this moment is not made again. */
static json_t *body(const struct claim_seen *s, bool hold)
{
	json_t *m = json_pack("{s:s, s:s}", "name", s->d.name, "uid", s->claim->obj.uid);
	json_t *owners = s->claim->obj.deleting ? NULL : owner(s);

	if (hold) {
		json_object_set_new(m, "finalizers", json_pack("[s]", DEVICE_FINALIZER));
	}
	if (owners) {
		json_object_set_new(m, "ownerReferences", owners);
	}
	return json_pack("{s:o}", "metadata", m);
}

/* --- status ----------------------------------------------------------------------------------- */

/*
 * Noted when the claim is taken up, and kept: it is what the device goes back to. vfio-pci: an admin
 * had bound it before. Of a device that the default policy had bound it is what was there before
 * that.
 */
static const char *driver_before(const struct claim_seen *s)
{
	const char *had = s->claim->status ? s->claim->status->driver : NULL,
		   *now = s->d.function->driver;
	const struct unit_order *before = claims_standing(s->d.node, s->d.unit->id);
	const struct pci_device *device =
		cache_get(s->d.pass->cache, &kind_pci_device, NULL, s->d.name);

	if (had) {
		return had;
	}
	if (device && !str_empty(device->first_driver)) {
		return device->first_driver;
	}
	return str_empty(now) || (str_eq(now, "vfio-pci") && before) ? NULL : now;
}

static bool is_obeyed(const struct claim_seen *s)
{
	const struct unit_order *o = claims_standing(s->d.node, s->d.unit->id);

	return o && str_eq(o->want, "vfio") && str_eq(s->d.function->driver, "vfio-pci") &&
	       str_starts(o->by ? o->by : "", "PCIDeviceClaim ");
}

/* The resource that the kubelet is to have it as; NULL: it has. */
static const char *moves_to(const struct claim_seen *s)
{
	const struct gpu_unit *u = s->d.unit;
	const struct unit_order *o = claims_standing(s->d.node, u->id);
	const char *now = u->resource ? u->resource : u->name,
		   *next = o->exclusive ? o->exclusive : o->name;

	return next && !str_eq(next, now) ? next : NULL;
}

/* It is bound, and has another resource still. */
static struct verdict moving(const struct claim_seen *s, const char *next)
{
	const struct gpu_unit *u = s->d.unit;
	struct arena *a = s->d.pass->arena;

	if (u->holder) {
		return verdict_no(
			"InUse",
			arena_printf(a,
				     "device %s is in use with %s as %s: stop that first, then it "
				     "is %s",
				     s->d.name,
				     device_holder(a, u->holder->ns, u->holder->pod, u->holder->vm),
				     u->resource ? u->resource : u->name, next));
	}
	return verdict_no("Moving", arena_printf(a, "node %s is told to list the device as %s",
						 s->d.node_name, next));
}

static void say_waiting(const struct claim_seen *s, struct pci_claim_status *status,
			const struct condition_list *old)
{
	const struct condition *c = condition_find(&s->d.unit->conditions, "Available");
	const char *silent = device_silent(&s->d);
	bool no = c && str_eq(c->status, "False");
	const char *next = is_obeyed(s) ? moves_to(s) : NULL;

	if (next && (!no || s->d.unit->holder)) {
		struct verdict v = moving(s, next);

		device_say(&s->d, &status->conditions, old, s->claim->obj.generation, "Ready",
			   v.reason, v.message);
		return;
	}

	if (silent) {
		device_say(&s->d, &status->conditions, old, s->claim->obj.generation, "Ready",
			   "NodeSilent", silent);
		return;
	}
	device_say(&s->d, &status->conditions, old, s->claim->obj.generation, "Ready",
		   no && !str_empty(c->reason) ? c->reason : "Binding",
		   no && !str_empty(c->message)
			   ? c->message
			   : arena_printf(s->d.pass->arena,
					  "node %s is told to bind the device to vfio-pci",
					  s->d.node_name));
}

static void write_status(const struct claim_seen *s, const struct verdict *refused,
			 const struct verdict *waits, struct plan *plan)
{
	const struct pci_claim *claim = s->claim;
	const struct condition_list *old = claim->status ? &claim->status->conditions : NULL;
	struct pci_claim_status status = {.passthrough = TRI_FALSE,
					  .driver = claim->status ? claim->status->driver : NULL};

	if (s->d.pass->trouble) {
		device_say(&s->d, &status.conditions, old, claim->obj.generation, "Accepted",
			   "Refused", s->d.pass->trouble);
	} else if (refused->status) {
		device_say(&s->d, &status.conditions, old, claim->obj.generation, "Accepted",
			   refused->reason, refused->message);
	}
	if (waits->status) {
		status.passthrough = claim->status ? claim->status->passthrough : TRI_FALSE;
		device_say(&s->d, &status.conditions, old, claim->obj.generation, "Ready",
			   waits->reason, waits->message);
	} else if (!refused->status) {
		status.driver = driver_before(s);
		status.passthrough = is_obeyed(s) ? TRI_TRUE : TRI_FALSE;
		if (!is_obeyed(s) || moves_to(s)) {
			say_waiting(s, &status, old);
		}
	}
	plan_status_of(plan, &kind_pci_claim, &claim->obj, &pci_claim_status_type, claim->status,
		       &status, "what became of the claim");
}

/* --- plan ------------------------------------------------------------------------------------- */

static void plan_going(const struct claim_seen *s, struct plan *plan)
{
	struct verdict none = verdict_none(), why = verdict_none();

	if (claims_released(&s->d, s->claim, &why)) {
		plan_apply(plan, &kind_pci_claim, OBJ_MANAGER, body(s, false),
			   "the claim goes: nothing of it is left on its node");
	} else {
		write_status(s, &none, &why, plan);
	}
}

static void plan_claim(const void *seen, struct plan *plan)
{
	const struct claim_seen *s = seen;
	struct verdict refused, none = verdict_none();
	bool holds = device_has_finalizer(&s->claim->finalizers);

	if (s->claim->obj.deleting) {
		plan_going(s, plan);
		return;
	}
	refused = claims_refused(&s->d, s->claim);
	if (refused.status && !s->d.node) {
		/* Its node may come back: what was held stays held. */
		write_status(s, &refused, &none, plan);
		return;
	}
	plan_apply(plan, &kind_pci_claim, OBJ_MANAGER, body(s, holds || !refused.status),
		   "a claim is let go only when its device is back");
	write_status(s, &refused, &none, plan);
}

const struct reconciler reconcile_pci_claim = {
	"pcideviceclaim", &kind_pci_claim, device_claim_watches, gather, plan_claim,
};
