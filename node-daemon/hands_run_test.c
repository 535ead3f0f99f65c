/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/hands_run.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include "base/test.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/write.h"

#define AT 0x100 /* 0000:01:00.0 */

static const char machine[] =
	"device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=7\n"
	"  driver_override = nvidia\n"
	"device 0000:02:00.0 id=10de:26b9 class=030200 driver=nvidia group=8\n"
	"  driver_override = (null)\n";

static struct loop *loop;
static struct tree tree = {.fd = -1};
static struct hands *hands;
static struct hands_run *runner;
static char told[1024];
static int left; /* so many ends are waited for */

static void on_end(attr_unused void *ctx, uint64_t unit, uint64_t goal, const struct steps *steps,
		   bool good, const struct steps_heard *heard)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%d %d %s of %zu: %s%s\n", (int)unit, (int)goal,
		 good ? "good" : "bad", steps->n, heard->why ? heard->why : "",
		 heard->done ? heard->read[0] : "");
	if (--left == 0) {
		loop_stop(loop);
	}
}

static enum hands_run_may (*may)(void *ctx, uint64_t unit);

static void begin(int (*run)(void *, int))
{
	loop = loop ? loop : loop_create();
	tree = tree_make(machine);
	hands = hands_create();
	runner = hands_run_create(&(struct hands_run_settings){.loop = loop,
							       .hands = hands,
							       .sys = tree.fd,
							       .proc = -1,
							       .fn = on_end,
							       .may = may,
							       .run = run});
	told[0] = '\0';
}

static void end(void)
{
	runner = hands_run_destroy(runner);
	hands = hands_destroy(hands);
	tree_remove(&tree);
}

static void want(uint64_t unit, enum step_verb verb, const char *value)
{
	struct step step = {verb, unit, value};

	hands_want(hands, unit, BOOK_BIND, &(struct steps){&step, 1}, loop_now(loop));
	hands_run_due(runner);
}

static void wait_for(int ends)
{
	left = ends;
	loop_run(loop);
}

static void programs_run_and_are_told(void)
{
	begin(NULL);
	want(AT, STEP_READ_OVERRIDE, "");
	want(AT, STEP_READ_OVERRIDE, "");
	wait_for(1);
	is_str(told, "256 1 good of 1: nvidia\n");
	told[0] = '\0';
	want(AT + 256, STEP_EXPECT_DRIVER, "vfio-pci");
	wait_for(1);
	has(told, "512 1 bad of 1: 0000:02:00.0: nvidia has it instead of vfio-pci; ");
	ok(!hands_busy(hands, AT + 256));
	end();
}

/* After a pause, by itself. */
static void failures_are_tried_again(void)
{
	int64_t from;

	begin(NULL);
	want(AT, STEP_EXPECT_DRIVER, "vfio-pci");
	wait_for(1);
	from = loop_now(loop);
	want(AT, STEP_EXPECT_DRIVER, "nvidia");
	wait_for(1);
	ok(loop_now(loop) - from >= HANDS_FIRST_PAUSE_MS);
	has(told, "\n256 1 good of 1: ");
	end();
}

static void what_cannot_be_started_is_told(void)
{
	struct rlimit old, none;

	begin(NULL);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	want(AT, STEP_READ_OVERRIDE, "");
	setrlimit(RLIMIT_NOFILE, &none);
	wait_for(1);
	setrlimit(RLIMIT_NOFILE, &old);
	is_str(told, "256 1 bad of 1: \n");
	ok(!hands_busy(hands, AT));
	end();
}

/* As in process_test.c: until its tracer has gone nobody is told of its end. */
static int be_traced(attr_unused void *job, int out)
{
	int ready[2];
	char byte = 'n';

	if (pipe(ready) < 0) {
		return 1;
	}
	if (fork() == 0) {
		setsid();
		byte = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? 'y' : 'n';
		(void)!write(ready[1], &byte, 1);
		sleep(3);
		_exit(0);
	}
	(void)!read(ready[0], &byte, 1);
	dprintf(out, "%s\n", byte == 'y' ? "traced" : "0 no not traced");
	return pause();
}

