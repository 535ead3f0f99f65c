/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/unit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/gpu_names.h"
#include "node-daemon/vgpu.h"

/* --- what goes together -------------------------------------------------------------------- */

struct member {
	int64_t group;
	size_t function;
};

struct maker {
	const struct machine *m;
	bool *taken;
	struct member *members; /* all functions, by group */
	size_t *found;		/* of the unit that is being made */
	size_t n;
};

static bool same_board(const struct pci_function *x, const struct pci_function *y)
{
	return pcifn_slot(x->address) == pcifn_slot(y->address) && !x->card && !y->card &&
	       (x->kind == PCI_COMPANION || y->kind == PCI_COMPANION);
}

static int by_group(const void *a, const void *b)
{
	int64_t x = ((const struct member *)a)->group, y = ((const struct member *)b)->group;

	return (x > y) - (x < y);
}

static int by_number(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

/* Where the group begins in members, or would. */
static size_t group_start(const struct maker *k, int64_t group)
{
	size_t from = 0, to = k->m->functions.n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (k->members[mid].group < group) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	return from;
}

static void take_one(struct maker *k, size_t i)
{
	if (!k->taken[i]) {
		k->taken[i] = true;
		k->found[k->n++] = i;
	}
}

/* What goes with a function at once: its group, and what stands beside it on its board. */
static void take_with(struct maker *k, size_t i)
{
	struct pci_function *const *all = k->m->functions.items;
	size_t n = k->m->functions.n, g;

	for (g = all[i]->group < 0 ? n : group_start(k, all[i]->group);
	     g < n && k->members[g].group == all[i]->group; g++) {
		take_one(k, k->members[g].function);
	}
	for (size_t j = i; j > 0 && pcifn_slot(all[j - 1]->address) == pcifn_slot(all[i]->address);
	     j--) {
		if (same_board(all[i], all[j - 1])) {
			take_one(k, j - 1);
		}
	}
	for (size_t j = i + 1; j < n && pcifn_slot(all[j]->address) == pcifn_slot(all[i]->address);
	     j++) {
		if (same_board(all[i], all[j])) {
			take_one(k, j);
		}
	}
}

/* Every function that goes with a member of the unit, in order. A bridge brings nobody along but by
 * its group. */
static void collect(struct maker *k, size_t first)
{
	k->n = 0;
	take_one(k, first);
	for (size_t i = 0; i < k->n; i++) {
		take_with(k, k->found[i]);
	}
	qsort(k->found, k->n, sizeof(*k->found), by_number);
}

static void fill(struct maker *k, struct arena *a, struct unit *u)
{
	u->functions.items = arena_array(a, const struct pci_function *, k->n);
	for (size_t i = 0; i < k->n; i++) {
		const struct pci_function *f = k->m->functions.items[k->found[i]];

		if (pcifn_is_bridge(&f->ids)) {
			continue;
		}
		u->functions.items[u->functions.n++] = f;
		if (f->kind == PCI_GPU) {
			u->card = u->card ? u->card : f;
			u->gpus++;
		}
	}
	u->group = u->card->group >= 0 ? machine_group(k->m, u->card->group) : NULL;
}

void units_make(const struct machine *m, struct arena *a, struct unit_list *ret)
{
	size_t n = m->functions.n;
	struct maker k = {.m = m,
			  .taken = arena_array(a, bool, n),
			  .members = arena_array(a, struct member, n),
			  .found = arena_array(a, size_t, n)};

	*ret = (struct unit_list){.items = arena_array(a, struct unit, MACHINE_MAX_GPUS)};
	for (size_t i = 0; i < n; i++) {
		k.members[i] = (struct member){m->functions.items[i]->group, i};
	}
	qsort(k.members, n, sizeof(*k.members), by_group);
	for (size_t i = 0; i < n; i++) {
		if (m->functions.items[i]->kind == PCI_GPU && !k.taken[i]) {
			collect(&k, i);
			fill(&k, a, &ret->items[ret->n++]);
		}
	}
}

const struct unit *units_find(const struct unit_list *units, uint64_t address)
{
	size_t from = 0, to = units->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (units->items[mid].card->address < address) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	return from < units->n && units->items[from].card->address == address ? &units->items[from]
									      : NULL;
}

/* --- names --------------------------------------------------------------------------------- */

bool unit_is_known(const struct pci_function *f)
{
	struct gpu_name ignored;

	return gpu_names_by_id(f->ids.vendor, f->ids.device, 0, &ignored);
}

const struct pci_function *unit_companion(const struct unit *u)
{
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;

		if (!u->card->card && f->kind == PCI_COMPANION && f->group >= 0 &&
		    pcifn_slot(f->address) == pcifn_slot(u->card->address) &&
		    str_eq(pcifn_role(&f->ids), "audio")) {
			return f;
		}
	}
	return NULL;
}

