/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/plan.h"

#include "base/test.h"
#include "kube/condition.h"
#include "kube/intent.h"
#include "kube/thing_test.h"

struct status {
	int64_t observed;
	const char *message;
	struct condition_list conditions;
};
static const struct field status_fields[] = {
	FIELD(struct status, observed, "observedGeneration", TYPE_INT),
	FIELD(struct status, message, "message", TYPE_STR),
	FIELD(struct status, conditions, "conditions", TYPE_OBJS, .sub = &condition_type),
	{0},
};
static const struct type status_type = {sizeof(struct status), status_fields, NULL};
static const struct kube_kind *const kinds[] = {&thing, NULL};

static struct cache *c;
static struct arena a;
static struct plan p;

static void start(void)
{
	plan_finish(&p);
	arena_finish(&a);
	cache_destroy(c);
	c = cache_create(kinds);
	cache_set_served(c, &thing, "v1");
	arena_init(&a, MiB);
	plan_init(&p, &a, c);
}

static void finish(void)
{
	plan_finish(&p);
	arena_finish(&a);
	c = cache_destroy(c);
}

static json_t *body(int size)
{
	return json_pack("{s:{s:s, s:s}, s:{s:i}}", "metadata", "name", "x", "namespace", "n",
			 "spec", "size", size);
}

static void is_json(const json_t *json, const char *want)
{
	auto_free char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	is_str(text, want);
}

/* The cluster after the first action, an apply, was carried out. */
static void applied(const struct action *action)
{
	struct thing t = {.obj = {.ns = "n", .name = "x", .uid = "u", .rv = "7"}};

	t.obj.intent = json_string_value(json_object_get(
		json_object_get(json_object_get(action->body, "metadata"), "annotations"),
		INTENT_ANNOTATION));
	t.obj.owned = intent_owned(&thing, action->body, true);
	cache_put(c, &thing, &t);
}

static void apply_is_stamped_and_says_the_served_version(void)
{
	const struct action *action;

	start();
	action = plan_apply(&p, &thing, OBJ_MANAGER, body(1), "because");
	is_int(p.n, 1);
	is_int(action->what, ACTION_APPLY);
	is_str(action->ns, "n");
	is_str(action->name, "x");
	is_str(action->manager, "vmgpu");
	is_str(action->why, "because");
	is_str(json_string_value(json_object_get(action->body, "apiVersion")), "test.io/v1");
	is_str(json_string_value(json_object_get(action->body, "kind")), "Thing");
	finish();
}

static void apply_that_is_shown_is_skipped(void)
{
	start();
	applied(plan_apply(&p, &thing, OBJ_MANAGER, body(1), "because"));
	ok(!plan_apply(&p, &thing, OBJ_MANAGER, body(1), "because"));
	is_int(p.n, 1);
	ok(plan_apply(&p, &thing, OBJ_MANAGER, body(2), "because"));
	is_int(p.n, 2);
	finish();
}

static void other_managers_apply_is_neither_stamped_nor_skipped(void)
{
	const struct action *action;

	start();
	applied(plan_apply(&p, &thing, OBJ_MANAGER, body(1), "because"));
	action = plan_apply(&p, &thing, "vmgpu-power", body(1), "because");
	ok(action);
	is_str(action->manager, "vmgpu-power");
	ok(!json_object_get(json_object_get(action->body, "metadata"), "annotations"));
	finish();
}

static const struct thing owner = {.obj = {.ns = "n", .name = "x", .uid = "u", .rv = "7"}};

static void unchanged_status_writes_nothing(void)
{
	struct condition items[] = {{"Ready", "True", "r", "m", 1, "t"}};
	struct status old = {1, "m", {items, 1}}, same = old;

	start();
	ok(!plan_status_of(&p, &thing, &owner.obj, &status_type, &old, &same, "w"));
	is_int(p.n, 0);
	finish();
}

