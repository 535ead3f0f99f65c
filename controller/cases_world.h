/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases_world.h: for cases_test.c: the cluster as an array of JSON objects, to which a plan's
 * actions are carried out as the API server would, as far as a fixpoint can tell. Not in any
 * program.
 */
#pragma once

#include "controller/options.h"
#include "kube/plan.h"

/* Of a case; texts are lent, beats lie until the next call. */
void cases_options(const json_t *o, struct options *ret);

/* Kinds are served in their first version, or as `served` says (group -> version or "absent"). */
void cases_serve(struct cache *c, const struct kube_kind *const *kinds, const json_t *served);
/* [{apply, manager} | {merge: {target, body}} | {status: {body}} | {delete} | {event} | {again}];
 * intents left out of applies. */
json_t *cases_actions(const struct plan *p);

/* Adds what the actions of a plan for this kind say, a line each: Events, conditions, the fields of
 * status, and why something is done. */
void cases_words(const struct plan *p, const char *kind, json_t *words);

bool cases_same_object(const json_t *a, const json_t *b); /* apiVersion, kind, namespace, name */
bool cases_same_target(const json_t *action, const json_t *target);
json_t *cases_target(const json_t *object); /* {apiVersion, kind, namespace, name} */
json_t *cases_find(const json_t *world, const json_t *target);	      /* borrowed, or NULL */
json_t *cases_merge_patch(const json_t *object, const json_t *patch); /* RFC 7386; new */

/* The first n actions, in place. */
void cases_carry_out(json_t *world, const json_t *actions, size_t n,
		     const struct kube_kind *const *kinds, const json_t *when);
/* Equal; without times, but for every lastTransitionTime. */
bool cases_same_world(const json_t *a, const json_t *b, bool times);

/*
 * A case's `given` with its marks (same, old, drifted) taken out; with what the marks of its
 * intents stand for (first: the plan over the one without); and with what `same` in the status of
 * the object of `when` stands for (second: the plan over that world).
 */
json_t *cases_without_same(const json_t *given);
json_t *cases_with_intents(const json_t *given, const json_t *first,
			   const struct kube_kind *const *kinds);
json_t *cases_with_same(const json_t *given, const json_t *world, const json_t *second,
			const json_t *when);
bool cases_marked_same(const json_t *object);
/* The body that manager vmgpu applies to it, borrowed, or NULL. */
const json_t *cases_apply_for(const json_t *actions, const json_t *object);
/* Each field of the body stands in the object with that value (preconditions aside). */
bool cases_stands_in(const json_t *object, const json_t *body);
