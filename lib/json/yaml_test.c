/* SPDX-License-Identifier: Apache-2.0 */
#include "json/yaml.h"

#include <unistd.h>

#include "base/test.h"

static char *as_json(const char *text)
{
	struct err err = {""};
	json_t *all = yaml_read("t", text, strlen(text), &err);
	char *s = all ? json_dumps(all, JSON_COMPACT) : xstrdup(err.text);

	json_decref(all);
	return s;
}

#define reads(text, json)                                                                          \
	do {                                                                                       \
		auto_free char *s_ = as_json(text);                                                \
		is_str(s_, json);                                                                  \
	} while (0)

static void scalars(void)
{
	reads("a: 1\nb: '1'\nc: 1.5\nd: true\ne: yes\nf:\ng: ~\nh: 50Gi\ni: 010\nj: \"\"\n",
	      "[{\"a\":1,\"b\":\"1\",\"c\":1.5,\"d\":true,\"e\":\"yes\",\"f\":null,\"g\":null,\"h\":\"50Gi\",\"i\":\"010\",\"j\":\"\"}]");
}

static void many_documents(void)
{
	reads("---\na: 1\n---\n---\n[1, {b: 2}]\n", "[{\"a\":1},[1,{\"b\":2}]]");
	reads("", "[]");
	reads("# nothing\n", "[]");
}

static void faults_name_their_place(void)
{
	auto_free char *twice = as_json("a: 1\nb:\n  c: 1\n  c: 2\n");
	auto_free char *broken = as_json("a: [1\nb: 2\n");

	auto_free char *zero = as_json("a: \"x\\0y\"\n"), *key = as_json("a:\n  \"k\\x00\": 1\n");

	is_str(zero, "t: line 1, column 4: the text has a character 0, which no field may hold");
	is_str(key, "t: line 2, column 3: the text has a character 0, which no field may hold");
	is_str(twice, "t: line 4, column 3: the key \"c\" stands here twice");
	has(broken, "t: line 2");
}

static void aliases_are_bounded(void)
{
	auto_free char *bomb = as_json(
		"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		"c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n");

	has(bomb, "too many values");
	reads("a: &x {k: v}\nb: *x\n", "[{\"a\":{\"k\":\"v\"},\"b\":{\"k\":\"v\"}}]");
}

static void round_trip(void)
{
	static const char json[] =
		"[{\"a\":{\"b\":[1,\"1\",\"true\",\"yes\",\"\",null,{},[],{\"c\":[[1],[2]]}]},\"t\":\"one\\ntwo\\n\","
		"\"u\":\"one\\ntwo\",\"q\":\"a: b\",\"d\":\"- x\",\"n\":\"010\",\"k\":\"2026-01-01\",\"s\":\"nvidia.com/AD102GL_L40S\","
		"\"e\":\" x\",\"z\":\"x \",\"tab\":\"a\\tb\",\"lead\":\"\\nx\",\"two\":\"x\\n\\n\"}]";
	json_t *value = json_loads(json, 0, NULL);
	attr_cleanup(buf_finish) struct buf out;
	auto_free char *again = NULL;

	buf_init(&out, MiB);
	yaml_write(json_array_get(value, 0), &out);
	again = as_json(buf_text(&out));
	is_str(again, json);
	has(buf_text(&out), "s: nvidia.com/AD102GL_L40S\n");
	json_decref(value);
}

/* What a value is written as, and that it reads back the same. */
static void writes(const char *json, const char *yaml)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	auto_free char *want = xprintf("[%s]", json), *again = NULL;
	auto_buf struct buf out;

	ok(value);
	buf_init(&out, MiB);
	yaml_write(value, &out);
	is_str(buf_text(&out), yaml);
	again = as_json(buf_text(&out));
	is_str(again, want);
	json_decref(value);
}

static void what_yaml_would_break_is_escaped(void)
{
	writes("{\"a\":\"x\u2028y\"}", "a: \"x\\u2028y\"\n");
	writes("{\"a\":\"x\u2029y\"}", "a: \"x\\u2029y\"\n");
	writes("{\"a\":\"x\xc2\x85y\"}", "a: \"x\\u0085y\"\n");
	writes("{\"a\":\"x\xc2\x80y\"}", "a: \"x\\u0080y\"\n");
	writes("{\"a\":\"x\xc2\x9fy\"}", "a: \"x\\u009fy\"\n");
	writes("{\"a\":\"x\xef\xbf\xbey\"}", "a: \"x\\ufffey\"\n");
	writes("{\"a\":\"x\ufeffy\"}", "a: \"x\\ufeffy\"\n");
	writes("{\"a\":\"x\xef\xbf\xbfy\"}", "a: \"x\\uffffy\"\n");
	writes("{\"a\":\"x\x7fy\"}", "a: \"x\\u007fy\"\n");
	writes("{\"a\xc2\x85\":\"l\\nx\xc2\x85\"}", "\"a\\u0085\": \"l\\u000ax\\u0085\"\n");
	writes("{\"a\":\"\u00a0\u2027\u202a\"}", "a: \u00a0\u2027\u202a\n");
}

