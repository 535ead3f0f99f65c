/* SPDX-License-Identifier: Apache-2.0 */
/* The child that reads: how it ends, when it gives way, and when it is not tried again. */
#include "node-daemon/reader.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/test.h"
#include "node-daemon/fakenvml_test.h"
#include "node-daemon/tree_test.h"

static uint64_t cards[] = {0x4100};
static const struct reading_question question = {cards, 1};
static struct loop *loop;
static struct reader *reader;
static char told[256];
static int answers, cleared;

static void on_reading(attr_unused void *ctx, const struct reading *r)
{
	static const char *const words[] = {"none",	"done",	   "absent",
					    "mismatch", "refused", "late"};

	answers++;
	snprintf(told, sizeof(told), "%s %zu %s", words[r->state], r->cards.n, r->why);
}

static void on_clear(attr_unused void *ctx)
{
	cleared++;
}

static void begin_at(const char *library, int64_t deadline_ms, int (*run)(void *, int))
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	loop = loop_create();
	reader = reader_create(&(struct reader_settings){loop, library, deadline_ms, run});
	answers = cleared = 0;
	told[0] = '\0';
}

static void begin(const char *script, int64_t deadline_ms)
{
	auto_free char *library = fakenvml_path("fakenvml");

	fakenvml_says(script);
	begin_at(library, deadline_ms, NULL);
}

static void end(void)
{
	reader_destroy(reader);
	for (int i = 0; i < 20; i++) {
		loop_turn(loop, 5); /* children are reaped */
	}
	loop = loop_destroy(loop);
	fakenvml_forget();
}

static void wait_for(const int *count, int n)
{
	for (int i = 0; i < 2000 && *count < n; i++) {
		loop_turn(loop, 10);
	}
	is_int(*count, n);
}

static void ask(void)
{
	int n = answers;

	reader_ask(reader, &question, on_reading, NULL);
	wait_for(&answers, n + 1);
}

/* Nothing runs, and no child was left. */
static bool alone(void)
{
	siginfo_t child;

	return waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0;
}

static void cards_are_read(void)
{
	begin(FAKENVML_VERSIONS FAKENVML_CARD, 0);
	ask();
	is_str(told, "done 1 ");
	ask(); /* again at once */
	is_str(told, "done 1 ");
	end();
}

static void one_at_a_time(void)
{
	begin(FAKENVML_VERSIONS "hang Init_v2\n", 0);
	reader_ask(reader, &question, on_reading, NULL);
	is_int(answers, 0);
	ask();
	is_str(told, "none 0 somebody else reads");
	end();
}

static void one_that_hangs_is_late_and_left_alone(void)
{
	int64_t from;

	begin(FAKENVML_VERSIONS FAKENVML_CARD "hang DeviceGetUUID\n", 100);
	from = loop_now(loop);
	ask();
	ok(loop_now(loop) - from < 5000);
	is_str(told, "late 0 no answer within 0 s");
	ok(alone());
	reader_ask(reader, &question, on_reading, NULL);
	is_int(answers, 2); /* without trying */
	is_str(told, "late 0 no answer within 0 s");
	end();
}

static void one_that_ends_its_process(void)
{
	begin(FAKENVML_VERSIONS FAKENVML_CARD "die DeviceGetUUID\n", 0);
	ask();
	is_str(told, "refused 0 reading ended with 77: it said nothing");
	end();
}

static void what_does_not_begin_is_not_tried_again_at_once(void)
{
	begin(FAKENVML_VERSIONS "fail Init_v2 18\n", 0);
	ask();
	has(told, "mismatch 0 it does not begin: ");
	reader_ask(reader, &question, on_reading, NULL);
	is_int(answers, 2);
	has(told, "mismatch 0 it does not begin: ");
	end();
}

/* Whoever looks for users must not find the reading; the child is gone when it is told so. */
static void a_reading_gives_way(void)
{
	begin(FAKENVML_VERSIONS "hang Init_v2\n", 0);
	reader_ask(reader, &question, on_reading, NULL);
	for (int i = 0; i < 10; i++) {
		loop_turn(loop, 10);
	}
	is_int(answers, 0);
	reader_clear(reader, on_clear, NULL);
	reader_clear(reader, on_clear, NULL);
	is_int(cleared, 0);
	wait_for(&cleared, 2);
	ok(alone());
	is_int(answers, 1);
	is_str(told, "none 0 it is being looked who uses cards");
	reader_clear(reader, on_clear, NULL);
	is_int(cleared, 3); /* at once: nobody reads */
	reader_ask(reader, &question, on_reading, NULL);
	is_int(answers, 1); /* it was no failure: it reads again */
	end();
}

static void it_is_quiet_when_a_card_may_leave_its_driver(void)
{
	begin(FAKENVML_VERSIONS FAKENVML_CARD, 0);
	reader_quiet(reader);
	reader_ask(reader, &question, on_reading, NULL);
	is_str(told, "none 0 a card may be about to leave its driver");
	ok(alone());
	end();
}

static int nonsense(attr_unused void *job, int out)
{
	return process_say(out, "nonsense\n", 9);
}

static int flood(attr_unused void *job, int out)
{
	char bytes[4096] = {0};

	while (process_say(out, bytes, sizeof(bytes)) == 0) {
	}
	return 0;
}

static void what_it_says_is_bounded_and_understood(void)
{
	begin_at("x", 0, nonsense);
	ask();
	has(told, "refused 0 what was read cannot be understood: ");
	end();
	begin_at("x", 0, flood);
	ask();
	has(told, "refused 0 reading ended with 137");
	end();
}

static void pauses_grow(void)
{
	is_int(reader_pause(1), 60000);
	is_int(reader_pause(2), 120000);
	is_int(reader_pause(3), 240000);
	is_int(reader_pause(6), 1920000);
	is_int(reader_pause(7), 3600000);
	is_int(reader_pause(4000000000U), 3600000);
}

static void destroyed_while_it_reads(void)
{
	begin(FAKENVML_VERSIONS "hang Init_v2\n", 0);
	reader_ask(reader, &question, on_reading, NULL);
	reader_clear(reader, on_clear, NULL);
	end();
	is_int(answers, 0);
	is_int(cleared, 0);
}

TESTS({"cards are read, each time anew", cards_are_read},
      {"there is one reading at a time", one_at_a_time},
      {"one that hangs is late, and not tried again at once",
       one_that_hangs_is_late_and_left_alone},
      {"one that ends its process is no answer", one_that_ends_its_process},
      {"what does not begin is not tried again at once",
       what_does_not_begin_is_not_tried_again_at_once},
      {"a reading gives way to who looks for users", a_reading_gives_way},
      {"it is quiet when a card may leave its driver",
       it_is_quiet_when_a_card_may_leave_its_driver},
      {"what it says is bounded, and understood", what_it_says_is_bounded_and_understood},
      {"pauses grow, up to an hour", pauses_grow},
      {"nobody is told after the end", destroyed_while_it_reads})
