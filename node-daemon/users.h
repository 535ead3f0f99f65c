/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h: looks which processes hold units: what of /proc and /sys holders.h tells. RIM.
 *
 * Of each unit it finds the nodes that its drivers offer, then every process of the machine is looked
 * at once, for all units. It needs to see them all: the machine's PID namespace, and, of processes
 * of others, SYS_PTRACE and DAC_READ_SEARCH. What it cannot see is told as unknown, with the
 * reason. Reading /proc may wait for a driver or for who has a process's memory locked, and takes
 * milliseconds, so it is only called in a child that can be left behind (eyes.h, observe.h).
 *
 * What it does not see: a descriptor that is under way in a socket, and users inside the kernel; of
 * these NVIDIA's driver knows by itself (STEP_UNBIND_LOCK).
 */
#pragma once

#include "node-daemon/eyes_wire.h"

/* sys, proc: descriptors of /sys and /proc. All lies in the arena or in the question. */
void users_look(int sys, int proc, const struct eyes_question *q, struct arena *a,
		struct eyes_answer *ret);

/* The same as process_spec.run: looks, and writes the answer's line to out. 0: it did. */
struct users_job {
	int sys, proc;
	const struct eyes_question *question;
};
int users_run(void *job, int out);
