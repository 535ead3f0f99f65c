/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json/write.h"
#include "node-daemon/pcifn.h"

#define MAX_MEMORY (64 * MiB) /* what JOURNAL_MAX_BYTES of text can become, several times over */
#define HASH_DIGITS 16

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

#define T struct journal_record
static const struct field record_fields[] = {
	FIELD(T, head, "head", TYPE_OBJ, .sub = &head_type),
	FIELD(T, orders, "orders", TYPE_OBJ, .sub = &orders_type),
	FIELD(T, unit, "unit", TYPE_OBJ, .sub = &unit_type),
	FIELD(T, use, "use", TYPE_OBJ, .sub = &use_type),
	{0},
};
static const struct type record_type = {sizeof(T), record_fields, NULL};
#undef T

/* --- which are records --------------------------------------------------------------------- */

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

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

static bool hex(const char *bytes, size_t n)
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
		if (!s || (shape[i] == 'h' ? !hex(s + i, 1) : s[i] != shape[i])) {
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

static int check(const struct journal_record *r, struct err *err)
{
	if (!!r->head + !!r->orders + !!r->unit + !!r->use != 1) {
		return err_set(err, "it is not one record");
	}
	return r->head	   ? head_check(r->head, err)
	       : r->orders ? orders_check(r->orders, err)
	       : r->unit   ? unit_check(r->unit, err)
			   : use_check(r->use, err);
}

/* --- what is remembered -------------------------------------------------------------------- */

void journal_init(struct journal *j)
{
	*j = (struct journal){.trouble = "", .others_kind = "", .head = {.node = "", .boot = ""}};
	arena_init(&j->arena, MAX_MEMORY);
}

void journal_finish(struct journal *j)
{
	arena_finish(&j->arena);
}

void journal_close(struct journal *j, const char *why)
{
	j->health = JOURNAL_CLOSED;
	j->trouble = arena_strdup(&j->arena, why);
}

void journal_synced(struct journal *j)
{
	j->safe = j->number;
}

/* Room for one more item, at least. */
static void *one_more(struct arena *a, void *items, size_t n, size_t *room, size_t size)
{
	void *more;

	if (n < *room) {
		return items;
	}
	*room = MAX(*room * 2, (size_t)16);
	more = arena_alloc(a, *room * size);
	return n ? memcpy(more, items, n * size) : more;
}

static struct journal_unit *find_unit(const struct journal *j, const char *place)
{
	uint64_t hash = hash_str(HASH_SEED, place);

	list_each(u, &j->units) {
		if (u->hash == hash && str_eq(u->place, place)) {
			return u;
		}
	}
	return NULL;
}

/* Says nothing any more. */
static bool blank(const struct journal_unit *u)
{
	return !*u->state && !*u->name && !*u->why && !u->functions.n && !tri_or(u->adopted, false);
}

static void forget_unit(struct journal *j, const char *place)
{
	struct journal_unit *at = find_unit(j, place);

	if (at) {
		j->units.n--;
		memmove(at, at + 1, (size_t)(j->units.items + j->units.n - at) * sizeof(*at));
	}
}

static void remember_unit(struct journal *j, const struct journal_unit *u)
{
	struct journal_unit *at;

	if (*u->replaces) {
		forget_unit(j, u->replaces);
	}
	if (blank(u)) {
		forget_unit(j, u->place);
		return;
	}
	at = find_unit(j, u->place);
	if (!at) {
		j->units.items = one_more(&j->arena, j->units.items, j->units.n, &j->units_room,
					  sizeof(*at));
		at = &j->units.items[j->units.n++];
	}
	*at = *u;
	at->replaces = ""; /* that is done, and what comes at that place later is another record */
}

static struct journal_use *find_use(const struct journal *j, const char *place)
{
	uint64_t hash = hash_str(HASH_SEED, place);

	list_each(u, &j->uses) {
		if (u->hash == hash && str_eq(u->place, place)) {
			return u;
		}
	}
	return NULL;
}

static void remember_use(struct journal *j, const struct journal_use *u)
{
	struct journal_use *at = find_use(j, u->place);

	if (str_eq(u->state, JOURNAL_FREE) && !u->reset) {
		if (at) {
			j->uses.n--;
			memmove(at, at + 1, (size_t)(j->uses.items + j->uses.n - at) * sizeof(*at));
		}
		return;
	}
	if (!at) {
		j->uses.items =
			one_more(&j->arena, j->uses.items, j->uses.n, &j->uses_room, sizeof(*at));
		at = &j->uses.items[j->uses.n++];
	}
	*at = *u;
	at->hash = hash_str(HASH_SEED, u->place);
	at->ns = or_empty(u->ns);
	at->pod = or_empty(u->pod);
	at->resource = or_empty(u->resource);
}

static void unit_fill(struct journal_unit *u)
{
	u->hash = hash_str(HASH_SEED, u->place);
	u->replaces = or_empty(u->replaces);
	u->state = or_empty(u->state);
	u->name = or_empty(u->name);
	u->why = or_empty(u->why);
	list_each(f, &u->functions) {
		f->driver = or_empty(f->driver);
		f->override = or_empty(f->override);
	}
}

static int remember(struct journal *j, const struct journal_record *r, struct err *err)
{
	if (check(r, err) < 0) {
		return -1;
	}
	if (r->head) {
		j->head = *r->head;
	} else if (r->orders) {
		j->orders = r->orders;
	} else if (r->use) {
		if (j->uses.n == JOURNAL_MAX_USES && !find_use(j, r->use->place)) {
			return err_set(err, "more than %d uses", JOURNAL_MAX_USES);
		}
		remember_use(j, r->use);
	} else {
		struct journal_unit u = *r->unit;

		if (j->units.n == JOURNAL_MAX_UNITS && !find_unit(j, u.place)) {
			return err_set(err, "more than %d units", JOURNAL_MAX_UNITS);
		}
		unit_fill(&u);
		remember_unit(j, &u);
	}
	return 0;
}

/* A record of a kind that this version does not know is no error of the journal: a program that
 * knows it will want it back. */
static int remember_other(struct journal *j, const char *kind, const char *text, size_t n,
			  struct err *err)
{
	if (j->others.n == JOURNAL_MAX_OTHERS) {
		return err_set(err, "more than %d records of kinds that are not known",
			       JOURNAL_MAX_OTHERS);
	}
	if (!j->others.n) {
		j->others_kind = arena_strdup(&j->arena, kind);
	}
	j->others.items = one_more(&j->arena, j->others.items, j->others.n, &j->others_room,
				   sizeof(*j->others.items));
	j->others.items[j->others.n++] = arena_strndup(&j->arena, text, n);
	return 0;
}

/* --- lines --------------------------------------------------------------------------------- */

struct line {
	int64_t number, safe;
	const char *json;
	size_t json_n, size;
};

/* Decimal digits and the space behind them. */
static int cut_number(const char **s, const char *end, int64_t *ret)
{
	const char *p = *s;
	int64_t value = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (value > (INT64_MAX - 9) / 10) {
			return -1;
		}
		value = value * 10 + *p - '0';
	}
	if (p == *s || p == end || *p != ' ') {
		return -1;
	}
	*s = p + 1;
	*ret = value;
	return 0;
}

