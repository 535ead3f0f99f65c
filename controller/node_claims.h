/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_claims.h: what PCIDeviceClaim, SRIOVGPUDevice and VGPUDevice objects of one card order
 * together, and which of them is refused. Pure; lent from the cache or in the pass's arena.
 *
 * A card goes whole (a claim) or is cut (virtual functions, vGPUs), never both. Whose order stands
 * already keeps it, and the later is refused; where none stands, what the machine shows decides, then
 * the claim. The order that stands is the memory: GPUNode.spec, so that nothing is held in a
 * program.
 *
 * An object that is not there says nothing: only `enabled: false` and a deletion take something back,
 * and neither takes what is in use.
 */
#pragma once

#include "controller/device.h"
#include "controller/verdict.h"

#define CLAIMS_RESOURCE_MAX 63

enum claims_side {
	CLAIMS_NONE,
	CLAIMS_WHOLE,	/* a claim has it */
	CLAIMS_LEAVING, /* a claim had it, and it goes back to its driver */
	CLAIMS_CUT,
	CLAIMS_OTHER, /* the order that stands is of another card, which was in this slot */
};

struct claims_slot {
	const char *vf;
	const struct gpu_slot *slot;	  /* NULL: its virtual function is not there now */
	const struct vgpu_device *device; /* or NULL */
	const char *stands;		  /* type that is ordered already, or NULL */
	const char *type;		  /* type to make and keep; NULL: none */
	bool asked;			  /* its object asks for one */
	struct verdict refused;		  /* of its object */
};

struct claims {
	const struct pass *pass;
	const struct gpu_node *node;
	const struct gpu_unit *unit;
	const struct unit_order *before; /* the order that stands, or NULL */
	enum claims_side side;
	const struct pci_claim *claim;	/* the first that is well made and not being deleted */
	const struct pci_claim *going;	/* one that is being deleted */
	const struct sriov_gpu *sriov;	/* NULL: there is none that speaks */
	LIST(struct claims_slot) slots; /* of virtual functions, those not there last */
};

void claims_of_unit(const struct pass *pass, const struct gpu_node *n, const struct gpu_unit *u,
		    struct claims *ret);
/* The order that stands for the unit, or NULL. */
const struct unit_order *claims_standing(const struct gpu_node *n, const char *id);
/* An order that an object gave: not the default policy's. */
bool claims_ordered(const struct unit_order *o);
/* Of a unit that is not reported now: does who gave the order still want it? */
bool claims_still_wanted(const struct pass *pass, const struct gpu_node *n,
			 const struct unit_order *o);
/* False: no object orders anything of this unit. */
bool claims_order(const struct claims *c, struct unit_order *ret);

/* Why this claim is not acted on; status NULL: it is. d: the device of its name. */
struct verdict claims_refused(const struct device *d, const struct pci_claim *claim);
/* Why the card may not be cut, or may not be left whole; status NULL: nothing is against it. */
struct verdict claims_refused_sriov(const struct claims *c);
/* A claim that is being deleted may go. ret_why: else why not. */
bool claims_released(const struct device *d, const struct pci_claim *claim,
		     struct verdict *ret_why);
const struct claims_slot *claims_slot_of(const struct claims *c, const char *name);
/* "10de:26b9" */
const char *claims_device(struct arena *a, const struct gpu_unit *u);

/*
 * Shared by the files of claims:
 *	node_claims.c	 who asks, whose card it is, what is ordered
 *	node_slots.c	 the vGPUs of a card
 *	node_refusals.c	 what is said to those who do not get what they ask for
 */
void claims_slots(struct claims *c);
bool claims_held(const struct claims_slot *s);	   /* somebody has the vGPU */
bool claims_given_up(const struct vgpu_device *d); /* it says so itself */
bool claims_sriov_is(const struct claims *c, tri enabled);
/* How many virtual functions its SRIOVGPUDevice asks for; refusal: why it cannot have those, or NULL. */
int64_t claims_vfs(const struct claims *c, const char **ret_refusal);
/* A virtual function of the card that is a GPU by itself and that somebody has, or NULL. */
const struct gpu_unit *claims_vf_held(const struct claims *c);
bool claims_well_made(const struct gpu_node *n, const struct pci_claim *claim,
		      const char *address); /* its fields say what its name says, or nothing */
bool claims_name_fits(const struct pci_claim *claim); /* as a resource of its own */
bool claims_stand_whole(const struct claims *c);      /* the order that stands is of a claim */
bool claims_stand_cut(const struct claims *c);
/* Of one that leaves: "vfio-pci" when an admin had bound it before us, NULL: no driver had it. */
const char *claims_former_driver(const struct claims *c);
bool claims_stay(const struct claims *c); /* nothing is to be undone */
bool claims_back(const struct claims *c); /* the node has answered that it is undone */
