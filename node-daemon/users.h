/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h: whether a process has a unit's device nodes open. RIM; it reads /proc and /sys.
 *
 * Only of drivers whose users open a node that belongs to the device alone: the vfio family, and
 * snd_hda_intel. Of every other driver nothing can be said, nor where a process may hide: another
 * PID namespace than the machine's, or a process whose descriptors we may not see. A node that was
 * opened, mapped and closed again is not found; QEMU keeps its descriptors.
 */
#pragma once

#include "node-daemon/plan_bind.h"

#define USERS_WHO_MAX 96

/* who: BIND_USERS_SOME: the first of them, "process 123 (qemu-system-x86)". sys, proc: descriptors of
 * /sys and /proc. */
enum bind_users users_look(int sys, int proc, const struct unit *u, char who[USERS_WHO_MAX]);
