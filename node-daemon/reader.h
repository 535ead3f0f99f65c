/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h: the eyes read cards (nvml.h), one reading at a time, in a child. RIM; nothing here waits.
 *
 * While it reads, that child has the cards open, and is itself a user that keeps them on their
 * driver. So whoever wants to know who uses cards comes first: reader_clear ends a reading before
 * such a look, and after a look that found a card unused reader_quiet keeps readings away until what
 * was meant to be done with it is done. A reading that hangs is ended, and so is one that fails: the
 * next is made after a pause, a minute at first, doubled up to an hour; until then its answer stands.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/reading.h"

enum {
	READER_DEADLINE_MS =
		30000, /* cards that nobody has open wake up first, some seconds each */
	READER_QUIET_MS = 60000,
	READER_FIRST_PAUSE_MS = 60000,
	READER_LAST_PAUSE_MS = 3600000,
};

struct reader;

struct reader_settings {
	struct loop *loop;
	const char *library;		/* as dlopen takes it */
	int64_t deadline_ms;		/* 0: READER_DEADLINE_MS */
	int (*run)(void *job, int out); /* NULL: nvml_run; of tests */
};

/* reading lives until this returns. */
typedef void reader_fn(void *ctx, const struct reading *reading);

struct reader *reader_create(const struct reader_settings *s);
/* Nobody who waits is told anything any more. NULL. */
struct reader *reader_destroy(struct reader *r);

/* fn is called once, perhaps from here. q is copied. */
void reader_ask(struct reader *r, const struct reading_question *q, reader_fn *fn, void *ctx);
/* fn is called when nobody reads any more, perhaps from here; within two seconds: a child that hangs
 * in the kernel is left, and is then found to hold what it holds. */
void reader_clear(struct reader *r, loop_fn *fn, void *ctx);
/* Nothing is read from now on for READER_QUIET_MS. */
void reader_quiet(struct reader *r);

/* How long nothing is read behind so many failures in a row. */
int64_t reader_pause(unsigned failures);
