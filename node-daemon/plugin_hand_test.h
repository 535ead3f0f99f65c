/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_hand_test.h: the step machine by hand: what is offered, and all that is to be done then. */
#pragma once

#include "node-daemon/plugin.h"

#include "base/buf.h"
#include "base/test.h"

static struct plugin *p;
static int64_t now, wake;
static char did[2048];
static struct plugin_resource *last; /* of the last work */

attr_unused static void offer(const char *const *names, size_t devices)
{
	struct dpapi_device list[4] = {{"a", true, -1}, {"b", true, -1}, {"c", true, 1}};
	struct plugin_offer offers[8];
	size_t n = 0;

	for (; *names; names++) {
		offers[n++] = (struct plugin_offer){.resource = *names, .devices = {list, devices}};
	}
	plugin_offers(p, offers, n);
}

#define OFFER(devices, ...) offer((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, devices)

static const char *const verbs[] = {"wait", "listen", "register", "send", "end", "unlisten"};

/* All that is to be done now, with LISTEN carried out; a line. */
attr_unused static const char *turn(void)
{
	struct plugin_work w;

	did[0] = 0;
	for (int i = 0; i < 100; i++) {
		size_t n = strlen(did);

		plugin_next(p, now, &w, &wake);
		if (w.what == PLUGIN_WAIT) {
			ok(wake > now);
			return did;
		}
		last = w.resource;
		snprintf(did + n, sizeof(did) - n, "%s %s; ", verbs[w.what], w.resource->name);
		if (w.what == PLUGIN_SEND) {
			n = strlen(did);
			snprintf(did + n - 2, sizeof(did) - n, " %zu; ", w.n);
		} else if (w.what == PLUGIN_LISTEN) {
			plugin_listened(w.resource, true, NULL, now);
		}
	}
	ok(!"it ends");
	return NULL;
}

attr_unused static void begin(void)
{
	p = plugin_create();
	now = 1000;
}

attr_unused static void end(void)
{
	p = plugin_destroy(p);
	ok(!p);
}

/* Registered and listed, one resource "r" with one device (14 bytes). */
attr_unused static struct plugin_resource *begin_listed(void)
{
	begin();
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	is_str(turn(), "listen r; register r; ");
	plugin_connections(last, 1);
	plugin_registered(last, GRPC_OK, "", now);
	is_str(turn(), "");
	plugin_opened(last, now);
	is_str(turn(), "send r 14; ");
	is_int(wake, INT64_MAX);
	return last;
}
