/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config_tree.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define JSON_DEPTH 32

/* What stands before the file's last slash, or ".". */
static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash) {
		return xstrdup(".");
	}
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int parse_failed(const char *path, const yaml_parser_t *p, struct err *err)
{
	if (p->error == YAML_READER_ERROR) {
		return err_set(err,
			       "%s: is no UTF-8 text (%s at byte %zu); write the kubeconfig anew",
			       path, p->problem, p->problem_offset);
	}
	return err_set(err, "%s:%zu: is no YAML: %s; mend this line or write the kubeconfig anew",
		       path, p->problem_mark.line + 1, p->problem ? p->problem : "out of memory");
}

int config_file_parse(struct config_file *f, const char *path, const char *text, size_t n,
		      struct err *err)
{
	yaml_parser_t p;
	yaml_node_t *root;
	int ok;

	*f = (struct config_file){.path = xstrdup(path), .dir = dir_of(path)};
	if (!yaml_parser_initialize(&p)) {
		abort();
	}
	yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
	ok = yaml_parser_load(&p, &f->doc);
	if (!ok) {
		parse_failed(path, &p, err);
	}
	yaml_parser_delete(&p);
	if (!ok) {
		return -1;
	}
	f->parsed = true;
	root = yaml_document_get_root_node(&f->doc);
	if (root && root->type != YAML_MAPPING_NODE) {
		return err_set(
			err,
			"%s: is no kubeconfig: its content is not a map with clusters, users and contexts",
			path);
	}
	return 0;
}

void config_file_finish(struct config_file *f)
{
	if (f->parsed) {
		yaml_document_delete(&f->doc);
	}
	free(f->path);
	free(f->dir);
	*f = (struct config_file){0};
}

struct config_node config_file_root(struct config_file *f)
{
	return (struct config_node){.file = f, .node = yaml_document_get_root_node(&f->doc)};
}

int config_node_bad(const struct config_node *n, const char *field, struct err *err,
		    const char *format, ...)
{
	auto_free char *what = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&what, format, ap) < 0) {
		abort();
	}
	va_end(ap);
	return err_set(err, "%s:%zu: %s%s%s%s%s", n->file->path,
		       n->node ? n->node->start_mark.line + 1 : 1, n->label ? n->label : "",
		       n->label ? ": " : "", field ? field : "", field ? ": " : "", what);
}

static yaml_node_t *get(const struct config_node *n, int id)
{
	return yaml_document_get_node(&n->file->doc, id);
}

static bool is_null(const yaml_node_t *v)
{
	const char *s = (const char *)v->data.scalar.value;

	return v->type == YAML_SCALAR_NODE && v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*s || str_eq(s, "~") || str_eq(s, "null") || str_eq(s, "Null") ||
		str_eq(s, "NULL"));
}

/* *ret NULL when absent or null. */
static int find(const struct config_node *n, const char *field, yaml_node_t **ret, struct err *err)
{
	yaml_node_t *found = NULL;

	if (n->node) {
		const yaml_node_pair_t *p = n->node->data.mapping.pairs.start;

		for (; p < n->node->data.mapping.pairs.top; p++) {
			const yaml_node_t *key = get(n, p->key);

			if (key->type != YAML_SCALAR_NODE ||
			    !str_eq((const char *)key->data.scalar.value, field)) {
				continue;
			}
			if (found) {
				return config_node_bad(n, field, err, "appears twice; remove one");
			}
			found = get(n, p->value);
		}
	}
	*ret = found && !is_null(found) ? found : NULL;
	return 0;
}

static int wrong_kind(const struct config_node *n, const yaml_node_t *v, const char *field,
		      const char *want, struct err *err)
{
	static const char *const names[] = {"nothing", "a single value", "a list", "a map"};
	struct config_node at = {n->file, (yaml_node_t *)v, n->label};

	return config_node_bad(&at, field, err, "is %s, must be %s", names[v->type], want);
}

int config_node_text(const struct config_node *n, const char *field, const char **ret,
		     struct err *err)
{
	yaml_node_t *v;

	if (find(n, field, &v, err) < 0) {
		return -1;
	}
	if (v && v->type != YAML_SCALAR_NODE) {
		return wrong_kind(n, v, field, "a string", err);
	}
	if (v && strlen((char *)v->data.scalar.value) != v->data.scalar.length) {
		return config_node_bad(n, field, err, "holds a byte 0; write it anew");
	}
	*ret = v && v->data.scalar.length ? (const char *)v->data.scalar.value : NULL;
	return 0;
}

int config_node_bool(const struct config_node *n, const char *field, bool *ret, struct err *err)
{
	const char *s;

	if (config_node_text(n, field, &s, err) < 0) {
		return -1;
	}
	if (s && !str_eq(s, "true") && !str_eq(s, "false")) {
		return config_node_bad(n, field, err, "is \"%s\", must be true or false", s);
	}
	*ret = str_eq(s, "true");
	return 0;
}

static int typed(const struct config_node *n, const char *field, yaml_node_type_t type,
		 const char *want, struct config_node *ret, struct err *err)
{
	yaml_node_t *v;

	if (find(n, field, &v, err) < 0) {
		return -1;
	}
	if (v && v->type != type) {
		return wrong_kind(n, v, field, want, err);
	}
	*ret = (struct config_node){n->file, v, n->label};
	return 0;
}

