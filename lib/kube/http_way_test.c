/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the server: HTTP/1.1, where each request has a connection of its own; proxies of the
 * environment and what is said of them; a kernel that watches no more sockets.
 */
#include "kube/http.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kube/http_test.h"

/* --- epoll ---------------------------------------------------------------------------------- */

static int refusals; /* that are left, of what is to be watched */

/* Instead of the C library's: the kernel's limit is of the user, and not ours to set. */
int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	struct sockaddr_in a = {0};
	socklen_t n = sizeof(a);
	bool ours = refusals && srv && !getsockname(fd, (struct sockaddr *)&a, &n) &&
		    ntohs(a.sin_port) != srv->port; /* no end of the test server */

	if (what == EPOLL_CTL_ADD && ours) {
		refusals--;
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

/* --- a server of HTTP/1.1, which this test plays by hand ------------------------------------- */

static void make_plain_client(int port)
{
	auto_free char *path = in_dir("kubeconfig");
	auto_free char *text =
		xprintf("current-context: x\ncontexts: [{name: x, context: {cluster: k}}]\n"
			"clusters: [{name: k, cluster: {server: \"http://127.0.0.1:%d\"}}]\n",
			port);
	struct config_env env = {.kubeconfig = path};
	struct err err;

	put("kubeconfig", text);
	config_finish(&config);
	is_int(config_load(&env, &config, &err), 0);
	http = http_create(loop, &config, &settings, &err);
	ok(http);
}

static void say(int peer, const char *text)
{
	is_int(send(peer, text, strlen(text), MSG_NOSIGNAL), (int64_t)strlen(text));
}

/* Takes the next connection and the head of its request. */
static int take_request(int fd, const char *first_line)
{
	char got[2000];
	ssize_t n = -1;
	int peer = accept_on(fd);

	wait_for(n > 0 || (n = recv(peer, got, sizeof(got) - 1, MSG_DONTWAIT)) > 0);
	got[n] = '\0';
	has(got, first_line);
	return peer;
}

#define OK_HI "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/*
 * A watch has its connection for itself: what is asked over another one tells nothing of it, and is
 * not asked.
 */
static void quiet_watch_of_http1_is_left_alone(void)
{
	struct seen *watch, *other;
	int port = 0, fd, peer, another;

	make_server(expect_nothing);
	fd = srv_listen(&port);
	settings.silent_ms = settings.probe_ms = 50;
	make_plain_client(port);
	watch = stream("/watch");
	peer = take_request(fd, "GET /watch HTTP/1.1\r\n");
	say(peer, CHUNKED);
	wait_for(watch->told == 200);
	turn_for(300); /* silent for long, and the time of a probe on top */
	is_int(watch->times, 0);
	is_int(accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), -1);
	other = get("/x");
	another = take_request(fd, "GET /x HTTP/1.1\r\n");
	say(another, OK_HI);
	wait_for(other->times);
	is_int(other->status, 200);
	turn_for(200);
	is_int(watch->times, 0);
	say(peer, "5\r\nhello\r\n0\r\n\r\n");
	wait_for(watch->times);
	is_int(watch->status, 200);
	is_str(buf_text(&watch->body), "hello");
	close(peer), close(another), close(fd);
}

static void socket_that_the_kernel_does_not_watch_is_tried_again(void)
{
	struct seen *watch, *late, *fresh;
	int port = 0, fd, peer, second, third;

	make_server(expect_nothing);
	fd = srv_listen(&port);
	make_plain_client(port);
	watch = stream("/watch");
	peer = take_request(fd, "GET /watch HTTP/1.1\r\n");
	say(peer, CHUNKED);
	wait_for(watch->told == 200);
	refusals = 3;
	late = get("/late");
	wait_for(!refusals);
	has(notices, "bad: the kernel watches no more connections for us; raise fs.epoll.");
	fresh = get("/fresh"); /* nobody else has to wait */
	second = accept_on(fd);
	third = accept_on(fd);
	turn_for(20);
	say(second, OK_HI);
	say(third, OK_HI);
	wait_for(late->times && fresh->times);
	is_int(late->status, 200);
	is_int(fresh->status, 200);
	is_int(watch->times, 0);
	say(peer, "0\r\n\r\n");
	wait_for(watch->times);
	is_int(watch->status, 200);
	close(peer), close(second), close(third), close(fd);
}

