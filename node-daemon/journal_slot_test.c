/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records of vGPUs that were made on demand. */
#include "node-daemon/journal_records_test.h"

static const struct journal_slot made = {
	.place = "0000:40:01.0/00.0",
	.index = 0,
	.card = "0000:41:00.0",
	.vf = "0000:41:00.4",
	.type = "NVIDIA A2-4Q",
	.uuid = "6b4c2f16-0000-4000-8000-00000000abcd",
	.boot = "boot-1",
	.state = JOURNAL_MAKING,
};

static void append_slot(const char *place, int64_t index, const char *state)
{
	struct journal_slot s = made;

	s.place = place;
	s.index = index;
	s.state = state;
	s.uuid = "";
	append(&(struct journal_record){.slot = &s});
}

static void there_and_back(void)
{
	const struct journal_slot *s;

	begin();
	append(&(struct journal_record){.slot = &made});
	has(file.bytes, " 2 0 {\"slot\":{\"place\":\"0000:40:01.0/00.0\",\"index\":0,\"card\":"
			"\"0000:41:00.0\",\"vf\":\"0000:41:00.4\",\"type\":\"NVIDIA A2-4Q\","
			"\"uuid\":\"6b4c2f16-0000-4000-8000-00000000abcd\",\"boot\":\"boot-1\","
			"\"state\":\"making\"}}\n");
	append_slot(made.place, 7, JOURNAL_MADE);
	reread();
	is_int(j.slots.n, 2);
	is_int(j.others.n, 0);
	s = j.slots.items;
	is_str(s->place, made.place);
	is_int(s->index, 0);
	is_str(s->card, made.card);
	is_str(s->vf, made.vf);
	is_str(s->type, made.type);
	is_str(s->uuid, made.uuid);
	is_str(s->boot, made.boot);
	is_str(s->state, JOURNAL_MAKING);
	is_int(s[1].index, 7);
	is_str(s[1].uuid, "");
}

/* A place and a number are the key; without a state it is forgotten. */
static void last_one_wins(void)
{
	begin();
	append_slot("a", 1, JOURNAL_MAKING);
	append_slot("a", 2, JOURNAL_MAKING);
	append_slot("b", 1, JOURNAL_MAKING);
	append_slot("a", 1, JOURNAL_MADE);
	for (int i = 0; i < 2; i++) {
		is_int(j.slots.n, 3);
		is_str(j.slots.items[0].state, JOURNAL_MADE);
		is_str(j.slots.items[1].state, JOURNAL_MAKING);
		is_str(j.slots.items[2].place, "b");
		reread();
	}
	append_slot("a", 1, "");
	append_slot("a", 1, ""); /* is forgotten */
	append_slot("c", 9, NULL);
	for (int i = 0; i < 2; i++) {
		is_int(j.slots.n, 2);
		is_int(j.slots.items[0].index, 2);
		is_str(j.slots.items[1].place, "b");
		reread();
	}
}

static void odd_ones(void)
{
	struct journal_slot s[12];
	struct err err;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = made;
	}
	s[0].place = "";
	s[1].index = -1;
	s[2].index = JOURNAL_MAX_SLOTS;
	s[3].card = "../x";
	s[4].vf = "";
	s[5].vf = "0000:41:00.4/..";
	s[6].type = "a\nb";
	s[7].type = NULL;
	s[8].boot = NULL;
	s[9].state = "made up";
	s[10].uuid = "a\nb";
	for (size_t i = 0; i < 11; i++) {
		is_int(journal_line(&j, &(struct journal_record){.slot = &s[i]}, &file, &err), -1);
		has(err.text, "no record of the journal: ");
	}
	is_int(journal_line(&j, &(struct journal_record){.slot = &s[11]}, &file, &err), 0);
	is_int(journal_line(&j, &(struct journal_record){.slot = &made, .head = &j.head}, &file,
			    &err),
	       -1);
}

static void so_many_and_no_more(void)
{
	struct journal_slot s = made;
	struct err err;

	begin();
	for (int i = 0; i < JOURNAL_MAX_SLOTS; i++) {
		append_slot("a", i, JOURNAL_MADE);
	}
	s.place = "b";
	is_int(journal_line(&j, &(struct journal_record){.slot = &s}, &file, &err), -1);
	is_str(err.text, "the journal has room for 4096 vGPUs");
	append_slot("a", 5, JOURNAL_DROPPING); /* is one of these */
	reread();
	is_int(j.slots.n, JOURNAL_MAX_SLOTS);
}

static void whole_journals(void)
{
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES};
	struct err err;

	begin();
	append_slot("a", 1, JOURNAL_MAKING);
	append_slot("a", 1, JOURNAL_MADE);
	append_slot("b", 2, JOURNAL_MADE);
	append_slot("b", 2, "");
	is_int(journal_whole(&j, &whole, &err), 0);
	journal_finish(&j);
	journal_init(&j);
	journal_read(whole.bytes, whole.len, &j);
	is_int(j.number, 2);
	is_int(j.slots.n, 1);
	is_str(j.slots.items[0].state, JOURNAL_MADE);
}

static void nothing_stays(void)
{
	journal_finish(&j);
	buf_finish(&file);
}

TESTS({"a slot is read as it was written", there_and_back},
      {"of a place and number the last one counts", last_one_wins},
      {"what is no slot is neither written nor believed", odd_ones},
      {"there is room for so many", so_many_and_no_more},
      {"a journal that is made anew has them", whole_journals}, {"nothing stays", nothing_stays})
