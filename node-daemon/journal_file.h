/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_file.h: the journal on the disk. RIM.
 *
 * Three files in one folder: `journal`, written in place into the zeros it was made with;
 * `journal.new`, which becomes it whole or not at all; and `journal.lock`, whose lock says that one
 * process writes. Nothing is begun anew by itself where something cannot be read: the books say
 * what that means for the cards (books.h), and only then journal_file_restart.
 *
 * The descriptors must not outlive the process in a child: the lock would, too.
 */
#pragma once

#include "node-daemon/journal.h"

struct journal_file {
	struct journal journal; /* what the file says; health says what may be done with it */
	struct journal before;	/* the same before it was last made anew: lent strings live on */
	int dir, lock, fd;	/* lent; ours; ours. -1: none */
	size_t size;		/* of the file, zeros included */
	bool taken;		/* another process has it */
	bool unsure;		/* a write failed: what lies on the disk is not known */
};

/* dir: of the folder, open for reading, lent until journal_file_close. */
void journal_file_init(struct journal_file *f, int dir);
/*
 * Takes the lock and reads the journal; makes one where there is none. -1: journal.health is
 * JOURNAL_CLOSED and says why, and this may be called again. Else the journal may still be one that
 * cannot be continued.
 */
int journal_file_open(struct journal_file *f, const char *node, const char *boot, struct err *err);
void journal_file_close(struct journal_file *f);

/*
 * Strings of the journal, of r too, stay valid until the second journal made anew after them: make
 * the books anew after every record.
 *
 * sync: it lies on the disk before this returns. -1: it is not recorded, so what it would tell must
 * not be done; the journal is as before, and the next call may succeed.
 */
int journal_file_add(struct journal_file *f, const struct journal_record *r, bool sync,
		     struct err *err);

/* A new journal that says the same. 0 or -1. journal_file_add does it when it is time. */
int journal_file_compact(struct journal_file *f, struct err *err);

/* Only of a journal that is JOURNAL_BROKEN: it is kept as journal.bad-N, and a new one begun that
 * says these units. 0, or -1 and all is as before. */
int journal_file_restart(struct journal_file *f, const char *node, const char *boot,
			 const struct journal_unit *units, size_t n, struct err *err);
