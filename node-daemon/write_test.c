/* SPDX-License-Identifier: Apache-2.0 */
/* Programs carried out on a tree of files, with a played write(2) (written_test.h). */
#include "node-daemon/write.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/process.h"
#include "base/test.h"
#include "node-daemon/layout_test.h"
#include "node-daemon/plan_bind.h"
#include "node-daemon/written_test.h"

/* --- the machine --------------------------------------------------------------------------- */

#define GPU 0x100   /* 0000:01:00.0 */
#define AUDIO 0x101 /* 0000:01:00.1 */

static const char machine[] =
	"dir class/iommu/dmar0\n"
	"dir bus/pci\n"
	"  drivers_probe = \n"
	"dir bus/pci/drivers/vfio-pci\n"
	"  unbind = \n"
	"dir bus/pci/drivers/nvidia\n"
	"  unbind = \n"
	"dir bus/pci/drivers/snd_hda_intel\n"
	"  unbind = \n"
	"dir bus/pci/drivers/nvme\n"
	"  unbind = \n"
	"dir class/vfio/7\n"
	"dir driver/nvidia/gpus/0000:01:00.0\n"
	"  unbindLock = 0\n"
	"device 0000:01:00.0 id=10de:26b9 class=030200 driver=nvidia group=7\n"
	"  driver_override = (null)\n"
	"  native = nvidia\n"
	"  config = 0123\n"
	"device 0000:01:00.1 id=10de:22ba class=040300 driver=snd_hda_intel group=7\n"
	"  driver_override = (null)\n"
	"  native = snd_hda_intel\n";

static char *out;
static const char *tool; /* where the vendor's tools are asked */

static void begin_with(const char *more)
{
	if (tree.root) {
		tree_remove(&tree);
	}
	buf_finish(&kernel.log);
	memset(&kernel, 0, sizeof(kernel));
	kernel.take = kernel.times = -1;
	buf_init(&kernel.log, MiB);
	tree = (struct tree){.fd = -1};
	tree = tree_make(machine);
	tree_add(&tree, more);
	free(take(out));
}

static void begin(void)
{
	begin_with("");
}

static int run(const struct steps *s)
{
	char bytes[8192];
	int ends[2], rc;
	ssize_t n;

	ok(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	kernel.on = true;
	rc = write_steps(tree.fd, tree.fd, tool, s, ends[1]); /* its proc too */
	kernel.on = false;
	n = read(ends[0], bytes, sizeof(bytes) - 1);
	close(ends[0]), close(ends[1]);
	free(out);
	out = xstrndup(bytes, (size_t)MAX(n, 0));
	return rc;
}

static int step(enum step_verb verb, uint64_t at, const char *value)
{
	struct step one = {verb, at, value};

	return run(&(struct steps){&one, 1});
}

#define log_is(want) is_str(buf_text(&kernel.log), want)

/* --- tests --------------------------------------------------------------------------------- */

static void steps_do_what_they_say(void)
{
	begin();
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 0);
	is_str(out, "0 ok \n");
	log_is("driver_override of 0000:01:00.0: vfio-pci\n");
	is_int(step(STEP_READ_OVERRIDE, GPU, ""), 0);
	is_str(out, "0 ok vfio-pci\n");
	is_int(step(STEP_READ_OVERRIDE, AUDIO, ""), 0);
	is_str(out, "0 ok \n");		      /* (null) */
	is_int(step(STEP_PROBE, GPU, ""), 0); /* has one: nothing is written */
	is_int(step(STEP_UNBIND, GPU, "nvidia"), 0);
	is_int(step(STEP_UNBIND, GPU, "nvidia"), 0); /* is done */
	is_int(step(STEP_EXPECT_DRIVER, GPU, ""), 0);
	is_int(step(STEP_PROBE, GPU, ""), 0);
	is_int(step(STEP_EXPECT_DRIVER, GPU, "vfio-pci"), 0);
	is_int(step(STEP_EXPECT_GROUP, GPU, "7"), 0);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 0);
	is_int(step(STEP_OVERRIDE, GPU, ""), 0);
	log_is("driver_override of 0000:01:00.0: vfio-pci\ndrivers/nvidia/unbind: 0000:01:00.0\n"
	       "drivers_probe: 0000:01:00.0\ndriver_override of 0000:01:00.0: none\n");
}

