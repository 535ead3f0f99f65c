/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plugin_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define KUBELET "kubelet.sock"
#define CHECKPOINT "kubelet_internal_checkpoint"
#define OTHERS_MAX 1024

struct plugin_io {
	struct loop *loop;
	struct plugin_io_settings s;
	struct plugin *plugin;
	int folder, events;
	struct loop_io *watching;
	struct loop_timer *timer;
	int known;	 /* kubelet.sock itself, held so that no other file gets its inode */
	uint64_t number; /* of that: each gets the next one */
};

/* What stands behind a resource. */
struct served {
	struct plugin_io *io;
	struct plugin_resource *r;
	struct grpc_listener *listener;
	struct grpc_ask *registering;
	struct grpc_call *stream; /* the newest ListAndWatch */
};

static void turn(struct plugin_io *io);

static int64_t now_of(const struct plugin_io *io)
{
	return loop_now(io->loop);
}

/* From where nothing may be called. */
static void turn_soon(struct plugin_io *io)
{
	loop_timer_set(io->timer, 0);
}

/* --- what the kubelet asks ----------------------------------------------------------------- */

static void on_options(void *ctx, struct grpc_call *c, const void *m attr_unused,
		       size_t n attr_unused)
{
	const struct served *s = ctx;
	auto_buf struct buf b;

	buf_init(&b, KiB);
	dpapi_write_options(&b, s->io->s.preferred);
	grpc_reply(c, buf_text(&b), b.len);
}

static void on_watch(void *ctx, struct grpc_call *c, const void *m attr_unused,
		     size_t n attr_unused)
{
	struct served *s = ctx;

	s->stream = c;
	log_info("the kubelet lists the devices of a resource", log_str("resource", s->r->name));
	plugin_opened(s->r, now_of(s->io));
	turn(s->io);
}

static void on_watch_gone(void *ctx, struct grpc_call *c)
{
	struct served *s = ctx;

	if (s->stream == c) {
		s->stream = NULL;
		log_info("the kubelet has left", log_str("resource", s->r->name));
		plugin_closed(s->r, now_of(s->io));
		turn_soon(s->io);
	}
}

static void on_allocate(void *ctx, struct grpc_call *c, const void *m, size_t n)
{
	struct served *s = ctx;

	s->io->s.allocate(s->io->s.ctx, s->r->name, c, m, n);
}

static void on_preferred(void *ctx, struct grpc_call *c, const void *m, size_t n)
{
	struct served *s = ctx;

	if (s->io->s.preferred) {
		s->io->s.preferred(s->io->s.ctx, s->r->name, c, m, n);
	} else {
		grpc_end(c, GRPC_UNIMPLEMENTED, "every choice is as good as any other here");
	}
}

static void on_call_gone(void *ctx, struct grpc_call *c)
{
	struct served *s = ctx;

	s->io->s.gone(s->io->s.ctx, c);
}

/* Not asked for by our options; answered all the same. */
static void on_pre_start(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
			 size_t n attr_unused)
{
	grpc_reply(c, "", 0);
}

static const struct grpc_method methods[] = {
	{DPAPI_OPTIONS, on_options, NULL},
	{DPAPI_LIST_AND_WATCH, on_watch, on_watch_gone},
	{DPAPI_ALLOCATE, on_allocate, on_call_gone},
	{DPAPI_PREFERRED, on_preferred, on_call_gone},
	{DPAPI_PRE_START, on_pre_start, NULL},
	{0},
};

static void on_connections(void *ctx, size_t n)
{
	struct served *s = ctx;

	plugin_connections(s->r, n);
	turn_soon(s->io);
}

/* --- what the plugin wants ----------------------------------------------------------------- */

static struct served *served_of(struct plugin_io *io, struct plugin_resource *r)
{
	struct served *s = r->rim;

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->io = io;
		s->r = r;
		r->rim = s;
	}
	return s;
}

/* Calls that are open are nobody's any more. */
static void leave(struct served *s)
{
	if (s->listener) {
		grpc_break(s->listener);
	}
	s->listener = grpc_unlisten(s->listener);
}

static void served_free(struct served *s)
{
	grpc_unask(s->registering);
	grpc_unlisten(s->listener);
	s->r->rim = NULL;
	free(s);
}

/* Said once, not with each attempt. */
static void said(const struct served *s, const char *what, const char *before)
{
	if (s->r->why && !str_eq(s->r->why, before)) {
		log_warn(what, log_str("resource", s->r->name), log_str("reason", s->r->why));
	}
}

