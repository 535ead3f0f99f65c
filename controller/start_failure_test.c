/* SPDX-License-Identifier: Apache-2.0 */
/* What KubeVirt says of a VM that does not start. */
#include "controller/start_failure.h"

#include "api/kubevirt.h"
#include "base/test.h"

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

TESTS({"why a VM does not start, and how often it did not", words_of_a_start_that_failed})
