/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.h: an operator's main loop (client-go's informers, workqueue and manager in one place).
 * RIM.
 *
 *	API server -bytes-> http -> watch -> cache -> queue -> gather -> plan -> act -> http -> API
 * server
 *
 * One thread, no hand-offs: a change of the cache wakes keys, a key gets a pass, a pass is a plan,
 * a plan is carried out. Many passes are in flight at once (each waits for its answers), but never
 * two of one key.
 *
 * Kinds that are not built in are followed as long as their CRD is there and the API server serves
 * it: the runtime watches CustomResourceDefinitions itself (their metadata), and asks the discovery
 * document for versions when one of ours changes, so a neighbour that is installed later is noticed,
 * and one that goes away is forgotten. With election only the holder of the Lease acts; the others
 * keep their caches warm.
 */
#pragma once

#include "kube/act.h"

struct runtime;

/* "metadata.name=gpu-a": a node daemon watches its own object only. */
struct runtime_narrow {
	const struct kube_kind *kind;
	const char *field_selector; /* or NULL */
	const char *ns;		    /* of a namespaced kind; NULL: all */
};

struct runtime_settings {
	const struct kube_kind *const *kinds; /* all that is read or written, NULL-terminated */
	const struct kube_kind *crd_kind; /* CustomResourceDefinition (api/core.h) or NULL: every
					     kind is taken as served */
	const struct runtime_narrow
		*narrow; /* kinds of which only a part is watched, ends with {0}; or NULL */
	const struct reconciler *const *reconcilers; /* NULL-terminated */
	const void *options;			     /* for pass.options */
	const char *identity;  /* of this process, in the Lease and as the reporter of Events */
	const char *component; /* "vmgpu-controller" */
	const char *lease_ns, *lease_name; /* lease_name NULL: no election */
	struct lease_settings lease;
	/*
	 * The highest term that any object knows; obeyed: that one was obeyed in. A leadership's term
	 * is one more than what it finds when it begins: pass.term. When a later one was obeyed, as it
	 * happens to objects that were restored, it goes beyond that. NULL: none is needed, pass.term
	 * is 0. Asked at each pass of a reconciler of term_kind.
	 */
	int64_t (*top_term)(const struct cache *c, bool obeyed);
	const struct kube_kind *term_kind;
	int passes; /* in flight at once; 0: 16 */
	double (*random)(void *ctx);
	void *random_ctx;
	struct metrics *metrics; /* of kube/measure.h, for the time of passes; or NULL */
};

struct runtime *runtime_create(struct loop *l, struct http *h, const struct runtime_settings *s);
/*
 * The end, after the loop: first runtime_close, then http_destroy (which ends the requests that are
 * still under way, and those tell the runtime), then runtime_destroy.
 */
void runtime_close(struct runtime *r);
struct runtime *runtime_destroy(struct runtime *r);
void runtime_start(struct runtime *r);
/* Finishes the passes in flight (30 s at most), gives the Lease back, then stops the loop. */
void runtime_stop(struct runtime *r);

/* Something that is no object has changed (the machine, a setting): the reconciler of this primary
 * kind looks at the key again. */
void runtime_wake(struct runtime *r, const struct kube_kind *primary, const char *ns,
		  const char *name);

/* What watches bring, beside the reconcilers. Before runtime_start. */
void runtime_listen(struct runtime *r, cache_listener *fn, void *ctx);
/* Since when (loop_now) the watch of this kind has brought all that happened, as it happened: what
 * breaks a stream breaks that. INT64_MAX: it does not now. */
int64_t runtime_watching_since(const struct runtime *r, const struct kube_kind *k);

/* Told when this process must end: the Lease is lost. */
bool runtime_lost(const struct runtime *r);
bool runtime_ready(const struct runtime *r); /* caches synced and credentials good: /readyz */
const char *runtime_trouble(const struct runtime *r); /* a sentence or NULL */
const struct cache *runtime_cache(const struct runtime *r);

/* For /metrics: the state of reconciler i. */
struct runtime_stats {
	const char *name;
	uint64_t passes[4]; /* success, requeue, requeue_after, error */
	double seconds;	    /* in passes, from gather to the last answer */
	unsigned active, max;
	double unfinished; /* seconds, of the passes under way together */
	struct queue_stats *queue;
};
size_t runtime_reconcilers(const struct runtime *r);
void runtime_stats(const struct runtime *r, size_t i, struct runtime_stats *ret,
		   struct queue_stats *queue);
/* For /metrics: how often kind i was listed and watched; NULL while it is not served. */
struct watch_counts;
size_t runtime_watches(const struct runtime *r);
const struct watch_counts *runtime_watch(const struct runtime *r, size_t i,
					 const struct kube_kind **ret_kind);
bool runtime_leading(const struct runtime *r);
