/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"

static struct loop *loop;
static struct serve *serve;
static int answers;
static size_t big;

static int say_hello(void *ctx, struct buf *body)
{
	answers++;
	buf_str(body, ctx);
	return 200;
}

static int say_no(void *ctx attr_unused, struct buf *body)
{
	buf_str(body, "not yet\n");
	return 503;
}

static int say_much(void *ctx attr_unused, struct buf *body)
{
	for (size_t i = 0; i < big; i++) {
		buf_char(body, 'x');
	}
	return 200;
}

static const struct serve_route routes[] = {
	{"/hello", "text/plain", say_hello},
	{"/no", "text/plain", say_no},
	{"/much", "text/plain", say_much},
	{0},
};

static void end(void)
{
	serve = serve_destroy(serve);
	loop = loop_destroy(loop);
	answers = 0;
}

static void begin(void)
{
	static char hello[] = "hello\n";
	struct err err;

	end();
	loop = loop_create();
	serve = serve_create(loop, "127.0.0.1:0", routes, hello, &err);
	ok(serve);
}

static int dial_port(int port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int dial(void)
{
	int fd = dial_port(serve_port(serve));

	ok(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Turns the loop until the server closes, or until ms are over: false. */
static bool hear(int fd, struct buf *b, int64_t ms)
{
	int64_t by = clock_boot_ms() + ms;
	char bytes[65536];

	while (clock_boot_ms() < by) {
		ssize_t n;

		loop_turn(loop, 1);
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0) {
			buf_add(b, bytes, (size_t)n);
		} else if (n == 0 || errno != EAGAIN) {
			return true;
		}
	}
	return false;
}

/* The whole answer to a request, which holds until the next. */
static const char *ask_port(int port, const char *request)
{
	static struct buf b;
	auto_close int fd = dial_port(port);

	ok(fd >= 0);
	buf_finish(&b);
	buf_init(&b, 8 * MiB);
	say(fd, request);
	ok(hear(fd, &b, 5000));
	return buf_text(&b);
}

static const char *ask(const char *request)
{
	return ask_port(serve_port(serve), request);
}

#define REST " HTTP/1.1\r\nHost: x\r\n\r\n"

static void a_route_is_answered(void)
{
	begin();
	is_str(ask("GET /hello" REST),
	       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
	       "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nhello\n");
	ok(str_ends(ask("GET /hello?verbose=1" REST), "\r\n\r\nhello\n"));
	is_int(answers, 2);
	ok(str_starts(ask("GET /no" REST), "HTTP/1.1 503 Service Unavailable\r\n"));
	end();
}

static void a_header_may_come_in_pieces(void)
{
	auto_buf struct buf b;

	begin();
	auto_close int fd = dial();
	buf_init(&b, KiB);
	for (const char *p = "GET /hello" REST; *p; p++) {
		is_int(answers, 0);
		is_int(send(fd, p, 1, MSG_NOSIGNAL), 1);
		loop_turn(loop, 5);
		loop_turn(loop, 0);
	}
	ok(hear(fd, &b, 5000));
	ok(str_ends(buf_text(&b), "hello\n"));
	end();
}

static void what_is_not_ours_is_refused(void)
{
	begin();
	ok(str_starts(ask("GET /" REST), "HTTP/1.1 404 Not Found\r\n"));
	ok(str_starts(ask("GET /hello/" REST), "HTTP/1.1 404 "));
	ok(str_starts(ask("GET /HELLO" REST), "HTTP/1.1 404 "));
	ok(strstr(ask("POST /hello" REST), "HTTP/1.1 405 Method Not Allowed\r\n"));
	ok(strstr(ask("POST /hello" REST), "\r\nAllow: GET\r\n"));
	ok(str_starts(ask("GET hello" REST), "HTTP/1.1 400 "));
	ok(str_starts(ask("GET /hello\r\n\r\n"), "HTTP/1.1 400 "));
	ok(str_starts(ask("\r\n\r\n"), "HTTP/1.1 400 "));
	ok(str_starts(ask("GET /hello SMTP\r\n\r\n"), "HTTP/1.1 400 "));
	is_int(answers, 0);
	end();
}

static void a_header_has_a_maximum(void)
{
	auto_free char *filler = xcalloc(1, 3 * SERVE_HEADER_MAX);
	auto_free char *request;

	begin();
	memset(filler, 'a', SERVE_HEADER_MAX - 100);
	request = xprintf("GET /hello HTTP/1.1\r\nX: %s\r\n\r\n", filler);
	ok(str_starts(ask(request), "HTTP/1.1 200 "));
	free(request);
	memset(filler, 'a', 3 * SERVE_HEADER_MAX - 1);
	request = xprintf("GET /hello HTTP/1.1\r\nX: %s\r\n\r\n", filler);
	/* More than it reads: the answer arrives nevertheless. */
	ok(str_starts(ask(request), "HTTP/1.1 431 "));
	is_int(answers, 1);
	end();
}

static void a_zero_byte_is_refused(void)
{
	auto_buf struct buf b;

	begin();
	auto_close int fd = dial();
	buf_init(&b, KiB);
	is_int(send(fd, "GET /hel\0lo", 11, MSG_NOSIGNAL), 11);
	ok(hear(fd, &b, 5000));
	ok(str_starts(buf_text(&b), "HTTP/1.1 400 "));
	end();
}

static void slow_clients_make_room(void)
{
	int slow[SERVE_CONNECTIONS + 1];
	auto_buf struct buf b;

	begin();
	buf_init(&b, KiB);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		slow[i] = dial();
		say(slow[i], "GET /hel");
		loop_turn(loop, 100);
		loop_turn(loop, 0);
	}
	is_int((int64_t)serve_connections(serve), SERVE_CONNECTIONS);
	ok(hear(slow[0], &b, 100));
	ok(!hear(slow[2], &b, 20));
	ok(str_ends(ask("GET /hello" REST), "hello\n"));
	say(slow[SERVE_CONNECTIONS], "lo" REST);
	ok(hear(slow[SERVE_CONNECTIONS], &b, 1000));
	ok(str_ends(buf_text(&b), "hello\n"));
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		close(slow[i]);
	}
	for (int i = 0; i < 100 && serve_connections(serve); i++) {
		loop_turn(loop, 10);
	}
	is_int((int64_t)serve_connections(serve), 0);
	end();
}

