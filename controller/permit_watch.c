/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes the permit plan. Its pass looks at every VM, so of thousands of VMs that come
 * and go only those wake it that ask for a name which the CR lacks, or were the last to ask for one
 * of ours.
 */
#include "controller/permit.h"

#include <stdlib.h>
#include <string.h>

#include "api/apps.h"
#include "api/gpu_names.h"
#include "api/harvester.h"
#include "api/resource.h"

struct waker {
	const struct cache *c;
	wake_fn *wake;
	void *ctx;
	const struct obj *by; /* the object that has changed */
	struct inventory inventory;
};

static struct waker waker_of(const struct cache *c, const struct obj *by, wake_fn *wake, void *ctx)
{
	const struct pass pass = {.cache = c};
	struct waker w = {.c = c, .wake = wake, .ctx = ctx, .by = by};

	inventory_make(&pass, NULL, NULL, &w.inventory);
	w.inventory.pass = NULL;
	return w;
}

static void wake_all(const struct waker *w)
{
	for (const struct obj *o = NULL; (o = cache_next(w->c, &kind_kv_config, o));) {
		w->wake(w->ctx, o->ns, o->name);
	}
}

/* The text has this name in quotes. */
static bool quotes(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p && (p = strstr(p, name)); p++) {
		if (p > text && p[-1] == '"' && p[n] == '"') {
			return true;
		}
	}
	return false;
}

/* --- a name is asked for ---------------------------------------------------------------------- */

/* The list lacks the name, or that of the audio functions which all such cards have. */
static bool is_missing(const struct kv_config *cr, const struct inventory_model *m)
{
	return m &&
	       (!quotes(cr->permitted, m->name) || (m->n_companions && !m->bare && cr_gate(cr) &&
						    !quotes(cr->permitted, RESOURCE_COMPANION)));
}

static void on_asked(const struct waker *w, const char *asked)
{
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(&w->inventory, asked, names, ARRAY_LEN(names));

	for (const struct kv_config *cr = NULL; (cr = cache_next(w->c, &kind_kv_config, cr));) {
		for (size_t i = 0; i < n; i++) {
			const struct inventory_model *m = inventory_find(&w->inventory, names[i]);

			/* Without a list, a device that nobody reports counts too: OtherDeviceVMs.
			 */
			if (cr->permitted ? is_missing(cr, m) : true) {
				w->wake(w->ctx, cr->obj.ns, cr->obj.name);
				break;
			}
		}
		if (!n && !cr->permitted) {
			w->wake(w->ctx, cr->obj.ns, cr->obj.name);
		}
	}
}

/* --- a name is no longer asked for --------------------------------------------------------------
 */

static bool spec_asks(const struct waker *w, const struct kube_kind *k, const char *name)
{
	for (const struct vm_app *app = NULL; (app = cache_next(w->c, k, app));) {
		if (quotes(app->spec, name)) {
			return true;
		}
	}
	return false;
}

static bool in_list(const struct kv_gpu_list *l, const char *name)
{
	list_each(g, l) {
		if (str_eq(g->device_name, name)) {
			return true;
		}
	}
	return false;
}

static bool machine_has(const struct waker *w, const char *name)
{
	for (const struct kv_vm *v = NULL; (v = cache_next(w->c, &kind_kv_vm, v));) {
		if (&v->obj != w->by &&
		    (in_list(&v->gpus, name) || in_list(&v->host_devices, name))) {
			return true;
		}
	}
	return false;
}

/* What another machine has already is asked for by none anew. */
static void on_device(const struct waker *w, const char *name)
{
	if (!machine_has(w, name)) {
		on_asked(w, name);
	}
}

/* Whoever asks in the same words keeps the name; in other words, the pass finds out. */
static void on_dropped(const struct waker *w, const char *asked)
{
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(&w->inventory, asked, names, ARRAY_LEN(names));

	if (spec_asks(w, &kind_virtual_machine, asked) || spec_asks(w, &kind_vm_instance, asked)) {
		return;
	}
	if (!n) {
		names[n++] = asked;
	}
	for (const struct kv_config *cr = NULL; (cr = cache_next(w->c, &kind_kv_config, cr));) {
		for (size_t i = 0; i < n; i++) {
			if ((!cr->permitted || quotes(cr->ours, names[i])) &&
			    !machine_has(w, names[i])) {
				w->wake(w->ctx, cr->obj.ns, cr->obj.name);
				break;
			}
		}
	}
}

