/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_fuzz.c: bytes as a journal, and bytes as the records of one, whose checksums are put
 * right: no fuzzer guesses these. Nothing is read beyond its end, what is good reads the same when
 * it is made anew, and what is not good has its sentence.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node-daemon/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond) {
		abort();
	}
}

static void same_uses(const struct journal *x, const struct journal *y)
{
	must(x->uses.n == y->uses.n);
	for (size_t i = 0; i < x->uses.n; i++) {
		const struct journal_use *u = &x->uses.items[i], *v = &y->uses.items[i];

		must(str_eq(u->place, v->place) && str_eq(u->id, v->id) &&
		     str_eq(u->state, v->state) && str_eq(u->ns, v->ns) && str_eq(u->pod, v->pod) &&
		     str_eq(u->resource, v->resource) && str_eq(u->boot, v->boot) &&
		     !u->reset == !v->reset);
		must(!u->reset ||
		     (str_eq(u->reset->method, v->reset->method) && u->reset->ms == v->reset->ms &&
		      u->reset->at == v->reset->at && u->reset->ok == v->reset->ok));
	}
}

static void same_slots(const struct journal *x, const struct journal *y)
{
	must(x->slots.n == y->slots.n);
	for (size_t i = 0; i < x->slots.n; i++) {
		const struct journal_slot *s = &x->slots.items[i], *t = &y->slots.items[i];

		must(str_eq(s->place, t->place) && s->index == t->index &&
		     str_eq(s->card, t->card) && str_eq(s->vf, t->vf) && str_eq(s->type, t->type) &&
		     str_eq(s->uuid, t->uuid) && str_eq(s->boot, t->boot) &&
		     str_eq(s->state, t->state));
	}
}

static void same(const struct journal *x, const struct journal *y)
{
	must(x->units.n == y->units.n && x->others.n == y->others.n && !x->orders == !y->orders);
	same_uses(x, y);
	same_slots(x, y);
	must(!x->orders || str_eq(x->orders->spec, y->orders->spec));
	for (size_t i = 0; i < x->units.n; i++) {
		const struct journal_unit *u = &x->units.items[i], *v = &y->units.items[i];

		must(str_eq(u->place, v->place) && str_eq(u->id, v->id) && str_eq(u->ids, v->ids) &&
		     str_eq(u->boot, v->boot) && str_eq(u->state, v->state) &&
		     str_eq(u->name, v->name) && str_eq(u->why, v->why) &&
		     tri_or(u->adopted, false) == tri_or(v->adopted, false) &&
		     u->functions.n == v->functions.n);
		for (size_t k = 0; k < u->functions.n; k++) {
			must(str_eq(u->functions.items[k].at, v->functions.items[k].at));
			must(str_eq(u->functions.items[k].driver, v->functions.items[k].driver));
		}
	}
}

static void read_it(const char *bytes, size_t n)
{
	auto_buf struct buf whole = {.max = 2 * (size_t)JOURNAL_MAX_BYTES};
	attr_cleanup(journal_finish) struct journal j, again;

	journal_init(&j);
	journal_init(&again);
	journal_read(bytes, n, &j);
	must(j.size <= n && (j.health == JOURNAL_GOOD) == !*j.trouble);
	must(j.health != JOURNAL_ABSENT && j.health != JOURNAL_CLOSED);
	if (j.health != JOURNAL_GOOD) {
		return;
	}
	must(!j.others.n == !*j.others_kind);
	must(journal_whole(&j, &whole, NULL) == 0);
	journal_read(whole.bytes, whole.len, &again);
	must(again.health == JOURNAL_GOOD && !again.torn && again.size == whole.len);
	same(&j, &again);
}

/* Each line of the input as the JSON of one record, behind a head. */
static void as_records(const char *text, size_t n)
{
	auto_buf struct buf file = {.max = JOURNAL_MAX_BYTES};
	static const char first[] = "1 0 {\"head\":{\"version\":1,\"node\":\"n\",\"boot\":\"b\"}}";
	int number = 1;

	buf_printf(&file, "%016" PRIx64 " %s\n", hash_str(HASH_SEED, first), first);
	for (const char *end; n; n -= MIN(n, (size_t)(end - text) + 1), text = end + 1) {
		auto_free char *line = NULL;

		end = memchr(text, '\n', n);
		end = end ? end : text + n;
		line = xprintf("%d %d %.*s", number + 1, number, (int)(end - text), text);
		number++;
		buf_printf(&file, "%016" PRIx64 " %s\n", hash_str(HASH_SEED, line), line);
	}
	read_it(file.bytes, file.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *bytes = xmalloc(size); /* of its own: one byte too far is noticed */

	memcpy(bytes, data, size);
	read_it(bytes, size);
	as_records(bytes, size);
	return 0;
}
