/* SPDX-License-Identifier: Apache-2.0 */
/*
 * written_test.h: write(2) played for write_test.c: it can fail as the kernel does, and what is written
 * has the kernel's effect on the links of a tree of files (tree_test.h).
 */
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "node-daemon/tree_test.h"

static struct tree tree = {.fd = -1};

/* --- the kernel ---------------------------------------------------------------------------- */

static struct {
	bool on;	  /* who writes is the code under test */
	int error;	  /* of writes to the tree */
	int times;	  /* so often, then never; -1: always */
	int take;	  /* so many bytes are taken, -1: all */
	bool hangs;	  /* they never return */
	const char *only; /* of files whose path ends so, NULL: all */
	bool probe_fails; /* and says that it worked */
	int users;	  /* so often NVIDIA's driver does not take its unbindLock, -1: never */
	struct buf log;	  /* a line each: "driver_override of 0000:01:00.0: vfio-pci" */
} kernel;

/* NVIDIA's driver shows one for each card that it has. */
static void kernel_lock(const char *address, const char *value)
{
	auto_free char *path = xprintf("driver/nvidia/gpus/%s/unbindLock", address);
	bool on = kernel.on;

	kernel.on = false;
	unlinkat(tree.fd, path, 0);
	if (value) {
		tree_file(&tree, path, value);
	}
	kernel.on = on;
}

static void kernel_bind(const char *address, const char *driver)
{
	auto_free char *dir = tree_place(&tree, address), *link = xprintf("%s/driver", dir),
		       *to = xprintf("bus/pci/drivers/%s", driver),
		       *back = xprintf("%s/%s", to, address);

	tree_link_to(&tree, link, to);
	tree_link_to(&tree, back, dir);
	if (str_eq(driver, "nvidia")) {
		kernel_lock(address, "0");
	}
}

static void kernel_unbind(const char *driver, const char *address)
{
	auto_free char *dir = tree_place(&tree, address), *link = xprintf("%s/driver", dir),
		       *back = xprintf("bus/pci/drivers/%.*s/%s", (int)strcspn(driver, "/"), driver,
				       address);

	unlinkat(tree.fd, link, 0);
	unlinkat(tree.fd, back, 0);
	if (str_starts(driver, "nvidia/")) {
		kernel_lock(address, NULL);
	}
}

/* The override decides, else the driver that the file `native` names. */
static void kernel_probe(const char *address)
{
	auto_free char *dir = tree_place(&tree, address);
	static const char *const files[] = {"driver_override", "native"};

	for (size_t i = 0; i < ARRAY_LEN(files) && !kernel.probe_fails; i++) {
		auto_free char *path = xprintf("%s/%s", dir, files[i]);
		auto_close int fd = openat(tree.fd, path, O_RDONLY | O_CLOEXEC);
		char driver[64] = "";

		if (fd >= 0 && read(fd, driver, sizeof(driver) - 1) > 1) {
			driver[strcspn(driver, "\n")] = '\0';
			if (!str_eq(driver, "(null)")) {
				kernel_bind(address, driver);
				return;
			}
		}
	}
}

/* Some use it: what is read next is still 0 (nv-procfs.c). */
static void kernel_unbind_lock(const char *of, const char *text)
{
	buf_printf(&kernel.log, "unbindLock of %s: %s", of, text);
	if (kernel.users) {
		kernel.users -= kernel.users > 0;
		kernel_lock(of, "0");
	}
}

static void kernel_effect(const char *path, const char *text)
{
	auto_free char *address = xstrndup(text, strcspn(text, "\n"));
	const char *file = strrchr(path, '/') + 1, *drivers = strstr(path, "/drivers/");

	auto_free char *of = xstrndup(path, (size_t)(file - 1 - path));

	if (str_eq(file, "unbindLock")) {
		kernel_unbind_lock(strrchr(of, '/') + 1, text);
	} else if (str_eq(file, "driver_override")) {
		buf_printf(&kernel.log, "%s of %s: %s", file, strrchr(of, '/') + 1,
			   *text == '\n' ? "none\n" : text);
	} else if (str_eq(file, "unbind") && drivers) {
		buf_printf(&kernel.log, "%s: %s\n", drivers + 1, text);
		kernel_unbind(drivers + strlen("/drivers/"), address);
	} else {
		buf_printf(&kernel.log, "%s: %s\n", file, text);
		if (str_eq(file, "drivers_probe")) {
			kernel_probe(address);
		}
	}
}

/* NULL: none of the tree. */
static char *path_in_tree(int fd)
{
	auto_free char *link = xprintf("/proc/self/fd/%d", fd);
	char target[512];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	target[MAX(n, 0)] = '\0';
	return tree.root && str_starts(target, tree.root) ? xstrdup(target) : NULL;
}

ssize_t write(int fd, const void *bytes, size_t n);
ssize_t write(int fd, const void *bytes, size_t n)
{
	auto_free char *path = kernel.on ? path_in_tree(fd) : NULL,
		       *text = path ? xstrndup(bytes, n) : NULL;
	bool meant = path && (!kernel.only || str_ends(path, kernel.only));

	if (meant && kernel.hangs) {
		for (;;) {
			pause();
		}
	}
	if (meant && kernel.error && kernel.times) {
		kernel.times -= kernel.times > 0;
		errno = kernel.error;
		return -1;
	}
	if (meant && kernel.take >= 0) {
		return kernel.take;
	}
	if (path) {
		(void)!ftruncate(fd, 0);
	}
	n = (size_t)syscall(SYS_write, fd, bytes, n);
	if (path) {
		kernel_effect(path, text);
	}
	return (ssize_t)n;
}
