/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h: vmgpu-node on a cluster: looks at the machine (looks.h), reports it as its GPUNode,
 * beats. RIM. A look that finds nothing new writes nothing.
 */
#pragma once

#include "kube/monitor.h"
#include "kube/program.h"
#include "node-daemon/options.h"

struct daemon_settings {
	const struct options *options;
	const struct program_options *common;
	struct monitor *monitor;
};

/* Runs until SIGTERM. p: of program_begin; the API server is asked when the machine has been looked
 * at. 0, or -1 with err when it cannot begin. */
int daemon_run(struct program *p, const struct daemon_settings *s, int sys, struct err *err);
