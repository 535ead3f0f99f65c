/* SPDX-License-Identifier: Apache-2.0 */
/*
 * books_test.h: boards of a GPU and its audio function, and a journal of them, shared by the files
 * that test the books.
 */
#pragma once

#include "node-daemon/books.h"

#include "base/test.h"

#define GPU "10de:26b9:10de:1851"
#define AUDIO "10de:22ba:10de:1851"

#define V "vfio-pci"
#define N "nvidia"
#define S "snd_hda_intel"

enum { BOARDS = 3 };

/* Boards of a GPU and its audio function, each below a root port and a switch of its own. */
static struct arena arena;
static struct pci_function functions[BOARDS * 2], *pointers[BOARDS * 2];
static uint64_t bridges[BOARDS][3];
static struct machine m;
static struct unit_list units;
static struct journal j;
static struct books books;
static const char *node, *boot;

attr_unused static uint64_t at(unsigned bus, unsigned slot, unsigned function)
{
	return bus << 8 | slot << 3 | function;
}

/* Board i behind root port 00:0i.0: its buses are first, first + 1 and so on. */
attr_unused static void board_at(size_t i, unsigned first)
{
	struct pci_function *f = &functions[i * 2];

	bridges[i][0] = at(0, (unsigned)i + 1, 0);
	bridges[i][1] = at(first, 0, 0);
	bridges[i][2] = at(first + 1, 4, 0);
	f[0].address = at(first + 2, 0, 0);
	f[1].address = at(first + 2, 0, 1);
	f[0].above.items = bridges[i];
	f[0].above.n = 3;
}

attr_unused static void plug(size_t n)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	journal_finish(&j);
	journal_init(&j);
	node = "node1";
	boot = "now";
	m = (struct machine){.iommu = "intel", .functions = {pointers, n * 2}};
	for (size_t i = 0; i < n * 2; i++) {
		functions[i] = (struct pci_function){
			.kind = i % 2 ? PCI_COMPANION : PCI_GPU,
			.ids = {0x10de, i % 2 ? 0x22ba : 0x26b9, 0x10de, 0x1851,
				i % 2 ? 0x040300 : 0x030200},
			.driver = "",
			.group = -1,
			.trouble = "",
		};
		pointers[i] = &functions[i];
	}
	for (size_t i = 0; i < n; i++) {
		board_at(i, 0x41 + (unsigned)i * 16);
	}
}

attr_unused static void drivers(size_t i, const char *gpu, const char *audio)
{
	functions[i * 2].driver = gpu;
	functions[i * 2 + 1].driver = audio;
}

attr_unused static void write_record(const struct journal_record *r)
{
	auto_buf struct buf line = {.max = JOURNAL_MAX_LINE};
	struct err err = {""};

	is_int(journal_line(&j, r, &line, &err), 0);
	journal_note(&j, line.bytes, line.len);
}

attr_unused static void write_unit(const struct journal_unit *u)
{
	if (!j.number) {
		const struct journal_head head = {JOURNAL_VERSION, "node1", "now"};

		write_record(&(struct journal_record){.head = &head});
	}
	write_record(&(struct journal_record){.unit = u});
}

attr_unused static void make(void)
{
	/* the order of a scan */
	for (size_t i = 1; i < m.functions.n; i++) {
		for (size_t k = i; k && pointers[k]->address < pointers[k - 1]->address; k--) {
			struct pci_function *f = pointers[k];

			pointers[k] = pointers[k - 1];
			pointers[k - 1] = f;
		}
	}
	units_make(&m, &arena, &units);
	books_make(&j, &units, node, boot, &arena, &books);
	is_int(books.items.n, units.n);
}

attr_unused static const struct unit *unit_of(size_t i)
{
	list_each(u, &units) {
		if (u->card == &functions[i * 2]) {
			return u;
		}
	}
	test_fail_(__FILE__, __LINE__, "no unit of this board");
	return NULL;
}

/* Of the board's unit, made anew. */
attr_unused static const struct book *book(size_t i)
{
	const struct book *b;

	make();
	b = books_find(&books, functions[i * 2].address);
	ok(b);
	is_int(b->functions.n, unit_of(i)->functions.n);
	is_int(b->functions.items[0].address, functions[i * 2].address);
	return b;
}

/* What the daemon writes of board i, in boot `in`, that has these drivers before. */
attr_unused static void recorded_as(size_t i, const char *state, const char *in, const char *gpu,
				    const char *audio)
{
	const char *was[] = {functions[i * 2].driver, functions[i * 2 + 1].driver};
	struct book *b;
	struct journal_unit u;

	drivers(i, gpu, audio);
	b = (struct book *)book(i);
	b->name = "nvidia.com/L40S";
	b->functions.items[0].override = "before";
	book_record(b, unit_of(i), state, in, &arena, &u);
	write_unit(&u);
	drivers(i, was[0], was[1]);
}
