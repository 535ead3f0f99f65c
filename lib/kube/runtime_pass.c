/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/runtime_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube/measure.h"

#define MAX_KEYS 1000000
#define PASS_ARENA (16 * MiB)
#define CONFLICT_WAIT_MS 1000
#define CONFLICTS 2 /* in a row, that wait no longer than that */
#define RETELL_MS 5000

enum { PASS_SUCCESS, PASS_REQUEUE, PASS_REQUEUE_AFTER, PASS_ERROR };

struct flight {
	struct flight *next; /* while idle */
	struct worker *w;
	struct arena arena; /* of the plan: all that outlives the pass itself */
	struct plan plan;
	char *ns, *name;
	char *trouble; /* told in this pass's status */
	bool news;     /* and not told before */
	bool doubt;    /* whether its object is still there */
	int64_t began;
};

/* --- waking -------------------------------------------------------------------------------- */

static char *key_text(const char *ns, const char *name)
{
	return xprintf("%s/%s", ns ? ns : "", name);
}

static void doubt(struct worker *w, const char *ns, const char *name)
{
	auto_free char *key = key_text(ns, name);

	if (!map_get(&w->doubts, key)) {
		map_put(&w->doubts, key, key);
		take(key);
	}
}

/* True once. */
static bool doubt_take(struct worker *w, const char *ns, const char *name)
{
	auto_free char *text = key_text(ns, name), *key = map_get(&w->doubts, text);

	if (key) {
		map_del(&w->doubts, key);
	}
	return key != NULL;
}

struct waker {
	struct worker *w;
	enum queue_priority priority;
	bool gone; /* a child is: of an object that we know, or it would not matter */
};

static void wake(void *ctx, const char *ns, const char *name)
{
	struct waker *k = ctx;

	if (k->gone && cache_get(k->w->r->cache, k->w->rec->primary, ns, name)) {
		doubt(k->w, ns, name);
	}
	queue_add(k->w->queue, ns, name, k->priority, loop_now(k->w->r->loop));
}

/* Deletion comes first, then what users do; what nodes and neighbours report comes after; the
 * initial list last. */
static enum queue_priority priority_of(const struct runtime *r, const struct kube_kind *k,
				       const struct obj *old, const struct obj *now, bool primary)
{
	if (!now || now->deleting) {
		return QUEUE_URGENT;
	}
	if (!old && !cache_synced(r->cache, k)) {
		return QUEUE_INITIAL;
	}
	return primary ? QUEUE_USER : QUEUE_NODE;
}

void workers_see(void *ctx, const struct kube_kind *k, const struct obj *old, const struct obj *now)
{
	struct runtime *r = ctx;
	const struct obj *o = now ? now : old;

	if (k == r->s.crd_kind) {
		served_see(r, o->name);
	}
	if (k == &kind_lease) {
		elect_see(r, now);
		return;
	}
	for (size_t i = 0; i < r->n_workers; i++) {
		struct worker *w = &r->workers[i];
		bool primary = w->rec->primary == k;
		struct waker waker = {w, priority_of(r, k, old, now, primary), !now && !primary};

		if (primary) {
			wake(&waker, o->ns, o->name);
		}
		for (const struct plan_watch *pw = w->rec->watches; pw && pw->kind; pw++) {
			if (pw->kind == k) {
				pw->map(r->cache, old, now, wake, &waker);
			}
		}
	}
}

void runtime_wake(struct runtime *r, const struct kube_kind *primary, const char *ns,
		  const char *name)
{
	for (size_t i = 0; i < r->n_workers; i++) {
		if (r->workers[i].rec->primary == primary) {
			queue_add(r->workers[i].queue, ns, name, QUEUE_NODE, loop_now(r->loop));
		}
	}
	workers_wake(r);
}

static void wake_what_is_made(struct worker *w, struct waker *waker)
{
	const struct cache *c = w->r->cache;

	for (const struct plan_watch *pw = w->rec->watches; pw && pw->kind; pw++) {
		const struct obj *o = NULL;

		while (pw->kind == w->rec->made_of && (o = cache_next(c, pw->kind, o))) {
			pw->map(c, NULL, o, wake, waker);
		}
	}
}

/* A kind came or went: what a plan sees has changed without a change of any object. */
void workers_wake_all(struct runtime *r)
{
	for (size_t i = 0; i < r->n_workers; i++) {
		struct waker waker = {&r->workers[i], QUEUE_NODE, false};
		const struct kube_kind *k = r->workers[i].rec->primary;

		for (const struct obj *o = NULL; (o = cache_next(r->cache, k, o));) {
			wake(&waker, o->ns, o->name);
		}
		if (r->workers[i].rec->made_of) {
			wake_what_is_made(&r->workers[i], &waker);
		}
	}
}

