/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links.h: which GPUs of this node NVLink joins. Pure.
 *
 * Only NVIDIA's driver shows that, and it stays so when a card has gone to vfio-pci: what was read last is
 * kept, and after a restart taken from the last report, as far as the same cards are in their places.
 */
#pragma once

#include "node-daemon/reading.h"
#include "node-daemon/unit.h"

enum { LINKS_PAIRS_MAX = 1024 };

struct links_pair {
	uint64_t x, y; /* x < y */
	int64_t lanes;
};
struct links {
	struct links_pair *items;
	size_t n, room;
};

void links_finish(struct links *l);
/* What a reading says of two of its cards takes the place of what was known of them. */
void links_learn(struct links *l, const struct reading *r);
void links_recall(struct links *l, const struct machine *m, const struct status *old);

/* Something is linked to it. */
bool links_any(const struct links *l, const struct unit *u);
/* How many links join them, 0: none is known. l: NULL: nothing is. */
int64_t links_lanes(const struct links *l, const struct unit *x, const struct unit *y);
