/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rivals.h: which other device plugins give out this node's cards, and which of our names they have.
 * A step machine: facts and `now` come in; nothing is asked here.
 *
 *	sockets	 a plugin that lives listens beside us, on a socket called after its resource:
 *		 kubevirt-NAME.sock (NVIDIA's kubevirt-gpu-device-plugin), kubevirt-VENDOR-NAME.sock
 *		 (KubeVirt's own; Harvester's agent), VENDOR-NAME.sock
 *	devices	 what the kubelet says can be had: by PCI address (NVIDIA's, Harvester's), by IOMMU group
 *		 (KubeVirt's own), or by a name that only the vendor's library knows (for containers)
 *
 * The kubelet names no plugin with its devices, and two plugins of one resource look like one to it:
 * ids that we would give show nothing there, the socket does. And what it tells first may be our own,
 * from before we were started anew: a resource with our cards counts after RIVALS_SURE_MS.
 *
 * Who has left leaves a socket that nobody listens on, and no healthy device. It is believed in for
 * RIVALS_GRACE_MS more: a plugin that is brought up to date, or whose kubelet starts anew, comes back.
 */
#pragma once

#include "node-daemon/offers.h"

#define RIVALS_MAX 1024	   /* of each kind; what is more is not looked at */
#define RIVALS_IDS_MAX 512 /* of one resource, likewise */
#define RIVALS_GRACE_MS 30000
#define RIVALS_SURE_MS 1000

struct rivals;

struct rivals *rivals_create(void);
struct rivals *rivals_destroy(struct rivals *r); /* NULL */

/* Sockets in the kubelet's folder on which somebody else listens. */
void rivals_sockets(struct rivals *r, const struct dpapi_ids *names, int64_t now);
/* As dpapi_read_allocatable has them. */
void rivals_devices(struct rivals *r, const struct dpapi_holds *holds, int64_t now);
/* What is ours. */
struct rivals_seen {
	const struct unit_list *units;
	const struct offers *offers; /* as if there were no rivals */
	const struct plugin *plugin; /* what the kubelet has from us; or NULL */
};
/* When the devices are to be asked for again at the earliest, since some that are ours may be
 * another's: until then nobody is to be given ours. INT64_MAX: there is no doubt. */
int64_t rivals_doubt(const struct rivals *r, const struct rivals_seen *seen);
/* When they are others by themselves, INT64_MAX: never. */
int64_t rivals_wake(const struct rivals *r, int64_t now);

/* Another plugin has this name of ours. */
bool rivals_name(const struct rivals *r, const char *resource, int64_t now);
/* As which another one gives the unit out, NULL: none does. ret_why: a sentence in the arena. */
const char *rivals_unit(const struct rivals *r, const struct rivals_seen *seen,
			const struct unit *u, int64_t now, struct arena *a, const char **ret_why);
