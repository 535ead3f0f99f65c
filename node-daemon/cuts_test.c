/* SPDX-License-Identifier: Apache-2.0 */
/* Which program cuts a card next: what failed, who uses what, and the question right before. */
#include "node-daemon/cuts.h"

#include "node-daemon/eyes_hand_test.h"
#include "node-daemon/inuse.h"
#include "node-daemon/vgpu_node_test.h"

#define U0 "6b4c2f16-0000-4000-8000-000000000000"
#define U1 "6b4c2f16-0000-4000-8000-000000000001"

static struct cuts *cuts;
static struct cuts_plan plan;
static bool running;
static const char *busy;
static void (*changed)(void); /* what the look sees otherwise */
static int answers;

static void on_answered(attr_unused void *ctx)
{
	answers++;
}

static void begin_cuts(enum vgpu_face face, uint16_t device, int vfs)
{
	begin(face, device, vfs);
	cuts = cuts ? cuts_destroy(cuts) : NULL;
	cuts = cuts_create(&(struct cuts_settings){.answered = on_answered});
	running = false;
	busy = NULL;
	changed = NULL;
	answers = 0;
}

/* An L40S of 8 functions. */
static void begin_card(void)
{
	begin_cuts(VGPU_VENDOR, 0x26b9, 8);
}

/* One turn, and what is to be done, in words. */
static const char *turn(void)
{
	struct cuts_seen what;
	struct cut_plan words;

	look();
	if (changed) {
		changed();
	}
	cuts_begin(cuts, &units, &arena);
	what = (struct cuts_seen){.all = node,
				  .unit = &units.items[0],
				  .book = &book,
				  .busy = busy,
				  .running = running};
	cuts_plan(cuts, &what, &arena, &plan);
	cuts_ask(cuts);
	words = (struct cut_plan){plan.steps, plan.why};
	return cut_words(&words);
}

static void append_records(const struct vgpu_tidying *t)
{
	list_each(s, &t->noted) {
		append_slot(s);
	}
	list_each(s, &t->before) {
		append_slot(s);
	}
}

/* Carries the turn's plan out; why: what a step that fails says. The number of those that are done. */
static size_t carry_out(const char *why)
{
	size_t done = 0;

	append_records(&plan.tidied);
	append_records(&plan.kept);
	while (done < plan.steps.n && card_do(&card, &plan.steps.items[done])) {
		done++;
	}
	cuts_ended(cuts, CARD_AT, &plan.steps, done, done < plan.steps.n ? why : NULL);
	return done;
}

/* What is remembered, as it is said while a program runs; "": nothing is. */
static const char *said(void)
{
	const char *text;

	running = true;
	text = turn();
	running = false;
	is_int(plan.steps.n, 0);
	return *text ? strstr(text, "Failed: ") + strlen("Failed: ") : text;
}

/* A step of such a program has failed. */
static void failed(enum step_verb verb, uint64_t at, const char *value, const char *why)
{
	struct step s = {verb, at, value};

	cuts_ended(cuts, CARD_AT, &(struct steps){&s, 1}, 0, why);
}

/* --- making -------------------------------------------------------------------------------- */

static void slots_are_made(void)
{
	begin_card();
	cut_slot(card_vf(0), Q4);
	cut_slot(card_vf(3), Q4);
	is_str(turn(),
	       "see 0000:41:00.4 offer the vGPU type 1150, set current_vgpu_type of 0000:41:00.4 "
	       "to 1150, see 0000:41:00.4 carry the vGPU type 1150, "
	       "see 0000:41:00.7 offer the vGPU type 1150, set current_vgpu_type of 0000:41:00.7 "
	       "to 1150, see 0000:41:00.7 carry the vGPU type 1150");
	ok(plan.goal & CUTS_GOAL);
	is_int(plan.again, INT64_MAX);
	is_int(plan.kept.before.n, 2);
	is_int(carry_out(""), 6);
	is_str(turn(), "");
	is_int(plan.kept.noted.n, 2); /* they are there */
	is_int(n_asked, 0);	      /* nothing was taken away */
	is_str(said(), "");
}

