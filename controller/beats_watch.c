/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/beats_watch.h"

#include <stdlib.h>

#include "api/vmgpu.h"
#include "base/loop.h"

#define AWAY_MS 1000 /* while the watch is broken: when to look again */

struct beats_watch {
	struct loop *loop;
	struct runtime *runtime;
	struct beats *beats;
	struct loop_timer *timer;
};

static void turn(void *ctx)
{
	struct beats_watch *w = ctx;
	int64_t now = loop_now(w->loop), since = runtime_watching_since(w->runtime, &kind_beat),
		wake;
	const char *node;

	while ((node = beats_next(w->beats, now, since, &wake))) {
		runtime_wake(w->runtime, &kind_gpu_node, NULL, node);
	}
	loop_timer_set(w->timer, since == INT64_MAX ? now + AWAY_MS : wake);
}

static void on_change(void *ctx, const struct kube_kind *k, const struct obj *old,
		      const struct obj *now)
{
	struct beats_watch *w = ctx;
	const struct lease_record *r = (const struct lease_record *)(now ? now : old);
	int64_t at = loop_now(w->loop);

	if (k != &kind_beat) {
		return;
	}
	if (!now) {
		beats_gone(w->beats, r);
	} else if (beats_seen(w->beats, r, at)) {
		loop_timer_set(w->timer, at);
	}
}

struct beats_watch *beats_watch_create(struct loop *l, struct runtime *r, struct beats *b)
{
	struct beats_watch *w = xcalloc(1, sizeof(*w));

	*w = (struct beats_watch){.loop = l, .runtime = r, .beats = b};
	w->timer = loop_timer_create(l, turn, w, "beats");
	runtime_listen(r, on_change, w);
	return w;
}

struct beats_watch *beats_watch_destroy(struct beats_watch *w)
{
	if (w) {
		loop_timer_destroy(w->timer);
		free(w);
	}
	return NULL;
}
