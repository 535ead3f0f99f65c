/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the largest objects cost a pass. Every text that the CRDs let a tenant write is tried, once
 * at its largest in as many places as there may be, and once as an object that is older than the
 * limits had it: as long as a spec may be. None may fill the pass, whose end is the program's.
 */
#include "controller/child.h"

#include "api/apps.h"
#include "api/kubevirt.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"
#include "controller/plan_cluster.h"
#include "controller/plan_disk.h"
#include "controller/plan_vm.h"
#include "json/write.h"
#include "json/yaml.h"

#define PASS_ARENA (16 * MiB) /* as a controller that runs has it */

static const struct {
	const char *crd, *kind;
	const struct reconciler *reconciler;
} kinds[] = {
	{"crds/apps.cozystack.io_virtualmachines.yaml", "VirtualMachine",
	 &reconcile_virtual_machine},
	{"crds/apps.cozystack.io_vminstances.yaml", "VMInstance", &reconcile_vm_instance},
	{"crds/apps.cozystack.io_vmdisks.yaml", "VMDisk", &reconcile_vm_disk},
	{"crds/apps.cozystack.io_kuberneteses.yaml", "Kubernetes", &reconcile_kubernetes},
};

static size_t most; /* bytes of the dearest pass */

static struct cache *a_cluster(void)
{
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
		.permitted = "{\"pciHostDevices\":[]}",
		.phase = "Deployed",
	};
	struct cache *c = cache_create(controller_kinds);

	for (size_t k = 0; controller_kinds[k]; k++) {
		const char *versions = controller_kinds[k]->versions;
		auto_free char *first = xstrndup(versions, strcspn(versions, " "));

		cache_set_served(c, controller_kinds[k], first);
	}
	cache_put(c, &kind_kv_config, &cr);
	return c;
}

/* The message of Accepted where it has this reason, or Unreadable, alone. To be freed. */
static char *said(const struct plan *plan, const char *reason)
{
	json_t *status = json_object_get(plan->actions[plan->n - 1].body, "status"), *one;
	char *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(status, "conditions"), i, one) {
		const char *found_reason = json_string_value(json_object_get(one, "reason"));

		if (str_eq(found_reason, reason) || str_eq(found_reason, "Unreadable")) {
			is_str(json_string_value(json_object_get(one, "type")), "Accepted");
			is_int(plan->n, 1);
			found = xstrdup(json_string_value(json_object_get(one, "message")));
		}
	}
	return found;
}

/* One pass over what is in the cache, which ends. */
static char *pass_in(struct cache *c, const struct reconciler *r, const char *reason)
{
	static const struct options options = {.worker_image = "registry/worker:{minor}"};
	struct arena arena, plan_arena;
	struct plan plan;
	struct pass pass = {.arena = &arena, .cache = c, .kind = r->primary, .key = {"t", "k"}};
	char *found;

	pass.options = &options;
	arena_init(&arena, PASS_ARENA);
	arena_init(&plan_arena, PASS_ARENA);
	plan_init(&plan, &plan_arena, c);
	r->plan(r->gather(&pass), &plan);
	most = MAX(most, MAX(arena.used, plan_arena.used));
	ok(plan.n > 0 && plan.actions[plan.n - 1].what == ACTION_STATUS);
	found = said(&plan, reason);
	plan_finish(&plan);
	arena_finish(&plan_arena);
	arena_finish(&arena);
	cache_destroy(c);
	return found;
}

/* One pass; the message of Accepted, or NULL where it is not TooLarge. To be freed. */
static char *pass_over(size_t kind, json_t *spec_new)
{
	json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:o}", "apiVersion",
			      "apps.cozystack.io/v1alpha1", "kind", kinds[kind].kind, "metadata",
			      "name", "k", "namespace", "t", "uid", "u", "spec", spec_new);
	struct cache *c = a_cluster();
	struct err err = {""};

	is_int(cache_load_json(c, o, &err), 0);
	is_str(err.text, "");
	json_decref(o);
	return pass_in(c, kinds[kind].reconciler, "TooLarge");
}

/* --- every text of a CRD ---------------------------------------------------------------------- */

