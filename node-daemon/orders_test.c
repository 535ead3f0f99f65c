/* SPDX-License-Identifier: Apache-2.0 */
/* Orders that are obeyed, and forged ones that reach nothing. */
#include "node-daemon/orders.h"

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

static const char tree_text[] =
	"device 0000:41:00.0 id=10de:26b9 class=030200 group=1\n"
	"device 0000:41:00.1 id=10de:22ba class=040300 group=1\n"
	"device 0000:42:00.0 id=10de:20b5 class=030200 group=2\n"
	"device 0000:43:00.0 id=10de:20b5 class=030200 group=2\n"
	"device 0000:05:00.0 id=144d:a80a class=010802 group=5 driver=nvme\n"
	"device 0000:06:00.0 id=8086:1572 class=020000 group=6 driver=i40e\n";

struct world {
	struct tree tree;
	struct machine machine;
	struct arena arena;
	struct unit_list units;
	struct orders orders;
};

static void begin(struct world *w)
{
	struct err err;

	*w = (struct world){.tree = tree_make(tree_text)};
	machine_init(&w->machine);
	arena_init(&w->arena, 16 * MiB);
	is_int(scan(w->tree.fd, &w->machine, &err), 0);
	units_make(&w->machine, &w->arena, &w->units);
	is_int(w->units.n, 2);
}

static void end(struct world *w)
{
	arena_finish(&w->arena);
	machine_finish(&w->machine);
	tree_remove(&w->tree);
}
#define auto_world attr_cleanup(end)

static void take_them(struct world *w, int64_t term, int64_t highest, struct unit_order *units,
		      size_t n)
{
	const struct node_orders given = {.term = term, .units = {units, n}};

	orders_take(&given, highest, &w->units, &w->arena, &w->orders);
}

#define L40S "10de:26b9"
#define A100 "10de:20b5"

static void what_names_a_unit_is_obeyed(void)
{
	auto_world struct world w;
	struct unit_order given[] = {{"0000:41:00.0", L40S, "vfio", "somebody"},
				     {"0000:42:00.0", A100, "host", NULL}};

	begin(&w);
	take_them(&w, 7, 7, given, 2);
	is_int(w.orders.term, 7);
	is_int(w.orders.items.n, 2);
	is_int(w.orders.refused.n, 0);
	is_int(orders_for(&w.orders, &w.units.items[0]), WANT_VFIO);
	is_int(orders_for(&w.orders, &w.units.items[1]), WANT_HOST);
	is_str(w.orders.items.items[0].by, "somebody");
	is_str(w.orders.items.items[0].exclusive, NULL);
	is_str(w.orders.items.items[0].name, NULL);
	given[1].exclusive = "acme.com/this";
	given[1].name = "acme.com/model";
	take_them(&w, 7, 7, given, 2);
	is_str(w.orders.items.items[1].exclusive, "acme.com/this");
	is_str(w.orders.items.items[1].name, "acme.com/model");
	take_them(&w, 7, 7, given, 1);
	is_int(orders_for(&w.orders, &w.units.items[1]), WANT_LEAVE);
}

static void what_is_no_unit_is_refused(void)
{
	static const struct {
		struct unit_order order;
		const char *why;
	} rows[] = {
		{{"0000:05:00.0", "144d:a80a", "vfio", ""}, "no GPU is at 0000:05:00.0"},
		{{"0000:06:00.0", "8086:1572", "vfio", ""}, "no GPU is at 0000:06:00.0"},
		{{"0000:99:00.0", L40S, "vfio", ""}, "no GPU is at 0000:99:00.0"},
		{{"0000:41:00.1", "10de:22ba", "vfio", ""},
		 "it belongs to the unit 0000:41:00.0; order that"},
		{{"0000:43:00.0", A100, "vfio", ""},
		 "it belongs to the unit 0000:42:00.0; order that"},
		{{"../0000:41:00.0", L40S, "vfio", ""},
		 "it is no PCI address such as 0000:41:00.0"},
		{{"0000:41:00.0/..", L40S, "vfio", ""},
		 "it is no PCI address such as 0000:41:00.0"},
		{{"41:00.0", L40S, "vfio", ""}, "it is no PCI address such as 0000:41:00.0"},
		{{"", L40S, "vfio", ""}, "it is no PCI address such as 0000:41:00.0"},
		{{NULL, L40S, "vfio", ""}, "it is no PCI address such as 0000:41:00.0"},
		{{"0000:41:00.0", A100, "vfio", ""},
		 "the order is of a card 10de:20b5, and a 10de:26b9 is there"},
		{{"0000:41:00.0", NULL, "vfio", ""},
		 "the order does not say of which card it is (device)"},
		{{"0000:41:00.0", L40S, "VFIO", ""}, "VFIO is none of host, vfio, vgpu"},
	};
	auto_world struct world w;

	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct unit_order given[] = {rows[i].order, {"0000:42:00.0", A100, "vfio", ""}};

		take_them(&w, 7, 0, given, 2);
		is_int(w.orders.refused.n, 1);
		is_str(w.orders.refused.items[0].id, rows[i].order.id ? rows[i].order.id : "");
		is_str(w.orders.refused.items[0].why, rows[i].why);
		is_int(w.orders.items.n, 1); /* the other one counts all the same */
		is_int(orders_for(&w.orders, &w.units.items[1]), WANT_VFIO);
	}
}

static void one_unit_has_one_order(void)
{
	auto_world struct world w;
	struct unit_order given[] = {{"0000:41:00.0", L40S, "vfio", ""},
				     {"0000:41:00.0", L40S, "host", ""}};

	begin(&w);
	take_them(&w, 7, 0, given, 2);
	is_int(orders_for(&w.orders, &w.units.items[0]), WANT_VFIO);
	is_str(w.orders.refused.items[0].why, "it is ordered twice; the first counts");
}

static void former_leaders_orders_do_not_count(void)
{
	auto_world struct world w;
	struct unit_order given[] = {{"0000:41:00.0", L40S, "vfio", ""}};

	begin(&w);
	take_them(&w, 6, 7, given, 1);
	is_int(w.orders.items.n, 0);
	is_str(w.orders.stale, "the orders are of term 6, and those of term 7 were seen before: "
			       "they come from a controller that leads no more");
	take_them(&w, 0, 7, given, 1); /* not given yet */
	is_int(w.orders.items.n, 0);
	is_str(w.orders.stale, NULL);
	orders_take(NULL, 7, &w.units, &w.arena, &w.orders);
	is_int(w.orders.items.n, 0);
}

static void a_thousand_are_no_trouble(void)
{
	auto_world struct world w;
	struct unit_order *given = xcalloc(1000, sizeof(*given));

	begin(&w);
	for (size_t i = 0; i < 1000; i++) {
		given[i] = (struct unit_order){
			"an id that is longer than any that this daemon would ever name a unit of its own",
			L40S, "vfio", ""};
	}
	take_them(&w, 7, 0, given, 1000);
	is_int(w.orders.refused.n, 1000);
	is_int(strlen(w.orders.refused.items[999].id), 64);
	free(given);
}

TESTS({"orders that name a unit and its card are obeyed", what_names_a_unit_is_obeyed},
      {"what is no unit, or another card, is refused, and the others go on",
       what_is_no_unit_is_refused},
      {"of two orders for one unit the first counts", one_unit_has_one_order},
      {"a former leader's orders do not count", former_leaders_orders_do_not_count},
      {"a thousand forged orders are a thousand refusals", a_thousand_are_no_trouble})
