/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: keeps one kind of the cache equal to the API server. A state machine without I/O: the rim (runtime.c) opens what
 * watch_request asks for, feeds bytes and endings in, and asks again. `now` is milliseconds of a monotonic clock.
 *
 *	STREAMING  watch with sendInitialEvents (KEP-3157): objects, then the bookmark k8s.io/initial-events-end
 *	PAGING	   where the server refuses that: lists of 500 with continue
 *	WATCHING   from a resourceVersion on, with bookmarks
 *	WAITING	   backing off: 0.8 s x 2 to 30 s, jitter up to x2, reset after 2 min of health
 * (client-go's reflector; reliability-performance.md 2.1 lists the rows, the tests beside this file go through them one by one.)
 */
#pragma once

#include "json/scan.h"
#include "kube/cache.h"

struct watch;

struct watch_request {
	const char *query;	/* without '?'; lent until the next call */
	bool stream;		/* a watch: no end expected */
	int64_t timeout_ms;	/* of the whole exchange for a list; for a stream the time without any byte (90 s) */
};

/* random: a function giving a value in [0,1), so that jitter is an argument. field_selector: NULL or e.g. "metadata.name=n". */
struct watch *watch_create(struct cache *c, const struct kube_kind *k, const char *field_selector, double (*random)(void *), void *ctx);
struct watch *watch_destroy(struct watch *w);

/* True: open this now (call watch_opened). False: nothing before *ret_wake (INT64_MAX: waits for bytes). */
bool watch_wants(struct watch *w, int64_t now, struct watch_request *ret, int64_t *ret_wake);
void watch_opened(struct watch *w, int64_t now);
/* HTTP status and Retry-After seconds (-1: none) of the answer, before its bytes. A body follows in any case. */
void watch_status(struct watch *w, int64_t now, int http_status, int64_t retry_after);
/* Bytes as they arrive. -1: this stream is broken, close it; then call watch_closed. */
int watch_bytes(struct watch *w, int64_t now, const char *bytes, size_t n, struct err *err);
/* The exchange has ended; broken: by the network or by us, with a reason for the log. */
void watch_closed(struct watch *w, int64_t now, bool broken, const char *reason);
/* The server recovered from a failure that we know of otherwise (another request went through): end the back-off. */
void watch_hurry(struct watch *w, int64_t now);

bool watch_synced(const struct watch *w);
const char *watch_trouble(const struct watch *w); /* a sentence while failing, else NULL */
const char *watch_position(const struct watch *w); /* the resourceVersion reached */
/* Counters for metrics: lists, watches, short ones, failures, events. */
struct watch_counts { uint64_t lists, watches, failures, events, bytes; };
const struct watch_counts *watch_counts(const struct watch *w);
