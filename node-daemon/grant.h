/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant.h: what a container gets with the units that it was given: what Allocate answers. Pure.
 *
 * Who may have what is decided before. Here only what cannot be handed out is refused: a device that
 * is not with vfio.
 *
 * virt-launcher finds its devices in a variable that is named after the resource: their addresses,
 * with a comma between, of which it takes as many as the virtual machine has GPUs of that resource,
 * from the front. The kubelet's order says nothing (it is that of a map), so ours is that of the
 * addresses: the same devices are the same for the guest after every start. Of a unit with several
 * GPUs the first is named; with the others nobody else can do anything.
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/unit.h"

#define GRANT_COMPANION "vmgpu.io/companion"

struct grant_asked {
	const struct machine *machine;
	const char *resource;
	const struct unit **units; /* in any order; one that comes twice counts once */
	size_t n;
	/*
	 * With each GPU goes the audio function of its board: its address stands in the variable of
	 * GRANT_COMPANION, whose own Allocate gets nothing (variables of a container are merged). The
	 * first variable of a name wins (kubelet 1.36, devicemanager/pod_devices.go), so only for
	 * virtual machines whose GPUs are all of one resource.
	 */
	bool companions;
};

/* All lies in the arena. -1: one of the units cannot be handed out. */
int grant_make(const struct grant_asked *asked, struct arena *a, struct dpapi_grant *ret,
	       struct err *err);
