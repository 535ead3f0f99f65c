/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/act.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "json/scan.h"
#include "json/write.h"
#include "kube/intent.h"

#define REQUEST_TIMEOUT_MS INT64_C(30000)
#define BODY_MAX (8 * MiB) /* the API server takes 3 MiB */

struct act {
	struct act_env env;
	const struct kube_kind *primary;
	struct key key;
	struct plan *plan;
	bool only_status;
	void (*done)(void *ctx, const struct act_end *end);
	void *ctx;
	size_t next;
	bool looked; /* at what the next action is about */
	char *uid;   /* as it was seen then; NULL: it was not there */
	int64_t again_ms;
	bool unconditional; /* what ended it, see act.h */
	bool sure;
	unsigned sent;
	struct buf path, query, body;
};

static void step(struct act *a);

static void finish(struct act *a, enum act_result result, const struct action *action,
		   const char *trouble)
{
	struct act_end end = {
		.result = result,
		.again_ms = a->again_ms,
		.trouble = trouble,
		.unconditional = a->unconditional,
		.sure = a->sure,
		.action = action,
		.sent = a->sent,
	};

	a->done(a->ctx, &end);
	buf_finish(&a->path);
	buf_finish(&a->query);
	buf_finish(&a->body);
	free(a->uid);
	free(a);
}

/* --- answers ------------------------------------------------------------------------------- */

struct put_ctx {
	struct act *act;
	const struct action *action;
};

static void put_object(void *ctx, const struct scan_event *event)
{
	struct put_ctx *p = ctx;
	const struct obj *o = event->object;

	if (event->type != SCAN_ITEM || str_empty(o->name)) {
		return;
	}
	cache_answered(p->act->env.cache, p->action->kind, o);
	if (p->action->what == ACTION_APPLY && str_eq(p->action->manager, OBJ_MANAGER)) {
		intent_answered(p->act->env.cache, p->action->kind, p->action->body, o);
	}
}

/* Our own write, as the server stored it. */
static void take_in(struct act *a, const struct action *action, const struct http_answer *answer)
{
	struct put_ctx put = {.act = a, .action = action};
	struct scan *s;

	if (!action->kind->type && action->what == ACTION_APPLY) {
		intent_answered(a->env.cache, action->kind, action->body, NULL);
	}
	if (!action->kind->type || !answer->length) {
		return;
	}
	s = scan_create(action->kind->type, SCAN_OBJECT, put_object, &put);
	if (scan_feed(s, answer->body, answer->length, NULL) == 0) {
		scan_end(s, NULL);
	}
	scan_destroy(s);
}

/* The message of a Status, else what we know of the answer. */
static const char *sentence(struct act *a, const struct action *action,
			    const struct http_answer *answer)
{
	struct arena *arena = a->plan->arena;
	json_t *status = answer->length ? json_loadb(answer->body, answer->length, 0, NULL) : NULL;
	const char *message = json_string_value(json_object_get(status, "message"));
	const char *text;

	if (answer->status == 0) {
		text = arena_printf(arena, "the API server did not answer: %s", answer->error);
	} else if (message) {
		text = arena_strdup(arena, message);
	} else {
		text = arena_printf(arena, "the API server answered %d", answer->status);
	}
	json_decref(status);
	return arena_printf(arena, "%s %s: %s", action->kind->kind, action->name, text);
}

static void advance(struct act *a)
{
	a->next++;
	a->looked = false;
	free(take(a->uid));
}

/*
 * What is not cached is known by our last apply alone. That is no knowledge any more once another
 * write is on its way (what has no answer may have been carried out), nor when the look finds
 * somebody else's.
 */
static void forget(struct act *a, const struct action *action)
{
	if (!action->kind->type) {
		cache_learn_owned(a->env.cache, action->kind, action->ns, action->name, 0);
	}
}

enum verdict { GOOD, GONE, CONFLICT, REFUSED, BROKEN };

/*
 * What an object's schema does not have is refused with 500: structured-merge-diff's error ("field
 * not declared in schema", "duplicate entries for key") has no status of its own, and the API server
 * puts these words before it (kubernetes, managedfields/internal/structuredmerge.go).
 */
static bool is_of_schema(const struct action *action, const struct http_answer *answer)
{
	static const char words[] = "failed to create typed patch object";

	return answer->status == 500 && action->what == ACTION_APPLY &&
	       memmem(answer->body, answer->length, words, strlen(words));
}

/*
 * 409: an apply is forced, so it is the resourceVersion in the body that no longer holds: somebody
 * was faster; is_conditional says whether there is one. Other 4xx than 401, 408 and 429 will be the same next time: a refusal, worth telling
 * the user.
 */
static enum verdict judge(const struct action *action, const struct http_answer *answer)
{
	int status = answer->status;

