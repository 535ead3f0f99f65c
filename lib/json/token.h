/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h: the lexical half of the scanner: where a JSON string, number or literal ends, and
 * whether it is one.
 *
 * Each function reads from p, never at or beyond end, and answers with a place and a reason:
 *	why == NULL		whole: `at` is behind the token
 *	why == token_cut	the bytes ran out: a string may be read on from `at` once more have
 *				come, a number or literal from its start
 *	else			no JSON: `at` is the offending byte, why says what is wrong with it
 *
 * Strings are checked 16 bytes at a time; the bytes that need a closer look are quotes,
 * backslashes, control characters and all that is not ASCII.
 */
#pragma once

#include "base/base.h"

#if defined(__SSE2__) && !defined(TOKEN_PORTABLE)
#define TOKEN_SSE2
#include <emmintrin.h>
#endif

/* Longer numbers are refused: a 64-bit float printed in full has 325 digits. */
#define TOKEN_MAX_NUMBER KiB

struct token {
	const char *at;
	const char *why;
};

extern const char token_cut[];

/* p: behind a string's opening quote, or where it was cut. */
struct token token_string_rest(const char *p, const char *end);
struct token token_number(const char *p, const char *end);
/* word: "true", "false" or "null" */
struct token token_literal(const char *p, const char *end, const char *word);

/* A whole string's text, between its quotes, without escapes; n bytes suffice. Returns the length.
 */
size_t token_unescape(char *out, const char *text, size_t n);

/* A bit for each of the 16 bytes at p that needs a closer look. */
static inline unsigned token_specials(const char *p)
{
#ifdef TOKEN_SSE2
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i escape = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	/* Signed: bytes from 0x80 on are below the space as well. */
	__m128i odd = _mm_cmplt_epi8(v, _mm_set1_epi8(' '));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, escape), odd));
#else
	unsigned mask = 0;

	for (unsigned i = 0; i < 16; i++) {
		mask |= (unsigned)(p[i] == '"' || p[i] == '\\' || (signed char)p[i] < ' ') << i;
	}
	return mask;
#endif
}

/* Most strings are short and plain: they end within the first 16 bytes. */
static inline struct token token_string(const char *p, const char *end)
{
	if (end - p > 16) {
		const char *q = p + __builtin_ctz(token_specials(p) | 1u << 16);

		if (*q == '"') {
			return (struct token){q + 1, NULL};
		}
		p = q;
	}
	return token_string_rest(p, end);
}
