/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/dpapi.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "gen/deviceplugin.pb-c.h"
#include "gen/podresources.pb-c.h"

#define str(s)                                                                                     \
	((char *)(s)) /* protobuf-c changes no string that it packs, it only lacks the const */

/* --- writing ------------------------------------------------------------------------------- */

struct writer {
	ProtobufCBuffer base;
	struct buf *to;
};

static void append(ProtobufCBuffer *base, size_t n, const uint8_t *bytes)
{
	buf_add(container_of(base, struct writer, base)->to, bytes, n);
}

static void write_message(struct buf *to, const ProtobufCMessage *m)
{
	struct writer w = {.base = {.append = append}, .to = to};

	protobuf_c_message_pack_to_buffer(m, &w.base);
}

void dpapi_write_register(struct buf *to, const char *endpoint, const char *resource, bool prefers)
{
	Deviceplugin__Options o = DEVICEPLUGIN__OPTIONS__INIT;
	Deviceplugin__RegisterRequest r = DEVICEPLUGIN__REGISTER_REQUEST__INIT;

	o.get_preferred_allocation_available = prefers;
	r.version = str(DPAPI_VERSION);
	r.endpoint = str(endpoint);
	r.resource_name = str(resource);
	r.options = &o;
	write_message(to, &r.base);
}

void dpapi_write_options(struct buf *to, bool prefers)
{
	Deviceplugin__Options o = DEVICEPLUGIN__OPTIONS__INIT;

	o.get_preferred_allocation_available = prefers;
	write_message(to, &o.base);
}

/* One device, with all that it points at. */
struct device_row {
	Deviceplugin__Device device;
	Deviceplugin__Topology topology;
	Deviceplugin__Node node, *nodes[1];
};

static void fill_device(struct device_row *row, const struct dpapi_device *d)
{
	deviceplugin__device__init(&row->device);
	row->device.id = str(d->id);
	row->device.health = str(d->healthy ? "Healthy" : "Unhealthy");
	if (d->numa >= 0) {
		deviceplugin__topology__init(&row->topology);
		deviceplugin__node__init(&row->node);
		row->node.id = d->numa;
		row->nodes[0] = &row->node;
		row->topology.n_nodes = 1;
		row->topology.nodes = row->nodes;
		row->device.topology = &row->topology;
	}
}

void dpapi_write_devices(struct buf *to, const struct dpapi_device *devices, size_t n)
{
	auto_free struct device_row *rows = xcalloc(n, sizeof(*rows));
	auto_free Deviceplugin__Device **list = xcalloc(n, sizeof(*list));
	Deviceplugin__DeviceList m = DEVICEPLUGIN__DEVICE_LIST__INIT;

	for (size_t i = 0; i < n; i++) {
		fill_device(&rows[i], &devices[i]);
		list[i] = &rows[i].device;
	}
	m.n_devices = n;
	m.devices = list;
	write_message(to, &m.base);
}

void dpapi_write_preferred(struct buf *to, const struct dpapi_ids *containers, size_t n)
{
	auto_free Deviceplugin__ContainerPreferredResponse *rows = xcalloc(n, sizeof(*rows));
	auto_free Deviceplugin__ContainerPreferredResponse **list = xcalloc(n, sizeof(*list));
	Deviceplugin__PreferredResponse m = DEVICEPLUGIN__PREFERRED_RESPONSE__INIT;

	for (size_t i = 0; i < n; i++) {
		deviceplugin__container_preferred_response__init(&rows[i]);
		rows[i].n_ids = containers[i].n;
		rows[i].ids = (char **)containers[i].items;
		list[i] = &rows[i];
	}
	m.n_containers = n;
	m.containers = list;
	write_message(to, &m.base);
}

static Deviceplugin__Variable **variables_of(const struct dpapi_grant *g, struct arena *a)
{
	Deviceplugin__Variable *rows = arena_array(a, Deviceplugin__Variable, g->variables.n);
	Deviceplugin__Variable **list = arena_array(a, Deviceplugin__Variable *, g->variables.n);

	for (size_t i = 0; i < g->variables.n; i++) {
		deviceplugin__variable__init(&rows[i]);
		rows[i].name = str(g->variables.items[i].name);
		rows[i].value = str(g->variables.items[i].value);
		list[i] = &rows[i];
	}
	return list;
}

