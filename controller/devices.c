/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/devices.h"

#include "api/gpu_names.h"
#include "api/resource.h"

/* --- virtualGPUOptions ------------------------------------------------------------------------ */

struct ram_fb {
	tri enabled;
};
struct display {
	tri enabled;
	const struct ram_fb *ram_fb;
};
struct gpu_options {
	const struct display *display;
};

static const struct field ram_fb_fields[] = {FIELD(struct ram_fb, enabled, "enabled", TYPE_BOOL),
					     {0}};
static const struct type ram_fb_type = {sizeof(struct ram_fb), ram_fb_fields, NULL};
static const struct field display_fields[] = {
	FIELD(struct display, enabled, "enabled", TYPE_BOOL),
	FIELD(struct display, ram_fb, "ramFB", TYPE_OBJ, .sub = &ram_fb_type),
	{0},
};
static const struct type display_type = {sizeof(struct display), display_fields, NULL};
static const struct field gpu_options_fields[] = {
	FIELD(struct gpu_options, display, "display", TYPE_OBJ, .sub = &display_type),
	{0},
};
static const struct type gpu_options_type = {sizeof(struct gpu_options), gpu_options_fields, NULL};

static void read_options(const struct gpu_request *r, struct arena *a, struct device *d)
{
	struct gpu_options o = {0};

	if (!r->virtual_gpu_options ||
	    type_read_text(&gpu_options_type, r->virtual_gpu_options, a, &o, NULL) < 0) {
		return;
	}
	d->options = true;
	if (o.display) {
		d->display_options = true;
		d->display = o.display->enabled;
		d->ram_fb = o.display->ram_fb ? o.display->ram_fb->enabled : TRI_UNSET;
	}
}

/*
 * One display at most, since a machine has one ramFB: on the entry that asks for it, else on the
 * first vGPU, but never on a compute profile. Both switches are always written, because KubeVirt's
 * defaults differ between mdevs and VFs and between its versions (kubevirt.md 0).
 */
static void choose_displays(struct devices *all)
{
	struct device *first = NULL;
	bool asked = false;

	list_each(d, all) {
		if (d->vgpu && !first) {
			first = d;
		}
		asked |= d->display == TRI_TRUE;
	}
	list_each(d, all) {
		bool by_default = !asked && d == first && inventory_series(d->device) != 'C';

		d->show = tri_or(d->display, by_default);
		d->show_fb = d->show && tri_or(d->ram_fb, true);
	}
}

/* --- names ------------------------------------------------------------------------------------ */

bool devices_in(const struct kv_gpu_list *l, const char *device)
{
	list_each(d, l) {
		if (str_eq(d->device_name, device)) {
			return true;
		}
	}
	return false;
}

static bool had(const struct devices_before *before, const char *device)
{
	return before &&
	       (devices_in(before->gpus, device) || devices_in(before->host_devices, device));
}

static int64_t asked_as(const struct gpu_request_list *requests, const char *name)
{
	int64_t n = 0;

	list_each(r, requests) {
		n += str_eq(r->name, name) ? opt_int_or(r->count, 1) : 0;
	}
	return n;
}

static bool some_node_has_free(const struct inventory *inv, const char *name, int64_t count)
{
	const struct inventory_model *m = inventory_find(inv, name);

	for (size_t i = 0; m && i < m->n_places; i++) {
		if (inventory_free(inv, m, &m->places[i]) >= count) {
			return true;
		}
	}
	return false;
}

/*
 * An alias may mean several cards. A machine keeps the one that it was written with, since another
 * name is another device; a new one takes the first that a node has free, else that a node has.
 */
static const char *device_of(const struct inventory *inv, const struct gpu_request_list *requests,
			     const struct devices_before *before, const char *asked)
{
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(inv, asked, names, ARRAY_LEN(names));

	for (size_t i = 0; n > 1 && i < n; i++) {
		if (had(before, names[i])) {
			return names[i];
		}
	}
	for (size_t i = 0; n > 1 && i < n; i++) {
		if (some_node_has_free(inv, names[i], asked_as(requests, asked))) {
			return names[i];
		}
	}
	return inventory_resolve(inv, asked);
}

/* --- gpus or hostDevices ---------------------------------------------------------------------- */

static bool resource_has_options(const struct devices *all, const char *device)
{
	list_each(d, all) {
		if (d->options && str_eq(d->device, device)) {
			return true;
		}
	}
	return false;
}

/* The list that an existing machine has for whole GPUs decides; a new one follows the gate. */
static bool belongs_to_host_devices(const struct devices *all, const struct device *d,
				    const struct devices_before *before, const struct gpus *asked)
{
	if (d->vgpu || resource_has_options(all, d->device)) {
		return false;
	}
	if (before && devices_in(before->host_devices, d->device)) {
		return true;
	}
	if (before && devices_in(before->gpus, d->device)) {
		return false;
	}
	if (before && before->host_devices->n) {
		return true;
	}
	if (before) {
		list_each(other, before->gpus) {
			if (!inventory_is_vgpu(asked->inventory, other->device_name)) {
				return false;
			}
		}
	}
	return asked->cr->gate;
}

