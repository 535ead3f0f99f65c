/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/rivals.h"

#include <stdlib.h>
#include <string.h>

#include "node-daemon/plan_vgpu.h"
#include "node-daemon/tokens.h"

struct rival {
	char *name; /* of a socket, or a resource */
	char **ids; /* of a resource */
	size_t n_ids;
	int64_t first, last; /* when it was told */
	int64_t gone_at;     /* INT64_MAX: it is there */
	bool seen;	     /* in what is told now */
};

LIST_OF(rival_list, struct rival);

struct rivals {
	struct rival_list sockets, resources;
};

/* --- words --------------------------------------------------------------------------------- */

enum peer { PEER_SANDBOX, PEER_KUBEVIRT, PEER_GROUPS, PEER_CONTAINERS, PEER_NVIDIAS, PEER_OTHER };

/* "WHO gives it out as RESOURCE on this node, and it is left to that; REMEDY" */
static const struct {
	const char *who, *remedy;
} words[] = {
	[PEER_SANDBOX] =
		{"NVIDIA's kubevirt-gpu-device-plugin",
		 "it is taken over when that has left the node, with the gpu-operator by the "
		 "Node's label nvidia.com/gpu.deploy.sandbox-device-plugin=false"},
	[PEER_KUBEVIRT] =
		{"KubeVirt's own device plugin, or Harvester's agent,",
		 "it is taken over when the entry of that name in the KubeVirt CR has "
		 "externalResourceProvider: true, and Harvester's agent has left the node"},
	[PEER_GROUPS] =
		{"KubeVirt's own device plugin",
		 "it is taken over when the entry of that name in the KubeVirt CR is gone or "
		 "has externalResourceProvider: true"},
	[PEER_CONTAINERS] = {"another device plugin, for containers,",
			     "virtual machines can have it when that has left the node"},
	[PEER_NVIDIAS] =
		{"NVIDIA's device plugin, for containers,",
		 "virtual machines can have it when that has left the node, with the "
		 "gpu-operator by the Node's label nvidia.com/gpu.deploy.device-plugin=false"},
	[PEER_OTHER] = {"another device plugin", "it is taken over when that has left the node"},
};

static const char *say(struct arena *a, enum peer peer, const char *resource)
{
	return arena_printf(a, "%s gives it out as %s on this node, and it is left to that; %s",
			    words[peer].who, resource, words[peer].remedy);
}

/* --- what is seen -------------------------------------------------------------------------- */

struct rivals *rivals_create(void)
{
	return xcalloc(1, sizeof(struct rivals));
}

static void forget_ids(struct rival *one)
{
	for (size_t i = 0; i < one->n_ids; i++) {
		free(one->ids[i]);
	}
	free(take(one->ids));
	one->n_ids = 0;
}

static void forget(struct rival_list *l, size_t i)
{
	forget_ids(&l->items[i]);
	free(l->items[i].name);
	l->items[i] = l->items[--l->n];
}

struct rivals *rivals_destroy(struct rivals *r)
{
	if (r) {
		struct rival_list *const lists[] = {&r->sockets, &r->resources};

		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			while (lists[i]->n) {
				forget(lists[i], 0);
			}
			free(lists[i]->items);
		}
		free(r);
	}
	return NULL;
}

static void begin(struct rival_list *l)
{
	list_each(one, l) {
		one->seen = false;
	}
}

static struct rival *find(struct rival_list *l, const char *name)
{
	list_each(one, l) {
		if (str_eq(one->name, name)) {
			return one;
		}
	}
	return NULL;
}

/* NULL: there are too many. */
static struct rival *see(struct rival_list *l, const char *name, int64_t now)
{
	struct rival *one = find(l, name);

	if (!one && l->n == RIVALS_MAX) {
		return NULL;
	}
	if (!one) {
		l->items = xrealloc(l->items, (l->n + 1) * sizeof(*l->items));
		one = &l->items[l->n++];
		*one = (struct rival){.name = xstrdup(name), .first = now};
	}
	if (!one->seen) {
		forget_ids(one);
	}
	one->seen = true;
	one->last = now;
	one->gone_at = INT64_MAX;
	return one;
}

static void end(struct rival_list *l, int64_t now)
{
	for (size_t i = l->n; i-- > 0;) {
		struct rival *one = &l->items[i];

		if (!one->seen) {
			one->gone_at = MIN(one->gone_at, now);
		}
		if (one->gone_at != INT64_MAX && now - one->gone_at >= RIVALS_GRACE_MS) {
			forget(l, i);
		}
	}
}

void rivals_sockets(struct rivals *r, const struct dpapi_ids *names, int64_t now)
{
	begin(&r->sockets);
	list_each(name, names) {
		see(&r->sockets, *name, now);
	}
	end(&r->sockets, now);
}

