/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/link.h"
#include "base/listing.h"
#include "node-daemon/inuse.h"
#include "node-daemon/plan_slots.h"
#include "node-daemon/plan_sriov.h"

#define QUESTION_BYTES (4 * MiB)
#define NO_ADDRESS (1ULL << 47) /* above it no function has one (pcifn.h) */
#define SAID_FAILURES 8		/* so many are said, and how many more there are */

struct failure {
	uint64_t at;
	bool making; /* a vGPU, which is not there then */
	char *why;
};

/* What is remembered of a unit. */
struct card {
	uint64_t unit;
	uint64_t order, card; /* of which this is true */
	bool planned;	      /* in this turn */
	uint64_t failed_at;
	size_t tries;	       /* that failed */
	struct failure *items; /* by place */
	size_t n;
};

struct cuts {
	struct cuts_settings s;
	struct inuse *inuse;
	struct eyes *eyes;
	struct unit_list places; /* of this turn: what the eyes can be asked of */
	struct card *cards;
	size_t n, room;
	struct link waiting; /* asked */
};

/* --- what is remembered ----------------------------------------------------------------------- */

static struct card *find(struct cuts *c, uint64_t unit)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->cards[i].unit == unit) {
			return &c->cards[i];
		}
	}
	return NULL;
}

static struct card *make(struct cuts *c, uint64_t unit)
{
	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 8;
		c->cards = xrealloc(c->cards, c->room * sizeof(*c->cards));
	}
	c->cards[c->n] = (struct card){.unit = unit};
	return &c->cards[c->n++];
}

static void forget(struct card *k)
{
	for (size_t i = 0; i < k->n; i++) {
		free(k->items[i].why);
	}
	free(k->items);
	*k = (struct card){.unit = k->unit};
}

static void forget_others(struct cuts *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (c->cards[i].planned) {
			c->cards[i].planned = false;
			c->cards[n++] = c->cards[i];
		} else {
			forget(&c->cards[i]);
		}
	}
	c->n = n;
}

static bool makes(const struct step *s)
{
	return s->verb == STEP_EXPECT_TYPE || s->verb == STEP_MDEV_MAKE ||
	       ((s->verb == STEP_TYPE || s->verb == STEP_EXPECT_MADE) && !str_eq(s->value, "0")) ||
	       (s->verb == STEP_EXPECT_MDEV && strchr(s->value, ' '));
}

static void remember(struct card *k, const struct step *s, const char *why)
{
	uint64_t at = s->at;
	size_t i = 0;

	while (i < k->n && k->items[i].at < at) {
		i++;
	}
	if (i == k->n || k->items[i].at != at) {
		k->items = xrealloc(k->items, (k->n + 1) * sizeof(*k->items));
		memmove(k->items + i + 1, k->items + i, (k->n - i) * sizeof(*k->items));
		k->items[i] = (struct failure){.at = at};
		k->n++;
	}
	free(k->items[i].why);
	k->items[i].why = xstrdup(why);
	k->items[i].making = makes(s);
}

void cuts_ended(struct cuts *c, uint64_t unit, const struct steps *steps, size_t done,
		const char *why)
{
	struct card *k = find(c, unit);

	if (!k || done >= steps->n) {
		return;
	}
	k->failed_at = steps->items[done].at;
	k->tries++;
	if (why) {
		remember(k, &steps->items[done], why);
	}
}

static uint64_t hash_order(const struct cuts_seen *seen)
{
	const struct order *o = orders_find(seen->all.orders, seen->unit);
	int64_t numbers[] = {o ? o->vfs : -1, o ? (int64_t)o->want : -1};
	uint64_t h = hash_bytes(HASH_SEED, numbers, sizeof(numbers));

	for (size_t i = 0; o && i < o->slots.n; i++) {
		h = hash_bytes(h, &o->slots.items[i].at, sizeof(o->slots.items[i].at));
		h = hash_str(h, o->slots.items[i].type);
	}
	return h;
}

static uint64_t hash_card(const struct pci_function *card, const struct cut_vgpu_list *made)
{
	uint64_t h =
		hash_bytes(hash_str(HASH_SEED, card->driver), &card->vfs.n, sizeof(card->vfs.n));

	list_each(v, made) {
		h = hash_bytes(h, &v->at, sizeof(v->at));
		h = hash_str(hash_str(h, v->id), v->uuid);
	}
	return h;
}

