/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "node-daemon/journal_inner.h"
#include "node-daemon/pcifn.h"

/* --- the records as tables ----------------------------------------------------------------- */

#define T struct journal_head
static const struct field head_fields[] = {
	FIELD(T, version, "version", TYPE_INT),
	FIELD(T, node, "node", TYPE_STR),
	FIELD(T, boot, "boot", TYPE_STR),
	{0},
};
static const struct type head_type = {sizeof(T), head_fields, NULL};
#undef T

#define T struct journal_orders
static const struct field orders_fields[] = {
	FIELD(T, term, "term", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, generation, "generation", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, spec, "spec", TYPE_RAW),
	{0},
};
static const struct type orders_type = {sizeof(T), orders_fields, NULL};
#undef T

#define T struct journal_function
static const struct field function_fields[] = {
	FIELD(T, at, "at", TYPE_STR),
	FIELD(T, ids, "ids", TYPE_STR),
	FIELD(T, driver, "driver", TYPE_STR),
	FIELD(T, override, "override", TYPE_STR),
	{0},
};
static const struct type function_type = {sizeof(T), function_fields, NULL};
#undef T

#define T struct journal_unit
static const struct field unit_fields[] = {
	FIELD(T, place, "place", TYPE_STR),
	FIELD(T, replaces, "replaces", TYPE_STR),
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, ids, "ids", TYPE_STR),
	FIELD(T, boot, "boot", TYPE_STR),
	FIELD(T, state, "state", TYPE_STR),
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, why, "why", TYPE_STR),
	FIELD(T, adopted, "adopted", TYPE_BOOL),
	FIELD(T, functions, "functions", TYPE_OBJS, .sub = &function_type),
	{0},
};
static const struct type unit_type = {sizeof(T), unit_fields, NULL};
#undef T

#define T struct journal_reset
static const struct field reset_fields[] = {
	FIELD(T, method, "method", TYPE_STR),
	FIELD(T, ms, "ms", TYPE_INT),
	FIELD(T, at, "at", TYPE_INT),
	FIELD(T, ok, "ok", TYPE_BOOL),
	{0},
};
static const struct type reset_type = {sizeof(T), reset_fields, NULL};
#undef T

#define T struct journal_use
static const struct field use_fields[] = {
	FIELD(T, place, "place", TYPE_STR),
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, state, "state", TYPE_STR),
	FIELD(T, ns, "ns", TYPE_STR),
	FIELD(T, pod, "pod", TYPE_STR),
	FIELD(T, resource, "resource", TYPE_STR),
	FIELD(T, boot, "boot", TYPE_STR),
	FIELD(T, reset, "reset", TYPE_OBJ, .sub = &reset_type),
	{0},
};
static const struct type use_type = {sizeof(T), use_fields, NULL};
#undef T

#define T struct journal_slot
static const struct field slot_fields[] = {
	FIELD(T, place, "place", TYPE_STR),
	FIELD(T, index, "index", TYPE_INT, .flags = TYPE_KEEP_ZERO),
	FIELD(T, card, "card", TYPE_STR),
	FIELD(T, vf, "vf", TYPE_STR),
	FIELD(T, type, "type", TYPE_STR),
	FIELD(T, uuid, "uuid", TYPE_STR),
	FIELD(T, boot, "boot", TYPE_STR),
	FIELD(T, state, "state", TYPE_STR),
	{0},
};
static const struct type slot_type = {sizeof(T), slot_fields, NULL};
#undef T

#define T struct journal_record
static const struct field record_fields[] = {
	FIELD(T, head, "head", TYPE_OBJ, .sub = &head_type),
	FIELD(T, orders, "orders", TYPE_OBJ, .sub = &orders_type),
	FIELD(T, unit, "unit", TYPE_OBJ, .sub = &unit_type),
	FIELD(T, use, "use", TYPE_OBJ, .sub = &use_type),
	FIELD(T, slot, "slot", TYPE_OBJ, .sub = &slot_type),
	{0},
};
const struct type journal_record_type = {sizeof(T), record_fields, NULL};
#undef T

/* --- which are records --------------------------------------------------------------------- */

/* Printable ASCII: what else a line could hold, the reader might see differently. */
static bool plain(const char *s)
{
	for (; s && *s; s++) {
		if (*s < ' ' || *s > '~') {
			return false;
		}
	}
	return true;
}

static bool filled(const char *s)
{
	return !str_empty(s) && plain(s);
}

static bool address(const char *s)
{
	uint64_t at;

	return s && pcifn_parse(s, &at) == 0;
}

bool journal_hex(const char *bytes, size_t n)
{
	while (n && ((*bytes >= '0' && *bytes <= '9') || (*bytes >= 'a' && *bytes <= 'f'))) {
		bytes++;
		n--;
	}
	return !n;
}

