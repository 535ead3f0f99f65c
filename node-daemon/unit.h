/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h: which functions of a machine go together, and whether they can be given to a virtual
 * machine. Pure.
 *
 * The kernel hands out IOMMU groups, never single functions of one. So a unit is a GPU, all that
 * shares its group (bridges aside: they stay with the kernel), and the companions on its board with
 * all that shares theirs. Two GPUs that share a group are one unit and never go to two virtual
 * machines. Without IOMMU groups the slot makes the unit. Virtual functions that carry vGPUs
 * are places of their card's unit, all others units of their own. A unit's name is the address of its first GPU, which a reboot does not change.
 */
#pragma once

#include "node-daemon/machine.h"
#include "node-daemon/status.h"

struct unit {
	const struct pci_function *card;	     /* first GPU */
	LIST(const struct pci_function *) functions; /* by address, bridges left out */
	size_t gpus;
	const struct iommu_group *group; /* of the card, or NULL */
};

LIST_OF(unit_list, struct unit);

/* In the order of their addresses. */
void units_make(const struct machine *m, struct arena *a, struct unit_list *ret);
const struct unit *units_find(const struct unit_list *units, uint64_t address); /* NULL */

/* The audio function on the board of its first GPU, which a virtual machine can get with that; NULL:
 * there is none. */
const struct pci_function *unit_companion(const struct unit *u);

/* The resource of a GPU's model, nvidia.com/AD102GL_L40S, and the model in words or NULL. Lies in the
 * arena, in the machine or in the table. */
const char *unit_name(const struct pci_function *gpu, struct arena *a, const char **ret_model);
/* The name stands in the table; else it is made from the machine's words, and changes with these. */
bool unit_is_known(const struct pci_function *gpu);

/* host, vfio, vgpu, unbound. */
const char *unit_mode(const struct unit *u);

/* intel, amd, ...; or "none" and what is missing. */
const char *unit_iommu_words(const struct machine *m);

/* The condition Available; profiles are those of the unit's card. Strings lie in the arena. */
void unit_available(const struct machine *m, const struct unit *u, const struct status_unit *seen,
		    struct arena *a, struct condition *ret);

/* switch, root, or NULL: how near two units are (status.units[].links). */
const char *unit_link(const struct unit *x, const struct unit *y);
