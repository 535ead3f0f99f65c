/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_finish(struct buf *b)
{
	free(take(b->bytes));
	b->len = b->size = 0;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->over = false;
}

void buf_trim(struct buf *b)
{
	if (b->size > 64 * KiB) {
		buf_finish(b);
	}
	buf_reset(b);
}

/* Room for n more bytes and the closing 0, or -1. */
static int reserve(struct buf *b, size_t n)
{
	size_t size;

	if (b->over || n > b->max - b->len) {
		b->over = true;
		return -1;
	}
	if (b->size > b->len + n) {
		return 0;
	}
	size = MAX(b->size * 2, (size_t)64);
	size = MIN(MAX(size, b->len + n + 1), b->max + 1);
	b->bytes = xrealloc(b->bytes, size);
	b->size = size;
	return 0;
}

int buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (reserve(b, n) < 0) {
		return -1;
	}
	if (n) {
		memcpy(b->bytes + b->len, bytes, n);
	}
	b->len += n;
	b->bytes[b->len] = '\0';
	return 0;
}

int buf_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0 || reserve(b, (size_t)n) < 0) {
		va_end(again);
		return -1;
	}
	vsnprintf(b->bytes + b->len, (size_t)n + 1, format, again);
	va_end(again);
	b->len += (size_t)n;
	return 0;
}

/* As far as a JSON string may have it as it stands. */
static size_t plain_span(const char *s)
{
	size_t n = 0;

	while ((unsigned char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\') {
		n++;
	}
	return n;
}

int buf_json_str(struct buf *b, const char *s)
{
	buf_char(b, '"');
	for (;;) {
		size_t n = plain_span(s);

		buf_add(b, s, n);
		s += n;
		if (!*s) {
			break;
		}
		if ((unsigned char)*s < 0x20) {
			buf_printf(b, "\\u%04x", (unsigned char)*s);
		} else {
			buf_char(b, '\\');
			buf_char(b, *s);
		}
		s++;
	}
	return buf_char(b, '"');
}

void buf_drop(struct buf *b, size_t n)
{
	n = MIN(n, b->len);
	if (!n) {
		return;
	}
	memmove(b->bytes, b->bytes + n, b->len - n);
	b->len -= n;
	b->bytes[b->len] = '\0';
}
