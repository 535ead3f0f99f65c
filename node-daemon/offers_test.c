/* SPDX-License-Identifier: Apache-2.0 */
/* What the kubelet is told, to the letter: machines from trees, with orders, books and uses that each
 * test sets; every unit is ours and ordered to vfio-pci unless it says otherwise. */
#include "node-daemon/offers.h"

#include "base/test.h"
#include "json/words_test.h"
#include "node-daemon/layout_test.h"

#define WORDS "node-daemon/cases/offers/words.txt"
#define L40S "nvidia.com/AD102GL_L40S"
#define A100 "nvidia.com/GA100_A100_PCIE_40GB"
#define MANY 512

static struct arena arena;
static struct machine m;
static struct unit_list units;
static struct order order[MANY];
static struct book book[MANY];
static struct offer_use use[MANY];
static struct orders orders;
static struct books books;
static struct offers_seen seen;
static struct offers offers;

static void fill(void)
{
	units_make(&m, &arena, &units);
	orders = (struct orders){.term = 1, .items = {order, units.n}};
	books = (struct books){.items = {book, units.n}, .refusal = ""};
	for (size_t i = 0; i < units.n; i++) {
		order[i] = (struct order){.unit = &units.items[i], .want = WANT_VFIO};
		book[i] = (struct book){.id = units.items[i].card->address,
					.whose = BOOK_OURS,
					.name = "",
					.why = ""};
	}
	seen = (struct offers_seen){
		.machine = &m, .units = &units, .books = &books, .orders = &orders, .words = true};
	seen.uses.items = use;
}

static void clear(void)
{
	arena_finish(&arena);
	arena_init(&arena, 64 * MiB);
}

/* A machine with an IOMMU and vfio-pci, and these devices. */
static void begin(const char *devices)
{
	auto_free char *text =
		xprintf("dir class/iommu/dmar0\ndir bus/pci/drivers/vfio-pci\n%s", devices);
	auto_tree struct tree t = tree_make(text);
	struct err err = {""};

	clear();
	machine_finish(&m);
	machine_init(&m);
	is_int(scan(t.fd, &m, &err), 0);
	fill();
}

#define CARD(bus, id, group)                                                                       \
	"device 0000:" bus ":00.0 id=10de:" id " class=030200 driver=vfio-pci group=" group "\n"
#define THREE CARD("41", "26b9", "1") CARD("42", "26b9", "2") CARD("43", "20b1", "3")

static struct offer_use *in_use(uint64_t unit, enum offer_use_state state, const char *resource)
{
	use[seen.uses.n] = (struct offer_use){.unit = unit, .state = state, .resource = resource};
	return &use[seen.uses.n++];
}

/* "RESOURCE: ID ID! ID@1", each list a line; ! is unhealthy, @ the NUMA node. */
static const char *lists(void)
{
	const char *text = "";

	offers_make(&seen, &arena, &offers);
	list_each(l, &offers.lists) {
		text = arena_printf(&arena, "%s%s%s:", text, *text ? "\n" : "", l->resource);
		list_each(d, &l->devices) {
			text = arena_printf(&arena, "%s %s%s", text, d->id, d->healthy ? "" : "!");
			if (d->numa >= 0) {
				text = arena_printf(&arena, "%s@%d", text, (int)d->numa);
			}
		}
	}
	return text;
}

/* "listed", "listed unhealthy: WHY", "not listed: WHY" */
static const char *words_of(const struct offer *o)
{
	return arena_printf(&arena, "%s%s%s%s", o->offered ? "listed" : "not listed",
			    o->offered && !o->healthy ? " unhealthy" : "", o->why ? ": " : "",
			    o->why ? o->why : "");
}

static const char *says(const char *id)
{
	const struct offer *o;

	offers_make(&seen, &arena, &offers);
	o = offers_find(&offers, id);
	return o ? words_of(o) : "not known";
}

/* --- what is offered ------------------------------------------------------------------------- */

