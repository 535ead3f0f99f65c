/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody asks of GPUs, with none, one, two and many of each: more than cases can hold. */
#include "controller/gpus.h"

#include "base/test.h"
#include "controller/kinds.h"

#define CARD "example.com/CARD"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct kv_config config;
static struct cr cr;
static struct inventory inventory;
static struct gpus g;

/* A KubeVirt CR with a list, a fleet of these models, and nothing asked. */
static void begin(const struct inventory_model *models, size_t n)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	config = (struct kv_config){.obj = {.ns = "k", .name = "kubevirt"}};
	cr = (struct cr){.config = &config, .n = 1, .names = "k/kubevirt"};
	inventory = (struct inventory){.models = models, .n = n, .nodes = 1, .pass = &pass};
	g = (struct gpus){
		.pass = &pass, .inventory = &inventory, .cr = &cr, .ns = "t", .machine = "asker"};
}

static void ask(const char *device, int64_t count)
{
	gpus_ask(&g, device, device)->count += count;
}

/* --- asks ------------------------------------------------------------------------------------- */

static void any_number_of_names(void)
{
	static const int sizes[] = {0, 1, 2, 3, 4, 5, 63, 64, 65, 200};

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		struct gpu_status_list status;

		begin(NULL, 0);
		for (int i = 0; i < 2 * sizes[k]; i++) {
			ask(arena_printf(&arena, "n%d", i % sizes[k]), i < sizes[k] ? i : 1000);
		}
		is_int(g.n, sizes[k]);
		status = gpus_status(&g);
		is_int(status.n, MIN(sizes[k], 64));
		for (int i = 0; i < sizes[k]; i++) {
			const char *name = arena_printf(&arena, "n%d", i);

			is_str(g.asks[i].asked, name);
			is_int(gpus_count(&g, name), i + 1000);
			if (i < 64) {
				is_str(status.items[i].name, name);
				is_int(status.items[i].count, i + 1000);
			}
		}
	}
}

static void spellings_of_one_device_count_together(void)
{
	begin(NULL, 0);
	is_str(gpus_wish(&g), NULL);
	is_str(gpus_summary(&g), NULL);
	gpus_ask(&g, "one", CARD)->count = 1;
	is_str(gpus_wish(&g), "1 x " CARD);
	gpus_ask(&g, "other", "example.com/OTHER")->count = 5;
	gpus_ask(&g, "two", CARD)->count = 2;
	is_int(gpus_count(&g, CARD), 3);
	is_int(gpus_count(&g, "one"), 0);
	is_str(gpus_wish(&g), "3 x " CARD ", 5 x example.com/OTHER");
	is_str(gpus_summary(&g), "3x CARD, 5x OTHER");
}

/* Two groups of one cluster, made when the alias stood for different cards. */
static void one_spelling_of_two_devices_counts_apart(void)
{
	begin(NULL, 0);
	gpus_ask(&g, "alias", CARD)->count += 1;
	gpus_ask(&g, "alias", "example.com/OTHER")->count += 2;
	gpus_ask(&g, "alias", CARD)->count += 4;
	is_int(g.n, 2);
	is_int(gpus_count(&g, CARD), 5);
	is_int(gpus_count(&g, "example.com/OTHER"), 2);
	is_str(gpus_summary(&g), "5x CARD, 2x OTHER");
}

/* --- permitted -------------------------------------------------------------------------------- */

/* What stands in the CR about one name or card: nothing, or an entry whose externalResourceProvider
 * is absent, false, true. */
enum entry { NONE, UNSET, NO, YES, ENTRIES };

static void add(struct cr_entries *l, const char *selector, const char *resource, enum entry e)
{
	static const tri said[] = {[UNSET] = TRI_UNSET, [NO] = TRI_FALSE, [YES] = TRI_TRUE};
	struct cr_entry *more = arena_array(&arena, struct cr_entry, l->n + 1);

	if (e == NONE) {
		return;
	}
	if (l->n) {
		memcpy(more, l->items, l->n * sizeof(*more));
	}
	more[l->n++] = (struct cr_entry){selector, resource, said[e]};
	l->items = more;
}

