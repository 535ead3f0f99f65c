/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes which of Harvester's objects, and the orders of a node. A report wakes what
 * stands on the units that differ, and no more: a node may have a thousand objects.
 */
#include <string.h>

#include "api/core.h"
#include "api/kubevirt.h"
#include "controller/device.h"
#include "controller/node_operator.h"
#include "controller/pool.h"

#define WAKE_ARENA (16 * MiB)

struct waker {
	wake_fn *wake;
	void *ctx;
	struct arena arena;
};

static void wake_at(struct waker *w, const char *node, const char *address)
{
	if (address) {
		w->wake(w->ctx, NULL, device_name(&w->arena, node, address));
		arena_reset(&w->arena);
	}
}

/* --- a report --------------------------------------------------------------------------------- */

static void wake_unit(struct waker *w, const struct gpu_node *n, const struct gpu_unit *u)
{
	list_each(f, &u->functions) {
		wake_at(w, n->obj.name, f->address);
	}
	list_each(s, &u->slots) {
		if (s->vf && device_is_vf(u, s)) {
			wake_at(w, n->obj.name, s->vf);
		}
	}
	if (u->physical_function) { /* its card lists it */
		wake_at(w, n->obj.name, u->physical_function);
	}
}

/* Where it stood before, most often: hint. */
static const struct gpu_unit *unit_of(const struct gpu_node *n, const char *id, size_t hint)
{
	if (n && hint < n->units.n && str_eq(n->units.items[hint].id, id)) {
		return &n->units.items[hint];
	}
	for (size_t i = 0; n && i < n->units.n; i++) {
		if (str_eq(n->units.items[i].id, id)) {
			return &n->units.items[i];
		}
	}
	return NULL;
}

static const struct unit_order *order_in(const struct gpu_node *n, const char *id, size_t hint)
{
	const struct node_orders *o = n ? n->orders : NULL;

	if (o && hint < o->units.n && str_eq(o->units.items[hint].id, id)) {
		return &o->units.items[hint];
	}
	for (size_t i = 0; o && i < o->units.n; i++) {
		if (str_eq(o->units.items[i].id, id)) {
			return &o->units.items[i];
		}
	}
	return NULL;
}

static const struct type *order_type(void)
{
	const struct field *f = node_orders_type.fields;

	while (!str_eq(f->key, "units")) {
		f++;
	}
	return f->sub;
}

static bool same_order(const struct gpu_node *a, const struct gpu_node *b, size_t i)
{
	const char *id = b->units.items[i].id;
	const struct unit_order *x = order_in(a, id, i), *y = order_in(b, id, i);

	return x == y || (x && y && type_equal(order_type(), x, y));
}

static bool is_answered(const struct gpu_node *n)
{
	return n && n->observed_generation >= n->obj.generation;
}

/* All that differs: what is there now, and what was and is not any more. */
static void wake_changed(struct waker *w, const struct gpu_node *old, const struct gpu_node *now)
{
	bool all = !old || !now || !str_eq(old->obj.owner_uid, now->obj.owner_uid);

	for (size_t i = 0; now && i < now->units.n; i++) {
		const struct gpu_unit *u = &now->units.items[i], *was = unit_of(old, u->id, i);

		if (all || !was || !type_equal(&gpu_unit_type, was, u) ||
		    !same_order(old, now, i)) {
			wake_unit(w, now, u);
		}
	}
	for (size_t i = 0; old && i < old->units.n; i++) {
		const struct gpu_unit *u = &old->units.items[i], *is = unit_of(now, u->id, i);

		if (!is || !type_equal(&gpu_unit_type, is, u)) {
			wake_unit(w, old, u);
		}
	}
}

static bool is_held(const struct kube_kind *k, const struct obj *o)
{
	return k == &kind_pci_claim
		       ? device_has_finalizer(&((const struct pci_claim *)o)->finalizers)
	       : k == &kind_vgpu_device
		       ? device_has_finalizer(&((const struct vgpu_device *)o)->finalizers)
		       : false;
}

/* All of a node, also those whose device it does not report; or of them those that wait for an answer. */
static void wake_objects(struct waker *w, const struct cache *c, const struct kube_kind *k,
			 const char *node, bool held)
{
	size_t n = strlen(node);

	for (const struct obj *o = NULL; (o = cache_next(c, k, o));) {
		const char *dash = strrchr(o->name, '-');

		if (dash == o->name + n && !strncmp(o->name, node, n) && (!held || is_held(k, o))) {
			w->wake(w->ctx, NULL, o->name);
		}
	}
}

static void on_report(const struct cache *c, const struct kube_kind *k, const struct obj *old,
		      const struct obj *now, wake_fn *wake, void *ctx)
{
	const struct gpu_node *was = (const struct gpu_node *)old,
			      *is = (const struct gpu_node *)now;
	struct waker w = {.wake = wake, .ctx = ctx};

	arena_init(&w.arena, WAKE_ARENA);
	wake_changed(&w, was, is);
	if (!old || !now || device_reported(was) != device_reported(is) ||
	    !str_eq(was->silent, is->silent)) {
		wake_objects(&w, c, k, now ? now->name : old->name, false);
	} else if (is_answered(was) != is_answered(is)) {
		wake_objects(&w, c, k, now->name, true);
	}
	arena_finish(&w.arena);
}