static void only_what_was_read_is_said(void)
{
	struct step two[] = {{STEP_READ_OVERRIDE, GPU, ""}, {STEP_EXPECT_ALIVE, GPU, ""}};

	begin();
	step(STEP_OVERRIDE, GPU, "nvidia");
	is_int(run(&(struct steps){two, 2}), 0);
	is_str(out, "0 ok nvidia\n1 ok \n");
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", 0);
	is_int(run(&(struct steps){two, 2}), 1);
	has(out, "0 no 0000:01:00.0: driver_override: the kernel has no such file");
}

static void first_failure_ends_it(void)
{
	struct step three[] = {{STEP_EXPECT_DRIVER, GPU, "nvidia"},
			       {STEP_EXPECT_DRIVER, GPU, "vfio-pci"},
			       {STEP_UNBIND, GPU, "nvidia"}};

	begin();
	is_int(run(&(struct steps){three, 3}), 1);
	is_str(out, "0 ok \n1 no 0000:01:00.0: nvidia has it instead of vfio-pci; keep that driver "
		    "from it, or order the unit to the host\n");
	log_is("");
}

static void expectations_that_fail(void)
{
	begin();
	is_int(step(STEP_EXPECT_DRIVER, GPU, ""), 1);
	has(out, "0 no 0000:01:00.0: nvidia has it instead of none; ");
	is_int(step(STEP_UNBIND, GPU, "vfio-pci"), 1);
	is_str(out, "0 no 0000:01:00.0: it was on vfio-pci and is on nvidia now; it is looked at "
		    "again\n");
	step(STEP_UNBIND, GPU, "nvidia");
	is_int(step(STEP_EXPECT_DRIVER, GPU, "vfio-pci"), 1);
	has(out, "0 no 0000:01:00.0: vfio-pci did not take it; the kernel's log (dmesg) says why");
	is_int(step(STEP_EXPECT_GROUP, GPU, "8"), 1);
	has(out, "it was in IOMMU group 8 and is in 7 now");
	unlinkat(tree.fd, "class/vfio/7", AT_REMOVEDIR);
	is_int(step(STEP_EXPECT_GROUP, GPU, "7"), 1);
	has(out, "vfio does not offer IOMMU group 7; ");
	tree_dir(&tree, "devices/pci0000:01/0000:01:00.0/vfio-dev"); /* without group files */
	is_int(step(STEP_EXPECT_GROUP, GPU, "7"), 0);
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/iommu_group", 0);
	is_int(step(STEP_EXPECT_GROUP, GPU, "7"), 1);
	has(out, "it was in IOMMU group 7 and is in none now");
}

static void dead_cards(void)
{
	begin();
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config", "\xff\xff\xff\xff", 4);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 1);
	has(out, "0 no 0000:01:00.0: its config space reads as ones: the card is dead");
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config", "\xde\xff\xff\xff", 4);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 0);
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config", "\xff\xff\x10\x10", 4);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 1);
	/* a virtual function, alive and dead */
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config",
		   "\xff\xff\xff\xff\x00\x00\x10\x00", 8);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 0);
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config",
		   "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 1);
	tree_bytes(&tree, "devices/pci0000:01/0000:01:00.0/config", "\xff", 1);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 1);
	has(out, "0 no 0000:01:00.0: config: the device or its driver failed; ");
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/config", 0);
	is_int(step(STEP_EXPECT_ALIVE, GPU, ""), 1);
	has(out, "config: the kernel has no such file");
}

