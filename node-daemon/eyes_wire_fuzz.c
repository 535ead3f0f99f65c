/* SPDX-License-Identifier: Apache-2.0 */
/* eyes_wire_fuzz.c: bytes as a question to the eyes, and as their answer. What is read is bounded and can be
 * written and read again; an answer has every unit that was asked for. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/eyes_wire.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *bytes = xmalloc(size + 1); /* of its own: one byte too far is noticed */
	attr_cleanup(arena_finish) struct arena a;

	memcpy(bytes, data, size);
	bytes = xrealloc(bytes, size ? size : 1);
	arena_init(&a, 64 * MiB);
	read_question(bytes, size, &a);
	read_answer(bytes, size, &a);
	return 0;
}
