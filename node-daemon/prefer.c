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

/* --- NVLinks -------------------------------------------------------------------------------- */

/* Numbers of choices, and sets of them as bits. */
struct linked {
	const struct choice *choices;
	size_t n;
	int32_t lanes[PREFER_LINKED][PREFER_LINKED], near[PREFER_LINKED][PREFER_LINKED];
	uint64_t must, best;
	int64_t best_score[5];
};

static int32_t nearness(const struct unit *x, const struct unit *y)
{
	int32_t ret = 0;

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		ret += levels[i](x, y);
	}
	return ret;
}

/* False: nothing is linked. */
static bool measure(const struct links *l, struct linked *k)
{
	bool any = false;

	for (size_t i = 0; i < k->n; i++) {
		const struct unit *x = k->choices[i].unit;

		k->must |= (uint64_t)k->choices[i].must << i;
		for (size_t j = 0; x && j < i; j++) {
			const struct unit *y = k->choices[j].unit;

			if (y) {
				k->lanes[i][j] = k->lanes[j][i] = (int32_t)links_lanes(l, x, y);
				k->near[i][j] = k->near[j][i] = nearness(x, y);
				any |= k->lanes[i][j] > 0;
			}
		}
	}
	return any;
}

/* What counts more comes first; of what is left free only half of a pair is no use to anybody. */
static void score(const struct linked *k, uint64_t set, int64_t ret[5])
{
	memset(ret, 0, 5 * sizeof(*ret));
	for (size_t i = 0; i < k->n; i++) {
		if (!(set >> i & 1)) {
			continue;
		}
		ret[0] += k->choices[i].unit != NULL;
		for (size_t j = 0; j < k->n; j++) {
			bool in = set >> j & 1;

			ret[in ? 1 : 3] += in ? k->lanes[i][j] : -k->lanes[i][j];
			ret[in ? 2 : 4] += in ? k->near[i][j] : -k->near[i][j];
		}
	}
}

static bool beats(const int64_t x[5], const int64_t y[5])
{
	size_t i = 0;

	while (i < 4 && x[i] == y[i]) {
		i++;
	}
	return x[i] > y[i];
}

static void consider(struct linked *k, uint64_t set)
{
	int64_t s[5];

	score(k, set, s);
	if (!k->best || beats(s, k->best_score)) {
		k->best = set;
		memcpy(k->best_score, s, sizeof(s));
	}
}

/* All sets with so many more of those from number `from` on. */
static void try_all(struct linked *k, uint64_t set, size_t from, size_t wanted)
{
	if (!wanted) {
		consider(k, set);
	}
	for (size_t i = from; wanted && i + wanted <= k->n; i++) {
		if (!(set >> i & 1)) {
			try_all(k, set | 1ULL << i, i + 1, wanted - 1);
		}
	}
}

/* Adds what is best by itself, one by one. */
static uint64_t grow(struct linked *k, uint64_t set, size_t wanted)
{
	while (wanted--) {
		uint64_t from = set;

		k->best = 0;
		for (size_t i = 0; i < k->n; i++) {
			if (!(from >> i & 1)) {
				consider(k, from | 1ULL << i);
			}
		}
		set = k->best;
	}
	return set;
}

/* From whatever must be there; where nothing must, from each. */
static void try_some(struct linked *k, size_t wanted)
{
	uint64_t sets[PREFER_LINKED];
	size_t n = 0;

	for (size_t i = 0; i < k->n && (n == 0 || !k->must); i++) {
		sets[n++] = k->must ? grow(k, k->must, wanted) : grow(k, 1ULL << i, wanted - 1);
	}
	k->best = 0;
	for (size_t i = 0; i < n; i++) {
		consider(k, sets[i]);
	}
}

static bool are_few(size_t n, size_t wanted)
{
	uint64_t sets = 1;

	wanted = MIN(wanted, n - wanted);
	for (size_t i = 0; i < wanted && sets <= PREFER_TRIES; i++) {
		sets = sets * (n - i) / (i + 1);
	}
	return sets <= PREFER_TRIES;
}

/* False: no NVLink is between any of them. wanted: at most what is free. */
static bool take_linked(struct choice *c, size_t n, size_t free, size_t wanted,
			const struct links *links, struct arena *a)
{
	struct linked *k;

	if (!links || !links->n || n > PREFER_LINKED || !wanted) {
		return false;
	}
	k = arena_new(a, struct linked);
	k->choices = c;
	k->n = n;
	if (!measure(links, k)) {
		return false;
	}
	if (are_few(free, wanted)) {
		try_all(k, k->must, 0, wanted);
	} else {
		try_some(k, wanted);
	}
	for (size_t i = 0; i < n; i++) {
		c[i].taken = k->best >> i & 1;
	}
	return true;
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

int prefer_make(const struct unit_list *units, const struct links *links,
		const struct dpapi_wish *wish, struct arena *a, struct dpapi_ids *ret,
		struct err *err)
{
	size_t n, must, wanted;
	struct choice *c = choices(units, wish, a, &n);

	must = count_taken(c, n);
	if (wish->size < 0 || must > (size_t)wish->size) {
		return err_set(err, "%zu devices must be among %" PRId64, must, wish->size);
	}
	if ((size_t)wish->size > n) {
		return err_set(err, "%" PRId64 " devices are wanted, and %zu are there", wish->size,
			       n);
	}
	wanted = (size_t)wish->size - must;
	if (!take_linked(c, n, n - must, wanted, links, a)) {
		take_from(&(struct near){.first = c, .n = n, .free = n - must}, 0, wanted);
	}
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
