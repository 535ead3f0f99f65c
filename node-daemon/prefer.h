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
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/unit.h"

/* Ids of no unit come last. The strings are those of the wish, the list lies in the arena. -1: more
 * must be there than are wanted, or more are wanted than there are. */
int prefer_make(const struct unit_list *units, const struct dpapi_wish *wish, struct arena *a,
		struct dpapi_ids *ret, struct err *err);
