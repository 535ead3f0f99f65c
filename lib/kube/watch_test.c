/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of client-go's reflector (lists, positions, refusals, back-off), each on virtual time.
 * The test plays rim and API server: takes() is the request that the machine wants now, bytes go in
 * as they would from a socket.
 */
#include "kube/watch.h"

#include "base/test.h"

struct thing {
	struct obj obj;
	const char *color;
};
static const struct field thing_fields[] = {
	OBJ_METADATA,
	FIELD(struct thing, color, "color", TYPE_STR),
	{0},
};
static const struct type thing_type = {"Thing", sizeof(struct thing), thing_fields, obj_finish};
static const struct kube_kind thing = {
	.group = "test.io",
	.versions = "v2 v1",
	.kind = "Thing",
	.plural = "things",
	.namespaced = true,
	.type = &thing_type,
};
static const struct kube_kind labelled = {
	.group = "test.io",
	.versions = "v1",
	.kind = "Labelled",
	.plural = "labelleds",
	.namespaced = true,
	.type = &thing_type,
	.selector = "a=b,c in (d)",
};
static const struct kube_kind *const kinds[] = {&thing, &labelled, NULL};

static struct cache *c;
static struct watch *w;
static int64_t now, wake;
static double chance;
static struct err err;

static double roll(void *ctx attr_unused)
{
	return chance;
}

static void start_kind(const struct kube_kind *k, const char *field_selector)
{
	watch_destroy(w);
	cache_destroy(c);
	c = cache_create(kinds);
	cache_set_served(c, k, "v1");
	chance = 0;
	now = 1000000;
	w = watch_create(c, k, field_selector, roll, NULL);
}

static void start(void)
{
	start_kind(&thing, NULL);
}

/*
 * The request that is wanted now and gets opened: its query, "-" if that is empty; "" if none is.
 */
static const char *takes(void)
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

static int bytes(const char *text)
{
	return watch_bytes(w, now, text, strlen(text), &err);
}

static void says(const char *text)
{
	is_int(bytes(text), 0);
}

static void ends(void)
{
	watch_closed(w, now, false, NULL);
}

static void breaks(const char *reason)
{
	watch_closed(w, now, true, reason);
}

/* The next request is answered by this status and body, whole. */
static void answers(int http, int64_t retry_after, const char *body)
{
	watch_status(w, now, http, retry_after);
	if (bytes(body) < 0) {
		breaks(err.text);
	} else {
		ends();
	}
}

#define ITEM(name, rv, color)                                                                      \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u-" name               \
	"\",\"resourceVersion\":\"" rv "\"},\"color\":\"" color "\"}"
#define EVENT(type, name, rv, color)                                                               \
	"{\"type\":\"" type "\",\"object\":" ITEM(name, rv, color) "}\n"
#define BOOKMARK(rv)                                                                               \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv "\"}}}\n"
#define END(rv)                                                                                    \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv               \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, reason, message, details)                                                     \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","       \
	"\"message\":\"" message "\",\"reason\":\"" reason "\",\"details\":{" details              \
	"},\"code\":" code "}"
#define ERROR(code, reason, message, details)                                                      \
	"{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message, details) "}\n"
#define GONE STATUS("410", "Expired", "too old resource version: 5 (9)", "")
#define TOO_LARGE                                                                                  \
	STATUS("504", "Timeout", "Too large resource version: 5, current: 3",                      \
	       "\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","                              \
	       "\"message\":\"Too large resource version\"}],\"retryAfterSeconds\":1")
#define LIST_OF_(rv, cont, items)                                                                  \
	"{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"" rv                          \
	"\",\"continue\":\"" cont "\"},\"items\":[" items "]}"

#define STREAM_FROM(rv)                                                                            \
	"allowWatchBookmarks=true&resourceVersion=" rv "&resourceVersionMatch=NotOlderThan"        \
	"&sendInitialEvents=true&timeoutSeconds=300&watch=true"
#define WATCH_FROM(rv)                                                                             \
	"allowWatchBookmarks=true&resourceVersion=" rv "&timeoutSeconds=300&watch=true"

static const char *color(const char *name)
{
	const struct thing *t = cache_get(c, &thing, "n", name);

	return t ? t->color : NULL;
}

