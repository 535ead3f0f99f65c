/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_wire_test.c: frames written by hand, against our server and our client. */
#include "node-daemon/grpc_test.h"

#include <stdarg.h>

static struct grpc *g;
static struct buf in, out;
static struct reader reader;
static char said[1024];
static struct grpc_call *kept;

static void say(const char *format, ...) attr_printf(1, 2);
static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list ap;

	va_start(ap, format);
	vsnprintf(said + n, sizeof(said) - n, format, ap);
	va_end(ap);
}

static void on_echo(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	say("echo %.*s\n", (int)n, (const char *)m);
	grpc_reply(c, m, n);
}

static void on_keep(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	say("keep %.*s\n", (int)n, (const char *)m);
	kept = c;
}

static void on_gone(void *ctx attr_unused, struct grpc_call *c)
{
	ok(c == kept);
	say("gone\n");
}

static const struct grpc_method methods[] = {
	{"/s/Echo", on_echo, NULL},
	{"/s/Keep", on_keep, on_gone},
	{0},
};

static void begin(struct grpc *end_)
{
	g = end_;
	said[0] = 0;
	kept = NULL;
	buf_init(&in, WIRE_MAX);
	buf_init(&out, WIRE_MAX);
	reader_init(&reader);
}

static void end(void)
{
	g = grpc_destroy(g);
	buf_finish(&in);
	buf_finish(&out);
	reader_finish(&reader);
}

static int feed(void)
{
	struct err err;
	int r = grpc_feed(g, in.bytes, in.len, 0, &err);

	buf_reset(&in);
	return r;
}

/* What it has to say to what was put into `in`. */
static const char *exchange(void)
{
	size_t had;

	is_int(feed(), 0);
	buf_reset(&out);
	do {
		had = out.len;
		struct buf b = {.max = 4 * GRPC_CHUNK};

		grpc_out(g, &b);
		buf_add(&out, buf_text(&b), b.len);
		buf_finish(&b);
	} while (out.len > had);
	return read_frames(&reader, &out);
}

/* --- the server ---------------------------------------------------------------------------- */

#define ASK ":method=POST", ":scheme=http", "content-type=application/grpc", "te=trailers"
#define GREETING "SETTINGS 0 6\nSETTINGS 0 end 0\n" /* ours, and that we have seen theirs */
#define ECHOED                                                                                     \
	"HEADERS 1 :status=200 content-type=application/grpc\nDATA 1 7\n"                          \
	"HEADERS 1 end grpc-status=0\n"

static void begin_server(void)
{
	begin(grpc_server(methods, NULL, 100));
	buf_str(&in, PREFACE);
	frame(&in, SETTINGS, 0, 0, NULL, 0);
}

static void plain_call(void)
{
	begin_server();
	headers(&in, 0, 1, FIELDS(ASK, ":authority=localhost", ":path=/s/Echo"));
	message(&in, END_STREAM, 1, "hi");
	is_str(exchange(), GREETING ECHOED);
	is_str(said, "echo hi\n");
	is_int(grpc_calls(g), 0);
	end();
}

/* kubernetes#109081, and what else callers have been seen to write. */
static void odd_authorities(void)
{
	static const char *const rows[] = {
		":authority=/var/lib/kubelet/device-plugins/vmgpu.sock",
		":authority=%2Fvar%2Flib%2Fkubelet%2Fdevice-plugins%2Fvmgpu.sock",
		":authority=",
		":authority=unix:///x y",
		"host=both and neither",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_server();
		headers(&in, 0, 1,
			FIELDS(ASK, rows[i], ":path=/s/Echo", "user-agent=grpc-go/1.20"));
		message(&in, END_STREAM, 1, "hi");
		is_str(exchange(), GREETING ECHOED);
		end();
	}
}

