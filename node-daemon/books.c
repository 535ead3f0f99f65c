/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/books.h"

#include <string.h>

/* --- sentences ----------------------------------------------------------------------------- */

#define ANEW                                                                                       \
	"; to begin anew with it, order nothing of it any more (delete its PCIDeviceClaim, or "    \
	"leave it out of the GPUPool), and then order it again"

enum doubt { DOUBT_CARD, DOUBT_BRIDGES, DOUBT_DRIVER, DOUBT_PART, DOUBTS };

/* What stands before, between and behind two texts. */
static const struct {
	const char *before, *between, *behind;
} doubts[DOUBTS] = {
	[DOUBT_CARD] = {"another card is in this place: recorded is ", ", here is ", ANEW},
	[DOUBT_BRIDGES] = {"the card came to this address since the node was booted, so it may be "
			   "another of its kind: recorded is place ",
			   ", this is ", ANEW},
	[DOUBT_DRIVER] = {"", ", which it had not before it was taken, so somebody may use it: ",
			  "; when nobody does, unbind it from that driver"},
	[DOUBT_PART] = {"", " was recorded as a part of unit ",
			" and is none of it any more; give that unit back to the host (delete its "
			"PCIDeviceClaim, or leave it out of the GPUPool), or reboot the node"},
};

enum cause { CAUSE_NONE, CAUSE_BROKEN, CAUSE_NEWER, CAUSE_CLOSED, CAUSE_NODE, CAUSE_BOOT, CAUSES };

/* Why the journal is of no use: what then helps the node, and what a unit. */
static const struct {
	const char *node, *unit;
} remedies[CAUSES] = {
	[CAUSE_BROKEN] = {"; it is set aside and a new one begun", ANEW},
	[CAUSE_NEWER] = {"; start the version of vmgpu-node again that wrote it, or delete it when "
			 "no GPU of this node is used",
			 "; start the version of vmgpu-node again that wrote it"},
	[CAUSE_CLOSED] = {"; it is tried again", "; it is tried again"},
	[CAUSE_NODE] = {"; delete it if the disk was copied from there, or give the node its name "
			"back",
			"; delete it if the disk was copied from there"},
	[CAUSE_BOOT] = {"; /proc/sys/kernel/random must be there",
			"; /proc/sys/kernel/random must be there"},
};

struct maker {
	const struct journal *j;
	const struct unit_list *units;
	const char *boot;
	struct arena *arena;
	const struct journal_unit **records; /* of each unit, NULL: none */
	bool *used;			     /* each record: by a unit */
	enum cause cause;
	const char *cause_text;
	struct books *ret;
};

/* --- what the machine shows ---------------------------------------------------------------- */

static const char *address_text(struct arena *a, uint64_t address)
{
	char text[PCIFN_TEXT_MAX];

	return arena_strdup(a, pcifn_text(address, text));
}

static const char *ids_text(struct arena *a, const struct pci_ids *ids)
{
	return arena_printf(a, "%04x:%04x:%04x:%04x", ids->vendor, ids->device, ids->sub_vendor,
			    ids->sub_device);
}

/* The numbers of buses are given out by the firmware and the kernel at every boot; slot and function
 * are wires. Only the root port's bus has its number from the machine (ACPI _BBN). */
static const char *place_text(struct arena *a, const struct pci_function *card)
{
	const struct pci_address_list *above = &card->above;
	const char *text = address_text(a, above->n ? above->items[0] : card->address);

	for (size_t i = 1; i <= above->n; i++) {
		uint64_t at = i < above->n ? above->items[i] : card->address;

		text = arena_printf(a, "%s/%02x.%x", text, (unsigned)(at >> 3 & 31),
				    (unsigned)(at & 7));
	}
	return text;
}

static bool on_vfio(const struct pci_function *f)
{
	return pcifn_driver_is_vfio(f->driver);
}

static bool gpu_on_vfio(const struct unit *u)
{
	list_each(f, &u->functions) {
		if ((*f)->kind == PCI_GPU && on_vfio(*f)) {
			return true;
		}
	}
	return false;
}

/* Nothing of it can be half taken: the GPUs have a driver of the host, and nothing that goes with
 * them has vfio-pci. */
static bool plainly_on_host(const struct unit *u)
{
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;

		if (f->unsure || on_vfio(f) || (f->kind == PCI_GPU && !*f->driver)) {
			return false;
		}
	}
	return true;
}

/* --- which record is whose ----------------------------------------------------------------- */

static bool of_this_boot(const struct maker *k, const struct journal_unit *r)
{
	return str_eq(r->boot, k->boot);
}

