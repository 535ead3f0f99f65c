/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/grpc.h"

#include <stdlib.h>
#include <string.h>

#include "node-daemon/grpc_inner.h"

#define WINDOW_MAX (64 * KiB) /* nghttp2's own: what a stream may bring before it is told of */

/* --- memory: nghttp2's cannot fail either ---------------------------------------------------- */

static void *mem_malloc(size_t n, void *ctx attr_unused)
{
	return xmalloc(n);
}

static void *mem_calloc(size_t n, size_t size, void *ctx attr_unused)
{
	return xcalloc(n, size);
}

static void *mem_realloc(void *p, size_t n, void *ctx attr_unused)
{
	return xrealloc(p, n);
}

static void mem_free(void *p, void *ctx attr_unused)
{
	free(p);
}

static bool server_end(const struct grpc *g)
{
	return g->role == &grpc_server_role;
}

/* --- calls --------------------------------------------------------------------------------- */

struct grpc_call *grpc_call_new(struct grpc *g, size_t max)
{
	struct grpc_call *c = xcalloc(1, sizeof(*c));

	c->g = g;
	c->deadline = INT64_MAX;
	link_init(&c->news);
	link_append(&g->calls, &c->all);
	g->n_calls++;
	buf_init(&c->in, max + GRPC_PREFIX + WINDOW_MAX);
	buf_init(&c->out, GRPC_SEND_MAX + GRPC_PREFIX);
	buf_init(&c->next, GRPC_SEND_MAX + GRPC_PREFIX);
	return c;
}

void grpc_call_free(struct grpc_call *c)
{
	if (c->stream > 0) {
		nghttp2_session_set_stream_user_data(c->g->session, c->stream, NULL);
	}
	link_remove(&c->all);
	link_remove(&c->news);
	c->g->n_calls--;
	buf_finish(&c->in);
	buf_finish(&c->out);
	buf_finish(&c->next);
	free(c->text);
	free(c);
}

void grpc_call_news(struct grpc_call *c)
{
	link_move(&c->g->news, &c->news);
}

void grpc_call_reset(struct grpc_call *c, uint32_t h2_code)
{
	if (c->stream > 0) {
		nghttp2_submit_rst_stream(c->g->session, NGHTTP2_FLAG_NONE, c->stream, h2_code);
	}
}

void grpc_ends_as(struct grpc_call *c, enum grpc_code code, const char *text)
{
	char *copy = xprintf("%.*s", ERR_MAX - 1, text);

	free(c->text);
	c->text = copy;
	c->code = code;
}

/* --- messages ------------------------------------------------------------------------------ */

static void frame_message(struct buf *to, const void *message, size_t n)
{
	const uint8_t prefix[GRPC_PREFIX] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
					     (uint8_t)(n >> 8), (uint8_t)n};

	buf_reset(to);
	buf_add(to, prefix, sizeof(prefix));
	buf_add(to, message, n);
}

int grpc_queue(struct grpc_call *c, const void *message, size_t n)
{
	if (n > GRPC_SEND_MAX) {
		return -1;
	}
	if (!c->sent) { /* also replaces one that has not begun */
		frame_message(&c->out, message, n);
	} else {
		frame_message(&c->next, message, n);
	}
	return 0;
}

