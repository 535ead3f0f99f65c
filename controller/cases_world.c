/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cases_world.h"

#include <string.h>

#include "api/vmgpu.h"
#include "controller/beats.h"
#include "json/words_test.h"
#include "kube/intent.h"

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* --- options ------------------------------------------------------------------------------- */

#define LAST_BEAT "2026-01-01T00:00:00.000000Z"

/* Each node's Lease is seen twice, and then, of one that is silent, not again. */
static void make_beat(struct beats *b, const char *node, const char *state)
{
	auto_free char *name = xprintf(BEAT_PREFIX "%s", node);
	struct lease_record r = {.obj.name = name, .holder = node, .seconds = 40};

	beats_seen(b, &r, 0);
	r.renewed = LAST_BEAT;
	beats_seen(b, &r, str_eq(state, "silent") ? 1 : 30000);
}

static struct beats *make_beats(const json_t *states)
{
	static struct beats *b;
	const char *node;
	int64_t wake;
	json_t *v;

	b = (beats_destroy(b), beats_create());
	json_object_foreach((json_t *)states, node, v) {
		make_beat(b, node, json_string_value(v));
	}
	while (beats_next(b, 40001, 0, &wake)) {
	}
	return b;
}

void cases_options(const json_t *o, struct options *ret)
{
	const char *permit = text(o, "permit"), *take = text(o, "takeGpus");

	*ret = (struct options){
		.beats = make_beats(json_object_get(o, "beats")),
		.plain_naming = str_eq(text(o, "naming"), "plain"),
		.permit = str_eq(permit, "manage")   ? OPTIONS_PERMIT_MANAGE
			  : str_eq(permit, "report") ? OPTIONS_PERMIT_REPORT
						     : OPTIONS_PERMIT_AUTO,
		.bind_companions = str_eq(text(o, "companions"), "bind"),
		.take = str_eq(take, "none")	 ? OPTIONS_TAKE_NONE
			: str_eq(take, "unused") ? OPTIONS_TAKE_UNUSED
						 : OPTIONS_TAKE_IDLE,
		.cozy_proxy = json_is_true(json_object_get(o, "cozyProxy")),
		.no_node_ports = json_is_false(json_object_get(o, "loadBalancerNodePorts")),
		.worker_image = text(o, "workerImage"),
		.gpu_operator_chart = text(o, "gpuOperatorChart"),
	};
}

/* --- kinds --------------------------------------------------------------------------------- */

void cases_serve(struct cache *c, const struct kube_kind *const *kinds, const json_t *served)
{
	for (size_t i = 0; kinds[i]; i++) {
		auto_free char *crd = xprintf("%s.%s", kinds[i]->plural, kinds[i]->group);
		const char *version = text(served, text(served, crd) ? crd : kinds[i]->group);
		auto_free char *first =
			xstrndup(kinds[i]->versions, strcspn(kinds[i]->versions, " "));

		if (str_eq(version, "absent")) {
			cache_set_served(c, kinds[i], NULL);
		} else if (!str_eq(cache_version(c, kinds[i]), version ? version : first)) {
			cache_set_served(c, kinds[i], version ? version : first);
		}
	}
}

/* --- actions as JSON ----------------------------------------------------------------------- */

static json_t *target_of(const struct action *a, const struct plan *p)
{
	auto_buf struct buf version = {.max = KiB};

	kind_api_version(a->kind, cache_version(p->cache, a->kind), &version);
	return json_pack("{s:s, s:s, s:s*, s:s}", "apiVersion", buf_text(&version), "kind",
			 a->kind->kind, "namespace", a->ns, "name", a->name);
}

/* The intent goes beside the body: cases do not know hashes. */
static json_t *apply_of(const struct action *a)
{
	json_t *body = json_deep_copy(a->body), *metadata = json_object_get(body, "metadata");
	json_t *annotations = json_object_get(metadata, "annotations"), *action = json_object();

	json_object_set_new(action, "intent", json_string(text(annotations, INTENT_ANNOTATION)));
	if (str_eq(a->manager, "vmgpu")) {
		auto_buf struct buf fields = {.max = MiB};

		intent_fields(a->kind, a->body, true, &fields);
		json_object_set_new(action, "fields", json_string(buf_text(&fields)));
	}
	json_object_del(annotations, INTENT_ANNOTATION);
	if (annotations && !json_object_size(annotations)) {
		json_object_del(metadata, "annotations");
	}
	json_object_set_new(action, "apply", body);
	json_object_set_new(action, "manager", json_string(a->manager));
	return action;
}

