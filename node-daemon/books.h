/* SPDX-License-Identifier: Apache-2.0 */
/*
 * books.h: the journal held against the machine: what we know of each unit that its drivers do not
 * show. Pure; made anew at every look, and after every record.
 *
 *	journal says		the machine shows	the books say
 *	nothing			a host driver, or none	BOOK_NONE
 *	nothing			vfio-pci		BOOK_ADOPTED: never unbound by us
 *	binding			none, vfio-pci, or what
 *				was recorded		BOOK_OURS, BOOK_BIND: go on
 *	bound			vfio-pci		BOOK_OURS
 *	bound			none, or what was
 *				recorded		BOOK_OURS, BOOK_BIND: do it again
 *	binding, bound		another driver		BOOK_QUARANTINED
 *	returning		anything		BOOK_OURS, BOOK_BACK: go on
 *	any of an older boot	vfio-pci		BOOK_ADOPTED: not we bound it in this one
 *	anything		another card there	BOOK_QUARANTINED
 *	cannot be read		not plainly a host
 *				driver's		BOOK_QUARANTINED, and books.refusal
 *
 * A card is known by its place and ids: that its address is another since the last boot changes
 * nothing. So is one at the same address whose bridges were numbered anew by a boot. What the
 * kernel made of a card at boot, nobody has to undo: of an older boot only the wish is left, and
 * what to give back is found anew. When in doubt a unit is quarantined, that is: nobody touches it, and why says what would
 * end that. The books know nothing of orders: BOOK_BIND of a unit that is now ordered back means to
 * give back what is bound of it.
 */
#pragma once

#include "node-daemon/journal.h"
#include "node-daemon/unit.h"

enum book_whose {
	BOOK_NONE,	  /* nothing of it is ours */
	BOOK_OURS,	  /* we bound it or a part of it, or were about to */
	BOOK_ADOPTED,	  /* its GPU was on vfio-pci before us, and nothing of it is ours */
	BOOK_QUARANTINED, /* nothing is done with it: why */
};

/* What was begun and is not known to be at its end. */
enum book_doing { BOOK_NOTHING, BOOK_BIND, BOOK_BACK };

/*
 * What giving back restores. known: recorded in this boot. Not known: driver is what the function
 * has now (of ours from an older boot that has none yet: what it had then), override is "" and must
 * be read from the machine, and a record written, before the first write to the function. One that
 * had a driver of the vfio family before us is never unbound, also where its unit is ours.
 */
struct book_function {
	uint64_t address;
	bool known;
	const char *driver;   /* before us, "": none */
	const char *override; /* before us, "": none */
};

struct book {
	uint64_t id;	   /* address of the unit's first GPU, now */
	const char *place; /* journal.h */
	const char *ids;
	enum book_whose whose;
	enum book_doing doing;
	LIST(struct book_function) functions; /* those of the unit, in its order */
	const char *name;		      /* frozen, "": none */
	const char *was;      /* its address when it was recorded, where that is another; "" */
	const char *why;      /* BOOK_QUARANTINED: the sentence; else "" or a remark on it */
	const char *replaces; /* for its next record (journal.h) */
	bool recorded; /* the journal has a record of it: another one may end what that says */
};

/* A recorded card that is not there. Its record stays. */
struct book_missing {
	const char *id, *ids, *place; /* as recorded */
};

struct books {
	LIST(struct book) items; /* one a unit, by id */
	LIST(struct book_missing) missing;
	const char *refusal; /* nothing at all may be written to the machine, and why; "": it may */
	const char *remark;  /* something is odd with the journal that stops nobody, "" */
};

/* node, boot: of this machine and its running kernel. units: of units_make. Strings lie in the
 * arena, in the journal or in the machine. */
void books_make(const struct journal *j, const struct unit_list *units, const char *node,
		const char *boot, struct arena *a, struct books *ret);
const struct book *books_find(const struct books *b, uint64_t id); /* NULL */

/*
 * The records that follow from a book. Write them before what they tell is done (JOURNAL_BINDING,
 * JOURNAL_RETURNING: on the disk), or after it (JOURNAL_BOUND, book_returned: need not wait).
 * Strings lie in the arena or in the book.
 */

/* state: JOURNAL_BINDING ...; the override of functions that were not known is filled in before. u:
 * the unit of the book. What only shares its group is left out: nobody ever touches that. */
void book_record(const struct book *b, const struct unit *u, const char *state, const char *boot,
		 struct arena *a, struct journal_unit *ret);
/* Nothing of it is ours any more; its name stays. Also what ends a quarantine, when orders no
 * longer name the unit: what is on vfio-pci then is adopted. */
void book_returned(const struct book *b, const char *boot, struct arena *a,
		   struct journal_unit *ret);
/* The quarantine itself, for a journal that begins anew behind one that cannot be read. */
void book_quarantine(const struct book *b, const char *boot, struct arena *a,
		     struct journal_unit *ret);
