/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_vgpu.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node-daemon/fit.h"

/* --- ids ----------------------------------------------------------------------------------- */

int vgpu_id_parse(const char *text, struct vgpu_id *ret)
{
	const char *slash = strchr(text, '/');
	char card[PCIFN_TEXT_MAX], again[PCIFN_TEXT_MAX];
	size_t n = slash ? (size_t)(slash - text) : sizeof(card);
	struct vgpu_id id;

	if (n >= sizeof(card) || slash[1] == '-' ||
	    (slash[1] == '0' && slash[2]) || /* one number is written in one way */
	    parse_int(slash + 1, 0, JOURNAL_MAX_SLOTS - 1, &id.index) < 0) {
		return -1;
	}
	memcpy(card, text, n);
	card[n] = '\0';
	if (pcifn_parse(card, &id.card) < 0 || !str_eq(pcifn_text(id.card, again), card)) {
		return -1;
	}
	*ret = id;
	return 0;
}

const char *vgpu_id_text(struct vgpu_id id, struct arena *a)
{
	char text[PCIFN_TEXT_MAX];

	return arena_printf(a, "%s/%" PRId64, pcifn_text(id.card, text), id.index);
}

/* --- what is recorded and what exists ------------------------------------------------------ */

bool vgpu_on_demand(const struct vgpu_seen *seen, const struct unit *u)
{
	const struct order *o = orders_find(seen->orders, u);
	const struct book *b = books_find(seen->books, u->card->address);

	return o && o->want == WANT_VGPU && !o->slots.n && b && b->whose != BOOK_QUARANTINED &&
	       !u->card->unsure;
}

static bool is_cut_as_ordered(const struct vgpu_seen *seen, const struct unit *u)
{
	const struct order *o = orders_find(seen->orders, u);

	return o && o->want == WANT_VGPU && o->slots.n;
}

const struct unit *vgpu_beside(const struct vgpu_seen *seen, const char *type)
{
	list_each(u, seen->units) {
		list_each(t, &u->card->types) {
			if (is_cut_as_ordered(seen, u) && str_eq(t->name, type) &&
			    fit_beside(u->card, t)) {
				return u;
			}
		}
	}
	return NULL;
}

static bool is_of(const struct vgpu_seen *seen, const struct journal_slot *s, const struct unit *u)
{
	const struct book *b = books_find(seen->books, u->card->address);

	return b && str_eq(s->place, b->place);
}

static bool this_boot(const struct vgpu_seen *seen, const struct journal_slot *s)
{
	return str_eq(s->boot, seen->boot);
}

static const struct journal_slot *recorded(const struct vgpu_seen *seen, const struct unit *u,
					   int64_t index)
{
	list_each(s, &seen->journal->slots) {
		if (s->index == index && this_boot(seen, s) && is_of(seen, s, u)) {
			return s;
		}
	}
	return NULL;
}

static uint64_t place_of(const struct journal_slot *s)
{
	uint64_t at;

	return pcifn_parse(s->vf, &at) == 0 ? at : 0;
}

/* The vGPU of a record, on the machine. */
static bool exists(const struct journal_slot *s, const struct unit *u, struct arena *a,
		   struct cut_vgpu *ret)
{
	struct cut_vgpu_list made;

	cut_made(u->card, a, &made);
	list_each(v, &made) {
		if (v->at == place_of(s) && str_eq(v->uuid, s->uuid) && cut_is_type(v, s->type)) {
			*ret = *v;
			return true;
		}
	}
	return false;
}

static const char *user(const struct vgpu_seen *seen, const struct journal_slot *s)
{
	const struct cut_seen cut = {.uses = seen->uses, .looked = seen->looked};

	return cut_holder(&cut, &(struct cut_vgpu){.at = place_of(s), .uuid = s->uuid});
}

/* Recorded, not removed again, and not on the machine: such a one is about to be made. */
static bool under_way(const struct vgpu_seen *seen, const struct journal_slot *s,
		      const struct unit *u, struct arena *a)
{
	struct cut_vgpu v;

	return this_boot(seen, s) && is_of(seen, s, u) && !str_eq(s->state, JOURNAL_DROPPING) &&
	       !exists(s, u, a, &v) && user(seen, s);
}

