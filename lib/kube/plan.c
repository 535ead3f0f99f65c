/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/plan.h"

#include <stdlib.h>
#include <string.h>

#include "kube/intent.h"

#define PLAN_STALE_MS 1000

void plan_init(struct plan *p, struct arena *a, const struct cache *c)
{
	*p = (struct plan){.arena = a, .cache = c};
}

void plan_finish(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		json_decref(p->actions[i].body);
	}
	free(take(p->actions));
	p->n = p->size = 0;
}

static const char *copy(struct plan *p, const char *s)
{
	return s ? arena_strdup(p->arena, s) : NULL;
}

static struct action *add(struct plan *p, enum action_what what, const struct kube_kind *k,
			  const char *ns, const char *name, json_t *body_new, const char *why)
{
	struct action *a;

	if (p->n == p->size) {
		p->size = MAX(p->size * 2, (size_t)8);
		p->actions = xrealloc(p->actions, p->size * sizeof(*p->actions));
	}
	a = &p->actions[p->n++];
	*a = (struct action){
		.what = what,
		.kind = k,
		.ns = copy(p, ns),
		.name = copy(p, name),
		.body = body_new,
		.why = copy(p, why),
	};
	return a;
}

static const char *meta_string(json_t *body, const char *key)
{
	return json_string_value(json_object_get(json_object_get(body, "metadata"), key));
}

/* apiVersion and kind, where the plan left them to us: the version that is served. */
static void complete(const struct plan *p, const struct kube_kind *k, json_t *body)
{
	auto_buf struct buf version = {.max = KiB};

	if (!json_object_get(body, "apiVersion")) {
		kind_api_version(k, cache_version(p->cache, k), &version);
		json_object_set_new(body, "apiVersion", json_string(buf_text(&version)));
	}
	if (!json_object_get(body, "kind")) {
		json_object_set_new(body, "kind", json_string(k->kind));
	}
}

static struct action *add_apply(struct plan *p, const struct kube_kind *k, const char *manager,
				json_t *body_new, const char *why)
{
	struct action *a = add(p, ACTION_APPLY, k, meta_string(body_new, "namespace"),
			       meta_string(body_new, "name"), body_new, why);

	a->manager = manager;
	return a;
}

struct action *plan_apply(struct plan *p, const struct kube_kind *k, const char *manager,
			  json_t *body_new, const char *why)
{
	const char *ns = meta_string(body_new, "namespace"), *name = meta_string(body_new, "name");
	bool ours = str_eq(manager, OBJ_MANAGER);

	complete(p, k, body_new);
	if (ours) {
		const struct obj *have = k->type ? cache_get(p->cache, k, ns, name) : NULL;

		intent_stamp(k, body_new);
		if (intent_shown(p->cache, k, have, body_new)) {
			json_decref(body_new);
			return NULL;
		}
	}
	return add_apply(p, k, manager, body_new, why);
}

struct action *plan_apply_stamped(struct plan *p, const struct kube_kind *k, json_t *body_new,
				  const char *why)
{
	complete(p, k, body_new);
	return add_apply(p, k, OBJ_MANAGER, body_new, why);
}

void plan_unseen(struct plan *p, struct action *a, const char *owner_uid, const char *release)
{
	if (a) {
		a->unseen_owner = copy(p, owner_uid);
		a->unseen_release = copy(p, release);
	}
}

struct action *plan_merge(struct plan *p, const struct kube_kind *k, const char *ns,
			  const char *name, json_t *body_new, const char *why)
{
	return add(p, ACTION_MERGE, k, ns, name, body_new, why);
}

struct action *plan_status(struct plan *p, const struct kube_kind *k, const char *ns,
			   const char *name, json_t *status_new, const char *why)
{
	return add(p, ACTION_STATUS, k, ns, name, json_pack("{s:o}", "status", status_new), why);
}

/* The JSON merge patch (RFC 7386) that turns one object into the other. A new reference. */
static json_t *difference(json_t *from, json_t *to)
{
	json_t *patch = json_object(), *one;
	const char *key;

	json_object_foreach(from, key, one) {
		if (!json_object_get(to, key)) {
			json_object_set_new(patch, key, json_null());
		}
	}
	json_object_foreach(to, key, one) {
		json_t *was = json_object_get(from, key);

		if (json_equal(was, one)) {
			continue;
		}
		json_object_set_new(patch, key,
				    json_is_object(was) && json_is_object(one)
					    ? difference(was, one)
					    : json_incref(one));
	}
	return patch;
}

struct action *plan_status_of(struct plan *p, const struct kube_kind *k, const struct obj *o,
			      const struct type *t, const void *old, const void *status,
			      const char *why)
{
	struct action *a = NULL;
	json_t *from, *to, *patch;

	if (old && type_equal(t, old, status)) {
		return NULL;
	}
	from = old ? type_json(t, old) : json_object();
	to = type_json(t, status);
	patch = difference(from, to);
	if (json_object_size(patch)) {
		a = plan_status(p, k, o->ns, o->name, json_incref(patch), why);
	}
	json_decref(patch);
	json_decref(from);
	json_decref(to);
	return a;
}

struct action *plan_delete(struct plan *p, const struct kube_kind *k, const struct obj *o,
			   const char *why)
{
	struct action *a;

	if (o->deleting) {
		return NULL;
	}
	if (!cache_caught_up(p->cache, k, o->ns, o->name)) {
		plan_again(p, PLAN_STALE_MS, "our own last write has not come back yet");
		return NULL;
	}
	a = add(p, ACTION_DELETE, k, o->ns, o->name, NULL, why);
	a->uid = copy(p, o->uid);
	a->rv = copy(p, o->rv);
	return a;
}

void plan_event(struct plan *p, bool warning, const char *reason, const char *why)
{
	struct action *a = add(p, ACTION_EVENT, NULL, NULL, NULL, NULL, why);

	a->warning = warning;
	a->reason = copy(p, reason);
}

void plan_again(struct plan *p, int64_t after_ms, const char *why)
{
	struct action *a = add(p, ACTION_AGAIN, NULL, NULL, NULL, NULL, why);

	a->after_ms = after_ms;
}
