/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "api/gpu_names.h"
#include "api/resource.h"
#include "base/listing.h"
#include "base/map.h"
#include "controller/node_claims.h"
#include "controller/node_operator.h"

/* Named in a message: models, and nodes of each. */
#define MAX_LISTED 8
#define MAX_NODES 3

/* --- making ----------------------------------------------------------------------------------- */

/*
 * What all nodes report, kept by the cache until one of them says something else. Nothing bounds the
 * number of nodes, so its arena has no maximum: it takes a place for each model of a node, less than
 * the cache has for the node itself, and the texts of a model once.
 */
struct stock {
	struct arena arena;
	struct arena scratch; /* texts that are looked up, of one unit; while it is made */
	struct inventory_model *models;
	size_t n, size, nodes;
	struct map index; /* name -> its place in models, counted from 1; while it is made */
};

/* The name is copied when it is new. */
static struct inventory_model *model_of(struct stock *m, const char *name, const char *human,
					bool vgpu)
{
	size_t at = (size_t)(uintptr_t)map_get(&m->index, name);

	if (at) {
		return &m->models[at - 1];
	}
	if (m->n == m->size) {
		struct inventory_model *more =
			arena_array(&m->arena, struct inventory_model, m->size * 2 + 8);

		if (m->n) {
			memcpy(more, m->models, m->n * sizeof(*more));
		}
		m->models = more;
		m->size = m->size * 2 + 8;
	}
	name = arena_strdup(&m->arena, name);
	m->models[m->n] = (struct inventory_model){.name = name, .human = human, .vgpu = vgpu};
	map_put(&m->index, name, (void *)(uintptr_t)(m->n + 1));
	return &m->models[m->n++];
}

/* Nodes are added one after the other, so the place of this one is the last or not there yet. */
static struct inventory_place *place_of(struct stock *m, struct inventory_model *model,
					const char *node)
{
	size_t n = model->n_places;
	struct inventory_place *more;

	if (n && model->places[n - 1].node == node) {
		return &model->places[n - 1];
	}
	if (!(n & (n - 1))) {
		more = arena_array(&m->arena, struct inventory_place, n ? 2 * n : 1);
		if (n) {
			memcpy(more, model->places, n * sizeof(*more));
		}
		model->places = more;
	}
	model->places[n] = (struct inventory_place){.node = node};
	model->n_places++;
	return &model->places[n];
}

/* "10de" and "26b9" as KubeVirt's documents write them: 10DE:26B9. */
static const char *selector_of(struct stock *m, const char *vendor, const char *device)
{
	char *s = arena_printf(&m->scratch, "%s:%s", vendor ? vendor : "", device ? device : "");

	for (char *p = s; *p; p++) {
		if (*p >= 'a' && *p <= 'f') {
			*p = (char)(*p - 'a' + 'A');
		}
	}
	return s;
}

static void add_sorted(struct stock *m, const char ***list, size_t *n, const char *text)
{
	size_t at = 0;

	while (at < *n && strcmp((*list)[at], text) < 0) {
		at++;
	}
	if (at < *n && str_eq((*list)[at], text)) {
		return;
	}
	if (!(*n & (*n - 1))) {
		const char **more = arena_array(&m->arena, const char *, *n ? 2 * *n : 1);

		if (*n) {
			memcpy(more, *list, *n * sizeof(*more));
		}
		*list = more;
	}
	memmove(*list + at + 1, *list + at, (*n - at) * sizeof(**list));
	(*list)[at] = arena_strdup(&m->arena, text);
	(*n)++;
}

static void add_selector(struct stock *m, struct inventory_model *model, const struct gpu_unit *u)
{
	add_sorted(m, &model->selectors, &model->n_selectors,
		   selector_of(m, u->vendor_id, u->device_id));
}

const struct gpu_function *inventory_companion(const struct gpu_unit *u)
{
	const char *dot = u->address ? strrchr(u->address, '.') : NULL;

	list_each(f, &u->functions) {
		if (dot && str_eq(f->role, "audio") && f->address &&
		    strncmp(f->address, u->address, (size_t)(dot + 1 - u->address)) == 0) {
			return f;
		}
	}
	return NULL;
}

static void add_companion(struct stock *m, struct inventory_model *model, const struct gpu_unit *u)
{
	const struct gpu_function *f = inventory_companion(u);

	if (f) {
		add_sorted(m, &model->companions, &model->n_companions,
			   selector_of(m, f->vendor_id, f->device_id));
	}
	model->bare += !f;
}

/*
 * What the node says against what its units give, or NULL. A vGPU needs no vfio-pci, and a mediated
 * device no IOMMU; anything else that keeps a node from being Ready keeps all that it has.
 */
