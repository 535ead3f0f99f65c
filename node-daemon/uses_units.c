/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices there are, and what the journal remembers of them. */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/uses_inner.h"

#define RESTORED_MAX (16 * MiB) /* JOURNAL_MAX_USES of what JOURNAL_MAX_BYTES can say */

/* --- the list of devices ------------------------------------------------------------------- */

/* Where the id stands, or would. */
static size_t place_of(const struct uses *u, const char *id)
{
	size_t from = 0, to = u->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (strcmp(u->items[mid]->id, id) < 0) {
			from = mid + 1;
		} else {
			to = mid;
		}
	}
	return from;
}

struct use *use_find(const struct uses *u, const char *id)
{
	size_t i = place_of(u, id);

	return i < u->n && str_eq(u->items[i]->id, id) ? u->items[i] : NULL;
}

static struct use *add(struct uses *u, const char *id)
{
	size_t i = place_of(u, id);

	if (u->n == u->size) {
		u->size = u->size * 2 + 16;
		u->items = xrealloc(u->items, u->size * sizeof(struct use *));
	}
	memmove(u->items + i + 1, u->items + i, (u->n - i) * sizeof(struct use *));
	u->n++;
	u->items[i] = xcalloc(1, sizeof(struct use));
	u->items[i]->id = xstrdup(id);
	u->items[i]->due = NEVER;
	return u->items[i];
}

void use_free(struct use *x)
{
	char *const texts[] = {x->id, x->place, x->resource, x->why,	x->methods,
			       x->ns, x->pod,	x->trouble,  x->method, x->given_as};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		free(texts[i]);
	}
	free(x);
}

struct uses *uses_create(const char *boot)
{
	struct uses *u = xcalloc(1, sizeof(*u));

	u->boot = xstrdup(boot);
	u->deaf = INT64_MIN;
	arena_init(&u->arena, RESTORED_MAX);
	return u;
}

struct uses *uses_destroy(struct uses *u)
{
	if (!u) {
		return NULL;
	}
	while (u->calls_n) {
		call_free(u->calls[--u->calls_n]);
	}
	call_free(u->spent);
	while (u->n) {
		use_free(u->items[--u->n]);
	}
	free(u->items);
	free(u->calls);
	free(u->pods_why);
	free(u->boot);
	arena_finish(&u->arena);
	free(u);
	return NULL;
}

/* --- what the journal remembers ------------------------------------------------------------ */

void uses_restore(struct uses *u, const struct journal_use *records, size_t n)
{
	u->restored.n = MIN(n, (size_t)JOURNAL_MAX_USES);
	u->restored.items = arena_array(&u->arena, struct journal_use, u->restored.n);
	for (size_t i = 0; i < u->restored.n; i++) {
		struct journal_use *r = &u->restored.items[i];
		struct journal_reset *reset;

		*r = records[i];
		r->place = arena_strdup(&u->arena, r->place);
		r->state = arena_strdup(&u->arena, r->state);
		r->boot = arena_strdup(&u->arena, r->boot);
		r->ns = arena_strdup(&u->arena, r->ns);
		r->pod = arena_strdup(&u->arena, r->pod);
		r->resource = arena_strdup(&u->arena, r->resource ? r->resource : "");
		if (r->reset) {
			r->reset = reset = arena_new(&u->arena, struct journal_reset);
			*reset = *records[i].reset;
			reset->method = arena_strdup(&u->arena, reset->method);
		}
	}
}

/* Each record serves once: what comes to that place later is another card. */
static struct journal_use restored(struct uses *u, const char *place)
{
	struct journal_use found = {.state = "", .ns = "", .pod = "", .boot = "", .resource = ""};

	list_each(r, &u->restored) {
		if (str_eq(r->place, place)) {
			found = *r;
			r->place = NULL;
			break;
		}
	}
	return found;
}

/* Not only until it could be bound, so by users of the host's driver perhaps. */
static bool used_by_host(const struct use *x, int64_t now)
{
	return x->hosted && now > USES_BOOT_MS;
}

