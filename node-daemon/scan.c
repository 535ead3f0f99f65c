/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node-daemon/scan_inner.h"

/* --- the bus ------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

struct entry *scan_entry(const struct scan *s, uint64_t address)
{
	struct entry key = {.address = address};

	return s->n_entries ? bsearch(&key, s->entries, s->n_entries, sizeof(key), by_address)
			    : NULL;
}

static int list_bus(struct scan *s)
{
	const char **names;
	size_t n;
	int rc = scan_note(
		s, sysfs_list(s->devices, ".", MACHINE_MAX_ENTRIES, &s->m->arena, &names, &n));

	s->entries = arena_array(&s->m->arena, struct entry, n);
	for (size_t i = 0; i < n; i++) {
		struct entry *e = &s->entries[s->n_entries];

		if (pcifn_parse(names[i], &e->address) < 0) {
			scan_trouble(s, "bus/pci/devices", names[i], -EBADMSG);
			continue;
		}
		e->name = names[i];
		s->n_entries++;
	}
	if (s->n_entries) {
		qsort(s->entries, s->n_entries, sizeof(*s->entries), by_address);
	}
	s->m->entries = s->n_entries;
	return rc;
}

/* --- one function -------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* They are in no order yet. */
static bool has_group(const struct machine *m, int64_t id)
{
	list_each(g, &m->groups) {
		if (g->id == id) {
			return true;
		}
	}
	return false;
}

/* The members of the group of an open function, once for each group. */
static void read_members(struct scan *s, int dir, int64_t id)
{
	struct machine *m = s->m;
	struct iommu_group *g;
	const char **names;
	size_t n;
	int rc;

	if (id < 0 || has_group(m, id)) {
		return;
	}
	rc = scan_note(s, sysfs_list(dir, "iommu_group/devices", MACHINE_MAX_MEMBERS, &m->arena,
				     &names, &n));
	if (m->groups.n % 64 == 0) {
		struct iommu_group *more =
			arena_array(&m->arena, struct iommu_group, m->groups.n + 64);

		if (m->groups.n) {
			memcpy(more, m->groups.items, m->groups.n * sizeof(*more));
		}
		m->groups.items = more;
	}
	g = &m->groups.items[m->groups.n++];
	*g = (struct iommu_group){
		.id = id, .trouble = "", .members.items = arena_array(&m->arena, uint64_t, n)};
	for (size_t i = 0; i < n; i++) {
		g->members.n += pcifn_parse(names[i], &g->members.items[g->members.n]) == 0;
	}
	if (g->members.n) {
		qsort(g->members.items, g->members.n, sizeof(uint64_t), by_number);
	}
	if (rc < 0) {
		g->trouble = arena_printf(&m->arena, "members of IOMMU group %" PRId64 ": %s", id,
					  scan_why(rc));
	}
}

static struct pci_function *function_add(struct scan *s, struct entry *e, enum pci_kind kind,
					 int dir)
{
	struct machine *m = s->m;
	struct pci_function *f = arena_new(&m->arena, struct pci_function);
	int rc;

	*f = (struct pci_function){
		.address = e->address,
		.kind = kind,
		.ids = e->ids,
		.group = -1,
		.cdev = -1,
		.numa = -1,
		.words = "",
		.vendor_words = "",
		.device_words = "",
		.reset_method = "",
		.trouble = "",
	};
	if ((rc = scan_driver(s, dir, &f->driver)) < 0) {
		scan_card_trouble(s, f, f->address, "driver", rc);
		f->unsure = true;
	}
	if ((rc = scan_group(dir, &f->group)) < 0) {
		scan_card_trouble(s, f, f->address, "iommu_group", rc);
		f->unsure = true;
	}
	if (pcifn_driver_is_vfio(f->driver) && (rc = scan_cdev(s, dir, &f->cdev)) < 0) {
		scan_card_trouble(s, f, f->address, "vfio-dev", rc);
	}
	if (kind != PCI_MEMBER) {
		read_members(s, dir, f->group);
	}
	if (m->functions.n % 64 == 0) {
		struct pci_function **more =
			arena_array(&m->arena, struct pci_function *, m->functions.n + 64);

		if (m->functions.n) {
			memcpy(more, m->functions.items, m->functions.n * sizeof(*more));
		}
		m->functions.items = more;
	}
	m->functions.items[m->functions.n++] = f;
	e->seen = true;
	return f;
}

