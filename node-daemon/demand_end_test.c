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
	for (int i = 0; i < 5; i++) {
		begin_node(VGPU_VENDOR, 0x26b9, 4);
		give(1, ID(0));
		show("p", ID(0), NULL);
		if (i == 0) {
			card.numvfs = 0;
		} else if (i == 1) {
			journal.slots.items[0].vf = "x";
		} else if (i == 2) {
			journal.slots.items[0].vf = "0000:55:00.0";
		} else if (i == 3) {
			obey_has = NULL;
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
	is_int(looks, 2); /* it may have been going when the daemon began */
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
	struct uses_view v;

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
	for (size_t i = 0; uses_each(uses_of, i, &v); i++) {
		if (str_eq(v.id, ID(0))) {
			is_str(v.method, "removal");
			is_int(v.ms, 0);
			ok(v.reset_ok);
		}
	}
	ask_for(3, R4, ID(0), NULL); /* nothing is to be made for the next one */
	is_str(turn(), "reply 3 6 &PCI_RESOURCE_NVIDIA_COM_NVIDIA_L40S-4Q 0000:41:00.4 % "
		       "/dev/vfio/vfio /dev/vfio/vfio mrw # /dev/vfio/100 /dev/vfio/100 mrw; ");
	is_int(n_started, 0);
	end_node();
}

/* Each by itself. */
static void two_ends(void)
{
	begin_node(VGPU_VENDOR, 0x26b9, 4);
	give(1, ID(0));
	give(2, ID(1));
	give(3, ID(2));
	pod = "p";
	has_ids[0] = ID(0);
	has_ids[1] = ID(1);
	has_ids[2] = ID(2);
	n_has = 3;
	now += USES_SHOW_FIRST_MS;
	turn();
	end_of_pod();
	is_int(n_asked, 3);
	eyes_see_nobody();
	is_str(turn(), "dropping 0 synced; dropping 1 synced; dropping 2 synced; ");
	demand_given(demand, &arena, &node.uses);
	is_int(node.uses.n, 0);
	journal.slots.items[1].state = JOURNAL_MADE; /* one is there again */
	turn();
	is_str(state_of(ID(0)), "returning");
	is_str(state_of(ID(1)), "free");
	is_str(state_of(ID(2)), "returning");
	journal.slots.items[2].state = JOURNAL_MADE;
	turn();
	is_str(state_of(ID(2)), "free");
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
	uses_beat(uses_of, now);
	show("q", ID(0), ID(1));
	report = (struct report_obeyed){0};
	demand_report(demand, &arena, &report);
	is_int(report.slots.n, 2);
	is_str(report.slots.items[0].vf, "0000:41:00.4");
	is_str(report.slots.items[0].holder, "n/q");
	demand_given(demand, &arena, &uses_now);
	is_str(uses_now.items[0].holder, "pod n/q");
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
      {"each end is one by itself", two_ends}, {"who has what", who_has_what})