/* Streams a and b, up to resourceVersion 5; the stream stays open. */
static void start_synced(void)
{
	start();
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red") EVENT("ADDED", "b", "2", "red") END("5"));
	ok(watch_synced(w));
}

/* The same through a list, the stream refused; the watch from 5 is open. */
static void start_listed(void)
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

static void streamed_list(void)
{
	start();
	is_str(takes(), STREAM_FROM(""));
	is_str(takes(), "");
	is_int(wake, INT64_MAX);
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red"));
	is_str(color("a"), "red");
	ok(!watch_synced(w));
	ok(!cache_synced(c, &thing));
	says(EVENT("ADDED", "b", "2", "red") END("5"));
	ok(watch_synced(w));
	ok(cache_synced(c, &thing));
	is_str(watch_position(w), "5");
	/* The same stream goes on. */
	says(EVENT("MODIFIED", "a", "7", "blue"));
	is_str(color("a"), "blue");
	is_str(watch_position(w), "7");
	now += 300000;
	ends();
	is_str(takes(), WATCH_FROM("7"));
}

static void selectors(void)
{
	struct watch_request r;

	start_kind(&labelled, "metadata.name=x");
	ok(watch_wants(w, now, &r, &wake));
	is_str(r.query, STREAM_FROM("") "&labelSelector=a%3Db%2Cc%20in%20%28d%29"
					"&fieldSelector=metadata.name%3Dx");
}

static void timeouts_are_random(void)
{
	start();
	chance = 0.999;
	has(takes(), "timeoutSeconds=599&");
}

static void events_change_the_cache(void)
{
	start_synced();
	says(EVENT("ADDED", "c", "6", "red") EVENT("MODIFIED", "a", "7", "blue"));
	says(EVENT("DELETED", "b", "8", "red"));
	is_str(color("c"), "red");
	is_str(color("a"), "blue");
	ok(!color("b"));
	is_int(watch_counts(w)->events, 6);
}

static void refused_by_status(int http, const char *body)
{
	start();
	is_str(takes(), STREAM_FROM(""));
	answers(http, -1, body);
	is_str(takes(), "limit=500");
	answers(200, -1, LIST_OF_("5", "", ITEM("a", "3", "red")));
	ok(watch_synced(w));
	is_str(color("a"), "red");
	is_str(takes(), WATCH_FROM("5"));
}

static void stream_refused_by_status(void)
{
	refused_by_status(400, STATUS("400", "BadRequest", "no", ""));
	refused_by_status(422, STATUS("422", "Invalid", "sendInitialEvents: Forbidden", ""));
	refused_by_status(405, "method not allowed");
	refused_by_status(403, STATUS("403", "Forbidden", "no watch", ""));
}

static void stream_refused_by_an_error_event(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	/* As kube-apiserver 1.36 on etcd 3.4.23. */
	is_int(bytes(ERROR("500", "InternalError",
			   "the required storage feature RequestWatchProgress is disabled", "")),
	       -1);
	breaks(err.text);
	is_str(takes(), "limit=500");
}

static void stream_without_end_mark_is_given_up(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red"));
	/* A server that does not know sendInitialEvents sends plain bookmarks. */
	is_int(bytes(BOOKMARK("9")), -1);
	breaks(err.text);
	ok(!watch_synced(w));
	is_str(takes(), "limit=500");
}

static void stream_that_ends_before_its_end_mark_twice_is_given_up(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red"));
	now += 300000;
	ends();
	ok(!watch_synced(w));
	is_str(takes(), "");
	now = wake;
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	breaks("no byte for 90 s");
	now = wake + 100000;
	is_str(takes(), "limit=500");
}

static void list_goes_through_its_pages(void)
{
	start();
	takes();
	answers(400, -1, "");
	is_str(takes(), "limit=500");
	answers(200, -1, LIST_OF_("5", "t/1=", ITEM("a", "3", "red")));
	ok(!watch_synced(w));
	is_str(takes(), "continue=t%2F1%3D&limit=500");
	answers(200, -1, LIST_OF_("5", "t2", ITEM("b", "2", "red")));
	is_str(takes(), "continue=t2&limit=500");
	answers(200, -1, LIST_OF_("5", "", ITEM("c", "4", "red")));
	ok(watch_synced(w));
	is_int(cache_count(c, &thing), 3);
	is_int(watch_counts(w)->lists, 1);
	is_str(takes(), WATCH_FROM("5"));
}

