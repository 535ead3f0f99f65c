/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of the eyes' answers, and when they are asked again. */
#include "node-daemon/inuse.h"

#include <unistd.h>

#include "base/log.h"
#include "base/test.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/users.h"

#define UNITS 70

static struct loop *loop;
static struct tree tree = {.fd = -1};
static struct inuse *inuse;
static struct pci_function functions[UNITS];
static const struct pci_function *pointers[UNITS];
static struct unit items[UNITS];
static struct unit_list units = {items, 0};
static int answers;
static char told[256];

static void on_answered(attr_unused void *ctx)
{
	answers++;
	loop_stop(loop);
}

static void on_now(attr_unused void *ctx, uint64_t unit, enum bind_users users, const char *who)
{
	snprintf(told, sizeof(told), "%d %d %s", (int)unit, users, who);
	loop_stop(loop);
}

/* Says how many units it was asked of at once. */
static int count(void *job, int out)
{
	const struct eyes_question *q = ((const struct users_job *)job)->question;
	attr_cleanup(arena_finish) struct arena a;
	struct eyes_answer answer;
	auto_buf struct buf line = {.max = MiB};

	arena_init(&a, MiB);
	eyes_answer_unknown(q, arena_printf(&a, "one of %zu", q->n), &a, &answer);
	eyes_answer_write(&answer, &line);
	return write(out, line.bytes, line.len) < 0;
}

static void begin(size_t n)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	loop = loop_create();
	tree = tree_make("");
	answers = 0;
	for (size_t i = 0; i < n; i++) {
		functions[i] =
			(struct pci_function){.address = i + 1, .driver = "amdgpu", .group = 1};
		pointers[i] = &functions[i];
		items[i] = (struct unit){.card = &functions[i], .functions = {&pointers[i], 1}};
	}
	units.n = n;
	inuse = inuse_create(
		&(struct inuse_settings){{loop, "", tree.fd, tree.fd, count}, on_answered, NULL});
}

static void end(void)
{
	inuse = inuse_destroy(inuse);
	for (int i = 0; i < 5; i++) {
		loop_turn(loop, 10); /* children are reaped */
	}
	loop = loop_destroy(loop);
	tree_remove(&tree);
}

static const char *who;
static int64_t again;

/* A turn in which these are needed. The number of them of which something is known. */
static size_t turn(size_t from, size_t to)
{
	enum bind_users users = BIND_USERS_SOME;
	size_t known = 0;

	inuse_begin(inuse, &units);
	for (size_t i = from; i < to; i++) {
		if (inuse_of(inuse, &items[i], &users, &who, &again)) {
			is_int(users, BIND_USERS_UNKNOWN);
			known++;
		}
	}
	inuse_ask(inuse);
	return known;
}

static void all_are_asked_of_at_once(void)
{
	begin(3);
	is_int(turn(0, 3), 0);
	is_int(turn(0, 3), 0); /* it is being asked already */
	loop_run(loop);
	is_int(answers, 1);
	is_int(turn(0, 3), 3);
	is_str(who, "one of 3");
	ok(again > loop_now(loop) && again <= loop_now(loop) + INUSE_AGAIN_MS);
	for (int i = 0; i < 20; i++) {
		loop_turn(loop, 10);
		is_int(turn(0, 3), 3);
	}
	is_int(answers, 1); /* which is not old yet */
	end();
}

static void more_than_a_question_holds_wait_for_the_next(void)
{
	begin(UNITS);
	is_int(turn(0, UNITS), 0);
	loop_run(loop);
	is_int(turn(0, UNITS), EYES_MAX_UNITS);
	loop_run(loop);
	is_int(answers, 2);
	is_int(turn(0, UNITS), UNITS);
	is_str(who, "one of 6");
	end();
}

static void what_nobody_needs_is_forgotten(void)
{
	begin(2);
	turn(0, 2);
	loop_run(loop);
	is_int(turn(0, 1), 1);
	is_int(turn(1, 2), 0); /* and of the other one it is, too */
	loop_run(loop);
	is_int(turn(0, 2), 1);
	units.n = 0; /* unplugged while it is asked */
	turn(0, 0);
	units.n = 2;
	loop_run(loop);
	is_int(turn(0, 2), 0);
	end();
}

static void what_is_said_now_is_remembered(void)
{
	begin(2);
	turn(0, 1);
	loop_run(loop);
	inuse_now(inuse, &items[0], on_now, NULL);
	is_str(told, "");
	loop_run(loop);
	is_str(told, "1 0 one of 1");
	is_int(turn(0, 1), 1);
	inuse_now(inuse, &items[1], on_now, NULL); /* of which nothing is remembered */
	loop_run(loop);
	is_str(told, "2 0 one of 1");
	is_int(turn(1, 2), 0);
	told[0] = '\0';
	inuse_now(inuse, &items[0], on_now, NULL); /* nobody is told after the end */
	end();
	is_str(told, "");
}

static void old_answers_stay_until_the_next(void)
{
	int64_t first;

	begin(1);
	turn(0, 1);
	loop_run(loop);
	turn(0, 1);
	first = again;
	while (loop_now(loop) < first) {
		loop_turn(loop, 100);
		is_int(turn(0, 1), 1);
	}
	while (answers < 2 && loop_now(loop) < first + 5000) {
		is_int(turn(0, 1), 1);
		loop_turn(loop, 100);
	}
	is_int(answers, 2);
	end();
}

TESTS({"all that is needed is asked for at once", all_are_asked_of_at_once},
      {"more than a question holds wait for the next one",
       more_than_a_question_holds_wait_for_the_next},
      {"what nobody needs is forgotten", what_nobody_needs_is_forgotten},
      {"what is said right before an act is remembered", what_is_said_now_is_remembered},
      {"an old answer stays until the next", old_answers_stay_until_the_next})