static const char *card_name(const struct pci_function *f, struct arena *a, const char **ret_model)
{
	uint32_t subsystem = (uint32_t)f->ids.sub_vendor << 16 | f->ids.sub_device;
	struct gpu_name known;
	char made[GPU_NAME_SIZE];

	if (gpu_names_by_id(f->ids.vendor, f->ids.device, subsystem, &known)) {
		*ret_model = known.model;
		return known.name;
	}
	gpu_names_make(f->ids.vendor, f->vendor_words, f->ids.device, f->device_words, made);
	*ret_model = *f->device_words ? f->device_words : NULL;
	return arena_strdup(a, made);
}

/* A virtual function may have the id of its card, and what it has of it depends on how many there are:
 * intel.com/ATSM_DATA_CENTER_GPU_FLEX_170_VF8 is an eighth. */
const char *unit_name(const struct pci_function *f, struct arena *a, const char **ret_model)
{
	const char *name = card_name(f, a, ret_model);

	if (!f->card) {
		return name;
	}
	if (*ret_model && f->card->vfs.n > 1) {
		*ret_model = arena_printf(a, "%s, one of %zu virtual functions", *ret_model,
					  f->card->vfs.n);
	}
	return arena_printf(a, "%s%s%zu", name, str_ends(name, "_VF") ? "" : "_VF", f->card->vfs.n);
}

/* --- modes --------------------------------------------------------------------------------- */

const char *unit_mode(const struct unit *u)
{
	if (u->card->face != VGPU_NONE) {
		return "vgpu";
	}
	return !*u->card->driver		       ? "unbound"
	       : pcifn_driver_is_vfio(u->card->driver) ? "vfio"
						       : "host";
}

const char *unit_iommu_words(const struct machine *m)
{
	if (*m->iommu) {
		return m->iommu;
	}
	if (m->acpi_dmar) {
		return "none: the firmware offers an Intel IOMMU and the kernel does not use it; boot with intel_iommu=on";
	}
	if (m->acpi_ivrs) {
		return "none: the firmware offers an AMD IOMMU and the kernel does not use it; boot without amd_iommu=off and "
		       "iommu=off";
	}
	return "none: the firmware offers none; switch on VT-d (Intel), AMD-Vi or IOMMU (AMD), SMMU (Arm) in its setup";
}

static size_t common(const struct pci_address_list *x, const struct pci_address_list *y)
{
	size_t n = 0;

	while (n < x->n && n < y->n && x->items[n] == y->items[n]) {
		n++;
	}
	return n;
}

/* Below a root port there is either the card itself or a switch: its upstream port, one downstream
 * port a card, the cards. */
const char *unit_link(const struct unit *x, const struct unit *y)
{
	size_t n = common(&x->card->above, &y->card->above);

	return n >= 2 ? "switch" : n == 1 ? "root" : NULL;
}

/* --- can it be given ----------------------------------------------------------------------- */

struct judge {
	const struct machine *m;
	const struct unit *u;
	const struct status_unit *seen;
	struct arena *arena;
	struct condition *ret;
};

static bool say(struct judge *j, const char *status, const char *reason, const char *message)
{
	*j->ret = (struct condition){
		.type = "Available", .status = status, .reason = reason, .message = message};
	return true;
}

/* "0000:61:00.1 (audio)", "0000:81:00.1 (network controller)" */
static const char *who(struct judge *j, const struct pci_function *f)
{
	const char *role = pcifn_role(&f->ids);
	char text[PCIFN_TEXT_MAX];

	return arena_printf(j->arena, "%s (%s)", pcifn_text(f->address, text),
			    str_eq(role, "other") ? pcifn_class_words(f->ids.class_code) : role);
}

static bool unreadable(struct judge *j)
{
	list_each(item, &j->u->functions) {
		const struct pci_function *f = *item;
		const struct iommu_group *g = machine_group(j->m, f->group);
		const char *trouble = f->unsure ? f->trouble : g ? g->trouble : "";

		if (*trouble) {
			return say(j, "Unknown", "Unreadable",
				   arena_printf(j->arena,
						"%s; nothing is done with the unit until it reads",
						trouble));
		}
	}
	return false;
}

/* Two functions in one group cannot go to two virtual machines. Mediated devices have groups of
 * their own. */
