/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/grpc_word.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_DIGITS 8

static const char *const names[] = {
	[GRPC_OK] = "OK",
	[GRPC_CANCELLED] = "CANCELLED",
	[GRPC_UNKNOWN] = "UNKNOWN",
	[GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	[GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	[GRPC_NOT_FOUND] = "NOT_FOUND",
	[GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
	[GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
	[GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	[GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	[GRPC_ABORTED] = "ABORTED",
	[GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
	[GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
	[GRPC_INTERNAL] = "INTERNAL",
	[GRPC_UNAVAILABLE] = "UNAVAILABLE",
	[GRPC_DATA_LOSS] = "DATA_LOSS",
	[GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *grpc_code_name(enum grpc_code code)
{
	return code < ARRAY_LEN(names) ? names[code] : names[GRPC_UNKNOWN];
}

enum grpc_code grpc_code_read(const char *s, size_t n)
{
	size_t code = 0;

	if (!n || n > 2) {
		return GRPC_UNKNOWN;
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9') {
			return GRPC_UNKNOWN;
		}
		code = code * 10 + (size_t)(s[i] - '0');
	}
	return code < ARRAY_LEN(names) ? (enum grpc_code)code : GRPC_UNKNOWN;
}

struct row {
	uint32_t from;
	enum grpc_code to;
};

static enum grpc_code look_up(const struct row *rows, size_t n, uint32_t code,
			      enum grpc_code otherwise)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].from == code) {
			return rows[i].to;
		}
	}
	return otherwise;
}

enum grpc_code grpc_code_of_http(int status)
{
	static const struct row rows[] = {
		{400, GRPC_INTERNAL},	       {401, GRPC_UNAUTHENTICATED},
		{403, GRPC_PERMISSION_DENIED}, {404, GRPC_UNIMPLEMENTED},
		{429, GRPC_UNAVAILABLE},       {502, GRPC_UNAVAILABLE},
		{503, GRPC_UNAVAILABLE},       {504, GRPC_UNAVAILABLE},
	};

	return look_up(rows, ARRAY_LEN(rows), (uint32_t)status, GRPC_UNKNOWN);
}

enum grpc_code grpc_code_of_reset(uint32_t h2_code)
{
	static const struct row rows[] = {
		{NGHTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
		{NGHTTP2_CANCEL, GRPC_CANCELLED},
		{NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
		{NGHTTP2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED},
	};

	return look_up(rows, ARRAY_LEN(rows), h2_code, GRPC_INTERNAL);
}

/* --- texts --------------------------------------------------------------------------------- */

void grpc_text_write(const char *text, struct buf *to)
{
	for (const char *s = text; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c > 0x7e || c == '%') {
			buf_printf(to, "%%%02X", c);
		} else {
			buf_char(to, *s);
		}
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_text_read(const char *s, size_t n, char *to, size_t max)
{
	size_t len = 0, i = 0;

	while (i < n && len + 1 < max) {
		int byte = (unsigned char)s[i++];

		if (byte == '%' && n - i >= 2 && hex(s[i]) >= 0 && hex(s[i + 1]) >= 0) {
			byte = hex(s[i]) * 16 + hex(s[i + 1]);
			i += 2;
		}
		to[len++] = (char)(byte ? byte : ' ');
	}
	if (i < n) { /* cut: not within a character */
		while (len && ((unsigned char)to[len - 1] & 0xc0) == 0x80) {
			len--;
		}
		len -= len && (unsigned char)to[len - 1] >= 0xc0;
	}
	to[len] = '\0';
}

/* --- time-outs ----------------------------------------------------------------------------- */

static const struct {
	char unit;
	int64_t ns;
} units[] = {
	{'n', 1},	   {'u', 1000},	       {'m', 1000000},
	{'S', 1000000000}, {'M', 60000000000}, {'H', 3600000000000},
};

int grpc_timeout_read(const char *s, size_t n, int64_t *ret_ms)
{
	int64_t value = 0;

	if (n < 2 || n > TIMEOUT_DIGITS + 1) {
		return -1;
	}
	for (size_t i = 0; i + 1 < n; i++) {
		if (s[i] < '0' || s[i] > '9') {
			return -1;
		}
		value = value * 10 + (s[i] - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit == s[n - 1]) {
			int64_t ns = units[i].ns, ms = 1000000;

			*ret_ms = ns >= ms ? value * (ns / ms) : (value * ns + ms - 1) / ms;
			return 0;
		}
	}
	return -1;
}

/* The finest unit in which it fits. */
const char *grpc_timeout_write(int64_t ms, char text[GRPC_TIMEOUT_TEXT])
{
	const int64_t most = 99999999;

	ms = MAX(ms, (int64_t)0);
	if (ms <= most) {
		snprintf(text, GRPC_TIMEOUT_TEXT, "%lldm", (long long)ms);
	} else if (ms / 1000 < most) {
		snprintf(text, GRPC_TIMEOUT_TEXT, "%lldS", (long long)(ms / 1000));
	} else {
		snprintf(text, GRPC_TIMEOUT_TEXT, "%lldM", (long long)MIN(ms / 60000, most));
	}
	return text;
}
