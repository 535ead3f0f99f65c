/* SPDX-License-Identifier: Apache-2.0 */
/* The largest objects that the API server takes: too long for a case. */
#include "controller/plan_cluster.h"

#include "api/apps.h"
#include "api/kubevirt.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"

#define PASS_ARENA (16 * MiB) /* as a controller that runs has it */
#define MANY 64		      /* of what one level of the spec may have */
#define LONG 8200	      /* characters of a key: 64 such are 0.5 MiB */

static struct cache *c;
static struct arena arena;
static struct plan plan;
static struct buf spec;

static void begin(void)
{
	buf_finish(&spec);
	buf_init(&spec, 4 * MiB);
}

static void serve_all(void)
{
	for (size_t k = 0; controller_kinds[k]; k++) {
		const char *versions = controller_kinds[k]->versions;
		auto_free char *first = xstrndup(versions, strcspn(versions, " "));

		cache_set_served(c, controller_kinds[k], first);
	}
}

/* The status that one pass over an object with this spec writes. */
static const json_t *status_of(void)
{
	static const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
		.permitted = "{\"pciHostDevices\":[]}",
		.phase = "Deployed",
	};
	static const struct options options = {.worker_image = "w"};
	json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:o}", "apiVersion",
			      "apps.cozystack.io/v1alpha1", "kind", "Kubernetes", "metadata",
			      "name", "k", "namespace", "t", "uid", "u", "spec",
			      json_loads(buf_text(&spec), 0, NULL));
	struct err err = {""};
	struct pass pass;

	plan_finish(&plan);
	arena_finish(&arena);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	serve_all();
	cache_put(c, &kind_kv_config, &cr);
	is_int(cache_load_json(c, o, &err), 0);
	is_str(err.text, "");
	json_decref(o);
	arena_init(&arena, PASS_ARENA);
	plan_init(&plan, &arena, c);
	pass = (struct pass){
		.arena = &arena,
		.cache = c,
		.kind = reconcile_kubernetes.primary,
		.key = {"t", "k"},
		.options = &options,
	};
	reconcile_kubernetes.plan(reconcile_kubernetes.gather(&pass), &plan);
	for (size_t i = 0; i < plan.n; i++) {
		if (plan.actions[i].what == ACTION_STATUS) {
			return json_object_get(plan.actions[i].body, "status");
		}
	}
	ok(!"a status");
	return NULL;
}

static const char *message(const json_t *status, const char *type)
{
	const json_t *conditions = json_object_get(status, "conditions"), *one;
	size_t i;

	json_array_foreach((json_t *)conditions, i, one) {
		if (str_eq(json_string_value(json_object_get(one, "type")), type)) {
			return json_string_value(json_object_get(one, "message"));
		}
	}
	return "";
}

/* An object of MANY long keys, each with this value. */
static void add_long_keys(const char *value)
{
	for (int i = 0; i < MANY; i++) {
		buf_printf(&spec, "%s\"k%d%0*d\":%s", i ? "," : "{", i, LONG, 0, value);
	}
	buf_char(&spec, '}');
}

static void names_of_all_groups(void)
{
	const json_t *status;

	begin();
	buf_str(&spec, "{\"nodeGroups\":{");
	for (int g = 0; g < MANY; g++) {
		buf_printf(&spec, "%s\"g%d\":{\"minReplicas\":1,\"gpus\":[", g ? "," : "", g);
		for (int i = 0; i < MANY; i++) {
			buf_printf(&spec, "%s{\"name\":\"nvidia.com/%050d\"}", i ? "," : "",
				   g * MANY + i);
		}
		buf_str(&spec, "]}");
	}
	buf_str(&spec, "}}");
	status = status_of();
	/* The CRD takes no more, and refuses the whole status. */
	is_int(json_array_size(json_object_get(status, "gpus")), 64);
	has(json_string_value(json_object_get(status, "gpuSummary")), " more");
}

static void long_names_of_addons(void)
{
	const char *said;

	begin();
	buf_str(&spec, "{\"addons\":");
	add_long_keys("{\"enabled\":true}");
	buf_str(&spec, ",\"plugins\":");
	add_long_keys("{\"enabled\":true}");
	buf_char(&spec, '}');
	said = message(status_of(), "Accepted");
	has(said, "accepted without effect: ");
	ok(strlen(said) < 4 * KiB);
}

