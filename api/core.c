/* SPDX-License-Identifier: Apache-2.0 */
#include "api/core.h"

#define T struct core_node
static const struct field node_metadata_fields[] = {
	FIELD(T, labels, "labels", TYPE_MAP, .flags = TYPE_INTERN),
	{0},
};
static const struct type node_metadata = {sizeof(T), node_metadata_fields, NULL};
static const struct field node_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &node_metadata),
	{0},
};
static const struct type node_type = {sizeof(T), node_fields, obj_finish};
#undef T

#define T struct core_ingress
static const struct field ingress_fields[] = {
	FIELD(T, ip, "ip", TYPE_STR),
	FIELD(T, hostname, "hostname", TYPE_STR),
	{0},
};
#undef T
static const struct type ingress_type = {sizeof(struct core_ingress), ingress_fields, NULL};

#define T struct core_service
static const struct field service_labels_fields[] = {
	FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR, .flags = TYPE_TRANSIENT),
	FIELD(T, instance, "app.kubernetes.io/instance", TYPE_STR, .flags = TYPE_TRANSIENT),
	{0},
};
static const struct type service_labels = {sizeof(T), service_labels_fields, NULL};
static const struct field service_metadata_fields[] = {FIELD_INLINE("labels", &service_labels),
						       {0}};
static const struct type service_metadata = {sizeof(T), service_metadata_fields, NULL};
static const struct field service_spec_fields[] = {
	FIELD(T, type, "type", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, cluster_ip, "clusterIP", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
static const struct type service_spec = {sizeof(T), service_spec_fields, NULL};
static const struct field service_balancer_fields[] = {
	FIELD(T, ingress, "ingress", TYPE_OBJS, .sub = &ingress_type),
	{0},
};
static const struct type service_balancer = {sizeof(T), service_balancer_fields, NULL};
static const struct field service_status_fields[] = {
	FIELD_INLINE("loadBalancer", &service_balancer), {0}};
static const struct type service_status = {sizeof(T), service_status_fields, NULL};
static const struct field service_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &service_metadata),
	FIELD_INLINE("spec", &service_spec),
	FIELD_INLINE("status", &service_status),
	FIELD(T, helms, "", TYPE_BOOL, .flags = TYPE_DERIVED),
	{0},
};

static void service_finish(void *object)
{
	T *s = object;

	obj_finish(object);
	s->helms = str_eq(s->managed_by, "Helm") && str_eq(s->instance, s->obj.name) ? TRI_TRUE
										     : TRI_UNSET;
}
static const struct type service_type = {sizeof(T), service_fields, service_finish};
#undef T

#define T struct core_pvc
static const struct field pvc_requests_fields[] = {
	FIELD(T, storage, "storage", TYPE_SCALAR, .flags = TYPE_INTERN),
	{0},
};
static const struct type pvc_requests = {sizeof(T), pvc_requests_fields, NULL};
static const struct field pvc_resources_fields[] = {FIELD_INLINE("requests", &pvc_requests), {0}};
static const struct type pvc_resources = {sizeof(T), pvc_resources_fields, NULL};
static const struct field pvc_spec_fields[] = {FIELD_INLINE("resources", &pvc_resources), {0}};
static const struct type pvc_spec = {sizeof(T), pvc_spec_fields, NULL};
static const struct field pvc_status_fields[] = {
	FIELD(T, phase, "phase", TYPE_STR, .flags = TYPE_INTERN), {0}};
static const struct type pvc_status = {sizeof(T), pvc_status_fields, NULL};
static const struct field pvc_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("spec", &pvc_spec),
	FIELD_INLINE("status", &pvc_status),
	{0},
};
static const struct type pvc_type = {sizeof(T), pvc_fields, obj_finish};
#undef T

#define T struct core_namespace
static const struct field namespace_labels_fields[] = {
	FIELD(T, etcd, "namespace.cozystack.io/etcd", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, ingress, "namespace.cozystack.io/ingress", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, host, "namespace.cozystack.io/host", TYPE_STR),
	{0},
};
static const struct type namespace_labels = {sizeof(T), namespace_labels_fields, NULL};
static const struct field namespace_metadata_fields[] = {
	FIELD_INLINE("labels", &namespace_labels),
	{0},
};
static const struct type namespace_metadata = {sizeof(T), namespace_metadata_fields, NULL};
static const struct field namespace_fields[] = {
	OBJ_METADATA,
	FIELD_INLINE("metadata", &namespace_metadata),
	{0},
};
static const struct type namespace_type = {sizeof(T), namespace_fields, obj_finish};
#undef T

static const struct field storage_class_fields[] = {OBJ_METADATA, {0}};
static const struct type storage_class_type = {
	sizeof(struct core_storage_class),
	storage_class_fields,
	obj_finish,
};

static const struct field crd_fields[] = {OBJ_METADATA, {0}};
static const struct type crd_type = {sizeof(struct core_crd), crd_fields, obj_finish};

#define CORE(kind_, plural_, ...)                                                                  \
	{                                                                                          \
		"", "v1", kind_, plural_, .builtin = true, ##__VA_ARGS__                           \
	}
const struct kube_kind kind_node = CORE("Node", "nodes", .metadata_only = true, .type = &node_type);
const struct kube_kind kind_service =
	CORE("Service", "services", .namespaced = true, .type = &service_type);
const struct kube_kind kind_secret = CORE("Secret", "secrets", .namespaced = true);
const struct kube_kind kind_config_map = CORE("ConfigMap", "configmaps", .namespaced = true);
const struct kube_kind kind_namespace = CORE("Namespace", "namespaces", .type = &namespace_type);
const struct kube_kind kind_pvc = CORE("PersistentVolumeClaim", "persistentvolumeclaims",
				       .namespaced = true, .type = &pvc_type);
const struct kube_kind kind_storage_class = {
	"storage.k8s.io", "v1",
	"StorageClass",	  "storageclasses",
	.builtin = true,  .type = &storage_class_type,
};
static const struct field daemon_set_fields[] = {OBJ_METADATA, {0}};
static const struct type daemon_set_type = {sizeof(struct core_daemon_set), daemon_set_fields,
					    obj_finish};
const struct kube_kind kind_daemon_set = {
	"apps",
	"v1",
	"DaemonSet",
	"daemonsets",
	.namespaced = true,
	.builtin = true,
	.metadata_only = true,
	.selector = "app in (nvidia-device-plugin-daemonset,nvidia-sandbox-device-plugin-daemonset,"
		    "nvidia-kata-sandbox-device-plugin-daemonset)",
	.type = &daemon_set_type,
};
const struct kube_kind kind_event = {
	"events.k8s.io", "v1", "Event", "events", .namespaced = true, .builtin = true,
};
const struct kube_kind kind_crd = {
	"apiextensions.k8s.io",
	"v1",
	"CustomResourceDefinition",
	"customresourcedefinitions",
	.builtin = true,
	.metadata_only = true,
	.type = &crd_type,
};
