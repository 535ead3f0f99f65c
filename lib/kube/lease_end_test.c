/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a Lease is given up, what clocks and watches do to it; and a simulation of three contenders
 * with lost requests, lost answers, pauses and wild wall clocks, where never two may hold it at
 * once.
 */
#include "kube/lease_test.h"

static void release_lets_the_next_one_in(void)
{
	struct lease *a = make("a"), *b = make("b");

	reset();
	settle(a);
	settle(b);
	now += 3000;
	lease_release(a);
	ok(!lease_held(a, now));
	ok(!lease_released(a, now));
	is_int(step(a), LEASE_UPDATE);
	ok(lease_released(a, now));
	ok(!lease_lost(a, now));
	is_str(spec_str(stored, "holderIdentity"), "");
	is_int(spec_int(stored, "leaseDurationSeconds"), 1);
	is_int(spec_int(stored, "leaseTransitions"), 0);
	is_int(ask(a), LEASE_WAIT);
	is_int(wake, INT64_MAX);
	settle(b);
	ok(lease_held(b, now));
	is_int(spec_int(stored, "leaseTransitions"), 1);
	is_int(spec_int(stored, "leaseDurationSeconds"), 15);
	lease_destroy(a);
	lease_destroy(b);
}

static void release_waits_for_the_request_in_flight(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 5000;
	is_int(ask(l), LEASE_UPDATE);
	lease_release(l);
	ok(!lease_released(l, now));
	is_int(serve(LEASE_UPDATE, body), 200);
	lease_answer(l, now, now, 200, stored);
	ok(!lease_held(l, now));
	is_int(step(l), LEASE_UPDATE);
	is_str(spec_str(stored, "holderIdentity"), "");
	ok(lease_released(l, now));
	lease_destroy(l);
}

/* Who releases before it leads is told apart by what is on its way: an answer could make it lead. */
static void release_waits_for_the_first_request(void)
{
	for (int taken = 0; taken < 2; taken++) {
		struct lease *l = make("me");

		reset();
		if (taken) {
			store(foreign("", ANCIENT)); /* released: to be taken by an update */
		}
		while (ask(l) == LEASE_GET) {
			lease_answer(l, now, now, serve(LEASE_GET, NULL), stored);
		}
		lease_release(l);
		ok(!lease_released(l, now)); /* a create or an update is on its way */
		lease_answer(l, now, now, 409, NULL);
		ok(lease_released(l, now));
		lease_destroy(l);
		l = make("me");
		is_int(ask(l), LEASE_GET);
		lease_release(l);
		ok(lease_released(l, now)); /* a look makes no leader */
		lease_destroy(l);
	}
}

static void release_after_a_conflict_looks_first(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	store(json_deep_copy(stored));
	lease_release(l);
	is_int(step(l), LEASE_UPDATE);
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_UPDATE);
	is_str(spec_str(stored, "holderIdentity"), "");
	ok(lease_released(l, now));
	lease_destroy(l);
}

static void release_never_touches_anothers_lease(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	store(foreign("other", FAR_OFF));
	lease_release(l);
	settle(l);
	is_str(spec_str(stored, "holderIdentity"), "other");
	ok(lease_released(l, now));
	lease_destroy(l);
}

static void release_of_one_who_never_led_asks_nothing(void)
{
	struct lease *l = make("me");

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	lease_release(l);
	ok(lease_released(l, now));
	now += 100000;
	is_int(ask(l), LEASE_WAIT);
	is_int(wake, INT64_MAX);
	lease_destroy(l);
}

static void release_gives_up_at_the_deadline(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	lease_release(l);
	for (int i = 0; i < 100 && !lease_released(l, now); i++) {
		if (!step_lost(l, false)) {
			now = wake;
		}
	}
	ok(lease_released(l, now));
	ok(now <= 1000 + 10000 + 1);
	lease_destroy(l);
}

static void wall_clock_has_no_say(void)
{
	struct lease *l = make("me"), *standby = make("standby");
	int64_t saved = wall;

	reset();
	settle(l);
	settle(standby);
	for (int i = 0; i < 100; i++) {
		wall = saved + (i % 4 - 2) * (i % 2 ? 3600000 : 600000);
		now += 1000;
		settle(l);
		settle(standby);
		ok(lease_held(l, now));
		ok(!lease_held(standby, now));
	}
	wall = saved;
	lease_destroy(l);
	lease_destroy(standby);
}

static void clock_that_stands_still_still_renews(void)
{
	struct lease *l = make("me"), *standby = make("standby");

	reset();
	for (int i = 0; i < 60; i++) {
		settle(l);
		settle(standby);
		now += 1000;
	}
	ok(lease_held(l, now));
	ok(!lease_held(standby, now));
	lease_destroy(l);
	lease_destroy(standby);
}

