/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a plan: which requests go out, and how each answer is judged.
 */
#include "kube/act.h"

#include <unistd.h>

#include "base/clock.h"
#include "kube/bodies_test.h"
#include "kube/http_test.h"
#include "kube/intent.h"
#include "kube/thing_test.h"

/* Not cached, as a Secret. */
static const struct kube_kind unseen = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Unseen",
	.plural = "unseens",
	.namespaced = true,
};
static const struct kube_kind *const kinds[] = {&thing, &unseen, NULL};
static const struct obj object = {.name = "x", .ns = "n", .uid = "u", .rv = "7"};

static struct cache *cache;
static struct arena arena;
static struct plan plan;
static struct lease *lease;
static struct act_end got;
static char trouble[ERR_MAX];
static bool ended;

static int answer_status, look_status;
static const char *answer_body, *look_body;
static int owner_status, n_asked;
static const char *owner_body;
static bool in_doubt;

static void answer(struct srv_request *r)
{
	if (str_eq(r->method, "GET")) {
		n_asked++;
		has(r->path, "/things/x");
		srv_reply(r, owner_status, NULL, owner_body);
		return;
	}
	if (strstr(r->path, "dryRun=All")) {
		bool patch = str_eq(r->method, "PATCH");

		srv_reply(r, patch ? look_status : 405, NULL, look_body ? look_body : "{}");
		return;
	}
	if (!str_eq(r->method, strstr(r->path, "fieldManager=") ? "PATCH" : "DELETE")) {
		srv_reply(r, 405, NULL, "{}");
		return;
	}
	srv_reply(r, answer_status, NULL, answer_body ? answer_body : "{}");
}

static void forget(void)
{
	plan_finish(&plan);
	arena_finish(&arena);
	cache = cache_destroy(cache);
	lease = lease_destroy(lease);
}

static void start_plan(void)
{
	static bool registered;

	if (!registered) {
		registered = true;
		atexit(forget);
	}
	forget();
	begin(answer);
	cache = cache_create(kinds);
	cache_set_served(cache, &thing, "v1");
	cache_set_served(cache, &unseen, "v1");
	arena_init(&arena, MiB);
	plan_init(&plan, &arena, cache);
}

static json_t *body(void)
{
	return json_pack("{s:{s:s, s:s}}", "metadata", "name", "x", "namespace", "n");
}

static void add(enum action_what what)
{
	if (what == ACTION_APPLY) {
		plan_apply(&plan, &thing, "vmgpu", body(), "wanted");
	} else if (what == ACTION_MERGE) {
		plan_merge(&plan, &thing, "n", "x", body(), "wanted");
	} else if (what == ACTION_STATUS) {
		plan_status(&plan, &thing, "n", "x", json_pack("{s:i}", "a", 1), "changed");
	} else {
		plan_delete(&plan, &thing, &object, "not wanted");
	}
}

static void done(void *ctx attr_unused, const struct act_end *end)
{
	got = *end;
	snprintf(trouble, sizeof(trouble), "%s", end->trouble ? end->trouble : "");
	ended = true;
}

static char told[ERR_MAX]; /* to the log, the last; "": that all is well */
static int n_told;

static void note(void *ctx attr_unused, const struct action *action, const char *text)
{
	ok(action);
	snprintf(told, sizeof(told), "%s", text ? text : "");
	n_told++;
}

static void carry_out(bool only_status)
{
	const struct act_env env = {
		.http = http, .cache = cache, .lease = lease, .log = note, .doubt = in_doubt};

	n_told = 0;
	ended = false;
	act_start(&env, &thing, (struct key){"n", "x"}, &plan, only_status, done, NULL);
	wait_for(ended);
}

#define SCHEMA                                                                                     \
	"{\"message\":\"failed to create typed patch object (n/x; test.io/v1, Kind=Thing): .spec.a: field not declared in schema\"}"

