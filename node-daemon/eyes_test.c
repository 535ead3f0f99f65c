/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the eyes: here, of others who behave as badly as can be, and of the ones of observe.h. */
#include "node-daemon/eyes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/test.h"
#include "node-daemon/fakenvml_test.h"
#include "node-daemon/observe.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/users.h"

#define GOOD                                                                                       \
	"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"users\":\"none\"},"                        \
	"{\"id\":\"0000:42:00.0\",\"users\":\"some\",\"who\":\"process 7 (x)\"}]}\n"

static struct loop *loop;
static struct tree tree = {.fd = -1}; /* /sys, /proc, and where the socket lies */
static char *path;
static char told[2048];
static int left;

static struct eyes_function functions[2] = {{0x4100, "amdgpu"}, {0x4200, "amdgpu"}};
static struct eyes_unit units[2] = {{0x4100, 1, {&functions[0], 1}},
				    {0x4200, 2, {&functions[1], 1}}};
static const struct eyes_question question = {units, 2};

static void on_answer(attr_unused void *ctx, const struct eyes_answer *answer)
{
	static const char *const words[] = {"unknown", "none", "some"};

	list_each(u, &answer->units) {
		size_t n = strlen(told);

		snprintf(told + n, sizeof(told) - n, "%x %s %s; ", (unsigned)u->id, words[u->users],
			 u->who);
	}
	if (--left == 0) {
		loop_stop(loop);
	}
}

static void begin(void)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	loop = loop_create();
	tree = tree_make("dir eyes\n");
	path = xprintf("%s/eyes/sock", tree.root);
	told[0] = '\0';
}

static void end(void)
{
	siginfo_t child;

	/* Children that were left behind are reaped by the loop; a traced one not before its tracer ends. */
	for (int i = 0; i < 500 && waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
	     i++) {
		loop_turn(loop, 10);
		usleep(10000);
	}
	loop = loop_destroy(loop);
	free(take(path));
	tree_remove(&tree);
}

static struct eyes *eyes_at(const char *socket, int (*run)(void *, int))
{
	return eyes_create(&(struct eyes_settings){
		.loop = loop, .socket = socket, .sys = tree.fd, .proc = tree.fd, .run = run});
}

static void ask(struct eyes *e, int64_t deadline_ms)
{
	left = 1;
	told[0] = '\0';
	eyes_ask(e, &question, deadline_ms, on_answer, NULL);
	is_str(told, "");
	loop_run(loop);
}

/* --- others who answer --------------------------------------------------------------------- */

static struct {
	int fd, caller;
	struct loop_io *io, *caller_io;
	const char *says; /* NULL: nothing, ever; "": it hangs up */
	size_t n;
} other;

static void on_other_question(attr_unused void *ctx, int fd, attr_unused uint32_t events)
{
	char bytes[4096];

	if (recv(fd, bytes, sizeof(bytes), 0) > 0 && other.says) {
		if (other.n) {
			(void)!send(fd, other.says, other.n, MSG_NOSIGNAL);
		}
		shutdown(fd, SHUT_RDWR);
	}
	other.caller_io = loop_remove(other.caller_io);
}

static void on_other_caller(attr_unused void *ctx, int fd, attr_unused uint32_t events)
{
	other.caller = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	other.caller_io = loop_add(loop, other.caller, EPOLLIN, on_other_question, NULL, "other");
}

