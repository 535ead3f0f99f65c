/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: the status of a GPUNode as structs, field for field what crds/vmgpu.io_gpunodes.yaml
 * publishes (status_test.c holds the two against each other). The daemon writes it from these and
 * reads its last report back into them.
 */
#pragma once

#include "kube/condition.h"

struct status_summary {
	int64_t gpus;
	struct opt_int in_use; /* unset: nobody can say yet */
	const char *names, *modes, *drivers, *groups;
};

struct status_node_info {
	const char *kernel, *iommu;
	LIST(struct pair) versions;
};

struct status_function {
	const char *address, *role, *vendor_id, *device_id, *class_code, *driver, *description;
};

struct status_group {
	int64_t id;
	LIST(const char *) members;
};

struct status_sriov {
	int64_t total_vfs, num_vfs;
};

struct status_link {
	const char *unit, *kind;
	int64_t lanes;
};

struct status_profile {
	const char *name, *id;
	int64_t framebuffer_mib, max, available;
};

struct status_slot {
	const char *vf, *type, *uuid, *holder;
};

struct status_holder {
	const char *ns, *pod, *vm;
};

struct status_reset {
	const char *method, *at; /* as reset_method has it; RFC 3339 */
	int64_t ms;
};

struct status_unit {
	const char *id, *address, *name, *resource, *model;
	LIST(const char *) aliases;
	const char *vendor_id, *device_id, *subsystem, *class_code;
	tri boot_display;
	const char *physical_function; /* address of its card, NULL: it is no virtual function */
	LIST(struct status_function) functions;
	const struct status_group *group;
	struct opt_int numa_node;
	const char *driver, *mode, *vgpu_framework;
	const struct status_sriov *sriov;
	LIST(struct status_link) links;
	LIST(struct status_profile) profiles;
	LIST(struct status_slot) slots;
	const char *served_by;
	const struct status_holder *holder;
	const struct status_reset *last_reset;
	struct condition_list conditions;
};

struct status {
	int64_t observed_term, observed_generation;
	const struct status_summary *summary;
	const struct status_node_info *node_info;
	LIST(struct status_unit) units;
	struct condition_list conditions;
};

extern const struct type status_type;
