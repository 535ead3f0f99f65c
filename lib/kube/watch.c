/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `phase` is what the next or the open request is for. One exchange at a time: what it brought (the
 * server's own verdict, broken bytes, its end) is gathered in struct answer while it lasts, and
 * judged once, in watch_closed.
 */
#include "kube/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum phase { STREAM, LIST, WATCH };

/* What one exchange brought. */
struct answer {
	int http;	     /* 0: none yet */
	int64_t code;	     /* of a Status: as the whole answer or as an ERROR event; 0: none */
	int64_t retry_after; /* seconds, 0: not said */
	bool in_stream;	     /* the Status was an event in a stream of status 200 */
	bool too_large;
	/* while initial events are expected: the server does not know them */
	bool unknown_bookmark;
	bool went_back; /* a bookmark below our position */
	bool broken;	/* bytes that are no answer of an API server */
	/* a watch from no resourceVersion: synthetic ADDED come first, unordered */
	bool began_at_nothing;
	bool progress;	  /* an event other than ADDED came */
	int64_t after_ms; /* until the status came */
	uint64_t bytes;
	struct err why;
};

struct watch {
	struct cache *cache;
	const struct kube_kind *kind;
	double (*random)(void *);
	void *ctx;
	char *field_selector, *version;
	struct scan *scan;
	enum phase phase;
	struct answer answer;
	char *position, *cont; /* cont: the next page of the list under way */
	bool open, synced;
	bool no_stream;	  /* the server refuses sendInitialEvents */
	bool unavailable; /* the position is expired or unknown: list the newest */
	bool whole;	  /* list without pages: one expired under way */
	int64_t opened, next, not_before, failed;
	int64_t doubted; /* when we last listed only to see whether time went back */
	int64_t expired,
		hurried; /* when our position was last too old; when a wait was last cut short */
	int64_t bad_since, trouble_since; /* bad_since: not forgotten by a moment's success */
	/* since when no attempt has succeeded, INT64_MAX: the last has; how long that was, if untold */
	int64_t away_since, away_ms;
	/* in a row: all, the server's own, streams without end mark, watches without a byte */
	unsigned failures, errors, endless, silent;
	struct buf query, trouble;
	struct watch_counts counts;
};

#define ERROR_BODY_MAX (64 * KiB)

/* A list asked for by the word for one object is refused: 406. */
#define ACCEPT_METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define ACCEPT_METADATA_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

static void sink(void *ctx, const struct scan_event *event);

struct watch *watch_create(struct cache *c, const struct kube_kind *k, const char *field_selector,
			   double (*random)(void *), void *ctx)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	const char *version = cache_version(c, k);

	*w = (struct watch){
		.cache = c,
		.kind = k,
		.random = random,
		.ctx = ctx,
		.field_selector = field_selector ? xstrdup(field_selector) : NULL,
		.version = version ? xstrdup(version)
				   : xstrndup(k->versions, strcspn(k->versions, " ")),
		.next = INT64_MIN,
		.not_before = INT64_MIN,
		.failed = INT64_MIN,
		.doubted = INT64_MIN,
		.expired = INT64_MIN,
		.hurried = INT64_MIN,
		.trouble_since = INT64_MAX,
		.away_since = INT64_MAX,
	};
	w->scan = scan_create(k->type, SCAN_WATCH, sink, w);
	buf_init(&w->query, 64 * KiB);
	buf_init(&w->trouble, 4 * KiB);
	return w;
}

struct watch *watch_destroy(struct watch *w)
{
	if (w) {
		scan_destroy(w->scan);
		buf_finish(&w->query);
		buf_finish(&w->trouble);
		free(w->field_selector);
		free(w->version);
		free(w->position);
		free(w->cont);
		free(w);
	}
	return NULL;
}

static void replace(char **p, const char *s)
{
	char *copy = s ? xstrdup(s) : NULL;

	free(*p);
	*p = copy;
}

