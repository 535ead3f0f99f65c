/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysfs_fuzz.c: bytes as changes of a small /sys: a path, what is put there (file, link, directory,
 * nothing), its content, and so on. Whatever it is: the scan ends, the report is valid JSON, and
 * the same twice.
 */
#include "base/err.h"
#include "node-daemon/report.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define A "devices/pci0000:01/0000:01:00.0"
#define V "devices/pci0000:01/0000:01:00.4"
#define B "devices/pci0000:02/0000:02:00.0"
#define P "devices/pci0000:02/0000:02:00.1"
#define U "11111111-2222-4333-8444-555555555555"
#define NV "pci:v000010DEd000026B9sv000010DEsd00001851bc03sc02i00\n"
#define MAX_CHANGES 24

enum kind { NOTHING, FILE_, LINK };

static const struct {
	enum kind kind;
	const char *path, *content;
} base[] = {
	{LINK, "bus/pci/devices/0000:01:00.0", "../../../" A},
	{LINK, "bus/pci/devices/0000:01:00.4", "../../../" V},
	{LINK, "bus/pci/devices/0000:02:00.0", "../../../" B},
	{LINK, "bus/pci/devices/0000:02:00.1", "../../../" P},
	{NOTHING, "bus/pci/devices/10000:02:00.1", NULL},
	{NOTHING, "bus/pci/devices/junk", NULL},
	{FILE_, A "/modalias", NV},
	{NOTHING, A "/class", NULL},
	{NOTHING, A "/vendor", NULL},
	{NOTHING, A "/device", NULL},
	{LINK, A "/driver", "../../../bus/pci/drivers/nvidia"},
	{LINK, A "/iommu_group", "../../../kernel/iommu_groups/1"},
	{FILE_, A "/numa_node", "0\n"},
	{NOTHING, A "/boot_vga", NULL},
	{FILE_, A "/reset_method", "flr bus\n"},
	{FILE_, A "/sriov_totalvfs", "2\n"},
	{LINK, A "/virtfn0", "../0000:01:00.4"},
	{NOTHING, A "/virtfn1", NULL},
	{LINK, V "/driver", "../../../bus/pci/drivers/nvidia"},
	{LINK, V "/iommu_group", "../../../kernel/iommu_groups/2"},
	{FILE_, V "/nvidia/current_vgpu_type", "0\n"},
	{FILE_, V "/nvidia/creatable_vgpu_types", "ID    : vGPU Name\n1148  : NVIDIA L40S-2Q\n"},
	{FILE_, B "/modalias", "pci:v000010DEd00001EB8sv000010DEsd000012A2bc03sc00i00\n"},
	{LINK, B "/driver", "../../../bus/pci/drivers/nvidia"},
	{LINK, B "/iommu_group", "../../../kernel/iommu_groups/3"},
	{FILE_, B "/boot_vga", "1\n"},
	{FILE_, B "/mdev_supported_types/nvidia-230/name", "GRID T4-1Q\n"},
	{FILE_, B "/mdev_supported_types/nvidia-230/description",
	 "framebuffer=1024M, max_instance=16\n"},
	{FILE_, B "/mdev_supported_types/nvidia-230/available_instances", "15\n"},
	{LINK, B "/" U "/mdev_type", "../mdev_supported_types/nvidia-230"},
	{LINK, "bus/mdev/devices/" U, "../../../" B "/" U},
	{LINK, "class/mdev_bus/0000:02:00.0", "../../" B},
	{FILE_, P "/modalias", "pci:v000010DEd00000FBBsv000010DEsd000012A2bc04sc03i00\n"},
	{LINK, P "/iommu_group", "../../../kernel/iommu_groups/3"},
	{LINK, "kernel/iommu_groups/1/devices/0000:01:00.0", "../../../../" A},
	{LINK, "kernel/iommu_groups/2/devices/0000:01:00.4", "../../../../" V},
	{LINK, "kernel/iommu_groups/3/devices/0000:02:00.0", "../../../../" B},
	{LINK, "kernel/iommu_groups/3/devices/0000:02:00.1", "../../../../" P},
	{NOTHING, "kernel/iommu_groups/3/devices/0000:01:00.0", NULL},
	{NOTHING, "kernel/iommu_groups/3/name", NULL},
	{NOTHING, "kernel/iommu_groups/1/name", NULL},
	{FILE_, "class/iommu/dmar0", ""},
	{NOTHING, "class/iommu/ivhd1", NULL},
	{NOTHING, "class/iommu/smmu3.0x2b400000", NULL},
	{NOTHING, "class/iommu/virtio2", NULL},
	{NOTHING, "class/iommu/new0", NULL},
	{FILE_, "bus/pci/drivers/vfio-pci/bind", ""},
	{FILE_, "module/nvidia/version", "550.144\n"},
};

static struct tree t = {.fd = -1};

static void clear(const char *path)
{
	if (unlinkat(t.fd, path, 0) < 0 && errno == EISDIR) {
		unlinkat(t.fd, path, AT_REMOVEDIR);
	}
}

static void restore(size_t i)
{
	clear(base[i].path);
	if (base[i].kind == FILE_) {
		tree_bytes(&t, base[i].path, base[i].content, strlen(base[i].content));
	} else if (base[i].kind == LINK) {
		tree_link(&t, base[i].path, base[i].content);
	}
}

static void change(size_t i, unsigned kind, const uint8_t *bytes, size_t n)
{
	auto_free char *text = xstrndup((const char *)bytes, n);

	clear(base[i].path);
	if (kind == 0) {
		int fd = openat(t.fd, base[i].path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd >= 0 && write(fd, bytes, n) == (ssize_t)n) {
			close(fd);
		}
	} else if (kind == 1 && *text) {
		(void)!symlinkat(text, t.fd, base[i].path);
	} else if (kind == 2) {
		mkdirat(t.fd, base[i].path, 0755);
	}
}

static char *look(void)
{
	static const struct report_facts facts = {"6.1", "v"};
	struct machine m;
	struct arena a;
	struct status s;
	struct err err = {""};
	json_t *j;
	char *text;

	machine_init(&m);
	arena_init(&a, 64 * MiB);
	if (scan(t.fd, &m, &err) < 0) {
		text = xstrdup(err.text);
	} else {
		report(&m, &facts, NULL, 0, &a, &s);
		j = type_json(&status_type, &s);
		text = json_dumps(j, JSON_COMPACT);
		json_decref(j);
	}
	if (!text || !*text) {
		abort();
	}
	arena_finish(&a);
	machine_finish(&m);
	return text;
}

static void take_down(void)
{
	tree_remove(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool touched[ARRAY_LEN(base)] = {false};

	if (t.fd < 0) {
		t = tree_make("");
		atexit(take_down);
		for (size_t i = 0; i < ARRAY_LEN(base); i++) {
			restore(i);
		}
	}
	for (size_t n = 0; size >= 3 && n < MAX_CHANGES; n++) {
		size_t i = data[0] % ARRAY_LEN(base), length = MIN((size_t)data[2], size - 3);

		change(i, data[1] % 4, data + 3, length);
		touched[i] = true;
		data += 3 + length;
		size -= 3 + length;
	}
	auto_free char *first = look(), *again = touched[0] ? look() : xstrdup(first);
	if (strcmp(first, again) != 0) {
		abort();
	}
	for (size_t i = 0; i < ARRAY_LEN(base); i++) {
		if (touched[i]) {
			restore(i);
		}
	}
	return 0;
}
