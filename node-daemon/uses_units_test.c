/* SPDX-License-Identifier: Apache-2.0 */
/* uses_units_test.c: devices that change while they are used, and what is said of them. */
#include "node-daemon/uses_hand_test.h"

static void tell(size_t n)
{
	uses_units(u, cards, n, now);
}

static void not_ready(const char *why)
{
	cards[0].why = why;
	tell(1);
	cards[0].why = "";
}

/* The kubelet is asked about a pod whatever becomes of its device; the device itself is left alone
 * until it is ready. */
static void unready_while_held(void)
{
	begin_held();
	not_ready("its driver is gone");
	ok(look(0).healthy); /* to take it from the kubelet's list would end the pod's restarts */
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "");
	is_str(state(0), "returning");
	ok(!look(0).healthy);
	uses_beat(u, now);
	is_str(turn(), "");
	tell(1);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	not_ready("its driver is gone");
	uses_holders(u, "a", USES_NOBODY, NULL, now); /* of before */
	is_str(turn(), "");
	tell(1);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	tell(1); /* nothing is new */
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
}

static void unready_while_given(void)
{
	begin_free();
	allocate("c", "a", NULL);
	turn();
	not_ready("its driver is gone");
	is_int((turn(), wake), now + USES_SHOW_FIRST_MS);
	is_str(state(0), "given");
	begin_free();
	not_ready("it is being given back to nvidia");
	is_str(state(0), "free");
	ok(!look(0).healthy);
	allocate("c", "a", NULL);
	has(turn(), "refuse c: a: it cannot be given: it is being given back to nvidia");
	/* while it is looked at for a call */
	begin_held();
	allocate("d", "a", NULL);
	turn();
	not_ready("its driver is gone");
	is_str(turn(), "refuse d: a: its driver is gone; ");
}

static void another_place(void)
{
	begin_free();
	cards[0].place = "elsewhere";
	tell(1);
	is_str(state(0), "unproven");
	cards[0].place = "place-a";
	begin_held();
	cards[0].place = "elsewhere";
	tell(1);
	is_str(state(0), "held");
	cards[0].place = "place-a";
	begin_held();
	allocate("d", "a", NULL);
	turn();
	pods("a", NULL);
	turn();
	cards[0].place = "elsewhere";
	tell(1);
	has(turn(), "refuse d: a: another card stands there now");
	cards[0].place = "place-a";
	begin_free();
	allocate("c", "a", NULL);
	turn();
	cards[0].place = "elsewhere";
	tell(1);
	is_str(state(0), "given");
	cards[0].place = "place-a";
}

static void fail_reset(void)
{
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	uses_reset_done(u, "a", false, "", 1, "it burns", now);
	has(turn(), "record a dirty");
}

/* Other methods are tried at once, and the pauses begin anew. */
static void other_methods(void)
{
	begin_held();
	uses_beat(u, now);
	fail_reset();
	is_str(look(0).method, "unknown");
	now = wake;
	fail_reset();
	is_int(wake, now + 2 * USES_DIRTY_FIRST_MS);
	cards[0].methods = "bus";
	tell(1);
	fail_reset();
	is_int(wake, now + USES_DIRTY_FIRST_MS);
	cards[0].methods = "flr bus";
	tell(1);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	/* of what is free they change nothing */
	cards[0].methods = "bus";
	tell(1);
	cards[0].methods = "flr bus";
	is_str(turn(), "");
	is_str(state(0), "free");
	allocate("c", "a", NULL);
	turn();
	allocate("c", "a", NULL);
	fail_reset();
	is_int(wake, now + USES_DIRTY_FIRST_MS); /* it was clean meanwhile */
}

static void another_pod(void)
{
	begin_held();
	uses_beat(u, now);
	turn();
	pods("a", "q");
	is_str(turn(), "record a given n/q flr ok; ");
	uses_beat(u, now);
	turn();
	pods("a", "q");
	is_str(turn(), "");
}

static void what_is_busy(void)
{
	begin(2, NULL, 0);
	ok(!uses_busy(u, "a", &arena) && !uses_busy(u, "x", &arena));
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	is_str(turn(), "reset b; ");
	is_str(uses_busy(u, "b", &arena), "it is being reset");
	clean("b");
	turn();
	allocate("c", "a", "b");
	is_str(uses_busy(u, "b", &arena), "it is being given to a pod"); /* when a is, too */
	is_str(state(1), "free");
	uses_call_gone(u, "c");
	ok(!uses_busy(u, "b", &arena));
	allocate("c", "b", NULL);
	turn();
	is_str(uses_busy(u, "b", &arena), "it is being given to a pod");
	ok(!uses_busy(u, "a", &arena));
}

