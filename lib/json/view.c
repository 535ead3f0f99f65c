/* SPDX-License-Identifier: Apache-2.0 */
#include "json/view.h"

#include <string.h>

#include "base/map.h"
#include "json/token.h"

void view_init(struct view *v, struct arena *a, size_t max_raw)
{
	*v = (struct view){.arena = a};
	buf_init(&v->raw, max_raw);
}

void view_finish(struct view *v)
{
	buf_finish(&v->raw);
}

void view_begin(struct view *v, const struct type *t, void *object)
{
	v->frames[0] =
		(struct view_frame){.kind = TYPE_OBJ, .n_types = 1, .types = {t}, .at = object};
	v->depth = 1;
	v->raw_from = NULL;
}

static struct view_frame *top(struct view *v)
{
	return &v->frames[v->depth - 1];
}

/* --- memory ----------------------------------------------------------------------------------- */

static void *take_memory(struct view *v, size_t size)
{
	/* An arena rounds up; its own check would end the program. */
	if (v->arena->max - v->arena->used < size + 64) {
		return NULL;
	}
	return arena_alloc(v->arena, size);
}

static const char *take_text(struct view *v, const char *text, size_t n)
{
	char *s = take_memory(v, n + 1);

	return s ? memcpy(s, text, n) : NULL;
}

static const char *take_string(struct view *v, const char *text, size_t n)
{
	char *s;

	if (!n) {
		return "";
	}
	s = take_memory(v, n + 1);
	if (s) {
		token_unescape(s, text, n);
	}
	return s;
}

