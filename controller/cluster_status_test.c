/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions and numbers of a Kubernetes with several groups and workers: a case has one or two. */
#include "controller/cluster.h"

#include "base/test.h"
#include "controller/kinds.h"

#define GROUPS 4
#define WORKERS 4
#define CARD "example.com/CARD"
#define OTHER "example.com/OTHER"

static struct arena arena;
static struct cache *c;
static struct pass pass;
static struct cluster_app app;
static struct capi_cluster cluster;
static struct condition up;
static struct cluster_group groups[GROUPS];
static struct capi_machine_deployment deployments[GROUPS];
static struct kv_instancetype type;
static struct cr cr;
static struct inventory inventory;
static struct cluster_seen s;

/* A control plane that is up, groups a, b, c, d with one worker each that is there. */
static void begin(size_t n)
{
	static const char *const keys[GROUPS] = {"a", "b", "c", "d"};

	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	cache_destroy(c);
	c = cache_create(controller_kinds);
	pass = (struct pass){.arena = &arena, .cache = c};
	app = (struct cluster_app){.obj = {.ns = "t", .name = "k"}};
	up = (struct condition){.type = "ControlPlaneAvailable", .status = "True"};
	cluster = (struct capi_cluster){.conditions = {&up, 1}};
	cr = (struct cr){0};
	inventory = (struct inventory){.pass = &pass};
	s = (struct cluster_seen){
		.pass = &pass,
		.app = &app,
		.child.name = "kubernetes-k",
		.ns = "t",
		.cdi_served = true,
		.cluster = &cluster,
		.cluster_ours = true,
		.groups = groups,
		.n_groups = n,
		.total = {.pass = &pass, .inventory = &inventory, .cr = &cr, .ns = "t"},
	};
	for (size_t i = 0; i < GROUPS; i++) {
		deployments[i] =
			(struct capi_machine_deployment){.replicas = {1, true}, .up_to_date = 1};
		groups[i] = (struct cluster_group){
			.key = keys[i],
			.name = arena_printf(&arena, "kubernetes-k-%s", keys[i]),
			.type_name = "u1",
			.type = &type,
			.deployment = &deployments[i],
			.desired = 1,
			.ready = 1,
			.asked = s.total,
		};
	}
}

/* A worker of a group; why: what the scheduler says of it, or what KubeVirt says. */
static void worker(const char *name, const char *group, const char *device, const char *why)
{
	struct kv_gpu one = {"gpu1", device};
	bool quota = why && strstr(why, "quota");
	struct condition said = {.type = quota ? "Synchronized" : "PodScheduled",
				 .status = why ? "False" : "True",
				 .reason = quota ? "FailedCreate" : "Unschedulable",
				 .message = why};
	const struct capi_machine m = {
		.of = {.obj = {.ns = "t", .name = name, .uid = name, .rv = "1"},
		       .cluster = "kubernetes-k",
		       .deployment = group},
		.machine = name,
	};
	const struct kv_vmi v = {
		.obj = {.ns = "t", .name = name, .uid = name, .rv = "1"},
		.host_devices = {&one, 1},
		.phase = why ? "Pending" : "Running",
		.node = why ? NULL : "n",
		.conditions = {&said, 1},
	};

	cache_put(c, &kind_capi_machine, &m);
	cache_put(c, &kind_kv_vmi, &v);
}

/* Said while no worker of any group is ready. */
#define NO_NETWORK                                                                                 \
	"; none gets ready before you have installed a network plugin (CNI) in the cluster"

static void each_group_counts(void)
{
	for (size_t n = 0; n <= GROUPS; n++) {
		begin(n);
		is_str(cluster_ready(&s).reason, "Ready");
		for (size_t bad = 0; bad < n; bad++) {
			begin(n);
			groups[bad].type = NULL;
			is_str(cluster_ready(&s).reason, "InstanceTypeMissing");
			has(cluster_ready(&s).message,
			    arena_printf(&arena, "node group %s wants", groups[bad].key));
			groups[bad].type_name = NULL;
			is_str(cluster_ready(&s).reason, "Ready");

			begin(n);
			groups[bad].ready = 0;
			is_str(cluster_ready(&s).reason, "WaitingForWorkers");
			is_str(strstr(cluster_ready(&s).message, "ready: "),
			       arena_printf(&arena, "ready: %s (0 of 1)%s", groups[bad].key,
					    n == 1 ? NO_NETWORK : ""));

			begin(n);
			groups[bad].rolls = true;
			is_str(cluster_ready(&s).reason, "RollingOut");
			has(cluster_ready(&s).message,
			    arena_printf(&arena, "ready: %s (1 of 1)", groups[bad].key));

			begin(n);
			groups[bad].scales = true;
			is_str(cluster_ready(&s).reason, "RollingOut");

			begin(n);
			groups[bad].behind = true;
			is_str(cluster_ready(&s).reason, "RollingOut");

			begin(n);
			deployments[bad].up_to_date = 0;
			is_str(cluster_ready(&s).reason, "RollingOut");
			groups[bad].deployment = NULL;
			is_str(cluster_ready(&s).reason, "Ready");
		}
	}
}

