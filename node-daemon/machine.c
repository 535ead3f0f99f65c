/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/machine.h"

/* The bounds in machine.h allow less than half of this. */
#define MACHINE_MAX_BYTES (128 * MiB)

void machine_init(struct machine *m)
{
	*m = (struct machine){.iommu = "", .nvidia = ""};
	arena_init(&m->arena, MACHINE_MAX_BYTES);
}

void machine_finish(struct machine *m)
{
	arena_finish(&m->arena);
	*m = (struct machine){.iommu = "", .nvidia = ""};
}

struct pci_function *machine_function(const struct machine *m, uint64_t address)
{
	size_t low = 0, high = m->functions.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->functions.items[middle]->address < address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < m->functions.n && m->functions.items[low]->address == address
		       ? m->functions.items[low]
		       : NULL;
}

const struct iommu_group *machine_group(const struct machine *m, int64_t id)
{
	size_t low = 0, high = m->groups.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->groups.items[middle].id < id) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < m->groups.n && m->groups.items[low].id == id ? &m->groups.items[low] : NULL;
}
