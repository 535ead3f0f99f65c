/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/supply.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "node-daemon/eyes.h"
#include "node-daemon/grant.h"
#include "node-daemon/offers.h"
#include "node-daemon/plugin_io.h"
#include "node-daemon/podres.h"
#include "node-daemon/prefer.h"
#include "node-daemon/resets.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/uses.h"
#include "node-daemon/demand.h"

#define TURN_BYTES (16 * MiB)

struct supply {
	struct supply_settings s;
	struct uses *uses;
	struct podres *pods;
	struct plugin_io *io; /* NULL: the kubelet's folder was not there yet */
	struct loop_timer *timer;
	struct arena arena; /* of the offers */
	struct obey_facts facts;
	struct offers offers;
	struct resets *resets;
	struct demand *demand;
	struct eyes *eyes;
	uint64_t *doubts; /* units that they are to be asked of */
	size_t n_doubts;
	bool asking;
	bool in_turn, again; /* what a turn causes is the same turn's */
	uint64_t reported;   /* of what the report was told last */
};

static int64_t now_of(const struct supply *su)
{
	return loop_now(su->s.loop);
}

/* --- which devices there are ------------------------------------------------------------------ */

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

static void make_offers(struct supply *su)
{
	static const struct obey_facts nothing;
	struct offers_seen seen;

	obey_facts(su->s.obey, &su->facts);
	su->offers = (struct offers){0};
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
	offers_make(&seen, &su->arena, &su->offers);
	demand_offer(su->demand, &su->offers, &su->arena);
}

static const struct unit *unit_of(const struct supply *su, const char *id)
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
	uses_units(su->uses, units, n + n_vgpus, now_of(su));
}

/* Where nothing is known, what was listed stays so: what pods have among it. */
static void offer(struct supply *su)
{
	make_offers(su);
	if (!su->facts.machine) {
		return;
	}
	tell_uses(su);
	if (su->io) {
		plugin_io_offers(su->io, su->offers.lists.items, su->offers.lists.n);
	}
}

static void turn(struct supply *su);

static void on_pods(void *ctx, const struct dpapi_holds *holds, const char *why)
{
	struct supply *su = ctx;
	int64_t age = podres_age_ms(su->pods);

	if (age >= 0) {
		uses_kubelet(su->uses, now_of(su) - age);
	}
	uses_pods(su->uses, holds, why, now_of(su));
	turn(su);
}

/* --- who has it open -------------------------------------------------------------------------- */

static void ask_eyes(struct supply *su);

static void on_eyes(void *ctx, const struct eyes_answer *answer)
{
	static const enum uses_holders answers[] = {[BIND_USERS_UNKNOWN] = USES_NOT_KNOWN,
						    [BIND_USERS_NONE] = USES_NOBODY,
						    [BIND_USERS_SOME] = USES_SOMEBODY};
	struct supply *su = ctx;
	char id[PCIFN_TEXT_MAX];

	su->asking = false;
	list_each(a, &answer->units) {
		uses_holders(su->uses, pcifn_text(a->id, id), answers[a->users], a->who,
			     now_of(su));
	}
	ask_eyes(su);
	turn(su);
}

/* All that wait, in one question; those that come meanwhile, in the next. */
static void ask_eyes(struct supply *su)
{
	attr_cleanup(arena_finish) struct arena a;
	struct eyes_question q;
	char id[PCIFN_TEXT_MAX];
	size_t taken = 0;

	arena_init(&a, TURN_BYTES);
	if (su->asking || !su->n_doubts) {
		return;
	}
	q = (struct eyes_question){.items = arena_array(&a, struct eyes_unit, EYES_MAX_UNITS)};
	while (taken < su->n_doubts && q.n < EYES_MAX_UNITS) {
		uint64_t unit = su->doubts[taken++];
		const struct unit *u = unit_of(su, pcifn_text(unit, id));

		if (u) {
			eyes_unit_of(u, &a, &q.items[q.n++]);
		} else {
			uses_holders(su->uses, id, USES_NOT_KNOWN, "it is not there any more",
				     now_of(su));
		}
	}
	su->n_doubts -= taken;
	memmove(su->doubts, su->doubts + taken, su->n_doubts * sizeof(*su->doubts));
	if (q.n) {
		su->asking = true;
		eyes_ask(su->eyes, &q, EYES_ASK_MS, on_eyes, su);
	}
}

static void doubt(struct supply *su, const char *id)
{
	uint64_t unit;

	if (demand_is(id)) {
		demand_ask_holders(su->demand, id);
	} else if (pcifn_parse(id, &unit) == 0) {
		su->doubts = xrealloc(su->doubts, (su->n_doubts + 1) * sizeof(*su->doubts));
		su->doubts[su->n_doubts++] = unit;
	}
}