static json_t *action_json(const struct action *a, const struct plan *p)
{
	switch (a->what) {
	case ACTION_APPLY:
		return apply_of(a);
	case ACTION_MERGE:
		return json_pack("{s:{s:o, s:O}}", "merge", "target", target_of(a, p), "body",
				 a->body);
	case ACTION_STATUS:
		return json_pack("{s:{s:O}}", "status", "body", a->body);
	case ACTION_DELETE:
		return json_pack("{s:{s:o}}", "delete", "target", target_of(a, p));
	case ACTION_EVENT:
		return json_pack("{s:{s:s, s:s, s:s}}", "event", "type",
				 a->warning ? "Warning" : "Normal", "reason", a->reason, "message",
				 a->why);
	default:
		return json_pack("{s:I}", "again", (json_int_t)a->after_ms);
	}
}

json_t *cases_actions(const struct plan *p)
{
	json_t *all = json_array();

	for (size_t i = 0; i < p->n; i++) {
		json_array_append_new(all, action_json(&p->actions[i], p));
	}
	return all;
}

/* --- what plans say ------------------------------------------------------------------------ */

static void say_status(json_t *words, const char *kind, const json_t *status)
{
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)status, key, v) {
		if (!str_eq(key, "conditions") && !str_eq(key, "message")) {
			words_say(words, kind, key, v);
		}
	}
	json_array_foreach(json_object_get(status, "conditions"), i, v) {
		auto_free char *what =
			xprintf("%s %s %s", text(v, "type"), text(v, "status"), text(v, "reason"));

		words_say(words, kind, what, json_object_get(v, "message"));
	}
}

void cases_words(const struct plan *p, const char *kind, json_t *words)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct action *a = &p->actions[i];
		json_t *why = a->why ? json_string(a->why) : json_null();

		if (a->what == ACTION_STATUS) {
			say_status(words, kind, json_object_get(a->body, "status"));
		} else if (a->what == ACTION_EVENT) {
			auto_free char *what = xprintf("event %s", a->reason);

			words_say(words, kind, what, why);
		} else if (a->kind) {
			static const char *const verbs[] = {[ACTION_APPLY] = "apply",
							    [ACTION_MERGE] = "merge",
							    [ACTION_DELETE] = "delete"};
			auto_free char *what = xprintf("%s %s", verbs[a->what], a->kind->kind);

			words_say(words, kind, what, why);
		}
		json_decref(why);
	}
}

/* --- objects ------------------------------------------------------------------------------- */

json_t *cases_target(const json_t *o)
{
	const json_t *m = json_object_get(o, "metadata");

	return json_pack("{s:s*, s:s*, s:s*, s:s*}", "apiVersion", text(o, "apiVersion"), "kind",
			 text(o, "kind"), "namespace", text(m, "namespace"), "name",
			 text(m, "name"));
}

bool cases_same_object(const json_t *a, const json_t *b)
{
	json_t *x = cases_target(a), *y = cases_target(b);
	bool same = json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

bool cases_same_target(const json_t *action, const json_t *target)
{
	return json_equal(json_object_get(action, "target"), target);
}

json_t *cases_find(const json_t *world, const json_t *target)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)world, i, o) {
		const json_t *m = json_object_get(o, "metadata");
		const char *version = text(target, "apiVersion");
		bool group = version ? str_eq(version, text(o, "apiVersion"))
				     : str_starts(text(o, "apiVersion"), "apps.cozystack.io") ||
					       str_starts(text(o, "apiVersion"),
							  "devices.harvesterhci.io") ||
					       str_eq(text(o, "kind"), "GPUPool") ||
					       str_eq(text(o, "kind"), "KubeVirt");

		if (group && str_eq(text(o, "kind"), text(target, "kind")) &&
		    str_eq(text(m, "name"), text(target, "name")) &&
		    str_eq(text(m, "namespace"), text(target, "namespace"))) {
			return o;
		}
	}
	return NULL;
}

static void prune_empty(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	if (json_is_object(v) && !json_object_size(v)) {
		json_object_del(o, key);
	}
}

json_t *cases_merge_patch(const json_t *object, const json_t *patch)
{
	json_t *result = json_is_object(object) ? json_deep_copy(object) : json_object(), *v;
	const char *key;

	json_object_foreach((json_t *)patch, key, v) {
		if (json_is_null(v)) {
			json_object_del(result, key);
		} else if (json_is_object(v)) {
			json_object_set_new(result, key,
					    cases_merge_patch(json_object_get(result, key), v));
		} else {
			json_object_set(result, key, v);
		}
	}
	/* Kubernetes keeps no empty annotations or labels. */
	prune_empty(result, "annotations");
	prune_empty(result, "labels");
	return result;
}

