/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a disk from being written at all (Accepted=False), what it waits for, and what is
 * accepted without effect (Accepted=True NotHandled).
 */
#include "controller/disk.h"

#include <string.h>

#include "base/quantity.h"
#include "controller/volumes.h"

#define MAX_NAME 63 /* the label app.kubernetes.io/instance carries the name of the DataVolume */

const char *disk_done_size(const struct disk_seen *s)
{
	const char *done = s->disk->status ? s->disk->status->size : NULL;

	if (!s->data) {
		return s->makes && !s->pass->trouble ? s->size : NULL;
	}
	if (quantity_compare(s->data->storage, done) > 0) {
		done = s->data->storage;
	}
	if (quantity_compare(s->size, done) <= 0) {
		return done;
	}
	/* Growing is done when the claim says so, or in this pass. */
	if (s->grows ? !s->pass->trouble
		     : disk_has_claim(s) && quantity_compare(s->claim->storage, s->size) >= 0) {
		return s->size;
	}
	return done;
}

/* --- refused ---------------------------------------------------------------------------------- */

static struct verdict check_name(const struct disk_seen *s)
{
	size_t n = strlen(s->child.name);

	if (n <= MAX_NAME) {
		return verdict_none();
	}
	return verdict_no(
		"NameTooLong",
		arena_printf(s->pass->arena,
			     "the DataVolume would be named %s: %zu characters, at most %d; choose "
			     "a name of at most %zu",
			     s->child.name, n, MAX_NAME,
			     MAX_NAME - (n - strlen(s->disk->obj.name))));
}

static struct verdict check_source(const struct disk_seen *s)
{
	const struct vm_disk_source *src = &s->source;
	int n = !!src->image + !!src->http + !!src->upload + !!src->disk;

	if (n > 1) {
		return verdict_no("InvalidSource", "source names several origins: keep one of "
						   "image, http, upload and disk");
	}
	if ((src->image && str_empty(src->image->name)) ||
	    (src->disk && str_empty(src->disk->name))) {
		return verdict_no("InvalidSource",
				  "source has no name: write image.name or disk.name");
	}
	if (src->http && str_empty(src->http->url)) {
		return verdict_no("InvalidSource", "source.http has no url");
	}
	if (src->disk && str_eq(src->disk->name, s->disk->obj.name)) {
		return verdict_no("InvalidSource",
				  arena_printf(s->pass->arena,
					       "source.disk is %s itself: name another VMDisk",
					       src->disk->name));
	}
	return verdict_none();
}

static struct verdict taken(const struct disk_seen *s, const char *kind, const struct obj *o)
{
	struct arena *a = s->pass->arena;
	const char *whose =
		o->owner_name ? arena_printf(a, "belongs to %s %s", o->owner_kind, o->owner_name)
			      : "is not ours";

	return verdict_no("ChildTaken",
			  arena_printf(a,
				       "%s %s/%s exists and %s: it is left alone; give this disk "
				       "another name or remove that object",
				       kind, o->ns, o->name, whose));
}

static struct verdict check_taken(const struct disk_seen *s)
{
	if (s->whose == CHILD_TAKEN) {
		return taken(s, "DataVolume", &s->data->obj);
	}
	if (!s->data && s->cdi_served && s->claim && !s->claim->obj.deleting) {
		/* CDI does not fill a claim that it finds. */
		return taken(s, "PersistentVolumeClaim", &s->claim->obj);
	}
	return verdict_none();
}

/* --- awaited ---------------------------------------------------------------------------------- */

static struct verdict image_missing(const struct disk_seen *s)
{
	return verdict_no("ImageMissing", volumes_no_image(s->pass, s->source.image->name));
}

static struct verdict check_missing(const struct disk_seen *s)
{
	const struct cache *c = s->pass->cache;

