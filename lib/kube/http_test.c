/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http.h"

#include "kube/http_test.h"
#include "kube/measure.h"

/* Answers with what was asked. */
static void echo(struct srv_request *r)
{
	auto_free char *text = xprintf("%s %s\n%s\n%s", r->method, r->path, buf_text(&r->headers),
				       buf_text(&r->body));

	srv_reply(r, 200, NULL, text);
}

static void many_requests_share_one_connection_at_once(void)
{
	begin(expect_nothing);
	for (int i = 0; i < 20; i++) {
		get("/held");
	}
	wait_for(srv->n_requests == 20);
	for (int i = 19; i >= 0; i--) { /* answered in the opposite order */
		auto_free char *text = xprintf("%d", i);

		srv_reply(srv->requests[i], 200, NULL, text);
	}
	for (int i = 0; i < 20; i++) {
		auto_free char *text = xprintf("%d", i);

		wait_for(seen[i].times == 1);
		is_int(seen[i].status, 200);
		is_str(buf_text(&seen[i].body), text);
	}
	is_int(srv->n_conns, 1);
	is_int(http_counts(http)->connections, 1);
	is_int(http_counts(http)->requests, 20);
}

static void request_says_who_we_are(void)
{
	struct seen *s;

	make_server(echo);
	make_client(", certificate-authority: ca.crt",
		    "tokenFile: token, as: jane, as-groups: [a, b]");
	s = start(&(struct http_call){.path = "/api/v1/nodes", .query = "limit=500&continue=x%3D"},
		  false);
	wait_for(s->times);
	is_str(buf_text(&s->body),
	       "GET /api/v1/nodes?limit=500&continue=x%3D\n"
	       "accept: application/json\nuser-agent: vmgpu/test\nauthorization: Bearer one\n"
	       "impersonate-user: jane\nimpersonate-group: a\nimpersonate-group: b\n\n");
	s = start(
		&(struct http_call){
			.path = "/p",
			.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"},
		false);
	wait_for(s->times);
	has(buf_text(&s->body),
	    "accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1\n");
}

static void password_goes_as_basic(void)
{
	make_server(echo);
	make_client(", certificate-authority: ca.crt", "username: joe, password: pw");
	has(buf_text(&get_done("/x")->body), "authorization: Basic am9lOnB3\n");
}

static void each_method_carries_its_body_and_the_next_does_not(void)
{
	static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
	struct seen *s;

	begin(echo);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		auto_free char *first = xprintf("%s /x?a=b\n", methods[i]);

		s = start(&(struct http_call){.method = methods[i],
					      .path = "/x",
					      .query = "a=b",
					      .content_type = "application/apply-patch+yaml",
					      .body = "{\"a\":1}",
					      .length = 7},
			  false);
		wait_for(s->times);
		has(buf_text(&s->body), first);
		has(buf_text(&s->body), "content-type: application/apply-patch+yaml\n");
		has(buf_text(&s->body), "content-length: 7\n");
		ok(str_ends(buf_text(&s->body), "\n\n{\"a\":1}"));
		s = get_done("/plain"); /* most likely on the same handle */
		has(buf_text(&s->body), "GET /plain\n");
		ok(!strstr(buf_text(&s->body), "content-"));
	}
	s = start(&(struct http_call){.method = "DELETE", .path = "/x"}, false);
	wait_for(s->times);
	has(buf_text(&s->body), "DELETE /x\n");
	ok(!strstr(buf_text(&s->body), "content-"));
	s = start(&(struct http_call){.method = "HEAD", .path = "/x"}, false);
	wait_for(s->times);
	is_int(s->status, 200);
	is_str(srv->requests[srv->n_requests - 1]->method, "HEAD");
	has(buf_text(&get_done("/after-head")->body), "GET /after-head\n");
}

