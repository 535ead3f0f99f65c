/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_test.h: shared by the files of one job, the tests of grpc.c: frames by hand, and what frames
 * say. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/test.h"
#include "node-daemon/grpc.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define WIRE_MAX (64 * MiB)

enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW = 8, CONT = 9 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

attr_unused static void frame(struct buf *to, int type, int flags, uint32_t stream,
			      const void *payload, size_t n)
{
	const uint8_t head[9] = {
		(uint8_t)(n >> 16),	 (uint8_t)(n >> 8),	 (uint8_t)n,
		(uint8_t)type,		 (uint8_t)flags,	 (uint8_t)(stream >> 24),
		(uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};

	buf_add(to, head, sizeof(head));
	buf_add(to, payload, n);
}

/* A field of HPACK as a literal; lengths below 127. */
attr_unused static void field(struct buf *to, const char *name, const char *value)
{
	buf_char(to, 0);
	buf_char(to, (char)strlen(name));
	buf_str(to, name);
	buf_char(to, (char)strlen(value));
	buf_str(to, value);
}

/* "name=value" each, NULL at the end; a block of fields. */
attr_unused static void block(struct buf *to, const char *const *fields)
{
	buf_init(to, KiB);
	for (; *fields; fields++) {
		const char *equals = strchr(*fields, '=');
		auto_free char *name = xstrndup(*fields, (size_t)(equals - *fields));

		field(to, name, equals + 1);
	}
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

attr_unused static void headers(struct buf *to, int flags, uint32_t stream,
				const char *const *fields)
{
	auto_buf struct buf b;

	block(&b, fields);
	frame(to, HEADERS, flags | END_HEADERS, stream, b.bytes, b.len);
}

/* A message with its prefix, whole in one frame. */
attr_unused static void message(struct buf *to, int flags, uint32_t stream, const char *text)
{
	size_t n = strlen(text);
	auto_free char *bytes = xcalloc(n + 5, 1);

	bytes[3] = (char)(n >> 8);
	bytes[4] = (char)n;
	memcpy(bytes + 5, text, n);
	frame(to, DATA, flags, stream, bytes, n + 5);
}

/* --- what frames say: one line each -------------------------------------------------------- */

struct reader {
	nghttp2_hd_inflater *inflater;
	struct buf text;
	size_t largest; /* payload */
};

attr_unused static void reader_init(struct reader *r)
{
	*r = (struct reader){.largest = 0};
	buf_init(&r->text, MiB);
	nghttp2_hd_inflate_new(&r->inflater);
}

attr_unused static void reader_finish(struct reader *r)
{
	nghttp2_hd_inflate_del(r->inflater);
	buf_finish(&r->text);
}

attr_unused static void read_fields(struct reader *r, const uint8_t *p, size_t n)
{
	for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
		nghttp2_nv nv;
		ssize_t used = nghttp2_hd_inflate_hd2(r->inflater, &nv, &flags, p, n, 1);

		ok(used >= 0);
		p += used;
		n -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			buf_printf(&r->text, " %.*s=%.*s", (int)nv.namelen, nv.name,
				   (int)nv.valuelen, nv.value);
		}
	}
	nghttp2_hd_inflate_end_headers(r->inflater);
}

attr_unused static void read_frame(struct reader *r, const uint8_t *f, size_t n)
{
	static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST",    "SETTINGS",
					    "PUSH", "PING",    "GOAWAY",   "WINDOW", "CONT"};
	uint32_t stream = (uint32_t)f[5] << 24 | (uint32_t)f[6] << 16 | (uint32_t)f[7] << 8 | f[8];
	int type = f[3], flags = f[4];

	ok(type < (int)ARRAY_LEN(names));
	r->largest = MAX(r->largest, n);
	buf_printf(&r->text, "%s %u%s", names[type], stream, flags & END_STREAM ? " end" : "");
	f += 9;
	if (type == HEADERS) {
		ok(flags & END_HEADERS);
		read_fields(r, f, n);
	} else if (type == RST) {
		buf_printf(&r->text, " %u", f[3]);
	} else if (type == GOAWAY) {
		buf_printf(&r->text, " %u", f[7]);
	} else if (type == PING) {
		buf_printf(&r->text, " %.8s", (const char *)f);
	} else {
		buf_printf(&r->text, " %zu", n);
	}
	buf_char(&r->text, '\n');
}

/* Whole frames only. */
attr_unused static const char *read_frames(struct reader *r, const struct buf *b)
{
	const uint8_t *p = (const uint8_t *)b->bytes, *end = p + b->len;

	buf_reset(&r->text);
	while (p < end) {
		size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];

		ok(end - p >= 9 && (size_t)(end - p) >= 9 + n);
		read_frame(r, p, n);
		p += 9 + n;
	}
	return buf_text(&r->text);
}
