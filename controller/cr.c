/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cr.h"

#include <strings.h>

#include "base/listing.h"

/* --- which one counts ------------------------------------------------------------------------- */

static bool has(const char *const *items, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(items[i], name)) {
			return true;
		}
	}
	return false;
}

bool cr_gate(const struct kv_config *c)
{
	return has(c->gates.items, c->gates.n, "HostDevices") &&
	       !has(c->disabled_gates.items, c->disabled_gates.n, "HostDevices");
}

void cr_find(const struct pass *pass, struct cr *ret)
{
	struct obj_list all = cache_sorted(pass->cache, &kind_kv_config, NULL, pass->arena);
	struct listing names;

	*ret = (struct cr){0};
	listing_init(&names, pass->arena, ", ");
	for (size_t i = 0; i < all.n; i++) {
		const struct kv_config *c = (const struct kv_config *)all.items[i];

		if (all.n > 1 && str_empty(c->phase)) {
			continue;
		}
		listing_add(&names, "%s/%s", c->obj.ns, c->obj.name);
		ret->config = ret->n++ ? NULL : c;
	}
	ret->names = ret->n ? listing_end(&names) : NULL;
	ret->gate = ret->config && cr_gate(ret->config);
}

/* --- whose it is ------------------------------------------------------------------------------ */

/* Whoever else writes the whole CR and would undo what we write (kubevirt.md 4). */
static const char *other_owner(const struct kv_config *c, struct arena *a)
{
	if (str_eq(c->obj.owner_kind, "HyperConverged") || str_eq(c->managed_by, "hco-operator")) {
		return "HyperConverged";
	}
	if (c->helm_release) {
		return arena_printf(a, "the Helm release %s", c->helm_release);
	}
	return str_eq(c->managed_by, "Helm") ? "a Helm release" : NULL;
}

const char *cr_hands_off(const struct kv_config *c, const struct options *o, struct arena *a,
			 const char **ret_reason)
{
	enum options_permit mode = o ? o->permit : OPTIONS_PERMIT_AUTO;
	const char *owner = other_owner(c, a), *reason;

	if (mode == OPTIONS_PERMIT_MANAGE || (mode == OPTIONS_PERMIT_AUTO && !owner)) {
		return NULL;
	}
	reason = mode == OPTIONS_PERMIT_REPORT ? "ReportOnly" : "ManagedByOthers";
	if (ret_reason) {
		*ret_reason = reason;
	}
	return mode == OPTIONS_PERMIT_REPORT
		       ? "is not written by vmgpu (--permit=report)"
		       : arena_printf(a, "belongs to %s, so vmgpu does not write it", owner);
}

/* --- what it permits -------------------------------------------------------------------------- */

#define T struct cr_entry
#define ENTRY(name, selector_key)                                                                  \
	static const struct field name##_fields[] = {                                              \
		FIELD(T, selector, selector_key, TYPE_STR),                                        \
		FIELD(T, resource, "resourceName", TYPE_STR),                                      \
		FIELD(T, external, "externalResourceProvider", TYPE_BOOL),                         \
		{0},                                                                               \
	};                                                                                         \
	static const struct type name = {sizeof(T), name##_fields, NULL}
ENTRY(pci_entry, "pciVendorSelector");
ENTRY(mdev_entry, "mdevNameSelector");
#undef T

static const struct field permitted_fields[] = {
	FIELD(struct cr_permitted, pci, "pciHostDevices", TYPE_OBJS, .sub = &pci_entry),
	FIELD(struct cr_permitted, mdev, "mediatedDevices", TYPE_OBJS, .sub = &mdev_entry),
	FIELD(struct cr_permitted, usb, "usb", TYPE_OBJS, .sub = &pci_entry),
	{0},
};
static const struct type permitted_type = {sizeof(struct cr_permitted), permitted_fields, NULL};

void cr_permitted_read(const struct kv_config *c, struct arena *a, struct cr_permitted *ret)
{
	if (type_read_text(&permitted_type, c->permitted, a, ret, NULL) < 0) {
		*ret = (struct cr_permitted){0};
	}
	ret->absent = !c->permitted;
}

bool cr_same_selector(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		char x = *a == ' ' ? '_' : *a, y = *b == ' ' ? '_' : *b;

		if (strncasecmp(&x, &y, 1) != 0) {
			return false;
		}
	}
	return *a == *b;
}
