/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_inner.h: what scan.c and scan_vgpu.c share while one scan runs. Nobody else includes it.
 */
#pragma once

#include "node-daemon/scan.h"
#include "node-daemon/sysfs.h"

/* One function on the bus. */
struct entry {
	uint64_t address;
	const char *name;	    /* of its directory */
	struct pci_ids ids;	    /* zero for virtual functions of GPUs: theirs are not read */
	struct pci_function *card;  /* the GPU that it is, or whose virtual function it is; else NULL */
	struct pci_vf *vf;	    /* the latter */
	bool seen;		    /* it stands in machine.functions */
};

struct scan {
	int sys, devices; /* fds; devices: bus/pci/devices */
	struct machine *m;
	struct entry *entries; /* by address */
	size_t n_entries;
	size_t n_gpus;
};

struct entry *scan_entry(const struct scan *s, uint64_t address); /* NULL */

/* Notes what could not be read of a place; rc is a negative errno. */
void scan_trouble(struct scan *s, const char *where, const char *file, int rc);
/* The same of a card: kept in the machine, and the first one in the card. */
void scan_card_trouble(struct scan *s, struct pci_function *card, uint64_t at, const char *file, int rc);

/* vGPU: the type of a virtual function, while its directory is open; then, once all functions are known, all the rest. */
void scan_vf_face(struct scan *s, struct entry *e, int dir);
void scan_vgpus(struct scan *s);