static void body_may_hold_any_bytes(void)
{
	struct seen *s;

	begin(expect_nothing);
	s = start(&(struct http_call){.method = "PUT",
				      .path = "/x",
				      .content_type = "application/json",
				      .body = "a\0b",
				      .length = 3},
		  false);
	wait_for(srv->n_requests == 1);
	is_int(srv->requests[0]->body.len, 3);
	ok(memcmp(srv->requests[0]->body.bytes, "a\0b", 3) == 0);
	srv_reply(srv->requests[0], 201, NULL, "");
	wait_for(s->times);
	is_int(s->status, 201);
}

static void large_bodies_pass_both_ways(void)
{
	enum { SIZE = 3000000 };
	auto_free char *big = xmalloc(SIZE + 1);
	struct seen *s;

	memset(big, 'x', SIZE);
	big[SIZE] = '\0';
	begin(expect_nothing);
	s = send_body("PATCH", "/x", "application/json", big);
	wait_for(srv->n_requests == 1 && srv->requests[0]->body.len == SIZE);
	srv_reply(srv->requests[0], 200, NULL, big);
	wait_for(s->times);
	is_int(s->status, 200);
	is_str(buf_text(&s->body), big);
	is_str(buf_text(&srv->requests[0]->body), big);
}

static void stream_gives_status_then_bytes_as_they_come(void)
{
	struct seen *s;

	begin(expect_nothing);
	s = stream("/watch");
	wait_for(srv->n_requests == 1);
	is_int(s->told, 0);
	srv_begin(srv->requests[0], 200, NULL);
	wait_for(s->told);
	is_int(s->told, 200);
	is_int(s->body.len, 0);
	srv_data(srv->requests[0], "one ", 4, false);
	wait_for(s->body.len == 4);
	srv_data(srv->requests[0], "two", 3, true);
	wait_for(s->times);
	is_str(buf_text(&s->body), "one two");
	is_int(s->status, 200);
	is_str(s->error, "");
}

static void refuse_more_than_ten_(struct srv_request *r)
{
	srv_begin(r, 200, NULL);
	srv_data(r, "0123456789abcdef", 16, false);
}

static bool enough(struct seen *s attr_unused)
{
	return false;
}

static void reader_can_end_its_stream(void)
{
	struct seen *s;

	begin(refuse_more_than_ten_);
	s = stream("/watch");
	s->on_bytes = enough;
	wait_for(s->times);
	is_int(s->status, 0);
	is_str(s->error, "GET /watch: ended by its reader");
	srv->on_request = answer_ok;
	is_int(get_done("/ok")->status, 200);
	is_int(srv->n_conns, 1);
	ok(srv->requests[0]
		   ->closed); /* libcurl 7.88 tells the server with the next request, not before */
}

static void collected_answer_has_a_maximum(void)
{
	struct seen *s;

	begin(refuse_more_than_ten_);
	s = start(&(struct http_call){.path = "/x", .max_body = 10}, false);
	wait_for(s->times);
	is_int(s->status, 0);
	is_str(s->error, "GET /x: the answer is larger than 0 KiB");
	srv->on_request = answer_ok;
	is_int(get_done("/ok")->status, 200);
	is_int(srv->n_conns, 1);
}

static void error_answers_are_answers(void)
{
	static const int codes[] = {400, 403, 404, 409, 410, 422, 500, 503};
	struct seen *s;

	begin(expect_nothing);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		s = get("/x");
		wait_for(srv->n_requests == (int)i + 1);
		srv_reply(srv->requests[i], codes[i], "retry-after: 7", "{\"kind\":\"Status\"}");
		wait_for(s->times);
		is_int(s->status, codes[i]);
		is_int(s->retry_after, 7);
		is_str(buf_text(&s->body), "{\"kind\":\"Status\"}");
	}
	is_int(srv->n_requests, (int)ARRAY_LEN(codes)); /* none was repeated */
}

