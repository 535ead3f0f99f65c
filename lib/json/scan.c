/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar half of the scanner. A document is read in one pass, token by token; a token is whole or not there yet.
 *
 *	scan_feed	bytes in; keeps a token that the bytes cut in two (carry) until the rest has come
 *	run		tokens, while there are whole ones
 *	step		one member of an object, or one element: key, colon, value, comma, as far as they are there
 *	read_*		one token, and the state that follows it
 *
 * Two views (view.h) look at the tokens: what the kind declares, and what the wire itself says (a list's metadata, an
 * event's type, a Status). A container that neither has opened costs its validation and nothing else.
 */
#include "json/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/token.h"
#include "json/view.h"

enum state {
	DOCUMENT,	/* between documents, or behind the only one */
	FIRST_KEY,	/* behind { */
	KEY,		/* behind , in an object */
	COLON,
	FIRST_VALUE,	/* behind [ */
	VALUE,
	AFTER,		/* behind a value */
};

/* What the wire says besides the kind's own fields. The first three are in every answer, the others where they can be. */
struct wire {
	const char *kind;
	struct scan_status status;
	LIST(struct cause) causes;
	const char *event;	/* a watch event's type */
	const char *initial_end; /* its bookmark's annotation */
	struct scan_list list;
};

struct cause {
	const char *reason;
};

struct scan {
	/* Hot: touched for every token. */
	enum state state;
	unsigned depth;		/* containers open */
	unsigned declared;	/* of those, how many a view has open */
	const char *from;	/* where the bytes of this run begin, which are those */
	uint64_t offset;	/* from this offset of the stream on */
	size_t resume;		/* bytes of the string cut last that are known to be good */
	const char *at;		/* where the last token could not be read */
	uint64_t objects[(SCAN_MAX_DEPTH + 64) / 64]; /* a bit for each open container: 1 is an object, 0 an array */

	struct view kind, wire;
	enum scan_shape shape;
	const struct type *type;
	scan_sink *sink;
	void *ctx;
	struct arena item_arena, wire_arena;

	/* The kind's view begins at one of these, as the shape says. */
	struct field root_fields[2];
	struct type root_type;
	void *root;		/* the object of SCAN_OBJECT and SCAN_WATCH; unused by SCAN_LIST */
	void *into;		/* type_read_text: where the object goes, instead of into the arena */
	struct wire said;
	uint64_t documents;
	uint64_t item_from;	/* offset where the item began that is being read; UINT64_MAX: none */

	struct buf carry;
	bool failed;
	struct err why;
};

/* --- the wire's own fields ------------------------------------------------------------------------ */

#define T struct wire
static const struct field cause_fields[] = {FIELD(struct cause, reason, "reason", TYPE_STR), {0}};
static const struct type cause_type = {"cause", sizeof(struct cause), cause_fields, NULL};
static const struct field details_fields[] = {
	FIELD(T, status.retry_after, "retryAfterSeconds", TYPE_INT),
	FIELD(T, causes, "causes", TYPE_OBJS, .sub = &cause_type),
	{0},
};
static const struct type details_type = {"details", sizeof(T), details_fields, NULL};

#define STATUS_ROWS                                                  \
	FIELD(T, kind, "kind", TYPE_STR),                            \
	FIELD(T, status.status, "status", TYPE_STR),                 \
	FIELD(T, status.reason, "reason", TYPE_STR),                 \
	FIELD(T, status.message, "message", TYPE_STR),               \
	FIELD(T, status.code, "code", TYPE_INT),                     \
	FIELD_INLINE("details", &details_type)

static const struct field object_fields[] = {STATUS_ROWS, {0}};
static const struct type object_wire = {"answer", sizeof(T), object_fields, NULL};

static const struct field list_metadata_fields[] = {
	FIELD(T, list.resource_version, "resourceVersion", TYPE_STR),
	FIELD(T, list.cont, "continue", TYPE_STR),
	FIELD(T, list.remaining, "remainingItemCount", TYPE_INT),
	{0},
};
static const struct type list_metadata_type = {"metadata", sizeof(T), list_metadata_fields, NULL};
static const struct field list_fields[] = {STATUS_ROWS, FIELD_INLINE("metadata", &list_metadata_type), {0}};
static const struct type list_wire = {"list", sizeof(T), list_fields, NULL};

/* The end of the initial state, for a watch with sendInitialEvents (KEP-3157). */
static const struct field annotation_fields[] = {FIELD(T, initial_end, "k8s.io/initial-events-end", TYPE_STR), {0}};
static const struct type annotations_type = {"annotations", sizeof(T), annotation_fields, NULL};
static const struct field event_metadata_fields[] = {FIELD_INLINE("annotations", &annotations_type), {0}};
static const struct type event_metadata_type = {"metadata", sizeof(T), event_metadata_fields, NULL};
static const struct field event_object_fields[] = {STATUS_ROWS, FIELD_INLINE("metadata", &event_metadata_type), {0}};
static const struct type event_object_type = {"object", sizeof(T), event_object_fields, NULL};
static const struct field event_fields[] = {
	FIELD(T, event, "type", TYPE_STR),
	FIELD_INLINE("object", &event_object_type),
	{0},
};
static const struct type event_wire = {"event", sizeof(T), event_fields, NULL};
#undef T

/* --- stopping ------------------------------------------------------------------------------------- */

/* Both make read_* return NULL: no further token can be read from p on. */
static const char *stop(struct scan *s, const char *p)
{
	s->at = p;
	return NULL;
}

static const char *fail_at(struct scan *s, uint64_t offset, const char *why)
{
	s->failed = true;
	err_set(&s->why, "byte %llu: %s", (unsigned long long)offset, why);
	return stop(s, s->from);
}

static uint64_t offset_of(const struct scan *s, const char *p)
{
	return s->offset + (uint64_t)(p - s->from);
}

static const char *fail(struct scan *s, const char *p, const char *why)
{
	return fail_at(s, offset_of(s, p), why);
}

static const char *unexpected(struct scan *s, const char *p, const char *wanted)
{
	char text[96];
	unsigned char c = (unsigned char)*p;

	snprintf(text, sizeof(text), c > ' ' && c < 0x7f ? "expected %s, not '%c'" : "expected %s, not 0x%02x", wanted, c);
	return fail(s, p, text);
}

static const char *too_large(struct scan *s, const char *p)
{
	return fail(s, p, "the object takes too much memory");
}

/* --- objects out ---------------------------------------------------------------------------------- */

/* A big object's memory is given back, a usual one's is used again. */
static void reset_arena(struct arena *a)
{
	size_t max = a->max;

	if (a->used > MiB) {
		arena_finish(a);
		arena_init(a, max);
	} else {
		arena_reset(a);
	}
}

static enum scan_event_type event_type(const char *name)
{
	static const struct {
		const char *name;
		enum scan_event_type type;
	} types[] = {
		{"ADDED", SCAN_ADDED},	       {"MODIFIED", SCAN_MODIFIED}, {"DELETED", SCAN_DELETED},
		{"BOOKMARK", SCAN_BOOKMARK}, {"ERROR", SCAN_ERROR},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq(name, types[i].name)) {
			return types[i].type;
		}
	}
	return SCAN_UNKNOWN;
}

