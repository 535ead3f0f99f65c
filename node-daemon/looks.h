/* SPDX-License-Identifier: Apache-2.0 */
/*
 * looks.h: the machine as it is now, looked at again whenever that may have changed. RIM.
 *
 * A kernel event (uevent.h) makes it look again at once, and what comes before it may look again is
 * one look: it looks a tenth of the time at most, what follows from a look included. Where the
 * kernel's events cannot be had it looks every LOOKS_BLIND_MS; with them still every
 * LOOKS_SELDOM_MS, since a vendor's driver may change what it offers without an event.
 * A look that fails keeps what the last one saw, says why, and is made again after LOOKS_BLIND_MS.
 * Whoever starts it sets fn and ctx, and only reads the rest.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/words.h"

#define LOOKS_SPACE_MS 10      /* from the end of a look to the next one, at least */
#define LOOKS_SPACE_MAX_MS 250 /* the same, however long it took */
#define LOOKS_SELDOM_MS 300000
#define LOOKS_BLIND_MS 5000

struct err;
struct looks {
	loop_fn *fn; /* called after every look but the first */
	void *ctx;
	struct machine machine; /* of the last look that succeeded, with its words (looks_words) */
	char *blind;		/* why the one after it failed, NULL: it did not */
	struct words words;
	struct loop *loop;
	int sys, events; /* fds; events: -1 when there are none to be had */
	struct loop_io *listening;
	struct loop_timer *timer; /* of the next look: always set */
	int64_t looked_at;
	int64_t free_at; /* not before this it looks again for an event */
};

/* Looks at once. sys is lent; pci_ids: the file of words. -1 with err when it could not look: then
 * there is nothing to finish. */
int looks_start(struct looks *l, struct loop *loop, int sys, const char *pci_ids, struct err *err);
/* The words of the first look, which come later where no card's name is made of them: reading them
 * takes longer than the look. */
void looks_words(struct looks *l);
void looks_finish(struct looks *l);
/* Something was done to the machine: looks again as after a kernel event. */
void looks_soon(struct looks *l);
