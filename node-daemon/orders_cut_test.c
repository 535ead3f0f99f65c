/* SPDX-License-Identifier: Apache-2.0 */
/* Orders that cut a card: what is obeyed, and what is forged and reaches nothing. */
#include "base/err.h"
#include "base/test.h"
#include "node-daemon/orders.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

static const char tree_text[] =
	"dir class/iommu/dmar0\n"
	"device 0000:26:00.0 id=10de:26b9 class=030200 driver=nvidia group=1\n"
	"  sriov_totalvfs = 32\n"
	"vfs 0000:26:00.0 first=0000:26:00.4 count=32 id=10de:26b9 driver=nvidia group=100\n"
	"device 0000:41:00.0 id=10de:26b9 class=030200 driver=nvidia group=2\n"
	"  sriov_totalvfs = 32\n"
	"device 0000:42:00.0 id=10de:1eb8 class=030200 driver=nvidia group=3\n"
	"device 0000:43:00.0 id=8086:56c0 class=038000 driver=i915 group=4\n"
	"  sriov_totalvfs = 31\n"
	"device 0000:44:00.0 id=1002:744c class=030000 driver=amdgpu group=5\n"
	"device 0000:ff:00.0 id=10de:26b9 class=030200 driver=nvidia group=8\n"
	"  sriov_totalvfs = 32\n"
	"device 0000:05:00.0 id=144d:a80a class=010802 group=6 driver=nvme\n";

#define L40S "10de:26b9"
#define T4 "10de:1eb8"
#define FLEX "8086:56c0"

static struct tree tree = {.fd = -1};
static struct machine machine;
static struct arena arena;
static struct unit_list units;
static struct orders orders;

static void begin(void)
{
	struct err err;

	if (tree.root) {
		return;
	}
	tree = tree_make(tree_text);
	machine_init(&machine);
	arena_init(&arena, 64 * MiB);
	is_int(scan(tree.fd, &machine, &err), 0);
	units_make(&machine, &arena, &units);
	is_int(units.n, 6);
}

/* NULL: obeyed, then it is the first item; else the sentence. */
static const char *taken(struct unit_order o, struct slot_order *slots, size_t n)
{
	struct node_orders given = {.term = 1, .units = {&o, 1}};

	o.slots.items = slots;
	o.slots.n = n;
	begin();
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.items.n + orders.refused.n, 1);
	return orders.refused.n ? orders.refused.items[0].why : NULL;
}

static void functions(void)
{
	static const struct {
		const char *id, *device, *want;
		int64_t vfs;
		const char *why;
	} rows[] = {
		{"0000:26:00.0", L40S, "vgpu", 32, NULL},
		{"0000:41:00.0", L40S, "vgpu", 32, NULL},
		{"0000:26:00.0", L40S, "vgpu", 0, NULL},
		{"0000:26:00.0", L40S, NULL, 32, NULL},
		{"0000:43:00.0", FLEX, "host", 5, NULL},
		{"0000:43:00.0", FLEX, "host", 31, NULL},
		{"0000:42:00.0", T4, "vgpu", 0, NULL},
		{"0000:41:00.0", L40S, "vfio", 0, NULL},
		{"0000:26:00.0", L40S, "vgpu", 16,
		 "vfs: NVIDIA's driver makes all 32 virtual functions of the card, or none"},
		{"0000:43:00.0", FLEX, "host", 32,
		 "vfs: 32 virtual functions are ordered, and the card can have 31"},
		{"0000:42:00.0", T4, "vgpu", 16,
		 "vfs: the card can have no virtual functions; SR-IOV may be off in the firmware's "
		 "setup"},
		{"0000:43:00.0", FLEX, "host", 257,
		 "vfs: 257: a card has from 0 to 256 virtual functions"},
		{"0000:43:00.0", FLEX, "host", -1,
		 "vfs: -1: a card has from 0 to 256 virtual functions"},
		{"0000:43:00.0", FLEX, "host", INT64_MAX,
		 "vfs: 9223372036854775807: a card has from 0 to 256 virtual functions"},
		{"0000:41:00.0", L40S, "vfio", 32,
		 "vfs: a card that is given as a whole has no virtual functions; order want: vgpu or "
		 "host, or vfs: 0"},
		{"0000:44:00.0", "1002:744c", "vgpu", 0,
		 "want: vgpu: neither the card's driver nor any table knows a vGPU of it; load the "
		 "driver that makes them, or order vfio"},
		{"0000:05:00.0", "144d:a80a", "vgpu", 4, "no GPU is at 0000:05:00.0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(taken((struct unit_order){.id = rows[i].id,
						 .device = rows[i].device,
						 .want = rows[i].want,
						 .vfs = {rows[i].vfs, true}},
			     NULL, 0),
		       rows[i].why);
		if (!rows[i].why) {
			is_int(orders.items.items[0].vfs, rows[i].vfs);
		}
	}
	is_str(taken((struct unit_order){.id = "0000:26:00.0", .device = L40S, .want = "vgpu"},
		     NULL, 0),
	       NULL);
	is_int(orders.items.items[0].vfs, -1);
	is_int(orders.items.items[0].want, WANT_VGPU);
	is_int(orders_find(&orders, &units.items[0])->vfs, -1);
	ok(!orders_find(&orders, &units.items[1]));
}

