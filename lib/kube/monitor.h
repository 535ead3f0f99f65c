/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.h: what an operator shows of itself: /metrics, and /healthz and /readyz for the kubelet's
 * probes. RIM. The flags, their defaults and the paths are controller-runtime's.
 *
 * /healthz is answered by the main loop itself, so an answer is the proof that the loop moves;
 * where it stands still, the probe's own time runs out.
 * A standby that waits for the Lease is ready. What the probes say besides "ok"
 * is a sentence for people.
 *
 * Order: monitor_create, then what it measures (with monitor_metrics), monitor_start, the loop,
 * monitor_stop before the sources end, monitor_destroy after the client's end.
 */
#pragma once

#include "base/flag.h"
#include "kube/measure.h"

struct monitor;

struct monitor_options {
	const char *metrics, *health; /* addresses; "0": none */
};
extern const struct flag monitor_flags[]; /* out: struct monitor_options */

struct monitor *monitor_create(const struct monitor_options *o);
struct metrics *monitor_metrics(struct monitor *m); /* NULL where nobody can ask for them */
/* Written behind the metrics of its own, which it lives longer than; once. */
void monitor_also(struct monitor *m, void (*write)(void *ctx, struct buf *out), void *ctx);
/* Listens. -1: an address is no address or taken. */
int monitor_start(struct monitor *m, const struct measure_sources *sources, struct err *err);
/* The ports bound, or 0. */
int monitor_metrics_port(const struct monitor *m);
int monitor_health_port(const struct monitor *m);
void monitor_stop(struct monitor *m);
struct monitor *monitor_destroy(struct monitor *m); /* NULL */
