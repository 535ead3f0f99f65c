/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h: what is told about an object as Kubernetes Events (events.k8s.io/v1), folded so that no
 * object can flood the API server. No I/O: the rim sends what event_next hands out, one at a time,
 * and reports each answer. Only the leader should.
 *
 * The rules are client-go's: what repeats becomes a series of one Event, written when it begins,
 * every 30 min, and when it has been quiet for 6 min; more than 10 different notes for one object
 * and reason in 10 min are folded into one; per object 25 Events at once, then one in 5 min; 12
 * tries. At most `max` different Events are remembered (the longest quiet one goes first) and 1,000
 * wait; what is beyond that is dropped and counted.
 */
#pragma once

#include "kube/kind.h"

#define EVENT_SIMILAR 10
#define EVENT_SIMILAR_MS (10 * 60 * 1000)
#define EVENT_BURST 25
#define EVENT_REFILL_MS (5 * 60 * 1000)
#define EVENT_REFRESH_MS (30 * 60 * 1000)
#define EVENT_IDLE_MS (6 * 60 * 1000)
#define EVENT_TRIES 12
#define EVENT_RETRY_MS 10000
#define EVENT_QUEUED_MAX 1000
#define EVENT_MAX 4096	    /* client-go's LRU */
#define EVENT_NOTE_MAX 1024 /* bytes; the API server refuses more */

struct event_book;

struct event_about {
	const struct kube_kind *kind;
	const char *version;	     /* NULL: the preferred one */
	const char *ns, *name, *uid; /* ns, uid: may be NULL */
};

struct event_write {
	bool patch;	       /* a JSON merge patch, else a POST */
	const char *ns, *name; /* lent until event_answered */
	json_t *body;	       /* a new reference */
};

/* controller: a qualified name ("vmgpu.io/controller"); instance: of it, e.g. the pod's name. */
struct event_book *event_book_create(const char *controller, const char *instance, size_t max);
struct event_book *event_book_destroy(struct event_book *b); /* NULL */

/* now: monotonic ms; wall_ms: what stands in the Event. */
void event_tell(struct event_book *b, int64_t now, int64_t wall_ms, const struct event_about *about,
		bool warning, const char *reason, const char *note);

/* True: send this now, then call event_answered. False: nothing before *ret_wake. */
bool event_next(struct event_book *b, int64_t now, struct event_write *ret, int64_t *ret_wake);
/* http_status 0: no answer came. */
void event_answered(struct event_book *b, int64_t now, int http_status);

struct event_counts {
	uint64_t told, sent, dropped; /* dropped: by limits, by refusal, after all tries */
};
const struct event_counts *event_counts(const struct event_book *b);
