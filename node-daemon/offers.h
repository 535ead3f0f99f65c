/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offers.h: which units the kubelet is told of, under which resource, and whether they are healthy.
 * Pure, and without a memory: made anew whenever something of what it sees has changed.
 *
 *	used			the unit		listed
 *	no			fit, and ordered to vfio
 *							healthy, under the resource of its order
 *	no			anything else		not at all
 *	by a pod		fit, or not readable	healthy		under the resource that it was
 *	by a pod		unfit, or gone		unhealthy	given with, whatever the
 *	coming back, dirty	anything		unhealthy	orders say by now
 *	by somebody else	anything		not at all
 *	no			given out by another	not at all
 *				device plugin
 *
 * Fit: every GPU of it and their companions are on a driver of the vfio family, unit_available says
 * that it can be given, the books have it as ours or adopted, it is not dead, and nothing is half done. A held device
 * that went from the list would keep the pod's container from ever starting again, and one that is
 * idle and unhealthy would count as capacity that nobody can have.
 *
 * A device is in one list at a time, so a unit in use moves to another resource only afterwards. Who
 * answers Allocate must hold the asked resource against offer.resource all the same, and refuse what
 * is barred: the kubelet may ask with a list in mind that it has been told to forget.
 */
#pragma once

#include "node-daemon/books.h"
#include "node-daemon/orders.h"
#include "node-daemon/plugin.h"

enum offer_use_state {
	OFFER_HELD,	 /* by a pod */
	OFFER_RETURNING, /* it is being reset, or waits for that */
	OFFER_DIRTY,	 /* it could not be reset */
	OFFER_FOREIGN,	 /* somebody has it open whom we gave nothing */
};

struct offer_use {
	uint64_t unit; /* address of its first GPU */
	/* Under which it was given. NULL: not known, then what is held counts as given under that of
	 * now, and what is not is only listed where it would be without the use. */
	const char *resource;
	enum offer_use_state state;
	const char *why; /* a sentence, NULL: the usual one */
};
LIST_OF(offer_use_list, struct offer_use); /* at most one a unit, in any order */

struct offers_seen {
	const struct machine *machine;
	const struct unit_list *units; /* of the machine */
	const struct books *books;     /* of these units */
	/* Of these units. Orders that are stale are none: hand in those that were obeyed last, or all
	 * that is idle leaves the lists. */
	const struct orders *orders;
	struct offer_use_list uses;
	LIST(uint64_t) dead; /* units with a GPU that does not answer; of these uses and more */
	/* One a unit: a sentence, who else gives it out (rivals.h); NULL: nobody does, or no unit is. */
	const char *const *rivals;
	bool words; /* the machine has its words (words.h); a card whose name hangs on them waits */
};

struct offer {
	uint64_t unit;
	const char *id;	       /* 0000:41:00.0 */
	const struct unit *is; /* NULL: it is not there any more */
	const char *resource;  /* NULL: not known */
	bool offered;	       /* it stands in the list of its resource */
	bool healthy;
	bool given;	 /* to somebody, under this resource: it stays there */
	bool alone;	 /* its order wants the resource for it alone */
	const char *why; /* it is not both: a sentence; else a remark, or NULL */
	/* Why it would not be offered if nobody had it: a sentence; NULL: it would. */
	const char *barred;
	const char *variable; /* offered: PCI_RESOURCE_..., where virt-launcher looks for it */
};

struct offers {
	LIST(struct offer) items; /* units, and what is held and is none any more; by address */
	LIST(struct plugin_offer) lists; /* by name; devices by address */
};

/* All lies in the arena, or in what was seen. */
void offers_make(const struct offers_seen *seen, struct arena *a, struct offers *ret);
/* By the id of its device. NULL: there is no such unit. */
const struct offer *offers_find(const struct offers *o, const char *id);
