/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type.h: the field table is the type.
 *
 * A kind of the API is a plain C struct plus one const table that says which JSON key goes into
 * which member. The same table decodes (scan.h), packs for the cache, compares, writes JSON, and is
 * held against the CRD by a test (api/crd_test.c), so that struct, wire and published schema cannot
 * drift.
 *
 * Absent, null and a value of another JSON type are all "unset", which is the zero of the member:
 *	TYPE_STR	const char *	NULL
 *	TYPE_BOOL	tri		TRI_UNSET
 *	TYPE_INT	int64_t		0 (for fields where 0 and absent mean the same)
 *	TYPE_OPT_INT	struct opt_int	.set == false
 *	TYPE_SCALAR	const char *	a string, or the literal text of a number or boolean:
 *					int-or-string, quantities
 *	TYPE_OBJ	const struct x *  NULL; .sub is the table of struct x
 *	TYPE_INLINE	(none)		an object whose fields lie in this same struct; .sub has
 *					them, with this struct's offsets
 *	TYPE_OBJS	LIST(struct x)	.n == 0; an array of objects; anything else in it is an
 *					object with nothing set
 *	TYPE_DICT	LIST(struct x)	an object of objects, ordered as received; the first member
 *					of struct x is `const char *key`
 *	TYPE_STRS	LIST(const char *)  an array of strings; anything else in it is left out
 *	TYPE_INTS	LIST(int64_t)	the same of integers
 *	TYPE_MAP	LIST(struct pair)  an object of strings (labels); other values are left out
 *	TYPE_RAW	const char *	the value's JSON text as received: kept, decoded when needed
 *	TYPE_HASH	uint64_t	type_hash of the value's JSON text, 0 when absent
 *
 * An integer is a JSON number without fraction and exponent; beyond int64 it saturates. A key that
 * occurs twice: the last one wins whole, in the place of the first (what encoding/json and jansson
 * do). A string's \u0000 becomes U+FFFD, since a C string that ended there would let "admin\u0000x"
 * pass for "admin".
 *
 * Rows of one key must all be TYPE_INLINE; they are read together, so a kind may add to the
 * metadata that all kinds share. A member without a row is zero in whatever the table makes.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/intern.h"

/* Three-valued: unset is zero, so that an empty struct is an empty object. */
typedef signed char tri;
#define TRI_UNSET 0
#define TRI_TRUE 1
#define TRI_FALSE (-1)
static inline bool tri_or(tri t, bool otherwise)
{
	return t == TRI_UNSET ? otherwise : t == TRI_TRUE;
}

struct opt_int {
	int64_t value;
	bool set;
};
static inline int64_t opt_int_or(struct opt_int i, int64_t otherwise)
{
	return i.set ? i.value : otherwise;
}

struct pair {
	const char *key, *value;
};

/* The layout that every LIST has, for code that knows only the table. */
#define LIST(type)                                                                                 \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t n;                                                                          \
	}
/* The same as a named type, where two structs share it: LIST_OF(gpu_list, struct gpu); */
#define LIST_OF(name, type)                                                                        \
	struct name {                                                                              \
		type *items;                                                                       \
		size_t n;                                                                          \
	}
