/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout on one card. What a card carries is judged by what its driver says of its types: most cards
 * take types of one size only, and as many as the type's maximum (nvidia.md 2.4). What the report does
 * not say the node finds when it makes the vGPU.
 */
#include "controller/pool.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/listing.h"
#include "controller/device.h"

#define SLOTS_MAX 256 /* of an order (crds/vmgpu.io_gpunodes.yaml) */

/* --- types ------------------------------------------------------------------------------------ */

bool pool_same_type(const char *x, const char *y)
{
	while (x && y && *x && (*x == *y || (strchr(" _", *x) && *y && strchr(" _", *y)))) {
		x++;
		y++;
	}
	return x && y && !*x && !*y;
}

static const struct gpu_profile *profile_in(const struct gpu_unit *u, const char *type)
{
	list_each(p, &u->profiles) {
		if (pool_same_type(p->name, type)) {
			return p;
		}
	}
	return NULL;
}

/* Where a card does not say it, the first of its model does (crds/vmgpu.io_gpunodes.yaml). */
static bool profile_of(const struct gpu_node *n, const struct gpu_unit *u, const char *type,
		       struct gpu_profile *ret)
{
	const struct gpu_profile *p = profile_in(u, type), *q = NULL;

	for (size_t i = 0; i < n->units.n && !q; i++) {
		const struct gpu_unit *first = &n->units.items[i];

		if (str_eq(first->vendor_id, u->vendor_id) &&
		    str_eq(first->device_id, u->device_id)) {
			q = profile_in(first, type);
		}
	}
	if (!p) {
		return false;
	}
	*ret = *p;
	ret->framebuffer_mib = !p->framebuffer_mib && q ? q->framebuffer_mib : p->framebuffer_mib;
	ret->max = !p->max && q ? q->max : p->max;
	return true;
}

/* MIG types name their slices: A100D-2-20C, DC-1-12Q. */
static bool is_mig(const char *type)
{
	const char *dash = strrchr(type, '-');

	return dash && dash - type >= 2 && isdigit((unsigned char)dash[-1]) && dash[-2] == '-';
}

/* --- can it be carried ------------------------------------------------------------------------ */

struct judge {
	const struct gpu_pool *pool;
	const struct gpu_node *node;
	const struct gpu_unit *unit;
	struct arena *arena;
	bool mixed;
};

/* With vGPUs of one size on it such a card still offers others. */
static bool takes_sizes(const struct judge *j)
{
	struct gpu_profile made, other;

	list_each(s, &j->unit->slots) {
		if (!s->type || !profile_of(j->node, j->unit, s->type, &made)) {
			continue;
		}
		list_each(p, &j->unit->profiles) {
			if (p->available > 0 && profile_of(j->node, j->unit, p->name, &other) &&
			    made.framebuffer_mib && other.framebuffer_mib &&
			    made.framebuffer_mib != other.framebuffer_mib) {
				return true;
			}
		}
	}
	return false;
}

static struct verdict not_carried(const char *message)
{
	return verdict_no("LayoutNotCarried", message);
}

static struct verdict unknown_type(const struct judge *j, const char *type)
{
	struct listing all;

	listing_init(&all, j->arena, ", ");
	list_each(p, &j->unit->profiles) {
		listing_add(&all, "%s", p->name);
	}
	return not_carried(
		arena_printf(j->arena, "it has no vGPU type %s, but %s", type, listing_end(&all)));
}

static struct verdict judge_type(const struct judge *j, const struct pool_layout *l,
				 struct gpu_profile *ret)
{
	if (!profile_of(j->node, j->unit, l->type, ret)) {
		return is_mig(l->type)
			       ? not_carried(arena_printf(
					 j->arena,
					 "%s is a MIG instance, which this version does not make: "
					 "name types without MIG",
					 l->type))
			       : unknown_type(j, l->type);
	}
	return ret->max && l->count > ret->max
		       ? not_carried(arena_printf(
				 j->arena, "it carries %" PRId64 " of %s at most, not %" PRId64,
				 ret->max, ret->name, l->count))
		       : verdict_none();
}

static struct verdict judge_sizes(const struct judge *j, const struct gpu_profile *a,
				  const struct gpu_profile *b)
{
	if (j->mixed || !a->framebuffer_mib || !b->framebuffer_mib ||
	    a->framebuffer_mib == b->framebuffer_mib) {
		return verdict_none();
	}
	return not_carried(arena_printf(
		j->arena,
		"%s and %s have different sizes, and it takes vGPUs of one size only, as far as it "
		"shows: name types of one size, or make two pools",
		a->name, b->name));
}

/* Of all types together: by number where they are of one size, by memory where they are not. */
static struct verdict judge_sum(const struct judge *j, int64_t count, int64_t most)
{
	int64_t places = j->unit->sriov ? j->unit->sriov->total_vfs : 0;

	places = places > 0 ? MIN(places, (int64_t)SLOTS_MAX) : SLOTS_MAX;
	most = most ? MIN(most, places) : places;
	return count > most ? not_carried(arena_printf(
				      j->arena,
				      "it carries %" PRId64
				      " such vGPUs at most, and the layout has %" PRId64,
				      most, count))
			    : verdict_none();
}