static void long_labels(void)
{
	begin();
	buf_str(&spec, "{\"nodeGroups\":{\"g\":{\"labels\":");
	add_long_keys("\"on\"");
	buf_str(&spec, "}}}");
	has(message(status_of(), "Accepted"), "nodeGroups.g.labels");
}

static void what_a_kubelet_takes(void)
{
	static const struct {
		const char *key, *value, *said;
	} rows[] = {
		{"team", "ml", ""},
		{"team", "", ""},
		{"Team_1.x", "A-b", ""},
		{"a-1.example.com/team", "ml", ""},
		{"mykubernetes.io/team", "ml", ""},
		{"node.kubernetes.io/instance-type", "gpu", ""},
		{"x.kubelet.kubernetes.io/a", "b", ""},
		{"topology.kubernetes.io/zone", "z", ""},
		{"topology.kubernetes.io/region", "r", ""},
		{"failure-domain.beta.kubernetes.io/zone", "z", ""},
		{"failure-domain.beta.kubernetes.io/region", "r", ""},
		{"beta.kubernetes.io/instance-type", "t", ""},
		{"beta.kubernetes.io/os", "linux", ""},
		{"beta.kubernetes.io/arch", "amd64", ""},
		{"kubernetes.io/hostname", "h", ""},
		{"kubernetes.io/os", "linux", ""},
		{"kubernetes.io/arch", "amd64", ""},
		{"node-role.kubernetes.io/gpu", "", "is a label of Kubernetes"},
		{"kubernetes.io/team", "ml", "is a label of Kubernetes"},
		{"x.k8s.io/team", "ml", "is a label of Kubernetes"},
		{"", "ml", "cannot be the key"},
		{"a b", "ml", "cannot be the key"},
		{"-a", "ml", "cannot be the key"},
		{"a/", "ml", "cannot be the key"},
		{"/a", "ml", "cannot be the key"},
		{"a/b/c", "ml", "cannot be the key"},
		{"Example.com/a", "ml", "cannot be the key"},
		{"a..b/c", "ml", "cannot be the key"},
		{"a-.b/c", "ml", "cannot be the key"},
		{"a,b", "ml", "cannot be the key"},
		{"team", "a,b", "team has a value"},
		{"team", "a b", "team has a value"},
		{"team", "-a", "team has a value"},
		{"team", "a.", "team has a value"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *said;

		begin();
		buf_printf(&spec, "{\"nodeGroups\":{\"g\":{\"labels\":{\"%s\":\"%s\"}}}}",
			   rows[i].key, rows[i].value);
		said = message(status_of(), "Accepted");
		if (*rows[i].said) {
			has(said, rows[i].said);
		} else {
			is_str(said, "every field is acted on");
		}
	}
}

static void sizes_of_a_worker(void)
{
	static const struct {
		const char *cpu, *memory, *eviction, *said, *left;
	} rows[] = {
		{"2", "8Gi", "10%", NULL, "6554Mi"},
		{"2", "8Gi", "-1e30%", NULL, "8192Mi"},
		{"1e30", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"0", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"-1", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"2", "1e30", "7%", "nodeGroups.g.resources.memory", NULL},
		{"2", "0", "7%", "nodeGroups.g.resources.memory", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *left = NULL;

		begin();
		buf_printf(
			&spec,
			"{\"nodeGroups\":{\"g\":{\"resources\":{\"cpu\":\"%s\",\"memory\":\"%s\"},"
			"\"kubelet\":{\"evictionHardMemory\":\"%s\"}}}}",
			rows[i].cpu, rows[i].memory, rows[i].eviction);
		has(message(status_of(), "Accepted"),
		    rows[i].said ? rows[i].said : "every field is acted on");
		for (size_t k = 0; k < plan.n; k++) {
			const json_t *m = json_object_get(plan.actions[k].body, "metadata");
			const json_t *a = json_object_get(m, "annotations");

			left = left ? left
				    : json_string_value(json_object_get(
					      a,
					      "capacity.cluster-autoscaler.kubernetes.io/memory"));
		}
		ok(!left == !rows[i].left);
		if (left) {
			is_str(left, rows[i].left);
		}
	}
}

TESTS({"64 groups with 64 names each: the summary is cut, the list has what the CRD takes",
       names_of_all_groups},
      {"addons with long names are counted, not all named", long_names_of_addons},
      {"labels that are too long are refused", long_labels},
      {"a label with which no kubelet starts is refused", what_a_kubelet_takes},
      {"a size that no worker can have is refused", sizes_of_a_worker})
