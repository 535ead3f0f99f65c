/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/moves.h"

#include "base/test.h"

#define POOL "nvidia.com/AD102GL_L40S"
#define OWN "nvidia.com/n1-000041000"

static struct moves *moves;
static struct arena arena;
static int64_t wake;

/* The lists that come of it: each card that is there under its resource, "-": in none. */
static const char *lists(int64_t now, const char *a, const char *b, bool given)
{
	const char *const of[] = {a, b};
	struct offer items[2];
	struct plugin_offer made[2] = {{.resource = POOL}, {.resource = OWN}};
	struct dpapi_device devices[2][2];
	struct offers o = {.items = {items, 2}, .lists = {made, 2}};
	attr_cleanup(buf_finish) struct buf text;

	made[0].devices.items = devices[0];
	made[1].devices.items = devices[1];
	for (size_t i = 0; i < 2; i++) {
		struct plugin_offer *l = &made[str_eq(of[i], OWN)];

		items[i] = (struct offer){.unit = i,
					  .id = i ? "b" : "a",
					  .resource = of[i],
					  .offered = *of[i] != '-',
					  .given = given};
		if (items[i].offered) {
			l->devices.items[l->devices.n++] = (struct dpapi_device){.id = items[i].id};
		}
	}
	wake = moves_make(moves, &o, now);
	buf_init(&text, KiB);
	for (size_t i = 0; i < 2; i++) {
		buf_str(&text, i ? " own:" : "pool:");
		list_each(d, &made[i].devices) {
			buf_str(&text, d->id);
		}
	}
	return arena_strdup(&arena, buf_text(&text));
}

static void begin(void)
{
	moves = moves_create();
	arena_init(&arena, MiB);
}

static void end(void)
{
	moves = moves_destroy(moves);
	arena_finish(&arena);
}

static void through_none(void)
{
	begin();
	is_str(lists(0, POOL, POOL, false), "pool:ab own:"); /* at first at once */
	is_int(wake == INT64_MAX, 1);
	is_str(lists(1000, OWN, POOL, false), "pool:b own:");
	is_int(wake, 1000 + MOVES_MS);
	is_str(lists(1000 + MOVES_MS - 1, OWN, POOL, false), "pool:b own:");
	is_int(wake, 1000 + MOVES_MS);
	is_str(lists(1000 + MOVES_MS, OWN, POOL, false), "pool:b own:a");
	is_int(wake == INT64_MAX, 1);
	is_str(lists(9000, POOL, OWN, false), "pool: own:"); /* they change places */
	is_str(lists(9000 + MOVES_MS, POOL, OWN, false), "pool:a own:b");
	end();
}

static void and_back(void)
{
	begin();
	lists(0, POOL, POOL, false);
	is_str(lists(10, OWN, POOL, false), "pool:b own:");
	is_str(lists(20, POOL, POOL, false), "pool:ab own:"); /* it was in no other */
	is_str(lists(30, OWN, POOL, false), "pool:b own:");
	is_int(wake, 30 + MOVES_MS);
	end();
}

static void after_none(void)
{
	begin();
	lists(0, POOL, POOL, false);
	is_str(lists(10, "-", POOL, false), "pool:b own:");
	is_int(wake == INT64_MAX, 1);
	is_str(lists(20, OWN, POOL, false), "pool:b own:");
	is_int(wake, 10 + MOVES_MS);
	is_str(lists(30, "-", POOL, false), "pool:b own:");
	is_str(lists(10 + MOVES_MS, "-", POOL, false), "pool:b own:");
	is_str(lists(11 + MOVES_MS, OWN, POOL, false), "pool:b own:a"); /* that is long ago */
	end();
}

static void given(void)
{
	begin();
	lists(0, POOL, POOL, false);
	is_str(lists(10, OWN, POOL, true), "pool:b own:a");
	is_str(lists(20, POOL, POOL, false), "pool:b own:");
	end();
}

TESTS({"a unit leaves one list, is in none for a moment, and joins the other", through_none},
      {"one that comes back meanwhile is listed at once", and_back},
      {"it is the same when it was in no list in between, unless that is long ago", after_none},
      {"what somebody has is never left out", given}, )
