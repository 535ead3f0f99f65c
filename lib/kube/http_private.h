/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_private.h: what http*.c share. http.c: requests and their queue; http_h2.c: HTTP/2;
 * http_curl.c: libcurl on the loop, which connects and speaks HTTP/1.1; http_answer.c: what
 * arrives; http_peer.c: TLS, headers and credentials; http_health.c: timeouts and silent
 * connections; http_error.c: sentences.
 */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "kube/http.h"

#define HTTP_MAX_BODY (3 * MiB)
#define HTTP_PAUSE_MAX_S 60
#define HTTP_REFRESH_MS 60000
#define HTTP_CONNECT_MS 10000
#define HTTP_SILENT_MS 30000
#define HTTP_PROBE_MS 15000
#define HTTP_PLUGIN_MS 60000	  /* without a terminal */
#define HTTP_PLUGIN_ASK_MS 300000 /* with one: a person types */
#define HTTP_PLUGIN_AGAIN_MS 5000
#define HTTP_TCP_DEAD_MS 30000 /* TCP_USER_TIMEOUT */
#define HTTP_UNWATCHED_MS 200  /* the kernel takes no more watched files: tried again after this */
#define HTTP_RETRIES 3
#define HTTP_SLOTS_KEPT 2 /* easy handles kept while nothing happens */

/* How the server is reached and what we show it: one snapshot of the config, shared by the requests
 * made with it. */
struct http_peer {
	unsigned refs, generation;
	char *base;		  /* scheme://host:port/prefix for libcurl */
	char *authority, *prefix; /* of base: host:port, and what stands before each path */
	char *ca, *cert, *key, *proxy;
	bool insecure;
	bool http1;	  /* the server does not speak HTTP/2 */
	bool https_proxy; /* TLS to a proxy comes first, unless NO_PROXY has us go directly */
	struct curl_slist *connect_to; /* tls-server-name: the name in base, the address here */
	struct curl_slist *headers;    /* Authorization, Impersonate-*, Host, User-Agent, ... */
	struct http_variant *variants; /* headers with Accept and Content-Type in front */
	struct http_field {
		char *name, *value; /* the name in small letters */
	} *fields;		    /* headers, for HTTP/2 */
	size_t n_fields;
};

/* An easy handle with its options set for one peer. */
struct http_slot {
	CURL *easy;
	struct http_peer *peer;
	struct http_slot *next;	      /* while free */
	struct http_request *request; /* what it carries: one request, */
	struct http_conn *conn;	      /* or a connection's bytes */
	bool h2;		      /* conn: what the TLS handshake agreed on */
	unsigned handshakes; /* conn: begun; the first is a https:// proxy's, where one is */
	char error[CURL_ERROR_SIZE];
};

/* Waiting requests, in the order of going out. */
enum http_queue { HTTP_URGENT, HTTP_STREAMS, HTTP_OTHERS, HTTP_QUEUES };
enum http_state { HTTP_QUEUED, HTTP_FAILED, HTTP_ACTIVE, HTTP_DEAD };

struct http_request {
	struct http *http;
	struct http_request *prev, *next;
	enum http_state state;
	struct http_call call;	/* path, query and body: copies */
	struct http_slot *slot; /* while libcurl carries it */
	struct http_conn *conn; /* while it is on an HTTP/2 connection */
	int32_t stream;
	size_t body_sent;
	bool answered, ended; /* the header is there; and the whole answer */
	int64_t start_ms, active_ms, byte_ms;
	struct buf body;
	int status;
	int64_t retry_after;
	unsigned sends, retries, generation; /* generation: of the credentials it went out with */
	long port;			     /* our end of the connection it went out on */
	bool told;			     /* the caller knows the status: no retry any more */
	bool hold;			     /* a 401 that may be retried: its body is kept back */
	bool tried_401;			     /* went out again after a 401 */
	bool refused, too_big; /* the caller's bytes() said no; the body passed its maximum */
	bool unknown;
	bool measured;
};

struct http_list {
	struct http_request *first, *last;
};

/* A socket on our loop. */
struct http_sock {
	struct http *http;
	struct http_sock *prev, *next;
	struct loop_io *io; /* NULL: the kernel refused, on_unwatched tries again */
	loop_io_fn *fn;
	void *ctx;
	uint32_t events;
	int fd;
	long port;
	int64_t byte_ms; /* when it was last readable */
};

struct http {
	struct loop *loop;
	struct config *config;
	struct http_settings settings;
	char *user_agent;
	char *host; /* label of the metrics */
	CURLM *multi;
	struct loop_timer *curl_timer, *watch_timer, *refresh_timer, *pump_timer, *more_timer,
		*unwatched_timer;
	struct http_sock *socks;
	struct http_conn *conns; /* of HTTP/2, the newest first */
	struct http_slot *free_slots;
	size_t n_free;
	struct http_peer *peer;
	struct http_list queue[HTTP_QUEUES], failed, active,
		dead;	     /* dead: done was called from within libcurl or nghttp2 */
	int inflight;	     /* active requests with a timeout */
	int limit;	     /* of those now; at most settings.max_inflight */
	int64_t limit_ms;    /* when limit last changed */
	int64_t pause_until; /* 429 */
	int64_t refreshed_ms;
	uint64_t requests_then; /* http_trim, a minute ago */
	bool was_busy;
	unsigned depth; /* inside libcurl or nghttp2: most of their functions must not be called */
	bool closing, curl_started;
	struct http_request *probe;
	struct http_counts counts;
	bool refused; /* the last answer was a 401 */
	char *last_notice;
	struct process *plugin; /* exec plugin running */
	int64_t plugin_ms;	/* when it last began */
	bool plugin_failed;	/* then requests fail with plugin_err until it may run again */
	struct err plugin_err;
};

