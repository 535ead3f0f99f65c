/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/eyes_wire.h"

#include <inttypes.h>
#include <string.h>

#include "json/write.h"
#include "node-daemon/eyes_line.h"
#include "node-daemon/unit.h"

/* --- as it stands on the wire -------------------------------------------------------------- */

struct wire_function {
	const char *at, *driver, *uuid;
	tri vgpus;
};
struct wire_unit {
	const char *id, *users, *who;
	struct opt_int group;
	LIST(struct wire_function) functions;
};
struct wire_version {
	const char *name, *version;
};
struct wire {
	int64_t v;
	LIST(struct wire_unit) units;
	LIST(struct wire_version) versions;
};

#define T struct wire_function
static const struct field function_fields[] = {
	FIELD(T, at, "at", TYPE_STR),
	FIELD(T, driver, "driver", TYPE_STR),
	FIELD(T, vgpus, "vgpus", TYPE_BOOL),
	FIELD(T, uuid, "uuid", TYPE_STR),
	{0},
};
#undef T
static const struct type function_type = {sizeof(struct wire_function), function_fields, NULL};

#define T struct wire_unit
static const struct field unit_fields[] = {
	FIELD(T, id, "id", TYPE_STR),
	FIELD(T, group, "group", TYPE_OPT_INT),
	FIELD(T, functions, "functions", TYPE_OBJS, .sub = &function_type),
	FIELD(T, users, "users", TYPE_STR),
	FIELD(T, who, "who", TYPE_STR),
	{0},
};
#undef T
static const struct type unit_type = {sizeof(struct wire_unit), unit_fields, NULL};

#define T struct wire_version
static const struct field version_fields[] = {
	FIELD(T, name, "name", TYPE_STR),
	FIELD(T, version, "version", TYPE_STR),
	{0},
};
#undef T
static const struct type version_type = {sizeof(struct wire_version), version_fields, NULL};

#define T struct wire
static const struct field wire_fields[] = {
	FIELD(T, v, "v", TYPE_INT),
	FIELD(T, units, "units", TYPE_OBJS, .sub = &unit_type),
	FIELD(T, versions, "versions", TYPE_OBJS, .sub = &version_type),
	{0},
};
#undef T
static const struct type wire_type = {sizeof(struct wire), wire_fields, NULL};

static const char *const users_words[] = {
	[BIND_USERS_UNKNOWN] = "unknown", [BIND_USERS_NONE] = "none", [BIND_USERS_SOME] = "some"};

int eyes_line_write(const struct type *t, const void *object, struct buf *out)
{
	json_t *json = type_json(t, object);

	json_write(json, out);
	json_decref(json);
	buf_char(out, '\n');
	return buf_ok(out) && out->len <= EYES_MAX_LINE ? 0 : -1;
}

int eyes_line_read(const struct type *t, const char *bytes, size_t n, struct arena *a, void *ret,
		   struct err *err)
{
	if (!n || n > EYES_MAX_LINE || bytes[n - 1] != '\n' || memchr(bytes, '\0', n)) {
		return err_set(err, "it is not one whole line");
	}
	return type_read_text(t, arena_strndup(a, bytes, n - 1), a, ret, err);
}

int eyes_line_version(int64_t v, struct err *err)
{
	return v == EYES_VERSION ? 0
				 : err_set(err,
					   "it is of version %" PRId64
					   ", and this program speaks %d; run both of one release",
					   v, EYES_VERSION);
}

const char *eyes_line_address(uint64_t address, struct arena *a)
{
	char text[PCIFN_TEXT_MAX];

	return arena_strdup(a, pcifn_text(address, text));
}

int eyes_line_parse(const char *text, uint64_t *ret, struct err *err)
{
	return text && pcifn_parse(text, ret) == 0
		       ? 0
		       : err_set(err, "\"%.32s\" is no PCI address", text ? text : "");
}

static int read_line(const char *bytes, size_t n, struct arena *a, struct wire *ret,
		     struct err *err)
{
	if (eyes_line_read(&wire_type, bytes, n, a, ret, err) < 0 ||
	    eyes_line_version(ret->v, err) < 0) {
		return -1;
	}
	if (ret->units.n > EYES_MAX_UNITS || ret->versions.n > EYES_MAX_VERSIONS) {
		return err_set(err, "it names more than %d units or %d versions", EYES_MAX_UNITS,
			       EYES_MAX_VERSIONS);
	}
	return 0;
}

/* --- the question -------------------------------------------------------------------------- */

void eyes_unit_of(const struct unit *u, struct arena *a, struct eyes_unit *ret)
{
	*ret = (struct eyes_unit){.id = u->card->address, .group = u->card->group};
	ret->functions.items = arena_array(a, struct eyes_function, u->functions.n);
	list_each(f, &u->functions) {
		if ((*f)->kind != PCI_MEMBER && *(*f)->driver) {
			ret->functions.items[ret->functions.n++] = (struct eyes_function){
				(*f)->address, arena_strdup(a, (*f)->driver), !u->gpus,
				!u->gpus && (*f)->mdevs.n == 1
					? arena_strdup(a, (*f)->mdevs.items[0].uuid)
					: NULL};
		}
	}
}

