/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_permit.h"

#include <stdlib.h>
#include <string.h>

#include "base/listing.h"
#include "controller/permit.h"

/* --- gather -------------------------------------------------------------------------------- */

static const void *gather(const struct pass *pass)
{
	const struct kv_config *cr =
		cache_get(pass->cache, &kind_kv_config, pass->key.ns, pass->key.name);
	struct permit_seen *s;

	if (!cr || cr->obj.deleting) {
		return NULL;
	}
	s = arena_new(pass->arena, struct permit_seen);
	*s = (struct permit_seen){
		.pass = pass,
		.options = pass->options,
		.cr = cr,
		.lists = {{.key = "pciHostDevices", .selector_key = "pciVendorSelector"},
			  {.key = "mediatedDevices", .selector_key = "mdevNameSelector"}},
	};
	cr_find(pass, &s->crs);
	if (s->crs.n == 1 ? s->crs.config != cr : str_empty(cr->phase)) {
		return NULL; /* one that does not count */
	}
	inventory_make(pass, NULL, NULL, &s->inventory);
	permit_note_read(s);
	permit_want(s);
	return s;
}

/* --- whose CR ------------------------------------------------------------------------------ */

static void say_kept(const struct permit_seen *s, struct plan *plan)
{
	plan_event(
		plan, true, "SpecUnreadable",
		arena_printf(s->pass->arena,
			     "the spec of %s %s/%s cannot be read, so nobody knows which GPUs it "
			     "asks for: no entry is removed from permittedHostDevices until it is "
			     "mended or deleted",
			     s->unread_kind->kind, s->unread->ns, s->unread->name));
}

/* The entries to be added by hand, as YAML flow, of many some. */
static const char *entries_text(const struct permit_seen *s)
{
	struct listing all;

	listing_init(&all, s->pass->arena, "; ");
	for (int i = 0; i < PERMIT_LISTS; i++) {
		const struct permit_list *l = &s->lists[i];
		json_t *entry;
		size_t k;

		json_array_foreach(l->next, k, entry) {
			if (k + l->n_come >= json_array_size(l->next)) {
				listing_add(
					&all,
					"%s: {%s: \"%s\", resourceName: %s, externalResourceProvider: true}",
					l->key, l->selector_key,
					json_string_value(json_object_get(entry, l->selector_key)),
					json_string_value(json_object_get(entry, "resourceName")));
			}
		}
	}
	return listing_end(&all);
}

static bool adds(const struct permit_seen *s)
{
	for (int i = 0; i < PERMIT_LISTS; i++) {
		if (s->lists[i].n_come) {
			return true;
		}
	}
	return false;
}

/* True when this CR is not ours to write; then, if something is missing, it is said. */
static bool only_reported(const struct permit_seen *s, struct plan *plan)
{
	const char *reason, *hands_off = cr_hands_off(s->cr, s->options, s->pass->arena, &reason);

	if (hands_off && adds(s)) {
		plan_event(
			plan, true, reason,
			arena_printf(
				s->pass->arena,
				"KubeVirt %s/%s %s; add to spec.configuration.permittedHostDevices there: %s",
				s->cr->obj.ns, s->cr->obj.name, hands_off, entries_text(s)));
	}
	return hands_off != NULL;
}

/* --- writing ------------------------------------------------------------------------------- */

/* Nothing but what we put there would be left: the field goes whole, because {} denies everything
 * (kubevirt.md 1). */
static bool field_goes(const struct permit_seen *s)
{
	const char *key;
	json_t *value;

	json_object_foreach(s->permitted, key, value) {
		bool ours = false;

		for (int i = 0; i < PERMIT_LISTS; i++) {
			ours |= str_eq(key, s->lists[i].key) && s->lists[i].drop;
		}
		if (!ours) {
			return false;
		}
	}
	return s->made_field && s->permitted;
}

static json_t *lists_patch(const struct permit_seen *s)
{
	json_t *patch = json_object();

	for (int i = 0; i < PERMIT_LISTS; i++) {
		const struct permit_list *l = &s->lists[i];

		if (l->drop) {
			json_object_set_new(patch, l->key, json_null());
		} else if (l->next) {
			json_object_set(patch, l->key, l->next);
		}
	}
	return patch;
}

