/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefer.h: which of the free GPUs a container gets best: what GetPreferredAllocation answers of whole
 * ones (prefer_vgpu.h: of vGPUs). Pure. The kubelet may do otherwise.
 *
 * Near to each other is: functions of one slot, then GPUs below one PCIe switch, then below one root
 * port, then on one NUMA node. What must be there comes first, then what is nearest to it. Where
 * nothing must be there, or nothing is near it any more: those that are nearest to each other, of
 * the smallest neighbourhood that has enough, so that large ones stay whole; where none has enough,
 * the largest, then the next. The same question has the same answer, in whatever order it is asked.
 *
 * Where NVLink joins some of them, that is nearest of all: those with the most links among them, musts
 * included, then those that are nearest to each other otherwise, then those that leave the most links
 * among the others. Of more than PREFER_TRIES sets not all are looked at.
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/links.h"

enum {
	PREFER_LINKED = 32,   /* of more devices NVLinks do not count */
	PREFER_TRIES = 20000, /* 8 of 16 are 12870 */
};

/* Ids of no unit come last. The strings are those of the wish, the list lies in the arena. -1: more
 * must be there than are wanted, or more are wanted than there are. links: NULL: none. */
int prefer_make(const struct unit_list *units, const struct links *links,
		const struct dpapi_wish *wish, struct arena *a, struct dpapi_ids *ret,
		struct err *err);
