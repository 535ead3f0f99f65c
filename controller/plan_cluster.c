/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/plan_cluster.h"

#include <string.h>

#include "controller/cluster.h"

/* --- what the files share --------------------------------------------------------------------- */

/*
 * Cluster API makes the Cluster the controlling owner of what it refers to, and fails where there
 * is one already; so our reference does not control.
 */
json_t *cluster_object(const struct cluster_seen *s, const struct kube_kind *k, const char *name)
{
	json_t *body = child_object(&s->child, s->pass->cache, k, name);
	json_t *metadata = json_object_get(body, "metadata");
	json_t *owner = json_array_get(json_object_get(metadata, "ownerReferences"), 0);

	json_object_del(owner, "controller");
	json_object_del(owner, "blockOwnerDeletion");
	json_object_set_new(json_object_get(metadata, "labels"), CAPI_CLUSTER_LABEL,
			    json_string(s->child.name));
	return body;
}

bool cluster_owns(const struct cluster_seen *s, const struct obj *o)
{
	if (str_eq(o->owner_uid, s->app->obj.uid)) {
		return true;
	}
	return o->owner_uid && s->cluster_ours && str_eq(o->owner_uid, s->cluster->of.obj.uid);
}

bool cluster_serves(const struct cluster_seen *s, const struct kube_kind *k, const char *version)
{
	return str_eq(cache_version(s->pass->cache, k), version);
}

json_t *cluster_reference(const struct cluster_seen *s, const struct kube_kind *from,
			  const struct kube_kind *to, const char *name)
{
	auto_buf struct buf version = {.max = KiB};

	if (!cluster_serves(s, from, "v1beta1")) {
		return json_pack("{s:s, s:s, s:s}", "apiGroup", to->group, "kind", to->kind, "name",
				 name);
	}
	kind_api_version(to, cache_version(s->pass->cache, to), &version);
	return json_pack("{s:s, s:s, s:s, s:s}", "apiVersion", buf_text(&version), "kind", to->kind,
			 "namespace", s->ns, "name", name);
}

json_t *cluster_int_or_string(const char *text)
{
	int64_t n;

	return parse_int(text, INT32_MIN, INT32_MAX, &n) == 0 ? json_integer(n) : json_string(text);
}

bool cluster_writes(const struct cluster_seen *s)
{
	return !s->accepted.status && !s->missing.status && !s->pass->trouble;
}

/* --- gather ----------------------------------------------------------------------------------- */

/* The newest patch release of each minor version that is supported (cozystack.md 1). */
static const char *const releases[] = {"v1.31.14", "v1.32.13", "v1.33.13", "v1.34.9", "v1.35.6"};

#define MAX_VERSION 32 /* crds: spec.version */
#define MAX_GROUPS 64  /* crds: spec.nodeGroups */

