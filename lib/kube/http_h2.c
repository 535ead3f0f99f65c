/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 over a connection that libcurl has made (names, proxy, TLS, certificates) and that carries
 * bytes for us since: nghttp2 makes frames of our requests and answers of its frames.
 *
 * libcurl can do that part as well. It costs three times the CPU a request there: an easy handle
 * each, two system calls a frame, every stream of the connection visited when one has news. And it
 * hides what we need: whether the server has looked at a write that GOAWAY or a reset ended.
 *
 * One connection takes new requests; where a proxy allows it fewer streams than we have, a second,
 * and so on. One that the server sends away (GOAWAY), or that shows credentials which are replaced,
 * finishes its streams and closes. A server that does not speak
 * HTTP/2 is left to libcurl (http_curl.c), one connection a request.
 *
 * nghttp2's callbacks may call our callers, who may start and cancel requests: both only note what
 * is to be sent. Frames leave in http_h2_flush, connections end there and in on_ready.
 */
#include "kube/http_private.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "kube/http_header.h"

#define WINDOW (4 * MiB)  /* of a stream, and twice that of the connection */
#define RECORD (16 * KiB) /* most that TLS takes or gives at once */
#define READS_A_TURN 32
#define CONNS_MAX 4
#define OUT_MAX (16 * MiB)

struct http_conn {
	struct http *http;
	struct http_conn *next;
	struct http_peer *peer;
	struct http_slot *slot; /* connects; then only curl_easy_send and _recv */
	struct http_sock *sock; /* NULL while connecting */
	nghttp2_session *session;
	struct buf out;	 /* frames that the socket has not taken yet */
	int requests;	 /* that are active on it */
	bool leaving;	 /* takes no new ones */
	const char *why; /* the server broke the protocol: nghttp2's word for it */
};

/* Requests */

static void leave(struct http_request *r)
{
	struct http_conn *c = take(r->conn);

	c->requests--;
	r->stream = 0;
	if (!c->requests) {
		/* An attempt that nobody waits for any more is none to join. */
		c->leaving |= !c->session;
		http_soon(c->http); /* it can close */
	}
}

static ssize_t read_body(nghttp2_session *session attr_unused, int32_t id attr_unused, uint8_t *to,
			 size_t n, uint32_t *flags, nghttp2_data_source *source,
			 void *ctx attr_unused)
{
	struct http_request *r = source->ptr;

	n = MIN(n, r->call.length - r->body_sent);
	if (n) {
		memcpy(to, r->call.body + r->body_sent, n);
	}
	r->body_sent += n;
	if (r->body_sent == r->call.length) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)n;
}

struct fields {
	nghttp2_nv *nv;
	size_t n;
};

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

/* Each path is another: kept out of the table that both ends remember headers in. */
static int submit(struct http_conn *c, struct http_request *r)
{
	const struct http_call *call = &r->call;
	const struct http_peer *p = c->http->peer;
	auto_free char *path = xprintf("%s%s%s%s", p->prefix, call->path, call->query ? "?" : "",
				       call->query ? call->query : "");
	nghttp2_data_provider body = {.source = {.ptr = r}, .read_callback = read_body};
	auto_free nghttp2_nv *nv = xcalloc(p->n_fields + 8, sizeof(*nv));
	struct fields f = {.nv = nv};
	char length[24];

	add_field(&f, ":method", call->method, NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	add_field(&f, ":scheme", "https", NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	add_field(&f, ":authority", p->authority, 0);
	add_field(&f, ":path", path, NGHTTP2_NV_FLAG_NO_INDEX);
	add_field(&f, "accept", call->accept ? call->accept : "application/json", 0);
	for (size_t i = 0; i < p->n_fields; i++) {
		f.nv[f.n++] = (nghttp2_nv){
			.name = (uint8_t *)p->fields[i].name,
			.value = (uint8_t *)p->fields[i].value,
			.namelen = strlen(p->fields[i].name),
			.valuelen = strlen(p->fields[i].value),
		};
	}
	if (call->body) {
		snprintf(length, sizeof(length), "%zu", call->length);
		if (call->content_type) {
			add_field(&f, "content-type", call->content_type, 0);
		}
		add_field(&f, "content-length", length, NGHTTP2_NV_FLAG_NO_INDEX);
	}
	r->body_sent = 0;
	r->stream =
		nghttp2_submit_request(c->session, NULL, f.nv, f.n, call->body ? &body : NULL, r);
	r->port = c->sock->port;
	return r->stream < 0 ? -1 : 0;
}

static struct http_request *request_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

void http_h2_remove(struct http_request *r)
{
	struct http_conn *c = r->conn;

	if (!c) {
		return;
	}
	if (c->session && r->stream > 0) {
		nghttp2_session_set_stream_user_data(c->session, r->stream, NULL);
		nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, r->stream, NGHTTP2_CANCEL);
		http_soon(c->http);
	}
	leave(r);
}

/* A request's time is over. What the socket has not taken may be of it, and is not to go out later. */
void http_h2_hold(const struct http_request *r)
{
	if (r->conn && r->conn->sock && r->conn->out.len) {
		shutdown(r->conn->sock->fd, SHUT_RDWR);
	}
}

/* What the server sends */

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		    size_t n_name attr_unused, const uint8_t *value, size_t n,
		    uint8_t flags attr_unused, void *ctx attr_unused)
{
	struct http_request *r = request_of(session, frame->hd.stream_id);
	struct http_header h;

	if (!r || !http_fresh(r) || r->answered) {
		return 0;
	}
	h = (struct http_header){r->status, r->retry_after};
	http_header_field(&h, (const char *)name, (const char *)value, n, (int64_t)time(NULL));
	r->status = h.status;
	r->retry_after = h.retry_after;
	return 0;
}

