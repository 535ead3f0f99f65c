/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve_fuzz.c: bytes as what a client sends over a real connection, in one piece or in two (the
 * first byte says where it is cut). The answer is one whole answer of HTTP/1.1 whose length is
 * true, or none where the request has no end; a route is answered only by a GET of its path; and
 * the connection is gone afterwards.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

static struct loop *loop;
static struct serve *server;

static int hello(void *ctx attr_unused, struct buf *body)
{
	buf_str(body, "hello\n");
	return 200;
}

static const struct serve_route routes[] = {{"/hello", "text/plain", hello}, {0}};

static void start(void)
{
	struct err err;

	loop = loop_create();
	server = serve_create(loop, "127.0.0.1:0", routes, NULL, &err);
	check(server);
}

static int dial(void)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)serve_port(server)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Closed by a reset, so that no port waits for a minute afterwards. */
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
	check(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static void turns(void)
{
	while (loop_turn(loop, 0) > 0) {
	}
}

static void say(int fd, const uint8_t *bytes, size_t n)
{
	if (n && send(fd, bytes, n, MSG_NOSIGNAL) < 0) {
		return; /* answered and closed already */
	}
	turns();
}

/* What came, as a text; its length. */
static size_t hear(int fd, char *ret, size_t size)
{
	size_t n = 0;
	ssize_t more;

	while (n < size - 1 && (more = recv(fd, ret + n, size - 1 - n, MSG_DONTWAIT)) > 0) {
		n += (size_t)more;
	}
	ret[n] = '\0';
	return n;
}

static void look_at(const char *answer, size_t n, const uint8_t *data, size_t size)
{
	const char *body = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");

	check(str_starts(answer, "HTTP/1.1 ") && body && length && length < body);
	check(n == (size_t)(body + 4 - answer) + strtoul(length + 16, NULL, 10));
	if (str_starts(answer, "HTTP/1.1 200 ")) {
		check(str_eq(body + 4, "hello\n"));
		check(size > 10 && memcmp(data, "GET /hello", 10) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char answer[4096];
	size_t cut, n;
	int fd;

	if (!size) {
		return 0;
	}
	if (!loop) {
		start();
	}
	cut = MIN((size_t)data[0], size - 1);
	data++, size--;
	fd = dial();
	turns();
	say(fd, data, cut);
	say(fd, data + cut, size - cut);
	n = hear(fd, answer, sizeof(answer));
	if (n) {
		look_at(answer, n, data, size);
	} else {
		check(!memmem(data, size, "\r\n\r\n", 4) || memchr(data, 0, size));
	}
	close(fd);
	turns();
	check(serve_connections(server) == 0);
	return 0;
}
