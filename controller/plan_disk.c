/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_disk.h"

#include <string.h>

#include "base/quantity.h"
#include "controller/disk.h"
#include "controller/volumes.h"

#define APP "vm-disk"
#define PREFIX APP "-"
#define DEFAULT_SIZE "5Gi"
#define OPTICAL "vm-disk.cozystack.io/optical"
#define BIND_NOW "cdi.kubevirt.io/storage.bind.immediate.requested"

/* --- gather ----------------------------------------------------------------------------------- */

static void see_children(struct disk_seen *s)
{
	const struct cache *c = s->pass->cache;
	const char *ns = s->disk->obj.ns;

	s->cdi_served = cache_version(c, &kind_data_volume) != NULL;
	s->data = cache_get(c, &kind_data_volume, ns, s->child.name);
	s->claim = cache_get(c, &kind_pvc, ns, s->child.name);
	s->whose = child_whose(&s->child, s->data ? &s->data->obj : NULL,
			       s->data ? s->data->helms : TRI_UNSET);
}

/* A golden image is cloned, whatever its state is: CDI waits for it. */
static void see_image(struct disk_seen *s, const char *image)
{
	s->pvc_name = volumes_golden(s->pass, image);
	s->pvc_ns = options_images_ns(s->options);
	if (!s->pvc_name) {
		s->url = volumes_image_url(image);
	}
}

static void see_source(struct disk_seen *s)
{
	if (s->source.image) {
		see_image(s, s->source.image->name ? s->source.image->name : "");
	} else if (s->source.disk) {
		s->pvc_name = arena_printf(s->pass->arena, PREFIX "%s",
					   s->source.disk->name ? s->source.disk->name : "");
		s->pvc_ns = s->disk->obj.ns;
	} else if (s->source.http) {
		s->url = s->source.http->url;
	}
}

bool disk_has_claim(const struct disk_seen *s)
{
	return s->claim && s->data && str_eq(s->claim->obj.owner_uid, s->data->obj.uid);
}

/* Not before the import has ended: CDI would lose its volume. */
static bool must_grow(const struct disk_seen *s)
{
	return s->data && !s->accepted.status && !s->data->obj.deleting && disk_has_claim(s) &&
	       str_eq(s->data->phase, "Succeeded") &&
	       quantity_compare(s->size, s->claim->storage) > 0;
}

static const void *gather(const struct pass *pass)
{
	const struct vm_disk *disk =
		cache_get(pass->cache, &kind_vm_disk, pass->key.ns, pass->key.name);
	struct disk_seen *s;

	/* What an object that is being deleted owns must not come back. */
	if (!disk || disk->obj.deleting) {
		return NULL;
	}
	s = arena_new(pass->arena, struct disk_seen);
	s->pass = pass;
	s->options = pass->options;
	s->disk = disk;
	s->child = (struct child_of){.kind = &kind_vm_disk, .owner = &disk->obj, .app = APP};
	s->child.name = child_name(pass->arena, APP, disk->obj.name, false);
	s->accepted = child_spec_read(pass->arena, &vm_disk_spec_type, disk->spec, &s->spec);
	if (s->spec.source) {
		s->source = *s->spec.source;
	}
	s->size = !str_empty(s->spec.storage) ? s->spec.storage
		  : !str_empty(s->spec.size)  ? s->spec.size
					      : DEFAULT_SIZE;
	s->class = volumes_class(pass->cache, s->spec.storage_class);
	see_children(s);
	see_source(s);
	disk_check(s);
	s->makes = !s->data && !s->accepted.status && !s->missing.status;
	s->grows = must_grow(s);
	return s;
}

/* --- plan ------------------------------------------------------------------------------------- */

static json_t *source(const struct disk_seen *s)
{
	if (s->source.upload) {
		return json_pack("{s:{}}", "upload");
	}
	if (s->pvc_name) {
		return json_pack("{s:{s:s, s:s}}", "pvc", "namespace", s->pvc_ns, "name",
				 s->pvc_name);
	}
	return s->url ? json_pack("{s:{s:s}}", "http", "url", s->url)
		      : json_pack("{s:{}}", "blank");
}

static const char *optical(const struct disk_seen *s)
{
	return tri_or(s->spec.optical, false) ? "true" : "false";
}

