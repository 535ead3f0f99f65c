/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beats.h: which node daemons are alive, by the Leases that they renew (node-daemon/beat.h). A step
 * machine: `now` in ms of loop_now, no I/O.
 *
 * A daemon is silent when its Lease has not changed before our eyes for its leaseDurationSeconds: no
 * clock but ours counts, and only time in which we watched without a gap. So whoever has just started
 * calls nobody silent before it has itself watched that long, and calls nobody alive before it has
 * seen a change. Of a node that has no Lease and never had one nothing is known.
 *
 * It is not the memory of it: that is an annotation of the GPUNode (plan_node.h), which stands through
 * what is unknown.
 */
#pragma once

#include "kube/lease.h"

#define BEATS_DEFAULT_MS 40000		/* where a Lease does not say how long */
#define BEATS_MAX_MS (24 * 3600 * 1000) /* nor is believed beyond */

enum beats_state { BEATS_UNKNOWN, BEATS_ALIVE, BEATS_SILENT };

struct beats;

struct beats *beats_create(void);
struct beats *beats_destroy(struct beats *b); /* NULL */

/* A watch has shown a Lease. True: beats_next has something to say, or must be asked earlier than it
 * said. */
bool beats_seen(struct beats *b, const struct lease_record *r, int64_t now);
/* A watch has shown it deleted: no sign of life, and its daemon may make it anew. */
void beats_gone(struct beats *b, const struct lease_record *r);
/*
 * A node whose state is not what it was, each once, lent until the next call; NULL: no more, and
 * ret_wake says when to ask again (INT64_MAX: never). watching_since: from when on no change can
 * have been missed; INT64_MAX: one may be missed now.
 */
const char *beats_next(struct beats *b, int64_t now, int64_t watching_since, int64_t *ret_wake);
/* b may be NULL: then nothing is known. ret_renewed: what its Lease had as renewTime, or NULL. */
enum beats_state beats_of(const struct beats *b, const char *node, const char **ret_renewed);