static void first_pages(int pages)
{
	start();
	takes();
	answers(400, -1, "");
	for (int i = 0; i < pages; i++) {
		is_str(takes(), i ? "continue=t&limit=500" : "limit=500");
		answers(200, -1, LIST_OF_("5", "t", ITEM("a", "3", "red")));
	}
}

static void page_that_expires(void)
{
	first_pages(0);
	is_str(takes(), "limit=500");
	answers(410, -1, GONE);
	is_str(takes(), "");
	now = wake;
	is_str(takes(), "limit=500");
	for (int page = 1; page <= 3; page++) {
		first_pages(page);
		is_str(takes(), "continue=t&limit=500");
		answers(410, -1, GONE);
		/* As client-go's pager: at once, and without pages. */
		is_str(takes(), "-");
		answers(200, -1, LIST_OF_("8", "", ITEM("b", "3", "red")));
		ok(watch_synced(w));
		ok(!color("a"));
		ok(color("b"));
	}
}

static void gone_when_a_watch_opens(void)
{
	start_synced();
	now += 300000;
	ends();
	is_str(takes(), WATCH_FROM("5"));
	answers(410, -1, GONE);
	/* First for what is no older than what we saw. */
	is_str(takes(), STREAM_FROM("5"));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "9", "blue") END("12"));
	is_str(color("a"), "blue");
	ok(!color("b"));
	is_str(watch_position(w), "12");
}

static void gone_as_an_event(void)
{
	start_synced();
	now += 60000;
	says(EVENT("MODIFIED", "a", "7", "blue"));
	is_int(bytes(ERROR("410", "Expired", "too old", "")), -1);
	breaks(err.text);
	is_str(takes(), STREAM_FROM("7"));
	ok(watch_synced(w)); /* readers keep what they have */
	is_str(color("b"), "red");
}

static void gone_again_and_again_waits(void)
{
	int lists = 0;

	start_synced();
	bytes(ERROR("410", "Expired", "too old", ""));
	breaks(err.text);
	for (int64_t end = now + 300000; now < end; now += 100) {
		if (*takes()) {
			lists++;
			watch_status(w, now, 200, -1);
			says(EVENT("ADDED", "a", "3", "red") END("5"));
			is_int(bytes(ERROR("410", "Expired", "too old", "")), -1);
			breaks(err.text);
		}
	}
	ok(lists <= 25);
	ok(lists >= 10);
}

static void relist_falls_back_to_the_newest(const char *error, int http)
{
	start_synced();
	now += 300000;
	ends();
	takes();
	answers(410, -1, GONE);
	is_str(takes(), STREAM_FROM("5"));
	answers(http, -1, error);
	is_str(takes(), STREAM_FROM("")); /* at once */
	answers(http, -1, error);
	is_str(takes(), ""); /* but not for ever */
	ok(wake >= now + 800);
}

static void expired_or_too_large_relist_asks_for_the_newest(void)
{
	relist_falls_back_to_the_newest(GONE, 410);
	relist_falls_back_to_the_newest(TOO_LARGE, 504);
}

static void relist_without_streams(void)
{
	start_listed();
	is_int(bytes(ERROR("410", "Expired", "too old", "")), -1);
	breaks(err.text);
	/* From the watch cache: no limit. */
	is_str(takes(), "resourceVersion=5&resourceVersionMatch=NotOlderThan");
	answers(504, -1, TOO_LARGE);
	now += 1000; /* the Status said so */
	is_str(takes(), "limit=500");
	answers(200, -1, LIST_OF_("3", "", ITEM("a", "2", "past")));
	is_str(color("a"), "past");
	is_str(watch_position(w), "3");
	is_str(takes(), WATCH_FROM("3"));
}

