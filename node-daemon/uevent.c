/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KERNEL_GROUP 1 /* udev repeats events in group 2 */
#define MESSAGE_BYTES                                                                              \
	(8 * KiB) /* lib/kobject_uevent.c: UEVENT_BUFFER_SIZE is 2048, and the header */
#define QUEUE_BYTES                                                                                \
	(1 * MiB) /* several hundred events: a card with 160 virtual functions brings as many */

/* --- what it says -------------------------------------------------------------------------- */

/* The text after KEY= in a string that begins with that, else NULL. */
static const char *value(const char *s, const char *key)
{
	size_t n = strlen(key);

	return strncmp(s, key, n) == 0 && s[n] == '=' ? s + n + 1 : NULL;
}

/* "add@/devices/...", then strings: ACTION=add, DEVPATH=/devices/..., SUBSYSTEM=pci, ...
 * Documentation/core-api/kobject.rst */
int uevent_parse(const char *bytes, size_t n, struct uevent *ret)
{
	struct uevent e = {0};
	const char *end = bytes + n;

	if (!n || end[-1] != 0) {
		return -1;
	}
	if (str_eq(bytes, "libudev")) {
		return 1;
	}
	if (!strstr(bytes, "@/")) {
		return -1;
	}
	for (const char *s = bytes + strlen(bytes) + 1; s < end; s += strlen(s) + 1) {
		const char *v;

		if ((v = value(s, "ACTION"))) {
			e.action = v;
		} else if ((v = value(s, "DEVPATH"))) {
			e.devpath = v;
		} else if ((v = value(s, "SUBSYSTEM"))) {
			e.subsystem = v;
		}
	}
	if (!e.action || !e.devpath || !e.subsystem) {
		return -1;
	}
	*ret = e;
	return 0;
}

/* vfio-dev comes with a bound function and with a vGPU of the vendor's interface; drivers and
 * modules decide what can be bound. */
bool uevent_matters(const struct uevent *e)
{
	static const char *const subsystems[] = {"pci",	 "mdev",  "vfio-dev",
						 "vfio", "iommu", "mdev_bus"};
	const char *name = strrchr(e->devpath, '/');

	name = name ? name + 1 : e->devpath;
	for (size_t i = 0; i < ARRAY_LEN(subsystems); i++) {
		if (str_eq(e->subsystem, subsystems[i])) {
			return true;
		}
	}
	if (str_eq(e->subsystem, "drivers")) {
		return str_starts(e->devpath, "/bus/pci/") || str_starts(e->devpath, "/bus/mdev/");
	}
	return str_eq(e->subsystem, "module") &&
	       (str_starts(name, "vfio") || str_starts(name, "nvidia") || str_starts(name, "mdev"));
}

/* --- the socket ---------------------------------------------------------------------------- */

int uevent_open(struct err *err)
{
	struct sockaddr_nl from = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT),
	    bytes = QUEUE_BYTES;

	if (fd < 0) {
		return err_set(err, "socket of kernel events: %s", strerror(errno));
	}
	/* Without capabilities the kernel cuts this to net.core.rmem_max; an overflow is noticed
	 * and answered by a scan. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0) {
		err_set(err, "listening to kernel events: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static bool message_matters(const char *bytes, ssize_t n, const struct msghdr *m)
{
	const struct sockaddr_nl *from = m->msg_name;
	struct uevent e;
	int rc;

	if (m->msg_namelen != sizeof(*from) || from->nl_pid != 0) {
		return false; /* a process pretends to be the kernel */
	}
	if (m->msg_flags & MSG_TRUNC) {
		return true;
	}
	rc = uevent_parse(bytes, (size_t)n, &e);
	return rc < 0 || (rc == 0 && uevent_matters(&e));
}

int uevent_drain(int fd, struct err *err)
{
	char bytes[MESSAGE_BYTES];
	int matters = 0;

	for (;;) {
		struct sockaddr_nl from = {0};
		struct iovec to = {bytes, sizeof(bytes)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &to,
				   .msg_iovlen = 1};
		ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

		if (n >= 0) {
			matters |= message_matters(bytes, n, &m);
		} else if (errno == ENOBUFS) {
			matters = 1; /* some were lost */
		} else if (errno == EAGAIN) {
			return matters;
		} else if (errno != EINTR) {
			return err_set(err, "reading kernel events: %s", strerror(errno));
		}
	}
}
