/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/render.h"

#include <stdlib.h>
#include <string.h>

#include "api/apps.h"
#include "api/core.h"
#include "api/kubevirt.h"
#include "controller/kinds.h"

#define MAX_ROUNDS 12

struct renderer {
	struct cache *cache;
	const struct options *options;
	struct arena arena;
	json_t *manifests; /* "Kind ns/name" of what was given */
	json_t *written;   /* "Kind ns/name" -> body */
	json_t *assumed, *said;
	bool news;
};

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void note(json_t *notes, const char *sentence)
{
	json_t *n;
	size_t i;

	json_array_foreach(notes, i, n) {
		if (str_eq(json_string_value(n), sentence)) {
			return;
		}
	}
	json_array_append_new(notes, json_string(sentence));
}

static const char *key_of(struct renderer *r, const char *kind, const char *ns, const char *name)
{
	return arena_printf(&r->arena, "%s %s/%s", kind, ns ? ns : "", name);
}

/* --- what is known -----------------------------------------------------------------------------
 */

static bool same_object(const json_t *a, const json_t *b)
{
	const json_t *m = json_object_get(a, "metadata"), *n = json_object_get(b, "metadata");

	return str_eq(text(a, "apiVersion"), text(b, "apiVersion")) &&
	       str_eq(text(a, "kind"), text(b, "kind")) &&
	       str_eq(text(m, "name"), text(n, "name")) &&
	       str_eq(text(m, "namespace"), text(n, "namespace"));
}

static void flatten(const json_t *in, json_t *out)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)in, i, o) {
		if (json_is_array(json_object_get(o, "items"))) {
			flatten(json_object_get(o, "items"), out);
		} else {
			json_array_append(out, o);
		}
	}
}

/*
 * What was said of the object before is said anew, and its Secrets are rendered though the
 * controller would not write them again.
 */
static void take_identity(json_t *o, const json_t *have)
{
	static const char *const keys[] = {"uid", "resourceVersion", "generation"};
	static const char *const stale[] = {"conditions", "state", "message", "secretsHash"};
	json_t *metadata = json_object_get(o, "metadata");
	json_t *status = json_deep_copy(json_object_get(have, "status"));

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_object_set(metadata, keys[i],
				json_object_get(json_object_get(have, "metadata"), keys[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(stale); i++) {
		json_object_del(status, stale[i]);
	}
	json_object_set_new(o, "status", status);
}

/* A manifest is the object that is there, if it is, with another spec. */
static json_t *with_identity(const json_t *manifest, const json_t *facts)
{
	json_t *o = json_deep_copy(manifest), *have;
	json_t *metadata = json_object_get(o, "metadata");
	size_t i;

	if (!metadata) {
		metadata = json_object();
		json_object_set_new(o, "metadata", metadata);
	}
	json_object_set_new(metadata, "uid", json_string(RENDER_NO_UID));
	json_object_set_new(metadata, "generation", json_integer(1));
	if (!text(metadata, "namespace")) {
		json_object_set_new(metadata, "namespace", json_string("default"));
	}
	json_array_foreach((json_t *)facts, i, have) {
		if (same_object(o, have)) {
			take_identity(o, have);
		}
	}
	return o;
}

static const struct {
	const struct kube_kind *kind;
	const struct type *spec;
} checks[] = {
	{&kind_virtual_machine, &vm_spec_type},
	{&kind_vm_instance, &vm_spec_type},
	{&kind_vm_disk, &vm_disk_spec_type},
	{&kind_kubernetes, &cluster_spec_type},
};

static const struct type *spec_type(const struct kube_kind *k)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].kind == k) {
			return checks[i].spec;
		}
	}
	return NULL;
}

static bool is_ours(const char *api_version, const char *kind)
{
	if (api_version && str_starts(api_version, "apps.cozystack.io/")) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (str_eq(checks[i].kind->kind, kind) &&
		    !(api_version && str_starts(api_version, "kubevirt.io/"))) {
			return true;
		}
	}
	return false;
}

/* What nobody knows may be in a folder of manifests; what looks like ours is a slip. */
static int check_unknown(struct renderer *r, const json_t *o, const char *name, struct err *err)
{
	const char *version = text(o, "apiVersion"), *kind = text(o, "kind");

	if (!version || !kind) {
		return err_set(err, "%s: an object without apiVersion or kind", name);
	}
	if (is_ours(version, kind)) {
		return err_set(
			err,
			"%s %s: no such kind in %s: write VirtualMachine, VMInstance, VMDisk "
			"or Kubernetes of apps.cozystack.io/v1alpha1, or leave it out",
			kind, name, version);
	}
	note(r->assumed,
	     arena_printf(&r->arena, "%s %s: not a kind that render knows: left out", kind, name));
	return 0;
}

