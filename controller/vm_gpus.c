/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's GPUs: what the KubeVirt VM was written with before binds us, and has its machine all of
 * them? */
#include "api/resource.h"
#include "controller/companions.h"
#include "controller/vm.h"

void vm_gpus_gather(struct vm_seen *s)
{
	bool made = s->vm_whose == CHILD_OURS || s->vm_whose == CHILD_HELM;
	struct devices_before before;

	s->asked = (struct gpus){
		.pass = s->pass,
		.options = s->options,
		.inventory = &s->inventory,
		.cr = &s->cr,
		.ns = s->app->obj.ns,
		.machine = s->child.name,
	};
	if (!s->spec.gpus.n) {
		return;
	}
	inventory_make(s->pass, s->app->obj.ns, s->child.name, &s->inventory);
	if (s->cr.config) {
		cr_permitted_read(s->cr.config, s->pass->arena, &s->asked.permitted);
	}
	if (made) {
		before = (struct devices_before){&s->vm->gpus, &s->vm->host_devices};
	}
	s->devices = devices_make(&s->spec.gpus, made ? &before : NULL, &s->asked);
	companions_choose(&s->devices, made ? &before : NULL, &s->asked);
}

bool vm_gpus_any(const struct vm_seen *s)
{
	return s->devices.n || (s->type && (s->type->gpus.n || s->type->host_devices.n));
}

static int64_t count_in(const struct kv_gpu_list *l, const char *device)
{
	int64_t n = 0;

	list_each(g, l) {
		n += str_eq(g->device_name, device);
	}
	return n;
}

int64_t vm_gpus_in_machine(const struct vm_seen *s, const char *device)
{
	const struct kv_vmi *v = s->vmi;

	if (!v || !(str_eq(v->phase, "Running") || str_eq(v->phase, "Scheduled"))) {
		return 0;
	}
	return count_in(&v->gpus, device) + count_in(&v->host_devices, device);
}

bool vm_gpus_attached(const struct vm_seen *s)
{
	const struct kv_vmi *v = s->vmi;

	if (!s->devices.n || !v || !v->node ||
	    v->gpus.n + v->host_devices.n !=
		    s->devices.n + (size_t)count_in(&v->host_devices, RESOURCE_COMPANION)) {
		return false;
	}
	for (size_t i = 0; i < s->asked.n; i++) {
		const char *device = s->asked.asks[i].device;

		if (vm_gpus_in_machine(s, device) != gpus_count(&s->asked, device)) {
			return false;
		}
	}
	return true;
}
