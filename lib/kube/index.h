/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h: finds objects by namespace and name, or by some other text of theirs (their owner's
 * uid, the node they run on): the cache's hash table.
 *
 * Open addressing over bare pointers, since there are tens of thousands: 8 bytes a slot and one for
 * a mark, at most 7/8 full. The key lies in the object itself, which must not change while it is in
 * an index. Many objects may share a key; a name occurs once.
 */
#pragma once

#include "kube/kind.h"

struct index {
	const struct obj **slots;
	uint8_t *marks; /* free use of the owner; 0 for a new entry */
	size_t n, size;
	/* NULL: by namespace and name. Never NULL for an object that is in the index. */
	const char *(*key)(const struct obj *o);
};

#define INDEX_NONE SIZE_MAX

void index_finish(struct index *ix);
/* The slot, or INDEX_NONE. */
size_t index_find(const struct index *ix, const char *ns, const char *name);
size_t index_find_object(const struct index *ix, const struct obj *o);
/* Returns the slot; any earlier slot number is void. */
size_t index_add(struct index *ix, const struct obj *o);
/* Another entry may move into this slot, never an unvisited one to before it. */
void index_remove(struct index *ix, size_t slot);
/* The first object with this key behind `after` (NULL: the first of all), or NULL. */
const struct obj *index_next_keyed(const struct index *ix, const char *key,
				   const struct obj *after);
size_t index_bytes(const struct index *ix);
