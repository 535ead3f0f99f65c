/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three tables with an age limit: events by (object, type, reason, note), groups by the same
 * without note (how many notes lately?), buckets by object (how many Events may it still cause?).
 * Each forgets what was not touched for longest.
 */
#include "kube/event.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/link.h"
#include "base/map.h"

#define SWEEP_MS 60000

/* The head of what a table holds. */
struct node {
	struct link age;
	char *key;
};

struct table {
	struct map map;
	struct link ages; /* longest untouched first */
};

struct event {
	struct node node;
	struct link queued;
	char *api_version, *kind, *regarding_ns, *regarding_name, *uid;
	char *ns, *name, *reason, *note;
	bool warning, created, dead; /* dead: refused; kept so that it is not tried again */
	unsigned count, written, sending, tries;
	int64_t first_wall, last_wall, last, sent, not_before;
};

struct group {
	struct node node;
	int64_t since;
	unsigned notes;
};

struct bucket {
	struct node node;
	double tokens;
	int64_t at;
};

struct event_book {
	char *controller, *instance;
	size_t max, n_queued;
	struct table events, groups, buckets;
	struct link queue;
	struct event *flying;
	int64_t next_sweep;
	uint64_t serial;
	struct event_counts counts;
	struct buf key;
};

static void table_init(struct table *t)
{
	map_init(&t->map);
	link_init(&t->ages);
}

static void *table_get(struct table *t, const char *key)
{
	struct node *n = map_get(&t->map, key);

	if (n) {
		link_move(&t->ages, &n->age);
	}
	return n;
}

static void *table_add(struct table *t, const char *key, size_t size)
{
	struct node *n = xcalloc(1, size);

	n->key = xstrdup(key);
	link_init(&n->age);
	link_append(&t->ages, &n->age);
	map_put(&t->map, n->key, n);
	return n;
}

static void table_drop(struct table *t, struct node *n)
{
	map_del(&t->map, n->key);
	link_remove(&n->age);
	free(n->key);
	free(n);
}

/* For groups and buckets, which own nothing else. */
static void *table_want(struct table *t, const char *key, size_t size, size_t max)
{
	void *n = table_get(t, key);

	if (!n) {
		if (t->map.n >= max) {
			table_drop(t, container_of(t->ages.next, struct node, age));
		}
		n = table_add(t, key, size);
	}
	return n;
}

static void table_finish(struct table *t)
{
	link_each(l, &t->ages)
	{
		table_drop(t, container_of(l, struct node, age));
	}
	map_finish(&t->map);
}

struct event_book *event_book_create(const char *controller, const char *instance, size_t max)
{
	struct event_book *b = xcalloc(1, sizeof(*b));

	b->controller = xstrdup(controller);
	b->instance = xstrndup(instance, MIN(strlen(instance), (size_t)128));
	b->max = MAX(max, (size_t)1);
	table_init(&b->events);
	table_init(&b->groups);
	table_init(&b->buckets);
	link_init(&b->queue);
	b->next_sweep = INT64_MIN;
	buf_init(&b->key, 16 * KiB);
	return b;
}

static void dequeue(struct event_book *b, struct event *e)
{
	if (!link_empty(&e->queued)) {
		link_remove(&e->queued);
		b->n_queued--;
	}
}

static void event_free(struct event_book *b, struct event *e)
{
	dequeue(b, e);
	free(e->api_version);
	free(e->kind);
	free(e->regarding_ns);
	free(e->regarding_name);
	free(e->uid);
	free(e->ns);
	free(e->name);
	free(e->reason);
	free(e->note);
	table_drop(&b->events, &e->node);
}

struct event_book *event_book_destroy(struct event_book *b)
{
	if (b) {
		link_each(l, &b->events.ages)
		{
			event_free(b, container_of(l, struct event, node.age));
		}
		table_finish(&b->events);
		table_finish(&b->groups);
		table_finish(&b->buckets);
		buf_finish(&b->key);
		free(b->controller);
		free(b->instance);
		free(b);
	}
	return NULL;
}

static void enqueue(struct event_book *b, struct event *e)
{
	if (!link_empty(&e->queued) || e == b->flying || e->dead) {
		return;
	}
	if (b->n_queued >= EVENT_QUEUED_MAX) {
		b->counts.dropped++;
		event_free(b, e);
		return;
	}
	link_append(&b->queue, &e->queued);
	b->n_queued++;
}

/* Telling. */