/* What failed before something else of the card changed counts on, unless it was done after all. */
static void card_changed(struct card *k, const struct cut_vgpu_list *made)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		bool there = false;

		list_each(v, made) {
			there |= v->at == k->items[i].at;
		}
		if (k->items[i].making != there && k->items[i].at != k->unit) {
			k->items[n++] = k->items[i];
		} else {
			free(k->items[i].why);
		}
	}
	k->n = n;
	k->tries = 0;
}

static void update(struct card *k, const struct cuts_seen *seen, struct arena *a)
{
	struct cut_vgpu_list made;
	uint64_t order = hash_order(seen), card;

	cut_made(seen->unit->card, a, &made);
	card = hash_card(seen->unit->card, &made);
	if (k->order != order) {
		forget(k);
	} else if (k->card != card) {
		card_changed(k, &made);
	}
	k->order = order;
	k->card = card;
}

static void say_failures(const struct card *k, struct arena *a, struct cuts_plan *ret)
{
	struct cut_plan said = {.why = ret->why};
	struct listing all;

	if (!k->n) {
		return;
	}
	listing_init(&all, a, "; ");
	for (size_t i = 0; i < MIN(k->n, (size_t)SAID_FAILURES); i++) {
		listing_add(&all, "%s", k->items[i].why);
	}
	if (k->n > SAID_FAILURES) {
		listing_add(&all, "and %zu more places", k->n - SAID_FAILURES);
	}
	cut_refuse(&said, a, "Failed", listing_end(&all));
	ret->why = said.why;
}

/* --- a plan ----------------------------------------------------------------------------------- */

/* What one of the plans says. */
struct said {
	struct cut_plan cut;
	struct vgpu_tidying tidied, kept;
	size_t patience; /* so many programs may fail before there is a pause */
};

static void plan_once(const struct cut_seen *cut, const struct vgpu_seen *all, struct arena *a,
		      struct said *ret)
{
	const struct order *o = orders_find(cut->orders, cut->unit);

	*ret = (struct said){0};
	plan_sriov(cut, a, &ret->cut);
	if (ret->cut.steps.n || ret->cut.why.type) {
		return;
	}
	plan_slots(cut, a, &ret->cut);
	if (ret->cut.steps.n) {
		ret->patience = o->slots.n;
	} else if (all->looked) {
		vgpu_tidy(all, cut->unit, cut->failed_at, a, &ret->tidied);
		ret->cut.steps = ret->tidied.steps;
	}
	if (o && o->slots.n && !ret->tidied.steps.n) {
		vgpu_keep(all, cut->unit, &ret->cut.steps, a, &ret->kept);
	}
}

static bool takes_all(const struct step *s)
{
	return s->verb == STEP_TOOL || s->verb == STEP_VFS;
}

static bool takes_place(const struct step *s)
{
	return s->verb == STEP_MDEV_DROP || (s->verb == STEP_TYPE && str_eq(s->value, "0"));
}

static bool takes_away(const struct unit *u, const struct steps *steps)
{
	list_each(s, steps) {
		if (takes_place(s) || (takes_all(s) && u->card->vfs.n)) {
			return true;
		}
	}
	return false;
}

static bool is_at(const struct unit *u, uint64_t at)
{
	list_each(vf, &u->card->vfs) {
		if (vf->address == at) {
			return true;
		}
	}
	return at == u->card->address;
}

static uint64_t at_of(const struct unit *place)
{
	return place->functions.items[0]->address;
}

static bool is_of(const struct unit *place, const struct unit *u)
{
	return is_at(u, at_of(place));
}

/* "": it is not of one mediated device. */
static const char *uuid_of(const struct unit *place)
{
	const struct pci_function *f = place->functions.items[0];

	return f->mdevs.n ? f->mdevs.items[0].uuid : "";
}

/* False: some is being asked. What cannot be seen is in use. */
static bool add_users(struct cuts *c, const struct unit *u, struct arena *a,
		      struct cut_use_list *to, int64_t *again)
{
	bool known = true;

	list_each(place, &c->places) {
		enum bind_users users;
		const char *who;
		int64_t at;

		if (!is_of(place, u)) {
			continue;
		}
		if (!inuse_of(c->inuse, place, &users, &who, &at)) {
			known = false;
			continue;
		}
		*again = MIN(*again, at);
		if (users != BIND_USERS_NONE) {
			to->items[to->n++] = (struct cut_use){
				at_of(place), uuid_of(place),
				users == BIND_USERS_SOME
					? arena_strdup(a, who)
					: arena_printf(a,
						       "somebody whom this daemon cannot see (%s)",
						       who)};
		}
	}
	return known;
}

