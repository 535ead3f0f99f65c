/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_sriov.h"

#include "base/test.h"
#include "node-daemon/cut_test.h"

/* A card of Intel's kind: plain functions, 8 at most. */
static void begin_plain(int64_t vfs)
{
	cut_begin(VGPU_NONE, 0x56c0, 8, WANT_HOST);
	card.f.ids.vendor = 0x8086;
	card.f.driver = "i915";
	order.vfs = vfs;
}

static void begin_nvidia(int64_t vfs)
{
	cut_begin(VGPU_VENDOR, 0x26b9, 32, WANT_VGPU);
	card.tool_made = true;
	order.vfs = vfs;
}

static const char *says(void)
{
	return cut_says(plan_sriov);
}

static void plain_functions(void)
{
	begin_plain(-1);
	is_str(says(), "");
	begin_plain(0);
	is_str(says(), "");
	begin_plain(4);
	is_str(says(), "set sriov_drivers_autoprobe of 0000:41:00.0 to 0, set sriov_numvfs of "
		       "0000:41:00.0 to 4, see the virtual functions of 0000:41:00.0 be 4");
	card.numvfs = 4;
	is_str(says(), "");
	order.vfs = 8;
	is_str(says(), "set sriov_numvfs of 0000:41:00.0 to 0, see the virtual functions of "
		       "0000:41:00.0 be 0");
	order.vfs = 0;
	is_str(says(), "set sriov_numvfs of 0000:41:00.0 to 0, see the virtual functions of "
		       "0000:41:00.0 be 0");
	order.vfs = -1;
	is_str(says(), "");
	orders.items.n = 0;
	is_str(says(), "");
}

static void functions_of_nvidia(void)
{
	begin_nvidia(32);
	is_str(says(), "ask the vendor's tools for 0000:41:00.0 the work sriov-manage -e, see the "
		       "virtual functions of 0000:41:00.0 be 32");
	card.numvfs = 32;
	is_str(says(), "");
	order.vfs = 0;
	is_str(says(), "ask the vendor's tools for 0000:41:00.0 the work sriov-manage -d, see the "
		       "virtual functions of 0000:41:00.0 be 0");
	/* unused vGPUs go first, and with them a program */
	card_create(&card, 2, 1148, "");
	is_str(says(),
	       "set current_vgpu_type of 0000:41:00.6 to 0, see 0000:41:00.6 carry the vGPU "
	       "type 0");
	card_create(&card, 5, 1148, "");
	has(says(), "type 0, set current_vgpu_type of 0000:41:01.1 to 0, see 0000:41:01.1 carry");
	card_remove(&card, 5);
	card.face = VGPU_MDEV;
	card_create(&card, 1, 1148, "6b4c2f16-0000-4000-8000-00000000abcd");
	card_remove(&card, 2);
	is_str(says(), "remove from 0000:41:00.5 the mediated device "
		       "6b4c2f16-0000-4000-8000-00000000abcd, see on 0000:41:00.5 the state of "
		       "6b4c2f16-0000-4000-8000-00000000abcd");
}

/* A program has room for so many; the rest follow with the next one. */
static void many_vgpus(void)
{
	for (size_t n = CUT_PLACES - 1; n <= CUT_PLACES + 1; n++) {
		struct cut_plan p;

		begin_nvidia(0);
		card.numvfs = 32;
		for (size_t i = 0; i < n; i++) {
			card_create(&card, (int)i, 1148, "");
		}
		cut_look();
		plan_sriov(&seen, &arena, &p);
		is_int(p.steps.n, 2 * MIN(n, (size_t)CUT_PLACES));
	}
}

static void what_is_in_use_stays(void)
{
	for (int vfs = 0; vfs <= 8; vfs += 2) {
		begin_plain(vfs);
		card.numvfs = 4;
		card.held[3] = true;
		is_str(says(), vfs == 4 ? ""
					: "refused InUse: 0000:41:00.7 is used by pod a/b, and a "
					  "change of the number of virtual functions takes all of "
					  "them away; it is changed when that has ended");
		card.held[3] = false;
		seen.looked = false;
		if (vfs != 4) {
			has(says(),
			    "refused InUse: 0000:41:00.4 is used by somebody whom this daemon "
			    "cannot see, and a change");
		}
	}
	begin_plain(4); /* from none nothing is taken away */
	seen.looked = false;
	has(says(), "set sriov_numvfs of 0000:41:00.0 to 4");
	begin_plain(0);
	card.numvfs = 4;
	cut_look();
	uses[seen.uses.n++] = (struct cut_use){CARD_AT, "", "process 12 (x)"};
	{
		struct cut_plan p;

		plan_sriov(&seen, &arena, &p);
		is_str(cut_words(&p),
		       "refused InUse: 0000:41:00.0 is used by process 12 (x); it is "
		       "changed when that has ended");
	}
}

