/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/permit.h"

#include <stdlib.h>
#include <string.h>

#include "api/apps.h"
#include "api/gpu_names.h"
#include "api/harvester.h"
#include "api/resource.h"

/* --- what a spec asks for --------------------------------------------------------------------- */

/* Of a spec, which may have megabytes of cloud-init, its names alone: the rest is not decoded. */
static const struct field name_fields[] = {FIELD(struct named, name, "name", TYPE_STR), {0}};
static const struct type name_type = {sizeof(struct named), name_fields, NULL};

#define T struct permit_group
static const struct field group_fields[] = {
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &name_type),
	{0},
};
static const struct type group_type = {sizeof(T), group_fields, NULL};
#undef T

#define T struct permit_asks
static const struct field vm_fields[] = {
	FIELD(T, gpus, "gpus", TYPE_OBJS, .sub = &name_type),
	{0},
};
const struct type permit_vm_asks = {sizeof(T), vm_fields, NULL};

static const struct field cluster_fields[] = {
	FIELD(T, groups, "nodeGroups", TYPE_DICT, .sub = &group_type),
	{0},
};
static const struct type cluster_asks = {sizeof(T), cluster_fields, NULL};
#undef T

/* --- who wants what --------------------------------------------------------------------------- */

struct wants {
	struct permit_seen *s;
	struct arena spec; /* what one spec asks for */
	size_t size;
	const char *spec_seen[64]; /* texts decoded already: equal specs are one interned string */
	size_t n_seen;
};

/*
 * As somebody has it who outlives the pass's use of it, or NULL: no node reports it and no entry of
 * ours has it, so whether it is wanted decides nothing. Users can make up as many names as they
 * like; those that are kept are no more than nodes and our annotation have.
 */
static const char *of_interest(const struct permit_seen *s, const char *name)
{
	const struct inventory_model *m = inventory_find(&s->inventory, name);

	if (m) {
		return m->name;
	}
	for (int i = 0; i < PERMIT_LISTS; i++) {
		for (size_t k = 0; k < s->lists[i].n_ours; k++) {
			if (str_eq(s->lists[i].ours[k].resource, name)) {
				return s->lists[i].ours[k].resource;
			}
		}
	}
	return NULL;
}

static void add_known(struct wants *w, const char *name)
{
	struct permit_seen *s = w->s;

	if (permit_wanted(s, name)) {
		return;
	}
	if (s->n_names == w->size) {
		const char **more;

		w->size = w->size * 2 + 16;
		more = arena_array(s->pass->arena, const char *, w->size);
		if (s->n_names) {
			memcpy(more, s->names, s->n_names * sizeof(*more));
		}
		s->names = more;
	}
	s->names[s->n_names++] = name;
}

static void add_name(struct wants *w, const char *name)
{
	name = of_interest(w->s, name);
	if (name) {
		add_known(w, name);
	}
}

/* An alias of several cards wants them all: which one a VM takes is not known before it is made. */
static void add_asked(struct wants *w, const char *asked)
{
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(&w->s->inventory, asked, names, ARRAY_LEN(names));

	for (size_t i = 0; i < n; i++) {
		add_name(w, names[i]);
	}
	if (!n) {
		add_name(w, asked);
	}
}

/* Thousands of objects share few specs: each text is decoded once. */
static bool read_before(const struct wants *w, const char *spec)
{
	for (size_t i = 0; i < w->n_seen; i++) {
		if (w->spec_seen[i] == spec) {
			return true;
		}
	}
	return false;
}

static void remember(struct wants *w, const char *spec)
{
	if (w->n_seen < ARRAY_LEN(w->spec_seen)) {
		w->spec_seen[w->n_seen++] = spec;
	}
}

static void add_requests(struct wants *w, const struct named_list *gpus)
{
	list_each(g, gpus) {
		if (g->name) {
			add_asked(w, g->name);
		}
	}
}