static void add_given(const struct cuts_seen *seen, struct cut_use_list *to)
{
	list_each(u, &seen->all.uses) {
		to->items[to->n++] = *u;
	}
	if (seen->busy) {
		to->items[to->n++] = (struct cut_use){seen->unit->card->address, "", seen->busy};
	}
}

void cuts_plan(struct cuts *c, const struct cuts_seen *seen, struct arena *a, struct cuts_plan *ret)
{
	struct card *k = find(c, seen->unit->card->address);
	struct vgpu_seen all = seen->all;
	struct cut_seen cut = {.machine = all.machine,
			       .unit = seen->unit,
			       .book = seen->book,
			       .orders = all.orders,
			       .looked = true,
			       .refusal = all.books->refusal,
			       .node = all.node,
			       .boot = all.boot};
	struct said said;
	uint64_t goal[3];

	*ret = (struct cuts_plan){.again = INT64_MAX};
	k = k ? k : make(c, seen->unit->card->address);
	if (seen->running) {
		k->planned = true;
		say_failures(k, a, ret);
		return;
	}
	update(k, seen, a);
	k->planned = true;
	cut.failed_at = k->failed_at;
	cut.uses.items = arena_array(a, struct cut_use, all.uses.n + c->places.n + 1);
	add_given(seen, &cut.uses);
	plan_once(&cut, &all, a, &said);
	if (takes_away(seen->unit, &said.cut.steps)) {
		if (!add_users(c, seen->unit, a, &cut.uses, &ret->again)) {
			return;
		}
		all.uses = cut.uses;
		plan_once(&cut, &all, a, &said);
	}
	goal[0] = k->order;
	goal[1] = k->card;
	goal[2] = MIN(k->tries, said.patience);
	ret->steps = said.cut.steps;
	ret->tidied = said.tidied;
	ret->kept = said.kept;
	ret->why = said.cut.why;
	ret->goal = CUTS_GOAL | hash_bytes(HASH_SEED, goal, sizeof(goal));
	if (ret->steps.n) {
		say_failures(k, a, ret);
	}
}

/* --- what the eyes can be asked of ------------------------------------------------------------ */

/* As a unit of its own, without a GPU. id: what the eyes know it by; group: on vfio, that may be open. */
static struct pci_function *add_place(struct cuts *c, uint64_t id, uint64_t at, const char *driver,
				      int64_t group, struct arena *a)
{
	struct pci_function *f = arena_new(a, struct pci_function);
	struct pci_function *named = arena_new(a, struct pci_function);
	const struct pci_function **list = arena_array(a, const struct pci_function *, 1);

	*f = (struct pci_function){.address = at, .kind = PCI_GPU, .driver = driver, .group = -1};
	*named = *f;
	named->address = id;
	named->group = group;
	list[0] = f;
	c->places.items[c->places.n++] = (struct unit){.card = named, .functions = {list, 1}};
	return f;
}

/* Several stand on one card, so each is known by a number of its own, in no domain that there is. */
static void add_mdev(struct cuts *c, const struct pci_function *card, size_t i, struct arena *a)
{
	uint64_t id = NO_ADDRESS | hash_str(HASH_SEED, card->mdevs.items[i].uuid) % NO_ADDRESS;
	struct pci_function *f = add_place(c, id, card->address, card->driver, -1, a);

	f->mdevs.items = &card->mdevs.items[i];
	f->mdevs.n = 1;
}

void cuts_begin(struct cuts *c, const struct unit_list *units, struct arena *a)
{
	size_t n = units->n;

	list_each(u, units) {
		n += u->card->vfs.n + u->card->mdevs.n;
	}
	forget_others(c);
	c->places = (struct unit_list){arena_array(a, struct unit, n), 0};
	list_each(u, units) {
		list_each(vf, &u->card->vfs) {
			if (*vf->driver && !vf->gone) {
				add_place(c, vf->address, vf->address, vf->driver,
					  pcifn_driver_is_vfio(vf->driver) ? vf->group : -1, a);
			}
		}
		for (size_t i = 0; !u->card->vfs.n && i < u->card->mdevs.n; i++) {
			add_mdev(c, u->card, i, a);
		}
	}
	inuse_begin(c->inuse, &c->places);
}

void cuts_ask(struct cuts *c)
{
	inuse_ask(c->inuse);
}

/* --- right before an act ---------------------------------------------------------------------- */

struct asked {
	struct cuts *c;
	uint64_t unit;
	cuts_fn *fn;
	void *ctx;
	struct link link;
};

