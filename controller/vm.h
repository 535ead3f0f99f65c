/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h: what the plan of VirtualMachine and VMInstance has seen, shared by its files. Private to vm*.c and plan_vm.c.
 *
 *	plan_vm.c	gather, and the order of things
 *	vm_check.c	what keeps us from writing (condition Accepted), and what is not acted on
 *	vm_gpus.c	spec.gpus -> device entries; permitted? free?
 *	vm_disks.c	system disk, disks, Secrets, cloud-init
 *	vm_body.c	the KubeVirt VirtualMachine and the Service
 *	vm_status.c	conditions and status
 */
#pragma once

#include "api/apps.h"
#include "api/core.h"
#include "controller/child.h"
#include "controller/inventory.h"
#include "controller/options.h"

#define VM_MAX_GPUS  64
#define VM_MAX_DISKS 64

/* One device entry of the VM: gpu1, gpu2, ... */
struct vm_gpu {
	const char *asked;   /* as in spec */
	const char *device;  /* canonical resource name */
	unsigned index;	     /* of spec.gpus */
	bool vgpu;
	bool host_device;    /* domain.devices.hostDevices, else gpus */
	bool has_options;
	tri display, ram_fb; /* as asked in virtualGPUOptions */
	bool show, show_fb;  /* as written */
};

enum vm_disk_state { DISK_READY, DISK_WAITING_UPLOAD, DISK_PROVISIONING, DISK_FAILED, DISK_MISSING, DISK_CDI_MISSING };

struct vm_disk_use {
	const char *name, *bus;		   /* of the VMDisk */
	const char *volume;		   /* name of the DataVolume */
	const struct kv_data_volume *data; /* NULL: not there */
	enum vm_disk_state state;
};

/* reason NULL: all is well. */
struct vm_verdict {
	const char *reason, *message;
};

struct vm_seen {
	const struct pass *pass;
	const struct options *options;
	const struct kube_kind *kind;
	const struct vm_app *app;
	struct vm_spec spec;
	struct child_of child;		  /* child.name is R */
	bool is_instance;		  /* VMInstance, else VirtualMachine */

	/* neighbours */
	bool kubevirt_served, cdi_served;
	const struct kv_config *kubevirt; /* the one that is deployed, NULL when none or several */
	size_t kubevirts;
	bool gate;			  /* HostDevices */
	const struct kv_vm *vm;
	const struct kv_vmi *vmi;
	const struct core_service *service;
	enum child_whose vm_whose;
	const struct kv_instancetype *type; /* NULL: does not exist, or none is asked for */
	const char *type_name, *profile_name; /* NULL: sized by resources */
	bool profile_exists;

	struct inventory inventory;
	struct vm_gpu gpus[VM_MAX_GPUS];
	size_t n_gpus;
	struct vm_disk_use disks[VM_MAX_DISKS];
	size_t n_disks;
	const char *run_strategy;	  /* wanted */
	const char *live_strategy;	  /* that the VM shows, or NULL */
	struct pair secrets[2];		  /* name and hash of the Secrets as we write them */
	size_t n_secrets;
	bool will_create;		  /* this pass makes the KubeVirt VM */
	const char *applied_strategy;	  /* for status.appliedRunStrategy */
	struct vm_verdict accepted;	  /* reason set: nothing is written */
	const char *not_handled;	  /* fields named by Accepted=True NotHandled, or NULL */
};

/* A condition without its times; status NULL: the condition does not apply. */
struct vm_state {
	const char *status, *reason, *message;
};

/* vm_gpus.c */
void vm_gpus_gather(struct vm_seen *s);
/* TRI_UNSET: no KubeVirt CR to ask. */
tri vm_gpus_listed(const struct vm_seen *s, const char *device);
struct vm_state vm_gpus_permitted(const struct vm_seen *s);
struct vm_state vm_gpus_available(const struct vm_seen *s);
void vm_gpus_write(const struct vm_seen *s, json_t *devices);

/* vm_disks.c */
void vm_disks_gather(struct vm_seen *s);
struct vm_state vm_disks_ready(const struct vm_seen *s);
bool vm_disks_wait(const struct vm_seen *s);
bool vm_disks_image_known(const struct vm_seen *s, const char **ret_image);
void vm_disks_write(const struct vm_seen *s, json_t *vm_spec, json_t *devices, json_t *volumes, json_t *template_spec);
void vm_secrets(struct vm_seen *s, struct plan *plan);

/* vm_body.c */
json_t *vm_service(const struct vm_seen *s);
json_t *vm_body(const struct vm_seen *s);

/* vm_check.c */
void vm_check(struct vm_seen *s);

/* vm_status.c */
void vm_status(const struct vm_seen *s, struct plan *plan);
