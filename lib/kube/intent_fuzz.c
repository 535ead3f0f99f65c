/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intent_fuzz.c: bytes as a body to apply, as a Service. The managedFields entry computed from it
 * is JSON in the server's order, and its fingerprint is the one that the scanner makes of that text
 * when the server shows it; the hash does not change with the order of keys.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "json/scan.h"
#include "kube/intent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

struct thing {
	struct obj obj;
};
static const struct field fields[] = {OBJ_METADATA, {0}};
static const struct type type = {sizeof(struct thing), fields, obj_finish};
static const struct kube_kind service = {
	.group = "",
	.versions = "v1",
	.kind = "Service",
	.plural = "services",
	.namespaced = true,
	.builtin = true,
	.type = &type,
};

static json_t *reversed(const json_t *v)
{
	json_t *out, *child;
	const char *key;
	size_t n, i = 0;

	if (json_is_array(v)) {
		out = json_array();
		json_array_foreach((json_t *)v, i, child) {
			json_array_append_new(out, reversed(child));
		}
		return out;
	}
	if (!json_is_object(v)) {
		return json_incref((json_t *)v);
	}
	n = json_object_size(v);
	auto_free const char **keys = xcalloc(n + 1, sizeof(*keys));
	json_object_foreach((json_t *)v, key, child) {
		keys[i++] = key;
	}
	out = json_object();
	while (i--) {
		json_object_set_new(out, keys[i], reversed(json_object_get(v, keys[i])));
	}
	return out;
}

/* As the server would show it. */
static uint64_t owned_on_the_wire(const char *entry)
{
	auto_free char *text =
		xprintf("{\"metadata\":{\"name\":\"n\",\"managedFields\":[{"
			"\"manager\":\"vmgpu\",\"operation\":\"Apply\",\"fieldsV1\":%s}]}}",
			entry);
	struct thing t = {0};
	struct arena a;
	uint64_t owned;

	arena_init(&a, 64 * MiB);
	check(type_read_text(&type, text, &a, &t, NULL) == 0);
	owned = t.obj.owned;
	arena_finish(&a);
	return owned;
}

static void look_at(const json_t *body)
{
	auto_buf struct buf entry, again;
	json_t *other = reversed(body), *parsed;

	buf_init(&entry, 64 * MiB);
	buf_init(&again, 64 * MiB);
	intent_fields(&service, body, true, &entry);
	intent_fields(&service, other, true, &again);
	parsed = json_loads(buf_text(&entry), 0, NULL);
	check(json_is_object(parsed));
	check(str_eq(buf_text(&entry), buf_text(&again)));
	check(intent_hash(&service, body) == intent_hash(&service, other));
	check(intent_owned(&service, body, true) == owned_on_the_wire(buf_text(&entry)));
	json_decref(parsed);
	json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *body = json_loadb((const char *)data, size, 0, NULL);

	if (json_is_object(body)) {
		look_at(body);
	}
	json_decref(body);
	return 0;
}