	if (!s->cdi_served) {
		return verdict_no("CDIMissing",
				  "CDI is not installed: nobody serves DataVolumes "
				  "(cdi.kubevirt.io); an administrator must install it");
	}
	if (s->data) {
		return verdict_none();
	}
	if (s->source.image && !s->pvc_name && !s->url) {
		return image_missing(s);
	}
	if (s->source.disk && !cache_get(c, &kind_data_volume, s->pvc_ns, s->pvc_name) &&
	    !cache_get(c, &kind_pvc, s->pvc_ns, s->pvc_name)) {
		return verdict_no(
			"SourceMissing",
			arena_printf(s->pass->arena,
				     "there is no VMDisk %s to copy in this namespace yet",
				     s->source.disk->name));
	}
	return verdict_none();
}

/* --- without effect --------------------------------------------------------------------------- */

static const char *also(const struct disk_seen *s, const char *list, const char *what)
{
	return list ? arena_printf(s->pass->arena, "%s; %s", list, what) : what;
}

/* An image has two origins, and another name of its golden copy: what counts is the image. */
static bool of_image(const struct kv_data_volume *d, const char *image)
{
	const char *made = d->source_url     ? volumes_url_image(d->source_url)
			   : d->source_claim ? volumes_golden_image(d->source_claim)
					     : NULL;

	return made ? str_eq(made, image) : d->source_url || d->source_claim;
}

/*
 * CDI fills a volume once. The CRD keeps a source from being changed, but not from being added to a
 * disk that had none. What an upload has brought the DataVolume does not show.
 */
static bool other_source(const struct disk_seen *s)
{
	const struct kv_data_volume *d = s->data;

	if (s->source.image) {
		return !of_image(d, s->source.image->name);
	}
	if (s->source.disk) {
		return !str_eq(d->source_claim, s->pvc_name);
	}
	if (s->source.http) {
		return !str_eq(d->source_url, s->url);
	}
	return d->source_url || d->source_claim;
}

/* Of an address only the host: the rest may hold a password or a signature. */
static const char *made_from(const struct disk_seen *s)
{
	const struct kv_data_volume *d = s->data;
	const char *host, *user;

	if (!d->source_url) {
		return d->source_claim ? d->source_claim : "nothing, or by an upload";
	}
	host = strstr(d->source_url, "://");
	host = host ? host + 3 : d->source_url;
	user = strchr(host, '@');
	if (user && user < host + strcspn(host, "/?#")) {
		host = user + 1;
	}
	return arena_printf(s->pass->arena, "what %.*s gave", (int)strcspn(host, "/?#"), host);
}

static const char *not_handled(const struct disk_seen *s)
{
	const struct vm_disk_spec *spec = &s->spec;
	const char *done = disk_done_size(s), *list = NULL;
	struct arena *a = s->pass->arena;

	if (!str_empty(spec->storage) && !str_empty(spec->size) &&
	    quantity_compare(spec->storage, spec->size) != 0) {
		list = also(s, list, "size (storage is set, which wins)");
	}
	if (done && quantity_compare(s->size, done) < 0) {
		list = also(s, list,
			    arena_printf(a, "storage (the disk has %s and cannot shrink to %s)",
					 done, s->size));
	}
	if (s->data && !str_empty(spec->storage_class) &&
	    !str_eq(spec->storage_class, s->data->storage_class)) {
		list = also(s, list,
			    arena_printf(a, "storageClass (the disk is of %s%s and stays there)",
					 s->data->storage_class ? "class " : "the default class",
					 s->data->storage_class ? s->data->storage_class : ""));
	}
	if (s->data && !s->data->obj.deleting && other_source(s)) {
		list = also(s, list,
			    arena_printf(a,
					 "source (the disk was made from %s and keeps that: for "
					 "another content make another VMDisk)",
					 made_from(s)));
	}
	return list;
}

void disk_check(struct disk_seen *s)
{
	static struct verdict (*const checks[])(const struct disk_seen *) = {
		check_name,
		check_source,
		check_taken,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.status; i++) {
		s->accepted = checks[i](s);
	}
	s->missing = check_missing(s);
	s->not_handled = not_handled(s);
}