static const struct pci_vf *sharing(const struct pci_function *card,
				    const struct pci_vf **ret_other)
{
	for (size_t i = 0; i < card->vfs.n && card->face == VGPU_VENDOR; i++) {
		for (size_t k = 0; k < i; k++) {
			if (card->vfs.items[i].group >= 0 &&
			    card->vfs.items[i].group == card->vfs.items[k].group) {
				*ret_other = &card->vfs.items[k];
				return &card->vfs.items[i];
			}
		}
	}
	return NULL;
}

static bool cut(struct judge *j)
{
	const struct pci_function *card = j->u->card;
	const struct pci_vf *other, *vf;
	char x[PCIFN_TEXT_MAX], y[PCIFN_TEXT_MAX];
	size_t made = vgpu_made(card);
	bool more = false;

	if (card->face == VGPU_NONE) {
		return false;
	}
	vf = sharing(card, &other);
	if (vf) {
		return say(
			j, "False", "SlotsShareGroup",
			arena_printf(
				j->arena,
				"virtual functions %s and %s share IOMMU group %" PRId64
				", so only one virtual machine could use them; switch on ACS and ARI in the firmware, "
				"or use another slot",
				pcifn_text(other->address, x), pcifn_text(vf->address, y),
				vf->group));
	}
	list_each(p, &j->seen->profiles) {
		more |= p->available > 0;
	}
	if (more) {
		return say(j, "True", "VGPUs",
			   arena_printf(j->arena, "%zu vGPUs are made, more fit", made));
	}
	if (made) {
		return say(j, "False", "VGPUsFull",
			   arena_printf(j->arena, "%zu vGPUs are made, no more fit", made));
	}
	return say(
		j, "False", "NoVGPUTypes",
		"the driver offers no vGPU type now: the card is not initialised yet, or in MIG mode without GPU instances "
		"(make some with nvidia-smi mig -cgi)");
}

/* The first virtual function that vendor VFIO passes through and that has no group; NULL where one
 * has. */
static const struct pci_vf *groupless(const struct pci_function *card)
{
	const struct pci_vf *first = NULL;

	list_each(vf, &card->vfs) {
		if (vf->face != VGPU_VENDOR || vf->gone) {
			continue;
		}
		if (vf->group >= 0) {
			return NULL;
		}
		first = first ? first : vf;
	}
	return first;
}

/* Mediated devices need no IOMMU: the driver of the card keeps them apart. */
static bool no_iommu(struct judge *j)
{
	const struct pci_function *card = j->u->card;
	const struct pci_vf *vf = groupless(card);
	char text[PCIFN_TEXT_MAX];

	if (card->face == VGPU_MDEV) {
		return false;
	}
	if (!*j->m->iommu) {
		return say(j, "False", "NoIOMMU",
			   arena_printf(j->arena, "IOMMU: %s", unit_iommu_words(j->m)));
	}
	if (vf) {
		return say(j, "False", "NoIOMMUGroup",
			   arena_printf(j->arena,
					"the kernel gives virtual function %s no IOMMU group; look "
					"for its address in the kernel log",
					pcifn_text(vf->address, text)));
	}
	if (card->face == VGPU_NONE && card->group < 0) {
		return say(
			j, "False", "NoIOMMUGroup",
			"the kernel gives the card no IOMMU group; look for its address in the kernel log, the firmware "
			"table that names the IOMMU's devices may lack it");
	}
	return false;
}

static bool far_domain(struct judge *j)
{
	const struct pci_function *card = j->u->card;
	unsigned domain = (unsigned)(card->address >> 16);

	if (card->face == VGPU_MDEV || domain <= MACHINE_KUBEVIRT_DOMAIN) {
		return false;
	}
	return say(
		j, "False", "DomainTooLong",
		arena_printf(
			j->arena,
			"the card is in PCI domain %x, and KubeVirt takes addresses of four-digit domains only; "
			"switch off VMD (Intel Volume Management Device) for its slot in the firmware's setup, or "
			"move the card to another slot",
			domain));
}

static bool boot_display(struct judge *j)
{
	if (!j->u->card->boot_display || pcifn_driver_is_vfio(j->u->card->driver)) {
		return false; /* bound to vfio-pci by an admin: taken from the console already */
	}
	return say(
		j, "False", "BootDisplay",
		"the firmware shows its console on this GPU, so it stays with the host; make another adapter the primary "
		"display in the firmware's setup, or bind this one to vfio-pci yourself");
}

static bool blocks(const struct pci_function *f)
{
	return *f->driver && !pcifn_driver_is_vfio(f->driver) &&
	       !pcifn_driver_is_harmless(f->driver);
}

/* Devices that are none of ours, on a driver of the host: the group is not viable, and we do not
 * touch them. */
