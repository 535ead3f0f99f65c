/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plan_slots.h"

#include "base/test.h"
#include "node-daemon/cut_test.h"

#define U "6b4c2f16-0000-4000-8000-00000000abcd"

static void begin_vendor(void)
{
	cut_begin(VGPU_VENDOR, 0x26b9, 32, WANT_VGPU); /* L40S */
	card.numvfs = 32;
}

static void begin_mdev(void)
{
	cut_begin(VGPU_MDEV, 0x25b6, 16, WANT_VGPU); /* A2 */
	card.numvfs = 16;
}

static void begin_legacy(void)
{
	cut_begin(VGPU_MDEV, 0x1eb8, 0, WANT_VGPU); /* T4 */
}

static const char *says(void)
{
	return cut_says(plan_slots);
}

static void slots_are_made(void)
{
	const char *uuid;

	begin_vendor();
	is_str(says(), "");
	cut_slot(card_vf(3), "NVIDIA L40S-2Q");
	is_str(says(),
	       "see 0000:41:00.7 offer the vGPU type 1148, set current_vgpu_type of 0000:41:00.7 to "
	       "1148, see 0000:41:00.7 carry the vGPU type 1148");
	card_create(&card, 3, 1148, "");
	is_str(says(), "");
	order.want = WANT_HOST;
	order.slots.n = 0;
	is_str(says(), ""); /* nobody orders its vGPUs away */
	begin_mdev();
	cut_slot(card_vf(0), "NVIDIA A2-4Q");
	uuid = cut_uuid("node1", "boot1", card_vf(0), "NVIDIA A2-4Q 0", &arena);
	is_str(says(), arena_printf(&arena,
				    "see 0000:41:00.4 offer the vGPU type nvidia-746, make on "
				    "0000:41:00.4 the mediated device %s nvidia-746, see on "
				    "0000:41:00.4 the state of %s nvidia-746",
				    uuid, uuid));
	card_create(&card, 0, 746, U);
	is_str(says(), ""); /* whoever made it: it is what is ordered */
}

/* Of a full card the driver lists nothing, and the table lacks the number. */
static void types_without_a_name(void)
{
	struct cut_plan p;

	begin_vendor();
	cut_slot(card_vf(3), "NVIDIA L40S-12C");
	card_create(&card, 3, 1153, "");
	card_create(&card, 4, 1153, "");
	cut_look();
	card.vfs[3].type = card.vfs[4].type = "9999";
	plan_slots(&seen, &arena, &p);
	is_str(cut_words(&p),
	       "set current_vgpu_type of 0000:41:01.0 to 0, see 0000:41:01.0 carry the "
	       "vGPU type 0");
}

static void what_is_not_ordered_goes_first(void)
{
	begin_vendor();
	cut_slot(card_vf(3), "NVIDIA L40S-2Q");
	card_create(&card, 3, 1147, "");
	card_create(&card, 5, 1147, "");
	is_str(says(),
	       "set current_vgpu_type of 0000:41:00.7 to 0, see 0000:41:00.7 carry the vGPU "
	       "type 0, set current_vgpu_type of 0000:41:01.1 to 0, see 0000:41:01.1 carry "
	       "the vGPU type 0");
	card.held[3] = true;
	is_str(says(),
	       "set current_vgpu_type of 0000:41:01.1 to 0, see 0000:41:01.1 carry the vGPU "
	       "type 0; refused InUse: 0000:41:00.7 carries NVIDIA L40S-1Q, which is not "
	       "ordered and used by pod a/b; it is changed when that has ended");
	card_remove(&card, 5);
	is_str(says(),
	       "refused InUse: 0000:41:00.7 carries NVIDIA L40S-1Q, which is not ordered and "
	       "used by pod a/b; it is changed when that has ended");
	card.held[3] = false;
	seen.looked = false;
	has(says(),
	    "refused InUse: 0000:41:00.7 carries NVIDIA L40S-1Q, which is not ordered and used "
	    "by somebody whom this daemon cannot see; ");
	begin_mdev();
	cut_slot(card_vf(0), "NVIDIA A2-4Q");
	card_create(&card, 1, 746, U);
	is_str(says(),
	       "remove from 0000:41:00.5 the mediated device " U ", see on 0000:41:00.5 the "
	       "state of " U);
}

