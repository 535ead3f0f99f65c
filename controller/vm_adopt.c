/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM that Cozystack's chart made is taken over as it is: until its owner changes the manifest it
 * keeps its template, so that nothing needs a restart (design.md). The annotation has the
 * generation of the manifest that it was found with.
 */
#include "controller/vm.h"

static json_t *owned(const struct vm_seen *s, const struct kube_kind *k)
{
	json_t *body = child_object(&s->child, s->pass->cache, k, s->child.name);

	json_object_del(json_object_get(body, "metadata"), "labels");
	return body;
}

void vm_adopt(const struct vm_seen *s, struct plan *plan)
{
	json_t *body = owned(s, &kind_kv_vm);
	json_t *generation = json_sprintf("%lld", (long long)s->app->obj.generation);

	json_object_set_new(json_object_get(body, "metadata"), "annotations",
			    json_pack("{s:o}", ADOPTED_ANNOTATION, generation));
	plan_apply(plan, &kind_kv_vm, OBJ_MANAGER, body,
		   "a VM of Cozystack's chart is taken over as it is");
	if (s->service && !s->service->obj.deleting) {
		plan_apply(plan, &kind_service, OBJ_MANAGER, owned(s, &kind_service),
			   "the Service of a VM that is taken over");
	}
}

/* --- what would be written otherwise ---------------------------------------------------------- */

static const char *also(const struct vm_seen *s, const char *list, const char *what,
			const char *have, const char *want)
{
	if (str_eq(have, want)) {
		return list;
	}
	return arena_printf(s->pass->arena, "%s%s%s %s (now %s)", list ? list : "",
			    list ? ", " : "", what, want ? want : "none", have ? have : "none");
}

static const char *devices(const struct vm_seen *s, const struct kv_gpu_list *l, const char *text)
{
	list_each(g, l) {
		text = arena_printf(s->pass->arena, "%s%s%s", text ? text : "", text ? " " : "",
				    g->device_name ? g->device_name : "?");
	}
	return text;
}

static const char *wanted_devices(const struct vm_seen *s)
{
	const char *text = NULL;

	for (size_t i = 0; i < s->devices.n; i++) {
		text = arena_printf(s->pass->arena, "%s%s%s", text ? text : "", text ? " " : "",
				    s->devices.items[i].device);
	}
	return text;
}

const char *vm_adopt_differences(const struct vm_seen *s)
{
	const struct kv_vm *vm = s->vm;
	const char *list = NULL;

	list = also(s, list, "instancetype", vm->instance_type, s->type_name);
	list = also(s, list, "preference", vm->preference, s->profile_name);
	list = also(s, list, "GPUs", devices(s, &vm->host_devices, devices(s, &vm->gpus, NULL)),
		    wanted_devices(s));
	return also(s, list, "evictionStrategy", vm->eviction_strategy,
		    vm_gpus_any(s) ? "None" : NULL);
}
