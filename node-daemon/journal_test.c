/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as bytes: what is written reads back, and what a crash, a power cut, a bad disk or
 * another version makes of it is told apart. */
#include "node-daemon/journal.h"

#include "base/test.h"

static struct journal j;
static struct buf file; /* what was written so far */

static const struct journal_head head = {JOURNAL_VERSION, "node1", "boot-1"};

static const struct journal_unit card = {
	.place = "0000:40:01.0/00.0",
	.id = "0000:41:00.0",
	.ids = "10de:26b9:10de:1851",
	.boot = "boot-1",
	.state = JOURNAL_BINDING,
	.name = "nvidia.com/AD102GL_L40S",
	.why = "",
	.functions = {(struct journal_function[]){
			      {"0000:41:00.0", "10de:26b9:10de:1851", "nvidia", ""},
			      {"0000:41:00.1", "10de:22ba:10de:1851", "", "vfio-pci"},
		      },
		      2},
};

static void append(const struct journal_record *r, bool sync)
{
	struct err err = {""};
	size_t from = file.len;

	is_int(journal_line(&j, r, &file, &err), 0);
	journal_note(&j, file.bytes + from, file.len - from);
	if (sync) {
		journal_synced(&j);
	}
}

static void append_unit(const char *place, const char *st, bool sync)
{
	struct journal_unit u = card;

	u.place = place;
	u.state = st;
	append(&(struct journal_record){.unit = &u}, sync);
}

static void begin(void)
{
	journal_finish(&j);
	journal_init(&j);
	buf_finish(&file);
	buf_init(&file, JOURNAL_MAX_BYTES);
	append(&(struct journal_record){.head = &head}, true);
}

/* Reads so many bytes of the file, in a block of their own. */
static enum journal_health read_again(const char *bytes, size_t n)
{
	auto_free char *own = xmalloc(n);

	memcpy(own, bytes, n);
	journal_finish(&j);
	journal_init(&j);
	journal_read(own, n, &j);
	return j.health;
}

static enum journal_health reread(void)
{
	return read_again(file.bytes, file.len);
}

/* A line with a right checksum and whatever in it, as another program would write it. */
static void append_json(const char *json)
{
	auto_free char *text = xprintf("%" PRId64 " 0 %s", j.number + 1, json);

	buf_printf(&file, "%016" PRIx64 " %s\n", hash_str(HASH_SEED, text), text);
}

static void there_and_back(void)
{
	static const struct journal_orders orders = {7, 3, "{\"term\": 7, \"units\": [{}]}"};
	const struct journal_unit *u;

	begin();
	append(&(struct journal_record){.orders = &orders}, true);
	append(&(struct journal_record){.unit = &card}, true);
	is_int(reread(), JOURNAL_GOOD);
	is_str(j.trouble, "");
	is_str(j.head.node, "node1");
	is_str(j.head.boot, "boot-1");
	is_int(j.orders->term, 7);
	is_int(j.orders->generation, 3);
	is_str(j.orders->spec, "{\"term\":7,\"units\":[{}]}");
	is_int(j.units.n, 1);
	u = j.units.items;
	is_str(u->place, card.place);
	is_str(u->id, card.id);
	is_str(u->ids, card.ids);
	is_str(u->boot, card.boot);
	is_str(u->state, JOURNAL_BINDING);
	is_str(u->name, card.name);
	is_str(u->why, "");
	ok(!tri_or(u->adopted, false));
	is_int(u->functions.n, 2);
	is_str(u->functions.items[0].at, "0000:41:00.0");
	is_str(u->functions.items[0].driver, "nvidia");
	is_str(u->functions.items[0].override, "");
	is_str(u->functions.items[1].ids, "10de:22ba:10de:1851");
	is_str(u->functions.items[1].driver, "");
	is_str(u->functions.items[1].override, "vfio-pci");
	is_int(j.number, 3);
	is_int(j.safe, 2);
	is_int(j.size, file.len);
	ok(!j.torn);
}

