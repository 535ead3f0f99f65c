/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pool.h"

#include <string.h>
#include <strings.h>

#include "api/gpu_names.h"
#include "controller/node_claims.h"

/* --- labels ----------------------------------------------------------------------------------- */

static const char *value_of(const struct pair *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(labels[i].key, key)) {
			return labels[i].value;
		}
	}
	return NULL;
}

static bool is_among(const struct pool_requirement *r, const char *value)
{
	list_each(v, &r->values) {
		if (value && str_eq(*v, value)) {
			return true;
		}
	}
	return false;
}

/* What lacks the label is not in any list of its values (apimachinery, labels.Requirement). */
static bool requirement_holds(const struct pool_requirement *r, const char *value)
{
	return str_eq(r->op, "In")	       ? is_among(r, value)
	       : str_eq(r->op, "NotIn")	       ? !is_among(r, value)
	       : str_eq(r->op, "Exists")       ? value != NULL
	       : str_eq(r->op, "DoesNotExist") ? value == NULL
					       : false;
}

bool pool_selector_holds(const struct pool_selector *s, const struct pair *labels, size_t n)
{
	if (!s) {
		return true;
	}
	list_each(want, &s->labels) {
		const char *value = value_of(labels, n, want->key);

		if (!value || !str_eq(value, want->value)) {
			return false;
		}
	}
	list_each(r, &s->expressions) {
		if (!r->key || !requirement_holds(r, value_of(labels, n, r->key))) {
			return false;
		}
	}
	return true;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static bool is_named(const struct gpu_pool_spec *s, const char *node)
{
	list_each(name, &s->node_names) {
		if (str_eq(*name, node)) {
			return true;
		}
	}
	return !s->node_names.n;
}

bool pool_has_node(const struct gpu_pool *p, const char *node, const struct core_node *host,
		   bool *ret_unsure)
{
	*ret_unsure = false;
	if (!p->spec || p->obj.deleting || !is_named(p->spec, node)) {
		return false;
	}
	if (!p->spec->node_selector || host) {
		return pool_selector_holds(p->spec->node_selector, host ? host->labels.items : NULL,
					   host ? host->labels.n : 0);
	}
	*ret_unsure = true;
	return true;
}

/* --- names ------------------------------------------------------------------------------------ */

bool pool_is_pci_id(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		if (i % 5 == 4 ? name[i] != ':' : !strchr("0123456789abcdefABCDEF", name[i])) {
			return false;
		}
	}
	return n == strlen("10de:26b9") || n == strlen("10de:25b6:10de:157e");
}

/* A name that the table knows means all cards of its canonical names; a PCI id only its own. */
static void take_names(struct pool_reach *r, struct arena *a)
{
	const struct gpu_pool_spec *s = r->pool->spec;

	r->names.items = arena_array(a, const char *, s->gpus.n *(GPU_NAMES_MAX + 1));
	list_each(name, &s->gpus) {
		r->names.items[r->names.n++] = *name;
		if (!pool_is_pci_id(*name)) {
			r->names.n += gpu_names_resolve(*name, r->names.items + r->names.n,
							GPU_NAMES_MAX);
		}
	}
}

static bool has_id(const struct gpu_unit *u, const char *id)
{
	size_t n = strlen("10de:26b9");

	return u->vendor_id && u->device_id && !strncasecmp(id, u->vendor_id, 4) &&
	       !strncasecmp(id + 5, u->device_id, 4) &&
	       (!id[n] || (u->subsystem && !strcasecmp(id + n + 1, u->subsystem)));
}

static bool is_called(const struct gpu_unit *u, const char *name)
{
	if (pool_is_pci_id(name)) {
		return has_id(u, name);
	}
	list_each(alias, &u->aliases) {
		if (str_eq(*alias, name)) {
			return true;
		}
	}
	return str_eq(u->name, name);
}

/* --- pools ------------------------------------------------------------------------------------ */