/* --- carrying out -------------------------------------------------------------------------- */

static void managed_by_us(json_t *o, const char *fields)
{
	json_t *fields_json = json_loads(fields, 0, NULL);

	json_object_set_new(json_object_get(o, "metadata"), "managedFields",
			    json_pack("[{s:s, s:s, s:o}]", "manager", "vmgpu", "operation", "Apply",
				      "fieldsV1", fields_json));
}

static void annotate(json_t *o, const char *intent)
{
	json_t *metadata = json_object_get(o, "metadata"),
	       *annotations = json_object_get(metadata, "annotations");

	if (!annotations) {
		annotations = json_object();
		json_object_set_new(metadata, "annotations", annotations);
	}
	json_object_set_new(annotations, INTENT_ANNOTATION, json_string(intent));
}

static const struct kube_kind *kind_of(const struct kube_kind *const *kinds, const json_t *o)
{
	const char *version = text(o, "apiVersion"), *slash = strchr(version, '/');
	size_t n = slash ? (size_t)(slash - version) : 0;

	for (size_t i = 0; kinds[i]; i++) {
		if (str_eq(kinds[i]->kind, text(o, "kind")) && strlen(kinds[i]->group) == n &&
		    !strncmp(kinds[i]->group, version, n)) {
			return kinds[i];
		}
	}
	return NULL;
}

static void store(json_t *world, json_t *o_new, const json_t *was)
{
	json_t *o;
	size_t i;

	json_array_foreach(world, i, o) {
		if (o == was) {
			json_array_set_new(world, i, o_new);
			return;
		}
	}
	json_array_append_new(world, o_new);
}

/*
 * Server-side apply takes away what our last apply had and this one has not, unless another manager
 * has it too: given objects name no other manager, so all that we had is ours alone. Items of keyed
 * lists go with their list, which a merge replaces.
 */
static void take_away(json_t *o, const json_t *had, const json_t *has)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)had, key, v) {
		const json_t *still = json_object_get(has, key);

		if (!str_starts(key, "f:") || !json_is_object(o)) {
			continue;
		}
		if (!still) {
			json_object_del(o, key + 2);
		} else if (json_object_size(v)) {
			take_away(json_object_get(o, key + 2), v, still);
			prune_empty(o, key + 2);
		}
	}
}

static const json_t *our_fields(const json_t *o)
{
	return json_object_get(
		json_array_get(json_object_get(json_object_get(o, "metadata"), "managedFields"), 0),
		"fieldsV1");
}

/* What the server adds to an object that it has not had yet. */
static void be_born(json_t *o)
{
	json_t *metadata = json_object_get(o, "metadata");
	auto_free char *uid = xprintf("uid-of-%s-%s", text(o, "kind"), text(metadata, "name"));

	json_object_set_new(metadata, "uid", json_string(uid));
	json_object_set_new(metadata, "resourceVersion", json_string("900"));
	json_object_set_new(metadata, "generation", json_integer(1));
	if (str_eq(text(o, "kind"), "VirtualMachine")) {
		/* KubeVirt's CRD defaults it (kubevirt.md 5). */
		json_object_set_new(o, "status", json_pack("{s:s}", "printableStatus", "Stopped"));
	}
}

/* A change of the spec counts up the generation. */
static void grow_older(json_t *o, const json_t *was)
{
	json_t *metadata = json_object_get(o, "metadata");
	json_int_t generation = json_integer_value(json_object_get(metadata, "generation"));

	if (generation && !json_equal(json_object_get(o, "spec"), json_object_get(was, "spec"))) {
		json_object_set_new(metadata, "generation", json_integer(generation + 1));
	}
}

static void forget(json_t *world, const json_t *o)
{
	for (size_t i = 0; o && i < json_array_size(world); i++) {
		if (json_array_get(world, i) == o) {
			json_array_remove(world, i);
			return;
		}
	}
}

/* What is being deleted goes with its last finalizer. */
static bool is_let_go(const json_t *o)
{
	const json_t *metadata = json_object_get(o, "metadata");

	return json_object_get(metadata, "deletionTimestamp") &&
	       !json_array_size(json_object_get(metadata, "finalizers"));
}

