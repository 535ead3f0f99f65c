/* SPDX-License-Identifier: Apache-2.0 */
/* Machines as no tree of files makes them: which functions go together, and what is said of them. */
#include "node-daemon/unit.h"

#include "base/test.h"

#define AT 0x4100 /* 0000:41:00.0 */

static struct arena arena;
static struct pci_function functions[4], *pointers[4];
static struct pci_vf vfs[4];
static struct iommu_group group = {.id = 7, .trouble = ""};
static struct machine m;
static struct unit_list units;

/* So many functions of one slot, GPUs without a group or a driver. */
static void begin(size_t n)
{
	arena_finish(&arena);
	arena_init(&arena, MiB);
	m = (struct machine){.iommu = "intel", .functions = {pointers, n}};
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		functions[i] = (struct pci_function){
			.address = AT + i,
			.kind = PCI_GPU,
			.ids = {.vendor = 0x10de, .device = 0x26b9, .class_code = 0x030200},
			.driver = "",
			.group = -1,
			.trouble = "",
			.reset_method = "",
			.vfs.items = vfs,
		};
		pointers[i] = &functions[i];
		vfs[i] = (struct pci_vf){
			.address = AT + 8 + i, .driver = "", .group = -1, .type = ""};
	}
}

static void make(void)
{
	units_make(&m, &arena, &units);
}

/* The condition of the first unit: "STATUS Reason: message". */
static const char *available(const struct status_unit *seen)
{
	struct condition c = {0};

	make();
	unit_available(&m, &units.items[0], seen, &arena, &c);
	is_str(c.type, "Available");
	return arena_printf(&arena, "%s %s: %s", c.status, c.reason, c.message);
}

static const char *says(void)
{
	struct status_unit seen = {0};

	return available(&seen);
}

