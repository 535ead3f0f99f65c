/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we read of other people's kinds, against objects as their servers show them, cut to what we
 * read: each row of a table is in its object with the right type, and each field of the object in
 * the table. And where each kind is found: against the CRDs, and for the built-in kinds against the
 * paths of the Kubernetes API reference.
 */
#include <glob.h>

#include "api/apps.h"
#include "api/capi.h"
#include "api/core.h"
#include "api/harvester.h"
#include "api/kubevirt.h"
#include "api/pool.h"
#include "api/vmgpu.h"
#include "base/test.h"
#include "json/yaml.h"
#include "kube/lease_http.h"

#define DEVICES                                                                                    \
	"gpus: [{name: gpu1, deviceName: nvidia.com/A}], "                                         \
	"hostDevices: [{name: gpu2, deviceName: nvidia.com/B}]"
#define MADE_BY "labels: {app.kubernetes.io/managed-by: Helm, app.kubernetes.io/instance: n}"
#define CONDITIONS                                                                                 \
	"conditions: [{type: Ready, status: \"True\", reason: R, message: m, "                     \
	"lastTransitionTime: t, observedGeneration: 2}]"
#define CAPI_LABELS                                                                                \
	"labels: {app.kubernetes.io/managed-by: vmgpu, cluster.x-k8s.io/cluster-name: c, "         \
	"cluster.x-k8s.io/deployment-name: d}"

