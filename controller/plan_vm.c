/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_vm.h"

#include <string.h>

#include "controller/vm.h"

/* --- gather ---------------------------------------------------------------------------------------------- */

static bool has(const char *const *items, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(items[i], name)) {
			return true;
		}
	}
	return false;
}

/* KubeVirt's components read the KubeVirt CR with a status.phase (kubevirt.md 4); more than one such is nobody's. */
static void see_kubevirt(struct vm_seen *s)
{
	const struct cache *c = s->pass->cache;

	s->kubevirt_served = cache_version(c, &kind_kv_vm) != NULL;
	s->cdi_served = cache_version(c, &kind_data_volume) != NULL;
	for (const struct kv_config *k = NULL; (k = cache_next(c, &kind_kv_config, k));) {
		if (!str_empty(k->phase)) {
			s->kubevirts++;
			s->kubevirt = k;
		}
	}
	if (s->kubevirts != 1) {
		s->kubevirt = NULL;
		return;
	}
	s->gate = has(s->kubevirt->gates.items, s->kubevirt->gates.n, "HostDevices") &&
		  !has(s->kubevirt->disabled_gates.items, s->kubevirt->disabled_gates.n, "HostDevices");
}

/* Explicit resources take the place of the instance type; KubeVirt refuses a VM with both (kubevirt.md 5). */
static void see_size(struct vm_seen *s)
{
	const struct vm_resources *r = s->spec.resources;
	bool explicit_size = r && !str_empty(r->cpu) && !str_empty(r->memory);

	if (!explicit_size) {
		s->type_name = !str_empty(s->spec.instance_type) ? s->spec.instance_type : "u1.medium";
		s->type = cache_get(s->pass->cache, &kind_kv_instancetype, NULL, s->type_name);
	}
	s->profile_name = !str_empty(s->spec.instance_profile) ? s->spec.instance_profile : "ubuntu";
	s->profile_exists = cache_get(s->pass->cache, &kind_kv_preference, NULL, s->profile_name) != NULL;
}

static void see_children(struct vm_seen *s)
{
	const struct cache *c = s->pass->cache;
	const char *ns = s->child.owner->ns;

	s->vm = cache_get(c, &kind_kv_vm, ns, s->child.name);
	s->vmi = cache_get(c, &kind_kv_vmi, ns, s->child.name);
	s->service = cache_get(c, &kind_service, ns, s->child.name);
	s->vm_whose = child_whose(&s->child, s->vm ? &s->vm->obj : NULL, s->vm ? s->vm->managed_by : NULL);
	if (s->vm_whose == CHILD_TAKEN) {
		s->vmi = NULL;
	}
	s->live_strategy = s->vm ? s->vm->run_strategy : NULL;
	if (s->vm && !s->live_strategy && s->vm->running != TRI_UNSET) {
		s->live_strategy = s->vm->running == TRI_TRUE ? "Always" : "Halted";
	}
}

/* runStrategy, else running, else Always. */
static const char *wanted_strategy(const struct vm_spec *spec)
{
	if (!str_empty(spec->run_strategy)) {
		return spec->run_strategy;
	}
	return tri_or(spec->running, true) ? "Always" : "Halted";
}

static const void *gather(const struct pass *pass)
{
	const struct vm_app *app = cache_get(pass->cache, pass->kind, pass->key.ns, pass->key.name);
	struct vm_seen *s;

	/* What an object that is being deleted owns must not come back; owner references take it away. */
	if (!app || app->obj.deleting) {
		return NULL;
	}
	s = arena_new(pass->arena, struct vm_seen);
	s->pass = pass;
	s->options = pass->options;
	s->kind = pass->kind;
	s->app = app;
	s->is_instance = pass->kind == &kind_vm_instance;
	s->child = (struct child_of){
		.kind = pass->kind, .owner = &app->obj, .app = s->is_instance ? "vm-instance" : "virtual-machine",
	};
	s->child.name = child_name(pass->arena, s->child.app, app->obj.name, s->options && s->options->plain_naming);
	if (app->spec && type_read_text(&vm_spec_type, app->spec, pass->arena, &s->spec, NULL) < 0) {
		s->spec = (struct vm_spec){0};
	}
	s->run_strategy = wanted_strategy(&s->spec);
	see_kubevirt(s);
	see_size(s);
	see_children(s);
	if (s->spec.gpus.n) {
		inventory_make(pass, app->obj.ns, s->child.name, &s->inventory);
	}
	vm_gpus_gather(s);
	vm_disks_gather(s);
	vm_check(s);
	return s;
}

