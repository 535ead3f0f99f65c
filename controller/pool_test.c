/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors against the rules of apimachinery, and layouts on random cards. What pools order and say
 * stands in cases/. */
#include "base/test.h"
#include "controller/pool.h"

static uint64_t random_state;

static unsigned any(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

/* --- selectors -------------------------------------------------------------------------------- */

static const char *const keys[] = {"a", "b", "c"};
static const char *const values[] = {"0", "1", "2", ""};
static const char *const operators[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt"};
#define ABSENT ARRAY_LEN(values)

/* A label of each key as a number: of its value, or ABSENT. */
static size_t labels_of(const unsigned has[ARRAY_LEN(keys)], struct pair *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (has[i] != ABSENT) {
			ret[n++] = (struct pair){keys[i], values[has[i]]};
		}
	}
	return n;
}

/* The rules as sets of numbers: what a label may be. */
static unsigned allowed(unsigned op, unsigned listed)
{
	const unsigned all = (1 << (ABSENT + 1)) - 1, absent = 1 << ABSENT;

	switch (op) {
	case 0:
		return listed;
	case 1:
		return all & ~listed;
	case 2:
		return all & ~absent;
	case 3:
		return absent;
	default:
		return 0;
	}
}

static void selectors_hold_as_apimachinery_says(void)
{
	random_state = 1;
	for (int i = 0; i < 200000; i++) {
		unsigned has[ARRAY_LEN(keys)], may[ARRAY_LEN(keys)], n_match = any(3),
								     n_expressions = any(4);
		struct pair labels[ARRAY_LEN(keys)], match[2];
		struct pool_requirement requirements[3];
		const char *listed[3][ARRAY_LEN(values)];
		struct pool_selector s = {{match, n_match}, {requirements, n_expressions}};
		bool want = true;

		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			has[k] = any(ABSENT + 1);
			may[k] = (1 << (ABSENT + 1)) - 1;
		}
		for (unsigned m = 0; m < n_match; m++) {
			unsigned key = any(ARRAY_LEN(keys)), value = any(ARRAY_LEN(values));

			match[m] = (struct pair){keys[key], values[value]};
			may[key] &= 1U << value;
		}
		for (unsigned m = 0; m < n_expressions; m++) {
			unsigned key = any(ARRAY_LEN(keys)), op = any(ARRAY_LEN(operators)),
				 set = op < 2 ? 1 + any((1 << ARRAY_LEN(values)) - 1) : 0;

			requirements[m] =
				(struct pool_requirement){keys[key], operators[op], {listed[m], 0}};
			for (unsigned v = 0; v < ARRAY_LEN(values); v++) {
				if (set & (1U << v)) {
					listed[m][requirements[m].values.n++] = values[v];
				}
			}
			may[key] &= allowed(op, set);
		}
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			want &= may[k] >> has[k] & 1;
		}
		ok(pool_selector_holds(&s, labels, labels_of(has, labels)) == want);
	}
}

static void none_selects_all(void)
{
	struct pool_selector empty = {0};
	struct pool_requirement keyless = {.op = "DoesNotExist"};
	struct pool_selector broken = {.expressions = {&keyless, 1}};

	ok(pool_selector_holds(NULL, NULL, 0));
	ok(pool_selector_holds(&empty, NULL, 0));
	ok(!pool_selector_holds(&broken, NULL, 0));
}

static void pci_ids_are_told_from_names(void)
{
	ok(pool_is_pci_id("10de:26b9"));
	ok(pool_is_pci_id("10DE:25B6:10de:157e"));
	ok(!pool_is_pci_id(""));
	ok(!pool_is_pci_id("26b9"));
	ok(!pool_is_pci_id("10de:26b"));
	ok(!pool_is_pci_id("10de:26b9:"));
	ok(!pool_is_pci_id("10de:26b9:10de"));
	ok(!pool_is_pci_id("10de-26b9"));
	ok(!pool_is_pci_id("10de:26bx"));
	ok(!pool_is_pci_id("10de:25b6:10de:157e:"));
	ok(!pool_is_pci_id("nvidia.com"));
}

