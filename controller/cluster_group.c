/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node group as it is meant: defaults, the size of a worker, its GPUs, and what the autoscaler
 * must know to make the first of them.
 */
#include "controller/cluster.h"
#include "controller/plan_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/quantity.h"
#include "controller/volumes.h"

#define DEFAULT_GROUP "md0"
#define DEFAULT_MAX 10
#define DEFAULT_SIZE "20Gi"
#define DEFAULT_HARD "7%"
#define MI (1024.0L * 1024.0L)
#define RESERVED_PER_CENT 5
#define MIN_RESERVED_MI 256
#define MAX_RESERVED_MI 1024
#define MIN_RESERVED_CPU_M 50
#define MAX_RESERVED_CPU_M 500

/* --- size of a worker ------------------------------------------------------------------------- */

bool cluster_group_sized(const struct node_group *spec)
{
	const struct vm_resources *r = spec->resources;

	return r && !str_empty(r->cpu) && !str_empty(r->memory);
}

const char *plan_cluster_type(const struct node_group *spec)
{
	if (cluster_group_sized(spec)) {
		return NULL;
	}
	return !str_empty(spec->instance_type) ? spec->instance_type : CLUSTER_DEFAULT_TYPE;
}

static long double quantity(const char *text)
{
	long double v = 0;

	return text && quantity_parse(text, &v) == 0 && v > 0 ? v : 0;
}

/* What no machine has is not reckoned with: 1e30 is more than an int64_t. */
static long double amount(const char *text, long double most)
{
	long double v = quantity(text);

	return MIN(v, most);
}

/* Part of a core is a whole one. */
static int64_t whole(long double v)
{
	int64_t n = (int64_t)v;

	return v > (long double)n ? n + 1 : n;
}

static void see_size(const struct cluster_seen *s, struct cluster_group *g)
{
	const struct node_group *spec = g->spec;

	if (cluster_group_sized(spec)) {
		g->cores = MAX(whole(amount(spec->resources->cpu, CLUSTER_MAX_CORES)), (int64_t)1);
		g->cpu = (long double)g->cores;
		g->memory = amount(spec->resources->memory, CLUSTER_MAX_MEMORY);
		return;
	}
	g->type_name = plan_cluster_type(spec);
	g->type = cache_get(s->pass->cache, &kind_kv_instancetype, NULL, g->type_name);
	if (g->type) {
		g->cpu = amount(g->type->cpu, CLUSTER_MAX_CORES);
		g->memory = amount(g->type->memory, CLUSTER_MAX_MEMORY);
	}
}

const char *cluster_ephemeral_size(const struct cluster_seen *s, const struct node_group *spec)
{
	json_t *v = type_raw(spec->ephemeral_storage);
	json_t *size = json_is_object(v) ? json_object_get(v, "size") : v;
	struct arena *a = s->pass->arena;
	const char *text = NULL;

	if (type_text(size)) {
		text = arena_strdup(a, type_text(size));
	} else if (json_is_integer(size)) {
		text = arena_printf(a, "%lld", (long long)json_integer_value(size));
	}
	json_decref(v);
	return str_empty(text) ? NULL : text;
}

/*
 * A class that nobody names stays what it was: replicated may come to the cluster later, and
 * another template would replace all workers.
 */
static const char *disk_class(const struct cluster_seen *s, const struct cluster_group *g)
{
	const char *asked =
		!str_empty(g->spec->storage_class) ? g->spec->storage_class : s->spec.storage_class;

	if (str_empty(asked) && g->current && g->current->disks.n) {
		return g->current->disks.items[0].storage_class;
	}
	return volumes_class(s->pass->cache, asked);
}

static void see_disk(const struct cluster_seen *s, struct cluster_group *g)
{
	const char *ephemeral = cluster_ephemeral_size(s, g->spec);

	g->disk_size = !str_empty(g->spec->disk_size) ? g->spec->disk_size
		       : ephemeral		      ? ephemeral
						      : DEFAULT_SIZE;
	g->disk_class = disk_class(s, g);
}