/* A zeroed element at the end of the list, which doubles when it is full. */
static void *add_element(struct view *v, struct view_frame *f, size_t size)
{
	struct list *list = f->at;

	if (list->n == f->room) {
		size_t room = MAX(f->room * 2, (size_t)4);
		void *items = take_memory(v, room * size);

		if (!items) {
			return NULL;
		}
		if (list->n) {
			memcpy(items, list->items, list->n * size);
		}
		list->items = items;
		f->room = room;
	}
	return (char *)list->items + list->n++ * size;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* Sets v->next to the row of this key, or to all of its inline rows; false when there is none. */
static bool find_row(struct view *v, const char *key, size_t n)
{
	struct view_frame *f = top(v);

	v->next.kind = 0;
	v->next.n_types = 0;
	for (unsigned i = 0; i < f->n_types; i++) {
		const struct field *row = NULL;

		while ((row = type_find(f->types[i], row, key, n))) {
			type_clear(row, f->at);
			v->next.kind = row->kind;
			v->next.types[v->next.n_types++] = row->sub;
			v->next.at = row->kind == TYPE_INLINE ? f->at : (char *)f->at + row->offset;
			if (row->kind != TYPE_INLINE || v->next.n_types == VIEW_MAX_INLINE) {
				return true;
			}
		}
	}
	return v->next.kind;
}

int view_key(struct view *v, const char *text, size_t n)
{
	struct view_frame *f = top(v);
	char *plain;

	if (f->kind == TYPE_MAP || f->kind == TYPE_DICT) {
		f->key = take_string(v, text, n);
		return f->key ? 0 : -1;
	}
	if (find_row(v, text, n) || !memchr(text, '\\', n)) {
		return 0;
	}
	plain = take_memory(v, n);
	if (!plain) {
		return -1;
	}
	find_row(v, plain, token_unescape(plain, text, n));
	return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

/* False when the number has a fraction or an exponent. Digits beyond int64 saturate. */
static bool integer(const char *text, size_t n, int64_t *ret)
{
	bool negative = *text == '-';
	uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX, value = 0;

	for (size_t i = negative; i < n; i++) {
		unsigned digit = (unsigned)(text[i] - '0');

		if (digit > 9) {
			return false;
		}
		value = value > (limit - digit) / 10 ? limit : value * 10 + digit;
	}
	*ret = (int64_t)(negative ? 0 - value : value);
	return true;
}

static int store_string(struct view *v, const char **member, const char *text, size_t n)
{
	*member = take_string(v, text, n);
	return *member ? 0 : -1;
}

static int store_text(struct view *v, const char **member, const char *text, size_t n)
{
	*member = take_text(v, text, n);
	return *member ? 0 : -1;
}

/* The value of a struct's member, which is unset so far. */
static int store(struct view *v, enum view_value kind, const char *text, size_t n)
{
	void *member = v->next.at;
	int64_t i;

	switch (v->next.kind) {
	case TYPE_STR:
		return kind == VIEW_STRING ? store_string(v, member, text, n) : 0;
	case TYPE_SCALAR:
		if (kind == VIEW_STRING) {
			return store_string(v, member, text, n);
		}
		return kind == VIEW_NULL ? 0 : store_text(v, member, text, n);
	case TYPE_BOOL:
		*(tri *)member = kind == VIEW_TRUE    ? TRI_TRUE
				 : kind == VIEW_FALSE ? TRI_FALSE
						      : TRI_UNSET;
		return 0;
	case TYPE_INT:
		if (kind == VIEW_NUMBER && integer(text, n, &i)) {
			*(int64_t *)member = i;
		}
		return 0;
	case TYPE_OPT_INT:
		if (kind == VIEW_NUMBER && integer(text, n, &i)) {
			*(struct opt_int *)member = (struct opt_int){i, true};
		}
		return 0;
	case TYPE_RAW:
		if (kind == VIEW_STRING) {
			return store_text(v, member, text - 1, n + 2);
		}
		return kind == VIEW_NULL ? 0 : store_text(v, member, text, n);
	case TYPE_HASH:
		if (kind != VIEW_NULL) {
			*(uint64_t *)member = kind == VIEW_STRING ? type_hash(text - 1, n + 2)
								  : type_hash(text, n);
		}
		return 0;
	default:
		return 0;
	}
}

/* A new element of a list of structs, whatever the value is. */
static void *add_struct(struct view *v, struct view_frame *f)
{
	void *element = add_element(v, f, f->types[0]->size);

	if (element && f->kind == TYPE_DICT) {
		*(const char **)element = f->key;
	}
	return element;
}

static int add_string(struct view *v, struct view_frame *f, const char *text, size_t n)
{
	const char **element = add_element(v, f, sizeof(*element));

	return element ? store_string(v, element, text, n) : -1;
}

/*
 * A value that is no string stays in the list as NULL until it is tidied: it replaces an earlier
 * one of its key.
 */
static int add_pair(struct view *v, struct view_frame *f, enum view_value kind, const char *text,
		    size_t n)
{
	struct pair *pair = add_element(v, f, sizeof(*pair));

	if (!pair) {
		return -1;
	}
	pair->key = f->key;
	return kind == VIEW_STRING ? store_string(v, &pair->value, text, n) : 0;
}

int view_scalar(struct view *v, enum view_value kind, const char *text, size_t n)
{
	struct view_frame *f = top(v);
	int64_t *element, i;

	switch (f->kind) {
	case TYPE_OBJ:
	case TYPE_INLINE:
		return store(v, kind, text, n);
	case TYPE_OBJS:
	case TYPE_DICT:
		return add_struct(v, f) ? 0 : -1;
	case TYPE_STRS:
		return kind == VIEW_STRING ? add_string(v, f, text, n) : 0;
	case TYPE_MAP:
		return add_pair(v, f, kind, text, n);
	case TYPE_INTS:
		if (kind != VIEW_NUMBER || !integer(text, n, &i)) {
			return 0;
		}
		element = add_element(v, f, sizeof(*element));
		if (!element) {
			return -1;
		}
		*element = i;
		return 0;
	default:
		return 0;
	}
}

/* --- containers ------------------------------------------------------------------------------- */

static int push(struct view *v, const struct view_frame *f)
{
	if (v->depth == VIEW_MAX_DEPTH) {
		return -1;
	}
	v->frames[v->depth++] = *f;
	return 0;
}

static int push_struct(struct view *v, const struct type *t, void *object)
{
	struct view_frame f = {.kind = TYPE_OBJ, .n_types = 1, .types = {t}, .at = object};

	return object ? push(v, &f) : -1;
}

/* The container is the value of a struct's member. */
static int open_member(struct view *v, bool object, const char *p)
{
	struct view_frame *next = &v->next;
	void *made;

	next->room = 0;
	switch (next->kind) {
	case TYPE_OBJ:
		if (!object) {
			return 0;
		}
		made = take_memory(v, next->types[0]->size);
		*(void **)next->at = made;
		return push_struct(v, next->types[0], made);
	case TYPE_INLINE:
	case TYPE_DICT:
	case TYPE_MAP:
		return object ? push(v, next) : 0;
	case TYPE_OBJS:
	case TYPE_STRS:
	case TYPE_INTS:
	case VIEW_STREAM:
		return object ? 0 : push(v, next);
	case TYPE_RAW:
	case TYPE_HASH:
		v->raw_from = p;
		buf_reset(&v->raw);
		return 0;
	default:
		return 0;
	}
}

int view_open(struct view *v, bool object, const char *p)
{
	struct view_frame *f = top(v);
	void *element;

	switch (f->kind) {
	case TYPE_OBJ:
	case TYPE_INLINE:
		return open_member(v, object, p);
	case TYPE_OBJS:
	case TYPE_DICT:
		element = add_struct(v, f);
		return object || !element ? push_struct(v, f->types[0], element) : 0;
	case VIEW_STREAM:
		return object ? push_struct(v, f->types[0], take_memory(v, f->types[0]->size)) : 0;
	case TYPE_MAP:
		return add_pair(v, f, VIEW_NULL, NULL, 0);
	default:
		return 0;
	}
}

/* The elements of a map or dict begin with their key. */
static const char *key_of(const struct list *list, size_t i, size_t size)
{
	return *(const char *const *)((const char *)list->items + i * size);
}

/*
 * Keys that occurred twice: the last value moves to the place of the first. encoding/json writes
 * maps sorted, so keys that only rise prove at little cost that none did.
 */
static void tidy_keys(struct list *list, size_t size)
{
	attr_cleanup(map_finish) struct map seen = {0};
	char *items = list->items;
	size_t kept = 0, i = 1;

	while (i < list->n && strcmp(key_of(list, i - 1, size), key_of(list, i, size)) < 0) {
		i++;
	}
	if (i >= list->n) {
		return;
	}
	for (i = 0; i < list->n; i++) {
		char *place = map_get(&seen, key_of(list, i, size));

		if (!place) {
			place = items + kept++ * size;
		}
		memmove(place, items + i * size, size);
		map_put(&seen, *(const char **)place, place);
	}
	list->n = kept;
}

/* Pairs whose value was no string. */
static void drop_unset_pairs(struct list *list)
{
	struct pair *pairs = list->items;
	size_t kept = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (pairs[i].value) {
			pairs[kept++] = pairs[i];
		}
	}
	list->n = kept;
}

int view_close(struct view *v)
{
	struct view_frame *f = top(v);

	v->depth--;
	switch (f->kind) {
	case TYPE_DICT:
		tidy_keys(f->at, f->types[0]->size);
		break;
	case TYPE_MAP:
		tidy_keys(f->at, sizeof(struct pair));
		drop_unset_pairs(f->at);
		break;
	case TYPE_OBJ:
		if (f->types[0]->finish) {
			f->types[0]->finish(f->at);
		}
		return v->depth && top(v)->kind == VIEW_STREAM;
	default:
		break;
	}
	return 0;
}

void *view_element(struct view *v)
{
	return v->frames[v->depth].at;
}

/* --- raw text --------------------------------------------------------------------------------- */

static int store_raw(struct view *v, const char *text, size_t n)
{
	if (v->next.kind == TYPE_RAW) {
		return store_text(v, v->next.at, text, n);
	}
	*(uint64_t *)v->next.at = type_hash(text, n);
	return 0;
}

int view_bytes_end(struct view *v, const char *p)
{
	return v->raw_from ? buf_add(&v->raw, v->raw_from, (size_t)(p - v->raw_from)) : 0;
}

/* Usually the whole value lies in the scanner's bytes still. */
int view_skipped(struct view *v, const char *p)
{
	const char *from = v->raw_from;
	int r;

	if (!from) {
		return 0;
	}
	if (!v->raw.len) {
		r = store_raw(v, from, (size_t)(p - from));
	} else {
		r = view_bytes_end(v, p) < 0 ? -1 : store_raw(v, v->raw.bytes, v->raw.len);
	}
	v->raw_from = NULL;
	buf_trim(&v->raw);
	return r;
}

void view_bytes_begin(struct view *v, const char *q)
{
	if (v->raw_from) {
		v->raw_from = q;
	}
}
