/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/links.h"

#include "base/test.h"

static struct links links;
static struct pci_function functions[4] = {
	{.address = 0x4100, .kind = PCI_GPU, .ids = {.vendor = 0x10de, .device = 0x2330}},
	{.address = 0x4101, .kind = PCI_COMPANION, .ids = {.vendor = 0x10de, .device = 0x2330}},
	{.address = 0x4200, .kind = PCI_GPU, .ids = {.vendor = 0x10de, .device = 0x2330}},
	{.address = 0x4300, .kind = PCI_GPU, .ids = {.vendor = 0x10de, .device = 0x2331}},
};
static struct pci_function *all[4] = {&functions[0], &functions[1], &functions[2], &functions[3]};
static const struct machine machine = {.functions = {all, 4}};

/* a: 41, with its companion; b: 42 and 43 together. */
static const struct pci_function *of_a[] = {&functions[0], &functions[1]},
				 *of_b[] = {&functions[2], &functions[3]},
				 *of_c[] = {&functions[3]};
static const struct unit a = {.card = &functions[0], .functions = {of_a, 2}, .gpus = 1},
			 b = {.card = &functions[2], .functions = {of_b, 2}, .gpus = 2},
			 c = {.card = &functions[3], .functions = {of_c, 1}, .gpus = 1};

static void learn(int64_t xy, int64_t xz, const char *trouble)
{
	struct reading_peer of_x[] = {{0x4200, xy}, {0x4300, xz}}, of_y[] = {{0x4100, xy}},
			    of_z[] = {{0x4100, xz}};
	struct reading_card cards[] = {{0x4100, "", "", {{0}}, {of_x, 2}},
				       {0x4200, trouble, "", {{0}}, {of_y, 1}},
				       {0x4300, "", "", {{0}}, {of_z, 1}}};

	links_learn(&links, &(struct reading){.cards = {cards, 3}});
}

static void what_was_read_last_holds(void)
{
	is_int(links_lanes(&links, &a, &b), 0);
	ok(!links_any(&links, &a));
	learn(4, 2, "");
	is_int(links_lanes(&links, &a, &b), 6); /* of both GPUs of b */
	is_int(links_lanes(&links, &b, &a), 6);
	is_int(links_lanes(&links, &a, &c), 2);
	ok(links_any(&links, &a) && links_any(&links, &c));
	learn(12, 0, "");
	is_int(links_lanes(&links, &a, &b), 12);
	is_int(links_lanes(&links, &a, &c), 0);
	ok(!links_any(&links, &c));
	learn(1, 1, "it does not show this card"); /* of which then nothing is said */
	is_int(links_lanes(&links, &a, &b), 13);
	links_learn(&links, &(struct reading){0}); /* cards that are gone to another driver */
	is_int(links_lanes(&links, &a, &b), 13);
	is_int(links_lanes(NULL, &a, &b), 0);
	ok(!links_any(NULL, &a));
	links_finish(&links);
	is_int(links.n, 0);
}

static int64_t recall(const char *device, const char *unit, const char *kind, int64_t lanes)
{
	struct status_link link = {unit, kind, lanes};
	struct status_unit units[] = {
		{.id = "0000:41:00.0",
		 .vendor_id = "10de",
		 .device_id = device,
		 .links = {&link, 1}},
		{.id = "0000:42:00.0", .vendor_id = "10de", .device_id = "2330"},
		{.id = "0000:44:00.0", .vendor_id = "10de", .device_id = "2330"},
		{.id = "x"}};
	int64_t found;

	links_recall(&links, &machine, &(struct status){.units = {units, 4}});
	found = links_lanes(&links, &a, &b);
	links_finish(&links);
	return found;
}

static void the_last_report_is_recalled(void)
{
	is_int(recall("2330", "0000:42:00.0", "nvlink", 4), 4);
	is_int(recall("2331", "0000:42:00.0", "nvlink", 4), 0); /* another card was there */
	is_int(recall(NULL, "0000:42:00.0", "nvlink", 4), 0);
	is_int(recall("2330", "0000:42:00.0", "switch", 4), 0);
	is_int(recall("2330", "0000:42:00.0", "nvlink", 0), 0);
	is_int(recall("2330", "0000:43:00.0", "nvlink", 4), 0); /* no unit of that report */
	is_int(recall("2330", "0000:44:00.0", "nvlink", 4), 0); /* which is gone */
	is_int(recall("2330", "0000:41:00.0", "nvlink", 4), 0); /* itself */
	is_int(recall("2330", "x", "nvlink", 4), 0);
	is_int(recall("2330", NULL, "nvlink", 4), 0);
}

static void pairs_are_bounded(void)
{
	static struct reading_peer peers[READING_MAX_CARDS];
	static struct reading_card cards[READING_MAX_CARDS];

	for (size_t round = 0; round < 4; round++) {
		for (size_t i = 0; i < READING_MAX_CARDS; i++) {
			peers[i] = (struct reading_peer){(round << 20) + (i << 8), 1};
			cards[i] = (struct reading_card){
				peers[i].at, "", "", {{0}}, {peers, READING_MAX_CARDS}};
		}
		links_learn(&links, &(struct reading){.cards = {cards, READING_MAX_CARDS}});
	}
	is_int(links.n, LINKS_PAIRS_MAX);
	links_finish(&links);
}

TESTS({"what was read last holds", what_was_read_last_holds},
      {"the last report is recalled", the_last_report_is_recalled},
      {"pairs are bounded", pairs_are_bounded})
