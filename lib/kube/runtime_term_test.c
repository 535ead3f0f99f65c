/* SPDX-License-Identifier: Apache-2.0 */
/* The term of a leadership: beyond all that its objects know, and only then another one. */
#include "kube/runtime_test.h"

static int64_t given, obeyed; /* what objects know */
static int64_t terms[SRV_MAX];
static int n_terms;

static int64_t top(attr_unused const struct cache *c, bool only_obeyed)
{
	return only_obeyed ? obeyed : MAX(given, obeyed);
}

static const void *note_term(const struct pass *pass)
{
	if (n_terms < SRV_MAX) {
		terms[n_terms++] = pass->term;
	}
	return NULL;
}

static const struct reconciler noter = {
	.name = "noter", .primary = &thing, .gather = note_term, .plan = plan};
static const struct reconciler *const noters[] = {&noter, NULL};

static void begin_with(int64_t known, int64_t known_obeyed)
{
	prepare(ADDED("a") END("5"));
	given = known;
	obeyed = known_obeyed;
	n_terms = 0;
	START(.reconcilers = noters, .top_term = top, .term_kind = &thing);
	wait_for(n_terms == 1);
}

static void change(const char *text)
{
	int n = n_terms;

	push(THINGS, text);
	wait_for(n_terms > n);
	settle();
}

static int64_t last(void)
{
	return terms[n_terms - 1];
}

static void begins_beyond_all(void)
{
	begin_with(0, 0);
	is_int(terms[0], 1);
	begin_with(7, 3);
	is_int(terms[0], 8);
	begin_with(7, 11);
	is_int(terms[0], 12);
}

static void is_kept_until_a_later_one_was_obeyed(void)
{
	begin_with(7, 7);
	given = 20; /* somebody else's, who must be the leader then */
	change(EVENT("MODIFIED", "a", "6", "blue"));
	is_int(last(), 8);
	obeyed = 8;
	change(EVENT("MODIFIED", "a", "7", "green"));
	is_int(last(), 8);
	obeyed = 12;
	change(EVENT("MODIFIED", "a", "8", "red"));
	is_int(last(), 13);
}

static void has_an_end(void)
{
	begin_with(INT64_MAX, 0);
	is_int(terms[0], INT64_C(1) << 53);
}

TESTS({"a leadership's term is beyond all that is known", begins_beyond_all},
      {"it stays, but where a later one was obeyed", is_kept_until_a_later_one_was_obeyed},
      {"it does not overflow", has_an_end})
