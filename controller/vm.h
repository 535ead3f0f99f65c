/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.h: what the plan of VirtualMachine and VMInstance has seen, shared by its files. Private to
 * vm*.c and plan_vm.c.
 *
 *	plan_vm.c	gather, and the order of things
 *	vm_wake.c	which change wakes which VM
 *	vm_check.c	what keeps us from writing (condition Accepted)
 *	vm_fields.c	what is accepted and not acted on
 *	vm_gpus.c	what is asked of GPUs, and what is attached
 *	vm_disks.c	system disk and VMDisks
 *	vm_secrets.c	cloud-init, keys, network configuration
 *	vm_service.c	the Service
 *	vm_body.c	the KubeVirt VirtualMachine
 *	vm_adopt.c	one that Cozystack's chart made
 *	vm_ready.c	condition Ready: the table of reasons
 *	vm_status.c	the other conditions, and status
 */
#pragma once

#include "api/core.h"
#include "base/listing.h"
#include "controller/child.h"
#include "controller/devices.h"

#define VM_MAX_DISKS 64

#define VM_DEFAULT_TYPE "u1.medium"
#define VM_DEFAULT_PROFILE "ubuntu"

/* In the order in which they are told: the first of these that some disk has. */
enum vm_disk_state {
	DISK_CDI_MISSING,
	DISK_IMAGE_MISSING,
	DISK_MISSING,
	DISK_FAILED,
	DISK_UPLOAD,
	DISK_PROVISIONING,
	DISK_READY,
};

/* A VMDisk that is used. */
struct vm_disk_use {
	const char *name, *bus;
	const char *volume;		   /* name of the DataVolume */
	const struct kv_data_volume *data; /* NULL: not there */
};

/* What the Secrets say; NULL: that one is not wanted. */
struct vm_secret_names {
	const char *keys, *user_data, *network;
};

struct vm_seen {
	const struct pass *pass;
	const struct options *options;
	const struct kube_kind *kind;
	const struct vm_app *app;
	struct vm_spec spec;
	struct child_of child; /* child.name is R */
	bool is_instance;      /* VMInstance, else VirtualMachine */

	/* neighbours */
	bool kubevirt_served, cdi_served;
	struct cr cr;
	const struct kv_vm *vm;
	const struct kv_vmi *vmi;
	const struct core_service *service;
	enum child_whose vm_whose;
	const struct obj *taken_vm, *taken_service; /* somebody else's, of our child's name */
	bool adopted;				    /* kept as Cozystack's chart made it */
	const char *type_name;			    /* NULL: sized by resources */
	const struct kv_instancetype *type;	    /* NULL: not there, or none is asked for */
	const char *profile_name;
	bool profile_exists;

	struct inventory inventory;
	struct gpus asked;
	struct devices devices;
	bool has_system_disk;
	const struct kv_data_volume *system_data; /* of the system disk, if it is our VM's */
	struct vm_disk_use disks[VM_MAX_DISKS];
	size_t n_disks;
	struct vm_secret_names secrets;
	struct verdict accepted; /* with a status: nothing is written */
	const char *not_handled; /* fields named by Accepted=True NotHandled, or NULL */

	/* runStrategy: what the manifest wants, what we applied last, what the VM shows (NULL:
	 * nothing) */
	const char *wanted, *applied, *live;
	bool power; /* the wanted one is to be applied */

	/* what this pass does; for the status */
	bool differs;		  /* the VM is there and does not show our body */
	bool updating;		  /* and it is applied now */
	bool creating;		  /* it is not there and is applied now */
	LIST(struct pair) hashes; /* of the Secrets as we write them: status.secretsHash */
};

/* vm_gpus.c */
void vm_gpus_gather(struct vm_seen *s);
/* The VM has a GPU, be it that of its instance type. */
bool vm_gpus_any(const struct vm_seen *s);
/* How many of this device the live machine has. */
int64_t vm_gpus_in_machine(const struct vm_seen *s, const char *device);
/* It has all that is asked, and nothing else. */
bool vm_gpus_attached(const struct vm_seen *s);

/* vm_disks.c */
void vm_disks_gather(struct vm_seen *s);
/* The VM cannot be written: only a DataVolume says disk or CD, and an image must be there. */
bool vm_disks_wait(const struct vm_seen *s);
/* The DataVolume of the system disk's name is somebody else's. */
const struct kv_data_volume *vm_disks_taken(const struct vm_seen *s);
struct verdict vm_disks_ready(const struct vm_seen *s);
/* Of the system disk: what it was made from, else what is asked for. */
const char *vm_disks_image(const struct vm_seen *s);
void vm_disks_not_handled(const struct vm_seen *s, struct listing *l);
void vm_disks_write(const struct vm_seen *s, json_t *spec, json_t *disks, json_t *volumes);
void vm_disks_grow(const struct vm_seen *s, struct plan *plan);

/* vm_secrets.c */
void vm_secrets_gather(struct vm_seen *s);
void vm_secrets_write(const struct vm_seen *s, json_t *template_spec, json_t *disks,
		      json_t *volumes);
void vm_secrets_apply(struct vm_seen *s, struct plan *plan);
/* may: else they are kept for a later pass. */
void vm_secrets_delete(struct vm_seen *s, struct plan *plan, bool may);

/* vm_service.c */
void vm_service_plan(const struct vm_seen *s, struct plan *plan);
/* Reachable from outside: wanted, and with at least one port. */
bool vm_service_external(const struct vm_seen *s);
bool vm_service_no_ports(const struct vm_seen *s);
/* The load balancer's address, or NULL. */
const char *vm_service_address(const struct vm_seen *s);

/* vm_body.c. A new reference. */
json_t *vm_body(const struct vm_seen *s);

/* vm_adopt.c */
void vm_adopt(const struct vm_seen *s, struct plan *plan);
const char *vm_adopt_differences(const struct vm_seen *s);

/* vm_check.c */
void vm_check(struct vm_seen *s);

/* vm_fields.c. NULL: all is acted on. */
const char *vm_fields_not_handled(const struct vm_seen *s);

/* vm_ready.c */
/* Why the VM may not be written now (said by Ready), or nothing. */
struct verdict vm_held(const struct vm_seen *s);
struct verdict vm_ready(const struct vm_seen *s);
/* KubeVirt has looked at the VM: its CRD's default says Stopped before that. */
bool vm_looked_at(const struct vm_seen *s);
bool vm_strategy_runs(const char *strategy);
/* KubeVirt would refuse every change of the VM. */
bool vm_frozen(const struct vm_seen *s);

/* vm_status.c */
struct verdict vm_accepted(const struct vm_seen *s);
void vm_status(const struct vm_seen *s, struct plan *plan);

/* vm_wake.c */
extern const struct plan_watch vm_watches_virtual_machine[], vm_watches_instance[];