/* The caller has had enough, or it grew too large. */
static void give_up(struct http_request *r)
{
	if (r->conn) {
		http_h2_remove(r);
		http_broke(r, CURLE_WRITE_ERROR, "");
	}
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http_conn *c = ctx;
	struct http_request *r;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->leaving = true;
	}
	r = frame->hd.stream_id ? request_of(session, frame->hd.stream_id) : NULL;
	if (!r) {
		return 0;
	}
	r->byte_ms = loop_now(c->http->loop);
	r->ended |= (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
		    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	if (frame->hd.type == NGHTTP2_HEADERS && r->status >= 200 && !r->answered) {
		r->answered = true; /* trailers may follow */
		http_got_status(r);
		if (!http_fresh(r)) {
			give_up(r);
		}
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags attr_unused, int32_t id,
		   const uint8_t *bytes, size_t n, void *ctx attr_unused)
{
	struct http_request *r = request_of(session, id);

	if (r && !http_got_bytes(r, (const char *)bytes, n)) {
		give_up(r);
	}
	return 0;
}

/* From here on it may have been carried out. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx attr_unused)
{
	struct http_request *r = request_of(session, frame->hd.stream_id);

	if (r && frame->hd.type == NGHTTP2_HEADERS) {
		r->sends++;
		r->unknown = !http_idempotent(r);
	}
	return 0;
}

/*
 * REFUSED_STREAM says that the server has not looked at it (RFC 9113 8.7); nghttp2 gives that code
 * also to the streams that a GOAWAY leaves out.
 */
static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx attr_unused)
{
	struct http_request *r = request_of(session, id);
	char why[ERR_MAX];

	if (!r) {
		return 0;
	}
	nghttp2_session_set_stream_user_data(session, id, NULL);
	leave(r);
	if (code == NGHTTP2_NO_ERROR && r->answered && r->ended) {
		http_done(r);
		return 0;
	}
	r->unknown &= code != NGHTTP2_REFUSED_STREAM;
	snprintf(why, sizeof(why), "HTTP/2 stream %d was not closed cleanly: %s (err %u)", id,
		 nghttp2_http2_strerror(code), code);
	http_broke(r, CURLE_HTTP2_STREAM, why);
	return 0;
}

/* The connection */

static void unlink_conn(struct http_conn *c)
{
	struct http_conn **at = &c->http->conns;

	while (*at != c) {
		at = &(*at)->next;
	}
	*at = c->next;
}

/* The one that went out last: those that go out again are put before the others, one by one. */
static struct http_request *last_request(struct http_conn *c)
{
	struct http_request *r = c->requests ? c->http->active.last : NULL;

	while (r && r->conn != c) {
		r = r->prev;
	}
	return r;
}

