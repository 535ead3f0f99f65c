/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/hands_run.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/link.h"
#include "node-daemon/write.h"

#define HEARD_BYTES (16 * MiB)

struct hands_run {
	struct hands_run_settings s;
	struct loop_timer *timer;
	struct link children;
};

struct child {
	struct write_job job; /* first: what the child sees as its context */
	struct hands_run *r;
	struct process *process; /* NULL: it waits for hands_run_answer */
	struct work work;
	struct link link;
};

/* Tells the end of a program; a child that did not even start has no result. */
static void tell(struct hands_run *r, const struct work *w, const struct process_result *result,
		 const char *why)
{
	attr_cleanup(arena_finish) struct arena a;
	struct steps_heard heard;
	bool good;

	arena_init(&a, HEARD_BYTES);
	good = hands_done(r->s.hands, w->unit, result, why, loop_now(r->s.loop), &a, &heard);
	r->s.fn(r->s.ctx, w->unit, w->goal, w->steps, good, &heard);
	hands_run_due(r);
}

static void child_free(struct child *c)
{
	link_remove(&c->link);
	free(c);
}

static void on_done(void *ctx, const struct process_result *result)
{
	struct child *c = ctx;
	struct hands_run *r = c->r;
	struct work w = c->work;

	if (!result->stuck) {
		child_free(c);
	}
	tell(r, &w, result, NULL);
}

static void on_ended(void *ctx)
{
	static const struct steps_heard nothing;
	struct child *c = ctx;
	struct hands_run *r = c->r;
	struct work w = c->work;

	child_free(c);
	hands_ended(r->s.hands, w.unit, loop_now(r->s.loop));
	r->s.fn(r->s.ctx, w.unit, w.goal, w.steps, false, &nothing);
	hands_run_due(r);
}

static void run(struct child *c)
{
	struct hands_run *r = c->r;
	const int keep[] = {r->s.sys, r->s.proc};
	struct work w = c->work;
	struct err err;

	c->process = process_start(r->s.loop,
				   &(struct process_spec){
					   .name = "hands",
					   .run = r->s.run ? r->s.run : write_run,
					   .keep = keep,
					   .n_keep = r->s.proc >= 0 ? 2 : 1,
					   .timeout_ms = w.timeout_ms,
					   .max_out = w.max_out,
					   .done = on_done,
					   .ended = on_ended,
					   .ctx = c,
				   },
				   &err);
	if (!c->process) {
		child_free(c);
		tell(r, &w, NULL, err.text);
	}
}

static void start(struct hands_run *r, const struct work *w)
{
	struct child *c = xcalloc(1, sizeof(*c));

	*c = (struct child){
		{r->s.sys, r->s.proc, getpid(), w->steps, r->s.tool}, r, NULL, *w, {NULL, NULL}};
	link_init(&c->link);
	link_append(&r->children, &c->link);
	if (!r->s.may || r->s.may(r->s.ctx, w->unit) == HANDS_RUN_MAY) {
		run(c);
	}
}

void hands_run_answer(struct hands_run *r, uint64_t unit, const char *why)
{
	link_each(l, &r->children)
	{
		struct child *c = container_of(l, struct child, link);
		struct work w = c->work;

		if (w.unit != unit || c->process) {
			continue;
		}
		if (why) {
			child_free(c);
			tell(r, &w, NULL, why);
		} else {
			run(c);
		}
		return;
	}
}

/* One at a time: what is told of one that could not start may have changed all. */
static void on_time(void *ctx)
{
	struct hands_run *r = ctx;
	struct work w;

	if (hands_next(r->s.hands, loop_now(r->s.loop), &w)) {
		start(r, &w);
	}
	hands_run_due(r);
}

void hands_run_due(struct hands_run *r)
{
	loop_timer_set(r->timer, hands_wake(r->s.hands));
}

struct hands_run *hands_run_create(const struct hands_run_settings *s)
{
	struct hands_run *r = xcalloc(1, sizeof(*r));

	r->s = *s;
	link_init(&r->children);
	r->timer = loop_timer_create(s->loop, on_time, r, "hands");
	hands_run_due(r);
	return r;
}

struct hands_run *hands_run_destroy(struct hands_run *r)
{
	link_each(l, &r->children)
	{
		struct child *c = container_of(l, struct child, link);

		if (c->process) {
			process_kill(c->process);
		}
		child_free(c);
	}
	loop_timer_destroy(r->timer);
	free(r);
	return NULL;
}
