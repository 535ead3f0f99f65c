/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime against an API server of three kinds and a Lease, which the test holds in its hand:
 * streams stay open for what it pushes, writes can be held back. The reconciler patches its object
 * in every pass, and tells trouble in the status.
 */
#include "kube/runtime.h"

#include "base/log.h"
#include "kube/bodies_test.h"
#include "kube/http_test.h"
#include "kube/queue.h"
#include "kube/thing_test.h"

static const struct kube_kind other = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Other",
	.plural = "others",
	.namespaced = true,
	.type = &thing_type,
};
/* Its color is the version that it serves. */
static const struct kube_kind crd = {
	.group = "apiextensions.k8s.io",
	.versions = "v1",
	.kind = "CustomResourceDefinition",
	.plural = "customresourcedefinitions",
	.builtin = true,
	.type = &thing_type,
};
#define CRD_EVENT(type, rv)                                                                        \
	"{\"type\":\"" type                                                                        \
	"\",\"object\":{\"metadata\":{\"name\":\"things.test.io\",\"resourceVersion\":\"" rv       \
	"\"},\"color\":\"v1\"}}\n"

/* --- the API server -------------------------------------------------------------------------- */

enum { THINGS, OTHERS, CRDS, LEASES, PLURALS };
static const char *const plurals[] = {"/things", "/others", "/customresourcedefinitions",
				      "/leases"};

static struct {
	struct srv_request *streams[PLURALS]; /* the last that was opened */
	int opened[PLURALS];
	const char *initial[PLURALS]; /* NULL: nothing is said until the test says it */
	int stream_status;	      /* 0: 200 */
	bool missing[PLURALS];	      /* 404, whatever the CRD says */
	struct srv_request *writes[SRV_MAX];
	int n_writes;
	int status[256];     /* of the answer to writes, by the first letter of the name; 0: 200 */
	bool status_also;    /* to those of the status too */
	bool ever_new;	     /* each refusal has other words */
	char said[256][300]; /* in the status, by the first letter of the name */
	bool hold;	     /* writes are answered by let_go alone */
	struct srv_request *lease_held_back;
	bool hold_lease;
	char holder[100]; /* in the Lease */
	int lease_rv;
} api;

static char name_of(const struct srv_request *r)
{
	const char *things = strstr(r->path, "/things/");

	return things ? things[strlen("/things/")] : '\0';
}

static bool is_status(const struct srv_request *r)
{
	return strstr(r->path, "/status?");
}

static void let_go(struct srv_request *r)
{
	int status = api.status[(unsigned char)name_of(r)];
	bool bad = status && (api.status_also || !is_status(r));

	auto_free char *invalid = xprintf(STATUS("422", "Invalid", "spec.a: Invalid%.0d", ""),
					  api.ever_new ? api.n_writes : 0);

	if (is_status(r) && !bad) {
		snprintf(api.said[(unsigned char)name_of(r)], sizeof(api.said[0]), "%s",
			 buf_text(&r->body));
	}
	srv_reply(r, bad ? status : 200, NULL, status == 422 && bad ? invalid : "{}");
}

static void on_stream(struct srv_request *r)
{
	for (int i = 0; i < PLURALS; i++) {
		if (!strstr(r->path, plurals[i])) {
			continue;
		}
		api.streams[i] = r;
		api.opened[i]++;
		if (api.stream_status || api.missing[i]) {
			srv_reply(r, api.missing[i] ? 404 : api.stream_status, NULL, "");
		} else if (api.initial[i]) {
			const char *text =
				strstr(r->path, "sendInitialEvents") ? api.initial[i] : "";

			srv_begin(r, 200, NULL);
			srv_data(r, text, strlen(text), false);
		}
	}
}

static void on_lease(struct srv_request *r)
{
	json_t *lease, *spec;

	if (api.hold_lease) {
		api.lease_held_back = r;
		return;
	}
	if (str_eq(r->method, "GET")) {
		srv_reply(r, 404, NULL, STATUS("404", "NotFound", "none", ""));
		return;
	}
	lease = json_loadb(buf_text(&r->body), r->body.len, 0, NULL);
	spec = json_object_get(lease, "spec");
	snprintf(api.holder, sizeof(api.holder), "%s",
		 json_string_value(json_object_get(spec, "holderIdentity")));
	auto_free char *rv = xprintf("%d", ++api.lease_rv);
	json_object_set_new(json_object_get(lease, "metadata"), "resourceVersion", json_string(rv));
	auto_free char *text = json_dumps(lease, 0);

	srv_reply(r, str_eq(r->method, "POST") ? 201 : 200, NULL, text);
	json_decref(lease);
}

