/* SPDX-License-Identifier: Apache-2.0 */
#include "api/kubevirt.h"

/* Tables of nested objects whose values all land in the outer struct: one INLINE table a level. */
#define INLINE(name, ...)                                                                          \
	static const struct field name##_fields[] = {__VA_ARGS__, {0}};                            \
	static const struct type name = {sizeof(T), name##_fields, NULL}
#define KIND_FINISH(name, finish, ...)                                                             \
	static const struct field name##_fields[] = {OBJ_METADATA, __VA_ARGS__, {0}};              \
	static const struct type name = {sizeof(T), name##_fields, finish}
#define KIND(name, ...) KIND_FINISH(name, obj_finish, __VA_ARGS__)
#define HELMS FIELD(T, helms, "", TYPE_BOOL, .flags = TYPE_DERIVED)

/* Of the release that it is named after. */
static tri by_helm(const struct obj *o, const char *managed_by, const char *instance)
{
	return str_eq(managed_by, "Helm") && str_eq(instance, o->name) ? TRI_TRUE : TRI_UNSET;
}

#define T struct kv_gpu
static const struct field kv_gpu_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, device_name, "deviceName", TYPE_STR, .flags = TYPE_INTERN),
	{0},
};
#undef T
static const struct type kv_gpu_type = {sizeof(struct kv_gpu), kv_gpu_fields, NULL};

#define T struct kv_start_failure
static const struct field kv_start_failure_fields[] = {
	FIELD(T, count, "consecutiveFailCount", TYPE_INT),
	FIELD(T, retry_after, "retryAfterTimestamp", TYPE_STR),
	{0},
};
#undef T
static const struct type kv_start_failure_type = {sizeof(struct kv_start_failure),
						  kv_start_failure_fields, NULL};

#define T struct kv_vm
INLINE(vm_labels,
       FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR, .flags = TYPE_TRANSIENT),
       FIELD(T, instance, "app.kubernetes.io/instance", TYPE_STR, .flags = TYPE_TRANSIENT));
INLINE(vm_annotations, FIELD(T, adopted, ADOPTED_ANNOTATION, TYPE_STR, .flags = TYPE_INTERN));
INLINE(vm_metadata, FIELD_INLINE("labels", &vm_labels),
       FIELD_INLINE("annotations", &vm_annotations));
INLINE(vm_firmware, FIELD(T, firmware_uuid, "uuid", TYPE_STR));
INLINE(vm_devices, FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &kv_gpu_type),
       FIELD(T, host_devices, "hostDevices", TYPE_OBJS, .sub = &kv_gpu_type));
INLINE(vm_domain, FIELD_INLINE("devices", &vm_devices), FIELD_INLINE("firmware", &vm_firmware));
INLINE(vm_template_spec, FIELD_INLINE("domain", &vm_domain),
       FIELD(T, eviction_strategy, "evictionStrategy", TYPE_STR, .flags = TYPE_INTERN));
INLINE(vm_template, FIELD_INLINE("spec", &vm_template_spec));
INLINE(vm_instancetype, FIELD(T, instance_type, "name", TYPE_STR, .flags = TYPE_INTERN));
INLINE(vm_preference, FIELD(T, preference, "name", TYPE_STR, .flags = TYPE_INTERN));
INLINE(vm_spec, FIELD(T, run_strategy, "runStrategy", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, running, "running", TYPE_BOOL), FIELD_INLINE("template", &vm_template),
       FIELD_INLINE("instancetype", &vm_instancetype), FIELD_INLINE("preference", &vm_preference));
INLINE(vm_status, FIELD(T, printable_status, "printableStatus", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, created, "created", TYPE_BOOL), FIELD(T, ready, "ready", TYPE_BOOL),
       FIELD(T, start_failure, "startFailure", TYPE_OBJ, .sub = &kv_start_failure_type),
       FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type));
