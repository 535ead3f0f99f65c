/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/beats.h"

#include "base/test.h"

#define S 1000

static struct beats *b;
static int64_t wake;

static struct lease_record record(const char *name, const char *renewed, int64_t seconds)
{
	return (struct lease_record){
		.obj.name = name, .holder = "gpu-a", .renewed = renewed, .seconds = seconds};
}

static bool seen(const char *renewed, int64_t now)
{
	struct lease_record r = record("node-gpu-a", renewed, 40);

	return beats_seen(b, &r, now);
}

static enum beats_state state(void)
{
	const char *renewed;

	return beats_of(b, "gpu-a", &renewed);
}

/* How many are told, each of them gpu-a. */
static int told(int64_t now, int64_t watching_since)
{
	const char *node;
	int n = 0;

	while ((node = beats_next(b, now, watching_since, &wake))) {
		is_str(node, "gpu-a");
		n++;
	}
	return n;
}

static void begin(void)
{
	b = beats_create();
}

static void end(void)
{
	b = beats_destroy(b);
}

/* A leader that has just started sees an old record: it may be a live daemon's, or a dead one's. */
static void watched_whole(void)
{
	begin();
	ok(seen("a", 100 * S));
	is_int(told(100 * S, 100 * S), 0);
	is_int(wake, 140 * S);
	is_int(state(), BEATS_UNKNOWN);
	is_int(told(140 * S - 1, 100 * S), 0);
	is_int(told(140 * S, 100 * S), 1);
	is_int(state(), BEATS_SILENT);
	is_int(told(1000 * S, 100 * S), 0);
	is_int(wake, INT64_MAX);
	end();
}

static void beats_on(void)
{
	begin();
	seen("a", 0);
	told(0, 0);
	ok(seen("b", 10 * S)); /* alive, which was not known */
	is_int(told(10 * S, 0), 1);
	is_int(state(), BEATS_ALIVE);
	is_int(wake, 50 * S);
	ok(!seen("c", 20 * S)); /* no work */
	ok(!seen("c", 59 * S)); /* the same record again is no beat */
	is_int(told(50 * S, 0), 0);
	is_int(wake, 60 * S);
	is_int(told(60 * S, 0), 1);
	is_int(state(), BEATS_SILENT);
	ok(seen("d", 61 * S));
	is_int(told(61 * S, 0), 1);
	is_int(state(), BEATS_ALIVE);
	end();
}

/* What is not watched is not silent; and time in which nothing was seen for that does not count. */
static void gap(void)
{
	begin();
	seen("a", 0);
	seen("b", 10 * S);
	told(10 * S, 0);
	is_int(told(45 * S, INT64_MAX), 0);
	is_int(state(), BEATS_ALIVE);
	is_int(told(100 * S, INT64_MAX), 1);
	is_int(state(), BEATS_UNKNOWN);
	is_int(told(120 * S, 120 * S), 0);
	is_int(wake, 160 * S);
	is_int(told(160 * S, 120 * S), 1);
	is_int(state(), BEATS_SILENT);
	is_int(told(161 * S, 161 * S), 1);
	is_int(state(), BEATS_UNKNOWN); /* as a new leader: it has not watched since */
	end();
}

/* A Lease that is deleted is no sign of life. What is known of its node is forgotten much later. */
static void deleted(void)
{
	struct lease_record r = record("node-gpu-a", "b", 40);

	begin();
	seen("a", 0);
	seen("b", 10 * S);
	told(10 * S, 0);
	beats_gone(b, &r);
	is_int(told(50 * S, 0), 1);
	is_int(state(), BEATS_SILENT);
	ok(wake < INT64_MAX);
	is_int(told(wake, 0), 0);
	is_int(state(), BEATS_UNKNOWN);
	is_int(wake, INT64_MAX);
	end();
}

static void made_anew(void)
{
	struct lease_record r = record("node-gpu-a", "b", 40);

	begin();
	seen("a", 0);
	seen("b", 10 * S);
	told(10 * S, 0);
	beats_gone(b, &r);
	seen("c", 11 * S);
	is_int(told(50 * S, 0), 0);
	is_int(told(51 * S, 0), 1);
	is_int(told(24 * 3600 * S, 0), 0);
	is_int(state(), BEATS_SILENT); /* its Lease is there: it is not forgotten */
	end();
}

static void durations(void)
{
	struct lease_record none = record("node-gpu-a", "a", 0),
			    less = record("node-gpu-a", "b", 5),
			    more = record("node-gpu-a", "c", INT64_MAX);

	begin();
	beats_seen(b, &none, 0);
	told(0, 0);
	is_int(wake, BEATS_DEFAULT_MS);
	beats_seen(b, &none, 0);
	seen("x", 1 * S);
	told(1 * S, 0);
	ok(beats_seen(b, &less, 2 * S)); /* sooner than was said */
	told(2 * S, 0);
	is_int(wake, 7 * S);
	beats_seen(b, &more, 3 * S);
	told(3 * S, 0);
	is_int(wake, 3 * S + BEATS_MAX_MS);
	end();
}

static void others(void)
{
	struct lease_record leader = record("vmgpu-controller", "a", 15);
	const char *renewed;

	begin();
	ok(!beats_seen(b, &leader, 0));
	beats_gone(b, &leader);
	is_int(told(100 * S, 0), 0);
	is_int(wake, INT64_MAX);
	is_int(beats_of(NULL, "gpu-a", &renewed), BEATS_UNKNOWN);
	is_int(state(), BEATS_UNKNOWN);
	seen("2026-01-01T00:00:00.000000Z", 0);
	beats_of(b, "gpu-a", &renewed);
	is_str(renewed, "2026-01-01T00:00:00.000000Z");
	end();
}

TESTS({"who has just started calls a node silent only after a whole duration", watched_whole},
      {"each change is a beat, and beats make no work", beats_on},
      {"time in which a beat may have been missed does not count", gap},
      {"a Lease that is deleted is no beat", deleted}, {"one that is made anew is", made_anew},
      {"how long a Lease may stay as it is", durations},
      {"other Leases, and nodes without one, say nothing", others}, )