static const struct {
	const struct kube_kind *kind;
	const char *object; /* its metadata without what every object has */
} shown[] = {
	{&kind_node, "{metadata: {labels: {rack: b}}}"},
	{&kind_storage_class, "{metadata: {}}"},
	{&kind_service, "{metadata: {" MADE_BY "}, spec: {type: LoadBalancer, clusterIP: None}, "
			"status: {loadBalancer: {ingress: [{ip: 1.2.3.4, hostname: h}]}}}"},
	{&kind_pvc, "{metadata: {}, spec: {resources: {requests: {storage: 5Gi}}}, "
		    "status: {phase: Bound}}"},
	{&kind_namespace,
	 "{metadata: {labels: {namespace.cozystack.io/etcd: e, namespace.cozystack.io/ingress: i, "
	 "namespace.cozystack.io/host: h}}}"},
	{&kind_crd, "{metadata: {}}"},
	{&kind_kv_vm,
	 "{metadata: {" MADE_BY ", annotations: {vmgpu.io/adopted: \"1\"}}, "
	 "spec: {runStrategy: Always, running: true, instancetype: {name: i}, "
	 "preference: {name: p}, template: {spec: {evictionStrategy: None, "
	 "domain: {firmware: {uuid: u}, devices: {" DEVICES "}}}}}, "
	 "status: {printableStatus: Running, created: true, ready: true, " CONDITIONS ", "
	 "startFailure: {consecutiveFailCount: 3, retryAfterTimestamp: t}}}"},
	{&kind_kv_vmi,
	 "{metadata: {annotations: {vmgpu.io/woken: t}}, spec: {domain: {devices: {" DEVICES "}}}, "
	 "status: {phase: Running, nodeName: n, reason: r, " CONDITIONS ", "
	 "interfaces: [{name: default, ipAddress: 10.0.0.1}]}}"},
	{&kind_kv_config,
	 "{metadata: {labels: {app.kubernetes.io/managed-by: Helm}, annotations: "
	 "{vmgpu.io/permitted-host-devices: \"{}\", meta.helm.sh/release-name: r}}, "
	 "spec: {configuration: {permittedHostDevices: {}, developerConfiguration: "
	 "{featureGates: [HostDevices], disabledFeatureGates: [A]}}}, "
	 "status: {phase: Deployed, observedKubeVirtVersion: v1.9.0}}"},
	{&kind_kv_instancetype,
	 "{metadata: {}, spec: {" DEVICES ", memory: {guest: 4Gi}, cpu: {guest: 2}}}"},
	{&kind_kv_preference, "{metadata: {}}"},
	{&kind_data_volume,
	 "{metadata: {" MADE_BY ", annotations: {vm-disk.cozystack.io/optical: \"true\"}}, "
	 "spec: {storage: {resources: {requests: {storage: 5Gi}}, storageClassName: s}, "
	 "pvc: {resources: {requests: {storage: 5Gi}}, storageClassName: s}, "
	 "source: {http: {url: u}, pvc: {name: p}}}, "
	 "status: {phase: Succeeded, progress: 100.0%, claimName: c, " CONDITIONS "}}"},
	{&kind_capi_cluster, "{metadata: {" CAPI_LABELS "}, status: {" CONDITIONS "}}"},
	{&kind_capi_machine_template,
	 "{metadata: {" CAPI_LABELS "}, spec: {template: {spec: {virtualMachineTemplate: {spec: "
	 "{dataVolumeTemplates: [{spec: {storage: {storageClassName: s}, "
	 "pvc: {storageClassName: s}}}], template: {spec: {domain: {devices: "
	 "{" DEVICES "}}}}}}}}}}"},
	{&kind_capi_machine_deployment,
	 "{metadata: {" CAPI_LABELS "}, spec: {replicas: 2, template: {spec: {version: v1.35.0, "
	 "infrastructureRef: {name: t}}}, rollout: {strategy: {rollingUpdate: {maxSurge: 1, "
	 "maxUnavailable: 25%}}}, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}}, "
	 "status: {replicas: 2, readyReplicas: 1, availableReplicas: 1, upToDateReplicas: 1, "
	 "updatedReplicas: 1, observedGeneration: 3}}"},
	{&kind_capi_machine_set,
	 "{metadata: {" CAPI_LABELS "}, spec: {replicas: 1, template: {spec: {version: v1.35.0, "
	 "infrastructureRef: {name: t}}}}, status: {replicas: 1}}"},
	{&kind_capi_machine,
	 "{metadata: {" CAPI_LABELS ", annotations: {cluster.x-k8s.io/skip-remediation: \"\"}}, "
	 "spec: {infrastructureRef: {name: m}}}"},
	{&kind_capi_control_plane, "{metadata: {" CAPI_LABELS "}}"},
	{&kind_flux_release, "{metadata: {" CAPI_LABELS "}}"},
	{&kind_gpu_pool,
	 "{metadata: {}, spec: {use: vgpu, gpus: [g], nodeNames: [n], nodeSelector: {matchLabels: "
	 "{rack: b}, matchExpressions: [{key: k, operator: In, values: [v]}]}, "
	 "layout: [{type: t, count: 2}], priority: 1}, status: {observedGeneration: 1, gpus: 1, "
	 "readyGPUs: 1, inUse: 1, nodes: 1, " CONDITIONS "}}"},
};

struct walk {
	int faults;
};

static void fault(struct walk *w, const char *path, const char *key, const char *what)
{
	printf("# %s.%s: %s\n", path, key, what);
	w->faults++;
}

static bool array_of(const json_t *v, json_type type)
{
	return json_array_size(v) && json_typeof(json_array_get(v, 0)) == type;
}

static bool fits(const json_t *v, int kind)
{
	switch (kind) {
	case TYPE_STR:
		return json_is_string(v);
	case TYPE_SCALAR:
		return json_is_string(v) || json_is_integer(v);
	case TYPE_BOOL:
		return json_is_boolean(v);
	case TYPE_INT:
	case TYPE_OPT_INT:
		return json_is_integer(v);
	case TYPE_OBJS:
		return array_of(v, JSON_OBJECT);
	case TYPE_STRS:
		return array_of(v, JSON_STRING);
	default: /* inline, an object, a map, or as it is */
		return json_is_object(v);
	}
}

