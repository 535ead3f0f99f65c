/* SPDX-License-Identifier: Apache-2.0 */
#include "json/type.h"
#include "base/err.h"
#include "base/test.h"
#include "json/sample.h"

/* --- from text, to text ----------------------------------------------------------------------- */

static struct arena arena;

static void fresh_arena(void)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
}

static json_t *parse(const char *text)
{
	json_error_t e;
	json_t *json = json_loads(text, 0, &e);

	if (!json) {
		printf("# %s\n", e.text);
	}
	ok(json);
	return json;
}

static int read_sample(const char *text, bool strict, struct sample *ret, struct err *err)
{
	json_t *json = parse(text);
	int r = type_read(&sample_type, json, strict, &arena, ret, err);

	json_decref(json);
	return r;
}

static struct sample sample(const char *text)
{
	struct sample s;
	struct err err = {""};

	fresh_arena();
	if (read_sample(text, false, &s, &err) < 0) {
		printf("# %s\n", err.text);
		ok(false);
	}
	return s;
}

static void is_json(const struct type *t, const void *object, const char *want)
{
	json_t *json = type_json(t, object);
	auto_free char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	is_str(text, want);
}

#define FULL                                                                                                                            \
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\",\"generation\":7,\"resourceVersion\":\"9\",\"labels\":{\"x\":\"1\","         \
	"\"y\":\"2\"},\"annotations\":{\"example.com/note\":\"n\",\"example.com/pick\":\"p\"}},\"spec\":{\"running\":false,"            \
	"\"replicas\":0,\"size\":\"10Gi\",\"best\":{\"name\":\"n\"},\"gpus\":[{\"name\":\"g\",\"count\":2},{\"vram\":0,\"display\""     \
	":true}],\"groups\":{\"md0\":{\"replicas\":3,\"gpus\":[{}]},\"md1\":{\"replicas\":0}},\"args\":[\"\",\"b\"],\"ports\":[22,-1]," \
	"\"values\":{\"a\":[1,{}]}}}"

static void a_tree_is_read_and_written(void)
{
	struct sample s = sample(FULL);

	is_str(s.name, "a");
	is_str(s.ns, "b");
	is_str(s.note, "n");
	is_str(s.pick, "p");
	is_int(s.generation, 7);
	is_int(s.running, TRI_FALSE);
	ok(s.replicas.set);
	is_int(s.replicas.value, 0);
	is_str(s.best->name, "n");
	is_int(s.gpus.n, 2);
	is_int(s.gpus.items[1].display, TRI_TRUE);
	is_str(s.groups.items[0].key, "md0");
	is_int(s.groups.items[0].gpus.n, 1);
	is_str(s.labels.items[1].value, "2");
	is_int(s.ports.items[1], -1);
	is_str(s.values, "{\"a\":[1,{}]}");
	is_json(&sample_type, &s, FULL);
}

static void a_tree_and_its_text_read_the_same(void)
{
	struct sample a = sample(FULL), b;

	is_int(type_read_text(&sample_type, FULL, &arena, &b, NULL), 0);
	ok(type_equal(&sample_type, &a, &b));
}

static void scalars_of_a_tree_keep_their_text(void)
{
	is_str(sample("{\"spec\":{\"size\":10}}").size, "10");
	is_str(sample("{\"spec\":{\"size\":1.5}}").size, "1.5");
	is_str(sample("{\"spec\":{\"size\":true}}").size, "true");
	is_str(sample("{\"spec\":{\"size\":\"1.50\"}}").size, "1.50");
	ok(!sample("{\"spec\":{\"size\":[1]}}").size);
}

static void unset_is_left_out(void)
{
	struct sample s = {0};

	is_json(&sample_type, &s, "{}");
	s.name = "";
	s.best = &(struct sample_gpu){0};
	is_json(&sample_type, &s, "{\"metadata\":{\"name\":\"\"},\"spec\":{\"best\":{}}}");
}

struct zeros {
	const char *text;
	tri flag;
	int64_t number;
	struct opt_int maybe;
	const struct sample_gpu *object;
	LIST(const char *) strings;
	LIST(struct pair) map;
};
#define KEPT .flags = TYPE_KEEP_ZERO
static const struct field zeros_fields[] = {
	FIELD(struct zeros, text, "text", TYPE_STR, KEPT),
	FIELD(struct zeros, flag, "flag", TYPE_BOOL, KEPT),
	FIELD(struct zeros, number, "number", TYPE_INT, KEPT),
	FIELD(struct zeros, maybe, "maybe", TYPE_OPT_INT, KEPT),
	FIELD(struct zeros, object, "object", TYPE_OBJ, KEPT, .sub = &sample_gpu_type),
	FIELD(struct zeros, strings, "strings", TYPE_STRS, KEPT),
	FIELD(struct zeros, map, "map", TYPE_MAP, KEPT),
	{0},
};
static const struct type zeros_type = {sizeof(struct zeros), zeros_fields, NULL};