/* --- changes ---------------------------------------------------------------------------------- */

static void each_name(const struct waker *w, const char *spec,
		      void (*fn)(const struct waker *w, const char *asked))
{
	attr_cleanup(arena_finish) struct arena a = {.max = PERMIT_SPEC_MAX};
	struct permit_asks asks;

	if (!quotes(spec, "gpus")) {
		return;
	}
	if (type_read_text(&permit_vm_asks, spec, &a, &asks, NULL) < 0) {
		wake_all(w); /* whether entries may be removed depends on it */
		return;
	}
	list_each(g, &asks.gpus) {
		if (g->name) {
			fn(w, g->name);
		}
	}
}

/* Another object has these very words: equal specs are one string in the cache. */
static bool said_already(const struct waker *w, const struct kube_kind *k, const char *spec)
{
	for (const struct vm_app *app = NULL; (app = cache_next(w->c, k, app));) {
		if (app->spec == spec && &app->obj != w->by) {
			return true;
		}
	}
	return false;
}

static void on_app(const struct cache *c, const struct obj *old, const struct obj *now,
		   wake_fn *wake, void *ctx)
{
	const char *before = old ? ((const struct vm_app *)old)->spec : NULL;
	const char *after = now ? ((const struct vm_app *)now)->spec : NULL;
	struct waker w;

	if (before == after) {
		return;
	}
	w = waker_of(c, now, wake, ctx);
	if (quotes(after, "gpus") && !said_already(&w, &kind_virtual_machine, after) &&
	    !said_already(&w, &kind_vm_instance, after)) {
		each_name(&w, after, on_asked);
	}
	each_name(&w, before, on_dropped);
}

/* Few, and their node groups are many. */
static void on_cluster(const struct cache *c, const struct obj *old, const struct obj *now,
		       wake_fn *wake, void *ctx)
{
	const char *before = old ? ((const struct cluster_app *)old)->spec : NULL;
	const char *after = now ? ((const struct cluster_app *)now)->spec : NULL;
	struct waker w = waker_of(c, now, wake, ctx);

	if (before != after && (quotes(before, "gpus") || quotes(after, "gpus"))) {
		wake_all(&w);
	}
}

/* The type that it keeps, or NULL. */
static const char *kept_type(const struct obj *o)
{
	const struct vgpu_device_spec *spec = o ? ((const struct vgpu_device *)o)->spec : NULL;

	return spec && spec->enabled == TRI_TRUE ? spec->type_name : NULL;
}

static void on_vgpu(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	struct waker w;

	if (!str_eq(kept_type(old), kept_type(now))) {
		w = waker_of(c, now, wake, ctx);
		wake_all(&w);
	}
}

struct lists {
	const struct kv_gpu_list *gpus, *host;
};

static bool has(const struct lists *l, const char *name)
{
	return (l->gpus && in_list(l->gpus, name)) || (l->host && in_list(l->host, name));
}

/* fn for what is in one list and in none of the others. */
static void each_device(const struct waker *w, const struct kv_gpu_list *of,
			const struct lists *not_in,
			void (*fn)(const struct waker *w, const char *name))
{
	for (size_t i = 0; of && i < of->n; i++) {
		const char *name = of->items[i].device_name;

		if (!str_empty(name) && !has(not_in, name)) {
			fn(w, name);
		}
	}
}

static void on_lists(const struct cache *c, const struct obj *now, const struct lists *before,
		     const struct lists *after, wake_fn *wake, void *ctx)
{
	struct waker w;

	if (!before->gpus && !after->gpus) {
		return;
	}
	w = waker_of(c, now, wake, ctx);
	each_device(&w, after->gpus, before, on_device);
	each_device(&w, after->host, before, on_device);
	each_device(&w, before->gpus, after, on_dropped);
	each_device(&w, before->host, after, on_dropped);
}

static struct lists lists_of(const struct kv_gpu_list *gpus, const struct kv_gpu_list *host)
{
	return gpus->n || host->n ? (struct lists){gpus, host} : (struct lists){0};
}

static void on_vm(const struct cache *c, const struct obj *old, const struct obj *now,
		  wake_fn *wake, void *ctx)
{
	const struct kv_vm *a = (const struct kv_vm *)old, *b = (const struct kv_vm *)now;
	struct lists before = a ? lists_of(&a->gpus, &a->host_devices) : (struct lists){0};
	struct lists after = b ? lists_of(&b->gpus, &b->host_devices) : (struct lists){0};

	on_lists(c, now, &before, &after, wake, ctx);
}

