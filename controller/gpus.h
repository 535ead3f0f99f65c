/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpus.h: what somebody asks of GPUs (a VM, a worker of a node group), and the two questions about
 * it: may KubeVirt hand them out, and has a node got them free? Pure; in the pass's arena.
 * Shared by the files of the plans that ask for GPUs.
 *
 *	gpus.c		 asks, status.gpus, gpuSummary
 *	gpus_permitted.c condition GPUsPermitted
 *	gpus_available.c condition GPUsAvailable
 */
#pragma once

#include "api/apps.h"
#include "controller/cr.h"
#include "controller/inventory.h"
#include "controller/verdict.h"

/*
 * One spelling and how often it is asked, for one machine. Of several groups of machines one
 * spelling may mean several devices: each keeps what it was written with.
 */
struct gpus_ask {
	const char *asked;  /* as in the spec */
	const char *device; /* canonical resource name */
	int64_t count;
};

struct gpus {
	const struct pass *pass;
	const struct options *options;
	const struct inventory *inventory;
	const struct cr *cr;
	struct cr_permitted permitted; /* of cr */
	const char *ns;		       /* of the asker: holders elsewhere have no name for it */
	const char *machine;	       /* the asker's VMI, or NULL */
	bool host_devices;	       /* some stand in hostDevices */
	bool companions;	       /* the audio functions of their boards are asked for, too */
	const char *left_out;	       /* they are not, and why: a sentence, or NULL */
	struct gpus_ask *asks;	       /* in the order of first mention */
	size_t n;
};

/* The ask of this device by this spelling, made if it is not there. */
struct gpus_ask *gpus_ask(struct gpus *g, const char *asked, const char *device);
/* Machines of one kind: what each of them asks, and how many there are. */
struct gpus_group {
	const struct gpus *asked;
	int64_t times;
};
/* What all of them ask, into total, which asks nothing yet. For thousands of spellings. */
void gpus_sum(struct gpus *total, const struct gpus_group *groups, size_t n);
/* How many of this device all spellings ask. For each of many devices: gpus_devices. */
int64_t gpus_count(const struct gpus *g, const char *device);
/* Each device once, in the order of first mention, with how many all spellings ask. In the arena. */
struct gpus_device {
	const char *device;
	int64_t count;
};
LIST_OF(gpus_device_list, struct gpus_device);
struct gpus_device_list gpus_devices(const struct gpus *g);
/* status.gpus, without what is allocated. */
struct gpu_status_list gpus_status(const struct gpus *g);
/* "2x L40S, 1x A100", by resource; NULL when nothing is asked. */
const char *gpus_summary(const struct gpus *g);

/* Does KubeVirt let the name through, for whatever reason? TRI_UNSET: there is no CR to ask. */
tri gpus_listed(const struct gpus *g, const char *device);
/* Nothing asked: says nothing. */
struct verdict gpus_permitted(const struct gpus *g);

/* Does, or will it let RESOURCE_COMPANION through for what is asked? */
struct verdict gpus_companions_permitted(const struct gpus *g);

/* Nothing asked: says nothing. That the asker has them already is for the caller to see. */
struct verdict gpus_available(const struct gpus *g);
/* "2 x nvidia.com/AD102GL_L40S, 1 x ..." */
const char *gpus_wish(const struct gpus *g);
