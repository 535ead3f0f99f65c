/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crd_test.h: tables against published schemas: every field of a CRD's spec and status stands in
 * our table with the right type, and every row of a table in the CRD. A view may leave fields of
 * the CRD out, but may not invent any.
 */
#pragma once

#include "base/test.h"
#include "json/type.h"
#include "json/yaml.h"

struct walk {
	bool view; /* the table may lack fields of the schema */
	int faults;
};

static void fault(struct walk *w, const char *path, const char *key, const char *what)
{
	printf("# %s.%s: %s\n", path, key, what);
	w->faults++;
}

static bool is(const json_t *schema, const char *type)
{
	return str_eq(json_string_value(json_object_get(schema, "type")), type);
}

static bool flag(const json_t *schema, const char *name)
{
	return json_is_true(json_object_get(schema, name));
}

static bool map_of(const json_t *schema, const char *type)
{
	return is(schema, "object") && is(json_object_get(schema, "additionalProperties"), type);
}

static bool array_of(const json_t *schema, const char *type)
{
	return is(schema, "array") && is(json_object_get(schema, "items"), type);
}

static bool fits(const json_t *schema, int kind)
{
	switch (kind) {
	case TYPE_STR:
		return is(schema, "string");
	case TYPE_BOOL:
		return is(schema, "boolean");
	case TYPE_INT:
	case TYPE_OPT_INT:
		return is(schema, "integer");
	case TYPE_SCALAR:
		return flag(schema, "x-kubernetes-int-or-string") || is(schema, "string");
	case TYPE_OBJ:
	case TYPE_INLINE:
		return is(schema, "object");
	case TYPE_OBJS:
		return array_of(schema, "object");
	case TYPE_DICT:
		return map_of(schema, "object");
	case TYPE_STRS:
		return array_of(schema, "string");
	case TYPE_INTS:
		return array_of(schema, "integer");
	case TYPE_MAP:
		return map_of(schema, "string");
	default: /* TYPE_RAW: anything, kept as text */
		return true;
	}
}

static const json_t *below(const json_t *schema, int kind)
{
	if (kind == TYPE_OBJS) {
		return json_object_get(schema, "items");
	}
	return kind == TYPE_DICT ? json_object_get(schema, "additionalProperties") : schema;
}

static void compare(struct walk *w, const char *path, const json_t *schema, const struct type *t);

static void compare_field(struct walk *w, const char *path, const json_t *schema,
			  const struct field *f)
{
	const json_t *property = json_object_get(json_object_get(schema, "properties"), f->key);
	auto_free char *inner = xprintf("%s.%s", path, f->key);

	if (!property) {
		fault(w, path, f->key, "the table has it, the CRD has not");
	} else if (!fits(property, f->kind)) {
		fault(w, path, f->key, "the CRD has another type");
	} else if (f->sub) {
		compare(w, inner, below(property, f->kind), f->sub);
	}
}

static void compare(struct walk *w, const char *path, const json_t *schema, const struct type *t)
{
	const char *key;
	json_t *property;

	for (const struct field *f = t->fields; f->key; f++) {
		if (!(f->flags & TYPE_DERIVED)) {
			compare_field(w, path, schema, f);
		}
	}
	if (w->view) {
		return;
	}
	if (flag(schema, "x-kubernetes-preserve-unknown-fields") != t->open) {
		fault(w, path, "",
		      t->open ? "the table is open, the CRD is not"
			      : "the CRD keeps unknown fields, the table is not open");
	}
	if (t->open) {
		return;
	}
	json_object_foreach(json_object_get(schema, "properties"), key, property) {
		const struct field *f = t->fields;

		while (f->key && !str_eq(f->key, key)) {
			f++;
		}
		if (!f->key) {
			fault(w, path, key, "the CRD has it, the table has not");
		}
	}
}

static const json_t *schema_of(const json_t *docs)
{
	const json_t *spec = json_object_get(json_array_get(docs, 0), "spec");

	return json_object_get(
		json_object_get(json_array_get(json_object_get(spec, "versions"), 0), "schema"),
		"openAPIV3Schema");
}

static json_t *load(const char *file)
{
	struct err err = {""};
	json_t *docs = yaml_read_file(file, &err);

	if (!docs) {
		printf("# %s\n", err.text);
	}
	ok(docs);
	return docs;
}

attr_unused static void agree(const char *file, const char *part, const struct type *t, bool view)
{
	struct walk w = {.view = view};
	json_t *docs = load(file);
	const json_t *schema =
		json_object_get(json_object_get(schema_of(docs), "properties"), part);

	ok(schema);
	compare(&w, part, schema, t);
	json_decref(docs);
	is_int(w.faults, 0);
}
