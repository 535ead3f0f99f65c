/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/prefer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A device that is there to be chosen, or must be. */
struct choice {
	const char *id;
	const struct unit *unit; /* NULL: of none that we know */
	bool must, taken;
};

/* --- where they are ------------------------------------------------------------------------- */

static int compare_numbers(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static uint64_t bridge(const struct unit *u, size_t i)
{
	return i < u->card->above.n ? u->card->above.items[i] : 0;
}

static int compare_places(const struct unit *x, const struct unit *y)
{
	/* -1, not known, is the largest */
	int order = compare_numbers((uint64_t)x->card->numa, (uint64_t)y->card->numa);

	for (size_t i = 0; !order && i < 2; i++) { /* as far as unit_link looks */
		order = compare_numbers(bridge(x, i), bridge(y, i));
	}
	return order ? order : compare_numbers(x->card->address, y->card->address);
}

/* Those that are near to each other stand together; of one id that which must be there is first. */
static int by_place(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	int order = !x->unit - !y->unit;

	if (!order && x->unit) {
		order = compare_places(x->unit, y->unit);
	}
	order = order ? order : strcmp(x->id, y->id);
	return order ? order : y->must - x->must;
}

typedef bool near_test(const struct unit *x, const struct unit *y);

static bool same_slot(const struct unit *x, const struct unit *y)
{
	return pcifn_slot(x->card->address) == pcifn_slot(y->card->address);
}

static bool same_switch(const struct unit *x, const struct unit *y)
{
	return same_slot(x, y) || str_eq(unit_link(x, y), "switch");
}

static bool same_root(const struct unit *x, const struct unit *y)
{
	return same_slot(x, y) || unit_link(x, y);
}

static bool same_node(const struct unit *x, const struct unit *y)
{
	return x->card->numa == y->card->numa;
}

/* Each parts further what the one before has put together. */
static near_test *const levels[] = {same_node, same_root, same_switch, same_slot};

/* --- choosing ------------------------------------------------------------------------------- */

/* A neighbourhood: choices that are near to each other. */
struct near {
	struct choice *first;
	size_t n, free;
	bool must;   /* some of it must be there */
	size_t deep; /* the last level at which a part of it alone has enough, 0: none has */
};

static struct near near_at(struct choice *c, const struct choice *end, size_t level)
{
	struct near ret = {.first = c};

	do {
		ret.n++;
		ret.free += !c->taken;
		ret.must |= c->must;
		c++;
	} while (c < end && c->unit && levels[level](c[-1].unit, c->unit));
	return ret;
}

static size_t depth(const struct near *of, size_t level, size_t wanted)
{
	struct near next;

	for (size_t l = ARRAY_LEN(levels); l-- > level;) {
		for (size_t at = 0; at < of->n; at += next.n) {
			next = near_at(of->first + at, of->first + of->n, l);
			if (next.free >= wanted) {
				return l + 1;
			}
		}
	}
	return 0;
}

/* Whether x is to be taken from rather than y, to take so many. */
static bool better(const struct near *x, const struct near *y, size_t wanted)
{
	bool fits = x->free >= wanted;

	if (!x->free || !y->free) {
		return x->free;
	}
	if (!x->first->unit != !y->first->unit) {
		return x->first->unit;
	}
	if (x->must != y->must) {
		return x->must;
	}
	if (fits != (y->free >= wanted)) {
		return fits;
	}
	if (x->deep != y->deep) {
		return x->deep > y->deep;
	}
	return fits ? x->free < y->free : x->free > y->free;
}

static struct near best(const struct near *of, size_t level, size_t wanted)
{
	struct choice *end = of->first + of->n;
	struct near ret = {0}, next;

	for (struct choice *c = of->first; c < end; c += next.n) {
		next = near_at(c, end, level);
		next.deep = depth(&next, level, wanted);
		if (better(&next, &ret, wanted)) {
			ret = next;
		}
	}
	return ret;
}

/* wanted: at most what is free. */
static void take_from(const struct near *of, size_t level, size_t wanted)
{
	if (wanted == of->free || level == ARRAY_LEN(levels)) {
		for (struct choice *c = of->first; wanted; c++) {
			wanted -= !c->taken;
			c->taken = true;
		}
		return;
	}
	while (wanted) {
		struct near next = best(of, level, wanted);
		size_t n = MIN(wanted, next.free);

		take_from(&next, level + 1, n);
		wanted -= n;
	}
}

/* --- the whole ------------------------------------------------------------------------------ */

static int compare_unit(const void *key, const void *item)
{
	return compare_numbers(*(const uint64_t *)key, ((const struct unit *)item)->card->address);
}

static void add(const struct unit_list *units, const struct dpapi_ids *ids, bool must,
		struct choice *to)
{
	list_each(id, ids) {
		uint64_t at;

		*to = (struct choice){.id = *id, .must = must, .taken = must};
		if (units->n && pcifn_parse(*id, &at) == 0) {
			to->unit = bsearch(&at, units->items, units->n, sizeof(*units->items),
					   compare_unit);
		}
		to++;
	}
}

/* Every id once, by place. */
static struct choice *choices(const struct unit_list *units, const struct dpapi_wish *wish,
			      struct arena *a, size_t *ret_n)
{
	size_t all = wish->must.n + wish->available.n, n = 0;
	struct choice *c = arena_array(a, struct choice, all);

	add(units, &wish->must, true, c);
	add(units, &wish->available, false, c + wish->must.n);
	if (all) {
		qsort(c, all, sizeof(*c), by_place);
	}
	for (size_t i = 0; i < all; i++) {
		if (!n || !str_eq(c[n - 1].id, c[i].id)) {
			c[n++] = c[i];
		}
	}
	*ret_n = n;
	return c;
}

static size_t count_taken(const struct choice *c, size_t n)
{
	size_t taken = 0;

	for (size_t i = 0; i < n; i++) {
		taken += c[i].taken;
	}
	return taken;
}

int prefer_make(const struct unit_list *units, const struct dpapi_wish *wish, struct arena *a,
		struct dpapi_ids *ret, struct err *err)
{
	size_t n, must;
	struct choice *c = choices(units, wish, a, &n);

	must = count_taken(c, n);
	if (wish->size < 0 || must > (size_t)wish->size) {
		return err_set(err, "%zu devices must be among %" PRId64, must, wish->size);
	}
	if ((size_t)wish->size > n) {
		return err_set(err, "%" PRId64 " devices are wanted, and %zu are there", wish->size,
			       n);
	}
	take_from(&(struct near){.first = c, .n = n, .free = n - must}, 0,
		  (size_t)wish->size - must);
	*ret = (struct dpapi_ids){.items = arena_array(a, const char *, (size_t)wish->size)};
	for (int rest = 0; rest < 2; rest++) {
		for (size_t i = 0; i < n; i++) {
			if (c[i].taken && c[i].must == !rest) {
				ret->items[ret->n++] = c[i].id;
			}
		}
	}
	return 0;
}