/* --- layouts ---------------------------------------------------------------------------------- */

#define VFS 8
static const char *const vfs[VFS] = {"0000:41:00.4", "0000:41:00.5", "0000:41:00.6",
				     "0000:41:00.7", "0000:41:01.0", "0000:41:01.1",
				     "0000:41:01.2", "0000:41:01.3"};
static const char *const types[] = {"X-1Q", "X-1C", "X-2Q"};
static struct gpu_profile profiles[] = {{.name = "X-1Q"}, {.name = "X-1C"}, {.name = "X-2Q"}};

struct card {
	struct gpu_slot slots[VFS];
	struct gpu_sriov sriov;
	struct gpu_unit unit;
	struct pool_layout layout[2];
	struct gpu_pool_spec spec;
	struct gpu_pool pool;
	struct slot_order standing[VFS];
	struct unit_order before;
};

static void make_card(struct card *c)
{
	*c = (struct card){.sriov = {VFS, VFS}};
	c->unit = (struct gpu_unit){.address = "0000:41:00.0",
				    .sriov = &c->sriov,
				    .profiles = {profiles, ARRAY_LEN(profiles)},
				    .slots = {c->slots, VFS}};
	for (size_t i = 0; i < VFS; i++) {
		bool made = any(2);

		c->slots[i] = (struct gpu_slot){.vf = vfs[i],
						.type = made ? types[any(3)] : NULL,
						.holder = made && any(2) ? "a/b" : NULL};
		if (any(3) == 0) {
			c->standing[c->before.slots.n++] =
				(struct slot_order){vfs[i], types[any(3)]};
		}
	}
	c->before.slots.items = c->standing;
	c->layout[0] = (struct pool_layout){types[0], 1 + any(3)};
	c->layout[1] = (struct pool_layout){types[1], 1 + any(3)};
	c->spec.layout.items = c->layout;
	c->spec.layout.n = 1 + any(2);
	c->pool.spec = &c->spec;
}

static const char *at(const struct unit_order *o, const char *vf)
{
	for (size_t i = 0; i < o->slots.n; i++) {
		if (str_eq(o->slots.items[i].vf, vf)) {
			return o->slots.items[i].type;
		}
	}
	return NULL;
}

static void check_places(const struct card *c, const struct unit_order *o)
{
	for (size_t i = 1; i < o->slots.n; i++) {
		ok(strcmp(o->slots.items[i - 1].vf, o->slots.items[i].vf) < 0);
	}
	for (size_t i = 0; i < VFS; i++) {
		if (c->slots[i].holder) {
			is_str(at(o, vfs[i]), c->slots[i].type);
		}
	}
	for (size_t t = 0; t < c->spec.layout.n; t++) {
		int64_t ordered = 0, kept = 0, count = c->layout[t].count;

		for (size_t i = 0; i < VFS; i++) {
			bool is = str_eq(at(o, vfs[i]), c->layout[t].type);

			ordered += is;
			kept += is && c->slots[i].holder;
		}
		ok(ordered <= MAX(count, kept));
		ok(ordered >= count || o->slots.n == VFS);
	}
	for (size_t i = 0; i < VFS; i++) {
		const char *type = at(o, vfs[i]);

		ok(!type || c->slots[i].holder || str_eq(type, c->layout[0].type) ||
		   (c->spec.layout.n > 1 && str_eq(type, c->layout[1].type)));
	}
}

