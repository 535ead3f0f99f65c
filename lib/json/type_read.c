/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON tree into a struct. For single documents: what a user wrote, what a test gives. Streams go
 * through scan.c.
 */
#include "json/type.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "json/write.h"

/* Where in the tree we are; each level lies on the stack of the function that entered it. */
struct path {
	const struct path *up;
	const char *key; /* NULL: an element */
	size_t index;
};

struct reader {
	struct arena *arena;
	bool strict;
	struct err *err;
};

/* --- errors ----------------------------------------------------------------------------------- */

#define PATH_MAX_TEXT (16 * KiB)
#define PATH_MAX_KEY 320 /* longer than any annotation's */

static void key_text(const char *key, struct buf *out)
{
	size_t n = strnlen(key, PATH_MAX_KEY + 1);
	bool cut = n > PATH_MAX_KEY;

	while (cut && ((unsigned char)key[--n] & 0xc0) == 0x80) {
		/* not within a character */
	}
	buf_printf(out, "%s%.*s%s", out->len ? "." : "", (int)n, key, cut ? "..." : "");
}

static void path_text(const struct path *path, struct buf *out)
{
	if (!path) {
		return;
	}
	path_text(path->up, out);
	if (path->key) {
		key_text(path->key, out);
	} else {
		buf_printf(out, "[%zu]", path->index);
	}
}

/* "spec.gpus[1].count: expected an integer". Lenient reading goes on: the member stays unset. */
static int wrong_type(struct reader *r, const struct path *path, const char *wanted)
{
	attr_cleanup(buf_finish) struct buf text = {.max = PATH_MAX_TEXT};

	if (!r->strict) {
		return 0;
	}
	path_text(path, &text);
	return err_set(r->err, "%s%sexpected %s", buf_text(&text), text.len ? ": " : "", wanted);
}

/*
 * How many characters have to be changed, added, removed or swapped with their neighbour to turn a
 * into b (optimal string alignment). More than `limit` is not counted exactly.
 */
