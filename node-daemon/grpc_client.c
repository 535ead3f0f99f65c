/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "node-daemon/grpc_inner.h"

#define CONTENT_TYPE "application/grpc"
#define FIELDS_MAX 7

/* --- asking -------------------------------------------------------------------------------- */

static void add_field(nghttp2_nv *nv, size_t *n, const char *name, const char *value)
{
	nv[(*n)++] = (nghttp2_nv){
		.name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME,
	};
}

static int submit(struct grpc_call *c)
{
	nghttp2_data_provider body = grpc_body();
	char timeout[GRPC_TIMEOUT_TEXT];
	nghttp2_nv nv[FIELDS_MAX];
	size_t n = 0;

	add_field(nv, &n, ":method", "POST");
	add_field(nv, &n, ":scheme", "http");
	add_field(nv, &n, ":path", c->q.path);
	add_field(nv, &n, ":authority", "localhost");
	add_field(nv, &n, "content-type", CONTENT_TYPE);
	add_field(nv, &n, "te", "trailers");
	if (c->q.timeout_ms) {
		add_field(nv, &n, "grpc-timeout", grpc_timeout_write(c->q.timeout_ms, timeout));
	}
	return nghttp2_submit_request(c->g->session, NULL, nv, n, &body, c);
}

struct grpc_call *grpc_call(struct grpc *g, const struct grpc_question *q, int64_t now)
{
	struct grpc_call *c;

	if (g->broken || !nghttp2_session_check_request_allowed(g->session)) {
		return NULL;
	}
	c = grpc_call_new(g, q->max);
	c->q = *q;
	c->deadline = q->timeout_ms ? now + q->timeout_ms : INT64_MAX;
	c->last = true;
	if (grpc_queue(c, q->message, q->n) < 0 || (c->stream = submit(c)) < 0) {
		c->stream = 0;
		grpc_call_free(c);
		return NULL;
	}
	grpc_touched(g);
	return c;
}

static void leave(struct grpc_call *c)
{
	struct grpc *g = c->g;

	grpc_call_reset(c, NGHTTP2_CANCEL);
	grpc_call_free(c);
	grpc_touched(g);
}

/* --- what comes back ----------------------------------------------------------------------- */

static int read_status(const char *s, size_t n)
{
	int status = 0;

	for (size_t i = 0; i < n; i++) {
		if (n != 3 || s[i] < '0' || s[i] > '9') {
			return 0;
		}
		status = status * 10 + (s[i] - '0');
	}
	return status;
}

static void client_field(struct grpc_call *c, const char *name, const char *value, size_t n)
{
	struct grpc_header *h = &c->header;

	if (str_eq(name, ":status")) {
		h->status = read_status(value, n);
	} else if (str_eq(name, "content-type")) {
		h->is_grpc = n >= strlen(CONTENT_TYPE) &&
			     memcmp(value, CONTENT_TYPE, strlen(CONTENT_TYPE)) == 0;
	} else if (str_eq(name, "grpc-status")) {
		h->ended = true;
		c->code = grpc_code_read(value, n);
	} else if (str_eq(name, "grpc-message")) {
		char text[ERR_MAX];

		grpc_text_read(value, n, text, sizeof(text));
		grpc_ends_as(c, c->code, text);
	}
}

/* How it ended, where the other end did not say so in its trailers. */
static void conclude(struct grpc_call *c)
{
	const struct grpc_header *h = &c->header;
	auto_free char *text = NULL;

	if (c->g->broken) {
		return; /* said by grpc_broke */
	}
	if (!c->half) {
		text = xprintf("the other end broke the call off: %s",
			       nghttp2_http2_strerror(c->h2_code));
		grpc_ends_as(c, grpc_code_of_reset(c->h2_code), text);
	} else if (!h->ended && h->status != 200) {
		text = xprintf("the other end answered HTTP status %d", h->status);
		grpc_ends_as(c, grpc_code_of_http(h->status), text);
	} else if (!h->ended) {
		grpc_ends_as(c, GRPC_UNKNOWN,
			     h->is_grpc ? "the answer has no grpc-status"
					: "the answer is not gRPC");
	}
}

static void finish(struct grpc_call *c, const char *message, size_t n)
{
	struct grpc_answer a = {.code = c->code, .text = c->text ? c->text : ""};

	if (a.code == GRPC_OK && !c->q.got) {
		a.message = message;
		a.n = n;
	}
	if (!c->g->muted) {
		c->q.done(c->q.ctx, &a);
	}
	leave(c);
}

/* As grpc_first. */
static int tell_stream(struct grpc_call *c)
{
	const char *message;
	size_t n;
	int r;

	while ((r = grpc_first(c, c->q.max, &message, &n)) > 0) {
		if (!c->g->muted) {
			c->q.got(c->q.ctx, message, n);
		}
		grpc_drop_first(c);
	}
	return r;
}

static void client_tell(struct grpc_call *c)
{
	const char *message = NULL;
	size_t n = 0;
	int r;

	if (c->header.status != 200 || !c->header.is_grpc) {
		buf_reset(&c->in); /* a page in words: says nothing to us */
	}
	r = c->q.got ? tell_stream(c) : grpc_first(c, c->q.max, &message, &n);
	if (r < 0) {
		finish(c, NULL, 0);
		return;
	}
	if (!c->half && !c->over) {
		return;
	}
	conclude(c);
	if (c->code == GRPC_OK && c->in.len != (r ? GRPC_PREFIX + n : 0)) {
		grpc_ends_as(c, GRPC_INTERNAL, "the answer is cut, or has more than one message");
	} else if (c->code == GRPC_OK && !r && !c->q.got) {
		grpc_ends_as(c, GRPC_INTERNAL, "the answer has no message");
	}
	finish(c, message, n);
}

static void client_late(struct grpc_call *c)
{
	grpc_ends_as(c, GRPC_DEADLINE_EXCEEDED, "no answer in time");
	finish(c, NULL, 0);
}

const struct grpc_role grpc_client_role = {
	.field = client_field,
	.tell = client_tell,
	.late = client_late,
};
