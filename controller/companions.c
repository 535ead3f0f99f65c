/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/companions.h"

#include "api/resource.h"

static size_t count_in(const struct kv_gpu_list *l, const char *device)
{
	size_t n = 0;

	list_each(d, l) {
		n += str_eq(d->device_name, device);
	}
	return n;
}

static size_t count(const struct devices *all, const char *device)
{
	size_t n = 0;

	list_each(d, all) {
		n += str_eq(d->device, device);
	}
	return n;
}

/* The machine was written with these GPUs before. */
static bool is_same(const struct devices *all, const struct devices_before *before)
{
	size_t had = before->gpus->n + before->host_devices->n -
		     count_in(before->host_devices, RESOURCE_COMPANION);

	list_each(d, all) {
		if (count(all, d->device) !=
		    count_in(before->gpus, d->device) + count_in(before->host_devices, d->device)) {
			return false;
		}
	}
	return had == all->n;
}

static size_t whole(const struct devices *all)
{
	size_t n = 0;

	list_each(d, all) {
		n += !d->vgpu;
	}
	return n;
}

/* One of its GPUs has an audio function. */
static bool any_has(const struct devices *all, const struct gpus *asked)
{
	list_each(d, all) {
		const struct inventory_model *m = inventory_find(asked->inventory, d->device);

		if (!d->vgpu && m && m->n_companions) {
			return true;
		}
	}
	return false;
}

/* The first of its GPUs that a machine might get without an audio function, or NULL. */
static const char *bare(const struct devices *all, const struct gpus *asked)
{
	list_each(d, all) {
		const struct inventory_model *m = inventory_find(asked->inventory, d->device);

		if (!d->vgpu && (!m || m->bare)) {
			return d->device;
		}
	}
	return NULL;
}

static bool of_one_resource(const struct devices *all)
{
	const char *one = NULL;

	list_each(d, all) {
		if (!d->vgpu && one && !str_eq(one, d->device)) {
			return false;
		}
		one = d->vgpu ? one : d->device;
	}
	return true;
}

/* Why none is asked for, or NULL. */
static const char *kept_back(const struct devices *all, const struct gpus *asked)
{
	struct arena *a = asked->pass->arena;
	const char *without = bare(all, asked);
	struct verdict permitted;

	if (asked->options && asked->options->bind_companions) {
		return "the controller runs with --companions=bind";
	}
	if (!asked->cr->gate) {
		return "KubeVirt's feature gate HostDevices is off";
	}
	if (!of_one_resource(all)) {
		return "its GPUs are of several resources, and their nodes could not say whose is "
		       "whose";
	}
	if (without) {
		return arena_printf(a,
				    "not every %s of the nodes has one, and a machine that gets "
				    "fewer than it asks for does not start",
				    without);
	}
	permitted = gpus_companions_permitted(asked);
	return str_eq(permitted.status, "True") || str_eq(permitted.reason, "Registering")
		       ? NULL
		       : permitted.message;
}

void companions_choose(struct devices *all, const struct devices_before *before, struct gpus *asked)
{
	bool same = before && is_same(all, before);
	const char *why = kept_back(all, asked);

	if (!whole(all)) {
		return;
	}
	all->companions = same	? count_in(before->host_devices, RESOURCE_COMPANION)
			  : why ? 0
				: whole(all);
	asked->companions = all->companions;
	asked->host_devices |= asked->companions;
	if (!all->companions && any_has(all, asked)) {
		asked->left_out = arena_printf(
			asked->pass->arena,
			"the audio functions of its GPUs are bound to vfio-pci and not passed on: "
			"%s",
			why ? why
			    : "the VM was made without them, and gets them when its GPUs change or "
			      "it is made anew");
	}
}