/* What lies on the disk after years is read by every later version: the bytes are fixed. */
static void the_bytes(void)
{
	static const struct journal_orders none = {0, 0, "{}"};
	struct journal_unit u = card;

	begin();
	append(&(struct journal_record){.orders = &none}, true);
	u.why = "~why~";
	u.replaces = "p";
	u.adopted = TRI_TRUE;
	u.functions.n = 1;
	append(&(struct journal_record){.unit = &u}, false);
	is_str(file.bytes,
	       "9b506846d186ea9a 1 0 {\"head\":{\"version\":1,\"node\":\"node1\",\"boot\":\"boot-1\"}}\n"
	       "762ff6664123c11a 2 1 {\"orders\":{\"term\":0,\"generation\":0,\"spec\":{}}}\n"
	       "a12d8941f59e571a 3 2 {\"unit\":{\"place\":\"0000:40:01.0/00.0\",\"replaces\":\"p\","
	       "\"id\":\"0000:41:00.0\",\"ids\":\"10de:26b9:10de:1851\",\"boot\":\"boot-1\","
	       "\"state\":\"binding\",\"name\":\"nvidia.com/AD102GL_L40S\",\"why\":\"~why~\","
	       "\"adopted\":true,\"functions\":[{\"at\":\"0000:41:00.0\","
	       "\"ids\":\"10de:26b9:10de:1851\",\"driver\":\"nvidia\",\"override\":\"\"}]}}\n");
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.orders->term, 0);
	is_int(j.units.n, 1);
}

static void last_wins(void)
{
	struct journal_unit nothing = card;
	struct journal_head again = {JOURNAL_VERSION, "node1", "boot-2"};

	begin();
	append_unit("a", JOURNAL_BINDING, true);
	append_unit("b", JOURNAL_BINDING, true);
	append_unit("c", JOURNAL_BOUND, true);
	append_unit("a", JOURNAL_RETURNING, true);
	append(&(struct journal_record){.head = &again}, true);
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.units.n, 3);
	is_str(j.units.items[0].state, JOURNAL_RETURNING);
	is_str(j.head.boot, "boot-2");

	/* one that says nothing is forgotten, and the others stay */
	nothing.place = "b";
	nothing.state = nothing.name = nothing.why = "";
	nothing.functions.n = 0;
	append(&(struct journal_record){.unit = &nothing}, true);
	is_int(j.units.n, 2);
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.units.n, 2);
	is_str(j.units.items[0].place, "a");
	is_str(j.units.items[1].place, "c");
	/* forgotten twice is forgotten */
	append(&(struct journal_record){.unit = &nothing}, true);
	is_int(j.units.n, 2);
}

/* Where a card's place has another name now, the record under the old one goes with the new one. */
static void replaced(void)
{
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES};
	struct journal_unit u = card;

	begin();
	append_unit("a", JOURNAL_BOUND, true);
	append_unit("b", JOURNAL_BOUND, true);
	u.place = "c";
	u.replaces = "a";
	append(&(struct journal_record){.unit = &u}, true);
	is_int(j.units.n, 2);
	is_str(j.units.items[0].place, "b");
	is_str(j.units.items[1].place, "c");
	/* what comes to the old place afterwards stays, also in a journal made anew */
	append_unit("a", JOURNAL_BOUND, true);
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.units.n, 3);
	is_int(journal_whole(&j, &whole, NULL), 0);
	is_int(read_again(whole.bytes, whole.len), JOURNAL_GOOD);
	is_int(j.units.n, 3);
	/* and one that says nothing replaces too */
	u.state = u.name = "";
	u.functions.n = 0;
	begin();
	append_unit("a", JOURNAL_BOUND, true);
	append(&(struct journal_record){.unit = &u}, true);
	is_int(j.units.n, 0);
}

/* Each of these alone keeps a unit. */
static void what_keeps_a_unit(void)
{
	for (int i = 0; i < 5; i++) {
		struct journal_unit u = card;

		u.state = i == 0 ? JOURNAL_BOUND : "";
		u.name = i == 1 ? "nvidia.com/X" : "";
		u.why = i == 2 ? "another card" : "";
		u.adopted = i == 3 ? TRI_TRUE : TRI_UNSET;
		u.functions.n = i == 4 ? 1 : 0;
		begin();
		append(&(struct journal_record){.unit = &u}, true);
		is_int(j.units.n, 1);
		is_str(j.units.items[0].why, u.why);
		u.adopted = TRI_FALSE;
		u.state = u.name = u.why = "";
		u.functions.n = 0;
		append(&(struct journal_record){.unit = &u}, true);
		is_int(j.units.n, 0);
	}
}

