/* SPDX-License-Identifier: Apache-2.0 */
/* vGPUs on demand: what is offered, made, refused and removed. */
#include "node-daemon/vgpu_node_test.h"

/* --- tables -------------------------------------------------------------------------------- */

static void ids(void)
{
	static const struct {
		const char *text;
		uint64_t card;
		int64_t index; /* -1: it is none */
	} rows[] = {
		{"0000:41:00.0/0", 0x4100, 0},
		{"0000:41:00.0/31", 0x4100, 31},
		{"10000:e1:00.0/4", 0x10000e100, 4},
		{"0000:41:00.0/4095", 0x4100, 4095},
		{"0000:41:00.0/4096", 0, -1},
		{"0000:41:00.0/", 0, -1},
		{"0000:41:00.0", 0, -1},
		{"0000:41:00.0/-1", 0, -1},
		{"0000:41:00.0/+1", 0, -1},
		{"0000:41:00.0/01", 0, -1},
		{"0000:41:00.0/00", 0, -1},
		{"0000:41:00.0/1/2", 0, -1},
		{"../0000:41:00.0/1", 0, -1},
		{"41:00.0/1", 0, -1},
		{"/1", 0, -1},
		{"", 0, -1},
		{"0000:41:00.0/1 ", 0, -1},
		{"0000:41:00.0000000000000/1", 0, -1},
	};

	arena_init(&arena, MiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vgpu_id id = {0, -1};

		is_int(vgpu_id_parse(rows[i].text, &id), rows[i].index < 0 ? -1 : 0);
		is_int(id.index, rows[i].index);
		is_int(id.card, rows[i].card);
		if (rows[i].index >= 0) {
			is_str(vgpu_id_text(id, &arena), rows[i].text);
		}
	}
}

static void counts_follow(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	is_str(devices(Q4), "0 1 2 3 4 5 6 7 8 9 10 11");
	is_str(devices(Q24), "0 1");
	is_int(ask(5, Q4), DONE);
	is_int(card.vgpus[0].id, 1150);
	is_str(devices(Q4), "0 1 2 3 4 5* 6 7 8 9 10 11");
	is_str(devices(A4), "0 1 2 3 4 6 7 8 9 10 11");
	is_str(devices(Q24), "");
	is_int(ask(0, A4), DONE);
	is_str(devices(Q4), "1 2 3 4 5* 6 7 8 9 10 11");
	is_int(ask(5, Q4), DONE); /* again: it is there */
	is_int(card.writes, 2);
	card_remove(&card, 0); /* somebody removed it under its pod */
	is_str(devices(Q4), "1 2 3 4 5! 6 7 8 9 10 11");
	order.want = WANT_HOST; /* no more are made; what a pod has stays listed */
	is_str(devices(Q4), "5!");
	is_str(devices(A4), "0*");
	is_str(devices(Q24), "");
}

static void refusals(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	is_int(ask(1, Q24), REFUSED);
	has(last_why,
	    "0000:41:00.0/1: NVIDIA L40S-24Q: the card carries vGPUs of 4096 MiB and takes "
	    "no other size beside them; creatable now: NVIDIA L40S-4Q, NVIDIA L40S-4A");
	is_int(ask(0, A4), REFUSED); /* two types asked for at once by one number */
	has(last_why,
	    "0000:41:00.0/0: it is a NVIDIA L40S-4Q by now; creatable now: NVIDIA L40S-4Q,");
	is_int(ask(1, "NVIDIA L40S-5Q"), REFUSED);
	has(last_why, "0000:41:00.0/1: the card has no vGPU type NVIDIA L40S-5Q; creatable now: ");
	is_int(allocate(free_pod(), (struct vgpu_id){0x9900, 0}, Q4, &none), REFUSED);
	is_str(last_why, "0000:99:00.0/0: no card is there");
	for (int i = 1; i < 12; i++) {
		is_int(ask(i, Q4), DONE);
	}
	is_int(ask(12, Q4), REFUSED);
	has(last_why, "NVIDIA L40S-4Q: 12 vGPUs are made, and the card takes 12 of this type");
	cut_slot(card_vf(0), Q4);
	is_int(ask(13, Q4), REFUSED);
	is_str(last_why, "0000:41:00.0/13: its card is not cut on demand now; see its orders in "
			 "GPUNode.spec");
	order.slots.n = 0;
	book.whose = BOOK_QUARANTINED;
	is_int(ask(13, Q4), REFUSED);
	has(last_why, "is not cut on demand now; ");
	begin(VGPU_MDEV, 0x25b6, 16);
	orders.permitted.n = 0;
	is_str(devices("NVIDIA A2-4Q"), "");
	is_int(ask(0, "NVIDIA A2-4Q"), REFUSED);
	is_str(last_why,
	       "0000:41:00.0/0: the KubeVirt CR does not name NVIDIA A2-4Q as served from "
	       "outside, and KubeVirt would delete it");
	begin(VGPU_VENDOR, 0x26b9, 32); /* which it does not delete */
	orders.permitted.n = 0;
	is_int(ask(0, Q4), DONE);
}

