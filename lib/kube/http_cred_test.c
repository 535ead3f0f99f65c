/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust and credentials: certificates both ways, tokens that change, exec plugins, proxies.
 */
#include "kube/http.h"

#include <netinet/tcp.h>
#include <sys/wait.h>

#include "base/loop.h"
#include "kube/http_test.h"

static const char *want_token = "one";

/* 200 for the token of the day, else 401. */
static void ask_token(struct srv_request *r)
{
	auto_free char *header = xprintf("authorization: Bearer %s\n", want_token);

	if (r->headers.len && strstr(r->headers.bytes, header)) {
		answer_ok(r);
	} else {
		srv_reply(r, 401, NULL, "{\"reason\":\"Unauthorized\"}");
	}
}

/* As if the last look at the files were a minute ago. */
static void let_time_pass(void)
{
	http->refreshed_ms -= HTTP_REFRESH_MS;
	http->plugin_ms -= HTTP_REFRESH_MS;
}

/* Tokens */

static void rotated_token_is_used_after_a_401(void)
{
	struct seen *get_one, *write_one, *watch;

	want_token = "one";
	begin(ask_token);
	is_int(get_done("/x")->status, 200);
	want_token = "two";
	put("token", "two\n");
	let_time_pass();
	get_one = get("/x");
	write_one = send_body("POST", "/y", "application/json", "{}");
	watch = stream("/watch");
	wait_for(get_one->times && write_one->times && watch->times);
	is_int(get_one->status, 200);
	is_int(write_one->status, 200); /* a 401 means that it was not carried out */
	is_int(watch->status, 200);
	is_int(watch->told, 200); /* its caller never saw the 401 */
	is_str(buf_text(&watch->body), "{\"ok\":true}");
	is_int(srv->n_conns, 1);
	is_str(notices, "the kubeconfig or a file that it names has changed and is in use\n");
	ok(!strstr(notices, "two"));
}

static void lasting_401_reaches_the_caller_once(void)
{
	struct seen *s, *watch;

	want_token = "other";
	begin(ask_token);
	s = get_done("/x");
	is_int(s->status, 401);
	is_str(buf_text(&s->body), "{\"reason\":\"Unauthorized\"}");
	ok(http_refused(http));
	watch = stream("/watch");
	wait_for(watch->times);
	is_int(watch->status, 401);
	is_int(watch->told, 401);
	is_str(buf_text(&watch->body), "{\"reason\":\"Unauthorized\"}");
	is_int(srv->n_requests, 2); /* nothing new in the files: nothing was repeated */
	put("token", "wrong-as-well");
	let_time_pass();
	s = get_done("/x");
	is_int(s->status, 401);
	is_int(srv->n_requests, 4); /* something new: once more, not for ever */
	ok(http_refused(http));
	want_token = "wrong-as-well";
	get_done("/x");
	ok(!http_refused(http));
}

static void half_written_token_leaves_the_old_one_in_force(void)
{
	want_token = "one";
	begin(ask_token);
	get_done("/x");
	put("token", "");
	http_cred_tick(http);
	has(notices, "bad: ");
	has(notices, "/token: is empty; wait until the token is written");
	is_int(get_done("/x")->status, 200);
	notices[0] = '\0';
	http_cred_tick(http);
	is_str(notices, ""); /* the same news is not told twice */
	put("token", "one");
	http_cred_tick(http);
	put("token", "");
	http_cred_tick(http);
	has(notices, "is empty");
}

static void burst_of_401_reads_the_files_once(void)
{
	int64_t looked;

	want_token = "other";
	begin(ask_token);
	let_time_pass();
	for (int i = 0; i < 20; i++) {
		get("/x");
	}
	wait_for(srv->n_requests == 20);
	wait_for(seen[0].times);
	looked = http->refreshed_ms;
	for (int i = 0; i < 20; i++) {
		wait_for(seen[i].times);
	}
	is_int(http->refreshed_ms, looked);
}

/* The server's certificate */

