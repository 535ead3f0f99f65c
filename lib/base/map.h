/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h: a hash table from strings to pointers, open addressing, never more than 3/4 full.
 *
 * The map borrows its keys: a key must live as long as its entry (it usually lies in the value).
 * A put that replaces a value replaces the key as well, so both may be freed together.
 * Order of iteration is unspecified but stable while nothing is added. Deleting during map_next is
 * allowed. It grows with its entries: what input may put in is bounded by its owner.
 */
#pragma once

#include "base/base.h"

struct map {
	struct map_slot *slots;
	size_t n, size, gone;
};

struct map_slot {
	const char *key; /* NULL: empty or deleted */
	void *value;
	uint32_t hash;
};

void map_init(struct map *m);
void map_finish(struct map *m); /* frees the table, not the values */

/* NULL when absent. */
void *map_get(const struct map *m, const char *key);
/* value: not NULL. The value replaced, or NULL. */
void *map_put(struct map *m, const char *key, void *value);
/* The value removed, or NULL. */
void *map_del(struct map *m, const char *key);

/* for (struct map_slot *s = NULL; (s = map_next(m, s));) */
struct map_slot *map_next(const struct map *m, const struct map_slot *after);