static void watch_beyond_what_the_server_knows(void)
{
	/* etcd restored from a snapshot: resourceVersions begin again below ours. */
	start_synced();
	now += 300000;
	ends();
	takes();
	watch_status(w, now, 200, -1);
	is_int(bytes("{\"type\":\"ERROR\",\"object\":" TOO_LARGE "}"), -1);
	breaks(err.text);
	now += 1000;
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "1", "past") END("4"));
	is_str(color("a"), "past");
	is_str(watch_position(w), "4");
	ok(!color("b"));
}

static void synthetic_added_is_no_progress(void)
{
	start();
	takes();
	answers(400, -1, "");
	takes();
	/* An aggregated API without resourceVersions on its lists. */
	answers(200, -1, LIST_OF_("", "", ""));
	is_str(takes(), WATCH_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "b", "9", "red") EVENT("ADDED", "a", "3", "red"));
	is_str(watch_position(w), "");
	now += 2000;
	ends();
	is_str(takes(), WATCH_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "b", "9", "red") EVENT("MODIFIED", "a", "10", "blue"));
	is_str(watch_position(w), "10");
	says(EVENT("ADDED", "c", "11", "red"));
	is_str(watch_position(w), "11");
}

static void added_of_a_watch_from_a_version_is_progress(void)
{
	start_listed();
	says(EVENT("ADDED", "c", "9", "red"));
	is_str(watch_position(w), "9");
}

static void events_before_the_end_mark_are_no_position(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "90", "red") EVENT("MODIFIED", "a", "91", "blue"));
	ok(!watch_position(w));
	breaks("connection reset");
	now += 800;
	is_str(takes(), STREAM_FROM(""));
}

static void bookmark_moves_the_position(void)
{
	start_synced();
	says(BOOKMARK("1000"));
	is_str(watch_position(w), "1000");
	cache_wrote(c, &thing, "n", "a", "999");
	ok(cache_caught_up(c, &thing, "n", "a"));
}

static void bookmark_that_goes_back_is_looked_into(void)
{
	start_synced();
	says(BOOKMARK("1000") EVENT("MODIFIED", "a", "998", "blue"));
	is_str(watch_position(w), "1000");
	is_int(bytes(BOOKMARK("999")), -1);
	breaks(err.text);
	is_str(watch_position(w), "1000");
	is_str(takes(), "");
	now = wake;
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "past") END("10"));
	is_str(color("a"), "past");
	is_str(watch_position(w), "10");
	/* Once in ten minutes is enough: it may just be a server behind the others. */
	now += 599000;
	says(BOOKMARK("9"));
	now += 1000;
	is_int(bytes(BOOKMARK("9")), -1);
}

static void silence_is_looked_into(void)
{
	start_synced();
	now += 300000;
	ends();
	for (int i = 0; i < 2; i++) {
		is_str(takes(), WATCH_FROM("5"));
		watch_status(w, now, 200, -1);
		now += 90000;
		breaks("no byte for 90 s");
		is_str(takes(), "");
		now = wake;
	}
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "1", "past") END("2"));
	is_str(color("a"), "past");
	/* A server that sends no bookmarks: not every three minutes. */
	for (int i = 0; i < 4; i++) {
		now += 90000;
		breaks("no byte for 90 s");
		is_str(takes(), "");
		now = wake;
		is_str(takes(), WATCH_FROM("2"));
		watch_status(w, now, 200, -1);
	}
}

static void too_many_requests_keeps_the_position(void)
{
	start_synced();
	now += 300000;
	ends();
	is_str(takes(), WATCH_FROM("5"));
	answers(429, 7, STATUS("429", "TooManyRequests", "slow down", "\"retryAfterSeconds\":3"));
	is_str(takes(), "");
	is_int(wake, now + 7000);
	watch_hurry(w, now);
	is_str(takes(), "");
	is_int(wake, now + 7000);
	now = wake;
	is_str(takes(), WATCH_FROM("5"));
	/* As an event, without Retry-After. */
	watch_status(w, now, 200, -1);
	is_int(bytes(ERROR("429", "TooManyRequests", "slow down", "")), -1);
	breaks(err.text);
	is_str(takes(), "");
	ok(wake < now + 2000);
	now = wake;
	is_str(takes(), WATCH_FROM("5"));
}

