/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/test.h"

static struct loop *loop;
static struct process_result got;
static char out[4096], message[4096];
static int times, endings;

static void on_done(void *ctx, const struct process_result *r)
{
	got = *r;
	snprintf(out, sizeof(out), "%s", r->out);
	snprintf(message, sizeof(message), "%s", r->message);
	times++;
	loop_stop(ctx);
}

static void on_ended(void *ctx)
{
	endings++;
	loop_stop(ctx);
}

static struct process *start(const struct process_spec *spec, struct err *err)
{
	struct process_spec s = *spec;

	loop = loop ? loop : loop_create();
	s.name = "child";
	s.done = on_done;
	s.ctx = loop;
	s.timeout_ms = s.timeout_ms ? s.timeout_ms : 10000;
	s.max_out = s.max_out ? s.max_out : 2000;
	times = endings = 0;
	return process_start(loop, &s, err);
}

static void shell(const char *script, const struct process_spec *more)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct process_spec s = *more;
	struct err err = {""};

	s.argv = argv;
	if (!start(&s, &err)) {
		is_str(err.text, "no error");
	}
	loop_run(loop);
	is_int(times, 1);
}

static void output_and_exit_code_come_back(void)
{
	shell("echo out; echo err >&2; exit 3", &(struct process_spec){0});
	is_int(got.status, 3);
	is_str(out, "out\n");
	is_int(got.length, 4);
	is_str(message, "err\n");
	ok(!got.timed_out && !got.too_big && !got.stuck);
	shell("kill -9 $$", &(struct process_spec){0});
	is_int(got.status, 128 + SIGKILL);
}

static void environment_is_the_given_one(void)
{
	char *const env[] = {(char *)"ONLY=this", NULL};

	shell("echo $ONLY$HOME", &(struct process_spec){.environ = env});
	is_str(out, "this\n");
}

static void missing_program_is_a_sentence(void)
{
	char *const argv[] = {(char *)"no-such-program-here", NULL};
	struct err err;

	ok(!start(&(struct process_spec){.argv = argv}, &err));
	is_str(err.text,
	       "no-such-program-here is not installed, or not in PATH (No such file or directory)");
	{
		char *const plain[] = {(char *)"/etc/passwd", NULL};

		ok(!start(&(struct process_spec){.argv = plain}, &err));
		is_str(err.text, "/etc/passwd cannot be started: Permission denied");
	}
}

/* Gone, or a zombie that the container's first process has not reaped. */
static bool is_dead(pid_t pid)
{
	auto_free char *path = xprintf("/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	char state = 'Z';

	if (f) {
		if (fscanf(f, "%*d %*s %c", &state) != 1) {
			state = 'Z';
		}
		fclose(f);
	}
	return state == 'Z';
}

static void deadline_ends_it_with_its_group(void)
{
	int64_t begin;
	int64_t grandchild;

	loop = loop ? loop : loop_create();
	begin = loop_now(loop);
	shell("sleep 100 & echo $!; wait", &(struct process_spec){.timeout_ms = 1000});
	ok(got.timed_out && !got.stuck);
	is_int(got.status, 128 + SIGKILL);
	ok(loop_now(loop) - begin < 15000);
	out[strcspn(out, "\n")] = '\0';
	is_int(parse_int(out, 2, INT32_MAX, &grandchild), 0);

	for (int i = 0; i < 200 && !is_dead((pid_t)grandchild); i++) {
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	ok(is_dead((pid_t)grandchild));
}

static void grandchild_that_holds_the_pipe_delays_nothing(void)
{
	int64_t begin = loop_now(loop);

	shell("setsid sleep 3 & echo early", &(struct process_spec){0});
	is_str(out, "early\n");
	ok(loop_now(loop) - begin < 2500);
}

static void flood_is_ended(void)
{
	shell("yes", &(struct process_spec){.max_out = 3000});
	ok(got.too_big && !got.timed_out);
	ok(got.length <= 3000);
}

static void end_of_a_long_message_is_kept(void)
{
	shell("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done",
	      &(struct process_spec){0});
	has(message, "line 499\n");
	ok(strlen(message) <= 1024);
	ok(!strstr(message, "line 10\n"));
}

static int write_and_return(void *ctx attr_unused, int fd)
{
	fprintf(stderr, "from the fork");
	return write(fd, "forked", 6) == 6 ? 7 : 1;
}

static void function_runs_in_a_fork(void)
{
	struct err err;

	ok(start(&(struct process_spec){.run = write_and_return, .ended = on_ended}, &err));
	loop_run(loop);
	is_int(endings, 0);
	is_int(got.status, 7);
	is_str(out, "forked");
	is_str(message, "from the fork");
}

static void signals_are_not_blocked_in_it(void)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	shell("kill -TERM $$; echo alive", &(struct process_spec){0});
	sigprocmask(SIG_SETMASK, &old, NULL);
	is_int(got.status, 128 + SIGTERM);
	is_str(out, "");
}

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d)) {
		n++;
	}
	closedir(d);
	return n;
}