/* Whatever is ordered: what is neither a GPU nor on a GPU's board is not touched. */
static void others_are_refused(void)
{
	static const struct {
		const char *device;
		uint64_t at;
		const char *what;
	} rows[] = {
		{"device 0000:02:00.0 id=144d:a80a class=010802 driver=nvme group=8\n", 0x200,
		 "NVMe disk of vendor 144d"},
		{"device 0000:02:00.0 id=15b3:1017 class=020000 driver=nvme group=8\n", 0x200,
		 "network controller of vendor 15b3"},
		/* the display of a management controller */
		{"device 0000:02:00.0 id=1a03:2000 class=030000 driver=nvme group=8\n", 0x200,
		 "display controller of vendor 1a03"},
		/* the board's audio; that of a GPU's slot, by another vendor; one whose group is
		 * shared with another slot */
		{"device 0000:02:00.3 id=10de:0001 class=040300 driver=nvme group=8\n", 0x203,
		 "audio function of vendor 10de"},
		{"device 0000:01:00.3 id=8086:0001 class=0c0330 driver=nvme group=7\n", 0x103,
		 "USB controller of vendor 8086"},
		{"device 0000:01:00.3 id=10de:0001 class=0c0330 driver=nvme group=8\n"
		 "device 0000:02:00.0 id=144d:a80a class=010802 driver=nvme group=8\n",
		 0x103, "USB controller of vendor 10de"},
		/* no companion's class */
		{"device 0000:01:00.3 id=10de:0001 class=020000 driver=nvme group=7\n", 0x103,
		 "network controller of vendor 10de"},
		{"device 0000:02:00.0 id=8086:0001 class=060400 driver=nvme group=7\n", 0x200,
		 "bridge of vendor 8086"},
	};
	static const char *const values[STEP_VERBS] = {
		[STEP_READ_OVERRIDE] = "", [STEP_OVERRIDE] = "vfio-pci",
		[STEP_UNBIND] = "nvme",	   [STEP_PROBE] = "",
		[STEP_EXPECT_ALIVE] = "",  [STEP_EXPECT_DRIVER] = "nvme",
		[STEP_EXPECT_GROUP] = "8", [STEP_RESET] = "",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *device = xprintf("%s  driver_override = (null)\n", rows[i].device);

		begin_with(device);
		for (enum step_verb verb = 0; verb < STEP_VERBS; verb++) {
			is_int(step(verb, rows[i].at, values[verb]), 1);
			has(out, rows[i].what);
			has(out,
			    ", neither a GPU nor on a GPU's board, and only these are touched; ");
		}
		log_is("");
	}
}

static void groups_of_companions(void)
{
	begin_with("device 0000:02:00.0 id=8086:0001 class=060400 group=7\n"); /* a bridge in it */
	is_int(step(STEP_OVERRIDE, AUDIO, "vfio-pci"), 0);
	begin_with("device 0000:01:00.3 id=10de:0001 class=0c0330 group=8\n"
		   "  driver_override = (null)\n");
	is_int(step(STEP_OVERRIDE, 0x103, "vfio-pci"), 0);
}

static void what_cannot_be_known_is_refused(void)
{
	static const char *const files[] = {"class", "vendor"};

	for (size_t i = 0; i < 2 * ARRAY_LEN(files); i++) {
		auto_free char *path = xprintf("devices/pci0000:01/0000:01:00.0/%s", files[i / 2]);

		begin();
		unlinkat(tree.fd, path, 0);
		if (i % 2) {
			tree_file(&tree, path, "x");
		}
		is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
		has(out, "0 no 0000:01:00.0: class or vendor: ");
		log_is("");
	}
	begin();
	is_int(step(STEP_OVERRIDE, 0x500, "vfio-pci"), 1);
	has(out, "0 no 0000:05:00.0: its directory: the kernel has no such file");
}

