/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h: what the plan of VMDisk has seen. Private to plan_disk.c and disk_*.c.
 *
 *	plan_disk.c	gather, the order of things, what wakes it
 *	disk_check.c	what keeps us from writing, and what is not acted on
 *	disk_status.c	conditions and status
 */
#pragma once

#include "api/apps.h"
#include "api/core.h"
#include "api/kubevirt.h"
#include "controller/child.h"
#include "controller/options.h"
#include "controller/verdict.h"

struct disk_seen {
	const struct pass *pass;
	const struct options *options;
	const struct vm_disk *disk;
	struct vm_disk_spec spec;
	struct vm_disk_source source; /* of spec, or empty: a blank disk */
	struct child_of child;	      /* child.name is that of the DataVolume and its claim */
	bool cdi_served;
	const struct kv_data_volume *data; /* of our name, whoever's it is; NULL: not there */
	enum child_whose whose;
	const struct core_pvc *claim;
	const char *size, *class;      /* wanted; class NULL: the cluster's default */
	const char *pvc_name, *pvc_ns; /* to be cloned: of the golden image or disk, or NULL */
	const char *url;	       /* to be imported, or NULL */
	struct verdict accepted;       /* set: nothing is written */
	struct verdict missing;	       /* set: nothing is made until it is there */
	const char *not_handled;       /* fields named by Accepted=True NotHandled, or NULL */
	bool makes, grows;	       /* in this pass */
};

/* The size that the disk has or gets: the largest that was asked and done. */
const char *disk_done_size(const struct disk_seen *s);
/* The claim is the DataVolume's, so ours to grow. */
bool disk_has_claim(const struct disk_seen *s);

/* disk_check.c */
void disk_check(struct disk_seen *s);

/* disk_status.c */
void disk_status(const struct disk_seen *s, struct plan *plan);