static void keep_zero_writes_what_is_unset(void)
{
	struct zeros z = {0};

	is_json(&zeros_type, &z,
		"{\"text\":\"\",\"flag\":false,\"number\":0,\"maybe\":0,\"object\":{},\"strings\":[],\"map\":{}}");
}

static void scalars_become_what_they_are_exactly(void)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{"5", "5"},	      {"-5", "-5"},
		{"0", "0"},	      {"05", "\"05\""},
		{"+5", "\"+5\""},     {"-0", "\"-0\""},
		{"1.5", "\"1.5\""},   {"1e3", "\"1e3\""},
		{"10Gi", "\"10Gi\""}, {"true", "true"},
		{"false", "false"},   {"True", "\"True\""},
		{"", "\"\""},	      {" 5", "\" 5\""},
		{"null", "\"null\""}, {"9223372036854775808", "\"9223372036854775808\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sample s = {.size = rows[i].text};
		auto_free char *want = xprintf("{\"spec\":{\"size\":%s}}", rows[i].json);

		is_json(&sample_type, &s, want);
	}
}

static void transient_and_derived_are_not_written(void)
{
	struct sample s = sample("{\"spec\":{\"spare\":[{},{}],\"owned\":{\"f:a\":{}}}}");

	is_int(s.n_spare, 2);
	ok(s.fingerprint == type_hash("{\"f:a\":{}}", 10));
	is_json(&sample_type, &s, "{}");
}

/* --- strict reading --------------------------------------------------------------------------- */

static void is_error(const char *text, const char *want)
{
	struct sample s;
	struct err err = {""};

	fresh_arena();
	is_int(read_sample(text, true, &s, &err), -1);
	is_str(err.text, want);
	is_int(read_sample(text, false, &s, NULL), 0);
}

static void errors_name_the_path(void)
{
	is_error("{\"spec\":{\"gpus\":[{},{\"count\":\"2\"}]}}",
		 "spec.gpus[1].count: expected an integer");
	is_error("{\"spec\":{\"gpus\":[{},{\"count\":2.0}]}}",
		 "spec.gpus[1].count: expected an integer");
	is_error("{\"spec\":{\"gpus\":[{},5]}}", "spec.gpus[1]: expected an object");
	is_error("{\"spec\":{\"gpus\":{}}}", "spec.gpus: expected an array");
	is_error("{\"spec\":{\"groups\":[]}}", "spec.groups: expected an object");
	is_error("{\"spec\":{\"groups\":{\"md0\":{\"replicas\":true}}}}",
		 "spec.groups.md0.replicas: expected an integer");
	is_error("{\"spec\":{\"groups\":{\"md0\":[]}}}", "spec.groups.md0: expected an object");
	is_error("{\"spec\":{\"running\":\"yes\"}}", "spec.running: expected true or false");
	is_error("{\"spec\":{\"size\":[]}}", "spec.size: expected a string, number or boolean");
	is_error("{\"spec\":{\"best\":\"x\"}}", "spec.best: expected an object");
	is_error("{\"spec\":{\"args\":[\"a\",1]}}", "spec.args[1]: expected a string");
	is_error("{\"spec\":{\"args\":\"a\"}}", "spec.args: expected an array");
	is_error("{\"spec\":{\"ports\":[1,\"2\"]}}", "spec.ports[1]: expected an integer");
	is_error("{\"spec\":{\"replicas\":\"2\"}}", "spec.replicas: expected an integer");
	is_error("{\"metadata\":{\"name\":5}}", "metadata.name: expected a string");
	is_error("{\"metadata\":{\"labels\":{\"a.b/c\":5}}}",
		 "metadata.labels.a.b/c: expected a string");
	is_error("{\"metadata\":{\"labels\":[]}}",
		 "metadata.labels: expected an object of strings");
	is_error("{\"metadata\":[]}", "metadata: expected an object");
	is_error("[]", "expected an object");
}