static struct lists lists_of_machine(const struct obj *o)
{
	const struct kv_vmi *v = (const struct kv_vmi *)o;

	return v && kv_vmi_lives(v) ? lists_of(&v->gpus, &v->host_devices) : (struct lists){0};
}

/* One that KubeVirt refused may have to be woken itself. */
static void on_machine(const struct cache *c, const struct obj *old, const struct obj *now,
		       wake_fn *wake, void *ctx)
{
	struct lists before = lists_of_machine(old), after = lists_of_machine(now);

	if (now && permit_refused((const struct kv_vmi *)now)) {
		struct waker w = {.c = c, .wake = wake, .ctx = ctx};

		wake_all(&w);
		return;
	}
	on_lists(c, now, &before, &after, wake, ctx);
}

static bool same_companion(const struct gpu_function *a, const struct gpu_function *b)
{
	return a == b ||
	       (a && b && str_eq(a->vendor_id, b->vendor_id) && str_eq(a->device_id, b->device_id));
}

/* What nodes call their GPUs matters, not what becomes of them. */
static bool same_units(const struct gpu_unit *a, const struct gpu_unit *b)
{
	if (!str_eq(a->name, b->name) || !str_eq(a->resource, b->resource) ||
	    !str_eq(a->vendor_id, b->vendor_id) || !str_eq(a->device_id, b->device_id) ||
	    !str_eq(a->vgpu_framework, b->vgpu_framework) || a->aliases.n != b->aliases.n ||
	    a->profiles.n != b->profiles.n) {
		return false;
	}
	if (!same_companion(inventory_companion(a), inventory_companion(b))) {
		return false;
	}
	for (size_t i = 0; i < a->aliases.n; i++) {
		if (!str_eq(a->aliases.items[i], b->aliases.items[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < a->profiles.n; i++) {
		if (!str_eq(a->profiles.items[i].name, b->profiles.items[i].name)) {
			return false;
		}
	}
	return true;
}

/* The i-th vGPU that is ordered, whichever card it is on: its type, or NULL. */
static const char *ordered_type(const struct gpu_node *n, size_t i)
{
	for (size_t u = 0; n->orders && u < n->orders->units.n; u++) {
		size_t slots = n->orders->units.items[u].slots.n;

		if (i < slots) {
			return n->orders->units.items[u].slots.items[i].type;
		}
		i -= slots;
	}
	return NULL;
}

/* The i-th order that names its unit alone, or NULL. */
static const struct unit_order *ordered_alone(const struct gpu_node *n, size_t i)
{
	for (size_t u = 0; n->orders && u < n->orders->units.n; u++) {
		if (n->orders->units.items[u].exclusive && !i--) {
			return &n->orders->units.items[u];
		}
	}
	return NULL;
}

static bool same_names(const struct gpu_node *a, const struct gpu_node *b)
{
	for (size_t i = 0;; i++) {
		const struct unit_order *x = ordered_alone(a, i), *y = ordered_alone(b, i);

		if (!x || !y) {
			return x == y;
		}
		if (!str_eq(x->id, y->id) || !str_eq(x->exclusive, y->exclusive)) {
			return false;
		}
	}
}

static bool same_orders(const struct gpu_node *a, const struct gpu_node *b)
{
	for (size_t i = 0;; i++) {
		const char *of_a = ordered_type(a, i), *of_b = ordered_type(b, i);

		if (!str_eq(of_a, of_b)) {
			return false;
		}
		if (!of_a) {
			return true;
		}
	}
}

static void on_node(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	const struct gpu_node *a = (const struct gpu_node *)old, *b = (const struct gpu_node *)now;
	struct waker w = {.c = c, .wake = wake, .ctx = ctx};
	bool same = a && b && a->units.n == b->units.n && same_orders(a, b) && same_names(a, b);

	for (size_t i = 0; same && i < a->units.n; i++) {
		same = same_units(&a->units.items[i], &b->units.items[i]);
	}
	if (!same) {
		wake_all(&w);
	}
}

const struct plan_watch permit_watches[] = {
	{&kind_gpu_node, on_node},    {&kind_virtual_machine, on_app},
	{&kind_vm_instance, on_app},  {&kind_kubernetes, on_cluster},
	{&kind_vgpu_device, on_vgpu}, {&kind_kv_vm, on_vm},
	{&kind_kv_vmi, on_machine},   {0},
};
