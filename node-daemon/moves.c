/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/moves.h"

#include <stdlib.h>
#include <string.h>

/* Where a unit was listed last. */
struct place {
	uint64_t unit;
	char *resource;
	int64_t left; /* that list, INT64_MIN: it has not */
	bool seen;
};

struct moves {
	struct place *items; /* by unit */
	size_t n, size;
};

struct moves *moves_create(void)
{
	return xcalloc(1, sizeof(struct moves));
}

struct moves *moves_destroy(struct moves *m)
{
	for (size_t i = 0; m && i < m->n; i++) {
		free(m->items[i].resource);
	}
	if (m) {
		free(m->items);
	}
	free(m);
	return NULL;
}

/* Where the unit stands, or would. */
static size_t index_of(const struct moves *m, uint64_t unit)
{
	size_t from = 0, to = m->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (m->items[mid].unit < unit) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	return from;
}

static struct place *find(struct moves *m, uint64_t unit)
{
	size_t i = index_of(m, unit);

	return i < m->n && m->items[i].unit == unit ? &m->items[i] : NULL;
}

static struct place *add(struct moves *m, uint64_t unit)
{
	size_t i = index_of(m, unit);

	if (m->n == m->size) {
		m->size = m->size * 2 + 8;
		m->items = xrealloc(m->items, m->size * sizeof(*m->items));
	}
	memmove(&m->items[i + 1], &m->items[i], (m->n - i) * sizeof(*m->items));
	m->n++;
	m->items[i] = (struct place){.unit = unit};
	return &m->items[i];
}

static void join(struct place *p, const char *resource)
{
	if (!str_eq(p->resource, resource)) {
		free(p->resource);
		p->resource = xstrdup(resource);
	}
	p->left = INT64_MIN;
}

static bool is_over(const struct place *p, int64_t now)
{
	return p->left != INT64_MIN && now - p->left >= MOVES_MS;
}

/* False: it is to wait. */
static bool may_join(struct moves *m, const struct offer *o, int64_t now)
{
	struct place *p = find(m, o->unit);
	bool stays = !p || o->given || str_eq(p->resource, o->resource);

	p = p ? p : add(m, o->unit);
	p->seen = true;
	if (stays || is_over(p, now)) {
		join(p, o->resource);
		return true;
	}
	p->left = p->left == INT64_MIN ? now : p->left;
	return false;
}

static void take_out(struct offers *offers, const struct offer *o)
{
	list_each(l, &offers->lists) {
		for (size_t i = 0; str_eq(l->resource, o->resource) && i < l->devices.n; i++) {
			if (str_eq(l->devices.items[i].id, o->id)) {
				l->devices.n--;
				memmove(&l->devices.items[i], &l->devices.items[i + 1],
					(l->devices.n - i) * sizeof(*l->devices.items));
				return;
			}
		}
	}
}

/* What is in no list now has left the one that it was in; a moment later that is forgotten. */
static void note_gone(struct moves *m, int64_t now)
{
	size_t left = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct place *p = &m->items[i];

		if (!p->seen && p->left == INT64_MIN) {
			p->left = now;
		}
		if (!p->seen && is_over(p, now)) {
			free(p->resource);
		} else {
			m->items[left++] = *p;
		}
	}
	m->n = left;
}

int64_t moves_make(struct moves *m, struct offers *offers, int64_t now)
{
	int64_t wake = INT64_MAX;

	for (size_t i = 0; i < m->n; i++) {
		m->items[i].seen = false;
	}
	list_each(o, &offers->items) {
		if (o->offered && !may_join(m, o, now)) {
			take_out(offers, o);
			wake = MIN(wake, find(m, o->unit)->left + MOVES_MS);
		}
	}
	note_gone(m, now);
	return wake;
}
