/* SPDX-License-Identifier: Apache-2.0 */
/* The KubeVirt VirtualMachine, as Cozystack's chart makes it (cozystack.md 2), so that what it made
 * does not differ. */
#include "controller/vm.h"

#include <string.h>

#include "base/quantity.h"
#include "base/sha256.h"

/*
 * cozystack.md 2: from the hash of namespace, R and seed; an empty seed keeps the UUID of an
 * existing VM, so that cloud-init does not run again on an adopted one.
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

/* --- domain -------------------------------------------------------------------------------- */

/* KubeVirt counts whole cores: part of one is one. What is no quantity is left for it to refuse. */
static json_t *count(const char *text)
{
	long double q;
	json_int_t whole;

	if (quantity_parse(text, &q) < 0 || q < 0 || q > INT32_MAX) {
		return json_string(text);
	}
	whole = (json_int_t)q;
	return json_integer((long double)whole < q ? whole + 1 : whole);
}

/* cpu and memory together replace the instance type; KubeVirt refuses a VM with both (kubevirt.md
 * 5). */
static void write_size(const struct vm_seen *s, json_t *domain)
{
	const struct vm_resources *r = s->spec.resources;
	json_t *cpu = json_object();

	if (!s->type_name) {
		json_object_set_new(cpu, "cores", count(r->cpu));
		json_object_set_new(cpu, "sockets",
				    str_empty(r->sockets) ? json_integer(1) : count(r->sockets));
		json_object_set_new(domain, "resources",
				    json_pack("{s:{s:s}}", "requests", "memory", r->memory));
	}
	if (!str_empty(s->spec.cpu_model)) {
		json_object_set_new(cpu, "model", json_string(s->spec.cpu_model));
	}
	if (json_object_size(cpu)) {
		json_object_set(domain, "cpu", cpu);
	}
	json_decref(cpu);
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
		json_array_append_new(
			networks,
			json_pack("{s:s, s:{s:o}}", "name", n->name, "multus", "networkName",
				  json_sprintf("%s/%s", s->child.owner->ns, n->name)));
		json_array_append_new(interfaces,
				      json_pack("{s:s, s:{}}", "name", n->name, "bridge"));
	}
	json_object_set_new(spec, "networks", networks);
	json_object_set_new(devices, "interfaces", interfaces);
}

/* Takes the list; an empty one is not written. */
static void set_list(json_t *object, const char *key, json_t *list_new)
{
	if (json_array_size(list_new)) {
		json_object_set(object, key, list_new);
	}
	json_decref(list_new);
}

static json_t *template_spec(const struct vm_seen *s, json_t *vm_spec)
{
	json_t *devices = json_object(), *disks = json_array(), *volumes = json_array();
	json_t *domain = json_pack("{s:{s:s}, s:{s:s}}", "firmware", "uuid", smbios_uuid(s),
				   "machine", "type", "");
	json_t *spec = json_pack("{s:i}", "terminationGracePeriodSeconds", 30);

	devices_write(&s->devices, devices);
	vm_disks_write(s, vm_spec, disks, volumes);
	vm_secrets_write(s, spec, disks, volumes);
	write_networks(s, spec, devices);
	write_size(s, domain);
	set_list(devices, "disks", disks);
	json_object_set_new(domain, "devices", devices);
	json_object_set_new(spec, "domain", domain);
	set_list(spec, "volumes", volumes);
	if (vm_gpus_any(s)) {
		/* It cannot migrate; under another strategy its eviction is refused for ever and
		 * drains hang (kubevirt.md 5). */
		json_object_set_new(spec, "evictionStrategy", json_string("None"));
	}
	return spec;
}

/* The power state is its user's too: we repeat what the VM shows, and only if it still does. */
static void write_power(const struct vm_seen *s, json_t *body, json_t *spec)
{
	const char *strategy = s->vm ? s->vm->run_strategy : s->wanted;

	if (s->vm) {
		json_object_set_new(json_object_get(body, "metadata"), "resourceVersion",
				    json_string(s->vm->obj.rv));
	}
	if (strategy) {
		json_object_set_new(spec, "runStrategy", json_string(strategy));
	}
}

json_t *vm_body(const struct vm_seen *s)
{
	json_t *body = child_object(&s->child, s->pass->cache, &kind_kv_vm, s->child.name);
	json_t *spec = json_pack("{s:{s:s, s:s}}", "preference", "kind",
				 "VirtualMachineClusterPreference", "name", s->profile_name);
	json_t *template = json_pack("{s:{s:o, s:{s:s}}}", "metadata", "labels",
				     child_template_labels(&s->child), "annotations",
				     "kubevirt.io/allow-pod-bridge-network-live-migration", "true");

	if (s->type_name) {
		json_object_set_new(spec, "instancetype",
				    json_pack("{s:s, s:s}", "kind",
					      "VirtualMachineClusterInstancetype", "name",
					      s->type_name));
	}
	json_object_set_new(template, "spec", template_spec(s, spec));
	json_object_set_new(spec, "template", template);
	write_power(s, body, spec);
	json_object_set_new(body, "spec", spec);
	return body;
}
