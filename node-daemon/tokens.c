/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/tokens.h"

#include <string.h>

#include "api/resource.h"

bool tokens_are(const char *resource)
{
	return str_eq(resource, RESOURCE_COMPANION);
}

void tokens_offer(struct offers *to, struct arena *a)
{
	struct plugin_offer tokens = {.resource = RESOURCE_COMPANION}, *lists;

	tokens.devices.items = arena_array(a, struct dpapi_device, to->items.n);
	list_each(o, &to->items) {
		if (o->offered && o->is && unit_companion(o->is)) {
			/* On no NUMA node: which GPU it goes with is not known before. */
			tokens.devices.items[tokens.devices.n++] = (struct dpapi_device){
				arena_printf(a, TOKENS_ID "%s", o->id), true, -1};
		}
	}
	if (!tokens.devices.n) {
		return;
	}
	lists = arena_array(a, struct plugin_offer, to->lists.n + 1);
	if (to->lists.n) {
		memcpy(lists, to->lists.items, to->lists.n * sizeof(*lists));
	}
	lists[to->lists.n++] = tokens;
	to->lists.items = lists;
}
