/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/queue.h"

#include <malloc.h>

#include "base/test.h"

static struct queue *q;
static struct queue_item item;
static int64_t wake;

static void start(size_t max)
{
	queue_destroy(q);
	q = queue_create(max);
}

/* The next key as "ns/name", or "" when nothing is ready. Valid until the next call. */
static const char *next(int64_t now)
{
	static char *text;

	free(take(text));
	if (!queue_next(q, now, &item, &wake)) {
		return "";
	}
	return text = xprintf("%s/%s", item.ns ? item.ns : "", item.name);
}

static struct queue_stats stats(int64_t now)
{
	struct queue_stats s;

	queue_stats(q, now, &s);
	return s;
}

static void added_twice_comes_once(void)
{
	start(10);
	queue_add(q, "a", "x", QUEUE_USER, 0);
	queue_add(q, "a", "x", QUEUE_USER, 1);
	is_int(stats(5).depth, 1);
	is_int(stats(5).oldest_ms, 5);
	is_str(next(2), "a/x");
	is_int(item.added, 0);
	is_str(next(2), "");
	is_int(wake, INT64_MAX);
}

static void key_in_work_is_never_handed_out_again(void)
{
	start(10);
	queue_add(q, "a", "x", QUEUE_USER, 0);
	is_str(next(0), "a/x");
	queue_add(q, "a", "x", QUEUE_USER, 1);
	queue_add_after(q, "a", "x", 1, 1);
	is_str(next(5), "");
	queue_done(q, "a", "x", false, 6);
	is_str(next(6), "a/x");
	queue_done(q, "a", "x", false, 7);
	is_str(next(100), "");
	is_int(stats(100).working, 0);
}

static void cluster_scoped_key_has_no_namespace(void)
{
	start(10);
	queue_add(q, NULL, "node1", QUEUE_NODE, 0);
	is_str(next(0), "/node1");
	ok(!item.ns);
	is_str(item.name, "node1");
	queue_done(q, NULL, "node1", false, 0);
	is_int(stats(0).working, 0);
}

static void higher_priority_goes_first(void)
{
	start(10);
	queue_add(q, "a", "initial", QUEUE_INITIAL, 0);
	queue_add(q, "a", "node", QUEUE_NODE, 0);
	queue_add(q, "a", "user", QUEUE_USER, 0);
	queue_add(q, "a", "urgent", QUEUE_URGENT, 0);
	is_str(next(0), "a/urgent");
	is_int(item.priority, QUEUE_URGENT);
	is_str(next(0), "a/user");
	is_str(next(0), "a/node");
	is_str(next(0), "a/initial");
}

static void add_of_higher_priority_moves_a_ready_key_forward(void)
{
	start(10);
	queue_add(q, "a", "x", QUEUE_USER, 0);
	queue_add(q, "a", "y", QUEUE_INITIAL, 1);
	queue_add(q, "a", "y", QUEUE_URGENT, 2);
	queue_add(q, "a", "y", QUEUE_NODE, 3);
	is_str(next(4), "a/y");
	is_int(item.added, 1);
	is_int(item.priority, QUEUE_URGENT);
}

static void namespaces_take_turns(void)
{
	start(100);
	for (int i = 0; i < 5; i++) {
		char name[] = {(char)('a' + i), 0};

		queue_add(q, "big", name, QUEUE_USER, 0);
	}
	queue_add(q, "small", "s", QUEUE_USER, 1);
	queue_add(q, "tiny", "t", QUEUE_USER, 2);
	is_str(next(3), "big/a");
	is_str(next(3), "small/s");
	is_str(next(3), "tiny/t");
	is_str(next(3), "big/b");
	queue_add(q, "small", "s2", QUEUE_USER, 4);
	is_str(next(4), "big/c");
	is_str(next(4), "small/s2");
	is_str(next(4), "big/d");
	is_str(next(4), "big/e");
	is_str(next(4), "");
}