static void unknown_fields_are_named_with_what_is_near(void)
{
	is_error("{\"spec\":{\"gpuz\":[]}}", "unknown field \"spec.gpuz\", did you mean \"gpus\"?");
	is_error("{\"spec\":{\"gpus\":[{\"nmae\":\"a\"}]}}",
		 "unknown field \"spec.gpus[0].nmae\", did you mean \"name\"?");
	is_error("{\"spec\":{\"replica\":1}}",
		 "unknown field \"spec.replica\", did you mean \"replicas\"?");
	is_error("{\"spec\":{\"Running\":true}}",
		 "unknown field \"spec.Running\", did you mean \"running\"?");
	is_error("{\"spec\":{\"template\":{}}}", "unknown field \"spec.template\"");
	is_error("{\"metadata\":{\"lbells\":{}}}",
		 "unknown field \"metadata.lbells\", did you mean \"labels\"?");
	is_error("{\"psec\":{}}", "unknown field \"psec\", did you mean \"spec\"?");
	is_error("{\"spek\":{}}", "unknown field \"spek\", did you mean \"spec\"?");
	is_error("{\"x\":{}}", "unknown field \"x\"");
	is_error("{\"spec\":{\"number of spare\":2}}", "unknown field \"spec.number of spare\"");
}

static void two_rows_of_a_key_know_each_others_fields(void)
{
	struct sample s;

	fresh_arena();
	is_int(read_sample(
		       "{\"metadata\":{\"annotations\":{\"example.com/pick\":\"p\",\"example.com/note\":\"n\"}}}",
		       true, &s, NULL),
	       0);
	is_error(
		"{\"metadata\":{\"annotations\":{\"example.com/nota\":\"p\"}}}",
		"unknown field \"metadata.annotations.example.com/nota\", did you mean \"example.com/note\"?");
}

static void strict_reading_takes_null_for_unset(void)
{
	struct sample s;
	struct err err = {""};

	fresh_arena();
	is_int(read_sample(
		       "{\"metadata\":null,\"spec\":{\"gpus\":[null],\"best\":null,\"args\":[null],\"size\":null,\"groups\":{\"a\":"
		       "null},\"values\":null,\"owned\":null}}",
		       true, &s, &err),
	       0);
	is_json(&sample_type, &s, "{\"spec\":{\"gpus\":[{}],\"groups\":{\"a\":{\"replicas\":0}}}}");
}

static void null_is_an_object_with_nothing_set(void)
{
	json_t *json = json_null();
	struct sample s;

	fresh_arena();
	memset(&s, 'x', sizeof(s));
	is_int(type_read(&sample_type, json, true, &arena, &s, NULL), 0);
	is_json(&sample_type, &s, "{}");
}

static void a_long_path_is_cut_not_lost(void)
{
	auto_free char *key = xmalloc(3000), *text = NULL;
	json_t *json;
	struct sample s;
	struct err err = {""};

	memset(key, 'k', 2999);
	key[2999] = '\0';
	text = xprintf("{\"spec\":{\"%s\":1}}", key);
	fresh_arena();
	is_int(read_sample(text, true, &s, &err), -1);
	has(err.text, "unknown field \"spec.kkkk");
	has(err.text, "kkk...\"");
	/* Not within a character: jansson takes valid UTF-8 only. */
	for (size_t i = 1; i < 2999; i += 2) {
		memcpy(text + 10 + i, "\u00e9", 2);
	}
	is_int(read_sample(text, true, &s, &err), -1);
	has(err.text, "\u00e9\u00e9...\"");
	json = json_string(err.text);
	ok(json);
	json_decref(json);
}

/* --- packing ---------------------------------------------------------------------------------- */

static void a_packed_copy_equals_and_outlives(void)
{
	struct intern *in = intern_create();
	struct sample s = sample(FULL), *packed = type_pack(&sample_type, &s, in);

	ok(type_equal(&sample_type, &s, packed));
	ok(type_equal(&sample_type, packed, &s));
	arena_finish(&arena);
	is_json(&sample_type, packed, FULL);
	type_free(&sample_type, packed, in);
	is_int(intern_count(in), 0);
	intern_destroy(in);
}

static void a_copy_of_a_copy(void)
{
	struct intern *in = intern_create();
	struct sample s = sample(FULL), *one = type_pack(&sample_type, &s, in),
		      *two = type_pack(&sample_type, one, in);

	type_free(&sample_type, one, in);
	is_json(&sample_type, two, FULL);
	ok(type_packed_size(&sample_type, two) == type_packed_size(&sample_type, &s));
	type_free(&sample_type, two, in);
	is_int(intern_count(in), 0);
	intern_destroy(in);
}

