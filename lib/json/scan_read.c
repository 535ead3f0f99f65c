/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of JSON, one pass, no recursion. Every read_ function stands at a byte that begins
 * its token and returns where the token ends, or NULL: then it is no token, or not a whole one yet
 * (fail or stop has been called).
 *
 * A container that no view has open costs its validation and nothing else: s->depth is above
 * s->declared there.
 */
#include "json/scan_impl.h"

#include <stdio.h>

#include "json/token.h"

/* --- stopping --------------------------------------------------------------------------------- */

static const char *stop(struct scan *s, const char *p)
{
	s->at = p;
	return NULL;
}

void scan_fail(struct scan *s, uint64_t offset, const char *why)
{
	s->failed = true;
	err_set(&s->why, "byte %llu: %s", (unsigned long long)offset, why);
}

static uint64_t offset_of(const struct scan *s, const char *p)
{
	return s->offset + (uint64_t)(p - s->from);
}

static const char *fail(struct scan *s, const char *p, const char *why)
{
	scan_fail(s, offset_of(s, p), why);
	return stop(s, p);
}

static const char *unexpected(struct scan *s, const char *p, const char *wanted)
{
	char text[96];
	unsigned char c = (unsigned char)*p;

	if (c > ' ' && c < 0x7f) {
		snprintf(text, sizeof(text), "expected %s, not '%c'", wanted, c);
	} else {
		snprintf(text, sizeof(text), "expected %s, not 0x%02x", wanted, c);
	}
	return fail(s, p, text);
}

static const char *too_large(struct scan *s, const char *p)
{
	return fail(s, p, "the object takes too much memory");
}

static const char *no_token(struct scan *s, const char *p, struct token t)
{
	if (t.why != token_cut) {
		return fail(s, t.at, t.why);
	}
	if (*p == '"') {
		s->resume = (size_t)(t.at - p);
	}
	return stop(s, p);
}

/* --- telling the views ------------------------------------------------------------------------ */

#define each_view(v, s)                                                                            \
	for (struct view *v = (s)->views, *end_##v = v + SCAN_VIEWS; v < end_##v; v++)             \
		if (v->depth == (s)->depth)

static void count_declared(struct scan *s)
{
	s->declared = MAX(s->views[SCAN_KIND].depth, s->views[SCAN_WIRE].depth);
}

static const char *tell_key(struct scan *s, const char *p, const char *next)
{
	each_view(v, s) {
		if (view_key(v, p + 1, (size_t)(next - p) - 2) < 0) {
			return too_large(s, p);
		}
	}
	return next;
}

static const char *tell_scalar(struct scan *s, enum view_value kind, const char *p,
			       const char *next)
{
	size_t quote = kind == VIEW_STRING;

	each_view(v, s) {
		if (view_scalar(v, kind, p + quote, (size_t)(next - p) - 2 * quote) < 0) {
			return too_large(s, p);
		}
	}
	return next;
}

static const char *tell_open(struct scan *s, const char *p, bool object)
{
	each_view(v, s) {
		if (view_open(v, object, p) < 0) {
			return too_large(s, p);
		}
	}
	count_declared(s);
	/* The kind's view of a list has the list, the array and now an element open. */
	if (s->shape == SCAN_LIST && s->depth == 2 && s->views[SCAN_KIND].depth == 3) {
		s->item_from = offset_of(s, p);
	}
	return p;
}

/* Has the item that is being read passed its limit at p? */
static bool item_too_long(struct scan *s, const char *p)
{
	uint64_t limit = s->item_from + SCAN_MAX_ITEM;

	if (s->item_from == UINT64_MAX || offset_of(s, p) <= limit) {
		return false;
	}
	scan_fail(s, limit, "the object is too long");
	return true;
}

/* p: behind the bracket. */
static const char *tell_close(struct scan *s, const char *p)
{
	bool element = false;

	each_view(v, s) {
		element |= view_close(v) > 0;
	}
	count_declared(s);
	if ((element || s->depth == 1) && item_too_long(s, p)) {
		return stop(s, p);
	}
	if (element) {
		s->item_from = UINT64_MAX;
		scan_deliver_element(s, view_element(&s->views[SCAN_KIND]));
	}
	return p;
}

/* --- tokens ----------------------------------------------------------------------------------- */

static inline bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline const char *skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p)) {
		p++;
	}
	return p;
}

static inline bool in_object(const struct scan *s)
{
	return s->objects[s->depth / 64] >> s->depth % 64 & 1;
}

static inline const char *read_string(struct scan *s, const char *p, const char *end)
{
	struct token t = token_string(p + s->resume, end);

	if (t.why) {
		return no_token(s, p, t);
	}
	s->resume = 1;
	if ((size_t)(t.at - p) > SCAN_MAX_TOKEN) {
		return fail(s, p + SCAN_MAX_TOKEN, "a token is too long");
	}
	return t.at;
}

static inline const char *read_key(struct scan *s, const char *p, const char *end)
{
	const char *next;

	if (*p != '"') {
		return unexpected(s, p, "a key");
	}
	next = read_string(s, p, end);
	if (!next) {
		return NULL;
	}
	s->state = SCAN_COLON;
	return s->depth == s->declared ? tell_key(s, p, next) : next;
}

static inline const char *read_string_value(struct scan *s, const char *p, const char *end)
{
	const char *next = read_string(s, p, end);

	if (!next) {
		return NULL;
	}
	s->state = SCAN_AFTER;
	return s->depth == s->declared ? tell_scalar(s, VIEW_STRING, p, next) : next;
}

