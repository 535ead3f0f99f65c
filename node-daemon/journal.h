/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h: what the daemon must remember over its own death and the node's, as text. Pure: bytes
 * in, structs out, and back; the file is journal_file.h's, and what the records mean for the
 * machine is books.h's.
 *
 * One line a record, the last of a key wins:
 *	<checksum, 16 hex digits> <number> <safe> {"unit":{...}}\n
 * The number counts records of this file from 1 without gaps. `safe` is the last number that was
 * known to lie on the disk when this line was written: what a later line calls safe must be
 * readable, and only that. So a power cut in the middle of writes that nobody had promised is told
 * from damage. The first line is the head, in this form in every version to come. Behind the last
 * line are zeros, as many as the file was made with.
 *
 * Strings are never NULL and lie in the journal's arena, as everything does, until journal_init or
 * journal_finish.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "json/type.h"

enum {
	JOURNAL_VERSION = 1,
	JOURNAL_MAX_LINE = 256 * 1024,	     /* orders of 512 cards; one unit has less */
	JOURNAL_MAX_BYTES = 8 * 1024 * 1024, /* of what must be remembered, and of a file */
	JOURNAL_MAX_UNITS = 2048,
	JOURNAL_MAX_USES = 2048,
	JOURNAL_MAX_SLOTS = 4096,    /* vGPUs made on demand */
	JOURNAL_MAX_FUNCTIONS = 256, /* of one unit: MACHINE_MAX_MEMBERS */
	JOURNAL_MAX_OTHERS = 4096,
};

/* The first record of a file. */
struct journal_head {
	int64_t version;
	const char *node; /* name of the Node whose journal it is */
	const char *boot; /* /proc/sys/kernel/random/boot_id */
};

/* The orders as obeyed last. */
struct journal_orders {
	int64_t term, generation;
	const char *spec; /* of the GPUNode, JSON text: an object */
};

/* One function of a unit as it was before we touched it. */
struct journal_function {
	const char *at;	      /* 0000:41:00.1 */
	const char *ids;      /* 10de:22ba:10de:16a1 */
	const char *driver;   /* "": none */
	const char *override; /* driver_override, "": none */
};

LIST_OF(journal_function_list, struct journal_function);

/*
 * A card, by its place: the address of the root port, then slot and function of each bridge below
 * and of the card, which new bus numbers do not change ("0000:40:01.0/00.0/10.0/00.0"). The record
 * of a place replaces the one before; one that says nothing (no state, no name, no why) makes it
 * forgotten.
 */
struct journal_unit {
	const char *place;
	const char *replaces; /* "": nothing; a place whose record is forgotten with this one */
	const char *id;	      /* address of its first GPU when this was written */
	const char *ids;      /* of that GPU: vendor:device:subsystem vendor:subsystem device */
	const char *boot;     /* in which this was true */
	const char *state;    /* JOURNAL_BINDING ..., "": none of it is ours */
	const char *name;     /* frozen, "": none */
	const char *why;      /* the sentence why it is quarantined, "": it is not */
	tri adopted;	      /* an admin bound it to vfio-pci before us */
	struct journal_function_list functions;
	uint64_t hash; /* of place, filled by the reader */
};

#define JOURNAL_BINDING "binding"     /* being brought to vfio-pci */
#define JOURNAL_BOUND "bound"	      /* brought there */
#define JOURNAL_RETURNING "returning" /* being given back */

/* How a device was made clean. */
struct journal_reset {
	const char *method; /* of reset_method: flr, bus, ...; "boot": the machine's own */
	int64_t ms;	    /* that it took */
	int64_t at;	    /* when it ended, ms since the boot of the record */
	tri ok;
};

/*
 * Who has a device, or had it last. Written without waiting for the disk: it is to outlive us, not
 * the node, whose end ends all use; what an older boot says of use is a suspicion (uses.h). The
 * record of a place replaces the one before; one that says nothing (free, by no reset) makes it
 * forgotten.
 */
