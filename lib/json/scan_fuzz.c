/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner against jansson: both accept or both refuse, and both read the same values; and it
 * makes no difference to the scanner where the bytes are cut. The first byte chooses the shape, the
 * next three the cuts; the rest is the text.
 *
 * Where the two may differ, jansson says why: a number that fits no type of its own, U+0000 in a
 * key, nesting beyond 2048. But a byte 0 behind a number it silently drops (its lexer cannot give
 * one back).
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

#define MAX_SEEN 1024

struct seen {
	enum scan_event_type type;
	struct sample *object; /* packed */
	struct scan_status status;
	bool initial_end;
};

struct result {
	bool accepted;
	struct seen seen[MAX_SEEN];
	size_t n;
	struct scan_list list;
	struct scan_status status;
	struct err err;
	struct arena arena; /* what status and list say */
};

/* All but `seen`, of which nothing beyond n is looked at: 70 KB that need not be cleared. */
static void result_init(struct result *r, bool accepted)
{
	r->accepted = accepted;
	r->n = 0;
	r->list = (struct scan_list){0};
	r->status = (struct scan_status){0};
	r->err.text[0] = '\0';
	arena_init(&r->arena, 64 * MiB);
}

static void result_finish(struct result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		type_free(&sample_type, r->seen[i].object, NULL);
	}
	arena_finish(&r->arena);
}

static const char *keep(struct result *r, const char *s)
{
	return s ? arena_strdup(&r->arena, s) : NULL;
}

static struct scan_status keep_status(struct result *r, const struct scan_status *st)
{
	return (struct scan_status){
		.code = st->code,
		.retry_after = st->retry_after,
		.status = keep(r, st->status),
		.reason = keep(r, st->reason),
		.message = keep(r, st->message),
		.cause = keep(r, st->cause),
	};
}

static void add(struct result *r, struct seen one)
{
	if (r->n < MAX_SEEN) {
		r->seen[r->n++] = one;
	} else {
		type_free(&sample_type, one.object, NULL);
	}
}

/* --- ours ------------------------------------------------------------------------------------- */

static void note(void *ctx, const struct scan_event *e)
{
	add(ctx, (struct seen){
			 .type = e->type,
			 .object = type_pack(&sample_type, e->object, NULL),
			 .status = keep_status(ctx, &e->status),
			 .initial_end = e->initial_end,
		 });
}

/* seed 0: whole; else pieces of up to `longest` bytes as a generator says that starts there. */
static void scan(enum scan_shape shape, const char *text, size_t n, uint32_t seed, size_t longest,
		 struct result *r)
{
	struct scan *s = scan_create(&sample_type, shape, note, r);
	int failed = 0;

	result_init(r, false);
	for (size_t at = 0, piece; at < n && !failed; at += piece) {
		auto_free char *copy = NULL;

		seed = seed * 1664525 + 1013904223;
		piece = longest ? MIN(n - at, 1 + (seed >> 16) % longest) : n;
		copy = xmalloc(piece);
		memcpy(copy, text + at, piece);
		failed = scan_feed(s, copy, piece, &r->err);
	}
	if (!failed) {
		failed = scan_end(s, &r->err);
	}
	r->accepted = !failed;
	r->list.resource_version = keep(r, scan_list(s)->resource_version);
	r->list.cont = keep(r, scan_list(s)->cont);
	r->list.remaining = scan_list(s)->remaining;
	r->status = keep_status(r, scan_status(s));
	scan_destroy(s);
}

static bool same_status(const struct scan_status *a, const struct scan_status *b)
{
	return a->code == b->code && a->retry_after == b->retry_after &&
	       str_eq(a->status, b->status) && str_eq(a->reason, b->reason) &&
	       str_eq(a->message, b->message) && str_eq(a->cause, b->cause);
}

static void check_same(const struct result *a, const struct result *b)
{
	check(a->accepted == b->accepted);
	check(str_eq(a->err.text, b->err.text));
	check(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		check(a->seen[i].type == b->seen[i].type);
		check(a->seen[i].initial_end == b->seen[i].initial_end);
		check(same_status(&a->seen[i].status, &b->seen[i].status));
		check(type_equal(&sample_type, a->seen[i].object, b->seen[i].object));
		check(str_eq(a->seen[i].object->version, b->seen[i].object->version));
	}
	check(same_status(&a->status, &b->status));
	check(str_eq(a->list.resource_version, b->list.resource_version));
	check(str_eq(a->list.cont, b->list.cont));
	check(a->list.remaining == b->list.remaining);
}