static const char *minor_of(struct arena *a, const char *release)
{
	const char *dot = strchr(release, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;

	return second ? arena_strndup(a, release, (size_t)(second - release)) : release;
}

/* As the manifest has it. One beyond what the CRD allows now is unknown: it is copied into each
 * worker's image, and must not fill the pass. */
static const char *asked_version(const struct cluster_seen *s)
{
	const char *asked = s->spec.version;
	size_t n = asked ? strlen(asked) : 0;

	return n <= MAX_VERSION ? asked
				: arena_printf(s->pass->arena, "of %zu characters (%d at most)", n,
					       MAX_VERSION);
}

static void see_version(struct cluster_seen *s)
{
	const char *asked = asked_version(s);
	struct arena *a = s->pass->arena;

	s->spec.version = asked;
	s->known_versions = "";
	s->minor = !str_empty(asked) ? minor_of(a, asked)
				     : minor_of(a, releases[ARRAY_LEN(releases) - 1]);
	for (size_t i = 0; i < ARRAY_LEN(releases); i++) {
		const char *minor = minor_of(a, releases[i]);

		s->version = str_eq(minor, s->minor) ? releases[i] : s->version;
		s->known_versions =
			arena_printf(a, "%s%s%s", s->known_versions, i ? ", " : "", minor);
	}
	if (!str_empty(asked) && !str_eq(asked, s->minor)) {
		s->version = asked; /* with its patch release: taken as it is */
	}
}

/* Without these nothing can be written; the first that is not served is said. */
static void see_neighbours(struct cluster_seen *s)
{
	static const struct {
		const struct kube_kind *kind;
		const char *reason, *what;
	} needs[] = {
		{&kind_kv_vm, "KubeVirtMissing", "KubeVirt"},
		{&kind_capi_cluster, "ClusterAPIMissing", "Cluster API"},
		{&kind_capi_machine_deployment, "ClusterAPIMissing",
		 "MachineDeployment of Cluster API"},
		{&kind_capi_machine_health_check, "ClusterAPIMissing",
		 "MachineHealthCheck of Cluster API"},
		{&kind_capi_bootstrap, "ClusterAPIMissing",
		 "Cluster API's kubeadm bootstrap provider"},
		{&kind_capi_machine_template, "ClusterAPIMissing",
		 "Cluster API's KubeVirt infrastructure provider"},
		{&kind_capi_kubevirt_cluster, "ClusterAPIMissing",
		 "KubevirtCluster of Cluster API's KubeVirt infrastructure provider"},
		{&kind_capi_control_plane, "KamajiMissing",
		 "Kamaji's control plane provider of Cluster API"},
	};
	const struct cache *c = s->pass->cache;

	s->cdi_served = cache_version(c, &kind_data_volume) != NULL;
	for (size_t i = 0; i < ARRAY_LEN(needs) && !s->missing.status; i++) {
		if (!cache_version(c, needs[i].kind)) {
			s->missing =
				verdict_no(needs[i].reason,
					   arena_printf(s->pass->arena,
							"%s is not installed: nobody serves %s; an "
							"administrator must install it",
							needs[i].what, needs[i].kind->group));
		}
	}
	if (!s->missing.status && (!s->options || str_empty(s->options->worker_image))) {
		s->missing =
			verdict_no("WorkerImageMissing",
				   "vmgpu-controller has no image for workers: an administrator "
				   "must give it --worker-image, a container disk with kubeadm");
	}
}

/* Whose GPUs, permitted by which CR: the frame for all asks. */
static void see_gpus(struct cluster_seen *s)
{
	cr_find(s->pass, &s->cr);
	s->total = (struct gpus){
		.pass = s->pass,
		.options = s->options,
		.inventory = &s->inventory,
		.cr = &s->cr,
		.ns = s->ns,
	};
	if (!s->app->spec || !strstr(s->app->spec, "\"gpus\"")) {
		return;
	}
	inventory_make(s->pass, NULL, NULL, &s->inventory);
	if (s->cr.config) {
		cr_permitted_read(s->cr.config, s->pass->arena, &s->total.permitted);
	}
}

static void see_cluster(struct cluster_seen *s)
{
	const struct cache *c = s->pass->cache;

	s->space = cache_get(c, &kind_namespace, NULL, s->ns);
	s->cluster = cache_get(c, &kind_capi_cluster, s->ns, s->child.name);
	s->cluster_ours = s->cluster && str_eq(s->cluster->of.obj.owner_uid, s->app->obj.uid);
}

/* The CRD's limit does not bind objects that are older than it; each group takes some of a pass. */
static void see_spec(struct cluster_seen *s)
{
	struct arena *a = s->pass->arena;
	size_t n;

	s->accepted = child_spec_read(a, &cluster_spec_type, s->app->spec, &s->spec);
	n = s->spec.node_groups.n;
	if (n > MAX_GROUPS) {
		s->spec = (struct cluster_spec){0};
		s->accepted = verdict_no(
			"TooLarge",
			arena_printf(
				a,
				"spec has %zu node groups, at most %d are acted on: remove "
				"some; until then what was made for this object stays as it is",
				n, MAX_GROUPS));
	}
}

static const void *gather(const struct pass *pass)
{
	const struct cluster_app *app =
		cache_get(pass->cache, &kind_kubernetes, pass->key.ns, pass->key.name);
	struct cluster_seen *s;

	/* What an object that is being deleted owns must not come back. */
	if (!app || app->obj.deleting) {
		return NULL;
	}
	s = arena_new(pass->arena, struct cluster_seen);
	s->pass = pass;
	s->options = pass->options;
	s->app = app;
	s->ns = app->obj.ns;
	s->child =
		(struct child_of){.kind = &kind_kubernetes, .owner = &app->obj, .app = CLUSTER_APP};
	s->child.name = child_name(pass->arena, CLUSTER_APP, app->obj.name,
				   s->options && s->options->plain_naming);
	see_spec(s);
	see_version(s);
	s->image = cluster_worker_image(s);
	see_neighbours(s);
	see_cluster(s);
	see_gpus(s);
	cluster_health_gather(s);
	cluster_groups_gather(s);
	cluster_machines_gather(s);
	cluster_operator_gather(s);
	cluster_check(s);
	return s;
}

/* --- plan ------------------------------------------------------------------------------------- */

/*
 * Cluster API reads the bootstrap template when it makes a machine and never again, so what is
 * changed here reaches no worker that is there. That is told: nothing else would show it.
 */
static void plan_bootstrap(const struct cluster_seen *s, const struct cluster_group *g,
			   struct plan *plan)
{
	bool there = cache_get(s->pass->cache, &kind_capi_bootstrap, s->ns, g->name) != NULL;
	bool workers = g->deployment && opt_int_or(g->deployment->replicas, 0) > 0;

	if (plan_apply(plan, &kind_capi_bootstrap, OBJ_MANAGER, cluster_bootstrap(s, g),
		       "how workers of the group join") &&
	    there && workers && !g->rolls) {
		plan_event(plan, false, "NewWorkersOnly",
			   arena_printf(s->pass->arena,
					"node group %s: labels or kubelet settings have changed; "
					"workers that are there keep theirs until they are "
					"replaced, new ones get these",
					g->key));
	}
}

static void plan_group(const struct cluster_seen *s, const struct cluster_group *g,
		       struct plan *plan)
{
	plan_bootstrap(s, g, plan);
	plan_apply(plan, &kind_capi_machine_template, OBJ_MANAGER, cluster_template(s, g),
		   "what workers of the group are");
	plan_apply(plan, &kind_capi_machine_deployment, OBJ_MANAGER, cluster_deployment(s, g),
		   "the workers of the group");
	if (g->scales) {
		plan_apply(plan, &kind_capi_machine_deployment, "vmgpu-scale", cluster_scale(s, g),
			   opt_int_or(g->deployment->wanted, 0) > g->max
				   ? "the group has more workers than maxReplicas"
				   : "the group has fewer workers than minReplicas");
	}
	plan_apply(plan, &kind_capi_machine_health_check, OBJ_MANAGER, cluster_health_check(s, g),
		   "workers that fall ill are replaced");
}

static void plan_children(const struct cluster_seen *s, struct plan *plan)
{
	plan_apply(plan, &kind_capi_cluster, OBJ_MANAGER, cluster_body(s), "the tenant's cluster");
	plan_apply(plan, &kind_capi_control_plane, OBJ_MANAGER, cluster_control_plane(s),
		   "its control plane");
	plan_apply(plan, &kind_capi_kubevirt_cluster, OBJ_MANAGER, cluster_kubevirt(s),
		   "its workers are KubeVirt machines");
	for (size_t i = 0; i < s->n_groups; i++) {
		plan_group(s, &s->groups[i], plan);
	}
	cluster_operator_plan(s, plan);
	cluster_old_plan(s, plan);
	cluster_machines_plan(s, plan);
}

static void plan_cluster(const void *seen, struct plan *plan)
{
	const struct cluster_seen *s = seen;

	if (!s->accepted.status && !s->missing.status) {
		plan_children(s, plan);
	}
	cluster_status(s, plan);
}

const struct reconciler reconcile_kubernetes = {
	"kubernetes", &kind_kubernetes, cluster_watches, gather, plan_cluster,
};
