/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/supply.h"

#include <stdlib.h>

#include "base/log.h"
#include "node-daemon/moves.h"
#include "node-daemon/supply_inner.h"

int64_t supply_now(const struct supply *su)
{
	return loop_now(su->s.loop);
}

void supply_turn_within(struct supply *su, int64_t ms)
{
	loop_timer_set(su->timer, MIN(supply_now(su) + ms, loop_timer_at(su->timer)));
}

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = text ? xstrdup(text) : NULL;
}

static void on_pods(void *ctx, const struct dpapi_holds *holds, const char *why)
{
	struct supply *su = ctx;
	int64_t age = podres_age_ms(su->pods);

	su->deaf_since = su->deaf ? su->deaf_since : supply_now(su);
	su->deaf_last = supply_now(su);
	set_text(&su->deaf, holds ? NULL : why);
	if (age >= 0) {
		uses_kubelet(su->uses, supply_now(su) - age);
	}
	uses_pods(su->uses, holds, why, supply_now(su));
	supply_turn(su);
}

/* --- what uses wants done --------------------------------------------------------------------- */

static void on_reset(void *ctx, const char *id, enum resets_end end, const char *method, int64_t ms,
		     const char *why)
{
	struct supply *su = ctx;

	if (end == RESETS_HUNG) {
		uses_suspect(su->uses, id);
	}
	uses_reset_done(su->uses, id, end == RESETS_GOOD, method, ms, why, supply_now(su));
	supply_work(su); /* an Allocate may wait for it */
	supply_turn_within(su, SUPPLY_MANY_MS);
}

/* It has waited for others, and somebody may have it by now. */
static void on_reset_asks(void *ctx, const char *id)
{
	supply_doubt(ctx, id);
	supply_turn_within(ctx, 0);
}

static void reset(struct supply *su, const char *id)
{
	const struct unit *u = supply_unit(su, id);

	if (demand_is(id)) {
		demand_remove(su->demand, id);
	} else if (u) {
		resets_add(su->resets, id, u);
	} else {
		uses_reset_done(su->uses, id, false, "", 0, "it is not there any more",
				supply_now(su));
	}
}

static void record(struct supply *su, const struct journal_use *use)
{
	struct err err;

	if (obey_record(su->s.obey, &(struct journal_record){.use = use}, false, &err) < 0) {
		log_warn("the journal takes no record of use", log_str("unit", use->id),
			 log_str("reason", err.text));
		uses_record_failed(su->uses, use->id, err.text, supply_now(su));
	}
}

/* False: there is nothing more to do now. */
static bool do_next(struct supply *su, bool *ret_any)
{
	struct uses_work w;
	int64_t wake;

	uses_next(su->uses, supply_now(su), &w, &wake);
	*ret_any |= w.what != USES_WAIT;
	switch (w.what) {
	case USES_WAIT:
		loop_timer_set(su->timer, MIN(wake, loop_timer_at(su->timer)));
		return false;
	case USES_RECORD:
		record(su, w.record);
		break;
	case USES_ANSWER:
		supply_answer(su, &w);
		break;
	case USES_REFUSE:
		supply_refuse(su, w.call, w.text);
		break;
	case USES_ASK_PODS:
		podres_ask(su->pods, on_pods, su);
		break;
	case USES_ASK_HOLDERS:
		supply_doubt(su, w.id);
		break;
	case USES_RESET:
		reset(su, w.id);
		break;
	}
	return true;
}

bool supply_work(struct supply *su)
{
	bool any = false;

	while (do_next(su, &any)) {
	}
	supply_ask_eyes(su);
	return any;
}

/* What uses says now is listed, and what is listed is told to uses, until neither is news. */
void supply_turn(struct supply *su)
{
	if (su->in_turn) {
		su->again = true;
		return;
	}
	su->in_turn = true;
	do {
		su->again = false;
		demand_turn(su->demand);
		supply_offer(su); /* first: what was offered before may lie in what is gone */
		su->again |= supply_work(su);
	} while (su->again);
	su->in_turn = false;
	supply_tell(su);
}

static void on_time(void *ctx)
{
	supply_turn(ctx);
}

/* --- what the kubelet asks -------------------------------------------------------------------- */

static void on_gone(void *ctx, struct grpc_call *call)
{
	struct supply *su = ctx;

	uses_call_gone(su->uses, call);
	demand_call_gone(su->demand, call);
	supply_turn_within(su, 0);
}

