/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h: a list for a sentence, cut where it becomes too long: "a, b, c and 7 more". What is
 * listed may be as many as there are: the memory is fixed, and adding costs what is added.
 */
#pragma once

#include "base/arena.h"

#define LISTING_MAX ((size_t)2000) /* bytes, without " and N more" */

struct listing {
	struct arena *arena;
	const char *separator; /* between two: ", " */
	char *text;
	size_t len, left_out;
};

void listing_init(struct listing *l, struct arena *a, const char *separator);
/* One item; once one was left out, so are all that follow. */
void listing_add(struct listing *l, const char *format, ...) attr_printf(2, 3);
/* The whole, "" when there was nothing. In the arena. */
const char *listing_end(struct listing *l);
