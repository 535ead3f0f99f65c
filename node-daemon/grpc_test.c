/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_test.c: our client against our server, through a wire that cuts the bytes. */
#include <stdarg.h>

#include "node-daemon/grpc_test.h"

static struct grpc *client, *server;
static int64_t now;
static char said[4096]; /* what happened, a line each */

static void say(const char *format, ...) attr_printf(1, 2);
static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list ap;

	va_start(ap, format);
	vsnprintf(said + n, sizeof(said) - n, format, ap);
	va_end(ap);
}

/* --- the server ---------------------------------------------------------------------------- */

static struct grpc_call *open_call;

static void on_echo(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	is_int(grpc_reply(c, m, n), 0);
}

static void on_refuse(void *ctx attr_unused, struct grpc_call *c, const void *m attr_unused,
		      size_t n attr_unused)
{
	grpc_end(c, GRPC_FAILED_PRECONDITION, "100%41 held by \xc3\xa9t\xc3\xa9\n2");
}

static void on_keep(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	say("called %.*s\n", (int)n, (const char *)m);
	open_call = c;
}

static void on_gone(void *ctx, struct grpc_call *c)
{
	is_str(ctx, "the server's");
	ok(c == open_call);
	open_call = NULL;
	say("gone\n");
}

static const struct grpc_method methods[] = {
	{"/t.S/Echo", on_echo, NULL},
	{"/t.S/Refuse", on_refuse, NULL},
	{"/t.S/Keep", on_keep, on_gone},
	{0},
};

/* --- the client ---------------------------------------------------------------------------- */

static struct grpc_answer answered;
static struct buf answer_bytes;
static char answer_text[ERR_MAX];

static void on_answer(void *ctx attr_unused, const struct grpc_answer *a)
{
	answered = *a;
	snprintf(answer_text, sizeof(answer_text), "%s", a->text);
	buf_reset(&answer_bytes);
	if (a->message) {
		buf_add(&answer_bytes, a->message, a->n);
	}
	say("done %s\n", grpc_code_name(a->code));
}

static void on_got(void *ctx attr_unused, const void *m, size_t n)
{
	say("got %.*s\n", (int)MIN(n, (size_t)20), (const char *)m);
}

static struct grpc_call *ask(const char *path, const void *m, size_t n, int64_t timeout_ms,
			     bool stream)
{
	const struct grpc_question q = {.path = path,
					.message = m,
					.n = n,
					.timeout_ms = timeout_ms,
					.max = 2 * MiB,
					.got = stream ? on_got : NULL,
					.done = on_answer};

	return grpc_call(client, &q, now);
}

/* --- the wire ------------------------------------------------------------------------------ */

static void begin(void)
{
	said[0] = 0;
	open_call = NULL;
	now = 1000;
	answered = (struct grpc_answer){.code = GRPC_UNKNOWN};
	buf_init(&answer_bytes, 4 * MiB);
	client = grpc_client();
	server = grpc_server(methods, "the server's", 2 * MiB);
}

static void end(void)
{
	is_int(grpc_calls(client), 0);
	is_int(grpc_calls(server), 0);
	client = grpc_destroy(client);
	server = grpc_destroy(server);
	buf_finish(&answer_bytes);
}

static void drain(struct grpc *g, struct buf *to)
{
	size_t had;

	do {
		auto_buf struct buf b;

		buf_init(&b, 4 * GRPC_CHUNK);
		grpc_out(g, &b);
		buf_add(to, buf_text(&b), b.len);
		had = b.len;
	} while (had);
}

/* In pieces of `cut` bytes, each of its own so that nobody reads too far. */
static void feed(struct grpc *g, const char *bytes, size_t n, size_t cut)
{
	struct err err;

	for (size_t at = 0; at < n; at += cut) {
		size_t k = MIN(cut, n - at);
		auto_free char *piece = xmalloc(k);

		memcpy(piece, bytes + at, k);
		is_int(grpc_feed(g, piece, k, now, &err), 0);
	}
}

static bool carry(struct grpc *from, struct grpc *to, size_t cut)
{
	auto_buf struct buf b;

	buf_init(&b, WIRE_MAX);
	drain(from, &b);
	feed(to, buf_text(&b), b.len, cut);
	return b.len;
}

static void pump_by(size_t cut)
{
	bool there, back;

	do {
		there = carry(client, server, cut);
		back = carry(server, client, cut);
	} while (there || back);
}

static void pump(void)
{
	pump_by(GRPC_CHUNK);
}

/* --- calls --------------------------------------------------------------------------------- */

static void echo_in_pieces(void)
{
	static const size_t cuts[] = {1, 2, 3, 5, 8, 9, 10, 13, 64, 1000, GRPC_CHUNK};

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		begin();
		ok(ask("/t.S/Echo", "hello", 5, 0, false));
		pump_by(cuts[i]);
		is_int(answered.code, GRPC_OK);
		is_str(buf_text(&answer_bytes), "hello");
		is_str(said, "done OK\n");
		end();
	}
}

