/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telemetry.h: what the eyes read of the cards on NVIDIA's driver (reading.h), asked for now and then, and kept.
 * RIM.
 *
 * It is asked on the beat, which wakes the daemon anyway: when cards or driver are others than at the
 * last reading, once in an hour, and where somebody may ask for metrics every half minute. Without a
 * card on that driver nothing is asked, and nothing said.
 * What seldom changes goes into the report: the library's version, NVLinks, and why nothing can be
 * read. What always changes is for metrics only, under the names of NVIDIA's DCGM exporter, so that
 * dashboards made for it work; of a card that is not read there are none.
 */
#pragma once

#include "node-daemon/eyes.h"
#include "node-daemon/links.h"
#include "node-daemon/report.h"

enum {
	TELEMETRY_SELDOM_MS = 3600000,
	TELEMETRY_OFTEN_MS = 30000, /* a card that nobody has open wakes up for it */
	TELEMETRY_AGAIN_MS = 60000, /* after a failure; the eyes themselves take longer pauses */
};

struct telemetry;

struct telemetry_settings {
	struct eyes_settings eyes;
	const char *node;
	bool often;	  /* somebody may ask for metrics */
	loop_fn *changed; /* what is reported may have changed */
	void *ctx;
};

struct telemetry *telemetry_create(const struct telemetry_settings *s);
struct telemetry *telemetry_destroy(struct telemetry *t); /* NULL */

/* m: as it is now; lent until this returns. */
void telemetry_beat(struct telemetry *t, const struct machine *m);
/* The last report, which is asked for NVLinks until something was read. */
void telemetry_recall(struct telemetry *t, const struct machine *m, const struct status *old);
/* In the arena, or lent until the next turn of the loop. */
void telemetry_report(const struct telemetry *t, struct arena *a, struct report_read *ret);
/* As it is now, whenever it is used; lent until telemetry_destroy. */
const struct links *telemetry_links(const struct telemetry *t);
/* monitor_also */
void telemetry_metrics(void *t, struct buf *out);
