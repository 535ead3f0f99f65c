/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demand_inner.h: private to demand*.c. demand.c: who has the vGPUs, and their end; demand_offer.c: which
 * there are; demand_make.c: an Allocate.
 */
#pragma once

#include "base/link.h"
#include "node-daemon/demand.h"
#include "node-daemon/eyes.h"
#include "node-daemon/plan_vgpu.h"

#define DEMAND_TURN_BYTES (16 * MiB)

struct demand {
	struct demand_settings s;
	struct eyes *eyes;
	struct link makes, questions;
	char **removing; /* ids that are to go */
	size_t n_removing;
};

int64_t demand_now(const struct demand *v);
/* False: nothing is known now. */
bool demand_see(const struct demand *v, struct arena *a, struct vgpu_seen *ret);
/* The record of this boot; NULL: it does not exist. */
const struct journal_slot *demand_record(const struct demand *v, const char *id);
const char *demand_resource(const struct unit *u, const char *type, struct arena *a);

/* demand_make.c */
void demand_makes_end(struct demand *v);