static void killed_child_calls_nothing_and_leaves_nothing(void)
{
	char *const argv[] = {(char *)"sleep", (char *)"100", NULL};
	size_t before = open_files();
	struct err err;
	struct process *c;

	c = start(&(struct process_spec){.argv = argv}, &err);
	ok(c);
	ok(!process_kill(c));
	for (int i = 0; i < 100 && open_files() > before; i++) {
		loop_turn(loop, 50);
	}
	is_int(open_files(), before);
	is_int(times, 0);
	ok(!process_kill(NULL));
}

/* Writes the descriptors that are open in it. */
static int name_descriptors(void *ctx attr_unused, int fd)
{
	for (int i = 0; i < 1024; i++) {
		if (fcntl(i, F_GETFD) >= 0) {
			dprintf(fd, "%d ", i);
		}
	}
	return fd == STDOUT_FILENO ? 0 : 1;
}

static void fork_has_only_the_descriptors_that_are_named(void)
{
	int fds[6];
	char text[64];
	const int pairs[][2] = {{0, 3}, {5, 1}, {4, 5}, {0, 1}};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = open("/dev/null", O_RDONLY);
	}
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const int keep[] = {fds[pairs[i][0]], fds[pairs[i][1]]};

		ok(start(&(struct process_spec){.run = name_descriptors, .keep = keep, .n_keep = 2},
			 &err));
		loop_run(loop);
		is_int(got.status, 0);
		snprintf(text, sizeof(text), "0 1 2 %d %d ", MIN(keep[0], keep[1]),
			 MAX(keep[0], keep[1]));
		is_str(out, text);
	}
	ok(start(&(struct process_spec){.run = name_descriptors}, &err));
	loop_run(loop);
	is_str(out, "0 1 2 ");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		close(fds[i]);
	}
}

static int read_input(void *ctx attr_unused, int fd)
{
	char byte;

	return read(STDIN_FILENO, &byte, 1) == 0 && write(fd, "end", 3) == 3 ? 0 : 1;
}

static void input_of_a_fork_is_empty(void)
{
	int input = dup(STDIN_FILENO), ends[2];
	struct err err;

	ok(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == 0);
	ok(start(&(struct process_spec){.run = read_input, .timeout_ms = 3000}, &err));
	dup2(input, STDIN_FILENO);
	close(input), close(ends[0]), close(ends[1]);
	loop_run(loop);
	is_int(got.status, 0);
	is_str(out, "end");
}

/*
 * A process that SIGKILL does not make go, as one that hangs in the kernel: until its tracer has
 * ended nobody else is told of its end (ptrace(2)). The tracer lives until all writing ends of the
 * pipe are closed.
 */
static int be_traced(void *ctx attr_unused, int fd)
{
	int ready[2], held = STDERR_FILENO + 1;
	char byte = 'n';

	if (pipe(ready) < 0) {
		return 1;
	}
	while (held < 1024 && (held == ready[0] || held == ready[1] || fcntl(held, F_GETFD) < 0)) {
		held++;
	}
	if (fork() == 0) {
		setsid();
		byte = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? 'y' : 'n';
		if (write(ready[1], &byte, 1) == 1) {
			(void)!read(held, &byte, 1);
		}
		_exit(0);
	}
	(void)!read(ready[0], &byte, 1);
	dprintf(fd, "%c", byte);
	return pause();
}

/* Starts one, and returns when done was called: with `stuck`. Closing *ret_hold lets it end. */
static struct process *start_stuck(const struct process_spec *more, int *ret_hold)
{
	struct process_spec s = *more;
	struct process *c;
	struct err err;
	int hold[2];

	ok(pipe2(hold, O_CLOEXEC) == 0);
	s.run = be_traced;
	s.keep = hold;
	s.n_keep = 1;
	s.timeout_ms = 200;
	c = start(&s, &err);
	ok(c);
	close(hold[0]);
	loop_run(loop);
	*ret_hold = hold[1];
	if (!str_eq(out, "y")) {
		close(hold[1]);
		test_skip("no process may trace another here");
	}
	ok(got.stuck && got.timed_out);
	is_int(got.status, -1);
	is_int(times, 1);
	return c;
}

