/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields that are accepted and not acted on: each is named, none is dropped in silence. And the
 * times of the health check, which are text that may be none.
 */
#include "controller/cluster.h"

#include <string.h>

#include "base/flag.h"
#include "base/listing.h"
#include "base/quantity.h"

static void add(struct listing *l, const char *where, const char *field, const char *why)
{
	listing_add(l, "%s%s%s", where, field, why);
}

bool cluster_says(const char *json)
{
	return json && !str_eq(json, "{}") && !str_eq(json, "[]") && !str_eq(json, "\"\"");
}

/* --- health checks ---------------------------------------------------------------------------- */

struct health_spec {
	const char *max_unhealthy, *startup, *unknown, *not_ready;
};
#define T struct health_spec
static const struct field health_fields[] = {
	FIELD(T, max_unhealthy, "maxUnhealthy", TYPE_SCALAR),
	FIELD(T, startup, "nodeStartupTimeout", TYPE_STR),
	FIELD(T, unknown, "readyUnknownTimeout", TYPE_STR),
	FIELD(T, not_ready, "readyFalseTimeout", TYPE_STR),
	{0},
};
#undef T
static const struct type health_type = {sizeof(struct health_spec), health_fields, NULL};

static struct health_spec read_health(const struct cluster_seen *s)
{
	struct health_spec h;

	if (type_read_text(&health_type, s->spec.node_health_check, s->pass->arena, &h, NULL) < 0) {
		h = (struct health_spec){0};
	}
	return h;
}

static bool is_duration(const char *text)
{
	int64_t ms;

	return flag_duration(text, &ms) == 0;
}

const char *cluster_duration(const char *asked, const char *otherwise)
{
	return !str_empty(asked) && is_duration(asked) ? asked : otherwise;
}

void cluster_health_gather(struct cluster_seen *s)
{
	struct health_spec h = read_health(s);

	s->health = (struct cluster_health){
		.max_unhealthy = !str_empty(h.max_unhealthy) ? h.max_unhealthy : "50%",
		.startup = cluster_duration(h.startup, "20m"),
		.unknown = cluster_duration(h.unknown, "5m"),
		.not_ready = cluster_duration(h.not_ready, "10m"),
	};
}

static void add_duration(struct listing *l, const char *where, const char *field, const char *asked)
{
	if (!str_empty(asked) && !is_duration(asked)) {
		add(l, where, field, " (is no duration as 20m or 1h30m)");
	}
}

static void health(const struct cluster_seen *s, struct listing *l)
{
	struct health_spec h = read_health(s);

	add_duration(l, "nodeHealthCheck.", "nodeStartupTimeout", h.startup);
	add_duration(l, "nodeHealthCheck.", "readyUnknownTimeout", h.unknown);
	add_duration(l, "nodeHealthCheck.", "readyFalseTimeout", h.not_ready);
}

/* --- node groups ------------------------------------------------------------------------------ */

static void size(const struct cluster_group *g, const char *where, struct listing *l)
{
	static const char *const why = " (resources.cpu and memory size a worker together)";
	const struct vm_resources *r = g->spec->resources;

	if (cluster_group_sized(g->spec)) {
		if (!str_empty(g->spec->instance_type)) {
			add(l, where, "instanceType", " (resources size a worker)");
		}
		return;
	}
	if (r && !str_empty(r->cpu)) {
		add(l, where, "resources.cpu", why);
	}
	if (r && !str_empty(r->memory)) {
		add(l, where, "resources.memory", why);
	}
	if (!str_empty(g->spec->pod_cpu_limit)) {
		add(l, where, "podCpuLimit", " (only with resources)");
	}
	if (!str_empty(g->spec->pod_cpu_request)) {
		add(l, where, "podCpuRequest", " (only with resources)");
	}
}

static void group(const struct cluster_seen *s, const struct cluster_group *g, struct listing *l)
{
	const char *where = arena_printf(l->arena, "nodeGroups.%s.", g->key);
	const char *ephemeral = cluster_ephemeral_size(s, g->spec);

	size(g, where, l);
	if (!str_empty(g->spec->disk_size) && ephemeral &&
	    quantity_compare(g->spec->disk_size, ephemeral) != 0) {
		add(l, where, "ephemeralStorage", " (diskSize is set)");
	}
	if (!ephemeral && cluster_says(g->spec->ephemeral_storage)) {
		add(l, where, "ephemeralStorage", " (is neither a quantity nor {size: quantity})");
	}
	if (!str_empty(g->spec->schematic_id)) {
		add(l, where, "schematicID", " (workers are made by kubeadm)");
	}
	if (cluster_says(g->spec->kernel_modules)) {
		add(l, where, "kernelModules", " (workers are made by kubeadm)");
	}
	add_duration(l, where, "nodeStartupTimeout", g->spec->node_startup_timeout);
}

/* --- addons ----------------------------------------------------------------------------------- */

static bool is_operator(const char *key)
{
	return str_eq(key, "gpuOperator") || str_eq(key, "gpu-operator");
}

