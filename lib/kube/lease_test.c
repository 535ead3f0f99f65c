/* SPDX-License-Identifier: Apache-2.0 */
/* How a Lease is taken, kept and lost. */
#include "kube/lease_test.h"

static void absent_lease_is_created(void)
{
	struct lease *l = make("me");

	reset();
	is_int(step(l), LEASE_GET);
	ok(!lease_held(l, now));
	is_int(step(l), LEASE_CREATE);
	ok(lease_held(l, now));
	is_str(spec_str(stored, "holderIdentity"), "me");
	is_int(spec_int(stored, "leaseDurationSeconds"), 15);
	is_int(spec_int(stored, "leaseTransitions"), 0);
	is_str(spec_str(stored, "renewTime"), "2023-11-14T22:13:20.123000Z");
	is_str(spec_str(stored, "acquireTime"), "2023-11-14T22:13:20.123000Z");
	is_str(json_string_value(json_object_get(stored, "apiVersion")), "coordination.k8s.io/v1");
	is_str(lease_holder(l), "me");
	lease_destroy(l);
}

static void released_lease_is_taken_at_once(void)
{
	struct lease *l = make("me");

	reset();
	store(foreign("", ANCIENT));
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_UPDATE);
	ok(lease_held(l, now));
	is_int(spec_int(stored, "leaseTransitions"), 7);
	is_int(lease_transitions(l), 7);
	is_str(spec_str(stored, "acquireTime"), spec_str(stored, "renewTime"));
	lease_destroy(l);
}

static void takes_over_after(const char *timestamp)
{
	struct lease *l = make("me");
	int64_t start;

	reset();
	start = now;
	store(foreign("other", timestamp));
	for (; now < start + 60000 && !lease_held(l, now); now++) {
		settle(l);
		if (!lease_held(l, now)) {
			is_str(lease_holder(l), "other");
		}
	}
	is_int(now - 1 - start, 15000);
	lease_destroy(l);
}

static void silent_holder_is_replaced_after_its_duration(void)
{
	takes_over_after(ANCIENT);
	takes_over_after(FAR_OFF);
	takes_over_after("no time at all");
}

/* Whose Lease lasts no time is followed at once; a number below none is none. */
static void lease_that_lasts_no_time(void)
{
	for (int seconds = -1; seconds < 2; seconds++) {
		struct lease *l = make("me");
		json_t *theirs = foreign("other", FAR_OFF);

		reset();
		json_object_set_new(json_object_get(theirs, "spec"), "leaseDurationSeconds",
				    json_integer(seconds));
		store(theirs);
		is_int(step(l), LEASE_GET);
		is_int(ask(l), seconds > 0 ? LEASE_WAIT : LEASE_UPDATE);
		lease_destroy(l);
	}
}

/* What is no answer of 200 with an object says nothing of who holds it. */
static void look_without_an_answer(void)
{
	for (int status = 200; status < 504; status += 303) {
		struct lease *l = make("me");

		reset();
		store(foreign("", ANCIENT));
		is_int(ask(l), LEASE_GET);
		lease_answer(l, now, now, status, status == 200 ? NULL : stored);
		is_int(ask(l), LEASE_WAIT);
		is_int(wake, now + settings.retry_ms);
		now = wake;
		is_int(step(l), LEASE_GET);
		is_int(step(l), LEASE_UPDATE);
		ok(lease_held(l, now));
		lease_destroy(l);
	}
}

