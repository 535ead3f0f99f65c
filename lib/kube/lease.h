/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h: who may write. A step machine for coordination.k8s.io/v1 Leases, interoperable with
 * client-go's leader election: no I/O, `now` in ms of CLOCK_BOOTTIME (it runs on while the machine
 * sleeps, so a laptop's or VM's pause cannot look like a short one). Never the timestamps in the
 * Lease: another machine's clock wrote them; a holder is dead when we have seen no change of its
 * record for its leaseDurationSeconds.
 *
 * Fencing: every write of ours asks lease_held(now) just before it is sent; a request's own timeout
 * is bounded by lease_left(now). What counts as a renewal is the moment its request was sent, not
 * when the answer came. Once lost, never led again: the program ends.
 *
 * Beyond client-go: a Lease that vanished is not created anew before the holder that we saw in it
 * must have stopped, and leaseTransitions continues from what we remember (client-go starts at 0 at
 * once). Where somebody edits the Lease by hand, two may believe in it until the next renewal; the
 * terms in GPUNode.spec cover that.
 *
 * Release at exit (holderIdentity "") lets the next one lead within a second, if it watches: a
 * program that watches its Lease feeds lease_seen; without that the standby learns by its polls,
 * every retry_ms x 1 to 2.2.
 *
 * One request at a time: after lease_next gave one out, it says LEASE_WAIT until lease_answer.
 */
#pragma once

#include "base/err.h"
#include "kube/kind.h"

struct lease_settings {
	int64_t duration_ms, renew_ms, retry_ms, deadline_ms;
};
#define LEASE_DEFAULTS                                                                             \
	{                                                                                          \
		15000, 5000, 2000, 10000                                                           \
	}

/*
 * As client-go asks for it, and for the same reason: a leader that writes on for longer than others
 * wait would not be the only one. 0, or -1 with a sentence that names the times by the flags that
 * set them.
 */
int lease_check(const struct lease_settings *s, struct err *err);

struct lease;

enum lease_do { LEASE_WAIT, LEASE_GET, LEASE_CREATE, LEASE_UPDATE };

/* The cached struct of a Lease: for lease_seen, and for whoever reads the nodes' beats. */
struct lease_record {
	struct obj obj;
	const char *holder, *acquired, *renewed;
	int64_t seconds, transitions;
};
extern const struct type lease_record_type;

struct lease *lease_create(const char *ns, const char *name, const char *identity,
			   const struct lease_settings *s, double (*random)(void *), void *ctx);
struct lease *lease_destroy(struct lease *l); /* NULL */

/*
 * What to do now. For CREATE (POST) and UPDATE (PUT with the resourceVersion last seen) *ret_body
 * is a new reference; for WAIT *ret_wake says when to ask again. wall_ms: for renewTime only.
 */
enum lease_do lease_next(struct lease *l, int64_t now, int64_t wall_ms, json_t **ret_body,
			 int64_t *ret_wake);
/*
 * For the request just given out: client-go's max(1 s, deadline / 2); while leading at most half of
 * what is left (1 s at least, never more than all), so that a lost answer leaves time for another.
 */
int64_t lease_timeout(const struct lease *l, int64_t now);
/*
 * The answer: HTTP status (0: none came) and the Lease as sent back (NULL unless 2xx). sent: when
 * the request was made.
 */
void lease_answer(struct lease *l, int64_t now, int64_t sent, int http_status, const json_t *body);
/* A watch delivered the Lease; NULL: deleted. Polls become rare after the first call. */
void lease_seen(struct lease *l, int64_t now, const struct lease_record *record);

/* leading, renewed less than deadline ago */
bool lease_held(const struct lease *l, int64_t now);
int64_t lease_left(const struct lease *l, int64_t now); /* ms until writes must stop, else 0 */
bool lease_lost(const struct lease *l, int64_t now);	/* was leading and must exit */
/* Held no longer; the next LEASE_UPDATE gives it up; afterwards it never leads again. */
void lease_release(struct lease *l);
/* After lease_release: nothing (more) to give up. */
bool lease_released(const struct lease *l, int64_t now);
const char *lease_holder(const struct lease *l); /* as last seen; "" when free or unknown */
int64_t lease_transitions(const struct lease *l);
