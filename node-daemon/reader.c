/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/reader.h"

#include <stdlib.h>

#include "base/link.h"
#include "base/log.h"
#include "base/process.h"
#include "node-daemon/nvml.h"

#define READER_BYTES (4 * MiB)

struct reader {
	struct nvml_job job; /* first: what the child sees as its context */
	struct reader_settings s;
	char *library;
	struct arena arena; /* of the last reading */
	struct reading_question question;
	struct reading last;
	struct process *process; /* NULL: nobody reads */
	bool hangs, ending;	 /* in the kernel; for somebody who wants to look */
	reader_fn *fn;		 /* of who asked */
	void *ctx;
	struct link waiting; /* struct waiter */
	unsigned failures;   /* one after the other */
	int64_t not_before, quiet_until;
	enum reading_state said;
};

struct waiter {
	struct link link;
	loop_fn *fn;
	void *ctx;
};

static int64_t now(const struct reader *r)
{
	return loop_now(r->s.loop);
}

/* --- what came of it ------------------------------------------------------------------------ */

/* Only what is new. */
static void say(struct reader *r)
{
	const struct reading *last = &r->last;

	if (last->state == READING_NONE || last->state == r->said) {
		return;
	}
	if (last->state != READING_DONE) {
		log_warn("NVIDIA's cards cannot be read", log_str("library", r->library),
			 log_str("reason", last->why));
	} else {
		log_info("NVIDIA's cards are read", log_str("library", r->library),
			 log_str("version", last->library));
	}
	r->said = last->state;
}

int64_t reader_pause(unsigned failures)
{
	int64_t pause = READER_FIRST_PAUSE_MS;

	while (failures-- > 1 && pause < READER_LAST_PAUSE_MS) {
		pause *= 2;
	}
	return MIN(pause, (int64_t)READER_LAST_PAUSE_MS);
}

static void pause_after(struct reader *r)
{
	if (r->last.state == READING_DONE) {
		r->failures = 0;
	} else if (r->last.state != READING_NONE) {
		r->not_before = now(r) + reader_pause(++r->failures);
	}
}

static void not_read(struct reader *r, enum reading_state state, const char *why)
{
	r->last = (struct reading){.state = state, .why = why, .library = "", .driver = ""};
}

static void hear(struct reader *r, const struct process_result *result)
{
	struct err err;

	if (r->ending) {
		not_read(r, READING_NONE, "it is being looked who uses cards");
	} else if (result->stuck || result->timed_out) {
		not_read(r, READING_LATE,
			 arena_printf(&r->arena, "no answer within %d s",
				      (int)(r->s.deadline_ms / 1000)));
	} else if (result->status) {
		not_read(r, READING_REFUSED,
			 arena_printf(&r->arena, "reading ended with %d: %.200s", result->status,
				      *result->message ? result->message : "it said nothing"));
	} else if (reading_read(result->out, result->length, &r->question, &r->arena, &r->last,
				&err) < 0) {
		not_read(r, READING_REFUSED,
			 arena_printf(&r->arena, "what was read cannot be understood: %.200s",
				      err.text));
	}
}

static void let_pass(struct reader *r)
{
	link_each(l, &r->waiting)
	{
		struct waiter *w = container_of(l, struct waiter, link);
		struct waiter one = *w;

		link_remove(l);
		free(w);
		one.fn(one.ctx);
	}
}

static void on_done(void *ctx, const struct process_result *result)
{
	struct reader *r = ctx;

	hear(r, result);
	r->hangs = result->stuck;
	r->process = result->stuck ? r->process : NULL;
	r->ending = false;
	pause_after(r);
	say(r);
	r->fn(r->ctx, &r->last);
	let_pass(r);
}

static void on_ended(void *ctx)
{
	struct reader *r = ctx;

	r->hangs = false;
	r->process = NULL;
}

/* --- from outside --------------------------------------------------------------------------- */

static void start(struct reader *r, const struct reading_question *q)
{
	struct err err;

	arena_reset(&r->arena);
	reading_question_copy(q, &r->arena, &r->question);
	r->job = (struct nvml_job){r->library, &r->question};
	r->process = process_start(r->s.loop,
				   &(struct process_spec){
					   .name = "nvml",
					   .run = r->s.run ? r->s.run : nvml_run,
					   .timeout_ms = r->s.deadline_ms,
					   .max_out = EYES_MAX_LINE,
					   .done = on_done,
					   .ended = on_ended,
					   .ctx = r,
				   },
				   &err);
	if (!r->process) {
		not_read(r, READING_REFUSED, arena_printf(&r->arena, "%.200s", err.text));
		pause_after(r);
		say(r);
		r->fn(r->ctx, &r->last);
	}
}

void reader_ask(struct reader *r, const struct reading_question *q, reader_fn *fn, void *ctx)
{
	static const struct reading busy = {
		.why = "somebody else reads", .library = "", .driver = ""};
	static const struct reading quiet = {
		.why = "a card may be about to leave its driver", .library = "", .driver = ""};

	if (r->process && !r->hangs) {
		fn(ctx, &busy);
	} else if (r->hangs || (r->failures && now(r) < r->not_before)) {
		fn(ctx, &r->last);
	} else if (now(r) < r->quiet_until) {
		fn(ctx, &quiet);
	} else {
		r->fn = fn;
		r->ctx = ctx;
		start(r, q);
	}
}

void reader_clear(struct reader *r, loop_fn *fn, void *ctx)
{
	struct waiter *w;

	if (!r->process || r->hangs) {
		fn(ctx);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiter){.fn = fn, .ctx = ctx};
	link_init(&w->link);
	link_append(&r->waiting, &w->link);
	r->ending = true;
	process_end(r->process);
}

void reader_quiet(struct reader *r)
{
	r->quiet_until = now(r) + READER_QUIET_MS;
}

struct reader *reader_create(const struct reader_settings *s)
{
	struct reader *r = xcalloc(1, sizeof(*r));

	r->s = *s;
	r->s.deadline_ms = s->deadline_ms ? s->deadline_ms : READER_DEADLINE_MS;
	r->library = xstrdup(s->library);
	arena_init(&r->arena, READER_BYTES);
	link_init(&r->waiting);
	return r;
}

struct reader *reader_destroy(struct reader *r)
{
	if (r->process) {
		process_kill(r->process);
	}
	link_each(l, &r->waiting)
	{
		free(container_of(l, struct waiter, link));
	}
	arena_finish(&r->arena);
	free(r->library);
	free(r);
	return NULL;
}