/* Requests. */

static void param(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s%s=", b->len ? "&" : "", name);
	kind_escape(b, value);
}

/* The resourceVersion that a list asks for, at least: "" for the newest there is. */
static const char *list_from(const struct watch *w)
{
	return w->unavailable || !w->position ? "" : w->position;
}

static void list_query(struct watch *w)
{
	struct buf *q = &w->query;
	const char *from = list_from(w);

	if (w->cont) {
		param(q, "continue", w->cont);
	}
	/* With a resourceVersion and no limit the watch cache answers; a limit would go to etcd. */
	if (!w->whole && !*from) {
		buf_printf(q, "%slimit=%d", q->len ? "&" : "", WATCH_PAGE);
	}
	if (!w->cont && *from) {
		param(q, "resourceVersion", from);
		param(q, "resourceVersionMatch", "NotOlderThan");
	}
}

static void watch_query(struct watch *w)
{
	struct buf *q = &w->query;
	int seconds = 300 + (int)(w->random(w->ctx) * 300);

	param(q, "allowWatchBookmarks", "true");
	if (w->phase == STREAM) {
		param(q, "resourceVersion", list_from(w));
		param(q, "resourceVersionMatch", "NotOlderThan");
		param(q, "sendInitialEvents", "true");
	} else {
		param(q, "resourceVersion", w->position ? w->position : "");
	}
	buf_printf(q, "&timeoutSeconds=%d&watch=true", seconds);
}

bool watch_wants(struct watch *w, int64_t now, struct watch_request *ret, int64_t *ret_wake)
{
	if (w->open || now < w->next) {
		*ret_wake = w->open ? INT64_MAX : w->next;
		return false;
	}
	buf_reset(&w->query);
	if (w->phase == LIST) {
		list_query(w);
	} else {
		watch_query(w);
	}
	if (w->kind->selector) {
		param(&w->query, "labelSelector", w->kind->selector);
	}
	if (w->field_selector) {
		param(&w->query, "fieldSelector", w->field_selector);
	}
	*ret = (struct watch_request){
		.version = w->version,
		.query = buf_text(&w->query),
		.accept = !w->kind->metadata_only ? NULL
			  : w->phase == LIST	  ? ACCEPT_METADATA_LIST
						  : ACCEPT_METADATA,
		.stream = w->phase != LIST,
		.timeout_ms = w->phase == LIST ? WATCH_LIST_MS : WATCH_IDLE_MS,
	};
	return true;
}

void watch_opened(struct watch *w, int64_t now)
{
	bool from_nothing = str_empty(w->position) || str_eq(w->position, "0");

	w->open = true;
	w->opened = now;
	w->answer = (struct answer){.began_at_nothing = from_nothing};
	scan_reset(w->scan, w->phase == LIST ? SCAN_LIST : SCAN_WATCH);
	if (w->phase == LIST) {
		w->counts.lists += !w->cont;
	} else {
		w->counts.watches++;
	}
	if (w->phase == STREAM || (w->phase == LIST && !w->cont)) {
		cache_sync_begin(w->cache, w->kind, !*list_from(w));
	}
}

/* What comes in. */

/* Our own wait before the attempt that succeeded says nothing about the server, and is left out. */
static void well(struct watch *w)
{
	if (w->away_since != INT64_MAX) {
		w->away_ms = MAX(w->away_ms, w->failed - w->away_since + w->answer.after_ms);
		w->away_since = INT64_MAX;
	}
	buf_reset(&w->trouble);
	w->trouble_since = INT64_MAX;
}

static void note_status(struct watch *w, const struct scan_status *s)
{
	struct answer *a = &w->answer;
	const char *reason = s->reason ? s->reason : "", *message = s->message ? s->message : "";

	a->code = s->code ? s->code : 500;
	a->retry_after = MAX(a->retry_after, s->retry_after);
	a->too_large = str_eq(s->cause, "ResourceVersionTooLarge") ||
		       (a->code == 504 && strstr(message, "Too large resource version"));
	err_set(&a->why, "%" PRId64 " %s%s%s", a->code, reason, *message ? ": " : "", message);
}

