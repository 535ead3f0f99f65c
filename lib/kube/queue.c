/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key that the queue knows is one entry, found by "namespace/name". It is ready (in the list
 * of its tenant and priority), waiting (in the heap by time), or in work. In work it may be dirty
 * besides, which sends it back to ready or waiting at queue_done. An entry that is none of these is
 * freed, and a tenant (a namespace) without entries too: what the queue holds is what it has to do.
 *
 * Per priority the tenants with something ready form a ring; queue_next takes the first entry of
 * the first tenant and moves that tenant to the end.
 */
#include "kube/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/link.h"
#include "base/map.h"

struct tenant {
	struct link turn[QUEUE_PRIORITIES]; /* in queue.ring[p] while ready[p] is not empty */
	struct link ready[QUEUE_PRIORITIES];
	size_t entries;
	char name[];
};

enum state { IDLE, READY, WAITING };

struct entry {
	struct link link; /* in tenant.ready[priority] while READY */
	struct tenant *tenant;
	int64_t added, at;
	uint64_t seq; /* equal times: first come, first served */
	size_t heap;  /* index in queue.heap while WAITING */
	unsigned failures;
	uint8_t state, priority;
	bool working;	  /* handed out */
	bool dirty;	  /* added while in work */
	bool again;	  /* in work, and `at` is set */
	bool backoff;	  /* WAITING because it failed */
	const char *name; /* inside key */
	char key[];
};

struct queue {
	struct map entries, tenants;
	struct link ring[QUEUE_PRIORITIES];
	struct entry **heap;
	size_t waiting, heap_size, depth, working, max;
	uint64_t seq, adds, retries, refused;
	bool lost; /* refused since the last queue_refused */
	struct buf scratch;
};

/* Kubernetes limits each part to 253 bytes; longer ones are nobody's, but must not abort. */
#define KEY_MAX (4 * KiB)

struct queue *queue_create(size_t max_keys)
{
	struct queue *q = xcalloc(1, sizeof(*q));

	map_init(&q->entries);
	map_init(&q->tenants);
	buf_init(&q->scratch, KEY_MAX);
	q->max = max_keys;
	for (int p = 0; p < QUEUE_PRIORITIES; p++) {
		link_init(&q->ring[p]);
	}
	return q;
}

static void free_values(struct map *m)
{
	for (struct map_slot *s = NULL; (s = map_next(m, s));) {
		free(s->value);
	}
	map_finish(m);
}

struct queue *queue_destroy(struct queue *q)
{
	if (q) {
		free_values(&q->entries);
		free_values(&q->tenants);
		buf_finish(&q->scratch);
		free(q->heap);
		free(q);
	}
	return NULL;
}

static const char *key_of(struct queue *q, const char *ns, const char *name)
{
	buf_reset(&q->scratch);
	buf_printf(&q->scratch, "%s/%s", ns ? ns : "", name);
	return buf_text(&q->scratch);
}

/* The heap of waiting entries: earliest first. */