static void do_listen(struct served *s)
{
	const struct grpc_served what = {.methods = methods,
					 .ctx = s,
					 .max_message = PLUGIN_IO_REQUEST_MAX,
					 .connections = on_connections};
	auto_free char *before = s->r->why ? xstrdup(s->r->why) : NULL;
	struct err err;

	s->stream = NULL;
	leave(s);
	s->listener = grpc_listen(s->io->loop, s->io->folder, s->r->socket, &what, &err);
	plugin_listened(s->r, s->listener, s->listener ? NULL : err.text, now_of(s->io));
	said(s, "no socket for the kubelet", before);
}

static void registered(struct served *s, enum grpc_code code, const char *text)
{
	auto_free char *before = s->r->why ? xstrdup(s->r->why) : NULL;

	plugin_registered(s->r, code, text, now_of(s->io));
	said(s, "the kubelet does not register a resource", before);
}

static void on_registered(void *ctx, const struct grpc_answer *a)
{
	struct served *s = ctx;

	s->registering = NULL;
	registered(s, a->code, a->text);
	turn_soon(s->io);
}

static void do_register(struct served *s)
{
	auto_buf struct buf b;
	struct grpc_question q = {.path = DPAPI_REGISTER,
				  .timeout_ms = PLUGIN_IO_REGISTER_MS,
				  .max = KiB,
				  .done = on_registered,
				  .ctx = s};
	struct err err;

	buf_init(&b, 4 * KiB);
	dpapi_write_register(&b, s->r->socket, s->r->name, s->io->s.preferred);
	q.message = buf_text(&b);
	q.n = b.len;
	s->registering = grpc_ask(s->io->loop, s->io->folder, KUBELET, &q, &err);
	if (!s->registering) {
		registered(s, GRPC_UNAVAILABLE, err.text);
	}
}

static void carry_out(struct plugin_io *io, const struct plugin_work *w)
{
	struct served *s = served_of(io, w->resource);

	switch (w->what) {
	case PLUGIN_LISTEN:
		do_listen(s);
		break;
	case PLUGIN_REGISTER:
		do_register(s);
		break;
	case PLUGIN_SEND:
		grpc_send(s->stream, w->list, w->n);
		break;
	case PLUGIN_END:
		grpc_end(take(s->stream), GRPC_OK, "");
		break;
	case PLUGIN_UNLISTEN:
		s->stream = NULL;
		leave(s);
		served_free(s);
		break;
	case PLUGIN_WAIT:
		break;
	}
}

/* Until there is nothing to be done. What is done calls nobody back before it returns. */
static void turn(struct plugin_io *io)
{
	struct plugin_work w;
	int64_t wake;

	do {
		plugin_next(io->plugin, now_of(io), &w, &wake);
		if (w.what != PLUGIN_WAIT) {
			carry_out(io, &w);
		}
	} while (w.what != PLUGIN_WAIT);
	loop_timer_set(io->timer, wake);
}

/* --- the folder ---------------------------------------------------------------------------- */

/* Which kubelet.sock that is: events come late, and name no file. 0: none. */
static uint64_t know(struct plugin_io *io)
{
	struct stat then = {.st_ino = 0}, st;
	int fd = openat(io->folder, KUBELET, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0 && io->known >= 0 && fstat(io->known, &then) == 0 && then.st_ino == st.st_ino) {
		close(fd);
		return io->number;
	}
	close_p(&io->known);
	io->known = fd;
	io->number += fd >= 0;
	return fd >= 0 ? io->number : 0;
}

/* Of both ends by the wall clock: one that was set meanwhile makes it older or younger, never of the future. */
static int64_t age_of(const struct plugin_io *io)
{
	struct stat st;

	return fstat(io->known, &st) < 0 ? 0
					 : MAX(clock_wall_ms() - (st.st_ctim.tv_sec * 1000 +
								  st.st_ctim.tv_nsec / 1000000),
					       0);
}

static void look(struct plugin_io *io)
{
	uint64_t before = io->number, number = know(io);

	if (number > before && io->s.kubelet) {
		io->s.kubelet(io->s.ctx, age_of(io));
	}
	plugin_kubelet(io->plugin, number);
	for (const struct plugin_resource *r = NULL; (r = plugin_each(io->plugin, r));) {
		struct served *s = r->rim;

		if (s && s->listener && !grpc_listening(s->listener)) {
			plugin_file_gone(s->r);
		}
	}
}

/* True: something that may matter. The kubelet's checkpoint comes and goes with every list, of any
 * plugin: ret_others. */
static bool read_events(struct plugin_io *io, bool *ret_others)
{
	_Alignas(struct inotify_event) char bytes[4096];
	bool matters = false;
	ssize_t n;

	while ((n = read(io->events, bytes, sizeof(bytes))) > 0) {
		const struct inotify_event *e;

		for (char *p = bytes; p < bytes + n; p += sizeof(*e) + e->len) {
			e = (const void *)p;
			matters |= !e->len || str_ends(e->name, ".sock");
			*ret_others |= matters || str_eq(e->name, CHECKPOINT);
		}
	}
	return matters;
}

