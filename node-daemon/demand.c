/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/demand.h"

#include <stdlib.h>

#include "api/resource.h"
#include "base/log.h"
#include "node-daemon/demand_inner.h"
#include "node-daemon/sysfs.h"

/* --- what there is ---------------------------------------------------------------------------- */

bool demand_is(const char *id)
{
	struct vgpu_id parsed;

	return vgpu_id_parse(id, &parsed) == 0;
}

static bool is_going(const struct demand *v, const char *id)
{
	for (size_t i = 0; i < v->n_removing; i++) {
		if (str_eq(v->removing[i], id)) {
			return true;
		}
	}
	return false;
}

const struct journal_slot *demand_record(const struct demand *v, const char *id)
{
	const struct journal *j = obey_journal(v->s.obey);
	struct obey_facts f;
	struct vgpu_id parsed;
	char card[PCIFN_TEXT_MAX];

	obey_facts(v->s.obey, &f);
	if (!j || !f.boot || vgpu_id_parse(id, &parsed) < 0) {
		return NULL;
	}
	pcifn_text(parsed.card, card);
	list_each(s, &j->slots) {
		if (s->index == parsed.index && str_eq(s->card, card) && str_eq(s->boot, f.boot)) {
			return s;
		}
	}
	return NULL;
}

static const char *holder_of(const struct uses_view *u, struct arena *a)
{
	return *u->pod ? arena_printf(a, "pod %s/%s", u->ns, u->pod)
		       : "a pod that is being started";
}

/* What is being removed is nobody's by then. */
static bool in_use(const struct demand *v, const struct uses_view *u, struct arena *a)
{
	return demand_is(u->id) && !is_going(v, u->id) && uses_busy(v->s.uses, u->id, a);
}

void demand_given(const struct demand *v, struct arena *a, struct cut_use_list *ret)
{
	struct uses_view u;
	size_t n = 0;

	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		n += demand_is(u.id);
	}
	*ret = (struct cut_use_list){arena_array(a, struct cut_use, n), 0};
	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		const struct journal_slot *s = in_use(v, &u, a) ? demand_record(v, u.id) : NULL;
		uint64_t at;

		if (s && pcifn_parse(s->vf, &at) == 0) {
			ret->items[ret->n++] =
				(struct cut_use){at, arena_strdup(a, s->uuid), holder_of(&u, a)};
		}
	}
}

void demand_report(const struct demand *v, struct arena *a, struct report_obeyed *ret)
{
	struct uses_view u;
	size_t n = 0;

	while (uses_each(v->s.uses, n, &u)) {
		n++;
	}
	ret->slots.items = arena_array(a, struct report_slot, n);
	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		const struct journal_slot *s =
			u.state == USES_HELD && demand_is(u.id) ? demand_record(v, u.id) : NULL;

		if (s) {
			ret->slots.items[ret->slots.n++] = (struct report_slot){
				arena_strdup(a, s->vf), arena_strdup(a, s->uuid),
				arena_printf(a, "%s/%s", u.ns, u.pod)};
		}
	}
}

bool demand_see(const struct demand *v, struct arena *a, struct vgpu_seen *ret)
{
	struct obey_facts f;

	obey_facts(v->s.obey, &f);
	*ret = (struct vgpu_seen){.machine = f.machine,
				  .units = f.units,
				  .books = f.books,
				  .orders = f.orders,
				  .journal = obey_journal(v->s.obey),
				  .looked = true,
				  .node = f.node,
				  .boot = f.boot};
	if (!f.machine || !ret->journal) {
		return false;
	}
	demand_given(v, a, &ret->uses);
	return true;
}

const char *demand_resource(const struct unit *u, const char *type, struct arena *a)
{
	const char *model;

	return resource_of_profile(unit_name(u->card, a, &model), type, a);
}

/* --- who has one open ------------------------------------------------------------------------- */

struct question {
	struct demand *v;
	struct link link;
	char *id;
};

static void question_free(struct question *q)
{
	link_remove(&q->link);
	free(q->id);
	free(q);
}

int64_t demand_now(const struct demand *v)
{
	return loop_now(v->s.loop);
}

static void on_eyes(void *ctx, const struct eyes_answer *answer)
{
	static const enum uses_holders answers[] = {[BIND_USERS_UNKNOWN] = USES_NOT_KNOWN,
						    [BIND_USERS_NONE] = USES_NOBODY,
						    [BIND_USERS_SOME] = USES_SOMEBODY};
	struct question *q = ctx;
	struct demand *v = q->v;
	const struct eyes_says *says = &answer->units.items[0];

	uses_holders(v->s.uses, q->id, answers[says->users], says->who, demand_now(v));
	question_free(q);
	v->s.again(v->s.ctx);
}