static void reached(struct watch *w, const char *rv)
{
	/* An event out of order is no progress, a bookmark that goes back neither. */
	if (rv_compare(rv, w->position) > 0) {
		replace(&w->position, rv);
		cache_reached(w->cache, w->kind, rv);
	}
}

static void synced(struct watch *w, const char *rv)
{
	cache_sync_end(w->cache, w->kind, rv);
	replace(&w->position, rv);
	replace(&w->cont, NULL);
	w->synced = true;
	w->unavailable = w->whole = false;
	w->endless = 0;
	w->phase = WATCH;
	well(w);
}

static void bookmark(struct watch *w, const struct scan_event *event)
{
	const char *rv = ((const struct obj *)event->object)->rv;

	if (w->phase == WATCH) {
		w->answer.went_back |= !str_empty(rv) && rv_compare(rv, w->position) < 0;
		reached(w, rv);
	} else if (event->initial_end && !str_empty(rv)) {
		synced(w, rv);
	} else {
		w->answer.unknown_bookmark = true;
	}
}

static void change(struct watch *w, const struct scan_event *event)
{
	const struct obj *o = event->object;

	if (event->type == SCAN_DELETED) {
		cache_gone(w->cache, w->kind, o);
	} else {
		cache_put(w->cache, w->kind, o);
	}
	if (w->phase == WATCH && !str_empty(o->rv) &&
	    (w->answer.progress || !w->answer.began_at_nothing)) {
		reached(w, o->rv);
	}
}

static void sink(void *ctx, const struct scan_event *event)
{
	struct watch *w = ctx;

	if (w->answer.code || w->answer.unknown_bookmark || w->answer.http > 299) {
		return; /* what follows an error counts for nothing */
	}
	w->counts.events++;
	w->errors = event->type == SCAN_ERROR ? w->errors : 0;
	w->answer.progress |= event->type != SCAN_ADDED && event->type != SCAN_UNKNOWN;
	switch (event->type) {
	case SCAN_ERROR:
		w->answer.in_stream = true;
		note_status(w, &event->status);
		break;
	case SCAN_BOOKMARK:
		bookmark(w, event);
		break;
	case SCAN_ITEM:
	case SCAN_ADDED:
	case SCAN_MODIFIED:
	case SCAN_DELETED:
		change(w, event);
		break;
	case SCAN_UNKNOWN:
		break;
	}
}

void watch_status(struct watch *w, int64_t now, int http_status, int64_t retry_after)
{
	w->answer.http = http_status;
	w->answer.after_ms = now - w->opened;
	w->answer.retry_after = MAX(retry_after, 0);
	if (http_status >= 300) {
		scan_reset(w->scan, SCAN_OBJECT);
		return;
	}
	if (!cache_version(w->cache, w->kind)) {
		cache_set_served(w->cache, w->kind, w->version);
		w->synced = false; /* nothing is no longer all there is */
	}
	if (w->phase == WATCH) {
		well(w);
	}
}

static bool may_doubt(const struct watch *w, int64_t now)
{
	return now - WATCH_DOUBT_MS >= w->doubted;
}

int watch_bytes(struct watch *w, int64_t now, const char *bytes, size_t n, struct err *err)
{
	struct answer *a = &w->answer;

	w->counts.bytes += n;
	a->bytes += n;
	if (a->http >= 300) {
		/* The body of an error: a Status, or anything at all. */
		scan_feed(w->scan, bytes, n, NULL);
		return a->bytes > ERROR_BODY_MAX
			       ? err_set(err, "an error of %" PRIu64 " bytes", a->bytes)
			       : 0;
	}
	if (!a->broken && scan_feed(w->scan, bytes, n, &a->why) < 0 && !a->code) {
		a->broken = true;
	}
	if (a->code || a->broken) {
		return err_set(err, "%s", a->why.text);
	}
	if (a->unknown_bookmark) {
		return err_set(err, "the server does not know sendInitialEvents");
	}
	if (a->went_back && may_doubt(w, now)) {
		return err_set(err, "a bookmark from before our position");
	}
	return 0;
}

