/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/offers.h"

#include <stdlib.h>
#include <string.h>

#include "api/resource.h"
#include "node-daemon/offers_inner.h"

struct maker {
	const struct offers_seen *seen;
	struct arena *arena;
	const struct order **orders;	 /* one a unit, NULL: none */
	const struct book **books;	 /* the same */
	const struct offer_use **uses;	 /* by unit */
	const struct offer_use **inside; /* one a unit: a use of a part of it; NULL: none */
};

/* --- sentences ----------------------------------------------------------------------------- */

enum why {
	WHY_NOT_ORDERED,
	WHY_HOST,
	WHY_VGPU,
	WHY_NO_BOOK,
	WHY_BINDING,
	WHY_RETURNED,
	WHY_NOT_VFIO,
	WHY_DEAD,
	WHY_NO_NAME,
	WHY_BAD_NAME,
	WHY_PART_HELD,
	WHY_GONE,
	WHY_RETURNING,
	WHY_DIRTY,
	WHY_FOREIGN,
	WHY_MOVES,
};

/* "WHAT says; remedy" */
static const struct {
	const char *says, *remedy;
} whys[] = {
	[WHY_NOT_ORDERED] = {"no order gives it to virtual machines",
			     "claim it, or let a pool have it"},
	[WHY_HOST] = {"it is ordered to stay with the host",
		      "it is offered once it is ordered to vfio-pci"},
	[WHY_VGPU] = {"it is ordered to carry vGPUs",
		      "it is offered as a whole once it is ordered to vfio-pci"},
	[WHY_NO_BOOK] = {"nothing says who brought it to vfio-pci",
			 "it is offered once the journal has it"},
	[WHY_BINDING] = {"it is being brought to vfio-pci", "it is offered when that has ended"},
	[WHY_RETURNED] = {"it is being given back to the host",
			  "it is offered when that has ended and it is on vfio-pci again"},
	[WHY_NOT_VFIO] = {"", "the unit is offered when that is on vfio-pci"},
	[WHY_DEAD] = {"its config space reads as ones: the card is dead or has lost its power",
		      "a power cycle of the machine may bring it back"},
	[WHY_NO_NAME] = {"what its model is called is not known yet",
			 "it is offered when the words of its PCI id have been read"},
	[WHY_BAD_NAME] = {"", "give it another name in its order"},
	[WHY_PART_HELD] = {" is in use as a unit of its own",
			   "it is offered as a part of this one when that has ended"},
	[WHY_GONE] = {"no such GPU is there any more", "it is listed until who holds it has ended"},
	[WHY_RETURNING] = {"it is being reset for the next virtual machine",
			   "it is given again when that has ended"},
	[WHY_DIRTY] = {"it could not be reset after its last virtual machine",
		       "it is given again when a reset has worked"},
	[WHY_FOREIGN] = {"somebody uses it who was not given it by the kubelet",
			 "it is offered when that has ended"},
	[WHY_MOVES] = {" is its resource by now", "it is given as that once it is free"},
};

static const char *say(struct maker *k, enum why why, const char *what)
{
	return arena_printf(k->arena, "%s%s; %s", what, whys[why].says, whys[why].remedy);
}

/* --- is it fit ----------------------------------------------------------------------------- */

static const char *off_vfio(struct maker *k, const struct unit *u)
{
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;
		char text[PCIFN_TEXT_MAX];

		if (f->kind != PCI_MEMBER && !pcifn_driver_is_vfio(f->driver)) {
			return say(k, WHY_NOT_VFIO,
				   arena_printf(k->arena, "%s (%s) %s%s",
						pcifn_text(f->address, text), pcifn_role(&f->ids),
						*f->driver ? "is on the host's driver "
							   : "has no driver",
						f->driver));
		}
	}
	return NULL;
}

/* What unit_available says of a driver that is still to be changed is for people who have ordered
 * nothing. */
static bool is_of_driver(const struct unit *u, const struct condition *c)
{
	return u->card->face != VGPU_NONE || str_eq(c->status, "True") ||
	       str_eq(c->reason, "HostDriver") || str_eq(c->reason, "CompanionOnHost");
}

static const char *dead(struct maker *k, const struct unit *u)
{
	list_each(unit, &k->seen->dead) {
		if (*unit == u->card->address) {
			return say(k, WHY_DEAD, "");
		}
	}
	return NULL;
}

/* NULL: it is. *ret_doubt: that cannot be known now. */
static const char *unfit(struct maker *k, const struct unit *u, bool *ret_doubt)
{
	const struct status_unit nothing = {0};
	const char *off = off_vfio(k, u);
	struct condition c;

	unit_available(k->seen->machine, u, &nothing, k->arena, &c);
	*ret_doubt = str_eq(c.status, "Unknown");
	if (off && is_of_driver(u, &c)) {
		return off;
	}
	return !str_eq(c.status, "True") ? c.message : off ? off : dead(k, u);
}

