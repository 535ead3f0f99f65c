/* SPDX-License-Identifier: Apache-2.0 */
#include "json/scan.h"

#include <limits.h>

#include "json/scan_test.h"

/* --- values ----------------------------------------------------------------------------------- */

#define SPEC(text) "{\"spec\":{" text "}}"
#define ITEM(text) "ITEM {\"spec\":{" text "}}\nok"

static void every_kind_of_field(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\",\"generation\":7,\"resourceVersion\":\"9\",\"labels\":"
		"{\"x\":\"1\",\"y\":\"2\"}},\"spec\":{\"running\":false,\"replicas\":0,\"size\":\"10Gi\",\"best\":{\"name\":\"n\"},"
		"\"gpus\":[{\"name\":\"g\",\"count\":2},{\"vram\":0,\"display\":true}],\"groups\":{\"md0\":{\"replicas\":3,"
		"\"gpus\":[{}]}},\"args\":[\"\",\"b\"],\"ports\":[22,-1],\"values\":{\"a\":[1,{}]}}}",
		"ITEM {\"metadata\":{\"name\":\"a\",\"namespace\":\"b\",\"generation\":7,\"resourceVersion\":\"9\",\"labels\":"
		"{\"x\":\"1\",\"y\":\"2\"}},\"spec\":{\"running\":false,\"replicas\":0,\"size\":\"10Gi\",\"best\":{\"name\":\"n\"},"
		"\"gpus\":[{\"name\":\"g\",\"count\":2},{\"vram\":0,\"display\":true}],\"groups\":{\"md0\":{\"replicas\":3,"
		"\"gpus\":[{}]}},\"args\":[\"\",\"b\"],\"ports\":[22,-1],\"values\":{\"a\":[1,{}]}}}\nok");
}

static void what_is_not_declared_is_skipped(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"apiVersion\":\"v1\",\"metadata\":{\"x\":[{\"name\":\"no\"}],\"name\":\"a\",\"y\":{\"name\":\"no\"}},\"status\":"
		"{\"name\":\"no\",\"spec\":{\"running\":true}},\"name\":\"no\"}",
		"ITEM {\"metadata\":{\"name\":\"a\"}}\nok");
}

static void another_type_is_unset(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"name\":{\"name\":\"x\"},\"namespace\":5,\"generation\":\"7\",\"labels\":[\"a\"]},\"spec\":{"
		"\"running\":\"true\",\"replicas\":1.5,\"size\":[1],\"best\":[],\"gpus\":{\"name\":\"x\"},\"groups\":[{}],"
		"\"args\":{\"a\":\"b\"},\"ports\":\"1\"}}",
		"ITEM {}\nok");
	is_scanned(SCAN_OBJECT, "{\"metadata\":\"x\",\"spec\":[{\"running\":true}]}",
		   "ITEM {}\nok");
}

static void null_is_unset(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"name\":null,\"labels\":null,\"annotations\":null},\"spec\":{\"running\":null,\"replicas\":null,"
		"\"size\":null,\"best\":null,\"gpus\":null,\"groups\":null,\"args\":null,\"ports\":null,\"values\":null,"
		"\"owned\":null}}",
		"ITEM {}\nok");
	is_scanned(SCAN_OBJECT, "{\"metadata\":null,\"spec\":null}", "ITEM {}\nok");
}

static void odd_elements_of_lists(void)
{
	is_scanned(SCAN_OBJECT, SPEC("\"gpus\":[null,{\"name\":\"a\"},1,[{\"name\":\"b\"}],\"c\"]"),
		   ITEM("\"gpus\":[{},{\"name\":\"a\"},{},{},{}]"));
	is_scanned(
		SCAN_OBJECT, SPEC("\"groups\":{\"a\":null,\"b\":[{}],\"c\":{\"replicas\":1}}"),
		ITEM("\"groups\":{\"a\":{\"replicas\":0},\"b\":{\"replicas\":0},\"c\":{\"replicas\":1}}"));
	is_scanned(SCAN_OBJECT, SPEC("\"args\":[1,\"a\",null,[\"b\"],{\"c\":\"d\"},\"e\"]"),
		   ITEM("\"args\":[\"a\",\"e\"]"));
	is_scanned(SCAN_OBJECT, SPEC("\"ports\":[\"1\",2,2.0,null,[3],4]"),
		   ITEM("\"ports\":[2,4]"));
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"labels\":{\"a\":1,\"b\":\"2\",\"c\":null,\"d\":{\"e\":\"3\"},\"f\":[]}}}",
		"ITEM {\"metadata\":{\"labels\":{\"b\":\"2\"}}}\nok");
}

