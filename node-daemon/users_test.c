/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a unit's device nodes open or mapped, in a made /sys and a made /proc; /dev/null and its kin
 * stand for the nodes. */
#include "node-daemon/users.h"

#include <sys/stat.h>

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/unit.h"

#define NULL_NODE "1:3" /* /dev/null */
#define ZERO_NODE "1:5"
#define ALL_SEEN "pid:[4026531836]"

#define IOMMU "dir class/iommu/dmar0\n"
#define CARD(gpu, audio)                                                                           \
	"device 0000:41:00.0 id=10de:26b9 class=030200 group=1" gpu "\n"                           \
	"device 0000:41:00.1 id=10de:22ba class=040300 group=1" audio "\n"
#define AT "devices/pci0000:41/0000:41:00."
#define SOUND(node) "dir " AT "1/sound/card0/controlC0\n  dev = " node "\n"
#define GROUP(node)                                                                                \
	"dir devices/virtual/vfio/1\n  dev = " node                                                \
	"\ndir class/vfio\n  1 -> ../../devices/virtual/vfio/1\n"
#define DRM(node) "dir " AT "0/drm/renderD128\n  dev = " node "\n"
#define NVIDIA                                                                                     \
	"dir driver/nvidia/gpus/0000:41:00.0\n"                                                    \
	"  information = Model: \t\t NVIDIA L40S\\nDevice Minor: \t 3\\nGPU Excluded:\t No\n"      \
	"dir .\n"                                                                                  \
	"  devices = Character devices:\\n  1 nvidia-frontend\\n195 nvidiactl\\n\\nBlock devices:\\n  8 sd\n"

struct world {
	struct tree sys, proc;
	struct machine machine;
	struct arena arena;
	struct unit_list units;
	struct eyes_question question;
	struct eyes_answer answer;
};

static void end(struct world *w)
{
	arena_finish(&w->arena);
	machine_finish(&w->machine);
	tree_remove(&w->sys);
	tree_remove(&w->proc);
}
#define auto_world attr_cleanup(end)

static void begin(struct world *w, const char *sys, const char *proc)
{
	auto_free char *all = xprintf(IOMMU "%s", sys);
	struct err err;

	*w = (struct world){.sys = tree_make(all), .proc = tree_make(proc)};
	machine_init(&w->machine);
	arena_init(&w->arena, 16 * MiB);
	is_int(scan(w->sys.fd, &w->machine, &err), 0);
	units_make(&w->machine, &w->arena, &w->units);
	tree_dir(&w->proc, "self/ns");
	tree_dir(&w->proc, "1/fd");
	tree_dir(&w->proc, "1/task");
	tree_file(&w->proc, "1/maps", "");
	tree_link(&w->proc, "self/ns/pid", ALL_SEEN);
	w->question.items = arena_array(&w->arena, struct eyes_unit, w->units.n);
	list_each(u, &w->units) {
		eyes_unit_of(u, &w->arena, &w->question.items[w->question.n++]);
	}
}

/* A process that has this file open, and these lines in its maps. */
static void process(struct world *w, const char *pid, const char *comm, const char *file,
		    const char *maps)
{
	auto_free char *fd = xprintf("%s/fd/3", pid), *name = xprintf("%s/comm", pid),
		       *map = xprintf("%s/maps", pid), *root = xprintf("%s/root", pid),
		       *task = xprintf("%s/task", pid);

	if (file) {
		tree_link(&w->proc, fd, file);
	} else {
		tree_parent(&w->proc, fd);
	}
	tree_file(&w->proc, name, comm);
	tree_file(&w->proc, map, maps);
	tree_link(&w->proc, root, "/");
	tree_dir(&w->proc, task);
}

static const char *look(struct world *w)
{
	static const char *const words[] = {[BIND_USERS_UNKNOWN] = "unknown",
					    [BIND_USERS_NONE] = "none",
					    [BIND_USERS_SOME] = "some"};
	const char *text = "";

	users_look(w->sys.fd, w->proc.fd, &w->question, &w->arena, &w->answer);
	list_each(u, &w->answer.units) {
		text = arena_printf(&w->arena, "%s%s%s%s%s", text, *text ? "; " : "",
				    words[u->users], *u->who ? " " : "", u->who);
	}
	return text;
}

