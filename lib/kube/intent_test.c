/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testdata/managed.json and overwritten.json were recorded from kube-apiserver 1.36.3 with the CRDs
 * of KubeVirt 1.9.0, CDI 1.66.0, Cluster API 1.14.0 and its KubeVirt and Kamaji providers, and
 * Flux: each body was applied with field manager vmgpu, and what the server then wrote is beside
 * it.
 */
#include "kube/intent.h"

#include "base/test.h"
#include "json/scan.h"

struct seen {
	struct obj obj;
};
static const struct field seen_fields[] = {OBJ_METADATA, {0}};
static const struct type seen_type = {sizeof(struct seen), seen_fields, obj_finish};
static struct kube_kind vm = {
	.group = "kubevirt.io",
	.versions = "v1",
	.kind = "VirtualMachine",
	.plural = "virtualmachines",
	.namespaced = true,
	.type = &seen_type,
};
static const struct kube_kind service = {.group = "",
					 .versions = "v1",
					 .kind = "Service",
					 .plural = "services",
					 .namespaced = true,
					 .builtin = true,
					 .type = &seen_type};
static const struct kube_kind secret = {.group = "",
					.versions = "v1",
					.kind = "Secret",
					.plural = "secrets",
					.namespaced = true,
					.builtin = true};
static const struct kube_kind *const kinds[] = {&vm, &service, &secret, NULL};

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	ok(json);
	return json;
}

static json_t *load(const char *file)
{
	auto_free char *path = xprintf("lib/kube/testdata/%s", file);
	json_t *json = json_load_file(path, 0, NULL);

	ok(json);
	return json;
}

static const char *text_of(const json_t *entry, const char *key)
{
	return json_string_value(json_object_get(entry, key));
}

/* A kind as far as intent.c looks at it. */
static struct kube_kind kind_of(const json_t *body)
{
	return (struct kube_kind){
		.kind = text_of(body, "kind"), .versions = "", .type = &seen_type};
}

static void computed_fields_are_what_the_server_wrote(void)
{
	json_t *all = load("managed.json"), *entry;
	size_t i;

	ok(json_array_size(all) >= 28);
	json_array_foreach(all, i, entry) {
		const json_t *body = json_object_get(entry, "body");
		struct kube_kind k = kind_of(body);
		struct buf text = {.max = MiB};

		intent_fields(&k, body, true, &text);
		if (!str_eq(buf_text(&text), text_of(entry, "fields"))) {
			printf("# %s\n", text_of(entry, "about"));
		}
		is_str(buf_text(&text), text_of(entry, "fields"));
		is_int(intent_owned(&k, body, true), type_hash(buf_text(&text), text.len));
		buf_finish(&text);
	}
	json_decref(all);
}

/* A user's own list may lack its keys: then by names before values, the shorter first. */
static void items_that_lack_their_keys(void)
{
	static const char list[] =
		"{\"spec\": {\"ports\": [{\"port\": \"a\"}, {\"protocol\": \"UDP\"}, {\"port\": 2}, "
		"{\"port\": 1, \"protocol\": \"UDP\"}, {\"port\": 1}]}}";
	static const char want[] =
		"{\"f:spec\":{\"f:ports\":{"
		"\"k:{\\\"port\\\":1,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}},"
		"\"k:{\\\"port\\\":1,\\\"protocol\\\":\\\"UDP\\\"}\":{\".\":{},\"f:port\":{},\"f:protocol\":{}},"
		"\"k:{\\\"port\\\":2,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}},"
		"\"k:{\\\"port\\\":\\\"a\\\",\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}},"
		"\"k:{\\\"protocol\\\":\\\"UDP\\\"}\":{\".\":{},\"f:protocol\":{}}}}}";
	json_t *body = json_loads(list, 0, NULL), *ports, *item;

	ok(body);
	ports = json_object_get(json_object_get(body, "spec"), "ports");
	/* in each order that a turn of the list gives, forth and back */
	for (size_t i = 0; i < 2 * json_array_size(ports); i++) {
		auto_buf struct buf text = {.max = MiB};

		intent_fields(&service, body, true, &text);
		is_str(buf_text(&text), want);
		item = json_incref(json_array_get(ports, 0));
		json_array_remove(ports, 0);
		json_array_insert_new(
			ports, i < json_array_size(ports) ? json_array_size(ports) : 1, item);
	}
	json_decref(body);
}