static void boot_display_stays(void)
{
	static const struct {
		enum step_verb verb;
		const char *value;
		int rc;
	} rows[] = {
		{STEP_OVERRIDE, "vfio-pci", 1}, {STEP_UNBIND, "nvidia", 1}, {STEP_OVERRIDE, "", 0},
		{STEP_READ_OVERRIDE, "", 0},	{STEP_PROBE, "", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		tree_file(&tree, "devices/pci0000:01/0000:01:00.0/boot_vga", "1");
		is_int(step(rows[i].verb, GPU, rows[i].value), rows[i].rc);
		if (rows[i].rc) {
			has(out, "the firmware shows its console on it, so it stays with the host");
			log_is("");
		}
	}
	begin(); /* an admin took it from the console */
	tree_file(&tree, "devices/pci0000:01/0000:01:00.0/boot_vga", "1");
	kernel_bind("0000:01:00.0", "vfio-pci");
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 0);
}

#define GPU_DIR "devices/pci0000:01/0000:01:00.0/"

static void resets_only_on_vfio(void)
{
	begin();
	kernel_unbind("nvidia/", "0000:01:00.0");
	tree_file(&tree, GPU_DIR "reset", "");
	is_int(step(STEP_RESET, GPU, ""), 1);
	is_str(out,
	       "0 no 0000:01:00.0: it is on no driver, whose work a reset would end; it is not reset\n");
	kernel_bind("0000:01:00.0", "nvidia");
	is_int(step(STEP_RESET, GPU, ""), 1);
	has(out, "it is on nvidia, whose work");
	log_is("");
	kernel_unbind("nvidia/", "0000:01:00.0");
	kernel_bind("0000:01:00.0", "vfio-pci");
	is_int(step(STEP_RESET, GPU, ""), 0);
	is_str(out, "0 ok \n");
	log_is("reset: 1\n");
	tree_file(&tree, GPU_DIR "reset_method", "flr bus\n");
	is_int(step(STEP_RESET, GPU, ""), 0);
	is_str(out, "0 ok flr bus\n");
}

static void resets_that_fail(void)
{
	begin();
	kernel_bind("0000:01:00.0", "vfio-pci");
	is_int(step(STEP_RESET, GPU, ""), 1);
	has(out, "reset: it has no reset that works where it stands; a restart of the machine");
	tree_file(&tree, GPU_DIR "reset", "");
	kernel.error = ENOTTY;
	kernel.times = -1;
	is_int(step(STEP_RESET, GPU, ""), 1);
	has(out, "reset: it has no reset that works where it stands");
	kernel.error = 0;
	tree_file(&tree, GPU_DIR "config", "\xff\xff\xff\xff");
	is_int(step(STEP_RESET, GPU, ""), 1);
	has(out, "its config space reads as ones");
}

/* --- what the kernel may answer ------------------------------------------------------------ */

static void errors_have_a_remedy(void)
{
	static const struct {
		int error;
		const char *words;
	} rows[] = {
		{EBUSY,
		 "it is busy: somebody uses it, or its virtual functions are there; end that"},
		{ENODEV, "it is not there any more, or on another driver by now; "},
		{EINVAL, "the kernel refuses that; its log (dmesg) says why"},
		{EPERM, "that is forbidden; look for lockdown"},
		{EACCES, "that is forbidden; vmgpu-node must run as root"},
		{EROFS, "/sys is read-only here; give vmgpu-node the host's /sys, writable"},
		{EIO, "the device or its driver failed; look into the kernel's log"},
		{ENOSPC, "the kernel has no room for it"},
		{ENOMEM, "the kernel has no memory"},
		{EINTR, "it was interrupted again and again; it is tried again"},
		{ERANGE, "that is more than the device has; correct the order"},
		{EDOM, "Numerical argument out of domain"},
	};
	static const struct {
		enum step_verb verb;
		const char *value, *file;
	} writes[] = {
		{STEP_OVERRIDE, "vfio-pci", "driver_override"},
		{STEP_UNBIND, "nvidia", "bus/pci/drivers/nvidia/unbind"},
		{STEP_PROBE, "", "bus/pci/drivers_probe"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(writes); i++) {
		size_t row = i / ARRAY_LEN(writes), w = i % ARRAY_LEN(writes);
		auto_free char *text =
			xprintf("0 no 0000:01:00.0: %s: %s", writes[w].file, rows[row].words);

		begin();
		if (writes[w].verb == STEP_PROBE) {
			step(STEP_UNBIND, GPU, "nvidia");
			buf_reset(&kernel.log);
		}
		kernel.error = rows[row].error;
		is_int(step(writes[w].verb, GPU, writes[w].value), 1);
		has(out, text);
		log_is("");
	}
}

static void interruptions_and_short_writes(void)
{
	begin();
	kernel.error = EINTR;
	kernel.times = 5;
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 0);
	log_is("driver_override of 0000:01:00.0: vfio-pci\n");
	kernel.error = 0;
	for (int i = 0; i < 2; i++) {
		kernel.take = i ? 4 : 0;
		is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
		has(out, i ? "the kernel took 4 of 9 bytes; it is tried again"
			   : "the kernel took 0 of 9 bytes; it is tried again");
	}
	kernel.take = -1;
	/* another error after interruptions is that error */
	kernel.error = EBUSY;
	kernel.times = 1;
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
	has(out, "it is busy: ");
}

