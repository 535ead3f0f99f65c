/* SPDX-License-Identifier: Apache-2.0 */
/* Which KubeVirt CR counts, whose it is and what it permits: each combination. */
#include "controller/cr.h"

#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"

static struct arena arena;

static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, MiB);
}

static void whose_it_is(void)
{
	static const struct {
		const char *owner_kind, *managed_by, *release, *said;
	} rows[] = {
		{NULL, NULL, NULL, NULL},
		{"Other", "other", NULL, NULL},
		{"HyperConverged", NULL, NULL, "belongs to HyperConverged,"},
		{NULL, "hco-operator", NULL, "belongs to HyperConverged,"},
		{NULL, "hco-operator", "kv", "belongs to HyperConverged,"},
		{NULL, NULL, "kv", "belongs to the Helm release kv,"},
		{NULL, "Helm", "kv", "belongs to the Helm release kv,"},
		{NULL, "Helm", NULL, "belongs to a Helm release,"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int mode = -1; mode <= OPTIONS_PERMIT_REPORT; mode++) {
			const struct options o = {.permit = (enum options_permit)mode};
			const struct kv_config cr = {
				.obj = {.name = "kubevirt", .owner_kind = rows[i].owner_kind},
				.managed_by = rows[i].managed_by,
				.helm_release = rows[i].release,
			};
			bool report = mode == OPTIONS_PERMIT_REPORT;
			bool off = report || (rows[i].said && mode != OPTIONS_PERMIT_MANAGE);
			const char *reason = "untouched", *why;

			begin();
			why = cr_hands_off(&cr, mode < 0 ? NULL : &o, &arena, &reason);
			ok(!why == !off);
			is_str(reason, !off	? "untouched"
				       : report ? "ReportOnly"
						: "ManagedByOthers");
			if (off) {
				has(why, report ? "--permit=report" : rows[i].said);
			}
			ok(!cr_hands_off(&cr, mode < 0 ? NULL : &o, &arena, NULL) == !off);
		}
	}
}

/* Two, of which each is deployed or not. */
static void which_one_counts(void)
{
	static const char *const phases[] = {NULL, "", "Deploying", "Deployed"};

	for (size_t x = 0; x < ARRAY_LEN(phases); x++) {
		for (size_t y = 0; y <= ARRAY_LEN(phases); y++) {
			struct cache *c = cache_create(controller_kinds);
			const struct pass pass = {.arena = &arena, .cache = c};
			bool two = y < ARRAY_LEN(phases), a = x >= 2 || !two, b = two && y >= 2;
			struct cr cr;

			begin();
			cache_put(c, &kind_kv_config,
				  &(struct kv_config){.obj = {.ns = "k", .name = "a", .rv = "1"},
						      .phase = phases[x]});
			if (two) {
				cache_put(c, &kind_kv_config,
					  &(struct kv_config){
						  .obj = {.ns = "k", .name = "b", .rv = "1"},
						  .phase = phases[y]});
			}
			cr_find(&pass, &cr);
			is_int(cr.n, a + b);
			is_str(cr.names, a && b ? "k/a, k/b" : a ? "k/a" : b ? "k/b" : NULL);
			is_str(cr.config ? cr.config->obj.name : NULL, a && b ? NULL
								       : a    ? "a"
								       : b    ? "b"
									      : NULL);
			cache_destroy(c);
		}
	}
}

static void when_the_gate_is_on(void)
{
	static const char *gates[] = {"Other", "HostDevices", "More"};

	for (size_t on = 0; on <= ARRAY_LEN(gates); on++) {
		for (size_t off = 0; off <= ARRAY_LEN(gates); off++) {
			struct cache *c = cache_create(controller_kinds);
			const struct pass pass = {.arena = &arena, .cache = c};
			struct kv_config config = {.obj = {.ns = "k", .name = "a", .rv = "1"}};
			struct cr cr;

			begin();
			config.gates.items = gates;
			config.gates.n = on;
			config.disabled_gates.items = gates;
			config.disabled_gates.n = off;
			cache_put(c, &kind_kv_config, &config);
			cr_find(&pass, &cr);
			is_int(cr.gate, on >= 2 && off < 2);
			cache_destroy(c);
		}
	}
}

static void selectors_that_are_the_same(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"", "", true},
		{"a", "", false},
		{"", "a", false},
		{"10DE:26B9", "10de:26b9", true},
		{"10DE:26B9", "10DE:26BA", false},
		{"10DE:26B9", "10DE:26B", false},
		{"10DE:26B", "10DE:26B9", false},
		{"NVIDIA L40S-8Q", "NVIDIA_L40S-8Q", true},
		{"NVIDIA_L40S-8Q", "nvidia l40s-8q", true},
		{"NVIDIA-L40S", "NVIDIA_L40S", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(cr_same_selector(rows[i].a, rows[i].b), rows[i].same);
	}
}

static void what_it_permits(void)
{
	static const struct {
		const char *list;
		bool absent;
		size_t pci, mdev, usb;
	} rows[] = {
		{NULL, true, 0, 0, 0},
		{"{}", false, 0, 0, 0},
		{"{\"pciHostDevices\":[{\"resourceName\":\"a/b\"}]}", false, 1, 0, 0},
		{"{\"mediatedDevices\":[{\"resourceName\":\"a/b\"}],\"usb\":[{},{}]}", false, 0, 1,
		 2},
		{"{\"pciHostDevices\":[{\"resourceName\":\"a/b\"}", false, 0, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct kv_config cr = {.permitted = rows[i].list};
		struct cr_permitted p;

		begin();
		cr_permitted_read(&cr, &arena, &p);
		is_int(p.absent, rows[i].absent);
		is_int(p.pci.n, rows[i].pci);
		is_int(p.mdev.n, rows[i].mdev);
		is_int(p.usb.n, rows[i].usb);
	}
}

TESTS({"whose it is says who owns it, unless a flag says otherwise", whose_it_is},
      {"one that is deployed counts, and the only one", which_one_counts},
      {"the gate is on when it is named and not disabled", when_the_gate_is_on},
      {"selectors are the same without case and white space", selectors_that_are_the_same},
      {"what it permits is read, or nothing", what_it_permits})
