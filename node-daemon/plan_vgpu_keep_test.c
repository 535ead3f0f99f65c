/* SPDX-License-Identifier: Apache-2.0 */
/* vGPUs that are ordered one by one: what the journal has of them, and what becomes of them. */
#include "node-daemon/plan_slots.h"
#include "node-daemon/vgpu_node_test.h"

static void append_all(const struct vgpu_tidying *t)
{
	list_each(s, &t->noted) {
		append_slot(s);
	}
	list_each(s, &t->before) {
		append_slot(s);
	}
}

/* As cuts.c has it, until nothing is to be done. False: that does not come. */
static bool settle(int *left)
{
	for (int i = 0; i < 20; i++) {
		struct vgpu_tidying tidied = {0}, kept = {0};
		struct cut_plan plan;

		look();
		seen.uses = node.uses;
		plan_slots(&seen, &arena, &plan);
		if (!plan.steps.n) {
			vgpu_tidy(&node, &units.items[0], 0, &arena, &tidied);
			plan.steps = tidied.steps;
		}
		if (order.slots.n && !tidied.steps.n) {
			vgpu_keep(&node, &units.items[0], &plan.steps, &arena, &kept);
		}
		append_all(&tidied);
		append_all(&kept);
		if (run(&plan.steps, left) == DEAD) {
			return false;
		}
		if (!plan.steps.n && !tidied.noted.n && !kept.noted.n) {
			return true;
		}
	}
	return false;
}

static void order_slots(int n)
{
	order.slots.n = (size_t)n;
	for (int i = 0; i < n; i++) {
		slots[i] = (struct slot_wanted){card_vf(i), Q4};
	}
}

static void they_have_numbers(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	order_slots(3);
	ok(settle(&none));
	is_int(journal.slots.n, 3);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	is_str(devices(Q4), "0* 1* 2*"); /* those, and no more that would fit */
	is_str(devices(A4), "");
	is_int(ask(1, Q4), DONE);
	is_int(pods[0].at, card_vf(1));
}

/* The last one, too: by the orders alone the card would be one that pods cut as they ask. */
static void not_ordered_they_go(void)
{
	int64_t size;

	begin(VGPU_VENDOR, 0x26b9, 32);
	order_slots(2);
	ok(settle(&none));
	is_int(ask(1, Q4), DONE);
	order_slots(0);
	ok(settle(&none));
	is_int(card_made(&card, &size), 1); /* a pod has it */
	end_pod(&pods[0]);
	ok(settle(&none));
	is_int(card_made(&card, &size), 0);
	is_int(journal.slots.n, 0);
}

/* What somebody else has made, and nobody has ordered, stays on a card that pods cut. */
static void others_stay(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	card_create(&card, 5, 1150, "");
	ok(settle(&none));
	is_int(card.vgpus[5].id, 1150);
	is_int(journal.slots.n, 0);
}

/* It is going since its pod has ended: it goes, and comes again under its number. */
static void made_anew(void)
{
	struct journal_slot going;

	begin(VGPU_VENDOR, 0x26b9, 32);
	order_slots(1);
	ok(settle(&none));
	going = journal.slots.items[0];
	going.state = JOURNAL_DROPPING;
	append_slot(&going);
	card.killed = 0;
	is_int(ask(0, Q4), REFUSED);
	ok(settle(&none));
	is_int(card.vgpus[0].id, 1150);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	is_str(devices(Q4), "0*");
}

/* Killed at any of its writes, it comes to the same end. */
static void killed(void)
{
	for (int at = 1; at < 24; at++) {
		int left = at;
		int64_t size;

		begin(VGPU_VENDOR, 0x26b9, 32);
		order_slots(3);
		settle(&left);
		wake();
		ok(settle(&none));
		is_int(card_made(&card, &size), 3);
		is_int(journal.slots.n, 3);
		order_slots(0);
		left = at;
		settle(&left);
		wake();
		ok(settle(&none));
		is_int(card_made(&card, &size), 0);
	}
}

/* What cannot be read may be there: its record stays, and nothing is made in its place. */
static void half_seen(void)
{
	struct card_vgpu hidden;

	begin(VGPU_VENDOR, 0x26b9, 32);
	order_slots(2);
	ok(settle(&none));
	hidden = card.vgpus[0];
	card.vgpus[0] = (struct card_vgpu){0};
	card.f.half_seen = true;
	card.writes = 0;
	ok(settle(&none));
	is_int(card.writes, 0);
	is_int(journal.slots.n, 2);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	card.vgpus[0] = hidden;
	card.f.half_seen = false;
	ok(settle(&none));
	is_int(card.writes, 0);
	is_int(journal.slots.n, 2);
}

static void nothing_stays(void)
{
	journal_finish(&journal);
	buf_finish(&file);
	cut_end();
}

TESTS({"what is ordered has numbers, and is offered by them", they_have_numbers},
      {"what is not ordered any more goes, when nobody has it", not_ordered_they_go},
      {"what others have made stays", others_stay}, {"what a pod had is made anew", made_anew},
      {"what cannot be read is not forgotten", half_seen},
      {"killed anywhere, it comes to that end", killed}, {"nothing stays", nothing_stays})
