/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo.c: a device plugin with made-up devices on node-daemon's plugin_io, to be held against
 * kubelets that others wrote (e2e/tools/nodekit/grpcwire). Nothing of it ships.
 *
 *	echo FOLDER RESOURCE N		N devices, registered at FOLDER/kubelet.sock whenever that is there
 *
 * Device ids are d0, d1, ...; Allocate of "refuse" is refused, of "hang" never answered. It obeys
 * lines on standard input, and ends with it:
 *
 *	list N		a new list
 *	withdraw	offers nothing
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
#include "node-daemon/plugin_io.h"

#define IDS_MAX (256 * KiB)
#define PODS_MAX (4 * MiB)

static struct loop *loop;
static struct plugin_io *io;
static int folder;
static const char *resource;

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

/* --- what is offered ----------------------------------------------------------------------- */

static void offer(size_t n)
{
	auto_free struct dpapi_device *list = xcalloc(n, sizeof(*list));
	auto_free char(*ids)[24] = xcalloc(n, sizeof(*ids));
	const struct plugin_offer o = {.resource = resource, .devices = {list, n}};

	for (size_t i = 0; i < n; i++) {
		snprintf(ids[i], sizeof(ids[i]), "d%zu", i);
		list[i] = (struct dpapi_device){ids[i], i % 3 != 2, (int64_t)(i % 4) - 1};
	}
	plugin_io_offers(io, &o, 1);
}

/* --- what the kubelet asks ----------------------------------------------------------------- */

static void on_gone(void *ctx attr_unused, struct grpc_call *c attr_unused)
{
	say("gone");
}

static void on_lost(void *ctx attr_unused)
{
	say("lost");
}

static void grant(struct grpc_call *c, const struct dpapi_asks *asks, struct arena *a)
{
	struct dpapi_grant *grants = arena_array(a, struct dpapi_grant, asks->n);
	static struct dpapi_file files[] = {{"/dev/vfio/vfio", "mrw"}, {"/dev/vfio/1", "mrw"}};
	auto_buf struct buf b;

	for (size_t i = 0; i < asks->n; i++) {
		auto_buf struct buf ids;
		struct dpapi_variable *v = arena_new(a, struct dpapi_variable);

		buf_init(&ids, IDS_MAX);
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

static void on_allocate(void *ctx attr_unused, const char *of attr_unused, struct grpc_call *c,
			const void *m, size_t n)
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
static void on_preferred(void *ctx attr_unused, const char *of attr_unused, struct grpc_call *c,
			 const void *m, size_t n)
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

/* --- what is asked of it ------------------------------------------------------------------- */

static void on_pods(void *ctx attr_unused, const struct grpc_answer *answer)
{
	struct arena a;
	struct dpapi_holds h;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	if (answer->code != GRPC_OK) {
		say("pods %s %s", grpc_code_name(answer->code), answer->text);
	} else if (dpapi_read_pods(answer->message, answer->n, NULL, &a, &h, &err) < 0) {
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

	if (str_starts(line, "pods ")) {
		ask_pods(line + 5);
	} else if (str_starts(line, "list ") && parse_int(line + 5, 0, 1000000, &n) == 0) {
		offer((size_t)n);
	} else if (str_eq(line, "withdraw")) {
		plugin_io_offers(io, NULL, 0);
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
	struct plugin_io_settings settings = {.allocate = on_allocate,
					      .preferred = on_preferred,
					      .gone = on_gone,
					      .lost = on_lost};
	auto_buf struct buf in;
	struct loop_io *input;
	struct err err;
	int64_t n;

	if (argc != 4 || parse_int(argv[3], 0, 1000000, &n) < 0) {
		fprintf(stderr, "usage: echo FOLDER RESOURCE N\n");
		return 2;
	}
	settings.folder = argv[1];
	resource = argv[2];
	folder = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	buf_init(&in, 64 * KiB);
	loop = loop_create();
	io = plugin_io_create(loop, &settings, &err);
	if (!io) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	offer((size_t)n);
	input = loop_add(loop, STDIN_FILENO, EPOLLIN, on_input, &in, "input");
	loop_run(loop);
	loop_remove(input);
	plugin_io_destroy(io);
	loop_destroy(loop);
	close(folder);
	return 0;
}
