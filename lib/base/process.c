/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"

#define MESSAGE_MAX 1024 /* of standard error, its end */
#define STUCK_MS 1000

extern char **environ;

struct process {
	struct loop *loop;
	struct process_spec spec;
	pid_t pid;
	int pidfd, out_fd, message_fd;
	struct loop_io *pid_io, *out_io, *message_io;
	struct loop_timer *timer;
	struct buf out, message;
	bool timed_out, too_big, killed;
	bool over; /* done was called, or must not be: only the reaping is left */
};

static void close_end(struct loop_io **io, int *fd)
{
	*io = loop_remove(*io);
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

static void destroy(struct process *c)
{
	close_end(&c->out_io, &c->out_fd);
	close_end(&c->message_io, &c->message_fd);
	close_end(&c->pid_io, &c->pidfd);
	loop_timer_destroy(c->timer);
	buf_finish(&c->out);
	buf_finish(&c->message);
	free(c);
}

static void kill_group(struct process *c)
{
	if (!c->spec.terminal) {
		kill(-c->pid, SIGKILL);
	}
	kill(c->pid, SIGKILL); /* not reaped yet: the number is still its own */
	c->killed = true;
}

/* Output */

static void take_out(struct process *c, const char *bytes, size_t n)
{
	if (!c->too_big && buf_add(&c->out, bytes, n) < 0) {
		c->too_big = true;
		kill_group(c);
	}
}

static void take_message(struct process *c, const char *bytes, size_t n)
{
	if (c->message.len + n > MESSAGE_MAX) {
		buf_drop(&c->message, c->message.len + n - MESSAGE_MAX);
	}
	buf_add(&c->message, bytes + (n > MESSAGE_MAX ? n - MESSAGE_MAX : 0),
		MIN(n, (size_t)MESSAGE_MAX));
}

/* One part that lies ready. False: nothing, or the end. */
static bool read_part(struct process *c, int fd)
{
	char part[4096];
	ssize_t n = read(fd, part, sizeof(part));

	if (n <= 0) {
		return n < 0 && errno == EINTR;
	}
	if (fd == c->out_fd) {
		take_out(c, part, (size_t)n);
	} else {
		take_message(c, part, (size_t)n);
	}
	return true;
}

static void on_pipe(void *ctx, int fd, uint32_t events attr_unused)
{
	struct process *c = ctx;

	errno = 0;
	if (!read_part(c, fd) && errno != EAGAIN) {
		if (fd == c->out_fd) {
			close_end(&c->out_io, &c->out_fd);
		} else {
			close_end(&c->message_io, &c->message_fd);
		}
	}
}

/* A grandchild may hold the pipe open for ever: only what lies in it now is read. */
static void drain(struct process *c)
{
	size_t left = c->spec.max_out + 64 * KiB;

	while (c->out_fd >= 0 && left && read_part(c, c->out_fd)) {
		left -= MIN(left, (size_t)4096);
	}
	for (int i = 0; c->message_fd >= 0 && i < 16 && read_part(c, c->message_fd); i++) {
	}
}

/* The end */

static void finish(struct process *c, int status, bool stuck)
{
	struct process_result r = {
		.status = status,
		.timed_out = c->timed_out,
		.too_big = c->too_big,
		.stuck = stuck,
	};

	drain(c);
	r.too_big = c->too_big;
	r.out = buf_text(&c->out);
	r.length = c->out.len;
	r.message = buf_text(&c->message);
	c->over = true;
	c->spec.done(c->spec.ctx, &r);
}

/* Whether it has ended; then c is gone. */
static bool reap(struct process *c)
{
	void (*ended)(void *ctx) = c->spec.ended;
	void *ctx = c->spec.ctx;
	siginfo_t info = {0};
	bool late = c->over;

	if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG) < 0 || !info.si_pid) {
		return false;
	}
	if (!late) {
		finish(c, info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status,
		       false);
	}
	destroy(c);
	if (late && ended) {
		ended(ctx);
	}
	return true;
}

static void on_exit_(void *ctx, int fd attr_unused, uint32_t events attr_unused)
{
	reap(ctx);
}

/* Without a pidfd nothing but the timer notices the end. */
static void look_later(struct process *c)
{
	loop_timer_set(c->timer, c->pid_io ? INT64_MAX : loop_now(c->loop) + STUCK_MS);
}

static void on_deadline(void *ctx)
{
	struct process *c = ctx;

	if (reap(c)) {
		return;
	}
	if (!c->killed) {
		c->timed_out = true;
		kill_group(c);
		loop_timer_set(c->timer, loop_now(c->loop) + STUCK_MS);
		return;
	}
	if (!c->over) {
		finish(c, -1, true);
		close_end(&c->out_io, &c->out_fd);
		close_end(&c->message_io, &c->message_fd);
	}
	look_later(c);
}

void process_end(struct process *c)
{
	if (!c->killed) {
		kill_group(c);
		loop_timer_set(c->timer, loop_now(c->loop) + STUCK_MS);
	}
}

