/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include <malloc.h>

#include "base/test.h"

struct thing {
	struct obj obj;
	const char *color;
};
static const struct field thing_fields[] = {
	OBJ_METADATA,
	FIELD(struct thing, color, "color", TYPE_STR),
	{0},
};
static const struct type thing_type = {sizeof(struct thing), thing_fields, obj_finish};
static const struct kube_kind thing_kind = {
	.group = "test.io",
	.versions = "v2 v1",
	.kind = "Thing",
	.plural = "things",
	.namespaced = true,
	.type = &thing_type,
};
static const struct kube_kind node_kind = {
	.group = "",
	.versions = "v1",
	.kind = "Node",
	.plural = "nodes",
	.builtin = true,
	.type = &thing_type,
};
/* Plain things have no second key. */
static const char *color_of(const struct obj *o)
{
	const char *color = ((const struct thing *)o)->color;

	return str_eq(color, "plain") ? NULL : color;
}
static const struct kube_kind colored_kind = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Colored",
	.plural = "colored",
	.namespaced = true,
	.type = &thing_type,
	.second_key = color_of,
};
static const struct kube_kind secret_kind = {
	.group = "", .versions = "v1", .kind = "Secret", .plural = "secrets", .namespaced = true};
static const struct kube_kind *const kinds[] = {&thing_kind, &node_kind, &colored_kind,
						&secret_kind, NULL};

static struct cache *c;
static struct buf told;
#define T &thing_kind

static void listener(void *ctx attr_unused, const struct kube_kind *k, const struct obj *old,
		     const struct obj *now)
{
	const struct thing *o = (const struct thing *)old, *n = (const struct thing *)now;

	buf_printf(&told, "%s:%s:%s>%s ", k->kind, now ? now->name : old->name, o ? o->color : "",
		   n ? n->color : "");
}

static void start(void)
{
	cache_destroy(c);
	c = cache_create(kinds);
	cache_listen(c, listener, NULL);
	buf_finish(&told);
	buf_init(&told, 64 * MiB);
}

/* What the listeners heard since the last call. */
static void heard(const char *want)
{
	is_str(buf_text(&told), want);
	buf_reset(&told);
}

static struct thing thing(const char *name, const char *uid, const char *rv, const char *color)
{
	return (struct thing){{.ns = "n", .name = name, .uid = uid, .rv = rv}, color};
}

static enum cache_change put(const char *name, const char *uid, const char *rv, const char *color)
{
	struct thing t = thing(name, uid, rv, color);

	return cache_put(c, T, &t);
}

static enum cache_change gone(const char *name, const char *uid, const char *rv)
{
	struct thing t = thing(name, uid, rv, NULL);

	return cache_gone(c, T, &t);
}

static enum cache_change answered(const char *name, const char *rv, const char *color)
{
	struct thing t = thing(name, "u", rv, color);

	return cache_answered(c, T, &t);
}

static const char *color(const char *name)
{
	const struct thing *t = cache_get(c, T, "n", name);

	return t ? t->color : NULL;
}

static const char *version(const char *name)
{
	const struct obj *o = cache_get(c, T, "n", name);

	return o ? o->rv : NULL;
}

static void changes_are_told(void)
{
	start();
	is_int(put("a", "u", "1", "red"), CACHE_ADDED);
	heard("Thing:a:>red ");
	is_int(put("a", "u", "2", "blue"), CACHE_CHANGED);
	heard("Thing:a:red>blue ");
	is_int(gone("a", "u", "3"), CACHE_REMOVED);
	heard("Thing:a:blue> ");
	is_int(gone("a", "u", "3"), CACHE_SAME);
	is_int(cache_del(c, T, "n", "a"), CACHE_SAME);
	heard("");
	is_int(cache_count(c, T), 0);
}

static void new_version_alone_is_no_change(void)
{
	start();
	put("a", "u", "1", "red");
	heard("Thing:a:>red ");
	is_int(put("a", "u", "2", "red"), CACHE_SAME);
	heard("");
	is_str(version("a"), "2");
}

static void namespaces_and_kinds_are_apart(void)
{
	struct thing t = thing("a", "u", "1", "red"), node = t;

	start();
	cache_put(c, T, &t);
	t.obj.ns = "m";
	t.color = "blue";
	cache_put(c, T, &t);
	node.obj.ns = NULL;
	node.color = "green";
	cache_put(c, &node_kind, &node);
	is_str(((const struct thing *)cache_get(c, T, "n", "a"))->color, "red");
	is_str(((const struct thing *)cache_get(c, T, "m", "a"))->color, "blue");
	is_str(((const struct thing *)cache_get(c, &node_kind, NULL, "a"))->color, "green");
	ok(!cache_get(c, T, "a", "n"));
	ok(!cache_get(c, &node_kind, "n", "a"));
}

