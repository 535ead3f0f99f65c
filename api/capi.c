/* SPDX-License-Identifier: Apache-2.0 */
#include "api/capi.h"

/* Tables of nested objects whose values all land in the outer struct: one INLINE table a level. */
#define INLINE(name, ...)                                                                          \
	static const struct field name##_fields[] = {__VA_ARGS__, {0}};                            \
	static const struct type name = {sizeof(T), name##_fields, NULL}
#define KIND(name, ...)                                                                            \
	static const struct field name##_fields[] = {                                              \
		OBJ_METADATA, OBJECT_METADATA, __VA_ARGS__, {0}};                                  \
	static const struct type name = {sizeof(T), name##_fields, obj_finish}
#define OBJECT_METADATA FIELD_INLINE("metadata", &object_metadata)

/* Every struct begins with struct capi_object, so these rows fit all. */
#define T struct capi_object
INLINE(object_labels,
       FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, cluster, CAPI_CLUSTER_LABEL, TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, deployment, CAPI_DEPLOYMENT_LABEL, TYPE_STR, .flags = TYPE_INTERN));
INLINE(object_metadata, FIELD_INLINE("labels", &object_labels));
static const struct field object_fields[] = {OBJ_METADATA, OBJECT_METADATA, {0}};
static const struct type object_type = {sizeof(T), object_fields, obj_finish};
#undef T

#define T struct capi_cluster
INLINE(cluster_status, FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type));
KIND(cluster_type, FIELD_INLINE("status", &cluster_status));
#undef T

#define T struct kv_gpu
INLINE(device_type, FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, device_name, "deviceName", TYPE_STR, .flags = TYPE_INTERN));
#undef T

#define T struct capi_disk_template
INLINE(disk_storage, FIELD(T, storage_class, "storageClassName", TYPE_STR, .flags = TYPE_INTERN));
INLINE(disk_spec, FIELD_INLINE("storage", &disk_storage), FIELD_INLINE("pvc", &disk_storage));
INLINE(disk_type, FIELD_INLINE("spec", &disk_spec));
#undef T

/* spec.template.spec.virtualMachineTemplate.spec.template.spec.domain.devices */
#define T struct capi_machine_template
INLINE(vm_devices, FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &device_type),
       FIELD(T, host_devices, "hostDevices", TYPE_OBJS, .sub = &device_type));
INLINE(vm_domain, FIELD_INLINE("devices", &vm_devices));
INLINE(vm_vmi_spec, FIELD_INLINE("domain", &vm_domain));
INLINE(vm_vmi, FIELD_INLINE("spec", &vm_vmi_spec));
INLINE(vm_spec, FIELD_INLINE("template", &vm_vmi),
       FIELD(T, disks, "dataVolumeTemplates", TYPE_OBJS, .sub = &disk_type));
INLINE(vm_template, FIELD_INLINE("spec", &vm_spec));
INLINE(machine_template_vm, FIELD_INLINE("virtualMachineTemplate", &vm_template));
INLINE(machine_template, FIELD_INLINE("spec", &machine_template_vm));
INLINE(machine_template_spec, FIELD_INLINE("template", &machine_template));
KIND(machine_template_type, FIELD_INLINE("spec", &machine_template_spec));
#undef T

/* v1beta2 has the strategy below rollout, v1beta1 has not. */
#define T struct capi_machine_deployment
INLINE(deployment_rolling, FIELD(T, max_surge, "maxSurge", TYPE_SCALAR, .flags = TYPE_INTERN),
       FIELD(T, max_unavailable, "maxUnavailable", TYPE_SCALAR, .flags = TYPE_INTERN));
INLINE(deployment_strategy, FIELD_INLINE("rollingUpdate", &deployment_rolling));
INLINE(deployment_rollout, FIELD_INLINE("strategy", &deployment_strategy));
INLINE(deployment_reference, FIELD(T, template_name, "name", TYPE_STR));
INLINE(deployment_machine_spec, FIELD_INLINE("infrastructureRef", &deployment_reference),
       FIELD(T, version, "version", TYPE_STR, .flags = TYPE_INTERN));
INLINE(deployment_machine, FIELD_INLINE("spec", &deployment_machine_spec));
INLINE(deployment_spec, FIELD(T, wanted, "replicas", TYPE_OPT_INT),
       FIELD_INLINE("template", &deployment_machine), FIELD_INLINE("rollout", &deployment_rollout),
       FIELD_INLINE("strategy", &deployment_strategy));
