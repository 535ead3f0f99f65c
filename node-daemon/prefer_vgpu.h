/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefer_vgpu.h: which of the free vGPUs of one resource a container gets best: what
 * GetPreferredAllocation answers of these (prefer.h: of whole GPUs). Pure. The kubelet may do otherwise.
 *
 * What must be there comes first. Then the card is filled that is cut most already, so that others stay
 * whole; of equal ones the one on the NUMA node of what is chosen, one that is made already, and the
 * lowest by card and number. The same question has the same answer, in whatever order it is asked.
 */
#pragma once

#include "node-daemon/dpapi.h"
#include "node-daemon/plan_vgpu.h"

/* all: of the resource, as vgpu_devices has them; ids that are not among them come last. Otherwise as
 * prefer_make. */
int prefer_vgpu(const struct vgpu_device_list *all, const struct dpapi_wish *wish, struct arena *a,
		struct dpapi_ids *ret, struct err *err);