static void older_version_is_dropped(void)
{
	start();
	put("a", "u", "10", "new");
	is_int(put("a", "u", "9", "old"), CACHE_SAME);
	is_int(put("a", "former", "9", "old"), CACHE_SAME);
	is_str(color("a"), "new");
	is_str(version("a"), "10");
}

static void deletion_of_a_former_object_spares_its_successor(void)
{
	start();
	put("a", "second", "20", "new");
	is_int(gone("a", "first", "15"), CACHE_SAME);
	is_str(color("a"), "new");
	is_int(gone("a", "second", "25"), CACHE_REMOVED);
	put("a", "third", "30", "red");
	is_int(gone("a", "unheard of", "31"), CACHE_REMOVED);
}

static void list_removes_what_it_does_not_mention(void)
{
	start();
	put("stays", "u1", "1", "red");
	put("goes", "u2", "2", "red");
	put("changes", "u3", "3", "red");
	heard("Thing:stays:>red Thing:goes:>red Thing:changes:>red ");
	ok(!cache_synced(c, T));
	cache_sync_begin(c, T, true);
	put("stays", "u1", "1", "red");
	put("changes", "u3", "7", "blue");
	put("comes", "u4", "8", "red");
	ok(color("goes"));
	cache_sync_end(c, T, "10");
	ok(cache_synced(c, T));
	heard("Thing:changes:red>blue Thing:comes:>red Thing:goes:red> ");
	is_int(cache_count(c, T), 3);
}

static void broken_list_removes_nothing(void)
{
	start();
	put("a", "u", "1", "red");
	put("b", "u", "1", "red");
	cache_sync_begin(c, T, true);
	put("a", "u", "1", "red");
	cache_sync_begin(c, T, true);
	put("b", "u", "1", "red");
	is_int(cache_count(c, T), 2);
	cache_sync_end(c, T, "5");
	/* Only the second, whole list counts. */
	ok(!color("a"));
	ok(color("b"));
}

static void marks_survive_any_number_of_broken_lists(void)
{
	start();
	put("a", "u", "1", "red");
	cache_sync_begin(c, T, true);
	put("a", "u", "1", "red");
	for (int i = 0; i < 255; i++) {
		cache_sync_begin(c, T, true);
	}
	cache_sync_end(c, T, "5");
	ok(!color("a"));
}

static void fresh_list_overrules_a_restored_past(void)
{
	start();
	put("a", "u", "1000", "future");
	cache_sync_begin(c, T, true);
	is_int(put("a", "u", "7", "past"), CACHE_CHANGED);
	cache_sync_end(c, T, "9");
	is_str(color("a"), "past");
	is_int(put("a", "u", "8", "later"), CACHE_CHANGED);
	cache_sync_begin(c, T, false);
	is_int(put("a", "u", "7", "cached list"), CACHE_SAME);
	cache_sync_end(c, T, "9");
	is_str(color("a"), "later");
}

static void stale_until_the_watch_has_our_write(void)
{
	start();
	cache_sync_begin(c, T, true);
	put("a", "u", "5", "red");
	cache_sync_end(c, T, "5");
	ok(cache_caught_up(c, T, "n", "a"));
	cache_wrote(c, T, "n", "a", "9");
	ok(!cache_caught_up(c, T, "n", "a"));
	ok(cache_caught_up(c, T, "n", "b"));
	put("a", "u", "8", "blue");
	cache_reached(c, T, "8");
	ok(!cache_caught_up(c, T, "n", "a"));
	cache_reached(c, T, "10"); /* another object's event, or a bookmark */
	ok(cache_caught_up(c, T, "n", "a"));
}

static void write_that_changed_nothing_is_not_waited_for(void)
{
	start();
	cache_sync_begin(c, T, true);
	put("a", "u", "5", "red");
	cache_sync_end(c, T, "7");
	cache_wrote(c, T, "n", "a", "5");
	ok(cache_caught_up(c, T, "n", "a"));
}

