/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.gpus[] -> device entries. Which of KubeVirt's two lists an entry stands in matters twice: a change of it means a restart, and one resource in
 * both lists would be handed out twice (kubevirt.md 2). So an existing VM keeps the list that it has, and all entries of one resource go together.
 */
#include "controller/vm.h"

#include <string.h>

/* --- gather ---------------------------------------------------------------------------------------------- */

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

static const struct field ram_fb_fields[] = {FIELD(struct ram_fb, enabled, "enabled", TYPE_BOOL), {0}};
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
static const struct type gpu_options_type = {"virtualGPUOptions", sizeof(struct gpu_options), gpu_options_fields, NULL};

static void read_options(struct vm_seen *s, const struct gpu_request *r, struct vm_gpu *g)
{
	struct gpu_options o = {0};

	if (!r->virtual_gpu_options || type_read_text(&gpu_options_type, r->virtual_gpu_options, s->pass->arena, &o, NULL) < 0) {
		return;
	}
	g->has_options = true;
	if (o.display) {
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
		if (s->gpus[i].has_options && str_eq(s->gpus[i].device, device)) {
			return true;
		}
	}
	return false;
}

/* The list that an existing VM of ours has for whole GPUs decides; a new VM follows the gate. */
static bool belongs_to_host_devices(const struct vm_seen *s, const struct vm_gpu *g)
{
	const struct kv_vm *vm = s->vm_whose == CHILD_OURS || s->vm_whose == CHILD_HELM ? s->vm : NULL;

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
	return s->gate;
}

/*
 * One display at most, since a VM has one ramFB: on the entry that asks for it, else on the first vGPU, but never on a compute profile. Both switches are
 * always written, because KubeVirt's defaults differ between mdevs and VFs and between its versions (kubevirt.md 0).
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
		asked |= g->vgpu && g->display == TRI_TRUE;
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		struct vm_gpu *g = &s->gpus[i];
		bool by_default = !asked && g == first && inventory_series(g->device) != 'C';

		if (g->vgpu) {
			g->show = tri_or(g->display, by_default);
			g->show_fb = g->show && tri_or(g->ram_fb, true);
		}
	}
}

void vm_gpus_gather(struct vm_seen *s)
{
	for (size_t i = 0; i < s->spec.gpus.n; i++) {
		const struct gpu_request *r = &s->spec.gpus.items[i];
		int64_t count = opt_int_or(r->count, 1);

		for (int64_t k = 0; k < count && s->n_gpus < VM_MAX_GPUS && r->name; k++) {
			struct vm_gpu *g = &s->gpus[s->n_gpus++];

			g->asked = r->name;
			g->device = inventory_resolve(&s->inventory, r->name);
			g->index = (unsigned)i;
			g->vgpu = inventory_is_vgpu(&s->inventory, g->device);
			read_options(s, r, g);
		}
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		s->gpus[i].host_device = belongs_to_host_devices(s, &s->gpus[i]);
	}
	choose_displays(s);
}

/* --- permitted? ------------------------------------------------------------------------------------------ */

struct permit_entry {
	const char *resource;
	tri external;
};
struct permit_lists {
	LIST(struct permit_entry) pci, mdev, usb;
};
static const struct field permit_entry_fields[] = {
	FIELD(struct permit_entry, resource, "resourceName", TYPE_STR),
	FIELD(struct permit_entry, external, "externalResourceProvider", TYPE_BOOL),
	{0},
};
static const struct type permit_entry_type = {"entry", sizeof(struct permit_entry), permit_entry_fields, NULL};
static const struct field permit_lists_fields[] = {
	FIELD(struct permit_lists, pci, "pciHostDevices", TYPE_OBJS, .sub = &permit_entry_type),
	FIELD(struct permit_lists, mdev, "mediatedDevices", TYPE_OBJS, .sub = &permit_entry_type),
	FIELD(struct permit_lists, usb, "usb", TYPE_OBJS, .sub = &permit_entry_type),
	{0},
};
static const struct type permit_lists_type = {"permittedHostDevices", sizeof(struct permit_lists), permit_lists_fields, NULL};

enum listed { LISTED_NOT, LISTED_FOREIGN, LISTED_YES };

