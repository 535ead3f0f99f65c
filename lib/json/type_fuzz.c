/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever an object holds: its packed copy is equal to it; what is written as JSON reads back the
 * same, from text and from the tree, strictly; and nothing stays interned. The bytes are an
 * object's JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "json/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

/* What JSON cannot carry, or not as the same text. */
static void forget(struct sample *s, struct arena *a)
{
	json_t *values =
		s->values ? json_loads(s->values, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	auto_free char *text = values ? json_dumps(values, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(values);
	s->values = text ? arena_strdup(a, text) : NULL;
	s->fingerprint = 0;
	s->n_spare = 0;
}

static void check_round_trip(const struct sample *s, struct arena *a)
{
	json_t *json = type_json(&sample_type, s);
	auto_free char *text = json_dumps(json, JSON_COMPACT);
	struct sample again;
	struct err err = {""};

	check(text);
	check(type_read_text(&sample_type, text, a, &again, &err) == 0);
	check(type_equal(&sample_type, s, &again));
	check(str_eq(s->version, again.version));
	check(type_read(&sample_type, json, true, a, &again, &err) == 0);
	check(type_equal(&sample_type, s, &again));
	json_decref(json);
}

static void check_object(struct sample *s, struct arena *a, struct intern *in)
{
	struct sample *one = type_pack(&sample_type, s, in),
		      *two = type_pack(&sample_type, one, in);
	size_t interned = intern_count(in);

	check(type_equal(&sample_type, s, one) && type_equal(&sample_type, one, two));
	check(str_eq(s->version, two->version));
	check(type_packed_size(&sample_type, one) == type_packed_size(&sample_type, two));
	type_free(&sample_type, one, in);
	check(intern_count(in) == interned);
	forget(s, a);
	two->fingerprint = 0;
	two->n_spare = 0;
	two->values = s->values;
	check(type_equal(&sample_type, s, two));
	check_round_trip(two, a);
	type_free(&sample_type, two, in);
	check(intern_count(in) == 0);
}

/* As the stream does, but never strictly: the two readers must agree on what they refuse. */
static void check_tree(const char *text, const struct sample *s, struct arena *a)
{
	json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
	struct sample t, strict;

	if (!json) {
		return;
	}
	check(type_read(&sample_type, json, false, a, &t, NULL) == 0);
	check(t.gpus.n == s->gpus.n && t.labels.n == s->labels.n && t.args.n == s->args.n);
	if (type_read(&sample_type, json, true, a, &strict, NULL) == 0) {
		check(type_equal(&sample_type, &t, &strict));
	}
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xstrndup((const char *)data, size);
	struct intern *in = intern_create();
	struct sample s;
	struct arena a;

	arena_init(&a, 256 * MiB);
	if (type_read_text(&sample_type, text, &a, &s, NULL) == 0) {
		check_tree(text, &s, &a);
		check_object(&s, &a, in);
	}
	arena_finish(&a);
	intern_destroy(in);
	return 0;
}
