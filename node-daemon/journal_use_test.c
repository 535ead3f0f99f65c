/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records of use: who has a device, over our death. */
#include "node-daemon/journal_records_test.h"

static const struct journal_reset flr = {"flr", 120, 4711, TRI_TRUE};
static const struct journal_use given = {
	.place = "0000:40:01.0/00.0",
	.id = "0000:41:00.0",
	.state = JOURNAL_GIVEN,
	.ns = "team-a",
	.pod = "virt-launcher-vm1-abcde",
	.boot = "boot-1",
	.reset = &flr,
	.resource = "nvidia.com/AD102GL_L40S",
};

static void append_use(const char *place, const char *state, const struct journal_reset *reset)
{
	struct journal_use u = given;

	u.place = place;
	u.state = state;
	u.reset = reset;
	u.ns = u.pod = u.resource = "";
	append(&(struct journal_record){.use = &u});
}

static void there_and_back(void)
{
	const struct journal_use *u;

	begin();
	append(&(struct journal_record){.use = &given});
	append_use("other", JOURNAL_DIRTY, NULL);
	has(file.bytes,
	    " 2 0 {\"use\":{\"place\":\"0000:40:01.0/00.0\",\"id\":\"0000:41:00.0\","
	    "\"state\":\"given\",\"ns\":\"team-a\",\"pod\":\"virt-launcher-vm1-abcde\","
	    "\"resource\":\"nvidia.com/AD102GL_L40S\",\"boot\":\"boot-1\",\"reset\":{\"method\":\"flr\",\"ms\":120,\"at\":4711,"
	    "\"ok\":true}}}\n");
	reread();
	is_int(j.uses.n, 2);
	is_int(j.others.n, 0);
	u = j.uses.items;
	is_str(u->place, given.place);
	is_str(u->id, given.id);
	is_str(u->state, JOURNAL_GIVEN);
	is_str(u->ns, "team-a");
	is_str(u->pod, given.pod);
	is_str(u->resource, given.resource);
	is_str(u->boot, "boot-1");
	is_str(u->reset->method, "flr");
	is_int(u->reset->ms, 120);
	is_int(u->reset->at, 4711);
	is_int(u->reset->ok, TRI_TRUE);
	is_str(u[1].ns, "");
	is_str(u[1].pod, "");
	ok(!u[1].reset);
}

/* Also when the file is made anew. */
static void last_wins(void)
{
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES};

	begin();
	append_use("a", JOURNAL_GIVEN, NULL);
	append_use("b", JOURNAL_GIVEN, NULL);
	append_use("a", JOURNAL_FREE, &flr); /* the reset is remembered */
	append_use("b", JOURNAL_GIVEN, NULL);
	is_int(j.uses.n, 2);
	is_str(j.uses.items[0].state, JOURNAL_FREE);
	append_use("a", JOURNAL_FREE, NULL); /* nothing is */
	append_use("c", JOURNAL_FREE, NULL);
	is_int(j.uses.n, 1);
	reread();
	is_int(j.uses.n, 1);
	is_str(j.uses.items[0].place, "b");
	append_use("c", JOURNAL_DIRTY, &flr);
	is_int(journal_whole(&j, &whole, NULL), 0);
	journal_finish(&j);
	journal_init(&j);
	journal_read(whole.bytes, whole.len, &j);
	is_int(j.health, JOURNAL_GOOD);
	is_int(j.number, 3);
	is_int(j.uses.n, 2);
	is_str(j.uses.items[1].state, JOURNAL_DIRTY);
	is_str(j.uses.items[1].reset->method, "flr");
}

static void refused(const struct journal_use *u)
{
	struct err err = {""};
	size_t before = file.len;

	is_int(journal_line(&j, &(struct journal_record){.use = u}, &file, &err), -1);
	ok(*err.text);
	is_int(file.len, before);
}

static void bad_records(void)
{
	struct journal_use u;
	struct journal_reset r;
	const struct {
		const char **member, *value;
	} ways[] = {
		{&u.place, ""},	 {&u.place, "\xc3\xa4"}, {&u.id, NULL},
		{&u.id, "a\n"},	 {&u.state, ""},	 {&u.state, "asleep"},
		{&u.ns, "\t"},	 {&u.pod, "\xff"},	 {&u.resource, "a\n"},
		{&u.boot, NULL}, {&r.method, NULL},	 {&r.method, "\x7f"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		u = given;
		r = flr;
		u.reset = &r;
		*ways[i].member = ways[i].value;
		refused(&u);
	}
	u = given;
	u.reset = &r;
	r = (struct journal_reset){"flr", -1, 0, TRI_TRUE};
	refused(&u);
	r = (struct journal_reset){"flr", 0, -1, TRI_TRUE};
	refused(&u);
	r = (struct journal_reset){"boot", 0, 0, TRI_TRUE}; /* at once */
	append(&(struct journal_record){.use = &u});
	is_int(j.uses.n, 1);
}

static void limits(void)
{
	struct journal_use u = given;

	begin();
	for (int i = 0; i < JOURNAL_MAX_USES; i++) {
		auto_free char *place = xprintf("place-%d", i);

		append_use(place, JOURNAL_GIVEN, NULL);
	}
	refused(&u);
	append_use("place-7", JOURNAL_DIRTY, NULL);
	append_use("place-8", JOURNAL_FREE, NULL);
	append(&(struct journal_record){.use = &given});
	refused(&(struct journal_use){
		.place = "one more", .id = "x", .state = JOURNAL_GIVEN, .boot = "b"});
	reread();
	is_int(j.uses.n, JOURNAL_MAX_USES);
}

TESTS({"what is written reads back", there_and_back},
      {"the last record of a place wins; free by no reset is forgotten", last_wins},
      {"no record is written that would not be read", bad_records},
      {"everything has an end", limits}, )