static void failure_backs_off_and_success_forgets(void)
{
	int64_t now = 0, want = 5;

	start(10);
	queue_add(q, "a", "x", QUEUE_USER, now);
	for (unsigned i = 0; i < 25; i++) {
		is_str(next(now), "a/x");
		is_int(item.failures, i);
		queue_done(q, "a", "x", true, now);
		is_str(next(now), "");
		is_int(wake - now, want);
		is_str(next(wake - 1), "");
		now = wake;
		want = MIN(want * 2, 300000);
	}
	is_int(want, 300000);
	is_int(stats(now).retries, 25);
	is_str(next(now), "a/x");
	queue_done(q, "a", "x", false, now);
	queue_add(q, "a", "x", QUEUE_USER, now);
	is_str(next(now), "a/x");
	is_int(item.failures, 0);
}

/* Puts a/x into a back-off of 81,920 ms that ends at `from` + 81,920. */
static void fail_15_times(int64_t from)
{
	start(10);
	queue_add(q, "a", "x", QUEUE_NODE, 0);
	for (int i = 0; i < 15; i++) {
		is_str(next(from), "a/x");
		queue_done(q, "a", "x", true, from);
		if (i < 14) {
			queue_add(q, "a", "x", QUEUE_USER, from);
		}
	}
	is_str(next(from), "");
	is_int(wake, from + 81920);
}

static void user_change_ends_a_backoff_at_once(void)
{
	fail_15_times(1000);
	queue_add(q, "a", "x", QUEUE_USER, 2000);
	is_str(next(2000), "a/x");
	is_int(item.failures, 15);
}

static void other_news_end_a_backoff_within_a_second(void)
{
	fail_15_times(1000);
	queue_add(q, "a", "x", QUEUE_NODE, 2000);
	is_str(next(2999), "");
	is_int(wake, 3000);
	queue_add(q, "a", "x", QUEUE_NODE, 2900);
	is_str(next(3000), "a/x");
}

static void failing_pass_does_not_spin_on_its_own_echo(void)
{
	int passes = 0;

	fail_15_times(0);
	queue_add(q, "a", "x", QUEUE_NODE, 0);
	for (int64_t now = 0; now < 60000; now++) {
		if (*next(now)) {
			passes++;
			queue_add(q, "a", "x", QUEUE_NODE, now);
			queue_add_after(q, "a", "x", now + 1, now);
			queue_done(q, "a", "x", true, now);
		}
	}
	is_int(passes, 59);
}

static void news_during_a_failing_pass_are_not_lost(void)
{
	fail_15_times(0);
	queue_add(q, "a", "x", QUEUE_USER, 10);
	is_str(next(10), "a/x");
	queue_add(q, "a", "x", QUEUE_USER, 11);
	queue_done(q, "a", "x", true, 12);
	is_str(next(12), "a/x");
	queue_done(q, "a", "x", false, 13);
	is_str(next(1000000), "");
}

static void time_asked_for_during_a_failing_pass_shortens_the_wait(void)
{
	fail_15_times(0);
	queue_add(q, "a", "x", QUEUE_USER, 10);
	is_str(next(10), "a/x");
	queue_add_after(q, "a", "x", 3000, 10);
	queue_done(q, "a", "x", true, 12);
	is_str(next(12), "");
	is_int(wake, 3000);
	is_str(next(3000), "a/x");
	queue_add_after(q, "a", "x", 3001, 3000);
	queue_done(q, "a", "x", true, 3000);
	is_str(next(3500), "");
	is_int(wake, 4000); /* but not to nothing */
}

static void what_has_gone_through_leaves_nothing(void)
{
	size_t before = 0;

	start(10);
	for (int i = 0; i < 20000; i++) {
		char ns[16];

		snprintf(ns, sizeof(ns), "tenant-%d", i);
		queue_add(q, ns, "x", QUEUE_USER, i);
		has(next(i), "/x");
		queue_done(q, ns, "x", false, i);
		before = i == 1000 ? mallinfo2().uordblks : before;
	}
	ok(mallinfo2().uordblks < before + 64 * KiB);
	is_int(stats(0).adds, 20000);
}

