/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch_test.h: plays rim and API server for the tests of watch.c: takes() is the request that the
 * machine wants now, bytes go in as they would from a socket.
 */
#pragma once

#include "base/test.h"
#include "kube/bodies_test.h"
#include "kube/thing_test.h"
#include "kube/watch.h"

attr_unused static const struct kube_kind labelled = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Labelled",
	.plural = "labelleds",
	.namespaced = true,
	.type = &thing_type,
	.selector = "a=b,c in (d)",
};
attr_unused static const struct kube_kind bare = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Bare",
	.plural = "bares",
	.metadata_only = true,
	.type = &thing_type,
};
static const struct kube_kind *const kinds[] = {&thing, &labelled, &bare, NULL};

static struct cache *c;
static struct watch *w;
static int64_t now, wake;
static double chance;
static struct err err;

attr_unused static double roll(void *ctx attr_unused)
{
	return chance;
}

attr_unused static void start_kind(const struct kube_kind *k, const char *field_selector)
{
	watch_destroy(w);
	cache_destroy(c);
	c = cache_create(kinds);
	cache_set_served(c, k, "v1");
	chance = 0;
	now = 1000000;
	w = watch_create(c, k, field_selector, roll, NULL);
}

attr_unused static void start(void)
{
	start_kind(&thing, NULL);
}

/*
 * The request that is wanted now and gets opened: its query, "-" if that is empty; "" if none is.
 */
attr_unused static const char *takes(void)
{
	static char *text;
	struct watch_request r;

	free(take(text));
	if (!watch_wants(w, now, &r, &wake)) {
		return "";
	}
	is_str(r.version, "v1");
	is_int(r.stream, strstr(r.query, "watch=true") != NULL);
	is_int(r.timeout_ms, r.stream ? 90000 : 300000);
	text = xstrdup(*r.query ? r.query : "-");
	watch_opened(w, now);
	return text;
}

attr_unused static int bytes(const char *text)
{
	return watch_bytes(w, now, text, strlen(text), &err);
}

attr_unused static void says(const char *text)
{
	is_int(bytes(text), 0);
}

attr_unused static void ends(void)
{
	watch_closed(w, now, false, NULL);
}

attr_unused static void breaks(const char *reason)
{
	watch_closed(w, now, true, reason);
}

/* The next request is answered by this status and body, whole. */
attr_unused static void answers(int http, int64_t retry_after, const char *body)
{
	watch_status(w, now, http, retry_after);
	if (bytes(body) < 0) {
		breaks(err.text);
	} else {
		ends();
	}
}

#define STREAM_FROM(rv)                                                                            \
	"allowWatchBookmarks=true&resourceVersion=" rv "&resourceVersionMatch=NotOlderThan"        \
	"&sendInitialEvents=true&timeoutSeconds=300&watch=true"
#define WATCH_FROM(rv)                                                                             \
	"allowWatchBookmarks=true&resourceVersion=" rv "&timeoutSeconds=300&watch=true"

attr_unused static const char *color(const char *name)
{
	const struct thing *t = cache_get(c, &thing, "n", name);

	return t ? t->color : NULL;
}

/* Streams a and b, up to resourceVersion 5; the stream stays open. */
attr_unused static void start_synced(void)
{
	start();
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red") EVENT("ADDED", "b", "2", "red") END("5"));
	ok(watch_synced(w));
}

/* The same through a list, the stream refused; the watch from 5 is open. */
attr_unused static void start_listed(void)
{
	start();
	takes();
	answers(400, -1, STATUS("400", "BadRequest", "sendInitialEvents is forbidden", ""));
	is_str(takes(), "limit=500");
	answers(200, -1, LIST_OF_("5", "", ITEM("a", "3", "red") "," ITEM("b", "2", "red")));
	ok(watch_synced(w));
	is_str(takes(), WATCH_FROM("5"));
	watch_status(w, now, 200, -1);
}