/* Of the first message, which has its prefix. */
static size_t length_of(const struct grpc_call *c)
{
	const uint8_t *p = (const uint8_t *)c->in.bytes;

	return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

int grpc_first(struct grpc_call *c, size_t max, const char **ret, size_t *ret_n)
{
	size_t n;

	if (c->in.len < GRPC_PREFIX) {
		return 0;
	}
	if (c->in.bytes[0]) {
		grpc_ends_as(c, server_end(c->g) ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL,
			     "the message is compressed, which was not agreed on");
		return -1;
	}
	n = length_of(c);
	if (n > max) {
		auto_free char *text = xprintf(
			"a message of %zu bytes is larger than %zu, the most taken here", n, max);

		grpc_ends_as(c, GRPC_RESOURCE_EXHAUSTED, text);
		return -1;
	}
	if (c->in.len - GRPC_PREFIX < n) {
		return 0;
	}
	*ret = c->in.bytes + GRPC_PREFIX;
	*ret_n = n;
	return 1;
}

void grpc_drop_first(struct grpc_call *c)
{
	buf_drop(&c->in, GRPC_PREFIX + length_of(c));
}

/* --- what leaves --------------------------------------------------------------------------- */

static struct grpc_call *call_of(nghttp2_session *session, int32_t stream)
{
	return stream > 0 ? nghttp2_session_get_stream_user_data(session, stream) : NULL;
}

/* What waited moves up. */
static void advance(struct grpc_call *c)
{
	struct buf emptied = c->out;

	buf_trim(&emptied);
	c->out = c->next;
	c->next = emptied;
	c->sent = 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t n,
			 uint32_t *flags, nghttp2_data_source *source attr_unused,
			 void *ctx attr_unused)
{
	struct grpc_call *c = call_of(session, stream);

	if (!c) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	n = MIN(n, c->out.len - c->sent);
	if (n) {
		memcpy(to, c->out.bytes + c->sent, n);
	}
	c->sent += n;
	if (c->sent == c->out.len) {
		advance(c);
	}
	if (!c->out.len && c->last) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (server_end(c->g)) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			grpc_server_trailers(c);
		}
	} else if (!c->out.len && !n) {
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

nghttp2_data_provider grpc_body(void)
{
	return (nghttp2_data_provider){.read_callback = read_body};
}

void grpc_resume(struct grpc_call *c)
{
	nghttp2_session_resume_data(c->g->session, c->stream);
	grpc_touched(c->g);
}

void grpc_touched(struct grpc *g)
{
	if (!g->busy && g->ready) {
		g->ready(g->ready_ctx);
	}
}

/* The answer is out while its question still comes: stop asking (RFC 9113 8.1). */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	const struct grpc *g = ctx;
	int32_t stream = frame->hd.stream_id;

	if (server_end(g) && frame->hd.type == NGHTTP2_HEADERS &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, stream) == 0) {
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
	}
	return 0;
}