/* One more for this object? */
static bool take_token(struct event_book *b, const char *object, int64_t now)
{
	bool known = table_get(&b->buckets, object);
	struct bucket *bucket = table_want(&b->buckets, object, sizeof(*bucket), b->max);
	double refill = known ? (double)(now - bucket->at) / EVENT_REFILL_MS : EVENT_BURST;

	bucket->tokens = MIN(bucket->tokens + refill, (double)EVENT_BURST);
	bucket->at = now;
	if (bucket->tokens < 1) {
		return false;
	}
	bucket->tokens -= 1;
	return true;
}

/* Has this object told too many different notes for one reason? */
static bool too_similar(struct event_book *b, const char *key, int64_t now)
{
	struct group *g = table_want(&b->groups, key, sizeof(*g), b->max);

	if (!g->notes || now - g->since > EVENT_SIMILAR_MS) {
		g->since = now;
		g->notes = 0;
	}
	return ++g->notes > EVENT_SIMILAR;
}

static const char *object_key(struct event_book *b, const struct event_about *about)
{
	buf_reset(&b->key);
	buf_printf(&b->key, "%s/%s/%s/%s/%s", about->kind->group, about->kind->kind,
		   about->ns ? about->ns : "", about->name, about->uid ? about->uid : "");
	return buf_text(&b->key);
}

/* A note of at most EVENT_NOTE_MAX bytes, whole characters. */
static char *clip(const char *prefix, const char *note)
{
	char *text = xprintf("%s%s", prefix, note);
	size_t n = strlen(text);

	if (n > EVENT_NOTE_MAX) {
		n = EVENT_NOTE_MAX;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80) {
			n--;
		}
		text[n] = '\0';
	}
	return text;
}

/*
 * "vm1.1865f2a3b4c5d6e7", as client-go names them: the object and a time, here with a serial
 * number.
 */
static char *name_of(struct event_book *b, const char *object, int64_t wall_ms)
{
	uint64_t stamp = (uint64_t)wall_ms * 1000000 + b->serial++ % 1000000;
	size_t n = strnlen(object, 230);

	while (n && strchr("-.", object[n - 1])) {
		n--; /* no part of a name may end so */
	}
	return xprintf("%.*s.%" PRIx64, (int)n, object, stamp);
}

static void begin(struct event_book *b, const char *key, const struct event_about *about,
		  int64_t wall_ms, struct event **ret)
{
	auto_buf struct buf version = {.max = KiB};
	struct event *e;

	if (b->events.map.n >= b->max) {
		struct event *oldest = container_of(b->events.ages.next, struct event, node.age);

		if (oldest == b->flying) {
			return;
		}
		event_free(b, oldest);
	}
	kind_api_version(about->kind, about->version, &version);
	e = table_add(&b->events, key, sizeof(*e));
	link_init(&e->queued);
	e->api_version = xstrdup(buf_text(&version));
	e->kind = xstrdup(about->kind->kind);
	e->regarding_ns = about->ns ? xstrdup(about->ns) : NULL;
	e->regarding_name = xstrdup(about->name);
	e->uid = about->uid ? xstrdup(about->uid) : NULL;
	/* Events about cluster-scoped objects live in "default". */
	e->ns = xstrdup(about->ns ? about->ns : "default");
	e->name = name_of(b, about->name, wall_ms);
	e->first_wall = wall_ms;
	*ret = e;
}

static void repeat(struct event_book *b, struct event *e, int64_t now, int64_t wall_ms)
{
	e->count++;
	e->last = now;
	e->last_wall = wall_ms;
	if (e->created && e->written == 1) {
		enqueue(b, e); /* a series begins */
	}
}

void event_tell(struct event_book *b, int64_t now, int64_t wall_ms, const struct event_about *about,
		bool warning, const char *reason, const char *note)
{
	auto_free char *object = xstrdup(object_key(b, about));
	auto_free char *group = xprintf("%s|%d|%s", object, warning, reason);
	auto_free char *text = clip("", note), *key = xprintf("%s|%s", group, text);
	struct event *e = table_get(&b->events, key);

	b->counts.told++;
	if (!e && too_similar(b, group, now)) {
		free(text);
		free(key);
		text = clip("(combined from similar events): ", note);
		key = xprintf("%s|*", group);
		e = table_get(&b->events, key);
	}
	if (e) {
		repeat(b, e, now, wall_ms);
		return;
	}
	if (take_token(b, object, now)) {
		begin(b, key, about, wall_ms, &e);
	}
	if (!e) {
		b->counts.dropped++;
		return;
	}
	e->warning = warning;
	e->reason = xstrndup(reason, MIN(strlen(reason), (size_t)128));
	e->note = take(text);
	e->count = 1;
	e->last = now;
	e->last_wall = wall_ms;
	enqueue(b, e);
}

