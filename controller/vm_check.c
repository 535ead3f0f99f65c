/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a VM from being written at all (Accepted=False), and what is accepted without effect (Accepted=True NotHandled). */
#include "controller/vm.h"

#include <string.h>

#define MAX_NAME 63 /* a Service's name, and the label values that carry R: RFC 1123 label */

static struct vm_verdict no(const char *reason, const char *message)
{
	return (struct vm_verdict){reason, message};
}

static struct vm_verdict check_names(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	size_t n = strlen(s->child.name);

	if (n > MAX_NAME) {
		return no("NameTooLong", arena_printf(a, "children would be named %s: %zu characters, at most %d; choose a name of at most %zu",
						      s->child.name, n, MAX_NAME,
						      MAX_NAME - (n - strlen(s->child.owner->name))));
	}
	return no(NULL, NULL);
}

/* Under --naming=plain a VirtualMachine and a VMInstance of one name want the same children: the older one keeps them. */
static struct vm_verdict check_clash(const struct vm_seen *s)
{
	const struct kube_kind *other_kind = s->is_instance ? &kind_virtual_machine : &kind_vm_instance;
	const struct vm_app *other = cache_get(s->pass->cache, other_kind, s->child.owner->ns, s->child.owner->name);

	if (!s->options || !s->options->plain_naming || !other || s->vm_whose == CHILD_OURS) {
		return no(NULL, NULL);
	}
	if (s->vm && s->vm_whose == CHILD_TAKEN && !str_eq(s->vm->obj.owner_uid, other->obj.uid)) {
		return no(NULL, NULL);
	}
	if (!s->vm && s->is_instance) {
		/* Nobody has them yet: VirtualMachine goes first, so that both do not wait for each other. */
		return no("NameClash", arena_printf(s->pass->arena, "VirtualMachine %s/%s has the same name and so the same children; rename one of them",
						    s->child.owner->ns, s->child.owner->name));
	}
	if (!s->vm) {
		return no(NULL, NULL);
	}
	return no("NameClash", arena_printf(s->pass->arena, "%s %s/%s has the same name and so the same children; rename one of them",
					    other_kind->kind, s->child.owner->ns, s->child.owner->name));
}

static struct vm_verdict check_taken(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const struct obj *o = NULL;
	const char *kind = NULL;

	if (s->vm_whose == CHILD_TAKEN) {
		o = &s->vm->obj;
		kind = "KubeVirt VirtualMachine";
	} else if (child_whose(&s->child, s->service ? &s->service->obj : NULL, s->service ? s->service->managed_by : NULL) == CHILD_TAKEN) {
		o = &s->service->obj;
		kind = "Service";
	}
	if (!o) {
		return no(NULL, NULL);
	}
	return no("ChildTaken", arena_printf(a, "%s %s/%s exists and %s%s%s: it is left alone; rename this object or remove that one", kind, o->ns,
					     o->name, o->owner_name ? "belongs to " : "is not ours", o->owner_name ? o->owner_kind : "",
					     o->owner_name ? arena_printf(a, " %s", o->owner_name) : ""));
}

static struct vm_verdict check_instance_type(const struct vm_seen *s)
{
	if (!s->n_gpus || !s->type || !(s->type->gpus.n || s->type->host_devices.n)) {
		return no(NULL, NULL);
	}
	return no("InstanceTypeHasGPUs",
		  arena_printf(s->pass->arena, "instance type %s has GPUs of its own, and KubeVirt allows devices in one place only "
			       "(VM field(s) spec.template.spec.domain.devices.gpus conflicts with selected instance type): "
			       "choose another instanceType or remove gpus", s->type_name));
}

static struct vm_verdict check_vgpus(const struct vm_seen *s)
{
	struct arena *a = s->pass->arena;
	const struct vm_gpu *not_q = NULL;
	size_t vgpus = 0, displays = 0;

	for (size_t i = 0; i < s->n_gpus; i++) {
		const struct vm_gpu *g = &s->gpus[i];

		vgpus += g->vgpu;
		if (g->vgpu && inventory_series(g->device) != 'Q' && !not_q) {
			not_q = g;
		}
		if (g->vgpu && g->show && g->show_fb && ++displays > 1) {
			return no("SeveralDisplays", arena_printf(a, "gpus[%u] asks for a second display with ramFB, and a VM has one ramFB: set "
								  "virtualGPUOptions.display.enabled (or ramFB.enabled) to false there", g->index));
		}
	}
	if (vgpus > 1 && not_q) {
		return no("SeveralVGPUs", arena_printf(a, "%s: NVIDIA allows several vGPUs in one VM for Q profiles only", not_q->device));
	}
	return no(NULL, NULL);
}

static struct vm_verdict check_gate(const struct vm_seen *s)
{
	for (size_t i = 0; i < s->n_gpus; i++) {
		if (s->gpus[i].host_device && !s->gate && s->kubevirt) {
			return no("GateOff", "the VM has its GPUs in hostDevices, and KubeVirt's feature gate HostDevices is off: switch it on, "
					     "or stop and delete the KubeVirt VM so that it is made anew with gpus");
		}
	}
	return no(NULL, NULL);
}

static struct vm_verdict check_image(const struct vm_seen *s)
{
	const char *image;

	if (s->vm || vm_disks_image_known(s, &image)) {
		return no(NULL, NULL);
	}
	return no("ImageUnknown", arena_printf(s->pass->arena, "systemDisk.image %s is none of ubuntu, cirros, alpine, fedora, talos, and namespace %s has no "
					       "DataVolume vm-default-images-%s", image, options_images_ns(s->options), image));
}

/* --- without effect -------------------------------------------------------------------------------------- */

static const char *also(const struct vm_seen *s, const char *list, bool is, const char *field)
{
	return is ? arena_printf(s->pass->arena, "%s%s%s", list ? list : "", list ? ", " : "", field) : list;
}

static const char *not_handled(const struct vm_seen *s)
{
	const struct vm_resources *r = s->spec.resources;
	bool whole = tri_or(s->spec.external, false) && str_eq(s->spec.external_method, "WholeIP");
	const char *list = NULL;

	list = also(s, list, whole, "externalMethod: WholeIP (needs cozy-proxy)");
	list = also(s, list, r && !str_empty(r->cpu) && str_empty(r->sockets) && s->type_name, "resources.cpu (no effect without resources.sockets)");
	list = also(s, list, s->spec.networks.n && s->spec.subnets.n, "subnets (networks is set)");
	return list;
}

void vm_check(struct vm_seen *s)
{
	static struct vm_verdict (*const checks[])(const struct vm_seen *) = {
		check_names, check_clash, check_taken, check_instance_type, check_vgpus, check_gate, check_image,
	};

	s->not_handled = not_handled(s);
	for (size_t i = 0; i < ARRAY_LEN(checks) && !s->accepted.reason; i++) {
		s->accepted = checks[i](s);
	}
}