/* Each combination of entries under the name itself, two in the list of PCI devices. */
static void a_name_that_is_listed(void)
{
	for (int i = 0; i < ENTRIES * ENTRIES * ENTRIES * ENTRIES; i++) {
		const enum entry e[] = {i % ENTRIES, i / ENTRIES % ENTRIES,
					i / ENTRIES / ENTRIES % ENTRIES,
					i / ENTRIES / ENTRIES / ENTRIES};
		bool external = e[0] == YES || e[1] == YES || e[2] == YES || e[3] == YES;
		struct verdict v;

		begin(NULL, 0);
		add(&g.permitted.pci, "x", "example.com/ANOTHER", YES);
		add(&g.permitted.pci, "x", CARD, e[0]);
		add(&g.permitted.pci, "y", CARD, e[1]);
		add(&g.permitted.mdev, "z", CARD, e[2]);
		add(&g.permitted.usb, NULL, CARD, e[3]);
		ask(CARD, 1);
		v = gpus_permitted(&g);
		is_str(v.status, i ? "True" : "False");
		is_str(v.reason, !i ? "NotListed" : external ? "Listed" : "ForeignEntry");
		is_int(gpus_listed(&g, CARD), i ? TRI_TRUE : TRI_FALSE);
	}
}

/* Models of up to three PCI ids and a type of mediated devices, each of which somebody offers under
 * a name of his own, or not: ours waits for ever only where all of them are taken. */
static void a_card_that_is_offered_under_another_name(void)
{
	static const char *const selectors[] = {"10DE:000A", "10DE:000B", "10DE:000C"},
				 *const lower[] = {"10de:000a", "10de:000b", "10de:000c"};

	for (int i = 0; i < 4 * ENTRIES * ENTRIES * ENTRIES * (ENTRIES + 1); i++) {
		const enum entry e[] = {i / 4 % ENTRIES, i / 4 / ENTRIES % ENTRIES,
					i / 4 / ENTRIES / ENTRIES % ENTRIES};
		const int type = i / 4 / ENTRIES / ENTRIES / ENTRIES; /* ENTRIES: it has none */
		struct inventory_model m = {.name = CARD,
					    .selectors = (const char **)(uintptr_t)selectors,
					    .n_selectors = (size_t)i % 4,
					    .mdev = type < ENTRIES ? "CARD 8Q" : NULL};
		bool taken = m.n_selectors || m.mdev;

		begin(&m, 1);
		add(&g.permitted.pci, NULL, "example.com/odd", NO);
		for (size_t k = 0; k < m.n_selectors; k++) {
			add(&g.permitted.pci, lower[k], "example.com/theirs", e[k]);
			taken &= e[k] == UNSET || e[k] == NO;
		}
		if (m.mdev) {
			add(&g.permitted.mdev, "CARD_8Q", "example.com/theirs", (enum entry)type);
			taken &= type == UNSET || type == NO;
		}
		ask(CARD, 1);
		is_str(gpus_permitted(&g).reason, taken ? "ForeignEntry" : "Registering");
	}
}

#define ENTRY(key, selector)                                                                       \
	"{" key ": \"" selector "\", resourceName: " CARD ", externalResourceProvider: true} to "
#define PCI(selector) ENTRY("pciVendorSelector", selector) "pciHostDevices"
#define MDEV ENTRY("mdevNameSelector", "CARD 8Q") "mediatedDevices"

static void what_an_administrator_must_add(void)
{
	static const char *selectors[] = {"10DE:000A", "10DE:000B", "10DE:000C"};
	static const struct {
		size_t n;
		const char *mdev, *add;
	} rows[] = {
		{1, NULL, "must add there " PCI("10DE:000A")},
		{2, NULL, "must add there " PCI("10DE:000A") ", " PCI("10DE:000B")},
		{3, NULL,
		 "must add there " PCI("10DE:000A") ", " PCI("10DE:000B") ", " PCI("10DE:000C")},
		{0, "CARD 8Q", "must add there " MDEV},
		{1, "CARD 8Q", "must add there " PCI("10DE:000A") ", " MDEV},
		{2, "CARD 8Q", "must add there " PCI("10DE:000A") ", " PCI("10DE:000B") ", " MDEV},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct inventory_model m = {.name = CARD,
						  .selectors = selectors,
						  .n_selectors = rows[i].n,
						  .mdev = rows[i].mdev};
		const char *said;

		begin(&m, 1);
		config.managed_by = "Helm";
		ask(CARD, 1);
		is_str(gpus_permitted(&g).reason, "ManagedByOthers");
		said = gpus_permitted(&g).message;
		is_str(strstr(said, "must add there"), rows[i].add);
	}
}