static void restored_etcd_ends_the_wait_for_a_write(void)
{
	start();
	cache_sync_begin(c, T, true);
	cache_sync_end(c, T, "900");
	cache_wrote(c, T, "n", "a", "1000");
	cache_sync_begin(c, T, false);
	cache_sync_end(c, T, "950");
	ok(!cache_caught_up(c, T, "n", "a"));
	cache_sync_begin(c, T, true);
	cache_wrote(c, T, "n", "b", "20");
	cache_sync_end(c, T, "10");
	ok(cache_caught_up(c, T, "n", "a"));
	cache_wrote(c, T, "n", "b", "20");
	ok(!cache_caught_up(c, T, "n", "b"));
	cache_reached(c, T, "20");
	ok(cache_caught_up(c, T, "n", "b"));
}

static void answer_is_seen_at_once(void)
{
	start();
	cache_sync_begin(c, T, true);
	cache_sync_end(c, T, "10");
	is_int(answered("a", "12", "red"), CACHE_ADDED);
	is_str(color("a"), "red");
	ok(!cache_caught_up(c, T, "n", "a"));
	put("a", "u", "12", "red");
	cache_reached(c, T, "12");
	ok(cache_caught_up(c, T, "n", "a"));
}

static void late_answer_brings_nothing_back(void)
{
	start();
	cache_sync_begin(c, T, true);
	cache_sync_end(c, T, "10");
	/* Created by us as 12, deleted by someone as 13; the watch was faster than the answer. */
	put("a", "u", "12", "red");
	cache_reached(c, T, "12");
	gone("a", "u", "13");
	cache_reached(c, T, "13");
	is_int(answered("a", "12", "red"), CACHE_SAME);
	ok(!color("a"));
	ok(cache_caught_up(c, T, "n", "a"));
}

static void list_older_than_our_write_does_not_undo_it(void)
{
	start();
	put("x", "u", "5", "red");
	cache_sync_begin(c, T, true);
	answered("new", "20", "red");
	answered("x", "21", "blue");
	put("x", "u", "5", "red");
	cache_sync_end(c, T, "15");
	is_str(color("new"), "red");
	is_str(color("x"), "blue");
	/* A list that is newer knows better. */
	cache_sync_begin(c, T, true);
	cache_sync_end(c, T, "30");
	is_int(cache_count(c, T), 0);
}

static void list_newer_than_our_write_knows_better(void)
{
	start();
	cache_sync_begin(c, T, true);
	answered("new", "20", "red");
	cache_sync_end(c, T, "30"); /* somebody has deleted it since */
	ok(!color("new"));
	ok(cache_caught_up(c, T, "n", "new"));
}

static void what_has_gone_leaves_nothing(void)
{
	size_t before = 0;

	start();
	for (int i = 0; i < 20000; i++) {
		auto_free char *name = xprintf("x%d", i);

		put(name, name, "1", name);
		cache_wrote(c, T, "n", name, "5");
		cache_learn_owned(c, T, "n", name, 7);
		gone(name, name, "9");
		buf_reset(&told);
		before = i == 1000 ? mallinfo2().uordblks : before;
	}
	ok(mallinfo2().uordblks < before + 64 * KiB);
}

static void deletion_ends_a_wait(void)
{
	start();
	cache_sync_begin(c, T, true);
	cache_sync_end(c, T, "1");
	answered("a", "12", "red");
	gone("a", "u", "13");
	ok(cache_caught_up(c, T, "n", "a"));
}

static void learned_fingerprint_goes_with_its_object(void)
{
	start();
	is_int(cache_learned_owned(c, T, "n", "a"), 0);
	put("a", "u", "1", "red");
	cache_learn_owned(c, T, "n", "a", 42);
	is_int(cache_learned_owned(c, T, "n", "a"), 42);
	is_int(cache_learned_owned(c, T, "n", "b"), 0);
	put("a", "u", "2", "blue");
	is_int(cache_learned_owned(c, T, "n", "a"), 42);
	gone("a", "u", "3");
	is_int(cache_learned_owned(c, T, "n", "a"), 0);
}

static enum cache_change put_owned(const char *name, const char *rv, const char *owner)
{
	struct thing t = thing(name, name, rv, "red");

	t.obj.owner_uid = owner;
	return cache_put(c, T, &t);
}

static size_t owned_by(const char *uid)
{
	size_t n = 0;

	for (const struct obj *o = NULL; (o = cache_next_owned(c, T, uid, o));) {
		is_str(o->owner_uid, uid);
		n++;
	}
	return n;
}

