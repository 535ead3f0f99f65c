/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/orders.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/resource.h"
#include "node-daemon/orders_inner.h"

#define ID_SHOWN 64
#define MAX_PERMITTED 1024 /* the schema's limits */
#define MAX_TYPE 128

struct taker {
	const struct unit_list *units;
	struct arena *arena;
	struct orders *ret;
};

/* The unit that a function belongs to, NULL: none. */
static const struct unit *unit_with(const struct unit_list *units, uint64_t at)
{
	list_each(u, units) {
		list_each(f, &u->functions) {
			if ((*f)->address == at) {
				return u;
			}
		}
	}
	return NULL;
}

static bool parse_want(const char *text, enum want *ret)
{
	static const struct {
		const char *text;
		enum want want;
	} words[] = {{"host", WANT_HOST}, {"vfio", WANT_VFIO}, {"vgpu", WANT_VGPU}};

	*ret = WANT_LEAVE;
	for (size_t i = 0; text && i < ARRAY_LEN(words); i++) {
		if (str_eq(text, words[i].text)) {
			*ret = words[i].want;
			return true;
		}
	}
	return !text;
}

/* Why there is no such unit. */
static const char *not_there(struct taker *t, const char *id, uint64_t at)
{
	const struct unit *other = unit_with(t->units, at);
	char text[PCIFN_TEXT_MAX];

	if (other) {
		return arena_printf(t->arena, "it belongs to the unit %s; order that",
				    pcifn_text(other->card->address, text));
	}
	return arena_printf(t->arena, "no GPU is at %s", id);
}

static const char *another_card(struct taker *t, const struct unit *u, const char *device)
{
	const struct pci_ids *ids = &u->card->ids;
	const char *have = arena_printf(t->arena, "%04x:%04x", ids->vendor, ids->device);

	if (!device) {
		return "the order does not say of which card it is (device)";
	}
	return str_eq(have, device)
		       ? NULL
		       : arena_printf(t->arena, "the order is of a card %.32s, and a %s is there",
				      device, have);
}

/* Names that the kubelet is told, and that two units must not share where one is meant alone. */
static const char *resources(struct taker *t, const struct order *o)
{
	const char *why = o->exclusive ? resource_name_refusal(o->exclusive) : NULL;
	char text[PCIFN_TEXT_MAX];

	if (why) {
		return arena_printf(t->arena, "exclusive: %.64s %s", o->exclusive, why);
	}
	why = o->name ? resource_name_refusal(o->name) : NULL;
	if (why) {
		return arena_printf(t->arena, "name: %.64s %s", o->name, why);
	}
	list_each(other, &t->ret->items) {
		if (o->exclusive && other->exclusive && str_eq(other->exclusive, o->exclusive)) {
			return arena_printf(t->arena,
					    "exclusive: %.64s names the unit %s already; give this "
					    "one another name",
					    o->exclusive,
					    pcifn_text(other->unit->card->address, text));
		}
	}
	return NULL;
}

/* The text of an address may be written in one way only, so that two orders of one unit are found. */
static bool is_address(const char *id, uint64_t *ret)
{
	char text[PCIFN_TEXT_MAX];

	return id && pcifn_parse(id, ret) == 0 && str_eq(pcifn_text(*ret, text), id);
}

/* NULL: it is obeyed, and *ret is filled in. */
static const char *refusal(struct taker *t, const struct unit_order *given, struct order *ret)
{
	enum want want;
	const char *why;
	uint64_t at;

	if (!is_address(given->id, &at)) {
		return "it is no PCI address such as 0000:41:00.0";
	}
	ret->unit = units_find(t->units, at);
	/* They outlive what was given: what follows from them is used until the next turn. */
	ret->by = given->by ? arena_strdup(t->arena, given->by) : NULL;
	ret->exclusive = given->exclusive ? arena_strdup(t->arena, given->exclusive) : NULL;
	ret->name = given->name ? arena_strdup(t->arena, given->name) : NULL;
	if (!ret->unit) {
		return not_there(t, given->id, at);
	}
	if (!parse_want(given->want, &want)) {
		return arena_printf(t->arena, "%.32s is none of host, vfio, vgpu", given->want);
	}
	ret->want = want;
	list_each(o, &t->ret->items) {
		if (o->unit == ret->unit) {
			return "it is ordered twice; the first counts";
		}
	}
	why = another_card(t, ret->unit, given->device);
	why = why ? why : order_cut(given, t->units, t->arena, ret);
	return why ? why : resources(t, ret);
}

/* A forged list takes nothing but its own entries. */
static void take_permitted(const struct node_orders *given, struct arena *a, struct orders *ret)
{
	size_t n = MIN(given->permitted.n, (size_t)MAX_PERMITTED);

	ret->permitted.items = arena_array(a, const char *, n);
	for (size_t i = 0; i < n; i++) {
		const char *type = given->permitted.items[i];

		if (!str_empty(type) && strlen(type) <= MAX_TYPE) {
			ret->permitted.items[ret->permitted.n++] = type;
		}
	}
}

static int by_unit(const void *a, const void *b)
{
	const struct unit *x = ((const struct order *)a)->unit,
			  *y = ((const struct order *)b)->unit;

	return (x > y) - (x < y);
}

void orders_take(const struct node_orders *given, int64_t highest, const struct unit_list *units,
		 struct arena *a, struct orders *ret)
{
	struct taker t = {units, a, ret};

	*ret = (struct orders){0};
	if (!given || !given->term) {
		return;
	}
	ret->term = given->term;
	if (given->term < highest) {
		ret->stale = arena_printf(
			a,
			"the orders are of term %" PRId64 ", and those of term %" PRId64
			" were seen before: they come from a controller that leads no more",
			given->term, highest);
		return;
	}
	ret->items.items = arena_array(a, struct order, given->units.n);
	take_permitted(given, a, ret);
	ret->refused.items = arena_array(a, struct order_refusal, given->units.n);
	list_each(u, &given->units) {
		struct order *next = &ret->items.items[ret->items.n];
		const char *why = refusal(&t, u, next);

		if (!why) {
			ret->items.n++;
		} else {
			ret->refused.items[ret->refused.n++] = (struct order_refusal){
				arena_printf(a, "%.*s", ID_SHOWN, u->id ? u->id : ""), why};
		}
	}
	if (ret->items.n) {
		qsort(ret->items.items, ret->items.n, sizeof(*ret->items.items), by_unit);
	}
}

const struct order *orders_find(const struct orders *o, const struct unit *u)
{
	const struct order key = {.unit = u};

	return o->items.n ? bsearch(&key, o->items.items, o->items.n, sizeof(key), by_unit) : NULL;
}

bool orders_permit(const struct orders *o, const char *type)
{
	list_each(item, &o->permitted) {
		const char *x = *item, *y = type;

		while (*x && (*x == *y || (*x == '_' && *y == ' ') || (*x == ' ' && *y == '_'))) {
			x++;
			y++;
		}
		if (!*x && !*y) {
			return true;
		}
	}
	return false;
}

enum want orders_for(const struct orders *o, const struct unit *u)
{
	const struct order *one = orders_find(o, u);

	return one ? one->want : WANT_LEAVE;
}
