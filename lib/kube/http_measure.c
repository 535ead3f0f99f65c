/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rest_client_* metrics, as client-go counts them: an answer counts when its header is there (a
 * watch too, which has no duration).
 */
#include "kube/http_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/measure.h"

void http_measure_peer(struct http *h)
{
	const char *start = strstr(h->config->server, "://");

	start = start ? start + 3 : h->config->server;
	free(h->host);
	h->host = xstrndup(start, strcspn(start, "/"));
}

static const char *code_of(int status, char text[16])
{
	if (!status) {
		return "<error>"; /* client-go's word */
	}
	snprintf(text, 16, "%d", status);
	return text;
}

void http_measure_answer(struct http_request *r, int status)
{
	struct http *h = r->http;
	struct metrics *m = h->settings.metrics;
	const char *method = r->call.method;
	int64_t now = loop_now(h->loop);
	char code[16];

	if (!m || r->measured || !h->host) {
		return;
	}
	r->measured = true;
	metric_add(m, MEASURE_REST_REQUESTS, 1,
		   METRIC_LABELS(code_of(status, code), method, h->host));
	if (r->active_ms) {
		metric_observe(m, MEASURE_REST_LIMITER_SECONDS,
			       (double)(r->active_ms - r->start_ms) / 1000,
			       METRIC_LABELS(method, h->host));
		metric_observe(m, MEASURE_REST_SECONDS, (double)(now - r->active_ms) / 1000,
			       METRIC_LABELS(method, h->host));
	}
}

void http_measure_retry(struct http_request *r)
{
	char code[16];

	r->http->counts.retries++;
	metric_add(r->http->settings.metrics, MEASURE_REST_RETRIES, 1,
		   METRIC_LABELS(code_of(r->status, code), r->call.method, r->http->host));
}
