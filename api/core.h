/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h: views of Kubernetes' own kinds.
 *
 * CustomResourceDefinitions are watched, their metadata alone (a cluster's are megabytes), to learn
 * when a neighbour comes, changes or goes, without asking again and again. Of Nodes
 * it is enough to know that they are there, and their labels. Secrets have no cached type: we write them and never
 * read one.
 */
#pragma once

#include "kube/kind.h"

struct core_node {
	struct obj obj;
	LIST(struct pair) labels;
};

struct core_ingress {
	const char *ip, *hostname;
};
struct core_service {
	struct obj obj;
	const char *managed_by,
		*instance; /* transient: labels app.kubernetes.io/managed-by, .../instance */
	tri helms; /* made by Helm, by the release of its own name, as Cozystack's chart does */
	const char *type, *cluster_ip;
	LIST(struct core_ingress) ingress; /* status.loadBalancer.ingress */
};

struct core_pvc {
	struct obj obj;
	const char *storage; /* spec.resources.requests.storage */
	const char *phase;
};

/* Labels of a Cozystack tenant's namespace: whose etcd and ingress it uses, and its host name. */
struct core_namespace {
	struct obj obj;
	const char *etcd, *ingress, *host;
};

struct core_storage_class {
	struct obj obj;
};

/* Those of the gpu-operator that are device plugins, their metadata alone. */
struct core_daemon_set {
	struct obj obj;
};

struct core_crd {
	struct obj obj; /* named PLURAL.GROUP */
};

extern const struct kube_kind kind_node, kind_service, kind_secret, kind_config_map, kind_namespace,
	kind_crd, kind_event, kind_pvc, kind_storage_class, kind_daemon_set;