static double half(void *ctx attr_unused)
{
	return 0.5;
}

static void standby_polls_with_jitter(void)
{
	struct lease *l = lease_create("vmgpu", "controller", "me", &settings, half, NULL);

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	is_int(wake, now + 2000 + 1200);
	lease_destroy(l);
}

static void api_server_down_is_asked_every_two_seconds(void)
{
	struct lease *l = make("me");
	int asked = 0;

	reset();
	for (int64_t end = now + 20000; now < end; now += 100) {
		if (ask(l)) {
			asked++;
			lease_answer(l, now, now, 503, NULL);
		}
	}
	is_int(asked, 10);
	lease_destroy(l);
}

static void rival_that_writes_all_the_time_is_not_chased(void)
{
	struct lease *l = make("me");
	int asked = 0;

	reset();
	store(foreign("", ANCIENT));
	for (int64_t end = now + 20000; now < end; now += 100) {
		for (enum lease_do what; (what = ask(l));) {
			int status;

			store(json_deep_copy(stored));
			asked++;
			status = serve(what, body);

			lease_answer(l, now, now, status, what == LEASE_GET ? stored : NULL);
		}
	}
	ok(asked < 30);
	lease_destroy(l);
}

/* The stored Lease as a watch would show it. */
static void show(struct lease *l)
{
	auto_free char *version = xprintf("%" PRId64, rv);
	struct lease_record r = {
		.obj.rv = version,
		.holder = spec_str(stored, "holderIdentity"),
		.acquired = spec_str(stored, "acquireTime"),
		.renewed = spec_str(stored, "renewTime"),
		.seconds = spec_int(stored, "leaseDurationSeconds"),
		.transitions = spec_int(stored, "leaseTransitions"),
	};

	lease_seen(l, now, stored ? &r : NULL);
}

static void watched_lease_is_taken_as_soon_as_it_is_free(void)
{
	struct lease *l = make("me");

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	now += 500;
	store(foreign("", ANCIENT));
	show(l);
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_UPDATE);
	ok(lease_held(l, now));
	lease_destroy(l);
}

static void watched_lease_expires_without_polls(void)
{
	struct lease *l = make("me");
	int64_t seen = 0;
	int gets = 0;

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	for (int64_t start = now; now < start + 60000 && !lease_held(l, now); now += 10) {
		if ((now - start) % 5000 == 0 && now < start + 30000) {
			auto_free char *stamp = xprintf("t%" PRId64, now);

			store(foreign("other", stamp));
			show(l);
			seen = now;
		}
		for (enum lease_do what; (what = step(l));) {
			gets += what == LEASE_GET;
		}
	}
	is_int(now - 10 - seen, 15000);
	is_int(gets, 1);
	lease_destroy(l);
}

static void late_events_of_a_watch_take_nothing_away(void)
{
	struct lease *l = make("me");
	struct lease_record old = {
		.obj.rv = "3", .holder = "other", .renewed = ANCIENT, .seconds = 15};

	reset();
	store(foreign("", ANCIENT));
	settle(l);
	lease_seen(l, now, &old);
	ok(lease_held(l, now));
	show(l);
	now += 5000;
	is_int(ask(l), LEASE_UPDATE);
	serve(LEASE_UPDATE, body);
	show(l); /* the echo before the answer */
	lease_answer(l, now, now, 200, stored);
	ok(lease_held(l, now));
	now += 5000;
	is_int(step(l), LEASE_UPDATE);
	lease_destroy(l);
}

static void watched_theft_is_seen_at_once(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 100;
	store(foreign("thief", FAR_OFF));
	show(l);
	ok(!lease_held(l, now));
	ok(lease_lost(l, now));
	lease_destroy(l);
}

static void watched_deletion_is_mended_at_once(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 100;
	store(NULL);
	show(l);
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_CREATE);
	ok(lease_held(l, now));
	lease_destroy(l);
}

static void request_never_outlives_the_deadline(void)
{
	struct lease *l = make("me");

	reset();
	is_int(lease_timeout(l, now), 5000);
	settle(l);
	is_int(lease_timeout(l, now), 5000);
	is_int(lease_timeout(l, now + 5000), 2500);
	is_int(lease_timeout(l, now + 8500), 1000);
	is_int(lease_timeout(l, now + 9400), 600);
	lease_destroy(l);
}

/* Simulation. */

enum { CONTENDERS = 3 };
static struct contender {
	struct lease *lease;
	int64_t paused_until, answer_at, sent;
	int status;
	json_t *answer;
	bool told; /* a paused program looks at its clock only when it runs again */
} sim[CONTENDERS];
static uint64_t seed;

