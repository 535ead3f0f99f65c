/* SPDX-License-Identifier: Apache-2.0 */
/* Field by field of a Kubernetes: what is said of it, and where it goes. A case has whole objects. */
#include "controller/plan_cluster.h"

#include "controller/kinds.h"
#include "controller/spec_world.h"

static void look(const char *spec)
{
	spec_look(&reconcile_kubernetes, spec);
}

/* --- without effect --------------------------------------------------------------------------- */

#define YOURSELF " (install it in the cluster yourself)"
#define TOGETHER " (resources.cpu and memory size a worker together)"
#define NO_TIME " (is no duration as 20m or 1h30m)"

static void fields_without_effect(void)
{
	static const char *const rows[][2] = {
		{"{}", NULL},
		{"{addons: {certManager: {enabled: true}}}", "addons.certManager" YOURSELF},
		{"{plugins: {certManager: {enabled: true}}}", "plugins.certManager" YOURSELF},
		{"{addons: {a: {enabled: false}, b: {}}, plugins: {c: {enabled: false}}}", NULL},
		{"{addons: {a: {valuesOverride: {b: 1}}}}", "addons.a.valuesOverride"},
		{"{plugins: {a: {valuesOverride: {b: 1}}}}", "plugins.a.valuesOverride"},
		{"{addons: {a: {valuesOverride: {}}}}", NULL},
		{"{addons: {a: {enabled: false, hosts: [x]}}}", "addons.a.hosts"},
		{"{plugins: {a: {enabled: false, hosts: [x]}}}", "plugins.a.hosts"},
		{"{addons: {a: {hosts: null}}}", NULL},
		{"{addons: {a: {enabled: true, hosts: [x]}}}", "addons.a" YOURSELF},
		{"{addons: {gpuOperator: {enabled: true, hosts: [x]}}}",
		 "addons.gpuOperator.hosts"},
		{"{plugins: {gpu-operator: {enabled: true, hosts: [x]}}}",
		 "plugins.gpu-operator.hosts"},
		{"{addons: {a: {x: 1}, b: {y: 1, z: 2}}}", "addons.a.x, addons.b.y, addons.b.z"},

		{"{talos: {}, oidc: {}, images: {}, kamajiControlPlane: {}}", NULL},
		{"{talos: {a: 1}}", "talos"},
		{"{oidc: {a: 1}}", "oidc"},
		{"{images: {a: 1}}", "images"},
		{"{kamajiControlPlane: {a: 1}}", "kamajiControlPlane"},

		{"{controlPlane: {apiServer: {resourcesPreset: small}}}",
		 "controlPlane.apiServer.resourcesPreset (write resources)"},
		{"{controlPlane: {controllerManager: {resourcesPreset: small}}}",
		 "controlPlane.controllerManager.resourcesPreset (write resources)"},
		{"{controlPlane: {scheduler: {resourcesPreset: small}}}",
		 "controlPlane.scheduler.resourcesPreset (write resources)"},
		{"{controlPlane: {konnectivity: {server: {resourcesPreset: small}}}}",
		 "controlPlane.konnectivity.server.resourcesPreset (write resources)"},
		{"{controlPlane: {konnectivity: {}, apiServer: {resourcesPreset: ''}}}", NULL},

		{"{maxNodeProvisionTime: 15m}", NULL},
		{"{maxNodeProvisionTime: soon}", "maxNodeProvisionTime" NO_TIME},
		{"{nodeHealthCheck: {nodeStartupTimeout: soon}}",
		 "nodeHealthCheck.nodeStartupTimeout" NO_TIME},
		{"{nodeHealthCheck: {readyUnknownTimeout: soon}}",
		 "nodeHealthCheck.readyUnknownTimeout" NO_TIME},
		{"{nodeHealthCheck: {readyFalseTimeout: soon}}",
		 "nodeHealthCheck.readyFalseTimeout" NO_TIME},
		{"{nodeHealthCheck: {readyFalseTimeout: 1h30m}}", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(rows[i][0]);
		is_str(condition("Accepted", "message"),
		       rows[i][1] ? arena_printf(&arena, "accepted without effect: %s", rows[i][1])
				  : "every field is acted on");
	}
}

static void fields_of_a_group_without_effect(void)
{
	static const char *const rows[][2] = {
		{"instanceType: a", NULL},
		{"resources: {cpu: 2, memory: 8Gi}", NULL},
		{"resources: {cpu: 2, memory: 8Gi}, instanceType: a",
		 "instanceType (resources size a worker)"},
		{"resources: {cpu: 2}", "resources.cpu" TOGETHER},
		{"resources: {memory: 8Gi}", "resources.memory" TOGETHER},
		{"resources: {cpu: '', memory: ''}", NULL},
		{"podCpuLimit: 2", "podCpuLimit (only with resources)"},
		{"podCpuRequest: 2", "podCpuRequest (only with resources)"},
		{"resources: {cpu: 2, memory: 8Gi}, podCpuLimit: 2, podCpuRequest: 1", NULL},

		{"diskSize: 10Gi", NULL},
		{"ephemeralStorage: 10Gi", NULL},
		{"ephemeralStorage: {size: 10Gi}", NULL},
		{"ephemeralStorage: {}", NULL},
		{"ephemeralStorage: 10737418240", NULL},
		{"ephemeralStorage: {size: 10737418240}", NULL},
		{"ephemeralStorage: {other: 1}",
		 "ephemeralStorage (is neither a quantity nor {size: quantity})"},
		{"ephemeralStorage: true",
		 "ephemeralStorage (is neither a quantity nor {size: quantity})"},
		{"diskSize: 10Gi, ephemeralStorage: 20Gi", "ephemeralStorage (diskSize is set)"},
		{"diskSize: 20Gi, ephemeralStorage: {size: 10Gi}",
		 "ephemeralStorage (diskSize is set)"},
		{"diskSize: 10Gi, ephemeralStorage: 10240Mi", NULL},
		{"diskSize: 10Gi, ephemeralStorage: 10737418240", NULL},
		{"diskSize: 10Gi, ephemeralStorage: {other: 1}",
		 "ephemeralStorage (is neither a quantity nor {size: quantity})"},

		{"schematicID: ''", NULL},
		{"schematicID: a", "schematicID (workers are made by kubeadm)"},
		{"kernelModules: []", NULL},
		{"kernelModules: [a]", "kernelModules (workers are made by kubeadm)"},
		{"nodeStartupTimeout: 5m", NULL},
		{"nodeStartupTimeout: soon", "nodeStartupTimeout" NO_TIME},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(arena_printf(&arena, "{nodeGroups: {g: {%s}}}", rows[i][0]));
		is_str(condition("Accepted", "message"),
		       rows[i][1] ? arena_printf(&arena, "accepted without effect: nodeGroups.g.%s",
						 rows[i][1])
				  : "every field is acted on");
	}
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* Which of 0, less than 0 and per cent each of the sizes may be. */
static void what_a_size_may_be(void)
{
	static const struct {
		const char *field, *spec;
		bool zero, per_cent;
	} rows[] = {
		{"resources.cpu", "resources: {memory: 8Gi, cpu: '%s'}", false, false},
		{"resources.memory", "resources: {cpu: 2, memory: '%s'}", false, false},
		{"podCpuLimit", "resources: {cpu: 2, memory: 8Gi}, podCpuLimit: '%s'", true, false},
		{"podCpuRequest", "resources: {cpu: 2, memory: 8Gi}, podCpuRequest: '%s'", true,
		 false},
		{"diskSize", "diskSize: '%s'", false, false},
		{"ephemeralStorage", "ephemeralStorage: '%s'", false, false},
		{"kubelet.systemReservedMemory", "kubelet: {systemReservedMemory: '%s'}", true,
		 false},
		{"kubelet.kubeReservedMemory", "kubelet: {kubeReservedMemory: '%s'}", true, false},
		{"kubelet.systemReservedCpu", "kubelet: {systemReservedCpu: '%s'}", true, false},
		{"kubelet.kubeReservedCpu", "kubelet: {kubeReservedCpu: '%s'}", true, false},
		{"kubelet.evictionHardMemory", "kubelet: {evictionHardMemory: '%s'}", false, true},
		{"kubelet.evictionSoftMemory", "kubelet: {evictionSoftMemory: '%s'}", false, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct {
			const char *text;
			bool may_be;
		} sizes[] = {
			{"1", true},	 {"0", rows[i].zero},	    {"-1", false},
			{"word", false}, {"50%", rows[i].per_cent}, {"101%", false},
			{"1e30", false},
		};

		for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
			const char *at_value = strstr(rows[i].spec, "%s");
			const char *no;

			begin(NULL);
			no = arena_printf(&arena, "nodeGroups.g.%s is no size", rows[i].field);
			look(arena_printf(&arena, "{nodeGroups: {g: {%.*s%s%s}}}",
					  (int)(at_value - rows[i].spec), rows[i].spec,
					  sizes[k].text, at_value + 2));
			if (str_starts(condition("Accepted", "message"), no) == sizes[k].may_be) {
				is_str(sizes[k].text, rows[i].field);
			}
		}
	}
}

static void sizes_beside_each_other(void)
{
	static const char *const rows[][2] = {
		{"podCpuLimit: 2, podCpuRequest: 1", NULL},
		{"podCpuLimit: 2, podCpuRequest: 2", NULL},
		{"podCpuLimit: 2, podCpuRequest: 2000m", NULL},
		{"podCpuLimit: 2, podCpuRequest: 2001m",
		 "nodeGroups.g.podCpuRequest is above podCpuLimit"},
		{"podCpuRequest: 9", NULL},
		{"podCpuLimit: 9", NULL},
		{"kubelet: {systemReservedCpu: '1', kubeReservedCpu: 999m}", NULL},
		{"kubelet: {systemReservedCpu: '1', kubeReservedCpu: '1'}",
		 "keep all CPU of a worker"},
		{"kubelet: {systemReservedMemory: 9Gi}", "keep all memory of a worker"},
		{"kubelet: {systemReservedMemory: 9Gi, systemReservedCpu: '9'}",
		 "keep all memory of a worker"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(arena_printf(&arena,
				  "{nodeGroups: {g: {resources: {cpu: 2, memory: 8Gi}, %s}}}",
				  rows[i][0]));
		has(condition("Accepted", "message"),
		    rows[i][1] ? rows[i][1] : "every field is acted on");
	}
}

/* --- control plane ---------------------------------------------------------------------------- */

#define SPACE(labels) "{apiVersion: v1, kind: Namespace, metadata: {name: t, labels: {" labels "}}}"
#define INGRESS(host, more)                                                                        \
	"{" more                                                                                   \
	"\"extraAnnotations\":{\"nginx.ingress.kubernetes.io/ssl-passthrough\":\"true\"},"         \
	"\"hostname\":\"" host ":443\"}"

static void hosts_of_a_control_plane(void)
{
	static const struct {
		const char *space, *spec, *ingress;
	} rows[] = {
		{NULL, "{}", "nothing"},
		{NULL, "{host: ''}", "nothing"},
		{NULL, "{host: a.example.com}", INGRESS("a.example.com", "")},
		{SPACE(""), "{}", "nothing"},
		{SPACE(""), "{host: a.example.com}", INGRESS("a.example.com", "")},
		{SPACE("namespace.cozystack.io/host: example.org"), "{}",
		 INGRESS("kubernetes-k.example.org", "")},
		{SPACE("namespace.cozystack.io/host: example.org"), "{host: a.example.com}",
		 INGRESS("a.example.com", "")},
		{SPACE("namespace.cozystack.io/ingress: root"), "{}", "nothing"},
		{SPACE("namespace.cozystack.io/ingress: root"), "{host: a.example.com}",
		 INGRESS("a.example.com", "\"className\":\"root\",")},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].space);
		look(rows[i].spec);
		is_str(at("KamajiControlPlane", "spec/network/serviceType"), "\"ClusterIP\"");
		is_str(at("KamajiControlPlane", "spec/network/ingress"), rows[i].ingress);
	}
}

#define VOLUMES(list) "{controlPlane: {apiServer: {extraVolumes: " list "}}}"
#define TEN "0123456789"
#define LONG TEN TEN TEN TEN TEN TEN "123"

static void parts_of_a_control_plane(void)
{
	static const struct {
		const char *spec, *path, *want;
	} rows[] = {
		{"{}", "deployment", "nothing"},
		{"{}", "apiServer", "nothing"},
		{"{controlPlane: {}}", "deployment", "nothing"},
		{"{controlPlane: {scheduler: {}}}", "deployment", "nothing"},
		{VOLUMES("[{name: a, emptyDir: {}}]"), "deployment/extraVolumes",
		 "[{\"emptyDir\":{},\"name\":\"a\"}]"},
		{"{controlPlane: {apiServer: {resources: {limits: {cpu: 1, memory: null}}}}}",
		 "apiServer/resources", "{\"limits\":{\"cpu\":1}}"},
		{"{controlPlane: {scheduler: {resources: {requests: {cpu: 1, memory: 2}}}}}",
		 "scheduler/resources", "{\"requests\":{\"cpu\":1,\"memory\":2}}"},
		{"{controlPlane: {controllerManager: {resources: {cpu: 1, limits: {memory: 2}}}}}",
		 "controllerManager/resources",
		 "{\"limits\":{\"cpu\":\"1\",\"memory\":2},\"requests\":{\"cpu\":\"1\"}}"},
		{"{controlPlane: {konnectivity: {server: {resources: {memory: 1Gi}}}}}",
		 "addons/konnectivity/server",
		 "{\"port\":8132,\"resources\":{\"limits\":{\"memory\":\"1Gi\"},"
		 "\"requests\":{\"memory\":\"1Gi\"}}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(rows[i].spec);
		is_str(at("KamajiControlPlane", arena_printf(&arena, "spec/%s", rows[i].path)),
		       rows[i].want);
	}
}

static void volumes_of_an_api_server(void)
{
	static const char *const rows[][2] = {
		{"[]", NULL},
		{"[{name: a, configMap: {}}, {name: b, downwardAPI: {}}, {name: c, emptyDir: {}}, "
		 "{name: d, projected: {}}, {name: e, secret: {}}]",
		 NULL},
		{"[{name: a, hostPath: null}]", NULL},
		{"[{name: a, hostPath: {}}]", "extraVolumes[0].hostPath cannot be had"},
		{"[{name: a}, {name: b, csi: {}}, {name: c, nfs: {}}]",
		 "extraVolumes[1].csi cannot be had"},
		{"[{" LONG ": {}}]", "extraVolumes[0]." LONG " cannot be had"},
		{"[{" LONG "4: {}}]", "extraVolumes[0].(a long word) cannot be had"},
		{"{name: a}", "extraVolumes cannot be read: write a list"},
		{"word", "extraVolumes cannot be read: write a list"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(arena_printf(&arena, "{controlPlane: {apiServer: {extraVolumes: %s}}}",
				  rows[i][0]));
		has(condition("Accepted", "message"),
		    rows[i][1] ? rows[i][1] : "every field is acted on");
		is_str(condition("Accepted", "status"), rows[i][1] ? "False" : "True");
	}
}

/* --- taken names ------------------------------------------------------------------------------ */

/* Each object that is made, were somebody else's there of that name: it is told, and none is made. */
static void each_name_may_be_taken(void)
{
	static const char *const spec =
		"{addons: {gpuOperator: {enabled: true}}, nodeGroups: {a: {}, b: {}}}";
	struct {
		const char *version, *kind, *name;
	} made[16];
	static char texts[16][3][96];
	size_t n = 0;

	begin(NULL);
	look(spec);
	for (size_t k = 0; k < plan.n; k++) {
		const struct action *a = &plan.actions[k];
		const json_t *b = a->body;

		if (a->what == ACTION_APPLY && n < ARRAY_LEN(made)) {
			snprintf(texts[n][0], sizeof(texts[n][0]), "%s",
				 json_string_value(json_object_get(b, "apiVersion")));
			snprintf(texts[n][1], sizeof(texts[n][1]), "%s", a->kind->kind);
			snprintf(texts[n][2], sizeof(texts[n][2]), "%s", a->name);
			made[n].version = texts[n][0];
			made[n].kind = texts[n][1];
			made[n].name = texts[n][2];
			n++;
		}
	}
	is_int(n, 3 + 2 * 4 + 2);
	for (size_t i = 0; i < n; i++) {
		begin(NULL);
		put(arena_printf(&arena,
				 "{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: t, "
				 "uid: other}}",
				 made[i].version, made[i].kind, made[i].name));
		look(spec);
		is_str(condition("Accepted", "reason"), "ChildTaken");
		has(condition("Accepted", "message"),
		    arena_printf(&arena, "%s t/%s is there already and is not vmgpu's",
				 made[i].kind, made[i].name));
		for (size_t k = 0; k < plan.n; k++) {
			is_int(plan.actions[k].what == ACTION_STATUS ||
				       plan.actions[k].what == ACTION_EVENT,
			       true);
		}
	}
}

/* --- workers ---------------------------------------------------------------------------------- */

#define TYPE_OF(name, spec)                                                                        \
	"{apiVersion: instancetype.kubevirt.io/v1beta1, kind: VirtualMachineClusterInstancetype, " \
	"metadata: {name: " name "}, spec: {" spec "}}\n---\n"
#define CLUSTER_WITH(condition)                                                                    \
	"{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: kubernetes-k, "    \
	"namespace: t, uid: c, ownerReferences: [{apiVersion: apps.cozystack.io/v1alpha1, kind: "  \
	"Kubernetes, name: k, uid: u, controller: true}]}, status: {conditions: [" condition "]}}"
#define OWNED_CLUSTER CLUSTER_WITH("{type: ControlPlaneAvailable, status: 'True'}")

/* Of an annotation, whose key has a slash. */
static const char *capacity(const char *what)
{
	const char *all = at("MachineDeployment", "metadata/annotations");
	const char *key =
		arena_printf(&arena, "\"capacity.cluster-autoscaler.kubernetes.io/%s\":\"", what);
	const char *value = strstr(all, key);

	value = value ? value + strlen(key) : NULL;
	return value ? arena_strndup(&arena, value, strcspn(value, "\"")) : "nothing";
}

static void what_is_left_of_a_worker(void)
{
	static const struct {
		const char *type, *group, *cpu, *memory;
	} rows[] = {
		{"cpu: {guest: 2}, memory: {guest: 8Gi}", "", "1800m", "6800Mi"},
		{"cpu: {guest: 2}", "", "nothing", "nothing"},
		{"memory: {guest: 8Gi}", "", "nothing", "nothing"},
		{"cpu: {guest: 2}, memory: {guest: 8Gi}", "kubelet: {systemReservedCpu: 500m}",
		 "1400m", "6800Mi"},
		{"cpu: {guest: 2}, memory: {guest: 8Gi}",
		 "kubelet: {systemReservedCpu: '0', kubeReservedCpu: '0'}", "2000m", "6800Mi"},
		{"cpu: {guest: 2}, memory: {guest: 8Gi}",
		 "kubelet: {systemReservedMemory: '0', kubeReservedMemory: 1Gi}", "1800m",
		 "6594Mi"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		put(arena_printf(&arena, TYPE_OF("a", "%s"), rows[i].type));
		look(arena_printf(&arena, "{nodeGroups: {g: {instanceType: a%s%s}}}",
				  *rows[i].group ? ", " : "", rows[i].group));
		is_str(capacity("cpu"), rows[i].cpu);
		is_str(capacity("memory"), rows[i].memory);
	}
}

static void labels_of_a_group(void)
{
	static const char *const rows[][2] = {
		{"", "nothing"},
		{"labels: {b: x, a: y}", "a=y,b=x"},
		{"gpus: [{name: example.com/CARD}]", "gpu=on,gpu-type=CARD"},
		{"gpus: [{name: example.com/CARD}], labels: {gpu: off}", "gpu-type=CARD,gpu=off"},
		{"gpus: [{name: example.com/CARD}], labels: {gpu-type: mine}",
		 "gpu=on,gpu-type=mine"},
		{"gpus: [{name: example.com/CARD}], labels: {gpu-type: '', gpu: ''}",
		 "gpu=,gpu-type="},
		{"gpus: [{name: nvidia.com/NVIDIA_L40S-8Q}]", "gpu=on,gpu-type=NVIDIA-L40S-8Q"},
		{"gpus: [{name: nvidia.com/AD102GL_L40S}]", "gpu=on,gpu-type=L40S"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(arena_printf(&arena, "{nodeGroups: {g: {%s}}}", rows[i][0]));
		is_str(capacity("labels"), rows[i][1]);
	}
}

/* A set of machines beside the deployment that has seen its spec: of this template or another. */
static void older_machines_keep_a_rollout_going(void)
{
	static const struct {
		const char *ns, *deployment, *template, *version;
		int wanted, there;
		const char *reason;
	} rows[] = {
		{"t", "kubernetes-k-g", NULL, NULL, 1, 1, "Ready"},
		{"t", "kubernetes-k-g", "old", NULL, 0, 0, "Ready"},
		{"t", "kubernetes-k-g", "old", NULL, 1, 0, "RollingOut"},
		{"t", "kubernetes-k-g", "old", NULL, 0, 1, "RollingOut"},
		{"t", "kubernetes-k-g", "old", NULL, 2, 2, "RollingOut"},
		{"t", "kubernetes-k-g", NULL, "v1.0.0", 0, 1, "RollingOut"},
		{"t", "kubernetes-k-h", "old", NULL, 1, 1, "Ready"},
		{"x", "kubernetes-k-g", "old", NULL, 1, 1, "Ready"},
	};
	static const char *const world =
		TYPE_OF("u1.medium", "cpu: {guest: 2}, memory: {guest: 8Gi}") OWNED_CLUSTER;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *spec = "{nodeGroups: {g: {minReplicas: 1}}}", *template, *version;
		json_t *d;

		begin(world);
		look(spec);
		template = at("MachineDeployment", "spec/template/spec/infrastructureRef/name");
		version = at("MachineDeployment", "spec/template/spec/version");
		d = json_loads(at("MachineDeployment", ""), 0, NULL);
		json_object_set_new(json_object_get(d, "metadata"), "uid", json_string("d"));
		json_object_set_new(d, "status",
				    json_pack("{s:i, s:i, s:i}", "replicas", 1, "readyReplicas", 1,
					      "upToDateReplicas", 1));
		is_int(cache_load_json(c, d, &(struct err){""}), 0);
		json_decref(d);
		put(arena_printf(
			&arena,
			"{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineSet, metadata: {name: "
			"s, namespace: %s, labels: {cluster.x-k8s.io/cluster-name: kubernetes-k, "
			"cluster.x-k8s.io/deployment-name: %s}}, spec: {replicas: %d, template: "
			"{spec: {version: %s, infrastructureRef: {name: %s}}}}, status: {replicas: "
			"%d}}",
			rows[i].ns, rows[i].deployment, rows[i].wanted,
			rows[i].version ? rows[i].version : version,
			rows[i].template ? rows[i].template : template, rows[i].there));
		look(spec);
		is_str(condition("Ready", "reason"), rows[i].reason);
	}
}

/* --- the gpu-operator ------------------------------------------------------------------------- */

static void values_of_the_operator(void)
{
	static const struct {
		const char *chart, *override, *values;
	} rows[] = {
		{NULL, "{}", "nothing"},
		{NULL, "{driver: {enabled: false}}", "{\"driver\":{\"enabled\":false}}"},
		{NULL, "{gpuOperator: {driver: {enabled: false}}}",
		 "{\"driver\":{\"enabled\":false}}"},
		{NULL, "{gpu-operator: {a: {b: 1, c: [1]}}, a: {c: [2], d: 3}}",
		 "{\"a\":{\"b\":1,\"c\":[2],\"d\":3}}"},
		{NULL, "{gpuOperator: {a: {b: 1}}, a: 4}", "{\"a\":4}"},
		{NULL, "{gpuOperator: {a: 4}, a: {b: 1}}", "{\"a\":{\"b\":1}}"},
		{NULL, "{kernelModuleConfig: {create: false}}",
		 "{\"kernelModuleConfig\":{\"create\":false}}"},
		{"system/chart", "{}",
		 "{\"gpu-operator\":{\"driver\":{\"kernelModuleConfig\":{\"name\":"
		 "\"nvidia-kernel-module-params\"}}},\"kernelModuleConfig\":{\"create\":true}}"},
		{"system/chart", "{kernelModuleConfig: {create: false}, driver: {enabled: false}}",
		 "{\"gpu-operator\":{\"driver\":{\"enabled\":false,\"kernelModuleConfig\":{"
		 "\"name\":\"nvidia-kernel-module-params\"}}},\"kernelModuleConfig\":{\"create\":"
		 "false}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		options.gpu_operator_chart = rows[i].chart;
		look(arena_printf(&arena,
				  "{addons: {gpuOperator: {enabled: true, valuesOverride: %s}}}",
				  rows[i].override));
		is_str(at("HelmRelease", "spec/values"), rows[i].values);
		is_str(at("HelmRelease", "spec/chart/spec/sourceRef/kind"),
		       rows[i].chart ? "nothing" : "\"HelmRepository\"");
		is_str(at("HelmRepository", "kind"),
		       rows[i].chart ? "no object" : "\"HelmRepository\"");
	}
}

static void where_the_chart_is(void)
{
	begin(NULL);
	options.gpu_operator_chart = "system/chart";
	look("{addons: {gpuOperator: {enabled: true}}}");
	is_str(at("HelmRelease", "spec/chartRef"),
	       "{\"kind\":\"ExternalArtifact\",\"name\":\"chart\",\"namespace\":\"system\"}");
	begin(NULL);
	options.gpu_operator_chart = "chart";
	look("{addons: {gpuOperator: {enabled: true}}}");
	is_str(at("HelmRelease", "spec/chartRef"),
	       "{\"kind\":\"ExternalArtifact\",\"name\":\"chart\",\"namespace\":\"t\"}");
}

/* What is there of the operator goes when it is not wanted, unless it is somebody else's. */
static void an_operator_that_is_not_wanted(void)
{
	static const struct {
		const char *kind, *owner;
		size_t deleted;
	} rows[] = {
		{"HelmRelease",
		 "[{apiVersion: a/v1, kind: Kubernetes, name: k, uid: u, controller: true}]", 1},
		{"HelmRelease", "[]", 0},
		{"HelmRelease",
		 "[{apiVersion: a/v1, kind: Kubernetes, name: k, uid: x, controller: true}]", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = 0;

		begin(NULL);
		put(arena_printf(
			&arena,
			"{apiVersion: helm.toolkit.fluxcd.io/v2, kind: %s, metadata: {name: "
			"kubernetes-k-gpu-operator, namespace: t, uid: r, ownerReferences: %s}}",
			rows[i].kind, rows[i].owner));
		look("{addons: {gpuOperator: {enabled: false}}}");
		for (size_t k = 0; k < plan.n; k++) {
			n += plan.actions[k].what == ACTION_DELETE;
		}
		is_int(n, rows[i].deleted);
		is_str(at("HelmRelease", "spec"), "no object");
	}
}

/* --- a control plane that is up or not -------------------------------------------------------- */

static void words_of_a_control_plane(void)
{
	static const char *const rows[][3] = {
		{"{type: ControlPlaneAvailable, status: 'False', reason: Why, message: text}",
		 "ControlPlaneNotReady", "the control plane is not up yet: text"},
		{"{type: ControlPlaneAvailable, status: 'False', reason: Why}",
		 "ControlPlaneNotReady", "the control plane is not up yet: Why"},
		{"{type: ControlPlaneAvailable, status: Unknown, reason: Why, message: ''}",
		 "ControlPlaneNotReady", "the control plane is not up yet: Why"},
		{"{type: ControlPlaneReady, status: 'False'}", "ControlPlaneNotReady",
		 "the control plane is not up yet"},
		{"{type: ControlPlaneReady, status: 'True'}", "WaitingForWorkers",
		 "workers are being started"},
		{"{type: ControlPlaneAvailable, status: 'True'}", "WaitingForWorkers",
		 "workers are being started"},
		{"{type: Other, status: 'True'}", "Creating", "the cluster is being made"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(TYPE_OF("u1.medium", "cpu: {guest: 2}, memory: {guest: 8Gi}"));
		put(arena_printf(&arena, CLUSTER_WITH("%s"), rows[i][0]));
		look("{nodeGroups: {g: {minReplicas: 1}}}");
		is_str(condition("Ready", "reason"), rows[i][1]);
		has(condition("Ready", "message"), rows[i][2]);
	}
}

/* Is as one that says nothing. The API server lets none through. */
static void a_spec_that_cannot_be_read(void)
{
	const struct cluster_app app = {
		.obj = {.ns = "t", .name = "k", .uid = "u", .rv = "1"},
		.spec = "{\"nodeGroups\":{\"g\":",
	};
	struct pass pass = {
		.arena = &arena, .kind = &kind_kubernetes, .key = {"t", "k"}, .options = &options};

	begin(NULL);
	pass.cache = c;
	cache_put(c, &kind_kubernetes, &app);
	plan_init(&plan, &arena, c);
	reconcile_kubernetes.plan(reconcile_kubernetes.gather(&pass), &plan);
	is_int(plan.n, 1);
	is_str(condition("Accepted", "reason"), "Unreadable");
}

static void who_wants_the_operator(void)
{
	static const struct {
		const char *groups;
		bool wanted;
	} rows[] = {
		{"a: {}", false},
		{"a: {gpus: [{name: amd.com/X}]}", false},
		{"a: {gpus: [{name: nvidia.com/X}]}", true},
		{"a: {gpus: [{name: amd.com/X}]}, b: {gpus: [{name: nvidia.com/X}]}", true},
		{"a: {gpus: [{name: nvidia.com/X}]}, b: {gpus: [{name: amd.com/X}]}", true},
		{"a: {gpus: [{name: amd.com/X}]}, b: {gpus: [{name: amd.com/Y}]}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(NULL);
		look(arena_printf(&arena, "{nodeGroups: {%s}}", rows[i].groups));
		is_str(at("HelmRelease", "kind"), rows[i].wanted ? "\"HelmRelease\"" : "no object");
	}
}

/* Only where a bootstrap template was before, and workers are that have it. */
static void workers_keep_what_they_joined_with(void)
{
	static const struct {
		const char *replicas;
		bool template, told;
	} rows[] = {
		{"replicas: 1", true, true},   {"replicas: 2", true, true},
		{"replicas: 0", true, false},  {"readyReplicas: 0", true, false},
		{"replicas: 1", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *template, *version;
		bool told = false;

		begin(NULL);
		look("{}");
		template = at("MachineDeployment", "spec/template/spec/infrastructureRef/name");
		version = at("MachineDeployment", "spec/template/spec/version");
		put(arena_printf(
			&arena,
			"{apiVersion: cluster.x-k8s.io/v1beta2, kind: MachineDeployment, metadata: "
			"{name: kubernetes-k-md0, namespace: t, uid: d, ownerReferences: "
			"[{apiVersion: a/v1, kind: Kubernetes, name: k, uid: u, controller: true}]}, "
			"spec: {replicas: 1, template: {spec: {version: %s, infrastructureRef: "
			"{name: %s}}}}, status: {%s}}",
			version, template, rows[i].replicas));
		if (rows[i].template) {
			put("{apiVersion: bootstrap.cluster.x-k8s.io/v1beta2, kind: "
			    "KubeadmConfigTemplate, metadata: {name: kubernetes-k-md0, namespace: t, "
			    "uid: b, ownerReferences: [{apiVersion: a/v1, kind: Kubernetes, name: k, "
			    "uid: u, controller: true}]}, spec: {}}");
		}
		look("{}");
		for (size_t k = 0; k < plan.n; k++) {
			told |= str_eq(plan.actions[k].reason, "NewWorkersOnly");
		}
		is_int(told, rows[i].told);
	}
}

/* --- what is not wanted any more -------------------------------------------------------------- */

#define LEFT(version, kind, name, ns, cluster, uid)                                                \
	"{apiVersion: " version ", kind: " kind ", metadata: {name: " name ", namespace: " ns      \
	", uid: " name ", labels: {cluster.x-k8s.io/cluster-name: " cluster                        \
	"}, ownerReferences: [{apiVersion: a/v1, kind: Kubernetes, name: k, uid: " uid             \
	", controller: true}]}}\n---\n"
#define HEALTH(name, ns, cluster, uid)                                                             \
	LEFT("cluster.x-k8s.io/v1beta2", "MachineHealthCheck", name, ns, cluster, uid)
#define TEMPLATE(name, ns)                                                                         \
	LEFT("infrastructure.cluster.x-k8s.io/v1alpha1", "KubevirtMachineTemplate", name, ns,      \
	     "kubernetes-k", "u")
#define USES(kind, name, ns, template)                                                             \
	"{apiVersion: cluster.x-k8s.io/v1beta2, kind: " kind ", metadata: {name: " name            \
	", namespace: " ns ", uid: " name                                                          \
	"}, spec: {template: {spec: {infrastructureRef: {name: " template "}}}}}\n---\n"

static void what_is_left_goes(void)
{
	static const char *const rows[][2] = {
		{HEALTH("old", "t", "kubernetes-k", "u"), "old"},
		{HEALTH("b", "t", "kubernetes-k", "u") HEALTH("a", "t", "kubernetes-k", "u")
			 HEALTH("c", "t", "kubernetes-k", "u"),
		 "a b c"},
		{HEALTH("old", "x", "kubernetes-k", "u"), ""},
		{HEALTH("old", "t", "kubernetes-other", "u"), ""},
		{HEALTH("old", "t", "kubernetes-k", "other"), ""},
		{HEALTH("kubernetes-k-md0", "t", "kubernetes-k", "u"), ""},
		{TEMPLATE("b", "t") TEMPLATE("a", "t"), "a b"},
		{TEMPLATE("a", "t") TEMPLATE("b", "t") USES("MachineSet", "s", "t", "a"), "b"},
		{TEMPLATE("a", "t") TEMPLATE("b", "t") USES("MachineDeployment", "d", "t", "b"),
		 "a"},
		{TEMPLATE("a", "t") USES("MachineSet", "s", "x", "a"), "a"},
		{TEMPLATE("a", "t") USES("MachineDeployment", "d", "x", "a"), "a"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *gone = "";

		begin(rows[i][0]);
		look("{}");
		for (size_t k = 0; k < plan.n; k++) {
			if (plan.actions[k].what == ACTION_DELETE) {
				gone = arena_printf(&arena, "%s%s%s", gone, *gone ? " " : "",
						    plan.actions[k].name);
			}
		}
		is_str(gone, rows[i][1]);
	}
}

TESTS({"a field without effect is named, and no other", fields_without_effect},
      {"a field of a node group without effect is named", fields_of_a_group_without_effect},
      {"which sizes may be 0, and which per cent", what_a_size_may_be},
      {"sizes that do not go together are told", sizes_beside_each_other},
      {"the API server's host is the user's or the tenant's", hosts_of_a_control_plane},
      {"parts of the control plane have what the manifest says", parts_of_a_control_plane},
      {"an API server's volumes are those of its own namespace", volumes_of_an_api_server},
      {"each object that is made may be somebody else's", each_name_may_be_taken},
      {"what is left of a worker's CPU and memory", what_is_left_of_a_worker},
      {"labels of a group are ours unless the user says them", labels_of_a_group},
      {"older machines keep a rollout going", older_machines_keep_a_rollout_going},
      {"the gpu-operator has the values of the manifest", values_of_the_operator},
      {"where Cozystack's chart is", where_the_chart_is},
      {"an operator that is not wanted goes", an_operator_that_is_not_wanted},
      {"why the control plane is not up", words_of_a_control_plane},
      {"of a spec that cannot be read nothing is made", a_spec_that_cannot_be_read},
      {"a group with GPUs of NVIDIA's wants the operator", who_wants_the_operator},
      {"workers keep what they joined with, and that is told", workers_keep_what_they_joined_with},
      {"what is not wanted any more goes, by name", what_is_left_goes})