static int64_t n_under_way(const struct vgpu_seen *seen, const struct unit *u, struct arena *a)
{
	int64_t n = 0;

	list_each(s, &seen->journal->slots) {
		n += under_way(seen, s, u, a);
	}
	return n;
}

/* --- devices ------------------------------------------------------------------------------- */

/* None under way counts for nothing, since it will take a place, of whatever size. */
static int64_t more(const struct vgpu_seen *seen, const struct unit *u, const char *type,
		    struct arena *a)
{
	int64_t busy = n_under_way(seen, u, a);
	struct vgpu_type t;

	if (!fit_type(u->card, type, a, &t) ||
	    (u->card->face == VGPU_MDEV && !orders_permit(seen->orders, t.name))) {
		return 0;
	}
	return MAX(fit_more(u->card, &t, fit_mode(u->card)) - busy, (int64_t)0);
}

static void add(struct vgpu_device_list *l, size_t *room, struct arena *a,
		const struct vgpu_device *d)
{
	if (l->n == *room) {
		struct vgpu_device *bigger;

		*room = *room * 2 + 16;
		bigger = arena_array(a, struct vgpu_device, *room);
		if (l->n) {
			memcpy(bigger, l->items, l->n * sizeof(*bigger));
		}
		l->items = bigger;
	}
	l->items[l->n++] = *d;
}

static int by_id(const void *a, const void *b)
{
	const struct vgpu_device *x = a, *y = b;

	return x->id.card != y->id.card ? (x->id.card > y->id.card) - (x->id.card < y->id.card)
					: (x->id.index > y->id.index) - (x->id.index < y->id.index);
}

static void add_recorded(const struct vgpu_seen *seen, const struct unit *u,
			 const struct vgpu_device *like, struct arena *a,
			 struct vgpu_device_list *l, size_t *room)
{
	list_each(s, &seen->journal->slots) {
		struct vgpu_device d = *like;
		struct cut_vgpu v;

		if (!this_boot(seen, s) || !is_of(seen, s, u) ||
		    !vgpu_same_name(s->type, like->type)) {
			continue;
		}
		d.id.index = s->index;
		d.made = true;
		d.healthy = exists(s, u, a, &v);
		if (d.healthy || user(seen, s)) { /* else it is forgotten in a moment */
			add(l, room, a, &d);
		}
	}
}

static void add_free(const struct vgpu_seen *seen, const struct unit *u,
		     const struct vgpu_device *like, struct arena *a, struct vgpu_device_list *l,
		     size_t *room)
{
	int64_t n = vgpu_on_demand(seen, u) ? more(seen, u, like->type, a) : 0;

	for (int64_t index = 0; n && index < JOURNAL_MAX_SLOTS; index++) {
		struct vgpu_device d = *like;

		if (!recorded(seen, u, index)) {
			d.id.index = index;
			d.healthy = true;
			add(l, room, a, &d);
			n--;
		}
	}
}

void vgpu_devices(const struct vgpu_seen *seen, const char *type, struct arena *a,
		  struct vgpu_device_list *ret)
{
	size_t room = 0;

