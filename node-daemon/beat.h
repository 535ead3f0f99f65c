/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beat.h: the node's sign of life: a Lease that the daemon renews, in its own namespace, named
 * node-<name of the node>, with a label that it is watched by (api/vmgpu.h). It is owned by the Node,
 * where that is known. RIM.
 *
 * Nobody competes for it: holderIdentity is the node, so a daemon that was killed goes on where it
 * was. Readers count a node as silent when the record has not changed for leaseDurationSeconds, and
 * then freeze what they know of it. It is not given back at the end: a daemon that restarts is no
 * silence.
 */
#pragma once

#include "kube/http.h"

struct beat;

struct beat_settings {
	const char *ns, *node;
	int64_t period_ms; /* between renewals; readers wait four of them */
	double (*random)(void *ctx);
	const char *(*node_uid)(void *ctx); /* NULL, itself or its answer: not known */
	loop_fn *also; /* called with each renewal, so that it wakes nobody by itself; or NULL */
	void *ctx;
};

struct beat *beat_create(struct loop *l, struct http *h, const struct beat_settings *s);
struct beat *beat_destroy(struct beat *b); /* before the http; NULL */
