/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event.h"

#include "base/test.h"

static const struct kube_kind vm = {
	.group = "apps.cozystack.io",
	.versions = "v1alpha1",
	.kind = "VMInstance",
	.plural = "vminstances",
	.namespaced = true,
};
static const struct kube_kind node = {
	.group = "vmgpu.io", .versions = "v1alpha1", .kind = "GPUNode", .plural = "gpunodes"};

static struct event_book *b;
static int64_t now, wake;
static struct event_write out;
static char *out_name;

static void start(size_t max)
{
	event_book_destroy(b);
	b = event_book_create("vmgpu.io/controller", "pod-1", max);
	now = 1000;
}

static void tell_of(const char *name, const char *reason, const char *note)
{
	struct event_about about = {&vm, NULL, "n", name, "uid-1"};

	event_tell(b, now, 1700000000000 + now, &about, true, reason, note);
}

static void tell(const char *note)
{
	tell_of("x", "GPUMissing", note);
}

/* The next write as sorted JSON, or "" when there is none now. Valid until the next call. */
static const char *next(void)
{
	static char *text;

	free(take(text));
	json_decref(take(out.body));
	if (!event_next(b, now, &out, &wake)) {
		return "";
	}
	free(out_name);
	out_name = xstrdup(out.name);
	return text = json_dumps(out.body, JSON_COMPACT | JSON_SORT_KEYS);
}

static const char *text_of(const char *key)
{
	return json_string_value(json_object_get(out.body, key));
}

/* Takes the next write and answers it; whether there was one. */
static bool send(int status)
{
	if (!*next()) {
		return false;
	}
	event_answered(b, now, status);
	return true;
}

static void an_event_is_complete(void)
{
	start(100);
	now = 123;
	tell("no node has it");
	is_str(next(),
	       "{\"action\":\"Reconcile\",\"apiVersion\":\"events.k8s.io/v1\","
	       "\"eventTime\":\"2023-11-14T22:13:20.123000Z\",\"kind\":\"Event\","
	       "\"metadata\":{\"name\":\"x.17979cfe3d7ed4c0\",\"namespace\":\"n\"},"
	       "\"note\":\"no node has it\",\"reason\":\"GPUMissing\","
	       "\"regarding\":{\"apiVersion\":\"apps.cozystack.io/v1alpha1\",\"kind\":\"VMInstance\","
	       "\"name\":\"x\",\"namespace\":\"n\",\"uid\":\"uid-1\"},"
	       "\"reportingController\":\"vmgpu.io/controller\",\"reportingInstance\":\"pod-1\","
	       "\"type\":\"Warning\"}");
	ok(!out.patch);
	is_str(out.ns, "n");
	is_str(out.name, "x.17979cfe3d7ed4c0");
	event_answered(b, now, 201);
	is_str(next(), "");
}

static void cluster_scoped_objects_events_live_in_default(void)
{
	struct event_about about = {&node, "v1alpha1", NULL, "gpu-a", NULL};

	start(100);
	event_tell(b, now, 1700000000000, &about, false, "R", "n");
	next();
	is_str(out.ns, "default");
	is_str(text_of("type"), "Normal");
	ok(!json_object_get(json_object_get(out.body, "regarding"), "namespace"));
}

static void one_write_at_a_time(void)
{
	start(100);
	tell("a");
	tell("b");
	ok(*next());
	is_str(next(), "");
	is_int(wake, INT64_MAX);
	event_answered(b, now, 201);
	ok(*next());
	is_str(text_of("note"), "b");
}

static void repetition_is_a_series(void)
{
	start(100);
	tell("a");
	ok(send(201));
	now += 5000;
	tell("a");
	is_str(next(),
	       "{\"series\":{\"count\":2,\"lastObservedTime\":\"2023-11-14T22:13:26.000000Z\"}}");
	ok(out.patch);
	event_answered(b, now, 200);
	for (int i = 0; i < 1000; i++) {
		now += 100;
		tell("a");
		ok(!send(200));
	}
	is_int(event_counts(b)->sent, 2);
}

