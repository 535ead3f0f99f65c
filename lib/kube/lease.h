/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h: who may write. A step machine for coordination.k8s.io/v1 Leases: no I/O, `now` in ms of CLOCK_BOOTTIME (it runs on while
 * the machine sleeps, so a laptop's or VM's pause cannot look like a short one). Never the timestamps in the Lease: another machine's clock
 * wrote them; a holder is dead when we have seen no change of its record for its leaseDurationSeconds.
 *
 * Fencing: every write of ours asks lease_held(now) just before it is sent; a request's own timeout is bounded by lease_left(now).
 * Release at exit (holderIdentity "") lets the next one lead within a second.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"

struct lease_settings { int64_t duration_ms, renew_ms, retry_ms, deadline_ms; }; /* 15 s, 5 s, 2 s, 10 s */

struct lease;

enum lease_do { LEASE_WAIT, LEASE_GET, LEASE_CREATE, LEASE_UPDATE };

struct lease *lease_create(const char *ns, const char *name, const char *identity, const struct lease_settings *s,
			   double (*random)(void *), void *ctx);
struct lease *lease_destroy(struct lease *l);

/* What to do now. For CREATE and UPDATE *ret_body is a new reference (PUT with the resourceVersion last seen). wall_ms: for renewTime only. */
enum lease_do lease_next(struct lease *l, int64_t now, int64_t wall_ms, json_t **ret_body, int64_t *ret_wake);
/* The answer: HTTP status (0: none came) and the Lease as sent back (NULL unless 2xx). sent: when the request was made. */
void lease_answer(struct lease *l, int64_t now, int64_t sent, int http_status, const json_t *body);

bool lease_held(const struct lease *l, int64_t now);  /* leading, and renewed less than deadline ago */
int64_t lease_left(const struct lease *l, int64_t now); /* ms until writes must stop; <= 0: not leading */
bool lease_lost(const struct lease *l, int64_t now);  /* was leading and must exit */
void lease_release(struct lease *l); /* the next LEASE_UPDATE gives it up; afterwards it never leads again */
const char *lease_holder(const struct lease *l);
int64_t lease_transitions(const struct lease *l);