static void integers_saturate(void)
{
	is_scanned(
		SCAN_OBJECT,
		SPEC("\"ports\":[9223372036854775800,9223372036854775806,-9223372036854775800]"),
		ITEM("\"ports\":[9223372036854775800,9223372036854775806,-9223372036854775800]"));
	is_scanned(
		SCAN_OBJECT,
		SPEC("\"ports\":[9223372036854775807,9223372036854775808,99999999999999999999999,-9223372036854775808,"
		     "-9223372036854775809,-99999999999999999999999,18446744073709551616,-0]"),
		ITEM("\"ports\":[9223372036854775807,9223372036854775807,9223372036854775807,-9223372036854775808,"
		     "-9223372036854775808,-9223372036854775808,9223372036854775807,0]"));
}

static void fractions_are_no_integers(void)
{
	is_scanned(SCAN_OBJECT, SPEC("\"replicas\":1.0,\"ports\":[1.0,1e3,2]"),
		   ITEM("\"ports\":[2]"));
}

static void scalars_keep_their_text(void)
{
	is_scanned(SCAN_OBJECT, SPEC("\"size\":\"1.50\""), ITEM("\"size\":\"1.50\""));
	is_scanned(SCAN_OBJECT, SPEC("\"size\":1.50"), ITEM("\"size\":\"1.50\""));
	is_scanned(SCAN_OBJECT, SPEC("\"size\":12"), ITEM("\"size\":12"));
	is_scanned(SCAN_OBJECT, SPEC("\"size\":true"), ITEM("\"size\":true"));
}

static void the_last_of_two_keys_wins_whole(void)
{
	is_scanned(SCAN_OBJECT, "{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}",
		   "ITEM {\"metadata\":{\"name\":\"b\"}}\nok");
	is_scanned(SCAN_OBJECT, "{\"metadata\":{\"name\":\"a\",\"name\":1}}", "ITEM {}\nok");
	is_scanned(SCAN_OBJECT,
		   "{\"metadata\":{\"name\":\"a\"},\"metadata\":{\"namespace\":\"b\"}}",
		   "ITEM {\"metadata\":{\"namespace\":\"b\"}}\nok");
	is_scanned(SCAN_OBJECT, SPEC("\"best\":{\"name\":\"a\"},\"best\":{\"count\":1}"),
		   ITEM("\"best\":{\"count\":1}"));
	is_scanned(SCAN_OBJECT, SPEC("\"gpus\":[{},{}],\"gpus\":[{\"count\":1}]"),
		   ITEM("\"gpus\":[{\"count\":1}]"));
	is_scanned(SCAN_OBJECT, SPEC("\"values\":[1],\"values\":[2]"), ITEM("\"values\":[2]"));
}

static void the_last_of_two_map_keys_takes_the_place_of_the_first(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"labels\":{\"b\":\"1\",\"a\":\"2\",\"c\":\"3\",\"b\":\"4\",\"c\":5,\"\\u0061\":\"6\"}}}",
		"ITEM {\"metadata\":{\"labels\":{\"b\":\"4\",\"a\":\"6\"}}}\nok");
	is_scanned(SCAN_OBJECT,
		   SPEC("\"groups\":{\"b\":{\"replicas\":1},\"a\":{},\"b\":{\"replicas\":2}}"),
		   ITEM("\"groups\":{\"b\":{\"replicas\":2},\"a\":{\"replicas\":0}}"));
}

static void the_last_of_two_keys_side_by_side(void)
{
	is_scanned(SCAN_OBJECT, "{\"metadata\":{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}}",
		   "ITEM {\"metadata\":{\"labels\":{\"a\":\"2\"}}}\nok");
	is_scanned(SCAN_OBJECT,
		   "{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\",\"b\":\"3\",\"c\":\"4\"}}}",
		   "ITEM {\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"3\",\"c\":\"4\"}}}\nok");
}

