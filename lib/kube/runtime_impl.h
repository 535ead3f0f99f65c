/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_impl.h: what the files of the runtime share. Private to runtime*.c: runtime.c has the
 * life cycle and readiness; runtime_feed.c the watches (opens what watch.c asks for);
 * runtime_served.c which kinds are watched (starts and stops them as their CRDs come and go);
 * runtime_pass.c queues, passes and their ends; runtime_elect.c the Lease; runtime_event.c Events.
 */
#pragma once

#include "base/map.h"
#include "kube/event.h"
#include "kube/lease_http.h"
#include "kube/queue.h"
#include "kube/runtime.h"
#include "kube/watch.h"

#define RUNTIME_PASSES 16 /* in flight at once, where the settings say nothing */

struct feed {
	struct runtime *r;
	const struct kube_kind *kind;
	const char *ns;	     /* NULL: all namespaces */
	char *selector;	     /* field selector or NULL */
	char *crd;	     /* name of the CRD that it comes with, or NULL */
	bool crd_changed;    /* since discovery was last asked for */
	char *version;	     /* in which it is followed; NULL while it is not served */
	struct watch *watch; /* NULL where version is, and where nothing is cached */
	struct http_request *request;
	struct loop_timer *timer;
	char *trouble; /* why the stream was broken by ourselves */
	bool broken;
	int64_t whole_since; /* it is without a gap; INT64_MAX: it is not */
};

struct worker {
	struct runtime *r;
	const struct reconciler *rec;
	struct queue *queue;
	struct map troubles; /* "ns/name" -> struct trouble: what the API server refused */
	struct map doubts;   /* "ns/name", itself its value: a child of it has gone (act.h) */
	struct runtime_stats stats;
	int64_t began; /* the sum of when the passes under way began */
};

/* What discovery has said, and when it is asked again. */
struct served {
	struct discovery *discovery; /* kube/discovery.h */
	struct http_request *request;
	struct loop_timer *timer;
	int64_t wait_ms; /* where the answer may not be the last word: until the next; it grows */
	bool changed;	 /* a CRD did, which is why it was asked for */
	bool crds_changed, again,
		answered;  /* to be looked at; to be asked once more; to be taken */
	bool told;	   /* there was an answer: versions are no guesses any more */
	unsigned failures; /* in a row */
	int64_t hurried;
	char *trouble; /* a sentence while it fails, or NULL */
};

struct runtime {
	struct loop *loop;
	struct http *http;
	struct runtime_settings s;
	struct cache *cache;
	const struct kube_kind **kinds; /* settings' kinds and the Lease, NULL-terminated */
	struct feed *feeds;
	size_t n_feeds;
	struct worker *workers;
	size_t n_workers;
	struct loop_timer *pump;
	struct arena scratch;	     /* what a gather and its plan use and leave */
	struct flight *idle_flights; /* kept for the next passes */
	int in_flight;
	int64_t stop_by, release_by;
	bool stopping, closed, lost, synced;
	struct served served;
	struct lease *lease;
	struct loop_timer *lease_timer, *stop_timer;
	struct event_book *events;
	struct loop_timer *events_timer;
	bool events_asking;
	bool lease_asking, was_leading, releasing;
	int64_t term; /* of our leadership; 0 until its first pass */
};

/* runtime_feed.c */
void feeds_create(struct runtime *r);
void feeds_destroy(struct runtime *r);
void feeds_start(struct runtime *r);
/* In this version from now on; NULL: no longer. */
void feed_follow(struct feed *f, const char *version);
bool feeds_synced(const struct runtime *r, const char **ret_waiting);
void feeds_hurry(struct runtime *r);

/* runtime_served.c; nothing of it where the settings have no crd_kind */
void served_create(struct runtime *r);
void served_destroy(struct runtime *r);
void served_turn(struct runtime *r);		     /* what is due */
void served_see(struct runtime *r, const char *crd); /* this CRD has come, changed or gone */
void served_missed(struct feed *f);		     /* it was answered 404 */
void served_hurry(struct runtime *r);		     /* the API server is back */
bool served_told(const struct runtime *r);

/* runtime_pass.c */
void workers_create(struct runtime *r);
void workers_destroy(struct runtime *r);
void workers_wake(struct runtime *r);
void workers_wake_all(struct runtime *r);
void workers_hurry(struct runtime *r);
void workers_see(void *ctx, const struct kube_kind *k, const struct obj *old,
		 const struct obj *now);

/* runtime_elect.c: our one Lease; watched, so that a standby learns at once that it was given up */
void elect_create(struct runtime *r);
void elect_destroy(struct runtime *r);
void elect_start(struct runtime *r);
void elect_release(struct runtime *r);
bool elect_released(const struct runtime *r);
void elect_see(struct runtime *r, const struct obj *record);
bool elect_may_write(const struct runtime *r);

/* runtime_event.c */
void events_create(struct runtime *r);
void events_destroy(struct runtime *r);
void events_tell(struct runtime *r, const struct kube_kind *k, const struct key *key,
		 const struct action *a);