static void retry_after_is_read_in_both_forms(void)
{
	static const struct {
		const char *header;
		int64_t min, max;
	} rows[] = {
		{"retry-after: 12", 12, 12},
		{"retry-after: 0", 0, 0},
		{"retry-after: soon", -1, -1},
		{"retry-after: -4", -1, -1},
		{"retry-after: 99999999999999999999", -1, -1},
		{"retry-after: Fri, 31 Dec 1999 23:59:59 GMT", 0, 0},
		{"retry-after: Fri, 31 Dec 2100 23:59:59 GMT", 1000000, INT64_MAX},
		{NULL, -1, -1},
	};

	begin(expect_nothing);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen *s = get("/x");

		wait_for(srv->n_requests == (int)i + 1);
		srv_reply(srv->requests[i], 503, rows[i].header, "");
		wait_for(s->times);
		if (s->retry_after < rows[i].min || s->retry_after > rows[i].max) {
			is_int(s->retry_after, rows[i].min);
		}
	}
}

/* Limits */

static int unanswered(void)
{
	int n = 0;

	for (int i = 0; i < srv->n_requests; i++) {
		n += !srv->requests[i]->begun;
	}
	return n;
}

static void no_more_than_the_limit_go_out_at_a_time(void)
{
	make_server(expect_nothing);
	settings.max_inflight = 4;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	for (int i = 0; i < 12; i++) {
		get("/x");
	}
	for (int i = 0; i < 3; i++) { /* streams are not counted */
		stream("/watch");
	}
	wait_for(srv->n_requests == 7);
	turn_for(50);
	is_int(srv->n_requests, 7);
	start(&(struct http_call){.path = "/lease", .urgent = true}, false);
	wait_for(srv->n_requests == 8); /* an urgent one does not wait */
	is_str(srv->requests[7]->path, "/lease");
	answer_ok(srv->requests[7]);
	for (int answered = 0; answered < 12;) {
		for (int i = 0; i < srv->n_requests; i++) {
			if (!srv->requests[i]->begun && str_eq(srv->requests[i]->path, "/x")) {
				answer_ok(srv->requests[i]);
				answered++;
				break;
			}
		}
		turn_for(5);
		ok(unanswered() <= 4 + 3);
	}
	for (int i = 0; i < 12; i++) {
		wait_for(seen[i].times == 1);
	}
}

static void refuse_first(struct srv_request *r)
{
	if (r->conn->srv->n_requests == 1) {
		srv_reply(r, 429, "retry-after: 1", "slow down");
	} else {
		answer_ok(r);
	}
}

static void all_wait_after_a_429_but_the_urgent(void)
{
	struct seen *first, *next, *urgent, *watch;
	int64_t then;

	begin(refuse_first);
	first = get_done("/x");
	is_int(first->status, 429);
	is_int(first->retry_after, 1);
	is_str(buf_text(&first->body), "slow down");
	then = loop_now(loop);
	next = get("/next");
	watch = stream("/watch");
	urgent = start(&(struct http_call){.path = "/lease", .urgent = true}, false);
	wait_for(urgent->times);
	ok(loop_now(loop) - then < 900);
	ok(!next->times);
	is_int(srv->n_requests, 2);
	wait_for(next->times && watch->times);
	ok(loop_now(loop) - then >= 900);
	is_int(next->status, 200);
	is_int(next->times, 1);
}

static void fewer_go_out_at_a_time_after_a_429(void)
{
	make_server(refuse_first);
	settings.max_inflight = 8;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	get_done("/x");
	srv->on_request = expect_nothing;
	for (int i = 0; i < 20; i++) {
		get("/x");
	}
	wait_for(srv->n_requests >= 5);
	turn_for(30);
	is_int(srv->n_requests, 1 + 4); /* half of 8 */
	for (int answered = 1; answered < 21;) {
		turn_for(60);
		for (int i = answered; i < srv->n_requests; i++, answered++) {
			answer_ok(srv->requests[i]);
		}
	}
}

/* Time */

