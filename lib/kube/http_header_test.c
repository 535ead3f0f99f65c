/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http_header.h"

#include "base/test.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct http_header read_line(const char *line)
{
	struct http_header h = {7, 7};

	is_int(http_header_line(&h, line, strlen(line), NOW), strlen(line) <= 2);
	return h;
}

static void status_lines(void)
{
	static const struct {
		const char *line;
		int status;
	} rows[] = {
		{"HTTP/1.1 200 OK\r\n", 200}, {"HTTP/2 429 \r\n", 429},
		{"HTTP/3 503\r\n", 503},      {"HTTP/1.1 2x0 OK\r\n", 0},
		{"HTTP/1.1 x00 OK\r\n", 0},   {"HTTP/1.1 20: OK\r\n", 0},
		{"HTTP/1.1.1.1 20", 0}, /* cut behind two digits */
		{"HTTP/1.1.1.1 200", 200},    {"HTTP/1.1\r\n\r\n", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_header h = read_line(rows[i].line);

		is_int(h.status, rows[i].status);
		is_int(h.retry_after, -1);
	}
	is_int(read_line("\r\n").status, 7);
	is_int(read_line("HTTP-Status: 200\r\n").status, 7);
}

static void both_forms(void)
{
	static const struct {
		const char *line;
		int64_t seconds;
	} rows[] = {
		{"Retry-After: 12\r\n", 12},
		{"retry-after:0\r\n", 0},
		{"RETRY-AFTER: \t 3", 3},
		{"Retry-After: 2147483647\r\n", INT32_MAX},
		{"Retry-After: 2147483648\r\n", -1},
		{"Retry-After: -1\r\n", -1},
		{"Retry-After: soon\r\n", -1},
		{"Retry-After:\r\n", -1},
		{"Retry-After: Sun, 06 Nov 1994 08:49:47 GMT\r\n", 10},
		{"Retry-After: Sun, 06 Nov 1994 08:49:27 GMT\r\n", 0},
		{"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", INT32_MAX},
		{"Retry-Afters: 12\r\n", 7},
		{"X-Retry-After: 12\r\n", 7},
		{"Retry-After:", 7},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_header h = read_line(rows[i].line);

		is_int(h.retry_after, rows[i].seconds);
		is_int(h.status, 7);
	}
}

static struct http_header read_field(const char *name, const char *value)
{
	struct http_header h = {7, 7};

	http_header_field(&h, name, value, strlen(value), NOW);
	return h;
}

static void fields_of_http2(void)
{
	is_int(read_field(":status", "200").status, 200);
	is_int(read_field(":status", "429").retry_after, -1);
	is_int(read_field(":status", "20").status, 0);
	is_int(read_field(":status", "").status, 0);
	is_int(read_field("retry-after", "12").retry_after, 12);
	is_int(read_field("retry-after", "12").status, 7);
	is_int(read_field("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT").retry_after, 10);
	is_int(read_field("retry-after", "soon").retry_after, -1);
	is_int(read_field("x-retry-after", "12").retry_after, 7);
}

TESTS({"a status line gives three digits, and forgets the answer before it", status_lines},
      {"Retry-After is seconds or a date, and nothing else", both_forms},
      {"fields of HTTP/2 say the same", fields_of_http2})
