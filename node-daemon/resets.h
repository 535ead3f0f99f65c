/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resets.h: resets the GPUs of units, each unit in a child (write.h), a few at a time. RIM. Whoever
 * asks for one has made sure that nobody has the unit open; of one that had to wait he is asked again
 * right before it starts.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/unit.h"

#define RESETS_AT_ONCE 8     /* children, those aside that hang */
#define RESETS_FRESH_MS 2000 /* so long it is true that nobody has it open */

struct resets;

enum resets_end { RESETS_GOOD, RESETS_FAILED, RESETS_HUNG };

struct resets_settings {
	struct loop *loop;
	int sys; /* a /sys; above 2 */
	/* Once for each, later. method: what the kernel says of how; why: "" when good. */
	void (*done)(void *ctx, const char *id, enum resets_end end, const char *method, int64_t ms,
		     const char *why);
	/* May it start now? Answered by resets_may, later. */
	void (*ask)(void *ctx, const char *id);
	void *ctx;
};

struct resets *resets_create(const struct resets_settings *s);
/* Ends what runs; a child that hangs is left behind. NULL. */
struct resets *resets_destroy(struct resets *r);
/* One of this unit waits, runs or hangs. */
bool resets_has(const struct resets *r, const char *id);
/* It waits for resets_may. */
bool resets_asks(const struct resets *r, const char *id);
/* False: it is not made, and done is not called. */
void resets_may(struct resets *r, const char *id, bool may);
void resets_add(struct resets *r, const char *id, const struct unit *u);