static void probe_that_lies(void)
{
	struct step two[] = {{STEP_PROBE, GPU, ""}, {STEP_EXPECT_DRIVER, GPU, "vfio-pci"}};

	begin();
	step(STEP_UNBIND, GPU, "nvidia");
	kernel.probe_fails = true;
	is_int(run(&(struct steps){two, 2}), 1);
	has(out, "0 ok \n1 no 0000:01:00.0: vfio-pci did not take it; ");
}

/* --- files that are others ----------------------------------------------------------------- */

static void no_link_is_followed(void)
{
	char bytes[16] = "";
	auto_close int fd = -1;

	begin();
	tree_file(&tree, "victim", "intact");
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", 0);
	tree_link(&tree, "devices/pci0000:01/0000:01:00.0/driver_override", "../../../victim");
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
	has(out, "driver_override: a link stands there instead of a file; ");
	fd = openat(tree.fd, "victim", O_RDONLY | O_CLOEXEC);
	ok(read(fd, bytes, sizeof(bytes)) == 7);
	is_str(bytes, "intact\n");
	/* none is made where none is */
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", 0);
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
	ok(faccessat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", F_OK, 0) < 0);
	log_is("");
}

static void no_link_leads_out(void)
{
	auto_free char *dir = NULL;

	begin();
	dir = xprintf("%s/devices/pci0000:01/0000:01:00.0", tree.root);
	tree_link(&tree, "bus/pci/devices/0000:01:00.0", dir);
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
	has(out, "0 no 0000:01:00.0: its directory: a link there leads out of /sys; ");
	log_is("");
}

static void fifos_do_not_hang(void)
{
	begin();
	unlinkat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", 0);
	ok(mkfifoat(tree.fd, "devices/pci0000:01/0000:01:00.0/driver_override", 0644) == 0);
	is_int(step(STEP_OVERRIDE, GPU, "vfio-pci"), 1);
}

static void who_is_not_heard_stops(void)
{
	struct step two[] = {{STEP_UNBIND, AUDIO, "snd_hda_intel"}, {STEP_UNBIND, GPU, "nvidia"}};
	int ends[2];

	begin();
	signal(SIGPIPE, SIG_IGN);
	ok(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	kernel.on = true;
	is_int(write_steps(tree.fd, -1, tool, &(struct steps){two, 2}, ends[1]), 2);
	kernel.on = false;
	close(ends[1]);
	log_is("drivers/snd_hda_intel/unbind: 0000:01:00.1\n");
}

/* What the driver refuses five times has changed nothing. */
static void nvidias_driver_is_asked_first(void)
{
	begin();
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 0);
	log_is("unbindLock of 0000:01:00.0: 1\n");
	begin();
	kernel.users = 3;
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 0);
	log_is("unbindLock of 0000:01:00.0: 1\nunbindLock of 0000:01:00.0: 1\n"
	       "unbindLock of 0000:01:00.0: 1\nunbindLock of 0000:01:00.0: 1\n");
	begin();
	kernel.users = -1;
	is_int(run(&(struct steps){(struct step[]){{STEP_UNBIND_LOCK, GPU, "1"},
						   {STEP_OVERRIDE, GPU, "vfio-pci"}},
				   2}),
	       1);
	has(out, "0 no 0000:01:00.0: NVIDIA's driver does not let go of it: it is in use, by");
	has(out, "; nothing was changed; end that, it is tried again");
	is_int(kernel.log.len, 5 * strlen("unbindLock of 0000:01:00.0: 1\n"));
	kernel.users = 0;
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 0);
	is_int(step(STEP_UNBIND_LOCK, GPU, "0"), 0);
	has(buf_text(&kernel.log), "unbindLock of 0000:01:00.0: 0\n");
}

