/* SPDX-License-Identifier: Apache-2.0 */
#include "api/apps.h"

#include <string.h>

#define GROUP "apps.cozystack.io"
#define VERSION "v1alpha1"

/* --- parts ------------------------------------------------------------------------------------ */

#define T struct gpu_request
static const struct field gpu_request_fields[] = {
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, count, "count", TYPE_OPT_INT),
	FIELD(T, virtual_gpu_options, "virtualGPUOptions", TYPE_RAW),
	{0},
};
#undef T
static const struct type gpu_request_type = {sizeof(struct gpu_request), gpu_request_fields, NULL};

#define T struct named
static const struct field named_fields[] = {FIELD(T, name, "name", TYPE_STR), {0}};
#undef T
static const struct type named_type = {sizeof(struct named), named_fields, NULL};

#define T struct vm_resources
static const struct field vm_resources_fields[] = {
	FIELD(T, cpu, "cpu", TYPE_SCALAR),
	FIELD(T, memory, "memory", TYPE_SCALAR),
	FIELD(T, sockets, "sockets", TYPE_SCALAR),
	{0},
};
#undef T
static const struct type vm_resources_type = {sizeof(struct vm_resources), vm_resources_fields,
					      NULL};

/* Node groups: the same struct, without sockets. */
#define T struct vm_resources
static const struct field node_resources_fields[] = {
	FIELD(T, cpu, "cpu", TYPE_SCALAR),
	FIELD(T, memory, "memory", TYPE_SCALAR),
	{0},
};
#undef T
static const struct type node_resources_type = {sizeof(struct vm_resources), node_resources_fields,
						NULL};

/* Parts of a control plane: also the requests and limits of Cozystack 0.31. */
#define T struct vm_resources
static const struct field part_resources_fields[] = {
	FIELD(T, cpu, "cpu", TYPE_SCALAR),
	FIELD(T, memory, "memory", TYPE_SCALAR),
	FIELD(T, requests, "requests", TYPE_RAW),
	FIELD(T, limits, "limits", TYPE_RAW),
	{0},
};
#undef T
static const struct type part_resources_type = {sizeof(struct vm_resources), part_resources_fields,
						NULL};

#define T struct system_disk
static const struct field system_disk_fields[] = {
	FIELD(T, image, "image", TYPE_STR),
	FIELD(T, storage, "storage", TYPE_SCALAR),
	FIELD(T, size, "size", TYPE_SCALAR),
	FIELD(T, storage_class, "storageClass", TYPE_STR),
	{0},
};
#undef T
static const struct type system_disk_type = {sizeof(struct system_disk), system_disk_fields, NULL};

#define T struct gpu_status
static const struct field gpu_status_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_name, "deviceName", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, count, "count", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, permitted, "permitted", TYPE_BOOL),
	FIELD(T, free_nodes, "freeNodes", TYPE_INT),
	FIELD(T, allocated, "allocated", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	{0},
};
#undef T
static const struct type gpu_status_type = {sizeof(struct gpu_status), gpu_status_fields, NULL};

/* --- VirtualMachine, VMInstance -----------------------------------------------------------------
 */

#define T struct vm_spec
static const struct field vm_spec_fields[] = {
	FIELD(T, external, "external", TYPE_BOOL),
	FIELD(T, external_method, "externalMethod", TYPE_STR),
	FIELD(T, external_ports, "externalPorts", TYPE_RAW),
	FIELD(T, external_allow_icmp, "externalAllowICMP", TYPE_BOOL),
	FIELD(T, running, "running", TYPE_BOOL),
	FIELD(T, run_strategy, "runStrategy", TYPE_STR),
	FIELD(T, instance_type, "instanceType", TYPE_STR),
	FIELD(T, instance_profile, "instanceProfile", TYPE_STR),
	FIELD(T, system_disk, "systemDisk", TYPE_OBJ, .sub = &system_disk_type),
	FIELD(T, disks, "disks", TYPE_RAW),
	FIELD(T, networks, "networks", TYPE_OBJS, .sub = &named_type),
	FIELD(T, subnets, "subnets", TYPE_OBJS, .sub = &named_type),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &gpu_request_type),
	FIELD(T, cpu_model, "cpuModel", TYPE_STR),
	FIELD(T, resources, "resources", TYPE_OBJ, .sub = &vm_resources_type),
	FIELD(T, ssh_keys, "sshKeys", TYPE_STRS),
	FIELD(T, cloud_init, "cloudInit", TYPE_STR),
	FIELD(T, cloud_init_seed, "cloudInitSeed", TYPE_STR),
	{0},
};
#undef T
const struct type vm_spec_type = {sizeof(struct vm_spec), vm_spec_fields, NULL};