/* --- theirs ----------------------------------------------------------------------------------- */

static int64_t integer_at(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The wire's own fields, as a table for the tree. */
struct wire {
	const char *kind, *status, *reason, *message, *version, *cont, *type, *end;
	LIST(struct pair) annotations;
};
#define T struct wire
static const struct field wire_annotations_fields[] = {
	FIELD(T, end, "k8s.io/initial-events-end", TYPE_STR), {0}};
static const struct type wire_annotations = {sizeof(T), wire_annotations_fields, NULL};
static const struct field wire_metadata_fields[] = {
	FIELD(T, version, "resourceVersion", TYPE_STR),
	FIELD(T, cont, "continue", TYPE_STR),
	FIELD_INLINE("annotations", &wire_annotations),
	{0},
};
static const struct type wire_metadata = {sizeof(T), wire_metadata_fields, NULL};
static const struct field wire_fields[] = {
	FIELD(T, kind, "kind", TYPE_STR),
	FIELD(T, status, "status", TYPE_STR),
	FIELD(T, reason, "reason", TYPE_STR),
	FIELD(T, message, "message", TYPE_STR),
	FIELD(T, type, "type", TYPE_STR),
	FIELD_INLINE("metadata", &wire_metadata),
	{0},
};
static const struct type wire_type = {sizeof(T), wire_fields, NULL};
#undef T

static struct wire read_wire(struct result *r, json_t *json)
{
	struct wire w;

	check(type_read(&wire_type, json, false, &r->arena, &w, NULL) == 0);
	return w;
}

static const char *first_cause(struct result *r, const json_t *causes)
{
	json_t *reason = json_object_get(json_array_get(causes, 0), "reason");
	struct wire w;
	json_t *as_kind;

	if (!json_is_string(reason)) {
		return NULL;
	}
	/* The way of every other string: U+0000 is replaced. */
	as_kind = json_pack("{s:O}", "kind", reason);
	w = read_wire(r, as_kind);
	json_decref(as_kind);
	return w.kind;
}

static struct scan_status status_of(struct result *r, json_t *json)
{
	struct wire w = read_wire(r, json);
	const json_t *details = json_object_get(json, "details");

	if (!str_eq(w.kind, "Status")) {
		return (struct scan_status){0};
	}
	return (struct scan_status){
		.code = integer_at(json, "code"),
		.retry_after = integer_at(details, "retryAfterSeconds"),
		.status = w.status,
		.reason = w.reason,
		.message = w.message,
		.cause = first_cause(r, json_object_get(details, "causes")),
	};
}

static void add_theirs(struct result *r, json_t *json, struct seen seen)
{
	struct sample object;
	struct arena a;

	arena_init(&a, 64 * MiB);
	check(type_read(&sample_type, json, false, &a, &object, NULL) == 0 ||
	      !json_is_object(json));
	seen.object = type_pack(&sample_type, &object, NULL);
	arena_finish(&a);
	add(r, seen);
}

static void their_list(struct result *r, json_t *json)
{
	struct wire w = read_wire(r, json);
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(json, "items"), i, item) {
		if (json_is_object(item)) {
			add_theirs(r, item, (struct seen){.type = SCAN_ITEM});
		}
	}
	r->list.resource_version = w.version;
	r->list.cont = w.cont;
	r->list.remaining = integer_at(json_object_get(json, "metadata"), "remainingItemCount");
}

static enum scan_event_type their_type(const char *type)
{
	return str_eq(type, "ADDED")	  ? SCAN_ADDED
	       : str_eq(type, "MODIFIED") ? SCAN_MODIFIED
	       : str_eq(type, "DELETED")  ? SCAN_DELETED
	       : str_eq(type, "BOOKMARK") ? SCAN_BOOKMARK
	       : str_eq(type, "ERROR")	  ? SCAN_ERROR
					  : SCAN_UNKNOWN;
}

