/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/resets.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/link.h"
#include "base/process.h"
#include "node-daemon/write.h"

#define HEARD_BYTES MiB

struct resets {
	struct resets_settings s;
	struct link items; /* that run, hang or wait */
	struct loop_timer *timer;
};

struct reset {
	struct write_job job; /* first: what the child sees as its context */
	struct resets *r;
	struct steps steps;
	struct process *process; /* NULL: it waits */
	struct link link;
	int64_t begun;
	int64_t known; /* when nobody had it */
	bool asking;   /* whether that is so still */
	bool stuck;
	char id[PCIFN_TEXT_MAX];
	struct step items[];
};

static void reset_free(struct reset *x)
{
	link_remove(&x->link);
	free(x);
}

static void tell(struct reset *x, const struct process_result *result)
{
	attr_cleanup(arena_finish) struct arena a;
	struct resets *r = x->r;
	struct steps_heard heard;
	enum resets_end end = RESETS_GOOD;
	const char *why = "";

	arena_init(&a, HEARD_BYTES);
	steps_hear(&x->steps, result->out, result->length, &a, &heard);
	if (result->stuck || result->timed_out) {
		end = RESETS_HUNG;
		why = "the reset does not come to an end";
	} else if (heard.done < x->steps.n) {
		end = RESETS_FAILED;
		why = heard.why ? heard.why : "the reset ended without a word";
	}
	r->s.done(r->s.ctx, x->id, end, heard.done ? heard.read[heard.done - 1] : "",
		  loop_now(r->s.loop) - x->begun, why);
}

static void on_done(void *ctx, const struct process_result *result)
{
	struct reset *x = ctx;
	struct resets *r = x->r;

	tell(x, result);
	x->stuck = result->stuck;
	if (!x->stuck) {
		reset_free(x);
	}
	loop_timer_set(r->timer, loop_now(r->s.loop));
}

static void on_ended(void *ctx)
{
	reset_free(ctx);
}

static void start(struct resets *r, struct reset *x)
{
	struct err err;

	x->begun = loop_now(r->s.loop);
	x->process = process_start(r->s.loop,
				   &(struct process_spec){
					   .name = "reset",
					   .run = write_run,
					   .keep = &r->s.sys,
					   .n_keep = 1,
					   .timeout_ms = steps_deadline_ms(&x->steps),
					   .max_out = x->steps.n * STEPS_LINE_MAX + 1,
					   .done = on_done,
					   .ended = on_ended,
					   .ctx = x,
				   },
				   &err);
	if (!x->process) {
		r->s.done(r->s.ctx, x->id, RESETS_FAILED, "", 0, err.text);
		reset_free(x);
	}
}

/* It has the lock that another one would wait for. */
static bool hangs(const struct resets *r, const char *id)
{
	link_each(l, &r->items)
	{
		const struct reset *x = container_of(l, struct reset, link);

		if (x->stuck && str_eq(x->id, id)) {
			return true;
		}
	}
	return false;
}

static void on_time(void *ctx)
{
	struct resets *r = ctx;
	struct reset *waiting[RESETS_AT_ONCE];
	size_t running = 0, n = 0;

	link_each(l, &r->items)
	{
		struct reset *x = container_of(l, struct reset, link);

		running += x->asking || (x->process && !x->stuck);
		if (!x->process && !x->asking && n < RESETS_AT_ONCE) {
			waiting[n++] = x;
		}
	}
	for (size_t i = 0; i < n && running < RESETS_AT_ONCE; i++) {
		if (hangs(r, waiting[i]->id)) {
			r->s.done(r->s.ctx, waiting[i]->id, RESETS_HUNG, "", 0,
				  "the last reset still hangs in the kernel");
			reset_free(waiting[i]);
		} else if (loop_now(r->s.loop) - waiting[i]->known > RESETS_FRESH_MS) {
			waiting[i]->asking = true;
			running++;
			r->s.ask(r->s.ctx, waiting[i]->id);
		} else {
			start(r, waiting[i]);
			running++;
		}
	}
}

/* NULL: there is none. */
static struct reset *asked(const struct resets *r, const char *id)
{
	link_each(l, &r->items)
	{
		struct reset *x = container_of(l, struct reset, link);

		if (x->asking && str_eq(x->id, id)) {
			return x;
		}
	}
	return NULL;
}

bool resets_asks(const struct resets *r, const char *id)
{
	return asked(r, id);
}

void resets_may(struct resets *r, const char *id, bool may)
{
	struct reset *x = asked(r, id);

	if (x && may) {
		x->asking = false;
		x->known = loop_now(r->s.loop);
	} else if (x) {
		reset_free(x);
	}
	loop_timer_set(r->timer, loop_now(r->s.loop));
}

struct resets *resets_create(const struct resets_settings *s)
{
	struct resets *r = xcalloc(1, sizeof(*r));

	r->s = *s;
	link_init(&r->items);
	r->timer = loop_timer_create(s->loop, on_time, r, "resets");
	return r;
}

struct resets *resets_destroy(struct resets *r)
{
	if (r) {
		link_each(l, &r->items)
		{
			struct reset *x = container_of(l, struct reset, link);

			if (x->process) {
				process_kill(x->process);
			}
			reset_free(x);
		}
		loop_timer_destroy(r->timer);
		free(r);
	}
	return NULL;
}

bool resets_has(const struct resets *r, const char *id)
{
	link_each(l, &r->items)
	{
		if (str_eq(container_of(l, struct reset, link)->id, id)) {
			return true;
		}
	}
	return false;
}

void resets_add(struct resets *r, const char *id, const struct unit *u)
{
	struct reset *x = xcalloc(1, sizeof(*x) + u->gpus * sizeof(*x->items));

	*x = (struct reset){
		.r = r, .steps = {x->items, 0}, .job = {r->s.sys, -1, getpid(), NULL, NULL}};
	x->known = loop_now(r->s.loop);
	snprintf(x->id, sizeof(x->id), "%s", id);
	list_each(f, &u->functions) {
		if ((*f)->kind == PCI_GPU) {
			x->items[x->steps.n++] = (struct step){STEP_RESET, (*f)->address, ""};
		}
	}
	x->job.steps = &x->steps;
	link_init(&x->link);
	link_append(&r->items, &x->link);
	loop_timer_set(r->timer, loop_now(r->s.loop));
}