/* ../../../devices/pci0000:80/0000:80:01.0/0000:81:00.0: the bridges above, from the root port
 * down. */
static void read_above(struct scan *s, const struct entry *e, struct pci_function *card)
{
	char target[1024];
	uint64_t above[MACHINE_MAX_DEPTH], at;
	size_t n = 0;
	char *rest = target;

	if (sysfs_link(s->devices, e->name, target, sizeof(target)) < 0) {
		return; /* a tree without links has no topology */
	}
	for (char *part; (part = strsep(&rest, "/")) && n < MACHINE_MAX_DEPTH;) {
		if (pcifn_parse(part, &at) == 0 && at != e->address) {
			above[n++] = at;
		}
	}
	card->above.items = arena_array(&s->m->arena, uint64_t, n);
	card->above.n = n;
	memcpy(card->above.items, above, n * sizeof(*above));
}

/*
 * The virtual functions that are there: counted by their links, since sriov_numvfs waits for the
 * lock of the device (sysfs.h). The kernel makes the links in order and without gaps.
 */
static void read_sriov(struct scan *s, struct entry *at, int dir)
{
	struct pci_function *card = at->card;
	int rc = sysfs_int(dir, "sriov_totalvfs", 0, UINT16_MAX, &card->total_vfs);
	struct pci_vf *vfs;
	char next[32], target[256];
	size_t most;

	if (rc < 0 && rc != -ENOENT) {
		scan_half_seen(s, card, card->address, "sriov_totalvfs", rc);
	}
	most = (size_t)MIN(card->total_vfs, MACHINE_MAX_VFS);
	vfs = card->vfs.items = arena_array(&s->m->arena, struct pci_vf, most);
	for (unsigned i = 0; i < most; i++) {
		char link[16], text[PCIFN_TEXT_MAX + 1];
		struct pci_vf *vf = &vfs[card->vfs.n];
		struct entry *e;

		snprintf(link, sizeof(link), "virtfn%u", i);
		rc = (int)sysfs_link_name(dir, link, text, sizeof(text));
		if (rc == -ENOENT) {
			return;
		}
		if (rc < 0 || pcifn_parse(text, &vf->address) < 0) {
			scan_half_seen(s, card, card->address, link, rc < 0 ? rc : -EBADMSG);
			continue;
		}
		e = scan_entry(s, vf->address);
		if (e && (e->card || e->address <= card->address)) {
			scan_half_seen(s, card, card->address, link, -EBADMSG);
			continue;
		}
		*vf = (struct pci_vf){.address = vf->address,
				      .index = i,
				      .driver = "",
				      .group = -1,
				      .type = "",
				      .gone = !e};
		card->vfs.n++;
		if (e) {
			e->card = card;
			e->vf = vf;
		}
	}
	snprintf(next, sizeof(next), "virtfn%zu", most);
	if (most == MACHINE_MAX_VFS && sysfs_link_name(dir, next, target, sizeof(target)) >= 0) {
		scan_half_seen(s, card, card->address, "virtual functions", -E2BIG);
		at->cut = true;
	}
}

/* A GPU's virtual function that its card does not know. Cards come before theirs. */
static void look_at_stray(struct scan *s, const struct entry *e, const char *card)
{
	uint64_t at;
	const struct entry *of = pcifn_parse(card, &at) < 0 ? NULL : scan_entry(s, at);

	if (of && of->card && !of->vf) {
		of->card->half_seen = true;
	}
	if (!of || !of->cut) {
		scan_trouble(s, e->name, "physfn", -EBADMSG);
	}
}

