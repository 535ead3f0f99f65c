/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_report.h"

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/looks.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"

#define NOW 1767225600000 /* 2026-01-01T00:00:00Z */

static const struct kube_kind *const kinds[] = {&kind_own_node, NULL};

struct world {
	struct tree tree;
	struct machine machine;
	struct cache *cache;
	struct arena arena;
	struct plan plan;
	const char *blind;
	const struct report_obeyed *obeyed;
};

static void begin(struct world *w, const char *tree)
{
	struct err err;

	*w = (struct world){.tree = tree_make(tree), .cache = cache_create(kinds)};
	cache_set_served(w->cache, &kind_own_node, "v1alpha1");
	machine_init(&w->machine);
	arena_init(&w->arena, 16 * MiB);
	ok(scan(w->tree.fd, &w->machine, &err) == 0);
	plan_init(&w->plan, &w->arena, w->cache);
}

static void end(struct world *w)
{
	plan_finish(&w->plan);
	arena_finish(&w->arena);
	machine_finish(&w->machine);
	cache_destroy(w->cache);
	tree_remove(&w->tree);
}
#define auto_world attr_cleanup(end)

/* The object as the API server has it, status is taken over. */
static void have(struct world *w, json_t *metadata, json_t *status)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:o*}", "apiVersion", "vmgpu.io/v1alpha1", "kind",
			      "GPUNode", "metadata", metadata, "status", status);
	struct err err = {""};

	json_object_set_new(metadata, "name", json_string("n1"));
	is_int(cache_load_json(w->cache, o, &err), 0);
	json_decref(o);
}

static json_t *owned(void)
{
	return json_pack("{s:s, s:[{s:s, s:s, s:s, s:s}]}", "uid", "g1", "ownerReferences",
			 "apiVersion", "v1", "kind", "Node", "name", "n1", "uid", "u1");
}

static void pass(struct world *w, const char *uid, int64_t now)
{
	struct report_seen seen = {
		.have = cache_get(w->cache, &kind_own_node, NULL, "n1"),
		.name = "n1",
		.node_uid = uid,
		.machine = &w->machine,
		.facts = {"6.1", "v", w->blind, w->obeyed},
		.now_ms = now,
	};

	plan_finish(&w->plan);
	plan_init(&w->plan, &w->arena, w->cache);
	plan_report(&seen, &w->plan);
}

#define CARD                                                                                       \
	"dir class/iommu/dmar0\ndir bus/pci/drivers/vfio-pci\ndevice 0000:01:00.0 id=10de:26b9 class=030200 driver=vfio-pci group=1\n"

static void made(void)
{
	auto_world struct world w;
	json_t *owner;

	begin(&w, CARD);
	pass(&w, NULL, NOW);
	is_int(w.plan.n, 0);
	ok(plan_report_wants_uid(NULL));
	pass(&w, "u1", NOW);
	is_int(w.plan.n, 1);
	is_int(w.plan.actions[0].what, ACTION_APPLY);
	is_str(w.plan.actions[0].manager, "vmgpu-node");
	is_str(w.plan.actions[0].name, "n1");
	is_str(json_string_value(json_object_get(w.plan.actions[0].body, "apiVersion")),
	       "vmgpu.io/v1alpha1");
	ok(!json_object_get(w.plan.actions[0].body, "spec") &&
	   !json_object_get(w.plan.actions[0].body, "status"));
	owner = json_array_get(json_object_get(json_object_get(w.plan.actions[0].body, "metadata"),
					       "ownerReferences"),
			       0);
	is_str(json_string_value(json_object_get(owner, "kind")), "Node");
	is_str(json_string_value(json_object_get(owner, "uid")), "u1");
}

static void reported(void)
{
	auto_world struct world w;
	json_t *status;

	begin(&w, CARD);
	have(&w, owned(), NULL);
	pass(&w, NULL, NOW);
	is_int(w.plan.n, 1);
	is_int(w.plan.actions[0].what, ACTION_STATUS);
	is_str(w.plan.actions[0].manager, "vmgpu-node");
	status = json_deep_copy(json_object_get(w.plan.actions[0].body, "status"));
	is_int(json_array_size(json_object_get(status, "units")), 1);
	have(&w, owned(), status);
	/* Each of the looks that need no event, for 24 hours. */
	for (int64_t later = LOOKS_SELDOM_MS; later <= 24 * 3600000LL; later += LOOKS_SELDOM_MS) {
		struct err err;

		ok(scan(w.tree.fd, &w.machine, &err) == 0);
		pass(&w, NULL, NOW + later);
		is_int(w.plan.n, 0);
	}
}

static void one_change(void)
{
	auto_world struct world w;
	json_t *status, *ready, *condition;
	struct err err;

	begin(&w, CARD);
	have(&w, owned(), NULL);
	pass(&w, NULL, NOW);
	have(&w, owned(), json_deep_copy(json_object_get(w.plan.actions[0].body, "status")));
	unlinkat(w.tree.fd, "devices/pci0000:01/0000:01:00.0/driver", 0);
	ok(scan(w.tree.fd, &w.machine, &err) == 0);
	pass(&w, NULL, NOW + 5000);
	is_int(w.plan.n, 1);
	status = json_object_get(w.plan.actions[0].body, "status");
	ready = json_object_get(status, "conditions");
	ok(!ready && !json_object_get(status, "nodeInfo"));
	is_str(json_string_value(json_object_get(json_object_get(status, "summary"), "modes")),
	       "unbound 1");
	ok(!json_object_get(json_object_get(status, "summary"), "names"));
	condition = json_array_get(
		json_object_get(json_array_get(json_object_get(status, "units"), 0), "conditions"),
		0);
	is_str(json_string_value(json_object_get(condition, "reason")), "Unbound");
	is_str(json_string_value(json_object_get(condition, "lastTransitionTime")),
	       "2026-01-01T00:00:00Z");
}

