/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/monitor.h"

#include <string.h>

#include <stdlib.h>

#include "base/log.h"
#include "kube/runtime.h"
#include "kube/serve.h"

#define TEXT "text/plain; charset=utf-8"

const struct flag monitor_flags[] = {
	{"metrics-bind-address", 0, FLAG_STRING, offsetof(struct monitor_options, metrics),
	 .value = ":8080", .arg = "ADDRESS",
	 .help = "HOST:PORT or :PORT that serves /metrics for Prometheus, over plain HTTP; 0: none"},
	{"health-probe-bind-address", 0, FLAG_STRING, offsetof(struct monitor_options, health),
	 .value = ":8081", .arg = "ADDRESS",
	 .help = "HOST:PORT or :PORT that serves /healthz and /readyz, over plain HTTP; 0: none"},
	{0},
};

struct monitor {
	const struct monitor_options *o;
	struct metrics *metrics;
	struct measure_sources sources;
	struct serve *metrics_serve, *health_serve;
	void (*also)(void *ctx, struct buf *out); /* or NULL */
	void *also_ctx;
};

static bool wanted(const char *address)
{
	return !str_empty(address) && !str_eq(address, "0");
}

struct monitor *monitor_create(const struct monitor_options *o)
{
	struct monitor *m = xcalloc(1, sizeof(*m));

	*m = (struct monitor){.o = o, .metrics = wanted(o->metrics) ? measure_create() : NULL};
	return m;
}

struct metrics *monitor_metrics(struct monitor *m)
{
	return m->metrics;
}

void monitor_also(struct monitor *m, void (*write)(void *ctx, struct buf *out), void *ctx)
{
	m->also = write;
	m->also_ctx = ctx;
}

static int answer_metrics(void *ctx, struct buf *body)
{
	struct monitor *m = ctx;

	measure_collect(m->metrics, &m->sources);
	metrics_write(m->metrics, body);
	if (m->also) {
		m->also(m->also_ctx, body);
	}
	return 200;
}

static int answer_health(void *ctx, struct buf *body)
{
	(void)ctx;
	buf_str(body, "ok\n");
	return 200;
}

static int answer_ready(void *ctx, struct buf *body)
{
	const struct monitor *m = ctx;
	const struct runtime *r = m->sources.runtime;
	bool ready = r && runtime_ready(r);
	const char *trouble = r ? runtime_trouble(r) : NULL;

	buf_str(body, ready ? "ok" : "not ready");
	if (trouble) {
		/* Anybody may ask here: what others said (an error with a proxy's password in it, the
		 * last words of a credential plugin) is for the log, which redacts. */
		size_t own = strcspn(trouble, ":");

		buf_printf(body, ": %.*s%s", (int)own, trouble,
			   trouble[own] ? " fails, the log says why" : "");
	}
	buf_char(body, '\n');
	return ready ? 200 : 503;
}

static const struct serve_route metrics_routes[] = {
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
	{0},
};

static const struct serve_route health_routes[] = {
	{"/healthz", TEXT, answer_health},
	{"/readyz", TEXT, answer_ready},
	{0},
};

static int open_one(struct monitor *m, const char *flag, const char *address,
		    const struct serve_route *routes, struct serve **ret, struct err *err)
{
	struct serve *s;

	if (!wanted(address)) {
		return 0;
	}
	s = serve_create(m->sources.loop, address, routes, m, err);
	if (!s) {
		struct err why = *err;

		return err_set(err, "--%s: %s (give another, as in --%s=:8080, or 0 for none)",
			       flag, why.text, flag);
	}
	log_info("serving", log_str("path", routes->path), log_str("address", address),
		 log_int("port", serve_port(s)));
	*ret = s;
	return 0;
}

int monitor_start(struct monitor *m, const struct measure_sources *sources, struct err *err)
{
	m->sources = *sources;
	if (open_one(m, "metrics-bind-address", m->o->metrics, metrics_routes, &m->metrics_serve,
		     err) < 0) {
		return -1;
	}
	return open_one(m, "health-probe-bind-address", m->o->health, health_routes,
			&m->health_serve, err);
}

int monitor_metrics_port(const struct monitor *m)
{
	return m->metrics_serve ? serve_port(m->metrics_serve) : 0;
}

int monitor_health_port(const struct monitor *m)
{
	return m->health_serve ? serve_port(m->health_serve) : 0;
}

void monitor_stop(struct monitor *m)
{
	m->metrics_serve = serve_destroy(m->metrics_serve);
	m->health_serve = serve_destroy(m->health_serve);
	m->sources = (struct measure_sources){0};
}

struct monitor *monitor_destroy(struct monitor *m)
{
	if (m) {
		monitor_stop(m);
		metrics_destroy(m->metrics);
		free(m);
	}
	return NULL;
}
