/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/gpus.h"

#include <string.h>

#include "base/listing.h"

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

static bool mentioned(const struct gpus *g, size_t before, const char *device)
{
	for (size_t i = 0; i < before; i++) {
		if (str_eq(g->asks[i].device, device)) {
			return true;
		}
	}
	return false;
}

/* Each device once, as "<count><between><words>". */
static const char *listing(const struct gpus *g, const char *between, bool human)
{
	struct listing l;

	listing_init(&l, g->pass->arena, ", ");
	for (size_t i = 0; i < g->n; i++) {
		const char *device = g->asks[i].device;

		if (!mentioned(g, i, device)) {
			listing_add(&l, "%lld%s%s", (long long)gpus_count(g, device), between,
				    human ? inventory_human(g->inventory, device) : device);
		}
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