static void each_answer_is_judged(void)
{
	static const struct {
		enum action_what what;
		int status;
		const char *body;
		enum act_result want;
	} rows[] = {
		{ACTION_APPLY, 200, NULL, ACT_DONE},
		{ACTION_APPLY, 201, NULL, ACT_DONE},
		{ACTION_APPLY, 299, NULL, ACT_DONE},
		{ACTION_APPLY, 300, NULL, ACT_FAILED},
		{ACTION_APPLY, 399, NULL, ACT_FAILED},
		{ACTION_APPLY, 499, NULL, ACT_REFUSED},
		{ACTION_APPLY, 500, NULL, ACT_FAILED},
		{ACTION_APPLY, 404, NULL, ACT_REFUSED}, /* its namespace */
		{ACTION_MERGE, 404, NULL, ACT_DONE},
		{ACTION_STATUS, 404, NULL, ACT_DONE},
		{ACTION_DELETE, 404, NULL, ACT_DONE},
		{ACTION_MERGE, 409, NULL, ACT_AGAIN},
		{ACTION_APPLY, 409, NULL, ACT_AGAIN},
		{ACTION_APPLY, 400, NULL, ACT_REFUSED},
		{ACTION_APPLY, 403, NULL, ACT_REFUSED},
		{ACTION_APPLY, 422, "{\"message\":\"spec.a: Invalid\"}", ACT_REFUSED},
		{ACTION_APPLY, 401, NULL, ACT_FAILED},
		{ACTION_APPLY, 408, NULL, ACT_FAILED},
		{ACTION_APPLY, 429, NULL, ACT_FAILED},
		{ACTION_APPLY, 503, NULL, ACT_FAILED},
		{ACTION_APPLY, 500, "{\"message\":\"etcdserver: request timed out\"}", ACT_FAILED},
		{ACTION_APPLY, 500, SCHEMA, ACT_REFUSED},
		{ACTION_MERGE, 500, SCHEMA, ACT_FAILED}, /* only an apply has a typed patch */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start_plan();
		answer_status = rows[i].status;
		answer_body = rows[i].body;
		add(rows[i].what);
		carry_out(false);
		is_int(got.result, rows[i].want);
	}
}

/* Only a condition that we set is broken by somebody who was faster. */
static void conflict_without_a_condition_is_known(void)
{
	static const struct {
		enum action_what what;
		const char *body;
		bool want;
	} rows[] = {
		{ACTION_MERGE, NULL, true},
		{ACTION_STATUS, NULL, true},
		{ACTION_DELETE, NULL, false},
		{ACTION_DELETE, "{\"message\":\"Precondition failed: UID in precondition: u\"}",
		 false},
		{ACTION_DELETE,
		 "{\"message\":\"admission webhook \\\"w\\\" denied the request: no\"}", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start_plan();
		answer_status = 409;
		answer_body = rows[i].body;
		add(rows[i].what);
		carry_out(false);
		is_int(got.result, ACT_AGAIN);
		is_int(got.unconditional, rows[i].want);
	}
}

static void refusal_is_told_in_the_servers_words(void)
{
	start_plan();
	answer_status = 500;
	answer_body = SCHEMA;
	add(ACTION_APPLY);
	carry_out(false);
	ok(strstr(trouble, "Thing x: failed to create typed patch object"));
	ok(strstr(trouble, "field not declared in schema"));
}

static void first_failure_ends_the_plan(void)
{
	start_plan();
	answer_status = 503;
	answer_body = NULL;
	add(ACTION_APPLY);
	add(ACTION_STATUS);
	carry_out(false);
	is_int(srv->n_requests, 1);
	ok(got.action == &plan.actions[0]);
}

static void requests_are_those_of_the_plan(void)
{
	start_plan();
	answer_status = 200;
	answer_body = NULL;
	add(ACTION_APPLY);
	add(ACTION_STATUS);
	add(ACTION_DELETE);
	carry_out(false);
	is_int(got.sent, 3);
	is_str(srv->requests[0]->path,
	       "/apis/test.io/v1/namespaces/n/things/x?fieldManager=vmgpu&force=true&fieldValidation=Ignore");
	is_str(srv->requests[1]->path,
	       "/apis/test.io/v1/namespaces/n/things/x/status?fieldManager=vmgpu");
	is_str(srv->requests[2]->method, "DELETE");
	ok(strstr(buf_text(&srv->requests[2]->body),
		  "\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"7\"}"));
}

static void after_a_refusal_only_the_status_goes_out(void)
{
	start_plan();
	answer_status = 200;
	answer_body = NULL;
	add(ACTION_APPLY);
	add(ACTION_STATUS);
	carry_out(true);
	is_int(srv->n_requests, 1);
	ok(strstr(srv->requests[0]->path, "/status"));
}

/* What the server stored is seen by the next pass, and what it made of our apply is remembered. */
static void answer_is_taken_in(void)
{
	static const struct {
		enum action_what what;
		const char *manager, *name;
		bool cached, learned;
	} rows[] = {
		{ACTION_APPLY, "vmgpu", "x", true, true},
		{ACTION_APPLY, "vmgpu-power", "x", true, false},
		{ACTION_MERGE, "vmgpu", "x", true, false},
		{ACTION_APPLY, "vmgpu", "", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *wanted = body(), *stored;
		auto_free char *text = NULL;
		const struct obj *o;

		start_plan();
		intent_stamp(&thing, wanted);
		if (rows[i].what == ACTION_APPLY) {
			plan_apply(&plan, &thing, rows[i].manager, wanted, "wanted");
		} else {
			plan_merge(&plan, &thing, "n", "x", wanted, "wanted");
		}
		stored = json_deep_copy(plan.actions[0].body);
		json_object_update_new(json_object_get(stored, "metadata"),
				       json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:{}}}]}", "name",
						 rows[i].name, "resourceVersion", "8",
						 "managedFields", "manager", "vmgpu", "operation",
						 "Apply", "fieldsV1", "f:odd"));
		text = json_dumps(stored, 0);
		json_decref(stored);
		answer_status = 200;
		answer_body = text;
		carry_out(false);
		is_int(got.result, ACT_DONE);
		o = cache_get(cache, &thing, "n", "x");
		is_str(o ? o->rv : NULL, rows[i].cached ? "8" : NULL);
		is_int(cache_learned_owned(cache, &thing, "n", "x") != 0, rows[i].learned);
		answer_body = NULL;
	}
}

