/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/uses.h"

#include <stdlib.h>
#include <string.h>

#include "node-daemon/uses_inner.h"

void use_text(char **to, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL; /* text may be *to */

	free(*to);
	*to = copy;
}

bool use_ready(const struct use *x)
{
	return x->there && !*x->why;
}

bool use_cleanable(const struct use *x)
{
	return use_ready(x) || (x->there && x->vgpu && x->state == USES_RETURNING);
}

void use_go(struct use *x, enum step step, int64_t due)
{
	x->step = step;
	x->due = due;
	x->heed = false;
}

void use_verify(struct uses *u, struct use *x, int64_t now)
{
	use_go(x, PODS, now);
	x->need = u->round + 1;
}

bool use_wanted(const struct use *x)
{
	return x->call && x->call->fate == OPEN;
}

void use_refuse(struct use *x, const char *why)
{
	struct err err;

	if (use_wanted(x)) {
		err_set(&err, "%s: %s", x->id, why);
		call_refuse(x->call, err.text);
	}
}

/* --- what ends a use ----------------------------------------------------------------------- */

void use_forget_reset(struct use *x)
{
	use_text(&x->method, NULL);
	x->reset_ms = x->reset_at = 0;
	x->reset_ok = false;
}

void use_forget(struct use *x)
{
	x->state = USES_UNPROVEN;
	x->older = false;
	x->record = !x->fresh;
	use_forget_reset(x);
	use_text(&x->ns, "");
	use_text(&x->pod, "");
	use_text(&x->given_as, "");
	use_text(&x->trouble, NULL);
	use_go(x, REST, NEVER);
}

/* It may come back as it goes, by a rescan of the bus; a vGPU that was used and not removed by us may only
 * be out of sight, and nothing but this remembers how it was left. */
void use_pulled_out(struct use *x)
{
	if (x->vgpu && x->state == USES_RETURNING) {
		if (x->flight != CLEAN) { /* else that it is gone is its removal */
			use_go(x, REST, NEVER);
		}
		return;
	}
	x->owed = !x->fresh && !x->older && !x->vgpu && (x->owed || x->state != USES_FREE);
	use_forget(x);
}

static void cleaned(struct uses *u, struct use *x, int64_t now)
{
	x->state = USES_FREE;
	x->older = x->owed = false;
	x->pause = 0;
	x->record = !x->fresh;
	use_text(&x->ns, "");
	use_text(&x->pod, "");
	use_text(&x->given_as, "");
	use_text(&x->trouble, NULL);
	use_go(x, REST, NEVER);
	if (use_wanted(x)) {
		call_settle(u, x->call, now);
	}
}

static void dirty(struct uses *u, struct use *x, const char *why, int64_t now)
{
	x->state = USES_DIRTY;
	x->record = true;
	use_text(&x->trouble, why);
	use_refuse(x, why);
	use_go(x, REST, NEVER);
	if (*x->methods) {
		x->pause = MIN(MAX(x->pause * 2, (int64_t)USES_DIRTY_FIRST_MS),
			       (int64_t)USES_DIRTY_LAST_MS);
		use_verify(u, x, now + x->pause);
	}
}

static void no_reset(struct uses *u, struct use *x, int64_t now)
{
	if (!x->older && !x->fresh) {
		dirty(u, x, USE_NO_RESET, now);
		return;
	}
	use_forget_reset(x);
	if (x->older) {
		use_text(&x->method, "boot");
		x->reset_ok = true;
	}
	cleaned(u, x, now);
}

/* Nobody has it by the kubelet's list. */
static void released(struct use *x, int64_t now)
{
	if (x->state == USES_GIVEN || x->state == USES_HELD) {
		x->state = USES_RETURNING;
	}
	if (!x->there) {
		use_pulled_out(x);
		return;
	}
	use_go(x, HOLDERS, now);
}

/* --- pods ---------------------------------------------------------------------------------- */

static void listed(struct uses *u, struct use *x, int64_t now)
{
	bool other = !str_eq(x->ns, x->seen->ns) || !str_eq(x->pod, x->seen->pod);

	x->record = x->record || other || x->state != USES_HELD;
	x->state = USES_HELD;
	x->fresh = false;
	use_text(&x->ns, x->seen->ns);
	use_text(&x->pod, x->seen->pod);
	use_text(&x->given_as, x->seen->resource);
	use_text(&x->trouble, NULL);
	if (use_wanted(x) && x->need > u->round) { /* this list is older than the question */
		use_verify(u, x, now);
		return;
	}
	/* whose, is not for every tenant's eyes */
	use_refuse(x, "another pod has it; it can be had when that has ended");
	use_verify(u, x, NEVER); /* any later list may lack it */
}