/* The driver of what carries it: a virtual function, or the card. NULL: none has it. */
static const char *driver_at(const struct obey_facts *f, uint64_t at)
{
	for (size_t i = 0; f->units && i < f->units->n; i++) {
		const struct pci_function *card = f->units->items[i].card;

		if (card->address == at) {
			return *card->driver ? card->driver : NULL;
		}
		list_each(vf, &card->vfs) {
			if (vf->address == at) {
				return *vf->driver ? vf->driver : NULL;
			}
		}
	}
	return NULL;
}

/* By what /sys says now: the last look may be older than the vGPU. */
static bool is_absent(const struct demand *v, const struct journal_slot *s)
{
	auto_free char *path =
		*s->uuid ? xprintf("bus/mdev/devices/%s", s->uuid)
			 : xprintf("bus/pci/devices/%s/nvidia/current_vgpu_type", s->vf);
	char type[32];

	if (*s->uuid) {
		return !sysfs_exists(v->s.sys, path);
	}
	return sysfs_read(v->s.sys, path, type, sizeof(type)) > 0 && str_eq(type, "0");
}

void demand_ask_holders(struct demand *v, const char *id)
{
	const struct journal_slot *s = demand_record(v, id);
	struct eyes_function place = {.vgpus = true};
	struct eyes_unit unit = {.group = -1, .functions = {&place, 1}};
	struct obey_facts f;
	struct question *q;

	obey_facts(v->s.obey, &f);
	if (!s || is_absent(v, s) || pcifn_parse(s->vf, &place.at) < 0 ||
	    !(place.driver = driver_at(&f, place.at))) {
		uses_holders(v->s.uses, id, USES_NOBODY, "", demand_now(v));
		return; /* it is not there */
	}
	unit.id = place.at;
	place.uuid = s->uuid;
	q = xcalloc(1, sizeof(*q));
	*q = (struct question){.v = v, .id = xstrdup(id)};
	link_init(&q->link);
	link_append(&v->questions, &q->link);
	eyes_ask(v->eyes, &(struct eyes_question){&unit, 1}, EYES_ASK_MS, on_eyes, q);
}

/* --- its end ---------------------------------------------------------------------------------- */

static bool is_left(const struct journal_slot *s)
{
	return !s || !str_eq(s->state, JOURNAL_DROPPING);
}

/* On the disk: that it goes. */
static int record_end(struct demand *v, const struct journal_slot *s, struct err *err)
{
	struct journal_slot going = *s;

	going.state = JOURNAL_DROPPING;
	return obey_record(v->s.obey, &(struct journal_record){.slot = &going}, true, err);
}

/* Obeying removes what the journal says is going, and nobody has any more: since it is listed here. */
void demand_remove(struct demand *v, const char *id)
{
	const struct journal_slot *s = demand_record(v, id);
	struct err err;

	if (s && is_left(s) && record_end(v, s, &err) < 0) {
		uses_reset_done(v->s.uses, id, false, "removal", 0, err.text, demand_now(v));
		v->s.again(v->s.ctx);
		return;
	}
	if (!is_going(v, id)) {
		v->removing = xrealloc(v->removing, (v->n_removing + 1) * sizeof(*v->removing));
		v->removing[v->n_removing++] = xstrdup(id);
	}
	v->s.look(v->s.ctx);
	v->s.again(v->s.ctx);
}

/* Those that have gone since. */
static void note_removed(struct demand *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_removing; i++) {
		if (is_left(demand_record(v, v->removing[i]))) {
			uses_reset_done(v->s.uses, v->removing[i], true, "removal", 0, "",
					demand_now(v));
			free(v->removing[i]);
		} else {
			v->removing[n++] = v->removing[i];
		}
	}
	v->n_removing = n;
}

/* --- from outside ----------------------------------------------------------------------------- */

void demand_turn(struct demand *v)
{
	note_removed(v);
}

struct demand *demand_create(const struct demand_settings *s)
{
	struct demand *v = xcalloc(1, sizeof(*v));

	v->s = *s;
	v->eyes = eyes_create(s->eyes);
	link_init(&v->makes);
	link_init(&v->questions);
	return v;
}

struct demand *demand_destroy(struct demand *v)
{
	eyes_destroy(v->eyes);
	link_each(l, &v->questions)
	{
		question_free(container_of(l, struct question, link));
	}
	demand_makes_end(v);
	for (size_t i = 0; i < v->n_removing; i++) {
		free(v->removing[i]);
	}
	free(v->removing);
	free(v);
	return NULL;
}