/* Strings of each length, side by side in memory, and more than a list begins with. */
static void strings_of_each_length_lie_apart(void)
{
	auto_free char *document = NULL;
	auto_scan_buf text, want;

	buf_init(&text, MiB);
	for (int n = 0; n < 100; n++) {
		buf_printf(&text, "%s\"%.*s%.*s\"", n ? "," : "", n / 2,
			   "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", n - n / 2,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ");
	}
	buf_init(&want, MiB);
	buf_printf(&want, "ITEM {\"spec\":{\"args\":[%s]}}\nok", text.bytes);
	document = xprintf("{\"spec\":{\"args\":[%s]}}", text.bytes);
	is_scanned(SCAN_OBJECT, document, want.bytes);
}

static void order_of_maps_is_kept(void)
{
	is_scanned(SCAN_OBJECT, "{\"metadata\":{\"labels\":{\"z\":\"1\",\"a\":\"2\",\"m\":\"3\"}}}",
		   "ITEM {\"metadata\":{\"labels\":{\"z\":\"1\",\"a\":\"2\",\"m\":\"3\"}}}\nok");
}

static void rows_of_one_key_are_read_together(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"annotations\":{\"example.com/pick\":\"p\",\"other\":{},\"example.com/note\":\"n\"},\"name\":\"a\"}}",
		"ITEM {\"metadata\":{\"name\":\"a\",\"annotations\":{\"example.com/note\":\"n\",\"example.com/pick\":\"p\"}}}\nok");
}

static void derived_rows_are_not_on_the_wire(void)
{
	is_scanned(SCAN_OBJECT, SPEC("\"number of spare\":9"), "ITEM {}\nok");
}

static void finish_is_called_for_each_object(void)
{
	is_scanned(SCAN_OBJECT, SPEC("\"spare\":[{},{},{}]"), "ITEM {} 0 3\nok");
}

static void raw_text_is_kept_as_received(void)
{
	struct arena a;
	struct sample s;
	struct err err = {""};

	arena_init(&a, MiB);
	is_int(type_read_text(&sample_type,
			      SPEC("\"values\" : { \"a\" :\t[1.50, \"\\u00e9\\/\"] } "), &a, &s,
			      &err),
	       0);
	is_str(s.values, "{ \"a\" :\t[1.50, \"\\u00e9\\/\"] }");
	is_int(type_read_text(&sample_type, SPEC("\"values\":\"a\\n\""), &a, &s, &err), 0);
	is_str(s.values, "\"a\\n\"");
	is_int(type_read_text(&sample_type, SPEC("\"values\": 1.50 "), &a, &s, &err), 0);
	is_str(s.values, "1.50");
	is_int(type_read_text(&sample_type, SPEC("\"values\":false"), &a, &s, &err), 0);
	is_str(s.values, "false");
	arena_finish(&a);
}

static void hashes_tell_texts_apart(void)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"f:a\":{}}",
		"{\"f:b\":{}}",
		"\"\"",
		"1",
		"true",
		"{\"f:a\":{} }",
		"{\"f:spec\":{\"f:template\":{\"f:spec\":{\"f:a\":{}}}}}",
		"{\"f:spec\":{\"f:template\":{\"f:spec\":{\"f:b\":{}}}}}"};
	struct arena a;
	uint64_t seen[ARRAY_LEN(texts)];

	arena_init(&a, MiB);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_free char *text = xprintf("{\"spec\":{\"owned\":%s}}", texts[i]);
		struct sample s;

		is_int(type_read_text(&sample_type, text, &a, &s, NULL), 0);
		ok(s.fingerprint == type_hash(texts[i], strlen(texts[i])));
		seen[i] = s.fingerprint;
		ok(seen[i]);
		for (size_t k = 0; k < i; k++) {
			ok(seen[k] != seen[i]);
		}
	}
	arena_finish(&a);
}

static void raw_and_hash_at_every_split(void)
{
#define OWNED "[[1,2,3],\"0123456789abcdef0123456789\"]"
	auto_free char *want =
		xprintf("ITEM {\"spec\":{\"values\":{\"a\":[1,\"b\",{\"c\":null}]}}} %llx 0\nok",
			(unsigned long long)type_hash(OWNED, strlen(OWNED)));

	is_scanned(SCAN_OBJECT, SPEC("\"values\":{\"a\":[1,\"b\",{\"c\":null}]},\"owned\":" OWNED),
		   want);
}