/* A pod may take its time to show; one that asks for the device now shows that it was in vain. */
static bool may_show_yet(struct use *x, int64_t now)
{
	if (x->state != USES_GIVEN || use_wanted(x)) {
		return false;
	}
	x->absent++;
	return now - x->given < USES_SHOW_MS || x->absent < USES_SHOW_ASKS;
}

/* A kubelet that has started gives what is nobody's by the books that it kept, which its list shows,
 * too: whoever else asks may have to wait until it knows its pods. */
static void not_listed(struct uses *u, struct use *x, int64_t now)
{
	bool had = x->state == USES_GIVEN || x->state == USES_HELD;

	if (x->step != PODS || x->need > u->round || (!had && x->due > now)) {
		return;
	}
	if (had && now < u->deaf && !use_wanted(x)) {
		x->due = MIN(u->deaf, now + USES_AGAIN_MS);
	} else if (may_show_yet(x, now)) {
		x->pause = MIN(x->pause * 2, (int64_t)USES_SHOW_LAST_MS);
		x->due = now + x->pause;
	} else {
		released(x, now);
	}
}

/* Nothing is known: again on the next beat, or for who waits. */
static void unheard(struct use *x, int64_t now)
{
	if (x->step == PODS && x->due <= now) {
		x->due = use_wanted(x) ? now + USES_AGAIN_MS : NEVER;
	}
}

void uses_pods(struct uses *u, const struct dpapi_holds *holds, const char *why, int64_t now)
{
	if (!u->asking) {
		return;
	}
	u->asking = false;
	use_text(&u->pods_why, holds ? NULL : why);
	for (size_t i = 0; holds && i < holds->n; i++) {
		struct use *x = use_find(u, holds->items[i].id);

		if (x) {
			x->seen = &holds->items[i];
		}
	}
	for (size_t i = 0; i < u->n; i++) {
		struct use *x = u->items[i];

		if (!holds) {
			unheard(x, now);
		} else if (x->seen) {
			listed(u, x, now);
		} else {
			not_listed(u, x, now);
		}
		x->seen = NULL;
	}
}

void uses_kubelet(struct uses *u, int64_t started)
{
	u->deaf = MAX(u->deaf, started + USES_KUBELET_MS);
}

void uses_beat(struct uses *u, int64_t now)
{
	for (size_t i = 0; i < u->n; i++) {
		struct use *x = u->items[i];

		if (x->step == PODS && x->due == NEVER) {
			x->due = now;
		}
		x->record = x->record || x->unwritten;
	}
}

/* --- processes, resets --------------------------------------------------------------------- */

/* Somebody has it open, or nobody can say: it stays. */
static void open_yet(struct uses *u, struct use *x, enum uses_holders h, const char *who,
		     int64_t now)
{
	struct err err;

	if (h == USES_SOMEBODY) {
		x->fresh = false;
		err_set(&err, "no pod has it, but %s has it open; end that", who);
	} else {
		err_set(&err, "whether a process has it open is not known: %s", who);
	}
	if (x->state != USES_DIRTY) {
		use_text(&x->trouble, err.text);
	}
	if (use_wanted(x) && now - x->call->begun >= USES_PATIENCE_MS) {
		use_refuse(x, h == USES_SOMEBODY ? "a process has it open, though no pod has it; "
						   "the GPUNode's status names it"
						 : "whether a process has it open is not known; "
						   "the GPUNode's status says why");
	}
	use_verify(u, x, use_wanted(x) ? now + USES_AGAIN_MS : NEVER);
}

void uses_holders(struct uses *u, const char *id, enum uses_holders h, const char *who, int64_t now)
{
	struct use *x = use_find(u, id);
	bool heed = x && x->heed;

	if (!x || (x->flight != HOLDERS && (x->flight != CLEAN || h == USES_NOBODY))) {
		return;
	}
	x->flight = REST;
	if (!heed) {
		return;
	}
	if (h != USES_NOBODY) {
		open_yet(u, x, h, who, now);
	} else if (!*x->methods) {
		no_reset(u, x, now);
	} else {
		if (x->state != USES_DIRTY) {
			use_text(&x->trouble, NULL);
		}
		use_go(x, CLEAN, now);
	}
}

