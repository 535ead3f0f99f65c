/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uevent.h: the kernel says by itself when hardware comes, goes or changes hands.
 *
 * RIM: uevent_open listens to the kernel's multicast group of NETLINK_KOBJECT_UEVENT, which takes
 * no capability and works from any pod without a user namespace of its own (since Linux 4.18 every
 * network namespace of the initial user namespace gets them). The rest is pure. An event is only a
 * reason to look again: nobody believes what it says, and one that is lost, cut or not understood
 * is taken as a reason too.
 */
#pragma once

#include "base/err.h"

struct uevent {
	const char *action;    /* add, remove, change, bind, unbind, ... */
	const char *devpath;   /* /devices/pci0000:00/0000:00:03.0, below /sys */
	const char *subsystem; /* pci, mdev, ... */
};

/* What one message says; strings lie in it. 0; 1: none of the kernel's (udev's own); -1: no event
 * at all. */
int uevent_parse(const char *bytes, size_t n, struct uevent *ret);
/* May it change what a scan sees? */
bool uevent_matters(const struct uevent *e);

/* A descriptor to wait on, not blocking. -1 with err where there is none to be had. */
int uevent_open(struct err *err);
/* Takes all that waits. 1: something mattered, 0: nothing did, -1: the descriptor is broken. */
int uevent_drain(int fd, struct err *err);
