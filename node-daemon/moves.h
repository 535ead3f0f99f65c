/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves.h: a unit that gets another resource leaves the list of the one before it joins the other's.
 * Pure.
 *
 * Each list goes to the kubelet on a stream of its own, and none of them waits for another: what left
 * one and joined another in the same moment could be counted in both. So it is in none for MOVES_MS.
 * Who has it by then is not asked here: offers.h moves only what nobody has.
 */
#pragma once

#include "node-daemon/offers.h"

#define MOVES_MS 500

struct moves;

struct moves *moves_create(void);
struct moves *moves_destroy(struct moves *m); /* NULL */
/* Takes out of the lists what has just left another one. When to ask again though nothing else
 * happened, INT64_MAX: not for its sake. */
int64_t moves_make(struct moves *m, struct offers *offers, int64_t now);