void uses_reset_done(struct uses *u, const char *id, bool good, const char *method, int64_t ms,
		     const char *why, int64_t now)
{
	struct use *x = use_find(u, id);
	bool heed = x && x->heed;
	struct err err;

	if (!x || x->flight != CLEAN) {
		return;
	}
	x->flight = REST;
	use_text(&x->method, str_empty(method) ? "unknown" : method);
	x->reset_ms = ms;
	x->reset_at = now;
	x->reset_ok = good;
	if (!heed) {
		return;
	}
	if (good) {
		x->fresh = false;
		cleaned(u, x, now);
		if (!x->there) {
			use_forget(x);
		}
		return;
	}
	if (x->older || x->fresh) {
		no_reset(u, x, now);
		return;
	}
	err_set(&err,
		"after its last use it was not made clean: %s; it is tried again, and a restart of "
		"the node cleans it",
		why);
	dirty(u, x, err.text, now);
}

/* --- work ---------------------------------------------------------------------------------- */

void uses_record_failed(struct uses *u, const char *id, const char *why, int64_t now)
{
	struct use *x = use_find(u, id);
	struct call *c = x ? x->call : NULL;
	struct err err;

	if (!x) {
		return;
	}
	x->unwritten = true;
	if (!c || c->fate != GOOD) {
		return;
	}
	for (size_t i = 0; i < c->n; i++) { /* nobody got it, so it is as clean as it was */
		if (c->units[i]->state == USES_GIVEN) {
			cleaned(u, c->units[i], now);
		}
	}
	x->record = false;
	err_set(&err, "%s: what is given must be recorded before, and is not: %s", x->id, why);
	call_refuse(c, err.text);
}

bool uses_wants_reset(const struct uses *u, const char *id)
{
	const struct use *x = use_find(u, id);

	return x && x->flight == CLEAN && x->heed;
}

void uses_suspect(struct uses *u, const char *id)
{
	struct use *x = use_find(u, id);

	if (x) {
		x->fresh = false;
	}
}

void uses_not_given(struct uses *u, const char *id, int64_t now)
{
	struct use *x = use_find(u, id);

	if (x && x->state == USES_GIVEN && !x->call) {
		cleaned(u, x, now);
	}
}

static const char *record_state(const struct use *x)
{
	return x->state == USES_GIVEN || x->state == USES_HELD || x->state == USES_RETURNING
		       ? JOURNAL_GIVEN
	       : x->state == USES_DIRTY || x->owed ? JOURNAL_DIRTY
						   : JOURNAL_FREE;
}

static const struct journal_use *record_of(struct uses *u, struct use *x)
{
	x->record = x->unwritten = false;
	u->record_reset = (struct journal_reset){x->method, x->reset_ms, x->reset_at,
						 x->reset_ok ? TRI_TRUE : TRI_FALSE};
	u->record = (struct journal_use){
		.place = x->place,
		.id = x->id,
		.state = record_state(x),
		.ns = x->ns,
		.pod = x->pod,
		.resource = x->given_as,
		.boot = u->boot,
		.reset = x->method && x->state != USES_UNPROVEN ? &u->record_reset : NULL,
	};
	return &u->record;
}

static bool spent(const struct use *x)
{
	return !x->there && x->state == USES_UNPROVEN && x->flight == REST && !x->record &&
	       !x->owed && !x->call;
}

/* Devices that are not there any more, and nothing hangs on them. */
static void drop_spent(struct uses *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n; i++) {
		if (spent(u->items[i])) {
			use_free(u->items[i]);
		} else {
			u->items[n++] = u->items[i];
		}
	}
	u->n = n;
}

static bool next_record(struct uses *u, struct uses_work *ret)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->items[i]->record) {
			*ret = (struct uses_work){.what = USES_RECORD,
						  .id = u->items[i]->id,
						  .record = record_of(u, u->items[i])};
			return true;
		}
	}
	return false;
}