static json_t *data_volume(const struct disk_seen *s)
{
	json_t *body = child_object(&s->child, s->pass->cache, &kind_data_volume, s->child.name);
	json_t *annotations = json_pack("{s:s}", OPTICAL, optical(s));

	if (s->source.upload) {
		/* virtctl writes into a volume: it must be there before any pod asks for it. */
		json_object_set_new(annotations, BIND_NOW, json_string(""));
	}
	json_object_set_new(json_object_get(body, "metadata"), "annotations", annotations);
	json_object_set_new(body, "spec",
			    json_pack("{s:s, s:o, s:{s:{s:{s:s}}, s:s*}}", "contentType",
				      "kubevirt", "source", source(s), "storage", "resources",
				      "requests", "storage", s->size, "storageClassName",
				      s->class));
	return body;
}

/* What Cozystack's chart made stays as it is; only its owner is written. */
static json_t *adoption(const struct disk_seen *s)
{
	json_t *body = child_object(&s->child, s->pass->cache, &kind_data_volume, s->child.name);

	json_object_del(json_object_get(body, "metadata"), "labels");
	return body;
}

/* CDI freezes the spec of a DataVolume, so what is there is never applied again. */
static void plan_existing(const struct disk_seen *s, struct plan *plan)
{
	const char *shown = s->data->optical ? s->data->optical : "false", *wanted = optical(s);

	if (s->data->helms == TRI_TRUE) {
		plan_apply(plan, &kind_data_volume, OBJ_MANAGER, adoption(s),
			   "the DataVolume, made by Cozystack, is this disk's");
	}
	if (!str_eq(shown, wanted)) {
		plan_merge(plan, &kind_data_volume, s->data->obj.ns, s->data->obj.name,
			   json_pack("{s:{s:{s:s}}}", "metadata", "annotations", OPTICAL, wanted),
			   "the manifest says otherwise whether it is a CD");
	}
	if (s->grows) {
		plan_merge(plan, &kind_pvc, s->claim->obj.ns, s->claim->obj.name,
			   json_pack("{s:{s:{s:{s:s}}}}", "spec", "resources", "requests",
				     "storage", s->size),
			   "the manifest asks for a larger disk");
	}
}

static void plan_disk(const void *seen, struct plan *plan)
{
	const struct disk_seen *s = seen;

	if (s->makes) {
		plan_apply(plan, &kind_data_volume, OBJ_MANAGER, data_volume(s),
			   "a DataVolume for the disk");
	} else if (s->data && !s->accepted.status && !s->data->obj.deleting) {
		plan_existing(s, plan);
	}
	disk_status(s, plan);
}

/* --- what wakes a disk ------------------------------------------------------------------------ */

static void wake_by_name(const struct cache *c, const struct obj *o, wake_fn *wake, void *ctx)
{
	const char *name = str_starts(o->name, PREFIX) ? o->name + strlen(PREFIX) : NULL;

	if (name && cache_get(c, &kind_vm_disk, o->ns, name)) {
		wake(ctx, o->ns, name);
	}
}

/* Disks that are made from what has just come or gone: copies of a disk, of a golden image. */
static void wake_copies(const struct cache *c, const struct obj *o, wake_fn *wake, void *ctx)
{
	bool is_disk = str_starts(o->name, PREFIX);

	if (!is_disk && !volumes_golden_image(o->name)) {
		return;
	}
	for (const struct vm_disk *d = NULL; (d = cache_next(c, &kind_vm_disk, d));) {
		bool may_copy = d->spec && strstr(d->spec, is_disk ? "\"disk\"" : "\"image\"");

		if (may_copy && (!is_disk || str_eq(d->obj.ns, o->ns))) {
			wake(ctx, d->obj.ns, d->obj.name);
		}
	}
}

static void on_volume(const struct cache *c, const struct obj *old, const struct obj *now,
		      wake_fn *wake, void *ctx)
{
	const struct obj *o = now ? now : old;

	wake_by_name(c, o, wake, ctx);
	if (!old || !now) {
		wake_copies(c, o, wake, ctx);
	}
}

static const struct plan_watch watches[] = {
	{&kind_data_volume, on_volume},
	{&kind_pvc, on_volume},
	{0},
};

const struct reconciler reconcile_vm_disk = {"vmdisk", &kind_vm_disk, watches, gather, plan_disk};
