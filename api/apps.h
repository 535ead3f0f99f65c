/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apps.h: apps.cozystack.io/v1alpha1, what users apply: VirtualMachine, VMInstance, VMDisk,
 * Kubernetes.
 *
 * The published contract is crds/apps.cozystack.io_*.yaml; crd_test.c holds these tables against
 * it. The cache keeps spec as its JSON text (most objects differ in few bytes of it, many share it
 * whole) and plans decode it when they need it:
 *
 *	struct vm_spec spec;
 *	type_read_text(&vm_spec_type, app->spec, arena, &spec, &err);
 *
 * VirtualMachine and VMInstance have the same superset of fields (cozystack.md 1 and 6).
 */
#pragma once

#include "kube/condition.h"
#include "kube/kind.h"

struct gpu_request {
	const char *name;
	struct opt_int count;
	const char *virtual_gpu_options; /* JSON, passed on to KubeVirt */
};
LIST_OF(gpu_request_list, struct gpu_request);

struct named {
	const char *name;
};
LIST_OF(named_list, struct named);

struct vm_resources {
	const char *cpu, *memory, *sockets; /* sockets: of a machine only */
	const char *requests,
		*limits; /* of a control plane only: {cpu, memory} as JSON; cpu and memory win */
};

struct system_disk {
	const char *image, *storage, *size, *storage_class;
};

struct vm_spec {
	tri external;
	const char *external_method;
	const char *external_ports; /* JSON: array of ports; [] is not the same as none */
	tri external_allow_icmp;
	tri running;
	const char *run_strategy, *instance_type, *instance_profile;
	const struct system_disk *system_disk;
	const char *disks; /* JSON: array of names or {name, bus} */
	struct named_list networks, subnets;
	struct gpu_request_list gpus;
	const char *cpu_model;
	const struct vm_resources *resources;
	LIST(const char *) ssh_keys;
	const char *cloud_init, *cloud_init_seed;
};
extern const struct type vm_spec_type;

struct gpu_status {
	const char *name, *device_name;
	int64_t count;
	tri permitted;
	int64_t free_nodes, allocated;
};
LIST_OF(gpu_status_list, struct gpu_status);

struct vm_status {
	int64_t observed_generation;
	const char *state, *message, *virtual_machine, *node, *ip, *external_ip;
	const char *applied_run_strategy, *gpu_summary;
	struct gpu_status_list gpus;
	LIST(struct pair) secrets_hash;
	struct condition_list conditions;
};
extern const struct type vm_status_type;

/* A cached VirtualMachine or VMInstance. Second key: the namespace, of one that names VMDisks. */
struct vm_app {
	struct obj obj;
	const char *spec;
	const struct vm_status *status;
};

struct vm_disk_source {
	const struct named *image, *disk;
	const struct vm_disk_http *http;
	const char *upload; /* JSON; present: an upload is awaited */
};
struct vm_disk_http {
	const char *url;
};
struct vm_disk_spec {
	const struct vm_disk_source *source;
	tri optical;
	const char *storage, *size, *storage_class;
};
extern const struct type vm_disk_spec_type;

struct vm_disk_status {
	int64_t observed_generation;
	const char *state, *message, *size, *storage_class, *progress, *data_volume;
	struct condition_list conditions;
};
extern const struct type vm_disk_status_type;

struct vm_disk {
	struct obj obj;
	const char *spec;
	const struct vm_disk_status *status;
};

struct kubelet_reserve {
	const char *system_reserved_memory, *kube_reserved_memory, *system_reserved_cpu,
		*kube_reserved_cpu;
	const char *eviction_hard_memory, *eviction_soft_memory;
};

struct node_group {
	const char *key; /* the group's name */
	struct opt_int min_replicas, max_replicas;
	const char *instance_type, *disk_size, *ephemeral_storage /* JSON: quantity or {size} */,
		*storage_class;
	LIST(const char *) roles;
	const struct vm_resources *resources;
	const char *pod_cpu_limit, *pod_cpu_request;
	struct gpu_request_list gpus;
	const struct kubelet_reserve *kubelet;
	tri log_serial_console;
	const char *max_unhealthy, *node_startup_timeout, *schematic_id;
	const char *kernel_modules; /* JSON */
	LIST(struct pair) labels;
};

struct addon {
	const char *key;
	tri enabled;
	const char *values_override; /* JSON */
};

struct control_plane_part {
	const struct vm_resources *resources;
	const char *resources_preset;
	const char *extra_args, *extra_volumes, *extra_volume_mounts; /* JSON; apiServer only */
};
struct konnectivity {
	const struct control_plane_part *server;
};
struct control_plane {
	struct opt_int replicas;
	const struct control_plane_part *api_server, *controller_manager, *scheduler;
	const struct konnectivity *konnectivity;
};

struct cluster_spec {
	const char *storage_class, *version, *host;
	LIST(struct node_group) node_groups;
	const struct control_plane *control_plane;
	LIST(struct addon) addons, plugins;
	/* JSON; accepted for the documents that carry them, named by the condition Accepted where
	 * we do not act on them. */
	const char *kamaji_control_plane, *talos, *images, *node_health_check, *oidc;
	const char *max_node_provision_time;
};
extern const struct type cluster_spec_type;

struct node_group_status {
	const char *name;
	int64_t desired, ready, waiting_for_gpu;
};

struct cluster_status {
	int64_t observed_generation;
	const char *state, *message, *gpu_summary;
	int64_t nodes, gpu_nodes;
	const char *kubeconfig_secret;
	LIST(struct pair) secrets_hash;
	struct gpu_status_list gpus;
	LIST(struct node_group_status) node_groups;
	struct condition_list conditions;
};
extern const struct type cluster_status_type;

struct cluster_app {
	struct obj obj;
	const char *spec;
	const struct cluster_status *status;
};

extern const struct kube_kind kind_virtual_machine, kind_vm_instance, kind_vm_disk, kind_kubernetes;