static void too_many_requests_keeps_the_page(void)
{
	start();
	takes();
	answers(429, -1, "");
	is_str(takes(), "");
	is_int(wake, now + 800);
	now = wake;
	is_str(takes(), STREAM_FROM(""));
	answers(400, -1, "");
	takes();
	answers(200, -1, LIST_OF_("5", "t", ITEM("a", "3", "red")));
	takes();
	answers(429, 60, "");
	is_str(takes(), "");
	is_int(wake, now + 60000);
	now = wake;
	is_str(takes(), "continue=t&limit=500");
	answers(200, -1, LIST_OF_("5", "", ITEM("b", "3", "red")));
	is_int(cache_count(c, &thing), 2);
}

static void absurd_retry_after_is_bounded(void)
{
	start();
	takes();
	answers(429, 1000000000, "");
	is_str(takes(), "");
	is_int(wake, now + 600000);
}

static void failures_wait_ever_longer(void)
{
	int64_t want = 800;

	start();
	for (int i = 0; i < 10; i++) {
		is_str(takes(), STREAM_FROM(""));
		breaks("connection refused");
		is_str(takes(), "");
		is_int(wake - now, want);
		want = MIN(want * 2, 30000);
		now = wake;
	}
	has(watch_trouble(w), "connection refused");
	is_int(watch_trouble_since(w), 1000000);
}

static void jitter_up_to_twice(void)
{
	start();
	takes();
	chance = 0.5;
	breaks("x");
	is_str(takes(), "");
	is_int(wake - now, 1200);
}

static void two_healthy_minutes_forget_failures(void)
{
	start();
	for (int i = 0; i < 6; i++) {
		now = watch_wants(w, now, &(struct watch_request){0}, &wake) ? now : wake;
		takes();
		breaks("x");
	}
	is_str(takes(), "");
	is_int(wake - now, 25600);
	now = wake;
	takes();
	watch_status(w, now, 200, -1);
	says(END("5"));
	ok(!watch_trouble(w));
	is_int(watch_trouble_since(w), INT64_MAX);
	now += 60000;
	breaks("y");
	is_str(takes(), "");
	is_int(wake - now, 30000);
	now = wake;
	takes();
	watch_status(w, now, 200, -1);
	now += 120000;
	breaks("z");
	is_str(takes(), "");
	is_int(wake - now, 800);
}

static void recovery_elsewhere_ends_the_wait(void)
{
	start();
	for (int i = 0; i < 6; i++) {
		now = watch_wants(w, now, &(struct watch_request){0}, &wake) ? now : wake;
		takes();
		breaks("x");
	}
	is_str(takes(), "");
	watch_hurry(w, now);
	is_str(takes(), STREAM_FROM(""));
	breaks("x");
	is_str(takes(), "");
	is_int(wake - now, 800);
	/* But what fails here may not be the server: not more often than every 10 s. */
	watch_hurry(w, now);
	is_str(takes(), "");
	for (int i = 0; i < 5; i++) {
		now = wake;
		takes();
		breaks("x");
		is_str(takes(), "");
	}
	watch_hurry(w, now);
	ok(*takes());
}

static void watch_closed_at_once_is_bounded(void)
{
	int opened = 0;

	start_synced();
	now += 300000;
	ends();
	for (int64_t end = now + 600000; now < end; now++) {
		if (*takes()) {
			opened++;
			watch_status(w, now, 200, -1);
			ends();
		}
	}
	ok(opened <= 26);
	is_str(watch_position(w), "5");
	is_str(color("a"), "red");
}

static void watch_that_ends_in_time_reopens_at_once(void)
{
	start_synced();
	for (int i = 0; i < 100; i++) {
		says(BOOKMARK("5"));
		now += 300000;
		ends();
		is_str(takes(), WATCH_FROM("5"));
		watch_status(w, now, 200, -1);
	}
	is_int(watch_counts(w)->failures, 0);
}

static void server_errors_keep_the_position_three_times(void)
{
	start_synced();
	now += 300000;
	ends();
	for (int i = 0; i < 3; i++) {
		is_str(takes(), WATCH_FROM("5"));
		answers(500, -1, STATUS("500", "InternalError", "boom", ""));
		is_str(takes(), "");
		now = wake;
	}
	is_str(takes(), STREAM_FROM("5"));
	answers(503, -1, "<html>");
	is_str(takes(), "");
	now = wake;
	is_str(takes(), STREAM_FROM("5"));
}

