/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_slots.h"

#include <inttypes.h>
#include <stdlib.h>

#include "node-daemon/fit.h"

/* One vGPU to make or to remove. */
struct task {
	struct cut_vgpu vgpu;
	enum vgpu_face face;
	int64_t size;
	size_t number; /* of the slot */
};

LIST_OF(task_list, struct task);

struct slotter {
	const struct cut_seen *seen;
	const struct order *order;
	const struct pci_function *card;
	struct arena *arena;
	struct cut_plan *ret;
	struct cut_vgpu_list made;
	bool *wanted; /* each of made: by a slot */
	bool *done;   /* each slot: by one of made */
};

/* --- refusals ------------------------------------------------------------------------------ */

enum refusal {
	REFUSED_USED,
	REFUSED_NOT_THERE,
	REFUSED_NO_FACE,
	REFUSED_UNKNOWN,
	REFUSED_PERMIT,
};

/* "PLACE WHAT; remedy" */
static const struct {
	const char *reason, *remedy;
} refusals[] = {
	[REFUSED_USED] = {"InUse", "it is changed when that has ended"},
	[REFUSED_NOT_THERE] = {"NoSuchFunction", "order vfs, or slots on functions that are there"},
	[REFUSED_NO_FACE] = {"NoVGPUs", "the vGPU driver of the host must have it"},
	[REFUSED_UNKNOWN] = {"UnknownType",
			     "order one of status.units[].profiles, or wait for the driver"},
	[REFUSED_PERMIT] =
		{"NotPermitted",
		 "it is made when the KubeVirt CR names its type as served from outside"},
};

static void refuse(struct slotter *k, enum refusal r, uint64_t at, const char *what)
{
	char text[PCIFN_TEXT_MAX];

	cut_refuse(k->ret, k->arena, refusals[r].reason,
		   arena_printf(k->arena, "%s %s; %s", pcifn_text(at, text), what,
				refusals[r].remedy));
}

/* --- what is there and what is wanted ------------------------------------------------------ */

static void match(struct slotter *k)
{
	k->wanted = arena_array(k->arena, bool, k->made.n);
	k->done = arena_array(k->arena, bool, k->order->slots.n);
	for (size_t i = 0; i < k->order->slots.n; i++) {
		const struct slot_wanted *s = &k->order->slots.items[i];

		list_each(v, &k->made) {
			bool *wanted = &k->wanted[v - k->made.items];

			if (!k->done[i] && !*wanted && v->at == s->at && cut_is_type(v, s->type)) {
				*wanted = k->done[i] = true;
			}
		}
	}
}

static const struct pci_vf *function_at(const struct pci_function *card, uint64_t at)
{
	list_each(vf, &card->vfs) {
		if (vf->address == at && !vf->gone) {
			return vf;
		}
	}
	return NULL;
}

/* What carries the slot, VGPU_NONE: it is refused. */
static enum vgpu_face face_of(struct slotter *k, const struct slot_wanted *s)
{
	const struct pci_vf *vf = function_at(k->card, s->at);
	bool on_card = s->at == k->card->address && !k->card->vfs.n;
	enum vgpu_face face = vf ? vf->face : on_card ? k->card->face : VGPU_NONE;
	const char *driver = vf ? vf->driver : k->card->driver;

	if (!vf && !on_card) {
		refuse(k, REFUSED_NOT_THERE, s->at, "is no virtual function of the card");
	} else if (face == VGPU_NONE) {
		refuse(k, REFUSED_NO_FACE, s->at,
		       arena_printf(k->arena, "offers no vGPUs: its driver is %s",
				    *driver ? driver : "none"));
	}
	return face;
}

/* A place that carries one vGPU, and carries it still. */
static bool is_taken(struct slotter *k, const struct slot_wanted *s)
{
	list_each(v, &k->made) {
		if (v->at == s->at && s->at != k->card->address) {
			return true;
		}
	}
	return false;
}

/* On a card that carries several by itself each has a UUID of its own. */
static const char *free_uuid(struct slotter *k, const struct slot_wanted *s, size_t number,
			     const struct task_list *others)
{
	const struct cut_seen *seen = k->seen;

	for (size_t n = 0;; n++) {
		const char *what = arena_printf(k->arena, "%s %zu", s->type, number + n);
		const char *uuid = cut_uuid(seen->node, seen->boot, s->at, what, k->arena);
		bool taken = false;

		list_each(v, &k->made) {
			taken |= str_eq(v->uuid, uuid);
		}
		list_each(other, others) {
			taken |= str_eq(other->vgpu.uuid, uuid);
		}
		if (!taken) {
			return uuid;
		}
	}
}

