/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices there are, for the kubelet and for uses.h. */
#include <string.h>

#include "node-daemon/moves.h"
#include "node-daemon/supply_inner.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/tokens.h"

/* False: nothing of the use shows. Who asks for what is just being made clean waits for that: it
 * counts as before. */
static bool shows(const struct uses_view *v, enum offer_use_state *ret)
{
	switch (v->state) {
	case USES_FREE:
		return false;
	case USES_UNPROVEN:
		*ret = OFFER_FOREIGN;
		return *v->why;
	case USES_GIVEN:
	case USES_HELD:
		*ret = OFFER_HELD;
		return true;
	case USES_RETURNING:
		*ret = v->healthy ? OFFER_HELD : OFFER_RETURNING;
		return true;
	case USES_DIRTY:
		*ret = OFFER_DIRTY;
		return true;
	}
	return false;
}

/* The offers outlive what uses lends. */
static void add_use(const struct uses_view *v, struct arena *a, struct offer_use_list *to)
{
	enum offer_use_state state;
	uint64_t unit;

	if (shows(v, &state) && pcifn_parse(v->id, &unit) == 0) {
		to->items[to->n++] =
			(struct offer_use){unit, *v->resource ? arena_strdup(a, v->resource) : NULL,
					   state, *v->why ? arena_strdup(a, v->why) : NULL};
	}
}

static void used(const struct supply *su, struct arena *a, struct offer_use_list *ret)
{
	struct uses_view v;
	size_t n = 0;

	while (uses_each(su->uses, n, &v)) {
		n++;
	}
	*ret = (struct offer_use_list){.items = arena_array(a, struct offer_use, n)};
	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		add_use(&v, a, ret);
	}
}

static bool reads_as_ones(int dir)
{
	uint16_t vendor;

	return sysfs_config_vendor(dir, &vendor) == 0 && vendor == UINT16_MAX;
}

static bool is_dead(const struct supply *su, const struct unit *u)
{
	list_each(f, &u->functions) {
		char text[PCIFN_TEXT_MAX];
		auto_free char *path =
			xprintf("bus/pci/devices/%s", pcifn_text((*f)->address, text));
		auto_close int dir = -1;

		if ((*f)->kind == PCI_GPU && pcifn_driver_is_vfio((*f)->driver) &&
		    (dir = sysfs_dir(su->s.sys, path)) >= 0 && reads_as_ones(dir)) {
			return true;
		}
	}
	return false;
}

/* Nothing tells that a card has died. Only of what nobody has: while a card is reset, who reads there
 * waits; and one that is dirty is tried again all the same, which may bring it back. */
static void find_dead(const struct supply *su, struct arena *a, struct offers_seen *to)
{
	struct uses_view v;
	uint64_t unit;

	to->dead.items = arena_array(a, uint64_t, to->units->n);
	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		if (v.state != USES_FREE || pcifn_parse(v.id, &unit) < 0) {
			continue;
		}
		list_each(u, to->units) {
			if (u->card->address == unit && is_dead(su, u)) {
				to->dead.items[to->dead.n++] = unit;
			}
		}
	}
}

static void make_offers(struct supply *su)
{
	static const struct obey_facts nothing;
	struct offers_seen seen;

	obey_facts(su->s.obey, &su->facts);
	su->offers = (struct offers){0};
	su->rival_of = NULL;
	arena_reset(&su->arena);
	if (!su->facts.machine) {
		su->facts = nothing;
		return;
	}
	seen = (struct offers_seen){.machine = su->facts.machine,
				    .units = su->facts.units,
				    .books = su->facts.books,
				    .orders = su->facts.orders,
				    .words = true};
	used(su, &su->arena, &seen.uses);
	find_dead(su, &su->arena, &seen);
	offers_make(&seen, &su->arena, &su->offers);
	if (supply_rivals_units(su, &seen.rivals)) {
		offers_make(&seen, &su->arena, &su->offers);
	}
	loop_timer_set(su->timer, MIN(moves_make(su->moves, &su->offers, supply_now(su)),
				      loop_timer_at(su->timer)));
	demand_offer(su->demand, &su->offers, &su->arena);
	tokens_offer(&su->offers, &su->arena);
}

const struct unit *supply_unit(const struct supply *su, const char *id)
{
	const struct offer *o = offers_find(&su->offers, id);

	return o ? o->is : NULL;
}

/* Every GPU of it is reset by itself, so it has what all of them have. */
static const char *methods_of(const struct unit *u)
{
	const char *ret = "";

	list_each(f, &u->functions) {
		if ((*f)->kind == PCI_GPU) {
			if (!*(*f)->reset_method) {
				return "";
			}
			ret = (*f)->reset_method;
		}
	}
	return ret;
}

static bool is_hosted(const struct unit *u)
{
	return *u->card->driver && !pcifn_driver_is_vfio(u->card->driver);
}

static void tell_uses(struct supply *su)
{
	struct uses_unit *units, *vgpus;
	size_t n = 0, n_vgpus;

	demand_units(su->demand, &su->arena, &vgpus, &n_vgpus);
	units = arena_array(&su->arena, struct uses_unit, su->offers.items.n + n_vgpus);
	list_each(o, &su->offers.items) {
		const struct book *b = o->is ? books_find(su->facts.books, o->unit) : NULL;

		if (!b) {
			continue;
		}
		units[n++] = (struct uses_unit){
			.id = o->id,
			.place = b->place,
			.resource = o->resource ? o->resource : "",
			/* Not what uses says itself, or what is in doubt once would stay so. */
			.why = !o->offered && o->barred ? o->barred : "",
			.methods = methods_of(o->is),
			.hosted = is_hosted(o->is),
		};
	}
	if (n_vgpus) {
		memcpy(units + n, vgpus, n_vgpus * sizeof(*units));
	}
	uses_units(su->uses, units, n + n_vgpus, supply_now(su));
}

/* Where nothing is known, what was listed stays so: what pods have among it. */
void supply_offer(struct supply *su)
{
	make_offers(su);
	if (!su->facts.machine || !su->rivals_told) {
		return; /* a card that is another's must not even be reset */
	}
	tell_uses(su);
	if (su->io) {
		supply_rivals_names(su);
		plugin_io_offers(su->io, su->offers.lists.items, su->offers.lists.n);
	}
}
