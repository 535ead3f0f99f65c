/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_vm.h: VirtualMachine and VMInstance -> a KubeVirt VirtualMachine with its GPUs, its Service
 * and Secrets, and a status that says what is missing. Pure. What it does in each situation stands
 * in cases/vm, and the reasons in cases/README.md.
 */
#pragma once

#include "api/apps.h"
#include "kube/plan.h"

extern const struct reconciler reconcile_virtual_machine, reconcile_vm_instance;

/* The instance type that a machine has, the named or ours; NULL: it is sized by resources. */
const char *plan_vm_type(const struct vm_spec *spec);
/* Its preference, the named or ours. */
const char *plan_vm_profile(const struct vm_spec *spec);