/* First the functions, then what they carry, then what is left over. */
static void one_thing_after_another(void)
{
	begin_card();
	card.numvfs = 0;
	card.tool_made = true;
	order.vfs = 8;
	cut_slot(card_vf(0), Q4);
	is_str(turn(), "ask the vendor's tools for 0000:41:00.0 the work sriov-manage -e, see the "
		       "virtual functions of 0000:41:00.0 be 8");
	is_int(carry_out(""), 2);
	has(turn(), "see 0000:41:00.4 offer");
	is_int(carry_out(""), 3);
	is_str(turn(), "");
	append_records(&plan.kept);
	order.slots.n = 0; /* by then it is no order's, and no pod's */
	is_str(turn(), "");
	is_int(n_asked, 1);
	eyes_see_nobody();
	is_str(turn(), "set current_vgpu_type of 0000:41:00.4 to 0, see 0000:41:00.4 carry the "
		       "vGPU type 0");
	is_int(plan.tidied.before.n, 1);
	is_int(plan.kept.before.n + plan.kept.noted.n, 0);
	is_int(carry_out(""), 2);
	is_str(turn(), "");
	append_records(&plan.tidied);
	is_int(journal.slots.n, 0);
}

/* Who has vGPUs is not known: nothing of them is tidied up. */
static void nobody_knows(void)
{
	begin_card();
	is_int(ask(0, Q4), DONE);
	end_pod(&pods[0]);
	turn();
	is_int(n_asked, 1);
	eyes_see_nobody();
	ok(*turn());
	is_int(plan.tidied.before.n, 1);
	look();
	node.looked = false;
	cuts_begin(cuts, &units, &arena);
	cuts_plan(cuts, &(struct cuts_seen){.all = node, .unit = &units.items[0], .book = &book},
		  &arena, &plan);
	is_int(plan.steps.n, 0);
	is_int(plan.tidied.before.n, 0);
}

/* What is going is told before it is kept anew. */
static void kept_after_it_has_gone(void)
{
	begin_card();
	cut_slot(card_vf(0), Q4);
	turn();
	carry_out("");
	turn();
	carry_out("");
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	journal.slots.items[0].state = JOURNAL_DROPPING;
	is_str(turn(), "");
	eyes_see_nobody();
	has(turn(), "to 0, ");
	is_int(plan.kept.before.n + plan.kept.noted.n, 0);
}

/* --- what failed --------------------------------------------------------------------------- */

static void failures_are_begun_behind(void)
{
	begin_card();
	for (int i = 0; i < 3; i++) {
		cut_slot(card_vf(i), Q4);
	}
	card.no = STEP_TYPE;
	card.no_at = card_vf(1);
	turn();
	is_int(carry_out("it broke"), 4);
	is_str(turn(),
	       "see 0000:41:00.6 offer the vGPU type 1150, set current_vgpu_type of 0000:41:00.6 "
	       "to 1150, see 0000:41:00.6 carry the vGPU type 1150, "
	       "see 0000:41:00.5 offer the vGPU type 1150, set current_vgpu_type of 0000:41:00.5 "
	       "to 1150, see 0000:41:00.5 carry the vGPU type 1150; refused Failed: it broke");
	is_int(carry_out("it broke again"), 4);
	is_str(said(), "it broke again");
	has(turn(), "; refused Failed: it broke again");
	card.no = STEP_VERBS;
	is_int(carry_out(""), 3);
	is_str(turn(), "");
	is_str(said(), "");
}

/* As often as there are slots at once, since others may have their turn; then with a pause. */
static void goals(void)
{
	uint64_t of[6];

	begin_card();
	cut_slot(card_vf(0), Q4);
	cut_slot(card_vf(1), Q4);
	for (int i = 0; i < 6; i++) {
		turn();
		of[i] = plan.goal;
		ok(of[i] & CUTS_GOAL);
		failed(STEP_TYPE, card_vf(i % 2), "1150", "no");
	}
	ok(of[0] != of[1] && of[1] != of[2] && of[0] != of[2]);
	is_int(of[2], of[3]);
	is_int(of[2], of[5]);
	card.f.driver = "other"; /* it is another card now: all begins anew */
	turn();
	ok(plan.goal != of[0]);
	is_str(said(), "no; no");
	card.f.driver = "nvidia";
	turn();
	is_int(plan.goal, of[0]);
	slots[0].type = A4;
	turn();
	ok(plan.goal != of[0]);
	order.slots.n = 0; /* only what slots say has that patience */
	is_int(ask(0, Q4), DONE);
	end_pod(&pods[0]);
	turn();
	eyes_see_nobody();
	for (int i = 0; i < 2; i++) {
		ok(*turn());
		of[i] = plan.goal;
		failed(STEP_TYPE, card_vf(0), "0", "no");
	}
	is_int(of[0], of[1]);
}