static int check_top(const json_t *o, struct err *err)
{
	static const char *const known[] = {"apiVersion", "kind",   "metadata",
					    "spec",	  "status", "appVersion"};
	const json_t *spec = json_object_get(o, "spec"), *value;
	const char *key;

	json_object_foreach((json_t *)o, key, value) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			found |= str_eq(key, known[i]);
		}
		if (!found) {
			return err_set(err,
				       "unknown field \"%s\" beside metadata: what is wanted "
				       "stands in spec",
				       key);
		}
	}
	if (spec && !json_is_object(spec) && !json_is_null(spec)) {
		return err_set(err, "spec is no object: write its fields below it, indented");
	}
	return 0;
}

/* Strictly, as kubectl would: a misspelt field must not be lost in silence. */
static int check(struct renderer *r, const json_t *o, struct err *err)
{
	const struct kube_kind *k = cache_kind(r->cache, text(o, "apiVersion"), text(o, "kind"));
	const char *name = text(json_object_get(o, "metadata"), "name");
	const struct type *type = spec_type(k);
	json_t *spec = json_object_get(o, "spec");

	if (!name) {
		return err_set(err, "%s without metadata.name: give it one",
			       text(o, "kind") ? text(o, "kind") : "an object");
	}
	if (!k) {
		return check_unknown(r, o, name, err);
	}
	if (!type) {
		return 0;
	}
	if (check_top(o, err) < 0) {
		return err_wrap(err, "%s %s", text(o, "kind"), name);
	}
	if (json_is_object(spec) &&
	    type_read(type, spec, true, &r->arena, arena_alloc(&r->arena, type->size), err) < 0) {
		return err_wrap(err, "%s %s: spec", text(o, "kind"), name);
	}
	return 0;
}

#define ASSUMED_KUBEVIRT                                                                                  \
	"{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"KubeVirt\",\"metadata\":{\"name\":\"kubevirt\","   \
	"\"namespace\":\"kubevirt\",\"uid\":\"" RENDER_NO_UID "\",\"resourceVersion\":\"1\"},"            \
	"\"spec\":{\"configuration\":{\"developerConfiguration\":{\"featureGates\":[\"HostDevices\"]}}}," \
	"\"status\":{\"phase\":\"Deployed\"}}"

static void assume_kubevirt(struct renderer *r)
{
	json_t *o = json_loads(ASSUMED_KUBEVIRT, 0, NULL);

	if (cache_count(r->cache, &kind_kv_config) == 0 &&
	    cache_load_json(r->cache, o, NULL) == 0) {
		note(r->assumed,
		     "assumed: KubeVirt is deployed, with the gate HostDevices and without permittedHostDevices");
	}
	json_decref(o);
}

static void assume_named(struct renderer *r, const struct kube_kind *k, const char *name)
{
	json_t *o;

	if (cache_get(r->cache, k, NULL, name)) {
		return;
	}
	o = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion",
		      "instancetype.kubevirt.io/v1beta1", "kind", k->kind, "metadata", "name", name,
		      "uid", RENDER_NO_UID, "spec");
	if (cache_load_json(r->cache, o, NULL) == 0) {
		note(r->assumed,
		     arena_printf(&r->arena, "assumed: %s %s exists, and has no devices of its own",
				  k->kind, name));
	}
	json_decref(o);
}

static void assume_types(struct renderer *r, const json_t *objects)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)objects, i, o) {
		const json_t *spec = json_object_get(o, "spec");
		const char *type = text(spec, "instanceType"),
			   *profile = text(spec, "instanceProfile");
		const struct kube_kind *k =
			cache_kind(r->cache, text(o, "apiVersion"), text(o, "kind"));

		if (k == &kind_virtual_machine || k == &kind_vm_instance) {
			assume_named(r, &kind_kv_instancetype,
				     !str_empty(type) ? type : "u1.medium");
			assume_named(r, &kind_kv_preference,
				     !str_empty(profile) ? profile : "ubuntu");
		}
	}
}

static void serve_all(struct cache *c)
{
	for (size_t k = 0; controller_kinds[k]; k++) {
		const char *versions = controller_kinds[k]->versions;
		auto_free char *first = xstrndup(versions, strcspn(versions, " "));

		cache_set_served(c, controller_kinds[k], first);
	}
}