static void refused_by_headers(void)
{
	static const struct {
		const char *fields[6];
		const char *answer;
	} rows[] = {
		{{":method=GET", "content-type=application/grpc", ":path=/s/Echo"},
		 ":status=405 content-type=application/grpc grpc-status=13 "
		 "grpc-message=gRPC is asked by POST"},
		{{":method=POST", "content-type=application/grpc-web", ":path=/s/Echo"},
		 ":status=415 content-type=application/grpc grpc-status=3 "
		 "grpc-message=content-type is not application/grpc"},
		{{":method=POST", ":path=/s/Echo"},
		 ":status=415 content-type=application/grpc grpc-status=3 "
		 "grpc-message=content-type is not application/grpc"},
		{{":method=POST", "content-type=application/grpc+proto", ":path=/s/Ech"},
		 ":status=200 content-type=application/grpc grpc-status=12 "
		 "grpc-message=there is no such method here"},
		{{":method=POST", "content-type=application/grpc"},
		 ":status=200 content-type=application/grpc grpc-status=12 "
		 "grpc-message=there is no such method here"},
		{{":method=POST", "content-type=application/grpc;x", ":path=/s/Echo",
		  "grpc-timeout=123456789S"},
		 ":status=200 content-type=application/grpc grpc-status=13 "
		 "grpc-message=grpc-timeout cannot be read"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *whole = xprintf(GREETING "HEADERS 1 end %s\n", rows[i].answer);
		auto_free char *cut =
			xprintf(GREETING "HEADERS 1 end %s\nRST 1 0\n", rows[i].answer);

		begin_server();
		headers(&in, 0, 1, rows[i].fields);
		message(&in, END_STREAM, 1, "hi");
		is_str(exchange(), whole);
		end();
		begin_server(); /* it is still asking: told to stop, without an error */
		headers(&in, 0, 1, rows[i].fields);
		is_str(exchange(), cut);
		is_str(said, "");
		is_int(grpc_calls(g), 0);
		end();
	}
}

static void refused_by_message(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool ended;
		const char *code, *text;
	} rows[] = {
		{"", 0, true, "13", "the message is missing or cut"},
		{"\0\0\0", 3, true, "13", "the message is missing or cut"},
		{"\0\0\0\0\3ab", 7, true, "13", "the message is missing or cut"},
		{"\0\0\0\0\0\0\0\0\0\0", 10, true, "13", "there is more than one message"},
		{"\0\0\0\0\0\0", 6, false, "13", "there is more than one message"},
		{"\1\0\0\0\2hi", 7, true, "12",
		 "the message is compressed, which was not agreed on"},
		{"\0\0\0\0\145", 5, false, "8",
		 "a message of 101 bytes is larger than 100, the most taken here"},
		{"\0\377\377\377\377", 5, false, "8",
		 "a message of 4294967295 bytes is larger than 100, the most taken here"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *want = xprintf(
			"HEADERS 1 end :status=200 content-type=application/grpc grpc-status=%s "
			"grpc-message=%s\n%s",
			rows[i].code, rows[i].text, rows[i].ended ? "" : "RST 1 0\n");

		begin_server();
		headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Echo"));
		exchange();
		frame(&in, DATA, rows[i].ended ? END_STREAM : 0, 1, rows[i].bytes, rows[i].n);
		is_str(exchange(), want);
		is_str(said, "");
		end();
	}
}

/* CONTINUATION, padding, PRIORITY, a frame of a type that does not exist, trailers of the caller. */
static void odd_frames(void)
{
	auto_buf struct buf b;

	begin_server();
	block(&b, FIELDS(ASK, ":path=/s/Echo"));
	frame(&in, HEADERS, 0, 1, b.bytes, 10);
	frame(&in, CONT, 0, 1, b.bytes + 10, 1);
	frame(&in, CONT, END_HEADERS, 1, b.bytes + 11, b.len - 11);
	frame(&in, 2, 0, 1, "\0\0\0\0\10", 5);
	frame(&in, 77, 0xff, 1, "what", 4);
	frame(&in, DATA, PADDED, 1, "\3\0\0\0\0\2h...", 10);
	frame(&in, DATA, PADDED, 1, "\1i.", 3);
	headers(&in, END_STREAM, 1, FIELDS(":path=/s/Keep", "x=y"));
	is_str(exchange(), GREETING ECHOED);
	is_str(said, "echo hi\n");
	end();
}

static void windows(void)
{
	char text[81] = {0};

	memset(text, 'a', 80);
	begin_server();
	frame(&in, SETTINGS, 0, 0, "\0\4\0\0\0\12", 6); /* INITIAL_WINDOW_SIZE 10 */
	headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Echo"));
	message(&in, END_STREAM, 1, text);
	is_str(exchange(), "SETTINGS 0 6\nSETTINGS 0 end 0\nSETTINGS 0 end 0\n"
			   "HEADERS 1 :status=200 content-type=application/grpc\nDATA 1 10\n");
	frame(&in, WINDOW, 0, 1, "\0\0\0\24", 4);
	is_str(exchange(), "DATA 1 20\n");
	frame(&in, SETTINGS, 0, 0, "\0\4\0\0\0\50", 6); /* 40: 30 more for what is open */
	is_str(exchange(), "SETTINGS 0 end 0\nDATA 1 30\n");
	frame(&in, WINDOW, 0, 1, "\0\0\3\350", 4);
	is_str(exchange(), "DATA 1 25\nHEADERS 1 end grpc-status=0\n");
	end();
}

/* No frame above what the other end takes, and no more than the connection's window. */
static void large_answer(void)
{
	auto_free char *big = xcalloc(MiB, 1);

	begin_server();
	frame(&in, SETTINGS, 0, 0, "\0\4\0\377\377\377", 6); /* of a stream: plenty */
	headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Keep"));
	message(&in, END_STREAM, 1, "x");
	exchange();
	is_int(grpc_reply(kept, big, MiB), 0);
	exchange();
	is_int(reader.largest, 16384);
	ok(out.len > 60000 && out.len < 66000);
	end();
}

static void pings(void)
{
	begin_server();
	frame(&in, PING, 0, 0, "8 bytes.", 8);
	is_str(exchange(), "SETTINGS 0 6\nSETTINGS 0 end 0\nPING 0 end 8 bytes.\n");
	end();
}

static void too_many_pings(void)
{
	begin_server();
	for (int i = 0; i < 1100; i++) {
		frame(&in, PING, 0, 0, "8 bytes.", 8);
	}
	is_int(feed(), -1);
	end();
}

static void reset_and_late_answer(void)
{
	struct grpc_call *c;

	begin_server();
	headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Keep"));
	message(&in, END_STREAM, 1, "x");
	exchange();
	c = kept;
	is_int(grpc_send(c, "1", 1), 0);
	frame(&in, RST, 0, 1, "\0\0\0\10", 4);
	is_str(exchange(), "");
	is_str(said, "keep x\ngone\n");
	is_int(grpc_calls(g), 0);
	end();
}

/* One that was ended already is nobody's any more. */
static void reset_after_end(void)
{
	begin_server();
	headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Keep"));
	message(&in, END_STREAM, 1, "x");
	exchange();
	grpc_end(kept, GRPC_ABORTED, "");
	frame(&in, RST, 0, 1, "\0\0\0\10", 4);
	exchange();
	is_str(said, "keep x\n");
	is_int(grpc_calls(g), 0);
	end();
}

/* Refused one by one as long as the caller cannot know the limit; then it is an error. */
static void too_many_calls(void)
{
	for (int knows = 0; knows < 2; knows++) {
		begin_server();
		exchange();
		if (knows) {
			frame(&in, SETTINGS, ACK, 0, NULL, 0);
		}
		for (uint32_t i = 0; i <= GRPC_CALLS_MAX; i++) {
			headers(&in, 0, 2 * i + 1, FIELDS(ASK, ":path=/s/Keep"));
		}
		is_str(exchange(), knows ? "GOAWAY 0 1\n" : "RST 129 7\n");
		is_int(grpc_calls(g), GRPC_CALLS_MAX);
		is_int(grpc_over(g), knows);
		end();
	}
}

static void no_http2(void)
{
	begin(grpc_server(methods, NULL, 100));
	buf_str(&in, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	is_int(feed(), -1);
	end();
}

static void broken_frames(void)
{
	static const struct {
		int type, flags;
		uint32_t stream;
		const char *payload;
		size_t n;
	} rows[] = {
		{DATA, 0, 0, "x", 1},
		{PING, 0, 0, "x", 1},
		{SETTINGS, 0, 1, "", 0},
		{WINDOW, 0, 0, "\0\0\0\0", 4},
		{HEADERS, END_HEADERS, 2, "\x82", 1},
		{HEADERS, END_HEADERS, 1, "\xff\xff", 2},
		{CONT, END_HEADERS, 1, "\x82", 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_server();
		frame(&in, rows[i].type, rows[i].flags, rows[i].stream, rows[i].payload, rows[i].n);
		has(exchange(), "GOAWAY 0");
		ok(grpc_over(g));
		end();
	}
}

static void callers_goaway(void)
{
	begin_server();
	headers(&in, 0, 1, FIELDS(ASK, ":path=/s/Keep"));
	message(&in, END_STREAM, 1, "x");
	frame(&in, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	exchange();
	is_int(grpc_reply(kept, "y", 1), 0);
	is_str(exchange(), "HEADERS 1 :status=200 content-type=application/grpc\nDATA 1 6\n"
			   "HEADERS 1 end grpc-status=0\n");
	end();
}

/* As grpc-go's clients leave: with a number that is none of ours. */
static void callers_odd_goaway(void)
{
	begin_server();
	frame(&in, GOAWAY, 0, 0, "\177\377\377\377\0\0\0\0client transport shutdown", 33);
	exchange();
	ok(grpc_over(g));
	ok(!grpc_why(g));
	end();
}

/* --- the client ---------------------------------------------------------------------------- */

static void on_answer(void *ctx attr_unused, const struct grpc_answer *a)
{
	say("%s %s%.*s\n", grpc_code_name(a->code), a->text, (int)a->n,
	    a->message ? (const char *)a->message : "");
}

static void on_got(void *ctx attr_unused, const void *m, size_t n)
{
	say("got %.*s\n", (int)n, (const char *)m);
}

static struct grpc_call *ask(bool stream)
{
	const struct grpc_question q = {.path = "/s/Echo",
					.message = "hi",
					.n = 2,
					.timeout_ms = 90000,
					.max = 100,
					.got = stream ? on_got : NULL,
					.done = on_answer};

	return grpc_call(g, &q, 0);
}

/* A client that has asked; what it sent is in reader.text. */
static void begin_client(bool stream)
{
	begin(grpc_client());
	ok(ask(stream));
	for (;;) {
		size_t had = out.len;

		grpc_out(g, &out);
		if (out.len == had) {
			break;
		}
	}
	ok(memcmp(out.bytes, PREFACE, 24) == 0);
	buf_drop(&out, 24);
	read_frames(&reader, &out);
	frame(&in, SETTINGS, 0, 0, NULL, 0);
}

static void what_is_asked(void)
{
	begin_client(false);
	is_str(buf_text(&reader.text),
	       "SETTINGS 0 6\nHEADERS 1 :method=POST :scheme=http :path=/s/Echo "
	       ":authority=localhost content-type=application/grpc te=trailers "
	       "grpc-timeout=90000m\nDATA 1 end 7\n");
	end();
}

enum { NO_DATA = -1 };

static const struct {
	bool stream;
	const char *fields[5];
	const char *data;
	int n;
	const char *trailers[4];
	const char *said;
} answer_rows[] = {
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\2ab",
	 7,
	 {"grpc-status=0"},
	 "OK ab\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\0",
	 5,
	 {"grpc-status=0", "grpc-message=fine"},
	 "OK fine\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\2ab",
	 7,
	 {"grpc-status=9", "grpc-message=no%20%7"},
	 "FAILED_PRECONDITION no %7\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\2ab",
	 7,
	 {"grpc-message=x", "grpc-status=99"},
	 "UNKNOWN x\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\2ab",
	 7,
	 {"x=y"},
	 "UNKNOWN the answer has no grpc-status\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "",
	 0,
	 {"grpc-status=0"},
	 "INTERNAL the answer has no message\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\2a",
	 6,
	 {"grpc-status=0"},
	 "INTERNAL the answer is cut, or has more than one message\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\1a\0\0\0\0\1b",
	 12,
	 {"grpc-status=0"},
	 "INTERNAL the answer is cut, or has more than one message\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\1\0\0\0\1a",
	 6,
	 {"grpc-status=0"},
	 "INTERNAL the message is compressed, which was not agreed on\n"},
	{false,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\145",
	 5,
	 {"grpc-status=0"},
	 "RESOURCE_EXHAUSTED a message of 101 bytes is larger than 100, the most taken "
	 "here\n"},
	{false,
	 {":status=503", "content-type=text/html"},
	 "<html>",
	 6,
	 {"x=y"},
	 "UNAVAILABLE the other end answered HTTP status 503\n"},
	{false,
	 {":status=404"},
	 NULL,
	 NO_DATA,
	 {NULL},
	 "UNIMPLEMENTED the other end answered HTTP status 404\n"},
	{false,
	 {":status=2xx"},
	 NULL,
	 NO_DATA,
	 {NULL},
	 "UNKNOWN the other end answered HTTP status 0\n"},
	{false,
	 {":status=200", "content-type=text/html"},
	 NULL,
	 NO_DATA,
	 {NULL},
	 "UNKNOWN the answer is not gRPC\n"},
	{false,
	 {":status=200", "content-type=application/grpc", "grpc-status=5"},
	 NULL,
	 NO_DATA,
	 {NULL},
	 "NOT_FOUND \n"},
	{true,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\1a\0\0\0\0\0\0\0\0\0\1b",
	 17,
	 {"grpc-status=0"},
	 "got a\ngot \ngot b\nOK \n"},
	{true,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\1a\0\0",
	 8,
	 {"grpc-status=14"},
	 "got a\nUNAVAILABLE \n"},
	{true,
	 {":status=200", "content-type=application/grpc"},
	 "\0\0\0\0\1a\0\0",
	 8,
	 {"grpc-status=0"},
	 "got a\nINTERNAL the answer is cut, or has more than one message\n"},
	{true,
	 {":status=200", "content-type=application/grpc", "grpc-status=0"},
	 NULL,
	 NO_DATA,
	 {NULL},
	 "OK \n"},
};

static void answers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(answer_rows); i++) {
		begin_client(answer_rows[i].stream);
		headers(&in, answer_rows[i].n == NO_DATA ? END_STREAM : 0, 1,
			answer_rows[i].fields);
		if (answer_rows[i].n != NO_DATA) {
			frame(&in, DATA, 0, 1, answer_rows[i].data, (size_t)answer_rows[i].n);
			headers(&in, END_STREAM, 1, answer_rows[i].trailers);
		}
		exchange();
		is_str(said, answer_rows[i].said);
		is_int(grpc_calls(g), 0);
		end();
	}
}

static void resets(void)
{
	static const struct {
		const char *payload, *said;
	} rows[] = {
		{"\0\0\0\7", "UNAVAILABLE the other end broke the call off: REFUSED_STREAM\n"},
		{"\0\0\0\10", "CANCELLED the other end broke the call off: CANCEL\n"},
		{"\0\0\0\13",
		 "RESOURCE_EXHAUSTED the other end broke the call off: ENHANCE_YOUR_CALM\n"},
		{"\0\0\0\0", "INTERNAL the other end broke the call off: NO_ERROR\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_client(false);
		frame(&in, RST, 0, 1, rows[i].payload, 4);
		exchange();
		is_str(said, rows[i].said);
		end();
	}
}

/* The first is answered to its end, the second was not looked at, a third is not taken. */
static void servers_goaway(void)
{
	begin_client(false);
	ok(ask(false));
	exchange();
	frame(&in, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
	exchange();
	is_str(said, "UNAVAILABLE the other end broke the call off: REFUSED_STREAM\n");
	ok(!ask(false));
	headers(&in, 0, 1, FIELDS(":status=200", "content-type=application/grpc"));
	message(&in, 0, 1, "yes");
	headers(&in, END_STREAM, 1, FIELDS("grpc-status=0"));
	exchange();
	has(said, "OK yes\n");
	ok(grpc_over(g));
	end();
}

/* Answered before all of the question has left, then told to stop. */
static void answered_early(void)
{
	const struct grpc_question q = {.path = "/s/Echo",
					.message = xcalloc(MiB, 1),
					.n = MiB,
					.max = 100,
					.done = on_answer};

	begin(grpc_client());
	ok(grpc_call(g, &q, 0));
	frame(&in, SETTINGS, 0, 0, NULL, 0);
	is_int(feed(), 0);
	for (size_t had = 1; had != out.len;) {
		had = out.len;
		grpc_out(g, &out);
		out.max = WIRE_MAX;
	}
	headers(&in, END_STREAM, 1,
		FIELDS(":status=200", "content-type=application/grpc", "grpc-status=8",
		       "grpc-message=too long"));
	frame(&in, RST, 0, 1, "\0\0\0\0", 4);
	is_int(feed(), 0);
	is_str(said, "RESOURCE_EXHAUSTED too long\n");
	is_int(grpc_calls(g), 0);
	end();
	free((void *)q.message);
}

static void pushes_are_refused(void)
{
	begin_client(false);
	frame(&in, SETTINGS, ACK, 0, NULL, 0);
	frame(&in, 5, END_HEADERS, 1, "\0\0\0\2\x82", 5);
	has(exchange(), "GOAWAY 0");
	ok(grpc_over(g));
	grpc_broke(g, grpc_why(g) ? grpc_why(g) : "?");
	has(said, "UNAVAILABLE");
	end();
}

/* --- words --------------------------------------------------------------------------------- */

static void timeouts(void)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: malformed */
	} rows[] = {
		{"1H", 3600000},
		{"2M", 120000},
		{"30S", 30000},
		{"5m", 5},
		{"1500u", 2},
		{"1n", 1},
		{"99999999H", 359999996400000},
		{"0m", 0},
		{"", -1},
		{"S", -1},
		{"5", -1},
		{"5s", -1},
		{"-5S", -1},
		{"5 S", -1},
		{"123456789S", -1},
		{"0x5S", -1},
	};
	char text[GRPC_TIMEOUT_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ms = -1;

		is_int(grpc_timeout_read(rows[i].text, strlen(rows[i].text), &ms),
		       rows[i].ms < 0 ? -1 : 0);
		is_int(ms, rows[i].ms);
	}
	is_str(grpc_timeout_write(10000, text), "10000m");
	is_str(grpc_timeout_write(-5, text), "0m");
	is_str(grpc_timeout_write(100000000, text), "100000S");
	is_str(grpc_timeout_write(INT64_MAX, text), "99999999M");
}

static void texts(void)
{
	static const struct {
		const char *wire, *text;
	} rows[] = {
		{"plain", "plain"},	    {"a%20b%0ac", "a b\nc"},
		{"100%", "100%"},	    {"%4", "%4"},
		{"%zz%41", "%zzA"},	    {"%C3%A9", "\xc3\xa9"},
		{"zero%00end", "zero end"}, {"", ""},
	};
	char text[20];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].wire);
		auto_free char *own = xmalloc(n ? n : 1); /* without a 0 behind it */

		memcpy(own, rows[i].wire, n);
		grpc_text_read(own, n, text, sizeof(text));
		is_str(text, rows[i].text);
	}
	grpc_text_read("abc%C3%A9", 9, text, 5); /* cut within the character */
	is_str(text, "abc");
	grpc_text_read("abc%C3%A9", 9, text, 6);
	is_str(text, "abc\xc3\xa9");
	is_str(grpc_code_name((enum grpc_code)77), "UNKNOWN");
	is_int(grpc_code_read("", 0), GRPC_UNKNOWN);
	is_int(grpc_code_read("016", 3), GRPC_UNKNOWN);
	is_int(grpc_code_read("16", 2), GRPC_UNAUTHENTICATED);
	is_int(grpc_code_read("1a", 2), GRPC_UNKNOWN);
}