static void other_begins(const char *says, size_t n)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memcpy(at.sun_path, path, strlen(path));
	unlink(path);
	other.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ok(bind(other.fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	ok(listen(other.fd, 8) == 0);
	other.io = loop_add(loop, other.fd, EPOLLIN, on_other_caller, NULL, "other");
	other.caller = -1;
	other.says = says;
	other.n = n;
}

static void other_ends(void)
{
	if (other.caller_io) {
		other.caller_io = loop_remove(other.caller_io);
	}
	other.io = loop_remove(other.io);
	close(other.fd);
	if (other.caller >= 0) {
		close(other.caller);
	}
}

/* --- tests --------------------------------------------------------------------------------- */

static void whatever_goes_wrong_is_unknown(void)
{
	static const char half[] =
		"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"users\":\"none\"";
	static char endless[EYES_MAX_LINE + 1];
	static const struct {
		const char *says;
		size_t n;
		const char *want;
	} rows[] = {
		{GOOD, sizeof(GOOD) - 1, "4100 none ; 4200 some process 7 (x); "},
		{NULL, 0,
		 "4100 unknown PATH: no answer within 100 ms; 4200 unknown PATH: no answer"},
		{"", 0,
		 "4100 unknown PATH: it hung up without an answer; 4200 unknown PATH: it hung"},
		{"garbage\n", 8, "4100 unknown the answer cannot be read: "},
		{half, sizeof(half) - 1,
		 "4100 unknown the answer cannot be read: it is not one whole line; 4200 unknown"},
		{"{\"v\":2}\n", 8,
		 "4100 unknown the answer cannot be read: it is of version 2, and this program"},
		{"{\"v\":1}\n", 8,
		 "4100 unknown the answer does not name it, or twice; 4200 unknown"},
		{endless, sizeof(endless), "4100 unknown the answer cannot be read: it is not one"},
	};

	begin();
	memset(endless, ' ', sizeof(endless));
	endless[sizeof(endless) - 1] = '\n';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct eyes *e = eyes_at(path, NULL);
		auto_free char *shown = NULL;
		char *at;

		other_begins(rows[i].says, rows[i].n);
		ask(e, 100);
		shown = xstrdup(told);
		while ((at = strstr(shown, path))) {
			char *more =
				xprintf("%.*sPATH%s", (int)(at - shown), shown, at + strlen(path));

			free(shown);
			shown = more;
		}
		has(shown, rows[i].want);
		eyes_destroy(e);
		other_ends();
	}
	end();
}

static void nobody_there_is_unknown(void)
{
	char longer[200];
	struct eyes *e;

	begin();
	e = eyes_at(path, NULL);
	ask(e, 5000);
	has(told,
	    "eyes/sock: No such file or directory; does vmgpu-node observe run?; 4200 unknown");
	other_begins("", 0);
	other_ends(); /* its socket stays */
	ask(e, 5000);
	has(told, "eyes/sock: Connection refused; does vmgpu-node observe run?");
	eyes_destroy(e);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	e = eyes_at(longer, NULL);
	ask(e, 5000);
	has(told, ": the path is longer than 107 bytes");
	eyes_destroy(e);
	end();
}

static int say_good(attr_unused void *job, int out)
{
	return write(out, GOOD, sizeof(GOOD) - 1) < 0;
}
static int say_half(attr_unused void *job, int out)
{
	return write(out, GOOD, sizeof(GOOD) - 2) < 0;
}
static int fail(attr_unused void *job, attr_unused int out)
{
	return 3;
}
static int hang(attr_unused void *job, attr_unused int out)
{
	return pause();
}
static int flood(attr_unused void *job, int out)
{
	char bytes[4096] = {0};

	while (write(out, bytes, sizeof(bytes)) > 0) {
	}
	return 0;
}

static void looks_here_in_a_child(void)
{
	static const struct {
		int (*run)(void *, int);
		const char *want;
	} rows[] = {
		{say_good, "4100 none ; 4200 some process 7 (x); "},
		{say_half, "4100 unknown the answer cannot be read: it is not one whole line"},
		{fail, "4100 unknown looking failed with 3: it said nothing"},
		{hang,
		 "4100 unknown looking at the processes of this machine takes too long: one of"},
		{flood, "4100 unknown looking failed with "},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct eyes *e = eyes_at("", rows[i].run);

		ask(e, 200);
		has(told, rows[i].want);
		eyes_destroy(e);
	}
	end();
}

static void who_asks_too_often_is_not_answered(void)
{
	struct eyes *e;

	begin();
	e = eyes_at("", hang);
	for (int i = 0; i < EYES_AT_ONCE; i++) {
		eyes_ask(e, &question, 60000, on_answer, NULL);
	}
	ask(e, 60000);
	has(told, "4100 unknown it was asked too often at once");
	told[0] = '\0';
	eyes_destroy(e); /* and nobody of the others is told anything */
	for (int i = 0; i < 5; i++) {
		loop_turn(loop, 10);
	}
	is_str(told, "");
	end();
}

