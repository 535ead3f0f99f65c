/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_world.h: for tests of a spec field by field: a world in which all is installed, one pass over
 * one object, and what is planned, as text. One world at a time; texts are lent until the next
 * begin. Shared by the files cluster_spec_test.c and vm_spec_test.c.
 */
#pragma once

#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"
#include "json/yaml.h"

static struct cache *c;
static struct arena arena;
static struct plan plan;
static struct options options;

static void put(const char *text)
{
	struct err err = {""};
	json_t *docs = yaml_read("test", text, strlen(text), &err), *o;
	size_t i;

	is_str(err.text, "");
	json_array_foreach(docs, i, o) {
		is_int(cache_load_json(c, o, &err), 0);
		is_str(err.text, "");
	}
	json_decref(docs);
}

/* A world that has all but workers of GPUs, and beside it these objects. */
static void begin(const char *more)
{
	plan_finish(&plan);
	arena_finish(&arena);
	cache_destroy(c);
	options = (struct options){.worker_image = "w"};
	c = cache_create(controller_kinds);
	for (size_t k = 0; controller_kinds[k]; k++) {
		const char *versions = controller_kinds[k]->versions;
		auto_free char *first = xstrndup(versions, strcspn(versions, " "));

		cache_set_served(c, controller_kinds[k], first);
	}
	arena_init(&arena, 16 * MiB);
	put("{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: k}, "
	    "status: {phase: Deployed}}");
	if (more) {
		put(more);
	}
}

/* One pass over the object k of namespace t with this spec. */
attr_unused static void spec_look(const struct reconciler *r, const char *spec)
{
	static struct pass pass;

	put(arena_printf(&arena,
			 "{apiVersion: apps.cozystack.io/v1alpha1, kind: %s, metadata: "
			 "{name: k, namespace: t, uid: u, generation: 3}, spec: %s}",
			 r->primary->kind, spec));
	plan_finish(&plan);
	plan_init(&plan, &arena, c);
	pass = (struct pass){
		.arena = &arena,
		.cache = c,
		.kind = r->primary,
		.key = {"t", "k"},
		.options = &options,
	};
	r->plan(r->gather(&pass), &plan);
}

/* What stands there in the body of the first object of this kind, as JSON: "spec/network". */
static const char *at(const char *kind, const char *path)
{
	for (size_t k = 0; k < plan.n; k++) {
		const struct action *a = &plan.actions[k];
		const json_t *o = a->body;
		auto_free char *text = NULL;

		if (a->what == ACTION_DELETE || !str_eq(a->kind ? a->kind->kind : NULL, kind)) {
			continue;
		}
		for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/') {
			auto_free char *key = xstrndup(p, strcspn(p, "/"));

			o = json_object_get(o, key);
		}
		text = o ? json_dumps(o, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		return text ? arena_strdup(&arena, text) : "nothing";
	}
	return "no object";
}

/* reason or message of a condition. */
static const char *condition(const char *type, const char *what)
{
	const json_t *one;
	size_t i;

	for (size_t k = 0; k < plan.n; k++) {
		const json_t *status = json_object_get(plan.actions[k].body, "status");

		if (plan.actions[k].what != ACTION_STATUS) {
			continue;
		}
		json_array_foreach(json_object_get(status, "conditions"), i, one) {
			if (str_eq(json_string_value(json_object_get(one, "type")), type)) {
				return json_string_value(json_object_get(one, what));
			}
		}
	}
	return "no condition";
}