static void end_of_a_stuck_one_is_told(void)
{
	size_t before;
	int hold;

	loop = loop ? loop : loop_create();
	before = open_files();
	start_stuck(&(struct process_spec){.ended = on_ended}, &hold);
	is_int(endings, 0);
	close(hold);
	loop_run(loop);
	is_int(endings, 1);
	is_int(times, 1); /* not done once more */
	is_int(open_files(), before);
}

static void turn_until_closed(size_t files)
{
	int64_t end = loop_now(loop) +
		      10000; /* turns may be many: its end shows before it is its parent's */

	while (open_files() > files && loop_now(loop) < end) {
		loop_turn(loop, 50);
	}
	is_int(open_files(), files);
}

static void end_of_a_stuck_one_is_not_told_to_who_gave_up(void)
{
	size_t before = open_files();
	int hold;

	process_kill(start_stuck(&(struct process_spec){.ended = on_ended}, &hold));
	close(hold);
	turn_until_closed(before);
	is_int(endings, 0);
}

/* Four descriptors are enough for the pipes, and a fifth is the pidfd. */
static struct process *start_without_pidfd(const struct process_spec *spec)
{
	struct rlimit old, few;
	struct process *c;
	struct err err;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 0;
	for (int n = 0; n < 4; few.rlim_cur++) {
		n += fcntl((int)few.rlim_cur, F_GETFD) < 0;
	}
	setrlimit(RLIMIT_NOFILE, &few);
	c = start(spec, &err);
	setrlimit(RLIMIT_NOFILE, &old);
	return c;
}

static int return_seven(void *ctx attr_unused, int fd attr_unused)
{
	return 7;
}

static int wait_for_ever(void *ctx attr_unused, int fd attr_unused)
{
	return pause();
}

static void without_a_pidfd_it_ends_at_its_deadline(void)
{
	size_t before = open_files();
	siginfo_t child;

	ok(start_without_pidfd(&(struct process_spec){.run = return_seven, .timeout_ms = 200}));
	loop_run(loop);
	is_int(got.status, 7);
	ok(!got.timed_out && !got.stuck);
	is_int(open_files(), before);
	ok(start_without_pidfd(&(struct process_spec){.run = wait_for_ever, .timeout_ms = 200}));
	loop_run(loop);
	is_int(got.status, 128 + SIGKILL);
	ok(got.timed_out && !got.stuck);
	is_int(open_files(), before);
	process_kill(start_without_pidfd(
		&(struct process_spec){.run = wait_for_ever, .timeout_ms = 200}));
	is_int(open_files(), before);
	for (int i = 0; i < 100 && waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
	     i++) {
		loop_turn(loop, 50);
	}
	ok(waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0); /* it was reaped */
	is_int(times, 0);
}

static void nothing_stays_open(void)
{
	size_t before = open_files();

	for (int i = 0; i < 20; i++) {
		shell("echo x", &(struct process_spec){0});
	}
	loop_turn(loop, 0);
	is_int(open_files(), before);
	loop = loop_destroy(loop);
}

TESTS({"output, message and exit code come back", output_and_exit_code_come_back},
      {"its environment is the given one", environment_is_the_given_one},
      {"a program that cannot be started is a sentence", missing_program_is_a_sentence},
      {"the deadline ends it with its group", deadline_ends_it_with_its_group},
      {"a grandchild that holds the pipe delays nothing",
       grandchild_that_holds_the_pipe_delays_nothing},
      {"one that writes without end is ended", flood_is_ended},
      {"of a long message the end is kept", end_of_a_long_message_is_kept},
      {"a function runs in a fork", function_runs_in_a_fork},
      {"a function has only the descriptors that are named",
       fork_has_only_the_descriptors_that_are_named},
      {"a function's input is empty", input_of_a_fork_is_empty},
      {"no signal is blocked in it", signals_are_not_blocked_in_it},
      {"a killed child calls nothing and leaves nothing",
       killed_child_calls_nothing_and_leaves_nothing},
      {"the end of a stuck one is told", end_of_a_stuck_one_is_told},
      {"the end of a stuck one is not told to who gave it up",
       end_of_a_stuck_one_is_not_told_to_who_gave_up},
      {"without a pidfd it ends at its deadline", without_a_pidfd_it_ends_at_its_deadline},
      {"nothing stays open", nothing_stays_open})
