/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_vgpu.h: vGPUs on demand: what is offered of a type, what makes one, and what removes it when its
 * end has come. Pure.
 *
 * A card that is ordered "vgpu" without slots is cut as virtual machines ask. The kubelet knows a vGPU
 * by its card and a number there, "0000:41:00.0/3", never by a UUID, which is another after each boot.
 * The numbers that a type is offered under are the lowest that no vGPU of the card has, as many as
 * still fit (fit.h); a number that is taken is offered under its own type alone. The journal has which
 * number is what (journal_slot), and its record lies on the disk before the first write.
 *
 * vGPUs that are ordered one by one (plan_slots.h) have such records, too: they are offered by their
 * numbers as they are, and removed when they are not ordered any more.
 *
 * Only what such a record names is ever removed: vGPUs that somebody else made on the card stay, and
 * take their place. Two types that are asked for at once on one card: the first is made, the second is
 * refused with what is creatable then.
 */
#pragma once

#include "node-daemon/plan_cut.h"

struct vgpu_id {
	uint64_t card;
	int64_t index;
};

/* "0000:41:00.0/3" and nothing else. 0 or -1. */
int vgpu_id_parse(const char *text, struct vgpu_id *ret);
const char *vgpu_id_text(struct vgpu_id id, struct arena *a);

struct vgpu_seen {
	const struct machine *machine;
	const struct unit_list *units;
	const struct books *books;
	const struct orders *orders;
	const struct journal *journal;
	struct cut_use_list uses; /* what an Allocate is being answered for is in use, too */
	bool looked;		  /* as in cut_seen */
	const char *node, *boot;
};

/* The card of this unit is cut as virtual machines ask. */
bool vgpu_on_demand(const struct vgpu_seen *seen, const struct unit *u);

/* What the kubelet is told of one type. */
struct vgpu_device {
	struct vgpu_id id;
	const struct unit *unit;
	const char *type; /* name */
	bool made;	  /* it exists, or is being made; else it would be */
	bool healthy;	  /* false: it should exist and does not */
	int64_t made_on_card;
};

LIST_OF(vgpu_device_list, struct vgpu_device);

/* All types that a card which is cut on demand has or could have, by name: the resources. Of one whose
 * vGPUs are ordered one by one those that it has, and those that could take turns with these
 * (fit_beside): their number is 0 as long as none is ordered, as Harvester's nodes show it (seed 003). */
void vgpu_types(const struct vgpu_seen *seen, struct arena *a, const char ***ret, size_t *ret_n);
/* All of one type, by card and number. */
void vgpu_devices(const struct vgpu_seen *seen, const char *type, struct arena *a,
		  struct vgpu_device_list *ret);
/* Whose vGPUs are ordered one by one, and could be of that type. NULL: no card is. */
const struct unit *vgpu_beside(const struct vgpu_seen *seen, const char *type);

struct vgpu_plan {
	const char *why; /* a sentence: it is refused, and the rest is empty; NULL: not */
	/* Written to the disk before the steps, when it has a place; and this when they have succeeded,
	 * which need not wait for the disk. */
	struct journal_slot before, after;
	struct steps steps; /* none: it is as it shall be */
	const struct unit *unit;
	uint64_t at; /* what carries it */
	const char
		*uuid; /* "": a virtual function carries it (vendor VFIO), which is passed itself */
};

/* For an Allocate. What exists already is no refusal: then there are no steps. */
void vgpu_make(const struct vgpu_seen *seen, struct vgpu_id id, const char *type, struct arena *a,
	       struct vgpu_plan *ret);

/* What is to be removed or forgotten of a unit's. */
struct vgpu_tidying {
	LIST(struct journal_slot) noted;  /* written at once, and need not wait for the disk */
	LIST(struct journal_slot) before; /* on the disk before the steps */
	struct steps steps;		  /* of as many as CUT_PLACES; none: nothing */
};

/*
 * Of what nobody uses any more, what an older boot had, what was begun and never was. What the steps
 * have removed is forgotten by the next one of these. failed_at: where the last program of this failed.
 */
void vgpu_tidy(const struct vgpu_seen *seen, const struct unit *u, uint64_t failed_at,
	       struct arena *a, struct vgpu_tidying *ret);
/* The records of a unit's vGPUs that are ordered one by one: of those that steps make, and of those that
 * are there. ret has no steps. */
void vgpu_keep(const struct vgpu_seen *seen, const struct unit *u, const struct steps *steps,
	       struct arena *a, struct vgpu_tidying *ret);