/* Of the built-in kinds what no plan writes today: api/openapi-spec says x-kubernetes-map-type. */
static void selectors_are_owned_whole(void)
{
	static const char spec[] = "{\"spec\": {\"selector\": {\"a\": \"b\"}, "
				   "\"dataSource\": {\"name\": \"n\"}, \"x\": {\"y\": 1}}}";
	static const struct {
		const char *kind, *fields;
	} rows[] = {
		{"PersistentVolumeClaim",
		 "{\"f:spec\":{\"f:dataSource\":{},\"f:selector\":{},\"f:x\":{\"f:y\":{}}}}"},
		{"Service", "{\"f:spec\":{\"f:dataSource\":{\"f:name\":{}},\"f:selector\":{},"
			    "\"f:x\":{\"f:y\":{}}}}"},
		{"ConfigMap", "{\"f:spec\":{\"f:dataSource\":{\"f:name\":{}},"
			      "\"f:selector\":{\"f:a\":{}},\"f:x\":{\"f:y\":{}}}}"},
	};
	json_t *body = json_loads(spec, 0, NULL);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct kube_kind k = {
			.kind = rows[i].kind, .versions = "", .type = &seen_type};
		auto_buf struct buf text = {.max = MiB};

		intent_fields(&k, body, true, &text);
		is_str(buf_text(&text), rows[i].fields);
	}
	json_decref(body);
}

/* What the scanner makes of an object with these managedFields, read in pieces of n bytes. */
static uint64_t received;
static void sink(void *ctx attr_unused, const struct scan_event *event)
{
	received = ((const struct obj *)event->object)->owned;
}

static uint64_t scanned(const char *managed, size_t n)
{
	auto_free char *text =
		xprintf("{\"metadata\": {\"managedFields\": %s, \"name\": \"x\"}}", managed);
	struct scan *s = scan_create(&seen_type, SCAN_OBJECT, sink, NULL);
	struct err err;

	received = 0;
	for (size_t at = 0, len = strlen(text); at < len; at += n) {
		is_int(scan_feed(s, text + at, MIN(n, len - at), &err), 0);
	}
	is_int(scan_end(s, &err), 0);
	scan_destroy(s);
	return received;
}

static void computed_and_received_fingerprints_are_the_same(void)
{
	json_t *all = load("overwritten.json"), *entry;
	size_t i;

	is_int(json_array_size(all), 4);
	json_array_foreach(all, i, entry) {
		const json_t *body = json_object_get(entry, "body");
		struct kube_kind k = kind_of(body);
		uint64_t want = intent_owned(&k, body, true);

		ok(want == scanned(text_of(entry, "applied"), 100000));
		ok(want == scanned(text_of(entry, "applied"), 7));
		ok(want == scanned(text_of(entry, "applied again"), 1));
		if (text_of(entry, "others added")) {
			ok(want == scanned(text_of(entry, "others added"), 64));
		}
	}
	json_decref(all);
}

static void foreign_overwrite_changes_the_fingerprint(void)
{
	json_t *all = load("overwritten.json"), *entry;
	size_t i;

	json_array_foreach(all, i, entry) {
		const json_t *body = json_object_get(entry, "body");
		struct kube_kind k = kind_of(body);
		uint64_t after = scanned(text_of(entry, "overwritten"), 100000);

		ok(after != 0);
		ok(after != intent_owned(&k, body, true));
		ok(after != intent_owned(&k, body, false));
	}
	json_decref(all);
}

static uint64_t hash_text(const char *text)
{
	json_t *json = parse(text);
	uint64_t h = intent_hash(&vm, json);

	json_decref(json);
	return h;
}

