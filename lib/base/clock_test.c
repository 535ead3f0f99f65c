/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

#include "base/test.h"

static void times_are_written_as_kubernetes_does(void)
{
	char text[CLOCK_TEXT_MAX];

	is_str(clock_time(0, text), "1970-01-01T00:00:00Z");
	is_str(clock_time(INT64_C(1709210096999999), text), "2024-02-29T12:34:56Z");
	is_str(clock_micro_time(INT64_C(1709210096000042), text), "2024-02-29T12:34:56.000042Z");
	is_str(clock_micro_time(-1, text), "1969-12-31T23:59:59.999999Z");
	is_str(clock_time(INT64_MAX, text), "9999-12-31T23:59:59Z");
	is_str(clock_time(INT64_MIN, text), "0001-01-01T00:00:00Z");
}

static void every_day_of_four_centuries_comes_back(void)
{
	for (int64_t day = -170000; day < 170000; day++) {
		int64_t us = day * 86400 * 1000000 + 12345678901, back = 0;
		time_t seconds = (time_t)(us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000));
		char text[CLOCK_TEXT_MAX], libc[CLOCK_TEXT_MAX];
		struct tm tm;

		clock_micro_time(us, text);
		is_int(clock_parse(text, &back), 0);
		is_int(back, us);
		gmtime_r(&seconds, &tm);
		strftime(libc, sizeof(libc), "%Y-%m-%dT%H:%M:%SZ", &tm);
		is_str(clock_time(us, text), libc);
	}
}

static void offsets_and_fractions_are_read(void)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01T00:00:00.5Z", 500000},
		{"1970-01-01T00:00:00.123456789Z", 123456},
		{"1970-01-01T01:30:00+01:30", 0},
		{"1969-12-31T16:00:00-08:00", 0},
		{"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
		{"1969-12-31T23:59:59.75Z", -250000},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t us = 7;

		is_int(clock_parse(rows[i].text, &us), 0);
		is_int(us, rows[i].us);
	}
}

static void anything_else_is_refused(void)
{
	static const char *const rows[] = {
		"",
		"2024",
		"2024-02-29",
		"2024-02-29 12:34:56Z",
		"2024-02-29t12:34:56Z",
		"2024-02-29T12:34:56z",
		"2024-02-29T12:34:56",
		"2023-02-29T12:34:56Z",
		"1900-02-29T12:34:56Z",
		"2024-13-01T12:34:56Z",
		"2024-00-01T12:34:56Z",
		"2024-01-00T12:34:56Z",
		"2024-04-31T12:34:56Z",
		"2024-01-01T24:00:00Z",
		"2024-01-01T23:60:00Z",
		"2024-01-01T23:59:60Z",
		"2024-01-01T23:59:5Z",
		"2024-01-01T23:59:59.Z",
		"2024-01-01T23:59:59+1:00",
		"2024-01-01T23:59:59+24:00",
		"2024-01-01T23:59:59+00:60",
		"2024-01-01T23:59:59Zx",
		"2024-01-01T23:59:59+00:00x",
		" 2024-01-01T23:59:59Z",
		"0000-01-01T00:00:00Z",
		"-024-01-01T23:59:59Z",
		"2024-1-01T23:59:59Z",
		"2024-01-01T23:59:59+0000",
	};
	int64_t us = 7;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (clock_parse(rows[i], &us) != -1) {
			is_str(rows[i], "refused");
		}
	}
	is_int(us, 7);
}

static void readings_move(void)
{
	int64_t boot = clock_boot_ms(), wall = clock_wall_us();
	struct timespec ts = {.tv_nsec = 3000000};

	nanosleep(&ts, NULL);
	ok(clock_boot_ms() - boot >= 2);
	ok(clock_wall_us() - wall >= 2000);
	ok(wall > INT64_C(1700000000000000));
	ok(clock_wall_ms() >= wall / 1000);
}

TESTS({"times are written as Kubernetes does", times_are_written_as_kubernetes_does},
      {"every day of 900 years comes back, and agrees with the C library",
       every_day_of_four_centuries_comes_back},
      {"offsets and fractions are read", offsets_and_fractions_are_read},
      {"anything that is not strictly RFC 3339 is refused", anything_else_is_refused},
      {"both clocks move", readings_move})
