/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h: vmgpu-node on a cluster: looks at the machine, reports it as its GPUNode, beats. RIM.
 *
 * A kernel event (uevent.h) makes it look again within DAEMON_SETTLE_MS; events that come meanwhile
 * are one look. Where the kernel's events cannot be had it looks every DAEMON_BLIND_MS; with them
 * still every DAEMON_LOOK_MS, since a vendor's driver may change what it offers without an event. A
 * look that finds nothing new writes nothing.
 */
#pragma once

#include "kube/monitor.h"
#include "kube/program.h"
#include "node-daemon/options.h"

#define DAEMON_SETTLE_MS 100
#define DAEMON_SPACE_MS 250 /* between two looks, at least */
#define DAEMON_LOOK_MS 300000
#define DAEMON_BLIND_MS 5000

/* Runs until SIGTERM; ends the client of p. 0, or -1 with err when it cannot begin. */
int daemon_run(struct program *p, struct monitor *m, const struct options *o, int sys,
	       struct err *err);