static void match(struct maker *k, size_t unit, size_t record)
{
	k->records[unit] = &k->j->units.items[record];
	k->used[record] = true;
}

static void match_places(struct maker *k)
{
	for (size_t i = 0; i < k->units->n; i++) {
		const char *place = k->ret->items.items[i].place;
		uint64_t hash = hash_str(HASH_SEED, place);

		for (size_t n = 0; n < k->j->units.n && !k->records[i]; n++) {
			const struct journal_unit *r = &k->j->units.items[n];

			if (!k->used[n] && r->hash == hash && str_eq(r->place, place)) {
				match(k, i, n);
			}
		}
	}
}

/* Only what no place has matched: the addresses of two cards may have changed places. */
static void match_addresses(struct maker *k)
{
	for (size_t i = 0; i < k->units->n; i++) {
		char text[PCIFN_TEXT_MAX];

		pcifn_text(k->units->items[i].card->address, text);
		for (size_t n = 0; n < k->j->units.n && !k->records[i]; n++) {
			if (!k->used[n] && str_eq(k->j->units.items[n].id, text)) {
				match(k, i, n);
			}
		}
	}
}

static bool has_function(const struct journal_unit *r, const char *at, const char *ids)
{
	list_each(f, &r->functions) {
		if (str_eq(f->at, at) && str_eq(f->ids, ids)) {
			return true;
		}
	}
	return false;
}

/* A record of this boot, of another unit, that has one of these functions. */
static const struct journal_unit *part_of(const struct maker *k, const struct unit *u,
					  const char **ret_at)
{
	list_each(f, &u->functions) {
		const char *at = address_text(k->arena, (*f)->address);
		const char *ids = ids_text(k->arena, &(*f)->ids);

		list_each(r, &k->j->units) {
			if (of_this_boot(k, r) && *r->state && has_function(r, at, ids)) {
				*ret_at = at;
				return r;
			}
		}
	}
	return NULL;
}

/* --- functions ----------------------------------------------------------------------------- */

/* What was recorded of a function: at its address; else, since a boot may have given its bus another
 * number, in the same slot of another. */
static const struct journal_function *recorded(const struct maker *k, const struct journal_unit *r,
					       const struct pci_function *f)
{
	const char *ids = ids_text(k->arena, &f->ids);
	const struct journal_function *moved = NULL;

	list_each(rf, &r->functions) {
		uint64_t at;

		if (pcifn_parse(rf->at, &at) < 0 || !str_eq(rf->ids, ids)) {
			continue;
		}
		if (at == f->address) {
			return rf;
		}
		if (!moved && !of_this_boot(k, r) && (at & 0xff) == (f->address & 0xff)) {
			moved = rf;
		}
	}
	return moved;
}

static void fill_functions(struct maker *k, const struct unit *u, const struct journal_unit *r,
			   struct book *b)
{
	b->functions.items = arena_array(k->arena, struct book_function, u->functions.n);
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;
		struct book_function *bf = &b->functions.items[b->functions.n++];
		const struct journal_function *rf = r ? recorded(k, r, f) : NULL;

		*bf = (struct book_function){f->address, false, f->driver, ""};
		if (rf && of_this_boot(k, r)) {
			bf->known = true;
			bf->driver = rf->driver;
			bf->override = rf->override;
		} else if (rf && !*f->driver && !pcifn_driver_is_vfio(rf->driver)) {
			bf->driver = rf->driver;
		}
	}
}

/* --- the table ----------------------------------------------------------------------------- */

static void quarantine(struct maker *k, struct book *b, enum doubt why, const char *x,
		       const char *y)
{
	b->whose = BOOK_QUARANTINED;
	b->why = arena_printf(k->arena, "%s%s%s%s%s", doubts[why].before, x, doubts[why].between, y,
			      doubts[why].behind);
}

/* A GPU on a driver of the host that it did not have before us. */
static const struct pci_function *foreign(const struct maker *k, const struct unit *u,
					  const struct journal_unit *r)
{
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;
		const struct journal_function *rf = recorded(k, r, f);

		if (f->kind == PCI_GPU && rf && *f->driver && !on_vfio(f) &&
		    !str_eq(f->driver, rf->driver) && !pcifn_driver_is_vfio(rf->driver)) {
			return f;
		}
	}
	return NULL;
}

/* Something that we had bound has vfio-pci no more. */
static bool undone(const struct maker *k, const struct unit *u, const struct journal_unit *r)
{
	list_each(item, &u->functions) {
		const struct pci_function *f = *item;
		const struct journal_function *rf = recorded(k, r, f);

		if (f->kind != PCI_MEMBER && rf && !f->unsure && !on_vfio(f) &&
		    !pcifn_driver_is_vfio(rf->driver)) {
			return true;
		}
	}
	return false;
}