static void what_is_a_success(void)
{
	static const struct {
		int status;
		bool held;
	} rows[] = {{199, false}, {200, true}, {299, true}, {300, false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lease *l = make("me");

		reset();
		is_int(step(l), LEASE_GET);
		is_int(ask(l), LEASE_CREATE);
		serve(LEASE_CREATE, body);
		lease_answer(l, now, now, rows[i].status, stored);
		is_int(lease_held(l, now), rows[i].held);
		lease_destroy(l);
	}
}

static void any_change_of_the_record_is_a_sign_of_life(void)
{
	struct lease *l = make("me");
	int64_t changed = 0;

	reset();
	store(foreign("other", ANCIENT));
	for (int64_t end = now + 40000; now < end; now += 100) {
		if (now == 15000) {
			store(foreign(
				"other",
				FAR_OFF)); /* its clock jumped by a century: still only one sign */
			changed = now;
		}
		settle(l);
		if (lease_held(l, now)) {
			break;
		}
	}
	ok(now >= changed + 15000);
	ok(now <= changed + 15000 + 2000);
	lease_destroy(l);
}

static void label_on_the_lease_is_no_sign_of_life(void)
{
	struct lease *l = make("me");
	int64_t start;

	reset();
	start = now;
	store(foreign("other", ANCIENT));
	for (; now < start + 60000 && !lease_held(l, now); now += 10) {
		if (now % 1000 == 0) {
			store(json_deep_copy(stored));
		}
		settle(l);
	}
	ok(now - start <= 15000 + 2010);
	lease_destroy(l);
}

static void renewal_changes_nothing_but_its_time(void)
{
	struct lease *l = make("me");
	auto_free char *acquired = NULL;

	reset();
	store(foreign("", ANCIENT));
	settle(l);
	acquired = xstrdup(spec_str(stored, "acquireTime"));
	is_int(wake, now + 5000);
	now += 4999;
	is_int(step(l), LEASE_WAIT);
	now += 1;
	wall += 5000;
	is_int(step(l), LEASE_UPDATE);
	is_str(spec_str(stored, "acquireTime"), acquired);
	is_str(spec_str(stored, "renewTime"), "2023-11-14T22:13:25.123000Z");
	is_int(spec_int(stored, "leaseTransitions"), 7);
	is_str(spec_str(stored, "strategy"), "OldestEmulationVersion");
	is_str(json_string_value(json_object_get(
		       json_object_get(json_object_get(stored, "metadata"), "labels"), "team")),
	       "x");
	is_int(lease_left(l, now), 10000);
	wall -= 5000;
	lease_destroy(l);
}

static void writes_stop_at_the_deadline_when_no_answer_comes(void)
{
	struct lease *l = make("me");
	int64_t renewed;
	int tries = 0;

	reset();
	settle(l);
	renewed = now;
	while (!lease_lost(l, now)) {
		int64_t before = now;

		if (step_lost(l, false)) {
			tries++;
			ok(before < renewed + 10000);
			ok(now <= renewed + 10000);
		} else {
			now = wake;
		}
		is_int(lease_held(l, now), now < renewed + 10000);
		is_int(lease_left(l, now), MAX(renewed + 10000 - now, 0));
	}
	ok(tries >= 3);
	is_int(now, renewed + 10000);
	is_int(ask(l), LEASE_WAIT);
	is_int(wake, INT64_MAX);
	lease_destroy(l);
}

static void lost_answers_are_survived_when_one_comes_in_time(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 5000;
	is_int(step_lost(l, true), LEASE_UPDATE);
	ok(lease_held(l, now));
	settle(l);
	is_int(lease_left(l, now), 10000);
	is_int(spec_int(stored, "leaseTransitions"), 0);
	lease_destroy(l);
}

static void renewal_counts_from_when_it_was_sent(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 5000;
	is_int(ask(l), LEASE_UPDATE);
	now += 2000;
	is_int(serve(LEASE_UPDATE, body), 200);
	lease_answer(l, now, now - 2000, 200, stored);
	is_int(lease_left(l, now), 8000);
	lease_destroy(l);
}

static void paused_leader_never_leads_again(void)
{
	struct lease *l = make("me");
	int64_t sent;

	reset();
	settle(l);
	now += 5000;
	is_int(ask(l), LEASE_UPDATE);
	sent = now;
	/* SIGSTOP; another takes over; SIGCONT. */
	now += 20000;
	ok(!lease_held(l, now));
	is_int(lease_left(l, now), 0);
	ok(lease_lost(l, now));
	lease_answer(l, now, sent, 200, stored);
	ok(!lease_held(l, now));
	ok(lease_lost(l, now));
	is_int(ask(l), LEASE_WAIT);
	is_int(wake, INT64_MAX);
	/* Not even an answer that claims to be recent. */
	lease_answer(l, now, now, 200, stored);
	ok(!lease_held(l, now));
	lease_destroy(l);
}

static void deadline_is_exact(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	ok(lease_held(l, now + 9999));
	ok(!lease_lost(l, now + 9999));
	is_int(lease_left(l, now + 9999), 1);
	ok(!lease_held(l, now + 10000));
	ok(lease_lost(l, now + 10000));
	is_int(lease_left(l, now + 10000), 0);
	/* Paused between two requests: it asks for nothing any more. */
	now += 10000;
	is_int(ask(l), LEASE_WAIT);
	is_int(wake, INT64_MAX);
	lease_destroy(l);
}

static void answer_without_a_body_is_looked_up(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	now += 5000;
	is_int(ask(l), LEASE_UPDATE);
	is_int(serve(LEASE_UPDATE, body), 200);
	lease_answer(l, now, now, 200, NULL);
	is_int(lease_left(l, now), 10000);
	now += 5000;
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_UPDATE);
	is_int(lease_left(l, now), 10000);
	lease_destroy(l);
}

