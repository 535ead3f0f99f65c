/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h: looks at a machine through /sys. RIM: reads, never writes.
 *
 * sys is a directory fd of /sys, or of a tree made like it. One pass over bus/pci/devices reads the
 * identity of each function, and more only of GPUs, of what sits on their boards, and of what
 * shares an IOMMU group with these. A file that is missing, garbage or vanishes meanwhile costs
 * that file or that device, and is said in the machine; the others go on. What changes while we
 * look brings an event (uevent.h) and so another scan.
 */
#pragma once

#include "node-daemon/machine.h"

struct err;

/* Fills m anew (machine_init before the first). -1: sys is no /sys, or descriptors or memory ran out
 * on the way; m is then what it was. */
int scan(int sys, struct machine *m, struct err *err);
