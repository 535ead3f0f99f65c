/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block for a whole object: structs and arrays first, then the text. A run with no block only
 * counts, so what is counted and what is copied cannot differ.
 */
#include "json/type.h"

#include <stdlib.h>
#include <string.h>

#include "base/slab.h"

struct pack {
	char *block;	    /* NULL while counting */
	size_t fixed, text; /* bytes taken of either part; text counts from its own start */
	size_t text_at;	    /* where the text part begins */
	bool interning;
	struct intern *in; /* used while copying */
};

static void pack_fields(struct pack *p, const struct type *t, const char *from, char *to);

static const char *pack_text(struct pack *p, const char *s, bool interned)
{
	size_t n;
	char *to;

	if (!s) {
		return NULL;
	}
	n = strlen(s);
	if (interned && p->interning) {
		return p->block ? intern_get(p->in, s, n) : s;
	}
	to = p->block ? p->block + p->text_at + p->text : NULL;
	p->text += n + 1;
	return to ? memcpy(to, s, n + 1) : NULL;
}

/* Room for n zeroed things, or NULL while counting. */
static void *pack_room(struct pack *p, size_t n, size_t size)
{
	char *to = p->block ? p->block + p->fixed : NULL;

	p->fixed += (n * size + 7) & ~(size_t)7;
	return to;
}

static void pack_structs(struct pack *p, const struct field *f, const struct list *from,
			 struct list *to)
{
	char *items = pack_room(p, from->n, f->sub->size);

	*to = (struct list){.items = items, .n = from->n};
	for (size_t i = 0; i < from->n; i++) {
		const char *one = (const char *)from->items + i * f->sub->size;
		char *copy = items ? items + i * f->sub->size : NULL;

		pack_fields(p, f->sub, one, copy);
		if (f->kind == TYPE_DICT) {
			const char *key =
				pack_text(p, *(const char *const *)one, f->flags & TYPE_INTERN);

			if (copy) {
				*(const char **)copy = key;
			}
		}
	}
}

/* A list of n strings: TYPE_STRS, and TYPE_MAP with two a pair. */
static void pack_strings(struct pack *p, const struct field *f, const struct list *from,
			 struct list *to)
{
	size_t n = f->kind == TYPE_MAP ? from->n * 2 : from->n;
	const char *const *one = from->items;
	const char **items = pack_room(p, n, sizeof(*items));

	*to = (struct list){.items = items, .n = from->n};
	for (size_t i = 0; i < n; i++) {
		const char *copy = pack_text(p, one[i], f->flags & TYPE_INTERN);

		if (items) {
			items[i] = copy;
		}
	}
}

static void pack_object(struct pack *p, const struct field *f, const void *from, void **to)
{
	if (from) {
		*to = pack_room(p, 1, f->sub->size);
		pack_fields(p, f->sub, from, *to);
	}
}

static void pack_field(struct pack *p, const struct field *f, const char *from, char *to)
{
	const void *src = from + f->offset;
	/* While counting, members are written here and forgotten. */
	union {
		struct list list;
		struct opt_int opt;
	} nowhere;
	void *dst = to ? (void *)(to + f->offset) : (void *)&nowhere;

	switch ((enum type_kind)f->kind) {
	case TYPE_BOOL:
		*(tri *)dst = *(const tri *)src;
		break;
	case TYPE_INT:
	case TYPE_HASH:
		*(int64_t *)dst = *(const int64_t *)src;
		break;
	case TYPE_OPT_INT:
		*(struct opt_int *)dst = *(const struct opt_int *)src;
		break;
	case TYPE_STR:
	case TYPE_SCALAR:
	case TYPE_RAW:
		*(const char **)dst =
			pack_text(p, *(const char *const *)src, f->flags & TYPE_INTERN);
		break;
	case TYPE_OBJ:
		pack_object(p, f, *(const void *const *)src, dst);
		break;
	case TYPE_INLINE:
		pack_fields(p, f->sub, from, to);
		break;
	case TYPE_OBJS:
	case TYPE_DICT:
		pack_structs(p, f, src, dst);
		break;
	case TYPE_STRS:
	case TYPE_MAP:
		pack_strings(p, f, src, dst);
		break;
	case TYPE_INTS: {
		const struct list *list = src;
		void *items = pack_room(p, list->n, sizeof(int64_t));

		*(struct list *)dst = (struct list){.items = items, .n = list->n};
		if (items && list->n) {
			memcpy(items, list->items, list->n * sizeof(int64_t));
		}
		break;
	}
	}
}

static void pack_fields(struct pack *p, const struct type *t, const char *from, char *to)
{
	for (const struct field *f = t->fields; f->key; f++) {
		if (!(f->flags & TYPE_TRANSIENT)) {
			pack_field(p, f, from, to);
		}
	}
}

static struct pack count(const struct type *t, const void *object, bool interning)
{
	struct pack p = {.interning = interning};

	pack_room(&p, 1, t->size);
	pack_fields(&p, t, object, NULL);
	return p;
}