#define T struct vm_status
static const struct field vm_status_fields[] = {
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, state, "state", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, message, "message", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	FIELD(T, virtual_machine, "virtualMachine", TYPE_STR),
	FIELD(T, node, "node", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, ip, "ip", TYPE_STR),
	FIELD(T, external_ip, "externalIP", TYPE_STR),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &gpu_status_type),
	FIELD(T, applied_run_strategy, "appliedRunStrategy", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, gpu_summary, "gpuSummary", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, secrets_hash, "secretsHash", TYPE_MAP),
	{0},
};
#undef T
const struct type vm_status_type = {sizeof(struct vm_status), vm_status_fields, NULL};

#define T struct vm_app
static const struct field vm_app_fields[] = {
	OBJ_METADATA,
	FIELD(T, spec, "spec", TYPE_RAW, .flags = TYPE_INTERN),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &vm_status_type),
	{0},
};
#undef T
static const struct type vm_app_type = {sizeof(struct vm_app), vm_app_fields, obj_finish};

static const char *names_disks_in(const struct obj *o)
{
	const char *spec = ((const struct vm_app *)o)->spec;

	return spec && strstr(spec, "\"disks\"") ? o->ns : NULL;
}

const struct kube_kind kind_virtual_machine = {
	GROUP,
	VERSION,
	"VirtualMachine",
	"virtualmachines",
	.namespaced = true,
	.type = &vm_app_type,
	.second_key = names_disks_in,
};
const struct kube_kind kind_vm_instance = {
	GROUP,
	VERSION,
	"VMInstance",
	"vminstances",
	.namespaced = true,
	.type = &vm_app_type,
	.second_key = names_disks_in,
};

/* --- VMDisk -------------------------------------------------------------------------------------
 */

#define T struct vm_disk_http
static const struct field vm_disk_http_fields[] = {FIELD(T, url, "url", TYPE_STR), {0}};
#undef T
static const struct type vm_disk_http_type = {sizeof(struct vm_disk_http), vm_disk_http_fields,
					      NULL};

#define T struct vm_disk_source
static const struct field vm_disk_source_fields[] = {
	FIELD(T, image, "image", TYPE_OBJ, .sub = &named_type),
	FIELD(T, http, "http", TYPE_OBJ, .sub = &vm_disk_http_type),
	FIELD(T, upload, "upload", TYPE_RAW),
	FIELD(T, disk, "disk", TYPE_OBJ, .sub = &named_type),
	{0},
};
#undef T
static const struct type vm_disk_source_type = {sizeof(struct vm_disk_source),
						vm_disk_source_fields, NULL};

#define T struct vm_disk_spec
static const struct field vm_disk_spec_fields[] = {
	FIELD(T, source, "source", TYPE_OBJ, .sub = &vm_disk_source_type),
	FIELD(T, optical, "optical", TYPE_BOOL),
	FIELD(T, storage, "storage", TYPE_SCALAR),
	FIELD(T, size, "size", TYPE_SCALAR),
	FIELD(T, storage_class, "storageClass", TYPE_STR),
	{0},
};
#undef T
const struct type vm_disk_spec_type = {sizeof(struct vm_disk_spec), vm_disk_spec_fields, NULL};

