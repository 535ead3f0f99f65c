/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card_test.h: a card for tests, with the rule of NVIDIA's driver for vGPUs (nvidia.md 2.4): equal
 * sizes, mixed sizes by places in memory, 64 functions at most, both faces. Written after that
 * section, knowing nothing of fit.h. card_show makes of it what a scan would find.
 *
 * Steps (steps.h) change it as the kernel would; card_do can be told to refuse one, and to die is the
 * tester's part: the card is all that outlives it.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/test.h"
#include "node-daemon/steps.h"
#include "node-daemon/vgpu.h"

#define CARD_AT 0x4100 /* 0000:41:00.0 */
#define CARD_VFS 80
#define CARD_TYPES 96
#define CARD_MDEVS 96

struct card_vgpu {
	int id; /* 0: none */
	char uuid[37];
	int64_t from, size; /* mixed sizes: its place in memory */
};

struct card {
	enum vgpu_face face;
	bool mixed, tool_made; /* tool_made: plain writes of numvfs are refused */
	int total, numvfs;
	bool autoprobe;
	const struct vgpu_known *types; /* of the card's device */
	size_t n_types;
	int64_t memory;			  /* MiB */
	struct card_vgpu vgpus[CARD_VFS]; /* of each function; [0..] of the card in legacy mode */
	size_t legacy_n;		  /* legacy: how many of these there are */
	bool held[CARD_VFS];		  /* somebody uses what is there */
	int killed;			  /* used ones that were removed */
	int writes;
	/* Such a step is refused; STEP_VERBS: none is. at 0: wherever. */
	enum step_verb no;
	uint64_t no_at;
	const char *tool_says; /* NULL: it does its work */

	/* what a scan finds */
	struct machine m;
	struct pci_function f, *pointer;
	struct pci_vf vfs[CARD_VFS];
	struct mdev mdevs[CARD_MDEVS];
	struct vgpu_type shown[CARD_TYPES];
	char ids[CARD_TYPES][24], names[CARD_TYPES][48], type_ids[CARD_VFS][24];
	char uuids[CARD_VFS][37];
};

attr_unused static uint64_t card_vf(int i)
{
	return CARD_AT + 4 + (uint64_t)i;
}

attr_unused static const struct vgpu_known *card_type(const struct card *c, int id)
{
	for (size_t i = 0; i < c->n_types; i++) {
		if (c->types[i].id == id) {
			return &c->types[i];
		}
	}
	return NULL;
}

static int card_places(const struct card *c)
{
	return c->total ? MIN(c->numvfs, 64) : (int)c->legacy_n;
}

/* Where a size fits in memory that is not taken, at a multiple of itself; -1: nowhere. */
static int64_t card_room(const struct card *c, int64_t size)
{
	for (int64_t from = 0; size && from + size <= c->memory; from += size) {
		bool taken = false;

		for (int i = 0; i < card_places(c); i++) {
			const struct card_vgpu *v = &c->vgpus[i];

			taken |= v->id && v->from < from + size && from < v->from + v->size;
		}
		if (!taken) {
			return from;
		}
	}
	return -1;
}

/* How many exist, and of which size the first is. */
static int card_made(const struct card *c, int64_t *ret_size)
{
	int n = 0;

	*ret_size = 0;
	for (int i = 0; i < card_places(c); i++) {
		if (c->vgpus[i].id) {
			*ret_size = card_type(c, c->vgpus[i].id)->framebuffer_mib;
			n++;
		}
	}
	return n;
}

/* The rule of a write; `listing` is narrower with mixed sizes. */
static bool card_takes(const struct card *c, const struct vgpu_known *t, bool listing)
{
	int64_t size;
	int made = card_made(c, &size);

	if (!t->id || vgpu_is_mig(t->name) || !t->max || !t->framebuffer_mib) {
		return false;
	}
	if (c->mixed) {
		return card_room(c, t->framebuffer_mib) >= 0 && (!listing || made < t->max);
	}
	return (!made || t->framebuffer_mib == size) && made < t->max;
}

