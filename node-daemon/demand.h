/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demand.h: gives this node's vGPUs to its kubelet, and takes them back. RIM; a part of supply.c.
 *
 *	plan_vgpu -> lists, and devices for uses.h: which there are
 *	Allocate -> uses -> vgpu_make -> journal -> a child that makes it -> what a container gets
 *	uses -> journal ("dropping") -> obey.c removes it -> uses: it is free
 *
 * Whether one may be had is judged by uses.h like for any other device. Its reset is its removal: one that is
 * ordered (plan_slots.h) is made anew at once, and the number of one that was asked for is free.
 */
#pragma once

#include "node-daemon/obey.h"
#include "node-daemon/offers.h"
#include "node-daemon/uses.h"

struct cut_use_list;
struct eyes_settings;
struct grpc_call;
struct demand;

struct demand_settings {
	struct loop *loop;
	const struct eyes_settings *eyes; /* until it is created */
	int sys;			  /* a /sys, above 2 */
	struct obey *obey;
	struct uses *uses;
	loop_fn *again; /* uses has news */
	loop_fn *look;	/* the machine has changed */
	void *ctx;
};

struct demand *demand_create(const struct demand_settings *s);
struct demand *demand_destroy(struct demand *v); /* NULL */

/* By the form of its id: a vGPU. */
bool demand_is(const char *id);
/* obey_facts are others: what has gone since is told to uses. */
void demand_turn(struct demand *v);
/* Adds what is offered now to the lists, and tells what there is to uses. */
void demand_offer(struct demand *v, struct offers *to, struct arena *a);
void demand_units(struct demand *v, struct arena *a, struct uses_unit **ret, size_t *ret_n);

/* What a container gets best of that resource: prefer_vgpu.h. 0, or -1 with err. */
int demand_prefer(const struct demand *v, const char *resource, const struct dpapi_wish *wish,
		  struct arena *a, struct dpapi_ids *ret, struct err *err);

/* Works of uses.h. */
void demand_ask_holders(struct demand *v, const char *id);
void demand_remove(struct demand *v, const char *id);
/* Answers the call of w, later, and by its deadline. */
void demand_answer(struct demand *v, const struct uses_work *w);
void demand_call_gone(struct demand *v, struct grpc_call *call);

/* Which places pods have, or are being given: obey_settings.given. */
void demand_given(const struct demand *v, struct arena *a, struct cut_use_list *ret);
/* The pods, for the report: one a place. */
void demand_report(const struct demand *v, struct arena *a, struct report_obeyed *ret);
