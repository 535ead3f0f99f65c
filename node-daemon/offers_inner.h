/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offers_inner.h: private to the files that make offers.
 *
 *	offers.c	what is said of each unit by itself
 *	offers_list.c	of all of them together: names that meet, and the lists
 */
#pragma once

#include "node-daemon/offers.h"

/* o->items are judged each by itself: refuses those whose names meet, and makes o->lists. */
void offers_list(struct offers *o, struct arena *a);
