/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpus.h: gives this node's vGPUs to its kubelet, and takes them back. RIM; a part of supply.c.
 *
 *	plan_vgpu -> lists, and devices for uses.h: which there are
 *	Allocate -> uses -> vgpu_make -> journal -> a child that makes it -> what a container gets
 *	uses -> journal ("dropping") -> obey.c removes it -> uses: it is free
 *
 * Whether one may be had is judged by uses.h like for any other device. Its reset is its removal: one that is
 * ordered (plan_slots.h) is made anew at once, and the number of one that was asked for is free.
 */
#pragma once

#include "node-daemon/eyes.h"
#include "node-daemon/obey.h"
#include "node-daemon/offers.h"
#include "node-daemon/plan_vgpu.h"
#include "node-daemon/uses.h"

struct grpc_call;
struct vgpus;

struct vgpus_settings {
	struct loop *loop;
	struct eyes_settings eyes;
	int sys; /* a /sys, above 2 */
	struct obey *obey;
	struct uses *uses;
	loop_fn *again; /* uses has news */
	loop_fn *look;	/* the machine has changed */
	void *ctx;
};

struct vgpus *vgpus_create(const struct vgpus_settings *s);
struct vgpus *vgpus_destroy(struct vgpus *v); /* NULL */

/* By the form of its id: a vGPU. */
bool vgpus_is(const char *id);
/* obey_facts are others: what has gone since is told to uses. */
void vgpus_turn(struct vgpus *v);
/* Adds what is offered now to the lists, and tells what there is to uses. */
void vgpus_offer(struct vgpus *v, struct offers *to, struct arena *a);
void vgpus_units(struct vgpus *v, struct arena *a, struct uses_unit **ret, size_t *ret_n);

/* Works of uses.h. */
void vgpus_ask_holders(struct vgpus *v, const char *id);
void vgpus_remove(struct vgpus *v, const char *id);
/* Answers the call, later. */
void vgpus_answer(struct vgpus *v, struct grpc_call *call, const char *resource,
		  const struct dpapi_asks *asks);
void vgpus_call_gone(struct vgpus *v, struct grpc_call *call);

/* Which places pods have, or are being given: obey_settings.given. */
void vgpus_given(const struct vgpus *v, struct arena *a, struct cut_use_list *ret);
/* The pods, for the report: one a place. */
void vgpus_report(const struct vgpus *v, struct arena *a, struct report_obeyed *ret);
