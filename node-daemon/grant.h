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
 *
 * With each GPU goes the audio function of its board, if it has one: its address stands in the
 * variable of RESOURCE_COMPANION, which virt-launcher reads only for a machine that asks for that (one
 * that does not has its group for nothing). Variables of a container are merged, and the first of a
 * name wins (kubelet 1.36, devicemanager/pod_devices.go): so it is right for machines whose GPUs are
 * all of one resource. vfio resets both when the last of them is closed (vfio_pci_core.c).
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/unit.h"

struct grant_asked {
	const struct machine *machine;
	const char *resource;
	const struct unit **units; /* in any order; one that comes twice counts once */
	size_t n;
};

/* All lies in the arena. -1: one of the units cannot be handed out. */
int grant_make(const struct grant_asked *asked, struct arena *a, struct dpapi_grant *ret,
	       struct err *err);
