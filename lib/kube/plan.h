/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: what a pass wants done, as data.
 *
 * A pass is gather -> plan -> act. gather reads the cache, plan is a pure function of what was
 * gathered, act (act.h) carries out the list in order and stops at the first failure; a failed
 * action is simply a new pass over fresh state. Nothing in a plan depends on the answers to its own
 * actions: names are deterministic, writes are whole intents.
 *
 * `why` of an action is at once the log line, the Event and what `explain` prints: write it for a
 * person.
 */
#pragma once

#include "kube/cache.h"

enum action_what {
	ACTION_APPLY,  /* server-side apply, forced, of a whole intent */
	ACTION_MERGE,  /* JSON merge patch; with metadata.resourceVersion in the body it is
			  conditional */
	ACTION_STATUS, /* JSON merge patch of the status subresource */
	ACTION_DELETE, /* with preconditions uid and resourceVersion */
	ACTION_EVENT,  /* a Kubernetes Event about the object of the pass */
	ACTION_AGAIN,  /* pass again after a delay, even if nothing changes */
};

struct action {
	enum action_what what;
	const struct kube_kind *kind;
	const char *ns, *name;
	const char *manager;	  /* field manager: "vmgpu", "vmgpu-power", "vmgpu-scale" */
	json_t *body;		  /* owned by the plan */
	const char *uid, *rv;	  /* ACTION_DELETE's preconditions */
	const char *reason, *why; /* reason: CamelCase, for the Event; why: a sentence */
	bool warning;		  /* ACTION_EVENT */
	/* ACTION_APPLY, ACTION_DELETE of what is not cached (plan_unseen) */
	const char *unseen_owner, *unseen_release;
	int64_t after_ms; /* ACTION_AGAIN */
};

struct plan {
	struct arena *arena; /* strings of the actions live here */
	const struct cache *cache;
	struct action *actions;
	size_t n, size;
};

struct key {
	const char *ns, *name;
};

/* All that a gather may look at. Everything is lent for the pass. */
struct pass {
	struct arena *arena;
	const struct cache *cache;
	const struct kube_kind *kind; /* the primary kind of the reconciler */
	struct key key;
	int64_t now_ms; /* wall clock, Unix epoch: for lastTransitionTime only */
	/*
	 * why the API server refused an action of the previous pass, or NULL: belongs into the
	 * status
	 */
	const char *trouble;
	const void *options; /* the program's settings (controller/options.h) */
	int64_t term;	     /* of our leadership (runtime.h), 0 where the program has none */
};

/*
 * How a change of one kind wakes keys of a reconciler: calls wake for each key. old or now may be
 * NULL.
 */
typedef void wake_fn(void *ctx, const char *ns, const char *name);
struct plan_watch {
	const struct kube_kind *kind;
	void (*map)(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx);
};

struct reconciler {
	const char *name; /* metric label `controller` */
	const struct kube_kind *primary;
	/* ends with {0}; the primary itself wakes its own key without a row */
	const struct plan_watch *watches;
	/* NULL: nothing to do (the object is gone). In pass->arena. */
	const void *(*gather)(const struct pass *pass);
	void (*plan)(const void *seen, struct plan *plan);
	/*
	 * The kind that the objects of primary are made of, one of watches, or NULL: when primary
	 * comes to be served none of its objects is there to be woken, so that watch is told of each
	 * of these again.
	 */
	const struct kube_kind *made_of;
};

void plan_init(struct plan *p, struct arena *a, const struct cache *c);
void plan_finish(struct plan *p);

/*
 * Each takes the reference to body; strings are copied. What is returned lives until the next
 * action is added. plan_apply fills in apiVersion (the served one) and kind where the body lacks
 * them. For manager vmgpu it stamps the intent, and adds nothing (NULL) when the cache already
 * shows it (intent.h). Another manager's apply (vmgpu-power, -scale) is always added: the plan decides.
 * plan_delete adds nothing (NULL) for what is being deleted already, and asks for another pass
 * while our own last write to the object has not come back. Its preconditions (uid and
 * resourceVersion) take the place of a last GET: the server compares where a GET would race.
 */
struct action *plan_apply(struct plan *p, const struct kube_kind *k, const char *manager,
			  json_t *body_new, const char *why);
/* As plan_apply with manager vmgpu, of a body that is stamped and known not to be shown. */
struct action *plan_apply_stamped(struct plan *p, const struct kube_kind *k, json_t *body_new,
				  const char *why);
struct action *plan_merge(struct plan *p, const struct kube_kind *k, const char *ns,
			  const char *name, json_t *body_new, const char *why);
struct action *plan_status(struct plan *p, const struct kube_kind *k, const char *ns,
			   const char *name, json_t *status_new, const char *why);
/*
 * The status of o as a struct and its table: nothing when it equals old, else one merge patch of
 * what differs (fields that are unset now are removed).
 */
struct action *plan_status_of(struct plan *p, const struct kube_kind *k, const struct obj *o,
			      const struct type *t, const void *old, const void *status,
			      const char *why);
struct action *plan_delete(struct plan *p, const struct kube_kind *k, const struct obj *o,
			   const char *why);
/*
 * The object of this action (NULL: nothing is done) is of a kind that is not cached, and its name may
 * be somebody's. Whoever acts looks at its metadata first (never at its content): it must not be
 * there, or have this owner, or be that of a Helm release of this name. Somebody else's is neither
 * applied, which is a refusal, nor deleted.
 */
void plan_unseen(struct plan *p, struct action *a, const char *owner_uid, const char *release);
void plan_event(struct plan *p, bool warning, const char *reason, const char *why);
void plan_again(struct plan *p, int64_t after_ms, const char *why);