#define T struct vm_disk_status
static const struct field vm_disk_status_fields[] = {
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, data_volume, "dataVolume", TYPE_STR),
	FIELD(T, state, "state", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, message, "message", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	FIELD(T, size, "size", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, storage_class, "storageClass", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, progress, "progress", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
#undef T
const struct type vm_disk_status_type = {sizeof(struct vm_disk_status), vm_disk_status_fields,
					 NULL};

#define T struct vm_disk
static const struct field vm_disk_fields[] = {
	OBJ_METADATA,
	FIELD(T, spec, "spec", TYPE_RAW, .flags = TYPE_INTERN),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &vm_disk_status_type),
	{0},
};
#undef T
static const struct type vm_disk_type = {sizeof(struct vm_disk), vm_disk_fields, obj_finish};

const struct kube_kind kind_vm_disk = {
	GROUP, VERSION, "VMDisk", "vmdisks", .namespaced = true, .type = &vm_disk_type,
};

/* --- Kubernetes ---------------------------------------------------------------------------------
 */

#define T struct kubelet_reserve
static const struct field kubelet_reserve_fields[] = {
	FIELD(T, system_reserved_memory, "systemReservedMemory", TYPE_STR),
	FIELD(T, kube_reserved_memory, "kubeReservedMemory", TYPE_STR),
	FIELD(T, system_reserved_cpu, "systemReservedCpu", TYPE_STR),
	FIELD(T, kube_reserved_cpu, "kubeReservedCpu", TYPE_STR),
	FIELD(T, eviction_hard_memory, "evictionHardMemory", TYPE_STR),
	FIELD(T, eviction_soft_memory, "evictionSoftMemory", TYPE_STR),
	{0},
};
#undef T
static const struct type kubelet_reserve_type = {sizeof(struct kubelet_reserve),
						 kubelet_reserve_fields, NULL};

#define T struct node_group
static const struct field node_group_fields[] = {
	FIELD(T, min_replicas, "minReplicas", TYPE_OPT_INT),
	FIELD(T, max_replicas, "maxReplicas", TYPE_OPT_INT),
	FIELD(T, instance_type, "instanceType", TYPE_STR),
	FIELD(T, disk_size, "diskSize", TYPE_SCALAR),
	FIELD(T, ephemeral_storage, "ephemeralStorage", TYPE_RAW),
	FIELD(T, storage_class, "storageClass", TYPE_STR),
	FIELD(T, roles, "roles", TYPE_STRS),
	FIELD(T, resources, "resources", TYPE_OBJ, .sub = &node_resources_type),
	FIELD(T, pod_cpu_limit, "podCpuLimit", TYPE_SCALAR),
	FIELD(T, pod_cpu_request, "podCpuRequest", TYPE_SCALAR),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &gpu_request_type),
	FIELD(T, kubelet, "kubelet", TYPE_OBJ, .sub = &kubelet_reserve_type),
	FIELD(T, log_serial_console, "logSerialConsole", TYPE_BOOL),
	FIELD(T, max_unhealthy, "maxUnhealthy", TYPE_SCALAR),
	FIELD(T, node_startup_timeout, "nodeStartupTimeout", TYPE_STR),
	FIELD(T, schematic_id, "schematicID", TYPE_STR),
	FIELD(T, kernel_modules, "kernelModules", TYPE_RAW),
	FIELD(T, labels, "labels", TYPE_MAP),
	{0},
};
#undef T
static const struct type node_group_type = {sizeof(struct node_group), node_group_fields, NULL};

#define T struct addon
static const struct field addon_fields[] = {
	FIELD(T, enabled, "enabled", TYPE_BOOL),
	FIELD(T, values_override, "valuesOverride", TYPE_RAW),
	{0},
};
#undef T
static const struct type addon_type = {sizeof(struct addon), addon_fields, .open = true};

#define T struct control_plane_part
static const struct field control_plane_part_fields[] = {
	FIELD(T, resources, "resources", TYPE_OBJ, .sub = &part_resources_type),
	FIELD(T, resources_preset, "resourcesPreset", TYPE_STR),
	{0},
};
#undef T
static const struct field api_server_fields[] = {
	FIELD(struct control_plane_part, resources, "resources", TYPE_OBJ,
	      .sub = &part_resources_type),
	FIELD(struct control_plane_part, resources_preset, "resourcesPreset", TYPE_STR),
	FIELD(struct control_plane_part, extra_args, "extraArgs", TYPE_RAW),
	FIELD(struct control_plane_part, extra_volumes, "extraVolumes", TYPE_RAW),
	FIELD(struct control_plane_part, extra_volume_mounts, "extraVolumeMounts", TYPE_RAW),
	{0},
};
static const struct type api_server_type = {sizeof(struct control_plane_part), api_server_fields,
					    NULL};
