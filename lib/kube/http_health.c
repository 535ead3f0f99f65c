/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: when a request has waited long enough, and when a connection is dead although TCP does not
 * say so (a server that stopped, a load balancer that forgot us).
 */
#include "kube/http_private.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"

static int64_t add_ms(int64_t at, int64_t ms)
{
	return ms > 0 && ms < INT64_MAX - at ? at + ms : INT64_MAX;
}

static int64_t idle_deadline(const struct http_request *r)
{
	return r->state == HTTP_ACTIVE ? add_ms(r->byte_ms, r->call.idle_ms) : INT64_MAX;
}

static int64_t deadline(const struct http_request *r)
{
	return MIN(add_ms(r->start_ms, r->call.timeout_ms), idle_deadline(r));
}

static void wake_at(struct http *h, int64_t at)
{
	if (at < loop_timer_at(h->watch_timer)) {
		loop_timer_set(h->watch_timer, at);
	}
}

void http_health_watch(struct http *h, struct http_request *r)
{
	wake_at(h, deadline(r));
	if (r->state == HTTP_ACTIVE) {
		wake_at(h, add_ms(r->active_ms, h->settings.silent_ms));
	}
}

static struct http_sock *sock_of(struct http *h, const struct http_request *r)
{
	struct http_sock *s = h->socks;

	while (s && (!r->sends || s->port != r->port)) {
		s = s->next;
	}
	return s;
}

/*
 * Nothing at all came on the connection since this request went out: all on it end now instead of
 * each at its own time. The socket is shut down, and whoever reads it (http_h2.c, or libcurl) sees an
 * end of file.
 */
void http_health_suspect(struct http *h, const struct http_request *r)
{
	struct http_sock *s = sock_of(h, r);

	if (s && s->byte_ms <= r->active_ms) {
		shutdown(s->fd, SHUT_RDWR);
	}
}

static struct http_request *find_overdue(struct http *h, int64_t now)
{
	struct http_list *lists[] = {&h->active, &h->queue[HTTP_URGENT], &h->queue[HTTP_STREAMS],
				     &h->queue[HTTP_OTHERS]};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (struct http_request *r = lists[i]->first; r; r = r->next) {
			if (deadline(r) <= now) {
				return r;
			}
		}
	}
	return NULL;
}

static void end_overdue(struct http *h, struct http_request *r, int64_t now)
{
	char text[ERR_MAX];
	bool idle = idle_deadline(r) <= now;

	if (r->state == HTTP_ACTIVE) {
		http_h2_hold(r);
		snprintf(text, sizeof(text),
			 idle ? "%s %s: no byte came for %lld ms"
			      : "%s %s: no answer within %lld ms",
			 r->call.method, r->call.path,
			 (long long)(idle ? r->call.idle_ms : r->call.timeout_ms));
		http_health_suspect(h, r);
	} else {
		snprintf(text, sizeof(text), "%s %s: could not go out within %lld ms (%s)",
			 r->call.method, r->call.path, (long long)r->call.timeout_ms,
			 h->plugin		? "the credential plugin is still running"
			 : now < h->pause_until ? "the server asked us to wait"
						: "too many requests before it");
	}
	http_abort(r, text);
}

/*
 * Nothing goes out whose time is over. A process that was stopped goes on in the middle of a turn,
 * with the time of before and sockets that are ready: a write that waited would leave although
 * another leads by now. So whoever sends asks the clock itself first.
 */
void http_health_fence(struct http *h)
{
	int64_t now = clock_boot_ms();
	struct http_request *r;

	if (now < loop_timer_at(h->watch_timer)) {
		return; /* it stands at the first deadline or before */
	}
	while ((r = find_overdue(h, now))) {
		end_overdue(h, r, now);
	}
}

/*
 * The probe. Where a connection in use was silent, something must come on it while /version is
 * fetched, which goes over the one that takes new requests. Nothing came: it is dead, or was replaced
 * by that other one. In both cases its streams are better off elsewhere.
 */

/*
 * Since when r's connection is silent; INT64_MAX: it has none, or one of its own (HTTP/1.1, on
 * libcurl), of which an answer over another says nothing: idle_ms and TCP find out about that.
 */
static int64_t silent_since(const struct http_request *r, const struct http_sock *s)
{
	return s && !r->slot ? MAX(s->byte_ms, r->active_ms) : INT64_MAX;
}

static void probe_done(void *ctx, const struct http_answer *a)
{
	struct http *h = ctx;

	h->probe = NULL;
	if (h->closing) {
		return;
	}
	for (const struct http_request *r = h->active.first; r; r = r->next) {
		struct http_sock *s = sock_of(h, r);

		if (silent_since(r, s) <= a->sent_ms - h->settings.silent_ms) {
			shutdown(s->fd, SHUT_RDWR);
		}
	}
}

static int probe_bytes(void *ctx attr_unused, const char *bytes attr_unused, size_t n attr_unused)
{
	return 0;
}

static void start_probe(struct http *h)
{
	const struct http_call call = {
		.method = "GET",
		.path = "/version",
		.timeout_ms = h->settings.probe_ms,
		.urgent = true,
		.bytes = probe_bytes,
		.done = probe_done,
		.ctx = h,
		.verb = "GET",
		.resource = "version",
	};

	h->probe = http_start(h, &call);
}

/* When the longest silence of a connection in use ends in a probe. */
static int64_t silence_deadline(struct http *h)
{
	int64_t at = INT64_MAX;

	for (const struct http_request *r = h->active.first; r; r = r->next) {
		at = MIN(at, silent_since(r, sock_of(h, r)));
	}
	return at == INT64_MAX ? at : at + h->settings.silent_ms;
}

void http_health_tick(void *ctx)
{
	struct http *h = ctx;
	int64_t now = loop_now(h->loop), at = INT64_MAX;
	struct http_request *r;

	while ((r = find_overdue(h, now))) {
		end_overdue(h, r, now);
	}
	if (!h->probe) {
		at = silence_deadline(h);
		if (at <= now) {
			start_probe(h);
			at = now + h->settings.probe_ms;
		}
	}
	for (r = h->active.first; r; r = r->next) {
		at = MIN(at, deadline(r));
	}
	for (int q = 0; q < HTTP_QUEUES; q++) {
		for (r = h->queue[q].first; r; r = r->next) {
			at = MIN(at, deadline(r));
		}
	}
	wake_at(h, MAX(at, now + 1));
}