/* Sending. */

static json_t *micro_time(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(clock_micro_time(wall_ms * 1000, text));
}

static json_t *series(const struct event *e)
{
	return json_pack("{s:i, s:o}", "count", (int)MIN(e->count, (unsigned)INT32_MAX),
			 "lastObservedTime", micro_time(e->last_wall));
}

static json_t *whole(const struct event_book *b, const struct event *e)
{
	json_t *regarding = json_pack("{s:s, s:s, s:s*, s:s, s:s*}", "apiVersion", e->api_version,
				      "kind", e->kind, "namespace", e->regarding_ns, "name",
				      e->regarding_name, "uid", e->uid);
	json_t *body = json_pack(
		"{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "apiVersion",
		"events.k8s.io/v1", "kind", "Event", "metadata", "name", e->name, "namespace",
		e->ns, "eventTime", micro_time(e->first_wall), "reportingController", b->controller,
		"reportingInstance", b->instance, "action", "Reconcile", "reason", e->reason,
		"regarding", regarding, "note", e->note, "type", e->warning ? "Warning" : "Normal");

	if (e->count > 1) {
		json_object_set_new(body, "series", series(e));
	}
	return body;
}

/* Series that are due, and what has been quiet: written once more, then forgotten. */
static void sweep(struct event_book *b, int64_t now)
{
	link_each(l, &b->events.ages)
	{
		struct event *e = container_of(l, struct event, node.age);
		bool quiet = now - e->last >= EVENT_IDLE_MS;
		bool unsaid = e->created && !e->dead && e->count > e->written;

		if (e == b->flying || !link_empty(&e->queued)) {
			continue;
		}
		if (unsaid && (quiet || now - e->sent >= EVENT_REFRESH_MS)) {
			enqueue(b, e);
		} else if (quiet) {
			event_free(b, e);
		}
	}
	b->next_sweep = now + SWEEP_MS;
}

/* The first that may go now; *wake: when the next one may. */
static struct event *first_ready(struct event_book *b, int64_t now, int64_t *wake)
{
	link_each(l, &b->queue)
	{
		struct event *e = container_of(l, struct event, queued);

		if (e->not_before <= now) {
			return e;
		}
		*wake = MIN(*wake, e->not_before);
	}
	return NULL;
}

bool event_next(struct event_book *b, int64_t now, struct event_write *ret, int64_t *ret_wake)
{
	struct event *e;

	*ret_wake = INT64_MAX;
	if (b->flying) {
		return false;
	}
	if (now >= b->next_sweep) {
		sweep(b, now);
	}
	e = first_ready(b, now, ret_wake);
	if (!e) {
		*ret_wake = b->events.map.n ? MIN(*ret_wake, b->next_sweep) : INT64_MAX;
		return false;
	}
	dequeue(b, e);
	b->flying = e;
	e->sending = e->count;
	*ret = (struct event_write){
		.patch = e->created,
		.ns = e->ns,
		.name = e->name,
		.body = e->created ? json_pack("{s:o}", "series", series(e)) : whole(b, e),
	};
	return true;
}

static void said(struct event_book *b, struct event *e, int64_t now)
{
	b->counts.sent++;
	e->created = true;
	e->written = e->sending;
	e->sent = now;
	e->tries = 0;
	if (e->written == 1 && e->count > 1) {
		enqueue(b, e); /* it repeated while it was on its way */
	}
}

static void try_again(struct event_book *b, struct event *e, int64_t not_before)
{
	if (++e->tries >= EVENT_TRIES) {
		e->dead = true;
		b->counts.dropped++;
		return;
	}
	e->not_before = not_before;
	enqueue(b, e);
}

void event_answered(struct event_book *b, int64_t now, int http_status)
{
	struct event *e = take(b->flying);

	if (!e) {
		return;
	}
	if ((http_status >= 200 && http_status < 300) || (http_status == 409 && !e->created)) {
		said(b, e, now); /* 409: an earlier try arrived after all */
	} else if (http_status == 404 && e->created) {
		e->created = false; /* Events live for an hour: this one is gone */
		try_again(b, e, now);
	} else if (http_status == 0 || http_status == 429 || http_status >= 500) {
		try_again(b, e, now + EVENT_RETRY_MS);
	} else {
		e->dead = true;
		b->counts.dropped++;
	}
}

const struct event_counts *event_counts(const struct event_book *b)
{
	return &b->counts;
}
