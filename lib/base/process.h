/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h: a helper process with a pipe and a deadline, on the loop. RIM. Nothing here blocks.
 *
 * Either a program (argv, found in PATH) or a function of ours in a fork (run), for what may hang
 * in the kernel. Its standard output is collected, its standard input is /dev/null, it leads a
 * process group of its own and starts with no signal blocked. It ends at the deadline by SIGKILL,
 * with its whole group. A process that hangs in the kernel survives that: then done is called all
 * the same, with `stuck`, a second after the deadline, and the process is reaped whenever it ends,
 * which `ended` is told.
 *
 * A function in a fork has no descriptor of ours but those named: a child that hangs for days would
 * hold our sockets and locks open beyond our own end.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

struct process;

struct process_result {
	int status; /* exit code, or 128 + number of the signal that ended it; -1: stuck */
	bool timed_out, too_big, stuck;
	const char *out; /* what it wrote, 0-terminated, also when it failed */
	size_t length;
	const char *message; /* the end of its standard error, 0-terminated; "" when that was
				inherited */
};

struct process_spec {
	const char *name;		    /* a literal, for loop_slow */
	char *const *argv, *const *environ; /* environ NULL: ours */
	int (*run)(void *ctx, int out);	    /* instead of argv: its result is the exit code */
	const int *keep; /* of run: descriptors above 2 that stay open in it; beside them it has its
			    output, its standard error and /dev/null */
	size_t n_keep;
	bool terminal; /* it may talk to the user: standard input and error are ours, it stays in
			  our process group */
	int64_t timeout_ms;
	size_t max_out; /* more than that ends it */
	void (*done)(void *ctx,
		     const struct process_result
			     *result); /* once, from the loop, unless process_kill came first */
	void (*ended)(void *ctx); /* or NULL. Once, from the loop, after a done with `stuck`: it has
				     ended after all */
	void *ctx;
};

/* NULL and err when it cannot be started. */
struct process *process_start(struct loop *l, const struct process_spec *spec, struct err *err);
/* As if its deadline had come: SIGKILL now, and done is told, though not that it timed out. */
void process_end(struct process *c);
/* SIGKILL, and neither done nor ended will be called. NULL. c lives until done, or until ended where
 * done said `stuck` and ended is wanted. */
struct process *process_kill(struct process *c);

/* In a function of ours: all of it to `out`. 0 or -1. */
int process_say(int out, const char *bytes, size_t n);
