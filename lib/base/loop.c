/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SLOW_MS 50
#define MAX_EVENTS 64

struct loop_io {
	struct loop *loop;
	struct loop_io *next_dead;
	loop_io_fn *fn;
	void *ctx;
	const char *name;
	int fd;
	uint32_t events;
	bool dead;
};

struct loop_timer {
	struct loop *loop;
	loop_fn *fn;
	void *ctx;
	const char *name;
	int64_t at;
	uint64_t seq; /* orders timers of the same time, and keeps one set in this turn out of it */
	size_t slot;  /* in the heap; meaningless while idle */
};

struct loop {
	int epoll, timer, signal;
	struct loop_timer **heap;
	size_t n, size;
	uint64_t seq;
	int64_t now, armed;
	bool in_turn, stopped, hosted;
	struct loop_io
		*dead; /* removed during this turn; the batch of events may still point there */
	struct loop_io *timer_io, *signal_io;
	loop_signal_fn *on_signal;
	void *signal_ctx;
	struct loop_slow slow;
	int64_t turn_worst_ms;
	const char *turn_worst;
};

static int64_t read_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The heap of timers: slot i's children are 2i+1 and 2i+2. */

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

static void place(struct loop *l, struct loop_timer *t, size_t slot)
{
	l->heap[slot] = t;
	t->slot = slot;
}

static void sift_up(struct loop *l, struct loop_timer *t, size_t slot)
{
	while (slot > 0 && earlier(t, l->heap[(slot - 1) / 2])) {
		place(l, l->heap[(slot - 1) / 2], slot);
		slot = (slot - 1) / 2;
	}
	place(l, t, slot);
}

static void sift_down(struct loop *l, struct loop_timer *t, size_t slot)
{
	for (;;) {
		size_t child = 2 * slot + 1;

		if (child + 1 < l->n && earlier(l->heap[child + 1], l->heap[child])) {
			child++;
		}
		if (child >= l->n || !earlier(l->heap[child], t)) {
			break;
		}
		place(l, l->heap[child], slot);
		slot = child;
	}
	place(l, t, slot);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
	size_t slot = t->slot;
	struct loop_timer *last = l->heap[--l->n];

	if (last == t) {
		return;
	}
	if (earlier(last, t)) {
		sift_up(l, last, slot);
	} else {
		sift_down(l, last, slot);
	}
}

static void heap_add(struct loop *l, struct loop_timer *t)
{
	if (l->n == l->size) {
		l->size = MAX(l->size * 2, (size_t)16);
		l->heap = xrealloc(l->heap, l->size * sizeof(*l->heap));
	}
	sift_up(l, t, l->n++);
}

static int64_t earliest(const struct loop *l)
{
	return l->n ? l->heap[0]->at : INT64_MAX;
}

/*
 * The timerfd makes the loop's fd readable when a timer is due, for a host and across a suspend
 * (epoll_wait's own timeout stands still meanwhile). It is set only when the earliest time came
 * nearer or the set one has passed: libcurl moves its timer at almost every step, and each setting
 * would be a system call.
 */
static void arm(struct loop *l)
{
	int64_t at = earliest(l);
	struct itimerspec its = {0};

	if (at >= l->armed && l->armed > l->now) {
		return;
	}
	if (at == l->armed) {
		return;
	}
	l->armed = at;
	if (at != INT64_MAX) {
		at = MAX(at, (int64_t)1); /* 0 would disarm */
		its.it_value.tv_sec = at / 1000;
		its.it_value.tv_nsec = (at % 1000) * 1000000;
	}
	timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &its, NULL);
}

static void on_timerfd(void *ctx, int fd, uint32_t events attr_unused)
{
	struct loop *l = ctx;
	uint64_t expirations;

	(void)!read(fd, &expirations, sizeof(expirations));
	l->armed = INT64_MAX;
}

static void on_signalfd(void *ctx, int fd, uint32_t events attr_unused)
{
	struct loop *l = ctx;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		l->on_signal(l->signal_ctx, (int)info.ssi_signo);
	}
}

struct loop *loop_create(void)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	l->signal = -1;
	l->armed = INT64_MAX;
	l->timer_io = l->epoll < 0 || l->timer < 0
			      ? NULL
			      : loop_add(l, l->timer, EPOLLIN, on_timerfd, l, "timers");
	if (!l->timer_io) { /* no descriptors left at the very start: nothing can work */
		static const char line[] = "no descriptors left for the event loop\n";
		(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
		abort();
	}
	return l;
}

static void bury(struct loop *l)
{
	while (l->dead) {
		struct loop_io *io = l->dead;

		l->dead = io->next_dead;
		free(io);
	}
}

struct loop *loop_destroy(struct loop *l)
{
	if (!l) {
		return NULL;
	}
	assert(!l->in_turn);
	l->timer_io = loop_remove(l->timer_io);
	if (l->signal >= 0) {
		l->signal_io = loop_remove(l->signal_io);
		close(l->signal);
	}
	bury(l);
	close(l->timer);
	close(l->epoll);
	free(l->heap);
	free(l);
	return NULL;
}

struct loop_io *loop_add(struct loop *l, int fd, uint32_t epoll_events, loop_io_fn *fn, void *ctx,
			 const char *name)
{
	struct loop_io *io = xcalloc(1, sizeof(*io));
	struct epoll_event e = {.events = epoll_events, .data.ptr = io};

	*io = (struct loop_io){
		.loop = l, .fn = fn, .ctx = ctx, .name = name, .fd = fd, .events = epoll_events};
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
		int saved = errno;

		free(io);
		errno = saved;
		return NULL;
	}
	return io;
}