/* Cut once, at each place of what the client, then of what the server sends. */
static void echo_cut_anywhere(void)
{
	size_t longest = 1;

	for (size_t at = 1; at <= longest; at++) {
		auto_buf struct buf there, back;
		size_t cut;

		begin();
		buf_init(&there, WIRE_MAX);
		buf_init(&back, WIRE_MAX);
		ok(ask("/t.S/Echo", "hello", 5, 7000, false));
		drain(client, &there);
		cut = MIN(at, there.len);
		feed(server, there.bytes, cut, cut);
		drain(server, &back);
		feed(server, there.bytes + cut, there.len - cut, WIRE_MAX);
		drain(server, &back);
		cut = MIN(at, back.len);
		feed(client, back.bytes, cut, cut);
		feed(client, back.bytes + cut, back.len - cut, WIRE_MAX);
		is_int(answered.code, GRPC_OK);
		is_str(buf_text(&answer_bytes), "hello");
		longest = MAX(there.len, back.len);
		pump();
		end();
	}
	ok(longest > 100);
}

static void empty_messages(void)
{
	begin();
	ok(ask("/t.S/Echo", "", 0, 0, false));
	pump();
	is_int(answered.code, GRPC_OK);
	ok(answered.message);
	is_int(answered.n, 0);
	end();
}

/* Far beyond every window of HTTP/2, there and back. */
static void large_messages(void)
{
	size_t n = 2 * MiB;
	auto_free char *big = xmalloc(n);

	for (size_t i = 0; i < n; i++) {
		big[i] = (char)(i * 7 + i / 256);
	}
	begin();
	ok(ask("/t.S/Echo", big, n, 0, false));
	pump_by(4099);
	is_int(answered.code, GRPC_OK);
	is_int(answer_bytes.len, n);
	ok(memcmp(answer_bytes.bytes, big, n) == 0);
	end();
}

static void too_large(void)
{
	size_t n = 2 * MiB + 1;
	auto_free char *big = xcalloc(n, 1);

	begin();
	ok(ask("/t.S/Echo", big, n, 0, false));
	pump();
	is_int(answered.code, GRPC_RESOURCE_EXHAUSTED);
	has(answer_text, "a message of 2097153 bytes is larger than 2097152");
	ok(ask("/t.S/Echo", "on", 2, 0, false)); /* and the connection goes on */
	pump();
	is_str(buf_text(&answer_bytes), "on");
	ok(!ask("/t.S/Echo", big, GRPC_SEND_MAX + 1, 0, false));
	end();
}

static void answer_too_large(void)
{
	auto_free char *big = xcalloc(2 * MiB + 1, 1);

	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	is_int(grpc_send(open_call, big, GRPC_SEND_MAX + 1), -1);
	is_int(grpc_send(open_call, big, 2 * MiB + 1), 0);
	pump();
	is_int(answered.code, GRPC_RESOURCE_EXHAUSTED);
	is_str(said, "called x\ndone RESOURCE_EXHAUSTED\ngone\n");
	end();
}

static void refusals(void)
{
	begin();
	ok(ask("/t.S/Refuse", "x", 1, 0, false));
	pump();
	is_int(answered.code, GRPC_FAILED_PRECONDITION);
	is_str(answer_text, "100%41 held by \xc3\xa9t\xc3\xa9\n2");
	ok(!answered.message);
	ok(ask("/t.S/Nothing", "x", 1, 0, false));
	pump();
	is_int(answered.code, GRPC_UNIMPLEMENTED);
	end();
}

static void many_calls(void)
{
	begin();
	for (int i = 0; i < 3000; i++) {
		ok(ask("/t.S/Echo", "hello", 5, 0, false));
		if (i % 50 == 49) {
			pump();
		}
		said[0] = 0;
	}
	pump();
	is_int(answered.code, GRPC_OK);
	end();
}

/* --- streams ------------------------------------------------------------------------------- */

static void stream_of_states(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	for (int i = 1; i <= 3; i++) {
		char text[8];

		snprintf(text, sizeof(text), "list %d", i);
		grpc_send(open_call, text, strlen(text));
		pump_by(1);
	}
	is_str(said, "called x\ngot list 1\ngot list 2\ngot list 3\n");
	grpc_end(open_call, GRPC_OK, "");
	pump();
	is_str(said, "called x\ngot list 1\ngot list 2\ngot list 3\ndone OK\n");
	end();
}

static void newest_counts(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	grpc_send(open_call, "1", 1);
	grpc_send(open_call, "2", 1);
	grpc_send(open_call, "3", 1);
	pump();
	is_str(said, "called x\ngot 3\n");
	grpc_send(open_call, "4", 1);
	grpc_end(open_call, GRPC_OK, "");
	pump();
	is_str(said, "called x\ngot 3\ngot 4\ndone OK\n");
	end();
}