struct step {
	const struct step *above;
	const char *key; /* of an object; NULL: items of an array or values of a map */
	bool map;
	int64_t many; /* entries */
};

struct text_field {
	size_t kind;
	const struct step *path;
	int64_t limit; /* maxLength */
};

static char *filler(size_t n, const char *with)
{
	char *s = xmalloc(n + 1);
	size_t one = strlen(with);

	for (size_t i = 0; i < n; i += one) {
		memcpy(s + i, with, MIN(one, n - i));
	}
	s[n] = '\0';
	return s;
}

/* inner stands in all places that the path allows, or in `many` of each level. */
static json_t *built(const struct step *s, json_t *inner, int64_t many)
{
	for (; s; s = s->above) {
		int64_t n = s->key ? 1 : MIN(s->many, many);
		json_t *outer = s->key || s->map ? json_object() : json_array();

		for (int64_t i = 0; i < n; i++) {
			char name[24];

			snprintf(name, sizeof(name), "g%" PRId64, i);
			if (s->key || s->map) {
				json_object_set(outer, s->key ? s->key : name, inner);
			} else {
				json_array_append(outer, inner);
			}
		}
		json_decref(inner);
		inner = outer;
	}
	return inner;
}

static int64_t places(const struct step *s, int64_t many)
{
	int64_t n = 1;

	for (; s; s = s->above) {
		n *= s->key ? 1 : MIN(s->many, many);
	}
	return n;
}

/* One pass with this text in all those places; too many of them are cut down to what a spec has. */
static void try_text(const struct text_field *f, const char *with, int64_t length, int64_t many)
{
	auto_free char *text = filler((size_t)length, with), *said = NULL;

	while (many > 1 && places(f->path, many) * (length + 40) > (int64_t)CHILD_SPEC_MAX) {
		many--;
	}
	said = pass_over(f->kind, built(f->path, json_string(text), many));
	if (said) {
		printf("# %s\n", said);
	}
	ok(!said);
}

static void try_field(const struct text_field *f)
{
	const char *with = f->limit > 64 ? "a" : "1h"; /* a duration of any length is one */
	int64_t all = places(f->path, 64), old = (int64_t)CHILD_SPEC_MAX - 4 * KiB;

	try_text(f, with, f->limit, 256);
	/* of older objects: all in one place, and in as many as there may be */
	try_text(f, with, old, 1);
	try_text(f, with, MAX(old / all - 40, (int64_t)1), 64);
}

static int64_t maximum(const json_t *schema, const char *name)
{
	const json_t *n = json_object_get(schema, name);

	return n ? json_integer_value(n) : 1;
}

static void walk(size_t kind, const json_t *schema, const struct step *path, size_t *fields)
{
	const json_t *items = json_object_get(schema, "items"),
		     *values = json_object_get(schema, "additionalProperties");
	struct text_field f = {kind, path, maximum(schema, "maxLength")};
	const char *key;
	json_t *property;

	if (json_object_get(schema, "maxLength")) {
		try_field(&f);
		++*fields;
	}
	if (items) {
		walk(kind, items, &(struct step){path, NULL, false, maximum(schema, "maxItems")},
		     fields);
	}
	if (values) {
		walk(kind, values,
		     &(struct step){path, NULL, true, maximum(schema, "maxProperties")}, fields);
	}
	json_object_foreach(json_object_get(schema, "properties"), key, property) {
		walk(kind, property, &(struct step){path, key, false, 1}, fields);
	}
}

static const json_t *spec_schema(const json_t *docs)
{
	const json_t *spec = json_object_get(json_array_get(docs, 0), "spec"),
		     *version = json_array_get(json_object_get(spec, "versions"), 0),
		     *schema =
			     json_object_get(json_object_get(version, "schema"), "openAPIV3Schema");

	return json_object_get(json_object_get(schema, "properties"), "spec");
}

static void every_text(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct err err = {""};
		json_t *docs = yaml_read_file(kinds[i].crd, &err);
		size_t fields = 0;

		ok(docs);
		most = 0;
		walk(i, spec_schema(docs), NULL, &fields);
		json_decref(docs);
		printf("# %s: %zu texts, at most %zu KiB of a pass\n", kinds[i].kind, fields,
		       (size_t)(most / KiB));
		ok(fields > 3);
		ok(most < PASS_ARENA / 4 * 3);
	}
}

