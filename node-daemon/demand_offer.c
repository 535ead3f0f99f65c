/* SPDX-License-Identifier: Apache-2.0 */
/* Which vGPUs there are, for the kubelet and for uses.h. */
#include <inttypes.h>
#include <string.h>

#include "node-daemon/demand_inner.h"
#include "node-daemon/prefer_vgpu.h"

#define SLOT_WORDS (JOURNAL_MAX_SLOTS / 64)

static struct plugin_offer *list_of(struct offers *to, const char *resource)
{
	list_each(l, &to->lists) {
		if (str_eq(l->resource, resource)) {
			return l;
		}
	}
	to->lists.items[to->lists.n] = (struct plugin_offer){.resource = resource};
	return &to->lists.items[to->lists.n++];
}

static bool is_healthy(const struct demand *v, const char *id)
{
	struct uses_view u;

	for (size_t i = 0; uses_each(v->s.uses, i, &u); i++) {
		if (str_eq(u.id, id)) {
			return u.healthy;
		}
	}
	return true;
}

static void add_type(struct demand *v, const struct vgpu_seen *seen, const char *type,
		     struct arena *a, struct offers *to)
{
	struct vgpu_device_list devices;
	struct plugin_offer *list;
	const struct unit *unit;

	vgpu_devices(seen, type, a, &devices);
	unit = devices.n ? devices.items[0].unit : vgpu_beside(seen, type);
	if (!unit) {
		return;
	}
	list = list_of(to, demand_resource(unit, type, a));
	if (list->devices.n) {
		return; /* two types of one name are one */
	}
	list->devices.items = arena_array(a, struct dpapi_device, devices.n);
	list_each(d, &devices) {
		const char *id = vgpu_id_text(d->id, a);

		list->devices.items[list->devices.n++] = (struct dpapi_device){
			id, d->healthy && (!d->made || is_healthy(v, id)), d->unit->card->numa};
	}
}

void demand_offer(struct demand *v, struct offers *to, struct arena *a)
{
	struct plugin_offer *lists;
	struct vgpu_seen seen;
	const char **types;
	size_t n;

	if (!demand_see(v, a, &seen)) {
		return;
	}
	vgpu_types(&seen, a, &types, &n);
	lists = arena_array(a, struct plugin_offer, to->lists.n + n);
	if (to->lists.n) {
		memcpy(lists, to->lists.items, to->lists.n * sizeof(*lists));
	}
	to->lists.items = lists;
	for (size_t i = 0; i < n && to->lists.n < PLUGIN_RESOURCES_MAX; i++) {
		add_type(v, &seen, types[i], a, to);
	}
}

/* One bit a number of a card. True: it was not set. */
static bool mark(uint64_t *marks, size_t card, int64_t index)
{
	uint64_t *word = &marks[card * SLOT_WORDS + (size_t)index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);
	bool fresh = !(*word & bit);

	*word |= bit;
	return fresh;
}

/* A number that is free stands under each type that fits, and is one device all the same. */
static void add_unit(const struct vgpu_seen *seen, const struct vgpu_device *d, struct arena *a,
		     uint64_t *marks, struct uses_unit *units, size_t *n)
{
	if (!mark(marks, (size_t)(d->unit - seen->units->items), d->id.index) && !d->made) {
		return;
	}
	units[(*n)++] = (struct uses_unit){
		.id = vgpu_id_text(d->id, a),
		.place = arena_printf(a, "%s/%" PRId64, books_find(seen->books, d->id.card)->place,
				      d->id.index),
		.resource = d->made ? demand_resource(d->unit, d->type, a) : "",
		.why = d->healthy ? "" : "it is not there yet",
		.methods = "removal",
		.vgpu = true,
	};
}

void demand_units(struct demand *v, struct arena *a, struct uses_unit **ret, size_t *ret_n)
{
	struct vgpu_device_list *all;
	struct vgpu_seen seen;
	const char **types;
	size_t n, most = 0;
	uint64_t *marks;

	*ret = NULL;
	*ret_n = 0;
	if (!demand_see(v, a, &seen)) {
		return;
	}
	vgpu_types(&seen, a, &types, &n);
	if (!n) {
		return;
	}
	all = arena_array(a, struct vgpu_device_list, n);
	for (size_t i = 0; i < n; i++) {
		vgpu_devices(&seen, types[i], a, &all[i]);
		most += all[i].n;
	}
	*ret = arena_array(a, struct uses_unit, most);
	marks = arena_array(a, uint64_t, seen.units->n * SLOT_WORDS);
	for (size_t i = 0; i < n; i++) {
		list_each(d, &all[i]) {
			add_unit(&seen, d, a, marks, *ret, ret_n);
		}
	}
}

int demand_prefer(const struct demand *v, const char *resource, const struct dpapi_wish *wish,
		  struct arena *a, struct dpapi_ids *ret, struct err *err)
{
	struct vgpu_device_list all = {0};
	struct vgpu_seen seen;
	const char **types;
	size_t n = 0;

	if (demand_see(v, a, &seen)) {
		vgpu_types(&seen, a, &types, &n);
	}
	for (size_t i = 0; i < n; i++) {
		vgpu_devices(&seen, types[i], a, &all);
		if (all.n && str_eq(demand_resource(all.items[0].unit, types[i], a), resource)) {
			break;
		}
		all.n = 0;
	}
	return prefer_vgpu(&all, wish, a, ret, err);
}