static void a_process_with_a_node_open_is_found(void)
{
	static const struct {
		const char *sys, *proc;
	} cards[] = {
		{CARD("", " driver=snd_hda_intel") SOUND(NULL_NODE), ""},
		{CARD(" driver=vfio-pci", "") GROUP(NULL_NODE), ""},
		{CARD(" driver=vfio-pci", " driver=vfio-pci")
			 GROUP(ZERO_NODE) "dir " AT "0/vfio-dev/vfio0\n  dev = " NULL_NODE "\n",
		 ""},
		{CARD(" driver=amdgpu", "") DRM(NULL_NODE), ""},
		{CARD(" driver=i915", "") DRM(
			 ZERO_NODE) "dir " AT
				    "0/drm/card0/card0-DP-1/i2c-7/i2c-dev/i2c-7\n  dev = " NULL_NODE
				    "\n",
		 ""},
		{CARD(" driver=nvidia", ""), NVIDIA},
		{CARD(" driver=nvidia", " driver=snd_hda_intel") SOUND(NULL_NODE), NVIDIA},
		{CARD(" driver=nvidia", "") DRM(NULL_NODE), NVIDIA}, /* nvidia-drm */
	};

	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		auto_world struct world w;

		begin(&w, cards[i].sys, cards[i].proc);
		process(&w, "12", "sleep", "/dev/full",
			"55d0-55d1 r-xp 00000000 fe:01 77   /usr/bin/sleep");
		is_str(look(&w), "none");
		process(&w, "123", "qemu-system-x86", "/dev/null", "");
		is_str(look(&w), "some process 123 (qemu-system-x86)");
	}
}