/* Who cannot ask does not know. To give back what is not there is done. Most drivers have none. */
static void a_lock_that_is_not_there_is_a_refusal(void)
{
	begin();
	kernel_lock("0000:01:00.0", NULL);
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 0);
	tree_file(&tree, "devices/pci0000:01/0000:01:00.0/graphics", "");
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 1);
	has(out, "0 no 0000:01:00.0: the kernel's console is on it");
	unlinkat(tree.fd, "driver/nvidia/gpus/0000:01:00.0", AT_REMOVEDIR);
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 1);
	has(out, "0 no 0000:01:00.0: /proc/driver/nvidia does not show it, so");
	is_int(step(STEP_UNBIND_LOCK, GPU, "0"), 0);
	log_is("");
	begin();
	kernel.error = EACCES;
	is_int(step(STEP_UNBIND_LOCK, GPU, "1"), 1);
	has(out,
	    "0 no 0000:01:00.0: driver/nvidia/gpus/0000:01:00.0/unbindLock: that is forbidden");
}

/* --- from the scan to the scan ------------------------------------------------------------- */

static struct arena arena;

/* The drivers of both functions after at most so many steps of what is planned now. True: at rest. */
static bool plan_and_write(enum want want, struct book_function *known, size_t most)
{
	struct book book = {.whose = BOOK_OURS, .functions = {known, 2}, .why = ""};
	attr_cleanup(machine_finish) struct machine m;
	struct unit_list units;
	struct bind_plan p;
	struct err err;

	machine_init(&m);
	ok(scan(tree.fd, &m, &err) == 0);
	units_make(&m, &arena, &units);
	is_int(units.n, 1);
	book.doing = want == WANT_VFIO ? BOOK_NOTHING : BOOK_BACK;
	plan_bind(&(struct bind_seen){&m, &units.items[0], &book, want, BIND_USERS_NONE, "", ""},
		  &arena, &p);
	if (p.next != BIND_WRITE) {
		is_int(p.next, BIND_REST);
		return true;
	}
	p.steps.n = MIN(p.steps.n, most);
	is_int(run(&p.steps), 0);
	return false;
}

static void drivers_are(const char *gpu, const char *audio)
{
	is_int(step(STEP_EXPECT_DRIVER, GPU, gpu), 0);
	is_int(step(STEP_EXPECT_DRIVER, AUDIO, audio), 0);
}

static void there_and_back_with_any_cut(void)
{
	struct book_function known[] = {{GPU, true, "nvidia", ""},
					{AUDIO, true, "snd_hda_intel", ""}};

	arena_init(&arena, 4 * MiB);
	for (size_t cut = 1; cut < 13; cut++) {
		begin();
		plan_and_write(WANT_VFIO, known, cut);
		plan_and_write(WANT_VFIO, known, SIZE_MAX);
		ok(plan_and_write(WANT_VFIO, known, SIZE_MAX));
		drivers_are("vfio-pci", "vfio-pci");
		plan_and_write(WANT_HOST, known, cut);
		plan_and_write(WANT_HOST, known, SIZE_MAX);
		drivers_are("nvidia", "snd_hda_intel");
		is_int(step(STEP_READ_OVERRIDE, GPU, ""), 0);
		is_str(out, "0 ok \n");
	}
	arena_finish(&arena);
}