/* Without groups a slot is a board of one GPU and its companions; two GPUs there are two. */
static void boards(void)
{
	static const struct {
		enum pci_kind kinds[3];
		size_t units, functions, gpus;
	} rows[] = {
		{{PCI_GPU, PCI_GPU, PCI_GPU}, 3, 1, 1},
		{{PCI_GPU, PCI_COMPANION, PCI_COMPANION}, 1, 3, 1},
		{{PCI_COMPANION, PCI_GPU, PCI_COMPANION}, 1, 3, 1},
		{{PCI_GPU, PCI_MEMBER, PCI_MEMBER}, 1, 1, 1},
		{{PCI_GPU, PCI_GPU, PCI_MEMBER}, 2, 1, 1},
		{{PCI_GPU, PCI_GPU, PCI_COMPANION}, 1, 3, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(3);
		for (size_t k = 0; k < 3; k++) {
			functions[k].kind = rows[i].kinds[k];
		}
		make();
		is_int(units.n, rows[i].units);
		is_int(units.items[0].functions.n, rows[i].functions);
		is_int(units.items[0].gpus, rows[i].gpus);
		ok(units.items[0].card->kind == PCI_GPU);
		ok(!units.items[0].group);
		/* a companion in another slot is another's */
		functions[2].address += 8;
		functions[2].kind = PCI_COMPANION;
		make();
		ok(units.items[0].functions.items[units.items[0].functions.n - 1] != &functions[2]);
	}
}

static void groups(void)
{
	begin(3);
	m.groups.items = &group;
	m.groups.n = 1;
	functions[0].group = functions[2].group = 7;
	functions[2].address += 64;
	make();
	is_int(units.n, 2);
	is_int(units.items[0].functions.n, 2);
	is_int(units.items[0].gpus, 2);
	ok(units.items[0].group == &group);
	ok(!units.items[1].group);
	/* group 0 is one too; a bridge stays with the kernel */
	functions[0].group = functions[2].group = group.id = 0;
	functions[2].kind = PCI_MEMBER;
	functions[2].ids.class_code = 0x060400;
	make();
	is_int(units.items[0].functions.n, 1);
	ok(units.items[0].group == &group);
	group.id = 7;
}

static void links(void)
{
	static const struct {
		uint64_t x[3];
		size_t nx;
		uint64_t y[3];
		size_t ny;
		const char *kind;
	} rows[] = {
		{{0}, 0, {0}, 0, NULL},
		{{1}, 1, {1}, 1, "root"},
		{{1}, 1, {2}, 1, NULL},
		{{1, 2}, 2, {1, 2}, 2, "switch"},
		{{1, 2}, 2, {1, 3}, 2, "root"},
		{{1, 2}, 1, {1, 2}, 2, "root"},
		{{1, 2}, 2, {1, 2}, 1, "root"},
		{{1}, 0, {1}, 1, NULL},
		{{1, 2, 3}, 3, {1, 2, 3}, 3, "switch"},
		{{2, 1}, 2, {3, 1}, 2, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pci_function x = {.above = {(uint64_t *)rows[i].x, rows[i].nx}},
				    y = {.above = {(uint64_t *)rows[i].y, rows[i].ny}};
		struct unit a = {.card = &x}, b = {.card = &y};

		is_str(unit_link(&a, &b), rows[i].kind);
	}
}

static void modes(void)
{
	static const struct {
		enum vgpu_face face;
		const char *driver, *mode;
	} rows[] = {
		{VGPU_NONE, "", "unbound"},	 {VGPU_NONE, "vfio-pci", "vfio"},
		{VGPU_NONE, "nvidia", "host"},	 {VGPU_MDEV, "nvidia", "vgpu"},
		{VGPU_VENDOR, "nvidia", "vgpu"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(1);
		functions[0].face = rows[i].face;
		functions[0].driver = rows[i].driver;
		make();
		is_str(unit_mode(&units.items[0]), rows[i].mode);
	}
}

/* With vendor VFIO a function that is there needs a group: the first that has none is named. */
static void functions_without_a_group(void)
{
	begin(1);
	functions[0].face = VGPU_VENDOR;
	functions[0].vfs.n = 4;
	for (size_t i = 0; i < 4; i++) {
		vfs[i].face = VGPU_VENDOR;
	}
	vfs[0].gone = true;
	vfs[1].face = VGPU_NONE;
	has(says(), "False NoIOMMUGroup: the kernel gives virtual function 0000:41:01.2 no IOMMU");
	vfs[3].group = 0; /* one that has is enough */
	has(says(), "False NoVGPUTypes: ");
	vfs[3].group = -1;
	m.iommu = "";
	has(says(), "False NoIOMMU: IOMMU: none: the firmware offers none");
	functions[0].face = VGPU_MDEV; /* which need none */
	has(says(), "False NoVGPUTypes: ");
	functions[0].face = VGPU_NONE;
	functions[0].vfs.n = 0;
	m.iommu = "intel";
	has(says(), "False NoIOMMUGroup: the kernel gives the card no IOMMU group");
	functions[0].group = 0;
	is_str(says(), "True Unbound: no driver has it");
}

static void functions_that_share_a_group(void)
{
	begin(1);
	functions[0].face = VGPU_VENDOR;
	functions[0].vfs.n = 3;
	for (size_t i = 0; i < 3; i++) {
		vfs[i].face = VGPU_VENDOR;
		vfs[i].group = (int64_t)i;
	}
	has(says(), "False NoVGPUTypes: ");
	vfs[2].group = 0;
	has(says(), "False SlotsShareGroup: virtual functions 0000:41:01.0 and 0000:41:01.2 share "
		    "IOMMU group 0, so");
	vfs[2].group = vfs[1].group = -1;
	has(says(), "False NoVGPUTypes: ");
	vfs[2].group = vfs[0].group;
	functions[0].face = VGPU_MDEV; /* whose devices have groups of their own */
	has(says(), "False NoVGPUTypes: ");
}

static void vgpus_that_fit(void)
{
	struct status_profile profiles[2] = {{.name = "a"}, {.name = "b"}};
	struct status_unit seen = {.profiles = {profiles, 2}};
	struct mdev mdevs[2] = {{"u", AT, "a"}, {"v", AT, "a"}};

	begin(1);
	functions[0].face = VGPU_MDEV;
	has(available(&seen), "False NoVGPUTypes: the driver offers no vGPU type now");
	profiles[1].available = 1;
	is_str(available(&seen), "True VGPUs: 0 vGPUs are made, more fit");
	functions[0].mdevs.items = mdevs;
	functions[0].mdevs.n = 2;
	is_str(available(&seen), "True VGPUs: 2 vGPUs are made, more fit");
	profiles[1].available = 0;
	is_str(available(&seen), "False VGPUsFull: 2 vGPUs are made, no more fit");
}

static void far_domains(void)
{
	begin(1);
	functions[0].group = 1;
	functions[0].address = (uint64_t)0xffff << 16;
	is_str(says(), "True Unbound: no driver has it");
	functions[0].address = (uint64_t)0x10000 << 16;
	has(says(), "False DomainTooLong: the card is in PCI domain 10000, and");
	functions[0].face = VGPU_MDEV;
	has(says(), "False NoVGPUTypes: ");
}

/* Whose driver keeps a unit with the host. */
static void drivers(void)
{
	static const struct {
		const char *gpu, *other;
		enum pci_kind kind;
		const char *want;
	} rows[] = {
		{"vfio-pci", "", PCI_COMPANION, "True Idle: bound to vfio-pci"},
		{"vfio-pci", "vfio-pci", PCI_COMPANION, "True Idle: bound to vfio-pci"},
		{"vfio-pci", "snd_hda_intel", PCI_COMPANION,
		 "False CompanionOnHost: 0000:41:00.1 (audio) goes with the GPU and is still on the "
		 "host's driver snd_hda_intel; bind it to vfio-pci too"},
		{"", "snd_hda_intel", PCI_COMPANION, "True Unbound: no driver has it"},
		{"vfio-pci", "pci-stub", PCI_COMPANION, "True Idle: bound to vfio-pci"},
		{"nvidia", "", PCI_COMPANION,
		 "False HostDriver: 0000:41:00.0 (gpu) is on the host's driver nvidia; bound to "
		 "vfio-pci it can be given to virtual machines"},
		{"vfio-pci", "mlx5_core", PCI_MEMBER,
		 "False GroupNotViable: 0000:41:00.1 (audio) in IOMMU group 7 is on the host's "
		 "driver mlx5_core, and the kernel hands the group out only as a whole; move the "
		 "card to another slot, or switch on ACS in the firmware"},
		{"vfio-pci", "pcieport", PCI_MEMBER, "True Idle: bound to vfio-pci"},
		{"vfio-pci", "vfio-pci", PCI_GPU,
		 "True Idle: bound to vfio-pci; 2 GPUs share IOMMU group 7 and go together"},
		{"", "", PCI_GPU,
		 "True Unbound: no driver has it; 2 GPUs share IOMMU group 7 and go together"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(2);
		functions[0].group = functions[1].group = 7;
		functions[0].driver = rows[i].gpu;
		functions[1].driver = rows[i].other;
		functions[1].kind = rows[i].kind;
		functions[1].ids.class_code = 0x040300;
		is_str(says(), rows[i].want);
	}
}

/* Its driver counts in the group, in no other, and only one that does DMA for the host. */
static void bridges(void)
{
	static uint64_t members[] = {AT, AT + 1};

	begin(2);
	group.members = (struct pci_address_list){members, ARRAY_LEN(members)};
	m.groups.items = &group;
	m.groups.n = 1;
	functions[1].kind = PCI_MEMBER;
	functions[1].ids.class_code = 0x060400;
	functions[1].driver = "shpchp";
	functions[0].group = functions[1].group = 7;
	has(says(),
	    "False GroupNotViable: 0000:41:00.1 (bridge) in IOMMU group 7 is on the kernel's "
	    "driver shpchp, ");
	has(says(), "/sys/bus/pci/drivers/shpchp/unbind");
	functions[1].driver = "pcieport";
	is_str(says(), "True Unbound: no driver has it");
	functions[1].driver = "shpchp";
	functions[1].group = 8;
	is_str(says(), "True Unbound: no driver has it");
	functions[0].group = functions[1].group = -1;
	has(says(), "False NoIOMMUGroup: ");
}

static void boot_displays(void)
{
	begin(1);
	functions[0].group = 7;
	functions[0].boot_display = true;
	has(says(), "False BootDisplay: the firmware shows its console on this GPU, so");
	functions[0].driver = "vfio-pci"; /* an admin took it from the console */
	is_str(says(), "True Idle: bound to vfio-pci");
}

static void functions_that_are_made(void)
{
	begin(1);
	functions[0].group = 7;
	functions[0].vfs.n = 2;
	vfs[0].gone = true;
	has(says(), "False VirtualFunctions: 1 virtual functions of 0000:41:00.0 are made, and");
	has(says(), "/sys/bus/pci/devices/0000:41:00.0/sriov_numvfs");
	vfs[1].gone = true;
	is_str(says(), "True Unbound: no driver has it");
}

static void what_cannot_be_read(void)
{
	begin(1);
	m.groups.items = &group;
	m.groups.n = 1;
	functions[0].group = 7;
	functions[0].trouble = "0000:41:00.0: x: y";
	is_str(says(), "True Unbound: no driver has it; not readable: 0000:41:00.0: x: y");
	functions[0].unsure = true;
	is_str(says(), "Unknown Unreadable: 0000:41:00.0: x: y; nothing is done with the unit "
		       "until it reads");
	functions[0].unsure = false;
	functions[0].trouble = "";
	group.trouble = "members of it";
	is_str(says(),
	       "Unknown Unreadable: members of it; nothing is done with the unit until it reads");
	group.trouble = "";
}

static void words_of_an_iommu(void)
{
	begin(0);
	is_str(unit_iommu_words(&m), "intel");
	m.iommu = "";
	m.acpi_dmar = m.acpi_ivrs = true;
	has(unit_iommu_words(&m), "none: the firmware offers an Intel IOMMU and");
	m.acpi_dmar = false;
	has(unit_iommu_words(&m), "none: the firmware offers an AMD IOMMU and");
	m.acpi_ivrs = false;
	has(unit_iommu_words(&m), "none: the firmware offers none; ");
}

TESTS({"a slot without groups is a board of one GPU", boards},
      {"a group goes together, also with number 0", groups},
      {"cards are near by what stands above both", links}, {"a unit's mode is its card's", modes},
      {"virtual functions without a group are named", functions_without_a_group},
      {"virtual functions that share a group are named", functions_that_share_a_group},
      {"it is said whether more vGPUs fit", vgpus_that_fit},
      {"KubeVirt takes domains of four digits", far_domains},
      {"drivers of the host keep a unit", drivers},
      {"a bridge's driver counts in the group", bridges},
      {"the boot display stays with the host", boot_displays},
      {"a card whose virtual functions are made is not given whole", functions_that_are_made},
      {"what cannot be read is not judged", what_cannot_be_read},
      {"an IOMMU that is missing is told with its remedy", words_of_an_iommu})