static bool is_status(const struct scan *s)
{
	return str_eq(s->said.kind, "Status");
}

/* Other kinds have fields called reason and message, too. */
static void settle_status(struct scan *s)
{
	struct wire *said = &s->said;

	if (!is_status(s)) {
		said->status = (struct scan_status){0};
	} else if (said->causes.n) {
		said->status.cause = said->causes.items[0].reason;
	}
}

static void deliver(struct scan *s, struct scan_event *event)
{
	if (s->sink) {
		s->sink(s->ctx, event);
	}
}

static void deliver_element(struct scan *s, void *object)
{
	deliver(s, &(struct scan_event){.type = SCAN_ITEM, .object = object});
	reset_arena(&s->item_arena);
}

static void deliver_event(struct scan *s)
{
	const struct wire *said = &s->said;
	struct scan_event event = {
		.type = event_type(said->event),
		.object = s->root,
		.status = said->status,
		.initial_end = str_eq(said->initial_end, "true"),
	};

	if (!event.object) {
		event.object = arena_alloc(&s->item_arena, s->type->size);
	}
	deliver(s, &event);
	s->said = (struct wire){0};
	reset_arena(&s->item_arena);
	reset_arena(&s->wire_arena);
}

static void begin_document(struct scan *s)
{
	static const struct type *const wire[] = {
		[SCAN_OBJECT] = &object_wire, [SCAN_LIST] = &list_wire, [SCAN_WATCH] = &event_wire,
	};

	s->said = (struct wire){0};
	view_begin(&s->wire, wire[s->shape], &s->said);
	if (s->shape == SCAN_OBJECT) {
		s->root = s->into ? s->into : arena_alloc(&s->item_arena, s->type->size);
		view_begin(&s->kind, s->type, s->root);
	} else {
		s->root = NULL;
		view_begin(&s->kind, &s->root_type, &s->root);
	}
	s->declared = 1;
}

