/* SPDX-License-Identifier: Apache-2.0 */
/* What the API server takes and no case can say, since YAML and jansson have no NUL in a string. */
#include "controller/plan_permit.h"

#include "api/kubevirt.h"
#include "base/test.h"
#include "controller/kinds.h"

static void a_list_that_cannot_be_read_is_left_as_it_is(void)
{
	static const char list[] =
		"{\"pciHostDevices\":[{\"pciVendorSelector\":\"10DE:26B9\",\"resourceName\":\"a\\u0000b\"}]}";
	const struct kv_config cr = {
		.obj = {.name = "kubevirt", .ns = "k", .rv = "1"},
		.permitted = list,
		.phase = "Deployed",
	};
	struct cache *c = cache_create(controller_kinds);
	struct arena a;
	struct plan plan;
	struct pass pass;

	cache_put(c, &kind_kv_config, &cr);
	arena_init(&a, MiB);
	plan_init(&plan, &a, c);
	pass = (struct pass){
		.arena = &a,
		.cache = c,
		.kind = reconcile_permit.primary,
		.key = {"k", "kubevirt"},
	};
	reconcile_permit.plan(reconcile_permit.gather(&pass), &plan);
	is_int(plan.n, 1);
	is_int(plan.actions[0].what, ACTION_EVENT);
	is_str(plan.actions[0].reason, "ListUnreadable");
	plan_finish(&plan);
	arena_finish(&a);
	cache_destroy(c);
}

TESTS({"a list that cannot be read is left as it is, and that is said",
       a_list_that_cannot_be_read_is_left_as_it_is})