	*ret = (struct vgpu_device_list){0};
	list_each(u, seen->units) {
		const struct vgpu_device like = {
			.id = {.card = u->card->address},
			.unit = u,
			.type = type,
			.made_on_card = (int64_t)vgpu_made(u->card),
		};

		add_recorded(seen, u, &like, a, ret, &room);
		add_free(seen, u, &like, a, ret, &room);
	}
	if (ret->n) {
		qsort(ret->items, ret->n, sizeof(*ret->items), by_id);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_name(const char **names, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++) {
		if (str_eq(names[i], name)) {
			return;
		}
	}
	names[(*n)++] = name;
}

void vgpu_types(const struct vgpu_seen *seen, struct arena *a, const char ***ret, size_t *ret_n)
{
	size_t most = seen->journal->slots.n, n = 0;
	const char **names;

	list_each(u, seen->units) {
		most += is_cut_as_ordered(seen, u) ? u->card->types.n : 0;
		most += vgpu_on_demand(seen, u) ? MACHINE_MAX_TYPES : 0;
	}
	names = arena_array(a, const char *, most);
	list_each(u, seen->units) {
		struct status_unit status = {0};

		list_each(t, &u->card->types) {
			if (is_cut_as_ordered(seen, u) && fit_beside(u->card, t)) {
				add_name(names, &n, t->name);
			}
		}
		if (vgpu_on_demand(seen, u)) {
			vgpu_profiles(u->card, a, &status);
		}
		list_each(p, &status.profiles) {
			add_name(names, &n, p->name);
		}
	}
	list_each(s, &seen->journal->slots) {
		if (this_boot(seen, s)) {
			add_name(names, &n, s->type);
		}
	}
	if (n) {
		qsort(names, n, sizeof(*names), by_name);
	}
	*ret = names;
	*ret_n = n;
}

/* --- making -------------------------------------------------------------------------------- */

struct maker {
	const struct vgpu_seen *seen;
	struct vgpu_id id;
	struct arena *arena;
	struct vgpu_plan *ret;
	const struct pci_function *card;
	struct vgpu_type type;
};

static void refuse(struct maker *k, const char *message)
{
	k->ret->why = arena_printf(k->arena, "%s: %s", vgpu_id_text(k->id, k->arena), message);
}

/* Already, or it is to be another's. */
static bool is_there(struct maker *k, const struct journal_slot *s, const char *type)
{
	struct cut_vgpu v;

	if (!vgpu_same_name(s->type, type)) {
		refuse(k, arena_printf(k->arena, "it is a %s by now; creatable now: %s", s->type,
				       fit_creatable(k->card, k->arena)));
		return true;
	}
	if (!exists(s, k->ret->unit, k->arena, &v)) {
		return false;
	}
	if (str_eq(s->state, JOURNAL_DROPPING)) {
		refuse(k, "it is being removed; the next asker gets another one");
		return true;
	}
	k->ret->at = v.at;
	k->ret->uuid = v.uuid;
	return true;
}

static bool fits(struct maker *k)
{
	int64_t busy = n_under_way(k->seen, k->ret->unit, k->arena);
	const struct journal_slot *own = recorded(k->seen, k->ret->unit, k->id.index);
	enum fit_mode mode = fit_mode(k->card);

	if (own && under_way(k->seen, own, k->ret->unit, k->arena)) {
		busy--;
	}
	if (fit_more(k->card, &k->type, mode) - busy > 0) {
		return true;
	}
	k->ret->why = fit_why_not(k->card, &k->type, mode, k->arena);
	if (!*k->ret->why) {
		k->ret->why =
			"others that were asked for before are being made, and then no more fits";
	}
	refuse(k, k->ret->why);
	return false;
}

/* Nobody else was promised it. */
static bool is_promised(struct maker *k, uint64_t at)
{
	list_each(s, &k->seen->journal->slots) {
		if (place_of(s) == at && s->index != k->id.index &&
		    under_way(k->seen, s, k->ret->unit, k->arena)) {
			return true;
		}
	}
	return false;
}

/* 0: there is none. */
static uint64_t free_place(struct maker *k)
{
	if (!k->card->vfs.n) {
		return k->card->address;
	}
	list_each(vf, &k->card->vfs) {
		if (fit_place_free(k->card, vf) && !is_promised(k, vf->address)) {
			return vf->address;
		}
	}
	return 0;
}

static void describe(struct maker *k, const struct cut_vgpu *v)
{
	char vf[PCIFN_TEXT_MAX], card[PCIFN_TEXT_MAX];

	k->ret->before = (struct journal_slot){
		.place = books_find(k->seen->books, k->card->address)->place,
		.index = k->id.index,
		.card = arena_strdup(k->arena, pcifn_text(k->card->address, card)),
		.vf = arena_strdup(k->arena, pcifn_text(v->at, vf)),
		.type = v->name,
		.uuid = v->uuid,
		.boot = k->seen->boot,
		.state = JOURNAL_MAKING,
	};
	k->ret->after = k->ret->before;
	k->ret->after.state = JOURNAL_MADE;
}

/* The number of the journal's next record makes each vGPU's UUID another. */
static void make(struct maker *k)
{
	const struct vgpu_seen *seen = k->seen;
	struct cut_vgpu v = {free_place(k), "", k->type.id, k->type.name};
	struct cut_plan plan = {0};

	if (!v.at) {
		refuse(k, "no virtual function of the card is free");
		return;
	}
	if (k->card->face == VGPU_MDEV) {
		v.uuid = cut_uuid(seen->node, seen->boot, v.at,
				  arena_printf(k->arena, "%s %" PRId64, k->type.name,
					       seen->journal->number + 1),
				  k->arena);
	}
	describe(k, &v);
	cut_add_make(&plan, k->arena, k->card->face, &v);
	k->ret->steps = plan.steps;
	k->ret->at = v.at;
	k->ret->uuid = v.uuid;
}

void vgpu_make(const struct vgpu_seen *seen, struct vgpu_id id, const char *type, struct arena *a,
	       struct vgpu_plan *ret)
{
	struct maker k = {.seen = seen, .id = id, .arena = a, .ret = ret};
	const struct journal_slot *s;

