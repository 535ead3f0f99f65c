/* SPDX-License-Identifier: Apache-2.0 */
/* The way of machines without SSE2, on every machine: the same answers, wherever an odd byte lies.
 */
#define TOKEN_PORTABLE
#include "json/token.c"

#include "base/test.h"

/* One byte at a time, as it is defined. The text holds nothing but the odd bytes below. */
static struct token plainly(const char *p, const char *end)
{
	while (p < end && *p != '"') {
		bool plain = *p != '\\' && (signed char)*p >= ' ';
		struct token t = plain ? whole(p + 1) : special(p, end);

		if (t.why) {
			return t;
		}
		p = t.at;
	}
	return p < end ? whole(p + 1) : cut(p);
}

static void same_answers(void)
{
	static const char *const odd[] = {"\"", "\\\"", "\\\\",	    "\\n",  "\\x",     "\x1f", " ",
					  "!",	"\x7f", "\xc3\xa9", "\xff", "\\u0041", "\\"};
	char text[64];

	for (size_t a = 0; a < ARRAY_LEN(odd); a++) {
		for (size_t b = 0; b < ARRAY_LEN(odd); b++) {
			for (size_t at = 0; at < 36; at++) {
				size_t n = strlen(odd[a]) + strlen(odd[b]);
				struct token want, got;

				memset(text, 'x', sizeof(text));
				memcpy(text + at, odd[a], strlen(odd[a]));
				memcpy(text + at + strlen(odd[a]), odd[b], strlen(odd[b]));
				text[at + n + 3] = '"';
				want = plainly(text, text + at + n + 4);
				got = token_string(text, text + at + n + 4);
				ok(got.at == want.at && got.why == want.why);
			}
		}
	}
}

static void specials_are_marked(void)
{
	char text[16];

	for (int c = 0; c < 256; c++) {
		bool odd = c < ' ' || c >= 0x80 || c == '"' || c == '\\';

		for (int at = 0; at < 16; at++) {
			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			is_int(token_specials(text), odd ? 1 << at : 0);
		}
	}
}

TESTS({"without SSE2 a string ends in the same place", same_answers},
      {"without SSE2 the same bytes are special", specials_are_marked})
