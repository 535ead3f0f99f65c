/* SPDX-License-Identifier: Apache-2.0 */
/* When a pass begins, how it ends, and the end of the whole. */
#include "kube/runtime_test.h"

/* --- when a pass begins ---------------------------------------------------------------------- */

static void nothing_before_all_kinds_are_synced(void)
{
	static const struct kube_kind *const kinds[] = {&thing, &other, NULL};

	prepare(ADDED("a") ADDED("b") END("5"));
	api.initial[OTHERS] = NULL;
	START(.kinds = kinds);
	wait_for(cache_count(runtime_cache(r), &thing) == 2 && api.streams[OTHERS]);
	settle();
	is_int(n_passes, 0);
	ok(!runtime_ready(r));
	srv_begin(api.streams[OTHERS], 200, NULL);
	push(OTHERS, END("5"));
	wait_for(writes('a', false) && writes('b', false));
	settle();
	ok(runtime_ready(r));
	is_int(passes_of('a'), 1);
	is_int(passes_of('b'), 1);
}

static void never_two_passes_of_one_key(void)
{
	prepare(ADDED("a") END("5"));
	api.hold = true;
	START();
	wait_for(held_back() == 1);
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	push(THINGS, EVENT("ADDED", "b", "7", "red"));
	wait_for(passes_of('b') == 1); /* which does not wait for a */
	push(THINGS, EVENT("MODIFIED", "a", "8", "green") EVENT("ADDED", "c", "9", "red"));
	wait_for(passes_of('c') == 1);
	settle();
	is_int(passes_of('a'), 1);
	let_all_go();
	wait_for(passes_of('a') > 1);
	settle();
	is_int(passes_of('a'), 2);
	is_str(passes[n_passes - 1].color, "green");
}

static void only_so_many_passes_at_once(void)
{
	prepare(ADDED("a") ADDED("b") ADDED("c") ADDED("d") END("5"));
	api.hold = true;
	START(.passes = 2);
	for (int ended = 0; ended < 2; ended++) {
		wait_for(n_passes == ended + 2 && api.n_writes == ended + 2);
		settle();
		is_int(n_passes, ended + 2);
		is_int(held_back(), 2);
		let_go(api.writes[ended]);
	}
	wait_for(n_passes == 4);
	let_all_go();
	settle();
	is_int(n_passes, 4);
}

/* --- how a pass ends ------------------------------------------------------------------------- */

static void refusal_is_told_once(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	START();
	wait_for(n_passes >= 5);
	settle();
	is_str(passes[0].trouble, "");
	for (int i = 0; i < n_passes; i++) { /* an attempt, and what is told of it */
		has(passes[i].trouble, i % 2 ? "spec.a: Invalid" : "");
		is_int(*passes[i].trouble != '\0', i % 2);
	}
	is_int(writes('a', true), 1);
	ok(is_status(api.writes[1])); /* and nothing but the status */
	has(buf_text(&api.writes[1]->body), "spec.a: Invalid");
	/* Success forgets it: the next one is news. */
	api.status['a'] = 0;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(api.writes[api.n_writes - 1]->ended && str_eq(passes[n_passes - 1].color, "blue"));
	settle();
	api.status['a'] = 422;
	api.said['a'][0] = '\0';
	push(THINGS, EVENT("MODIFIED", "a", "7", "green"));
	wait_for(writes('a', true) == 2);
}

/* The attempts so far of a: each waited for longer than the one before, but for that of a change. */
static int attempts_with_growing_waits(int changed)
{
	int64_t wait_ms = 5, last = passes[0].at;
	int n = 1;

	for (int i = 1; i < n_passes; i++) {
		if (*passes[i].trouble) {
			continue;
		}
		ok(i == changed || passes[i].at - last >= wait_ms);
		last = passes[i].at;
		wait_ms *= 2;
		n++;
	}
	return n;
}

static void status_goes_on_while_a_refusal_lasts(void)
{
	int changed;

	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	START();
	wait_for(n_passes >= 6);
	settle();
	is_int(writes('a', true), 1);
	has(api.said['a'], "red");
	changed = n_passes;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(writes('a', true) == 2);
	has(api.said['a'], "blue");
	has(api.said['a'], "spec.a: Invalid");
	wait_for(n_passes >= changed + 8);
	settle();
	is_int(writes('a', true), 2); /* equal: nothing is sent but the attempts */
	is_int(writes('a', false), attempts_with_growing_waits(changed));
}

static void refusal_of_ever_new_words_is_told_seldom(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	api.ever_new = true;
	START();
	wait_for(n_passes >= 14);
	settle();
	is_int(writes('a', true), 1);
	/* But that of another spec at once. */
	push(THINGS, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\","
		     "\"namespace\":\"n\",\"generation\":2,\"resourceVersion\":\"6\"},"
		     "\"color\":\"red\"}}\n");
	wait_for(writes('a', true) == 2);
}

