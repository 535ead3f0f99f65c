/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_vm.h"

#include <string.h>

#include "controller/vm.h"
#include "kube/intent.h"

/* --- gather ----------------------------------------------------------------------------------- */

/* cpu and memory together take the place of the instance type; KubeVirt refuses a VM with both
 * (kubevirt.md 5). */
const char *plan_vm_type(const struct vm_spec *spec)
{
	const struct vm_resources *r = spec->resources;

	if (r && !str_empty(r->cpu) && !str_empty(r->memory)) {
		return NULL;
	}
	return !str_empty(spec->instance_type) ? spec->instance_type : VM_DEFAULT_TYPE;
}

const char *plan_vm_profile(const struct vm_spec *spec)
{
	return !str_empty(spec->instance_profile) ? spec->instance_profile : VM_DEFAULT_PROFILE;
}

static void see_size(struct vm_seen *s)
{
	const struct cache *c = s->pass->cache;

	s->type_name = plan_vm_type(&s->spec);
	s->type = s->type_name ? cache_get(c, &kind_kv_instancetype, NULL, s->type_name) : NULL;
	s->profile_name = plan_vm_profile(&s->spec);
	s->profile_exists = cache_get(c, &kind_kv_preference, NULL, s->profile_name) != NULL;
}

/* What is somebody else's is not looked at further. */
static void see_children(struct vm_seen *s)
{
	const struct cache *c = s->pass->cache;
	const char *ns = s->app->obj.ns, *r = s->child.name;
	const struct core_service *service = cache_get(c, &kind_service, ns, r);
	const struct kv_vm *vm = cache_get(c, &kind_kv_vm, ns, r);

	s->vm_whose = child_whose(&s->child, vm ? &vm->obj : NULL, vm ? vm->helms : TRI_UNSET);
	if (s->vm_whose == CHILD_TAKEN) {
		s->taken_vm = &vm->obj;
	} else {
		s->vm = vm;
		s->vmi = cache_get(c, &kind_kv_vmi, ns, r);
	}
	if (child_whose(&s->child, service ? &service->obj : NULL,
			service ? service->helms : TRI_UNSET) == CHILD_TAKEN) {
		s->taken_service = &service->obj;
	} else {
		s->service = service;
	}
}

/* Cozystack's, and the manifest is still that which it was found with. */
static bool is_adopted(const struct vm_seen *s)
{
	int64_t with;

	if (s->vm_whose == CHILD_HELM) {
		return true;
	}
	return s->vm && s->vm->adopted && parse_int(s->vm->adopted, 0, INT64_MAX, &with) == 0 &&
	       with == s->app->obj.generation;
}

/* runStrategy, else running, else Always. */
static void see_power(struct vm_seen *s)
{
	const struct kv_vm *vm = s->vm;

	if (!str_empty(s->spec.run_strategy)) {
		s->wanted = s->spec.run_strategy;
	} else {
		s->wanted = tri_or(s->spec.running, true) ? "Always" : "Halted";
	}
	if (vm) {
		s->live = vm->run_strategy	      ? vm->run_strategy
			  : tri_or(vm->running, true) ? "Always"
						      : "Halted";
	}
	s->applied = s->app->status ? s->app->status->applied_run_strategy : NULL;
	if (s->accepted.status) {
		return; /* too large to be read: what it asks for is not known */
	}
	if (vm && !s->applied) {
		/* We made it and died before the status: it shows what we wrote. An older one keeps
		 * its state. */
		s->applied = s->vm_whose == CHILD_OURS && vm->obj.generation == 1 && !s->adopted
				     ? s->live
				     : s->wanted;
	}
	if (vm && str_eq(s->live, s->wanted)) {
		s->applied = s->wanted;
	}
	s->power = vm && !s->adopted && !vm->obj.deleting && !str_eq(s->applied, s->wanted);
}

static struct vm_seen *see_app(const struct pass *pass, const struct vm_app *app)
{
	struct vm_seen *s = arena_new(pass->arena, struct vm_seen);

	s->pass = pass;
	s->options = pass->options;
	s->kind = pass->kind;
	s->app = app;
	s->is_instance = pass->kind == &kind_vm_instance;
	s->child = (struct child_of){
		.kind = pass->kind,
		.owner = &app->obj,
		.app = s->is_instance ? "vm-instance" : "virtual-machine",
	};
	s->child.name = child_name(pass->arena, s->child.app, app->obj.name,
				   s->options && s->options->plain_naming);
	s->accepted = child_spec_read(pass->arena, &vm_spec_type, app->spec, &s->spec);
	return s;
}

