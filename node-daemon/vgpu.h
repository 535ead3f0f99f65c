/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu.h: vGPU types of a card: what the driver says, completed from a table. Pure.
 *
 * A driver says little: with vendor VFIO only the types that a free function could take now,
 * without sizes or counts, and nothing at all on a full card. node-daemon/vgpu_types.tsv knows
 * NVIDIA's cards; what the driver says goes before the table. What neither knows is left out, never
 * guessed.
 */
#pragma once

#include "node-daemon/status.h"
#include "node-daemon/machine.h"

struct vgpu_known {
	uint16_t device, id, max; /* id, max: 0 when not known */
	uint32_t framebuffer_mib;
	char name[42];
};

/* A row of the table: the type of that number, or the type whose name has the same last word (the
 * rest has changed over time). NULL. */
const struct vgpu_known *vgpu_known_id(uint16_t device, int64_t id);
const struct vgpu_known *vgpu_known_name(uint16_t device, const char *name);
/* The same of a card, whose vendor the table must be of. */
const struct vgpu_known *vgpu_known_of(const struct pci_function *card, const char *name);
/* All rows of a card, in the order of their ids; NULL and 0 when the table lacks it. */
const struct vgpu_known *vgpu_known_all(uint16_t device, size_t *ret_n);

/* Whether the driver or the table tells any type of it. */
bool vgpu_knows(const struct pci_function *card);
/* Of one type: the last word counts. */
bool vgpu_same_name(const char *x, const char *y);
/* MIG types name their slices: A100D-2-20C, DC-1-12Q. */
bool vgpu_is_mig(const char *name);
/* The number in a type's id: 746 of nvidia-746, 1148 of 1148; 0: it has none. */
int64_t vgpu_number(const char *id);

/* A line of creatable_vgpu_types, "1145  : NVIDIA L40S-1B", cut in two where it stands. False: it is
 * the header "ID    : vGPU Name", or like none of these. */
bool vgpu_creatable_line(char *line, const char **ret_id, const char **ret_name);

/* Name of a type id of the card (nvidia-746, 1148), the id itself when nobody knows its name. */
const char *vgpu_type_name(const struct pci_function *card, const char *id);

/* How many vGPUs exist on the card. */
size_t vgpu_made(const struct pci_function *card);
/* A function of it that can carry one, and has none. */
bool vgpu_place_free(const struct pci_function *card, const struct pci_vf *vf);

/* The types of the card with what still fits; lists lie in the arena, strings in the machine or the
 * table. */
void vgpu_profiles(const struct pci_function *card, struct arena *a, struct status_unit *ret);
/* The places for vGPUs, in the order of the virtual functions. */
void vgpu_slots(const struct pci_function *card, struct arena *a, struct status_unit *ret);
