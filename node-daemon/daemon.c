/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/core.h"
#include "base/log.h"
#include "base/slab.h"
#include "kube/queue.h"
#include "kube/runtime.h"
#include "node-daemon/beat.h"
#include "node-daemon/looks.h"
#include "node-daemon/obey.h"
#include "node-daemon/plan_cut.h"
#include "node-daemon/plan_report.h"
#include "node-daemon/supply.h"
#include "node-daemon/telemetry.h"

#define NODE_RETRY_MS 5000
#define TRIM_MS 5000 /* without a report: what the last one took goes back to the kernel */
/* The kubelet is told of the cards before what does not need it is begun. */
#define KUBELET_FIRST_MS 25

struct daemon {
	const struct options *o;
	const struct program_options *common;
	struct program *program;
	struct monitor *monitor;
	struct loop_timer *connect; /* to the API server */
	struct runtime *runtime;    /* NULL: not yet */
	struct beat *beat;
	bool monitored;
	int sys, proc;
	struct looks looks;
	struct obey *obey;
	struct supply *supply; /* NULL: there is no journal yet, or no kubelet is to be told */
	struct telemetry *telemetry;
	struct utsname kernel;
	struct loop_timer *ask; /* for the Node */
	struct loop_timer *trim;
	char *node_uid; /* NULL: not known, or used: the Node may be another one by now */
	struct http_request *asking;
	bool stopping, failed; /* failed: err says how */
	struct err *err;
};

static void on_signal(void *ctx, int signo);

static void on_look(void *ctx)
{
	struct daemon *d = ctx;

	obey_looked(d->obey, &d->looks.machine);
}

static void on_change(void *ctx)
{
	struct daemon *d = ctx;

	if (d->runtime) {
		runtime_wake(d->runtime, &kind_own_node, NULL, d->o->node);
	}
}

static void want_look(void *ctx)
{
	struct daemon *d = ctx;

	looks_soon(&d->looks);
}

/* --- the kubelet --------------------------------------------------------------------------- */

static const char *busy(void *ctx, uint64_t unit, struct arena *a)
{
	const struct daemon *d = ctx;

	return d->supply ? supply_busy(d->supply, unit, a) : NULL;
}

/* Who would have vGPUs of a kubelet's pods is known when their uses are. */
static bool given(void *ctx, struct arena *a, struct cut_use_list *ret)
{
	const struct daemon *d = ctx;

	*ret = (struct cut_use_list){0};
	if (d->supply) {
		supply_given(d->supply, a, ret);
	}
	return !*d->o->plugins || d->supply;
}

/* A folder that was replaced cannot be seen from within a mount: whoever starts us mounts anew. */
static void on_lost(void *ctx)
{
	struct daemon *d = ctx;

	d->failed = true;
	err_set(d->err,
		"--device-plugins %s: it has been removed; it is mounted anew at the next start",
		d->o->plugins);
	on_signal(d, SIGTERM);
}

/* Who has what is only known where the journal can be had. */
static void on_turn(void *ctx)
{
	struct daemon *d = ctx;

	if (d->supply) {
		supply_turn(d->supply);
	} else if (*d->o->plugins && d->obey && obey_journal(d->obey)) {
		d->supply = supply_create(&(struct supply_settings){
			.loop = d->program->loop,
			.eyes = {d->program->loop, d->o->eyes, d->sys, d->proc, NULL},
			.sys = d->sys,
			.obey = d->obey,
			.plugins = d->o->plugins,
			.pods = d->o->pods,
			.pod = d->o->pod,
			.links = telemetry_links(d->telemetry),
			.changed = on_change,
			.lost = on_lost,
			.look = want_look,
			.ctx = d});
	}
}

static void on_beat(void *ctx)
{
	struct daemon *d = ctx;

	if (!obey_writes(d->obey)) { /* a reading would hold what is to be let go of */
		telemetry_beat(d->telemetry, &d->looks.machine);
	}
	if (d->supply) {
		supply_beat(d->supply);
	}
}

/* As its GPUNode has it: what the Node was called when that was made. */
static const char *node_uid(void *ctx)
{
	const struct daemon *d = ctx;
	const struct obj *have =
		d->runtime ? cache_get(runtime_cache(d->runtime), &kind_own_node, NULL, d->o->node)
			   : NULL;

	return have && !have->deleting && str_eq(have->owner_kind, "Node") ? have->owner_uid : NULL;
}

/* --- the Node ------------------------------------------------------------------------------ */

