/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include <math.h>

#include "base/test.h"

enum { UP, REQUESTS, LATENCY, PLAIN_LATENCY, METRICS };

static const double buckets[] = {0.005, 0.1, 1};
static const struct metric table[METRICS] = {
	[UP] = {"up", METRIC_GAUGE, "Whether it is up.\nReally \\ \"so\"."},
	[REQUESTS] = {"requests_total", METRIC_COUNTER, "Requests.", {"code", "method"}},
	[LATENCY] = {"latency_seconds",
		     METRIC_HISTOGRAM,
		     "Time.",
		     {"verb"},
		     buckets,
		     ARRAY_LEN(buckets)},
	[PLAIN_LATENCY] =
		{"plain_seconds", METRIC_HISTOGRAM, "Time.", {NULL}, buckets, ARRAY_LEN(buckets)},
};

static struct metrics *m;
static struct buf b;

static void begin(void)
{
	m = metrics_destroy(m);
	m = metrics_create(table, METRICS);
}

static const char *text(void)
{
	buf_finish(&b);
	buf_init(&b, MiB);
	metrics_write(m, &b);
	return buf_text(&b);
}

#define UP_HEAD "# HELP up Whether it is up.\\nReally \\\\ \"so\".\n# TYPE up gauge\n"
#define PLAIN_HEAD "# HELP plain_seconds Time.\n# TYPE plain_seconds histogram\n"

static void metrics_without_labels_begin_at_zero(void)
{
	begin();
	is_str(text(),
	       UP_HEAD "up 0\n" PLAIN_HEAD "plain_seconds_bucket{le=\"0.005\"} 0\n"
		       "plain_seconds_bucket{le=\"0.1\"} 0\nplain_seconds_bucket{le=\"1\"} 0\n"
		       "plain_seconds_bucket{le=\"+Inf\"} 0\nplain_seconds_sum 0\n"
		       "plain_seconds_count 0\n");
}

static void counters_add_up_per_combination_of_labels(void)
{
	begin();
	metric_add(m, REQUESTS, 1, METRIC_LABELS("200", "GET"));
	metric_add(m, REQUESTS, 1, METRIC_LABELS("200", "PUT"));
	metric_add(m, REQUESTS, 2, METRIC_LABELS("200", "GET"));
	metric_add(m, REQUESTS, 1, METRIC_LABELS("2", "00GET"));
	has(text(), "# HELP requests_total Requests.\n# TYPE requests_total counter\n"
		    "requests_total{code=\"200\",method=\"GET\"} 3\n"
		    "requests_total{code=\"200\",method=\"PUT\"} 1\n"
		    "requests_total{code=\"2\",method=\"00GET\"} 1\n");
}

static void gauges_take_the_last_value(void)
{
	begin();
	metric_set(m, UP, 1, NULL);
	has(text(), "up 1\n");
	metric_set(m, UP, -2.5, NULL);
	has(text(), "up -2.5\n");
}

static void histogram_counts_below_each_bound(void)
{
	begin();
	metric_observe(m, LATENCY, 1, METRIC_LABELS("GET")); /* a bound belongs to its bucket */
	metric_observe(m, LATENCY, 0.0078125, METRIC_LABELS("GET"));
	metric_observe(m, LATENCY, 0.5, METRIC_LABELS("GET"));
	metric_observe(m, LATENCY, 7, METRIC_LABELS("GET"));
	has(text(), "latency_seconds_bucket{verb=\"GET\",le=\"0.005\"} 0\n"
		    "latency_seconds_bucket{verb=\"GET\",le=\"0.1\"} 1\n"
		    "latency_seconds_bucket{verb=\"GET\",le=\"1\"} 3\n"
		    "latency_seconds_bucket{verb=\"GET\",le=\"+Inf\"} 4\n"
		    "latency_seconds_sum{verb=\"GET\"} 8.5078125\n"
		    "latency_seconds_count{verb=\"GET\"} 4\n");
}

static void label_values_are_escaped(void)
{
	begin();
	metric_add(m, REQUESTS, 1, METRIC_LABELS("a\"b\\c\nd", ""));
	has(text(), "requests_total{code=\"a\\\"b\\\\c\\nd\",method=\"\"} 1\n");
}

static void numbers_are_exact_and_short(void)
{
	static const struct {
		double v;
		const char *text;
	} rows[] = {
		{0.1, "up 0.1\n"},
		{1e15, "up 1e+15\n"},
		{123456789, "up 123456789\n"},
		{1.0 / 3, "up 0.33333333333333331\n"},
		{INFINITY, "up +Inf\n"},
		{-INFINITY, "up -Inf\n"},
		{NAN, "up NaN\n"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		metric_set(m, UP, rows[i].v, NULL);
		has(text(), rows[i].text);
	}
}

static void too_many_combinations_fold_into_other(void)
{
	char name[16];
	size_t lines = 0;

	begin();
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		metric_add(m, REQUESTS, 1, METRIC_LABELS(name, "GET"));
	}
	metric_add(m, REQUESTS, 1,
		   METRIC_LABELS("0", "GET")); /* an old one still counts as itself */
	has(text(), "requests_total{code=\"0\",method=\"GET\"} 2\n");
	has(text(), "requests_total{code=\"199\",method=\"GET\"} 1\n");
	has(text(), "requests_total{code=\"other\",method=\"other\"} 800\n");
	for (const char *p = text(); (p = strstr(p, "requests_total{")); p++) {
		lines++;
	}
	is_int(lines, METRIC_SERIES_MAX + 1);
}

static void no_store_is_no_error(void)
{
	metric_add(NULL, UP, 1, NULL);
	metric_set(NULL, UP, 1, NULL);
	metric_observe(NULL, LATENCY, 1, METRIC_LABELS("GET"));
	m = metrics_destroy(m);
	is_str(text(), "");
	buf_finish(&b);
}

TESTS({"metrics without labels begin at zero", metrics_without_labels_begin_at_zero},
      {"counters add up per combination of labels", counters_add_up_per_combination_of_labels},
      {"a gauge takes the last value", gauges_take_the_last_value},
      {"a histogram counts below each bound", histogram_counts_below_each_bound},
      {"label values are escaped", label_values_are_escaped},
      {"numbers are exact and short", numbers_are_exact_and_short},
      {"too many combinations fold into other", too_many_combinations_fold_into_other},
      {"no store is no error", no_store_is_no_error})