static int n_events, n_logged;

static void on_event(void *ctx attr_unused, const struct kube_kind *k, const struct key *key,
		     const struct action *a)
{
	ok(k == &thing);
	is_str(key->name, "x");
	is_str(a->reason, "Made");
	n_events++;
}

static void on_log(void *ctx attr_unused, const struct action *a attr_unused, const char *t)
{
	ok(!t);
	n_logged++;
}

/* The soonest of all times to look again; events; kinds that went away since: no requests. */
static void what_needs_no_request(void)
{
	static const int64_t after[] = {500, 200, 900};
	const struct act_env env = {.http = NULL, .cache = NULL, .event = on_event, .log = on_log};
	struct act_env here = env;

	start_plan();
	here.http = http;
	here.cache = cache;
	answer_status = 200;
	answer_body = NULL;
	add(ACTION_APPLY);
	cache_set_served(cache, &thing, NULL);
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		plan_again(&plan, after[i], "later");
	}
	plan_event(&plan, false, "Made", "made it");
	plan_apply(&plan, &unseen, "vmgpu", body(), "wanted");
	ended = false;
	act_start(&here, &thing, (struct key){"n", "x"}, &plan, false, done, NULL);
	wait_for(ended);
	is_int(got.result, ACT_DONE);
	is_int(got.again_ms, 200);
	is_int(n_events, 1);
	is_int(srv->n_requests, 1);
	is_int(n_logged, 1);
	start_plan();
	carry_out(false);
	is_int(got.again_ms, -1);
}

static void body_that_no_server_takes(void)
{
	auto_free char *text = xmalloc(9 * MiB);

	memset(text, 'x', 9 * MiB - 1);
	text[9 * MiB - 1] = 0;
	start_plan();
	plan_merge(&plan, &thing, "n", "x", json_pack("{s:s}", "a", text), "wanted");
	carry_out(false);
	is_int(got.result, ACT_REFUSED);
	is_str(trouble, "its body is larger than 8 MiB, which no API server takes");
	is_int(srv->n_requests, 0);
}

static double half(void *ctx attr_unused)
{
	return 0.5;
}

/* --- what is not cached --- */

#define OURS                                                                                       \
	"{\"metadata\":{\"uid\":\"U\",\"ownerReferences\":[{\"uid\":\"o\"},{\"uid\":\"owner\"}]}}"
#define OF_ANOTHER "{\"metadata\":{\"uid\":\"U\",\"ownerReferences\":[{\"uid\":\"o\"}]}}"
#define NOBODYS "{\"metadata\":{\"uid\":\"U\"}}"
#define HELMS(release)                                                                                                                 \
	"{\"metadata\":{\"uid\":\"U\",\"labels\":{\"app.kubernetes.io/managed-by\":\"Helm\",\"app.kubernetes.io/instance\":\"" release \
	"\"}}}"

