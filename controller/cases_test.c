/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs cases/<plan>/<case>.yaml (format: cases/README.md): `given` into a cache, gather and plan,
 * compared with `then`. For every case it also proves
 *	fixpoint	carried out, the plan is empty
 *	crash, told	from any point, or from a status that tells a refusal, it ends the same
 *	order		the given objects in another order give the same plan
 *	secrets		none is written while the status says what it holds, or nothing of it
 *	words		what is said on the way, to the letter, stands in cases/words.txt
 *
 * cases_test [TEXT]: only cases whose path contains TEXT.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "controller/cases_world.h"
#include "controller/kinds.h"
#include "json/words_test.h"
#include "json/yaml.h"
#include "kube/intent.h"

#define CASES "controller/cases"
#define WORDS CASES "/words.txt"
#define MAX_RUN 12

static json_t *words; /* all that plans have said: its keys */

struct kase {
	const char *path;
	json_t *doc;
	struct options options;
	int64_t now_ms;
	const char *trouble; /* of the pass */
	bool made_up;	     /* it is ours: no word of it counts */
	json_t *last;	     /* of each object: where its last expected action stands in the plan */
	bool failed;
	const char *skipped; /* why */
};

static void complain(struct kase *k, const char *what)
{
	printf("# %s: %s\n", k->path, what);
	k->failed = true;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* --- comparing ----------------------------------------------------------------------------- */

static void show_difference(const char *at, const json_t *got, const json_t *want)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_object(got) && json_is_object(want)) {
		json_object_foreach((json_t *)want, key, v) {
			auto_free char *inner = xprintf("%s.%s", at, key);

			if (!json_equal(json_object_get(got, key), v)) {
				show_difference(inner, json_object_get(got, key), v);
			}
		}
		json_object_foreach((json_t *)got, key, v) {
			if (!json_object_get(want, key)) {
				auto_free char *extra =
					json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

				printf("#   %s.%s: unexpected %s\n", at, key, extra);
			}
		}
		return;
	}
	if (json_is_array(got) && json_is_array(want) &&
	    json_array_size(got) == json_array_size(want)) {
		json_array_foreach((json_t *)want, i, v) {
			auto_free char *inner = xprintf("%s[%zu]", at, i);

			if (!json_equal(json_array_get(got, i), v)) {
				show_difference(inner, json_array_get(got, i), v);
			}
		}
		return;
	}
	auto_free char *g = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS)
				: xstrdup("nothing");
	auto_free char *w = want ? json_dumps(want, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS)
				 : xstrdup("nothing");

	printf("#   %s: got %s, want %s\n", at, g, w);
}

static bool contains_all(const char *message, const json_t *want)
{
	json_t *part;
	size_t i;

	if (json_is_string(want)) {
		return message && strstr(message, json_string_value(want));
	}
	json_array_foreach((json_t *)want, i, part) {
		if (!contains_all(message, part)) {
			return false;
		}
	}
	return true;
}

static json_t *condition_in(const json_t *list, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c) {
		if (str_eq(text(c, "type"), type)) {
			return c;
		}
	}
	return NULL;
}

static void compare_condition(struct kase *k, const json_t *got, const json_t *want)
{
	const char *type = text(want, "type"), *key;
	json_t *v;

	if (!got) {
		auto_free char *what = xprintf("condition %s is missing", type);

		complain(k, what);
		return;
	}
	json_object_foreach((json_t *)want, key, v) {
		bool good = str_eq(key, "message") ? contains_all(text(got, key), v)
						   : json_equal(json_object_get(got, key), v);

		if (!good) {
			auto_free char *g = json_dumps(json_object_get(got, key), JSON_ENCODE_ANY),
				       *w = json_dumps(v, JSON_ENCODE_ANY);
			auto_free char *what =
				xprintf("condition %s: %s is %s, want %s", type, key, g, w);

			complain(k, what);
		}
	}
}