static void network_errors_keep_the_position_for_ever(void)
{
	start_synced();
	for (int i = 0; i < 20; i++) {
		breaks("connection reset");
		is_str(takes(), "");
		now = wake;
		is_str(takes(), WATCH_FROM("5"));
		if (i % 2) {
			watch_status(w, now, 200, -1);
		}
	}
}

static void broken_stream(const char *text)
{
	start_synced();
	now += 300000;
	ends();
	takes();
	watch_status(w, now, 200, -1);
	if (bytes(text) == 0) {
		ends();
	} else {
		ok(*err.text);
		breaks(err.text);
	}
	ok(watch_trouble(w));
	is_str(watch_position(w), "5");
	is_int(cache_count(c, &thing), 2);
	is_str(takes(), "");
	is_int(wake - now, 800);
	now = wake;
	is_str(takes(), WATCH_FROM("5"));
	/* And a good stream is good again. */
	watch_status(w, now, 200, -1);
	says(EVENT("MODIFIED", "a", "7", "blue"));
	is_str(color("a"), "blue");
	ok(!watch_trouble(w));
}

static void what_is_no_stream_restarts_it(void)
{
	broken_stream("<html><body>It works!</body></html>");
	broken_stream("{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\"");
	broken_stream(EVENT("MODIFIED", "a\xff", "7", "blue"));
	broken_stream(EVENT("MODIFIED", "a\xc0\xaf", "7", "blue"));
	broken_stream("\"no object\"");
	broken_stream("{}}");
}

static void what_is_no_list_restarts_it(void)
{
	static const char *const bad[] = {"<html>", "", "{\"items\":[", "[]", "null"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		start();
		takes();
		answers(400, -1, "");
		takes();
		answers(200, -1, bad[i]);
		ok(!watch_synced(w));
		is_str(takes(), "");
		is_int(wake - now, 800);
	}
}

static void endless_error_body_is_cut(void)
{
	static char junk[4096];
	int fed = 0;

	memset(junk, 'x', sizeof(junk) - 1);
	start();
	takes();
	watch_status(w, now, 500, -1);
	while (bytes(junk) == 0) {
		ok(fed++ < 100);
	}
	breaks(err.text);
	is_str(takes(), "");
}

static void endless_object_is_cut(void)
{
	static char junk[65536];
	size_t fed = 0;

	memset(junk, 'x', sizeof(junk) - 1);
	start_synced();
	says("{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"color\":\"");
	while (bytes(junk) == 0) {
		ok((fed += sizeof(junk)) < 100 * MiB);
	}
	breaks(err.text);
	is_str(watch_position(w), "5");
	is_str(color("a"), "red");
}

static void stream_cut_at_any_byte_loses_nothing(void)
{
	static const char text[] = EVENT("MODIFIED", "a", "7", "\\u00e9\xc3\xa9")
		EVENT("DELETED", "b", "8", "red") EVENT("ADDED", "c", "9", "blue");
	static const char *const steps[] = {"5", "7", "8", "9"};

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		size_t seen = 0;

		start_synced();
		is_int(watch_bytes(w, now, text, cut, &err), 0);
		for (size_t i = 1; i < ARRAY_LEN(steps); i++) {
			auto_free char *rv = xprintf("\"%s\"},", steps[i]);
			const char *at = strstr(text, rv), *end = at ? strstr(at, "}\n") : NULL;

			seen += end && (size_t)(end + 1 - text) <= cut;
		}
		is_str(watch_position(w), steps[seen]);
		breaks("reset");
		now += 800;
		has(takes(), "resourceVersion=");
		watch_status(w, now, 200, -1);
		/* The server repeats what comes after the position. */
		says(seen < 1 ? EVENT("MODIFIED", "a", "7", "\\u00e9\xc3\xa9") : "");
		says(seen < 2 ? EVENT("DELETED", "b", "8", "red") : "");
		says(seen < 3 ? EVENT("ADDED", "c", "9", "blue") : "");
		is_str(color("a"), "\xc3\xa9\xc3\xa9");
		ok(!color("b"));
		is_str(color("c"), "blue");
	}
}