/* Every pair of names in both orders, and all: what keeps a machine longest is said. */
static void the_worst_of_several_names_is_said(void)
{
	static const char *ids[] = {"10DE:000A", "10DE:000B"};
	static const struct inventory_model models[] = {
		{.name = "example.com/C", .selectors = &ids[0], .n_selectors = 1},
		{.name = "example.com/D", .selectors = &ids[1], .n_selectors = 1},
	};
	static const char *const names[] = {"example.com/A", "example.com/B", "example.com/C",
					    "example.com/D", "example.com/E"};

	for (int helm = 0; helm < 2; helm++) {
		const char *const reasons[] = {"Listed", "ForeignEntry",
					       helm ? "ManagedByOthers" : "Registering",
					       "ForeignEntry", "NotListed"};
		const int rank[] = {0, 1, helm ? 3 : 2, helm ? 2 : 3, 4};

		for (size_t i = 0; i < ARRAY_LEN(names) * ARRAY_LEN(names); i++) {
			size_t x = i / ARRAY_LEN(names), y = i % ARRAY_LEN(names);
			size_t worst = rank[x] > rank[y] ? x : y;
			struct verdict v;

			begin(models, ARRAY_LEN(models));
			config.managed_by = helm ? "Helm" : NULL;
			add(&g.permitted.pci, "10DE:0001", names[0], YES);
			add(&g.permitted.pci, "10DE:0002", names[1], NO);
			add(&g.permitted.pci, ids[1], "example.com/theirs", NO);
			ask(names[x], 1);
			ask(names[y], 1);
			v = gpus_permitted(&g);
			is_str(v.reason, reasons[worst]);
			is_str(v.status, worst < 2 ? "True" : "False");
			if (worst) {
				has(v.message, names[worst]);
			}
		}
	}
}

/* --- available -------------------------------------------------------------------------------- */

static void machine(const char *ns, const char *name, const char *node, const char *device)
{
	struct kv_gpu one = {"gpu1", device};
	const struct kv_vmi v = {
		.obj = {.ns = ns, .name = name, .uid = name, .rv = "1"},
		.host_devices = {&one, 1},
		.phase = "Running",
		.node = node,
	};

	cache_put(c, &kind_kv_vmi, &v);
}

/* What is said when so many in its namespace have the card, and perhaps one in another. */
static void those_who_have_them_are_named(void)
{
	static const struct {
		int here;
		bool elsewhere;
		const char *said;
	} rows[] = {
		{0, false, "0 free"},
		{0, true, "0 free (taken by another namespace)"},
		{1, false, "0 free (taken by vm-000)"},
		{1, true, "0 free (taken by vm-000, another namespace)"},
		{3, false, "0 free (taken by vm-000, vm-001, vm-002)"},
		{4, false, "0 free (taken by vm-000, vm-001, vm-002, vm-003)"},
		{5, false, "0 free (taken by vm-000, vm-001, vm-002, vm-003 and 1 more)"},
		{6, true,
		 "0 free (taken by vm-000, vm-001, vm-002, vm-003 and 2 more, another namespace)"},
		{63, false, "0 free (taken by vm-000, vm-001, vm-002, vm-003 and 59 more)"},
		{64, false, "0 free (taken by vm-000, vm-001, vm-002, vm-003 and 60 more)"},
		{65, false, " and 60 more)"}, /* which ones is not said */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inventory_place place = {.node = "gpu-a", .total = 100};
		const struct inventory_model m = {.name = CARD, .places = &place, .n_places = 1};
		struct verdict v;

		begin(&m, 1);
		for (int k = rows[i].here; k-- > 0;) {
			machine("t", arena_printf(&arena, "vm-%03d", k), "gpu-a", CARD);
		}
		if (rows[i].elsewhere) {
			machine("u", "not-yours", "gpu-a", CARD);
		}
		machine("t", "asker", "gpu-a", CARD);
		machine("t", "has-other", "gpu-a", "example.com/OTHER");
		machine("t", "on-other", "gpu-b", CARD);
		ask(CARD, 1);
		v = gpus_available(&g);
		is_str(v.reason, "NoneFree");
		is_str(v.message + strlen(v.message) - strlen(rows[i].said), rows[i].said);
	}
}

