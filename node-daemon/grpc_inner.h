/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_inner.h: private to grpc*.c. grpc.c: the session, what leaves, and who is told; grpc_server.c
 * and grpc_client.c: what a call means at either end.
 *
 * nghttp2's callbacks only note what has come (call->in, call->over) and put the call on the list of
 * news; the owner is told when nghttp2 has returned, and may then call what it likes.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/link.h"
#include "node-daemon/grpc.h"

#define GRPC_PREFIX 5 /* compressed or not, and the length of the message */

struct grpc_call {
	struct link all, news;
	struct grpc *g;
	int32_t stream;			  /* 0: closed */
	const struct grpc_method *method; /* server */
	struct grpc_question q;		  /* client; the message aside */
	struct buf in;			  /* messages, with their prefixes, not yet told */
	struct buf out, next;		  /* what leaves now, and what waits behind it */
	size_t sent;			  /* of out */
	int64_t deadline;
	struct grpc_header {
		int status;	    /* client: of HTTP */
		bool post, is_grpc; /* server; is_grpc: also the client */
		bool ended;	    /* client: grpc-status was there */
		int64_t timeout_ms; /* server; 0: none, -1: malformed */
	} header;
	enum grpc_code code; /* how it ends */
	char *text;
	uint32_t h2_code; /* over by a reset: its code */
	bool begun;	  /* a header of ours has been submitted */
	bool told;	  /* server: called() was called */
	bool last;	  /* what waits to leave is all */
	bool finished;	  /* server: has been ended; nothing more is taken from the other end */
	bool half;	  /* the other end has sent all */
	bool over;	  /* the stream is closed */
};

struct grpc {
	nghttp2_session *session;
	const struct grpc_role *role;
	const struct grpc_method *methods;
	void *ctx;
	size_t max_message;
	struct link calls, news;
	size_t n_calls;
	int64_t now;
	unsigned busy; /* inside feed, out, turn or broke */
	bool broken, muted;
	const char *why;
	void (*ready)(void *ctx);
	void *ready_ctx;
};

/* What the two ends do differently. */
struct grpc_role {
	void (*field)(struct grpc_call *c, const char *name, const char *value, size_t n);
	void (*tell)(struct grpc_call *c); /* may free it */
	void (*late)(struct grpc_call *c); /* its deadline has passed */
};
extern const struct grpc_role grpc_server_role, grpc_client_role;

/* grpc.c */
struct grpc_call *grpc_call_new(struct grpc *g, size_t max);
void grpc_call_free(struct grpc_call *c);
void grpc_call_news(struct grpc_call *c);
void grpc_call_reset(struct grpc_call *c, uint32_t h2_code);
void grpc_ends_as(struct grpc_call *c, enum grpc_code code, const char *text); /* noted */
/* A message to leave; see grpc_send. */
int grpc_queue(struct grpc_call *c, const void *message, size_t n);
nghttp2_data_provider grpc_body(void);
void grpc_resume(struct grpc_call *c);
void grpc_touched(struct grpc *g);
/* The first message in c->in. 1: it is whole, 0: not yet, -1: it is refused, c->code says why. */
int grpc_first(struct grpc_call *c, size_t max, const char **ret, size_t *ret_n);
void grpc_drop_first(struct grpc_call *c);

/* grpc_server.c */
void grpc_server_header(struct grpc_call *c); /* of the question, complete */
void grpc_server_trailers(struct grpc_call *c);
