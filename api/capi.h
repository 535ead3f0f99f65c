/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capi.h: views of what a tenant cluster is made of: Cluster API, its providers Kamaji (control
 * plane), kubeadm (bootstrap) and KubeVirt (machines), and Flux: the few fields that plans act on,
 * in each version that is in the field. Never written back whole.
 */
#pragma once

#include "api/kubevirt.h"

/* Of every kind below: its label cluster.x-k8s.io/cluster-name says which Cluster it is of. */
struct capi_object {
	struct obj obj;
	const char *managed_by; /* label app.kubernetes.io/managed-by */
	const char *cluster;	/* label cluster.x-k8s.io/cluster-name */
	const char *
		deployment; /* label cluster.x-k8s.io/deployment-name, of machines and their sets */
};

struct capi_cluster {
	struct capi_object of;
	struct condition_list conditions;
};

struct capi_disk_template {
	const char *storage_class;
};

/* KubevirtMachineTemplate: what the worker's VM has. */
struct capi_machine_template {
	struct capi_object of;
	struct kv_gpu_list gpus, host_devices;
	LIST(struct capi_disk_template) disks;
};

struct capi_machine_deployment {
	struct capi_object of;
	struct opt_int wanted, replicas;	 /* spec.replicas, status.replicas */
	const char *template_name, *version;	 /* of its machines */
	const char *max_surge, *max_unavailable; /* numbers, or per cent */
	int64_t ready, available, up_to_date;
	/* of the spec that these numbers are of; 0: Cluster API has not said */
	int64_t observed_generation;
};

struct capi_machine_set {
	struct capi_object of;
	const char *template_name, *version; /* of its machines */
	int64_t wanted, replicas;	     /* spec.replicas, status.replicas */
};

struct capi_machine {
	struct capi_object of;
	const char *machine; /* name of its KubevirtMachine, so of its VM */
	const char *skip; /* annotation cluster.x-k8s.io/skip-remediation, "" counts; NULL: none */
};

#define CAPI_CLUSTER_LABEL "cluster.x-k8s.io/cluster-name"
#define CAPI_DEPLOYMENT_LABEL "cluster.x-k8s.io/deployment-name"
#define CAPI_SKIP_REMEDIATION "cluster.x-k8s.io/skip-remediation"

extern const struct kube_kind kind_capi_cluster, kind_capi_control_plane,
	kind_capi_kubevirt_cluster, kind_capi_bootstrap, kind_capi_machine_template,
	kind_capi_machine_deployment, kind_capi_machine_health_check, kind_capi_machine_set,
	kind_capi_machine, kind_flux_release, kind_flux_repository;