/* Whoever goes, the others are served. */
static void calls_among_others(void)
{
	begin(2, NULL, 0);
	turn();
	allocate("c", "a", NULL);
	allocate("d", "b", NULL);
	allocate("e", "x", NULL);
	has(turn(), "refuse e: x");
	uses_call_gone(u, "c");
	pods("a", NULL);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; holders b; ");
	allocate("f", "a", NULL);
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	is_str(turn(), "record a given flr ok; answer f a; ");
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	is_str(turn(), "reset b; ");
	clean("b");
	is_str(turn(), "record b given flr ok; answer d b; ");
}

/* The reason is that of the device that is not there yet. */
static void late_for_one(void)
{
	begin(2, NULL, 0);
	allocate("c", "a", "b");
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "reset a; ");
	clean("a");
	turn();
	now += USES_CALL_MS;
	has(turn(), "refuse c: b: nobody has said in time whether a process has it open");
}

static void times_of_asking(void)
{
	static const int64_t pauses[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};

	begin_free();
	allocate("c", "a", NULL);
	turn();
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		is_int(wake, now + pauses[i]);
		now = wake;
		is_str(turn(), "pods; ");
		pods("a", NULL);
		turn();
	}
	is_str(did, "holders a; ");
}

/* A kubelet that starts says nothing about who has had a device; what nobody had need not wait. */
static void young_kubelet(void)
{
	begin(1, NULL, 0);
	uses_kubelet(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_SOMEBODY, "process 1", now);
	is_str(turn(), "");
	tell(2); /* its list is not for a: that waits for its beat */
	is_str(turn(), "pods; ");
	pods("b", NULL);
	is_str(turn(), "holders b; ");
}

static void what_is_remembered(void)
{
	static const struct journal_reset bus = {"bus", 7, 9, TRI_FALSE};
	struct journal_use r = {"place-a", "a", "free", "n", "p", "boot-2", &bus, 0};

	begin(1, &r, 1);
	is_str(state(0), "unproven"); /* its reset had failed */
	ok(!look(0).reset_ok);
	is_int(look(0).ms, 7);
	is_int(look(0).at, 9);
	is_str(look(0).pod, "p");
	r.boot = "boot-1";
	begin(1, &r, 1);
	is_int(look(0).at, 0); /* of another clock */
	/* each record once: what comes to that place again is another card */
	tell(0);
	is_str(turn(), "record a free; ");
	tell(1);
	is_str(look(0).method, "");
	ok(!look(0).reset_ok && !look(0).ms);
	/* by boot */
	cards[0].methods = "";
	begin(1, &r, 1);
	turn();
	pods("a", NULL);
	turn();
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	is_str(turn(), "record a free boot ok; ");
	is_int(look(0).ms, 0);
	is_int(look(0).at, 0);
	cards[0].methods = "flr bus";
}

/* Two of everything: records, containers, devices. */
static void two_of_all(void)
{
	static const struct journal_reset flr = {"flr", 1, 2, TRI_TRUE};
	const struct journal_use rs[] = {
		{"place-a", "a", "free", "", "", "boot-2", &flr, 0},
		{"place-b", "b", "free", "", "", "boot-2", &flr, 0},
	};
	const char *a = "a", *b = "b";
	struct dpapi_ids each[] = {{&a, 1}, {&b, 1}};

	begin(2, rs, 2);
	is_str(state(0), "free");
	is_str(state(1), "free");
	is_str(turn(), "");
	allocate("c", "b", NULL);
	is_str(turn(), "record b given flr ok; answer c b; ");
	is_int(wake, now + USES_SHOW_FIRST_MS);
	uses_allocate(u, "d", "r", &(struct dpapi_asks){each, 2}, now);
	is_str(turn(), "pods; "); /* for the second */
	pods("b", NULL);
	is_str(turn(), "holders b; ");
	uses_holders(u, "b", USES_NOBODY, NULL, now);
	is_str(turn(), "reset b; ");
	clean("b");
	is_str(turn(), "record a given flr ok; record b given flr ok; answer d a b; ");
}

