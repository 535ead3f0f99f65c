/* SPDX-License-Identifier: Apache-2.0 */
/*
 * act.h: carries out a plan. RIM.
 *
 * Actions go out one after the other, each only while the Lease is held (its request ends before
 * the Lease could). The first that fails ends the plan: the rest would stand on something that is
 * not there. What the API server answers to an apply goes straight into the cache, so that the next
 * pass reads our own write even before the watch brings it.
 *
 * With a doubt whether the object of the pass is still there, the first apply waits for a look at it:
 * where it has gone, or is going, nothing is made for it (ACT_AGAIN). An apply of that object itself
 * with its uid makes nothing, and goes out.
 *
 * Answers that are no failure: 404 to a delete or to a status of an object that is gone; 409 to a
 * conditional write (somebody was faster: ACT_AGAIN, the pass is repeated on what they wrote). A 409
 * to any other write, or from an admission webhook, is one of a moment (a quota that is counted) or
 * a refusal: only time tells.
 */
#pragma once

#include "kube/http.h"
#include "kube/lease.h"
#include "kube/plan.h"

enum act_result { ACT_DONE, ACT_AGAIN, ACT_REFUSED, ACT_FAILED, ACT_FENCED };

struct act_end {
	enum act_result result;
	int64_t again_ms;    /* the plan's own wish to be repeated, -1: none */
	const char *trouble; /* ACT_REFUSED, ACT_FAILED, ACT_AGAIN: a sentence, lent for the call */
	/* ACT_AGAIN: no condition of the request was broken, so that news need not end it */
	bool unconditional;
	bool sure;		     /* the doubt (see act_env) is dispelled */
	const struct action *action; /* the one that ended the plan, NULL when all were done */
	unsigned sent;		     /* requests that were made */
};

struct act_env {
	struct http *http;
	struct cache *cache;
	const struct lease *lease; /* NULL: no election, always allowed */
	/*
	 * A child of the object of the pass has gone: the object may have gone first, and we have
	 * not heard of it. Then what the garbage collector takes would be made again and again, so
	 * the API server is asked for the object before the first apply.
	 */
	bool doubt;
	/* An event of the plan; may be NULL. */
	void (*event)(void *ctx, const struct kube_kind *k, const struct key *key,
		      const struct action *a);
	/* What was answered; trouble: NULL, or what is wrong. May be NULL. */
	void (*log)(void *ctx, const struct action *a, const char *trouble);
	void *ctx;
};

/* Takes over the plan's actions (the plan stays finishable, its arena must live until done).
 * only_status: for the pass after a refusal. */
void act_start(const struct act_env *env, const struct kube_kind *primary, struct key key,
	       struct plan *plan, bool only_status,
	       void (*done)(void *ctx, const struct act_end *end), void *ctx);