static void on_answer(void *ctx, const struct eyes_answer *answer)
{
	struct asked *k = ctx;
	struct asked told = *k;
	auto_free char *why = NULL;
	char text[PCIFN_TEXT_MAX];

	list_each(says, &answer->units) {
		const char *what = says->id < NO_ADDRESS ? pcifn_text(says->id, text) : "it";

		if (says->users != BIND_USERS_NONE && !why) {
			why = says->users == BIND_USERS_SOME
				      ? xprintf("%s is used by now: by %s", what, says->who)
				      : xprintf("whether anybody uses %s by now is not known: %s",
						what, says->who);
		}
	}
	link_remove(&k->link);
	free(k);
	told.fn(told.ctx, told.unit, why);
}

static bool is_taken(const struct steps *steps, const struct unit *place)
{
	list_each(s, steps) {
		if (takes_all(s) || (takes_place(s) && s->at == at_of(place) &&
				     (!*uuid_of(place) || str_eq(s->value, uuid_of(place))))) {
			return true;
		}
	}
	return false;
}

/* Of many functions as few units as can be: an answer has EYES_MAX_UNITS. */
static void add_function(struct eyes_question *q, const struct unit *place, bool together,
			 struct arena *a)
{
	struct eyes_unit *last = q->n ? &q->items[q->n - 1] : NULL, one;

	eyes_unit_of(place, a, &one);
	if (together && last && last->functions.n < EYES_MAX_FUNCTIONS) {
		last->functions.items[last->functions.n++] = one.functions.items[0];
	} else if (q->n < EYES_MAX_UNITS) {
		q->items[q->n] = one;
		q->items[q->n].functions.items =
			arena_array(a, struct eyes_function, EYES_MAX_FUNCTIONS);
		memcpy(q->items[q->n].functions.items, one.functions.items,
		       one.functions.n * sizeof(*one.functions.items));
		q->n++;
	}
}

bool cuts_now(struct cuts *c, const struct unit *u, const struct steps *steps, cuts_fn *fn,
	      void *ctx)
{
	attr_cleanup(arena_finish) struct arena a;
	struct eyes_question q = {0};
	struct asked *k;

	arena_init(&a, QUESTION_BYTES);
	q.items = arena_array(&a, struct eyes_unit, EYES_MAX_UNITS);
	list_each(place, &c->places) {
		if (takes_away(u, steps) && is_of(place, u) && is_taken(steps, place)) {
			add_function(&q, place, takes_all(&steps->items[0]), &a);
		}
	}
	if (!q.n) {
		return false;
	}
	k = xcalloc(1, sizeof(*k));
	*k = (struct asked){.c = c, .unit = u->card->address, .fn = fn, .ctx = ctx};
	link_init(&k->link);
	link_append(&c->waiting, &k->link);
	eyes_ask(c->eyes, &q, EYES_ASK_MS, on_answer, k);
	return true;
}

const char *cuts_given(const struct cut_use_list *given, const struct unit *u,
		       const struct steps *steps, struct arena *a)
{
	list_each(g, given) {
		list_each(s, steps) {
			bool all = takes_all(s) && u->card->vfs.n && is_at(u, g->at);
			bool mdev = s->verb == STEP_MDEV_DROP && *g->uuid;

			if (all || (takes_place(s) && s->at == g->at &&
				    (!mdev || str_eq(s->value, g->uuid)))) {
				return arena_printf(a, "it was given to %s meanwhile", g->holder);
			}
		}
	}
	return NULL;
}

/* --- from outside ----------------------------------------------------------------------------- */

static void on_seen(void *ctx)
{
	struct cuts *c = ctx;

	c->s.answered(c->s.ctx);
}

struct cuts *cuts_create(const struct cuts_settings *s)
{
	struct cuts *c = xcalloc(1, sizeof(*c));

	c->s = *s;
	c->inuse = inuse_create(&(struct inuse_settings){s->eyes, on_seen, c});
	c->eyes = eyes_create(&s->eyes);
	link_init(&c->waiting);
	return c;
}

struct cuts *cuts_destroy(struct cuts *c)
{
	inuse_destroy(c->inuse);
	eyes_destroy(c->eyes);
	link_each(l, &c->waiting)
	{
		free(container_of(l, struct asked, link));
	}
	for (size_t i = 0; i < c->n; i++) {
		forget(&c->cards[i]);
	}
	free(c->cards);
	free(c);
	return NULL;
}
