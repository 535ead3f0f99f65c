/* SPDX-License-Identifier: Apache-2.0 */
/* Which card is which, when addresses, slots and bridges change. */
#include "node-daemon/books_test.h"

static void places(void)
{
	plug(1);
	is_str(book(0)->place, "0000:00:01.0/00.0/04.0/00.0");
	is_str(book(0)->ids, GPU);
	board_at(0, 0x80); /* the same wires */
	is_str(book(0)->place, "0000:00:01.0/00.0/04.0/00.0");
	bridges[0][2] = at(0x81, 0x1f, 7);
	functions[0].address = at(0x82, 0x10, 3);
	is_str(book(0)->place, "0000:00:01.0/00.0/1f.7/10.3");
	functions[0].above.n = 1;
	is_str(book(0)->place, "0000:00:01.0/10.3");
	functions[0].above.n = 0;
	functions[0].address = 0x10000ULL << 16 | at(0xe1, 0, 0);
	is_str(book(0)->place, "10000:e1:00.0");
}

/* A card was added in the first slot: all buses behind have new numbers, and the address of the one
 * is now that of the other. */
static void new_numbers(void)
{
	const struct book *b;

	plug(2);
	recorded_as(0, "bound", "then", N, S);
	recorded_as(1, "bound", "then", "", "");
	board_at(0, 0x51);
	board_at(1, 0x61);
	drivers(0, N, S);
	drivers(1, "", "");
	b = book(0);
	is_int(b->whose, BOOK_OURS);
	is_int(b->doing, BOOK_BIND);
	is_str(b->was, "0000:43:00.0");
	is_str(b->replaces, "");
	is_str(b->functions.items[0].driver, N);
	b = book(1);
	is_int(b->whose, BOOK_OURS);
	is_str(b->was, "0000:53:00.0");
	is_str(b->functions.items[0].driver, "");
	is_int(books.missing.n, 0);
	/* and what they had then is found by slot and function */
	drivers(0, "", "");
	b = book(0);
	is_str(b->functions.items[0].driver, N);
	is_str(b->functions.items[1].driver, S);

	/* the newcomer is nobody's, at an address that was recorded */
	plug(3);
	m.functions.n = 4;
	recorded_as(0, "bound", "then", N, S);
	m.functions.n = 6;
	board_at(0, 0x51);
	board_at(2, 0x41);
	board_at(1, 0x71);
	is_int(book(2)->whose, BOOK_NONE);
	is_str(book(2)->why, "");
	is_int(book(0)->whose, BOOK_OURS);
}

/* Functions are found by new numbers of another boot only. */
static void no_new_numbers_in_one_boot(void)
{
	const struct book *b;

	plug(1);
	recorded_as(0, "bound", "now", N, S);
	board_at(0, 0x80);
	drivers(0, V, V);
	b = book(0);
	is_str(b->was, "0000:43:00.0");
	ok(!b->functions.items[0].known);
}

static void another_card(void)
{
	static const char *const states[] = {"binding", "bound", "returning", ""};

	for (size_t i = 0; i < ARRAY_LEN(states) * 2; i++) {
		const struct book *b;

		plug(1);
		recorded_as(0, states[i / 2], i % 2 ? "now" : "then", N, S);
		functions[0].ids.device = 0x2330;
		b = book(0);
		is_int(b->whose, BOOK_QUARANTINED);
		is_int(b->doing, BOOK_NOTHING);
		is_str(b->why,
		       "another card is in this place: recorded is " GPU
		       ", here is 10de:2330:10de:1851; to begin anew with it, order nothing of it "
		       "any more (delete its PCIDeviceClaim, or leave it out of the GPUPool), and "
		       "then order it again");
		is_str(b->name, "");
		ok(!b->functions.items[0].known);
	}
	/* a subsystem is enough: another board with the same chip */
	plug(1);
	recorded_as(0, "bound", "then", N, S);
	functions[0].ids.sub_device = 1;
	is_int(book(0)->whose, BOOK_QUARANTINED);
}

/* Two cards changed places. */
static void swapped(void)
{
	plug(2);
	functions[2].ids.device = 0x2330;
	recorded_as(0, "bound", "then", N, S);
	recorded_as(1, "bound", "then", N, S);
	functions[2].ids.device = 0x26b9;
	functions[0].ids.device = 0x2330;
	is_int(book(0)->whose, BOOK_QUARANTINED);
	is_int(book(1)->whose, BOOK_QUARANTINED);
}

/* The recorded card is gone, and another, in another slot, has its address. */
static void address_inherited(void)
{
	const struct book *b;
	struct journal_unit u;

	plug(2);
	recorded_as(0, "bound", "then", N, S);
	functions[2].ids.device = 0x2330;
	pointers[0] = &functions[2];
	pointers[1] = &functions[3];
	m.functions.n = 2;
	board_at(1, 0x41);
	b = book(1);
	is_int(b->whose, BOOK_QUARANTINED);
	has(b->why, "another card");
	is_str(b->replaces, "0000:00:01.0/00.0/04.0/00.0");
	is_int(books.missing.n, 0);
	/* to begin anew with it forgets the one that is gone */
	book_returned(b, boot, &arena, &u);
	write_unit(&u);
	is_int(j.units.n, 0);
	is_int(book(1)->whose, BOOK_NONE);
}

