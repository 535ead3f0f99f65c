/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What arrives for a request, and what becomes of it at its end, whatever carried it.
 */
#include "kube/http_private.h"

bool http_fresh(const struct http_request *r)
{
	return r->state == HTTP_ACTIVE && !r->refused && !r->too_big;
}

void http_got_status(struct http_request *r)
{
	if (r->told || r->hold) {
		return;
	}
	if (r->status == 401 && !r->tried_401) {
		r->hold = true; /* known when it is over whether it goes out again */
		return;
	}
	r->http->refused = r->status == 401;
	if (!r->call.timeout_ms) {
		http_measure_answer(r, r->status);
	}
	r->told = r->call.status || r->call.bytes; /* one that only collects has seen nothing yet */
	if (r->call.status) {
		r->call.status(r->call.ctx, r->status, r->retry_after);
	}
}

bool http_got_bytes(struct http_request *r, const char *bytes, size_t n)
{
	if (!http_fresh(r)) {
		return false;
	}
	r->byte_ms = loop_now(r->http->loop);
	if (r->hold || !r->call.bytes) {
		r->too_big = buf_add(&r->body, bytes, n) < 0;
	} else {
		r->refused = r->call.bytes(r->call.ctx, bytes, n) < 0;
	}
	return http_fresh(r); /* the caller may have cancelled it */
}

void http_begin(struct http_request *r)
{
	r->status = 0;
	r->retry_after = -1;
	r->sends = 0;
	r->port = 0;
	r->unknown = r->hold = r->answered = r->ended = false;
	r->generation = r->http->peer->generation;
	buf_reset(&r->body);
}

bool http_idempotent(const struct http_request *r)
{
	return str_eq(r->call.method, "GET") || str_eq(r->call.method, "HEAD");
}

/* Broke on the way, before the caller saw anything of it: a GET, or what never went out, goes out
 * again. Not when connecting failed. */
static bool worth_retrying(const struct http_request *r, CURLcode code)
{
	switch (code) {
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP2:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return !r->told && r->retries < HTTP_RETRIES && r->port && !r->unknown;
	default:
		return false;
	}
}

void http_done(struct http_request *r)
{
	r->unknown = false;
	if (!r->hold || !http_cred_again(r)) {
		http_finish(r, NULL);
	}
}

void http_broke(struct http_request *r, CURLcode code, const char *why)
{
	char text[ERR_MAX];

	http_error(r, code, why, text, sizeof(text));
	if (code == CURLE_PEER_FAILED_VERIFICATION && http_cred_renewed(r)) {
		http_requeue(r); /* the server's CA may have been replaced, and our file with it */
	} else if (worth_retrying(r, code)) {
		r->retries++;
		http_measure_retry(r);
		http_requeue(r);
	} else {
		http_finish(r, text);
	}
}
