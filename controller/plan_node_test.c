/* SPDX-License-Identifier: Apache-2.0 */
/* The term that fences, and how many types orders permit: too much for a case. */
#include "controller/plan_node.h"

#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"

static struct cache *c;

static void begin(void)
{
	cache_destroy(c);
	c = cache_create(controller_kinds);
	cache_set_served(c, &kind_gpu_node, "v1alpha1");
}

/* ordered < 0: it has no orders */
static void put(const char *name, int64_t observed, int64_t ordered)
{
	struct node_orders orders = {.term = ordered};

	cache_put(c, &kind_gpu_node,
		  &(struct gpu_node){.obj = {.name = name, .rv = "1"},
				     .orders = ordered < 0 ? NULL : &orders,
				     .observed_term = observed});
}

static void terms(void)
{
	static const struct {
		int64_t observed[2], ordered[2];
		int64_t top, obeyed;
	} rows[] = {
		{{0, 0}, {-1, -1}, 0, 0}, {{3, 0}, {-1, 5}, 5, 3}, {{0, 3}, {5, -1}, 5, 3},
		{{7, 2}, {5, 6}, 7, 7},	  {{2, 7}, {9, 7}, 9, 7},  {{0, 0}, {4, 0}, 4, 0},
	};

	begin();
	is_int(node_top_term(c, false), 0);
	is_int(node_top_term(c, true), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		put("a", rows[i].observed[0], rows[i].ordered[0]);
		put("b", rows[i].observed[1], rows[i].ordered[1]);
		is_int(node_top_term(c, false), rows[i].top);
		is_int(node_top_term(c, true), rows[i].obeyed);
	}
}

#define MOST 1024 /* crds: permittedTypes */

/* So many types on the cards of a node, each twice, and all in the KubeVirt CR. */
static size_t permitted(int types)
{
	auto_buf struct buf text = {.max = MiB};
	static const struct options options = {.take = OPTIONS_TAKE_IDLE};
	struct gpu_profile profiles[2 * (MOST + 2)];
	struct gpu_unit unit = {.id = "0000:41:00.0", .vgpu_framework = "mdev"};
	struct kv_config cr = {.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
			       .phase = "Deployed"};
	struct arena arena;
	struct plan plan;
	struct pass pass = {.arena = &arena,
			    .cache = NULL,
			    .kind = &kind_gpu_node,
			    .key = {NULL, "a"},
			    .options = &options,
			    .term = 7};
	size_t n = 0;

	arena_init(&arena, 16 * MiB);
	buf_str(&text, "{\"mediatedDevices\":[");
	for (int i = 0; i < types; i++) {
		const char *name = arena_printf(&arena, "T-%d", i);

		buf_printf(&text,
			   "%s{\"mdevNameSelector\":\"%s\",\"resourceName\":\"nvidia.com/%s\","
			   "\"externalResourceProvider\":true}",
			   i ? "," : "", name, name);
		profiles[2 * i] = profiles[2 * i + 1] = (struct gpu_profile){.name = name};
	}
	buf_str(&text, "]}");
	cr.permitted = buf_text(&text);
	unit.profiles.items = profiles;
	unit.profiles.n = 2 * (size_t)types;
	begin();
	cache_set_served(c, &kind_kv_config, "v1");
	cache_put(c, &kind_kv_config, &cr);
	cache_put(c, &kind_gpu_node,
		  &(struct gpu_node){.obj = {.name = "a", .rv = "1", .uid = "u"},
				     .units = {&unit, 1}});
	pass.cache = c;
	plan_init(&plan, &arena, c);
	reconcile_node.plan(reconcile_node.gather(&pass), &plan);
	for (size_t i = 0; i < plan.n; i++) {
		if (plan.actions[i].what == ACTION_APPLY) {
			n = json_array_size(json_object_get(
				json_object_get(plan.actions[i].body, "spec"), "permittedTypes"));
		}
	}
	plan_finish(&plan);
	arena_finish(&arena);
	return n;
}

static void so_many_types(void)
{
	is_int(permitted(3), 3);
	is_int(permitted(MOST), MOST);
	is_int(permitted(MOST + 1), MOST);
}

static void nothing_stays(void)
{
	cache_destroy(c);
}

TESTS({"the highest term that any node knows, and that any has obeyed", terms},
      {"orders permit as many types as the CRD takes", so_many_types},
      {"nothing stays", nothing_stays})