static void vm_finish(void *object)
{
	T *vm = object;

	obj_finish(object);
	vm->helms = by_helm(&vm->obj, vm->managed_by, vm->instance);
}
KIND_FINISH(vm_type, vm_finish, FIELD_INLINE("metadata", &vm_metadata),
	    FIELD_INLINE("spec", &vm_spec), FIELD_INLINE("status", &vm_status), HELMS);
#undef T

#define T struct kv_interface
static const struct field kv_interface_fields[] = {
	FIELD(T, name, "name", TYPE_STR, .flags = TYPE_INTERN),
	FIELD(T, ip, "ipAddress", TYPE_STR),
	{0},
};
#undef T
static const struct type kv_interface_type = {sizeof(struct kv_interface), kv_interface_fields,
					      NULL};

#define T struct kv_vmi
INLINE(vmi_annotations, FIELD(T, woken, WOKEN_ANNOTATION, TYPE_STR));
INLINE(vmi_metadata, FIELD_INLINE("annotations", &vmi_annotations));
INLINE(vmi_devices, FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &kv_gpu_type),
       FIELD(T, host_devices, "hostDevices", TYPE_OBJS, .sub = &kv_gpu_type));
INLINE(vmi_domain, FIELD_INLINE("devices", &vmi_devices));
INLINE(vmi_spec, FIELD_INLINE("domain", &vmi_domain));
INLINE(vmi_status, FIELD(T, phase, "phase", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, node, "nodeName", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, reason, "reason", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, interfaces, "interfaces", TYPE_OBJS, .sub = &kv_interface_type),
       FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type));
KIND(vmi_type, FIELD_INLINE("metadata", &vmi_metadata), FIELD_INLINE("spec", &vmi_spec),
     FIELD_INLINE("status", &vmi_status));
#undef T

bool kv_vmi_lives(const struct kv_vmi *v)
{
	return !str_eq(v->phase, "Succeeded") && !str_eq(v->phase, "Failed");
}

static const char *vmi_holds_on(const struct obj *o)
{
	const struct kv_vmi *v = (const struct kv_vmi *)o;

	return (v->gpus.n || v->host_devices.n) && kv_vmi_lives(v) ? v->node : NULL;
}

#define T struct kv_config
INLINE(config_labels, FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR));
INLINE(config_annotations, FIELD(T, ours, PERMITTED_ANNOTATION, TYPE_STR),
       FIELD(T, helm_release, "meta.helm.sh/release-name", TYPE_STR));
INLINE(config_metadata, FIELD_INLINE("labels", &config_labels),
       FIELD_INLINE("annotations", &config_annotations));
INLINE(config_developer, FIELD(T, gates, "featureGates", TYPE_STRS),
       FIELD(T, disabled_gates, "disabledFeatureGates", TYPE_STRS));
INLINE(config_configuration, FIELD(T, permitted, "permittedHostDevices", TYPE_RAW),
       FIELD_INLINE("developerConfiguration", &config_developer));
INLINE(config_spec, FIELD_INLINE("configuration", &config_configuration));
INLINE(config_status, FIELD(T, phase, "phase", TYPE_STR),
       FIELD(T, version, "observedKubeVirtVersion", TYPE_STR));
KIND(config_type, FIELD_INLINE("metadata", &config_metadata), FIELD_INLINE("spec", &config_spec),
     FIELD_INLINE("status", &config_status));
#undef T

#define T struct kv_instancetype
INLINE(instancetype_memory, FIELD(T, memory, "guest", TYPE_SCALAR));
INLINE(instancetype_cpu, FIELD(T, cpu, "guest", TYPE_SCALAR));
INLINE(instancetype_spec, FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &kv_gpu_type),
       FIELD(T, host_devices, "hostDevices", TYPE_OBJS, .sub = &kv_gpu_type),
       FIELD_INLINE("memory", &instancetype_memory), FIELD_INLINE("cpu", &instancetype_cpu));
