/* SPDX-License-Identifier: Apache-2.0 */
/* obey_inner.h: private to obey.c, which acts, and obey_report.c, which says what became of it. */
#pragma once

#include "node-daemon/cuts.h"
#include "node-daemon/journal_file.h"
#include "node-daemon/obey.h"

struct hands;
struct hands_run;
struct inuse;

/* What this turn says of a unit. */
struct verdict_on {
	const struct unit *unit;
	const struct book *book;
	struct bind_plan plan;
	struct cuts_plan cut;
};

struct obey {
	struct obey_settings s;
	char *boot;
	int dir;
	struct journal_file file;
	bool unrecorded; /* a record failed in this turn: nothing more is begun */
	char *unwritten; /* why the last one failed; NULL: all since are written */
	char *closed;	 /* why there is no journal, NULL: there is one */
	struct hands *hands;
	struct hands_run *run;
	struct inuse *inuse;
	struct cuts *cuts;
	struct loop_timer *timer;
	const struct machine *machine; /* NULL: before the first look */

	/* the orders as they came */
	struct arena given_arena;
	const struct node_orders *given; /* NULL: none */
	char *uid;			 /* of the GPUNode */
	int64_t generation, highest;
	bool heard; /* from the API server */
	int64_t begun_at;

	/* of the last turn */
	struct arena arena;
	struct unit_list units;
	struct orders orders;
	struct orders last; /* of the journal, where there are no others */
	int64_t obeyed;	    /* the generation of these */
	struct books books;
	struct verdict_on *verdicts; /* one a unit */
	struct cut_use_list uses;    /* what pods have of cards that are cut */
	bool looked;		     /* that is known */

	/* Units at which something was done since the last look: what is known of them is old. */
	uint64_t *changed;
	size_t n_changed, changed_room;
};

/* That was seen, here or in the journal. */
int64_t obey_highest_term(const struct obey *o);
