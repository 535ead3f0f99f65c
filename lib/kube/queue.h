/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h: which keys need a pass, when, and in which order. No I/O; `now` in ms of a monotonic
 * clock.
 *
 * Invariants (client-go's workqueue, which this copies): a key is in the queue once however often
 * it is added; a key being worked on is never handed out again before queue_done; if it was added
 * meanwhile it comes back after that. Beyond client-go: four priorities (strict, as in
 * controller-runtime's priority queue), and within one priority namespaces take turns, so that a
 * tenant with 10,000 objects cannot starve one with a single VM.
 *
 * A failed key waits 5 ms x 2 up to 5 min; success forgets that. News end the wait: of priority
 * URGENT or USER at once, other news and timers within 1 s, so that a pass that fails and writes
 * cannot spin on its own echo (in client-go any event skips the back-off). A wait asked for
 * (queue_add_after) ends with the next add of any kind: the pass that then runs asks again if it
 * still wants to.
 *
 * At the maximum a new key is refused. Nothing is lost by that for good: queue_refused tells, once
 * there is room again, that the caller should add every key it knows.
 */
#pragma once

#include "base/base.h"

enum queue_priority {
	QUEUE_URGENT,  /* deletion, failure of a device or node */
	QUEUE_USER,    /* a user changed a spec */
	QUEUE_NODE,    /* a report came in, a time has come */
	QUEUE_INITIAL, /* first list, audit */
	QUEUE_PRIORITIES
};

#define QUEUE_BACKOFF_FIRST_MS 5
#define QUEUE_BACKOFF_MAX_MS (5 * 60 * 1000)
#define QUEUE_NEWS_MS 1000

struct queue;

struct queue_item {
	const char *ns, *name; /* ns: NULL for cluster-scoped */
	enum queue_priority priority;
	unsigned failures; /* of this key in a row, so far */
	int64_t added;	   /* since when it was ready */
};

struct queue *queue_create(size_t max_keys);
struct queue *queue_destroy(struct queue *q); /* NULL */

void queue_add(struct queue *q, const char *ns, const char *name, enum queue_priority p,
	       int64_t now);
/* Keeps the earlier time. A key new to the queue gets QUEUE_NODE. */
void queue_add_after(struct queue *q, const char *ns, const char *name, int64_t at, int64_t now);
/*
 * True: *ret is in work until queue_done; its strings stay until then. False: nothing before
 * *ret_wake (INT64_MAX: empty).
 */
bool queue_next(struct queue *q, int64_t now, struct queue_item *ret, int64_t *ret_wake);
void queue_done(struct queue *q, const char *ns, const char *name, bool failed, int64_t now);
/*
 * All waits of failed keys end now and their failures are forgotten (the API server has recovered).
 */
void queue_hurry(struct queue *q, int64_t now);
/* True once after keys were refused, when half of the maximum is free again: add them all. */
bool queue_refused(struct queue *q);

/*
 * depth: ready to go; waiting: for a time; in work; oldest: ms that the oldest ready key has
 * waited. For workqueue_* metrics.
 */
struct queue_stats {
	size_t depth, waiting, working;
	int64_t oldest_ms;
	uint64_t adds, retries, refused;
};
void queue_stats(const struct queue *q, int64_t now, struct queue_stats *ret);