static void big_ones_first(void)
{
	begin_vendor();
	card.mixed = true;
	cut_slot(card_vf(0), "NVIDIA L40S-1Q");
	cut_slot(card_vf(1), "NVIDIA L40S-24Q");
	cut_slot(card_vf(2), "NVIDIA L40S-8Q");
	is_str(says(),
	       "see 0000:41:00.5 offer the vGPU type 1155, set current_vgpu_type of 0000:41:00.5 to "
	       "1155, see 0000:41:00.5 carry the vGPU type 1155, "
	       "see 0000:41:00.6 offer the vGPU type 1152, set current_vgpu_type of 0000:41:00.6 to "
	       "1152, see 0000:41:00.6 carry the vGPU type 1152, "
	       "see 0000:41:00.4 offer the vGPU type 1147, set current_vgpu_type of 0000:41:00.4 to "
	       "1147, see 0000:41:00.4 carry the vGPU type 1147");
	seen.failed_at = card_vf(2); /* the others are not kept waiting by it */
	has(says(), "see 0000:41:00.4 offer the vGPU type 1147, set");
	ok(str_starts(says(), "see 0000:41:00.4 offer"));
	seen.failed_at = card_vf(0);
	ok(str_starts(says(), "see 0000:41:00.5 offer"));
	seen.failed_at = card_vf(1);
	ok(str_starts(says(), "see 0000:41:00.6 offer"));
	seen.failed_at = 0x9999;
	ok(str_starts(says(), "see 0000:41:00.5 offer"));
}

static void what_cannot_be(void)
{
	begin_vendor();
	card.numvfs = 0;
	cut_slot(card_vf(0), "NVIDIA L40S-2Q");
	is_str(says(),
	       "refused NoSuchFunction: 0000:41:00.4 is no virtual function of the card; order "
	       "vfs, or slots on functions that are there");
	begin_vendor();
	cut_slot(card_vf(0), "NVIDIA L40S-5Q");
	cut_slot(card_vf(1), "NVIDIA L40S-2Q");
	has(says(),
	    "see 0000:41:00.5 carry the vGPU type 1148; refused UnknownType: 0000:41:00.4 has "
	    "no type NVIDIA L40S-5Q; order one of");
	begin_mdev();
	orders.permitted.n = 0;
	cut_slot(card_vf(0), "NVIDIA A2-4Q");
	is_str(says(),
	       "refused NotPermitted: 0000:41:00.4 gets no NVIDIA A2-4Q yet: KubeVirt would "
	       "delete a mediated device of it; it is made when the KubeVirt CR names its type "
	       "as served from outside");
	begin_vendor(); /* which KubeVirt does not delete */
	orders.permitted.n = 0;
	cut_slot(card_vf(0), "NVIDIA L40S-2Q");
	has(says(), "see 0000:41:00.4 offer the vGPU type 1148, ");
	book.whose = BOOK_QUARANTINED;
	book.why = "another card";
	is_str(says(), "refused Quarantined: another card");
	book.whose = BOOK_NONE;
	cut_look();
	card.vfs[0].face = VGPU_NONE;
	card.vfs[0].driver = "vfio-pci";
	{
		struct cut_plan p;

		plan_slots(&seen, &arena, &p);
		is_str(cut_words(&p),
		       "refused NoVGPUs: 0000:41:00.4 offers no vGPUs: its driver is "
		       "vfio-pci; the vGPU driver of the host must have it");
	}
}

static void a_card_without_functions(void)
{
	struct cut_plan p;

	begin_legacy();
	for (int i = 0; i < 3; i++) {
		cut_slot(CARD_AT, "GRID T4-4Q");
	}
	cut_look();
	plan_slots(&seen, &arena, &p);
	is_int(p.steps.n, 9);
	for (size_t i = 0; i < 9; i++) { /* each has a UUID of its own */
		for (size_t k = 0; k < i; k++) {
			ok(p.steps.items[i].verb != STEP_MDEV_MAKE ||
			   !str_eq(p.steps.items[i].value, p.steps.items[k].value));
		}
	}
	/* one that is there takes the UUID of another slot: it is used for none of the missing */
	ok(card_step(&card, &p.steps.items[4]));
	cut_look();
	plan_slots(&seen, &arena, &p);
	is_int(p.steps.n, 6);
	ok(card_step(&card, &p.steps.items[1]) && card_step(&card, &p.steps.items[4]));
	is_str(says(), "");
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < i; k++) {
			ok(!str_eq(card.vgpus[i].uuid, card.vgpus[k].uuid));
		}
	}
}

static void uuids(void)
{
	const char *one = cut_uuid("n", "b", 1, "x", &arena);

	is_str(one, "66718a38-54ce-86b8-b4ff-8a9fbf1aba4a"); /* of sha256("vmgpu n b 1 x") */
	ok(!str_eq(one, cut_uuid("m", "b", 1, "x", &arena)));
	ok(!str_eq(one, cut_uuid("n", "c", 1, "x", &arena)));
	ok(!str_eq(one, cut_uuid("n", "b", 2, "x", &arena)));
	ok(!str_eq(one, cut_uuid("n", "b", 1, "y", &arena)));
}

/* --- where it leads ------------------------------------------------------------------------ */

static uint64_t random_state;

