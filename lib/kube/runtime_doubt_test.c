/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that goes: whether it is made anew depends on whether its owner is still there, which the
 * cache may not know yet. The reconciler here makes one Other for each Thing, of the same name.
 */
#include "kube/runtime_test.h"

static const void *see(const struct pass *pass)
{
	return cache_get(pass->cache, &thing, pass->key.ns, pass->key.name) &&
			       !cache_get(pass->cache, &other, pass->key.ns, pass->key.name)
		       ? pass->key.name
		       : NULL;
}

static void make(const void *name, struct plan *p)
{
	plan_apply(p, &other, OBJ_MANAGER,
		   json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "n", "name", name),
		   "a child is wanted");
}

static void map_child(attr_unused const struct cache *c, const struct obj *old,
		      const struct obj *now, wake_fn *wake, void *ctx)
{
	const struct obj *o = now ? now : old;

	wake(ctx, o->ns, o->name);
}

static const struct plan_watch watches[] = {{&other, map_child}, {0}};
static const struct reconciler parent = {
	.name = "parent", .primary = &thing, .watches = watches, .gather = see, .plan = make};
static const struct reconciler *const parents[] = {&parent, NULL};
static const struct kube_kind *const both[] = {&thing, &other, NULL};

static int made(void)
{
	int n = 0;

	for (int i = 0; i < api.n_writes; i++) {
		n += strstr(api.writes[i]->path, "/others/") != NULL;
	}
	return n;
}

#define CHILD(type, rv) push(OTHERS, EVENT(type, "a", rv, "red"))

/* A child of a is there, and goes. */
static void lose_a_child(int live_status, const char *live)
{
	prepare(ADDED("a") END("5"));
	api.initial[OTHERS] = EVENT("ADDED", "a", "3", "red") END("5");
	api.live_status = live_status;
	api.live = live;
	START(.kinds = both, .reconcilers = parents);
	wait_for(cache_count(runtime_cache(r), &other) == 1 &&
		 cache_count(runtime_cache(r), &thing) == 1);
	settle();
	is_int(made(), 0);
	CHILD("DELETED", "6");
	wait_for(!cache_count(runtime_cache(r), &other) && api.n_looks);
	settle();
}

static void first_child_is_made_without_a_look(void)
{
	prepare(ADDED("a") END("5"));
	START(.kinds = both, .reconcilers = parents);
	wait_for(made() == 1);
	settle();
	is_int(api.n_looks, 0);
}

static void child_of_one_that_lives_is_made_anew(void)
{
	lose_a_child(200, ITEM("a", "3", "red"));
	wait_for(made() == 1);
	is_int(api.n_looks, 1);
}

/* What was made for it would be taken again at once, and made again, until the news comes. */
static void no_child_is_made_for_one_that_has_gone(void)
{
	lose_a_child(404, STATUS("404", "NotFound", "none", ""));
	is_int(api.n_looks, 1);
	push(THINGS, EVENT("MODIFIED", "a", "4", "blue")); /* old news: the doubt remains */
	wait_for(api.n_looks == 2);
	settle();
	is_int(made(), 0);
	push(THINGS, EVENT("DELETED", "a", "7", "blue"));
	wait_for(!cache_count(runtime_cache(r), &thing));
	settle();
	is_int(api.n_looks, 2);
	is_int(made(), 0);
	/* Another one of its name has nothing to do with that. */
	push(THINGS, EVENT("ADDED", "a", "8", "red"));
	wait_for(made() == 1);
	is_int(api.n_looks, 2);
}

static void doubt_lasts_while_the_look_fails(void)
{
	lose_a_child(503, STATUS("503", "ServiceUnavailable", "no", ""));
	wait_for(api.n_looks > 2);
	is_int(made(), 0);
	api.live_status = 200;
	api.live = ITEM("a", "3", "red");
	wait_for(made() == 1);
}

TESTS({"an object's first child is made without a look", first_child_is_made_without_a_look},
      {"the child of one that lives is made anew", child_of_one_that_lives_is_made_anew},
      {"no child is made for one that has gone, though the news is late",
       no_child_is_made_for_one_that_has_gone},
      {"a look that fails is no answer", doubt_lasts_while_the_look_fails})