TESTS({"a call is a header, a message and trailers", plain_call},
      {"an :authority that is none does not matter", odd_authorities},
      {"what its headers forbid is refused with a status, not reset", refused_by_headers},
      {"what its message forbids is refused as soon as that is known", refused_by_message},
      {"headers in pieces, padding, priorities, unknown frames and trailers are taken", odd_frames},
      {"an answer waits for the caller's window, as it changes", windows},
      {"no frame is larger than the other end takes", large_answer},
      {"a ping comes back as it was", pings},
      {"a flood of pings ends the connection", too_many_pings},
      {"a reset is told once, and what waited is gone", reset_and_late_answer},
      {"a reset of a call that has been ended is not told", reset_after_end},
      {"calls beyond the maximum are refused", too_many_calls},
      {"what is no HTTP/2 is refused at once", no_http2},
      {"broken frames end the connection with a word", broken_frames},
      {"a caller that opens no more calls still gets its answers", callers_goaway},
      {"a caller that leaves with an odd word is nothing to complain of", callers_odd_goaway},
      {"a question has the headers that gRPC wants", what_is_asked},
      {"answers are understood or refused, each in its way", answers},
      {"a reset has gRPC's code", resets},
      {"a server that leaves finishes what it has looked at", servers_goaway},
      {"an answer that comes before the question has left is an answer", answered_early},
      {"a server may not push", pushes_are_refused},
      {"time-outs are read to the letter and written in a unit that fits", timeouts},
      {"texts survive their way, and are cut at characters", texts}, )
