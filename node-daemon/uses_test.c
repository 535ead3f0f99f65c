/* SPDX-License-Identifier: Apache-2.0 */
/* uses_test.c: who has which device, by hand on virtual time. */
#include "node-daemon/uses_hand_test.h"

static void ordinary(void)
{
	begin_held();
	now += 10000;
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "");
	is_str(uses_busy(u, "a", &arena), "pod n/p has it");
	now += 10000;
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	is_str(state(0), "returning");
	is_str(look(0).pod, "p");
	is_str(look(0).resource, "r");
	has(uses_busy(u, "a", &arena), "taken back");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	is_str(uses_busy(u, "a", &arena), "it is being reset");
	now += 130;
	uses_reset_done(u, "a", true, "flr", 120, NULL, now);
	is_str(turn(), "record a free flr ok; ");
	is_str(look(0).method, "flr");
	is_int(look(0).ms, 120);
	is_int(look(0).at, now);
	is_str(look(0).pod, "");
	ok(look(0).healthy && look(0).reset_ok);
	ok(!uses_busy(u, "a", &arena));
	uses_beat(u, now);
	is_str(turn(), ""); /* nothing is held: nobody is asked */
}

/* Each of these is said about a call alone, at once. */
static void refused_at_once(void)
{
	static const char *const two[] = {"a", "a"};
	struct dpapi_ids twice = {(const char **)two, 2}, nothing = {NULL, 0};
	struct dpapi_asks asks = {&twice, 1};
	struct uses_unit bad = cards[0];

	begin_free();
	allocate("c", "x", NULL);
	has(turn(), "refuse c: x: there is no such device");
	uses_allocate(u, "c", "s",
		      &(struct dpapi_asks){&(struct dpapi_ids){(const char **)two, 1}, 1}, now);
	has(turn(), "refuse c: a: it is offered as r now, not as s");
	uses_allocate(u, "c", "r", &asks, now);
	has(turn(), "refuse c: a: it is asked for twice");
	asks.items = &nothing;
	uses_allocate(u, "c", "r", &asks, now);
	has(turn(), "refuse c: this Allocate names no device");
	bad.why = "bound to nvidia; order it";
	uses_units(u, &bad, 1, now);
	allocate("c", "a", NULL);
	has(turn(), "refuse c: a: it cannot be given: bound to nvidia; order it");
	uses_units(u, cards, 1, now);
	is_str(state(0), "free"); /* whatever was refused took nothing away */
	allocate("c", "a", NULL);
	is_str(turn(), "record a given flr ok; answer c a; ");
}

/* No pod has the device any more, nor a process; what follows when it is clean. */
static void is_taken_back(const char *then)
{
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), then);
}

/* The kubelet may be right, and our books not: what is ended is seen inside the call. */
static void ended_inside(void)
{
	begin_held();
	allocate("d", "a", NULL);
	is_str(turn(), "pods; ");
	is_int(wake, now + USES_CALL_MS);
	is_taken_back("record a given flr ok; answer d a; ");
	is_str(look(0).pod, "");
}

/* An Allocate that was void is followed by another for the same device, at any time. */
static void void_allocate(void)
{
	begin_free();
	allocate("c", "a", NULL);
	is_str(turn(), "record a given flr ok; answer c a; ");
	allocate("d", "a", NULL);
	is_str(turn(), "pods; ");
	is_taken_back("record a given flr ok; answer d a; ");
}

static void another_has_it(void)
{
	begin_held();
	allocate("d", "a", NULL);
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "refuse d: a: another pod has it; it can be had when that has ended; ");
	is_str(state(0), "held");
	/* a list that was asked for before the call says nothing about it */
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	allocate("e", "a", NULL);
	is_str(turn(), "");
	pods("a", NULL);
	is_str(turn(), "pods; ");
	pods("a", "p");
	has(turn(), "refuse e: a: another pod has it");
	/* and one that shows the last holder neither */
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	allocate("f", "a", NULL);
	pods("a", "p");
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
}