/* While it connects, and where it is watched anew for HTTP/2. */
static void neither_is_one_of_http2_lost(void)
{
	for (int i = 1; i < 5; i++) {
		begin(answer_ok);
		refusals = i;
		is_int(get_done("/x")->status, 200);
		is_int(refusals, 0);
		is_int(srv->n_conns, 1);
	}
}

/* --- proxies of the environment -------------------------------------------------------------- */

static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
				    "ALL_PROXY",   "no_proxy",	  "NO_PROXY"};

static void set_environment(const char *name, const char *value, const char *no_proxy)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		unsetenv(names[i]);
	}
	if (name) {
		setenv(name, value, 1);
	}
	if (no_proxy) {
		setenv("NO_PROXY", no_proxy, 1);
	}
}

/* Two requests that are there at once go over one connection of HTTP/2. */
static void is_http2(void)
{
	int conns;

	is_int(get_done("/x")->status, 200);
	conns = srv->n_conns;
	srv->on_request = expect_nothing;
	get("/y"), get("/z");
	wait_for(srv->n_requests == 3);
	ok(!http->peer->http1);
	is_int(srv->n_conns, conns);
}

static void proxy_that_is_not_asked_leaves_http2(void)
{
	static const char *const rows[][3] = {
		{"HTTPS_PROXY", "https://127.0.0.1:1", "127.0.0.1"},
		{"all_proxy", "HTTPS://127.0.0.1:1", "127.0.0.0/8"},
		{"https_proxy", "https://127.0.0.1:1", "*"},
		{"http_proxy", "https://127.0.0.1:1", NULL}, /* of http:// only */
		{"HTTPS_PROXY", "", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_environment(rows[i][0], rows[i][1], rows[i][2]);
		begin(answer_ok);
		is_http2();
		ok(srv->n_conns <= 2); /* a first one, over which that was learned */
	}
	set_environment(NULL, NULL, NULL);
}

/* It is learned once, not with each token. */
static void what_was_learned_of_the_way_outlives_a_token(void)
{
	int conns;

	set_environment("HTTPS_PROXY", "https://127.0.0.1:1", "127.0.0.1");
	begin(answer_ok);
	is_http2();
	conns = srv->n_conns;
	put("token", "two");
	http->refreshed_ms = 0;
	http_cred_tick(http);
	srv->on_request = answer_ok;
	is_int(get_done("/x")->status, 200);
	has(buf_text(&srv->requests[srv->n_requests - 1]->headers), "Bearer two");
	is_int(srv->n_conns, conns);
	set_environment(NULL, NULL, NULL);
}

static void proxys_password_is_not_told(void)
{
	static const struct {
		const char *url, *part;
	} rows[] = {
		{"http://admin:S3cret@no-such-host.invalid:1",
		 "the host of the proxy no-such-host.invalid:1 is not known"},
		{"http://admin:S3/c@ret@no-such-host.invalid:1", "proxy"},
		{"http://admin:S3 cret@h:1", "the proxy's URL cannot be used"},
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const char *url = rows[i / 2].url;
		bool own = i % 2 == 0;
		auto_free char *cluster =
			xprintf(", certificate-authority: ca.crt%s%s%s",
				own ? ", proxy-url: \"" : "", own ? url : "", own ? "\"" : "");
		struct seen *s;

		set_environment(own ? NULL : "HTTPS_PROXY", url, NULL);
		make_server(answer_ok);
		make_client(cluster, "token: t");
		s = get_done("/x");
		is_int(s->status, 0);
		ok(*s->error && !strstr(s->error, "cret") && !strstr(s->error, "admin"));
		ok(!strstr(s->error, "c@ret") && !strstr(notices, "ret@"));
		if (own) {
			has(s->error, rows[i / 2].part);
		}
	}
	set_environment(NULL, NULL, NULL);
}

TESTS({"a quiet watch over HTTP/1.1 is left alone", quiet_watch_of_http1_is_left_alone},
      {"a socket that the kernel does not watch is tried again",
       socket_that_the_kernel_does_not_watch_is_tried_again},
      {"neither is one of HTTP/2 lost", neither_is_one_of_http2_lost},
      {"a proxy that is not asked leaves HTTP/2", proxy_that_is_not_asked_leaves_http2},
      {"what was learned of the way outlives a token",
       what_was_learned_of_the_way_outlives_a_token},
      {"a proxy's password is not told", proxys_password_is_not_told})
