/* SPDX-License-Identifier: Apache-2.0 */
#include "json/write.h"
#include "json/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_FILE (64 * MiB)

/* --- reading ------------------------------------------------------------------------------- */

struct reader {
	yaml_document_t *doc;
	const char *name;
	size_t nodes;
	struct err *err;
};

static int fail(struct reader *r, const yaml_node_t *node, const char *what)
{
	return err_set(r->err, "%s: line %zu, column %zu: %s", r->name, node->start_mark.line + 1,
		       node->start_mark.column + 1, what);
}

/* JSON's number grammar decides, so that 010, 1_000 and .5 stay strings nowhere else would read as
 * numbers. */
static json_t *number(const char *s)
{
	json_error_t e;

	if (*s != '-' && (*s < '0' || *s > '9')) {
		return NULL;
	}
	return json_loads(s, JSON_DECODE_ANY, &e);
}

static json_t *plain_scalar(const char *s)
{
	json_t *n;

	if (!*s || !strcmp(s, "~") || !strcmp(s, "null") || !strcmp(s, "Null") ||
	    !strcmp(s, "NULL")) {
		return json_null();
	}
	if (!strcmp(s, "true") || !strcmp(s, "True") || !strcmp(s, "TRUE")) {
		return json_true();
	}
	if (!strcmp(s, "false") || !strcmp(s, "False") || !strcmp(s, "FALSE")) {
		return json_false();
	}
	n = number(s);
	return n ? n : json_string(s);
}

static json_t *convert(struct reader *r, int index, int depth);

/* "\\0": JSON could hold it, but nobody who reads a string to its end. */
#define ZERO "the text has a character 0, which no field may hold"
static bool has_zero(const yaml_node_t *node)
{
	return memchr(node->data.scalar.value, 0, node->data.scalar.length);
}

static json_t *scalar(struct reader *r, const yaml_node_t *node)
{
	const char *s = (const char *)node->data.scalar.value;
	json_t *value;

	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    !str_eq((const char *)node->tag, "tag:yaml.org,2002:binary")) {
		return plain_scalar(s);
	}
	if (has_zero(node)) {
		fail(r, node, ZERO);
		return NULL;
	}
	value = json_stringn(s, node->data.scalar.length);
	if (!value) {
		fail(r, node, "the text is not valid UTF-8");
	}
	return value;
}

static json_t *sequence(struct reader *r, const yaml_node_t *node, int depth)
{
	json_t *array = json_array();

	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++) {
		json_t *value = convert(r, *i, depth + 1);

		if (!value) {
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, value);
	}
	return array;
}

static int add_pair(struct reader *r, json_t *object, const yaml_node_pair_t *pair, int depth)
{
	const yaml_node_t *key = yaml_document_get_node(r->doc, pair->key);
	json_t *value;
	const char *name;

	if (key->type != YAML_SCALAR_NODE) {
		return fail(r, key, "a key must be a plain word or a string");
	}
	if (has_zero(key)) {
		return fail(r, key, ZERO);
	}
	name = (const char *)key->data.scalar.value;
	if (json_object_get(object, name)) {
		auto_free char *what = xprintf("the key \"%s\" stands here twice", name);

		return fail(r, key, what);
	}
	value = convert(r, pair->value, depth + 1);
	if (!value) {
		return -1;
	}
	if (json_object_set_new(object, name, value) < 0) {
		return fail(r, key, "the key is not valid UTF-8");
	}
	return 0;
}