/* The API server is back: what failed while it was away need not wait until its time. */
void workers_hurry(struct runtime *r)
{
	for (size_t i = 0; i < r->n_workers; i++) {
		queue_hurry(r->workers[i].queue, loop_now(r->loop));
	}
	workers_wake(r);
}

/* --- a pass -------------------------------------------------------------------------------- */

/*
 * What the API server refused belongs into the status of the object. The status is what a plan does
 * last, so it would stand still for as long as the refusal lasts: after each refused attempt the
 * same key passes once more, and only the status of that goes out (nothing, where it is equal). The
 * attempts have growing waits. `told` keeps Events from being told again.
 */
struct trouble {
	char *key, *text;	   /* text: NULL until something is refused */
	unsigned conflicts;	   /* in a row */
	int64_t conflict;	   /* when the first of them was */
	bool told, mute;	   /* mute: a status with it is refused as well */
	int64_t generation, since; /* of the object, and when: the text became this */
};

static struct trouble *trouble_get(const struct worker *w, const struct flight *f)
{
	auto_free char *key = key_text(f->ns, f->name);

	return map_get(&w->troubles, key);
}

static struct trouble *trouble_make(struct worker *w, const struct flight *f)
{
	struct trouble *t = trouble_get(w, f);

	if (!t) {
		t = xcalloc(1, sizeof(*t));
		t->key = key_text(f->ns, f->name);
		map_put(&w->troubles, t->key, t);
	}
	return t;
}

static void trouble_free(struct trouble *t)
{
	free(t->key);
	free(t->text);
	free(t);
}

static void trouble_forget(struct worker *w, const struct flight *f)
{
	struct trouble *t = trouble_get(w, f);

	if (t) {
		map_del(&w->troubles, t->key);
		trouble_free(t);
	}
}

static void trouble_told(struct trouble *t, enum act_result result)
{
	t->told |= result == ACT_DONE || result == ACT_REFUSED;
	t->mute |= result == ACT_REFUSED;
}

/*
 * True: to be told. A text that is another one in every answer (a time, a number of the request)
 * must not write a status each time, whose echo wakes the next attempt.
 */
static bool trouble_note(struct worker *w, const struct flight *f, const char *text)
{
	const struct obj *o = cache_get(w->r->cache, w->rec->primary, f->ns, f->name);
	int64_t generation = o ? o->generation : 0, now = loop_now(w->r->loop);
	struct trouble *t = trouble_make(w, f);

	if (t->text && (str_eq(t->text, text) ||
			(t->generation == generation && now - t->since < RETELL_MS))) {
		return !t->mute;
	}
	free(t->text);
	t->text = xstrdup(text);
	t->told = t->mute = false;
	t->generation = generation;
	t->since = now;
	return true;
}

static void conflicts_end(const struct worker *w, const struct flight *f)
{
	struct trouble *t = trouble_get(w, f);

	if (t) {
		t->conflicts = 0;
	}
}

/*
 * Most conflicts pass by themselves in a moment, and nobody is told of those. What no condition of
 * ours explains, and a second or two did not end, is a refusal with an unusual code: an admission
 * webhook may deny with 409.
 */
static bool conflict_lasts(struct worker *w, const struct flight *f, const struct act_end *end)
{
	int64_t now = loop_now(w->r->loop);
	struct trouble *t = trouble_make(w, f);

	t->conflict = t->conflicts++ ? t->conflict : now;
	if (t->conflicts > CONFLICTS) {
		log_info("one conflict after another", log_str("reconciler", w->rec->name),
			 log_str("namespace", f->ns), log_str("name", f->name),
			 log_str("reason", end->trouble));
	}
	return end->unconditional && t->conflicts > CONFLICTS && now - t->conflict >= RETELL_MS;
}

static int64_t conflict_wait(const struct worker *w, const struct flight *f)
{
	unsigned n = trouble_get(w, f)->conflicts;
	unsigned doublings = n > CONFLICTS ? MIN(n - CONFLICTS, 10u) : 0;

	return MIN((int64_t)CONFLICT_WAIT_MS << doublings, (int64_t)QUEUE_BACKOFF_MAX_MS);
}

static struct flight *flight_get(struct runtime *r)
{
	struct flight *f = r->idle_flights;

	if (f) {
		r->idle_flights = take(f->next);
	} else {
		f = xcalloc(1, sizeof(*f));
		arena_init(&f->arena, PASS_ARENA);
	}
	return f;
}

static void flight_put(struct runtime *r, struct flight *f)
{
	plan_finish(&f->plan);
	arena_reset(&f->arena);
	free(take(f->ns));
	free(take(f->name));
	free(take(f->trouble));
	f->next = r->idle_flights;
	r->idle_flights = f;
}

