/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virt-controller looks at the resource names of all three lists and at nothing else, when it
 * renders the launcher pod (kubevirt.md 1); whether a missing name will come is up to plan_permit,
 * whose rules are repeated here.
 */
#include "controller/gpus.h"

#include "api/resource.h"

/* The entry that lets a name through: one that says external before one that does not. */
static const struct cr_entry *entry_named(const struct cr_entries *l, const char *device,
					  const struct cr_entry *found)
{
	list_each(e, l) {
		if (str_eq(e->resource, device) && (!found || e->external == TRI_TRUE)) {
			found = e;
		}
	}
	return found;
}

static const struct cr_entry *listed_as(const struct gpus *g, const char *device)
{
	const struct cr_entry *e = entry_named(&g->permitted.pci, device, NULL);

	e = entry_named(&g->permitted.mdev, device, e);
	return entry_named(&g->permitted.usb, device, e);
}

tri gpus_listed(const struct gpus *g, const char *device)
{
	if (!g->cr->config) {
		return TRI_UNSET;
	}
	return g->permitted.absent || listed_as(g, device) ? TRI_TRUE : TRI_FALSE;
}

/* Somebody's entry by which KubeVirt's own plugin offers these cards under another name. */
static const struct cr_entry *offered_as(const struct cr_entries *l, const char *selector)
{
	list_each(e, l) {
		if (e->selector && e->external != TRI_TRUE &&
		    cr_same_selector(e->selector, selector)) {
			return e;
		}
	}
	return NULL;
}

/* NULL: at least one of the model's entries may be added. */
static const struct cr_entry *in_the_way(const struct gpus *g, const struct inventory_model *m)
{
	const struct cr_entry *e = m->mdev ? offered_as(&g->permitted.mdev, m->mdev) : NULL;

	if (m->mdev && !e) {
		return NULL;
	}
	for (size_t i = 0; i < m->n_selectors; i++) {
		e = offered_as(&g->permitted.pci, m->selectors[i]);
		if (!e) {
			return NULL;
		}
	}
	return e;
}

static const char *entries_to_add(const struct gpus *g, const struct inventory_model *m)
{
	struct arena *a = g->pass->arena;
	const char *text = "";

	for (size_t i = 0; i < m->n_selectors; i++) {
		text = arena_printf(a,
				    "%s%s{pciVendorSelector: \"%s\", resourceName: %s, "
				    "externalResourceProvider: true} to pciHostDevices",
				    text, i ? ", " : "", m->selectors[i], m->name);
	}
	if (m->mdev) {
		text = arena_printf(a,
				    "%s%s{mdevNameSelector: \"%s\", resourceName: %s, "
				    "externalResourceProvider: true} to mediatedDevices",
				    text, *text ? ", " : "", m->mdev, m->name);
	}
	return text;
}

static struct verdict not_listed(const struct gpus *g, const char *device)
{
	const struct inventory_model *m = inventory_find(g->inventory, device);
	const struct kv_config *cr = g->cr->config;
	const struct cr_entry *e;
	struct arena *a = g->pass->arena;
	const char *hands_off;

	if (!m) {
		return verdict_no(
			"NotListed",
			arena_printf(
				a,
				"%s is not in permittedHostDevices of KubeVirt %s/%s, and no node has "
				"such a GPU: vmgpu adds what nodes report",
				device, cr->obj.ns, cr->obj.name));
	}
	e = in_the_way(g, m);
	if (e) {
		return verdict_no(
			"ForeignEntry",
			arena_printf(
				a,
				"KubeVirt's own device plugin offers these cards as %s (an entry with "
				"externalResourceProvider false), so vmgpu does not add %s: ask for %s, or have an "
				"administrator remove that entry from KubeVirt %s/%s",
				e->resource, device, e->resource, cr->obj.ns, cr->obj.name));
	}
	hands_off = cr_hands_off(cr, g->options, a, NULL);
	if (hands_off) {
		return verdict_no(
			"ManagedByOthers",
			arena_printf(a, "KubeVirt %s/%s %s: an administrator must add there %s",
				     cr->obj.ns, cr->obj.name, hands_off, entries_to_add(g, m)));
	}
	return verdict_no(
		"Registering",
		arena_printf(a, "%s is being added to permittedHostDevices of KubeVirt %s/%s",
			     device, cr->obj.ns, cr->obj.name));
}

static struct verdict permitted_one(const struct gpus *g, const char *device)
{
	const struct cr_entry *e = listed_as(g, device);

	if (!e) {
		return not_listed(g, device);
	}
	if (e->external == TRI_TRUE) {
		return verdict_yes("Listed", "the KubeVirt CR permits every GPU asked for");
	}
	return verdict_yes(
		"ForeignEntry",
		arena_printf(
			g->pass->arena,
			"%s is listed with externalResourceProvider false: KubeVirt's own device plugin serves it, not vmgpu's",
			device));
}

/* --- their audio functions -------------------------------------------------------------------- */

