/* SPDX-License-Identifier: Apache-2.0 */
/* Cards as no tree of files makes them: types without sizes, more vGPUs than a report takes. */
#include "node-daemon/vgpu.h"

#include "base/test.h"

#define AT 0x410000 /* 0041:00:00.0 */

static struct arena arena;
static struct vgpu_type types[4];
static struct pci_vf vfs[MACHINE_MAX_VFS];
static struct mdev mdevs[4];
static struct pci_function card;
static struct status_unit unit;

/* A card of a vendor that no table knows, with so many virtual functions. */
static void begin(enum vgpu_face face, size_t n_vfs)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	card = (struct pci_function){
		.address = AT,
		.ids = {.vendor = 0x1234, .device = 1},
		.face = face,
		.types.items = types,
		.vfs = {vfs, n_vfs},
		.mdevs.items = mdevs,
	};
	for (size_t i = 0; i < n_vfs; i++) {
		vfs[i] = (struct pci_vf){
			.address = AT + 1 + i, .face = face, .group = (int64_t)i, .type = ""};
	}
	unit = (struct status_unit){0};
}

static void add_mdev(uint64_t parent, const char *type)
{
	mdevs[card.mdevs.n++] = (struct mdev){.uuid = "u", .parent = parent, .type = type};
}

/* The count of a profile is fit.h's, with the sizes and maxima that are told or known. */
static void what_still_fits(void)
{
	begin(VGPU_MDEV, 6);
	types[0] = (struct vgpu_type){"a-1", "A-1Q", 1024, 4, 1};
	types[1] = (struct vgpu_type){"a-2", "A-2Q", 2048, 2, 0};
	card.types.n = 2;
	vgpu_profiles(&card, &arena, &unit);
	is_int(unit.profiles.items[0].available, 4);
	is_int(unit.profiles.items[1].available, 0);
	add_mdev(vfs[0].address, "a-1");
	vgpu_profiles(&card, &arena, &unit);
	is_int(unit.profiles.items[0].available, 3);
	types[1].offered = 1; /* of another size, beside it */
	vgpu_profiles(&card, &arena, &unit);
	is_int(unit.profiles.items[0].available, 1);
	is_int(unit.profiles.items[1].available, 1);
}

static void a_report_takes_so_many_slots(void)
{
	static const struct {
		size_t vfs, on_card, slots;
	} rows[] = {
		{0, 0, 0},     {0, 1, 1},     {0, 2, 2},     {1, 0, 1},	    {2, 1, 3},
		{254, 1, 255}, {255, 1, 256}, {256, 0, 256}, {256, 1, 256}, {256, 3, 256},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(VGPU_MDEV, rows[i].vfs);
		for (size_t k = 0; k < rows[i].on_card; k++) {
			add_mdev(AT, "");
		}
		vgpu_slots(&card, &arena, &unit);
		is_int(unit.slots.n, rows[i].slots);
		/* also where the last function has one */
		if (rows[i].vfs) {
			add_mdev(vfs[rows[i].vfs - 1].address, "");
			unit = (struct status_unit){0};
			vgpu_slots(&card, &arena, &unit);
			is_int(unit.slots.n, rows[i].slots);
		}
	}
}

static size_t free_places(const struct pci_function *of)
{
	size_t n = 0;

	list_each(vf, &of->vfs) {
		n += vgpu_place_free(of, vf);
	}
	return n;
}

/* Functions that can carry one more. */
static void places_that_are_free(void)
{
	begin(VGPU_VENDOR, 6);
	is_int(free_places(&card), 6);
	is_int(vgpu_made(&card), 0);
	vfs[0].gone = true;
	is_int(free_places(&card), 5);
	vfs[1].type = "7";
	is_int(free_places(&card), 4);
	is_int(vgpu_made(&card), 1);
	vfs[2].group = -1;
	is_int(free_places(&card), 3);
	vfs[3].face = VGPU_NONE;
	is_int(free_places(&card), 2);
	add_mdev(vfs[4].address, "a-1");
	is_int(free_places(&card), 1);
	is_int(vgpu_made(&card), 2);
	vfs[5].address = (uint64_t)0xffff << 16;
	is_int(free_places(&card), 1);
	vfs[5].address = (uint64_t)0x10000 << 16; /* KubeVirt takes no such address */
	is_int(free_places(&card), 0);
	vfs[5].face = vfs[2].face = VGPU_MDEV; /* but it passes no mediated device by it */
	is_int(free_places(&card), 2);
}

