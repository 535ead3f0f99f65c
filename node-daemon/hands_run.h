/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hands_run.h: the programs of hands.h, each in a child (write.h), on the loop. RIM.
 *
 * Whoever has it calls hands_want, and hands_run_due after that; and is told of every end: then it
 * looks at the machine and plans again. sys is the only descriptor that a child has of ours.
 */
#pragma once

#include "node-daemon/hands.h"

struct hands_run;

/* A program has ended. good: all its steps are done, and heard has what they read. Else it failed, or
 * hangs, or one that hung has ended (hands_condition says which); then heard may have less. steps:
 * lent until the next hands_want of the unit. */
typedef void hands_run_fn(void *ctx, uint64_t unit, enum book_doing goal, const struct steps *steps,
			  bool good, const struct steps_heard *heard);

struct hands_run_settings {
	struct loop *loop;
	struct hands *hands; /* lent */
	int sys;	     /* a /sys; above 2 */
	hands_run_fn *fn;
	/* Why a program must not be started after all, NULL: it may. It may have waited. Or NULL. */
	const char *(*refuse)(void *ctx, uint64_t unit);
	void *ctx;
	int (*run)(void *job, int out); /* NULL: write_run; of tests */
};

struct hands_run *hands_run_create(const struct hands_run_settings *s);
/* Ends what runs; a child that hangs is left behind. NULL. */
struct hands_run *hands_run_destroy(struct hands_run *r);
/* Starts what is due, and from now on whatever becomes due. */
void hands_run_due(struct hands_run *r);
