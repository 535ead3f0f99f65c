/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/runtime_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/*
 * From this long on the server was away, and keys failed for that. In less no key has come far in
 * its back-off; and one stream that flickers, while all else goes well, must not defeat the
 * back-off of keys that fail for reasons of their own.
 */
#define AWAY_MS 1000

static void feed_turn(struct feed *f);

/* --- one stream ---------------------------------------------------------------------------- */

/* What came while it was broken comes late, all at once: nothing can be told from when it came. */
static void note_whole(struct feed *f)
{
	if (!f->watch || !watch_synced(f->watch) || watch_trouble(f->watch)) {
		f->whole_since = INT64_MAX;
	} else if (f->whole_since == INT64_MAX) {
		f->whole_since = loop_now(f->r->loop);
	}
}

static void note_recovery(struct feed *f)
{
	note_whole(f);
	if (watch_recovered(f->watch) >= AWAY_MS) {
		served_hurry(f->r);
		workers_hurry(f->r);
	}
}

/*
 * What a kind's own requests say of its version, and not its CRD: an API server may hear of a CRD
 * later than we do, and say 404 meanwhile. That it is back wakes all, like the CRD's coming. That it
 * is away does only where no CRD will tell: most often it is one server for a moment.
 */
static void note_served(struct feed *f, bool was_served)
{
	bool served = cache_version(f->r->cache, f->kind) != NULL;

	if (served != was_served && f->r->synced && (served || !f->r->s.crd_kind)) {
		workers_wake_all(f->r);
	}
}

static void on_status(void *ctx, int status, int64_t retry_after)
{
	struct feed *f = ctx;
	bool was_served = cache_version(f->r->cache, f->kind) != NULL;

	watch_status(f->watch, loop_now(f->r->loop), status, retry_after);
	note_served(f, was_served);
	note_recovery(f);
}

static int on_bytes(void *ctx, const char *bytes, size_t n)
{
	struct feed *f = ctx;
	struct err err;

	if (watch_bytes(f->watch, loop_now(f->r->loop), bytes, n, &err) < 0) {
		free(f->trouble);
		f->trouble = xstrdup(err.text);
		f->broken = true;
		return -1;
	}
	note_recovery(f);
	workers_wake(f->r);
	return 0;
}

/* Its version is our guess still: that it is not served is no news. */
static bool guessed(const struct feed *f)
{
	return f->crd && !served_told(f->r);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct feed *f = ctx;
	bool was_synced = f->watch && watch_synced(f->watch);
	bool was_served = cache_version(f->r->cache, f->kind) != NULL;
	const char *reason = f->trouble ? f->trouble : answer->error;

	f->request = NULL;
	if (!f->watch || f->r->closed) {
		return;
	}
	watch_closed(f->watch, loop_now(f->r->loop), f->broken || answer->status == 0, reason);
	note_served(f, was_served);
	if (watch_trouble(f->watch) && guessed(f)) {
		log_debug("watch interrupted", log_str("kind", f->kind->kind),
			  log_str("reason", watch_trouble(f->watch)));
	} else if (watch_trouble(f->watch)) {
		log_warn("watch interrupted", log_str("kind", f->kind->kind),
			 log_str("reason", watch_trouble(f->watch)));
	} else if (!was_synced && watch_synced(f->watch)) {
		log_debug("watch synced", log_str("kind", f->kind->kind));
	}
	note_recovery(f);
	free(take(f->trouble));
	f->broken = false;
	if (answer->status == 404) {
		served_missed(f);
	}
	feed_turn(f);
	workers_wake(f->r);
}

static void open_request(struct feed *f, const struct watch_request *want)
{
	attr_cleanup(buf_finish) struct buf path;

	buf_init(&path, 4 * KiB);
	kind_path(f->kind, want->version, f->ns, NULL, NULL, &path);
	watch_opened(f->watch, loop_now(f->r->loop));
	f->request =
		http_start(f->r->http, &(struct http_call){
					       .method = "GET",
					       .path = buf_text(&path),
					       .query = want->query,
					       .accept = want->accept,
					       .timeout_ms = want->stream ? 0 : want->timeout_ms,
					       .idle_ms = want->stream ? want->timeout_ms : 0,
					       .status = on_status,
					       .bytes = on_bytes,
					       .done = on_done,
					       .ctx = f,
					       .verb = want->stream ? "watch" : "list",
					       .resource = f->kind->plural,
				       });
}

