/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h: vmgpu.io/v1alpha1: GPUPool, which says of many GPUs at once what they are for. Contract:
 * crds/vmgpu.io_gpupools.yaml. spec is the user's, status the controller's (controller/plan_pool.c).
 */
#pragma once

#include "kube/condition.h"
#include "kube/kind.h"

LIST_OF(pool_labels, struct pair);

struct pool_requirement {
	const char *key, *op;
	LIST(const char *) values;
};

struct pool_selector {
	struct pool_labels labels; /* matchLabels */
	LIST(struct pool_requirement) expressions;
};

struct pool_layout {
	const char *type;
	int64_t count;
};

struct gpu_pool_spec {
	const char *use; /* "passthrough", "vgpu", "host" */
	LIST(const char *) gpus;
	LIST(const char *) node_names;
	const struct pool_selector *node_selector; /* NULL: all nodes */
	LIST(struct pool_layout) layout;
	int64_t priority;
};

struct gpu_pool_status {
	int64_t observed_generation;
	int64_t gpus, ready_gpus, in_use, nodes;
	struct condition_list conditions;
};

struct gpu_pool {
	struct obj obj;
	const struct gpu_pool_spec *spec;
	const struct gpu_pool_status *status;
};

extern const struct type gpu_pool_spec_type, gpu_pool_status_type;
extern const struct kube_kind kind_gpu_pool;