	if (status >= 200 && status < 300) {
		return GOOD;
	}
	if (status == 404 && (action->what == ACTION_DELETE || action->what == ACTION_STATUS ||
			      action->what == ACTION_MERGE)) {
		return GONE;
	}
	if (status == 409) {
		return CONFLICT;
	}
	if (status >= 400 && status < 500 && status != 401 && status != 408 && status != 429) {
		return REFUSED;
	}
	if (is_of_schema(action, answer)) {
		return REFUSED;
	}
	return BROKEN;
}

/* Whether what we asked for in a 409 can have been the reason of it. */
static bool is_conditional(const struct act *a, const struct action *action,
			   const struct http_answer *answer)
{
	/* apiserver, webhook errors.ToStatusErr: whatever its code */
	static const char webhook[] = "admission webhook ";
	const json_t *metadata = json_object_get(action->body, "metadata");

	return (a->uid || action->uid || action->rv ||
		json_object_get(metadata, "resourceVersion") || json_object_get(metadata, "uid")) &&
	       !memmem(answer->body, answer->length, webhook, strlen(webhook));
}

static void answered(void *ctx, const struct http_answer *answer)
{
	struct act *a = ctx;
	const struct action *action = &a->plan->actions[a->next];
	enum verdict verdict = judge(action, answer);
	const char *trouble =
		verdict == GOOD || verdict == GONE ? NULL : sentence(a, action, answer);

	if (a->env.log) {
		a->env.log(a->env.ctx, action, trouble);
	}
	switch (verdict) {
	case GOOD:
		take_in(a, action, answer);
		__attribute__((fallthrough));
	case GONE:
		advance(a);
		step(a);
		return;
	case CONFLICT:
		a->unconditional = !is_conditional(a, action, answer);
		finish(a, ACT_AGAIN, action, trouble);
		return;
	case REFUSED:
		finish(a, ACT_REFUSED, action, trouble);
		return;
	case BROKEN:
		finish(a, ACT_FAILED, action, trouble);
		return;
	}
}

/* --- bodies -------------------------------------------------------------------------------- */

static json_t *request_body(const struct act *a, const struct action *action)
{
	const char *uid = a->uid ? a->uid : action->uid;

	if (action->what == ACTION_DELETE) {
		json_t *body = json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind",
					 "DeleteOptions", "propagationPolicy", "Background");
		json_t *conditions = json_object();

		if (uid) {
			json_object_set_new(conditions, "uid", json_string(uid));
		}
		if (action->rv) {
			json_object_set_new(conditions, "resourceVersion", json_string(action->rv));
		}
		json_object_set_new(body, "preconditions", conditions);
		return body;
	}
	if (a->uid) { /* else it is another one by now: 409 */
		json_t *body = json_deep_copy(action->body);

		json_object_set_new(json_object_get(body, "metadata"), "uid", json_string(uid));
		return body;
	}
	return json_incref(action->body);
}

/* --- what is not cached ---------------------------------------------------------------------- */

static bool has_owner(const json_t *metadata, const char *uid)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(metadata, "ownerReferences"), i, one) {
		if (str_eq(json_string_value(json_object_get(one, "uid")), uid)) {
			return true;
		}
	}
	return false;
}

/* Made by Helm, by the release of this name, and nobody's child: what Cozystack's chart left. */
static bool is_of_release(const json_t *metadata, const char *release)
{
	const json_t *labels = json_object_get(metadata, "labels");
	const char *by = json_string_value(json_object_get(labels, "app.kubernetes.io/managed-by")),
		   *of = json_string_value(json_object_get(labels, "app.kubernetes.io/instance"));

	return !json_array_size(json_object_get(metadata, "ownerReferences")) &&
	       str_eq(by, "Helm") && release && str_eq(of, release);
}

/* What a look found out, and ends or skips the write: as an answer to that would be told. */
static const char *told(const struct act *a, const struct action *action, const char *trouble)
{
	if (a->env.log) {
		a->env.log(a->env.ctx, action, trouble);
	}
	return trouble;
}

/* What we were about to write is not ours. */
static void is_foreign(struct act *a, const struct action *action)
{
	forget(a, action);
	if (action->what == ACTION_DELETE) {
		told(a, action, "it is somebody else's: it is left as it is");
		advance(a); /* ours has gone, this one stays */
		step(a);
	} else {
		finish(a, ACT_REFUSED, action,
		       told(a, action,
			    arena_printf(
				    a->plan->arena,
				    "%s %s is there and is somebody else's: it is left as it is; remove it, or take another name",
				    action->kind->kind, action->name)));
	}
}