/* A crash at any byte loses the record that was being written, and no other. */
static void cut_anywhere(void)
{
	size_t ends[4], n, whole;

	begin();
	ends[0] = file.len;
	append_unit("a", JOURNAL_BINDING, true);
	ends[1] = file.len;
	append_unit("b", JOURNAL_BINDING, true);
	ends[2] = file.len;
	append_unit("a", JOURNAL_BOUND, true);
	ends[3] = file.len;
	whole = file.len;
	for (n = 0; n <= whole; n++) {
		for (int zeros = 0; zeros < 2; zeros++) {
			auto_free char *bytes = xcalloc(1, whole + 64);
			size_t k = 0;

			memcpy(bytes, file.bytes, n);
			while (k < 4 && ends[k] <= n) {
				k++;
			}
			is_int(read_again(bytes, zeros ? whole + 64 : n),
			       k ? JOURNAL_GOOD : JOURNAL_BROKEN);
			if (!k) {
				continue;
			}
			is_int(j.number, k);
			is_int(j.size, ends[k - 1]);
			is_int(j.torn, n > ends[k - 1]);
			is_int(j.units.n, k == 1 ? 0 : k == 2 ? 1 : 2);
			ok(j.units.n == 0 || str_eq(j.units.items[0].state,
						    k == 4 ? JOURNAL_BOUND : JOURNAL_BINDING));
		}
	}
}

/* One wrong byte in the middle: what comes behind was promised, so nobody may go on. */
static void damaged_in_the_middle(void)
{
	size_t from, to;

	begin();
	from = file.len;
	append_unit("a", JOURNAL_BINDING, true);
	to = file.len;
	append_unit("b", JOURNAL_BINDING, true);
	for (size_t i = 0; i < file.len; i++) {
		char was = file.bytes[i];
		enum journal_health want = i < to ? JOURNAL_BROKEN : JOURNAL_GOOD;

		for (int k = 0; k < 3; k++) {
			file.bytes[i] = k == 0 ? 0 : k == 1 ? '\n' : (char)(was ^ 1);
			if (file.bytes[i] == was) {
				continue;
			}
			is_int(reread(), want);
			if (want == JOURNAL_BROKEN && i >= from) {
				has(j.trouble, "damaged behind record 1");
				is_int(j.number, 1);
			}
		}
		file.bytes[i] = was;
	}
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.number, 3);
}

/*
 * A power cut writes pages of a file in any order. Lines that nobody waited for may be lost while a
 * later one is there: then all from the first lost one on never was. A line that somebody waited
 * for says so, and everything before it must be there.
 */
static void lost_in_the_middle(void)
{
	for (int promised = 0; promised < 2; promised++) {
		for (int how = 0; how < 3; how++) {
			size_t from, to;

			begin();
			append_unit("a", JOURNAL_BINDING, true);
			from = file.len;
			append_unit("b", JOURNAL_BOUND, promised);
			to = file.len;
			append_unit("c", JOURNAL_BOUND, false);
			append_unit("d", JOURNAL_BOUND, false);
			/* a hole over all of the line, over its beginning, over its end */
			from += how == 2 ? 20 : 0;
			to -= how == 1 ? 20 : 0;
			memset(file.bytes + from, 0, to - from);
			is_int(reread(), promised ? JOURNAL_BROKEN : JOURNAL_GOOD);
			is_int(j.number, 2);
			is_int(j.units.n, 1);
			ok(j.torn);
		}
	}
}

/* A line that stands where it cannot have been written. */
static void wrong_places(void)
{
	size_t one, two;

	begin();
	one = file.len;
	append_unit("a", JOURNAL_BINDING, false);
	two = file.len;
	/* the same again */
	{
		auto_free char *copy = xstrndup(file.bytes + one, two - one);

		buf_add(&file, copy, two - one);
	}
	is_int(reread(), JOURNAL_BROKEN);
	/* the next but one, which promises no more than is there: nothing was lost that counts */
	begin();
	append_unit("a", JOURNAL_BINDING, false);
	two = file.len;
	append_unit("b", JOURNAL_BINDING, false);
	memmove(file.bytes + one, file.bytes + two, file.len - two);
	file.len -= two - one;
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.number, 1);
	ok(j.torn);
	/* what is no number is no line, though its checksum is right */
	for (int i = 0; i < 6; i++) {
		static const char *const fronts[] = {"2x 0 ", " 0 ",   "2 ",
						     "2 0",   "-2 0 ", "99999999999999999999 0 "};
		auto_free char *text = xprintf("%s{\"x\":1}", fronts[i]);

		begin();
		buf_printf(&file, "%016" PRIx64 " %s\n", hash_str(HASH_SEED, text), text);
		is_int(reread(), JOURNAL_GOOD);
		is_int(j.number, 1);
		ok(j.torn);
	}
	/* one letter behind bytes 0 */
	begin();
	buf_add(&file, "\0\0\0\0\0\0\0x", 8);
	is_int(reread(), JOURNAL_GOOD);
	ok(j.torn);
	/* one that calls itself safe */
	begin();
	buf_printf(&file, "%016" PRIx64 " 2 2 {\"x\":1}\n", hash_str(HASH_SEED, "2 2 {\"x\":1}"));
	is_int(reread(), JOURNAL_BROKEN);
}

