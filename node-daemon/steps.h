/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h: a program: what is done to the functions of one unit, in order, and what the child that
 * did it (write.h) says of it. Pure.
 *
 * A plan makes programs (plan_bind.h), hands.h keeps them until their time comes, write.h carries
 * them out. Every step may be done again: one whose end is there already is done at once. The first
 * that fails ends the program; the next look at the machine makes another one.
 */
#pragma once

#include "base/buf.h"
#include "node-daemon/machine.h"

enum step_verb {
	STEP_READ_OVERRIDE, /* driver_override is told; waits for the lock of the device (sysfs.h) */
	STEP_UNBIND_LOCK,   /* "1": NVIDIA's driver makes sure by itself that nobody uses it, the
			       kernel included, and where it can lets nobody begin; "0": not any more */
	STEP_OVERRIDE,	    /* value becomes driver_override, "": none */
	STEP_UNBIND,	    /* from the driver `value`, and from no other */
	STEP_PROBE,	    /* the kernel looks for a driver, unless one has it */
	STEP_EXPECT_ALIVE,  /* its config space answers */
	STEP_EXPECT_DRIVER, /* it has the driver `value`, "": none. Writes never tell (nvidia.md 3.2) */
	STEP_EXPECT_GROUP, /* vfio has the IOMMU group that is numbered `value` */
	STEP_RESET,	   /* and it answers afterwards; tells reset_method. Only while on vfio */
	/* Of a card: its virtual functions. */
	STEP_AUTOPROBE, /* "0": virtual functions that are made get no driver, "1": they do */
	STEP_VFS,	/* sriov_numvfs becomes `value`; none are taken away that carry a vGPU */
	STEP_TOOL, /* "sriov-manage -e": asked of the vendor's tools (tool.h); never believed */
	STEP_EXPECT_VFS, /* so many virtfnN links, and all of their functions; is waited for */
	/* Of a place for vGPUs: a virtual function, or the card itself. */
	STEP_EXPECT_TYPE, /* it offers the type "1148", "nvidia-746" now; else tells what it does */
	STEP_TYPE,	  /* vendor VFIO: the vGPU of type "1148" is made, "0": removed */
	STEP_EXPECT_MADE, /* vendor VFIO: that type is made, "0": none */
	STEP_MDEV_MAKE,	  /* "UUID nvidia-746" */
	STEP_MDEV_DROP,	  /* "UUID", of this place */
	STEP_EXPECT_MDEV, /* "UUID nvidia-746": it is there; "UUID": it is not */
	STEP_VERBS,
};

struct step {
	enum step_verb verb;
	uint64_t at;	   /* the function */
	const char *value; /* never NULL */
};
LIST_OF(steps, struct step);

/* Of what a child says of one. */
#define STEPS_LINE_MAX ((size_t)1024)

/* How long the kernel may take for all of them; what hangs longer will not come back by itself. */
int64_t steps_deadline_ms(const struct steps *s);
void steps_copy(const struct steps *s, struct arena *a, struct steps *ret);
/* "unbind 0000:41:00.1 from snd_hda_intel" */
const char *step_words(const struct step *s, struct arena *a);

/* The line of a child for step number i: it is done and `text` was read, or why it is not. A text
 * is cut to the line, and what would end the line is left out. */
void steps_say(struct buf *out, size_t i, bool done, const char *text);

struct steps_heard {
	size_t done;	   /* this many, from the first on */
	const char *why;   /* of the one behind these, NULL: nothing is known of it */
	const char **read; /* what each of them has read, "": nothing */
};

/* What a child said, in lines of steps_say; a line that is none, or not whole, ends it. */
void steps_hear(const struct steps *s, const char *out, size_t n, struct arena *a,
		struct steps_heard *ret);