static void hash_is_of_the_meaning(void)
{
	uint64_t h = hash_text("{\"a\": 1, \"b\": {\"c\": [1, 2], \"d\": \"x\"}}");

	ok(h == hash_text("{\"b\": {\"d\": \"x\", \"c\": [1, 2]}, \"a\": 1}"));
	ok(h != hash_text("{\"a\": 1, \"b\": {\"c\": [2, 1], \"d\": \"x\"}}"));
	ok(h != hash_text("{\"a\": \"1\", \"b\": {\"c\": [1, 2], \"d\": \"x\"}}"));
	ok(h != hash_text("{\"a\": 1, \"b\": {\"c\": [1, 2], \"d\": \"y\"}}"));
	ok(h != hash_text("{\"a\": 1, \"b\": {\"c\": [1, 2], \"e\": \"x\"}}"));
	ok(h != hash_text("{\"a\": 1, \"b\": {\"d\": [1, 2], \"c\": \"x\"}}"));
	ok(hash_text("{\"a\": {}}") != hash_text("{\"a\": []}"));
	ok(hash_text("{\"a\": true}") != hash_text("{\"a\": false}"));
	ok(hash_text("{\"a\": null}") != hash_text("{}"));
	ok(hash_text("{\"a\": 1.5}") != hash_text("{\"a\": 2.5}"));
}

static void hash_never_changes_between_versions(void)
{
	/* Stored in every cluster: another value would make each start rewrite each object. */
	auto_free char *text = xprintf("%016" PRIx64, hash_text("{\"a\": 1, \"b\": [\"x\", {}]}"));

	is_str(text, "ec9be3a8563daa01");
}

#define META "\"metadata\": {\"name\": \"v\", \"namespace\": \"n\""

static void hash_leaves_out_what_is_no_wish(void)
{
	uint64_t h = hash_text("{" META "}, \"spec\": {\"x\": 1}}");

	ok(h == hash_text("{" META ", \"resourceVersion\": \"5\"}, \"spec\": {\"x\": 1}}"));
	ok(h == hash_text("{" META "}, \"spec\": {\"x\": 1, \"runStrategy\": \"Always\"}}"));
	ok(h != hash_text("{" META "}, \"spec\": {\"x\": 1, \"resourceVersion\": \"5\"}}"));
	ok(h != hash_text("{" META "}, \"runStrategy\": \"Always\", \"spec\": {\"x\": 1}}"));
}

static void stamping_twice_is_stamping_once(void)
{
	json_t *body = parse("{" META "}, \"spec\": {\"x\": 1}}"), *once;

	intent_stamp(&vm, body);
	once = json_deep_copy(body);
	intent_stamp(&vm, body);
	ok(json_equal(once, body));
	json_decref(once);
	json_decref(body);
}

static void shared_fields_are_left_out_alone(void)
{
	json_t *body =
		parse("{" META "}, \"spec\": {\"x\": {\"y\": 1}, \"runStrategy\": \"Always\"}}");
	struct buf text = {.max = KiB};

	intent_fields(&vm, body, true, &text);
	is_str(buf_text(&text), "{\"f:spec\":{\"f:runStrategy\":{},\"f:x\":{\"f:y\":{}}}}");
	buf_reset(&text);
	intent_fields(&vm, body, false, &text);
	is_str(buf_text(&text), "{\"f:spec\":{\"f:x\":{\"f:y\":{}}}}");
	buf_finish(&text);
	json_decref(body);
}

static struct cache *c;

/* The cluster after an apply of body that ended with this managedFields fingerprint. */
static void show(const json_t *body, uint64_t owned)
{
	struct seen s = {.obj = {.ns = "n", .name = "v", .uid = "u", .owned = owned}};

	s.obj.intent = json_string_value(
		json_object_get(json_object_get(json_object_get(body, "metadata"), "annotations"),
				INTENT_ANNOTATION));
	cache_put(c, &vm, &s);
}

static bool shown(const json_t *body)
{
	return intent_shown(c, &vm, cache_get(c, &vm, "n", "v"), body);
}

static void start(void)
{
	cache_destroy(c);
	c = cache_create(kinds);
}

