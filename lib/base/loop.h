/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h: one thread waits for many things: an epoll set, a heap of timers, signals by signalfd.
 *
 * Callbacks run to their end, one at a time, and may add or remove anything, themselves included.
 * The loop is itself one fd (loop_fd): another loop can host it. A turn longer than 50 ms is
 * counted and named (loop_slow), because nothing else ran meanwhile. What was added belongs to who
 * added it, and is removed before loop_destroy. Names are kept as pointers: string literals. Within
 * a turn descriptors come before timers, so that a watchdog never fires while the bytes it waits
 * for lie ready.
 */
#pragma once

#include "base/base.h"

struct loop;
struct loop_io;
struct loop_timer;

typedef void loop_io_fn(void *ctx, int fd, uint32_t epoll_events);
typedef void loop_fn(void *ctx);
typedef void loop_signal_fn(void *ctx, int signo);

struct loop *loop_create(void);
struct loop *loop_destroy(struct loop *l);

/* NULL, with errno, when the kernel refuses (EPERM: a regular file is always ready and cannot be
 * waited for). */
struct loop_io *loop_add(struct loop *l, int fd, uint32_t epoll_events, loop_io_fn *fn, void *ctx,
			 const char *name);
void loop_change(struct loop_io *io, uint32_t epoll_events);
struct loop_io *
loop_remove(struct loop_io *io); /* NULL; does not close fd: remove first, then close */

/* A timer is created idle; set to an absolute time of loop_now; fires once, never in the turn that
 * set it. */
struct loop_timer *loop_timer_create(struct loop *l, loop_fn *fn, void *ctx, const char *name);
void loop_timer_set(struct loop_timer *t, int64_t at_ms); /* INT64_MAX: idle */
int64_t loop_timer_at(const struct loop_timer *t);	  /* INT64_MAX: idle */
struct loop_timer *loop_timer_destroy(struct loop_timer *t);

/* Blocks these signals for the process and delivers them here. Once per loop, before any thread or
 * child starts. */
int loop_signals(struct loop *l, const int *signals, size_t n, loop_signal_fn *fn, void *ctx);

int64_t loop_now(struct loop *l); /* ms of CLOCK_BOOTTIME, read once per turn */
int loop_fd(struct loop *l); /* for a host, which calls loop_turn(l, 0) when it is readable; from
				then on kept up to date */
/* One turn: waits at most timeout_ms (-1: until something happens). The number of callbacks run. */
int loop_turn(struct loop *l, int timeout_ms);
void loop_run(struct loop *l); /* until loop_stop */
void loop_stop(struct loop *l);

struct loop_slow {
	uint64_t count;
	int64_t worst_ms;
	const char *worst;
};
const struct loop_slow *loop_slow(const struct loop *l);
