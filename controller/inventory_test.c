/* SPDX-License-Identifier: Apache-2.0 */
/* What no case can say: how large it gets, and names one by one. */
#include "controller/inventory.h"

#include "base/test.h"
#include "controller/kinds.h"

/* As a pass has it (runtime_pass.c). */
#define PASS_MAX (16 * MiB)

struct world {
	struct cache *cache;
	struct arena arena;
	struct pass pass;
	struct inventory inventory;
};

static void world_init(struct world *w)
{
	*w = (struct world){.cache = cache_create(controller_kinds)};
	arena_init(&w->arena, PASS_MAX);
	w->pass = (struct pass){.arena = &w->arena, .cache = w->cache};
}

static void world_finish(struct world *w)
{
	arena_finish(&w->arena);
	cache_destroy(w->cache);
}

static void put_nodes(struct world *w, size_t n, struct gpu_unit *units, size_t n_units)
{
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "node-%04zu", i);
		cache_put(w->cache, &kind_gpu_node,
			  &(struct gpu_node){.obj = {.name = name, .rv = "1"},
					     .units = {units, n_units}});
	}
	inventory_make(&w->pass, NULL, NULL, &w->inventory);
}

/* What is asked for means something whether or not a node has it. */
static void what_no_node_has_has_its_own_name(void)
{
	static const char *const rows[][2] = {
		{"H100_94GB", "nvidia.com/GH100_H100L_94GB"}, /* or SXM5, which comes second */
		{"10de:26b9", "nvidia.com/AD102GL_L40S"},
		{"nvidia.com/NO_SUCH_CARD", "nvidia.com/NO_SUCH_CARD"},
	};
	struct gpu_unit unit = {.name = "example.com/M0"};
	struct world w;

	world_init(&w);
	put_nodes(&w, 1, &unit, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(inventory_resolve(&w.inventory, rows[i][0]), rows[i][1]);
	}
	world_finish(&w);
}

static void a_large_fleet_fits_into_a_sentence(void)
{
	struct gpu_unit unit = {.name = "example.com/M0"};
	struct world w;

	world_init(&w);
	put_nodes(&w, 5000, &unit, 1);
	is_str(inventory_suggest(&w.inventory, "example.com/X", &w.arena),
	       "GPUs are: example.com/M0 (node-0000: 1, node-0001: 1, node-0002: 1 and 4997 more)");
	world_finish(&w);
}

/* Eight models at most, and three nodes of each. */
static void a_sentence_is_cut_at_its_limits(void)
{
	static const struct {
		size_t nodes, models;
		const char *said;
	} rows[] = {
		{1, 1, "GPUs are: e/0 (node-0000: 1)"},
		{1, 2, "GPUs are: e/0 (node-0000: 1), e/1 (node-0000: 1)"},
		{2, 1, "GPUs are: e/0 (node-0000: 1, node-0001: 1)"},
		{3, 1, "GPUs are: e/0 (node-0000: 1, node-0001: 1, node-0002: 1)"},
		{4, 1, "GPUs are: e/0 (node-0000: 1, node-0001: 1, node-0002: 1 and 1 more)"},
		{1, 8,
		 "GPUs are: e/0 (node-0000: 1), e/1 (node-0000: 1), e/2 (node-0000: 1), "
		 "e/3 (node-0000: 1), e/4 (node-0000: 1), e/5 (node-0000: 1), e/6 (node-0000: 1), "
		 "e/7 (node-0000: 1)"},
		{1, 9,
		 "GPUs are: e/0 (node-0000: 1), e/1 (node-0000: 1), e/2 (node-0000: 1), "
		 "e/3 (node-0000: 1), e/4 (node-0000: 1), e/5 (node-0000: 1), e/6 (node-0000: 1), "
		 "e/7 (node-0000: 1) and 1 more"},
	};
	static const char *const names[] = {"e/8", "e/1", "e/2", "e/3", "e/4",
					    "e/5", "e/6", "e/7", "e/0"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_unit units[ARRAY_LEN(names)] = {{0}};
		struct world w;

		for (size_t k = 0; k < rows[i].models; k++) {
			units[k].name = rows[i].models == ARRAY_LEN(names)
						? names[k]
						: names[k ? k : ARRAY_LEN(names) - 1];
		}
		world_init(&w);
		put_nodes(&w, rows[i].nodes, units, rows[i].models);
		is_str(inventory_suggest(&w.inventory, "wxyz", &w.arena), rows[i].said);
		world_finish(&w);
	}
}