static void nodes_that_have_them_are_named(void)
{
	static const char *const said[] = {
		[1] = "; a has 2 x " CARD ", 0 free",
		[2] = "; a has 2 x " CARD ", 0 free; b has 2 x " CARD ", 0 free",
		[3] = "; a has 2 x " CARD ", 0 free; b has 2 x " CARD ", 0 free; c has 2 x " CARD
		      ", 0 free",
		[4] = "; a has 2 x " CARD ", 0 free; b has 2 x " CARD ", 0 free; c has 2 x " CARD
		      ", 0 free; and others",
	};
	struct inventory_place places[] = {{.node = "a", .total = 2},
					   {.node = "b", .total = 2},
					   {.node = "c", .total = 2},
					   {.node = "d", .total = 2}};

	for (size_t n = 1; n <= ARRAY_LEN(places); n++) {
		const struct inventory_model m = {.name = CARD, .places = places, .n_places = n};

		begin(&m, 1);
		ask(CARD, 2);
		is_str(gpus_available(&g).reason, "NoneFree");
		is_str(strchr(gpus_available(&g).message, ';'), said[n]);
	}
}

/* As many as are free, as there are, and one more of each. */
static void it_is_free_up_to_the_last(void)
{
	static const struct {
		int64_t count;
		const char *reason, *said;
	} rows[] = {
		{1, "Free", "1 x " CARD},
		{2, "Free", "2 x " CARD},
		{3, "NoneFree", "; b has 3 x " CARD ", 2 free: one is cut; c has 3 x " CARD},
		{4, "TooMany", "; of " CARD " b has the most, 3"},
	};
	struct inventory_place places[] = {
		{.node = "a", .total = 1, .open = 1},
		{.node = "b", .total = 3, .open = 2, .why = "one is cut"},
		{.node = "c", .total = 3, .open = 2},
	};
	const struct inventory_model m = {.name = CARD, .places = places, .n_places = 3};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&m, 1);
		ask(CARD, rows[i].count);
		is_str(gpus_available(&g).reason, rows[i].reason);
		has(gpus_available(&g).message, rows[i].said);
	}
}

static void one_node_must_have_all_of_them(void)
{
	struct inventory_place first[] = {{.node = "a", .total = 2, .open = 2},
					  {.node = "b", .total = 2, .open = 2}},
			       second[] = {{.node = "b", .total = 2, .open = 1}};
	const struct inventory_model models[] = {
		{.name = "example.com/A", .places = first, .n_places = 2},
		{.name = "example.com/B", .places = second, .n_places = 1}};

	begin(models, 2);
	is_str(gpus_available(&g).status, NULL);
	ask("example.com/A", 2);
	ask("example.com/B", 1);
	is_str(gpus_available(&g).reason, "Free");
	ask("example.com/B", 1);
	is_str(gpus_available(&g).reason, "NoneFree");
	has(gpus_available(&g).message, "has; b has 2 x example.com/B, 1 free");
	ask("example.com/B", 1);
	is_str(gpus_available(&g).reason, "TooMany");
	ask("example.com/C", 1);
	is_str(gpus_available(&g).reason, "UnknownName");
	inventory.nodes = 0;
	is_str(gpus_available(&g).reason, "NoGPUNodes");
}

static void an_unknown_number_is_never_too_small(void)
{
	struct inventory_place places[] = {{.node = "a", .total = 9},
					   {.node = "b", .total = 1, .unknown = true}};
	const struct inventory_model m = {.name = CARD, .places = places, .n_places = 2};

	begin(&m, 1);
	ask(CARD, 10);
	is_str(gpus_available(&g).reason, "NoneFree");
	has(gpus_available(&g).message, "has; b has an unknown number of " CARD ", 0 free");
}

