/* SPDX-License-Identifier: Apache-2.0 */
/* What texts of /proc and /sys say, and what that means for a unit. */
#include "node-daemon/holders.h"

#include "base/test.h"

static struct arena arena;

static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 4 * MiB);
}

static void numbers_of_nodes(void)
{
	static const struct {
		const char *text;
		int64_t number; /* -1: none */
	} rows[] = {
		{"195:0", INT64_C(195) << 32},
		{"226:128", (INT64_C(226) << 32) + 128},
		{"0:4294967295", UINT32_MAX},
		{"0:4294967296", -1},
		{"195", -1},
		{":1", -1},
		{"1:", -1},
		{"1:2 ", -1},
		{" 1:2", -1},
		{"-1:2", -1},
		{"", -1},
		{"99999999999999999999999:1", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t got = 0;
		int rc = holders_dev(rows[i].text, &got);

		is_int(rc, rows[i].number < 0 ? -1 : 0);
		is_int(got, MAX(rows[i].number, 0));
	}
}

static void nvidias_texts(void)
{
	static const struct {
		const char *text;
		int64_t minor;
	} cards[] = {
		{"Model: \t\t NVIDIA A40\nDevice Minor: \t 7\nGPU Excluded:\t No\n", 7},
		{"Device Minor: \t 255", 255},
		{"Device Minor: \t -1\n", -1},
		{"Device Minor:\n7\n", -1},
		{"Device Minor: \t 7 of 8\n", -1},
		{"The Device Minor: 7\n", -1},
		{"", -1},
	};
	static const struct {
		const char *text;
		int64_t major;
	} lists[] = {
		{"Character devices:\n  1 mem\n195 nvidia-frontend\n\nBlock devices:\n", 195},
		{"Character devices:\n195 nvidiactl\n510 nvidia-uvm\n195 nvidia\n", 195},
		{" 95 nvidia", 95},
		{"Character devices:\n195 nvidia-modeset\n195 nvidiactl\n", -1},
		{"Block devices:\n195 nvidia\n", -1},
		{"nvidia\n", -1},
	};
	uint32_t got;

	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		int rc = holders_nvidia_minor(cards[i].text, &got);

		is_int(rc ? -1 : (int64_t)got, cards[i].minor);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		int rc = holders_nvidia_major(lists[i].text, &got);

		is_int(rc ? -1 : (int64_t)got, lists[i].major);
	}
}

static void drivers_whose_users_are_seen(void)
{
	static const struct {
		const char *driver;
		unsigned where;
	} rows[] = {
		{"vfio-pci", HOLDERS_BELOW | HOLDERS_GROUP},
		{"nvgrace_gpu_vfio_pci", HOLDERS_BELOW | HOLDERS_GROUP},
		{"nvidia", HOLDERS_BELOW | HOLDERS_NVIDIA},
		{"amdgpu", HOLDERS_BELOW | HOLDERS_DRM},
		{"xhci_hcd", HOLDERS_USB},
		{"nvidia-nvswitch", 0},
		{"nvme", 0},
		{"", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(holders_driver(rows[i].driver), rows[i].where);
	}
}

static void names(void)
{
	ok(holders_is_usb_device("1-2"));
	ok(holders_is_usb_device("3-1.4"));
	ok(!holders_is_usb_device("1-0:1.0"));
	ok(!holders_is_usb_device("usb1-port2"));
	ok(!holders_is_usb_device("power"));
	ok(holders_is_node_name("/dev/nvidia0"));
	ok(holders_is_node_name("/run/x/renderD128"));
	ok(holders_is_node_name("/dev/vfio/devices/vfio3"));
	ok(!holders_is_node_name("/dev/nvidiactl"));
	ok(!holders_is_node_name("/usr/lib/libnvidia-ml.so.1"));
	ok(!holders_is_node_name("/dev/zero"));
	ok(!holders_is_node_name("card0"));
	ok(!holders_is_node_name("/nvidia0/x"));
	ok(holders_path_has("/sys/devices/pci0000:41/0000:41:00.0", 0x4100));
	ok(holders_path_has("/sys/devices/pci0000:41/0000:41:00.0/an-mdev", 0x4100));
	ok(!holders_path_has("/sys/devices/pci0000:41/0000:41:00.01", 0x4100));
	ok(!holders_path_has("/sys/devices/x0000:41:00.0", 0x4100));
	ok(!holders_path_has("", 0x4100));
}

static void fdinfo(void)
{
	begin();
	is_str(holders_syspath("pos:\t0\nvfio-device-syspath: /sys/a\nx\n", &arena), "/sys/a");
	is_str(holders_syspath("vfio-device-syspath:/sys/a", &arena), "/sys/a");
	is_str(holders_syspath("pos:\t0\n", &arena), NULL);
	is_str(holders_syspath("x vfio-device-syspath: /sys/a\n", &arena), NULL);
}

static const char *map_of(const char *text)
{
	char *line = arena_strdup(&arena, text);
	struct holders_map m;

	if (holders_map(line, &m) < 0) {
		return "none";
	}
	return arena_printf(&arena, "%s %" PRIu64 " '%s'%s%s", m.shared ? "shared" : "own", m.inode,
			    m.path, m.deleted ? " deleted" : "",
			    holders_map_matters(&m) ? " matters" : "");
}

static void lines_of_maps(void)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{"7f1c-7f1d rw-s 00000000 00:06 338                        /dev/nvidia0",
		 "shared 338 '/dev/nvidia0' matters"},
		{"7f1c-7f1d r-xp 00001000 fe:01 77 /usr/lib/x.so", "own 77 '/usr/lib/x.so'"},
		{"7f1c-7f1d rw-p 00000000 00:06 338 /dev/nvidia0",
		 "own 338 '/dev/nvidia0' matters"},
		{"7f1c-7f1d rw-s 00000000 00:01 1 /dev/zero (deleted)",
		 "shared 1 '/dev/zero' deleted matters"},
		{"7f1c-7f1d rw-s 00000000 00:06 3 /a name with  spaces (x)",
		 "shared 3 '/a name with  spaces (x)' matters"},
		{"7f1c-7f1d rw-p 00000000 00:00 0", "own 0 ''"},
		{"7f1c-7f1d rw-p 00000000 00:00 0 ", "own 0 ''"},
		{"7f1c-7f1d rw-p 00000000 00:00 0                          [heap]",
		 "own 0 '[heap]'"},
		{"7f1c-7f1d rw-s 00000000 00:0e 10 anon_inode:[vfio-device]",
		 "shared 10 'anon_inode:[vfio-device]' matters"},
		{"7f1c-7f1d rw-s 00000000 00:0e 10 anon_inode:i915.gem",
		 "shared 10 'anon_inode:i915.gem'"},
		{"7f1c7f1d rw-s 00000000 00:06 338 /dev/nvidia0", "none"},
		{"7f1c-7f1d rw-s 00000000 00:06", "none"},
		{"7f1c-7f1d rws 00000000 00:06 338 /dev/nvidia0", "none"},
		{"7f1c-7f1d rw-s 00000000 00:06 x38 /dev/nvidia0", "none"},
		{"", "none"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(map_of(rows[i].line), rows[i].want);
	}
}