static void open_yet(void)
{
	begin_held();
	allocate("d", "a", NULL);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	for (int64_t waited = 0; waited < USES_PATIENCE_MS; waited += USES_AGAIN_MS) {
		is_str(turn(), "holders a; ");
		uses_holders(u, "a", USES_SOMEBODY, "process 7 (qemu)", now);
		is_str(turn(), "");
		is_int(wake, now + USES_AGAIN_MS);
		now += USES_AGAIN_MS;
		is_str(turn(), "pods; ");
		pods("a", NULL);
	}
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_SOMEBODY, "process 7 (qemu)", now);
	has(turn(), "refuse d: a: a process has it open, though no pod has it");
	is_str(look(0).why, "no pod has it, but process 7 (qemu) has it open; end that");
	ok(!look(0).healthy);
	is_int(wake, INT64_MAX); /* until the next beat */
	now += 10000;
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOT_KNOWN, "the eyes do not answer", now);
	is_str(turn(), "");
	is_str(state(0), "returning");
	is_str(look(0).why, "whether a process has it open is not known: the eyes do not answer");
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", "p"); /* it was listed no more for a moment only */
	is_str(turn(), "record a given n/p flr ok; ");
	is_str(state(0), "held");
	is_str(look(0).why, "");
}

static void silence_frees_nothing(void)
{
	begin_held();
	for (int i = 0; i < 100; i++) {
		now += 10000;
		uses_beat(u, now);
		is_str(turn(), "pods; ");
		uses_pods(u, NULL, "the kubelet is away", now);
		is_str(turn(), "");
		is_int(wake, INT64_MAX);
	}
	is_str(state(0), "held");
	allocate("d", "a", NULL);
	for (int i = 0; i < USES_CALL_MS / USES_AGAIN_MS; i++) {
		is_str(turn(), "pods; ");
		uses_pods(u, NULL, "the kubelet is away", now);
		is_str(turn(), "");
		now += USES_AGAIN_MS;
	}
	has(turn(), "refuse d: a: nobody can say which pod has it: the kubelet is away");
	is_str(state(0), "held");
}

/* Nobody answers anything: each call still has an end. */
static void calls_end(void)
{
	static const char *const says[] = {"nobody can say which pod has it",
					   "nobody has said in time whether a process",
					   "it is being reset"};

	for (size_t i = 0; i < 3; i++) {
		begin_held();
		allocate("d", "a", NULL);
		turn();
		if (i) {
			pods("a", NULL);
			turn();
		}
		if (i == 2) {
			uses_holders(u, "a", USES_NOBODY, NULL, now);
			turn();
		}
		is_int(wake, now + USES_CALL_MS);
		now = wake - 1;
		is_str(turn(), "");
		now++;
		has(turn(), says[i]);
		is_str(uses_busy(u, "a", &arena) ? "busy" : "", "busy");
		ok(i != 2 || !look(0).healthy);
	}
	clean("a"); /* late, and yet */
	is_str(turn(), "record a free flr ok; ");
	ok(look(0).healthy);
}

static void never_shown(void)
{
	int asks = 0;

	begin_free();
	allocate("c", "a", NULL);
	is_str(turn(), "record a given flr ok; answer c a; ");
	while (now < 1000 + USES_SHOW_MS) {
		now = wake;
		is_str(turn(), "pods; ");
		pods("a", NULL);
		turn();
		asks++;
	}
	ok(asks >= USES_SHOW_ASKS && asks < 12);
	is_str(did, "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
}

static void one_of_two_calls(void)
{
	begin_free();
	allocate("c", "a", NULL);
	allocate("d", "a", NULL);
	has(turn(), "record a given flr ok; answer c a; refuse d: a: another Allocate");
	/* and while it is looked at */
	allocate("e", "a", NULL);
	allocate("f", "a", NULL);
	has(turn(), "refuse f: a: another Allocate");
	uses_call_gone(u, "e");
	allocate("g", "a", NULL);
	pods("a", NULL);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	uses_call_gone(u, "g");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	uses_call_gone(u, "nobody");
}

/* All devices of a call, or none. */
static void two_devices(void)
{
	static const struct journal_reset bus = {"bus", 1, 2, TRI_FALSE};
	const struct journal_use r = {"place-a", "a", "free", "", "", "boot-2", &bus, 0};

	begin(2, &r, 1);
	allocate("c", "b", "a");
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; holders b; ");
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	is_str(turn(), "reset b; ");
	clean("b");
	is_str(turn(), "record b free flr ok; ");
	is_int(wake, now + USES_CALL_MS); /* still waits for a */
	allocate("d", "b", NULL);
	has(turn(), "refuse d: b: another Allocate");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	uses_reset_done(u, "a", false, "bus", 7, "it burns", now);
	has(turn(), "record a dirty bus failed; refuse c: a: after its last use it was not made "
		    "clean: it burns; it is tried again");
	is_str(state(0), "dirty");
	is_str(state(1), "free");
	allocate("e", "b", NULL);
	is_str(turn(), "record b given flr ok; answer e b; ");
}

static void dirty(void)
{
	static const int64_t pauses[] = {60000,	 120000,  240000,  480000,
					 960000, 1920000, 3600000, 3600000};

	begin_held();
	uses_beat(u, now);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		is_str(turn(), "reset a; ");
		uses_reset_done(u, "a", false, "bus", 7, "it burns", now);
		is_str(turn(), "record a dirty n/p bus failed; ");
		ok(!look(0).healthy);
		allocate("d", "a", NULL);
		has(turn(),
		    "refuse d: a: it is given to nobody: after its last use it was not made clean: it burns");
		uses_beat(u, now);
		is_str(turn(), "");
		is_int(wake, now + pauses[i]);
		now = wake;
		is_str(turn(), "pods; ");
		pods("a", NULL);
		is_str(turn(), "holders a; ");
		is_str(state(0), "dirty");
		uses_holders(u, "a", USES_NOBODY, NULL, now);
		has(look(0).why, "it burns");
	}
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	ok(look(0).healthy);
}

