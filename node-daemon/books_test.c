/* SPDX-License-Identifier: Apache-2.0 */
/* What a journal says times what a machine shows: whose the card is then, and what is to be done. */
#include "node-daemon/books_test.h"

/* --- one card ------------------------------------------------------------------------------ */

/* Recorded: state, boot, drivers before; shown: drivers now. "" for a state: not recorded. */
static const struct {
	const char *state, *in, *gpu, *audio, *gpu_now, *audio_now;
	enum book_whose whose;
	enum book_doing doing;
	bool known;
	const char *gpu_before, *audio_before;
} rows[] = {
	/* nothing is recorded */
	{"", "", "", "", "", "", BOOK_NONE, BOOK_NOTHING, false, "", ""},
	{"", "", "", "", N, S, BOOK_NONE, BOOK_NOTHING, false, N, S},
	{"", "", "", "", V, V, BOOK_ADOPTED, BOOK_NOTHING, false, V, V},
	{"", "", "", "", "xe-vfio-pci", "", BOOK_ADOPTED, BOOK_NOTHING, false, "xe-vfio-pci", ""},
	{"", "", "", "", V, S, BOOK_ADOPTED, BOOK_NOTHING, false, V, S},
	{"", "", "", "", N, V, BOOK_NONE, BOOK_NOTHING, false, N, V},

	/* cut short on the way to vfio-pci, at each step */
	{"binding", "now", N, S, N, S, BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", N, S, N, "", BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", N, S, "", "", BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", N, S, "", V, BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", N, S, V, "", BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", N, S, V, V, BOOK_OURS, BOOK_BIND, true, N, S},
	{"binding", "now", "", "", "", "", BOOK_OURS, BOOK_BIND, true, "", ""},
	{"binding", "now", "", "", V, "", BOOK_OURS, BOOK_BIND, true, "", ""},
	{"binding", "now", "", "", "xe-vfio-pci", V, BOOK_OURS, BOOK_BIND, true, "", ""},

	/* bound */
	{"bound", "now", N, S, V, V, BOOK_OURS, BOOK_NOTHING, true, N, S},
	{"bound", "now", "", "", V, V, BOOK_OURS, BOOK_NOTHING, true, "", ""},
	{"bound", "now", N, S, V, S, BOOK_OURS, BOOK_BIND, true, N, S},
	{"bound", "now", N, S, V, "", BOOK_OURS, BOOK_BIND, true, N, S},
	{"bound", "now", N, S, "", "", BOOK_OURS, BOOK_BIND, true, N, S},
	{"bound", "now", N, S, N, S, BOOK_OURS, BOOK_BIND, true, N, S},
	/* what is on vfio-pci by somebody else is not missed where it is on no vfio-pci */
	{"bound", "now", "", V, V, S, BOOK_OURS, BOOK_NOTHING, true, "", V},

	/* cut short on the way back */
	{"returning", "now", N, S, V, V, BOOK_OURS, BOOK_BACK, true, N, S},
	{"returning", "now", N, S, V, "", BOOK_OURS, BOOK_BACK, true, N, S},
	{"returning", "now", N, S, "", S, BOOK_OURS, BOOK_BACK, true, N, S},
	{"returning", "now", N, S, N, S, BOOK_OURS, BOOK_BACK, true, N, S},
	{"returning", "now", "", "", "nouveau", "", BOOK_OURS, BOOK_BACK, true, "", ""},

	/* a driver that nobody recorded */
	{"binding", "now", N, S, "nouveau", S, BOOK_QUARANTINED, BOOK_NOTHING, true, N, S},
	{"binding", "now", "", "", N, "", BOOK_QUARANTINED, BOOK_NOTHING, true, "", ""},
	{"bound", "now", "", "", N, V, BOOK_QUARANTINED, BOOK_NOTHING, true, "", ""},
	{"bound", "now", N, S, "nouveau", V, BOOK_QUARANTINED, BOOK_NOTHING, true, N, S},
	{"bound", "then", "", "", N, "", BOOK_QUARANTINED, BOOK_NOTHING, false, N, ""},
	/* of a companion that is no harm */
	{"bound", "now", "", "", V, S, BOOK_OURS, BOOK_BIND, true, "", ""},

	/* booted since: drivers are what the kernel gives, and only the wish is left */
	{"bound", "then", N, S, N, S, BOOK_OURS, BOOK_BIND, false, N, S},
	{"bound", "then", N, S, "", "", BOOK_OURS, BOOK_BIND, false, N, S},
	{"bound", "then", "", "", "", "", BOOK_OURS, BOOK_BIND, false, "", ""},
	{"bound", "then", N, "", N, S, BOOK_OURS, BOOK_BIND, false, N, S},
	{"binding", "then", N, S, N, S, BOOK_OURS, BOOK_BIND, false, N, S},
	{"returning", "then", N, S, N, S, BOOK_OURS, BOOK_BACK, false, N, S},
	{"returning", "then", N, S, "nouveau", S, BOOK_OURS, BOOK_BACK, false, "nouveau", S},
	/* and what is on vfio-pci already, we did not bring there */
	{"bound", "then", N, S, V, V, BOOK_ADOPTED, BOOK_NOTHING, false, V, V},
	{"binding", "then", N, S, V, S, BOOK_ADOPTED, BOOK_NOTHING, false, V, S},
	{"returning", "then", N, S, V, V, BOOK_ADOPTED, BOOK_NOTHING, false, V, V},

	/* adopted, and its companion taken by us: that alone is to be given back */
	{"binding", "now", V, S, V, S, BOOK_OURS, BOOK_BIND, true, V, S},
	{"bound", "now", V, S, V, V, BOOK_OURS, BOOK_NOTHING, true, V, S},
	{"returning", "now", V, S, V, V, BOOK_OURS, BOOK_BACK, true, V, S},
	/* whose admin took the GPU away again: as theirs as before */
	{"bound", "now", V, S, N, V, BOOK_OURS, BOOK_NOTHING, true, V, S},
	{"bound", "then", V, S, N, S, BOOK_OURS, BOOK_BIND, false, N, S},
	{"bound", "then", V, S, "", S, BOOK_OURS, BOOK_BIND, false, "", S},
};

static const char *told(size_t row, const struct book *b)
{
	static const char *const whose[] = {"none", "ours", "adopted", "quarantined"};
	static const char *const doing[] = {"nothing", "bind", "back"};
	const struct book_function *gpu = &b->functions.items[0], *audio = gpu + 1;

	return arena_printf(&arena, "%zu: %s, %s; %s \"%s\" \"%s\", %s \"%s\" \"%s\"%s", row,
			    whose[b->whose], doing[b->doing], gpu->known ? "known" : "new",
			    gpu->driver, gpu->override, audio->known ? "known" : "new",
			    audio->driver, audio->override, *b->why ? "; why" : "");
}

static void the_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct book *b;
		struct book_function before[] = {
			{0, rows[i].known, rows[i].gpu_before, rows[i].known ? "before" : ""},
			{0, rows[i].known, rows[i].audio_before, ""},
		};
		struct book want = {
			.whose = rows[i].whose,
			.doing = rows[i].doing,
			.functions = {before, 2},
			.why = rows[i].whose == BOOK_QUARANTINED ? "some" : "",
		};

		plug(1);
		if (*rows[i].state) {
			recorded_as(0, rows[i].state, rows[i].in, rows[i].gpu, rows[i].audio);
		}
		drivers(0, rows[i].gpu_now, rows[i].audio_now);
		b = book(0);
		is_str(told(i, b), told(i, &want));
		is_str(books.refusal, "");
		is_str(books.remark, "");
		is_int(books.missing.n, 0);
		is_str(b->name, *rows[i].state ? "nvidia.com/L40S" : "");
		is_str(b->was, "");
		is_str(b->replaces, "");
	}
}