/* Of two cards on vfio, and one on the host. */
static struct holders_unit units[3];

static void begin_units(void)
{
	static uint64_t functions[] = {0x4100, 0x4101, 0x4200, 0x4300};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		units[i] = (struct holders_unit){.doubt = "", .held = ""};
		units[i].functions.items = &functions[i + (i > 0)];
		units[i].functions.n = i ? 1 : 2;
		holders_add(&units[i], holders_number(i < 2 ? 240 : 195, (uint32_t)i), i < 2);
	}
}

static struct holders_process process_of(const char *comm)
{
	struct holders_process p;

	holders_process("7", comm, &arena, &p);
	return p;
}

static void nodes_tell_units_apart(void)
{
	struct holders_process p;

	begin_units();
	p = process_of("qemu");
	holders_node(&p, holders_number(240, 1), units, 3, &arena);
	holders_node(&p, holders_number(195, 255), units, 3, &arena);
	holders_process_end(&p, units, 3, &arena);
	is_str(units[0].held, "");
	is_str(units[1].held, "process 7 (qemu)");
	is_str(units[2].held, "");
	p = process_of("other"); /* the first that is found is told */
	holders_node(&p, holders_number(240, 1), units, 3, &arena);
	is_str(units[1].held, "process 7 (qemu)");
}

static void doubt_is_of_units_on_vfio_that_nobody_holds(void)
{
	struct holders_process p;

	begin_units();
	units[1].held = "somebody";
	p = process_of("");
	holders_vfio(&p, NULL, units, 3, &arena);
	holders_process_end(&p, units, 3, &arena);
	is_str(units[0].doubt,
	       "process 7 has a vfio device open, and the kernel does not say which");
	is_str(units[1].doubt, "");
	is_str(units[2].doubt, "");
	begin_units();
	p = process_of("");
	holders_node(&p, holders_number(240, 9), units, 3, &arena); /* a group of no unit */
	holders_vfio(&p, NULL, units, 3, &arena);
	holders_process_end(&p, units, 3, &arena);
	is_str(units[0].doubt, "");
	begin_units();
	p = process_of("");
	holders_node(&p, holders_number(195, 9), units, 3, &arena); /* none of vfio's */
	holders_vfio(&p, NULL, units, 3, &arena);
	holders_process_end(&p, units, 3, &arena);
	ok(*units[0].doubt);
	begin_units();
	p = process_of("");
	holders_vfio(&p, "/sys/devices/0000:41:00.1", units, 3, &arena);
	holders_process_end(&p, units, 3, &arena);
	is_str(units[0].held, "process 7");
	is_str(units[1].doubt, "");
}

static void too_many_nodes_are_in_doubt(void)
{
	begin_units();
	for (uint32_t i = 0; i < 2 * HOLDERS_MAX_NODES; i++) {
		holders_add(&units[0], holders_number(240, i % (HOLDERS_MAX_NODES - 1)), true);
	}
	is_str(units[0].doubt, "");
	holders_add(&units[0], holders_number(511, 0), true);
	is_str(units[0].doubt, "");
	holders_add(&units[0], holders_number(512, 0), true);
	is_str(units[0].doubt, "it has more device nodes than are looked at");
	holders_doubt(&units[0], "another");
	is_str(units[0].doubt, "it has more device nodes than are looked at");
	arena_finish(&arena);
}

TESTS({"numbers of nodes", numbers_of_nodes}, {"NVIDIA's texts", nvidias_texts},
      {"drivers whose users are seen", drivers_whose_users_are_seen}, {"names", names},
      {"fdinfo of a vfio device", fdinfo}, {"lines of maps", lines_of_maps},
      {"nodes tell units apart", nodes_tell_units_apart},
      {"doubt is of units on vfio that nobody holds", doubt_is_of_units_on_vfio_that_nobody_holds},
      {"too many nodes are in doubt", too_many_nodes_are_in_doubt})