static void compare_conditions(struct kase *k, const json_t *got, const json_t *want)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)want, i, c) {
		compare_condition(k, condition_in(got, text(c, "type")), c);
	}
	json_array_foreach((json_t *)got, i, c) {
		if (!condition_in(want, text(c, "type"))) {
			auto_free char *what =
				xprintf("unexpected condition %s=%s %s: %s", text(c, "type"),
					text(c, "status"), text(c, "reason"), text(c, "message"));

			complain(k, what);
		}
	}
}

/* `any` stands for a value that is not empty. */
static bool equal_or_any(const json_t *got, const json_t *want)
{
	const char *key;
	json_t *v;

	if (json_is_string(want) && str_eq(json_string_value(want), "any")) {
		return !str_empty(json_string_value(got));
	}
	if (!json_is_object(want) || !json_is_object(got) ||
	    json_object_size(want) != json_object_size(got)) {
		return json_equal(got, want);
	}
	json_object_foreach((json_t *)want, key, v) {
		if (!equal_or_any(json_object_get(got, key), v)) {
			return false;
		}
	}
	return true;
}

static void compare_status(struct kase *k, const json_t *got, const json_t *want)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)want, key, v) {
		const json_t *g = json_object_get(got, key);

		if (str_eq(key, "conditions")) {
			compare_conditions(k, g, v);
		} else if (json_is_null(v) ? g != NULL && !json_is_null(g) : !equal_or_any(g, v)) {
			complain(k, "status differs");
			show_difference(key, g, v);
		}
	}
}

/* --- one run of a plan --------------------------------------------------------------------- */

static const struct reconciler *reconciler_of(const struct kase *k)
{
	const json_t *when = json_object_get(k->doc, "when");

	for (size_t i = 0; controller_reconcilers[i]; i++) {
		const struct kube_kind *kind = controller_reconcilers[i]->primary;

		if (str_eq(kind->kind, text(when, "kind"))) {
			return controller_reconcilers[i];
		}
	}
	return NULL;
}

static void load(struct kase *k, const json_t *world, struct cache *c)
{
	struct err err = {""};
	json_t *o;
	size_t i;

	cases_serve(c, controller_kinds, json_object_get(k->doc, "served"));
	json_array_foreach((json_t *)world, i, o) {
		if (cache_load_json(c, o, &err) < 0) {
			complain(k, err.text);
		}
	}
	cases_serve(c, controller_kinds, json_object_get(k->doc, "served"));
}

/* The plan's actions over a world, as JSON (cases_world.h). A new reference. */
static json_t *run_plan(struct kase *k, const json_t *world)
{
	const json_t *when = json_object_get(k->doc, "when");
	const struct reconciler *rec = reconciler_of(k);
	struct cache *c = cache_create(controller_kinds);
	struct arena arena;
	struct plan plan;
	struct pass pass;
	json_t *actions = NULL;
	const void *seen;

	arena_init(&arena, 64 * MiB);
	load(k, world, c);
	plan_init(&plan, &arena, c);
	pass = (struct pass){
		.arena = &arena,
		.cache = c,
		.kind = rec->primary,
		.term = 7,
		.key = {text(when, "namespace"), text(when, "name")},
		.now_ms = k->now_ms,
		.options = &k->options,
		.trouble = k->trouble,
	};
	seen = rec->gather(&pass);
	if (seen) {
		rec->plan(seen, &plan);
	}
	if (!k->made_up) {
		cases_words(&plan, text(when, "kind"), words);
	}
	actions = cases_actions(&plan);
	plan_finish(&plan);
	arena_finish(&arena);
	cache_destroy(c);
	return actions;
}

/* --- then ---------------------------------------------------------------------------------- */

/* The order between objects does not matter, that of actions on one object does: `then` is read
 * from its beginning. */