/* Its requests end with this code and these words. */
static void conn_end(struct http_conn *c, CURLcode code, const char *why)
{
	auto_free char *words = xstrdup(why);
	struct http_request *r;

	unlink_conn(c);
	if (c->sock) {
		http_sock_remove(c->sock);
	}
	nghttp2_session_del(c->session);
	c->session = NULL;
	http_curl_close(c->http, c->slot);
	while ((r = last_request(c))) {
		leave(r);
		http_broke(r, code, words);
	}
	http_peer_unref(c->peer);
	buf_finish(&c->out);
	free(c);
}

static void conn_broke(struct http_conn *c, CURLcode code)
{
	conn_end(c, code, c->why ? c->why : http_slot_error(c->slot, code));
}

/* Frames into c->out, as many as make a record of TLS. -1: no memory. */
static int make_frames(struct http_conn *c)
{
	const uint8_t *bytes;
	ssize_t n = 0;

	c->http->depth++;
	while (c->out.len < RECORD && (n = nghttp2_session_mem_send(c->session, &bytes)) > 0) {
		buf_add(&c->out, bytes, (size_t)n);
	}
	c->http->depth--;
	return n < 0 ? -1 : 0;
}

/* 1 when all has gone out, 0 when the socket takes no more now, -1 when it is broken. */
static int send_all(struct http_conn *c, CURLcode *ret_code)
{
	size_t n;

	for (;;) {
		if (make_frames(c) < 0) {
			*ret_code = CURLE_OUT_OF_MEMORY;
			return -1;
		}
		if (!c->out.len) {
			return 1;
		}
		*ret_code = curl_easy_send(c->slot->easy, c->out.bytes, c->out.len, &n);
		if (*ret_code) {
			return *ret_code == CURLE_AGAIN ? 0 : -1;
		}
		buf_drop(&c->out, n);
	}
}

/* False: it has ended. */
static bool receive(struct http_conn *c)
{
	char bytes[RECORD];
	size_t n;

	for (int i = 0; i < READS_A_TURN; i++) {
		CURLcode code = curl_easy_recv(c->slot->easy, bytes, sizeof(bytes), &n);
		ssize_t used;

		if (code == CURLE_AGAIN) {
			return true;
		}
		if (code || !n) {
			conn_end(c, CURLE_RECV_ERROR,
				 code ? http_slot_error(c->slot, code) : "the server closed it");
			return false;
		}
		c->http->depth++;
		used = nghttp2_session_mem_recv(c->session, (const uint8_t *)bytes, n);
		c->http->depth--;
		http_bury(c->http);
		if (used < 0) {
			c->why = nghttp2_strerror((int)used);
			conn_broke(c, CURLE_HTTP2);
			return false;
		}
	}
	loop_timer_set(c->http->more_timer, 0); /* TLS may hold bytes that epoll does not see */
	return true;
}

static void flush(struct http_conn *c)
{
	CURLcode code;
	int r = send_all(c, &code);

	if (r < 0) {
		if (receive(c)) { /* what had arrived before: answers, a GOAWAY */
			conn_broke(c, code);
		}
	} else if (!nghttp2_session_want_read(c->session) &&
		   !nghttp2_session_want_write(c->session)) {
		conn_broke(c, c->why ? CURLE_HTTP2 : CURLE_RECV_ERROR);
	} else if (c->leaving && !c->requests && r) {
		conn_end(c, CURLE_OK, "");
	} else {
		http_sock_want(c->sock, r ? EPOLLIN : EPOLLIN | EPOLLOUT);
		if (r) {
			buf_trim(&c->out);
		}
	}
}

void http_h2_flush(struct http *h)
{
	struct http_conn *next;

	for (struct http_conn *c = h->conns; c; c = next) {
		next = c->next;
		if (c->session) {
			flush(c);
		} else if (c->leaving && !c->requests) {
			conn_end(c, CURLE_OK, "");
		}
	}
	http_bury(h);
}

static void on_ready(void *ctx, int fd attr_unused, uint32_t events)
{
	struct http_conn *c = ctx;
	struct http *h = c->http;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		c->sock->byte_ms = loop_now(h->loop);
		receive(c);
	}
	http_pump(h);
	http_h2_flush(h);
}

void http_h2_more(void *ctx)
{
	struct http *h = ctx;
	struct http_conn *next;

	for (struct http_conn *c = h->conns; c; c = next) {
		next = c->next;
		if (c->session) {
			receive(c);
		}
	}
	http_pump(h);
	http_h2_flush(h);
}

