/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/hands.h"

#include "base/test.h"

#define AT 0x4100 /* 0000:41:00.0 */

static struct step two[] = {{STEP_OVERRIDE, AT, "vfio-pci"}, {STEP_UNBIND, AT, "nvidia"}};
static const struct steps steps = {two, 2}, nothing;
static struct hands *h;
static struct arena arena;
static struct work work;
static struct steps_heard heard;
static struct condition condition;

static void begin(void)
{
	h = hands_destroy(h);
	arena_finish(&arena);
	arena_init(&arena, 4 * MiB);
	h = hands_create();
}

static void want(int64_t now)
{
	hands_want(h, AT, BOOK_BIND, &steps, now);
}

static bool done(const char *out, int status, int64_t now)
{
	struct process_result r = {
		.status = status, .out = out, .length = strlen(out), .message = ""};

	return hands_done(h, AT, &r, NULL, now, &arena, &heard);
}

static bool succeed(int64_t now)
{
	return done("0 ok \n1 ok \n", 0, now);
}

static void fail(int64_t now)
{
	ok(!done("0 ok \n1 no 0000:41:00.0: it burns\n", 1, now));
}

static void stick(int64_t now)
{
	struct process_result r = {.status = -1,
				   .timed_out = true,
				   .stuck = true,
				   .out = "0 ok \n",
				   .length = 6,
				   .message = ""};

	ok(!hands_done(h, AT, &r, NULL, now, &arena, &heard));
}

/* "TYPE STATUS REASON: MESSAGE", "": nothing is said. */
static const char *says(void)
{
	if (!hands_condition(h, AT, &arena, &condition)) {
		return "";
	}
	return arena_printf(&arena, "%s %s %s: %s", condition.type, condition.status,
			    condition.reason, condition.message);
}

static void a_program_runs_once(void)
{
	struct step own = {STEP_PROBE, AT, ""};

	begin();
	ok(!hands_next(h, 0, &work));
	is_int(hands_wake(h), INT64_MAX);
	hands_want(h, AT, BOOK_BIND, &(struct steps){&own, 1}, 10);
	want(10); /* replaces it */
	is_int(hands_wake(h), 10);
	ok(!hands_busy(h, AT));
	ok(hands_next(h, 10, &work));
	is_int(work.unit, AT);
	is_int(work.goal, BOOK_BIND);
	is_int(work.steps->n, 2);
	is_int(work.timeout_ms, 15000);
	is_int(work.max_out, 2 * STEPS_LINE_MAX);
	ok(hands_busy(h, AT));
	ok(!hands_next(h, 10, &work));
	want(20); /* runs already */
	ok(!hands_next(h, 20, &work));
	is_int(hands_wake(h), INT64_MAX);
	ok(succeed(30));
	is_int(heard.done, 2);
	ok(!hands_busy(h, AT));
	is_str(says(), "");
	ok(!hands_next(h, 1000000, &work)); /* is not wanted again */
	ok(!succeed(40));		    /* nothing runs */
}

/* The second follows at once: it has read, now it writes. */
static void success_goes_on_at_once(void)
{
	begin();
	want(0);
	ok(hands_next(h, 0, &work) && succeed(5));
	want(6);
	ok(hands_next(h, 6, &work) && succeed(7));
	hands_want(h, AT, BOOK_BIND, &nothing, 8);
	is_int(hands_wake(h), INT64_MAX);
}

/* Fails as often as there are pauses, each from the end of the program before. */
static void failures_pause(void)
{
	static const int64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	int64_t now = 100;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		want(now);
		ok(hands_next(h, now, &work));
		now += 50;
		fail(now);
		is_str(says(), "Available False Failed: 0000:41:00.0: it burns");
		want(now);
		is_int(hands_wake(h), now + pauses[i]);
		ok(!hands_next(h, now + pauses[i] - 1, &work));
		now += pauses[i];
		want(now - 1); /* planned again, the pause stays */
	}
	ok(hands_next(h, now, &work));
	is_str(says(),
	       "Available False Failed: 0000:41:00.0: it burns"); /* until it is known better */
	ok(succeed(now));
	is_str(says(), "");
}

static void new_goals_do_not_wait(void)
{
	begin();
	want(0);
	ok(hands_next(h, 0, &work));
	fail(0);
	want(10);
	ok(!hands_next(h, 10, &work));
	hands_want(h, AT, BOOK_BACK, &steps, 20);
	is_str(says(), "");
	ok(hands_next(h, 20, &work));
	is_int(work.goal, BOOK_BACK);
	fail(20);
	hands_want(h, AT, BOOK_BACK, &steps, 20);
	is_int(hands_wake(h), 1020); /* begins with the first pause */
}

