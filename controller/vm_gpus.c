/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.gpus[] -> device entries. Which of KubeVirt's two lists an entry stands in matters twice: a
 * change of it means a restart, and one resource in both lists would be handed out twice
 * (kubevirt.md 2). So an existing VM keeps the list that it has, and all entries of one resource go
 * together.
 */
#include "controller/vm.h"

#include <string.h>

#include "api/gpu_names.h"

/* --- gather
 * ---------------------------------------------------------------------------------------------- */

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
static const struct type ram_fb_type = {"ramFB", sizeof(struct ram_fb), ram_fb_fields, NULL};
static const struct field display_fields[] = {
	FIELD(struct display, enabled, "enabled", TYPE_BOOL),
	FIELD(struct display, ram_fb, "ramFB", TYPE_OBJ, .sub = &ram_fb_type),
	{0},
};
static const struct type display_type = {"display", sizeof(struct display), display_fields, NULL};
static const struct field gpu_options_fields[] = {
	FIELD(struct gpu_options, display, "display", TYPE_OBJ, .sub = &display_type),
	{0},
};
static const struct type gpu_options_type = {"virtualGPUOptions", sizeof(struct gpu_options),
					     gpu_options_fields, NULL};

static void read_options(struct vm_seen *s, const struct gpu_request *r, struct vm_gpu *g)
{
	struct gpu_options o = {0};

	if (!r->virtual_gpu_options || type_read_text(&gpu_options_type, r->virtual_gpu_options,
						      s->pass->arena, &o, NULL) < 0) {
		return;
	}
	g->options = true;
	if (o.display) {
		g->display_options = true;
		g->display = o.display->enabled;
		g->ram_fb = o.display->ram_fb ? o.display->ram_fb->enabled : TRI_UNSET;
	}
}

static bool in_list(const struct kv_gpu_list *l, const char *device)
{
	list_each(g, l) {
		if (str_eq(g->device_name, device)) {
			return true;
		}
	}
	return false;
}

static bool resource_has_options(const struct vm_seen *s, const char *device)
{
	for (size_t i = 0; i < s->n_gpus; i++) {
		if (s->gpus[i].options && str_eq(s->gpus[i].device, device)) {
			return true;
		}
	}
	return false;
}

static bool has_in_lists(const struct kv_gpu_list *gpus, const struct kv_gpu_list *host,
			 const char *device)
{
	return in_list(gpus, device) || in_list(host, device);
}

/* --- names -------------------------------------------------------------------------------- */

static int64_t asked_as(const struct vm_seen *s, const char *name)
{
	int64_t n = 0;

	list_each(r, &s->spec.gpus) {
		n += str_eq(r->name, name) ? opt_int_or(r->count, 1) : 0;
	}
	return n;
}

static bool some_node_has_free(const struct vm_seen *s, const char *name, int64_t count)
{
	const struct inventory_model *m = inventory_find(&s->inventory, name);

	for (size_t i = 0; m && i < m->n_places; i++) {
		if (m->places[i].free >= count) {
			return true;
		}
	}
	return false;
}

/* The VM that may be there, as far as its choices bind us. */
static const struct kv_vm *made_before(const struct vm_seen *s)
{
	return s->vm_whose == CHILD_OURS || s->vm_whose == CHILD_HELM ? s->vm : NULL;
}

/*
 * An alias may mean several cards. A VM keeps the one that it was written with, since another name
 * is another device and a restart; a new one takes the first that a node has free, else that a node
 * has.
 */
static const char *device_of(const struct vm_seen *s, const char *asked)
{
	const struct kv_vm *vm = made_before(s);
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(&s->inventory, asked, names, ARRAY_LEN(names));

	for (size_t i = 0; vm && n > 1 && i < n; i++) {
		if (has_in_lists(&vm->gpus, &vm->host_devices, names[i])) {
			return names[i];
		}
	}
	for (size_t i = 0; n > 1 && i < n; i++) {
		if (some_node_has_free(s, names[i], asked_as(s, asked))) {
			return names[i];
		}
	}
	return inventory_resolve(&s->inventory, asked);
}

/* The list that an existing VM of ours has for whole GPUs decides; a new VM follows the gate. */
static bool belongs_to_host_devices(const struct vm_seen *s, const struct vm_gpu *g)
{
	const struct kv_vm *vm = made_before(s);

	if (g->vgpu || resource_has_options(s, g->device)) {
		return false;
	}
	if (vm && in_list(&vm->host_devices, g->device)) {
		return true;
	}
	if (vm && in_list(&vm->gpus, g->device)) {
		return false;
	}
	if (vm && vm->host_devices.n) {
		return true;
	}
	if (vm && vm->gpus.n) {
		list_each(other, &vm->gpus) {
			if (!inventory_is_vgpu(&s->inventory, other->device_name)) {
				return false;
			}
		}
	}
	return s->cr.gate;
}

