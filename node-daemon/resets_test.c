/* SPDX-License-Identifier: Apache-2.0 */
/* Resets: a few at a time, and none upon an old answer. */
#include "node-daemon/resets.h"

#include <stdarg.h>

#include "node-daemon/loop_hand_test.h"
#include "node-daemon/steps.h"
#include "node-daemon/write.h"

static struct resets *resets;
static char said[4096];
static struct pci_function functions[3];
static const struct pci_function *pointers[3];

attr_printf(1, 2) static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

static void on_done(attr_unused void *ctx, const char *id, enum resets_end end, const char *method,
		    int64_t ms, const char *why)
{
	static const char *const ends[] = {"good", "failed", "hung"};
	say("%s %s by %s in %d%s%s; ", id, ends[end], *method ? method : "nothing", (int)ms,
	    *why ? ": " : "", why);
}

static void on_ask(attr_unused void *ctx, const char *id)
{
	say("ask %s; ", id);
}

static void begin(void)
{
	resets = resets_create(&(struct resets_settings){.sys = 9, .done = on_done, .ask = on_ask});
	said[0] = '\0';
	no_process = NULL;
}

static void end(void)
{
	resets = resets_destroy(resets);
	is_int(n_started, 0);
	ok(link_empty(&timers));
}

/* Of a unit with so many GPUs. */
static void add(const char *id, size_t gpus)
{
	struct unit u = {.functions = {pointers, 3}, .gpus = gpus};

	for (size_t i = 0; i < 3; i++) {
		functions[i] = (struct pci_function){.address = 0x4100 + i,
						     .kind = i < gpus ? PCI_GPU : PCI_COMPANION};
		pointers[i] = &functions[i];
	}
	u.card = &functions[0];
	resets_add(resets, id, &u);
}

/* What has been said since. */
static const char *turn(void)
{
	static char text[sizeof(said)];

	run_timers();
	snprintf(text, sizeof(text), "%s", said);
	said[0] = '\0';
	return text;
}

static const char *line(size_t i, bool done, const char *text)
{
	static struct buf b;

	buf_finish(&b);
	buf_init(&b, 4096);
	steps_say(&b, i, done, text);
	return buf_text(&b);
}

static const struct process_result good = {0}, bad = {.status = 1};

static void one(void)
{
	const struct write_job *job;

	begin();
	add("a", 1);
	is_int(n_started, 0); /* never from here */
	ok(resets_has(resets, "a") && !resets_has(resets, "b"));
	is_str(turn(), "");
	is_int(n_started, 1);
	ok(started[0]->spec.run == write_run);
	is_int(*started[0]->spec.keep, 9);
	is_int(started[0]->spec.n_keep, 1);
	job = started[0]->spec.ctx;
	is_int(job->steps->n, 1);
	is_int(job->steps->items[0].verb, STEP_RESET);
	is_int(started[0]->spec.timeout_ms, steps_deadline_ms(job->steps));
	ok(started[0]->spec.max_out > STEPS_LINE_MAX);
	ok(!resets_asks(resets, "a"));
	now += 70;
	process_says(started[0], line(0, true, "flr"), &good);
	ok(!resets_has(resets, "a"));
	is_str(turn(), "a good by flr in 70; ");
	add("a", 2); /* each GPU by itself; what is no GPU is none */
	turn();
	job = started[0]->spec.ctx;
	is_int(job->steps->n, 2);
	is_int(job->steps->items[1].at, 0x4101);
	process_says(started[0], line(0, true, "flr"), &bad);
	is_str(turn(), "a failed by flr in 0: the reset ended without a word; ");
	end();
}

static void failures(void)
{
	begin();
	add("a", 1);
	turn();
	process_says(started[0], line(0, false, "no such thing"), &bad);
	is_str(turn(), "a failed by nothing in 0: no such thing; ");
	add("a", 1);
	turn();
	process_says(started[0], "", &(struct process_result){.timed_out = true, .status = 137});
	is_str(turn(), "a hung by nothing in 0: the reset does not come to an end; ");
	ok(!resets_has(resets, "a"));
	no_process = "no more processes";
	add("a", 1);
	is_str(turn(), "a failed by nothing in 0: no more processes; ");
	ok(!resets_has(resets, "a"));
	end();
}

/* It has the lock of the device, and counts not among those that run. */
static void stuck(void)
{
	char id[8];

	begin();
	add("a", 1);
	turn();
	process_says(started[0], "", &(struct process_result){.stuck = true, .status = -1});
	is_str(turn(), "a hung by nothing in 0: the reset does not come to an end; ");
	ok(resets_has(resets, "a"));
	add("a", 1);
	is_str(turn(), "a hung by nothing in 0: the last reset still hangs in the kernel; ");
	for (int i = 0; i < RESETS_AT_ONCE; i++) {
		snprintf(id, sizeof(id), "b%d", i);
		add(id, 1);
	}
	turn();
	is_int(n_started, 1 + RESETS_AT_ONCE);
	process_ends(started[0]);
	ok(!resets_has(resets, "a"));
	add("a", 1);
	is_str(turn(), "");
	is_int(n_started, RESETS_AT_ONCE);
	end(); /* with what runs */
}

/* Who waits behind others is asked of again, since the answer is old by then. */
static void many(void)
{
	char id[8];

	begin();
	for (int i = 0; i < 2 * RESETS_AT_ONCE; i++) {
		snprintf(id, sizeof(id), "u%x", (unsigned)i);
		add(id, 1);
	}
	is_str(turn(), "");
	is_int(n_started, RESETS_AT_ONCE);
	now += RESETS_FRESH_MS; /* not old yet */
	process_says(started[0], line(0, true, "flr"), &good);
	is_str(turn(), "u0 good by flr in 2000; ");
	is_int(n_started, RESETS_AT_ONCE);
	now++;
	process_says(started[0], line(0, true, "flr"), &good);
	is_str(turn(), "u1 good by flr in 2001; ask u9; ");
	ok(resets_asks(resets, "u9") && !resets_asks(resets, "ua"));
	is_int(n_started, RESETS_AT_ONCE - 1); /* its place is kept meanwhile */
	is_str(turn(), "");
	process_says(started[0], line(0, true, "flr"), &good);
	is_str(turn(), "u2 good by flr in 2001; ask ua; ");
	resets_may(resets, "ua", false); /* somebody has it */
	ok(!resets_has(resets, "ua"));
	is_str(turn(), "ask ub; ");
	now += 5000;
	resets_may(resets, "u9", true);
	ok(!resets_asks(resets, "u9"));
	is_str(turn(), "");
	is_int(n_started, RESETS_AT_ONCE - 1);
	resets_may(resets, "u9", true); /* nobody asked */
	resets_may(resets, "u9", false);
	ok(resets_has(resets, "u9"));
	is_str(turn(), "");
	process_says(started[n_started - 1], line(0, true, "flr"), &good);
	is_str(turn(), "u9 good by flr in 0; ask uc; ");
	end();
}

TESTS({"a unit is reset, with all its GPUs", one}, {"what fails has a sentence", failures},
      {"one that hangs keeps its unit, and no other's place", stuck},
      {"what had to wait is asked of again before it starts", many})
