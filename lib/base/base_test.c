/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/test.h"

static void context_stands_in_front(void)
{
	struct err err;

	err_set(&err, "no such file");
	is_int(err_wrap(&err, "reading %s", "a.yaml"), -1);
	is_str(err.text, "reading a.yaml: no such file");
}

static void long_sentence_is_cut_at_a_character(void)
{
	char long_text[ERR_MAX + 8] = "";
	struct err err;

	while (strlen(long_text) + 3 < sizeof(long_text)) {
		strncat(long_text, "\u00e9", 3);
	}
	err_set(&err, "%s: \"%s\"", "name", "a\nb\tc\x7f\u00fc");
	is_str(err.text, "name: \"a b c \u00fc\"");
	err_wrap(&err, "in\n%s", "x");
	is_str(err.text, "in x: name: \"a b c \u00fc\"");
	err_set(&err, "x%s", long_text);
	is_int(strlen(err.text), ERR_MAX - 1);
	is_int((unsigned char)err.text[strlen(err.text) - 1], 0xa9);
	err_set(&err, "%s", long_text);
	is_int(strlen(err.text), ERR_MAX - 2);
	is_int((unsigned char)err.text[strlen(err.text) - 1], 0xa9);
}

static void buffer_refuses_to_pass_its_maximum(void)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, 5);
	is_int(buf_str(&b, "12345"), 0);
	is_int(buf_str(&b, "6"), -1);
	is_int(buf_str(&b, ""), -1);
	ok(!buf_ok(&b));
	is_str(buf_text(&b), "12345");
	buf_reset(&b);
	is_int(buf_printf(&b, "%d", 12345), 0);
	is_int(buf_printf(&b, "%d", 6), -1);
	is_str(buf_text(&b), "12345");
}

static void json_string_is_escaped(void)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, 100);
	buf_json_str(&b, "a\"\\\n\x01\u00e9");
	is_str(buf_text(&b), "\"a\\\"\\\\\\u000a\\u0001\u00e9\"");
}

static void dropping_keeps_the_rest(void)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, 100);
	buf_str(&b, "abcdef");
	buf_drop(&b, 2);
	is_str(buf_text(&b), "cdef");
	buf_drop(&b, 100);
	is_str(buf_text(&b), "");
}

static void arena_memory_is_zeroed_after_a_reset(void)
{
	struct arena a;
	char *p;

	arena_init(&a, MiB);
	p = arena_alloc(&a, 64);
	memset(p, 'x', 64);
	arena_reset(&a);
	p = arena_alloc(&a, 64);
	for (int i = 0; i < 64; i++) {
		is_int(p[i], 0);
	}
	is_str(arena_printf(&a, "%s-%d", "gpu", 1), "gpu-1");
	is_str(arena_strndup(&a, "abc", 2), "ab");
	arena_finish(&a);
}

static void arena_keeps_what_most_rounds_need(void)
{
	struct arena a;

	arena_init(&a, 2 * MiB);
	for (size_t size = KiB, i = 0; i < 40; i++) {
		arena_alloc(&a, size);
	}
	arena_reset(&a);
	ok(arena_held(&a) > 16 * KiB && arena_held(&a) <= 2 * ARENA_KEPT);
	arena_alloc(&a, MiB);
	ok(arena_held(&a) > MiB);
	arena_reset(&a);
	is_int(arena_held(&a), 0);
	memset(arena_alloc(&a, 100), 1, 100);
	arena_finish(&a);
}

static void numbers_are_whole_or_nothing(void)
{
	int64_t v = 7;

	is_int(parse_int("42", 0, 100, &v), 0);
	is_int(v, 42);
	is_int(parse_int("42x", 0, 100, &v), -1);
	is_int(parse_int("", 0, 100, &v), -1);
	is_int(parse_int(" 1", 0, 100, &v), -1);
	is_int(parse_int("101", 0, 100, &v), -1);
	is_int(parse_int("99999999999999999999", 0, INT64_MAX, &v), -1);
	is_int(v, 42);
}

static void prefix_and_suffix(void)
{
	ok(str_starts("virtual-machine-a", "virtual-machine-"));
	ok(!str_starts("vm", "vm-"));
	ok(str_ends("a.yaml", ".yaml"));
	ok(!str_ends("l", ".yaml"));
	ok(str_eq(NULL, NULL));
	ok(!str_eq(NULL, ""));
}

TESTS({"an error's context stands in front of it", context_stands_in_front},
      {"a long error is cut at a whole character", long_sentence_is_cut_at_a_character},
      {"a buffer refuses to pass its maximum", buffer_refuses_to_pass_its_maximum},
      {"a JSON string is escaped", json_string_is_escaped},
      {"dropping bytes keeps the rest", dropping_keeps_the_rest},
      {"arena memory is zeroed after a reset", arena_memory_is_zeroed_after_a_reset},
      {"an arena keeps what most rounds need", arena_keeps_what_most_rounds_need},
      {"a number is read whole or not at all", numbers_are_whole_or_nothing},
      {"prefixes and suffixes", prefix_and_suffix})
