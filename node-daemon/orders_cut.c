/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "node-daemon/fit.h"
#include "node-daemon/orders_inner.h"

/* A card's virtual functions have numbers behind its own (PCI Express 9.2.1.2: First VF Offset, VF
 * Stride), which only the card tells, and only when they are made. */
#define FARTHEST_VF 0x400

struct cutter {
	const struct unit_order *given;
	const struct unit_list *units;
	const struct pci_function *card;
	struct arena *arena;
};

/* --- virtual functions --------------------------------------------------------------------- */

static const char *vfs_refusal(struct cutter *k, enum want want)
{
	int64_t n = k->given->vfs.value, total = k->card->total_vfs;

	if (!k->given->vfs.set || n == 0) {
		return NULL;
	}
	if (n < 0 || n > MACHINE_MAX_VFS) {
		return arena_printf(k->arena,
				    "vfs: %" PRId64 ": a card has from 0 to %d virtual functions",
				    n, MACHINE_MAX_VFS);
	}
	if (want == WANT_VFIO) {
		return "vfs: a card that is given as a whole has no virtual functions; order want: "
		       "vgpu or host, or vfs: 0";
	}
	if (n > total) {
		return total ? arena_printf(k->arena,
					    "vfs: %" PRId64
					    " virtual functions are ordered, and the card can have "
					    "%" PRId64,
					    n, total)
			     : "vfs: the card can have no virtual functions; SR-IOV may be off in "
			       "the firmware's setup";
	}
	if (n != total && str_eq(k->card->driver, "nvidia")) {
		return arena_printf(k->arena,
				    "vfs: NVIDIA's driver makes all %" PRId64
				    " virtual functions of the card, or none",
				    total);
	}
	return NULL;
}

/* --- slots --------------------------------------------------------------------------------- */

static bool is_vf_of(const struct pci_function *card, uint64_t at)
{
	list_each(vf, &card->vfs) {
		if (vf->address == at) {
			return true;
		}
	}
	return false;
}

/* Some unit has it already. */
static bool is_somebodys(const struct unit_list *units, uint64_t at)
{
	list_each(u, units) {
		list_each(f, &u->functions) {
			if ((*f)->address == at || is_vf_of(*f, at)) {
				return true;
			}
		}
	}
	return false;
}

static bool is_place(struct cutter *k, uint64_t at)
{
	const struct pci_function *card = k->card;

	if (card->vfs.n) {
		return is_vf_of(card, at);
	}
	if (!card->total_vfs) {
		return at == card->address;
	}
	return at > card->address && at - card->address <= FARTHEST_VF &&
	       at >> 16 == card->address >> 16 && !is_somebodys(k->units, at);
}

static const char *place_refusal(struct cutter *k, const struct slot_order *s, uint64_t *ret)
{
	const struct pci_function *card = k->card;
	char text[PCIFN_TEXT_MAX];

	if (!s->vf || pcifn_parse(s->vf, ret) < 0 || !str_eq(pcifn_text(*ret, text), s->vf)) {
		return arena_printf(k->arena,
				    "slots: \"%.32s\" is no PCI address such as 0000:41:00.4",
				    s->vf ? s->vf : "");
	}
	if (is_place(k, *ret)) {
		return NULL;
	}
	return arena_printf(k->arena, "slots: %s is %s of this card", s->vf,
			    card->total_vfs ? "no virtual function" : "not the address");
}

/* Also one that is made by no driver now: the write decides then. */
static const char *type_refusal(struct cutter *k, const char *type, struct vgpu_type *ret)
{
	*ret = (struct vgpu_type){.id = "", .name = ""};
	if (str_empty(type) || fit_type(k->card, type, k->arena, ret)) {
		return str_empty(type) ? "slots: a slot has no type"
		       : vgpu_is_mig(type)
			       ? arena_printf(k->arena,
					      "slots: %.64s is a MIG instance, which this version "
					      "does not make; order a type without MIG",
					      type)
			       : NULL;
	}
	if (!vgpu_knows(k->card)) {
		return NULL;
	}
	return arena_printf(
		k->arena,
		"slots: the card has no vGPU type \"%.64s\"; status.units[].profiles has "
		"its types",
		type);
}

/* The places before number i are other ones; on a card without functions all are the same. */
static const char *again(struct cutter *k, const struct slot_wanted_list *slots, size_t i)
{
	const struct slot_wanted *s = &slots->items[i];

	for (size_t n = 0; n < i && s->at != k->card->address; n++) {
		if (slots->items[n].at == s->at) {
			return arena_printf(k->arena, "slots: %s is ordered twice",
					    k->given->slots.items[i].vf);
		}
	}
	return NULL;
}

static const char *too_many(struct cutter *k, const struct slot_wanted_list *slots, size_t i,
			    const struct vgpu_type *t)
{
	int64_t n = 0;

	for (size_t m = 0; m <= i; m++) {
		n += vgpu_same_name(slots->items[m].type, slots->items[i].type);
	}
	return t->max && n > t->max
		       ? arena_printf(k->arena,
				      "slots: more than %" PRId64 " of %.64s are ordered, and the "
				      "card takes no more",
				      t->max, t->name)
		       : NULL;
}

static const char *slots_refusal(struct cutter *k, struct order *ret)
{
	const char *why = NULL;

	if (!k->given->slots.n) {
		return NULL;
	}
	if (ret->want != WANT_VGPU) {
		return "slots: vGPUs are made of a card that is ordered so; order want: vgpu";
	}
	if (k->given->slots.n > MACHINE_MAX_VFS) {
		return arena_printf(k->arena, "slots: %zu are ordered, and a card has at most %d",
				    k->given->slots.n, MACHINE_MAX_VFS);
	}
	if (ret->vfs == 0 && k->card->total_vfs) {
		return "slots: they need the virtual functions that vfs: 0 takes away";
	}
	ret->slots.items = arena_array(k->arena, struct slot_wanted, k->given->slots.n);
	for (size_t i = 0; i < k->given->slots.n && !why; i++) {
		const struct slot_order *s = &k->given->slots.items[i];
		struct slot_wanted *w = &ret->slots.items[i];
		struct vgpu_type t;

		w->type = s->type;
		why = place_refusal(k, s, &w->at);
		why = why ? why : type_refusal(k, s->type, &t);
		why = why ? why : again(k, &ret->slots, i);
		why = why ? why : too_many(k, &ret->slots, i, &t);
	}
	ret->slots.n = k->given->slots.n;
	return why;
}

/* --- the whole ----------------------------------------------------------------------------- */

static const char *no_vgpus(struct cutter *k, const struct order *o)
{
	return o->want != WANT_VGPU || vgpu_knows(k->card) || k->card->total_vfs ||
			       k->card->face != VGPU_NONE
		       ? NULL
		       : "want: vgpu: neither the card's driver nor any table knows a vGPU of it; "
			 "load the driver that makes them, or order vfio";
}

const char *order_cut(const struct unit_order *given, const struct unit_list *units,
		      struct arena *a, struct order *ret)
{
	struct cutter k = {given, units, ret->unit->card, a};
	const char *why = vfs_refusal(&k, ret->want);

	ret->vfs = given->vfs.set ? given->vfs.value : -1;
	ret->slots = (struct slot_wanted_list){0};
	why = why ? why : no_vgpus(&k, ret);
	return why ? why : slots_refusal(&k, ret);
}