static void on_request(struct srv_request *r)
{
	if (strstr(r->path, "watch=true")) {
		on_stream(r);
	} else if (strstr(r->path, "/leases")) {
		on_lease(r);
	} else if (str_eq(r->method, "GET")) {
		answer_ok(r);
	} else {
		api.writes[api.n_writes++] = r;
		if (!api.hold) {
			let_go(r);
		}
	}
}

static void push(int plural, const char *text)
{
	ok(api.streams[plural] && !api.streams[plural]->closed);
	srv_data(api.streams[plural], text, strlen(text), false);
}

static int held_back(void)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += !api.writes[i]->begun;
	}
	return n;
}

static void let_all_go(void)
{
	api.hold = false;
	for (int i = 0; i < api.n_writes; i++) {
		if (!api.writes[i]->begun) {
			let_go(api.writes[i]);
		}
	}
}

static int events_written(void)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += strstr(api.writes[i]->path, "/events") != NULL;
	}
	return n;
}

/* Writes to this object (its status), or to all where name is '\0'. */
static int writes(char name, bool status)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += (!name || name_of(api.writes[i]) == name) &&
		     is_status(api.writes[i]) == status;
	}
	return n;
}

/* --- the operator ---------------------------------------------------------------------------- */

static struct runtime *r;
static struct {
	char name, color[20], trouble[ERR_MAX];
	int64_t at;
	bool sees_others; /* their kind is served */
	size_t others;
} passes[SRV_MAX];
static int n_passes;

static bool tells_events, sees_others;

struct wish {
	const char *ns, *name, *color, *trouble;
};

static const void *gather(const struct pass *pass)
{
	const struct thing *t = cache_get(pass->cache, &thing, pass->key.ns, pass->key.name);
	struct wish *wish = arena_alloc(pass->arena, sizeof(*wish));

	if (n_passes < SRV_MAX) {
		passes[n_passes].name = *pass->key.name;
		passes[n_passes].at = loop_now(loop);
		if (sees_others) {
			passes[n_passes].sees_others = cache_version(pass->cache, &other) != NULL;
			passes[n_passes].others = cache_count(pass->cache, &other);
		}
		snprintf(passes[n_passes].color, sizeof(passes->color), "%s", t ? t->color : "");
		snprintf(passes[n_passes].trouble, sizeof(passes->trouble), "%s",
			 pass->trouble ? pass->trouble : "");
		n_passes++;
	}
	*wish = (struct wish){pass->key.ns, pass->key.name, t ? t->color : NULL, pass->trouble};
	return t ? wish : NULL;
}

static void plan(const void *seen_now, struct plan *p)
{
	const struct wish *wish = seen_now;

	plan_merge(p, &thing, wish->ns, wish->name,
		   *wish->name == 'v' ? json_pack("{s:{s:s}}", "metadata", "resourceVersion", "3")
				      : json_pack("{s:i}", "a", 1),
		   "wanted");
	if (wish->trouble && tells_events) {
		plan_event(p, true, "Refused", wish->trouble);
	}
	if (wish->trouble) {
		json_t *status =
			json_pack("{s:s, s:s}", "color", wish->color, "trouble", wish->trouble);
		auto_free char *text = json_dumps(status, JSON_COMPACT | JSON_SORT_KEYS);

		if (!strstr(api.said[(unsigned char)*wish->name], text)) {
			plan_status(p, &thing, wish->ns, wish->name, json_incref(status),
				    "refused");
		}
		json_decref(status);
	}
}

static const struct reconciler reconciler = {
	.name = "thing", .primary = &thing, .gather = gather, .plan = plan};
static const struct reconciler *const reconcilers[] = {&reconciler, NULL};
static const struct kube_kind *const only_things[] = {&thing, NULL};

static double least(void *ctx attr_unused)
{
	return 0;
}

static bool crd_serves(const struct obj *o, const struct kube_kind *k, const char *version)
{
	return (k == &thing || k == &other) && str_eq(((const struct thing *)o)->color, version);
}

