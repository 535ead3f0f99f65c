/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_fuzz.c: bytes as what the other end of a connection sends, to our server or our client, in
 * pieces, with owners that answer now, later, in a stream or not at all. Each piece begins with a
 * byte: its length in the lower six bits, and what happens after it. Nobody is told of a call twice
 * or after its end, and none is left when the connection breaks.
 */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_MESSAGE 300
#define HELLO "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

enum { CLIENT = 1, RAW = 2 }; /* of the first byte; raw: not even the preface is right */
enum after { NOTHING, OUT, ACT, TIME };

static struct grpc_call *kept[GRPC_CALLS_MAX + 1];
static size_t n_kept, n_asked;

static void check(bool good)
{
	if (!good) {
		abort();
	}
}

static void on_echo(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	check(n <= MAX_MESSAGE);
	grpc_reply(c, m, n);
}

static void on_keep(void *ctx attr_unused, struct grpc_call *c, const void *m, size_t n)
{
	check(n_kept < GRPC_CALLS_MAX && n <= MAX_MESSAGE);
	kept[n_kept++] = c;
	if (n) {
		grpc_send(c, m, n);
	}
}

static void on_gone(void *ctx attr_unused, struct grpc_call *c)
{
	size_t i = 0;

	while (i < n_kept && kept[i] != c) {
		i++;
	}
	check(i < n_kept);
	kept[i] = kept[--n_kept];
}

static const struct grpc_method methods[] = {
	{"/s/Echo", on_echo, NULL},
	{"/s/Keep", on_keep, on_gone},
	{0},
};

static void on_got(void *ctx attr_unused, const void *m attr_unused, size_t n)
{
	check(n_asked && n <= MAX_MESSAGE);
}

static void on_done(void *ctx attr_unused, const struct grpc_answer *a)
{
	check(n_asked-- && a->n <= MAX_MESSAGE && strlen(a->text) < ERR_MAX);
	check(a->code <= GRPC_UNAUTHENTICATED);
}

static void ask(struct grpc *g, bool stream, int64_t now)
{
	const struct grpc_question q = {.path = "/s/Echo",
					.message = "hello",
					.n = 5,
					.timeout_ms = stream ? 0 : 1000,
					.max = MAX_MESSAGE,
					.got = stream ? on_got : NULL,
					.done = on_done};

	n_asked += grpc_call(g, &q, now) != NULL;
}

static void act(struct grpc *g, bool client, int64_t now)
{
	static char big[200000];

	if (client) {
		ask(g, n_asked & 1, now);
	} else if (n_kept) {
		struct grpc_call *c = kept[0];

		if (now & 1) {
			grpc_send(c, big, sizeof(big));
		} else {
			kept[0] = kept[--n_kept];
			grpc_end(c, GRPC_ABORTED, "enough");
		}
	}
}

static void drain(struct grpc *g)
{
	struct buf b;
	size_t n;

	do {
		buf_init(&b, 4 * GRPC_CHUNK);
		grpc_out(g, &b);
		check(buf_ok(&b));
		n = b.len;
		buf_finish(&b);
	} while (n);
}

static int feed(struct grpc *g, const void *bytes, size_t n, int64_t now)
{
	auto_free char *own = xmalloc(n ? n : 1); /* so that one byte too far is noticed */
	struct err err;

	memcpy(own, bytes, n);
	return grpc_feed(g, own, n, now, &err);
}

static void step(struct grpc *g, enum after what, bool client, int64_t *now)
{
	*now += 1;
	if (what == OUT) {
		drain(g);
	} else if (what == ACT) {
		act(g, client, *now);
	} else if (what == TIME) {
		*now += 700;
		grpc_turn(g, *now);
		check(grpc_wake(g) > *now);
	}
	check(client || grpc_calls(g) >= n_kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool client = size && data[0] & CLIENT, raw = size && data[0] & RAW;
	struct grpc *g = client ? grpc_client() : grpc_server(methods, NULL, MAX_MESSAGE);
	int64_t now = 0;
	int broken = 0;

	n_kept = n_asked = 0;
	if (client) {
		ask(g, false, now);
		ask(g, true, now);
		drain(g);
	}
	if (!raw) {
		broken = feed(g, client ? &HELLO[24] : HELLO, client ? 9 : 33, now);
	}
	for (size_t i = 1; i < size && !broken;) {
		size_t n = MIN((size_t)(data[i] & 63), size - i - 1);
		enum after what = data[i] >> 6;

		broken = feed(g, data + i + 1, n, now);
		step(g, what, client, &now);
		i += 1 + n;
	}
	drain(g);
	grpc_broke(g, "the end");
	check(!n_kept && !n_asked && !grpc_calls(g));
	grpc_destroy(g);
	return 0;
}
