/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render_check.h: is a manifest fit for its kind, as the API server and kubectl would look at it:
 * fields that the kind has, of its types, and how many GPUs. Pure.
 */
#pragma once

#include "kube/cache.h"

enum render_known {
	RENDER_OURS,	  /* VirtualMachine, VMInstance, VMDisk, Kubernetes */
	RENDER_NEIGHBOUR, /* another kind that plans read: it counts as a fact */
	RENDER_UNKNOWN,	  /* nobody reads it */
};

/* One of the above; -1 with err, which names the object and what to write. */
int render_check(const struct cache *c, const json_t *o, struct arena *a, struct err *err);
