/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.h: what the plan of Kubernetes has seen, shared by its files. Private to plan_cluster.c
 * and cluster_*.c.
 *
 *	plan_cluster.c		gather, and the order of things
 *	cluster_wake.c		which change wakes which cluster
 *	cluster_group.c		a node group: names, size, GPUs, what the autoscaler is told
 *	cluster_labels.c	the labels of its nodes
 *	cluster_machines.c	the workers that are there, and which of them wait for a GPU
 *	cluster_check.c		what keeps us from writing (condition Accepted)
 *	cluster_fields.c	the fields that are accepted and not acted on
 *	cluster_body.c		Cluster, KamajiControlPlane, KubevirtCluster
 *	cluster_worker.c	KubeadmConfigTemplate, KubevirtMachineTemplate
 *	cluster_deploy.c	MachineDeployment, MachineHealthCheck
 *	cluster_operator.c	the gpu-operator: HelmRelease, HelmRepository
 *	cluster_old.c		what is not wanted any more
 *	cluster_ready.c		condition Ready: the table of reasons
 *	cluster_status.c	the other conditions, and status
 */
#pragma once

#include "api/capi.h"
#include "api/core.h"
#include "controller/child.h"
#include "controller/devices.h"

/* 63 less what Cluster API puts behind the name of a MachineDeployment: "-x7k2p-a1b2c". */
#define CLUSTER_MAX_NAME 51
/* KubeVirt counts cores in 32 bits, and Kubernetes bytes in 64. */
#define CLUSTER_MAX_CORES 2147483647.0L
#define CLUSTER_MAX_MEMORY 9223372036854775807.0L
#define CLUSTER_APP "kubernetes"
#define CLUSTER_PREFIX CLUSTER_APP "-"
#define CLUSTER_DEFAULT_TYPE "u1.medium"

struct cluster_amounts {
	int64_t memory_mi, cpu_m;
};

struct cluster_group {
	const struct node_group *spec;
	const char *key, *name; /* "gpu", R-gpu */
	int64_t min, max;	/* workers */

	/* of one worker */
	const char *type_name; /* instance type; NULL: sized by resources */
	const struct kv_instancetype *type;
	int64_t cores;		 /* sized by resources: whole cores */
	long double cpu, memory; /* cores, bytes; 0: not known */
	const char *disk_size, *disk_class;
	struct devices devices;
	struct gpus asked;
	const char *labels;	   /* of the node: "gpu=on,gpu-type=L40S", or "" */
	const char *template_name; /* R-gpu-HASH */

	/* as it stands */
	const struct capi_machine_deployment *deployment; /* NULL: not there */
	const struct capi_machine_template *current;	  /* that it uses, or NULL */
	int64_t desired, ready, waiting;
	bool rolls;  /* this pass gives its machines another template or version */
	bool scales; /* it has more or fewer workers than min and max: this pass mends that */
	bool behind; /* what Cluster API counts is of an older spec, or workers of one are there */
};

/* A worker that is there, or on its way. */
struct cluster_machine {
	const struct capi_machine *machine;
	const struct kv_vm *vm;	  /* NULL: not yet */
	const struct kv_vmi *vmi; /* NULL: not yet */
	struct cluster_group *group;
	bool waits; /* for a GPU, and for nothing else */
};

/* Times are durations that can be read. */
struct cluster_health {
	const char *max_unhealthy, *startup, *unknown, *not_ready;
};

/* One of the spellings of the gpu-operator in a manifest, the one that wins first. */
struct cluster_addon {
	const struct addon *addon; /* NULL: not there */
	const char *path;	   /* "plugins.gpu-operator" */
};
#define CLUSTER_OPERATOR_ADDONS 4

struct cluster_operator {
	struct cluster_addon addons[CLUSTER_OPERATOR_ADDONS];
	bool wanted;		 /* by the manifest */
	const char *wanted_path; /* who says whether; nobody: where one would */
	bool served;		 /* Flux is there */
	const char *values;	 /* valuesOverride that counts, JSON, or NULL */
	const char *values_path; /* whose */
	const char *name;	 /* of release and repository */
};

struct cluster_seen {
	const struct pass *pass;
	const struct options *options;
	const struct cluster_app *app;
	struct cluster_spec spec;
	struct child_of child; /* child.name is R */
	const char *ns;
	const char *version; /* v1.35.6; NULL: unknown */
	const char *minor;   /* v1.35 */
	const char *known_versions;
	const char *image; /* of a worker */
	struct cluster_health health;

	struct verdict missing; /* a neighbour that we cannot do without */
	bool cdi_served;
	const struct core_namespace *space;
	const struct capi_cluster *cluster; /* R, whoever's it is */
	bool cluster_ours;
	struct cr cr;
	struct inventory inventory;
	struct cluster_group *groups; /* by name */
	size_t n_groups;
	struct cluster_machine *machines; /* by name */
	size_t n_machines;
	struct gpus total; /* of all workers that are wanted now */
	struct cluster_operator gpu_operator;