#define ON_REPORT(name, kind)                                                                      \
	static void name(const struct cache *c, const struct obj *old, const struct obj *now,      \
			 wake_fn *wake, void *ctx)                                                 \
	{                                                                                          \
		on_report(c, &(kind), old, now, wake, ctx);                                        \
	}
ON_REPORT(report_pci, kind_pci_device)
ON_REPORT(report_claim, kind_pci_claim)
ON_REPORT(report_sriov, kind_sriov_gpu)
ON_REPORT(report_vgpu, kind_vgpu_device)

/* --- a Node that comes or goes ---------------------------------------------------------------- */

/* Its GPUNode may have come first: what is on a node is made when both are there. */
static void node_device(const struct cache *c, const struct obj *old, const struct obj *now,
			wake_fn *wake, void *ctx)
{
	const struct gpu_node *n = now ? cache_get(c, &kind_gpu_node, NULL, now->name) : NULL;
	struct waker w = {.wake = wake, .ctx = ctx};

	if (!n || (old && str_eq(old->uid, now->uid))) {
		return;
	}
	arena_init(&w.arena, WAKE_ARENA);
	list_each(u, &n->units) {
		wake_unit(&w, n, u);
	}
	arena_finish(&w.arena);
}

static void node_claim(const struct cache *c, const struct obj *old, const struct obj *now,
		       wake_fn *wake, void *ctx)
{
	struct waker w = {.wake = wake, .ctx = ctx};

	if (!old || !now) {
		wake_objects(&w, c, &kind_pci_claim, now ? now->name : old->name, false);
	}
}

static void node_vgpu(const struct cache *c, const struct obj *old, const struct obj *now,
		      wake_fn *wake, void *ctx)
{
	struct waker w = {.wake = wake, .ctx = ctx};

	if (!old || !now) {
		wake_objects(&w, c, &kind_vgpu_device, now ? now->name : old->name, false);
	}
	node_device(c, old, now, wake, ctx);
}

/* --- neighbours on the card ------------------------------------------------------------------- */

static bool is_of(const struct gpu_node *n, const struct gpu_unit *u, const char *name,
		  struct arena *a)
{
	bool found = false;

	list_each(f, &u->functions) {
		found |= f->address && str_eq(device_name(a, n->obj.name, f->address), name);
	}
	list_each(s, &u->slots) {
		found |= s->vf && str_eq(device_name(a, n->obj.name, s->vf), name);
	}
	return found;
}

/* All of the card that this object is of, itself among them. */
static void wake_card(const struct cache *c, const struct obj *o, wake_fn *wake, void *ctx)
{
	const char *dash = strrchr(o->name, '-');
	struct waker w = {.wake = wake, .ctx = ctx};
	const struct gpu_node *n;
	struct arena a;

	arena_init(&w.arena, WAKE_ARENA);
	arena_init(&a, WAKE_ARENA);
	n = dash ? cache_get(c, &kind_gpu_node, NULL,
			     arena_strndup(&a, o->name, (size_t)(dash - o->name)))
		 : NULL;
	for (size_t i = 0; n && i < n->units.n; i++) {
		if (is_of(n, &n->units.items[i], o->name, &a)) {
			wake_unit(&w, n, &n->units.items[i]);
		}
		arena_reset(&a);
	}
	arena_finish(&a);
	arena_finish(&w.arena);
}

static bool same_spec(const struct type *t, const void *a, const void *b)
{
	return a == b || (a && b && type_equal(t, a, b));
}

static bool claim_asks_anew(const struct pci_claim *a, const struct pci_claim *b)
{
	return !a || !b || !str_eq(a->obj.deleting, b->obj.deleting) ||
	       !same_spec(&pci_claim_spec_type, a->spec, b->spec);
}

static bool sriov_asks_anew(const struct sriov_gpu *a, const struct sriov_gpu *b)
{
	return !a || !b || !str_eq(a->obj.deleting, b->obj.deleting) ||
	       !str_eq(a->count, b->count) || !same_spec(&sriov_gpu_spec_type, a->spec, b->spec);
}

static bool vgpu_asks_anew(const struct vgpu_device *a, const struct vgpu_device *b)
{
	return !a || !b || !str_eq(a->obj.deleting, b->obj.deleting) ||
	       !same_spec(&vgpu_device_spec_type, a->spec, b->spec);
}

static void by_claim(const struct cache *c, const struct obj *old, const struct obj *now,
		     wake_fn *wake, void *ctx)
{
	if (claim_asks_anew((const struct pci_claim *)old, (const struct pci_claim *)now)) {
		wake_card(c, now ? now : old, wake, ctx);
	}
}

static void by_sriov(const struct cache *c, const struct obj *old, const struct obj *now,
		     wake_fn *wake, void *ctx)
{
	if (sriov_asks_anew((const struct sriov_gpu *)old, (const struct sriov_gpu *)now)) {
		wake_card(c, now ? now : old, wake, ctx);
	}
}

