/* SPDX-License-Identifier: Apache-2.0 */
/* Where the scanner and its views draw their lines: the most of each thing, and one more. */
#include "json/scan.h"
#include "json/scan_test.h"
#include "json/view.h"

/* Of a text of each length, each byte. */
static void each_byte_changes_a_hash(void)
{
	char text[64];

	for (size_t n = 1; n < 50; n++) {
		uint64_t before;

		memset(text, 'x', sizeof(text));
		before = type_hash(text, n);
		text[n] = 'y'; /* behind it */
		ok(type_hash(text, n) == before);
		for (size_t i = 0; i < n; i++) {
			text[i] = 'y';
			ok(type_hash(text, n) != before);
			text[i] = 'x';
		}
		text[n] = 'x';
		ok(type_hash(text, n - 1) != before);
	}
}

static int fed_whole(enum scan_shape shape, const char *before, size_t n, const char *after,
		     struct err *err, size_t *ret_delivered)
{
	auto_scan_buf out = {.max = MiB};
	auto_free char *text = xmalloc(n);
	struct scan *s = scan_create(&sample_type, shape, describe, &out);
	int rc;

	memset(text, str_ends(before, "\"") ? 'x' : ' ', n);
	memcpy(text, before, strlen(before));
	memcpy(text + n - strlen(after), after, strlen(after));
	rc = scan_feed(s, text, n, err);
	rc = rc < 0 ? rc : scan_end(s, err);
	*ret_delivered = out.len;
	scan_destroy(s);
	return rc;
}

/* Also what comes all at once and ends well: an item, or a token, of so many bytes and one more. */
static void as_long_as_it_may_be(void)
{
	static const struct {
		enum scan_shape shape;
		const char *before, *after;
		size_t bytes;
		const char *why;
	} rows[] = {
		{SCAN_OBJECT, "{", "}", SCAN_MAX_ITEM, "byte 10485760: the object is too long"},
		{SCAN_WATCH, "{\"object\":{", "}}", SCAN_MAX_ITEM,
		 "byte 10485760: the object is too long"},
		{SCAN_LIST, "{\"items\":[{", "}]}", 10 + SCAN_MAX_ITEM + 2,
		 "byte 10485770: the object is too long"},
		{SCAN_LIST, "{\"a\":\"", "\"}", 5 + SCAN_MAX_TOKEN + 1,
		 "byte 10485765: a token is too long"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {""};
		size_t delivered;

		is_int(fed_whole(rows[i].shape, rows[i].before, rows[i].bytes, rows[i].after, &err,
				 &delivered),
		       0);
		is_str(err.text, "");
		is_int(fed_whole(rows[i].shape, rows[i].before, rows[i].bytes + 1, rows[i].after,
				 &err, &delivered),
		       -1);
		is_str(err.text, rows[i].why);
		is_int(delivered, 0);
	}
}

/* A text takes its bytes, and what the arena may round up. */
static void memory_is_taken_to_its_end(void)
{
	char text[100];

	memset(text, 'x', sizeof(text));
	for (size_t less = 0; less < 2; less++) {
		struct sample s = {0};
		struct arena a;
		struct view v;

		arena_init(&a, sizeof(text) + 1 + 64 - less);
		view_init(&v, &a, KiB);
		view_begin(&v, &sample_type, &s);
		is_int(view_key(&v, "metadata", 8), 0);
		is_int(view_open(&v, true, "{"), 0);
		is_int(view_key(&v, "name", 4), 0);
		is_int(view_scalar(&v, VIEW_STRING, text, sizeof(text)), less ? -1 : 0);
		ok(less ? !s.name : s.name && strlen(s.name) == sizeof(text));
		view_finish(&v);
		arena_finish(&a);
	}
}

struct nest {
	const struct nest *in;
	const char *names[VIEW_MAX_INLINE + 1];
};
static const struct type nest_type;
#define NAMED(i, key)                                                                              \
	static const struct field named_##i[] = {                                                  \
		FIELD(struct nest, names[i], key, TYPE_STR),                                       \
		{0},                                                                               \
	};                                                                                         \
	static const struct type name_##i = {sizeof(struct nest), named_##i, NULL}
NAMED(0, "a");
NAMED(1, "b");
NAMED(2, "c");
NAMED(3, "d");
NAMED(4, "e");
static const struct field nest_fields[] = {
	FIELD(struct nest, in, "in", TYPE_OBJ, .sub = &nest_type),
	FIELD_INLINE("names", &name_0),
	FIELD_INLINE("names", &name_1),
	FIELD_INLINE("names", &name_2),
	FIELD_INLINE("names", &name_3),
	FIELD_INLINE("names", &name_4),
	{0},
};
static const struct type nest_type = {sizeof(struct nest), nest_fields, NULL};

/* As deep as a table can nest, and as many rows of one key. */
static void tables_within_tables(void)
{
	struct arena a;
	struct nest n = {0};
	struct err err = {""};

	arena_init(&a, MiB);
	for (int deeper = 0; deeper < 2; deeper++) {
		auto_scan_buf text = {.max = KiB};

		for (int i = 0; i < VIEW_MAX_DEPTH - 1 + deeper; i++) {
			buf_str(&text, "{\"in\":");
		}
		buf_str(&text, "{}");
		for (int i = 0; i < VIEW_MAX_DEPTH - 1 + deeper; i++) {
			buf_str(&text, "}");
		}
		is_int(type_read_text(&nest_type, buf_text(&text), &a, &n, &err), -deeper);
	}
	has(err.text, "the object takes too much memory");
	for (int tree = 0; tree < 2; tree++) {
		static const char text[] =
			"{\"names\":{\"a\":\"x\",\"b\":\"x\",\"c\":\"x\",\"d\":\"x\",\"e\":\"x\"}}";
		json_t *json = json_loads(text, 0, NULL);

		is_int(tree ? type_read(&nest_type, json, false, &a, &n, &err)
			    : type_read_text(&nest_type, text, &a, &n, &err),
		       0);
		for (size_t i = 0; i < ARRAY_LEN(n.names); i++) {
			is_str(n.names[i], i < VIEW_MAX_INLINE ? "x" : NULL);
		}
		json_decref(json);
	}
	arena_finish(&a);
}

TESTS({"each byte of a text changes its hash", each_byte_changes_a_hash},
      {"an item and a token may be so long, also at once", as_long_as_it_may_be},
      {"a view takes its arena's memory to the end, and no more", memory_is_taken_to_its_end},
      {"tables nest so deep, and a key has so many rows", tables_within_tables})
