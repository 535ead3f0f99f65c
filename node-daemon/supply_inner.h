/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supply_inner.h: private to supply*.c. supply.c: the turn, and works of uses.h; supply_offers.c: which
 * devices there are; supply_rivals.c: who else gives them out; supply_holders.c: who has them open;
 * supply_allocate.c: what the kubelet asks; supply_report.c: what is reported.
 */
#pragma once

#include "node-daemon/demand.h"
#include "node-daemon/plugin_io.h"
#include "node-daemon/podres.h"
#include "node-daemon/resets.h"
#include "node-daemon/rivals.h"
#include "node-daemon/supply.h"

struct moves;

#define SUPPLY_TURN_BYTES (16 * MiB)
#define SUPPLY_RESETS_MS 1000 /* those that end within it are told together */
/* Allocates and resets come in numbers, and neither changes a list: what follows is one turn's. */
#define SUPPLY_MANY_MS 100
/* A kubelet that starts does not know its pods for some seconds. */
#define SUPPLY_DEAF_MS 20000

struct supply {
	struct supply_settings s;
	struct uses *uses;
	struct podres *pods;
	struct plugin_io *io; /* NULL: the kubelet's folder was not there yet */
	char *alone;	      /* why it is not; or NULL */
	char *deaf;	      /* why it does not tell of its pods; or NULL */
	int64_t deaf_since, deaf_last;
	struct loop_timer *timer;
	struct arena arena; /* of the offers */
	struct obey_facts facts;
	struct offers offers;
	struct moves *moves;
	struct resets *resets;
	struct demand *demand;
	struct eyes *eyes;
	uint64_t *doubts; /* units that they are to be asked of */
	size_t n_doubts;
	bool asking;
	bool in_turn, again;		    /* what a turn causes is the same turn's */
	struct loop_timer *report;	    /* of resets that were not told yet */
	uint64_t reported, reported_resets; /* of what the report was told last */

	struct rivals *rivals;
	struct podres *devices; /* asks which there are, of all plugins */
	struct loop_timer *rivals_timer;
	int64_t rivals_ask_at; /* INT64_MAX: there is no reason to */
	int64_t rivals_next;   /* not before this, INT64_MAX: the answer has not come */
	bool rivals_told;      /* the first answer has come: nothing is registered before */
	/* One a unit of facts; in the arena. NULL, both: nobody else gives it out */
	const char **rival_of, *const *rival_why;
	size_t n_rivals, n_taken; /* units, and names of ours */
};

/* supply.c */
int64_t supply_now(const struct supply *su);
void supply_turn_within(struct supply *su, int64_t ms);
/* True: there was something. */
bool supply_work(struct supply *su);

/* supply_offers.c */
void supply_offer(struct supply *su);
/* NULL: it is not there any more. */
const struct unit *supply_unit(const struct supply *su, const char *id);

/* supply_rivals.c */
void supply_rivals_create(struct supply *su);
void supply_rivals_destroy(struct supply *su);
void supply_rivals_look(struct supply *su);
void supply_rivals_others(void *ctx); /* of plugin_io.h */
void supply_rivals_beat(struct supply *su);
/* Of the offers as they would be without; false: there are none, and whys, one a unit, are empty. */
bool supply_rivals_units(struct supply *su, const char *const **ret_whys);
void supply_rivals_names(struct supply *su);

/* supply_holders.c */
void supply_doubt(struct supply *su, const char *id);
void supply_ask_eyes(struct supply *su); /* of those in doubt */

/* supply_allocate.c: of plugin_io.h */
void supply_allocate(void *ctx, const char *resource, struct grpc_call *call, const void *message,
		     size_t n);
void supply_preferred(void *ctx, const char *resource, struct grpc_call *call, const void *message,
		      size_t n);
/* Works of uses.h. */
void supply_answer(struct supply *su, const struct uses_work *w);
void supply_refuse(struct supply *su, struct grpc_call *call, const char *why);

/* supply_report.c */
void supply_tell(struct supply *su); /* who reports, what has changed since */
void supply_tell_resets(void *ctx);  /* a struct supply: that time has come */
