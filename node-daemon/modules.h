/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h: brings kernel modules in before the daemon runs, by the machine's modprobe. RIM; for
 * `vmgpu-node modules`, a container with the right to do that and nothing else, which ends when it
 * is done.
 *
 * One that cannot be loaded is told and is no failure: the daemon is to run all the same and says
 * what the machine lacks.
 */
#pragma once

#include "base/base.h"

/* sys: the machine's /sys. How many of them are there afterwards. */
size_t modules_load(int sys, char *const *names, size_t n);