static void the_sentences(void)
{
	plug(1);
	recorded_as(0, "bound", "now", "", "");
	drivers(0, N, "");
	is_str(book(0)->why,
	       "0000:43:00.0 is on driver nvidia, which it had not before it was taken, so "
	       "somebody may use it: it had none; when nobody does, unbind it from that driver");
	plug(1);
	recorded_as(0, "bound", "now", N, "");
	drivers(0, "nouveau", "");
	has(book(0)->why, "is on driver nouveau, ");
	has(book(0)->why, ": it had nvidia; ");
}

/* A function whose driver cannot be read is no sign of anything. */
static void unreadable(void)
{
	plug(1);
	recorded_as(0, "bound", "now", N, S);
	drivers(0, "", V);
	functions[0].unsure = true;
	is_int(book(0)->doing, BOOK_NOTHING);
	functions[0].unsure = false;
	is_int(book(0)->doing, BOOK_BIND);
}

/* What only shares the group is nobody's business, and not recorded. */
static void members(void)
{
	const struct book *b;
	struct journal_unit u;

	plug(2);
	functions[2].kind = PCI_MEMBER;
	functions[0].group = functions[2].group = 5;
	m.functions.n = 3;
	drivers(1, "pci-stub", "");
	recorded_as(0, "bound", "now", N, S);
	is_int(j.units.items[0].functions.n, 2);
	drivers(0, V, V);
	b = book(0);
	is_int(b->functions.n, 3);
	is_int(b->whose, BOOK_OURS);
	is_int(b->doing, BOOK_NOTHING);
	ok(!b->functions.items[2].known);
	is_str(b->functions.items[2].driver, "pci-stub");

	/* at whatever address */
	plug(2);
	functions[2].kind = PCI_MEMBER;
	functions[0].group = functions[2].group = 5;
	functions[2].address = at(0x10, 0, 0);
	m.functions.n = 3;
	make();
	is_int(books.items.items[0].functions.n, 3);
	book_record(&books.items.items[0], &units.items[0], JOURNAL_BOUND, boot, &arena, &u);
	is_int(u.functions.n, 2);
	is_str(u.functions.items[1].ids, AUDIO);
}