static void text_of_nothing_is_unset(void)
{
	struct arena a;
	struct sample s;
	struct err err = {""};

	arena_init(&a, MiB);
	memset(&s, 'x', sizeof(s));
	is_int(type_read_text(&sample_type, NULL, &a, &s, &err), 0);
	ok(!s.name && !s.gpus.n);
	is_int(type_read_text(&sample_type, "[]", &a, &s, &err), -1);
	is_str(err.text, "byte 0: expected an object, not '['");
	is_int(type_read_text(&sample_type, "{\"spec\":", &a, &s, &err), -1);
	is_int(a.used, 0);
	arena_finish(&a);
}

/* --- shapes ----------------------------------------------------------------------------------- */

#define A "{\"metadata\":{\"name\":\"a\"}}"
#define B "{\"spec\":{\"best\":{\"count\":3},\"gpus\":[{\"name\":\"g\"}]}}"

static void a_list(void)
{
	is_scanned(
		SCAN_LIST,
		"{\"kind\":\"SampleList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"99999999999999999999\",\"continue\":"
		"\"abc\",\"remainingItemCount\":7},\"items\":[" A "," B ",\n{}, " A "]}\n",
		"ITEM " A "\nITEM " B "\nITEM {}\nITEM " A "\nok list=99999999999999999999/abc/7");
}

static void a_lists_metadata_may_come_last(void)
{
	is_scanned(SCAN_LIST, "{\"items\":[" A "],\"metadata\":{\"resourceVersion\":\"5\"}}",
		   "ITEM " A "\nok list=5/(null)/0");
}

static void an_empty_list(void)
{
	is_scanned(SCAN_LIST, "{\"items\":[],\"metadata\":{\"resourceVersion\":\"5\"}}",
		   "ok list=5/(null)/0");
	is_scanned(SCAN_LIST, "{\"items\":null}", "ok");
	is_scanned(SCAN_LIST, "{}", "ok");
	is_scanned(SCAN_LIST, "", "refused: byte 0: nothing came\n");
}

static void odd_items_are_skipped(void)
{
	is_scanned(SCAN_LIST, "{\"items\":[1,null,[" A "],\"x\"," A "]}", "ITEM " A "\nok");
	is_scanned(SCAN_LIST, "{\"items\":{\"items\":[" A "]},\"x\":{\"items\":[" A "]}}", "ok");
}

static void half_a_list(void)
{
	is_scanned(SCAN_LIST, "{\"items\":[" A "," A,
		   "ITEM " A "\nITEM " A "\nrefused: byte 61: the document ends in its middle\n");
	is_scanned(SCAN_LIST, "{\"items\":[" A ",{\"metadata\":{\"na",
		   "ITEM " A "\nrefused: byte 52: the document ends in its middle\n");
}

static void a_watch(void)
{
	is_scanned(
		SCAN_WATCH,
		"{\"type\":\"ADDED\",\"object\":" A "}\n{\"type\":\"MODIFIED\",\"object\":" B "}\n"
		"{\"type\":\"DELETED\",\"object\":" A
		"} {\"type\":\"BOOKMARK\",\"object\":{}}\n\n{\"type\":\"NEW\",\"object\":" A "}\n",
		"ADDED " A "\nMODIFIED " B "\nDELETED " A "\nBOOKMARK {}\nUNKNOWN " A "\nok");
	is_scanned(SCAN_WATCH, "", "ok");
	is_scanned(SCAN_WATCH, "\n", "ok");
}

static void an_events_object_may_come_first(void)
{
	is_scanned(SCAN_WATCH,
		   "{\"object\":" A ",\"type\":\"ADDED\"}{\"object\":" B ",\"type\":\"DELETED\"}",
		   "ADDED " A "\nDELETED " B "\nok");
}

static void nothing_leaks_into_the_next_event(void)
{
	is_scanned(SCAN_WATCH,
		   "{\"type\":\"ADDED\",\"object\":" A "}{\"object\":{}}{\"type\":\"ADDED\"}{}",
		   "ADDED " A "\nUNKNOWN {}\nADDED {}\nUNKNOWN {}\nok");
}

static void the_end_of_the_initial_events(void)
{
	is_scanned(
		SCAN_WATCH,
		"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"name\":\"a\",\"annotations\":{\"example.com/note\":\"n\","
		"\"k8s.io/initial-events-end\":\"true\"}}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"annotations\":{"
		"\"k8s.io/initial-events-end\":\"false\"}}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}\n",
		"BOOKMARK {\"metadata\":{\"name\":\"a\",\"annotations\":{\"example.com/note\":\"n\"}}} end\nBOOKMARK {}\nBOOKMARK {}\nok");
}