/* As in process_test.c: until its tracer has gone nobody is told of its end. */
static int be_traced(attr_unused void *job, attr_unused int out)
{
	int ready[2];
	char byte = 'n';

	if (pipe(ready) < 0) {
		return 1;
	}
	if (fork() == 0) {
		setsid();
		byte = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? 'y' : 'n';
		(void)!write(ready[1], &byte, 1);
		sleep(2);
		_exit(0);
	}
	(void)!read(ready[0], &byte, 1);
	return byte == 'y' ? pause() : 7;
}

/* It is told at once, and counts until it ends: no more and more of them hang. */
static void a_look_that_hangs_counts_until_it_ends(void)
{
	struct eyes *e;
	int64_t from;

	begin();
	e = eyes_at("", be_traced);
	left = EYES_AT_ONCE;
	told[0] = '\0';
	for (int i = 0; i < EYES_AT_ONCE; i++) {
		eyes_ask(e, &question, 100, on_answer, NULL);
	}
	loop_run(loop);
	if (strstr(told, "failed with 7")) {
		eyes_destroy(e);
		end();
		test_skip("no process may trace another here");
	}
	has(told, "4100 unknown looking at the processes of this machine takes too long: one of");
	ask(e, 100);
	has(told,
	    "4100 unknown it was asked too often at once, or looks before hang in the kernel");
	from = loop_now(loop);
	while (strstr(told, "asked too often") && loop_now(loop) - from < 20000) {
		loop_turn(loop, 50);
		ask(e, 100); /* until the tracers end */
	}
	has(told, "4100 unknown looking at the processes of this machine takes too long: one of");
	eyes_destroy(e);
	end();
}

/* --- observe ------------------------------------------------------------------------------- */

static struct observe *observe_reading(int (*run)(void *, int), const char *nvml)
{
	struct err err;
	struct observe *o = observe_create(&(struct observe_settings){.loop = loop,
								      .socket = path,
								      .sys = tree.fd,
								      .proc = tree.fd,
								      .run = run,
								      .nvml = nvml},
					   &err);

	ok(o);
	return o;
}

static struct observe *observe_with(int (*run)(void *, int))
{
	return observe_reading(run, "/nowhere/libnvidia-ml.so.1");
}

static void observe_answers(void)
{
	struct observe *o;
	struct eyes *e;
	struct stat st;

	begin();
	o = observe_with(say_good);
	ok(stat(path, &st) == 0);
	is_int(st.st_mode & 0777, 0600);
	e = eyes_at(path, NULL);
	ask(e, 5000);
	is_str(told, "4100 none ; 4200 some process 7 (x); ");
	left = 3;
	told[0] = '\0';
	for (int i = 0; i < 3; i++) { /* at once */
		eyes_ask(e, &question, 5000, on_answer, NULL);
	}
	loop_run(loop);
	is_str(told, "4100 none ; 4200 some process 7 (x); 4100 none ; 4200 some process 7 (x); "
		     "4100 none ; 4200 some process 7 (x); ");
	observe_destroy(o);
	ok(stat(path, &st) < 0);
	o = observe_with(fail);
	ask(e, 5000);
	has(told, "4100 unknown looking failed with 3");
	observe_destroy(observe_with(fail)); /* another one takes its place */
	observe_destroy(o);
	eyes_destroy(e);
	end();
}

static int connect_raw(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, path, strlen(path));
	ok(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++) {
		loop_turn(loop, 10);
	}
}