static void not_found_means_not_served(void)
{
	start_synced();
	now += 300000;
	ends();
	takes();
	answers(404, -1, "404 page not found");
	is_int(cache_count(c, &thing), 0);
	ok(!cache_version(c, &thing));
	ok(cache_synced(c, &thing));
	has(watch_trouble(w), "not served");
	ok(watch_synced(w)); /* readers need not wait for it */
	is_str(takes(), "");
	now = wake;
	is_str(takes(), STREAM_FROM(""));
	answers(404, -1, "");
	is_str(takes(), "");
	is_int(wake - now, 1600);
	now = wake;
	takes();
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "1", "red") END("2"));
	is_str(cache_version(c, &thing), "v1");
	ok(watch_synced(w));
	is_str(color("a"), "red");
}

static void unauthorized_is_told_and_asked_again(void)
{
	start();
	takes();
	answers(401, -1, STATUS("401", "Unauthorized", "Unauthorized", ""));
	has(watch_trouble(w), "401");
	is_str(takes(), "");
	now = wake;
	is_str(takes(), STREAM_FROM(""));
}

static void trouble_that_flickers_began_at_its_beginning(void)
{
	start_synced();
	now += 300000;
	ends();
	for (int i = 0; i < 5; i++) {
		now = *takes() ? now : wake;
		if (i) {
			takes();
		}
		watch_status(w, now, 200, -1);
		is_int(bytes("<html>"), -1);
		breaks(err.text);
		ok(watch_trouble_since(w) == 1300000);
		is_str(takes(), "");
		now = wake;
	}
}

static void broken_initial_stream_starts_over(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red") EVENT("ADDED", "b", "2", "red"));
	breaks("reset");
	now += 800;
	is_str(takes(), STREAM_FROM(""));
	watch_status(w, now, 200, -1);
	/* b has gone meanwhile, and no event says so. */
	says(EVENT("ADDED", "a", "3", "red") END("9"));
	ok(!color("b"));
}

static void versions_beyond_2_to_the_53(void)
{
	start();
	takes();
	watch_status(w, now, 200, -1);
	says(END("9007199254740993"));
	says(EVENT("ADDED", "a", "9007199254740995", "red"));
	is_str(watch_position(w), "9007199254740995");
	now += 300000;
	ends();
	is_str(takes(), WATCH_FROM("9007199254740995"));
}

static void unknown_events_are_passed_over(void)
{
	start_synced();
	says("{\"type\":\"SURPRISE\",\"object\":{\"metadata\":{\"name\":\"a\"}}}");
	says("{\"type\":\"ADDED\",\"object\":{\"kind\":\"Table\"}}");
	says(EVENT("MODIFIED", "a", "7", "blue"));
	is_int(cache_count(c, &thing), 2);
	is_str(color("a"), "blue");
}

static void what_follows_an_error_counts_for_nothing(void)
{
	start_synced();
	is_int(bytes(ERROR("410", "Expired", "too old", "") EVENT("MODIFIED", "a", "99", "blue")),
	       -1);
	breaks(err.text);
	is_str(color("a"), "red");
	is_str(watch_position(w), "5");
	/* Nor does an object as the body of an error. */
	now += 800;
	takes();
	answers(500, -1, ITEM("a", "99", "blue"));
	is_str(color("a"), "red");
	start();
	takes();
	watch_status(w, now, 200, -1);
	is_int(bytes(BOOKMARK("7") EVENT("ADDED", "a", "8", "blue") END("9")), -1);
	breaks(err.text);
	ok(!watch_synced(w));
	ok(!color("a"));
}

static void duplicates_and_lost_deletes(void)
{
	start_synced();
	says(EVENT("ADDED", "a", "3", "red") EVENT("ADDED", "a", "3", "red"));
	is_int(cache_count(c, &thing), 2);
	/* The DELETED of b got lost; a relist finds out. */
	is_int(bytes(ERROR("410", "Gone", "too old", "")), -1);
	breaks(err.text);
	now += 800;
	is_str(takes(), STREAM_FROM("5"));
	watch_status(w, now, 200, -1);
	says(EVENT("ADDED", "a", "3", "red") END("20"));
	ok(!color("b"));
}