static void earlier_time_is_kept(void)
{
	start(10);
	queue_add_after(q, "a", "x", 500, 0);
	queue_add_after(q, "a", "x", 300, 0);
	queue_add_after(q, "a", "x", 400, 0);
	is_str(next(0), "");
	is_int(wake, 300);
	is_int(stats(0).waiting, 1);
	is_str(next(300), "a/x");
	queue_add_after(q, "a", "x", 900, 300);
	queue_add_after(q, "a", "x", 700, 300);
	queue_add_after(q, "a", "x", 800, 300);
	queue_done(q, "a", "x", false, 310);
	is_str(next(310), "");
	is_int(wake, 700);
}

static void equal_times_come_in_the_order_of_asking(void)
{
	char name[] = "a";

	start(100);
	for (; *name <= 'q'; ++*name) {
		queue_add_after(q, "n", name, 500, 0);
	}
	for (char want[] = "n/a"; want[2] <= 'q'; ++want[2]) {
		is_str(next(500), want);
	}
}

static void add_ends_a_wait_and_the_wait_is_gone(void)
{
	start(10);
	queue_add_after(q, "a", "x", 500, 0);
	queue_add(q, "a", "x", QUEUE_INITIAL, 10);
	is_str(next(10), "a/x");
	queue_done(q, "a", "x", false, 11);
	is_str(next(1000), "");
	is_int(wake, INT64_MAX);
}

static void recovery_ends_all_backoffs(void)
{
	fail_15_times(0);
	queue_add_after(q, "b", "timer", 5000, 0);
	queue_hurry(q, 100);
	is_str(next(100), "a/x");
	is_int(item.failures, 0);
	is_str(next(100), "");
	is_int(wake, 5000);
}

static void full_queue_refuses_and_says_when_there_is_room(void)
{
	start(4);
	queue_add(q, "a", "1", QUEUE_USER, 0);
	queue_add(q, "a", "2", QUEUE_USER, 0);
	queue_add(q, "a", "3", QUEUE_USER, 0);
	queue_add(q, "a", "4", QUEUE_USER, 0);
	ok(!queue_refused(q));
	queue_add(q, "a", "5", QUEUE_URGENT, 0);
	queue_add_after(q, "a", "6", 0, 0);
	queue_add(q, "a", "4", QUEUE_USER, 0);
	is_int(stats(0).refused, 2);
	is_int(stats(0).depth, 4);
	ok(!queue_refused(q));
	is_str(next(0), "a/1");
	queue_done(q, "a", "1", false, 0);
	ok(!queue_refused(q));
	is_str(next(0), "a/2");
	queue_done(q, "a", "2", false, 0);
	ok(queue_refused(q));
	ok(!queue_refused(q));
}

/* A naive model: plain arrays, every question answered by looking at all keys. */

enum { KEYS = 24, TENANTS = 4 };

static struct model {
	bool ready, waiting, working, dirty, again, backoff;
	int priority;
	unsigned failures;
	int64_t at, added, order; /* order: when it joined its list */
} model[KEYS];
static int64_t turn[TENANTS][QUEUE_PRIORITIES], clock_; /* turn: when the tenant joined the ring */

static const char *const tenant_names[TENANTS] = {"a", "b", "c", NULL};
static const char *tenant_of(int k)
{
	return tenant_names[k % TENANTS];
}

static const char *name_of(int k)
{
	static char name[4];

	snprintf(name, sizeof(name), "k%d", k);
	return name;
}

static bool tenant_is_ready(int t, int p)
{
	for (int k = t; k < KEYS; k += TENANTS) {
		if (model[k].ready && model[k].priority == p) {
			return true;
		}
	}
	return false;
}

static void model_ready(int k, int p, int64_t since)
{
	struct model *m = &model[k];

	m->ready = m->waiting = m->backoff = false;
	if (!tenant_is_ready(k % TENANTS, p)) {
		turn[k % TENANTS][p] = ++clock_;
	}
	m->ready = true;
	m->priority = p;
	m->added = since;
	m->order = ++clock_;
}

static void model_wait(int k, int64_t at, bool backoff)
{
	model[k].waiting = true;
	model[k].at = at;
	model[k].backoff = backoff;
	model[k].order = ++clock_;
}

