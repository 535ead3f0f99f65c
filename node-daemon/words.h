/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h: vendors and devices in words, from the machine's pci.ids, by libpci. RIM: reads one
 * file.
 *
 * For people (status.units[].functions[].description), and for the name of a GPU that
 * api/gpu_names.tsv lacks. The database takes 3 MB, so it is loaded only when ids come that were
 * not asked before, and given back at once. Without it, or when it is garbage, words stay empty and
 * nothing else changes.
 */
#pragma once

#include "node-daemon/machine.h"

struct words {
	const char *path; /* of pci.ids */
	struct words_known *known;
	size_t n, size;
	bool broken; /* libpci did not understand the file: not asked again */
};

void words_finish(struct words *w); /* begin with {.path = ...} */

/* Fills words, vendor_words and device_words of the machine's functions. */
void words_fill(struct words *w, struct machine *m);