KIND(instancetype_type, FIELD_INLINE("spec", &instancetype_spec));
#undef T

static const struct field preference_fields[] = {OBJ_METADATA, {0}};
static const struct type preference_type = {
	sizeof(struct kv_preference),
	preference_fields,
	obj_finish,
};

#define T struct kv_data_volume
INLINE(dv_annotations,
       FIELD(T, optical, "vm-disk.cozystack.io/optical", TYPE_STR, .flags = TYPE_INTERN));
INLINE(dv_labels,
       FIELD(T, managed_by, "app.kubernetes.io/managed-by", TYPE_STR, .flags = TYPE_TRANSIENT),
       FIELD(T, instance, "app.kubernetes.io/instance", TYPE_STR, .flags = TYPE_TRANSIENT));
INLINE(dv_metadata, FIELD_INLINE("annotations", &dv_annotations),
       FIELD_INLINE("labels", &dv_labels));
INLINE(dv_requests, FIELD(T, storage, "storage", TYPE_SCALAR, .flags = TYPE_INTERN));
INLINE(dv_resources, FIELD_INLINE("requests", &dv_requests));
INLINE(dv_storage, FIELD_INLINE("resources", &dv_resources),
       FIELD(T, storage_class, "storageClassName", TYPE_STR, .flags = TYPE_INTERN));
INLINE(dv_http, FIELD(T, source_url, "url", TYPE_STR, .flags = TYPE_INTERN));
INLINE(dv_claim, FIELD(T, source_claim, "name", TYPE_STR, .flags = TYPE_INTERN));
INLINE(dv_source, FIELD_INLINE("http", &dv_http), FIELD_INLINE("pvc", &dv_claim));
INLINE(dv_spec, FIELD_INLINE("storage", &dv_storage), FIELD_INLINE("pvc", &dv_storage),
       FIELD_INLINE("source", &dv_source));
INLINE(dv_status, FIELD(T, phase, "phase", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, progress, "progress", TYPE_STR, .flags = TYPE_INTERN),
       FIELD(T, claim, "claimName", TYPE_STR),
       FIELD(T, conditions, "conditions", TYPE_OBJS, .sub = &condition_type));
static void dv_finish(void *object)
{
	T *dv = object;

	obj_finish(object);
	dv->helms = by_helm(&dv->obj, dv->managed_by, dv->instance);
}
KIND_FINISH(dv_type, dv_finish, FIELD_INLINE("metadata", &dv_metadata),
	    FIELD_INLINE("spec", &dv_spec), FIELD_INLINE("status", &dv_status), HELMS);
#undef T

#define KUBEVIRT "kubevirt.io", "v1"
const struct kube_kind kind_kv_vm = {
	KUBEVIRT, "VirtualMachine", "virtualmachines", .namespaced = true, .type = &vm_type,
};
const struct kube_kind kind_kv_vmi = {
	KUBEVIRT,	    "VirtualMachineInstance", "virtualmachineinstances",
	.namespaced = true, .type = &vmi_type,	      .second_key = vmi_holds_on,
};
const struct kube_kind kind_kv_config = {
	KUBEVIRT, "KubeVirt", "kubevirts", .namespaced = true, .type = &config_type,
};

#define INSTANCETYPE "instancetype.kubevirt.io", "v1beta1"
const struct kube_kind kind_kv_instancetype = {
	INSTANCETYPE,
	"VirtualMachineClusterInstancetype",
	"virtualmachineclusterinstancetypes",
	.type = &instancetype_type,
};
const struct kube_kind kind_kv_preference = {
	INSTANCETYPE,
	"VirtualMachineClusterPreference",
	"virtualmachineclusterpreferences",
	.type = &preference_type,
};
const struct kube_kind kind_data_volume = {
	"cdi.kubevirt.io", "v1beta1",	       "DataVolume",
	"datavolumes",	   .namespaced = true, .type = &dv_type,
};