static void expect_order(struct kase *k, const char *what, const json_t *body, size_t index)
{
	json_t *target = str_eq(what, "apply") ? cases_target(body)
					       : json_incref(json_object_get(body, "target"));
	auto_free char *key = target ? json_dumps(target, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (key && json_integer_value(json_object_get(k->last, key)) > (json_int_t)index) {
		auto_free char *line = xprintf(
			"%s stands before an action on the same object that it must follow", what);

		complain(k, line);
	}
	if (key) {
		json_object_set_new(k->last, key, json_integer((json_int_t)index));
	}
	json_decref(target);
}

static json_t *find_action(struct kase *k, const json_t *actions, const char *what,
			   const json_t *like, const char *manager)
{
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)actions, i, a) {
		const json_t *body = json_object_get(a, what);

		if (!body || json_is_true(json_object_get(a, "matched"))) {
			continue;
		}
		if (str_eq(what, "apply") &&
		    (!str_eq(text(a, "manager"), manager) || !cases_same_object(body, like))) {
			continue;
		}
		if (str_eq(what, "event") && !str_eq(text(body, "reason"), text(like, "reason"))) {
			continue;
		}
		if ((str_eq(what, "merge") || str_eq(what, "delete")) &&
		    !cases_same_target(body, like)) {
			continue;
		}
		json_object_set_new(a, "matched", json_true());
		expect_order(k, what, body, i);
		return (json_t *)body;
	}
	return NULL;
}

static void expect_equal(struct kase *k, const char *what, const json_t *got, const json_t *want)
{
	if (!got) {
		auto_free char *w = json_dumps(want, JSON_COMPACT);
		auto_free char *line = xprintf("%s is missing: %.300s", what, w);

		complain(k, line);
	} else if (!json_equal(got, want)) {
		auto_free char *line = xprintf("%s differs", what);

		complain(k, line);
		show_difference("", got, want);
	}
}

static void expect_replace(struct kase *k, const json_t *actions, const json_t *given,
			   const json_t *want)
{
	json_t *target = cases_target(want),
	       *merge = find_action(k, actions, "merge", target, NULL);
	json_t *result = NULL;

	if (merge) {
		const json_t *body = json_object_get(merge, "body");

		if (!str_eq(text(json_object_get(body, "metadata"), "resourceVersion"),
			    text(json_object_get(want, "metadata"), "resourceVersion"))) {
			complain(k, "the patch does not carry the resourceVersion");
		}
		result = cases_merge_patch(cases_find(given, target), body);
	}
	expect_equal(k, "the KubeVirt CR", result, want);
	json_decref(result);
	json_decref(target);
}

static void expect_one(struct kase *k, const json_t *actions, const json_t *given,
		       const json_t *want)
{
	json_t *v;

	if ((v = json_object_get(want, "apply"))) {
		const char *manager = text(want, "manager") ? text(want, "manager") : "vmgpu";

		expect_equal(k, text(v, "kind"), find_action(k, actions, "apply", v, manager), v);
	} else if ((v = json_object_get(want, "delete"))) {
		if (!find_action(k, actions, "delete", v, NULL)) {
			complain(k, "a deletion is missing");
		}
	} else if ((v = json_object_get(want, "replace"))) {
		expect_replace(k, actions, given, v);
	} else if ((v = json_object_get(want, "merge"))) {
		json_t *like = json_object_get(v, "target"),
		       *got = find_action(k, actions, "merge", like, NULL);

		expect_equal(k, "merge", json_object_get(got, "body"), json_object_get(v, "body"));
	} else if ((v = json_object_get(want, "event"))) {
		json_t *got = find_action(k, actions, "event", v, NULL);

		if (!got || !str_eq(text(got, "type"), text(v, "type")) ||
		    !contains_all(text(got, "message"), json_object_get(v, "message"))) {
			auto_free char *g = got ? json_dumps(got, 0) : xstrdup("nothing"),
				       *w = json_dumps(v, 0);
			auto_free char *line = xprintf("event: got %s, want %s", g, w);

			complain(k, line);
		}
	} else if ((v = json_object_get(want, "status"))) {
		const json_t *patch = find_action(k, actions, "status", NULL, NULL);

		if (!patch) {
			complain(k, "no status is written");
		} else {
			json_t *o = cases_merge_patch(
				cases_find(given, json_object_get(k->doc, "when")),
				json_object_get(patch, "body"));

			compare_status(k, json_object_get(o, "status"), v);
			json_decref(o);
		}
	}
}