static void children_are_found_by_their_owner(void)
{
	start();
	put_owned("a", "1", "p");
	put_owned("b", "1", "p");
	put_owned("c", "1", "q");
	put_owned("d", "1", NULL);
	is_int(owned_by("p"), 2);
	is_int(owned_by("q"), 1);
	is_int(owned_by("none"), 0);
	is_int(put_owned("a", "2", "q"), CACHE_CHANGED);
	is_int(put_owned("b", "2", "p"), CACHE_SAME);
	is_int(put_owned("d", "2", "q"), CACHE_CHANGED);
	is_int(owned_by("p"), 1);
	is_int(owned_by("q"), 3);
	cache_del(c, T, "n", "c");
	put_owned("a", "3", NULL);
	is_int(owned_by("q"), 1);
}

static void paint(const char *name, const char *rv, const char *color)
{
	struct thing t = thing(name, name, rv, color);

	cache_put(c, &colored_kind, &t);
}

static size_t of_color(const char *color)
{
	size_t n = 0;

	for (const struct thing *t = NULL; (t = cache_next_keyed(c, &colored_kind, color, t));) {
		is_str(t->color, color);
		n++;
	}
	return n;
}

static void objects_are_found_by_their_second_key(void)
{
	start();
	paint("a", "1", "red");
	paint("b", "1", "red");
	paint("c", "1", "blue");
	paint("d", "1", "plain");
	is_int(of_color("red"), 2);
	is_int(of_color("blue"), 1);
	is_int(of_color("plain"), 0);
	is_int(of_color(NULL), 0);
	paint("a", "2", "blue");
	paint("b", "2", "red");
	paint("d", "2", "red");
	is_int(of_color("red"), 2);
	is_int(of_color("blue"), 2);
	paint("c", "2", "plain");
	cache_del(c, &colored_kind, "n", "a");
	is_int(of_color("blue"), 0);
}

static size_t made, destroyed;

static void *make_count(const struct cache *cache)
{
	size_t *n = xmalloc(sizeof(*n));

	made++;
	*n = cache_count(cache, T);
	return n;
}

static void destroy_count(void *n)
{
	destroyed++;
	free(n);
}

static void what_is_made_of_all_lasts_until_a_change(void)
{
	static const struct cache_memo count = {make_count, destroy_count};

	start();
	made = destroyed = 0;
	put("a", "1", "1", "red");
	is_int((int64_t) * (const size_t *)cache_memo(c, T, &count), 1);
	is_int((int64_t) * (const size_t *)cache_memo(c, T, &count), 1);
	paint("x", "1", "red"); /* of another kind */
	put("a", "1", "1", "red");
	cache_memo(c, T, &count);
	is_int((int64_t)made, 1);
	put("b", "2", "2", "red");
	is_int((int64_t)destroyed, 1);
	is_int((int64_t) * (const size_t *)cache_memo(c, T, &count), 2);
	put("b", "2", "3",
	    "red"); /* no change, but another copy, and the old one is borrowed from */
	is_int((int64_t)destroyed, 2);
	cache_memo(c, T, &count);
	cache_del(c, T, "n", "a");
	is_int((int64_t) * (const size_t *)cache_memo(c, T, &count), 1);
	c = cache_destroy(c);
	is_int((int64_t)made, 4);
	is_int((int64_t)destroyed, 4);
}

static const char *sorted_names(void)
{
	static struct buf b = {.max = KiB};
	struct arena a;
	struct obj_list list;

	buf_reset(&b);
	arena_init(&a, MiB);
	list = cache_sorted(c, T, NULL, &a);
	list_each(o, &list) {
		buf_printf(&b, "%s/%s ", (*o)->ns, (*o)->name);
	}
	arena_finish(&a);
	return buf_text(&b);
}

static void sorted_order_does_not_depend_on_history(void)
{
	static const char *const orders[] = {"abcdefgh", "hgfedcba", "dhcgbfae"};

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		start();
		for (const char *p = orders[i]; *p; p++) {
			char name[] = {*p, 0};

			put(name, name, "1", "red");
		}
		cache_del(c, T, "n", i == 1 ? "x" : "y");
		is_str(sorted_names(), "n/a n/b n/c n/d n/e n/f n/g n/h ");
	}
}