/* Two GPUs of one group: each with what it had. */
static void two_gpus(void)
{
	const struct book *b;

	plug(2);
	for (size_t i = 0; i < 4; i++) {
		functions[i].group = 5;
	}
	drivers(0, N, S);
	drivers(1, "", "");
	make();
	is_int(units.n, 1);
	recorded_as(0, "bound", "now", N, S);
	drivers(0, V, V);
	b = book(0);
	is_int(b->functions.n, 4);
	is_str(b->functions.items[0].driver, N);
	is_str(b->functions.items[2].driver, "");
	is_int(b->doing, BOOK_BIND);
	drivers(1, V, V);
	is_int(book(0)->doing, BOOK_NOTHING);
	drivers(1, N, V);
	is_int(book(0)->whose, BOOK_QUARANTINED);
	/* the first is pulled: the second was a part of its unit, and nobody says what it had */
	drivers(1, V, V);
	pointers[0] = &functions[2];
	pointers[1] = &functions[3];
	m.functions.n = 2;
	b = book(1);
	is_int(b->whose, BOOK_QUARANTINED);
	is_str(b->why,
	       "0000:53:00.0 was recorded as a part of unit 0000:43:00.0 and is none of it any "
	       "more; give that unit back to the host (delete its PCIDeviceClaim, or leave it out "
	       "of the GPUPool), or reboot the node");
	is_int(books.missing.n, 1);
	/* which a boot ends */
	boot = "next";
	is_int(book(1)->whose, BOOK_ADOPTED);
	drivers(1, "", "");
	is_int(book(1)->whose, BOOK_NONE);
}

/* A function that came since: nothing was recorded of it, all else stands. */
static void new_function(void)
{
	const struct book *b;

	plug(1);
	m.functions.n = 1;
	recorded_as(0, "bound", "now", N, "");
	m.functions.n = 2;
	drivers(0, V, S);
	b = book(0);
	is_int(b->whose, BOOK_OURS);
	is_int(b->doing, BOOK_NOTHING);
	ok(b->functions.items[0].known && !b->functions.items[1].known);
	is_str(b->functions.items[1].driver, S);
	/* one with other ids at a recorded address is another one */
	plug(1);
	recorded_as(0, "bound", "now", N, S);
	functions[1].ids.device = 0x1234;
	drivers(0, V, V);
	b = book(0);
	ok(!b->functions.items[1].known);
	is_str(b->functions.items[1].driver, V);
}

/* --- names and quarantines ----------------------------------------------------------------- */

/* A name stays with its card until something else is recorded, also when nothing of it is ours. */
static void names(void)
{
	struct journal_unit u;
	const struct book *b;

	plug(1);
	recorded_as(0, "returning", "now", N, S);
	drivers(0, N, S);
	book_returned(book(0), boot, &arena, &u);
	write_unit(&u);
	b = book(0);
	is_int(b->whose, BOOK_NONE);
	is_int(b->doing, BOOK_NOTHING);
	is_str(b->name, "nvidia.com/L40S");
	ok(!b->functions.items[0].known);
	drivers(0, V, V);
	is_int(book(0)->whose, BOOK_ADOPTED);
	is_str(book(0)->name, "nvidia.com/L40S");
	boot = "next";
	is_str(book(0)->name, "nvidia.com/L40S");
	/* below other bridges in the same boot: nothing was done, so there is nothing to doubt */
	boot = "now";
	bridges[0][0] = at(0, 0x1c, 0);
	is_int(book(0)->whose, BOOK_ADOPTED);
	is_str(book(0)->name, "nvidia.com/L40S");
}