static void compare(struct walk *w, const char *path, const json_t *v, const struct type *t)
{
	const char *key;
	json_t *child;

	for (const struct field *f = t->fields; f->key; f++) {
		auto_free char *inner = xprintf("%s.%s", path, f->key);

		child = json_object_get(v, f->key);
		if (f->sub == &obj_metadata || (f->flags & TYPE_DERIVED)) {
			continue;
		}
		if (!child || !fits(child, f->kind)) {
			fault(w, path, f->key, child ? "of another type" : "not in the object");
		} else if (f->sub) {
			compare(w, inner, f->kind == TYPE_OBJS ? json_array_get(child, 0) : child,
				f->sub);
		}
	}
	json_object_foreach((json_t *)v, key, child) {
		const struct field *f = t->fields;

		while (f->key && !str_eq(f->key, key)) {
			f++;
		}
		if (!f->key) {
			fault(w, path, key, "not in the table");
		}
	}
}

/* Several rows may have one key (metadata): what they say together is what counts. */
static void merge_rows(const struct type *t, const char *key, struct field *ret, size_t *n)
{
	for (const struct field *f = t->fields; f->key; f++) {
		if (str_eq(f->key, key) && f->sub && f->sub != &obj_metadata) {
			for (const struct field *g = f->sub->fields; g->key; g++) {
				ret[(*n)++] = *g;
			}
		}
	}
}

static void tables_read_what_servers_show(void)
{
	struct walk w = {0};

	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const struct kube_kind *k = shown[i].kind;
		struct err err = {""};
		json_t *docs = yaml_read(k->kind, shown[i].object, strlen(shown[i].object), &err);
		json_t *o = json_array_get(docs, 0), *metadata;
		struct field rows[16] = {0};
		const struct type meta = {.fields = rows};
		size_t n = 0;

		is_str(err.text, "");
		merge_rows(k->type, "metadata", rows, &n);
		metadata = json_incref(json_object_get(o, "metadata"));
		compare(&w, "metadata", metadata, &meta);
		json_decref(metadata);
		json_object_set_new(o, "metadata", json_object());
		for (const struct field *f = k->type->fields; f->key; f++) {
			const struct field one[2] = {*f};
			const struct type t = {.fields = one};
			json_t *child = json_object_get(o, f->key);

			if (!str_eq(f->key, "metadata") && !(f->flags & TYPE_DERIVED)) {
				json_t *alone = json_pack("{s:O?}", f->key, child);

				compare(&w, k->kind, alone, &t);
				json_decref(alone);
			}
		}
		json_decref(docs);
	}
	is_int(w.faults, 0);
}