static void one_list_a_model(void)
{
	begin(CARD("43", "20f1", "3") CARD("41", "26b9", "1") CARD("40", "20b1", "4")
		      CARD("42", "26b9", "2"));
	is_str(lists(), L40S ": 0000:41:00.0 0000:42:00.0\n" A100 ": 0000:40:00.0 0000:43:00.0");
	is_int(offers.items.n, 4);
	is_str(offers.items.items[0].id, "0000:40:00.0");
	is_str(offers.items.items[0].resource, A100);
	is_str(offers.items.items[0].variable, "PCI_RESOURCE_NVIDIA_COM_GA100_A100_PCIE_40GB");
	ok(offers.items.items[0].is == &units.items[0]);
	is_str(words_of(&offers.items.items[0]), "listed");
	is_str(says("0000:43:00.0"), "listed");
	is_str(says("0000:44:00.0"), "not known");
	is_str(says("x"), "not known");
}

static void numa_where_it_is_known(void)
{
	begin("device 0000:41:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=1 numa=0\n"
	      "device 0000:42:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=2 numa=3\n"
	      "device 0000:43:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=3 numa=-1\n");
	is_str(lists(), L40S ": 0000:41:00.0@0 0000:42:00.0@3 0000:43:00.0");
}

static void nothing_there(void)
{
	begin("");
	is_str(lists(), "");
	is_int(offers.items.n, 0);
	is_str(says("0000:41:00.0"), "not known");
}

static void orders_say(void)
{
	begin(THREE);
	order[0].want = WANT_HOST;
	order[1].want = WANT_VGPU;
	orders.items.n = 2;
	is_str(lists(), "");
	is_str(says("0000:41:00.0"), "not listed: it is ordered to stay with the host; it is "
				     "offered once it is ordered to vfio-pci");
	is_str(says("0000:42:00.0"), "not listed: it is ordered to carry vGPUs; it is offered as a "
				     "whole once it is ordered to vfio-pci");
	is_str(says("0000:43:00.0"), "not listed: no order gives it to virtual machines; claim it, "
				     "or let a pool have it");
	orders = (struct orders){.stale = "of a leader that was"};
	is_str(says("0000:43:00.0"), "not listed: of a leader that was");
}

static void dead_cards(void)
{
	uint64_t dead[] = {0x4200, 0x4300};

	begin(THREE);
	seen.dead.items = dead;
	seen.dead.n = 2;
	is_str(lists(), L40S ": 0000:41:00.0");
	is_str(says("0000:42:00.0"),
	       "not listed: its config space reads as ones: the card is dead or has lost its power; "
	       "a power cycle of the machine may bring it back");
	is_str(offers_find(&offers, "0000:42:00.0")->barred, offers.items.items[1].why);
	in_use(0x4200, OFFER_HELD, L40S);
	has(says("0000:42:00.0"), "listed unhealthy: its config space reads as ones");
	in_use(0x4300, OFFER_DIRTY, A100);
	has(says("0000:43:00.0"), "listed unhealthy: it could not be reset");
	seen.dead.n = 0;
	is_str(says("0000:42:00.0"), "listed");
}

static void books_say(void)
{
	begin(CARD("41", "26b9", "1"));
	book[0].whose = BOOK_ADOPTED;
	is_str(says("0000:41:00.0"), "listed");
	book[0].doing = BOOK_BIND;
	is_str(says("0000:41:00.0"), "not listed: it is being brought to vfio-pci; it is offered "
				     "when that has ended");
	book[0].doing = BOOK_BACK;
	is_str(says("0000:41:00.0"),
	       "not listed: it is being given back to the host; it is offered "
	       "when that has ended and it is on vfio-pci again");
	book[0].doing = BOOK_NOTHING;
	book[0].whose = BOOK_NONE;
	is_str(says("0000:41:00.0"), "not listed: nothing says who brought it to vfio-pci; it is "
				     "offered once the journal has it");
	book[0].whose = BOOK_QUARANTINED;
	book[0].why = "another card was here";
	is_str(says("0000:41:00.0"), "not listed: another card was here");
	book[0].whose = BOOK_OURS;
	books.refusal = "the journal is another node's";
	is_str(says("0000:41:00.0"), "not listed: the journal is another node's");
	books.refusal = "";
	is_str(says("0000:41:00.0"), "listed");
	books.items.n = 0;
	has(says("0000:41:00.0"), "not listed: nothing says who");
}

