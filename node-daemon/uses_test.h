/* SPDX-License-Identifier: Apache-2.0 */
/* uses_test.h: what the tests of uses.h share: two devices, and their work as a line of words. */
#pragma once

#include "base/test.h"
#include "node-daemon/uses.h"

static struct uses *u;
static int64_t now, wake;
static char did[4096];

/* a and b of resource r, which have a reset. */
attr_unused static struct uses_unit cards[] = {
	{"a", "place-a", "r", "", "flr bus", false},
	{"b", "place-b", "r", "", "flr bus", false},
};

attr_unused static void say_record(char *to, size_t n, const struct journal_use *r)
{
	snprintf(to, n, "record %s %s", r->id, r->state);
	if (*r->pod) {
		snprintf(to + strlen(to), n - strlen(to), " %s/%s", r->ns, r->pod);
	}
	if (r->reset) {
		snprintf(to + strlen(to), n - strlen(to), " %s %s", r->reset->method,
			 r->reset->ok == TRI_TRUE ? "ok" : "failed");
	}
}

attr_unused static void say_work(char *to, size_t n, const struct uses_work *w)
{
	const char *call = w->call;

	switch (w->what) {
	case USES_RECORD:
		say_record(to, n, w->record);
		break;
	case USES_ANSWER:
		snprintf(to, n, "answer %s", call);
		list_each(ids, w->asks) {
			list_each(id, ids) {
				snprintf(to + strlen(to), n - strlen(to), " %s", *id);
			}
		}
		break;
	case USES_REFUSE:
		snprintf(to, n, "refuse %s: %s", call, w->text);
		break;
	default:
		snprintf(to, n, "%s%s",
			 w->what == USES_ASK_PODS ? "pods"
			 : w->what == USES_RESET  ? "reset "
						  : "holders ",
			 w->id ? w->id : "");
	}
}

/* All that is to be done now. */
attr_unused static const char *turn(void)
{
	struct uses_work w;

	did[0] = 0;
	for (int i = 0; i < 100; i++) {
		size_t n = strlen(did);

		uses_next(u, now, &w, &wake);
		if (w.what == USES_WAIT) {
			ok(wake > now);
			return did;
		}
		say_work(did + n, sizeof(did) - n - 2, &w);
		snprintf(did + strlen(did), 3, "; ");
	}
	ok(!"it ends");
	return NULL;
}

attr_unused static void allocate(const char *call, const char *id, const char *id2)
{
	const char *ids[] = {id, id2};
	struct dpapi_ids one = {ids, id2 ? 2 : 1};

	uses_allocate(u, (void *)(uintptr_t)call, "r", &(struct dpapi_asks){&one, 1}, now);
}

/* The kubelet lists this pod of namespace n with the device; NULL: none. */
attr_unused static void pods(const char *id, const char *pod)
{
	struct dpapi_hold h = {"n", pod, "c", "r", id};

	uses_pods(u, &(struct dpapi_holds){&h, pod ? 1 : 0}, NULL, now);
}