static void carry_apply(json_t *world, const json_t *action, const struct kube_kind *const *kinds)
{
	const json_t *body = json_object_get(action, "apply");
	json_t *target = cases_target(body), *was = cases_find(world, target), *now;
	const struct kube_kind *kind = kind_of(kinds, body);

	json_decref(target);
	now = cases_merge_patch(was, body);
	if (!was) {
		be_born(now);
	}
	if (str_eq(text(action, "manager"), "vmgpu")) {
		json_t *fields = json_loads(text(action, "fields"), 0, NULL);

		take_away(now, our_fields(was), fields);
		json_decref(fields);
		annotate(now, text(action, "intent"));
		managed_by_us(now, text(action, "fields"));
	}
	if (!kind || !kind->type) {
		json_decref(now); /* Secrets: nobody reads them */
		return;
	}
	grow_older(now, was ? was : now);
	store(world, now, was);
	if (is_let_go(now)) {
		forget(world, now);
	}
}

static void carry_out(json_t *world, const json_t *action, const struct kube_kind *const *kinds,
		      const json_t *when)
{
	json_t *v, *o;

	if (json_object_get(action, "apply")) {
		carry_apply(world, action, kinds);
	} else if ((v = json_object_get(action, "merge"))) {
		o = cases_find(world, json_object_get(v, "target"));
		if (o) {
			json_t *now = cases_merge_patch(o, json_object_get(v, "body"));

			grow_older(now, o);
			store(world, now, o);
		}
	} else if ((v = json_object_get(action, "status"))) {
		o = cases_find(world, when);
		if (o) {
			store(world, cases_merge_patch(o, json_object_get(v, "body")), o);
		}
	} else if ((v = json_object_get(action, "delete"))) {
		forget(world, cases_find(world, json_object_get(v, "target")));
	}
}

void cases_carry_out(json_t *world, const json_t *actions, size_t n,
		     const struct kube_kind *const *kinds, const json_t *when)
{
	for (size_t i = 0; i < n; i++) {
		carry_out(world, json_array_get(actions, i), kinds, when);
	}
}

static json_t *timeless(const json_t *o)
{
	json_t *copy = json_deep_copy(o), *c;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(copy, "status"), "conditions"), i, c) {
		json_object_del(c, "lastTransitionTime");
	}
	return copy;
}

static bool equal_objects(const json_t *a, const json_t *b, bool times)
{
	json_t *x = times ? json_incref((json_t *)a) : timeless(a);
	json_t *y = times ? json_incref((json_t *)b) : timeless(b);
	bool equal = json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return equal;
}

bool cases_same_world(const json_t *a, const json_t *b, bool times)
{
	json_t *o;
	size_t i;

	if (json_array_size(a) != json_array_size(b)) {
		return false;
	}
	json_array_foreach((json_t *)a, i, o) {
		json_t *target = cases_target(o);
		const json_t *other = cases_find(b, target);

		json_decref(target);
		if (!other || !equal_objects(o, other, times)) {
			return false;
		}
	}
	return true;
}

/* --- same ---------------------------------------------------------------------------------- */

static bool is_same(const json_t *v)
{
	return str_eq(json_string_value(v), "same");
}

static const char *mark_of(const json_t *o)
{
	return text(json_object_get(json_object_get(o, "metadata"), "annotations"),
		    INTENT_ANNOTATION);
}

bool cases_marked_same(const json_t *o)
{
	return str_eq(mark_of(o), "same");
}

/* Takes every "same" and every mark out. */
static void strip(json_t *v)
{
	const char *key;
	json_t *child;
	void *tmp;
	size_t i;

	json_array_foreach(v, i, child) {
		strip(child);
	}
	json_object_foreach_safe(v, tmp, key, child)
	{
		if (is_same(child) || str_eq(key, INTENT_ANNOTATION)) {
			json_object_del(v, key);
		} else {
			strip(child);
		}
	}
}

json_t *cases_without_same(const json_t *given)
{
	json_t *copy = json_deep_copy(given);

	strip(copy);
	return copy;
}

static const json_t *action_for(const json_t *first, const json_t *o)
{
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)first, i, a) {
		if (str_eq(text(a, "manager"), "vmgpu") &&
		    cases_same_object(json_object_get(a, "apply"), o)) {
			return a;
		}
	}
	return NULL;
}

const json_t *cases_apply_for(const json_t *first, const json_t *o)
{
	return json_object_get(action_for(first, o), "apply");
}