static void by_vgpu(const struct cache *c, const struct obj *old, const struct obj *now,
		    wake_fn *wake, void *ctx)
{
	if (vgpu_asks_anew((const struct vgpu_device *)old, (const struct vgpu_device *)now)) {
		wake_card(c, now ? now : old, wake, ctx);
	}
}

/* Claim and PCIDevice of one name: the one has the other's uid, the other stays for the one. */
static void by_namesake(const struct cache *c, const struct obj *old, const struct obj *now,
			wake_fn *wake, void *ctx)
{
	(void)c;
	if (!old || !now || !str_eq(old->uid, now->uid)) {
		wake(ctx, NULL, now ? now->name : old->name);
	}
}

/* --- orders ----------------------------------------------------------------------------------- */

static void wake_node_of(const struct obj *o, wake_fn *wake, void *ctx)
{
	const char *dash = strrchr(o->name, '-');

	if (dash) {
		auto_free char *node = xstrndup(o->name, (size_t)(dash - o->name));

		wake(ctx, NULL, node);
	}
}

/* The finalizer must stand before an order is given. */
static bool same_finalizers(const struct finalizer_list *a, const struct finalizer_list *b)
{
	return device_has_finalizer(a) == device_has_finalizer(b);
}

static void node_by_claim(const struct cache *c, const struct obj *old, const struct obj *now,
			  wake_fn *wake, void *ctx)
{
	const struct pci_claim *a = (const struct pci_claim *)old,
			       *b = (const struct pci_claim *)now;

	(void)c;
	if (claim_asks_anew(a, b) || !same_finalizers(&a->finalizers, &b->finalizers) ||
	    !str_eq(a->status ? a->status->driver : NULL, b->status ? b->status->driver : NULL)) {
		wake_node_of(now ? now : old, wake, ctx);
	}
}

static void node_by_sriov(const struct cache *c, const struct obj *old, const struct obj *now,
			  wake_fn *wake, void *ctx)
{
	(void)c;
	if (sriov_asks_anew((const struct sriov_gpu *)old, (const struct sriov_gpu *)now)) {
		wake_node_of(now ? now : old, wake, ctx);
	}
}

static void node_by_vgpu(const struct cache *c, const struct obj *old, const struct obj *now,
			 wake_fn *wake, void *ctx)
{
	const struct vgpu_device *a = (const struct vgpu_device *)old,
				 *b = (const struct vgpu_device *)now;

	(void)c;
	if (vgpu_asks_anew(a, b) || !same_finalizers(&a->finalizers, &b->finalizers)) {
		wake_node_of(now ? now : old, wake, ctx);
	}
}

static bool serves_mdevs(const struct gpu_node *n)
{
	list_each(u, &n->units) {
		if (str_eq(u->vgpu_framework, "mdev")) {
			return true;
		}
	}
	return false;
}

/* Which types are permitted is asked of the KubeVirt CR, for mediated devices only. */
static void node_by_cr(const struct cache *c, const struct obj *old, const struct obj *now,
		       wake_fn *wake, void *ctx)
{
	const struct kv_config *a = (const struct kv_config *)old,
			       *b = (const struct kv_config *)now;

	if (a && b && str_eq(a->permitted, b->permitted) &&
	    str_empty(a->phase) == str_empty(b->phase)) {
		return;
	}
	for (const struct gpu_node *n = NULL; (n = cache_next(c, &kind_gpu_node, n));) {
		if (serves_mdevs(n)) {
			wake(ctx, NULL, n->obj.name);
		}
	}
}

const struct plan_watch device_pci_watches[] = {
	{&kind_gpu_node, report_pci},
	{&kind_node, node_device},
	{&kind_pci_claim, by_namesake},
	{0},
};
const struct plan_watch device_claim_watches[] = {
	{&kind_gpu_node, report_claim},
	{&kind_node, node_claim},
	{&kind_pci_device, by_namesake},
	{&kind_pci_claim, by_claim},
	{&kind_sriov_gpu, by_sriov},
	{&kind_vgpu_device, by_vgpu},
	{0},
};
const struct plan_watch device_sriov_watches[] = {
	{&kind_gpu_node, report_sriov},
	{&kind_node, node_device},
	{&kind_pci_claim, by_claim},
	{&kind_vgpu_device, by_vgpu},
	{0},
};
const struct plan_watch device_vgpu_watches[] = {
	{&kind_gpu_node, report_vgpu}, {&kind_node, node_vgpu},	     {&kind_pci_claim, by_claim},
	{&kind_sriov_gpu, by_sriov},   {&kind_vgpu_device, by_vgpu}, {0},
};
const struct plan_watch node_watches[] = {
	{&kind_pci_claim, node_by_claim},
	{&kind_sriov_gpu, node_by_sriov},
	{&kind_vgpu_device, node_by_vgpu},
	{&kind_kv_config, node_by_cr},
	{&kind_node, node_operator_by_node},
	{&kind_daemon_set, node_operator_by_set},
	{&kind_gpu_pool, pool_wake_nodes},
	{&kind_node, pool_wake_node},
	{0},
};