/* What it asks for nobody knows. Of several that cannot be read always the same is told. */
static void note_unread(struct permit_seen *s, const struct kube_kind *k, const struct obj *app)
{
	int c = s->unread ? strcmp(app->ns, s->unread->ns) : -1;

	if (c < 0 || (!c && strcmp(app->name, s->unread->name) < 0)) {
		s->unread = app;
		s->unread_kind = k;
	}
}

static void from_spec(struct wants *w, const struct kube_kind *k, const struct obj *app,
		      const char *spec, const struct type *t)
{
	struct permit_asks asks;

	if (!spec || !strstr(spec, "\"gpus\"") || read_before(w, spec)) {
		return;
	}
	arena_reset(&w->spec);
	if (type_read_text(t, spec, &w->spec, &asks, NULL) < 0) {
		note_unread(w->s, k, app);
		return;
	}
	remember(w, spec);
	add_requests(w, &asks.gpus);
	list_each(g, &asks.groups) {
		add_requests(w, &g->gpus);
	}
}

static void from_apps(struct wants *w, const struct kube_kind *k)
{
	for (const struct vm_app *app = NULL; (app = cache_next(w->s->pass->cache, k, app));) {
		from_spec(w, k, &app->obj, app->spec, &permit_vm_asks);
	}
}

static void from_clusters(struct wants *w)
{
	const struct kube_kind *k = &kind_kubernetes;

	for (const struct cluster_app *app = NULL; (app = cache_next(w->s->pass->cache, k, app));) {
		from_spec(w, k, &app->obj, app->spec, &cluster_asks);
	}
}

static void from_devices(struct wants *w, const struct kv_gpu_list *devices)
{
	const char **told = &w->s->unknown_device;

	list_each(d, devices) {
		if (str_empty(d->device_name)) {
			continue; /* of a resource claim: the allow-list is not asked */
		}
		if (str_eq(d->device_name, RESOURCE_COMPANION)) {
			w->s->companions = true;
			continue;
		}
		add_name(w, d->device_name);
		if (!inventory_find(&w->s->inventory, d->device_name) &&
		    (!*told || strcmp(d->device_name, *told) < 0)) {
			*told = d->device_name; /* of several always the same */
		}
	}
}

static void from_kubevirt(struct wants *w)
{
	const struct cache *c = w->s->pass->cache;

	for (const struct kv_vm *v = NULL; (v = cache_next(c, &kind_kv_vm, v));) {
		from_devices(w, &v->gpus);
		from_devices(w, &v->host_devices);
	}
	for (const struct kv_vmi *v = NULL; (v = cache_next(c, &kind_kv_vmi, v));) {
		if (kv_vmi_lives(v)) {
			from_devices(w, &v->gpus);
			from_devices(w, &v->host_devices);
		}
	}
}

static void add_mdev(struct wants *w, const char *type)
{
	const struct inventory *inv = &w->s->inventory;
	const struct permit_list *ours = &w->s->lists[PERMIT_MDEV];

	for (size_t i = 0; type && i < inv->n; i++) {
		if (str_eq(inv->models[i].mdev, type)) {
			add_name(w, inv->models[i].name);
		}
	}
	/* What no node reports any more keeps the entry that we made for it. */
	for (size_t i = 0; type && i < ours->n_ours; i++) {
		if (cr_same_selector(ours->ours[i].selector, type)) {
			add_name(w, ours->ours[i].resource);
		}
	}
}

/*
 * A mediated device is deleted by KubeVirt unless its type is listed, whether or not a machine asks
 * for it (kubevirt.md 3): listed are those that a VGPUDevice asks for, and those that are ordered,
 * which a machine may have though their object is disabled or wants another type. The vendor's
 * framework needs no such protection.
 */