/* Somebody takes it away again each time: the fourth is not at once, nor is any after. */
static void what_does_not_last_pauses(void)
{
	int64_t now = 0, started[8];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(started); i++) {
		want(now);
		now = MAX(now, hands_wake(h));
		ok(hands_next(h, now, &work));
		started[i] = now;
		ok(succeed(now));
		hands_want(h, AT, BOOK_BIND, &nothing, now);
		now += 10;
	}
	is_int(started[1], 10);
	is_int(started[2], 20);
	is_int(started[3], 1020);
	is_int(started[4], 3020);
	is_int(started[7], 3020 + 4000 + 8000 + 16000);
	/* once it has lasted all begins anew */
	now = started[7] + HANDS_LASTS_MS;
	want(now - 1);
	ok(hands_wake(h) > started[7]);
	hands_want(h, AT, BOOK_BIND, &nothing, now - 1);
	hands_want(h, AT, BOOK_BIND, &nothing, now + 20000); /* each look says so */
	want(now - 1 + HANDS_LASTS_MS);
	is_int(hands_wake(h), now - 1 + HANDS_LASTS_MS);
}

static void withdrawn_ones_do_not_run(void)
{
	begin();
	want(0);
	hands_want(h, AT, BOOK_BIND, &nothing, 1);
	ok(!hands_next(h, 1000000, &work));
	want(2);
	ok(hands_next(h, 2, &work));
	fail(3);
	hands_want(h, AT, BOOK_BIND, &nothing, 4);
	is_str(says(), "");
}

static void stuck_ones_are_left_alone(void)
{
	begin();
	want(0);
	ok(hands_next(h, 0, &work));
	stick(16000);
	has(says(),
	    "Stuck True HangsInKernel: \"unbind 0000:41:00.0 from nvidia\" hangs in the kernel: "
	    "somebody has the device open, or its driver fails; ");
	ok(hands_busy(h, AT));
	want(17000);
	hands_want(h, AT, BOOK_BACK, &steps, 18000);
	hands_want(h, AT, BOOK_BACK, &nothing, 19000);
	is_int(hands_wake(h), INT64_MAX);
	ok(!hands_next(h, INT64_MAX - 1, &work));
	ok(!succeed(20000));
	has(says(), "Stuck True ");
	hands_ended(h, AT, 500000);
	is_str(says(), "");
	ok(!hands_busy(h, AT));
	want(500000);
	ok(hands_next(h, 500000, &work));
	hands_ended(h, AT, 500001); /* is not stuck */
	ok(hands_busy(h, AT));
	/* one that ends at once is tried after the pause all the same */
	stick(600000);
	hands_ended(h, AT, 600000);
	want(600000);
	is_int(hands_wake(h), 602000);
	hands_ended(h, AT + 8, 0); /* unknown */
}