/* --- plan ------------------------------------------------------------------------------------------------ */

/* True when the KubeVirt VM may be made now: what it must not be made without is there. */
static bool may_create(const struct vm_seen *s)
{
	if (s->vm || !s->kubevirt_served || vm_disks_wait(s)) {
		return false;
	}
	if (!s->n_gpus) {
		return true;
	}
	/* The gate decides the field, and the field stays: without the CR it cannot be known. */
	return s->kubevirt && !str_eq(vm_gpus_permitted(s).reason, "Registering");
}

/*
 * The power state belongs to whoever spoke last: our user through the manifest, or the VM's user through KubeVirt. We write it when the
 * manifest's wish differs from the one that we carried out last, and then alone, as a field manager of its own (design.md).
 */
static void plan_power(struct vm_seen *s, struct plan *plan)
{
	const char *applied = s->app->status ? s->app->status->applied_run_strategy : NULL;
	json_t *body;

	s->applied_strategy = s->run_strategy;
	if (!s->vm) {
		if (!s->will_create) {
			s->applied_strategy = applied;
		}
		return;
	}
	if (!applied) {
		/* We made it and died before the status: it shows what we wrote. An older VM keeps its state. */
		if (s->vm_whose == CHILD_OURS && s->vm->obj.generation == 1) {
			s->applied_strategy = s->live_strategy;
			applied = s->live_strategy;
		} else {
			return;
		}
	}
	if (str_eq(applied, s->run_strategy)) {
		return;
	}
	s->applied_strategy = s->run_strategy;
	if (s->vm->running != TRI_UNSET) {
		body = json_pack("{s:{s:n, s:s}}", "spec", "running", "runStrategy", s->run_strategy);
		plan_merge(plan, &kind_kv_vm, s->vm->obj.ns, s->vm->obj.name, body, "the manifest asks for another power state");
		return;
	}
	body = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s}}", "apiVersion", "kubevirt.io/v1", "kind", "VirtualMachine", "metadata", "name",
			 s->vm->obj.name, "namespace", s->vm->obj.ns, "spec", "runStrategy", s->run_strategy);
	plan_apply(plan, &kind_kv_vm, "vmgpu-power", body, "the manifest asks for another power state");
}

static void plan_children(struct vm_seen *s, struct plan *plan)
{
	vm_secrets(s, plan);
	plan_apply(plan, &kind_service, "vmgpu", vm_service(s), "the VM's Service");
	if (!s->kubevirt_served) {
		return;
	}
	if (s->will_create) {
		plan_apply(plan, &kind_kv_vm, "vmgpu", vm_body(s), "a KubeVirt VM for it");
	} else if (s->vm_whose == CHILD_OURS) {
		plan_apply(plan, &kind_kv_vm, "vmgpu", vm_body(s), "its KubeVirt VM must say what the manifest says");
	}
}

static void plan_vm(const void *seen, struct plan *plan)
{
	struct vm_seen *s = (struct vm_seen *)seen;

	s->will_create = !s->accepted.reason && may_create(s);
	if (!s->accepted.reason) {
		plan_children(s, plan);
		plan_power(s, plan);
	}
	vm_status(s, plan);
}

/* --- what wakes a VM ------------------------------------------------------------------------------------- */

/* Children wake their owner. */
static void by_owner(const char *kind, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	const struct obj *o = now && now->owner_name ? now : old;

	if (o && o->owner_name && str_eq(o->owner_kind, kind)) {
		wake(ctx, o->ns, o->owner_name);
	}
}