static void shown_until_somebody_overwrites_it(void)
{
	json_t *body = parse("{" META "}, \"spec\": {\"x\": 1}}");
	json_t *other = parse("{" META "}, \"spec\": {\"x\": 2}}");

	start();
	intent_stamp(&vm, body);
	intent_stamp(&vm, other);
	ok(!shown(body));
	show(body, intent_owned(&vm, body, true));
	ok(shown(body));
	ok(!shown(other));
	show(body, 12345);
	ok(!shown(body));
	show(body, 0);
	ok(!shown(body));
	json_decref(body);
	json_decref(other);
}

static void body_without_a_stamp_is_never_shown(void)
{
	json_t *body = parse("{" META "}}");

	start();
	show(body, intent_owned(&vm, body, true));
	ok(!shown(body));
	json_decref(body);
}

static void shared_field_may_be_anybodys(void)
{
	json_t *body = parse("{" META "}, \"spec\": {\"x\": 1, \"runStrategy\": \"Always\"}}");

	start();
	intent_stamp(&vm, body);
	ok(intent_owned(&vm, body, true) != intent_owned(&vm, body, false));
	show(body, intent_owned(&vm, body, true));
	ok(shown(body));
	show(body, intent_owned(&vm, body, false));
	ok(shown(body));
	json_object_set_new(json_object_get(body, "spec"), "runStrategy", json_string("Halted"));
	ok(shown(body));
	json_decref(body);
}

static void wrong_guess_is_learned_from_the_answer(void)
{
	json_t *body = parse("{" META "}, \"spec\": {\"x\": 1}}");

	start();
	intent_stamp(&vm, body);
	show(body, 777);
	ok(!shown(body));
	intent_answered(c, &vm, body, cache_get(c, &vm, "n", "v"));
	ok(shown(body));
	/* And a foreign overwrite is noticed all the same. */
	show(body, 778);
	ok(!shown(body));
	/* A right guess forgets what was learned. */
	show(body, intent_owned(&vm, body, true));
	intent_answered(c, &vm, body, cache_get(c, &vm, "n", "v"));
	show(body, 777);
	ok(!shown(body));
	json_decref(body);
}

static void secret_is_remembered_while_the_program_runs(void)
{
	json_t *body = parse("{" META "}, \"data\": {\"a\": \"eA==\"}}");
	json_t *other = parse("{" META "}, \"data\": {\"a\": \"eQ==\"}}");

	start();
	intent_stamp(&secret, body);
	intent_stamp(&secret, other);
	ok(!intent_shown(c, &secret, NULL, body));
	intent_answered(c, &secret, body, NULL);
	ok(intent_shown(c, &secret, NULL, body));
	ok(!intent_shown(c, &secret, NULL, other));
	json_decref(body);
	json_decref(other);
	c = cache_destroy(c);
}

TESTS({"a selector is owned as a whole where its schema says so", selectors_are_owned_whole},
      {"items without their keys have their order too", items_that_lack_their_keys},
      {"the computed fields are what the API server wrote, 28 bodies",
       computed_fields_are_what_the_server_wrote},
      {"computed and received fingerprints are the same, however the bytes are cut",
       computed_and_received_fingerprints_are_the_same},
      {"a foreign overwrite changes the fingerprint", foreign_overwrite_changes_the_fingerprint},
      {"the hash is of the meaning, not of the order of keys", hash_is_of_the_meaning},
      {"the hash never changes between versions", hash_never_changes_between_versions},
      {"the hash leaves out what is no wish", hash_leaves_out_what_is_no_wish},
      {"stamping twice is stamping once", stamping_twice_is_stamping_once},
      {"an intent is shown until somebody overwrites it", shown_until_somebody_overwrites_it},
      {"a body without a stamp is never shown", body_without_a_stamp_is_never_shown},
      {"shared fields are left out, and they alone", shared_fields_are_left_out_alone},
      {"a shared field may be anybody's", shared_field_may_be_anybodys},
      {"a wrong guess is learned from the answer", wrong_guess_is_learned_from_the_answer},
      {"a Secret is remembered while the program runs",
       secret_is_remembered_while_the_program_runs})
