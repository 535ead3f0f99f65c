/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/test.h"

static struct loop *loop;
static struct process_result got;
static char out[4096], message[4096];
static int times;

static void on_done(void *ctx, const struct process_result *r)
{
	got = *r;
	snprintf(out, sizeof(out), "%s", r->out);
	snprintf(message, sizeof(message), "%s", r->message);
	times++;
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
	times = 0;
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

	ok(start(&(struct process_spec){.run = write_and_return}, &err));
	loop_run(loop);
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
      {"no signal is blocked in it", signals_are_not_blocked_in_it},
      {"a killed child calls nothing and leaves nothing",
       killed_child_calls_nothing_and_leaves_nothing},
      {"nothing stays open", nothing_stays_open})
