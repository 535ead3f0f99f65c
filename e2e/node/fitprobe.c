/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fitprobe ADDRESS STEPS SEED [mixed]: holds what vmgpu-node counts (scan.h, fit.h) against what a kernel
 * takes. In a guest, as root, on a card that nobody uses and that has no vGPUs yet.
 *
 * A life of so many random steps, in each of which a vGPU is made or removed, or the kernel refuses it.
 * Before the first and after each the card is scanned, and for each of its types so many vGPUs as are
 * counted, and one more, are written into the kernel and taken away again:
 *
 *	equal sizes	it takes exactly as many as are counted
 *	mixed		as many, or more
 *
 * Prints what was tried, and each count that was wrong. 1: there was one, 2: it could not be tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "node-daemon/fit.h"
#include "node-daemon/scan.h"
#include "node-daemon/vgpu.h"

enum { VGPUS_MAX = 64, SHOWN_MAX = 20 };

struct vgpu {
	uint64_t at;
	unsigned id;
	char uuid[37]; /* "": vendor VFIO */
};

static struct {
	int sys;
	bool mixed;
	uint64_t address;
	uint16_t device;
	struct machine machine;
	const struct pci_function *card; /* of the last look */
	struct arena arena;
	struct vgpu alive[VGPUS_MAX];
	size_t n;
	uint64_t random, uuids;
} probe;

static struct {
	int steps, counts, wrong;
	int64_t made, removed, refused;
	/* mixed: more were taken than were counted, also of what is not listed; an empty card shows
	 * not that it is mixed, and was counted as one of equal sizes */
	int more, unlisted, empty;
} seen;

static unsigned draw(unsigned below)
{
	probe.random = probe.random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(probe.random >> 33) % below;
}

static _Noreturn void die(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	exit(2);
}

/* --- what the kernel is told -------------------------------------------------------------------- */

/* False: it refuses, or has no such type. */
static bool put(const char *path, const char *value)
{
	int fd = openat(probe.sys, path, O_WRONLY | O_CLOEXEC);
	bool taken = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

	if (fd < 0 && errno == ENOENT) {
		return false;
	}
	if (fd < 0) {
		die(path, strerror(errno));
	}
	close(fd);
	return taken;
}

static bool create(uint64_t at, unsigned id)
{
	struct vgpu *v = &probe.alive[probe.n];
	char path[160], value[48], text[PCIFN_TEXT_MAX];

	*v = (struct vgpu){.at = at, .id = id};
	pcifn_text(at, text);
	if (probe.card->face == VGPU_MDEV) {
		snprintf(v->uuid, sizeof(v->uuid), "00000000-0000-4000-8000-%012" PRIx64,
			 ++probe.uuids);
		snprintf(value, sizeof(value), "%s", v->uuid);
		snprintf(path, sizeof(path),
			 "bus/pci/devices/%s/mdev_supported_types/nvidia-%u/create", text, id);
	} else {
		snprintf(value, sizeof(value), "%u", id);
		snprintf(path, sizeof(path), "bus/pci/devices/%s/nvidia/current_vgpu_type", text);
	}
	if (!put(path, value)) {
		seen.refused++;
		return false;
	}
	probe.n++;
	seen.made++;
	return true;
}

static void take_away(size_t i)
{
	const struct vgpu *v = &probe.alive[i];
	char path[160], text[PCIFN_TEXT_MAX];
	bool done;

	if (*v->uuid) {
		snprintf(path, sizeof(path), "bus/mdev/devices/%s/remove", v->uuid);
		done = put(path, "1");
	} else {
		snprintf(path, sizeof(path), "bus/pci/devices/%s/nvidia/current_vgpu_type",
			 pcifn_text(v->at, text));
		done = put(path, "0");
	}
	if (!done) {
		die(path, "what nobody uses is not removed");
	}
	probe.alive[i] = probe.alive[--probe.n];
	seen.removed++;
}

/* --- what vmgpu-node sees ----------------------------------------------------------------------- */

static void look(void)
{
	struct err err;

	if (scan(probe.sys, &probe.machine, &err) < 0) {
		die("scan", err.text);
	}
	probe.card = machine_function(&probe.machine, probe.address);
	if (!probe.card || probe.card->face == VGPU_NONE || *probe.card->trouble) {
		die("the card", probe.card && *probe.card->trouble ? probe.card->trouble
								   : "it offers no vGPUs");
	}
	probe.device = probe.card->ids.device;
	if (vgpu_made(probe.card) != probe.n) {
		die("the card", "it shows other vGPUs than were made");
	}
}