static void wrong_ca_is_named_with_the_remedy(void)
{
	struct pki other = pki_make("another CA", NULL, NULL, 86400);
	auto_free char *want = NULL;
	struct seen *s;

	make_server(answer_ok);
	put("ca.crt", other.cert);
	make_client(", certificate-authority: ca.crt", "token: t");
	pki_finish(&other);
	s = get_done("/x");
	is_int(s->status, 0);
	want = xprintf(
		"GET /x: the certificate of https://127.0.0.1:%d is not signed by the CA in %s/ca.crt; give the CA of this cluster (",
		srv->port, dir);
	has(s->error, want);
	is_int(srv->n_requests, 0);
}

static void certificate_for_another_name_is_named_with_the_remedy(void)
{
	struct seen *s;

	make_server(answer_ok);
	make_client(", certificate-authority: ca.crt, tls-server-name: elsewhere", "token: t");
	s = get_done("/x");
	has(s->error,
	    "is for another name; set tls-server-name in the kubeconfig to one that it holds");
}

static void expired_certificate_is_named(void)
{
	struct pki old;

	begin(answer_ok);
	old = pki_make("server", &ca, "IP:127.0.0.1", -3600);
	srv_set_cert(srv, &old, NULL);
	pki_finish(&old);
	has(get_done("/x")->error, "has expired; renew it, or set this machine's clock");
}

static void tls_server_name_is_sent_and_checked(void)
{
	struct pki named;
	auto_free char *authority = NULL;

	make_server(answer_ok);
	named = pki_make("server", &ca, "DNS:api.internal", 86400);
	srv_set_cert(srv, &named, NULL);
	pki_finish(&named);
	make_client(", certificate-authority: ca.crt, tls-server-name: api.internal", "token: t");
	is_int(get_done("/x")->status, 200);
	is_str(srv->conns[0]->sni, "api.internal");
	authority = xprintf("127.0.0.1:%d", srv->port);
	is_str(srv->requests[0]->authority, authority); /* the Host stays the server's own */
	is_int(get_done("/y")->status, 200);
	is_int(srv->n_conns, 1);
}

static void insecure_checks_nothing(void)
{
	make_server(answer_ok);
	make_client(", insecure-skip-tls-verify: true", "token: t");
	is_int(get_done("/x")->status, 200);
}

static void without_a_ca_the_systems_are_asked(void)
{
	make_server(answer_ok);
	make_client("", "token: t");
	has(get_done("/x")->error, "is not signed by the CA in the system's certificates (");
}

static void replaced_ca_means_a_new_connection_while_old_streams_finish(void)
{
	struct pki ca2 = pki_make("second CA", NULL, NULL, 86400),
		   cert2 = pki_make("server", &ca2, "IP:127.0.0.1", 86400);
	struct seen *old, *fresh;

	begin(expect_nothing);
	old = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	put("ca.crt", ca2.cert);
	srv_set_cert(srv, &cert2, NULL);
	http_cred_tick(http);
	srv->on_request = answer_ok;
	fresh = get_done("/x");
	is_int(fresh->status, 200);
	is_int(srv->n_conns, 2);
	is_int(srv->requests[1]->conn->number, 1);
	srv_data(srv->requests[0], "still", 5, true);
	wait_for(old->times);
	is_int(old->status, 200);
	is_str(buf_text(&old->body), "still");
	pki_finish(&ca2), pki_finish(&cert2);
}

static void server_that_cannot_be_trusted_makes_us_look_at_the_files(void)
{
	struct pki ca2 = pki_make("second CA", NULL, NULL, 86400),
		   cert2 = pki_make("server", &ca2, "IP:127.0.0.1", 86400);
	struct seen *s;

	begin(answer_ok);
	srv_set_cert(srv, &cert2, NULL);
	put("ca.crt", ca2.cert);
	let_time_pass();
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 200);
	is_int(s->times, 1);
	pki_finish(&ca2), pki_finish(&cert2);
}

/* Our certificate */

static void client_certificate_is_shown(void)
{
	make_server(answer_ok);
	srv_set_cert(srv, &server_cert, &ca);
	put("crt", client_cert.cert);
	put("key", client_cert.key);
	make_client(", certificate-authority: ca.crt", "client-certificate: crt, client-key: key");
	is_int(get_done("/x")->status, 200);
}