static void make_one(struct devices *all, const struct gpu_request_list *requests, unsigned index,
		     const struct devices_before *before, struct gpus *asked)
{
	const struct gpu_request *r = &requests->items[index];
	const char *device = device_of(asked->inventory, requests, before, r->name);
	int64_t count = opt_int_or(r->count, 1);

	for (int64_t k = 0; k < count && all->n < DEVICES_MAX; k++) {
		struct device *d = &all->items[all->n++];

		*d = (struct device){.device = device,
				     .index = index,
				     .vgpu = inventory_is_vgpu(asked->inventory, device)};
		read_options(r, asked->pass->arena, d);
		gpus_ask(asked, r->name, device)->count++;
	}
}

struct devices devices_make(const struct gpu_request_list *requests,
			    const struct devices_before *before, struct gpus *asked)
{
	struct devices all = {0};

	if (requests->n) {
		all.items = arena_array(asked->pass->arena, struct device, DEVICES_MAX);
	}
	for (size_t i = 0; i < requests->n && all.n < DEVICES_MAX; i++) {
		if (requests->items[i].name) {
			make_one(&all, requests, (unsigned)i, before, asked);
		}
	}
	list_each(d, &all) {
		d->host_device = belongs_to_host_devices(&all, d, before, asked);
		asked->host_devices |= d->host_device;
	}
	choose_displays(&all);
	return all;
}

/* --- what no machine can have ----------------------------------------------------------------- */

/* NVIDIA's vGPU user guide: multiple vGPUs in one VM are for the Q series. */
static struct verdict check_several(const struct devices *all, const char *path, struct arena *a)
{
	const struct device *not_q = NULL;
	size_t vgpus = 0;

	list_each(d, all) {
		vgpus += d->vgpu;
		if (d->vgpu && inventory_series(d->device) != 'Q' && !not_q) {
			not_q = d;
		}
	}
	if (vgpus < 2 || !not_q) {
		return verdict_none();
	}
	return verdict_no("SeveralVGPUs",
			  arena_printf(a,
				       "%s[%u] is %s: NVIDIA allows several vGPUs in one VM for Q "
				       "profiles only; ask for one, or for Q profiles",
				       path, not_q->index, not_q->device));
}

static struct verdict check_displays(const struct devices *all, const char *path, struct arena *a)
{
	size_t displays = 0;

	list_each(d, all) {
		if (d->show_fb && ++displays > 1) {
			return verdict_no(
				"SeveralDisplays",
				arena_printf(
					a,
					"%s[%u] asks for a second display with ramFB, and a VM "
					"has one ramFB: set virtualGPUOptions.display.enabled "
					"(or ramFB.enabled) to false there",
					path, d->index));
		}
	}
	return verdict_none();
}

static struct verdict check_type(const struct devices *all, const char *path,
				 const struct kv_instancetype *type, struct arena *a)
{
	if (!all->n || !type || !(type->gpus.n || type->host_devices.n)) {
		return verdict_none();
	}
	return verdict_no(
		"InstanceTypeHasGPUs",
		arena_printf(a,
			     "instance type %s has GPUs of its own, and KubeVirt allows devices in "
			     "one place only (VM field(s) spec.template.spec.domain.devices.gpus "
			     "conflicts with selected instance type): choose another instanceType "
			     "or remove %s",
			     type->obj.name, path));
}

struct verdict devices_check(const struct devices *d, const char *path,
			     const struct kv_instancetype *type, struct arena *a)
{
	struct verdict v = check_type(d, path, type, a);

	v = v.status ? v : check_several(d, path, a);
	return v.status ? v : check_displays(d, path, a);
}

/* --- writing ---------------------------------------------------------------------------------- */

static json_t *options_json(const struct device *d)
{
	return json_pack("{s:{s:b, s:{s:b}}}", "display", "enabled", d->show, "ramFB", "enabled",
			 d->show_fb);
}

void devices_write(const struct devices *all, json_t *domain_devices)
{
	json_t *gpus = json_array(), *host = json_array();

	for (size_t i = 0; i < all->n; i++) {
		const struct device *d = &all->items[i];
		json_t *entry = json_pack("{s:o, s:s}", "name", json_sprintf("gpu%zu", i + 1),
					  "deviceName", d->device);

		if (d->vgpu || d->display_options) {
			json_object_set_new(entry, "virtualGPUOptions", options_json(d));
		}
		json_array_append_new(d->host_device ? host : gpus, entry);
	}
	for (size_t i = 0; i < all->companions; i++) {
		json_array_append_new(host, json_pack("{s:o, s:s}", "name",
						      json_sprintf("companion%zu", i + 1),
						      "deviceName", RESOURCE_COMPANION));
	}
	if (json_array_size(gpus)) {
		json_object_set(domain_devices, "gpus", gpus);
	}
	if (json_array_size(host)) {
		json_object_set(domain_devices, "hostDevices", host);
	}
	json_decref(gpus);
	json_decref(host);
}