	*ret = (struct vgpu_plan){.unit = units_find(seen->units, id.card), .uuid = ""};
	if (!ret->unit) {
		refuse(&k, "no card is there");
		return;
	}
	k.card = ret->unit->card;
	s = recorded(seen, ret->unit, id.index);
	if (s && is_there(&k, s, type)) {
		return;
	}
	if (!vgpu_on_demand(seen, ret->unit)) {
		refuse(&k, "its card is not cut on demand now; see its orders in GPUNode.spec");
	} else if (*seen->books->refusal) {
		refuse(&k, seen->books->refusal);
	} else if (!fit_type(k.card, type, a, &k.type)) {
		refuse(&k, arena_printf(a, "the card has no vGPU type %.64s; creatable now: %s",
					type, fit_creatable(k.card, a)));
	} else if (k.card->face == VGPU_MDEV && !orders_permit(seen->orders, k.type.name)) {
		refuse(&k,
		       arena_printf(a,
				    "the KubeVirt CR does not name %s as served from outside, and "
				    "KubeVirt would delete it",
				    k.type.name));
	} else if (fits(&k)) {
		make(&k);
	}
}

/* --- removing ------------------------------------------------------------------------------ */

struct tidier {
	const struct vgpu_seen *seen;
	const struct unit *unit;
	struct arena *arena;
	struct vgpu_tidying *ret;
	struct cut_plan plan;
	size_t drops;
};

static void forget(struct tidier *k, const struct journal_slot *s)
{
	struct journal_slot *gone = &k->ret->noted.items[k->ret->noted.n++];

	*gone = *s;
	gone->state = "";
}

static void drop(struct tidier *k, const struct journal_slot *s, const struct cut_vgpu *v)
{
	if (k->drops == CUT_PLACES) {
		return; /* the next time */
	}
	k->drops++;
	cut_add_drop(&k->plan, k->arena, v);
	if (!str_eq(s->state, JOURNAL_DROPPING)) {
		struct journal_slot *b = &k->ret->before.items[k->ret->before.n++];

		*b = *s;
		b->state = JOURNAL_DROPPING;
	}
}

static bool is_going(const struct journal_slot *s)
{
	return str_eq(s->state, JOURNAL_DROPPING);
}

static bool is_kept(const struct journal_slot *s, const struct order *o)
{
	if (!o) {
		return false;
	}
	list_each(w, &o->slots) {
		if (w->at == place_of(s) && vgpu_same_name(w->type, s->type)) {
			return true;
		}
	}
	return false;
}

/* A card with slots is plan_slots.h's, which removes what is not ordered. */
static void tidy(struct tidier *k, const struct journal_slot *s)
{
	const struct order *o = orders_find(k->seen->orders, k->unit);
	struct cut_vgpu v;

	if (!this_boot(k->seen, s)) {
		forget(k, s); /* no vGPU outlives a boot */
	} else if (user(k->seen, s) || (is_kept(s, o) && !is_going(s))) {
		return;
	} else if (!exists(s, k->unit, k->arena, &v) || (o && o->slots.n && !is_going(s))) {
		forget(k, s);
	} else {
		drop(k, s, &v);
	}
}

void vgpu_tidy(const struct vgpu_seen *seen, const struct unit *u, uint64_t failed_at,
	       struct arena *a, struct vgpu_tidying *ret)
{
	struct tidier k = {.seen = seen, .unit = u, .arena = a, .ret = ret};
	const struct book *b = books_find(seen->books, u->card->address);
	size_t n = seen->journal->slots.n, first = 0;

