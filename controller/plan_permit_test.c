/* SPDX-License-Identifier: Apache-2.0 */
/* What no case can say: YAML and jansson have no NUL in a string, and a case is small. */
#include "controller/plan_permit.h"

#include <stdlib.h>

#include "api/apps.h"
#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"

static void a_list_that_cannot_be_read_is_left_as_it_is(void)
{
	static const char list[] =
		"{\"pciHostDevices\":[{\"pciVendorSelector\":\"10DE:26B9\",\"resourceName\":\"a\\u0000b\"}]}";
	const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
		.permitted = list,
		.phase = "Deployed",
	};
	struct cache *c = cache_create(controller_kinds);
	struct arena a;
	struct plan plan;
	struct pass pass;

	cache_put(c, &kind_kv_config, &cr);
	arena_init(&a, MiB);
	plan_init(&plan, &a, c);
	pass = (struct pass){
		.arena = &a,
		.cache = c,
		.kind = reconcile_permit.primary,
		.key = {"k", "kubevirt"},
	};
	reconcile_permit.plan(reconcile_permit.gather(&pass), &plan);
	is_int(plan.n, 1);
	is_int(plan.actions[0].what, ACTION_EVENT);
	is_str(plan.actions[0].reason, "ListUnreadable");
	plan_finish(&plan);
	arena_finish(&a);
	cache_destroy(c);
}

/* --- what many users ask for ------------------------------------------------------------------ */

/* As a pass has it (runtime_pass.c). */
#define PASS_MAX (16 * MiB)
#define L40S "nvidia.com/AD102GL_L40S"
#define A2 "nvidia.com/GA107GL_A2"
#define OURS "{\"pciHostDevices\":[[\"10DE:25B6\",\"" A2 "\"],[\"10DE:26B9\",\"" L40S "\"]]}"
#define ENTRY(id, name)                                                                            \
	"{\"pciVendorSelector\":\"" id "\",\"resourceName\":\"" name                               \
	"\",\"externalResourceProvider\":true}"

struct world {
	struct cache *cache;
	struct arena arena, plan_arena;
	struct plan plan;
	const struct options *options;
};

/* Two entries of ours, of which a node reports one card still. */
static void world_init(struct world *w)
{
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
		.permitted = "{\"pciHostDevices\":[" ENTRY("10DE:26B9", L40S) "," ENTRY("10DE:25B6",
											A2) "]}",
		.ours = OURS,
		.phase = "Deployed",
	};
	struct gpu_unit unit = {.name = L40S, .vendor_id = "10de", .device_id = "26b9"};

	*w = (struct world){.cache = cache_create(controller_kinds)};
	cache_put(w->cache, &kind_kv_config, &cr);
	cache_put(w->cache, &kind_gpu_node,
		  &(struct gpu_node){.obj = {.name = "n", .rv = "1"}, .units = {&unit, 1}});
	arena_init(&w->arena, PASS_MAX);
	arena_init(&w->plan_arena, PASS_MAX);
}

static void put_vm(struct world *w, size_t i, const char *spec)
{
	char name[32];

	snprintf(name, sizeof(name), "vm-%zu", i);
	cache_put(w->cache, &kind_vm_instance,
		  &(struct vm_app){.obj = {.name = name, .ns = "t", .rv = "1"}, .spec = spec});
}

static void run(struct world *w)
{
	const struct pass pass = {
		.arena = &w->arena,
		.cache = w->cache,
		.kind = reconcile_permit.primary,
		.key = {"k", "kubevirt"},
		.options = w->options,
	};

	plan_init(&w->plan, &w->plan_arena, w->cache);
	reconcile_permit.plan(reconcile_permit.gather(&pass), &w->plan);
}

static void world_finish(struct world *w)
{
	plan_finish(&w->plan);
	arena_finish(&w->arena);
	arena_finish(&w->plan_arena);
	cache_destroy(w->cache);
}

/* 40 MiB of cloud-init, and the last asks for what the annotation alone still knows. */
static void large_specs_are_all_heard(void)
{
	static char filler[MiB];
	struct world w;

	memset(filler, 'x', sizeof(filler) - 1);
	world_init(&w);
	for (size_t i = 0; i < 40; i++) {
		struct buf b;

		buf_init(&b, 2 * MiB);
		buf_printf(&b, "{\"cloudInit\":\"%zu%s\",\"gpus\":[{\"name\":\"%s\"}]}", i, filler,
			   i % 2 ? A2 : L40S);
		put_vm(&w, i, buf_text(&b));
		buf_finish(&b);
	}
	run(&w);
	is_int(w.plan.n, 0);
	ok(w.arena.used < MiB);
	world_finish(&w);
}