static void what_cannot_be(void)
{
	begin_plain(4);
	card.f.driver = "";
	is_str(says(),
	       "refused NoHostDriver: 0000:41:00.0 has no driver, and virtual functions are "
	       "made by one; load the driver of its vendor");
	card.f.driver = "vfio-pci";
	has(says(),
	    "refused NoHostDriver: 0000:41:00.0 is on vfio-pci, and virtual functions are ");
	begin_plain(9);
	has(says(),
	    "refused TooManyFunctions: 0000:41:00.0 can have 8 virtual functions, and 9 are");
	begin_nvidia(16);
	has(says(), "refused AllOrNone: 0000:41:00.0 gets all 32 virtual functions from NVIDIA's");
	begin_nvidia(32);
	card.f.boot_display = true;
	has(says(), "refused BootDisplay: 0000:41:00.0 shows the firmware's console, which");
	begin_plain(4);
	card.f.unsure = true;
	card.f.trouble = "0000:41:00.0: driver: Invalid argument";
	has(says(), "refused Unreadable: 0000:41:00.0: driver: Invalid argument; nothing is done");
	begin_plain(4);
	card.f.half_seen = true;
	has(says(), "refused Unreadable: its virtual functions do not all show; nothing is done");
	begin_plain(4);
	book.whose = BOOK_QUARANTINED;
	book.why = "another card";
	is_str(says(), "refused Quarantined: another card");
	book.whose = BOOK_NONE;
	seen.refusal = "no journal";
	is_str(says(), "refused NothingWritten: no journal");
	begin_plain(4);
	card.numvfs = 4;
	cut_look();
	card.vfs[1].gone = true;
	{
		struct cut_plan p;

		plan_sriov(&seen, &arena, &p);
		has(cut_words(&p), "refused Unreadable: 0000:41:00.5 is a virtual function of the "
				   "card and not on the bus; it is looked at again");
	}
}

/* --- where it leads ------------------------------------------------------------------------ */

static const struct {
	int have, want;
} changes[] = {{0, 4}, {4, 0}, {4, 8}, {8, 1}, {0, 8}, {4, 4}};

static void set_up(size_t i, bool nvidia)
{
	if (nvidia) {
		begin_nvidia(changes[i].want ? 32 : 0);
		card.numvfs = changes[i].have ? 32 : 0;
		card_create(&card, 0, 1148, "");
		card_create(&card, 7, 1148, "");
	} else {
		begin_plain(changes[i].want);
		card.numvfs = changes[i].have;
	}
}

static void deaths(void)
{
	int runs = 0;

	for (size_t i = 0; i < 2 * ARRAY_LEN(changes); i++) {
		bool nvidia = i >= ARRAY_LEN(changes), died = true;

		for (int k = 1; died; k++, runs++) {
			int left = k, none = -1;

			set_up(i % ARRAY_LEN(changes), nvidia);
			cut_go(plan_sriov, 10, &left);
			died = left == 0;
			if (died && k % 2) {
				card_reboot(&card);
			}
			cut_go(plan_sriov, 10, &none);
			is_int(card.numvfs, order.vfs);
			is_str(says(), "");
			is_int(card.killed, 0);
		}
	}
	ok(runs > 25);
}

/* Whoever uses a function keeps it, and nothing is written for it. */
static void used_ones(void)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		int none = -1;

		set_up(i, false);
		if (!card.numvfs || card.numvfs == order.vfs) {
			continue;
		}
		card.held[0] = true;
		cut_go(plan_sriov, 10, &none);
		is_int(card.numvfs, changes[i].have);
		is_int(card.writes, 0);
	}
}

/* A tool that fails, lies, or does it while it says that it failed. */
static void tools(void)
{
	int none = -1;

	begin_nvidia(32);
	card.tool_says = "0";
	cut_go(plan_sriov, 5, &none);
	is_int(card.numvfs, 0);
	is_int(card.writes, 5);
	card.tool_says = "1";
	cut_go(plan_sriov, 5, &none);
	is_int(card.numvfs, 0);
	card.numvfs = 32; /* its links decide */
	is_str(says(), "");
	card.numvfs = 12; /* it stopped on the way */
	has(says(), "the work sriov-manage -d");
	card.tool_says = NULL;
	cut_go(plan_sriov, 5, &none);
	is_int(card.numvfs, 32);
}

static void refused_steps(void)
{
	static const enum step_verb verbs[] = {STEP_AUTOPROBE, STEP_VFS, STEP_EXPECT_VFS};

	for (size_t i = 0; i < ARRAY_LEN(verbs) * ARRAY_LEN(changes); i++) {
		int none = -1;

		set_up(i % ARRAY_LEN(changes), false);
		card.no = verbs[i / ARRAY_LEN(changes)];
		cut_go(plan_sriov, 5, &none);
		card.no = STEP_VERBS;
		cut_go(plan_sriov, 5, &none);
		is_int(card.numvfs, order.vfs);
	}
}

static void nothing_stays(void)
{
	cut_end();
}

TESTS({"plain functions are made through none", plain_functions},
      {"those of NVIDIA by its tool, unused vGPUs first", functions_of_nvidia},
      {"as many vGPUs go at once as a program has room for", many_vgpus},
      {"what is in use stays", what_is_in_use_stays}, {"what cannot be is said", what_cannot_be},
      {"killed between any two steps it comes to the same end", deaths},
      {"used functions are never taken away", used_ones}, {"tools are not believed", tools},
      {"a step that was refused for a while changes no end", refused_steps},
      {"nothing stays", nothing_stays})