static void whole_exchange_has_a_time(void)
{
	struct seen *s;

	begin(expect_nothing);
	s = start(&(struct http_call){.path = "/x", .timeout_ms = 100}, false);
	wait_for(s->times);
	is_int(s->status, 0);
	is_str(s->error, "GET /x: no answer within 100 ms");
	ok(s->took_ms >= 100 && s->took_ms < 10000);
}

static void time_counts_while_waiting_to_go_out(void)
{
	struct seen *s;

	make_server(expect_nothing);
	settings.max_inflight = 1;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	get("/first");
	wait_for(srv->n_requests == 1); /* a handshake may take longer than the second's time */
	s = start(&(struct http_call){.path = "/second", .timeout_ms = 100}, false);
	wait_for(s->times);
	is_str(s->error,
	       "GET /second: could not go out within 100 ms (too many requests before it)");
	is_int(srv->n_requests, 1);
}

static void slow_bytes_keep_a_stream_and_silence_ends_it(void)
{
	struct seen *s;
	int64_t last;

	begin(expect_nothing);
	s = start(&(struct http_call){.path = "/watch", .idle_ms = 600}, true);
	wait_for(srv->n_requests == 1);
	srv_begin(srv->requests[0], 200, NULL);
	for (size_t i = 0; i < 14; i++) {
		turn_for(60);
		srv_data(srv->requests[0], "x", 1, false);
	}
	wait_for(s->body.len == 14);
	is_int(s->times, 0);
	last = loop_now(loop);
	wait_for(s->times);
	is_str(s->error, "GET /watch: no byte came for 600 ms");
	ok(loop_now(loop) - last >= 500);
}

/* Cancelling */

static void cancel_ends_at_once_wherever_it_is(void)
{
	struct seen *queued, *sent, *streaming;

	begin(expect_nothing);
	queued = get("/queued");
	http_cancel(queued->request); /* before the loop turned */
	is_int(queued->times, 1);
	is_str(queued->error, "cancelled");
	is_int(queued->status, 0);
	sent = get("/sent");
	wait_for(srv->n_requests == 1);
	streaming = stream("/watch");
	wait_for(srv->n_requests == 2);
	srv_begin(srv->requests[1], 200, NULL);
	srv_data(srv->requests[1], "x", 1, false);
	wait_for(streaming->body.len);
	http_cancel(sent->request);
	http_cancel(streaming->request);
	is_int(sent->times + streaming->times, 2);
	srv->on_request = answer_ok;
	is_int(get_done("/ok")->status, 200);
	ok(srv->requests[0]->closed && srv->requests[1]->closed);
	is_int(srv->n_conns, 1);
}

static void cancel_self(struct seen *s)
{
	http_cancel(s->request);
}

static bool cancel_self_in_bytes(struct seen *s)
{
	cancel_self(s);
	return true;
}

static void cancel_arg(struct seen *s)
{
	struct seen *other = s->arg;

	if (other->request) {
		http_cancel(other->request);
	}
}

static bool cancel_arg_in_bytes(struct seen *s)
{
	cancel_arg(s);
	return true;
}

static void request_may_cancel_itself_or_another_in_any_callback(void)
{
	struct seen *in_status, *in_bytes, *by_status, *by_bytes, *by_done, *victims[3];

	begin(expect_nothing);
	in_status = stream("/1"), in_bytes = stream("/2");
	by_status = stream("/3"), by_bytes = stream("/4"), by_done = stream("/5");
	for (int i = 0; i < 3; i++) {
		victims[i] = stream("/victim");
	}
	in_status->on_status = cancel_self;
	in_bytes->on_bytes = cancel_self_in_bytes;
	by_status->on_status = cancel_arg, by_status->arg = victims[0];
	by_bytes->on_bytes = cancel_arg_in_bytes, by_bytes->arg = victims[1];
	by_done->on_done = cancel_arg, by_done->arg = victims[2];
	wait_for(srv->n_requests == 8);
	for (int i = 0; i < 8; i++) {
		srv_begin(srv->requests[i], 200, NULL);
		srv_data(srv->requests[i], "x", 1, i < 5);
	}
	wait_for(by_status->times && by_bytes->times && by_done->times);
	for (int i = 0; i < 8; i++) {
		is_int(seen[i].times, 1);
	}
	is_int(in_bytes->body.len, 1);
	is_int(in_status->body.len, 0);
	is_int(by_bytes->status, 200);
	srv->on_request = answer_ok;
	is_int(get_done("/ok")->status, 200);
	is_int(srv->n_conns, 1);
}