/* Two that are asked for before the first is made. */
static void two_at_once(void)
{
	struct vgpu_plan one, two;

	begin(VGPU_VENDOR, 0x26b9, 2);
	look();
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 0}, Q4, &arena, &one);
	ok(!one.why);
	append_slot(&one.before);
	in_use[node.uses.n++] = (struct cut_use){one.at, one.uuid, "an Allocate"};
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 1}, A4, &arena, &two);
	ok(!two.why && two.at != one.at);
	is_int(n_free(Q4), 1);
	append_slot(&two.before);
	in_use[node.uses.n++] = (struct cut_use){two.at, two.uuid, "an Allocate"};
	is_int(n_free(Q4), 0);
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 1}, A4, &arena, &one);
	ok(!one.why && one.at == two.at); /* its own promise keeps it from nothing */
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 2}, Q4, &arena, &one);
	is_str(one.why,
	       "0000:41:00.0/2: others that were asked for before are being made, and then "
	       "no more fits");
}

static void types_are_named(void)
{
	const char **names;
	size_t n;

	begin(VGPU_MDEV, 0x25b6, 16);
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 30); /* the A2's, and those of the A16, which has its id */
	for (size_t i = 1; i < n; i++) {
		ok(strcmp(names[i - 1], names[i]) < 0);
	}
	is_int(ask(0, "NVIDIA A2-4Q"), DONE);
	order.want = WANT_HOST;
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 1);
	is_str(names[0], "NVIDIA A2-4Q");
}

/* Seed 003: with 4A and 4Q ordered the node counts 4C, too, and none of it; nothing of another size. */
static void types_that_take_turns(void)
{
	const char **names;
	size_t n;

	begin(VGPU_MDEV, 0x25b6, 16);
	cut_slot(card_vf(0), "NVIDIA A2-4Q");
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 0); /* nothing is made yet */
	ok(card_create(&card, 0, 746, "6b4c2f16-0000-4000-8000-00000000abcd"));
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 6);				  /* with the A16's */
	memset(arena_alloc(&arena, KiB), 0, KiB); /* they have room of their own */
	is_str(names[3], "NVIDIA A2-4A");
	is_str(names[4], "NVIDIA A2-4C");
	is_str(devices("NVIDIA A2-4C"), "");
	ok(vgpu_beside(&node, "NVIDIA A2-4C") == &units.items[0]);
	ok(!vgpu_beside(&node, "NVIDIA A2-2Q"));
	order.want = WANT_HOST;
	ok(!vgpu_beside(&node, "NVIDIA A2-4C"));
	begin(VGPU_VENDOR, 0x26b9, 8);
	card.mixed = true;
	cut_slot(card_vf(0), Q4);
	ok(card_create(&card, 0, 1150, ""));
	look();
	ok(!vgpu_beside(&node, A4)); /* which sizes take turns is not told */
}