static const char *node_kept(const struct gpu_node *n, const struct gpu_unit *u, bool vgpu,
			     struct arena *a)
{
	const struct condition *c = condition_find(&n->conditions, "Ready");

	if (n->silent) {
		return arena_printf(a,
				    "vmgpu-node on node %s has been silent since %s, and what it "
				    "reported last may not hold any more: look at its pod there, "
				    "and at the node",
				    n->obj.name, n->silent);
	}
	if (!c || str_eq(c->status, "True") || (vgpu && str_eq(c->reason, "NoVFIO")) ||
	    (vgpu && str_eq(c->reason, "NoIOMMU") && str_eq(u->vgpu_framework, "mdev"))) {
		return NULL;
	}
	return arena_printf(a, "node %s is not ready: %s", n->obj.name,
			    str_empty(c->message) ? "it does not say why" : c->message);
}

/* What its order says against it: its node offers nothing of it, whatever it looks like. */
static const char *order_kept(const struct gpu_node *n, const struct gpu_unit *u, struct arena *a)
{
	const struct unit_order *o = claims_standing(n, u->id);

	return o && str_eq(o->want, "host")
		       ? arena_printf(a, "one on %s is left to the host: %s", n->obj.name,
				      o->by ? o->by : "so it is ordered")
		       : NULL;
}

/*
 * What its node says of the unit against what it gives, or NULL: as a whole, or of a vGPU on it. The
 * driver offers vGPUs whether or not any machine could get them; that no more fit is said by the
 * profiles themselves.
 */
static const char *unit_kept(const struct gpu_node *n, const struct gpu_unit *u, bool vgpu,
			     struct arena *a)
{
	const struct condition *available = condition_find(&u->conditions, "Available");
	bool full = available && str_eq(available->status, "False") &&
		    str_eq(available->reason, "VGPUsFull");

	if (n->left && node_operator_is_its(u) && !claims_standing(n, u->id)) {
		return arena_printf(a,
				    "one on %s is left to the gpu-operator, whose %s serves that "
				    "node: label the Node nvidia.com/gpu.deploy.operands=false, or "
				    "claim the card",
				    n->obj.name, n->left);
	}
	if (!vgpu && str_eq(u->mode, "vgpu")) {
		return arena_printf(a, "one on %s is cut into vGPUs", n->obj.name);
	}
	if ((available && str_eq(available->status, "True")) || (vgpu && full)) {
		return NULL;
	}
	if (u->holder) { /* whose it is stands in the message, and is not for every tenant's eyes */
		return arena_printf(a, "one on %s is in use, and is not given on", n->obj.name);
	}
	return arena_printf(a, "one on %s may not be taken: %s", n->obj.name,
			    available && !str_empty(available->message)
				    ? available->message
				    : "its node does not say that it is available");
}

/* A name of its own, under which the kubelet has it now; NULL: it has that of its model. */
static const char *own_name(const struct gpu_unit *u, const struct unit_order *o)
{
	return u->resource && !(o && str_eq(o->name, u->resource)) ? u->resource : NULL;
}

/* kept: why it cannot be had, or NULL. */
static struct inventory_model *add_card(struct stock *m, const char *name, const struct gpu_node *n,
					const struct gpu_unit *u, const char *kept)
{
	struct inventory_model *model = model_of(m, name, u->model, false);
	struct inventory_place *place = place_of(m, model, n->obj.name);

	add_selector(m, model, u);
	add_companion(m, model, u);
	place->total++;
	place->open += !kept;
	if (kept && !place->why) {
		place->why = arena_strdup(&m->arena, kept);
	}
	return model;
}

/*
 * Under the name that the kubelet lists it as. One that is ordered and not listed yet is known, so
 * that it is permitted before it comes; meanwhile the card is nobody's next, unless somebody has it:
 * then it counts where that machine does.
 */
static void add_whole(struct stock *m, const struct gpu_node *n, const struct gpu_unit *u)
{
	const struct unit_order *o = claims_standing(n, u->id);
	const char *own = own_name(u, o), *kept = node_kept(n, u, false, &m->scratch);
	const char *now = own ? own : u->name, *next = o && o->exclusive ? o->exclusive : now;
	struct inventory_model *model;

	kept = kept ? kept : order_kept(n, u, &m->scratch);
	kept = kept ? kept : unit_kept(n, u, false, &m->scratch);
	if (!str_eq(next, now)) {
		const char *moves = arena_printf(
			&m->scratch, "one on %s is listed as %s until it is idle, and as %s then",
			n->obj.name, now, next);

		add_card(m, next, n, u, kept ? kept : moves);
		kept = kept || u->holder ? kept : moves;
	}
	model = add_card(m, now, n, u, kept);
	if (!own && !model->n_aliases) {
		model->aliases = u->aliases.items;
		model->n_aliases = u->aliases.n;
	}
}

