/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(max_align_t) char bytes[];
};

#define FIRST_BLOCK (4 * KiB - sizeof(struct arena_block) - 16)
#define ALIGN _Alignof(max_align_t)

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

static void free_blocks(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_finish(struct arena *a)
{
	free_blocks(take(a->block));
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	if (a->block && a->block->size > ARENA_KEPT) { /* it was made for one thing */
		arena_finish(a);
	} else if (a->block) { /* the newest is the largest */
		free_blocks(take(a->block->next));
		a->block->used = 0;
	}
}

size_t arena_held(const struct arena *a)
{
	size_t held = 0;

	for (const struct arena_block *b = a->block; b; b = b->next) {
		held += sizeof(*b) + b->size;
	}
	return held;
}

static struct arena_block *grow(struct arena *a, size_t size)
{
	size_t want = a->block ? MIN(a->block->size * 2, ARENA_KEPT) : FIRST_BLOCK;
	struct arena_block *b;

	want = MAX(want, size);
	b = xmalloc(sizeof(*b) + want);
	*b = (struct arena_block){.next = a->block, .size = want};
	return a->block = b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->block;
	void *p;

	size = (MAX(size, 1) + ALIGN - 1) & ~(ALIGN - 1);
	a->used += size;
	if (a->used > a->max) {
		fprintf(stderr, "arena over its maximum of %zu bytes\n", a->max);
		abort();
	}
	if (!b || b->size - b->used < size) {
		b = grow(a, size);
	}
	p = b->bytes + b->used;
	b->used += size;
	return memset(p, 0, size);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	memcpy(p, s, n);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	p = arena_alloc(a, (size_t)MAX(n, 0) + 1);
	vsnprintf(p, (size_t)MAX(n, 0) + 1, format, again);
	va_end(again);
	return p;
}