static json_t *mapping(struct reader *r, const yaml_node_t *node, int depth)
{
	json_t *object = json_object();

	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
	     p++) {
		if (add_pair(r, object, p, depth) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *convert(struct reader *r, int index, int depth)
{
	const yaml_node_t *node = yaml_document_get_node(r->doc, index);

	if (++r->nodes > YAML_MAX_NODES || depth > YAML_MAX_DEPTH) {
		fail(r, node,
		     r->nodes > YAML_MAX_NODES ? "too many values (aliases expanded)"
					       : "nested too deeply");
		return NULL;
	}
	if (node->type == YAML_SCALAR_NODE) {
		return scalar(r, node);
	}
	/* libyaml makes no others: an alias is the node that it means */
	return node->type == YAML_SEQUENCE_NODE ? sequence(r, node, depth)
						: mapping(r, node, depth);
}

static int parser_error(const yaml_parser_t *p, const char *name, struct err *err)
{
	return err_set(err, "%s: line %zu, column %zu: %s%s%s", name, p->problem_mark.line + 1,
		       p->problem_mark.column + 1, p->problem ? p->problem : "not YAML",
		       p->context ? " " : "", p->context ? p->context : "");
}

/* One document into the array. 1: there was one, 0: the end, -1: broken. */
static int read_document(yaml_parser_t *parser, const char *name, json_t *all, struct err *err)
{
	struct reader r = {.name = name, .err = err};
	yaml_document_t doc;
	json_t *value;

	if (!yaml_parser_load(parser, &doc)) {
		return parser_error(parser, name, err);
	}
	if (!yaml_document_get_root_node(&doc)) {
		yaml_document_delete(&doc);
		return 0;
	}
	r.doc = &doc;
	value = convert(&r, 1, 0);
	yaml_document_delete(&doc);
	if (!value) {
		return -1;
	}
	if (json_is_null(value)) {
		json_decref(value);
	} else {
		json_array_append_new(all, value);
	}
	return 1;
}

json_t *yaml_read(const char *name, const char *text, size_t n, struct err *err)
{
	yaml_parser_t parser;
	json_t *all = json_array();
	int more;

	if (!yaml_parser_initialize(&parser)) {
		abort();
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	while ((more = read_document(&parser, name, all, err)) > 0) {
	}
	yaml_parser_delete(&parser);
	if (more < 0) {
		json_decref(all);
		return NULL;
	}
	return all;
}

static void close_file(FILE **f)
{
	if (*f && *f != stdin) {
		fclose(*f);
	}
}

json_t *yaml_read_file(const char *path, struct err *err)
{
	attr_cleanup(close_file) FILE *f = str_eq(path, "-") ? stdin : fopen(path, "re");
	attr_cleanup(buf_finish) struct buf text = {.max = MAX_FILE};
	char part[16384];
	size_t n;

	if (!f) {
		err_set(err, "%s: %s", path, strerror(errno));
		return NULL;
	}
	while ((n = fread(part, 1, sizeof(part), f)) > 0 && buf_add(&text, part, n) == 0) {
	}
	if (!buf_ok(&text) || ferror(f)) {
		err_set(err, "%s: %s", path,
			buf_ok(&text) ? strerror(errno) : "larger than 64 MiB");
		return NULL;
	}
	return yaml_read(str_eq(path, "-") ? "standard input" : path, buf_text(&text), text.len,
			 err);
}

/* --- writing ------------------------------------------------------------------------------- */

static void write_value(const json_t *v, struct buf *out, int indent, bool after_dash);

static void pad(struct buf *out, int indent)
{
	buf_printf(out, "%*s", indent, "");
}

/* Words that some YAML 1.1 reader takes for a boolean, beside what plain_scalar knows. */
static bool looks_special(const char *s)
{
	static const char *const words[] = {"y",   "n",	  "yes", "no",	"on",  "off",
					    "Yes", "No",  "On",	 "Off", "YES", "NO",
					    "ON",  "OFF", "Y",	 "N",	"<<",  "="};
	json_t *v = plain_scalar(s);
	bool special = !json_is_string(v);

	json_decref(v);
	for (size_t i = 0; i < ARRAY_LEN(words) && !special; i++) {
		special = !strcmp(s, words[i]);
	}
	/* Numbers and dates of YAML 1.1, and of Go, in other clothes: 010, 1_000, 0x1f, 0o17, .5,
	 * 12:30:00, 2026-01-01 */
	return special || *s == '.' || *s == '+' || (*s == '0' && s[1] && strchr("xXoO", s[1])) ||
	       (*s >= '0' && *s <= '9' && !strpbrk(s, "ghijklmnpqrstuvwxyzGHIJKLMNPQRSTUVWXYZ/"));
}

/*
 * The bytes at s that YAML 1.1 takes for a line break or does not print, though JSON has them as
 * they are: DEL, U+0080 to U+009F, U+2028, U+2029, the byte order mark, U+FFFE and U+FFFF. Returns
 * how many, 0: none.
 */
static size_t unprintable(const char *s)
{
	static const char *const three[] = {"\u2028", "\u2029", "\ufeff", "\xef\xbf\xbe",
					    "\xef\xbf\xbf"};

	if (*s == 0x7f) {
		return 1;
	}
	if (*s == '\xc2' && (unsigned char)s[1] < 0xa0) {
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(three); i++) {
		if (str_starts(s, three[i])) {
			return 3;
		}
	}
	return 0;
}

/* As JSON writes it, which YAML reads alike but for those. */
static void write_quoted(const char *s, struct buf *out)
{
	auto_buf struct buf json = {.max = out->max};
	size_t n;

	buf_json_str(&json, s);
	for (const char *p = buf_text(&json); *p; p += MAX(n, (size_t)1)) {
		n = unprintable(p);
		if (n) {
			unsigned c = n == 1   ? 0x7f
				     : n == 2 ? (unsigned char)p[1]
					      : (unsigned)(p[0] & 0xf) << 12 |
							(unsigned)(p[1] & 0x3f) << 6 |
							(unsigned)(p[2] & 0x3f);

			buf_printf(out, "\\u%04x", c);
		} else {
			buf_char(out, *p);
		}
	}
}

static bool plain_is_safe(const char *s)
{
	if (!*s || looks_special(s) || strchr("-?:,[]{}#&*!|>'\"%@` \t", *s)) {
		return false;
	}
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || unprintable(p) ||
		    (*p == ':' && (p[1] == ' ' || !p[1])) ||
		    (*p == ' ' && (p[1] == '#' || !p[1]))) {
			return false;
		}
	}
	return true;
}

static void write_block(const char *s, struct buf *out, int indent)
{
	size_t n = strlen(s);

	buf_str(out, n && s[n - 1] == '\n' ? "|\n" : "|-\n");
	while (*s) {
		size_t line = strcspn(s, "\n");

		if (line) {
			pad(out, indent);
			buf_add(out, s, line);
		}
		s += line;
		if (*s) {
			buf_char(out, '\n');
			s++;
		}
	}
	if (n && out->len && out->bytes[out->len - 1] != '\n') {
		buf_char(out, '\n');
	}
}

/* Literal blocks keep user data readable, where its lines allow one. */
static bool block_is_safe(const char *s)
{
	size_t n = strlen(s);

	if (!strchr(s, '\n') || *s == ' ' || *s == '\n' ||
	    (n > 1 && s[n - 1] == '\n' && s[n - 2] == '\n')) {
		return false;
	}
	for (; *s; s++) {
		if (((unsigned char)*s < 0x20 && *s != '\n') || unprintable(s) ||
		    (*s == ' ' && s[1] == '\n')) {
			return false;
		}
	}
	return true;
}

static void write_string(const char *s, struct buf *out, int indent)
{
	if (block_is_safe(s)) {
		write_block(s, out, indent + 2);
		return;
	}
	if (plain_is_safe(s)) {
		buf_str(out, s);
	} else {
		write_quoted(s, out);
	}
	buf_char(out, '\n');
}

static void write_object(const json_t *v, struct buf *out, int indent, bool after_dash)
{
	const char *key;
	json_t *child;

	json_object_foreach((json_t *)v, key, child) {
		bool nested = (json_is_object(child) && json_object_size(child)) ||
			      (json_is_array(child) && json_array_size(child));

		if (!after_dash) {
			pad(out, indent);
		}
		after_dash = false;
		if (plain_is_safe(key)) {
			buf_str(out, key);
		} else {
			write_quoted(key, out);
		}
		buf_str(out, nested ? ":\n" : ": ");
		/* kubectl's habit: lists of a mapping are not indented */
		write_value(child, out, nested && json_is_object(child) ? indent + 2 : indent,
			    false);
	}
}

static void write_array(const json_t *v, struct buf *out, int indent)
{
	size_t i;
	json_t *child;

	json_array_foreach((json_t *)v, i, child) {
		pad(out, indent);
		buf_str(out, "- ");
		write_value(child, out, indent + 2, true);
	}
}

static void write_value(const json_t *v, struct buf *out, int indent, bool after_dash)
{
	if (json_is_object(v) && json_object_size(v)) {
		write_object(v, out, indent, after_dash);
	} else if (json_is_array(v) && json_array_size(v)) {
		if (after_dash) {
			buf_char(out, '\n');
		}
		write_array(v, out, indent);
	} else if (json_is_string(v)) {
		write_string(json_string_value(v), out, indent);
	} else {
		auto_free char *text = json_text(v, JSON_ENCODE_ANY | JSON_COMPACT);

		buf_str(out, text);
		buf_char(out, '\n');
	}
}

void yaml_write(const json_t *value, struct buf *out)
{
	write_value(value, out, 0, false);
}
