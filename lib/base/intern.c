/* SPDX-License-Identifier: Apache-2.0 */
#include "base/intern.h"

#include <stdlib.h>
#include <string.h>

/* The text stands behind its count, so that what intern_get hands out leads back to its entry. */
struct entry {
	uint32_t refs, hash;
	char text[];
};

/* Linear probing without marks for deleted slots: a removal moves the rest of its run up. */
struct intern {
	struct entry **slots;
	size_t n, size, bytes;
};

#define SMALLEST 64

static void resize(struct intern *in, size_t size)
{
	struct entry **old = in->slots;
	size_t old_size = in->size;

	in->slots = xcalloc(size, sizeof(*in->slots));
	in->size = size;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i]) {
			size_t k = old[i]->hash & (size - 1);

			while (in->slots[k]) {
				k = (k + 1) & (size - 1);
			}
			in->slots[k] = old[i];
		}
	}
	free(old);
}

struct intern *intern_create(void)
{
	struct intern *in = xcalloc(1, sizeof(*in));

	resize(in, SMALLEST);
	return in;
}

struct intern *intern_destroy(struct intern *in)
{
	if (in) {
		for (size_t i = 0; i < in->size; i++) {
			free(in->slots[i]);
		}
		free(in->slots);
		free(in);
	}
	return NULL;
}

static bool same(const struct entry *e, uint32_t hash, const char *s, size_t n)
{
	return e->hash == hash && strncmp(e->text, s, n) == 0 && e->text[n] == '\0';
}

const char *intern_get(struct intern *in, const char *s, size_t n)
{
	uint64_t h = hash_bytes(HASH_SEED, s, n);
	uint32_t hash = (uint32_t)(h ^ h >> 32);
	struct entry *e;
	size_t i;

	if ((in->n + 1) * 4 > in->size * 3) {
		resize(in, in->size * 2);
	}
	for (i = hash & (in->size - 1); (e = in->slots[i]); i = (i + 1) & (in->size - 1)) {
		if (same(e, hash, s, n)) {
			e->refs++;
			return e->text;
		}
	}
	e = in->slots[i] = xmalloc(sizeof(*e) + n + 1);
	*e = (struct entry){.refs = 1, .hash = hash};
	memcpy(e->text, s, n);
	e->text[n] = '\0';
	in->n++;
	in->bytes += sizeof(*e) + n + 1;
	return e->text;
}

/* Empties slot `hole`: each later entry of the run that may lie there moves up and leaves the next
 * hole. */
static void close_gap(struct intern *in, size_t hole)
{
	size_t mask = in->size - 1;

	for (size_t i = (hole + 1) & mask; in->slots[i]; i = (i + 1) & mask) {
		size_t home = in->slots[i]->hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			in->slots[hole] = in->slots[i];
			hole = i;
		}
	}
	in->slots[hole] = NULL;
}

void intern_drop(struct intern *in, const char *s)
{
	struct entry *e;
	size_t i;

	if (!s) {
		return;
	}
	e = container_of(s, struct entry, text);
	if (--e->refs) {
		return;
	}
	i = e->hash & (in->size - 1);
	while (in->slots[i] != e) {
		i = (i + 1) & (in->size - 1);
	}
	close_gap(in, i);
	in->n--;
	in->bytes -= sizeof(*e) + strlen(e->text) + 1;
	free(e);
	if (in->size > SMALLEST && in->n * 8 < in->size) {
		resize(in, in->size / 2);
	}
}

size_t intern_count(const struct intern *in)
{
	return in->n;
}

size_t intern_bytes(const struct intern *in)
{
	return sizeof(*in) + in->size * sizeof(*in->slots) + in->bytes;
}
