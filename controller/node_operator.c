/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/node_operator.h"

#include "api/core.h"
#include "api/vmgpu.h"

/* assets/state-*device-plugin of the gpu-operator. */
static const struct {
	const char *set, *label;
} plugins[] = {
	{"nvidia-device-plugin-daemonset", "nvidia.com/gpu.deploy.device-plugin"},
	{"nvidia-sandbox-device-plugin-daemonset", "nvidia.com/gpu.deploy.sandbox-device-plugin"},
	{"nvidia-kata-sandbox-device-plugin-daemonset",
	 "nvidia.com/gpu.deploy.kata-sandbox-device-plugin"},
};

static const char *label_of(const struct core_node *host, const char *key)
{
	for (size_t i = 0; host && i < host->labels.n; i++) {
		if (str_eq(host->labels.items[i].key, key)) {
			return host->labels.items[i].value;
		}
	}
	return NULL;
}

/* "paused-for-..." while it changes something on the node. */
static bool is_deployed(const char *value)
{
	return str_eq(value, "true") || (value && str_starts(value, "paused-for-"));
}

static bool is_there(const struct cache *c, const char *set)
{
	for (const struct obj *o = NULL; (o = cache_next(c, &kind_daemon_set, o));) {
		if (str_eq(o->name, set) && !o->deleting) {
			return true;
		}
	}
	return false;
}

bool node_operator_is_its(const struct gpu_unit *u)
{
	return str_eq(u->vendor_id, "10de");
}

const char *node_operator_has(const struct cache *c, const struct gpu_node *n)
{
	const struct core_node *host = cache_get(c, &kind_node, NULL, n->obj.name);
	bool any = false;

	list_each(u, &n->units) {
		any |= node_operator_is_its(u);
	}
	for (size_t i = 0; any && i < ARRAY_LEN(plugins); i++) {
		if (is_deployed(label_of(host, plugins[i].label)) && is_there(c, plugins[i].set)) {
			return plugins[i].set;
		}
	}
	return NULL;
}

/* --- what changes it -------------------------------------------------------------------------- */

void node_operator_by_node(attr_unused const struct cache *c, const struct obj *old,
			   const struct obj *now, wake_fn *wake, void *ctx)
{
	for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
		const char *label = plugins[i].label;

		if (is_deployed(label_of((const struct core_node *)old, label)) !=
		    is_deployed(label_of((const struct core_node *)now, label))) {
			wake(ctx, NULL, now ? now->name : old->name);
			return;
		}
	}
}

void node_operator_by_set(const struct cache *c, const struct obj *old, const struct obj *now,
			  wake_fn *wake, void *ctx)
{
	if (old && now && !old->deleting == !now->deleting) {
		return;
	}
	for (const struct obj *n = NULL; (n = cache_next(c, &kind_gpu_node, n));) {
		wake(ctx, NULL, n->name);
	}
}
