/* SPDX-License-Identifier: Apache-2.0 */
/* The largest objects that the API server takes: too long for a case. */
#include "controller/plan_cluster.h"

#include "api/apps.h"
#include "api/kubevirt.h"
#include "api/vmgpu.h"
#include "base/buf.h"
#include "base/test.h"
#include "controller/kinds.h"
#include "controller/options.h"

#define PASS_ARENA (16 * MiB) /* as a controller that runs has it */
#define MANY 64		      /* of what one level of the spec may have */
#define LONG 8100	      /* characters of a key: 128 such are just less than a spec may have */

static struct cache *c;
static struct arena arena;
static struct plan plan;
static struct buf spec;
static size_t fleet[3][2]; /* of each node: how many free ones of example.com/A and /B */

static void begin(void)
{
	memset(fleet, 0, sizeof(fleet));
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

static void put_fleet(void)
{
	static struct condition free_one = {.type = "Available", .status = "True"};

	for (size_t i = 0; i < ARRAY_LEN(fleet); i++) {
		const char name[] = {(char)('a' + i), 0};
		struct gpu_unit units[64];
		struct gpu_node node = {.obj = {.name = name, .rv = "1"}, .units.items = units};

		while (node.units.n < fleet[i][0] + fleet[i][1]) {
			bool a = node.units.n < fleet[i][0];

			units[node.units.n++] = (struct gpu_unit){
				.name = a ? "example.com/A" : "example.com/B",
				.mode = "vfio",
				.conditions = {&free_one, 1},
			};
		}
		cache_put(c, &kind_gpu_node, &node);
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
	put_fleet();
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
		{"kubernetes.io", "ml", ""},
		{"k8s.io", "ml", ""},
		{"io/team", "ml", ""},
		{"a/Z", "a", ""},
		{"z/0", "z", ""},
		{"0.9/9", "A", ""},
		{"a--b.c/z", "Z", ""},
		{"A/z", "0", "cannot be the key"},
		{"z/A", "9", ""},
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
		{"a_b/c", "ml", "cannot be the key"},
		{"-a/c", "ml", "cannot be the key"},
		{"a-/c", "ml", "cannot be the key"},
		{"a.-b/c", "ml", "cannot be the key"},
		{".a/c", "ml", "cannot be the key"},
		{"a./c", "ml", "cannot be the key"},
		{"aZ/c", "ml", "cannot be the key"},
		{"a/_b", "ml", "cannot be the key"},
		{"team", "a,b", "team has a value"},
		{"team", "a b", "team has a value"},
		{"team", "-a", "team has a value"},
		{"team", "a.", "team has a value"},
		{"team", "_a", "team has a value"},
		{"team", "a_", "team has a value"},
		{"team", "a/a", "team has a value"},
		{"team", "a:a", "team has a value"},
		{"team", "a@a", "team has a value"},
		{"team", "a[a", "team has a value"},
		{"team", "a`a", "team has a value"},
		{"team", "a{a", "team has a value"},
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

/* Characters of a key and its value, at their limits: 253 before the slash, 63 behind it. */
static void lengths_of_a_label(void)
{
	static const struct {
		int prefix, name, value;
		const char *said;
	} rows[] = {
		{0, 1, 0, ""},
		{1, 1, 1, ""},
		{0, 63, 63, ""},
		{253, 63, 63, ""},
		{0, 64, 1, "cannot be the key"},
		{253, 64, 1, "a key that is too long cannot be the key"},
		{254, 62, 1, "aa cannot be the key"},
		{254, 63, 1, "a key that is too long cannot be the key"},
		{0, 1, 64, "a has a value"},
		{253, 63, 64, "aa has a value"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *many = xmalloc(300);
		const char *said;

		memset(many, 'a', 300);
		begin();
		buf_printf(&spec, "{\"nodeGroups\":{\"g\":{\"labels\":{\"%.*s%s%.*s\":\"%.*s\"}}}}",
			   rows[i].prefix, many, rows[i].prefix ? "/" : "", rows[i].name, many,
			   rows[i].value, many);
		said = message(status_of(), "Accepted");
		if (*rows[i].said) {
			has(said, rows[i].said);
		} else {
			is_str(said, "every field is acted on");
		}
	}
}

/* Of the MachineDeployment. */
static const char *capacity(const char *what)
{
	auto_free char *key = xprintf("capacity.cluster-autoscaler.kubernetes.io/%s", what);

	for (size_t k = 0; k < plan.n; k++) {
		const json_t *m = json_object_get(plan.actions[k].body, "metadata");
		const json_t *v = json_object_get(json_object_get(m, "annotations"), key);

		if (v) {
			return json_string_value(v);
		}
	}
	return NULL;
}

/* What stands there in the object of this kind. */
static const json_t *body_of(const char *kind, const char *const *path)
{
	for (size_t k = 0; k < plan.n; k++) {
		const json_t *o = plan.actions[k].body;

		if (str_eq(plan.actions[k].kind ? plan.actions[k].kind->kind : NULL, kind)) {
			for (; *path; path++) {
				o = json_object_get(o, *path);
			}
			return o;
		}
	}
	return NULL;
}

/* The value of a kubelet's argument. */
static const char *argument(const char *name)
{
	static const char *const path[] = {"spec",
					   "template",
					   "spec",
					   "joinConfiguration",
					   "nodeRegistration",
					   "kubeletExtraArgs",
					   NULL};
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)body_of("KubeadmConfigTemplate", path), i, one) {
		if (str_eq(json_string_value(json_object_get(one, "name")), name)) {
			return json_string_value(json_object_get(one, "value"));
		}
	}
	return NULL;
}

/* The label gpu-type of a group that asks for such a name, as the autoscaler has it. */
static const char *gpu_type(const char *device)
{
	const char *labels, *at;

	begin();
	buf_printf(&spec, "{\"nodeGroups\":{\"g\":{\"gpus\":[{\"name\":\"%s\"}]}}}", device);
	status_of();
	labels = capacity("labels");
	at = labels ? strstr(labels, "gpu-type=") : NULL;
	return at ? at + strlen("gpu-type=") : NULL;
}

static void labels_of_models(void)
{
#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
	static const char *const rows[][2] = {
		{"C", "C"},
		{"CARD", "CARD"},
		{"CARD 40", "CARD-40"},
		{"CARD  [40]", "CARD-40"},
		{"CARD- 40", "CARD-40"},
		{"CARD -40", "CARD--40"},
		{" CARD", "CARD"},
		{"[+CARD", "CARD"},
		{"_-.CARD", "CARD"},
		{"CARD ", "CARD"},
		{"CARD-._+", "CARD"},
		{"A_b-C.9", "A_b-C.9"},
		{"[", ""},
		{"-._", ""},
		{SIXTY "ab", SIXTY "ab"},
		{SIXTY "abc", SIXTY "abc"},
		{SIXTY "abcd", SIXTY "abc"},
		{SIXTY "ab cd", SIXTY "ab"},
		{SIXTY "ab.", SIXTY "ab"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *device = xprintf("example.com/%s", rows[i][0]);

		is_str(gpu_type(device), rows[i][1]);
	}
}

/* Five per cent, between 256Mi and 1Gi, 50m and 500m, twice. */
static void what_is_kept_of_a_worker(void)
{
	static const struct {
		const char *cpu, *memory, *kept, *left_memory, *left_cpu;
	} rows[] = {
		{"1", "5100Mi", "memory=256Mi,cpu=50m", "4231Mi", "900m"},
		{"1", "5120Mi", "memory=256Mi,cpu=50m", "4249Mi", "900m"},
		{"2", "5140Mi", "memory=257Mi,cpu=100m", "4266Mi", "1800m"},
		{"9", "20460Mi", "memory=1023Mi,cpu=450m", "16981Mi", "8100m"},
		{"10", "20480Mi", "memory=1024Mi,cpu=500m", "16998Mi", "9000m"},
		{"11", "20500Mi", "memory=1024Mi,cpu=500m", "17017Mi", "10000m"},
		{"500m", "1Gi", "memory=256Mi,cpu=50m", "440Mi", "900m"},
		{"1500m", "8Gi", "memory=409Mi,cpu=100m", "6800Mi", "1800m"},
		{"1", "552Mi", "memory=256Mi,cpu=50m", "1Mi", "900m"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		buf_printf(
			&spec,
			"{\"nodeGroups\":{\"g\":{\"resources\":{\"cpu\":\"%s\",\"memory\":\"%s\"}}}}",
			rows[i].cpu, rows[i].memory);
		status_of();
		is_str(argument("kube-reserved"), rows[i].kept);
		is_str(argument("system-reserved"), rows[i].kept);
		is_str(capacity("memory"), rows[i].left_memory);
		is_str(capacity("cpu"), rows[i].left_cpu);
	}
}

static void sizes_of_a_worker(void)
{
	static const struct {
		const char *cpu, *memory, *eviction, *said, *left;
	} rows[] = {
		{"2", "8Gi", "10%", NULL, "6554Mi"},
		{"2", "8Gi", "0%", NULL, "7374Mi"},
		{"2", "8Gi", "1Gi", NULL, "6350Mi"},
		{"2", "8Gi", ".5%", NULL, "7333Mi"},
		{"2", "8Gi", "-1e30%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", "1e1%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", "100.1%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", "100%", "nodeGroups.g: system, kubelet and eviction keep all memory",
		 NULL},
		{"2", "8Gi", "5%%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", "%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", ".%", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"2", "8Gi", "0", "nodeGroups.g.kubelet.evictionHardMemory", NULL},
		{"1e30", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"0", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"-1", "8Gi", "7%", "nodeGroups.g.resources.cpu", NULL},
		{"2", "1e30", "7%", "nodeGroups.g.resources.memory", NULL},
		{"2", "0", "7%", "nodeGroups.g.resources.memory", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *left;

		begin();
		buf_printf(
			&spec,
			"{\"nodeGroups\":{\"g\":{\"resources\":{\"cpu\":\"%s\",\"memory\":\"%s\"},"
			"\"kubelet\":{\"evictionHardMemory\":\"%s\"}}}}",
			rows[i].cpu, rows[i].memory, rows[i].eviction);
		has(message(status_of(), "Accepted"),
		    rows[i].said ? rows[i].said : "every field is acted on");
		left = capacity("memory");
		ok(!left == !rows[i].left);
		if (left) {
			is_str(left, rows[i].left);
		}
	}
}

/* What one of three groups has is found, wherever it stands. */
static void each_group_is_looked_at(void)
{
	static const char *const rows[][2] = {
		{"\"resources\":{\"cpu\":\"0\",\"memory\":\"1Gi\"}", "nodeGroups.%c.resources.cpu"},
		{"\"resources\":{\"cpu\":\"1\",\"memory\":\"0\"}",
		 "nodeGroups.%c.resources.memory"},
		{"\"labels\":{\"a b\":\"x\"}", "nodeGroups.%c.labels: a b"},
		{"\"resources\":{\"cpu\":\"1\"}", "nodeGroups.%c.resources"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (char bad = 'a'; bad <= 'c'; bad++) {
			char want[64];

			begin();
			buf_str(&spec, "{\"nodeGroups\":{");
			for (char g = 'a'; g <= 'c'; g++) {
				buf_printf(&spec, "%s\"%c\":{%s}", g == 'a' ? "" : ",", g,
					   g == bad ? rows[i][0] : "");
			}
			buf_str(&spec, "}}");
			snprintf(want, sizeof(want), "nodeGroups.%c.%s", bad,
				 rows[i][1] + strlen("nodeGroups.%c."));
			has(message(status_of(), "Accepted"), want);
		}
	}
}

/* No more workers at once than there are free GPUs for; with none, the old ones go first. */
static void surge_of_a_rollout(void)
{
	static const struct {
		size_t fleet[3][2];
		int ask_a, ask_b, min, max, surge, unavailable;
	} rows[] = {
		{{{0}}, 0, 0, 0, 1, 1, 1},
		{{{0}}, 0, 0, 2, 10, 10, 1},
		{{{0}}, 1, 0, 0, 10, 0, 1},
		{{{0}}, 1, 0, 2, 10, 0, 3},
		{{{1}}, 1, 0, 2, 10, 1, 1},
		{{{2}, {3}, {1}}, 1, 0, 0, 10, 6, 1},
		{{{2}, {3}, {1}}, 2, 0, 0, 10, 2, 1},
		{{{2}, {3}, {1}}, 3, 0, 0, 10, 1, 1},
		{{{2}, {3}, {1}}, 4, 0, 1, 10, 0, 2},
		{{{2, 1}, {3, 0}, {1, 5}}, 1, 1, 0, 10, 2, 1},
		{{{4, 1}, {4, 2}, {4, 9}}, 2, 1, 0, 10, 5, 1},
		{{{0, 9}, {0, 9}, {1, 0}}, 1, 1, 0, 10, 0, 1},
		{{{6}, {6}, {6}}, 1, 0, 0, 17, 17, 1},
		{{{6}, {6}, {6}}, 1, 0, 0, 18, 18, 1},
		{{{6}, {6}, {6}}, 1, 0, 0, 19, 18, 1},
	};
	static const char *const path[] = {"spec", "rollout", "strategy", "rollingUpdate", NULL};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *update;

		begin();
		memcpy(fleet, rows[i].fleet, sizeof(fleet));
		buf_printf(
			&spec,
			"{\"nodeGroups\":{\"g\":{\"minReplicas\":%d,\"maxReplicas\":%d,\"gpus\":[",
			rows[i].min, rows[i].max);
		if (rows[i].ask_a) {
			buf_printf(&spec, "{\"name\":\"example.com/A\",\"count\":%d}",
				   rows[i].ask_a);
		}
		if (rows[i].ask_b) {
			buf_printf(&spec, ",{\"name\":\"example.com/B\",\"count\":%d}",
				   rows[i].ask_b);
		}
		buf_str(&spec, "]}}}");
		status_of();
		update = body_of("MachineDeployment", path);
		is_int(json_integer_value(json_object_get(update, "maxSurge")), rows[i].surge);
		is_int(json_integer_value(json_object_get(update, "maxUnavailable")),
		       rows[i].unavailable);
	}
}

TESTS({"64 groups with 64 names each: the summary is cut, the list has what the CRD takes",
       names_of_all_groups},
      {"addons with long names are counted, not all named", long_names_of_addons},
      {"labels that are too long are refused", long_labels},
      {"a label with which no kubelet starts is refused", what_a_kubelet_takes},
      {"keys and values of labels are as long as Kubernetes has them", lengths_of_a_label},
      {"a model is a label in the letters that labels have", labels_of_models},
      {"what is kept of a worker's memory and CPU has limits", what_is_kept_of_a_worker},
      {"each of several groups is looked at", each_group_is_looked_at},
      {"a rollout starts no more workers than there are free GPUs for", surge_of_a_rollout},
      {"a size that no worker can have is refused", sizes_of_a_worker})