static void names_of_types(void)
{
	static const struct {
		const char *id, *name;
	} rows[] = {
		{"nvidia-46", "GRID P40-1Q"},
		{"46", "GRID P40-1Q"},
		{"nvidia-287", "GRID P40-24C"},
		{"287", "GRID P40-24C"},
		{"nvidia-9", "NINE"},
		{"9", "NINE"},
		{"x-y", "TEXT"},
		{"nvidia-1", "ONE"},
		{"1", "ONE"},
		{"x-65535", "LAST"},
		{"65535", "LAST"},
		{"65536", "65536"},
		{"nvidia-45", "nvidia-45"},
		{"0", "0"},
		{"x-z", "x-z"},
	};

	begin(VGPU_MDEV, 0);
	card.ids = (struct pci_ids){.vendor = 0x10de, .device = 0x1b38};
	types[0] = (struct vgpu_type){"x-y", "TEXT", 0, 0, 0};
	types[1] = (struct vgpu_type){"nvidia-9", "NINE", 0, 0, 0};
	types[2] = (struct vgpu_type){"x-1", "ONE", 0, 0, 0};
	types[3] = (struct vgpu_type){"y-65535", "LAST", 0, 0, 0};
	card.types.n = 4;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(vgpu_type_name(&card, rows[i].id), rows[i].name);
	}
	card.ids.vendor = 0x1234;
	is_str(vgpu_type_name(&card, "46"), "46");
}

/* How many of a card's profiles MIG makes; ones that are made of this id, on a full card. */
static void profiles_beside(const char *made, size_t n, size_t n_mig)
{
	size_t mig = 0;

	begin(VGPU_VENDOR, 2);
	card.ids = (struct pci_ids){.vendor = 0x10de, .device = 0x20f1};
	vfs[0].type = made;
	vgpu_profiles(&card, &arena, &unit);
	list_each(p, &unit.profiles) {
		const char *dash = strchr(p->name, '-');

		mig += dash && strchr(dash + 1, '-');
		is_int(p->available, 0);
	}
	is_int(unit.profiles.n, n);
	is_int(mig, n_mig);
}

/* With MIG and without it a card has types of its own, of which only those are told. */
static void types_of_a_full_card(void)
{
	size_t n, mig = 0, plain = 0;
	const struct vgpu_known *k = vgpu_known_all(0x20f1, &n);

	for (size_t i = 0; i < n; i++) {
		const char *dash = strchr(k[i].name, '-');

		mig += k[i].id && strchr(dash + 1, '-');
		plain += k[i].id && !strchr(dash + 1, '-');
	}
	ok(mig > 3 && plain > 3);
	profiles_beside("476", mig, mig); /* GRID A100-3-20C */
	profiles_beside("475", mig, mig); /* GRID A100-2-10C */
	for (size_t i = 0; i < n; i++) {
		if (k[i].id && !strchr(strchr(k[i].name, '-') + 1, '-')) {
			auto_free char *id = xprintf("%u", k[i].id);

			profiles_beside(id, plain, 0);
			break;
		}
	}
	/* names that only look like it: they are told beside the types without MIG */
	for (int c = '0' - 1; c <= '9' + 1; c++) {
		auto_free char *name = xprintf("X-%c-4C", c);

		begin(VGPU_VENDOR, 1);
		card.ids = (struct pci_ids){.vendor = 0x10de, .device = 0x20f1};
		types[0] = (struct vgpu_type){"9999", name, 0, 0, 0};
		card.types.n = 1;
		vfs[0].type = "9999";
		vgpu_profiles(&card, &arena, &unit);
		is_int(unit.profiles.n, 1 + (c >= '0' && c <= '9' ? mig : plain));
	}
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = {"-4C", "4-4C", "X12-4C", "-4-4C"};

		begin(VGPU_VENDOR, 1);
		card.ids = (struct pci_ids){.vendor = 0x10de, .device = 0x20f1};
		types[0] = (struct vgpu_type){"9999", names[i], 0, 0, 0};
		card.types.n = 1;
		vfs[0].type = "9999";
		vgpu_profiles(&card, &arena, &unit);
		is_int(unit.profiles.n, 1 + (i < 3 ? plain : mig));
	}
}