/* http.c */
void http_list_add(struct http_list *l, struct http_request *r);
void http_list_remove(struct http_list *l, struct http_request *r);
void http_finish(struct http_request *r,
		 const char *error); /* calls done; error NULL: as it stands */
void http_abort(struct http_request *r,
		const char *error); /* whatever its state: takes it back, then http_finish */
void http_fail_queued(struct http *h, const char *error);
void http_requeue(struct http_request *r); /* goes out again, before others */
void http_pump(struct http *h);		   /* sends off what may go out */
void http_soon(struct http *h);		   /* the same, in the next turn */
void http_trim(struct http *h);
void http_bury(struct http *h); /* not inside libcurl or nghttp2 */

/* http_answer.c */
void http_begin(struct http_request *r);       /* it is about to go out, perhaps again */
bool http_fresh(const struct http_request *r); /* somebody still wants to hear of it */
void http_got_status(struct http_request *r);
/* False: its reader has had enough, or it was cancelled. */
bool http_got_bytes(struct http_request *r, const char *bytes, size_t n);
bool http_idempotent(const struct http_request *r);
void http_done(struct http_request *r);
void http_broke(struct http_request *r, CURLcode code, const char *why); /* or goes out again */

/* http_h2.c */
int http_h2_start(struct http_request *r);   /* -1: no memory */
void http_h2_remove(struct http_request *r); /* at any time; nothing if it is not on one */
void http_h2_hold(const struct http_request *r);
void http_h2_flush(struct http *h); /* sends what has been noted; not inside nghttp2 */
void http_h2_more(void *http);
void http_h2_connected(struct http_conn *c, CURLcode code);
void http_h2_finish(struct http *h);

/* http_curl.c */
int http_curl_init(struct http *h, struct err *err);
void http_curl_finish(struct http *h);
int http_curl_start(struct http_request *r);   /* -1: libcurl has no memory or refuses the URL */
void http_curl_remove(struct http_request *r); /* not inside libcurl */
void http_curl_trim(struct http *h, size_t keep);
void http_curl_kick(struct http *h); /* let libcurl begin with what was handed to it */
/* Connects, then calls http_h2_connected. NULL: no memory. */
struct http_slot *http_curl_connect(struct http *h, struct http_conn *c);
void http_curl_close(struct http *h, struct http_slot *s);
const char *http_slot_error(const struct http_slot *s, CURLcode code);
/* The socket of a connection that is made. */
struct http_sock *http_sock_open(struct http *h, struct http_slot *s, loop_io_fn *fn, void *ctx);
void http_sock_want(struct http_sock *s, uint32_t events);
void http_sock_remove(struct http_sock *s);

/* http_peer.c */
struct http_peer *http_peer_create(const struct config *c, const struct http *h);
struct http_peer *http_peer_ref(struct http_peer *p);
struct http_peer *http_peer_unref(struct http_peer *p); /* NULL */
void http_peer_apply(const struct http_peer *p, CURL *easy);
/* Both lead to the same server, trust the same and show the same certificate. */
bool http_peer_same_way(const struct http_peer *a, const struct http_peer *b);
struct curl_slist *http_peer_headers(struct http_peer *p, const char *accept,
				     const char *content_type);

/* http_cred.c */
bool http_cred_ready(struct http *h);	      /* false: requests wait for the exec plugin */
bool http_cred_again(struct http_request *r); /* a 401 came: true when the request goes out again or
						 waits for that */
bool http_cred_renewed(struct http_request *r); /* the server cannot be trusted: true when a look at
						   the files found something new */
void http_cred_tick(void *http);		/* every minute */
void http_cred_finish(struct http *h);
void http_notice(struct http *h, bool bad, const char *sentence);

/* http_health.c */
void http_health_watch(
	struct http *h,
	struct http_request *r); /* r became active or was queued: its deadline counts */
void http_health_tick(void *http);
void http_health_fence(struct http *h); /* before anything goes out */
void http_health_suspect(
	struct http *h,
	const struct http_request *r); /* its time ran out: is its connection dead? */

/* http_measure.c */
void http_measure_peer(struct http *h);			      /* another server */
void http_measure_answer(struct http_request *r, int status); /* once a request; 0: broken */
void http_measure_retry(struct http_request *r);

/* http_error.c: one sentence for what happened; why: libcurl's or nghttp2's own words. */
void http_error(const struct http_request *r, CURLcode code, const char *why, char *text,
		size_t size);