static Deviceplugin__DeviceFile **files_of(const struct dpapi_grant *g, struct arena *a)
{
	Deviceplugin__DeviceFile *rows = arena_array(a, Deviceplugin__DeviceFile, g->files.n);
	Deviceplugin__DeviceFile **list = arena_array(a, Deviceplugin__DeviceFile *, g->files.n);

	for (size_t i = 0; i < g->files.n; i++) {
		deviceplugin__device_file__init(&rows[i]);
		rows[i].container_path = rows[i].host_path = str(g->files.items[i].path);
		rows[i].permissions = str(g->files.items[i].permissions);
		list[i] = &rows[i];
	}
	return list;
}

void dpapi_write_grants(struct buf *to, const struct dpapi_grant *containers, size_t n)
{
	Deviceplugin__AllocateResponse m = DEVICEPLUGIN__ALLOCATE_RESPONSE__INIT;
	Deviceplugin__ContainerAllocateResponse *rows;
	struct arena a;

	arena_init(&a, DPAPI_ARENA_MAX);
	rows = arena_array(&a, Deviceplugin__ContainerAllocateResponse, n);
	m.n_containers = n;
	m.containers = arena_array(&a, Deviceplugin__ContainerAllocateResponse *, n);
	for (size_t i = 0; i < n; i++) {
		deviceplugin__container_allocate_response__init(&rows[i]);
		rows[i].n_variables = containers[i].variables.n;
		rows[i].variables = variables_of(&containers[i], &a);
		rows[i].n_devices = containers[i].files.n;
		rows[i].devices = files_of(&containers[i], &a);
		m.containers[i] = &rows[i];
	}
	write_message(to, &m.base);
	arena_finish(&a);
}

/* --- reading ------------------------------------------------------------------------------- */

static void *budget_alloc(void *ctx, size_t n)
{
	size_t *left = ctx;

	if (n > *left) {
		return NULL;
	}
	*left -= n;
	return xmalloc(n);
}

static void budget_free(void *ctx attr_unused, void *p)
{
	free(p);
}

/* A few bytes of a message may stand for many of structs: what all of them together take is
 * limited. */
static ProtobufCMessage *read_message(const ProtobufCMessageDescriptor *kind, const void *bytes,
				      size_t n, struct err *err)
{
	size_t left = DPAPI_READ_MAX;
	ProtobufCAllocator memory = {budget_alloc, budget_free, &left};
	ProtobufCMessage *m = protobuf_c_message_unpack(kind, &memory, n, bytes);

	if (!m) {
		err_set(err, "%zu bytes are no %s of the kubelet's API", n, kind->short_name);
	}
	return m;
}

static void free_message(ProtobufCMessage *m)
{
	size_t left = 0;
	ProtobufCAllocator memory = {budget_alloc, budget_free, &left};

	protobuf_c_message_free_unpacked(m, &memory);
}

static struct dpapi_ids copy_ids(char *const *ids, size_t n, struct arena *a)
{
	struct dpapi_ids to = {.items = arena_array(a, const char *, n), .n = n};

	for (size_t i = 0; i < n; i++) {
		to.items[i] = arena_strdup(a, ids[i]);
	}
	return to;
}

int dpapi_read_allocate(const void *bytes, size_t n, struct arena *a, struct dpapi_asks *ret,
			struct err *err)
{
	ProtobufCMessage *m =
		read_message(&deviceplugin__allocate_request__descriptor, bytes, n, err);
	const Deviceplugin__AllocateRequest *r = (const void *)m;

	if (!m) {
		return -1;
	}
	ret->n = r->n_containers;
	ret->items = arena_array(a, struct dpapi_ids, ret->n);
	for (size_t i = 0; i < ret->n; i++) {
		ret->items[i] = copy_ids(r->containers[i]->ids, r->containers[i]->n_ids, a);
	}
	free_message(m);
	return 0;
}

int dpapi_read_preferred(const void *bytes, size_t n, struct arena *a, struct dpapi_wishes *ret,
			 struct err *err)
{
	ProtobufCMessage *m =
		read_message(&deviceplugin__preferred_request__descriptor, bytes, n, err);
	const Deviceplugin__PreferredRequest *r = (const void *)m;