static void hash_text(const char *bytes, size_t n, char text[HASH_DIGITS + 1])
{
	snprintf(text, HASH_DIGITS + 1, "%016" PRIx64, hash_bytes(HASH_SEED, bytes, n));
}

/* A whole line at the front of the bytes. No line holds a byte 0: it is not looked for beyond. */
static int cut_line(const char *bytes, size_t n, struct line *ret)
{
	const char *s = bytes + HASH_DIGITS + 1, *end = s;
	char text[HASH_DIGITS + 1];

	n = MIN(n, (size_t)JOURNAL_MAX_LINE);
	if (n <= HASH_DIGITS || bytes[HASH_DIGITS] != ' ' || !hex(bytes, HASH_DIGITS)) {
		return -1;
	}
	while (end < bytes + n && *end && *end != '\n') {
		end++;
	}
	if (end == bytes + n || !*end) {
		return -1;
	}
	hash_text(s, (size_t)(end - s), text);
	if (memcmp(text, bytes, HASH_DIGITS) != 0 || cut_number(&s, end, &ret->number) < 0 ||
	    cut_number(&s, end, &ret->safe) < 0) {
		return -1;
	}
	ret->json = s;
	ret->json_n = (size_t)(end - s);
	ret->size = (size_t)(end + 1 - bytes);
	return 0;
}

