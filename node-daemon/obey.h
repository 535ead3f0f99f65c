/* SPDX-License-Identifier: Apache-2.0 */
/*
 * obey.h: brings the machine to where the orders want it. RIM.
 *
 *	orders x journal x machine -> books -> plan_bind -> hands -> a child that writes -> journal
 *
 * Everything is decided anew at each look at the machine, whenever the orders change, and when a
 * child has ended: nothing is remembered but the journal and what runs. A record lies on the disk
 * before what it tells is begun. Without a journal nothing is written to the machine.
 *
 * Before a driver is taken from a unit, or a unit is given back, the eyes (eyes.h) are asked who
 * uses it, and once more right before the program starts. While they do not answer, it is in use.
 *
 * A card whose drivers are as ordered is cut as ordered: cuts.h.
 */
#pragma once

#include "api/orders.h"
#include "base/loop.h"
#include "node-daemon/report.h"

struct books;
struct cut_use_list;
struct err;
struct journal;
struct journal_record;
struct orders;
struct obey;

struct obey_settings {
	struct loop *loop;
	int sys, proc;	       /* descriptors of /sys and /proc, lent */
	const char *state_dir; /* of the journal; made where it is not there */
	const char *node;      /* name of the Node */
	const char *eyes;      /* socket of who sees who uses cards (eyes.h); NULL, "": look here */
	const char *tool;      /* socket of the vendor's tools (tool.h); NULL, "": there are none */
	loop_fn *look;	       /* asks for a new look at the machine */
	loop_fn *changed;      /* what is reported has changed */
	loop_fn *
		turned; /* obey_facts are others, and nothing that follows from them has begun; or NULL */
	/* Who has the unit, or what else keeps it from being touched: a sentence in the arena; NULL:
	 * nothing known. Or NULL. */
	const char *(*busy)(void *ctx, uint64_t unit, struct arena *a);
	/* What pods have of cards that are cut, or are being given. False: that is not known. Or NULL. */
	bool (*given)(void *ctx, struct arena *a, struct cut_use_list *ret);
	void *ctx; /* of them all */
};

/* What the last turn decided by; lent until the next one. */
struct obey_facts {
	const struct machine *machine; /* NULL: nothing is known, or the journal is not ours */
	const struct unit_list *units;
	const struct books *books;
	const struct orders *orders; /* that are obeyed; none given: those that were obeyed last */
	const char *boot;	     /* /proc/sys/kernel/random/boot_id */
	const char *node;	     /* name of the Node */
};

/* Never fails: what keeps it from working is reported, and tried again. */
struct obey *obey_create(const struct obey_settings *s);
/* Children that write are ended; what they began goes on when the daemon starts again. NULL. */
struct obey *obey_destroy(struct obey *o);

/* GPUNode.spec as the cache has it now, copied; NULL: there is none. node: the GPUNode, or NULL. known: the highest term that
 * the status says was seen. */
void obey_orders(struct obey *o, const struct node_orders *given, const struct obj *node,
		 int64_t known);
/* False: another daemon has this node's journal. Of two that report, each would undo what the other says. */
bool obey_alone(const struct obey *o);
/* The machine as the last look saw it, lent until the next call. */
void obey_looked(struct obey *o, const struct machine *m);
void obey_facts(const struct obey *o, struct obey_facts *ret);
/* A child writes to the machine now, or hangs there. */
bool obey_writes(const struct obey *o);
/* What the journal said when it was opened, or NULL: there is none. */
const struct journal *obey_journal(const struct obey *o);
/* A record of somebody else's. sync: it lies on the disk then. 0, or -1 with err. */
int obey_record(struct obey *o, const struct journal_record *r, bool sync, struct err *err);
/* What the report says of it; lies in the arena or lives until the next call of this header. */
void obey_report(const struct obey *o, struct arena *a, struct report_obeyed *ret);
