/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quantity.h"

#include <math.h>
#include <string.h>

/* Negative: divides. So that what is exact in decimal stays exact: 500m is 0.5. */
static const struct {
	const char *suffix;
	long double factor;
} suffixes[] = {
	{"", 1},
	{"n", -1e9L},
	{"u", -1e6L},
	{"m", -1e3L},
	{"k", 1e3L},
	{"M", 1e6L},
	{"G", 1e9L},
	{"T", 1e12L},
	{"P", 1e15L},
	{"E", 1e18L},
	{"Ki", 1024.0L},
	{"Mi", 1048576.0L},
	{"Gi", 1073741824.0L},
	{"Ti", 1099511627776.0L},
	{"Pi", 1125899906842624.0L},
	{"Ei", 1152921504606846976.0L},
};

static long double power_of_ten(int64_t e)
{
	long double v = 1;

	for (int64_t i = 0; i < (e < 0 ? -e : e); i++) {
		v *= 10;
	}
	return e < 0 ? 1 / v : v;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number before the suffix; *s moves behind it. */
static int read_number(const char **s, long double *ret)
{
	long double v = 0, scale = 1;
	bool any = false;

	for (; digit(**s); (*s)++, any = true) {
		v = v * 10 + (**s - '0');
	}
	if (**s == '.') {
		for ((*s)++; digit(**s); (*s)++, any = true) {
			scale *= 10;
			v = v * 10 + (**s - '0');
		}
	}
	*ret = v / scale;
	return any ? 0 : -1;
}

/* Thousands of digits are beyond every number, and two such cannot be compared. */
static int give(long double v, long double *ret)
{
	if (!isfinite(v)) {
		return -1;
	}
	*ret = v;
	return 0;
}

int quantity_parse(const char *s, long double *ret)
{
	long double v, sign = 1;
	int64_t e;

	if (!s) {
		return -1;
	}
	if (*s == '-' || *s == '+') {
		sign = *s++ == '-' ? -1 : 1;
	}
	if (read_number(&s, &v) < 0) {
		return -1;
	}
	if ((*s == 'e' || *s == 'E') &&
	    (digit(s[1]) || ((s[1] == '-' || s[1] == '+') && digit(s[2]))) &&
	    parse_int(s + 1 + (s[1] == '+'), -30, 30, &e) == 0) {
		return give(sign * v * power_of_ten(e), ret);
	}
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (str_eq(suffixes[i].suffix, s)) {
			return give(sign * (suffixes[i].factor < 0 ? v / -suffixes[i].factor
								   : v * suffixes[i].factor),
				    ret);
		}
	}
	return -1;
}

int quantity_compare(const char *a, const char *b)
{
	long double x = 0, y = 0;

	(void)(quantity_parse(a, &x) < 0 && (x = 0));
	(void)(quantity_parse(b, &y) < 0 && (y = 0));
	return (x > y) - (x < y);
}
