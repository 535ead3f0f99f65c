/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.h: one connection that speaks gRPC, as a step machine on bytes: the server's end of it or the
 * client's. It owns HTTP/2 (nghttp2) and the calls that are open; it knows no descriptor and no
 * clock. grpc_io.h puts it on sockets; messages are bytes here (dpapi.h knows what is in them).
 *
 *	grpc_feed(g, bytes, n, now, err)	what has arrived, cut anywhere
 *	grpc_out(g, &buf)			what is to be sent
 *	grpc_wake(g), grpc_turn(g, now)		deadlines
 *
 * Calls are unary, or answered by a stream. Callbacks run inside feed, out, turn and broke; from
 * there everything may be called but these four and destroy. Whatever the other end does, memory is
 * bounded: messages have a maximum, and a call holds at most two that wait to be sent.
 *
 * What a peer may get wrong and still be served: headers are checked for what we need only, since
 * older kubelets send an :authority that is none (kubernetes#109081). There is no
 * keepalive: on a unix socket the kernel says when the other end is gone, and a ListAndWatch rests
 * for days. Messages are never compressed.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "node-daemon/grpc_word.h"

#define GRPC_SEND_MAX (4 * MiB) /* grpc-go takes no larger message unless told to */
#define GRPC_CALLS_MAX 64	/* open at once on a connection that we serve */
#define GRPC_CHUNK (16 * KiB)

struct grpc;
struct grpc_call;

/* What a server answers; a table of these ends with {0} and is kept as a pointer. */
struct grpc_method {
	const char *path; /* "/v1beta1.DevicePlugin/Allocate" */
	/* The call's one message, lent. It is answered by grpc_reply, grpc_send and grpc_end, now
	 * or at any later time; until then the call stays. */
	void (*called)(void *ctx, struct grpc_call *call, const void *message, size_t n);
	/* The caller gave up, its time is over or the connection broke before grpc_end: forget the
	 * call, which is freed. NULL: nobody remembers it. */
	void (*gone)(void *ctx, struct grpc_call *call);
};

struct grpc_answer {
	enum grpc_code code;
	const char *text;    /* why; "" when OK */
	const void *message; /* of a unary call that is OK, lent; else NULL */
	size_t n;
};

/* What a client asks. */
struct grpc_question {
	const char *path;
	const void *message;
	size_t n;
	int64_t timeout_ms; /* 0: none */
	size_t max;	    /* of a message that comes back */
	/* Each message of a stream, lent. NULL: the call is unary. */
	void (*got)(void *ctx, const void *message, size_t n);
	void (*done)(void *ctx, const struct grpc_answer *answer); /* once; the call is gone */
	void *ctx;
};

struct grpc *grpc_server(const struct grpc_method *methods, void *ctx, size_t max_message);
struct grpc *grpc_client(void);
struct grpc *grpc_destroy(struct grpc *g); /* without a word to anybody; NULL */

/* 0; -1 with err: the connection is to be closed, after grpc_out. */
int grpc_feed(struct grpc *g, const void *bytes, size_t n, int64_t now, struct err *err);
/* Frames, until buf has GRPC_CHUNK of them or there are none. */
void grpc_out(struct grpc *g, struct buf *buf);
int64_t grpc_wake(const struct grpc *g); /* INT64_MAX: never */
void grpc_turn(struct grpc *g, int64_t now);
/* The connection is gone: every call ends, those of a client as UNAVAILABLE. */
void grpc_broke(struct grpc *g, const char *why);
/* There is nothing to read nor to send any more: close it. */
bool grpc_over(const struct grpc *g);
const char *
grpc_why(const struct grpc *g);		 /* what was wrong with the other end's frames, or NULL */
size_t grpc_calls(const struct grpc *g); /* open now */
/* Called when something is to be sent, or a deadline is new, that feed and turn did not cause. */
void grpc_notify(struct grpc *g, void (*ready)(void *ctx), void *ctx);
/* No callback any more. */
void grpc_mute(struct grpc *g);

/* Server. message and text are copied; -1: the message is larger than GRPC_SEND_MAX. */
int grpc_reply(struct grpc_call *c, const void *message, size_t n); /* the answer, OK */
/*
 * A message of a stream. Streams carry states here, of which only the newest counts: one that has
 * not begun to leave when the next comes is replaced by it, so that who does not read makes nothing
 * grow.
 */
int grpc_send(struct grpc_call *c, const void *message, size_t n);
void grpc_end(struct grpc_call *c, enum grpc_code code, const char *text);

/* Client. NULL: the connection takes no new calls, or the message is too large. */
struct grpc_call *grpc_call(struct grpc *g, const struct grpc_question *q, int64_t now);
