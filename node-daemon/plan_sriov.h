/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_sriov.h: what brings a card to the number of virtual functions that is ordered. Pure.
 *
 * The kernel takes a number only where there are none, and none at all takes away also those that
 * somebody uses: so it goes through 0, and only when nobody uses one. vGPUs on them that nobody uses
 * are removed first. Functions that are made get no driver by themselves, or the host's would have
 * them; NVIDIA's driver makes its own, by the vendor's tool, which says little that is true
 * (nvidia.md 2.5): what is there afterwards counts.
 *
 * It comes before plan_slots.h: as long as it has steps or refuses, that one waits.
 */
#pragma once

#include "node-daemon/plan_cut.h"

/* All lies in the arena, or in what was seen. */
void plan_sriov(const struct cut_seen *seen, struct arena *a, struct cut_plan *ret);
