/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h: what the controller would write for some manifests, given what is known of the cluster:
 * the controller's own plans, run over a cache that holds manifests and facts, until they want
 * nothing new. Pure: the files are read by cmd_render.c.
 *
 * What the facts lack and every plan needs is assumed, and said in the notes: KubeVirt, and the
 * instance types and preferences that the manifests name.
 */
#pragma once

#include "controller/options.h"
#include "kube/plan.h"

/* Of an object that is not in the cluster yet: owner references to it are left out of what is
 * rendered. */
#define RENDER_NO_UID "00000000-0000-0000-0000-000000000000"

/*
 * manifests, facts: arrays of objects; a List counts as its items. *ret_objects: what would be
 * applied, sorted by kind, namespace and name; new. *ret_notes: sentences; new. -1 with err when a
 * manifest is not fit for its kind (unknown field, wrong type).
 */
int render(const json_t *manifests, const json_t *facts, const struct options *o,
	   json_t **ret_objects, json_t **ret_notes, struct err *err);
