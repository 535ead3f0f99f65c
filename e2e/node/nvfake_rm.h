/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What NVIDIA's resource manager decides about vGPUs: which type can be created where, and where on the card a vGPU lies. It is a model
 * of kernel_vgpu_mgr.c of NVIDIA's open kernel modules (MIT), in words of our own; no function of the kernel is called, so
 * nvfake_rm_test.c tries it without one. nvfake.c puts it behind the two faces in sysfs and holds a lock around each call.
 *
 * Sizes are the gigabytes in a type's name. A status is NVIDIA's number, 0 is success.
 */
#ifndef NVFAKE_RM_H
#define NVFAKE_RM_H

enum {
	RM_INSUFFICIENT_RESOURCES = 0x1a,
	RM_INVALID_ARGUMENT = 0x1f,
	RM_INVALID_INDEX = 0x36,
	RM_INVALID_OPERATION = 0x38,
	RM_INVALID_STATE = 0x40,
	RM_NOT_SUPPORTED = 0x56,
	RM_OBJECT_NOT_FOUND = 0x57,
	RM_TIMEOUT_RETRY = 0x66,
};
#define RM_NONE (~0u) /* no placement, no GPU instance */
#define RM_TYPES 96
#define RM_MOST 32 /* MAX_VGPU_DEVICES_PER_PGPU: the finest cut of mixed sizes is into as many */
#define RM_REGION 320

struct rm_type {
	u16 device, id, max, size;
	u32 fb;
	u16 heads, limit, x, y;
	const char *
		instance; /* "": a time slice of the whole card; else the kind of GPU instance that it needs */
	const char *name;
};

struct rm_instance {
	unsigned int id;
	const char *kind;
	u16 first, slots; /* of the eight parts of the card's memory */
	u16 n, size;	  /* vGPUs that run in it, all of one size */
	u64 taken;	  /* places, counted in sizes */
};

struct rm_gpu {
	const struct rm_type *type[RM_TYPES];
	int types;
	u16 device;
	bool sriov, ready;
	bool mixed, mig;
	unsigned int created;
	u64 functions; /* virtual functions that have a vGPU */
	u16 size;      /* equal sizes: of what was created last */
	u16 region;    /* places of the card */
	u8 taken[RM_REGION];
	struct rm_instance instance[8];
	int instances;
};

struct rm_vgpu {
	const struct rm_type *type;
	int function; /* -1: on the card itself */
	unsigned int placement, instance;
};

static inline int rm_is_mig(const struct rm_type *t)
{
	return t->instance[0] != 0;
}

static const struct rm_type *rm_find(const struct rm_gpu *g, unsigned int id)
{
	int i;

	for (i = 0; i < g->types; i++) {
		if (g->type[i]->id == id) {
			return g->type[i];
		}
	}
	return NULL;
}

/* A GPU that has just been given to the driver: nothing is created, mixed sizes are off, there is no instance. MIG mode stays. */
static void rm_start(struct rm_gpu *g)
{
	int i;

	g->mixed = false;
	g->created = 0;
	g->functions = 0;
	g->size = 0;
	g->instances = 0;
	g->region = 0;
	memset(g->taken, 0, sizeof g->taken);
	for (i = 0; i < g->types; i++) {
		if (!rm_is_mig(g->type[i]) && g->type[i]->max == 1) {
			g->region = g->type[i]->size;
		}
	}
}

/* ---- places ------------------------------------------------------------------------------------------------------------------ */

/* Equal sizes have places on Ada and Hopper only: not on Ampere, and not on Blackwell. */
static inline bool rm_equal_places(const struct rm_gpu *g)
{
	return !g->mixed && g->device >= 0x2300 && g->device < 0x2900;
}

/* On a card of 48 GB a vGPU of 1 GB overlaps its neighbour at some places, which are therefore none. */
static bool rm_place_is_denied(const struct rm_gpu *g, unsigned int size, unsigned int id)
{
	if (size != 1 || g->region != 48) {
		return false;
	}
	if (g->device >= 0x2300) {
		return id % 6 == 2 || id % 6 == 3;
	}
	return id == 8 || id == 32;
}