static void stuck_ones_hold_up_nobody(void)
{
	struct arena a;
	struct condition c;

	begin(be_traced);
	want(AT, STEP_EXPECT_ALIVE, "");
	wait_for(1);
	arena_init(&a, MiB);
	if (!hands_condition(hands, AT, &a, &c) || !str_eq(c.type, "Stuck")) {
		arena_finish(&a);
		end();
		test_skip("no process may trace another here");
	}
	ok(hands_busy(hands, AT));
	arena_finish(&a);
	wait_for(1); /* its tracer ends */
	ok(!hands_busy(hands, AT));
	is_str(told, "256 1 bad of 1: \n256 1 bad of 1: \n");
	end();
}

static int asked;

static enum hands_run_may wait_for_answer(attr_unused void *ctx, uint64_t unit)
{
	asked++;
	return unit == AT ? HANDS_RUN_WAIT : HANDS_RUN_MAY;
}

/* It holds up no other, is not asked for again, and is started or told once that is known. */
static void programs_wait_for_whoever_knows(void)
{
	may = wait_for_answer;
	begin(NULL);
	may = NULL;
	want(AT, STEP_READ_OVERRIDE, "");
	want(AT + 256, STEP_EXPECT_DRIVER, "nvidia");
	wait_for(1);
	is_str(told, "512 1 good of 1: \n");
	ok(hands_busy(hands, AT));
	want(AT, STEP_READ_OVERRIDE, ""); /* as each look wants it */
	for (int i = 0; i < 3; i++) {
		loop_turn(loop, 10);
	}
	is_int(asked, 2);
	hands_run_answer(runner, AT + 256, NULL); /* nobody waits there */
	hands_run_answer(runner, AT, NULL);
	hands_run_answer(runner, AT, "it runs by now");
	told[0] = '\0';
	wait_for(1);
	is_str(told, "256 1 good of 1: nvidia\n");
	told[0] = '\0';
	want(AT, STEP_READ_OVERRIDE, "");
	for (int i = 0; i < 200 && asked < 3; i++) {
		loop_turn(loop, 10);
	}
	left = 0;
	hands_run_answer(runner, AT, "somebody uses it by now");
	is_str(told, "256 1 bad of 1: \n");
	ok(!hands_busy(hands, AT));
	want(AT, STEP_READ_OVERRIDE, ""); /* and one that waits at the end is nobody's */
	for (int i = 0; i < 400 && asked < 4; i++) {
		loop_turn(loop, 10);
	}
	is_int(asked, 4);
	end();
}

static int wait_for_ever(attr_unused void *job, attr_unused int out)
{
	return pause();
}

static void what_runs_ends_with_it(void)
{
	begin(wait_for_ever);
	want(AT, STEP_EXPECT_ALIVE, "");
	want(AT + 256, STEP_EXPECT_ALIVE, "");
	for (int i = 0; i < 100 && !(hands_busy(hands, AT) && hands_busy(hands, AT + 256)); i++) {
		loop_turn(loop, 50);
	}
	ok(hands_busy(hands, AT) && hands_busy(hands, AT + 256));
	end();
	for (int i = 0; i < 20; i++) {
		loop_turn(loop, 20); /* they are reaped */
	}
	is_str(told, "");
	loop = loop_destroy(loop);
}

TESTS({"programs run in children, and their ends are told", programs_run_and_are_told},
      {"what failed is tried again after its pause", failures_are_tried_again},
      {"what cannot be started is told", what_cannot_be_started_is_told},
      {"the end of a child that hung is told", stuck_ones_hold_up_nobody},
      {"a program waits until it is known whether it may start", programs_wait_for_whoever_knows},
      {"what runs ends with it", what_runs_ends_with_it})
