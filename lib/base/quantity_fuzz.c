/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quantity_fuzz.c: bytes as two quantities, parted by a space, and as an integer. Every quantity
 * has its place in one order, and what is none counts as 0; an integer reads as libc reads it.
 */
#include "base/quantity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good) {
		abort();
	}
}

static long double value(const char *s)
{
	long double v = 7;
	int r = quantity_parse(s, &v);

	check(r == 0 || (r == -1 && v == 7));
	check(isfinite(v));
	return r == 0 ? v : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *a = xstrndup((const char *)data, size), *b = NULL, *back = NULL;
	long double x, y;
	int64_t n = 7;

	b = xstrdup(strchr(a, ' ') ? strchr(a, ' ') + 1 : "1");
	a[strcspn(a, " ")] = '\0';
	x = value(a);
	y = value(b);
	check(quantity_compare(a, b) == (x > y) - (x < y));
	check(quantity_compare(b, a) == -quantity_compare(a, b));
	check(quantity_compare(a, a) == 0);
	if (parse_int(a, -1000000, INT64_MAX, &n) == 0) {
		back = xprintf("%lld", (long long)n);
		check(n >= -1000000 && strtoll(a, NULL, 10) == n && strtoll(back, NULL, 10) == n);
	} else {
		check(n == 7);
	}
	return 0;
}