/* --- too large -------------------------------------------------------------------------------- */

static void too_large(void)
{
	auto_free char *text = filler(4 * MiB, "x");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		auto_free char *said = pass_over(
			i, json_pack("{s:s, s:s}", "storageClass", "fast", "cloudInit", text));

		is_str(said, "spec has 4194342 bytes, at most 1048576 are acted on; most of them "
			     "are in spec.cloudInit: shorten it; until then what was made for "
			     "this object stays as it is");
	}
}

/* --- entries instead of text ------------------------------------------------------------------ */

#define ZEROS "00000000000000000000000000000000000000000000000000000000"

struct entries {
	size_t kind;
	const char *begin, *head, *tail, *end; /* between begin and end: head, a number, tail */
	bool numbered;
	const char *refused; /* the reason; NULL: they are acted on */
};

static void write_entries(const struct entries *e, struct buf *b)
{
	buf_str(b, e->begin);
	for (size_t i = 0; b->len < CHILD_SPEC_MAX - 128; i++) {
		buf_printf(b, "%s%s", i ? "," : "", e->head);
		if (e->numbered) {
			buf_printf(b, "%zx", i);
		}
		buf_str(b, e->tail);
	}
	buf_str(b, e->end);
	ok(buf_ok(b));
}

/* Decoded, each takes many times its text. They are of objects that are older than the limits. */
static void a_million_entries(void)
{
	static const struct entries rows[] = {
		{0, "{\"gpus\":[", "{}", "", "]}", false, "Unreadable"},
		{1, "{\"gpus\":[", "{\"name\":\"a\"}", "", "]}", false, "Unreadable"},
		{1, "{\"networks\":[", "{}", "", "]}", false, "Unreadable"},
		{1, "{\"sshKeys\":[", "\"\"", "", "]}", false, "Unreadable"},
		{1, "{\"disks\":[", "1", "", "]}", false, "InvalidDisk"},
		{1, "{\"externalPorts\":[", "1", "", "]}", false, NULL},
		{3, "{\"nodeGroups\":{", "\"", "\":{}", "}}", true, "Unreadable"},
		{3, "{\"nodeGroups\":{", "\"" ZEROS ZEROS ZEROS ZEROS,
		 "\":{\"gpus\":[{\"name\":\"a\"}]}", "}}", true, "TooLarge"},
		{3, "{\"nodeGroups\":{\"a\":{\"gpus\":[", "{}", "", "]}}}", false, "Unreadable"},
		{3, "{\"nodeGroups\":{\"a\":{\"roles\":[", "\"\"", "", "]}}}", false, "Unreadable"},
		{3, "{\"nodeGroups\":{\"a\":{\"labels\":{", "\"", "\":\"\"", "}}}}", true, NULL},
		{3, "{\"addons\":{", "\"", "\":{\"enabled\":true}", "}}", true, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct reconciler *r = kinds[rows[i].kind].reconciler;
		auto_buf struct buf b = {.max = 2 * MiB};
		struct vm_app vm = {.obj = {.ns = "t", .name = "k", .uid = "u", .rv = "1"}};
		struct cluster_app cluster = {.obj = vm.obj};
		struct cache *c = a_cluster();
		auto_free char *said = NULL;

		write_entries(&rows[i], &b);
		vm.spec = cluster.spec = buf_text(&b);
		cache_put(c, r->primary, rows[i].kind == 3 ? (const void *)&cluster : &vm);
		most = 0;
		said = pass_in(c, r, rows[i].refused ? rows[i].refused : "Unreadable");
		printf("# %s%s%s: %zu KiB of a pass: %s\n", rows[i].begin, rows[i].head,
		       rows[i].tail, (size_t)(most / KiB), said ? said : "acted on");
		ok(!said == !rows[i].refused);
		ok(most < PASS_ARENA / 4 * 3);
	}
}

TESTS({"the largest texts leave a quarter of a pass free", every_text},
      {"a million entries end no program, and do not count as none", a_million_entries},
      {"a spec that is too large is refused, with its largest field", too_large})