/* Who asks badly is hung up on, who hangs up is forgotten, and others are answered all the while. */
static void observe_bears_bad_callers(void)
{
	static const char asks[] = "{\"v\":1,\"units\":[]}\n";
	int fds[OBSERVE_AT_ONCE];
	struct observe *o;
	struct eyes *e;
	char byte;

	begin();
	o = observe_with(say_good);
	e = eyes_at(path, NULL);
	fds[0] = connect_raw();
	(void)!send(fds[0], "garbage\n", 8, 0);
	turns(5);
	is_int(recv(fds[0], &byte, 1, 0), 0);
	close(fds[0]);
	fds[0] = connect_raw();
	(void)!send(fds[0], asks, sizeof(asks) - 1, 0);
	close(fds[0]); /* does not wait for its answer */
	turns(20);
	for (int i = 0; i < OBSERVE_AT_ONCE; i++) {
		fds[i] = connect_raw(); /* and say nothing */
	}
	turns(20);
	ask(e, 5000);
	has(told, "4100 unknown ");
	has(told, "eyes/sock: it hung up without an answer");
	for (int i = 0; i < 400 && recv(fds[0], &byte, 1, 0) != 0; i++) {
		loop_turn(loop, 10); /* OBSERVE_PATIENCE_MS */
	}
	turns(5);
	ask(e, 5000);
	has(told, "4100 none ; ");
	for (int i = 0; i < OBSERVE_AT_ONCE; i++) {
		close(fds[i]);
	}
	eyes_destroy(e);
	observe_destroy(o);
	end();
}

static void observe_ends_while_it_looks(void)
{
	struct observe *o;
	struct eyes *e;

	begin();
	o = observe_with(hang);
	e = eyes_at(path, NULL);
	told[0] = '\0';
	left = 1;
	eyes_ask(e, &question, 5000, on_answer, NULL);
	turns(10);
	is_str(told, "");
	observe_destroy(o);
	loop_run(loop);
	has(told, "it hung up without an answer");
	eyes_destroy(e);
	end();
}

static void observe_needs_a_socket(void)
{
	auto_free char *far = NULL;
	struct err err;

	begin();
	far = xprintf("%s/a/b/sock", tree.root);
	ok(!observe_create(
		&(struct observe_settings){
			.loop = loop, .socket = far, .sys = tree.fd, .proc = tree.fd, .nvml = "x"},
		&err));
	has(err.text, "a/b/sock: No such file or directory; its folder must be there and writable");
	end();
}

/* All of it: a made machine, a process that holds one of two cards, asked over the socket. */
static void the_whole_way(void)
{
	struct observe *o;
	struct eyes *e;

	begin();
	tree_add(&tree,
		 "device 0000:41:00.0 id=1002:740f class=038000 group=1 driver=amdgpu\n"
		 "dir devices/pci0000:41/0000:41:00.0/drm/renderD128\n"
		 "  dev = 1:3\n"
		 "device 0000:42:00.0 id=1002:740f class=038000 group=2 driver=amdgpu\n"
		 "dir devices/pci0000:42/0000:42:00.0/drm/renderD129\n"
		 "  dev = 1:5\n"
		 "dir self/ns\n  pid -> pid:[4026531836]\n"
		 "dir 1/fd\n  0 -> /dev/null\ndir 1\n  comm = Xorg\n  maps = \ndir 1/task\n");
	o = observe_with(NULL);
	e = eyes_at(path, NULL);
	ask(e, 10000);
	has(told, "4100 some process 1 (Xorg), a display server: ");
	has(told, "; 4200 none ; ");
	eyes_destroy(e);
	e = eyes_at(NULL, NULL);
	ask(e, 10000);
	has(told, "4100 some process 1 (Xorg), a display server: ");
	eyes_destroy(e);
	observe_destroy(o);
	end();
}

/* --- cards --------------------------------------------------------------------------------- */

static char card[512];
static int readings;

static void on_reading(attr_unused void *ctx, const struct reading *r)
{
	readings++;
	snprintf(card, sizeof(card), "%d %zu %s", (int)r->state, r->cards.n, r->why);
	loop_stop(loop);
}

static void read_later(struct eyes *e)
{
	static uint64_t at[] = {0x4100};

	eyes_read(e, &(struct reading_question){at, 1}, EYES_READ_MS, on_reading, NULL);
}

static void read_card(struct eyes *e)
{
	readings = 0;
	read_later(e);
	is_int(readings, 0);
	loop_run(loop);
	is_int(readings, 1);
}