static void end_document(struct scan *s)
{
	s->documents++;
	settle_status(s);
	if (s->shape == SCAN_WATCH) {
		deliver_event(s);
	} else if (s->shape == SCAN_OBJECT && !is_status(s)) {
		deliver(s, &(struct scan_event){.type = SCAN_ITEM, .object = s->root});
	}
}

/* --- tokens --------------------------------------------------------------------------------------- */

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

static const char *no_token(struct scan *s, const char *p, struct token t)
{
	if (t.why != token_cut) {
		return fail(s, t.at, t.why);
	}
	s->resume = *p == '"' ? (size_t)(t.at - p) : 0;
	return stop(s, p);
}

/* p: at the quote. Returns behind the string. */
static inline const char *read_string(struct scan *s, const char *p, const char *end)
{
	struct token t = token_string(p + (s->resume ? s->resume : 1), end);

	if (t.why) {
		return no_token(s, p, t);
	}
	s->resume = 0;
	if ((size_t)(t.at - p) > SCAN_MAX_TOKEN) {
		return fail(s, p + SCAN_MAX_TOKEN, "a token is too long");
	}
	return t.at;
}

/* What a view has open at this very level, it is told. */
static const char *tell_key(struct scan *s, const char *p, const char *next)
{
	size_t n = (size_t)(next - p) - 2;

	if (s->kind.depth == s->depth && view_key(&s->kind, p + 1, n) < 0) {
		return too_large(s, p);
	}
	if (s->wire.depth == s->depth && view_key(&s->wire, p + 1, n) < 0) {
		return too_large(s, p);
	}
	return next;
}

static const char *tell_scalar(struct scan *s, enum view_value kind, const char *p, const char *next)
{
	bool quoted = kind == VIEW_STRING;
	const char *text = p + quoted;
	size_t n = (size_t)(next - p) - (quoted ? 2 : 0);

	if (s->kind.depth == s->depth && view_scalar(&s->kind, kind, text, n) < 0) {
		return too_large(s, p);
	}
	if (s->wire.depth == s->depth && view_scalar(&s->wire, kind, text, n) < 0) {
		return too_large(s, p);
	}
	return next;
}

static inline const char *read_key(struct scan *s, const char *p, const char *end)
{
	const char *next;

	if (*p != '"') {
		return unexpected(s, p, "a key");
	}
	next = read_string(s, p, end);
	if (next) {
		s->state = COLON;
		return s->depth == s->declared ? tell_key(s, p, next) : next;
	}
	return NULL;
}

static inline const char *read_scalar(struct scan *s, enum view_value kind, const char *p, const char *end)
{
	struct token t = kind == VIEW_NUMBER ? token_number(p, end) :
			 kind == VIEW_TRUE   ? token_literal(p, end, "true") :
			 kind == VIEW_FALSE  ? token_literal(p, end, "false") :
					       token_literal(p, end, "null");

	if (t.why) {
		return no_token(s, p, t);
	}
	s->state = AFTER;
	return s->depth == s->declared ? tell_scalar(s, kind, p, t.at) : t.at;
}

static inline const char *read_string_value(struct scan *s, const char *p, const char *end)
{
	const char *next = read_string(s, p, end);

	if (!next) {
		return NULL;
	}
	s->state = AFTER;
	return s->depth == s->declared ? tell_scalar(s, VIEW_STRING, p, next) : next;
}

static const char *tell_open(struct scan *s, const char *p, bool object)
{
	if (s->kind.depth == s->depth && view_open(&s->kind, object, p) < 0) {
		return too_large(s, p);
	}
	if (s->wire.depth == s->depth && view_open(&s->wire, object, p) < 0) {
		return too_large(s, p);
	}
	s->declared = MAX(s->kind.depth, s->wire.depth);
	/* The kind's view of a list has the list, the array and now an element open. */
	if (s->shape == SCAN_LIST && s->depth == 2 && s->kind.depth == 3) {
		s->item_from = offset_of(s, p);
	}
	return p;
}

static inline void push(struct scan *s, bool object)
{
	uint64_t *word = &s->objects[++s->depth / 64], bit = UINT64_C(1) << s->depth % 64;

	*word = object ? *word | bit : *word & ~bit;
	s->state = object ? FIRST_KEY : FIRST_VALUE;
}

