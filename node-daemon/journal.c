/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json/write.h"
#include "node-daemon/journal_inner.h"

#define MAX_MEMORY (64 * MiB) /* what JOURNAL_MAX_BYTES of text can become, several times over */
#define HASH_DIGITS 16

/* --- small ones ---------------------------------------------------------------------------- */

static const char *or_empty(const char *s)
{
	return s ? s : "";
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

static struct journal_slot *find_slot(const struct journal *j, const struct journal_slot *like)
{
	uint64_t hash = hash_str(HASH_SEED, like->place);

	list_each(s, &j->slots) {
		if (s->hash == hash && s->index == like->index && str_eq(s->place, like->place)) {
			return s;
		}
	}
	return NULL;
}

static void remember_slot(struct journal *j, const struct journal_slot *s)
{
	struct journal_slot *at = find_slot(j, s);

	if (str_empty(s->state)) {
		if (at) {
			j->slots.n--;
			memmove(at, at + 1,
				(size_t)(j->slots.items + j->slots.n - at) * sizeof(*at));
		}
		return;
	}
	if (!at) {
		j->slots.items = one_more(&j->arena, j->slots.items, j->slots.n, &j->slots_room,
					  sizeof(*at));
		at = &j->slots.items[j->slots.n++];
	}
	*at = *s;
	at->hash = hash_str(HASH_SEED, s->place);
	at->uuid = or_empty(s->uuid);
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
	if (journal_check(r, err) < 0) {
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
	} else if (r->slot) {
		if (j->slots.n == JOURNAL_MAX_SLOTS && !find_slot(j, r->slot)) {
			return err_set(err, "more than %d vGPUs", JOURNAL_MAX_SLOTS);
		}
		remember_slot(j, r->slot);
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
		j->others_kind = arena_strdup(&j->arena, *kind ? kind : "(without a name)");
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

/* Decimal digits and the space behind them, of a line that has its end. */
static int cut_number(const char **s, int64_t *ret)
{
	const char *p = *s;
	int64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (value > (INT64_MAX - 9) / 10) {
			return -1;
		}
		value = value * 10 + *p - '0';
	}
	if (p == *s || *p != ' ') {
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
	if (n <= HASH_DIGITS || bytes[HASH_DIGITS] != ' ' || !journal_hex(bytes, HASH_DIGITS)) {
		return -1;
	}
	while (end < bytes + n && *end && *end != '\n') {
		end++;
	}
	if (end == bytes + n || !*end) {
		return -1;
	}
	hash_text(s, (size_t)(end - s), text);
	if (memcmp(text, bytes, HASH_DIGITS) != 0 || cut_number(&s, &ret->number) < 0 ||
	    cut_number(&s, &ret->safe) < 0) {
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
	if (!type_find(&journal_record_type, NULL, kind, strlen(kind))) {
		return remember_other(j, kind, l->json, l->json_n, err);
	}
	if (type_read(&journal_record_type, tree, true, &j->arena, &r, err) < 0) {
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
	json_auto_t *tree = type_json(&journal_record_type, r);
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
	if (r->slot && j->slots.n == JOURNAL_MAX_SLOTS && !find_slot(j, r->slot)) {
		return err_set(err, "the journal has room for %d vGPUs", JOURNAL_MAX_SLOTS);
	}
	return 0;
}

int journal_line(const struct journal *j, const struct journal_record *r, struct buf *out,
		 struct err *err)
{
	struct journal_record one = *r;
	struct journal_unit u;
	struct journal_use use;
	struct journal_slot slot;

	if (journal_check(r, err) < 0) {
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
	if (r->slot) {
		slot = *r->slot;
		slot.uuid = or_unset(slot.uuid);
		slot.state = or_unset(slot.state);
		one.slot = &slot;
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
	list_each(s, &j->slots) {
		if (next_line(&counter, &(struct journal_record){.slot = s}, out, err) < 0) {
			return -1;
		}
	}
	list_each(text, &j->others) {
		add_line(++counter.number, 0, *text, strlen(*text), out);
	}
	return buf_ok(out) ? 0 : err_set(err, "the journal has no room for all its records");
}
