/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubevirt.h: read-only views of KubeVirt's and CDI's kinds: the few fields that plans act on
 * (kubevirt.md). Objects of these kinds are never written back whole: we apply only what we own.
 */
#pragma once

#include "kube/condition.h"
#include "kube/kind.h"

struct kv_gpu {
	const char *name, *device_name;
};
LIST_OF(kv_gpu_list, struct kv_gpu);

struct kv_start_failure {
	int64_t count;		 /* consecutiveFailCount */
	const char *retry_after; /* retryAfterTimestamp */
};

/* VirtualMachine */
struct kv_vm {
	struct obj obj;
	const char *managed_by,
		*instance; /* transient: labels app.kubernetes.io/managed-by, .../instance */
	tri helms; /* made by Helm, by the release of its own name, as Cozystack's chart does */
	const char *adopted; /* annotation vmgpu.io/adopted: the generation of the manifest that it
				was adopted with */
	const char *instance_type, *preference, *eviction_strategy;
	const char *run_strategy;
	tri running;			       /* the old form of runStrategy */
	struct kv_gpu_list gpus, host_devices; /* of the template */
	const char *firmware_uuid;	       /* template's SMBIOS UUID */
	const char *printable_status;
	tri created, ready;
	const struct kv_start_failure *start_failure;
	struct condition_list conditions;
};

struct kv_interface {
	const char *name, *ip;
};

/* VirtualMachineInstance. Second key: the node, of one that is alive there and has devices. */
struct kv_vmi {
	struct obj obj;
	struct kv_gpu_list gpus, host_devices;
	const char *phase, *node, *reason;
	const char *woken; /* annotation vmgpu.io/woken: when we last touched it, so that KubeVirt
			      looks again, and how often */
	LIST(struct kv_interface) interfaces;
	struct condition_list conditions;
};

/* The KubeVirt object: lists as JSON text, because foreign entries are kept as they are. */
struct kv_config {
	struct obj obj;
	const char *permitted; /* spec.configuration.permittedHostDevices; NULL: absent, so
				  everything is permitted */
	LIST(const char *) gates, disabled_gates;
	const char *emulation;
	const char
		*ours; /* annotation vmgpu.io/permitted-host-devices: what of the lists is ours */
	const char *managed_by, *helm_release; /* label app.kubernetes.io/managed-by, annotation
						  meta.helm.sh/release-name */
	const char *phase, *version;	       /* status.phase, status.observedKubeVirtVersion */
};

/* VirtualMachineClusterInstancetype, as far as it may carry devices of its own. */
struct kv_instancetype {
	struct obj obj;
	struct kv_gpu_list gpus, host_devices;
	const char *memory, *cpu; /* spec.memory.guest; spec.cpu.guest as text */
};

/* VirtualMachineClusterPreference: only that it exists. */
struct kv_preference {
	struct obj obj;
};

/* DataVolume */
struct kv_data_volume {
	struct obj obj;
	const char *managed_by,
		*instance; /* transient: labels app.kubernetes.io/managed-by, .../instance */
	tri helms; /* made by Helm, by the release of its own name, as Cozystack's chart does */
	const char *optical; /* annotation vm-disk.cozystack.io/optical */
	const char *phase, *progress, *claim;
	const char *storage; /* requested size: spec.storage or spec.pvc */
	const char *storage_class;
	const char *source_url, *source_claim; /* spec.source: http.url, pvc.name */
	struct condition_list conditions;
};

#define PERMITTED_ANNOTATION "vmgpu.io/permitted-host-devices"
#define WOKEN_ANNOTATION "vmgpu.io/woken"
#define ADOPTED_ANNOTATION "vmgpu.io/adopted"

/* Not ended: Succeeded and Failed machines have given their devices back. */
bool kv_vmi_lives(const struct kv_vmi *v);

extern const struct kube_kind kind_kv_vm, kind_kv_vmi, kind_kv_config, kind_kv_instancetype,
	kind_kv_preference, kind_data_volume;