/* What is ordered is what is found next time, whatever has been made of it meanwhile. */
static void check_again(struct card *c, const struct unit_order *o, struct arena *a)
{
	struct unit_order again = {0};

	for (size_t i = 0; i < VFS; i++) {
		const char *type = at(o, vfs[i]);

		if (!c->slots[i].holder && any(2)) {
			c->slots[i].type = type;
		}
	}
	pool_layout_place(&c->pool, &c->unit, o, a, &again);
	is_int(again.slots.n, o->slots.n);
	for (size_t i = 0; i < o->slots.n; i++) {
		is_str(again.slots.items[i].vf, o->slots.items[i].vf);
		is_str(again.slots.items[i].type, o->slots.items[i].type);
	}
}

static void layouts_keep_what_is_held_and_come_to_rest(void)
{
	random_state = 2;
	for (int i = 0; i < 100000; i++) {
		struct unit_order o = {0};
		struct arena a;
		struct card c;

		arena_init(&a, MiB);
		make_card(&c);
		pool_layout_place(&c.pool, &c.unit, &c.before, &a, &o);
		check_places(&c, &o);
		check_again(&c, &o, &a);
		arena_finish(&a);
	}
}

static const char *judged(struct gpu_unit *u, struct pool_layout *layout, size_t n, struct arena *a)
{
	struct gpu_node node = {.units = {u, 1}};
	struct gpu_pool_spec spec = {.layout = {layout, n}};
	struct gpu_pool pool = {.spec = &spec};

	u->vendor_id = "10de";
	u->device_id = "0001";
	return pool_layout_judge(&pool, &node, u, a).message;
}

/* Only with a vGPU on it a card shows that it takes several sizes. */
static void sizes_may_be_mixed_where_the_card_shows_that(void)
{
	struct gpu_profile sized[] = {{"X-1Q", "1", 1024, 8, 7}, {"X-4Q", "2", 4096, 2, 0}};
	struct gpu_slot made = {.vf = vfs[0], .type = "X-1Q"};
	struct gpu_sriov sriov = {VFS, VFS};
	struct gpu_unit u = {.sriov = &sriov, .profiles = {sized, 2}, .slots = {&made, 1}};
	struct pool_layout both[] = {{"X-1Q", 2}, {"X-4Q", 1}}, many[] = {{"X-1Q", 4}, {"X-4Q", 5}},
			   all[] = {{"X-1Q", 8}, {"X-4Q", 2}};
	struct arena a;

	arena_init(&a, MiB);
	has(judged(&u, both, 2, &a), "different sizes");
	sized[1].available = 1;
	is_str(judged(&u, both, 2, &a), NULL);
	has(judged(&u, many, 2, &a), "it carries 2 of X-4Q at most, not 5");
	has(judged(&u, all, 2, &a), "it carries 8 such vGPUs at most, and the layout has 10");
	arena_finish(&a);
}

/* An order of more would be refused by the API server, with all others of the node. */
static void no_layout_is_longer_than_an_order(void)
{
	struct gpu_profile unknown = {.name = "X-1Q"};
	struct gpu_unit u = {.address = "0000:41:00.0", .profiles = {&unknown, 1}};
	struct pool_layout most = {"X-1Q", 256}, more[] = {{"X-1Q", 256}, {"X 1Q", 1}};
	struct arena a;

	arena_init(&a, MiB);
	is_str(judged(&u, &most, 1, &a), NULL);
	more[1].type = "X-1Q";
	has(judged(&u, more, 2, &a), "256 such vGPUs at most, and the layout has 257");
	arena_finish(&a);
}

TESTS({"selectors hold as apimachinery says, over 200,000 random ones",
       selectors_hold_as_apimachinery_says},
      {"no selector and an empty one select all", none_selects_all},
      {"PCI ids are told from names", pci_ids_are_told_from_names},
      {"layouts keep what is held and come to rest, over 100,000 random cards",
       layouts_keep_what_is_held_and_come_to_rest},
      {"sizes may be mixed where the card shows that",
       sizes_may_be_mixed_where_the_card_shows_that},
      {"no layout is longer than an order", no_layout_is_longer_than_an_order})
