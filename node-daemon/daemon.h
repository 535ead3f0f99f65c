/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h: vmgpu-node on a cluster: looks at the machine (looks.h), reports it as its GPUNode,
 * beats. RIM. A look that finds nothing new writes nothing.
 */
#pragma once

#include "kube/monitor.h"
#include "kube/program.h"
#include "node-daemon/options.h"

/* Runs until SIGTERM; ends the client of p. 0, or -1 with err when it cannot begin. */
int daemon_run(struct program *p, struct monitor *monitor, const struct options *o, int sys,
	       struct err *err);
