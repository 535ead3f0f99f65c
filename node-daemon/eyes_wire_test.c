/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/eyes_wire.h"

#include "base/test.h"

#define QUESTION                                                                                   \
	"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"group\":7,\"functions\":["                 \
	"{\"at\":\"0000:41:00.0\",\"driver\":\"nvidia\"},"                                         \
	"{\"at\":\"0000:41:00.1\",\"driver\":\"snd_hda_intel\"}]},"                                \
	"{\"id\":\"0000:42:00.0\",\"group\":-1}]}\n"
#define UNIT(id, users, who) "{\"id\":\"" id "\",\"users\":\"" users "\",\"who\":\"" who "\"}"
#define ANSWER(units) "{\"v\":1,\"units\":[" units "]}\n"

static struct arena arena;
static struct eyes_question question;
static struct eyes_answer answer;
static struct err err;

static int ask(const char *line)
{
	arena_finish(&arena);
	arena_init(&arena, 8 * MiB);
	return eyes_question_read(line, strlen(line), &arena, &question, &err);
}

/* "0000:41:00.0 some process 1; ..." */
static const char *says(const char *line, size_t n)
{
	static const char *const words[] = {"unknown", "none", "some"};
	const char *text = "";

	if (eyes_answer_read(line, n, &question, &arena, &answer, &err) < 0) {
		return err.text;
	}
	list_each(u, &answer.units) {
		char at[PCIFN_TEXT_MAX];

		text = arena_printf(&arena, "%s%s %s %s; ", text, pcifn_text(u->id, at),
				    words[u->users], u->who);
	}
	return text;
}

static void questions_are_read_as_they_are_written(void)
{
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	is_int(ask(QUESTION), 0);
	is_int(question.n, 2);
	is_int(question.items[0].functions.n, 2);
	is_int(question.items[0].group, 7);
	is_int(question.items[1].group, -1);
	is_str(question.items[0].functions.items[1].driver, "snd_hda_intel");
	is_int(eyes_question_write(&question, &out), 0);
	is_str(buf_text(&out), QUESTION);
}

static void questions_that_are_none(void)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"", "it is not one whole line"},
		{"{\"v\":1}", "it is not one whole line"},
		{"{\"v\":1,\"units\":[\n", ""},
		{"nonsense\n", ""},
		{"{\"v\":1}\n{\"v\":1}\n", ""},
		{"{\"v\":2,\"units\":[]}\n",
		 "it is of version 2, and this program speaks 1; run both of one release"},
		{"{\"units\":[]}\n", "it is of version 0"},
		{"{\"v\":1,\"units\":[{}]}\n", "\"\" is no PCI address"},
		{"{\"v\":1,\"units\":[{\"id\":\"../41:00.0\"}]}\n",
		 "\"../41:00.0\" is no PCI address"},
		{"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"group\":-2}]}\n",
		 "or a group that"},
		{"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"functions\":[{\"at\":\"x\"}]}]}\n",
		 "\"x\" is no PCI address"},
		{"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"functions\":[{\"at\":"
		 "\"0000:41:00.0\"}]}]}\n",
		 "0000:41:00.0 has no driver"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(ask(rows[i].line), -1);
		has(err.text, rows[i].why);
	}
	is_int(eyes_question_read("{\"v\":1}\0\n", 9, &arena, &question, &err), -1);
}

static void answers(void)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ANSWER(UNIT("0000:42:00.0", "none", "") "," UNIT("0000:41:00.0", "some",
								  "process 1 (Xorg)")),
		 "0000:41:00.0 some process 1 (Xorg); 0000:42:00.0 none ; "},
		{ANSWER(UNIT("0000:41:00.0", "some", "")),
		 "0000:41:00.0 some somebody; 0000:42:00.0 unknown the answer does not name it, or "
		 "twice; "},
		{ANSWER(UNIT("0000:41:00.0", "none", "") "," UNIT("0000:41:00.0", "some", "x")),
		 "0000:41:00.0 unknown the answer does not name it, or twice; 0000:42:00.0 unknown "
		 "the answer does not name it, or twice; "},
		{ANSWER(UNIT("0000:41:00.0", "nobody", "") "," UNIT("0000:42:00.0", "unknown",
								    "it is dark")),
		 "0000:41:00.0 unknown the answer is a word that is not known; 0000:42:00.0 unknown "
		 "it is dark; "},
		{ANSWER("{\"id\":\"0000:41:00.0\"}"),
		 "0000:41:00.0 unknown the answer is a word that is not known; 0000:42:00.0 unknown "
		 "the answer does not name it, or twice; "},
		{"{\"v\":3}\n",
		 "it is of version 3, and this program speaks 1; run both of one release"},
		{"{\"v\":1,\"units\":[{\"id\":\"0000:41:00.0\",\"users\":\"no",
		 "it is not one whole line"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(ask(QUESTION), 0);
		is_str(says(rows[i].line, strlen(rows[i].line)), rows[i].want);
	}
}

