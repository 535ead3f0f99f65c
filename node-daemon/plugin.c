/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/plugin.h"

#include <stdlib.h>
#include <string.h>

#include "base/link.h"
#include "node-daemon/grpc.h"

enum file { FILE_NONE, FILE_THERE };
enum asked { NOT_ASKED, ASKED, GRANTED }; /* Register; granted: and ListAndWatch has not come yet */

struct resource {
	struct plugin_resource shown;
	struct link link;
	char *name, *socket, *why;
	struct buf list, sent; /* sent: on the stream that is open */
	bool offered, seen;
	enum file file;
	enum asked asked;
	uint64_t of; /* id of the kubelet that was last asked to register us */
	bool open;   /* its ListAndWatch, and we have not ended it */
	bool dead;   /* UNLISTEN has been handed out */
	bool taken;  /* its name is another plugin's now */
	bool lapsed; /* it was while our stream was open */
	int64_t opened_at;
	size_t connections;
	bool sent_any;
	int64_t retry_at; /* not before this */
	int64_t retry_ms; /* what was waited last, 0: nothing */
	int64_t leave_at; /* the kubelet is to have left, INT64_MAX: not asked to */
	int64_t granted_at;
};

struct plugin {
	struct link resources;
	size_t n;
	char **taken; /* names */
	size_t n_taken;
	uint64_t kubelet; /* id, 0: away */
};

static struct resource *resource_of(struct plugin_resource *r)
{
	return container_of(r, struct resource, shown);
}

/* --- resources ----------------------------------------------------------------------------- */

struct plugin *plugin_create(void)
{
	struct plugin *p = xcalloc(1, sizeof(*p));

	link_init(&p->resources);
	return p;
}

static void resource_free(struct plugin *p, struct resource *r)
{
	link_remove(&r->link);
	p->n--;
	buf_finish(&r->list);
	buf_finish(&r->sent);
	free(r->name);
	free(r->socket);
	free(r->why);
	free(r);
}

static void forget_taken(struct plugin *p)
{
	for (size_t i = 0; i < p->n_taken; i++) {
		free(p->taken[i]);
	}
	free(take(p->taken));
	p->n_taken = 0;
}

struct plugin *plugin_destroy(struct plugin *p)
{
	if (p) {
		forget_taken(p);
		link_each(l, &p->resources)
		{
			resource_free(p, container_of(l, struct resource, link));
		}
		free(p);
	}
	return NULL;
}

static bool is_taken(const struct plugin *p, const char *name)
{
	for (size_t i = 0; i < p->n_taken; i++) {
		if (str_eq(p->taken[i], name)) {
			return true;
		}
	}
	return false;
}

/* The name of a resource may have 317 characters, a socket's path only 107: its hash stands for
 * it. */
static struct resource *resource_create(struct plugin *p, const char *name)
{
	struct resource *r = xcalloc(1, sizeof(*r));

	r->name = xstrdup(name);
	r->socket = xprintf(PLUGIN_SOCKETS "%016llx.sock",
			    (unsigned long long)hash_str(HASH_SEED, name));
	r->shown = (struct plugin_resource){.name = r->name, .socket = r->socket};
	r->leave_at = INT64_MAX;
	r->taken = is_taken(p, name);
	buf_init(&r->list, GRPC_SEND_MAX);
	buf_init(&r->sent, GRPC_SEND_MAX);
	link_append(&p->resources, &r->link);
	p->n++;
	return r;
}

static struct resource *find(struct plugin *p, const char *name)
{
	link_each(l, &p->resources)
	{
		struct resource *r = container_of(l, struct resource, link);

		if (!r->dead && str_eq(r->name, name)) {
			return r;
		}
	}
	return NULL;
}

const struct plugin_resource *plugin_each(const struct plugin *p,
					  const struct plugin_resource *after)
{
	const struct link *l = p->resources.next;

	if (after) {
		l = container_of(after, const struct resource, shown)->link.next;
	}
	return l == &p->resources ? NULL : &container_of(l, const struct resource, link)->shown;
}

/* --- attempts ------------------------------------------------------------------------------ */

static void say_why(struct resource *r, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;

	free(r->why);
	r->shown.why = r->why = copy;
}

/* The first time at once, then after `least`, twice that, ... */
static void try_later(struct resource *r, int64_t least, int64_t most, int64_t now)
{
	r->retry_at = now + r->retry_ms;
	r->retry_ms = MIN(MAX(2 * r->retry_ms, least), most);
}

static void try_at_once(struct resource *r)
{
	r->retry_at = 0;
	r->retry_ms = 0;
}

