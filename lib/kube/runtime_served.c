/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which kinds are served. That a CRD is there is known from the watch of all CRDs, of which only the
 * metadata is read; in which versions it is served, the API server says in its discovery document.
 * That is asked for when the CRDs have been listed and when one of ours has changed, never at rest.
 *
 * Discovery may say less than is so: an API server hears of a change of a CRD no sooner than we do,
 * and a CRD is there before it is established. So what it does not list is asked for again for a
 * while, and does not end a feed that is well. It may also say more, for a moment: then the feed
 * itself is answered 404, and that asks again.
 */
#include "kube/runtime_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kube/discovery.h"

#define ASK_MS 30000	  /* for the whole answer */
#define FIRST_WAIT_MS 250 /* until it is asked again whether the API server has caught up */
#define WAIT_MAX_MS 30000
#define CATCHES_UP_MS 2000 /* while the wait is no longer, a change of a CRD may not be in it yet */

/* --- what it means for the feeds ------------------------------------------------------------- */

static bool unserved(const struct feed *f)
{
	return !f->kind->builtin && !cache_version(f->r->cache, f->kind);
}

/* Once, and one line a group: what comes later is told when it comes. */
static void say_unserved(const struct runtime *r)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];
		size_t first = 0;

		while (!(unserved(&r->feeds[first]) &&
			 str_eq(r->feeds[first].kind->group, f->kind->group)) &&
		       first < i) {
			first++;
		}
		if (first == i && unserved(f)) {
			log_warn(
				"API not served: what needs it says so in its status, and goes on when it "
				"is installed",
				log_str("group", f->kind->group), log_str("kind", f->kind->kind));
		}
	}
}

static bool has_crd(const struct feed *f)
{
	const struct obj *crd = cache_get(f->r->cache, f->r->s.crd_kind, NULL, f->crd);

	return crd && !crd->deleting;
}

/* In this version from now on; NULL: no longer. */
static void change(struct feed *f, const char *version)
{
	if (f->r->served.told) {
		log_info(version ? "kind served" : "kind not served",
			 log_str("kind", f->kind->kind), log_str("group", f->kind->group),
			 log_str("version", version ? version : f->version));
	}
	feed_follow(f, version);
	workers_wake_all(f->r);
}

