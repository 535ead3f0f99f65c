/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpu_names_near(): which names may have been meant. A name is near for two reasons, each worth up
 * to 100 points: words that both have (who asks for H100_80GB means an H100, or 80 GB), and few
 * letters to change (a typing error).
 */
#include "api/gpu_names.h"

#include <string.h>

#define ENOUGH 50   /* points below which a name is no suggestion */
#define LEN_MAX 128 /* longer names are compared by their first bytes */

static int fold(char c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : (unsigned char)c;
}

static bool in_word(char c)
{
	int f = fold(c);

	return (f >= '0' && f <= '9') || (f >= 'A' && f <= 'Z');
}

static size_t word_len(const char *s)
{
	size_t n = 0;

	while (in_word(s[n])) {
		n++;
	}
	return n;
}

/* "nvidia.com/A" and "A" are the same to somebody who searches. */
static const char *after_prefix(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash ? slash + 1 : name;
}

/* How much of a word is found in another: all, a beginning with a digit (L40 in L40S), or none. */
static size_t common(const char *a, size_t na, const char *b, size_t nb)
{
	size_t n = 0;
	bool digit = false;

	while (n < na && n < nb && fold(a[n]) == fold(b[n])) {
		digit |= a[n] >= '0' && a[n] <= '9';
		n++;
	}
	return (n == na && n == nb) || (n >= 3 && digit) ? n : 0;
}

/* Of the letters of asked's words, how many per cent stand in words of name. */
static int shared_words(const char *asked, const char *name)
{
	size_t found = 0, all = 0;

	for (size_t n; *asked; asked += n ? n : 1) {
		size_t best = 0;
		n = word_len(asked);
		for (size_t k, i = 0; n && name[i]; i += k ? k : 1) {
			k = word_len(name + i);
			best = MAX(best, common(asked, n, name + i, k));
		}
		found += best;
		all += n;
	}
	return all ? (int)(100 * found / all) : 0;
}

/* Letters to insert, drop or change to make b from a (Levenshtein), upper and lower case alike. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	uint8_t row[LEN_MAX + 1];

	for (size_t j = 0; j <= nb; j++) {
		row[j] = (uint8_t)j;
	}
	for (size_t i = 1; i <= na; i++) {
		uint8_t diagonal = row[0];
		row[0] = (uint8_t)i;
		for (size_t j = 1; j <= nb; j++) {
			uint8_t change = (uint8_t)(diagonal + (fold(a[i - 1]) != fold(b[j - 1])));
			diagonal = row[j];
			row[j] = MIN(change, (uint8_t)(MIN(row[j], row[j - 1]) + 1));
		}
	}
	return row[nb];
}

static int likeness(const char *asked, const char *name)
{
	size_t na = strnlen(asked, LEN_MAX), nb = strnlen(name, LEN_MAX), longest = MAX(na, nb);

	return longest ? (int)(100 - 100 * distance(asked, na, name, nb) / longest) : 0;
}

static bool among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(name, names[i])) {
			return true;
		}
	}
	return false;
}

static int points(const char *asked, const char *name)
{
	return shared_words(asked, name) + likeness(asked, name);
}

size_t gpu_names_near(const char *asked, const char *const *have, size_t n, const char **ret,
		      size_t max)
{
	const char *what = after_prefix(asked);
	size_t found = 0;

	/* Insertion into the best so far: max is a handful. Of equals, the earlier stays first. */
	for (size_t i = 0; i < n; i++) {
		int p = points(what, after_prefix(have[i]));
		size_t at = found;
		if (p < ENOUGH || among(have[i], ret, found)) {
			continue;
		}
		while (at > 0 && points(what, after_prefix(ret[at - 1])) < p) {
			at--;
		}
		if (at < max) {
			found = MIN(found + 1, max);
			memmove(ret + at + 1, ret + at, (found - at - 1) * sizeof(*ret));
			ret[at] = have[i];
		}
	}
	/* Beside a good suggestion a poor one only misleads. */
	for (int best = found ? points(what, after_prefix(ret[0])) : 0;
	     found && 2 * points(what, after_prefix(ret[found - 1])) < best;) {
		found--;
	}
	return found;
}
