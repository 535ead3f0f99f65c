/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node-daemon/scan_inner.h"
#include "node-daemon/vgpu.h"

/* A sysfs file is at most one page, 64 KiB on some arm64 kernels; the longest real list has 2 KiB.
 */
#define LIST_BYTES (16 * KiB)
#define NAME_BYTES 128 /* longest type name: GPUNode's limit */

/* --- vendor VFIO --------------------------------------------------------------------------- */

void scan_vf_face(struct scan *s, struct entry *e, int dir)
{
	struct pci_vf *vf = e->vf;
	char text[32];
	int64_t id = 0;
	ssize_t n;

	if (!*vf->driver || pcifn_driver_is_vfio(vf->driver)) {
		return;
	}
	n = sysfs_read(dir, "nvidia/current_vgpu_type", text, sizeof(text));
	if (n == -ENOENT || n == -ENOTDIR) {
		return; /* not this interface, or a function on which the driver failed */
	}
	if (n < 0 || (n > 0 && parse_int(text, 0, INT32_MAX, &id) < 0)) {
		scan_half_seen(s, e->card, e->address, "nvidia/current_vgpu_type",
			       n < 0 ? (int)n : -EBADMSG);
		return;
	}
	vf->face = VGPU_VENDOR;
	if (id) {
		vf->type = arena_strdup(&s->m->arena, text);
	}
}

static struct vgpu_type *type_add(struct scan *s, struct pci_function *card)
{
	if (card->types.n == MACHINE_MAX_TYPES) {
		return NULL;
	}
	if (!card->types.items) {
		card->types.items = arena_array(&s->m->arena, struct vgpu_type, MACHINE_MAX_TYPES);
	}
	return &card->types.items[card->types.n++];
}

static void parse_creatable(struct scan *s, struct pci_function *card, char *text)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		const char *id, *name;
		struct vgpu_type *t;

		if (!vgpu_creatable_line(line, &id, &name) || strlen(name) > NAME_BYTES ||
		    !(t = type_add(s, card))) {
			continue;
		}
		t->id = arena_strdup(&s->m->arena, id);
		t->name = arena_strdup(&s->m->arena, name);
		t->offered = 1;
	}
}

/* All free functions of a card are offered the same, so one is asked: the first whose file can be
 * read. */
static void read_creatable(struct scan *s, struct pci_function *card)
{
	auto_free char *text = NULL;

	list_each(vf, &card->vfs) {
		struct entry *e = scan_entry(s, vf->address);
		auto_close int dir = -1;
		ssize_t n;

		if (vf->face != VGPU_VENDOR || *vf->type || vf->gone || !e ||
		    (dir = scan_note(s, sysfs_dir(s->devices, e->name))) < 0) {
			continue;
		}
		text = text ? text : xmalloc(LIST_BYTES);
		n = sysfs_read(dir, "nvidia/creatable_vgpu_types", text, LIST_BYTES);
		if (n >= 0) {
			parse_creatable(s, card, text);
			return;
		}
		scan_card_trouble(s, card, vf->address, "nvidia/creatable_vgpu_types", (int)n);
	}
}

/* --- mediated devices ---------------------------------------------------------------------- */

static bool is_uuid(const char *s)
{
	return strlen(s) == 36 && strspn(s, "0123456789abcdefABCDEF-") == 36;
}

/* The address before the last part of ../../../devices/pci0000:00/0000:00:03.0/0000:08:00.4/UUID.
 */
static int parent_of(char *target, uint64_t *ret)
{
	char *last = strrchr(target, '/'), *parent;

	if (!last) {
		return -1;
	}
	*last = 0;
	parent = strrchr(target, '/');
	return pcifn_parse(parent ? parent + 1 : target, ret);
}

