/* SPDX-License-Identifier: Apache-2.0 */
#include "base/intern.h"
#include "base/test.h"

static void the_same_text_is_the_same_pointer(void)
{
	struct intern *in = intern_create();
	const char *a = intern_get(in, "default", 7);

	ok(a == intern_get(in, "default!", 7));
	ok(a != intern_get(in, "default!", 8));
	ok(a != intern_get(in, "defaul", 6));
	is_str(a, "default");
	is_str(intern_get(in, "", 0), "");
	is_int(intern_count(in), 4);
	in = intern_destroy(in);
	ok(!in);
}

/* Their hashes are the same. */
static void texts_of_one_hash_are_two_texts(void)
{
	struct intern *in = intern_create();
	const char *a = intern_get(in, "k24956", 6), *b = intern_get(in, "k149454", 7);

	is_str(a, "k24956");
	is_str(b, "k149454");
	intern_drop(in, a);
	ok(b == intern_get(in, "k149454", 7));
	intern_destroy(in);
}

static void lives_until_the_last_reference_is_dropped(void)
{
	struct intern *in = intern_create();
	size_t before = intern_bytes(in);
	const char *a = intern_get(in, "x", 1);

	intern_get(in, "x", 1);
	intern_drop(in, a);
	is_int(intern_count(in), 1);
	is_str(a, "x");
	intern_drop(in, a);
	is_int(intern_count(in), 0);
	is_int(intern_bytes(in), before);
	intern_drop(in, NULL);
	intern_destroy(in);
}

/* Counts what each string should have, and drops in another order than it took. */
static void counts_are_right_over_100000_random_steps(void)
{
	struct intern *in = intern_create();
	size_t before = intern_bytes(in), alive = 0;
	const char *text[997] = {NULL};
	int refs[997] = {0};
	uint32_t random = 7;
	char s[16];

	for (int step = 0; step < 100000; step++) {
		random = random * 1664525 + 1013904223;
		size_t k = (random >> 8) % ARRAY_LEN(refs);
		int n = snprintf(s, sizeof(s), "text-%zu", k);

		if (random >> 31 || !refs[k]) {
			alive += !refs[k]++;
			const char *got = intern_get(in, s, (size_t)n);

			ok(refs[k] == 1 || got == text[k]);
			text[k] = got;
		} else {
			intern_drop(in, text[k]);
			alive -= !--refs[k];
		}
		is_int(intern_count(in), alive);
	}
	for (size_t k = 0; k < ARRAY_LEN(refs); k++) {
		for (; refs[k]; refs[k]--) {
			intern_drop(in, text[k]);
		}
	}
	is_int(intern_count(in), 0);
	is_int(intern_bytes(in), before);
	intern_destroy(in);
}

static void memory_is_given_back(void)
{
	struct intern *in = intern_create();
	size_t before = intern_bytes(in);
	static const char *text[10000];
	char s[16];

	for (int i = 0; i < 10000; i++) {
		text[i] = intern_get(in, s, (size_t)snprintf(s, sizeof(s), "%d", i));
	}
	ok(intern_bytes(in) > before + 10000 * 13);
	ok(intern_bytes(in) < before + 10000 * 40);
	for (int i = 0; i < 10000; i++) {
		intern_drop(in, text[i]);
	}
	is_int(intern_bytes(in), before);
	intern_destroy(in);
}

TESTS({"the same text is the same pointer", the_same_text_is_the_same_pointer},
      {"two texts of one hash are two texts", texts_of_one_hash_are_two_texts},
      {"a string lives until its last reference is dropped",
       lives_until_the_last_reference_is_dropped},
      {"counts are right over 100000 random steps", counts_are_right_over_100000_random_steps},
      {"an emptied table gives its memory back", memory_is_given_back})
