/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vf_counts.h: how many virtual functions a card gets. Pure.
 *
 * NVIDIA's driver makes all or none. Intel's and AMD's divide the card evenly among as many as are
 * asked for; of Intel's data centre cards the shares are whole for some numbers only, those of
 * Intel's own profiles (intel-resource-drivers-for-kubernetes, pkg/gpu/sriov/sriov_profiles.go). Who
 * says no number gets the one that these have by default; of other cards, all.
 *
 * Vendor and device are four hex digits, as GPUNode has them.
 */
#pragma once

#include "base/arena.h"

int64_t vf_counts_default(const char *vendor, const char *device, int64_t total);
/* Why the card cannot have so many, with what it can, for a sentence; NULL: it can. */
const char *vf_counts_refusal(const char *vendor, const char *device, int64_t total, int64_t asked,
			      struct arena *a);