/* What nghttp2 itself finds wrong with a frame; the stream or connection then ends by it. */
static int on_wrong_frame(nghttp2_session *session attr_unused, const nghttp2_frame *frame,
			  int code, void *ctx)
{
	struct http_conn *c = ctx;

	if (!frame->hd.stream_id) {
		c->why = nghttp2_strerror(code);
	}
	return 0;
}

static nghttp2_session *session_create(struct http_conn *c)
{
	static const nghttp2_settings_entry ours[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
	};
	nghttp2_session_callbacks *calls;
	nghttp2_session *session;

	if (nghttp2_session_callbacks_new(&calls)) {
		abort();
	}
	nghttp2_session_callbacks_set_on_header_callback(calls, on_field);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, on_wrong_frame);
	if (nghttp2_session_client_new(&session, calls, c)) {
		abort();
	}
	nghttp2_session_callbacks_del(calls);
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, ours, ARRAY_LEN(ours));
	nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 2 * WINDOW);
	return session;
}

/* What waits for this connection goes another way. */
static void hand_over(struct http_conn *c)
{
	struct http_request *r;

	while ((r = last_request(c))) {
		leave(r);
		http_requeue(r);
	}
	conn_end(c, CURLE_OK, "");
}

static void begin_session(struct http_conn *c)
{
	struct http *h = c->http;

	c->sock = http_sock_open(h, c->slot, on_ready, c);
	c->session = session_create(c);
	http_health_fence(h);
	for (struct http_request *r = h->active.first; r; r = r->next) {
		if (r->conn == c && submit(c, r) < 0) {
			conn_end(c, CURLE_OUT_OF_MEMORY, "nghttp2 does not take the request");
			return;
		}
	}
	loop_timer_set(h->more_timer, 0); /* TLS may have read ahead while it was made */
	flush(c);
}

void http_h2_connected(struct http_conn *c, CURLcode code)
{
	if (code) {
		conn_broke(c, code);
	} else if (!http_peer_same_way(c->peer, c->http->peer)) {
		hand_over(c); /* today's credentials are not for yesterday's server */
	} else if (!c->slot->h2 && c->slot->handshakes == 1) {
		/* One handshake where the proxy's comes first: it was the server's, and h2 was not
		 * offered. libcurl goes there directly, by NO_PROXY. */
		c->http->peer->https_proxy = false;
		hand_over(c);
	} else if (!c->slot->h2) {
		c->http->peer->http1 = true;
		hand_over(c);
	} else {
		begin_session(c);
	}
}

static struct http_conn *conn_create(struct http *h)
{
	struct http_conn *c = xcalloc(1, sizeof(*c));

	*c = (struct http_conn){.http = h, .next = h->conns, .peer = http_peer_ref(h->peer)};
	buf_init(&c->out, OUT_MAX);
	c->slot = http_curl_connect(h, c);
	if (!c->slot) {
		http_peer_unref(c->peer);
		free(c);
		return NULL;
	}
	h->conns = c;
	return c;
}

static bool is_full(const struct http_conn *c)
{
	return c->session && (uint32_t)c->requests >=
				     nghttp2_session_get_remote_settings(
					     c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* The one that takes new requests, NULL: a new one should. Others that are left finish. */
static struct http_conn *current(struct http *h)
{
	struct http_conn *found = NULL, *full = NULL;
	int n = 0;

	for (struct http_conn *c = h->conns; c; c = c->next) {
		if (c->session && !nghttp2_session_check_request_allowed(c->session)) {
			c->leaving = true;
		}
		if (c->peer != h->peer && !http_peer_same_way(c->peer, h->peer)) {
			c->leaving = true;
		}
		if (!c->leaving && is_full(c)) {
			full = c;
		} else if (!c->leaving) {
			found = found ? found : c;
		}
		n += !c->leaving;
	}
	return found || n < CONNS_MAX ? found : full;
}

int http_h2_start(struct http_request *r)
{
	struct http *h = r->http;
	struct http_conn *c = current(h);

	c = c ? c : conn_create(h);
	if (!c) {
		return -1;
	}
	r->conn = c;
	c->requests++;
	if (c->session && submit(c, r) < 0) {
		leave(r);
		return -1;
	}
	return 0;
}

void http_h2_finish(struct http *h)
{
	while (h->conns) {
		conn_end(h->conns, CURLE_OK, "the client is closing");
	}
}