/* As many names as the CRD allows, made up, of more VMs than a pass has memory for. */
static void names_that_are_nobodys_take_no_memory(void)
{
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < 1000; i++) {
		struct buf b;

		buf_init(&b, MiB);
		buf_str(&b, "{\"gpus\":[{\"name\":\"" L40S "\"},{\"name\":\"" A2 "\"}");
		for (size_t k = 0; k < 62; k++) {
			buf_printf(&b, ",{\"name\":\"a.example/%0300zu\"}", i * 64 + k);
		}
		buf_str(&b, "]}");
		put_vm(&w, i, buf_text(&b));
		buf_finish(&b);
	}
	run(&w);
	is_int(w.plan.n, 0);
	ok(w.arena.used < MiB);
	world_finish(&w);
}

static void what_cannot_be_read_keeps_entries(void)
{
	struct world w;

	world_init(&w);
	put_vm(&w, 0, "{\"gpus\":[{\"name\":\"" L40S "\"}]}");
	for (size_t i = 9; i > 0; i--) {
		put_vm(&w, i, "{\"gpus\":[{\"name\":\"" A2 "\"");
	}
	run(&w);
	is_int(w.plan.n, 1);
	is_int(w.plan.actions[0].what, ACTION_EVENT);
	is_str(w.plan.actions[0].reason, "SpecUnreadable");
	ok(strstr(w.plan.actions[0].why, "the spec of VMInstance t/vm-1 cannot be read"));
	world_finish(&w);
}

/* --- specs that are nothing but names --------------------------------------------------------- */

/* What ends a spec wants an entry of ours that no node reports: unheard, it would be removed. */
#define AND_OURS "{\"name\":\"" A2 "\"}"

struct long_spec {
	const char *begin, *unit, *end; /* units stand between */
	bool cluster, heard;
};

/* Decoded, the small units are many times as large as their text. */
static const struct long_spec long_specs[] = {
	{"{\"gpus\":[", "{\"name\":\"a\"}", AND_OURS "]}", false, true},
	{"{\"gpus\":[", "{\"name\":\"nvidia.com/H100_94GB\"}", AND_OURS "]}", false, true},
	{"{\"gpus\":[", "{}", AND_OURS "]}", false, false},
	{"{\"nodeGroups\":{\"g\":{\"gpus\":[", "{\"name\":\"a\"}", AND_OURS "]}}}", true, true},
	{"{\"nodeGroups\":{\"g\":{\"gpus\":[", "{}", AND_OURS "]}}}", true, false},
	{"{\"nodeGroups\":{", "\"g\":{\"gpus\":[{}]}", "\"h\":{\"gpus\":[" AND_OURS "]}}}", true,
	 false},
	{"{\"nodeGroups\":{", "\"%zx\":{}", "\"h\":{\"gpus\":[" AND_OURS "]}}}", true, false},
};

static void write_long(const struct long_spec *s, size_t bytes, struct buf *b)
{
	const char *digits = strstr(s->unit, "%zx");

	buf_str(b, s->begin);
	for (size_t i = 0; b->len < bytes; i++) {
		if (digits) {
			buf_printf(b, "%.*s%zx%s,", (int)(digits - s->unit), s->unit, i,
				   digits + 3);
		} else {
			buf_printf(b, "%s,", s->unit);
		}
	}
	buf_str(b, s->end);
	ok(buf_ok(b));
}

static void count_wake(void *ctx, const char *ns, const char *name)
{
	is_str(ns, "k");
	is_str(name, "kubevirt");
	++*(size_t *)ctx;
}

static size_t woken_by(const struct world *w, const struct kube_kind *k, const struct obj *old,
		       const struct obj *now)
{
	size_t woken = 0;

	for (const struct plan_watch *p = reconcile_permit.watches; p->kind; p++) {
		if (p->kind == k) {
			p->map(w->cache, old, now, count_wake, &woken);
		}
	}
	return woken;
}

/* It goes and comes: that wakes the plan, which neither ends the program nor removes an entry. */
static void hear_long(const struct long_spec *s, const char *text)
{
	const struct kube_kind *k = s->cluster ? &kind_kubernetes : &kind_vm_instance;
	const struct vm_app vm = {.obj = {.name = "a", .ns = "t", .rv = "1"}, .spec = text};
	const struct cluster_app cluster = {.obj = vm.obj, .spec = text};
	const struct obj *it = s->cluster ? &cluster.obj : &vm.obj;
	struct world w;

	world_init(&w);
	put_vm(&w, 1, "{\"gpus\":[{\"name\":\"" L40S "\"}]}");
	ok(woken_by(&w, k, it, NULL));
	cache_put(w.cache, k, it);
	woken_by(&w, k, NULL, cache_get(w.cache, k, "t", "a"));
	run(&w);
	printf("# %zu KiB of %s: %s\n", strlen(text) / KiB, s->unit,
	       w.plan.n ? w.plan.actions[0].reason : "heard");
	is_int(w.plan.n, s->heard ? 0 : 1);
	if (w.plan.n) {
		is_int(w.plan.actions[0].what, ACTION_EVENT);
		is_str(w.plan.actions[0].reason, "SpecUnreadable");
		ok(s->cluster == (strstr(w.plan.actions[0].why, "Kubernetes t/a") != NULL));
	}
	world_finish(&w);
}