/* --- in a child ---------------------------------------------------------------------------- */

static char said[256];
static int status;

static struct loop *loop;

static void on_done(attr_unused void *job, const struct process_result *r)
{
	snprintf(said, sizeof(said), "%s%s", r->out, r->message);
	status = r->status;
	loop_stop(loop);
}

static void runs_in_a_child(void)
{
	struct step one = {STEP_OVERRIDE, GPU, "vfio-pci"};
	const struct steps steps = {&one, 1};
	struct write_job job = {0, -1, getpid(), &steps, NULL};
	struct err err;

	begin();
	job.sys = tree.fd;
	loop = loop_create();
	for (int i = 0; i < 2; i++) {
		job.parent += i; /* of somebody else, who is gone */
		ok(process_start(loop,
				 &(struct process_spec){.name = "hands",
							.run = write_run,
							.keep = &job.sys,
							.n_keep = 1,
							.timeout_ms = 10000,
							.max_out = 4096,
							.done = on_done,
							.ctx = &job},
				 &err));
		loop_run(loop);
		is_int(status, i ? 2 : 0);
		is_str(said, i ? "" : "0 ok \n");
	}
	loop_destroy(loop);
}

/* Whoever started it dies: it does not go on alone. The pipe closes when all have gone. */
static void ends_with_its_parent(void)
{
	struct step one = {STEP_OVERRIDE, GPU, "vfio-pci"};
	const struct steps steps = {&one, 1};
	struct pollfd end;
	char byte;
	int ends[2];
	pid_t parent;

	begin();
	kernel.on = kernel.hangs = true;
	ok(pipe(ends) == 0);
	parent = fork();
	if (parent == 0) {
		struct write_job job = {tree.fd, -1, getpid(), &steps, NULL};

		if (fork() == 0) {
			(void)!write(ends[1], "x", 1);
			_exit(write_run(&job, STDOUT_FILENO));
		}
		pause();
		_exit(0);
	}
	close(ends[1]);
	ok(read(ends[0], &byte, 1) == 1);
	usleep(50000); /* into the write */
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	end = (struct pollfd){.fd = ends[0], .events = POLLIN};
	is_int(poll(&end, 1, 5000), 1);
	ok(end.revents & POLLHUP);
	close(ends[0]);
}

static void nothing_stays(void)
{
	free(take(out));
	tree_remove(&tree);
	buf_finish(&kernel.log);
}

TESTS({"each step does what it says", steps_do_what_they_say},
      {"only what was read is said", only_what_was_read_is_said},
      {"the first that fails ends the program", first_failure_ends_it},
      {"what is not as expected is said", expectations_that_fail},
      {"dead cards are noticed", dead_cards},
      {"what is no GPU and on no GPU's board is refused, by every step", others_are_refused},
      {"a companion is in its GPU's group, or in one of its own", groups_of_companions},
      {"what cannot be known is refused", what_cannot_be_known_is_refused},
      {"the boot display stays", boot_display_stays},
      {"only what is on vfio is reset", resets_only_on_vfio},
      {"a reset that fails, or after which the card is dead", resets_that_fail},
      {"every error has words and a remedy", errors_have_a_remedy},
      {"interruptions and short writes", interruptions_and_short_writes},
      {"a probe that lies is found out", probe_that_lies},
      {"no link is followed, no file made", no_link_is_followed},
      {"no link leads out of /sys", no_link_leads_out}, {"a FIFO does not hang", fifos_do_not_hang},
      {"who is not heard stops", who_is_not_heard_stops},
      {"NVIDIA's driver is asked before anything is changed", nvidias_driver_is_asked_first},
      {"where it cannot be asked nothing is done", a_lock_that_is_not_there_is_a_refusal},
      {"there and back from the scan to the scan, cut anywhere", there_and_back_with_any_cut},
      {"it runs in a child", runs_in_a_child}, {"it ends with its parent", ends_with_its_parent},
      {"nothing stays", nothing_stays})
