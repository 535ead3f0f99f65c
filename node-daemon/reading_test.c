/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/reading.h"

#include "base/test.h"

#define CARD                                                                                       \
	"{\"at\":\"0000:41:00.0\",\"uuid\":\"GPU-1\",\"temperature\":41,\"links\":["               \
	"{\"to\":\"0000:42:00.0\",\"lanes\":4}]}"
#define ANSWER(more) "{\"v\":1,\"state\":\"done\",\"library\":\"550.1\",\"cards\":[" more "]}\n"

static struct arena arena;
static struct reading reading;
static struct reading_question question;
static struct err err;

static int ask(const char *line)
{
	arena_finish(&arena);
	arena_init(&arena, MiB);
	return reading_question_read(line, strlen(line), &arena, &question, &err);
}

static int hear(const char *line)
{
	static uint64_t cards[] = {0x4100, 0x4200};
	static const struct reading_question asked = {cards, 2};

	arena_finish(&arena);
	arena_init(&arena, MiB);
	err.text[0] = '\0';
	return reading_read(line, strlen(line), &asked, &arena, &reading, &err);
}

static void questions(void)
{
	auto_buf struct buf out = {.max = EYES_MAX_LINE};
	uint64_t cards[READING_MAX_CARDS + 1] = {0x4100, 0x1000000};

	is_int(reading_question_write(&(struct reading_question){cards, 2}, &out), 0);
	is_str(buf_text(&out), "{\"v\":1,\"cards\":[\"0000:41:00.0\",\"0100:00:00.0\"]}\n");
	is_int(ask(buf_text(&out)), 1);
	is_int(question.n, 2);
	is_int(question.items[1], 0x1000000);
	is_int(ask("{\"v\":1,\"units\":[]}\n"), 0);
	is_int(ask("{\"v\":2,\"cards\":[\"0000:41:00.0\"]}\n"), -1);
	has(err.text, "it is of version 2");
	is_int(ask("{\"v\":1,\"cards\":[\"..\"]}\n"), -1);
	has(err.text, "\"..\" is no PCI address");
	is_int(ask("garbage"), -1);
	buf_reset(&out);
	is_int(reading_question_write(&(struct reading_question){cards, READING_MAX_CARDS}, &out),
	       0);
	is_int(ask(buf_text(&out)), 1);
	is_int(question.n, READING_MAX_CARDS);
	is_int(reading_question_write(&(struct reading_question){cards, READING_MAX_CARDS + 1},
				      &out),
	       -1);
}

static void more_cards_than_may_be_asked_for(void)
{
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	buf_str(&out, "{\"v\":1,\"cards\":[");
	for (int i = 0; i <= READING_MAX_CARDS; i++) {
		buf_printf(&out, "%s\"0000:41:00.0\"", i ? "," : "");
	}
	buf_str(&out, "]}\n");
	is_int(ask(buf_text(&out)), -1);
	has(err.text, "it names more than 32 cards");
}

/* The largest answer that there can be still is one line. */
static void answers_are_read_as_they_are_written(void)
{
	static struct reading_card cards[READING_MAX_CARDS];
	static struct reading_peer peers[READING_MAX_PEERS];
	static uint64_t asked[READING_MAX_CARDS];
	static char uuid[READING_MAX_TEXT + 1];
	struct reading whole = {READING_DONE, "", "580.65.06", "580.65.07", {cards, 0}};
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	memset(uuid, 'x', READING_MAX_TEXT);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		peers[i] = (struct reading_peer){0x4100 + (i << 3), 18};
	}
	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		asked[i] = i << 8;
		cards[i] =
			(struct reading_card){i << 8, "", uuid, {{0}}, {peers, READING_MAX_PEERS}};
		for (int v = 0; v < READING_VALUES; v++) {
			cards[i].values[v] = (struct opt_int){(int64_t)i * 1000000 + v, true};
		}
		whole.cards.n++;
	}
	is_int(reading_write(&whole, &out), 0);
	arena_finish(&arena);
	arena_init(&arena, MiB);
	is_int(reading_read(out.bytes, out.len, &(struct reading_question){asked, ARRAY_LEN(asked)},
			    &arena, &reading, &err),
	       0);
	is_int(reading.state, READING_DONE);
	is_str(reading.library, "580.65.06");
	is_str(reading.driver, "580.65.07");
	is_int(reading.cards.n, READING_MAX_CARDS);
	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		const struct reading_card *c = &reading.cards.items[i];

		is_int(c->at, i << 8);
		is_str(c->uuid, uuid);
		is_int(c->peers.n, READING_MAX_PEERS);
		is_int(c->peers.items[17].at, 0x4100 + (17 << 3));
		is_int(c->peers.items[17].lanes, 18);
		for (int v = 0; v < READING_VALUES; v++) {
			ok(c->values[v].set);
			is_int(c->values[v].value, (int64_t)i * 1000000 + v);
		}
	}
}