static void repetition_while_it_is_on_its_way_begins_a_series(void)
{
	start(100);
	tell("a");
	ok(*next());
	tell("a");
	tell("a");
	event_answered(b, now, 201);
	is_str(next(),
	       "{\"series\":{\"count\":3,\"lastObservedTime\":\"2023-11-14T22:13:21.000000Z\"}}");
}

static void repetition_before_it_is_sent_is_one_write(void)
{
	start(100);
	tell("a");
	tell("a");
	ok(*next());
	is_int(json_integer_value(json_object_get(json_object_get(out.body, "series"), "count")),
	       2);
	event_answered(b, now, 201);
	ok(!send(200));
}

static void series_is_refreshed_every_30_minutes(void)
{
	int written = 0;

	start(100);
	tell("a");
	ok(send(201));
	for (int64_t end = now + 4 * 3600 * 1000; now < end; now += 60000) {
		tell("a");
		written += send(200);
	}
	is_int(written, 1 + 7);
}

static void quiet_series_is_written_once_more_and_forgotten(void)
{
	start(100);
	tell("a");
	ok(send(201));
	for (int i = 0; i < 5; i++) {
		now += 1000;
		tell("a");
		send(200);
	}
	is_int(event_counts(b)->sent, 2);
	is_str(next(), "");
	now = wake;
	for (int i = 0; i < 10; i++) {
		is_str(now < 6000 + 360000 ? next() : "", "");
		now += 60000;
	}
	has(next(), "\"count\":6");
	event_answered(b, now, 200);
	now += 60000;
	is_str(next(), "");
	is_int(wake, INT64_MAX);
	/* The same again is a new Event. */
	tell("a");
	ok(*next());
	ok(!out.patch);
}

static void what_is_quiet_for_six_minutes_is_forgotten(void)
{
	int64_t told;

	start(100);
	told = now;
	tell("a");
	ok(send(201));
	for (now = told + 60000; now < told + EVENT_IDLE_MS; now += 60000) {
		is_str(next(), "");
		is_int(wake, now + 60000);
	}
	is_int(now, told + EVENT_IDLE_MS);
	is_str(next(), "");
	is_int(wake, INT64_MAX);
}

static void similar_notes_are_folded(void)
{
	start(100);
	for (int i = 0; i < 20; i++) {
		auto_free char *note = xprintf("try %d", i);

		tell(note);
		send(201);
	}
	/* 10 of their own, one for the rest and its series. */
	is_int(event_counts(b)->sent, 12);
	is_int(event_counts(b)->dropped, 0);
	tell_of("x", "Other", "something else");
	ok(*next());
	is_str(text_of("note"), "something else");
}

static void combined_event_says_so(void)
{
	start(100);
	now = 100000000;
	for (int i = 0; i < 11; i++) {
		auto_free char *note = xprintf("try %d", i);

		tell(note);
		next();
		event_answered(b, now, 201);
	}
	is_str(text_of("note"), "(combined from similar events): try 10");
	now += 600001;
	tell("try 11");
	ok(*next());
	is_str(text_of("note"), "try 11");
}

static void object_cannot_flood(void)
{
	int sent = 0;

	start(1000);
	for (int i = 0; i < 100; i++) {
		auto_free char *reason = xprintf("Reason%d", i);

		tell_of("x", reason, "n");
		sent += send(201);
	}
	is_int(sent, 25);
	is_int(event_counts(b)->dropped, 75);
	/* Others may. */
	tell_of("y", "R", "n");
	ok(send(201));
	/* One more in five minutes. */
	now += 300000;
	tell_of("x", "R1", "n");
	ok(send(201));
	tell_of("x", "R2", "n");
	ok(!send(201));
}

