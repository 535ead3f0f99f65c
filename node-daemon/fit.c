/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/fit.h"

#include <inttypes.h>

#include "base/listing.h"

/* --- places and sizes ---------------------------------------------------------------------- */

bool fit_place_free(const struct pci_function *card, const struct pci_vf *vf)
{
	return vf->index < FIT_MAX_VFS && vgpu_place_free(card, vf);
}

static int64_t free_places(const struct pci_function *card)
{
	int64_t n = 0;

	list_each(vf, &card->vfs) {
		n += fit_place_free(card, vf);
	}
	return n;
}

static int64_t known_size(const struct pci_function *card, const char *name)
{
	const struct vgpu_known *k = vgpu_known_of(card, name);

	return k ? k->framebuffer_mib : 0;
}

/* 0: not known. */
static int64_t size_of(const struct pci_function *card, const char *id)
{
	const char *name = vgpu_type_name(card, id);

	list_each(t, &card->types) {
		if (str_eq(t->name, name) && t->framebuffer_mib) {
			return t->framebuffer_mib;
		}
	}
	return known_size(card, name);
}

/* Of the vGPUs on the card; -1: they have several, 0: there are none, or nobody knows. */
static int64_t size_made(const struct pci_function *card)
{
	int64_t size = 0;

	list_each(d, &card->mdevs) {
		int64_t one = size_of(card, d->type);

		size = size && one && size != one ? -1 : size ? size : one;
	}
	list_each(vf, &card->vfs) {
		int64_t one = *vf->type ? size_of(card, vf->type) : 0;

		size = size && one && size != one ? -1 : size ? size : one;
	}
	return size;
}

/* --- the mode ------------------------------------------------------------------------------ */

static bool any_mig(const struct pci_function *card)
{
	list_each(t, &card->types) {
		if (t->offered && vgpu_is_mig(t->name)) {
			return true;
		}
	}
	list_each(vf, &card->vfs) {
		if (*vf->type && vgpu_is_mig(vgpu_type_name(card, vf->type))) {
			return true;
		}
	}
	list_each(d, &card->mdevs) {
		if (vgpu_is_mig(vgpu_type_name(card, d->type))) {
			return true;
		}
	}
	return false;
}

enum fit_mode fit_mode(const struct pci_function *card)
{
	int64_t made = size_made(card);

	if (any_mig(card)) {
		return FIT_MIG;
	}
	for (size_t i = 0; made > 0 && i < card->types.n; i++) {
		const struct vgpu_type *t = &card->types.items[i];
		int64_t size = !t->offered	    ? 0
			       : t->framebuffer_mib ? t->framebuffer_mib
						    : known_size(card, t->name);

		if (size && size != made) {
			return FIT_MIXED;
		}
	}
	return made < 0 ? FIT_MIXED : FIT_EQUAL;
}

/* --- types --------------------------------------------------------------------------------- */

bool fit_type(const struct pci_function *card, const char *name, struct arena *a,
	      struct vgpu_type *ret)
{
	const struct vgpu_known *k = vgpu_known_of(card, name);
	bool found = false;

	list_each(t, &card->types) {
		if (!found && vgpu_same_name(t->name, name)) {
			*ret = *t;
			found = true;
		}
	}
	if (!found && (!k || !k->id)) {
		return false;
	}
	if (!found) {
		*ret = (struct vgpu_type){.id = arena_printf(a, "%u", k->id), .name = k->name};
	}
	if (k && !ret->framebuffer_mib) {
		ret->framebuffer_mib = k->framebuffer_mib;
	}
	if (k && !ret->max) {
		ret->max = k->max;
	}
	return true;
}

/* --- how many ------------------------------------------------------------------------------ */

/* Listed means that one is taken, whatever a table says of the most that the card takes. */
static int64_t left(const struct pci_function *card, const struct vgpu_type *t)
{
	int64_t n = t->max ? t->max - (int64_t)vgpu_made(card) : 1;

	return MAX(n, (int64_t)1);
}

int64_t fit_more(const struct pci_function *card, const struct vgpu_type *t, enum fit_mode mode)
{
	int64_t places;

	if (mode == FIT_MIG || vgpu_is_mig(t->name) || t->offered <= 0) {
		return 0;
	}
	if (!card->vfs.n) { /* the card carries them itself, and counts them itself */
		return mode == FIT_MIXED ? 1 : t->max ? MIN(t->offered, left(card, t)) : t->offered;
	}
	places = free_places(card);
	return MIN(places, mode == FIT_MIXED ? 1 : left(card, t));
}

bool fit_beside(const struct pci_function *card, const struct vgpu_type *t)
{
	int64_t size = size_made(card);

	return size > 0 && size_of(card, t->id) == size && !vgpu_is_mig(t->name) &&
	       fit_mode(card) == FIT_EQUAL;
}

const char *fit_creatable(const struct pci_function *card, struct arena *a)
{
	struct listing all;
	const char *text;

	listing_init(&all, a, ", ");
	list_each(t, &card->types) {
		if (t->offered > 0) {
			listing_add(&all, "%s", t->name);
		}
	}
	text = listing_end(&all);
	return *text ? text : "nothing";
}

const char *fit_why_not(const struct pci_function *card, const struct vgpu_type *t,
			enum fit_mode mode, struct arena *a)
{
	int64_t made = (int64_t)vgpu_made(card), size = size_made(card);

	if (fit_more(card, t, mode) > 0) {
		return "";
	}
	if (mode == FIT_MIG || vgpu_is_mig(t->name)) {
		return arena_printf(
			a,
			"%s: the card's vGPUs are MIG instances, which this version does "
			"not make; take the card out of MIG mode (nvidia-smi -mig 0), or "
			"ask for a type without MIG",
			t->name);
	}
	if (card->face == VGPU_NONE) {
		return arena_printf(a,
				    "%s: the card offers no vGPUs: its driver makes none, or its "
				    "virtual functions are not made",
				    t->name);
	}
	if (card->vfs.n && !free_places(card)) {
		return arena_printf(a,
				    "%s: no virtual function of the card is free: %" PRId64
				    " vGPUs are made; remove one",
				    t->name, made);
	}
	if (mode == FIT_EQUAL && size > 0 && t->framebuffer_mib && t->framebuffer_mib != size) {
		return arena_printf(a,
				    "%s: the card carries vGPUs of %" PRId64
				    " MiB and takes no other size beside them; creatable now: %s",
				    t->name, size, fit_creatable(card, a));
	}
	if (t->max && made >= t->max) {
		return arena_printf(a,
				    "%s: %" PRId64 " vGPUs are made, and the card takes %" PRId64
				    " of this type; remove one",
				    t->name, made, t->max);
	}
	return arena_printf(a, "%s: the driver does not offer it now; creatable now: %s", t->name,
			    fit_creatable(card, a));
}