static void looked_at(struct act *a, const struct action *action, const json_t *metadata)
{
	const char *uid = json_string_value(json_object_get(metadata, "uid"));

	if (has_owner(metadata, action->unseen_owner) ||
	    is_of_release(metadata, action->unseen_release)) {
		a->uid = xstrdup(uid ? uid : "");
		a->looked = true;
		step(a);
	} else {
		is_foreign(a, action);
	}
}

/* So says the admission policy of our chart, which keeps us from so much as looking at it. */
static bool policy_says_foreign(const struct http_answer *answer)
{
	static const char words[] = " is somebody else's: ";

	return answer->status == 403 && memmem(answer->body, answer->length, words, strlen(words));
}

/* That it was the look which failed, not the write: nothing of that went out. */
static const char *look_sentence(struct act *a, const struct action *action,
				 const struct http_answer *answer)
{
	const char *text = answer->status / 100 == 2
				   ? arena_printf(a->plan->arena, "%s %s: the answer is no object",
						  action->kind->kind, action->name)
				   : sentence(a, action, answer);

	return arena_printf(a->plan->arena, "%s (at the look before the write)", text);
}

static void look_answered(void *ctx, const struct http_answer *answer)
{
	struct act *a = ctx;
	const struct action *action = &a->plan->actions[a->next];
	json_t *object;

	if (answer->status == 404) {
		a->looked = true; /* a DELETE then says the same */
		step(a);
		return;
	}
	if (policy_says_foreign(answer)) {
		is_foreign(a, action);
		return;
	}
	object = answer->status / 100 == 2 ? json_loadb(answer->body, answer->length, 0, NULL)
					   : NULL;
	if (object) {
		looked_at(a, action, json_object_get(object, "metadata"));
	} else {
		enum verdict verdict = judge(action, answer);

		finish(a, verdict == REFUSED ? ACT_REFUSED : ACT_FAILED, action,
		       told(a, action, look_sentence(a, action, answer)));
	}
	json_decref(object);
}

/*
 * A patch of nothing that is not carried out: it needs no right that we do not have anyway, and its
 * answer is asked for without the content.
 */
static void look(struct act *a, const struct action *action, int64_t left)
{
	buf_reset(&a->path);
	kind_path(action->kind, cache_version(a->env.cache, action->kind), action->ns, action->name,
		  NULL, &a->path);
	http_start(a->env.http,
		   &(struct http_call){
			   .method = "PATCH",
			   .path = buf_text(&a->path),
			   .query = "dryRun=All&fieldManager=vmgpu",
			   .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
			   .content_type = "application/merge-patch+json",
			   .body = "{}",
			   .length = 2,
			   .timeout_ms = left,
			   .done = look_answered,
			   .ctx = a,
			   .verb = "patch",
			   .resource = action->kind->plural,
		   });
}

/* --- is its owner still there ---------------------------------------------------------------- */

/* As it is cached, and not on its way out. */
static bool is_alive(const struct act *a, const json_t *metadata)
{
	const struct obj *o = cache_get(a->env.cache, a->primary, a->key.ns, a->key.name);

	return o && str_eq(json_string_value(json_object_get(metadata, "uid")), o->uid) &&
	       !json_object_get(metadata, "deletionTimestamp");
}

/*
 * A write of the very object of the pass, by its uid: it makes nothing that is not there, and may be
 * what an object that is going waits for (a finalizer that is taken off).
 */
static bool makes_nothing(const struct act *a, const struct action *action)
{
	const json_t *metadata = json_object_get(action->body, "metadata");

	return action->kind == a->primary && str_eq(action->name, a->key.name) &&
	       str_eq(action->ns, a->key.ns) && json_object_get(metadata, "uid");
}

static void owner_answered(void *ctx, const struct http_answer *answer)
{
	struct act *a = ctx;
	const struct action *action = &a->plan->actions[a->next];
	json_t *object = answer->status / 100 == 2
				 ? json_loadb(answer->body, answer->length, 0, NULL)
				 : NULL;

	a->sure = is_alive(a, json_object_get(object, "metadata"));
	if (a->sure) {
		step(a);
	} else if (object || answer->status == 404) {
		finish(a, ACT_AGAIN, action,
		       told(a, action,
			    arena_printf(a->plan->arena,
					 "%s %s has gone or is going: nothing is made for it",
					 a->primary->kind, a->key.name)));
	} else {
		finish(a, ACT_FAILED, action, told(a, action, look_sentence(a, action, answer)));
	}
	json_decref(object);
}

static void look_at_owner(struct act *a, int64_t left)
{
	buf_reset(&a->path);
	kind_path(a->primary, cache_version(a->env.cache, a->primary), a->key.ns, a->key.name, NULL,
		  &a->path);
	http_start(a->env.http,
		   &(struct http_call){
			   .method = "GET",
			   .path = buf_text(&a->path),
			   .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
			   .timeout_ms = left,
			   .done = owner_answered,
			   .ctx = a,
			   .verb = "get",
			   .resource = a->primary->plural,
		   });
}

