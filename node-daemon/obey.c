/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/obey_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "json/write.h"
#include "node-daemon/hands_run.h"
#include "node-daemon/inuse.h"

#define TURN_BYTES (16 * MiB)
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define OPEN_AGAIN_MS 5000
#define ALONE_AFTER_MS                                                                             \
	3000 /* without a word of the API server: the orders are those of the journal */

static const struct steps none;

/* --- the journal ------------------------------------------------------------------------------ */

static void say_closed(struct obey *o, const char *why)
{
	if (!o->closed || !str_eq(o->closed, why)) {
		log_warn("no order is obeyed: there is no journal", log_str("reason", why));
	}
	free(o->closed);
	o->closed = xstrdup(why);
}

static void open_journal(struct obey *o)
{
	struct err err;

	if (o->dir < 0) {
		if (mkdir(o->s.state_dir, 0700) == 0 || errno == EEXIST) {
			o->dir = open(o->s.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
		if (o->dir < 0) {
			err_set(&err, "--state-dir %s: %s", o->s.state_dir, strerror(errno));
			say_closed(o, err.text);
			return;
		}
		journal_file_init(&o->file, o->dir);
	}
	if (journal_file_open(&o->file, o->s.node, o->boot, &err) < 0) {
		say_closed(o, err.text);
		return;
	}
	free(take(o->closed));
}

/* -1: it is logged, and ends the turn. */
static int record(struct obey *o, const struct journal_record *r, bool sync)
{
	struct err err;

	if (journal_file_add(&o->file, r, sync, &err) < 0) {
		log_warn("the journal takes no record", log_str("reason", err.text));
		o->unrecorded = true;
		free(o->unwritten);
		o->unwritten = xstrdup(err.text);
		return -1;
	}
	return 0;
}

static const struct verdict_on *verdict_of(const struct obey *o, uint64_t unit)
{
	for (size_t i = 0; i < o->units.n; i++) {
		if (o->units.items[i].card->address == unit) {
			return &o->verdicts[i];
		}
	}
	return NULL;
}

/* That something is about to be begun with the unit, or has come to its end. */
static int record_unit(struct obey *o, const struct book *b, const struct unit *u,
		       const char *state, bool sync)
{
	struct journal_unit unit;

	if (state) {
		book_record(b, u, state, o->boot, &o->arena, &unit);
	} else {
		book_returned(b, o->boot, &o->arena, &unit);
	}
	return record(o, &(struct journal_record){.unit = &unit}, sync);
}

static const char *begun(enum book_doing doing)
{
	return doing == BOOK_BACK ? JOURNAL_RETURNING : JOURNAL_BINDING;
}

/* The orders that are obeyed from now on, so that a start without an API server knows them. */
static int record_orders(struct obey *o)
{
	const struct journal_orders *last = o->file.journal.orders;
	json_t *spec;
	auto_buf struct buf text = {.max = JOURNAL_MAX_LINE};
	struct journal_orders now;

	if (!o->heard || *o->books.refusal ||
	    (last && last->term == o->orders.term && last->generation == o->generation)) {
		return 0;
	}
	spec = type_json(&node_orders_type, o->given);
	json_write(spec, &text);
	json_decref(spec);
	now = (struct journal_orders){o->orders.term, o->generation, buf_text(&text)};
	return record(o, &(struct journal_record){.orders = &now}, true);
}

/* --- what is known of the machine ------------------------------------------------------------- */

static void note_change(struct obey *o, uint64_t unit)
{
	if (o->n_changed == o->changed_room) {
		o->changed_room = o->changed_room ? 2 * o->changed_room : 8;
		o->changed = xrealloc(o->changed, o->changed_room * sizeof(*o->changed));
	}
	o->changed[o->n_changed++] = unit;
	o->s.look(o->s.ctx);
}

static bool is_changed(const struct obey *o, uint64_t unit)
{
	for (size_t i = 0; i < o->n_changed; i++) {
		if (o->changed[i] == unit) {
			return true;
		}
	}
	return false;
}

/* --- programs --------------------------------------------------------------------------------- */

static void turn(struct obey *o);

static bool same_steps(const struct steps *a, const struct steps *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++) {
		same = a->items[i].verb == b->items[i].verb && a->items[i].at == b->items[i].at &&
		       str_eq(a->items[i].value, b->items[i].value);
	}
	return same;
}

/* That the last turn wanted what has been done. */
static bool is_still_wanted(const struct verdict_on *v, const struct steps *done,
			    enum bind_next next)
{
	return v && v->book && v->plan.next == next && same_steps(&v->plan.steps, done);
}

/* What was read goes into the journal before anything of it is overwritten. */
static void learn(struct obey *o, const struct verdict_on *v, const struct steps *steps,
		  const struct steps_heard *heard)
{
	struct book known = *v->book;

	bind_learn(&known, steps, heard);
	record_unit(o, &known, v->unit, begun(v->plan.doing), true);
}

/* Things may have changed meanwhile: then nothing is noted, and the next turn says what now. */
static void on_end(void *ctx, uint64_t unit, uint64_t goal, const struct steps *steps, bool good,
		   const struct steps_heard *heard)
{
	struct obey *o = ctx;
	const struct verdict_on *v = verdict_of(o, unit);
	char text[PCIFN_TEXT_MAX];

	if (good && is_still_wanted(v, steps, BIND_READ)) {
		learn(o, v, steps, heard);
		turn(o);
		return;
	}
	if (good && is_still_wanted(v, steps, BIND_WRITE)) {
		record_unit(o, v->book, v->unit, goal == BOOK_BACK ? NULL : JOURNAL_BOUND, false);
		log_info(goal == BOOK_BACK ? "given back" : "brought to vfio-pci",
			 log_str("unit", pcifn_text(unit, text)));
	} else if (heard->why) {
		log_warn("not done", log_str("unit", pcifn_text(unit, text)),
			 log_str("reason", heard->why));
	}
	if (goal & CUTS_GOAL) {
		if (good) {
			log_info("cut as ordered", log_str("unit", pcifn_text(unit, text)),
				 log_int("steps", (int64_t)steps->n));
		}
		cuts_ended(o->cuts, unit, steps, good ? steps->n : heard->done, heard->why);
	}
	note_change(o, unit); /* how far it came is to be seen */
	turn(o);
}

/* The record first: a crash between it and the first write is a program begun that did nothing. */
static int prepare(struct obey *o, const struct verdict_on *v)
{
	bool told = v->book->doing == v->plan.doing;

	for (size_t i = 0; i < v->book->functions.n; i++) {
		told &= v->book->functions.items[i].known ||
			v->unit->functions.items[i]->kind == PCI_MEMBER;
	}
	if (v->plan.next != BIND_WRITE || told) {
		return 0;
	}
	return record_unit(o, v->book, v->unit, begun(v->plan.doing), true);
}

/* --- a turn ----------------------------------------------------------------------------------- */

/* Who orders nothing of it any more has seen to it. */
static void end_quarantine(struct obey *o, const struct verdict_on *v)
{
	if (v->book->recorded && !*o->books.refusal &&
	    record_unit(o, v->book, v->unit, NULL, true) == 0) {
		loop_timer_set(o->timer, loop_now(o->s.loop));
	}
}

static bool acts(struct obey *o, const struct verdict_on *v)
{
	return (v->plan.next == BIND_READ || v->plan.next == BIND_WRITE) && prepare(o, v) == 0;
}

/* A driver is to be taken from a function of the unit. */
static bool takes_away(const struct unit *u, enum want want, const struct book *b)
{
	bool vfio = true, any = false;

	list_each(f, &u->functions) {
		if ((*f)->kind != PCI_MEMBER && *(*f)->driver) {
			any = true;
			vfio &= pcifn_driver_is_vfio((*f)->driver);
		}
	}
	return any && (want == WANT_VFIO ? !vfio
					 : b->whose == BOOK_OURS && (want != WANT_LEAVE ||
								     b->doing != BOOK_NOTHING));
}

/* --- who uses it ------------------------------------------------------------------------------ */

static void wake_at(struct obey *o, int64_t at)
{
	loop_timer_set(o->timer, MIN(at, loop_timer_at(o->timer)));
}

/* False: that is being asked. What cannot be seen counts as in use. */
static bool look_for_users(struct obey *o, struct bind_seen *seen)
{
	const char *who;
	int64_t again;

	if (!takes_away(seen->unit, seen->want, seen->book)) {
		return true;
	}
	if (!inuse_of(o->inuse, seen->unit, &seen->users, &who, &again)) {
		return false;
	}
	wake_at(o, again);
	seen->holder = arena_strdup(&o->arena, who);
	if (seen->users == BIND_USERS_UNKNOWN && seen->want != WANT_VFIO) {
		seen->users = BIND_USERS_SOME;
		seen->holder =
			arena_printf(&o->arena, "somebody whom this daemon cannot see (%s)", who);
	}
	return true;
}

static void on_seen(void *ctx)
{
	turn(ctx);
}

static void on_seen_now(void *ctx, uint64_t unit, enum bind_users users, const char *who)
{
	struct obey *o = ctx;
	auto_free char *why =
		o->s.busy && o->s.busy(o->s.ctx, unit, &o->arena)
			? xstrdup("it was given to a pod meanwhile")
		: users == BIND_USERS_NONE ? NULL
		: users == BIND_USERS_SOME
			? xprintf("it is used by now: by %s", who)
			: xprintf("whether anybody uses it by now is not known: %s", who);

	hands_run_answer(o->run, unit, why);
}

static bool given(struct obey *o, struct cut_use_list *ret)
{
	*ret = (struct cut_use_list){0};
	return o->s.given && o->s.given(o->s.ctx, &o->arena, ret);
}

static void on_place_seen_now(void *ctx, uint64_t unit, const char *why)
{
	struct obey *o = ctx;
	const struct verdict_on *v = verdict_of(o, unit);
	struct cut_use_list uses;

	given(o, &uses);
	if (!why && v) {
		why = cuts_given(&uses, v->unit, &v->cut.steps, &o->arena);
	}
	hands_run_answer(o->run, unit, why);
}

/* Somebody may have begun to use it since it was planned. */
static enum hands_run_may may_run(void *ctx, uint64_t unit)
{
	struct obey *o = ctx;
	const struct verdict_on *v = verdict_of(o, unit);

	if (v && v->cut.steps.n) {
		return cuts_now(o->cuts, v->unit, &v->cut.steps, on_place_seen_now, o)
			       ? HANDS_RUN_WAIT
			       : HANDS_RUN_MAY;
	}
	if (!v || !v->book || v->plan.next != BIND_WRITE ||
	    !takes_away(v->unit, orders_for(&o->orders, v->unit), v->book)) {
		return HANDS_RUN_MAY;
	}
	inuse_now(o->inuse, v->unit, on_seen_now, o);
	return HANDS_RUN_WAIT;
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* Whom the kubelet gave it to knows more than who has it open already. */
static bool look_for_holders(struct obey *o, struct bind_seen *seen)
{
	const char *busy =
		o->s.busy ? o->s.busy(o->s.ctx, seen->unit->card->address, &o->arena) : NULL;

	if (busy) {
		seen->users = BIND_USERS_SOME;
		seen->holder = busy;
	}
	return busy;
}

/* True: the unit's drivers are as ordered, so that it may be cut. */
static bool plan_cut(struct obey *o, struct verdict_on *v)
{
	struct cuts_seen seen = {
		.all = {o->machine, &o->units, &o->books, &o->orders, &o->file.journal,
			.node = o->s.node, .boot = o->boot},
		.unit = v->unit,
		.book = v->book,
		.running = hands_busy(o->hands, v->unit->card->address),
	};

	if (v->plan.next != BIND_REST || v->plan.doing != BOOK_NOTHING) {
		return false;
	}
	seen.all.looked = o->looked;
	seen.all.uses = o->uses;
	seen.busy = o->s.busy ? o->s.busy(o->s.ctx, v->unit->card->address, &o->arena) : NULL;
	cuts_plan(o->cuts, &seen, &o->arena, &v->cut);
	wake_at(o, v->cut.again);
	return true;
}

static void record_slots(struct obey *o, const struct vgpu_tidying *t)
{
	list_each(slot, &t->noted) {
		record(o, &(struct journal_record){.slot = slot}, false);
	}
	list_each(slot, &t->before) {
		record(o, &(struct journal_record){.slot = slot}, true);
	}
}

/* The records that go before the steps. */
static void cut(struct obey *o, const struct verdict_on *v)
{
	record_slots(o, &v->cut.tidied);
	record_slots(o, &v->cut.kept);
	hands_want(o->hands, v->unit->card->address, v->cut.goal,
		   o->unrecorded ? &none : &v->cut.steps, loop_now(o->s.loop));
}

static void decide(struct obey *o, const struct unit *u, struct verdict_on *v)
{
	struct bind_seen seen = {
		.machine = o->machine,
		.unit = u,
		.book = books_find(&o->books, u->card->address),
		.want = orders_for(&o->orders, u),
		.users = BIND_USERS_UNKNOWN,
		.refusal = o->books.refusal,
	};
	bool cuts = false;

	*v = (struct verdict_on){u, seen.book, {.next = BIND_REST}, {.again = INT64_MAX}};
	if (!seen.book) {
		return;
	}
	if (seen.book->whose == BOOK_QUARANTINED && seen.want == WANT_LEAVE && o->heard) {
		end_quarantine(o, v);
		return;
	}
	if (look_for_holders(o, &seen) || look_for_users(o, &seen)) {
		plan_bind(&seen, &o->arena, &v->plan);
		cuts = plan_cut(o, v);
	}
	if (is_changed(o, u->card->address)) {
		return; /* it is planned again when it has been looked at */
	}
	if (cuts) {
		cut(o, v);
		return;
	}
	hands_want(o->hands, u->card->address, v->plan.doing, acts(o, v) ? &v->plan.steps : &none,
		   loop_now(o->s.loop));
	if (v->plan.next == BIND_REST && v->plan.doing == BOOK_BACK) {
		record_unit(o, seen.book, u, NULL, false);
	}
}

/* What cannot be read is kept aside, and what it may have said of cards is not forgotten: they are
 * left alone until somebody says otherwise. */
static void begin_anew(struct obey *o)
{
	struct journal_unit *units = arena_array(&o->arena, struct journal_unit, o->books.items.n);
	struct err err;
	size_t n = 0;

	list_each(b, &o->books.items) {
		if (b->whose == BOOK_QUARANTINED) {
			book_quarantine(b, o->boot, &o->arena, &units[n++]);
		}
	}
	log_warn("the journal cannot be read: it is kept aside, and a new one is begun",
		 log_str("reason", o->file.journal.trouble));
	if (journal_file_restart(&o->file, o->s.node, o->boot, units, n, &err) < 0) {
		log_warn("no new journal", log_str("reason", err.text));
	}
}

static void make_books(struct obey *o)
{
	books_make(&o->file.journal, &o->units, o->s.node, o->boot, &o->arena, &o->books);
	if (o->file.journal.health == JOURNAL_BROKEN) {
		begin_anew(o);
		books_make(&o->file.journal, &o->units, o->s.node, o->boot, &o->arena, &o->books);
	}
}

/* Nothing is begun that waits: it was wanted before. */
static void want_nothing(struct obey *o)
{
	list_each(u, &o->units) {
		hands_want(o->hands, u->card->address, BOOK_NOTHING, &none, loop_now(o->s.loop));
	}
}

/* What nobody has ordered, or somebody who leads no more, is no order to let go of anything. */
static bool has_orders(const struct obey *o)
{
	return o->orders.term && !o->orders.stale;
}

static void plan_all(struct obey *o)
{
	o->unrecorded = false;
	make_books(o);
	if (!has_orders(o)) {
		want_nothing(o);
		if (!o->heard) {
			loop_timer_set(o->timer, MAX(o->begun_at + ALONE_AFTER_MS,
						     loop_now(o->s.loop) + 100));
		}
		return;
	}
	record_orders(o);
	o->looked = given(o, &o->uses);
	for (size_t i = 0; i < o->units.n && !o->unrecorded; i++) {
		decide(o, &o->units.items[i], &o->verdicts[i]);
	}
	if (o->unrecorded || *o->books.refusal) {
		want_nothing(o);
		loop_timer_set(o->timer, loop_now(o->s.loop) + OPEN_AGAIN_MS);
	} else {
		free(take(o->unwritten));
		hands_run_due(o->run);
		inuse_ask(o->inuse);
		cuts_ask(o->cuts);
	}
}

/* NULL: there are none, or they are another node's. */
static const struct journal_orders *last_orders(const struct obey *o)
{
	const struct journal *j = &o->file.journal;

	return o->closed || j->health != JOURNAL_GOOD || !str_eq(j->head.node, o->s.node)
		       ? NULL
		       : j->orders;
}

/* As they were obeyed last: a node that starts without an API server is not idle. */
static const struct node_orders *recorded_orders(struct obey *o)
{
	const struct journal_orders *last = last_orders(o);
	struct node_orders *ret = arena_new(&o->arena, struct node_orders);
	struct err err;

	if (!last || type_read_text(&node_orders_type, last->spec, &o->arena, ret, &err) < 0) {
		return NULL;
	}
	return ret;
}

int64_t obey_highest_term(const struct obey *o)
{
	const struct journal_orders *last = last_orders(o);

	return MAX(o->highest, last ? last->term : 0);
}

/* An API server that answers does so in a moment, and knows what was withdrawn meanwhile. */
static const struct node_orders *orders_now(struct obey *o)
{
	if (o->heard) {
		return o->given;
	}
	return loop_now(o->s.loop) - o->begun_at >= ALONE_AFTER_MS ? recorded_orders(o) : NULL;
}

/* What is in no order is left as it is: so what was offered stays so. */
static void take_last(struct obey *o)
{
	o->last = (struct orders){0};
	if (!has_orders(o)) {
		orders_take(recorded_orders(o), 0, &o->units, &o->arena, &o->last);
	}
}

static void turn(struct obey *o)
{
	bool refused = *o->books.refusal;

	if (!o->machine) {
		return;
	}
	o->books = (struct books){.refusal = ""};
	arena_reset(&o->arena);
	units_make(o->machine, &o->arena, &o->units);
	o->verdicts = arena_array(&o->arena, struct verdict_on, o->units.n);
	for (size_t i = 0; i < o->units.n; i++) {
		o->verdicts[i] = (struct verdict_on){
			&o->units.items[i], NULL, {.next = BIND_REST}, {.again = INT64_MAX}};
	}
	inuse_begin(o->inuse, &o->units);
	cuts_begin(o->cuts, &o->units, &o->arena);
	if (!o->closed && refused) {
		journal_file_close(&o->file); /* somebody may have followed the remedy */
		journal_file_init(&o->file, o->dir);
		open_journal(o);
	} else if (o->closed) {
		open_journal(o);
	}
	orders_take(orders_now(o), obey_highest_term(o), &o->units, &o->arena, &o->orders);
	take_last(o);
	o->obeyed = o->generation;
	if (o->closed) {
		want_nothing(o);
		loop_timer_set(o->timer, loop_now(o->s.loop) + OPEN_AGAIN_MS);
	} else {
		plan_all(o);
	}
	if (o->s.turned) {
		o->s.turned(o->s.ctx);
	}
	o->s.changed(o->s.ctx);
}

static void on_time(void *ctx)
{
	turn(ctx);
}

/* --- from outside ----------------------------------------------------------------------------- */

static char *boot_id(void)
{
	struct err err;
	char *text = NULL;

	if (file_read(BOOT_ID, 128, FILE_ANY, &text, NULL, &err) < 0) {
		return xstrdup("");
	}
	text[strcspn(text, "\n")] = '\0';
	return text;
}

struct obey *obey_create(const struct obey_settings *s)
{
	struct obey *o = xcalloc(1, sizeof(*o));

	o->s = *s;
	o->boot = boot_id();
	o->dir = -1;
	o->hands = hands_create();
	o->run = hands_run_create(
		&(struct hands_run_settings){.loop = s->loop,
					     .hands = o->hands,
					     .sys = s->sys,
					     .proc = s->proc,
					     .tool = str_empty(s->tool) ? NULL : s->tool,
					     .fn = on_end,
					     .may = may_run,
					     .ctx = o});
	o->inuse = inuse_create(
		&(struct inuse_settings){{s->loop, s->eyes, s->sys, s->proc, NULL}, on_seen, o});
	o->cuts = cuts_create(
		&(struct cuts_settings){{s->loop, s->eyes, s->sys, s->proc, NULL}, on_seen, o});
	o->timer = loop_timer_create(s->loop, on_time, o, "obey");
	arena_init(&o->arena, TURN_BYTES);
	arena_init(&o->given_arena, TURN_BYTES);
	o->begun_at = loop_now(s->loop);
	o->books.refusal = "";
	o->closed = xstrdup("it was not opened yet");
	open_journal(o);
	return o;
}

struct obey *obey_destroy(struct obey *o)
{
	inuse_destroy(o->inuse);
	cuts_destroy(o->cuts);
	hands_run_destroy(o->run);
	if (o->dir >= 0) {
		journal_file_close(&o->file);
		close(o->dir);
	}
	hands_destroy(o->hands);
	loop_timer_destroy(o->timer);
	arena_finish(&o->arena);
	arena_finish(&o->given_arena);
	free(o->changed);
	free(o->uid);
	free(o->closed);
	free(o->unwritten);
	free(o->boot);
	free(o);
	return NULL;
}

void obey_orders(struct obey *o, const struct node_orders *given, const struct obj *node,
		 int64_t known)
{
	int64_t generation = node ? node->generation : 0;
	const char *uid = node ? node->uid : NULL;
	struct node_orders *copy;
	json_t *json;

	o->highest = MAX(o->highest, known);
	if (!o->heard) {
		o->heard = true;
		loop_timer_set(o->timer, loop_now(o->s.loop));
	}
	if (given ? o->given && o->generation == generation && str_eq(o->uid, uid) : !o->given) {
		return; /* the API server counts the generation on with every change of them */
	}
	free(o->uid);
	o->uid = uid ? xstrdup(uid) : NULL;
	arena_reset(&o->given_arena);
	o->given = NULL;
	o->generation = generation;
	if (given) {
		copy = arena_new(&o->given_arena, struct node_orders);
		json = type_json(&node_orders_type, given);
		if (type_read(&node_orders_type, json, false, &o->given_arena, copy, NULL) == 0) {
			o->given = copy;
		}
		json_decref(json);
	}
	loop_timer_set(o->timer, loop_now(o->s.loop));
}

void obey_looked(struct obey *o, const struct machine *m)
{
	o->machine = m;
	o->n_changed = 0;
	turn(o);
}

bool obey_writes(const struct obey *o)
{
	list_each(u, &o->units) {
		if (hands_busy(o->hands, u->card->address)) {
			return true;
		}
	}
	return false;
}

void obey_facts(const struct obey *o, struct obey_facts *ret)
{
	*ret = (struct obey_facts){0};
	if (o->machine && !o->closed) {
		*ret = (struct obey_facts){o->machine, &o->units,
					   &o->books,  has_orders(o) ? &o->orders : &o->last,
					   o->boot,    o->s.node};
	}
}

const struct journal *obey_journal(const struct obey *o)
{
	return o->closed ? NULL : &o->file.journal;
}

int obey_record(struct obey *o, const struct journal_record *r, bool sync, struct err *err)
{
	return o->closed ? err_set(err, "there is no journal: %s", o->closed)
			 : journal_file_add(&o->file, r, sync, err);
}

bool obey_alone(const struct obey *o)
{
	return !o->file.taken;
}