void loop_change(struct loop_io *io, uint32_t epoll_events)
{
	struct epoll_event e = {.events = epoll_events, .data.ptr = io};

	if (io->events != epoll_events) {
		io->events = epoll_events;
		epoll_ctl(io->loop->epoll, EPOLL_CTL_MOD, io->fd, &e);
	}
}

struct loop_io *loop_remove(struct loop_io *io)
{
	struct loop *l;

	if (!io) {
		return NULL;
	}
	l = io->loop;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, io->fd, NULL);
	io->dead = true;
	io->next_dead = l->dead;
	l->dead = io;
	if (!l->in_turn) {
		bury(l);
	}
	return NULL;
}

struct loop_timer *loop_timer_create(struct loop *l, loop_fn *fn, void *ctx, const char *name)
{
	struct loop_timer *t = xmalloc(sizeof(*t));

	*t = (struct loop_timer){.loop = l, .fn = fn, .ctx = ctx, .name = name, .at = INT64_MAX};
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t at_ms)
{
	struct loop *l = t->loop;

	if (t->at != INT64_MAX) {
		heap_remove(l, t);
	}
	t->at = at_ms;
	t->seq = l->seq++;
	if (at_ms == INT64_MAX) {
		return;
	}
	/* Not before the timers that are due already, or one that always sets itself to 0 would
	 * starve them. */
	if (l->in_turn) {
		t->at = MAX(at_ms, l->now);
	}
	heap_add(l, t);
	if (!l->in_turn && l->hosted) { /* a host's callback: its loop may go to sleep next */
		l->now = read_clock();
		arm(l);
	}
}

int64_t loop_timer_at(const struct loop_timer *t)
{
	return t->at;
}

struct loop_timer *loop_timer_destroy(struct loop_timer *t)
{
	if (t && t->at != INT64_MAX) {
		heap_remove(t->loop, t);
	}
	free(t);
	return NULL;
}

int loop_signals(struct loop *l, const int *signals, size_t n, loop_signal_fn *fn, void *ctx)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++) {
		sigaddset(&set, signals[i]);
	}
	assert(l->signal < 0);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		return -1;
	}
	l->signal = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	l->on_signal = fn;
	l->signal_ctx = ctx;
	l->signal_io =
		l->signal < 0 ? NULL : loop_add(l, l->signal, EPOLLIN, on_signalfd, l, "signals");
	return l->signal_io ? 0 : -1;
}

int64_t loop_now(struct loop *l)
{
	return l->in_turn ? l->now : read_clock();
}

int loop_fd(struct loop *l)
{
	l->hosted = true;
	l->now = read_clock();
	arm(l);
	return l->epoll;
}

/* Runs after every callback: which one was the longest of this turn. Returns the time. */
static int64_t account(struct loop *l, int64_t before, const char *name)
{
	int64_t after = read_clock();

	if (after - before >= l->turn_worst_ms) {
		l->turn_worst_ms = after - before;
		l->turn_worst = name;
	}
	return after;
}

static int run_ios(struct loop *l, const struct epoll_event *events, int n, int64_t *clock)
{
	int ran = 0;

	for (int i = 0; i < n; i++) {
		struct loop_io *io = events[i].data.ptr;

		if (io->dead) {
			continue;
		}
		io->fn(io->ctx, io->fd, events[i].events);
		*clock = account(l, *clock, io->name);
		ran += io != l->timer_io;
	}
	return ran;
}

static int run_timers(struct loop *l, int64_t *clock)
{
	uint64_t limit = l->seq; /* what is set from now on waits for the next turn */
	int ran = 0;

	while (l->n && l->heap[0]->at <= l->now && l->heap[0]->seq < limit) {
		struct loop_timer *t = l->heap[0];
		const char *name = t->name; /* t may be gone when it returns */

		heap_remove(l, t);
		t->at = INT64_MAX;
		t->fn(t->ctx);
		*clock = account(l, *clock, name);
		ran++;
	}
	return ran;
}

int loop_turn(struct loop *l, int timeout_ms)
{
	struct epoll_event events[MAX_EVENTS];
	int64_t clock;
	int n, ran;

	assert(!l->in_turn);
	l->now = read_clock();
	if (earliest(l) <= l->now) {
		timeout_ms = 0;
	} else {
		arm(l);
	}
	n = epoll_wait(l->epoll, events, MAX_EVENTS, timeout_ms);
	l->in_turn = true;
	l->now = clock = read_clock();
	l->turn_worst_ms = 0;
	ran = run_ios(l, events, n, &clock);
	ran += run_timers(l, &clock);
	if (clock - l->now > SLOW_MS) {
		l->slow.count++;
		if (l->turn_worst_ms > l->slow.worst_ms) {
			l->slow.worst_ms = l->turn_worst_ms;
			l->slow.worst = l->turn_worst;
		}
	}
	l->in_turn = false;
	bury(l);
	if (l->hosted) {
		arm(l); /* the host sleeps on loop_fd from here */
	}
	return ran;
}

void loop_run(struct loop *l)
{
	while (!l->stopped) {
		loop_turn(l, -1);
	}
	l->stopped = false;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

const struct loop_slow *loop_slow(const struct loop *l)
{
	return &l->slow;
}