static void forget(void)
{
	if (r) {
		runtime_close(r);
		http = http_destroy(http);
		r = runtime_destroy(r);
	}
}

/* An API server that says at first what `things` says of its things, no others and no CRD. */
static void prepare(const char *things)
{
	static bool registered;

	forget();
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	begin(on_request);
	if (!registered) {
		registered = true;
		atexit(forget);
	}
	memset(&api, 0, sizeof(api));
	n_passes = 0;
	tells_events = sees_others = false;
	api.initial[THINGS] = things;
	api.initial[OTHERS] = api.initial[CRDS] = api.initial[LEASES] = END("5");
}

/* The runtime with these settings, for the rest what the tests have in common. */
static void operate(struct runtime_settings s)
{
	s.kinds = s.kinds ? s.kinds : only_things;
	s.reconcilers = reconcilers;
	s.identity = "us";
	s.component = "test";
	s.random = least;
	s.lease = (struct lease_settings)LEASE_DEFAULTS;
	r = runtime_create(loop, http, &s);
	runtime_start(r);
}

#define START(...) operate((struct runtime_settings){__VA_ARGS__})

#define ADDED(name) EVENT("ADDED", name, "3", "red")

/* Whatever was to go out because of what came in until now has gone out: this comes after it. */
static void settle(void)
{
	get_done("/ok");
	get_done("/ok");
}

static int passes_of(char name)
{
	int n = 0;

	for (int i = 0; i < n_passes; i++) {
		n += passes[i].name == name;
	}
	return n;
}

static uint64_t succeeded(void)
{
	struct queue_stats queue;
	struct runtime_stats stats;

	runtime_stats(r, 0, &stats, &queue);
	return stats.passes[0];
}

/* --- when a pass begins ---------------------------------------------------------------------- */

static void nothing_before_all_kinds_are_synced(void)
{
	static const struct kube_kind *const kinds[] = {&thing, &other, NULL};

	prepare(ADDED("a") ADDED("b") END("5"));
	api.initial[OTHERS] = NULL;
	START(.kinds = kinds);
	wait_for(cache_count(runtime_cache(r), &thing) == 2 && api.streams[OTHERS]);
	settle();
	is_int(n_passes, 0);
	ok(!runtime_ready(r));
	srv_begin(api.streams[OTHERS], 200, NULL);
	push(OTHERS, END("5"));
	wait_for(writes('a', false) && writes('b', false));
	settle();
	ok(runtime_ready(r));
	is_int(passes_of('a'), 1);
	is_int(passes_of('b'), 1);
}

static void never_two_passes_of_one_key(void)
{
	prepare(ADDED("a") END("5"));
	api.hold = true;
	START();
	wait_for(held_back() == 1);
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	push(THINGS, EVENT("ADDED", "b", "7", "red"));
	wait_for(passes_of('b') == 1); /* which does not wait for a */
	push(THINGS, EVENT("MODIFIED", "a", "8", "green") EVENT("ADDED", "c", "9", "red"));
	wait_for(passes_of('c') == 1);
	settle();
	is_int(passes_of('a'), 1);
	let_all_go();
	wait_for(passes_of('a') > 1);
	settle();
	is_int(passes_of('a'), 2);
	is_str(passes[n_passes - 1].color, "green");
}

static void only_so_many_passes_at_once(void)
{
	prepare(ADDED("a") ADDED("b") ADDED("c") ADDED("d") END("5"));
	api.hold = true;
	START(.passes = 2);
	for (int ended = 0; ended < 2; ended++) {
		wait_for(n_passes == ended + 2 && api.n_writes == ended + 2);
		settle();
		is_int(n_passes, ended + 2);
		is_int(held_back(), 2);
		let_go(api.writes[ended]);
	}
	wait_for(n_passes == 4);
	let_all_go();
	settle();
	is_int(n_passes, 4);
}

/* --- how a pass ends ------------------------------------------------------------------------- */