/* --- its resource -------------------------------------------------------------------------- */

/* A virtual function at the same address is another one when there are others beside it. */
static const char *resource_of(struct maker *k, const struct unit *u, const struct order *o,
			       const struct book *b)
{
	const char *model;

	if (o && o->exclusive) {
		return o->exclusive;
	}
	if (b && *b->name && !u->card->card) {
		return b->name;
	}
	if (o && o->name) {
		return o->name;
	}
	return k->seen->words || unit_is_known(u->card) ? unit_name(u->card, k->arena, &model)
							: NULL;
}

static const char *bad_name(struct maker *k, const char *resource)
{
	const char *refusal;

	if (!resource) {
		return say(k, WHY_NO_NAME, "");
	}
	refusal = resource_name_refusal(resource);
	return refusal ? say(k, WHY_BAD_NAME,
			     arena_printf(k->arena, "its resource %.320s %s", resource, refusal))
		       : NULL;
}

/* --- one unit ------------------------------------------------------------------------------ */

static const char *unordered(struct maker *k, const struct order *o)
{
	enum want want = o ? o->want : WANT_LEAVE;

	switch (want) {
	case WANT_VFIO:
		return NULL;
	case WANT_HOST:
		return say(k, WHY_HOST, "");
	case WANT_VGPU:
		return say(k, WHY_VGPU, "");
	case WANT_LEAVE:
		break;
	}
	return k->seen->orders->stale ? k->seen->orders->stale : say(k, WHY_NOT_ORDERED, "");
}

/* What the books say against it, when its state alone speaks for it. */
static const char *unsettled(struct maker *k, const struct book *b)
{
	if (!b || b->whose == BOOK_NONE) {
		return say(k, WHY_NO_BOOK, "");
	}
	return b->doing == BOOK_BIND   ? say(k, WHY_BINDING, "")
	       : b->doing == BOOK_BACK ? say(k, WHY_RETURNED, "")
				       : NULL;
}

static const char *part_held(struct maker *k, size_t i)
{
	char text[PCIFN_TEXT_MAX];

	return k->inside[i] ? say(k, WHY_PART_HELD, pcifn_text(k->inside[i]->unit, text)) : NULL;
}

/* Why a unit that nobody uses is not offered, NULL: it is. */
static const char *not_offered(struct maker *k, size_t i, const struct book *b,
			       const char *resource)
{
	const char *why = unordered(k, k->orders[i]);
	bool doubt;

	if (!why && *k->seen->books->refusal) {
		why = k->seen->books->refusal;
	}
	if (!why && b && b->whose == BOOK_QUARANTINED) {
		why = b->why;
	}
	why = why || !k->seen->rivals ? why : k->seen->rivals[i];
	why = why ? why : unfit(k, &k->seen->units->items[i], &doubt);
	why = why ? why : unsettled(k, b);
	why = why ? why : part_held(k, i);
	return why ? why : bad_name(k, resource);
}

static const char *use_words(struct maker *k, const struct offer_use *use)
{
	static const enum why usual[] = {
		[OFFER_RETURNING] = WHY_RETURNING,
		[OFFER_DIRTY] = WHY_DIRTY,
		[OFFER_FOREIGN] = WHY_FOREIGN,
	};

	return use->why ? use->why : say(k, usual[use->state], "");
}

static void judge_given(struct maker *k, const struct offer_use *use, const char *resource,
			struct offer *o)
{
	bool doubt = false;

	o->resource = resource;
	o->offered = o->given = true;
	if (use->state != OFFER_HELD) {
		o->why = use_words(k, use);
	} else {
		o->why = o->is ? unfit(k, o->is, &doubt) : say(k, WHY_GONE, "");
		o->healthy = !o->why || doubt; /* what cannot be seen takes nothing from anybody */
	}
}

/* NULL: the use does not keep it in a list. now: what it would be offered as. */
static const char *given_as(struct maker *k, const struct offer_use *use, const char *now)
{
	if (!use || use->state == OFFER_FOREIGN) {
		return NULL;
	}
	if (use->resource) {
		return use->resource;
	}
	return use->state == OFFER_HELD && !bad_name(k, now) ? now : NULL;
}

static void judge(struct maker *k, size_t i, const struct offer_use *use, struct offer *o)
{
	const struct book *b = k->books[i];
	const char *now = resource_of(k, o->is, k->orders[i], b), *given = given_as(k, use, now);

	o->barred = not_offered(k, i, b, now);
	if (given) {
		judge_given(k, use, given, o);
		if (!o->barred && !str_eq(given, now)) {
			o->barred = say(k, WHY_MOVES, now);
		}
		return;
	}
	o->resource = now;
	o->why = o->barred;
	o->offered = o->healthy = !o->why;
	if (use && o->offered) {
		o->why = use_words(k, use);
		o->offered = use->state != OFFER_FOREIGN;
		o->healthy = false;
	}
}

