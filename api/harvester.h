/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harvester.h: devices.harvesterhci.io/v1beta1: what an admin of Harvester sees and edits of each
 * device. Contract: crds/devices.*.yaml, with Harvester's own names and spellings.
 *
 * The controller makes PCIDevice, SRIOVGPUDevice and VGPUDevice and writes their status; `enabled` and
 * `vGPUTypeName` are the user's, and so is the whole of a PCIDeviceClaim but its status, its
 * finalizer and its owner. `conditions` are ours: they are there only while something is missing.
 */
#pragma once

#include "kube/condition.h"
#include "kube/kind.h"

#define HARVESTER_PARENT_LABEL "harvesterhci.io/parentSRIOVGPUDevice"
#define HARVESTER_DRIVER_ANNOTATION "harvesterhci.io/pcideviceDriver"
/* On a SRIOVGPUDevice: how many virtual functions, of a card whose driver leaves the choice. */
#define SRIOV_COUNT_ANNOTATION "vmgpu.io/virtual-functions"
#define HARVESTER_OVERRIDE_ANNOTATION "pcidevice.harvesterhci.io/override-resource-name"

LIST_OF(finalizer_list, const char *);

struct pci_device_status {
	const char *address, *vendor_id, *device_id, *class_id, *iommu_group, *node_name;
	const char *resource_name, *description, *driver;
};

struct pci_device {
	struct obj obj;
	const char *nodename, *parent;		/* labels */
	const char *first_driver, *override_to; /* annotations */
	const struct pci_device_status *status;
};

struct pci_claim_spec {
	const char *address, *node_name, *user_name;
	tri not_pooled; /* disableResourcePooling */
};

struct pci_claim_status {
	const char *driver; /* kernelDriverToUnbind: gets the device back */
	tri passthrough;
	struct condition_list conditions;
};

struct pci_claim {
	struct obj obj;
	struct finalizer_list finalizers;
	const struct pci_claim_spec *spec;
	const struct pci_claim_status *status;
};

struct sriov_gpu_spec {
	const char *address, *node_name;
	tri enabled;
};

struct sriov_gpu_status {
	LIST(const char *) vf_addresses;
	LIST(const char *) vgpu_devices;
	struct condition_list conditions;
};

struct sriov_gpu {
	struct obj obj;
	const char *nodename; /* label */
	const char *count;    /* annotation */
	const struct sriov_gpu_spec *spec;
	const struct sriov_gpu_status *status;
};

struct vgpu_device_spec {
	const char *address, *node_name, *parent_address, *type_name;
	tri enabled;
};

struct vgpu_device_status {
	LIST(struct pair) available; /* type name -> the driver's id of it */
	const char *type_name, *uuid, *state;
	struct condition_list conditions;
};

struct vgpu_device {
	struct obj obj;
	const char *nodename, *parent; /* labels */
	struct finalizer_list finalizers;
	const struct vgpu_device_spec *spec;
	const struct vgpu_device_status *status;
};

extern const struct type pci_device_status_type, pci_claim_spec_type, pci_claim_status_type,
	sriov_gpu_spec_type, sriov_gpu_status_type, vgpu_device_spec_type, vgpu_device_status_type;
extern const struct kube_kind kind_pci_device, kind_pci_claim, kind_sriov_gpu, kind_vgpu_device;
