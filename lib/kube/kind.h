/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind.h: what the API server calls the things that we read and write, and the only place where URL
 * paths are made.
 *
 * A kind is a const row in api/. Kinds of neighbours that exist in several versions name them in
 * order of preference in `versions` ("v1beta2 v1beta1"); which one is used is found out at run time
 * from discovery (kube/runtime.h), so code takes the version from the cache (cache_version), never
 * from here.
 *
 * The struct of a cached kind begins with struct obj, its table with the row OBJ_METADATA, and its
 * type.finish is (or calls) obj_finish. A kind that wants labels or further annotations adds a row
 * of its own for the same key: {OBJ_METADATA, FIELD_INLINE("metadata", &pod_metadata), ...}.
 */
#pragma once

#include "base/buf.h"
#include "json/type.h"

struct obj;

struct kube_kind {
	const char *group;    /* "" for the core group */
	const char *versions; /* space separated, preferred first */
	const char *kind, *plural;
	bool namespaced;
	bool builtin; /* served by every API server: no CRD to wait for */
	/*
	 * Read as PartialObjectMetadata: the API server leaves spec and status out. What changes
	 * there is seen as another resourceVersion, which therefore counts as a change.
	 */
	bool metadata_only;
	/* of the cached struct, which begins with struct obj; NULL: never cached (Secrets) */
	const struct type *type;
	const char *selector; /* label selector of our watch, or NULL for all */
	/*
	 * A text by which plans look for objects of this kind (cache_next_keyed), or NULL for
	 * one that nobody looks for. From the object alone, cheap: it is asked often.
	 */
	const char *(*second_key)(const struct obj *o);
};

/*
 * The head of every cached struct.
 */
struct obj {
	const char *name, *ns; /* ns: NULL for cluster-scoped */
	const char *uid, *rv;
	int64_t generation;
	const char *deleting; /* deletionTimestamp */
	/* annotation vmgpu.io/intent: fingerprint of the body that we last applied */
	const char *intent;
	/* What obj_finish makes of ownerReferences and managedFields, in the place of both: a cache
	   holds thousands of these. */
	union {
		struct {
			/* the controlling owner reference, else the first one */
			const char *owner_kind, *owner_name, *owner_uid;
			/* fingerprint of what managedFields says manager vmgpu applied; 0: nothing */
			uint64_t owned;
		};
		struct { /* until then */
			LIST(struct obj_owner) owners;
			LIST(struct obj_managed) managed;
		};
	};
};

struct obj_owner {
	const char *kind, *name, *uid;
	tri controller;
};

struct obj_managed {
	const char *manager, *operation, *subresource;
	uint64_t fields;
};

#define INTENT_ANNOTATION "vmgpu.io/intent"
#define OBJ_MANAGER "vmgpu"

/* The row that fills struct obj. */
extern const struct type obj_metadata;
#define OBJ_METADATA FIELD_INLINE("metadata", &obj_metadata)
/* Reduces owner references and managedFields to what struct obj keeps of them. */
void obj_finish(void *object);

/* "apps.cozystack.io/v1alpha1", or "v1" for the core group. version NULL: the preferred one. */
void kind_api_version(const struct kube_kind *k, const char *version, struct buf *out);
/* Is this "group/version" (or "v1") one of k's? */
bool kind_has_api_version(const struct kube_kind *k, const char *api_version);
/*
 * The path of a collection (name NULL), an object, or its subresource (NULL for none). ns NULL: all
 * namespaces.
 */
void kind_path(const struct kube_kind *k, const char *version, const char *ns, const char *name,
	       const char *subresource, struct buf *out);
/* s percent-encoded for a query value or path segment (RFC 3986 unreserved stay). */
void kind_escape(struct buf *out, const char *s);

/*
 * resourceVersions are decimal strings of any length (KEP-5504): <0, 0, >0. NULL and "" are the
 * smallest.
 */
int rv_compare(const char *a, const char *b);
