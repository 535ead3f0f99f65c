/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_bind.h: what brings a unit to vfio-pci, or back to what it had before us; or why nothing is
 * done. Pure.
 *
 * It says one program at a time, for the unit as it is now. Whoever carries it out looks at the
 * machine afterwards, makes the books anew and asks again, until the answer is BIND_REST; a program
 * that was cut short anywhere is thereby continued. Only the GPUs of the unit and their companions
 * are ever touched, never what only shares their IOMMU group. What was on a driver of the vfio family
 * before us is never unbound, nor is its driver_override written.
 *
 * A driver of the host is only taken away when somebody has looked and nobody uses the unit. NVIDIA's
 * is asked too, before anything is changed: only it knows what the kernel does with the card.
 */
#pragma once

#include "node-daemon/books.h"
#include "node-daemon/orders.h"
#include "node-daemon/steps.h"

/* Who has a function of the unit open, or is given it. */
enum bind_users {
	BIND_USERS_UNKNOWN, /* nobody can say; to what we bound ourselves it means: none */
	BIND_USERS_NONE,
	BIND_USERS_SOME,
};

struct bind_seen {
	const struct machine *machine;
	const struct unit *unit;
	const struct book *book; /* of the unit */
	enum want want;
	enum bind_users users;
	const char *holder;  /* SOME: for a sentence, "pod a/b"; UNKNOWN: why, or "" */
	const char *refusal; /* books.refusal, "": none */
};

enum bind_next {
	BIND_REST,    /* nothing is left to do */
	BIND_REFUSED, /* nothing is done: why */
	BIND_READ,    /* steps read what must be recorded before a write: bind_learn */
	BIND_WRITE,   /* steps, once the journal says on the disk what is begun */
};

struct bind_plan {
	enum bind_next next;
	/*
	 * BIND_READ, BIND_WRITE: what is begun. The record of it is written first (book_record),
	 * unless the book says so already and all its functions are known; when the steps have
	 * succeeded, the record of its end. BIND_REST: BOOK_BACK: only that last record is missing
	 * (book_returned); else BOOK_NOTHING.
	 */
	enum book_doing doing;
	struct steps steps;
	struct condition why; /* BIND_REFUSED: a condition Available of the unit */
};

/* All lies in the arena, or in what was seen. */
void plan_bind(const struct bind_seen *seen, struct arena *a, struct bind_plan *ret);

/* Puts what a program of BIND_READ has read into the book, for book_record. */
void bind_learn(struct book *b, const struct steps *s, const struct steps_heard *heard);