/* Books of other units than these are no matter. */
static void books_of_others(void)
{
	static struct book more[5];

	begin(THREE);
	for (size_t i = 0; i < 5; i++) {
		more[i] = book[0];
		more[i].id = 0x4000 + 0x100 * i;
	}
	more[2].whose = BOOK_NONE; /* of 0000:42:00.0 */
	books.items.items = more;
	books.items.n = 5;
	is_str(lists(), L40S ": 0000:41:00.0\n" A100 ": 0000:43:00.0");
}

static void hardware_says(void)
{
	static const struct {
		const char *devices, *says;
	} rows[] = {
		{"device 0000:41:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n",
		 "0000:41:00.0 (gpu) is on the host's driver nvidia; the unit is offered when that "
		 "is on vfio-pci"},
		{"device 0000:41:00.0 id=10de:26b9 class=030200 group=1\n",
		 "0000:41:00.0 (gpu) has no driver; the unit is offered when that is on vfio-pci"},
		{CARD("41", "26b9",
		      "1") "device 0000:41:00.1 id=10de:22ba class=040300 driver=snd_hda_intel group=1\n",
		 "0000:41:00.1 (audio) is on the host's driver snd_hda_intel; the unit is offered "
		 "when that is on vfio-pci"},
		{CARD("41", "26b9", "1") "device 0000:41:00.1 id=10de:22ba class=040300 group=2\n",
		 "0000:41:00.1 (audio) has no driver; the unit is offered when that is on vfio-pci"},
		{CARD("41", "26b9",
		      "1") "device 0000:09:00.0 id=8086:1572 class=020000 driver=i40e group=1\n",
		 "0000:09:00.0 (network controller) in IOMMU group 1 is on the host's driver i40e, "
		 "and"},
		{"device 0000:41:00.0 id=10de:26b9 class=030200 driver=vfio-pci\n",
		 "the kernel gives the card no IOMMU group;"},
		{"device 0000:41:00.0 id=10de:26b9 class=030200\n",
		 "the kernel gives the card no IOMMU group;"},
		{CARD("41", "26b9", "1") "  sriov_totalvfs = 2\n"
					 "vfs 0000:41:00.0 first=0000:41:00.4 count=2 group=2\n",
		 "2 virtual functions of 0000:41:00.0 are made"},
		{CARD("41", "26b9", "x"), "0000:41:00.0: iommu_group: not what"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text;

		begin(rows[i].devices);
		text = says("0000:41:00.0");
		printf("# %s\n", text);
		ok(str_starts(text, "not listed: "));
		ok(str_starts(text + strlen("not listed: "), rows[i].says));
		is_str(lists(), "");
	}
}

/* What only shares the group needs no driver; a variant of vfio-pci is as good; two GPUs of one group
 * are one device. */
static void what_does_not_matter(void)
{
	begin("device 0000:41:00.0 id=10de:26b9 class=030200 driver=nvgrace_gpu_vfio_pci group=1\n"
	      "device 0000:41:00.1 id=10de:22ba class=040300 driver=vfio-pci group=1\n"
	      "device 0000:42:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=1\n"
	      "device 0000:09:00.0 id=8086:1572 class=020000 group=1\n");
	is_str(lists(), L40S ": 0000:41:00.0");
}

/* --- what is in use -------------------------------------------------------------------------- */

static void held_ones_stay(void)
{
	begin(CARD("41", "26b9", "1"));
	in_use(0x4100, OFFER_HELD, L40S);
	for (int want = WANT_LEAVE; want <= WANT_VGPU; want++) {
		order[0].want = (enum want)want;
		is_str(lists(), L40S ": 0000:41:00.0");
	}
	orders.items.n = 0;
	is_str(lists(), L40S ": 0000:41:00.0");
	book[0].whose = BOOK_QUARANTINED;
	books.refusal = "no journal";
	is_str(lists(), L40S ": 0000:41:00.0");
	is_str(says("0000:41:00.0"), "listed");
	use[0].state = OFFER_RETURNING;
	is_str(lists(), L40S ": 0000:41:00.0!");
	is_str(says("0000:41:00.0"), "listed unhealthy: it is being reset for the next virtual "
				     "machine; it is given again when that has ended");
	use[0].state = OFFER_DIRTY;
	is_str(lists(), L40S ": 0000:41:00.0!");
	is_str(says("0000:41:00.0"), "listed unhealthy: it could not be reset after its last "
				     "virtual machine; it is given again when a reset has worked");
	use[0].why = "it hangs";
	is_str(says("0000:41:00.0"), "listed unhealthy: it hangs");
}

static void held_ones_keep_their_resource(void)
{
	begin(THREE);
	in_use(0x4100, OFFER_HELD, "acme.com/before");
	in_use(0x4200, OFFER_DIRTY, "acme.com/before");
	order[0].exclusive = "acme.com/now";
	is_str(lists(), "acme.com/before: 0000:41:00.0 0000:42:00.0!\n" A100 ": 0000:43:00.0");
	use[0].state = OFFER_RETURNING;
	has(lists(), "acme.com/before: 0000:41:00.0! ");
	seen.uses.n = 0;
	is_str(lists(),
	       "acme.com/now: 0000:41:00.0\n" L40S ": 0000:42:00.0\n" A100 ": 0000:43:00.0");
}

static void held_ones_that_ail(void)
{
	begin(CARD("41", "26b9", "1"));
	in_use(0x4100, OFFER_HELD, L40S);
	m.functions.items[0]->driver = "nvidia";
	is_str(says("0000:41:00.0"), "listed unhealthy: 0000:41:00.0 (gpu) is on the host's driver "
				     "nvidia; the unit is offered when that is on vfio-pci");
	m.functions.items[0]->driver = "";
	m.functions.items[0]->unsure = true;
	m.functions.items[0]->trouble = "driver: Permission denied";
	is_str(says("0000:41:00.0"), "listed: driver: Permission denied; nothing is done with the "
				     "unit until it reads");
	is_str(lists(), L40S ": 0000:41:00.0");
	use[0].state = OFFER_DIRTY;
	is_str(lists(), L40S ": 0000:41:00.0!");
}

static void held_ones_that_are_gone(void)
{
	begin("device 0000:42:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=2 numa=1\n");
	in_use(0x4300, OFFER_RETURNING, L40S);
	in_use(0x4100, OFFER_HELD, L40S);
	in_use(0x4400, OFFER_HELD, NULL);
	is_str(lists(), L40S ": 0000:41:00.0! 0000:42:00.0@1 0000:43:00.0!");
	is_int(offers.items.n, 3);
	ok(!offers.items.items[0].is && offers.items.items[0].given);
	is_str(says("0000:41:00.0"),
	       "listed unhealthy: no such GPU is there any more; it is listed "
	       "until who holds it has ended");
	is_str(says("0000:44:00.0"), "not known");
}

/* A GPU that came before the held one in its group makes another unit of both. */
static void held_as_another_unit(void)
{
	begin(CARD("41", "26b9", "1") CARD("42", "26b9", "1") CARD("43", "26b9", "3"));
	in_use(0x4200, OFFER_HELD, L40S);
	is_str(lists(), L40S ": 0000:42:00.0! 0000:43:00.0");
	is_str(says("0000:41:00.0"),
	       "not listed: 0000:42:00.0 is in use as a unit of its own; it is offered as a part of "
	       "this one when that has ended");
	use[0].state = OFFER_FOREIGN;
	is_str(lists(), L40S ": 0000:43:00.0");
}

/* By nobody whom we gave it. */
static void used_by_others(void)
{
	begin(CARD("41", "26b9", "1"));
	in_use(0x4100, OFFER_FOREIGN, L40S);
	is_str(lists(), "");
	is_str(says("0000:41:00.0"), "not listed: somebody uses it who was not given it by the "
				     "kubelet; it is offered when that has ended");
	use[0].why = "vfioprobe (pid 7) has it";
	is_str(says("0000:41:00.0"), "not listed: vfioprobe (pid 7) has it");
	use[0].unit = 0x4000;
	is_str(lists(), L40S ": 0000:41:00.0");
}

/* Of a use from before our start nobody may know the resource yet. */
static void resource_not_known(void)
{
	begin(CARD("41", "26b9", "1"));
	in_use(0x4100, OFFER_HELD, NULL);
	order[0].want = WANT_HOST;
	is_str(lists(), L40S ": 0000:41:00.0");
	ok(offers.items.items[0].given);
	order[0].name = "none";
	is_str(lists(), "");
	order[0].name = NULL;
	use[0].state = OFFER_RETURNING;
	is_str(lists(), "");
	has(says("0000:41:00.0"), "it is ordered to stay");
	order[0].want = WANT_VFIO;
	is_str(lists(), L40S ": 0000:41:00.0!");
	ok(!offers.items.items[0].given);
}

static const char *barred(void)
{
	offers_make(&seen, &arena, &offers);
	return offers.items.items[0].barred;
}

/* Who asks for a device that is still listed is told what the list cannot say. */
static void not_to_be_given_again(void)
{
	begin(THREE);
	is_str(barred(), NULL);
	in_use(0x4100, OFFER_HELD, L40S);
	is_str(barred(), NULL);
	order[0].exclusive = "acme.com/now";
	is_str(barred(),
	       "acme.com/now is its resource by now; it is given as that once it is free");
	order[0].want = WANT_HOST;
	has(barred(), "it is ordered to stay");
	use[0].state = OFFER_DIRTY;
	has(barred(), "it is ordered to stay");
	use[0].unit = 0x4000;
	has(barred(), "no such GPU is there any more");
	seen.uses.n = 0;
	order[0].want = WANT_VFIO;
	order[0].exclusive = "acme.com/one";
	order[1].name = "acme.com/one";
	has(barred(), "is to name it alone");
}

/* The worse of two that say something of one unit does not count: who holds it keeps it. */
static void two_uses(void)
{
	begin(CARD("41", "26b9", "1"));
	in_use(0x4100, OFFER_DIRTY, L40S);
	in_use(0x4100, OFFER_HELD, L40S);
	in_use(0x4000, OFFER_DIRTY, L40S);
	in_use(0x4000, OFFER_HELD, L40S);
	is_str(lists(), L40S ": 0000:40:00.0! 0000:41:00.0");
}

/* --- names ----------------------------------------------------------------------------------- */

static void which_name(void)
{
	begin(THREE);
	order[0].name = "acme.com/ordered";
	is_str(lists(),
	       "acme.com/ordered: 0000:41:00.0\n" L40S ": 0000:42:00.0\n" A100 ": 0000:43:00.0");
	book[0].name = "acme.com/frozen";
	has(lists(), "acme.com/frozen: 0000:41:00.0\n");
	order[0].exclusive = "acme.com/alone";
	has(lists(), "acme.com/alone: 0000:41:00.0\n");
	ok(offers.items.items[0].alone && !offers.items.items[1].alone);
}

static void names_that_wait_for_words(void)
{
	begin(CARD("41", "ffff", "1") CARD("42", "26b9", "2"));
	seen.words = false;
	is_str(lists(), L40S ": 0000:42:00.0");
	is_str(says("0000:41:00.0"),
	       "not listed: what its model is called is not known yet; it is offered when the words "
	       "of its PCI id have been read");
	book[0].name = "acme.com/frozen";
	has(lists(), "acme.com/frozen: 0000:41:00.0\n");
	book[0].name = "";
	seen.words = true;
	has(lists(), "nvidia.com/ffff: 0000:41:00.0");
}

static void names_that_are_none(void)
{
	begin(CARD("41", "26b9", "1") CARD("42", "26b9", "2"));
	order[0].exclusive = "gpu";
	is_str(lists(), L40S ": 0000:42:00.0");
	is_str(says("0000:41:00.0"),
	       "not listed: its resource gpu has no domain before a /, as in nvidia.com/L40S; give "
	       "it another name in its order");
	order[0].exclusive = "kubernetes.io/x";
	has(says("0000:41:00.0"), "kubernetes.io/x is in a domain that Kubernetes keeps");
	order[0].exclusive = "acme.com/x y";
	has(says("0000:41:00.0"), "has behind its /");
}

/* virt-launcher cannot tell them apart. */
static void one_variable(void)
{
	begin(THREE);
	order[0].name = "acme.com/b.1";
	order[1].name = "acme.com/a";
	order[2].name = "acme.com/b_1";
	is_str(lists(), "acme.com/a: 0000:42:00.0\nacme.com/b.1: 0000:41:00.0");
	is_str(says("0000:43:00.0"),
	       "not listed: its resource acme.com/b_1 has the same variable "
	       "(PCI_RESOURCE_ACME_COM_B_1) as acme.com/b.1, and virt-launcher could not tell them "
	       "apart; give one of them another name in its order");
	order[0].name = "acme.com/b_1";
	order[2].name = "acme.com/B.1";
	is_str(lists(), "acme.com/B.1: 0000:43:00.0\nacme.com/a: 0000:42:00.0");
	in_use(0x4100, OFFER_HELD, "acme.com/b_1"); /* what was given keeps its name */
	is_str(lists(), "acme.com/a: 0000:42:00.0\nacme.com/b_1: 0000:41:00.0");
	in_use(0x4300, OFFER_DIRTY, "acme.com/B.1");
	order[1].name = "acme.com/b_1"; /* is that of the second of two that were given */
	is_str(lists(), "acme.com/B.1: 0000:43:00.0!\nacme.com/b_1: 0000:41:00.0");
	has(says("0000:42:00.0"), "as acme.com/B.1, and");
}

static void a_name_alone(void)
{
	begin(THREE);
	order[0].exclusive = "acme.com/mine";
	order[1].exclusive = "acme.com/mine";
	is_str(lists(), "acme.com/mine: 0000:41:00.0\n" A100 ": 0000:43:00.0");
	is_str(says("0000:42:00.0"), "not listed: acme.com/mine is to name it alone, and other "
				     "units have that name; give it another one in its order");
	in_use(0x4200, OFFER_HELD, "acme.com/mine");
	is_str(lists(), "acme.com/mine: 0000:42:00.0\n" A100 ": 0000:43:00.0");
	has(says("0000:41:00.0"), "acme.com/mine is to name it alone");
	order[0].exclusive = NULL;
	order[0].name = "acme.com/mine";
	is_str(says("0000:41:00.0"), "not listed: its resource acme.com/mine names 0000:42:00.0 "
				     "alone; give one of them another name in its order");
	seen.uses.n = 0; /* that of a model goes before */
	is_str(lists(), "acme.com/mine: 0000:41:00.0\n" A100 ": 0000:43:00.0");
	has(says("0000:42:00.0"), "acme.com/mine is to name it alone");
	order[1].exclusive = A100;
	has(says("0000:42:00.0"), A100 " is to name it alone");
	order[2].exclusive = "acme.com/other"; /* then it is nobody else's */
	is_str(lists(),
	       "acme.com/mine: 0000:41:00.0\nacme.com/other: 0000:43:00.0\n" A100 ": 0000:42:00.0");
}

/* --- many ------------------------------------------------------------------------------------ */

/* A machine with so many cards, made by hand: a scan takes fewer. */
static void begin_many(void)
{
	static struct pci_function functions[MANY], *pointers[MANY];
	static const struct pci_function *own[MANY];
	static struct unit made[MANY];

	begin("");
	for (size_t i = 0; i < MANY; i++) {
		functions[i] = (struct pci_function){
			.address = 0x10000 + 0x100 * i,
			.ids = {.vendor = 0x10de, .device = 0x26b9, .class_code = 0x030200},
			.driver = "vfio-pci",
			.group = (int64_t)i,
			.trouble = "",
			.numa = (int64_t)i % 2,
		};
		pointers[i] = &functions[i];
		own[i] = &functions[i];
		made[i] = (struct unit){.card = own[i], .functions = {&own[i], 1}, .gpus = 1};
		order[i] = (struct order){.unit = &made[i], .want = WANT_VFIO};
		book[i] = (struct book){
			.id = own[i]->address, .whose = BOOK_OURS, .name = "", .why = ""};
	}
	m.functions.items = pointers;
	m.functions.n = units.n = orders.items.n = books.items.n = MANY;
	units.items = made;
}

static void many_units(void)
{
	begin_many();
	offers_make(&seen, &arena, &offers);
	is_int(offers.lists.n, 1);
	is_int(offers.lists.items[0].devices.n, MANY);
	for (size_t i = 0; i < MANY; i++) {
		ok(offers.lists.items[0].devices.items[i].healthy);
		is_int(offers.lists.items[0].devices.items[i].numa, i % 2);
	}
}

static void many_resources(void)
{
	begin_many();
	for (size_t i = 0; i < MANY; i++) {
		order[i].exclusive = arena_printf(&arena, "acme.com/%03zu", i);
	}
	in_use(order[MANY - 1].unit->card->address, OFFER_HELD, "acme.com/511");
	offers_make(&seen, &arena, &offers);
	is_int(offers.lists.n, PLUGIN_RESOURCES_MAX);
	is_str(offers.lists.items[0].resource, "acme.com/000");
	is_str(offers.lists.items[PLUGIN_RESOURCES_MAX - 2].resource, "acme.com/254");
	is_str(offers.lists.items[PLUGIN_RESOURCES_MAX - 1].resource, "acme.com/511");
	is_str(words_of(&offers.items.items[254]), "listed");
	is_str(words_of(&offers.items.items[255]),
	       "not listed: its resource acme.com/255 is one too many: a node can have 256; let "
	       "more units share a resource");
}

/* Whatever order things come in, the lists are the same. */
static void any_order(void)
{
	struct order swapped[3];
	const char *before;

	begin(THREE);
	in_use(0x4200, OFFER_HELD, L40S);
	in_use(0x9900, OFFER_DIRTY, A100);
	in_use(0x4000, OFFER_HELD, A100);
	before = lists();
	for (size_t i = 0; i < 3; i++) {
		swapped[i] = order[2 - i];
	}
	orders.items.items = swapped;
	use[3] = use[0];
	use[0] = use[2];
	use[2] = use[3];
	is_str(lists(), before);
}

/* --- the machines of the scans --------------------------------------------------------------- */

static json_t *words;

static void say_layout(const char *name, struct machine *layout, attr_unused const struct tree *t)
{
	struct machine mine = m;

	clear();
	m = *layout;
	fill();
	for (int held = 0; held < 2; held++) {
		seen.uses.n = 0;
		for (size_t i = 0; held && i < units.n; i++) {
			in_use(units.items[i].card->address, OFFER_HELD, "acme.com/held");
		}
		offers_make(&seen, &arena, &offers);
		list_each(o, &offers.items) {
			json_t *said = json_string(words_of(o));

			words_say(words, name,
				  arena_printf(&arena, "%s %s", o->id, held ? "held" : o->resource),
				  said);
			json_decref(said);
		}
	}
	m = mine;
}

static void layouts(void)
{
	bool same;

	words = json_object();
	layout_each(say_layout);
	same = words_are(WORDS, words, true);
	json_decref(words);
	ok(same);
}

static void nothing_stays(void)
{
	arena_finish(&arena);
	machine_finish(&m);
}

TESTS({"a list for each model, of however many PCI ids", one_list_a_model},
      {"a NUMA node is told where it is known", numa_where_it_is_known},
      {"of a machine without GPUs nothing is told", nothing_there},
      {"what is not ordered to vfio-pci is not listed", orders_say},
      {"a card that has died is not listed", dead_cards},
      {"nor what is half done, or in quarantine", books_say},
      {"books are matched by their units", books_of_others},
      {"nor what cannot be given", hardware_says},
      {"what only shares the group needs no driver", what_does_not_matter},
      {"what is held stays listed whatever is ordered", held_ones_stay},
      {"under the resource that it was given with", held_ones_keep_their_resource},
      {"unhealthy when its hardware is, not when that cannot be seen", held_ones_that_ail},
      {"and when it is gone", held_ones_that_are_gone},
      {"what is held as one unit is not given again as part of another", held_as_another_unit},
      {"what somebody else uses is not listed", used_by_others},
      {"a resource that is not known is that of now", resource_not_known},
      {"what is listed and not to be given again says why", not_to_be_given_again},
      {"of two uses that of a holder counts", two_uses},
      {"an order's own resource, a frozen name, then the model's", which_name},
      {"a name that would still change is not told", names_that_wait_for_words},
      {"a name that the kubelet refuses does not reach it", names_that_are_none},
      {"of resources with one variable one is left", one_variable},
      {"a resource of one unit is no other's", a_name_alone}, {"512 units are listed", many_units},
      {"more resources than a node can have are refused", many_resources},
      {"the order of orders and uses is no matter", any_order},
      {"what is said of the machines of the scans stands in " WORDS, layouts},
      {"nothing stays", nothing_stays})