static void judge_ours(struct maker *k, const struct unit *u, const struct journal_unit *r,
		       struct book *b)
{
	bool returning = str_eq(r->state, JOURNAL_RETURNING);
	const struct pci_function *f = returning ? NULL : foreign(k, u, r);

	if (f) {
		const struct journal_function *rf = recorded(k, r, f);

		quarantine(k, b, DOUBT_DRIVER,
			   arena_printf(k->arena, "%s is on driver %s",
					address_text(k->arena, f->address), f->driver),
			   *rf->driver ? arena_printf(k->arena, "it had %s", rf->driver)
				       : "it had none");
		return;
	}
	b->whose = BOOK_OURS;
	b->doing = returning			       ? BOOK_BACK
		   : str_eq(r->state, JOURNAL_BINDING) ? BOOK_BIND
		   : undone(k, u, r)		       ? BOOK_BIND
						       : BOOK_NOTHING;
}

/* Both name bridges, and others. One that names none was taken down when these could not be read: the
 * number of a root bus is never that of a bus below a bridge. */
static bool elsewhere(const char *place, const char *other)
{
	return strchr(place, '/') && strchr(other, '/') && !str_eq(place, other);
}

/* Another card, or perhaps another: what was recorded does not hold for it. */
static bool another(struct maker *k, const struct journal_unit *r, struct book *b)
{
	if (!str_eq(r->ids, b->ids)) {
		quarantine(k, b, DOUBT_CARD, r->ids, b->ids);
		return true;
	}
	if (elsewhere(r->place, b->place) && *r->state && of_this_boot(k, r)) {
		quarantine(k, b, DOUBT_BRIDGES, r->place, b->place);
		return true;
	}
	return false;
}

static void judge_recorded(struct maker *k, const struct unit *u, const struct journal_unit *r,
			   struct book *b)
{
	bool here = of_this_boot(k, r);

	b->replaces = str_eq(r->place, b->place) ? "" : r->place;
	if (another(k, r, b)) {
		fill_functions(k, u, NULL, b);
		return;
	}
	b->name = r->name;
	b->was = str_eq(r->id, address_text(k->arena, b->id)) ? "" : r->id;
	if (*r->why) {
		b->whose = BOOK_QUARANTINED;
		b->why = r->why;
	} else if (!*r->state || (!here && gpu_on_vfio(u))) {
		b->whose = gpu_on_vfio(u) ? BOOK_ADOPTED : BOOK_NONE;
		r = NULL;
	} else {
		judge_ours(k, u, r, b);
	}
	fill_functions(k, u, r, b);
}

static void judge_new(struct maker *k, const struct unit *u, struct book *b)
{
	const char *at;
	const struct journal_unit *r = part_of(k, u, &at);

	fill_functions(k, u, NULL, b);
	if (r) {
		quarantine(k, b, DOUBT_PART, at, r->id);
		return;
	}
	b->whose = gpu_on_vfio(u) ? BOOK_ADOPTED : BOOK_NONE;
	list_each(missing, &k->ret->missing) {
		if (!*b->why && str_eq(missing->ids, b->ids)) {
			b->why = arena_printf(
				k->arena,
				"a card of its kind was recorded at %s and is missing there; if it "
				"is this one, order it at its new address",
				missing->id);
		}
	}
}

/* Nobody knows what was done: what shows no trace of it is left as it is, all else alone. */
static void judge_blind(struct maker *k, const struct unit *u, const struct journal_unit *r,
			struct book *b)
{
	fill_functions(k, u, r, b);
	b->name = r ? r->name : "";
	if (!plainly_on_host(u)) {
		b->whose = BOOK_QUARANTINED;
		b->why = arena_printf(
			k->arena,
			"%s, and the card is not plainly on a driver of the host, so it "
			"may be half taken%s",
			k->cause_text, remedies[k->cause].unit);
	}
}

static void judge(struct maker *k, size_t i)
{
	const struct unit *u = &k->units->items[i];
	struct book *b = &k->ret->items.items[i];

	b->recorded = k->records[i] != NULL;
	if (k->cause) {
		judge_blind(k, u, k->records[i], b);
	} else if (k->records[i]) {
		judge_recorded(k, u, k->records[i], b);
	} else {
		judge_new(k, u, b);
	}
}

/* --- the whole ----------------------------------------------------------------------------- */