/* As they stand on the wire: eyes and hands may be of two releases. */
static void words_of_the_wire(void)
{
	static const char line[] =
		"{\"v\":1,\"state\":\"done\",\"why\":\"w\",\"library\":\"l\",\"driver\":\"d\",\"cards\":["
		"{\"at\":\"0000:41:00.0\",\"trouble\":\"t\",\"uuid\":\"u\",\"temperature\":100,\"power\":101,"
		"\"powerLimit\":102,\"memoryTotal\":103,\"memoryUsed\":104,\"gpuBusy\":105,\"memoryBusy\":106,"
		"\"smClock\":107,\"memoryClock\":108,\"fan\":109,\"ecc\":110,\"eccCorrected\":111,"
		"\"eccUncorrected\":112,\"mig\":113,\"virtualization\":114,\"processes\":115,"
		"\"links\":[{\"to\":\"0000:42:00.0\",\"lanes\":4}]}]}\n";
	static const char *const states[] = {"none",	 "done",    "absent",
					     "mismatch", "refused", "late"};
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	is_int(hear(line), 0);
	for (int v = 0; v < READING_VALUES; v++) {
		is_int(opt_int_or(reading.cards.items[0].values[v], -1), 100 + v);
	}
	is_str(reading.cards.items[0].trouble, "t");
	is_int(reading_write(&reading, &out), 0);
	is_str(buf_text(&out), line);
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		auto_free char *text = xprintf("{\"v\":1,\"state\":\"%s\"}\n", states[i]);

		is_int(hear(text), 0);
		is_int(reading.state, i);
	}
}

static void what_is_not_said_is_not_set(void)
{
	is_int(hear(ANSWER(CARD)), 0);
	is_int(reading.cards.n, 1);
	is_str(reading.driver, "");
	is_str(reading.cards.items[0].trouble, "");
	is_int(opt_int_or(reading.cards.items[0].values[READING_TEMPERATURE], -1), 41);
	for (int v = 0; v < READING_VALUES; v++) {
		ok(reading.cards.items[0].values[v].set == (v == READING_TEMPERATURE));
	}
	is_int(hear("{\"v\":1,\"state\":\"late\",\"why\":\"no answer\"}\n"), 0);
	is_int(reading.state, READING_LATE);
	is_str(reading.why, "no answer");
}

/* Eyes of before, which take the question for one of no units. */
static void eyes_that_do_not_know_the_question(void)
{
	static const char *const lines[] = {"{\"v\":1}\n", "{\"v\":1,\"units\":[]}\n",
					    "{\"v\":1,\"state\":\"wise\"}\n"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		is_int(hear(lines[i]), 0);
		is_int(reading.state, READING_NONE);
		is_int(reading.cards.n, 0);
	}
}

static void answers_that_are_none(void)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"", "it is not one whole line"},
		{"{\"v\":1,\"state\":\"done\"}", "it is not one whole line"},
		{"{\"v\":3}\n", "it is of version 3"},
		{ANSWER("{\"at\":\"x\"}"), "\"x\" is no PCI address"},
		{ANSWER("{\"at\":\"0000:41:00.0\",\"links\":[{\"to\":\"y\",\"lanes\":1}]}"),
		 "\"y\" is no PCI address"},
		{ANSWER("{\"at\":\"0000:41:00.0\",\"links\":[{\"to\":\"0000:42:00.0\"}]}"),
		 "a link of no lanes"},
		{ANSWER("{\"at\":\"0000:41:00.0\",\"links\":[{\"to\":\"0000:42:00.0\",\"lanes\":37}]}"),
		 "a link of no lanes, or too many"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(hear(rows[i].line), -1);
		has(err.text, rows[i].why);
	}
}

static void cards_that_were_not_asked_for_are_left_out(void)
{
	is_int(hear(ANSWER(CARD "," CARD ",{\"at\":\"0000:43:00.0\"},{\"at\":\"0000:42:00.0\"}")),
	       0);
	is_int(reading.cards.n, 2);
	is_int(reading.cards.items[0].at, 0x4100);
	is_int(reading.cards.items[1].at, 0x4200);
}

static void texts_that_are_too_long_are_none(void)
{
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	buf_str(&out, "{\"v\":1,\"state\":\"done\",\"driver\":\"550.2\",\"library\":\"");
	for (int i = 0; i <= READING_MAX_TEXT; i++) {
		buf_char(&out, '5');
	}
	buf_str(&out, "\"}\n");
	is_int(hear(buf_text(&out)), 0);
	is_str(reading.library, "");
	is_str(reading.driver, "550.2");
}

#define PEERS(...)                                                                                 \
	{                                                                                          \
		(struct reading_peer[]){__VA_ARGS__},                                              \
			sizeof((struct reading_peer[]){__VA_ARGS__}) / sizeof(struct reading_peer) \
	}

static void links(void)
{
	const struct reading_card x = {.at = 1, .peers = PEERS({2, 4}, {8, 2}, {9, 3}, {5, 1})},
				  y = {.at = 2, .peers = PEERS({1, 4}, {9, 5}, {8, 1})},
				  z = {.at = 3, .peers = PEERS({4, 2})},
				  w = {.at = 5, .peers = PEERS({6, 1})};

	is_int(reading_lanes(&x, &y), 4 + 1 + 3); /* straight, and through the switches 8 and 9 */
	is_int(reading_lanes(&y, &x), 8);
	is_int(reading_lanes(&x, &z), 0);
	is_int(reading_lanes(&x, &w), 0); /* which says nothing of it */
}

TESTS({"a question is read as it is written, and told apart", questions},
      {"questions are bounded", more_cards_than_may_be_asked_for},
      {"the largest answer is read as it is written", answers_are_read_as_they_are_written},
      {"words of the wire", words_of_the_wire},
      {"what is not said is not set", what_is_not_said_is_not_set},
      {"eyes that do not know the question say nothing", eyes_that_do_not_know_the_question},
      {"what is no answer is none, and why", answers_that_are_none},
      {"cards that were not asked for are left out", cards_that_were_not_asked_for_are_left_out},
      {"texts that are too long are none", texts_that_are_too_long_are_none},
      {"links go straight, or through switches", links})