/* --- what happened ------------------------------------------------------------------------- */

void plugin_offers(struct plugin *p, const struct plugin_offer *offers, size_t n)
{
	link_each(l, &p->resources)
	{
		container_of(l, struct resource, link)->seen = false;
	}
	for (size_t i = 0; i < n; i++) {
		struct resource *r = find(p, offers[i].resource);

		if ((r && r->seen) || (!r && p->n > PLUGIN_RESOURCES_MAX)) {
			continue;
		}
		r = r ? r : resource_create(p, offers[i].resource);
		r->seen = true;
		buf_reset(&r->list);
		dpapi_write_devices(&r->list, offers[i].devices.items, offers[i].devices.n);
	}
	link_each(l, &p->resources)
	{
		struct resource *r = container_of(l, struct resource, link);

		r->offered = r->seen;
		if (!r->seen) {
			buf_reset(&r->list);
		}
	}
}

void plugin_taken(struct plugin *p, const char *const *names, size_t n)
{
	forget_taken(p);
	p->taken = xcalloc(n, sizeof(*p->taken));
	for (size_t i = 0; i < n; i++) {
		p->taken[p->n_taken++] = xstrdup(names[i]);
	}
	link_each(l, &p->resources)
	{
		struct resource *r = container_of(l, struct resource, link);

		r->taken = is_taken(p, r->name);
		r->lapsed |= r->taken && r->open;
	}
}

void plugin_kubelet(struct plugin *p, uint64_t id)
{
	if (id && id != p->kubelet) {
		link_each(l, &p->resources)
		{
			try_at_once(container_of(l, struct resource, link));
		}
	}
	p->kubelet = id;
}

void plugin_file_gone(struct plugin_resource *shown)
{
	resource_of(shown)->file = FILE_NONE;
}

void plugin_listened(struct plugin_resource *shown, bool good, const char *text, int64_t now)
{
	struct resource *r = resource_of(shown);

	say_why(r, good ? NULL : text);
	r->file = good ? FILE_THERE : FILE_NONE;
	if (!good) {
		try_later(r, PLUGIN_RETRY_MS, PLUGIN_RETRY_MAX_MS, now);
	}
}

/* A kubelet that is not there, or busy, is asked again soon; one that says no seldom thinks better
 * of it. */
void plugin_registered(struct plugin_resource *shown, enum grpc_code code, const char *text,
		       int64_t now)
{
	struct resource *r = resource_of(shown);
	bool answered = code != GRPC_UNAVAILABLE && code != GRPC_DEADLINE_EXCEEDED;

	say_why(r, code == GRPC_OK ? NULL : text);
	if (code == GRPC_OK) {
		r->asked = r->open ? NOT_ASKED : GRANTED;
		r->granted_at = now;
	} else {
		r->asked = NOT_ASKED;
		try_later(r, code == GRPC_UNAVAILABLE ? PLUGIN_CONNECT_MS : PLUGIN_RETRY_MS,
			  answered ? PLUGIN_REFUSED_MAX_MS : PLUGIN_RETRY_MAX_MS, now);
	}
}

void plugin_opened(struct plugin_resource *shown, int64_t now)
{
	struct resource *r = resource_of(shown);

	r->open = r->shown.listed = true;
	r->lapsed = r->taken;
	r->leave_at = INT64_MAX;
	r->opened_at = now;
	r->sent_any = false;
	if (r->asked == GRANTED) {
		r->asked = NOT_ASKED;
	}
}

void plugin_closed(struct plugin_resource *shown, int64_t now)
{
	struct resource *r = resource_of(shown);

	if (!r->open) {
		return;
	}
	r->open = r->shown.listed = false;
	buf_trim(&r->sent);
	if (now - r->opened_at >= PLUGIN_STEADY_MS) {
		try_at_once(r);
	}
	try_later(r, PLUGIN_RETRY_MS, PLUGIN_RETRY_MAX_MS, now);
	r->leave_at = now + PLUGIN_LEAVE_MS;
}

void plugin_connections(struct plugin_resource *shown, size_t n)
{
	resource_of(shown)->connections = n;
}

/* --- what is to be done -------------------------------------------------------------------- */

/* The stream is open and of today's kubelet. */
static enum plugin_do keep(struct resource *r)
{
	bool same = r->sent_any && r->sent.len == r->list.len &&
		    (!r->list.len || memcmp(r->sent.bytes, r->list.bytes, r->list.len) == 0);

	if (r->taken || r->lapsed) {
		return r->taken ? PLUGIN_WAIT : PLUGIN_END;
	}
	return same ? PLUGIN_WAIT : PLUGIN_SEND;
}

