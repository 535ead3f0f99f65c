/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permit.h: shared by the files of the permit plan. Private to plan_permit.c and permit_*.c.
 *
 *	plan_permit.c	gather, whose CR it is, what is said and written
 *	permit_want.c	which names are wanted, and by whom devices are used
 *	permit_list.c	one list: which entries are ours, which go, which come
 *	permit_watch.c	which change wakes the plan
 *	permit_wake.c	VMIs that were refused and need not be any more
 */
#pragma once

#include "api/apps.h"
#include "controller/cr.h"
#include "controller/inventory.h"

/* Bytes that the names of one spec may take, decoded: CRDs allow 64 names of 317 in a list. */
#define PERMIT_SPEC_MAX (8 * MiB)

/* The names that a spec asks for. */
struct permit_group {
	const char *key;
	struct named_list gpus;
};

struct permit_asks {
	struct named_list gpus;		  /* of a VirtualMachine or VMInstance */
	LIST(struct permit_group) groups; /* of a Kubernetes */
};

enum { PERMIT_PCI, PERMIT_MDEV, PERMIT_LISTS };

struct permit_pair {
	const char *selector, *resource;
};

/* One of permittedHostDevices' lists. */
struct permit_list {
	const char *key;	  /* "pciHostDevices" */
	const char *selector_key; /* "pciVendorSelector" */
	json_t *now; /* the list as it is: borrowed from permit_seen.permitted, NULL when absent */
	const struct permit_pair *ours; /* by the annotation */
	size_t n_ours;
	struct permit_pair *wanted; /* sorted; reported and wanted */
	size_t n_wanted;
	/* results of permit_list_next */
	json_t *next;		  /* new reference; NULL: unchanged */
	bool drop;		  /* the list itself goes */
	struct permit_pair *keep; /* what is ours afterwards */
	size_t n_keep, n_come;	  /* of next, the last n_come are new */
	bool made;		  /* by us: it was absent */
};

struct permit_seen {
	const struct pass *pass;
	const struct options *options;
	const struct kv_config *cr;
	struct cr crs; /* that count */
	struct inventory inventory;
	const char *
		*names; /* wanted by anybody, canonical; of those that nodes report or are ours */
	size_t n_names;
	const struct obj
		*unread; /* its spec cannot be read, so what it wants is not known, or NULL */
	const struct kube_kind *unread_kind;
	json_t *permitted; /* parsed; NULL: absent */
	bool made_field;
	struct permit_list lists[PERMIT_LISTS];
	bool companions;	    /* a machine asks for RESOURCE_COMPANION */
	const char *unknown_device; /* of a VM or VMI: a device that no node reports, or NULL */
	const char *foreign;	    /* why an entry was not added, or NULL */
	bool kept;		    /* an entry that nobody is known to want, because of unread */
};

/* permit_want.c */
extern const struct type permit_vm_asks; /* struct permit_asks of a VM's spec */
/* What is ours must be known: permit_note_read comes first. */
void permit_want(struct permit_seen *s);
bool permit_wanted(const struct permit_seen *s, const char *name);

/* permit_list.c */
void permit_note_read(struct permit_seen *s);
void permit_list_next(struct permit_seen *s, struct permit_list *l);
/* The annotation for what is ours afterwards, or NULL. In the arena. */
const char *permit_note_write(const struct permit_seen *s, bool made_field);
bool permit_lists_name(const struct permit_seen *s, const char *resource);

/* permit_watch.c */
extern const struct plan_watch permit_watches[];

/* permit_wake.c */
/* KubeVirt refused it for want of a name. */
bool permit_refused(const struct kv_vmi *v);
void permit_wake(const struct permit_seen *s, struct plan *plan);
