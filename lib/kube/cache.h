/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h: what we know of the cluster: packed objects by kind, namespace and name.
 *
 * Filled by watches (watch.h) and by the answers to our own writes; read by plans. Objects are immutable: a change
 * replaces the packed copy. What cache_get lends is valid until the next cache_put or cache_del; plans run to their
 * end in between, so they may borrow freely.
 *
 * Time never goes backwards: an object with a smaller resourceVersion than the cached one of the same uid is dropped,
 * unless the relist says otherwise (a restored etcd): cache_sync_begin/end mark and sweep without a second copy.
 *
 * Also a test's world and the CLI's facts: cache_load_json puts any object in.
 */
#pragma once

#include "kube/kind.h"

struct cache;

enum cache_change { CACHE_SAME, CACHE_ADDED, CACHE_CHANGED, CACHE_REMOVED };

/* Told after each change that a reader could see (the table's fields differ). old or new may be NULL; both lent. */
typedef void cache_listener(void *ctx, const struct kube_kind *k, const struct obj *old, const struct obj *now);

/* kinds: NULL-terminated array, lives as long as the cache. */
struct cache *cache_create(const struct kube_kind *const *kinds);
struct cache *cache_destroy(struct cache *c); /* NULL */
void cache_listen(struct cache *c, cache_listener *fn, void *ctx);

/* object: scratch struct of the kind's type; copied. */
enum cache_change cache_put(struct cache *c, const struct kube_kind *k, const void *object);
enum cache_change cache_del(struct cache *c, const struct kube_kind *k, const char *ns, const char *name);

/* A full list is coming; ends with removal of what it did not mention. */
void cache_sync_begin(struct cache *c, const struct kube_kind *k);
void cache_sync_end(struct cache *c, const struct kube_kind *k);
bool cache_synced(const struct cache *c, const struct kube_kind *k);
/* The kind is not served: forgets its objects. served=false is what plans see as "CRD absent". version: the one in use. */
void cache_set_served(struct cache *c, const struct kube_kind *k, const char *version); /* NULL: not served */
const char *cache_version(const struct cache *c, const struct kube_kind *k); /* NULL: not served */

const void *cache_get(const struct cache *c, const struct kube_kind *k, const char *ns, const char *name);
/* for (const struct obj *o = NULL; (o = cache_next(c, k, o));)  in unspecified order */
const void *cache_next(const struct cache *c, const struct kube_kind *k, const void *after);
/* The same over the objects whose controlling owner has this uid. */
const void *cache_next_owned(const struct cache *c, const struct kube_kind *k, const char *owner_uid, const void *after);
size_t cache_count(const struct cache *c, const struct kube_kind *k);
size_t cache_bytes(const struct cache *c);

/*
 * Read-your-writes: after a write of ours was answered with resourceVersion rv, the object counts as stale until the
 * watch has delivered rv or later; plans that would act destructively ask first.
 */
void cache_wrote(struct cache *c, const struct kube_kind *k, const char *ns, const char *name, const char *rv);
bool cache_caught_up(const struct cache *c, const struct kube_kind *k, const char *ns, const char *name);

/*
 * What managedFields showed after our own last apply of this object, when it was not what we computed (see
 * kube/intent.h): 0 when nothing was learned.
 */
void cache_learn_owned(struct cache *c, const struct kube_kind *k, const char *ns, const char *name, uint64_t owned);
uint64_t cache_learned_owned(const struct cache *c, const struct kube_kind *k, const char *ns, const char *name);

/* Any object as JSON (kind found by apiVersion and kind): for tests and for facts from files. >0: kind not ours. */
int cache_load_json(struct cache *c, json_t *object, struct err *err);
