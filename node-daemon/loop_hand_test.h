/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_hand_test.h: the loop's clock and timers (loop.h), and processes (process.h), by hand, for tests on
 * virtual time: the linker takes these instead of loop.c and process.c. Time is `now`; what is due by
 * then runs in run_timers. A process that was started waits in `started` until process_says.
 */
#pragma once

#include "base/link.h"
#include "base/process.h"
#include "base/test.h"

struct loop_timer {
	struct link link;
	loop_fn *fn;
	void *ctx;
	int64_t at;
};

struct process {
	struct process_spec spec;
	bool stuck;
};

#define PROCESSES 64

static int64_t now = 1000;
static struct link timers = {&timers, &timers};
static struct process *started[PROCESSES];
static size_t n_started;
static const char *no_process; /* why none can be started; NULL: one can */

int64_t loop_now(attr_unused struct loop *l)
{
	return now;
}

struct loop_timer *loop_timer_create(attr_unused struct loop *l, loop_fn *fn, void *ctx,
				     attr_unused const char *name)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	*t = (struct loop_timer){.fn = fn, .ctx = ctx, .at = INT64_MAX};
	link_init(&t->link);
	link_append(&timers, &t->link);
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t at_ms)
{
	t->at = at_ms;
}

int64_t loop_timer_at(const struct loop_timer *t)
{
	return t->at;
}

struct loop_timer *loop_timer_destroy(struct loop_timer *t)
{
	if (t) {
		link_remove(&t->link);
		free(t);
	}
	return NULL;
}

/* False: none is due. */
attr_unused static bool run_timer(void)
{
	link_each(l, &timers)
	{
		struct loop_timer *t = container_of(l, struct loop_timer, link);

		if (t->at <= now) {
			t->at = INT64_MAX;
			t->fn(t->ctx);
			return true;
		}
	}
	return false;
}

attr_unused static void run_timers(void)
{
	for (int i = 0; run_timer(); i++) {
		ok(i < 1000); /* it comes to rest */
	}
}

struct process *process_start(attr_unused struct loop *l, const struct process_spec *spec,
			      struct err *err)
{
	struct process *p;

	if (no_process) {
		err_set(err, "%s", no_process);
		return NULL;
	}
	ok(n_started < PROCESSES);
	p = xcalloc(1, sizeof(*p));
	p->spec = *spec;
	started[n_started++] = p;
	return p;
}

static void process_drop(struct process *p)
{
	size_t n = 0;

	for (size_t i = 0; i < n_started; i++) {
		if (started[i] != p) {
			started[n++] = started[i];
		}
	}
	ok(n + 1 == n_started); /* nobody kills what is gone */
	n_started = n;
	free(p);
}

struct process *process_kill(struct process *p)
{
	process_drop(p);
	return NULL;
}

/* Nobody is looked for, nor reads, in these tests. */
void process_end(attr_unused struct process *p)
{
	ok(false);
}

int process_say(attr_unused int out, attr_unused const char *bytes, attr_unused size_t n)
{
	return -1;
}

/* It has said this, and ends so; one that is stuck goes on until process_ends. */
attr_unused static void process_says(struct process *p, const char *out,
				     const struct process_result *how)
{
	struct process_result r = *how;
	struct process_spec spec = p->spec;

	r.out = out;
	r.length = strlen(out);
	r.message = "";
	p->stuck = r.stuck;
	if (!r.stuck) {
		process_drop(p);
	}
	spec.done(spec.ctx, &r);
}

attr_unused static void process_ends(struct process *p)
{
	struct process_spec spec = p->spec;

	ok(p->stuck);
	process_drop(p);
	if (spec.ended) {
		spec.ended(spec.ctx);
	}
}
