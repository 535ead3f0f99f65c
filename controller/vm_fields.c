/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a VM that are accepted and not acted on (Accepted=True NotHandled): each is named,
 * none is dropped in silence.
 */
#include "controller/vm.h"

#include <string.h>

#include "base/listing.h"
#include "base/quantity.h"

/* --- reaching it ------------------------------------------------------------------------------ */

static bool cozy_proxy(const struct vm_seen *s)
{
	return s->options && s->options->cozy_proxy;
}

static bool asks_whole_ip(const struct vm_seen *s)
{
	return tri_or(s->spec.external, false) && str_eq(s->spec.external_method, "WholeIP");
}

static bool asks_icmp(const struct vm_seen *s)
{
	return tri_or(s->spec.external, false) && s->spec.external_allow_icmp != TRI_UNSET;
}

static bool whole_ip(const struct vm_seen *s)
{
	return asks_whole_ip(s) && !cozy_proxy(s);
}

static bool icmp(const struct vm_seen *s)
{
	return asks_icmp(s) && !cozy_proxy(s);
}

/* true is what it has there anyway. */
static bool icmp_of_whole_ip(const struct vm_seen *s)
{
	return asks_whole_ip(s) && cozy_proxy(s) && s->spec.external_allow_icmp == TRI_FALSE;
}

static bool subnets(const struct vm_seen *s)
{
	return s->spec.networks.n && s->spec.subnets.n;
}

/* --- size and power --------------------------------------------------------------------------- */

static bool half_sized(const struct vm_seen *s, const char *value)
{
	return s->type_name && !str_empty(value);
}

static bool cpu(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->cpu);
}

static bool memory(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->memory);
}

static bool sockets(const struct vm_seen *s)
{
	return s->spec.resources && half_sized(s, s->spec.resources->sockets);
}

static bool instance_type(const struct vm_seen *s)
{
	return !s->type_name && !str_empty(s->spec.instance_type);
}

static bool running(const struct vm_seen *s)
{
	return !str_empty(s->spec.run_strategy) && s->spec.running != TRI_UNSET &&
	       (s->spec.running == TRI_TRUE) != vm_strategy_runs(s->spec.run_strategy);
}

static const struct {
	bool (*is)(const struct vm_seen *s);
	const char *field;
} without_effect[] = {
	{whole_ip,
	 "externalMethod: WholeIP (needs Cozystack's cozy-proxy, --cozy-proxy: the ports pass)"},
	{icmp, "externalAllowICMP (needs Cozystack's cozy-proxy, --cozy-proxy)"},
	{icmp_of_whole_ip, "externalAllowICMP (WholeIP lets all through)"},
	{vm_service_no_ports, "external (externalPorts is empty: the Service stays inside)"},
	{instance_type, "instanceType (resources.cpu and memory size the VM)"},
	{cpu, "resources.cpu (cpu and memory size a VM together)"},
	{memory, "resources.memory (cpu and memory size a VM together)"},
	{sockets, "resources.sockets (only with cpu and memory)"},
	{running, "running (runStrategy says otherwise, and wins)"},
	{subnets, "subnets (networks is set)"},
};

const char *vm_fields_not_handled(const struct vm_seen *s)
{
	struct listing l;

	listing_init(&l, s->pass->arena, ", ");
	for (size_t i = 0; i < ARRAY_LEN(without_effect); i++) {
		if (without_effect[i].is(s)) {
			listing_add(&l, "%s", without_effect[i].field);
		}
	}
	vm_disks_not_handled(s, &l);
	return l.text ? listing_end(&l) : NULL;
}