/* --- tasks --------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->vgpu.at != y->vgpu.at ? (x->vgpu.at > y->vgpu.at) - (x->vgpu.at < y->vgpu.at)
					: (x->number > y->number) - (x->number < y->number);
}

static int big_first(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->size != y->size ? (x->size < y->size) - (x->size > y->size) : by_place(a, b);
}

/* Those behind the place that failed first, so that none is never tried. */
static size_t first_of(const struct slotter *k, const struct task_list *tasks)
{
	list_each(t, tasks) {
		if (k->seen->failed_at && t->vgpu.at == k->seen->failed_at) {
			return (size_t)(t - tasks->items) + 1;
		}
	}
	return 0;
}

static void drops(struct slotter *k, struct task_list *ret)
{
	*ret = (struct task_list){arena_array(k->arena, struct task, k->made.n), 0};
	for (size_t i = 0; i < k->made.n; i++) {
		const struct cut_vgpu *v = &k->made.items[i];
		const char *holder = cut_holder(k->seen, v);

		if (k->wanted[i]) {
			continue;
		}
		if (holder) {
			refuse(k, REFUSED_USED, v->at,
			       arena_printf(k->arena,
					    "carries %s, which is not ordered and used by %s",
					    v->name, holder));
			continue;
		}
		ret->items[ret->n++] = (struct task){.vgpu = *v, .number = i};
	}
	if (ret->n) {
		qsort(ret->items, ret->n, sizeof(*ret->items), by_place);
	}
}

static void add_make(struct slotter *k, size_t i, struct task_list *ret)
{
	const struct slot_wanted *s = &k->order->slots.items[i];
	enum vgpu_face face = face_of(k, s);
	struct vgpu_type t;

	if (face == VGPU_NONE || is_taken(k, s)) {
		return; /* said */
	}
	if (!fit_type(k->card, s->type, k->arena, &t)) {
		refuse(k, REFUSED_UNKNOWN, s->at,
		       arena_printf(k->arena, "has no type %.64s", s->type));
		return;
	}
	if (face == VGPU_MDEV && !orders_permit(k->seen->orders, t.name)) {
		refuse(k, REFUSED_PERMIT, s->at,
		       arena_printf(k->arena,
				    "gets no %s yet: KubeVirt would delete a mediated device of it",
				    t.name));
		return;
	}
	ret->items[ret->n++] = (struct task){
		.vgpu = {s->at, face == VGPU_MDEV ? free_uuid(k, s, i, ret) : "", t.id, t.name},
		.face = face,
		.size = t.framebuffer_mib,
		.number = i,
	};
}

static void makes(struct slotter *k, struct task_list *ret)
{
	*ret = (struct task_list){arena_array(k->arena, struct task, k->order->slots.n), 0};
	for (size_t i = 0; i < k->order->slots.n; i++) {
		if (!k->done[i]) {
			add_make(k, i, ret);
		}
	}
	if (ret->n) {
		qsort(ret->items, ret->n, sizeof(*ret->items), big_first);
	}
}

static void add_tasks(struct slotter *k, const struct task_list *tasks, bool drop)
{
	size_t first = first_of(k, tasks);

	for (size_t i = 0; i < tasks->n && i < CUT_PLACES; i++) {
		const struct task *t = &tasks->items[(first + i) % tasks->n];

		if (drop) {
			cut_add_drop(k->ret, k->arena, &t->vgpu);
		} else {
			cut_add_make(k->ret, k->arena, t->face, &t->vgpu);
		}
	}
}

/* --- the whole ----------------------------------------------------------------------------- */

void plan_slots(const struct cut_seen *seen, struct arena *a, struct cut_plan *ret)
{
	struct slotter k = {.seen = seen,
			    .order = orders_find(seen->orders, seen->unit),
			    .card = seen->unit->card,
			    .arena = a,
			    .ret = ret};
	struct task_list drop, make;

	*ret = (struct cut_plan){0};
	if (!k.order || k.order->want != WANT_VGPU || !k.order->slots.n) {
		return;
	}
	cut_made(k.card, a, &k.made);
	match(&k);
	if (cut_forbidden(seen, a, ret)) {
		return;
	}
	drops(&k, &drop);
	makes(&k, &make);
	add_tasks(&k, drop.n ? &drop : &make, drop.n > 0);
}