static void set_vfs(void)
{
	order.vfs = 8;
}
static void set_want(void)
{
	order.want = WANT_HOST;
}
static void set_type(void)
{
	slots[0].type = A4;
}
static void set_place(void)
{
	slots[0].at = card_vf(4);
}
static void set_second(void)
{
	slots[1].type = A4;
}
static void set_none(void)
{
	orders.items.n = 0;
}

static void another_order_forgets(void)
{
	static void (*const rows[])(void) = {set_vfs,	set_want,   set_type,
					     set_place, set_second, set_none};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_card();
		cut_slot(card_vf(0), Q4);
		cut_slot(card_vf(1), Q4);
		turn();
		failed(STEP_TYPE, card_vf(0), "1150", "no");
		is_str(said(), "no");
		if (i == 0) {
			has(turn(), "see 0000:41:00.5 offer the vGPU type 1150, set");
			ok(str_starts(turn(), "see 0000:41:00.5 offer"));
		}
		rows[i]();
		if (i == 0) {
			ok(str_starts(turn(), "see 0000:41:00.4 offer"));
		}
		turn();
		is_str(said(), "");
	}
}

static void touch_driver(void)
{
	card.f.driver = "other";
}
static void make_one(void)
{
	card_create(&card, 6, 1150, "");
}
static void make_it(void)
{
	card_create(&card, 2, 1150, "");
}
static void take_functions(void)
{
	card.numvfs = 7;
}