static void their_event(struct result *r, json_t *json)
{
	struct wire event = read_wire(r, json);
	json_t *object = json_object_get(json, "object");
	struct wire w = json_is_object(object) ? read_wire(r, object) : (struct wire){0};

	add_theirs(r, object,
		   (struct seen){
			   .type = their_type(event.type),
			   .status = json_is_object(object) ? status_of(r, object)
							    : (struct scan_status){0},
			   .initial_end = str_eq(w.end, "true"),
		   });
}

static void their_document(struct result *r, enum scan_shape shape, json_t *json)
{
	if (shape == SCAN_WATCH) {
		their_event(r, json);
		return;
	}
	r->status = status_of(r, json);
	if (shape == SCAN_LIST) {
		their_list(r, json);
	} else if (!str_eq(read_wire(r, json).kind, "Status")) {
		add_theirs(r, json, (struct seen){.type = SCAN_ITEM});
	}
}

/* jansson may refuse, where we do not, what its own types cannot hold. */
static bool its_own_limit(const json_error_t *e)
{
	enum json_error_code code = json_error_code(e);

	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
	       code == json_error_stack_overflow;
}

static size_t skip_space(const char *text, size_t n, size_t at)
{
	while (at < n && memchr(" \t\r\n", text[at], 4)) {
		at++;
	}
	return at;
}

/*
 * False: jansson has no say. A second "items" replaces the first for jansson; a stream cannot take
 * back.
 */
static bool ask_jansson(enum scan_shape shape, const char *text, size_t n, struct result *r)
{
	size_t flags = JSON_ALLOW_NUL | (shape == SCAN_WATCH ? JSON_DISABLE_EOF_CHECK : 0) |
		       (shape == SCAN_LIST ? JSON_REJECT_DUPLICATES : 0);
	size_t at = 0;

	result_init(r, shape == SCAN_WATCH);
	while (shape != SCAN_WATCH || (at = skip_space(text, n, at)) < n) {
		json_error_t e;
		json_t *json = json_loadb(text + at, n - at, flags, &e);

		if (!json &&
		    (its_own_limit(&e) || json_error_code(&e) == json_error_duplicate_key)) {
			return false;
		}
		r->accepted = json_is_object(json);
		if (r->accepted) {
			their_document(r, shape, json);
			at += (size_t)e.position;
		}
		json_decref(json);
		if (!r->accepted || shape != SCAN_WATCH) {
			return true;
		}
	}
	return true;
}

/* --- where the texts of the same value differ ------------------------------------------------- */

/* Numbers as jansson prints them; null and everything else as it is. */
static char *canonical(const char *text, bool raw)
{
	json_t *json = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	char *out = json && (raw || json_is_number(json))
			    ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY)
			    : NULL;

	json_decref(json);
	return out ? out : text ? xstrdup(text) : NULL;
}

static struct sample *canonical_copy(const struct sample *object)
{
	struct sample s = *object;
	auto_free char *values = canonical(s.values, true), *size = canonical(s.size, false);

	s.values = values;
	s.size = size;
	s.fingerprint = !!s.fingerprint;
	return type_pack(&sample_type, &s, NULL);
}

static void make_canonical(struct result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct sample *object = r->seen[i].object;

		r->seen[i].object = canonical_copy(object);
		type_free(&sample_type, object, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 4;
	static struct result whole, cut, theirs;
	enum scan_shape shape;

	if (size < 4) {
		return 0;
	}
	shape = data[0] % 3;
	scan(shape, text, size - 4, 0, 0, &whole);
	scan(shape, text, size - 4, data[1] | (uint32_t)data[2] << 8, 1 + data[3] % 64, &cut);
	check_same(&whole, &cut);
	if (memchr(text, '\0', size - 4)) {
		check(!whole.accepted);
	} else if (ask_jansson(shape, text, size - 4, &theirs) &&
		   !strstr(whole.err.text, "1024 digits")) {
		check(whole.accepted == theirs.accepted);
		if (whole.accepted) {
			make_canonical(&whole);
			make_canonical(&theirs);
			check_same(&whole, &theirs);
		}
	}
	result_finish(&whole);
	result_finish(&cut);
	result_finish(&theirs);
	theirs.n = 0;
	return 0;
}
