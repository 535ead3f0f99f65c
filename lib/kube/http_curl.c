/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface on our loop: sockets, its timer, easy handles, and what came of them.
 *
 * libcurl's functions must not be called from its callbacks: h->depth says that we are inside; what
 * the caller asks for meanwhile (start, cancel) is done in after(), which follows every entry.
 */
#include "kube/http_private.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "kube/http_header.h"

/* Sockets */

static void after(struct http *h);

static void on_sock(void *ctx, int fd, uint32_t events)
{
	struct http_sock *s = ctx;
	struct http *h = s->http;
	int running, flags = 0;

	flags |= events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP) ? CURL_CSELECT_IN : 0;
	flags |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	flags |= events & EPOLLERR ? CURL_CSELECT_ERR : 0;
	if (events & EPOLLIN) {
		s->byte_ms = loop_now(h->loop);
	}
	h->depth++;
	curl_multi_socket_action(h->multi, fd, flags, &running); /* s may be gone */
	h->depth--;
	after(h);
}

static void on_curl_timer(void *ctx)
{
	struct http *h = ctx;
	int running;

	h->depth++;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	h->depth--;
	after(h);
}

static int set_timer(CURLM *multi attr_unused, long timeout_ms, void *ctx)
{
	struct http *h = ctx;

	loop_timer_set(h->curl_timer, timeout_ms < 0 ? INT64_MAX : loop_now(h->loop) + timeout_ms);
	return 0;
}

static long local_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
		return 0;
	}
	return a.ss_family == AF_INET	 ? ntohs(((struct sockaddr_in *)&a)->sin_port)
	       : a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&a)->sin6_port)
					 : 0;
}

static void sock_add(struct http *h, int fd, uint32_t events)
{
	struct http_sock *s = xcalloc(1, sizeof(*s));

	*s = (struct http_sock){.http = h,
				.next = h->socks,
				.fd = fd,
				.port = local_port(fd),
				.byte_ms = loop_now(h->loop)};
	if (h->socks) {
		h->socks->prev = s;
	}
	h->socks = s;
	s->io = loop_add(h->loop, fd, events, on_sock, s, "API server connection");
	curl_multi_assign(h->multi, fd, s);
}

static void sock_remove(struct http *h, struct http_sock *s)
{
	loop_remove(s->io);
	if (s->next) {
		s->next->prev = s->prev;
	}
	*(s->prev ? &s->prev->next : &h->socks) = s->next;
	free(s);
}

static int set_sock(CURL *easy attr_unused, curl_socket_t fd, int what, void *ctx, void *assigned)
{
	struct http *h = ctx;
	struct http_sock *s = assigned;
	uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
			  (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);

	if (what == CURL_POLL_REMOVE) {
		if (s) {
			sock_remove(h, s);
		}
	} else if (!s) {
		sock_add(h, fd, events);
	} else {
		loop_change(s->io, events);
		s->port = s->port ? s->port : local_port(fd); /* 0 until connect was called */
	}
	return 0;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose attr_unused,
				 struct curl_sockaddr *a)
{
	struct http *h = ctx;
	int on = 1, idle = 15, every = 10, times = 3;
	unsigned dead = HTTP_TCP_DEAD_MS;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);

	if (fd < 0) {
		return CURL_SOCKET_BAD;
	}
	/* Unanswered bytes end the connection after 30 s, silence is asked about after 15 s: a dead
	 * peer is noticed within 45 s. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead));
	h->counts.connections++;
	return fd;
}

/* A connection's record buffers (2 x 17 KiB) are given back whenever they are empty. */
static CURLcode set_tls(CURL *easy attr_unused, void *ssl_ctx, void *ctx attr_unused)
{
	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
	return CURLE_OK;
}

/* What arrives for a request */

static bool fresh(const struct http_request *r)
{
	return r->state == HTTP_ACTIVE && !r->refused && !r->too_big;
}

static void tell_status(struct http_request *r)
{
	if (r->told || r->hold) {
		return;
	}
	if (r->status == 401 && !r->tried_401) {
		r->hold = true; /* known when it is over whether it goes out again */
		return;
	}
	r->http->refused = r->status == 401;
	if (!r->call.timeout_ms) {
		http_measure_answer(r, r->status);
	}
	r->told = r->call.status || r->call.bytes; /* one that only collects has seen nothing yet */
	if (r->call.status) {
		r->call.status(r->call.ctx, r->status, r->retry_after);
	}
}

