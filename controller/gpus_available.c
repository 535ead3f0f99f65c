/* SPDX-License-Identifier: Apache-2.0 */
/* One node must have enough for all names at once: a machine runs on one. */
#include "controller/gpus.h"

#include <stdlib.h>
#include <string.h>

/* Named in a message. */
#define MAX_NODES 3
#define MAX_HOLDERS 4
/* On one node. It has fewer GPUs to pass on. */
#define MAX_MACHINES 64

static int64_t most_on(const struct inventory_place *p)
{
	return p->unknown ? INT64_MAX : p->total;
}

static int64_t on(const struct gpus *g, const struct inventory_model *m, const char *node,
		  bool free_ones)
{
	const struct inventory_place *p = m ? inventory_place_on(m, node) : NULL;

	if (!p) {
		return 0;
	}
	return free_ones ? inventory_free(g->inventory, m, p) : most_on(p);
}

static bool node_suffices(const struct gpus *g, const char *node, bool free_ones)
{
	for (size_t i = 0; i < g->n; i++) {
		const char *device = g->asks[i].device;

		if (on(g, inventory_find(g->inventory, device), node, free_ones) <
		    gpus_count(g, device)) {
			return false;
		}
	}
	return true;
}

/* The next node behind `after` (NULL: the first) that has all of them, or NULL. */
static const char *next_node(const struct gpus *g, const char *after, bool free_ones)
{
	const struct inventory_model *m = inventory_find(g->inventory, g->asks[0].device);

	for (size_t i = 0; m && i < m->n_places; i++) {
		const char *node = m->places[i].node;

		if ((!after || strcmp(node, after) > 0) && node_suffices(g, node, free_ones)) {
			return node;
		}
	}
	return NULL;
}

/* --- who has them ----------------------------------------------------------------------------- */

static bool has_device(const struct kv_vmi *v, const char *device)
{
	list_each(d, &v->gpus) {
		if (str_eq(d->device_name, device)) {
			return true;
		}
	}
	list_each(d, &v->host_devices) {
		if (str_eq(d->device_name, device)) {
			return true;
		}
	}
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ": VM a, VM b, another namespace has them", or "". The asker may not see other namespaces. */
static const char *holders(const struct gpus *g, const char *node, const char *device)
{
	struct arena *a = g->pass->arena;
	const char *names[MAX_MACHINES], *text = "";
	bool elsewhere = false;
	size_t n = 0;

	for (const struct kv_vmi *v = NULL;
	     (v = cache_next_keyed(g->pass->cache, &kind_kv_vmi, node, v));) {
		if (!has_device(v, device) ||
		    (str_eq(v->obj.ns, g->ns) && str_eq(v->obj.name, g->machine))) {
			continue;
		}
		if (!str_eq(v->obj.ns, g->ns)) {
			elsewhere = true;
		} else if (n < MAX_MACHINES) {
			names[n++] = v->obj.name;
		}
	}
	qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 0; i < n && i < MAX_HOLDERS; i++) {
		text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", names[i]);
	}
	if (n > MAX_HOLDERS) {
		text = arena_printf(a, "%s and %zu more", text, n - MAX_HOLDERS);
	}
	if (elsewhere) {
		text = arena_printf(a, "%s%sanother namespace", text, *text ? ", " : "");
	}
	return *text ? arena_printf(a, " (taken by %s)", text) : "";
}

/* The first name that this node has too few of: "gpu-a has 2 x ..., 1 free (taken by ...): why". */
static const char *kept_on(const struct gpus *g, const char *node)
{
	struct arena *a = g->pass->arena;

	for (size_t i = 0; i < g->n; i++) {
		const struct inventory_model *m = inventory_find(g->inventory, g->asks[i].device);
		const struct inventory_place *p = inventory_place_on(m, node);
		int64_t left = inventory_free(g->inventory, m, p);

		if (left < gpus_count(g, m->name)) {
			return arena_printf(a, "%s has %s%s%s, %lld free%s%s%s", node,
					    inventory_total(p, a), p->unknown ? " of " : " x ",
					    m->name, (long long)left, holders(g, node, m->name),
					    p->why ? ": " : "", p->why ? p->why : "");
		}
	}
	return node;
}

static struct verdict none_free(const struct gpus *g, const char *node)
{
	struct arena *a = g->pass->arena;
	const char *text = "";
	size_t n = 0;

	for (; node && n < MAX_NODES; node = next_node(g, node, false), n++) {
		text = arena_printf(a, "%s; %s", text, kept_on(g, node));
	}
	return verdict_no("NoneFree",
			  arena_printf(a, "no node has %s free now, it starts when one has%s%s",
				       gpus_wish(g), text, node ? "; and others" : ""));
}

/* --- the verdict ------------------------------------------------------------------------------ */

static struct verdict too_many(const struct gpus *g)
{
	struct arena *a = g->pass->arena;
	const char *text = "";

	for (size_t i = 0; i < g->n; i++) {
		const struct inventory_model *m = inventory_find(g->inventory, g->asks[i].device);
		const struct inventory_place *most = NULL;

		for (size_t k = 0; k < m->n_places; k++) {
			most = !most || most_on(&m->places[k]) > most_on(most) ? &m->places[k]
									       : most;
		}
		text = arena_printf(a, "%s; of %s %s has the most, %s", text, m->name, most->node,
				    inventory_total(most, a));
	}
	return verdict_no("TooMany", arena_printf(a, "no one node has %s%s: ask for fewer",
						  gpus_wish(g), text));
}

static struct verdict unknown_name(const struct gpus *g, const char *asked)
{
	struct arena *a = g->pass->arena;

	return verdict_no("UnknownName", arena_printf(a, "no node has %s; %s", asked,
						      inventory_suggest(g->inventory, asked, a)));
}

struct verdict gpus_available(const struct gpus *g)
{
	struct arena *a = g->pass->arena;
	const char *node;

	if (!g->n) {
		return verdict_none();
	}
	if (!g->inventory->nodes) {
		return verdict_no(
			"NoGPUNodes",
			arena_printf(
				a,
				"no node reports a GPU (asked: %s): is the DaemonSet vmgpu-node running?",
				gpus_wish(g)));
	}
	for (size_t i = 0; i < g->n; i++) {
		if (!inventory_find(g->inventory, g->asks[i].device)) {
			return unknown_name(g, g->asks[i].asked);
		}
	}
	/* Not which node: that would change the status of every stopped VM with each start of
	 * another. */
	if (next_node(g, NULL, true)) {
		return verdict_yes("Free", arena_printf(a, "a node has %s free", gpus_wish(g)));
	}
	node = next_node(g, NULL, false);
	return node ? none_free(g, node) : too_many(g);
}
