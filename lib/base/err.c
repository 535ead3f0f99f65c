/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut may have split a character: drop the incomplete tail, so that the text stays valid UTF-8.
 */
static void trim_partial_character(char *text)
{
	size_t n = strlen(text), back = 0;

	while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80) {
		back++;
	}
	if (back < n && (unsigned char)text[n - 1 - back] >= 0xc0) {
		unsigned char lead = (unsigned char)text[n - 1 - back];
		size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;

		if (back < want) {
			text[n - 1 - back] = '\0';
		}
	}
}

/* A sentence is one line, whatever the words are that it quotes. */
static void one_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f) {
			*text = ' ';
		}
	}
}

int err_set(struct err *err, const char *format, ...)
{
	va_list ap;

	if (!err) {
		return -1;
	}
	va_start(ap, format);
	if (vsnprintf(err->text, sizeof(err->text), format, ap) >= (int)sizeof(err->text)) {
		trim_partial_character(err->text);
	}
	va_end(ap);
	one_line(err->text);
	return -1;
}

int err_wrap(struct err *err, const char *format, ...)
{
	struct err inner;
	va_list ap;
	size_t n;

	if (!err) {
		return -1;
	}
	inner = *err;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	n = strlen(err->text);
	if (snprintf(err->text + n, sizeof(err->text) - n, ": %s", inner.text) >=
	    (int)(sizeof(err->text) - n)) {
		trim_partial_character(err->text);
	}
	one_line(err->text);
	return -1;
}
