/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eyes_hand_test.h: the eyes (eyes.h) by hand, on virtual time: the linker takes these instead of eyes.c.
 * What was asked waits in `asked`, in order, until eyes_say.
 */
#pragma once

#include "node-daemon/eyes.h"
#include "node-daemon/loop_hand_test.h"

#define EYES_ASKED 80

struct eyes {
	int64_t unused;
};

struct eyes_asked {
	struct eyes *e;
	struct arena arena;
	struct eyes_question q;
	eyes_fn *fn;
	void *ctx;
};

static struct eyes_asked asked[EYES_ASKED];
static size_t n_asked;

struct eyes *eyes_create(attr_unused const struct eyes_settings *s)
{
	return xcalloc(1, sizeof(struct eyes));
}

static void eyes_drop(size_t i)
{
	arena_finish(&asked[i].arena);
	n_asked--;
	memmove(asked + i, asked + i + 1, (n_asked - i) * sizeof(*asked));
}

struct eyes *eyes_destroy(struct eyes *e)
{
	for (size_t i = n_asked; i-- > 0;) {
		if (asked[i].e == e) {
			eyes_drop(i);
		}
	}
	free(e);
	return NULL;
}

void eyes_ask(struct eyes *e, const struct eyes_question *q, int64_t deadline_ms, eyes_fn *fn,
	      void *ctx)
{
	struct eyes_asked *k = &asked[n_asked];
	auto_buf struct buf line = {.max = MiB};
	struct err err = {""};

	ok(n_asked < EYES_ASKED);
	is_int(deadline_ms, EYES_ASK_MS);
	*k = (struct eyes_asked){.e = e, .fn = fn, .ctx = ctx};
	arena_init(&k->arena, 4 * MiB);
	is_int(eyes_question_write(q, &line), 0);
	is_int(eyes_question_read(line.bytes, line.len, &k->arena, &k->q, &err), 0);
	n_asked++;
}

/* "0000:41:00.4 0000:41:00.4=nvidia, ...": the units that the last question is of, each with its
 * functions; a * behind one of which only the vGPUs are asked of, and the UUID. */
attr_unused static const char *eyes_words(size_t i, struct arena *a)
{
	const char *text = "";
	char at[PCIFN_TEXT_MAX];

	if (i >= n_asked) {
		return "nothing";
	}
	list_each(u, &asked[i].q) {
		text = arena_printf(a, "%s%s%s:", text, *text ? ", " : "",
				    u->id >> 47 ? "?" : pcifn_text(u->id, at));
		list_each(f, &u->functions) {
			text = arena_printf(a, "%s %s=%s%s%s", text, pcifn_text(f->at, at),
					    f->driver, f->vgpus ? "*" : "",
					    str_empty(f->uuid) ? "" : f->uuid);
		}
	}
	return text;
}

/* Of question i: of unit `which` this, of all others that nobody uses them; SIZE_MAX: this of all. */
attr_unused static void eyes_say(size_t i, size_t which, enum bind_users users, const char *who)
{
	struct eyes_asked k = asked[i];
	struct eyes_answer answer = {0};

	ok(i < n_asked);
	answer.units.items = arena_array(&k.arena, struct eyes_says, k.q.n);
	list_each(u, &k.q) {
		bool so = which == SIZE_MAX || which == answer.units.n;

		answer.units.items[answer.units.n++] =
			(struct eyes_says){u->id, so ? users : BIND_USERS_NONE, so ? who : ""};
	}
	memset(&asked[i].arena, 0, sizeof(asked[i].arena));
	eyes_drop(i);
	k.fn(k.ctx, &answer);
	arena_finish(&k.arena);
}

/* Nobody uses anything. */
attr_unused static void eyes_see_nobody(void)
{
	while (n_asked) {
		eyes_say(0, SIZE_MAX, BIND_USERS_NONE, "");
	}
}