static const void *gather(const struct pass *pass)
{
	const struct vm_app *app = cache_get(pass->cache, pass->kind, pass->key.ns, pass->key.name);
	struct vm_seen *s;

	/* What an object that is being deleted owns must not come back; owner references take it
	 * away. */
	if (!app || app->obj.deleting) {
		return NULL;
	}
	s = see_app(pass, app);
	s->kubevirt_served = cache_version(pass->cache, &kind_kv_vm) != NULL;
	s->cdi_served = cache_version(pass->cache, &kind_data_volume) != NULL;
	cr_find(pass, &s->cr);
	see_size(s);
	see_children(s);
	s->adopted = is_adopted(s);
	see_power(s);
	vm_gpus_gather(s);
	vm_disks_gather(s);
	vm_secrets_gather(s);
	vm_check(s);
	return s;
}

/* --- plan ------------------------------------------------------------------------------------- */

/* The body for a VM that is not there, or does not show it; else NULL. */
static json_t *body_to_apply(struct vm_seen *s)
{
	json_t *body;

	if (s->vm && s->vm->obj.deleting) {
		return NULL;
	}
	body = vm_body(s);
	intent_stamp(&kind_kv_vm, body);
	if (s->vm && intent_shown(s->pass->cache, &kind_kv_vm, &s->vm->obj, body)) {
		json_decref(body);
		return NULL;
	}
	s->differs = s->vm != NULL;
	return body;
}

/* The pass after a refusal sends nothing but the status: what it says of the power is what was
 * applied before, or the change would count as done and never come. */
static void applies_power(struct vm_seen *s)
{
	if (!s->pass->trouble) {
		s->applied = s->wanted;
		s->live = s->vm ? s->wanted : s->live;
	}
}

static void plan_body(struct vm_seen *s, struct plan *plan, json_t *body_new)
{
	if (s->vm) {
		plan_apply_stamped(plan, &kind_kv_vm, body_new,
				   "its KubeVirt VM must say what the manifest says");
		s->updating = true;
	} else {
		plan_apply_stamped(plan, &kind_kv_vm, body_new, "a KubeVirt VM for it");
		applies_power(s);
	}
}

/*
 * The power state belongs to whoever spoke last: our user through the manifest, or the VM's user
 * through KubeVirt. We write it when the manifest's wish differs from the one that we carried out
 * last, and then alone, as a field manager of its own (design.md).
 */
static void plan_power(struct vm_seen *s, struct plan *plan)
{
	const char *why = "the manifest asks for another power state";
	json_t *body;

	if (!s->power || vm_frozen(s)) {
		return;
	}
	if (s->vm->running != TRI_UNSET) {
		/* KubeVirt refuses both fields together, and an apply cannot remove what it never
		 * set. */
		plan_merge(plan, &kind_kv_vm, s->vm->obj.ns, s->vm->obj.name,
			   json_pack("{s:{s:n, s:s}}", "spec", "running", "runStrategy", s->wanted),
			   why);
	} else {
		body = json_pack("{s:{s:s, s:s}, s:{s:s}}", "metadata", "name", s->vm->obj.name,
				 "namespace", s->vm->obj.ns, "spec", "runStrategy", s->wanted);
		plan_apply(plan, &kind_kv_vm, "vmgpu-power", body, why);
	}
	applies_power(s);
}

static void plan_children(struct vm_seen *s, struct plan *plan)
{
	json_t *body = body_to_apply(s);
	bool held = vm_held(s).status != NULL;

	vm_secrets_apply(s, plan);
	vm_service_plan(s, plan);
	if (body && !held) {
		plan_body(s, plan, json_incref(body));
	}
	json_decref(body);
	/* A VM that keeps its template still names them. */
	vm_secrets_delete(s, plan, !(s->vm && held));
	plan_power(s, plan);
	vm_disks_grow(s, plan);
}

static void plan_vm(const void *seen, struct plan *plan)
{
	struct vm_seen *s = (struct vm_seen *)seen;

	if (!s->accepted.status && s->kubevirt_served) {
		if (s->adopted) {
			vm_adopt(s, plan);
		} else {
			plan_children(s, plan);
		}
	}
	vm_status(s, plan);
}

const struct reconciler reconcile_virtual_machine = {
	"virtualmachine", &kind_virtual_machine, vm_watches_virtual_machine, gather, plan_vm,
};
const struct reconciler reconcile_vm_instance = {
	"vminstance", &kind_vm_instance, vm_watches_instance, gather, plan_vm,
};