struct list {
	void *items;
	size_t n;
};
#define list_each(item, list)                                                                      \
	for (__typeof__(*(list)->items) *item = (list)->items, *end_##item = item + (list)->n;     \
	     item < end_##item; item++)

enum type_kind {
	TYPE_STR = 1,
	TYPE_BOOL,
	TYPE_INT,
	TYPE_OPT_INT,
	TYPE_SCALAR,
	TYPE_OBJ,
	TYPE_INLINE,
	TYPE_OBJS,
	TYPE_DICT,
	TYPE_STRS,
	TYPE_INTS,
	TYPE_MAP,
	TYPE_RAW,
	TYPE_HASH,
};

enum {
	TYPE_INTERN = 1,    /* the strings of this field repeat among objects: packed as interned */
	TYPE_TRANSIENT = 2, /* decoded for type.finish; not packed, compared or written */
	TYPE_KEEP_ZERO = 4, /* written even when unset, as 0, "", false, [] or {} */
	TYPE_DERIVED = 8,   /* filled by type.finish: packed and compared; not decoded or written */
	TYPE_SILENT = 16,   /* not compared: a change of it alone is none (resourceVersion) */
};

struct field {
	const char *key;
	uint16_t offset;
	uint8_t kind, flags;
	uint16_t len;		/* of key */
	const struct type *sub; /* TYPE_OBJ, INLINE, OBJS, DICT */
};

struct type {
	size_t size;
	const struct field *fields; /* ends with {0} */
	/* Called once a scratch object (nested ones too) is complete: reduces transient fields. */
	void (*finish)(void *object);
	bool open; /* the schema keeps what has no row: nothing is an unknown field there */
};

/* One row: FIELD(struct vm, instance_type, "instanceType", TYPE_STR, .flags = TYPE_INTERN) */
#define FIELD(struct_, member, key_, kind_, ...)                                                   \
	{                                                                                          \
		.key = (key_), .len = sizeof("" key_) - 1, .offset = offsetof(struct_, member),    \
		.kind = (kind_), ##__VA_ARGS__                                                     \
	}
#define FIELD_INLINE(key_, sub_)                                                                   \
	{                                                                                          \
		.key = (key_), .len = sizeof("" key_) - 1, .kind = TYPE_INLINE, .sub = (sub_)      \
	}

/* The first row of this key behind `after` (NULL: of all) that is on the wire, or NULL. */
const struct field *type_find(const struct type *t, const struct field *after, const char *key,
			      size_t len);
/* Makes the member of this row unset; that of an inline row, all of its fields. */
void type_clear(const struct field *f, void *object);
/* Of JSON text, never 0. Tells texts apart within one process; not for secrets, not for storage. */
uint64_t type_hash(const char *text, size_t n);

/* A copy in one block of memory, to be freed by type_free. in NULL: no string is interned. */
void *type_pack(const struct type *t, const void *object, struct intern *in);
void type_free(const struct type *t, void *packed, struct intern *in); /* NULL is fine */
/* Bytes of the block. */
size_t type_packed_size(const struct type *t, const void *object);

/* Equal in every field that is neither transient nor silent. Either may be packed or not. */
bool type_equal(const struct type *t, const void *a, const void *b);

/*
 * The object as JSON in the table's order, unset fields left out; "" and an object without fields
 * are set. TYPE_SCALAR becomes an integer or boolean where its text is one exactly, else a string.
 * A new reference.
 */
json_t *type_json(const struct type *t, const void *object);

/*
 * The text of a TYPE_RAW field as a tree, a new reference. NULL: there is none (text is NULL), or
 * jansson cannot hold it, though it is JSON (scan.h lets it through): it nests deeper than 2048, a
 * key has a \u0000, or a number is beyond int64 or double. A string may have a NUL: see type_text.
 */
json_t *type_raw(const char *text);
/* The string of such a tree, NULL: it is none, or has a NUL, at which a C string would end. */
const char *type_text(const json_t *value);

struct err;
/*
 * Reads a whole JSON tree into *ret (of t->size bytes, zeroed here), strings copied into the arena.
 * strict: a key that the table lacks, or a value of another type but null, is an error that names
 * its path:
 *	spec.gpus[1].count: expected an integer
 *	unknown field "spec.gpuz", did you mean "gpus"?
 * After an error *ret is partly filled.
 */
int type_read(const struct type *t, json_t *json, bool strict, struct arena *a, void *ret,
	      struct err *err);
/* The same from text, by the scanner (scan.h): for TYPE_RAW fields. Lenient; NULL: all is unset. */
int type_read_text(const struct type *t, const char *text, struct arena *a, void *ret,
		   struct err *err);
