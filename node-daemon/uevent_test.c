/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/uevent.h"

#include "base/test.h"

/* Messages as Linux 6.1 sent them (udevadm monitor --kernel --property, sysfs paths shortened). */
#define M(s) s, sizeof(s)

static void pci_add(void)
{
	static const char m[] =
		"add@/devices/pci0000:00/0000:00:03.0/0000:08:00.4\0ACTION=add\0"
		"DEVPATH=/devices/pci0000:00/0000:00:03.0/0000:08:00.4\0SUBSYSTEM=pci\0PCI_CLASS=30200\0PCI_ID=10DE:25B6\0"
		"PCI_SUBSYS_ID=10DE:0000\0PCI_SLOT_NAME=0000:08:00.4\0MODALIAS=pci:v000010DEd000025B6\0SEQNUM=4711";
	struct uevent e;

	is_int(uevent_parse(M(m), &e), 0);
	is_str(e.action, "add");
	is_str(e.devpath, "/devices/pci0000:00/0000:00:03.0/0000:08:00.4");
	is_str(e.subsystem, "pci");
	ok(uevent_matters(&e));
}

static void what_matters(void)
{
	static const struct {
		const char *subsystem, *devpath;
		bool matters;
	} rows[] = {
		{"pci", "/devices/pci0000:00/0000:00:03.0", true},
		{"mdev", "/devices/pci0000:00/0000:08:00.4/f715f63c-0d00-4007-9c5a-b07b0c6c05de",
		 true},
		{"vfio-dev", "/devices/pci0000:00/0000:08:00.4/vfio-dev/vfio3", true},
		{"vfio", "/devices/virtual/vfio/12", true},
		{"drivers", "/bus/pci/drivers/vfio-pci", true},
		{"drivers", "/bus/usb/drivers/usbhid", false},
		{"module", "/module/vfio_pci", true},
		{"module", "/module/nvidia", true},
		{"module", "/module/xfs", false},
		{"net", "/devices/pci0000:00/0000:00:04.0/net/eth0", false},
		{"block", "/devices/virtual/block/loop0", false},
		{"pci_bus", "/devices/pci0000:00/pci_bus/0000:01", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct uevent e = {"change", rows[i].devpath, rows[i].subsystem};

		is_int(uevent_matters(&e), rows[i].matters);
	}
}

static void no_events(void)
{
	struct uevent e = {0};

	is_int(uevent_parse("", 0, &e), -1);
	is_int(uevent_parse("add@/x", 6, &e), -1);
	is_int(uevent_parse(M("add@/x"), &e), -1);
	is_int(uevent_parse(M("garbage\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=pci"), &e), -1);
	is_int(uevent_parse(M("add@/x\0ACTION=add\0SUBSYSTEM=pci"), &e), -1);
	is_int(uevent_parse("add@/x\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=pci", 40, &e), -1);
	ok(!e.action && !e.devpath && !e.subsystem);
}

static void udevs_own(void)
{
	struct uevent e;

	is_int(uevent_parse(M("libudev\0\xfe\xed\xca\xfe"), &e), 1);
}

static void socket_opens(void)
{
	struct err err = {""};
	auto_close int fd = uevent_open(&err);

	is_str(err.text, "");
	ok(fd >= 0);
	is_int(uevent_drain(fd, &err) < 0, 0);
}

TESTS({"a function that comes is an event with action, path and subsystem", pci_add},
      {"PCI, mdev, vfio, their drivers and modules matter; networks and disks do not",
       what_matters},
      {"what is cut, empty or lacks a field is no event, and nothing is written", no_events},
      {"udev's own messages are told apart", udevs_own},
      {"the kernel's events can be listened to without a capability", socket_opens}, )