/* The kubelet has been replaced while the old one's stream is open: it ends by itself, soon, or we
 * end it. */
static enum plugin_do part(struct resource *r, int64_t now)
{
	if (r->leave_at == INT64_MAX) {
		r->leave_at = now + PLUGIN_LEAVE_MS;
	}
	return r->leave_at <= now ? PLUGIN_END : PLUGIN_WAIT;
}

static enum plugin_do begin(struct resource *r, int64_t now)
{
	if (r->retry_at > now) {
		return PLUGIN_WAIT;
	}
	if (r->connections && r->leave_at == INT64_MAX) {
		r->leave_at = now + PLUGIN_LEAVE_MS;
	}
	if (r->connections && r->leave_at > now) {
		return PLUGIN_WAIT;
	}
	/* One that has not closed its connection until now has it closed by a new socket. */
	return r->connections || r->file == FILE_NONE ? PLUGIN_LISTEN : PLUGIN_REGISTER;
}

static enum plugin_do decide(const struct plugin *p, struct resource *r, int64_t now)
{
	if (r->asked == GRANTED && p->kubelet && r->of != p->kubelet) {
		r->asked = NOT_ASKED; /* by one that is no more */
	}
	if (r->asked == GRANTED && now - r->granted_at >= PLUGIN_WATCH_MS) {
		r->asked = NOT_ASKED;
		say_why(r,
			"the kubelet has registered this resource, but does not ask for its devices");
		try_later(r, PLUGIN_RETRY_MS, PLUGIN_REFUSED_MAX_MS, now);
	}
	if (r->open && (!p->kubelet || r->of == p->kubelet)) {
		return keep(r);
	}
	if (r->open) {
		return part(r, now);
	}
	if (r->asked != NOT_ASKED && r->of == p->kubelet) {
		return PLUGIN_WAIT;
	}
	if (!r->offered) {
		return r->asked == ASKED ? PLUGIN_WAIT : PLUGIN_UNLISTEN;
	}
	return !p->kubelet || r->asked == ASKED || r->taken ? PLUGIN_WAIT : begin(r, now);
}

static void note(const struct plugin *p, struct resource *r, enum plugin_do what, int64_t now)
{
	if (what == PLUGIN_LISTEN) {
		/* Whose connection is closed by us disconnects us a moment later. */
		r->retry_at = r->connections ? now + PLUGIN_CUT_MS : now;
		r->connections = 0;
	} else if (what == PLUGIN_REGISTER) {
		r->asked = ASKED;
		r->of = p->kubelet;
		r->leave_at = INT64_MAX;
	} else if (what == PLUGIN_SEND) {
		buf_reset(&r->sent);
		buf_add(&r->sent, buf_text(&r->list), r->list.len);
		r->sent_any = true;
	} else if (what == PLUGIN_END) {
		r->open = r->shown.listed = r->lapsed = false;
		r->leave_at = now + PLUGIN_LEAVE_MS;
	} else if (what == PLUGIN_UNLISTEN) {
		r->dead = true;
	}
}

static void bury(struct plugin *p)
{
	link_each(l, &p->resources)
	{
		struct resource *r = container_of(l, struct resource, link);

		if (r->dead) {
			resource_free(p, r);
		}
	}
}

/* When to look at it again by itself. */
static int64_t wake_of(const struct plugin *p, const struct resource *r)
{
	if (!p->kubelet || r->asked == ASKED) {
		return INT64_MAX;
	}
	if (r->open) {
		return r->of == p->kubelet ? INT64_MAX : r->leave_at;
	}
	if (r->asked == GRANTED) {
		return r->granted_at + PLUGIN_WATCH_MS;
	}
	if (!r->offered || r->taken) {
		return INT64_MAX;
	}
	return r->connections ? MAX(r->retry_at, r->leave_at) : r->retry_at;
}

void plugin_next(struct plugin *p, int64_t now, struct plugin_work *ret, int64_t *ret_wake)
{
	*ret = (struct plugin_work){.what = PLUGIN_WAIT};
	*ret_wake = INT64_MAX;
	bury(p);
	link_each(l, &p->resources)
	{
		struct resource *r = container_of(l, struct resource, link);
		enum plugin_do what = decide(p, r, now);

		if (what != PLUGIN_WAIT) {
			note(p, r, what, now);
			*ret = (struct plugin_work){.what = what,
						    .resource = &r->shown,
						    .list = buf_text(&r->list),
						    .n = r->list.len};
			*ret_wake = now;
			return;
		}
		*ret_wake = MIN(*ret_wake, wake_of(p, r));
	}
}
