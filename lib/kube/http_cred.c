/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials over time: files are read again every minute and after a 401, exec plugins run as children; requests wait for them.
 */
#include "kube/http_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define AGAIN_MS 1000 /* a burst of 401 looks at the files once */

void http_notice(struct http *h, bool bad, const char *sentence)
{
	if (!h->settings.notice || str_eq(h->last_notice, sentence)) {
		return;
	}
	free(h->last_notice);
	h->last_notice = xstrdup(sentence);
	h->settings.notice(h->settings.ctx, bad, sentence);
}

static void refresh(struct http *h)
{
	struct err err;
	int r;

	h->refreshed_ms = loop_now(h->loop);
	r = config_refresh(h->config, &err);
	if (r < 0) {
		http_notice(h, true, err.text);
	} else if (r > 0) {
		http_notice(h, false, "credentials have changed and are in use");
	} else {
		free(take(h->last_notice)); /* well again: the same failure later is news */
	}
}

static bool peer_is_current(const struct http *h)
{
	return h->peer && h->peer->generation == h->config->generation;
}

bool http_cred_ready(struct http *h)
{
	if (!peer_is_current(h)) {
		http_peer_unref(h->peer);
		h->peer = http_peer_create(h->config, h);
	}
	return true;
}

bool http_cred_again(struct http_request *r)
{
	struct http *h = r->http;

	if (r->generation == h->config->generation && loop_now(h->loop) - h->refreshed_ms >= AGAIN_MS) {
		refresh(h);
	}
	if (r->generation == h->config->generation) {
		return false;
	}
	r->tried_401 = true;
	h->counts.retries++;
	http_requeue(r);
	return true;
}

void http_cred_tick(void *ctx)
{
	struct http *h = ctx;

	refresh(h);
	http_curl_trim(h, HTTP_SLOTS_KEPT);
	loop_timer_set(h->refresh_timer, loop_now(h->loop) + HTTP_REFRESH_MS);
}

void http_cred_finish(struct http *h attr_unused)
{
}
