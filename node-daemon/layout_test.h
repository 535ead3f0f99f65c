/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout_test.h: the machines of cases/scan/ for tests of what comes after the scan: each is made as
 * a tree, scanned, and given to a function.
 */
#pragma once

#include <dirent.h>

#include "base/err.h"
#include "json/yaml.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define LAYOUTS "node-daemon/cases/scan"

typedef void layout_fn(const char *name, struct machine *m, const struct tree *t);

attr_unused static int layout_is_case(const struct dirent *e)
{
	return str_ends(e->d_name, ".yaml");
}

attr_unused static void layout_give(const char *name, const char *text, layout_fn *fn)
{
	auto_tree struct tree t = tree_make(text);
	attr_cleanup(machine_finish) struct machine m;
	struct err err;

	machine_init(&m);
	if (scan(t.fd, &m, &err) < 0) {
		tree_die(err.text, name);
	}
	fn(name, &m, &t);
}

attr_unused static void layout_each(layout_fn *fn)
{
	struct dirent **files;
	int n = scandir(LAYOUTS, &files, layout_is_case, alphasort);

	if (n <= 0) {
		tree_die("no cases: run from the top of the sources", LAYOUTS);
	}
	for (int i = 0; i < n; i++) {
		auto_free char *path = xprintf("%s/%s", LAYOUTS, files[i]->d_name);
		auto_free char *name = xstrndup(files[i]->d_name, strlen(files[i]->d_name) - 5);
		struct err err;
		json_t *docs = yaml_read_file(path, &err);
		const json_t *text = json_object_get(json_array_get(docs, 0), "tree");

		if (!text) {
			tree_die(docs ? "no tree" : err.text, path);
		}
		layout_give(name, json_string_value(text), fn);
		json_decref(docs);
		free(files[i]);
	}
	free(files);
}