static void on_kubelet(void *ctx, int64_t age_ms)
{
	struct supply *su = ctx;

	uses_kubelet(su->uses, supply_now(su) - age_ms);
	if (su->rivals) { /* else it is our own start */
		supply_rivals_look(su);
	}
	supply_turn_within(su, 0);
}

static void on_lost(void *ctx)
{
	struct supply *su = ctx;

	su->s.lost(su->s.ctx);
}

/* --- from outside ----------------------------------------------------------------------------- */

static void open_plugin(struct supply *su, bool first)
{
	struct err err;

	su->io = plugin_io_create(su->s.loop,
				  &(struct plugin_io_settings){.folder = su->s.plugins,
							       .allocate = supply_allocate,
							       .preferred = supply_preferred,
							       .gone = on_gone,
							       .kubelet = on_kubelet,
							       .lost = on_lost,
							       .others = supply_rivals_others,
							       .ctx = su},
				  &err);
	set_text(&su->alone, su->io ? NULL : err.text);
	if (!su->io && first) {
		log_warn("no kubelet is told of the GPUs, and it is tried again",
			 log_str("reason", err.text));
	}
}

static void on_vgpus(void *ctx)
{
	supply_turn_within(ctx, 0);
}

static void on_vgpus_look(void *ctx)
{
	struct supply *su = ctx;

	su->s.look(su->s.ctx);
}

struct supply *supply_create(const struct supply_settings *s)
{
	struct supply *su = xcalloc(1, sizeof(*su));
	const struct journal *j = obey_journal(s->obey);
	struct obey_facts facts;

	obey_facts(s->obey, &facts);
	su->s = *s;
	arena_init(&su->arena, SUPPLY_TURN_BYTES);
	su->resets = resets_create(
		&(struct resets_settings){s->loop, s->sys, on_reset, on_reset_asks, su});
	su->eyes = eyes_create(&s->eyes);
	su->timer = loop_timer_create(s->loop, on_time, su, "supply");
	su->report = loop_timer_create(s->loop, supply_tell_resets, su, "resets");
	su->moves = moves_create();
	su->uses = uses_create(facts.boot ? facts.boot : "");
	su->demand = demand_create(&(struct demand_settings){.loop = s->loop,
							     .eyes = &s->eyes,
							     .sys = s->sys,
							     .obey = s->obey,
							     .uses = su->uses,
							     .again = on_vgpus,
							     .look = on_vgpus_look,
							     .ctx = su});
	if (j) {
		uses_restore(su->uses, j->uses.items, j->uses.n);
	}
	su->pods = podres_create(s->loop, s->pods, s->pod);
	open_plugin(su, true);
	supply_rivals_create(su);
	supply_turn(su);
	return su;
}

struct supply *supply_destroy(struct supply *su)
{
	plugin_io_destroy(su->io);
	supply_rivals_destroy(su);
	podres_destroy(su->pods);
	eyes_destroy(su->eyes);
	resets_destroy(su->resets);
	moves_destroy(su->moves);
	demand_destroy(su->demand);
	uses_destroy(su->uses);
	loop_timer_destroy(su->timer);
	loop_timer_destroy(su->report);
	arena_finish(&su->arena);
	free(su->alone);
	free(su->deaf);
	free(su->doubts);
	free(su);
	return NULL;
}

/* What it is not asked for any more, since what that was for is gone, is no trouble. */
static void forget_deaf(struct supply *su)
{
	if (su->deaf && supply_now(su) - su->deaf_last > SUPPLY_DEAF_MS) {
		set_text(&su->deaf, NULL);
		supply_tell(su);
	}
}

void supply_beat(struct supply *su)
{
	if (su->io) {
		plugin_io_check(su->io);
	} else {
		open_plugin(su, false);
		supply_rivals_look(su);
		supply_turn(su);
	}
	supply_rivals_beat(su);
	uses_beat(su->uses, supply_now(su));
	if (supply_work(su)) {
		supply_turn(su);
	}
	forget_deaf(su);
}

const char *supply_busy(const struct supply *su, uint64_t unit, struct arena *a)
{
	char text[PCIFN_TEXT_MAX];

	return uses_busy(su->uses, pcifn_text(unit, text), a);
}

void supply_given(const struct supply *su, struct arena *a, struct cut_use_list *ret)
{
	demand_given(su->demand, a, ret);
}
