/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_test.h: an HTTPS server with HTTP/2 (nghttp2, OpenSSL) on the loop of the test itself,
 * which can be told to misbehave. Included by tests only.
 *
 * Each whole request is handed to on_request, which answers with srv_reply, or srv_begin and
 * srv_data, now or later, or not at all. Requests and connections stay readable until srv_destroy.
 */
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/loop.h"
#include "kube/pki_test.h"

#define SRV_MAX 4096

struct srv_conn {
	struct srv *srv;
	int fd, number; /* number: 0, 1, ... in order of arrival */
	SSL *ssl;
	nghttp2_session *h2;
	struct loop_io *io;
	struct buf out;			/* bytes that TLS did not take yet */
	bool ready, frozen, dead, busy; /* busy: within nghttp2, which must not be entered again */
	char sni[100];
};

struct srv_request {
	struct srv_conn *conn;
	int32_t id;
	char *method, *path, *authority;
	struct buf headers; /* "name: value\n" in the order of arrival */
	struct buf body;
	struct buf reply; /* what data frames still have to carry */
	bool begun, ended, closed;
	uint32_t closed_with;
};

struct srv {
	struct loop *loop;
	int fd, port;
	SSL_CTX *ctx;
	struct loop_io *io;
	struct srv_conn *conns[SRV_MAX];
	struct srv_request *requests[SRV_MAX];
	int n_conns, n_requests;
	unsigned max_streams; /* at once on a connection, that it says; 0: 250 */
	bool freeze_new;      /* connections are taken, nothing is ever read from them */
	void (*on_request)(struct srv_request *r);
};

static void srv_flush(struct srv_conn *c);

/* What the server says */

static ssize_t srv_read_reply_(nghttp2_session *h2 attr_unused, int32_t id attr_unused, uint8_t *to,
			       size_t n, uint32_t *flags, nghttp2_data_source *source,
			       void *ctx attr_unused)
{
	struct srv_request *r = source->ptr;

	n = MIN(n, r->reply.len);
	if (n) {
		memcpy(to, r->reply.bytes, n);
		buf_drop(&r->reply, n);
	}
	if (!r->reply.len && r->ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return n || r->ended ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
}

#define SRV_NV_(n, v) ((nghttp2_nv){(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), 0})

/* header: "name: value" or NULL. */
static void srv_begin(struct srv_request *r, int status, const char *header)
{
	nghttp2_data_provider data = {.source.ptr = r, .read_callback = srv_read_reply_};
	bool bodiless = str_eq(r->method, "HEAD");
	auto_free char *code = xprintf("%d", status), *name = header ? xstrdup(header) : NULL;
	char *value = name ? strstr(name, ": ") : NULL;
	nghttp2_nv nv[3] = {SRV_NV_(":status", code), SRV_NV_("content-type", "application/json")};
	size_t n = 2;

	if (value) {
		*value = '\0';
		nv[n++] = SRV_NV_(name, value + 2);
	}
	r->begun = true;
	nghttp2_submit_response(r->conn->h2, r->id, nv, n, bodiless ? NULL : &data);
	srv_flush(r->conn);
}

attr_unused static void srv_data(struct srv_request *r, const char *bytes, size_t n, bool end)
{
	buf_add(&r->reply, bytes, n);
	r->ended = end;
	nghttp2_session_resume_data(r->conn->h2, r->id);
	srv_flush(r->conn);
}

static void srv_reply(struct srv_request *r, int status, const char *header, const char *body)
{
	buf_str(&r->reply, body);
	r->ended = true;
	srv_begin(r, status, header);
}

attr_unused static void srv_reset(struct srv_request *r, uint32_t error)
{
	nghttp2_submit_rst_stream(r->conn->h2, 0, r->id, error);
	srv_flush(r->conn);
}

attr_unused static void srv_goaway(struct srv_conn *c, int32_t last_id, uint32_t error)
{
	nghttp2_submit_goaway(c->h2, 0, last_id, error, NULL, 0);
	srv_flush(c);
}

/* Gone without a word (RST). */
static void srv_cut(struct srv_conn *c)
{
	struct linger now = {.l_onoff = 1};

	if (c->dead) {
		return;
	}
	c->dead = true;
	c->io = loop_remove(c->io);
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
}

/* From here on nothing is read or written: the kernel alone answers. */
attr_unused static void srv_freeze(struct srv_conn *c)
{
	c->frozen = true;
	c->io = loop_remove(c->io);
}

/* What the server hears */

static struct srv_request *srv_find_(nghttp2_session *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2, id);
}

