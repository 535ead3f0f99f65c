/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h: the objects that we write for a user's object: their names, labels and owner. Pure.
 *
 * Names and labels are Cozystack's, so that what its chart made is adopted without a restart
 * (cozystack.md 2).
 */
#pragma once

#include "controller/verdict.h"
#include "kube/plan.h"

struct child_of {
	const struct kube_kind *kind; /* of the owner */
	const struct obj *owner;
	const char *app;  /* label app.kubernetes.io/name: "vm-instance" */
	const char *name; /* R: label app.kubernetes.io/instance, and the name of most children */
};

/* The owner's prefix and name: R of cozystack.md. plain: the owner's own name. */
const char *child_name(struct arena *a, const char *app, const char *name, bool plain);

/* {"app.kubernetes.io/name", "…/instance"}: what Services select. New references, all. */
json_t *child_selector(const struct child_of *c);
/* The selector's labels and the owner's application labels: for templates of what others make. */
json_t *child_template_labels(const struct child_of *c);
/* The controlling owner reference. */
json_t *child_owner(const struct child_of *c);
/* metadata of a child called name: labels, namespace, controlling owner reference. */
json_t *child_metadata(const struct child_of *c, const char *name);
/* An object with apiVersion, kind and that metadata, ready for a spec. version: of the kind as
 * served. */
json_t *child_object(const struct child_of *c, const struct cache *cache, const struct kube_kind *k,
		     const char *name);

enum child_whose {
	CHILD_ABSENT,
	CHILD_OURS,  /* owned by the owner */
	CHILD_HELM,  /* Cozystack's chart made it, and nobody owns it: to be adopted */
	CHILD_TAKEN, /* somebody else's: never touched */
};
/* helms: made by Helm, by the release of its own name, as far as its kind keeps that. */
enum child_whose child_whose(const struct child_of *c, const struct obj *have, tri helms);

/*
 * The longest spec, as JSON, that a plan reads. A pass has 16 MiB, and of what a tenant writes some
 * is kept several times: as read, in names, in messages (child_test.c measures it). The limits of
 * the CRDs do not bind objects that are older than they, nor the sum of all fields.
 */
#define CHILD_SPEC_MAX MiB
/*
 * Reads it into *ret of t->size bytes; NULL says nothing. Else TooLarge, with the largest field and
 * the remedy, or Unreadable: it is no JSON, or becomes more than half a pass when it is decoded, as
 * a million empty entries do. Then *ret is unset: it must not count for what the user wants.
 */
struct verdict child_spec_read(struct arena *a, const struct type *t, const char *spec, void *ret);

/*
 * Raw JSON that jansson cannot hold (type_raw) must not count as absent: without its disks a VM
 * would lose them. What is acted on is refused, and what is not acted on is named with this word.
 */
#define CHILD_UNREADABLE                                                                           \
	" cannot be read (a key has \\u0000, a number is beyond 64 bits, or it nests deeper than 2048)"
struct child_raw {
	const char *field, *text; /* "controlPlane.apiServer.extraArgs"; text: NULL, not there */
};
/* Nothing, or Unreadable with the first of them that cannot be read. */
struct verdict child_raws_read(struct arena *a, const struct child_raw *raws, size_t n);
