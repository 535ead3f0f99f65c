/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_cut.h: what the plans that cut a card share: what they see, what they say, and the rule that
 * nothing in use is taken away. Pure.
 *
 *	plan_sriov.h	virtual functions, as many as are ordered
 *	plan_slots.h	vGPUs that are ordered one by one
 *	plan_vgpu.h	vGPUs that virtual machines ask for
 *
 * Like plan_bind.h they say one program at a time, for the machine as it is now. Whoever carries it
 * out looks again and asks again, until there are no steps. What was made is found on the machine, so
 * a program that was cut short anywhere is thereby continued.
 */
#pragma once

#include "node-daemon/books.h"
#include "node-daemon/orders.h"
#include "node-daemon/steps.h"

/* Places that one program works at: so many more than one are quick, and few enough that one that
 * hangs is soon said to. */
#define CUT_PLACES 8

/* Somebody has what is at a place, or is being given it. */
struct cut_use {
	uint64_t at;	    /* a virtual function, or the card */
	const char *uuid;   /* of one mediated device there; "": of whatever is there */
	const char *holder; /* for a sentence: "pod a/b", "process 123 (qemu)" */
};

LIST_OF(cut_use_list, struct cut_use);

struct cut_seen {
	const struct machine *machine;
	const struct unit *unit;
	const struct book *book; /* of the unit */
	const struct orders *orders;
	struct cut_use_list uses;
	bool looked;	     /* somebody has seen who uses what; else all that is there is in use */
	const char *refusal; /* books.refusal, "": none */
	uint64_t failed_at;  /* where the last program of this plan failed, 0: nowhere */
	const char *node, *boot;
};

struct cut_plan {
	struct steps steps; /* none: nothing is to be done now */
	/* A condition Available of the unit, of what is not done; it may stand beside steps for the
	 * rest. type NULL: nothing is refused. */
	struct condition why;
};

/* A vGPU that exists. */
struct cut_vgpu {
	uint64_t at;
	const char *uuid; /* "": it is none with a UUID */
	const char *id;	  /* of its type */
	const char *name;
};

LIST_OF(cut_vgpu_list, struct cut_vgpu);

/* All of a card, by place. */
void cut_made(const struct pci_function *card, struct arena *a, struct cut_vgpu_list *ret);
/* It is of the type of that name, or nobody knows what it is: of a full card the driver lists no names,
 * and the table lacks some numbers. When in doubt it is what it should be. */
bool cut_is_type(const struct cut_vgpu *v, const char *name);
/* Who uses it, for a sentence; NULL: nobody. */
const char *cut_holder(const struct cut_seen *seen, const struct cut_vgpu *v);
/* The same of a virtual function, whatever is on it. */
const char *cut_vf_holder(const struct cut_seen *seen, const struct pci_vf *vf);

/* The steps lie in the arena; room for all that CUT_PLACES need is made by the first. */
void cut_add(struct cut_plan *p, struct arena *a, enum step_verb verb, uint64_t at,
	     const char *value);
void cut_add_drop(struct cut_plan *p, struct arena *a, const struct cut_vgpu *v);
/* uuid: for a mediated device. */
void cut_add_make(struct cut_plan *p, struct arena *a, enum vgpu_face face,
		  const struct cut_vgpu *v);
/* The first refusal names the reason, the messages of all are joined. */
void cut_refuse(struct cut_plan *p, struct arena *a, const char *reason, const char *message);
/* Quarantined, or nothing may be written at all: then it is refused. */
bool cut_forbidden(const struct cut_seen *seen, struct arena *a, struct cut_plan *p);

/* A UUID that is the same for the same: a mediated device's is never drawn, so that after a crash it is
 * known whose it is; nor is it one of an older boot. what: what makes it another. In the arena. */
const char *cut_uuid(const char *node, const char *boot, uint64_t at, const char *what,
		     struct arena *a);