/* Where a card does not say it, the first of its model does (crds/vmgpu.io_gpunodes.yaml); 0:
 * nobody does. */
static int64_t profile_max(const struct gpu_node *n, const struct gpu_unit *u,
			   const struct gpu_profile *p)
{
	const struct gpu_unit *first = n->units.items;

	if (p->max) {
		return p->max;
	}
	while (!str_eq(first->vendor_id, u->vendor_id) || !str_eq(first->device_id, u->device_id)) {
		first++;
	}
	list_each(q, &first->profiles) {
		if (str_eq(q->name, p->name)) {
			return q->max;
		}
	}
	return 0;
}

/* Where vGPUs are ordered one by one, those that nobody has: no others are made. */
static int64_t open_of(const struct gpu_node *n, const struct gpu_unit *u,
		       const struct gpu_profile *p)
{
	const struct unit_order *o = claims_standing(n, u->id);
	int64_t open = 0;

	if (!o || !o->slots.n) {
		return p->available;
	}
	list_each(s, &u->slots) {
		open += str_empty(s->holder) && s->type && str_eq(s->type, p->name);
	}
	return open;
}

static void add_profiles(struct stock *m, const struct gpu_node *n, const struct gpu_unit *u)
{
	const char *kept = node_kept(n, u, true, &m->scratch), *why = NULL;

	kept = kept ? kept : order_kept(n, u, &m->scratch);
	kept = kept ? kept : unit_kept(n, u, true, &m->scratch);
	list_each(p, &u->profiles) {
		struct inventory_model *model = model_of(
			m, resource_of_profile(u->name, p->name, &m->scratch), p->name, true);
		struct inventory_place *place = place_of(m, model, n->obj.name);
		int64_t max = profile_max(n, u, p);

		if (str_eq(u->vgpu_framework, "mdev")) {
			model->mdev = p->name;
		} else {
			add_selector(m, model, u);
		}
		place->total += MAX(max, p->available);
		place->unknown |= !max;
		place->open += kept ? 0 : open_of(n, u, p);
		if (kept && !place->why) {
			place->why = why = why ? why : arena_strdup(&m->arena, kept);
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct inventory_model *)a)->name,
		      ((const struct inventory_model *)b)->name);
}

/* In order of names, so that of several nodes' words for one model always the same are taken. */
static void *make_stock(const struct cache *c)
{
	struct stock *m = xcalloc(1, sizeof(*m));
	struct obj_list nodes;

	arena_init(&m->arena, SIZE_MAX);
	arena_init(&m->scratch, SIZE_MAX);
	map_init(&m->index);
	nodes = cache_sorted(c, &kind_gpu_node, NULL, &m->arena);
	for (size_t i = 0; i < nodes.n; i++) {
		const struct gpu_node *n = (const struct gpu_node *)nodes.items[i];

		m->nodes += n->units.n > 0;
		list_each(u, &n->units) {
			if (!str_empty(u->name)) {
				add_whole(m, n, u);
				add_profiles(m, n, u);
				arena_reset(&m->scratch);
			}
		}
	}
	if (m->n) {
		qsort(m->models, m->n, sizeof(*m->models), by_name);
	}
	map_finish(&m->index);
	arena_finish(&m->scratch);
	return m;
}

static void destroy_stock(void *made)
{
	struct stock *m = made;

	arena_finish(&m->arena);
	free(m);
}

static const struct cache_memo stock = {make_stock, destroy_stock};

void inventory_make(const struct pass *pass, const char *except_ns, const char *except_name,
		    struct inventory *ret)
{
	const struct stock *m = cache_memo(pass->cache, &kind_gpu_node, &stock);

	*ret = (struct inventory){
		.models = m->models,
		.n = m->n,
		.nodes = m->nodes,
		.pass = pass,
		.except_ns = except_ns,
		.except_name = except_name,
	};
}

/* --- asking ----------------------------------------------------------------------------------- */

static int64_t count_in(const struct kv_gpu_list *l, const char *device)
{
	int64_t n = 0;

	list_each(d, l) {
		n += str_eq(d->device_name, device);
	}
	return n;
}