/* hypeman-kohakuriver.md H10: what is removed, and what stays. */
static void what_is_removed(void)
{
	static const struct {
		const char *what;
		bool ours, used, looked, refound; /* refound: its UUID is another's by now */
		int left, records;
	} rows[] = {
		{"ours and unused", true, false, true, false, 0, 0},
		{"ours and used", true, true, true, false, 1, 1},
		{"ours and nobody can say", true, false, false, false, 1, 1},
		{"foreign", false, false, true, false, 1, 0},
		{"foreign on our function", true, false, true, true, 1, 0},
		{"foreign on our function, used", true, true, true, true, 1, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vgpu_tidying t;

		begin(VGPU_MDEV, 0x25b6, 16);
		if (rows[i].ours) {
			is_int(ask(0, "NVIDIA A2-4Q"), DONE);
		} else {
			card_create(&card, 0, 746, "6b4c2f16-0000-4000-8000-00000000abcd");
		}
		if (rows[i].refound) {
			card_remove(&card, 0);
			card_create(&card, 0, 746, "6b4c2f16-0000-4000-8000-00000000abcd");
			card.killed = 0;
		}
		if (!rows[i].used && pods[0].type) {
			end_pod(&pods[0]);
		}
		for (int turn = 0; turn < 4; turn++) {
			look();
			node.looked = rows[i].looked;
			vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
			list_each(s, &t.noted) {
				append_slot(s);
			}
			list_each(s, &t.before) {
				append_slot(s);
			}
			run(&t.steps, &none);
		}
		if (!!card.vgpus[0].id != rows[i].left || (int)journal.slots.n != rows[i].records) {
			printf("# %s\n", rows[i].what);
		}
		is_int(!!card.vgpus[0].id, rows[i].left);
		is_int(journal.slots.n, rows[i].records);
		is_int(card.killed, 0);
	}
}

/* One that cannot be removed keeps nobody else. */
static void one_stays(void)
{
	struct vgpu_tidying t;
	int64_t size;

	begin(VGPU_VENDOR, 0x26b9, 32);
	for (int i = 0; i < 12; i++) {
		is_int(ask(i, Q4), DONE);
	}
	for (int i = 0; i < 12; i++) {
		end_pod(&pods[i]);
	}
	card.no = STEP_TYPE;
	card.no_at = card_vf(2);
	for (uint64_t failed = 0, i = 0; i < 6; i++) {
		look();
		vgpu_tidy(&node, &units.items[0], failed, &arena, &t);
		is_int(t.steps.n, i ? t.steps.n : 2 * CUT_PLACES);
		ok(i || t.steps.items[0].at == card_vf(0));
		failed = 0;
		list_each(s, &t.noted) {
			append_slot(s);
		}
		list_each(s, &t.before) {
			append_slot(s);
		}
		list_each(s, &t.steps) {
			if (!card_do(&card, s)) {
				failed = s->at;
				break;
			}
		}
	}
	is_int(card_made(&card, &size), 1);
	is_int(card.vgpus[2].id, 1150);
	is_int(journal.slots.n, 1);
	card.no = STEP_VERBS;
	is_int(tidy(&none), DONE);
	is_int(card_made(&card, &size), 0);
}

/* Of a full card the driver lists nothing, and the table lacks the number. */
static void types_without_a_name(void)
{
	struct vgpu_device_list l;
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	look();
	card.vfs[0].type = "9999";
	vgpu_devices(&node, Q4, &arena, &l);
	ok(l.items[0].made && l.items[0].healthy);
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.noted.n + t.steps.n, 0);
	end_pod(&pods[0]);
	look();
	card.vfs[0].type = "9999";
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.noted.n, 0);
	is_int(t.steps.n, 2);
}

/* Its removal has begun, and is not done. */
static void half_removed(void)
{
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(3, Q4), DONE);
	end_pod(&pods[0]);
	look();
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.before.n, 1);
	append_slot(&t.before.items[0]);
	is_int(ask(3, Q4), REFUSED);
	is_str(last_why, "0000:41:00.0/3: it is being removed; the next asker gets another one");
	look();
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.before.n, 0); /* that is said */
	is_int(t.steps.n, 2);
	is_int(run(&t.steps, &none), DONE);
	is_int(ask(3, Q4), DONE);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
}

/* What an older boot had is forgotten, also while nobody can say who uses what. */
static void older_boots(void)
{
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	reboot();
	look();
	node.looked = false;
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.noted.n, 1);
	is_str(t.noted.items[0].state, "");
	is_int(t.before.n + t.steps.n, 0);
	is_str(devices(Q4), "0 1 2 3 4 5 6 7 8 9 10 11"); /* nor does it keep its number */
}

static void nothing_stays(void)
{
	journal_finish(&journal);
	buf_finish(&file);
	cut_end();
}

TESTS({"ids are a card and a number", ids},
      {"every type that fits is offered, and the counts follow", counts_follow},
      {"what cannot be is said, with what can", refusals},
      {"two at once do not take the same place", two_at_once},
      {"types have their resources", types_are_named},
      {"types that take turns are counted, and none of them", types_that_take_turns},
      {"only what is ours and unused is removed", what_is_removed},
      {"one that cannot be removed keeps nobody else", one_stays},
      {"a type without a name is not taken for another", types_without_a_name},
      {"what is half removed is given to nobody", half_removed},
      {"what an older boot had is forgotten", older_boots}, {"nothing stays", nothing_stays})