static void model_add(int k, int p, int64_t now)
{
	struct model *m = &model[k];

	if (m->working) {
		m->priority = m->dirty ? MIN(m->priority, p) : p;
		m->dirty = true;
	} else if (m->waiting && m->backoff && p > QUEUE_USER) {
		m->priority = MIN(m->priority, p);
		model_wait(k, MIN(m->at, now + 1000), true);
	} else if (m->waiting) {
		model_ready(k, MIN(m->priority, p), now);
	} else if (!m->ready) {
		model_ready(k, p, now);
	} else if (p < m->priority) {
		model_ready(k, p, m->added);
	}
}

static void model_add_after(int k, int64_t at, int64_t now)
{
	struct model *m = &model[k];

	if (m->working) {
		m->at = m->again ? MIN(m->at, at) : at;
		m->again = true;
	} else if (m->waiting) {
		model_wait(k, MIN(m->at, m->backoff ? MAX(at, now + 1000) : at), m->backoff);
	} else if (!m->ready) {
		m->priority = QUEUE_NODE;
		model_wait(k, MAX(at, now), false);
	}
}

static void model_done(int k, bool failed, int64_t now)
{
	struct model *m = &model[k];

	m->working = false;
	if (failed) {
		int64_t at = 5;

		for (unsigned i = 0; i < m->failures && at < 300000; i++) {
			at *= 2;
		}
		m->failures++;
		at = now + MIN(at, 300000);
		if (m->dirty && m->priority <= QUEUE_USER) {
			model_ready(k, m->priority, now);
			return;
		}
		at = m->dirty ? MIN(at, now + 1000) : at;
		at = m->again ? MIN(at, MAX(m->at, now + 1000)) : at;
		model_wait(k, at, true);
		return;
	}
	m->failures = 0;
	if (m->dirty) {
		model_ready(k, m->priority, now);
	} else if (m->again) {
		m->priority = QUEUE_NODE;
		model_wait(k, m->at, false);
	}
}

/* The waiting key that is due first, or -1. */
static int model_due(int64_t now)
{
	int best = -1;

	for (int k = 0; k < KEYS; k++) {
		const struct model *m = &model[k], *b = best < 0 ? NULL : &model[best];

		if (m->waiting && m->at <= now &&
		    (!b || m->at < b->at || (m->at == b->at && m->order < b->order))) {
			best = k;
		}
	}
	return best;
}

/*
 * The key whose turn it is: best priority, then the tenant that waits longest, then first in. -1:
 * none.
 */
static int model_next(int64_t now)
{
	int best = -1;

	for (int k; (k = model_due(now)) >= 0;) {
		model_ready(k, model[k].priority, model[k].at);
	}
	for (int k = 0; k < KEYS; k++) {
		const struct model *m = &model[k], *b = best < 0 ? NULL : &model[best];
		int64_t mine = turn[k % TENANTS][m->priority];

		if (m->ready &&
		    (!b || m->priority < b->priority ||
		     (m->priority == b->priority &&
		      (mine < turn[best % TENANTS][b->priority] ||
		       (mine == turn[best % TENANTS][b->priority] && m->order < b->order))))) {
			best = k;
		}
	}
	if (best >= 0) {
		model[best].ready = model[best].dirty = model[best].again = false;
		model[best].working = true;
		turn[best % TENANTS][model[best].priority] = ++clock_;
	}
	return best;
}

static uint64_t seed;
static int rnd(int n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (int)((seed >> 33) % (uint64_t)n);
}

static void model_check_next(int64_t now)
{
	int want = model_next(now);
	const char *got = next(now);

	if (want < 0) {
		int64_t first = INT64_MAX;

		for (int k = 0; k < KEYS; k++) {
			first = model[k].waiting ? MIN(first, model[k].at) : first;
		}
		is_str(got, "");
		is_int(wake, first);
		return;
	}
	is_str(item.name ? item.name : "", name_of(want));
	ok(str_eq(item.ns, tenant_of(want)));
	is_int(item.priority, model[want].priority);
	is_int(item.failures, model[want].failures);
	is_int(item.added, model[want].added);
}