static void places_and_types(void)
{
	static const struct {
		const char *id, *device, *vf, *type, *why;
	} rows[] = {
		{"0000:26:00.0", L40S, "0000:26:00.4", "NVIDIA L40S-2Q", NULL},
		{"0000:26:00.0", L40S, "0000:26:04.3", "L40S-48Q", NULL},
		{"0000:41:00.0", L40S, "0000:41:00.4", "NVIDIA L40S-2Q", NULL}, /* not made yet */
		{"0000:42:00.0", T4, "0000:42:00.0", "GRID T4-4Q", NULL},
		{"0000:43:00.0", FLEX, "0000:43:00.1", "whatever",
		 NULL}, /* nobody knows its types */
		/* forged */
		{"0000:26:00.0", L40S, "../0000:26:00.4", "NVIDIA L40S-2Q",
		 "slots: \"../0000:26:00.4\" is no PCI address such as 0000:41:00.4"},
		{"0000:26:00.0", L40S, "0000:26:00.4/../0000:05:00.0", "NVIDIA L40S-2Q",
		 "slots: \"0000:26:00.4/../0000:05:00.0\" is no PCI address such as 0000:41:00.4"},
		{"0000:26:00.0", L40S, NULL, "NVIDIA L40S-2Q",
		 "slots: \"\" is no PCI address such as 0000:41:00.4"},
		{"0000:26:00.0", L40S, "26:00.4", "NVIDIA L40S-2Q",
		 "slots: \"26:00.4\" is no PCI address such as 0000:41:00.4"},
		{"0000:26:00.0", L40S, "0000:05:00.0", "NVIDIA L40S-2Q",
		 "slots: 0000:05:00.0 is no virtual function of this card"},
		{"0000:26:00.0", L40S, "0000:26:00.0", "NVIDIA L40S-2Q",
		 "slots: 0000:26:00.0 is no virtual function of this card"},
		{"0000:26:00.0", L40S, "0000:26:04.4", "NVIDIA L40S-2Q",
		 "slots: 0000:26:04.4 is no virtual function of this card"},
		{"0000:41:00.0", L40S, "0000:45:00.0", "NVIDIA L40S-2Q", NULL},
		/* another card, and its function; too far, before, another domain */
		{"0000:41:00.0", L40S, "0000:42:00.0", "NVIDIA L40S-2Q",
		 "slots: 0000:42:00.0 is no virtual function of this card"},
		{"0000:41:00.0", L40S, "0000:26:00.4", "NVIDIA L40S-2Q",
		 "slots: 0000:26:00.4 is no virtual function of this card"},
		{"0000:41:00.0", L40S, "0000:45:00.1", "NVIDIA L40S-2Q",
		 "slots: 0000:45:00.1 is no virtual function of this card"},
		{"0000:41:00.0", L40S, "0001:41:00.4", "NVIDIA L40S-2Q",
		 "slots: 0001:41:00.4 is no virtual function of this card"},
		{"0000:ff:00.0", L40S, "0001:00:00.4", "NVIDIA L40S-2Q",
		 "slots: 0001:00:00.4 is no virtual function of this card"},
		{"0000:41:00.0", L40S, "0000:41:00.0", "NVIDIA L40S-2Q",
		 "slots: 0000:41:00.0 is no virtual function of this card"},
		{"0000:42:00.0", T4, "0000:42:00.4", "GRID T4-4Q",
		 "slots: 0000:42:00.4 is not the address of this card"},
		{"0000:26:00.0", L40S, "0000:26:00.4", "NVIDIA A2-4Q",
		 "slots: the card has no vGPU type \"NVIDIA A2-4Q\"; status.units[].profiles has its "
		 "types"},
		{"0000:26:00.0", L40S, "0000:26:00.4", "../../x",
		 "slots: the card has no vGPU type \"../../x\"; status.units[].profiles has its "
		 "types"},
		{"0000:26:00.0", L40S, "0000:26:00.4", "", "slots: a slot has no type"},
		{"0000:26:00.0", L40S, "0000:26:00.4", NULL, "slots: a slot has no type"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slot_order s = {rows[i].vf, rows[i].type};

		is_str(taken((struct unit_order){.id = rows[i].id,
						 .device = rows[i].device,
						 .want = "vgpu"},
			     &s, 1),
		       rows[i].why);
		if (!rows[i].why) {
			char text[PCIFN_TEXT_MAX];

			is_int(orders.items.items[0].slots.n, 1);
			is_str(pcifn_text(orders.items.items[0].slots.items[0].at, text),
			       rows[i].vf);
			is_str(orders.items.items[0].slots.items[0].type, rows[i].type);
		}
	}
}

static void counts(void)
{
	static char addresses[1000][PCIFN_TEXT_MAX];
	static struct slot_order slots[1000];
	struct unit_order l40s = {.id = "0000:26:00.0", .device = L40S, .want = "vgpu"};
	struct unit_order t4 = {.id = "0000:42:00.0", .device = T4, .want = "vgpu"};

	for (size_t i = 0; i < 1000; i++) {
		pcifn_text(0x2604 + i, addresses[i]);
		slots[i] = (struct slot_order){addresses[i], "NVIDIA L40S-2Q"};
	}
	is_str(taken(l40s, slots, 24), NULL);
	is_int(orders.items.items[0].slots.n, 24);
	is_str(taken(l40s, slots, 25), "slots: more than 24 of NVIDIA L40S-2Q are ordered, and the "
				       "card takes no more");
	is_str(taken(l40s, slots, 1000), "slots: 1000 are ordered, and a card has at most 256");
	slots[1] = slots[0];
	is_str(taken(l40s, slots, 2), "slots: 0000:26:00.4 is ordered twice");
	slots[1].vf = addresses[1];
	slots[3] = slots[1];
	is_str(taken(l40s, slots, 4), "slots: 0000:26:00.5 is ordered twice");
	slots[1] = slots[0];
	l40s.want = "host";
	is_str(taken(l40s, slots, 1),
	       "slots: vGPUs are made of a card that is ordered so; order want: vgpu");
	l40s.want = NULL;
	is_str(taken(l40s, slots, 1),
	       "slots: vGPUs are made of a card that is ordered so; order want: vgpu");
	l40s.want = "vgpu";
	l40s.vfs = (struct opt_int){0, true};
	is_str(taken(l40s, slots, 1),
	       "slots: they need the virtual functions that vfs: 0 takes away");
	for (size_t i = 0; i < 5; i++) {
		slots[i] = (struct slot_order){"0000:42:00.0", "GRID T4-4Q"};
	}
	is_str(taken(t4, slots, 4), NULL); /* they share it */
	is_str(taken(t4, slots, 5),
	       "slots: more than 4 of GRID T4-4Q are ordered, and the card takes no more");
	slots[0] = (struct slot_order){"0000:26:00.4", "GRID A100-3-20C"};
	is_str(taken((struct unit_order){.id = "0000:26:00.0", .device = L40S, .want = "vgpu"},
		     slots, 1),
	       "slots: the card has no vGPU type \"GRID A100-3-20C\"; status.units[].profiles has "
	       "its types");
}

static void resources(void)
{
	struct unit_order two[] = {
		{.id = "0000:26:00.0", .device = L40S, .exclusive = "acme.com/this"},
		{.id = "0000:41:00.0", .device = L40S, .exclusive = "acme.com/this"}};
	const struct node_orders given = {.term = 1, .units = {two, 2}};

	begin();
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.items.n, 1);
	is_str(orders.refused.items[0].why, "exclusive: acme.com/this names the unit 0000:26:00.0 "
					    "already; give this one another name");
	two[1].exclusive = "acme.com/other";
	two[0].name = two[1].name = "acme.com/model"; /* which both may have */
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.items.n, 2);
	two[1].exclusive = "nothing";
	two[0].name = "kubernetes.io/gpu";
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.items.n, 0);
	has(orders.refused.items[0].why, "name: kubernetes.io/gpu ");
	has(orders.refused.items[1].why, "exclusive: nothing ");
}