/* Who does not read gets what had begun, and then the last. */
static void slow_reader(void)
{
	auto_free char *big = xmalloc(MiB);
	auto_buf struct buf first;

	memset(big, 'a', MiB);
	begin();
	buf_init(&first, WIRE_MAX);
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	grpc_send(open_call, big, MiB);
	drain(server, &first); /* as far as the window goes */
	for (int i = 0; i < 50; i++) {
		memset(big, 'b' + i % 20, MiB);
		grpc_send(open_call, big, MiB);
	}
	grpc_send(open_call, "last", 4);
	feed(client, first.bytes, first.len, 1000);
	pump();
	is_str(said, "called x\ngot aaaaaaaaaaaaaaaaaaaa\ngot last\n");
	grpc_end(open_call, GRPC_UNAVAILABLE, "we leave");
	pump();
	is_str(answer_text, "we leave");
	end();
}

/* --- time and ends ------------------------------------------------------------------------- */

/* The client's clock stands still: the server keeps the time that it was told. */
static void server_keeps_time(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 500, false));
	pump();
	is_int(grpc_wake(server), now + 500);
	grpc_turn(server, now + 499);
	is_str(said, "called x\n");
	grpc_turn(server, now + 500);
	is_str(said, "called x\ngone\n");
	is_int(grpc_wake(server), INT64_MAX);
	pump();
	is_str(said, "called x\ngone\ndone DEADLINE_EXCEEDED\n");
	is_str(answer_text, "the caller's time is over");
	ok(ask("/t.S/Keep", "x", 1, 500, false));
	pump();
	grpc_end(open_call, GRPC_OK, "");
	is_int(grpc_wake(server), INT64_MAX); /* answered, though that has not left */
	pump();
	end();
}

static void client_keeps_time(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 500, false));
	ok(ask("/t.S/Echo", "x", 1, 0, false));
	is_int(grpc_wake(client), now + 500);
	pump();
	grpc_turn(client, now + 500);
	is_str(said, "called x\ndone OK\ndone DEADLINE_EXCEEDED\n");
	is_str(answer_text, "no answer in time");
	pump();
	has(said, "gone");
	end();
}

static void no_deadline(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	is_int(grpc_wake(server), INT64_MAX);
	is_int(grpc_wake(client), INT64_MAX);
	grpc_turn(server, INT64_MAX - 1);
	grpc_end(open_call, GRPC_OK, "");
	pump();
	is_str(said, "called x\ndone OK\n");
	end();
}

static void connection_breaks(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	grpc_broke(client, "the other end closed it");
	grpc_broke(server, "so did this one");
	is_str(said, "called x\ndone UNAVAILABLE\ngone\n");
	is_str(answer_text, "the other end closed it");
	ok(grpc_over(client) && grpc_over(server));
	ok(!ask("/t.S/Keep", "x", 1, 0, true));
	end();
}

/* An answer that came before the end is an answer. */
static void ended_before_it_broke(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, false));
	pump();
	grpc_reply(open_call, "y", 1);
	carry(server, client, 1);
	grpc_broke(client, "closed");
	grpc_broke(server, "closed");
	is_str(said, "called x\ndone OK\n");
	end();
}

static void muted(void)
{
	begin();
	ok(ask("/t.S/Keep", "x", 1, 0, true));
	pump();
	grpc_mute(server);
	grpc_mute(client);
	grpc_broke(client, "closed");
	grpc_broke(server, "closed");
	is_str(said, "called x\n");
	end();
}

static void ready(void *ctx attr_unused)
{
	say("ready\n");
}

/* Only what the rim does not see coming. */
static void noticed(void)
{
	begin();
	grpc_notify(client, ready, NULL);
	grpc_notify(server, ready, NULL);
	ok(ask("/t.S/Echo", "x", 1, 0, false));
	is_str(said, "ready\n");
	pump();
	is_str(said, "ready\ndone OK\n");
	ok(ask("/t.S/Keep", "x", 1, 0, false));
	pump();
	said[0] = 0;
	grpc_end(open_call, GRPC_ABORTED, "");
	is_str(said, "ready\n");
	pump();
	end();
}

TESTS({"a call is answered however the bytes are cut", echo_in_pieces},
      {"a call is answered with one cut at any place of either way", echo_cut_anywhere},
      {"an empty message is a message", empty_messages},
      {"messages larger than all windows pass both ways", large_messages},
      {"a message above the maximum is refused, the connection goes on", too_large},
      {"an answer above the maximum ends the call at both ends", answer_too_large},
      {"a refusal arrives with its code and its text, whatever bytes that has", refusals},
      {"thousands of calls leave nothing behind", many_calls},
      {"a stream brings each state and its end", stream_of_states},
      {"of states that wait only the newest is sent", newest_counts},
      {"who does not read gets what had begun and then the last", slow_reader},
      {"the server ends a call when the caller's time is over", server_keeps_time},
      {"the client ends a call that is not answered in time", client_keeps_time},
      {"a call without a time has none", no_deadline},
      {"a broken connection ends all calls at both ends", connection_breaks},
      {"what was answered before the connection broke is an answer", ended_before_it_broke},
      {"who is muted is told nothing", muted},
      {"the rim is told of what it does not see coming, and of that only", noticed}, )
