/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: memory that is given back all at once.
 *
 * A pass of a reconciler, or the decoding of one object, takes what it needs and resets the arena
 * at its end; nothing in between is freed one by one. What the arena hands out lives until the
 * reset and must not be freed. The arena has a maximum: beyond it the program ends, since every
 * input that can grow an arena is bounded before (scan.h, buf.h).
 */
#pragma once

#include "base/base.h"

struct arena {
	struct arena_block *block;
	size_t used; /* bytes handed out since the last reset */
	size_t max;
};

void arena_init(struct arena *a, size_t max);
void arena_finish(struct arena *a);
/* Everything handed out is gone; the largest block is kept for the next round, but not one of a
 * round that was much larger than most: there may be no such round for days. */
#define ARENA_KEPT (64 * KiB)
void arena_reset(struct arena *a);
/* Bytes of memory that it has now, handed out or not. */
size_t arena_held(const struct arena *a);

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) attr_printf(2, 3);

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
