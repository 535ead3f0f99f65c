/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h: what one machine has, as scan.c found it: facts, no judgement (that is unit.h).
 *
 * Everything lies in the machine's arena and lives until the next scan into it or machine_finish.
 * Strings are never NULL unless the line says so. Lists of addresses are in ascending order.
 */
#pragma once

#include "json/type.h"
#include "node-daemon/pcifn.h"

/* More is not looked at and said in machine.troubles; each also bounds the memory that a scan may
 * take. */
enum {
	MACHINE_MAX_ENTRIES = 65536, /* functions on the bus */
	MACHINE_MAX_GPUS = 512,	     /* status.units of a GPUNode has maxItems 512 */
	MACHINE_MAX_VFS = 256,	     /* of one card: slots has maxItems 256 */
	MACHINE_MAX_MEMBERS = 256,   /* of one IOMMU group */
	MACHINE_MAX_MDEVS = 4096,
	MACHINE_MAX_TYPES = 256,      /* vGPU types of one card */
	MACHINE_MAX_DEPTH = 16,	      /* bridges above a card */
	MACHINE_MAX_FUNCTIONS = 2048, /* GPUs and all that goes along */
	MACHINE_MAX_TROUBLES = 64,
};

/* virt-launcher takes PCI addresses of four-digit domains only (kubevirt.md 2). */
#define MACHINE_KUBEVIRT_DOMAIN 0xffff

LIST_OF(pci_address_list, uint64_t);

/* How the driver of a card offers vGPUs: nvidia.md 2.2 and 2.3. */
enum vgpu_face {
	VGPU_NONE,
	VGPU_MDEV,   /* mdev_supported_types, on the card or on each virtual function */
	VGPU_VENDOR, /* nvidia/current_vgpu_type on each virtual function */
};

/* A vGPU type as the driver tells it; what the driver does not tell is 0. */
struct vgpu_type {
	const char *id;	  /* nvidia-746, 1148 */
	const char *name; /* NVIDIA A2-4Q; the id where the driver gives no name */
	int64_t framebuffer_mib, max;
	int64_t offered; /* how many the place that was read offers */
};

struct mdev {
	const char *uuid;
	uint64_t parent;  /* the virtual function, or the card */
	const char *type; /* id, "" when unreadable */
};

struct pci_vf {
	uint64_t address;
	unsigned index;	    /* N of virtfnN */
	const char *driver; /* "": none */
	int64_t group;	    /* -1: none */
	enum vgpu_face face;
	const char *type; /* VGPU_VENDOR: id of the vGPU type made here, "": none */
	bool gone;	  /* the card names it, the bus does not have it */
	bool whole;	  /* it is a GPU by itself, and among the functions */
};

enum pci_kind {
	PCI_GPU,
	PCI_COMPANION, /* on a GPU's board: same slot, same vendor, class of a companion */
	PCI_MEMBER,    /* shares an IOMMU group with one of the others */
};

struct pci_function {
	uint64_t address;
	enum pci_kind kind;
	struct pci_ids ids;
	const char *driver; /* "": none */
	int64_t group;	    /* -1: none */
	int64_t cdev;	    /* N of /dev/vfio/devices/vfioN, -1: there is none */
	bool unsure;	    /* driver or group could not be read: trouble says which */
	bool half_seen; /* of its virtual functions and vGPUs some could not be read: one that is not shown may be there */
	const char *trouble; /* first thing that could not be read, "": nothing */
	const char *words; /* vendor and device for people, "": not known; filled by words.h, not by
			      the scan */
	const char *vendor_words, *device_words; /* the same apart, for names */

	/* Of PCI_GPU only. */
	const struct pci_function *card; /* whose virtual function it is, NULL: a card itself */
	int64_t numa;			 /* -1: the firmware does not say */
	bool boot_display;
	const char *reset_method;      /* "flr bus", "": none or unknown */
	struct pci_address_list above; /* bridges, from the root port down; not sorted */
	int64_t total_vfs;	       /* 0: no SR-IOV */
	LIST(struct pci_vf) vfs;       /* in the order of virtfnN */
	enum vgpu_face face;
	LIST(struct vgpu_type) types; /* read at the first place that has no vGPU */
	LIST(struct mdev)
	mdevs; /* alive on the card and its virtual functions, by parent and uuid */
};

struct iommu_group {
	int64_t id;
	struct pci_address_list members;
	const char *trouble; /* "": none */
};

struct trouble {
	const char *where, *what; /* "0000:41:00.0", "class: Input/output error" */
};

struct machine {
	struct arena arena;
	LIST(struct pci_function *)
	functions;			 /* by address; virtual functions stand in their card */
	LIST(struct iommu_group) groups; /* of those functions, by id */
	LIST(struct trouble) troubles;
	size_t entries;		   /* functions on the bus, of any kind */
	const char *iommu;	   /* intel, amd, smmu, virtio, other; "": none in use */
	bool acpi_dmar, acpi_ivrs; /* the firmware describes an Intel or AMD IOMMU */
	bool vfio_pci;		   /* the driver is there to bind to */
	bool iommufd;		   /* /dev/iommu is there */
	const char *nvidia;	   /* version of the host's NVIDIA driver, "": not loaded */
};

void machine_init(struct machine *m);
void machine_finish(struct machine *m);

struct pci_function *machine_function(const struct machine *m, uint64_t address); /* NULL */
const struct iommu_group *machine_group(const struct machine *m, int64_t id);	  /* NULL */
