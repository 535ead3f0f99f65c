/* SPDX-License-Identifier: Apache-2.0 */
#include "json/scan_impl.h"

#include <stdlib.h>
#include <string.h>

/* --- the stream ------------------------------------------------------------------------------- */

static void token_too_long(struct scan *s)
{
	scan_fail(s, s->offset + SCAN_MAX_TOKEN, "a token is too long");
}

/*
 * Completes the token in s->carry from the first of these bytes, or as much of it as has come.
 * Returns how many were used. Each time as many are tried as there are already: a long token is
 * copied twice at most, and since s->resume remembers how far it was looked at, it is not read
 * again from its start either.
 */
static size_t feed_carry(struct scan *s, const char *bytes, size_t n)
{
	size_t had = s->carry.len, used;
	const char *rest;

	n = MIN(n, MAX(had, (size_t)64));
	n = MIN(n, s->carry.max - had);
	if (!n) {
		token_too_long(s);
		return 0;
	}
	buf_add(&s->carry, bytes, n);
	rest = scan_run(s, s->carry.bytes, s->carry.bytes + s->carry.len);
	used = (size_t)(rest - s->carry.bytes);
	if (used < had) {
		return n;
	}
	/* What else was tried may be cut again: those bytes are still in the caller's hands. */
	buf_trim(&s->carry);
	return used - had;
}

static size_t feed_bytes(struct scan *s, const char *bytes, size_t n)
{
	const char *rest = scan_run(s, bytes, bytes + n);

	if (!s->failed && buf_add(&s->carry, rest, (size_t)(bytes + n - rest)) < 0) {
		token_too_long(s);
	}
	return n;
}

static int answer(const struct scan *s, struct err *err)
{
	return s->failed ? err_set(err, "%s", s->why.text) : 0;
}

int scan_feed(struct scan *s, const char *bytes, size_t n, struct err *err)
{
	while (n && !s->failed) {
		size_t used = s->carry.len ? feed_carry(s, bytes, n) : feed_bytes(s, bytes, n);

		bytes += used;
		n -= used;
	}
	return answer(s, err);
}

int scan_end(struct scan *s, struct err *err)
{
	if (!s->failed && (s->depth || s->carry.len)) {
		scan_fail(s, s->offset + s->carry.len, "the document ends in its middle");
	} else if (!s->failed && !s->documents && s->shape != SCAN_WATCH) {
		scan_fail(s, s->offset, "nothing came");
	}
	return answer(s, err);
}

/* --- life ------------------------------------------------------------------------------------- */

static void init(struct scan *s, const struct type *type, enum scan_shape shape, struct arena *a)
{
	*s = (struct scan){.type = type, .item_from = UINT64_MAX, .resume = 1};
	view_init(&s->views[SCAN_KIND], a, SCAN_MAX_ITEM);
	view_init(&s->views[SCAN_WIRE], &s->wire_arena, 0);
	arena_init(&s->item_arena, SCAN_MAX_MEMORY);
	arena_init(&s->wire_arena, SCAN_MAX_TOKEN + MiB);
	buf_init(&s->carry, SCAN_MAX_TOKEN);
	scan_set_shape(s, shape);
}

static void finish(struct scan *s)
{
	view_finish(&s->views[SCAN_KIND]);
	view_finish(&s->views[SCAN_WIRE]);
	arena_finish(&s->item_arena);
	arena_finish(&s->wire_arena);
	buf_finish(&s->carry);
}

struct scan *scan_create(const struct type *type, enum scan_shape shape, scan_sink *sink, void *ctx)
{
	struct scan *s = xmalloc(sizeof(*s));

	init(s, type, shape, &s->item_arena);
	s->sink = sink;
	s->ctx = ctx;
	return s;
}

struct scan *scan_destroy(struct scan *s)
{
	if (s) {
		finish(s);
		free(s);
	}
	return NULL;
}

void scan_reset(struct scan *s, enum scan_shape shape)
{
	scan_sink *sink = s->sink;
	void *ctx = s->ctx;

	finish(s);
	init(s, s->type, shape, &s->item_arena);
	s->sink = sink;
	s->ctx = ctx;
}

const struct scan_list *scan_list(const struct scan *s)
{
	return &s->said.list;
}

const char *scan_kind(const struct scan *s)
{
	return s->documents && s->shape != SCAN_WATCH ? s->said.kind : NULL;
}

const struct scan_status *scan_status(const struct scan *s)
{
	static const struct scan_status none;

	return s->documents && s->shape != SCAN_WATCH ? &s->said.status : &none;
}

size_t scan_memory(const struct scan *s)
{
	return sizeof(*s) + s->carry.size + s->views[SCAN_KIND].raw.size +
	       arena_held(&s->item_arena) + arena_held(&s->wire_arena);
}

/* One object, made in the caller's struct and arena. */
int type_read_text(const struct type *t, const char *text, struct arena *a, void *ret,
		   struct err *err)
{
	attr_cleanup(finish) struct scan s;

	memset(ret, 0, t->size);
	init(&s, t, SCAN_OBJECT, a);
	s.into = ret;
	if (!text) {
		return 0;
	}
	return scan_feed(&s, text, strlen(text), err) < 0 ? -1 : scan_end(&s, err);
}