static void refusal_is_told_once(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	START();
	wait_for(n_passes >= 5);
	settle();
	is_str(passes[0].trouble, "");
	for (int i = 0; i < n_passes; i++) { /* an attempt, and what is told of it */
		has(passes[i].trouble, i % 2 ? "spec.a: Invalid" : "");
		is_int(*passes[i].trouble != '\0', i % 2);
	}
	is_int(writes('a', true), 1);
	ok(is_status(api.writes[1])); /* and nothing but the status */
	has(buf_text(&api.writes[1]->body), "spec.a: Invalid");
	/* Success forgets it: the next one is news. */
	api.status['a'] = 0;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(api.writes[api.n_writes - 1]->ended && str_eq(passes[n_passes - 1].color, "blue"));
	settle();
	api.status['a'] = 422;
	api.said['a'][0] = '\0';
	push(THINGS, EVENT("MODIFIED", "a", "7", "green"));
	wait_for(writes('a', true) == 2);
}

/* The attempts so far of a: each waited for longer than the one before, but for that of a change. */
static int attempts_with_growing_waits(int changed)
{
	int64_t wait_ms = 5, last = passes[0].at;
	int n = 1;

	for (int i = 1; i < n_passes; i++) {
		if (*passes[i].trouble) {
			continue;
		}
		ok(i == changed || passes[i].at - last >= wait_ms);
		last = passes[i].at;
		wait_ms *= 2;
		n++;
	}
	return n;
}

static void status_goes_on_while_a_refusal_lasts(void)
{
	int changed;

	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	START();
	wait_for(n_passes >= 6);
	settle();
	is_int(writes('a', true), 1);
	has(api.said['a'], "red");
	changed = n_passes;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(writes('a', true) == 2);
	has(api.said['a'], "blue");
	has(api.said['a'], "spec.a: Invalid");
	wait_for(n_passes >= changed + 8);
	settle();
	is_int(writes('a', true), 2); /* equal: nothing is sent but the attempts */
	is_int(writes('a', false), attempts_with_growing_waits(changed));
}

static void refusal_of_ever_new_words_is_told_seldom(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	api.ever_new = true;
	START();
	wait_for(n_passes >= 14);
	settle();
	is_int(writes('a', true), 1);
	/* But that of another spec at once. */
	push(THINGS, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\","
		     "\"namespace\":\"n\",\"generation\":2,\"resourceVersion\":\"6\"},"
		     "\"color\":\"red\"}}\n");
	wait_for(writes('a', true) == 2);
}

static void event_of_a_refusal_is_told_once(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	tells_events = true;
	START();
	wait_for(n_passes >= 10 && events_written());
	settle();
	is_int(events_written(), 1);
}

/* A status that is refused as well says no more, but must not keep the object from being tried. */
static void refusal_that_cannot_be_told_is_passed_over(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 422;
	api.status_also = true;
	START();
	wait_for(writes('a', false) >= 3);
	is_int(writes('a', true), 1);
}

static void conflict_waits_for_the_news(void)
{
	prepare(ADDED("a") END("5"));
	api.status['a'] = 409;
	START();
	wait_for(n_passes == 1);
	for (int i = 0; i < 20; i++) {
		settle();
	}
	for (int i = 1; i < n_passes; i++) { /* none, unless we were stopped for so long */
		ok(passes[i].at - passes[i - 1].at >= 1000);
	}
	api.status['a'] = 0;
	push(THINGS, EVENT("MODIFIED", "a", "6", "blue"));
	wait_for(str_eq(passes[n_passes - 1].color, "blue"));
}

/* v's body has a condition, and a's has none. */
static void lasting_conflict_is_told_unless_a_condition_explains_it(void)
{
	static const int64_t least[] = {1000, 1000, 2000, 4000};
	int64_t last = 0;
	int n = 0;

	prepare(ADDED("a") ADDED("v") END("5"));
	api.status['a'] = api.status['v'] = 409;
	START();
	wait_for(writes('a', true) == 1 && writes('v', false) == 5);
	has(api.said['a'], "409");
	for (int i = 0; i < n_passes && !*passes[i].trouble; i++) {
		if (passes[i].name == 'a') {
			ok(!n || passes[i].at - last >= least[n - 1]);
			last = passes[i].at;
			n++;
		}
	}
	is_int(n, 5); /* until then it might have passed by itself */
	wait_for(writes('a', false) >= 9);
	settle();
	is_int(writes('a', true), 1);
	is_int(writes('v', true), 0);
	is_int(writes('v', false), 5);
}