/* --- what is kept, what is left --------------------------------------------------------------- */

static int64_t clamp(int64_t v, int64_t min, int64_t max)
{
	return MIN(MAX(v, min), max);
}

const char *cluster_reserved_memory(const struct cluster_seen *s, const struct cluster_group *g,
				    const char *asked)
{
	int64_t mi = (int64_t)(g->memory * RESERVED_PER_CENT / 100 / MI);

	return !str_empty(asked)
		       ? asked
		       : arena_printf(s->pass->arena, "%lldMi",
				      (long long)clamp(mi, MIN_RESERVED_MI, MAX_RESERVED_MI));
}

const char *cluster_reserved_cpu(const struct cluster_seen *s, const struct cluster_group *g,
				 const char *asked)
{
	int64_t m = (int64_t)(g->cpu * 1000 * RESERVED_PER_CENT / 100);

	return !str_empty(asked)
		       ? asked
		       : arena_printf(s->pass->arena, "%lldm",
				      (long long)clamp(m, MIN_RESERVED_CPU_M, MAX_RESERVED_CPU_M));
}

const char *cluster_eviction(const char *asked, const char *otherwise)
{
	return !str_empty(asked) ? asked : otherwise;
}

/* A quantity, or per cent of the whole. */
static long double part_of(long double whole_, const char *text)
{
	char *end;
	long double v = strtold(text, &end);

	return str_eq(end, "%") ? whole_ * v / 100 : quantity(text);
}

bool cluster_capacity(const struct cluster_seen *s, const struct cluster_group *g,
		      struct cluster_amounts *ret)
{
	static const struct kubelet_reserve none;
	const struct kubelet_reserve *k = g->spec->kubelet ? g->spec->kubelet : &none;
	long double memory = g->memory, cpu = g->cpu;

	if (memory <= 0 || cpu <= 0) {
		return false;
	}
	memory -= quantity(cluster_reserved_memory(s, g, k->system_reserved_memory));
	memory -= quantity(cluster_reserved_memory(s, g, k->kube_reserved_memory));
	memory -= part_of(g->memory, cluster_eviction(k->eviction_hard_memory, DEFAULT_HARD));
	cpu -= quantity(cluster_reserved_cpu(s, g, k->system_reserved_cpu));
	cpu -= quantity(cluster_reserved_cpu(s, g, k->kube_reserved_cpu));
	memory = MIN(memory, g->memory); /* per cent may be below 0 */
	*ret = (struct cluster_amounts){
		.memory_mi = memory > 0 ? (int64_t)(memory / MI) : 0,
		.cpu_m = cpu > 0 ? (int64_t)(cpu * 1000 + 0.5L) : 0,
	};
	return true;
}

/* --- GPUs ------------------------------------------------------------------------------------- */

const char *cluster_gpu_resource(const struct cluster_group *g)
{
	static const char *const resources[] = {"nvidia.com/gpu", "amd.com/gpu"};

	for (size_t i = 0; g->devices.n && i < ARRAY_LEN(resources); i++) {
		size_t vendor = strcspn(resources[i], "/") + 1;

		if (strncmp(g->devices.items[0].device, resources[i], vendor) == 0) {
			return resources[i];
		}
	}
	return NULL;
}

static void see_gpus(struct cluster_seen *s, struct cluster_group *g)
{
	struct devices_before before;

	if (g->current) {
		before = (struct devices_before){&g->current->gpus, &g->current->host_devices};
	}
	g->asked = s->total;
	g->asked.asks = NULL;
	g->asked.n = 0;
	g->asked.host_devices = false;
	g->devices = devices_make(&g->spec->gpus, g->current ? &before : NULL, &g->asked);
}

static void see_total(struct cluster_seen *s)
{
	struct gpus_group *groups = arena_array(s->pass->arena, struct gpus_group, s->n_groups);

	for (size_t i = 0; i < s->n_groups; i++) {
		groups[i] = (struct gpus_group){&s->groups[i].asked, s->groups[i].desired};
	}
	gpus_sum(&s->total, groups, s->n_groups);
}