static void kind_that_is_not_served_is_forgotten(void)
{
	start();
	ok(!cache_version(c, T));
	is_str(cache_version(c, &node_kind), "v1");
	cache_set_served(c, T, "v1");
	is_str(cache_version(c, T), "v1");
	ok(!cache_synced(c, T));
	put("a", "u", "1", "red");
	heard("Thing:a:>red ");
	cache_set_served(c, T, NULL);
	heard("Thing:a:red> ");
	ok(!cache_version(c, T));
	ok(cache_synced(c, T));
	cache_set_served(c, T, "v2");
	ok(!cache_synced(c, T));
	/* Its resourceVersions may begin anew: a restored etcd. */
	is_int(put("a", "u", "1", "red"), CACHE_ADDED);
}

static int load(const char *text, struct err *err)
{
	json_t *json = json_loads(text, 0, NULL);
	int r;

	ok(json);
	r = cache_load_json(c, json, err);
	json_decref(json);
	return r;
}

static void json_is_loaded_by_its_kind(void)
{
	const char *text =
		"{\"apiVersion\": \"test.io/v1\", \"kind\": \"Thing\", \"color\": \"red\","
		"\"odd\": [1], \"metadata\": {\"name\": \"a\", \"namespace\": \"n\","
		"\"annotations\": {\"vmgpu.io/intent\": \"x\"}, \"ownerReferences\":"
		"[{\"kind\": \"P\", \"name\": \"p\", \"uid\": \"u\"}]}}";
	const struct thing *t;
	struct err err;

	start();
	is_int(load(text, &err), 0);
	t = cache_get(c, T, "n", "a");
	ok(t);
	is_str(t->color, "red");
	is_str(t->obj.intent, "x");
	is_str(t->obj.owner_uid, "u");
	is_int(owned_by("u"), 1);
	is_str(cache_version(c, T), "v1");
	heard("Thing:a:>red ");
}

static void odd_json_is_answered(void)
{
	struct err err;

	start();
	is_int(load("{\"apiVersion\": \"test.io/v9\", \"kind\": \"Thing\"}", &err), 1);
	is_int(load("{\"apiVersion\": \"v1\", \"kind\": \"Secret\"}", &err), 1);
	is_int(load("{\"apiVersion\": \"test.io/v1\", \"kind\": \"Thing\"}", &err), -1);
	has(err.text, "metadata.name");
	is_int(load("[]", &err), -1);
	is_int(load("{\"apiVersion\": \"test.io/v1\", \"kind\": \"Thing\", "
		    "\"metadata\": {\"name\": \"a\"}}",
		    &err),
	       -1);
	has(err.text, "metadata.namespace");
	ok(cache_kind(c, "test.io/v1", "Thing") == T);
	ok(!cache_kind(c, NULL, "Thing"));
	ok(!cache_kind(c, NULL, "Secret"));
	ok(!cache_kind(c, "v1", NULL));
}

static void fifteen_thousand_objects_cost_little_more_than_their_blocks(void)
{
	enum { N = 15000 };
	size_t packed = 0;

	start();
	cache_destroy(c);
	c = cache_create(kinds);
	for (int i = 0; i < N; i++) {
		auto_free char *name = xprintf("virtual-machine-%d", i);
		auto_free char *uid = xprintf("0c6f2a0e-1111-4222-8333-%012d", i);
		struct thing t = thing(name, uid, "12345678", "red");

		cache_put(c, T, &t);
		packed += type_packed_size(&thing_type, &t);
	}
	/* malloc's rounding, and tables. */
	ok(cache_bytes(c) < packed + N * (size_t)(16 + 24));
}

/* A naive model: an array of what should be there. */

enum { NAMES = 40, OWNERS = 5 };
static struct model {
	bool there, shown;
	int owner, rv;
	char color;
} model[NAMES];
static uint64_t seed;

static int rnd(int n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (int)((seed >> 33) % (uint64_t)n);
}

static void model_put(int i, int rv)
{
	static const char *const owners[OWNERS] = {NULL, "p", "q", "r", "s"};
	char name[] = {(char)('A' + i), 0}, shade[] = {(char)('a' + rnd(3)), 0};
	auto_free char *version_text = xprintf("%d", rv);
	struct thing t = thing(name, name, version_text, shade);
	int owner = rnd(OWNERS);

	t.obj.owner_uid = owners[owner];
	cache_put(c, T, &t);
	model[i].shown = true;
	if (!model[i].there || rv >= model[i].rv) {
		model[i] = (struct model){true, true, owner, rv, *shade};
	}
}