static unsigned draw(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static const char *const sizes[3][3] = {
	{"NVIDIA L40S-2Q", "NVIDIA L40S-8Q", "NVIDIA L40S-12Q"},
	{"NVIDIA A2-4Q", "NVIDIA A2-2Q", "NVIDIA A2-8Q"},
	{"GRID T4-4Q", "GRID T4-8Q", "GRID T4-2Q"},
};
static const int most[3][3] = {{24, 6, 4}, {4, 8, 2}, {4, 2, 8}};
static const int type_ids[3][3] = {{1148, 1152, 1153}, {746, 745, 747}, {232, 233, 231}};

/* A card that carries something, ordered to carry so many of one size. */
static void set_up(int face, uint64_t seed)
{
	int size = (int)(seed % 3), n;

	random_state = seed;
	face == 0 ? begin_vendor() : face == 1 ? begin_mdev() : begin_legacy();
	cut_look(); /* names */
	n = 1 + (int)draw((unsigned)most[face][size]);
	for (int i = 0; i < n; i++) {
		cut_slot(card.total ? card_vf((i * 3) % card.numvfs) : CARD_AT, sizes[face][size]);
	}
	for (int i = 0; i < 6; i++) {
		auto_free char *uuid = xprintf("6b4c2f16-0000-4000-8000-00000000%04d", i);
		int at = (int)draw((unsigned)card_places(&card));

		card_create(&card, at, type_ids[face][seed / 3 % 3], uuid);
	}
}

static bool as_ordered(void)
{
	int64_t size;
	int n = card_made(&card, &size);

	for (size_t i = 0; i < order.slots.n && card.total; i++) {
		const struct card_vgpu *v = &card.vgpus[order.slots.items[i].at - card_vf(0)];

		if (!v->id ||
		    !vgpu_same_name(card_type(&card, v->id)->name, order.slots.items[i].type)) {
			return false;
		}
	}
	return n == (int)order.slots.n;
}

static void deaths(void)
{
	int runs = 0;

	for (int face = 0; face < 3; face++) {
		for (uint64_t seed = 0; seed < 9; seed++) {
			bool died = true;

			for (int k = 1; died; k++, runs++) {
				int left = k, none = -1;

				set_up(face, seed);
				cut_go(plan_slots, 20, &left);
				died = left == 0;
				if (died && k % 3 == 0) {
					int vfs = card.numvfs;

					card_reboot(&card);
					card.numvfs = vfs; /* plan_sriov.h's work */
					seen.boot = "boot2";
				}
				cut_go(plan_slots, 20, &none);
				ok(as_ordered());
				is_str(says(), "");
			}
		}
	}
	printf("# %d runs\n", runs);
	ok(runs > 300);
}

/* One step at one place is refused, for ever: all other slots are made; later that one, too. */
static void one_place_fails(void)
{
	static const enum step_verb verbs[] = {STEP_TYPE, STEP_EXPECT_TYPE, STEP_EXPECT_MADE};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		for (int at = 0; at < 24; at += 5) {
			int none = -1, n = 0;

			begin_vendor();
			for (int k = 0; k < 24; k++) {
				cut_slot(card_vf(k), "NVIDIA L40S-2Q");
			}
			{
				struct cut_plan p;

				cut_look();
				plan_slots(&seen, &arena, &p);
				is_int(p.steps.n, 3 * CUT_PLACES);
			}
			card.no = verbs[i];
			card.no_at = card_vf(at);
			cut_go(plan_slots, 12, &none);
			for (int k = 0; k < 24; k++) {
				n += k != at && card.vgpus[k].id == 1148;
			}
			is_int(n, 23);
			card.no = STEP_VERBS;
			cut_go(plan_slots, 12, &none);
			is_str(says(), "");
		}
	}
}

/* Random lives: orders and users come and go. What is used is never removed; what is refused for ever
 * by the card's rule stops nobody else. */
static void lives(void)
{
	for (int face = 0; face < 3; face++) {
		set_up(face, (uint64_t)face);
		for (int k = 0; k < 400; k++) {
			int place = (int)draw((unsigned)card_places(&card)), none = -1;

			arena_reset(&arena);
			card.held[place] = card.vgpus[place].id && draw(2);
			if (!draw(3)) {
				order.slots.n = 0;
				for (unsigned n = draw(9) + 1; n; n--) {
					cut_slot(card.total ? card_vf((int)n * 2 % card.numvfs)
							    : CARD_AT,
						 sizes[face][draw(3)]);
				}
			}
			cut_go(plan_slots, 6, &none);
			is_int(card.killed, 0);
		}
		memset(card.held, 0, sizeof(card.held));
		order.slots.n = 0;
		cut_slot(card.total ? card_vf(1) : CARD_AT, sizes[face][0]);
		{
			int none = -1;

			cut_go(plan_slots, 20, &none);
		}
		ok(as_ordered());
	}
}

static void nothing_stays(void)
{
	cut_end();
}

TESTS({"slots are made", slots_are_made},
      {"a type without a name is not taken for another", types_without_a_name},
      {"what is not ordered and not used goes first", what_is_not_ordered_goes_first},
      {"big ones first, and behind what failed", big_ones_first},
      {"what cannot be is said, and the rest goes on", what_cannot_be},
      {"a card without virtual functions", a_card_without_functions},
      {"UUIDs are made by rule", uuids},
      {"killed between any two steps it comes to the same end", deaths},
      {"one place that fails stops no other", one_place_fails}, {"random lives", lives},
      {"nothing stays", nothing_stays})
