/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "node-daemon/uses_inner.h"

#define ASKS_MAX (8 * MiB) /* copies of ids that we know, each once */

void call_let_go(struct call *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->units[i]->call == c) {
			c->units[i]->call = NULL;
		}
	}
	c->n = 0; /* a device that is unplugged goes before the call does */
}

void call_free(struct call *c)
{
	if (c) {
		call_let_go(c);
		arena_finish(&c->arena);
		free(c->units);
		free(c->why);
		free(c->resource);
		free(c);
	}
}

void call_refuse(struct call *c, const char *why)
{
	free(c->why);
	c->why = xstrdup(why);
	c->fate = BAD;
	call_let_go(c);
}

/* --- what can be refused at once ------------------------------------------------------------- */

static int claim(struct uses *u, struct call *c, const char *resource, const char *id,
		 struct err *err)
{
	struct use *x = use_find(u, id);

	if (!x || !x->there) {
		return err_set(
			err,
			"%s: there is no such device on this node now; it is listed no more, ask again",
			id);
	}
	if (x->vgpu && !*x->resource && !x->call &&
	    (x->state == USES_FREE || str_eq(x->given_as, resource))) {
		use_text(&x->resource, resource);
	}
	if (!str_eq(x->resource, resource)) {
		return err_set(err, "%s: it is offered as %s now, not as %s; ask for that", id,
			       *x->resource ? x->resource : "nothing", resource);
	}
	if (x->call == c) {
		return err_set(
			err,
			"%s: it is asked for twice in one Allocate; each container needs its own",
			id);
	}
	if (x->call) {
		return err_set(err, "%s: another Allocate is just being given it; ask again", id);
	}
	if (*x->why) {
		return err_set(err, "%s: it cannot be given: %s", id, x->why);
	}
	if (x->state == USES_DIRTY) {
		return err_set(err, "%s: it is given to nobody: %s", id, x->trouble);
	}
	if (c->n == c->size) {
		c->size = c->size * 2 + 4;
		c->units = xrealloc(c->units, c->size * sizeof(*c->units));
	}
	c->units[c->n++] = x;
	x->call = c;
	return 0;
}

static int claim_all(struct uses *u, struct call *c, const char *resource,
		     const struct dpapi_asks *asks, struct err *err)
{
	if (u->calls_n > USES_CALLS_MAX) {
		return err_set(err, "more than %d Allocates are open; ask again", USES_CALLS_MAX);
	}
	list_each(ids, asks) {
		list_each(id, ids) {
			if (claim(u, c, resource, *id, err) < 0) {
				return -1;
			}
		}
	}
	return c->n ? 0
		    : err_set(err, "this Allocate names no device of %s; ask for one", resource);
}

static void copy_asks(struct call *c, const struct dpapi_asks *asks)
{
	c->asks.n = asks->n;
	c->asks.items = arena_array(&c->arena, struct dpapi_ids, asks->n);
	for (size_t i = 0; i < asks->n; i++) {
		struct dpapi_ids *to = &c->asks.items[i];

		to->n = asks->items[i].n;
		to->items = arena_array(&c->arena, const char *, to->n);
		for (size_t k = 0; k < to->n; k++) {
			to->items[k] = arena_strdup(&c->arena, asks->items[i].items[k]);
		}
	}
}

/* --- its way ----------------------------------------------------------------------------------- */

/* What is believed of it is no reason to refuse it: the kubelet may know better. */
static void doubt(struct uses *u, struct use *x, int64_t now)
{
	bool under_way = x->step == HOLDERS || x->step == CLEAN;

	if (x->state != USES_FREE && !under_way) {
		use_verify(u, x, now);
	}
}

void call_settle(struct uses *u, struct call *c, int64_t now)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->units[i]->state != USES_FREE) {
			return;
		}
	}
	c->fate = GOOD;
	for (size_t i = 0; i < c->n; i++) {
		struct use *x = c->units[i];

		x->state = USES_GIVEN;
		x->fresh = false;
		use_text(&x->given_as, x->resource);
		x->given = now;
		x->absent = 0;
		x->pause = USES_SHOW_FIRST_MS;
		x->record = true;
		use_verify(u, x, now + x->pause);
	}
}

void uses_allocate(struct uses *u, void *handle, const char *resource,
		   const struct dpapi_asks *asks, int64_t now)
{
	struct call *c = xcalloc(1, sizeof(*c));
	struct err err;

	c->handle = handle;
	c->resource = xstrdup(resource);
	c->begun = now;
	arena_init(&c->arena, ASKS_MAX);
	if (u->calls_n == u->calls_size) {
		u->calls_size = u->calls_size * 2 + 4;
		u->calls = xrealloc(u->calls, u->calls_size * sizeof(struct call *));
	}
	u->calls[u->calls_n++] = c;
	if (claim_all(u, c, resource, asks, &err) < 0) {
		call_refuse(c, err.text);
		return;
	}
	copy_asks(c, asks);
	for (size_t i = 0; i < c->n; i++) {
		doubt(u, c->units[i], now);
	}
	call_settle(u, c, now);
}

void uses_call_gone(struct uses *u, void *handle)
{
	for (size_t i = 0; i < u->calls_n; i++) {
		if (u->calls[i]->handle == handle) {
			call_free(u->calls[i]);
			u->calls_n--;
			memmove(u->calls + i, u->calls + i + 1,
				(u->calls_n - i) * sizeof(struct call *));
			return;
		}
	}
}

void call_late(const struct uses *u, struct call *c)
{
	struct use *x = c->units[0];
	struct err err;

	for (size_t i = 0; i < c->n && x->state == USES_FREE; i++) {
		x = c->units[i];
	}
	if (x->step == CLEAN) {
		err_set(&err, "%s: it is being reset since its last use; ask again", x->id);
		use_text(&x->trouble, "its reset takes long"); /* others need not come for it */
	} else if (x->step == HOLDERS) {
		err_set(&err,
			"%s: nobody has said in time whether a process has it open; look at the "
			"logs of vmgpu-node",
			x->id);
	} else if (x->trouble) {
		err_set(&err, "%s: it is not known to be free; the GPUNode's status says why",
			x->id);
	} else {
		err_set(&err, "%s: nobody can say which pod has it: %s", x->id,
			u->pods_why ? u->pods_why
				    : "the kubelet has not told it in time; ask again");
	}
	call_refuse(c, err.text);
}
