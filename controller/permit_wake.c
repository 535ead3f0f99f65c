/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KubeVirt looks at the list when it renders the launcher pod and retries with waits of up to 1000
 * s; permitting a name does not wake it. A touched annotation does (kubevirt.md 1).
 */
#include "controller/permit.h"

#include <string.h>

#include "base/clock.h"

#define WAKE_AGAIN_MS 30000

bool permit_refused(const struct kv_vmi *v)
{
	const struct condition *c = condition_find(&v->conditions, "Synchronized");

	return str_eq(v->phase, "Pending") && c && str_eq(c->status, "False") &&
	       str_eq(c->reason, "FailedCreate") && c->message &&
	       strstr(c->message, "is not permitted in permittedHostDevices configuration");
}

static bool all_permitted(const struct permit_seen *s, const struct kv_gpu_list *devices)
{
	list_each(d, devices) {
		if (!str_empty(d->device_name) && s->permitted &&
		    !permit_lists_name(s, d->device_name)) {
			return false;
		}
	}
	return true;
}

static void wake_one(const struct permit_seen *s, struct plan *plan, const struct kv_vmi *v)
{
	char text[CLOCK_TEXT_MAX];
	int64_t last_us, since;

	if (v->woken && clock_parse(v->woken, &last_us) == 0) {
		since = s->pass->now_ms - last_us / 1000;
		if (since >= 0 && since < WAKE_AGAIN_MS) {
			plan_again(plan, WAKE_AGAIN_MS - since,
				   "KubeVirt may not have looked at the VMI yet");
			return;
		}
	}
	plan_merge(plan, &kind_kv_vmi, v->obj.ns, v->obj.name,
		   json_pack("{s:{s:{s:s}}}", "metadata", "annotations", WOKEN_ANNOTATION,
			     clock_time(s->pass->now_ms * 1000, text)),
		   "its devices are permitted now: KubeVirt is made to look again");
}

void permit_wake(const struct permit_seen *s, struct plan *plan)
{
	struct obj_list all = cache_sorted(s->pass->cache, &kind_kv_vmi, NULL, s->pass->arena);

	for (size_t i = 0; i < all.n; i++) {
		const struct kv_vmi *v = (const struct kv_vmi *)all.items[i];

		if (!v->obj.deleting && permit_refused(v) && all_permitted(s, &v->gpus) &&
		    all_permitted(s, &v->host_devices)) {
			wake_one(s, plan, v);
		}
	}
}
