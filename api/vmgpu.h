/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmgpu.h: vmgpu.io/v1alpha1: GPUNode, the one line between the controller and a node (spec =
 * orders, status = report). Contract: crds/vmgpu.io_gpunodes.yaml. Here stands what the controller
 * reads; the node daemon writes its report from its own structs (node-daemon/report.c).
 *
 * Beats are the Leases that the daemons renew (node-daemon/beat.h): their label is what they are
 * watched by, among all others of their namespace.
 */
#pragma once

#include "api/orders.h"
#include "kube/condition.h"
#include "kube/kind.h"

struct gpu_profile {
	const char *name, *id;
	int64_t framebuffer_mib, max, available;
};

/* A function of a unit: a GPU, or a companion that goes with it. */
struct gpu_function {
	const char *address, *role; /* "gpu", "audio", ... */
	const char *vendor_id, *device_id, *class_code, *driver, *description;
};

struct gpu_group {
	int64_t id;
};

struct gpu_sriov {
	int64_t total_vfs, num_vfs;
};

/* A place for a vGPU: of a virtual function, or, where the card has none, of the card. */
struct gpu_slot {
	const char *vf, *type, *uuid;
	const char *holder; /* "NAMESPACE/POD" */
};

struct gpu_holder {
	const char *ns, *pod, *vm;
};

struct gpu_unit {
	const char *id, *address, *name, *model;
	const char *resource; /* that the kubelet lists it under; NULL: its name, or none */
	LIST(const char *) aliases;
	const char *vendor_id, *device_id; /* four hex digits, lower case */
	const char *subsystem;		   /* "10de:157e" */
	const char *driver, *mode, *vgpu_framework;
	const char *physical_function; /* address of its card, NULL: it is no virtual function */
	int64_t numa_node;
	LIST(struct gpu_profile) profiles;
	LIST(struct gpu_function) functions;
	const struct gpu_group *group; /* NULL: the kernel gives it none */
	const struct gpu_sriov *sriov; /* NULL: it cannot have virtual functions */
	LIST(struct gpu_slot) slots;
	const struct gpu_holder *holder; /* who has it whole, or NULL */
	struct condition_list conditions;
};

#define BEAT_LABEL "vmgpu.io/beat"
#define BEAT_PREFIX "node-" /* of a beat's name, before that of its node */
/* On a GPUNode whose beat has stopped: since when. Written by the controller (plan_node.h). */
#define SILENT_ANNOTATION "vmgpu.io/silent-since"

/* On one that the gpu-operator has: the DaemonSet (node_operator.h). */
#define LEFT_ANNOTATION "vmgpu.io/left-to"

struct gpu_node {
	struct obj obj;
	const char *left;   /* LEFT_ANNOTATION; NULL: to nobody */
	const char *silent; /* SILENT_ANNOTATION; NULL: its daemon beats, or nobody knows */
	const struct node_orders *orders; /* spec, NULL: none */
	LIST(struct gpu_unit) units;
	int64_t observed_term, observed_generation;
	struct condition_list conditions;
};

extern const struct type gpu_unit_type;
extern const struct kube_kind kind_gpu_node, kind_beat;