#define STATUS                                                                                                                    \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old\",\"reason\":"   \
	"\"Expired\",\"details\":{\"retryAfterSeconds\":3,\"causes\":[{\"reason\":\"R\",\"message\":\"m\"},{\"reason\":\"S\"}]}," \
	"\"code\":410}"

static void a_watchs_error(void)
{
	is_scanned(SCAN_WATCH,
		   "{\"type\":\"ERROR\",\"object\":" STATUS "}{\"type\":\"ADDED\",\"object\":" A
		   "}",
		   "ERROR {} status=Failure/Expired/too old/410/3/R\nADDED " A "\nok");
}

static void a_status_instead(void)
{
	is_scanned(SCAN_OBJECT, STATUS, "ok status=Failure/Expired/too old/410/3/R");
	is_scanned(SCAN_LIST, STATUS, "ok status=Failure/Expired/too old/410/3/R");
}

static void other_kinds_have_messages_too(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"kind\":\"Event\",\"reason\":\"R\",\"message\":\"m\",\"code\":5,\"metadata\":{\"name\":\"a\"}}",
		"ITEM " A "\nok");
	is_scanned(
		SCAN_WATCH,
		"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Event\",\"reason\":\"R\",\"metadata\":{\"name\":\"a\"}}}",
		"ADDED " A "\nok");
}

static void a_watch_takes_objects_only(void)
{
	is_scanned(SCAN_WATCH, "{\"type\":\"ADDED\",\"object\":" A "}\n[]",
		   "ADDED " A "\nrefused: byte 52: expected an object, not '['\n");
	is_scanned(SCAN_WATCH, "{\"type\":\"ADDED\",\"object\":" A "},",
		   "ADDED " A "\nrefused: byte 51: expected an object, not ','\n");
}

static void a_reset_scanner_is_as_new(void)
{
	auto_scan_buf out;
	struct scan *s;
	struct err err = {""};

	buf_init(&out, KiB);
	s = scan_create(&sample_type, SCAN_LIST, describe, &out);
	is_int(scan_feed(s, "{\"items\":[{\"metadata\":{\"name\":\"x", 30, &err), 0);
	scan_reset(s, SCAN_OBJECT);
	is_int(scan_feed(s, A, strlen(A), &err), 0);
	is_int(scan_end(s, &err), 0);
	is_str(buf_text(&out), "ITEM " A "\n");
	scan_destroy(s);
}

static void a_failed_scan_stays_failed(void)
{
	struct scan *s = scan_create(&sample_type, SCAN_WATCH, NULL, NULL);
	struct err err = {""}, again = {""};

	is_int(scan_feed(s, "{]", 2, &err), -1);
	is_int(scan_feed(s, "{}", 2, &again), -1);
	is_str(again.text, err.text);
	is_int(scan_end(s, &again), -1);
	is_str(again.text, err.text);
	scan_reset(s, SCAN_WATCH);
	is_int(scan_feed(s, "{}", 2, &again), 0);
	is_int(scan_end(s, &again), 0);
	ok(!scan_destroy(s));
}

/* --- limits ----------------------------------------------------------------------------------- */

#define FLOOD (100 * MiB)

/* Feeds start, then `again` over and over, up to 100 MB. The reason of the refusal, or NULL. */
static const char *flood(enum scan_shape shape, const char *start, const char *again, size_t chunk,
			 size_t *ret_memory)
{
	static struct err err;
	struct scan *s = scan_create(&sample_type, shape, NULL, NULL);
	auto_free char *piece = xmalloc(chunk);
	size_t n = strlen(again), most = 0;
	int r = scan_feed(s, start, strlen(start), &err);

	for (size_t i = 0; i < chunk; i++) {
		piece[i] = again[i % n];
	}
	chunk -= chunk % n;
	for (size_t sent = 0; r == 0 && sent < FLOOD; sent += chunk) {
		r = scan_feed(s, piece, chunk, &err);
		most = MAX(most, scan_memory(s));
	}
	scan_destroy(s);
	*ret_memory = most;
	return r < 0 ? err.text : NULL;
}

static void is_refused(enum scan_shape shape, const char *start, const char *again,
		       const char *want)
{
	size_t memory;

	is_str(flood(shape, start, again, 16 * KiB, &memory), want);
	ok(memory < SCAN_MAX_MEMORY + SCAN_MAX_ITEM + 4 * MiB);
	/* All at once: no sooner and no later. */
	is_str(flood(shape, start, again, 24 * MiB, &memory), want);
	is_str(flood(shape, start, again, 7 * 12, &memory), want);
}