static void from_vgpus(struct wants *w)
{
	const struct cache *c = w->s->pass->cache;

	for (const struct vgpu_device *d = NULL; (d = cache_next(c, &kind_vgpu_device, d));) {
		if (d->spec && d->spec->enabled == TRI_TRUE) {
			add_mdev(w, d->spec->type_name);
		}
	}
	for (const struct gpu_node *n = NULL; (n = cache_next(c, &kind_gpu_node, n));) {
		for (size_t i = 0; n->orders && i < n->orders->units.n; i++) {
			list_each(slot, &n->orders->units.items[i].slots) {
				add_mdev(w, slot->type);
			}
		}
	}
}

bool permit_wanted(const struct permit_seen *s, const char *name)
{
	for (size_t i = 0; i < s->n_names; i++) {
		if (str_eq(s->names[i], name)) {
			return true;
		}
	}
	return false;
}

static void want_pair(struct permit_seen *s, int list, const char *selector, const char *resource)
{
	struct permit_list *l = &s->lists[list];
	size_t n = l->n_wanted;

	if (!(n & (n - 1))) {
		struct permit_pair *more =
			arena_array(s->pass->arena, struct permit_pair, n ? 2 * n : 1);

		if (n) {
			memcpy(more, l->wanted, n * sizeof(*more));
		}
		l->wanted = more;
	}
	l->wanted[l->n_wanted++] = (struct permit_pair){selector, resource};
}

static int by_resource(const void *a, const void *b)
{
	const struct permit_pair *x = a, *y = b;
	int c = strcmp(x->resource, y->resource);

	return c ? c : strcmp(x->selector, y->selector);
}

/* Models are sorted by name and their selectors sorted, but several may have one companion. */
static void sort_pairs(struct permit_list *l)
{
	size_t n = 0;

	if (l->n_wanted) {
		qsort(l->wanted, l->n_wanted, sizeof(*l->wanted), by_resource);
	}
	for (size_t i = 0; i < l->n_wanted; i++) {
		if (!n || by_resource(&l->wanted[n - 1], &l->wanted[i]) != 0) {
			l->wanted[n++] = l->wanted[i];
		}
	}
	l->n_wanted = n;
}

/*
 * Audio functions: of the cards that are wanted, where a machine asks for such, or a new one may
 * (companions.h): then it is to be there before the machine.
 */
static void want_companions(struct wants *w)
{
	struct permit_seen *s = w->s;
	bool pass = s->crs.gate && !(s->options && s->options->bind_companions);

	for (size_t i = 0; i < s->inventory.n; i++) {
		const struct inventory_model *m = &s->inventory.models[i];
		bool may = pass && m->n_companions && !m->bare;

		for (size_t k = 0; (may || s->companions) && k < m->n_companions; k++) {
			if (permit_wanted(s, m->name)) {
				want_pair(s, PERMIT_PCI, m->companions[k], RESOURCE_COMPANION);
			}
		}
	}
	for (size_t i = 0; i < s->lists[PERMIT_PCI].n_wanted; i++) {
		s->companions |=
			str_eq(s->lists[PERMIT_PCI].wanted[i].resource, RESOURCE_COMPANION);
	}
	if (s->companions) {
		add_known(w, RESOURCE_COMPANION);
	}
	sort_pairs(&s->lists[PERMIT_PCI]);
}

void permit_want(struct permit_seen *s)
{
	struct wants w = {.s = s};

	arena_init(&w.spec, PERMIT_SPEC_MAX);
	from_apps(&w, &kind_virtual_machine);
	from_apps(&w, &kind_vm_instance);
	from_clusters(&w);
	arena_finish(&w.spec);
	from_kubevirt(&w);
	from_vgpus(&w);
	for (size_t i = 0; i < s->inventory.n; i++) {
		const struct inventory_model *m = &s->inventory.models[i];

		if (!permit_wanted(s, m->name)) {
			continue;
		}
		for (size_t k = 0; k < m->n_selectors; k++) {
			want_pair(s, PERMIT_PCI, m->selectors[k], m->name);
		}
		if (m->mdev) {
			want_pair(s, PERMIT_MDEV, m->mdev, m->name);
		}
	}
	want_companions(&w);
}
