/* SPDX-License-Identifier: Apache-2.0 */
#include "json/yaml.h"

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
	writes("{\"a\":\"x\ufeffy\"}", "a: \"x\\ufeffy\"\n");
	writes("{\"a\":\"x\xef\xbf\xbfy\"}", "a: \"x\\uffffy\"\n");
	writes("{\"a\":\"x\x7fy\"}", "a: \"x\\u007fy\"\n");
	writes("{\"a\xc2\x85\":\"l\\nx\xc2\x85\"}", "\"a\\u0085\": \"l\\u000ax\\u0085\"\n");
	writes("{\"a\":\"\u00a0\u2027\u202a\"}", "a: \u00a0\u2027\u202a\n");
}

TESTS({"plain scalars are typed as kubectl types them", scalars},
      {"a file holds many documents, empty ones are left out", many_documents},
      {"faults name file, line and column", faults_name_their_place},
      {"aliases are expanded within bounds", aliases_are_bounded},
      {"what is written reads back the same", round_trip},
      {"what YAML takes for a line's end or does not print is escaped",
       what_yaml_would_break_is_escaped}, )
