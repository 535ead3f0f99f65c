/* SPDX-License-Identifier: Apache-2.0 */
/* The Service, as Cozystack's chart makes it (cozystack.md 2; cases/README.md "Service"). */
#include "controller/vm.h"

/* What stands for no port: a Service must have one, and nobody listens here. */
#define NO_PORT 65535

struct ports {
	int64_t *items;
	size_t n;
	bool given; /* the manifest names them, be it none */
};

static struct ports ports_of(const struct vm_seen *s)
{
	json_t *list = type_raw(s->spec.external_ports), *one;
	struct ports p = {.items = arena_array(s->pass->arena, int64_t, json_array_size(list) + 1),
			  .given = json_is_array(list)};
	size_t i;

	json_array_foreach(list, i, one) {
		bool before = false;

		for (size_t k = 0; k < p.n; k++) {
			before |= p.items[k] == json_integer_value(one);
		}
		if (!before && json_is_integer(one)) {
			p.items[p.n++] = json_integer_value(one);
		}
	}
	json_decref(list);
	return p;
}

/* With cozy-proxy the whole address may pass; without it, its label would keep kube-proxy away. */
static bool whole_ip(const struct vm_seen *s)
{
	return s->options && s->options->cozy_proxy && str_eq(s->spec.external_method, "WholeIP");
}

bool vm_service_no_ports(const struct vm_seen *s)
{
	struct ports p;

	if (!tri_or(s->spec.external, false) || whole_ip(s)) {
		return false;
	}
	p = ports_of(s);
	return p.given && !p.n;
}

bool vm_service_external(const struct vm_seen *s)
{
	return tri_or(s->spec.external, false) && !vm_service_no_ports(s);
}

static json_t *one_port(int64_t port)
{
	return json_pack("{s:o, s:I, s:I, s:s}", "name", json_sprintf("port-%lld", (long long)port),
			 "port", (json_int_t)port, "targetPort", (json_int_t)port, "protocol",
			 "TCP");
}

static json_t *no_port(void)
{
	return json_pack("[{s:i, s:s}]", "port", NO_PORT, "protocol", "TCP");
}

static json_t *balancer_ports(const struct vm_seen *s)
{
	struct ports p = ports_of(s);
	json_t *list = json_array();

	for (size_t i = 0; i < p.n; i++) {
		json_array_append_new(list, one_port(p.items[i]));
	}
	if (!p.n && whole_ip(s)) {
		json_decref(list);
		return no_port();
	}
	if (!p.n) {
		json_array_append_new(list, one_port(22));
	}
	return list;
}

static void for_cozy_proxy(const struct vm_seen *s, json_t *metadata)
{
	bool whole = whole_ip(s);
	json_t *annotations =
		json_pack("{s:s}", "networking.cozystack.io/wholeIP", whole ? "true" : "false");

	if (!whole) {
		json_object_set_new(
			annotations, "networking.cozystack.io/allowICMP",
			json_string(tri_or(s->spec.external_allow_icmp, true) ? "true" : "false"));
	}
	json_object_set_new(metadata, "annotations", annotations);
	json_object_set_new(json_object_get(metadata, "labels"),
			    "service.kubernetes.io/service-proxy-name", json_string("cozy-proxy"));
}

static json_t *balancer(const struct vm_seen *s, json_t *metadata)
{
	json_t *spec = json_pack("{s:s, s:s, s:o, s:o}", "type", "LoadBalancer",
				 "externalTrafficPolicy", "Local", "selector",
				 child_selector(&s->child), "ports", balancer_ports(s));

	if (s->options && s->options->no_node_ports) {
		json_object_set_new(spec, "allocateLoadBalancerNodePorts", json_false());
	}
	if (s->options && s->options->cozy_proxy) {
		for_cozy_proxy(s, metadata);
	}
	return spec;
}

static json_t *headless(const struct vm_seen *s)
{
	return json_pack("{s:s, s:s, s:o, s:o}", "type", "ClusterIP", "clusterIP", "None",
			 "selector", child_selector(&s->child), "ports", no_port());
}

static json_t *body(const struct vm_seen *s)
{
	json_t *service = child_object(&s->child, s->pass->cache, &kind_service, s->child.name);
	json_t *metadata = json_object_get(service, "metadata");

	json_object_set_new(json_object_get(metadata, "labels"), "apps.cozystack.io/user-service",
			    json_string("true"));
	json_object_set_new(service, "spec",
			    vm_service_external(s) ? balancer(s, metadata) : headless(s));
	return service;
}

/* clusterIP cannot be changed between None and an address: the API server refuses that. */
static bool of_the_other_kind(const struct vm_seen *s)
{
	return s->service && str_eq(s->service->cluster_ip, "None") == vm_service_external(s);
}

void vm_service_plan(const struct vm_seen *s, struct plan *plan)
{
	if (s->service && s->service->obj.deleting) {
		return;
	}
	if (of_the_other_kind(s)) {
		plan_delete(
			plan, &kind_service, &s->service->obj,
			"a Service cannot turn from headless into a load balancer or back: it is made anew");
		return;
	}
	plan_apply(plan, &kind_service, OBJ_MANAGER, body(s), "the VM's Service");
}

const char *vm_service_address(const struct vm_seen *s)
{
	const struct core_service *have = s->service;

	if (!have || !have->ingress.n || (!s->adopted && of_the_other_kind(s))) {
		return NULL;
	}
	return have->ingress.items[0].ip ? have->ingress.items[0].ip
					 : have->ingress.items[0].hostname;
}