static void vanished_lease_has_no_holder(void)
{
	struct lease *l = make("me");
	struct lease_record again = {
		.obj.rv = "1", .holder = "other", .renewed = ANCIENT, .seconds = 15};

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	is_str(lease_holder(l), "other");
	store(NULL);
	now += 2000;
	is_int(step(l), LEASE_GET);
	is_str(lease_holder(l), "");
	/* A restored etcd may count anew. */
	lease_seen(l, now, &again);
	is_str(lease_holder(l), "other");
	lease_destroy(l);
}

static void release_of_a_vanished_lease_creates_none(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	store(NULL);
	lease_release(l);
	is_int(step(l), LEASE_UPDATE);
	is_int(step(l), LEASE_GET);
	is_int(step(l), LEASE_WAIT);
	ok(lease_released(l, now));
	ok(!stored);
	lease_destroy(l);
}

static void stolen_lease_is_lost_at_the_next_look(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	store(foreign("thief", FAR_OFF));
	now += 5000;
	is_int(step(l), LEASE_UPDATE);
	ok(lease_held(l, now));
	is_int(step(l), LEASE_GET);
	ok(!lease_held(l, now));
	ok(lease_lost(l, now));
	is_str(lease_holder(l), "thief");
	is_int(step(l), LEASE_WAIT);
	is_str(spec_str(stored, "holderIdentity"), "thief");
	lease_destroy(l);
}

static void deleted_lease_is_written_anew_by_its_leader(void)
{
	struct lease *l = make("me");

	reset();
	store(foreign("", ANCIENT));
	settle(l);
	store(NULL);
	now += 5000;
	is_int(step(l), LEASE_UPDATE);
	is_int(step(l), LEASE_GET);
	ok(lease_held(l, now));
	is_int(step(l), LEASE_CREATE);
	ok(lease_held(l, now));
	is_int(lease_left(l, now), 10000);
	/* client-go would restart at 0. */
	is_int(spec_int(stored, "leaseTransitions"), 7);
	lease_destroy(l);
}

static void deleted_lease_taken_by_another_is_lost(void)
{
	struct lease *l = make("me");

	reset();
	settle(l);
	store(NULL);
	now += 5000;
	is_int(step(l), LEASE_UPDATE);
	is_int(step(l), LEASE_GET);
	store(foreign("quick", FAR_OFF));
	is_int(step(l), LEASE_CREATE);
	is_int(step(l), LEASE_GET);
	ok(!lease_held(l, now));
	ok(lease_lost(l, now));
	lease_destroy(l);
}

static void vanished_lease_is_not_taken_while_its_holder_may_write(void)
{
	struct lease *l = make("me");
	int64_t start;

	reset();
	store(foreign("other", ANCIENT));
	settle(l);
	start = now;
	store(NULL);
	for (; now < start + 60000 && !lease_held(l, now); now += 10) {
		settle(l);
	}
	is_int(now - 10 - start, 15000);
	is_int(spec_int(stored, "leaseTransitions"), 7);
	lease_destroy(l);
}

static void two_creators_one_leader(void)
{
	struct lease *a = make("a"), *b = make("b");

	reset();
	is_int(step(a), LEASE_GET);
	is_int(step(b), LEASE_GET);
	is_int(step(a), LEASE_CREATE);
	is_int(step(b), LEASE_CREATE);
	settle(b);
	ok(lease_held(a, now));
	ok(!lease_held(b, now));
	ok(!lease_lost(b, now));
	lease_destroy(a);
	lease_destroy(b);
}

