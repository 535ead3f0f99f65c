/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a VM from being written at all (Accepted=False), and what is accepted without effect
 * (Accepted=True NotHandled). */
#include "controller/vm.h"

#include <string.h>

#include "base/quantity.h"

#define MAX_NAME 63

/* A Service's name, and the label values that carry R, are RFC 1123 labels. */
static struct verdict check_names(const struct vm_seen *s)
{
	size_t n = strlen(s->child.name), prefix = n - strlen(s->app->obj.name);

	if (n <= MAX_NAME) {
		return verdict_none();
	}
	return verdict_no(
		"NameTooLong",
		arena_printf(
			s->pass->arena,
			"what is made for it would be called %s, which has %zu characters of at most %d: choose a name of at most %zu",
			s->child.name, n, MAX_NAME, MAX_NAME - prefix));
}

/*
 * Under --naming=plain a VirtualMachine and a VMInstance of one name want the same children.
 * Whoever has one keeps them (ChildTaken tells the other); while neither has, the VirtualMachine
 * goes first, so that they do not wait for each other.
 */
static struct verdict check_clash(const struct vm_seen *s)
{
	bool made = s->vm || s->service || s->taken_vm || s->taken_service;
	const struct vm_app *other;

	if (!s->options || !s->options->plain_naming || !s->is_instance || made) {
		return verdict_none();
	}
	other = cache_get(s->pass->cache, &kind_virtual_machine, s->app->obj.ns, s->app->obj.name);
	if (!other || other->obj.deleting) {
		return verdict_none();
	}
	return verdict_no(
		"NameClash",
		arena_printf(
			s->pass->arena,
			"VirtualMachine %s/%s has the same name and so the same children: rename one of them",
			s->app->obj.ns, s->app->obj.name));
}

static struct verdict taken(const struct vm_seen *s, const char *kind, const struct obj *o)
{
	struct arena *a = s->pass->arena;
	const char *whose =
		o->owner_name ? arena_printf(a, "belongs to %s %s", o->owner_kind, o->owner_name)
			      : "is not vmgpu's";

	return verdict_no(
		"ChildTaken",
		arena_printf(
			a,
			"%s %s/%s is there already and %s: it is left alone; rename this object, or remove that one",
			kind, o->ns, o->name, whose));
}

static struct verdict check_taken(const struct vm_seen *s)
{
	const struct kv_data_volume *d = vm_disks_taken(s);

	if (s->taken_vm) {
		return taken(s, "KubeVirt VirtualMachine", s->taken_vm);
	}
	if (s->taken_service) {
		return taken(s, "Service", s->taken_service);
	}
	return d ? taken(s, "DataVolume", &d->obj) : verdict_none();
}

static struct verdict check_devices(const struct vm_seen *s)
{
	return devices_check(&s->devices, "gpus", s->type, s->pass->arena);
}

/* --- without effect ------------------------------------------------------------------------ */

static bool needs_cozy_proxy(const struct vm_seen *s)
{
	return tri_or(s->spec.external, false) && !(s->options && s->options->cozy_proxy);
}

static bool whole_ip(const struct vm_seen *s)
{
	return needs_cozy_proxy(s) && str_eq(s->spec.external_method, "WholeIP");
}

static bool icmp(const struct vm_seen *s)
{
	return needs_cozy_proxy(s) && s->spec.external_allow_icmp != TRI_UNSET;
}

static bool half_sized(const struct vm_seen *s, const char *value)
{
	return s->type_name && !str_empty(value);
}

static bool cpu(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->cpu);
}

static bool memory(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->memory);
}

static bool sockets(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->sockets);
}

static bool subnets(const struct vm_seen *s)
{
	return s->spec.networks.n && s->spec.subnets.n;
}

static bool size(const struct vm_seen *s)
{
	const struct system_disk *d = s->spec.system_disk;

	return d && !str_empty(d->storage) && !str_empty(d->size) &&
	       quantity_compare(d->storage, d->size) != 0;
}

static const struct {
	bool (*is)(const struct vm_seen *s);
	const char *field;
} without_effect[] = {
	{whole_ip,
	 "externalMethod: WholeIP (needs Cozystack's cozy-proxy, --cozy-proxy: the ports pass)"},
	{icmp, "externalAllowICMP (needs Cozystack's cozy-proxy, --cozy-proxy)"},
	{vm_service_no_ports, "external (externalPorts is empty: the Service stays inside)"},
	{cpu, "resources.cpu (cpu and memory size a VM together)"},
	{memory, "resources.memory (cpu and memory size a VM together)"},
	{sockets, "resources.sockets (only with cpu and memory)"},
	{subnets, "subnets (networks is set)"},
	{size, "systemDisk.size (systemDisk.storage is set)"},
};

static const char *not_handled(const struct vm_seen *s)
{
	const char *list = NULL;

	for (size_t i = 0; i < ARRAY_LEN(without_effect); i++) {
		if (without_effect[i].is(s)) {
			list = arena_printf(s->pass->arena, "%s%s%s", list ? list : "",
					    list ? ", " : "", without_effect[i].field);
		}
	}
	return list;
}

void vm_check(struct vm_seen *s)
{
	static struct verdict (*const checks[])(const struct vm_seen *) = {
		check_names,
		check_clash,
		check_taken,
		check_devices,
	};

	s->not_handled = not_handled(s);
	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.status; i++) {
		s->accepted = checks[i](s);
	}
}