INLINE(deployment_status, FIELD(T, replicas, "replicas", TYPE_OPT_INT),
       FIELD(T, ready, "readyReplicas", TYPE_INT),
       FIELD(T, available, "availableReplicas", TYPE_INT),
       FIELD(T, up_to_date, "upToDateReplicas", TYPE_INT),
       FIELD(T, up_to_date, "updatedReplicas", TYPE_INT),
       FIELD(T, observed_generation, "observedGeneration", TYPE_INT));
KIND(machine_deployment_type, FIELD_INLINE("spec", &deployment_spec),
     FIELD_INLINE("status", &deployment_status));
#undef T

#define T struct capi_machine_set
INLINE(set_reference, FIELD(T, template_name, "name", TYPE_STR));
INLINE(set_machine_spec, FIELD_INLINE("infrastructureRef", &set_reference),
       FIELD(T, version, "version", TYPE_STR, .flags = TYPE_INTERN));
INLINE(set_machine, FIELD_INLINE("spec", &set_machine_spec));
INLINE(set_spec, FIELD(T, wanted, "replicas", TYPE_INT), FIELD_INLINE("template", &set_machine));
INLINE(set_status, FIELD(T, replicas, "replicas", TYPE_INT));
KIND(machine_set_type, FIELD_INLINE("spec", &set_spec), FIELD_INLINE("status", &set_status));
#undef T

#define T struct capi_machine
INLINE(machine_annotations, FIELD(T, skip, CAPI_SKIP_REMEDIATION, TYPE_STR, .flags = TYPE_INTERN));
INLINE(machine_metadata, FIELD_INLINE("annotations", &machine_annotations));
INLINE(machine_reference, FIELD(T, machine, "name", TYPE_STR));
INLINE(machine_spec, FIELD_INLINE("infrastructureRef", &machine_reference));
KIND(machine_type, FIELD_INLINE("metadata", &machine_metadata),
     FIELD_INLINE("spec", &machine_spec));
#undef T

/* Cozystack installs v1beta1 of Cluster API and v1alpha1 of Kamaji's provider. */
#define CAPI "cluster.x-k8s.io", "v1beta2 v1beta1"
const struct kube_kind kind_capi_cluster = {
	CAPI, "Cluster", "clusters", .namespaced = true, .type = &cluster_type,
};
const struct kube_kind kind_capi_machine_deployment = {
	CAPI,
	"MachineDeployment",
	"machinedeployments",
	.namespaced = true,
	.type = &machine_deployment_type,
};
const struct kube_kind kind_capi_machine_health_check = {
	CAPI, "MachineHealthCheck", "machinehealthchecks", .namespaced = true, .type = &object_type,
};
const struct kube_kind kind_capi_machine_set = {
	CAPI, "MachineSet", "machinesets", .namespaced = true, .type = &machine_set_type,
};
const struct kube_kind kind_capi_machine = {
	CAPI, "Machine", "machines", .namespaced = true, .type = &machine_type,
};
const struct kube_kind kind_capi_control_plane = {
	"controlplane.cluster.x-k8s.io", "v1alpha2 v1alpha1", "KamajiControlPlane",
	"kamajicontrolplanes",		 .namespaced = true,  .type = &object_type,
};
const struct kube_kind kind_capi_bootstrap = {
	"bootstrap.cluster.x-k8s.io", "v1beta2 v1beta1",  "KubeadmConfigTemplate",
	"kubeadmconfigtemplates",     .namespaced = true, .type = &object_type,
};
#define KUBEVIRT "infrastructure.cluster.x-k8s.io", "v1alpha1"
const struct kube_kind kind_capi_kubevirt_cluster = {
	KUBEVIRT, "KubevirtCluster", "kubevirtclusters", .namespaced = true, .type = &object_type,
};
const struct kube_kind kind_capi_machine_template = {
	KUBEVIRT,	    "KubevirtMachineTemplate",	    "kubevirtmachinetemplates",
	.namespaced = true, .type = &machine_template_type,
};
const struct kube_kind kind_flux_release = {
	"helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", .namespaced = true,
	.type = &object_type,
};
const struct kube_kind kind_flux_repository = {
	"source.toolkit.fluxcd.io", "v1", "HelmRepository", "helmrepositories", .namespaced = true,
	.type = &object_type,
};