static void no_reset(void)
{
	struct uses_unit none = cards[0];

	none.methods = "";
	begin_held();
	uses_units(u, &none, 1, now);
	uses_beat(u, now);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "record a dirty n/p flr ok; ");
	is_str(look(0).why, "after its last use it was not made clean, since it has no reset; "
			    "restart the node, which cleans it");
	is_int(wake, INT64_MAX);
	uses_beat(u, now);
	is_str(turn(), "");
	uses_units(u, cards, 1, now); /* another driver, which knows one */
	is_str(turn(), "pods; ");
}

/* What the journal says, times the boot and whether it has a reset: what becomes of it without use. */
static void restored(void)
{
	static const struct journal_reset flr = {"flr", 1, 2, TRI_TRUE};
	static const struct {
		const char *state, *pod, *boot;
		bool reset; /* the card has one */
		const char *first, *end, *method;
	} rows[] = {
		{"given", "", "boot-2", true, "given", "given", "flr"},
		{"given", "p", "boot-2", true, "held", "free", "flr"},
		{"given", "p", "boot-2", false, "held", "dirty", "flr"},
		{"given", "p", "boot-1", true, "unproven", "free", "flr"},
		{"given", "p", "boot-1", false, "unproven", "free", "boot"},
		{"free", "", "boot-2", true, "free", "free", "flr"},
		{"free", "", "boot-1", true, "unproven", "free", "flr"},
		{"free", "", "boot-1", false, "unproven", "free", "boot"},
		{"dirty", "p", "boot-2", true, "dirty", "free", "flr"},
		{"dirty", "p", "boot-2", false, "dirty", "dirty", "flr"},
		{"dirty", "p", "boot-1", true, "unproven", "free", "flr"},
		{"dirty", "p", "boot-1", false, "unproven", "free", "boot"},
		{NULL, "", "", true, "unproven", "free", "flr"},
		{NULL, "", "", false, "unproven", "free", ""}, /* nobody had it */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct journal_use r = {"place-a",   "old",	   rows[i].state, "n",
					rows[i].pod, rows[i].boot, &flr,	  0};

		cards[0].methods = rows[i].reset ? "flr" : "";
		begin(1, &r, rows[i].state ? 1 : 0);
		is_str(state(0), rows[i].first);
		for (int k = 0; k < 6; k++) {
			turn();
			pods("a", NULL);
			uses_holders(u, "a", USES_NOBODY, NULL, now);
			clean("a");
		}
		is_str(state(0), rows[i].end);
		is_str(look(0).method, rows[i].method);
	}
	cards[0].methods = "flr bus";
}

