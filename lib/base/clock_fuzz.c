/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock_fuzz.c: bytes as an RFC 3339 time. What is read and written again reads as the same.
 */
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xstrndup((const char *)data, size);
	char again[CLOCK_TEXT_MAX];
	int64_t us = 7, back = 7;

	if (clock_parse(text, &us) < 0) {
		if (us != 7) {
			abort();
		}
		return 0;
	}
	clock_micro_time(us, again);
	/* An offset may lead out of the years 1 to 9999, where the nearest is written. */
	if (clock_parse(again, &back) < 0 ||
	    (back != us && us > -62135596800000000 && us < 253402300800000000)) {
		abort();
	}
	return 0;
}
