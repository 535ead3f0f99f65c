/* SPDX-License-Identifier: Apache-2.0 */
/* uses_fresh_test.c: what nobody ever had, what comes back as it went, and whose a reset was. */
#include "node-daemon/uses_hand_test.h"

static struct uses_unit one;

/* One card as cards[0] with these reset_methods, and what the journal says of it. */
static void begin_one(const char *methods, const struct journal_use *r)
{
	begin(0, NULL, 0);
	one = cards[0];
	one.methods = methods;
	uses_restore(u, r, r ? 1 : 0);
	uses_units(u, &one, 1, now);
}

static void plug(bool there)
{
	uses_units(u, &one, there, now);
}

static void hosted(bool is)
{
	one.hosted = is;
	one.why = is ? "bound to nvidia" : "";
	plug(true);
}

/* Nobody has it: neither a pod nor a process. What is done then. */
static const char *nobody(void)
{
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	return turn();
}

static void given_and_ended(void)
{
	allocate("c", "a", NULL);
	is_str(turn(), "record a given; answer c a; ");
	now += USES_SHOW_FIRST_MS;
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "record a given n/p; ");
	uses_beat(u, now);
}

static void without_reset(void)
{
	begin_one("", NULL);
	is_str(nobody(), "");
	is_str(state(0), "free");
	is_str(look(0).method, "");
	ok(look(0).healthy);
	given_and_ended();
	is_str(nobody(), "record a dirty n/p; "); /* now it was used */
	is_str(state(0), "dirty");
}

static void somebody_had_it(void)
{
	begin_one("", NULL); /* a process */
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_SOMEBODY, "process 1", now);
	is_str(turn(), "");
	uses_beat(u, now);
	is_str(nobody(), "record a dirty; ");
	begin_one("", NULL); /* nobody can say */
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_holders(u, "a", USES_NOT_KNOWN, "no answer", now);
	is_str(turn(), "");
	uses_beat(u, now);
	is_str(nobody(), "");
	is_str(state(0), "free");
	begin_one("", NULL); /* a pod */
	is_str(turn(), "pods; ");
	pods("a", "p");
	is_str(turn(), "record a given n/p; ");
	uses_beat(u, now);
	is_str(nobody(), "record a dirty n/p; ");
}

static void reset_that_fails(void)
{
	begin_one("bus", NULL);
	is_str(nobody(), "reset a; ");
	uses_reset_done(u, "a", false, "bus", 7, "no such thing", now);
	is_str(turn(), "");
	is_str(state(0), "free");
	is_str(look(0).method, "");
	is_int(look(0).at, 0);
	begin_one("bus", NULL); /* which hangs: that is no card to give */
	is_str(nobody(), "reset a; ");
	uses_suspect(u, "a");
	uses_suspect(u, "nobody");
	uses_reset_done(u, "a", false, "bus", 7, "it hangs", now);
	is_str(turn(), "record a dirty bus failed; ");
	begin_one("bus", NULL); /* one that works is one, and is owed from then on */
	is_str(nobody(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	hosted(true);
	is_str(turn(), "record a free; ");
	hosted(false);
	is_str(nobody(), "reset a; ");
	uses_reset_done(u, "a", false, "bus", 7, "no more", now);
	is_str(turn(), "record a dirty bus failed; ");
}

/* A host's driver had it all the time before we bound it. */
static void hosted_first(void)
{
	begin(0, NULL, 0);
	one = cards[0];
	one.methods = "";
	hosted(true);
	is_str(turn(), "");
	hosted(false);
	is_str(nobody(), "");
	is_str(state(0), "free");
	hosted(true); /* and again */
	is_str(turn(), "");
	is_str(state(0), "unproven");
	hosted(false);
	is_str(nobody(), "");
	is_str(state(0), "free");
	plug(false);
	is_str(turn(), ""); /* nothing is remembered of it */
	ok(!uses_each(u, 0, &(struct uses_view){0}));
}

/* Pulled out while a pod had it, or before it was clean: a rescan of the bus makes it no other card. */
static void back_as_it_went(void)
{
	static const struct journal_use dirty = {"place-a", "a",      "dirty", "n",
						 "p",	    "boot-2", NULL,    0};
	static const struct journal_use older = {"place-a", "a",      "given", "n",
						 "p",	    "boot-1", NULL,    0};

	begin_one("", NULL);
	is_str(nobody(), "");
	given_and_ended();
	plug(false);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "record a dirty; ");
	plug(true);
	is_str(nobody(), "record a dirty; ");
	begin_one("", &dirty); /* we have died meanwhile */
	is_str(state(0), "dirty");
	ok(!look(0).healthy);
	begin_one("flr", NULL);
	is_str(nobody(), "reset a; ");
	plug(false); /* just then */
	is_str(turn(), "");
	uses_reset_done(u, "a", false, "flr", 7, "it is not there any more", now);
	is_str(turn(), "");
	plug(true);
	is_str(nobody(), "reset a; ");
	begin_held();
	uses_beat(u, now);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "holders a; ");
	uses_units(u, NULL, 0, now);
	is_str(turn(), "record a dirty; ");
	uses_holders(u, "a", USES_NOBODY, NULL, now);
	uses_units(u, cards, 1, now);
	is_str(nobody(), "reset a; ");
	clean("a");
	is_str(turn(), "record a free flr ok; ");
	uses_units(u, NULL, 0, now); /* clean, it is forgotten */
	is_str(turn(), "record a free; ");
	ok(!uses_each(u, 0, &(struct uses_view){0}));
	begin_one("flr", &older); /* the boot has cleaned it */
	plug(false);
	is_str(turn(), "record a free; ");
	begin(0, NULL, 0); /* a vGPU that nobody has removed is only out of sight */
	one = cards[0];
	one.vgpu = true;
	plug(true);
	given_and_ended();
	plug(false);
	is_str(turn(), "pods; ");
	pods("a", NULL);
	is_str(turn(), "");
	is_str(state(0), "returning");
	plug(true);
	is_str(nobody(), "reset a; ");
	plug(false); /* by the removal */
	clean("a");
	is_str(turn(), "record a free; ");
	ok(!uses_each(u, 0, &(struct uses_view){0}));
}