static bool sooner(const struct entry *a, const struct entry *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void heap_set(struct queue *q, size_t i, struct entry *e)
{
	q->heap[i] = e;
	e->heap = i;
}

static void heap_up(struct queue *q, size_t i)
{
	struct entry *e = q->heap[i];

	while (i && sooner(e, q->heap[(i - 1) / 2])) {
		heap_set(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(q, i, e);
}

static void heap_down(struct queue *q, size_t i)
{
	struct entry *e = q->heap[i];

	for (size_t child; (child = 2 * i + 1) < q->waiting; i = child) {
		if (child + 1 < q->waiting && sooner(q->heap[child + 1], q->heap[child])) {
			child++;
		}
		if (!sooner(q->heap[child], e)) {
			break;
		}
		heap_set(q, i, q->heap[child]);
	}
	heap_set(q, i, e);
}

static void heap_insert(struct queue *q, struct entry *e)
{
	if (q->waiting == q->heap_size) {
		q->heap_size = MAX(q->heap_size * 2, (size_t)16);
		q->heap = xrealloc(q->heap, q->heap_size * sizeof(*q->heap));
	}
	heap_set(q, q->waiting++, e);
	heap_up(q, e->heap);
}

static void heap_remove(struct queue *q, struct entry *e)
{
	struct entry *last = q->heap[--q->waiting];

	if (last != e) {
		heap_set(q, e->heap, last);
		heap_up(q, last->heap);
		heap_down(q, last->heap);
	}
}

/* States of an entry. */

static void leave(struct queue *q, struct entry *e)
{
	if (e->state == WAITING) {
		heap_remove(q, e);
		e->backoff = false;
	} else if (e->state == READY) {
		link_remove(&e->link);
		q->depth--;
		if (link_empty(&e->tenant->ready[e->priority])) {
			link_remove(&e->tenant->turn[e->priority]);
		}
	}
	e->state = IDLE;
}

static void make_ready(struct queue *q, struct entry *e, enum queue_priority p, int64_t since)
{
	struct link *ready = &e->tenant->ready[p];

	leave(q, e);
	if (link_empty(ready)) {
		link_append(&q->ring[p], &e->tenant->turn[p]);
	}
	link_append(ready, &e->link);
	e->state = READY;
	e->priority = p;
	e->added = since;
	q->depth++;
}

static void make_waiting(struct queue *q, struct entry *e, int64_t at, bool backoff)
{
	leave(q, e);
	e->state = WAITING;
	e->at = at;
	e->seq = q->seq++;
	e->backoff = backoff;
	heap_insert(q, e);
}

static struct tenant *tenant_get(struct queue *q, const char *ns)
{
	struct tenant *t = map_get(&q->tenants, ns);

	if (!t) {
		size_t n = strlen(ns) + 1;

		t = xcalloc(1, sizeof(*t) + n);
		memcpy(t->name, ns, n);
		for (int p = 0; p < QUEUE_PRIORITIES; p++) {
			link_init(&t->turn[p]);
			link_init(&t->ready[p]);
		}
		map_put(&q->tenants, t->name, t);
	}
	t->entries++;
	return t;
}

/* A new idle entry, or NULL when the queue is full or the key is no key. */
static struct entry *entry_create(struct queue *q, const char *ns, const char *name)
{
	const char *key = key_of(q, ns, name);
	size_t n = strlen(key) + 1;
	struct entry *e;

	if (!buf_ok(&q->scratch)) {
		return NULL;
	}
	if (q->entries.n >= q->max) {
		q->refused++;
		q->lost = true;
		return NULL;
	}
	e = xcalloc(1, sizeof(*e) + n);
	memcpy(e->key, key, n);
	e->name = strchr(e->key, '/') + 1;
	e->priority = QUEUE_NODE;
	link_init(&e->link);
	e->tenant = tenant_get(q, ns ? ns : "");
	map_put(&q->entries, e->key, e);
	return e;
}

static void entry_free(struct queue *q, struct entry *e)
{
	struct tenant *t = e->tenant;

	map_del(&q->entries, e->key);
	free(e);
	if (!--t->entries) {
		map_del(&q->tenants, t->name);
		free(t);
	}
}

void queue_add(struct queue *q, const char *ns, const char *name, enum queue_priority p,
	       int64_t now)
{
	struct entry *e = map_get(&q->entries, key_of(q, ns, name));

	if (!e && !(e = entry_create(q, ns, name))) {
		return;
	}
	q->adds++;
	if (e->working) {
		e->priority = e->dirty ? MIN(e->priority, p) : p;
		e->dirty = true;
	} else if (e->state == WAITING && e->backoff && p > QUEUE_USER) {
		e->priority = MIN(e->priority, p);
		make_waiting(q, e, MIN(e->at, now + QUEUE_NEWS_MS), true);
	} else if (e->state == WAITING) {
		make_ready(q, e, MIN(e->priority, p), now);
	} else if (e->state == IDLE) {
		make_ready(q, e, p, now);
	} else if (p < e->priority) {
		make_ready(q, e, p, e->added);
	}
}

void queue_add_after(struct queue *q, const char *ns, const char *name, int64_t at, int64_t now)
{
	struct entry *e = map_get(&q->entries, key_of(q, ns, name));

	if (!e && !(e = entry_create(q, ns, name))) {
		return;
	}
	if (e->working) {
		e->at = e->again ? MIN(e->at, at) : at;
		e->again = true;
	} else if (e->state == WAITING) {
		at = e->backoff ? MAX(at, now + QUEUE_NEWS_MS) : at;
		make_waiting(q, e, MIN(e->at, at), e->backoff);
	} else if (e->state == IDLE) {
		make_waiting(q, e, MAX(at, now), false);
	}
}

/* Waits that are over: in the order of their times, so that fairness starts from the earliest. */
static void wake_due(struct queue *q, int64_t now)
{
	while (q->waiting && q->heap[0]->at <= now) {
		struct entry *e = q->heap[0];

		make_ready(q, e, e->priority, e->at);
	}
}

bool queue_next(struct queue *q, int64_t now, struct queue_item *ret, int64_t *ret_wake)
{
	wake_due(q, now);
	for (int p = 0; p < QUEUE_PRIORITIES; p++) {
		if (!link_empty(&q->ring[p])) {
			struct tenant *t = container_of(q->ring[p].next, struct tenant, turn[p]);
			struct entry *e = container_of(t->ready[p].next, struct entry, link);

			leave(q, e);
			if (!link_empty(&t->turn[p])) {
				link_move(&q->ring[p], &t->turn[p]);
			}
			e->working = true;
			e->dirty = e->again = false;
			q->working++;
			*ret = (struct queue_item){*t->name ? t->name : NULL, e->name, p,
						   e->failures, e->added};
			return true;
		}
	}
	*ret_wake = q->waiting ? q->heap[0]->at : INT64_MAX;
	return false;
}

static int64_t backoff_ms(unsigned failures)
{
	unsigned doublings = MIN(failures - 1, 30u);

	return MIN((int64_t)QUEUE_BACKOFF_FIRST_MS << doublings, (int64_t)QUEUE_BACKOFF_MAX_MS);
}

static void done_failed(struct queue *q, struct entry *e, int64_t now)
{
	int64_t at = now + backoff_ms(++e->failures);

	q->retries++;
	if (e->dirty && e->priority <= QUEUE_USER) {
		make_ready(q, e, e->priority, now);
		return;
	}
	if (e->dirty) {
		at = MIN(at, now + QUEUE_NEWS_MS);
	}
	if (e->again) {
		at = MIN(at, MAX(e->at, now + QUEUE_NEWS_MS));
	}
	make_waiting(q, e, at, true);
}

void queue_done(struct queue *q, const char *ns, const char *name, bool failed, int64_t now)
{
	struct entry *e = map_get(&q->entries, key_of(q, ns, name));

	if (!e || !e->working) {
		return;
	}
	e->working = false;
	q->working--;
	if (failed) {
		done_failed(q, e, now);
		return;
	}
	e->failures = 0;
	if (e->dirty) {
		make_ready(q, e, e->priority, now);
	} else if (e->again) {
		e->priority = QUEUE_NODE;
		make_waiting(q, e, e->at, false);
	} else {
		entry_free(q, e);
	}
}

void queue_hurry(struct queue *q, int64_t now)
{
	for (struct map_slot *s = NULL; (s = map_next(&q->entries, s));) {
		struct entry *e = s->value;

		e->failures = 0;
		if (e->state == WAITING && e->backoff) {
			e->at = MIN(e->at, now);
		}
	}
	for (size_t i = q->waiting / 2; i-- > 0;) {
		heap_down(q, i);
	}
}

bool queue_refused(struct queue *q)
{
	bool tell = q->lost && q->entries.n <= q->max / 2;

	if (tell) {
		q->lost = false;
	}
	return tell;
}

void queue_stats(const struct queue *q, int64_t now, struct queue_stats *ret)
{
	int64_t oldest = 0;

	for (struct map_slot *s = NULL; (s = map_next(&q->entries, s));) {
		const struct entry *e = s->value;

		if (e->state == READY) {
			oldest = MAX(oldest, now - e->added);
		}
	}
	*ret = (struct queue_stats){
		.depth = q->depth,
		.waiting = q->waiting,
		.working = q->working,
		.oldest_ms = oldest,
		.adds = q->adds,
		.retries = q->retries,
		.refused = q->refused,
	};
}
