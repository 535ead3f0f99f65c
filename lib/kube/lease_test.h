/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_test.h: an API server with one Lease, driven by hand, for the tests of lease.c.
 */
#pragma once

#include "base/test.h"
#include "kube/lease.h"

static const struct lease_settings settings = LEASE_DEFAULTS;
static int64_t now, wall = 1700000000123, wake;
attr_unused static double no_jitter(void *ctx attr_unused)
{
	return 0;
}

/* The API server's one Lease. */
static json_t *stored;
static int64_t rv;

attr_unused static void store(json_t *lease_new)
{
	auto_free char *version = xprintf("%" PRId64, ++rv);

	json_decref(stored);
	stored = lease_new;
	if (stored) {
		json_object_set_new(json_object_get(stored, "metadata"), "resourceVersion",
				    json_string(version));
	}
}

attr_unused static int serve(enum lease_do what, json_t *body)
{
	const char *sent = json_string_value(
		json_object_get(json_object_get(body, "metadata"), "resourceVersion"));
	const char *have = json_string_value(
		json_object_get(json_object_get(stored, "metadata"), "resourceVersion"));

	switch (what) {
	case LEASE_GET:
		return stored ? 200 : 404;
	case LEASE_CREATE:
		if (stored) {
			return 409;
		}
		store(json_deep_copy(body));
		return 201;
	case LEASE_UPDATE:
		if (!stored || !str_eq(sent, have)) {
			return stored ? 409 : 404;
		}
		store(json_deep_copy(body));
		return 200;
	default:
		return 0;
	}
}

attr_unused static const char *spec_str(const json_t *lease, const char *key)
{
	return json_string_value(json_object_get(json_object_get(lease, "spec"), key));
}

attr_unused static int64_t spec_int(const json_t *lease, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(lease, "spec"), key));
}

attr_unused static struct lease *make(const char *identity)
{
	return lease_create("vmgpu", "controller", identity, &settings, no_jitter, NULL);
}

attr_unused static void reset(void)
{
	store(NULL);
	now = 1000;
	rv = 10;
}

static json_t *body;
attr_unused static enum lease_do ask(struct lease *l)
{
	json_decref(take(body));
	return lease_next(l, now, wall, &body, &wake);
}

/* Asks, serves and answers without delay; what was done. */
attr_unused static enum lease_do step(struct lease *l)
{
	enum lease_do what = ask(l);

	if (what) {
		int status = serve(what, body);

		lease_answer(l, now, now, status, status < 300 ? stored : NULL);
	}
	return what;
}

/* Steps until nothing is to be done at this moment. */
attr_unused static void settle(struct lease *l)
{
	while (step(l)) {
	}
}

/* Asks, and no answer comes within the timeout. */
attr_unused static enum lease_do step_lost(struct lease *l, bool arrives)
{
	enum lease_do what = ask(l);
	int64_t sent = now;

	if (what) {
		if (arrives) {
			serve(what, body);
		}
		now += lease_timeout(l, now);
		lease_answer(l, now, sent, 0, NULL);
	}
	return what;
}

attr_unused static json_t *foreign(const char *holder, const char *renewed)
{
	return json_pack("{s:{s:s, s:s, s:{s:s}}, s:{s:s, s:i, s:s, s:s, s:i, s:s}}", "metadata",
			 "name", "controller", "namespace", "vmgpu", "labels", "team", "x", "spec",
			 "holderIdentity", holder, "leaseDurationSeconds", 15, "acquireTime",
			 renewed, "renewTime", renewed, "leaseTransitions", 6, "strategy",
			 "OldestEmulationVersion");
}
#define ANCIENT "2001-01-01T00:00:00.000000Z"
#define FAR_OFF "2099-01-01T00:00:00.000000Z"
