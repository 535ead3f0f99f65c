/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: the daemon's settings, filled from flags by main.c. */
#pragma once

#include "base/base.h"

struct options {
	const char *node, *sys_root, *proc_root, *pci_ids, *lease_ns, *state_dir, *eyes, *tool,
		*plugins, *pods, *pod;
	int64_t beat_ms;
	bool once;
	int output; /* enum print_format */
	int64_t bench;
};