static void flights_finish(struct runtime *r)
{
	while (r->idle_flights) {
		struct flight *f = flight_get(r);

		arena_finish(&f->arena);
		free(f);
	}
}

static void note_end(struct flight *f, const struct act_end *end, bool refused)
{
	struct worker *w = f->w;
	int64_t now = loop_now(w->r->loop);
	double seconds = (double)(now - f->began) / 1000;

	w->stats.active--;
	w->began -= f->began;
	w->stats.seconds += seconds;
	metric_observe(w->r->s.metrics, MEASURE_RECONCILE_SECONDS, seconds,
		       METRIC_LABELS(w->rec->name));
	metric_observe(w->r->s.metrics, MEASURE_QUEUE_WORK_SECONDS, seconds,
		       METRIC_LABELS(w->rec->name, w->rec->name));
	switch (refused ? ACT_REFUSED : end->result) {
	case ACT_DONE:
		w->stats.passes[end->again_ms < 0 ? PASS_SUCCESS : PASS_REQUEUE_AFTER]++;
		break;
	case ACT_AGAIN:
	case ACT_FENCED:
		w->stats.passes[PASS_REQUEUE]++;
		break;
	default:
		w->stats.passes[PASS_ERROR]++;
		log_warn("pass failed", log_str("reconciler", w->rec->name),
			 log_str("namespace", f->ns), log_str("name", f->name),
			 log_str("reason", end->trouble));
	}
}

static bool may_pass(struct runtime *r)
{
	const char *waiting;

	return !r->stopping && feeds_synced(r, &waiting) && elect_may_write(r);
}

static void pass_run(struct flight *f);

/* The same key once more, for its status: no other pass of it comes between. */
static void pass_tell(struct flight *f)
{
	const struct trouble *t = trouble_get(f->w, f);

	f->trouble = xstrdup(t->text);
	f->news = !t->told;
	plan_finish(&f->plan);
	arena_reset(&f->arena);
	pass_run(f);
}

static void pass_ended(void *ctx, const struct act_end *end)
{
	struct flight *f = ctx;
	struct worker *w = f->w;
	struct runtime *r = w->r;
	int64_t now = loop_now(r->loop);
	bool telling = f->trouble != NULL, conflict = end->result == ACT_AGAIN && !telling;
	bool refused = end->result == ACT_REFUSED || (conflict && conflict_lasts(w, f, end));

	r->in_flight--;
	note_end(f, end, refused);
	if (f->doubt && !end->sure && end->result != ACT_DONE) {
		doubt(w, f->ns, f->name);
	}
	if (!telling && !conflict && end->result != ACT_FENCED) {
		conflicts_end(w, f);
	}
	if (telling) {
		trouble_told(trouble_get(w, f), end->result);
	} else if (end->result == ACT_DONE) {
		trouble_forget(w, f);
	} else if (refused && trouble_note(w, f, end->trouble) && may_pass(r)) {
		pass_tell(f);
		return;
	}
	if (end->result == ACT_DONE && end->sent) {
		feeds_hurry(r);
	}
	queue_done(w->queue, f->ns, f->name, end->result == ACT_FAILED || telling || refused, now);
	if (conflict && !refused) {
		/* Somebody was faster. What they wrote is on its way, and ends the wait; until then
		 * every attempt would stand on what is no longer so. */
		queue_add_after(w->queue, f->ns, f->name, now + conflict_wait(w, f), now);
	} else if (end->result == ACT_FENCED) {
		queue_add_after(w->queue, f->ns, f->name, now + 20, now);
	} else if (end->again_ms >= 0) {
		queue_add_after(w->queue, f->ns, f->name, now + end->again_ms, now);
	}
	flight_put(r, f);
	workers_wake(r);
}

static void on_event(void *ctx, const struct kube_kind *k, const struct key *key,
		     const struct action *a)
{
	events_tell(ctx, k, key, a);
}

static void on_action(void *ctx, const struct action *a, const char *trouble)
{
	(void)ctx;
	if (!trouble) {
		log_info(a->why, log_str("kind", a->kind->kind), log_str("namespace", a->ns),
			 log_str("name", a->name));
	} else {
		log_debug("refused", log_str("kind", a->kind->kind), log_str("namespace", a->ns),
			  log_str("name", a->name), log_str("reason", trouble));
	}
}

#define TERM_MAX (INT64_C(1) << 53) /* as the CRD has it */

static void renew_term(struct runtime *r)
{
	int64_t top = r->s.top_term(r->cache, r->term != 0);

	if (!r->term || top > r->term) {
		r->term = MIN(top, TERM_MAX - 1) + 1;
	}
}

