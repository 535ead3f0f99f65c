/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/hands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM_BYTES (4 * MiB) /* machine.h's bounds allow a quarter of it */
#define QUICK 2			/* programs in a row without a pause: one reads, one writes */

enum state {
	RESTING, /* nothing is wanted */
	WAITING, /* steps, not before `due` */
	RUNNING,
	STUCK,
};

struct hand {
	uint64_t unit;
	enum state state;
	uint64_t goal;
	struct steps steps; /* in the arena: of the program that waits, runs or hangs */
	struct arena arena;
	int64_t due;		  /* WAITING; else: of the next one */
	int64_t rested;		  /* since when nothing is wanted */
	int64_t programs, pauses; /* since it last lasted */
	char *why;		  /* the last program failed, NULL: it did not */
};

struct hands {
	struct hand **items;
	size_t n, size, running;
};

struct hands *hands_create(void)
{
	return xcalloc(1, sizeof(struct hands));
}

static void hand_finish(struct hand *d)
{
	arena_finish(&d->arena);
	free(take(d->why));
}

struct hands *hands_destroy(struct hands *h)
{
	for (size_t i = 0; h && i < h->n; i++) {
		hand_finish(h->items[i]);
		free(h->items[i]);
	}
	if (h) {
		free(h->items);
		free(h);
	}
	return NULL;
}

static struct hand *find(const struct hands *h, uint64_t unit)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->items[i]->unit == unit) {
			return h->items[i];
		}
	}
	return NULL;
}

static bool lasted(const struct hand *d, int64_t now)
{
	return d->state == RESTING && now - d->rested >= HANDS_LASTS_MS;
}

/* One that nobody needs any more, or a new one. */
static struct hand *room(struct hands *h, int64_t now)
{
	for (size_t i = 0; i < h->n; i++) {
		if (lasted(h->items[i], now)) {
			hand_finish(h->items[i]);
			return h->items[i];
		}
	}
	if (h->n == h->size) {
		h->size = h->size * 2 + 16;
		h->items = xrealloc(h->items, h->size * sizeof(*h->items));
	}
	return h->items[h->n++] = xcalloc(1, sizeof(struct hand));
}

static struct hand *make(struct hands *h, uint64_t unit, int64_t now)
{
	struct hand *d = room(h, now);

	*d = (struct hand){.unit = unit, .state = RESTING, .rested = now, .due = now};
	arena_init(&d->arena, PROGRAM_BYTES);
	return d;
}

static void begin_anew(struct hand *d, int64_t now)
{
	d->programs = d->pauses = 0;
	d->due = now;
	free(take(d->why));
}

static void rest(struct hand *d, int64_t now)
{
	if (d->state == WAITING) {
		d->rested = now;
	}
	d->state = RESTING;
	free(take(d->why));
}

void hands_want(struct hands *h, uint64_t unit, uint64_t goal, const struct steps *steps,
		int64_t now)
{
	struct hand *d = find(h, unit);

	if (!d && !steps->n) {
		return;
	}
	d = d ? d : make(h, unit, now);
	if (d->state == RUNNING || d->state == STUCK) {
		return; /* and planned again when that has ended */
	}
	if (!steps->n) {
		rest(d, now);
		return;
	}
	if (goal != d->goal || lasted(d, now)) {
		begin_anew(d, now);
	}
	d->goal = goal;
	d->state = WAITING;
	arena_reset(&d->arena);
	steps_copy(steps, &d->arena, &d->steps);
}

/* The one that has waited longest. */
static struct hand *next_of(const struct hands *h)
{
	struct hand *next = NULL;

	for (size_t i = 0; i < h->n && h->running < HANDS_AT_ONCE; i++) {
		struct hand *d = h->items[i];

		if (d->state == WAITING && (!next || d->due < next->due)) {
			next = d;
		}
	}
	return next;
}