	*ret = (struct vgpu_tidying){0};
	if (!b || b->whose == BOOK_QUARANTINED || *seen->books->refusal || u->card->unsure ||
	    u->card->half_seen) {
		return;
	}
	ret->noted.items = arena_array(a, struct journal_slot, n);
	ret->before.items = arena_array(a, struct journal_slot, n);
	list_each(s, &seen->journal->slots) {
		if (failed_at && place_of(s) == failed_at && is_of(seen, s, u)) {
			first = (size_t)(s - seen->journal->slots.items) + 1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct journal_slot *s = &seen->journal->slots.items[(first + i) % n];

		if (is_of(seen, s, u)) {
			tidy(&k, s);
		}
	}
	ret->steps = k.plan.steps;
}

/* --- keeping ------------------------------------------------------------------------------- */

/* The lowest number that nothing has. */
static int64_t free_number(const struct vgpu_seen *seen, const struct unit *u,
			   const struct vgpu_tidying *given)
{
	for (int64_t index = 0;; index++) {
		bool taken = recorded(seen, u, index);

		list_each(s, &given->before) {
			taken |= s->index == index;
		}
		list_each(s, &given->noted) {
			taken |= s->index == index;
		}
		if (!taken) {
			return index;
		}
	}
}

/* Of what stands there, whatever its type was. */
static const struct journal_slot *record_of(const struct vgpu_seen *seen, const struct unit *u,
					    const struct cut_vgpu *v)
{
	list_each(s, &seen->journal->slots) {
		if (this_boot(seen, s) && is_of(seen, s, u) && place_of(s) == v->at &&
		    str_eq(s->uuid, v->uuid)) {
			return s;
		}
	}
	return NULL;
}

static void keep(const struct vgpu_seen *seen, const struct unit *u, const struct cut_vgpu *v,
		 const char *state, struct arena *a, struct vgpu_tidying *ret)
{
	const struct journal_slot *s = record_of(seen, u, v);
	char vf[PCIFN_TEXT_MAX], card[PCIFN_TEXT_MAX];
	struct journal_slot now;

	if (s && (str_eq(s->state, state) || (is_going(s) && str_eq(state, JOURNAL_MADE))) &&
	    vgpu_same_name(s->type, v->name)) {
		return; /* what is going is made anew */
	}
	now = (struct journal_slot){
		.place = books_find(seen->books, u->card->address)->place,
		.index = s ? s->index : free_number(seen, u, ret),
		.card = arena_strdup(a, pcifn_text(u->card->address, card)),
		.vf = arena_strdup(a, pcifn_text(v->at, vf)),
		.type = v->name,
		.uuid = v->uuid,
		.boot = seen->boot,
		.state = state,
	};
	if (str_eq(state, JOURNAL_MADE)) {
		ret->noted.items[ret->noted.n++] = now;
	} else {
		ret->before.items[ret->before.n++] = now;
	}
}

/* False: the step makes none. */
static bool made_by(const struct step *s, const struct unit *u, struct arena *a,
		    struct cut_vgpu *ret)
{
	const char *space = strchr(s->value, ' ');
	bool mdev = s->verb == STEP_MDEV_MAKE && space;

	if (!mdev && (s->verb != STEP_TYPE || str_eq(s->value, "0"))) {
		return false;
	}
	*ret = (struct cut_vgpu){s->at, "", s->value, ""};
	if (mdev) {
		ret->uuid = arena_strndup(a, s->value, (size_t)(space - s->value));
		ret->id = space + 1;
	}
	ret->name = vgpu_type_name(u->card, ret->id);
	return true;
}

void vgpu_keep(const struct vgpu_seen *seen, const struct unit *u, const struct steps *steps,
	       struct arena *a, struct vgpu_tidying *ret)
{
	const struct order *o = orders_find(seen->orders, u);
	struct cut_vgpu_list made;
	char text[PCIFN_TEXT_MAX];
	struct cut_vgpu v;

	cut_made(u->card, a, &made);
	*ret = (struct vgpu_tidying){0};
	ret->noted.items = arena_array(a, struct journal_slot, made.n);
	ret->before.items = arena_array(a, struct journal_slot, steps->n);
	list_each(s, steps) {
		if (made_by(s, u, a, &v)) {
			keep(seen, u, &v, JOURNAL_MAKING, a, ret);
		}
	}
	list_each(m, &made) {
		const struct journal_slot like = {.vf = arena_strdup(a, pcifn_text(m->at, text)),
						  .type = m->name};

		if (is_kept(&like, o)) {
			keep(seen, u, m, JOURNAL_MADE, a, ret);
		}
	}
}