static void blind(void)
{
	auto_world struct world w;
	json_t *status, *c;

	begin(&w, CARD);
	have(&w, owned(), NULL);
	pass(&w, NULL, NOW);
	have(&w, owned(), json_deep_copy(json_object_get(w.plan.actions[0].body, "status")));
	w.blind = "Too many open files";
	pass(&w, NULL, NOW + 5000);
	is_int(w.plan.n, 1);
	is_str(w.plan.actions[0].why, "the machine could not be looked at");
	status = json_object_get(w.plan.actions[0].body, "status");
	ok(!json_object_get(status, "units") && !json_object_get(status, "summary"));
	c = json_array_get(json_object_get(status, "conditions"), 0);
	is_str(json_string_value(json_object_get(c, "status")), "Unknown");
	is_str(json_string_value(json_object_get(c, "reason")), "NotLookedAt");
	has(json_string_value(json_object_get(c, "message")),
	    "looked at again: Too many open files; the report is of the last");
}

/* "REASON: message" of the condition of this type. */
static const char *condition(struct world *w, const json_t *list, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach(list, i, c) {
		if (str_eq(json_string_value(json_object_get(c, "type")), type)) {
			return arena_printf(&w->arena, "%s %s: %s",
					    json_string_value(json_object_get(c, "status")),
					    json_string_value(json_object_get(c, "reason")),
					    json_string_value(json_object_get(c, "message")));
		}
	}
	return NULL;
}

static void orders_are_answered(void)
{
	auto_world struct world w;
	struct report_note notes[] = {
		{0x100, {"Available", "False", "InUse", "by somebody", 0, NULL}},
		{0x100, {"Stuck", "True", "Hangs", "since then", 0, NULL}},
		{0x200, {"Stuck", "True", "Hangs", "of another unit", 0, NULL}},
	};
	const struct report_obeyed obeyed = {
		.term = 7,
		.generation = 3,
		.obeying = {"Obeying", "True", "Obeying", "1 units are ordered", 0, NULL},
		.supplying = {"Supplying", "False", "NoKubelet", "no folder", 0, NULL},
		.notes = {notes, 3},
	};
	const json_t *status, *unit;

	begin(&w, CARD);
	have(&w, owned(), NULL);
	w.obeyed = &obeyed;
	pass(&w, NULL, NOW);
	status = json_object_get(w.plan.actions[0].body, "status");
	is_int(json_integer_value(json_object_get(status, "observedTerm")), 7);
	is_int(json_integer_value(json_object_get(status, "observedGeneration")), 3);
	is_str(condition(&w, json_object_get(status, "conditions"), "Obeying"),
	       "True Obeying: 1 units are ordered");
	is_str(condition(&w, json_object_get(status, "conditions"), "Supplying"),
	       "False NoKubelet: no folder");
	unit = json_object_get(json_array_get(json_object_get(status, "units"), 0), "conditions");
	is_int(json_array_size(unit), 2);
	is_str(condition(&w, unit, "Available"), "False InUse: by somebody");
	is_str(condition(&w, unit, "Stuck"), "True Hangs: since then");
	have(&w, owned(), json_deep_copy(status));
	pass(&w, NULL, NOW + 5000);
	is_int(w.plan.n, 0);
}

static void resources(void)
{
	static const char *const rows[][2] = {{"acme.com/own", "acme.com/own"},
					      {"nvidia.com/AD102GL_L40S", NULL}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_world struct world w;
		struct report_listed listed[] = {{0x200, "acme.com/others"}, {0x100, rows[i][0]}};
		const struct report_obeyed obeyed = {.listed = {listed, 2}};
		const json_t *units;

		begin(&w, CARD);
		have(&w, owned(), NULL);
		w.obeyed = &obeyed;
		pass(&w, NULL, NOW);
		units = json_object_get(json_object_get(w.plan.actions[0].body, "status"), "units");
		is_str(json_string_value(json_object_get(json_array_get(units, 0), "resource")),
		       rows[i][1]);
	}
}

static void adopted(void)
{
	auto_world struct world w;

	begin(&w, CARD);
	have(&w, json_pack("{s:s}", "uid", "g1"), NULL);
	ok(plan_report_wants_uid(cache_get(w.cache, &kind_own_node, NULL, "n1")));
	pass(&w, "u1", NOW);
	is_int(w.plan.n, 2);
	is_int(w.plan.actions[0].what, ACTION_APPLY);
	is_int(w.plan.actions[1].what, ACTION_STATUS);
}

static void going(void)
{
	auto_world struct world w;
	json_t *meta;

	begin(&w, CARD);
	meta = json_pack("{s:s, s:s}", "uid", "g1", "deletionTimestamp", "2026-01-01T00:00:00Z");
	have(&w, meta, NULL);
	ok(!plan_report_wants_uid(cache_get(w.cache, &kind_own_node, NULL, "n1")));
	pass(&w, "u1", NOW);
	is_int(w.plan.n, 0);
}

TESTS({"a node without a GPUNode gets one, owned by its Node, once the Node's uid is known", made},
      {"the status is written once; the same machine writes nothing for 24 hours", reported},
      {"one driver less: only what differs is written, and a condition of the same status keeps its time",
       one_change},
      {"a look that fails: the units stay as they were, and Ready says why it is not known", blind},
      {"orders are answered by their term, and what they cannot do is said of the unit",
       orders_are_answered},
      {"a unit that the kubelet has under another name than its model's says which", resources},
      {"a GPUNode that somebody made without an owner gets it", adopted},
      {"a GPUNode that is being deleted is left alone", going}, )
