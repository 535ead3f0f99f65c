/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intent.h: does an object in the cluster still say what we want it to say? Without keeping it.
 *
 * Two fingerprints answer that, both stored by the API server and so known after a restart too:
 *   - the annotation vmgpu.io/intent, a hash of the whole body that we applied: another wish,
 *     another hash.
 *   - managedFields, the server's own ledger of who set what. Whoever overwrites a field of ours
 *     takes it out of our entry (KEP-555), so "our entry lists just the fields of our body" means
 *     that every one of them still has our value.
 * intent_owned computes from a body the entry that the server will write. That needs what the
 * schema says about lists and maps; the few places where it says something (keyed lists, atomic
 * maps, unknown fields) stand in a table in intent_rules.c. Where that guess is wrong, the true
 * value is learned from the answer to our apply (intent_answered): one surplus apply per object and
 * start, no loop.
 *
 * A kind that is never cached (Secrets) shows nothing: there the hash that we applied last is
 * remembered, until the program ends.
 */
#pragma once

#include "kube/cache.h"

/*
 * A hash of the body; order of keys does not matter. Stable for ever: it is stored. Left out are
 * vmgpu.io/intent itself, metadata.resourceVersion (a precondition), and fields that a rule calls
 * INTENT_SHARED.
 */
uint64_t intent_hash(const struct kube_kind *k, const json_t *body);
/*
 * The body's expected managedFields entry as a fingerprint, comparable with struct obj.owned;
 * shared: with the fields that are INTENT_SHARED.
 */
uint64_t intent_owned(const struct kube_kind *k, const json_t *body, bool shared);
/* The entry's text as the server writes it (fieldsV1). */
void intent_fields(const struct kube_kind *k, const json_t *body, bool shared, struct buf *out);
/* Sets annotation vmgpu.io/intent of body. */
void intent_stamp(const struct kube_kind *k, json_t *body);
/* The cached object shows exactly this (stamped) body. have may be NULL: then no. */
bool intent_shown(const struct cache *c, const struct kube_kind *k, const struct obj *have,
		  const json_t *body);
/*
 * Our apply of this (stamped) body was answered with this object (NULL where the kind is not
 * cached).
 */
void intent_answered(struct cache *c, const struct kube_kind *k, const json_t *body,
		     const struct obj *answer);

/*
 * What a schema says about a container, as far as managedFields show it; and one word of our own.
 */
enum intent_rule_what {
	INTENT_PLAIN,	/* no rule: an object's fields one by one, a list as a whole */
	INTENT_SHARED,	/* a field that we write as we find it: value and owner do not matter */
	INTENT_KEYED,	/* a list of objects told apart by `keys` */
	INTENT_SET,	/* a list of scalars, one by one */
	INTENT_ATOMIC,	/* an object as a whole */
	INTENT_ENTRIES, /* an object of objects: each entry counts besides its fields */
	INTENT_OPEN,	/* no schema from here on down */
};
struct intent_rule {
	const char *kind; /* "Service", "Cluster/v1beta1" in that version only; NULL: every kind */
	const char *path; /* "spec.ports"; inside its items "spec.ports[]" */
	enum intent_rule_what what;
	const char *keys; /* "port protocol=TCP": sorted, with the schema's defaults */
};
extern const struct intent_rule intent_rules[]; /* ends with {0} */
