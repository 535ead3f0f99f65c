/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.h: which of our kinds an API server serves, and in which version, from its own word:
 * the aggregated discovery document (KEP-3352). Bytes in, answer out, no I/O; of a document of many
 * hundred kinds nothing is kept but what it says of ours.
 *
 *	GET DISCOVERY_PATH with DISCOVERY_ACCEPT
 *	{"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": GROUP}, "versions":
 *	  [{"version": VERSION, "resources": [{"resource": PLURAL}, ...]}, ...]}, ...]}
 *
 * The core group is not in it (that is /api). A server older than Kubernetes 1.26 answers with an
 * APIGroupList, which is an error here: it names no resources.
 */
#pragma once

#include "base/err.h"
#include "kube/kind.h"

#define DISCOVERY_PATH "/apis"
/* The last form is not read: it makes a server that has no other say what it is. */
#define DISCOVERY_ACCEPT                                                                           \
	"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                    \
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"               \
	"application/json"

struct discovery;

struct discovery_kind {
	bool listed;	     /* in some version, not necessarily one of ours */
	const char *version; /* the first of ours that is listed, or NULL; lent until _begin */
	bool preferred;	     /* which is the first of ours that there is */
};

/* kinds: which it looks for, NULL-terminated; lent. */
struct discovery *discovery_create(const struct kube_kind *const *kinds);
struct discovery *discovery_destroy(struct discovery *d); /* NULL */

/* An answer begins, with this HTTP status: what the last one said is forgotten. */
void discovery_begin(struct discovery *d, int http_status);
/* Its bytes as they arrive, whatever they are. */
void discovery_feed(struct discovery *d, const char *bytes, size_t n);
/* They were all. -1: this is no discovery document; err says what it is. */
int discovery_end(struct discovery *d, struct err *err);

/* After discovery_end returned 0. Of a kind that it was not told to look for: nothing. */
struct discovery_kind discovery_find(const struct discovery *d, const struct kube_kind *k);
