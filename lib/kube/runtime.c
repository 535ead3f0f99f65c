/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/runtime_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define STOP_WITHIN_MS 30000
#define RELEASE_WITHIN_MS 5000 /* without an answer: the Lease runs out by itself */

static const struct kube_kind **all_kinds(const struct runtime_settings *s)
{
	const struct kube_kind **all;
	size_t n = 0;

	while (s->kinds[n]) {
		n++;
	}
	all = xcalloc(n + 2, sizeof(*all));
	memcpy(all, s->kinds, n * sizeof(*all));
	if (s->lease_name) {
		all[n] = &kind_lease;
	}
	return all;
}

struct runtime *runtime_create(struct loop *l, struct http *h, const struct runtime_settings *s)
{
	struct runtime *r = xcalloc(1, sizeof(*r));

	*r = (struct runtime){.loop = l, .http = h, .s = *s, .kinds = all_kinds(s)};
	r->cache = cache_create(r->kinds);
	cache_listen(r->cache, workers_see, r);
	feeds_create(r);
	served_create(r);
	workers_create(r);
	elect_create(r);
	events_create(r);
	return r;
}

void runtime_start(struct runtime *r)
{
	feeds_start(r);
	elect_start(r);
}

void runtime_close(struct runtime *r)
{
	r->stopping = r->closed = true;
}

struct runtime *runtime_destroy(struct runtime *r)
{
	if (r) {
		feeds_destroy(r);
		served_destroy(r);
		elect_destroy(r);
		events_destroy(r);
		workers_destroy(r);
		loop_timer_destroy(r->stop_timer);
		cache_destroy(r->cache);
		free(r->kinds);
		free(r);
	}
	return NULL;
}

/* Looks again until the passes in flight have ended and the Lease is given back, or the time is up.
 */
static void stop_turn(void *ctx)
{
	struct runtime *r = ctx;
	int64_t now = loop_now(r->loop);

	if (r->in_flight && now < r->stop_by) {
		loop_timer_set(r->stop_timer, now + 10);
		return;
	}
	if (r->lease && !r->releasing) {
		r->releasing = true;
		r->release_by = now + RELEASE_WITHIN_MS;
		elect_release(r);
	}
	if (!elect_released(r) && now < MIN(r->stop_by, r->release_by)) {
		loop_timer_set(r->stop_timer, now + 5);
		return;
	}
	loop_stop(r->loop);
}

void runtime_stop(struct runtime *r)
{
	if (r->stopping) {
		return;
	}
	log_info("stopping", log_str("component", r->s.component));
	r->stopping = true;
	r->stop_by = loop_now(r->loop) + STOP_WITHIN_MS;
	r->stop_timer = loop_timer_create(r->loop, stop_turn, r, "stop");
	stop_turn(r);
}

void runtime_listen(struct runtime *r, cache_listener *fn, void *ctx)
{
	cache_listen(r->cache, fn, ctx);
}

int64_t runtime_watching_since(const struct runtime *r, const struct kube_kind *k)
{
	for (size_t i = 0; i < r->n_feeds; i++) {
		if (r->feeds[i].kind == k) {
			return r->feeds[i].whole_since;
		}
	}
	return INT64_MAX;
}

bool runtime_lost(const struct runtime *r)
{
	return r->lost;
}

const char *runtime_trouble(const struct runtime *r)
{
	const char *waiting;

	if (r->lost) {
		return "the Lease is lost";
	}
	for (size_t i = 0; i < r->n_feeds; i++) {
		if (r->feeds[i].watch && watch_trouble(r->feeds[i].watch)) {
			return watch_trouble(r->feeds[i].watch);
		}
	}
	if (http_refused(r->http)) {
		return "the API server refuses our credentials (401)";
	}
	if (r->served.trouble) {
		return r->served.trouble;
	}
	if (!served_told(r)) {
		return "which kinds are served is still being asked";
	}
	return feeds_synced(r, &waiting) ? NULL : "the first lists are still being read";
}

bool runtime_ready(const struct runtime *r)
{
	return r->synced && !r->lost && !http_refused(r->http);
}

const struct cache *runtime_cache(const struct runtime *r)
{
	return r->cache;
}

size_t runtime_reconcilers(const struct runtime *r)
{
	return r->n_workers;
}

void runtime_stats(const struct runtime *r, size_t i, struct runtime_stats *ret,
		   struct queue_stats *queue)
{
	const struct worker *w = &r->workers[i];
	int64_t now = loop_now(r->loop);

	*ret = w->stats;
	ret->max = (unsigned)(r->s.passes ? r->s.passes : RUNTIME_PASSES);
	ret->unfinished = (double)(w->stats.active * now - w->began) / 1000;
	queue_stats(w->queue, now, queue);
	ret->queue = queue;
}

size_t runtime_watches(const struct runtime *r)
{
	return r->n_feeds;
}

const struct watch_counts *runtime_watch(const struct runtime *r, size_t i,
					 const struct kube_kind **ret_kind)
{
	const struct feed *f = &r->feeds[i];

	*ret_kind = f->kind;
	return f->watch ? watch_counts(f->watch) : NULL;
}

bool runtime_leading(const struct runtime *r)
{
	return elect_may_write(r);
}