/* etcd takes 1.5 MiB; such objects are older than the limits of the CRDs. */
static void specs_that_are_names_alone(void)
{
	for (size_t i = 0; i < ARRAY_LEN(long_specs); i++) {
		auto_buf struct buf b = {.max = 2 * MiB};

		write_long(&long_specs[i], 3 * MiB / 2, &b);
		hear_long(&long_specs[i], buf_text(&b));
	}
}

/* The largest that the CRDs allow: 64 names of 317 characters, in 64 groups. */
static void the_largest_specs_are_heard(void)
{
	for (int cluster = 0; cluster < 2; cluster++) {
		const struct long_spec s = {.unit = "the CRD's", .cluster = cluster, .heard = true};
		auto_buf struct buf b = {.max = 2 * MiB};

		buf_str(&b, cluster ? "{\"nodeGroups\":{" : "{");
		for (int g = 0; g < (cluster ? 64 : 1); g++) {
			buf_str(&b, g ? "," : "");
			if (cluster) {
				buf_printf(&b, "\"%040d\":{", g);
			}
			buf_str(&b, "\"gpus\":[");
			for (int k = 0; k < 63; k++) {
				buf_printf(&b, "{\"name\":\"a/%0315d\"},", g * 64 + k);
			}
			buf_str(&b, cluster ? AND_OURS "]}" : AND_OURS "]");
		}
		buf_str(&b, cluster ? "}}" : "}");
		ok(buf_ok(&b));
		hear_long(&s, buf_text(&b));
	}
}

/* All that can be read is wanted: nothing is kept for the other's sake, so nothing is said. */
static void what_cannot_be_read_is_told_only_if_it_matters(void)
{
	struct world w;

	world_init(&w);
	put_vm(&w, 0, "{\"gpus\":[{\"name\":\"" L40S "\"},{\"name\":\"" A2 "\"}]}");
	put_vm(&w, 1, "{\"gpus\":[{");
	run(&w);
	is_int(w.plan.n, 0);
	world_finish(&w);
}

/* Forty cards of thirty profiles each, all wanted, on a CR that only is reported on. */
static void many_names_cost_what_they_are(void)
{
	static char names[1200][64];
	static struct gpu_profile profiles[ARRAY_LEN(names)];
	static struct gpu_unit units[40];
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "2"},
		.permitted = "{}",
		.managed_by = "Helm",
		.phase = "Deployed",
	};
	struct world w;
	struct buf b;

	world_init(&w);
	buf_init(&b, MiB);
	buf_str(&b, "{\"gpus\":[{\"name\":\"e/none\"}");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(names[i], sizeof(names[i]), "P%zu-1Q", i);
		buf_printf(&b, ",{\"name\":\"e/%s\"}", names[i]);
		profiles[i] = (struct gpu_profile){.name = names[i], .max = 1};
	}
	buf_str(&b, "]}");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		units[i] = (struct gpu_unit){.name = "e/CARD",
					     .vendor_id = "1",
					     .device_id = "2",
					     .profiles = {profiles + i * 30, 30}};
	}
	cache_put(w.cache, &kind_kv_config, &cr);
	cache_put(w.cache, &kind_gpu_node,
		  &(struct gpu_node){.obj = {.name = "many", .rv = "1"},
				     .units = {units, ARRAY_LEN(units)}});
	put_vm(&w, 0, buf_text(&b));
	buf_finish(&b);
	run(&w);
	is_int(w.plan.n, 1);
	is_str(w.plan.actions[0].reason, "ManagedByOthers");
	ok(strstr(w.plan.actions[0].why, " more"));
	ok(w.arena.used < MiB);
	world_finish(&w);
}