static void permitted(void)
{
	static char longer[200];
	const char *types[] = {"NVIDIA_A2-4Q", "GRID T4-4Q", "", longer};
	static const char *forged[2000];
	struct node_orders given = {.term = 1, .permitted = {types, 4}};

	memset(longer, 'x', sizeof(longer) - 1);
	begin();
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.permitted.n, 2);
	ok(orders_permit(&orders, "NVIDIA A2-4Q"));
	ok(orders_permit(&orders, "GRID T4-4Q"));
	ok(orders_permit(&orders, "GRID_T4-4Q"));
	ok(!orders_permit(&orders, "GRID T4-4"));
	ok(!orders_permit(&orders, "GRID T4-4QQ"));
	ok(!orders_permit(&orders, "T4-4Q")); /* KubeVirt would not know it */
	ok(!orders_permit(&orders, ""));
	for (size_t i = 0; i < 2000; i++) {
		forged[i] = "x";
	}
	given.permitted.items = forged;
	given.permitted.n = 2000;
	orders_take(&given, 0, &units, &arena, &orders);
	is_int(orders.permitted.n, 1024);
	given.term = 0;
	orders_take(&given, 0, &units, &arena, &orders);
	ok(!orders_permit(&orders, "x"));
}

static void nothing_stays(void)
{
	arena_finish(&arena);
	machine_finish(&machine);
	tree_remove(&tree);
}

TESTS({"virtual functions are as many as the card and its driver make", functions},
      {"slots are on functions of the card, of its types", places_and_types},
      {"not more slots than the card takes", counts},
      {"names of resources are the kubelet's, and one card's", resources},
      {"types that may be made", permitted}, {"nothing stays", nothing_stays})