/* Wherever it is cut it says nothing of any. */
static void half_answers_are_none(void)
{
	static const char line[] =
		ANSWER(UNIT("0000:41:00.0", "none", "") "," UNIT("0000:42:00.0", "none", ""));

	for (size_t n = 0; n < sizeof(line) - 1; n++) {
		char *cut;

		is_int(ask(QUESTION), 0);
		cut = arena_strndup(&arena, line, n);
		ok(!strstr(says(cut, n), " none "));
		if (n) {
			cut[n - 1] = '\n';
			ok(!strstr(says(cut, n), " none "));
		}
	}
}

static void answers_are_read_as_they_are_written(void)
{
	struct eyes_says units[] = {{0x4100, BIND_USERS_SOME, "process 1 (\"x\")"},
				    {0x4200, BIND_USERS_UNKNOWN, "why"}};
	struct eyes_version versions[] = {{"nvidia", "550.54.15"}};
	struct eyes_answer a = {{units, 2}, {versions, 1}};
	auto_buf struct buf out = {.max = EYES_MAX_LINE};

	is_int(ask(QUESTION), 0);
	is_int(eyes_answer_write(&a, &out), 0);
	is_str(says(buf_text(&out), out.len),
	       "0000:41:00.0 some process 1 (\"x\"); 0000:42:00.0 unknown why; ");
	is_int(answer.versions.n, 1);
	is_str(answer.versions.items[0].version, "550.54.15");
}

static void sizes_are_bounded(void)
{
	static struct eyes_unit many[EYES_MAX_UNITS + 1];
	static struct eyes_function functions[EYES_MAX_FUNCTIONS + 1];
	auto_buf struct buf out = {.max = 4 * EYES_MAX_LINE};
	char *wide = xmalloc(300);

	memset(wide, 'x', 299);
	wide[299] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		functions[i] = (struct eyes_function){i, "nvidia"};
	}
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = (struct eyes_unit){.id = i << 8};
	}
	arena_finish(&arena);
	arena_init(&arena, 8 * MiB);
	is_int(eyes_question_write(&(struct eyes_question){many, EYES_MAX_UNITS}, &out), 0);
	is_int(eyes_question_read(out.bytes, out.len, &arena, &question, &err), 0);
	is_int(question.n, EYES_MAX_UNITS);
	is_int(eyes_question_write(&(struct eyes_question){many, EYES_MAX_UNITS + 1}, &out), -1);
	buf_reset(&out);
	many[0].functions.items = functions;
	many[0].functions.n = ARRAY_LEN(functions);
	is_int(eyes_question_write(&(struct eyes_question){many, 1}, &out), 0);
	is_int(eyes_question_read(out.bytes, out.len, &arena, &question, &err), -1);
	has(err.text, "more than 64 functions");
	buf_reset(&out);
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		functions[i].driver = wide;
	}
	for (size_t i = 0; i < 4; i++) {
		many[i].functions.items = functions;
		many[i].functions.n = EYES_MAX_FUNCTIONS;
	}
	is_int(eyes_question_write(&(struct eyes_question){many, 4}, &out), -1);
	free(wide);
	arena_finish(&arena);
}

TESTS({"questions are read as they are written", questions_are_read_as_they_are_written},
      {"what is no question is none, and why", questions_that_are_none},
      {"answers say what they say of what was asked", answers},
      {"half an answer is none", half_answers_are_none},
      {"answers are read as they are written", answers_are_read_as_they_are_written},
      {"sizes are bounded", sizes_are_bounded})
