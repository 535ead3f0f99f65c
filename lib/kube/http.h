/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h: requests to the API server. RIM: libcurl's multi interface on our loop, one HTTP/2 connection for everything, nothing blocks.
 *
 * Every request ends with exactly one call of done, also when it is cancelled by http_destroy. Bodies go to `bytes` as they arrive, or, where that
 * is NULL, are collected up to max_body. A 401 refreshes credentials; 429 is the caller's matter except that all requests of this client pause
 * until the Retry-After that came with it. A half-open connection is noticed within 45 s (TCP_USER_TIMEOUT, HTTP/2 ping, read-idle watchdog).
 * What was never sent, or is a GET, is retried on a fresh connection after GOAWAY or a reset; a write whose fate is unknown is not: the caller reads first.
 */
#pragma once

#include "base/loop.h"
#include "kube/config.h"

struct http;
struct http_request;

struct http_answer {
	int status;		/* HTTP status; 0: none came */
	int64_t retry_after;	/* seconds, -1: not said */
	const char *body;	/* collected; "" when `bytes` was given */
	size_t length;
	const char *error;	/* a sentence when status is 0, else NULL */
	int64_t sent_ms, took_ms; /* loop_now at the start */
};

struct http_call {
	const char *method, *path, *query; /* query: NULL or without '?' */
	const char *content_type, *body;   /* body NULL: none; copied */
	size_t length;
	int64_t timeout_ms;	/* whole exchange; 0: none */
	int64_t idle_ms;	/* longest time without a byte; 0: none */
	size_t max_body;	/* when collecting; 0: 3 MiB */
	void (*status)(void *ctx, int status, int64_t retry_after); /* may be NULL; before the first byte */
	int (*bytes)(void *ctx, const char *bytes, size_t n);	    /* may be NULL; -1 ends the request */
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
	const char *verb, *resource; /* labels of rest_client_* metrics */
};

struct http_settings { const char *user_agent; int max_inflight; };

struct http *http_create(struct loop *l, struct config *config, const struct http_settings *s, struct err *err);
struct http *http_destroy(struct http *h);
struct http_request *http_start(struct http *h, const struct http_call *call);
/* Ends it now; done is called with status 0 before this returns. */
void http_cancel(struct http_request *r);
/* Counters for metrics. */
struct http_counts { uint64_t requests, failures, connections, retries; };
const struct http_counts *http_counts(const struct http *h);