/* A boot has cleaned what no reset does, unless a driver of the host has had it for long since. */
static void cleaned_by_boot(void)
{
	static const struct journal_use r = {"place-a", "a", "dirty", "n", "p", "boot-1", NULL, 0};

	for (int i = 0; i < 4; i++) {
		bool resets = i % 2, late = i / 2;

		cards[0].hosted = true;
		cards[0].why = "bound to nvidia";
		cards[0].methods = resets ? "bus" : "";
		begin(1, &r, 1);
		is_str(turn(), "");
		now = late ? USES_BOOT_MS + 1 : USES_BOOT_MS;
		uses_units(u, cards, 1, now);
		cards[0].hosted = false;
		cards[0].why = "";
		uses_units(u, cards, 1, now);
		is_str(turn(), "pods; ");
		pods("a", NULL);
		is_str(turn(), "holders a; ");
		uses_holders(u, "a", USES_NOBODY, NULL, now);
		if (resets) {
			is_str(turn(), "reset a; ");
			uses_reset_done(u, "a", false, "bus", 1, "not where it stands", now);
		}
		is_str(state(0), late ? "dirty" : "free");
		has(turn(), late ? "record a dirty n/p" : "record a free boot ok");
	}
	cards[0].methods = "flr bus";
}

/* What was free when we died, and went through other hands until we came back. */
static void hosted_meanwhile(void)
{
	static const struct journal_reset flr = {"flr", 1, 2, TRI_TRUE};
	const struct journal_use r = {"place-a", "a", "free", "", "", "boot-2", &flr, 0};

	cards[0].hosted = true;
	cards[0].why = "bound to nvidia";
	begin(1, &r, 1);
	is_str(turn(), "record a free; ");
	cards[0].hosted = false;
	cards[0].why = "";
	is_str(state(0), "unproven");
	uses_units(u, cards, 1, now);
	is_str(turn(), "pods; ");
}

/* A driver of the host has had it: whoever used it there left what he left. */
static void hosted(void)
{
	struct uses_unit host = cards[0];

	host.hosted = true;
	host.why = "bound to nvidia";
	begin_free();
	uses_units(u, &host, 1, now);
	is_str(turn(), "record a free; ");
	is_str(state(0), "unproven");
	ok(!look(0).healthy && !uses_busy(u, "a", &arena));
	uses_beat(u, now);
	is_str(turn(), "");
	uses_units(u, cards, 1, now);
	is_str(turn(), "pods; ");
}

static void unplugged(void)
{
	begin_free();
	uses_units(u, NULL, 0, now);
	is_str(turn(), "record a free; ");
	ok(!uses_each(u, 0, &(struct uses_view){0}));
	/* with a pod: until that is gone */
	begin_held();
	uses_units(u, NULL, 0, now);
	is_str(turn(), "");
	is_str(state(0), "held");
	allocate("d", "a", NULL);
	has(turn(), "refuse d: a: there is no such device");
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "record a dirty; "); /* a rescan of the bus may bring it back as it went */
	is_str(state(0), "unproven");
	/* while it is looked at for a call, and being reset */
	begin_held();
	allocate("d", "a", NULL);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	uses_units(u, NULL, 0, now);
	has(turn(), "refuse d: a: it is not there any more");
	uses_units(u, cards, 1, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), ""); /* one question at a time */
	clean("a");	    /* of the card that was */
	is_str(state(0), "unproven");
	is_str(turn(), "holders a; ");
}

/* One list, behind a long silence, is not enough. */
static void seldom_asked(void)
{
	begin_free();
	allocate("c", "a", NULL);
	turn();
	now += 100;
	is_str(turn(), "pods; ");
	uses_pods(u, NULL, "the kubelet is away", now);
	is_str(turn(), "");
	now += USES_SHOW_MS;
	uses_beat(u, now);
	for (int i = 0; i < USES_SHOW_ASKS; i++) {
		is_str(turn(), "pods; ");
		is_str(state(0), "given");
		pods("a", NULL);
		now = i + 1 < USES_SHOW_ASKS && !*turn() ? wake : now;
	}
	is_str(turn(), "holders a; ");
}

/* What was asked before the pod was seen again says nothing about the time after it. */
static void asked_before(void)
{
	begin_held();
	uses_beat(u, now);
	turn();
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_units(u, cards, 2, now); /* another card, for which the kubelet is asked */
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "record a given n/p flr ok; holders b; ");
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), ""); /* its first question is not answered yet */
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
}

static void late_answers(void)
{
	begin_held();
	uses_beat(u, now);
	turn();
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	allocate("d", "a", NULL); /* looks on */
	is_str(turn(), "");
	uses_beat(u, now);
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now); /* nobody asked */
	uses_reset_done(u, "b", true, "flr", 1, NULL, now);
	uses_pods(u, NULL, "nobody asked", now);
	is_str(turn(), "");
	clean("a");
	has(turn(), "answer d a");
}

