/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: keeps one kind of the cache equal to the API server. A state machine without I/O: the
 * rim (runtime.c) opens what watch_wants asks for, feeds bytes and endings in, and asks again.
 * `now` is milliseconds of a monotonic clock. It is client-go's reflector; the tests beside this
 * file go row by row.
 *
 *	streaming  a watch with sendInitialEvents (KEP-3157): objects, then the bookmark
 *		   k8s.io/initial-events-end; the same stream then goes on as a watch
 *	listing	   where the server refuses that: pages of 500 with continue
 *	watching   from a resourceVersion on, with bookmarks
 *
 * First list: no resourceVersion (not "0", which may go back in time, kubernetes #59848). After a
 * 410 the list asks for no older than what we saw; where that is expired or beyond what the server
 * knows, for the newest. Objects go into the cache as they come; its mark and sweep needs no second
 * copy.
 *
 * Failures wait 0.8 s x 2 to 30 s, each up to twice as long by jitter; 2 min without one forget
 * them. Position and page survive a 429, whose Retry-After is obeyed, and whatever breaks a watch:
 * only three errors in a row that the server itself states make it list anew. A watch that ends
 * within a second is a failure too, so no server can make it spin. 404 is an answer: the kind is
 * not served (cache_set_served), and asked for again with the same waits.
 *
 * Beyond client-go, whose watch hangs there: where an etcd was restored and so knows less than our
 * position, the server sends nothing. Two watches in a row without a single byte, or a bookmark
 * that goes back, list the newest; at most once in ten minutes, for servers that send no bookmarks.
 */
#pragma once

#include "json/scan.h"
#include "kube/cache.h"

#define WATCH_PAGE 500
#define WATCH_IDLE_MS 90000 /* bookmarks come about once a minute */
#define WATCH_LIST_MS 300000
#define WATCH_BACKOFF_MS 800
#define WATCH_BACKOFF_MAX 30000
#define WATCH_HEALTHY_MS 120000
#define WATCH_HURRY_MS 10000
#define WATCH_DOUBT_MS 600000
#define WATCH_RETRY_AFTER_MAX 600 /* seconds */

struct watch;

struct watch_request {
	/* of the kind, for kind_path; lent, as query is, until the next call */
	const char *version;
	const char *query;  /* without '?' */
	const char *accept; /* a literal, or NULL: whole objects as JSON */
	bool stream;	    /* a watch: no end expected */
	/* of the whole exchange for a list; for a stream the time without any byte */
	int64_t timeout_ms;
};

/*
 * random: a function giving a value in [0,1), so that jitter is an argument. field_selector: NULL
 * or e.g. "metadata.name=n". The kind must be served when this is called (cache_version).
 */
struct watch *watch_create(struct cache *c, const struct kube_kind *k, const char *field_selector,
			   double (*random)(void *), void *ctx);
struct watch *watch_destroy(struct watch *w); /* NULL */

/*
 * True: open this now (call watch_opened). False: nothing before *ret_wake (INT64_MAX: waits for
 * bytes).
 */
bool watch_wants(struct watch *w, int64_t now, struct watch_request *ret, int64_t *ret_wake);
void watch_opened(struct watch *w, int64_t now);
/*
 * HTTP status and Retry-After seconds (-1: none) of the answer, before its bytes. A body follows in
 * any case.
 */
void watch_status(struct watch *w, int64_t now, int http_status, int64_t retry_after);
/* Bytes as they arrive. -1: this stream is of no more use, close it; then call watch_closed. */
int watch_bytes(struct watch *w, int64_t now, const char *bytes, size_t n, struct err *err);
/* The exchange has ended; broken: by the network or by us, with a reason for the log (or NULL). */
void watch_closed(struct watch *w, int64_t now, bool broken, const char *reason);
/*
 * The server recovered from a failure that we know of otherwise (another request went through):
 * ends the back-off, at most once in 10 s, since what fails here may not be the server.
 */
void watch_hurry(struct watch *w, int64_t now);
/*
 * How long the server was away, in ms, where that has ended since the last call; 0: it was not.
 * From the first failure to the last, and while the attempt that then succeeded waited for its
 * answer: a stream that breaks, is opened after our own wait and answered at once makes 0, however
 * long that wait. Nor is 404 a server that is away, or a 410 at which we go on at once.
 */
int64_t watch_recovered(struct watch *w);

bool watch_synced(const struct watch *w);
const char *watch_trouble(const struct watch *w);   /* a sentence while failing, else NULL */
int64_t watch_trouble_since(const struct watch *w); /* when that began; INT64_MAX: no trouble */
const char *watch_position(const struct watch *w);  /* the resourceVersion reached, or NULL */
/* Counters for metrics: lists, watches, failures, events. */
struct watch_counts {
	uint64_t lists, watches, failures, events, bytes;
};
const struct watch_counts *watch_counts(const struct watch *w);