/* Another card stands there now, or may: the last reset was not its. */
static void whose_reset(void)
{
	begin_held();
	is_str(look(0).method, "flr");
	one = cards[0];
	one.place = "place-z";
	plug(true);
	is_str(look(0).method, "");
	is_int(look(0).at, 0);
	is_int(look(0).ms, 0);
	is_str(turn(), "record a given n/p; pods; ");
	pods("a", "p");
	plug(true);
	is_str(turn(), ""); /* that is no news */
	begin_held();
	one = cards[0];
	plug(false);
	is_str(look(0).method, "flr"); /* it may be back in a moment, but then */
	plug(true);
	is_str(look(0).method, "");
	is_str(turn(), "record a given n/p; pods; ");
	begin_held();
	uses_beat(u, now);
	is_str(nobody(), "reset a; ");
	uses_reset_done(u, "a", false, "flr", 7, "no", now);
	is_str(turn(), "record a dirty n/p flr failed; ");
	one = cards[0];
	plug(false);
	is_str(look(0).method, "");
	is_str(turn(), "record a dirty n/p; ");
	plug(false);
	is_str(turn(), "");
}

/* The eyes are asked once more when it had to wait. */
static void right_before_the_reset(void)
{
	ok(!uses_wants_reset(u, "nobody"));
	begin_held();
	uses_beat(u, now);
	ok(!uses_wants_reset(u, "a"));
	is_str(nobody(), "reset a; ");
	ok(uses_wants_reset(u, "a"));
	uses_holders(u, "a", USES_SOMEBODY, "process 7", now);
	ok(!uses_wants_reset(u, "a"));
	is_str(turn(), "");
	is_str(state(0), "returning");
	is_str(look(0).why, "no pod has it, but process 7 has it open; end that");
	uses_beat(u, now);
	is_str(nobody(), "reset a; ");
	uses_beat(u, now);
	is_str(turn(), ""); /* nobody is asked of while it is being reset */
	uses_units(u, cards, 2, now);
	is_str(turn(), "pods; ");
	pods("a", "q"); /* another one has it after all */
	is_str(turn(), "record a given n/q flr ok; holders b; ");
	ok(!uses_wants_reset(u, "a"));
	uses_holders(u, "a", USES_NOT_KNOWN, "", now);
	is_str(turn(), "");
	is_str(state(0), "held");
	is_str(look(0).why, "");
}

TESTS({"without a reset it is given once, and then is dirty", without_reset},
      {"whom somebody was seen to have, a reset is owed", somebody_had_it},
      {"a reset that fails was not owed either, unless it hangs", reset_that_fails},
      {"a host's driver is nobody", hosted_first},
      {"what is pulled out unclean comes back unclean", back_as_it_went},
      {"another card has no reset of ours", whose_reset},
      {"right before its reset it may be in use after all", right_before_the_reset})