/* --- requests ------------------------------------------------------------------------------ */

static void send_request(struct act *a, const struct action *action, int64_t left)
{
	static const struct {
		const char *method, *content_type, *verb;
	} forms[] = {
		[ACTION_APPLY] = {"PATCH", "application/apply-patch+yaml", "apply"},
		[ACTION_MERGE] = {"PATCH", "application/merge-patch+json", "patch"},
		[ACTION_STATUS] = {"PATCH", "application/merge-patch+json", "patch"},
		[ACTION_DELETE] = {"DELETE", "application/json", "delete"},
	};
	const char *version = cache_version(a->env.cache, action->kind);
	json_t *body = request_body(a, action);

	buf_reset(&a->body);
	json_write(body, &a->body);
	json_decref(body);
	if (!buf_ok(&a->body)) {
		finish(a, ACT_REFUSED, action,
		       "its body is larger than 8 MiB, which no API server takes");
		return;
	}
	buf_reset(&a->path);
	buf_reset(&a->query);
	kind_path(action->kind, version, action->ns, action->name,
		  action->what == ACTION_STATUS ? "status" : NULL, &a->path);
	if (action->what != ACTION_DELETE) {
		buf_printf(&a->query, "fieldManager=%s",
			   action->manager ? action->manager : "vmgpu");
	}
	if (action->what == ACTION_APPLY) {
		/*
		 * What this server's schema does not have is refused, not lost, whatever is asked
		 * for: no field of an apply can be owned without a schema (structured-merge-diff:
		 * "field not declared in schema"). Asking for Strict, or for the default Warn, only
		 * has the server parse the body once more.
		 */
		buf_str(&a->query, "&force=true&fieldValidation=Ignore");
	}
	forget(a, action);
	a->sent++;
	http_start(a->env.http, &(struct http_call){
					.method = forms[action->what].method,
					.path = buf_text(&a->path),
					.query = a->query.len ? buf_text(&a->query) : NULL,
					.content_type = forms[action->what].content_type,
					.body = buf_text(&a->body),
					.length = a->body.len,
					.timeout_ms = left,
					.done = answered,
					.ctx = a,
					.verb = forms[action->what].verb,
					.resource = action->kind->plural,
				});
}

/* How long a write may take: for none, not once the Lease is over. By the clock as it is now: this
 * turn may have begun before the process was stopped. */
static int64_t time_left(const struct act *a)
{
	return a->env.lease ? MIN(lease_left(a->env.lease, clock_boot_ms()), REQUEST_TIMEOUT_MS)
			    : REQUEST_TIMEOUT_MS;
}

static bool skipped(const struct act *a, const struct action *action)
{
	return a->only_status && action->what != ACTION_STATUS && action->what != ACTION_EVENT;
}

/* Does what needs no request at once, sends the next that does, or ends. */
static void step(struct act *a)
{
	for (; a->next < a->plan->n; a->next++) {
		const struct action *action = &a->plan->actions[a->next];
		int64_t left;

		if (skipped(a, action)) {
			continue;
		}
		if (action->what == ACTION_AGAIN) {
			a->again_ms = a->again_ms < 0 ? action->after_ms
						      : MIN(a->again_ms, action->after_ms);
			continue;
		}
		left = time_left(a);
		if (left <= 0) {
			finish(a, ACT_FENCED, action, NULL);
			return;
		}
		if (action->what == ACTION_EVENT) {
			if (a->env.event) {
				a->env.event(a->env.ctx, a->primary, &a->key, action);
			}
			continue;
		}
		if (!cache_version(a->env.cache, action->kind)) {
			/* The kind went away between plan and act: its coming back wakes the pass.
			 */
			continue;
		}
		if (a->env.doubt && !a->sure && action->what == ACTION_APPLY &&
		    !makes_nothing(a, action)) {
			look_at_owner(a, left);
		} else if (action->unseen_owner && !a->looked) {
			look(a, action, left);
		} else {
			send_request(a, action, left);
		}
		return;
	}
	finish(a, ACT_DONE, NULL, NULL);
}

void act_start(const struct act_env *env, const struct kube_kind *primary, struct key key,
	       struct plan *plan, bool only_status,
	       void (*done)(void *ctx, const struct act_end *end), void *ctx)
{
	struct act *a = xcalloc(1, sizeof(*a));

	*a = (struct act){
		.env = *env,
		.primary = primary,
		.key = key,
		.plan = plan,
		.only_status = only_status,
		.done = done,
		.ctx = ctx,
		.again_ms = -1,
	};
	buf_init(&a->path, 64 * KiB);
	buf_init(&a->query, 64 * KiB);
	buf_init(&a->body, BODY_MAX);
	step(a);
}
