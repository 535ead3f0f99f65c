/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_io_test.c: real sockets in a folder of their own, both ends on one loop. */
#include "node-daemon/grpc_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "node-daemon/grpc_test.h"

static struct loop *loop;
static char folder_name[40];
static int folder, entries_before;
static struct err err;
static char said[1024];

static void say(const char *what)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%s\n", what);
}

/* --- the folder ---------------------------------------------------------------------------- */

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d)) {
		n++;
	}
	closedir(d);
	return n;
}

/* Names in the folder, which go. */
static const char *names(bool remove)
{
	static char text[1024];
	DIR *d = opendir(folder_name);

	text[0] = 0;
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(text);

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..")) {
			continue;
		}
		snprintf(text + n, sizeof(text) - n, "%s ", e->d_name);
		if (remove) {
			unlinkat(folder, e->d_name, 0);
		}
	}
	closedir(d);
	return text;
}

static void begin(void)
{
	entries_before = open_files();
	said[0] = err.text[0] = 0;
	snprintf(folder_name, sizeof(folder_name), "/tmp/grpc-io-XXXXXX");
	ok(mkdtemp(folder_name));
	folder = open(folder_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(folder >= 0);
	loop = loop_create();
}

static void end(void)
{
	loop = loop_destroy(loop);
	names(true);
	close(folder);
	rmdir(folder_name);
	is_int(open_files(), entries_before);
}

#define wait_for(cond)                                                                             \
	do {                                                                                       \
		int64_t until_ = loop_now(loop) + 20000;                                           \
		while (!(cond)) {                                                                  \
			ok(loop_now(loop) < until_);                                               \
			loop_turn(loop, 100);                                                      \
		}                                                                                  \
	} while (0)

static void turns(int n)
{
	while (n--) {
		loop_turn(loop, 5);
	}
}

/* --- a plugin and a kubelet ---------------------------------------------------------------- */

static struct grpc_answer answered;
static struct buf answer_bytes;
static bool done;

static void on_answer(void *ctx, const struct grpc_answer *a)
{
	answered = *a;
	done = true;
	if (a->message) {
		buf_reset(&answer_bytes);
		buf_add(&answer_bytes, a->message, a->n);
	}
	say(grpc_code_name(a->code));
	say(a->text);
	if (ctx) {
		*(struct grpc_ask **)ctx = NULL;
	}
}

static void on_got(void *ctx attr_unused, const void *m, size_t n)
{
	auto_free char *text = xstrndup(m, n);

	say(text);
}

static struct grpc_ask *ask(const char *name, const char *path, const void *m, size_t n,
			    int64_t timeout_ms, bool stream)
{
	const struct grpc_question q = {.path = path,
					.message = m,
					.n = n,
					.timeout_ms = timeout_ms,
					.max = 4 * MiB,
					.got = stream ? on_got : NULL,
					.done = on_answer};

	done = false;
	buf_init(&answer_bytes, 4 * MiB);
	return grpc_ask(loop, folder, name, &q, &err);
}

static void on_echo(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	grpc_reply(c, m, n);
}

static struct grpc_call *kept;

static void on_keep(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		    size_t n attr_unused)
{
	kept = c;
	say("kept");
}

static void on_gone(void *ctx attr_unused, struct grpc_call *c attr_unused)
{
	kept = NULL;
	say("gone");
}

static struct grpc_listener *to_unlisten;

static void on_stop(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		    size_t n attr_unused)
{
	grpc_reply(c, "last", 4);
	to_unlisten = grpc_unlisten(to_unlisten);
}

static struct grpc_call *registering;

static void on_options(void *ctx attr_unused, const struct grpc_answer *a)
{
	is_int(a->code, GRPC_OK);
	say("the plugin has answered");
	grpc_reply(take(registering), "", 0);
}

/* As the kubelet does: it asks the plugin before it answers. */
static void on_register(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	auto_free char *endpoint = xstrndup(m, n);
	const struct grpc_question q = {.path = "/p/Options", .max = 100, .done = on_options};

	registering = c;
	ok(grpc_ask(loop, folder, endpoint, &q, &err));
}

static const struct grpc_method methods[] = {
	{"/p/Options", on_echo, NULL},
	{"/p/Keep", on_keep, on_gone},
	{"/p/Stop", on_stop, NULL},
	{"/k/Register", on_register, NULL},
	{0},
};
static size_t counted;

static void on_count(void *ctx attr_unused, size_t n)
{
	counted = n;
}

static const struct grpc_served served = {methods, NULL, 4 * MiB, on_count};

static struct grpc_listener *listen_as(const char *name)
{
	struct grpc_listener *l = grpc_listen(loop, folder, name, &served, &err);

	is_str(err.text, "");
	ok(l);
	return l;
}

/* --- tests --------------------------------------------------------------------------------- */

static void dialled_back(void)
{
	struct grpc_listener *kubelet, *plugin;
	int idle;

	begin();
	kubelet = listen_as("kubelet.sock");
	plugin = listen_as("vmgpu.sock");
	idle = open_files();
	ok(ask("kubelet.sock", "/k/Register", "vmgpu.sock", 10, 20000, false));
	wait_for(done);
	is_str(said, "the plugin has answered\nOK\n\n");
	turns(3);
	is_int(open_files(), idle); /* no connection is left */
	grpc_unlisten(plugin);
	grpc_unlisten(kubelet);
	buf_finish(&answer_bytes);
	end();
}

static void the_file(void)
{
	struct grpc_listener *l, *second;
	struct stat st;

	begin();
	l = listen_as("a.sock");
	is_str(names(false), "a.sock ");
	is_int(fstatat(folder, "a.sock", &st, 0), 0);
	is_int(st.st_mode & 07777, 0600);
	ok(!grpc_listen(loop, folder, "a.sock", &served, &err));
	is_str(err.text, "a.sock: another program listens on this socket: does a second vmgpu-node "
			 "run here?");
	err.text[0] = 0;
	unlinkat(folder, "a.sock", 0); /* the kubelet restarts */
	second = listen_as("a.sock");
	grpc_unlisten(l); /* whose file is not this one */
	is_str(names(false), "a.sock ");
	grpc_unlisten(second);
	is_str(names(false), "");
	end();
}

/* Of one that was killed: under the name, and under the hidden one. */
static void left_over(void)
{
	static const char *const rows[] = {"a.sock", ".a.sock.new"};
	struct grpc_listener *l;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", folder_name, rows[i]);
		is_int(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		close(fd);
	}
	l = listen_as("a.sock");
	ok(ask("a.sock", "/p/Options", "x", 1, 20000, false));
	wait_for(done);
	is_int(answered.code, GRPC_OK);
	grpc_unlisten(l);
	is_str(names(false), "");
	buf_finish(&answer_bytes);
	end();
}

static void nobody(void)
{
	char name[120];

	begin();
	ok(!ask("kubelet.sock", "/k/Register", "x", 1, 20000, false));
	is_str(err.text, "connecting to kubelet.sock: No such file or directory");
	memset(name, 'a', sizeof(name));
	name[119] = 0;
	ok(!ask(name, "/k/Register", "x", 1, 20000, false));
	has(err.text, "the name of a socket is too long");
	ok(!grpc_listen(loop, folder, name, &served, &err));
	has(err.text, "the name of a socket is too long");
	ok(!done);
	end();
}

static void large(void)
{
	size_t n = 3 * MiB;
	auto_free char *big = xmalloc(n);
	struct grpc_listener *l;

	memset(big, 'x', n);
	begin();
	l = listen_as("a.sock");
	ok(ask("a.sock", "/p/Options", big, n, 20000, false));
	wait_for(done);
	is_int(answer_bytes.len, n);
	ok(memcmp(answer_bytes.bytes, big, n) == 0);
	grpc_unlisten(l);
	buf_finish(&answer_bytes);
	end();
}

/* A state that comes from anywhere goes out by itself. */
static void stream(void)
{
	struct grpc_listener *l;
	struct grpc_ask *a;

	begin();
	l = listen_as("a.sock");
	a = ask("a.sock", "/p/Keep", "", 0, 0, true);
	wait_for(kept);
	grpc_send(kept, "one", 3);
	turns(4);
	grpc_send(kept, "two", 3);
	turns(4);
	is_str(said, "kept\none\ntwo\n");
	grpc_unask(a);
	turns(4);
	is_str(said, "kept\none\ntwo\ngone\n");
	is_int(counted, 0);
	a = ask("a.sock", "/p/Keep", "", 0, 0, true);
	wait_for(kept);
	grpc_unlisten(l); /* tells nobody here, but whoever listens there */
	wait_for(done);
	is_str(said, "kept\none\ntwo\ngone\nkept\nUNAVAILABLE\nthe other end closed it\n");
	end();
}

static void in_time(void)
{
	struct grpc_listener *l;

	begin();
	l = listen_as("a.sock");
	ok(ask("a.sock", "/p/Keep", "", 0, 30, false));
	wait_for(done);
	ok(answered.code == GRPC_DEADLINE_EXCEEDED);
	turns(4);
	has(said, "gone");
	grpc_unlisten(l);
	end();
}

static void stopped_inside(void)
{
	begin();
	to_unlisten = listen_as("a.sock");
	ok(ask("a.sock", "/p/Stop", "", 0, 20000, false));
	wait_for(done);
	ok(!to_unlisten);
	is_str(said, "UNAVAILABLE\nthe other end closed it\n");
	is_str(names(false), "");
	end();
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/a.sock", folder_name);
	is_int(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* One that says nothing for ever keeps nobody out, and one that has a call stays. */
static void crowd(void)
{
	int fds[GRPC_CONNECTIONS + 4];
	struct grpc_listener *l;
	struct grpc_ask *a;
	char c;

	begin();
	l = listen_as("a.sock");
	a = ask("a.sock", "/p/Keep", "", 0, 0, true);
	wait_for(kept);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial();
	}
	turns(4);
	is_int(counted, GRPC_CONNECTIONS);
	ok(kept);
	is_int(recv(fds[0], &c, 1, 0), 0); /* the oldest is closed, the youngest not */
	is_int(recv(fds[ARRAY_LEN(fds) - 1], &c, 1, 0), -1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		close(fds[i]);
	}
	turns(4);
	is_int(counted, 1);
	grpc_unask(a);
	turns(4);
	is_int(counted, 0);
	grpc_unlisten(l);
	end();
}

/* A window far larger than what the socket holds: the rest leaves when there is room. */
static void full_socket(void)
{
	size_t n = 3 * MiB, got = 0;
	auto_free char *big = xcalloc(n, 1);
	auto_buf struct buf b;
	struct grpc_listener *l;
	int fd;

	begin();
	l = listen_as("a.sock");
	fd = dial();
	buf_init(&b, KiB);
	buf_str(&b, PREFACE);
	frame(&b, SETTINGS, 0, 0, "\0\4\1\0\0\0", 6);
	frame(&b, WINDOW, 0, 0, "\1\0\0\0", 4);
	headers(&b, 0, 1, FIELDS(":method=POST", "content-type=application/grpc", ":path=/p/Keep"));
	message(&b, END_STREAM, 1, "x");
	is_int(send(fd, b.bytes, b.len, 0), b.len);
	wait_for(kept);
	grpc_reply(take(kept), big, n);
	turns(10); /* nobody reads */
	for (int i = 0; i < 1000 && got < n; i++) {
		ssize_t r = recv(fd, big, n, 0);

		got += r > 0 ? (size_t)r : 0;
		loop_turn(loop, 10);
	}
	ok(got > n && got < n + 10000);
	close(fd);
	turns(3);
	grpc_unlisten(l);
	end();
}

static void no_grpc(void)
{
	struct grpc_listener *l;
	char log[512] = "";
	int fd, out[2];

	begin();
	is_int(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	log_setup(LOG_LEVEL_INFO, out[1], NULL);
	l = listen_as("a.sock");
	fd = dial();
	is_int(send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 0), 27);
	turns(6);
	is_int(counted, 0);
	ok(read(out[0], log, sizeof(log) - 1) > 0);
	has(log, "\"msg\":\"a caller spoke no gRPC\",\"socket\":\"a.sock\",\"reason\":\"");
	close(fd);
	close(out[0]);
	close(out[1]);
	log_setup(LOG_LEVEL_INFO, STDERR_FILENO, NULL);
	grpc_unlisten(l);
	end();
}

TESTS({"the kubelet dials back before it answers, on the same loop", dialled_back},
      {"a socket's file is ours alone, stands when it is served, and goes with its own server only",
       the_file},
      {"sockets that were left over are in nobody's way", left_over},
      {"where nobody listens is an error at once", nobody},
      {"messages larger than the socket takes pass", large},
      {"a stream's states leave by themselves; both ends see the other go", stream},
      {"who gets no answer in time is told", in_time},
      {"a server may stop from within a call", stopped_inside},
      {"silent callers make room, one with a call stays", crowd},
      {"an answer that the socket does not take at once leaves when there is room", full_socket},
      {"who speaks something else is sent away, and it is said", no_grpc}, )
