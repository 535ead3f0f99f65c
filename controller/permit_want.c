/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/permit.h"

#include <stdlib.h>
#include <string.h>

#include "api/apps.h"
#include "api/gpu_names.h"

struct wants {
	struct permit_seen *s;
	size_t size;
	const char *spec_seen[64]; /* texts decoded already: equal specs are one interned string */
	size_t n_seen;
};

static void add_name(struct wants *w, const char *name)
{
	struct permit_seen *s = w->s;

	if (permit_wanted(s, name)) {
		return;
	}
	if (s->n_names == w->size) {
		const char **more = arena_array(s->pass->arena, const char *, w->size * 2 + 16);

		if (s->n_names) {
			memcpy(more, s->names, s->n_names * sizeof(*more));
		}
		s->names = more;
		w->size = w->size * 2 + 16;
	}
	s->names[s->n_names++] = name;
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
static bool seen_before(struct wants *w, const char *spec)
{
	for (size_t i = 0; i < w->n_seen; i++) {
		if (w->spec_seen[i] == spec) {
			return true;
		}
	}
	if (w->n_seen < ARRAY_LEN(w->spec_seen)) {
		w->spec_seen[w->n_seen++] = spec;
	}
	return false;
}

static void add_requests(struct wants *w, const struct gpu_request_list *gpus)
{
	list_each(g, gpus) {
		if (g->name) {
			add_asked(w, g->name);
		}
	}
}

static void from_apps(struct wants *w, const struct kube_kind *k)
{
	for (const struct vm_app *app = NULL; (app = cache_next(w->s->pass->cache, k, app));) {
		struct vm_spec spec;

		if (app->spec && strstr(app->spec, "\"gpus\"") && !seen_before(w, app->spec) &&
		    type_read_text(&vm_spec_type, app->spec, w->s->pass->arena, &spec, NULL) == 0) {
			add_requests(w, &spec.gpus);
		}
	}
}

static void from_clusters(struct wants *w)
{
	for (const struct cluster_app *app = NULL;
	     (app = cache_next(w->s->pass->cache, &kind_kubernetes, app));) {
		struct cluster_spec spec;

		if (app->spec && strstr(app->spec, "\"gpus\"") &&
		    type_read_text(&cluster_spec_type, app->spec, w->s->pass->arena, &spec, NULL) ==
			    0) {
			list_each(g, &spec.node_groups) {
				add_requests(w, &g->gpus);
			}
		}
	}
}

static void from_devices(struct wants *w, const struct kv_gpu_list *devices)
{
	list_each(d, devices) {
		if (str_empty(d->device_name)) {
			continue; /* of a resource claim: the allow-list is not asked */
		}
		add_name(w, d->device_name);
		if (!w->s->unknown_device && !inventory_find(&w->s->inventory, d->device_name)) {
			w->s->unknown_device = d->device_name;
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
	struct permit_pair *more = arena_array(s->pass->arena, struct permit_pair, l->n_wanted + 1);

	if (l->n_wanted) {
		memcpy(more, l->wanted, l->n_wanted * sizeof(*more));
	}
	more[l->n_wanted++] = (struct permit_pair){selector, resource};
	l->wanted = more;
}

/* Models are sorted by name and their selectors sorted, so the pairs are too. */
void permit_want(struct permit_seen *s)
{
	struct wants w = {.s = s};

	from_apps(&w, &kind_virtual_machine);
	from_apps(&w, &kind_vm_instance);
	from_clusters(&w);
	from_kubevirt(&w);
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
}
