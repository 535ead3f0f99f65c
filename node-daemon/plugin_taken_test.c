/* SPDX-License-Identifier: Apache-2.0 */
/* A name of ours that another plugin has: the kubelet takes its lists and ours for one. */
#include "node-daemon/plugin_hand_test.h"

static void take_name(const char *name)
{
	plugin_taken(p, &name, name ? 1 : 0);
}

/* Whoever had it first: no word of ours reaches the kubelet until the other one has left. */
static void taken_before(void)
{
	begin();
	take_name("r");
	plugin_kubelet(p, 7);
	OFFER(1, "r", "s");
	is_str(turn(), "listen s; register s; ");
	is_int(wake, INT64_MAX);
	plugin_kubelet(p, 8);
	is_str(turn(), "");
	take_name(NULL);
	is_str(turn(), "listen r; register r; ");
	end();
}

static void taken_while_listed(void)
{
	struct plugin_resource *r = begin_listed();

	ok(r->listed);
	take_name("r");
	OFFER(2, "r");
	is_str(turn(), "");
	plugin_offers(p, NULL, 0); /* an empty list would be taken for the other one's */
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	OFFER(2, "r");
	take_name(NULL);
	is_str(turn(), "end r; ");
	ok(!r->listed);
	plugin_connections(r, 0);
	is_str(turn(), "register r; ");
	plugin_registered(r, GRPC_OK, "", now);
	plugin_opened(r, now);
	is_str(turn(), "send r 28; ");
	end();
}

/* The kubelet ends our stream itself: it is not opened again against the other one. */
static void taken_and_closed(void)
{
	struct plugin_resource *r = begin_listed();

	take_name("r");
	plugin_closed(r, now);
	plugin_connections(r, 0);
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	plugin_offers(p, NULL, 0);
	is_str(turn(), "unlisten r; ");
	end();
}

TESTS({"a name that is taken is not registered until it is free", taken_before},
      {"on a stream of it no word is said, and then it is ended", taken_while_listed},
      {"one that is ended by the kubelet is not opened again", taken_and_closed}, )