static void changed_status_is_one_patch_of_what_differs(void)
{
	struct condition items[] = {{"Ready", "True", "r", "m", 1, "t"}};
	struct status old = {1, "m", {items, 1}}, now = {2, NULL, {items, 1}};
	const struct action *action;

	start();
	action = plan_status_of(&p, &thing, &owner.obj, &status_type, &old, &now, "w");
	is_int(action->what, ACTION_STATUS);
	is_json(action->body, "{\"status\":{\"message\":null,\"observedGeneration\":2}}");
	now = (struct status){1, "other", {items, 1}};
	action = plan_status_of(&p, &thing, &owner.obj, &status_type, &old, &now, "w");
	is_json(action->body, "{\"status\":{\"message\":\"other\"}}");
	now = (struct status){2, "m", {items, 1}};
	action = plan_status_of(&p, &thing, &owner.obj, &status_type, &old, &now, "w");
	is_json(action->body, "{\"status\":{\"observedGeneration\":2}}");
	now = (struct status){1, "m", {NULL, 0}};
	action = plan_status_of(&p, &thing, &owner.obj, &status_type, &old, &now, "w");
	is_json(action->body, "{\"status\":{\"conditions\":null}}");
	action = plan_status_of(&p, &thing, &owner.obj, &status_type, NULL, &now, "w");
	is_json(action->body, "{\"status\":{\"message\":\"m\",\"observedGeneration\":1}}");
	finish();
}

static void delete_names_what_it_means(void)
{
	const struct action *action;

	start();
	action = plan_delete(&p, &thing, &owner.obj, "gone");
	is_int(action->what, ACTION_DELETE);
	is_str(action->uid, "u");
	is_str(action->rv, "7");
	finish();
}

static void delete_waits_for_our_own_write_to_come_back(void)
{
	start();
	cache_wrote(c, &thing, "n", "x", "9");
	ok(!plan_delete(&p, &thing, &owner.obj, "gone"));
	is_int(p.n, 1);
	is_int(p.actions[0].what, ACTION_AGAIN);
	cache_reached(c, &thing, "9");
	ok(plan_delete(&p, &thing, &owner.obj, "gone"));
	finish();
}

static void what_is_being_deleted_is_not_deleted_again(void)
{
	struct thing t = owner;

	start();
	t.obj.deleting = "2026-01-01T00:00:00Z";
	ok(!plan_delete(&p, &thing, &t.obj, "gone"));
	is_int(p.n, 0);
	finish();
}

static void actions_keep_their_order_and_their_own_strings(void)
{
	char why[] = "first";

	start();
	plan_event(&p, true, "Reason", why);
	why[0] = 'X';
	plan_again(&p, 500, "later");
	for (int i = 0; i < 20; i++) {
		plan_merge(&p, &thing, "n", "x", json_object(), "m");
	}
	is_int(p.n, 22);
	is_str(p.actions[0].why, "first");
	is_str(p.actions[0].reason, "Reason");
	ok(p.actions[0].warning);
	is_int(p.actions[1].after_ms, 500);
	is_int(p.actions[21].what, ACTION_MERGE);
	finish();
}

TESTS({"an apply is stamped and says the served version",
       apply_is_stamped_and_says_the_served_version},
      {"an apply that is shown is skipped", apply_that_is_shown_is_skipped},
      {"another manager's apply is neither stamped nor skipped",
       other_managers_apply_is_neither_stamped_nor_skipped},
      {"an unchanged status writes nothing", unchanged_status_writes_nothing},
      {"a changed status is one patch of what differs",
       changed_status_is_one_patch_of_what_differs},
      {"a delete names uid and resourceVersion", delete_names_what_it_means},
      {"a delete waits for our own write to come back",
       delete_waits_for_our_own_write_to_come_back},
      {"what is being deleted is not deleted again", what_is_being_deleted_is_not_deleted_again},
      {"actions keep their order and have strings of their own",
       actions_keep_their_order_and_their_own_strings})