/* kohakuriver's row: the display server is named, and what helps. */
static void services_are_named_with_what_helps(void)
{
	static const struct {
		const char *comm, *helps;
	} rows[] = {
		{"Xorg", "some process 123 (Xorg), a display server: stop it"},
		{"nvidia-persiste",
		 "(nvidia-persiste), which keeps the card awake: nvidia-smi -pm 0"},
		{"nv-hostengine",
		 "(nv-hostengine), which watches the card for DCGM: stop it, DCGM 4.5"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_world struct world w;

		begin(&w, CARD(" driver=nvidia", ""), NVIDIA);
		process(&w, "123", rows[i].comm, "/dev/null", "");
		has(look(&w), rows[i].helps);
	}
}

/* It was opened, mapped, and closed again. */
static void mapped_nodes_are_found(void)
{
	struct stat st;
	auto_free char *line = NULL, *renamed = NULL;

	stat("/dev/null", &st);
	line = xprintf("7f00-7f01 r--p 0000 fe:01 9 /usr/lib/x\\n"
		       "7f10-7f20 rw-s 00000000 00:06 %lu                  /dev/null",
		       (unsigned long)st.st_ino);
	renamed =
		xprintf("7f10-7f20 rw-s 00000000 00:06 %lu /dev/nvidia3", (unsigned long)st.st_ino);
	{
		auto_world struct world w;

		begin(&w, CARD(" driver=nvidia", ""), NVIDIA);
		process(&w, "123", "cuda", NULL, line);
		is_str(look(&w), "some process 123 (cuda)");
		process(&w, "123", "cuda", NULL,
			"7f10-7f20 rw-s 00000000 00:01 8  /dev/zero (deleted)");
		is_str(look(&w), "none");
		process(&w, "123", "cuda", NULL, renamed);
		is_str(look(&w), "unknown process 123 (cuda) has mapped /dev/nvidia3, which is not "
				 "there any more");
		process(&w, "123", "cuda", NULL,
			"7f10-7f20 rw-p 00000000 00:06 8  /run/renderD128 (deleted)");
		has(look(&w), "unknown process 123 (cuda) has mapped /run/renderD128, which is");
	}
}

/* The kernel does not say whose such a descriptor is, unless it is new, or shows its group. */
static void vfio_devices_without_a_name_are_in_doubt(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=vfio-pci", "") GROUP("250:7"), "");
	process(&w, "123", "odd", "anon_inode:[vfio-device]", "");
	is_str(look(&w),
	       "unknown process 123 (odd) has a vfio device open, and the kernel does not "
	       "say which");
	tree_file(&w.proc, "123/fdinfo/3",
		  "pos:\\t0\\nvfio-device-syspath: /sys/devices/pci0000:41/0000:41:00.0");
	is_str(look(&w), "some process 123 (odd)");
	tree_file(&w.proc, "123/fdinfo/3",
		  "pos:\\t0\\nvfio-device-syspath: /sys/devices/pci0000:41/0000:41:00.2");
	is_str(look(&w), "none");
	process(&w, "124", "odd", NULL, "7f10-7f20 rw-s 00000000 00:0e 8 anon_inode:[vfio-device]");
	has(look(&w), "unknown process 124 (odd) has a vfio device open");
}

static void who_shows_another_group_has_that_ones_device(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=vfio-pci", "") GROUP("1:77"), "");
	process(&w, "123", "qemu", "/dev/null", ""); /* 1:3, as another group */
	tree_link(&w.proc, "123/fd/4", "anon_inode:[vfio-device]");
	is_str(look(&w), "none");
}

/* The thread that began it has ended, and shows nothing. */
static void threads_that_outlive_the_first_are_found(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=amdgpu", "") DRM(NULL_NODE), "");
	process(&w, "123", "pthreads", NULL, "");
	tree_link(&w.proc, "123/task/125/fd/3", "/dev/null");
	tree_file(&w.proc, "123/task/125/maps", "");
	is_str(look(&w), "some process 123 (pthreads)");
}

static void two_units_are_looked_at_at_once(void)
{
	auto_world struct world w;

	begin(&w,
	      CARD(" driver=amdgpu", "") DRM(NULL_NODE) IOMMU
	      "device 0000:42:00.0 id=1002:740f class=038000 group=2 driver=amdgpu\n"
	      "dir devices/pci0000:42/0000:42:00.0/drm/renderD129\n  dev = " ZERO_NODE "\n"
	      "device 0000:43:00.0 id=10de:26b9 class=030200 group=3 driver=tenstorrent\n",
	      "");
	process(&w, "123", "rocm", "/dev/zero", "");
	is_str(look(&w),
	       "none; some process 123 (rocm); unknown 0000:43:00.0 (tenstorrent): who uses "
	       "what that driver has is not known");
}

static void what_is_made_or_plugged_in_is_in_use(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=nvidia", ""),
	      NVIDIA "dir driver/nvidia/capabilities/gpu3/mig/gi1\n"
		     "dir driver/nvidia/capabilities/gpu3/mig/gi2\n");
	is_str(look(&w), "some 2 GPU instances of MIG, which nvidia-smi mig -dgi removes");
	end(&w);
	begin(&w,
	      CARD("", "") "device 0000:41:00.2 id=10de:1ad8 class=0c0330 group=1 driver=xhci_hcd\n"
			   "dir " AT "2/usb3/3-0:1.0\n",
	      "");
	is_str(look(&w), "none");
	tree_dir(&w.sys, AT "2/usb3/3-1");
	is_str(look(&w), "some USB device 3-1 that is plugged into 0000:41:00.2");
}

static void without_a_driver_nobody_can_use_it(void)
{
	auto_world struct world w;

	begin(&w, CARD("", ""), "");
	process(&w, "123", "sleep", "/dev/null", "");
	is_str(look(&w), "none");
}

