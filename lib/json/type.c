/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all readers and writers of field tables share. The parts beside this file:
 *	type_pack.c	one block of memory for the cache, and back; equality
 *	type_json.c	out to JSON
 *	type_read.c	in from a JSON tree, strictly if wanted
 *	view.c		in from a stream of tokens, as the scanner does
 */
#include "json/type.h"

#include <string.h>

const struct field *type_find(const struct type *t, const struct field *after, const char *key,
			      size_t len)
{
	for (const struct field *f = after ? after + 1 : t->fields; f->key; f++) {
		if (f->len == len && memcmp(f->key, key, len) == 0 && !(f->flags & TYPE_DERIVED)) {
			return f;
		}
	}
	return NULL;
}

void type_clear(const struct field *f, void *object)
{
	void *member = (char *)object + f->offset;

	switch ((enum type_kind)f->kind) {
	case TYPE_BOOL:
		*(tri *)member = TRI_UNSET;
		break;
	case TYPE_INT:
	case TYPE_HASH:
		*(int64_t *)member = 0;
		break;
	case TYPE_OPT_INT:
		*(struct opt_int *)member = (struct opt_int){0};
		break;
	case TYPE_STR:
	case TYPE_SCALAR:
	case TYPE_RAW:
	case TYPE_OBJ:
		*(const void **)member = NULL;
		break;
	case TYPE_OBJS:
	case TYPE_DICT:
	case TYPE_STRS:
	case TYPE_INTS:
	case TYPE_MAP:
		*(struct list *)member = (struct list){0};
		break;
	case TYPE_INLINE:
		for (const struct field *sub = f->sub->fields; sub->key; sub++) {
			type_clear(sub, object);
		}
		break;
	}
}

static uint64_t mix(uint64_t h, const char *eight_bytes)
{
	uint64_t word;

	memcpy(&word, eight_bytes, sizeof(word));
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* Two sums side by side, eight bytes a step: a third of an object (managedFields) goes through. */
uint64_t type_hash(const char *text, size_t n)
{
	uint64_t a = n, b = ~a, h;
	char rest[16] = {0};

	for (; n >= 16; text += 16, n -= 16) {
		a = mix(a, text);
		b = mix(b, text + 8);
	}
	memcpy(rest, text, n);
	h = mix(mix(a, rest), (const char *)&b) ^ mix(b, rest + 8);
	return h ? h : 1;
}
