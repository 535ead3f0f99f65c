/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_io_test.c: the plugin on real sockets, beside a kubelet that is played on the same loop. */
#include "node-daemon/plugin_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/test.h"

#define NAMES 2

static struct loop *loop;
static struct plugin_io *io;
static char folder_name[48];
static int folder;
static struct err err;
static bool prefers = true;
static const char *const names[NAMES] = {"n.com/a", "n.com/b"};

/* --- the kubelet --------------------------------------------------------------------------- */

static struct watched {
	struct grpc_ask *ask;
	struct grpc_call *registering;
	char endpoint[64];
	size_t lists, bytes; /* how many came, and how long the last is */
} watched[NAMES];
static struct grpc_listener *kubelet;
static size_t registrations, refusals;

static void on_list(void *ctx, const void *m attr_unused, size_t n)
{
	struct watched *w = ctx;

	w->lists++;
	w->bytes = n;
}

static void on_watch_end(void *ctx, const struct grpc_answer *a attr_unused)
{
	struct watched *w = ctx;

	w->ask = NULL;
}

/* client.go: Run after the answer to Register. */
static void on_options(void *ctx, const struct grpc_answer *a)
{
	struct watched *w = ctx;
	const struct grpc_question q = {.path = DPAPI_LIST_AND_WATCH,
					.message = "",
					.max = MiB,
					.got = on_list,
					.done = on_watch_end,
					.ctx = w};

	is_int(a->code, GRPC_OK);
	is_int(a->n, prefers ? 2 : 0);
	grpc_reply(take(w->registering), "", 0);
	w->lists = 0;
	w->ask = grpc_ask(loop, folder, w->endpoint, &q, &err);
	ok(w->ask);
}

/* The value of a string field of up to 127 bytes. */
static void string_field(const uint8_t *m, size_t n, int tag, char *to, size_t size)
{
	to[0] = 0;
	for (size_t i = 0; i + 1 < n; i += 2 + m[i + 1]) {
		if (m[i] == tag) {
			snprintf(to, size, "%.*s", m[i + 1], (const char *)m + i + 2);
		}
	}
}

static void on_register(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	char version[16], resource[64];
	struct watched *w;
	struct grpc_question q = {
		.path = DPAPI_OPTIONS, .message = "", .max = 100, .done = on_options};

	string_field(m, n, 0x0a, version, sizeof(version));
	string_field(m, n, 0x1a, resource, sizeof(resource));
	is_str(version, "v1beta1");
	if (str_eq(resource, "n.com/refused")) {
		refusals++;
		grpc_end(c, GRPC_UNKNOWN, "no such name");
		return;
	}
	w = &watched[str_eq(resource, names[1])];
	is_str(resource, names[w - watched]);
	ok(!w->ask); /* two streams of one resource would throw each other out */
	string_field(m, n, 0x12, w->endpoint, sizeof(w->endpoint));
	w->registering = c;
	registrations++;
	q.ctx = w;
	ok(grpc_ask(loop, folder, w->endpoint, &q, &err));
}

static const struct grpc_method kubelet_methods[] = {{DPAPI_REGISTER, on_register, NULL}, {0}};

static void kubelet_stops(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		watched[i].ask = grpc_unask(watched[i].ask);
	}
	kubelet = grpc_unlisten(kubelet);
}

static void kubelet_starts(void)
{
	const struct grpc_served s = {.methods = kubelet_methods, .max_message = KiB};

	kubelet = grpc_listen(loop, folder, "kubelet.sock", &s, &err);
	ok(kubelet);
}

/* Names in the folder; those that are sockets, or all, go. */
static const char *sweep(bool all)
{
	static char text[1024];
	DIR *d = opendir(folder_name);

	text[0] = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		size_t n = strlen(text);

		if (e->d_name[0] == '.' && !strchr(e->d_name + 1, 's')) {
			continue;
		}
		snprintf(text + n, sizeof(text) - n, "%s ", e->d_name);
		if (all) {
			unlinkat(folder, e->d_name, 0);
		}
	}
	if (d) {
		closedir(d);
	}
	return text;
}