static void write_cr(const struct permit_seen *s, struct plan *plan)
{
	bool changed = s->lists[PERMIT_PCI].next || s->lists[PERMIT_MDEV].next;
	bool goes = changed && field_goes(s);
	bool made = (s->made_field || !s->permitted) && !goes;
	const char *note = permit_note_write(s, made);
	json_t *body;

	if (!changed && str_eq(note, s->cr->ours)) {
		return;
	}
	body = json_pack("{s:{s:s}}", "metadata", "resourceVersion", s->cr->obj.rv);
	if (!str_eq(note, s->cr->ours)) {
		json_object_set_new(json_object_get(body, "metadata"), "annotations",
				    json_pack("{s:s?}", PERMITTED_ANNOTATION, note));
	}
	if (changed) {
		json_object_set_new(body, "spec",
				    json_pack("{s:{s:o}}", "configuration", "permittedHostDevices",
					      goes ? json_null() : lists_patch(s)));
	}
	plan_merge(
		plan, &kind_kv_config, s->cr->obj.ns, s->cr->obj.name, body,
		"permittedHostDevices must list what VMs want and nodes have, and nothing of ours beyond that");
}

static void free_seen(struct permit_seen *s)
{
	for (int i = 0; i < PERMIT_LISTS; i++) {
		json_decref(s->lists[i].next);
	}
	json_decref(s->permitted);
}

static void plan_lists(struct permit_seen *s, struct plan *plan)
{
	bool switches_on;

	for (int i = 0; i < PERMIT_LISTS; i++) {
		permit_list_next(s, &s->lists[i]);
	}
	switches_on = !s->permitted && adds(s);
	if (only_reported(s, plan)) {
		return;
	}
	if (switches_on && s->unknown_device) {
		plan_event(
			plan, true, "OtherDeviceVMs",
			arena_printf(
				s->pass->arena,
				"KubeVirt %s/%s has no permittedHostDevices, so every device is permitted; a first entry would forbid %s, which a VM uses and "
				"no node reports: list it there yourself, then vmgpu adds its own",
				s->cr->obj.ns, s->cr->obj.name, s->unknown_device));
		return;
	}
	if (s->kept) {
		say_kept(s, plan);
	}
	if (s->foreign) {
		plan_event(plan, true, "ForeignEntry", s->foreign);
	}
	write_cr(s, plan);
}

static void plan_permit(const void *seen, struct plan *plan)
{
	struct permit_seen *s = (struct permit_seen *)seen;

	if (s->crs.n > 1) {
		plan_event(
			plan, true, "SeveralKubeVirts",
			arena_printf(
				s->pass->arena,
				"several KubeVirt CRs are deployed (%s): vmgpu writes none of them; remove all but one",
				s->crs.names));
		return;
	}
	if (s->pass->trouble) {
		plan_event(plan, true, "Refused", s->pass->trouble);
	}
	s->permitted = s->cr->permitted ? json_loads(s->cr->permitted, 0, NULL) : NULL;
	if (s->cr->permitted && !json_is_object(s->permitted)) {
		/* Taken for absent it would be written anew, without the entries of others. */
		json_decref(s->permitted);
		plan_event(
			plan, true, "ListUnreadable",
			arena_printf(
				s->pass->arena,
				"KubeVirt %s/%s: spec.configuration.permittedHostDevices cannot be read (a NUL in a name?): vmgpu writes nothing there "
				"until it is mended",
				s->cr->obj.ns, s->cr->obj.name));
		return;
	}
	for (int i = 0; i < PERMIT_LISTS; i++) {
		s->lists[i].now = json_object_get(s->permitted, s->lists[i].key);
	}
	plan_lists(s, plan);
	permit_wake(s, plan);
	free_seen(s);
}

const struct reconciler reconcile_permit = {
	"permit", &kind_kv_config, permit_watches, gather, plan_permit,
};
