/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/runtime_impl.h"

#include <string.h>

#include "base/clock.h"
#include "json/write.h"

static const struct kube_kind event_kind = {
	"events.k8s.io", "v1", "Event", "events", .namespaced = true, .builtin = true,
};

static void events_turn(void *ctx);

static void answered(void *ctx, const struct http_answer *answer)
{
	struct runtime *r = ctx;

	r->events_asking = false;
	event_answered(r->events, loop_now(r->loop), answer->status);
	events_turn(r);
}

static void send_event(struct runtime *r, const struct event_write *w, int64_t left)
{
	attr_cleanup(buf_finish) struct buf path = {.max = 4 * KiB};
	auto_free char *text = json_text(w->body, JSON_COMPACT);

	kind_path(&event_kind, "v1", w->ns, w->patch ? w->name : NULL, NULL, &path);
	r->events_asking = true;
	http_start(r->http, &(struct http_call){
				    .method = w->patch ? "PATCH" : "POST",
				    .path = buf_text(&path),
				    .content_type = w->patch ? "application/merge-patch+json"
							     : "application/json",
				    .body = text,
				    .length = strlen(text),
				    .timeout_ms = MIN(left, INT64_C(30000)),
				    .done = answered,
				    .ctx = r,
				    .verb = w->patch ? "patch" : "create",
				    .resource = "events",
			    });
}

/* One at a time, and only from the leader; what waits longer has its own time. */
static void events_turn(void *ctx)
{
	struct runtime *r = ctx;
	struct event_write w;
	int64_t wake = INT64_MAX,
		left = r->lease ? lease_left(r->lease, clock_boot_ms()) : INT64_MAX;

	if (r->events_asking || r->stopping || left <= 0) {
		return;
	}
	if (event_next(r->events, loop_now(r->loop), &w, &wake)) {
		send_event(r, &w, left);
		json_decref(w.body);
	} else {
		loop_timer_set(r->events_timer, wake);
	}
}

void events_tell(struct runtime *r, const struct kube_kind *k, const struct key *key,
		 const struct action *a)
{
	const struct obj *o = k->type ? cache_get(r->cache, k, key->ns, key->name) : NULL;
	const struct event_about about = {
		.kind = k,
		.version = cache_version(r->cache, k),
		.ns = key->ns,
		.name = key->name,
		.uid = o ? o->uid : NULL,
	};

	event_tell(r->events, loop_now(r->loop), clock_wall_ms(), &about, a->warning, a->reason,
		   a->why);
	events_turn(r);
}

void events_create(struct runtime *r)
{
	r->events = event_book_create("vmgpu.io/controller", r->s.identity, EVENT_MAX);
	r->events_timer = loop_timer_create(r->loop, events_turn, r, "events");
}

void events_destroy(struct runtime *r)
{
	loop_timer_destroy(r->events_timer);
	event_book_destroy(r->events);
}