static bool crd_has(const struct core_crd *crd, const char *version, size_t n)
{
	list_each(v, &crd->versions) {
		if (v->served == TRI_TRUE && strlen(v->name) == n &&
		    strncmp(v->name, version, n) == 0) {
			return true;
		}
	}
	return false;
}

/* A CRD among the facts says in which version its kind is served: the first of ours, or none. */
static void serve_as_crd_says(struct cache *c, const struct core_crd *crd,
			      const struct kube_kind *k)
{
	auto_free char *version = NULL;

	for (const char *p = k->versions; *p && !version;) {
		size_t n = strcspn(p, " ");

		version = crd_has(crd, p, n) ? xstrndup(p, n) : NULL;
		p += n + (p[n] == ' ');
	}
	cache_set_served(c, k, version);
}

static void serve_as_crds_say(struct cache *c)
{
	for (const struct core_crd *crd = NULL; (crd = cache_next(c, &kind_crd, crd));) {
		for (size_t i = 0; controller_kinds[i]; i++) {
			const struct kube_kind *k = controller_kinds[i];

			if (str_eq(k->group, crd->group) && str_eq(k->plural, crd->plural)) {
				serve_as_crd_says(c, crd, k);
			}
		}
	}
}

/* Without the mark by which the controller knows its last write, which it would not repeat. */
static json_t *unmarked(const json_t *fact)
{
	json_t *o = json_deep_copy(fact);

	json_object_del(json_object_get(json_object_get(o, "metadata"), "annotations"),
			INTENT_ANNOTATION);
	return o;
}

static bool is_crd(const json_t *o)
{
	return str_eq(text(o, "kind"), kind_crd.kind);
}

static int load_facts(struct cache *c, const json_t *facts, bool crds, struct err *err)
{
	json_t *fact;
	size_t i;

	json_array_foreach((json_t *)facts, i, fact) {
		json_t *o;
		int rc;

		if (is_crd(fact) != crds) {
			continue;
		}
		o = unmarked(fact);
		rc = cache_load_json(c, o, err);
		json_decref(o);
		if (rc < 0) {
			return err_wrap(err, "facts");
		}
	}
	return 0;
}

static int load(struct renderer *r, const json_t *manifests, const json_t *facts, struct err *err)
{
	json_t *o;
	size_t i;

	serve_all(r->cache);
	if (load_facts(r->cache, facts, true, err) < 0) {
		return -1;
	}
	serve_as_crds_say(r->cache);
	if (load_facts(r->cache, facts, false, err) < 0) {
		return -1;
	}
	json_array_foreach((json_t *)manifests, i, o) {
		const json_t *metadata = json_object_get(o, "metadata");

		if (check(r, o, err) < 0 || cache_load_json(r->cache, o, err) < 0) {
			return -1;
		}
		json_object_set_new(r->manifests,
				    key_of(r, text(o, "kind"), text(metadata, "namespace"),
					   text(metadata, "name")),
				    json_true());
	}
	assume_kubevirt(r);
	assume_types(r, manifests);
	return 0;
}

/* --- rounds --------------------------------------------------------------------------------------
 */

/* Kept for the output if a manifest wants it, and shown to the other plans as if it were there. */
static void keep(struct renderer *r, const struct action *a, bool given)
{
	const char *key = key_of(r, a->kind->kind, a->ns, a->name);
	json_t *body = json_deep_copy(a->body), *metadata = json_object_get(body, "metadata");

	json_object_del(metadata, "resourceVersion");
	if (given) {
		r->news |= !json_object_get(r->written, key);
		json_object_set_new(r->written, key, json_deep_copy(body));
	}
	if (a->kind->type && !cache_get(r->cache, a->kind, a->ns, a->name)) {
		json_object_set_new(metadata, "uid", json_string(key));
		json_object_set_new(metadata, "resourceVersion", json_string("1"));
		json_object_set_new(metadata, "generation", json_integer(1));
		(void)cache_load_json(r->cache, body, NULL);
	}
	json_decref(body);
}

/* What is not acted on, and why nothing can be written or would come of it. */
static void tell_conditions(struct renderer *r, const struct action *a)
{
	const json_t *status = json_object_get(a->body, "status");
	bool failed = str_eq(text(status, "state"), "Failed");
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(status, "conditions"), i, c) {
		bool not_all = str_eq(text(c, "type"), "Accepted") &&
			       !str_eq(text(c, "reason"), "Accepted");

		if (not_all || (failed && str_eq(text(c, "type"), "Ready"))) {
			note(r->said, arena_printf(&r->arena, "%s %s: %s", a->kind->kind, a->name,
						   text(c, "message")));
		}
	}
}

