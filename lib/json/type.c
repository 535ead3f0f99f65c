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

const struct field *type_find(const struct type *t, const struct field *after, const char *key, size_t len)
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

/* Eight bytes a step: managedFields, a third of a typical object, goes through here. */
uint64_t type_hash(const char *text, size_t n)
{
	const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = n * k, word;

	for (; n >= sizeof(word); text += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		h = (h ^ word) * k;
		h ^= h >> 29;
	}
	word = 0;
	memcpy(&word, text, n);
	h = (h ^ word) * k;
	h ^= h >> 32;
	return h ? h : 1;
}