static void on_node(void *ctx, const struct http_answer *answer)
{
	struct daemon *d = ctx;
	json_t *node =
		answer->status == 200 ? json_loadb(answer->body, answer->length, 0, NULL) : NULL;
	const char *uid =
		json_string_value(json_object_get(json_object_get(node, "metadata"), "uid"));

	d->asking = NULL;
	if (uid) {
		free(d->node_uid);
		d->node_uid = xstrdup(uid);
		runtime_wake(d->runtime, &kind_own_node, NULL, d->o->node);
	} else if (!d->stopping) {
		log_warn(answer->status == 404 ? "no such Node: is --node-name right?"
					       : "the Node could not be read",
			 log_str("node", d->o->node), log_int("status", answer->status),
			 log_str("reason", answer->error));
		loop_timer_set(d->ask, loop_now(d->program->loop) + NODE_RETRY_MS);
	}
	json_decref(node);
}

static void on_ask(void *ctx)
{
	struct daemon *d = ctx;
	attr_cleanup(buf_finish) struct buf path;

	buf_init(&path, 4 * KiB);
	kind_path(&kind_node, "v1", NULL, d->o->node, NULL, &path);
	d->asking = http_start(d->program->http, &(struct http_call){
							 .method = "GET",
							 .path = buf_text(&path),
							 .timeout_ms = NODE_RETRY_MS,
							 .done = on_node,
							 .ctx = d,
							 .verb = "get",
							 .resource = "nodes",
						 });
}

/* --- passes -------------------------------------------------------------------------------- */

/* One GET gives one uid for one writing of it: when the GPUNode is gone again, its Node may be
 * another one. */
static const void *gather(const struct pass *pass)
{
	struct daemon *d = (struct daemon *)(uintptr_t)pass->options;
	struct report_seen *seen = arena_new(pass->arena, struct report_seen);
	struct report_obeyed *obeyed = arena_new(pass->arena, struct report_obeyed);
	struct report_read *read = arena_new(pass->arena, struct report_read);
	const struct own_node *have = cache_get(pass->cache, &kind_own_node, NULL, d->o->node);

	loop_timer_set(d->trim, loop_now(d->program->loop) + TRIM_MS);
	obey_orders(d->obey, have ? have->orders : NULL, have ? &have->obj : NULL,
		    have && have->status ? have->status->observed_term : 0);
	if (!obey_alone(d->obey)) {
		return NULL;
	}
	obey_report(d->obey, pass->arena, obeyed);
	if (d->supply) {
		supply_report(d->supply, pass->arena, obeyed);
	}
	if (have && have->status) {
		telemetry_recall(d->telemetry, &d->looks.machine, have->status);
	}
	telemetry_report(d->telemetry, pass->arena, read);
	*seen = (struct report_seen){
		.have = have,
		.name = d->o->node,
		.machine = &d->looks.machine,
		.facts = {d->kernel.release, VMGPU_VERSION, d->looks.blind, obeyed, read},
		.now_ms = pass->now_ms,
	};
	if (plan_report_wants_uid(seen->have) && d->node_uid) {
		seen->node_uid = arena_strdup(pass->arena, d->node_uid);
		free(take(d->node_uid));
	} else if (plan_report_wants_uid(seen->have) && !d->asking &&
		   loop_timer_at(d->ask) == INT64_MAX) {
		loop_timer_set(d->ask, loop_now(d->program->loop));
	}
	return seen;
}

/* A report of 512 cards takes more memory than all else together, until it is answered. */
static void on_trim(void *ctx)
{
	struct daemon *d = ctx;
	struct runtime_stats stats;
	struct queue_stats queue;

	malloc_trim(0);
	slab_trim();
	runtime_stats(d->runtime, 0, &stats, &queue);
	if (stats.active) {
		loop_timer_set(d->trim, loop_now(d->program->loop) + TRIM_MS);
	}
}

static void on_signal(void *ctx, attr_unused int signo)
{
	struct daemon *d = ctx;

	d->stopping = true;
	if (d->runtime) {
		runtime_stop(d->runtime);
	} else {
		loop_stop(d->program->loop);
	}
}

/* --- the API server ------------------------------------------------------------------------ */

static void begin_runtime(struct daemon *d)
{
	static const struct kube_kind *const kinds[] = {&kind_own_node, NULL};
	static const struct reconciler reporter = {
		.name = "report", .primary = &kind_own_node, .gather = gather, .plan = plan_report};
	static const struct reconciler *const reconcilers[] = {&reporter, NULL};
	auto_free char *selector = xprintf("metadata.name=%s", d->o->node);
	const struct runtime_narrow narrow[] = {{&kind_own_node, selector}, {0}};
	const struct runtime_settings settings = {
		.kinds = kinds,
		.narrow = narrow,
		.reconcilers = reconcilers,
		.options = d,
		.identity = d->program->identity,
		.component = "vmgpu-node",
		.random = program_random,
		.metrics = monitor_metrics(d->monitor),
	};
	const char *ns = d->program->config.ns ? d->program->config.ns : "default";
	const struct beat_settings beat = {.ns = d->o->lease_ns ? d->o->lease_ns : ns,
					   .node = d->o->node,
					   .period_ms = d->o->beat_ms,
					   .random = program_random,
					   .node_uid = node_uid,
					   .also = on_beat,
					   .ctx = d};

	d->runtime = runtime_create(d->program->loop, d->program->http, &settings);
	d->beat = beat_create(d->program->loop, d->program->http, &beat);
}

