/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64
#define RETRY_MS 1000 /* after accept failed for want of descriptors or memory */
#define LINGER_READ (64 * KiB)

struct client {
	struct serve *serve; /* NULL: free */
	int fd;
	uint64_t number; /* rises: the oldest is the smallest */
	struct loop_io *io;
	struct loop_timer *timer;
	struct buf in, out;
	size_t sent;
	bool answering, lingering;
	size_t drained;
};

struct serve {
	struct loop *loop;
	int fd;
	struct loop_io *io;
	struct loop_timer *retry;
	const struct serve_route *routes;
	void *ctx;
	uint64_t accepted;
	struct client clients[SERVE_CONNECTIONS];
};

/* A client */

static void client_close(struct client *c)
{
	loop_remove(c->io);
	close(c->fd);
	loop_timer_destroy(c->timer);
	buf_finish(&c->in);
	buf_finish(&c->out);
	*c = (struct client){0};
}

static void on_time(void *ctx)
{
	client_close(ctx);
}

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{503, "Service Unavailable"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "Answer";
}

static void compose(struct client *c, int status, const char *type, const struct buf *body)
{
	buf_printf(&c->out,
		   "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		   "%sX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		   status, reason_of(status), type, body->len,
		   status == 405 ? "Allow: GET\r\n" : "");
	buf_add(&c->out, buf_text(body), body->len);
	c->answering = true;
}

static void refuse(struct client *c, int status)
{
	auto_buf struct buf body;

	buf_init(&body, KiB);
	buf_printf(&body, "%s\n", reason_of(status));
	compose(c, status, "text/plain; charset=utf-8", &body);
}

static void answer(struct client *c, const char *path)
{
	auto_buf struct buf body;

	buf_init(&body, SERVE_BODY_MAX);
	for (const struct serve_route *r = c->serve->routes; r->path; r++) {
		if (str_eq(r->path, path)) {
			int status = r->answer(c->serve->ctx, &body);

			if (buf_ok(&body)) {
				compose(c, status, r->type, &body);
			} else {
				refuse(c, 500);
			}
			return;
		}
	}
	refuse(c, 404);
}

/* "GET /metrics?x HTTP/1.1" (RFC 9112 3): of the header only this line matters to us. */
static void understand(struct client *c)
{
	auto_free char *line = xstrndup(c->in.bytes, strcspn(c->in.bytes, "\r"));
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version || target == line || target[1] != '/' || !str_starts(version, " HTTP/1.")) {
		refuse(c, 400);
		return;
	}
	*target++ = '\0';
	*version = '\0';
	target[strcspn(target, "?")] = '\0';
	if (!str_eq(line, "GET")) {
		refuse(c, 405);
		return;
	}
	answer(c, target);
}

/* False: the client is gone. */
static bool client_write(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.bytes + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0) {
			return errno == EAGAIN || errno == EINTR;
		}
		c->sent += (size_t)n;
	}
	/* A close with unread bytes is a reset, which would take the answer away again (RFC 9112
	 * 9.6): the client closes first, or its time ends. */
	shutdown(c->fd, SHUT_WR);
	c->lingering = true;
	buf_finish(&c->out);
	buf_finish(&c->in);
	loop_timer_set(c->timer, loop_now(c->serve->loop) + SERVE_LINGER_MS);
	loop_change(c->io, EPOLLIN);
	return true;
}

/* False: the client is gone, or sends without end. */
static bool client_drain(struct client *c)
{
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n <= 0) {
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	c->drained += (size_t)n;
	return c->drained < LINGER_READ;
}

static bool client_read(struct client *c)
{
	char bytes[2048];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
	size_t before = c->in.len;

	if (n <= 0) {
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	if (memchr(bytes, '\0', (size_t)n)) {
		refuse(c, 400);
	} else if (buf_add(&c->in, bytes, (size_t)n) < 0) {
		refuse(c, 431);
	} else if (strstr(c->in.bytes + (before < 3 ? 0 : before - 3), "\r\n\r\n")) {
		understand(c);
	}
	if (!c->answering) {
		return true;
	}
	loop_change(c->io, EPOLLOUT);
	return client_write(c);
}

static void on_client(void *ctx, int fd, uint32_t events)
{
	struct client *c = ctx;
	bool alive;

	(void)fd;
	if (events & EPOLLERR) {
		alive = false;
	} else if (c->lingering) {
		alive = client_drain(c);
	} else {
		alive = c->answering ? client_write(c) : client_read(c);
	}
	if (!alive) {
		client_close(c);
	}
}

/* The server */

/* A free place; where there is none, the oldest client's. */
static struct client *make_room(struct serve *s)
{
	struct client *oldest = &s->clients[0];

	for (size_t i = 0; i < SERVE_CONNECTIONS; i++) {
		struct client *c = &s->clients[i];

		if (!c->serve) {
			return c;
		}
		if (c->number < oldest->number) {
			oldest = c;
		}
	}
	client_close(oldest);
	return oldest;
}

static void on_connection(void *ctx, int fd, uint32_t events)
{
	struct serve *s = ctx;
	struct client *c;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (client < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			loop_change(s->io, 0);
			loop_timer_set(s->retry, loop_now(s->loop) + RETRY_MS);
		}
		return;
	}
	c = make_room(s);
	*c = (struct client){.serve = s, .fd = client, .number = ++s->accepted};
	c->io = loop_add(s->loop, client, EPOLLIN, on_client, c, "serve client");
	if (!c->io) {
		close(client);
		*c = (struct client){0};
		return;
	}
	c->timer = loop_timer_create(s->loop, on_time, c, "serve client's time");
	loop_timer_set(c->timer, loop_now(s->loop) + SERVE_TIME_MS);
	buf_init(&c->in, SERVE_HEADER_MAX);
	buf_init(&c->out, SERVE_BODY_MAX + KiB);
}