static void wake_vm_owner(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	(void)c;
	by_owner("VirtualMachine", old, now, wake, ctx);
}

static void wake_instance_owner(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	(void)c;
	by_owner("VMInstance", old, now, wake, ctx);
}

/* A VMI is owned by the KubeVirt VM of its name, and that by us: R without its prefix, or plain. */
static void by_child_name(const struct kube_kind *k, const char *prefix, const struct cache *c, const struct obj *o, wake_fn *wake,
			  void *ctx)
{
	const struct kv_vm *vm = cache_get(c, &kind_kv_vm, o->ns, o->name);

	if (vm && vm->obj.owner_name && str_eq(vm->obj.owner_kind, k->kind)) {
		wake(ctx, o->ns, vm->obj.owner_name);
	} else if (str_starts(o->name, prefix) && cache_get(c, k, o->ns, o->name + strlen(prefix))) {
		wake(ctx, o->ns, o->name + strlen(prefix));
	}
}

static void vm_by_child(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	by_child_name(&kind_virtual_machine, "virtual-machine-", c, now ? now : old, wake, ctx);
}

static void instance_by_child(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	by_child_name(&kind_vm_instance, "vm-instance-", c, now ? now : old, wake, ctx);
}

static void wake_all(const struct kube_kind *k, const struct cache *c, wake_fn *wake, void *ctx)
{
	for (const struct obj *o = NULL; (o = cache_next(c, k, o));) {
		wake(ctx, o->ns, o->name);
	}
}

/* GPUNodes, the KubeVirt CR, instance types: few, rarely changed, and of interest to everybody. */
static void all_vms(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	(void)old;
	(void)now;
	wake_all(&kind_virtual_machine, c, wake, ctx);
}

static void all_instances(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	(void)old;
	(void)now;
	wake_all(&kind_vm_instance, c, wake, ctx);
}

/* A disk that appears wakes those of its namespace that wait for it. */
static void same_namespace(const struct kube_kind *k, const struct cache *c, const struct obj *o, wake_fn *wake, void *ctx)
{
	for (const struct vm_app *app = NULL; (app = cache_next(c, k, app));) {
		if (str_eq(app->obj.ns, o->ns) && app->spec && strstr(app->spec, "\"disks\"")) {
			wake(ctx, app->obj.ns, app->obj.name);
		}
	}
}

static void vms_by_disk(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	by_child_name(&kind_virtual_machine, "virtual-machine-", c, now ? now : old, wake, ctx);
	same_namespace(&kind_virtual_machine, c, now ? now : old, wake, ctx);
}

static void instances_by_disk(const struct cache *c, const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	by_child_name(&kind_vm_instance, "vm-instance-", c, now ? now : old, wake, ctx);
	same_namespace(&kind_vm_instance, c, now ? now : old, wake, ctx);
}

static const struct plan_watch vm_watches[] = {
	{&kind_kv_vm, vm_by_child},	       {&kind_kv_vmi, vm_by_child},	{&kind_service, wake_vm_owner},
	{&kind_data_volume, vms_by_disk},      {&kind_gpu_node, all_vms},	{&kind_kv_config, all_vms},
	{&kind_kv_instancetype, all_vms},      {&kind_kv_preference, all_vms},	{0},
};
static const struct plan_watch instance_watches[] = {
	{&kind_kv_vm, instance_by_child},	 {&kind_kv_vmi, instance_by_child},	 {&kind_service, wake_instance_owner},
	{&kind_data_volume, instances_by_disk},	 {&kind_gpu_node, all_instances},	 {&kind_kv_config, all_instances},
	{&kind_kv_instancetype, all_instances},	 {&kind_kv_preference, all_instances},	 {0},
};

const struct reconciler reconcile_virtual_machine = {
	"virtualmachine", &kind_virtual_machine, vm_watches, gather, plan_vm,
};
const struct reconciler reconcile_vm_instance = {
	"vminstance", &kind_vm_instance, instance_watches, gather, plan_vm,
};
