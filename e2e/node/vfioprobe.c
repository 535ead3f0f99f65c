/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfioprobe [--once] [DEVICE...]: opens devices as QEMU does for a virtual machine: their groups,
 * one container, memory mapped for DMA, the device itself, a reset; prints what each is, and has
 * them open until it is told to end (SIGTERM). A DEVICE is a PCI address or the UUID of a mediated
 * device. Without any it takes those that the variables PCI_RESOURCE_* and MDEV_PCI_RESOURCE_*
 * name, as virt-launcher does. Under virt-launcher's name, in whose place it stands in the launcher
 * image of setup.sh, arguments are that one's and not looked at. Code 1 if a device cannot be used.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
	DEVICES_MAX = 64,
	MAPPED = 1 << 20, /* below RLIMIT_MEMLOCK, which virt-handler lifts for a real QEMU */
	PATIENCE = 300,	  /* tenths of a second until virt-handler has given us the nodes */
};

static struct {
	int number, fd;
} groups[DEVICES_MAX];
static size_t group_count;
static int container = -1;
static sigset_t told; /* SIGTERM and SIGINT, blocked */

static bool is_address(const char *s)
{
	unsigned domain;
	unsigned bus;
	unsigned slot;
	unsigned function;
	int end = 0;

	return sscanf(s, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) == 4 &&
	       !s[end] && end == 12;
}

static bool is_uuid(const char *s)
{
	return strlen(s) == 36 && strspn(s, "0123456789abcdefABCDEF-") == 36 && s[8] == '-' &&
	       s[13] == '-' && s[18] == '-' && s[23] == '-';
}

static bool failed(const char *address, const char *what)
{
	printf("%s: %s: %s\n", address, what, strerror(errno));
	return false;
}

/* Until virt-handler has changed its owner a node is root's. */
static int open_patiently(const char *path)
{
	const struct timespec tenth = {0, 100000000};
	int fd;

	for (int i = 0;
	     (fd = open(path, O_RDWR | O_CLOEXEC)) < 0 && errno == EACCES && i < PATIENCE; i++) {
		if (sigtimedwait(&told, NULL, &tenth) > 0) {
			puts("told to end before it had its devices");
			exit(0);
		}
		errno = EACCES;
	}
	return fd;
}

static int group_number(const char *device)
{
	char path[PATH_MAX];
	char target[PATH_MAX];

	snprintf(path, sizeof path, "/sys/bus/%s/devices/%s/iommu_group",
		 is_address(device) ? "pci" : "mdev", device);
	ssize_t n = readlink(path, target, sizeof target - 1);

	if (n < 0) {
		return -1;
	}
	target[n] = 0;
	return (int)strtol(strrchr(target, '/') + 1, NULL, 10);
}

/* The first group decides the kind of IOMMU; memory is mapped once, for all in the container. */
static bool open_container(const char *address, int group)
{
	bool first = container < 0;

	if (first && (container = open_patiently("/dev/vfio/vfio")) < 0) {
		return failed(address, "/dev/vfio/vfio");
	}
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) {
		return failed(address, "its group does not go into the container");
	}
	if (!first) {
		return true;
	}
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		return failed(address, "no type1 IOMMU");
	}
	void *memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.size = MAPPED,
	};

	return !ioctl(container, VFIO_IOMMU_MAP_DMA, &map) ||
	       failed(address, "memory cannot be mapped");
}

/* A group can be opened once; two functions of a card share theirs. */
static int open_group(const char *address, int *number)
{
	char path[64];
	struct vfio_group_status status = {.argsz = sizeof status};

	*number = group_number(address);
	for (size_t i = 0; i < group_count; i++) {
		if (groups[i].number == *number) {
			return groups[i].fd;
		}
	}
	snprintf(path, sizeof path, "/dev/vfio/%d", *number);
	int fd = open_patiently(path);

	if (fd < 0 || ioctl(fd, VFIO_GROUP_GET_STATUS, &status)) {
		failed(address, path);
		return -1;
	}
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		printf("%s: group %d is not viable\n", address, *number);
		return -1;
	}
	if (!open_container(address, fd)) {
		return -1;
	}
	groups[group_count].number = *number;
	groups[group_count++].fd = fd;
	return fd;
}

/* What the device says it is; "-" where it has no configuration space, as nvfake's vGPUs. */
static const char *identity(int device, char ret[static 16])
{
	struct vfio_region_info config = {.argsz = sizeof config,
					  .index = VFIO_PCI_CONFIG_REGION_INDEX};
	uint16_t id[2];

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) || !config.size ||
	    pread(device, id, sizeof id, (off_t)config.offset) != sizeof id) {
		return "-";
	}
	snprintf(ret, 16, "%04x:%04x", id[0], id[1]);
	return ret;
}

static bool probe(const char *name)
{
	char id[16];
	int number;

	if (group_count == DEVICES_MAX) {
		return false;
	}
	int group = open_group(name, &number);

	if (group < 0) {
		return false;
	}
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

	if (device < 0) {
		return failed(name, "the device");
	}
	const char *is = identity(device, id);
	bool reset = !ioctl(device, VFIO_DEVICE_RESET);

	printf("%s is %s, in group %d; memory mapped, %s\n", name, is, number,
	       reset ? "reset" : "it has no reset");
	return true;
}

static bool is_device(const char *s)
{
	return is_address(s) || is_uuid(s);
}

/* Other plugins set such variables, too, with what is no device of this kind, as the rig's for
 * devices.kubevirt.io/tun. */
static size_t from_environment(char **ret)
{
	size_t n = 0;

	for (char **e = environ; *e; e++) {
		char *value = strchr(*e, '=');

		if ((strncmp(*e, "PCI_RESOURCE_", 13) && strncmp(*e, "MDEV_PCI_RESOURCE_", 18)) ||
		    !value) {
			continue;
		}
		value = strdup(value + 1);
		for (char *a = strtok(value, ","); a && n < DEVICES_MAX; a = strtok(NULL, ",")) {
			if (is_device(a)) {
				printf("%s from %.*s\n", a, (int)strcspn(*e, "="), *e);
				ret[n++] = a;
			}
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	char *addresses[DEVICES_MAX];
	size_t n = 0;
	bool once = false;
	bool good = true;
	int signal;

	sigemptyset(&told);
	sigaddset(&told, SIGTERM);
	sigaddset(&told, SIGINT);
	sigprocmask(SIG_BLOCK, &told, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc && !strstr(argv[0], "virt-launcher"); i++) {
		once = once || !strcmp(argv[i], "--once");
		if (is_device(argv[i]) && n < DEVICES_MAX) {
			addresses[n++] = argv[i];
		}
	}
	n = n ? n : from_environment(addresses);
	for (size_t i = 0; i < n; i++) {
		good = probe(addresses[i]) && good;
	}
	if (!n) {
		puts("no device");
	}
	if (good && !once) {
		puts("waits to be told to end");
		sigwait(&told, &signal);
		puts("ends");
	}
	return good ? 0 : 1;
}