static void an_endless_string(void)
{
	is_refused(SCAN_OBJECT, "{\"a\":\"", "0123456789ab", "byte 10485765: a token is too long");
	is_refused(SCAN_LIST, "{\"a\":\"", "\\u00e9", "byte 10485765: a token is too long");
	is_refused(SCAN_WATCH, "{\"", "\xc3\xa9", "byte 10485761: a token is too long");
}

static void an_endless_number(void)
{
	is_refused(SCAN_LIST, "{\"a\":1", "0", "byte 5: a number of over 1024 digits");
}

static void endless_nesting(void)
{
	is_refused(SCAN_OBJECT, "{\"a\":", "[", "byte 10004: nested too deeply");
	is_refused(SCAN_OBJECT, "", "{\"a\":", "byte 50000: nested too deeply");
	is_refused(SCAN_LIST, "{\"items\":[{\"spec\":{\"values\":", "[",
		   "byte 10024: nested too deeply");
}

/*
 * Objects and arrays in an order that repeats with no power of two, to the very depth that is
 * allowed.
 */
static void containers_close_in_order_at_each_depth(void)
{
	struct scan *s = scan_create(&sample_type, SCAN_OBJECT, NULL, NULL);

	is_int(scan_feed(s, "{\"a\":", 5, NULL), 0);
	for (int i = 0; i < SCAN_MAX_DEPTH - 1; i++) {
		is_int(i % 7 % 3 ? scan_feed(s, "[", 1, NULL) : scan_feed(s, "{\"a\":", 5, NULL),
		       0);
	}
	is_int(scan_feed(s, "1", 1, NULL), 0);
	for (int i = SCAN_MAX_DEPTH - 2; i >= 0; i--) {
		is_int(scan_feed(s, i % 7 % 3 ? "]" : "}", 1, NULL), 0);
	}
	is_int(scan_feed(s, "}", 1, NULL), 0);
	is_int(scan_end(s, NULL), 0);
	scan_destroy(s);
}

static void an_endless_object(void)
{
	is_refused(SCAN_OBJECT, "{\"a\":[", "\"0123456\",  ",
		   "byte 10485760: the object is too long");
	is_refused(SCAN_WATCH, " {\"type\":\"ADDED\",\"object\":{", "\"ab\":\"cde\",  ",
		   "byte 10485761: the object is too long");
	is_refused(SCAN_LIST, "{\"items\":[{}, {\"a\":{},", "\"ab\":{}, ",
		   "byte 10485774: the object is too long");
}

static void an_endless_raw_value(void)
{
	is_refused(SCAN_LIST, "{\"items\":[{\"spec\":{\"values\":[", "1,",
		   "byte 10485770: the object is too long");
}

static void an_object_that_decodes_to_too_much(void)
{
	static const char *const floods[][2] = {
		{"{\"items\":[{\"spec\":{\"gpus\":[", "{},"},
		{"{\"items\":[{\"spec\":{\"gpus\":[", "[],"},
		{"{\"items\":[{\"spec\":{\"gpus\":[", "1,"},
		{"{\"items\":[{\"spec\":{\"groups\":{", "\"a\":{},"},
		{"{\"items\":[{\"spec\":{\"ports\":[", "1,"},
		{"{\"items\":[{\"spec\":{\"args\":[", "\"a\","},
		{"{\"items\":[{\"spec\":{", "\"best\":{},"},
		{"{\"items\":[{\"metadata\":{\"labels\":{", "\"a\":1,"},
		{"{", "\"\\u0061\":1,"},
		/* What the wire's own view keeps is bounded as well. */
		{"{", "\"details\":{\"causes\":[{\"reason\":\"abcdefgh\"}]},"},
	};

	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		size_t memory;

		has(flood(SCAN_LIST, floods[i][0], floods[i][1], 12 * KiB, &memory),
		    "the object takes too much memory");
		ok(memory < SCAN_MAX_MEMORY + SCAN_MAX_TOKEN + 4 * MiB);
	}
}

static void an_endless_list_needs_no_memory(void)
{
	size_t memory;

	ok(!flood(SCAN_LIST, "{\"items\":[", B ",", 16 * KiB, &memory));
	ok(memory < 64 * KiB);
	ok(!flood(SCAN_WATCH, "", "{\"type\":\"ADDED\",\"object\":" B "}", 16 * KiB, &memory));
	ok(memory < 64 * KiB);
}

