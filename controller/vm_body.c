/* SPDX-License-Identifier: Apache-2.0 */
/* The KubeVirt VirtualMachine and the Service, as Cozystack's chart makes them (cozystack.md 2), so that what it made before does not differ. */
#include "controller/vm.h"

#include <string.h>

#include "base/sha256.h"

/*
 * cozystack.md 2: from the hash of namespace, R and seed; an empty seed keeps the UUID of an existing VM, so that cloud-init does not run
 * again on an adopted one.
 */
static const char *smbios_uuid(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const char *seed = s->spec.cloud_init_seed ? s->spec.cloud_init_seed : "";
	const char *text = arena_printf(a, "%s-%s-%s", s->child.owner->ns, s->child.name, seed);
	char h[SHA256_HEX];

	if (!*seed && s->vm && s->vm->firmware_uuid) {
		return s->vm->firmware_uuid;
	}
	sha256_hex(text, strlen(text), h);
	return arena_printf(a, "%.8s-%.4s-4%.3s-9%.3s-%.12s", h, h + 8, h + 13, h + 17, h + 20);
}

/* --- domain ---------------------------------------------------------------------------------------------- */

/* A quantity that is a whole number becomes one: KubeVirt's cores and sockets are integers. */
static json_t *count(const char *text)
{
	int64_t v;

	return parse_int(text, 0, INT32_MAX, &v) == 0 ? json_integer(v) : json_string(text);
}

static void write_size(const struct vm_seen *s, json_t *domain)
{
	const struct vm_resources *r = s->spec.resources;
	json_t *cpu = json_object();

	if (r && !str_empty(r->cpu) && !str_empty(r->sockets)) {
		json_object_set_new(cpu, "cores", count(r->cpu));
		json_object_set_new(cpu, "sockets", count(r->sockets));
	} else if (r && !str_empty(r->cpu) && !s->type_name) {
		json_object_set_new(cpu, "cores", count(r->cpu));
	}
	if (!str_empty(s->spec.cpu_model)) {
		json_object_set_new(cpu, "model", json_string(s->spec.cpu_model));
	}
	if (json_object_size(cpu)) {
		json_object_set(domain, "cpu", cpu);
	}
	json_decref(cpu);
	if (r && !str_empty(r->memory)) {
		json_object_set_new(domain, "resources", json_pack("{s:{s:s}}", "requests", "memory", r->memory));
	}
}

static const struct named_list *extra_networks(const struct vm_seen *s)
{
	return s->spec.networks.n ? &s->spec.networks : &s->spec.subnets;
}

static void write_networks(const struct vm_seen *s, json_t *spec, json_t *devices)
{
	json_t *networks = json_pack("[{s:s, s:{}}]", "name", "default", "pod");
	json_t *interfaces = json_pack("[{s:s, s:{}}]", "name", "default", "bridge");

	list_each(n, extra_networks(s)) {
		json_array_append_new(networks, json_pack("{s:s, s:{s:o}}", "name", n->name, "multus", "networkName",
							  json_sprintf("%s/%s", s->child.owner->ns, n->name)));
		json_array_append_new(interfaces, json_pack("{s:s, s:{}}", "name", n->name, "bridge"));
	}
	json_object_set_new(spec, "networks", networks);
	json_object_set_new(devices, "interfaces", interfaces);
}

static json_t *template_spec(const struct vm_seen *s, json_t *vm_spec)
{
	json_t *devices = json_object();
	json_t *volumes = json_array();
	json_t *domain = json_pack("{s:{s:s}, s:{s:s}}", "firmware", "uuid", smbios_uuid(s), "machine", "type", "");
	json_t *spec = json_pack("{s:i}", "terminationGracePeriodSeconds", 30);

	vm_gpus_write(s, devices);
	vm_disks_write(s, vm_spec, devices, volumes, spec);
	write_networks(s, spec, devices);
	write_size(s, domain);
	json_object_set_new(domain, "devices", devices);
	json_object_set_new(spec, "domain", domain);
	if (json_array_size(volumes)) {
		json_object_set(spec, "volumes", volumes);
	}
	json_decref(volumes);
	if (s->n_gpus) {
		/* A GPU VM cannot migrate; under another strategy its eviction is refused for ever and drains hang (kubevirt.md 5). */
		json_object_set_new(spec, "evictionStrategy", json_string("None"));
	}
	return spec;
}