/* The same card, as far as anybody can tell, at its address, but below other bridges. */
static void bridges_renumbered(void)
{
	const struct book *b;
	struct journal_unit u;

	/* a boot does that: root ports that have nothing below are hidden, and the others move up */
	plug(1);
	recorded_as(0, "bound", "then", N, S);
	bridges[0][0] = at(0, 0x1c, 0);
	b = book(0);
	is_int(b->whose, BOOK_OURS);
	is_int(b->doing, BOOK_BIND);
	is_str(b->was, "");
	is_str(b->replaces, "0000:00:01.0/00.0/04.0/00.0");
	book_record(b, unit_of(0), JOURNAL_BINDING, boot, &arena, &u);
	write_unit(&u);
	is_int(j.units.n, 1);
	is_str(j.units.items[0].place, "0000:00:1c.0/00.0/04.0/00.0");
	is_int(book(0)->doing, BOOK_BIND);
	is_int(books.missing.n, 0);
	is_str(book(0)->replaces, "");

	/* without a boot it is another card of its kind, plugged in elsewhere */
	plug(1);
	recorded_as(0, "bound", "now", N, S);
	bridges[0][0] = at(0, 0x1c, 0);
	drivers(0, V, V);
	b = book(0);
	is_int(b->whose, BOOK_QUARANTINED);
	has(b->why, "recorded is place 0000:00:01.0/00.0/04.0/00.0, this is "
		    "0000:00:1c.0/00.0/04.0/00.0; to begin anew");
}

/* One of three, at its address below other bridges, while its neighbours are where they were. */
static void one_of_three(void)
{
	plug(3);
	for (size_t i = 0; i < 3; i++) {
		recorded_as(i, "bound", i == 1 ? "now" : "then", "", "");
	}
	for (size_t i = 0; i < 3; i++) {
		drivers(i, i == 1 ? V : "", "");
	}
	is_int(book(1)->whose, BOOK_OURS);
	bridges[1][0] = at(0, 0x1c, 0);
	is_int(book(0)->whose, BOOK_OURS);
	is_int(book(1)->whose, BOOK_QUARANTINED);
	is_int(book(2)->whose, BOOK_OURS);
	is_int(books.missing.n, 0);
	/* and at another address too: it is none of the recorded, though of their kind */
	functions[2].address = at(0x33, 0, 0);
	functions[3].address = at(0x33, 0, 1);
	drivers(1, "", "");
	is_int(book(1)->whose, BOOK_NONE);
	has(book(1)->why, "was recorded at 0000:53:00.0 and is missing there");
	is_int(books.missing.n, 1);
	is_int(book(2)->whose, BOOK_OURS);
	/* all are gone */
	m.functions.n = 0;
	make();
	is_int(books.missing.n, 3);
	is_str(books.missing.items[2].id, "0000:63:00.0");
}

/* A tree whose links could not be read for a moment makes no other card. */
static void bridges_unread(void)
{
	plug(1);
	recorded_as(0, "bound", "now", N, S);
	drivers(0, V, V);
	functions[0].above.n = 0;
	is_int(book(0)->whose, BOOK_OURS);
	is_str(book(0)->replaces, "0000:00:01.0/00.0/04.0/00.0");
	plug(1);
	functions[0].above.n = 0;
	recorded_as(0, "bound", "now", N, S);
	drivers(0, V, V);
	functions[0].above.n = 3;
	is_int(book(0)->whose, BOOK_OURS);
}

static void gone_and_elsewhere(void)
{
	const struct book *b;

	plug(2);
	recorded_as(0, "bound", "then", N, S);
	pointers[0] = &functions[2];
	pointers[1] = &functions[3];
	m.functions.n = 2;
	b = book(1);
	is_int(b->whose, BOOK_NONE);
	is_str(b->why,
	       "a card of its kind was recorded at 0000:43:00.0 and is missing there; if it "
	       "is this one, order it at its new address");
	is_int(books.missing.n, 1);
	is_str(books.missing.items[0].id, "0000:43:00.0");
	is_str(books.missing.items[0].ids, GPU);
	is_str(books.missing.items[0].place, "0000:00:01.0/00.0/04.0/00.0");
	functions[2].ids.device = 0x2330;
	is_str(book(1)->why, "");
	is_int(books.missing.n, 1);
}

TESTS({"places are wires", places}, {"buses with new numbers", new_numbers},
      {"no new numbers without a boot", no_new_numbers_in_one_boot},
      {"another card in the place", another_card}, {"two cards changed places", swapped},
      {"another card has the address of one that is gone", address_inherited},
      {"bridges with new numbers", bridges_renumbered},
      {"bridges that were not read", bridges_unread}, {"one of three cards", one_of_three},
      {"a card that is gone, and one of its kind", gone_and_elsewhere}, )
