/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orders.h: which of the controller's orders (GPUNode.spec) are obeyed. Pure.
 *
 * Whoever may write a GPUNode must not reach with it what is no GPU: an order counts only where it
 * names a unit of this machine by its id, with the card that is in it. Every other one is refused
 * with a sentence, and stops none of the others. Orders of a term below one that was seen are of a
 * controller that leads no more: none of them counts.
 */
#pragma once

#include "api/orders.h"
#include "base/arena.h"
#include "node-daemon/unit.h"

/* What an order says of a unit. */
enum want {
	WANT_LEAVE, /* nothing; what is half done is given back */
	WANT_HOST,
	WANT_VFIO,
	WANT_VGPU, /* made by the host's driver, so as for drivers it is WANT_HOST */
};

/* A vGPU to keep. */
struct slot_wanted {
	uint64_t at;	  /* a virtual function of the card, made or not yet; or the card itself */
	const char *type; /* as it was ordered: vgpu_same_name tells what it is */
};

LIST_OF(slot_wanted_list, struct slot_wanted);

struct order {
	const struct unit *unit;
	enum want want;
	const char *by;		       /* who wants it, for people */
	const char *exclusive;	       /* resource that names this unit alone; NULL: its model's */
	const char *name;	       /* resource of its model, frozen by a claim; NULL: not */
	int64_t vfs;		       /* virtual functions; -1: as they are */
	struct slot_wanted_list slots; /* none: what virtual machines ask for */
};

struct order_refusal {
	const char *id; /* as it was written, at most 64 bytes of it */
	const char *why;
};

struct orders {
	int64_t term;		  /* 0: there are no orders */
	LIST(struct order) items; /* in the order of the units */
	LIST(struct order_refusal) refused;
	LIST(const char *) permitted; /* mediated devices may be made of these types */
	const char *stale;	      /* a sentence: none of them counts; else NULL */
};

/* given: NULL, there are none. highest: the highest term that was seen before. Strings lie in the
 * arena, or are those of given. */
void orders_take(const struct node_orders *given, int64_t highest, const struct unit_list *units,
		 struct arena *a, struct orders *ret);
/* WANT_LEAVE where no order names the unit. */
enum want orders_for(const struct orders *o, const struct unit *u);
/* NULL: none names it. */
const struct order *orders_find(const struct orders *o, const struct unit *u);
/* KubeVirt deletes mediated devices of types that it was not told of (kubevirt.md 3). It compares
 * whole names, with _ for spaces. */
bool orders_permit(const struct orders *o, const char *type);