/* gather and plan run to their end here; the rest happens as answers come. */
static void pass_run(struct flight *f)
{
	struct worker *w = f->w;
	struct runtime *r = w->r;
	const void *seen;
	bool termed = r->s.top_term && w->rec->primary == r->s.term_kind;
	struct pass pass = {
		.arena = &r->scratch,
		.cache = r->cache,
		.kind = w->rec->primary,
		.key = {f->ns, f->name},
		.now_ms = clock_wall_ms(),
		.options = r->s.options,
		.trouble = f->trouble,
	};
	struct act_env env = {
		.http = r->http,
		.cache = r->cache,
		.lease = r->lease,
		.event = f->trouble && !f->news ? NULL : on_event,
		.log = on_action,
		.ctx = r,
	};

	f->doubt = doubt_take(w, f->ns, f->name);
	env.doubt = f->doubt;
	f->began = loop_now(r->loop);
	plan_init(&f->plan, &f->arena, r->cache);
	if (termed) {
		renew_term(r);
	}
	pass.term = r->term;
	seen = w->rec->gather(&pass);
	if (seen) {
		w->rec->plan(seen, &f->plan);
	}
	arena_reset(&r->scratch);
	w->stats.active++;
	w->began += f->began;
	r->in_flight++;
	act_start(&env, w->rec->primary, pass.key, &f->plan, f->trouble != NULL, pass_ended, f);
}

static void pass_start(struct worker *w, const struct queue_item *item)
{
	struct runtime *r = w->r;
	struct flight *f = flight_get(r);

	f->w = w;
	f->ns = item->ns ? xstrdup(item->ns) : NULL;
	f->name = xstrdup(item->name);
	metric_observe(r->s.metrics, MEASURE_QUEUE_WAIT_SECONDS,
		       (double)(loop_now(r->loop) - item->added) / 1000,
		       METRIC_LABELS(w->rec->name, w->rec->name));
	pass_run(f);
}

/* --- the pump ------------------------------------------------------------------------------ */

/* Starts passes while there is work, room and permission; sets the timer for what is due later. */
static void pump(void *ctx)
{
	struct runtime *r = ctx;
	int64_t now = loop_now(r->loop), soonest = INT64_MAX;
	int room = r->s.passes ? r->s.passes : RUNTIME_PASSES;
	const char *waiting;

	served_turn(r);
	if (r->stopping || !served_told(r) || !feeds_synced(r, &waiting)) {
		return;
	}
	if (!r->synced) {
		r->synced = true;
		log_info("caches synced", log_str("component", r->s.component));
	}
	if (!elect_may_write(r)) {
		return;
	}
	for (size_t i = 0; i < r->n_workers; i++) {
		struct queue_item item;
		int64_t wake_at = INT64_MAX;

		while (r->in_flight < room &&
		       queue_next(r->workers[i].queue, now, &item, &wake_at)) {
			pass_start(&r->workers[i], &item);
		}
		soonest = MIN(soonest, wake_at);
		if (queue_refused(r->workers[i].queue)) {
			workers_wake_all(r); /* which keys had no room nobody knows any more */
		}
	}
	if (r->in_flight < room && soonest != INT64_MAX) {
		loop_timer_set(r->pump, soonest);
	}
}

void workers_wake(struct runtime *r)
{
	loop_timer_set(r->pump, loop_now(r->loop));
}

void workers_create(struct runtime *r)
{
	while (r->s.reconcilers[r->n_workers]) {
		r->n_workers++;
	}
	r->workers = xcalloc(r->n_workers, sizeof(*r->workers));
	for (size_t i = 0; i < r->n_workers; i++) {
		struct worker *w = &r->workers[i];

		*w = (struct worker){
			.r = r, .rec = r->s.reconcilers[i], .queue = queue_create(MAX_KEYS)};
		map_init(&w->troubles);
		map_init(&w->doubts);
		w->stats.name = w->rec->name;
	}
	arena_init(&r->scratch, PASS_ARENA);
	r->pump = loop_timer_create(r->loop, pump, r, "pump");
}

void workers_destroy(struct runtime *r)
{
	for (size_t i = 0; i < r->n_workers; i++) {
		struct worker *w = &r->workers[i];

		for (struct map_slot *s = NULL; (s = map_next(&w->troubles, s));) {
			trouble_free(s->value);
		}
		map_finish(&w->troubles);
		for (struct map_slot *s = NULL; (s = map_next(&w->doubts, s));) {
			free(s->value);
		}
		map_finish(&w->doubts);
		queue_destroy(w->queue);
	}
	free(r->workers);
	flights_finish(r);
	arena_finish(&r->scratch);
	loop_timer_destroy(r->pump);
}