/* --- what comes ---------------------------------------------------------------------------- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct grpc *g = ctx;

	if (server_end(g) && frame->hd.type == NGHTTP2_HEADERS &&
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct grpc_call *c = grpc_call_new(g, g->max_message);

		c->stream = frame->hd.stream_id;
		nghttp2_session_set_stream_user_data(session, c->stream, c);
	}
	return 0;
}

static bool is_trailer(const struct grpc_call *c, const nghttp2_frame *frame)
{
	return server_end(c->g) && frame->headers.cat != NGHTTP2_HCAT_REQUEST;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		    size_t n_name attr_unused, const uint8_t *value, size_t n,
		    uint8_t flags attr_unused, void *ctx attr_unused)
{
	struct grpc_call *c = call_of(session, frame->hd.stream_id);

	if (c && !is_trailer(c, frame)) { /* a server needs none of a caller's */
		c->g->role->field(c, (const char *)name, (const char *)value, n);
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx attr_unused)
{
	struct grpc_call *c = call_of(session, frame->hd.stream_id);
	uint8_t type = frame->hd.type;

	if (!c || (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA)) {
		return 0;
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		c->half = true;
		grpc_call_news(c);
	}
	if (type == NGHTTP2_HEADERS && server_end(c->g) && !is_trailer(c, frame)) {
		grpc_server_header(c);
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags attr_unused, int32_t stream,
		   const uint8_t *bytes, size_t n, void *ctx attr_unused)
{
	struct grpc_call *c = call_of(session, stream);

	if (c && !c->finished) {
		buf_add(&c->in, bytes, n); /* its prefix has said before that it is too large */
		grpc_call_news(c);
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t h2_code,
		    void *ctx attr_unused)
{
	struct grpc_call *c = call_of(session, stream);

	if (c) {
		nghttp2_session_set_stream_user_data(session, stream, NULL);
		c->stream = 0;
		c->over = true;
		c->h2_code = h2_code;
		grpc_call_news(c);
	}
	return 0;
}

/* grpc-go's clients say GOAWAY with a number that is none of ours when they close: no reason to
 * complain, they are gone. */
static int on_wrong_frame(nghttp2_session *session attr_unused, const nghttp2_frame *frame,
			  int code, void *ctx)
{
	struct grpc *g = ctx;

	if (!frame->hd.stream_id && frame->hd.type != NGHTTP2_GOAWAY) {
		g->why = nghttp2_strerror(code);
	}
	return 0;
}

/* --- the session --------------------------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks_create(void)
{
	nghttp2_session_callbacks *calls;

	if (nghttp2_session_callbacks_new(&calls)) {
		abort();
	}
	nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_field);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, on_wrong_frame);
	return calls;
}

static void session_create(struct grpc *g)
{
	static const nghttp2_settings_entry servers[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_CALLS_MAX},
	};
	static const nghttp2_settings_entry clients[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	bool server = server_end(g);
	nghttp2_session_callbacks *calls = callbacks_create();
	nghttp2_mem mem = {NULL, mem_malloc, mem_free, mem_calloc, mem_realloc};
	nghttp2_option *option;

	if (nghttp2_option_new(&option)) {
		abort();
	}
	nghttp2_option_set_no_http_messaging(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	if (server ? nghttp2_session_server_new3(&g->session, calls, g, option, &mem)
		   : nghttp2_session_client_new3(&g->session, calls, g, option, &mem)) {
		abort();
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(calls);
	nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, server ? servers : clients, 1);
}

static struct grpc *create(const struct grpc_role *role, size_t max_message)
{
	struct grpc *g = xcalloc(1, sizeof(*g));

	g->role = role;
	g->max_message = max_message;
	link_init(&g->calls);
	link_init(&g->news);
	session_create(g);
	return g;
}

struct grpc *grpc_server(const struct grpc_method *methods, void *ctx, size_t max_message)
{
	struct grpc *g = create(&grpc_server_role, max_message);

	g->methods = methods;
	g->ctx = ctx;
	return g;
}

struct grpc *grpc_client(void)
{
	return create(&grpc_client_role, 0);
}

struct grpc *grpc_destroy(struct grpc *g)
{
	if (g) {
		link_each(l, &g->calls)
		{
			grpc_call_free(container_of(l, struct grpc_call, all));
		}
		nghttp2_session_del(g->session);
		free(g);
	}
	return NULL;
}

/* --- steps --------------------------------------------------------------------------------- */

static void tell_all(struct grpc *g)
{
	while (!link_empty(&g->news)) {
		struct grpc_call *c = container_of(g->news.next, struct grpc_call, news);

		link_remove(&c->news);
		g->role->tell(c);
	}
}

int grpc_feed(struct grpc *g, const void *bytes, size_t n, int64_t now, struct err *err)
{
	ssize_t used;

	if (g->broken) {
		return err_set(err, "the connection is closed");
	}
	g->now = now;
	g->busy++;
	used = nghttp2_session_mem_recv(g->session, bytes, n);
	tell_all(g);
	g->busy--;
	if (used < 0) {
		g->why = nghttp2_strerror((int)used);
		return err_set(err, "HTTP/2: %s", g->why);
	}
	return 0;
}

void grpc_out(struct grpc *g, struct buf *buf)
{
	const uint8_t *bytes;
	ssize_t n = 0;

	g->busy++;
	while (!g->broken && buf->len < GRPC_CHUNK &&
	       (n = nghttp2_session_mem_send(g->session, &bytes)) > 0) {
		buf_add(buf, bytes, (size_t)n);
	}
	if (n < 0) {
		g->why = nghttp2_strerror((int)n);
		g->broken = true;
	}
	tell_all(g);
	g->busy--;
}

int64_t grpc_wake(const struct grpc *g)
{
	int64_t at = INT64_MAX;

	link_each(l, &g->calls)
	{
		at = MIN(at, container_of(l, struct grpc_call, all)->deadline);
	}
	return at;
}

/* Callbacks may open and end calls meanwhile: looked for anew after each. */
static struct grpc_call *late_one(struct grpc *g, int64_t now)
{
	link_each(l, &g->calls)
	{
		struct grpc_call *c = container_of(l, struct grpc_call, all);

		if (c->deadline <= now) {
			return c;
		}
	}
	return NULL;
}

void grpc_turn(struct grpc *g, int64_t now)
{
	struct grpc_call *c;

	g->now = now;
	g->busy++;
	while ((c = late_one(g, now))) {
		c->deadline = INT64_MAX;
		g->role->late(c);
	}
	tell_all(g);
	g->busy--;
}

void grpc_broke(struct grpc *g, const char *why)
{
	g->broken = true;
	g->busy++;
	link_each(l, &g->calls)
	{
		struct grpc_call *c = container_of(l, struct grpc_call, all);

		if (!c->over) {
			nghttp2_session_set_stream_user_data(g->session, c->stream, NULL);
			c->stream = 0;
			c->over = true;
			grpc_ends_as(c, GRPC_UNAVAILABLE, why);
			grpc_call_news(c);
		}
	}
	tell_all(g);
	g->busy--;
}

bool grpc_over(const struct grpc *g)
{
	return g->broken ||
	       (!nghttp2_session_want_read(g->session) && !nghttp2_session_want_write(g->session));
}

const char *grpc_why(const struct grpc *g)
{
	return g->why;
}

size_t grpc_calls(const struct grpc *g)
{
	return g->n_calls;
}

void grpc_notify(struct grpc *g, void (*ready)(void *ctx), void *ctx)
{
	g->ready = ready;
	g->ready_ctx = ctx;
}

void grpc_mute(struct grpc *g)
{
	g->muted = true;
	g->ready = NULL;
}
