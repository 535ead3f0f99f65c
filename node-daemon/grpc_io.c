/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/grpc_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/link.h"
#include "base/log.h"

#define BACKLOG 64
#define READS_A_TURN 16
#define RETRY_MS 1000 /* after accept failed for want of descriptors or memory */

/* A connection, of a listener or of a question. */
struct conn {
	struct link link; /* of the listener, the oldest first */
	struct loop *loop;
	struct grpc_listener *listener;
	struct grpc_ask *ask;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer;
	struct grpc *g;
	struct buf out;
	uint32_t wants;
	bool busy; /* inside work() */
	bool dead; /* goes when that is left */
};

struct grpc_listener {
	struct loop *loop;
	struct grpc_served served;
	int folder, fd;
	char *name;
	ino_t inode;
	struct loop_io *io;
	struct loop_timer *retry;
	struct link conns;
	size_t n;
};

struct grpc_ask {
	struct conn *conn;
	struct grpc_question q;
};

/* --- addresses ----------------------------------------------------------------------------- */

/* A socket has no bindat(2): the folder's descriptor makes a path, which also is short. */
static int address_of(int folder, const char *name, struct sockaddr_un *ret, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", folder, name);

	if (n < 0 || (size_t)n >= sizeof(a.sun_path)) {
		return err_set(err, "%s: the name of a socket is too long", name);
	}
	*ret = a;
	return 0;
}

static int socket_open(struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? err_set(err, "socket: %s", strerror(errno)) : fd;
}

static int connect_to(int folder, const char *name, struct err *err)
{
	struct sockaddr_un a;
	int fd;

	if (address_of(folder, name, &a, err) < 0 || (fd = socket_open(err)) < 0) {
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err_set(err, "connecting to %s: %s", name, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* --- a connection -------------------------------------------------------------------------- */

static void count(struct grpc_listener *l, size_t n)
{
	l->n = n;
	if (l->served.connections) {
		l->served.connections(l->served.ctx, n);
	}
}

static void conn_free(struct conn *c)
{
	link_remove(&c->link);
	if (c->listener) {
		count(c->listener, c->listener->n - 1);
	}
	loop_remove(c->io);
	close(c->fd);
	loop_timer_destroy(c->timer);
	grpc_destroy(c->g);
	buf_finish(&c->out);
	free(c->ask);
	free(c);
}

/* Nobody is called for it any more. */
static void conn_drop(struct conn *c)
{
	grpc_mute(c->g);
	if (c->busy) {
		c->dead = true;
	} else {
		conn_free(c);
	}
}

static void conn_broke(struct conn *c, const char *why)
{
	if (c->listener && grpc_why(c->g)) {
		log_warn("a caller spoke no gRPC", log_str("socket", c->listener->name),
			 log_str("reason", grpc_why(c->g)));
	}
	grpc_broke(c->g, why);
	c->dead = true;
}

/* 1: all has left, 0: the socket takes no more now, -1: it is broken. */
static int send_all(struct conn *c)
{
	for (;;) {
		ssize_t n;

		if (!c->out.len) {
			grpc_out(c->g, &c->out);
		}
		if (!c->out.len) {
			return 1;
		}
		n = send(c->fd, c->out.bytes, c->out.len, MSG_NOSIGNAL);
		if (n >= 0) {
			buf_drop(&c->out, (size_t)n);
		} else if (errno != EINTR) {
			return errno == EAGAIN ? 0 : -1;
		}
	}
}

static void receive(struct conn *c)
{
	char bytes[GRPC_CHUNK];
	struct err err;

	for (int i = 0; i < READS_A_TURN && !c->dead; i++) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			return;
		}
		if (n <= 0) {
			conn_broke(c, n < 0 ? strerror(errno) : "the other end closed it");
			return;
		}
		if (grpc_feed(c->g, bytes, (size_t)n, loop_now(c->loop), &err) < 0) {
			send_all(c); /* a GOAWAY */
			conn_broke(c, err.text);
		}
	}
}

static void flush(struct conn *c)
{
	int r = c->dead ? 1 : send_all(c);
	uint32_t wants = r ? EPOLLIN : EPOLLIN | EPOLLOUT;

	if (r < 0) {
		conn_broke(c, strerror(errno));
	} else if (!c->dead && grpc_over(c->g)) {
		conn_broke(c, grpc_why(c->g) ? grpc_why(c->g) : "the connection has ended");
	} else if (!c->dead && wants != c->wants) {
		c->wants = wants;
		loop_change(c->io, wants);
	}
}

/* One visit, whatever the reason; c may be gone afterwards. */
static void work(struct conn *c, bool readable)
{
	c->busy = true;
	if (readable) {
		receive(c);
	} else {
		grpc_turn(c->g, loop_now(c->loop));
	}
	flush(c);
	c->busy = false;
	if (c->dead) {
		conn_free(c);
	} else {
		loop_timer_set(c->timer, grpc_wake(c->g));
	}
}

static void on_ready(void *ctx, int fd attr_unused, uint32_t events)
{
	work(ctx, events & (EPOLLIN | EPOLLHUP | EPOLLERR));
}

static void on_time(void *ctx)
{
	work(ctx, false);
}

/* Something is to be sent: in the next turn, since the caller may be anywhere. */
static void on_notice(void *ctx)
{
	struct conn *c = ctx;

	loop_timer_set(c->timer, 0);
}

/* Takes fd and g; NULL when the loop does not take it. */
static struct conn *conn_create(struct loop *l, int fd, struct grpc *g)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	*c = (struct conn){.loop = l, .fd = fd, .g = g, .wants = EPOLLIN};
	link_init(&c->link);
	buf_init(&c->out, 4 * GRPC_CHUNK);
	c->timer = loop_timer_create(l, on_time, c, "grpc");
	c->io = loop_add(l, fd, EPOLLIN, on_ready, c, "grpc");
	if (!c->io) {
		close(fd);
		loop_timer_destroy(c->timer);
		grpc_destroy(g);
		free(c);
		return NULL;
	}
	grpc_notify(g, on_notice, c);
	return c;
}