static void groups_that_lack_workers_are_listed(void)
{
	begin(3);
	groups[0].ready = 0;
	groups[1].ready = 2;
	groups[2].ready = 1;
	groups[2].desired = 3;
	is_str(strstr(cluster_ready(&s).message, "ready: "), "ready: a (0 of 1), c (1 of 3)");
}

static void workers_that_wait_are_counted(void)
{
	static const char why[] = "0/3 nodes are available: 3 Insufficient " CARD ".";
	static const struct {
		const char *why[WORKERS], *reason, *said;
		int64_t waiting_a, waiting_b;
	} rows[] = {
		{{0}, "Ready", NULL, 0, 0},
		{{why}, "WaitingForGPU", "1 worker waits for a GPU, w0 among them: 0/3", 1, 0},
		{{NULL, why}, "WaitingForGPU", "1 worker waits for a GPU, w1 among them", 0, 1},
		{{NULL, NULL, why, why},
		 "WaitingForGPU",
		 "2 workers wait for a GPU, w2 among them",
		 1,
		 1},
		{{why, why, why, why},
		 "WaitingForGPU",
		 "4 workers wait for a GPU, w0 among them",
		 2,
		 2},
		{{"0/3 nodes are available: 3 Insufficient memory."}, "Ready", NULL, 0, 0},
		{{"exceeded quota: a"}, "QuotaExceeded", "exceeded quota: a", 0, 0},
		{{NULL, NULL, NULL, "exceeded quota: d"},
		 "QuotaExceeded",
		 "exceeded quota: d",
		 0,
		 0},
		{{why, "exceeded quota: b", "exceeded quota: c"},
		 "QuotaExceeded",
		 "exceeded quota: b",
		 1,
		 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(2);
		for (size_t k = WORKERS; k-- > 0;) {
			worker(arena_printf(&arena, "w%zu", k), groups[k % 2].name, CARD,
			       rows[i].why[k]);
		}
		cluster_machines_gather(&s);
		is_int(s.n_machines, WORKERS);
		is_str(cluster_ready(&s).reason, rows[i].reason);
		is_int(groups[0].waiting, rows[i].waiting_a);
		is_int(groups[1].waiting, rows[i].waiting_b);
		if (rows[i].said) {
			has(cluster_ready(&s).message, rows[i].said);
		}
	}
}

/* Workers of other clusters and namespaces are none of ours. */
static void workers_of_others_are_left_alone(void)
{
	const struct capi_machine others[] = {
		{.of = {.obj = {.ns = "t", .name = "x", .rv = "1"}, .cluster = "kubernetes-other"}},
		{.of = {.obj = {.ns = "u", .name = "y", .rv = "1"}, .cluster = "kubernetes-k"}},
	};

	begin(1);
	cache_put(c, &kind_capi_machine, &others[0]);
	cache_put(c, &kind_capi_machine, &others[1]);
	worker("w0", "kubernetes-k-gone", CARD, NULL);
	cluster_machines_gather(&s);
	is_int(s.n_machines, 1);
	ok(!s.machines[0].group);
}

/* The status that is written, of the plan. */
static const json_t *status(struct plan *plan)
{
	plan_init(plan, &arena, c);
	cluster_machines_gather(&s);
	cluster_status(&s, plan);
	is_int(plan->n, 1);
	return json_object_get(plan->actions[0].body, "status");
}

static const char *condition(const json_t *st, const char *of_type)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(st, "conditions"), i, one) {
		if (str_eq(json_string_value(json_object_get(one, "type")), of_type)) {
			return json_string_value(json_object_get(one, "reason"));
		}
	}
	return NULL;
}

static int64_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void nodes_are_summed_over_groups(void)
{
	static struct device one;
	struct plan plan;
	const json_t *st, *list;

	begin(4);
	for (size_t i = 0; i < 4; i++) {
		groups[i].ready = groups[i].desired = (int64_t)1 << i;
		groups[i].devices = (struct devices){&one, i == 1 || i == 3};
	}
	st = status(&plan);
	is_int(number(st, "nodes"), 15);
	is_int(number(st, "gpuNodes"), 10);
	list = json_object_get(st, "nodeGroups");
	is_int(json_array_size(list), 4);
	for (size_t i = 0; i < 4; i++) {
		is_str(json_string_value(json_object_get(json_array_get(list, i), "name")),
		       groups[i].key);
		is_int(number(json_array_get(list, i), "ready"), (int64_t)1 << i);
		is_int(number(json_array_get(list, i), "desired"), (int64_t)1 << i);
	}
	plan_finish(&plan);
}