static void model_check_stats(int64_t now)
{
	struct queue_stats s = stats(now);
	size_t depth = 0, waiting = 0, working = 0;
	int64_t oldest = 0;

	for (int k = 0; k < KEYS; k++) {
		depth += model[k].ready;
		waiting += model[k].waiting;
		working += model[k].working;
		oldest = model[k].ready ? MAX(oldest, now - model[k].added) : oldest;
	}
	is_int(s.depth, depth);
	is_int(s.waiting, waiting);
	is_int(s.working, working);
	is_int(s.oldest_ms, oldest);
}

static void model_hurry(int64_t now)
{
	for (int k = 0; k < KEYS; k++) {
		model[k].failures = 0;
		if (model[k].waiting && model[k].backoff) {
			model[k].at = MIN(model[k].at, now);
		}
	}
}

static void one_random_operation(int64_t now)
{
	int k = rnd(KEYS), what = rnd(100), p = rnd(QUEUE_PRIORITIES);

	if (what < 30) {
		queue_add(q, tenant_of(k), name_of(k), p, now);
		model_add(k, p, now);
	} else if (what < 45) {
		int64_t at = now + rnd(3000) - 100;

		queue_add_after(q, tenant_of(k), name_of(k), at, now);
		model_add_after(k, at, now);
	} else if (what < 70) {
		model_check_next(now);
	} else if (what < 99) {
		if (model[k].working) {
			queue_done(q, tenant_of(k), name_of(k), p == 0, now);
			model_done(k, p == 0, now);
		}
	} else {
		queue_hurry(q, now);
		model_hurry(now);
	}
	model_check_stats(now);
}

static void behaves_like_the_naive_model(void)
{
	for (uint64_t round = 1; round <= 200; round++) {
		int64_t now = 0;

		start(KEYS);
		memset(model, 0, sizeof(model));
		memset(turn, 0, sizeof(turn));
		seed = round;
		for (int i = 0; i < 1000; i++) {
			now += rnd(10) ? rnd(20) : rnd(5000);
			one_random_operation(now);
		}
	}
}

static void everything_ends_freed(void)
{
	start(10);
	for (int i = 0; i < 5; i++) {
		queue_add(q, "a", name_of(i), QUEUE_USER, 0);
	}
	while (*next(0)) {
		queue_done(q, item.ns, item.name, false, 0);
	}
	is_int(stats(0).depth + stats(0).waiting + stats(0).working, 0);
	q = queue_destroy(q);
	ok(!q);
}

TESTS({"a key added twice comes once", added_twice_comes_once},
      {"a key in work is never handed out again", key_in_work_is_never_handed_out_again},
      {"a cluster-scoped key has no namespace", cluster_scoped_key_has_no_namespace},
      {"a higher priority goes first", higher_priority_goes_first},
      {"an add of higher priority moves a ready key forward",
       add_of_higher_priority_moves_a_ready_key_forward},
      {"namespaces take turns", namespaces_take_turns},
      {"a failure backs off from 5 ms to 5 min and success forgets it",
       failure_backs_off_and_success_forgets},
      {"a user's change ends a back-off at once", user_change_ends_a_backoff_at_once},
      {"other news end a back-off within a second", other_news_end_a_backoff_within_a_second},
      {"a failing pass does not spin on its own echo", failing_pass_does_not_spin_on_its_own_echo},
      {"news during a failing pass are not lost", news_during_a_failing_pass_are_not_lost},
      {"a time asked for during a failing pass shortens the wait",
       time_asked_for_during_a_failing_pass_shortens_the_wait},
      {"what has gone through leaves nothing", what_has_gone_through_leaves_nothing},
      {"the earlier of two times is kept", earlier_time_is_kept},
      {"equal times come in the order of asking", equal_times_come_in_the_order_of_asking},
      {"an add ends a wait, and the wait is gone", add_ends_a_wait_and_the_wait_is_gone},
      {"recovery ends all back-offs and no timer", recovery_ends_all_backoffs},
      {"a full queue refuses and says when there is room",
       full_queue_refuses_and_says_when_there_is_room},
      {"200,000 random operations behave like the naive model", behaves_like_the_naive_model},
      {"everything ends freed", everything_ends_freed})