static void no_beginning(void)
{
	static const char zeros[4096];
	size_t one;

	is_int(read_again("", 0), JOURNAL_BROKEN);
	has(j.trouble, "empty");
	is_int(read_again(zeros, sizeof(zeros)), JOURNAL_BROKEN);
	begin();
	one = file.len;
	append_unit("a", JOURNAL_BINDING, true);
	is_int(read_again(file.bytes + one, file.len - one), JOURNAL_BROKEN);
	/* the first record is no head */
	j.number = 0;
	buf_reset(&file);
	append_json("{\"orders\":{\"term\":1,\"generation\":1,\"spec\":{}}}");
	is_int(reread(), JOURNAL_BROKEN);
	has(j.trouble, "no beginning");
}

/* Lines with a right checksum that this version does not understand were written by a program that
 * did. */
static void other_versions(void)
{
	static const struct {
		const char *json, *says;
	} rows[] = {
		{"{\"head\":{\"version\":2,\"node\":\"n\",\"boot\":\"b\"}}", "version 2"},
		{"{\"head\":{\"version\":2,\"nodes\":[]}}", "unknown field"},
		{"{\"head\":{\"node\":\"n\",\"boot\":\"b\"}}", "lacks the version"},
		{"{\"head\":{\"version\":1,\"boot\":\"b\"}}", "lacks the version"},
		{"{\"head\":{\"version\":1,\"node\":\"n\"}}", "lacks the version"},
		{"{\"orders\":{\"term\":1,\"generation\":1}}", "orders lack"},
		{"{\"orders\":{\"term\":1,\"generation\":1,\"spec\":[]}}", "orders lack"},
		{"{\"orders\":{\"term\":-1,\"generation\":1,\"spec\":{}}}", "orders lack"},
		{"{\"orders\":{\"term\":1,\"generation\":-1,\"spec\":{}}}", "orders lack"},
		{"{\"unit\":{\"place\":\"p\",\"colour\":\"red\"}}",
		 "unknown field \"unit.colour\""},
		{"{\"unit\":{\"place\":\"p\"}}", "no PCI address"},
		{"{\"use\":{\"place\":\"p\",\"mood\":1}}", "unknown field \"use.mood\""},
		{"{\"use\":{\"place\":\"p\",\"id\":\"x\"}}", "a use lacks"},
		{"{\"unit\":null}", "not one record"},
		{"{\"unit\":[]}", "expected an object"},
		{"{\"unit\":{},\"head\":{}}", "not one record"},
		{"{\"unit\":{},\"unit\":{}}", "not one record"},
		{"{}", "not one record"},
		{"[]", "not one record"},
		{"{\"unit\"", "not one record"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		append_unit("a", JOURNAL_BINDING, true);
		append_json(rows[i].json);
		is_int(reread(), JOURNAL_NEWER);
		has(j.trouble, "record 3 of this node's journal is not understood");
		has(j.trouble, rows[i].says);
		is_int(j.units.n, 1);
		is_int(j.number, 2);
	}
}

/* Found by the fuzzer: "" is that there is none. */
static void other_kind_without_a_name(void)
{
	begin();
	append_json("{\"\":{\"id\":\"x\"}}");
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.others.n, 1);
	is_str(j.others_kind, "(without a name)");
}