/* --- what uses wants done --------------------------------------------------------------------- */

static void on_reset(void *ctx, const char *id, bool good, const char *method, int64_t ms,
		     const char *why)
{
	struct supply *su = ctx;

	uses_reset_done(su->uses, id, good, method, ms, why, now_of(su));
	turn(su);
}

static void reset(struct supply *su, const char *id)
{
	const struct unit *u = unit_of(su, id);

	if (demand_is(id)) {
		demand_remove(su->demand, id);
	} else if (u) {
		resets_add(su->resets, id, u);
	} else {
		uses_reset_done(su->uses, id, false, "", 0, "it is not there any more", now_of(su));
	}
}

static void record(struct supply *su, const struct journal_use *use)
{
	struct err err;

	if (obey_record(su->s.obey, &(struct journal_record){.use = use}, false, &err) < 0) {
		log_warn("the journal takes no record of use", log_str("unit", use->id),
			 log_str("reason", err.text));
		uses_record_failed(su->uses, use->id, err.text, now_of(su));
	}
}

/* What each container gets, or why not. */
static int grants(struct supply *su, const struct dpapi_asks *asks, struct arena *a,
		  struct dpapi_grant *ret, struct err *err)
{
	for (size_t i = 0; i < asks->n; i++) {
		const struct dpapi_ids *ids = &asks->items[i];
		const struct unit **units = arena_array(a, const struct unit *, ids->n);
		const struct offer *o = NULL;

		for (size_t k = 0; k < ids->n; k++) {
			o = offers_find(&su->offers, ids->items[k]);
			if (!o || !o->is || !o->variable) {
				return err_set(err, "%s: it is not there any more", ids->items[k]);
			}
			units[k] = o->is;
		}
		if (grant_make(&(struct grant_asked){.machine = su->facts.machine,
						     .resource = o ? o->resource : "",
						     .units = units,
						     .n = ids->n},
			       a, &ret[i], err) < 0) {
			return -1;
		}
	}
	return 0;
}

static void answer(struct supply *su, struct grpc_call *call, const struct dpapi_asks *asks)
{
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_grant *containers;
	auto_buf struct buf b;
	struct err err;

	arena_init(&a, TURN_BYTES);
	buf_init(&b, GRPC_SEND_MAX);
	containers = arena_array(&a, struct dpapi_grant, asks->n);
	if (grants(su, asks, &a, containers, &err) < 0) {
		grpc_end(call, GRPC_FAILED_PRECONDITION, err.text);
		return;
	}
	dpapi_write_grants(&b, containers, asks->n);
	if (!buf_ok(&b) || grpc_reply(call, buf_text(&b), b.len) < 0) {
		grpc_end(call, GRPC_INTERNAL, "the answer is larger than the kubelet takes");
	}
}

static void refuse(struct supply *su, struct grpc_call *call, const char *why)
{
	log_warn("the kubelet asked in vain", log_str("reason", why));
	grpc_end(call, GRPC_FAILED_PRECONDITION, why);
	su->again = true;
}

static bool asks_vgpus(const struct dpapi_asks *asks)
{
	list_each(ids, asks) {
		if (ids->n) {
			return demand_is(ids->items[0]);
		}
	}
	return false;
}

/* False: there is nothing more to do now. */
static bool do_next(struct supply *su, bool *ret_any)
{
	struct uses_work w;
	int64_t wake;

	uses_next(su->uses, now_of(su), &w, &wake);
	*ret_any |= w.what != USES_WAIT;
	switch (w.what) {
	case USES_WAIT:
		loop_timer_set(su->timer, MIN(wake, loop_timer_at(su->timer)));
		return false;
	case USES_RECORD:
		record(su, w.record);
		break;
	case USES_ANSWER:
		if (asks_vgpus(w.asks)) {
			demand_answer(su->demand, w.call, w.resource, w.asks);
		} else {
			answer(su, w.call, w.asks);
		}
		break;
	case USES_REFUSE:
		refuse(su, w.call, w.text);
		break;
	case USES_ASK_PODS:
		podres_ask(su->pods, on_pods, su);
		break;
	case USES_ASK_HOLDERS:
		doubt(su, w.id);
		break;
	case USES_RESET:
		reset(su, w.id);
		break;
	}
	return true;
}

/* True: there was something. */
static bool work(struct supply *su)
{
	bool any = false;

	while (do_next(su, &any)) {
	}
	ask_eyes(su);
	return any;
}

/* Of all that supply_report says. */
static uint64_t reported(const struct supply *su)
{
	uint64_t h = HASH_SEED;
	struct uses_view v;

	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		const char *const texts[] = {v.id, v.ns, v.pod, v.why, v.method};
		const int64_t numbers[] = {v.state, v.ms, v.at};

		for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
			h = hash_str(h, texts[k]);
		}
		h = hash_bytes(h, numbers, sizeof(numbers));
	}
	list_each(o, &su->offers.items) {
		h = hash_str(h, o->is && !o->offered && o->why ? o->why : "");
	}
	return h;
}