static void add_id(struct rival *one, const char *id)
{
	if (one->n_ids == RIVALS_IDS_MAX) {
		return;
	}
	if (!(one->n_ids & (one->n_ids - 1))) {
		one->ids = xrealloc(one->ids, MAX(1, 2 * one->n_ids) * sizeof(*one->ids));
	}
	one->ids[one->n_ids++] = xstrdup(id);
}

void rivals_devices(struct rivals *r, const struct dpapi_holds *holds, int64_t now)
{
	struct rival *one = NULL;

	begin(&r->resources);
	list_each(h, holds) {
		if (!one || !str_eq(one->name, h->resource)) {
			one = see(&r->resources, h->resource, now);
		}
		if (one) {
			add_id(one, h->id);
		}
	}
	end(&r->resources, now);
}

/* --- which of them count ------------------------------------------------------------------- */

static bool is_there(const struct rival *one, int64_t now)
{
	return one->gone_at == INT64_MAX || now - one->gone_at < RIVALS_GRACE_MS;
}

/* As we call devices: a card, a vGPU, or a token. */
static bool is_our_form(const char *id)
{
	struct vgpu_id vgpu;
	uint64_t address;

	if (str_starts(id, TOKENS_ID)) {
		id += strlen(TOKENS_ID);
	}
	return pcifn_parse(id, &address) == 0 || vgpu_id_parse(id, &vgpu) == 0;
}

static bool has_foreign_id(const struct rival *one)
{
	for (size_t i = 0; i < one->n_ids; i++) {
		if (!is_our_form(one->ids[i])) {
			return true;
		}
	}
	return false;
}

/* VENDOR/NAME as VENDOR-NAME, or NAME alone. ret_alone: that. */
static bool is_called(const char *socket, const char *resource, bool *ret_alone)
{
	const char *slash = strchr(resource, '/');
	size_t n = strlen(socket), length = strlen(resource);

	if (str_starts(socket, "kubevirt-")) {
		socket += strlen("kubevirt-");
		n -= strlen("kubevirt-");
	}
	if (!slash || !str_ends(socket, ".sock")) {
		return false;
	}
	n -= strlen(".sock");
	*ret_alone = n == strlen(slash + 1) && !strncmp(socket, slash + 1, n);
	return *ret_alone ||
	       (n == length && !strncmp(socket, resource, (size_t)(slash - resource)) &&
		socket[slash - resource] == '-' &&
		!strncmp(socket + (slash - resource) + 1, slash + 1, strlen(slash + 1)));
}

static const struct rival *socket_of(const struct rivals *r, const char *resource, int64_t now,
				     enum peer *ret_peer)
{
	bool alone;

	list_each(one, &r->sockets) {
		if (is_there(one, now) && is_called(one->name, resource, &alone)) {
			*ret_peer = !str_starts(one->name, "kubevirt-") ? PEER_OTHER
				    : alone				? PEER_SANDBOX
									: PEER_KUBEVIRT;
			return one;
		}
	}
	return NULL;
}

bool rivals_name(const struct rivals *r, const char *resource, int64_t now)
{
	enum peer peer;

	if (socket_of(r, resource, now, &peer)) {
		return true;
	}
	list_each(one, &r->resources) {
		if (str_eq(one->name, resource) && is_there(one, now) && has_foreign_id(one)) {
			return true;
		}
	}
	return false;
}

static bool is_sure(const struct rival *one)
{
	return one->last - one->first >= RIVALS_SURE_MS;
}

static bool is_ours(const struct rivals_seen *seen, const char *resource)
{
	list_each(o, &seen->offers->items) {
		if (str_eq(o->resource, resource)) {
			return true;
		}
	}
	for (const struct plugin_resource *p = NULL;
	     seen->plugin && (p = plugin_each(seen->plugin, p));) {
		if (str_eq(p->name, resource)) {
			return true;
		}
	}
	return false;
}

static bool has_function(const struct rival *one, const struct unit *u)
{
	char text[PCIFN_TEXT_MAX];

	list_each(f, &u->functions) {
		pcifn_text((*f)->address, text);
		for (size_t i = 0; i < one->n_ids; i++) {
			if (str_eq(one->ids[i], text)) {
				return true;
			}
		}
	}
	return false;
}

/* What has our cards, and may be what we were before: when to ask again; INT64_MAX: it is not. */
static int64_t doubt_ends(const struct rival *one, const struct rivals_seen *seen)
{
	if (one->gone_at != INT64_MAX || is_sure(one) || is_ours(seen, one->name)) {
		return INT64_MAX;
	}
	list_each(u, seen->units) {
		if (has_function(one, u)) {
			return one->first + RIVALS_SURE_MS;
		}
	}
	return INT64_MAX;
}