static void model_check(void)
{
	size_t n = 0, owned[OWNERS] = {0};

	for (int i = 0; i < NAMES; i++) {
		char name[] = {(char)('A' + i), 0}, shade[] = {model[i].color, 0};

		n += model[i].there;
		owned[model[i].owner] += model[i].there;
		is_str(color(name), model[i].there ? shade : NULL);
	}
	is_int(cache_count(c, T), n);
	for (const struct obj *o = NULL; (o = cache_next(c, T, o));) {
		n--;
	}
	is_int(n, 0);
	is_int(owned_by("p"), owned[1]);
	is_int(owned_by("s"), owned[4]);
}

static void behaves_like_a_naive_model(void)
{
	for (seed = 1; seed < 2000000; seed += 1) {
		uint64_t round = seed;

		start();
		memset(model, 0, sizeof(model));
		for (int step = 1; step < 400; step++) {
			int i = rnd(NAMES), what = rnd(100);
			char name[] = {(char)('A' + i), 0};

			if (what < 60) {
				int age = rnd(20);

				model_put(i, MAX(step - age, 1));
			} else if (what < 97) {
				cache_del(c, T, "n", name);
				model[i].there = false;
			} else {
				cache_sync_begin(c, T, false);
				for (int j = 0; j < NAMES; j++) {
					model[j].shown = false;
				}
				for (int j = rnd(NAMES); j > 0; j--) {
					model_put(rnd(NAMES), step);
				}
				cache_sync_end(c, T, "1");
				for (int j = 0; j < NAMES; j++) {
					model[j].there &= model[j].shown;
				}
			}
			model_check();
		}
		seed = round + 20000;
	}
}

static void everything_is_given_back(void)
{
	size_t before;

	cache_destroy(c);
	c = cache_create(kinds);
	before = cache_bytes(c);
	for (int i = 0; i < 1000; i++) {
		auto_free char *name = xprintf("x%d", i);

		put_owned(name, "1", name);
		cache_wrote(c, T, "n", name, "5");
	}
	for (int i = 0; i < 1000; i++) {
		auto_free char *name = xprintf("x%d", i);

		gone(name, name, "9");
	}
	ok(cache_bytes(c) <= before + 2 * 2048 * 9 + 64 * KiB);
	c = cache_destroy(c);
	ok(!c);
	buf_finish(&told);
}

TESTS({"changes are told once, with before and after", changes_are_told},
      {"a new resourceVersion alone is no change", new_version_alone_is_no_change},
      {"namespaces and kinds are apart", namespaces_and_kinds_are_apart},
      {"an older resourceVersion is dropped, whosoever it is", older_version_is_dropped},
      {"the deletion of a former object spares its successor",
       deletion_of_a_former_object_spares_its_successor},
      {"a list removes what it does not mention", list_removes_what_it_does_not_mention},
      {"a broken list removes nothing", broken_list_removes_nothing},
      {"marks survive any number of broken lists", marks_survive_any_number_of_broken_lists},
      {"a fresh list overrules what a restored etcd no longer knows",
       fresh_list_overrules_a_restored_past},
      {"an object is stale until the watch has our write", stale_until_the_watch_has_our_write},
      {"a write that changed nothing is not waited for",
       write_that_changed_nothing_is_not_waited_for},
      {"a restored etcd ends the wait for a write", restored_etcd_ends_the_wait_for_a_write},
      {"the answer to our write is seen at once", answer_is_seen_at_once},
      {"a late answer brings nothing back", late_answer_brings_nothing_back},
      {"a list older than our write does not undo it", list_older_than_our_write_does_not_undo_it},
      {"a list newer than our write knows better", list_newer_than_our_write_knows_better},
      {"what has gone leaves nothing", what_has_gone_leaves_nothing},
      {"a deletion ends a wait", deletion_ends_a_wait},
      {"a learned fingerprint goes with its object", learned_fingerprint_goes_with_its_object},
      {"children are found by their owner", children_are_found_by_their_owner},
      {"objects are found by their second key", objects_are_found_by_their_second_key},
      {"what is made of all lasts until a change", what_is_made_of_all_lasts_until_a_change},
      {"sorted order does not depend on history", sorted_order_does_not_depend_on_history},
      {"a kind that is not served is forgotten", kind_that_is_not_served_is_forgotten},
      {"JSON is loaded by its kind", json_is_loaded_by_its_kind},
      {"odd JSON is answered", odd_json_is_answered},
      {"15,000 objects cost little more than their blocks",
       fifteen_thousand_objects_cost_little_more_than_their_blocks},
      {"random operations behave like a naive model", behaves_like_a_naive_model},
      {"everything is given back", everything_is_given_back})
