/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/measure.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "kube/queue.h"
#include "kube/runtime.h"
#include "kube/watch.h"

/* controller-runtime pkg/internal/controller/metrics */
static const double reconcile_buckets[] = {
	0.005, 0.01, 0.025, 0.05, 0.1,	0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
	0.7,   0.8,  0.9,   1.0,  1.25, 1.5,  1.75, 2.0,  2.5, 3.0,  3.5, 4.0,	4.5, 5,
	6,     7,    8,	    9,	  10,	15,   20,   25,	  30,  40,   50,  60,
};
/* pkg/internal/metrics/workqueue.go and pkg/webhook: ExponentialBuckets(10e-9, 10, 12) */
static const double wide_buckets[] = {1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3,
				      1e-2, 1e-1, 1,	10,   100,  1000};
/* pkg/metrics/client_go_adapter.go */
static const double rest_buckets[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};

#define BUCKETS(b) (b), ARRAY_LEN(b)

static const struct metric table[MEASURES] = {
	[MEASURE_RECONCILE_TOTAL] = {"controller_runtime_reconcile_total",
				     METRIC_COUNTER,
				     "Total number of reconciliations per controller",
				     {"controller", "result"}},
	[MEASURE_RECONCILE_ERRORS] = {"controller_runtime_reconcile_errors_total",
				      METRIC_COUNTER,
				      "Total number of reconciliation errors per controller",
				      {"controller"}},
	[MEASURE_RECONCILE_TERMINAL] =
		{"controller_runtime_terminal_reconcile_errors_total",
		 METRIC_COUNTER,
		 "Total number of terminal reconciliation errors per controller",
		 {"controller"}},
	[MEASURE_RECONCILE_PANICS] = {"controller_runtime_reconcile_panics_total",
				      METRIC_COUNTER,
				      "Total number of reconciliation panics per controller",
				      {"controller"}},
	[MEASURE_RECONCILE_TIMEOUTS] = {"controller_runtime_reconcile_timeouts_total",
					METRIC_COUNTER,
					"Total number of reconciliation timeouts per controller",
					{"controller"}},
	[MEASURE_RECONCILE_SECONDS] = {"controller_runtime_reconcile_time_seconds",
				       METRIC_HISTOGRAM,
				       "Length of time per reconciliation per controller",
				       {"controller"},
				       BUCKETS(reconcile_buckets)},
	[MEASURE_RECONCILE_MAX] = {"controller_runtime_max_concurrent_reconciles",
				   METRIC_GAUGE,
				   "Maximum number of concurrent reconciles per controller",
				   {"controller"}},
	[MEASURE_RECONCILE_ACTIVE] = {"controller_runtime_active_workers",
				      METRIC_GAUGE,
				      "Number of currently used workers per controller",
				      {"controller"}},
	[MEASURE_QUEUE_DEPTH] = {"workqueue_depth",
				 METRIC_GAUGE,
				 "Current depth of workqueue by workqueue and priority",
				 {"name", "controller", "priority"}},
	[MEASURE_QUEUE_ADDS] = {"workqueue_adds_total",
				METRIC_COUNTER,
				"Total number of adds handled by workqueue",
				{"name", "controller"}},
	[MEASURE_QUEUE_WAIT_SECONDS] =
		{"workqueue_queue_duration_seconds",
		 METRIC_HISTOGRAM,
		 "How long in seconds an item stays in workqueue before being requested",
		 {"name", "controller"},
		 BUCKETS(wide_buckets)},
	[MEASURE_QUEUE_WORK_SECONDS] =
		{"workqueue_work_duration_seconds",
		 METRIC_HISTOGRAM,
		 "How long in seconds processing an item from workqueue takes.",
		 {"name", "controller"},
		 BUCKETS(wide_buckets)},
	[MEASURE_QUEUE_UNFINISHED] =
		{"workqueue_unfinished_work_seconds",
		 METRIC_GAUGE,
		 "How many seconds of work is in progress and has not been observed by work_duration.",
		 {"name", "controller"}},
	[MEASURE_QUEUE_LONGEST] =
		{"workqueue_longest_running_processor_seconds",
		 METRIC_GAUGE,
		 "How many seconds the longest running pass of the workqueue has been running.",
		 {"name", "controller"}},
	[MEASURE_QUEUE_RETRIES] =
		{"workqueue_retries_total",
		 METRIC_COUNTER,
		 "Total number of items added to the workqueue with a non-zero delay",
		 {"name", "controller"}},
	[MEASURE_REST_REQUESTS] =
		{"rest_client_requests_total",
		 METRIC_COUNTER,
		 "Number of HTTP requests, partitioned by status code, method, and host.",
		 {"code", "method", "host"}},
	[MEASURE_REST_SECONDS] = {"rest_client_request_duration_seconds",
				  METRIC_HISTOGRAM,
				  "Request latency in seconds. Broken down by verb, and host.",
				  {"verb", "host"},
				  BUCKETS(rest_buckets)},
	[MEASURE_REST_RETRIES] =
		{"rest_client_request_retries_total",
		 METRIC_COUNTER,
		 "Number of request retries, partitioned by status code, verb, and host.",
		 {"code", "verb", "host"}},
	[MEASURE_REST_LIMITER_SECONDS] =
		{"rest_client_rate_limiter_duration_seconds",
		 METRIC_HISTOGRAM,
		 "Client side rate limiter latency in seconds. Broken down by verb, and host.",
		 {"verb", "host"},
		 BUCKETS(rest_buckets)},
	[MEASURE_LEADER] =
		{"leader_election_master_status",
		 METRIC_GAUGE,
		 "Whether this process holds the Lease: 0 indicates backup, 1 indicates master.",
		 {"name"}},
	[MEASURE_WEBHOOK_SECONDS] = {"controller_runtime_webhook_latency_seconds",
				     METRIC_HISTOGRAM,
				     "Histogram of the latency of processing admission requests",
				     {"webhook"},
				     BUCKETS(wide_buckets)},
	[MEASURE_WEBHOOK_REQUESTS] = {"controller_runtime_webhook_requests_total",
				      METRIC_COUNTER,
				      "Total number of admission requests by HTTP status code.",
				      {"webhook", "code"}},
	[MEASURE_WEBHOOK_IN_FLIGHT] = {"controller_runtime_webhook_requests_in_flight",
				       METRIC_GAUGE,
				       "Current number of admission requests being served.",
				       {"webhook"}},
	[MEASURE_CERT_READS] = {"certwatcher_read_certificate_total", METRIC_COUNTER,
				"Total number of certificate reads"},
	[MEASURE_CERT_ERRORS] = {"certwatcher_read_certificate_errors_total", METRIC_COUNTER,
				 "Total number of certificate read errors"},
	[MEASURE_CONNECTIONS] = {"vmgpu_connections_total", METRIC_COUNTER,
				 "Connections opened to the API server."},
	[MEASURE_SLOW_TURNS] = {"vmgpu_loop_slow_turns_total", METRIC_COUNTER,
				"Turns of the event loop that took more than 50 ms."},
	[MEASURE_WATCH_LISTS] = {"vmgpu_watch_lists_total",
				 METRIC_COUNTER,
				 "Lists asked for, pages included.",
				 {"resource"}},
	[MEASURE_WATCH_STREAMS] = {"vmgpu_watch_streams_total",
				   METRIC_COUNTER,
				   "Watches opened.",
				   {"resource"}},
	[MEASURE_WATCH_FAILURES] = {"vmgpu_watch_failures_total",
				    METRIC_COUNTER,
				    "Lists and watches that failed.",
				    {"resource"}},
	[MEASURE_WATCH_EVENTS] = {"vmgpu_watch_events_total",
				  METRIC_COUNTER,
				  "Events received by watches.",
				  {"resource"}},
	[MEASURE_WATCH_BYTES] = {"vmgpu_watch_bytes_total",
				 METRIC_COUNTER,
				 "Bytes received by lists and watches.",
				 {"resource"}},
	[MEASURE_CPU_SECONDS] = {"process_cpu_seconds_total", METRIC_COUNTER,
				 "Total user and system CPU time spent in seconds."},
	[MEASURE_RESIDENT_BYTES] = {"process_resident_memory_bytes", METRIC_GAUGE,
				    "Resident memory size in bytes."},
	[MEASURE_VIRTUAL_BYTES] = {"process_virtual_memory_bytes", METRIC_GAUGE,
				   "Virtual memory size in bytes."},
	[MEASURE_OPEN_FILES] = {"process_open_fds", METRIC_GAUGE,
				"Number of open file descriptors."},
	[MEASURE_MAX_FILES] = {"process_max_fds", METRIC_GAUGE,
			       "Maximum number of open file descriptors."},
	[MEASURE_START_SECONDS] = {"process_start_time_seconds", METRIC_GAUGE,
				   "Start time of the process since unix epoch in seconds."},
};

