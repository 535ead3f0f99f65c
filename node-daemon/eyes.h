/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eyes.h: asks who uses units, and what cards say of themselves. RIM; on the loop, nothing here waits.
 *
 * With a socket it asks `vmgpu-node observe` (observe.h), which may see other processes; without one
 * it looks itself, in a child of this process, which then needs those rights. Whatever goes wrong, the
 * answer comes, and says that nothing is known and why: who is absent, hangs, speaks nonsense or
 * another version, or says half a line. What is not known counts as in use. Cards are read through the
 * socket alone: who looks here has no rights to spare for a foreign library.
 *
 * An answer is of the moment at which it was given. Who acts upon it asks right before.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/reading.h"

enum {
	EYES_ASK_MS = 6000,  /* how long one waits for the other container */
	EYES_LOOK_MS = 4000, /* how long looking may take */
	EYES_READ_MS =
		35000,	  /* how long one waits for cards to be read: READER_DEADLINE_MS and more */
	EYES_AT_ONCE = 8, /* questions; more are answered with: unknown */
};

struct eyes;

struct eyes_settings {
	struct loop *loop;
	const char *socket;		/* of who answers; NULL or "": look here */
	int sys, proc;			/* above 2, lent; used without a socket only */
	int (*run)(void *job, int out); /* NULL: users_run; of tests */
};

/* answer lives until this returns. */
typedef void eyes_fn(void *ctx, const struct eyes_answer *answer);

struct eyes *eyes_create(const struct eyes_settings *s);
/* Nobody who has asked is answered any more. NULL. */
struct eyes *eyes_destroy(struct eyes *e);

/* fn is called once, from the loop, never from here, within deadline_ms and a moment. q is copied. */
void eyes_ask(struct eyes *e, const struct eyes_question *q, int64_t deadline_ms, eyes_fn *fn,
	      void *ctx);

/* The same of cards; what is not known is READING_NONE, with the reason. reading lives until fn returns. */
typedef void eyes_read_fn(void *ctx, const struct reading *reading);
void eyes_read(struct eyes *e, const struct reading_question *q, int64_t deadline_ms,
	       eyes_read_fn *fn, void *ctx);