	struct verdict accepted; /* with a status: nothing is written */
	const char *not_handled;
};

/* An object with apiVersion, kind and metadata; the owner reference does not control. */
json_t *cluster_object(const struct cluster_seen *s, const struct kube_kind *k, const char *name);
/* Ours: owned by our object, or by the Cluster that is ours. */
bool cluster_owns(const struct cluster_seen *s, const struct obj *o);
/* A reference in the form of this version of Cluster API. */
json_t *cluster_reference(const struct cluster_seen *s, const struct kube_kind *from,
			  const struct kube_kind *to, const char *name);
bool cluster_serves(const struct cluster_seen *s, const struct kube_kind *k, const char *version);
/* Nothing keeps this pass from writing. */
bool cluster_writes(const struct cluster_seen *s);
/* A text that is a whole number becomes one: for int-or-string fields. */
json_t *cluster_int_or_string(const char *text);

/* cluster_group.c */
void cluster_groups_gather(struct cluster_seen *s);
/* What system and kubelet keep for themselves, as text: "819Mi", "200m". */
const char *cluster_reserved_memory(const struct cluster_seen *s, const struct cluster_group *g,
				    const char *asked);
const char *cluster_reserved_cpu(const struct cluster_seen *s, const struct cluster_group *g,
				 const char *asked);
const char *cluster_eviction(const char *asked, const char *otherwise);
/* What is left for pods. False: the size of a worker is not known. */
bool cluster_capacity(const struct cluster_seen *s, const struct cluster_group *g,
		      struct cluster_amounts *ret);
/* "nvidia.com/gpu", as device plugins in the tenant call it; NULL: not known. */
const char *cluster_gpu_resource(const struct cluster_group *g);
/* Both cpu and memory stand in resources. */
bool cluster_group_sized(const struct node_group *spec);
/* The size in ephemeralStorage (a quantity or {size}), or NULL. */
const char *cluster_ephemeral_size(const struct cluster_seen *s, const struct node_group *spec);

/* cluster_labels.c: "gpu=on,gpu-type=L40S", or "" */
const char *cluster_labels(const struct cluster_seen *s, const struct cluster_group *g);
/* Labels and roles with which no worker starts. */
struct verdict cluster_labels_check(const struct cluster_seen *s);

/* cluster_machines.c */
void cluster_machines_gather(struct cluster_seen *s);
/* Workers that only wait for a GPU are kept from the health check. */
void cluster_machines_plan(const struct cluster_seen *s, struct plan *plan);
/* How many of this device live workers have. */
int64_t cluster_allocated(const struct cluster_seen *s, const char *device);

/* cluster_check.c, cluster_fields.c */
void cluster_check(struct cluster_seen *s);
void cluster_health_gather(struct cluster_seen *s);
/* asked, if it is a duration; else otherwise. */
const char *cluster_duration(const char *asked, const char *otherwise);
/* Raw JSON that is neither absent nor empty. */
bool cluster_says(const char *json);
const char *cluster_not_handled(const struct cluster_seen *s);

/* Bodies: new references. */
json_t *cluster_body(const struct cluster_seen *s);
json_t *cluster_control_plane(const struct cluster_seen *s);
json_t *cluster_kubevirt(const struct cluster_seen *s);
json_t *cluster_bootstrap(const struct cluster_seen *s, const struct cluster_group *g);
/* spec of the KubevirtMachineTemplate, and the name that follows from it. */
json_t *cluster_template_spec(const struct cluster_seen *s, const struct cluster_group *g);
const char *cluster_template_name(const struct cluster_seen *s, const struct cluster_group *g);
/* Of a worker; it goes by the minor version. */
const char *cluster_worker_image(const struct cluster_seen *s);
json_t *cluster_template(const struct cluster_seen *s, const struct cluster_group *g);
json_t *cluster_deployment(const struct cluster_seen *s, const struct cluster_group *g);
/* Of a group that scales: its number of workers and nothing else. */
json_t *cluster_scale(const struct cluster_seen *s, const struct cluster_group *g);
json_t *cluster_health_check(const struct cluster_seen *s, const struct cluster_group *g);

/* cluster_operator.c */
void cluster_operator_gather(struct cluster_seen *s);
void cluster_operator_plan(const struct cluster_seen *s, struct plan *plan);
/* Flux brings a network plugin into the cluster: Cozystack's release of cilium. */
bool cluster_has_network(const struct cluster_seen *s);

/* cluster_old.c */
void cluster_old_plan(const struct cluster_seen *s, struct plan *plan);

/* cluster_wake.c */
extern const struct plan_watch cluster_watches[];

/* cluster_ready.c, cluster_status.c */
struct verdict cluster_ready(const struct cluster_seen *s);
/* A worker's condition that tells of the quota, or NULL. */
const struct condition *cluster_quota(const struct cluster_seen *s);
void cluster_status(const struct cluster_seen *s, struct plan *plan);
