/* SPDX-License-Identifier: Apache-2.0 */
/* vmgpu-controller: parse flags, name kinds and reconcilers, run. */
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "api/vmgpu.h"
#include "controller/beats_watch.h"
#include "controller/kinds.h"
#include "controller/options.h"
#include "controller/plan_node.h"
#include "kube/monitor.h"
#include "kube/program.h"
#include "kube/runtime.h"

struct settings {
	const char *lease_ns, *lease_name, *beats_ns;
	bool elect;
	int64_t lease_duration, renew_period, renew_deadline, retry_period, passes;
};

#define AT(member) offsetof(struct settings, member)
static const struct flag flags[] = {
	{"leader-elect", 0, FLAG_BOOL, AT(elect), .value = "true",
	 .help = "only the holder of a Lease writes"},
	{"leader-elect-namespace", 0, FLAG_STRING, AT(lease_ns), .arg = "NAMESPACE",
	 .help = "namespace of the Lease (default: the pod's or context's, else default)"},
	{"leader-elect-name", 0, FLAG_STRING, AT(lease_name), .value = "vmgpu-controller",
	 .arg = "NAME", .help = "name of the Lease"},
	{"lease-duration", 0, FLAG_DURATION, AT(lease_duration), .value = "15s", .min = 1000,
	 .max = 3600000, .help = "how long others wait for a silent leader"},
	{"renew-deadline", 0, FLAG_DURATION, AT(renew_deadline), .value = "10s", .min = 500,
	 .max = 3600000, .help = "how long the leader writes on without a renewal"},
	{"renew-period", 0, FLAG_DURATION, AT(renew_period), .value = "5s", .min = 100,
	 .max = 3600000, .help = "how often the leader renews"},
	{"retry-period", 0, FLAG_DURATION, AT(retry_period), .value = "2s", .min = 100,
	 .max = 3600000, .help = "how often others look, and a failed renewal is repeated"},
	{"node-lease-namespace", 0, FLAG_STRING, AT(beats_ns), .arg = "NAMESPACE",
	 .help = "where the nodes' vmgpu-node renew their Leases, which show them alive (default: the namespace of this program's own)"},
	{"concurrent-passes", 0, FLAG_INT, AT(passes), .value = "16", .min = 1, .max = 256,
	 .help = "objects worked on at once"},
	{0},
};

static const struct flag_text text = {
	.program = "vmgpu-controller",
	.about =
		"Turns VirtualMachine, VMInstance, VMDisk and Kubernetes with spec.gpus[] into KubeVirt machines that have their GPUs,\n"
		"and keeps the KubeVirt CR's permittedHostDevices in step with the GPUs of the fleet.",
	.examples = "  vmgpu-controller --kubeconfig ~/.kube/config --leader-elect=false",
};

static void on_signal(void *ctx, int signo)
{
	(void)signo;
	runtime_stop(ctx);
}

/* Serves what r is and does while the loop runs. */
static int serve(struct program *p, struct monitor *m, struct runtime *r, const char *lease_name)
{
	static const int signals[] = {SIGTERM, SIGINT};
	const struct measure_sources sources = {
		.loop = p->loop, .http = p->http, .runtime = r, .lease_name = lease_name};
	struct err err;

	if (monitor_start(m, &sources, &err) < 0) {
		fprintf(stderr, "vmgpu-controller: %s\n", err.text);
		return PROGRAM_USAGE;
	}
	loop_signals(p->loop, signals, ARRAY_LEN(signals), on_signal, r);
	runtime_start(r);
	loop_run(p->loop);
	return runtime_lost(r) ? 1 : 0;
}

static int run(struct program *p, struct monitor *m, const struct settings *s,
	       const struct options_typed *typed)
{
	struct beats *beats = beats_create();
	struct options options = options_of(typed);
	const char *ns = s->lease_ns ? s->lease_ns : p->config.ns ? p->config.ns : "default";
	const struct runtime_narrow narrow[] = {
		{.kind = &kind_beat, .ns = s->beats_ns ? s->beats_ns : ns}, {0}};
	struct beats_watch *watch;
	struct runtime_settings settings = {
		.kinds = controller_kinds,
		.crd_kind = &kind_crd,
		.reconcilers = controller_reconcilers,
		.options = &options,
		.identity = p->identity,
		.component = "vmgpu-controller",
		.narrow = narrow,
		.lease_ns = ns,
		.top_term = node_top_term,
		.term_kind = &kind_gpu_node,
		.lease_name = s->elect ? s->lease_name : NULL,
		.lease = {s->lease_duration, s->renew_period, s->retry_period, s->renew_deadline},
		.passes = (int)s->passes,
		.random = program_random,
		.metrics = monitor_metrics(m),
	};
	struct runtime *r = runtime_create(p->loop, p->http, &settings);
	int rc;

	options.beats = beats;
	watch = beats_watch_create(p->loop, r, beats);
	rc = serve(p, m, r, settings.lease_name);
	monitor_stop(m);
	runtime_close(r);
	p->http = http_destroy(p->http);
	runtime_destroy(r);
	beats_watch_destroy(watch);
	beats_destroy(beats);
	return rc;
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct options_typed typed = {0};
	struct monitor_options monitoring = {0};
	struct program_options common = {0};
	struct monitor *monitor;
	const struct flag_group groups[] = {{"Flags", flags, &settings},
					    {"What is written", options_flags, &typed},
					    {"Metrics and probes", monitor_flags, &monitoring},
					    {"Common flags", program_flags, &common},
					    {0}};
	struct program program;
	struct err err = {""};
	int args = 0, r;

	r = program_parse(&text, groups, &common, argc, argv, &args);
	if (r) {
		return r < 0 ? PROGRAM_USAGE : 0;
	}
	if (args > 0) {
		fprintf(stderr,
			"vmgpu-controller: unexpected argument \"%s\": flags begin with --; see --help\n",
			argv[1]);
		return PROGRAM_USAGE;
	}
	if (lease_check(&(struct lease_settings){settings.lease_duration, settings.renew_period,
						 settings.retry_period, settings.renew_deadline},
			&err) < 0) {
		fprintf(stderr, "vmgpu-controller: %s\n", err.text);
		return PROGRAM_USAGE;
	}
	monitor = monitor_create(&monitoring);
	common.metrics = monitor_metrics(monitor);
	if (program_open(&program, "vmgpu-controller", &common) < 0) {
		monitor_destroy(monitor);
		return PROGRAM_USAGE;
	}
	r = run(&program, monitor, &settings, &typed);
	program_close(&program);
	monitor_destroy(monitor);
	return r;
}
