/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http_header.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Three digits and whatever follows. */
static int status_of(const char *s, size_t n)
{
	if (n < 3 || !digit(s[0]) || !digit(s[1]) || !digit(s[2])) {
		return 0;
	}
	return (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
}

/* "HTTP/1.1 200 OK" (RFC 9112 4). */
static int status_of_line(const char *line, size_t n)
{
	const char *s = memchr(line, ' ', n);

	return s ? status_of(s + 1, (size_t)(line + n - s - 1)) : 0;
}

/* Seconds or a date (RFC 9110 10.2.3). */
static int64_t retry_after(const char *s, size_t n, int64_t now_s)
{
	auto_free char *text = xstrndup(s, n);
	char *start = text + strspn(text, " \t");
	int64_t v;
	time_t at;

	start[strcspn(start, "\r\n")] = '\0';
	if (parse_int(start, 0, INT32_MAX, &v) == 0) {
		return v;
	}
	at = curl_getdate(start, NULL);
	return at < 0 ? -1 : MIN(MAX((int64_t)at - now_s, (int64_t)0), (int64_t)INT32_MAX);
}

bool http_header_line(struct http_header *h, const char *line, size_t n, int64_t now_s)
{
	static const char retry[] = "retry-after:";
	const size_t name = sizeof(retry) - 1;

	if (n >= 12 && memcmp(line, "HTTP/", 5) == 0) {
		h->status = status_of_line(line, n);
		h->retry_after = -1;
	} else if (n > name && strncasecmp(line, retry, name) == 0) {
		h->retry_after = retry_after(line + name, n - name, now_s);
	}
	return n <= 2;
}

void http_header_field(struct http_header *h, const char *name, const char *value, size_t n,
		       int64_t now_s)
{
	if (str_eq(name, ":status")) {
		h->status = status_of(value, n);
		h->retry_after = -1;
	} else if (str_eq(name, "retry-after")) {
		h->retry_after = retry_after(value, n, now_s);
	}
}
