/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h: carries a program (steps.h) out in /sys, and in /proc/driver/nvidia. RIM, and the only file
 * that writes there.
 *
 * Only ever called in a child that can be left behind (process.h): the kernel answers a write when
 * the driver has let go, which may be never. It believes nobody: before each step it looks itself at
 * what stands at the address, and refuses what is no GPU and no companion on a GPU's board, whoever
 * ordered it. All is opened below sys and proc, descriptors of a /sys and a /proc, and no link leads
 * out of them.
 */
#pragma once

#include "node-daemon/steps.h"

/*
 * Says a line for each step on out (steps_say), the last one why it failed. 0: all are done, 1: not,
 * 2: out takes no more. tool: where the vendor's tools are asked (tool.h), NULL: nowhere.
 */
int write_steps(int sys, int proc, const char *tool, const struct steps *s, int out);

/* The same as process_spec.run, of which sys and proc are to be kept; ctx begins with a struct write_job. It
 * ends with its parent, which is who started it, so that no two of these work at one unit. */
struct write_job {
	int sys, proc;
	int64_t parent; /* getpid() */
	const struct steps *steps;
	const char *tool; /* of write_steps */
};
int write_run(void *job, int out);