static int srv_on_begin_(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct srv_conn *c = ctx;
	struct srv_request *r = xcalloc(1, sizeof(*r));

	if (f->hd.type != NGHTTP2_HEADERS || c->srv->n_requests >= SRV_MAX) {
		abort();
	}
	*r = (struct srv_request){.conn = c, .id = f->hd.stream_id};
	buf_init(&r->headers, 64 * KiB);
	buf_init(&r->body, 64 * MiB);
	buf_init(&r->reply, 64 * MiB);
	c->srv->requests[c->srv->n_requests++] = r;
	nghttp2_session_set_stream_user_data(h2, r->id, r);
	return 0;
}

static int srv_on_header_(nghttp2_session *h2, const nghttp2_frame *f, const uint8_t *name,
			  size_t n, const uint8_t *value, size_t m, uint8_t flags attr_unused,
			  void *ctx attr_unused)
{
	struct srv_request *r = srv_find_(h2, f->hd.stream_id);
	char **field = str_eq((const char *)name, ":method")	  ? &r->method
		       : str_eq((const char *)name, ":path")	  ? &r->path
		       : str_eq((const char *)name, ":authority") ? &r->authority
								  : NULL;

	if (field) {
		*field = xstrndup((const char *)value, m);
	} else if (*name != ':') {
		buf_printf(&r->headers, "%.*s: %.*s\n", (int)n, name, (int)m, value);
	}
	return 0;
}

static int srv_on_data_(nghttp2_session *h2, uint8_t flags attr_unused, int32_t id,
			const uint8_t *bytes, size_t n, void *ctx attr_unused)
{
	buf_add(&srv_find_(h2, id)->body, bytes, n);
	return 0;
}

static int srv_on_frame_(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct srv_conn *c = ctx;

	if ((f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA) &&
	    f->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		c->srv->on_request(srv_find_(h2, f->hd.stream_id));
	}
	return 0;
}

static int srv_on_close_(nghttp2_session *h2, int32_t id, uint32_t error, void *ctx attr_unused)
{
	struct srv_request *r = srv_find_(h2, id);

	if (r) {
		r->closed = true;
		r->closed_with = error;
	}
	return 0;
}

static void srv_start_h2_(struct srv_conn *c)
{
	nghttp2_session_callbacks *cb;
	nghttp2_settings_entry limit = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
					c->srv->max_streams ? c->srv->max_streams : 250};

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, srv_on_begin_);
	nghttp2_session_callbacks_set_on_header_callback(cb, srv_on_header_);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, srv_on_data_);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, srv_on_frame_);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, srv_on_close_);
	nghttp2_session_server_new(&c->h2, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->h2, 0, &limit, 1);
}

static void srv_flush(struct srv_conn *c)
{
	if (c->dead || c->frozen || c->busy || !c->h2) {
		return;
	}
	for (;;) {
		const uint8_t *bytes;
		ssize_t n = nghttp2_session_mem_send(c->h2, &bytes);

		if (n <= 0) {
			break;
		}
		buf_add(&c->out, bytes, (size_t)n);
	}
	while (c->out.len) {
		int n = SSL_write(c->ssl, c->out.bytes, (int)MIN(c->out.len, (size_t)16384));

		if (n <= 0) {
			break;
		}
		buf_drop(&c->out, (size_t)n);
	}
	loop_change(c->io, EPOLLIN | (c->out.len ? (uint32_t)EPOLLOUT : 0));
}

static void srv_receive_(struct srv_conn *c)
{
	uint8_t part[16384];

	while (!c->dead && !c->frozen) {
		int n = SSL_read(c->ssl, part, sizeof(part));

		if (n <= 0) {
			if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) {
				srv_cut(c);
			}
			return;
		}
		c->busy = true;
		n = (int)nghttp2_session_mem_recv(c->h2, part, (size_t)n);
		c->busy = false;
		if (n < 0) {
			srv_cut(c);
		}
	}
}

