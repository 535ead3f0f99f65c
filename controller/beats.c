/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/beats.h"

#include <stdlib.h>
#include <string.h>

#include "api/vmgpu.h"
#include "base/map.h"

#define FORGET_MS (10 * 60 * 1000) /* a Lease that is deleted, after its node counts as silent */

struct beat {
	char *node, *renewed;
	uint64_t record; /* a fingerprint */
	int64_t changed, duration;
	bool beaten; /* we have seen a change of it */
	bool gone;
	enum beats_state state, told;
};

struct beats {
	struct map nodes; /* name -> struct beat */
};

struct beats *beats_create(void)
{
	struct beats *b = xcalloc(1, sizeof(*b));

	map_init(&b->nodes);
	return b;
}

static void forget(struct beats *b, struct beat *one)
{
	map_del(&b->nodes, one->node);
	free(one->node);
	free(one->renewed);
	free(one);
}

struct beats *beats_destroy(struct beats *b)
{
	if (b) {
		for (struct map_slot *s = NULL; (s = map_next(&b->nodes, s));) {
			forget(b, s->value);
		}
		map_finish(&b->nodes);
		free(b);
	}
	return NULL;
}

/* --- what is seen ----------------------------------------------------------------------------- */

/* Labels and owners are no sign of life: anybody may change them. */
static uint64_t fingerprint(const struct lease_record *r)
{
	const char *const texts[] = {r->holder, r->acquired, r->renewed};
	const int64_t numbers[] = {r->seconds, r->transitions};
	uint64_t h = HASH_SEED;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		h = hash_str(h, texts[i] ? texts[i] : "");
	}
	return hash_bytes(h, numbers, sizeof(numbers));
}

static int64_t duration_of(const struct lease_record *r)
{
	return r->seconds <= 0 ? BEATS_DEFAULT_MS : MIN(r->seconds, BEATS_MAX_MS / 1000) * 1000;
}

static struct beat *find(struct beats *b, const struct lease_record *r)
{
	return str_starts(r->obj.name, BEAT_PREFIX)
		       ? map_get(&b->nodes, r->obj.name + strlen(BEAT_PREFIX))
		       : NULL;
}

static struct beat *add(struct beats *b, const struct lease_record *r, int64_t now)
{
	struct beat *one = xcalloc(1, sizeof(*one));

	one->node = xstrdup(r->obj.name + strlen(BEAT_PREFIX));
	one->changed = now;
	map_put(&b->nodes, one->node, one);
	return one;
}

static void note(struct beat *one, const struct lease_record *r)
{
	one->record = fingerprint(r);
	one->duration = duration_of(r);
	one->gone = false;
	free(one->renewed);
	one->renewed = r->renewed ? xstrdup(r->renewed) : NULL;
}

bool beats_seen(struct beats *b, const struct lease_record *r, int64_t now)
{
	struct beat *one = find(b, r);

	if (!str_starts(r->obj.name, BEAT_PREFIX)) {
		return false;
	}
	if (!one) {
		note(add(b, r, now), r);
		return true;
	}
	if (one->record == fingerprint(r)) {
		one->gone = false;
		return false;
	}
	/* Whoever asks again does it when the longer of two durations would have ended, too late. */
	bool sooner = duration_of(r) < one->duration, was_alive = one->state == BEATS_ALIVE;

	note(one, r);
	one->changed = now;
	one->beaten = true;
	return sooner || !was_alive;
}

void beats_gone(struct beats *b, const struct lease_record *r)
{
	struct beat *one = find(b, r);

	if (one) {
		one->gone = true;
	}
}

/* --- what is made of it ----------------------------------------------------------------------- */

/* From when on it is silent, where nothing more is seen. */
static int64_t deadline(const struct beat *one, int64_t watching_since)
{
	return watching_since == INT64_MAX ? INT64_MAX
					   : MAX(one->changed, watching_since) + one->duration;
}

static enum beats_state judge(const struct beat *one, int64_t now, int64_t watching_since)
{
	if (deadline(one, watching_since) <= now) {
		return BEATS_SILENT;
	}
	/* What is not watched any more is what it was, as long as it could still be that. */
	return one->beaten && one->changed + one->duration > now ? BEATS_ALIVE : BEATS_UNKNOWN;
}

const char *beats_next(struct beats *b, int64_t now, int64_t watching_since, int64_t *ret_wake)
{
	*ret_wake = INT64_MAX;
	for (struct map_slot *s = NULL; (s = map_next(&b->nodes, s));) {
		struct beat *one = s->value;

		one->state = judge(one, now, watching_since);
		if (one->state != one->told) {
			one->told = one->state;
			*ret_wake = now;
			return one->node;
		}
		if (one->state != BEATS_SILENT) {
			*ret_wake = MIN(*ret_wake, deadline(one, watching_since));
		} else if (one->gone && now - one->changed >= one->duration + FORGET_MS) {
			forget(b, one);
		} else if (one->gone) {
			*ret_wake = MIN(*ret_wake, one->changed + one->duration + FORGET_MS);
		}
	}
	return NULL;
}

enum beats_state beats_of(const struct beats *b, const char *node, const char **ret_renewed)
{
	const struct beat *one = b ? map_get(&b->nodes, node) : NULL;

	*ret_renewed = one ? one->renewed : NULL;
	return one ? one->state : BEATS_UNKNOWN;
}