static void kubelet_starts(void)
{
	begin_held();
	uses_kubelet(u, now);
	uses_kubelet(u, now - 60000); /* of its sockets, the last one counts */
	uses_beat(u, now);
	for (int64_t until = now + USES_KUBELET_MS; now < until; now = wake) {
		is_str(turn(), "pods; ");
		pods("a", NULL);
		is_str(turn(), "");
		is_str(state(0), "held");
	}
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
}

/* It waits for Allocate and starts no pod meanwhile, so it must not wait until its lists count. */
static void kubelet_starts_and_asks(void)
{
	begin_held();
	uses_kubelet(u, now);
	allocate("d", "a", NULL);
	is_str(turn(), "pods; ");
	is_taken_back("record a given flr ok; answer d a; ");
}

static void no_list_meanwhile(void)
{
	begin(2, NULL, 0);
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "record a given n/p; holders b; ");
	allocate("d", "b", NULL);
	now += 10000;
	uses_beat(u, now);
	is_str(turn(), "refuse d: b: nobody has said in time whether a process has it open; look "
		       "at the logs of vmgpu-node; pods; ");
	pods("a", "p");
	allocate("d", "b", NULL);
	uses_beat(u, now);
	is_str(turn(), "");
	is_int(wake, now + USES_CALL_MS);
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	is_str(turn(), "reset b; ");
	clean("b");
	is_str(turn(), "record b given flr ok; answer d b; pods; ");
}

static void not_recorded(void)
{
	begin(2, NULL, 0);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	turn();
	clean("a");
	clean("b");
	is_str(turn(), "record a free flr ok; record b free flr ok; ");
	allocate("c", "a", "b");
	for (int i = 0; i < 2; i++) {
		struct uses_work w;

		uses_next(u, now, &w, &wake);
		is_str(w.id, i ? "b" : "a");
	}
	uses_record_failed(u, "b", "the disk is full", now);
	is_str(turn(), "record a free flr ok; refuse c: b: what is given must be recorded before, "
		       "and is not: the disk is full; ");
	uses_beat(u, now);
	is_str(turn(), "record b free flr ok; ");
	allocate("c", "a", "b");
	has(turn(), "answer c a b");
}

static void many_calls(void)
{
	struct uses_work w;
	int most = 0, refused = 0;

	begin_held();
	for (int i = 0; i < USES_CALLS_MAX + 8; i++) {
		allocate("c", "a", NULL);
	}
	for (uses_next(u, now, &w, &wake); w.what == USES_REFUSE; uses_next(u, now, &w, &wake)) {
		refused++;
		most += strstr(w.text, "more than 64 Allocates are open") != NULL;
	}
	is_int(refused, USES_CALLS_MAX + 7);
	is_int(most, 8);
	is_int(w.what, USES_ASK_PODS); /* for the first */
}

TESTS({"given, held, returned, reset, free; the kubelet is asked while something is held",
       ordinary},
      {"what cannot be is refused at once", refused_at_once},
      {"an end that nobody noticed is noticed inside the next Allocate", ended_inside},
      {"an Allocate that was void stands in nobody's way", void_allocate},
      {"what another pod has is refused, by a list newer than the call", another_has_it},
      {"what a process has open stays, and is waited for a while", open_yet},
      {"silence frees nothing", silence_frees_nothing},
      {"every call has an end, with the reason", calls_end},
      {"a pod that never shows had it in vain", never_shown},
      {"a kubelet that was seldom heard proves nothing yet", seldom_asked},
      {"of two calls for one device one gets it", one_of_two_calls},
      {"a call gets all its devices or none", two_devices},
      {"what a reset did not clean is for nobody, until one does", dirty},
      {"what has no reset is for nobody", no_reset},
      {"what the journal says, over our death and the node's", restored},
      {"a boot cleans what no reset does", cleaned_by_boot},
      {"what a host driver had is looked at anew", hosted},
      {"so is what one had while we were dead", hosted_meanwhile},
      {"what is unplugged is forgotten when its pod is gone, if it went clean", unplugged},
      {"answers to questions of before are not heeded", asked_before},
      {"answers that nobody asked for neither", late_answers},
      {"the lists of a kubelet that starts say nothing about who is not in them", kubelet_starts},
      {"but it is not kept waiting for them", kubelet_starts_and_asks},
      {"while it waits for Allocate it is asked for nothing else", no_list_meanwhile},
      {"what cannot be recorded is not given", not_recorded},
      {"calls have a maximum", many_calls}, )
