/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h: answers GET requests over plain HTTP/1.1, for metrics and probes. RIM: sockets on our
 * loop, nothing blocks.
 *
 * A server of our own, not libwebsockets: it has a handful of fixed paths, reads no body, and
 * answers each connection once (Connection: close). That is less code than hosting a foreign loop,
 * and no memory while nobody asks. What needs TLS, bodies or WebSocket does not belong here.
 *
 * No client can hold it up: a request's header has SERVE_HEADER_MAX bytes, the whole exchange
 * SERVE_TIME_MS, and where SERVE_CONNECTIONS are open the oldest makes room for the next, so that
 * slow ones never keep a probe out. Routes end with {0} and are kept as a pointer.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

#define SERVE_HEADER_MAX (8 * KiB)
#define SERVE_BODY_MAX (4 * MiB)
#define SERVE_TIME_MS 10000
#define SERVE_LINGER_MS 1000 /* for the client to close after the answer */
#define SERVE_CONNECTIONS 16

struct serve;

struct serve_route {
	const char *path, *type; /* "/metrics", Content-Type */
	/* Writes the body, returns the HTTP status. */
	int (*answer)(void *ctx, struct buf *body);
};

/*
 * address: "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses of the machine), port 0: any
 * free one. NULL, with a sentence that names the address and the reason.
 */
struct serve *serve_create(struct loop *l, const char *address, const struct serve_route *routes,
			   void *ctx, struct err *err);
struct serve *serve_destroy(struct serve *s); /* NULL; before the loop's end */
int serve_port(const struct serve *s);
size_t serve_connections(const struct serve *s); /* open now */
