/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intent.h: does an object in the cluster still say what we want it to say? Without keeping it.
 *
 * Two fingerprints answer that, both stored by the API server and so known after a restart too:
 *   - the annotation vmgpu.io/intent, a hash of the whole body that we applied. Another wish, another hash.
 *   - managedFields, the server's own ledger of who set what. Whoever overwrites a field of ours takes it out of our entry
 *     (KEP-555), so "our entry lists just the fields of our body" means that every one of them still has our value.
 * intent_owned computes from a body the entry that the server will write. Where that guess is wrong for some schema, the
 * runtime learns the true value from the answer to our apply (cache_learn_owned): one surplus apply per object and start, no loop.
 */
#pragma once

#include "kube/cache.h"

/* A hash of the body without vmgpu.io/intent itself: keys sorted, so order does not matter. */
uint64_t intent_hash(const json_t *body);
/* The body's expected managedFields entry as a fingerprint, comparable with struct obj.owned. */
uint64_t intent_owned(const struct kube_kind *k, const json_t *body);
/* Sets annotation vmgpu.io/intent of body. */
void intent_stamp(json_t *body);
/* The cached object shows exactly this (stamped) body. have may be NULL: then no. */
bool intent_shown(const struct cache *c, const struct kube_kind *k, const struct obj *have, const json_t *body);
