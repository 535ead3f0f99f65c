/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuts.h: which program cuts a card next. RIM: it asks the eyes (eyes.h); for obey.c alone.
 *
 *	plan_sriov -> plan_slots -> vgpu_tidy
 *
 * in this order, for a card whose drivers are as ordered: the first that has something to do, or that
 * refuses the whole card, is the turn's. A plan is first made as though nobody used anything. Only
 * where it would take something away the eyes are asked, of each place by itself, and it is made again
 * with what they see; what they cannot see is in use. Right before it starts they are asked once more
 * (cuts_now).
 *
 * What failed at a place is remembered as long as order and card are the same: the next program begins
 * behind it, and all that failed is said together. Whoever calls this writes the records of a plan
 * before its steps are begun.
 */
#pragma once

#include "node-daemon/eyes.h"
#include "node-daemon/plan_vgpu.h"

#define CUTS_GOAL (1ULL << 63) /* goals (hands.h) of these programs have it */

struct cuts;

struct cuts_settings {
	struct eyes_settings eyes;
	loop_fn *answered; /* there are answers that were not there before */
	void *ctx;
};

/* What there is in this turn. */
struct cuts_seen {
	struct vgpu_seen all; /* uses: what pods have, or are being given; looked: that is known */
	const struct unit *unit;
	const struct book *book;
	const char *busy; /* what else keeps the whole unit from being touched, NULL: nothing */
	bool running;	  /* a program of it runs: nothing is planned */
};

struct cuts_plan {
	struct steps steps; /* none: nothing is to be done now */
	uint64_t goal;
	struct condition why;		  /* type NULL: nothing is refused and nothing failed */
	struct vgpu_tidying tidied, kept; /* their records alone */
	int64_t again;			  /* it is worth planning again from then on; INT64_MAX */
};

/* Never fails. */
struct cuts *cuts_create(const struct cuts_settings *s);
struct cuts *cuts_destroy(struct cuts *c); /* NULL */

/* A turn: begin, plan for each unit, ask. units and arena are lent until the next one. */
void cuts_begin(struct cuts *c, const struct unit_list *units, struct arena *a);
void cuts_plan(struct cuts *c, const struct cuts_seen *seen, struct arena *a,
	       struct cuts_plan *ret);
void cuts_ask(struct cuts *c);

/* The end of a program of the unit. why: of the step that failed, NULL: none did, or that is not known. */
void cuts_ended(struct cuts *c, uint64_t unit, const struct steps *steps, size_t done,
		const char *why);

/* Whether somebody uses at this moment what the steps take away. False: nobody can. Else fn is called
 * once, from the loop; why: a sentence, NULL: nobody does. */
typedef void cuts_fn(void *ctx, uint64_t unit, const char *why);
bool cuts_now(struct cuts *c, const struct unit *u, const struct steps *steps, cuts_fn *fn,
	      void *ctx);
/* The same of what pods have. NULL: nobody does. */
const char *cuts_given(const struct cut_use_list *given, const struct unit *u,
		       const struct steps *steps, struct arena *a);