static void failure_is_tried_again_ever_later(void)
{
	int64_t wait_ms = 5;
	int failures;

	prepare(ADDED("a") END("5"));
	api.status['a'] = 500;
	START();
	wait_for(n_passes >= 6);
	for (int i = 1; i < 6; i++, wait_ms *= 2) {
		ok(passes[i].at - passes[i - 1].at >= wait_ms);
		is_str(passes[i].trouble, ""); /* nobody's fault: not told */
	}
	api.status['a'] = 0;
	wait_for(succeeded() == 1);
	failures = n_passes - 1;
	settle();
	is_int(n_passes, failures + 1);
}

/* a has failed so often that it waits for minutes, and its stream has just broken: when. */
static int64_t fail_and_break_the_stream(void)
{
	int64_t broken;

	prepare(ADDED("a") ADDED("b") END("5"));
	api.status['a'] = 500;
	START();
	wait_for(writes('a', false) && writes('b', false));
	for (int i = 0; i < 16; i++) { /* a user's changes end the wait, and each failure counts */
		auto_free char *event = xprintf(EVENT("MODIFIED", "a", "1%02d", "c%d"), i, i);
		int n = n_passes;

		push(THINGS, event);
		wait_for(n_passes > n);
		settle();
	}
	api.status['a'] = 0;
	n_passes = api.n_writes = 0;
	broken = loop_now(loop);
	api.initial[THINGS] = NULL; /* the next one waits for the test */
	srv_reset(api.streams[THINGS], NGHTTP2_INTERNAL_ERROR);
	wait_for(runtime_trouble(r));
	/* What a write that goes through tells of the server ends the wait of the stream. */
	runtime_wake(r, &thing, "n", "b");
	wait_for(api.opened[THINGS] == 2);
	return broken;
}

static void flicker_ends_no_back_off(void)
{
	int64_t broken = fail_and_break_the_stream();

	srv_begin(api.streams[THINGS], 200, NULL);
	wait_for(!runtime_trouble(r));
	settle();
	/* None, unless we were stopped for so long. */
	ok(!passes_of('a') || loop_now(loop) - broken >= 1000);
}

static void recovery_ends_every_back_off(void)
{
	fail_and_break_the_stream();
	turn_for(1100);
	is_int(passes_of('a'), 0);
	srv_begin(api.streams[THINGS], 200, NULL);
	wait_for(passes_of('a') == 1);
}

/* --- the end --------------------------------------------------------------------------------- */

static void on_late(void *ctx)
{
	bool *late = ctx;

	*late = true;
	loop_stop(loop);
}

/* As a program runs it: until the runtime stops the loop. */
static void run_to_the_end(void (*first)(void *ctx))
{
	bool late = false;
	struct loop_timer *guard = loop_timer_create(loop, on_late, &late, "guard"),
			  *soon = loop_timer_create(loop, first, NULL, "soon");

	loop_timer_set(guard, loop_now(loop) + 15000);
	loop_timer_set(soon, loop_now(loop) + 30);
	loop_run(loop);
	loop_timer_destroy(guard);
	loop_timer_destroy(soon);
	ok(!late);
}

static void let_go_of_one(void *ctx attr_unused)
{
	let_go(api.writes[0]);
}

static void stop_waits_for_passes_and_begins_none(void)
{
	prepare(ADDED("a") ADDED("b") END("5"));
	api.hold = true;
	START(.passes = 1);
	wait_for(held_back() == 1);
	runtime_stop(r);
	push(THINGS, EVENT("ADDED", "c", "6", "red"));
	run_to_the_end(let_go_of_one);
	is_int(held_back(), 0);
	is_int(succeeded(), 1);
	is_int(n_passes, 1);
	turn_for(20);
	is_int(n_passes, 1);
}

static void nothing(void *ctx attr_unused)
{
}

static void only_the_leader_acts_and_gives_back_the_lease(void)
{
	prepare(ADDED("a") END("5"));
	api.hold_lease = true;
	START(.lease_ns = "n", .lease_name = "l");
	wait_for(runtime_ready(r) && api.lease_held_back);
	settle();
	is_int(n_passes, 0);
	ok(!runtime_leading(r));
	api.hold_lease = false;
	on_lease(api.lease_held_back);
	wait_for(n_passes == 1);
	is_str(api.holder, "us");
	ok(runtime_leading(r));
	runtime_stop(r);
	run_to_the_end(nothing);
	is_str(api.holder, "");
	ok(!runtime_lost(r));
}

