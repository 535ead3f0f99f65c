/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/test.h"

#define auto_map attr_cleanup(map_finish)

static int values[4];

static void finds_what_was_put(void)
{
	auto_map struct map m;

	map_init(&m);
	ok(!map_get(&m, "a"));
	ok(!map_put(&m, "a", &values[0]));
	ok(!map_put(&m, "", &values[1]));
	ok(map_get(&m, "a") == &values[0]);
	ok(map_get(&m, "") == &values[1]);
	ok(!map_get(&m, "b"));
	is_int(m.n, 2);
}

/* Their hashes are the same. */
static void keys_of_one_hash_are_two_keys(void)
{
	auto_map struct map m;

	map_init(&m);
	map_put(&m, "k24956", &values[0]);
	ok(!map_get(&m, "k149454"));
	ok(!map_put(&m, "k149454", &values[1]));
	ok(map_del(&m, "k24956") == &values[0]);
	ok(map_get(&m, "k149454") == &values[1]);
}

static void a_second_put_takes_over_key_and_value(void)
{
	auto_map struct map m;
	char first[] = "key", second[] = "key";

	map_init(&m);
	map_put(&m, first, &values[0]);
	ok(map_put(&m, second, &values[1]) == &values[0]);
	/* The first key may now die with its value. */
	first[0] = 'x';
	ok(map_get(&m, "key") == &values[1]);
	is_int(m.n, 1);
}

static void deleted_is_gone_and_can_come_back(void)
{
	auto_map struct map m;

	map_init(&m);
	map_put(&m, "a", &values[0]);
	ok(map_del(&m, "a") == &values[0]);
	ok(!map_del(&m, "a"));
	ok(!map_get(&m, "a"));
	ok(!map_next(&m, NULL));
	ok(!map_put(&m, "a", &values[1]));
	ok(map_get(&m, "a") == &values[1]);
	is_int(m.n, 1);
}

static size_t count(const struct map *m)
{
	size_t n = 0;

	for (struct map_slot *s = NULL; (s = map_next(m, s));) {
		n++;
	}
	return n;
}

static void deleting_while_iterating_sees_each_once(void)
{
	auto_map struct map m;
	char keys[200][8];
	int seen[200] = {0};

	map_init(&m);
	for (int i = 0; i < 200; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		map_put(&m, keys[i], &seen[i]);
	}
	for (struct map_slot *s = NULL; (s = map_next(&m, s));) {
		++*(int *)s->value;
		if ((int *)s->value - seen < 150) {
			map_del(&m, s->key);
		}
	}
	for (int i = 0; i < 200; i++) {
		is_int(seen[i], 1);
		ok(!map_get(&m, keys[i]) == (i < 150));
	}
	is_int(count(&m), 50);
}

/* Against the plainest model: an array of what should be there. */
static void agrees_with_a_plain_array_over_100000_steps(void)
{
	auto_map struct map m;
	static char keys[500][8];
	void *model[500] = {NULL};
	uint32_t random = 1;
	size_t n = 0;

	map_init(&m);
	for (int i = 0; i < 500; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%x", i * 7919);
	}
	for (int step = 0; step < 100000; step++) {
		random = random * 1664525 + 1013904223;
		size_t k = (random >> 8) % ARRAY_LEN(keys);
		void *value = &values[random >> 30];

		if ((random >> 20 & 3) < 2) {
			n += !model[k];
			ok(map_put(&m, keys[k], value) == model[k]);
			model[k] = value;
		} else {
			n -= !!model[k];
			ok(map_del(&m, keys[k]) == model[k]);
			model[k] = NULL;
		}
		ok(map_get(&m, keys[k]) == model[k]);
		is_int(m.n, n);
		ok((m.n + m.gone) * 4 <= m.size * 3);
	}
	is_int(count(&m), n);
}

static void churn_does_not_grow_the_table(void)
{
	auto_map struct map m;

	map_init(&m);
	for (int i = 0; i < 10000; i++) {
		map_put(&m, i % 2 ? "odd" : "even", &values[0]);
		map_del(&m, i % 2 ? "odd" : "even");
	}
	is_int(m.size, 8);
}

TESTS({"a map finds what was put and nothing else", finds_what_was_put},
      {"two keys of one hash are two keys", keys_of_one_hash_are_two_keys},
      {"a second put takes over key and value", a_second_put_takes_over_key_and_value},
      {"a deleted key is gone and can come back", deleted_is_gone_and_can_come_back},
      {"deleting while iterating sees each entry once", deleting_while_iterating_sees_each_once},
      {"a map agrees with a plain array over 100000 steps",
       agrees_with_a_plain_array_over_100000_steps},
      {"adding and deleting does not grow the table", churn_does_not_grow_the_table})
