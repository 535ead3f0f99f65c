/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/test.h"

#define auto_loop attr_cleanup(destroy_loop)

static void destroy_loop(struct loop **l)
{
	*l = loop_destroy(*l);
}

static void sleep_ms(int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static void nothing(void *ctx attr_unused)
{
}

/* A word that callbacks append their letter to. */
static char trace[64];

static void note(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

static void note_letter(void *ctx)
{
	note(*(const char *)ctx);
}

static void timers_fire_in_order_of_time(void)
{
	static const int64_t at[] = {5, 1, 4, 2, 3, 2};
	static char letters[] = "faebdc"; /* of the two at 2 the one set first comes first */
	auto_loop struct loop *l = loop_create();
	struct loop_timer *t[6];
	int64_t now = loop_now(l);

	trace[0] = '\0';
	for (size_t i = 0; i < 6; i++) {
		t[i] = loop_timer_create(l, note_letter, letters + i, "letter");
		loop_timer_set(t[i], now + at[i]);
	}
	sleep_ms(8);
	is_int(loop_turn(l, 0), 6);
	is_str(trace, "abcdef");
	for (size_t i = 0; i < 6; i++) {
		loop_timer_destroy(t[i]);
	}
}

static int64_t last_at;

static void note_order(void *ctx)
{
	const int64_t *at = ctx;

	if (*at < last_at) {
		note('!');
	}
	last_at = *at;
}

static void many_random_timers_keep_their_order(void)
{
	enum { N = 500 };
	auto_loop struct loop *l = loop_create();
	struct loop_timer *t[N];
	int64_t at[N];
	unsigned seed = 7;
	int fired = 0;

	trace[0] = '\0';
	last_at = 0;
	for (int i = 0; i < N; i++) {
		at[i] = (int64_t)(rand_r(&seed) % 1000) + 1;
		t[i] = loop_timer_create(l, note_order, at + i, "n");
		loop_timer_set(t[i], at[i]);
	}
	for (int i = 0; i < N; i += 3) { /* moved, idled and destroyed from the middle */
		at[i] = i % 2 ? INT64_MAX : (int64_t)(rand_r(&seed) % 1000) + 1;
		loop_timer_set(t[i], at[i]);
	}
	for (int i = 1; i < N; i += 3) {
		t[i] = loop_timer_destroy(t[i]);
	}
	for (int i = 0; i < N; i++) {
		fired += t[i] && loop_timer_at(t[i]) != INT64_MAX;
	}
	is_int(loop_turn(l, 0), fired);
	is_str(trace, "");
	is_int(loop_turn(l, 0), 0);
	for (int i = 0; i < N; i++) {
		loop_timer_destroy(t[i]);
	}
}

struct again {
	struct loop *loop;
	struct loop_timer *timer;
	int count;
};

static void set_again(void *ctx)
{
	struct again *a = ctx;

	a->count++;
	loop_timer_set(a->timer, 0);
}

static void timer_set_in_its_own_callback_waits_for_the_next_turn(void)
{
	auto_loop struct loop *l = loop_create();
	struct again a = {.loop = l};
	char letter = 'x';
	struct loop_timer *other = loop_timer_create(l, note_letter, &letter, "other");

	trace[0] = '\0';
	a.timer = loop_timer_create(l, set_again, &a, "again");
	loop_timer_set(a.timer, 0);
	loop_timer_set(other, loop_now(l));
	loop_turn(l, 0);
	is_int(a.count, 1);
	is_str(trace, "x");
	loop_turn(l, -1);
	is_int(a.count, 2);
	loop_timer_destroy(a.timer);
	loop_timer_destroy(other);
}

static void turn_waits_for_the_timer_and_not_longer(void)
{
	auto_loop struct loop *l = loop_create();
	struct loop_timer *t = loop_timer_create(l, nothing, NULL, "t");
	int64_t start = loop_now(l);

	loop_timer_set(t, start + 30);
	while (loop_turn(l, 5000) == 0) {
	}
	ok(loop_now(l) - start >= 30);
	ok(loop_now(l) - start < 1000);
	/* Moved further away after the kernel was told of the nearer time. */
	loop_timer_set(t, start + 60);
	loop_timer_set(t, start + 120);
	while (loop_turn(l, 5000) == 0) {
	}
	ok(loop_now(l) - start >= 120);
	loop_timer_destroy(t);
}

static void idle_timer_does_not_fire(void)
{
	auto_loop struct loop *l = loop_create();
	char letter = 'x';
	struct loop_timer *t = loop_timer_create(l, note_letter, &letter, "t");

	trace[0] = '\0';
	loop_timer_set(t, loop_now(l) + 5);
	loop_timer_set(t, INT64_MAX);
	sleep_ms(8);
	is_int(loop_turn(l, 0), 0);
	is_str(trace, "");
	loop_timer_destroy(t);
}

struct pipe_end {
	struct loop_io *io, *other;
	int count;
	uint32_t events;
};

static void drain(void *ctx, int fd, uint32_t events)
{
	struct pipe_end *p = ctx;
	char c;

	p->count++;
	p->events = events;
	(void)!read(fd, &c, 1);
}

static void readable_descriptor_is_reported_until_it_is_read(void)
{
	auto_loop struct loop *l = loop_create();
	struct pipe_end p = {0};
	int fds[2];

	is_int(pipe2(fds, O_CLOEXEC), 0);
	p.io = loop_add(l, fds[0], EPOLLIN, drain, &p, "pipe");
	is_int(loop_turn(l, 0), 0);
	is_int(write(fds[1], "ab", 2), 2);
	is_int(loop_turn(l, -1), 1);
	is_int(loop_turn(l, -1), 1);
	is_int(loop_turn(l, 0), 0);
	is_int(p.count, 2);
	loop_change(p.io, 0);
	is_int(write(fds[1], "c", 1), 1);
	is_int(loop_turn(l, 0), 0);
	loop_change(p.io, EPOLLIN);
	is_int(loop_turn(l, 0), 1);
	close(fds[1]);
	is_int(loop_turn(l, 0), 1);
	ok(p.events & EPOLLHUP);
	loop_remove(p.io);
	close(fds[0]);
}

static void remove_both(void *ctx, int fd attr_unused, uint32_t events attr_unused)
{
	struct pipe_end *p = ctx;

	p->count++;
	p->io = loop_remove(p->io);
	p->other = loop_remove(p->other);
}

static void descriptor_removed_by_another_callback_is_not_called(void)
{
	auto_loop struct loop *l = loop_create();
	struct pipe_end p = {0};
	int a[2], b[2];

	is_int(pipe2(a, O_CLOEXEC), 0);
	is_int(pipe2(b, O_CLOEXEC), 0);
	p.io = loop_add(l, a[0], EPOLLIN, remove_both, &p, "a");
	p.other = loop_add(l, b[0], EPOLLIN, remove_both, &p, "b");
	is_int(write(a[1], "x", 1), 1);
	is_int(write(b[1], "x", 1), 1);
	is_int(loop_turn(l, -1), 1);
	is_int(p.count, 1);
	is_int(loop_turn(l, 0), 0);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

struct killer {
	struct loop_timer *self, *victim;
};

static void kill_both(void *ctx)
{
	struct killer *k = ctx;

	note('k');
	k->self = loop_timer_destroy(k->self);
	k->victim = loop_timer_destroy(k->victim);
}

static void timer_destroyed_by_another_callback_is_not_called(void)
{
	auto_loop struct loop *l = loop_create();
	struct killer k;
	char letter = 'v';

	trace[0] = '\0';
	k.self = loop_timer_create(l, kill_both, &k, "killer");
	k.victim = loop_timer_create(l, note_letter, &letter, "victim");
	loop_timer_set(k.self, 1);
	loop_timer_set(k.victim, 2);
	is_int(loop_turn(l, -1), 1);
	is_int(loop_turn(l, 0), 0);
	is_str(trace, "k");
}

static void note_pipe(void *ctx, int fd, uint32_t events attr_unused)
{
	char c;

	(void)!read(fd, &c, 1);
	note_letter(ctx);
}

static void descriptors_come_before_timers(void)
{
	auto_loop struct loop *l = loop_create();
	char t_letter = 't', p_letter = 'p';
	struct loop_timer *t = loop_timer_create(l, note_letter, &t_letter, "t");
	struct loop_io *io;
	int fds[2];

	trace[0] = '\0';
	is_int(pipe2(fds, O_CLOEXEC), 0);
	io = loop_add(l, fds[0], EPOLLIN, note_pipe, &p_letter, "pipe");
	is_int(write(fds[1], "x", 1), 1);
	loop_timer_set(t, 1);
	loop_turn(l, -1);
	is_str(trace, "pt");
	loop_remove(io);
	loop_timer_destroy(t);
	close(fds[0]), close(fds[1]);
}

static void regular_file_is_refused(void)
{
	auto_loop struct loop *l = loop_create();
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ok(fd >= 0);
	ok(!loop_add(l, fd, EPOLLIN, drain, NULL, "file"));
	is_int(errno, EPERM);
	close(fd);
}

static int signal_seen;

static void on_signal(void *ctx, int signo)
{
	signal_seen = signo;
	loop_stop(ctx);
}

static void signal_arrives_in_the_loop_and_stops_it(void)
{
	auto_loop struct loop *l = loop_create();
	const int signals[] = {SIGUSR1, SIGTERM};

	is_int(loop_signals(l, signals, 2, on_signal, l), 0);
	kill(getpid(), SIGUSR1);
	loop_run(l);
	is_int(signal_seen, SIGUSR1);
	kill(getpid(), SIGTERM);
	loop_run(l); /* runs again after a stop */
	is_int(signal_seen, SIGTERM);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void host_sees_a_due_timer_on_the_loops_descriptor(void)
{
	auto_loop struct loop *l = loop_create();
	struct again a = {.loop = l};
	char letter = 'x';
	struct loop_timer *t = loop_timer_create(l, note_letter, &letter, "t");

	trace[0] = '\0';
	ok(!readable(loop_fd(l), 0));
	loop_timer_set(t, loop_now(l) + 20);
	ok(readable(loop_fd(l), 5000));
	/* The descriptor may come up slightly early or for a time since moved: a turn without a
	 * callback is legal. */
	while (!*trace) {
		ok(readable(loop_fd(l), 5000));
		loop_turn(l, 0);
	}
	is_str(trace, "x");
	ok(!readable(loop_fd(l), 0));
	/* Set during a turn: the host must be woken as well. */
	a.timer = loop_timer_create(l, set_again, &a, "again");
	loop_timer_set(a.timer, 0);
	for (int i = 0; i < 3; i++) {
		ok(readable(loop_fd(l), 5000));
		loop_turn(l, 0);
	}
	is_int(a.count, 3);
	loop_timer_destroy(a.timer);
	loop_timer_destroy(t);
}

static void sleep_in_callback(void *ctx)
{
	sleep_ms(*(int *)ctx);
}

static void slow_turn_is_counted_and_named(void)
{
	auto_loop struct loop *l = loop_create();
	int slow = 80, fast = 1;
	struct loop_timer *a = loop_timer_create(l, sleep_in_callback, &fast, "fast one");
	struct loop_timer *b = loop_timer_create(l, sleep_in_callback, &slow, "slow one");

	loop_timer_set(b, 1);
	loop_timer_set(a, 2);
	loop_turn(l, -1);
	is_int(loop_slow(l)->count, 1);
	is_str(loop_slow(l)->worst, "slow one");
	ok(loop_slow(l)->worst_ms >= 80);
	loop_timer_destroy(a);
	loop_timer_destroy(b);
}

TESTS({"timers fire in order of time, then of setting", timers_fire_in_order_of_time},
      {"many random timers fire once each, in order", many_random_timers_keep_their_order},
      {"a timer set in its own callback waits for the next turn",
       timer_set_in_its_own_callback_waits_for_the_next_turn},
      {"a turn waits for the timer and not longer", turn_waits_for_the_timer_and_not_longer},
      {"an idle timer does not fire", idle_timer_does_not_fire},
      {"a readable descriptor is reported until it is read",
       readable_descriptor_is_reported_until_it_is_read},
      {"a descriptor removed by another callback is not called",
       descriptor_removed_by_another_callback_is_not_called},
      {"a timer destroyed by another callback is not called",
       timer_destroyed_by_another_callback_is_not_called},
      {"descriptors come before timers", descriptors_come_before_timers},
      {"a regular file is refused", regular_file_is_refused},
      {"a signal arrives in the loop and stops it", signal_arrives_in_the_loop_and_stops_it},
      {"a host sees a due timer on the loop's descriptor",
       host_sees_a_due_timer_on_the_loops_descriptor},
      {"a slow turn is counted and named", slow_turn_is_counted_and_named})