static const struct type control_plane_part_type = {sizeof(struct control_plane_part),
						    control_plane_part_fields, NULL};

#define T struct konnectivity
static const struct field konnectivity_fields[] = {
	FIELD(T, server, "server", TYPE_OBJ, .sub = &control_plane_part_type),
	{0},
};
#undef T
static const struct type konnectivity_type = {sizeof(struct konnectivity), konnectivity_fields,
					      NULL};

#define T struct control_plane
static const struct field control_plane_fields[] = {
	FIELD(T, replicas, "replicas", TYPE_OPT_INT),
	FIELD(T, api_server, "apiServer", TYPE_OBJ, .sub = &api_server_type),
	FIELD(T, controller_manager, "controllerManager", TYPE_OBJ,
	      .sub = &control_plane_part_type),
	FIELD(T, scheduler, "scheduler", TYPE_OBJ, .sub = &control_plane_part_type),
	FIELD(T, konnectivity, "konnectivity", TYPE_OBJ, .sub = &konnectivity_type),
	{0},
};
#undef T
static const struct type control_plane_type = {sizeof(struct control_plane), control_plane_fields,
					       NULL};

#define T struct cluster_spec
static const struct field cluster_spec_fields[] = {
	FIELD(T, storage_class, "storageClass", TYPE_STR),
	FIELD(T, version, "version", TYPE_STR),
	FIELD(T, host, "host", TYPE_STR),
	FIELD(T, node_groups, "nodeGroups", TYPE_DICT, .sub = &node_group_type),
	FIELD(T, control_plane, "controlPlane", TYPE_OBJ, .sub = &control_plane_type),
	FIELD(T, addons, "addons", TYPE_DICT, .sub = &addon_type),
	FIELD(T, plugins, "plugins", TYPE_DICT, .sub = &addon_type),
	FIELD(T, kamaji_control_plane, "kamajiControlPlane", TYPE_RAW),
	FIELD(T, talos, "talos", TYPE_RAW),
	FIELD(T, images, "images", TYPE_RAW),
	FIELD(T, node_health_check, "nodeHealthCheck", TYPE_RAW),
	FIELD(T, oidc, "oidc", TYPE_RAW),
	FIELD(T, max_node_provision_time, "maxNodeProvisionTime", TYPE_STR),
	{0},
};
#undef T
const struct type cluster_spec_type = {sizeof(struct cluster_spec), cluster_spec_fields, NULL};

#define T struct node_group_status
static const struct field node_group_status_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, desired, "desired", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, ready, "ready", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, waiting_for_gpu, "waitingForGPU", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	{0},
};
#undef T
static const struct type node_group_status_type = {sizeof(struct node_group_status),
						   node_group_status_fields, NULL};

#define T struct cluster_status
static const struct field cluster_status_fields[] = {
	FIELD(T, observed_generation, "observedGeneration", TYPE_INT),
	FIELD(T, gpu_summary, "gpuSummary", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, secrets_hash, "secretsHash", TYPE_MAP),
	FIELD(T, state, "state", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, message, "message", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	FIELD(T, nodes, "nodes", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, gpu_nodes, "gpuNodes", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, kubeconfig_secret, "kubeconfigSecret", TYPE_STR),
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &gpu_status_type),
	FIELD(T, node_groups, "nodeGroups", TYPE_OBJS, .sub = &node_group_status_type),
	{0},
};
#undef T
const struct type cluster_status_type = {sizeof(struct cluster_status), cluster_status_fields,
					 NULL};

#define T struct cluster_app
static const struct field cluster_app_fields[] = {
	OBJ_METADATA,
	FIELD(T, spec, "spec", TYPE_RAW, .flags = TYPE_INTERN),
	FIELD(T, status, "status", TYPE_OBJ, .sub = &cluster_status_type),
	{0},
};
#undef T
static const struct type cluster_app_type = {sizeof(struct cluster_app), cluster_app_fields,
					     obj_finish};

const struct kube_kind kind_kubernetes = {
	GROUP, VERSION, "Kubernetes", "kuberneteses", .namespaced = true, .type = &cluster_app_type,
};
