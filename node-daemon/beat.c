/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/beat.h"

#include <stdlib.h>
#include <string.h>

#include "api/vmgpu.h"
#include "base/clock.h"
#include "base/log.h"
#include "kube/lease_http.h"

#define PERIODS_UNTIL_SILENT 4
#define RETRY_MS 2000

struct beat {
	struct loop *loop;
	struct http *http;
	struct beat_settings s;
	char *name;
	struct lease *lease;
	struct loop_timer *timer;
	struct http_request *asking;
	enum lease_do asked;			   /* what is asked now */
	enum { NOT_TRIED, HEARD, NOT_HEARD } said; /* how the last attempt ended, for the log */
};

static void turn(void *ctx);

static struct lease *lease_new(const struct beat *b)
{
	int64_t silent = b->s.period_ms * PERIODS_UNTIL_SILENT;
	const struct lease_settings s = {
		.duration_ms = silent,
		.renew_ms = b->s.period_ms,
		.retry_ms = MIN(RETRY_MS, b->s.period_ms),
		.deadline_ms = silent - b->s.period_ms / 2,
	};

	return lease_create(b->s.ns, b->name, b->s.node, &s, b->s.random, NULL);
}

/* Asked for a Lease that is gone, or written it beside somebody: the next turn does it again. A new
 * one that is not found has no namespace to be in. */
static bool failed(const struct beat *b, bool good, int status)
{
	return !good && status != 409 && (status != 404 || b->asked == LEASE_CREATE);
}

static void answered(void *ctx, const struct http_answer *answer)
{
	struct beat *b = ctx;
	bool good = lease_http_answer(b->lease, loop_now(b->loop), answer);

	b->asking = NULL;
	if (good && b->said != HEARD) {
		b->said = HEARD;
		log_info("beating", log_str("lease", b->name), log_str("namespace", b->s.ns));
	} else if (failed(b, good, answer->status) && b->said != NOT_HEARD) {
		b->said = NOT_HEARD;
		log_warn(answer->status == 404
				 ? "beat not heard: no such namespace, is --lease-namespace right?"
				 : "beat not heard",
			 log_str("lease", b->name), log_str("namespace", b->s.ns),
			 log_int("status", answer->status), log_str("reason", answer->error));
	}
	loop_timer_set(b->timer, loop_now(b->loop));
}

/* What it is watched by, and whose it is: with its Node it goes (as the kubelet's own Lease does). */
static void mark(const struct beat *b, json_t *body)
{
	json_t *meta = json_object_get(body, "metadata"), *labels = json_object_get(meta, "labels");
	const char *uid = b->s.node_uid ? b->s.node_uid(b->s.ctx) : NULL;

	if (!labels) {
		labels = json_object();
		json_object_set_new(meta, "labels", labels);
	}
	json_object_set_new(labels, BEAT_LABEL, json_string("true"));
	if (uid) {
		json_object_set_new(meta, "ownerReferences",
				    json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind",
					      "Node", "name", b->s.node, "uid", uid));
	}
}

static void turn(void *ctx)
{
	struct beat *b = ctx;
	int64_t now = loop_now(b->loop), wake;
	json_t *body = NULL;
	enum lease_do what;

	if (b->asking) {
		return;
	}
	if (lease_lost(b->lease, now)) {
		/* To a leader that means the end, to us only that nobody heard us for a while. */
		lease_destroy(b->lease);
		b->lease = lease_new(b);
	}
	what = lease_next(b->lease, now, clock_wall_ms(), &body, &wake);
	b->asked = what;
	if (what == LEASE_WAIT) {
		loop_timer_set(b->timer, MAX(wake, now + 1));
	} else {
		if (body) {
			mark(b, body);
		}
		b->asking = lease_http_ask(b->http, b->lease, b->s.ns, b->name, what, body, now,
					   answered, b);
	}
	json_decref(body);
	if (what != LEASE_WAIT && b->s.also) {
		b->s.also(b->s.ctx);
	}
}

struct beat *beat_create(struct loop *l, struct http *h, const struct beat_settings *s)
{
	struct beat *b = xcalloc(1, sizeof(*b));

	*b = (struct beat){
		.loop = l, .http = h, .s = *s, .name = xprintf(BEAT_PREFIX "%s", s->node)};
	b->lease = lease_new(b);
	b->timer = loop_timer_create(l, turn, b, "beat");
	loop_timer_set(b->timer, loop_now(l));
	return b;
}

struct beat *beat_destroy(struct beat *b)
{
	if (b) {
		if (b->asking) {
			http_cancel(b->asking);
		}
		loop_timer_destroy(b->timer);
		lease_destroy(b->lease);
		free(b->name);
		free(b);
	}
	return NULL;
}