struct metrics *measure_create(void)
{
	return metrics_create(table, MEASURES);
}

/* The process */

static double count_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3; /* ".", ".." and the folder itself */

	while (d && readdir(d)) {
		n++;
	}
	if (d) {
		closedir(d);
	}
	return MAX(n, 0);
}

static void collect_memory(struct metrics *m)
{
	auto_free char *text = NULL;
	unsigned long pages, resident;

	if (file_read("/proc/self/statm", KiB, 0, &text, NULL, NULL) < 0 ||
	    sscanf(text, "%lu %lu", &pages, &resident) != 2) {
		return;
	}
	metric_set(m, MEASURE_VIRTUAL_BYTES, (double)pages * (double)sysconf(_SC_PAGESIZE), NULL);
	metric_set(m, MEASURE_RESIDENT_BYTES, (double)resident * (double)sysconf(_SC_PAGESIZE),
		   NULL);
}

/* Field 22 of /proc/self/stat, in ticks since the boot; the name in field 2 may hold blanks and
 * brackets. */
static void collect_start(struct metrics *m)
{
	auto_free char *text = NULL;
	const char *p;
	double ticks;

	if (file_read("/proc/self/stat", 4 * KiB, 0, &text, NULL, NULL) < 0 ||
	    !(p = strrchr(text, ')'))) {
		return;
	}
	for (int field = 2; field < 22 && p; field++) {
		p = strchr(p + 1, ' ');
	}
	if (!p) {
		return;
	}
	ticks = strtod(p, NULL) / (double)sysconf(_SC_CLK_TCK);
	metric_set(m, MEASURE_START_SECONDS,
		   (double)(clock_wall_ms() - clock_boot_ms()) / 1000 + ticks, NULL);
}

