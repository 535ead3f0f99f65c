/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of client-go's reflector on lists and positions, each on virtual time. */
#include "kube/watch_test.h"

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

/* A list asked for by the word for one object is answered 406, a stream by that for a list too. */
static void metadata_is_asked_for_by_the_right_word(void)
{
	struct watch_request r;

	start_kind(&bare, NULL);
	ok(watch_wants(w, now, &r, &wake));
	is_str(r.accept, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
	watch_opened(w, now);
	answers(400, -1, STATUS("400", "BadRequest", "sendInitialEvents is forbidden", ""));
	ok(watch_wants(w, now, &r, &wake));
	is_str(r.query, "limit=500");
	is_str(r.accept, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
	watch_opened(w, now);
	answers(200, -1,
		LIST_OF_("5", "", "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"3\"}}"));
	ok(watch_synced(w));
	ok(watch_wants(w, now, &r, &wake));
	is_str(r.query, WATCH_FROM("5"));
	is_str(r.accept, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
	start();
	ok(watch_wants(w, now, &r, &wake));
	ok(!r.accept);
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
	ok(watch_counts(w)->watches >= 1 && watch_counts(w)->watches < 10);
	ok(watch_counts(w)->bytes > 100 && watch_counts(w)->bytes < 10000);
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
	/* as servers said it before it had a cause */
	relist_falls_back_to_the_newest(
		STATUS("504", "Timeout", "Too large resource version: 5, current: 3", ""), 504);
}

static void other_timeouts_keep_the_position(void)
{
	static const char *const said[] = {
		STATUS("504", "Timeout", "the request timed out", ""),
		STATUS("500", "InternalError", "Too large resource version: 5", ""),
	};

	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		start_synced();
		now += 300000;
		ends();
		takes();
		answers(i ? 500 : 504, -1, said[i]);
		is_str(takes(), "");
		now = wake;
		is_str(takes(), WATCH_FROM("5"));
	}
}

/* At once, if the last time was half a minute ago. */
static void gone_rarely_waits_never(void)
{
	for (int less = 0; less < 2; less++) {
		start_synced();
		bytes(ERROR("410", "Expired", "too old", ""));
		breaks(err.text);
		is_str(takes(), STREAM_FROM("5"));
		watch_status(w, now, 200, -1);
		says(END("6"));
		now += WATCH_BACKOFF_MAX - less;
		bytes(ERROR("410", "Expired", "too old", ""));
		breaks(err.text);
		is_str(takes(), less ? "" : STREAM_FROM("6"));
	}
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

/* Nothing changes: a bookmark a minute, and the server ends each watch after the time that was asked
 * for. Of all that runs at rest only Leases ask oftener. */
static void a_day_of_rest(void)
{
	const int64_t end = 1000000 + 24 * 3600000LL;
	uint32_t changes;
	int asked = 0;

	start_synced();
	changes = (uint32_t)watch_counts(w)->events;
	while (now < end) {
		for (int minute = 0; minute < 5; minute++) {
			is_str(takes(), "");
			now += 60000;
			says(BOOKMARK("5"));
		}
		ends();
		is_str(takes(), WATCH_FROM("5"));
		watch_status(w, now, 200, -1);
		asked++;
	}
	is_int(asked, 24 * 12);
	is_int(watch_counts(w)->events - changes, asked * 5);
	is_str(color("a"), "red");
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

static void everything_is_counted(void)
{
	start_synced();
	is_int(watch_counts(w)->watches, 1);
	is_int(watch_counts(w)->lists, 0);
	is_int(watch_counts(w)->events, 3);
	is_int(watch_counts(w)->bytes,
	       strlen(EVENT("ADDED", "a", "3", "red") EVENT("ADDED", "b", "2", "red") END("5")));
	ends();
	is_int(watch_counts(w)->failures, 1); /* within a second */
	is_str(takes(), "");
	now = wake;
	is_str(takes(), WATCH_FROM("5"));
	is_int(watch_counts(w)->watches, 2);
	start_listed();
	is_int(watch_counts(w)->lists, 1);
	is_int(watch_counts(w)->watches, 2);
}

TESTS({"other timeouts keep the position", other_timeouts_keep_the_position},
      {"a position that expires rarely is no reason to wait", gone_rarely_waits_never},
      {"lists, watches, failures, events and bytes are counted", everything_is_counted},
      {"a first list is streamed, and the stream goes on as a watch", streamed_list},
      {"selectors are part of each request", selectors},
      {"metadata is asked for by the word for an object, or that for a list",
       metadata_is_asked_for_by_the_right_word},
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
      {"24 hours without a change: a watch every 5 minutes at most, and no list", a_day_of_rest},
      {"a bookmark that goes back is looked into, once in ten minutes",
       bookmark_that_goes_back_is_looked_into},
      {"two watches without a byte are looked into, once in ten minutes", silence_is_looked_into})
