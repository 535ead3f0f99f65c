/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.h: what the controller reads, writes and reconciles: two tables, shared with kubectl-vmgpu
 * and the tests. */
#pragma once

#include "api/core.h"
#include "kube/plan.h"

extern const struct kube_kind *const controller_kinds[];
extern const struct reconciler *const controller_reconcilers[];
