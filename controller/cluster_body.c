/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster itself, as Cozystack's chart makes it (cozystack.md 2 "Kubernetes"). */
#include "controller/cluster.h"

#include <string.h>

#define KONNECTIVITY_PORT 8132
#define DEFAULT_REPLICAS 2

json_t *cluster_body(const struct cluster_seen *s)
{
	json_t *body = cluster_object(s, &kind_capi_cluster, s->child.name);

	json_object_set_new(
		body, "spec",
		json_pack("{s:{s:{s:[s]}, s:{s:[s]}}, s:o, s:o}", "clusterNetwork", "pods",
			  "cidrBlocks", "10.243.0.0/16", "services", "cidrBlocks", "10.95.0.0/16",
			  "controlPlaneRef",
			  cluster_reference(s, &kind_capi_cluster, &kind_capi_control_plane,
					    s->child.name),
			  "infrastructureRef",
			  cluster_reference(s, &kind_capi_cluster, &kind_capi_kubevirt_cluster,
					    s->child.name)));
	return body;
}

json_t *cluster_kubevirt(const struct cluster_seen *s)
{
	json_t *body = cluster_object(s, &kind_capi_kubevirt_cluster, s->child.name);

	/* Kamaji's provider writes the endpoint; without the mark CAPK would make a Service. */
	json_object_set_new(json_object_get(body, "metadata"), "annotations",
			    json_pack("{s:s}", "cluster.x-k8s.io/managed-by", "kamaji"));
	return body;
}

/* --- control plane ---------------------------------------------------------------------------- */

/* requests or limits of Cozystack to 0.31, under the cpu and memory of today, which are both. */
static json_t *amounts(const struct vm_resources *r, const char *old)
{
	json_t *o = type_raw(old), *result = json_object(), *v;
	const char *key;

	json_object_foreach(o, key, v) {
		if (!json_is_null(v)) {
			json_object_set(result, key, v);
		}
	}
	json_decref(o);
	if (!str_empty(r->cpu)) {
		json_object_set_new(result, "cpu", json_string(r->cpu));
	}
	if (!str_empty(r->memory)) {
		json_object_set_new(result, "memory", json_string(r->memory));
	}
	return result;
}

static void set_unless_empty(json_t *o, const char *key, json_t *value_new)
{
	if (json_object_size(value_new) || json_array_size(value_new)) {
		json_object_set(o, key, value_new);
	}
	json_decref(value_new);
}

static json_t *resources(const struct vm_resources *r)
{
	json_t *result = json_object();

	if (r) {
		set_unless_empty(result, "requests", amounts(r, r->requests));
		set_unless_empty(result, "limits", amounts(r, r->limits));
	}
	return result;
}

static void set_json(json_t *o, const char *key, const char *text)
{
	set_unless_empty(o, key, type_raw(text));
}

static void set_part(json_t *spec, const char *key, const struct control_plane_part *p)
{
	json_t *part = json_object();

	if (p) {
		set_unless_empty(part, "resources", resources(p->resources));
		set_json(part, "extraArgs", p->extra_args);
		set_json(part, "extraVolumeMounts", p->extra_volume_mounts);
	}
	set_unless_empty(spec, key, part);
}

/* The API server's host: the user's, else below the host of the tenant's namespace. */
static const char *host(const struct cluster_seen *s)
{
	if (!str_empty(s->spec.host)) {
		return s->spec.host;
	}
	return s->space && !str_empty(s->space->host)
		       ? arena_printf(s->pass->arena, "%s.%s", s->child.name, s->space->host)
		       : NULL;
}

static json_t *network(const struct cluster_seen *s)
{
	json_t *network = json_pack("{s:s}", "serviceType", "ClusterIP");
	const char *name = host(s);
	json_t *ingress;

	if (!name) {
		return network;
	}
	ingress = json_pack("{s:o, s:{s:s}}", "hostname", json_sprintf("%s:443", name),
			    "extraAnnotations", "nginx.ingress.kubernetes.io/ssl-passthrough",
			    "true");
	if (s->space && !str_empty(s->space->ingress)) {
		json_object_set_new(ingress, "className", json_string(s->space->ingress));
	}
	json_object_set_new(network, "ingress", ingress);
	return network;
}

static json_t *konnectivity(const struct control_plane *c)
{
	const struct control_plane_part *server =
		c && c->konnectivity ? c->konnectivity->server : NULL;
	json_t *o = json_pack("{s:i}", "port", KONNECTIVITY_PORT);

	set_unless_empty(o, "resources", resources(server ? server->resources : NULL));
	return json_pack("{s:{s:o}}", "konnectivity", "server", o);
}

/* Where the tenant's state is kept, and what lets the control plane through to it. */
static void set_data_store(const struct cluster_seen *s, json_t *spec, json_t *deployment)
{
	if (!s->space || str_empty(s->space->etcd)) {
		return;
	}
	json_object_set_new(spec, "dataStoreName", json_string(s->space->etcd));
	json_object_set_new(
		deployment, "podAdditionalMetadata",
		json_pack("{s:{s:s}}", "labels", "policy.cozystack.io/allow-to-etcd", "true"));
}

json_t *cluster_control_plane(const struct cluster_seen *s)
{
	const struct control_plane *c = s->spec.control_plane;
	json_t *body = cluster_object(s, &kind_capi_control_plane, s->child.name);
	json_t *deployment = json_object();
	json_t *spec = json_pack(
		"{s:o, s:{s:s, s:[s, s]}, s:o, s:I, s:s}", "addons", konnectivity(c), "kubelet",
		"cgroupfs", "systemd", "preferredAddressTypes", "InternalIP", "ExternalIP",
		"network", network(s), "replicas",
		(json_int_t)(c ? opt_int_or(c->replicas, DEFAULT_REPLICAS) : DEFAULT_REPLICAS),
		"version", s->version);

	set_data_store(s, spec, deployment);
	if (c) {
		set_part(spec, "apiServer", c->api_server);
		set_part(spec, "controllerManager", c->controller_manager);
		set_part(spec, "scheduler", c->scheduler);
		if (c->api_server) {
			set_json(deployment, "extraVolumes", c->api_server->extra_volumes);
		}
	}
	set_unless_empty(spec, "deployment", deployment);
	json_object_set_new(
		json_object_get(body, "metadata"), "annotations",
		json_pack("{s:s}", "kamaji.clastix.io/kubeconfig-secret-key", "super-admin.svc"));
	json_object_set_new(body, "spec", spec);
	return body;
}
