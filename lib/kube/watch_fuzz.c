/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch_fuzz.c: bytes as the life of a watch: steps of one byte each (an answer's status, time that
 * passes, an end, a break) and the body's bytes between them. Two machines live through the same,
 * the second with every body cut into pieces of up to seven bytes: they want the same requests at
 * the same times and know the same objects; unless a machine had seen enough of an answer, for the
 * whole one had then read on to its piece's end.
 */
#include <stdlib.h>
#include <string.h>

#include "kube/watch_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

#define MAX_STEPS 64
#define STEP 0xff /* in no UTF-8: what follows it is a step, what does not is body */

struct life {
	struct cache *cache;
	struct watch *watch;
	int64_t now;
	size_t piece;
	bool open;
	bool noticed; /* ended by the machine for what it saw, not for broken JSON */
	char *wanted; /* the last request's query */
	uint64_t opened;
};

static void life_begin(struct life *l, size_t piece)
{
	*l = (struct life){.cache = cache_create(kinds), .now = 1000000, .piece = piece};
	cache_set_served(l->cache, &thing, "v1");
	l->watch = watch_create(l->cache, &thing, NULL, roll, NULL);
}

static void life_end(struct life *l)
{
	watch_destroy(l->watch);
	cache_destroy(l->cache);
	free(l->wanted);
}

static void close_it(struct life *l, bool broken)
{
	if (l->open) {
		l->open = false;
		watch_closed(l->watch, l->now, broken, broken ? "the network" : NULL);
	}
}

/* Time goes on to where it wants something; what it wants is opened. */
static void open_it(struct life *l)
{
	struct watch_request r;
	int64_t at = l->now;

	for (int i = 0; !l->open && i < 3; i++) {
		if (watch_wants(l->watch, l->now, &r, &at)) {
			free(l->wanted);
			l->wanted = xstrdup(r.query);
			watch_opened(l->watch, l->now);
			l->open = true;
			l->opened++;
		} else if (at != INT64_MAX) {
			check(at >= l->now);
			l->now = at;
		}
	}
}

static void body(struct life *l, const uint8_t *bytes, size_t n)
{
	struct err why = {""};

	for (size_t at = 0, some; l->open && at < n; at += some) {
		some = l->piece ? MIN(n - at, 1 + at % l->piece) : n;
		auto_free char *copy = xmalloc(some);

		memcpy(copy, bytes + at, some);
		if (watch_bytes(l->watch, l->now, copy, some, &why) < 0) {
			l->noticed |= !str_starts(why.text, "byte ");
			close_it(l, true);
		}
	}
}

static void step(struct life *l, uint8_t what)
{
	static const int statuses[] = {200, 200, 410, 404, 429, 500, 400, 401};

	switch (what >> 5) {
	case 0:
		close_it(l, false);
		break;
	case 1:
		close_it(l, true);
		break;
	case 2:
		l->now += INT64_C(1) << (what & 31 & 20);
		break;
	case 3:
		watch_hurry(l->watch, l->now);
		break;
	default:
		if (l->open) {
			watch_status(l->watch, l->now, statuses[what & 7],
				     what & 8 ? what & 16 : -1);
		}
	}
}

static void check_same(const struct life *a, const struct life *b)
{
	const struct obj *o = NULL;

	check(a->now == b->now && a->opened == b->opened && str_eq(a->wanted, b->wanted));
	check(a->open == b->open);
	check(str_eq(watch_position(a->watch), watch_position(b->watch)));
	check(watch_synced(a->watch) == watch_synced(b->watch));
	check(cache_count(a->cache, &thing) == cache_count(b->cache, &thing));
	check(watch_counts(a->watch)->events == watch_counts(b->watch)->events);
	while ((o = cache_next(a->cache, &thing, o))) {
		const struct obj *p = cache_get(b->cache, &thing, o->ns, o->name);

		check(p && str_eq(o->rv, p->rv) && type_equal(&thing_type, o, p));
	}
}

static void live(struct life *l, const uint8_t *data, size_t size)
{
	for (size_t steps = 0; size && steps < MAX_STEPS; steps++) {
		const uint8_t *mark = memchr(data, STEP, size);
		size_t n = mark ? (size_t)(mark - data) : size;

		open_it(l);
		body(l, data, n);
		data += n, size -= n;
		if (size >= 2) {
			step(l, data[1]);
			data += 2, size -= 2;
		} else {
			size = 0;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct life whole, cut;

	life_begin(&whole, 0);
	life_begin(&cut, 7);
	live(&whole, data, size);
	live(&cut, data, size);
	if (!whole.noticed && !cut.noticed) {
		check_same(&whole, &cut);
	}
	life_end(&whole);
	life_end(&cut);
	return 0;
}
