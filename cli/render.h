/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h: what the controller would write for some manifests, given what is known of the cluster:
 * the controller's own plans, run over a cache that holds manifests and facts, until they want
 * nothing new. Pure: the files are read by cmd_render.c.
 *
 * What the facts lack and every plan needs is assumed, and said in the notes: KubeVirt, and, where
 * they hold none at all, the instance types and preferences that the manifests name.
 */
#pragma once

#include "controller/options.h"
#include "kube/plan.h"

/* Of an object that is not in the cluster yet: owner references to it are left out of what is
 * rendered. */
#define RENDER_NO_UID "00000000-0000-0000-0000-000000000000"

struct render_input {
	const json_t *manifests, *facts; /* arrays of objects; a List counts as its items */
	const json_t *files; /* beside each manifest the file that it is from; may be NULL */
	const char *ns;	     /* of manifests that name none; NULL: default */
	const struct options *options;
};

/*
 * *ret_objects: what would be applied, sorted by kind, namespace and name; new. *ret_notes:
 * sentences; new. -1 with err when a manifest is not fit for its kind (unknown field, wrong type,
 * more GPUs than a machine may have); it names the file, the object and the remedy.
 */
int render(const struct render_input *in, json_t **ret_objects, json_t **ret_notes,
	   struct err *err);