static void event_of_a_refusal_is_told_once(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	tells_events = true;
	START();
	wait_for(n_passes >= 10 && events_written());
	settle();
	is_int(events_written(), 1);
}

/* A status that is refused as well says no more, but must not keep the object from being tried. */
static void refusal_that_cannot_be_told_is_passed_over(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	api.status_also = true;
	START();
	wait_for(writes('a', false) >= 3);
	is_int(writes('a', true), 1);
}

static void conflict_waits_for_the_news(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 409;
	START();
	wait_for(n_passes == 1);
	for (int i = 0; i < 20; i++) {
		settle();
	}
	for (int i = 1; i < n_passes; i++) { /* none, unless we were stopped for so long */
		ok(passes[i].at - passes[i - 1].at >= 1000);
	}
	api.status['a'] = 0;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(str_eq(passes[n_passes - 1].color, "blue"));
}

/* v's body has a condition, and a's has none. */
static void lasting_conflict_is_told_unless_a_condition_explains_it(void)
{
	static const int64_t least[] = {1000, 1000, 2000, 4000};
	int64_t last = 0;
	int n = 0;

	prepare(ADDED("a") ADDED("v") END("5"));
	api.status['a'] = api.status['v'] = 409;
	START();
	wait_for(writes('a', true) == 1 && writes('v', false) == 5);
	has(api.said['a'], "409");
	for (int i = 0; i < n_passes && !*passes[i].trouble; i++) {
		if (passes[i].name == 'a') {
			ok(!n || passes[i].at - last >= least[n - 1]);
			last = passes[i].at;
			n++;
		}
	}
	is_int(n, 5); /* until then it might have passed by itself */
	wait_for(writes('a', false) >= 9);
	settle();
	is_int(writes('a', true), 1);
	is_int(writes('v', true), 0);
	is_int(writes('v', false), 5);
}

static void failure_is_tried_again_ever_later(void)
{
	int64_t wait_ms = 5;
	int failures;

	prepare(ADDED("a") END("5"));
	api.status['a'] = 500;
	START();
	wait_for(n_passes >= 6);
	for (int i = 1; i < 6; i++, wait_ms *= 2) {
		ok(passes[i].at - passes[i - 1].at >= wait_ms);
		is_str(passes[i].trouble, ""); /* nobody's fault: not told */
	}
	api.status['a'] = 0;
	wait_for(succeeded() == 1);
	failures = n_passes - 1;
	settle();
	is_int(n_passes, failures + 1);
}

/* a has failed so often that it waits for minutes, and its stream has just broken: when. */
static int64_t fail_and_break_the_stream(void)
{
	int64_t broken;

	prepare(ADDED("a") ADDED("b") END("5"));
	api.status['a'] = 500;
	START();
	wait_for(writes('a', false) && writes('b', false));
	for (int i = 0; i < 16; i++) { /* a user's changes end the wait, and each failure counts */
		auto_free char *event = xprintf(EVENT("MODIFIED", "a", "1%02d", "c%d"), i, i);
		int n = n_passes;

		push(THINGS, event);
		wait_for(n_passes > n);
		settle();
	}
	api.status['a'] = 0;
	n_passes = api.n_writes = 0;
	broken = loop_now(loop);
	api.initial[THINGS] = NULL; /* the next one waits for the test */
	srv_reset(api.streams[THINGS], NGHTTP2_INTERNAL_ERROR);
	wait_for(runtime_trouble(r));
	/* What a write that goes through tells of the server ends the wait of the stream. */
	runtime_wake(r, &thing, "n", "b");
	wait_for(api.opened[THINGS] == 2);
	return broken;
}

static void flicker_ends_no_back_off(void)
{
	int64_t broken = fail_and_break_the_stream();

	srv_begin(api.streams[THINGS], 200, NULL);
	wait_for(!runtime_trouble(r));
	settle();
	/* None, unless we were stopped for so long. */
	ok(!passes_of('a') || loop_now(loop) - broken >= 1000);
}

static void recovery_ends_every_back_off(void)
{
	fail_and_break_the_stream();
	turn_for(1100);
	is_int(passes_of('a'), 0);
	srv_begin(api.streams[THINGS], 200, NULL);
	wait_for(passes_of('a') == 1);
}

/* --- what watches bring ------------------------------------------------------------------------ */

static char heard[100];

static void on_seen(void *ctx, const struct kube_kind *k, const struct obj *old,
		    const struct obj *now)
{
	is_str(ctx, "listener");
	ok(k == &thing);
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%s%s%s ", now ? "+" : "",
		 old ? "-" : "", (now ? now : old)->name);
}