/* What uses says now is listed, and what is listed is told to uses, until neither is news. */
static void turn(struct supply *su)
{
	if (su->in_turn) {
		su->again = true;
		return;
	}
	su->in_turn = true;
	do {
		su->again = false;
		demand_turn(su->demand);
		offer(su); /* first: what was offered before may lie in what is gone */
		su->again |= work(su);
	} while (su->again);
	su->in_turn = false;
	if (reported(su) != su->reported) {
		su->reported = reported(su);
		su->s.changed(su->s.ctx);
	}
}

static void turn_soon(struct supply *su)
{
	loop_timer_set(su->timer, now_of(su));
}

static void on_time(void *ctx)
{
	turn(ctx);
}

/* --- what the kubelet asks -------------------------------------------------------------------- */

static const char *not_as_looked_at(struct supply *su, const struct pci_function *f,
				    bool check_config, struct arena *a)
{
	char text[PCIFN_TEXT_MAX], have[256];
	auto_free char *path = xprintf("bus/pci/devices/%s", pcifn_text(f->address, text));
	auto_close int dir = sysfs_dir(su->s.sys, path);
	uint16_t vendor = UINT16_MAX;

	if (dir < 0) {
		return arena_printf(a, "%s: it is not there any more", text);
	}
	if (sysfs_link_name(dir, "driver", have, sizeof(have)) < 0 || !str_eq(have, f->driver)) {
		return arena_printf(a, "%s: it is not on %s any more", text, f->driver);
	}
	if (check_config && f->kind == PCI_GPU &&
	    (sysfs_config_vendor(dir, &vendor) < 0 || vendor == UINT16_MAX)) {
		return arena_printf(
			a,
			"%s: its config space reads as ones: the card is dead or has "
			"lost its power; a power cycle of the machine may bring it back",
			text);
	}
	return NULL;
}

/* The last look may be a moment old, and nothing tells that a card has died. */
static const char *unfit_unit(struct supply *su, const char *id, struct arena *a)
{
	const struct offer *o = offers_find(&su->offers, id);
	const char *why = NULL;
	bool check_config;

	if (!o || !o->is) {
		return NULL; /* uses has words for that */
	}
	if (o->barred) { /* listed for who has it, not for the next one */
		return arena_printf(a, "%s: %s", id, o->barred);
	}
	/* A reset keeps others from the config space until it has ended (pci_wait_cfg), and says
	 * itself whether the card answers then. */
	check_config = !resets_has(su->resets, id);
	for (size_t i = 0; !why && i < o->is->functions.n; i++) {
		const struct pci_function *f = o->is->functions.items[i];

		why = f->kind == PCI_MEMBER ? NULL : not_as_looked_at(su, f, check_config, a);
	}
	return why;
}

static const char *unfit(struct supply *su, const struct dpapi_asks *asks, struct arena *a)
{
	const char *why = NULL;

	list_each(ids, asks) {
		for (size_t i = 0; !why && i < ids->n; i++) {
			why = unfit_unit(su, ids->items[i], a);
		}
	}
	return why;
}

static void on_allocate(void *ctx, const char *resource, struct grpc_call *call,
			const void *message, size_t n)
{
	struct supply *su = ctx;
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_asks asks;
	const char *why;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	if (dpapi_read_allocate(message, n, &a, &asks, &err) < 0) {
		grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
		return;
	}
	why = unfit(su, &asks, &a);
	if (why) {
		refuse(su, call, why);
		su->s.look(su->s.ctx);
		return;
	}
	uses_allocate(su->uses, call, resource, &asks, now_of(su));
	work(su);
	turn_soon(su); /* the kubelet need not wait for the lists that follow from it */
}

static void on_gone(void *ctx, struct grpc_call *call)
{
	struct supply *su = ctx;

	uses_call_gone(su->uses, call);
	demand_call_gone(su->demand, call);
	turn_soon(su);
}

static void on_preferred(void *ctx, attr_unused const char *resource, struct grpc_call *call,
			 const void *message, size_t n)
{
	struct supply *su = ctx;
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_wishes wishes;
	struct dpapi_ids *best;
	auto_buf struct buf b;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	buf_init(&b, GRPC_SEND_MAX);
	if (dpapi_read_preferred(message, n, &a, &wishes, &err) < 0) {
		grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
		return;
	}
	if (!su->facts.units) {
		grpc_end(call, GRPC_UNAVAILABLE, "nothing is known of this node's devices now");
		return;
	}
	best = arena_array(&a, struct dpapi_ids, wishes.n);
	for (size_t i = 0; i < wishes.n; i++) {
		if (prefer_make(su->facts.units, &wishes.items[i], &a, &best[i], &err) < 0) {
			grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
			return;
		}
	}
	dpapi_write_preferred(&b, best, wishes.n);
	grpc_reply(call, buf_text(&b), b.len);
}

