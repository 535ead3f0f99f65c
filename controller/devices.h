/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices.h: spec.gpus[] of one machine (a VM, a worker of a node group) -> its device entries
 * gpu1, gpu2, ... Pure; in the pass's arena.
 *
 * Which of KubeVirt's two lists an entry stands in matters twice: a change of it means another
 * machine or a restart, and one resource in both lists would be handed out twice (kubevirt.md 2).
 * So what was made before keeps the list that it has, and all entries of one resource go together.
 */
#pragma once

#include "controller/gpus.h"

#define DEVICES_MAX 64

struct device {
	const char *device; /* canonical resource name */
	unsigned index;	    /* of spec.gpus */
	bool vgpu;
	bool host_device;     /* domain.devices.hostDevices, else gpus */
	bool options;	      /* asked with virtualGPUOptions */
	bool display_options; /* that say something of a display */
	tri display, ram_fb;  /* as asked */
	bool show, show_fb;   /* as written */
};
struct devices {
	struct device *items;
	size_t n;
	size_t companions; /* companions.h */
};

/* The entries that the machine was written with before; its choices bind us. */
struct devices_before {
	const struct kv_gpu_list *gpus, *host_devices;
};

/* What is asked is counted into asked, which brings inventory and CR. before: NULL when new. */
struct devices devices_make(const struct gpu_request_list *requests,
			    const struct devices_before *before, struct gpus *asked);
/* Is this resource in one of the lists? */
bool devices_in(const struct kv_gpu_list *l, const char *device);

/*
 * What no machine can have: SeveralVGPUs, SeveralDisplays, InstanceTypeHasGPUs. path: of the list
 * in the manifest ("gpus"); type: the instance type, or NULL.
 */
struct verdict devices_check(const struct devices *d, const char *path,
			     const struct kv_instancetype *type, struct arena *a);

/* Into domain.devices. */
void devices_write(const struct devices *d, json_t *domain_devices);
