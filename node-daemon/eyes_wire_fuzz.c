/* SPDX-License-Identifier: Apache-2.0 */
/* eyes_wire_fuzz.c: bytes as a question to the eyes, and as their answer, of units and of cards. What is read is
 * bounded and can be written and read again; an answer has every unit that was asked for, and no other card. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_question(const char *bytes, size_t n, struct arena *a)
{
	auto_buf struct buf once = {.max = 4 * MiB}, twice = {.max = 4 * MiB};
	struct eyes_question q, again;
	struct err err;

	if (eyes_question_read(bytes, n, a, &q, &err) < 0) {
		return;
	}
	if (q.n > EYES_MAX_UNITS) {
		abort();
	}
	if (eyes_question_write(&q, &once) < 0) {
		return; /* what was left out of it by the writer made it longer than a line may be */
	}
	if (eyes_question_read(once.bytes, once.len, a, &again, &err) < 0 ||
	    eyes_question_write(&again, &twice) < 0 || !str_eq(buf_text(&once), buf_text(&twice))) {
		abort();
	}
}

static void read_answer(const char *bytes, size_t n, struct arena *a)
{
	struct eyes_function driver = {0x4100, "nvidia"};
	struct eyes_unit units[] = {{0x4100, 7, {&driver, 1}}, {0x4200, -1, {NULL, 0}}};
	const struct eyes_question q = {units, 2};
	struct eyes_answer answer;
	struct err err;

	if (eyes_answer_read(bytes, n, &q, a, &answer, &err) < 0) {
		return;
	}
	if (answer.units.n != 2 || answer.versions.n > EYES_MAX_VERSIONS) {
		abort();
	}
	for (size_t i = 0; i < 2; i++) {
		const struct eyes_says *s = &answer.units.items[i];

		if (s->id != units[i].id || !s->who || s->users > BIND_USERS_SOME) {
			abort();
		}
	}
}

static void read_cards_question(const char *bytes, size_t n, struct arena *a)
{
	auto_buf struct buf once = {.max = 4 * MiB};
	struct reading_question q, again;
	struct err err;

	if (reading_question_read(bytes, n, a, &q, &err) != 1) {
		return;
	}
	if (q.n > READING_MAX_CARDS || reading_question_write(&q, &once) < 0 ||
	    reading_question_read(once.bytes, once.len, a, &again, &err) != 1 || again.n != q.n) {
		abort();
	}
}

static void check_card(const struct reading_card *c)
{
	if (strlen(c->uuid) > READING_MAX_TEXT || strlen(c->trouble) > READING_MAX_WHY ||
	    c->peers.n > READING_MAX_PEERS) {
		abort();
	}
	if (reading_lanes(c, c) < 0 ||
	    reading_lanes(c, c) > 2 * READING_MAX_PEERS * READING_MAX_PEERS * READING_MAX_PEERS) {
		abort();
	}
}

static void read_cards(const char *bytes, size_t n, struct arena *a)
{
	auto_buf struct buf once = {.max = 4 * MiB}, twice = {.max = 4 * MiB};
	uint64_t cards[] = {0x4100, 0x4200};
	const struct reading_question q = {cards, 2};
	struct reading r, again;
	struct err err;

	if (reading_read(bytes, n, &q, a, &r, &err) < 0) {
		return;
	}
	if (r.cards.n > 2 || r.state > READING_LATE || strlen(r.library) > READING_MAX_TEXT ||
	    strlen(r.driver) > READING_MAX_TEXT || strlen(r.why) > READING_MAX_WHY) {
		abort();
	}
	list_each(c, &r.cards) {
		check_card(c);
	}
	if (reading_write(&r, &once) < 0) {
		return; /* as above */
	}
	if (reading_read(once.bytes, once.len, &q, a, &again, &err) < 0 ||
	    reading_write(&again, &twice) < 0 || !str_eq(buf_text(&once), buf_text(&twice))) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *bytes = xmalloc(size + 1); /* of its own: one byte too far is noticed */
	attr_cleanup(arena_finish) struct arena a;

	memcpy(bytes, data, size);
	bytes = xrealloc(bytes, size ? size : 1);
	arena_init(&a, 64 * MiB);
	read_question(bytes, size, &a);
	read_answer(bytes, size, &a);
	read_cards_question(bytes, size, &a);
	read_cards(bytes, size, &a);
	return 0;
}