static void add_line(int64_t number, int64_t safe, const char *json, size_t n, struct buf *out)
{
	auto_buf struct buf text = {.max = JOURNAL_MAX_LINE};
	char hash[HASH_DIGITS + 1];

	buf_printf(&text, "%" PRId64 " %" PRId64 " ", number, safe);
	buf_add(&text, json, n);
	buf_char(&text, '\n');
	if (!buf_ok(&text) || text.len + HASH_DIGITS + 1 > JOURNAL_MAX_LINE) {
		out->over = true;
		return;
	}
	hash_text(text.bytes, text.len - 1, hash);
	buf_printf(out, "%s ", hash);
	buf_add(out, text.bytes, text.len);
}

/* --- reading ------------------------------------------------------------------------------- */

/* What a line says, which is no damage, since its checksum is right. */
static int understand(struct journal *j, const struct line *l, struct err *err)
{
	json_auto_t *tree = json_loadb(l->json, l->json_n, JSON_REJECT_DUPLICATES, NULL);
	struct journal_record r;
	const char *kind;

	if (!json_is_object(tree) || json_object_size(tree) != 1) {
		return err_set(err, "it is not one record");
	}
	kind = json_object_iter_key(json_object_iter(tree));
	if (!type_find(&record_type, NULL, kind, strlen(kind))) {
		return remember_other(j, kind, l->json, l->json_n, err);
	}
	if (type_read(&record_type, tree, true, &j->arena, &r, err) < 0) {
		return -1;
	}
	return remember(j, &r, err);
}

static void learned(struct journal *j, const struct line *l)
{
	j->number = l->number;
	j->safe = MAX(j->safe, l->safe);
	j->size += l->size;
}

