/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus and the kubelet read, over real sockets, of a runtime that follows no kinds. */
#include "kube/monitor.h"

#include <netinet/in.h>

#include "base/log.h"
#include "kube/http_test.h"
#include "kube/runtime.h"
#include "kube/thing_test.h"

static int status = 200;

static void answer_status(struct srv_request *r)
{
	srv_reply(r, status, NULL, "{}");
}

static char *ask(int port, const char *path)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_free char *request = xprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	char *bytes = xcalloc(1, MiB);
	size_t have = 0;
	ssize_t n = -1;

	is_int(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	is_int(send(fd, request, strlen(request), MSG_NOSIGNAL), (int64_t)strlen(request));
	for (int i = 0; i < 1000 && n; i++) {
		loop_turn(loop, 1);
		n = recv(fd, bytes + have, MiB - 1 - have, MSG_DONTWAIT);
		have += n > 0 ? (size_t)n : 0;
	}
	is_int(n, 0);
	return bytes;
}

static void is_asked(int port, const char *path, const char *start, const char *finish)
{
	auto_free char *answer = ask(port, path);

	ok(str_starts(answer, start));
	is_str(answer + MAX(strlen(answer), strlen(finish)) - strlen(finish), finish);
}

static void health_follows_the_runtime(void)
{
	static const struct kube_kind *const kinds[] = {NULL};
	static const struct reconciler *const reconcilers[] = {NULL};
	const struct monitor_options o = {"0", "127.0.0.1:0"};
	struct monitor *m = monitor_create(&o);
	struct runtime *r;
	struct err err;
	int port;

	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	begin(answer_status);
	r = runtime_create(loop, http,
			   &(struct runtime_settings){.kinds = kinds,
						      .reconcilers = reconcilers,
						      .identity = "test",
						      .component = "test"});
	is_int(monitor_start(m, &(struct measure_sources){loop, http, r, NULL}, &err), 0);
	port = monitor_health_port(m);
	is_asked(port, "/healthz", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	is_asked(port, "/readyz", "HTTP/1.1 503 ", "\r\n\r\nnot ready\n");
	runtime_wake(r, NULL, NULL, "x"); /* the first look: nothing is left to be read */
	is_asked(port, "/healthz", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	is_asked(port, "/readyz", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	status = 401;
	get_done("/x");
	is_asked(port, "/readyz", "HTTP/1.1 503 ",
		 "\r\n\r\nnot ready: the API server refuses our credentials (401)\n");
	is_asked(port, "/healthz", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	status = 200;
	get_done("/x");
	is_asked(port, "/readyz", "HTTP/1.1 200 ", "\r\n\r\nok\n");
	is_asked(port, "/metrics", "HTTP/1.1 404 ", "\n");
	monitor_destroy(m);
	runtime_close(r);
	http = http_destroy(http);
	runtime_destroy(r);
	end();
}

static double half(void *ctx attr_unused)
{
	return 0.5;
}

static void answer_with_a_secret(struct srv_request *r)
{
	if (!strstr(r->path, "watch=")) {
		srv_reply(r, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}");
		return;
	}
	srv_reply(
		r, 200, NULL,
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"no way to http://admin:S3cret@h\"}}");
}

/* Anybody may ask there. */
static void nothing_of_others_words_is_served(void)
{
	static const struct kube_kind *const kinds[] = {&thing, NULL};
	static const struct reconciler *const reconcilers[] = {NULL};
	const struct monitor_options o = {"0", "127.0.0.1:0"};
	struct monitor *m = monitor_create(&o);
	struct runtime *r;
	struct err err;

	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	begin(answer_with_a_secret);
	r = runtime_create(loop, http,
			   &(struct runtime_settings){.kinds = kinds,
						      .reconcilers = reconcilers,
						      .identity = "test",
						      .component = "test",
						      .random = half});
	is_int(monitor_start(m, &(struct measure_sources){loop, http, r, NULL}, &err), 0);
	runtime_start(r);
	wait_for(runtime_trouble(r) && strstr(runtime_trouble(r), "S3cret"));
	is_asked(monitor_health_port(m), "/readyz", "HTTP/1.1 200 ",
		 "\r\n\r\nok: watching things fails, the log says why\n");
	monitor_destroy(m);
	runtime_close(r);
	http = http_destroy(http);
	runtime_destroy(r);
	end();
}

static void write_more(void *ctx, struct buf *out)
{
	buf_str(out, ctx);
}

static void metrics_are_served_under_their_names(void)
{
	const struct monitor_options o = {"127.0.0.1:0", "0"};
	struct monitor *m = monitor_create(&o);
	auto_free char *text = NULL;
	struct err err;

	status = 200;
	begin(answer_status);
	http = http_destroy(http);
	settings.metrics = monitor_metrics(m);
	http = http_create(loop, &config, &settings, &err);
	get_done("/x");
	monitor_also(m, write_more, (char[]){"more 7\n"});
	is_int(monitor_start(m, &(struct measure_sources){loop, http, NULL, NULL}, &err), 0);
	text = ask(monitor_metrics_port(m), "/metrics");
	ok(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	ok(strstr(text, "\nrest_client_requests_total{code=\"200\",method=\"GET\",host=\""));
	ok(strstr(text, "\nvmgpu_connections_total 1\n"));
	ok(strstr(text, "\n# TYPE process_cpu_seconds_total counter\n"));
	ok(strstr(text, "\nmore 7\n"));
	is_asked(monitor_metrics_port(m), "/healthz", "HTTP/1.1 404 ", "\n");
	monitor_stop(m);
	end();
	settings.metrics = NULL;
	monitor_destroy(m);
}

static void zero_switches_off(void)
{
	const struct monitor_options o = {"0", "0"};
	struct monitor *m = monitor_create(&o);
	struct err err;

	is_int(monitor_start(m, &(struct measure_sources){NULL}, &err), 0);
	ok(!monitor_metrics(m));
	is_int(monitor_metrics_port(m), 0);
	is_int(monitor_health_port(m), 0);
	monitor_destroy(m);
}

TESTS({"health follows the runtime", health_follows_the_runtime},
      {"nothing of others' words is served", nothing_of_others_words_is_served},
      {"metrics are served under their names", metrics_are_served_under_their_names},
      {"zero switches off", zero_switches_off}, )
