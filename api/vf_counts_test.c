/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vf_counts.h"

#include "base/test.h"

static void who_says_nothing(void)
{
	is_int(vf_counts_default("8086", "56c0", 31), 8);
	is_int(vf_counts_default("8086", "56c0", 4), 4);
	is_int(vf_counts_default("8086", "56c1", 31), 6);
	is_int(vf_counts_default("8086", "0bd5", 62), 16);
	is_int(vf_counts_default("8086", "0bdb", 63), 8);
	is_int(vf_counts_default("8086", "e212", 12), 12);
	is_int(vf_counts_default("1002", "56c0", 31), 31);
	is_int(vf_counts_default("10de", "25b6", 16), 16);
}

static void refused(void)
{
	static const struct {
		const char *vendor, *device;
		int64_t total, asked;
		const char *why;
	} rows[] = {
		{"8086", "56c0", 31, 1, NULL},
		{"8086", "56c0", 31, 16, NULL},
		{"8086", "56c0", 31, 3, "the card is divided evenly among 1, 2, 4, 5, 8, 16"},
		{"8086", "56c0", 5, 3, "the card is divided evenly among 1, 2, 4, 5"},
		{"8086", "56c0", 31, 0, "the card can have 1 to 31"},
		{"8086", "56c0", 31, 32, "the card can have 1 to 31"},
		{"8086", "0bd0", 62, 62, NULL},
		{"8086", "e212", 12, 7, NULL},
		{"8086", "e212", 12, 13, "the card can have 1 to 12"},
		{"1002", "74a1", 8, 3, NULL},
		{"10de", "25b6", 16, 16, NULL},
		{"10de", "25b6", 16, 4, "NVIDIA's driver makes all 16"},
	};
	struct arena a;

	arena_init(&a, 64 * KiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(vf_counts_refusal(rows[i].vendor, rows[i].device, rows[i].total,
					 rows[i].asked, &a),
		       rows[i].why);
	}
	arena_finish(&a);
}

TESTS({"who says no number gets the usual one", who_says_nothing},
      {"what a card cannot have is said, with what it can", refused}, )