/* At the speed of memory: a start of the daemon waits for it. */
static bool all_zero(const char *bytes, size_t n)
{
	return !n || (!*bytes && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/*
 * Behind the last good line. Bytes 0 are what the file was made of. All else is what a power cut
 * left of writes that nobody had promised, unless a line stands there that calls one safe which
 * does not. Where bytes are lost, the next line may begin anywhere.
 */
static bool promises_kept(struct journal *j, const char *bytes, size_t n)
{
	struct line l;

	if (all_zero(bytes + j->size, n - j->size)) {
		return true;
	}
	for (size_t i = j->size; i < n; i++) {
		if (!bytes[i]) {
			continue;
		}
		j->torn = true;
		if (cut_line(bytes + i, n - i, &l) == 0 &&
		    (l.number <= j->number || l.safe > j->number)) {
			return false;
		}
	}
	return true;
}

static void give_up(struct journal *j, enum journal_health health, const char *why)
{
	j->health = health;
	j->trouble = arena_strdup(&j->arena, why);
}

void journal_read(const char *bytes, size_t n, struct journal *j)
{
	struct line l;
	struct err err;

	j->health = JOURNAL_GOOD;
	while (cut_line(bytes + j->size, n - j->size, &l) == 0 && l.number == j->number + 1 &&
	       l.safe < l.number) {
		if (understand(j, &l, &err) < 0) {
			err_wrap(&err,
				 "record %" PRId64 " of this node's journal is not understood",
				 l.number);
			give_up(j, JOURNAL_NEWER, err.text);
			return;
		}
		learned(j, &l);
		if (!j->head.version) {
			break; /* whatever comes first without a head, the beginning is lost */
		}
	}
	if (!j->head.version) {
		give_up(j, JOURNAL_BROKEN, "this node's journal is empty or has no beginning");
	} else if (!promises_kept(j, bytes, n)) {
		err_set(&err, "this node's journal is damaged behind record %" PRId64, j->number);
		give_up(j, JOURNAL_BROKEN, err.text);
	}
}

void journal_note(struct journal *j, const char *line, size_t n)
{
	struct line l;

	if (cut_line(line, n, &l) == 0 && understand(j, &l, NULL) == 0) {
		learned(j, &l);
		j->health = JOURNAL_GOOD;
	}
}

/* --- writing ------------------------------------------------------------------------------- */

static const char *or_unset(const char *s)
{
	return str_empty(s) ? NULL : s;
}

static int text_line(const struct journal *j, const struct journal_record *r, struct buf *out,
		     struct err *err)
{
	json_auto_t *tree = type_json(&record_type, r);
	auto_buf struct buf text = {.max = JOURNAL_MAX_LINE};

	json_write(tree, &text);
	if (buf_ok(&text)) {
		add_line(j->number + 1, j->safe, text.bytes, text.len, out);
	}
	if (!buf_ok(&text) || !buf_ok(out)) {
		return err_set(err,
			       "a record of the journal is longer than %d KiB, or all records "
			       "together than there is room for",
			       JOURNAL_MAX_LINE / 1024);
	}
	return 0;
}

static int no_room(const struct journal *j, const struct journal_record *r, struct err *err)
{
	if (r->unit && j->units.n == JOURNAL_MAX_UNITS && !find_unit(j, r->unit->place)) {
		return err_set(err, "the journal has room for %d units", JOURNAL_MAX_UNITS);
	}
	if (r->use && j->uses.n == JOURNAL_MAX_USES && !find_use(j, r->use->place)) {
		return err_set(err, "the journal has room for the use of %d devices",
			       JOURNAL_MAX_USES);
	}
	return 0;
}

int journal_line(const struct journal *j, const struct journal_record *r, struct buf *out,
		 struct err *err)
{
	struct journal_record one = *r;
	struct journal_unit u;
	struct journal_use use;

	if (check(r, err) < 0) {
		return err_wrap(err, "no record of the journal");
	}
	if (no_room(j, r, err) < 0) {
		return -1;
	}
	if (r->use) {
		use = *r->use;
		use.ns = or_unset(use.ns);
		use.pod = or_unset(use.pod);
		use.resource = or_unset(use.resource);
		one.use = &use;
	}
	if (r->unit) {
		u = *r->unit;
		u.replaces = or_unset(u.replaces);
		u.state = or_unset(u.state);
		u.name = or_unset(u.name);
		u.why = or_unset(u.why);
		one.unit = &u;
	}
	return text_line(j, &one, out, err);
}

static int next_line(struct journal *counter, const struct journal_record *r, struct buf *out,
		     struct err *err)
{
	if (journal_line(counter, r, out, err) < 0) {
		return -1;
	}
	counter->number++;
	return 0;
}

int journal_whole(const struct journal *j, struct buf *out, struct err *err)
{
	struct journal counter = {.head = j->head};

	if (next_line(&counter, &(struct journal_record){.head = &j->head}, out, err) < 0) {
		return -1;
	}
	if (j->orders &&
	    next_line(&counter, &(struct journal_record){.orders = j->orders}, out, err) < 0) {
		return -1;
	}
	list_each(u, &j->units) {
		if (next_line(&counter, &(struct journal_record){.unit = u}, out, err) < 0) {
			return -1;
		}
	}
	list_each(u, &j->uses) {
		if (next_line(&counter, &(struct journal_record){.use = u}, out, err) < 0) {
			return -1;
		}
	}
	list_each(text, &j->others) {
		add_line(++counter.number, 0, *text, strlen(*text), out);
	}
	return buf_ok(out) ? 0 : err_set(err, "the journal has no room for all its records");
}
