/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/reading.h"

#include <string.h>

#include "node-daemon/eyes_line.h"

/* --- as it stands on the wire -------------------------------------------------------------- */

struct wire_peer {
	const char *to;
	int64_t lanes;
};
struct wire_card {
	const char *at, *trouble, *uuid;
	struct opt_int values[READING_VALUES];
	LIST(struct wire_peer) peers;
};
struct wire_question {
	int64_t v;
	LIST(const char *) cards;
};
struct wire {
	int64_t v;
	const char *state, *why, *library, *driver;
	LIST(struct wire_card) cards;
};

#define T struct wire_peer
static const struct field peer_fields[] = {
	FIELD(T, to, "to", TYPE_STR),
	FIELD(T, lanes, "lanes", TYPE_INT),
	{0},
};
#undef T
static const struct type peer_type = {sizeof(struct wire_peer), peer_fields, NULL};

#define T struct wire_card
#define VALUE(i, key) FIELD(T, values[READING_##i], key, TYPE_OPT_INT)
static const struct field card_fields[] = {
	FIELD(T, at, "at", TYPE_STR),
	FIELD(T, trouble, "trouble", TYPE_STR),
	FIELD(T, uuid, "uuid", TYPE_STR),
	VALUE(TEMPERATURE, "temperature"),
	VALUE(POWER, "power"),
	VALUE(POWER_LIMIT, "powerLimit"),
	VALUE(MEMORY_TOTAL, "memoryTotal"),
	VALUE(MEMORY_USED, "memoryUsed"),
	VALUE(GPU_BUSY, "gpuBusy"),
	VALUE(MEMORY_BUSY, "memoryBusy"),
	VALUE(SM_CLOCK, "smClock"),
	VALUE(MEMORY_CLOCK, "memoryClock"),
	VALUE(FAN, "fan"),
	VALUE(ECC, "ecc"),
	VALUE(ECC_CORRECTED, "eccCorrected"),
	VALUE(ECC_UNCORRECTED, "eccUncorrected"),
	VALUE(MIG, "mig"),
	VALUE(VIRTUALIZATION, "virtualization"),
	VALUE(PROCESSES, "processes"),
	FIELD(T, peers, "links", TYPE_OBJS, .sub = &peer_type),
	{0},
};
#undef T
static const struct type card_type = {sizeof(struct wire_card), card_fields, NULL};

#define T struct wire_question
static const struct field question_fields[] = {
	FIELD(T, v, "v", TYPE_INT),
	FIELD(T, cards, "cards", TYPE_STRS),
	{0},
};
#undef T
static const struct type question_type = {sizeof(struct wire_question), question_fields, NULL};

#define T struct wire
static const struct field wire_fields[] = {
	FIELD(T, v, "v", TYPE_INT),
	FIELD(T, state, "state", TYPE_STR),
	FIELD(T, why, "why", TYPE_STR),
	FIELD(T, library, "library", TYPE_STR),
	FIELD(T, driver, "driver", TYPE_STR),
	FIELD(T, cards, "cards", TYPE_OBJS, .sub = &card_type),
	{0},
};
#undef T
static const struct type wire_type = {sizeof(struct wire), wire_fields, NULL};

static const char *const states[] = {
	[READING_NONE] = "none",	 [READING_DONE] = "done",	[READING_ABSENT] = "absent",
	[READING_MISMATCH] = "mismatch", [READING_REFUSED] = "refused", [READING_LATE] = "late",
};

/* --- the question -------------------------------------------------------------------------- */

void reading_question_copy(const struct reading_question *q, struct arena *a,
			   struct reading_question *ret)
{
	*ret = (struct reading_question){arena_array(a, uint64_t, q->n), 0};
	list_each(at, q) {
		ret->items[ret->n++] = *at;
	}
}

int reading_question_write(const struct reading_question *q, struct buf *out)
{
	attr_cleanup(arena_finish) struct arena a;
	struct wire_question w = {.v = EYES_VERSION};

	arena_init(&a, MiB);
	w.cards.items = arena_array(&a, const char *, q->n);
	list_each(at, q) {
		w.cards.items[w.cards.n++] = eyes_line_address(*at, &a);
	}
	return q->n <= READING_MAX_CARDS ? eyes_line_write(&question_type, &w, out) : -1;
}

int reading_question_read(const char *bytes, size_t n, struct arena *a,
			  struct reading_question *ret, struct err *err)
{
	struct wire_question w;

