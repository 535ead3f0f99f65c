/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of Harvester's page on vGPUs, on the node that it was written on: all plans of its
 * objects together, over a cluster that keeps what they write, with a user who edits them and a node
 * that obeys. What the page shows is compared as it stands there (e2e/data/seeds). The report of the
 * card is that of node-daemon/cases, from a real A2.
 */
#include <ctype.h>

#include "base/buf.h"
#include "base/test.h"
#include "controller/cases_world.h"
#include "controller/kinds.h"
#include "controller/options.h"
#include "json/yaml.h"

#define NODE "harvester-kgd9c"
#define CARD NODE "-000008000"
#define GROUP "devices.harvesterhci.io/v1beta1"
#define PASSES 40

static json_t *world;
static json_t *scanned; /* status of the GPUNode, with all virtual functions on */

/* --- objects ---------------------------------------------------------------------------------- */

static json_t *load(const char *file)
{
	struct err err = {""};
	json_t *docs = yaml_read_file(file, &err), *o;

	is_str(err.text, "");
	o = json_incref(json_array_get(docs, 0));
	json_decref(docs);
	return o;
}

static json_t *object(const char *api_version, const char *kind, const char *name)
{
	json_t *target =
		json_pack("{s:s, s:s, s:s}", "apiVersion", api_version, "kind", kind, "name", name);
	json_t *o = cases_find(world, target);

	json_decref(target);
	return o;
}

static json_t *device(const char *kind, const char *name)
{
	return object(GROUP, kind, name);
}

static json_t *gpu_node(void)
{
	return object("vmgpu.io/v1alpha1", "GPUNode", NODE);
}

static json_t *at(json_t *o, const char *a, const char *b)
{
	return json_object_get(json_object_get(o, a), b);
}

static const char *text(json_t *o, const char *a, const char *b)
{
	return json_string_value(at(o, a, b));
}

static size_t count(const char *kind)
{
	size_t n = 0, i;
	json_t *o;

	json_array_foreach(world, i, o) {
		n += str_eq(json_string_value(json_object_get(o, "kind")), kind);
	}
	return n;
}

static void edit(json_t *o, const char *patch)
{
	json_t *p = json_loads(patch, 0, NULL), *now;

	ok(p);
	now = cases_merge_patch(o, p);
	json_object_clear(o);
	json_object_update(o, now);
	json_decref(now);
	json_decref(p);
}

/* --- passes ----------------------------------------------------------------------------------- */

static bool pass_over(const struct reconciler *r, const char *name)
{
	static const struct options options = {0};
	struct cache *c = cache_create(controller_kinds);
	json_t *when = json_pack("{s:s, s:s}", "kind", r->primary->kind, "name", name), *o, *all;
	struct arena arena;
	struct plan plan;
	const void *seen;
	bool did;
	size_t i;

	arena_init(&arena, 64 * MiB);
	cases_serve(c, controller_kinds, NULL);
	json_array_foreach(world, i, o) {
		cache_load_json(c, o, NULL);
	}
	plan_init(&plan, &arena, c);
	seen = r->gather(&(struct pass){.arena = &arena,
					.cache = c,
					.kind = r->primary,
					.key = {NULL, name},
					.term = 1,
					.options = &options});
	if (seen) {
		r->plan(seen, &plan);
	}
	all = cases_actions(&plan);
	did = json_array_size(all) > 0;
	cases_carry_out(world, all, json_array_size(all), controller_kinds, when);
	json_decref(all);
	json_decref(when);
	plan_finish(&plan);
	arena_finish(&arena);
	cache_destroy(c);
	return did;
}

/* Of all that the whole card could have. */
static bool pass_over_devices(const struct reconciler *r)
{
	json_t *unit = json_array_get(json_object_get(scanned, "units"), 0), *slot;
	bool did = pass_over(r, CARD);
	size_t i;

	json_array_foreach(json_object_get(unit, "slots"), i, slot) {
		auto_free char *name =
			xprintf("%s-%s", NODE, json_string_value(json_object_get(slot, "vf")));
		char *to = name;

		for (const char *p = name; *p; p++) {
			if (*p != ':' && *p != '.') {
				*to++ = *p;
			}
		}
		*to = '\0';
		did |= pass_over(r, name);
	}
	return did;
}

