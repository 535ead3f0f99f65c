/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cr.h: the KubeVirt CR: which one counts, whose it is, what it permits. Pure; lent from the cache
 * or in the pass's arena. Facts: kubevirt.md 1 and 4; choices: cases/README.md "permit".
 */
#pragma once

#include "api/kubevirt.h"
#include "controller/options.h"
#include "kube/plan.h"

struct cr {
	const struct kv_config *config; /* the one that counts; NULL: none, or several */
	size_t n;
	const char *names; /* of all that count: "kubevirt/kubevirt, cozy-kubevirt/kubevirt" */
	bool gate;	   /* HostDevices is on */
};

/*
 * KubeVirt's components read the CR that has a status.phase; those count, and the only one in any
 * case.
 */
void cr_find(const struct pass *pass, struct cr *ret);

bool cr_gate(const struct kv_config *cr); /* HostDevices is on */

/*
 * Why vmgpu does not write this CR ("belongs to HyperConverged"), or NULL when it does
 * (--permit). ret_reason: of the Event about it; may be NULL.
 */
const char *cr_hands_off(const struct kv_config *cr, const struct options *o, struct arena *a,
			 const char **ret_reason);

struct cr_entry {
	const char *selector, *resource;
	tri external; /* externalResourceProvider */
};
LIST_OF(cr_entries, struct cr_entry);

/* permittedHostDevices. absent: KubeVirt asks nothing, every device is permitted. */
struct cr_permitted {
	bool absent;
	struct cr_entries pci, mdev, usb;
};
void cr_permitted_read(const struct kv_config *cr, struct arena *a, struct cr_permitted *ret);

/* KubeVirt compares PCI ids without case, and mdev types with white space as '_'. */
bool cr_same_selector(const char *a, const char *b);