static void who_listens_knows_when_something_may_be_missed(void)
{
	int64_t first;

	*heard = 0;
	prepare(ADDED("a") END("5"));
	START();
	runtime_listen(r, on_seen, "listener");
	is_int(runtime_watching_since(r, &thing), INT64_MAX);
	is_int(runtime_watching_since(r, &other), INT64_MAX);
	wait_for(runtime_ready(r));
	first = runtime_watching_since(r, &thing);
	ok(first <= loop_now(loop));
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue") EVENT("DELETED", "a", "7", "blue"));
	wait_for(strstr(heard, "+a +-a -a "));
	is_int(runtime_watching_since(r, &thing), first);
	api.initial[THINGS] = NULL;
	srv_reset(api.streams[THINGS], NGHTTP2_INTERNAL_ERROR);
	wait_for(runtime_watching_since(r, &thing) == INT64_MAX);
	wait_for(api.opened[THINGS] == 2);
	is_int(runtime_watching_since(r, &thing), INT64_MAX);
	srv_begin(api.streams[THINGS], 200, NULL);
	wait_for(runtime_watching_since(r, &thing) != INT64_MAX);
	ok(runtime_watching_since(r, &thing) > first);
}

static void narrow(void)
{
	static const struct runtime_narrow narrow[] = {
		{.kind = &thing, .field_selector = "metadata.name=a", .ns = "mine"}, {0}};

	prepare(ADDED("a") END("5"));
	START(.narrow = narrow);
	wait_for(runtime_ready(r));
	ok(strstr(api.streams[THINGS]->path, "/namespaces/mine/things?"));
	ok(strstr(api.streams[THINGS]->path, "fieldSelector=metadata.name%3Da"));
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_late(void *ctx)
{
	bool *late = ctx;

	*late = true;
	loop_stop(loop);
}

/* As a program runs it: until the runtime stops the loop. */
static void run_to_the_end(void (*first)(void *ctx))
{
	bool late = false;
	struct loop_timer *guard = loop_timer_create(loop, on_late, &late, "guard"),
			  *soon = loop_timer_create(loop, first, NULL, "soon");

	loop_timer_set(guard, loop_now(loop) + 15000);
	loop_timer_set(soon, loop_now(loop) + 30);
	loop_run(loop);
	loop_timer_destroy(guard);
	loop_timer_destroy(soon);
	ok(!late);
}

static void let_go_of_one(void *ctx attr_unused)
{
	let_go(api.writes[0]);
}

static void stop_waits_for_passes_and_begins_none(void)
{
	prepare(ADDED("a") ADDED("b") END("5"));
	api.hold = true;
	START(.passes = 1);
	wait_for(held_back() == 1);
	runtime_stop(r);
	push(THINGS, EVENT("ADDED", "c", "6", "red"));
	run_to_the_end(let_go_of_one);
	is_int(held_back(), 0);
	is_int(succeeded(), 1);
	is_int(n_passes, 1);
	turn_for(20);
	is_int(n_passes, 1);
}

static void nothing(void *ctx attr_unused)
{
}

static void only_the_leader_acts_and_gives_back_the_lease(void)
{
	prepare(ADDED("a") END("5"));
	api.hold_lease = true;
	START(.lease_ns = "n", .lease_name = "l");
	wait_for(runtime_ready(r) && api.lease_held_back);
	settle();
	is_int(n_passes, 0);
	ok(!runtime_leading(r));
	api.hold_lease = false;
	on_lease(api.lease_held_back);
	wait_for(n_passes == 1);
	is_str(api.holder, "us");
	ok(runtime_leading(r));
	runtime_stop(r);
	run_to_the_end(nothing);
	is_str(api.holder, "");
	ok(!runtime_lost(r));
}

TESTS({"nothing is reconciled before all kinds are synced, then each object once",
       nothing_before_all_kinds_are_synced},
      {"never two passes of one key: what comes meanwhile makes one more, other keys go on",
       never_two_passes_of_one_key},
      {"only so many passes at once", only_so_many_passes_at_once},
      {"a refusal is told once, in the status", refusal_is_told_once},
      {"the status goes on while a refusal lasts, at no cost when it is equal",
       status_goes_on_while_a_refusal_lasts},
      {"a refusal of ever new words is told seldom", refusal_of_ever_new_words_is_told_seldom},
      {"an Event of a refusal is told once", event_of_a_refusal_is_told_once},
      {"a refusal that cannot be told is passed over", refusal_that_cannot_be_told_is_passed_over},
      {"a conflict waits for the news", conflict_waits_for_the_news},
      {"a lasting conflict is told, unless a condition of ours explains it",
       lasting_conflict_is_told_unless_a_condition_explains_it},
      {"a failure is tried again, ever later", failure_is_tried_again_ever_later},
      {"a stream that flickers ends no back-off", flicker_ends_no_back_off},
      {"the recovery of the API server ends every back-off", recovery_ends_every_back_off},
      {"who listens knows when something may be missed",
       who_listens_knows_when_something_may_be_missed},
      {"a kind is watched in one namespace, and some of it", narrow},
      {"stop waits for the passes in flight and begins none",
       stop_waits_for_passes_and_begins_none},
      {"only the leader acts, and gives the Lease back at its end",
       only_the_leader_acts_and_gives_back_the_lease})
