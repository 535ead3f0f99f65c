/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a vGPU, and its end. */
#include "node-daemon/demand_hand_test.h"

static void who_has_it_open(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	is_str(eyes_words(0, &arena), "0000:41:00.4: 0000:41:00.4=nvidia*");
	eyes_say(0, 0, BIND_USERS_SOME, "process 1 (qemu)");
	is_int(news, 2);
	turn();
	is_str(state_of(ID(0)), "returning");
	uses_beat(uses_of, now);
	turn();
	eyes_say(0, 0, BIND_USERS_UNKNOWN, "no answer");
	turn();
	is_str(state_of(ID(0)), "returning");
	uses_beat(uses_of, now);
	turn();
	is_int(n_asked, 1);
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	end_node();
	begin_node(VGPU_MDEV, 0x25b6, 4);
	ask_for(1, "nvidia.com/NVIDIA_A2-4Q", ID(0), NULL);
	turn();
	{
		auto_free char *path =
			xprintf("bus/mdev/devices/%s/iommu_group", journal.slots.items[0].uuid);

		tree_link(&tree, path, "../../../../kernel/iommu_groups/77");
	}
	make_it(0, NULL);
	turn();
	show("p", ID(0), NULL);
	end_of_pod();
	is_str(eyes_words(0, &arena), arena_printf(&arena, "0000:41:00.4: 0000:41:00.4=nvidia*%s",
						   journal.slots.items[0].uuid));
	end_node(); /* with a question that is open */
}

/* What is not there nobody has open. */
static void nobody_to_ask(void)
{
	for (int i = 0; i < 3; i++) {
		begin_node(VGPU_VENDOR, 0x26b9, 4);
		give(1, ID(0));
		show("p", ID(0), NULL);
		if (i == 0) {
			card.numvfs = 0;
		} else if (i == 1) {
			journal.slots.items[0].vf = "x";
		} else {
			journal.slots.n = 0;
		}
		n_has = 0;
		uses_beat(uses_of, now);
		turn();
		is_int(n_asked, 0);
		ok(!str_eq(state_of(ID(0)), "held"));
		end_node();
	}
}

static void its_end(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	looks = news = 0;
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	is_int(looks, 1);
	is_int(news, 2);
	is_str(state_of(ID(0)), "returning");
	demand_given(demand, &arena, &node.uses);
	is_int(node.uses.n, 0);	      /* it is nobody's, or nobody could remove it */
	demand_remove(demand, ID(0)); /* once more */
	is_str(turn(), "");
	is_int(looks, 1);
	tidy_up();
	is_str(turn(), "");
	is_int(card.vgpus[0].id, 0);
	tidy_up(); /* then it is forgotten */
	is_str(turn(), "");
	is_str(turn(), "");
	is_str(state_of(ID(0)), "free");
	is_int(journal.slots.n, 0);
	is_str(turn(), "");
	/* with a journal that takes nothing it stays, as it was left, and is for nobody */
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	disk = "no room";
	eyes_see_nobody();
	turn();
	turn();
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
	is_str(state_of(ID(0)), "dirty");
	disk = NULL;
	now += USES_DIRTY_FIRST_MS;
	turn();
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; ");
	end_node();
}

/* One that is ordered is made anew at once, and is free then. */
static void made_anew(void)
{
	struct journal_slot s;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	show("p", ID(0), NULL);
	end_of_pod();
	eyes_see_nobody();
	turn();
	s = journal.slots.items[0];
	s.state = JOURNAL_MADE;
	append_slot(&s);
	turn();
	is_str(state_of(ID(0)), "free");
	demand_given(demand, &arena, &node.uses);
	is_int(node.uses.n, 0);
	end_node();
}

static void who_has_what(void)
{
	struct report_obeyed report = {0};
	struct cut_use_list uses_now;

	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	give(2, ID(1));
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 2);
	is_int(uses_now.items[1].at, card_vf(1));
	is_str(uses_now.items[0].holder, "a pod that is being started");
	is_str(uses_now.items[0].uuid, "");
	show("p", ID(1), NULL);
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 2);
	is_str(uses_now.items[1].holder, "pod n/p");
	demand_report(demand, &arena, &report);
	is_int(report.slots.n, 1);
	is_str(report.slots.items[0].vf, "0000:41:00.5");
	is_str(report.slots.items[0].uuid, "");
	is_str(report.slots.items[0].holder, "n/p");
	boot[0]++; /* of an older boot nothing is there */
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 0);
	boot[0]--;
	journal.slots.items[1].vf = "x";
	demand_given(demand, &arena, &uses_now);
	is_int(uses_now.n, 1);
	end_node();
}

TESTS({"who has it open", who_has_it_open}, {"what is not there nobody has open", nobody_to_ask},
      {"its end is its removal", its_end}, {"made anew it is free", made_anew},
      {"who has what", who_has_what})