static void client_certificate_that_is_refused_is_named(void)
{
	struct pki other = pki_make("another CA", NULL, NULL, 86400),
		   stranger = pki_make("stranger", &other, NULL, 86400);
	struct seen *s;

	make_server(answer_ok);
	srv_set_cert(srv, &server_cert, &ca);
	put("crt", stranger.cert);
	put("key", stranger.key);
	make_client(", certificate-authority: ca.crt", "client-certificate: crt, client-key: key");
	s = get_done("/x");
	is_int(s->status, 0);
	has(s->error, "the API server refuses the client certificate of /tmp/http_test.");
	has(s->error, "/crt; give one that its client CA has signed");
	pki_finish(&other), pki_finish(&stranger);
}

static void replaced_client_certificate_means_a_new_connection(void)
{
	struct pki fresh = pki_make("fresh", &ca, NULL, 86400);

	make_server(answer_ok);
	srv_set_cert(srv, &server_cert, &ca);
	put("crt", client_cert.cert);
	put("key", client_cert.key);
	make_client(", certificate-authority: ca.crt", "client-certificate: crt, client-key: key");
	get_done("/x");
	put("crt", fresh.cert);
	put("key", fresh.key);
	http_cred_tick(http);
	is_int(get_done("/x")->status, 200);
	is_int(srv->n_conns, 2);
	pki_finish(&fresh);
}

/* Exec plugins */

static void put_plugin(const char *script)
{
	auto_free char *path = in_dir("plugin"), *text = xprintf("#!/bin/sh\n%s\n", script);

	put("plugin", text);
	is_int(chmod(path, 0700), 0);
}

#define ANSWER                                                                                     \
	"echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"'$(cat $0.token)'\"}}'"
#define EXEC                                                                                       \
	"exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never"

static void begin_plugin(const char *script)
{
	make_server(ask_token);
	want_token = "one";
	put("plugin.token", "one");
	put_plugin(script);
	settings.plugin_ms = 10000;
	make_client(", certificate-authority: ca.crt", EXEC "}");
}

static int plugin_runs(void)
{
	auto_free char *path = in_dir("plugin.runs");
	struct stat st;

	return stat(path, &st) == 0 ? (int)st.st_size : 0;
}

static void requests_wait_for_the_exec_plugin(void)
{
	begin_plugin("printf x >>$0.runs; sleep 0.1; " ANSWER);
	for (int i = 0; i < 5; i++) {
		get("/x");
	}
	for (int i = 0; i < 5; i++) {
		wait_for(seen[i].times);
		is_int(seen[i].status, 200);
	}
	is_int(plugin_runs(), 1);
	is_int(get_done("/y")->status, 200);
	is_int(plugin_runs(), 1); /* its token is kept */
}

static void exec_plugin_runs_again_after_a_401(void)
{
	begin_plugin("printf x >>$0.runs; " ANSWER);
	is_int(get_done("/x")->status, 200);
	want_token = "two";
	put("plugin.token", "two");
	let_time_pass();
	is_int(get_done("/x")->status, 200);
	is_int(plugin_runs(), 2);
	want_token = "three"; /* the plugin does not have it: the 401 is told, and the plugin not
				 run for each request */
	is_int(get_done("/x")->status, 401);
	is_int(get_done("/x")->status, 401);
	is_int(plugin_runs(), 2);
}

