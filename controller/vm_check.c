/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a VM from being written at all (Accepted=False). */
#include "controller/vm.h"

#include <string.h>

#define MAX_NAME 63

static struct verdict check_raws(const struct vm_seen *s)
{
	const struct child_raw raws[] = {
		{"disks", s->spec.disks},
		{"externalPorts", s->spec.external_ports},
	};

	return child_raws_read(s->pass->arena, raws, ARRAY_LEN(raws));
}

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

void vm_check(struct vm_seen *s)
{
	static struct verdict (*const checks[])(const struct vm_seen *) = {
		check_raws, check_names, check_clash, check_taken, check_devices,
	};

	s->not_handled = vm_fields_not_handled(s);
	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.status; i++) {
		s->accepted = checks[i](s);
	}
}