/* A profile's `available` has gone down by itself when the vGPU was made. */
int64_t inventory_free(const struct inventory *inv, const struct inventory_model *m,
		       const struct inventory_place *p)
{
	int64_t n = p->open;

	for (const struct kv_vmi *v = NULL;
	     n > 0 && !m->vgpu &&
	     (v = cache_next_keyed(inv->pass->cache, &kind_kv_vmi, p->node, v));) {
		if (!str_eq(v->obj.ns, inv->except_ns) || !str_eq(v->obj.name, inv->except_name)) {
			n -= count_in(&v->gpus, m->name) + count_in(&v->host_devices, m->name);
		}
	}
	return MAX(n, (int64_t)0);
}

const char *inventory_total(const struct inventory_place *p, struct arena *a)
{
	return p->unknown ? "an unknown number" : arena_printf(a, "%lld", (long long)p->total);
}

static int compare_model(const void *name, const void *model)
{
	return strcmp(name, ((const struct inventory_model *)model)->name);
}

const struct inventory_model *inventory_find(const struct inventory *inv, const char *name)
{
	return inv->n ? bsearch(name, inv->models, inv->n, sizeof(*inv->models), compare_model)
		      : NULL;
}

static int compare_place(const void *node, const void *place)
{
	return strcmp(node, ((const struct inventory_place *)place)->node);
}

const struct inventory_place *inventory_place_on(const struct inventory_model *m, const char *node)
{
	return m->n_places
		       ? bsearch(node, m->places, m->n_places, sizeof(*m->places), compare_place)
		       : NULL;
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

size_t inventory_meanings(const struct inventory *inv, const char *asked, const char **ret,
			  size_t max)
{
	size_t n, table;

	if (inventory_find(inv, asked)) {
		ret[0] = asked;
		return 1;
	}
	n = table = gpu_names_resolve(asked, ret, max);
	for (size_t i = 0; i < inv->n && n < max; i++) {
		bool known = false;

		for (size_t k = 0; k < table; k++) {
			known |= str_eq(ret[k], inv->models[i].name);
		}
		if (!known && has_alias(&inv->models[i], asked)) {
			ret[n++] = inv->models[i].name;
		}
	}
	return n;
}

const char *inventory_resolve(const struct inventory *inv, const char *asked)
{
	const char *names[GPU_NAMES_MAX];
	size_t n = inventory_meanings(inv, asked, names, ARRAY_LEN(names));

	for (size_t i = 0; i < n; i++) {
		if (inventory_find(inv, names[i])) {
			return names[i];
		}
	}
	return n ? names[0] : asked;
}

/* Behind the series: four displays (older drivers), and which engines a MIG type has (nvidia.md
 * 2.1). */
static const char *const type_suffixes[] = {"", "4", "ME", "NOME", "MEALL", "GFX"};

char inventory_series(const char *name)
{
	const char *dash = strrchr(name, '-'), *at = dash ? dash + 1 : "";
	size_t digits = strspn(at, "0123456789");

	if (!digits || !at[digits] || !strchr("ABCQ", at[digits])) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(type_suffixes); i++) {
		if (str_eq(at + digits + 1, type_suffixes[i])) {
			return at[digits];
		}
	}
	return 0;
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
	if (gpu_names_ids(name, &id, 1) &&
	    gpu_names_by_id((uint16_t)(id >> 16), (uint16_t)id, 0, &known)) {
		return known.model;
	}
	return slash ? slash + 1 : name;
}

static const char *places_text(const struct inventory_model *m, struct arena *a)
{
	size_t n = MIN(m->n_places, (size_t)MAX_NODES);
	struct listing l;

	listing_init(&l, a, ", ");
	for (size_t i = 0; i < n; i++) {
		listing_add(&l, "%s: %s", m->places[i].node, inventory_total(&m->places[i], a));
	}
	l.left_out += m->n_places - n;
	return listing_end(&l);
}

const char *inventory_suggest(const struct inventory *inv, const char *asked, struct arena *a)
{
	const char **have = arena_array(a, const char *, inv->n);
	size_t n, listed = MIN(inv->n, (size_t)MAX_LISTED);
	struct listing near, all;
	const char *names[3];

	for (size_t i = 0; i < inv->n; i++) {
		have[i] = inv->models[i].name;
	}
	n = gpu_names_near(asked, have, inv->n, names, ARRAY_LEN(names));
	listing_init(&near, a, ", ");
	for (size_t i = 0; i < n; i++) {
		listing_add(&near, "%s", names[i]);
	}
	listing_init(&all, a, ", ");
	for (size_t i = 0; i < listed; i++) {
		const struct inventory_model *m = &inv->models[i];

		listing_add(&all, "%s (%s)", m->name, places_text(m, a));
	}
	all.left_out += inv->n - listed;
	return arena_printf(a, "%s%s%s%s%s", n ? "near names: " : "", listing_end(&near),
			    n ? "; " : "", inv->n ? "GPUs are: " : "", listing_end(&all));
}
