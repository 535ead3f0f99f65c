/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/runtime_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void elect_turn(void *ctx);

static void answered(void *ctx, const struct http_answer *answer)
{
	struct runtime *r = ctx;

	r->lease_asking = false;
	if (lease_http_answer(r->lease, loop_now(r->loop), answer)) {
		feeds_hurry(r); /* the API server answers: watches that wait for it need wait no
				   longer */
	}
	elect_turn(r);
}

static void note_change(struct runtime *r)
{
	bool leading = lease_held(r->lease, loop_now(r->loop));

	if (leading == r->was_leading) {
		return;
	}
	r->was_leading = leading;
	log_info(leading ? "leading" : "not leading", log_str("identity", r->s.identity),
		 log_str("holder", lease_holder(r->lease)));
	workers_wake(r);
}

static void elect_turn(void *ctx)
{
	struct runtime *r = ctx;
	int64_t now = loop_now(r->loop), wake = INT64_MAX;
	json_t *body = NULL;
	enum lease_do what;

	if (r->closed) {
		return;
	}
	note_change(r);
	/* Who is giving it back writes no more, so that it runs out first is no matter. */
	if (lease_lost(r->lease, now) && !r->lost && !r->releasing) {
		r->lost = true;
		log_error("lease lost: ending, so that two never write",
			  log_str("identity", r->s.identity));
		loop_stop(r->loop);
		return;
	}
	if (r->lease_asking) {
		/* While an answer is awaited the Lease can still run out. */
		loop_timer_set(r->lease_timer, now + MAX(lease_left(r->lease, now), 100));
		return;
	}
	what = lease_next(r->lease, now, clock_wall_ms(), &body, &wake);
	if (what == LEASE_WAIT) {
		loop_timer_set(r->lease_timer, wake);
	} else {
		r->lease_asking = true;
		lease_http_ask(r->http, r->lease, r->s.lease_ns, r->s.lease_name, what, body, now,
			       answered, r);
		loop_timer_set(r->lease_timer, now + MAX(lease_left(r->lease, now), 100));
	}
	json_decref(body);
}

void elect_see(struct runtime *r, const struct obj *record)
{
	lease_seen(r->lease, loop_now(r->loop), (const struct lease_record *)record);
	if (!r->lease_asking) {
		elect_turn(r);
	}
}

bool elect_may_write(const struct runtime *r)
{
	return !r->lease || lease_held(r->lease, loop_now(r->loop));
}

void elect_create(struct runtime *r)
{
	if (!r->s.lease_name) {
		return;
	}
	r->lease = lease_create(r->s.lease_ns, r->s.lease_name, r->s.identity, &r->s.lease,
				r->s.random, r->s.random_ctx);
	r->lease_timer = loop_timer_create(r->loop, elect_turn, r, "lease");
}

void elect_start(struct runtime *r)
{
	if (r->lease) {
		elect_turn(r);
	}
}

/* Also while a request is under way: it may just be making us the leader. */
void elect_release(struct runtime *r)
{
	if (r->lease) {
		lease_release(r->lease);
		if (!r->lease_asking) {
			elect_turn(r);
		}
	}
}

bool elect_released(const struct runtime *r)
{
	return !r->lease || (!r->lease_asking && lease_released(r->lease, loop_now(r->loop)));
}

void elect_destroy(struct runtime *r)
{
	loop_timer_destroy(r->lease_timer);
	lease_destroy(r->lease);
}