/* A kind of record that we do not know is named, kept and otherwise left alone. */
static void other_kinds(void)
{
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES};
	struct err err = {""};

	begin();
	append_json("{\"lease\":{\"id\":\"x\"}}");
	j.number++;
	append_json("{\"lock\":[ 1, 2 ]}");
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.number, 3);
	is_int(j.others.n, 2);
	is_str(j.others_kind, "lease");
	append_unit("a", JOURNAL_BOUND, true);
	is_int(journal_whole(&j, &whole, &err), 0);
	is_int(read_again(whole.bytes, whole.len), JOURNAL_GOOD);
	is_int(j.units.n, 1);
	is_int(j.others.n, 2);
	is_int(j.safe, 0);
	is_str(j.others.items[0], "{\"lease\":{\"id\":\"x\"}}");
	is_str(j.others.items[1], "{\"lock\":[ 1, 2 ]}");
}

/* Makes the record one that must not be written; false: there are no more ways. */
static bool spoil(int way, struct journal_unit *u, struct journal_function *fs)
{
	const struct {
		const char **member, *value;
	} ways[] = {
		{&u->place, ""},
		{&u->place, "\xc3\xa4"},
		{&u->replaces, "\t"},
		{&u->id, "41:00.0"},
		{&u->ids, "10de:26b9"},
		{&u->ids, "10de:26b9:10de:18510"},
		{&u->ids, "10DE:26b9:10de:1851"},
		{&u->ids, "g0de:26b9:10de:1851"},
		{&u->boot, NULL},
		{&u->boot, ""},
		{&u->state, "asleep"},
		{&u->name, "two\nlines"},
		{&u->why, "\xff"},
		{&fs[1].at, NULL},
		{&fs[1].at, ""},
		{&fs[1].ids, ""},
		{&fs[1].driver, "\x7f"},
		{&fs[1].override, "\t"},
	};

	if (way >= (int)ARRAY_LEN(ways)) {
		return false;
	}
	*ways[way].member = ways[way].value;
	return true;
}

static void refused(const struct journal_record *r)
{
	struct err err = {""};
	size_t before = file.len;

	is_int(journal_line(&j, r, &file, &err), -1);
	ok(*err.text);
	is_int(file.len, before);
}

static void bad_records(void)
{
	static const struct journal_head nobody = {JOURNAL_VERSION, "", "b"};
	static const struct journal_head next = {JOURNAL_VERSION + 1, "n", "b"};
	static const struct journal_orders half = {1, 1, "{"};
	struct journal_function fs[2];
	struct journal_unit u;
	int way = 0;

	begin();
	for (;; way++) {
		u = card;
		u.functions.items = memcpy(fs, card.functions.items, sizeof(fs));
		if (!spoil(way, &u, fs)) {
			break;
		}
		refused(&(struct journal_record){.unit = &u});
	}
	is_int(way, 18);
	refused(&(struct journal_record){NULL});
	refused(&(struct journal_record){.head = &head, .unit = &card});
	refused(&(struct journal_record){.head = &nobody});
	refused(&(struct journal_record){.head = &next});
	refused(&(struct journal_record){.orders = &half});
	is_int(journal_line(&j, &(struct journal_record){.unit = &card}, &file, NULL), 0);
}

/* Everything has an end, and what is refused at the end leaves the journal readable. */
static void limits(void)
{
	static struct journal_function many[JOURNAL_MAX_FUNCTIONS + 1];
	auto_free char *long_text = xcalloc(1, JOURNAL_MAX_LINE + 16);
	struct journal_orders o = {1, 1, long_text};
	struct journal_unit u = card;
	struct journal_record r = {.unit = &u};
	struct err err = {""};

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = card.functions.items[0];
	}
	begin();
	u.functions.items = many;
	u.functions.n = ARRAY_LEN(many);
	is_int(journal_line(&j, &r, &file, &err), -1);
	has(err.text, "more than 256 functions");
	u.functions.n--;
	append(&r, true);

	memset(long_text, 'x', JOURNAL_MAX_LINE);
	memcpy(long_text, "{\"a\":\"", 6);
	memcpy(long_text + JOURNAL_MAX_LINE - 2, "\"}", 2);
	is_int(journal_line(&j, &(struct journal_record){.orders = &o}, &file, &err), -1);
	has(err.text, "longer than 256 KiB");

	begin();
	for (int i = 0; i < JOURNAL_MAX_UNITS; i++) {
		auto_free char *place = xprintf("place-%d", i);

		append_unit(place, JOURNAL_BOUND, true);
	}
	u = card;
	r.unit = &u;
	is_int(journal_line(&j, &r, &file, &err), -1);
	has(err.text, "2048 units");
	append_unit("place-7", JOURNAL_RETURNING, true);
	is_int(reread(), JOURNAL_GOOD);
	is_int(j.units.n, JOURNAL_MAX_UNITS);
	append_json("{\"unit\":{\"place\":\"one more\",\"id\":\"0000:41:00.0\",\"ids\":"
		    "\"10de:26b9:10de:1851\",\"boot\":\"b\",\"name\":\"n\"}}");
	is_int(reread(), JOURNAL_NEWER);
	has(j.trouble, "more than 2048 units");
}