static void srv_on_conn_(void *ctx, int fd attr_unused, uint32_t events attr_unused)
{
	struct srv_conn *c = ctx;

	if (!c->ready) {
		int r = SSL_do_handshake(c->ssl);
		int e = SSL_get_error(c->ssl, r);

		if (r != 1) {
			if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
				srv_cut(c);
			}
			ERR_clear_error();
			return;
		}
		c->ready = true;
		snprintf(c->sni, sizeof(c->sni), "%s",
			 SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) ?: "");
		srv_start_h2_(c);
	}
	srv_receive_(c);
	srv_flush(c);
	ERR_clear_error();
}

static void srv_on_accept_(void *ctx, int fd, uint32_t events attr_unused)
{
	struct srv *s = ctx;
	struct srv_conn *c;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (peer < 0) {
		return;
	}
	/* As Go's servers do: else an answer waits 40 ms for the acknowledgement of the one before. */
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = xcalloc(1, sizeof(*c));
	*c = (struct srv_conn){.srv = s, .fd = peer, .number = s->n_conns, .ssl = SSL_new(s->ctx)};
	s->conns[s->n_conns++] = c;
	buf_init(&c->out, 256 * MiB);
	SSL_set_fd(c->ssl, peer);
	SSL_set_accept_state(c->ssl);
	if (s->freeze_new) {
		c->frozen = true;
		return;
	}
	c->io = loop_add(s->loop, peer, EPOLLIN, srv_on_conn_, c, "test server connection");
}

/* Life */

static int srv_alpn_(SSL *ssl attr_unused, const unsigned char **out, unsigned char *n,
		     const unsigned char *in, unsigned in_n, void *ctx attr_unused)
{
	return SSL_select_next_proto((unsigned char **)out, n, (const unsigned char *)"\x02h2", 3,
				     in, in_n) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_NOACK;
}

/* New connections show this certificate; client_ca not NULL: they must show one that it has signed.
 */
static void srv_set_cert(struct srv *s, const struct pki *cert, const struct pki *client_ca)
{
	X509 *x = pki_cert_(cert->cert);
	EVP_PKEY *k = pki_key_(cert->key);

	SSL_CTX_free(s->ctx);
	s->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_mode(s->ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(s->ctx, srv_alpn_, NULL);
	if (SSL_CTX_use_certificate(s->ctx, x) != 1 || SSL_CTX_use_PrivateKey(s->ctx, k) != 1) {
		abort();
	}
	if (client_ca) {
		X509 *ca = pki_cert_(client_ca->cert);

		X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), ca);
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		X509_free(ca);
	}
	X509_free(x);
	EVP_PKEY_free(k);
}

/* A listening socket on 127.0.0.1; port 0: any. */
static int srv_listen(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)*port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
		abort();
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static struct srv *srv_create(struct loop *l, const struct pki *cert,
			      void (*on_request)(struct srv_request *))
{
	struct srv *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->on_request = on_request;
	s->fd = srv_listen(&s->port);
	srv_set_cert(s, cert, NULL);
	s->io = loop_add(l, s->fd, EPOLLIN, srv_on_accept_, s, "test server");
	return s;
}

static void srv_stop_listening(struct srv *s)
{
	s->io = loop_remove(s->io);
	if (s->fd >= 0) {
		close(s->fd);
	}
	s->fd = -1;
}

static struct srv *srv_destroy(struct srv *s)
{
	if (!s) {
		return NULL;
	}
	srv_stop_listening(s);
	for (int i = 0; i < s->n_conns; i++) {
		struct srv_conn *c = s->conns[i];

		srv_cut(c);
		nghttp2_session_del(c->h2);
		SSL_free(c->ssl);
		buf_finish(&c->out);
		free(c);
	}
	for (int i = 0; i < s->n_requests; i++) {
		struct srv_request *r = s->requests[i];

		free(r->method), free(r->path), free(r->authority);
		buf_finish(&r->headers), buf_finish(&r->body), buf_finish(&r->reply);
		free(r);
	}
	SSL_CTX_free(s->ctx);
	free(s);
	return NULL;
}
