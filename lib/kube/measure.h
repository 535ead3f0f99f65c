/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h: what an operator measures, under the names, labels and buckets of client-go and
 * controller-runtime 0.25, so that dashboards made for them work. RIM: measure_collect reads
 * /proc/self.
 *
 * What happens now and then is pushed where it happens (http.c, webhooks); what is a state is
 * fetched by measure_collect before each writing. Ours alone: vmgpu_connections_total (of the one
 * connection to the API server; it grows by one a reconnect), vmgpu_loop_slow_turns_total and
 * vmgpu_watch_*_total.
 */
#pragma once

#include "base/metric.h"

struct loop;
struct http;
struct runtime;

enum measure {
	MEASURE_RECONCILE_TOTAL,      /* controller, result */
	MEASURE_RECONCILE_ERRORS,     /* controller */
	MEASURE_RECONCILE_TERMINAL,   /* controller */
	MEASURE_RECONCILE_PANICS,     /* controller; stays 0: a C program has none */
	MEASURE_RECONCILE_TIMEOUTS,   /* controller */
	MEASURE_RECONCILE_SECONDS,    /* controller */
	MEASURE_RECONCILE_MAX,	      /* controller */
	MEASURE_RECONCILE_ACTIVE,     /* controller */
	MEASURE_QUEUE_DEPTH,	      /* name, controller, priority */
	MEASURE_QUEUE_ADDS,	      /* name, controller */
	MEASURE_QUEUE_WAIT_SECONDS,   /* name, controller */
	MEASURE_QUEUE_WORK_SECONDS,   /* name, controller */
	MEASURE_QUEUE_UNFINISHED,     /* name, controller */
	MEASURE_QUEUE_LONGEST,	      /* name, controller */
	MEASURE_QUEUE_RETRIES,	      /* name, controller */
	MEASURE_REST_REQUESTS,	      /* code, method, host */
	MEASURE_REST_SECONDS,	      /* verb, host */
	MEASURE_REST_RETRIES,	      /* code, verb, host */
	MEASURE_REST_LIMITER_SECONDS, /* verb, host */
	MEASURE_LEADER,		      /* name */
	MEASURE_WEBHOOK_SECONDS,      /* webhook */
	MEASURE_WEBHOOK_REQUESTS,     /* webhook, code */
	MEASURE_WEBHOOK_IN_FLIGHT,    /* webhook */
	MEASURE_CERT_READS,
	MEASURE_CERT_ERRORS,
	MEASURE_CONNECTIONS,
	MEASURE_SLOW_TURNS,
	MEASURE_WATCH_LISTS, /* resource, in this and the next four */
	MEASURE_WATCH_STREAMS,
	MEASURE_WATCH_FAILURES,
	MEASURE_WATCH_EVENTS,
	MEASURE_WATCH_BYTES,
	MEASURE_CPU_SECONDS,
	MEASURE_RESIDENT_BYTES,
	MEASURE_VIRTUAL_BYTES,
	MEASURE_OPEN_FILES,
	MEASURE_MAX_FILES,
	MEASURE_START_SECONDS,
	MEASURES
};

struct metrics *measure_create(void);

/* Any of them NULL: not there. lease_name: for leader_election_master_status. */
struct measure_sources {
	struct loop *loop;
	const struct http *http;
	const struct runtime *runtime;
	const char *lease_name;
};
void measure_collect(struct metrics *m, const struct measure_sources *s);