static void interned_strings_are_shared(void)
{
	struct intern *in = intern_create();
	struct sample s = sample(FULL), *one = type_pack(&sample_type, &s, in),
		      *two = type_pack(&sample_type, &s, in);

	ok(one->ns == two->ns);
	ok(one->labels.items[0].key == two->labels.items[0].key);
	ok(one->groups.items[0].key == two->groups.items[0].key);
	ok(one->args.items[1] == two->args.items[1]);
	ok(one->name != two->name);
	type_free(&sample_type, one, in);
	is_json(&sample_type, two, FULL);
	type_free(&sample_type, two, in);
	type_free(&sample_type, NULL, in);
	is_int(intern_count(in), 0);
	intern_destroy(in);
}

static void a_packed_copy_is_one_small_block(void)
{
	struct intern *in = intern_create();
	struct sample s = {.name = "abc", .ns = "interned"},
		      *packed = type_pack(&sample_type, &s, in);

	is_int(type_packed_size(&sample_type, &s), sizeof(struct sample) + 4);
	ok((const char *)packed + sizeof(*packed) == packed->name);
	type_free(&sample_type, packed, in);
	intern_destroy(in);
}

struct gaps {
	int64_t before, number, after;
	struct opt_int maybe;
	int64_t last;
};
static const struct field gaps_fields[] = {
	FIELD(struct gaps, number, "number", TYPE_INT),
	FIELD(struct gaps, maybe, "maybe", TYPE_OPT_INT),
	{0},
};
static const struct type gaps_type = {sizeof(struct gaps), gaps_fields, NULL};

static void a_member_without_a_row_is_not_packed(void)
{
	struct gaps g = {1, 2, 3, {4, true}, 5}, *packed = type_pack(&gaps_type, &g, NULL);

	is_int(packed->before, 0);
	is_int(packed->number, 2);
	is_int(packed->after, 0);
	is_int(packed->maybe.value, 4);
	is_int(packed->last, 0);
	type_free(&gaps_type, packed, NULL);
}

static void without_a_table_nothing_is_interned(void)
{
	struct sample s = sample(FULL), *packed = type_pack(&sample_type, &s, NULL);

	ok(type_equal(&sample_type, &s, packed));
	is_json(&sample_type, packed, FULL);
	type_free(&sample_type, packed, NULL);
}

static void transient_fields_are_not_packed_derived_ones_are(void)
{
	struct intern *in = intern_create();
	struct sample s = sample("{\"spec\":{\"spare\":[{\"name\":\"x\"},{}],\"owned\":[1]}}");
	struct sample *packed = type_pack(&sample_type, &s, in);

	is_int(packed->spare.n, 0);
	ok(!packed->spare.items);
	is_int(packed->n_spare, 2);
	ok(packed->fingerprint == s.fingerprint && s.fingerprint);
	is_int(intern_count(in), 0);
	type_free(&sample_type, packed, in);
	intern_destroy(in);
}

/* --- equality --------------------------------------------------------------------------------- */

/* Each differs from FULL in one place. */
static void every_difference_is_seen(void)
{
	static const char *const others[][2] = {
		{"\"name\":\"a\"", "\"name\":\"A\""},
		{"\"name\":\"a\",", ""},
		{"\"namespace\":\"b\"", "\"namespace\":\"c\""},
		{"\"generation\":7", "\"generation\":8"},
		{"\"x\":\"1\"", "\"x\":\"2\""},
		{"\"x\":\"1\"", "\"z\":\"1\""},
		{"\"x\":\"1\",", ""},
		{"note\":\"n\"", "note\":\"m\""},
		{"pick\":\"p\"", "pick\":\"q\""},
		{"\"running\":false", "\"running\":true"},
		{"\"running\":false,", ""},
		{"\"replicas\":0,\"size\"", "\"size\""},
		{"\"replicas\":0,\"size\"", "\"replicas\":1,\"size\""},
		{"10Gi", "11Gi"},
		{"\"best\":{\"name\":\"n\"},", ""},
		{"\"best\":{\"name\":\"n\"}", "\"best\":{}"},
		{"\"count\":2", "\"count\":3"},
		{"{\"vram\":0,\"display\":true}", "{\"vram\":0}"},
		{",{\"vram\":0,\"display\":true}", ""},
		{"\"vram\":0,", ""},
		{"\"md0\"", "\"md2\""},
		{"\"replicas\":3", "\"replicas\":4"},
		{"\"gpus\":[{}]", "\"gpus\":[]"},
		{",\"md1\":{\"replicas\":0}", ""},
		{"[\"\",\"b\"]", "[\"\",\"c\"]"},
		{"[\"\",\"b\"]", "[\"\"]"},
		{"[22,-1]", "[22,1]"},
		{"[22,-1]", "[22]"},
		{"[1,{}]", "[1,[]]"},
	};
	struct sample s = sample(FULL);
	struct intern *in = intern_create();
	struct sample *full = type_pack(&sample_type, &s, in);

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		const char *at = strstr(FULL, others[i][0]);
		auto_free char *text = NULL;

		ok(at);
		text = xprintf("%.*s%s%s", (int)(at - FULL), FULL, others[i][1],
			       at + strlen(others[i][0]));
		s = sample(text);
		if (type_equal(&sample_type, full, &s) || type_equal(&sample_type, &s, full)) {
			is_str(text, "something else");
		}
	}
	type_free(&sample_type, full, in);
	intern_destroy(in);
}

