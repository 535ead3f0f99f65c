/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_cut.h"

#include <inttypes.h>
#include <string.h>

#include "base/sha256.h"
#include "node-daemon/vgpu.h"

#define PLACE_STEPS 3 /* at most */
#define OTHER_STEPS 4
#define NOT_LOOKED "somebody whom this daemon cannot see"

/* --- what exists --------------------------------------------------------------------------- */

void cut_made(const struct pci_function *card, struct arena *a, struct cut_vgpu_list *ret)
{
	*ret = (struct cut_vgpu_list){arena_array(a, struct cut_vgpu, card->mdevs.n + card->vfs.n),
				      0};
	list_each(d, &card->mdevs) {
		ret->items[ret->n++] = (struct cut_vgpu){d->parent, d->uuid, d->type,
							 vgpu_type_name(card, d->type)};
	}
	list_each(vf, &card->vfs) {
		if (*vf->type) {
			ret->items[ret->n++] = (struct cut_vgpu){vf->address, "", vf->type,
								 vgpu_type_name(card, vf->type)};
		}
	}
}

bool cut_is_type(const struct cut_vgpu *v, const char *name)
{
	return vgpu_same_name(v->name, name) || str_eq(v->name, v->id);
}

const char *cut_holder(const struct cut_seen *seen, const struct cut_vgpu *v)
{
	list_each(u, &seen->uses) {
		if (u->at == v->at && (!*u->uuid || !*v->uuid || str_eq(u->uuid, v->uuid))) {
			return u->holder;
		}
	}
	return seen->looked ? NULL : NOT_LOOKED;
}

const char *cut_vf_holder(const struct cut_seen *seen, const struct pci_vf *vf)
{
	return cut_holder(seen, &(struct cut_vgpu){.at = vf->address, .uuid = ""});
}

/* --- steps --------------------------------------------------------------------------------- */

void cut_add(struct cut_plan *p, struct arena *a, enum step_verb verb, uint64_t at,
	     const char *value)
{
	if (!p->steps.items) {
		p->steps.items =
			arena_array(a, struct step, CUT_PLACES * PLACE_STEPS + OTHER_STEPS);
	}
	p->steps.items[p->steps.n++] = (struct step){verb, at, value};
}

void cut_add_drop(struct cut_plan *p, struct arena *a, const struct cut_vgpu *v)
{
	bool mdev = *v->uuid;

	cut_add(p, a, mdev ? STEP_MDEV_DROP : STEP_TYPE, v->at, mdev ? v->uuid : "0");
	cut_add(p, a, mdev ? STEP_EXPECT_MDEV : STEP_EXPECT_MADE, v->at, mdev ? v->uuid : "0");
}

/* What the place offers is read right before the write: it changes with each vGPU of the card
 * (nvidia.md 2.4). */
void cut_add_make(struct cut_plan *p, struct arena *a, enum vgpu_face face,
		  const struct cut_vgpu *v)
{
	bool mdev = face == VGPU_MDEV;
	const char *value = mdev ? arena_printf(a, "%s %s", v->uuid, v->id) : v->id;

	cut_add(p, a, STEP_EXPECT_TYPE, v->at, v->id);
	cut_add(p, a, mdev ? STEP_MDEV_MAKE : STEP_TYPE, v->at, value);
	cut_add(p, a, mdev ? STEP_EXPECT_MDEV : STEP_EXPECT_MADE, v->at, value);
}

/* --- refusals ------------------------------------------------------------------------------ */

void cut_refuse(struct cut_plan *p, struct arena *a, const char *reason, const char *message)
{
	if (p->why.type) {
		p->why.message = arena_printf(a, "%s; %s", p->why.message, message);
		return;
	}
	p->why = (struct condition){
		.type = "Available", .status = "False", .reason = reason, .message = message};
}

bool cut_forbidden(const struct cut_seen *seen, struct arena *a, struct cut_plan *p)
{
	if (seen->book->whose == BOOK_QUARANTINED) {
		cut_refuse(p, a, "Quarantined", seen->book->why);
	} else if (!str_empty(seen->refusal)) {
		cut_refuse(p, a, "NothingWritten", seen->refusal);
	} else if (seen->unit->card->unsure || seen->unit->card->half_seen) {
		cut_refuse(p, a, "Unreadable",
			   arena_printf(a, "%s; nothing is done with the unit until it reads",
					*seen->unit->card->trouble
						? seen->unit->card->trouble
						: "its virtual functions do not all show"));
	}
	return p->why.type;
}

/* --- UUIDs --------------------------------------------------------------------------------- */

/* Version 8, of RFC 9562: by a rule of one's own. */
const char *cut_uuid(const char *node, const char *boot, uint64_t at, const char *what,
		     struct arena *a)
{
	const char *text = arena_printf(a, "vmgpu %s %s %" PRIx64 " %s", node, boot, at, what);
	char hex[SHA256_HEX];

	sha256_hex(text, strlen(text), hex);
	hex[12] = '8';
	hex[16] = "89ab"[hex[16] & 3];
	return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
			    hex + 20);
}
