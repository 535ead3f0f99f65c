/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/discovery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json/scan.h"

/* --- the document ---------------------------------------------------------------------------- */

struct resource {
	const char *name;
};
struct version {
	const char *name;
	LIST(struct resource) resources;
};
struct group {
	const char *name;
	LIST(struct version) versions;
};

static const struct field resource_fields[] = {
	FIELD(struct resource, name, "resource", TYPE_STR),
	{0},
};
static const struct type resource_type = {sizeof(struct resource), resource_fields, NULL};
static const struct field version_fields[] = {
	FIELD(struct version, name, "version", TYPE_STR),
	FIELD(struct version, resources, "resources", TYPE_OBJS, .sub = &resource_type),
	{0},
};
static const struct type version_type = {sizeof(struct version), version_fields, NULL};
static const struct field metadata_fields[] = {
	FIELD(struct group, name, "name", TYPE_STR),
	{0},
};
static const struct type metadata = {sizeof(struct group), metadata_fields, NULL};
static const struct field group_fields[] = {
	FIELD_INLINE("metadata", &metadata),
	FIELD(struct group, versions, "versions", TYPE_OBJS, .sub = &version_type),
	{0},
};
static const struct type group_type = {sizeof(struct group), group_fields, NULL};

/* --- what it says of our kinds --------------------------------------------------------------- */

struct entry {
	bool listed;
	size_t rank; /* of version among the kind's own */
	char *version;
};

struct discovery {
	const struct kube_kind *const *kinds;
	struct entry *entries; /* one a kind */
	struct scan *scan;
	int http_status;
};

static void note_version(struct entry *e, const struct kube_kind *k, const char *version)
{
	const char *p = k->versions;

	for (size_t rank = 0; *p; rank++) {
		size_t n = strcspn(p, " ");

		if (strlen(version) == n && memcmp(version, p, n) == 0 &&
		    (!e->version || rank < e->rank)) {
			free(e->version);
			e->version = xstrdup(version);
			e->rank = rank;
		}
		p += n + (p[n] == ' ');
	}
}

static void look_for(struct entry *e, const struct kube_kind *k, const struct group *g)
{
	list_each(v, &g->versions) {
		list_each(r, &v->resources) {
			if (v->name && str_eq(r->name, k->plural)) {
				e->listed = true;
				note_version(e, k, v->name);
			}
		}
	}
}

static void sink(void *ctx, const struct scan_event *event)
{
	struct discovery *d = ctx;
	const struct group *g = event->object;

	for (size_t i = 0; d->kinds[i]; i++) {
		if (str_eq(g->name, d->kinds[i]->group)) {
			look_for(&d->entries[i], d->kinds[i], g);
		}
	}
}

struct discovery *discovery_create(const struct kube_kind *const *kinds)
{
	struct discovery *d = xcalloc(1, sizeof(*d));
	size_t n = 0;

	while (kinds[n]) {
		n++;
	}
	*d = (struct discovery){.kinds = kinds, .entries = xcalloc(n + 1, sizeof(*d->entries))};
	d->scan = scan_create(&group_type, SCAN_LIST, sink, d);
	return d;
}

static void forget(struct discovery *d)
{
	for (size_t i = 0; d->kinds[i]; i++) {
		free(d->entries[i].version);
		d->entries[i] = (struct entry){0};
	}
}

struct discovery *discovery_destroy(struct discovery *d)
{
	if (d) {
		forget(d);
		scan_destroy(d->scan);
		free(d->entries);
		free(d);
	}
	return NULL;
}

void discovery_begin(struct discovery *d, int http_status)
{
	forget(d);
	scan_reset(d->scan, SCAN_LIST);
	d->http_status = http_status;
}

void discovery_feed(struct discovery *d, const char *bytes, size_t n)
{
	scan_feed(d->scan, bytes, n, NULL); /* why it fails is what scan_end says */
}

int discovery_end(struct discovery *d, struct err *err)
{
	bool broken = scan_end(d->scan, err) < 0;
	const struct scan_status *s = scan_status(d->scan);
	const char *kind = scan_kind(d->scan);

	if (!broken && s->code) {
		return err_set(err, "%" PRId64 " %s%s%s", s->code, s->reason ? s->reason : "",
			       s->message ? ": " : "", s->message ? s->message : "");
	}
	if (d->http_status >= 300) {
		return err_set(err, "the API server answered %d", d->http_status);
	}
	if (!broken && !str_eq(kind, "APIGroupDiscoveryList")) {
		return err_set(
			err,
			"the answer's kind is %s, not APIGroupDiscoveryList: the API server is "
			"older than Kubernetes 1.26, or has aggregated discovery switched off",
			kind ? kind : "not said");
	}
	return broken ? -1 : 0;
}

struct discovery_kind discovery_find(const struct discovery *d, const struct kube_kind *k)
{
	for (size_t i = 0; d->kinds[i]; i++) {
		const struct entry *e = &d->entries[i];

		if (d->kinds[i] == k) {
			return (struct discovery_kind){
				.listed = e->listed,
				.version = e->version,
				.preferred = e->version && e->rank == 0,
			};
		}
	}
	return (struct discovery_kind){0};
}