static void settle(void)
{
	bool did = true;

	for (int n = 0; did; n++) {
		ok(n < PASSES);
		did = false;
		for (size_t i = 0; controller_reconcilers[i]; i++) {
			const struct reconciler *r = controller_reconcilers[i];

			if (str_eq(r->primary->group, "devices.harvesterhci.io")) {
				did |= pass_over_devices(r);
			} else if (str_eq(r->name, "node")) {
				did |= pass_over(r, NODE);
			}
		}
	}
}

/* --- the node --------------------------------------------------------------------------------- */

/* The UUIDs of the page, by their function. */
static const char *uuid_of(const char *vf)
{
	static const struct {
		const char *vf, *uuid;
	} known[] = {
		{"0000:08:00.4", "dd6772a8-7db8-4e96-9a73-f94c389d9bc3"},
		{"0000:08:00.5", "9534e04b-4687-412b-833e-3ae95b97d4d1"},
		{"0000:08:00.6", "a16e5966-9f7a-48a9-bda8-0d1670e740f8"},
		{"0000:08:00.7", "041ee3ce-f95c-451e-a381-1c9fe71918b2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_eq(known[i].vf, vf)) {
			return known[i].uuid;
		}
	}
	return "00000000-0000-4000-8000-000000000000";
}

static const char *ordered_type(json_t *order, const char *vf)
{
	json_t *s;
	size_t i;

	json_array_foreach(json_object_get(order, "slots"), i, s) {
		if (str_eq(json_string_value(json_object_get(s, "vf")), vf)) {
			return json_string_value(json_object_get(s, "type"));
		}
	}
	return NULL;
}

/* Equal sizes: the first type fixes the card's, and `max` of that size fit. */
static void count_profiles(json_t *unit, int64_t made, int64_t size)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(unit, "profiles"), i, p) {
		int64_t max = json_integer_value(json_object_get(p, "max"));
		int64_t mib = json_integer_value(json_object_get(p, "framebufferMiB"));
		int64_t left = made && mib != size ? 0 : max - made;

		json_object_del(p, "available");
		if (left > 0) {
			json_object_set_new(p, "available", json_integer(left));
		}
	}
}

static int64_t make_slots(json_t *unit, json_t *order)
{
	int64_t made = 0;
	json_t *s;
	size_t i;

	json_array_foreach(json_object_get(unit, "slots"), i, s) {
		const char *vf = json_string_value(json_object_get(s, "vf"));
		const char *type = ordered_type(order, vf);

		json_object_set_new(s, "type", type ? json_string(type) : json_null());
		json_object_set_new(s, "uuid", type ? json_string(uuid_of(vf)) : json_null());
		made += type != NULL;
	}
	return made;
}

/* What the daemon would report with its orders carried out. */
static void obey(void)
{
	json_t *node = gpu_node(), *status = json_deep_copy(scanned);
	json_t *unit = json_array_get(json_object_get(status, "units"), 0);
	json_t *order = json_array_get(at(node, "spec", "units"), 0);
	bool on = json_integer_value(json_object_get(order, "vfs")) > 0;

	if (on) {
		count_profiles(unit, make_slots(unit, order), 4096);
	} else {
		json_object_del(unit, "slots");
		json_object_del(unit, "profiles");
		json_object_del(unit, "vgpuFramework");
		json_object_set_new(json_object_get(unit, "sriov"), "numVFs", json_integer(0));
	}
	json_object_set(status, "observedGeneration", at(node, "metadata", "generation"));
	json_object_set_new(node, "status", status);
}

static void story(void)
{
	for (int i = 0; i < 4; i++) {
		settle();
		obey();
	}
	settle();
}

