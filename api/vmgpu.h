/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmgpu.h: vmgpu.io/v1alpha1: GPUNode, the one line between the controller and a node (spec =
 * orders, status = report), and GPUPool. Contract: crds/vmgpu.io_*.yaml. Here stands what the
 * controller reads; the node daemon writes its report from its own structs (node-daemon/report.c).
 */
#pragma once

#include "api/orders.h"
#include "kube/condition.h"
#include "kube/kind.h"

struct gpu_profile {
	const char *name, *id;
	int64_t framebuffer_mib, max, available;
};

struct gpu_unit {
	const char *id, *address, *name, *model;
	LIST(const char *) aliases;
	const char *vendor_id, *device_id; /* four hex digits, lower case */
	const char *driver, *mode, *vgpu_framework;
	int64_t numa_node;
	LIST(struct gpu_profile) profiles;
	struct condition_list conditions;
};

struct gpu_node {
	struct obj obj;
	const struct node_orders *orders; /* spec, NULL: none */
	LIST(struct gpu_unit) units;
	int64_t observed_term;
	struct condition_list conditions;
};

struct gpu_pool {
	struct obj obj;
	const char *spec;
};

extern const struct kube_kind kind_gpu_node, kind_gpu_pool;
