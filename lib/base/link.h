/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h: doubly linked rings. A list is a link of its own, its members are links inside structs
 * (container_of). A link that is in no list points at itself; removing it then does nothing.
 */
#pragma once

#include "base/base.h"

struct link {
	struct link *prev, *next;
};

static inline void link_init(struct link *l)
{
	l->prev = l->next = l;
}

/* Of a list: has no members. Of a member: is in no list. */
static inline bool link_empty(const struct link *l)
{
	return l->next == l;
}

/* To the end of the list; l must be in none. */
static inline void link_append(struct link *list, struct link *l)
{
	l->prev = list->prev;
	l->next = list;
	list->prev->next = l;
	list->prev = l;
}

static inline void link_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

static inline void link_move(struct link *list, struct link *l)
{
	link_remove(l);
	link_append(list, l);
}

/* l may be removed, and freed, in the body. */
#define link_each(l, list)                                                                         \
	for (struct link *l = (list)->next, *next_##l = l->next; l != (list);                      \
	     l = next_##l, next_##l = l->next)
