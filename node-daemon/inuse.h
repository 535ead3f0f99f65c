/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inuse.h: what the eyes (eyes.h) said last of the units from which a driver is to be taken. RIM.
 *
 * A turn of obey.c begins with inuse_begin, asks for each such unit with inuse_of, and ends with
 * inuse_ask: one question for all whose answer is missing or old. What was said last stays said
 * until the next answer, so that a report does not come and go; it is good for a plan, never for an
 * act: right before that inuse_now is asked.
 */
#pragma once

#include "node-daemon/eyes.h"
#include "node-daemon/unit.h"

#define INUSE_AGAIN_MS 5000 /* nobody tells when a process lets go of a card */

struct inuse;

struct inuse_settings {
	struct eyes_settings eyes;
	loop_fn *answered; /* there are answers that were not there before */
	void *ctx;
};

/* Never fails. */
struct inuse *inuse_create(const struct inuse_settings *s);
struct inuse *inuse_destroy(struct inuse *i); /* NULL */

/* units: those that there are; lent until inuse_ask, or the next inuse_begin. What the last turn did not ask for
 * is forgotten. */
void inuse_begin(struct inuse *i, const struct unit_list *units);
/* False: nothing is known yet, and inuse_ask will ask. who: for a sentence, lent until the next answer; of an
 * unknown user why. again: it is worth asking again from then on. */
bool inuse_of(struct inuse *i, const struct unit *u, enum bind_users *ret, const char **ret_who,
	      int64_t *ret_again);
void inuse_ask(struct inuse *i);

/* As it is at this moment; fn is called once, from the loop. */
typedef void inuse_fn(void *ctx, uint64_t unit, enum bind_users users, const char *who);
void inuse_now(struct inuse *i, const struct unit *u, inuse_fn *fn, void *ctx);
