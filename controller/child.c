/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/child.h"

#include <string.h>

#define CHILD_FIELD_MAX 63    /* characters of a field that a message names */
#define DECODED_MAX (8 * MiB) /* of a spec: half a pass, the rest is for what is made of it */

const char *child_name(struct arena *a, const char *app, const char *name, bool plain)
{
	return plain ? name : arena_printf(a, "%s-%s", app, name);
}

json_t *child_selector(const struct child_of *c)
{
	return json_pack("{s:s, s:s}", "app.kubernetes.io/name", c->app,
			 "app.kubernetes.io/instance", c->name);
}

json_t *child_template_labels(const struct child_of *c)
{
	json_t *labels = child_selector(c);

	json_object_set_new(labels, "apps.cozystack.io/application.group",
			    json_string(c->kind->group));
	json_object_set_new(labels, "apps.cozystack.io/application.kind",
			    json_string(c->kind->kind));
	json_object_set_new(labels, "apps.cozystack.io/application.name",
			    json_string(c->owner->name));
	return labels;
}

json_t *child_owner(const struct child_of *c)
{
	attr_cleanup(buf_finish) struct buf version;

	buf_init(&version, KiB);
	kind_api_version(c->kind, NULL, &version);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "apiVersion", buf_text(&version), "kind",
			 c->kind->kind, "name", c->owner->name, "uid", c->owner->uid, "controller",
			 1, "blockOwnerDeletion", 1);
}

json_t *child_metadata(const struct child_of *c, const char *name)
{
	json_t *labels = child_template_labels(c);

	json_object_set_new(labels, "app.kubernetes.io/managed-by", json_string("vmgpu"));
	return json_pack("{s:s, s:s, s:o, s:[o]}", "name", name, "namespace", c->owner->ns,
			 "labels", labels, "ownerReferences", child_owner(c));
}

json_t *child_object(const struct child_of *c, const struct cache *cache, const struct kube_kind *k,
		     const char *name)
{
	attr_cleanup(buf_finish) struct buf version;

	buf_init(&version, KiB);
	kind_api_version(k, cache_version(cache, k), &version);
	return json_pack("{s:s, s:s, s:o}", "apiVersion", buf_text(&version), "kind", k->kind,
			 "metadata", child_metadata(c, name));
}

enum child_whose child_whose(const struct child_of *c, const struct obj *have, tri helms)
{
	if (!have) {
		return CHILD_ABSENT;
	}
	if (have->owner_uid) {
		return str_eq(have->owner_uid, c->owner->uid) ? CHILD_OURS : CHILD_TAKEN;
	}
	return helms == TRI_TRUE ? CHILD_HELM : CHILD_TAKEN;
}

/* The field of the top level that has most bytes, or NULL. In the arena. */
static const char *largest_field(struct arena *a, const char *spec)
{
	json_t *o = type_raw(spec), *value;
	const char *key, *found = NULL;
	size_t most = 0;

	json_object_foreach(o, key, value) {
		size_t n = strlen(key) + json_dumpb(value, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT);

		if (n > most) {
			most = n;
			found = key;
		}
	}
	found = found ? arena_printf(a, "%.*s", CHILD_FIELD_MAX, found) : NULL;
	json_decref(o);
	return found;
}

static struct verdict too_large(struct arena *a, const char *spec, size_t n)
{
	const char *field = largest_field(a, spec);

	return verdict_no(
		"TooLarge",
		arena_printf(a,
			     "spec has %zu bytes, at most %zu are acted on%s%s: shorten it; until "
			     "then what was made for this object stays as it is",
			     n, CHILD_SPEC_MAX, field ? "; most of them are in spec." : "",
			     field ? field : ""));
}

/* The arena's own limit would be met by the next who takes from it, which ends the program. */
static int read_within(struct arena *a, const struct type *t, const char *spec, void *ret,
		       struct err *err)
{
	size_t max = a->max;
	int r;

	a->max = MIN(max, a->used + DECODED_MAX);
	r = type_read_text(t, spec, a, ret, err);
	a->max = max;
	return r;
}

struct verdict child_spec_read(struct arena *a, const struct type *t, const char *spec, void *ret)
{
	size_t n = spec ? strlen(spec) : 0;
	struct err err = {""};

	memset(ret, 0, t->size);
	if (n > CHILD_SPEC_MAX) {
		return too_large(a, spec, n);
	}
	if (!spec || read_within(a, t, spec, ret, &err) == 0) {
		return verdict_none();
	}
	memset(ret, 0, t->size);
	return verdict_no("Unreadable",
			  arena_printf(a,
				       "spec cannot be read (%s): mend it; until then what was "
				       "made for this object stays as it is",
				       err.text));
}

static bool reads(const char *text)
{
	json_t *value = type_raw(text);

	json_decref(value);
	return !text || value;
}

struct verdict child_raws_read(struct arena *a, const struct child_raw *raws, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!reads(raws[i].text)) {
			return verdict_no("Unreadable",
					  arena_printf(a,
						       "%s" CHILD_UNREADABLE ": mend it; until "
						       "then what was made for this object stays "
						       "as it is",
						       raws[i].field));
		}
	}
	return verdict_none();
}
