/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h: what we know of the cluster: packed objects by kind, namespace and name.
 *
 * Filled by watches (watch.h) and by the answers to our own writes; read by plans. Objects are
 * immutable: a change replaces the packed copy. What cache_get lends is valid until the next
 * function here that changes the cache; plans run to their end in between, so they may borrow
 * freely. An object costs one block of memory (type_pack) and about 16 bytes of tables.
 *
 * Time never goes backwards: an object with a smaller resourceVersion than the cached one is
 * dropped, unless a fresh list says otherwise (a restored etcd): cache_sync_begin/end mark and
 * sweep without a second copy.
 *
 * Also a test's world and the CLI's facts: cache_load_json puts any object in.
 */
#pragma once

#include "base/err.h"
#include "kube/kind.h"

struct cache;

enum cache_change { CACHE_SAME, CACHE_ADDED, CACHE_CHANGED, CACHE_REMOVED };

/*
 * Told after each change that a reader could see (the table's fields differ; a new resourceVersion
 * alone is no change). old or now may be NULL; both are lent for the call, which must not change
 * the cache.
 */
typedef void cache_listener(void *ctx, const struct kube_kind *k, const struct obj *old,
			    const struct obj *now);

/* kinds: NULL-terminated array, lives as long as the cache. All functions take kinds of it only. */
struct cache *cache_create(const struct kube_kind *const *kinds);
struct cache *cache_destroy(struct cache *c); /* NULL */
/* Listeners are called in the order in which they were added. */
void cache_listen(struct cache *c, cache_listener *fn, void *ctx);

/*
 * An object as a list or watch showed it. object: scratch struct of the kind's type; copied. One
 * without its name, or of a namespaced kind without namespace, is none.
 */
enum cache_change cache_put(struct cache *c, const struct kube_kind *k, const void *object);
/* A watch showed it deleted, this being its last state: unless we know a newer one of that name. */
enum cache_change cache_gone(struct cache *c, const struct kube_kind *k, const void *object);
/* It does not exist, whatever we know. */
enum cache_change cache_del(struct cache *c, const struct kube_kind *k, const char *ns,
			    const char *name);

/*
 * A full list is coming; cache_sync_end removes what it did not mention. Begun again without an
 * end, it starts afresh; what was put meanwhile stays. fresh: a consistent read (no resourceVersion
 * asked for), which overrules what we know even where that claims to be newer. rv: of the list.
 */
void cache_sync_begin(struct cache *c, const struct kube_kind *k, bool fresh);
void cache_sync_end(struct cache *c, const struct kube_kind *k, const char *rv);
/* A sync has ended, or the kind is known not to be served. */
bool cache_synced(const struct cache *c, const struct kube_kind *k);
/* The watch has delivered everything up to rv. */
void cache_reached(struct cache *c, const struct kube_kind *k, const char *rv);

/*
 * The version in use. NULL: not served (the CRD is absent); forgets the objects and counts as
 * synced. Builtin kinds start as served in their first version, others as not served, yet unsynced.
 */
void cache_set_served(struct cache *c, const struct kube_kind *k, const char *version);
const char *cache_version(const struct cache *c, const struct kube_kind *k);

const void *cache_get(const struct cache *c, const struct kube_kind *k, const char *ns,
		      const char *name);
/*
 * for (const struct obj *o = NULL; (o = cache_next(c, k, o));)
 * In an order that depends on history: a plan that lets order show uses cache_sorted.
 */
const void *cache_next(const struct cache *c, const struct kube_kind *k, const void *after);
/* The same over the objects whose controlling owner has this uid. */
const void *cache_next_owned(const struct cache *c, const struct kube_kind *k,
			     const char *owner_uid, const void *after);
/* The same over the objects whose kind's second_key is this text. */
const void *cache_next_keyed(const struct cache *c, const struct kube_kind *k, const char *key,
			     const void *after);
/* By namespace, then name; owner_uid NULL: all. The array is in the arena, the objects are lent. */
LIST_OF(obj_list, const struct obj *);
struct obj_list cache_sorted(const struct cache *c, const struct kube_kind *k,
			     const char *owner_uid, struct arena *a);
size_t cache_count(const struct cache *c, const struct kube_kind *k);
size_t cache_bytes(const struct cache *c);

/*
 * What is made of all objects of a kind, kept until one of them changes or is replaced; one a kind.
 * It may borrow from the objects. make gets the cache as it is, destroy what make returned.
 */
struct cache_memo {
	void *(*make)(const struct cache *c);
	void (*destroy)(void *made);
};
const void *cache_memo(const struct cache *c, const struct kube_kind *k,
		       const struct cache_memo *m);

/*
 * Read-your-writes: after a write of ours was answered with resourceVersion rv, the object counts
 * as stale until the watch has delivered rv or later; plans that would act destructively ask first.
 */
void cache_wrote(struct cache *c, const struct kube_kind *k, const char *ns, const char *name,
		 const char *rv);
bool cache_caught_up(const struct cache *c, const struct kube_kind *k, const char *ns,
		     const char *name);
/*
 * The object that came back from a write of ours: cache_wrote, and seen at once, unless the watch
 * is past it already (then an older answer could bring back what has since been deleted).
 */
enum cache_change cache_answered(struct cache *c, const struct kube_kind *k, const void *object);

/*
 * What managedFields showed after our own last apply of this object, when it was not what we
 * computed (see kube/intent.h): 0 when nothing was learned.
 */
void cache_learn_owned(struct cache *c, const struct kube_kind *k, const char *ns, const char *name,
		       uint64_t owned);
uint64_t cache_learned_owned(const struct cache *c, const struct kube_kind *k, const char *ns,
			     const char *name);

/* The kind with this apiVersion and kind (either may be NULL: none has that), or NULL. */
const struct kube_kind *cache_kind(const struct cache *c, const char *api_version,
				   const char *kind);
/*
 * Any object as JSON (kind found by apiVersion and kind), read leniently: for tests and for facts
 * from files. Its version becomes the served one if none was. >0: kind not ours.
 */
int cache_load_json(struct cache *c, json_t *object, struct err *err);
