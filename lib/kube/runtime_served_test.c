/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds are followed, and in which version: CRDs, discovery, and a feed's own 404. */
#include "kube/runtime_test.h"

/* --- kinds that come and go ------------------------------------------------------------------ */

static const struct kube_kind *const crd_and_things[] = {&crd, &thing, NULL};
static const struct kube_kind *const all_three[] = {&crd, &thing, &other, NULL};

static const char *version_of(const struct kube_kind *k)
{
	return cache_version(runtime_cache(r), k);
}

/* With these CRDs and what discovery lists, until it is ready. */
static void start_with(const char *crds, const char *things, const char *others)
{
	prepare(ADDED("a") END("5"));
	api.initial[CRDS] = crds;
	api.listed[THINGS] = things;
	api.listed[OTHERS] = others;
	START(.kinds = all_three, .crd_kind = &crd);
	wait_for(runtime_ready(r));
}

static void kind_is_followed_while_its_crd_is_there(void)
{
	prepare(NULL);
	START(.kinds = crd_and_things, .crd_kind = &crd);
	wait_for(runtime_ready(r)); /* that a kind is not there holds nothing up */
	ok(!version_of(&thing));
	is_int(api.n_asked, 1);
	has(buf_text(&api.asked[0]->headers), "accept: " DISCOVERY_ACCEPT "\n");
	has(buf_text(&api.streams[CRDS]->headers),
	    "accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1\n");
	api.initial[THINGS] = ADDED("a") END("5");
	api.listed[THINGS] = "v1";
	push(CRDS, THINGS_CRD("6"));
	wait_for(writes('a', false));
	has(api.streams[THINGS]->path, "/apis/test.io/v1/things?");
	has(buf_text(&api.streams[THINGS]->headers), "accept: application/json\n");
	has(api.writes[0]->path, "/apis/test.io/v1/");
	push(CRDS, CRD_EVENT("DELETED", "things.test.io", "7"));
	wait_for(api.streams[THINGS]->closed);
	is_int(cache_count(runtime_cache(r), &thing), 0);
	ok(!version_of(&thing));
	settle();
	is_int(api.n_writes, 1);
	/* And comes again. */
	push(CRDS, THINGS_CRD("8"));
	wait_for(writes('a', false) == 2);
}

static void crd_that_is_being_deleted_serves_nothing(void)
{
	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	is_str(version_of(&thing), "v2");
	push(CRDS, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"things.test.io\","
		   "\"resourceVersion\":\"6\",\"deletionTimestamp\":\"now\"}}}\n");
	wait_for(!version_of(&thing));
	settle();
	is_int(api.n_asked, 1); /* nobody need be asked */
}

static void first_version_of_ours_that_is_listed_is_followed(void)
{
	start_with(THINGS_CRD("3") OTHERS_CRD("3") END("5"), "v1 v2 v3", "v2 v3");
	is_str(version_of(&thing), "v2");
	wait_for(!version_of(&other)); /* in none that we know */
	settle();
	has(api.streams[THINGS]->path, "/apis/test.io/v2/things?");
	api.listed[THINGS] = "v1";
	api.listed[OTHERS] = "v1";
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "6"));
	push(CRDS, CRD_EVENT("MODIFIED", "others.test.io", "7"));
	wait_for(version_of(&other) && str_eq(version_of(&thing), "v1"));
	wait_for(strstr(api.streams[THINGS]->path, "/apis/test.io/v1/things?"));
}

/* A change of a CRD that discovery does not show yet. */
static void better_version_is_looked_for_once_more(void)
{
	int before;

	start_with(THINGS_CRD("3") END("5"), "v1", NULL);
	is_str(version_of(&thing), "v1");
	settle();
	turn_for(600);
	is_int(api.n_asked, 1); /* at rest */
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "6"));
	wait_for(api.n_asked == 2);
	api.listed[THINGS] = "v1 v2";
	wait_for(str_eq(version_of(&thing), "v2"));
	before = api.n_asked;
	turn_for(1200);
	is_int(api.n_asked, before);
}

static void lagging_discovery_is_asked_again_ever_later(void)
{
	int64_t pushed;
	int first, asked;

	start_with(END("5"), NULL, NULL);
	first = api.n_asked;
	push(CRDS, THINGS_CRD("6"));
	wait_for(api.n_asked == first + 6);
	for (int i = 1, wait_ms = 250; i < 6; i++, wait_ms *= 2) {
		ok(api.asked_at[first + i] - api.asked_at[first + i - 1] >= wait_ms);
	}
	ok(!version_of(&thing));
	api.listed[THINGS] = "v2";
	/* The next change of the CRD does not wait for the time, unless we were stopped for so long. */
	pushed = loop_now(loop);
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "7"));
	wait_for(writes('a', false));
	ok(api.asked_at[first + 6] - api.asked_at[first + 5] < 8000 ||
	   pushed - api.asked_at[first + 5] >= 8000);
	settle();
	asked = api.n_asked;
	turn_for(600);
	is_int(api.n_asked, asked); /* at rest */
}

