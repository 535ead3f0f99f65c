/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http.c does when the server, the connection or the network misbehaves.
 */
#include "kube/http.h"

#include <netinet/tcp.h>
#include <unistd.h>

#include "kube/http_test.h"

static int asked(const char *path)
{
	int n = 0;

	for (int i = 0; i < srv->n_requests; i++) {
		n += str_eq(srv->requests[i]->path, path);
	}
	return n;
}

static struct srv_request *last(void)
{
	return srv->requests[srv->n_requests - 1];
}

/* The first request opens the connection, so that what follows goes over one that was used before.
 */
static void warm_up(void (*then)(struct srv_request *))
{
	srv->on_request = answer_ok;
	is_int(get_done("/warm")->status, 200);
	is_int(srv->n_conns, 1);
	srv->on_request = then;
}

/* GOAWAY */

static void goaway_lets_running_streams_finish(void)
{
	struct seen *old, *fresh;

	begin(expect_nothing);
	old = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	srv_data(srv->requests[0], "a", 1, false);
	wait_for(old->body.len == 1);
	srv_goaway(srv->conns[0], srv->requests[0]->id, NGHTTP2_NO_ERROR);
	turn_for(30);
	srv->on_request = answer_ok;
	fresh = get_done("/fresh");
	is_int(fresh->status, 200);
	is_int(srv->n_conns, 2);
	is_int(last()->conn->number, 1);
	srv_data(srv->requests[0], "b", 1, true);
	wait_for(old->times);
	is_int(old->status, 200);
	is_str(buf_text(&old->body), "ab");
}

/* Says with the GOAWAY that this request and all after it were not looked at. */
static void go_away_before(struct srv_request *r)
{
	r->conn->srv->on_request = answer_ok;
	srv_goaway(r->conn, r->id - 2, NGHTTP2_NO_ERROR);
}

static void get_that_goaway_leaves_out_goes_to_a_new_connection(void)
{
	begin(expect_nothing);
	warm_up(go_away_before);
	is_int(get_done("/x")->status, 200);
	is_int(asked("/x"), 2);
	is_int(srv->n_conns, 2);
}

/* The server says that it has not looked at it: that is safe for a write too. */
static void write_that_goaway_leaves_out_goes_to_a_new_connection(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(go_away_before);
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 200);
	is_int(asked("/x"), 2);
	is_str(buf_text(&last()->body), "{}");
	is_int(srv->n_conns, 2);
	is_int(http_counts(http)->retries, 1);
}

/* Few streams at once */

static int done_of(int from)
{
	int n = 0;

	for (int i = from; i < n_seen; i++) {
		n += seen[i].status == 200;
	}
	return n;
}

static void few_streams_mean_more_connections_four_at_most(void)
{
	begin(expect_nothing);
	srv->max_streams = 1;
	warm_up(expect_nothing);
	for (int i = 0; i < 6; i++) {
		get("/x");
	}
	wait_for(asked("/x") == 4);
	turn_for(30);
	is_int(asked("/x"), 4);
	is_int(srv->n_conns, 4);
	srv->on_request = answer_ok; /* for those that come as room is made */
	for (int i = 1; i <= 4; i++) {
		srv_reply(srv->requests[i], 200, NULL, "{}");
	}
	wait_for(done_of(1) == 6);
	is_int(srv->n_conns, 4);
}

/* What waits behind the limit was never sent: it goes elsewhere, a write too. */
static void what_waited_behind_a_goaway_goes_out(void)
{
	begin(expect_nothing);
	srv->max_streams = 1;
	warm_up(expect_nothing);
	for (int i = 0; i < 4; i++) {
		stream("/watch");
	}
	wait_for(asked("/watch") == 4);
	send_body("POST", "/late", "application/json", "{}");
	turn_for(30);
	is_int(asked("/late"), 0);
	srv->max_streams = 0;
	srv->on_request = answer_ok;
	for (int i = 0; i < 4; i++) {
		srv_goaway(srv->conns[i], last()->id, NGHTTP2_NO_ERROR);
	}
	wait_for(seen[n_seen - 1].status == 200);
	is_int(asked("/late"), 1);
}

/* RST_STREAM */

static void half_an_answer(struct srv_request *r)
{
	srv_begin(r, 200, NULL);
	srv_data(r, "{\"half\":", 8, false);
	srv_reset(r, NGHTTP2_NO_ERROR);
}

