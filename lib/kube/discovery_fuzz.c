/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery_fuzz.c: bytes as an answer to discovery. Where they are cut makes no difference; and
 * what is found of the kinds is what is found in the tree that jansson makes of them. The first byte
 * chooses the status, the next one the size of the pieces; the rest is the text.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kube/discovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define check(cond)                                                                                \
	((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), abort()))

static const struct kube_kind things = {
	.group = "g.io", .versions = "v2 v1 v10", .kind = "Thing", .plural = "things"};
static const struct kube_kind nodes = {
	.group = "", .versions = "v1", .kind = "Node", .plural = "nodes", .builtin = true};
static const struct kube_kind *const kinds[] = {&things, &nodes, NULL};

static bool reads(struct discovery *d, int status, const char *text, size_t n, size_t piece,
		  struct err *err)
{
	discovery_begin(d, status);
	for (size_t i = 0; i < n; i += piece) {
		discovery_feed(d, text + i, n - i < piece ? n - i : piece);
	}
	return discovery_end(d, err) == 0;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is(const json_t *o, const char *key, const char *text)
{
	return same(json_string_value(json_object_get(o, key)), text);
}

/* Does the tree list k in this version, or, NULL, in any that has a name? */
static bool lists(const json_t *tree, const struct kube_kind *k, const char *version)
{
	const json_t *items = json_object_get(tree, "items");

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *group = json_array_get(items, i);
		const json_t *versions = json_object_get(group, "versions");

		for (size_t v = 0; is(json_object_get(group, "metadata"), "name", k->group) &&
				   v < json_array_size(versions);
		     v++) {
			const json_t *one = json_array_get(versions, v);
			const json_t *resources = json_object_get(one, "resources");
			bool named = version ? is(one, "version", version)
					     : json_is_string(json_object_get(one, "version"));

			for (size_t r = 0; named && r < json_array_size(resources); r++) {
				if (is(json_array_get(resources, r), "resource", k->plural)) {
					return true;
				}
			}
		}
	}
	return false;
}

static const char *first_of(const json_t *tree, const struct kube_kind *k)
{
	static const char *const versions[] = {"v2", "v1", "v10"};

	for (size_t i = k == &nodes; i < (k == &nodes ? 2 : ARRAY_LEN(versions)); i++) {
		if (lists(tree, k, versions[i])) {
			return versions[i];
		}
	}
	return NULL;
}

static void compare(const struct discovery *d, const json_t *tree)
{
	for (size_t i = 0; kinds[i]; i++) {
		struct discovery_kind k = discovery_find(d, kinds[i]);

		check(k.listed == lists(tree, kinds[i], NULL));
		check(same(k.version, first_of(tree, kinds[i])));
		check(k.preferred == same(k.version, kinds[i] == &nodes ? "v1" : "v2") ||
		      (!k.version && !k.preferred));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct discovery *whole, *cut;
	struct err why = {""}, cut_why = {""};
	bool good;

	if (size < 2) {
		return 0;
	}
	whole = discovery_create(kinds);
	cut = discovery_create(kinds);
	auto_free char *text = xmalloc(size - 2); /* of its own: one byte too far is noticed */
	memcpy(text, data + 2, size - 2);
	good = reads(whole, data[0] & 1 ? 200 : 503, text, size - 2, size, &why);
	check(good ==
	      reads(cut, data[0] & 1 ? 200 : 503, text, size - 2, 1 + data[1] % 64, &cut_why));
	check(same(why.text, cut_why.text));
	check(good == (why.text[0] == '\0'));
	if (good) {
		/* Of a key that occurs twice the scanner hands out the items of both. */
		json_t *tree = json_loadb(text, size - 2, JSON_REJECT_DUPLICATES, NULL);

		for (size_t i = 0; kinds[i]; i++) {
			check(same(discovery_find(whole, kinds[i]).version,
				   discovery_find(cut, kinds[i]).version));
		}
		if (tree) {
			check(is(tree, "kind", "APIGroupDiscoveryList"));
			compare(whole, tree);
		}
		json_decref(tree);
	}
	discovery_destroy(whole);
	discovery_destroy(cut);
	return 0;
}