/*
 * One display at most, since a VM has one ramFB: on the entry that asks for it, else on the first
 * vGPU, but never on a compute profile. Both switches are always written, because KubeVirt's
 * defaults differ between mdevs and VFs and between its versions (kubevirt.md 0).
 */
static void choose_displays(struct vm_seen *s)
{
	struct vm_gpu *first = NULL;
	bool asked = false;

	for (size_t i = 0; i < s->n_gpus; i++) {
		struct vm_gpu *g = &s->gpus[i];

		if (g->vgpu && !first) {
			first = g;
		}
		asked |= g->display == TRI_TRUE;
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		struct vm_gpu *g = &s->gpus[i];
		bool by_default = !asked && g == first && inventory_series(g->device) != 'C';

		g->show = tri_or(g->display, by_default);
		g->show_fb = g->show && tri_or(g->ram_fb, true);
	}
}

static void gather_one(struct vm_seen *s, unsigned index)
{
	const struct gpu_request *r = &s->spec.gpus.items[index];
	const char *device = device_of(s, r->name);
	int64_t count = opt_int_or(r->count, 1);

	for (int64_t k = 0; k < count && s->n_gpus < VM_MAX_GPUS; k++) {
		struct vm_gpu *g = &s->gpus[s->n_gpus++];

		*g = (struct vm_gpu){.device = device,
				     .index = index,
				     .vgpu = inventory_is_vgpu(&s->inventory, device)};
		read_options(s, r, g);
		gpus_ask(&s->asked, r->name, device)->count++;
	}
}

void vm_gpus_gather(struct vm_seen *s)
{
	s->asked = (struct gpus){
		.pass = s->pass,
		.options = s->options,
		.inventory = &s->inventory,
		.cr = &s->cr,
		.ns = s->app->obj.ns,
		.machine = s->child.name,
	};
	if (!s->spec.gpus.n) {
		return;
	}
	inventory_make(s->pass, s->app->obj.ns, s->child.name, &s->inventory);
	if (s->cr.config) {
		cr_permitted_read(s->cr.config, s->pass->arena, &s->asked.permitted);
	}
	for (size_t i = 0; i < s->spec.gpus.n; i++) {
		if (s->spec.gpus.items[i].name) {
			gather_one(s, (unsigned)i);
		}
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		s->gpus[i].host_device = belongs_to_host_devices(s, &s->gpus[i]);
		s->asked.host_devices |= s->gpus[i].host_device;
	}
	choose_displays(s);
}

bool vm_gpus_any(const struct vm_seen *s)
{
	return s->n_gpus || (s->type && (s->type->gpus.n || s->type->host_devices.n));
}

bool vm_gpus_attached(const struct vm_seen *s)
{
	const struct kv_vmi *v = s->vmi;

	if (!v || !v->node || v->gpus.n + v->host_devices.n != s->n_gpus) {
		return false;
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		if (!has_in_lists(&v->gpus, &v->host_devices, s->gpus[i].device)) {
			return false;
		}
	}
	return str_eq(v->phase, "Running") || str_eq(v->phase, "Scheduled");
}

/* --- writing
 * --------------------------------------------------------------------------------------------- */

/* Both switches are written out: KubeVirt's defaults for what is left open differ (kubevirt.md 0).
 */
static json_t *options_json(const struct vm_gpu *g)
{
	return json_pack("{s:{s:b, s:{s:b}}}", "display", "enabled", g->show, "ramFB", "enabled",
			 g->show_fb);
}

void vm_gpus_write(const struct vm_seen *s, json_t *devices)
{
	json_t *gpus = json_array(), *host = json_array();

	for (size_t i = 0; i < s->n_gpus; i++) {
		const struct vm_gpu *g = &s->gpus[i];
		json_t *entry = json_pack("{s:o, s:s}", "name", json_sprintf("gpu%zu", i + 1),
					  "deviceName", g->device);

		if (g->vgpu || g->display_options) {
			json_object_set_new(entry, "virtualGPUOptions", options_json(g));
		}
		json_array_append_new(g->host_device ? host : gpus, entry);
	}
	if (json_array_size(gpus)) {
		json_object_set(devices, "gpus", gpus);
	}
	if (json_array_size(host)) {
		json_object_set(devices, "hostDevices", host);
	}
	json_decref(gpus);
	json_decref(host);
}
