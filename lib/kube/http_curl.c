/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface on our loop: sockets, its timer, easy handles, and what came of them.
 *
 * libcurl's functions must not be called from its callbacks: h->depth says that we are inside; what
 * the caller asks for meanwhile (start, cancel) is done in after(), which follows every entry.
 */
#include "kube/http_private.h"

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

#define SOCK_NAME "API server connection"

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

/*
 * epoll refuses a file: the limit of watched ones, or no memory. An error of set_sock would end
 * every transfer, and take no new one until all had ended; so this one waits until there is room,
 * or until its own time is over.
 */
static void watch_sock(struct http_sock *s)
{
	struct http *h = s->http;

	s->io = loop_add(h->loop, s->fd, s->events, s->fn, s->ctx, SOCK_NAME);
	if (s->io) {
		return;
	}
	http_notice(
		h, true,
		"the kernel watches no more connections for us; raise fs.epoll.max_user_watches, or give the machine memory");
	if (loop_timer_at(h->unwatched_timer) == INT64_MAX) {
		loop_timer_set(h->unwatched_timer, loop_now(h->loop) + HTTP_UNWATCHED_MS);
	}
}

static void on_unwatched(void *ctx)
{
	struct http *h = ctx;

	for (struct http_sock *s = h->socks; s; s = s->next) {
		if (!s->io) {
			watch_sock(s);
		}
	}
}

static struct http_sock *sock_add(struct http *h, int fd, uint32_t events, loop_io_fn *fn,
				  void *ctx)
{
	struct http_sock *s = xcalloc(1, sizeof(*s));

	*s = (struct http_sock){.http = h,
				.next = h->socks,
				.fn = fn,
				.ctx = ctx ? ctx : s,
				.events = events,
				.fd = fd,
				.port = local_port(fd),
				.byte_ms = loop_now(h->loop)};
	if (h->socks) {
		h->socks->prev = s;
	}
	h->socks = s;
	watch_sock(s);
	return s;
}

struct http_sock *http_sock_open(struct http *h, struct http_slot *s, loop_io_fn *fn, void *ctx)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &fd);
	return sock_add(h, fd, EPOLLIN, fn, ctx);
}

void http_sock_want(struct http_sock *s, uint32_t events)
{
	s->events = events;
	if (s->io) {
		loop_change(s->io, events);
	}
}

void http_sock_remove(struct http_sock *s)
{
	struct http *h = s->http;

	if (s->io) {
		loop_remove(s->io);
	}
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
			http_sock_remove(s);
		}
	} else if (!s) {
		curl_multi_assign(h->multi, fd, sock_add(h, fd, events, on_sock, NULL));
	} else {
		http_sock_want(s, events);
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

/*
 * A connection's record buffers (2 x 17 KiB) are given back whenever they are empty. Where we read
 * until there is no more (http_h2.c), TLS may take what the socket has, instead of each record's
 * head first; what it could not write is offered again from a buffer that may have moved. There we
 * also offer HTTP/2 behind libcurl's back, which would speak it itself.
 */
static CURLcode set_tls(CURL *easy attr_unused, void *ssl_ctx, void *ctx)
{
	static const unsigned char protocols[] = "\2h2\10http/1.1";
	struct http_slot *s = ctx;
	bool to_proxy = s->conn && s->peer->https_proxy && !s->handshakes++;

	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
	if (s->conn && !to_proxy) {
		SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
						  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		SSL_CTX_set_read_ahead(ssl_ctx, 1);
		SSL_CTX_set_alpn_protos(ssl_ctx, protocols, sizeof(protocols) - 1);
	}
	return CURLE_OK;
}

/* What arrives for a request */

static size_t on_header(char *line, size_t size attr_unused, size_t n, void *ctx)
{
	struct http_request *r = ctx;
	struct http_header h;
	bool end;

	if (!http_fresh(r)) {
		return 0;
	}
	r->byte_ms = loop_now(r->http->loop);
	h = (struct http_header){r->status, r->retry_after};
	end = http_header_line(&h, line, n, (int64_t)time(NULL));
	r->status = h.status;
	r->retry_after = h.retry_after;
	if (end && r->status >= 200) {
		http_got_status(r);
	}
	return r->state == HTTP_ACTIVE ? n : 0;
}

static size_t on_bytes(char *bytes, size_t size attr_unused, size_t n, void *ctx)
{
	return http_got_bytes(ctx, bytes, n) ? n : 0;
}

static bool speaks_h2(CURL *easy)
{
	struct curl_tlssessioninfo *tls = NULL;
	const unsigned char *name;
	unsigned n = 0;

	curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &tls);
	if (tls && tls->internals) {
		SSL_get0_alpn_selected(tls->internals, &name, &n);
	}
	return n == 2 && memcmp(name, "h2", 2) == 0;
}

