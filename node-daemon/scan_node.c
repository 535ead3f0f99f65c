/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "node-daemon/scan_inner.h"

/* Each driver names its units in /sys/class/iommu: dmar0, ivhd1, smmu3.0x2b400000, virtio2. */
static const char *iommu_kind(const char *unit)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {{"dmar", "intel"},
		     {"ivhd", "amd"},
		     {"smmu", "smmu"},
		     {"arm-smmu", "smmu"},
		     {"virtio", "virtio"}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (str_starts(unit, kinds[i].prefix)) {
			return kinds[i].kind;
		}
	}
	return "other";
}

/*
 * With enable_unsafe_noiommu_mode vfio makes up a group of its own for each device that it binds
 * (drivers/vfio/group.c). These protect nothing, and KubeVirt cannot use them: not a group.
 */
static bool made_up(struct scan *s, int64_t group)
{
	auto_free char *path = xprintf("kernel/iommu_groups/%" PRId64 "/name", group);
	char text[64];

	return scan_note(s, (int)sysfs_read(s->sys, path, text, sizeof(text))) > 0 &&
	       str_eq(text, "vfio-noiommu");
}

/* Also where there is an IOMMU: not every device is behind it. Says whether a group is left. */
static bool drop_made_up(struct scan *s)
{
	bool real = false;

	list_each(item, &s->m->functions) {
		struct pci_function *f = *item;

		if (f->group >= 0 && made_up(s, f->group)) {
			f->group = -1;
		}
		real |= f->group >= 0;
		list_each(vf, &f->vfs) {
			if (vf->group >= 0 && made_up(s, vf->group)) {
				vf->group = -1;
			}
			real |= vf->group >= 0;
		}
	}
	return real;
}

static void look_at_iommu(struct scan *s)
{
	struct machine *m = s->m;
	const char **units;
	size_t n;
	bool real = drop_made_up(s);

	scan_note(s, sysfs_list(s->sys, "class/iommu", MACHINE_MAX_ENTRIES, &m->arena, &units, &n));
	if (n) {
		m->iommu = iommu_kind(units[0]);
		return;
	}
	m->iommu = real ? "other" : "";
	if (!real && !m->functions.n) {
		scan_note(s, sysfs_list(s->sys, "kernel/iommu_groups", 1, &m->arena, &units, &n));
		m->iommu = n ? "other" : "";
	}
	m->acpi_dmar = sysfs_exists(s->sys, "firmware/acpi/tables/DMAR");
	m->acpi_ivrs = sysfs_exists(s->sys, "firmware/acpi/tables/IVRS");
}

void scan_node(struct scan *s)
{
	char text[64];

	look_at_iommu(s);
	s->m->vfio_pci = sysfs_exists(s->sys, "bus/pci/drivers/vfio-pci");
	/* Of the misc device, which there is while iommufd is loaded; /dev/iommu itself is there
	 * before, to load it. */
	s->m->iommufd = sysfs_exists(s->sys, "class/misc/iommu");
	if (scan_note(s, (int)sysfs_read(s->sys, "module/nvidia/version", text, sizeof(text))) >
	    0) {
		s->m->nvidia = arena_strdup(&s->m->arena, text);
	}
}
