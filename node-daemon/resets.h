/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resets.h: resets the GPUs of units, each unit in a child (write.h), a few at a time. RIM. Whoever
 * asks for one has made sure that nobody has the unit open.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/unit.h"

#define RESETS_AT_ONCE 8 /* children, those aside that hang */

struct resets;

struct resets_settings {
	struct loop *loop;
	int sys; /* a /sys; above 2 */
	/* Once for each, later. method: what the kernel says of how; why: "" when good. */
	void (*done)(void *ctx, const char *id, bool good, const char *method, int64_t ms,
		     const char *why);
	void *ctx;
};

struct resets *resets_create(const struct resets_settings *s);
/* Ends what runs; a child that hangs is left behind. NULL. */
struct resets *resets_destroy(struct resets *r);
/* One of this unit waits, runs or hangs. */
bool resets_has(const struct resets *r, const char *id);
void resets_add(struct resets *r, const char *id, const struct unit *u);