static bool next_reply(struct uses *u, int64_t now, struct uses_work *ret)
{
	for (size_t i = 0; i < u->calls_n; i++) {
		struct call *c = u->calls[i];

		if (c->fate == OPEN && c->begun + USES_CALL_MS <= now) {
			call_late(u, c);
		}
		if (c->fate == OPEN) {
			continue;
		}
		*ret = (struct uses_work){.what = c->fate == GOOD ? USES_ANSWER : USES_REFUSE,
					  .call = c->handle,
					  .asks = &c->asks,
					  .resource = c->resource,
					  .deadline = c->begun + USES_CALL_MS,
					  .text = c->why};
		u->spent = c;
		u->calls_n--;
		memmove(u->calls + i, u->calls + i + 1, (u->calls_n - i) * sizeof(struct call *));
		call_let_go(c);
		return true;
	}
	return false;
}

/* While the kubelet waits for Allocate, a list of its pods makes it forget for whom it is, if a pod
 * ends just then (1.36, devicemanager/manager.go: UpdateAllocatedDevices takes back what is not yet
 * noted down as given), and it gives the device once more. So it is asked only for what that
 * Allocate wants. */
static bool may_ask(const struct uses *u, const struct use *x)
{
	return x->step == PODS && (!u->calls_n || use_wanted(x));
}

static bool next_ask(struct uses *u, int64_t now, struct uses_work *ret)
{
	for (size_t i = 0; i < u->n; i++) {
		struct use *x = u->items[i];

		if ((x->step == HOLDERS || x->step == CLEAN) && !x->flight && use_cleanable(x)) {
			x->flight = x->step;
			x->heed = true;
			*ret = (struct uses_work){.what = x->step == CLEAN ? USES_RESET
									   : USES_ASK_HOLDERS,
						  .id = x->id};
			return true;
		}
	}
	for (size_t i = 0; i < u->n && !u->asking; i++) {
		if (may_ask(u, u->items[i]) && u->items[i]->due <= now) {
			u->asking = true;
			u->round++;
			*ret = (struct uses_work){.what = USES_ASK_PODS};
			return true;
		}
	}
	return false;
}

static int64_t next_time(const struct uses *u)
{
	int64_t at = NEVER;

	for (size_t i = 0; i < u->n && !u->asking; i++) {
		at = may_ask(u, u->items[i]) ? MIN(at, u->items[i]->due) : at;
	}
	for (size_t i = 0; i < u->calls_n; i++) {
		at = MIN(at, u->calls[i]->begun + USES_CALL_MS);
	}
	return at;
}

void uses_next(struct uses *u, int64_t now, struct uses_work *ret, int64_t *ret_wake)
{
	call_free(take(u->spent));
	drop_spent(u);
	if (!next_record(u, ret) && !next_reply(u, now, ret) && !next_ask(u, now, ret)) {
		*ret = (struct uses_work){.what = USES_WAIT};
	}
	*ret_wake = ret->what == USES_WAIT ? next_time(u) : now;
}

/* --- for others ---------------------------------------------------------------------------- */

const char *uses_busy(const struct uses *u, const char *id, struct arena *a)
{
	const struct use *x = use_find(u, id);

	if (!x) {
		return NULL;
	}
	if (x->state == USES_HELD) {
		return arena_printf(a, "pod %s/%s has it", x->ns, x->pod);
	}
	if (x->call || x->state == USES_GIVEN) {
		return "it is being given to a pod";
	}
	if (x->flight == CLEAN) {
		return "it is being reset";
	}
	if (x->state == USES_RETURNING && !x->hosted) {
		return x->trouble ? arena_strdup(a, x->trouble)
				  : "it is being taken back from the pod that had it";
	}
	return NULL;
}

/* What nobody may have now is not to be planned with; what a pod has must not become so. */
static bool healthy(const struct use *x)
{
	bool had = x->state == USES_GIVEN || x->state == USES_HELD;

	return had || (use_ready(x) && x->state != USES_DIRTY && !x->trouble);
}

bool uses_each(const struct uses *u, size_t n, struct uses_view *ret)
{
	const struct use *x = n < u->n ? u->items[n] : NULL;

	if (!x) {
		return false;
	}
	*ret = (struct uses_view){
		.id = x->id,
		.state = x->state,
		.healthy = healthy(x),
		.ns = x->ns,
		.pod = x->pod,
		.resource = x->given_as ? x->given_as : "",
		.why = x->trouble ? x->trouble : "",
		.method = x->method ? x->method : "",
		.ms = x->reset_ms,
		.at = x->reset_at,
		.reset_ok = x->reset_ok,
	};
	return true;
}
