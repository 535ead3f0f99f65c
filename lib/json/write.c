/* SPDX-License-Identifier: Apache-2.0 */
#include "json/write.h"

#include <string.h>

static void write_object(const json_t *v, struct buf *out)
{
	bool first = true;
	const char *key;
	json_t *one;

	buf_char(out, '{');
	json_object_foreach((json_t *)v, key, one) {
		if (!first) {
			buf_char(out, ',');
		}
		first = false;
		buf_json_str(out, key);
		buf_char(out, ':');
		json_write(one, out);
	}
	buf_char(out, '}');
}

static void write_array(const json_t *v, struct buf *out)
{
	size_t i;
	json_t *one;

	buf_char(out, '[');
	json_array_foreach((json_t *)v, i, one) {
		if (i) {
			buf_char(out, ',');
		}
		json_write(one, out);
	}
	buf_char(out, ']');
}

/* As jansson writes it: a real with 17 digits, and a ".0" where it would read as an integer; a
 * string beyond its first NUL. */
static void write_slowly(const json_t *v, struct buf *out)
{
	auto_free char *text = json_text(v, JSON_ENCODE_ANY);

	buf_str(out, text);
}

static void write_string(const json_t *v, struct buf *out)
{
	const char *text = json_string_value(v);

	if (strlen(text) == json_string_length(v)) {
		buf_json_str(out, text);
	} else {
		write_slowly(v, out);
	}
}

void json_write(const json_t *v, struct buf *out)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		write_object(v, out);
		break;
	case JSON_ARRAY:
		write_array(v, out);
		break;
	case JSON_STRING:
		write_string(v, out);
		break;
	case JSON_INTEGER:
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		write_slowly(v, out);
		break;
	case JSON_TRUE:
		buf_str(out, "true");
		break;
	case JSON_FALSE:
		buf_str(out, "false");
		break;
	case JSON_NULL:
		buf_str(out, "null");
		break;
	}
}

static int add_text(const char *bytes, size_t n, void *out)
{
	return buf_add(out, bytes, n);
}

char *json_text(const json_t *v, size_t flags)
{
	struct buf out = {.max = 1024 * MiB};

	if (json_dump_callback(v, add_text, &out, flags) < 0) {
		buf_finish(&out);
	}
	return out.bytes;
}
