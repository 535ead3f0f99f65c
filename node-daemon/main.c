/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmgpu-node: what runs on each node. Without --once it is the daemon (daemon.h); with it, it
 * prints what it sees and needs no cluster. `vmgpu-node observe` is another program (observe.h), and
 * so is `vmgpu-node modules` (modules.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node-daemon/daemon.h"
#include "node-daemon/modules.h"
#include "node-daemon/nvml.h"
#include "node-daemon/observe.h"
#include "node-daemon/plugin_io.h"
#include "node-daemon/podres.h"
#include "node-daemon/print.h"
#include "node-daemon/report.h"
#include "node-daemon/scan.h"
#include "node-daemon/words.h"

#define REPORT_BYTES (64 * MiB)

static const struct flag flags[] = {
	{"node-name", 0, FLAG_STRING, offsetof(struct options, node), .arg = "NAME",
	 .help = "name of this node's Node object (default: $NODE_NAME)"},
	{"sys-root", 0, FLAG_STRING, offsetof(struct options, sys_root), .value = "/sys",
	 .arg = "DIR", .help = "where the machine's /sys is"},
	{"proc-root", 0, FLAG_STRING, offsetof(struct options, proc_root), .value = "/proc",
	 .arg = "DIR", .help = "where the machine's /proc is"},
	{"pci-ids", 0, FLAG_STRING, offsetof(struct options, pci_ids),
	 .value = "/usr/share/misc/pci.ids", .arg = "FILE",
	 .help = "names of vendors and devices, for descriptions"},
	{"state-dir", 0, FLAG_STRING, offsetof(struct options, state_dir),
	 .value = "/var/lib/vmgpu", .arg = "DIR",
	 .help = "where the journal lies that says what was done to this machine's GPUs"},
	{"eyes-socket", 0, FLAG_STRING, offsetof(struct options, eyes), .value = "", .arg = "PATH",
	 .help = "where vmgpu-node observe answers who uses a GPU; empty: this process looks itself, and needs the rights for that"},
	{"tool-socket", 0, FLAG_STRING, offsetof(struct options, tool), .value = "", .arg = "PATH",
	 .help = "where the vendor's tools are asked, which make virtual functions of NVIDIA's cards; empty: there are none"},
	{"device-plugins", 0, FLAG_STRING, offsetof(struct options, plugins),
	 .value = PLUGIN_IO_FOLDER, .arg = "DIR",
	 .help = "the kubelet's folder for device plugins; empty: no kubelet is told of the GPUs"},
	{"pod-resources", 0, FLAG_STRING, offsetof(struct options, pods), .value = PODRES_FOLDER,
	 .arg = "DIR", .help = "the kubelet's folder where it tells which pod has which device"},
	{"pod", 0, FLAG_STRING, offsetof(struct options, pod), .value = "", .arg = "NAMESPACE/NAME",
	 .help = "the pod that this runs in: while the kubelet does not list it, it does not know its pods yet; empty: none"},
	{"lease-namespace", 0, FLAG_STRING, offsetof(struct options, lease_ns), .arg = "NAMESPACE",
	 .help = "where the Lease node-NAME lies that shows this daemon alive (default: the pod's or context's namespace, else default)"},
	{"beat-period", 0, FLAG_DURATION, offsetof(struct options, beat_ms), .value = "10s",
	 .min = 100, .max = 3600000, .help = "how often that Lease is renewed"},
	{"once", 0, FLAG_BOOL, offsetof(struct options, once),
	 .help = "print the report and exit; needs no cluster"},
	{"output", 'o', FLAG_CHOICE, offsetof(struct options, output), .value = "yaml",
	 .choices = PRINT_FORMATS, .help = "how --once prints"},
	{"bench", 0, FLAG_INT, offsetof(struct options, bench), .min = 1, .max = 1000000,
	 .arg = "PASSES", .help = "scan that often and print the times", .hidden = true},
	{0},
};

static int fail(const struct err *err)
{
	fprintf(stderr, "vmgpu-node: %s\n", err->text);
	return PROGRAM_USAGE;
}

static int open_sys(const struct options *o, struct err *err)
{
	int sys = open(o->sys_root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return sys < 0 ? err_set(err, "--sys-root %s: %s", o->sys_root, strerror(errno)) : sys;
}

static int once(const struct options *o, struct err *err)
{
	auto_close int sys = open_sys(o, err);
	attr_cleanup(machine_finish) struct machine m;
	attr_cleanup(arena_finish) struct arena a;
	attr_cleanup(words_finish) struct words w = {.path = o->pci_ids};
	struct utsname name;
	struct status s;

	machine_init(&m);
	arena_init(&a, REPORT_BYTES);
	if (sys < 0) {
		return -1;
	}
	if (scan(sys, &m, err) < 0) {
		return err_wrap(err, "--sys-root %s", o->sys_root);
	}
	words_fill(&w, &m);
	uname(&name);
	report(&m, &(struct report_facts){name.release, VMGPU_VERSION}, NULL, clock_wall_ms(), &a,
	       &s);
	return print_status(stdout, &s, o->node, o->output, err);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int bench(const struct options *o, struct err *err)
{
	auto_close int sys = open_sys(o, err);
	attr_cleanup(machine_finish) struct machine m;
	auto_free int64_t *times = xcalloc((size_t)o->bench, sizeof(*times));
	int64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), first;

	machine_init(&m);
	for (int64_t i = 0; i < o->bench; i++) {
		int64_t start = now_ns(CLOCK_MONOTONIC);

		if (sys < 0 || scan(sys, &m, err) < 0) {
			return -1;
		}
		times[i] = now_ns(CLOCK_MONOTONIC) - start;
	}
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	first = times[0];
	qsort(times, (size_t)o->bench, sizeof(*times), by_value);
	printf("{\"functions\":%zu,\"units\":%zu,\"first_ms\":%.3f,\"median_ms\":%.3f,\"cpu_ms\":%.3f}\n",
	       m.entries, m.functions.n, (double)first / 1e6, (double)times[o->bench / 2] / 1e6,
	       (double)cpu / (double)o->bench / 1e6);
	return 0;
}

/* As in the controller, but silent unless asked: one port of a node may be taken by anybody. */
static const struct flag monitoring_flags[] = {
	{"metrics-bind-address", 0, FLAG_STRING, offsetof(struct monitor_options, metrics),
	 .value = "0", .arg = "ADDRESS",
	 .help = "HOST:PORT or :PORT that serves /metrics for Prometheus, over plain HTTP; 0: none"},
	{"health-probe-bind-address", 0, FLAG_STRING, offsetof(struct monitor_options, health),
	 .value = "0", .arg = "ADDRESS",
	 .help = "HOST:PORT or :PORT that serves /healthz and /readyz, over plain HTTP; 0: none"},
	{0},
};

struct settings {
	struct options options;
	struct monitor_options monitoring;
	struct program_options common;
};

/* NAMESPACE/NAME */
static bool is_pod(const char *text)
{
	size_t n = strcspn(text, "/");

	return n && text[n] && text[n + 1] && !strchr(text + n + 1, '/');
}

static int run(struct settings *s, struct err *err)
{
	auto_close int sys = open_sys(&s->options, err);
	struct monitor *monitor;
	struct program program;
	int rc;

	if (sys < 0) {
		return -1;
	}
	if (str_empty(s->options.node)) {
		return err_set(
			err,
			"--node-name: the name of this node's Node object is needed, here or in $NODE_NAME (--once needs none)");
	}
	if (*s->options.pod && !is_pod(s->options.pod)) {
		return err_set(err, "--pod %s: it is NAMESPACE/NAME of the pod that this runs in",
			       s->options.pod);
	}
	monitor = monitor_create(&s->monitoring);
	s->common.metrics = monitor_metrics(monitor);
	program_begin(&program, "vmgpu-node", &s->common);
	rc = daemon_run(&program, &(struct daemon_settings){&s->options, &s->common, monitor}, sys,
			err);
	program_close(&program);
	monitor_destroy(monitor);
	return rc;
}

/* --- observe ------------------------------------------------------------------------------- */

/* It asks no API server: of program_flags it has two. */
struct observe_typed {
	struct observe_options of;
	struct program_options common;
};

static const struct flag observe_flags[] = {
	{"eyes-socket", 0, FLAG_STRING, offsetof(struct observe_typed, of.socket),
	 .value = "/run/vmgpu/eyes.sock", .arg = "PATH",
	 .help = "where to answer; in a folder that vmgpu-node sees too"},
	{"sys-root", 0, FLAG_STRING, offsetof(struct observe_typed, of.sys_root), .value = "/sys",
	 .arg = "DIR", .help = "where the machine's /sys is; read-only is enough"},
	{"proc-root", 0, FLAG_STRING, offsetof(struct observe_typed, of.proc_root),
	 .value = "/proc", .arg = "DIR", .help = "where the machine's /proc is"},
	{"nvml", 0, FLAG_STRING, offsetof(struct observe_typed, of.nvml), .value = NVML_LIBRARY,
	 .arg = "FILE",
	 .help = "NVIDIA's management library; where there is none, cards are not read, and all else goes on"},
	{"log-level", 0, FLAG_CHOICE, offsetof(struct observe_typed, common.log_level),
	 .value = "info", .choices = LOG_LEVELS, .help = "least severe level that is logged"},
	{"version", 0, FLAG_BOOL, offsetof(struct observe_typed, common.version),
	 .help = "print the version and exit"},
	{0},
};

static int observe(int argc, char **argv, struct err *err)
{
	static const struct flag_text text = {
		.program = "vmgpu-node observe",
		.about =
			"Answers vmgpu-node on a unix socket which processes of this machine use a GPU, and what NVIDIA's cards say of themselves, and writes nothing.\n\n"
			"A process uses a GPU while it has one of its device nodes open or mapped, in whatever container. To see that of all "
			"processes it needs the machine's PID namespace (hostPID) and the capabilities SYS_PTRACE and DAC_READ_SEARCH; so it "
			"runs apart from vmgpu-node, which writes to the machine and needs none of them. It looks only when it is asked. What it "
			"cannot see it says so of, and vmgpu-node then leaves the GPU alone; so it does when nobody answers.\n\n"
			"Cards on NVIDIA's driver are read through its management library: versions, NVLinks, temperature, memory. That is done by a "
			"short-lived child without any capability, never while somebody asks who uses a card, and never right before one may be taken.",
		.examples = "  vmgpu-node observe --eyes-socket /run/vmgpu/eyes.sock\n"
			    "  vmgpu-node --node-name gpu-1 --eyes-socket /run/vmgpu/eyes.sock",
	};
	struct observe_typed typed = {0};
	const struct flag_group groups[] = {{"Flags", observe_flags, &typed}, {0}};
	int args = 0, rc = program_parse(&text, groups, &typed.common, argc, argv, &args);

	if (rc) {
		return rc < 0 ? -2 : 0;
	}
	if (args) {
		return err_set(err,
			       "unexpected argument \"%s\": flags begin with --; see "
			       "vmgpu-node observe --help",
			       argv[1]);
	}
	log_setup((enum log_level)typed.common.log_level, STDERR_FILENO, "vmgpu-node observe");
	return observe_run(&typed.of, err);
}

/* --- modules ------------------------------------------------------------------------------- */

static int modules(int argc, char **argv, struct err *err)
{
	static const struct flag_text text = {
		.program = "vmgpu-node modules",
		.args = "NAME...",
		.about =
			"Loads kernel modules that are not there, with the machine's modprobe, and ends. It takes the capability SYS_MODULE and the machine's\n"
			"/lib/modules. One that cannot be loaded is told, and is no failure.",
		.examples = "  vmgpu-node modules vfio-pci vfio_iommu_type1",
	};
	struct options o = {.sys_root = "/sys"};
	struct program_options common = {0};
	const struct flag_group groups[] = {{0}};
	int names = 0, rc = program_parse(&text, groups, &common, argc, argv, &names);
	auto_close int sys = -1;

	if (rc) {
		return rc < 0 ? -2 : 0;
	}
	sys = open_sys(&o, err);
	if (sys < 0) {
		return -1;
	}
	log_setup(LOG_LEVEL_INFO, STDERR_FILENO, "vmgpu-node modules");
	modules_load(sys, argv + 1, (size_t)names);
	return 0;
}

/* --- which of them ------------------------------------------------------------------------- */

static int look_or_run(int argc, char **argv, struct err *err)
{
	static const struct flag_text text = {
		.program = "vmgpu-node",
		.about =
			"Reports the GPUs of this node in its GPUNode object, notices by itself when they change, and brings them to vfio-pci as the controller orders it there.\n\n"
			"vmgpu-node observe --help: the part of it that sees who uses GPUs; vmgpu-node modules --help: the one that loads kernel modules.",
		.examples = "  vmgpu-node --once -o table",
	};
	struct settings s = {0};
	const struct flag_group groups[] = {{"Flags", flags, &s.options},
					    {"Metrics and probes", monitoring_flags, &s.monitoring},
					    {"Common flags", program_flags, &s.common},
					    {0}};
	int args = 0, rc = program_parse(&text, groups, &s.common, argc, argv, &args);

	if (rc) {
		return rc < 0 ? -2 : 0;
	}
	s.options.node = s.options.node ? s.options.node : getenv("NODE_NAME");
	if (args) {
		return err_set(err, "unexpected argument \"%s\": flags begin with --; see --help",
			       argv[1]);
	}
	if (s.options.bench) {
		return bench(&s.options, err);
	}
	return s.options.once ? once(&s.options, err) : run(&s, err);
}

/* -2: it was said already. */
int main(int argc, char **argv)
{
	struct err err;
	const char *verb = argc > 1 ? argv[1] : "";
	int rc = str_eq(verb, "observe")   ? observe(argc - 1, argv + 1, &err)
		 : str_eq(verb, "modules") ? modules(argc - 1, argv + 1, &err)
					   : look_or_run(argc, argv, &err);

	return rc == -2 ? PROGRAM_USAGE : rc < 0 ? fail(&err) : 0;
}