static void a_slow_client_has_its_time(void)
{
	auto_buf struct buf b;

	begin();
	auto_close int fd = dial();
	buf_init(&b, KiB);
	say(fd, "GET /hel");
	ok(!hear(fd, &b, SERVE_TIME_MS - 500));
	ok(hear(fd, &b, 1500));
	is_int((int64_t)b.len, 0);
	is_int((int64_t)serve_connections(serve), 0);
	end();
}

static void who_does_not_close_is_closed(void)
{
	auto_buf struct buf b;

	begin();
	auto_close int fd = dial();
	buf_init(&b, KiB);
	say(fd, "GET /hello" REST);
	ok(hear(fd, &b, 1000));
	is_int((int64_t)serve_connections(serve), 1);
	for (int64_t by = clock_boot_ms() + SERVE_LINGER_MS + 500; clock_boot_ms() < by;) {
		loop_turn(loop, 50);
	}
	is_int((int64_t)serve_connections(serve), 0);
	end();
}

static void a_large_answer_waits_for_its_reader(void)
{
	const char *answer;

	begin();
	big = SERVE_BODY_MAX;
	answer = ask("GET /much" REST);
	ok(str_starts(answer, "HTTP/1.1 200 "));
	is_int((int64_t)strlen(strstr(answer, "\r\n\r\n") + 4), (int64_t)big);
	big = SERVE_BODY_MAX + 1;
	ok(str_starts(ask("GET /much" REST), "HTTP/1.1 500 "));
	end();
}

static void an_address_that_cannot_be_is_named(void)
{
	auto_free char *taken = NULL;
	struct err err;

	begin();
	ok(!serve_create(loop, "8080", routes, NULL, &err));
	is_str(err.text, "\"8080\" is no address: it has the form HOST:PORT or :PORT");
	ok(!serve_create(loop, ":65536", routes, NULL, &err));
	taken = xprintf("127.0.0.1:%d", serve_port(serve));
	ok(!serve_create(loop, taken, routes, NULL, &err));
	ok(str_ends(err.text, ": Address already in use"));
	ok(str_starts(err.text, taken));
	end();
}

static void no_host_means_every_address(void)
{
	struct err err;
	struct serve *every;

	begin();
	every = serve_create(loop, ":0", routes, "all\n", &err);
	ok(every);
	ok(str_ends(ask_port(serve_port(every), "GET /hello" REST), "all\n"));
	serve_destroy(every);
	end();
}

TESTS({"a route is answered, whatever its query", a_route_is_answered},
      {"a header may come in pieces", a_header_may_come_in_pieces},
      {"other paths, methods and what is no HTTP are refused", what_is_not_ours_is_refused},
      {"a header over the maximum is refused, and the client reads so", a_header_has_a_maximum},
      {"a zero byte is refused", a_zero_byte_is_refused},
      {"slow clients make room, the oldest first", slow_clients_make_room},
      {"a slow client is closed after its time", a_slow_client_has_its_time},
      {"a client that does not close is closed", who_does_not_close_is_closed},
      {"a large answer waits for its reader; a larger one is an error",
       a_large_answer_waits_for_its_reader},
      {"an address that cannot be is named", an_address_that_cannot_be_is_named},
      {"no host means every address", no_host_means_every_address}, )