static void mdev_add(struct scan *s, struct pci_function *card, const struct mdev *d)
{
	if (card->mdevs.n % 32 == 0) {
		struct mdev *more = arena_array(&s->m->arena, struct mdev, card->mdevs.n + 32);

		if (card->mdevs.n) {
			memcpy(more, card->mdevs.items, card->mdevs.n * sizeof(*more));
		}
		card->mdevs.items = more;
	}
	card->mdevs.items[card->mdevs.n++] = *d;
}

static void look_at_mdev(struct scan *s, int mdevs, const char *uuid)
{
	auto_close int dir = -1;
	char target[1024], type[NAME_BYTES];
	struct mdev d = {.type = ""};
	struct entry *e;
	ssize_t n;

	if (!is_uuid(uuid) || sysfs_link(mdevs, uuid, target, sizeof(target)) < 0 ||
	    parent_of(target, &d.parent) < 0) {
		return; /* gone, or the child of something that is no PCI device */
	}
	e = scan_entry(s, d.parent);
	if (!e || !e->card || (dir = scan_note(s, sysfs_dir(mdevs, uuid))) < 0) {
		return;
	}
	n = sysfs_link_name(dir, "mdev_type", type, sizeof(type));
	if (n < 0) {
		scan_half_seen(s, e->card, d.parent, "mdev_type", (int)n);
	} else {
		d.type = arena_strdup(&s->m->arena, type);
	}
	d.uuid = arena_strdup(&s->m->arena, uuid);
	mdev_add(s, e->card, &d);
}

static int by_parent(const void *a, const void *b)
{
	const struct mdev *x = a, *y = b;

	return x->parent != y->parent ? (x->parent > y->parent) - (x->parent < y->parent)
				      : strcmp(x->uuid, y->uuid);
}

static void half_seen(struct scan *s)
{
	list_each(f, &s->m->functions) {
		(*f)->half_seen = true;
	}
}

static void look_at_mdevs(struct scan *s)
{
	auto_close int mdevs = scan_note(s, sysfs_dir(s->sys, "bus/mdev/devices"));
	const char **uuids;
	size_t n;
	int rc;

	if (mdevs < 0 && mdevs != -ENOENT) {
		scan_trouble(s, "bus/mdev/devices", "list", mdevs);
		half_seen(s);
	}
	if (mdevs < 0) {
		return; /* no driver of mediated devices is loaded */
	}
	rc = sysfs_list(mdevs, ".", MACHINE_MAX_MDEVS, &s->m->arena, &uuids, &n);
	if (rc < 0) {
		scan_trouble(s, "bus/mdev/devices", "list", rc);
		half_seen(s);
	}
	for (size_t i = 0; i < n; i++) {
		look_at_mdev(s, mdevs, uuids[i]);
	}
	list_each(item, &s->m->functions) {
		struct pci_function *f = *item;

		if (f->mdevs.n) {
			qsort(f->mdevs.items, f->mdevs.n, sizeof(*f->mdevs.items), by_parent);
		}
	}
}

/* num_heads=4, frl_config=45, framebuffer=1024M, max_resolution=5120x2880, max_instance=16 */
static int64_t described(const char *description, const char *key)
{
	const char *at = strstr(description, key);
	int64_t value = 0;

	for (at = at ? at + strlen(key) : ""; isdigit((unsigned char)*at) && value < 1000000;
	     at++) {
		value = value * 10 + (*at - '0');
	}
	return value;
}

/* A type that lacks the file is one without it. */
static void type_trouble(struct scan *s, struct pci_function *card, uint64_t place, const char *id,
			 const char *file, int rc)
{
	auto_free char *path = xprintf("mdev_supported_types/%s/%s", id, file);

	if (rc < 0 && rc != -ENOENT) {
		scan_card_trouble(s, card, place, path, rc);
	}
}

