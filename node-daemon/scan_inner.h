/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_inner.h: what the files of the scanner share while one scan runs. Nobody else includes it.
 *
 *	scan.c		which functions there are, and which go along
 *	scan_read.c	single facts of a function, and what to say when one cannot be read
 *	scan_vgpu.c	both vGPU interfaces
 *	scan_node.c	what is true of the machine as a whole
 */
#pragma once

#include "node-daemon/scan.h"
#include "node-daemon/sysfs.h"

/* One function on the bus. */
struct entry {
	uint64_t address;
	const char *name;	   /* of its directory */
	struct pci_ids ids;	   /* zero for virtual functions of GPUs: theirs are not read */
	struct pci_function *card; /* the GPU that it is, or whose virtual function it is */
	struct pci_vf *vf;	   /* the latter */
	bool seen;		   /* it stands in machine.functions */
	bool cut; /* not all of the card's virtual functions are looked at: said once, not of each */
};

struct scan {
	int sys, devices; /* fds; devices: bus/pci/devices */
	struct machine *m;
	struct entry *entries; /* by address */
	size_t n_entries;
	size_t n_gpus;
	int starved; /* 0, or the errno that says that the looking itself lacks something */
};

struct entry *scan_entry(const struct scan *s, uint64_t address); /* NULL */

/* A negative errno in words. */
const char *scan_why(int rc);
/* Gives rc back. What went wrong for want of descriptors or memory says nothing of the device: such a
 * scan is no report, and remembered here. */
int scan_note(struct scan *s, int rc);
/* Notes what could not be read of a place; rc is a negative errno. */
void scan_trouble(struct scan *s, const char *where, const char *file, int rc);
/* The same of a card: kept in the machine, and the first one in the card. */
void scan_card_trouble(struct scan *s, struct pci_function *card, uint64_t at, const char *file,
		       int rc);
/* The same of what shows its virtual functions and vGPUs. */
void scan_half_seen(struct scan *s, struct pci_function *card, uint64_t at, const char *file,
		    int rc);

/* Of an open function. Identity: NULL, or the file that failed, with its errno in *rc. */
const char *scan_ids(int dir, struct pci_ids *ret, int *rc);
/* Name of the driver, "" for none; number of the IOMMU group, -1 for none. 0 or -errno. */
int scan_driver(struct scan *s, int dir, const char **ret);
int scan_group(int dir, int64_t *ret);
/* Of a function on a driver of the vfio family: the number of its own device node, -1 for none. 0 or
 * -errno. */
int scan_cdev(struct scan *s, int dir, int64_t *ret);

/* IOMMU, vfio, the host's driver. After all functions are known. */
void scan_node(struct scan *s);

/* vGPU: the type of a virtual function, while its directory is open; then, once all functions are
 * known, all the rest. */
void scan_vf_face(struct scan *s, struct entry *e, int dir);
void scan_vgpus(struct scan *s);
