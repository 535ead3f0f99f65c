/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_slots.h: what brings a card to the vGPUs that are ordered one by one. Pure.
 *
 * Whoever orders slots orders the whole card: what is on it and is not ordered goes, unless somebody
 * uses it. That first, since a card of equal sizes takes a new size only when the old one is gone
 * (nvidia.md 2.4); then what is missing, big ones first, since with mixed sizes small ones would take
 * the places that big ones need. Whether the driver takes one is not judged here but found at the
 * write, by a step that reads what the place offers then. One that is refused does not stop the others:
 * the next program begins behind the place where the last one failed.
 */
#pragma once

#include "node-daemon/plan_cut.h"

/* All lies in the arena, or in what was seen. */
void plan_slots(const struct cut_seen *seen, struct arena *a, struct cut_plan *ret);
