/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/start_failure.h"

const char *start_failure_words(const struct kv_vm *vm, struct arena *a)
{
	const struct condition *c = condition_find(&vm->conditions, "Failure");
	const struct kv_start_failure *f = vm->start_failure;
	bool failure = c && str_eq(c->status, "True");
	const char *words =
		failure && !str_empty(c->message) ? c->message : "KubeVirt could not start it";

	if (f && f->count) {
		return arena_printf(a, "%s; failed %lld times in a row%s%s", words,
				    (long long)f->count, f->retry_after ? ", next try at " : "",
				    f->retry_after ? f->retry_after : "");
	}
	return failure ? words : NULL;
}