/* A node of the page's name, with its card as it is after a start, or as it was found. */
static void begin_with(bool found)
{
	json_t *kase = load("node-daemon/cases/scan/a2-sriov-16vf-3mdev.yaml");

	json_decref(scanned);
	json_decref(world);
	scanned = json_incref(json_object_get(kase, "then"));
	world = json_array();
	json_array_append_new(world,
			      json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:i}, s:O}", "apiVersion",
					"vmgpu.io/v1alpha1", "kind", "GPUNode", "metadata", "name",
					NODE, "uid", "u", "resourceVersion", "1", "generation", 1,
					"status", scanned));
	json_decref(kase);
	if (!found) {
		obey();
		story();
	}
}

static void begin(void)
{
	begin_with(false);
}

static void enable_card(void)
{
	edit(device("SRIOVGPUDevice", CARD), "{\"spec\": {\"enabled\": true}}");
	story();
}

static void enable(const char *digits, const char *type)
{
	auto_free char *name = xprintf(NODE "-%s", digits);
	auto_free char *patch = xprintf(
		"{\"spec\": {\"enabled\": true, \"vGPUTypeName\": \"NVIDIA A2-%s\"}}", type);

	edit(device("VGPUDevice", name), patch);
	story();
}

static void enable_four(void)
{
	enable("000008004", "4A");
	enable("000008005", "4Q");
	enable("000008006", "4A");
	enable("000008007", "4Q");
}

/* --- what the page shows ---------------------------------------------------------------------- */

/* Without what the server sets, and what is ours alone. */
static char *shown(json_t *o)
{
	static const char *const others[] = {
		"creationTimestamp", "generation",  "resourceVersion", "uid",
		"managedFields",     "annotations", "finalizers"};
	json_t *copy = json_deep_copy(o);
	char *all;

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		json_object_del(json_object_get(copy, "metadata"), others[i]);
	}
	all = json_dumps(copy, JSON_SORT_KEYS | JSON_INDENT(1));
	json_decref(copy);
	return all;
}

static void equals_page(json_t *o, const char *file)
{
	json_t *page = load(file);
	auto_free char *want = shown(page), *got = shown(o);

	json_decref(page);
	is_str(got, want);
}

static void the_card_is_as_on_the_page(void)
{
	begin();
	is_int(count("PCIDevice"), 1);
	is_int(count("VGPUDevice"), 0);
	ok(json_is_false(at(device("SRIOVGPUDevice", CARD), "spec", "enabled")));
	enable_card();
	equals_page(device("SRIOVGPUDevice", CARD), "e2e/data/seeds/003-sriovgpudevice.yaml");
	is_int(count("PCIDevice"), 17);
	is_int(count("VGPUDevice"), 16);
}

static void a_vgpu_is_as_on_the_page(void)
{
	begin();
	enable_card();
	enable_four();
	equals_page(device("VGPUDevice", NODE "-000008004"), "e2e/data/seeds/003-vgpudevice.yaml");
}

/* As kubectl prints it, by the columns of the CRD. */
static void list_column(struct buf *b, json_t *o, const char *path)
{
	auto_free char *key = xstrdup(path + strlen(".spec."));
	const char *section = str_starts(path, ".spec.") ? "spec" : "status";
	json_t *v = at(o, section, section[1] == 't' ? path + strlen(".status.") : key);

	buf_printf(b, "|%s",
		   json_is_boolean(v) ? json_is_true(v) ? "true" : "false"
		   : v		      ? json_string_value(v)
				      : "");
}

static void list_devices(struct buf *b)
{
	json_t *crd = load("crds/devices.harvesterhci.io_vgpudevices.yaml"), *o, *column;
	json_t *version = json_array_get(at(crd, "spec", "versions"), 0);
	size_t i, k;

	json_array_foreach(world, i, o) {
		if (!str_eq(json_string_value(json_object_get(o, "kind")), "VGPUDevice")) {
			continue;
		}
		buf_str(b, text(o, "metadata", "name"));
		json_array_foreach(json_object_get(version, "additionalPrinterColumns"), k,
				   column) {
			list_column(b, o, json_string_value(json_object_get(column, "jsonPath")));
		}
		buf_char(b, '\n');
	}
	json_decref(crd);
}