/* 10de:26b9:10de:1851 */
static bool identity(const char *s)
{
	static const char shape[] = "hhhh:hhhh:hhhh:hhhh";

	for (size_t i = 0; i < sizeof(shape); i++) {
		if (!s || (shape[i] == 'h' ? !journal_hex(s + i, 1) : s[i] != shape[i])) {
			return false;
		}
	}
	return true;
}

static bool state(const char *s)
{
	return str_empty(s) || str_eq(s, JOURNAL_BINDING) || str_eq(s, JOURNAL_BOUND) ||
	       str_eq(s, JOURNAL_RETURNING);
}

static int head_check(const struct journal_head *h, struct err *err)
{
	if (h->version > JOURNAL_VERSION) {
		return err_set(err, "it is of version %" PRId64 ", and this program knows %d",
			       h->version, JOURNAL_VERSION);
	}
	if (h->version < 1 || !filled(h->node) || !filled(h->boot)) {
		return err_set(err, "its head lacks the version, the node or the boot");
	}
	return 0;
}

static int orders_check(const struct journal_orders *o, struct err *err)
{
	json_auto_t *spec = type_raw(o->spec);

	if (!json_is_object(spec) || o->term < 0 || o->generation < 0) {
		return err_set(err, "its orders lack the term, the generation or the spec");
	}
	return 0;
}

static int function_check(const struct journal_function *f, struct err *err)
{
	if (!address(f->at)) {
		return err_set(err, "a function has no PCI address");
	}
	if (!identity(f->ids) || !plain(f->driver) || !plain(f->override)) {
		return err_set(err, "function %s has no ids, or a driver of no name", f->at);
	}
	return 0;
}

static int unit_check(const struct journal_unit *u, struct err *err)
{
	if (!address(u->id)) {
		return err_set(err, "a unit has no PCI address");
	}
	if (!filled(u->place) || !identity(u->ids) || !filled(u->boot)) {
		return err_set(err, "unit %s lacks its place, its ids or its boot", u->id);
	}
	if (!state(u->state) || !plain(u->name) || !plain(u->why) || !plain(u->replaces)) {
		return err_set(err, "unit %s is in no state that is known, or has a strange name",
			       u->id);
	}
	if (u->functions.n > JOURNAL_MAX_FUNCTIONS) {
		return err_set(err, "unit %s has more than %d functions", u->id,
			       JOURNAL_MAX_FUNCTIONS);
	}
	list_each(f, &u->functions) {
		if (function_check(f, err) < 0) {
			return err_wrap(err, "unit %s", u->id);
		}
	}
	return 0;
}

static bool use_state(const char *s)
{
	return str_eq(s, JOURNAL_FREE) || str_eq(s, JOURNAL_GIVEN) || str_eq(s, JOURNAL_DIRTY);
}

static int use_check(const struct journal_use *u, struct err *err)
{
	const struct journal_reset *r = u->reset;

	if (!filled(u->place) || !filled(u->id) || !filled(u->boot)) {
		return err_set(err, "a use lacks its place, its device or its boot");
	}
	if (!use_state(u->state) || !plain(u->ns) || !plain(u->pod) || !plain(u->resource)) {
		return err_set(
			err,
			"the use of %s is in no state that is known, or of a strange pod or resource",
			u->id);
	}
	if (r && (!filled(r->method) || r->ms < 0 || r->at < 0)) {
		return err_set(err, "the reset of %s lacks its method, or took no time that is one",
			       u->id);
	}
	return 0;
}

static bool slot_state(const char *s)
{
	return str_empty(s) || str_eq(s, JOURNAL_MAKING) || str_eq(s, JOURNAL_MADE) ||
	       str_eq(s, JOURNAL_DROPPING);
}

static int slot_check(const struct journal_slot *s, struct err *err)
{
	if (!filled(s->place) || s->index < 0 || s->index >= JOURNAL_MAX_SLOTS) {
		return err_set(err, "a vGPU lacks its place or its number");
	}
	if (!address(s->card) || !address(s->vf) || !filled(s->type) || !filled(s->boot)) {
		return err_set(err, "vGPU %" PRId64 " of %s lacks its card, function, type or boot",
			       s->index, s->place);
	}
	if (!slot_state(s->state) || !plain(s->uuid)) {
		return err_set(err,
			       "vGPU %" PRId64 " of %s is in no state that is known, or has a "
			       "strange UUID",
			       s->index, s->place);
	}
	return 0;
}

int journal_check(const struct journal_record *r, struct err *err)
{
	if (!!r->head + !!r->orders + !!r->unit + !!r->use + !!r->slot != 1) {
		return err_set(err, "it is not one record");
	}
	return r->head	   ? head_check(r->head, err)
	       : r->orders ? orders_check(r->orders, err)
	       : r->unit   ? unit_check(r->unit, err)
	       : r->use	   ? use_check(r->use, err)
			   : slot_check(r->slot, err);
}