static void begin(struct uses *u, struct use *x, int64_t now)
{
	const struct journal_use r = restored(u, x->place);
	bool now_boot = str_eq(r.boot, u->boot);

	x->state = USES_UNPROVEN;
	x->older = *r.boot && !now_boot && !used_by_host(x, now);
	x->fresh = !*r.boot;
	x->owed = false;
	use_text(&x->ns, r.ns);
	use_text(&x->pod, r.pod);
	use_text(&x->given_as, r.resource);
	use_text(&x->method, r.reset ? r.reset->method : NULL);
	use_text(&x->trouble, NULL);
	x->reset_ms = r.reset ? r.reset->ms : 0;
	x->reset_at = r.reset && now_boot ? r.reset->at : 0;
	x->reset_ok = r.reset && tri_or(r.reset->ok, false);
	x->given = now;
	x->absent = 0;
	x->pause = 0;
	use_go(x, REST, NEVER);
	if (now_boot && str_eq(r.state, JOURNAL_GIVEN)) {
		x->state = *r.pod ? USES_HELD : USES_GIVEN;
		x->pause = USES_SHOW_FIRST_MS;
	} else if (now_boot && str_eq(r.state, JOURNAL_DIRTY)) {
		x->state = USES_DIRTY;
		use_text(&x->trouble, USE_NO_RESET);
	} else if (now_boot && x->hosted) {
		use_forget(x);
	} else if ((now_boot && x->reset_ok) || x->vgpu) {
		x->state = USES_FREE;
	}
}

/* --- which devices exist ------------------------------------------------------------------- */

/* What stays to be done as soon as the device can be touched, or without touching it. */
static void wake(struct uses *u, struct use *x, int64_t now)
{
	bool asks = x->state == USES_GIVEN || x->state == USES_HELD;
	bool works = x->state == USES_RETURNING || x->state == USES_UNPROVEN ||
		     (x->state == USES_DIRTY && *x->methods);

	if (asks || (works && use_cleanable(x))) {
		use_verify(u, x, now);
	}
}

static void set_facts(struct use *x, const struct uses_unit *f)
{
	use_text(&x->place, f->place);
	if (!f->vgpu || *f->resource || !x->call) { /* else as it was asked for */
		use_text(&x->resource, f->resource);
	}
	use_text(&x->why, f->why);
	use_text(&x->methods, f->methods);
	x->hosted = f->hosted;
	x->vgpu = f->vgpu;
	x->there = true;
}

static void is_there(struct uses *u, const struct uses_unit *f, int64_t now)
{
	struct use *x = use_find(u, f->id);
	bool is_new = !x || !str_eq(x->place, f->place);
	bool was_ready = !is_new && use_ready(x), was_cleanable = !is_new && use_cleanable(x);
	bool other_methods;

	if (!x) {
		if (u->n == USES_UNITS_MAX) {
			return;
		}
		x = add(u, f->id);
	} else if (x->state == USES_GIVEN || x->state == USES_HELD) {
		if (is_new || !x->there) { /* the pod has what stands at that address */
			use_forget_reset(x);
			x->record = true;
		}
		is_new = false;
	} else if (is_new) {
		use_refuse(x, "another card stands there now; ask again");
	}
	other_methods = !is_new && !str_eq(x->methods, f->methods);
	set_facts(x, f);
	if (is_new) {
		begin(u, x, now);
	} else if (x->hosted && x->state == USES_FREE) {
		use_forget(x);
	}
	x->older = x->older && !used_by_host(x, now);
	if (*x->why) {
		use_refuse(x, x->why);
	}
	if (x->state == USES_DIRTY && other_methods) {
		x->pause = 0;
	}
	if (is_new || (use_ready(x) && (!was_ready || other_methods)) ||
	    (use_cleanable(x) && !was_cleanable)) {
		wake(u, x, now);
	} else if (!use_cleanable(x) && x->state != USES_GIVEN && x->state != USES_HELD) {
		use_go(x, REST, NEVER);
	}
}

/* Where nothing hangs on it, it is forgotten; the journal learns that, too. */
static void is_gone(struct use *x)
{
	use_refuse(x, "it is not there any more; ask again, for another one");
	if (!x->there) {
		return;
	}
	x->there = false;
	if (x->state == USES_DIRTY) {
		use_forget_reset(x);
		x->record = true;
		use_go(x, REST, NEVER);
	} else if (x->state != USES_GIVEN && x->state != USES_HELD) {
		use_pulled_out(x);
	}
}

static int by_id(const void *a, const void *b)
{
	const struct uses_unit *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

void uses_units(struct uses *u, const struct uses_unit *units, size_t n, int64_t now)
{
	const struct uses_unit **sorted = xcalloc(n + 1, sizeof(*sorted));
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		sorted[i] = &units[i];
	}
	qsort(sorted, n, sizeof(*sorted), by_id);
	for (size_t i = 0; i < u->n; i++) {
		while (k < n && strcmp(sorted[k]->id, u->items[i]->id) < 0) {
			k++;
		}
		if (k == n || !str_eq(sorted[k]->id, u->items[i]->id)) {
			is_gone(u->items[i]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!i || !str_eq(sorted[i]->id, sorted[i - 1]->id)) {
			is_there(u, sorted[i], now);
		}
	}
	free(sorted);
}
