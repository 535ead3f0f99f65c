/* SPDX-License-Identifier: Apache-2.0 */
/* What is reported of the devices. */
#include <string.h>

#include "base/clock.h"
#include "node-daemon/plan_vgpu.h"
#include "node-daemon/supply_inner.h"

static bool is_deaf(const struct supply *su)
{
	return su->deaf && supply_now(su) - su->deaf_since >= SUPPLY_DEAF_MS;
}

/* Of all that supply_report says, but for the resets. */
static uint64_t said(const struct supply *su)
{
	uint64_t h = HASH_SEED;
	struct uses_view v;

	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		const char *const texts[] = {v.id, v.ns, v.pod, v.why};

		for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
			h = hash_str(h, texts[k]);
		}
		h = hash_bytes(h, &(bool[]){v.state == USES_HELD, v.state == USES_DIRTY}, 2);
	}
	list_each(o, &su->offers.items) {
		h = hash_str(h, o->is && !o->offered && o->why ? o->why : "");
		h = hash_str(h, o->offered ? o->resource : "");
	}
	for (size_t i = 0; su->rival_of && i < su->facts.units->n; i++) {
		h = hash_str(h, su->rival_of[i] ? su->rival_why[i] : "");
	}
	h = hash_str(h, su->alone ? su->alone : "");
	return hash_str(h, is_deaf(su) ? su->deaf : "");
}

static uint64_t said_resets(const struct supply *su)
{
	uint64_t h = HASH_SEED;
	struct uses_view v;

	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		const int64_t numbers[] = {v.ms, v.at};

		h = hash_bytes(hash_str(hash_str(h, v.id), v.method), numbers, sizeof(numbers));
	}
	return h;
}

static void tell(struct supply *su)
{
	su->reported = said(su);
	su->reported_resets = said_resets(su);
	loop_timer_set(su->report, INT64_MAX);
	su->s.changed(su->s.ctx);
}

void supply_tell_resets(void *ctx)
{
	tell(ctx);
}

/* That one more has been reset is nothing that anybody waits for: several are told together. */
void supply_tell(struct supply *su)
{
	if (said(su) != su->reported) {
		tell(su);
	} else if (said_resets(su) == su->reported_resets) {
		loop_timer_set(su->report, INT64_MAX);
	} else if (loop_timer_at(su->report) == INT64_MAX) {
		loop_timer_set(su->report, supply_now(su) + SUPPLY_RESETS_MS);
	}
}

static void note(struct report_obeyed *ret, uint64_t unit, const char *type, const char *status,
		 const char *reason, const char *why)
{
	ret->notes.items[ret->notes.n++] =
		(struct report_note){unit, {type, status, reason, why, 0, NULL}};
}

/* That a unit is with a pod keeps nobody from wanting it next; that it is not clean does. */
static void note_use(const struct uses_view *v, uint64_t unit, struct report_obeyed *ret)
{
	if (v->state == USES_DIRTY) {
		note(ret, unit, "Dirty", "True", "NotReset", v->why);
		note(ret, unit, "Available", "False", "Dirty", v->why);
	} else if (*v->why && v->state != USES_HELD && v->state != USES_GIVEN) {
		note(ret, unit, "Available", "False", "InUse", v->why);
	}
}

/* One that stays though no pod has it, where nothing else is said of its card. */
static void note_vgpu(const struct uses_view *v, struct arena *a, struct report_obeyed *ret)
{
	struct vgpu_id id;

	if (!*v->why || (v->state != USES_RETURNING && v->state != USES_DIRTY) ||
	    vgpu_id_parse(v->id, &id) < 0) {
		return;
	}
	list_each(n, &ret->notes) {
		if (n->unit == id.card && str_eq(n->condition.type, "Available")) {
			return;
		}
	}
	note(ret, id.card, "Available", "False", v->state == USES_DIRTY ? "Dirty" : "InUse",
	     arena_printf(a, "vGPU %s: %s", v->id, v->why));
}