/*
 * Called each time that the request is about to go out. libcurl sends a request again by itself
 * when a connection that was used before breaks without an answer, whatever the method: for a write
 * this is the second call, and ends it.
 */
static int on_send(void *ctx, char *ip attr_unused, char *local_ip attr_unused,
		   int port attr_unused, int local)
{
	struct http_slot *s = ctx;
	struct http_request *r = s->request;

	if (s->conn) {
		s->h2 = speaks_h2(s->easy);
		return CURL_PREREQFUNC_OK;
	}
	if (r->sends++ && r->unknown) {
		return CURL_PREREQFUNC_ABORT;
	}
	r->unknown = !http_idempotent(r);
	r->port = local;
	return r->state == HTTP_ACTIVE ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* Easy handles */

static CURL *easy_create(struct http *h, struct http_slot *s)
{
	CURL *e = curl_easy_init();

	if (!e) {
		return NULL;
	}
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(e, CURLOPT_PRIVATE, s);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, s);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
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
		s->easy = easy_create(h, s);
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
	while (h->n_free > keep) {
		struct http_slot *s = h->free_slots;

		h->free_slots = s->next;
		h->n_free--;
		slot_free(s);
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
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
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
	r->slot->request = r;
	h->depth++;
	h->curl_started = true;
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

/* libcurl's own words for what happened, which name errno or the TLS alert. */
const char *http_slot_error(const struct http_slot *s, CURLcode code)
{
	return *s->error ? s->error : curl_easy_strerror(code);
}

static void ended(struct http_request *r, CURLcode code)
{
	auto_free char *why = xstrdup(http_slot_error(r->slot, code));

	http_curl_remove(r);
	if (code == CURLE_OK && r->status) {
		http_done(r);
	} else {
		http_broke(r, code, why);
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
		struct http_slot *s = NULL;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&s);
		if (s->conn) {
			http_h2_connected(s->conn, msg->data.result);
		} else {
			ended(s->request, msg->data.result);
		}
	}
	http_pump(h);
	http_h2_flush(h);
}

void http_curl_kick(struct http *h)
{
	if (h->curl_started) {
		h->curl_started = false;
		on_curl_timer(h);
	}
}

/* Connections for http_h2.c */

struct http_slot *http_curl_connect(struct http *h, struct http_conn *c)
{
	struct http_slot *s = xcalloc(1, sizeof(*s));
	CURLMcode code = CURLM_OUT_OF_MEMORY;

	s->conn = c;
	s->peer = http_peer_ref(h->peer);
	s->easy = easy_create(h, s);
	if (s->easy) {
		http_peer_apply(s->peer, s->easy);
		curl_easy_setopt(s->easy, CURLOPT_URL, s->peer->base);
		curl_easy_setopt(s->easy, CURLOPT_CONNECT_ONLY, 1L);
		curl_easy_setopt(s->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
		code = curl_multi_add_handle(h->multi, s->easy);
	}
	if (code) {
		slot_free(s);
		return NULL;
	}
	h->curl_started = true;
	return s;
}

void http_curl_close(struct http *h, struct http_slot *s)
{
	h->depth++;
	curl_multi_remove_handle(h->multi, s->easy);
	h->depth--;
	slot_free(s);
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
	h->unwatched_timer = loop_timer_create(h->loop, on_unwatched, h, SOCK_NAME);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
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
	loop_timer_destroy(h->unwatched_timer);
}