/* 0: every place has a vGPU. */
static uint64_t free_place(unsigned from)
{
	size_t n = probe.card->vfs.n;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = probe.card->vfs.items[(from + i) % n].address;
		bool taken = false;

		for (size_t k = 0; k < probe.n; k++) {
			taken |= probe.alive[k].at == at;
		}
		if (!taken) {
			return at;
		}
	}
	return n || probe.n == VGPUS_MAX ? 0 : probe.address;
}

/* --- the one against the other ------------------------------------------------------------------ */

/* So many more of a type the kernel takes, up to a most. All is then as it was. */
static int64_t taken(unsigned id, int64_t most)
{
	size_t before = probe.n;
	uint64_t at;
	int64_t n;

	while ((int64_t)(probe.n - before) < most && (at = free_place(0)) && create(at, id)) {
	}
	n = (int64_t)(probe.n - before);
	while (probe.n > before) {
		take_away(probe.n - 1);
	}
	return n;
}

static void judge(const struct vgpu_known *k, int64_t counted, int64_t real)
{
	seen.counts++;
	if (probe.mixed && real >= counted) {
		seen.more += counted && real > counted;
		seen.unlisted += !counted && real;
	} else if (probe.mixed && !probe.n && real) {
		seen.empty++;
	} else if (real != counted && ++seen.wrong <= SHOWN_MAX) {
		printf("step %d, %zu vGPUs: %s is counted %" PRId64 ", and the kernel takes %s"
		       "%" PRId64 "\n",
		       seen.steps, probe.n, k->name, counted, real > counted ? "at least " : "",
		       real);
	}
}

/* Of an empty card many of each type fit, and writing them all takes long: a few, others each time. */
static void hold_against_the_kernel(void)
{
	const struct vgpu_known *all;
	enum fit_mode mode;
	size_t n;

	look();
	all = vgpu_known_all(probe.device, &n);
	mode = fit_mode(probe.card);
	if (!probe.mixed && mode != FIT_EQUAL && ++seen.wrong) {
		printf("step %d: the card is taken for one of other than equal sizes\n",
		       seen.steps);
	}
	for (size_t i = 0; i < n; i++) {
		struct vgpu_type t;
		int64_t counted = 0;

		arena_reset(&probe.arena);
		if (!all[i].id || (!probe.n && seen.steps && draw(6))) {
			continue;
		}
		if (fit_type(probe.card, all[i].name, &probe.arena, &t)) {
			counted = fit_more(probe.card, &t, mode);
		}
		judge(&all[i], counted, taken(all[i].id, counted + 1));
	}
}

/* With equal sizes mostly one of the size that goes on: else nearly all would be refused. */
static void step(void)
{
	size_t n;
	const struct vgpu_known *all = vgpu_known_all(probe.device, &n), *t = &all[draw(n)];
	const struct vgpu_known *like =
		probe.n ? vgpu_known_id(probe.device, probe.alive[0].id) : NULL;
	uint64_t at = free_place(draw(VGPUS_MAX));

	seen.steps++;
	for (int i = 0; i < 200 && like && !probe.mixed && draw(40) &&
			t->framebuffer_mib != like->framebuffer_mib;
	     i++) {
		t = &all[draw(n)];
	}
	if (probe.n && (!at || !draw(3))) {
		take_away(draw(probe.n));
	} else if (at && t->id) {
		create(at, t->id);
	}
}

int main(int argc, char **argv)
{
	int steps = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;

	if (steps <= 0 || argc < 4 || pcifn_parse(argv[1], &probe.address) < 0) {
		die("usage", "fitprobe ADDRESS STEPS SEED [mixed]");
	}
	probe.random = strtoull(argv[3], NULL, 10);
	probe.mixed = argc > 4 && str_eq(argv[4], "mixed");
	probe.sys = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	machine_init(&probe.machine);
	arena_init(&probe.arena, MiB);
	hold_against_the_kernel();
	while (seen.steps < steps && seen.wrong <= SHOWN_MAX) {
		step();
		hold_against_the_kernel();
	}
	while (probe.n) {
		take_away(probe.n - 1);
	}
	look();
	printf("%d steps, %d counts held against the kernel, %d wrong; %" PRId64
	       " vGPUs made and %" PRId64 " removed, %" PRId64 " refused\n",
	       seen.steps, seen.counts, seen.wrong, seen.made, seen.removed, seen.refused);
	if (probe.mixed) {
		printf("not told by the driver: %d times more fitted than the one that is counted, %d "
		       "times of a type that is not listed; %d times an empty card, of which nothing "
		       "shows that it is mixed, was counted as one of equal sizes and took fewer\n",
		       seen.more, seen.unlisted, seen.empty);
	}
	machine_finish(&probe.machine);
	arena_finish(&probe.arena);
	return seen.wrong != 0;
}
