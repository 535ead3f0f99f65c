/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases: cases/scan/NAME.yaml: a tree, and what must stand in the report of it (cases/README.md).
 * Each case also proves that the report is stable, and that it is what crds/vmgpu.io_gpunodes.yaml
 * allows. The other tests are about reports that no tree makes.
 */
#include "node-daemon/report.h"

#include <dirent.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/test.h"
#include "json/words_test.h"
#include "json/yaml.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define CASES "node-daemon/cases/scan"
#define WORDS CASES "/words.txt"
#define CRD "crds/vmgpu.io_gpunodes.yaml"

static const struct report_facts facts = {"6.1.0-test", "test"};

/* --- comparing ----------------------------------------------------------------------------- */

/* Where and how got lacks what want has; NULL: it has all. The caller frees it. */
static char *differs(const char *path, const json_t *got, const json_t *want)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_null(want)) {
		return got ? xprintf("%s: must be absent", path) : NULL;
	}
	if (!got || json_typeof(got) != json_typeof(want)) {
		auto_free char *text = got ? json_dumps(got, JSON_ENCODE_ANY) : xstrdup("nothing");

		return xprintf("%s: another type: %s", path, text);
	}
	if (json_is_object(want)) {
		json_object_foreach((json_t *)(uintptr_t)want, key, value) {
			auto_free char *below = xprintf("%s.%s", path, key);
			char *d = differs(below, json_object_get(got, key), value);

			if (d) {
				return d;
			}
		}
		return NULL;
	}
	if (json_is_array(want)) {
		if (json_array_size(got) != json_array_size(want)) {
			return xprintf("%s: %zu entries, want %zu", path, json_array_size(got),
				       json_array_size(want));
		}
		json_array_foreach(want, i, value) {
			auto_free char *below = xprintf("%s[%zu]", path, i);
			char *d = differs(below, json_array_get(got, i), value);

			if (d) {
				return d;
			}
		}
		return NULL;
	}
	if (json_is_string(want) && str_ends(path, ".message") &&
	    strstr(json_string_value(got), json_string_value(want))) {
		return NULL;
	}
	if (!json_equal(got, want)) {
		auto_free char *g = json_dumps(got, JSON_ENCODE_ANY),
			       *w = json_dumps(want, JSON_ENCODE_ANY);

		return xprintf("%s: got %s, want %s", path, g, w);
	}
	return NULL;
}

/* Does a value fit the schema of a CRD? Types, enums, bounds, required, and no field that it lacks
 * (it would be pruned). */
static char *misfits(const char *path, const json_t *v, const json_t *schema)
{
	const char *type = json_string_value(json_object_get(schema, "type")), *key;
	json_t *item, *choices = json_object_get(schema, "enum"), *most;
	bool found = !choices;
	size_t i;

	json_array_foreach(choices, i, item) {
		found |= json_equal(item, v);
	}
	if (!found) {
		return xprintf("%s: not in the enum", path);
	}
	if (str_eq(type, "string")    ? !json_is_string(v)
	    : str_eq(type, "integer") ? !json_is_integer(v)
	    : str_eq(type, "boolean") ? !json_is_boolean(v)
	    : str_eq(type, "array")   ? !json_is_array(v)
				      : !json_is_object(v)) {
		return xprintf("%s: is no %s", path, type);
	}
	if (json_is_array(v)) {
		most = json_object_get(schema, "maxItems");
		if (most && (json_int_t)json_array_size(v) > json_integer_value(most)) {
			return xprintf("%s: %zu entries", path, json_array_size(v));
		}
		json_array_foreach(v, i, item) {
			auto_free char *below = xprintf("%s[%zu]", path, i);
			char *d = misfits(below, item, json_object_get(schema, "items"));

			if (d) {
				return d;
			}
		}
	}
	if (json_is_object(v)) {
		json_array_foreach(json_object_get(schema, "required"), i, item) {
			if (!json_object_get(v, json_string_value(item))) {
				return xprintf("%s: lacks %s", path, json_string_value(item));
			}
		}
		json_object_foreach((json_t *)(uintptr_t)v, key, item) {
			auto_free char *below = xprintf("%s.%s", path, key);
			json_t *sub = json_object_get(json_object_get(schema, "properties"), key);
			char *d;

			sub = sub ? sub : json_object_get(schema, "additionalProperties");
			d = sub ? misfits(below, item, sub) : xprintf("%s: not in the CRD", below);
			if (d) {
				return d;
			}
		}
	}
	return NULL;
}

