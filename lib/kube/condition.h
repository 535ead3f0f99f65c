/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condition.h: metav1.Condition, the lists of them in every status, and the rule for their times.
 *
 * A plan builds the new list from nothing in each pass; condition_set takes lastTransitionTime over
 * from the old list where the status of that type is unchanged, so an unchanged situation gives an
 * unchanged list and nothing is written. The list is kept in the order of setting.
 */
#pragma once

#include "json/type.h"

struct condition {
	const char *type, *status, *reason, *message; /* status: "True", "False", "Unknown" */
	int64_t observed_generation;
	const char *last_transition; /* RFC 3339, whole seconds */
};
LIST_OF(condition_list, struct condition);

extern const struct type condition_type;

/* NULL when there is none of that type. */
const struct condition *condition_find(const struct condition_list *l, const char *type);
bool condition_is(const struct condition_list *l, const char *type, const char *status);

/* metav1.Condition: a message has 32768 bytes at most. */
#define CONDITION_TEXT_MAX ((size_t)32768)

/* The message as it stands in a status: one that is too long is cut, behind a whole character of
 * UTF-8, and ends with "...". NULL stays NULL. */
const char *condition_text(struct arena *a, const char *message);

/*
 * Adds *c to l (or replaces the one of its type); its strings are borrowed, the list, the time and a
 * message that had to be cut lie in the arena. old: the list in the cluster, or NULL. now_ms: wall clock.
 */
void condition_set(struct condition_list *l, const struct condition_list *old, struct arena *a,
		   const struct condition *c, int64_t now_ms);