/* True: the answer may not be the last word. */
static bool settle(struct feed *f)
{
	const struct served *s = &f->r->served;
	const struct discovery_kind said = discovery_find(s->discovery, f->kind);
	bool there = has_crd(f), early = s->wait_ms <= CATCHES_UP_MS;
	bool well = f->version && cache_version(f->r->cache, f->kind);
	const char *want = there ? said.version : NULL;

	if (there && !want && well && (early || !said.listed)) {
		return true;
	}
	if (!str_eq(want, f->version) || (want && !well && f->crd_changed)) {
		change(f, want);
	}
	return there && (want ? early && s->changed && !said.preferred : early || !said.listed);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void on_status(void *ctx, int status, int64_t retry_after attr_unused)
{
	struct runtime *r = ctx;

	discovery_begin(r->served.discovery, status);
}

static int on_bytes(void *ctx, const char *bytes, size_t n)
{
	struct runtime *r = ctx;

	discovery_feed(r->served.discovery, bytes, n);
	return 0;
}

static void failed(struct runtime *r, const char *why, int64_t retry_after)
{
	struct served *s = &r->served;
	auto_free char *text =
		xprintf("asking for the kinds that are served (GET %s): %s", DISCOVERY_PATH, why);
	int64_t delay =
		MIN((int64_t)WATCH_BACKOFF_MS << MIN(s->failures, 10u), (int64_t)WATCH_BACKOFF_MAX);

	s->failures++;
	delay += (int64_t)((double)delay * r->s.random(r->s.random_ctx));
	delay = MAX(delay, MIN(retry_after, (int64_t)WATCH_RETRY_AFTER_MAX) * 1000);
	loop_timer_set(s->timer, loop_now(r->loop) + delay);
	if (!str_eq(s->trouble, text)) {
		log_warn("discovery failed", log_str("reason", text));
		free(s->trouble);
		s->trouble = take(text);
	}
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct runtime *r = ctx;
	struct served *s = &r->served;
	struct err err;

	s->request = NULL;
	if (r->closed) {
		return;
	}
	if (answer->error) {
		failed(r, answer->error, answer->retry_after);
	} else if (discovery_end(s->discovery, &err) < 0) {
		failed(r, err.text, answer->retry_after);
	} else {
		if (s->trouble) {
			log_info("discovery answers again");
		}
		free(take(s->trouble));
		s->failures = 0;
		s->answered = true;
		workers_wake(r);
	}
}

static void ask(struct runtime *r)
{
	struct served *s = &r->served;

	loop_timer_set(s->timer, INT64_MAX);
	s->again = false;
	if (r->stopping) {
		return;
	}
	s->request = http_start(r->http, &(struct http_call){
						 .method = "GET",
						 .path = DISCOVERY_PATH,
						 .accept = DISCOVERY_ACCEPT,
						 .timeout_ms = ASK_MS,
						 .status = on_status,
						 .bytes = on_bytes,
						 .done = on_done,
						 .ctx = r,
						 .verb = "get",
						 .resource = "apis",
					 });
}

/* One at a time: what happens while it is under way asks once more behind it. */
static void want_answer(struct runtime *r)
{
	struct served *s = &r->served;

	s->wait_ms = FIRST_WAIT_MS;
	if (s->request || s->answered) {
		s->again = true;
	} else {
		ask(r);
	}
}

static void on_timer(void *ctx)
{
	ask(ctx);
}

static void take_answer(struct runtime *r)
{
	struct served *s = &r->served;
	bool unsettled = false;

	for (size_t i = 0; i < r->n_feeds; i++) {
		if (r->feeds[i].crd && settle(&r->feeds[i])) {
			unsettled = true;
		}
	}
	if (!s->told) {
		s->told = true;
		say_unserved(r);
	}
	if (s->again) {
		ask(r);
		return;
	}
	for (size_t i = 0; i < r->n_feeds; i++) {
		r->feeds[i].crd_changed = false;
	}
	if (unsettled) {
		loop_timer_set(s->timer, loop_now(r->loop) + s->wait_ms);
		s->wait_ms = MIN(2 * s->wait_ms, (int64_t)WAIT_MAX_MS);
	}
}

/* Where a CRD has gone there is nothing to ask. */
static void look_at_crds(struct runtime *r)
{
	struct served *s = &r->served;
	bool changed = false;

	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];

		if (!f->crd || !f->crd_changed || !s->told) {
			continue;
		}
		if (has_crd(f)) {
			changed = true;
		} else if (f->version) {
			change(f, NULL);
		}
	}
	if (changed || !s->told) {
		s->changed = changed;
		want_answer(r);
	}
}

void served_turn(struct runtime *r)
{
	struct served *s = &r->served;

	if (!r->s.crd_kind || !cache_synced(r->cache, r->s.crd_kind)) {
		return;
	}
	if (s->crds_changed) {
		s->crds_changed = false;
		look_at_crds(r);
	}
	if (s->answered) {
		s->answered = false;
		take_answer(r);
	}
}

void served_see(struct runtime *r, const char *crd)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		if (r->feeds[i].crd && str_eq(r->feeds[i].crd, crd)) {
			r->feeds[i].crd_changed = r->served.crds_changed = true;
		}
	}
}

void served_missed(struct feed *f)
{
	if (f->crd && f->version && f->r->served.told) {
		want_answer(f->r);
	}
}

void served_hurry(struct runtime *r)
{
	struct served *s = &r->served;
	int64_t now = loop_now(r->loop);

	if (s->failures && !s->request && now - WATCH_HURRY_MS >= s->hurried) {
		s->hurried = now;
		s->failures = 0;
		ask(r);
	}
}

bool served_told(const struct runtime *r)
{
	return !r->s.crd_kind || r->served.told;
}

void served_create(struct runtime *r)
{
	struct served *s = &r->served;

	*s = (struct served){.crds_changed = true, .wait_ms = FIRST_WAIT_MS, .hurried = INT64_MIN};
	s->discovery = r->s.crd_kind ? discovery_create(r->kinds) : NULL;
	s->timer = loop_timer_create(r->loop, on_timer, r, "discovery");
}

void served_destroy(struct runtime *r)
{
	discovery_destroy(r->served.discovery);
	loop_timer_destroy(r->served.timer);
	free(r->served.trouble);
}
