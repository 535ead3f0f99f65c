/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render_fuzz.c: bytes as manifests, and behind a line "--- facts" as what is known of the cluster.
 * Whatever they hold, every plan comes to its end; what is refused is refused in one sentence; and
 * the same goes in and out twice (looked at in every eighth case).
 */
#include "cli/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

static const char border[] = "\n--- facts\n";

static const struct options options = {0};

static char *rendered(const json_t *manifests, const json_t *facts)
{
	json_t *objects = NULL, *notes = NULL;
	struct err err = {""};
	char *text, *said;

	const struct render_input in = {
		.manifests = manifests, .facts = facts, .options = &options};

	if (render(&in, &objects, &notes, &err) < 0) {
		check(*err.text && !strchr(err.text, '\n'));
		return xstrdup(err.text);
	}
	text = json_dumps(objects, JSON_COMPACT);
	said = json_dumps(notes, JSON_COMPACT);
	check(text && said);
	free(said);
	json_decref(objects);
	json_decref(notes);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *facts = memmem(data, size, border, sizeof(border) - 1);
	size_t n = facts ? (size_t)(facts - data) : size,
	       m = facts ? size - n - (sizeof(border) - 1) : 0;
	json_t *given = yaml_read("manifests", (const char *)data, n, NULL), *known;

	known = yaml_read("facts", facts ? (const char *)facts + sizeof(border) - 1 : "", m, NULL);
	if (given && known) {
		auto_free char *once = rendered(given, known);
		auto_free char *again = size % 8 ? NULL : rendered(given, known);

		check(!again || str_eq(once, again));
	}
	json_decref(given);
	json_decref(known);
	return 0;
}
