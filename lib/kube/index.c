/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/index.h"

#include <stdlib.h>
#include <string.h>

void index_finish(struct index *ix)
{
	free(ix->slots);
	free(ix->marks);
	*ix = (struct index){.key = ix->key};
}

static size_t hash_name(const char *ns, const char *name)
{
	uint64_t h = hash_str(HASH_SEED, name);

	h = hash_str(h ^ '/', ns ? ns : "");
	return (size_t)(h ^ h >> 32);
}

static size_t hash_key(const char *key)
{
	uint64_t h = hash_str(HASH_SEED, key);

	return (size_t)(h ^ h >> 32);
}

static size_t hash_of(const struct index *ix, const struct obj *o)
{
	return ix->key ? hash_key(ix->key(o)) : hash_name(o->ns, o->name);
}

static bool is_named(const struct obj *o, const char *ns, const char *name)
{
	return str_eq(o->name, name) && str_eq(o->ns ? o->ns : "", ns ? ns : "");
}

size_t index_find(const struct index *ix, const char *ns, const char *name)
{
	size_t mask = ix->size - 1;

	if (!ix->n) {
		return INDEX_NONE;
	}
	for (size_t i = hash_name(ns, name) & mask; ix->slots[i]; i = (i + 1) & mask) {
		if (is_named(ix->slots[i], ns, name)) {
			return i;
		}
	}
	return INDEX_NONE;
}

size_t index_find_object(const struct index *ix, const struct obj *o)
{
	size_t mask = ix->size - 1;

	if (!ix->n) {
		return INDEX_NONE;
	}
	for (size_t i = hash_of(ix, o) & mask; ix->slots[i]; i = (i + 1) & mask) {
		if (ix->slots[i] == o) {
			return i;
		}
	}
	return INDEX_NONE;
}

static size_t place(struct index *ix, const struct obj *o, uint8_t mark)
{
	size_t mask = ix->size - 1, i = hash_of(ix, o) & mask;

	while (ix->slots[i]) {
		i = (i + 1) & mask;
	}
	ix->slots[i] = o;
	ix->marks[i] = mark;
	return i;
}

static void grow(struct index *ix)
{
	struct index old = *ix;

	ix->size = MAX(old.size * 2, (size_t)8);
	ix->slots = xcalloc(ix->size, sizeof(*ix->slots));
	ix->marks = xcalloc(ix->size, 1);
	for (size_t i = 0; i < old.size; i++) {
		if (old.slots[i]) {
			place(ix, old.slots[i], old.marks[i]);
		}
	}
	free(old.slots);
	free(old.marks);
}

size_t index_add(struct index *ix, const struct obj *o)
{
	if (ix->n + 1 > ix->size / 8 * 7) {
		grow(ix);
	}
	ix->n++;
	return place(ix, o, 0);
}

void index_remove(struct index *ix, size_t slot)
{
	size_t mask = ix->size - 1, hole = slot;

	/* Whoever stands behind the hole and may stand in it moves up: no tombstones. */
	for (size_t i = (hole + 1) & mask; ix->slots[i]; i = (i + 1) & mask) {
		size_t home = hash_of(ix, ix->slots[i]) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			ix->slots[hole] = ix->slots[i];
			ix->marks[hole] = ix->marks[i];
			hole = i;
		}
	}
	ix->slots[hole] = NULL;
	ix->n--;
}

const struct obj *index_next_keyed(const struct index *ix, const char *key, const struct obj *after)
{
	size_t mask = ix->size - 1, i;

	if (!ix->n) {
		return NULL;
	}
	i = after ? (index_find_object(ix, after) + 1) & mask : hash_key(key) & mask;
	for (; ix->slots[i]; i = (i + 1) & mask) {
		if (str_eq(ix->key(ix->slots[i]), key)) {
			return ix->slots[i];
		}
	}
	return NULL;
}

size_t index_bytes(const struct index *ix)
{
	return ix->size * (sizeof(*ix->slots) + sizeof(*ix->marks));
}
