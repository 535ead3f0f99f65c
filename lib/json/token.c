/* SPDX-License-Identifier: Apache-2.0 */
#include "json/token.h"

#include <string.h>

const char token_cut[] = "cut";

static struct token whole(const char *at)
{
	return (struct token){at, NULL};
}

static struct token cut(const char *at)
{
	return (struct token){at, token_cut};
}

static struct token bad(const char *at, const char *why)
{
	return (struct token){at, why};
}

/* --- strings ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u, or -1. */
static int hex4(const char *p)
{
	int a = hex_digit(p[0]), b = hex_digit(p[1]), c = hex_digit(p[2]), d = hex_digit(p[3]);

	return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* p: at \u. A surrogate is one half of a character: only both together are one (RFC 8259, 7). */
static struct token unicode_escape(const char *p, const char *end)
{
	int unit, low;

	if (end - p < 6) {
		return cut(p);
	}
	unit = hex4(p + 2);
	if (unit < 0) {
		return bad(p, "\\u without four hexadecimal digits");
	}
	if (unit < 0xd800 || unit > 0xdfff) {
		return whole(p + 6);
	}
	if (unit >= 0xdc00) {
		return bad(p, "the second half of a surrogate pair without the first");
	}
	if (end - p < 12) {
		return cut(p);
	}
	low = p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
	if (low < 0xdc00 || low > 0xdfff) {
		return bad(p, "the first half of a surrogate pair without the second");
	}
	return whole(p + 12);
}

static struct token escape(const char *p, const char *end)
{
	if (end - p < 2) {
		return cut(p);
	}
	switch (p[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return whole(p + 2);
	case 'u':
		return unicode_escape(p, end);
	default:
		return bad(p, "an unknown escape");
	}
}

/*
 * One character of two to four bytes. The second byte's range depends on the first, which keeps out
 * overlong forms, surrogates and what is beyond U+10FFFF (Unicode 15, table 3-7).
 */
static struct token utf8_character(const char *p, const char *end)
{
	unsigned char first = (unsigned char)p[0];
	unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	ptrdiff_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

	if (first < 0xc2 || first > 0xf4) {
		return bad(p, "a byte that is no UTF-8");
	}
	for (ptrdiff_t i = 1; i < n; i++, low = 0x80, high = 0xbf) {
		if (p + i == end) {
			return cut(p);
		}
		if ((unsigned char)p[i] < low || (unsigned char)p[i] > high) {
			return bad(p, "a byte that is no UTF-8");
		}
	}
	return whole(p + n);
}

/* p: at a quote, or at a byte that needs a closer look. */
static struct token special(const char *p, const char *end)
{
	if (*p == '\\') {
		return escape(p, end);
	}
	if ((signed char)*p < 0) {
		return utf8_character(p, end);
	}
	return bad(p, "a control character in a string");
}

/* A bit for each of the 16 bytes at p. */
struct bits {
	unsigned quotes, backslashes, odd;
};

static inline struct bits look(const char *p)
{
#ifdef TOKEN_SSE2
	__m128i v = _mm_loadu_si128((const __m128i *)p);

	return (struct bits){
		.quotes = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('"'))),
		.backslashes = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
		.odd = (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(v, _mm_set1_epi8(' '))),
	};
#else
	struct bits b = {0};

	for (unsigned i = 0; i < 16; i++) {
		b.quotes |= (unsigned)(p[i] == '"') << i;
		b.backslashes |= (unsigned)(p[i] == '\\') << i;
		b.odd |= (unsigned)((signed char)p[i] < ' ') << i;
	}
	return b;
#endif
}

/*
 * A third of some objects is text that quotes JSON (last-applied-configuration), with \" every few
 * bytes. Those are seen all at once: bytes behind a backslash that are all quotes end no string.
 */
struct token token_string_rest(const char *p, const char *end)
{
	while (end - p >= 16) {
		struct bits b = look(p);
		unsigned escaped = b.backslashes << 1, first;
		struct token t;

		if (!b.odd && !(escaped & ~b.quotes & 0xffff)) {
			unsigned ends = b.quotes & ~escaped;

			if (ends) {
				return whole(p + __builtin_ctz(ends) + 1);
			}
			/* A last backslash is looked at again, with what it escapes. */
			p += 16 - (escaped >> 16);
			continue;
		}
		first = (unsigned)__builtin_ctz(b.quotes | b.backslashes | b.odd);
		if (p[first] == '"') {
			return whole(p + first + 1);
		}
		t = special(p + first, end);
		if (t.why) {
			return t;
		}
		p = t.at;
	}
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

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* p: at a valid escape. Returns where it ends. */
static const char *unescape_one(const char *p, char **out)
{
	static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	unsigned c;

	if (p[1] != 'u') {
		*(*out)++ = meant[strchr(plain, p[1]) - plain];
		return p + 2;
	}
	c = (unsigned)hex4(p + 2);
	p += 6;
	if (c >= 0xd800 && c < 0xdc00) {
		c = 0x10000 + ((c & 0x3ff) << 10 | ((unsigned)hex4(p + 2) & 0x3ff));
		p += 6;
	}
	*out = put_utf8(*out, c ? c : 0xfffd);
	return p;
}

size_t token_unescape(char *out, const char *text, size_t n)
{
	const char *end = text + n, *start = out;

	while (text < end) {
		const char *stop = memchr(text, '\\', (size_t)(end - text));
		size_t plain = (size_t)((stop ? stop : end) - text);

		memcpy(out, text, plain);
		out += plain;
		text = stop ? unescape_one(stop, &out) : end;
	}
	return (size_t)(out - start);
}

/* --- numbers and literals --------------------------------------------------------------------- */

static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9') {
		p++;
	}
	return p;
}

/* At least one digit from p on, or the reason at the first byte that is none. */
static struct token some_digits(const char *p, const char *end)
{
	const char *q = digits(p, end);

	return q == end ? cut(p) : q == p ? bad(p, "a number lacks a digit") : whole(q);
}

/* Only the byte behind a number shows that it has ended: where the bytes end with it, it is cut. */
static struct token number(const char *p, const char *end)
{
	struct token t;

	p += *p == '-';
	t = p < end && *p == '0' ? whole(p + 1) : some_digits(p, end);
	if (!t.why && t.at < end && *t.at == '.') {
		t = some_digits(t.at + 1, end);
	}
	if (!t.why && t.at < end && (*t.at | 0x20) == 'e') {
		p = t.at + 1;
		t = some_digits(p + (p < end && (*p == '+' || *p == '-')), end);
	}
	return !t.why && t.at == end ? cut(t.at) : t;
}

struct token token_number(const char *p, const char *end)
{
	bool long_enough = end - p > (ptrdiff_t)TOKEN_MAX_NUMBER;
	struct token t = number(p, long_enough ? p + TOKEN_MAX_NUMBER + 1 : end);

	return long_enough && t.why == token_cut ? bad(p, "a number of over 1024 digits") : t;
}

struct token token_literal(const char *p, const char *end, const char *word)
{
	for (; *word; word++, p++) {
		if (p == end) {
			return cut(p);
		}
		if (*p != *word) {
			return bad(p, "a word that is neither true, false nor null");
		}
	}
	return whole(p);
}