struct verdict pool_layout_judge(const struct gpu_pool *p, const struct gpu_node *n,
				 const struct gpu_unit *u, struct arena *a)
{
	struct judge j = {p, n, u, a, false};
	struct gpu_profile first = {0}, one;
	int64_t count = 0, most = 0;
	struct verdict v;

	if (p->spec->layout.n && pool_function(n, u, 0)) {
		return not_carried("its virtual functions are GPUs by themselves, and there are no "
				   "vGPU types for them: leave the layout out");
	}
	if (!u->profiles.n) {
		return verdict_none();
	}
	j.mixed = takes_sizes(&j);
	list_each(l, &p->spec->layout) {
		v = judge_type(&j, l, &one);
		v = v.status || !first.name ? v : judge_sizes(&j, &first, &one);
		if (v.status) {
			return v;
		}
		first = first.name ? first : one;
		count += l->count;
		most = one.max && (!most || one.max < most) && !j.mixed ? one.max : most;
	}
	return judge_sum(&j, count, most);
}

/* --- places ----------------------------------------------------------------------------------- */

struct place {
	const char *vf;
	const char *made, *holder; /* what is there, who has it */
	const char *stands;	   /* what is ordered there */
	const char *type;	   /* what is to be ordered */
};

struct placer {
	const struct gpu_pool *pool;
	const struct gpu_unit *unit;
	struct place *items;
	size_t n;
	int64_t *left; /* of each type of the layout */
};

static struct place *place_at(const struct placer *k, const char *vf)
{
	for (size_t i = 0; i < k->n; i++) {
		if (str_eq(k->items[i].vf, vf)) {
			return &k->items[i];
		}
	}
	return NULL;
}

static struct place *add_place(struct placer *k, const char *vf)
{
	struct place *p = place_at(k, vf);

	if (!p) {
		p = &k->items[k->n++];
		*p = (struct place){.vf = vf};
	}
	return p;
}

static int by_vf(const void *a, const void *b)
{
	return strcmp(((const struct place *)a)->vf, ((const struct place *)b)->vf);
}

/* The virtual functions that are there; before they are, those that are ordered already. */
static void find_places(struct placer *k, const struct slot_order *standing, size_t n,
			struct arena *a)
{
	struct place *p;

	k->items = arena_array(a, struct place, k->unit->slots.n + n);
	list_each(s, &k->unit->slots) {
		if (s->vf && device_is_vf(k->unit, s)) {
			p = add_place(k, s->vf);
			p->made = s->type ? s->type : p->made;
			p->holder = str_empty(s->holder) ? p->holder : s->holder;
		}
	}
	for (size_t i = 0, there = k->n; i < n; i++) {
		p = !standing[i].vf ? NULL
		    : there	    ? place_at(k, standing[i].vf)
				    : add_place(k, standing[i].vf);
		if (p) {
			p->stands = standing[i].type;
		}
	}
	if (k->n) {
		qsort(k->items, k->n, sizeof(*k->items), by_vf);
	}
}

/* The card's own spelling of it. */
static const char *spelled(const struct placer *k, const char *type)
{
	const struct gpu_profile *p = profile_in(k->unit, type);

	return p ? p->name : type;
}

static bool give(struct placer *k, struct place *p, const char *like)
{
	for (size_t i = 0; i < k->pool->spec->layout.n && !p->type; i++) {
		const char *type = k->pool->spec->layout.items[i].type;

		if (k->left[i] > 0 && (!like || pool_same_type(type, like))) {
			k->left[i]--;
			p->type = spelled(k, type);
		}
	}
	return p->type;
}

/* What somebody has stays where it is, whatever the layout says; then what is ordered, what is there, what is empty. */
static void place_all(struct placer *k)
{
	for (int turn = 0; turn < 5; turn++) {
		for (size_t i = 0; i < k->n; i++) {
			struct place *p = &k->items[i];

			if (turn == 0 && p->holder && p->made) {
				p->type = give(k, p, p->made) ? p->type : p->made;
			} else if (p->holder) {
				continue;
			} else if (turn == 1 && p->stands) {
				give(k, p, p->stands);
			} else if (turn == 2 && p->made) {
				give(k, p, p->made);
			} else if (turn == 4 || (turn == 3 && !p->made)) {
				give(k, p, NULL);
			}
		}
	}
}

/* Places of a card that has no virtual functions: it is each of them itself. */
static void place_on_card(const struct placer *k, struct unit_order *ret)
{
	list_each(l, &k->pool->spec->layout) {
		for (int64_t i = 0; i < l->count; i++) {
			ret->slots.items[ret->slots.n++] =
				(struct slot_order){k->unit->address, spelled(k, l->type)};
		}
	}
}

static int64_t wanted(const struct gpu_pool *p)
{
	int64_t n = 0;

	list_each(l, &p->spec->layout) {
		n += l->count;
	}
	return n;
}

void pool_layout_place(const struct gpu_pool *p, const struct gpu_unit *u,
		       const struct unit_order *before, struct arena *a, struct unit_order *ret)
{
	struct placer k = {.pool = p, .unit = u};
	size_t n = (size_t)wanted(p);

	ret->slots.items = arena_array(a, struct slot_order, n);
	if (!u->sriov || u->sriov->total_vfs <= 0) {
		if (u->profiles.n) {
			place_on_card(&k, ret);
		}
		return;
	}
	k.left = arena_array(a, int64_t, p->spec->layout.n);
	for (size_t i = 0; i < p->spec->layout.n; i++) {
		k.left[i] = p->spec->layout.items[i].count;
	}
	find_places(&k, before ? before->slots.items : NULL, before ? before->slots.n : 0, a);
	place_all(&k);
	for (size_t i = 0; i < k.n; i++) {
		if (k.items[i].type) {
			ret->slots.items[ret->slots.n++] =
				(struct slot_order){k.items[i].vf, k.items[i].type};
		}
	}
}
