/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h: vendors and devices in words, from the machine's pci.ids, by libpci. RIM: reads one file.
 *
 * For people (status.units[].functions[].description), and for the name of a GPU that api/gpu_names.tsv lacks. The database is loaded
 * for one machine and given back: it takes 3 MB. Without it, or when it is garbage, words stay empty and nothing else changes.
 */
#pragma once

#include "node-daemon/machine.h"

/* Fills words, vendor_words and device_words of the machine's functions. */
void words_fill(struct machine *m, const char *pci_ids);
