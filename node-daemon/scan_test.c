/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan survives: trees that are no trees, files of any kind and size, hotplug meanwhile.
 * What it sees is in report_test.c. */
#include "node-daemon/scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/test.h"
#include "node-daemon/report.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/tree_test.h"

#define CARD "device 0000:01:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=1\n"
#define TWO CARD "device 0000:02:00.0 id=10de:2330 class=030200 driver=vfio-pci group=2\n"

static const struct report_facts facts = {"6.1.0-test", "test"};

static char *report_of(int fd)
{
	struct machine m;
	struct arena a;
	struct status s;
	struct err err = {""};
	json_t *j;
	char *text;

	machine_init(&m);
	arena_init(&a, 64 * MiB);
	if (scan(fd, &m, &err) < 0) {
		text = xprintf("error: %s", err.text);
	} else {
		report(&m, &facts, NULL, 0, &a, &s);
		j = type_json(&status_type, &s);
		text = json_dumps(j, JSON_COMPACT);
		json_decref(j);
	}
	arena_finish(&a);
	machine_finish(&m);
	return text;
}

static void no_sys(void)
{
	auto_tree struct tree t = tree_make("");
	auto_free char *text = NULL;

	unlinkat(t.fd, "bus/pci/devices", AT_REMOVEDIR);
	unlinkat(t.fd, "bus/pci", AT_REMOVEDIR);
	unlinkat(t.fd, "bus", AT_REMOVEDIR);
	text = report_of(t.fd);
	is_str(text,
	       "error: bus/pci/devices: No such file or directory: the directory must be the machine's /sys");
}

/* A file of 1 MB, a FIFO that nobody writes, a directory, a byte 0, no permission: whatever stands
 * in the place of each file. */
static void any_kind_of_file(void)
{
	static const char *const files[] = {
		"modalias",    "class",	    "vendor",	"device",	"driver",
		"iommu_group", "numa_node", "boot_vga", "reset_method", "sriov_totalvfs",
		"virtfn0",     "physfn",    "vfio-dev"};
	auto_free char *big = xmalloc(MiB);

	memset(big, 'x', MiB);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		for (int kind = 0; kind < 4; kind++) {
			auto_tree struct tree t = tree_make(TWO "  sriov_totalvfs = 2\n");
			auto_free char *path = xprintf("devices/pci0000:01/0000:01:00.0/%s",
						       files[i]),
				       *text = NULL;

			unlinkat(t.fd, path, 0);
			if (kind == 0) {
				tree_bytes(&t, path, big, MiB);
			} else if (kind == 1) {
				ok(mkfifoat(t.fd, path, 0644) == 0);
			} else if (kind == 2) {
				tree_dir(&t, path);
			} else {
				tree_bytes(&t, path, "\0\1\2", 3);
			}
			text = report_of(t.fd);
			has(text, "\"id\":\"0000:02:00.0\"");
			has(text, "GH100_H100");
		}
	}
}

static void scan_into(const struct tree *t, struct machine *m)
{
	struct err err = {""};

	machine_init(m);
	is_int(scan(t->fd, m, &err), 0);
}