static void cards_are_read(void)
{
	auto_free char *library = fakenvml_path("fakenvml");
	struct observe *o;
	struct eyes *e;

	begin();
	fakenvml_says(FAKENVML_VERSIONS FAKENVML_CARD);
	o = observe_reading(say_good, library);
	e = eyes_at(path, NULL);
	read_card(e);
	is_str(card, "1 1 ");
	ask(e, 5000); /* of cards that are on no driver of NVIDIA's */
	is_str(told, "4100 none ; 4200 some process 7 (x); ");
	read_card(e);
	is_str(card, "1 1 ");
	observe_destroy(o);
	o = observe_with(say_good);
	read_card(e);
	has(card, "2 0 /nowhere/libnvidia-ml.so.1: ");
	observe_destroy(o);
	read_card(e);
	has(card, "0 0 ");
	has(card, "does vmgpu-node observe run?");
	eyes_destroy(e);
	e = eyes_at("", say_good);
	read_card(e);
	has(card, "0 0 cards are read by vmgpu-node observe alone");
	eyes_destroy(e);
	fakenvml_forget();
	end();
}

static void eyes_of_before_read_no_cards(void)
{
	struct eyes *e;

	begin();
	e = eyes_at(path, NULL);
	other_begins("{\"v\":1,\"versions\":[]}\n", 22);
	read_card(e);
	is_str(card, "0 0 ");
	other_ends();
	eyes_destroy(e);
	end();
}

/* The library hangs, with the card open: who uses units is answered as without it. */
static void a_hanging_library_stops_nobody(void)
{
	auto_free char *library = fakenvml_path("fakenvml");
	struct observe *o;
	struct eyes *e;

	begin();
	fakenvml_says("hang Init_v2\n");
	o = observe_reading(say_good, library);
	e = eyes_at(path, NULL);
	readings = 0;
	read_later(e);
	turns(20);
	is_int(readings, 0);
	ask(e, 1000);
	while (left || !readings) {
		loop_run(loop);
	}
	is_str(told, "4100 none ; 4200 some process 7 (x); ");
	is_str(card, "0 0 it is being looked who uses cards");
	observe_destroy(o);
	eyes_destroy(e);
	fakenvml_forget();
	end();
}

/* A reading may not even begin while it is looked, nor when a card may be taken from its driver now. */
static void no_reading_near_a_look(void)
{
	auto_free char *library = fakenvml_path("fakenvml");
	struct observe *o;
	struct eyes *e;

	begin();
	fakenvml_says(FAKENVML_VERSIONS FAKENVML_CARD);
	o = observe_reading(hang, library);
	e = eyes_at(path, NULL);
	left = 1;
	eyes_ask(e, &question, 5000, on_answer, NULL);
	turns(10);
	read_card(e);
	is_str(card, "0 0 it is being looked who uses cards");
	observe_destroy(o);
	while (left) {
		loop_run(loop);
	}
	o = observe_reading(say_good, library);
	functions[1].driver = "nvidia"; /* in use: nobody takes it */
	ask(e, 5000);
	read_card(e);
	is_str(card, "1 1 ");
	functions[0].driver = "nvidia";
	functions[0].vgpus = true; /* its vGPUs were meant */
	ask(e, 5000);
	read_card(e);
	is_str(card, "1 1 ");
	functions[0].vgpus = false;
	ask(e, 5000);
	functions[0].driver = functions[1].driver = "amdgpu";
	read_card(e);
	is_str(card, "0 0 a card may be about to leave its driver");
	observe_destroy(o);
	eyes_destroy(e);
	fakenvml_forget();
	end();
}

TESTS({"whatever goes wrong, nothing is known, and why", whatever_goes_wrong_is_unknown},
      {"where nobody is, nothing is known", nobody_there_is_unknown},
      {"without a socket a child looks", looks_here_in_a_child},
      {"there are not more questions than can be borne", who_asks_too_often_is_not_answered},
      {"a look that hangs counts until it ends", a_look_that_hangs_counts_until_it_ends},
      {"observe answers, and others at the same time", observe_answers},
      {"observe bears bad callers", observe_bears_bad_callers},
      {"observe ends while it looks", observe_ends_while_it_looks},
      {"observe needs a place for its socket", observe_needs_a_socket},
      {"from the machine to who asks", the_whole_way}, {"cards are read", cards_are_read},
      {"eyes of before read no cards", eyes_of_before_read_no_cards},
      {"a hanging library stops nobody", a_hanging_library_stops_nobody},
      {"there is no reading near a look", no_reading_near_a_look})
