/* SPDX-License-Identifier: Apache-2.0 */
/* When a CRD means that its kind is served, and what KubeVirt says of a VM that does not start. */
#include "controller/kinds.h"

#include "api/apps.h"
#include "api/core.h"
#include "api/kubevirt.h"
#include "base/test.h"
#include "controller/start_failure.h"

static void what_a_crd_serves(void)
{
	static const struct {
		tri established, served;
		const char *deleting, *group, *plural, *version;
		bool serves;
	} rows[] = {
		{TRI_TRUE, TRI_TRUE, NULL, "apps.cozystack.io", "kuberneteses", "v1alpha1", true},
		{TRI_FALSE, TRI_TRUE, NULL, "apps.cozystack.io", "kuberneteses", "v1alpha1", false},
		{TRI_UNSET, TRI_TRUE, NULL, "apps.cozystack.io", "kuberneteses", "v1alpha1", false},
		{TRI_TRUE, TRI_FALSE, NULL, "apps.cozystack.io", "kuberneteses", "v1alpha1", false},
		{TRI_TRUE, TRI_UNSET, NULL, "apps.cozystack.io", "kuberneteses", "v1alpha1", false},
		{TRI_TRUE, TRI_TRUE, "now", "apps.cozystack.io", "kuberneteses", "v1alpha1", false},
		{TRI_TRUE, TRI_TRUE, NULL, "other.io", "kuberneteses", "v1alpha1", false},
		{TRI_TRUE, TRI_TRUE, NULL, "apps.cozystack.io", "vminstances", "v1alpha1", false},
		{TRI_TRUE, TRI_TRUE, NULL, "apps.cozystack.io", "kuberneteses", "v1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crd_version versions[] = {
			{.name = "v1beta9", .served = TRI_TRUE},
			{.name = rows[i].version, .served = rows[i].served},
		};
		struct core_crd crd = {
			.obj.deleting = rows[i].deleting,
			.established = rows[i].established,
			.group = rows[i].group,
			.plural = rows[i].plural,
		};

		for (size_t n = 0; n <= ARRAY_LEN(versions); n++) {
			crd.versions.items = versions;
			crd.versions.n = n;
			is_int(controller_crd_serves(&crd.obj, &kind_kubernetes, "v1alpha1"),
			       rows[i].serves && n == 2);
		}
	}
}

static void words_of_a_start_that_failed(void)
{
	static const struct {
		const char *type, *status, *message;
		int64_t count; /* -1: KubeVirt says nothing of it */
		const char *next, *said;
	} rows[] = {
		{"Other", "True", "x", -1, NULL, NULL},
		{"Failure", "False", "x", -1, NULL, NULL},
		{"Failure", "False", "x", 0, "later", NULL},
		{"Failure", "True", "no disk", -1, NULL, "no disk"},
		{"Failure", "True", "no disk", 0, NULL, "no disk"},
		{"Failure", "True", "", -1, NULL, "KubeVirt could not start it"},
		{"Failure", "True", NULL, -1, NULL, "KubeVirt could not start it"},
		{"Failure", "True", "no disk", 1, NULL, "no disk; failed 1 times in a row"},
		{"Failure", "True", "no disk", 2, "12:00",
		 "no disk; failed 2 times in a row, next try at 12:00"},
		{"Failure", "False", "x", 3, NULL,
		 "KubeVirt could not start it; failed 3 times in a row"},
		{"Other", "True", "x", 3, "12:00",
		 "KubeVirt could not start it; failed 3 times in a row, next try at 12:00"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct condition is = {
			.type = rows[i].type, .status = rows[i].status, .message = rows[i].message};
		struct kv_start_failure f = {.count = rows[i].count, .retry_after = rows[i].next};
		struct kv_vm vm = {.conditions = {&is, 1}};
		struct arena a;

		arena_init(&a, MiB);
		vm.start_failure = rows[i].count < 0 ? NULL : &f;
		is_str(start_failure_words(&vm, &a), rows[i].said);
		arena_finish(&a);
	}
}

TESTS({"a CRD serves a version that is established", what_a_crd_serves},
      {"why a VM does not start, and how often it did not", words_of_a_start_that_failed})
