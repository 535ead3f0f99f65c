/* SPDX-License-Identifier: Apache-2.0 */
/* uses_hand_test.h: what the tests of uses.h by hand share: how a device comes to be free, or held. */
#pragma once

#include "node-daemon/uses_test.h"

static struct arena arena;

attr_unused static struct uses_view look(size_t n)
{
	struct uses_view v;

	ok(uses_each(u, n, &v));
	return v;
}

attr_unused static const char *state(size_t n)
{
	static const char *const names[] = {"free",	 "given", "held",
					    "returning", "dirty", "unproven"};

	return names[look(n).state];
}

attr_unused static void begin(size_t n, const struct journal_use *records, size_t records_n)
{
	uses_destroy(u);
	arena_finish(&arena);
	arena_init(&arena, MiB);
	u = uses_create("boot-2");
	now = 1000;
	uses_restore(u, records, records_n);
	uses_units(u, cards, n, now);
}

attr_unused static void clean(const char *id)
{
	uses_reset_done(u, id, true, "flr", 100, NULL, now);
}

/* One card a, free. */
attr_unused static void begin_free(void)
{
	begin(1, NULL, 0);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	is_str(state(0), "free");
	is_int(wake, INT64_MAX);
}

/* Held by pod n/p. */
attr_unused static void begin_held(void)
{
	begin_free();
	allocate("c", "a", NULL);
	is_str(turn(), "record a given flr ok; answer c a; ");
	now += 100;
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "record a given n/p flr ok; ");
	is_str(state(0), "held");
	is_int(wake, INT64_MAX);
}