static inline const char *read_open(struct scan *s, const char *p, bool object)
{
	if (s->depth == SCAN_MAX_DEPTH) {
		return fail(s, p, "nested too deeply");
	}
	if (s->depth == s->declared && !tell_open(s, p, object)) {
		return NULL;
	}
	push(s, object);
	return p + 1;
}

static bool item_too_long(struct scan *s, const char *p)
{
	uint64_t limit = s->item_from + SCAN_MAX_ITEM;

	if (s->item_from == UINT64_MAX || offset_of(s, p) <= limit) {
		return false;
	}
	fail_at(s, limit, "the object is too long");
	return true;
}

/* p: behind the bracket. */
static const char *tell_close(struct scan *s, const char *p)
{
	bool element = s->kind.depth == s->depth && view_close(&s->kind);

	if (s->wire.depth == s->depth) {
		view_close(&s->wire);
	}
	s->declared = MAX(s->kind.depth, s->wire.depth);
	if ((element || s->depth == 1) && item_too_long(s, p)) {
		return NULL;
	}
	if (element) {
		s->item_from = UINT64_MAX;
		deliver_element(s, view_element(&s->kind));
	}
	return p;
}

static inline const char *read_close(struct scan *s, const char *p, bool object)
{
	if (in_object(s) != object) {
		return unexpected(s, p, object ? "a value or ]" : "a key or }");
	}
	p++;
	if (s->depth == s->declared && !tell_close(s, p)) {
		return NULL;
	}
	s->depth--;
	s->state = AFTER;
	if (s->kind.raw_from && s->kind.depth == s->depth && view_skipped(&s->kind, p) < 0) {
		return too_large(s, p);
	}
	if (!s->depth) {
		s->state = DOCUMENT;
		s->item_from = UINT64_MAX;
		end_document(s);
	}
	return p;
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
		return s->state == FIRST_VALUE ? read_close(s, p, false) : unexpected(s, p, "a value");
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
		s->state = in_object(s) ? KEY : VALUE;
		return p + 1;
	case '}':
		return read_close(s, p, true);
	case ']':
		return read_close(s, p, false);
	default:
		return unexpected(s, p, in_object(s) ? ", or }" : ", or ]");
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
	begin_document(s);
	if (s->shape != SCAN_LIST) {
		s->item_from = offset_of(s, p);
	}
	push(s, true);
	return p + 1;
}

/* --- the stream ------------------------------------------------------------------------------------- */

/*
 * p: at a byte that is no space. Usually a whole member follows without spaces, so each token falls through to the
 * next; where it does not, the state says where to go on.
 */
static inline const char *step(struct scan *s, const char *p, const char *end)
{
	switch (s->state) {
	case DOCUMENT:
		return read_document(s, p);
	case FIRST_KEY:
		if (*p == '}') {
			return read_close(s, p, true);
		}
		__attribute__((fallthrough));
	case KEY:
		p = read_key(s, p, end);
		if (!p || p == end || *p != ':') {
			return p;
		}
		__attribute__((fallthrough));
	case COLON:
		if (*p != ':') {
			return unexpected(s, p, "a colon");
		}
		s->state = VALUE;
		if (++p == end || is_space(*p)) {
			return p;
		}
		__attribute__((fallthrough));
	case FIRST_VALUE:
	case VALUE:
		p = read_value(s, p, end);
		if (!p || p == end || s->state != AFTER || is_space(*p)) {
			return p;
		}
		__attribute__((fallthrough));
	case AFTER:
		return read_after(s, p);
	}
	return NULL;
}

/* Reads the whole tokens of [p, end). Returns where the first one begins that is not whole. */
static const char *run(struct scan *s, const char *p, const char *end)
{
	s->from = p;
	view_bytes_begin(&s->kind, p);
	while ((p = skip_space(p, end)) < end) {
		const char *next = step(s, p, end);

		if (!next) {
			p = s->at;
			break;
		}
		p = next;
	}
	if (!s->failed && !item_too_long(s, p) && view_bytes_end(&s->kind, p) < 0) {
		too_large(s, p);
	}
	s->offset = offset_of(s, p);
	s->from = p;
	return p;
}

static void token_too_long(struct scan *s)
{
	fail_at(s, s->offset + SCAN_MAX_TOKEN, "a token is too long");
}

