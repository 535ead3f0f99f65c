/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define SECOND INT64_C(1000000)
#define DAY INT64_C(86400)
#define YEAR_1 (INT64_C(-62135596800) * SECOND)	      /* 0001-01-01T00:00:00Z */
#define YEAR_END (INT64_C(253402300800) * SECOND - 1) /* the last microsecond of 9999 */

static int64_t read_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000;
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

/*
 * Days since 1970 to a date of the proleptic Gregorian calendar and back (Howard Hinnant,
 * "chrono-compatible low-level date algorithms"): years begin in March, so that the leap day is a
 * year's last.
 */
static int64_t days_from_date(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_from_days(int64_t days, int *y, int *m, int *d)
{
	int64_t era, doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static const char *format(int64_t unix_us, bool micro, char text[CLOCK_TEXT_MAX])
{
	int64_t us, seconds, days;
	int y, m, d, n;

	unix_us = MAX(MIN(unix_us, YEAR_END), YEAR_1);
	us = ((unix_us % SECOND) + SECOND) % SECOND;
	seconds = (unix_us - us) / SECOND;
	days = (seconds - (((seconds % DAY) + DAY) % DAY)) / DAY;
	seconds -= days * DAY;
	date_from_days(days, &y, &m, &d);
	n = snprintf(text, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", y, m, d,
		     (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
	if (micro) {
		snprintf(text + n, CLOCK_TEXT_MAX - (size_t)n, ".%06dZ", (int)us);
	} else {
		snprintf(text + n, CLOCK_TEXT_MAX - (size_t)n, "Z");
	}
	return text;
}

const char *clock_time(int64_t unix_us, char text[CLOCK_TEXT_MAX])
{
	return format(unix_us, false, text);
}

const char *clock_micro_time(int64_t unix_us, char text[CLOCK_TEXT_MAX])
{
	return format(unix_us, true, text);
}

/* Reads exactly n digits as a number in [min, max], then the character after, if any is wanted. */
static bool number(const char **s, int n, int min, int max, char after, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9') {
			return false;
		}
		v = v * 10 + (**s - '0');
	}
	if (v < min || v > max || (after && *(*s)++ != after)) {
		return false;
	}
	*ret = v;
	return true;
}

static int days_of_month(int y, int m)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return m == 2 && leap ? 29 : days[m - 1];
}

/* ".25" as microseconds; digits beyond the sixth are cut off. */
static bool fraction(const char **s, int64_t *ret_us)
{
	int64_t us = 0, unit = SECOND / 10;

	*ret_us = 0;
	if (**s != '.') {
		return true;
	}
	(*s)++;
	if (**s < '0' || **s > '9') {
		return false;
	}
	for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10) {
		us += (**s - '0') * unit;
	}
	*ret_us = us;
	return true;
}

static bool offset(const char **s, int64_t *ret_seconds)
{
	int sign = **s == '-' ? -1 : 1, h, m;

	if (**s == 'Z') {
		(*s)++;
		*ret_seconds = 0;
		return true;
	}
	if (**s != '+' && **s != '-') {
		return false;
	}
	(*s)++;
	if (!number(s, 2, 0, 23, ':', &h) || !number(s, 2, 0, 59, '\0', &m)) {
		return false;
	}
	*ret_seconds = sign * (h * 3600 + m * 60);
	return true;
}

int clock_parse(const char *s, int64_t *ret_us)
{
	int y, mo, d, h, mi, sec;
	int64_t us, off, days;

	if (!number(&s, 4, 1, 9999, '-', &y) || !number(&s, 2, 1, 12, '-', &mo) ||
	    !number(&s, 2, 1, days_of_month(y, mo), 'T', &d) || !number(&s, 2, 0, 23, ':', &h) ||
	    !number(&s, 2, 0, 59, ':', &mi) || !number(&s, 2, 0, 59, '\0', &sec)) {
		return -1;
	}
	if (!fraction(&s, &us) || !offset(&s, &off) || *s) {
		return -1;
	}
	days = days_from_date(y, mo, d);
	*ret_us = (days * DAY + h * 3600 + mi * 60 + sec - off) * SECOND + us;
	return 0;
}