static size_t on_header(char *line, size_t size attr_unused, size_t n, void *ctx)
{
	struct http_request *r = ctx;
	struct http_header h;
	bool end;

	if (!fresh(r)) {
		return 0;
	}
	r->byte_ms = loop_now(r->http->loop);
	h = (struct http_header){r->status, r->retry_after};
	end = http_header_line(&h, line, n, (int64_t)time(NULL));
	r->status = h.status;
	r->retry_after = h.retry_after;
	if (end && r->status >= 200) {
		tell_status(r);
	}
	return r->state == HTTP_ACTIVE ? n : 0;
}

static size_t on_bytes(char *bytes, size_t size attr_unused, size_t n, void *ctx)
{
	struct http_request *r = ctx;

	if (!fresh(r)) {
		return 0;
	}
	r->byte_ms = loop_now(r->http->loop);
	if (r->hold || !r->call.bytes) {
		r->too_big = buf_add(&r->body, bytes, n) < 0;
	} else {
		r->refused = r->call.bytes(r->call.ctx, bytes, n) < 0;
	}
	return fresh(r) ? n : 0; /* the caller may have cancelled it */
}

/*
 * Called each time that the request is about to go out. libcurl sends a request again by itself
 * when a connection that was used before breaks without an answer, whatever the method: for a write
 * this is the second call, and ends it.
 */
static int on_send(void *ctx, char *ip attr_unused, char *local_ip attr_unused,
		   int port attr_unused, int local)
{
	struct http_request *r = ctx;

	if (r->sends++ && r->unknown) {
		return CURL_PREREQFUNC_ABORT;
	}
	r->unknown = !str_eq(r->call.method, "GET") && !str_eq(r->call.method, "HEAD");
	r->port = local;
	return r->state == HTTP_ACTIVE ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* Easy handles */

static CURL *easy_create(struct http *h, char *error)
{
	CURL *e = curl_easy_init();

	if (!e) {
		return NULL;
	}
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT,
			 1L); /* wait for the one connection rather than open a second */
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, set_tls);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, h);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS,
			 1L); /* a proxy's answer is not the server's */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT,
			 1L); /* else a cancel joins the resolver's thread, which may hang in DNS */
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 16384L);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_send);
	if (h->settings.gzip) {
		curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip");
	}
	return e;
}

static struct http_slot *slot_get(struct http *h)
{
	struct http_slot *s = h->free_slots;

	if (s) {
		h->free_slots = s->next;
		h->n_free--;
	} else {
		s = xcalloc(1, sizeof(*s));
		s->easy = easy_create(h, s->error);
		if (!s->easy) {
			free(s);
			return NULL;
		}
	}
	if (s->peer != h->peer) {
		http_peer_apply(h->peer,
				s->easy); /* before the old one goes: its blobs were lent */
		http_peer_unref(s->peer);
		s->peer = http_peer_ref(h->peer);
	}
	return s;
}

static void slot_free(struct http_slot *s)
{
	curl_easy_cleanup(s->easy);
	http_peer_unref(s->peer);
	free(s);
}

static void slot_put(struct http *h, struct http_slot *s)
{
	s->next = h->free_slots;
	h->free_slots = s;
	h->n_free++;
}

void http_curl_trim(struct http *h, size_t keep)
{
	bool any = h->n_free > keep;

	while (h->n_free > keep) {
		struct http_slot *s = h->free_slots;

		h->free_slots = s->next;
		h->n_free--;
		slot_free(s);
	}
	if (any) {
		malloc_trim(0); /* what a busy minute took goes back to the kernel */
	}
}