static void unsent_event_is_tried_twelve_times(void)
{
	start(100);
	tell("a");
	for (int i = 0; i < 12; i++) {
		ok(send(i % 3 == 0 ? 0 : i % 3 == 1 ? 503 : 429));
		if (i < 11) {
			is_str(next(), "");
			is_int(wake - now, 10000);
			now = wake;
		}
	}
	is_str(next(), "");
	now += 20000;
	is_str(next(), "");
	is_int(event_counts(b)->dropped, 1);
}

static void failing_event_does_not_hold_up_others(void)
{
	start(100);
	tell("a");
	tell("b");
	ok(send(503));
	ok(*next());
	is_str(text_of("note"), "b");
}

/* 300 is no success, and what it says is final; 299 and 200 are. */
static void each_answer_is_one_of_three(void)
{
	static const struct {
		int status;
		bool again, dropped;
	} rows[] = {
		{0, true, false},   {199, false, true}, {200, false, false}, {299, false, false},
		{300, false, true}, {404, false, true}, {409, false, false}, {428, false, true},
		{429, true, false}, {430, false, true}, {499, false, true},  {500, true, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(100);
		tell("a");
		ok(send(rows[i].status));
		is_int(event_counts(b)->dropped, rows[i].dropped);
		is_str(next(), "");
		now += 10000;
		is_int(*next() != 0, rows[i].again);
	}
}

static void long_names_of_ours_are_cut(void)
{
	char name[131];

	for (size_t n = 127; n < 131; n++) {
		memset(name, 'p', n);
		name[n] = 0;
		event_book_destroy(b);
		b = event_book_create("vmgpu.io/controller", name, 100);
		tell_of("x", name, "n");
		ok(*next());
		is_int(strlen(text_of("reportingInstance")), MIN(n, (size_t)128));
		is_int(strlen(text_of("reason")), MIN(n, (size_t)128));
	}
}

static void refused_event_is_not_tried_again(void)
{
	start(100);
	tell("a");
	ok(send(403));
	tell("a");
	tell("a");
	ok(!send(201));
	is_int(event_counts(b)->dropped, 1);
}

static void refused_series_is_not_tried_again(void)
{
	start(100);
	tell("a");
	ok(send(201));
	tell("a");
	ok(send(403));
	for (int i = 0; i < 100; i++) {
		now += 60000;
		tell("a");
		ok(!send(200));
	}
}

static void tries_are_counted_anew_after_a_success(void)
{
	start(100);
	tell("a");
	for (int i = 0; i < 11; i++) {
		ok(send(503));
		now += 10000;
	}
	ok(send(201));
	tell("a");
	for (int i = 0; i < 11; i++) {
		ok(send(503));
		now += 10000;
	}
	ok(send(200));
	is_int(event_counts(b)->dropped, 0);
}

static void event_that_exists_already_has_arrived(void)
{
	start(100);
	tell("a");
	ok(send(0));
	now += 10000;
	ok(send(409));
	tell("a");
	ok(*next());
	ok(out.patch);
}

static void expired_event_is_created_anew(void)
{
	start(100);
	tell("a");
	ok(send(201));
	tell("a");
	ok(send(404));
	has(next(), "\"count\":2");
	ok(!out.patch);
}

static void long_note_is_cut_at_a_character(void)
{
	char note[1200];

	memset(note, 'a', sizeof(note));
	memcpy(note + 1023, "\xc3\xa9", 2);
	note[1199] = '\0';
	start(100);
	tell(note);
	next();
	is_int(strlen(text_of("note")), 1023);
}

/* A name is parts between dots, none of which may end in '-' or be empty. */
static void long_name_is_cut_to_a_name(void)
{
	char name[254];

	memset(name, 'a', sizeof(name));
	memcpy(name + 227, "-.-b", 4);
	name[253] = '\0';
	start(100);
	tell_of(name, "R", "n");
	next();
	name[227] = '\0';
	ok(str_starts(out_name, name));
	is_int(out_name[227], '.');
	ok(out_name[228] != '-' && out_name[228] != '.');
}

static void memory_is_bounded(void)
{
	start(50);
	for (int i = 0; i < 5000; i++) {
		auto_free char *name = xprintf("vm-%d", i);

		tell_of(name, "R", "n");
		if (i % 7 == 0) {
			send(201);
		}
	}
	is_int(event_counts(b)->told, 5000);
	for (int i = 0; i < 50; i++) {
		ok(send(201));
	}
	ok(!send(201));
	b = event_book_destroy(b);
	free(take(out_name));
}

static void queue_is_bounded(void)
{
	int sent = 0;

	start(EVENT_MAX);
	for (int i = 0; i < 1500; i++) {
		auto_free char *name = xprintf("vm-%d", i);

		tell_of(name, "R", "n");
	}
	is_int(event_counts(b)->dropped, 500);
	while (send(201)) {
		sent++;
	}
	is_int(sent, 1000);
}

static void longest_untouched_is_forgotten_first(void)
{
	start(2);
	tell_of("a", "R", "n");
	ok(send(201));
	tell_of("b", "R", "n");
	ok(send(201));
	tell_of("a", "R", "n");
	ok(send(200));
	tell_of("c", "R", "n"); /* b goes */
	ok(send(201));
	tell_of("a", "R", "n");
	ok(!send(200)); /* still a series */
	tell_of("b", "R", "n");
	ok(*next());
	ok(!out.patch);
}

static void flying_event_survives_the_flood(void)
{
	start(2);
	tell_of("a", "R", "n");
	ok(*next());
	for (int i = 0; i < 10; i++) {
		auto_free char *name = xprintf("vm-%d", i);

		tell_of(name, "R", "n");
	}
	is_str(out_name, out.name);
	event_answered(b, now, 201);
	json_decref(take(out.body));
	b = event_book_destroy(b);
	free(take(out_name));
}

TESTS({"an answer is a success, a refusal, or tried again", each_answer_is_one_of_three},
      {"instance and reason are cut to what the API server takes", long_names_of_ours_are_cut},
      {"an Event is complete, as events.k8s.io/v1 wants it", an_event_is_complete},
      {"Events about cluster-scoped objects live in default",
       cluster_scoped_objects_events_live_in_default},
      {"one write at a time", one_write_at_a_time},
      {"repetition is a series, written once", repetition_is_a_series},
      {"repetition while it is on its way begins a series",
       repetition_while_it_is_on_its_way_begins_a_series},
      {"repetition before it is sent is one write", repetition_before_it_is_sent_is_one_write},
      {"a series is refreshed every 30 minutes", series_is_refreshed_every_30_minutes},
      {"a quiet series is written once more and forgotten",
       quiet_series_is_written_once_more_and_forgotten},
      {"what is quiet for six minutes is forgotten", what_is_quiet_for_six_minutes_is_forgotten},
      {"more than ten similar notes are folded into one", similar_notes_are_folded},
      {"a combined Event says so, and the count starts again after ten minutes",
       combined_event_says_so},
      {"an object cannot flood: 25, then one in five minutes", object_cannot_flood},
      {"an Event that cannot be sent is tried twelve times", unsent_event_is_tried_twelve_times},
      {"a failing Event does not hold up others", failing_event_does_not_hold_up_others},
      {"a refused Event is not tried again", refused_event_is_not_tried_again},
      {"a refused series is not tried again", refused_series_is_not_tried_again},
      {"tries are counted anew after a success", tries_are_counted_anew_after_a_success},
      {"an Event that exists already has arrived", event_that_exists_already_has_arrived},
      {"an expired Event is created anew", expired_event_is_created_anew},
      {"a long note is cut at a whole character", long_note_is_cut_at_a_character},
      {"memory is bounded", memory_is_bounded}, {"at most 1,000 wait", queue_is_bounded},
      {"a long name is cut to what may be a name", long_name_is_cut_to_a_name},
      {"the longest untouched is forgotten first", longest_untouched_is_forgotten_first},
      {"an Event on its way survives a flood", flying_event_survives_the_flood})