static void no_pass_before_discovery_has_answered(void)
{
	prepare(ADDED("a") END("5"));
	api.initial[CRDS] = THINGS_CRD("3") OTHERS_CRD("3") END("5");
	api.listed[THINGS] = "v2";
	api.listed[OTHERS] = "v1";
	api.hold_asked = sees_others = true;
	START(.kinds = all_three, .crd_kind = &crd);
	wait_for(api.n_asked == 1 && cache_count(runtime_cache(r), &thing));
	settle();
	is_int(n_passes, 0);
	ok(!runtime_ready(r));
	has(runtime_trouble(r), "which kinds are served");
	tell(api.asked[0]);
	wait_for(n_passes);
	ok(runtime_ready(r));
	ok(passes[0].sees_others);
	is_int(api.opened[THINGS], 1); /* the guess was right */
}

static void discovery_that_fails_is_told_and_heals(void)
{
	prepare(ADDED("a") END("5"));
	api.initial[CRDS] = THINGS_CRD("3") END("5");
	api.listed[THINGS] = "v2";
	api.undiscovered_status = 503;
	api.undiscovered = "<html>away</html>";
	START(.kinds = crd_and_things, .crd_kind = &crd);
	wait_for(api.n_asked == 2); /* 0.8 s later */
	ok(api.asked_at[1] - api.asked_at[0] >= 800);
	has(runtime_trouble(r), "GET /apis");
	has(runtime_trouble(r), "503");
	ok(!runtime_ready(r));
	is_int(n_passes, 0);
	api.undiscovered_status = 0;
	api.undiscovered = "{\"kind\":\"APIGroupList\",\"groups\":[{\"name\":\"test.io\"}]}";
	wait_for(strstr(runtime_trouble(r) ?: "", "APIGroupList"));
	ok(!runtime_ready(r));
	api.undiscovered = NULL;
	wait_for(runtime_ready(r));
	ok(!runtime_trouble(r));
	wait_for(writes('a', false));
}

static void discovery_is_asked_at_once_when_the_server_is_back(void)
{
	int64_t back;

	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	wait_for(writes('a', false));
	settle();
	api.undiscovered_status = 503;
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "6"));
	wait_for(api.n_asked == 3); /* the next one would be 1.6 s later */
	has(runtime_trouble(r), "503");
	ok(runtime_ready(r)); /* as of any other stream that breaks */
	api.undiscovered_status = 0;
	back = loop_now(loop);
	runtime_wake(r, &thing, "n", "a"); /* whose write goes through */
	wait_for(!runtime_trouble(r));
	ok(api.asked_at[3] - api.asked_at[2] < 1600 || back - api.asked_at[2] >= 1600);
	is_str(version_of(&thing), "v2");
}

static void many_changes_ask_once_more(void)
{
	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	api.hold_asked = true;
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "6"));
	wait_for(api.n_asked == 2);
	for (int rv = 7; rv < 17; rv++) {
		auto_free char *event = xprintf(CRD_EVENT("MODIFIED", "things.test.io", "%d"), rv);

		push(CRDS, event);
		settle();
	}
	is_int(api.n_asked, 2);
	tell(api.asked[1]);
	wait_for(api.n_asked == 3);
	tell(api.asked[2]);
	settle();
	is_int(api.n_asked, 3);
	is_int(api.opened[THINGS], 1);
}

static void crd_of_others_asks_nothing(void)
{
	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	push(CRDS, CRD_EVENT("ADDED", "things.other.io", "6")
			   CRD_EVENT("MODIFIED", "things.other.io", "7")
				   CRD_EVENT("DELETED", "things.other.io", "8") BOOKMARK("9"));
	settle();
	is_int(api.n_asked, 1);
}

/* An API server that has just begun lists its kinds one after the other. */
static void feed_that_is_well_is_not_ended_by_discovery(void)
{
	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	api.listed[THINGS] = NULL;
	push(CRDS, CRD_EVENT("MODIFIED", "things.test.io", "6"));
	wait_for(api.n_asked == 4);
	is_str(version_of(&thing), "v2");
	is_int(api.opened[THINGS], 1);
	/* But by its own 404. */
	api.missing[THINGS] = true;
	srv_reset(api.streams[THINGS], NGHTTP2_INTERNAL_ERROR);
	wait_for(!version_of(&thing));
	settle();
	is_int(api.opened[THINGS], 2);
	api.missing[THINGS] = false;
	api.listed[THINGS] = "v1";
	wait_for(str_eq(version_of(&thing), "v1"));
}