/* The longest line that is written is read. */
static void longest_line(void)
{
	auto_free char *text = xcalloc(1, JOURNAL_MAX_LINE);
	struct journal_orders o = {1, 1, text};
	struct journal_record r = {.orders = &o};
	size_t longest = 0;

	for (size_t n = JOURNAL_MAX_LINE - 100; n < JOURNAL_MAX_LINE - 40; n++) {
		size_t from;
		int rc;

		memset(text, 'x', n);
		memcpy(text, "{\"a\":\"", 6);
		memcpy(text + n - 2, "\"}", 3);
		begin();
		from = file.len;
		rc = journal_line(&j, &r, &file, NULL);
		if (rc < 0) {
			is_int(longest, JOURNAL_MAX_LINE);
			is_int(buf_ok(&file), false);
			return;
		}
		longest = file.len - from;
		is_int(reread(), JOURNAL_GOOD);
		ok(j.orders);
	}
	ok(!"all were written");
}

static void compacted(void)
{
	static const struct journal_orders orders = {7, 3, "{\"term\":7}"};
	auto_buf struct buf whole = {.max = JOURNAL_MAX_BYTES}, again = {.max = JOURNAL_MAX_BYTES},
			    small = {.max = 400};
	struct err err = {""};

	begin();
	for (int i = 0; i < 100; i++) {
		append_unit("a", i % 2 ? JOURNAL_BOUND : JOURNAL_BINDING, true);
		append(&(struct journal_record){.orders = &orders}, true);
		append_unit("b", JOURNAL_BINDING, false);
	}
	is_int(journal_whole(&j, &whole, &err), 0);
	ok(whole.len < file.len / 50);
	is_int(read_again(whole.bytes, whole.len), JOURNAL_GOOD);
	is_int(j.number, 4);
	is_int(j.safe, 0);
	is_int(j.units.n, 2);
	is_str(j.units.items[0].state, JOURNAL_BOUND);
	is_int(j.orders->term, 7);
	is_str(j.head.node, "node1");
	is_int(journal_whole(&j, &again, &err), 0);
	is_str(again.bytes, whole.bytes);
	is_int(journal_whole(&j, &small, &err), -1);
	has(err.text, "room");
}

static void without_a_file(void)
{
	journal_finish(&j);
	journal_init(&j);
	is_int(j.health, JOURNAL_ABSENT);
	is_str(j.trouble, "");
	is_str(j.head.node, "");
	journal_close(&j, "another process has it");
	is_int(j.health, JOURNAL_CLOSED);
	is_str(j.trouble, "another process has it");
}

TESTS({"what is written reads back", there_and_back},
      {"the bytes of a journal are fixed", the_bytes},
      {"the last record of a place wins", last_wins},
      {"a record may replace that of another place", replaced},
      {"a unit is kept as long as its record says anything", what_keeps_a_unit},
      {"a crash at any byte loses the record that was being written", cut_anywhere},
      {"a wrong byte in the middle is damage", damaged_in_the_middle},
      {"lines that nobody waited for may be lost, others not", lost_in_the_middle},
      {"a line where it cannot have been written is damage", wrong_places},
      {"a journal without a beginning is none", no_beginning},
      {"what another version wrote is told from damage", other_versions},
      {"a kind that has no name is named, too", other_kind_without_a_name},
      {"records of other kinds are named and kept", other_kinds},
      {"no record is written that would not be read", bad_records},
      {"everything has an end", limits}, {"the longest line that is written is read", longest_line},
      {"a journal made anew says the same in less", compacted},
      {"a journal that is not there, or cannot be had", without_a_file}, )
