/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "api/gpu_names.h"

#define MAX_LISTED 8

/* --- making --------------------------------------------------------------------------------------------- */

struct maker {
	struct arena *arena;
	struct inventory_model *models;
	size_t n, size;
};

static struct inventory_model *model_of(struct maker *m, const char *name, const char *human, bool vgpu)
{
	for (size_t i = 0; i < m->n; i++) {
		if (str_eq(m->models[i].name, name)) {
			return &m->models[i];
		}
	}
	if (m->n == m->size) {
		struct inventory_model *more = arena_array(m->arena, struct inventory_model, m->size * 2 + 8);

		if (m->n) {
			memcpy(more, m->models, m->n * sizeof(*more));
		}
		m->models = more;
		m->size = m->size * 2 + 8;
	}
	m->models[m->n] = (struct inventory_model){.name = name, .human = human, .vgpu = vgpu};
	return &m->models[m->n++];
}

static struct inventory_place *place_of(struct maker *m, struct inventory_model *model, const char *node)
{
	struct inventory_place *more;

	for (size_t i = 0; i < model->n_places; i++) {
		if (str_eq(model->places[i].node, node)) {
			return &model->places[i];
		}
	}
	more = arena_array(m->arena, struct inventory_place, model->n_places + 1);
	if (model->n_places) {
		memcpy(more, model->places, model->n_places * sizeof(*more));
	}
	model->places = more;
	more[model->n_places] = (struct inventory_place){.node = node};
	return &more[model->n_places++];
}

static void add_selector(struct maker *m, struct inventory_model *model, const struct gpu_unit *u)
{
	const char *selector = arena_printf(m->arena, "%s:%s", u->vendor_id ? u->vendor_id : "", u->device_id ? u->device_id : "");
	const char **more;
	size_t at = 0;

	while (at < model->n_selectors && strcmp(model->selectors[at], selector) < 0) {
		at++;
	}
	if (at < model->n_selectors && str_eq(model->selectors[at], selector)) {
		return;
	}
	more = arena_array(m->arena, const char *, model->n_selectors + 1);
	if (at) {
		memcpy(more, model->selectors, at * sizeof(*more));
	}
	more[at] = selector;
	if (model->n_selectors > at) {
		memcpy(more + at + 1, model->selectors + at, (model->n_selectors - at) * sizeof(*more));
	}
	model->selectors = more;
	model->n_selectors++;
}

static bool available(const struct gpu_unit *u)
{
	list_each(c, &u->conditions) {
		if (str_eq(c->type, "Available")) {
			return str_eq(c->status, "True");
		}
	}
	return false;
}

/* The resource name of a vGPU profile: NVIDIA's rule, white space becomes _ (nvidia.md 1.4). */
static const char *profile_resource(struct arena *a, const char *profile)
{
	char *s = arena_printf(a, "nvidia.com/%s", profile);

	for (char *p = s; *p; p++) {
		if (*p == ' ' || *p == '\t') {
			*p = '_';
		}
	}
	return s;
}

static void add_unit(struct maker *m, const char *node, const struct gpu_unit *u)
{
	struct inventory_model *model;
	struct inventory_place *place;

	if (str_empty(u->name)) {
		return;
	}
	model = model_of(m, u->name, u->model, false);
	add_selector(m, model, u);
	if (!model->n_aliases) {
		model->aliases = u->aliases.items;
		model->n_aliases = u->aliases.n;
	}
	place = place_of(m, model, node);
	if (available(u) && !str_eq(u->mode, "vgpu")) {
		place->total++;
		place->free++;
	}
	list_each(p, &u->profiles) {
		model = model_of(m, profile_resource(m->arena, p->name), p->name, true);
		if (str_eq(u->vgpu_framework, "mdev")) {
			model->mdev = p->name;
		} else {
			add_selector(m, model, u);
		}
		place = place_of(m, model, node);
		place->total += p->max;
		place->free += p->available;
	}
}

static void take_devices(struct maker *m, const char *node, const struct kv_gpu_list *devices)
{
	list_each(d, devices) {
		for (size_t i = 0; i < m->n; i++) {
			struct inventory_model *model = &m->models[i];

			/* A profile's `available` has gone down by itself when the vGPU was made. */
			for (size_t k = 0; k < model->n_places && !model->vgpu; k++) {
				struct inventory_place *p = &model->places[k];

				if (str_eq(model->name, d->device_name) && str_eq(p->node, node) && p->free > 0) {
					p->free--;
				}
			}
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct inventory_model *)a)->name, ((const struct inventory_model *)b)->name);
}

static int by_node(const void *a, const void *b)
{
	return strcmp(((const struct inventory_place *)a)->node, ((const struct inventory_place *)b)->node);
}