/* A node group of no workers asks for none of its name: every node has enough of it. */
static void none_of_a_name_is_everywhere(void)
{
	struct inventory_place first[] = {{.node = "a", .total = 1, .open = 1}},
			       second[] = {{.node = "b", .total = 1, .open = 1}};
	const struct inventory_model models[] = {
		{.name = "example.com/A", .places = first, .n_places = 1},
		{.name = "example.com/B", .places = second, .n_places = 1}};

	begin(models, 2);
	ask("example.com/A", 1);
	ask("example.com/B", 0);
	is_str(gpus_available(&g).reason, "Free");
	ask("example.com/B", 1);
	is_str(gpus_available(&g).reason, "TooMany");
}

/* --- many groups ------------------------------------------------------------------------------ */

static void groups_are_summed(void)
{
	struct gpus a, b, none, total;
	struct gpus_device_list devices;

	begin(NULL, 0);
	none = a = b = total = g;
	gpus_ask(&a, "x", "d1")->count = 2;
	gpus_ask(&a, "y", "d2")->count = 1;
	gpus_ask(&b, "x", "d3")->count = 1;
	gpus_ask(&b, "x", "d1")->count = 4;
	gpus_ask(&b, "z", "d3")->count = 7;
	b.host_devices = true;
	gpus_sum(&total, (const struct gpus_group[]){{&a, 3}, {&none, 5}, {&b, 10}, {&a, 0}}, 4);
	is_int(total.n, 4);
	is_str(gpus_wish(&total), "46 x d1, 3 x d2, 80 x d3");
	is_str(total.asks[0].asked, "x");
	is_int(total.asks[0].count, 46);
	is_str(total.asks[2].asked, "x");
	is_str(total.asks[2].device, "d3");
	is_int(total.asks[2].count, 10);
	is_str(total.asks[3].asked, "z");
	ok(total.host_devices);
	devices = gpus_devices(&total);
	is_int(devices.n, 3);
	list_each(d, &devices) {
		is_int(d->count, gpus_count(&total, d->device));
	}
	total = g;
	gpus_sum(&total, (const struct gpus_group[]){{&none, 5}}, 1);
	is_int(total.n, 0);
	is_int(gpus_devices(&total).n, 0);
	ok(!total.host_devices);
}

/* As many as a Kubernetes may have: 64 groups with 64 spellings each, twice. */
static void thousands_of_spellings_are_summed(void)
{
	struct gpus of[64], total;
	struct gpus_group groups[128];

	begin(NULL, 0);
	total = g;
	for (int i = 0; i < 128; i++) {
		struct gpus *one = &of[i % 64];

		groups[i] = (struct gpus_group){one, i + 1};
		*one = i < 64 ? g : *one;
		for (int k = 0; i < 64 && k < 64; k++) {
			const char *name = arena_printf(&arena, "%d-%d", i, k);

			gpus_ask(one, name, name)->count = 1;
		}
	}
	gpus_sum(&total, groups, ARRAY_LEN(groups));
	is_int(total.n, 4096);
	is_int(gpus_devices(&total).n, 4096);
	for (int i = 0; i < 4096; i++) {
		is_str(total.asks[i].asked, arena_printf(&arena, "%d-%d", i / 64, i % 64));
		is_int(total.asks[i].count, 2 * (i / 64 + 1) + 64);
	}
}

TESTS({"asks grow with their number, a status has 64 at most", any_number_of_names},
      {"spellings of one device count together", spellings_of_one_device_count_together},
      {"one spelling of two devices counts apart", one_spelling_of_two_devices_counts_apart},
      {"what groups of machines ask is summed", groups_are_summed},
      {"4096 spellings are summed, in their order", thousands_of_spellings_are_summed},
      {"a name that is listed is permitted, by whoever serves it", a_name_that_is_listed},
      {"a card that others offer is not waited for, unless another of its model comes",
       a_card_that_is_offered_under_another_name},
      {"what an administrator must add is said entry by entry", what_an_administrator_must_add},
      {"of several names the worst is said", the_worst_of_several_names_is_said},
      {"those who have them are named, four at most", those_who_have_them_are_named},
      {"nodes that have them are named, three at most", nodes_that_have_them_are_named},
      {"it is free up to the last one", it_is_free_up_to_the_last},
      {"one node must have all that is asked", one_node_must_have_all_of_them},
      {"an unknown number is never too small", an_unknown_number_is_never_too_small},
      {"none of a name is everywhere", none_of_a_name_is_everywhere})
