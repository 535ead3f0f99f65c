/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/render.h"

#include <stdlib.h>
#include <string.h>

#include "api/apps.h"
#include "api/core.h"
#include "api/kubevirt.h"
#include "cli/render_check.h"
#include "controller/kinds.h"
#include "controller/plan_cluster.h"
#include "controller/plan_vm.h"

#define MAX_ROUNDS 12

struct renderer {
	struct cache *cache;
	const struct render_input *in;
	struct arena arena;
	json_t *manifests; /* "Kind ns/name" of what was given and is ours */
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

/* files: beside each object the file that it is from, or null. */
static void flatten(const json_t *in, json_t *file, json_t *out, json_t *files)
{
	const json_t *items = json_object_get(in, "items");
	json_t *o;
	size_t i;

	if (!json_is_array(items)) {
		json_array_append(out, (json_t *)in);
		json_array_append(files, file);
		return;
	}
	json_array_foreach((json_t *)items, i, o) {
		flatten(o, file, out, files);
	}
}

static void flatten_all(const json_t *in, const json_t *files, json_t *out, json_t *ret_files)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)in, i, o) {
		json_t *file = json_array_get(files, i);

		flatten(o, file ? file : json_null(), out, ret_files);
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
static json_t *with_identity(struct renderer *r, const json_t *manifest, const json_t *facts)
{
	json_t *o = json_deep_copy(manifest), *have;
	json_t *metadata = json_object_get(o, "metadata");
	const struct kube_kind *k = cache_kind(r->cache, text(o, "apiVersion"), text(o, "kind"));
	size_t i;

	if (!metadata) {
		metadata = json_object();
		json_object_set_new(o, "metadata", metadata);
	}
	json_object_set_new(metadata, "uid", json_string(RENDER_NO_UID));
	json_object_set_new(metadata, "generation", json_integer(1));
	if (str_empty(text(metadata, "namespace")) && (!k || k->namespaced)) {
		json_object_set_new(metadata, "namespace",
				    json_string(r->in->ns ? r->in->ns : "default"));
	}
	json_array_foreach((json_t *)facts, i, have) {
		if (same_object(o, have)) {
			take_identity(o, have);
		}
	}
	return o;
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

static void assume_named(struct renderer *r, const struct kube_kind *k, const char *name,
			 const char *but)
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
		     arena_printf(&r->arena,
				  "assumed: %s %s exists, and has no devices of its own%s", k->kind,
				  name, but));
	}
	json_decref(o);
}

/* Which of the two the facts hold: those they hold all, so nothing is assumed of them. */
struct held {
	bool types, profiles;
};

static void assume_of_machine(struct renderer *r, struct held held, json_t *spec)
{
	struct vm_spec vm = {0};
	const char *type;

	(void)type_read(&vm_spec_type, spec, false, &r->arena, &vm, NULL);
	type = plan_vm_type(&vm);
	if (type && !held.types) {
		assume_named(r, &kind_kv_instancetype, type, "");
	}
	if (!held.profiles) {
		assume_named(r, &kind_kv_preference, plan_vm_profile(&vm), "");
	}
}

static void assume_of_group(struct renderer *r, const struct node_group *g)
{
	const char *type = plan_cluster_type(g);

	if (type) {
		assume_named(
			r, &kind_kv_instancetype, type,
			"; its cpu and memory are not known: the least is reserved of them and "
			"the autoscaler is told no capacity");
	}
}

static void assume_of_cluster(struct renderer *r, struct held held, json_t *spec)
{
	static const struct node_group alone = {0}; /* where no nodeGroups are named there is one */
	struct cluster_spec cluster = {0};

	(void)type_read(&cluster_spec_type, spec, false, &r->arena, &cluster, NULL);
	list_each(g, &cluster.node_groups) {
		if (!held.types) {
			assume_of_group(r, g);
		}
	}
	if (!cluster.node_groups.n && !held.types) {
		assume_of_group(r, &alone);
	}
}

