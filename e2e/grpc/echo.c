/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo.c: a device plugin with made-up devices on node-daemon's gRPC, to be held against gRPC of
 * others (e2e/tools/grpcwire). Nothing of it ships.
 *
 *	echo FOLDER RESOURCE N		serves FOLDER/echo.sock, registers at FOLDER/kubelet.sock, lists N
 *
 * Device ids are d0, d1, ...; Allocate of "refuse" is refused, of "hang" never answered. It says on
 * standard output, a line each, what happens, and obeys lines on standard input:
 *
 *	register	again
 *	list N		a new list for every open ListAndWatch
 *	end		ends them, OK
 *	pods FILE	asks FOLDER/FILE for PodResources: one line "hold NS POD CONTAINER RESOURCE ID" each
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/arena.h"
#include "node-daemon/dpapi.h"
#include "node-daemon/grpc_io.h"

#define STREAMS_MAX 16
#define REQUEST_MAX (256 * KiB)
#define PODS_MAX (4 * MiB)
#define ENDPOINT "echo.sock"

static struct loop *loop;
static int folder;
static const char *resource;
static size_t n_devices;
static struct grpc_call *streams[STREAMS_MAX];

static void say(const char *format, ...) attr_printf(1, 2);
static void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* --- what the kubelet asks ----------------------------------------------------------------- */

static void send_list(struct grpc_call *c)
{
	auto_free struct dpapi_device *list = xcalloc(n_devices, sizeof(*list));
	auto_free char(*ids)[24] = xcalloc(n_devices, sizeof(*ids));
	auto_buf struct buf b;

	for (size_t i = 0; i < n_devices; i++) {
		snprintf(ids[i], sizeof(ids[i]), "d%zu", i);
		list[i] = (struct dpapi_device){ids[i], i % 3 != 2, (int64_t)(i % 4) - 1};
	}
	buf_init(&b, GRPC_SEND_MAX);
	dpapi_write_devices(&b, list, n_devices);
	grpc_send(c, buf_text(&b), b.len);
}

static void on_options(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		       size_t n attr_unused)
{
	auto_buf struct buf b;

	buf_init(&b, KiB);
	dpapi_write_options(&b, true);
	grpc_reply(c, buf_text(&b), b.len);
}

static void on_watch(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		     size_t n attr_unused)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (!streams[i]) {
			streams[i] = c;
			say("watched");
			send_list(c);
			return;
		}
	}
	grpc_end(c, GRPC_RESOURCE_EXHAUSTED, "too many streams");
}

static void on_watch_gone(void *ctx attr_unused, struct grpc_call *c)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		if (streams[i] == c) {
			streams[i] = NULL;
		}
	}
	say("watch gone");
}

static void on_call_gone(void *ctx attr_unused, struct grpc_call *c attr_unused)
{
	say("allocate gone");
}

static void grant(struct grpc_call *c, const struct dpapi_asks *asks, struct arena *a)
{
	struct dpapi_grant *grants = arena_array(a, struct dpapi_grant, asks->n);
	static struct dpapi_file files[] = {{"/dev/vfio/vfio", "mrw"}, {"/dev/vfio/1", "mrw"}};
	auto_buf struct buf b;

	for (size_t i = 0; i < asks->n; i++) {
		auto_buf struct buf ids;
		struct dpapi_variable *v = arena_new(a, struct dpapi_variable);

		buf_init(&ids, REQUEST_MAX);
		list_each(id, &asks->items[i]) {
			buf_printf(&ids, "%s%s", ids.len ? "," : "", *id);
		}
		*v = (struct dpapi_variable){"PCI_RESOURCE_ECHO", arena_strdup(a, buf_text(&ids))};
		grants[i].variables.items = v;
		grants[i].variables.n = 1;
		grants[i].files.items = files;
		grants[i].files.n = ARRAY_LEN(files);
	}
	buf_init(&b, GRPC_SEND_MAX);
	dpapi_write_grants(&b, grants, asks->n);
	grpc_reply(c, buf_text(&b), b.len);
}

static void on_allocate(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	struct arena a;
	struct dpapi_asks asks;
	const char *first = "";
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	if (dpapi_read_allocate(m, n, &a, &asks, &err) < 0) {
		grpc_end(c, GRPC_INVALID_ARGUMENT, err.text);
	} else {
		if (asks.n && asks.items[0].n) {
			first = asks.items[0].items[0];
		}
		if (str_eq(first, "refuse")) {
			grpc_end(c, GRPC_FAILED_PRECONDITION, "d1 is held by \xc3\xa9, 100%\nsure");
		} else if (!str_eq(first, "hang")) {
			grant(c, &asks, &a);
		}
	}
	arena_finish(&a);
}