static CURLcode set_request(struct http_request *r, CURL *e)
{
	const struct http_call *c = &r->call;
	auto_free char *url = xprintf("%s%s%s%s", r->slot->peer->base, c->path, c->query ? "?" : "",
				      c->query ? c->query : "");
	bool head = str_eq(c->method, "HEAD");

	/* In this order: NOBODY and HTTPGET reset the method, POSTFIELDS sets it. */
	curl_easy_setopt(e, CURLOPT_NOBODY, head ? 1L : 0L);
	if (!head) {
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	}
	if (c->body) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->length);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, c->body);
	}
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, head ? NULL : c->method);
	curl_easy_setopt(
		e, CURLOPT_HTTPHEADER,
		http_peer_headers(r->slot->peer, c->accept, c->body ? c->content_type : NULL));
	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, r);
	return curl_easy_setopt(e, CURLOPT_URL, url);
}

int http_curl_start(struct http_request *r)
{
	struct http *h = r->http;
	CURLMcode code;

	r->slot = slot_get(h);
	if (!r->slot) {
		return -1;
	}
	r->slot->error[0] = '\0';
	r->status = 0;
	r->retry_after = -1;
	r->sends = 0;
	r->unknown = r->hold = false;
	r->generation = r->slot->peer->generation;
	buf_reset(&r->body);
	h->depth++;
	code = set_request(r, r->slot->easy) ? CURLM_BAD_EASY_HANDLE
					     : curl_multi_add_handle(h->multi, r->slot->easy);
	h->depth--;
	if (code) {
		slot_put(h, take(r->slot));
		return -1;
	}
	return 0;
}

void http_curl_remove(struct http_request *r)
{
	struct http *h = r->http;

	if (!r->slot) {
		return;
	}
	h->depth++;
	curl_multi_remove_handle(h->multi, r->slot->easy);
	h->depth--;
	slot_put(h, take(r->slot));
}

/* The end of an exchange */

static bool idempotent(const struct http_request *r)
{
	return str_eq(r->call.method, "GET") || str_eq(r->call.method, "HEAD");
}

/* Broke on the way, before the caller saw anything of it: a GET, or what never went out, goes out
 * again. Not when connecting failed. */
static bool worth_retrying(const struct http_request *r, CURLcode code)
{
	switch (code) {
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP2:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return !r->told && r->retries < HTTP_RETRIES && r->sends > 0 && idempotent(r);
	default:
		return false;
	}
}

static void ended(struct http_request *r, CURLcode code)
{
	char text[ERR_MAX];

	if (code == CURLE_OK && r->status) {
		http_curl_remove(r);
		r->unknown = false;
		if (!r->hold || !http_cred_again(r)) {
			http_finish(r, NULL);
		}
		return;
	}
	http_error(r, code, text, sizeof(text));
	http_curl_remove(r);
	if (code == CURLE_PEER_FAILED_VERIFICATION && http_cred_renewed(r)) {
		http_requeue(r); /* the server's CA may have been replaced, and our file with it */
	} else if (worth_retrying(r, code)) {
		r->retries++;
		http_measure_retry(r);
		http_requeue(r);
	} else {
		http_finish(r, text);
	}
}

/* After every visit of libcurl: what was cancelled meanwhile, what is over, what may go out now. */
static void after(struct http *h)
{
	CURLMsg *msg;
	int left;

	if (h->depth) {
		return;
	}
	http_bury(h);
	while ((msg = curl_multi_info_read(h->multi, &left))) {
		struct http_request *r = NULL;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		ended(r, msg->data.result);
	}
	http_pump(h);
}

void http_curl_kick(struct http *h)
{
	on_curl_timer(h);
}

/* The loop and its end */

int http_curl_init(struct http *h, struct err *err)
{
	static bool global;

	if (!global && curl_global_init(CURL_GLOBAL_DEFAULT)) {
		return err_set(err, "libcurl does not start");
	}
	global = true;
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to a connection that the server has closed */
	h->multi = curl_multi_init();
	if (!h->multi) {
		return err_set(err, "libcurl does not start");
	}
	h->curl_timer = loop_timer_create(h->loop, on_curl_timer, h, "API server");
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
			  1000L); /* ours; the server's own limit holds as well */
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 4L);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_sock);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return 0;
}

void http_curl_finish(struct http *h)
{
	http_curl_trim(h, 0);
	if (h->multi) {
		curl_multi_cleanup(
			h->multi); /* closes the connections: set_sock removes the sockets */
	}
	loop_timer_destroy(h->curl_timer);
}