#define look_in(list)                                                             \
	list_each(e, list) {                                                      \
		if (str_eq(e->resource, device)) {                                \
			found = MAX(found, e->external == TRI_TRUE ? LISTED_YES : LISTED_FOREIGN); \
		}                                                                 \
	}

/* virt-controller looks at the resource names of all three lists and at nothing else (kubevirt.md 1). */
static enum listed listed(const struct vm_seen *s, const char *device)
{
	struct permit_lists lists;
	enum listed found = LISTED_NOT;

	if (type_read_text(&permit_lists_type, s->kubevirt->permitted, s->pass->arena, &lists, NULL) < 0) {
		return LISTED_NOT;
	}
	look_in(&lists.pci);
	look_in(&lists.mdev);
	look_in(&lists.usb);
	return found;
}

tri vm_gpus_listed(const struct vm_seen *s, const char *device)
{
	if (!s->kubevirt) {
		return TRI_UNSET;
	}
	return !s->kubevirt->permitted || listed(s, device) != LISTED_NOT ? TRI_TRUE : TRI_FALSE;
}

static struct vm_state registering(const struct vm_seen *s, const char *device)
{
	const struct inventory_model *m = inventory_find(&s->inventory, device);
	struct arena *a = s->pass->arena;

	if (!m) {
		return (struct vm_state){"False", "NotListed",
			arena_printf(a, "%s is not in the KubeVirt CR's permittedHostDevices, and no node has such a GPU: vmgpu adds what nodes report", device)};
	}
	if (str_eq(s->kubevirt->managed_by, "Helm") || s->kubevirt->obj.owner_kind || s->kubevirt->helm_release) {
		return (struct vm_state){"False", "ManagedByOthers",
			arena_printf(a, "the KubeVirt CR %s/%s belongs to %s: add there {pciVendorSelector: \"%s\", resourceName: %s, externalResourceProvider: true}",
				     s->kubevirt->obj.ns, s->kubevirt->obj.name,
				     s->kubevirt->obj.owner_kind ? s->kubevirt->obj.owner_kind : "Helm",
				     m->n_selectors ? m->selectors[0] : "", device)};
	}
	return (struct vm_state){"False", "Registering", arena_printf(a, "%s is being added to the KubeVirt CR's permittedHostDevices", device)};
}

struct vm_state vm_gpus_permitted(const struct vm_seen *s)
{
	struct vm_state worst = {"True", "Listed", "the KubeVirt CR permits every GPU asked for"};

	if (!s->n_gpus) {
		return (struct vm_state){0};
	}
	if (!s->kubevirt) {
		return s->kubevirts ? (struct vm_state){"Unknown", "SeveralKubeVirts", "more than one KubeVirt CR is deployed: remove all but one"}
				    : (struct vm_state){"Unknown", "NoKubeVirt", "there is no deployed KubeVirt CR: install KubeVirt"};
	}
	if (!s->kubevirt->permitted) {
		return (struct vm_state){"True", "NoList", "the KubeVirt CR has no permittedHostDevices: every device is permitted"};
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		enum listed l = listed(s, s->gpus[i].device);

		if (l == LISTED_NOT) {
			struct vm_state no = registering(s, s->gpus[i].device);

			if (str_eq(worst.status, "True") || str_eq(no.reason, "NotListed")) {
				worst = no;
			}
		} else if (l == LISTED_FOREIGN && str_eq(worst.reason, "Listed")) {
			worst.reason = "ForeignEntry";
			worst.message = arena_printf(s->pass->arena,
				"%s is listed with externalResourceProvider false: KubeVirt's own device plugin serves it", s->gpus[i].device);
		}
	}
	return worst;
}

/* --- available? ------------------------------------------------------------------------------------------ */

static int64_t wanted(const struct vm_seen *s, const char *device)
{
	int64_t n = 0;

	for (size_t i = 0; i < s->n_gpus; i++) {
		n += str_eq(s->gpus[i].device, device);
	}
	return n;
}

static const struct inventory_place *place_on(const struct inventory_model *m, const char *node)
{
	for (size_t i = 0; i < m->n_places; i++) {
		if (str_eq(m->places[i].node, node)) {
			return &m->places[i];
		}
	}
	return NULL;
}