static json_t *crd_schema(json_t **ret_file)
{
	struct err err;
	json_t *docs = yaml_read_file(CRD, &err), *versions;

	if (!docs) {
		printf("# %s\n", err.text);
		exit(1);
	}
	*ret_file = docs;
	versions = json_object_get(json_object_get(json_array_get(docs, 0), "spec"), "versions");
	docs = json_object_get(json_object_get(json_array_get(versions, 0), "schema"),
			       "openAPIV3Schema");
	return json_object_get(json_object_get(docs, "properties"), "status");
}

/* --- cases --------------------------------------------------------------------------------- */

struct seen {
	struct links links;
	struct machine machine;
	struct arena arena;
	struct status status;
	json_t *json;
};

/* What a case says that was read: as the eyes write it. */
static void learn(const json_t *read, struct seen *s, struct report_read *ret)
{
	static uint64_t cards[READING_MAX_CARDS];
	struct reading_question q = {cards, 0};
	struct reading r;
	struct err err;
	auto_free char *text = json_dumps(read, JSON_COMPACT), *line = xprintf("%s\n", text);
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(read, "cards"), i, item) {
		pcifn_parse(json_string_value(json_object_get(item, "at")), &cards[q.n++]);
	}
	if (reading_read(line, strlen(line), &q, &s->arena, &r, &err) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
	links_learn(&s->links, &r);
	*ret = (struct report_read){
		r.library, &s->links, {.type = "CardsRead", .status = "True", .reason = "Read"}};
}

static void see(const struct tree *t, const json_t *read, const struct status *old, int64_t now_ms,
		struct seen *ret)
{
	struct report_facts f = facts;
	struct report_read was;
	struct err err;

	ret->links = (struct links){0};
	machine_init(&ret->machine);
	arena_init(&ret->arena, 64 * MiB);
	if (scan(t->fd, &ret->machine, &err) < 0) {
		printf("# %s\n", err.text);
		exit(1);
	}
	if (read) {
		learn(read, ret, &was);
		f.read = &was;
	}
	report(&ret->machine, &f, old, now_ms, &ret->arena, &ret->status);
	ret->json = type_json(&status_type, &ret->status);
}

static void seen_finish(struct seen *s)
{
	json_decref(s->json);
	links_finish(&s->links);
	arena_finish(&s->arena);
	machine_finish(&s->machine);
}

static json_t *words; /* all that reports have said: its keys */

static void say_conditions(const char *kind, const json_t *list)
{
	json_t *c;
	size_t i;

	json_array_foreach(list, i, c) {
		auto_free char *what =
			xprintf("%s %s %s", json_string_value(json_object_get(c, "type")),
				json_string_value(json_object_get(c, "status")),
				json_string_value(json_object_get(c, "reason")));

		words_say(words, kind, what, json_object_get(c, "message"));
	}
}

/* Each field of an object; of a list, each item. */
static void say_fields(const char *kind, const json_t *o)
{
	const char *key;
	json_t *v, *item;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		if (str_eq(key, "conditions")) {
			say_conditions(kind, v);
		} else if (!json_is_array(v)) {
			words_say(words, kind, key, v);
		}
		json_array_foreach(v, i, item) {
			if (!str_eq(key, "conditions") && !str_eq(key, "units")) {
				words_say(words, kind, key, item);
			}
		}
	}
}

static void say_report(const json_t *status)
{
	json_t *unit;
	size_t i;

	say_fields("node", status);
	json_array_foreach(json_object_get(status, "units"), i, unit) {
		say_fields("unit", unit);
	}
}