	if (eyes_line_read(&question_type, bytes, n, a, &w, err) < 0 ||
	    eyes_line_version(w.v, err) < 0) {
		return -1;
	}
	if (w.cards.n > READING_MAX_CARDS) {
		return err_set(err, "it names more than %d cards", READING_MAX_CARDS);
	}
	*ret = (struct reading_question){arena_array(a, uint64_t, w.cards.n), 0};
	list_each(at, &w.cards) {
		if (eyes_line_parse(*at, &ret->items[ret->n++], err) < 0) {
			return -1;
		}
	}
	return ret->n > 0;
}

/* --- the answer ---------------------------------------------------------------------------- */

static const char *or_null(const char *s)
{
	return str_empty(s) ? NULL : s;
}

static void card_write(const struct reading_card *c, struct arena *a, struct wire_card *to)
{
	*to = (struct wire_card){.at = eyes_line_address(c->at, a),
				 .trouble = or_null(c->trouble),
				 .uuid = or_null(c->uuid)};
	memcpy(to->values, c->values, sizeof(to->values));
	to->peers.items = arena_array(a, struct wire_peer, c->peers.n);
	list_each(p, &c->peers) {
		to->peers.items[to->peers.n++] =
			(struct wire_peer){eyes_line_address(p->at, a), p->lanes};
	}
}

int reading_write(const struct reading *r, struct buf *out)
{
	attr_cleanup(arena_finish) struct arena a;
	struct wire w = {EYES_VERSION,	      states[r->state],	  or_null(r->why),
			 or_null(r->library), or_null(r->driver), {0}};

	arena_init(&a, 4 * MiB);
	w.cards.items = arena_array(&a, struct wire_card, r->cards.n);
	list_each(c, &r->cards) {
		card_write(c, &a, &w.cards.items[w.cards.n++]);
	}
	return eyes_line_write(&wire_type, &w, out);
}

static enum reading_state state_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (str_eq(word, states[i])) {
			return (enum reading_state)i;
		}
	}
	return READING_NONE;
}

/* One that is longer than such a text can be is none. */
static const char *text(const char *s, size_t max)
{
	return s && strlen(s) <= max ? s : "";
}

static bool asked_for(const struct reading_question *q, const struct reading *r, uint64_t at)
{
	bool asked = false;

	list_each(item, q) {
		asked |= *item == at;
	}
	list_each(c, &r->cards) {
		asked &= c->at != at;
	}
	return asked;
}

static int card_read(const struct wire_card *w, struct arena *a, struct reading_card *ret,
		     struct err *err)
{
	if (w->peers.n > READING_MAX_PEERS) {
		return err_set(err, "%s: more than %d links", w->at, READING_MAX_PEERS);
	}
	ret->trouble = text(w->trouble, READING_MAX_WHY);
	ret->uuid = text(w->uuid, READING_MAX_TEXT);
	memcpy(ret->values, w->values, sizeof(ret->values));
	ret->peers.items = arena_array(a, struct reading_peer, w->peers.n);
	list_each(p, &w->peers) {
		struct reading_peer *to = &ret->peers.items[ret->peers.n++];

		if (eyes_line_parse(p->to, &to->at, err) < 0) {
			return -1;
		}
		if (p->lanes < 1 || p->lanes > READING_MAX_PEERS) {
			return err_set(err, "%s: a link of no lanes, or too many", w->at);
		}
		to->lanes = p->lanes;
	}
	return 0;
}

int reading_read(const char *bytes, size_t n, const struct reading_question *q, struct arena *a,
		 struct reading *ret, struct err *err)
{
	struct wire w;

	if (eyes_line_read(&wire_type, bytes, n, a, &w, err) < 0 ||
	    eyes_line_version(w.v, err) < 0) {
		return -1;
	}
	*ret = (struct reading){state_of(w.state),
				text(w.why, READING_MAX_WHY),
				text(w.library, READING_MAX_TEXT),
				text(w.driver, READING_MAX_TEXT),
				{0}};
	ret->cards.items = arena_array(a, struct reading_card, q->n);
	list_each(c, &w.cards) {
		struct reading_card card = {0};

		if (eyes_line_parse(c->at, &card.at, err) < 0 || card_read(c, a, &card, err) < 0) {
			return -1;
		}
		if (asked_for(q, ret, card.at)) {
			ret->cards.items[ret->cards.n++] = card;
		}
	}
	return 0;
}

/* --- links --------------------------------------------------------------------------------- */

static int64_t lanes_to(const struct reading_card *c, uint64_t at)
{
	int64_t lanes = 0;

	list_each(p, &c->peers) {
		lanes += p->at == at ? p->lanes : 0;
	}
	return lanes;
}

int64_t reading_lanes(const struct reading_card *x, const struct reading_card *y)
{
	int64_t straight = MIN(lanes_to(x, y->at), lanes_to(y, x->at)), through = 0;

	list_each(p, &x->peers) {
		through += MIN(p->lanes, lanes_to(y, p->at));
	}
	return straight + through;
}