/* --- the group -------------------------------------------------------------------------------- */

/* Workers of another template or version are there, or on their way. */
static bool has_old_workers(const struct cluster_seen *s, const struct cluster_group *g)
{
	const struct cache *c = s->pass->cache;

	for (const struct capi_machine_set *m = NULL;
	     (m = cache_next(c, &kind_capi_machine_set, m));) {
		if (str_eq(m->of.obj.ns, s->ns) && str_eq(m->of.deployment, g->name) &&
		    (m->wanted > 0 || m->replicas > 0) &&
		    !(str_eq(m->template_name, g->template_name) &&
		      str_eq(m->version, s->version))) {
			return true;
		}
	}
	return false;
}

/*
 * The counts in status are of an older spec until Cluster API has seen the new one. Then those of a
 * v1beta2 come from the MachineSets, whose own are of the older spec a moment longer, so we look at
 * these too. A status that names no generation says nothing of it: its counts decide, and where
 * nobody has counted there is no worker that could be old.
 */
static bool is_behind(const struct cluster_seen *s, const struct cluster_group *g)
{
	const struct capi_machine_deployment *d = g->deployment;

	return d && ((d->observed_generation && d->observed_generation < d->of.obj.generation) ||
		     has_old_workers(s, g));
}

static void see_deployment(const struct cluster_seen *s, struct cluster_group *g)
{
	const struct capi_machine_deployment *d =
		cache_get(s->pass->cache, &kind_capi_machine_deployment, s->ns, g->name);

	g->desired = g->min;
	if (!d || !cluster_owns(s, &d->of.obj)) {
		return;
	}
	g->deployment = d;
	g->desired = opt_int_or(d->wanted, opt_int_or(d->replicas, g->min));
	if (d->wanted.set) {
		g->desired = clamp(g->desired, g->min, g->max);
		g->scales = g->desired != opt_int_or(d->wanted, 0) && !d->of.obj.deleting;
	}
	g->ready = d->ready;
	if (d->template_name) {
		g->current = cache_get(s->pass->cache, &kind_capi_machine_template, s->ns,
				       d->template_name);
	}
}

static void see_group(struct cluster_seen *s, struct cluster_group *g,
		      const struct node_group *spec)
{
	g->spec = spec;
	g->key = spec->key;
	g->name = arena_printf(s->pass->arena, "%s-%s", s->child.name, spec->key);
	g->min = opt_int_or(spec->min_replicas, 0);
	g->max = opt_int_or(spec->max_replicas, MAX((int64_t)DEFAULT_MAX, g->min));
	see_deployment(s, g);
	see_size(s, g);
	see_disk(s, g);
	see_gpus(s, g);
	g->labels = cluster_labels(s, g);
	g->template_name = cluster_template_name(s, g);
	g->rolls = g->deployment && (!str_eq(g->deployment->template_name, g->template_name) ||
				     !str_eq(g->deployment->version, s->version));
	g->behind = is_behind(s, g);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct node_group *const *)a)->key,
		      (*(const struct node_group *const *)b)->key);
}

void cluster_groups_gather(struct cluster_seen *s)
{
	static const struct node_group alone = {.key = DEFAULT_GROUP};
	struct arena *a = s->pass->arena;
	size_t n = s->spec.node_groups.n;
	const struct node_group **specs = arena_array(a, const struct node_group *, n + 1);

	for (size_t i = 0; i < n; i++) {
		specs[i] = &s->spec.node_groups.items[i];
	}
	qsort(specs, n, sizeof(*specs), by_name);
	if (!n) {
		specs[n++] = &alone;
	}
	s->groups = arena_array(a, struct cluster_group, n);
	for (s->n_groups = 0; s->n_groups < n; s->n_groups++) {
		see_group(s, &s->groups[s->n_groups], specs[s->n_groups]);
	}
	see_total(s);
}
