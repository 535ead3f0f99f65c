/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fit.h: how many more vGPUs of a type a card takes, by the rule of NVIDIA's driver (nvidia.md 2.4),
 * not by sums of memory. Pure.
 *
 * What the driver lists on a free function is what one write would be taken for; how many times it
 * would be taken follows from the mode of the card:
 *	equal sizes	as many as the type's maximum leaves, of one size only
 *	mixed sizes	which places are free for which size is told nowhere, so one, and one again
 *			when that is made and the list is read anew
 *	MIG		none: its instances are not made by this version
 * A list can be narrower than what a write is taken for, never wider. Nothing here is kept: a card
 * is counted anew whenever it has been looked at.
 */
#pragma once

#include "node-daemon/vgpu.h"

/* Functions that the driver counts: it has 64 bits for them. */
#define FIT_MAX_VFS 64

enum fit_mode { FIT_EQUAL, FIT_MIXED, FIT_MIG };

/* What the card shows of its mode. A card without vGPUs shows nothing, and counts as one of equal
 * sizes, which is what the driver starts with. */
enum fit_mode fit_mode(const struct pci_function *card);

/* The type of that name (its last word counts: vgpu.h), with what the driver does not tell of it from
 * the table. offered is 0 where the driver lists it not. False: neither knows it. */
bool fit_type(const struct pci_function *card, const char *name, struct arena *a,
	      struct vgpu_type *ret);

/* t: of fit_type. */
int64_t fit_more(const struct pci_function *card, const struct vgpu_type *t, enum fit_mode mode);
/* Why that is none, and what would be taken; "" where it is not none. In the arena. */
const char *fit_why_not(const struct pci_function *card, const struct vgpu_type *t,
			enum fit_mode mode, struct arena *a);
/* A type that the driver tells of, and that takes turns with those that are made on a card of equal
 * sizes: it has their size. */
bool fit_beside(const struct pci_function *card, const struct vgpu_type *t);
/* "NVIDIA L40S-2Q, NVIDIA L40S-2B", or "nothing": what the driver lists. In the arena. */
const char *fit_creatable(const struct pci_function *card, struct arena *a);

/* The function can carry a vGPU, carries none, and can be passed on. */
bool fit_place_free(const struct pci_function *card, const struct pci_vf *vf);