/* --- the whole ----------------------------------------------------------------------------- */

static int compare_numbers(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static int by_unit(const void *a, const void *b)
{
	const struct offer_use *x = *(const struct offer_use *const *)a,
			       *y = *(const struct offer_use *const *)b;

	int order = compare_numbers(x->unit, y->unit);

	return order ? order : (int)x->state - (int)y->state;
}

static int by_address(const void *a, const void *b)
{
	const struct offer *x = a, *y = b;

	return compare_numbers(x->unit, y->unit);
}

/* Orders point to units, which are by address, as the books are. */
static void index_units(struct maker *k)
{
	const struct offers_seen *seen = k->seen;

	k->orders = arena_array(k->arena, const struct order *, seen->units->n);
	k->books = arena_array(k->arena, const struct book *, seen->units->n);
	k->inside = arena_array(k->arena, const struct offer_use *, seen->units->n);
	list_each(o, &seen->orders->items) {
		k->orders[o->unit - seen->units->items] = o;
	}
	for (size_t i = 0, b = 0; i < seen->units->n; i++) {
		uint64_t unit = seen->units->items[i].card->address;

		while (b < seen->books->items.n && seen->books->items.items[b].id < unit) {
			b++;
		}
		if (b < seen->books->items.n && seen->books->items.items[b].id == unit) {
			k->books[i] = &seen->books->items.items[b];
		}
	}
}

static void index_uses(struct maker *k)
{
	const struct offers_seen *seen = k->seen;

	k->uses = arena_array(k->arena, const struct offer_use *, seen->uses.n);
	for (size_t i = 0; i < seen->uses.n; i++) {
		k->uses[i] = &seen->uses.items[i];
	}
	if (seen->uses.n) {
		qsort(k->uses, seen->uses.n, sizeof(*k->uses), by_unit);
	}
}

static struct offer *add(struct maker *k, struct offers *ret, uint64_t unit)
{
	struct offer *o = &ret->items.items[ret->items.n++];
	char text[PCIFN_TEXT_MAX];

	*o = (struct offer){.unit = unit, .id = arena_strdup(k->arena, pcifn_text(unit, text))};
	return o;
}

/* What was given as a unit of its own and is now part of another must not be given twice. */
static void mark_inside(struct maker *k, const struct offer_use *use)
{
	for (size_t i = 0; i < k->seen->units->n; i++) {
		list_each(f, &k->seen->units->items[i].functions) {
			if ((*f)->address == use->unit) {
				k->inside[i] = use;
			}
		}
	}
}

/* Of what there is, or was. */
static const struct offer_use **match_uses(struct maker *k, struct offers *ret)
{
	const struct unit_list *units = k->seen->units;
	const struct offer_use **of = arena_array(k->arena, const struct offer_use *, units->n);
	size_t i = 0;

	for (size_t u = 0; u < k->seen->uses.n; u++) {
		const struct offer_use *use = k->uses[u];

		while (i < units->n && units->items[i].card->address < use->unit) {
			i++;
		}
		if (i < units->n && units->items[i].card->address == use->unit) {
			of[i] = of[i] ? of[i] : use;
			continue;
		}
		mark_inside(k, use);
		if (given_as(k, use, NULL) && (!u || k->uses[u - 1]->unit != use->unit)) {
			struct offer *o = add(k, ret, use->unit);

			judge_given(k, use, use->resource, o);
			o->barred = say(k, WHY_GONE, "");
		}
	}
	return of;
}

void offers_make(const struct offers_seen *seen, struct arena *a, struct offers *ret)
{
	struct maker k = {.seen = seen, .arena = a};
	const struct offer_use **of;

	*ret = (struct offers){0};
	ret->items.items = arena_array(a, struct offer, seen->units->n + seen->uses.n);
	index_units(&k);
	index_uses(&k);
	of = match_uses(&k, ret);
	for (size_t i = 0; i < seen->units->n; i++) {
		struct offer *o = add(&k, ret, seen->units->items[i].card->address);

		o->is = &seen->units->items[i];
		judge(&k, i, of[i], o);
		o->alone =
			k.orders[i] && o->resource && str_eq(k.orders[i]->exclusive, o->resource);
	}
	if (ret->items.n) {
		qsort(ret->items.items, ret->items.n, sizeof(*ret->items.items), by_address);
	}
	offers_list(ret, a);
}

const struct offer *offers_find(const struct offers *o, const char *id)
{
	struct offer key;

	if (!o->items.n || pcifn_parse(id, &key.unit) < 0) {
		return NULL;
	}
	return bsearch(&key, o->items.items, o->items.n, sizeof(key), by_address);
}