/* --- listening ----------------------------------------------------------------------------- */

static bool make_room(struct grpc_listener *l)
{
	if (l->n < GRPC_CONNECTIONS) {
		return true;
	}
	link_each(k, &l->conns)
	{
		struct conn *c = container_of(k, struct conn, link);

		if (!grpc_calls(c->g) && !c->busy) {
			conn_free(c);
			return true;
		}
	}
	return false;
}

static void welcome(struct grpc_listener *l, int fd)
{
	const struct grpc_served *s = &l->served;
	struct conn *c;

	if (!make_room(l)) {
		log_warn("too many connections at once, one is turned away",
			 log_str("socket", l->name), log_int("open", l->n));
		close(fd);
		return;
	}
	c = conn_create(l->loop, fd, grpc_server(s->methods, s->ctx, s->max_message));
	if (c) {
		c->listener = l;
		link_append(&l->conns, &c->link);
		count(l, l->n + 1);
	}
}

static void on_caller(void *ctx, int listening, uint32_t events attr_unused)
{
	struct grpc_listener *l = ctx;

	for (int i = 0; i < BACKLOG; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			welcome(l, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			loop_change(l->io, 0);
			loop_timer_set(l->retry, loop_now(l->loop) + RETRY_MS);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void on_retry(void *ctx)
{
	struct grpc_listener *l = ctx;

	loop_change(l->io, EPOLLIN);
}

/* A file that nobody listens on is left over and is replaced. */
static int refuse_neighbour(int folder, const char *name, struct err *err)
{
	struct err none;
	int fd = connect_to(folder, name, &none);

	if (fd < 0) {
		return 0;
	}
	close(fd);
	return err_set(
		err,
		"%s: another program listens on this socket: does a second vmgpu-node run here?",
		name);
}

/* A socket that is listened to, under its name. */
static int bind_socket(int folder, const char *name, ino_t *ret_inode, struct err *err)
{
	auto_free char *hidden = xprintf(".%s.new", name);
	struct sockaddr_un a;
	struct stat st;
	int fd;

	if (address_of(folder, hidden, &a, err) < 0 || refuse_neighbour(folder, name, err) < 0 ||
	    (fd = socket_open(err)) < 0) {
		return -1;
	}
	unlinkat(folder, hidden, 0); /* of one of us that was killed here */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    fchmodat(folder, hidden, 0600, 0) < 0 || listen(fd, BACKLOG) < 0 ||
	    fstatat(folder, hidden, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(folder, hidden, folder, name) < 0) {
		err_set(err, "listening on %s: %s", name, strerror(errno));
		unlinkat(folder, hidden, 0);
		close(fd);
		return -1;
	}
	*ret_inode = st.st_ino;
	return fd;
}

struct grpc_listener *grpc_listen(struct loop *loop, int folder, const char *name,
				  const struct grpc_served *s, struct err *err)
{
	ino_t inode;
	int fd = bind_socket(folder, name, &inode, err);
	struct grpc_listener *l;

	if (fd < 0) {
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	*l = (struct grpc_listener){.loop = loop, .served = *s, .fd = fd, .inode = inode};
	l->name = xstrdup(name);
	l->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	link_init(&l->conns);
	l->retry = loop_timer_create(loop, on_retry, l, "grpc-accept");
	l->io = loop_add(loop, fd, EPOLLIN, on_caller, l, "grpc-accept");
	if (l->folder < 0 || !l->io) {
		err_set(err, "listening on %s: %s", name, strerror(errno));
		return grpc_unlisten(l);
	}
	return l;
}

bool grpc_listening(const struct grpc_listener *l)
{
	struct stat st;

	return l->folder >= 0 && fstatat(l->folder, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == l->inode;
}

void grpc_break(struct grpc_listener *l)
{
	link_each(k, &l->conns)
	{
		struct conn *c = container_of(k, struct conn, link);

		if (!c->busy) { /* else this is said from within one of its calls */
			grpc_broke(c->g, "the socket is closed");
		}
	}
}

struct grpc_listener *grpc_unlisten(struct grpc_listener *l)
{
	if (!l) {
		return NULL;
	}
	if (grpc_listening(l)) {
		unlinkat(l->folder, l->name, 0);
	}
	link_each(k, &l->conns)
	{
		struct conn *c = container_of(k, struct conn, link);

		link_remove(&c->link);
		c->listener = NULL;
		conn_drop(c);
	}
	if (l->io) {
		loop_remove(l->io);
	}
	loop_timer_destroy(l->retry);
	close(l->fd);
	if (l->folder >= 0) {
		close(l->folder);
	}
	free(l->name);
	free(l);
	return NULL;
}

/* --- asking -------------------------------------------------------------------------------- */

static void on_got(void *ctx, const void *message, size_t n)
{
	struct grpc_ask *a = ctx;

	a->q.got(a->q.ctx, message, n);
}

static void on_done(void *ctx, const struct grpc_answer *answer)
{
	struct grpc_ask *a = ctx;

	a->conn->dead = true;
	a->q.done(a->q.ctx, answer);
}

struct grpc_ask *grpc_ask(struct loop *l, int folder, const char *name,
			  const struct grpc_question *q, struct err *err)
{
	struct grpc_question ours = *q;
	int fd = connect_to(folder, name, err);
	struct grpc_ask *a;

	if (fd < 0) {
		return NULL;
	}
	a = xcalloc(1, sizeof(*a));
	a->q = *q;
	a->conn = conn_create(l, fd, grpc_client());
	if (!a->conn) {
		err_set(err, "%s: %s", name, strerror(errno));
		free(a);
		return NULL;
	}
	a->conn->ask = a;
	ours.got = q->got ? on_got : NULL;
	ours.done = on_done;
	ours.ctx = a;
	if (!grpc_call(a->conn->g, &ours, loop_now(l))) {
		err_set(err, "%s: the message is too large", name);
		conn_free(a->conn);
		return NULL;
	}
	return a;
}

struct grpc_ask *grpc_unask(struct grpc_ask *a)
{
	if (a) {
		conn_drop(a->conn);
	}
	return NULL;
}
