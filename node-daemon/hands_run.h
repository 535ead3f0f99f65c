/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hands_run.h: the programs of hands.h, each in a child (write.h), on the loop. RIM.
 *
 * Whoever has it calls hands_want, and hands_run_due after that; and is told of every end: then it
 * looks at the machine and plans again. sys and proc are the only descriptors that a child has of ours.
 */
#pragma once

#include "node-daemon/hands.h"

struct hands_run;

/* A program has ended. good: all its steps are done, and heard has what they read. Else it failed, or
 * hangs, or one that hung has ended (hands_condition says which); then heard may have less. steps:
 * lent until the next hands_want of the unit. */
typedef void hands_run_fn(void *ctx, uint64_t unit, uint64_t goal, const struct steps *steps,
			  bool good, const struct steps_heard *heard);

/* Whether a program that is due, and may have waited, is to be started after all. */
enum hands_run_may {
	HANDS_RUN_MAY,
	HANDS_RUN_WAIT, /* that is being asked: hands_run_answer says it */
};

struct hands_run_settings {
	struct loop *loop;
	struct hands *hands; /* lent */
	int sys;	     /* a /sys; above 2 */
	int proc;	     /* a /proc; above 2, or -1: programs do nothing there */
	const char *tool;    /* where the vendor's tools are asked (tool.h), NULL: nowhere */
	hands_run_fn *fn;
	/* Or NULL: they all may. */
	enum hands_run_may (*may)(void *ctx, uint64_t unit);
	void *ctx;
	int (*run)(void *job, int out); /* NULL: write_run; of tests */
};

struct hands_run *hands_run_create(const struct hands_run_settings *s);
/* Ends what runs; a child that hangs is left behind. NULL. */
struct hands_run *hands_run_destroy(struct hands_run *r);
/* The answer to HANDS_RUN_WAIT, never from within `may`. why: it is not started, and that is told as
 * its end; NULL: it is. A unit that does not wait is none of this. */
void hands_run_answer(struct hands_run *r, uint64_t unit, const char *why);
/* Starts what is due, and from now on whatever becomes due. */
void hands_run_due(struct hands_run *r);