/* A node of a function's own is there where the kernel made one: vfio-dev alone does not say so. */
static void vfio_nodes(void)
{
	static const struct {
		const char *lines;
		int64_t cdev;
	} rows[] = {
		{CARD, -1},
		{CARD "  vfio-dev/vfio7/dev = 511:7\n", 7},
		{CARD "  vfio-dev/vfio0/dev = 511:0\n", 0},
		{CARD "  vfio-dev/vfio7/uevent = \n", -1},
		{CARD "  vfio-dev/noiommu-vfio0/dev = 511:0\n", -1},
		{CARD "  vfio-dev/vfio7x/dev = 511:7\n", -1},
		{"device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n"
		 "  vfio-dev/vfio7/dev = 511:7\n",
		 -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(rows[i].lines);
		attr_cleanup(machine_finish) struct machine m;

		scan_into(&t, &m);
		is_int(m.functions.n, 1);
		is_int(m.functions.items[0]->cdev, rows[i].cdev);
		ok(!m.functions.items[0]->unsure);
		is_int(m.troubles.n, 0);
	}
}

/* One of its functions that cannot be read may carry a vGPU. */
static void half_seen(void)
{
	static const struct {
		const char *link, *target; /* NULL: it is gone */
		bool half;
	} rows[] = {
		{"x", "y", false},
		{"virtfn1", "../nobody", true},
		{"virtfn1", NULL, true},
		{"virtfn1/driver", "\033[1m", true},
		{"virtfn1/driver", "/", true},
		{"virtfn1/iommu_group", "../x", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make(
			"device 0000:41:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n"
			"  sriov_totalvfs = 4\n"
			"vfs 0000:41:00.0 first=0000:41:00.4 count=4 driver=nvidia group=40\n");
		auto_free char *path = xprintf("devices/pci0000:41/0000:41:00.0/%s", rows[i].link);
		attr_cleanup(machine_finish) struct machine m;

		unlinkat(t.fd, path, 0);
		if (rows[i].target) {
			symlinkat(rows[i].target, t.fd, path);
		}
		scan_into(&t, &m);
		is_int(machine_function(&m, 0x4100)->half_seen, rows[i].half);
	}
}

static void iommufd_there(void)
{
	auto_tree struct tree t = tree_make(CARD);
	attr_cleanup(machine_finish) struct machine without, with;

	scan_into(&t, &without);
	ok(!without.iommufd);
	tree_file(&t, "class/misc/iommu/dev", "10:126");
	scan_into(&t, &with);
	ok(with.iommufd);
}

/* Readers must not depend on the order in which a directory comes. */
static void order_of_making(void)
{
	auto_tree struct tree forth =
		tree_make(TWO "device 0000:02:00.1 id=10de:22ba class=040300 group=2\n");
	auto_tree struct tree back = tree_make(
		"device 0000:02:00.1 id=10de:22ba class=040300 group=2\n"
		"device 0000:02:00.0 id=10de:2330 class=030200 driver=vfio-pci group=2\n" CARD);
	auto_free char *x = report_of(forth.fd), *y = report_of(back.fd);

	is_str(x, y);
}

static atomic_bool stop;

static void *plug(void *arg)
{
	struct tree *t = arg;

	while (!stop) {
		unlinkat(t->fd, "bus/pci/devices/0000:02:00.0", 0);
		unlinkat(t->fd, "kernel/iommu_groups/2/devices/0000:02:00.0", 0);
		unlinkat(t->fd, "devices/pci0000:02/0000:02:00.0/driver", 0);
		unlinkat(t->fd, "devices/pci0000:02/0000:02:00.0/modalias", 0);
		unlinkat(t->fd, "devices/pci0000:02/0000:02:00.0/class", 0);
		tree_add(t,
			 "device 0000:02:00.0 id=10de:2330 class=030200 driver=vfio-pci group=2\n");
	}
	return NULL;
}

static void hotplug(void)
{
	auto_tree struct tree t = tree_make(TWO);
	auto_free char *after = NULL;
	pthread_t thread;

	stop = false;
	ok(pthread_create(&thread, NULL, plug, &t) == 0);
	for (int i = 0; i < 300; i++) {
		auto_free char *text = report_of(t.fd);

		if (!strstr(text, "\"id\":\"0000:01:00.0\"")) {
			stop = true;
			pthread_join(thread, NULL);
			has(text, "\"id\":\"0000:01:00.0\"");
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	after = report_of(t.fd);
	has(after, "\"gpus\":2");
}

static void many_cards(void)
{
	auto_tree struct tree t = tree_make("dir class/iommu/dmar0\n");
	auto_free char *text = NULL;

	for (int i = 0; i < MACHINE_MAX_GPUS + 6; i++) {
		auto_free char *line =
			xprintf("device 0000:%02x:%02x.0 id=10de:26b9 class=030200 group=%d\n",
				i / 32, i % 32, i);

		tree_add(&t, line);
	}
	/* Its virtual functions go with it, without a word of their own. */
	tree_add(&t,
		 "device 0000:10:05.0 id=10de:26b9 class=030200 group=517\n  sriov_totalvfs = 8\n"
		 "vfs 0000:10:05.0 first=0000:10:05.4 count=8 class=030200\n");
	text = report_of(t.fd);
	has(text, "\"gpus\":512");
	has(text,
	    "6 things could not be read: 0000:10:00.0: GPUs of one node: more than is looked at");
}

static void many_vfs(void)
{
	auto_tree struct tree t =
		tree_make("dir class/iommu/dmar0\n"
			  "device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n"
			  "  sriov_totalvfs = 300\n"
			  "vfs 0000:01:00.0 first=0000:01:00.4 count=300\n");
	auto_free char *text = report_of(t.fd);

	has(text, "\"numVFs\":256");
	has(text, "\"gpus\":1,");
	has(text,
	    "1 things could not be read: 0000:01:00.0: virtual functions: more than is looked at");
}

/* Bridges apart, what shares a group with a GPU goes along, up to a maximum. */
static void many_members(void)
{
	auto_tree struct tree t = tree_make("dir class/iommu/dmar0\n");
	auto_free char *text = NULL;

	for (int group = 1; group <= 10; group++) {
		for (int i = 0; i < 220; i++) {
			auto_free char *line =
				xprintf("device 0000:%02x:%02x.%x id=10de:26b9 class=%s group=%d\n",
					group, i / 8, i % 8, i ? "020000" : "030200", group);

			tree_add(&t, line);
		}
	}
	text = report_of(t.fd);
	has(text,
	    "0000:0a:08.4, a member of IOMMU group 10: more than is looked at; nothing is done");
	has(text, "member of a GPU's IOMMU group: more than is looked at");
}

#define HOLDER ",\"holder\":\"tenant-a/virt-launcher-vm-instance-train-x7k2p\""

static void fits(const char *report)
{
	printf("# %zu bytes\n", strlen(report));
	if (getenv("SHOW")) {
		printf("%s\n", report);
	}
	ok(strlen(report) <= 100 * 1000);
}

/* 16 cards with 32 virtual functions each. */
static void add_sixteen_cards(struct tree *t)
{
	for (int i = 1; i <= 16; i++) {
		auto_free char *card = xprintf(
			"device 0000:%02x:00.0 id=10de:26b9 class=030200 driver=nvidia group=%d numa=0\n"
			"  sriov_totalvfs = 32\nvfs 0000:%02x:00.0 first=0000:%02x:00.4 count=32 driver=nvidia group=%d\n",
			i, i, i, i, 100 * i);

		tree_add(t, card);
	}
}

/* design.md: 16 x 32 slots in 100 KB, all taken. */
static void size_of_a_full_node(void)
{
	auto_tree struct tree t = tree_make("dir class/iommu/dmar0\n");
	auto_free char *text = NULL;

	add_sixteen_cards(&t);
	for (int i = 0; i < 16 * 32; i++) {
		int card = i / 32 + 1, vf = i % 32 + 4;
		auto_free char *file =
			xprintf("devices/pci0000:%02x/0000:%02x:%02x.%x/nvidia/current_vgpu_type",
				card, card, vf >> 3, vf & 7);

		tree_file(&t, file, "1147");
	}
	text = report_of(t.fd);
	has(text, "32 vGPUs are made, no more fit");
	fits(text);
}

/* With mdev each has a UUID, and the types of a card stay listed while it is full. */
static void size_of_a_full_mdev_node(void)
{
	auto_tree struct tree t =
		tree_make("dir class/iommu/dmar0\ndir class/mdev_bus\ndir bus/mdev/devices\n");
	auto_free char *text = NULL;

	add_sixteen_cards(&t);
	for (int i = 0; i < 16 * 32; i++) {
		int card = i / 32 + 1, vf = i % 32 + 4;
		auto_free char *
			at = xprintf("devices/pci0000:%02x/0000:%02x:%02x.%x", card, card, vf >> 3,
				     vf & 7),
		       *mdev = xprintf(
			       "dir class/mdev_bus\n  0000:%02x:%02x.%x -> ../../%s\n"
			       "dir %s/c0ffee00-1111-4222-8333-%012d\n  mdev_type -> ../mdev_supported_types/nvidia-1147\n"
			       "dir bus/mdev/devices\n  c0ffee00-1111-4222-8333-%012d -> ../../../%s/c0ffee00-1111-4222-8333-%012d\n",
			       card, vf >> 3, vf & 7, at, at, i, i, at, i);

		tree_add(&t, mdev);
		for (int type = 0; vf == 4 && type < 23; type++) {
			auto_free char *one = xprintf(
				"dir %s/mdev_supported_types/nvidia-%d\n  name = NVIDIA L40S-%dQ\n"
				"  description = num_heads=4, frl_config=60, framebuffer=49152M, max_instance=32\n"
				"  available_instances = 0\n",
				at, 1147 + type, type + 1);

			tree_add(&t, one);
		}
	}
	text = report_of(t.fd);
	has(text, "c0ffee00-1111-4222-8333-000000000511");
	has(text, "L40S-23Q");
	fits(text);
	/* and who has each of them (nobody knows that here) */
	ok(strlen(text) + 16 * 32 * strlen(HOLDER) <= 100 * 1000);
}

/* However few descriptors there are: the whole report, or an error that says so, never one with
 * less in it. */
static void few_descriptors(void)
{
	auto_tree struct tree t = tree_make(
		"dir class/iommu/dmar0\n" TWO
		"device 0000:02:00.1 id=15b3:1017 class=020000 driver=mlx5_core group=2\n"
		"device 0000:03:00.0 id=10de:1eb8 class=030200 driver=nvidia group=3\n"
		"dir class/mdev_bus\n  0000:03:00.0 -> ../../devices/pci0000:03/0000:03:00.0\n"
		"dir devices/pci0000:03/0000:03:00.0/mdev_supported_types/nvidia-222\n"
		"  name = GRID T4-1B\n  available_instances = 16\n");
	auto_free char *whole = report_of(t.fd);
	auto_close int first = dup(t.fd);
	struct rlimit before, few;
	int errors = 0;

	getrlimit(RLIMIT_NOFILE, &before);
	has(whole, "T4-1B");
	for (int more = 0; more < 8; more++) {
		auto_free char *text = NULL;

		few = (struct rlimit){(rlim_t)(first + 1 + more), before.rlim_max};
		setrlimit(RLIMIT_NOFILE, &few);
		text = report_of(t.fd);
		setrlimit(RLIMIT_NOFILE, &before);
		if (!str_eq(text, whole)) {
			has(text,
			    "error: Too many open files on the way through /sys; if that goes on, raise");
			errors++;
		}
	}
	ok(errors >= 3 && errors < 8);
}

static void failed_scan_keeps(void)
{
	auto_tree struct tree t = tree_make(TWO);
	auto_close int first = dup(t.fd);
	struct rlimit before, few;
	struct machine m;
	struct err err;

	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){(rlim_t)first + 1, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	is_int(scan(t.fd, &m, &err), -1);
	setrlimit(RLIMIT_NOFILE, &before);
	is_int(m.functions.n, 2);
	is_int(m.entries, 2);
	machine_finish(&m);
}

/* By the function that they are on, then by their UUID, in whatever order the bus has them. */
static void order_of_mdevs(void)
{
	static const char want[] = "124578abde0369cf";
	const size_t on_first = 10;
	auto_tree struct tree t =
		tree_make("dir class/iommu/dmar0\ndir class/mdev_bus\ndir bus/mdev/devices\n"
			  "device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n"
			  "  sriov_totalvfs = 2\n"
			  "vfs 0000:01:00.0 first=0000:01:00.4 count=2 driver=nvidia group=2\n");
	const struct pci_function *card;
	struct machine m;
	struct err err;

	for (size_t k = 0, i = 0; want[k]; k++, i = (i + 7) % 16) {
		auto_free char *at = xprintf("devices/pci0000:01/0000:01:00.%d/"
					     "%c0000000-1111-4222-8333-000000000000",
					     i < on_first ? 4 : 5, want[i]);
		auto_free char *lines = xprintf("dir %s\n  mdev_type -> ../x/nvidia-1147\n"
						"dir bus/mdev/devices\n  %s -> ../../../%s\n",
						at, strrchr(at, '/') + 1, at);

		tree_add(&t, lines);
	}
	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	card = machine_function(&m, 0x100);
	is_int(card->mdevs.n, strlen(want));
	for (size_t i = 0; want[i]; i++) {
		is_int(card->mdevs.items[i].uuid[0], want[i]);
		is_int(card->mdevs.items[i].parent, i < on_first ? 0x104 : 0x105);
	}
	machine_finish(&m);
}

static size_t type_troubles; /* that are reported of what types_are makes */

/* What the driver's list of types says, "id name" of each; on the first function of one card. */
static void types_are(const char *file, const char *text, const char *want)
{
	bool mdev = str_starts(file, "mdev");
	auto_tree struct tree t =
		tree_make("dir class/iommu/dmar0\n"
			  "device 0000:01:00.0 id=1235:0001 class=030200 driver=nvidia group=1\n"
			  "  sriov_totalvfs = 1\n"
			  "vfs 0000:01:00.0 first=0000:01:00.4 count=1 driver=nvidia group=2\n");
	auto_free char *path = xprintf("devices/pci0000:01/0000:01:00.4/%s", file);
	auto_buf struct buf got = {.max = 64 * KiB};
	struct machine m;
	struct err err;

	tree_bytes(&t, path, text, strlen(text));
	if (mdev) {
		tree_add(&t, "dir class/mdev_bus\n  0000:01:00.4 -> "
			     "../../devices/pci0000:01/0000:01:00.4\n");
	} else {
		tree_file(&t, "devices/pci0000:01/0000:01:00.4/nvidia/current_vgpu_type", "0");
	}
	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	list_each(type, &machine_function(&m, 0x100)->types) {
		buf_printf(&got, "%s%s %s", got.len ? "; " : "", type->id, type->name);
		if (mdev) {
			buf_printf(&got, " %lld %lld %lld", (long long)type->framebuffer_mib,
				   (long long)type->max, (long long)type->offered);
		} else {
			is_int(type->offered, 1);
		}
	}
	is_str(buf_text(&got), want);
	is_int(m.troubles.n, type_troubles);
	machine_finish(&m);
}

static void lines_of_types(void)
{
	static const char *const rows[][2] = {
		{"", ""},
		{"ID    : vGPU Name\n", ""},
		{"1 : A\n", "1 A"},
		{"1:A", "1 A"},
		{" \t1 \t: \tA B \t\n", "1 A B"},
		{"123456789 : A\n", "123456789 A"},
		{"1234567890 : A\n", ""},
		{"1 : A\n2 : B\n3 : C\n", "1 A; 2 B; 3 C"},
		{"1 :\n2 : B\n", "2 B"},
		{"1 : \n2 : B\n", "2 B"},
		{": A\n2 : B\n", "2 B"},
		{"x1 : A\n2 : B\n", "2 B"},
		{"1 A\n2 : B\n", "2 B"},
		{"1x : A\n2 : B\n", "2 B"},
		{"1 : A\n1 : A\n", "1 A; 1 A"},
	};
	auto_free char *name = xmalloc(140), *line = NULL, *want = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		types_are("nvidia/creatable_vgpu_types", rows[i][0], rows[i][1]);
	}
	memset(name, 'n', 140);
	line = xprintf("1 : %.128s\n2 : %.129s\n", name, name);
	want = xprintf("1 %.128s", name);
	types_are("nvidia/creatable_vgpu_types", line, want);
}

static void words_of_a_description(void)
{
	static const char *const rows[][2] = {
		{"num_heads=4, framebuffer=1024M, max_instance=16", "T-1 T-1 1024 16 0"},
		{"framebuffer=0M, max_instance=", "T-1 T-1 0 0 0"},
		{"framebuffer=999999M", "T-1 T-1 999999 0 0"},
		{"framebuffer=1000000M", "T-1 T-1 1000000 0 0"},
		{"framebuffer=10000000M", "T-1 T-1 1000000 0 0"},
		{"framebuffer=1234567890123M", "T-1 T-1 1234567 0 0"},
		{"framebuffer=-1M, max_instance=x", "T-1 T-1 0 0 0"},
		{"9/:", "T-1 T-1 0 0 0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		types_are("mdev_supported_types/T-1/description", rows[i][0], rows[i][1]);
	}
	types_are("mdev_supported_types/T-1/name", "", "T-1 T-1 0 0 0");
	types_are("mdev_supported_types/T-1/name", "A", "T-1 A 0 0 0");
	types_are("mdev_supported_types/T-1/name", "A name", "T-1 A name 0 0 0");
	types_are("mdev_supported_types/T-1/available_instances", "7", "T-1 T-1 0 0 7");
	type_troubles = 1;
	types_are("mdev_supported_types/T-1/available_instances", "-7", "T-1 T-1 0 0 0");
	types_are("mdev_supported_types/T-1/name", "\033[1m", "T-1 T-1 0 0 0");
	type_troubles = 0;
}

/* As many as are looked at, and one more. */
static void as_many_as_are_looked_at(void)
{
	static const struct {
		int cards, vfs;
		size_t troubles;
	} rows[] = {{1, 0, 0},
		    {63, 0, 0},
		    {MACHINE_MAX_GPUS, 0, 0},
		    {MACHINE_MAX_GPUS + 2, 0, 2},
		    {1, 255, 0},
		    {1, 256, 0},
		    {1, 257, 1}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_tree struct tree t = tree_make("dir class/iommu/dmar0\n");
		size_t gpus = 0, groups = 0;
		struct machine m;
		struct err err;

		for (int k = 0; k < rows[i].cards; k++) {
			auto_free char *line = xprintf(
				"device 0000:%02x:%02x.0 id=10de:26b9 class=030200 group=%d\n"
				"device 0000:%02x:%02x.1 id=10de:22ba class=040300 group=%d\n",
				k / 32, k % 32, k, k / 32, k % 32, k);

			tree_add(&t, line);
		}
		if (rows[i].vfs) {
			auto_free char *line = xprintf(
				"dir devices/pci0000:00/0000:00:00.0\n  sriov_totalvfs = %d\n"
				"vfs 0000:00:00.0 first=0000:00:00.4 count=%d\n",
				rows[i].vfs, rows[i].vfs);

			tree_add(&t, line);
		}
		machine_init(&m);
		is_int(scan(t.fd, &m, &err), 0);
		is_int(m.troubles.n, rows[i].troubles);
		is_int(m.entries, 2 * rows[i].cards + rows[i].vfs);
		list_each(f, &m.functions) {
			gpus += (*f)->kind == PCI_GPU;
			is_int((*f)->group, (int64_t)((*f)->address >> 3));
			ok(f == m.functions.items || (*f)->address > f[-1]->address);
		}
		list_each(g, &m.groups) {
			is_int(g->id, (int64_t)groups++);
			is_int(g->members.n, 2);
		}
		is_int(gpus, MIN(rows[i].cards, MACHINE_MAX_GPUS));
		is_int(groups, MIN(rows[i].cards, MACHINE_MAX_GPUS));
		is_int(m.functions.items[0]->vfs.n, MIN(rows[i].vfs, 256));
		machine_finish(&m);
	}
}

static void no_leaks(void)
{
	auto_tree struct tree t = tree_make(TWO);
	auto_close int before = dup(t.fd), after;

	for (int i = 0; i < 20; i++) {
		auto_free char *text = report_of(t.fd);

		has(text, "\"gpus\":2");
	}
	after = dup(t.fd);
	is_int(after, before + 1);
}

static void reads(void)
{
	auto_tree struct tree t = tree_make(
		"dir d\n  full = 12345678\n  spaces = x \n  empty = \n  number = -5\n  link -> ../a/b\n");
	auto_close int d = sysfs_dir(t.fd, "d");
	char text[9];
	int64_t n = 0;

	is_int(sysfs_read(d, "full", text, 9), -EFBIG);
	is_int(sysfs_read(d, "spaces", text, 9), 1);
	is_str(text, "x");
	is_int(sysfs_read(d, "empty", text, 9), 0);
	is_str(text, "");
	is_int(sysfs_read(d, "none", text, 9), -ENOENT);
	is_int(sysfs_int(d, "number", -5, 5, &n), 0);
	is_int(n, -5);
	is_int(sysfs_int(d, "number", 0, 5, &n), -EBADMSG);
	is_int(sysfs_int(d, "empty", 0, 5, &n), -EBADMSG);
	is_int(sysfs_link_name(d, "link", text, 9), 1);
	is_str(text, "b");
	is_int(sysfs_link_name(d, "full", text, 9), -EINVAL);
	is_int(sysfs_link(d, "link", text, 6), -EFBIG);
}

TESTS({"a directory that is no /sys is an error with the remedy", no_sys},
      {"whatever kind of thing stands in place of a file, the other card is reported",
       any_kind_of_file},
      {"the report does not depend on the order of directories", order_of_making},
      {"while one card is plugged in and out the other stays in every report", hotplug},
      {"a node of a function's own is there where the kernel made one", vfio_nodes},
      {"a card whose virtual functions do not all show is known for it", half_seen},
      {"iommufd is there while it is loaded", iommufd_there},
      {"more cards than a GPUNode takes are cut, and said", many_cards},
      {"more virtual functions than a GPUNode takes are cut, and said", many_vfs},
      {"more functions in groups than are looked at: said, and the group is not known to be viable",
       many_members},
      {"16 cards of 32 slots, all taken, fit in 100 KB", size_of_a_full_node},
      {"so do those of mdev, whose vGPUs have names of their own", size_of_a_full_mdev_node},
      {"without descriptors there is an error, never a report with less in it", few_descriptors},
      {"a scan that fails leaves the machine as it was", failed_scan_keeps},
      {"mediated devices are in the order of their functions, then of their UUIDs", order_of_mdevs},
      {"lines of types that are none are left out", lines_of_types},
      {"sizes of a type are read from its description", words_of_a_description},
      {"as many cards and functions are looked at as a GPUNode takes", as_many_as_are_looked_at},
      {"scans leave no descriptor open", no_leaks}, {"files are read with their bounds", reads}, )