/*
 * Judging what came. Whatever does not wait goes on at once: `next` has passed, or nothing were
 * open.
 */

static void wait(struct watch *w, int64_t now, const char *why)
{
	int64_t delay;

	if (now - WATCH_HEALTHY_MS >= w->failed) {
		w->failures = 0;
		w->bad_since = now;
	}
	delay = MIN((int64_t)WATCH_BACKOFF_MS << MIN(w->failures, 10u), (int64_t)WATCH_BACKOFF_MAX);
	w->failures++;
	w->failed = now;
	w->away_since = MIN(w->away_since, now);
	w->next = MAX(now + delay + (int64_t)((double)delay * w->random(w->ctx)), w->not_before);
	w->counts.failures++;
	w->trouble_since = w->bad_since;
	buf_reset(&w->trouble);
	buf_printf(&w->trouble, "%s %s: %.*s", w->phase == LIST ? "listing" : "watching",
		   w->kind->plural, ERR_MAX, why);
}

/* From the beginning: the way in that the server takes. */
static void relist(struct watch *w)
{
	replace(&w->cont, NULL);
	w->phase = w->no_stream ? LIST : STREAM;
	w->errors = 0;
}

static void absent(struct watch *w, int64_t now)
{
	cache_set_served(w->cache, w->kind, NULL);
	replace(&w->position, NULL);
	w->synced = true; /* nothing is all there is */
	w->unavailable = w->whole = w->no_stream = false;
	relist(w);
	wait(w, now, "not served");
	w->away_since = INT64_MAX; /* who says that is there */
}

/*
 * The resourceVersion or continue token that we named is gone, or not known yet. That is no
 * failure: we go on at once, but not over and over.
 */
static void unknown_version(struct watch *w, int64_t now)
{
	bool fell_back = w->phase != WATCH && !w->unavailable && (w->cont || *list_from(w));
	bool rare = w->phase == WATCH && now - WATCH_BACKOFF_MAX >= w->expired;

	w->expired = w->phase == WATCH ? now : w->expired;
	w->whole |= w->cont != NULL;
	w->unavailable |= w->phase != WATCH || w->answer.too_large;
	if (w->phase == WATCH || w->cont) {
		relist(w);
	}
	if (!fell_back && !rare) {
		wait(w, now, w->answer.why.text);
	}
}

static bool refuses_stream(const struct answer *a, int64_t code)
{
	/* etcd 3.4: code 500 in a stream of status 200, "RequestWatchProgress is disabled". */
	return a->in_stream ||
	       (code >= 400 && code < 500 && code != 401 && code != 408 && code != 429);
}

static void judge_error(struct watch *w, int64_t now)
{
	struct answer *a = &w->answer;
	int64_t code = a->code ? a->code : a->http;

	w->not_before = now + MIN(a->retry_after, (int64_t)WATCH_RETRY_AFTER_MAX) * 1000;
	if (code == 429) {
		wait(w, now, a->why.text);
	} else if (code == 404 && !a->in_stream) {
		absent(w, now);
	} else if (code == 410 || a->too_large) {
		unknown_version(w, now);
	} else if (w->phase == STREAM && refuses_stream(a, code)) {
		w->no_stream = true;
		relist(w);
	} else {
		if (w->phase == WATCH && ++w->errors >= 3) {
			relist(w);
		}
		wait(w, now, a->why.text);
	}
}