static void start_another(struct seen *s)
{
	s->arg = get("/next");
}

static bool start_another_in_bytes(struct seen *s)
{
	if (!s->arg) {
		start_another(s);
	}
	return true;
}

static void request_may_be_started_in_any_callback(void)
{
	struct seen *a, *b, *c;

	begin(answer_ok);
	a = stream("/a"), b = stream("/b"), c = get("/c");
	a->on_status = start_another;
	b->on_bytes = start_another_in_bytes;
	c->on_done = start_another;
	wait_for(a->arg && b->arg && c->arg);
	wait_for(((struct seen *)a->arg)->times && ((struct seen *)b->arg)->times &&
		 ((struct seen *)c->arg)->times);
	for (int i = 0; i < 6; i++) {
		is_int(seen[i].times, 1);
		is_int(seen[i].status, 200);
	}
}

static void done_is_never_called_from_within_start(void)
{
	struct seen *s;

	begin(answer_ok);
	s = start(&(struct http_call){.path = "/%zz bad url\n"}, false);
	is_int(s->times, 0);
	wait_for(s->times);
	is_int(s->status, 0);
	ok(*s->error);
}

static void destroy_ends_every_request_once(void)
{
	size_t files;

	make_server(expect_nothing);
	files = open_files();
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	get("/x"), stream("/y");
	wait_for(srv->n_requests == 2);
	get("/queued");
	http = http_destroy(http);
	for (int i = 0; i < 3; i++) {
		is_int(seen[i].times, 1);
		is_str(seen[i].error, "the client is closing");
	}
	is_int(open_files(), files + 1); /* the server's side of the connection */
}

/* Costs */

static void idle_client_sleeps(void)
{
	int turns = 0;
	int64_t until;

	begin(expect_nothing);
	for (int i = 0; i < 15; i++) {
		start(&(struct http_call){.path = "/watch", .idle_ms = 90000}, true);
	}
	wait_for(srv->n_requests == 15);
	for (int i = 0; i < 15; i++) {
		srv_begin(srv->requests[i], 200, NULL);
		srv_data(srv->requests[i], "x", 1, false);
	}
	wait_for(seen[14].body.len);
	turn_for(300); /* what libcurl does after connecting is over */
	for (until = loop_now(loop) + 1000; loop_now(loop) < until; turns++) {
		loop_turn(loop, (int)(until - loop_now(loop)));
	}
	ok(turns <= 5);
}

static void requests_are_measured_as_client_go_does(void)
{
	struct metrics *m = measure_create();
	auto_free char *want = NULL;
	auto_buf struct buf b;

	make_server(answer_ok);
	settings.metrics = m;
	make_client(", certificate-authority: ca.crt", "tokenFile: token");
	get_done("/x"), get_done("/y");
	srv->on_request = expect_nothing;
	http_cancel(get("/z")->request);
	stream("/watch");
	wait_for(srv->n_requests == 3);
	srv_begin(srv->requests[2], 410, NULL);
	wait_for(seen[3].told); /* counted when its header is there */
	buf_init(&b, MiB);
	measure_collect(m, &(struct measure_sources){.loop = loop, .http = http});
	metrics_write(m, &b);
	want = xprintf(
		"rest_client_requests_total{code=\"200\",method=\"GET\",host=\"127.0.0.1:%d\"} 2\n",
		srv->port);
	has(buf_text(&b), want);
	has(buf_text(&b), "rest_client_requests_total{code=\"<error>\",method=\"GET\",");
	has(buf_text(&b), "rest_client_requests_total{code=\"410\",method=\"GET\",");
	has(buf_text(&b), "rest_client_request_duration_seconds_bucket{verb=\"GET\",");
	has(buf_text(&b), "vmgpu_connections_total 1\n");
	has(buf_text(&b), "\nprocess_resident_memory_bytes ");
	has(buf_text(&b), "\nprocess_start_time_seconds 1");
	ok(!strstr(buf_text(&b), "process_open_fds 0\n"));
	settings.metrics = NULL;
	end();
	metrics_destroy(m);
}