static int connect_api(struct daemon *d, struct err *err)
{
	if (program_connect(d->program, d->common, err) < 0) {
		return -1;
	}
	begin_runtime(d);
	if (monitor_start(d->monitor,
			  &(struct measure_sources){.loop = d->program->loop,
						    .http = d->program->http,
						    .runtime = d->runtime},
			  err) < 0) {
		return -1;
	}
	d->monitored = true;
	runtime_start(d->runtime);
	runtime_wake(d->runtime, &kind_own_node, NULL, d->o->node);
	return 0;
}

static void on_connect(void *ctx)
{
	struct daemon *d = ctx;

	looks_words(&d->looks);
	if (connect_api(d, d->err) < 0) {
		d->failed = true;
		loop_stop(d->program->loop);
	}
}

static void disconnect(struct daemon *d)
{
	if (d->monitored) {
		monitor_stop(d->monitor);
	}
	if (d->runtime) {
		beat_destroy(d->beat);
		runtime_close(d->runtime);
	}
	d->program->http = http_destroy(d->program->http);
	if (d->runtime) {
		runtime_destroy(d->runtime);
	}
}

/* --- the daemon ---------------------------------------------------------------------------- */

static void begin(struct daemon *d)
{
	static const int signals[] = {SIGTERM, SIGINT};

	d->ask = loop_timer_create(d->program->loop, on_ask, d, "node");
	d->trim = loop_timer_create(d->program->loop, on_trim, d, "trim");
	d->connect = loop_timer_create(d->program->loop, on_connect, d, "connect");
	d->obey = obey_create(&(struct obey_settings){.loop = d->program->loop,
						      .sys = d->sys,
						      .proc = d->proc,
						      .state_dir = d->o->state_dir,
						      .eyes = d->o->eyes,
						      .tool = d->o->tool,
						      .node = d->o->node,
						      .look = want_look,
						      .changed = on_change,
						      .turned = on_turn,
						      .busy = busy,
						      .given = given,
						      .ctx = d});
	d->telemetry = telemetry_create(&(struct telemetry_settings){
		.eyes = {d->program->loop, d->o->eyes, d->sys, d->proc, NULL},
		.node = d->o->node,
		.often = monitor_metrics(d->monitor) != NULL,
		.changed = on_change,
		.ctx = d});
	monitor_also(d->monitor, telemetry_metrics, d->telemetry);
	obey_looked(d->obey, &d->looks.machine);
	loop_signals(d->program->loop, signals, ARRAY_LEN(signals), on_signal, d);
	loop_timer_set(d->connect, loop_now(d->program->loop) + KUBELET_FIRST_MS);
}

static void finish(struct daemon *d)
{
	disconnect(d);
	d->supply = d->supply ? supply_destroy(d->supply) : NULL;
	obey_destroy(d->obey);
	telemetry_destroy(d->telemetry);
	looks_finish(&d->looks);
	loop_timer_destroy(d->ask);
	loop_timer_destroy(d->trim);
	loop_timer_destroy(d->connect);
	free(d->node_uid);
	if (d->proc >= 0) {
		close(d->proc);
	}
}

int daemon_run(struct program *p, const struct daemon_settings *s, int sys, struct err *err)
{
	struct daemon d = {.o = s->options,
			   .common = s->common,
			   .program = p,
			   .monitor = s->monitor,
			   .err = err,
			   .sys = sys,
			   .proc = open(s->options->proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC),
			   .looks = {.fn = on_look, .ctx = &d}};

	uname(&d.kernel);
	if (d.proc < 0) {
		return err_set(err, "--proc-root %s: %s", d.o->proc_root, strerror(errno));
	}
	if (looks_start(&d.looks, p->loop, sys, d.o->pci_ids, err) < 0) {
		return err_wrap(err, "--sys-root %s", d.o->sys_root);
	}
	log_info("looked at the machine", log_int("functions", (int64_t)d.looks.machine.entries),
		 log_int("of interest", (int64_t)d.looks.machine.functions.n));
	begin(&d);
	loop_run(p->loop);
	finish(&d);
	return d.failed ? -1 : 0;
}