static char *run_case(const json_t *c, const json_t *schema)
{
	const char *given = json_string_value(json_object_get(c, "tree"));
	const json_t *then = json_object_get(c, "then"), *read = json_object_get(c, "read");
	auto_tree struct tree t = tree_make(given ? given : "");
	struct seen first, again;
	char *d;

	if (!given || !then) {
		return xstrdup("a case has about, source, tree and then");
	}
	see(&t, read, NULL, 1000000, &first);
	see(&t, read, &first.status, 9000000, &again);
	say_report(first.json);
	d = differs("status", first.json, then);
	if (!d) {
		d = misfits("status", first.json, schema);
	}
	if (!d && (!json_equal(first.json, again.json) ||
		   !type_equal(&status_type, &first.status, &again.status))) {
		d = xstrdup("the second report of the same machine is another one");
	}
	if (d && getenv("SHOW")) {
		auto_free char *text = json_dumps(first.json, JSON_INDENT(1));

		printf("%s\n", text);
	}
	seen_finish(&first);
	seen_finish(&again);
	return d;
}

/* More cards than are reported, all below one root port, eight a bus. */
static char *full_machine(const json_t *schema)
{
	attr_cleanup(buf_finish) struct buf text;
	struct seen seen;
	char *d;

	buf_init(&text, MiB);
	buf_printf(&text, "device 0000:00:01.0 id=8086:0001 class=060400\n");
	for (int i = 0; i < MACHINE_MAX_GPUS + 1; i++) {
		buf_printf(&text,
			   "device 0000:%02x:%02x.0 under=0000:00:01.0 id=10de:26b9 class=030200\n",
			   1 + i / 8, i % 8);
	}
	auto_tree struct tree t = tree_make(buf_text(&text));

	see(&t, NULL, NULL, 1000000, &seen);
	d = misfits("status", seen.json, schema);
	if (!d && (seen.status.units.n != MACHINE_MAX_GPUS || seen.status.units.items[0].links.n)) {
		d = xprintf("%zu units", seen.status.units.n);
	}
	seen_finish(&seen);
	return d;
}

static int yaml_only(const struct dirent *e)
{
	return str_ends(e->d_name, ".yaml");
}

static int failures, count;

static void run_file(const char *file, const json_t *schema, const char *only)
{
	auto_free char *path = xprintf("%s/%s", CASES, file), *d = NULL;
	struct err err;
	json_t *docs = yaml_read_file(path, &err);
	const json_t *c = json_array_get(docs, 0);
	const char *about = docs ? json_string_value(json_object_get(c, "about")) : NULL;

	if (!only || strstr(file, only) || (about && strstr(about, only))) {
		d = docs ? run_case(c, schema) : xstrdup(err.text);
		if (d) {
			printf("# %s: %s\n", path, d);
		}
		failures += d != NULL;
		printf("%s %d - scan %.*s: %s\n", d ? "not ok" : "ok", ++count,
		       (int)strlen(file) - 5, file, about ? about : "");
	}
	json_decref(docs);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	struct dirent **files;
	int n = scandir(CASES, &files, yaml_only, alphasort);
	json_t *file, *schema = crd_schema(&file);

	words = json_object();
	for (int i = 0; i < n; i++) {
		if (str_eq(only, "-l")) {
			printf("scan %.*s\n", (int)strlen(files[i]->d_name) - 5, files[i]->d_name);
		} else {
			run_file(files[i]->d_name, schema, only);
		}
		free(files[i]);
	}
	free(files);
	if (!only) {
		auto_free char *d = full_machine(schema);

		failures += d != NULL;
		printf("%s %d - a machine with more GPUs than are reported\n# %s\n",
		       d ? "not ok" : "ok", ++count, d ? d : "it fits");
	}
	json_decref(file);
	if (!str_eq(only, "-l")) {
		bool same = words_are(WORDS, words, !only);

		failures += !same;
		printf("%s %d - what the reports say stands in " WORDS "\n", same ? "ok" : "not ok",
		       ++count);
	}
	json_decref(words);
	return failures || n <= 0;
}
