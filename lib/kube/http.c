/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http_private.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"

#define DEFAULT_INFLIGHT 32
#define QUIET_REQUESTS 60 /* a minute: a leader at rest renews its Lease 12 times */

/* Lists */

void http_list_add(struct http_list *l, struct http_request *r)
{
	r->next = NULL;
	r->prev = l->last;
	*(l->last ? &l->last->next : &l->first) = r;
	l->last = r;
}

static void list_push(struct http_list *l, struct http_request *r)
{
	r->prev = NULL;
	r->next = l->first;
	*(l->first ? &l->first->prev : &l->last) = r;
	l->first = r;
}

void http_list_remove(struct http_list *l, struct http_request *r)
{
	*(r->prev ? &r->prev->next : &l->first) = r->next;
	*(r->next ? &r->next->prev : &l->last) = r->prev;
	r->prev = r->next = NULL;
}

static enum http_queue queue_of(const struct http_request *r)
{
	return r->call.urgent ? HTTP_URGENT : !r->call.timeout_ms ? HTTP_STREAMS : HTTP_OTHERS;
}

static bool is_counted(const struct http_request *r)
{
	return queue_of(r) != HTTP_STREAMS;
}

/* Requests */

static struct http_request *request_create(struct http *h, const struct http_call *call)
{
	struct http_request *r = xcalloc(1, sizeof(*r));

	*r = (struct http_request){
		.http = h, .call = *call, .start_ms = loop_now(h->loop), .retry_after = -1};
	r->call.path = xstrdup(call->path);
	r->call.query = str_empty(call->query) ? NULL : xstrdup(call->query);
	if (call->body) {
		char *body = xmalloc(call->length + 1);

		memcpy(body, call->body, call->length);
		body[call->length] = '\0';
		r->call.body = body;
	}
	buf_init(&r->body, call->max_body ? call->max_body : HTTP_MAX_BODY);
	return r;
}

static void request_free(struct http_request *r)
{
	free((char *)r->call.path), free((char *)r->call.query), free((char *)r->call.body);
	buf_finish(&r->body);
	free(r);
}

static void unlink_request(struct http_request *r)
{
	struct http *h = r->http;

	if (r->state == HTTP_QUEUED) {
		http_list_remove(&h->queue[queue_of(r)], r);
	} else if (r->state == HTTP_FAILED) {
		http_list_remove(&h->failed, r);
	} else if (r->state == HTTP_ACTIVE) {
		http_list_remove(&h->active, r);
		h->inflight -= is_counted(r);
	}
}

/* A 401 whose body was kept back in case that the request goes out again: it does not, the caller
 * gets all of it. */
static void tell_held(struct http_request *r)
{
	if (!r->hold || r->told) {
		return;
	}
	r->told = true;
	if (r->call.status) {
		r->call.status(r->call.ctx, r->status, r->retry_after);
	}
	if (r->call.bytes && r->body.len) {
		r->call.bytes(r->call.ctx, r->body.bytes, r->body.len);
	}
}

static void slow_down(struct http *h, int64_t retry_after)
{
	int64_t now = loop_now(h->loop);
	int64_t until =
		now + MIN(retry_after < 0 ? 1 : retry_after, (int64_t)HTTP_PAUSE_MAX_S) * 1000;

	if (now > h->pause_until) { /* of several 429 that come together only the first halves */
		h->limit = MAX(h->limit / 2, 1);
		h->limit_ms = now;
	}
	h->pause_until = MAX(h->pause_until, until);
}

void http_finish(struct http_request *r, const char *error)
{
	struct http *h = r->http;
	struct http_answer a = {
		.status = error ? 0 : r->status,
		.retry_after = r->retry_after,
		.error = error,
		.unknown = error && r->unknown,
		.sent_ms = r->start_ms,
		.took_ms = loop_now(h->loop) - r->start_ms,
	};

	unlink_request(r);
	r->state = HTTP_DEAD;
	if (r->slot || h->depth) { /* libcurl still holds it, or it is looked at further up */
		http_list_add(&h->dead, r);
	}
	http_measure_answer(r, a.status);
	h->counts.requests++;
	h->counts.failures += error != NULL;
	h->refused |= a.status == 401;
	if (a.status == 429) {
		slow_down(h, a.retry_after);
	}
	if (!error) {
		tell_held(r);
	}
	a.body = r->call.bytes ? "" : buf_text(&r->body);
	a.length = r->call.bytes ? 0 : r->body.len;
	r->call.done(r->call.ctx, &a);
	if (!r->slot && !h->depth) {
		request_free(r);
	}
	if (h->queue[HTTP_URGENT].first || h->queue[HTTP_STREAMS].first ||
	    h->queue[HTTP_OTHERS].first) {
		http_soon(h);
	}
}

void http_abort(struct http_request *r, const char *error)
{
	if (r->state == HTTP_DEAD) {
		return; /* its done is being called */
	}
	http_h2_remove(r);
	if (!r->http->depth) {
		http_curl_remove(r);
	}
	http_finish(r, error);
}

/* Those that wait now, not what their callers start meanwhile. */
void http_fail_queued(struct http *h, const char *error)
{
	for (int q = 0; q < HTTP_QUEUES; q++) {
		for (struct http_request *r; (r = h->queue[q].first);) {
			http_list_remove(&h->queue[q], r);
			r->state = HTTP_FAILED;
			http_list_add(&h->failed, r);
		}
	}
	while (h->failed.first) {
		http_finish(h->failed.first, error);
	}
}

void http_bury(struct http *h)
{
	while (h->dead.first) {
		struct http_request *r = h->dead.first;

		http_list_remove(&h->dead, r);
		http_curl_remove(r);
		request_free(r);
	}
}