/* --- the owner ----------------------------------------------------------------------------- */

static struct grpc_call *asked;
static char asked_of[64];
static size_t gone, lost;

static void on_allocate(void *ctx, const char *resource, struct grpc_call *c, const void *m,
			size_t n)
{
	is_str(ctx, "owner");
	snprintf(asked_of, sizeof(asked_of), "%s %.*s", resource, (int)n, (const char *)m);
	asked = c;
}

static void on_gone(void *ctx attr_unused, struct grpc_call *c)
{
	ok(c == asked);
	asked = NULL;
	gone++;
}

static size_t signs;

static void on_others(void *ctx)
{
	is_str(ctx, "owner");
	signs++;
}

static void on_lost(void *ctx attr_unused)
{
	lost++;
}

/* --- the stage ----------------------------------------------------------------------------- */

static void begin(void)
{
	const struct plugin_io_settings s = {.folder = folder_name,
					     .allocate = on_allocate,
					     .preferred = prefers ? on_allocate : NULL,
					     .gone = on_gone,
					     .lost = on_lost,
					     .others = on_others,
					     .ctx = "owner"};

	err.text[0] = 0;
	registrations = refusals = gone = lost = signs = 0;
	asked = NULL;
	memset(watched, 0, sizeof(watched));
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	snprintf(folder_name, sizeof(folder_name), "/tmp/plugin-io-XXXXXX");
	ok(mkdtemp(folder_name));
	folder = open(folder_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	loop = loop_create();
	io = plugin_io_create(loop, &s, &err);
	is_str(err.text, "");
	ok(io);
}

static void end(void)
{
	io = plugin_io_destroy(io);
	kubelet_stops();
	loop = loop_destroy(loop);
	sweep(true);
	close(folder);
	rmdir(folder_name);
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

/* 14 bytes each. */
static void offer(size_t a, size_t b)
{
	struct dpapi_device list[4] = {
		{"1", true, -1}, {"2", true, -1}, {"3", true, -1}, {"4", true, -1}};
	const struct plugin_offer offers[] = {
		{.resource = names[0], .devices = {list, a}},
		{.resource = names[1], .devices = {list, b}},
	};

	plugin_io_offers(io, offers, 2);
}

static bool listed(size_t a, size_t b)
{
	return watched[0].lists && watched[1].lists && watched[0].bytes == a * 14 &&
	       watched[1].bytes == b * 14;
}

static void begin_listed(void)
{
	begin();
	kubelet_starts();
	offer(2, 3);
	wait_for(listed(2, 3));
}

/* --- tests --------------------------------------------------------------------------------- */

static void lists(void)
{
	begin_listed();
	is_int(registrations, 2);
	offer(1, 3);
	wait_for(listed(1, 3));
	is_int(watched[0].lists, 2);
	is_int(watched[1].lists, 1); /* nothing new for that one */
	is_int(loop_turn(loop, 300), 0);
	is_int(registrations, 2);
	end();
}

static void kubelet_comes_late(void)
{
	begin();
	offer(2, 3);
	is_int(loop_turn(loop, 200), 0);
	is_str(sweep(false), "");
	kubelet_starts();
	wait_for(listed(2, 3));
	end();
}

static void kubelet_restarts(void)
{
	begin_listed();
	for (int i = 0; i < 3; i++) {
		int64_t from = loop_now(loop);

		kubelet_stops();
		turns(i * 3); /* noticed at once, or not at all meanwhile */
		sweep(true);
		memset(watched, 0, sizeof(watched));
		kubelet_starts();
		wait_for(listed(2, 3));
		ok(loop_now(loop) - from < 4000); /* nothing that polls every 5 s */
		offer(1, 1);
		wait_for(listed(1, 1));
		offer(2, 3);
		wait_for(listed(2, 3));
	}
	end();
}

/* The same inode number for the new file, on many filesystems. */
static void only_its_socket(void)
{
	begin_listed();
	for (int i = 0; i < 3; i++) {
		kubelet_stops();
		memset(watched, 0, sizeof(watched));
		kubelet_starts();
		wait_for(listed(2, 3));
		turns(3);
	}
	is_int(registrations, 8);
	end();
}

/* The old one does not let go. */
static void old_streams_hang(void)
{
	struct watched old[NAMES];

	begin_listed();
	grpc_unlisten(kubelet);
	memcpy(old, watched, sizeof(old));
	memset(watched, 0, sizeof(watched));
	for (size_t i = 0; i < NAMES; i++) {
		ok(old[i].ask);
	}
	kubelet_starts();
	wait_for(listed(2, 3));
	is_int(registrations, 4);
	end();
}

/* Files alone: nothing is to be done until the next registration. */
static void sockets_removed(void)
{
	begin_listed();
	sweep(true);
	turns(5);
	ok(watched[0].ask && watched[1].ask);
	is_int(registrations, 2);
	offer(4, 4);
	wait_for(listed(4, 4));
	kubelet_stops();
	memset(watched, 0, sizeof(watched));
	kubelet_starts();
	wait_for(listed(4, 4));
	end();
}

static void stream_ends(void)
{
	begin_listed();
	watched[0].ask = grpc_unask(watched[0].ask);
	watched[0].lists = 0;
	wait_for(listed(2, 3));
	is_int(registrations, 3);
	end();
}

static void withdrawn(void)
{
	begin_listed();
	plugin_io_offers(io, NULL, 0);
	wait_for(listed(0, 0));
	has(sweep(false), watched[0].endpoint);
	kubelet_stops();
	turns(5);
	is_str(sweep(false), "");
	end();
}

static enum grpc_code answer_code;

static void on_answer(void *ctx attr_unused, const struct grpc_answer *a)
{
	answer_code = a->code;
}

static struct grpc_ask *ask(const char *path)
{
	const struct grpc_question q = {
		.path = path, .message = "what", .n = 4, .max = KiB, .done = on_answer};

	answer_code = GRPC_DATA_LOSS;
	return grpc_ask(loop, folder, watched[1].endpoint, &q, &err);
}

static void calls(void)
{
	struct grpc_ask *a;

	begin_listed();
	ok(ask(DPAPI_ALLOCATE));
	wait_for(asked);
	is_str(asked_of, "n.com/b what");
	turns(3);
	grpc_reply(take(asked), "x", 1); /* later, from anywhere */
	wait_for(answer_code == GRPC_OK);
	ok(ask(DPAPI_PREFERRED));
	wait_for(asked);
	grpc_end(take(asked), GRPC_FAILED_PRECONDITION, "no");
	wait_for(answer_code == GRPC_FAILED_PRECONDITION);
	ok(ask(DPAPI_PRE_START));
	wait_for(answer_code == GRPC_OK);
	a = ask(DPAPI_ALLOCATE);
	wait_for(asked);
	grpc_unask(a);
	wait_for(gone);
	ok(!asked);
	end();
}

static void nothing_preferred(void)
{
	prefers = false;
	begin_listed();
	prefers = true;
	ok(ask(DPAPI_PREFERRED));
	wait_for(answer_code != GRPC_DATA_LOSS);
	is_int(answer_code, GRPC_UNIMPLEMENTED);
	end();
}

static void is_refused(void)
{
	const struct plugin_offer o = {.resource = "n.com/refused"};
	char log[2048] = "";
	int out[2];

	begin();
	is_int(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	log_setup(LOG_LEVEL_INFO, out[1], NULL);
	kubelet_starts();
	plugin_io_offers(io, &o, 1);
	wait_for(refusals);
	loop_turn(loop, 150);
	loop_turn(loop, 150);
	ok(read(out[0], log, sizeof(log) - 1) > 0);
	has(log, "\"msg\":\"the kubelet does not register a resource\",\"resource\":"
		 "\"n.com/refused\",\"reason\":\"no such name\"");
	ok(!strstr(strstr(log, "does not register") + 1, "does not register")); /* once */
	close(out[0]);
	close(out[1]);
	end();
}

/* Before the kubelet leaves, which wakes us, or after, when only the beat looks. */
static void folder_removed(void)
{
	int out[2];

	for (int after = 0; after < 2; after++) {
		begin_listed();
		is_int(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
		log_setup(LOG_LEVEL_INFO, out[1], NULL);
		if (after) {
			kubelet_stops();
		}
		sweep(true);
		turns(5);
		is_int(rmdir(folder_name), 0);
		if (after) {
			turns(5);
			is_int(lost, 0);
			plugin_io_check(io);
		} else {
			kubelet_stops();
		}
		wait_for(lost);
		turns(3);
		plugin_io_check(io);
		is_int(lost, 1);
		close(out[0]);
		close(out[1]);
		log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
		end();
	}
}

static void no_folder(void)
{
	const struct plugin_io_settings s = {.folder = "/tmp/no such folder"};

	loop = loop_create();
	ok(!plugin_io_create(loop, &s, &err));
	is_str(err.text, "/tmp/no such folder: No such file or directory: is this the kubelet's "
			 "folder, as the daemon sees it?");
	loop = loop_destroy(loop);
}

/* --- beside us ----------------------------------------------------------------------------- */

/* A plugin's socket; living or left behind. */
static int socket_at(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", folder_name, name);
	ok(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0);
	return fd;
}

static const char *others(struct arena *a)
{
	const char *text = "";
	struct dpapi_ids ids;

	plugin_io_others(io, a, &ids);
	list_each(id, &ids) {
		text = arena_printf(a, "%s%s ", text, *id);
	}
	return text;
}

static void others_are_seen(void)
{
	struct arena a;
	int living, dead;

	arena_init(&a, MiB);
	begin_listed();
	turns(3);
	is_str(others(&a), ""); /* the kubelet's and ours are none */
	signs = 0;
	living = socket_at("kubevirt-X.sock");
	wait_for(signs > 0);
	dead = socket_at("kubevirt-Y.sock");
	close(dead);
	close(openat(folder, "file.sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	is_str(others(&a), "kubevirt-X.sock ");
	turns(3);
	signs = 0;
	close(openat(folder, "kubelet_internal_checkpoint", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	wait_for(signs > 0);
	close(living);
	is_str(others(&a), "");
	end();
	arena_finish(&a);
}

static void taken(void)
{
	begin();
	plugin_io_taken(io, names, 1);
	kubelet_starts();
	offer(2, 3);
	wait_for(watched[1].lists);
	turns(3);
	is_int(registrations, 1);
	plugin_io_taken(io, NULL, 0);
	wait_for(listed(2, 3));
	end();
}

TESTS({"resources are registered and listed, and listed again when they change", lists},
      {"a kubelet that comes late is noticed, without a wake-up until then", kubelet_comes_late},
      {"a kubelet that restarts has all lists at once", kubelet_restarts},
      {"so has one of which only the socket is new", only_its_socket},
      {"so has one whose predecessor does not let go", old_streams_hang},
      {"sockets that are removed do no harm", sockets_removed},
      {"a stream that ends is followed by a registration", stream_ends},
      {"what is offered no more is emptied, and goes with the kubelet", withdrawn},
      {"calls are the owner's, to answer now, later or never", calls},
      {"where nothing is preferred the kubelet need not ask", nothing_preferred},
      {"plugins beside us are seen, and signs of them", others_are_seen},
      {"a name that is another's is not registered", taken},
      {"a refusal is said, once", is_refused},
      {"a folder that is removed is noticed", folder_removed},
      {"a folder that is not there is an error", no_folder}, )
