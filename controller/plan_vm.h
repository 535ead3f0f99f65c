/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_vm.h: VirtualMachine and VMInstance -> a KubeVirt VirtualMachine with its GPUs, its Service
 * and Secrets, and a status that says what is missing. Pure. What it does in each situation stands
 * in cases/vm, and the reasons in cases/README.md.
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_virtual_machine, reconcile_vm_instance;
