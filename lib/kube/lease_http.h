/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_http.h: what a Lease's step machine (lease.h) wants from the API server, as a request, and
 * the answer back to it. For the election and for the nodes' beats.
 */
#pragma once

#include "kube/http.h"
#include "kube/lease.h"

/* The cached type is struct lease_record. */
extern const struct kube_kind kind_lease;

/*
 * Sends what lease_next asked for (no LEASE_WAIT), as an urgent request, with body as lent. done
 * gives its answer to lease_http_answer.
 */
struct http_request *lease_http_ask(struct http *h, const struct lease *l, const char *ns,
				    const char *name, enum lease_do what, const json_t *body,
				    int64_t now,
				    void (*done)(void *ctx, const struct http_answer *answer),
				    void *ctx);
/* Tells the machine; true: the API server did what was asked. */
bool lease_http_answer(struct lease *l, int64_t now, const struct http_answer *answer);