static void rm_add_place(const struct rm_gpu *g, const struct rm_type *t, unsigned int id,
			 unsigned int *ids, int *n)
{
	if (*n < RM_MOST && !rm_place_is_denied(g, t->size, id)) {
		ids[(*n)++] = id;
	}
}

static unsigned int rm_power_below(unsigned int n)
{
	unsigned int p = 1;

	while (p * 2 <= n) {
		p *= 2;
	}
	return p;
}

/* Mixed sizes: the card is cut in halves, quarters, ... A type whose count is a power of two has both ends of each part that holds two of
   it; any other type one end of each part that holds one: the outer one. */
static void rm_cut(const struct rm_gpu *g, const struct rm_type *t, unsigned int low,
		   unsigned int high, unsigned int parts, bool left, unsigned int *ids, int *n)
{
	unsigned int most = rm_power_below(t->max), middle = (low + high) / 2;
	bool both = parts * 2 == t->max,
	     one = (most < t->max && most == parts) || (parts == 1 && t->max == 1);

	if (parts > RM_MOST / 2) {
		return;
	}
	if (both || (one && left)) {
		rm_add_place(g, t, low, ids, n);
	}
	if (both || (one && !left)) {
		rm_add_place(g, t, high - t->size, ids, n);
	}
	rm_cut(g, t, low, middle, parts * 2, true, ids, n);
	rm_cut(g, t, middle, high, parts * 2, false, ids, n);
}

/* All places of a type, in the order in which they are given; none if the mode knows no places. */
static int rm_places(const struct rm_gpu *g, const struct rm_type *t, unsigned int *ids)
{
	int n = 0;

	if (rm_is_mig(t) || !t->size) {
		return 0;
	}
	if (g->mixed) {
		rm_cut(g, t, 0, g->region, 1, true, ids, &n);
	} else if (rm_equal_places(g)) {
		for (; n < RM_MOST && n < t->max && (n + 1) * t->size <= g->region; n++) {
			ids[n] = n * t->size;
		}
	}
	return n;
}

static bool rm_place_is_free(const struct rm_gpu *g, const struct rm_type *t, unsigned int id)
{
	unsigned int i;

	for (i = id; i < id + t->size; i++) {
		if (i >= RM_REGION || g->taken[i]) {
			return false;
		}
	}
	return true;
}

static void rm_mark(struct rm_gpu *g, const struct rm_type *t, unsigned int id, bool taken)
{
	if (id != RM_NONE) {
		memset(g->taken + id, taken, t->size);
	}
}

/* The wanted place if it is one of the type's and free, or the first free one. RM_NONE: there is none. */
static unsigned int rm_free_place(const struct rm_gpu *g, const struct rm_type *t,
				  unsigned int wanted)
{
	unsigned int ids[RM_MOST];
	int i, n = rm_places(g, t, ids);

	for (i = 0; i < n; i++) {
		if ((wanted == RM_NONE || ids[i] == wanted) && rm_place_is_free(g, t, ids[i])) {
			return ids[i];
		}
	}
	return RM_NONE;
}

/* ---- MIG: GPU instances ------------------------------------------------------------------------------------------------------ */

/* How many instances of a kind a card can have: its largest type fills one. */
static unsigned int rm_most_instances(const struct rm_gpu *g, const char *kind)
{
	unsigned int most = 8;
	int i;

	for (i = 0; i < g->types; i++) {
		if (!strcmp(g->type[i]->instance, kind) && g->type[i]->max < most) {
			most = g->type[i]->max;
		}
	}
	return most;
}

static unsigned int rm_most_in_instance(const struct rm_gpu *g, const struct rm_type *t)
{
	unsigned int n = t->max / rm_most_instances(g, t->instance);

	return n ? n : 1;
}

static bool rm_fits_instance(const struct rm_gpu *g, const struct rm_type *t,
			     const struct rm_instance *in)
{
	return !strcmp(t->instance, in->kind) && in->n < rm_most_in_instance(g, t) &&
	       (!in->n || in->size == t->size);
}

static struct rm_instance *rm_instance_for(struct rm_gpu *g, const struct rm_type *t)
{
	int i;

	for (i = 0; rm_is_mig(t) && i < g->instances; i++) {
		if (rm_fits_instance(g, t, g->instance + i)) {
			return g->instance + i;
		}
	}
	return NULL;
}