void inventory_make(const struct pass *pass, const char *except_ns, const char *except_name, struct inventory *ret)
{
	struct maker m = {.arena = pass->arena};

	*ret = (struct inventory){0};
	for (const struct gpu_node *n = NULL; (n = cache_next(pass->cache, &kind_gpu_node, n));) {
		ret->nodes += n->units.n > 0;
		list_each(u, &n->units) {
			add_unit(&m, n->obj.name, u);
		}
	}
	for (const struct kv_vmi *v = NULL; (v = cache_next(pass->cache, &kind_kv_vmi, v));) {
		bool ended = str_eq(v->phase, "Succeeded") || str_eq(v->phase, "Failed");

		if (v->node && !ended && !(str_eq(v->obj.ns, except_ns) && str_eq(v->obj.name, except_name))) {
			take_devices(&m, v->node, &v->gpus);
			take_devices(&m, v->node, &v->host_devices);
		}
	}
	for (size_t i = 0; i < m.n; i++) {
		qsort(m.models[i].places, m.models[i].n_places, sizeof(struct inventory_place), by_node);
	}
	if (m.n) {
		qsort(m.models, m.n, sizeof(*m.models), by_name);
	}
	ret->models = m.models;
	ret->n = m.n;
}

/* --- asking --------------------------------------------------------------------------------------------- */

const struct inventory_model *inventory_find(const struct inventory *inv, const char *name)
{
	for (size_t i = 0; i < inv->n; i++) {
		if (str_eq(inv->models[i].name, name)) {
			return &inv->models[i];
		}
	}
	return NULL;
}

static bool has_alias(const struct inventory_model *m, const char *asked)
{
	for (size_t i = 0; i < m->n_aliases; i++) {
		if (str_eq(m->aliases[i], asked)) {
			return true;
		}
	}
	return false;
}

const char *inventory_resolve(const struct inventory *inv, const char *asked)
{
	const char *found[GPU_NAMES_MAX];
	size_t n;

	if (inventory_find(inv, asked)) {
		return asked;
	}
	for (size_t i = 0; i < inv->n; i++) {
		if (has_alias(&inv->models[i], asked)) {
			return inv->models[i].name;
		}
	}
	n = gpu_names_resolve(asked, found, ARRAY_LEN(found));
	for (size_t i = 0; i < n; i++) {
		if (inventory_find(inv, found[i])) {
			return found[i];
		}
	}
	return n ? found[0] : asked;
}

char inventory_series(const char *name)
{
	size_t n = strlen(name);
	char last = n ? name[n - 1] : 0;
	size_t digits = 0;

	if (last == 0 || !strchr("ABCQ", last)) {
		return 0;
	}
	while (digits + 1 < n && name[n - 2 - digits] >= '0' && name[n - 2 - digits] <= '9') {
		digits++;
	}
	return digits && digits + 1 < n && name[n - 2 - digits] == '-' ? last : 0;
}

bool inventory_is_vgpu(const struct inventory *inv, const char *name)
{
	const struct inventory_model *m = inventory_find(inv, name);

	return m ? m->vgpu : inventory_series(name) != 0;
}

const char *inventory_human(const struct inventory *inv, const char *name)
{
	const struct inventory_model *m = inventory_find(inv, name);
	const char *slash = strchr(name, '/');
	struct gpu_name known;
	uint32_t id;

	if (m && m->human) {
		return m->human;
	}
	if (gpu_names_ids(name, &id, 1) && gpu_names_by_id((uint16_t)(id >> 16), (uint16_t)id, 0, &known)) {
		return known.model;
	}
	return slash ? slash + 1 : name;
}

const char *inventory_suggest(const struct inventory *inv, const char *asked, struct arena *a)
{
	const char **have = arena_array(a, const char *, inv->n);
	const char *near[3];
	const char *text = "";
	size_t n;

	for (size_t i = 0; i < inv->n; i++) {
		have[i] = inv->models[i].name;
	}
	n = gpu_names_near(asked, have, inv->n, near, ARRAY_LEN(near));
	for (size_t i = 0; i < n; i++) {
		text = arena_printf(a, "%s%s%s", text, i ? ", " : "near names: ", near[i]);
	}
	text = arena_printf(a, "%s%s", text, n ? "; " : "");
	for (size_t i = 0; i < inv->n && i < MAX_LISTED; i++) {
		const struct inventory_model *m = &inv->models[i];

		text = arena_printf(a, "%s%s%s (", text, i ? ", " : "GPUs are: ", m->name);
		for (size_t k = 0; k < m->n_places; k++) {
			text = arena_printf(a, "%s%s%s: %lld", text, k ? ", " : "", m->places[k].node, (long long)m->places[k].total);
		}
		text = arena_printf(a, "%s)", text);
	}
	return inv->n > MAX_LISTED ? arena_printf(a, "%s and %zu more", text, inv->n - MAX_LISTED) : text;
}