static void an_answer_that_ends_early_is_none(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(half_an_answer);
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 0);
	ok(s->unknown);
}

static int resets_left;

static void reset_some(struct srv_request *r)
{
	if (resets_left-- > 0) {
		srv_reset(r, NGHTTP2_INTERNAL_ERROR);
	} else {
		answer_ok(r);
	}
}

static void get_is_repeated_after_a_reset_three_times(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(reset_some);
	resets_left = 3;
	is_int(get_done("/x")->status, 200);
	is_int(asked("/x"), 4);
	is_int(http_counts(http)->retries, 3);
	resets_left = 100;
	s = get_done("/y");
	is_int(s->status, 0);
	ok(!s->unknown);
	has(s->error, "GET /y: the connection to https://127.0.0.1:");
	has(s->error, "INTERNAL_ERROR");
	is_int(asked("/y"), 4);
}

static void write_is_not_repeated_after_a_reset(void)
{
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};

	begin(expect_nothing);
	warm_up(reset_some);
	resets_left = 100;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct seen *s = send_body(methods[i], "/x", "application/json", "{}");

		wait_for(s->times);
		is_int(s->status, 0);
		ok(s->unknown);
		has(s->error, "/x: the connection to https://127.0.0.1:");
		has(s->error, "broke before the answer: it may have been carried out");
		is_int(asked("/x"), (int)i + 1);
	}
}

/* Connections that end */

static void cut(struct srv_request *r)
{
	r->conn->srv->on_request = answer_ok;
	srv_cut(r->conn);
}

static void refuse_some(struct srv_request *r)
{
	if (resets_left-- > 0) {
		srv_reset(r, NGHTTP2_REFUSED_STREAM);
	} else {
		answer_ok(r);
	}
}

static void write_that_the_server_refuses_unseen_is_repeated(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(refuse_some);
	resets_left = 3;
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 200);
	is_int(asked("/x"), 4);
	resets_left = 100;
	s = send_body("POST", "/y", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 0);
	ok(!s->unknown);
	has(s->error, "REFUSED_STREAM");
	is_int(asked("/y"), 4);
}

static void get_is_repeated_on_a_fresh_connection(void)
{
	begin(expect_nothing);
	warm_up(cut);
	is_int(get_done("/x")->status, 200);
	is_int(asked("/x"), 2);
	is_int(srv->n_conns, 2);
}

static void write_with_an_unknown_fate_is_not_repeated(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(cut); /* libcurl by itself would send it again, since the connection was used before
		       */
	s = send_body("PATCH", "/x", "application/json", "{}");
	wait_for(s->times);
	turn_for(50);
	is_int(s->status, 0);
	ok(s->unknown);
	is_int(asked("/x"), 1);
}

static void write_whose_connection_was_closed_before_goes_out(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(answer_ok);
	srv_cut(srv->conns[0]);
	turn_for(30); /* the end of the connection has arrived: nothing is sent there */
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	is_int(s->status, 200);
	is_int(asked("/x"), 1);
}

static void cut_in_body(struct srv_request *r)
{
	r->conn->srv->on_request = answer_ok;
	srv_begin(r, 200, NULL);
	srv_data(r, "{\"half\":", 8, false);
}

static void collected_answer_that_is_cut_short_is_fetched_again(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(cut_in_body);
	s = get("/x");
	wait_for(srv->n_requests == 2);
	turn_for(30);
	srv_cut(srv->conns[0]);
	wait_for(s->times);
	is_int(s->status, 200);
	is_str(buf_text(&s->body), "{\"ok\":true}");
}

static void stream_that_is_cut_short_says_so(void)
{
	struct seen *s;

	begin(expect_nothing);
	warm_up(cut_in_body);
	s = stream("/x");
	wait_for(s->body.len == 8);
	srv_cut(srv->conns[0]);
	wait_for(s->times);
	is_int(s->status, 0);
	is_int(s->told, 200);
	ok(*s->error && !s->unknown);
	is_str(buf_text(&s->body), "{\"half\":");
	is_int(asked("/x"), 1);
}

static void all_streams_of_a_dead_connection_end(void)
{
	begin(expect_nothing);
	for (int i = 0; i < 10; i++) {
		stream("/watch");
	}
	wait_for(srv->n_requests == 10);
	for (int i = 0; i < 10; i++) {
		srv_begin(srv->requests[i], 200, NULL);
	}
	wait_for(seen[9].told);
	srv_cut(srv->conns[0]);
	for (int i = 0; i < 10; i++) {
		wait_for(seen[i].times == 1);
		is_int(seen[i].status, 0);
	}
}

