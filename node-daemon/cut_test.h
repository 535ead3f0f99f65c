/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut_test.h: a played card (card_test.h) with orders, users and a book, for tests of the plans that cut
 * it; and its plans in words.
 */
#pragma once

#include "node-daemon/card_test.h"
#include "node-daemon/plan_cut.h"

#define CUT_SLOTS 80

static struct card card;
static struct arena arena;
static struct unit_list units;
static struct book book;
static struct orders orders;
static struct order order;
static struct slot_wanted slots[CUT_SLOTS];
static struct cut_use uses[CUT_SLOTS];
static const char *permitted[64];
static struct cut_seen seen;

typedef void cut_plan_fn(const struct cut_seen *, struct arena *, struct cut_plan *);

/* An order of that want for a card of that device; nobody uses it. */
attr_unused static void cut_begin(enum vgpu_face face, uint16_t device, int total, enum want want)
{
	arena_finish(&arena);
	arena_init(&arena, 16 * MiB);
	card_make(&card, face, device, total, false);
	book = (struct book){
		.id = CARD_AT, .place = "p", .ids = "", .name = "", .was = "", .why = ""};
	order = (struct order){.want = want, .vfs = -1, .slots = {slots, 0}};
	orders = (struct orders){.term = 1};
	orders.items.items = &order;
	orders.items.n = 1;
	orders.permitted.items = permitted;
	seen = (struct cut_seen){.machine = &card.m,
				 .book = &book,
				 .orders = &orders,
				 .uses = {uses, 0},
				 .looked = true,
				 .refusal = "",
				 .node = "node1",
				 .boot = "boot1"};
	for (size_t i = 0; i < card.n_types && i < ARRAY_LEN(permitted); i++) {
		permitted[i] = card.types[i].name;
		orders.permitted.n++;
	}
}

attr_unused static void cut_slot(uint64_t at, const char *type)
{
	slots[order.slots.n++] = (struct slot_wanted){at, type};
}

/* The users of held places, as somebody sees them. */
attr_unused static void cut_use_held(void)
{
	seen.uses.n = 0;
	for (int i = 0; i < card_places(&card); i++) {
		if (card.held[i]) {
			uses[seen.uses.n++] = (struct cut_use){card.total ? card_vf(i) : CARD_AT,
							       card.vgpus[i].uuid, "pod a/b"};
		}
	}
}

/* What a look sees. */
attr_unused static void cut_look(void)
{
	card_show(&card);
	units_make(&card.m, &arena, &units);
	is_int(units.n, 1);
	seen.unit = order.unit = &units.items[0];
	cut_use_held();
}

attr_unused static const char *cut_words(const struct cut_plan *p)
{
	const char *text = "";

	list_each(s, &p->steps) {
		text = arena_printf(&arena, "%s%s%s", text, *text ? ", " : "",
				    step_words(s, &arena));
	}
	if (p->why.type) {
		is_str(p->why.type, "Available");
		is_str(p->why.status, "False");
		text = arena_printf(&arena, "%s%srefused %s: %s", text, *text ? "; " : "",
				    p->why.reason, p->why.message);
	}
	return text;
}

attr_unused static const char *cut_says(cut_plan_fn *plan)
{
	struct cut_plan p;

	cut_look();
	plan(&seen, &arena, &p);
	return cut_words(&p);
}

/* Looks, plans and does until nothing is left, at most so many times; *left: of steps before we die,
 * -1: we do not. What is refused for ever ends it, too. */
attr_unused static void cut_go(cut_plan_fn *plan, int turns, int *left)
{
	while (turns-- && *left) {
		struct cut_plan p;

		cut_look();
		plan(&seen, &arena, &p);
		seen.failed_at = 0;
		if (!p.steps.n) {
			return;
		}
		list_each(s, &p.steps) {
			*left -= *left > 0;
			if (!*left) {
				return;
			}
			if (!card_do(&card, s)) {
				seen.failed_at = s->at;
				break;
			}
		}
	}
}

attr_unused static void cut_end(void)
{
	arena_finish(&arena);
}
