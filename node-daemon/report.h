/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: a machine as the status of its GPUNode. Pure.
 *
 * The same machine gives the same report, byte for byte: lists are in the order of addresses, and
 * the times of conditions are taken over from the last report where their status is the same.
 */
#pragma once

#include "node-daemon/links.h"

/* A condition of a unit that its state alone does not tell. One of type Available takes the place of
 * what the state tells. */
struct report_note {
	uint64_t unit;
	struct condition condition;
};

/* Who has a unit, and how it was reset last (supply.h). */
struct report_use {
	uint64_t unit;
	const char *ns, *pod;	    /* NULL: nobody has it */
	const char *method;	    /* NULL: it was not reset since the boot */
	int64_t reset_ms, reset_at; /* took; at clock_wall_ms */
	bool never;		    /* nor before it, as far as anybody knows */
};

/* The resource that the kubelet lists a unit under (offers.h). */
struct report_listed {
	uint64_t unit;
	const char *resource;
};

/* The pod that has a vGPU. */
struct report_slot {
	const char *vf, *uuid; /* uuid "": it is none with a UUID */
	const char *holder;    /* namespace/pod */
};

/* A unit that another device plugin gives out, and as what (rivals.h). */
struct report_served {
	uint64_t unit;
	const char *resource;
};

/* What became of the orders (obey.h). */
struct report_obeyed {
	int64_t term, generation;   /* 0: there are none */
	struct condition obeying;   /* type NULL: nothing is to be said */
	struct condition supplying; /* the same: what keeps the kubelet from giving units out */
	LIST(struct report_note) notes;
	LIST(struct report_use) uses;
	LIST(struct report_listed) listed;
	LIST(struct report_slot) slots;
	LIST(struct report_served) served;
};

/* What was read of cards on NVIDIA's driver (telemetry.h). */
struct report_read {
	const char *library;	    /* version of its library, "": not known */
	const struct links *links;  /* or NULL */
	struct condition condition; /* type NULL: nothing is to be said */
};

/* What does not stand in /sys. */
struct report_facts {
	const char *kernel;  /* uname -r */
	const char *version; /* of this program */
	const char
		*blind; /* why the last look failed, NULL: it did not; machine is the one before */
	const struct report_obeyed *obeyed; /* or NULL */
	const struct report_read *read;	    /* or NULL */
};

/* old: the last report, or NULL. Strings lie in the arena, the machine or the name tables: the
 * report lives no longer than these. */
void report(const struct machine *m, const struct report_facts *facts, const struct status *old,
	    int64_t now_ms, struct arena *a, struct status *ret);