/* The kernel says nothing of a folder that is removed while somebody has it open, as we do, or
 * mounted, as a pod does. */
void plugin_io_check(struct plugin_io *io)
{
	struct stat st;

	if (io->watching && fstat(io->folder, &st) == 0 && !st.st_nlink) {
		log_error("the kubelet's folder for device plugins has been removed",
			  log_str("folder", io->s.folder));
		io->watching = loop_remove(io->watching);
		io->s.lost(io->s.ctx);
	}
}

static void on_event(void *ctx, int fd attr_unused, uint32_t events attr_unused)
{
	struct plugin_io *io = ctx;
	bool others = false, matters = read_events(io, &others);

	if (others && io->s.others) {
		io->s.others(io->s.ctx); /* first: what is taken must not be registered */
	}
	if (matters) {
		look(io);
		turn(io);
		plugin_io_check(io);
	}
}

static void on_time(void *ctx)
{
	turn(ctx);
	plugin_io_check(ctx);
}

/* By its descriptor: of the folder that is open, whatever stands under its path by now. */
static int watch(struct plugin_io *io)
{
	auto_free char *path = xprintf("/proc/self/fd/%d", io->folder);

	io->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (io->events < 0 ||
	    inotify_add_watch(io->events, path,
			      IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO) < 0) {
		return -1;
	}
	io->watching = loop_add(io->loop, io->events, EPOLLIN, on_event, io, "device-plugins");
	return io->watching ? 0 : -1;
}

struct plugin_io *plugin_io_create(struct loop *l, const struct plugin_io_settings *s,
				   struct err *err)
{
	struct plugin_io *io = xcalloc(1, sizeof(*io));

	*io = (struct plugin_io){.loop = l, .s = *s, .events = -1, .folder = -1, .known = -1};
	io->plugin = plugin_create();
	io->timer = loop_timer_create(l, on_time, io, "plugin");
	io->folder = open(s->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (io->folder < 0 || watch(io) < 0) {
		err_set(err, "%s: %s: is this the kubelet's folder, as the daemon sees it?",
			s->folder, strerror(errno));
		return plugin_io_destroy(io);
	}
	look(io);
	return io;
}

struct plugin_io *plugin_io_destroy(struct plugin_io *io)
{
	if (!io) {
		return NULL;
	}
	for (const struct plugin_resource *r = NULL; (r = plugin_each(io->plugin, r));) {
		if (r->rim) {
			served_free(r->rim);
		}
	}
	plugin_destroy(io->plugin);
	if (io->watching) {
		loop_remove(io->watching);
	}
	loop_timer_destroy(io->timer);
	close_p(&io->events);
	close_p(&io->known);
	close_p(&io->folder);
	free(io);
	return NULL;
}

void plugin_io_offers(struct plugin_io *io, const struct plugin_offer *offers, size_t n)
{
	plugin_offers(io->plugin, offers, n);
	turn(io);
}

void plugin_io_taken(struct plugin_io *io, const char *const *names, size_t n)
{
	plugin_taken(io->plugin, names, n);
	turn_soon(io);
}

/* --- beside us ----------------------------------------------------------------------------- */

/* One that nobody listens on was left behind. Whom we may not ask is there. */
static bool is_listened_on(int folder, const char *name)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	auto_free char *path = xprintf("/proc/self/fd/%d/%s", folder, name);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	if (fd < 0 || strlen(path) >= sizeof(at.sun_path)) {
		return true;
	}
	memcpy(at.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 ||
	       (errno != ECONNREFUSED && errno != ENOENT && errno != ENOTSOCK);
}

static bool is_ours(const char *name)
{
	return str_eq(name, KUBELET) || str_starts(name, PLUGIN_SOCKETS);
}

void plugin_io_others(const struct plugin_io *io, struct arena *a, struct dpapi_ids *ret)
{
	int fd = openat(io->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	*ret = (struct dpapi_ids){.items = arena_array(a, const char *, OTHERS_MAX)};
	for (struct dirent *e; dir && ret->n < OTHERS_MAX && (e = readdir(dir));) {
		if (str_ends(e->d_name, ".sock") && !is_ours(e->d_name) &&
		    is_listened_on(io->folder, e->d_name)) {
			ret->items[ret->n++] = arena_strdup(a, e->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	} else if (fd >= 0) {
		close(fd);
	}
}

const struct plugin *plugin_io_plugin(const struct plugin_io *io)
{
	return io->plugin;
}