static bool room_for_gpu(struct scan *s, struct entry *e)
{
	if (s->n_gpus < MACHINE_MAX_GPUS) {
		return true;
	}
	scan_trouble(s, e->name, "GPUs of one node", -E2BIG);
	e->cut = true;
	return false;
}

static struct pci_function *gpu_add(struct scan *s, struct entry *e, int dir)
{
	struct pci_function *gpu = function_add(s, e, PCI_GPU, dir);
	char text[256];

	s->n_gpus++;
	scan_note(s, sysfs_int(dir, "numa_node", -1, INT32_MAX, &gpu->numa));
	if (scan_note(s, (int)sysfs_read(dir, "reset_method", text, sizeof(text))) > 0) {
		gpu->reset_method = arena_strdup(&s->m->arena, text);
	}
	read_above(s, e, gpu);
	return gpu;
}

static void look_at_gpu(struct scan *s, struct entry *e, int dir)
{
	struct pci_function *card;
	char text[256];
	int64_t boot = 0;

	if (sysfs_link_name(dir, "physfn", text, sizeof(text)) >= 0) {
		look_at_stray(s, e, text);
		return;
	}
	if (!room_for_gpu(s, e)) {
		return;
	}
	card = e->card = gpu_add(s, e, dir);
	if (e->ids.class_code >> 16 == 0x03) {
		scan_note(s, sysfs_int(dir, "boot_vga", 0, 1, &boot));
	}
	card->boot_display = boot == 1;
	read_sriov(s, e, dir);
}

/*
 * A virtual function on which nobody makes vGPUs is a GPU by itself, as Intel's and AMD's are. One of
 * NVIDIA's is a place for a vGPU, also while its driver has not said so yet.
 */
static void look_at_plain_vf(struct scan *s, struct entry *e, int dir)
{
	const char *file;
	int rc;

	if (e->vf->face != VGPU_NONE || e->card->ids.vendor == PCIFN_NVIDIA) {
		return;
	}
	file = scan_ids(dir, &e->ids, &rc);
	if (file) {
		scan_card_trouble(s, e->card, e->address, file, rc);
	} else if (pcifn_is_gpu(&e->ids) && room_for_gpu(s, e)) {
		gpu_add(s, e, dir)->card = e->card;
		e->vf->whole = true;
	}
}

static void look_at_vf(struct scan *s, struct entry *e, int dir)
{
	int rc;

	if ((rc = scan_driver(s, dir, &e->vf->driver)) < 0) {
		scan_half_seen(s, e->card, e->address, "driver", rc);
	}
	if ((rc = scan_group(dir, &e->vf->group)) < 0) {
		scan_half_seen(s, e->card, e->address, "iommu_group", rc);
	}
	scan_vf_face(s, e, dir);
	look_at_plain_vf(s, e, dir);
}

static void look_at(struct scan *s, struct entry *e)
{
	auto_close int dir = scan_note(s, sysfs_dir(s->devices, e->name));
	const char *file;
	int rc = dir;

	if (dir < 0) {
		if (rc != -ENOENT) { /* that one vanished since the bus was listed */
			scan_trouble(s, e->name, "directory", rc);
		} else if (e->vf) {
			e->vf->gone = true;
		}
		return;
	}
	if (e->vf) {
		look_at_vf(s, e, dir);
		return;
	}
	file = scan_ids(dir, &e->ids, &rc);
	if (file) {
		if (sysfs_exists(s->devices, e->name)) {
			scan_trouble(s, e->name, file, rc);
		}
		return;
	}
	if (pcifn_is_gpu(&e->ids)) {
		look_at_gpu(s, e, dir);
	}
}

/* --- what goes along ----------------------------------------------------------------------- */

/* 0 or -errno: it goes along and cannot be looked at. */
static int look_along(struct scan *s, struct entry *e, enum pci_kind kind)
{
	auto_close int dir = -1;

	if (e->seen || e->vf) {
		return 0;
	}
	if (s->m->functions.n == MACHINE_MAX_FUNCTIONS) {
		return -E2BIG;
	}
	dir = scan_note(s, sysfs_dir(s->devices, e->name));
	if (dir < 0) {
		return dir == -ENOENT ? 0 : dir; /* that one vanished since the bus was listed */
	}
	function_add(s, e, kind, dir);
	return 0;
}