/* Opens what the machine wants, or waits until it wants something. */
static void feed_turn(struct feed *f)
{
	struct watch_request want;
	int64_t wake;

	if (f->request || !f->watch || f->r->stopping) {
		return;
	}
	if (watch_wants(f->watch, loop_now(f->r->loop), &want, &wake)) {
		open_request(f, &want);
	} else {
		loop_timer_set(f->timer, wake);
	}
}

static void on_timer(void *ctx)
{
	feed_turn(ctx);
}

/* --- kinds that come and go ---------------------------------------------------------------- */

static void feed_begin(struct feed *f, const char *version)
{
	f->version = xstrdup(version);
	cache_set_served(f->r->cache, f->kind, version);
	if (!f->kind->type) {
		return;
	}
	f->watch =
		watch_create(f->r->cache, f->kind, f->selector, f->r->s.random, f->r->s.random_ctx);
	feed_turn(f);
}

static void feed_end(struct feed *f)
{
	struct watch *w = take(f->watch);

	if (f->request) {
		http_cancel(f->request);
	}
	loop_timer_set(f->timer, INT64_MAX);
	watch_destroy(w);
	free(take(f->version));
	note_whole(f);
	cache_set_served(f->r->cache, f->kind, NULL);
}

void feed_follow(struct feed *f, const char *version)
{
	if (f->version) {
		feed_end(f);
	}
	if (version) {
		feed_begin(f, version);
	}
}

void feeds_create(struct runtime *r)
{
	while (r->kinds[r->n_feeds]) {
		r->n_feeds++;
	}
	r->feeds = xcalloc(r->n_feeds, sizeof(*r->feeds));
	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];

		*f = (struct feed){.r = r, .kind = r->kinds[i], .whole_since = INT64_MAX};
		if (f->kind == &kind_lease) {
			f->ns = r->s.lease_ns;
			f->selector = xprintf("metadata.name=%s", r->s.lease_name);
		}
		for (const struct runtime_narrow *n = r->s.narrow; n && n->kind; n++) {
			if (n->kind == f->kind) {
				f->selector = n->field_selector ? xstrdup(n->field_selector) : NULL;
				f->ns = n->ns;
			}
		}
		if (r->s.crd_kind && !f->kind->builtin) {
			f->crd = xprintf("%s.%s", f->kind->plural, f->kind->group);
		}
		f->timer = loop_timer_create(r->loop, on_timer, f, f->kind->plural);
	}
}

/*
 * All at once, each in the version that we like best: discovery, which comes after the list of CRDs,
 * says later which of them are served in another, or not at all.
 */
void feeds_start(struct runtime *r)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];
		char *first = xstrndup(f->kind->versions, strcspn(f->kind->versions, " "));

		feed_begin(f, first);
		free(first);
	}
}

void feeds_destroy(struct runtime *r)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		struct feed *f = &r->feeds[i];

		watch_destroy(f->watch);
		loop_timer_destroy(f->timer);
		free(f->trouble);
		free(f->selector);
		free(f->crd);
		free(f->version);
	}
	free(r->feeds);
}

bool feeds_synced(const struct runtime *r, const char **ret_waiting)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		const struct feed *f = &r->feeds[i];

		if (f->watch && !watch_synced(f->watch)) {
			*ret_waiting = f->kind->kind;
			return false;
		}
	}
	return true;
}

void feeds_hurry(struct runtime *r)
{
	served_hurry(r);
	for (size_t i = 0; i < r->n_feeds; i++) {
		if (r->feeds[i].watch && !r->feeds[i].request) {
			watch_hurry(r->feeds[i].watch, loop_now(r->loop));
			feed_turn(&r->feeds[i]);
		}
	}
}