int eyes_question_write(const struct eyes_question *q, struct buf *out)
{
	attr_cleanup(arena_finish) struct arena a;
	struct wire w = {.v = EYES_VERSION};

	arena_init(&a, 4 * MiB);
	w.units.items = arena_array(&a, struct wire_unit, q->n);
	list_each(u, q) {
		struct wire_unit *to = &w.units.items[w.units.n++];

		*to = (struct wire_unit){.id = eyes_line_address(u->id, &a),
					 .group = {u->group, true}};
		to->functions.items = arena_array(&a, struct wire_function, u->functions.n);
		list_each(f, &u->functions) {
			to->functions.items[to->functions.n++] =
				(struct wire_function){eyes_line_address(f->at, &a), f->driver,
						       str_empty(f->uuid) ? NULL : f->uuid,
						       f->vgpus ? TRI_TRUE : TRI_UNSET};
		}
	}
	return q->n <= EYES_MAX_UNITS ? eyes_line_write(&wire_type, &w, out) : -1;
}

static int unit_read(const struct wire_unit *w, struct arena *a, struct eyes_unit *ret,
		     struct err *err)
{
	*ret = (struct eyes_unit){.group = opt_int_or(w->group, -1)};
	ret->functions.items = arena_array(a, struct eyes_function, w->functions.n);
	if (eyes_line_parse(w->id, &ret->id, err) < 0) {
		return -1;
	}
	if (w->functions.n > EYES_MAX_FUNCTIONS || ret->group < -1 || ret->group > INT32_MAX) {
		return err_set(err, "%s: more than %d functions, or a group that is none", w->id,
			       EYES_MAX_FUNCTIONS);
	}
	list_each(f, &w->functions) {
		struct eyes_function *to = &ret->functions.items[ret->functions.n++];

		if (eyes_line_parse(f->at, &to->at, err) < 0) {
			return -1;
		}
		if (str_empty(f->driver)) {
			return err_set(err, "%s has no driver", f->at);
		}
		to->driver = f->driver;
		to->vgpus = f->vgpus == TRI_TRUE;
		to->uuid = f->uuid;
	}
	return 0;
}

int eyes_question_read(const char *bytes, size_t n, struct arena *a, struct eyes_question *ret,
		       struct err *err)
{
	struct wire w;

	if (read_line(bytes, n, a, &w, err) < 0) {
		return -1;
	}
	*ret = (struct eyes_question){arena_array(a, struct eyes_unit, w.units.n), 0};
	list_each(u, &w.units) {
		if (unit_read(u, a, &ret->items[ret->n++], err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- the answer ---------------------------------------------------------------------------- */

int eyes_answer_write(const struct eyes_answer *answer, struct buf *out)
{
	attr_cleanup(arena_finish) struct arena a;
	struct wire w = {.v = EYES_VERSION};

	arena_init(&a, 4 * MiB);
	w.units.items = arena_array(&a, struct wire_unit, answer->units.n);
	w.versions.items = arena_array(&a, struct wire_version, answer->versions.n);
	list_each(u, &answer->units) {
		w.units.items[w.units.n++] = (struct wire_unit){.id = eyes_line_address(u->id, &a),
								.users = users_words[u->users],
								.who = u->who};
	}
	list_each(v, &answer->versions) {
		w.versions.items[w.versions.n++] = (struct wire_version){v->name, v->version};
	}
	return eyes_line_write(&wire_type, &w, out);
}

/* An answer that names a unit twice may have meant either. */
static const struct wire_unit *answer_of(const struct wire *w, const char *id)
{
	const struct wire_unit *found = NULL;

	list_each(u, &w->units) {
		if (str_eq(u->id, id)) {
			if (found) {
				return NULL;
			}
			found = u;
		}
	}
	return found;
}

static bool is_users(const char *word, enum bind_users *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(users_words); i++) {
		if (str_eq(word, users_words[i])) {
			*ret = (enum bind_users)i;
			return true;
		}
	}
	return false;
}

static void says_read(const struct wire_unit *w, struct eyes_says *ret)
{
	enum bind_users users;

	if (w && is_users(w->users, &users)) {
		ret->users = users;
		ret->who = str_empty(w->who) ? users == BIND_USERS_SOME ? "somebody" : "" : w->who;
	} else {
		ret->who = w ? "the answer is a word that is not known"
			     : "the answer does not name it, or twice";
	}
}

int eyes_answer_read(const char *bytes, size_t n, const struct eyes_question *q, struct arena *a,
		     struct eyes_answer *ret, struct err *err)
{
	struct eyes_answer answer;
	struct wire w;

	if (read_line(bytes, n, a, &w, err) < 0) {
		return -1;
	}
	eyes_answer_unknown(q, "", a, &answer);
	list_each(u, &answer.units) {
		says_read(answer_of(&w, eyes_line_address(u->id, a)), u);
	}
	answer.versions.items = arena_array(a, struct eyes_version, w.versions.n);
	list_each(v, &w.versions) {
		if (!str_empty(v->name) && !str_empty(v->version)) {
			answer.versions.items[answer.versions.n++] =
				(struct eyes_version){v->name, v->version};
		}
	}
	*ret = answer;
	return 0;
}

void eyes_answer_unknown(const struct eyes_question *q, const char *why, struct arena *a,
			 struct eyes_answer *ret)
{
	*ret = (struct eyes_answer){0};
	ret->units.items = arena_array(a, struct eyes_says, q->n);
	list_each(u, q) {
		ret->units.items[ret->units.n++] =
			(struct eyes_says){u->id, BIND_USERS_UNKNOWN, why};
	}
}
