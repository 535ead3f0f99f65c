/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_private.h: what http*.c share. http.c: requests and their queue; http_curl.c: libcurl on the
 * loop; http_peer.c: TLS, headers and credentials; http_health.c: timeouts and silent connections;
 * http_error.c: sentences.
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
#define HTTP_RETRIES 3
#define HTTP_SLOTS_KEPT 2 /* easy handles kept while nothing happens */

/* How the server is reached and what we show it: one snapshot of the config, shared by the requests
 * made with it. */
struct http_peer {
	unsigned refs, generation;
	char *base; /* scheme://host:port/prefix for libcurl */
	char *ca, *cert, *key, *proxy;
	bool insecure;
	struct curl_slist *connect_to; /* tls-server-name: the name in base, the address here */
	struct curl_slist *headers;    /* Authorization, Impersonate-*, Host, User-Agent, ... */
	struct http_variant *variants; /* headers with Accept and Content-Type in front */
};

/* An easy handle with its options set for one peer. */
struct http_slot {
	CURL *easy;
	struct http_peer *peer;
	struct http_slot *next; /* while free */
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
	struct http_slot *slot; /* while active */
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

/* A socket of libcurl's on our loop. */
struct http_sock {
	struct http *http;
	struct http_sock *prev, *next;
	struct loop_io *io;
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
	struct loop_timer *curl_timer, *watch_timer, *refresh_timer, *pump_timer;
	struct http_sock *socks;
	struct http_slot *free_slots;
	size_t n_free;
	struct http_peer *peer;
	struct http_list queue[HTTP_QUEUES], failed, active,
		dead;	     /* dead: done was called, libcurl has not let go yet */
	int inflight;	     /* active requests with a timeout */
	int limit;	     /* of those now; at most settings.max_inflight */
	int64_t limit_ms;    /* when limit last changed */
	int64_t pause_until; /* 429 */
	int64_t refreshed_ms;
	unsigned depth; /* inside libcurl: its functions must not be called */
	bool closing;
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
void http_pump(struct http *h);		   /* hands to libcurl what may go out */
void http_soon(struct http *h);		   /* the same, in the next turn */
void http_bury(struct http *h);		   /* not inside libcurl */

/* http_curl.c */
int http_curl_init(struct http *h, struct err *err);
void http_curl_finish(struct http *h);
int http_curl_start(struct http_request *r);   /* -1: libcurl has no memory or refuses the URL */
void http_curl_remove(struct http_request *r); /* not inside libcurl */
void http_curl_trim(struct http *h, size_t keep);
void http_curl_kick(struct http *h); /* let libcurl begin with what was handed to it */

/* http_peer.c */
struct http_peer *http_peer_create(const struct config *c, const struct http *h);
struct http_peer *http_peer_ref(struct http_peer *p);
struct http_peer *http_peer_unref(struct http_peer *p); /* NULL */
void http_peer_apply(const struct http_peer *p, CURL *easy);
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
void http_health_suspect(
	struct http *h,
	const struct http_request *r); /* its time ran out: is its connection dead? */

/* http_measure.c */
void http_measure_peer(struct http *h);			      /* another server */
void http_measure_answer(struct http_request *r, int status); /* once a request; 0: broken */
void http_measure_retry(struct http_request *r);

/* http_error.c: one sentence for what libcurl reports. While r still has its slot. */
void http_error(const struct http_request *r, CURLcode code, char *text, size_t size);
