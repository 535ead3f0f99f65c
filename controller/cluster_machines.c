/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers that are there. One that only queues for a GPU is not ill: the health check would
 * replace it again and again, and each time it would go to the end of the queue (cozystack.md 5.2).
 */
#include "controller/cluster.h"

#include <stdlib.h>
#include <string.h>

/* Our value of the annotation; any other is somebody else's. */
#define WAITING "vmgpu.io/waiting-for-gpu"

static struct cluster_group *group_of(struct cluster_seen *s, const struct capi_machine *m)
{
	for (size_t i = 0; i < s->n_groups; i++) {
		if (str_eq(s->groups[i].name, m->of.deployment)) {
			return &s->groups[i];
		}
	}
	return NULL;
}

static bool names_one_of(const char *text, const struct kv_gpu_list *devices)
{
	list_each(d, devices) {
		if (!str_empty(d->device_name) && strstr(text, d->device_name)) {
			return true;
		}
	}
	return false;
}

/* The scheduler's words name the resources of which there is too little (kubevirt.md 5). */
static bool waits_for_gpu(const struct kv_vmi *v)
{
	const struct condition *c = v ? condition_find(&v->conditions, "PodScheduled") : NULL;

	return c && str_eq(c->status, "False") && str_eq(c->reason, "Unschedulable") &&
	       c->message &&
	       (names_one_of(c->message, &v->gpus) || names_one_of(c->message, &v->host_devices));
}

static int by_name(const void *a, const void *b)
{
	const struct cluster_machine *x = a, *y = b;

	return strcmp(x->machine->of.obj.name, y->machine->of.obj.name);
}

static bool of_this(const struct cluster_seen *s, const struct capi_machine *m)
{
	return str_eq(m->of.obj.ns, s->ns) && str_eq(m->of.cluster, s->child.name);
}

void cluster_machines_gather(struct cluster_seen *s)
{
	const struct cache *c = s->pass->cache;
	size_t n = 0;

	for (const struct capi_machine *m = NULL; (m = cache_next(c, &kind_capi_machine, m));) {
		n += of_this(s, m);
	}
	s->machines = arena_array(s->pass->arena, struct cluster_machine, n);
	for (const struct capi_machine *m = NULL; (m = cache_next(c, &kind_capi_machine, m));) {
		struct cluster_machine *one = &s->machines[s->n_machines];

		if (!of_this(s, m)) {
			continue;
		}
		one->machine = m;
		one->group = group_of(s, m);
		one->vm = m->machine ? cache_get(c, &kind_kv_vm, s->ns, m->machine) : NULL;
		one->vmi = m->machine ? cache_get(c, &kind_kv_vmi, s->ns, m->machine) : NULL;
		one->waits = waits_for_gpu(one->vmi);
		if (one->group) {
			one->group->waiting += one->waits;
		}
		s->n_machines++;
	}
	if (n) {
		qsort(s->machines, n, sizeof(*s->machines), by_name);
	}
}

static void merge_skip(struct plan *plan, const struct obj *o, const char *value, const char *why)
{
	plan_merge(plan, &kind_capi_machine, o->ns, o->name,
		   json_pack("{s:{s:{s:s?}}}", "metadata", "annotations", CAPI_SKIP_REMEDIATION,
			     value),
		   why);
}

void cluster_machines_plan(const struct cluster_seen *s, struct plan *plan)
{
	for (size_t i = 0; i < s->n_machines; i++) {
		const struct cluster_machine *m = &s->machines[i];
		const struct obj *o = &m->machine->of.obj;

		if (o->deleting) {
			continue;
		}
		if (m->waits && !m->machine->skip) {
			merge_skip(plan, o, WAITING,
				   "it only waits for a GPU: the health check must not replace it");
		} else if (!m->waits && str_eq(m->machine->skip, WAITING)) {
			merge_skip(plan, o, NULL, "it does not wait for a GPU any more");
		}
	}
}

static int64_t count(const struct kv_gpu_list *devices, const char *device)
{
	int64_t n = 0;

	list_each(d, devices) {
		n += str_eq(d->device_name, device);
	}
	return n;
}

int64_t cluster_allocated(const struct cluster_seen *s, const char *device)
{
	int64_t n = 0;

	for (size_t i = 0; i < s->n_machines; i++) {
		const struct kv_vmi *v = s->machines[i].vmi;

		if (v && v->node &&
		    (str_eq(v->phase, "Running") || str_eq(v->phase, "Scheduled"))) {
			n += count(&v->gpus, device) + count(&v->host_devices, device);
		}
	}
	return n;
}