static struct rm_instance *rm_instance_by_id(struct rm_gpu *g, unsigned int id)
{
	int i;

	for (i = 0; i < g->instances; i++) {
		if (g->instance[i].id == id) {
			return g->instance + i;
		}
	}
	return NULL;
}

static const struct {
	const char *kind;
	u8 slots, engines;
} rm_kinds[] = {
	{"FULL_GPU", 8, 7},	   {"ONE_HALF_GPU", 4, 4},	   {"ONE_MINI_HALF_GPU", 4, 3},
	{"ONE_QUARTER_GPU", 2, 2}, {"ONE_MINI_QUARTER_GPU", 2, 1}, {"ONE_EIGHTHED_GPU", 1, 1},
};

static int rm_kind(const char *kind)
{
	size_t n = strcspn(kind, ",");
	unsigned int i;

	for (i = 0; i < sizeof rm_kinds / sizeof *rm_kinds; i++) {
		if (strlen(rm_kinds[i].kind) == n && !strncmp(rm_kinds[i].kind, kind, n)) {
			return i;
		}
	}
	return -1;
}

/* Makes the instance that a type needs whose name ends in -PROFILE, e.g. 1-10C: at the first place in memory that is free. Ids are those
   of the driver: 0 the whole card, 1 and 2 its halves, 3 to 6 the quarters, 7 to 14 the eighths. */
static int rm_make_instance(struct rm_gpu *g, const char *profile)
{
	static const u8 base[] = {[1] = 7, [2] = 3, [4] = 1, [8] = 0};
	const struct rm_type *t = NULL;
	unsigned int i, k, slots, first, used = 0, engines = 0, same = 0;

	for (i = 0; i < (unsigned int)g->types && !t; i++) {
		const char *name = g->type[i]->name;
		size_t n = strlen(name), p = strlen(profile);
		if (rm_is_mig(g->type[i]) && n > p && name[n - p - 1] == '-' &&
		    !strcmp(name + n - p, profile)) {
			t = g->type[i];
		}
	}
	if (!t || rm_kind(t->instance) < 0) {
		return RM_OBJECT_NOT_FOUND;
	}
	if (!g->mig) {
		return RM_INVALID_OPERATION;
	}
	k = rm_kind(t->instance);
	slots = rm_kinds[k].slots;
	for (i = 0; i < (unsigned int)g->instances; i++) {
		used |= ((1u << g->instance[i].slots) - 1) << g->instance[i].first;
		engines += rm_kinds[rm_kind(g->instance[i].kind)].engines;
		same += !strcmp(g->instance[i].kind, t->instance);
	}
	for (first = 0; first + slots <= 8 && (used & ((1u << slots) - 1) << first);
	     first += slots) {
	}
	if (first + slots > 8 || same >= rm_most_instances(g, t->instance) ||
	    (engines + rm_kinds[k].engines > 7 && rm_most_instances(g, "ONE_EIGHTHED_GPU") == 7)) {
		return RM_INSUFFICIENT_RESOURCES;
	}
	g->instance[g->instances++] = (struct rm_instance){.id = base[slots] + first / slots,
							   .kind = t->instance,
							   .first = first,
							   .slots = slots};
	return 0;
}

/* ---- what can be created ----------------------------------------------------------------------------------------------------- */

static int rm_time_slice(const struct rm_gpu *g, const struct rm_type *t)
{
	if (!g->created) {
		return 0;
	}
	if (g->mixed) {
		return rm_free_place(g, t, RM_NONE) == RM_NONE ? RM_NOT_SUPPORTED : 0;
	}
	if (t->size != g->size) {
		return RM_NOT_SUPPORTED;
	}
	return g->created >= t->max ? RM_INSUFFICIENT_RESOURCES : 0;
}

/* What a list says: how many of the type can be created there. It can be less than what a write gets (mixed sizes). */
static unsigned int rm_listed(struct rm_gpu *g, const struct rm_type *t, int function)
{
	if (!g->ready ||
	    (g->sriov && (function < 0 || function > 63 || g->functions >> function & 1))) {
		return 0;
	}
	if (g->mig) {
		return rm_instance_for(g, t) != NULL;
	}
	if (rm_is_mig(t) || g->created >= t->max || rm_time_slice(g, t)) {
		return 0;
	}
	return g->sriov ? 1 : t->max - g->created;
}