static void expect(struct kase *k, const json_t *actions, const json_t *given)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(k->doc, "then"), i, v) {
		expect_one(k, actions, given, v);
	}
	json_array_foreach((json_t *)actions, i, v) {
		if (!json_is_true(json_object_get(v, "matched")) && !json_object_get(v, "again")) {
			auto_free char *a = json_dumps(v, JSON_COMPACT);
			auto_free char *line = xprintf("unexpected action: %.600s", a);

			complain(k, line);
		}
	}
}

/* --- properties ---------------------------------------------------------------------------- */

static bool quiet(const json_t *actions)
{
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)actions, i, a) {
		if (!json_object_get(a, "event") && !json_object_get(a, "again")) {
			return false;
		}
	}
	return true;
}

/* Plans and carries out until nothing is left. The world at the end, or NULL with a complaint. */
static json_t *settle(struct kase *k, json_t *world_new, const char *what)
{
	for (int i = 0; i < MAX_RUN; i++) {
		json_t *actions = run_plan(k, world_new);
		bool done = quiet(actions);

		if (!done) {
			cases_carry_out(world_new, actions, json_array_size(actions),
					controller_kinds, json_object_get(k->doc, "when"));
		}
		if (!done && i == MAX_RUN - 1) {
			auto_free char *a = json_dumps(actions, JSON_COMPACT);
			auto_free char *line = xprintf("%s: never ends, still %.500s", what, a);

			complain(k, line);
		}
		json_decref(actions);
		if (done) {
			return world_new;
		}
	}
	json_decref(world_new);
	return NULL;
}

/* `again: status`: the pass after this one says more, and writes nothing else. */
static bool only_status(const json_t *actions)
{
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)actions, i, a) {
		if (!json_object_get(a, "status") && !json_object_get(a, "event") &&
		    !json_object_get(a, "again")) {
			return false;
		}
	}
	return true;
}

/* Carried out, the plan is empty, or as small as the case says. The world at the end; NULL with a
 * complaint. */
static json_t *prove_fixpoint(struct kase *k, const json_t *given, const json_t *actions)
{
	const char *mode = text(k->doc, "again");
	json_t *end = json_deep_copy(given), *again;
	bool good;

	cases_carry_out(end, actions, json_array_size(actions), controller_kinds,
			json_object_get(k->doc, "when"));
	again = run_plan(k, end);
	good = str_eq(mode, "any")	? !quiet(again)
	       : str_eq(mode, "status") ? only_status(again) && !quiet(again)
					: quiet(again);
	if (!good) {
		auto_free char *a = json_dumps(again, JSON_COMPACT);
		auto_free char *line =
			xprintf("fixpoint (again: %s): carried out, it still plans %.600s",
				mode ? mode : "nothing", a);

		complain(k, line);
	}
	json_decref(again);
	return settle(k, end, "fixpoint");
}

static void prove_crash(struct kase *k, const json_t *given, const json_t *actions,
			const json_t *end)
{
	/* A state that was never written made no transition: the times may differ where one more
	 * pass was needed. */
	bool times = !json_object_get(k->doc, "again");

	for (size_t cut = 0; cut < json_array_size(actions) && !k->failed; cut++) {
		json_t *world = json_deep_copy(given);

		cases_carry_out(world, actions, cut, controller_kinds,
				json_object_get(k->doc, "when"));
		world = settle(k, world, "crash");
		if (world && !cases_same_world(world, end, times)) {
			auto_free char *line =
				xprintf("crash after %zu actions ends otherwise", cut);

			complain(k, line);
			show_difference("", world, end);
		}
		json_decref(world);
	}
}