json_t *vm_body(const struct vm_seen *s)
{
	json_t *body = child_object(&s->child, s->pass->cache, &kind_kv_vm, s->child.name);
	json_t *spec = json_object();
	json_t *template = json_pack("{s:{s:o, s:{s:s}}}", "metadata", "labels", child_template_labels(&s->child), "annotations",
				     "kubevirt.io/allow-pod-bridge-network-live-migration", "true");

	if (s->type_name) {
		json_object_set_new(spec, "instancetype",
				    json_pack("{s:s, s:s}", "kind", "VirtualMachineClusterInstancetype", "name", s->type_name));
	}
	if (s->profile_name) {
		json_object_set_new(spec, "preference",
				    json_pack("{s:s, s:s}", "kind", "VirtualMachineClusterPreference", "name", s->profile_name));
	}
	json_object_set_new(template, "spec", template_spec(s, spec));
	json_object_set_new(spec, "template", template);
	if (s->vm) {
		/* The power state is the user's (vmgpu-power): repeat what the VM shows, and only if it still does. */
		json_object_set_new(json_object_get(body, "metadata"), "resourceVersion", json_string(s->vm->obj.rv));
		if (s->live_strategy) {
			json_object_set_new(spec, "runStrategy", json_string(s->live_strategy));
		}
	} else {
		json_object_set_new(spec, "runStrategy", json_string(s->run_strategy));
	}
	json_object_set_new(body, "spec", spec);
	return body;
}

/* --- Service --------------------------------------------------------------------------------------------- */

static json_t *service_ports(const struct vm_seen *s, bool external, bool whole)
{
	json_t *ports = json_array();

	for (size_t i = 0; external && i < s->spec.external_ports.n; i++) {
		int64_t port = s->spec.external_ports.items[i];

		json_array_append_new(ports, json_pack("{s:o, s:I, s:I, s:s}", "name", json_sprintf("port-%lld", (long long)port), "port",
						       (json_int_t)port, "targetPort", (json_int_t)port, "protocol", "TCP"));
	}
	if (external && !whole && !s->spec.external_ports.n) {
		json_array_append_new(ports, json_pack("{s:s, s:i, s:i, s:s}", "name", "port-22", "port", 22, "targetPort", 22,
						       "protocol", "TCP"));
	}
	if (!json_array_size(ports)) {
		/* A Service needs a port; nobody listens on this one (cozystack.md 2). */
		json_array_append_new(ports, json_pack("{s:i, s:s}", "port", 65535, "protocol", "TCP"));
	}
	return ports;
}

json_t *vm_service(const struct vm_seen *s)
{
	bool external = tri_or(s->spec.external, false), whole = str_eq(s->spec.external_method, "WholeIP");
	json_t *body = child_object(&s->child, s->pass->cache, &kind_service, s->child.name);
	json_t *metadata = json_object_get(body, "metadata"), *labels = json_object_get(metadata, "labels");
	json_t *spec = json_pack("{s:o, s:o}", "selector", child_selector(&s->child), "ports", service_ports(s, external, whole));

	json_object_set_new(labels, "apps.cozystack.io/user-service", json_string("true"));
	if (!external) {
		json_object_set_new(spec, "type", json_string("ClusterIP"));
		json_object_set_new(spec, "clusterIP", json_string("None"));
	} else {
		json_object_set_new(labels, "service.kubernetes.io/service-proxy-name", json_string("cozy-proxy"));
		json_object_set_new(metadata, "annotations",
				    json_pack("{s:s}", "networking.cozystack.io/wholeIP", whole ? "true" : "false"));
		if (!whole) {
			json_object_set_new(json_object_get(metadata, "annotations"), "networking.cozystack.io/allowICMP",
					    json_string(tri_or(s->spec.external_allow_icmp, true) ? "true" : "false"));
		}
		json_object_set_new(spec, "type", json_string("LoadBalancer"));
		json_object_set_new(spec, "externalTrafficPolicy", json_string("Local"));
		json_object_set_new(spec, "allocateLoadBalancerNodePorts", json_false());
	}
	json_object_set_new(body, "spec", spec);
	return body;
}