static void bad_plugins_are_named_with_the_reason(void)
{
	static const struct {
		const char *script, *part;
	} rows[] = {
		{"echo 'session expired; run: cloud login' >&2; exit 3",
		 "failed with exit code 3: session expired; run: cloud login"},
		{"exit 1", "failed with exit code 1"},
		{"echo please log in", "printed no JSON; run it by hand"},
		{"echo '{}'", "printed an object that is no ExecCredential"},
		{"sleep 100", "did not end within"},
		{"sleep 100 & wait", "did not end within"},
		{"yes", "printed more than 256 KiB"},
		{"kill -9 $$", "failed with exit code 137"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen *s, *queued;
		int64_t began;

		make_server(ask_token);
		put_plugin(rows[i].script);
		settings.plugin_ms = strstr(rows[i].script, "sleep") ? 300 : 10000;
		make_client(", certificate-authority: ca.crt", EXEC "}");
		began = loop_now(loop);
		s = get("/x");
		queued = stream("/watch");
		wait_for(s->times && queued->times);
		is_int(s->status, 0);
		has(s->error, "no credentials: exec plugin ");
		has(s->error, "/plugin");
		has(s->error, rows[i].part);
		is_str(queued->error, s->error);
		has(notices, rows[i].part);
		ok(loop_now(loop) - began < 10000);
		is_int(srv->n_requests, 0);
	}
}

static void missing_plugin_is_named_with_its_hint(void)
{
	make_server(ask_token);
	make_client(
		", certificate-authority: ca.crt",
		"exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never, installHint: \"get it from example.org\"}");
	is_str(get_done("/x")->error,
	       "no credentials: exec plugin: no-such-plugin is not installed, or not in PATH (No such file or directory); get it from example.org");
}

/* Standard input is no terminal where no config_env says so. */
static void plugin_that_must_ask_is_refused_without_a_terminal(void)
{
	struct seen *s;

	begin_plugin("printf x >>$0.runs; " ANSWER);
	http = http_destroy(http);
	make_client(
		", certificate-authority: ca.crt",
		"exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Always, installHint: get it}");
	s = get_done("/x");
	is_str(s->error,
	       "no credentials: exec plugin cannot support interactive mode: standard input is not a terminal; get it");
	has(notices, s->error);
	is_int(plugin_runs(), 0);
	is_int(srv->n_requests, 0);
}

static void failed_plugin_is_tried_again_after_a_while(void)
{
	begin_plugin("printf x >>$0.runs; exit 1");
	is_int(get_done("/x")->status, 0);
	is_int(get_done("/x")->status, 0);
	is_int(plugin_runs(), 1);
	put_plugin(ANSWER);
	let_time_pass();
	is_int(get_done("/x")->status, 200);
	has(notices, "the exec plugin gives credentials again");
}

static void client_may_end_while_its_plugin_runs(void)
{
	size_t files;
	struct seen *s;

	begin_plugin("sleep 100");
	http = http_destroy(http);
	files = open_files();
	make_client(", certificate-authority: ca.crt", EXEC "}");
	s = get("/x");
	turn_for(50);
	http = http_destroy(http);
	is_int(s->times, 1);
	ok(open_files() > files); /* the child is dead, but not reaped yet */
	wait_for(open_files() == files);
}

/* A proxy that joins two sockets in a child process, so that it may block. */
static void run_proxy(int fd, int log)
{
	char line[4096];
	int peer, up, port = 0;
	ssize_t n;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	alarm(60); /* nobody comes */
	peer = accept(fd, NULL, NULL);
	n = recv(peer, line, sizeof(line) - 1, 0);
	line[MAX(n, 0)] = '\0';
	(void)!write(log, line, strcspn(line, "\r"));
	if (sscanf(line, "CONNECT 127.0.0.1:%d", &port) != 1) {
		_exit(1);
	}
	a.sin_port = htons((uint16_t)port);
	up = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(up, (struct sockaddr *)&a, sizeof(a)) < 0) {
		_exit(1);
	}
	(void)!write(peer, "HTTP/1.1 200 OK\r\nX: proxy\r\n\r\n", 29);
	fcntl(peer, F_SETFL, O_NONBLOCK), fcntl(up, F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 5000; idle++) {
		const int pairs[2][2] = {{peer, up}, {up, peer}};

		for (int i = 0; i < 2; i++) {
			while ((n = read(pairs[i][0], line, sizeof(line))) > 0) {
				(void)!write(pairs[i][1], line, (size_t)n);
				idle = 0;
			}
			if (n == 0) {
				_exit(0);
			}
		}
		usleep(1000);
	}
	_exit(0);
}