static void plain_http_serves_kubectl_proxy(void)
{
	static const char answer[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 5\r\n\r\nhi";
	auto_free char *path = NULL, *text = NULL;
	struct config_env env = {0};
	struct err err;
	struct seen *s;
	char got[2000];
	ssize_t n;
	int port = 0, fd, peer;

	make_server(expect_nothing);
	path = in_dir("kubeconfig");
	fd = srv_listen(&port);
	text = xprintf(
		"current-context: x\ncontexts: [{name: x, context: {cluster: k}}]\nclusters: [{name: k, cluster: {server: \"http://127.0.0.1:%d/p/\"}}]\n",
		port);
	put("kubeconfig", text);
	env.kubeconfig = path;
	is_int(config_load(&env, &config, &err), 0);
	http = http_create(loop, &config, &settings, &err);
	s = get("/api");
	peer = accept_on(fd);
	turn_for(50);
	n = recv(peer, got, sizeof(got) - 1, 0);
	ok(n > 0);
	got[n] = '\0';
	has(got, "GET /p/api HTTP/1.1\r\n");
	ok(write(peer, answer, sizeof(answer) - 1) > 0);
	wait_for(s->times);
	is_int(s->status, 200);
	is_int(s->retry_after, 5);
	is_str(buf_text(&s->body), "hi");
	close(peer), close(fd);
}

TESTS({"many requests share one connection at once", many_requests_share_one_connection_at_once},
      {"a request says who we are and what we take", request_says_who_we_are},
      {"user and password go as Basic", password_goes_as_basic},
      {"each method carries its body, and the next request does not",
       each_method_carries_its_body_and_the_next_does_not},
      {"a body may hold any bytes", body_may_hold_any_bytes},
      {"large bodies pass both ways", large_bodies_pass_both_ways},
      {"a stream gives its status, then bytes as they come",
       stream_gives_status_then_bytes_as_they_come},
      {"a reader can end its stream, the connection stays", reader_can_end_its_stream},
      {"a collected answer has a maximum, the connection stays", collected_answer_has_a_maximum},
      {"error answers are answers, none is repeated", error_answers_are_answers},
      {"Retry-After is read in both forms", retry_after_is_read_in_both_forms},
      {"no more than the limit go out at a time", no_more_than_the_limit_go_out_at_a_time},
      {"after a 429 all wait but the urgent", all_wait_after_a_429_but_the_urgent},
      {"after a 429 fewer go out at a time", fewer_go_out_at_a_time_after_a_429},
      {"a whole exchange has a time", whole_exchange_has_a_time},
      {"its time counts while it waits to go out", time_counts_while_waiting_to_go_out},
      {"slow bytes keep a stream, silence ends it", slow_bytes_keep_a_stream_and_silence_ends_it},
      {"a cancel ends it at once, wherever it is", cancel_ends_at_once_wherever_it_is},
      {"a request may cancel itself or another in any callback",
       request_may_cancel_itself_or_another_in_any_callback},
      {"a request may be started in any callback", request_may_be_started_in_any_callback},
      {"done is never called from within start", done_is_never_called_from_within_start},
      {"destroying the client ends every request once", destroy_ends_every_request_once},
      {"an idle client sleeps", idle_client_sleeps},
      {"requests are measured as client-go does", requests_are_measured_as_client_go_does},
      {"plain HTTP serves kubectl proxy", plain_http_serves_kubectl_proxy})
