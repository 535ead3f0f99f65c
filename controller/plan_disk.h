/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_disk.h: VMDisk -> a DataVolume of CDI, and a status that says how far it is. Pure. What it
 * does in each situation stands in cases/disk, and the reasons in cases/README.md.
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_vm_disk;
