/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supply.h: gives this node's units to its kubelet, and takes them back. RIM.
 *
 *	obey_facts -> offers -> plugin_io -> the kubelet: which devices there are
 *	Allocate -> uses -> grant -> the kubelet: who gets them
 *	pods, processes -> uses -> a child that resets -> uses -> offers
 *
 * It decides nothing: offers.h says what is listed, uses.h who has it, grant.h what a container gets.
 * Before an Allocate counts, driver, group and config space of the unit are read once more.
 */
#pragma once

#include "base/loop.h"
#include "node-daemon/eyes.h"
#include "node-daemon/obey.h"

struct cut_use_list;
struct links;
struct supply;

struct supply_settings {
	struct loop *loop;
	struct eyes_settings eyes; /* who sees who has a device open */
	int sys;		   /* descriptor of /sys, above 2, lent */
	struct obey *obey;	   /* its facts and its journal */
	const char *plugins;	   /* the kubelet's folder for device plugins */
	const char *pods;	   /* its folder for pod resources */
	const char *pod;	   /* ours, NAMESPACE/NAME: podres.h */
	const struct links *links; /* NVLinks, as they are at any time; or NULL */
	loop_fn *changed;	   /* what is reported has changed */
	loop_fn *lost;		   /* the kubelet's folder is another one by now: start anew */
	loop_fn *look;		   /* something of the machine is not as it was looked at */
	void *ctx;
};

/* Never fails: what keeps it from working is logged, and tried again on each beat. */
struct supply *supply_create(const struct supply_settings *s);
/* What runs in children is ended; the kubelet sees us leave. NULL. */
struct supply *supply_destroy(struct supply *s);
/* obey_facts are others. */
void supply_turn(struct supply *s);
void supply_beat(struct supply *s);
/* obey_settings.busy */
const char *supply_busy(const struct supply *s, uint64_t unit, struct arena *a);
/* obey_settings.given */
void supply_given(const struct supply *s, struct arena *a, struct cut_use_list *ret);
/* Who has which unit, and what is wrong with some; in the arena, or lent until the next call. */
void supply_report(const struct supply *s, struct arena *a, struct report_obeyed *ret);
