/* SPDX-License-Identifier: Apache-2.0 */
/* Who has one open. */
#include <string.h>

#include "node-daemon/supply_inner.h"

static void tell(struct supply *su, const char *id, enum uses_holders holders, const char *who)
{
	bool may = holders == USES_NOBODY && uses_wants_reset(su->uses, id);

	if (resets_asks(su->resets, id)) {
		resets_may(su->resets, id, may);
		if (may) {
			return;
		}
		holders = holders == USES_NOBODY ? USES_NOT_KNOWN : holders; /* it is not wanted */
	}
	uses_holders(su->uses, id, holders, who, supply_now(su));
}

static void on_eyes(void *ctx, const struct eyes_answer *answer)
{
	static const enum uses_holders answers[] = {[BIND_USERS_UNKNOWN] = USES_NOT_KNOWN,
						    [BIND_USERS_NONE] = USES_NOBODY,
						    [BIND_USERS_SOME] = USES_SOMEBODY};
	struct supply *su = ctx;
	char id[PCIFN_TEXT_MAX];

	su->asking = false;
	list_each(a, &answer->units) {
		tell(su, pcifn_text(a->id, id), answers[a->users], a->who);
	}
	supply_ask_eyes(su);
	supply_turn(su);
}

/* All that wait, in one question; those that come meanwhile, in the next. */
void supply_ask_eyes(struct supply *su)
{
	attr_cleanup(arena_finish) struct arena a;
	struct eyes_question q;
	char id[PCIFN_TEXT_MAX];
	size_t taken = 0;

	arena_init(&a, SUPPLY_TURN_BYTES);
	if (su->asking || !su->n_doubts) {
		return;
	}
	q = (struct eyes_question){.items = arena_array(&a, struct eyes_unit, EYES_MAX_UNITS)};
	while (taken < su->n_doubts && q.n < EYES_MAX_UNITS) {
		uint64_t unit = su->doubts[taken++];
		const struct unit *u = supply_unit(su, pcifn_text(unit, id));

		if (u) {
			eyes_unit_of(u, &a, &q.items[q.n++]);
		} else {
			tell(su, id, USES_NOT_KNOWN, "it is not there any more");
		}
	}
	su->n_doubts -= taken;
	memmove(su->doubts, su->doubts + taken, su->n_doubts * sizeof(*su->doubts));
	if (q.n) {
		su->asking = true;
		eyes_ask(su->eyes, &q, EYES_ASK_MS, on_eyes, su);
	}
}

void supply_doubt(struct supply *su, const char *id)
{
	uint64_t unit;

	if (demand_is(id)) {
		demand_ask_holders(su->demand, id);
	} else if (pcifn_parse(id, &unit) == 0) {
		su->doubts = xrealloc(su->doubts, (su->n_doubts + 1) * sizeof(*su->doubts));
		su->doubts[su->n_doubts++] = unit;
	}
}