static const char *read_scalar(struct scan *s, enum view_value kind, const char *p, const char *end)
{
	static const char *const words[] = {
		[VIEW_TRUE] = "true",
		[VIEW_FALSE] = "false",
		[VIEW_NULL] = "null",
	};
	struct token t =
		kind == VIEW_NUMBER ? token_number(p, end) : token_literal(p, end, words[kind]);

	if (t.why) {
		return no_token(s, p, t);
	}
	s->state = SCAN_AFTER;
	return s->depth == s->declared ? tell_scalar(s, kind, p, t.at) : t.at;
}

static inline void enter(struct scan *s, bool object)
{
	uint64_t *word = &s->objects[++s->depth / 64], bit = UINT64_C(1) << s->depth % 64;

	*word = object ? *word | bit : *word & ~bit;
	s->state = object ? SCAN_FIRST_KEY : SCAN_FIRST_VALUE;
}

static inline const char *read_open(struct scan *s, const char *p, bool object)
{
	if (s->depth == SCAN_MAX_DEPTH) {
		return fail(s, p, "nested too deeply");
	}
	if (s->depth == s->declared && !tell_open(s, p, object)) {
		return NULL;
	}
	enter(s, object);
	return p + 1;
}

/* p: behind the bracket that closed the document, or a container whose text is kept. */
static const char *closed_over(struct scan *s, const char *p)
{
	struct view *kind = &s->views[SCAN_KIND];

	if (kind->raw_from && kind->depth == s->depth && view_skipped(kind, p) < 0) {
		return too_large(s, p);
	}
	if (!s->depth) {
		s->state = SCAN_DOCUMENT;
		s->item_from = UINT64_MAX;
		scan_end_document(s);
	}
	return p;
}

static inline const char *read_close(struct scan *s, const char *p, bool object)
{
	if (in_object(s) != object) {
		return unexpected(s, p, object ? "a comma or ]" : "a comma or }");
	}
	p++;
	if (s->depth == s->declared && !tell_close(s, p)) {
		return NULL;
	}
	s->depth--;
	s->state = SCAN_AFTER;
	return s->depth <= s->declared ? closed_over(s, p) : p;
}

static inline const char *read_value(struct scan *s, const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return read_string_value(s, p, end);
	case '{':
		return read_open(s, p, true);
	case '[':
		return read_open(s, p, false);
	case ']':
		return s->state == SCAN_FIRST_VALUE ? read_close(s, p, false)
						    : unexpected(s, p, "a value");
	case 't':
		return read_scalar(s, VIEW_TRUE, p, end);
	case 'f':
		return read_scalar(s, VIEW_FALSE, p, end);
	case 'n':
		return read_scalar(s, VIEW_NULL, p, end);
	case '-':
	case '0' ... '9':
		return read_scalar(s, VIEW_NUMBER, p, end);
	default:
		return unexpected(s, p, "a value");
	}
}

static inline const char *read_after(struct scan *s, const char *p)
{
	switch (*p) {
	case ',':
		s->state = in_object(s) ? SCAN_KEY : SCAN_VALUE;
		return p + 1;
	case '}':
		return read_close(s, p, true);
	case ']':
		return read_close(s, p, false);
	default:
		return unexpected(s, p, in_object(s) ? "a comma or }" : "a comma or ]");
	}
}

static const char *read_document(struct scan *s, const char *p)
{
	if (s->documents && s->shape != SCAN_WATCH) {
		return unexpected(s, p, "nothing behind the document");
	}
	if (*p != '{') {
		return unexpected(s, p, "an object");
	}
	scan_begin_document(s);
	if (s->shape != SCAN_LIST) {
		s->item_from = offset_of(s, p);
	}
	enter(s, true);
	count_declared(s);
	return p + 1;
}

/* --- the grammar ------------------------------------------------------------------------------ */

/*
 * From a byte that is no space on. Usually a whole member follows without spaces, so each token
 * falls through to the next; where something is missing, the state says where to go on.
 */
static inline const char *step(struct scan *s, const char *p, const char *end)
{
	switch (s->state) {
	case SCAN_DOCUMENT:
		return read_document(s, p);
	case SCAN_FIRST_KEY:
		if (*p == '}') {
			return read_close(s, p, true);
		}
		__attribute__((fallthrough));
	case SCAN_KEY:
		p = read_key(s, p, end);
		if (!p || p == end || *p != ':') {
			return p;
		}
		__attribute__((fallthrough));
	case SCAN_COLON:
		if (*p != ':') {
			return unexpected(s, p, "a colon");
		}
		s->state = SCAN_VALUE;
		if (++p == end || is_space(*p)) {
			return p;
		}
		__attribute__((fallthrough));
	case SCAN_FIRST_VALUE:
	case SCAN_VALUE:
		p = read_value(s, p, end);
		if (!p || p == end || s->state != SCAN_AFTER || is_space(*p)) {
			return p;
		}
		__attribute__((fallthrough));
	case SCAN_AFTER:
		return read_after(s, p);
	}
	return NULL;
}

const char *scan_run(struct scan *s, const char *p, const char *end)
{
	s->from = p;
	view_bytes_begin(&s->views[SCAN_KIND], p);
	while ((p = skip_space(p, end)) < end) {
		const char *next = step(s, p, end);

		if (!next) {
			p = s->at;
			break;
		}
		p = next;
	}
	if (!s->failed && !item_too_long(s, p) && view_bytes_end(&s->views[SCAN_KIND], p) < 0) {
		too_large(s, p);
	}
	s->offset = offset_of(s, p);
	s->from = p;
	return p;
}