static void quarantine_kept(void)
{
	struct journal_unit u;
	const struct book *b;

	plug(1);
	drivers(0, V, V);
	make();
	journal_finish(&j);
	journal_init(&j);
	j.health = JOURNAL_BROKEN;
	j.trouble = "this node's journal is damaged behind record 7";
	b = book(0);
	is_int(b->whose, BOOK_QUARANTINED);
	book_quarantine(b, boot, &arena, &u);
	/* a new journal says it, in this boot and in later ones, until it is ended */
	journal_finish(&j);
	journal_init(&j);
	write_unit(&u);
	is_str(books.refusal,
	       "this node's journal is damaged behind record 7, so nothing is written "
	       "to devices; it is set aside and a new one begun");
	is_int(book(0)->whose, BOOK_QUARANTINED);
	is_str(book(0)->why, u.why);
	is_str(books.refusal, "");
	boot = "next";
	drivers(0, N, S);
	is_int(book(0)->whose, BOOK_QUARANTINED);
	book_returned(book(0), boot, &arena, &u);
	write_unit(&u);
	is_int(book(0)->whose, BOOK_NONE);
	is_int(j.units.n, 0);
}

/* --- a journal of no use ------------------------------------------------------------------- */

static void blind(void)
{
	static const struct {
		const char *gpu, *audio;
		bool plain;
	} shown[] = {
		{N, S, true},  {N, "", true}, {"", "", false}, {"", S, false},
		{V, V, false}, {N, V, false}, {V, S, false},
	};
	static const struct {
		enum journal_health health;
		const char *node, *boot, *refusal, *why;
	} causes[] = {
		{JOURNAL_BROKEN, "node1", "now",
		 "TROUBLE, so nothing is written to devices; it is set aside and a new one begun",
		 "TROUBLE, and the card is not plainly on a driver of the host, so it may be half "
		 "taken; to begin anew with it, order nothing of it any more"},
		{JOURNAL_NEWER, "node1", "now",
		 "TROUBLE, so nothing is written to devices; start the version of vmgpu-node again "
		 "that wrote it, or delete it when no GPU of this node is used",
		 "half taken; start the version of vmgpu-node again that wrote it"},
		{JOURNAL_CLOSED, "node1", "now",
		 "TROUBLE, so nothing is written to devices; it is tried again",
		 "half taken; it is tried again"},
		{JOURNAL_GOOD, "node2", "now",
		 "this node's journal was written on node node1, so nothing is written to devices; "
		 "delete it if the disk was copied from there, or give the node its name back",
		 "half taken; delete it if the disk was copied from there"},
		{JOURNAL_CLOSED, "node1", "",
		 "the kernel's boot_id cannot be read, so nothing is written to devices; "
		 "/proc/sys/kernel/random must be there",
		 "half taken; /proc/sys/kernel/random must be there"},
	};

	for (size_t c = 0; c < ARRAY_LEN(causes); c++) {
		for (size_t i = 0; i < ARRAY_LEN(shown) * 2; i++) {
			const struct book *b;

			plug(1);
			if (i % 2) {
				recorded_as(0, "bound", "now", N, S);
			} else {
				recorded_as(0, "", "now", N, S);
			}
			j.health = causes[c].health;
			j.trouble = "TROUBLE";
			node = causes[c].node;
			boot = causes[c].boot;
			drivers(0, shown[i / 2].gpu, shown[i / 2].audio);
			b = book(0);
			is_str(books.refusal, causes[c].refusal);
			is_int(b->whose, shown[i / 2].plain ? BOOK_NONE : BOOK_QUARANTINED);
			is_int(b->doing, BOOK_NOTHING);
			if (!shown[i / 2].plain) {
				has(b->why, causes[c].why);
			}
			is_str(b->name, "nvidia.com/L40S");
		}
	}
	/* no sure sight is no plain one */
	drivers(0, N, S);
	functions[1].unsure = true;
	is_int(book(0)->whose, BOOK_QUARANTINED);
}

/* Where nothing was ever written there is nothing to fear, whatever the node is called. */
static void absent(void)
{
	plug(1);
	is_int(j.health, JOURNAL_ABSENT);
	node = "other";
	is_int(book(0)->whose, BOOK_NONE);
	is_str(books.refusal, "");
	ok(!books_find(&books, 77));
}

