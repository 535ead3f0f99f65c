/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime_test.h: the runtime against an API server of three kinds and a Lease, which the test holds
 * in its hand: streams stay open for what it pushes, writes and discovery can be held back. The
 * reconciler patches its object in every pass, and tells trouble in the status.
 */
#pragma once

#include "kube/runtime.h"

#include "base/log.h"
#include "kube/bodies_test.h"
#include "kube/discovery.h"
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
static const struct kube_kind crd = {
	.group = "apiextensions.k8s.io",
	.versions = "v1",
	.kind = "CustomResourceDefinition",
	.plural = "customresourcedefinitions",
	.builtin = true,
	.metadata_only = true,
	.type = &thing_type,
};
#define CRD_EVENT(type, name, rv)                                                                  \
	"{\"type\":\"" type                                                                        \
	"\",\"object\":{\"kind\":\"PartialObjectMetadata\",\"metadata\":{\"name\":\"" name         \
	"\",\"resourceVersion\":\"" rv "\"}}}\n"
#define THINGS_CRD(rv) CRD_EVENT("ADDED", "things.test.io", rv)
#define OTHERS_CRD(rv) CRD_EVENT("ADDED", "others.test.io", rv)

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
	const char *listed[2];	  /* in discovery: versions of things and others, or NULL */
	const char *undiscovered; /* what discovery says instead */
	int undiscovered_status;
	bool hold_asked;		    /* discovery is answered by tell alone */
	struct srv_request *asked[SRV_MAX]; /* for discovery */
	int64_t asked_at[SRV_MAX];
	int n_asked;
	int live_status; /* of the answer to a GET of a thing; 0: 200 and nothing of it */
	const char *live;
	int n_looks;
} api;

attr_unused static char name_of(const struct srv_request *r)
{
	const char *things = strstr(r->path, "/things/");

	return things ? things[strlen("/things/")] : '\0';
}

attr_unused static bool is_status(const struct srv_request *r)
{
	return strstr(r->path, "/status?");
}

attr_unused static void let_go(struct srv_request *r)
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

attr_unused static void on_stream(struct srv_request *r)
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

attr_unused static void on_lease(struct srv_request *r)
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

attr_unused static void list_version(struct buf *b, const char *version)
{
	bool things = strstr(api.listed[THINGS] ?: "", version);
	bool others = strstr(api.listed[OTHERS] ?: "", version);

	buf_printf(b, "%s{\"version\":\"%s\",\"resources\":[%s%s%s]}",
		   str_eq(version, "v1") ? "" : ",", version,
		   things ? "{\"resource\":\"things\"}" : "", things && others ? "," : "",
		   others ? "{\"resource\":\"others\"}" : "");
}

attr_unused static void tell(struct srv_request *r)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, MiB);
	buf_str(&b, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":"
		    "{\"name\":\"test.io\"},\"versions\":[");
	list_version(&b, "v1");
	list_version(&b, "v2");
	list_version(&b, "v3");
	buf_str(&b, "]}]}");
	srv_reply(r, api.undiscovered_status ?: 200, NULL, api.undiscovered ?: buf_text(&b));
}

attr_unused static void on_discovery(struct srv_request *r)
{
	api.asked[api.n_asked] = r;
	api.asked_at[api.n_asked++] = loop_now(loop);
	if (!api.hold_asked) {
		tell(r);
	}
}

attr_unused static void on_request(struct srv_request *r)
{
	if (str_eq(r->path, "/apis")) {
		on_discovery(r);
	} else if (strstr(r->path, "watch=true")) {
		on_stream(r);
	} else if (strstr(r->path, "/leases")) {
		on_lease(r);
	} else if (str_eq(r->method, "GET") && strstr(r->path, "/things/")) {
		api.n_looks++;
		srv_reply(r, api.live_status ?: 200, NULL, api.live ?: "{}");
	} else if (str_eq(r->method, "GET")) {
		answer_ok(r);
	} else {
		api.writes[api.n_writes++] = r;
		if (!api.hold) {
			let_go(r);
		}
	}
}

attr_unused static void push(int plural, const char *text)
{
	ok(api.streams[plural] && !api.streams[plural]->closed);
	srv_data(api.streams[plural], text, strlen(text), false);
}

attr_unused static int held_back(void)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += !api.writes[i]->begun;
	}
	return n;
}

attr_unused static void let_all_go(void)
{
	api.hold = false;
	for (int i = 0; i < api.n_writes; i++) {
		if (!api.writes[i]->begun) {
			let_go(api.writes[i]);
		}
	}
}

attr_unused static int events_written(void)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += strstr(api.writes[i]->path, "/events") != NULL;
	}
	return n;
}

/* Writes to this object (its status), or to all where name is '\0'. */
attr_unused static int writes(char name, bool status)
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

attr_unused static void plan(const void *seen_now, struct plan *p)
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

attr_unused static double least(void *ctx attr_unused)
{
	return 0;
}

attr_unused static void forget(void)
{
	if (r) {
		runtime_close(r);
		http = http_destroy(http);
		r = runtime_destroy(r);
	}
}

/* An API server that says at first what `things` says of its things, no others and no CRD. */
attr_unused static void prepare(const char *things)
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
attr_unused static void operate(struct runtime_settings s)
{
	s.kinds = s.kinds ? s.kinds : only_things;
	s.reconcilers = s.reconcilers ? s.reconcilers : reconcilers;
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
attr_unused static void settle(void)
{
	get_done("/ok");
	get_done("/ok");
}

attr_unused static int passes_of(char name)
{
	int n = 0;

	for (int i = 0; i < n_passes; i++) {
		n += passes[i].name == name;
	}
	return n;
}

attr_unused static uint64_t succeeded(void)
{
	struct queue_stats queue;
	struct runtime_stats stats;

	runtime_stats(r, 0, &stats, &queue);
	return stats.passes[0];
}