struct journal_use {
	const char *place; /* of its unit */
	const char *id;	   /* as the kubelet knows the device */
	const char *state; /* JOURNAL_GIVEN ... */
	const char *ns;	   /* of the pod that has or had it, "": none was seen */
	const char *pod;
	const char *boot;		   /* in which this was true */
	const struct journal_reset *reset; /* the last one, NULL: none */
	uint64_t hash;			   /* of place, filled by the reader */
	const char *resource;		   /* under which it was given, "": not known */
};

#define JOURNAL_FREE "free"   /* nobody's: the reset says why */
#define JOURNAL_GIVEN "given" /* written before the kubelet is told */
#define JOURNAL_DIRTY "dirty" /* ended, and not made clean */

/*
 * A vGPU that was made because somebody asked for it, by the place of its card and its number there,
 * which is how the kubelet knows it. Of an older boot it is gone. The record of a place and number
 * replaces the one before; one without a state makes it forgotten.
 */
struct journal_slot {
	const char *place; /* of the card: journal_unit */
	int64_t index;
	const char *card; /* address when this was written */
	const char *vf;	  /* address of what carries it: a virtual function, or the card */
	const char *type; /* name */
	const char *uuid; /* of a mediated device, "": it is none */
	const char *boot;
	const char *state; /* JOURNAL_MAKING ..., "": it is gone */
	uint64_t hash;	   /* of place, filled by the reader */
};

#define JOURNAL_MAKING "making" /* about to be made, or made: the machine shows which */
#define JOURNAL_MADE "made"
#define JOURNAL_DROPPING "dropping"

/* Exactly one of these is there. */
struct journal_record {
	const struct journal_head *head;
	const struct journal_orders *orders;
	const struct journal_unit *unit;
	const struct journal_use *use;
	const struct journal_slot *slot;
};

enum journal_health {
	JOURNAL_ABSENT, /* there is no journal: nothing was ever done here */
	JOURNAL_GOOD,
	JOURNAL_BROKEN, /* what was promised cannot be read */
	JOURNAL_NEWER,	/* another version wrote it, or wrote into it: what is there is no damage */
	JOURNAL_CLOSED, /* the file cannot be had: another process has it, or the disk fails */
};

struct journal {
	struct arena arena;
	enum journal_health health;
	const char *trouble; /* neither absent nor good: the sentence why */
	struct journal_head head;
	const struct journal_orders *orders; /* NULL: none */
	LIST(struct journal_unit) units;     /* by first record */
	LIST(struct journal_use) uses;	     /* the same */
	LIST(struct journal_slot) slots;     /* the same */
	/* Records of kinds that this version does not know, as they are: kept, not obeyed. */
	LIST(const char *) others;
	const char *others_kind; /* of the first of these, "": there is none */
	size_t units_room, uses_room, slots_room, others_room; /* of the lists */
	int64_t number, safe; /* of the last record; of the last on the disk */
	size_t size;	      /* bytes of good lines */
	bool torn;	      /* there is something behind these */
};

void journal_init(struct journal *j); /* health JOURNAL_ABSENT */
void journal_finish(struct journal *j);

/*
 * Reads a whole file into j, which is what journal_init made. Always ends in a health; of a journal
 * that is broken or newer all is there that could be read, to be looked at, not to be continued.
 */
void journal_read(const char *bytes, size_t n, struct journal *j);
/* The same health for a file that cannot even be read. */
void journal_close(struct journal *j, const char *why);

/* The line of a next record, added to out. -1: journal_read would not take it. */
int journal_line(const struct journal *j, const struct journal_record *r, struct buf *out,
		 struct err *err);
/* That line stands in the file: j learns it. */
void journal_note(struct journal *j, const char *line, size_t n);
/* All records so far lie on the disk. */
void journal_synced(struct journal *j);
/* What j says as a new file without what was replaced, for journal_read; added to out. */
int journal_whole(const struct journal *j, struct buf *out, struct err *err);