/* device: of the table. total: virtual functions, 0: it carries them itself. */
attr_unused static void card_make(struct card *c, enum vgpu_face face, uint16_t device, int total,
				  bool mixed)
{
	*c = (struct card){.face = face, .mixed = mixed, .total = total, .no = STEP_VERBS};
	c->types = vgpu_known_all(device, &c->n_types);
	for (size_t i = 0; i < c->n_types; i++) {
		int64_t all = (int64_t)c->types[i].framebuffer_mib * c->types[i].max;

		c->memory = MAX(c->memory, all);
	}
	c->autoprobe = true;
	c->legacy_n = total ? 0 : 32;
	c->f = (struct pci_function){
		.address = CARD_AT,
		.kind = PCI_GPU,
		.ids = {.vendor = 0x10de, .device = device, .class_code = 0x030200},
		.driver = "nvidia",
		.group = 7,
		.trouble = "",
		.words = "",
		.reset_method = "",
		.numa = -1,
		.total_vfs = total,
	};
}

/* The types that a free place offers; with SR-IOV each 0 or 1 (rule 1). */
static void card_show_types(struct card *c, bool any_free)
{
	int64_t size;
	int made = card_made(c, &size);

	for (size_t i = 0; i < c->n_types && c->f.types.n < CARD_TYPES; i++) {
		const struct vgpu_known *t = &c->types[i];
		bool offered = any_free && card_takes(c, t, true);
		size_t n = c->f.types.n;

		if (!t->id || (c->face == VGPU_VENDOR && !offered)) {
			continue;
		}
		snprintf(c->ids[n], sizeof(c->ids[n]), "%s%u",
			 c->face == VGPU_MDEV ? "nvidia-" : "", t->id);
		snprintf(c->names[n], sizeof(c->names[n]), "%s", t->name);
		c->shown[n] = (struct vgpu_type){c->ids[n], c->names[n], 0, 0,
						 offered ? c->total ? 1 : t->max - made : 0};
		if (c->face == VGPU_MDEV) {
			c->shown[n].framebuffer_mib = t->framebuffer_mib;
			c->shown[n].max = t->max;
		}
		c->f.types.n++;
	}
}

static void card_show_vgpu(struct card *c, int i)
{
	const struct card_vgpu *v = &c->vgpus[i];

	snprintf(c->type_ids[i], sizeof(c->type_ids[i]), "%s%d",
		 c->face == VGPU_MDEV ? "nvidia-" : "", v->id);
	memcpy(c->uuids[i], v->uuid, sizeof(c->uuids[i]));
	if (c->face == VGPU_MDEV) {
		c->mdevs[c->f.mdevs.n++] =
			(struct mdev){c->uuids[i], c->total ? card_vf(i) : CARD_AT, c->type_ids[i]};
	} else {
		c->vfs[i].type = c->type_ids[i];
	}
}

/* What a scan finds now, in c->m. */
attr_unused static void card_show(struct card *c)
{
	bool any_free = !c->total;

	c->f.vfs.items = c->vfs;
	c->f.vfs.n = (size_t)c->numvfs;
	c->f.mdevs.items = c->mdevs;
	c->f.types.items = c->shown;
	c->f.mdevs.n = c->f.types.n = 0;
	c->f.face = c->total && !c->numvfs ? VGPU_NONE : c->face;
	for (int i = 0; i < c->numvfs; i++) {
		c->vfs[i] = (struct pci_vf){.address = card_vf(i),
					    .index = (unsigned)i,
					    .driver = "nvidia",
					    .group = 100 + i,
					    .face = c->face,
					    .type = ""};
		any_free |= i < 64 && !c->vgpus[i].id;
	}
	for (int i = 0; i < card_places(c); i++) {
		if (c->vgpus[i].id) {
			card_show_vgpu(c, i);
		}
	}
	if (c->f.face != VGPU_NONE) {
		card_show_types(c, any_free);
	}
	c->pointer = &c->f;
	c->m.functions.items = &c->pointer;
	c->m.functions.n = 1;
	c->m.iommu = "intel";
	c->m.vfio_pci = true;
}

/* --- steps --------------------------------------------------------------------------------- */

static bool card_remove(struct card *c, int i)
{
	c->killed += c->vgpus[i].id && c->held[i];
	c->vgpus[i] = (struct card_vgpu){0};
	c->held[i] = false;
	return true;
}