static size_t distance(const char *a, const char *b, size_t limit)
{
	size_t rows[3][64], n = strlen(a), m = strlen(b);

	if (m >= ARRAY_LEN(rows[0]) || (n > m ? n - m : m - n) > limit) {
		return limit + 1;
	}
	for (size_t k = 0; k <= m; k++) {
		rows[0][k] = k;
	}
	for (size_t i = 1; i <= n; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t k = 1; k <= m; k++) {
			row[k] = MIN(above[k - 1] + (a[i - 1] != b[k - 1]),
				     MIN(above[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) {
				row[k] = MIN(row[k], above2[k - 2] + 1);
			}
		}
	}
	return rows[n % 3][m];
}

/* The key that the writer may have meant: up to a third of it is wrong. */
static const char *near_key(const struct type *const *types, size_t n, const char *key)
{
	size_t best = MAX(strlen(key) / 3, (size_t)1) + 1;
	const char *near = NULL;

	for (size_t i = 0; i < n; i++) {
		for (const struct field *f = types[i]->fields; f->key; f++) {
			size_t d = f->flags & TYPE_DERIVED ? best : distance(key, f->key, best);

			if (d < best) {
				best = d;
				near = f->key;
			}
		}
	}
	return near;
}

static int unknown_key(struct reader *r, const struct path *path, const struct type *const *types,
		       size_t n)
{
	attr_cleanup(buf_finish) struct buf text = {.max = PATH_MAX_TEXT};
	const char *near = near_key(types, n, path->key);

	path_text(path, &text);
	if (near) {
		return err_set(r->err, "unknown field \"%s\", did you mean \"%s\"?",
			       buf_text(&text), near);
	}
	return err_set(r->err, "unknown field \"%s\"", buf_text(&text));
}

/* --- values ----------------------------------------------------------------------------------- */

static int read_object(struct reader *r, const struct type *const *types, size_t n, json_t *json,
		       void *object, const struct path *path);

static int read_struct(struct reader *r, const struct type *t, json_t *json, void *object,
		       const struct path *path)
{
	if (!json_is_object(json)) {
		return json_is_null(json) ? 0 : wrong_type(r, path, "an object");
	}
	if (read_object(r, &t, 1, json, object, path) < 0) {
		return -1;
	}
	if (t->finish) {
		t->finish(object);
	}
	return 0;
}

/* As the scanner does: a C string cannot hold U+0000. */
static const char *copy_string(struct reader *r, const char *s, size_t n)
{
	attr_cleanup(buf_finish) struct buf text = {.max = n * 3};

	if (!memchr(s, '\0', n)) {
		return arena_strndup(r->arena, s, n);
	}
	for (size_t i = 0; i < n; i++) {
		buf_add(&text, s[i] ? &s[i] : "\xef\xbf\xbd", s[i] ? 1 : 3);
	}
	return arena_strndup(r->arena, text.bytes, text.len);
}

static const char *string_of(struct reader *r, json_t *json)
{
	return copy_string(r, json_string_value(json), json_string_length(json));
}

static char *text_of(json_t *json)
{
	return json_text(json, JSON_COMPACT | JSON_ENCODE_ANY);
}

static int read_scalar(struct reader *r, json_t *json, const char **member, const struct path *path)
{
	if (json_is_string(json)) {
		*member = string_of(r, json);
	} else if (json_is_number(json) || json_is_boolean(json)) {
		auto_free char *text = text_of(json);

		*member = arena_strdup(r->arena, text);
	} else if (!json_is_null(json)) {
		return wrong_type(r, path, "a string, number or boolean");
	}
	return 0;
}

static int read_structs(struct reader *r, const struct field *f, json_t *json, struct list *list,
			const struct path *path)
{
	size_t i, n = json_array_size(json);
	json_t *element;

	if (!json_is_array(json)) {
		return wrong_type(r, path, "an array");
	}
	*list = (struct list){.items = arena_alloc(r->arena, n * f->sub->size), .n = n};
	json_array_foreach(json, i, element) {
		struct path here = {path, NULL, i};

		if (read_struct(r, f->sub, element, (char *)list->items + i * f->sub->size, &here) <
		    0) {
			return -1;
		}
	}
	return 0;
}

static int read_dict(struct reader *r, const struct field *f, json_t *json, struct list *list,
		     const struct path *path)
{
	char *one = arena_alloc(r->arena, json_object_size(json) * f->sub->size);
	const char *key;
	size_t len;
	json_t *element;

	if (!json_is_object(json)) {
		return wrong_type(r, path, "an object");
	}
	*list = (struct list){.items = one, .n = json_object_size(json)};
	json_object_keylen_foreach(json, key, len, element) {
		struct path here = {.up = path, .key = key};

		*(const char **)one = copy_string(r, key, len);
		if (read_struct(r, f->sub, element, one, &here) < 0) {
			return -1;
		}
		one += f->sub->size;
	}
	return 0;
}

static int read_strings(struct reader *r, json_t *json, struct list *list, const struct path *path)
{
	const char **items = arena_array(r->arena, const char *, json_array_size(json));
	size_t i;
	json_t *element;

	if (!json_is_array(json)) {
		return wrong_type(r, path, "an array");
	}
	*list = (struct list){.items = items};
	json_array_foreach(json, i, element) {
		struct path here = {path, NULL, i};

		if (json_is_string(element)) {
			items[list->n++] = string_of(r, element);
		} else if (!json_is_null(element) && wrong_type(r, &here, "a string") < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_integers(struct reader *r, json_t *json, struct list *list, const struct path *path)
{
	int64_t *items = arena_array(r->arena, int64_t, json_array_size(json));
	size_t i;
	json_t *element;

	if (!json_is_array(json)) {
		return wrong_type(r, path, "an array");
	}
	*list = (struct list){.items = items};
	json_array_foreach(json, i, element) {
		struct path here = {path, NULL, i};

		if (json_is_integer(element)) {
			items[list->n++] = json_integer_value(element);
		} else if (!json_is_null(element) && wrong_type(r, &here, "an integer") < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_pairs(struct reader *r, json_t *json, struct list *list, const struct path *path)
{
	struct pair *items = arena_array(r->arena, struct pair, json_object_size(json));
	const char *key;
	size_t len;
	json_t *element;

	if (!json_is_object(json)) {
		return wrong_type(r, path, "an object of strings");
	}
	*list = (struct list){.items = items};
	json_object_keylen_foreach(json, key, len, element) {
		struct path here = {.up = path, .key = key};

		if (json_is_string(element)) {
			items[list->n++] =
				(struct pair){copy_string(r, key, len), string_of(r, element)};
		} else if (!json_is_null(element) && wrong_type(r, &here, "a string") < 0) {
			return -1;
		}
	}
	return 0;
}

static int read_member(struct reader *r, json_t *json, const char **member, const struct path *path)
{
	if (!json_is_string(json)) {
		return wrong_type(r, path, "a string");
	}
	*member = string_of(r, json);
	return 0;
}

static int read_pointer(struct reader *r, const struct field *f, json_t *json, void **member,
			const struct path *path)
{
	if (!json_is_object(json)) {
		return wrong_type(r, path, "an object");
	}
	*member = arena_alloc(r->arena, f->sub->size);
	return read_struct(r, f->sub, json, *member, path);
}

static int read_integer(struct reader *r, const struct field *f, json_t *json, void *member,
			const struct path *path)
{
	int64_t i = json_integer_value(json);

	if (!json_is_integer(json)) {
		return wrong_type(r, path, "an integer");
	}
	if (f->kind == TYPE_INT) {
		*(int64_t *)member = i;
	} else {
		*(struct opt_int *)member = (struct opt_int){i, true};
	}
	return 0;
}

static void read_text(struct reader *r, const struct field *f, json_t *json, void *member)
{
	auto_free char *text = text_of(json);

	if (f->kind == TYPE_RAW) {
		*(const char **)member = arena_strdup(r->arena, text);
	} else {
		*(uint64_t *)member = type_hash(text, strlen(text));
	}
}

/* One row, not inline. */
static int read_value(struct reader *r, const struct field *f, json_t *json, char *object,
		      const struct path *path)
{
	void *member = object + f->offset;

	if (json_is_null(json)) {
		return 0;
	}
	switch ((enum type_kind)f->kind) {
	case TYPE_STR:
		return read_member(r, json, member, path);
	case TYPE_SCALAR:
		return read_scalar(r, json, member, path);
	case TYPE_BOOL:
		*(tri *)member = json_is_true(json)    ? TRI_TRUE
				 : json_is_false(json) ? TRI_FALSE
						       : TRI_UNSET;
		return json_is_boolean(json) ? 0 : wrong_type(r, path, "true or false");
	case TYPE_INT:
	case TYPE_OPT_INT:
		return read_integer(r, f, json, member, path);
	case TYPE_OBJ:
		return read_pointer(r, f, json, member, path);
	case TYPE_OBJS:
		return read_structs(r, f, json, member, path);
	case TYPE_DICT:
		return read_dict(r, f, json, member, path);
	case TYPE_STRS:
		return read_strings(r, json, member, path);
	case TYPE_INTS:
		return read_integers(r, json, member, path);
	case TYPE_MAP:
		return read_pairs(r, json, member, path);
	case TYPE_RAW:
	case TYPE_HASH:
		read_text(r, f, json, member);
		return 0;
	case TYPE_INLINE:
		break;
	}
	return 0;
}

/* --- objects ---------------------------------------------------------------------------------- */

#define MAX_INLINE 4

/* The inline rows of one key are read together: a key unknown to one may be known to another. */
static int read_inline(struct reader *r, const struct type *const *subs, size_t n, json_t *json,
		       void *object, const struct path *path)
{
	if (json_is_object(json)) {
		return read_object(r, subs, n, json, object, path);
	}
	return json_is_null(json) ? 0 : wrong_type(r, path, "an object");
}

static int read_key(struct reader *r, const struct type *const *types, size_t n, json_t *json,
		    void *object, const struct path *path)
{
	const struct type *subs[MAX_INLINE];
	size_t n_subs = 0;

	for (size_t i = 0; i < n; i++) {
		const struct field *f = NULL;

		while ((f = type_find(types[i], f, path->key, strlen(path->key)))) {
			if (f->kind != TYPE_INLINE) {
				return read_value(r, f, json, object, path);
			}
			if (n_subs < MAX_INLINE) {
				subs[n_subs++] = f->sub;
			}
		}
	}
	if (n_subs) {
		return read_inline(r, subs, n_subs, json, object, path);
	}
	return r->strict && !types[0]->open ? unknown_key(r, path, types, n) : 0;
}

static int read_object(struct reader *r, const struct type *const *types, size_t n, json_t *json,
		       void *object, const struct path *path)
{
	const char *key;
	json_t *value;

	json_object_foreach(json, key, value) {
		struct path here = {.up = path, .key = key};

		if (read_key(r, types, n, value, object, &here) < 0) {
			return -1;
		}
	}
	return 0;
}

int type_read(const struct type *t, json_t *json, bool strict, struct arena *a, void *ret,
	      struct err *err)
{
	struct reader r = {.arena = a, .strict = strict, .err = err};

	memset(ret, 0, t->size);
	return read_struct(&r, t, json, ret, NULL);
}