/* Owner references are a list with keys: those of others may stand beside ours. */
static bool all_in(const json_t *list, const json_t *wanted)
{
	json_t *want, *have;
	size_t i, k;

	json_array_foreach((json_t *)wanted, i, want) {
		bool found = false;

		json_array_foreach((json_t *)list, k, have) {
			found |= json_equal(have, want);
		}
		if (!found) {
			return false;
		}
	}
	return true;
}

bool cases_stands_in(const json_t *o, const json_t *body)
{
	const char *key;
	json_t *v;

	if (!json_is_object(body)) {
		return json_equal(o, body);
	}
	json_object_foreach((json_t *)body, key, v) {
		const json_t *have = json_object_get(o, key);
		bool shown = str_eq(key, "resourceVersion") ||
			     (str_eq(key, "ownerReferences") ? all_in(have, v)
							     : cases_stands_in(have, v));

		if (!shown) {
			return false;
		}
	}
	return json_is_object(o);
}

/* One field of ours belongs to somebody else now. */
static void lose_field(json_t *o)
{
	json_t *spec = json_object_get((json_t *)our_fields(o), "f:spec");
	const char *key = json_object_iter_key(json_object_iter(spec));

	if (key) {
		json_object_del(spec, key);
	}
}

/*
 * Another wish than today's: all that the object shows was of that apply, but for the number of a
 * MachineDeployment's workers, which is its scaler's.
 */
static void apply_long_ago(json_t *o, const struct kube_kind *const *kinds)
{
	const struct kube_kind *kind = kind_of(kinds, o);
	auto_buf struct buf fields = {.max = MiB};
	json_t *ours;

	annotate(o, "0123456789abcdef");
	if (kind) {
		ours = json_deep_copy(o);
		if (str_eq(kind->kind, "MachineDeployment")) {
			json_object_del(json_object_get(ours, "spec"), "replicas");
		}
		intent_fields(kind, ours, true, &fields);
		managed_by_us(o, buf_text(&fields));
		json_decref(ours);
	}
}

static void restore_intent(json_t *o, const char *mark, const json_t *first,
			   const struct kube_kind *const *kinds)
{
	const json_t *a = action_for(first, o);

	if (!a || str_eq(mark, "old")) {
		apply_long_ago(o, kinds);
		return;
	}
	annotate(o, text(a, "intent"));
	managed_by_us(o, text(a, "fields"));
	if (str_eq(mark, "drifted")) {
		lose_field(o);
	}
}

/* Puts what stands at the same place of `from` where `to` says "same"; conditions are found by
 * type. */
static void restore_values(json_t *to, const json_t *from)
{
	const char *key;
	json_t *child;
	size_t i;

	json_object_foreach(to, key, child) {
		if (is_same(child)) {
			json_object_set(to, key,
					json_object_get(from, key) ? json_object_get(from, key)
								   : json_null());
		} else {
			restore_values(child, json_object_get(from, key));
		}
	}
	json_array_foreach(to, i, child) {
		json_t *candidate;
		size_t k;

		json_array_foreach((json_t *)from, k, candidate) {
			if (text(child, "type") &&
			    str_eq(text(child, "type"), text(candidate, "type"))) {
				restore_values(child, candidate);
			}
		}
	}
}

/* The last: those before it say what is about to be done. */
static const json_t *status_patch(const json_t *first)
{
	const json_t *patch = NULL;
	json_t *a, *v;
	size_t i;

	json_array_foreach((json_t *)first, i, a) {
		if ((v = json_object_get(a, "status"))) {
			patch = json_object_get(v, "body");
		}
	}
	return patch;
}

json_t *cases_with_intents(const json_t *given, const json_t *first,
			   const struct kube_kind *const *kinds)
{
	json_t *world = cases_without_same(given), *o;
	size_t i;

	json_array_foreach(world, i, o) {
		const char *mark = mark_of(json_array_get(given, i));

		if (mark) {
			restore_intent(o, mark, first, kinds);
		}
	}
	return world;
}

json_t *cases_with_same(const json_t *given, const json_t *world, const json_t *second,
			const json_t *when)
{
	const json_t *patch = status_patch(second);
	json_t *result = json_deep_copy(world), *own = cases_find(result, when);
	const json_t *was = cases_find(given, when);

	if (own && json_object_get(was, "status")) {
		json_t *status = json_deep_copy(json_object_get(was, "status"));

		restore_values(status, json_object_get(patch, "status"));
		json_object_set_new(own, "status", status);
	}
	return result;
}
