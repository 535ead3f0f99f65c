/* SPDX-License-Identifier: Apache-2.0 */
/*
 * companions.h: do the audio functions of a VM's GPUs come along? Pure.
 *
 * They are asked for by number (RESOURCE_COMPANION, in hostDevices), and which ones come the GPUs' own
 * Allocate says. virt-launcher does not start a machine that gets fewer than it asks for, and a
 * node's tokens fit any of its GPUs. So they are asked for only where nothing can go wrong:
 *
 *	all whole GPUs of the VM are of one resource	else the nodes could not say whose is whose
 *	every card of that resource has one		else the machine could get one without
 *	the gate HostDevices is on, and KubeVirt
 *	permits them or is about to			else it would not start, where it does without
 *
 * A VM whose GPUs stay as they were keeps what it was written with: a change means a restart. Workers
 * of tenant clusters get none: nothing there listens.
 */
#pragma once

#include "controller/devices.h"

/* Into d->companions and asked, what keeps them back too. d: with their lists chosen. */
void companions_choose(struct devices *d, const struct devices_before *before, struct gpus *asked);
