/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h: requests to the API server. RIM: one HTTP/2 connection for everything, on our loop,
 * nothing blocks. libcurl connects, nghttp2 makes the frames; a server without HTTP/2 gets
 * HTTP/1.1, through libcurl's multi interface.
 *
 * Every request ends with exactly one call of done, from the loop, never from within http_start;
 * also when it is cancelled, or by http_destroy. Bodies go to `bytes` as they arrive, or, where
 * that is NULL, are collected up to max_body.
 *
 * Credentials: files are looked at every minute; a 401 makes us look at once, or run the exec
 * plugin, and the request goes out once more if that found something new, else the caller gets the
 * 401. A changed CA, certificate or server means a new connection, old streams finish. 429: the
 * answer is the caller's, but all requests that are not urgent wait until its Retry-After (60 s at
 * most), and fewer go out at a time afterwards. Half-open connections: TCP_USER_TIMEOUT and
 * keep-alive (the kernel's, 45 s), a probe (GET /version) when a used connection was silent for 30
 * s (in the place of Go's HTTP/2 ping: HTTP/1.1 has none), and any request whose time runs
 * out on a silent connection kills it. What was never sent, or is a GET, is sent again after
 * GOAWAY or a reset. A write that was sent and has no answer is not: its fate is unknown, the
 * answer says so (status 0, unknown), the caller reads first.
 */
#pragma once

#include "base/loop.h"
#include "kube/config.h"

struct metrics;

struct http;
struct http_request;

struct http_answer {
	int status;	     /* HTTP status; 0: none came */
	int64_t retry_after; /* seconds, -1: not said */
	const char *body;    /* collected, 0-terminated; "" when `bytes` was given */
	size_t length;
	const char *error; /* a sentence when the exchange broke (then what came before it is not
			      all), else NULL */
	bool unknown;	   /* broke after a write was sent: it may have been carried out */
	int64_t sent_ms, took_ms; /* loop_now at http_start, and since */
};

/* Strings are copied, except method, verb, resource, accept and content_type: literals. */
struct http_call {
	const char *method, *path, *query; /* query: NULL or without '?' */
	const char *accept;		   /* NULL: application/json */
	const char *content_type, *body;   /* body NULL: none; copied */
	size_t length;
	int64_t timeout_ms; /* whole exchange, waiting included; 0: none: a stream, which is not
			       counted in max_inflight */
	int64_t idle_ms;    /* longest time without a byte; 0: none */
	size_t max_body;    /* when collecting; 0: 3 MiB */
	bool urgent;	    /* a Lease: goes first, and does not wait for a 429's pause */
	void (*status)(void *ctx, int status,
		       int64_t retry_after); /* may be NULL; before the first byte */
	int (*bytes)(void *ctx, const char *bytes, size_t n); /* may be NULL; -1 ends the request */
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
	const char *verb, *resource; /* for the log only: rest_client_* metrics carry the method */
};

struct http_settings {
	const char *user_agent;
	int max_inflight;	     /* at a time, streams not counted; 0: 32 */
	int64_t silent_ms, probe_ms; /* a used connection without a byte this long is probed; the
					probe's time; 0: 30 s, 15 s */
	int64_t plugin_ms;	     /* an exec plugin's time; 0: 60 s, on a terminal 5 min */
	struct metrics *metrics;     /* of kube/measure.h, for rest_client_*; or NULL */
	/* News for the log, one sentence each, never the same twice in a row: credentials changed
	 * or unreadable, a plugin failed. May be NULL. */
	void (*notice)(void *ctx, bool bad, const char *sentence);
	void *ctx;
};

/* config belongs to the caller, outlives the http, and is refreshed by it. SIGPIPE is ignored from
 * here on. */
struct http *http_create(struct loop *l, struct config *config, const struct http_settings *s,
			 struct err *err);
/* Not from within a callback of its own. NULL. */
struct http *http_destroy(struct http *h);
struct http_request *http_start(struct http *h, const struct http_call *call);
/* Ends it now; done is called with status 0 before this returns. */
void http_cancel(struct http_request *r);
/* Counters for metrics. */
struct http_counts {
	uint64_t requests, failures, connections, retries;
};
const struct http_counts *http_counts(const struct http *h);
/* The last answer was a 401, after all that could be tried. */
bool http_refused(const struct http *h);
