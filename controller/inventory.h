/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inventory.h: the GPUs of the fleet as plans see them: what nodes report, by resource name, and
 * who has what. Pure.
 *
 * What nodes report is kept beside them in the cache (cache_memo) and lent for the pass; machines
 * are asked only where it matters. A "model" is a resource name that some node can give: a whole
 * card's, or a vGPU profile's (white space becomes _).
 */
#pragma once

#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "kube/plan.h"

struct inventory_place {
	const char *node;
	int64_t total; /* units of that name, or the profile's `max` */
	bool unknown;  /* a card does not say its `max`: there may be more than total */
	/*
	 * Units with Available=True that are not cut into vGPUs; the profile's `available` on units
	 * with Available=True or VGPUsFull, or, where vGPUs are ordered one by one, those that nobody
	 * has. Not what is ordered to stay with the host. None where the node is not Ready, for a reason that
	 * concerns them, or its daemon is silent. What machines have of them is not taken off: inventory_free.
	 */
	int64_t open;
	const char *why; /* why some are not open: the first such reason, or NULL */
};

struct inventory_model {
	const char *name;  /* resource name */
	const char *human; /* "L40S", "NVIDIA L40S-8Q" */
	bool vgpu;
	struct inventory_place *places; /* sorted by node */
	size_t n_places;
	const char **selectors; /* "10DE:26B9": PCI ids that give this name, sorted */
	size_t n_selectors;
	const char **aliases; /* other spellings that the node reports; lent */
	size_t n_aliases;
	/* PCI ids of the audio functions that go with cards of that name (api/resource.h), sorted. */
	const char **companions;
	size_t n_companions;
	int64_t bare;	  /* cards of that name without one */
	const char *mdev; /* mdev type name when the profile is an mdev, else NULL */
};

struct inventory {
	const struct inventory_model *models; /* sorted by name */
	size_t n;
	size_t nodes; /* that report at least one GPU */
	const struct pass *pass;
	const char *except_ns, *except_name;
};

/* except: a VMI (ns, name) whose own devices count as free, or NULL. */
void inventory_make(const struct pass *pass, const char *except_ns, const char *except_name,
		    struct inventory *ret);
/* What is open there, less what live machines on the node have of it. */
int64_t inventory_free(const struct inventory *inv, const struct inventory_model *m,
		       const struct inventory_place *p);
/* "6", or "an unknown number". In the arena. */
const char *inventory_total(const struct inventory_place *p, struct arena *a);
/* The audio function on the board of the unit's first GPU, or NULL. */
const struct gpu_function *inventory_companion(const struct gpu_unit *u);
/* NULL: the node has none of them. */
const struct inventory_place *inventory_place_on(const struct inventory_model *m, const char *node);
const struct inventory_model *inventory_find(const struct inventory *inv, const char *name);

/*
 * The canonical names that what a user wrote may mean, in order of preference, at most max: a name
 * that some node has means itself; else what the table says, then what nodes report as an alias. 0:
 * unknown.
 */
size_t inventory_meanings(const struct inventory *inv, const char *asked, const char **ret,
			  size_t max);
/* The first of them that a node has; else the first; else the text itself. Never NULL. */
const char *inventory_resolve(const struct inventory *inv, const char *asked);
/* A vGPU: reported as a profile, or its name ends in -<number><A|B|C|Q> and perhaps a suffix
 * (10CME, 1B4). */
bool inventory_is_vgpu(const struct inventory *inv, const char *name);
/* The series letter of a vGPU name (A, B, C, Q), 0 when it has none. */
char inventory_series(const char *name);
/* "L40S" for a status column: the model's human name, the table's, else the name without its vendor
 * prefix. */
const char *inventory_human(const struct inventory *inv, const char *name);

/* For a name that no node has: "near names: a, b; GPUs are: X (node-a: 2), Y (node-b: 1)", of many
 * some. In the arena. */
const char *inventory_suggest(const struct inventory *inv, const char *asked, struct arena *a);
