/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of client-go's reflector on failures and waits, each on virtual time. */
#include "kube/watch_test.h"

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
	is_str(watch_trouble(w), "watching things: connection refused");
	is_int(watch_trouble_since(w), 1000000);
	is_int(watch_counts(w)->failures, 10);
}

/* What a server may say to a stream with initial events, and whether that means that it has none. */
static void what_refuses_a_stream(void)
{
	static const struct {
		int status;
		bool refuses;
	} rows[] = {
		{399, false}, {400, true}, {401, false}, {403, true}, {407, true}, {408, false},
		{409, true},  {428, true}, {429, false}, {430, true}, {499, true}, {500, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start();
		takes();
		answers(rows[i].status, -1, "");
		is_str(takes(), rows[i].refuses ? "limit=500" : "");
		if (!rows[i].refuses) {
			now = wake;
			is_str(takes(), STREAM_FROM(""));
		}
	}
}

static void trouble_names_what_was_under_way(void)
{
	start();
	takes();
	answers(400, -1, "");
	is_str(takes(), "limit=500");
	answers(503, -1, "");
	is_str(watch_trouble(w), "listing things: the API server answered 503");
	is_str(takes(), "");
	now = wake;
	is_str(takes(), "limit=500");
	answers(500, -1, STATUS("500", "InternalError", "boom", ""));
	is_str(watch_trouble(w), "listing things: 500 InternalError: boom");
	is_str(takes(), "");
	now = wake;
	is_str(takes(), "limit=500");
	answers(200, -1, LIST_OF_("5", "", ITEM("a", "3", "red")));
	is_str(takes(), WATCH_FROM("5"));
	breaks(NULL);
	is_str(watch_trouble(w), "watching things: the connection broke");
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

/* To the millisecond. */
static void failures_are_forgotten_after_two_minutes(void)
{
	for (int less = 0; less < 2; less++) {
		start();
		takes();
		breaks("x");
		is_str(takes(), "");
		is_int(wake - now, 800);
		now += WATCH_HEALTHY_MS - less;
		takes();
		breaks("x");
		is_str(takes(), "");
		is_int(wake - now, less ? 1600 : 800);
	}
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
	/* after 10 s to the millisecond */
	for (int less = 1; less >= 0; less--) {
		int64_t hurried;

		start();
		takes();
		breaks("x");
		watch_hurry(w, now);
		hurried = now;
		ok(*takes());
		for (int i = 0; i < 6; i++) {
			breaks("x");
			is_str(takes(), "");
			now = wake;
			takes();
		}
		now = hurried + WATCH_HURRY_MS - less;
		breaks("x");
		watch_hurry(w, now);
		is_int(*takes() != 0, !less);
	}
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

/* 300 is no object either: its body may be anything, and is read to its end. */
static void redirect_is_an_error(void)
{
	start_synced();
	now += 300000;
	ends();
	is_str(takes(), WATCH_FROM("5"));
	watch_status(w, now, 300, -1);
	is_int(bytes("<html>"), 0);
	is_int(bytes("</html>"), 0);
	ends();
	is_str(takes(), "");
	has(watch_trouble(w), "300");
	is_str(watch_position(w), "5");
	now = wake;
	takes();
	answers(300, -1, ITEM("a", "99", "blue"));
	is_str(color("a"), "red");
	is_str(takes(), "");
	now = wake;
	takes();
	answers(300, -1, STATUS("300", "Many", "which of them", ""));
	is_str(watch_trouble(w), "watching things: 300 Many: which of them");
	is_int(watch_recovered(w), 0);
	/* what is below it is none */
	is_str(takes(), "");
	now = wake;
	takes();
	watch_status(w, now, 299, -1);
	says(EVENT("MODIFIED", "a", "9", "blue"));
	is_str(color("a"), "blue");
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
	ok(!watch_synced(w)); /* but now that it is there, for what there is of it */
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

/* The watch breaks, `tries` attempts fail, the last is answered after so many ms; now it is well. */
static int64_t away_for(int tries, int64_t answered_ms)
{
	start_synced();
	breaks("reset");
	for (int i = 0; i <= tries; i++) {
		is_int(watch_recovered(w), 0);
		is_str(takes(), "");
		now = wake;
		is_str(takes(), WATCH_FROM("5"));
		if (i < tries) {
			breaks("connection refused");
		}
	}
	now += answered_ms;
	watch_status(w, now, 200, -1);
	return watch_recovered(w);
}

static void recovery_tells_how_long_the_server_was_away(void)
{
	is_int(away_for(0, 0), 0); /* the wait of 800 ms was our own */
	is_int(away_for(1, 0), 800);
	is_int(away_for(2, 7), 800 + 1600 + 7);
	is_int(away_for(0, 5000), 5000);
	is_int(watch_recovered(w), 0); /* told once */
	ok(!watch_trouble(w));
}

static void flicker_is_no_time_away(void)
{
	start_synced();
	for (int i = 0; i < 8; i++) {
		breaks("reset");
		is_str(takes(), "");
		now = wake;
		is_str(takes(), WATCH_FROM("5"));
		watch_status(w, now, 200, -1);
		is_int(watch_recovered(w), 0);
	}
}

static void what_the_server_answers_is_no_time_away(void)
{
	/* The position has expired: a new list, which takes its time. */
	start_synced();
	now += 300000;
	ends();
	takes();
	answers(410, -1, GONE);
	is_str(takes(), STREAM_FROM("5"));
	watch_status(w, now, 200, -1);
	now += 7000;
	says(END("9"));
	is_int(watch_recovered(w), 0);
	/* A kind that comes hours later. */
	start();
	for (int i = 0; i < 200; i++) {
		takes();
		answers(404, -1, "");
		is_str(takes(), "");
		now = wake;
	}
	takes();
	watch_status(w, now, 200, -1);
	says(END("5"));
	ok(watch_synced(w));
	is_int(watch_recovered(w), 0);
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

TESTS({"an answer of 300 is an error like those above it", redirect_is_an_error},
      {"some answers mean that there are no streams with initial events", what_refuses_a_stream},
      {"trouble names what was under way", trouble_names_what_was_under_way},
      {"429 keeps the position and obeys Retry-After", too_many_requests_keeps_the_position},
      {"429 keeps the page", too_many_requests_keeps_the_page},
      {"an absurd Retry-After is bounded", absurd_retry_after_is_bounded},
      {"failures wait 0.8 s x 2 to 30 s", failures_wait_ever_longer},
      {"jitter makes a wait up to twice as long", jitter_up_to_twice},
      {"two minutes are two minutes", failures_are_forgotten_after_two_minutes},
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
      {"a recovery tells once how long the server was away",
       recovery_tells_how_long_the_server_was_away},
      {"a stream that flickers is no server that is away", flicker_is_no_time_away},
      {"410 and 404 are no server that is away", what_the_server_answers_is_no_time_away},
      {"late calls do no harm", late_calls_do_no_harm})
