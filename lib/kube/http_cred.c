/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials over time: files are read again every minute and after a 401; an exec plugin runs as
 * a child, requests wait for it.
 */
#include "kube/http_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "base/clock.h"

#define AGAIN_MS 1000 /* a burst of 401 looks at the files once */
#define OUT_MAX (256 * KiB)

void http_notice(struct http *h, bool bad, const char *sentence)
{
	if (!h->settings.notice || str_eq(h->last_notice, sentence)) {
		return;
	}
	free(h->last_notice);
	h->last_notice = xstrdup(sentence);
	h->settings.notice(h->settings.ctx, bad, sentence);
}

/* Files */

static void refresh(struct http *h)
{
	struct err err;
	int r;

	h->refreshed_ms = loop_now(h->loop);
	r = config_refresh(h->config, &err);
	if (r < 0) {
		http_notice(h, true, err.text);
	} else if (r > 0) {
		h->plugin = process_kill(h->plugin); /* it may be another one now */
		h->plugin_failed = false;
		http_notice(h, false,
			    "the kubeconfig or a file that it names has changed and is in use");
		http_soon(h);
	} else if (!h->plugin_failed) {
		free(take(h->last_notice)); /* well again: the same failure later is news */
	}
}

void http_cred_tick(void *ctx)
{
	struct http *h = ctx;

	refresh(h);
	http_trim(h);
	loop_timer_set(h->refresh_timer, loop_now(h->loop) + HTTP_REFRESH_MS);
}

/* The plugin */

static void plugin_failed(struct http *h, const char *why)
{
	const char *hint = config_exec_hint(h->config);

	h->plugin_failed = true;
	err_set(&h->plugin_err, "no credentials: %s%s%s", why, hint ? "; " : "", hint ? hint : "");
	http_notice(h, true, h->plugin_err.text);
}

/* The last line that the plugin wrote to its standard error, which usually says what is wrong. */
static const char *last_line(const char *message, char *line, size_t size)
{
	size_t n = strlen(message), start;

	while (n && (unsigned char)message[n - 1] <= ' ') {
		n--;
	}
	for (start = n; start && message[start - 1] != '\n'; start--) {
	}
	snprintf(line, size, "%.*s", (int)(n - start), message + start);
	for (char *p = line; *p; p++) {
		*p = (unsigned char)*p < ' ' ? ' ' : *p;
	}
	return line;
}

static int check_exit(const struct http *h, const struct process_result *r, struct err *err)
{
	const char *name = config_exec_argv(h->config)[0];
	char line[300];

	last_line(r->message, line, sizeof(line));
	if (r->timed_out) {
		return err_set(
			err,
			"exec plugin %s did not end within %d s; run it by hand to see what it waits for",
			name,
			(config_exec_stdin(h->config) ? HTTP_PLUGIN_ASK_MS : HTTP_PLUGIN_MS) /
				1000);
	}
	if (r->too_big) {
		return err_set(
			err,
			"exec plugin %s printed more than %zu KiB; run it by hand to see what it prints",
			name, OUT_MAX / KiB);
	}
	if (r->status) {
		return err_set(err, "exec plugin %s failed with exit code %d%s%s", name, r->status,
			       *line ? ": " : "", line);
	}
	return 0;
}

static void on_plugin(void *ctx, const struct process_result *r)
{
	struct http *h = ctx;
	struct err err;

	h->plugin = NULL;
	if (check_exit(h, r, &err) < 0 ||
	    config_exec_result(h->config, r->out, r->length, clock_wall_ms(), &err) < 0) {
		plugin_failed(h, err.text);
	} else if (h->plugin_failed) {
		h->plugin_failed = false;
		http_notice(h, false, "the exec plugin gives credentials again");
	}
	http_soon(h);
}

static void start_plugin(struct http *h)
{
	bool terminal = config_exec_stdin(h->config);
	const struct process_spec spec = {
		.name = "exec plugin",
		.argv = config_exec_argv(h->config),
		.environ = config_exec_environ(h->config),
		.terminal = terminal,
		.timeout_ms = h->settings.plugin_ms ? h->settings.plugin_ms
			      : terminal	    ? HTTP_PLUGIN_ASK_MS
						    : HTTP_PLUGIN_MS,
		.max_out = OUT_MAX,
		.done = on_plugin,
		.ctx = h,
	};
	struct err err;

	h->plugin_ms = loop_now(h->loop);
	if (config_exec_blind(h->config)) { /* client-go's words */
		plugin_failed(
			h,
			"exec plugin cannot support interactive mode: standard input is not a terminal");
		return;
	}
	h->plugin = process_start(h->loop, &spec, &err);
	if (!h->plugin) {
		err_wrap(&err, "exec plugin");
		plugin_failed(h, err.text);
	}
}

/* For requests */

static bool plugin_may_run(const struct http *h)
{
	return !h->plugin_failed || loop_now(h->loop) - h->plugin_ms >= HTTP_PLUGIN_AGAIN_MS;
}

bool http_cred_ready(struct http *h)
{
	if (config_exec_wanted(h->config, clock_wall_ms())) {
		if (!h->plugin && plugin_may_run(h)) {
			start_plugin(h);
		}
		if (!h->plugin && h->plugin_failed) {
			http_fail_queued(h, h->plugin_err.text);
		}
		return false;
	}
	if (!h->peer || h->peer->generation != h->config->generation) {
		struct http_peer *was = h->peer;

		h->peer = http_peer_create(h->config, h);
		if (was && http_peer_same_way(was, h->peer)) { /* what was learned of the way */
			h->peer->http1 = was->http1;
			h->peer->https_proxy = was->https_proxy;
		}
		http_peer_unref(was);
		http_measure_peer(h);
	}
	return true;
}

/* The plugin's credential is refused: once more, unless it has just run. */
static bool expire_plugin(struct http *h)
{
	if (!config_exec_argv(h->config) ||
	    loop_now(h->loop) - h->plugin_ms < HTTP_PLUGIN_AGAIN_MS) {
		return false;
	}
	config_exec_expire(h->config);
	return true;
}

bool http_cred_renewed(struct http_request *r)
{
	struct http *h = r->http;

	if (r->generation == h->config->generation &&
	    loop_now(h->loop) - h->refreshed_ms >= AGAIN_MS) {
		refresh(h);
	}
	return r->generation != h->config->generation;
}

bool http_cred_again(struct http_request *r)
{
	struct http *h = r->http;

	if (!http_cred_renewed(r) && !h->plugin && !expire_plugin(h)) {
		return false;
	}
	r->tried_401 = true;
	http_measure_retry(r);
	http_requeue(r);
	return true;
}

void http_cred_finish(struct http *h)
{
	h->plugin = process_kill(h->plugin);
}