/* A pass may end anywhere, and the next one knows of Secrets what the status says. */
static void prove_secrets(struct kase *k, const json_t *given, const json_t *actions)
{
	const json_t *when = json_object_get(k->doc, "when");
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)actions, i, a) {
		const json_t *body = json_object_get(a, "apply"), *status;
		const char *name = text(json_object_get(body, "metadata"), "name"), *hash;
		json_t *world;

		if (!str_eq(text(body, "kind"), "Secret")) {
			continue;
		}
		world = json_deep_copy(given);
		cases_carry_out(world, actions, i, controller_kinds, when);
		status = json_object_get(cases_find(world, when), "status");
		hash = text(json_object_get(status, "secretsHash"), name);
		if (!str_eq(hash, "unknown")) {
			auto_free char *line =
				xprintf("Secret %s is written while the status says %s", name,
					hash ? hash : "nothing of it");

			complain(k, line);
		}
		json_decref(world);
	}
}

/* Of the plan, what the pass after a refusal sends (act.h, only_status). A new reference. */
static json_t *told_of(const json_t *actions)
{
	json_t *told = json_array(), *a;
	size_t i;

	json_array_foreach((json_t *)actions, i, a) {
		if (json_object_get(a, "status")) {
			json_array_append(told, a);
		}
	}
	return told;
}

/*
 * A refusal is told in a status that goes out alone. It must not count as done what was not done:
 * once nothing is refused any more, the real passes end where they end without it. And told twice,
 * nothing is written.
 */
static void prove_telling(struct kase *k, const json_t *given)
{
	const json_t *when = json_object_get(k->doc, "when");
	const char *trouble = text(k->doc, "trouble");
	json_t *told = json_deep_copy(given), *actions, *status, *end;

	k->trouble = trouble ? trouble : "refused";
	k->made_up = true;
	for (int i = 0; i < 2; i++) {
		actions = run_plan(k, told);
		status = told_of(actions);
		cases_carry_out(told, status, json_array_size(status), controller_kinds, when);
		if (i && json_array_size(status)) {
			auto_free char *s = json_dumps(status, JSON_COMPACT);
			auto_free char *line = xprintf("told again, it still writes %.500s", s);

			complain(k, line);
		}
		json_decref(status);
		json_decref(actions);
	}
	k->trouble = NULL;
	end = settle(k, json_deep_copy(given), "without a refusal");
	told = settle(k, told, "after a refusal");
	if (told && end && !cases_same_world(told, end, false)) {
		complain(k, "once told of a refusal, it ends otherwise");
		show_difference("", told, end);
	}
	json_decref(told);
	json_decref(end);
}

static void prove_order(struct kase *k, const json_t *given, const json_t *actions)
{
	json_t *other = json_array(), *o, *again;
	size_t i;

	json_array_foreach((json_t *)given, i, o) {
		json_array_insert(other, 0, o);
	}
	again = run_plan(k, other);
	json_array_foreach((json_t *)actions, i, o) {
		json_object_del(o, "matched");
	}
	if (!json_equal(again, actions)) {
		complain(k, "order: the given objects in another order give another plan");
		show_difference("", again, actions);
	}
	json_decref(again);
	json_decref(other);
}

/* --- a case -------------------------------------------------------------------------------- */

static void read_options(struct kase *k)
{
	const char *now = text(json_object_get(k->doc, "when"), "now");
	int64_t us = 0;

	cases_options(json_object_get(k->doc, "options"), &k->options);
	if (!now || clock_parse(now, &us) < 0) {
		complain(k, "when.now is no time");
	}
	k->now_ms = us / 1000;
}