int config_node_map(const struct config_node *n, const char *field, struct config_node *ret,
		    struct err *err)
{
	return typed(n, field, YAML_MAPPING_NODE, "a map", ret, err);
}

int config_node_list(const struct config_node *n, const char *field, struct config_node *ret,
		     struct err *err)
{
	return typed(n, field, YAML_SEQUENCE_NODE, "a list", ret, err);
}

size_t config_node_length(const struct config_node *n)
{
	const yaml_node_t *v = n->node;

	if (!v || v->type == YAML_SCALAR_NODE) {
		return 0;
	}
	return v->type == YAML_MAPPING_NODE
		       ? (size_t)(v->data.mapping.pairs.top - v->data.mapping.pairs.start)
		       : (size_t)(v->data.sequence.items.top - v->data.sequence.items.start);
}

struct config_node config_node_item(const struct config_node *n, size_t i)
{
	return (struct config_node){n->file, get(n, n->node->data.sequence.items.start[i]),
				    n->label};
}

int config_node_key(const struct config_node *n, size_t i, const char **ret,
		    struct config_node *ret_value, struct err *err)
{
	const yaml_node_pair_t *p = n->node->data.mapping.pairs.start + i;
	struct config_node key = {n->file, get(n, p->key), n->label};
	const char *s = config_node_scalar(&key);

	if (!s) {
		return config_node_bad(&key, NULL, err, "a key is no string");
	}
	*ret = s;
	*ret_value = (struct config_node){n->file, get(n, p->value), n->label};
	return 0;
}

const char *config_node_scalar(const struct config_node *n)
{
	const yaml_node_t *v = n->node;

	if (!v || v->type != YAML_SCALAR_NODE ||
	    strlen((char *)v->data.scalar.value) != v->data.scalar.length) {
		return NULL;
	}
	return (const char *)v->data.scalar.value;
}

/* JSON */

static int json_value(const struct config_node *n, struct buf *b, int depth, struct err *err);

/* Plain scalars are null, booleans and numbers where JSON has such a word; any other is a string.
 */
static void json_scalar(const yaml_node_t *v, struct buf *b)
{
	const char *s = (const char *)v->data.scalar.value;
	char *end;

	if (is_null(v)) {
		buf_str(b, "null");
		return;
	}
	if (v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		double d = strtod(s, &end);

		if (str_eq(s, "true") || str_eq(s, "false")) {
			buf_str(b, s);
			return;
		}
		if (!*end && isfinite(d) && strspn(s, "-0123456789.eE") == strlen(s)) {
			if (parse_int(s, INT64_MIN, INT64_MAX, &(int64_t){0}) == 0) {
				buf_printf(b, "%lld", strtoll(s, NULL, 10));
			} else {
				buf_printf(b, "%.17g", d);
			}
			return;
		}
	}
	buf_json_str(b, s);
}

static int json_map(const struct config_node *n, struct buf *b, int depth, struct err *err)
{
	buf_char(b, '{');
	for (size_t i = 0; i < config_node_length(n); i++) {
		struct config_node value;
		const char *key;

		if (config_node_key(n, i, &key, &value, err) < 0) {
			return -1;
		}
		if (i) {
			buf_char(b, ',');
		}
		buf_json_str(b, key);
		buf_char(b, ':');
		if (json_value(&value, b, depth, err) < 0) {
			return -1;
		}
	}
	return buf_char(b, '}');
}

static int json_list(const struct config_node *n, struct buf *b, int depth, struct err *err)
{
	buf_char(b, '[');
	for (size_t i = 0; i < config_node_length(n); i++) {
		struct config_node item = config_node_item(n, i);

		if (i) {
			buf_char(b, ',');
		}
		if (json_value(&item, b, depth, err) < 0) {
			return -1;
		}
	}
	return buf_char(b, ']');
}

/* An alias may point to a node that holds it: the depth ends that, the buffer's maximum ends the
 * rest. */
static int json_value(const struct config_node *n, struct buf *b, int depth, struct err *err)
{
	if (depth >= JSON_DEPTH || !buf_ok(b)) {
		return config_node_bad(n, NULL, err,
				       "is nested deeper than %d or larger than %zu KiB",
				       JSON_DEPTH, b->max / KiB);
	}
	switch (n->node->type) {
	case YAML_MAPPING_NODE:
		return json_map(n, b, depth + 1, err);
	case YAML_SEQUENCE_NODE:
		return json_list(n, b, depth + 1, err);
	default:
		json_scalar(n->node, b);
		return 0;
	}
}

int config_node_json(const struct config_node *n, size_t max, char **ret, struct err *err)
{
	auto_buf struct buf b;

	buf_init(&b, max);
	if (json_value(n, &b, 0, err) < 0) {
		return -1;
	}
	if (!buf_ok(&b)) {
		return config_node_bad(n, NULL, err, "is larger than %zu KiB", max / KiB);
	}
	*ret = take(b.bytes);
	return 0;
}