/* Of several objects the first by namespace and name is told, of one name the VirtualMachine. */
static void of_several_the_first_is_told(void)
{
	static const struct {
		const struct kube_kind *kind;
		const char *ns, *name;
	} rows[] = {
		{&kind_vm_instance, "t", "b"},	   {&kind_vm_instance, "u", "a"},
		{&kind_virtual_machine, "t", "b"}, {&kind_vm_instance, "t", "a"},
		{&kind_kubernetes, "s", "z"},	   {&kind_virtual_machine, "s", "y"},
		{&kind_vm_instance, "s", "y"},	   {&kind_vm_instance, "r", "z"},
	};
	static const char *const told[] = {
		"VMInstance t/b", "VMInstance t/b",	"VirtualMachine t/b", "VMInstance t/a",
		"Kubernetes s/z", "VirtualMachine s/y", "VirtualMachine s/y", "VMInstance r/z",
	};

	for (size_t n = 1; n <= ARRAY_LEN(rows); n++) {
		struct world w;

		world_init(&w);
		for (size_t i = 0; i < n; i++) {
			const struct obj o = {.name = rows[i].name, .ns = rows[i].ns, .rv = "1"};

			if (rows[i].kind == &kind_kubernetes) {
				cache_put(w.cache, rows[i].kind,
					  &(struct cluster_app){.obj = o, .spec = "{\"gpus\":["});
			} else {
				cache_put(w.cache, rows[i].kind,
					  &(struct vm_app){.obj = o, .spec = "{\"gpus\":["});
			}
		}
		run(&w);
		is_int(w.plan.n, 1);
		ok(strstr(w.plan.actions[0].why, told[n - 1]));
		world_finish(&w);
	}
}

/* Half a pair in our annotation is nobody's. */
static void half_a_pair_is_none(void)
{
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "2"},
		.permitted = "{\"pciHostDevices\":[" ENTRY("10DE:26B9", L40S) "]}",
		.ours = "{\"pciHostDevices\":[[\"10DE:25B6\"],[null,\"" A2
			"\"],[],7,[\"10DE:26B9\",\"" L40S "\"],[5,\"x\"]]}",
		.phase = "Deployed",
	};
	struct world w;

	world_init(&w);
	cache_put(w.cache, &kind_kv_config, &cr);
	run(&w);
	is_int(w.plan.n, 1); /* nobody wants the L40S, and its entry is ours */
	is_int(w.plan.actions[0].what, ACTION_MERGE);
	world_finish(&w);
}

/* What is there already need not be added. */
static void only_what_is_missing_is_to_be_added(void)
{
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "2"},
		.permitted = "{\"pciHostDevices\":[" ENTRY("10DE:26B9", L40S) "," ENTRY("1002:74A1",
											"a/b") "]}",
		.phase = "Deployed",
	};
	static const struct options report = {.permit = OPTIONS_PERMIT_REPORT};
	struct gpu_unit unit = {.name = A2, .vendor_id = "10de", .device_id = "25b6"};
	struct world w;

	world_init(&w);
	w.options = &report;
	cache_put(w.cache, &kind_kv_config, &cr);
	cache_put(w.cache, &kind_gpu_node,
		  &(struct gpu_node){.obj = {.name = "m", .rv = "1"}, .units = {&unit, 1}});
	put_vm(&w, 0, "{\"gpus\":[{\"name\":\"" L40S "\"},{},{\"name\":\"" A2 "\"}]}");
	run(&w);
	is_int(w.plan.n, 1);
	is_str(w.plan.actions[0].reason, "ReportOnly");
	ok(strstr(w.plan.actions[0].why,
		  "permittedHostDevices there: pciHostDevices: {pciVendorSelector: \"10DE:25B6\", "
		  "resourceName: " A2 ", externalResourceProvider: true}"));
	ok(!strstr(w.plan.actions[0].why, "26B9"));
	ok(!strstr(w.plan.actions[0].why, "1002"));
	world_finish(&w);
}

TESTS({"a list that cannot be read is left as it is, and that is said",
       a_list_that_cannot_be_read_is_left_as_it_is},
      {"40 VMs of 1 MiB of cloud-init are all heard", large_specs_are_all_heard},
      {"64,000 names that are nobody's take no memory", names_that_are_nobodys_take_no_memory},
      {"1,200 names that nodes report cost what they are", many_names_cost_what_they_are},
      {"a spec that cannot be read keeps what is ours, and that is said",
       what_cannot_be_read_keeps_entries},
      {"1.5 MiB of names end no program and lose no entry", specs_that_are_names_alone},
      {"the largest specs that the CRDs allow are heard", the_largest_specs_are_heard},
      {"nothing is said of it when no entry would go",
       what_cannot_be_read_is_told_only_if_it_matters},
      {"of several that cannot be read the first is told", of_several_the_first_is_told},
      {"half a pair in the annotation is none", half_a_pair_is_none},
      {"only what is missing is to be added", only_what_is_missing_is_to_be_added})
