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
 */
#pragma once

#include "api/orders.h"
#include "base/loop.h"
#include "node-daemon/report.h"

struct obey;

struct obey_settings {
	struct loop *loop;
	int sys;	       /* descriptor of /sys, lent */
	const char *state_dir; /* of the journal; made where it is not there */
	const char *node;      /* name of the Node */
	const char *eyes;      /* socket of who sees who uses cards (eyes.h); NULL, "": look here */
	loop_fn *look;	       /* asks for a new look at the machine */
	loop_fn *changed;      /* what is reported has changed */
	void *ctx;	       /* of both */
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
/* What the report says of it; lies in the arena or lives until the next call of this header. */
void obey_report(const struct obey *o, struct arena *a, struct report_obeyed *ret);
