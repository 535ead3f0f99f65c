/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCIDevice: one for each GPU, companion and virtual function of a node. Made, described, and taken
 * away when the device has gone, unless somebody claims it: the claim is owned by it and would go,
 * too.
 */
#include <string.h>

#include "controller/device.h"
#include "controller/node_claims.h"
#include "controller/plan_device.h"

struct pci_seen {
	struct device d;
	const struct pci_device *have;
};

static const void *gather(const struct pass *pass)
{
	struct pci_seen *s = arena_new(pass->arena, struct pci_seen);

	device_find(pass, &s->d);
	s->have = cache_get(pass->cache, &kind_pci_device, NULL, pass->key.name);
	return device_served(pass) && s->d.node && !s->d.leaves &&
			       !(s->have && s->have->obj.deleting)
		       ? s
		       : NULL; /* the garbage collector's */
}

/* --- words ------------------------------------------------------------------------------------ */

/* pci.ids' words for the subclasses that a unit may have. */
static const struct {
	const char *code, *words;
} classes[] = {
	{"0300", "VGA compatible controller"},
	{"0302", "3D controller"},
	{"0380", "Display controller"},
	{"0403", "Audio device"},
	{"0c03", "USB controller"},
	{"0c80", "Serial bus controller"},
	{"0680", "Bridge"},
	{"1200", "Processing accelerators"},
};

static const char *class_words(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (str_eq(classes[i].code, code)) {
			return classes[i].words;
		}
	}
	return NULL;
}

static const char *or_null(const char *s)
{
	return str_empty(s) ? NULL : s;
}

static const char *class_id(struct arena *a, const char *code)
{
	return str_empty(code) ? NULL : arena_strndup(a, code, 4);
}

static const char *description(struct arena *a, const char *class_id, const char *words)
{
	const char *class = class_words(class_id);

	if (!class || str_empty(words)) {
		return class ? class : or_null(words);
	}
	return arena_printf(a, "%s: %s", class, words);
}

/* --- status ----------------------------------------------------------------------------------- */

static const struct gpu_function *card_of(const struct gpu_unit *u)
{
	list_each(f, &u->functions) {
		if (str_eq(f->address, u->address)) {
			return f;
		}
	}
	return NULL;
}

/* A name of its own, where its claim asks for that. */
static const char *exclusive_name(const struct device *d)
{
	const struct unit_order *o = d->unit ? claims_standing(d->node, d->unit->id) : NULL;
	const char *slash = o && o->exclusive ? strchr(o->exclusive, '/') : NULL;

	return slash && str_eq(slash + 1, d->name) ? o->exclusive : NULL;
}

static void say_function(const struct device *d, struct pci_device_status *ret)
{
	const struct gpu_function *f = d->function;
	struct arena *a = d->pass->arena;

	ret->address = f->address;
	ret->vendor_id = f->vendor_id;
	ret->device_id = f->device_id;
	ret->class_id = class_id(a, f->class_code);
	ret->iommu_group =
		d->unit->group ? arena_printf(a, "%lld", (long long)d->unit->group->id) : NULL;
	ret->description = description(a, ret->class_id, f->description);
	ret->driver = or_null(f->driver);
	if (device_is_gpu(f)) {
		ret->resource_name = d->unit->resource ? d->unit->resource : or_null(d->unit->name);
	}
}

/* White space of a type becomes _ in its resource (nvidia.md 1.4). */
static const char *vgpu_resource(struct arena *a, const struct gpu_unit *u, const char *type)
{
	int prefix = u->name ? (int)strcspn(u->name, "/") : 0;
	char *s = arena_printf(a, "%.*s/%s", prefix, prefix ? u->name : "", type);

	for (char *p = s; *p; p++) {
		*p = *p == ' ' || *p == '\t' ? '_' : *p;
	}
	return prefix ? s : NULL;
}

/* A virtual function is as its card is: the report has no more of it. */
static void say_vf(const struct device *d, struct pci_device_status *ret)
{
	const struct gpu_function *card = card_of(d->unit);
	struct arena *a = d->pass->arena;

	ret->address = d->slot->vf;
	ret->vendor_id = d->unit->vendor_id;
	ret->device_id = d->unit->device_id;
	ret->class_id = card ? class_id(a, card->class_code) : NULL;
	ret->description = card ? description(a, ret->class_id, card->description) : NULL;
	ret->resource_name = d->slot->type ? vgpu_resource(a, d->unit, d->slot->type) : NULL;
}

static void write_status(const struct pci_seen *s, struct plan *plan)
{
	struct pci_device_status status = {.node_name = s->d.node_name};

	if (s->d.function) {
		say_function(&s->d, &status);
	} else if (s->d.slot) {
		say_vf(&s->d, &status);
	} else if (s->have->status) { /* claimed and gone: what it was, and nothing that it does */
		status = *s->have->status;
		status.driver = status.iommu_group = status.resource_name = NULL;
	}
	plan_status_of(plan, &kind_pci_device, &s->have->obj, &pci_device_status_type,
		       s->have->status, &status, "what the node reports of the device");
}

/* --- the object ------------------------------------------------------------------------------- */

/* The driver at first sight is one of the host's, never the one that we bind. */
static const char *first_driver(const struct pci_seen *s)
{
	const char *driver = s->d.function ? s->d.function->driver : NULL;

	if (s->have && s->have->first_driver) {
		return s->have->first_driver;
	}
	return str_empty(driver) || str_eq(driver, "vfio-pci") ? NULL : driver;
}

static json_t *body(const struct pci_seen *s)
{
	const struct device *d = &s->d;
	const char *driver = first_driver(s), *exclusive = exclusive_name(d);
	json_t *m = device_metadata(
		d, d->slot ? device_name(d->pass->arena, d->node_name, d->unit->address) : NULL);
	json_t *annotations = json_object();

	if (driver) {
		json_object_set_new(annotations, HARVESTER_DRIVER_ANNOTATION, json_string(driver));
	}
	if (exclusive) {
		json_object_set_new(annotations, HARVESTER_OVERRIDE_ANNOTATION,
				    json_string(exclusive));
	}
	if (json_object_size(annotations)) {
		json_object_set(m, "annotations", annotations);
	}
	json_decref(annotations);
	return json_pack("{s:o, s:{}}", "metadata", m, "spec");
}

/* Its claim is owned by it: it stays while there is one. */
static void plan_gone(const struct pci_seen *s, struct plan *plan)
{
	const struct pass *pass = s->d.pass;

	if (!s->have || !device_reported(s->d.node)) {
		return;
	}
	if (cache_get(pass->cache, &kind_pci_claim, NULL, pass->key.name)) {
		write_status(s, plan);
		return;
	}
	plan_delete(plan, &kind_pci_device, &s->have->obj,
		    "its node reports no such device any more, and nobody claims it");
}

static void plan_pci(const void *seen, struct plan *plan)
{
	const struct pci_seen *s = seen;

	if (!s->d.unit) {
		plan_gone(s, plan);
		return;
	}
	plan_apply(plan, &kind_pci_device, OBJ_MANAGER, body(s), "a device that its node reports");
	if (s->have) {
		write_status(s, plan);
	}
}

const struct reconciler reconcile_pci_device = {
	"pcidevice", &kind_pci_device, device_pci_watches, gather, plan_pci, &kind_gpu_node,
};