/* What failed before something else of the card changed counts on, unless it was done after all. */
static void the_card_changes(void)
{
	static const struct {
		void (*change)(void);
		enum step_verb verb;
		const char *value;
		bool there, kept;
	} rows[] = {
		{touch_driver, STEP_EXPECT_TYPE, "1150", false, true},
		{make_one, STEP_EXPECT_TYPE, "1150", false, true},
		{take_functions, STEP_EXPECT_TYPE, "1150", false, true},
		{make_it, STEP_EXPECT_TYPE, "1150", false, false},
		{make_it, STEP_TYPE, "1150", false, false},
		{touch_driver, STEP_TYPE, "1150", false, true},
		{touch_driver, STEP_EXPECT_MADE, "1150", false, true},
		{make_it, STEP_EXPECT_MADE, "1150", false, false},
		{touch_driver, STEP_MDEV_MAKE, U0 " nvidia-1", false, true},
		{touch_driver, STEP_EXPECT_MDEV, U0 " nvidia-1", false, true},
		{make_it, STEP_EXPECT_MDEV, U0 " nvidia-1", false, false},
		/* removals: it is there until they are done */
		{touch_driver, STEP_TYPE, "0", true, true},
		{touch_driver, STEP_TYPE, "0", false, false},
		{touch_driver, STEP_EXPECT_MADE, "0", true, true},
		{touch_driver, STEP_EXPECT_MADE, "0", false, false},
		{touch_driver, STEP_MDEV_DROP, U0, true, true},
		{touch_driver, STEP_MDEV_DROP, U0, false, false},
		{touch_driver, STEP_EXPECT_MDEV, U0, true, true},
		{touch_driver, STEP_EXPECT_MDEV, U0, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_card();
		if (rows[i].there) {
			make_it();
		}
		turn();
		eyes_see_nobody();
		failed(rows[i].verb, card_vf(2), rows[i].value, "no");
		is_str(said(), "no");
		rows[i].change();
		turn();
		is_str(said(), rows[i].kept ? "no" : "");
	}
	begin_card(); /* of the card itself it is over with any change */
	turn();
	failed(STEP_TYPE, card_vf(2), "1150", "no");
	failed(STEP_TYPE, CARD_AT, "1150", "not of the card");
	failed(STEP_TYPE, card_vf(1), "1150", "nor this");
	is_str(said(), "not of the card; nor this; no");
	touch_driver();
	turn();
	is_str(said(), "nor this; no");
}

static void all_are_said(void)
{
	begin_card();
	turn();
	failed(STEP_TYPE, card_vf(3), "1150", "four");
	failed(STEP_TYPE, card_vf(0), "1150", "one");
	failed(STEP_TYPE, card_vf(2), "1150", "three");
	failed(STEP_TYPE, card_vf(2), "1150", "three again");
	failed(STEP_TYPE, card_vf(1), "1150", NULL); /* nobody knows why */
	is_str(said(), "one; three again; four");
	for (int i = 4; i < 9; i++) {
		failed(STEP_TYPE, card_vf(i), "1150", "x");
	}
	is_str(said(), "one; three again; four; x; x; x; x; x");
	failed(STEP_TYPE, card_vf(9), "1150", "y");
	failed(STEP_TYPE, card_vf(10), "1150", "y");
	is_str(said(), "one; three again; four; x; x; x; x; x; and 2 more places");
}

static void ends_that_say_nothing(void)
{
	struct step s[] = {{STEP_TYPE, card_vf(0), "1150"}, {STEP_TYPE, card_vf(1), "1150"}};
	struct steps steps = {s, 2};

	begin_card();
	cut_slot(card_vf(0), Q4);
	cut_slot(card_vf(1), Q4);
	cuts_ended(cuts, CARD_AT, &steps, 0, "of a card that nobody plans");
	is_str(said(), "");
	turn();
	cuts_ended(cuts, CARD_AT, &steps, 2, "it is done");
	cuts_ended(cuts, CARD_AT + 0x100, &steps, 0, "another card's");
	is_str(said(), "");
	ok(str_starts(turn(), "see 0000:41:00.4 offer"));
	cuts_ended(cuts, CARD_AT, &steps, 1, "the second");
	is_str(said(), "the second");
	ok(str_starts(turn(), "see 0000:41:00.4 offer"));
	cuts_ended(cuts, CARD_AT, &steps, 0, NULL);
	ok(str_starts(turn(), "see 0000:41:00.5 offer"));
	order.slots.n = 1; /* nothing is to be done now, or it is refused */
	begin_card();
	turn();
	failed(STEP_TYPE, card_vf(0), "1150", "no");
	is_str(turn(), "");
	is_str(said(), "no");
}

/* Each card by itself, as long as it is planned in each turn. */
static void many_cards(void)
{
	static struct pci_function f[20];
	static struct unit u[20];
	struct unit_list all = {u, 20};
	char at[PCIFN_TEXT_MAX];

	begin_card();
	look();
	for (size_t i = 0; i < 20; i++) {
		f[i] = (struct pci_function){.address = 0x8000 + 0x100 * i, .driver = "x"};
		u[i] = (struct unit){.card = &f[i]};
	}
	for (int round = 0; round < 4; round++) {
		cuts_begin(cuts, &all, &arena);
		for (size_t i = 0; i < 20; i++) {
			struct cuts_seen what = {.all = node, .unit = &u[i], .book = &book};

			if (round == 2 && i == 7) {
				continue;
			}
			what.running = round;
			cuts_plan(cuts, &what, &arena, &plan);
			if (!round) {
				struct step s = {STEP_TYPE, f[i].address, "1"};

				cuts_ended(cuts, f[i].address, &(struct steps){&s, 1}, 0,
					   pcifn_text(f[i].address, at));
			} else if (round == 3 && i == 7) {
				ok(!plan.why.type);
			} else {
				is_str(plan.why.message, pcifn_text(f[i].address, at));
			}
		}
	}
}

/* --- who uses what ------------------------------------------------------------------------- */

/* One vGPU that is ordered, and one that is not. */
static void begin_drop(void)
{
	begin_card();
	cut_slot(card_vf(0), Q4);
	card_create(&card, 0, 1150, "");
	card_create(&card, 5, 1150, "");
}

#define DROP "set current_vgpu_type of 0000:41:01.1 to 0, see 0000:41:01.1 carry the vGPU type 0"
#define USED "refused InUse: 0000:41:01.1 carries NVIDIA L40S-4Q, which is not ordered and used by "

static void users_are_asked_of(void)
{
	begin_drop();
	is_str(turn(), "");
	is_int(plan.again, INT64_MAX);
	is_int(plan.goal, 0);
	is_int(n_asked, 1);
	is_str(eyes_words(0, &arena),
	       "0000:41:00.4: 0000:41:00.4=nvidia*, 0000:41:00.5: 0000:41:00.5=nvidia*, "
	       "0000:41:00.6: 0000:41:00.6=nvidia*, 0000:41:00.7: 0000:41:00.7=nvidia*, "
	       "0000:41:01.0: 0000:41:01.0=nvidia*, 0000:41:01.1: 0000:41:01.1=nvidia*, "
	       "0000:41:01.2: 0000:41:01.2=nvidia*, 0000:41:01.3: 0000:41:01.3=nvidia*");
	is_str(turn(), "");
	is_int(n_asked, 1); /* it is asked already */
	eyes_say(0, 5, BIND_USERS_SOME, "process 7 (qemu)");
	is_int(answers, 1);
	is_str(turn(), USED "process 7 (qemu); it is changed when that has ended");
	is_int(plan.again, now + INUSE_AGAIN_MS);
	is_int(n_asked, 0);
	now += INUSE_AGAIN_MS;
	has(turn(), "process 7");
	is_int(n_asked, 1);
	eyes_say(0, 5, BIND_USERS_UNKNOWN, "no answer");
	has(turn(), USED "somebody whom this daemon cannot see (no answer); ");
	now += INUSE_AGAIN_MS;
	turn();
	eyes_say(0, 4, BIND_USERS_SOME, "process 8 (other)"); /* of another place */
	is_str(turn(), DROP);
	ok(plan.goal & CUTS_GOAL);
	is_int(plan.again, now + INUSE_AGAIN_MS);
	running = true;
	is_str(turn(), "");
	is_int(plan.again, INT64_MAX);
}

static void two_are_gone(void)
{
	card.vfs[6].driver = "";
	card.vfs[7].gone = true;
}

static void who_cannot_be_asked_of(void)
{
	begin_drop();
	changed = two_are_gone;
	turn();
	is_int(asked[0].q.n, 6);
	eyes_see_nobody();
	is_str(turn(), DROP);
	begin_drop(); /* what a pod has is in use, whoever has it open */
	in_use[0] = (struct cut_use){card_vf(5), "", "pod a/b"};
	pods[0] = (struct pod){.type = Q4, .at = card_vf(5)};
	is_str(turn(), USED "pod a/b; it is changed when that has ended");
	is_int(n_asked, 0);
	begin_cuts(VGPU_VENDOR, 0x26b9, 8);
	order.vfs = 0;
	busy = "pod c/d has it";
	has(turn(), "refused InUse: 0000:41:00.0 is used by pod c/d has it; ");
	is_int(n_asked, 0);
	busy = NULL;
	is_str(turn(), "");
	is_int(n_asked, 1); /* of all its functions */
	is_int(asked[0].q.n, 8);
	eyes_say(0, 7, BIND_USERS_SOME, "process 9 (x)");
	has(turn(), "refused InUse: 0000:41:01.3 is used by process 9 (x), and a change");
}

/* Not of another card's. */
static void of_one_card_alone(void)
{
	static struct pci_vf vf[1];
	static struct pci_function f;
	static struct unit both[2];
	struct unit_list two = {both, 2};
	struct cuts_seen what;

	begin_drop();
	look();
	vf[0] = (struct pci_vf){.address = 0x9004, .driver = "nvidia", .type = ""};
	f = (struct pci_function){.address = 0x9000, .driver = "nvidia", .vfs = {vf, 1}};
	both[0] = (struct unit){.card = &f};
	both[1] = units.items[0];
	order.unit = &both[1];
	cuts_begin(cuts, &two, &arena);
	what = (struct cuts_seen){.all = node, .unit = &both[1], .book = &book};
	cuts_plan(cuts, &what, &arena, &plan);
	cuts_ask(cuts);
	is_int(n_asked, 1);
	is_int(asked[0].q.n, 8);
	ok(!strstr(eyes_words(0, &arena), "0000:90"));
	eyes_see_nobody();
	cuts_begin(cuts, &two, &arena);
	cuts_plan(cuts, &what, &arena, &plan);
	is_int(plan.steps.n, 2);
}

/* A card without virtual functions carries several, each by its UUID. */
static void begin_legacy(void)
{
	begin_cuts(VGPU_MDEV, 0x1eb8, 0); /* T4 */
	cut_slot(CARD_AT, "GRID T4-1Q");
	card_create(&card, 0, 222, U0);
	card_create(&card, 1, 222, U1);
}

static void mediated_devices(void)
{
	uint64_t one, other;

	begin_legacy();
	is_str(turn(), "");
	is_str(eyes_words(0, &arena), "?: 0000:41:00.0=nvidia*" U0 ", ?: 0000:41:00.0=nvidia*" U1);
	one = asked[0].q.items[0].id;
	other = asked[0].q.items[1].id;
	ok(one != other && one >= 1ULL << 47 && one < 1ULL << 48);
	eyes_say(0, SIZE_MAX, BIND_USERS_SOME, "process 1 (x)");
	has(turn(), "refused InUse: 0000:41:00.0 carries GRID T4-1B, which is not ordered and used "
		    "by process 1 (x); ");
	is_int(plan.steps.items[0].verb, STEP_EXPECT_TYPE); /* beside them */
	now += INUSE_AGAIN_MS;
	turn();
	eyes_say(0, 0, BIND_USERS_SOME, "process 1 (x)");
	has(turn(), "remove from 0000:41:00.0 the mediated device " U1 ", ");
}

/* --- right before -------------------------------------------------------------------------- */

static char told[256];
static int tellings;

static void on_now(attr_unused void *ctx, uint64_t unit, const char *why)
{
	is_int(unit, CARD_AT);
	tellings++;
	snprintf(told, sizeof(told), "%s", why ? why : "nobody");
}

static bool ask_now(const struct step *s, size_t n)
{
	told[0] = '\0';
	tellings = 0;
	return cuts_now(cuts, &units.items[0], &(struct steps){(struct step *)s, n}, on_now, NULL);
}

static void asked_right_before(void)
{
	const struct step drop[] = {{STEP_TYPE, card_vf(5), "0"},
				    {STEP_EXPECT_MADE, card_vf(5), "0"},
				    {STEP_TYPE, card_vf(1), "0"}};
	const struct step makes[] = {{STEP_EXPECT_TYPE, card_vf(5), "1150"},
				     {STEP_TYPE, card_vf(5), "1150"},
				     {STEP_EXPECT_MADE, card_vf(5), "0"}};

	begin_drop();
	turn();
	eyes_see_nobody();
	turn();
	ok(!ask_now(makes, 3));
	ok(ask_now(drop, 3));
	is_str(told, "");
	is_str(eyes_words(0, &arena),
	       "0000:41:00.5: 0000:41:00.5=nvidia*, 0000:41:01.1: 0000:41:01.1=nvidia*");
	eyes_see_nobody();
	is_str(told, "nobody");
	is_int(tellings, 1);
	ok(ask_now(drop, 3));
	eyes_say(0, 1, BIND_USERS_SOME, "process 7 (qemu)");
	is_str(told, "0000:41:01.1 is used by now: by process 7 (qemu)");
	ok(ask_now(drop, 3));
	eyes_say(0, SIZE_MAX, BIND_USERS_UNKNOWN, "no answer");
	is_str(told, "whether anybody uses 0000:41:00.5 by now is not known: no answer");
	is_int(tellings, 1);
	ok(ask_now(drop, 3));
	cuts = cuts_destroy(cuts); /* nobody is told any more */
	is_int(n_asked, 0);
	is_int(tellings, 0);
}

static void all_functions_right_before(void)
{
	static const struct step none_of[] = {{STEP_VFS, CARD_AT, "0"},
					      {STEP_EXPECT_VFS, CARD_AT, "0"}};
	static const struct step tool[] = {{STEP_TOOL, CARD_AT, "sriov-manage -d"}};

	begin_cuts(VGPU_VENDOR, 0x26b9, 80); /* in as few units as can be */
	turn();
	ok(ask_now(none_of, 2));
	is_int(asked[0].q.n, 2);
	is_int(asked[0].q.items[0].functions.n, EYES_MAX_FUNCTIONS);
	is_int(asked[0].q.items[1].functions.n, 80 - EYES_MAX_FUNCTIONS);
	is_int(asked[0].q.items[1].functions.items[15].at, card_vf(79));
	eyes_see_nobody();
	ok(ask_now(tool, 1));
	is_int(n_asked, 1);
	is_int(asked[0].q.n, 2);
	eyes_see_nobody();
	begin_cuts(VGPU_VENDOR, 0x26b9, 0); /* nobody uses what is not there */
	card.total = 8;
	turn();
	ok(!ask_now(tool, 1));
	begin_legacy();
	turn();
	eyes_see_nobody();
	turn();
	ok(ask_now(&(struct step){STEP_MDEV_DROP, CARD_AT, U1}, 1));
	is_str(eyes_words(0, &arena), "?: 0000:41:00.0=nvidia*" U1);
	eyes_say(0, 0, BIND_USERS_SOME, "process 7 (qemu)");
	is_str(told, "it is used by now: by process 7 (qemu)");
}

/* A question has its end. */
static void at_most_a_question(void)
{
	struct step s[80];

	begin_cuts(VGPU_VENDOR, 0x26b9, 80);
	turn();
	for (int i = 0; i < 80; i++) {
		s[i] = (struct step){STEP_TYPE, card_vf(i), "0"};
	}
	ok(ask_now(s, 80));
	is_int(asked[0].q.n, EYES_MAX_UNITS);
	eyes_see_nobody();
}

static void what_was_given_meanwhile(void)
{
	static const struct {
		bool legacy;
		enum step_verb verb;
		uint64_t step_at;
		const char *value;
		uint64_t at;
		const char *uuid;
		bool taken;
	} rows[] = {
		{false, STEP_TYPE, 0x4109, "0", 0x4109, "", true},
		{false, STEP_TYPE, 0x4109, "1150", 0x4109, "", false},
		{false, STEP_TYPE, 0x4108, "0", 0x4109, "", false},
		{false, STEP_EXPECT_MADE, 0x4109, "0", 0x4109, "", false},
		{false, STEP_VFS, 0x4100, "0", 0x4109, "", true},
		{false, STEP_TOOL, 0x4100, "sriov-manage -d", 0x4109, "", true},
		{false, STEP_VFS, 0x4100, "0", 0x4100, "", true},
		{false, STEP_VFS, 0x4100, "0", 0x4209, "", false},
		{true, STEP_VFS, 0x4100, "8", 0x4100, "", false}, /* there are none yet */
		{true, STEP_MDEV_DROP, 0x4100, U0, 0x4100, U0, true},
		{true, STEP_MDEV_DROP, 0x4100, U0, 0x4100, U1, false},
		{true, STEP_MDEV_DROP, 0x4100, U0, 0x4100, "", true},
		{true, STEP_MDEV_DROP, 0x4100, U0, 0x4200, U0, false},
		{false, STEP_TYPE, 0x4109, "0", 0x4109, U0, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct step s[] = {{STEP_EXPECT_ALIVE, CARD_AT, ""},
				   {rows[i].verb, rows[i].step_at, rows[i].value}};
		struct cut_use use[] = {{0x9999, "", "pod x/y"},
					{rows[i].at, rows[i].uuid, "pod a/b"}};
		const char *why;

		if (rows[i].legacy) {
			begin_legacy();
		} else {
			begin_card();
		}
		look();
		why = cuts_given(&(struct cut_use_list){use, 2}, &units.items[0],
				 &(struct steps){s, 2}, &arena);
		is_str(why, rows[i].taken ? "it was given to pod a/b meanwhile" : NULL);
	}
}

TESTS({"slots are made, and then there is rest", slots_are_made},
      {"functions first, then what they carry, then what is left over", one_thing_after_another},
      {"where nobody knows who has what, nothing is tidied up", nobody_knows},
      {"what goes is not kept in the same turn", kept_after_it_has_gone},
      {"behind a failure it begins at the next place", failures_are_begun_behind},
      {"a goal is another one as long as others may have their turn", goals},
      {"another order forgets what failed", another_order_forgets},
      {"a changed card keeps what is still to be done", the_card_changes},
      {"all that failed is said by place, at most eight", all_are_said},
      {"what says nothing changes nothing", ends_that_say_nothing},
      {"each card is remembered by itself", many_cards},
      {"who uses what is to go is asked of", users_are_asked_of},
      {"what has no driver or a pod is not asked of", who_cannot_be_asked_of},
      {"of one card only its own places are asked of", of_one_card_alone},
      {"mediated devices of one card are told apart", mediated_devices},
      {"right before, what goes is asked of once more", asked_right_before},
      {"of all functions in few units", all_functions_right_before},
      {"a question is full at its end", at_most_a_question},
      {"what a pod was given meanwhile is not taken", what_was_given_meanwhile})
