/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_device.h"

#include <string.h>

#include "api/core.h"
#include "controller/device.h"

/* --- names ------------------------------------------------------------------------------------ */

const char *device_name(struct arena *a, const char *node, const char *address)
{
	char *s = arena_printf(a, "%s-%s", node, address), *to = s + strlen(node) + 1;

	for (const char *p = to; *p; p++) {
		if (*p != ':' && *p != '.') {
			*to++ = *p;
		}
	}
	*to = '\0';
	return s;
}

static bool is_written(const char *digits, const char *address)
{
	for (; *address; address++) {
		if (*address == ':' || *address == '.') {
			continue;
		}
		if (*digits++ != *address) {
			return false;
		}
	}
	return !*digits;
}

/* --- finding ---------------------------------------------------------------------------------- */

bool device_is_gpu(const struct gpu_function *f)
{
	return str_eq(f->role, "gpu");
}

bool device_is_vf(const struct gpu_unit *u, const struct gpu_slot *s)
{
	return !str_eq(s->vf, u->address);
}

static bool find_in(const struct gpu_unit *u, const char *digits, struct device *ret)
{
	list_each(f, &u->functions) {
		if (f->address && is_written(digits, f->address)) {
			ret->unit = u;
			ret->function = f;
			return true;
		}
	}
	list_each(s, &u->slots) {
		if (s->vf && device_is_vf(u, s) && is_written(digits, s->vf)) {
			ret->unit = u;
			ret->slot = s;
			return true;
		}
	}
	return false;
}

bool device_served(const struct pass *pass)
{
	return cache_version(pass->cache, pass->kind) != NULL;
}

/*
 * What is made for a node that has gone is taken away in the same moment, and made again, until its
 * GPUNode has gone too.
 */
static bool leaves(const struct gpu_node *n, const struct obj *host)
{
	return n->obj.deleting || (str_eq(n->obj.owner_kind, "Node") &&
				   !(host && str_eq(host->uid, n->obj.owner_uid)));
}

/* The address has no '-' in a name, whatever the node is called. */
void device_find_named(const struct pass *pass, const char *name, struct device *ret)
{
	const char *dash = strrchr(name, '-'), *digits = dash ? dash + 1 : "";
	const struct cache *c = pass->cache;
	const struct obj *host;

	*ret = (struct device){.pass = pass, .name = name};
	ret->node_name = arena_strndup(pass->arena, name, dash ? (size_t)(dash - name) : 0);
	ret->node = cache_get(c, &kind_gpu_node, NULL, ret->node_name);
	host = cache_get(c, &kind_node, NULL, ret->node_name);
	ret->node_gone = !ret->node && !host;
	ret->leaves = ret->node && leaves(ret->node, host);
	if (!ret->node) {
		return;
	}
	list_each(u, &ret->node->units) {
		if (find_in(u, digits, ret)) {
			return;
		}
	}
}

void device_find(const struct pass *pass, struct device *ret)
{
	device_find_named(pass, pass->key.name, ret);
}

/* A daemon that has only just made its GPUNode has not said anything yet. */
bool device_reported(const struct gpu_node *n)
{
	return n && !n->obj.deleting && condition_find(&n->conditions, "Ready") &&
	       !condition_is(&n->conditions, "Ready", "Unknown");
}

const char *device_silent(const struct device *d)
{
	return d->node && d->node->silent
		       ? arena_printf(
				 d->pass->arena,
				 "vmgpu-node on node %s has been silent since %s, and is told "
				 "when it is heard again: look at its pod there, and at the node",
				 d->node_name, d->node->silent)
		       : NULL;
}

static const char *id_in(const struct gpu_unit *u, const char *type)
{
	list_each(p, &u->profiles) {
		if (str_eq(p->name, type)) {
			return p->id;
		}
	}
	return NULL;
}

/* Where a card does not say it, the first of its model does (crds/vmgpu.io_gpunodes.yaml). */
const char *device_type_id(const struct gpu_node *n, const struct gpu_unit *u, const char *type)
{
	const char *id = id_in(u, type);

	list_each(first, &n->units) {
		if (!id && str_eq(first->vendor_id, u->vendor_id) &&
		    str_eq(first->device_id, u->device_id)) {
			id = id_in(first, type);
		}
	}
	return id;
}

/* --- what is written -------------------------------------------------------------------------- */

/*
 * The Node owns what is on it, as it owns the GPUNode: so a GPUNode that is deleted and comes back
 * costs nobody the choice that his VGPUDevice is.
 */
json_t *device_metadata(const struct device *d, const char *parent)
{
	const struct obj *node = &d->node->obj;
	json_t *m =
		json_pack("{s:s, s:{s:s}}", "name", d->name, "labels", "nodename", d->node_name);

	if (parent) {
		json_object_set_new(json_object_get(m, "labels"), HARVESTER_PARENT_LABEL,
				    json_string(parent));
	}
	if (str_eq(node->owner_kind, "Node")) {
		json_object_set_new(m, "ownerReferences",
				    json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "v1", "kind",
					      "Node", "name", node->owner_name, "uid",
					      node->owner_uid));
	}
	return m;
}

bool device_has_finalizer(const struct finalizer_list *l)
{
	list_each(f, l) {
		if (str_eq(*f, DEVICE_FINALIZER)) {
			return true;
		}
	}
	return false;
}

/* --- what is said ----------------------------------------------------------------------------- */

/* KubeVirt's launcher of virtual machine V is the pod virt-launcher-V-xxxxx. */
static const char *machine_of(struct arena *a, const char *pod)
{
	static const char prefix[] = "virt-launcher-";
	const char *dash = strrchr(pod, '-');

	return str_starts(pod, prefix) && dash > pod + strlen(prefix)
		       ? arena_strndup(a, pod + strlen(prefix),
				       (size_t)(dash - pod) - strlen(prefix))
		       : NULL;
}

const char *device_holder(struct arena *a, const char *ns, const char *pod, const char *vm)
{
	const char *machine = !str_empty(vm) ? vm : pod ? machine_of(a, pod) : NULL;

	return arena_printf(a, "%s %s in namespace %s", machine ? "vm" : "pod",
			    machine ? machine
			    : pod   ? pod
				    : "unknown",
			    str_empty(ns) ? "unknown" : ns);
}

const char *device_slot_holder(struct arena *a, const struct gpu_slot *s)
{
	const char *slash = strchr(s->holder, '/');

	return slash ? device_holder(a, arena_strndup(a, s->holder, (size_t)(slash - s->holder)),
				     slash + 1, NULL)
		     : device_holder(a, NULL, s->holder, NULL);
}

void device_say(const struct device *d, struct condition_list *l, const struct condition_list *old,
		int64_t generation, const char *type, const char *reason, const char *message)
{
	condition_set(l, old, d->pass->arena,
		      &(struct condition){.type = type,
					  .status = "False",
					  .reason = reason,
					  .message = condition_text(d->pass->arena, message),
					  .observed_generation = generation},
		      d->pass->now_ms);
}