static void server_may_restart_at_any_time(void)
{
	int port;
	struct seen *s;

	begin(answer_ok);
	get_done("/x");
	port = srv->port;
	srv_cut(srv->conns[0]);
	srv_stop_listening(srv);
	s = get_done("/x");
	is_int(s->status, 0);
	has(s->error, "does not take connections; is the API server up, and its address right?");
	ok(!s->unknown);
	ok(s->took_ms < 10000);
	s = send_body("POST", "/x", "application/json", "{}");
	wait_for(s->times);
	ok(!s->unknown); /* it was never sent */
	srv->fd = srv_listen(&port);
	srv->io = loop_add(loop, srv->fd, EPOLLIN, srv_on_accept_, srv, "test server");
	is_int(get_done("/x")->status, 200);
}

/* Half-open connections: the server's kernel answers, the server does not */

static void request_that_times_out_on_a_silent_connection_ends_it(void)
{
	struct seen *watch, *lease, *next;

	begin(expect_nothing);
	watch = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	wait_for(watch->told);
	turn_for(20);
	srv_freeze(srv->conns[0]);
	srv->on_request = answer_ok;
	lease = start(&(struct http_call){.path = "/lease", .timeout_ms = 200}, false);
	wait_for(lease->times);
	is_str(lease->error, "GET /lease: no answer within 200 ms");
	wait_for(watch->times); /* at once, not at its own time */
	is_int(watch->status, 0);
	next = get_done("/x");
	is_int(next->status, 200);
	is_int(srv->n_conns, 2);
}

static void slow_answer_on_a_lively_connection_ends_nothing_else(void)
{
	struct seen *watch, *slow;

	begin(expect_nothing);
	watch = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	slow = start(&(struct http_call){.path = "/slow", .timeout_ms = 300}, false);
	for (int i = 0; i < 10; i++) {
		turn_for(40);
		srv_data(srv->requests[0], "x", 1, false);
	}
	wait_for(slow->times);
	turn_for(50);
	is_int(watch->times, 0);
	is_int(srv->n_conns, 1);
}

/* A client that probes after a short silence. */
static void impatient(int64_t probe_ms)
{
	make_server(expect_nothing);
	settings.silent_ms = 150;
	settings.probe_ms = probe_ms;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
}

static void quiet_connection_is_probed_and_stays_when_it_answers(void)
{
	struct seen *watch;

	impatient(5000); /* whatever else runs on this machine */
	watch = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	srv->on_request = answer_ok;
	turn_for(700);
	is_int(watch->times, 0);
	ok(asked("/version") >= 1 && asked("/version") <= 4);
	is_int(srv->n_conns, 1);
}

static void quiet_connection_that_does_not_answer_the_probe_ends(void)
{
	struct seen *watch;
	int64_t then;

	impatient(150);
	watch = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	wait_for(watch->told);
	turn_for(20);
	srv_freeze(srv->conns[0]);
	then = loop_now(loop);
	wait_for(watch->times);
	ok(loop_now(loop) - then < 10000); /* not after 90 s */
	is_int(watch->status, 0);
	srv->on_request = answer_ok;
	is_int(get_done("/x")->status, 200);
	is_int(srv->n_conns, 2);
}

static void client_without_open_requests_probes_nothing(void)
{
	int before;

	make_server(answer_ok);
	settings.silent_ms = 50;
	settings.probe_ms = 50;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	get_done("/x"); /* on a busy machine perhaps over a second connection, */
	turn_for(300);	/* and with a probe that arrives only now */
	before = srv->n_requests;
	turn_for(300);
	is_int(srv->n_requests, before);
}

static int option(int level, int name)
{
	int v = -1;
	socklen_t n = sizeof(v);

	is_int(getsockopt(http->socks->fd, level, name, &v, &n), 0);
	return v;
}