static void on_retry(void *ctx)
{
	struct serve *s = ctx;

	loop_change(s->io, EPOLLIN);
}

/* A listening socket, or -1 with errno. */
static int listen_on(int family, const struct sockaddr *address, socklen_t size)
{
	auto_close int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1, off = 0;
	int listening;

	if (fd < 0) {
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	if (bind(fd, address, size) < 0 || listen(fd, BACKLOG) < 0) {
		return -1;
	}
	listening = fd;
	fd = -1;
	return listening;
}

/* Both families by one socket, as Go does; a kernel without IPv6 has IPv4 alone. */
static int listen_everywhere(int port)
{
	const struct sockaddr_in6 six = {.sin6_family = AF_INET6,
					 .sin6_port = htons((uint16_t)port)};
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = listen_on(AF_INET6, (const struct sockaddr *)&six, sizeof(six));

	if (fd < 0 && errno != EADDRINUSE && errno != EACCES) {
		fd = listen_on(AF_INET, (const struct sockaddr *)&four, sizeof(four));
	}
	return fd;
}

static int listen_host(const char *address, const char *host, const char *port, struct err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int fd, r = getaddrinfo(host, port, &hints, &found);

	if (r) {
		return err_set(err, "%s: %s", address, gai_strerror(r));
	}
	fd = listen_on(found->ai_family, found->ai_addr, found->ai_addrlen);
	if (fd < 0) {
		err_set(err, "%s: %s", address, strerror(errno));
	}
	freeaddrinfo(found);
	return fd;
}

static int open_address(const char *address, struct err *err)
{
	const char *colon = strrchr(address, ':'), *start = address, *end = colon;
	auto_free char *host = NULL;
	int64_t port;
	int fd;

	if (!colon || parse_int(colon + 1, 0, 65535, &port) < 0) {
		return err_set(err, "\"%s\" is no address: it has the form HOST:PORT or :PORT",
			       address);
	}
	if (start == end) {
		fd = listen_everywhere((int)port);
		return fd < 0 ? err_set(err, "%s: %s", address, strerror(errno)) : fd;
	}
	if (*start == '[' && end[-1] == ']') {
		start++;
		end--;
	}
	host = xstrndup(start, (size_t)(end - start));
	return listen_host(address, host, colon + 1, err);
}

struct serve *serve_create(struct loop *l, const char *address, const struct serve_route *routes,
			   void *ctx, struct err *err)
{
	struct serve *s;
	int fd = open_address(address, err);

	if (fd < 0) {
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct serve){.loop = l, .fd = fd, .routes = routes, .ctx = ctx};
	s->retry = loop_timer_create(l, on_retry, s, "serve retry");
	s->io = loop_add(l, fd, EPOLLIN, on_connection, s, "serve");
	if (!s->io) {
		err_set(err, "%s: %s", address, strerror(errno));
		return serve_destroy(s);
	}
	return s;
}

struct serve *serve_destroy(struct serve *s)
{
	if (!s) {
		return NULL;
	}
	for (size_t i = 0; i < SERVE_CONNECTIONS; i++) {
		if (s->clients[i].serve) {
			client_close(&s->clients[i]);
		}
	}
	if (s->io) {
		loop_remove(s->io);
	}
	close(s->fd);
	loop_timer_destroy(s->retry);
	free(s);
	return NULL;
}

int serve_port(const struct serve *s)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);

	if (getsockname(s->fd, (struct sockaddr *)&a, &size) < 0) {
		return -1;
	}
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

size_t serve_connections(const struct serve *s)
{
	size_t n = 0;

	for (size_t i = 0; i < SERVE_CONNECTIONS; i++) {
		n += s->clients[i].serve != NULL;
	}
	return n;
}