static bool card_create(struct card *c, int i, int id, const char *uuid)
{
	const struct vgpu_known *t = card_type(c, id);

	if (i >= card_places(c) || c->vgpus[i].id || !t || !card_takes(c, t, false)) {
		return false; /* 0x38: EIO */
	}
	c->vgpus[i] = (struct card_vgpu){.id = id,
					 .from = c->mixed ? card_room(c, t->framebuffer_mib) : 0,
					 .size = t->framebuffer_mib};
	snprintf(c->vgpus[i].uuid, sizeof(c->vgpus[i].uuid), "%.36s", uuid);
	return true;
}

static bool card_set_vfs(struct card *c, int n)
{
	if (n == c->numvfs) {
		return true;
	}
	if (n > c->total || (n && c->numvfs)) {
		return false; /* ERANGE, EBUSY */
	}
	for (int i = 0; i < c->numvfs; i++) {
		card_remove(c, i);
	}
	c->numvfs = n;
	return true;
}

static int card_place(const struct card *c, uint64_t at, const char *uuid)
{
	if (c->total) {
		return at >= card_vf(0) && at < card_vf(c->numvfs) ? (int)(at - card_vf(0)) : -1;
	}
	for (int i = 0; i < (int)c->legacy_n; i++) {
		if (uuid ? c->vgpus[i].id && strncmp(c->vgpus[i].uuid, uuid, 36) == 0
			 : !c->vgpus[i].id) {
			return i;
		}
	}
	return -1;
}

static int card_id(const char *value)
{
	const char *space = strrchr(value, ' ');

	return (int)vgpu_number(space ? space + 1 : value);
}

static bool card_step(struct card *c, const struct step *s)
{
	const char *uuid = s->value;
	int i = card_place(c, s->at, NULL), of = card_place(c, s->at, uuid);
	const struct vgpu_known *t = card_type(c, card_id(s->value));

	switch (s->verb) {
	case STEP_AUTOPROBE:
		c->autoprobe = str_eq(s->value, "1");
		return true;
	case STEP_VFS:
		return !c->tool_made && card_set_vfs(c, (int)strtol(s->value, NULL, 10));
	case STEP_TOOL:
		return c->tool_says ? str_eq(c->tool_says, "0")
				    : card_set_vfs(c, str_ends(s->value, "-e") ? c->total : 0);
	case STEP_EXPECT_VFS:
		return c->numvfs == (int)strtol(s->value, NULL, 10);
	case STEP_EXPECT_TYPE:
		return i >= 0 && i < card_places(c) && t && !c->vgpus[i].id &&
		       card_takes(c, t, true);
	case STEP_TYPE:
		return i >= 0 && (str_eq(s->value, "0") ? card_remove(c, i)
							: card_create(c, i, card_id(s->value), ""));
	case STEP_EXPECT_MADE:
		return i >= 0 && c->vgpus[i].id == card_id(s->value);
	case STEP_MDEV_MAKE:
		for (int k = 0; k < card_places(c); k++) {
			if (c->vgpus[k].id && strncmp(c->vgpus[k].uuid, uuid, 36) == 0) {
				return false; /* EEXIST */
			}
		}
		return i >= 0 && card_create(c, i, card_id(s->value), s->value);
	case STEP_MDEV_DROP:
		return of < 0 || !c->vgpus[of].id || card_remove(c, of);
	case STEP_EXPECT_MDEV:
		return strchr(s->value, ' ')
			       ? of >= 0 && strncmp(c->vgpus[of].uuid, s->value, 36) == 0
			       : of < 0 || strncmp(c->vgpus[of].uuid, s->value, 36) != 0;
	default:
		return true;
	}
}

/* Whether it was done. */
attr_unused static bool card_do(struct card *c, const struct step *s)
{
	switch (s->verb) {
	case STEP_AUTOPROBE:
	case STEP_VFS:
	case STEP_TOOL:
	case STEP_TYPE:
	case STEP_MDEV_MAKE:
	case STEP_MDEV_DROP:
		c->writes++;
		break;
	default:
		break;
	}
	return !(c->no == s->verb && (!c->no_at || c->no_at == s->at)) && card_step(c, s);
}

/* The machine goes off and on: nothing is left. */
attr_unused static void card_reboot(struct card *c)
{
	memset(c->vgpus, 0, sizeof(c->vgpus));
	memset(c->held, 0, sizeof(c->held));
	c->numvfs = 0;
	c->autoprobe = true;
}
