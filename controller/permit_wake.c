/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KubeVirt looks at the list when it renders the launcher pod and retries with waits of up to 1000
 * s; permitting a name does not wake it. A touched annotation does (kubevirt.md 1). Whether it has
 * looked since does not show: its virt-controller may have seen the VMI before the list, or may not
 * run at all. So the wait doubles up to KubeVirt's own, and the annotation counts.
 */
#include "controller/permit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define WAKE_AGAIN_MS 30000 /* after the first time */
#define WAKE_SELDOM_MS 1000000
#define WAKE_DOUBLED 6	 /* 30 s, so often doubled, is more than that */
#define WAKE_AT_ONCE 500 /* in one pass */
#define WAKE_NEXT_MS 1000

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

/*
 * The annotation: when it was touched last and, after a space, how often, if not once. What is
 * neither counts as never, and so does a time to come.
 */
struct woken {
	int64_t since_ms, times;
};

static struct woken woken_read(const struct permit_seen *s, const char *note)
{
	size_t n = note ? strcspn(note, " ") : 0;
	char text[CLOCK_TEXT_MAX];
	struct woken w = {0};
	int64_t last_us;

	if (!n || n >= sizeof(text)) {
		return w;
	}
	memcpy(text, note, n);
	text[n] = '\0';
	if (clock_parse(text, &last_us) < 0 || s->pass->now_ms < last_us / 1000) {
		return w;
	}
	w.since_ms = s->pass->now_ms - last_us / 1000;
	w.times = MIN(MAX(strtol(note + n, NULL, 10), 1L), WAKE_DOUBLED + 1L);
	return w;
}

/* 0: now. */
static int64_t wait_of(const struct woken *w)
{
	int64_t wait;

	if (!w->times) {
		return 0;
	}
	wait = MIN((int64_t)WAKE_AGAIN_MS << (w->times - 1), (int64_t)WAKE_SELDOM_MS);
	return MAX(wait - w->since_ms, (int64_t)0);
}

static void wake_one(const struct permit_seen *s, struct plan *plan, const struct kv_vmi *v,
		     const struct woken *before)
{
	char time[CLOCK_TEXT_MAX], note[CLOCK_TEXT_MAX + 24];

	clock_time(s->pass->now_ms * 1000, time);
	snprintf(note, sizeof(note), before->times ? "%s %lld" : "%s", time,
		 (long long)before->times + 1);
	plan_merge(plan, &kind_kv_vmi, v->obj.ns, v->obj.name,
		   json_pack("{s:{s:{s:s}}}", "metadata", "annotations", WOKEN_ANNOTATION, note),
		   "its devices are permitted now: KubeVirt is made to look again");
}

void permit_wake(const struct permit_seen *s, struct plan *plan)
{
	struct obj_list all = cache_sorted(s->pass->cache, &kind_kv_vmi, NULL, s->pass->arena);
	int64_t soonest = INT64_MAX;
	size_t n = 0;

	for (size_t i = 0; i < all.n && n < WAKE_AT_ONCE; i++) {
		const struct kv_vmi *v = (const struct kv_vmi *)all.items[i];
		struct woken before;
		int64_t wait;

		if (v->obj.deleting || !permit_refused(v) || !all_permitted(s, &v->gpus) ||
		    !all_permitted(s, &v->host_devices)) {
			continue;
		}
		before = woken_read(s, v->woken);
		wait = wait_of(&before);
		if (wait) {
			soonest = MIN(soonest, wait);
		} else {
			wake_one(s, plan, v, &before);
			n++;
		}
	}
	if (n == WAKE_AT_ONCE) {
		plan_again(plan, WAKE_NEXT_MS, "more VMIs may have to be touched");
	} else if (soonest != INT64_MAX) {
		plan_again(plan, soonest, "KubeVirt may not have looked at the VMI yet");
	}
}
