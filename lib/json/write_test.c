/* SPDX-License-Identifier: Apache-2.0 */
#include "json/write.h"

#include <stdlib.h>

#include "base/test.h"

static void what_jansson_would_say(void)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"a\":{},\"b\":[],\"c\":[1,-2,9223372036854775807,-9223372036854775808]}",
		"[true,false,null,0.1,1.0,-2.5e-300,1e300]",
		"{\"\":\"\",\"q\\\"uote\":\"back\\\\slash / \\u007f\"}",
		"[\"\\u00e4\\u20ac\\ud83d\\ude00\",[[[\"deep\"]]]]",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *v = json_loads(texts[i], 0, NULL);
		auto_free char *want = json_dumps(v, JSON_COMPACT);
		auto_buf struct buf got = {.max = KiB};

		ok(v);
		json_write(v, &got);
		ok(buf_ok(&got));
		is_str(buf_text(&got), want);
		json_decref(v);
	}
}

static void control_characters_come_back(void)
{
	json_t *v = json_loads("[\"\\b\\f\\n\\r\\t\\u0001\\u001f\"]", 0, NULL), *again;
	auto_buf struct buf got = {.max = KiB};

	json_write(v, &got);
	again = json_loads(buf_text(&got), 0, NULL);
	ok(json_equal(v, again));
	json_decref(v);
	json_decref(again);
}

static void nothing_ends_at_a_nul(void)
{
	json_t *v = json_pack("[o, s]", json_stringn("a\0b\"", 4), "c");
	auto_buf struct buf got = {.max = KiB};

	json_write(v, &got);
	is_str(buf_text(&got), "[\"a\\u0000b\\\"\",\"c\"]");
	json_decref(v);
}

static void values_by_themselves(void)
{
	json_t *v = json_pack("[s, i, b, n]", "x", 7, 1);
	static const char *const want[] = {"\"x\"", "7", "true", "null"};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		auto_buf struct buf got = {.max = KiB};

		json_write(json_array_get(v, i), &got);
		is_str(buf_text(&got), want[i]);
	}
	json_decref(v);
}

static void too_much_is_said(void)
{
	json_t *v = json_pack("{s:s}", "key", "a value that is longer than there is room for");
	auto_buf struct buf got = {.max = 20};

	json_write(v, &got);
	ok(!buf_ok(&got));
	json_decref(v);
}

static void text_is_jansson_s_own_and_for_free(void)
{
	json_t *v = json_pack("{s:i,s:{s:[]}}", "b", 1, "a", "c"), *text = json_string("x");
	auto_free char *got = json_text(v, JSON_COMPACT | JSON_SORT_KEYS);

	is_str(got, "{\"a\":{\"c\":[]},\"b\":1}");
	ok(!json_text(text, JSON_COMPACT)); /* as json_dumps: no object, no array */
	json_decref(v);
	json_decref(text);
}

TESTS({"the same bytes as jansson writes", what_jansson_would_say},
      {"control characters come back", control_characters_come_back},
      {"no text ends at a NUL", nothing_ends_at_a_nul},
      {"each kind of value by itself", values_by_themselves},
      {"a text is jansson's own, and for free()", text_is_jansson_s_own_and_for_free},
      {"what is too much for the buffer is said", too_much_is_said})
