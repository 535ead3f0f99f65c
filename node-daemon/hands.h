/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hands.h: which program (steps.h) runs when: one a unit at a time. A step machine: time comes in,
 * work goes out, nothing is run here.
 *
 * A plan says at every look what it wants done; that is kept until it is started, replaced by what
 * the next plan wants, and never started twice. Whoever runs it tells the result, looks at the
 * machine, and plans again. A program that failed is followed by a pause, 1 s at first and doubled up
 * to 60 s; so is, from the third on, one that succeeded and did not last for a minute. A new goal
 * begins without a pause; it is a number that whoever plans has chosen: enum book_doing, CUTS_GOAL.
 *
 * A child that outlived its deadline and SIGKILL hangs in the kernel with the lock of the device.
 * Its unit is stuck: nothing more is started for it until that child has ended. Other units go on.
 */
#pragma once

#include "base/process.h"
#include "node-daemon/plan_bind.h"

enum {
	HANDS_AT_ONCE = 8, /* children, those aside that hang */
	HANDS_FIRST_PAUSE_MS = 1000,
	HANDS_LAST_PAUSE_MS = 60000,
	HANDS_LASTS_MS = 60000, /* what stays as wanted for so long has lasted */
};

struct hands;

struct hands *hands_create(void);
struct hands *hands_destroy(struct hands *h); /* NULL */

/* What is to be done with a unit now: copied. No steps: nothing. goal: of these steps, or of those
 * before which brought the unit to rest. */
void hands_want(struct hands *h, uint64_t unit, uint64_t goal, const struct steps *steps,
		int64_t now);

/* One program to start, with its deadline and the most that it says. steps are lent until
 * hands_done. */
struct work {
	uint64_t unit;
	uint64_t goal;
	const struct steps *steps;
	int64_t timeout_ms;
	size_t max_out;
};

/* False: none is due. Each work that it gives out has begun, and must come back as hands_done. */
bool hands_next(struct hands *h, int64_t now, struct work *ret);
/* When one is due: a time not after now: at once; INT64_MAX: not before something is told. */
int64_t hands_wake(const struct hands *h);

/* The end of a program, or that it could not be started: then result is NULL and why says it. True:
 * all its steps are done. heard and what is in it lie in the arena. */
bool hands_done(struct hands *h, uint64_t unit, const struct process_result *result,
		const char *why, int64_t now, struct arena *a, struct steps_heard *heard);
/* The child that was stuck has ended. */
void hands_ended(struct hands *h, uint64_t unit, int64_t now);

/* A program of the unit runs or hangs: its drivers may change at any moment. */
bool hands_busy(const struct hands *h, uint64_t unit);
/* Stuck, or Available when programs of the unit fail. False: there is nothing to say. The strings lie
 * in the arena. */
bool hands_condition(const struct hands *h, uint64_t unit, struct arena *a, struct condition *ret);