int64_t rivals_doubt(const struct rivals *r, const struct rivals_seen *seen)
{
	int64_t first = INT64_MAX;

	list_each(one, &r->resources) {
		first = MIN(first, doubt_ends(one, seen));
	}
	return first;
}

static int64_t grace_ends(const struct rival_list *l, int64_t now)
{
	int64_t first = INT64_MAX;

	list_each(one, l) {
		int64_t over =
			one->gone_at == INT64_MAX ? INT64_MAX : one->gone_at + RIVALS_GRACE_MS;

		first = over > now ? MIN(first, over) : first;
	}
	return first;
}

int64_t rivals_wake(const struct rivals *r, int64_t now)
{
	return MIN(grace_ends(&r->sockets, now), grace_ends(&r->resources, now));
}

/* --- one unit ------------------------------------------------------------------------------ */

static const struct unit *of_group(const struct unit_list *units, const char *number)
{
	int64_t group = 0;

	for (const char *p = number; *p; p++) {
		if (*p < '0' || *p > '9' || group > INT32_MAX) {
			return NULL;
		}
		group = group * 10 + (*p - '0');
	}
	list_each(u, units) {
		if (*number && u->group && u->group->id == group &&
		    pcifn_driver_is_vfio(u->card->driver)) {
			return u;
		}
	}
	return NULL;
}

/* Numbers are many plugins' ids: each of them must be the group of a card. */
static bool has_group(const struct rival *one, const struct unit_list *units, const struct unit *u)
{
	bool found = false;

	for (size_t i = 0; i < one->n_ids; i++) {
		const struct unit *of = of_group(units, one->ids[i]);

		if (!of) {
			return false;
		}
		found |= of == u;
	}
	return found;
}

/* Whose ids tell no card: all of the vendor's that its driver has. */
static const struct {
	uint16_t vendor;
	const char *prefix, *ids; /* of the resource; of the ids, NULL: any but addresses */
	enum peer peer;
} vendors[] = {
	{0x10de, "nvidia.com/", "GPU-", PEER_NVIDIAS},
	{0x10de, "nvidia.com/", "MIG-", PEER_NVIDIAS},
	{0x1002, "amd.com/", NULL, PEER_CONTAINERS},
	{0x8086, "gpu.intel.com/", NULL, PEER_CONTAINERS},
};

static bool is_of_vendor(const struct rival *one, const struct unit *u, enum peer *ret_peer)
{
	bool hosts = *u->card->driver && !pcifn_driver_is_vfio(u->card->driver);

	for (size_t i = 0; hosts && i < ARRAY_LEN(vendors); i++) {
		if (vendors[i].vendor != u->card->ids.vendor ||
		    !str_starts(one->name, vendors[i].prefix)) {
			continue;
		}
		for (size_t k = 0; k < one->n_ids; k++) {
			if (vendors[i].ids ? str_starts(one->ids[k], vendors[i].ids)
					   : !is_our_form(one->ids[k])) {
				*ret_peer = vendors[i].peer;
				return true;
			}
		}
	}
	return false;
}

static bool gives(const struct rival *one, const struct rivals_seen *seen, const struct unit *u,
		  enum peer *ret_peer)
{
	if (is_ours(seen, one->name) && !has_foreign_id(one)) {
		return false;
	}
	if (is_sure(one) && has_function(one, u)) {
		*ret_peer = PEER_OTHER;
		return true;
	}
	if (has_group(one, seen->units, u)) {
		*ret_peer = PEER_GROUPS;
		return true;
	}
	return is_of_vendor(one, u, ret_peer);
}

const char *rivals_unit(const struct rivals *r, const struct rivals_seen *seen,
			const struct unit *u, int64_t now, struct arena *a, const char **ret_why)
{
	char id[PCIFN_TEXT_MAX];
	const struct offer *o = offers_find(seen->offers, pcifn_text(u->card->address, id));
	const char *resource = o ? o->resource : NULL;
	enum peer peer = PEER_OTHER;

	if (resource && socket_of(r, resource, now, &peer)) {
		*ret_why = say(a, peer, resource);
		return resource;
	}
	list_each(one, &r->resources) {
		if (is_there(one, now) && gives(one, seen, u, &peer)) {
			*ret_why = say(a, peer, one->name);
			return arena_strdup(a, one->name);
		}
	}
	if (resource && rivals_name(r, resource, now)) {
		*ret_why = say(a, PEER_OTHER, resource);
		return resource;
	}
	return NULL;
}