static void a_model_takes_memory_once(void)
{
	static char names[32][220];
	struct gpu_profile profiles[ARRAY_LEN(names)];
	struct gpu_unit units[16];
	const struct inventory_model *m;
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(names[i], sizeof(names[i]), "%0200zu-%zuQ", i, i);
		profiles[i] = (struct gpu_profile){.name = names[i], .max = 1, .available = 1};
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		units[i] = (struct gpu_unit){.name = "nvidia.com/CARD",
					     .vendor_id = "10de",
					     .device_id = "26b9",
					     .mode = "vgpu",
					     .profiles = {profiles, ARRAY_LEN(profiles)}};
	}
	world_init(&w);
	put_nodes(&w, 1000, units, ARRAY_LEN(units));
	is_int(w.inventory.n, 1 + ARRAY_LEN(names));
	m = inventory_find(&w.inventory, "nvidia.com/CARD");
	is_int(m->n_places, 1000);
	is_int(m->places[999].total, 16);
	is_int(m->n_selectors, 1);
	is_str(m->selectors[0], "10DE:26B9");
	is_str(m->places[999].why, "one on node-0999 is cut into vGPUs");
	world_finish(&w);
}

static void selectors_are_sorted(void)
{
	static const char *const ids[] = {"26b9", "20b5", "2331", "26b9", "1eb8", "20b5", "2235"};
	struct gpu_unit units[ARRAY_LEN(ids)];
	const struct inventory_model *m;
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		units[i] = (struct gpu_unit){
			.name = "nvidia.com/CARD", .vendor_id = "10de", .device_id = ids[i]};
	}
	world_init(&w);
	put_nodes(&w, 2, units, ARRAY_LEN(units));
	m = inventory_find(&w.inventory, "nvidia.com/CARD");
	is_int(m->n_selectors, 5);
	is_str(m->selectors[0], "10DE:1EB8");
	is_str(m->selectors[1], "10DE:20B5");
	is_str(m->selectors[2], "10DE:2235");
	is_str(m->selectors[3], "10DE:2331");
	is_str(m->selectors[4], "10DE:26B9");
	world_finish(&w);
}

