/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/listing.h"
#include "node-daemon/hands.h"
#include "node-daemon/obey_inner.h"

static const char *refusals(const struct obey *o, struct arena *a)
{
	struct listing all;

	listing_init(&all, a, "; ");
	list_each(r, &o->orders.refused) {
		listing_add(&all, "%s: %s", r->id, r->why);
	}
	return listing_end(&all);
}

static void say(struct condition *c, const char *status, const char *reason, const char *message)
{
	*c = (struct condition){
		.type = "Obeying", .status = status, .reason = reason, .message = message};
}

static void judge(const struct obey *o, struct arena *a, struct condition *ret)
{
	if (o->closed) {
		say(ret, "False", "NoJournal", arena_strdup(a, o->closed));
	} else if (*o->books.refusal) {
		say(ret, "False", "JournalUnreadable", o->books.refusal);
	} else if (o->unwritten) {
		say(ret, "False", "JournalNotWritten",
		    arena_printf(a,
				 "%s; nothing is done that is not written down before, and it is "
				 "tried again every few seconds",
				 o->unwritten));
	} else if (o->orders.stale) {
		say(ret, "False", "StaleOrders", o->orders.stale);
	} else if (o->orders.refused.n) {
		say(ret, "False", "OrdersRefused", refusals(o, a));
	} else {
		say(ret, "True", "Obeying",
		    arena_printf(a, "%zu units are ordered, in term %" PRId64, o->orders.items.n,
				 o->orders.term));
	}
}

static void note(struct report_obeyed *ret, const struct verdict_on *v, const struct condition *c)
{
	ret->notes.items[ret->notes.n++] = (struct report_note){v->unit->card->address, *c};
}

static void note_unit(const struct obey *o, const struct verdict_on *v, struct arena *a,
		      struct report_obeyed *ret)
{
	struct condition c;

	if (v->plan.next == BIND_REFUSED) {
		note(ret, v, &v->plan.why);
	}
	if (hands_condition(o->hands, v->unit->card->address, a, &c)) {
		note(ret, v, &c);
	}
	if (v->cut.why.type) {
		note(ret, v, &v->cut.why);
	}
	if (v->book && v->book->whose == BOOK_QUARANTINED) {
		note(ret, v,
		     &(struct condition){"Quarantined", "True", "NotAsRecorded", v->book->why, 0,
					 NULL});
	}
}

void obey_report(const struct obey *o, struct arena *a, struct report_obeyed *ret)
{
	*ret = (struct report_obeyed){0};
	if (!o->machine || !o->heard || !o->orders.term) {
		return;
	}
	ret->term = o->orders.stale ? obey_highest_term(o) : o->orders.term;
	ret->generation = o->obeyed;
	judge(o, a, &ret->obeying);
	ret->notes.items = arena_array(a, struct report_note, o->units.n * 4);
	for (size_t i = 0; !o->closed && i < o->units.n; i++) {
		note_unit(o, &o->verdicts[i], a, ret);
	}
}