static void collect_process(struct metrics *m)
{
	struct timespec cpu;
	struct rlimit files;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	metric_set(m, MEASURE_CPU_SECONDS, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9, NULL);
	metric_set(m, MEASURE_OPEN_FILES, count_files(), NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		metric_set(m, MEASURE_MAX_FILES, (double)files.rlim_cur, NULL);
	}
	collect_memory(m);
	collect_start(m);
}

/* The runtime */

static void collect_controller(struct metrics *m, const struct runtime *r, size_t i)
{
	static const char *const results[] = {"success", "requeue", "requeue_after", "error"};
	struct runtime_stats s;
	struct queue_stats q;
	const char *name;

	runtime_stats(r, i, &s, &q);
	name = s.name;
	for (size_t k = 0; k < ARRAY_LEN(results); k++) {
		metric_set(m, MEASURE_RECONCILE_TOTAL, (double)s.passes[k],
			   METRIC_LABELS(name, results[k]));
	}
	metric_set(m, MEASURE_RECONCILE_ERRORS, (double)s.passes[3], METRIC_LABELS(name));
	metric_set(m, MEASURE_RECONCILE_PANICS, 0, METRIC_LABELS(name));
	metric_set(m, MEASURE_RECONCILE_ACTIVE, s.active, METRIC_LABELS(name));
	metric_set(m, MEASURE_RECONCILE_MAX, s.max, METRIC_LABELS(name));
	metric_set(m, MEASURE_QUEUE_UNFINISHED, s.unfinished, METRIC_LABELS(name, name));
	metric_set(m, MEASURE_QUEUE_DEPTH, (double)q.depth, METRIC_LABELS(name, name, ""));
	metric_set(m, MEASURE_QUEUE_ADDS, (double)q.adds, METRIC_LABELS(name, name));
	metric_set(m, MEASURE_QUEUE_RETRIES, (double)q.retries, METRIC_LABELS(name, name));
}

static void collect_watch(struct metrics *m, const struct runtime *r, size_t i)
{
	const struct kube_kind *k;
	const struct watch_counts *c = runtime_watch(r, i, &k);
	auto_free char *resource =
		xprintf("%s%s%s", k->plural, str_empty(k->group) ? "" : ".", k->group);

	if (c) {
		metric_set(m, MEASURE_WATCH_LISTS, (double)c->lists, METRIC_LABELS(resource));
		metric_set(m, MEASURE_WATCH_STREAMS, (double)c->watches, METRIC_LABELS(resource));
		metric_set(m, MEASURE_WATCH_FAILURES, (double)c->failures, METRIC_LABELS(resource));
		metric_set(m, MEASURE_WATCH_EVENTS, (double)c->events, METRIC_LABELS(resource));
		metric_set(m, MEASURE_WATCH_BYTES, (double)c->bytes, METRIC_LABELS(resource));
	}
}

void measure_collect(struct metrics *m, const struct measure_sources *s)
{
	if (s->loop) {
		metric_set(m, MEASURE_SLOW_TURNS, (double)loop_slow(s->loop)->count, NULL);
	}
	if (s->http) {
		metric_set(m, MEASURE_CONNECTIONS, (double)http_counts(s->http)->connections, NULL);
	}
	for (size_t i = 0; s->runtime && i < runtime_reconcilers(s->runtime); i++) {
		collect_controller(m, s->runtime, i);
	}
	for (size_t i = 0; s->runtime && i < runtime_watches(s->runtime); i++) {
		collect_watch(m, s->runtime, i);
	}
	if (s->runtime && s->lease_name) {
		metric_set(m, MEASURE_LEADER, runtime_leading(s->runtime),
			   METRIC_LABELS(s->lease_name));
	}
	collect_process(m);
}