/* --- kinds that come and go ------------------------------------------------------------------ */

static void kind_is_followed_while_its_crd_is_there(void)
{
	static const struct kube_kind *const kinds[] = {&crd, &thing, NULL};

	prepare(NULL);
	START(.kinds = kinds, .crd_kind = &crd, .crd_serves = crd_serves);
	wait_for(runtime_ready(r)); /* that a kind is not there holds nothing up */
	ok(!cache_version(runtime_cache(r), &thing));
	api.initial[THINGS] = ADDED("a") END("5");
	push(CRDS, CRD_EVENT("ADDED", "6"));
	wait_for(writes('a', false));
	has(api.streams[THINGS]->path, "/apis/test.io/v1/things?");
	has(api.writes[0]->path, "/apis/test.io/v1/");
	push(CRDS, CRD_EVENT("DELETED", "7"));
	wait_for(api.streams[THINGS]->closed);
	is_int(cache_count(runtime_cache(r), &thing), 0);
	ok(!cache_version(runtime_cache(r), &thing));
	settle();
	is_int(api.n_writes, 1);
	/* And comes again. */
	push(CRDS, CRD_EVENT("ADDED", "8"));
	wait_for(writes('a', false) == 2);
}

/* The server of the others has not heard of their CRD yet, and says 404 for a moment. */
static void kind_that_comes_back_by_its_own_watch_wakes_all(void)
{
	static const struct kube_kind *const kinds[] = {&crd, &thing, &other, NULL};
	int before;

	prepare(ADDED("a") END("5"));
	sees_others = true;
	api.initial[CRDS] = CRD_EVENT("ADDED", "3") END("5");
	api.initial[OTHERS] = NULL;
	api.missing[OTHERS] = true;
	START(.kinds = kinds, .crd_kind = &crd, .crd_serves = crd_serves);
	wait_for(writes('a', false));
	settle();
	ok(!passes[n_passes - 1].sees_others);
	api.missing[OTHERS] = false;
	before = api.opened[OTHERS];
	wait_for(api.opened[OTHERS] > before);
	before = n_passes;
	srv_begin(api.streams[OTHERS], 200, NULL);
	wait_for(cache_version(runtime_cache(r), &other));
	runtime_wake(r, &thing, "n", "a");
	settle();
	is_int(n_passes, before); /* what there is of them must be known first */
	push(OTHERS, EVENT("ADDED", "x", "4", "red") END("5"));
	wait_for(n_passes > before);
	ok(passes[before].name == 'a' && passes[before].sees_others);
	is_int(passes[before].others, 1);
	settle();
	is_int(n_passes, before + 1);
}

TESTS({"nothing is reconciled before all kinds are synced, then each object once",
       nothing_before_all_kinds_are_synced},
      {"never two passes of one key: what comes meanwhile makes one more, other keys go on",
       never_two_passes_of_one_key},
      {"only so many passes at once", only_so_many_passes_at_once},
      {"a refusal is told once, in the status", refusal_is_told_once},
      {"the status goes on while a refusal lasts, at no cost when it is equal",
       status_goes_on_while_a_refusal_lasts},
      {"a refusal of ever new words is told seldom", refusal_of_ever_new_words_is_told_seldom},
      {"an Event of a refusal is told once", event_of_a_refusal_is_told_once},
      {"a refusal that cannot be told is passed over", refusal_that_cannot_be_told_is_passed_over},
      {"a conflict waits for the news", conflict_waits_for_the_news},
      {"a lasting conflict is told, unless a condition of ours explains it",
       lasting_conflict_is_told_unless_a_condition_explains_it},
      {"a failure is tried again, ever later", failure_is_tried_again_ever_later},
      {"a stream that flickers ends no back-off", flicker_ends_no_back_off},
      {"the recovery of the API server ends every back-off", recovery_ends_every_back_off},
      {"stop waits for the passes in flight and begins none",
       stop_waits_for_passes_and_begins_none},
      {"only the leader acts, and gives the Lease back at its end",
       only_the_leader_acts_and_gives_back_the_lease},
      {"a kind is followed while its CRD is there", kind_is_followed_while_its_crd_is_there},
      {"a kind that comes back by its own watch wakes all",
       kind_that_comes_back_by_its_own_watch_wakes_all})