#define ROW(digits, address, rest) NODE "-" digits "|" address "|" NODE "|" rest "|0000:08:00.0\n"
#define FREE(digits, address) ROW(digits, address, "false||")

static void the_listing_is_as_on_the_page(void)
{
	attr_cleanup(buf_finish) struct buf b;

	buf_init(&b, MiB);
	begin();
	enable_card();
	enable_four();
	list_devices(&b);
	is_str(buf_text(&b),
	       ROW("000008004", "0000:08:00.4", "true|dd6772a8-7db8-4e96-9a73-f94c389d9bc3|NVIDIA A2-4A") ROW(
		       "000008005", "0000:08:00.5",
		       "true|9534e04b-4687-412b-833e-3ae95b97d4d1|NVIDIA A2-4Q")
		       ROW("000008006", "0000:08:00.6",
			   "true|a16e5966-9f7a-48a9-bda8-0d1670e740f8|NVIDIA A2-4A")
			       ROW("000008007", "0000:08:00.7",
				   "true|041ee3ce-f95c-451e-a381-1c9fe71918b2|NVIDIA A2-4Q")
				       FREE("000008010", "0000:08:01.0") FREE(
					       "000008011", "0000:08:01.1") FREE("000008012",
										 "0000:08:01.2")
					       FREE("000008013", "0000:08:01.3") FREE(
						       "000008014",
						       "0000:08:01.4") FREE("000008015",
									    "0000:08:01.5")
						       FREE("000008016", "0000:08:01.6") FREE(
							       "000008017",
							       "0000:08:01.7") FREE("000008020",
										    "0000:08:02.0")
							       FREE("000008021", "0000:08:02.1")
								       FREE("000008022",
									    "0000:08:02.2")
									       FREE("000008023",
										    "0000:08:02.3"));
}

/* --- what it says besides --------------------------------------------------------------------- */

static const char *condition(const char *kind, const char *name, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach(at(device(kind, name), "status", "conditions"), i, c) {
		if (str_eq(json_string_value(json_object_get(c, "type")), type)) {
			return json_string_value(json_object_get(c, "reason"));
		}
	}
	return NULL;
}

static void the_first_profile_restricts_the_rest(void)
{
	begin();
	enable_card();
	is_int(json_object_size(
		       at(device("VGPUDevice", NODE "-000008010"), "status", "availableTypes")),
	       15);
	enable("000008004", "4A");
	is_int(json_object_size(
		       at(device("VGPUDevice", NODE "-000008010"), "status", "availableTypes")),
	       3);
	enable("000008005", "2Q");
	is_str(condition("VGPUDevice", NODE "-000008005", "Accepted"), "TypeNotCreatable");
	is_str(text(device("VGPUDevice", NODE "-000008005"), "status", "uuid"), NULL);
	enable("000008005", "4Q");
	is_str(condition("VGPUDevice", NODE "-000008005", "Accepted"), NULL);
}

static void a_full_card_has_no_types_left(void)
{
	begin();
	enable_card();
	enable_four();
	ok(!at(device("VGPUDevice", NODE "-000008010"), "status", "availableTypes"));
	enable("000008010", "4Q");
	is_str(condition("VGPUDevice", NODE "-000008010", "Accepted"), "TypeNotCreatable");
}

static void hold(const char *vf, const char *holder)
{
	json_t *unit = json_array_get(at(gpu_node(), "status", "units"), 0), *s;
	size_t i;

	json_array_foreach(json_object_get(unit, "slots"), i, s) {
		if (str_eq(json_string_value(json_object_get(s, "vf")), vf)) {
			json_object_set_new(s, "holder",
					    holder ? json_string(holder) : json_null());
		}
	}
}