/* The first so many of each container's. */
static void on_preferred(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	auto_buf struct buf b;
	struct arena a;
	struct dpapi_wishes w;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	buf_init(&b, GRPC_SEND_MAX);
	if (dpapi_read_preferred(m, n, &a, &w, &err) < 0) {
		grpc_end(c, GRPC_INVALID_ARGUMENT, err.text);
	} else {
		struct dpapi_ids *ids = arena_array(&a, struct dpapi_ids, w.n);

		for (size_t i = 0; i < w.n; i++) {
			ids[i] = w.items[i].available;
			ids[i].n = MIN(ids[i].n, (size_t)MAX(w.items[i].size, 0));
		}
		dpapi_write_preferred(&b, ids, w.n);
		grpc_reply(c, buf_text(&b), b.len);
	}
	arena_finish(&a);
}

static const struct grpc_method methods[] = {
	{DPAPI_OPTIONS, on_options, NULL},
	{DPAPI_LIST_AND_WATCH, on_watch, on_watch_gone},
	{DPAPI_ALLOCATE, on_allocate, on_call_gone},
	{DPAPI_PREFERRED, on_preferred, NULL},
	{0},
};

/* --- what is asked of it ------------------------------------------------------------------- */

static void on_registered(void *ctx attr_unused, const struct grpc_answer *a)
{
	say("registered %s %s", grpc_code_name(a->code), a->text);
}

static void register_it(void)
{
	auto_buf struct buf b;
	struct grpc_question q = {
		.path = DPAPI_REGISTER, .timeout_ms = 10000, .max = KiB, .done = on_registered};
	struct err err;

	buf_init(&b, KiB);
	dpapi_write_register(&b, ENDPOINT, resource, true);
	q.message = buf_text(&b);
	q.n = b.len;
	if (!grpc_ask(loop, folder, "kubelet.sock", &q, &err)) {
		say("not registered: %s", err.text);
	}
}

static void on_pods(void *ctx attr_unused, const struct grpc_answer *answer)
{
	struct arena a;
	struct dpapi_holds h;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	if (answer->code != GRPC_OK) {
		say("pods %s %s", grpc_code_name(answer->code), answer->text);
	} else if (dpapi_read_pods(answer->message, answer->n, &a, &h, &err) < 0) {
		say("pods %s", err.text);
	} else {
		list_each(i, &h) {
			say("hold %s %s %s %s %s", i->ns, i->pod, i->container, i->resource, i->id);
		}
		say("pods OK %zu", h.n);
	}
	arena_finish(&a);
}

static void ask_pods(const char *name)
{
	struct grpc_question q = {.path = DPAPI_PODS,
				  .message = "",
				  .timeout_ms = 2000,
				  .max = PODS_MAX,
				  .done = on_pods};
	struct err err;

	if (!grpc_ask(loop, folder, name, &q, &err)) {
		say("pods %s", err.text);
	}
}

static void obey(const char *line)
{
	int64_t n;

	if (str_eq(line, "register")) {
		register_it();
	} else if (str_starts(line, "pods ")) {
		ask_pods(line + 5);
	} else if (str_starts(line, "list ") && parse_int(line + 5, 0, 1000000, &n) == 0) {
		n_devices = (size_t)n;
		for (size_t i = 0; i < STREAMS_MAX; i++) {
			if (streams[i]) {
				send_list(streams[i]);
			}
		}
	} else if (str_eq(line, "end")) {
		for (size_t i = 0; i < STREAMS_MAX; i++) {
			if (streams[i]) {
				grpc_end(take(streams[i]), GRPC_OK, "");
			}
		}
	} else {
		say("what is %s?", line);
	}
}

static void on_input(void *ctx, int fd, uint32_t events attr_unused)
{
	struct buf *in = ctx;
	char bytes[1024];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	char *end;

	if (n <= 0) {
		loop_stop(loop);
		return;
	}
	buf_add(in, bytes, (size_t)n);
	while (in->len && (end = memchr(in->bytes, '\n', in->len))) {
		*end = 0;
		obey(in->bytes);
		buf_drop(in, (size_t)(end - in->bytes) + 1);
	}
}

int main(int argc, char **argv)
{
	const struct grpc_served served = {.methods = methods, .max_message = REQUEST_MAX};
	auto_buf struct buf in;
	struct grpc_listener *l;
	struct loop_io *io;
	int64_t n;
	struct err err;

	if (argc != 4 || parse_int(argv[3], 0, 1000000, &n) < 0) {
		fprintf(stderr, "usage: echo FOLDER RESOURCE N\n");
		return 2;
	}
	folder = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	resource = argv[2];
	n_devices = (size_t)n;
	buf_init(&in, 64 * KiB);
	loop = loop_create();
	l = grpc_listen(loop, folder, ENDPOINT, &served, &err);
	if (!l) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	io = loop_add(loop, STDIN_FILENO, EPOLLIN, on_input, &in, "input");
	register_it();
	loop_run(loop);
	loop_remove(io);
	grpc_unlisten(l);
	loop_destroy(loop);
	close(folder);
	return 0;
}
