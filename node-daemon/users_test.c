/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a unit's nodes open, in a made /sys and a made /proc; /dev/null and its kin stand for the nodes. */
#include "node-daemon/users.h"

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define NULL_NODE "1:3" /* /dev/null */
#define ZERO_NODE "1:5"
#define ALL_SEEN "pid:[4026531836]"

#define CARD(gpu, audio)                                                                           \
	"dir class/iommu/dmar0\n"                                                                  \
	"device 0000:41:00.0 id=10de:26b9 class=030200 group=1" gpu "\n"                           \
	"device 0000:41:00.1 id=10de:22ba class=040300 group=1" audio "\n"
#define AT "devices/pci0000:41/0000:41:00."
#define SOUND(node) "dir " AT "1/sound/card0/controlC0\n  dev = " node "\n"
#define GROUP(node) "dir devices/virtual/vfio/1\n  dev = " node "\n"

struct world {
	struct tree sys, proc;
	struct machine machine;
	struct arena arena;
	struct unit_list units;
	char who[USERS_WHO_MAX];
};

static void end(struct world *w)
{
	arena_finish(&w->arena);
	machine_finish(&w->machine);
	tree_remove(&w->sys);
	tree_remove(&w->proc);
}
#define auto_world attr_cleanup(end)

static void begin(struct world *w, const char *sys, const char *ns)
{
	struct err err;

	*w = (struct world){.sys = tree_make(sys), .proc = tree_make("")};
	machine_init(&w->machine);
	arena_init(&w->arena, 16 * MiB);
	is_int(scan(w->sys.fd, &w->machine, &err), 0);
	units_make(&w->machine, &w->arena, &w->units);
	is_int(w->units.n, 1);
	tree_dir(&w->proc, "self/ns");
	tree_dir(&w->proc, "1/fd");
	symlinkat(ns, w->proc.fd, "self/ns/pid");
	mkdirat(w->sys.fd, "class/vfio", 0755);
	symlinkat("../../devices/virtual/vfio/1", w->sys.fd, "class/vfio/1");
}

/* A process that has these files open. */
static void process(struct world *w, const char *pid, const char *comm, const char *file)
{
	auto_free char *dir = xprintf("%s/fd", pid), *fd = xprintf("%s/fd/3", pid),
		       *name = xprintf("%s/comm", pid);
	int out;

	tree_dir(&w->proc, dir);
	symlinkat(file, w->proc.fd, fd);
	out = openat(w->proc.fd, name, O_WRONLY | O_CREAT, 0644);
	dprintf(out, "%s\n", comm);
	close(out);
}

static enum bind_users look(struct world *w)
{
	*w->who = '\0';
	return users_look(w->sys.fd, w->proc.fd, &w->units.items[0], w->who);
}

static void a_process_with_a_node_open_is_found(void)
{
	static const char *const cards[] = {
		CARD("", " driver=snd_hda_intel") SOUND(NULL_NODE),
		CARD(" driver=vfio-pci", "") GROUP(NULL_NODE),
		CARD(" driver=vfio-pci", " driver=vfio-pci")
			GROUP(ZERO_NODE) "dir " AT "0/vfio-dev/vfio0\n  dev = " NULL_NODE "\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		auto_world struct world w;

		begin(&w, cards[i], ALL_SEEN);
		process(&w, "12", "sleep", "/dev/full");
		is_int(look(&w), BIND_USERS_NONE);
		process(&w, "123", "qemu-system-x86", "/dev/null");
		is_int(look(&w), BIND_USERS_SOME);
		is_str(w.who, "process 123 (qemu-system-x86)");
	}
}

static void without_a_driver_nobody_can_use_it(void)
{
	auto_world struct world w;

	begin(&w, CARD("", ""), ALL_SEEN);
	process(&w, "123", "sleep", "/dev/null");
	is_int(look(&w), BIND_USERS_NONE);
}

static void what_cannot_be_seen_is_unknown(void)
{
	static const struct {
		const char *sys, *ns;
	} rows[] = {
		/* a driver whose users open nodes that are not below the device */
		{CARD(" driver=nvidia", ""), ALL_SEEN},
		{CARD("", " driver=snd_hda_intel") SOUND(NULL_NODE), "pid:[4026532000]"},
		{CARD("", " driver=snd_hda_intel") SOUND("nonsense"), ALL_SEEN},
		{CARD(" driver=vfio-pci", ""), ALL_SEEN}, /* its group has no node */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_world struct world w;

		begin(&w, rows[i].sys, rows[i].ns);
		is_int(look(&w), BIND_USERS_UNKNOWN);
	}
}

TESTS({"a process that has a node of the unit open is found and named",
       a_process_with_a_node_open_is_found},
      {"nobody uses what has no driver", without_a_driver_nobody_can_use_it},
      {"where not all can be seen nobody says that it is not used", what_cannot_be_seen_is_unknown})