static void in_use_nothing_is_disabled(void)
{
	begin();
	enable_card();
	enable("000008004", "4A");
	hold("0000:08:00.4", "default/virt-launcher-vm1-abcde");
	edit(device("VGPUDevice", NODE "-000008004"), "{\"spec\": {\"enabled\": false}}");
	edit(device("SRIOVGPUDevice", CARD), "{\"spec\": {\"enabled\": false}}");
	settle();
	is_str(condition("VGPUDevice", NODE "-000008004", "Ready"), "InUse");
	is_str(condition("SRIOVGPUDevice", CARD, "Ready"), "InUse");
	is_str(ordered_type(json_array_get(at(gpu_node(), "spec", "units"), 0), "0000:08:00.4"),
	       "NVIDIA A2-4A");
	hold("0000:08:00.4", NULL);
	story();
	is_int(count("VGPUDevice"), 0);
	is_int(json_array_size(at(gpu_node(), "spec", "units")), 0);
	ok(json_is_false(at(device("SRIOVGPUDevice", CARD), "spec", "enabled")));
}

static void after_a_reboot_all_is_as_before(void)
{
	auto_free char *before = NULL, *after = NULL;
	json_t *spec;

	begin();
	enable_card();
	enable_four();
	before = shown(device("VGPUDevice", NODE "-000008004"));
	spec = json_deep_copy(json_object_get(gpu_node(), "spec"));
	edit(gpu_node(), "{\"status\": {\"units\": []}}"); /* still looking */
	settle();
	ok(json_equal(spec, json_object_get(gpu_node(), "spec")));
	edit(gpu_node(), "{\"spec\": null}"); /* as obey sees a card without orders: cold */
	obey();
	json_object_set_new(gpu_node(), "spec", spec);
	settle();
	is_str(condition("VGPUDevice", NODE "-000008004", "Ready"), "DeviceMissing");
	is_str(text(device("VGPUDevice", NODE "-000008004"), "status", "uuid"), NULL);
	story();
	after = shown(device("VGPUDevice", NODE "-000008004"));
	is_str(after, before);
}

/* What stood on the card before us is shown as it is, and nothing of it is changed. */
static void what_was_there_is_adopted(void)
{
	json_t *unit;

	begin_with(true);
	settle();
	is_int(count("VGPUDevice"), 16);
	is_str(text(device("VGPUDevice", NODE "-000008004"), "spec", "vGPUTypeName"),
	       "NVIDIA A2-4C");
	is_str(text(device("VGPUDevice", NODE "-000008004"), "status", "uuid"),
	       "f715f63c-0d00-4007-9c5a-b07b0c6c05de");
	ok(json_is_true(at(device("SRIOVGPUDevice", CARD), "spec", "enabled")));
	unit = json_array_get(at(gpu_node(), "spec", "units"), 0);
	is_str(ordered_type(unit, "0000:08:00.4"), "NVIDIA A2-4C");
	is_str(ordered_type(unit, "0000:08:00.6"), "NVIDIA A2-4A");
	is_str(ordered_type(unit, "0000:08:02.0"), "NVIDIA A2-4Q");
	is_str(ordered_type(unit, "0000:08:00.5"), NULL);
}

TESTS({"the card is as on Harvester's page: 16 functions in its order", the_card_is_as_on_the_page},
      {"a vGPU is as on Harvester's page", a_vgpu_is_as_on_the_page},
      {"the listing of vGPUs is as on Harvester's page", the_listing_is_as_on_the_page},
      {"the first profile restricts the rest", the_first_profile_restricts_the_rest},
      {"a full card has no types left, and says so to who asks", a_full_card_has_no_types_left},
      {"what is in use is not disabled; what is free goes in order", in_use_nothing_is_disabled},
      {"after a reboot all is as before", after_a_reboot_all_is_as_before},
      {"what was there before us is adopted as it is", what_was_there_is_adopted})