/* What stands behind a device's rows in the table is another's. */
static void rows_of_the_next_device(void)
{
	const struct vgpu_known *before = NULL;
	size_t n_before = 0, pairs = 0;

	for (unsigned device = 0; device <= UINT16_MAX; device++) {
		size_t n;
		const struct vgpu_known *k = vgpu_known_all((uint16_t)device, &n);

		is_int(n != 0, k != NULL);
		for (size_t i = 0; i < n; i++) {
			is_int(k[i].device, device);
			ok(!k[i].id || vgpu_known_id((uint16_t)device, k[i].id)->id == k[i].id);
			ok(vgpu_known_name((uint16_t)device, k[i].name));
		}
		if (k && before) {
			bool same_id = !k->id, same_name = false;

			ok(before + n_before == k);
			for (size_t i = 0; i < n_before; i++) {
				same_id |= before[i].id == k->id;
				same_name |= str_eq(before[i].name, k->name);
			}
			ok(same_id || !vgpu_known_id(before->device, k->id));
			ok(same_name || !vgpu_known_name(before->device, k->name) ||
			   !str_eq(vgpu_known_name(before->device, k->name)->name, k->name));
			pairs += !same_id && !same_name;
		}
		before = k ? k : before;
		n_before = k ? n : n_before;
	}
	ok(pairs > 3);
}

static void a_function_that_is_gone_has_no_slot(void)
{
	begin(VGPU_VENDOR, 3);
	vfs[0].gone = true;
	vfs[1].type = "7";
	vgpu_slots(&card, &arena, &unit);
	is_int(unit.slots.n, 2);
	is_str(unit.slots.items[0].type, "7");
	is_str(unit.slots.items[0].vf, "0041:00:00.2");
	ok(!unit.slots.items[1].type);
	is_str(unit.slots.items[1].vf, "0041:00:00.3");
}

/* In the order of the numbers in their ids, then of names. */
static void profiles_are_ordered(void)
{
	begin(VGPU_MDEV, 0);
	types[0] = (struct vgpu_type){"n-100", "X", 0, 0, 0};
	types[1] = (struct vgpu_type){"n-20", "Z", 0, 0, 0};
	types[2] = (struct vgpu_type){"m-20", "Y", 0, 0, 0};
	card.types.n = 3;
	vgpu_profiles(&card, &arena, &unit);
	is_int(unit.profiles.n, 3);
	is_str(unit.profiles.items[0].name, "Y");
	is_str(unit.profiles.items[1].name, "Z");
	is_str(unit.profiles.items[2].name, "X");
	types[2].name = "Z"; /* one name is one profile */
	vgpu_profiles(&card, &arena, &unit);
	is_int(unit.profiles.n, 2);
}

TESTS({"profiles have the counts of the driver's rule", what_still_fits},
      {"a report takes 256 slots", a_report_takes_so_many_slots},
      {"functions that can carry one more are counted", places_that_are_free},
      {"types have the driver's name, the table's, or their id", names_of_types},
      {"a full card tells what it can have with MIG, or without", types_of_a_full_card},
      {"a device has the rows of its own in the table", rows_of_the_next_device},
      {"a function that is gone has no slot", a_function_that_is_gone_has_no_slot},
      {"profiles are in the order of their numbers", profiles_are_ordered})