static void what_cannot_be_seen_is_unknown(void)
{
	static const struct {
		const char *sys, *proc, *why;
	} rows[] = {
		{CARD(" driver=nvidia", ""), "",
		 "0000:41:00.0 (nvidia): /proc/driver/nvidia does not say which of /dev/nvidia* it is"},
		{CARD(" driver=nvidia", ""),
		 NVIDIA
		 "  devices = Character devices:\\n  1 mem\\n\\nBlock devices:\\n  8 nvidia\n",
		 "0000:41:00.0 (nvidia): /proc/devices does not name NVIDIA's nodes"},
		{CARD(" driver=xe", ""), "", "0000:41:00.0 (xe): its driver shows no DRM device"},
		{CARD("", " driver=snd_hda_intel") SOUND("nonsense"), "",
		 "0000:41:00.1 (snd_hda_intel): the number of one of its device nodes cannot be read"},
		{CARD(" driver=vfio-pci", ""), "",
		 "0000:41:00.0 (vfio-pci): vfio has no node for its IOMMU group"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_world struct world w;
		auto_free char *want = xprintf("unknown %s", rows[i].why);

		begin(&w, rows[i].sys, rows[i].proc);
		is_str(look(&w), want);
	}
}

static void other_pid_namespaces_show_too_little(void)
{
	auto_world struct world w;

	begin(&w, CARD("", " driver=snd_hda_intel") SOUND(NULL_NODE), "");
	tree_link(&w.proc, "self/ns/pid", "pid:[4026532000]");
	has(look(&w), "unknown only the processes of its own PID namespace are seen here; run");
	tree_link(&w.proc, "self/ns/pid", ALL_SEEN);
	is_str(look(&w), "none");
	unlinkat(w.proc.fd, "1/fd", AT_REMOVEDIR); /* hidepid */
	has(look(&w), "unknown only the processes");
}

/* What is asked and what is there by now must be the same. */
static void a_machine_that_has_changed_is_in_doubt(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=vfio-pci", "") GROUP(ZERO_NODE), "");
	is_str(look(&w), "none");
	w.question.items[0].group = 2;
	has(look(&w), "unknown 0000:41:00.0 (vfio-pci): it is in another IOMMU group by now");
	w.question.items[0].group = 1;
	w.question.items[0].functions.items[0].driver = "amdgpu";
	has(look(&w), "unknown 0000:41:00.0 (amdgpu): it is on another driver by now");
	w.question.items[0].functions.items[0] = (struct eyes_function){0x9900, "amdgpu"};
	has(look(&w), "unknown 0000:99:00.0 (amdgpu): it is not there any more");
}

/* A link whose file is not there is, to who reads it, one that has just ended. */
static void processes_that_end_meanwhile_are_in_doubt(void)
{
	auto_world struct world w;

	begin(&w, CARD(" driver=amdgpu", "") DRM(NULL_NODE), "");
	tree_link(&w.proc, "77", "not-there");
	is_str(look(&w),
	       "unknown processes end faster than they can be looked at; it is tried again");
	process(&w, "123", "rocm", "/dev/null", "");
	is_str(look(&w), "some process 123 (rocm)"); /* which is certain all the same */
}

static void versions_are_told(void)
{
	auto_world struct world w;

	begin(&w, CARD("", "") "dir module/nvidia\n  version = 550.54.15\n", "");
	tree_link(&w.proc, "1/root/usr/lib64/libnvidia-ml.so.1", "libnvidia-ml.so.535.1");
	look(&w);
	is_int(w.answer.versions.n, 2);
	is_str(w.answer.versions.items[0].name, "nvidia");
	is_str(w.answer.versions.items[0].version, "550.54.15");
	is_str(w.answer.versions.items[1].name, "libnvidia-ml");
	is_str(w.answer.versions.items[1].version, "535.1");
}

TESTS({"a process that has a node of the unit open is found and named",
       a_process_with_a_node_open_is_found},
      {"services that hold cards are named with what helps", services_are_named_with_what_helps},
      {"a node that is only mapped is found", mapped_nodes_are_found},
      {"a vfio device that the kernel does not name is in doubt",
       vfio_devices_without_a_name_are_in_doubt},
      {"who shows a group has the devices of that one",
       who_shows_another_group_has_that_ones_device},
      {"threads that outlive the first one are found", threads_that_outlive_the_first_are_found},
      {"two units are looked at at once", two_units_are_looked_at_at_once},
      {"GPU instances and USB devices are uses", what_is_made_or_plugged_in_is_in_use},
      {"nobody uses what has no driver", without_a_driver_nobody_can_use_it},
      {"where not all can be seen nobody says that it is not used", what_cannot_be_seen_is_unknown},
      {"in another PID namespace nothing is known", other_pid_namespaces_show_too_little},
      {"a machine that has changed is in doubt", a_machine_that_has_changed_is_in_doubt},
      {"processes that end meanwhile are looked at again, then in doubt",
       processes_that_end_meanwhile_are_in_doubt},
      {"versions of drivers and libraries are told", versions_are_told})
