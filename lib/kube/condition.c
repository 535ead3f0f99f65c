/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/condition.h"

#include <string.h>

#include "base/clock.h"

#define CUT "..."

#define T struct condition
static const struct field condition_fields[] = {
	FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, status, "status", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, reason, "reason", TYPE_STR, .flags = TYPE_INTERN | TYPE_KEEP_ZERO),
	FIELD(T, message, "message", TYPE_STR, .flags = TYPE_INTERN | TYPE_KEEP_ZERO),
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, last_transition, "lastTransitionTime", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
const struct type condition_type = {sizeof(T), condition_fields, NULL};
#undef T

const struct condition *condition_find(const struct condition_list *l, const char *type)
{
	for (size_t i = 0; l && i < l->n; i++) {
		if (str_eq(l->items[i].type, type)) {
			return &l->items[i];
		}
	}
	return NULL;
}

bool condition_is(const struct condition_list *l, const char *type, const char *status)
{
	const struct condition *c = condition_find(l, type);

	return c && str_eq(c->status, status);
}

static struct condition *slot(struct condition_list *l, struct arena *a, const char *type)
{
	struct condition *known = (struct condition *)condition_find(l, type), *more;

	if (known) {
		return known;
	}
	more = arena_array(a, struct condition, l->n + 1);
	if (l->n) {
		memcpy(more, l->items, l->n * sizeof(*more));
	}
	l->items = more;
	return &more[l->n++];
}

const char *condition_text(struct arena *a, const char *message)
{
	size_t n = CONDITION_TEXT_MAX - strlen(CUT);

	if (!message || strlen(message) <= CONDITION_TEXT_MAX) {
		return message;
	}
	/* Bytes 10xxxxxx go on with a character of UTF-8 that began before them. */
	while (n && ((unsigned char)message[n] & 0xc0) == 0x80) {
		n--;
	}
	return arena_printf(a, "%.*s" CUT, (int)n, message);
}

void condition_set(struct condition_list *l, const struct condition_list *old, struct arena *a,
		   const struct condition *c, int64_t now_ms)
{
	const struct condition *before = condition_find(old, c->type);
	struct condition *s = slot(l, a, c->type);
	char now[CLOCK_TEXT_MAX];

	*s = *c;
	s->message = condition_text(a, c->message);
	if (before && str_eq(before->status, c->status) && before->last_transition) {
		s->last_transition = before->last_transition;
	} else {
		s->last_transition = arena_strdup(a, clock_time(now_ms * 1000, now));
	}
}