/* What the plan was given is gone by the time of the answer: the object that it was of is another
 * version by then, and the memory of its pass is another pass's. */
static void add_unseen(enum action_what what)
{
	char *owner = xstrdup("owner"), *release = xstrdup("release");

	plan_unseen(&plan,
		    what == ACTION_APPLY
			    ? plan_apply(&plan, &unseen, "vmgpu", body(), "wanted")
			    : plan_delete(&plan, &unseen, &(struct obj){.name = "x", .ns = "n"},
					  "not wanted"),
		    owner, release);
	memset(owner, '-', strlen(owner));
	memset(release, '-', strlen(release));
	free(owner);
	free(release);
}

static void carry_out_unseen(enum action_what what, int status, const char *object_seen)
{
	start_plan();
	answer_status = 200;
	answer_body = NULL;
	look_status = status;
	look_body = object_seen;
	add_unseen(what);
	carry_out(false);
}

static void what_is_not_cached_is_applied_where_it_is_ours_or_absent(void)
{
	carry_out_unseen(ACTION_APPLY, 404, NULL);
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 2);
	ok(!strstr(buf_text(&srv->requests[1]->body), "\"uid\""));
	ok(strstr(buf_text(&srv->requests[0]->headers), "as=PartialObjectMetadata"));
	is_str(buf_text(&srv->requests[0]->body), "{}");
	carry_out_unseen(ACTION_APPLY, 200, OURS);
	is_int(got.result, ACT_DONE);
	ok(strstr(buf_text(&srv->requests[1]->body), "\"uid\":\"U\"")); /* that one or none */
	carry_out_unseen(ACTION_APPLY, 200, HELMS("release"));
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 2);
}

static void what_is_somebodys_is_not_applied(void)
{
	static const char *const theirs[] = {OF_ANOTHER, NOBODYS, HELMS("other")};

	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		carry_out_unseen(ACTION_APPLY, 200, theirs[i]);
		is_int(got.result, ACT_REFUSED);
		is_int(srv->n_requests, 1);
		ok(strstr(trouble, "Unseen x is there and is somebody else's"));
		is_str(told, trouble);
	}
}

static void what_is_somebodys_is_not_deleted(void)
{
	carry_out_unseen(ACTION_DELETE, 200, NOBODYS);
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 1);
	is_str(told, "it is somebody else's: it is left as it is");
	carry_out_unseen(ACTION_DELETE, 200, OURS);
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 2);
	is_str(srv->requests[1]->method, "DELETE");
	ok(strstr(buf_text(&srv->requests[1]->body), "\"preconditions\":{\"uid\":\"U\"}"));
}

/* A plan of the same body once more, after one action that was answered so. */
static void wanted_again_after(enum action_what what, int status, const char *object_seen)
{
	carry_out_unseen(ACTION_APPLY, 404, NULL);
	is_int(got.result, ACT_DONE);
	plan_finish(&plan);
	plan_init(&plan, &arena, cache);
	add_unseen(ACTION_APPLY);
	is_int(plan.n, 0); /* we know what it holds */
	look_body = object_seen;
	look_status = 200;
	answer_status = status;
	plan_unseen(&plan,
		    what == ACTION_APPLY
			    ? plan_apply(&plan, &unseen, "vmgpu",
					 json_pack("{s:{s:s, s:s}, s:s}", "metadata", "name", "x",
						   "namespace", "n", "color", "other"),
					 "wanted")
			    : plan_delete(&plan, &unseen, &(struct obj){.name = "x", .ns = "n"},
					  "not wanted"),
		    "owner", "release");
	carry_out(false);
	plan_finish(&plan);
	plan_init(&plan, &arena, cache);
	add_unseen(ACTION_APPLY);
}

