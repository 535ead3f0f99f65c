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

TESTS({"a condition's time changes with its status only", times},
      {"conditions are found by type", finding})
