/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h: readings of the two clocks that count, and time as Kubernetes writes it.
 *
 * Deadlines are counted on CLOCK_BOOTTIME (it runs on through a suspend); the wall clock is only
 * for what others read: metav1.Time (RFC 3339, whole seconds), metav1.MicroTime (six digits),
 * certificates, tokens. Readings are for the rim: libraries take `now` as an argument.
 */
#pragma once

#include "base/base.h"

#define CLOCK_TEXT_MAX 40

int64_t clock_boot_ms(void);
int64_t clock_wall_us(void); /* since 1970, UTC */
static inline int64_t clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

/* "2026-05-04T03:02:01Z" and "2026-05-04T03:02:01.000000Z"; both return text. Years 1 to 9999, else
 * the nearest of them. */
const char *clock_time(int64_t unix_us, char text[CLOCK_TEXT_MAX]);
const char *clock_micro_time(int64_t unix_us, char text[CLOCK_TEXT_MAX]);

/*
 * Strict RFC 3339, as Go's time.Parse reads it: capital T and Z, any number of fraction digits
 * (beyond six cut off), an offset of at most 23:59, no leap second. 0, or -1 when it is anything
 * else.
 */
int clock_parse(const char *s, int64_t *ret_us);
