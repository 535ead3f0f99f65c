/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_cluster.h: Kubernetes -> a tenant cluster of Cluster API whose workers are KubeVirt machines
 * with GPUs, and a status that says what is missing. Pure. What it does in each situation stands in
 * cases/cluster, and the reasons in cases/README.md.
 */
#pragma once

#include "api/apps.h"
#include "kube/plan.h"

extern const struct reconciler reconcile_kubernetes;

/* The instance type of a group's workers, the named or ours; NULL: they are sized by resources. */
const char *plan_cluster_type(const struct node_group *spec);