static void acquisition_whose_answer_was_lost_is_noticed(void)
{
	struct lease *l = make("me");

	reset();
	store(foreign("", ANCIENT));
	is_int(step(l), LEASE_GET);
	is_int(step_lost(l, true), LEASE_UPDATE);
	ok(!lease_held(l, now));
	settle(l);
	ok(lease_held(l, now));
	is_int(spec_int(stored, "leaseTransitions"), 7);
	lease_destroy(l);
}

static void acquisition_answered_too_late_is_none(void)
{
	struct lease *l = make("me");

	reset();
	is_int(step(l), LEASE_GET);
	is_int(ask(l), LEASE_CREATE);
	serve(LEASE_CREATE, body);
	now += 12000;
	lease_answer(l, now, now - 12000, 201, stored);
	ok(!lease_held(l, now));
	ok(!lease_lost(l, now));
	settle(l);
	ok(lease_held(l, now));
	is_int(lease_left(l, now), 10000);
	lease_destroy(l);
}

static void times_must_fit(void)
{
	const struct {
		struct lease_settings s;
		const char *names;
	} bad[] = {
		{{10000, 5000, 2000, 10000}, "--lease-duration"},
		{{15000, 10000, 2000, 10000}, "--renew-period"},
		{{15000, 5000, 8400, 10000},
		 "--retry-period must be shorter than 5/6 of --renew-deadline"},
	};
	const struct lease_settings good = LEASE_DEFAULTS, tight = {10001, 9999, 8300, 10000};
	struct err err = {""};

	is_int(lease_check(&good, &err), 0);
	is_int(lease_check(&tight, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		is_int(lease_check(&bad[i].s, &err), -1);
		has(err.text, bad[i].names);
		has(err.text, "10000 ms");
	}
}

TESTS({"a Lease that lasts no time is taken at once", lease_that_lasts_no_time},
      {"a look that is not answered says nothing", look_without_an_answer},
      {"only 2xx is a success", what_is_a_success},
      {"an absent Lease is created as client-go would", absent_lease_is_created},
      {"a released Lease is taken at once, one transition later", released_lease_is_taken_at_once},
      {"a silent holder is replaced after its duration, whatever its timestamps say",
       silent_holder_is_replaced_after_its_duration},
      {"any change of the record is a sign of life", any_change_of_the_record_is_a_sign_of_life},
      {"a label on the Lease is no sign of life", label_on_the_lease_is_no_sign_of_life},
      {"a renewal changes nothing but its time", renewal_changes_nothing_but_its_time},
      {"writes stop at the deadline when no answer comes",
       writes_stop_at_the_deadline_when_no_answer_comes},
      {"a lost answer is survived when the next comes in time",
       lost_answers_are_survived_when_one_comes_in_time},
      {"a renewal counts from when it was sent", renewal_counts_from_when_it_was_sent},
      {"a leader paused beyond its Lease never leads again", paused_leader_never_leads_again},
      {"the deadline is exact", deadline_is_exact},
      {"an answer without a body is looked up", answer_without_a_body_is_looked_up},
      {"a vanished Lease has no holder", vanished_lease_has_no_holder},
      {"a release of a vanished Lease creates none", release_of_a_vanished_lease_creates_none},
      {"a stolen Lease is lost at the next look", stolen_lease_is_lost_at_the_next_look},
      {"a deleted Lease is written anew by its leader",
       deleted_lease_is_written_anew_by_its_leader},
      {"a deleted Lease that another took is lost", deleted_lease_taken_by_another_is_lost},
      {"a vanished Lease is not taken while its holder may still write",
       vanished_lease_is_not_taken_while_its_holder_may_write},
      {"of two creators one leads", two_creators_one_leader},
      {"an acquisition whose answer was lost is noticed",
       acquisition_whose_answer_was_lost_is_noticed},
      {"an acquisition answered too late is none", acquisition_answered_too_late_is_none},
      {"times with which two could lead are refused, by the flags' names", times_must_fit})