static void judge_list(struct watch *w)
{
	const struct scan_list *list = scan_list(w->scan);

	if (!str_empty(list->cont)) {
		replace(&w->cont, list->cont);
	} else {
		synced(w, list->resource_version ? list->resource_version : "");
	}
}

/* A stream ended before its initial events did. Twice so: the server does not know them. */
static void judge_unfinished_stream(struct watch *w, int64_t now, const char *why)
{
	if (w->answer.unknown_bookmark || ++w->endless >= 2) {
		w->no_stream = true;
		relist(w);
	}
	if (!w->answer.unknown_bookmark) {
		wait(w, now, why);
	}
}

/*
 * A restored etcd: the server counts from below our position and has nothing to send, no bookmark
 * either (cacher's watchers drop what is older than where they began). Or a server behind the
 * others.
 */
static bool time_went_back(struct watch *w, int64_t now)
{
	struct answer *a = &w->answer;

	if (w->phase != WATCH || !a->http) {
		return false;
	}
	w->silent = a->bytes || now - w->opened < WATCH_IDLE_MS ? 0 : w->silent + 1;
	if ((!a->went_back && w->silent < 2) || !may_doubt(w, now)) {
		return false;
	}
	w->doubted = now;
	w->silent = 0;
	w->unavailable = true;
	relist(w);
	wait(w, now, "nothing comes from where we stand: listing what there is");
	return true;
}

static void judge_end(struct watch *w, int64_t now, bool broken, const char *reason)
{
	struct answer *a = &w->answer;

	if (time_went_back(w, now)) {
		return;
	}
	if (broken || scan_end(w->scan, &a->why) < 0) {
		const char *why = broken && reason ? reason : a->why.text;

		if (w->phase == STREAM && a->http && !a->broken) {
			judge_unfinished_stream(w, now, why);
		} else {
			wait(w, now, *why ? why : "the connection broke");
		}
	} else if (w->phase == LIST) {
		judge_list(w);
	} else if (w->phase == STREAM) {
		judge_unfinished_stream(w, now, "the stream ended before its initial events did");
	} else if (now - w->opened < 1000) {
		wait(w, now, "the watch was closed at once");
	}
}

/* A Status as the whole answer: the body of an error, or instead of a list. */
static void note_body(struct watch *w)
{
	struct answer *a = &w->answer;

	if (!a->broken && (a->http >= 300 || w->phase == LIST) && scan_end(w->scan, NULL) == 0 &&
	    scan_status(w->scan)->code) {
		note_status(w, scan_status(w->scan));
	}
}

void watch_closed(struct watch *w, int64_t now, bool broken, const char *reason)
{
	struct answer *a = &w->answer;

	if (!w->open) {
		return;
	}
	w->open = false;
	if (a->http >= 300) {
		err_set(&a->why, "the API server answered %d", a->http);
	}
	if (a->http && !broken) {
		note_body(w);
	}
	if (a->http >= 300 || a->code) {
		judge_error(w, now);
	} else {
		judge_end(w, now, broken || a->broken || !a->http, reason);
	}
}

void watch_hurry(struct watch *w, int64_t now)
{
	if (!w->open && w->next > now && now - WATCH_HURRY_MS >= w->hurried) {
		w->next = MAX(now, w->not_before);
		w->failures = 0;
		w->hurried = now;
	}
}

int64_t watch_recovered(struct watch *w)
{
	int64_t ms = w->away_ms;

	w->away_ms = 0;
	return ms;
}

bool watch_synced(const struct watch *w)
{
	return w->synced;
}

const char *watch_trouble(const struct watch *w)
{
	return w->trouble.len ? buf_text(&w->trouble) : NULL;
}

int64_t watch_trouble_since(const struct watch *w)
{
	return w->trouble_since;
}

const char *watch_position(const struct watch *w)
{
	return w->position;
}

const struct watch_counts *watch_counts(const struct watch *w)
{
	return &w->counts;
}