static int rm_create(struct rm_gpu *g, unsigned int id, int function, struct rm_vgpu *v)
{
	const struct rm_type *t = rm_find(g, id);
	struct rm_instance *in = NULL;
	unsigned int place = RM_NONE;
	int status;

	if (!g->ready) {
		return RM_TIMEOUT_RETRY;
	}
	if (!t) {
		return RM_OBJECT_NOT_FOUND;
	}
	if (g->sriov && (function < 0 || function > 63)) {
		return RM_INVALID_ARGUMENT;
	}
	if (g->sriov && g->functions >> function & 1) {
		return RM_INVALID_OPERATION;
	}
	if (g->mig) {
		if (!g->instances) {
			return RM_INVALID_OPERATION;
		}
		if (!rm_is_mig(t)) {
			return RM_INVALID_ARGUMENT;
		}
		in = rm_instance_for(g, t);
		if (!in) {
			return RM_INVALID_STATE;
		}
		place = 0;
		while (in->taken >> place & 1) {
			place++;
		}
		in->taken |= 1ull << place;
		in->n++;
		in->size = t->size;
		place *= t->size;
	} else {
		if (rm_is_mig(t)) {
			return RM_INVALID_OPERATION;
		}
		status = rm_time_slice(g, t);
		if (status) {
			return status;
		}
		if (g->mixed || rm_equal_places(g)) {
			place = rm_free_place(g, t, RM_NONE);
			if (place == RM_NONE) {
				return RM_INVALID_STATE;
			}
			rm_mark(g, t, place, true);
		}
		g->size = t->size;
	}
	g->created++;
	if (g->sriov) {
		g->functions |= 1ull << function;
	}
	*v = (struct rm_vgpu){.type = t,
			      .function = function,
			      .placement = place,
			      .instance = in ? in->id : RM_NONE};
	return 0;
}

static void rm_delete(struct rm_gpu *g, struct rm_vgpu *v)
{
	struct rm_instance *in = rm_instance_by_id(g, v->instance);

	if (in) {
		in->n--;
		in->taken &= ~(1ull << v->placement / v->type->size);
	} else {
		rm_mark(g, v->type, v->placement, false);
	}
	if (g->sriov) {
		g->functions &= ~(1ull << v->function);
	}
	g->created--;
	v->type = NULL;
}

/* ---- what can be changed afterwards ------------------------------------------------------------------------------------------ */

/* The new place is taken before the old one is given up: one that overlaps the old one is not to be had. */
static int rm_set_placement(struct rm_gpu *g, struct rm_vgpu *v, unsigned int id)
{
	if (v->placement == id) {
		return 0;
	}
	if (g->mig || (!g->mixed && !rm_equal_places(g))) {
		return RM_NOT_SUPPORTED;
	}
	if (id == RM_NONE || rm_free_place(g, v->type, id) == RM_NONE) {
		return RM_INVALID_STATE;
	}
	rm_mark(g, v->type, id, true);
	rm_mark(g, v->type, v->placement, false);
	v->placement = id;
	return 0;
}

static int rm_set_instance(struct rm_gpu *g, struct rm_vgpu *v, unsigned int id)
{
	struct rm_instance *old = rm_instance_by_id(g, v->instance), *in = rm_instance_by_id(g, id);
	unsigned int place = 0;

	if (v->instance == id) {
		return 0;
	}
	if (!g->mig || !old) {
		return RM_INVALID_OPERATION;
	}
	if (!in) {
		return RM_INVALID_ARGUMENT;
	}
	if (strcmp(in->kind, v->type->instance)) {
		return RM_INVALID_INDEX;
	}
	if (!rm_fits_instance(g, v->type, in)) {
		return RM_INSUFFICIENT_RESOURCES;
	}
	while (in->taken >> place & 1) {
		place++;
	}
	old->n--;
	old->taken &= ~(1ull << v->placement / v->type->size);
	in->n++;
	in->size = v->type->size;
	in->taken |= 1ull << place;
	v->instance = id;
	v->placement = place * v->type->size;
	return 0;
}
#endif
