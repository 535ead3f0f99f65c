/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/*
 * Linear probing: a key lies at its hash's slot or in the run of used slots after it. A deleted
 * slot keeps the run whole, so it is marked (value GONE, key NULL) rather than emptied; slots never
 * move except when the table is rebuilt, which only map_put does: that is what makes deleting while
 * iterating safe.
 */
#define SMALLEST 8

static char gone_mark;
#define GONE ((void *)&gone_mark)

static uint32_t hash_of(const char *key)
{
	uint64_t h = hash_str(HASH_SEED, key);

	return (uint32_t)(h ^ h >> 32);
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_finish(struct map *m)
{
	free(m->slots);
	map_init(m);
}

static struct map_slot *find(const struct map *m, const char *key, uint32_t hash)
{
	for (size_t i = hash; m->size; i++) {
		struct map_slot *s = &m->slots[i & (m->size - 1)];

		if (s->key && s->hash == hash && strcmp(s->key, key) == 0) {
			return s;
		}
		if (!s->key && s->value != GONE) {
			return NULL;
		}
	}
	return NULL;
}

/* The first slot of the key's run that holds no entry; the table has room and lacks the key. */
static struct map_slot *vacant(struct map *m, uint32_t hash)
{
	size_t i = hash;

	while (m->slots[i & (m->size - 1)].key) {
		i++;
	}
	return &m->slots[i & (m->size - 1)];
}

/*
 * A table of twice what the entries need, without the deleted ones: it grows, shrinks or is only
 * swept.
 */
static void rebuild(struct map *m)
{
	struct map old = *m;
	size_t size = SMALLEST;

	while (size < (m->n + 1) * 2) {
		size *= 2;
	}
	*m = (struct map){.slots = xcalloc(size, sizeof(*m->slots)), .size = size, .n = old.n};
	for (struct map_slot *s = NULL; (s = map_next(&old, s));) {
		*vacant(m, s->hash) = *s;
	}
	free(old.slots);
}

void *map_get(const struct map *m, const char *key)
{
	struct map_slot *s = find(m, key, hash_of(key));

	return s ? s->value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	uint32_t hash = hash_of(key);
	struct map_slot *s = find(m, key, hash);

	if (s) {
		void *before = s->value;

		s->key = key;
		s->value = value;
		return before;
	}
	if ((m->n + m->gone + 1) * 4 > m->size * 3) {
		rebuild(m);
	}
	s = vacant(m, hash);
	m->gone -= s->value == GONE;
	m->n++;
	*s = (struct map_slot){.key = key, .value = value, .hash = hash};
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct map_slot *s = find(m, key, hash_of(key));
	void *value;

	if (!s) {
		return NULL;
	}
	value = s->value;
	*s = (struct map_slot){.value = GONE};
	m->n--;
	m->gone++;
	return value;
}

struct map_slot *map_next(const struct map *m, const struct map_slot *after)
{
	for (size_t i = after ? (size_t)(after - m->slots) + 1 : 0; i < m->size; i++) {
		if (m->slots[i].key) {
			return &m->slots[i];
		}
	}
	return NULL;
}