static void in_order(void)
{
	struct uses_unit many[40];
	char names[40][8];

	begin(0, NULL, 0);
	for (size_t i = 0; i < 40; i++) { /* each second one first, some twice */
		snprintf(names[i], sizeof(names[i]), "%02zu", (i * 2) % 40 + i / 20);
		many[i] = (struct uses_unit){names[i], names[i], "r", "", "flr", false};
	}
	many[39] = many[0];
	uses_units(u, many, 40, now);
	for (size_t i = 0; i < 39; i++) {
		auto_free char *want = xprintf("%02zu", i);

		is_str(look(i).id, want);
	}
	ok(!uses_each(u, 39, &(struct uses_view){0}));
	uses_units(u, many + 10, 10, now);
	turn();
	ok(uses_each(u, 9, &(struct uses_view){0}));
	ok(!uses_each(u, 10, &(struct uses_view){0}));
	is_str(look(0).id, "20");
}

/* The first of it stays as it was left when it is out of sight for a while, whoever hid it. */
static void vgpu_out_of_sight(void)
{
	static const struct uses_unit vgpu = {"a", "place-a", "r", "", "removal", false, true};

	for (int when = 0; when < 2; when++) {
		u = uses_create("boot");
		now = 1000;
		uses_units(u, &vgpu, 1, now);
		allocate("c", "a", NULL);
		is_str(turn(), "record a given; answer c a; ");
		now += USES_SHOW_FIRST_MS;
		is_str(turn(), "pods; ");
		pods("a", "pod");
		is_str(turn(), "record a given n/pod; ");
		uses_beat(u, now += 10000);
		is_str(turn(), "pods; ");
		if (when == 0) { /* while the pod has it, or after */
			uses_units(u, NULL, 0, now);
			pods(NULL, NULL);
		} else {
			pods(NULL, NULL);
			is_str(turn(), "holders a; ");
			uses_units(u, NULL, 0, now);
			uses_holders(u, "a", USES_NOBODY, "", now);
		}
		is_str(turn(), "");
		uses_units(u, &vgpu, 1, now);
		is_str(turn(), "pods; ");
		pods(NULL, NULL);
		is_str(turn(), "holders a; ");
		uses_holders(u, "a", USES_NOBODY, "", now);
		is_str(turn(), "reset a; ");
		uses_units(u, NULL, 0, now); /* that it is gone is its removal */
		uses_reset_done(u, "a", true, "removal", 0, "", now);
		is_str(turn(), "record a free; ");
		u = uses_destroy(u);
	}
}

/* It vanished while its pod had it, and its number shows still: that is no reason to keep it for ever. */
static void vgpu_that_vanished_with(size_t card_stays)
{
	struct uses_unit vgpu = {"a", "place-a", "r", "", "removal", false, true};

	u = uses_create("boot");
	now = 1000;
	uses_units(u, &vgpu, 1, now);
	allocate("c", "a", NULL);
	is_str(turn(), "record a given; answer c a; ");
	now += USES_SHOW_FIRST_MS;
	is_str(turn(), "pods; ");
	pods("a", "pod");
	is_str(turn(), "record a given n/pod; ");
	vgpu.why = "it is not there yet";
	uses_units(u, &vgpu, card_stays, now);
	is_str(turn(), "");
	uses_beat(u, now += 10000);
	is_str(turn(), "pods; ");
	pods(NULL, NULL);
	if (!card_stays) {
		is_str(turn(), "");
		uses_units(u, &vgpu, 1, now);
		is_str(turn(), "pods; ");
		pods(NULL, NULL);
	}
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, "", now);
	is_str(turn(), "reset a; ");
	uses_reset_done(u, "a", true, "removal", 0, "", now);
	is_str(turn(), "record a free removal ok; ");
	u = uses_destroy(u);
}

static void vgpu_that_vanished(void)
{
	vgpu_that_vanished_with(1);
	vgpu_that_vanished_with(0);
}

TESTS({"a vGPU that was out of sight is removed before the next one has it", vgpu_out_of_sight},
      {"one that vanished in use is free when its pod has ended", vgpu_that_vanished},
      {"of a device that is not ready its pods are asked for, and it is left alone",
       unready_while_held},
      {"what is not ready is not given", unready_while_given},
      {"another card is one that nobody knows, unless a pod has it", another_place},
      {"other methods of reset are tried at once", other_methods},
      {"another pod is recorded, the same is not", another_pod},
      {"what must not be touched", what_is_busy},
      {"calls come and go, the others are served", calls_among_others},
      {"a late call names the device that it waited for", late_for_one},
      {"a pod is looked for ever more slowly", times_of_asking},
      {"a young kubelet keeps only what somebody had", young_kubelet},
      {"what the journal remembers is shown", what_is_remembered},
      {"two records, two containers, two devices", two_of_all},
      {"devices stand in order, each once", in_order}, )
