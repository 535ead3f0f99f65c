/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric.h: counters, gauges and histograms from const tables, written as Prometheus text 0.0.4.
 *
 *	enum { REQUESTS, LATENCY };
 *	static const struct metric table[] = {
 *		[REQUESTS] = {"requests_total", METRIC_COUNTER, "Requests.", {"code"}},
 *		[LATENCY] = {"latency_seconds", METRIC_HISTOGRAM, "Time.", {"verb"}, buckets,
 * ARRAY_LEN(buckets)},
 *	};
 *	metric_add(m, REQUESTS, 1, METRIC_LABELS("200"));
 *
 * One value for each label of the row, in its order. A metric has at most METRIC_SERIES_MAX
 * combinations of values: what comes beyond is counted in one whose values are all "other", so that
 * no name from outside can fill the memory. Every function takes NULL for the store.
 */
#pragma once

#include "base/buf.h"

#define METRIC_LABELS_MAX 4
#define METRIC_SERIES_MAX 200

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	const char *name;
	enum metric_type type;
	const char *help;
	const char *labels[METRIC_LABELS_MAX]; /* ends with NULL */
	const double *buckets;		       /* upper bounds, rising, without +Inf */
	size_t n_buckets;
};

struct metrics;

#define METRIC_LABELS(...) ((const char *const[]){__VA_ARGS__})

/* The table is kept as a pointer. Metrics without labels stand at 0 from the start, others appear
 * with their first value. */
struct metrics *metrics_create(const struct metric *table, size_t n);
struct metrics *metrics_destroy(struct metrics *m); /* NULL */

/* labels: NULL for a metric without. set also serves for counters that are kept elsewhere. */
void metric_add(struct metrics *m, size_t id, double by, const char *const *labels);
void metric_set(struct metrics *m, size_t id, double value, const char *const *labels);
void metric_observe(struct metrics *m, size_t id, double value, const char *const *labels);

/* Content-Type: text/plain; version=0.0.4; charset=utf-8 */
void metrics_write(const struct metrics *m, struct buf *b);