static const struct {
	const struct kube_kind *kind;
	const char *path;
} builtin[] = {
	{&kind_node, "/api/v1/nodes/x"},
	{&kind_service, "/api/v1/namespaces/n/services/x"},
	{&kind_secret, "/api/v1/namespaces/n/secrets/x"},
	{&kind_config_map, "/api/v1/namespaces/n/configmaps/x"},
	{&kind_namespace, "/api/v1/namespaces/x"},
	{&kind_pvc, "/api/v1/namespaces/n/persistentvolumeclaims/x"},
	{&kind_storage_class, "/apis/storage.k8s.io/v1/storageclasses/x"},
	{&kind_event, "/apis/events.k8s.io/v1/namespaces/n/events/x"},
	{&kind_lease, "/apis/coordination.k8s.io/v1/namespaces/n/leases/x"},
	{&kind_daemon_set, "/apis/apps/v1/namespaces/n/daemonsets/x"},
	{&kind_beat, "/apis/coordination.k8s.io/v1/namespaces/n/leases/x"},
	{&kind_crd, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x"},
	{&kind_kv_vm, "/apis/kubevirt.io/v1/namespaces/n/virtualmachines/x"},
	{&kind_kv_vmi, "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/x"},
	{&kind_kv_config, "/apis/kubevirt.io/v1/namespaces/n/kubevirts/x"},
	{&kind_kv_instancetype,
	 "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes/x"},
	{&kind_kv_preference,
	 "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterpreferences/x"},
};

static void paths_are_those_of_the_reference(void)
{
	for (size_t i = 0; i < ARRAY_LEN(builtin); i++) {
		auto_buf struct buf path;

		buf_init(&path, KiB);
		kind_path(builtin[i].kind, NULL, "n", "x", NULL, &path);
		is_str(buf_text(&path), builtin[i].path);
		is_int(builtin[i].kind->builtin, !strstr(builtin[i].path, "kubevirt"));
	}
}

static const struct kube_kind *const with_crd[] = {
	&kind_virtual_machine,
	&kind_vm_instance,
	&kind_vm_disk,
	&kind_kubernetes,
	&kind_gpu_node,
	&kind_gpu_pool,
	&kind_pci_device,
	&kind_pci_claim,
	&kind_sriov_gpu,
	&kind_vgpu_device,
	&kind_data_volume,
	&kind_capi_cluster,
	&kind_capi_control_plane,
	&kind_capi_kubevirt_cluster,
	&kind_capi_bootstrap,
	&kind_capi_machine_template,
	&kind_capi_machine_set,
	&kind_capi_machine_deployment,
	&kind_capi_machine,
	&kind_capi_machine_health_check,
	&kind_flux_release,
	&kind_flux_repository,
};

/* Each version that we name, in some CRD of that name; the scope in all of them. */
static void look_at_crds(const struct kube_kind *k, const char *pattern, json_t *versions)
{
	struct err err = {""};
	glob_t files;

	if (glob(pattern, 0, NULL, &files) != 0) {
		return;
	}
	for (size_t i = 0; i < files.gl_pathc; i++) {
		json_t *docs = yaml_read_file(files.gl_pathv[i], &err), *v;
		json_t *spec = json_object_get(json_array_get(docs, 0), "spec");
		json_t *names = json_object_get(spec, "names");
		size_t n;

		is_str(json_string_value(json_object_get(spec, "group")), k->group);
		is_str(json_string_value(json_object_get(names, "kind")), k->kind);
		is_str(json_string_value(json_object_get(names, "plural")), k->plural);
		is_str(json_string_value(json_object_get(spec, "scope")),
		       k->namespaced ? "Namespaced" : "Cluster");
		json_array_foreach(json_object_get(spec, "versions"), n, v) {
			json_object_set_new(versions, json_string_value(json_object_get(v, "name")),
					    json_true());
		}
		json_decref(docs);
	}
	globfree(&files);
}

static void kinds_are_named_as_in_their_crds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(with_crd); i++) {
		const struct kube_kind *k = with_crd[i];
		json_t *versions = json_object();
		auto_free char *own = xprintf("crds/%s_%s.yaml", k->group, k->plural);
		auto_free char *in = xprintf("e2e/data/crds/*/%s.%s.yaml", k->plural, k->group);
		auto_free char *deep = xprintf("e2e/data/crds/*/*/%s.%s.yaml", k->plural, k->group);

		look_at_crds(k, own, versions);
		look_at_crds(k, in, versions);
		look_at_crds(k, deep, versions);
		for (const char *v = k->versions; *v; v += strspn(v, " ")) {
			size_t n = strcspn(v, " ");

			if (!json_object_getn(versions, v, n)) {
				printf("# no CRD of %s in %s has %s\n", k->plural, k->group, v);
			}
			ok(json_object_getn(versions, v, n));
			v += n;
		}
		ok(!k->builtin);
		json_decref(versions);
	}
}

TESTS({"each field that we read is in what the server shows", tables_read_what_servers_show},
      {"kinds without a CRD here have the paths of the API reference",
       paths_are_those_of_the_reference},
      {"each kind is named as in its CRD, and each of its versions has one",
       kinds_are_named_as_in_their_crds}, )
