/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/options.h"

#include <stddef.h>

#define AT(member) offsetof(struct options_typed, member)
const struct flag options_flags[] = {
	{"naming", 0, FLAG_CHOICE, AT(naming), .value = "prefix", .choices = "prefix|plain",
	 .help = "names of KubeVirt VMs and their kin: with Cozystack's prefixes, or the object's own"},
	{"take-gpus", 0, FLAG_CHOICE, AT(take), .value = "idle", .choices = "idle|none|unused",
	 .help = "which GPUs are brought to vfio-pci for virtual machines: those that no driver has; none, so that you bind them yourself; unused: also those that a driver of the host has, once no process of the node uses them (not where another device plugin gives them to containers)"},
	{"companions", 0, FLAG_CHOICE, AT(companions), .value = "pass", .choices = "pass|bind",
	 .help = "audio functions on the boards of GPUs: new VMs get them with their GPUs, where KubeVirt's feature gate HostDevices is on; or they are bound to vfio-pci only"},
	{"permit", 0, FLAG_CHOICE, AT(permit), .value = "auto", .choices = "auto|manage|report",
	 .help = "whether the KubeVirt CR's permittedHostDevices is written: unless Helm or HyperConverged owns the CR; always; never"},
	{"images-namespace", 0, FLAG_STRING, AT(images_ns), .value = "cozy-public",
	 .arg = "NAMESPACE",
	 .help = "where golden images (DataVolumes vm-default-images-NAME) live"},
	{"cozy-proxy", 0, FLAG_BOOL, AT(cozy_proxy), .value = "false",
	 .help = "Cozystack's cozy-proxy runs here: Services get its label and annotations, externalMethod WholeIP and externalAllowICMP work (without it that label would keep kube-proxy away)"},
	{"load-balancer-node-ports", 0, FLAG_BOOL, AT(node_ports), .value = "true",
	 .help = "Services of external VMs have node ports; false where the load balancer needs none"},
	{"worker-image", 0, FLAG_STRING, AT(worker_image), .arg = "IMAGE",
	 .help = "container disk with kubeadm that the workers of tenant clusters boot; {minor} stands for their Kubernetes version, as v1.35"},
	{"gpu-operator-chart", 0, FLAG_STRING, AT(gpu_operator_chart), .arg = "NAMESPACE/NAME",
	 .help = "Cozystack's chart of the gpu-operator, an ExternalArtifact, for tenant clusters (default: NVIDIA's own chart)"},
	{0},
};

struct options options_of(const struct options_typed *typed)
{
	return (struct options){
		.plain_naming = typed->naming == 1,
		.permit = (enum options_permit)typed->permit,
		.take = (enum options_take)typed->take,
		.bind_companions = typed->companions == 1,
		.images_ns = typed->images_ns,
		.cozy_proxy = typed->cozy_proxy,
		.no_node_ports = !typed->node_ports,
		.worker_image = typed->worker_image,
		.gpu_operator_chart = typed->gpu_operator_chart,
	};
}
