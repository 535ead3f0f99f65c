/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quantity.h"
#include "base/sha256.h"
#include "base/test.h"

static void same_amounts(void)
{
	is_int(quantity_compare("20480Mi", "20Gi"), 0);
	is_int(quantity_compare("10737418240", "10Gi"), 0);
	is_int(quantity_compare("1e3", "1k"), 0);
	is_int(quantity_compare("1e+3", "1k"), 0);
	is_int(quantity_compare("1E-3", "1m"), 0);
	is_int(quantity_compare("1E", "1000P"), 0);
	is_int(quantity_compare("0.5", "500m"), 0);
	is_int(quantity_compare("1.5Gi", "1536Mi"), 0);
}

static void order(void)
{
	ok(quantity_compare("5Gi", "5G") > 0);
	ok(quantity_compare("999M", "1G") < 0);
	ok(quantity_compare("-1", "0") < 0);
	ok(quantity_compare("16Ei", "15.99Ei") > 0);
}

static void no_quantities(void)
{
	static const char *const bad[] = {"",	  "Gi", "5gi", "5 Gi",	"x",   ".",  "1.2.3",
					  "5GiB", "1e", "1e+", "1e+-3", "1e-", "--1"};
	long double v;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		is_int(quantity_parse(bad[i], &v), -1);
	}
	is_int(quantity_parse(NULL, &v), -1);
}

static void known_hash(void)
{
	char hex[SHA256_HEX];

	sha256_hex("abc", 3, hex);
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* 6,000 digits, before and behind the point: neither infinite nor "not a number". */
static void numbers_beyond_all_are_none(void)
{
	auto_free char *digits = xmalloc(6001), *fraction = NULL, *both = NULL;
	long double v = 7;

	memset(digits, '9', 6000);
	digits[6000] = '\0';
	fraction = xprintf("0.%s", digits);
	both = xprintf("%s.%s", digits, digits);
	is_int(quantity_parse(digits, &v), -1);
	is_int(quantity_parse(fraction, &v), -1);
	is_int(quantity_parse(both, &v), -1);
	ok(v == 7);
	is_int(quantity_compare(both, "1"), -1);
}

TESTS({"numbers beyond every number are none", numbers_beyond_all_are_none},
      {"one amount in several spellings is one", same_amounts}, {"amounts are ordered", order},
      {"what is no quantity is refused", no_quantities},
      {"SHA-256 of the standard's example", known_hash})