void *type_pack(const struct type *t, const void *object, struct intern *in)
{
	struct pack need = count(t, object, in);
	struct pack p = {.interning = in, .in = in, .text_at = need.fixed};

	p.block = memset(slab_alloc(need.fixed + need.text), 0, need.fixed);
	pack_fields(&p, t, object, pack_room(&p, 1, t->size));
	return p.block;
}

size_t type_packed_size(const struct type *t, const void *object)
{
	struct pack p = count(t, object, true);

	return p.fixed + p.text;
}

static void drop_fields(const struct type *t, const char *object, struct intern *in);

/* The same lists and strings as above, each string dropped that was interned. */
static void drop_field(const struct field *f, const char *object, struct intern *in)
{
	const void *member = object + f->offset;
	const struct list *list = member;
	bool interned = f->flags & TYPE_INTERN;

	switch ((enum type_kind)f->kind) {
	case TYPE_STR:
	case TYPE_SCALAR:
	case TYPE_RAW:
		intern_drop(in, interned ? *(const char *const *)member : NULL);
		break;
	case TYPE_OBJ:
		if (*(const void *const *)member) {
			drop_fields(f->sub, *(const void *const *)member, in);
		}
		break;
	case TYPE_INLINE:
		drop_fields(f->sub, object, in);
		break;
	case TYPE_OBJS:
	case TYPE_DICT:
		for (size_t i = 0; i < list->n; i++) {
			const char *one = (const char *)list->items + i * f->sub->size;

			drop_fields(f->sub, one, in);
			intern_drop(in, interned && f->kind == TYPE_DICT ? *(const char *const *)one
									 : NULL);
		}
		break;
	case TYPE_STRS:
	case TYPE_MAP:
		for (size_t i = 0; interned && i < list->n * (f->kind == TYPE_MAP ? 2 : 1); i++) {
			intern_drop(in, ((const char *const *)list->items)[i]);
		}
		break;
	case TYPE_BOOL:
	case TYPE_INT:
	case TYPE_OPT_INT:
	case TYPE_INTS:
	case TYPE_HASH:
		break;
	}
}

static void drop_fields(const struct type *t, const char *object, struct intern *in)
{
	for (const struct field *f = t->fields; f->key; f++) {
		if (!(f->flags & TYPE_TRANSIENT)) {
			drop_field(f, object, in);
		}
	}
}

void type_free(const struct type *t, void *packed, struct intern *in)
{
	if (packed && in) {
		drop_fields(t, packed, in);
	}
	slab_free(packed);
}

static bool equal_structs(const struct field *f, const struct list *a, const struct list *b)
{
	if (a->n != b->n) {
		return false;
	}
	for (size_t i = 0; i < a->n; i++) {
		const char *x = (const char *)a->items + i * f->sub->size;
		const char *y = (const char *)b->items + i * f->sub->size;

		if (f->kind == TYPE_DICT &&
		    !str_eq(*(const char *const *)x, *(const char *const *)y)) {
			return false;
		}
		if (!type_equal(f->sub, x, y)) {
			return false;
		}
	}
	return true;
}

/* Lists of strings; a map has two a pair. */
static bool equal_strings(const struct list *a, const struct list *b, size_t per_item)
{
	const char *const *x = a->items, *const *y = b->items;

	if (a->n != b->n) {
		return false;
	}
	for (size_t i = 0; i < a->n * per_item; i++) {
		if (!str_eq(x[i], y[i])) {
			return false;
		}
	}
	return true;
}

static bool equal_ints(const struct list *a, const struct list *b)
{
	return a->n == b->n && (!a->n || memcmp(a->items, b->items, a->n * sizeof(int64_t)) == 0);
}

static bool equal_objects(const struct type *t, const void *a, const void *b)
{
	return a == b || (a && b && type_equal(t, a, b));
}

static bool equal_field(const struct field *f, const char *a, const char *b)
{
	const void *x = a + f->offset, *y = b + f->offset;

	switch ((enum type_kind)f->kind) {
	case TYPE_BOOL:
		return *(const tri *)x == *(const tri *)y;
	case TYPE_INT:
	case TYPE_HASH:
		return *(const int64_t *)x == *(const int64_t *)y;
	case TYPE_OPT_INT: {
		const struct opt_int *m = x, *n = y;

		return m->set == n->set && (!m->set || m->value == n->value);
	}
	case TYPE_STR:
	case TYPE_SCALAR:
	case TYPE_RAW:
		return str_eq(*(const char *const *)x, *(const char *const *)y);
	case TYPE_OBJ:
		return equal_objects(f->sub, *(const void *const *)x, *(const void *const *)y);
	case TYPE_INLINE:
		return type_equal(f->sub, a, b);
	case TYPE_OBJS:
	case TYPE_DICT:
		return equal_structs(f, x, y);
	case TYPE_STRS:
		return equal_strings(x, y, 1);
	case TYPE_MAP:
		return equal_strings(x, y, 2);
	case TYPE_INTS:
		break;
	}
	return equal_ints(x, y);
}

bool type_equal(const struct type *t, const void *a, const void *b)
{
	for (const struct field *f = t->fields; f->key; f++) {
		if (!(f->flags & (TYPE_TRANSIENT | TYPE_SILENT)) && !equal_field(f, a, b)) {
			return false;
		}
	}
	return true;
}