void http_requeue(struct http_request *r)
{
	unlink_request(r);
	r->state = HTTP_QUEUED;
	list_push(&r->http->queue[queue_of(r)], r);
	http_soon(r->http);
}

struct http_request *http_start(struct http *h, const struct http_call *call)
{
	struct http_request *r;

	if (h->closing) {
		return NULL;
	}
	r = request_create(h, call);
	http_list_add(&h->queue[queue_of(r)], r);
	http_health_watch(h, r);
	http_soon(h);
	return r;
}

void http_cancel(struct http_request *r)
{
	http_abort(r, "cancelled");
}

/* What may go out */

void http_soon(struct http *h)
{
	loop_timer_set(h->pump_timer, 0);
}

/* One more at a time for each second without a 429. */
static void grow_limit(struct http *h, int64_t now)
{
	int64_t seconds = (now - MAX(h->limit_ms, h->pause_until)) / 1000;

	if (h->limit < h->settings.max_inflight && seconds > 0) {
		h->limit = (int)MIN((int64_t)h->limit + seconds, (int64_t)h->settings.max_inflight);
		h->limit_ms = now;
	}
}

static struct http_request *next(struct http *h, int64_t now)
{
	if (h->queue[HTTP_URGENT].first) {
		return h->queue[HTTP_URGENT].first;
	}
	if (now < h->pause_until) {
		return NULL;
	}
	if (h->queue[HTTP_STREAMS].first) {
		return h->queue[HTTP_STREAMS].first;
	}
	return h->inflight < h->limit ? h->queue[HTTP_OTHERS].first : NULL;
}

static int send_out(struct http_request *r)
{
	struct http *h = r->http;

	http_begin(r);
	if ((h->peer->http1 ? http_curl_start(r) : http_h2_start(r)) < 0) {
		http_finish(
			r, "the request cannot be made: libcurl refuses its URL, or has no memory");
		return -1;
	}
	unlink_request(r);
	r->state = HTTP_ACTIVE;
	http_list_add(&h->active, r);
	h->inflight += is_counted(r);
	r->active_ms = r->byte_ms = loop_now(h->loop);
	http_health_watch(h, r);
	return 0;
}

void http_pump(struct http *h)
{
	int64_t now = loop_now(h->loop);
	struct http_request *r;

	if (h->depth || h->closing || !http_cred_ready(h)) {
		return;
	}
	http_health_fence(h);
	grow_limit(h, now);
	while ((r = next(h, now))) {
		send_out(r);
	}
	if (now < h->pause_until && (h->queue[HTTP_STREAMS].first || h->queue[HTTP_OTHERS].first)) {
		loop_timer_set(h->pump_timer, h->pause_until);
	}
}

static void on_pump(void *ctx)
{
	struct http *h = ctx;

	http_pump(h);
	http_h2_flush(h);
	http_curl_kick(h);
}

/* The client */

/* Once a minute. What a busy minute took goes back to the kernel after the first quiet one. */
void http_trim(struct http *h)
{
	bool busy = h->counts.requests - h->requests_then > QUIET_REQUESTS;

	http_curl_trim(h, HTTP_SLOTS_KEPT);
	if (h->was_busy && !busy) {
		malloc_trim(0);
		slab_trim();
	}
	h->was_busy = busy;
	h->requests_then = h->counts.requests;
}

struct http *http_create(struct loop *l, struct config *config, const struct http_settings *s,
			 struct err *err)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->loop = l;
	h->config = config;
	h->settings = *s;
	h->settings.max_inflight = s->max_inflight > 0 ? s->max_inflight : DEFAULT_INFLIGHT;
	h->settings.silent_ms = s->silent_ms > 0 ? s->silent_ms : HTTP_SILENT_MS;
	h->settings.probe_ms = s->probe_ms > 0 ? s->probe_ms : HTTP_PROBE_MS;
	h->limit = h->settings.max_inflight;
	h->user_agent = xstrdup(s->user_agent ? s->user_agent : "vmgpu");
	if (http_curl_init(h, err) < 0) {
		free(h->user_agent);
		free(h);
		return NULL;
	}
	h->pump_timer = loop_timer_create(l, on_pump, h, "requests");
	h->more_timer = loop_timer_create(l, http_h2_more, h, "API server connection");
	h->watch_timer = loop_timer_create(l, http_health_tick, h, "request timeouts");
	h->refresh_timer = loop_timer_create(l, http_cred_tick, h, "credentials");
	h->refreshed_ms = loop_now(l);
	loop_timer_set(h->refresh_timer, h->refreshed_ms + HTTP_REFRESH_MS);
	return h;
}

struct http *http_destroy(struct http *h)
{
	if (!h) {
		return NULL;
	}
	assert(!h->depth);
	h->closing = true;
	http_cred_finish(h);
	for (int q = 0; q < HTTP_QUEUES; q++) {
		while (h->queue[q].first) {
			http_abort(h->queue[q].first, "the client is closing");
		}
	}
	while (h->active.first) {
		http_abort(h->active.first, "the client is closing");
	}
	http_h2_finish(h);
	http_bury(h);
	http_curl_finish(h);
	loop_timer_destroy(h->pump_timer);
	loop_timer_destroy(h->more_timer);
	loop_timer_destroy(h->watch_timer);
	loop_timer_destroy(h->refresh_timer);
	http_peer_unref(h->peer);
	free(h->user_agent);
	free(h->host);
	free(h->last_notice);
	free(h);
	return NULL;
}

const struct http_counts *http_counts(const struct http *h)
{
	return &h->counts;
}

bool http_refused(const struct http *h)
{
	return h->refused;
}