static int rnd(int n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (int)((seed >> 33) % (uint64_t)n);
}

static double rnd_double(void *ctx attr_unused)
{
	return rnd(1000) / 1000.0;
}

static void sim_start(struct contender *c, int i)
{
	char name[] = {(char)('a' + i), (char)('0' + rnd(10)), (char)('0' + rnd(10)),
		       (char)('0' + rnd(10)), 0};

	lease_destroy(c->lease);
	json_decref(c->answer);
	*c = (struct contender){.lease = lease_create("n", "l", name, &settings, rnd_double, NULL)};
	c->answer_at = INT64_MAX;
}

static void sim_request(struct contender *c)
{
	json_t *sent = NULL;
	int64_t ignored;
	enum lease_do what =
		lease_next(c->lease, now, wall + rnd(7200000) - 3600000, &sent, &ignored);
	int luck = rnd(10);

	if (!what) {
		return;
	}
	c->sent = now;
	c->answer_at = now + rnd(400);
	c->status = luck == 0 ? 0 : luck == 1 ? 503 : serve(what, sent);
	c->answer = c->status && c->status < 300 ? json_deep_copy(stored) : NULL;
	if (luck == 2 ||
	    c->status == 0) { /* the answer is lost: the client waits for its timeout */
		c->status = 0;
		json_decref(take(c->answer));
		c->answer_at = now + lease_timeout(c->lease, now);
	}
	json_decref(sent);
}

static void sim_step(struct contender *c, int i)
{
	if (now < c->paused_until) {
		return;
	}
	if (rnd(4000) == 0) {
		c->paused_until = now + rnd(40000);
		return;
	}
	if (now >= c->answer_at) {
		c->answer_at = INT64_MAX;
		lease_answer(c->lease, now, c->sent, c->status, c->answer);
		json_decref(take(c->answer));
	}
	if (lease_lost(c->lease, now) || rnd(20000) == 0) {
		sim_start(c, i); /* ends and is started again */
	}
	if (c->answer_at == INT64_MAX) {
		sim_request(c);
	}
}

static void never_two_hold_the_lease(void)
{
	int64_t led = 0, total = 0;

	for (uint64_t round = 1; round <= 60; round++) {
		reset();
		seed = round;
		for (int i = 0; i < CONTENDERS; i++) {
			sim_start(&sim[i], i);
		}
		for (int64_t end = now + 300000; now < end; now += 10) {
			int holders = 0;

			for (int i = 0; i < CONTENDERS; i++) {
				sim_step(&sim[i], i);
				holders += lease_held(sim[i].lease, now);
			}
			ok(holders <= 1);
			led += holders;
			total++;
		}
	}
	ok(led * 10 > total * 5); /* and most of the time somebody leads */
	for (int i = 0; i < CONTENDERS; i++) {
		lease_destroy(sim[i].lease);
		json_decref(sim[i].answer);
	}
}

TESTS({"a release waits for a request that could make it lead",
       release_waits_for_the_first_request},
      {"a release lets the next one in at once", release_lets_the_next_one_in},
      {"a release waits for the request in flight", release_waits_for_the_request_in_flight},
      {"a release after a conflict looks first", release_after_a_conflict_looks_first},
      {"a release never touches another's Lease", release_never_touches_anothers_lease},
      {"a release of one who never led asks nothing", release_of_one_who_never_led_asks_nothing},
      {"a release gives up at the deadline", release_gives_up_at_the_deadline},
      {"jumps of the wall clock have no effect", wall_clock_has_no_say},
      {"a wall clock that stands still still renews", clock_that_stands_still_still_renews},
      {"a standby polls with client-go's jitter", standby_polls_with_jitter},
      {"an API server that is down is asked every two seconds",
       api_server_down_is_asked_every_two_seconds},
      {"a rival that writes all the time is not chased",
       rival_that_writes_all_the_time_is_not_chased},
      {"a watched Lease is taken as soon as it is free",
       watched_lease_is_taken_as_soon_as_it_is_free},
      {"a watched Lease expires on time and needs no polls", watched_lease_expires_without_polls},
      {"late events of a watch take nothing away", late_events_of_a_watch_take_nothing_away},
      {"a theft that the watch shows is seen at once", watched_theft_is_seen_at_once},
      {"a deletion that the watch shows is mended at once", watched_deletion_is_mended_at_once},
      {"a request never outlives the deadline", request_never_outlives_the_deadline},
      {"three contenders, faults and pauses: never two hold the Lease", never_two_hold_the_lease})