static bool goes_before(const struct gpu_pool *a, const struct gpu_pool *b)
{
	return a->spec->priority != b->spec->priority ? a->spec->priority > b->spec->priority
						      : strcmp(a->obj.name, b->obj.name) < 0;
}

static void insert(struct pools *all, const struct pool_reach *r)
{
	size_t i = all->items.n++;

	for (; i && goes_before(r->pool, all->items.items[i - 1].pool); i--) {
		all->items.items[i] = all->items.items[i - 1];
	}
	all->items.items[i] = *r;
}

void pools_of_node(const struct pass *pass, const struct gpu_node *n, struct pools *ret)
{
	const struct core_node *host = cache_get(pass->cache, &kind_node, NULL, n->obj.name);

	*ret = (struct pools){.pass = pass,
			      .node = n,
			      .served = cache_version(pass->cache, &kind_gpu_pool) != NULL};
	ret->items.items = arena_array(pass->arena, struct pool_reach,
				       cache_count(pass->cache, &kind_gpu_pool));
	for (const struct gpu_pool *p = NULL; (p = cache_next(pass->cache, &kind_gpu_pool, p));) {
		struct pool_reach r = {.pool = p};

		if (pool_has_node(p, n->obj.name, host, &r.unsure)) {
			take_names(&r, pass->arena);
			insert(ret, &r);
		}
	}
}

/* Whose labels are not known keeps what it has, and gets nothing new. */
static bool has_it_already(const struct pools *all, const struct pool_reach *r,
			   const struct gpu_unit *u)
{
	const struct unit_order *o = claims_standing(all->node, u->id);

	return pool_ordered(o) && str_eq(o->by + strlen(POOL_BY), r->pool->obj.name);
}

const struct gpu_unit *pool_card_of(const struct gpu_node *n, const struct gpu_unit *u)
{
	for (size_t i = 0; u->physical_function && i < n->units.n; i++) {
		if (str_eq(n->units.items[i].address, u->physical_function)) {
			return &n->units.items[i];
		}
	}
	return NULL;
}

const struct gpu_unit *pool_function(const struct gpu_node *n, const struct gpu_unit *card,
				     size_t i)
{
	list_each(u, &n->units) {
		if (u->physical_function && str_eq(u->physical_function, card->address) && !i--) {
			return u;
		}
	}
	return NULL;
}

bool pool_in_use(const struct gpu_node *n, const struct gpu_unit *u)
{
	const struct gpu_unit *vf;

	list_each(s, &u->slots) {
		if (!str_empty(s->holder)) {
			return true;
		}
	}
	for (size_t i = 0; (vf = pool_function(n, u, i)); i++) {
		if (vf->holder) {
			return true;
		}
	}
	return u->holder;
}

bool pool_wants_whole(const struct gpu_pool *p, const struct gpu_unit *u)
{
	return str_eq(p->spec->use, "passthrough") ||
	       (str_eq(p->spec->use, "vgpu") && u->physical_function);
}

/* Who cuts a card has what comes of that, whatever it is called. */
static bool selects_function(const struct pools *all, const struct pool_reach *r,
			     const struct gpu_unit *u)
{
	const struct gpu_unit *card = pool_card_of(all->node, u);

	return card && !card->physical_function && pool_of(all, card) == r->pool &&
	       !claims_ordered(claims_standing(all->node, card->id));
}

bool pool_selects(const struct pools *all, const struct pool_reach *r, const struct gpu_unit *u)
{
	bool called = !r->pool->spec->gpus.n;

	if (u->physical_function && str_eq(r->pool->spec->use, "vgpu")) {
		return selects_function(all, r, u);
	}
	for (size_t i = 0; i < r->names.n && !called; i++) {
		called = is_called(u, r->names.items[i]);
	}
	return called && (!r->unsure || has_it_already(all, r, u));
}

const struct gpu_pool *pool_of(const struct pools *all, const struct gpu_unit *u)
{
	list_each(r, &all->items) {
		if (pool_selects(all, r, u)) {
			return r->pool;
		}
	}
	return NULL;
}
