/* SPDX-License-Identifier: Apache-2.0 */
/* Several listeners, kinds of which only metadata is read, and the memory of each of a kind's tables:
 * cache_test.c has the rest. */
#include "kube/cache.h"

#include "base/test.h"
#include "kube/thing_test.h"

static const char *color_of(const struct obj *o)
{
	return ((const struct thing *)o)->color;
}

/* Things that are also found by their color. */
static const struct kube_kind colored = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Colored",
	.plural = "colored",
	.namespaced = true,
	.type = &thing_type,
	.second_key = color_of,
};
/* Things of which the color is not seen. */
static const struct kube_kind bare = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Bare",
	.plural = "bares",
	.namespaced = true,
	.metadata_only = true,
	.type = &thing_type,
};
static const struct kube_kind *const kinds[] = {&thing, &colored, &bare, NULL};

static struct cache *c;
static struct buf told = {.max = 64 * KiB};

static void start(void)
{
	cache_destroy(c);
	c = cache_create(kinds);
	buf_reset(&told);
}

static void put(const struct kube_kind *k, const char *name, const char *owner)
{
	const struct thing t = {
		{.ns = "n", .name = name, .uid = name, .rv = "1", .owner_uid = owner}, "red"};

	cache_put(c, k, &t);
}

static void numbered(void *ctx, const struct kube_kind *k attr_unused, const struct obj *old,
		     const struct obj *now)
{
	buf_printf(&told, "%s%s ", (const char *)ctx, now ? now->name : old->name);
}

static void each_listener_is_told(void)
{
	static const struct {
		const char *numbers[6], *heard;
	} rows[] = {
		{{0}, ""},
		{{"1"}, "1a "},
		{{"1", "2"}, "1a 2a "},
		{{"1", "2", "3"}, "1a 2a 3a "},
		{{"3", "1", "2", "5", "4"}, "3a 1a 2a 5a 4a "},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start();
		for (const char *const *n = rows[i].numbers; *n; n++) {
			cache_listen(c, numbered, (void *)(uintptr_t)*n);
		}
		put(&thing, "a", NULL);
		is_str(buf_text(&told), rows[i].heard);
		buf_reset(&told);
		cache_del(c, &thing, "n", "a");
		is_str(buf_text(&told), rows[i].heard);
	}
}

static void another_version_of_metadata_alone_is_a_change(void)
{
	static const struct {
		const char *rv;
		enum cache_change of_thing, of_bare;
	} rows[] = {
		{"1", CACHE_ADDED, CACHE_ADDED},
		{"1", CACHE_SAME, CACHE_SAME},
		{"2", CACHE_SAME, CACHE_CHANGED},
		{"1", CACHE_SAME, CACHE_SAME}, /* older */
	};

	start();
	cache_listen(c, numbered, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct thing t = {{.ns = "n", .name = "a", .uid = "a", .rv = rows[i].rv}, ""};

		is_int(cache_put(c, &thing, &t), rows[i].of_thing);
		is_int(cache_put(c, &bare, &t), rows[i].of_bare);
	}
	is_str(buf_text(&told), "a a a ");
	is_str(((const struct obj *)cache_get(c, &bare, "n", "a"))->rv, "2");
}

/* What a thousand objects of this kind and owner cost. */
static size_t cost(const struct kube_kind *k, const char *owner)
{
	size_t before;

	start();
	before = cache_bytes(c);
	for (int i = 0; i < 1000; i++) {
		auto_free char *name = xprintf("x%d", i);

		put(k, name, owner);
	}
	return cache_bytes(c) - before;
}

static void all_memory_is_counted(void)
{
	size_t plain = cost(&thing, NULL), table = 1000 * sizeof(void *);

	ok(plain > 1000 * sizeof(struct thing) + table);
	ok(cost(&thing, "p") > plain + table);
	ok(cost(&colored, NULL) > plain + table);
	ok(cost(&colored, "p") > plain + 2 * table);
}

TESTS({"of a kind of which only metadata is read, another resourceVersion is a change",
       another_version_of_metadata_alone_is_a_change},
      {"each listener is told, in the order in which they came", each_listener_is_told},
      {"objects count, and tables of names, owners and second keys", all_memory_is_counted})