static void assume_types(struct renderer *r, const json_t *objects)
{
	const struct held held = {cache_count(r->cache, &kind_kv_instancetype) > 0,
				  cache_count(r->cache, &kind_kv_preference) > 0};
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)objects, i, o) {
		const struct kube_kind *k =
			cache_kind(r->cache, text(o, "apiVersion"), text(o, "kind"));
		json_t *spec = json_object_get(o, "spec");

		if (k == &kind_virtual_machine || k == &kind_vm_instance) {
			assume_of_machine(r, held, spec);
		} else if (k == &kind_kubernetes) {
			assume_of_cluster(r, held, spec);
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

/* --- what the CRDs among the facts say ---------------------------------------------------------- */

struct crd_version {
	const char *name;
	tri served;
};

#define T struct crd
struct crd {
	const char *group, *plural;
	LIST(struct crd_version) versions;
};
static const struct field crd_version_fields[] = {
	FIELD(struct crd_version, name, "name", TYPE_STR),
	FIELD(struct crd_version, served, "served", TYPE_BOOL),
	{0},
};
static const struct type crd_version = {sizeof(struct crd_version), crd_version_fields, NULL};
static const struct field crd_names_fields[] = {FIELD(T, plural, "plural", TYPE_STR), {0}};
static const struct type crd_names = {sizeof(T), crd_names_fields, NULL};
static const struct field crd_spec_fields[] = {
	FIELD(T, group, "group", TYPE_STR),
	FIELD_INLINE("names", &crd_names),
	FIELD(T, versions, "versions", TYPE_OBJS, .sub = &crd_version),
	{0},
};
static const struct type crd_spec = {sizeof(T), crd_spec_fields, NULL};
static const struct field crd_fields[] = {FIELD_INLINE("spec", &crd_spec), {0}};
static const struct type crd_type = {sizeof(T), crd_fields, NULL};
#undef T

static bool crd_has(const struct crd *crd, const char *version, size_t n)
{
	list_each(v, &crd->versions) {
		if (v->served == TRI_TRUE && v->name && strlen(v->name) == n &&
		    strncmp(v->name, version, n) == 0) {
			return true;
		}
	}
	return false;
}

/* It says in which version its kind is served: the first of ours, or none. */
static void serve_as_crd_says(struct cache *c, const struct crd *crd, const struct kube_kind *k)
{
	auto_free char *version = NULL;

	for (const char *p = k->versions; *p && !version;) {
		size_t n = strcspn(p, " ");

		version = crd_has(crd, p, n) ? xstrndup(p, n) : NULL;
		p += n + (p[n] == ' ');
	}
	cache_set_served(c, k, version);
}

static int serve_as_crds_say(struct renderer *r, const json_t *facts, struct err *err)
{
	json_t *fact;
	size_t n;

	json_array_foreach((json_t *)facts, n, fact) {
		struct crd crd;

		if (!str_eq(text(fact, "kind"), kind_crd.kind)) {
			continue;
		}
		if (type_read(&crd_type, fact, false, &r->arena, &crd, err) < 0) {
			return err_wrap(err, "facts");
		}
		for (size_t i = 0; controller_kinds[i]; i++) {
			const struct kube_kind *k = controller_kinds[i];

			if (str_eq(k->group, crd.group) && str_eq(k->plural, crd.plural)) {
				serve_as_crd_says(r->cache, &crd, k);
			}
		}
	}
	return 0;
}

/* --- loading ------------------------------------------------------------------------------------ */

/* Without the mark by which the controller knows its last write, which it would not repeat. */
static json_t *unmarked(const json_t *fact)
{
	json_t *o = json_deep_copy(fact);

	json_object_del(json_object_get(json_object_get(o, "metadata"), "annotations"),
			INTENT_ANNOTATION);
	return o;
}

static int load_facts(struct cache *c, const json_t *facts, struct err *err)
{
	json_t *fact;
	size_t i;

	json_array_foreach((json_t *)facts, i, fact) {
		json_t *o = unmarked(fact);
		int rc = cache_load_json(c, o, err);

		json_decref(o);
		if (rc < 0) {
			return err_wrap(err, "facts");
		}
	}
	return 0;
}

static int load_manifest(struct renderer *r, json_t *o, struct err *err)
{
	const json_t *metadata = json_object_get(o, "metadata");
	const char *kind = text(o, "kind"), *name = text(metadata, "name");
	int known = render_check(r->cache, o, &r->arena, err);

	if (known < 0 || cache_load_json(r->cache, o, err) < 0) {
		return -1;
	}
	if (known == RENDER_UNKNOWN) {
		note(r->assumed,
		     arena_printf(&r->arena, "%s %s: not a kind that render knows: left out", kind,
				  name));
	} else if (known == RENDER_OURS) {
		json_object_set_new(r->manifests,
				    key_of(r, kind, text(metadata, "namespace"), name),
				    json_true());
	}
	return 0;
}

static int load(struct renderer *r, const json_t *manifests, const json_t *files,
		const json_t *facts, struct err *err)
{
	json_t *o;
	size_t i;

	serve_all(r->cache);
	if (serve_as_crds_say(r, facts, err) < 0 || load_facts(r->cache, facts, err) < 0) {
		return -1;
	}
	json_array_foreach((json_t *)manifests, i, o) {
		const char *file = json_string_value(json_array_get(files, i));

		if (load_manifest(r, o, err) < 0) {
			return file ? err_wrap(err, "%s", file) : -1;
		}
	}
	if (!json_object_size(r->manifests)) {
		note(r->assumed, "nothing to render: none of what was given is a VirtualMachine, "
				 "VMInstance, VMDisk or Kubernetes of apps.cozystack.io/v1alpha1");
		return 0;
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

/* What is not acted on, why nothing can be written or would come of it, a GPU that no node has. */
static bool is_told(const json_t *condition, bool failed)
{
	const char *type = text(condition, "type"), *reason = text(condition, "reason");

	return (str_eq(type, "Accepted") && !str_eq(reason, "Accepted")) ||
	       (str_eq(type, "Ready") && failed) ||
	       (str_eq(type, "GPUsAvailable") && str_eq(reason, "UnknownName"));
}

/* What the controller is given by a flag, render is given by the same. */
static const char *remedy_here(const char *reason)
{
	return str_eq(reason, "WorkerImageMissing")
		       ? "; here, render --worker-image=IMAGE does the same"
		       : "";
}

static void tell_conditions(struct renderer *r, const struct action *a)
{
	const json_t *status = json_object_get(a->body, "status");
	bool failed = str_eq(text(status, "state"), "Failed");
	json_t *c;
	size_t i;

	json_array_foreach(json_object_get(status, "conditions"), i, c) {
		if (is_told(c, failed)) {
			note(r->said,
			     arena_printf(&r->arena, "%s %s: %s%s", a->kind->kind, a->name,
					  text(c, "message"), remedy_here(text(c, "reason"))));
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
			     .options = r->in->options};
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

int render(const struct render_input *in, json_t **ret_objects, json_t **ret_notes, struct err *err)
{
	struct renderer r = {
		.cache = cache_create(controller_kinds),
		.in = in,
		.manifests = json_object(),
		.written = json_object(),
		.assumed = json_array(),
		.said = json_array(),
	};
	json_t *known = json_array(), *given = json_array(), *ours = json_array(), *m;
	json_t *files = json_array(), *unused = json_array();
	size_t i;
	int rc;

	arena_init(&r.arena, 256 * MiB);
	flatten_all(in->facts, NULL, known, unused);
	flatten_all(in->manifests, in->files, given, files);
	json_array_foreach(given, i, m) {
		json_array_append_new(ours, with_identity(&r, m, known));
	}
	rc = load(&r, ours, files, known, err);
	if (rc == 0) {
		rounds(&r);
		*ret_objects = sorted(&r);
		*ret_notes = json_copy(r.assumed);
		json_array_extend(*ret_notes, r.said);
	}
	json_decref(known);
	json_decref(given);
	json_decref(ours);
	json_decref(files);
	json_decref(unused);
	json_decref(r.manifests);
	json_decref(r.written);
	json_decref(r.assumed);
	json_decref(r.said);
	arena_finish(&r.arena);
	cache_destroy(r.cache);
	return rc;
}