struct process *process_kill(struct process *c)
{
	if (c) {
		c->spec.ended = NULL;
	}
	if (c && !c->over) {
		c->over = true;
		kill_group(c);
		close_end(&c->out_io, &c->out_fd);
		close_end(&c->message_io, &c->message_fd);
		look_later(c);
	}
	return NULL;
}

/* The start */

struct ends {
	int out[2], message[2];
};

static void close_ends(struct ends *e)
{
	close_p(&e->out[0]), close_p(&e->out[1]), close_p(&e->message[0]), close_p(&e->message[1]);
}

static int spawn(const struct process_spec *s, const struct ends *e, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, (short)(flags | (s->terminal ? 0 : POSIX_SPAWN_SETPGROUP)));
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, e->out[1], STDOUT_FILENO);
	if (!s->terminal) {
		posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
		posix_spawn_file_actions_adddup2(&files, e->message[1], STDERR_FILENO);
	}
	error = posix_spawnp(ret, s->argv[0], &files, &attr, s->argv,
			     s->environ ? s->environ : environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return error;
}

/* The lowest kept descriptor from `from` on, or -1. */
static int next_kept(const struct process_spec *s, int from)
{
	int next = -1;

	for (size_t i = 0; i < s->n_keep; i++) {
		if (s->keep[i] >= from && (next < 0 || s->keep[i] < next)) {
			next = s->keep[i];
		}
	}
	return next;
}

/* Output becomes 1, the message 2; 0 must not stay free, or a file that is opened later gets it. */
static int only_its_own(const struct process_spec *s, const struct ends *e)
{
	int from = STDERR_FILENO + 1;

	if (dup2(e->out[1], STDOUT_FILENO) < 0 || dup2(e->message[1], STDERR_FILENO) < 0) {
		return -1;
	}
	for (int kept; (kept = next_kept(s, from)) >= 0; from = kept + 1) {
		if (kept > from && close_range((unsigned)from, (unsigned)kept - 1, 0) < 0) {
			return -1;
		}
	}
	if (close_range((unsigned)from, UINT_MAX, 0) < 0) {
		return -1;
	}
	close(STDIN_FILENO);
	return open("/dev/null", O_RDONLY); /* the lowest free one: 0 */
}

_Noreturn static void run_forked(const struct process_spec *s, const struct ends *e)
{
	sigset_t none;

	setpgid(0, 0);
	for (int i = 1; i < NSIG; i++) {
		signal(i, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (only_its_own(s, e) < 0) {
		dprintf(STDERR_FILENO, "%s: its descriptors: %s\n", s->name, strerror(errno));
		_exit(127);
	}
	_exit(s->run(s->ctx, STDOUT_FILENO));
}

int process_say(int out, const char *bytes, size_t n)
{
	while (n) {
		ssize_t said = write(out, bytes, n);

		if (said < 0 && errno != EINTR) {
			return -1;
		}
		bytes += MAX(said, 0);
		n -= (size_t)MAX(said, 0);
	}
	return 0;
}

static int fork_run(const struct process_spec *s, const struct ends *e, pid_t *ret)
{
	pid_t pid = fork();

	if (pid < 0) {
		return errno;
	}
	if (pid == 0) {
		run_forked(s, e);
	}
	setpgid(pid, pid); /* also here: whichever comes first, a kill reaches the group */
	*ret = pid;
	return 0;
}

static struct loop_io *watch(struct process *c, int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return loop_add(c->loop, fd, EPOLLIN, on_pipe, c, c->spec.name);
}

struct process *process_start(struct loop *l, const struct process_spec *spec, struct err *err)
{
	const char *what = spec->run ? spec->name : spec->argv[0];
	attr_cleanup(close_ends) struct ends e = {{-1, -1}, {-1, -1}};
	struct process *c;
	pid_t pid;
	int error;

	if (pipe2(e.out, O_CLOEXEC) < 0 || pipe2(e.message, O_CLOEXEC) < 0) {
		err_set(err, "%s cannot be started: %s", what, strerror(errno));
		return NULL;
	}
	error = spec->run ? fork_run(spec, &e, &pid) : spawn(spec, &e, &pid);
	if (error) {
		err_set(err,
			error == ENOENT ? "%s is not installed, or not in PATH (%s)"
					: "%s cannot be started: %s",
			what, strerror(error));
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	*c = (struct process){.loop = l,
			      .spec = *spec,
			      .pid = pid,
			      .out_fd = e.out[0],
			      .message_fd = e.message[0]};
	e.out[0] = e.message[0] = -1;
	buf_init(&c->out, spec->max_out);
	buf_init(&c->message, 2 * MESSAGE_MAX);
	c->pidfd = pidfd_open(pid, 0); /* cannot fail for a child of ours but for lack of
					  descriptors: then the deadline ends it */
	c->pid_io = c->pidfd < 0 ? NULL : loop_add(l, c->pidfd, EPOLLIN, on_exit_, c, spec->name);
	c->out_io = watch(c, c->out_fd);
	c->message_io = watch(c, c->message_fd);
	c->timer = loop_timer_create(l, on_deadline, c, spec->name);
	loop_timer_set(c->timer, loop_now(l) + spec->timeout_ms);
	return c;
}