static void types_have_their_series(void)
{
	static const struct {
		const char *name;
		char series;
	} rows[] = {
		{"nvidia.com/NVIDIA_L40S-8Q", 'Q'},
		{"nvidia.com/GRID_A100-1-5C", 'C'},
		{"nvidia.com/GRID_M10-0B", 'B'},
		{"nvidia.com/GRID_T4-16A", 'A'},
		{"nvidia.com/NVIDIA_H100-1-10CME", 'C'},
		{"nvidia.com/NVIDIA_DC-1-24QNOME", 'Q'},
		{"nvidia.com/NVIDIA_DC-1-24QMEALL", 'Q'},
		{"nvidia.com/NVIDIA_DC-1-24QGFX", 'Q'},
		{"nvidia.com/GRID_V100DX-1B4", 'B'},
		{"nvidia.com/AD102GL_L40S", 0},
		{"nvidia.com/H100_94GB", 0},
		{"nvidia.com/A100-SXM4-80GB", 0},
		{"nvidia.com/CARD-8QX", 0},
		{"nvidia.com/CARD-8Q4ME", 0},
		{"nvidia.com/CARD-8", 0},
		{"nvidia.com/CARD-Q", 0},
		{"nvidia.com/CARD-", 0},
		{"8Q", 0},
		{"", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (inventory_series(rows[i].name) != rows[i].series) {
			is_str(rows[i].name, "a name of the other series");
		}
	}
}

/* How many of a profile are open on a node that says this of itself and of the card. */
static int64_t open_of(const char *framework, struct condition ready, struct condition available)
{
	struct gpu_profile profile = {.name = "NVIDIA L40S-8Q", .max = 6, .available = 6};
	struct gpu_unit unit = {
		.name = "nvidia.com/AD102GL_L40S",
		.mode = "vgpu",
		.vgpu_framework = framework,
		.profiles = {&profile, 1},
		.conditions = {&available, 1},
	};
	struct gpu_node node = {
		.obj = {.name = "gpu-a", .rv = "1"},
		.units = {&unit, 1},
		.conditions = {&ready, 1},
	};
	const struct inventory_model *m;
	struct world w;
	int64_t n;

	world_init(&w);
	ready.type = "Ready";
	available.type = "Available";
	cache_put(w.cache, &kind_gpu_node, &node);
	inventory_make(&w.pass, NULL, NULL, &w.inventory);
	m = inventory_find(&w.inventory, "nvidia.com/NVIDIA_L40S-8Q");
	n = m ? inventory_free(&w.inventory, m, &m->places[0]) : -1;
	ok(m && !n == !!m->places[0].why);
	world_finish(&w);
	return n;
}

static int64_t open_on(const char *framework, struct condition ready)
{
	return open_of(framework, ready, (struct condition){.status = "True", .reason = "VGPUs"});
}

/* What the driver still offers is not what may be taken. */
static void vgpus_are_closed_by_their_card(void)
{
	static const struct {
		const char *status, *reason;
		int64_t open;
	} rows[] = {
		{"True", "VGPUs", 6},
		{"True", "Idle", 6},
		{"False", "VGPUsFull", 6}, /* the count says it, profile by profile */
		{"False", "SlotsShareGroup", 0},
		{"Unknown", "Unreadable", 0},
		{"False", "DomainTooLong", 0},
		{"False", "NoIOMMUGroup", 0},
		{"Unknown", "VGPUsFull", 0},
		{NULL, NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct condition ready = {.status = "True", .reason = "Reporting"};
		struct condition c = {.status = rows[i].status, .reason = rows[i].reason};

		is_int(open_of("vendor-vfio", ready, c), rows[i].open);
	}
}

static void vgpus_are_closed_by_what_concerns_them(void)
{
	struct condition reports = {.status = "True", .reason = "Reporting"};
	struct condition no_vfio = {.status = "False", .reason = "NoVFIO"};
	struct condition no_iommu = {.status = "False", .reason = "NoIOMMU"};
	struct condition other = {.status = "False", .reason = "OfALaterRelease"};
	struct condition blind = {.status = "Unknown", .reason = "NotLookedAt"};

	is_int(open_on("mdev", reports), 6);
	is_int(open_on("mdev", no_vfio), 6);
	is_int(open_on("vendor-vfio", no_vfio), 6);
	is_int(open_on("mdev", no_iommu), 6);
	is_int(open_on("vendor-vfio", no_iommu), 0);
	is_int(open_on("mdev", other), 0);
	is_int(open_on("vendor-vfio", blind), 0);
}

/* Of a layout, or of VGPUDevices: what is made and free counts, not what the driver would still make. */
static void vgpus_that_are_ordered_are_free_while_nobody_has_them(void)
{
	struct gpu_slot slots[] = {{.vf = "a", .type = "P"},
				   {.vf = "b", .type = "P", .holder = "n/p"},
				   {.vf = "c", .type = "P", .holder = ""},
				   {.vf = "d"}};
	struct slot_order slot = {"a", "P"};
	struct gpu_profile profile = {.name = "P", .max = 8, .available = 5};
	struct condition c = {.type = "Available", .status = "True", .reason = "VGPUs"};
	struct gpu_unit unit = {.id = "i",
				.name = "e/A",
				.mode = "vgpu",
				.profiles = {&profile, 1},
				.slots = {slots, ARRAY_LEN(slots)},
				.conditions = {&c, 1}};
	struct unit_order order = {.id = "i", .want = "vgpu", .slots = {&slot, 1}};
	struct node_orders orders = {.units = {&order, 1}};
	static const struct {
		const char *want;
		size_t slots;
		int64_t open;
	} rows[] = {{"vgpu", 1, 2}, {"vgpu", 0, 5}, {"host", 0, 0}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct inventory_model *m;
		struct world w;

		order.want = rows[i].want;
		order.slots.n = rows[i].slots;
		world_init(&w);
		cache_put(w.cache, &kind_gpu_node,
			  &(struct gpu_node){.obj = {.name = "n", .rv = "1"},
					     .orders = &orders,
					     .units = {&unit, 1}});
		inventory_make(&w.pass, NULL, NULL, &w.inventory);
		m = inventory_find(&w.inventory, "e/P");
		is_int(inventory_free(&w.inventory, m, &m->places[0]), rows[i].open);
		world_finish(&w);
	}
}

/* No driver has it, and yet its node offers it to nobody. */
static void what_is_left_to_the_host_is_not_free(void)
{
	struct condition c = {.type = "Available", .status = "True", .reason = "Unbound"};
	struct gpu_unit unit = {.id = "i", .name = "e/A", .mode = "unbound", .conditions = {&c, 1}};
	struct unit_order order = {.id = "i", .want = "host", .by = "GPUPool keep"};
	struct node_orders orders = {.units = {&order, 1}};
	const struct inventory_model *m;
	struct world w;

	world_init(&w);
	cache_put(w.cache, &kind_gpu_node,
		  &(struct gpu_node){
			  .obj = {.name = "n", .rv = "1"}, .orders = &orders, .units = {&unit, 1}});
	inventory_make(&w.pass, NULL, NULL, &w.inventory);
	m = inventory_find(&w.inventory, "e/A");
	is_int(m->places[0].open, 0);
	is_str(m->places[0].why, "one on n is left to the host: GPUPool keep");
	world_finish(&w);
}

static void a_maximum_that_nobody_knows_is_no_limit(void)
{
	struct gpu_profile profile = {.name = "GRID P40-1Q", .available = 3};
	struct gpu_unit unit = {.name = "nvidia.com/P40", .profiles = {&profile, 1}};
	const struct inventory_model *m;
	struct world w;

	world_init(&w);
	put_nodes(&w, 1, &unit, 1);
	m = inventory_find(&w.inventory, "nvidia.com/GRID_P40-1Q");
	is_int(m->places[0].total, 3);
	is_int(m->places[0].unknown, 1);
	is_str(inventory_suggest(&w.inventory, "nvidia.com/X", &w.arena),
	       "GPUs are: nvidia.com/GRID_P40-1Q (node-0000: an unknown number), nvidia.com/P40 "
	       "(node-0000: 1)");
	world_finish(&w);
}

/* A card that does not say a profile's maximum has that of the first card of its vendor and id. */
static void a_maximum_is_said_once_for_a_model(void)
{
	struct gpu_profile five = {.name = "P", .max = 5}, seven = {.name = "P", .max = 7},
			   silent = {.name = "P"};
	struct gpu_unit units[] = {
		{.name = "e/A", .vendor_id = "1", .device_id = "1", .profiles = {&five, 1}},
		{.name = "e/B", .vendor_id = "2", .device_id = "2", .profiles = {&five, 1}},
		{.name = "e/C", .vendor_id = "1", .device_id = "2", .profiles = {&seven, 1}},
		{.name = "e/C", .vendor_id = "1", .device_id = "2", .profiles = {&silent, 1}},
	};
	const struct inventory_model *m;
	struct world w;

	world_init(&w);
	put_nodes(&w, 1, units, ARRAY_LEN(units));
	m = inventory_find(&w.inventory, "e/P");
	is_int(m->n_places, 1);
	is_int(m->places[0].total, 5 + 5 + 7 + 7);
	ok(!m->places[0].unknown);
	world_finish(&w);
}

/* Only digits are written large. */
static void selectors_are_written_large(void)
{
	static const char *const rows[][3] = {
		{"10de", "26b9", "10DE:26B9"}, {"1abf", "cdef", "1ABF:CDEF"},
		{"10DE", "a09f", "10DE:A09F"}, {"10de", "ghz`", "10DE:ghz`"},
		{NULL, "26b9", ":26B9"},       {"10de", NULL, "10DE:"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gpu_unit unit = {
			.name = "e/A", .vendor_id = rows[i][0], .device_id = rows[i][1]};
		const struct inventory_model *m;
		struct world w;

		world_init(&w);
		put_nodes(&w, 1, &unit, 1);
		m = inventory_find(&w.inventory, "e/A");
		is_int(m->n_selectors, 1);
		is_str(m->selectors[0], rows[i][2]);
		world_finish(&w);
	}
}

TESTS({"what no node has has its own name", what_no_node_has_has_its_own_name},
      {"a fleet of 5,000 nodes is told in one sentence", a_large_fleet_fits_into_a_sentence},
      {"a sentence names eight models and three nodes of each", a_sentence_is_cut_at_its_limits},
      {"a model of 16,000 cards takes memory once", a_model_takes_memory_once},
      {"the PCI ids of a name are sorted", selectors_are_sorted},
      {"a type's series stands before what its engines are", types_have_their_series},
      {"vGPUs need no vfio-pci, mediated devices no IOMMU", vgpus_are_closed_by_what_concerns_them},
      {"vGPUs are closed by what their card says", vgpus_are_closed_by_their_card},
      {"a maximum is said once for a model", a_maximum_is_said_once_for_a_model},
      {"vGPUs that are ordered are free while nobody has them",
       vgpus_that_are_ordered_are_free_while_nobody_has_them},
      {"what is left to the host is not free", what_is_left_to_the_host_is_not_free},
      {"a maximum that nobody knows is no limit", a_maximum_that_nobody_knows_is_no_limit},
      {"a PCI id is written as KubeVirt's documents do", selectors_are_written_large})