static void find_cause(struct maker *k, const char *node)
{
	static const enum cause causes[] = {
		[JOURNAL_BROKEN] = CAUSE_BROKEN,
		[JOURNAL_NEWER] = CAUSE_NEWER,
		[JOURNAL_CLOSED] = CAUSE_CLOSED,
	};

	if (!*k->boot) { /* without it there is no journal to be opened either */
		k->cause = CAUSE_BOOT;
		k->cause_text = "the kernel's boot_id cannot be read";
	} else if (k->j->health > JOURNAL_GOOD) {
		k->cause = causes[k->j->health];
		k->cause_text = k->j->trouble;
	} else if (k->j->health == JOURNAL_GOOD && !str_eq(k->j->head.node, node)) {
		k->cause = CAUSE_NODE;
		k->cause_text = arena_printf(k->arena, "this node's journal was written on node %s",
					     k->j->head.node);
	}
	k->ret->refusal = k->cause
				  ? arena_printf(k->arena, "%s, so nothing is written to devices%s",
						 k->cause_text, remedies[k->cause].node)
				  : "";
}

static void find_missing(struct maker *k)
{
	k->ret->missing.items = arena_array(k->arena, struct book_missing, k->j->units.n);
	for (size_t i = 0; i < k->j->units.n; i++) {
		const struct journal_unit *r = &k->j->units.items[i];

		if (!k->used[i]) {
			k->ret->missing.items[k->ret->missing.n++] =
				(struct book_missing){r->id, r->ids, r->place};
		}
	}
}

static void begin(struct maker *k)
{
	struct books *ret = k->ret;

	ret->items.items = arena_array(k->arena, struct book, k->units->n);
	ret->items.n = k->units->n;
	for (size_t i = 0; i < k->units->n; i++) {
		const struct pci_function *card = k->units->items[i].card;

		ret->items.items[i] = (struct book){
			.id = card->address,
			.place = place_text(k->arena, card),
			.ids = ids_text(k->arena, &card->ids),
			.name = "",
			.was = "",
			.replaces = "",
			.why = "",
		};
	}
}

void books_make(const struct journal *j, const struct unit_list *units, const char *node,
		const char *boot, struct arena *a, struct books *ret)
{
	struct maker k = {
		.j = j,
		.units = units,
		.boot = boot,
		.arena = a,
		.records = arena_array(a, const struct journal_unit *, units->n),
		.used = arena_array(a, bool, j->units.n),
		.ret = ret,
	};

	*ret = (struct books){.remark = ""};
	find_cause(&k, node);
	begin(&k);
	match_places(&k);
	match_addresses(&k);
	find_missing(&k);
	for (size_t i = 0; i < units->n; i++) {
		judge(&k, i);
	}
	if (j->others.n) {
		ret->remark = arena_printf(
			a,
			"this node's journal has %zu records of kinds that this version does not "
			"know, the first is \"%s\"; they are kept and not obeyed",
			j->others.n, j->others_kind);
	}
}

const struct book *books_find(const struct books *b, uint64_t id)
{
	size_t from = 0, to = b->items.n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (b->items.items[mid].id < id) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	return from < b->items.n && b->items.items[from].id == id ? &b->items.items[from] : NULL;
}

/* --- records ------------------------------------------------------------------------------- */

static void record(const struct book *b, const char *boot, struct arena *a,
		   struct journal_unit *ret)
{
	*ret = (struct journal_unit){
		.place = b->place,
		.replaces = b->replaces,
		.id = address_text(a, b->id),
		.ids = b->ids,
		.boot = boot,
		.state = "",
		.name = b->name,
		.why = "",
	};
}

void book_record(const struct book *b, const struct unit *u, const char *state, const char *boot,
		 struct arena *a, struct journal_unit *ret)
{
	record(b, boot, a, ret);
	ret->state = state;
	ret->functions.items = arena_array(a, struct journal_function, u->functions.n);
	for (size_t i = 0; i < u->functions.n; i++) {
		const struct pci_function *f = u->functions.items[i];
		const struct book_function *bf = &b->functions.items[i];

		if (f->kind == PCI_MEMBER) {
			continue;
		}
		if (f->kind == PCI_GPU && pcifn_driver_is_vfio(bf->driver)) {
			ret->adopted = TRI_TRUE;
		}
		ret->functions.items[ret->functions.n++] =
			(struct journal_function){address_text(a, f->address), ids_text(a, &f->ids),
						  bf->driver, bf->override};
	}
}

void book_returned(const struct book *b, const char *boot, struct arena *a,
		   struct journal_unit *ret)
{
	record(b, boot, a, ret);
}

void book_quarantine(const struct book *b, const char *boot, struct arena *a,
		     struct journal_unit *ret)
{
	record(b, boot, a, ret);
	ret->why = b->why;
}
