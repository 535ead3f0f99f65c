/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: the daemon's settings, filled from flags by main.c. */
#pragma once

#include "base/base.h"

#ifndef VERSION
#define VERSION "dev"
#endif

struct options {
	const char *node, *sys_root, *pci_ids;
	bool once;
	int output; /* enum print_format */
	int64_t bench;
};
