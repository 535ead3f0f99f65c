/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places where the schemas of the kinds that we apply deviate from "objects field by field,
 * lists as a whole": x-kubernetes-list-type, -list-map-keys, -map-type and -preserve-unknown-fields
 * of the CRDs, and what api/openapi-spec says of the built-in kinds. Not listed is what no plan
 * writes; there a guess that is wrong costs one apply (intent.h).
 */
#include "kube/intent.h"

#define VMI_SPEC(kind, at)                                                                         \
	{kind, at "template.metadata", INTENT_OPEN, NULL},                                         \
		{kind,                                                                             \
		 at "template.spec.affinity.nodeAffinity."                                         \
		    "requiredDuringSchedulingIgnoredDuringExecution",                              \
		 INTENT_ATOMIC, NULL},                                                             \
		{kind, at "template.spec.resourceClaims", INTENT_KEYED, "name"},                   \
		{kind, at "template.spec.topologySpreadConstraints", INTENT_KEYED,                 \
		 "topologyKey whenUnsatisfiable"},                                                 \
	{                                                                                          \
		kind, at "template.spec.topologySpreadConstraints[].labelSelector", INTENT_ATOMIC, \
			NULL                                                                       \
	}

const struct intent_rule intent_rules[] = {
	{NULL, "metadata.ownerReferences", INTENT_KEYED, "uid"},
	{NULL, "metadata.ownerReferences[]", INTENT_ATOMIC, NULL},
	{NULL, "metadata.finalizers", INTENT_SET, NULL},

	{"Service", "spec.ports", INTENT_KEYED, "port protocol=TCP"},
	{"Service", "spec.selector", INTENT_ATOMIC, NULL},
	{"PersistentVolumeClaim", "spec.selector", INTENT_ATOMIC, NULL},
	{"PersistentVolumeClaim", "spec.dataSource", INTENT_ATOMIC, NULL},

	/* Stop and start through KubeVirt change it, and field manager vmgpu-power (plan_vm). */
	{"VirtualMachine", "spec.runStrategy", INTENT_SHARED, NULL},
	VMI_SPEC("VirtualMachine", "spec."),
	VMI_SPEC("KubevirtMachineTemplate", "spec.template.spec.virtualMachineTemplate.spec."),
	{"KubevirtMachineTemplate", "spec.template.spec.virtualMachineTemplate.metadata",
	 INTENT_OPEN, NULL},
	{"KubevirtMachineTemplate", "spec.template.spec.infraClusterSecretRef", INTENT_ATOMIC,
	 NULL},
	{"KubevirtCluster", "spec.controlPlaneServiceTemplate.metadata", INTENT_OPEN, NULL},
	{"KubevirtCluster", "spec.infraClusterSecretRef", INTENT_ATOMIC, NULL},
	{"KubevirtCluster", "spec.sshKeys.configRef", INTENT_ATOMIC, NULL},
	{"DataVolume", "spec.pvc.dataSource", INTENT_ATOMIC, NULL},
	{"DataVolume", "spec.pvc.selector", INTENT_ATOMIC, NULL},
	{"DataVolume", "spec.storage.dataSource", INTENT_ATOMIC, NULL},
	{"DataVolume", "spec.storage.selector", INTENT_ATOMIC, NULL},

	{"Cluster/v1beta1", "spec.controlPlaneRef", INTENT_ATOMIC, NULL},
	{"Cluster/v1beta1", "spec.infrastructureRef", INTENT_ATOMIC, NULL},
	{"Cluster", "spec.availabilityGates", INTENT_KEYED, "conditionType"},
	{"MachineDeployment", "spec.selector", INTENT_ATOMIC, NULL},
	{"MachineDeployment/v1beta1", "spec.template.spec.bootstrap.configRef", INTENT_ATOMIC,
	 NULL},
	{"MachineDeployment/v1beta1", "spec.template.spec.infrastructureRef", INTENT_ATOMIC, NULL},
	{"MachineDeployment", "spec.template.spec.readinessGates", INTENT_KEYED, "conditionType"},
	{"MachineDeployment", "spec.template.spec.taints", INTENT_KEYED, "key effect"},
	{"MachineHealthCheck", "spec.selector", INTENT_ATOMIC, NULL},
	{"MachineHealthCheck/v1beta1", "spec.remediationTemplate", INTENT_ATOMIC, NULL},
	{"KubeadmConfigTemplate/v1beta2",
	 "spec.template.spec.joinConfiguration.nodeRegistration.kubeletExtraArgs", INTENT_KEYED,
	 "name value"},
	{"KamajiControlPlane", "spec.kubelet.preferredAddressTypes", INTENT_SET, NULL},
	{"KamajiControlPlane", "spec.apiServer.resources.claims", INTENT_KEYED, "name"},
	{"KamajiControlPlane", "spec.controllerManager.resources.claims", INTENT_KEYED, "name"},
	{"KamajiControlPlane", "spec.scheduler.resources.claims", INTENT_KEYED, "name"},
	{"KamajiControlPlane", "spec.addons.konnectivity.server.resources.claims", INTENT_KEYED,
	 "name"},
	{"HelmRelease", "spec.values", INTENT_OPEN, NULL},
	{0},
};