	if (!m) {
		return -1;
	}
	ret->n = r->n_containers;
	ret->items = arena_array(a, struct dpapi_wish, ret->n);
	for (size_t i = 0; i < ret->n; i++) {
		const Deviceplugin__ContainerPreferredRequest *c = r->containers[i];

		ret->items[i] = (struct dpapi_wish){
			.available = copy_ids(c->available, c->n_available, a),
			.must = copy_ids(c->must_include, c->n_must_include, a),
			.size = c->size,
		};
	}
	free_message(m);
	return 0;
}

/* Adds what a container has; with NULL for hold only counts it. */
static size_t add_holds(Podresources__Devices *const *lists, size_t n,
			const struct dpapi_hold *whose, struct dpapi_hold *hold, struct arena *a)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const char *resource = hold ? arena_strdup(a, lists[i]->resource) : NULL;

		for (size_t k = 0; hold && k < lists[i]->n_ids; k++) {
			hold[count + k] = *whose;
			hold[count + k].resource = resource;
			hold[count + k].id = arena_strdup(a, lists[i]->ids[k]);
		}
		count += lists[i]->n_ids;
	}
	return count;
}

static size_t pod_holds(const Podresources__Pod *p, struct dpapi_hold *hold, struct arena *a)
{
	struct dpapi_hold whose = {.ns = NULL};
	size_t count = 0;

	if (hold) {
		whose.ns = arena_strdup(a, p->ns);
		whose.pod = arena_strdup(a, p->name);
	}
	for (size_t i = 0; i < p->n_containers; i++) {
		const Podresources__Container *c = p->containers[i];

		whose.container = hold ? arena_strdup(a, c->name) : NULL;
		count += add_holds(c->devices, c->n_devices, &whose, hold ? hold + count : NULL, a);
	}
	return count;
}

static bool is_pod(const Podresources__Pod *p, const char *name)
{
	size_t n = strlen(p->ns);

	return strncmp(name, p->ns, n) == 0 && name[n] == '/' && str_eq(name + n + 1, p->name);
}

static bool has_pod(const Podresources__ListResponse *r, const char *name)
{
	for (size_t i = 0; i < r->n_pods; i++) {
		if (is_pod(r->pods[i], name)) {
			return true;
		}
	}
	return false;
}

int dpapi_read_pods(const void *bytes, size_t n, const char *own, struct arena *a,
		    struct dpapi_holds *ret, struct err *err)
{
	ProtobufCMessage *m = read_message(&podresources__list_response__descriptor, bytes, n, err);
	const Podresources__ListResponse *r = (const void *)m;
	size_t count = 0;

	if (!m) {
		return -1;
	}
	if (own && !has_pod(r, own)) {
		free_message(m);
		return err_set(
			err,
			"its list lacks pod %s, which this is, so it does not know its pods yet; "
			"is --pod right?",
			own);
	}
	for (size_t i = 0; i < r->n_pods; i++) {
		count += pod_holds(r->pods[i], NULL, a);
	}
	ret->items = arena_array(a, struct dpapi_hold, count);
	ret->n = 0;
	for (size_t i = 0; i < r->n_pods; i++) {
		if (pod_holds(r->pods[i], NULL,
			      a)) { /* most have none: their names are not copied */
			ret->n += pod_holds(r->pods[i], ret->items + ret->n, a);
		}
	}
	free_message(m);
	return 0;
}

int dpapi_read_allocatable(const void *bytes, size_t n, struct arena *a, struct dpapi_holds *ret,
			   struct err *err)
{
	static const struct dpapi_hold nobody;
	ProtobufCMessage *m =
		read_message(&podresources__allocatable_response__descriptor, bytes, n, err);
	const Podresources__AllocatableResponse *r = (const void *)m;

	if (!m) {
		return -1;
	}
	ret->n = add_holds(r->devices, r->n_devices, &nobody, NULL, a);
	ret->items = arena_array(a, struct dpapi_hold, ret->n);
	add_holds(r->devices, r->n_devices, &nobody, ret->items, a);
	free_message(m);
	return 0;
}