static void what_is_not_cached_is_known_until_the_next_write_or_another_ones(void)
{
	static const struct {
		enum action_what what;
		int status;
		const char *seen;
		enum act_result result;
	} rows[] = {
		{ACTION_APPLY, 200, OURS, ACT_DONE},
		{ACTION_APPLY, 503, OURS, ACT_FAILED}, /* perhaps carried out */
		{ACTION_APPLY, 422, OURS, ACT_REFUSED},
		{ACTION_APPLY, 200, NOBODYS, ACT_REFUSED},
		{ACTION_DELETE, 200, OURS, ACT_DONE},
		{ACTION_DELETE, 404, OURS, ACT_DONE},
		{ACTION_DELETE, 503, OURS, ACT_FAILED},
		{ACTION_DELETE, 200, NOBODYS, ACT_DONE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		wanted_again_after(rows[i].what, rows[i].status, rows[i].seen);
		is_int(got.result, rows[i].result);
		is_int(plan.n, 1); /* it is applied again, and looked at first */
	}
}

static void what_a_policy_calls_somebodys_is_neither_applied_nor_deleted(void)
{
	static const char denied[] =
		"{\"message\":\"ValidatingAdmissionPolicy 'p' denied request: Unseen x is somebody else's: no\"}";

	carry_out_unseen(ACTION_APPLY, 403, denied);
	is_int(got.result, ACT_REFUSED);
	is_int(srv->n_requests, 1);
	has(trouble, "Unseen x is there and is somebody else's");
	carry_out_unseen(ACTION_DELETE, 403, denied);
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 1);
	is_str(told, "it is somebody else's: it is left as it is");
	carry_out_unseen(ACTION_APPLY, 500, denied);
	is_int(got.result, ACT_FAILED);
}

static void look_that_fails_ends_the_plan(void)
{
	carry_out_unseen(ACTION_APPLY, 503, NULL);
	is_int(got.result, ACT_FAILED);
	is_str(told, "Unseen x: the API server answered 503 (at the look before the write)");
	is_str(trouble, told);
	carry_out_unseen(ACTION_APPLY, 403, "{\"message\":\"no\"}");
	is_int(got.result, ACT_REFUSED);
	is_str(told, "Unseen x: no (at the look before the write)");
	carry_out_unseen(ACTION_APPLY, 200, "half an obj");
	is_int(got.result, ACT_FAILED);
	is_str(told, "Unseen x: the answer is no object (at the look before the write)");
	is_int(n_told, 1);
	is_int(srv->n_requests, 1);
}

/* A Lease that we hold from now on, for so long. */
/* --- is the object of the pass still there --------------------------------------------------- */

#define OWNER(uid, more) "{\"metadata\":{\"name\":\"x\",\"uid\":\"" uid "\"" more "}}"

static void carry_out_in_doubt(enum action_what what, int status, const char *owner)
{
	static const struct thing cached = {.obj = {.name = "x", .ns = "n", .uid = "u", .rv = "7"}};

	start_plan();
	cache_put(cache, &thing, &cached);
	plan_again(&plan, 70, "later");
	if (what == ACTION_APPLY) {
		plan_apply(&plan, &unseen, "vmgpu", body(), "wanted");
	}
	add(what == ACTION_APPLY ? ACTION_STATUS : what);
	owner_status = status;
	owner_body = owner;
	answer_status = 200;
	n_asked = 0;
	in_doubt = true;
	carry_out(false);
	in_doubt = false;
}

static void in_doubt_an_apply_waits_for_a_look(void)
{
	carry_out_in_doubt(ACTION_APPLY, 200, OWNER("u", ""));
	is_int(got.result, ACT_DONE);
	is_int(n_asked, 1);
	is_int(got.sent, 2);
	ok(got.sure);
	carry_out_in_doubt(ACTION_MERGE, 404, "{}"); /* makes nothing */
	is_int(got.result, ACT_DONE);
	is_int(n_asked, 0);
	ok(!got.sure);
}