static void report_use(const struct supply *su, const struct uses_view *v, uint64_t unit,
		       struct report_obeyed *ret)
{
	bool held = v->state == USES_HELD && *v->pod;
	bool reset = *v->method && v->at, never = !*v->method;

	if (held || reset || never) {
		ret->uses.items[ret->uses.n++] = (struct report_use){
			unit,
			held ? v->ns : NULL,
			held ? v->pod : NULL,
			reset ? v->method : NULL,
			v->ms,
			clock_wall_ms() - (supply_now(su) - v->at),
			never,
		};
	}
}

static void report_listed(const struct offer *o, struct report_obeyed *ret)
{
	if (o->offered) {
		ret->listed.items[ret->listed.n++] = (struct report_listed){o->unit, o->resource};
	}
}

/* What is ordered for virtual machines, is ready, and is not listed all the same. */
static void note_offer(const struct supply *su, const struct offer *o, struct report_obeyed *ret)
{
	if (o->is && !o->offered && o->why && str_eq(unit_mode(o->is), "vfio") &&
	    orders_for(su->facts.orders, o->is) == WANT_VFIO) {
		note(ret, o->unit, "Available", "False", "NotAdvertised", o->why);
	}
}

/* Whatever else is said of it: until that has left it is not for virtual machines of ours. */
static void note_rivals(const struct supply *su, struct arena *a, struct report_obeyed *ret)
{
	size_t n = su->rival_of ? su->facts.units->n : 0;

	ret->served.items = arena_array(a, struct report_served, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t unit = su->facts.units->items[i].card->address;

		if (su->rival_of[i]) {
			note(ret, unit, "Available", "False", "ServedByOther", su->rival_why[i]);
			ret->served.items[ret->served.n++] =
				(struct report_served){unit, su->rival_of[i]};
		}
	}
}

/* That all is well is not said: it is seen in what the Node counts. */
static void say_supplying(const struct supply *su, struct arena *a, struct report_obeyed *ret)
{
	struct condition *c = &ret->supplying;

	if (su->alone) {
		*c = (struct condition){
			.type = "Supplying", .status = "False", .reason = "NoKubelet"};
		c->message = arena_printf(
			a, "no kubelet is told of the GPUs, and it is tried again: %s", su->alone);
	} else if (is_deaf(su)) {
		*c = (struct condition){
			.type = "Supplying", .status = "False", .reason = "PodsNotKnown"};
		c->message = arena_printf(
			a,
			"the kubelet does not tell which pods have GPUs, so none is taken back from one, and it "
			"is asked again: %s",
			su->deaf);
	}
}

void supply_report(const struct supply *su, struct arena *a, struct report_obeyed *ret)
{
	size_t room = ret->notes.n + 4 * su->offers.items.n;
	struct report_note *notes;
	struct uses_view v;
	uint64_t unit;

	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		room++;
	}
	notes = arena_array(a, struct report_note, room);
	if (ret->notes.n) {
		memcpy(notes, ret->notes.items, ret->notes.n * sizeof(*notes));
	}
	ret->notes.items = notes;
	ret->uses.items = arena_array(a, struct report_use, su->offers.items.n);
	ret->listed.items = arena_array(a, struct report_listed, su->offers.items.n);
	demand_report(su->demand, a, ret);
	list_each(o, &su->offers.items) {
		report_listed(o, ret);
		note_offer(su, o, ret);
	}
	note_rivals(su, a, ret);
	say_supplying(su, a, ret);
	for (size_t i = 0; uses_each(su->uses, i, &v); i++) {
		if (offers_find(&su->offers, v.id) && pcifn_parse(v.id, &unit) == 0) {
			note_use(&v, unit, ret);
			report_use(su, &v, unit, ret);
		} else {
			note_vgpu(&v, a, ret);
		}
	}
}