/* Does one node have enough of every model at once? */
static bool node_suffices(const struct vm_seen *s, const char *node, bool free_ones)
{
	for (size_t i = 0; i < s->n_gpus; i++) {
		const struct inventory_model *m = inventory_find(&s->inventory, s->gpus[i].device);
		const struct inventory_place *p = m ? place_on(m, node) : NULL;

		if (!p || (free_ones ? p->free : p->total) < wanted(s, s->gpus[i].device)) {
			return false;
		}
	}
	return true;
}

static const char *some_node(const struct vm_seen *s, bool free_ones)
{
	const struct inventory_model *m = inventory_find(&s->inventory, s->gpus[0].device);

	for (size_t i = 0; m && i < m->n_places; i++) {
		if (node_suffices(s, m->places[i].node, free_ones)) {
			return m->places[i].node;
		}
	}
	return NULL;
}

/* "2 x nvidia.com/AD102GL_L40S, 1 x ..." */
static const char *wish(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const char *text = "";

	for (size_t i = 0; i < s->n_gpus; i++) {
		bool before = false;

		for (size_t k = 0; k < i; k++) {
			before |= str_eq(s->gpus[k].device, s->gpus[i].device);
		}
		if (!before) {
			text = arena_printf(a, "%s%s%lld x %s", text, i ? ", " : "", (long long)wanted(s, s->gpus[i].device),
					    s->gpus[i].device);
		}
	}
	return text;
}

static bool attached(const struct vm_seen *s)
{
	size_t n = s->vmi ? s->vmi->gpus.n + s->vmi->host_devices.n : 0;

	if (!s->vmi || !s->vmi->node || n != s->n_gpus) {
		return false;
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		if (!in_list(&s->vmi->gpus, s->gpus[i].device) && !in_list(&s->vmi->host_devices, s->gpus[i].device)) {
			return false;
		}
	}
	return str_eq(s->vmi->phase, "Running") || str_eq(s->vmi->phase, "Scheduled");
}

struct vm_state vm_gpus_available(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const char *node;

	if (!s->n_gpus) {
		return (struct vm_state){0};
	}
	if (attached(s)) {
		return (struct vm_state){"True", "Attached", arena_printf(a, "%s attached on %s", wish(s), s->vmi->node)};
	}
	if (!s->inventory.nodes) {
		return (struct vm_state){"False", "NoGPUNodes", arena_printf(a, "no node reports a GPU (asked: %s)", wish(s))};
	}
	for (size_t i = 0; i < s->n_gpus; i++) {
		if (!inventory_find(&s->inventory, s->gpus[i].device)) {
			return (struct vm_state){"False", "UnknownName",
				arena_printf(a, "no node has %s; %s", s->gpus[i].asked, inventory_suggest(&s->inventory, s->gpus[i].asked, a))};
		}
	}
	node = some_node(s, true);
	if (node) {
		return (struct vm_state){"True", "Free", arena_printf(a, "%s free on %s", wish(s), node)};
	}
	node = some_node(s, false);
	if (node) {
		return (struct vm_state){"False", "NoneFree", arena_printf(a, "%s: not enough free on any node now; the VM waits", wish(s))};
	}
	return (struct vm_state){"False", "TooMany",
		arena_printf(a, "no node has %s together; %s", wish(s), inventory_suggest(&s->inventory, s->gpus[0].device, a))};
}

/* --- writing --------------------------------------------------------------------------------------------- */

static json_t *options_json(const struct vm_gpu *g)
{
	json_t *display = json_object();

	if (g->vgpu || g->display != TRI_UNSET) {
		json_object_set_new(display, "enabled", json_boolean(g->vgpu ? g->show : g->display == TRI_TRUE));
	}
	if (g->vgpu || g->ram_fb != TRI_UNSET) {
		json_object_set_new(display, "ramFB", json_pack("{s:b}", "enabled", g->vgpu ? g->show_fb : g->ram_fb == TRI_TRUE));
	}
	return json_pack("{s:o}", "display", display);
}

void vm_gpus_write(const struct vm_seen *s, json_t *devices)
{
	json_t *gpus = json_array(), *host = json_array();

	for (size_t i = 0; i < s->n_gpus; i++) {
		const struct vm_gpu *g = &s->gpus[i];
		json_t *entry = json_pack("{s:o, s:s}", "name", json_sprintf("gpu%zu", i + 1), "deviceName", g->device);

		if (g->vgpu || (g->has_options && (g->display != TRI_UNSET || g->ram_fb != TRI_UNSET))) {
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
