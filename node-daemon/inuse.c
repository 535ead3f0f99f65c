/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/inuse.h"

#include <stdlib.h>

#include "base/link.h"

#define QUESTION_BYTES MiB

struct said {
	uint64_t unit;
	const struct unit *wanted;  /* by this turn */
	bool asking, known, needed; /* needed: in this turn, or the last one */
	enum bind_users users;
	char *who;
	int64_t at;
};

struct inuse {
	struct inuse_settings s;
	struct eyes *eyes;
	struct said *items;
	size_t n, room;
	struct link waiting; /* asked_now */
};

/* Somebody waits for an answer of this moment. */
struct asked_now {
	struct inuse *i;
	inuse_fn *fn;
	void *ctx;
	struct link link;
};

static struct said *find(struct inuse *i, uint64_t unit)
{
	for (size_t k = 0; k < i->n; k++) {
		if (i->items[k].unit == unit) {
			return &i->items[k];
		}
	}
	return NULL;
}

static struct said *make(struct inuse *i, uint64_t unit)
{
	if (i->n == i->room) {
		i->room = i->room ? 2 * i->room : 8;
		i->items = xrealloc(i->items, i->room * sizeof(*i->items));
	}
	i->items[i->n] = (struct said){.unit = unit};
	return &i->items[i->n++];
}

static int64_t now(const struct inuse *i)
{
	return loop_now(i->s.eyes.loop);
}

static void remember(struct inuse *i, const struct eyes_says *says)
{
	struct said *s = find(i, says->id);

	if (s) {
		free(s->who);
		*s = (struct said){.unit = says->id,
				   .known = true,
				   .needed = true,
				   .users = says->users,
				   .who = xstrdup(says->who),
				   .at = now(i)};
	}
}

static bool is_there(const struct unit_list *units, uint64_t unit)
{
	list_each(u, units) {
		if (u->card->address == unit) {
			return true;
		}
	}
	return false;
}

void inuse_begin(struct inuse *i, const struct unit_list *units)
{
	size_t n = 0;

	for (size_t k = 0; k < i->n; k++) {
		struct said *s = &i->items[k];

		if (is_there(units, s->unit) && (s->needed || s->asking)) {
			i->items[n] = *s;
			i->items[n].needed = false;
			i->items[n++].wanted = NULL;
		} else {
			free(s->who);
		}
	}
	i->n = n;
}

bool inuse_of(struct inuse *i, const struct unit *u, enum bind_users *ret, const char **ret_who,
	      int64_t *ret_again)
{
	struct said *s = find(i, u->card->address);

	s = s ? s : make(i, u->card->address);
	s->needed = true;
	if (!s->asking && (!s->known || now(i) - s->at >= INUSE_AGAIN_MS)) {
		s->wanted = u;
	}
	if (s->known) {
		*ret = s->users;
		*ret_who = s->who;
		*ret_again = (s->wanted ? now(i) : s->at) + INUSE_AGAIN_MS;
	}
	return s->known;
}

static void on_answer(void *ctx, const struct eyes_answer *answer)
{
	struct inuse *i = ctx;

	list_each(says, &answer->units) {
		remember(i, says);
	}
	i->s.answered(i->s.ctx);
}

/* What does not go into one question waits for the turn that its answer brings. */
void inuse_ask(struct inuse *i)
{
	attr_cleanup(arena_finish) struct arena a;
	struct eyes_question q = {0};

	arena_init(&a, QUESTION_BYTES);
	q.items = arena_array(&a, struct eyes_unit, EYES_MAX_UNITS);
	for (size_t k = 0; k < i->n && q.n < EYES_MAX_UNITS; k++) {
		struct said *s = &i->items[k];

		if (s->wanted) {
			eyes_unit_of(s->wanted, &a, &q.items[q.n++]);
			s->wanted = NULL;
			s->asking = true;
		}
	}
	if (q.n) {
		eyes_ask(i->eyes, &q, EYES_ASK_MS, on_answer, i);
	}
}

/* --- right before an act ------------------------------------------------------------------- */

static void on_answer_now(void *ctx, const struct eyes_answer *answer)
{
	const struct eyes_says *says = &answer->units.items[0];
	struct asked_now *k = ctx;
	inuse_fn *fn = k->fn;
	void *of = k->ctx;

	remember(k->i, says);
	link_remove(&k->link);
	free(k);
	fn(of, says->id, says->users, says->who);
}

void inuse_now(struct inuse *i, const struct unit *u, inuse_fn *fn, void *ctx)
{
	attr_cleanup(arena_finish) struct arena a;
	struct asked_now *k = xcalloc(1, sizeof(*k));
	struct eyes_unit unit;

	arena_init(&a, QUESTION_BYTES);
	*k = (struct asked_now){.i = i, .fn = fn, .ctx = ctx};
	link_init(&k->link);
	link_append(&i->waiting, &k->link);
	eyes_unit_of(u, &a, &unit);
	eyes_ask(i->eyes, &(struct eyes_question){&unit, 1}, EYES_ASK_MS, on_answer_now, k);
}

struct inuse *inuse_create(const struct inuse_settings *s)
{
	struct inuse *i = xcalloc(1, sizeof(*i));

	i->s = *s;
	i->eyes = eyes_create(&s->eyes);
	link_init(&i->waiting);
	return i;
}

struct inuse *inuse_destroy(struct inuse *i)
{
	eyes_destroy(i->eyes);
	link_each(l, &i->waiting)
	{
		free(container_of(l, struct asked_now, link));
	}
	for (size_t k = 0; k < i->n; k++) {
		free(i->items[k].who);
	}
	free(i->items);
	free(i);
	return NULL;
}