static void each_plain_word(void)
{
	static const char *const rows[][2] = {
		{"null", "null"},
		{"Null", "null"},
		{"NULL", "null"},
		{"~", "null"},
		{"nul", "\"nul\""},
		{"nULL", "\"nULL\""},
		{"true", "true"},
		{"True", "true"},
		{"TRUE", "true"},
		{"tRUE", "\"tRUE\""},
		{"false", "false"},
		{"False", "false"},
		{"FALSE", "false"},
		{"falsE", "\"falsE\""},
		{"0", "0"},
		{"9", "9"},
		{"-1", "-1"},
		{"-", "[null]"},
		{"-a", "\"-a\""},
		{"1.5e3", "1500.0"},
		{"/1", "\"/1\""},
		{"1:", "{\"1\":null}"},
		{"+1", "\"+1\""},
		{".5", "\".5\""},
		{"1_000", "\"1_000\""},
		{"0x1f", "\"0x1f\""},
		{"0X1F", "\"0X1F\""},
		{"0o17", "\"0o17\""},
		{"0O17", "\"0O17\""},
		{"'null'", "\"null\""},
		{"\"1\"", "\"1\""},
		{"!!binary 12", "\"12\""},
		{"!!str 12", "12"},
		{"[]", "[]"},
		{"{}", "{}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *want = xprintf("[%s]", rows[i][1]), *got = as_json(rows[i][0]);

		/* a document that is empty is left out */
		is_str(got, str_eq(rows[i][1], "null") ? "[]" : want);
	}
}

static void each_fault(void)
{
	static const char *const rows[][2] = {
		{"a: [1\nb: 2\n",
		 "t: line 2, column 2: did not find expected ',' or ']' while parsing a flow sequence"},
		{"a: 1\n? [b]\n: 2\n",
		 "t: line 2, column 3: a key must be a plain word or a string"},
		{"a: *b\n", "t: line 1, column 4: found undefined alias"},
		{"a: 1\n---\nb: {c: 1, c: 2}\n",
		 "t: line 3, column 11: the key \"c\" stands here twice"},
		{"- a\n- b: \"\\0\"\n",
		 "t: line 2, column 6: the text has a character 0, which no field may hold"},
		{"[[a, {b: 1, b: 2}]]", "t: line 1, column 13: the key \"b\" stands here twice"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *said = as_json(rows[i][0]);

		is_str(said, rows[i][1]);
	}
}

/* depth lists within each other, the innermost empty. */
static char *nested(int depth)
{
	auto_free char *text = xmalloc((size_t)depth * 2 + 1);

	memset(text, '[', (size_t)depth);
	memset(text + depth, ']', (size_t)depth);
	text[2 * depth] = '\0';
	return as_json(text);
}

static void as_deep_and_as_many_as_it_takes(void)
{
	auto_free char *deepest = nested(YAML_MAX_DEPTH + 1), *deeper = nested(YAML_MAX_DEPTH + 2);
	auto_buf struct buf text = {.max = 16 * MiB};

	ok(str_starts(deepest, "[[["));
	has(deeper, "nested too deeply");
	for (int more = 0; more < 2; more++) {
		auto_free char *said = NULL;

		buf_reset(&text);
		buf_str(&text, "- &x [");
		for (int i = 0; i < 998; i++) {
			buf_str(&text, i ? ",1" : "1"); /* a list of 998 is 999 values */
		}
		buf_str(&text, "]\n");
		/* the whole is one; each line of the list 999 */
		for (int i = 1; i < YAML_MAX_NODES / 999; i++) {
			buf_str(&text, "- *x\n");
		}
		for (int i = 0; i < (YAML_MAX_NODES - 1) % 999 + more; i++) {
			buf_str(&text, "- 1\n");
		}
		said = as_json(buf_text(&text));
		if (more) {
			has(said, "too many values");
		} else {
			ok(str_starts(said, "[["));
		}
	}
}

/* What is read of a file of this size that has the text at its beginning. */
static void file_says(const char *text, off_t size, const char *want)
{
	char path[] = "/tmp/yaml-test-XXXXXX";
	int fd = mkstemp(path);
	struct err err = {""};
	json_t *all;

	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	ok(ftruncate(fd, size) == 0);
	close(fd);
	all = yaml_read_file(path, &err);
	unlink(path);
	if (want) {
		ok(!all);
		has(err.text, want);
		has(err.text, path);
	} else {
		is_int(json_array_size(all), 1);
	}
	json_decref(all);
}

static void files(void)
{
	struct err err = {""};

	ok(!yaml_read_file("/tmp/no/such/file", &err));
	is_str(err.text, "/tmp/no/such/file: No such file or directory");
	ok(!yaml_read_file("/tmp", &err));
	has(err.text, "/tmp: Is a directory");
	file_says("a: 1\n", 5, NULL);
	file_says("a: 1\n", 64 * MiB, "line ");
	file_says("a: 1\n", 64 * MiB + 1, "larger than 64 MiB");
}

static void words_that_others_take_for_something_else(void)
{
	static const char *const quoted[] = {
		"y",	"n",	"yes",	    "no",	  "on",	   "off",  "Yes",  "No",    "On",
		"Off",	"YES",	"NO",	    "ON",	  "OFF",   "Y",	   "N",	   "<<",    "=",
		"null", "true", "~",	    "",		  "1",	   "-1",   "010",  "1_000", "0x1f",
		".5",	"+1",	"12:30:00", "2026-01-01", "1.2.3", "26b9", "0",	   "9a",    "-a",
		"?a",	":a",	",a",	    "[a",	  "]a",	   "{a",   "}a",   "#a",    "&a",
		"*a",	"!a",	"|a",	    ">a",	  "'a",	   "%a",   "@a",   "`a",    " a",
		"a: b", "a:",	"a #b",	    "a ",	  "a b ",  "0X1F", "0o17", "0O17",  "0b11",
		"0B11", "-0x1", "-.5",
	};
	static const char *const plain[] = {
		"ye",  "yess", "oN",  "a",    "z",    "Z",    "10Gi", "1/2", "9g",  "0G",    "a-b",
		"a?b", "a:b",  "a,b", "a[b]", "a{b}", "a#b",  "a&b",  "a*b", "a!b", "a|b",   "a>b",
		"a'b", "a%b",  "a@b", "a`b",  "a b",  "a  b", "a~b",  "/",   "a=b", "nullx", "1k",
	};

	for (size_t i = 0; i < ARRAY_LEN(quoted); i++) {
		auto_free char *json = xprintf("{\"a\":\"%s\",\"%s\":1}", quoted[i], quoted[i]),
			       *yaml = xprintf("a: \"%s\"\n\"%s\": 1\n", quoted[i], quoted[i]);

		writes(json, yaml);
	}
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		auto_free char *json = xprintf("[\"%s\",{\"x%s\":1}]", plain[i], plain[i]),
			       *yaml = xprintf("- %s\n- x%s: 1\n", plain[i], plain[i]);

		writes(json, yaml);
	}
	writes("\"a\\\"b\"", "a\"b\n");
	writes("\"\\\"b\"", "\"\\\"b\"\n");
	writes("\"a\\tb\"", "\"a\\u0009b\"\n");
}

static void text_of_several_lines(void)
{
	static const char *const rows[][2] = {
		{"one\\ntwo", "a: |-\n  one\n  two\n"},
		{"one\\ntwo\\n", "a: |\n  one\n  two\n"},
		{"one\\n\\ntwo\\n", "a: |\n  one\n\n  two\n"},
		{"one\\n two", "a: |-\n  one\n   two\n"},
		{"one\\ntwo ", "a: |-\n  one\n  two \n"},
		{"x\\n", "a: |\n  x\n"},
		{"\\n", "a: \"\\u000a\"\n"},
		{"x\\n\\n", "a: \"x\\u000a\\u000a\"\n"},
		{" x\\ny", "a: \" x\\u000ay\"\n"},
		{"\\nx", "a: \"\\u000ax\"\n"},
		{"x \\ny", "a: \"x \\u000ay\"\n"},
		{"x\\ty\\nz", "a: \"x\\u0009y\\u000az\"\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *json = xprintf("{\"a\":\"%s\"}", rows[i][0]);

		writes(json, rows[i][1]);
	}
	writes("[\"x\\ny\",[\"x\\ny\"],{\"b\":{\"c\":\"x\\ny\"}}]",
	       "- |-\n    x\n    y\n- \n  - |-\n      x\n      y\n- b:\n    c: |-\n      x\n      y\n");
}

static void containers(void)
{
	writes("{}", "{}\n");
	writes("[]", "[]\n");
	writes("[1,[],{},[[]],[{}]]", "- 1\n- []\n- {}\n- \n  - []\n- \n  - {}\n");
	writes("{\"a\":{},\"b\":[],\"c\":{\"d\":1,\"e\":[1,2]},\"f\":[{\"g\":1,\"h\":2},3]}",
	       "a: {}\nb: []\nc:\n  d: 1\n  e:\n  - 1\n  - 2\nf:\n- g: 1\n  h: 2\n- 3\n");
	writes("[null,true,false,1.5,-3]", "- null\n- true\n- false\n- 1.5\n- -3\n");
}

TESTS({"plain scalars are typed as kubectl types them", scalars},
      {"a file holds many documents, empty ones are left out", many_documents},
      {"faults name file, line and column", faults_name_their_place},
      {"aliases are expanded within bounds", aliases_are_bounded},
      {"what is written reads back the same", round_trip},
      {"each word that is a scalar, and those near it", each_plain_word},
      {"each fault has its place", each_fault},
      {"it takes so deep and so many values", as_deep_and_as_many_as_it_takes},
      {"files are read up to 64 MiB", files},
      {"what others take for something else is quoted, and nothing else",
       words_that_others_take_for_something_else},
      {"text of several lines is a block where it can be one", text_of_several_lines},
      {"containers are written as kubectl writes them", containers},
      {"what YAML takes for a line's end or does not print is escaped",
       what_yaml_would_break_is_escaped}, )
