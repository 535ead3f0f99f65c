/* SPDX-License-Identifier: Apache-2.0 */
#include "json/type.h"

#include <string.h>

static void write_fields(const struct type *t, const char *object, json_t *out);

/* int-or-string and quantities: what is an integer or a boolean exactly goes out as one. */
static json_t *scalar(const char *text)
{
	int64_t i;
	char again[24];

	if (str_eq(text, "true") || str_eq(text, "false")) {
		return json_boolean(*text == 't');
	}
	if (parse_int(text, INT64_MIN, INT64_MAX, &i) == 0) {
		snprintf(again, sizeof(again), "%lld", (long long)i);
		if (str_eq(text, again)) {
			return json_integer(i);
		}
	}
	return json_string(text);
}

static json_t *structs(const struct field *f, const struct list *list)
{
	json_t *out = f->kind == TYPE_DICT ? json_object() : json_array();

	for (size_t i = 0; i < list->n; i++) {
		const char *one = (const char *)list->items + i * f->sub->size;
		json_t *object = type_json(f->sub, one);

		if (f->kind == TYPE_DICT) {
			json_object_set_new(out, *(const char *const *)one, object);
		} else {
			json_array_append_new(out, object);
		}
	}
	return out;
}

static json_t *strings(const struct list *list)
{
	json_t *out = json_array();

	for (size_t i = 0; i < list->n; i++) {
		json_array_append_new(out, json_string(((const char *const *)list->items)[i]));
	}
	return out;
}

static json_t *integers(const struct list *list)
{
	json_t *out = json_array();

	for (size_t i = 0; i < list->n; i++) {
		json_array_append_new(out, json_integer(((const int64_t *)list->items)[i]));
	}
	return out;
}

static json_t *pairs(const struct list *list)
{
	json_t *out = json_object();

	for (size_t i = 0; i < list->n; i++) {
		const struct pair *pair = (const struct pair *)list->items + i;

		json_object_set_new(out, pair->key, json_string(pair->value));
	}
	return out;
}

json_t *type_raw(const char *text)
{
	return text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
}

const char *type_text(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static json_t *text(const struct field *f, const char *s, bool keep)
{
	if (f->kind == TYPE_RAW) {
		return type_raw(s);
	}
	if (!s) {
		return keep ? json_string("") : NULL;
	}
	return f->kind == TYPE_SCALAR ? scalar(s) : json_string(s);
}

static json_t *list_value(const struct field *f, const struct list *list, bool keep)
{
	if (!list->n && !keep) {
		return NULL;
	}
	switch ((enum type_kind)f->kind) {
	case TYPE_STRS:
		return strings(list);
	case TYPE_INTS:
		return integers(list);
	case TYPE_MAP:
		return pairs(list);
	default:
		return structs(f, list);
	}
}

/* NULL: unset. Not for inline rows. */
static json_t *value(const struct field *f, const char *object)
{
	const void *member = object + f->offset;
	bool keep = f->flags & TYPE_KEEP_ZERO;

	switch ((enum type_kind)f->kind) {
	case TYPE_STR:
	case TYPE_SCALAR:
	case TYPE_RAW:
		return text(f, *(const char *const *)member, keep);
	case TYPE_BOOL:
		return *(const tri *)member || keep ? json_boolean(*(const tri *)member == TRI_TRUE)
						    : NULL;
	case TYPE_INT:
		return *(const int64_t *)member || keep ? json_integer(*(const int64_t *)member)
							: NULL;
	case TYPE_OPT_INT: {
		const struct opt_int *i = member;

		return i->set || keep ? json_integer(i->value) : NULL;
	}
	case TYPE_OBJ:
		if (*(const void *const *)member) {
			return type_json(f->sub, *(const void *const *)member);
		}
		return keep ? json_object() : NULL;
	case TYPE_OBJS:
	case TYPE_DICT:
	case TYPE_STRS:
	case TYPE_INTS:
	case TYPE_MAP:
		return list_value(f, member, keep);
	case TYPE_INLINE:
	case TYPE_HASH: /* nothing leads back from a hash */
		return NULL;
	}
	return NULL;
}

/* Several inline rows of one key fill one object, which is left out when it stays empty. */
static void write_inline(const struct field *f, const char *object, json_t *out)
{
	json_t *there = json_object_get(out, f->key),
	       *inner = there ? json_incref(there) : json_object();

	write_fields(f->sub, object, inner);
	if (!there && (json_object_size(inner) || f->flags & TYPE_KEEP_ZERO)) {
		json_object_set(out, f->key, inner);
	}
	json_decref(inner);
}

static void write_fields(const struct type *t, const char *object, json_t *out)
{
	for (const struct field *f = t->fields; f->key; f++) {
		json_t *v;

		if (f->flags & (TYPE_TRANSIENT | TYPE_DERIVED)) {
			continue;
		}
		if (f->kind == TYPE_INLINE) {
			write_inline(f, object, out);
			continue;
		}
		v = value(f, object);
		if (v) {
			json_object_set_new(out, f->key, v);
		}
	}
}

json_t *type_json(const struct type *t, const void *object)
{
	json_t *out = json_object();

	write_fields(t, object, out);
	return out;
}
