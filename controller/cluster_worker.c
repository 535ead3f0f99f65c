/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers of a group are made from. A template is never changed: its name has a hash of
 * its content, so that another content is another template and the group rolls (cozystack.md 2).
 */
#include "controller/cluster.h"

#include <string.h>

#include "base/sha256.h"
#include "json/write.h"

#define HASH_DIGITS 6
#define KUBELET "disk-kubelet"

/* --- bootstrap -------------------------------------------------------------------------------- */

struct arguments {
	struct pair items[8];
	size_t n;
};

static void add(struct arguments *l, const char *key, const char *value)
{
	l->items[l->n++] = (struct pair){key, value};
}

/* In the order of their names, which v1beta2 keeps. */
static void kubelet_arguments(const struct cluster_seen *s, const struct cluster_group *g,
			      struct arguments *l)
{
	static const struct kubelet_reserve none;
	const struct kubelet_reserve *k = g->spec->kubelet ? g->spec->kubelet : &none;
	struct arena *a = s->pass->arena;

	add(l, "eviction-hard",
	    arena_printf(a,
			 "memory.available<%s,nodefs.available<10%%,imagefs.available<15%%,"
			 "nodefs.inodesFree<5%%",
			 cluster_eviction(k->eviction_hard_memory, "7%")));
	add(l, "eviction-soft",
	    arena_printf(a, "memory.available<%s",
			 cluster_eviction(k->eviction_soft_memory, "10%")));
	add(l, "eviction-soft-grace-period", "memory.available=1m30s");
	add(l, "kube-reserved",
	    arena_printf(a, "memory=%s,cpu=%s",
			 cluster_reserved_memory(s, g, k->kube_reserved_memory),
			 cluster_reserved_cpu(s, g, k->kube_reserved_cpu)));
	if (*g->labels) {
		add(l, "node-labels", g->labels);
	}
	add(l, "system-reserved",
	    arena_printf(a, "memory=%s,cpu=%s",
			 cluster_reserved_memory(s, g, k->system_reserved_memory),
			 cluster_reserved_cpu(s, g, k->system_reserved_cpu)));
}

/* v1beta1 has an object, v1beta2 a list of pairs. */
static json_t *extra_arguments(const struct cluster_seen *s, const struct cluster_group *g)
{
	bool old = cluster_serves(s, &kind_capi_bootstrap, "v1beta1");
	json_t *result = old ? json_object() : json_array();
	struct arguments l = {.n = 0};

	kubelet_arguments(s, g, &l);
	for (size_t i = 0; i < l.n; i++) {
		if (old) {
			json_object_set_new(result, l.items[i].key, json_string(l.items[i].value));
		} else {
			json_array_append_new(result,
					      json_pack("{s:s, s:s}", "name", l.items[i].key,
							"value", l.items[i].value));
		}
	}
	return result;
}

/* The second disk carries what kubelet and containerd write. */
static void set_disk(json_t *spec)
{
	json_object_set_new(spec, "diskSetup",
			    json_pack("{s:[{s:s, s:s, s:s, s:s, s:b}]}", "filesystems", "device",
				      "/dev/vdb", "filesystem", "xfs", "label", "persistent",
				      "partition", "none", "overwrite", 0));
	json_object_set_new(spec, "mounts",
			    json_pack("[[s, s], [s, s, s, s], [s, s, s, s]]", "LABEL=persistent",
				      "/persistent", "/persistent/kubelet", "/var/lib/kubelet",
				      "none", "bind,nofail", "/persistent/containerd",
				      "/var/lib/containerd", "none", "bind,nofail"));
	json_object_set_new(
		spec, "preKubeadmCommands",
		json_pack("[s, s, s, s, s]", "systemctl stop containerd.service",
			  "mkdir -p /persistent/kubelet /persistent/containerd /var/lib/kubelet "
			  "/var/lib/containerd",
			  "mountpoint -q /var/lib/kubelet || mount --bind /persistent/kubelet "
			  "/var/lib/kubelet",
			  "mountpoint -q /var/lib/containerd || mount --bind "
			  "/persistent/containerd /var/lib/containerd",
			  "systemctl start containerd.service"));
}

json_t *cluster_bootstrap(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *body = cluster_object(s, &kind_capi_bootstrap, g->name);
	json_t *registration = json_pack("{s:o, s:[s]}", "kubeletExtraArgs", extra_arguments(s, g),
					 "ignorePreflightErrors", "FileExisting-conntrack");
	json_t *discovery = json_pack("{s:{s:o}}", "bootstrapToken", "apiServerEndpoint",
				      json_sprintf("%s.%s.svc:6443", s->child.name, s->ns));
	json_t *spec = json_pack("{s:{s:o, s:o}}", "joinConfiguration", "nodeRegistration",
				 registration, "discovery", discovery);

	set_disk(spec);
	json_object_set_new(body, "spec", json_pack("{s:{s:o}}", "template", "spec", spec));
	return body;
}

/* --- machine template ------------------------------------------------------------------------- */

const char *cluster_worker_image(const struct cluster_seen *s)
{
	const char *text = s->options && s->options->worker_image ? s->options->worker_image : "";
	const char *mark = strstr(text, "{minor}");

	return mark ? arena_printf(s->pass->arena, "%.*s%s%s", (int)(mark - text), text, s->minor,
				   mark + strlen("{minor}"))
		    : text;
}