static void kernel_ends_a_dead_connection_within_45_seconds(void)
{
	begin(expect_nothing);
	stream("/watch"); /* an idle connection is not on the loop */
	wait_for(srv->n_requests == 1);
	is_int(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
	is_int(option(SOL_SOCKET, SO_KEEPALIVE), 1);
	is_int(option(IPPROTO_TCP, TCP_KEEPIDLE), 15);
	is_int(option(IPPROTO_TCP, TCP_KEEPINTVL), 10);
	ok(fcntl(http->socks->fd, F_GETFD) & FD_CLOEXEC); /* no plugin inherits it */
}

static void server_that_takes_connections_and_says_nothing(void)
{
	struct seen *s;

	begin(answer_ok);
	srv->freeze_new = true;
	s = start(&(struct http_call){.path = "/x", .timeout_ms = 200}, false);
	wait_for(s->times);
	is_str(s->error, "GET /x: no answer within 200 ms");
	ok(!s->unknown);
	s = start(
		&(struct http_call){.method = "POST", .path = "/x", .body = "", .timeout_ms = 200},
		false);
	wait_for(s->times);
	ok(!s->unknown); /* never sent: there was no connection */
	srv->freeze_new = false;
	is_int(get_done("/x")->status, 200);
}

static void write_that_times_out_has_an_unknown_fate(void)
{
	struct seen *s;

	begin(answer_ok);
	get_done("/first"); /* a handshake may take longer than the POST's time */
	srv->on_request = expect_nothing;
	s = start(&(struct http_call){.method = "POST",
				      .path = "/x",
				      .body = "{}",
				      .length = 2,
				      .timeout_ms = 100},
		  false);
	wait_for(s->times);
	ok(s->unknown);
}

/* Stopped (SIGSTOP, a paused machine), and going on */

static struct seen *late;

static void begin_watch_and_write(void)
{
	struct seen *watch;

	begin(expect_nothing);
	watch = stream("/watch");
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	wait_for(watch->told);
	turn_for(20);
}

static void post_in_time(void)
{
	late = start(
		&(struct http_call){.method = "POST", .path = "/x", .body = "", .timeout_ms = 100},
		false);
	usleep(150 * 1000);
}

/* The socket is ready when it goes on, and sockets come before timers. */
static void what_waited_does_not_go_out_after_its_time(void)
{
	begin_watch_and_write();
	srv_data(srv->requests[0], "x", 1, false);
	post_in_time();
	wait_for(late->times);
	turn_for(50);
	is_int(srv->n_requests, 1);
	is_str(late->error,
	       "POST /x: could not go out within 100 ms (too many requests before it)");
	ok(!late->unknown);
}

static bool stopped_while_reading(struct seen *s attr_unused)
{
	post_in_time();
	return true;
}

/* The turn goes on with the time at which it began. */
static void neither_when_it_was_stopped_within_a_turn(void)
{
	begin_watch_and_write();
	seen[0].on_bytes = stopped_while_reading;
	srv_data(srv->requests[0], "x", 1, false);
	wait_for(late && late->times);
	turn_for(50);
	is_int(srv->n_requests, 1);
	ok(!late->unknown);
	late = NULL;
}

/* Nonsense */

static void answer_garbage(int fd, const char *bytes, size_t n)
{
	int peer = accept_on(fd);

	turn_for(20);
	ok(write(peer, bytes, n) == (ssize_t)n);
	turn_for(20);
	close(peer);
}

static void port_that_speaks_no_tls_is_named(void)
{
	auto_free char *path = NULL, *text = NULL;
	struct config_env env = {0};
	struct err err;
	struct seen *s;
	int port = 0, fd;

	make_server(expect_nothing);
	path = in_dir("kubeconfig");
	fd = srv_listen(&port);
	text = xprintf(
		"current-context: x\ncontexts: [{name: x, context: {cluster: k}}]\n"
		"clusters: [{name: k, cluster: {server: \"https://127.0.0.1:%d\", certificate-authority: ca.crt}}]\n",
		port);
	put("kubeconfig", text);
	env.kubeconfig = path;
	is_int(config_load(&env, &config, &err), 0);
	http = http_create(loop, &config, &settings, &err);
	s = get("/x");
	answer_garbage(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	wait_for(s->times);
	is_int(s->status, 0);
	has(s->error, "GET /x: no TLS with https://127.0.0.1:");
	has(s->error, "is it an HTTPS port?");
	close(fd);
}

static void garbage_frames(struct srv_request *r)
{
	static const char junk[] = "\x00\x00\x08\xff\xff\xff\xff\xff\xff"
				   "garbage!"
				   "<html>this is no HTTP/2</html>";

	r->conn->srv->on_request = answer_ok;
	buf_add(&r->conn->out, junk, sizeof(junk) - 1);
}

static void server_that_breaks_the_protocol_is_left(void)
{
	struct seen *watch;

	impatient(150);
	watch = stream("/watch");
	warm_up(garbage_frames);
	get_done("/x");
	is_int(get_done("/y")->status, 200);
	wait_for(watch->times); /* libcurl forgets it: only the probe notices */
}

static void nothing_is_left_behind_by_a_thousand_failures(void)
{
	size_t files;

	impatient(150);
	warm_up(answer_ok);
	files = open_files();
	for (int round = 0; round < 25; round++) {
		struct seen *s[10];

		srv->on_request = round % 3 == 0   ? cut
				  : round % 3 == 1 ? go_away_before
						   : garbage_frames;
		for (int i = 0; i < 10; i++) {
			s[i] = i % 2 ? get("/x")
				     : send_body("PATCH", "/x", "application/json", "{}");
		}
		for (int i = 0; i < 10; i++) {
			wait_for(s[i]->times == 1);
		}
	}
	ok(!http->active.first && !http->dead.first && !http->failed.first && http->inflight == 0);
	srv->on_request = answer_ok;
	is_int(get_done("/ok")->status, 200);
	turn_for(50);
	ok(open_files() <= files + (size_t)srv->n_conns); /* the server's sides, which its own test
							     closes at the end */
}

TESTS({"GOAWAY lets running streams finish, new requests take a new connection",
       goaway_lets_running_streams_finish},
      {"a GET that GOAWAY leaves out goes to a new connection",
       get_that_goaway_leaves_out_goes_to_a_new_connection},
      {"few streams at once mean more connections, four at most",
       few_streams_mean_more_connections_four_at_most},
      {"what waited for a stream when GOAWAY came goes elsewhere, a write too",
       what_waited_behind_a_goaway_goes_out},
      {"an answer that ends before its end is none", an_answer_that_ends_early_is_none},
      {"a write that GOAWAY leaves out goes to a new connection",
       write_that_goaway_leaves_out_goes_to_a_new_connection},
      {"a GET is repeated after a reset, three times", get_is_repeated_after_a_reset_three_times},
      {"a write is not repeated after a reset", write_is_not_repeated_after_a_reset},
      {"a write that the server refuses unseen is repeated, three times",
       write_that_the_server_refuses_unseen_is_repeated},
      {"a GET is repeated on a fresh connection", get_is_repeated_on_a_fresh_connection},
      {"a write with an unknown fate is not repeated", write_with_an_unknown_fate_is_not_repeated},
      {"a write whose connection was closed before goes out",
       write_whose_connection_was_closed_before_goes_out},
      {"a collected answer that is cut short is fetched again",
       collected_answer_that_is_cut_short_is_fetched_again},
      {"a stream that is cut short says so", stream_that_is_cut_short_says_so},
      {"all streams of a dead connection end", all_streams_of_a_dead_connection_end},
      {"the server may restart at any time", server_may_restart_at_any_time},
      {"a request that times out on a silent connection ends the connection",
       request_that_times_out_on_a_silent_connection_ends_it},
      {"a slow answer on a lively connection ends nothing else",
       slow_answer_on_a_lively_connection_ends_nothing_else},
      {"a quiet connection is probed, and stays when it answers",
       quiet_connection_is_probed_and_stays_when_it_answers},
      {"a quiet connection that does not answer the probe ends",
       quiet_connection_that_does_not_answer_the_probe_ends},
      {"a client without open requests probes nothing",
       client_without_open_requests_probes_nothing},
      {"the kernel ends a dead connection within 45 s",
       kernel_ends_a_dead_connection_within_45_seconds},
      {"a server that takes connections and says nothing",
       server_that_takes_connections_and_says_nothing},
      {"what waited while the process was stopped does not go out after its time",
       what_waited_does_not_go_out_after_its_time},
      {"neither does it when it was stopped within a turn",
       neither_when_it_was_stopped_within_a_turn},
      {"a write that times out has an unknown fate", write_that_times_out_has_an_unknown_fate},
      {"a port that speaks no TLS is named", port_that_speaks_no_tls_is_named},
      {"a server that breaks the protocol is left", server_that_breaks_the_protocol_is_left},
      {"nothing is left behind by many failures", nothing_is_left_behind_by_a_thousand_failures})
