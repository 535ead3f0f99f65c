/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules against the schemas that they were taken from: the neighbours' CRDs in e2e/data/crds.
 * Each rule is found in some version of its kind, and none contradicts a version that it is for.
 * What has no CRD there (the built-in kinds, KubeVirt's VirtualMachine) is for intent_test.
 */
#include <ctype.h>
#include <glob.h>

#include "base/test.h"
#include "json/yaml.h"
#include "kube/intent.h"

#define CRDS "e2e/data/crds"

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* "spec.ports[].name" in a schema; NULL: not there. */
static const json_t *at(const json_t *schema, const char *path)
{
	while (schema && *path) {
		size_t n = strcspn(path, ".[");

		if (n) {
			schema = json_object_getn(json_object_get(schema, "properties"), path, n);
		}
		path += n;
		if (*path == '[') {
			schema = json_object_get(schema, "items");
			path += 2;
		}
		path += *path == '.';
	}
	return schema;
}

/* "key effect" with defaults left out. */
static bool same_keys(const json_t *keys, const char *rule)
{
	size_t n = 0;

	for (const char *word = rule; *word; word += strspn(word, " ")) {
		size_t len = strcspn(word, "= "), i;
		json_t *key;
		bool found = false;

		json_array_foreach((json_t *)keys, i, key) {
			found |= json_string_length(key) == len &&
				 memcmp(json_string_value(key), word, len) == 0;
		}
		if (!found) {
			return false;
		}
		word += strcspn(word, " ");
		n++;
	}
	return json_array_size(keys) == n;
}

static bool says(const json_t *schema, const struct intent_rule *r)
{
	const char *list = text(schema, "x-kubernetes-list-type"),
		   *map = text(schema, "x-kubernetes-map-type");

	switch (r->what) {
	case INTENT_KEYED:
		return str_eq(list, "map") &&
		       same_keys(json_object_get(schema, "x-kubernetes-list-map-keys"), r->keys);
	case INTENT_SET:
		return str_eq(list, "set");
	case INTENT_ATOMIC:
		return str_eq(map, "atomic");
	case INTENT_OPEN: /* preserved as a whole, or an object of which nothing is said */
		return json_is_true(
			       json_object_get(schema, "x-kubernetes-preserve-unknown-fields")) ||
		       (str_eq(text(schema, "type"), "object") &&
			!json_object_get(schema, "properties"));
	case INTENT_PLAIN:
	case INTENT_SHARED:
	case INTENT_ENTRIES:
		break;
	}
	return false;
}

struct looked {
	const struct intent_rule *rule;
	size_t n; /* versions that have the field, all as the rule says */
};

static void look_at_version(struct looked *l, const char *file, const json_t *version)
{
	const char *slash = strchr(l->rule->kind, '/');
	const json_t *field;

	if (slash && !str_eq(slash + 1, text(version, "name"))) {
		return;
	}
	field = at(json_object_get(json_object_get(version, "schema"), "openAPIV3Schema"),
		   l->rule->path);
	if (field && !says(field, l->rule)) {
		printf("# %s %s: %s\n", file, text(version, "name"), l->rule->path);
	}
	ok(!field || says(field, l->rule));
	l->n += field != NULL;
}

static void look_in(struct looked *l, const char *pattern)
{
	struct err err = {""};
	glob_t files;

	if (glob(pattern, 0, NULL, &files) != 0) {
		return;
	}
	for (size_t i = 0; i < files.gl_pathc; i++) {
		json_t *docs = yaml_read_file(files.gl_pathv[i], &err), *version;
		size_t k;

		ok(docs);
		json_array_foreach(json_object_get(json_object_get(json_array_get(docs, 0), "spec"),
						   "versions"),
				   k, version) {
			look_at_version(l, files.gl_pathv[i], version);
		}
		json_decref(docs);
	}
	globfree(&files);
}

static void rules_agree_with_the_schemas(void)
{
	size_t found = 0;

	for (const struct intent_rule *r = intent_rules; r->path; r++) {
		struct looked l = {.rule = r};
		auto_free char *plural = NULL, *in = NULL, *deeper = NULL;

		if (!r->kind || str_starts(r->kind, "VirtualMachine") ||
		    str_eq(r->kind, "Service") || str_eq(r->kind, "PersistentVolumeClaim")) {
			continue;
		}
		plural = xprintf("%.*ss.", (int)strcspn(r->kind, "/"), r->kind);
		for (char *c = plural; *c; c++) {
			*c = (char)tolower((unsigned char)*c);
		}
		in = xprintf(CRDS "/*/%s*", plural);
		deeper = xprintf(CRDS "/*/*/%s*", plural);
		look_in(&l, in);
		look_in(&l, deeper);
		if (!l.n) {
			printf("# no schema has %s %s\n", r->kind, r->path);
		}
		ok(l.n);
		found++;
	}
	ok(found >= 25);
}

TESTS({"each rule of a neighbour's kind is what its CRD says", rules_agree_with_the_schemas})