static void late_calls_do_no_harm(void)
{
	start_synced();
	ends();
	ends();
	breaks("again");
	watch_hurry(w, now);
	w = watch_destroy(w);
	c = cache_destroy(c);
	ok(!w);
}

TESTS({"a first list is streamed, and the stream goes on as a watch", streamed_list},
      {"selectors are part of each request", selectors},
      {"a watch's timeout is random, 5 to 10 minutes", timeouts_are_random},
      {"events change the cache", events_change_the_cache},
      {"a stream refused by a status is replaced by a list", stream_refused_by_status},
      {"a stream refused by an ERROR event in a 200 (etcd 3.4) is replaced by a list",
       stream_refused_by_an_error_event},
      {"a server without initial-events-end gets a list at once",
       stream_without_end_mark_is_given_up},
      {"a stream that twice ends before its end mark is replaced by a list",
       stream_that_ends_before_its_end_mark_twice_is_given_up},
      {"a list goes through its pages", list_goes_through_its_pages},
      {"410 at page 1, 2, 3 or 4: the whole list at once", page_that_expires},
      {"410 when a watch opens: a list no older than what we saw", gone_when_a_watch_opens},
      {"410 as an ERROR event: the same, readers keep what they have", gone_as_an_event},
      {"410 again and again waits", gone_again_and_again_waits},
      {"a relist that is expired or too large asks for the newest, once at once",
       expired_or_too_large_relist_asks_for_the_newest},
      {"a relist without streams goes through the watch cache, then to the newest",
       relist_without_streams},
      {"a watch beyond what the server knows (restored etcd) lists the newest",
       watch_beyond_what_the_server_knows},
      {"synthetic ADDED events are no progress until another event",
       synthetic_added_is_no_progress},
      {"ADDED of a watch from a resourceVersion is progress",
       added_of_a_watch_from_a_version_is_progress},
      {"events before the end mark are no position", events_before_the_end_mark_are_no_position},
      {"a bookmark moves the position, and our writes are caught up", bookmark_moves_the_position},
      {"a bookmark that goes back is looked into, once in ten minutes",
       bookmark_that_goes_back_is_looked_into},
      {"two watches without a byte are looked into, once in ten minutes", silence_is_looked_into},
      {"429 keeps the position and obeys Retry-After", too_many_requests_keeps_the_position},
      {"429 keeps the page", too_many_requests_keeps_the_page},
      {"an absurd Retry-After is bounded", absurd_retry_after_is_bounded},
      {"failures wait 0.8 s x 2 to 30 s", failures_wait_ever_longer},
      {"jitter makes a wait up to twice as long", jitter_up_to_twice},
      {"two healthy minutes forget failures", two_healthy_minutes_forget_failures},
      {"recovery elsewhere ends the wait", recovery_elsewhere_ends_the_wait},
      {"a watch that is closed at once is bounded", watch_closed_at_once_is_bounded},
      {"a watch that ends in time reopens at once", watch_that_ends_in_time_reopens_at_once},
      {"server errors keep the position three times", server_errors_keep_the_position_three_times},
      {"network errors keep the position for ever", network_errors_keep_the_position_for_ever},
      {"HTML, half an object, bad UTF-8: the stream restarts after a wait",
       what_is_no_stream_restarts_it},
      {"what is no list restarts it after a wait", what_is_no_list_restarts_it},
      {"an endless error body is cut", endless_error_body_is_cut},
      {"an endless object is cut", endless_object_is_cut},
      {"a stream cut at any byte loses nothing", stream_cut_at_any_byte_loses_nothing},
      {"404 means not served, and is asked again", not_found_means_not_served},
      {"401 is told and asked again", unauthorized_is_told_and_asked_again},
      {"trouble that flickers began at its beginning",
       trouble_that_flickers_began_at_its_beginning},
      {"a broken initial stream starts over and misses no deletion",
       broken_initial_stream_starts_over},
      {"resourceVersions beyond 2^53", versions_beyond_2_to_the_53},
      {"unknown events and other kinds are passed over", unknown_events_are_passed_over},
      {"what follows an error counts for nothing", what_follows_an_error_counts_for_nothing},
      {"duplicates, and a lost DELETED found by a relist", duplicates_and_lost_deletes},
      {"late calls do no harm", late_calls_do_no_harm})