static void look_at_companions(struct scan *s, struct pci_function *card)
{
	int rc;

	for (struct entry *e = scan_entry(s, card->address) + 1; e < s->entries + s->n_entries;
	     e++) {
		if (pcifn_slot(e->address) != pcifn_slot(card->address)) {
			break;
		}
		if (!e->card && e->ids.vendor == card->ids.vendor && pcifn_is_companion(&e->ids) &&
		    (rc = look_along(s, e, PCI_COMPANION)) < 0) {
			scan_card_trouble(s, card, e->address, "directory", rc);
		}
	}
}

/* A member that nobody could look at may be a host's NIC: the group is not known to be viable. */
static void look_at_members(struct scan *s, struct iommu_group *g)
{
	list_each(at, &g->members) {
		struct entry *e = scan_entry(s, *at);
		int rc = e ? look_along(s, e, PCI_MEMBER) : 0;

		if (rc < 0 && !*g->trouble) {
			scan_trouble(s, e->name, "member of a GPU's IOMMU group", rc);
			g->trouble = arena_printf(&s->m->arena,
						  "%s, a member of IOMMU group %" PRId64 ": %s",
						  e->name, g->id, scan_why(rc));
		}
	}
}

static int by_function(const void *a, const void *b)
{
	return by_number(&(*(struct pci_function *const *)a)->address,
			 &(*(struct pci_function *const *)b)->address);
}

static int by_id(const void *a, const void *b)
{
	const struct iommu_group *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void look_at_neighbours(struct scan *s)
{
	struct machine *m = s->m;
	size_t gpus = m->functions.n;

	for (size_t i = 0; i < gpus; i++) {
		look_at_companions(s, m->functions.items[i]);
	}
	list_each(g, &m->groups) {
		look_at_members(s, g);
	}
	if (m->functions.n) {
		qsort(m->functions.items, m->functions.n, sizeof(*m->functions.items), by_function);
	}
	if (m->groups.n) {
		qsort(m->groups.items, m->groups.n, sizeof(*m->groups.items), by_id);
	}
}

/* --- the machine --------------------------------------------------------------------------- */

static int no_bus(int rc, struct err *err)
{
	return err_set(err, "bus/pci/devices: %s: the directory must be the machine's /sys",
		       strerror(-rc));
}

static int look_at_bus(struct scan *s, struct err *err)
{
	int rc = list_bus(s);

	if (s->starved) {
		return 0; /* said by who called */
	}
	if (rc < 0 && rc != -E2BIG) {
		return no_bus(rc, err);
	}
	if (rc < 0) {
		scan_trouble(s, "bus/pci/devices", "list", rc);
	}
	for (size_t i = 0; i < s->n_entries; i++) {
		look_at(s, &s->entries[i]);
	}
	look_at_neighbours(s);
	scan_vgpus(s);
	return 0;
}

static int look_at_all(struct scan *s, struct err *err)
{
	auto_close int devices = scan_note(s, sysfs_dir(s->sys, "bus/pci/devices"));
	bool no_pci = devices == -ENOENT && sysfs_exists(s->sys, "bus");

	s->devices = devices;
	if (devices < 0 && !no_pci && !s->starved) {
		return no_bus(devices, err);
	}
	if (devices >= 0 && look_at_bus(s, err) < 0) {
		return -1;
	}
	scan_node(s);
	if (s->starved) {
		return err_set(err,
			       "%s on the way through /sys; if that goes on, raise the limits on "
			       "open files and memory of vmgpu-node or of its node",
			       strerror(-s->starved));
	}
	return 0;
}

int scan(int sys, struct machine *m, struct err *err)
{
	struct machine fresh;
	struct scan s = {.sys = sys, .m = &fresh};

	machine_init(&fresh);
	if (look_at_all(&s, err) < 0) {
		machine_finish(&fresh);
		return -1;
	}
	machine_finish(m);
	*m = fresh;
	return 0;
}
