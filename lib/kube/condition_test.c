/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/condition.h"

#include "base/test.h"

static void times(void)
{
	struct condition was[] = {{"Ready", "False", "Old", "m", 1, "2026-01-01T00:00:00Z"},
				  {"Gone", "True", "x", "m", 1, NULL}};
	struct condition_list old = {was, 2}, now = {0};
	struct arena a;

	arena_init(&a, MiB);
	condition_set(&now, &old, &a, &(struct condition){"Ready", "False", "New", "n", 2, NULL},
		      1767312000000);
	is_str(now.items[0].last_transition, "2026-01-01T00:00:00Z");
	is_str(now.items[0].reason, "New");
	condition_set(&now, &old, &a, &(struct condition){"Ready", "True", "New", "n", 2, NULL},
		      1767312000000);
	is_int(now.n, 1);
	is_str(now.items[0].last_transition, "2026-01-02T00:00:00Z");
	condition_set(&now, NULL, &a, &(struct condition){"Other", "True", "", "", 2, NULL},
		      1767312000999);
	is_int(now.n, 2);
	is_str(now.items[1].last_transition, "2026-01-02T00:00:00Z");
	arena_finish(&a);
}

static void finding(void)
{
	struct condition items[] = {{"Ready", "True", "r", "m", 1, NULL}};
	struct condition_list l = {items, 1};

	ok(condition_is(&l, "Ready", "True"));
	ok(!condition_is(&l, "Ready", "False"));
	ok(!condition_is(&l, "Other", "True"));
	ok(!condition_find(NULL, "Ready"));
}

/* n times "\xc3\xa4" behind a few bytes: the cut falls before, into and behind a character. */
static void cut_with(struct arena *a, size_t before)
{
	struct condition_list l = {0};
	struct condition c = {"Ready", "False", "r", NULL, 1, NULL};
	size_t n = before, all = CONDITION_TEXT_MAX + 10;
	char *text = arena_alloc(a, all + 1);
	const char *cut;

	memset(text, 'x', before);
	for (; n + 2 <= all; n += 2) {
		memcpy(text + n, "\xc3\xa4", 2);
	}
	c.message = text;
	condition_set(&l, NULL, a, &c, 0);
	cut = l.items[0].message;
	n = strlen(cut);
	ok(n <= CONDITION_TEXT_MAX && n >= CONDITION_TEXT_MAX - 1);
	is_str(cut + n - 3, "...");
	is_int((unsigned char)cut[n - 4], 0xa4);
	ok(strncmp(cut, text, n - 3) == 0);
}

static void long_message(void)
{
	char fits[CONDITION_TEXT_MAX + 1];
	struct arena a;

	arena_init(&a, MiB);
	cut_with(&a, 0);
	cut_with(&a, 1);
	memset(fits, 'x', CONDITION_TEXT_MAX);
	fits[CONDITION_TEXT_MAX] = '\0';
	ok(condition_text(&a, fits) == fits);
	ok(!condition_text(&a, NULL));
	arena_finish(&a);
}

TESTS({"a message that is too long is cut behind a whole character", long_message},
      {"a condition's time changes with its status only", times},
      {"conditions are found by type", finding})