/* The bytes from `bytes` on complete the token in s->carry, or not. Returns how many of them were read. */
static size_t run_carry(struct scan *s, const char *bytes, size_t n)
{
	size_t had = s->carry.len, used;

	/* Twice as many each time: the token is copied once, whatever its length. */
	n = MIN(n, MAX(had, (size_t)64));
	n = MIN(n, s->carry.max - had);
	if (!n) {
		token_too_long(s);
		return 0;
	}
	buf_add(&s->carry, bytes, n);
	used = (size_t)(run(s, s->carry.bytes, s->carry.bytes + s->carry.len) - s->carry.bytes);
	if (used < had) {
		return n;
	}
	if (s->carry.size > 64 * KiB) {
		buf_finish(&s->carry);
	}
	buf_reset(&s->carry);
	return used - had;
}

static int refuse(const struct scan *s, struct err *err)
{
	return err_set(err, "%s", s->why.text);
}

int scan_feed(struct scan *s, const char *bytes, size_t n, struct err *err)
{
	while (n && !s->failed) {
		size_t used;

		if (s->carry.len) {
			used = run_carry(s, bytes, n);
		} else {
			used = (size_t)(run(s, bytes, bytes + n) - bytes);
			if (buf_add(&s->carry, bytes + used, n - used) < 0) {
				token_too_long(s);
			}
			used = n;
		}
		bytes += used;
		n -= used;
	}
	return s->failed ? refuse(s, err) : 0;
}

int scan_end(struct scan *s, struct err *err)
{
	if (!s->failed && (s->depth || s->carry.len)) {
		fail_at(s, s->offset + s->carry.len, "the document ends in its middle");
	} else if (!s->failed && !s->documents && s->shape != SCAN_WATCH) {
		fail_at(s, s->offset, "nothing came");
	}
	return s->failed ? refuse(s, err) : 0;
}

/* --- life ------------------------------------------------------------------------------------------- */

static void init(struct scan *s, const struct type *type, struct arena *a)
{
	*s = (struct scan){.type = type, .item_from = UINT64_MAX};
	view_init(&s->kind, a, SCAN_MAX_ITEM);
	view_init(&s->wire, &s->wire_arena, 0);
	arena_init(&s->item_arena, SCAN_MAX_MEMORY);
	arena_init(&s->wire_arena, SCAN_MAX_MEMORY);
	buf_init(&s->carry, SCAN_MAX_TOKEN);
}

static void finish(struct scan *s)
{
	view_finish(&s->kind);
	view_finish(&s->wire);
	arena_finish(&s->item_arena);
	arena_finish(&s->wire_arena);
	buf_finish(&s->carry);
}

static void set_shape(struct scan *s, enum scan_shape shape)
{
	s->shape = shape;
	s->root_fields[0] = shape == SCAN_LIST ?
				    (struct field){.key = "items", .len = 5, .kind = VIEW_STREAM, .sub = s->type} :
				    (struct field){.key = "object", .len = 6, .kind = TYPE_OBJ, .sub = s->type};
	s->root_type = (struct type){.fields = s->root_fields};
}

struct scan *scan_create(const struct type *type, enum scan_shape shape, scan_sink *sink, void *ctx)
{
	struct scan *s = xmalloc(sizeof(*s));

	init(s, type, &s->item_arena);
	s->sink = sink;
	s->ctx = ctx;
	set_shape(s, shape);
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
	struct scan old = *s;

	finish(s);
	init(s, old.type, &s->item_arena);
	s->sink = old.sink;
	s->ctx = old.ctx;
	set_shape(s, shape);
}

const struct scan_list *scan_list(const struct scan *s)
{
	return &s->said.list;
}

const struct scan_status *scan_status(const struct scan *s)
{
	static const struct scan_status none;

	return s->documents && s->shape != SCAN_WATCH ? &s->said.status : &none;
}

size_t scan_memory(const struct scan *s)
{
	return sizeof(*s) + s->carry.size + s->kind.raw.size + arena_held(&s->item_arena) + arena_held(&s->wire_arena);
}

/* One object, straight into the caller's struct and arena; without a sink, and the wire says nothing. */
int type_read_text(const struct type *t, const char *text, struct arena *a, void *ret, struct err *err)
{
	attr_cleanup(finish) struct scan s;
	int r;

	memset(ret, 0, t->size);
	init(&s, t, a);
	if (!text) {
		return 0;
	}
	s.into = ret;
	r = scan_feed(&s, text, strlen(text), err);
	return r < 0 ? r : scan_end(&s, err);
}
