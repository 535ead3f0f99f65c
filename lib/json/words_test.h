/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words_test.h: all that a program says in its cases, to the letter, in one file: a line for each
 * sentence or value, sorted, each once. A case names what it is about; this holds the rest, so that
 * no word changes unseen.
 *
 * WRITE_WORDS=1 in the environment writes the file anew; `git diff` then shows what has changed.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Adds the line "KIND WHAT: VALUE" to the keys of words. */
attr_unused static void words_say(json_t *words, const char *kind, const char *what,
				  const json_t *value)
{
	auto_free char *said = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	auto_free char *line = xprintf("%s %s: %s", kind, what, said);

	json_object_set_new(words, line, json_true());
}

attr_unused static bool words_lack(const json_t *words, const json_t *others, const char *what)
{
	const char *line;
	bool some = false;
	json_t *v;

	json_object_foreach((json_t *)words, line, v) {
		if (!json_object_get(others, line)) {
			printf("# %s: %s\n", what, line);
			some = true;
		}
	}
	return some;
}

attr_unused static int words_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

attr_unused static void words_write(const char *path, const json_t *words)
{
	auto_free const char **lines = xcalloc(json_object_size(words) + 1, sizeof(*lines));
	FILE *f = fopen(path, "we");
	const char *line;
	size_t n = 0;
	json_t *v;

	json_object_foreach((json_t *)words, line, v) {
		lines[n++] = line;
	}
	qsort(lines, n, sizeof(*lines), words_order);
	for (size_t i = 0; f && i < n; i++) {
		fprintf(f, "%s\n", lines[i]);
	}
	if (!f || fclose(f) != 0) {
		printf("# %s cannot be written\n", path);
	}
}

/* The file has each of these lines, and (all) no other; else says which. */
attr_unused static bool words_are(const char *path, const json_t *words, bool all)
{
	json_t *listed = json_object();
	FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	size_t room = 0;
	bool differs;

	while (f && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		json_object_set_new(listed, line, json_true());
	}
	if (f) {
		fclose(f);
	}
	differs = words_lack(words, listed, "said and not listed");
	differs |= all && words_lack(listed, words, "listed and not said");
	json_decref(listed);
	if (all && differs && getenv("WRITE_WORDS")) {
		words_write(path, words);
	} else if (differs) {
		printf("# after a change of words or cases: WRITE_WORDS=1 before this program writes "
		       "%s anew; read what git diff says of it\n",
		       path);
	}
	return !differs;
}
