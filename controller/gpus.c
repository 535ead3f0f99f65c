/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/gpus.h"

#include <string.h>

#include "base/listing.h"
#include "base/map.h"

#define MAX_STATUS 64 /* entries of status.gpus: the CRD refuses a status with more */

struct gpus_ask *gpus_ask(struct gpus *g, const char *asked, const char *device)
{
	for (size_t i = 0; i < g->n; i++) {
		if (str_eq(g->asks[i].asked, asked) && str_eq(g->asks[i].device, device)) {
			return &g->asks[i];
		}
	}
	if (!(g->n & (g->n - 1))) {
		struct gpus_ask *more =
			arena_array(g->pass->arena, struct gpus_ask, g->n ? 2 * g->n : 1);

		if (g->n) {
			memcpy(more, g->asks, g->n * sizeof(*more));
		}
		g->asks = more;
	}
	g->asks[g->n] = (struct gpus_ask){.asked = asked, .device = device};
	return &g->asks[g->n++];
}

/* --- many groups ------------------------------------------------------------------------------ */

/* The asks of one spelling: as many as it means devices, of which there are few. */
struct spelled {
	struct gpus_ask *ask;
	struct spelled *next;
};

static struct gpus_ask *summed(struct gpus *total, struct map *spellings, const struct gpus_ask *a)
{
	struct spelled *first = map_get(spellings, a->asked), *one = first;

	while (one && !str_eq(one->ask->device, a->device)) {
		one = one->next;
	}
	if (!one) {
		one = arena_new(total->pass->arena, struct spelled);
		one->ask = &total->asks[total->n++];
		one->ask->asked = a->asked;
		one->ask->device = a->device;
		one->next = first;
		map_put(spellings, a->asked, one);
	}
	return one->ask;
}

void gpus_sum(struct gpus *total, const struct gpus_group *groups, size_t n)
{
	attr_cleanup(map_finish) struct map spellings;
	size_t most = 0;

	map_init(&spellings);
	for (size_t i = 0; i < n; i++) {
		most += groups[i].asked->n;
		total->host_devices |= groups[i].asked->host_devices;
	}
	total->asks = most ? arena_array(total->pass->arena, struct gpus_ask, most) : NULL;
	for (size_t i = 0; i < n; i++) {
		const struct gpus *g = groups[i].asked;

		for (size_t k = 0; k < g->n; k++) {
			summed(total, &spellings, &g->asks[k])->count +=
				g->asks[k].count * groups[i].times;
		}
	}
}

/* --- what is said ----------------------------------------------------------------------------- */

int64_t gpus_count(const struct gpus *g, const char *device)
{
	int64_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		n += str_eq(g->asks[i].device, device) ? g->asks[i].count : 0;
	}
	return n;
}

struct gpu_status_list gpus_status(const struct gpus *g)
{
	size_t n = MIN(g->n, (size_t)MAX_STATUS);
	struct gpu_status_list l = {.items = arena_array(g->pass->arena, struct gpu_status, n)};

	for (size_t i = 0; i < n; i++) {
		const struct gpus_ask *a = &g->asks[i];

		l.items[l.n++] = (struct gpu_status){
			.name = a->asked,
			.device_name = a->device,
			.count = a->count,
			.permitted = gpus_listed(g, a->device),
		};
	}
	return l;
}

struct gpus_device_list gpus_devices(const struct gpus *g)
{
	attr_cleanup(map_finish) struct map known;
	struct gpus_device_list l = {0};

	map_init(&known);
	l.items = g->n ? arena_array(g->pass->arena, struct gpus_device, g->n) : NULL;
	for (size_t i = 0; i < g->n; i++) {
		const struct gpus_ask *a = &g->asks[i];
		struct gpus_device *d = map_get(&known, a->device);

		if (!d) {
			d = &l.items[l.n++];
			d->device = a->device;
			map_put(&known, a->device, d);
		}
		d->count += a->count;
	}
	return l;
}

/* Each device once, as "<count><between><words>". */
static const char *listing(const struct gpus *g, const char *between, bool human)
{
	struct gpus_device_list devices = gpus_devices(g);
	struct listing l;

	listing_init(&l, g->pass->arena, ", ");
	list_each(d, &devices) {
		listing_add(&l, "%lld%s%s", (long long)d->count, between,
			    human ? inventory_human(g->inventory, d->device) : d->device);
	}
	return g->n ? listing_end(&l) : NULL;
}

const char *gpus_summary(const struct gpus *g)
{
	return listing(g, "x ", true);
}

const char *gpus_wish(const struct gpus *g)
{
	return listing(g, " x ", false);
}
