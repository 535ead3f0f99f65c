/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/demand.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/resource.h"
#include "base/link.h"
#include "base/log.h"
#include "base/process.h"
#include "node-daemon/eyes.h"
#include "node-daemon/grpc.h"
#include "node-daemon/plan_vgpu.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/write.h"

#define TURN_BYTES (16 * MiB)
#define MAKE_MS 8000 /* one: the kubelet waits meanwhile, and starts nothing else */

struct demand {
	struct demand_settings s;
	struct eyes *eyes;
	struct link makes, questions;
	char **removing; /* ids that are to go */
	size_t n_removing;
};

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

/* The record of this boot; NULL: it does not exist. */
static const struct journal_slot *record_of(const struct demand *v, const char *id)
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

	while (uses_each(v->s.uses, n, &u)) {
		n++;
	}
	*ret = (struct cut_use_list){arena_array(a, struct cut_use, n), 0};
	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		const struct journal_slot *s = in_use(v, &u, a) ? record_of(v, u.id) : NULL;
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
			u.state == USES_HELD && demand_is(u.id) ? record_of(v, u.id) : NULL;

		if (s) {
			ret->slots.items[ret->slots.n++] = (struct report_slot){
				arena_strdup(a, s->vf), arena_strdup(a, s->uuid),
				arena_printf(a, "%s/%s", u.ns, u.pod)};
		}
	}
}

/* False: nothing is known now. */
static bool see(const struct demand *v, struct arena *a, struct vgpu_seen *ret)
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

static const char *resource_of(const struct unit *u, const char *type, struct arena *a)
{
	const char *model;

	return resource_of_profile(unit_name(u->card, a, &model), type, a);
}

/* --- which devices there are ------------------------------------------------------------------ */

static struct plugin_offer *list_of(struct offers *to, const char *resource)
{
	list_each(l, &to->lists) {
		if (str_eq(l->resource, resource)) {
			return l;
		}
	}
	to->lists.items[to->lists.n] = (struct plugin_offer){.resource = resource};
	return &to->lists.items[to->lists.n++];
}

static bool is_healthy(const struct demand *v, const char *id)
{
	struct uses_view u;

	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		if (str_eq(u.id, id)) {
			return u.healthy;
		}
	}
	return true;
}

static void add_type(struct demand *v, const struct vgpu_seen *seen, const char *type,
		     struct arena *a, struct offers *to)
{
	struct vgpu_device_list devices;
	struct plugin_offer *list;

	vgpu_devices(seen, type, a, &devices);
	if (!devices.n) {
		return;
	}
	list = list_of(to, resource_of(devices.items[0].unit, type, a));
	if (list->devices.n) {
		return; /* two types of one name are one */
	}
	list->devices.items = arena_array(a, struct dpapi_device, devices.n);
	list_each(d, &devices) {
		const char *id = vgpu_id_text(d->id, a);

		list->devices.items[list->devices.n++] = (struct dpapi_device){
			id, d->healthy && (!d->made || is_healthy(v, id)), d->unit->card->numa};
	}
}

void demand_offer(struct demand *v, struct offers *to, struct arena *a)
{
	struct plugin_offer *lists;
	struct vgpu_seen seen;
	const char **types;
	size_t n;

	if (!see(v, a, &seen)) {
		return;
	}
	vgpu_types(&seen, a, &types, &n);
	lists = arena_array(a, struct plugin_offer, to->lists.n + n);
	if (to->lists.n) {
		memcpy(lists, to->lists.items, to->lists.n * sizeof(*lists));
	}
	to->lists.items = lists;
	for (size_t i = 0; i < n && to->lists.n < PLUGIN_RESOURCES_MAX; i++) {
		add_type(v, &seen, types[i], a, to);
	}
}

/* A number that is free stands under each type that fits, and is one device all the same. */
static void add_unit(const struct vgpu_seen *seen, const struct vgpu_device *d, struct arena *a,
		     struct uses_unit *units, size_t *n)
{
	const char *id = vgpu_id_text(d->id, a);

	for (size_t i = 0; i < *n && !d->made; i++) {
		if (str_eq(units[i].id, id)) {
			return;
		}
	}
	units[(*n)++] = (struct uses_unit){
		.id = id,
		.place = arena_printf(a, "%s/%" PRId64, books_find(seen->books, d->id.card)->place,
				      d->id.index),
		.resource = d->made ? resource_of(d->unit, d->type, a) : "",
		.why = d->healthy ? "" : "it is not there yet",
		.methods = "removal",
		.vgpu = true,
	};
}