static bool foreign(struct judge *j)
{
	list_each(item, &j->u->functions) {
		const struct pci_function *f = *item;

		if (f->kind == PCI_MEMBER && blocks(f)) {
			return say(
				j, "False", "GroupNotViable",
				arena_printf(
					j->arena,
					"%s in IOMMU group %" PRId64
					" is on the host's driver %s, and the kernel hands the group out only as a whole; "
					"move the card to another slot, or switch on ACS in the firmware",
					who(j, f), f->group, f->driver));
		}
	}
	return false;
}

/* A bridge is no part of a unit, but its driver counts: vfio finds a group with shpchp in it not
 * viable (qemu-node.md 2). */
static const struct pci_function *blocking_bridge(const struct machine *m, int64_t group)
{
	const struct iommu_group *g = group >= 0 ? machine_group(m, group) : NULL;

	for (size_t i = 0; g && i < g->members.n; i++) {
		const struct pci_function *f = machine_function(m, g->members.items[i]);

		if (f && f->group == group && pcifn_is_bridge(&f->ids) && blocks(f)) {
			return f;
		}
	}
	return NULL;
}

static bool bridge(struct judge *j)
{
	list_each(item, &j->u->functions) {
		const struct pci_function *f = blocking_bridge(j->m, (*item)->group);

		if (f) {
			return say(
				j, "False", "GroupNotViable",
				arena_printf(
					j->arena,
					"%s in IOMMU group %" PRId64
					" is on the kernel's driver %s, which the kernel does not let virtual machines "
					"share a group with; the bridge works without it: write its address to "
					"/sys/bus/pci/drivers/%s/unbind, and keep that driver from being loaded",
					who(j, f), f->group, f->driver, f->driver));
		}
	}
	return false;
}

static bool on_host(struct judge *j)
{
	list_each(item, &j->u->functions) {
		const struct pci_function *f = *item;

		if (f->kind == PCI_GPU && blocks(f)) {
			return say(
				j, "False", "HostDriver",
				arena_printf(
					j->arena,
					"%s is on the host's driver %s; bound to vfio-pci it can be given to "
					"virtual machines",
					who(j, f), f->driver));
		}
	}
	list_each(item, &j->u->functions) {
		const struct pci_function *f = *item;

		if (f->kind == PCI_COMPANION && blocks(f) &&
		    pcifn_driver_is_vfio(j->u->card->driver)) {
			return say(
				j, "False", "CompanionOnHost",
				arena_printf(
					j->arena,
					"%s goes with the GPU and is still on the host's driver %s; bind it to "
					"vfio-pci too",
					who(j, f), f->driver));
		}
	}
	return false;
}

/* vfio-pci does not take a card whose virtual functions are there: EBUSY, "Cannot bind to PF with
 * SR-IOV enabled" (vfio_pci_core.c). */
static bool split(struct judge *j)
{
	char text[PCIFN_TEXT_MAX];

	list_each(item, &j->u->functions) {
		const struct pci_function *f = *item;
		size_t n = 0;

		list_each(vf, &f->vfs) {
			n += !vf->gone;
		}
		if (n) {
			pcifn_text(f->address, text);
			return say(
				j, "False", "VirtualFunctions",
				arena_printf(
					j->arena,
					"%zu virtual functions of %s are made, and while they are there it cannot be "
					"given as a whole; with the driver that made them bound to it, write 0 to "
					"/sys/bus/pci/devices/%s/sriov_numvfs",
					n, text, text));
		}
	}
	return false;
}

static void can_be_given(struct judge *j)
{
	bool bound = pcifn_driver_is_vfio(j->u->card->driver);
	const char *what = bound ? "bound to vfio-pci" : "no driver has it";

	if (j->u->gpus > 1) {
		what = arena_printf(j->arena,
				    "%s; %zu GPUs share IOMMU group %" PRId64 " and go together",
				    what, j->u->gpus, j->u->card->group);
	}
	say(j, "True", bound ? "Idle" : "Unbound", what);
}

void unit_available(const struct machine *m, const struct unit *u, const struct status_unit *seen,
		    struct arena *a, struct condition *ret)
{
	struct judge j = {m, u, seen, a, ret};

	if (!unreadable(&j) && !far_domain(&j) && !no_iommu(&j) && !cut(&j) && !boot_display(&j) &&
	    !foreign(&j) && !bridge(&j) && !on_host(&j) && !split(&j)) {
		can_be_given(&j);
	}
	if (*u->card->trouble && !u->card->unsure) {
		ret->message =
			arena_printf(a, "%s; not readable: %s", ret->message, u->card->trouble);
	}
}
