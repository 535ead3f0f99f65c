/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysfs.h: bounded reads below a directory fd of /sys. RIM.
 *
 * Every read is one open, one read, one close, relative to a directory: nothing is built from
 * strings, nothing follows a path that a hotplug moves under our feet. Any file may be missing,
 * empty, or too long; the answers say which, none is fatal.
 *
 * Not every file of a device may be read. The kernel answers some under the lock of the device, and
 * the lock of a device whose driver refuses to let go (an unbind while a process has the GPU open)
 * is held for ever; the reader then hangs with it, and no signal ends that. So nobody reads
 * `sriov_numvfs` (drivers/pci/iov.c), `driver_override` (drivers/pci/pci-sysfs.c) or `uevent`
 * (drivers/base/core.c, 6.10 to 6.15) here: count the virtfnN links, write overrides unread, take
 * modalias.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"

/* Text of a file without trailing white space. Its length, or -errno; -EFBIG: size - 1 bytes do not
 * hold it, -EILSEQ: it has other bytes
 * than printable ASCII. */
ssize_t sysfs_read(int dir, const char *path, char *buf, size_t size);
/* A decimal number in [min, max]. 0, or -errno; -EBADMSG: something else stands there. */
int sysfs_int(int dir, const char *path, int64_t min, int64_t max, int64_t *ret);
/* Where a link points to, and only the last part of that. The length, or -errno. */
ssize_t sysfs_link(int dir, const char *path, char *buf, size_t size);
ssize_t sysfs_link_name(int dir, const char *path, char *buf, size_t size);
/* The vendor id in the config space of a PCI device; of a dead one all bits are set. A virtual function
 * has none there, and alive it is 0 (PCIe 9.3.4.1.1: its ids are ones, its status is not). The first
 * 64 bytes need no capability (pci-sysfs.c). 0, or -errno. */
int sysfs_config_vendor(int dir, uint16_t *ret);
bool sysfs_exists(int dir, const char *path);
/* A directory, for further reads below it. The fd, or -errno. */
int sysfs_dir(int dir, const char *path);
/* A file, to be read in pieces. The fd, or -errno. */
int sysfs_file(int dir, const char *path);
/* A directory, for readdir. */
int sysfs_names(int dir, const char *path);

/*
 * The names in a directory, "." files left out, in the kernel's order. -errno; -E2BIG with the
 * first `max` names when there are more. *ret and *ret_n are set in both cases; the names lie in
 * the arena.
 */
int sysfs_list(int dir, const char *path, size_t max, struct arena *a, const char ***ret,
	       size_t *ret_n);