static void reasons(void)
{
	static const struct {
		struct process_result r;
		const char *words;
	} rows[] = {
		{{.status = 0, .out = "0 ok \n"},
		 "\"unbind 0000:41:00.0 from nvidia\": the helper process ended with 0: it said "
		 "nothing; it is tried again"},
		{{.status = 1, .out = "0 ok \n1 ok \n"},
		 "\"the end\": the helper process ended with 1: it said nothing; it is tried again"},
		{{.status = 127, .out = "", .message = "no descriptors"},
		 "\"set driver_override of 0000:41:00.0 to vfio-pci\": the helper process ended with "
		 "127: no descriptors; it is tried again"},
		{{.status = 137, .timed_out = true, .out = ""},
		 "\"set driver_override of 0000:41:00.0 to vfio-pci\": not done after 15 s; it is "
		 "tried again"},
		{{.status = 137, .timed_out = true, .out = "0 no it burns\n"}, "it burns"},
		{{.status = 0, .out = "0 no it burns\n"}, "it burns"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct process_result r = rows[i].r;
		auto_free char *text = xprintf("Available False Failed: %s", rows[i].words);

		begin();
		want(0);
		ok(hands_next(h, 0, &work));
		r.length = strlen(r.out);
		r.message = r.message ? r.message : "";
		ok(!hands_done(h, AT, &r, NULL, 1, &arena, &heard));
		is_str(says(), text);
		want(1);
		is_int(hands_wake(h), 1001);
	}
	begin(); /* never started */
	want(0);
	ok(hands_next(h, 0, &work));
	ok(!hands_done(h, AT, NULL, "hands cannot be started: no memory", 1, &arena, &heard));
	is_str(says(), "Available False Failed: hands cannot be started: no memory");
	is_int(heard.done, 0);
	ok(!hands_busy(h, AT));
}

static bool finish(uint64_t unit, bool stuck)
{
	struct process_result r = {.status = stuck ? -1 : 0,
				   .stuck = stuck,
				   .out = "0 ok \n1 ok \n",
				   .length = 12,
				   .message = ""};

	return hands_done(h, unit, &r, NULL, 0, &arena, &heard);
}

/* So many at once, those that hang not counted; who has waited longest first. */
static void many_units(void)
{
	begin();
	for (uint64_t i = 0; i < 2 * HANDS_AT_ONCE; i++) {
		hands_want(h, i << 3, BOOK_BIND, &steps, 100 - (int64_t)i);
	}
	for (uint64_t i = 0; i < HANDS_AT_ONCE; i++) {
		ok(hands_next(h, 100, &work));
		is_int(work.unit, (2 * HANDS_AT_ONCE - 1 - i) << 3);
	}
	ok(!hands_next(h, 100, &work));
	is_int(hands_wake(h), INT64_MAX);
	ok(!finish(work.unit, true)); /* hangs */
	is_int(hands_wake(h), 100 - (HANDS_AT_ONCE - 1));
	ok(hands_next(h, 100, &work));
	ok(!hands_next(h, 100, &work));
	ok(finish(work.unit, false));
	ok(hands_next(h, 100, &work));
}

/* Units that come and go leave no heap behind. */
static void units_that_went(void)
{
	begin();
	for (uint64_t i = 0; i < 1000; i++) {
		int64_t now = (int64_t)i * HANDS_LASTS_MS;

		hands_want(h, i, BOOK_BIND, &steps, now);
		ok(hands_next(h, now, &work));
		is_int(work.unit, i);
		finish(i, i == 500);
		hands_want(h, i, BOOK_BIND, &nothing, 0);
	}
	ok(!hands_condition(h, 999, &arena, &condition));
	ok(hands_condition(h, 500, &arena, &condition)); /* is not forgotten */
	ok(!hands_busy(h, 499) && hands_busy(h, 500));
}

/* Random orders of everything: never two programs of a unit, never too many, and none lost. */
static void any_order(void)
{
	enum { UNITS = 12 };
	bool running[UNITS] = {0}, hanging[UNITS] = {0};
	uint64_t seed = 1;
	int64_t now = 0;
	int n = 0, started = 0;

	begin();
	for (int i = 0; i < 200000; i++) {
		uint64_t unit;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		unit = (seed >> 33) % UNITS;
		arena_reset(&arena);
		switch (seed >> 60) {
		case 0:
		case 1:
		case 2:
		case 3:
			hands_want(h, unit, seed >> 50 & 1 ? BOOK_BIND : BOOK_BACK, &steps, now);
			break;
		case 4:
			hands_want(h, unit, BOOK_BIND, &nothing, now);
			break;
		case 5:
		case 6:
			now += (int64_t)(seed >> 40 & 0xfff);
			break;
		case 7:
			if (hanging[unit]) {
				hands_ended(h, unit, now);
				hanging[unit] = false;
			}
			break;
		case 8:
		case 9:
		case 10:
		case 11:
			if (running[unit]) {
				hanging[unit] = !(seed >> 44 & 7);
				finish(unit, hanging[unit]);
				running[unit] = false;
				n--;
			}
			break;
		default:
			if (hands_next(h, now, &work)) {
				ok(!running[work.unit] && !hanging[work.unit]);
				running[work.unit] = true;
				ok(++n <= HANDS_AT_ONCE);
				started++;
			} else {
				ok(n == HANDS_AT_ONCE || hands_wake(h) > now);
			}
		}
	}
	ok(started > 5000);
}

static void nothing_stays(void)
{
	h = hands_destroy(h);
	ok(!hands_destroy(NULL));
	arena_finish(&arena);
}

TESTS({"a program runs once", a_program_runs_once},
      {"after success it goes on at once", success_goes_on_at_once},
      {"failures pause, twice as long each time", failures_pause},
      {"a new goal does not wait", new_goals_do_not_wait},
      {"what does not last pauses too", what_does_not_last_pauses},
      {"what is not wanted any more does not run", withdrawn_ones_do_not_run},
      {"a stuck unit is left alone until its child has ended", stuck_ones_are_left_alone},
      {"why it failed", reasons}, {"some at once, the longest waiting first", many_units},
      {"units that went are forgotten", units_that_went}, {"any order of events", any_order},
      {"nothing stays", nothing_stays})