static void nothing_is_made_for_what_has_gone(void)
{
	static const struct {
		int status;
		const char *owner;
		enum act_result want;
		const char *says;
	} rows[] = {
		{404, STATUS("404", "NotFound", "none", ""), ACT_AGAIN,
		 "Thing x has gone or is going"},
		{200, OWNER("another", ""), ACT_AGAIN, "Thing x has gone or is going"},
		{200, OWNER("u", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""), ACT_AGAIN,
		 "nothing is made for it"},
		{200, "half an obj", ACT_FAILED, "the answer is no object (at the look"},
		{500, STATUS("500", "InternalError", "no", ""), ACT_FAILED, "no (at the look"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		carry_out_in_doubt(ACTION_APPLY, rows[i].status, rows[i].owner);
		is_int(got.result, rows[i].want);
		is_int(got.sent, 0);
		is_int(got.again_ms, 70);
		is_int(n_told, 1);
		ok(!got.sure && !got.unconditional);
		has(trouble, rows[i].says);
	}
}

static void what_goes_is_let_go_without_a_look(void)
{
	static const struct thing cached = {.obj = {.name = "x", .ns = "n", .uid = "u", .rv = "7"}};
	static const char *const uids[] = {"u", NULL};

	for (size_t i = 0; i < ARRAY_LEN(uids); i++) {
		start_plan();
		cache_put(cache, &thing, &cached);
		plan_apply(&plan, &thing, "vmgpu",
			   json_pack("{s:{s:s, s:s, s:s*}}", "metadata", "name", "x", "namespace",
				     "n", "uid", uids[i]),
			   "without the finalizer");
		owner_status = 200;
		owner_body = OWNER("u", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"");
		answer_status = 200;
		n_asked = 0;
		in_doubt = true;
		carry_out(false);
		in_doubt = false;
		is_int(got.result, uids[i] ? ACT_DONE : ACT_AGAIN);
		is_int(n_asked, uids[i] ? 0 : 1);
		is_int(got.sent, uids[i] ? 1 : 0);
	}
}

static void hold_for(int64_t ms)
{
	const struct lease_settings s = {4 * ms, ms / 2, ms / 4, ms};
	json_t *record = NULL;
	int64_t wake, now = clock_boot_ms();

	lease = lease_create("n", "l", "us", &s, half, NULL);
	is_int(lease_next(lease, now, clock_wall_ms(), &record, &wake), LEASE_GET);
	lease_answer(lease, now, now, 404, NULL);
	is_int(lease_next(lease, now, clock_wall_ms(), &record, &wake), LEASE_CREATE);
	lease_answer(lease, now, now, 201, record);
	json_decref(record);
	ok(lease_left(lease, clock_boot_ms()) > 0);
}

static void nothing_goes_out_once_the_lease_is_over(void)
{
	start_plan();
	answer_status = 200;
	answer_body = NULL;
	hold_for(300);
	add(ACTION_APPLY);
	usleep(350 * 1000); /* as if stopped: the loop has not turned, its time is that of before */
	carry_out(false);
	is_int(got.result, ACT_FENCED);
	is_int(srv->n_requests, 0);
}

static void while_it_is_held_it_does(void)
{
	start_plan();
	answer_status = 200;
	answer_body = NULL;
	hold_for(20000);
	add(ACTION_APPLY);
	carry_out(false);
	is_int(got.result, ACT_DONE);
	is_int(srv->n_requests, 1);
}

TESTS({"each answer is judged", each_answer_is_judged},
      {"what the server stored is taken in", answer_is_taken_in},
      {"times, events and kinds that went away need no request", what_needs_no_request},
      {"a body that no server takes is refused", body_that_no_server_takes},
      {"a conflict that no condition explains is known as such",
       conflict_without_a_condition_is_known},
      {"a refusal is told in the server's words", refusal_is_told_in_the_servers_words},
      {"the first failure ends the plan", first_failure_ends_the_plan},
      {"the requests are those of the plan", requests_are_those_of_the_plan},
      {"after a refusal only the status goes out", after_a_refusal_only_the_status_goes_out},
      {"what is not cached is applied where it is ours or absent",
       what_is_not_cached_is_applied_where_it_is_ours_or_absent},
      {"what is not cached and somebody's is not applied", what_is_somebodys_is_not_applied},
      {"what is not cached and somebody's is not deleted", what_is_somebodys_is_not_deleted},
      {"what is not cached is known until the next write, or another one's",
       what_is_not_cached_is_known_until_the_next_write_or_another_ones},
      {"what a policy calls somebody else's is neither applied nor deleted",
       what_a_policy_calls_somebodys_is_neither_applied_nor_deleted},
      {"a look that fails ends the plan", look_that_fails_ends_the_plan},
      {"what goes is let go without a look", what_goes_is_let_go_without_a_look},
      {"in doubt an apply waits for a look at the object of the pass",
       in_doubt_an_apply_waits_for_a_look},
      {"nothing is made for what has gone", nothing_is_made_for_what_has_gone},
      {"nothing goes out once the Lease is over", nothing_goes_out_once_the_lease_is_over},
      {"while the Lease is held it does", while_it_is_held_it_does})