bool hands_next(struct hands *h, int64_t now, struct work *ret)
{
	struct hand *d = next_of(h);

	if (!d || d->due > now) {
		return false;
	}
	d->state = RUNNING;
	d->programs++;
	h->running++;
	*ret = (struct work){
		.unit = d->unit,
		.goal = d->goal,
		.steps = &d->steps,
		.timeout_ms = steps_deadline_ms(&d->steps),
		.max_out = d->steps.n * STEPS_LINE_MAX,
	};
	return true;
}

int64_t hands_wake(const struct hands *h)
{
	const struct hand *d = next_of(h);

	return d ? d->due : INT64_MAX;
}

/* --- the end of a program ------------------------------------------------------------------ */

static void pause_after(struct hand *d, bool good, int64_t now)
{
	int64_t pause = HANDS_FIRST_PAUSE_MS;

	d->due = now;
	if (good && d->programs <= QUICK) {
		return;
	}
	for (int64_t i = 0; i < d->pauses && pause < HANDS_LAST_PAUSE_MS; i++) {
		pause *= 2;
	}
	d->pauses++;
	d->due += MIN(pause, (int64_t)HANDS_LAST_PAUSE_MS);
}

/* The step that was under way, in words. */
static const char *under_way(const struct hand *d, const struct steps_heard *heard, struct arena *a)
{
	return heard->done < d->steps.n ? step_words(&d->steps.items[heard->done], a) : "the end";
}

static const char *why_not(const struct hand *d, const struct process_result *r,
			   const struct steps_heard *heard, struct arena *a)
{
	int64_t s = steps_deadline_ms(&d->steps) / 1000;

	if (r->stuck) {
		return arena_printf(
			a,
			"\"%s\" hangs in the kernel: somebody has the device open, or its driver fails; nothing more is "
			"done with the unit until that ends; end who uses it (the kernel's log may name the process), "
			"or restart the node",
			under_way(d, heard, a));
	}
	if (heard->why) {
		return heard->why;
	}
	if (r->timed_out) {
		return arena_printf(a, "\"%s\": not done after %" PRId64 " s; it is tried again",
				    under_way(d, heard, a), s);
	}
	return arena_printf(a, "\"%s\": the helper process ended with %d: %s; it is tried again",
			    under_way(d, heard, a), r->status,
			    *r->message ? r->message : "it said nothing");
}

bool hands_done(struct hands *h, uint64_t unit, const struct process_result *result,
		const char *why, int64_t now, struct arena *a, struct steps_heard *heard)
{
	struct hand *d = find(h, unit);
	bool good;

	*heard = (struct steps_heard){0};
	if (!d || d->state != RUNNING) {
		return false;
	}
	if (result) {
		steps_hear(&d->steps, result->out, result->length, a, heard);
	}
	good = result && result->status == 0 && heard->done == d->steps.n;
	free(take(d->why));
	d->why = good ? NULL : xstrdup(result ? why_not(d, result, heard, a) : why);
	h->running--;
	d->state = result && result->stuck ? STUCK : RESTING;
	d->rested = now;
	pause_after(d, good, now);
	return good;
}

void hands_ended(struct hands *h, uint64_t unit, int64_t now)
{
	struct hand *d = find(h, unit);

	if (d && d->state == STUCK) {
		d->state = RESTING;
		d->rested = now;
		d->due = MAX(d->due, now);
		free(take(d->why));
	}
}

bool hands_busy(const struct hands *h, uint64_t unit)
{
	const struct hand *d = find(h, unit);

	return d && (d->state == RUNNING || d->state == STUCK);
}

bool hands_condition(const struct hands *h, uint64_t unit, struct arena *a, struct condition *ret)
{
	const struct hand *d = find(h, unit);
	bool stuck = d && d->state == STUCK;

	if (!d || !d->why) {
		return false;
	}
	*ret = (struct condition){
		.type = stuck ? "Stuck" : "Available",
		.status = stuck ? "True" : "False",
		.reason = stuck ? "HangsInKernel" : "Failed",
		.message = arena_strdup(a, d->why),
	};
	return true;
}