/* All that are wanted, one less, none wanted; of two names. */
static void gpus_are_attached_when_all_are(void)
{
	static const struct {
		int64_t card, other;
		int has_card, has_other;
		const char *reason;
	} rows[] = {
		{0, 0, 0, 0, "NoGPUNodes"}, {1, 0, 0, 0, "NoGPUNodes"}, {1, 0, 1, 0, "Attached"},
		{2, 1, 2, 0, "NoGPUNodes"}, {2, 1, 1, 1, "NoGPUNodes"}, {2, 1, 2, 1, "Attached"},
		{0, 1, 0, 1, "Attached"},   {1, 1, 2, 1, "Attached"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan;
		const json_t *st;

		begin(1);
		gpus_ask(&s.total, CARD, CARD)->count = rows[i].card;
		gpus_ask(&s.total, OTHER, OTHER)->count = rows[i].other;
		gpus_ask(&groups[0].asked, CARD, CARD)->count = 1;
		for (int k = 0; k < rows[i].has_card; k++) {
			worker(arena_printf(&arena, "c%d", k), groups[0].name, CARD, NULL);
		}
		for (int k = 0; k < rows[i].has_other; k++) {
			worker(arena_printf(&arena, "o%d", k), groups[0].name, OTHER, NULL);
		}
		st = status(&plan);
		is_str(condition(st, "GPUsAvailable"), rows[i].reason);
		is_int(number(json_array_get(json_object_get(st, "gpus"), 0), "allocated"),
		       rows[i].has_card);
		is_int(number(json_array_get(json_object_get(st, "gpus"), 1), "allocated"),
		       rows[i].has_other);
		plan_finish(&plan);
	}
}

/* Two groups in both orders: what keeps a worker longest is said. */
static void the_worst_of_the_groups_is_said(void)
{
	static struct inventory_place places[] = {{.node = "n", .total = 2, .open = 1}};
	static const struct inventory_model m = {.name = CARD, .places = places, .n_places = 1};
	static const char *const reasons[] = {NULL, "Free", "NoneFree", "TooMany", "UnknownName"};

	for (size_t i = 0; i < ARRAY_LEN(reasons) * ARRAY_LEN(reasons); i++) {
		size_t pair[] = {i / ARRAY_LEN(reasons), i % ARRAY_LEN(reasons)};
		struct plan plan;

		begin(2);
		inventory.models = &m;
		inventory.n = inventory.nodes = 1;
		gpus_ask(&s.total, CARD, CARD)->count = 1;
		for (size_t k = 0; k < 2; k++) {
			const char *device = pair[k] == 4 ? OTHER : CARD;

			if (pair[k]) {
				gpus_ask(&groups[k].asked, device, device)->count =
					(int64_t)pair[k];
			}
		}
		is_str(condition(status(&plan), "GPUsAvailable"), reasons[MAX(pair[0], pair[1])]);
		plan_finish(&plan);
	}
}

/* A worker has its devices from when it has a node until it ends. */
static void workers_that_have_devices(void)
{
	static const struct {
		const char *phase, *node;
		bool has;
	} rows[] = {
		{"Running", "n", true},	    {"Scheduled", "n", true}, {"Running", NULL, false},
		{"Scheduled", NULL, false}, {"Pending", "n", false},  {"Scheduling", "n", false},
		{"Succeeded", "n", false},  {"Failed", "n", false},   {NULL, "n", false},
	};
	struct kv_gpu devices[] = {{"gpu1", CARD}, {"gpu2", OTHER}, {"gpu3", CARD}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t host = 0; host <= ARRAY_LEN(devices); host++) {
			struct kv_vmi v = {.phase = rows[i].phase, .node = rows[i].node};
			struct cluster_machine machines[] = {
				{.vmi = NULL}, {.vmi = &v}, {.vmi = &v}};

			begin(1);
			v.host_devices.items = devices;
			v.host_devices.n = host;
			v.gpus.items = devices + host;
			v.gpus.n = ARRAY_LEN(devices) - host;
			s.machines = machines;
			s.n_machines = ARRAY_LEN(machines);
			is_int(cluster_allocated(&s, CARD), rows[i].has ? 4 : 0);
			is_int(cluster_allocated(&s, OTHER), rows[i].has ? 2 : 0);
			is_int(cluster_allocated(&s, "example.com/NONE"), 0);
		}
	}
}

