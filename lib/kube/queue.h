/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h: which keys need a pass, when, and in which order. No I/O; `now` in ms of a monotonic clock.
 *
 * Invariants (client-go's workqueue, which this copies): a key is in the queue once however often it is added; a key being worked on is
 * never handed out again before queue_done; if it was added meanwhile it comes back after that. Beyond client-go: four priorities, and within
 * one priority namespaces take turns, so that a tenant with 10,000 objects cannot starve one with a single VM.
 * A failed key waits 5 ms x 2 up to 5 min; success forgets that. An add of higher priority moves a waiting key forward.
 */
#pragma once

#include "base/base.h"

enum queue_priority { QUEUE_URGENT, QUEUE_USER, QUEUE_NODE, QUEUE_INITIAL, QUEUE_PRIORITIES }; /* deletion and failure > user change > node > initial list */

struct queue;
struct queue_item { const char *ns, *name; enum queue_priority priority; unsigned failures; int64_t added; };

struct queue *queue_create(size_t max_keys);
struct queue *queue_destroy(struct queue *q);

void queue_add(struct queue *q, const char *ns, const char *name, enum queue_priority p, int64_t now);
void queue_add_after(struct queue *q, const char *ns, const char *name, int64_t at, int64_t now); /* keeps the earlier time */
/* True: *ret is in work until queue_done; its strings stay until then. False: nothing before *ret_wake (INT64_MAX: empty). */
bool queue_next(struct queue *q, int64_t now, struct queue_item *ret, int64_t *ret_wake);
void queue_done(struct queue *q, const char *ns, const char *name, bool failed, int64_t now);
/* All waits of failed keys end now (the API server has recovered). */
void queue_hurry(struct queue *q, int64_t now);

/* depth: ready to go; waiting: for a time; in work; oldest: ms that the oldest ready key has waited. For workqueue_* metrics. */
struct queue_stats { size_t depth, waiting, working; int64_t oldest_ms; uint64_t adds, retries; };
void queue_stats(const struct queue *q, int64_t now, struct queue_stats *ret);
