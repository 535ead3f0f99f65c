/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which change wakes which VM. What thousands of VMs have in common (nodes, the KubeVirt CR,
 * instance types) wakes only those that it can concern, told by a word in their spec or status.
 */
#include "controller/vm.h"

#include <string.h>

#include "controller/volumes.h"

typedef bool concerns_fn(const struct vm_app *app, const void *what);

static void wake_those(const struct kube_kind *k, const struct cache *c, concerns_fn *concerns,
		       const void *what, wake_fn *wake, void *ctx)
{
	for (const struct vm_app *app = NULL; (app = cache_next(c, k, app));) {
		if (concerns(app, what)) {
			wake(ctx, app->obj.ns, app->obj.name);
		}
	}
}

static bool mentions(const struct vm_app *app, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = app->spec; p && (p = strstr(p, name)); p += n) {
		if (p > app->spec && p[-1] == '"' && p[n] == '"') {
			return true;
		}
	}
	return false;
}

static bool asks_for_gpus(const struct vm_app *app, const void *what)
{
	(void)what;
	return mentions(app, "gpus");
}

static bool attached(const struct vm_app *app)
{
	const struct condition *c =
		app->status ? condition_find(&app->status->conditions, "GPUsAvailable") : NULL;

	return c && str_eq(c->reason, "Attached");
}

/* --- what carries a VM's name ----------------------------------------------------------------- */

static void wake_if_there(const struct kube_kind *k, const struct cache *c, const char *ns,
			  const char *name, wake_fn *wake, void *ctx)
{
	if (cache_get(c, k, ns, name)) {
		wake(ctx, ns, name);
	}
}

/* Children are called R: the name with its prefix, or --naming=plain alone. */
static void by_name(const struct kube_kind *k, const char *prefix, const struct cache *c,
		    const struct obj *o, wake_fn *wake, void *ctx)
{
	if (str_starts(o->name, prefix)) {
		wake_if_there(k, c, o->ns, o->name + strlen(prefix), wake, ctx);
	}
	wake_if_there(k, c, o->ns, o->name, wake, ctx);
}

/* --- GPUs ------------------------------------------------------------------------------------- */

/* A VM that has its GPUs is not concerned by what nodes have. */
static bool looks_for_gpus(const struct vm_app *app, const void *what)
{
	return asks_for_gpus(app, what) && !attached(app);
}

static bool in_list(const struct kv_gpu_list *l, const char *device)
{
	list_each(g, l) {
		if (str_eq(g->device_name, device)) {
			return true;
		}
	}
	return false;
}

static bool looks_for_its_devices(const struct vm_app *app, const void *what)
{
	const struct kv_vmi *v = what;

	if (!app->status || attached(app)) {
		return false;
	}
	list_each(g, &app->status->gpus) {
		if (in_list(&v->gpus, g->device_name) ||
		    in_list(&v->host_devices, g->device_name)) {
			return true;
		}
	}
	return false;
}

static const char *holds_on(const struct obj *o)
{
	return o ? kind_kv_vmi.second_key(o) : NULL;
}

/* A machine that takes or gives back GPUs concerns those that wait for such. */
static void on_vmi(const struct kube_kind *k, const char *prefix, const struct cache *c,
		   const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	const char *before = holds_on(old), *after = holds_on(now);

	by_name(k, prefix, c, now ? now : old, wake, ctx);
	if ((before || after) && !str_eq(before, after)) {
		wake_those(k, c, looks_for_its_devices, now ? now : old, wake, ctx);
	}
}

/* --- disks ------------------------------------------------------------------------------------ */

static bool has_image(const struct vm_app *app, const void *what)
{
	const char *image = what;

	return mentions(app, image) || (str_eq(image, "ubuntu") && !mentions(app, "image"));
}