static const struct {
	struct condition said;
	const char *phase, *node, *reason, *message;
	bool going;
} troubles[] = {
	{{"Synchronized", "False", .message = "exceeded quota: x"},
	 "Pending",
	 NULL,
	 "QuotaExceeded",
	 "exceeded quota: x",
	 false},
	{{"Synchronized", "True", .message = "exceeded quota: x"},
	 "Pending",
	 NULL,
	 "Ready",
	 "",
	 false},
	{{"Synchronized", "False"}, "Pending", NULL, "Ready", "", false},
	{{"Synchronized", "False", .message = ""}, "Pending", NULL, "Ready", "", false},
	{{"Synchronized", "False", .message = "GPU x is not permitted"},
	 "Pending",
	 NULL,
	 "NotPermitted",
	 "worker %s: GPU x is not permitted",
	 false},
	{{"Synchronized", "False", .message = "GPU x is not permitted"},
	 "Running",
	 "n",
	 "Ready",
	 "",
	 false},
	{{"Synchronized", "False", .message = "GPU x is not permitted"},
	 "Pending",
	 NULL,
	 "Ready",
	 "",
	 true},
	{{"Synchronized", "False", .message = "no such disk"},
	 "Pending",
	 NULL,
	 "StartFailure",
	 "worker %s: no such disk",
	 false},
	{{"Synchronized", "False", .message = "no such disk"}, "Pending", NULL, "Ready", "", true},
	{{"Other", "False", .message = "no such disk"}, "Pending", NULL, "Ready", "", false},
};

/* Each of three workers may be the one with a trouble, and each kind of trouble has its reason. */
static void the_trouble_of_each_worker_is_said(void)
{
	static const char *const names[] = {"w0", "w1", "w2"};

	for (size_t i = 0; i < ARRAY_LEN(troubles); i++) {
		for (size_t bad = 0; bad < ARRAY_LEN(names); bad++) {
			struct kv_vmi fine = {.phase = "Running", .node = "n"},
				      v = {
					      .phase = troubles[i].phase,
					      .node = troubles[i].node,
					      .conditions =
						      {(struct condition *)(uintptr_t)&troubles[i]
							       .said,
						       1},
				      };
			struct capi_machine m[ARRAY_LEN(names)] = {{{{0}}}};
			struct cluster_machine machines[ARRAY_LEN(names)];
			const char *want = troubles[i].message, *at = strstr(want, "%s");

			begin(1);
			for (size_t k = 0; k < ARRAY_LEN(names); k++) {
				m[k].of.obj.name = names[k];
				m[k].of.obj.deleting = k == bad && troubles[i].going
							       ? "2026-01-01T00:00:00Z"
							       : NULL;
				machines[k] = (struct cluster_machine){
					.machine = &m[k],
					.vmi = k == bad ? &v
					       : k	? &fine
							: NULL,
				};
			}
			s.machines = machines;
			s.n_machines = ARRAY_LEN(names);
			is_str(cluster_ready(&s).reason, troubles[i].reason);
			has(cluster_ready(&s).message,
			    at ? arena_printf(&arena, "%.*s%s%s", (int)(at - want), want,
					      names[bad], at + 2)
			       : want);
		}
	}
}

/* KubeVirt tried to start it in vain, and it does not run. */
static void a_worker_that_does_not_start_is_said(void)
{
	struct kv_start_failure failure = {.count = 2};
	struct kv_vm vm = {.start_failure = &failure};
	struct kv_vmi v = {.phase = "Pending"};
	struct capi_machine m = {.of.obj.name = "w"};
	struct cluster_machine machines[] = {{.machine = &m, .vm = &vm}};

	begin(1);
	s.machines = machines;
	s.n_machines = 1;
	is_str(cluster_ready(&s).reason, "StartFailure");
	has(cluster_ready(&s).message, "worker w: KubeVirt could not start it");
	machines[0].vmi = &v;
	is_str(cluster_ready(&s).reason, "StartFailure");
	v.phase = "Running";
	is_str(cluster_ready(&s).reason, "Ready");
	v.phase = "Failed";
	is_str(cluster_ready(&s).reason, "StartFailure");
	m.of.obj.deleting = "2026-01-01T00:00:00Z";
	is_str(cluster_ready(&s).reason, "Ready");
	m.of.obj.deleting = NULL;
	failure.count = 0;
	is_str(cluster_ready(&s).reason, "Ready");
}

TESTS({"each of several groups keeps the cluster from being ready", each_group_counts},
      {"groups that lack workers are listed", groups_that_lack_workers_are_listed},
      {"workers that wait are counted, the first is named", workers_that_wait_are_counted},
      {"workers of others are left alone", workers_of_others_are_left_alone},
      {"nodes are summed over all groups", nodes_are_summed_over_groups},
      {"GPUs are attached when all that are wanted are", gpus_are_attached_when_all_are},
      {"of several groups the worst is said", the_worst_of_the_groups_is_said},
      {"workers have devices from when they have a node", workers_that_have_devices},
      {"the trouble of each worker is said", the_trouble_of_each_worker_is_said},
      {"a worker that does not start is said", a_worker_that_does_not_start_is_said})
