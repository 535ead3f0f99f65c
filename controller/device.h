/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h: one PCI address of a node, as its GPUNode reports it, and what the plans of Harvester's
 * objects share. Pure; lent from the cache or in the pass's arena. Private to device_*.c,
 * node_claims.c and plan_device.c.
 *
 *	plan_device.c	the device of an object's name, its metadata, its conditions
 *	device_pci.c	PCIDevice
 *	device_claim.c	PCIDeviceClaim
 *	device_sriov.c	SRIOVGPUDevice
 *	device_vgpu.c	VGPUDevice
 *	device_wake.c	which change wakes which object
 */
#pragma once

#include "api/harvester.h"
#include "api/vmgpu.h"
#include "kube/plan.h"

#define DEVICE_FINALIZER "vmgpu.io/release"

struct device {
	const struct pass *pass;
	const char *name; /* <node>-<address without ':' and '.'>, as all four kinds have it */
	const char *node_name;
	bool node_gone; /* there is neither the Node nor its GPUNode */
	bool leaves;	/* the GPUNode goes, or its Node has gone: the garbage collector's */
	const struct gpu_node *node; /* NULL: no daemon has reported for it */
	/* NULL, all three: the node reports nothing at this address */
	const struct gpu_unit *unit;
	const struct gpu_function *function; /* a GPU or a companion */
	const struct gpu_slot *slot;	     /* a virtual function */
};

/* The cluster has the kind of the pass: what is not there yet can be made. */
bool device_served(const struct pass *pass);
/* The device that the key of the pass names. */
void device_find(const struct pass *pass, struct device *ret);
/* The same of any name. */
void device_find_named(const struct pass *pass, const char *name, struct device *ret);
const char *device_name(struct arena *a, const char *node, const char *address);
bool device_is_gpu(const struct gpu_function *f);
/* A slot of a virtual function, not of the card itself. */
bool device_is_vf(const struct gpu_unit *u, const struct gpu_slot *s);
/* The driver's id of a type of this card, or NULL. */
const char *device_type_id(const struct gpu_node *n, const struct gpu_unit *u, const char *type);
/* The daemon has reported: what is not in the report is not there. */
bool device_reported(const struct gpu_node *n);

/* metadata with name, labels and the Node as owner; parent: SRIOVGPUDevice of the label, or NULL. */
json_t *device_metadata(const struct device *d, const char *parent);
bool device_has_finalizer(const struct finalizer_list *l);

/* "vm V in namespace N", or "pod P in namespace N": whoever has it. In the arena. */
const char *device_holder(struct arena *a, const char *ns, const char *pod, const char *vm);
const char *device_slot_holder(struct arena *a, const struct gpu_slot *s);

/* What an object waits for whose node is silent: a sentence; NULL: it is not. */
const char *device_silent(const struct device *d);
/* A condition of type False into l. old may be NULL. */
void device_say(const struct device *d, struct condition_list *l, const struct condition_list *old,
		int64_t generation, const char *type, const char *reason, const char *message);

/* device_wake.c */
extern const struct plan_watch device_pci_watches[], device_claim_watches[], device_sriov_watches[],
	device_vgpu_watches[], node_watches[];