static void on_kubelet(void *ctx, int64_t age_ms)
{
	struct supply *su = ctx;

	uses_kubelet(su->uses, now_of(su) - age_ms);
	turn_soon(su);
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
							       .allocate = on_allocate,
							       .preferred = on_preferred,
							       .gone = on_gone,
							       .kubelet = on_kubelet,
							       .lost = on_lost,
							       .ctx = su},
				  &err);
	if (!su->io && first) {
		log_warn("no kubelet is told of the GPUs, and it is tried again",
			 log_str("reason", err.text));
	}
}

static void on_vgpus(void *ctx)
{
	turn_soon(ctx);
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
	arena_init(&su->arena, TURN_BYTES);
	su->resets = resets_create(&(struct resets_settings){s->loop, s->sys, on_reset, su});
	su->eyes = eyes_create(&s->eyes);
	su->timer = loop_timer_create(s->loop, on_time, su, "supply");
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
	su->pods = podres_create(s->loop, s->pods);
	open_plugin(su, true);
	turn(su);
	return su;
}

struct supply *supply_destroy(struct supply *su)
{
	plugin_io_destroy(su->io);
	podres_destroy(su->pods);
	eyes_destroy(su->eyes);
	resets_destroy(su->resets);
	demand_destroy(su->demand);
	uses_destroy(su->uses);
	loop_timer_destroy(su->timer);
	arena_finish(&su->arena);
	free(su->doubts);
	free(su);
	return NULL;
}

void supply_turn(struct supply *su)
{
	turn(su);
}

void supply_beat(struct supply *su)
{
	if (su->io) {
		plugin_io_check(su->io);
	} else {
		open_plugin(su, false);
		turn(su);
	}
	uses_beat(su->uses, now_of(su));
	if (work(su)) {
		turn(su);
	}
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

/* --- report ----------------------------------------------------------------------------------- */

static void note(struct report_obeyed *ret, uint64_t unit, const char *type, const char *status,
		 const char *reason, const char *why)
{
	ret->notes.items[ret->notes.n++] =
		(struct report_note){unit, {type, status, reason, why, 0, NULL}};
}

/* That a unit is with a pod keeps nobody from wanting it next; that it is not clean does. */
static void note_use(const struct uses_view *v, uint64_t unit, struct report_obeyed *ret)
{
	if (v->state == USES_DIRTY) {
		note(ret, unit, "Dirty", "True", "NotReset", v->why);
		note(ret, unit, "Available", "False", "Dirty", v->why);
	} else if (*v->why && v->state != USES_HELD && v->state != USES_GIVEN) {
		note(ret, unit, "Available", "False", "InUse", v->why);
	}
}

static void report_use(const struct supply *su, const struct uses_view *v, uint64_t unit,
		       struct report_obeyed *ret)
{
	bool held = v->state == USES_HELD && *v->pod;
	bool reset = *v->method && v->at;

	if (held || reset) {
		ret->uses.items[ret->uses.n++] = (struct report_use){
			unit,
			held ? v->ns : NULL,
			held ? v->pod : NULL,
			reset ? v->method : NULL,
			v->ms,
			clock_wall_ms() - (now_of(su) - v->at),
		};
	}
}

/* What is ordered for virtual machines, is ready, and is not listed all the same. */
static void note_offer(const struct supply *su, const struct offer *o, struct report_obeyed *ret)
{
	if (o->is && !o->offered && o->why && str_eq(unit_mode(o->is), "vfio") &&
	    orders_for(su->facts.orders, o->is) == WANT_VFIO) {
		note(ret, o->unit, "Available", "False", "NotAdvertised", o->why);
	}
}

void supply_report(const struct supply *su, struct arena *a, struct report_obeyed *ret)
{
	size_t room = ret->notes.n + 3 * su->offers.items.n;
	struct report_note *notes = arena_array(a, struct report_note, room);
	struct uses_view v;
	uint64_t unit;

	if (ret->notes.n) {
		memcpy(notes, ret->notes.items, ret->notes.n * sizeof(*notes));
	}
	ret->notes.items = notes;
	ret->uses.items = arena_array(a, struct report_use, su->offers.items.n);
	demand_report(su->demand, a, ret);
	list_each(o, &su->offers.items) {
		note_offer(su, o, ret);
	}
	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		if (offers_find(&su->offers, v.id) && pcifn_parse(v.id, &unit) == 0) {
			note_use(&v, unit, ret);
			report_use(su, &v, unit, ret);
		}
	}
}
