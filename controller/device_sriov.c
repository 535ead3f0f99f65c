/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SRIOVGPUDevice: one for each card that can have virtual functions. `enabled` is the user's; once,
 * where nobody has said anything yet, it is filled with what the card shows (harvester.md 2.1).
 */
#include <stdlib.h>
#include <string.h>

#include "controller/node_claims.h"
#include "controller/plan_device.h"
#include "controller/pool.h"

struct sriov_seen {
	struct device d; /* unit NULL: no such card is there */
	const struct sriov_gpu *have;
};

static bool is_card(const struct device *d)
{
	return d->function && str_eq(d->function->address, d->unit->address) && d->unit->sriov &&
	       d->unit->sriov->total_vfs > 0;
}

static const void *gather(const struct pass *pass)
{
	struct sriov_seen *s = arena_new(pass->arena, struct sriov_seen);

	device_find(pass, &s->d);
	s->have = cache_get(pass->cache, &kind_sriov_gpu, NULL, pass->key.name);
	if (s->d.unit && !is_card(&s->d)) {
		s->d.unit = NULL;
	}
	return device_served(pass) && s->d.node && !s->d.leaves &&
			       !(s->have && s->have->obj.deleting)
		       ? s
		       : NULL;
}

static tri enabled(const struct sriov_seen *s)
{
	return s->have && s->have->spec ? s->have->spec->enabled : TRI_UNSET;
}

/* --- status ----------------------------------------------------------------------------------- */

struct vf {
	const char *address;
	char rank[8]; /* as text: virtfn10 stands before virtfn2 */
};

static int by_rank(const void *a, const void *b)
{
	return strcmp(((const struct vf *)a)->rank, ((const struct vf *)b)->rank);
}

static void add_vf(struct vf *all, size_t *n, const char *address)
{
	all[*n].address = address;
	snprintf(all[*n].rank, sizeof(all[*n].rank), "%zu", *n);
	++*n;
}

/* The report has them in the order of their numbers, Harvester in that of a folder's listing. */
static void say_vfs(const struct device *d, struct sriov_gpu_status *ret)
{
	struct arena *a = d->pass->arena;
	struct vf *all = arena_array(a, struct vf, d->unit->slots.n + d->node->units.n);
	size_t n = 0;

	list_each(slot, &d->unit->slots) {
		if (slot->vf && device_is_vf(d->unit, slot) &&
		    !(n && str_eq(all[n - 1].address, slot->vf))) {
			add_vf(all, &n, slot->vf);
		}
	}
	list_each(u, &d->node->units) {
		if (str_eq(u->physical_function, d->unit->address)) {
			add_vf(all, &n, u->address);
		}
	}
	if (n) {
		qsort(all, n, sizeof(*all), by_rank);
	}
	ret->vf_addresses.items = arena_array(a, const char *, n);
	ret->vgpu_devices.items = arena_array(a, const char *, n);
	for (size_t i = 0; i < n; i++) {
		ret->vf_addresses.items[ret->vf_addresses.n++] = all[i].address;
		ret->vgpu_devices.items[ret->vgpu_devices.n++] =
			device_name(a, d->node_name, all[i].address);
	}
}

static void say(const struct sriov_seen *s, struct sriov_gpu_status *ret, const char *type,
		const char *reason, const char *message)
{
	device_say(&s->d, &ret->conditions, s->have->status ? &s->have->status->conditions : NULL,
		   s->have->obj.generation, type, reason, message);
}

static void say_what_is_missing(const struct sriov_seen *s, const struct claims *c,
				struct sriov_gpu_status *ret)
{
	struct verdict refused = claims_refused_sriov(c);
	bool wanted = enabled(s) == TRI_TRUE, cut = c->side == CLAIMS_CUT;
	const char *ignored;

	if (s->d.pass->trouble) {
		say(s, ret, "Accepted", "Refused", s->d.pass->trouble);
	} else if (refused.status && (wanted || cut)) {
		say(s, ret, wanted ? "Accepted" : "Ready", refused.reason, refused.message);
	}
	if (wanted && !refused.status && !s->d.unit->sriov->num_vfs) {
		const char *silent = device_silent(&s->d);

		say(s, ret, "Ready", silent ? "NodeSilent" : "NoVirtualFunctions",
		    silent ? silent
			   : arena_printf(
				     s->d.pass->arena,
				     "node %s is told to make the %lld virtual functions of %s",
				     s->d.node_name, (long long)claims_vfs(c, &ignored),
				     s->d.unit->address));
	}
}

static void write_status(const struct sriov_seen *s, struct plan *plan)
{
	struct sriov_gpu_status status = {0};
	struct claims c;

	if (s->d.unit) {
		say_vfs(&s->d, &status);
		claims_of_unit(s->d.pass, s->d.node, s->d.unit, &c);
		say_what_is_missing(s, &c, &status);
	} else {
		say(s, &status, "Ready", "DeviceMissing",
		    arena_printf(s->d.pass->arena,
				 "node %s reports no such GPU any more; this object stays while "
				 "it is enabled",
				 s->d.node_name));
	}
	plan_status_of(plan, &kind_sriov_gpu, &s->have->obj, &sriov_gpu_status_type,
		       s->have->status, &status, "the virtual functions that the node reports");
}

/* --- plan ------------------------------------------------------------------------------------- */

/* Those that a pool has made are the pool's: enabled, this object would have the card. */
static bool shows_enabled(const struct sriov_seen *s)
{
	return s->d.unit->sriov->num_vfs > 0 &&
	       !pool_ordered(claims_standing(s->d.node, s->d.unit->id));
}

static void fill_in(const struct sriov_seen *s, struct plan *plan)
{
	plan_merge(plan, &kind_sriov_gpu, NULL, s->d.name,
		   json_pack("{s:{s:s}, s:{s:b}}", "metadata", "resourceVersion", s->have->obj.rv,
			     "spec", "enabled", shows_enabled(s)),
		   "nobody has said whether it is enabled: it is as the card shows it");
}

static void plan_gone(const struct sriov_seen *s, struct plan *plan)
{
	if (!s->have || !device_reported(s->d.node)) {
		return;
	}
	if (enabled(s) == TRI_TRUE) {
		write_status(s, plan);
		return;
	}
	plan_delete(plan, &kind_sriov_gpu, &s->have->obj,
		    "its node reports no such GPU any more, and it is not enabled");
}

static void plan_sriov(const void *seen, struct plan *plan)
{
	const struct sriov_seen *s = seen;

	if (!s->d.unit) {
		plan_gone(s, plan);
		return;
	}
	plan_apply(plan, &kind_sriov_gpu, OBJ_MANAGER,
		   json_pack("{s:o, s:{s:s, s:s}}", "metadata", device_metadata(&s->d, NULL),
			     "spec", "address", s->d.unit->address, "nodeName", s->d.node_name),
		   "a card that can have virtual functions");
	if (s->have && enabled(s) == TRI_UNSET) {
		fill_in(s, plan);
	}
	if (s->have) {
		write_status(s, plan);
	}
}

const struct reconciler reconcile_sriov_gpu = {
	"sriovgpudevice", &kind_sriov_gpu, device_sriov_watches, gather, plan_sriov, &kind_gpu_node,
};
