/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_sriov.h"

#include <inttypes.h>

#include "node-daemon/tool.h"

struct cutter {
	const struct cut_seen *seen;
	const struct pci_function *card;
	struct arena *arena;
	struct cut_plan *ret;
	int64_t want, have;
};

/* --- refusals ------------------------------------------------------------------------------ */

enum refusal {
	REFUSED_NO_DRIVER,
	REFUSED_VFIO,
	REFUSED_BOOT_DISPLAY,
	REFUSED_GONE,
	REFUSED_TOTAL,
	REFUSED_ALL_OR_NONE,
	REFUSED_USED,
};

/* "PLACE WHAT; remedy" */
static const struct {
	const char *reason, *remedy;
} refusals[] = {
	[REFUSED_NO_DRIVER] = {"NoHostDriver", "load the driver of its vendor"},
	[REFUSED_VFIO] = {"NoHostDriver", "order want: vgpu or host, so that it is given back"},
	[REFUSED_BOOT_DISPLAY] =
		{"BootDisplay", "make another adapter the primary display in the firmware's setup"},
	[REFUSED_GONE] = {"Unreadable", "it is looked at again"},
	[REFUSED_TOTAL] = {"TooManyFunctions", "order fewer"},
	[REFUSED_ALL_OR_NONE] = {"AllOrNone", "order that number, or 0"},
	[REFUSED_USED] = {"InUse", "it is changed when that has ended"},
};

static bool refuse(struct cutter *k, enum refusal r, uint64_t at, const char *what)
{
	char text[PCIFN_TEXT_MAX];

	cut_refuse(k->ret, k->arena, refusals[r].reason,
		   arena_printf(k->arena, "%s %s; %s", pcifn_text(at, text), what,
				refusals[r].remedy));
	return true;
}

static bool by_nvidia(const struct cutter *k)
{
	return str_eq(k->card->driver, "nvidia");
}

static bool cannot(struct cutter *k)
{
	const struct pci_function *card = k->card;

	if (!*card->driver) {
		return refuse(k, REFUSED_NO_DRIVER, card->address,
			      "has no driver, and virtual functions are made by one");
	}
	if (pcifn_driver_is_vfio(card->driver)) {
		return refuse(k, REFUSED_VFIO, card->address,
			      arena_printf(k->arena,
					   "is on %s, and virtual functions are made by the host's "
					   "driver",
					   card->driver));
	}
	if (card->boot_display && by_nvidia(k)) {
		return refuse(k, REFUSED_BOOT_DISPLAY, card->address,
			      "shows the firmware's console, which sriov-manage would take away");
	}
	if (k->want > card->total_vfs) {
		return refuse(k, REFUSED_TOTAL, card->address,
			      arena_printf(k->arena,
					   "can have %" PRId64 " virtual functions, and %" PRId64
					   " are ordered",
					   card->total_vfs, k->want));
	}
	if (k->want && k->want != card->total_vfs && by_nvidia(k)) {
		return refuse(k, REFUSED_ALL_OR_NONE, card->address,
			      arena_printf(k->arena,
					   "gets all %" PRId64
					   " virtual functions from NVIDIA's driver, or none",
					   card->total_vfs));
	}
	return false;
}

/* Any of the functions: 0 takes them all. */
static bool in_use(struct cutter *k)
{
	list_each(vf, &k->card->vfs) {
		const char *holder = cut_vf_holder(k->seen, vf);

		if (holder) {
			return refuse(k, REFUSED_USED, vf->address,
				      arena_printf(k->arena,
						   "is used by %s, and a change of the number of "
						   "virtual functions takes all of them away",
						   holder));
		}
	}
	list_each(u, &k->seen->uses) {
		if (u->at == k->card->address) {
			return refuse(k, REFUSED_USED, u->at,
				      arena_printf(k->arena, "is used by %s", u->holder));
		}
	}
	return false;
}

/* --- steps --------------------------------------------------------------------------------- */

static void add(struct cutter *k, enum step_verb verb, const char *value)
{
	cut_add(k->ret, k->arena, verb, k->card->address, value);
}

static const char *number(struct cutter *k, int64_t n)
{
	return arena_printf(k->arena, "%" PRId64, n);
}

static bool drop_vgpus(struct cutter *k)
{
	struct cut_vgpu_list made;

	cut_made(k->card, k->arena, &made);
	for (size_t i = 0; i < made.n && i < CUT_PLACES; i++) {
		cut_add_drop(k->ret, k->arena, &made.items[i]);
	}
	return made.n > 0;
}

static void to_none(struct cutter *k)
{
	if (drop_vgpus(k)) {
		return;
	}
	add(k, by_nvidia(k) ? STEP_TOOL : STEP_VFS, by_nvidia(k) ? TOOL_DISABLE : "0");
	add(k, STEP_EXPECT_VFS, "0");
}

static void from_none(struct cutter *k)
{
	if (by_nvidia(k)) {
		add(k, STEP_TOOL, TOOL_ENABLE);
	} else {
		add(k, STEP_AUTOPROBE, "0");
		add(k, STEP_VFS, number(k, k->want));
	}
	add(k, STEP_EXPECT_VFS, number(k, k->want));
}

/* --- the whole ----------------------------------------------------------------------------- */

static const struct pci_vf *gone(const struct pci_function *card)
{
	list_each(vf, &card->vfs) {
		if (vf->gone) {
			return vf;
		}
	}
	return NULL;
}

void plan_sriov(const struct cut_seen *seen, struct arena *a, struct cut_plan *ret)
{
	const struct order *order = orders_find(seen->orders, seen->unit);
	struct cutter k = {.seen = seen, .card = seen->unit->card, .arena = a, .ret = ret};
	const struct pci_vf *lost = gone(k.card);

	*ret = (struct cut_plan){0};
	if (!order || order->vfs < 0) {
		return;
	}
	k.want = order->vfs;
	k.have = (int64_t)k.card->vfs.n;
	if ((k.have == k.want && !lost) || cut_forbidden(seen, a, ret)) {
		return;
	}
	if (lost) {
		refuse(&k, REFUSED_GONE, lost->address,
		       "is a virtual function of the card and not on the bus");
		return;
	}
	if (cannot(&k) || (k.have && in_use(&k))) {
		return;
	}
	if (k.have) {
		to_none(&k);
	} else {
		from_none(&k);
	}
}