/* An object that is said to show our body must show it: or a wrong body would pass for no action.
 */
static void prove_same(struct kase *k, const json_t *first)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(k->doc, "given"), i, o) {
		const json_t *body = cases_marked_same(o) ? cases_apply_for(first, o) : NULL;

		if (body && !cases_stands_in(o, body)) {
			auto_free char *line =
				xprintf("%s %s is said to be the same, and is not", text(o, "kind"),
					text(json_object_get(o, "metadata"), "name"));

			complain(k, line);
			show_difference("", o, body);
		}
	}
}

static void run_case(struct kase *k)
{
	const json_t *doc = json_object_get(k->doc, "given"),
		     *when = json_object_get(k->doc, "when");
	json_t *bare, *given, *first, *actions;

	read_options(k);
	k->trouble = text(k->doc, "trouble");
	if (!reconciler_of(k)) {
		k->skipped = "there is no plan for this kind yet";
		return;
	}
	/*
	 * `same` stands for what the plan itself would write: it is asked once without our marks,
	 * for the bodies, and once with them, for the status.
	 */
	bare = cases_without_same(doc);
	first = run_plan(k, bare);
	prove_same(k, first);
	json_decref(bare);
	bare = cases_with_intents(doc, first, controller_kinds);
	json_decref(first);
	first = run_plan(k, bare);
	given = cases_with_same(doc, bare, first, when);
	json_decref(first);
	json_decref(bare);
	actions = run_plan(k, given);
	expect(k, actions, given);
	if (!k->failed) {
		prove_order(k, given, actions);
	}
	if (!k->failed && !json_object_get(k->doc, "trouble")) {
		json_t *end = prove_fixpoint(k, given, actions);

		prove_secrets(k, given, actions);
		prove_crash(k, given, actions, end);
		json_decref(end);
	}
	if (!k->failed) {
		prove_telling(k, given);
	}
	json_decref(actions);
	json_decref(given);
}

static int yaml_files(const struct dirent *d)
{
	return str_ends(d->d_name, ".yaml");
}

static int plans(const struct dirent *d)
{
	return d->d_type == DT_DIR && d->d_name[0] != '.';
}

static void run_file(const char *path, size_t *n, bool *failed)
{
	struct kase k = {.path = path, .last = json_object()};
	struct err err = {""};
	json_t *docs = yaml_read_file(path, &err);

	if (!docs) {
		complain(&k, err.text);
	} else {
		k.doc = json_array_get(docs, 0);
		run_case(&k);
	}
	printf("%s %zu - %s: %s%s%s\n", k.failed ? "not ok" : "ok", ++*n, path + strlen(CASES) + 1,
	       k.doc ? text(k.doc, "about") : "unreadable", k.skipped ? " # SKIP " : "",
	       k.skipped ? k.skipped : "");
	*failed |= k.failed;
	json_decref(docs);
	json_decref(k.last);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	struct dirent **dirs, **files;
	bool failed = false;
	size_t n = 0;
	int nd = scandir(CASES, &dirs, plans, alphasort);

	words = json_object();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < nd; i++) {
		auto_free char *dir = xprintf("%s/%s", CASES, dirs[i]->d_name);
		int nf = scandir(dir, &files, yaml_files, alphasort);

		for (int j = 0; j < nf; j++) {
			auto_free char *path = xprintf("%s/%s", dir, files[j]->d_name);

			if (strstr(path, only)) {
				run_file(path, &n, &failed);
			}
			free(files[j]);
		}
		free(nf >= 0 ? files : NULL);
		free(dirs[i]);
	}
	free(nd >= 0 ? dirs : NULL);
	if (!words_are(WORDS, words, !*only)) {
		failed = true;
	}
	printf("%s %zu - what the plans say stands in " WORDS "\n", failed ? "not ok" : "ok",
	       n + 1);
	json_decref(words);
	return failed || n == 0;
}