static void unknown_kinds(void)
{
	const char *slot = "{}";

	plug(1);
	j.others.items = &slot;
	j.others.n = 1;
	j.others_kind = "slot";
	is_int(book(0)->whose, BOOK_NONE);
	is_str(books.refusal, "");
	is_str(books.remark,
	       "this node's journal has 1 records of kinds that this version does not "
	       "know, the first is \"slot\"; they are kept and not obeyed");
}

/* --- the whole way, with an end at every step ---------------------------------------------- */

/* A card goes to vfio-pci and back. The process dies behind each step and the next one reads the
 * journal's bytes; the node is booted behind each step, and its kernel has given the drivers. */
static void every_end(void)
{
	static const struct {
		const char *state, *gpu, *audio; /* state: recorded before the step, "-": nothing */
		enum book_doing doing;
	} steps[] = {
		{JOURNAL_BINDING, N, S, BOOK_BIND},
		{"-", N, "", BOOK_BIND},
		{"-", "", "", BOOK_BIND},
		{"-", "", V, BOOK_BIND},
		{"-", V, V, BOOK_BIND},
		{JOURNAL_BOUND, V, V, BOOK_NOTHING},
		{JOURNAL_RETURNING, V, V, BOOK_BACK},
		{"-", V, "", BOOK_BACK},
		{"-", "", "", BOOK_BACK},
		{"-", N, "", BOOK_BACK},
		{"-", N, S, BOOK_BACK},
	};
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES};
	struct journal_unit u;

	plug(1);
	drivers(0, N, S);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct book *b = book(0);

		if (*steps[i].state != '-') {
			book_record(b, unit_of(0), steps[i].state, boot, &arena, &u);
			write_unit(&u);
		}
		drivers(0, steps[i].gpu, steps[i].audio);
		buf_reset(&whole);
		is_int(journal_whole(&j, &whole, NULL), 0);
		journal_finish(&j);
		journal_init(&j);
		journal_read(whole.bytes, whole.len, &j);
		b = book(0);
		is_int(b->whose, BOOK_OURS);
		is_int(b->doing, steps[i].doing);
		is_str(b->functions.items[0].driver, N);
		is_str(b->functions.items[1].driver, S);
		ok(b->functions.items[0].known && b->functions.items[1].known);

		boot = "next";
		drivers(0, N, S);
		b = book(0);
		is_int(b->whose, BOOK_OURS);
		is_int(b->doing, i < 6 ? BOOK_BIND : BOOK_BACK);
		ok(!b->functions.items[0].known);
		boot = "now";
		drivers(0, steps[i].gpu, steps[i].audio);
	}
	book_returned(book(0), boot, &arena, &u);
	write_unit(&u);
	is_int(book(0)->whose, BOOK_NONE);
	is_int(j.units.n, 0);
}

static void records(void)
{
	struct journal_unit u;
	struct book *b;

	plug(1);
	drivers(0, V, S);
	b = (struct book *)book(0);
	book_record(b, unit_of(0), JOURNAL_BINDING, boot, &arena, &u);
	is_str(u.place, "0000:00:01.0/00.0/04.0/00.0");
	is_str(u.id, "0000:43:00.0");
	is_str(u.ids, GPU);
	is_str(u.boot, "now");
	is_str(u.state, JOURNAL_BINDING);
	is_int(u.adopted, TRI_TRUE);
	is_int(u.functions.n, 2);
	is_str(u.functions.items[0].at, "0000:43:00.0");
	is_str(u.functions.items[1].ids, AUDIO);
	is_str(u.functions.items[0].driver, V);
	drivers(0, N, V);
	b = (struct book *)book(0);
	book_record(b, unit_of(0), JOURNAL_BINDING, boot, &arena, &u);
	is_int(u.adopted, TRI_UNSET);
	book_returned(b, boot, &arena, &u);
	is_str(u.state, "");
	is_str(u.why, "");
	is_int(u.functions.n, 0);
}

TESTS({"what is recorded times what is shown", the_table},
      {"a foreign driver is named with the one before", the_sentences},
      {"a driver that cannot be read is no sign", unreadable},
      {"what only shares a group is not recorded", members},
      {"GPUs of one group, together and apart", two_gpus},
      {"a function that came since", new_function}, {"names stay", names},
      {"a quarantine stays until it is ended", quarantine_kept}, {"a journal of no use", blind},
      {"no journal", absent}, {"records of other kinds stop nobody", unknown_kinds},
      {"an end behind every step", every_end}, {"what is written of a unit", records}, )