static void on_volume(const struct kube_kind *k, const char *prefix, const struct cache *c,
		      const struct obj *old, const struct obj *now, wake_fn *wake, void *ctx)
{
	const struct obj *o = now ? now : old;
	const char *image = volumes_golden_image(o->name);

	by_name(k, prefix, c, o, wake, ctx);
	if (str_starts(o->name, "vm-disk-")) {
		for (const struct vm_app *app = NULL; (app = cache_next_keyed(c, k, o->ns, app));) {
			if (mentions(app, o->name + strlen("vm-disk-"))) {
				wake(ctx, app->obj.ns, app->obj.name);
			}
		}
	}
	if (image && !(old && now)) {
		wake_those(k, c, has_image, image, wake, ctx);
	}
}

static bool may_have_system_disk(const struct vm_app *app, const void *what)
{
	return what == &kind_virtual_machine || mentions(app, "systemDisk");
}

/* --- sizes ------------------------------------------------------------------------------------ */

static bool has_type(const struct vm_app *app, const void *what)
{
	return mentions(app, what) ||
	       (str_eq(what, VM_DEFAULT_TYPE) && !mentions(app, "instanceType"));
}

static bool has_profile(const struct vm_app *app, const void *what)
{
	return mentions(app, what) ||
	       (str_eq(what, VM_DEFAULT_PROFILE) && !mentions(app, "instanceProfile"));
}

/* --- the tables: the same for both kinds --------------------------------------------------------
 */

#define MAP(name)                                                                                  \
	static void name(const struct cache *c, const struct obj *old, const struct obj *now,      \
			 wake_fn *wake, void *ctx)
#define WATCHES(which, kind, prefix)                                                               \
	MAP(which##_child)                                                                         \
	{                                                                                          \
		by_name(&kind, prefix, c, now ? now : old, wake, ctx);                             \
	}                                                                                          \
	MAP(which##_machine)                                                                       \
	{                                                                                          \
		on_vmi(&kind, prefix, c, old, now, wake, ctx);                                     \
	}                                                                                          \
	MAP(which##_volume)                                                                        \
	{                                                                                          \
		on_volume(&kind, prefix, c, old, now, wake, ctx);                                  \
	}                                                                                          \
	MAP(which##_node)                                                                          \
	{                                                                                          \
		(void)old, (void)now;                                                              \
		wake_those(&kind, c, looks_for_gpus, NULL, wake, ctx);                             \
	}                                                                                          \
	MAP(which##_cr)                                                                            \
	{                                                                                          \
		(void)old, (void)now;                                                              \
		wake_those(&kind, c, asks_for_gpus, NULL, wake, ctx);                              \
	}                                                                                          \
	MAP(which##_type)                                                                          \
	{                                                                                          \
		wake_those(&kind, c, has_type, (now ? now : old)->name, wake, ctx);                \
	}                                                                                          \
	MAP(which##_profile)                                                                       \
	{                                                                                          \
		wake_those(&kind, c, has_profile, (now ? now : old)->name, wake, ctx);             \
	}                                                                                          \
	MAP(which##_class)                                                                         \
	{                                                                                          \
		if (!old || !now) {                                                                \
			wake_those(&kind, c, may_have_system_disk, &kind, wake, ctx);              \
		}                                                                                  \
	}

#define ROWS(which)                                                                                \
	{&kind_kv_vm, which##_child}, {&kind_kv_vmi, which##_machine},                             \
		{&kind_service, which##_child}, {&kind_pvc, which##_child},                        \
		{&kind_data_volume, which##_volume}, {&kind_gpu_node, which##_node},               \
		{&kind_kv_config, which##_cr}, {&kind_kv_instancetype, which##_type},              \
		{&kind_kv_preference, which##_profile},                                            \
	{                                                                                          \
		&kind_storage_class, which##_class                                                 \
	}

WATCHES(vm, kind_virtual_machine, "virtual-machine-")
WATCHES(instance, kind_vm_instance, "vm-instance-")

const struct plan_watch vm_watches_virtual_machine[] = {ROWS(vm), {0}};
/* Under --naming=plain a VMInstance may wait for the VirtualMachine of its name to go. */
const struct plan_watch vm_watches_instance[] = {
	ROWS(instance), {&kind_virtual_machine, instance_child}, {0}};
