/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and published schemas agree, so neither can drift. */
#include "api/apps.h"
#include "api/crd_test.h"
#include "api/harvester.h"
#include "api/pool.h"
#include "api/vmgpu.h"

static void vm(void)
{
	agree("crds/apps.cozystack.io_virtualmachines.yaml", "spec", &vm_spec_type, false);
	agree("crds/apps.cozystack.io_virtualmachines.yaml", "status", &vm_status_type, false);
}

static void vm_instance(void)
{
	agree("crds/apps.cozystack.io_vminstances.yaml", "spec", &vm_spec_type, false);
	agree("crds/apps.cozystack.io_vminstances.yaml", "status", &vm_status_type, false);
}

static void vm_disk(void)
{
	agree("crds/apps.cozystack.io_vmdisks.yaml", "spec", &vm_disk_spec_type, false);
	agree("crds/apps.cozystack.io_vmdisks.yaml", "status", &vm_disk_status_type, false);
}

static void kubernetes(void)
{
	agree("crds/apps.cozystack.io_kuberneteses.yaml", "spec", &cluster_spec_type, false);
	agree("crds/apps.cozystack.io_kuberneteses.yaml", "status", &cluster_status_type, false);
}

static bool is_text(const json_t *schema)
{
	return (is(schema, "string") && !json_object_get(schema, "enum")) ||
	       flag(schema, "x-kubernetes-int-or-string");
}

/* What a tenant may write is copied into messages and children: none of it without end. */
static void limited(struct walk *w, const char *path, const json_t *schema)
{
	const json_t *items = json_object_get(schema, "items"),
		     *values = json_object_get(schema, "additionalProperties");
	const char *key;
	json_t *property;

	if (is_text(schema) && !json_object_get(schema, "maxLength")) {
		fault(w, path, "", "a text without maxLength");
	}
	if (items && !json_object_get(schema, "maxItems")) {
		fault(w, path, "", "an array without maxItems");
	}
	if (values && !json_object_get(schema, "maxProperties")) {
		fault(w, path, "", "a map without maxProperties");
	}
	if (items) {
		limited(w, path, items);
	}
	if (values) {
		limited(w, path, values);
	}
	json_object_foreach(json_object_get(schema, "properties"), key, property) {
		auto_free char *inner = xprintf("%s.%s", path, key);

		limited(w, inner, property);
	}
}

static void limits(void)
{
	static const char *const files[] = {
		"crds/apps.cozystack.io_virtualmachines.yaml",
		"crds/apps.cozystack.io_vminstances.yaml",
		"crds/apps.cozystack.io_vmdisks.yaml",
		"crds/apps.cozystack.io_kuberneteses.yaml",
	};
	struct walk w = {0};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		json_t *docs = load(files[i]);
		const json_t *all = json_object_get(schema_of(docs), "properties");

		limited(&w, files[i], json_object_get(all, "spec"));
		json_decref(docs);
	}
	is_int(w.faults, 0);
}

static void gpu_node(void)
{
	agree("crds/vmgpu.io_gpunodes.yaml", "spec", &node_orders_type, true);
	const struct field *status = kind_gpu_node.type->fields;

	while (!str_eq(status->key, "status")) {
		status++;
	}
	agree("crds/vmgpu.io_gpunodes.yaml", "status", status->sub, true);
}

static void gpu_pool(void)
{
	agree("crds/vmgpu.io_gpupools.yaml", "spec", &gpu_pool_spec_type, false);
	agree("crds/vmgpu.io_gpupools.yaml", "status", &gpu_pool_status_type, false);
}

static void harvester(void)
{
	agree("crds/devices.harvesterhci.io_pcidevices.yaml", "status", &pci_device_status_type,
	      false);
	agree("crds/devices.harvesterhci.io_pcideviceclaims.yaml", "spec", &pci_claim_spec_type,
	      false);
	agree("crds/devices.harvesterhci.io_pcideviceclaims.yaml", "status", &pci_claim_status_type,
	      false);
	agree("crds/devices.harvesterhci.io_sriovgpudevices.yaml", "spec", &sriov_gpu_spec_type,
	      false);
	agree("crds/devices.harvesterhci.io_sriovgpudevices.yaml", "status", &sriov_gpu_status_type,
	      false);
	agree("crds/devices.harvesterhci.io_vgpudevices.yaml", "spec", &vgpu_device_spec_type,
	      false);
	agree("crds/devices.harvesterhci.io_vgpudevices.yaml", "status", &vgpu_device_status_type,
	      false);
}

TESTS({"Harvester's kinds: tables and CRDs agree", harvester},
      {"VirtualMachine: table and CRD agree", vm}, {"VMInstance: table and CRD agree", vm_instance},
      {"VMDisk: table and CRD agree", vm_disk}, {"Kubernetes: table and CRD agree", kubernetes},
      {"every text, array and map of a tenant's spec has a maximum", limits},
      {"GPUPool: table and CRD agree", gpu_pool},
      {"GPUNode: the controller's view is part of the CRD", gpu_node})