static void through_a_proxy(const char *more, bool by_environment)
{
	auto_free char *cluster = NULL, *url = NULL;
	char line[100] = "", want[100];
	int port = 0, fd, log[2], status;
	pid_t pid;

	make_server(answer_ok);
	fd = srv_listen(&port);
	fcntl(fd, F_SETFL, 0);
	is_int(pipe2(log, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		run_proxy(fd, log[1]);
	}
	url = xprintf("http://127.0.0.1:%d", port);
	if (by_environment) {
		setenv("HTTPS_PROXY", url, 1);
		cluster = xprintf(", certificate-authority: ca.crt%s", more);
	} else {
		cluster =
			xprintf(", certificate-authority: ca.crt, proxy-url: \"%s\"%s", url, more);
	}
	make_client(cluster, "token: t");
	is_int(get_done("/x")->status, 200);
	is_int(get_done("/y")->status, 200);
	is_int(srv->n_conns, 1);
	fcntl(log[0], F_SETFL, O_NONBLOCK); /* it was asked before the answers came */
	ok(read(log[0], line, sizeof(line) - 1) > 0);
	snprintf(want, sizeof(want), "CONNECT 127.0.0.1:%d HTTP/1.1", srv->port);
	is_str(line, want);
	http = http_destroy(http);
	unsetenv("HTTPS_PROXY");
	waitpid(pid, &status, 0);
	close(fd), close(log[0]), close(log[1]);
}

static void proxy_is_used(void)
{
	through_a_proxy("", false);
}

/* That is of the environment's proxies. */
static void no_proxy_says_nothing_of_proxy_url(void)
{
	setenv("NO_PROXY", "127.0.0.1,*", 1);
	setenv("no_proxy", "*", 1);
	through_a_proxy("", false);
	unsetenv("NO_PROXY");
	unsetenv("no_proxy");
}

static void proxy_of_the_environment_is_used(void)
{
	through_a_proxy("", true);
}

static void proxy_and_tls_server_name_go_together(void)
{
	through_a_proxy(", tls-server-name: kubernetes", false);
	is_str(srv->conns[0]->sni, "kubernetes");
}

TESTS({"a rotated token is used after a 401, nobody sees it", rotated_token_is_used_after_a_401},
      {"a lasting 401 reaches the caller, once", lasting_401_reaches_the_caller_once},
      {"a half-written token leaves the old one in force",
       half_written_token_leaves_the_old_one_in_force},
      {"a burst of 401 reads the files once", burst_of_401_reads_the_files_once},
      {"a wrong CA is named, with the remedy", wrong_ca_is_named_with_the_remedy},
      {"a certificate for another name is named, with the remedy",
       certificate_for_another_name_is_named_with_the_remedy},
      {"an expired certificate is named", expired_certificate_is_named},
      {"tls-server-name is sent and checked", tls_server_name_is_sent_and_checked},
      {"insecure-skip-tls-verify checks nothing", insecure_checks_nothing},
      {"without a CA the system's are asked", without_a_ca_the_systems_are_asked},
      {"a replaced CA means a new connection, old streams finish",
       replaced_ca_means_a_new_connection_while_old_streams_finish},
      {"a server that cannot be trusted makes us look at the files",
       server_that_cannot_be_trusted_makes_us_look_at_the_files},
      {"a client certificate is shown", client_certificate_is_shown},
      {"a client certificate that is refused is named",
       client_certificate_that_is_refused_is_named},
      {"a replaced client certificate means a new connection",
       replaced_client_certificate_means_a_new_connection},
      {"requests wait for the exec plugin, which runs once", requests_wait_for_the_exec_plugin},
      {"the exec plugin runs again after a 401", exec_plugin_runs_again_after_a_401},
      {"bad exec plugins are named, with the reason", bad_plugins_are_named_with_the_reason},
      {"a missing exec plugin is named, with its hint", missing_plugin_is_named_with_its_hint},
      {"an exec plugin that must ask is refused without a terminal",
       plugin_that_must_ask_is_refused_without_a_terminal},
      {"a failed exec plugin is tried again after a while",
       failed_plugin_is_tried_again_after_a_while},
      {"the client may end while its plugin runs", client_may_end_while_its_plugin_runs},
      {"a proxy is used", proxy_is_used},
      {"NO_PROXY says nothing of proxy-url", no_proxy_says_nothing_of_proxy_url},
      {"a proxy of the environment is used", proxy_of_the_environment_is_used},
      {"proxy and tls-server-name go together", proxy_and_tls_server_name_go_together})
