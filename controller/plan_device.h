/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_device.h: Harvester's objects of each device, from what GPUNode reports: one reconciler a
 * kind. Pure. Facts: harvester.md 1; choices: cases/README.md "device".
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_pci_device, reconcile_pci_claim, reconcile_sriov_gpu,
	reconcile_vgpu_device;