static void addons(const char *where, const struct addon *items, size_t n, struct listing *l)
{
	for (size_t i = 0; i < n; i++) {
		const struct addon *a = &items[i];

		if (is_operator(a->key)) {
			continue;
		}
		if (a->enabled == TRI_TRUE) {
			add(l, where, a->key, " (install it in the cluster yourself)");
		} else if (cluster_says(a->values_override)) {
			add(l, where, a->key, ".valuesOverride");
		}
	}
}

/* addons and plugins as the manifest has them: some have fields besides those of struct addon. */
struct addons_text {
	const char *addons, *plugins; /* JSON */
};
#define T struct addons_text
static const struct field addons_text_fields[] = {
	FIELD(T, addons, "addons", TYPE_RAW),
	FIELD(T, plugins, "plugins", TYPE_RAW),
	{0},
};
#undef T
static const struct type addons_text_type = {sizeof(struct addons_text), addons_text_fields, NULL};

/* An addon that is named as a whole needs no word of its parts. */
static bool named_whole(const char *key, const json_t *addon)
{
	return !is_operator(key) && json_is_true(json_object_get(addon, "enabled"));
}

static void more_fields(const char *where, const char *text, struct listing *l)
{
	json_t *all = type_raw(text), *addon, *value;
	const char *key, *field;

	if (text && !all) {
		add(l, where, "", CHILD_UNREADABLE);
	}
	json_object_foreach(all, key, addon) {
		if (named_whole(key, addon)) {
			continue;
		}
		json_object_foreach(addon, field, value) {
			if (!str_eq(field, "enabled") && !str_eq(field, "valuesOverride") &&
			    !json_is_null(value)) {
				listing_add(l, "%s.%s.%s", where, key, field);
			}
		}
	}
	json_decref(all);
}

static void addons_more(const struct cluster_seen *s, struct listing *l)
{
	struct addons_text t = {0};

	if (s->app->spec &&
	    type_read_text(&addons_text_type, s->app->spec, s->pass->arena, &t, NULL) == 0) {
		more_fields("addons", t.addons, l);
		more_fields("plugins", t.plugins, l);
	}
}

/* What another spelling says otherwise and more loudly. */
static void other_spellings(const struct cluster_operator *o, struct listing *l)
{
	for (size_t i = 0; i < CLUSTER_OPERATOR_ADDONS; i++) {
		const struct addon *a = o->addons[i].addon;
		const char *path = o->addons[i].path;

		if (a && a->enabled != TRI_UNSET && (a->enabled == TRI_TRUE) != o->wanted) {
			listing_add(l, "%s (%s says otherwise)", path, o->wanted_path);
		}
		if (a && cluster_says(a->values_override) && path != o->values_path) {
			listing_add(l, "%s.valuesOverride (%s has other values)", path,
				    o->values_path);
		}
	}
}

static void gpu_operator(const struct cluster_seen *s, struct listing *l)
{
	const struct cluster_operator *o = &s->gpu_operator;

	if (o->wanted && !o->served) {
		add(l, o->wanted_path, "",
		    " (needs Flux, and nobody serves helm.toolkit.fluxcd.io: install Flux, or the "
		    "gpu-operator in the cluster yourself)");
	}
	if (!o->wanted && o->values) {
		add(l, o->values_path, ".valuesOverride", " (the gpu-operator is not wanted)");
	}
	other_spellings(o, l);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void preset(const struct control_plane_part *p, const char *where, struct listing *l)
{
	if (p && !str_empty(p->resources_preset)) {
		add(l, where, ".resourcesPreset", " (write resources)");
	}
}

static void control_plane(const struct cluster_seen *s, struct listing *l)
{
	const struct control_plane *c = s->spec.control_plane;

	if (!c) {
		return;
	}
	preset(c->api_server, "controlPlane.apiServer", l);
	preset(c->controller_manager, "controlPlane.controllerManager", l);
	preset(c->scheduler, "controlPlane.scheduler", l);
	preset(c->konnectivity ? c->konnectivity->server : NULL, "controlPlane.konnectivity.server",
	       l);
}

static void whole_fields(const struct cluster_seen *s, struct listing *l)
{
	const struct {
		const char *name, *value;
	} fields[] = {
		{"kamajiControlPlane", s->spec.kamaji_control_plane},
		{"talos", s->spec.talos},
		{"oidc", s->spec.oidc},
		{"images", s->spec.images},
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (cluster_says(fields[i].value)) {
			add(l, fields[i].name, "", "");
		}
	}
}

const char *cluster_not_handled(const struct cluster_seen *s)
{
	struct listing l;

	listing_init(&l, s->pass->arena, ", ");
	gpu_operator(s, &l);
	addons("addons.", s->spec.addons.items, s->spec.addons.n, &l);
	addons("plugins.", s->spec.plugins.items, s->spec.plugins.n, &l);
	addons_more(s, &l);
	control_plane(s, &l);
	whole_fields(s, &l);
	add_duration(&l, "", "maxNodeProvisionTime", s->spec.max_node_provision_time);
	health(s, &l);
	for (size_t i = 0; i < s->n_groups; i++) {
		group(s, &s->groups[i], &l);
	}
	return l.text ? listing_end(&l) : NULL;
}