static void not_found_asks_which_version_it_is_now(void)
{
	int before;

	start_with(THINGS_CRD("3") END("5"), "v2", NULL);
	before = api.n_asked;
	api.missing[THINGS] = true;
	srv_reset(api.streams[THINGS], NGHTTP2_INTERNAL_ERROR);
	wait_for(api.n_asked == before + 1);
	settle();
	/* It says what it said: the stream tries again, in 0.8 s. */
	ok(api.n_asked == before + 1 || loop_now(loop) - api.asked_at[before] >= 800);
	api.listed[THINGS] = "v1";
	wait_for(str_eq(version_of(&thing), "v1"));
}

/* The server of the others has not heard of their CRD yet, and says 404 for a moment. */
static void kind_that_comes_back_by_its_own_watch_wakes_all(void)
{
	int before;

	prepare(ADDED("a") END("5"));
	sees_others = true;
	api.initial[CRDS] = THINGS_CRD("3") OTHERS_CRD("3") END("5");
	api.listed[THINGS] = "v2";
	api.listed[OTHERS] = "v1";
	api.initial[OTHERS] = NULL;
	api.missing[OTHERS] = true;
	START(.kinds = all_three, .crd_kind = &crd);
	wait_for(writes('a', false));
	settle();
	ok(!passes[n_passes - 1].sees_others);
	api.missing[OTHERS] = false;
	before = api.opened[OTHERS];
	wait_for(api.opened[OTHERS] > before);
	before = n_passes;
	srv_begin(api.streams[OTHERS], 200, NULL);
	wait_for(cache_version(runtime_cache(r), &other));
	runtime_wake(r, &thing, "n", "a");
	settle();
	is_int(n_passes, before); /* what there is of them must be known first */
	push(OTHERS, EVENT("ADDED", "x", "4", "red") END("5"));
	wait_for(n_passes > before);
	ok(passes[before].name == 'a' && passes[before].sees_others);
	is_int(passes[before].others, 1);
	settle();
	is_int(n_passes, before + 1);
}

static void wake_made(const struct cache *c, const struct obj *old, const struct obj *now,
		      wake_fn *fn, void *ctx)
{
	(void)c;
	(void)old;
	if (now) {
		fn(ctx, now->ns, "made");
	}
}

static const struct plan_watch of_others[] = {{&other, wake_made}, {0}};
static const struct reconciler maker = {"maker", &thing, of_others, gather, plan, &other};
static const struct reconciler *const makers[] = {&maker, NULL};

/* None of them is there yet whose key could be woken. */
static void what_is_made_of_others_is_made_when_its_kind_comes(void)
{
	prepare(END("5"));
	api.initial[CRDS] = OTHERS_CRD("3") END("5");
	api.initial[OTHERS] = EVENT("ADDED", "x", "4", "red") END("5");
	api.listed[OTHERS] = "v1";
	START(.kinds = all_three, .crd_kind = &crd, .reconcilers = makers);
	wait_for(n_passes == 1 && passes[0].name == 'm');
	settle();
	is_int(n_passes, 1);
	api.listed[THINGS] = "v1";
	push(CRDS, THINGS_CRD("6"));
	wait_for(n_passes == 2 && passes[1].name == 'm');
}

TESTS({"what is made of others is made when its kind comes",
       what_is_made_of_others_is_made_when_its_kind_comes},
      {"a kind is followed while its CRD is there", kind_is_followed_while_its_crd_is_there},
      {"a CRD that is being deleted serves nothing", crd_that_is_being_deleted_serves_nothing},
      {"the first version of ours that discovery lists is followed",
       first_version_of_ours_that_is_listed_is_followed},
      {"a better version is looked for once more when a CRD has changed",
       better_version_is_looked_for_once_more},
      {"discovery that lags is asked again, ever later",
       lagging_discovery_is_asked_again_ever_later},
      {"no pass before discovery has answered", no_pass_before_discovery_has_answered},
      {"discovery that fails is told, and heals", discovery_that_fails_is_told_and_heals},
      {"discovery that failed is asked at once when the server is back",
       discovery_is_asked_at_once_when_the_server_is_back},
      {"many changes of CRDs ask once more", many_changes_ask_once_more},
      {"a CRD that is not of ours asks nothing", crd_of_others_asks_nothing},
      {"a feed that is well is not ended by discovery, but by its own 404",
       feed_that_is_well_is_not_ended_by_discovery},
      {"a 404 asks which version it is now", not_found_asks_which_version_it_is_now},
      {"a kind that comes back by its own watch wakes all",
       kind_that_comes_back_by_its_own_watch_wakes_all})