static void silent_and_transient_differences_are_none(void)
{
	struct sample a = sample(FULL), b = a;

	b.version = "10";
	ok(type_equal(&sample_type, &a, &b));
	b.spare.n = 0;
	b.spare.items = NULL;
	ok(type_equal(&sample_type, &a, &b));
	b.n_spare++;
	ok(!type_equal(&sample_type, &a, &b));
	b = a;
	b.fingerprint++;
	ok(!type_equal(&sample_type, &a, &b));
}

/* --- odd texts -------------------------------------------------------------------------------- */

static void a_nul_in_a_tree_becomes_what_it_is_in_a_stream(void)
{
	json_t *json = json_loads("{\"metadata\":{\"name\":\"a\\u0000b\"}}", JSON_ALLOW_NUL, NULL);
	struct sample s;

	fresh_arena();
	is_int(type_read(&sample_type, json, false, &arena, &s, NULL), 0);
	is_str(s.name, "a\ufffdb");
	json_decref(json);
}

static void raw_text_that_jansson_cannot_read_is_left_out(void)
{
	struct sample s = {.values = "[99999999999999999999]", .name = "a"};

	is_json(&sample_type, &s, "{\"metadata\":{\"name\":\"a\"}}");
}

static void a_key_is_found_among_rows(void)
{
	ok(type_find(&sample_type, NULL, "spec", 4)->sub == &sample_spec);
	ok(type_find(&sample_type, NULL, "metadata", 8) == &sample_fields[0]);
	ok(type_find(&sample_type, &sample_fields[0], "metadata", 8) == &sample_fields[1]);
	ok(!type_find(&sample_type, &sample_fields[1], "metadata", 8));
	ok(!type_find(&sample_type, NULL, "spe", 3));
	ok(!type_find(&sample_type, NULL, "spec2", 5));
	ok(!type_find(&sample_type, NULL, "", 0));
}

TESTS({"a tree is read and written", a_tree_is_read_and_written},
      {"a tree and its text read the same", a_tree_and_its_text_read_the_same},
      {"a scalar keeps the text of its number", scalars_of_a_tree_keep_their_text},
      {"what is unset is left out, what is empty is not", unset_is_left_out},
      {"TYPE_KEEP_ZERO writes what is unset", keep_zero_writes_what_is_unset},
      {"a scalar is written as what it is exactly", scalars_become_what_they_are_exactly},
      {"transient and derived fields are not written", transient_and_derived_are_not_written},
      {"an error of strict reading names the path", errors_name_the_path},
      {"an unknown field is named, with one that is near",
       unknown_fields_are_named_with_what_is_near},
      {"inline rows of one key know each other's fields",
       two_rows_of_a_key_know_each_others_fields},
      {"strict reading takes null for unset", strict_reading_takes_null_for_unset},
      {"null is an object with nothing set", null_is_an_object_with_nothing_set},
      {"a path too long to print is still an error", a_long_path_is_cut_not_lost},
      {"a packed copy equals its object and outlives it", a_packed_copy_equals_and_outlives},
      {"a packed copy can be packed again", a_copy_of_a_copy},
      {"packed copies share interned strings", interned_strings_are_shared},
      {"a packed copy is one small block", a_packed_copy_is_one_small_block},
      {"a member without a row is not packed", a_member_without_a_row_is_not_packed},
      {"without a table nothing is interned", without_a_table_nothing_is_interned},
      {"transient fields are not packed, derived ones are",
       transient_fields_are_not_packed_derived_ones_are},
      {"every difference makes two objects unequal", every_difference_is_seen},
      {"silent and transient differences are none", silent_and_transient_differences_are_none},
      {"U+0000 in a tree becomes what it becomes in a stream",
       a_nul_in_a_tree_becomes_what_it_is_in_a_stream},
      {"raw text that jansson cannot read is left out",
       raw_text_that_jansson_cannot_read_is_left_out},
      {"a key is found among the rows, all of its rows", a_key_is_found_among_rows})