void demand_units(struct demand *v, struct arena *a, struct uses_unit **ret, size_t *ret_n)
{
	struct vgpu_device_list *all;
	struct vgpu_seen seen;
	const char **types;
	size_t n, most = 0;

	*ret = NULL;
	*ret_n = 0;
	if (!see(v, a, &seen)) {
		return;
	}
	vgpu_types(&seen, a, &types, &n);
	all = arena_array(a, struct vgpu_device_list, n);
	for (size_t i = 0; i < n; i++) {
		vgpu_devices(&seen, types[i], a, &all[i]);
		most += all[i].n;
	}
	*ret = arena_array(a, struct uses_unit, most);
	for (size_t i = 0; i < n; i++) {
		list_each(d, &all[i]) {
			add_unit(&seen, d, a, *ret, ret_n);
		}
	}
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

static int64_t now_of(const struct demand *v)
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

	uses_holders(v->s.uses, q->id, answers[says->users], says->who, now_of(v));
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

void demand_ask_holders(struct demand *v, const char *id)
{
	const struct journal_slot *s = record_of(v, id);
	struct eyes_function place = {.vgpus = true};
	struct eyes_unit unit = {.group = -1, .functions = {&place, 1}};
	struct obey_facts f;
	struct question *q;

	obey_facts(v->s.obey, &f);
	if (!s || pcifn_parse(s->vf, &place.at) < 0 || !(place.driver = driver_at(&f, place.at))) {
		uses_holders(v->s.uses, id, USES_NOBODY, "", now_of(v));
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

/* Obeying removes what the journal says is going. */
void demand_remove(struct demand *v, const char *id)
{
	const struct journal_slot *s = record_of(v, id);
	struct journal_slot going;
	struct err err;

	if (!is_going(v, id)) {
		v->removing = xrealloc(v->removing, (v->n_removing + 1) * sizeof(*v->removing));
		v->removing[v->n_removing++] = xstrdup(id);
	}
	if (s && !is_left(s)) {
		return;
	}
	if (s) {
		going = *s;
		going.state = JOURNAL_DROPPING;
		if (obey_record(v->s.obey, &(struct journal_record){.slot = &going}, true, &err) <
		    0) {
			log_warn("a vGPU stays", log_str("id", id), log_str("reason", err.text));
		}
	}
	v->s.look(v->s.ctx);
	v->s.again(v->s.ctx);
}

/* Those that have gone since. */
static void note_removed(struct demand *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_removing; i++) {
		if (is_left(record_of(v, v->removing[i]))) {
			uses_reset_done(v->s.uses, v->removing[i], true, "removal", 0, "",
					now_of(v));
			free(v->removing[i]);
		} else {
			v->removing[n++] = v->removing[i];
		}
	}
	v->n_removing = n;
}

/* --- an Allocate ------------------------------------------------------------------------------ */

/* What one device has become. */
struct made {
	uint64_t at;
	const char *uuid;
};

struct make {
	struct write_job job; /* first: what the child sees as its context */
	struct demand *v;
	struct link link;
	struct arena arena;
	struct grpc_call *call; /* NULL: nobody waits any more */
	const char *resource;
	struct dpapi_asks asks;
	struct dpapi_grant *grants;
	LIST(struct made) made; /* of the container whose turn it is */
	size_t container;
	struct steps steps;
	struct journal_slot after;
	struct process *process;
};

static void make_free(struct make *m)
{
	link_remove(&m->link);
	arena_finish(&m->arena);
	free(m);
}

/* What was given by the books goes back. */
static void refuse(struct make *m, const char *why)
{
	struct demand *v = m->v;

	log_warn("the kubelet asked in vain", log_str("reason", why));
	if (m->call) {
		grpc_end(m->call, GRPC_FAILED_PRECONDITION, why);
	}
	list_each(ids, &m->asks) {
		list_each(id, ids) {
			uses_not_given(v->s.uses, *id, now_of(v));
		}
	}
	m->call = NULL;
	v->s.look(v->s.ctx);
	v->s.again(v->s.ctx);
}

static void reply(struct make *m)
{
	auto_buf struct buf b;

	if (!m->call) {
		refuse(m, "the kubelet does not wait any more");
		return;
	}
	buf_init(&b, GRPC_SEND_MAX);
	dpapi_write_grants(&b, m->grants, m->asks.n);
	if (!buf_ok(&b) || grpc_reply(m->call, buf_text(&b), b.len) < 0) {
		grpc_end(m->call, GRPC_INTERNAL, "the answer is larger than the kubelet takes");
	}
	m->call = NULL;
	m->v->s.look(m->v->s.ctx);
	m->v->s.again(m->v->s.ctx);
}

/* IOMMU group of the function, or of the mediated device. -1: none. */
static int64_t group_of(const struct make *m, const struct made *d)
{
	char at[PCIFN_TEXT_MAX], group[32];
	auto_free char *link =
		*d->uuid ? xprintf("bus/mdev/devices/%s/iommu_group", d->uuid)
			 : xprintf("bus/pci/devices/%s/iommu_group", pcifn_text(d->at, at));
	int64_t ret;

	return sysfs_link_name(m->v->s.sys, link, group, sizeof(group)) > 0 &&
			       parse_int(group, 0, INT32_MAX, &ret) == 0
		       ? ret
		       : -1;
}

/* kubevirt.md 2: as for GPUs that are passed on whole, mediated devices by their UUIDs. */
static int grant(struct make *m, struct err *err)
{
	struct dpapi_grant *g = &m->grants[m->container];
	bool mdev = *m->made.items[0].uuid;
	struct obey_facts f;
	const char *value = "";
	char at[PCIFN_TEXT_MAX];

	g->files.items = arena_array(&m->arena, struct dpapi_file, m->made.n + 2);
	g->files.items[g->files.n++] = (struct dpapi_file){"/dev/vfio/vfio", "mrw"};
	list_each(d, &m->made) {
		int64_t group = group_of(m, d);

		if (group < 0) {
			return err_set(err,
				       "%s: the vGPU has no IOMMU group; the kernel's log says why",
				       pcifn_text(d->at, at));
		}
		value = arena_printf(&m->arena, "%s%s%s", value, *value ? "," : "",
				     mdev ? d->uuid : pcifn_text(d->at, at));
		g->files.items[g->files.n++] = (struct dpapi_file){
			arena_printf(&m->arena, "/dev/vfio/%" PRId64, group), "mrw"};
	}
	obey_facts(m->v->s.obey, &f);
	if (f.machine && f.machine->iommufd) {
		g->files.items[g->files.n++] = (struct dpapi_file){"/dev/iommu", "mrw"};
	}
	g->variables.items = arena_array(&m->arena, struct dpapi_variable, 1);
	g->variables.n = 1;
	g->variables.items[0] =
		(struct dpapi_variable){mdev ? resource_mdev_variable(m->resource, &m->arena)
					     : resource_pci_variable(m->resource, &m->arena),
					value};
	return 0;
}

static void advance(struct make *m);

static void note_made(struct make *m, uint64_t at, const char *uuid)
{
	m->made.items[m->made.n++] = (struct made){at, arena_strdup(&m->arena, uuid)};
}

static void on_done(void *ctx, const struct process_result *result)
{
	struct make *m = ctx;
	struct steps_heard heard;
	struct err err;
	uint64_t at = m->steps.items[0].at;

	steps_hear(&m->steps, result->out, result->length, &m->arena, &heard);
	m->process = NULL;
	if (heard.done < m->steps.n || result->status) {
		err_set(&err, "%s",
			heard.why ? heard.why
				  : "the vGPU was not made in time; ask again, or look at the "
				    "kernel's log");
		refuse(m, err.text);
		if (!result->stuck) {
			make_free(m);
		}
		return;
	}
	if (obey_record(m->v->s.obey, &(struct journal_record){.slot = &m->after}, false, &err) <
	    0) {
		log_warn("the journal takes no record", log_str("reason", err.text));
	}
	note_made(m, at, m->after.uuid);
	advance(m);
}

static void on_ended(void *ctx)
{
	make_free(ctx);
}

static void slot_copy(const struct journal_slot *s, struct arena *a, struct journal_slot *ret)
{
	*ret = *s;
	ret->place = arena_strdup(a, s->place);
	ret->card = arena_strdup(a, s->card);
	ret->vf = arena_strdup(a, s->vf);
	ret->type = arena_strdup(a, s->type);
	ret->uuid = arena_strdup(a, s->uuid);
	ret->boot = arena_strdup(a, s->boot);
}

static int start(struct make *m, const struct vgpu_plan *p, struct err *err)
{
	struct demand *v = m->v;

	if (obey_record(v->s.obey, &(struct journal_record){.slot = &p->before}, true, err) < 0) {
		return -1;
	}
	steps_copy(&p->steps, &m->arena, &m->steps);
	slot_copy(&p->after, &m->arena, &m->after);
	m->job = (struct write_job){v->s.sys, -1, getpid(), &m->steps, NULL};
	m->process = process_start(v->s.loop,
				   &(struct process_spec){
					   .name = "vgpu",
					   .run = write_run,
					   .keep = &v->s.sys,
					   .n_keep = 1,
					   .timeout_ms = MAKE_MS,
					   .max_out = m->steps.n * STEPS_LINE_MAX + 1,
					   .done = on_done,
					   .ended = on_ended,
					   .ctx = m,
				   },
				   err);
	return m->process ? 0 : -1;
}

/* The type that the unit offers as the resource that was asked for, NULL: none. */
static const char *type_of(const struct vgpu_seen *seen, const struct vgpu_id *id,
			   const char *resource, struct arena *a)
{
	const char **types;
	size_t n;

	vgpu_types(seen, a, &types, &n);
	list_each(u, seen->units) {
		for (size_t i = 0; i < n && u->card->address == id->card; i++) {
			if (str_eq(resource_of(u, types[i], a), resource)) {
				return types[i];
			}
		}
	}
	return NULL;
}

/* One: it is there already, or a child makes it. 1: wait for that. -1: it is refused. */
static int make_one(struct make *m, const char *text, struct err *err)
{
	attr_cleanup(arena_finish) struct arena a;
	struct vgpu_seen seen;
	struct vgpu_plan plan;
	struct vgpu_id id;
	const char *type;

	arena_init(&a, TURN_BYTES);
	if (!see(m->v, &a, &seen) || vgpu_id_parse(text, &id) < 0) {
		return err_set(err, "%s: nothing is known of this node's devices now", text);
	}
	type = type_of(&seen, &id, m->resource, &a);
	if (!type) {
		return err_set(err, "%s: its card does not offer %s now; ask again", text,
			       m->resource);
	}
	vgpu_make(&seen, id, type, &a, &plan);
	if (plan.why) {
		return err_set(err, "%s", plan.why);
	}
	if (plan.steps.n) {
		return start(m, &plan, err) < 0 ? -1 : 1;
	}
	note_made(m, plan.at, plan.uuid);
	return 0;
}

/* On to the next device that is not there yet, or to the answer. Frees m at its end. */
static void advance(struct make *m)
{
	struct err err;
	int rc = 0;

	while (m->container < m->asks.n && rc == 0) {
		const struct dpapi_ids *ids = &m->asks.items[m->container];

		if (m->made.n < ids->n) {
			rc = make_one(m, ids->items[m->made.n], &err);
			continue;
		}
		rc = ids->n ? grant(m, &err) : 0;
		m->container++;
		m->made.n = 0;
	}
	if (rc == 1) {
		return;
	}
	if (rc < 0) {
		refuse(m, err.text);
	} else {
		reply(m);
	}
	make_free(m);
}

static void copy_asks(struct make *m, const struct dpapi_asks *asks)
{
	size_t most = 0;

	m->asks.n = asks->n;
	m->asks.items = arena_array(&m->arena, struct dpapi_ids, asks->n);
	for (size_t i = 0; i < asks->n; i++) {
		struct dpapi_ids *to = &m->asks.items[i];

		most = MAX(most, asks->items[i].n);
		to->n = asks->items[i].n;
		to->items = arena_array(&m->arena, const char *, to->n);
		for (size_t k = 0; k < to->n; k++) {
			to->items[k] = arena_strdup(&m->arena, asks->items[i].items[k]);
		}
	}
	m->made.items = arena_array(&m->arena, struct made, most);
	m->grants = arena_array(&m->arena, struct dpapi_grant, asks->n);
}

void demand_answer(struct demand *v, struct grpc_call *call, const char *resource,
		   const struct dpapi_asks *asks)
{
	struct make *m = xcalloc(1, sizeof(*m));

	m->v = v;
	m->call = call;
	arena_init(&m->arena, TURN_BYTES);
	m->resource = arena_strdup(&m->arena, resource);
	copy_asks(m, asks);
	link_init(&m->link);
	link_append(&v->makes, &m->link);
	advance(m);
}

void demand_call_gone(struct demand *v, struct grpc_call *call)
{
	link_each(l, &v->makes)
	{
		struct make *m = container_of(l, struct make, link);

		if (m->call == call) {
			m->call = NULL;
		}
	}
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
	link_each(l, &v->makes)
	{
		struct make *m = container_of(l, struct make, link);

		if (m->process) {
			process_kill(m->process);
		}
		make_free(m);
	}
	for (size_t i = 0; i < v->n_removing; i++) {
		free(v->removing[i]);
	}
	free(v->removing);
	free(v);
	return NULL;
}