static void a_big_objects_memory_is_given_back(void)
{
	struct scan *s = scan_create(&sample_type, SCAN_WATCH, NULL, NULL);
	auto_free char *big = xmalloc(8 * MiB);
	size_t before = scan_memory(s);

	memset(big, 'x', 8 * MiB);
	is_int(scan_feed(s, "{\"object\":{\"metadata\":{\"name\":\"", 31, NULL), 0);
	is_int(scan_feed(s, big, 8 * MiB, NULL), 0);
	is_int(scan_feed(s, "\"},\"spec\":{\"values\":[", 21, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		is_int(scan_feed(s, "\"abcdefghabcdefghabcdefghabcdefgh\",", 35, NULL), 0);
	}
	is_int(scan_feed(s, "0]}}}", 5, NULL), 0);
	is_int(scan_end(s, NULL), 0);
	ok(scan_memory(s) < before + 128 * KiB);
	scan_destroy(s);
}

/* A token that comes byte by byte costs no more than its length. */
static void a_long_token_in_small_pieces_is_not_read_again(void)
{
	struct scan *s = scan_create(&sample_type, SCAN_OBJECT, NULL, NULL);

	is_int(scan_feed(s, "{\"a\":\"", 6, NULL), 0);
	for (size_t i = 0; i < 4 * MiB; i++) {
		is_int(scan_feed(s, "x", 1, NULL), 0);
	}
	is_int(scan_feed(s, "\"}", 2, NULL), 0);
	is_int(scan_end(s, NULL), 0);
	scan_destroy(s);
}

/* Feeds it up to n times: how often it was taken. */
static int feed_again(struct scan *s, const char *text, int n)
{
	int i = 0;

	while (i < n && scan_feed(s, text, strlen(text), NULL) == 0) {
		i++;
	}
	return i;
}

/* A second "object" clears the first, which may have left no room for the empty one. */
static void an_object_that_is_taken_back_leaves_room(void)
{
	static const char start[] = "{\"type\":\"ADDED\",\"object\":{\"spec\":{",
			  again[] = "\"best\":{},";
	struct scan *s = scan_create(&sample_type, SCAN_WATCH, NULL, NULL);
	auto_scan_buf out;
	struct err err;
	int most;

	is_int(feed_again(s, start, 1), 1);
	most = feed_again(s, again, INT_MAX);
	ok(most * sizeof(struct sample_gpu) > SCAN_MAX_MEMORY / 2);
	scan_destroy(s);
	buf_init(&out, KiB);
	s = scan_create(&sample_type, SCAN_WATCH, describe, &out);
	is_int(feed_again(s, start, 1), 1);
	is_int(feed_again(s, again, most), most);
	is_int(feed_again(s, "\"x\":0}},\"object\":null}", 1), 1);
	is_int(scan_end(s, &err), 0);
	is_str(buf_text(&out), "ADDED {}\n");
	scan_destroy(s);
}

/* Of the answer as a whole: not of an event, and not before the document is complete. */
static void ignore_(void *ctx attr_unused, const struct scan_event *e attr_unused)
{
}

static void status_is_of_a_whole_answer(void)
{
	static const char status[] = "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"";
	struct scan *s = scan_create(&sample_type, SCAN_OBJECT, ignore_, NULL);
	auto_free char *event = xprintf("{\"type\":\"ERROR\",\"object\":%s}}", status);
	struct err err;

	is_int(scan_feed(s, status, strlen(status), &err), 0);
	is_int(scan_status(s)->code, 0);
	ok(!scan_status(s)->reason);
	is_int(scan_feed(s, "}", 1, &err), 0);
	is_int(scan_status(s)->code, 410);
	is_str(scan_status(s)->reason, "Expired");
	scan_reset(s, SCAN_WATCH);
	is_int(scan_feed(s, event, strlen(event), &err), 0);
	is_int(scan_status(s)->code, 0);
	ok(!scan_status(s)->reason);
	scan_destroy(s);
}

static void kind_is_of_a_whole_answer(void)
{
	static const struct {
		enum scan_shape shape;
		const char *text, *kind;
	} rows[] = {
		{SCAN_LIST, "{\"kind\":\"L\",\"items\":[{\"kind\":\"K\"}]}", "L"},
		{SCAN_LIST, "{\"items\":[{\"kind\":\"K\"}],\"kind\":\"L\"}", "L"},
		{SCAN_LIST, "{\"items\":[{\"kind\":\"K\"}]}", NULL},
		{SCAN_LIST, "{\"kind\":\"Status\"}", "Status"},
		{SCAN_LIST, "{\"kind\":\"L\"", NULL},
		{SCAN_OBJECT, "{\"kind\":\"K\"}", "K"},
		{SCAN_WATCH, "{\"kind\":\"K\",\"object\":{\"kind\":\"K\"}}", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scan *s = scan_create(&sample_type, rows[i].shape, ignore_, NULL);

		is_int(scan_feed(s, rows[i].text, strlen(rows[i].text), NULL), 0);
		is_str(scan_kind(s), rows[i].kind);
		scan_destroy(s);
	}
}

TESTS({"scan_kind is of a whole answer, never of an event", kind_is_of_a_whole_answer},
      {"scan_status is of a whole answer, never of an event", status_is_of_a_whole_answer},
      {"every kind of field is decoded", every_kind_of_field},
      {"what is not declared is skipped", what_is_not_declared_is_skipped},
      {"a value of another type is unset", another_type_is_unset}, {"null is unset", null_is_unset},
      {"odd elements: objects with nothing set, others left out", odd_elements_of_lists},
      {"integers beyond 64 bits saturate", integers_saturate},
      {"a number with a fraction or exponent is no integer", fractions_are_no_integers},
      {"a scalar keeps the text of its number", scalars_keep_their_text},
      {"the last of two keys wins whole", the_last_of_two_keys_wins_whole},
      {"the last of two map keys takes the place of the first",
       the_last_of_two_map_keys_takes_the_place_of_the_first},
      {"of two map keys side by side the last one wins", the_last_of_two_keys_side_by_side},
      {"strings of each length lie apart in memory", strings_of_each_length_lie_apart},
      {"the order of a map is kept", order_of_maps_is_kept},
      {"inline rows of one key are read together", rows_of_one_key_are_read_together},
      {"a derived row is not on the wire", derived_rows_are_not_on_the_wire},
      {"finish is called for each object", finish_is_called_for_each_object},
      {"raw text is kept as received", raw_text_is_kept_as_received},
      {"hashes tell texts apart", hashes_tell_texts_apart},
      {"raw text and hashes do not depend on where bytes were cut", raw_and_hash_at_every_split},
      {"text NULL is unset, text that is no object an error", text_of_nothing_is_unset},
      {"a list gives its items and its metadata", a_list},
      {"a list's metadata may come last", a_lists_metadata_may_come_last},
      {"an empty list is a list", an_empty_list},
      {"an item that is no object is skipped", odd_items_are_skipped},
      {"half a list gives its whole items and an error", half_a_list},
      {"a watch gives its events", a_watch},
      {"an event's object may come before its type", an_events_object_may_come_first},
      {"nothing of an event leaks into the next", nothing_leaks_into_the_next_event},
      {"the bookmark that ends the initial events is told", the_end_of_the_initial_events},
      {"a watch's error carries the Status", a_watchs_error},
      {"a Status in place of an object or list is no item", a_status_instead},
      {"reason and message of other kinds are no Status", other_kinds_have_messages_too},
      {"a watch takes objects only", a_watch_takes_objects_only},
      {"a reset scanner is as new", a_reset_scanner_is_as_new},
      {"a failed scan stays failed until it is reset", a_failed_scan_stays_failed},
      {"a string of 100 MB is refused early", an_endless_string},
      {"a number of 100 MB is refused early", an_endless_number},
      {"nesting of 100 MB is refused early", endless_nesting},
      {"containers close in order at each depth", containers_close_in_order_at_each_depth},
      {"an object of 100 MB is refused early", an_endless_object},
      {"raw text of 100 MB is refused early", an_endless_raw_value},
      {"an object that decodes to too much memory is refused", an_object_that_decodes_to_too_much},
      {"a list of 100 MB needs no memory", an_endless_list_needs_no_memory},
      {"the memory of a big object is given back", a_big_objects_memory_is_given_back},
      {"an object that is taken back leaves room for the empty one",
       an_object_that_is_taken_back_leaves_room},
      {"a long token in small pieces is not read again",
       a_long_token_in_small_pieces_is_not_read_again})