static void one_action(struct renderer *r, const struct action *a, bool given)
{
	if (a->what == ACTION_APPLY && str_eq(a->manager, OBJ_MANAGER)) {
		keep(r, a, given);
	} else if (a->what == ACTION_STATUS && given) {
		tell_conditions(r, a);
	}
}

static void one_pass(struct renderer *r, const struct reconciler *rec, struct key key)
{
	bool given = json_object_get(r->manifests,
				     key_of(r, rec->primary->kind, key.ns, key.name)) != NULL;
	struct arena arena;
	struct plan plan;
	struct pass pass;
	const void *seen;

	arena_init(&arena, 64 * MiB);
	plan_init(&plan, &arena, r->cache);
	pass = (struct pass){.arena = &arena,
			     .cache = r->cache,
			     .kind = rec->primary,
			     .key = key,
			     .options = r->options};
	seen = rec->gather(&pass);
	if (seen) {
		rec->plan(seen, &plan);
	}
	for (size_t i = 0; i < plan.n; i++) {
		one_action(r, &plan.actions[i], given);
	}
	plan_finish(&plan);
	arena_finish(&arena);
}

static void all_passes(struct renderer *r, const struct reconciler *rec)
{
	struct obj_list all = cache_sorted(r->cache, rec->primary, NULL, &r->arena);
	struct key *keys = arena_array(&r->arena, struct key, all.n);

	/* What the cache lends ends with its next change, so the keys are copied first. */
	for (size_t i = 0; i < all.n; i++) {
		keys[i].ns = all.items[i]->ns ? arena_strdup(&r->arena, all.items[i]->ns) : NULL;
		keys[i].name = arena_strdup(&r->arena, all.items[i]->name);
	}
	for (size_t i = 0; i < all.n; i++) {
		one_pass(r, rec, keys[i]);
	}
}

static void rounds(struct renderer *r)
{
	r->news = true;
	for (int n = 0; n < MAX_ROUNDS && r->news; n++) {
		r->news = false;
		json_array_clear(r->said); /* the last round has the last word */
		for (size_t i = 0; controller_reconcilers[i]; i++) {
			all_passes(r, controller_reconcilers[i]);
		}
	}
}

/* --- the result ----------------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void drop_unknown_owner(json_t *metadata)
{
	const json_t *owners = json_object_get(metadata, "ownerReferences");

	if (str_eq(text(json_array_get(owners, 0), "uid"), RENDER_NO_UID)) {
		json_object_del(metadata, "ownerReferences");
	}
}

static json_t *sorted(struct renderer *r)
{
	size_t n = json_object_size(r->written), i = 0;
	const char **keys = arena_array(&r->arena, const char *, n), *key;
	json_t *all = json_array(), *body;

	json_object_foreach(r->written, key, body) {
		keys[i++] = key;
	}
	qsort(keys, n, sizeof(*keys), by_text);
	for (i = 0; i < n; i++) {
		body = json_object_get(r->written, keys[i]);
		drop_unknown_owner(json_object_get(body, "metadata"));
		json_array_append(all, body);
	}
	return all;
}

int render(const json_t *manifests, const json_t *facts, const struct options *o,
	   json_t **ret_objects, json_t **ret_notes, struct err *err)
{
	struct renderer r = {
		.cache = cache_create(controller_kinds),
		.options = o,
		.manifests = json_object(),
		.written = json_object(),
		.assumed = json_array(),
		.said = json_array(),
	};
	json_t *known = json_array(), *given = json_array(), *ours = json_array(), *m;
	size_t i;
	int rc;

	arena_init(&r.arena, 256 * MiB);
	flatten(facts, known);
	flatten(manifests, given);
	json_array_foreach(given, i, m) {
		json_array_append_new(ours, with_identity(m, known));
	}
	rc = load(&r, ours, known, err);
	if (rc == 0) {
		rounds(&r);
		*ret_objects = sorted(&r);
		*ret_notes = json_copy(r.assumed);
		json_array_extend(*ret_notes, r.said);
	}
	json_decref(known);
	json_decref(given);
	json_decref(ours);
	json_decref(r.manifests);
	json_decref(r.written);
	json_decref(r.assumed);
	json_decref(r.said);
	arena_finish(&r.arena);
	cache_destroy(r.cache);
	return rc;
}