static void read_mdev_type(struct scan *s, struct pci_function *card, uint64_t place, int types,
			   const char *id)
{
	auto_close int dir = scan_note(s, sysfs_dir(types, id));
	struct vgpu_type *t = dir < 0 || strlen(id) > NAME_BYTES ? NULL : type_add(s, card);
	char text[1024];
	int rc;

	if (!t) {
		return;
	}
	t->id = arena_strdup(&s->m->arena, id);
	t->name = t->id;
	rc = scan_note(s, (int)sysfs_read(dir, "name", text, NAME_BYTES));
	if (rc > 0) {
		t->name = arena_strdup(&s->m->arena, text);
	}
	type_trouble(s, card, place, id, "name", rc);
	if (scan_note(s, (int)sysfs_read(dir, "description", text, sizeof(text))) > 0) {
		t->framebuffer_mib = described(text, "framebuffer=");
		t->max = described(text, "max_instance=");
	}
	rc = scan_note(s, sysfs_int(dir, "available_instances", 0, INT32_MAX, &t->offered));
	type_trouble(s, card, place, id, "available_instances", rc);
}

/* False when the function has no mdev types. */
static bool read_mdev_types(struct scan *s, struct pci_function *card, uint64_t place)
{
	struct entry *e = scan_entry(s, place);
	auto_close int dir = e ? scan_note(s, sysfs_dir(s->devices, e->name)) : -1;
	auto_close int types = dir < 0 ? -1 : scan_note(s, sysfs_dir(dir, "mdev_supported_types"));
	const char **ids;
	size_t n;
	int rc;

	if (types < 0) {
		return false;
	}
	rc = sysfs_list(types, ".", MACHINE_MAX_TYPES, &s->m->arena, &ids, &n);
	if (rc < 0) {
		scan_card_trouble(s, card, place, "mdev_supported_types", rc);
	}
	for (size_t i = 0; i < n; i++) {
		read_mdev_type(s, card, place, types, ids[i]);
	}
	card->face = VGPU_MDEV;
	return true;
}

static bool has_mdev(const struct pci_function *card, uint64_t place)
{
	list_each(d, &card->mdevs) {
		if (d->parent == place) {
			return true;
		}
	}
	return false;
}

/* Parents are looked up, not guessed from drivers: an A40's functions offered types while vfio-pci
 * had them (nvidia.md 2.2). */
static void look_at_parents(struct scan *s)
{
	const char **parents;
	uint64_t at;
	size_t n;

	scan_note(s, sysfs_list(s->sys, "class/mdev_bus", MACHINE_MAX_ENTRIES, &s->m->arena,
				&parents, &n));
	for (size_t i = 0; i < n; i++) {
		struct entry *e = pcifn_parse(parents[i], &at) < 0 ? NULL : scan_entry(s, at);

		if (e && e->vf && e->vf->face == VGPU_NONE) {
			e->vf->face = VGPU_MDEV;
		} else if (e && e->card && !e->vf) {
			e->card->face = VGPU_MDEV;
		}
	}
}

/* Turing and older offer types on the card, Ampere and later on each virtual function
 * (nvidia.md 2.2); free ones tell most. */
static void look_for_mdev_types(struct scan *s, struct pci_function *card)
{
	bool found = card->face == VGPU_MDEV && read_mdev_types(s, card, card->address);

	for (int taken = 0; taken <= 1; taken++) {
		list_each(vf, &card->vfs) {
			if (!found && vf->face == VGPU_MDEV &&
			    has_mdev(card, vf->address) == taken) {
				found = read_mdev_types(s, card, vf->address);
			}
		}
	}
}

/* --- both ---------------------------------------------------------------------------------- */

void scan_vgpus(struct scan *s)
{
	look_at_mdevs(s);
	look_at_parents(s);
	list_each(item, &s->m->functions) {
		struct pci_function *card = *item;

		if (card->kind != PCI_GPU) {
			continue;
		}
		list_each(vf, &card->vfs) {
			card->face = MAX(card->face, vf->face);
		}
		if (card->face == VGPU_VENDOR) {
			read_creatable(s, card);
		} else {
			look_for_mdev_types(s, card);
		}
	}
}