static json_t *disk(const char *name, const char *address)
{
	return json_pack("{s:s, s:{s:s, s:s}}", "name", name, "disk", "bus", "virtio", "pciAddress",
			 address);
}

static void set_pod_cpu(json_t *domain, const struct node_group *spec)
{
	json_t *resources = json_object();

	if (!str_empty(spec->pod_cpu_limit)) {
		json_object_set_new(resources, "limits",
				    json_pack("{s:s}", "cpu", spec->pod_cpu_limit));
	}
	if (!str_empty(spec->pod_cpu_request)) {
		json_object_set_new(resources, "requests",
				    json_pack("{s:s}", "cpu", spec->pod_cpu_request));
	}
	if (json_object_size(resources)) {
		json_object_set(domain, "resources", resources);
	}
	json_decref(resources);
}

static json_t *domain(const struct cluster_group *g)
{
	json_t *devices =
		json_pack("{s:[o, o], s:[{s:s, s:{}}]}", "disks", disk("system", "0000:07:00.0"),
			  disk(KUBELET, "0000:08:00.0"), "interfaces", "name", "default", "bridge");
	json_t *result;

	devices_write(&g->devices, devices);
	if (g->spec->log_serial_console != TRI_UNSET) {
		json_object_set_new(devices, "logSerialConsole",
				    json_boolean(g->spec->log_serial_console == TRI_TRUE));
	}
	result = json_pack("{s:o}", "devices", devices);
	if (!g->type_name) {
		json_object_set_new(result, "cpu",
				    json_pack("{s:I, s:i, s:i}", "cores", (json_int_t)g->cores,
					      "sockets", 1, "threads", 1));
		json_object_set_new(result, "memory",
				    json_pack("{s:s}", "guest", g->spec->resources->memory));
		set_pod_cpu(result, g->spec);
	}
	return result;
}

/* Roles are labels of the nodes; upstream puts them on VM and VMI, where its charts look. */
static void set_roles(json_t *labels, const struct cluster_group *g, struct arena *a)
{
	list_each(role, &g->spec->roles) {
		json_object_set_new(labels, arena_printf(a, "node-role.kubernetes.io/%s", *role),
				    json_string(""));
	}
}

static json_t *vmi_template(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *labels = json_pack("{s:s, s:s, s:s, s:s}", "apps.cozystack.io/application.group",
				   s->child.kind->group, "apps.cozystack.io/application.kind",
				   s->child.kind->kind, "apps.cozystack.io/application.name",
				   s->child.owner->name, CAPI_DEPLOYMENT_LABEL, g->name);
	json_t *volumes =
		json_pack("[{s:s, s:{s:s}}, {s:s, s:{s:s}}]", "name", "system", "containerDisk",
			  "image", s->image, "name", KUBELET, "dataVolume", "name", KUBELET);

	set_roles(labels, g, s->pass->arena);
	return json_pack("{s:{s:{s:s}, s:o}, s:{s:o, s:s, s:[{s:s, s:{}}], s:o}}", "metadata",
			 "annotations", "kubevirt.io/allow-pod-bridge-network-live-migration",
			 "true", "labels", labels, "spec", "domain", domain(g), "evictionStrategy",
			 "External", "networks", "name", "default", "pod", "volumes", volumes);
}

static json_t *kubelet_disk(const struct cluster_group *g)
{
	json_t *storage = json_pack("{s:{s:{s:s}}, s:s*}", "resources", "requests", "storage",
				    g->disk_size, "storageClassName", g->disk_class);

	/* A populator's claim waits for a pod to say the node: the worker would wait for both. */
	return json_pack("{s:{s:s, s:{s:s}}, s:{s:{s:{}}, s:o}}", "metadata", "name", KUBELET,
			 "annotations", "cdi.kubevirt.io/storage.usePopulator", "false", "spec",
			 "source", "blank", "storage", storage);
}

json_t *cluster_template_spec(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *vm = json_pack("{s:s, s:[o], s:o}", "runStrategy", "Always", "dataVolumeTemplates",
			       kubelet_disk(g), "template", vmi_template(s, g));
	json_t *metadata = json_pack("{s:s}", "namespace", s->ns), *roles = json_object();

	set_roles(roles, g, s->pass->arena);
	if (json_object_size(roles)) {
		json_object_set(metadata, "labels", roles);
	}
	json_decref(roles);
	if (g->type_name) {
		json_object_set_new(vm, "instancetype",
				    json_pack("{s:s, s:s}", "kind",
					      "VirtualMachineClusterInstancetype", "name",
					      g->type_name));
	}
	return json_pack("{s:{s:{s:{s:s}, s:{s:o, s:o}}}}", "template", "spec",
			 "virtualMachineBootstrapCheck", "checkStrategy", "ssh",
			 "virtualMachineTemplate", "metadata", metadata, "spec", vm);
}

const char *cluster_template_name(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *spec = cluster_template_spec(s, g);
	auto_free char *text = json_text(spec, JSON_COMPACT | JSON_SORT_KEYS);
	char hex[SHA256_HEX];

	json_decref(spec);
	sha256_hex(text, strlen(text), hex);
	return arena_printf(s->pass->arena, "%s-%.*s", g->name, HASH_DIGITS, hex);
}

json_t *cluster_template(const struct cluster_seen *s, const struct cluster_group *g)
{
	json_t *body = cluster_object(s, &kind_capi_machine_template, g->template_name);

	json_object_set_new(body, "spec", cluster_template_spec(s, g));
	return body;
}
