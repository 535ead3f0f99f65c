/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "node-daemon/grpc_inner.h"

#define CONTENT_TYPE "application/grpc"
#define FIELDS_MAX 4

struct fields {
	nghttp2_nv nv[FIELDS_MAX];
	size_t n;
};

/* Names are literals; flags say which values are. */
static void add_field(struct fields *f, const char *name, const char *value, uint8_t flags)
{
	f->nv[f->n++] = (nghttp2_nv){
		.name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | flags,
	};
}

static void add_head(struct fields *f, const char *status)
{
	add_field(f, ":status", status, NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	add_field(f, "content-type", CONTENT_TYPE, NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

/* grpc-status and grpc-message; each text is another, kept out of the table of HPACK. */
static void add_end(struct fields *f, const struct grpc_call *c, char number[static 12],
		    struct buf *message)
{
	snprintf(number, 12, "%d", (int)c->code);
	add_field(f, "grpc-status", number, 0);
	if (!str_empty(c->text)) {
		buf_init(message, ERR_MAX * 3);
		grpc_text_write(c->text, message);
		add_field(f, "grpc-message", buf_text(message), NGHTTP2_NV_FLAG_NO_INDEX);
	}
}

static void end_at_once(struct grpc_call *c, const char *status)
{
	auto_buf struct buf message = {0};
	struct fields f = {.n = 0};
	char number[12];

	c->begun = true;
	add_head(&f, status);
	add_end(&f, c, number, &message);
	nghttp2_submit_response(c->g->session, c->stream, f.nv, f.n, NULL);
	grpc_touched(c->g);
}

void grpc_server_trailers(struct grpc_call *c)
{
	auto_buf struct buf message = {0};
	struct fields f = {.n = 0};
	char number[12];

	add_end(&f, c, number, &message);
	nghttp2_submit_trailer(c->g->session, c->stream, f.nv, f.n);
}

/* --- the owner answers --------------------------------------------------------------------- */

int grpc_send(struct grpc_call *c, const void *message, size_t n)
{
	nghttp2_data_provider body = grpc_body();
	struct fields f = {.n = 0};

	if (c->finished || c->over) {
		return 0;
	}
	if (grpc_queue(c, message, n) < 0) {
		return -1;
	}
	if (c->begun) {
		grpc_resume(c);
		return 0;
	}
	c->begun = true;
	add_head(&f, "200");
	nghttp2_submit_response(c->g->session, c->stream, f.nv, f.n, &body);
	grpc_touched(c->g);
	return 0;
}

static void end_with(struct grpc_call *c, const char *status, enum grpc_code code, const char *text)
{
	if (c->finished) {
		return;
	}
	c->finished = c->last = true;
	c->deadline = INT64_MAX;
	buf_finish(&c->in);
	if (c->over) {
		return;
	}
	grpc_ends_as(c, code, text);
	if (c->begun) {
		grpc_resume(c);
	} else {
		end_at_once(c, status);
	}
}

void grpc_end(struct grpc_call *c, enum grpc_code code, const char *text)
{
	end_with(c, "200", code, text);
}

int grpc_reply(struct grpc_call *c, const void *message, size_t n)
{
	if (grpc_send(c, message, n) < 0) {
		return -1;
	}
	grpc_end(c, GRPC_OK, "");
	return 0;
}

/* --- what is asked ------------------------------------------------------------------------- */

static const struct grpc_method *find_method(const struct grpc *g, const char *path, size_t n)
{
	for (const struct grpc_method *m = g->methods; m->path; m++) {
		if (strlen(m->path) == n && memcmp(m->path, path, n) == 0) {
			return m;
		}
	}
	return NULL;
}

/* "application/grpc", "application/grpc+proto", "application/grpc;..." */
static bool is_grpc_type(const char *s, size_t n)
{
	size_t k = strlen(CONTENT_TYPE);

	return n >= k && memcmp(s, CONTENT_TYPE, k) == 0 && (n == k || s[k] == '+' || s[k] == ';');
}

static void server_field(struct grpc_call *c, const char *name, const char *value, size_t n)
{
	struct grpc_header *h = &c->header;

	if (str_eq(name, ":method")) {
		h->post = n == 4 && memcmp(value, "POST", 4) == 0;
	} else if (str_eq(name, ":path")) {
		c->method = find_method(c->g, value, n);
	} else if (str_eq(name, "content-type")) {
		h->is_grpc = is_grpc_type(value, n);
	} else if (str_eq(name, "grpc-timeout") &&
		   grpc_timeout_read(value, n, &h->timeout_ms) < 0) {
		h->timeout_ms = -1;
	}
}

void grpc_server_header(struct grpc_call *c)
{
	const struct grpc_header *h = &c->header;

	if (!h->post) {
		end_with(c, "405", GRPC_INTERNAL, "gRPC is asked by POST");
	} else if (!h->is_grpc) {
		end_with(c, "415", GRPC_INVALID_ARGUMENT, "content-type is not " CONTENT_TYPE);
	} else if (!c->method) {
		grpc_end(c, GRPC_UNIMPLEMENTED, "there is no such method here");
	} else if (h->timeout_ms < 0) {
		grpc_end(c, GRPC_INTERNAL, "grpc-timeout cannot be read");
	} else if (h->timeout_ms) {
		c->deadline = c->g->now + h->timeout_ms;
	}
}

static void forget(struct grpc_call *c)
{
	if (c->told && !c->finished && c->method->gone && !c->g->muted) {
		c->method->gone(c->g->ctx, c);
	}
}

static void call(struct grpc_call *c, const char *message, size_t n)
{
	c->told = true;
	if (!c->g->muted) {
		c->method->called(c->g->ctx, c, message, n);
	}
	buf_finish(&c->in);
}

static void server_tell(struct grpc_call *c)
{
	const char *message = NULL;
	size_t n = 0;
	int r;

	if (c->over) {
		forget(c);
		grpc_call_free(c);
		return;
	}
	if (c->finished || c->told) {
		return;
	}
	r = grpc_first(c, c->g->max_message, &message, &n);
	if (r < 0) {
		auto_free char *text = take(c->text);

		grpc_end(c, c->code, text);
	} else if (r && c->in.len > GRPC_PREFIX + n) {
		grpc_end(c, GRPC_INTERNAL, "there is more than one message");
	} else if (c->half && !r) {
		grpc_end(c, GRPC_INTERNAL, "the message is missing or cut");
	} else if (c->half) {
		call(c, message, n);
	}
}

static void server_late(struct grpc_call *c)
{
	forget(c);
	grpc_end(c, GRPC_DEADLINE_EXCEEDED, "the caller's time is over");
}

const struct grpc_role grpc_server_role = {
	.field = server_field,
	.tell = server_tell,
	.late = server_late,
};