/* As entries of the token, of all that is asked for. */
static const char *companions_to_add(const struct gpus *g)
{
	struct arena *a = g->pass->arena;
	const char *text = "";

	for (size_t i = 0; i < g->n; i++) {
		const struct inventory_model *m = inventory_find(g->inventory, g->asks[i].device);

		for (size_t k = 0; m && k < m->n_companions; k++) {
			text = arena_printf(
				a,
				"%s%s{pciVendorSelector: \"%s\", resourceName: " RESOURCE_COMPANION
				", externalResourceProvider: true}",
				text, *text ? ", " : "", m->companions[k]);
		}
	}
	return text;
}

/* One that would keep ours away, or NULL. */
static const struct cr_entry *companion_in_the_way(const struct gpus *g)
{
	const struct cr_entry *e = NULL;

	for (size_t i = 0; i < g->n; i++) {
		const struct inventory_model *m = inventory_find(g->inventory, g->asks[i].device);

		for (size_t k = 0; m && k < m->n_companions && !e; k++) {
			e = offered_as(&g->permitted.pci, m->companions[k]);
		}
	}
	return e;
}

static struct verdict companions_not_listed(const struct gpus *g)
{
	const struct kv_config *cr = g->cr->config;
	const struct cr_entry *e = companion_in_the_way(g);
	const char *entries = companions_to_add(g), *hands_off;
	struct arena *a = g->pass->arena;

	if (!*entries) {
		return verdict_no("NotListed",
				  arena_printf(a,
					       RESOURCE_COMPANION
					       " is not in permittedHostDevices of KubeVirt %s/%s, "
					       "and no node has such a GPU with an audio function",
					       cr->obj.ns, cr->obj.name));
	}
	if (e) {
		return verdict_no(
			"ForeignEntry",
			arena_printf(
				a,
				"KubeVirt's own device plugin offers these functions as %s (an "
				"entry with externalResourceProvider false)",
				e->resource));
	}
	hands_off = cr_hands_off(cr, g->options, a, NULL);
	if (hands_off) {
		return verdict_no("ManagedByOthers",
				  arena_printf(a,
					       "KubeVirt %s/%s %s: an administrator must add to "
					       "pciHostDevices there %s",
					       cr->obj.ns, cr->obj.name, hands_off, entries));
	}
	return verdict_no("Registering",
			  arena_printf(a,
				       RESOURCE_COMPANION
				       " is being added to permittedHostDevices of KubeVirt %s/%s",
				       cr->obj.ns, cr->obj.name));
}

struct verdict gpus_companions_permitted(const struct gpus *g)
{
	const struct cr_entry *e = g->cr->config ? listed_as(g, RESOURCE_COMPANION) : NULL;

	if (!g->cr->config) {
		return verdict_no("NoKubeVirt", "there is no KubeVirt CR");
	}
	if (g->permitted.absent) {
		return verdict_yes("NoList", "every device is permitted");
	}
	if (!e) {
		return companions_not_listed(g);
	}
	return e->external == TRI_TRUE
		       ? verdict_yes("Listed", "the KubeVirt CR permits them")
		       : verdict_no(
				 "ForeignEntry", RESOURCE_COMPANION
				 " is listed with externalResourceProvider false: KubeVirt's own "
				 "device plugin would serve it");
}

/* --- all of them ------------------------------------------------------------------------------ */

/* What keeps a machine longest is said first; a name that comes by itself, last. */
static int badness(const struct verdict *v)
{
	static const char *const worst_first[] = {"NotListed", "ManagedByOthers", "ForeignEntry",
						  "Registering"};

	if (str_eq(v->status, "True")) {
		return str_eq(v->reason, "ForeignEntry") ? 1 : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(worst_first); i++) {
		if (str_eq(v->reason, worst_first[i])) {
			return (int)(1 + ARRAY_LEN(worst_first) - i);
		}
	}
	return 0;
}

static struct verdict worse(struct verdict a, struct verdict b)
{
	return badness(&b) > badness(&a) ? b : a;
}

static struct verdict permitted_all(const struct gpus *g)
{
	struct verdict worst;

	if (!g->n) {
		return verdict_none();
	}
	if (g->cr->n > 1) {
		return (struct verdict){
			"Unknown", "SeveralKubeVirts",
			arena_printf(
				g->pass->arena,
				"more than one KubeVirt CR counts (%s): an administrator must remove all but one",
				g->cr->names)};
	}
	if (!g->cr->config) {
		return (struct verdict){
			"Unknown", "NoKubeVirt",
			"there is no KubeVirt CR: an administrator must install KubeVirt"};
	}
	if (g->host_devices && !g->cr->gate) {
		return verdict_no(
			"GateOff",
			"the machine has its GPUs in hostDevices, and KubeVirt's feature gate HostDevices is off: an "
			"administrator must switch it on");
	}
	if (g->permitted.absent) {
		return verdict_yes(
			"NoList",
			"the KubeVirt CR has no permittedHostDevices: every device is permitted");
	}
	worst = permitted_one(g, g->asks[0].device);
	for (size_t i = 1; i < g->n; i++) {
		worst = worse(worst, permitted_one(g, g->asks[i].device));
	}
	return g->companions ? worse(worst, gpus_companions_permitted(g)) : worst;
}

struct verdict gpus_permitted(const struct gpus *g)
{
	struct verdict v = permitted_all(g);

	if (g->left_out && str_eq(v.status, "True")) {
		v.message = arena_printf(g->pass->arena, "%s; %s", v.message, g->left_out);
	}
	return v;
}
