/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_test.c: the step machine on virtual time: by hand, and against a model of the kubelet
 * (1.36, devicemanager/plugin/v1beta1: server.go, handler.go, client.go) that is killed, replaced
 * and wiped at random.
 */
#include "node-daemon/plugin_hand_test.h"

#include <stdarg.h>

/* --- by hand ------------------------------------------------------------------------------- */

static void registers(void)
{
	begin_listed();
	ok(str_starts(last->socket, "vmgpu-"));
	ok(str_ends(last->socket, ".sock"));
	is_int(strlen(last->socket), 27);
	ok(!last->why);
	OFFER(1, "r");
	is_str(turn(), "");
	OFFER(2, "r");
	is_str(turn(), "send r 28; ");
	OFFER(0, "r");
	is_str(turn(), "send r 0; ");
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	end();
}

static void no_kubelet(void)
{
	begin();
	OFFER(1, "r", "s");
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	now += 6000;
	plugin_kubelet(p, 7);
	is_str(turn(), "listen r; register r; listen s; register s; ");
	end();
}

/* Again at once, then after 1 ms, 2 ms, ... up to 5 s. */
static void nobody_answers(void)
{
	static const int64_t waits[] = {0,   1,	  2,   4,    8,	   16,	 32,   64,
					128, 256, 512, 1024, 2048, 4096, 5000, 5000};

	begin();
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	is_str(turn(), "listen r; register r; ");
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		plugin_registered(last, GRPC_UNAVAILABLE, "gone", now);
		is_str(last->why, "gone");
		if (waits[i]) {
			is_str(turn(), "");
			is_int(wake, now + waits[i]);
			now += waits[i];
		}
		is_str(turn(), "register r; ");
	}
	plugin_kubelet(p, 0);
	plugin_registered(last, GRPC_UNAVAILABLE, "gone", now);
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	plugin_kubelet(p, 8); /* a new one is asked at once */
	is_str(turn(), "register r; ");
	end();
}

static void refused(void)
{
	begin();
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	turn();
	for (int i = 0; i < 12; i++) {
		plugin_registered(last, GRPC_UNKNOWN, "no such name", now);
		turn();
		now = wake == INT64_MAX ? now : wake;
		turn();
	}
	plugin_registered(last, GRPC_UNKNOWN, "no such name", now);
	turn();
	is_int(wake, now + 60000);
	end();
}

static void cannot_listen(void)
{
	struct plugin_work w;

	begin();
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	for (int i = 0; i < 3; i++) {
		plugin_next(p, now, &w, &wake);
		is_int(w.what, PLUGIN_LISTEN);
		plugin_listened(w.resource, false, "somebody else does", now);
		is_str(w.resource->why, "somebody else does");
		is_str(i ? turn() : "", ""); /* the second time at once */
		now += 100 * i;
	}
	is_str(turn(), "listen r; register r; ");
	ok(!last->why);
	end();
}

/* The old stream ends after the new registration: the kubelet throws the new one out (K1). */
static void thrown_out(void)
{
	struct plugin_resource *r = begin_listed();

	now += 50;
	plugin_closed(r, now);
	is_str(turn(), ""); /* the connection is still there */
	plugin_connections(r, 0);
	is_str(turn(), "register r; ");
	plugin_registered(r, GRPC_OK, "", now);
	plugin_opened(r, now);
	is_str(turn(), "send r 14; ");
	plugin_closed(r, now); /* it does not last: the next is not so quick */
	plugin_connections(r, 0);
	is_str(turn(), "");
	is_int(wake, now + 100);
	now += 100;
	is_str(turn(), "register r; ");
	plugin_registered(r, GRPC_OK, "", now);
	plugin_opened(r, now);
	turn();
	now += PLUGIN_STEADY_MS; /* one that lasted is no failure */
	plugin_closed(r, now);
	is_str(turn(), "register r; ");
	end();
}

static void kubelet_restarts(void)
{
	struct plugin_resource *r = begin_listed();

	now += 60000;
	plugin_kubelet(p, 0);
	plugin_closed(r, now);
	plugin_connections(r, 0);
	is_str(turn(), "");
	is_int(wake, INT64_MAX);
	plugin_file_gone(r);
	plugin_kubelet(p, 8);
	is_str(turn(), "listen r; register r; ");
	end();
}

/* Only the socket is replaced, the old stream hangs. */
static void stream_hangs(void)
{
	struct plugin_resource *r = begin_listed();

	plugin_kubelet(p, 8);
	is_str(turn(), "");
	is_int(wake, now + PLUGIN_LEAVE_MS);
	now = wake;
	is_str(turn(), "end r; "); /* and the other end is to close */
	is_int(wake, now + PLUGIN_LEAVE_MS);
	plugin_connections(r, 0);
	is_str(turn(), "register r; ");
	end();
}

/* Nor does the other end close. */
static void connection_hangs(void)
{
	begin_listed();
	plugin_kubelet(p, 8);
	turn();
	now = wake;
	turn();
	now = wake;
	is_str(turn(), "listen r; ");
	is_int(wake, now + PLUGIN_CUT_MS);
	now = wake;
	is_str(turn(), "register r; ");
	end();
}

/* The file alone: nobody needs it as long as the stream lives. */
static void file_removed(void)
{
	struct plugin_resource *r = begin_listed();

	plugin_file_gone(r);
	is_str(turn(), "");
	plugin_closed(r, now);
	plugin_connections(r, 0);
	is_str(turn(), "listen r; register r; ");
	end();
}

static void never_watched(void)
{
	begin();
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	turn();
	plugin_registered(last, GRPC_OK, "", now);
	is_str(turn(), "");
	is_int(wake, now + PLUGIN_WATCH_MS);
	now = wake;
	is_str(turn(), "register r; ");
	has(last->why, "does not ask for its devices");
	plugin_connections(last, 1);
	plugin_registered(last, GRPC_OK, "", now);
	plugin_kubelet(p, 8); /* that one will not ask any more */
	is_str(turn(), "");
	is_int(wake, now + PLUGIN_LEAVE_MS);
	plugin_connections(last, 0);
	is_str(turn(), "register r; ");
	end();
}

static void offered_no_more(void)
{
	struct plugin_resource *r = begin_listed();

	OFFER(0);
	is_str(turn(), "send r 0; ");
	OFFER(1, "r");
	is_str(turn(), "send r 14; ");
	OFFER(1, "s");
	is_str(turn(), "send r 0; listen s; register s; ");
	plugin_closed(r, now);
	is_str(turn(), "unlisten r; ");
	is_int(wake, INT64_MAX);
	ok(!plugin_each(p, plugin_each(p, NULL)));
	OFFER(1, "r", "s");
	is_str(turn(), "listen r; register r; ");
	end();
}

/* While its Register is open it is not taken away. */
static void withdrawn_early(void)
{
	begin();
	OFFER(1, "r", "r");
	OFFER(0);
	is_str(turn(), "unlisten r; ");
	plugin_kubelet(p, 7);
	OFFER(1, "r");
	is_str(turn(), "listen r; register r; ");
	OFFER(0);
	is_str(turn(), "");
	plugin_kubelet(p, 8); /* nor when that asks another */
	is_str(turn(), "");
	plugin_kubelet(p, 7);
	plugin_registered(last, GRPC_OK, "", now);
	is_str(turn(), "");
	plugin_opened(last, now);
	is_str(turn(), "send r 0; ");
	end();
}

/* The first of two lists with one name. */
static void one_name_twice(void)
{
	struct dpapi_device list[2] = {{"a", true, -1}, {"b", true, -1}};
	const struct plugin_offer offers[] = {
		{.resource = "r", .devices = {list, 2}},
		{.resource = "r", .devices = {list, 1}},
	};

	begin_listed();
	plugin_offers(p, offers, 2);
	is_str(turn(), "send r 28; ");
	end();
}

/* --- the model ----------------------------------------------------------------------------- */

#define NAMES 3
#define CONNS 64
#define DELAY 300 /* of anything that the kubelet does, at most */
#define NEVER INT64_MAX
#define NO_LIST SIZE_MAX

/* A connection that some kubelet made to the socket of a resource. */
struct conn {
	int of; /* which kubelet, 0: free */
	size_t name;
	bool stream;
	int64_t opens_at; /* its stream */
	size_t list;	  /* bytes of the last one, NO_LIST: none yet */
};

static struct model {
	int kubelet; /* the one that listens, 0: none */
	uint64_t id; /* of its socket */
	uint64_t ids;
	int kubelets;
	struct conn conns[CONNS];
	struct name {
		struct plugin_resource *r;
		bool file;
		int client;	    /* whom the kubelet has under the name: a conn, -1: nobody */
		int stream;	    /* ours: the newest that is open, -1: none */
		int asked;	    /* kubelet that is to register it, 0: none */
		int64_t answers_at; /* to that */
		int64_t throws_at;  /* a stream has ended: whoever has the name is thrown out */
	} names[NAMES];
	size_t registrations;
	size_t offered[NAMES]; /* bytes, NO_LIST: not offered */
} m;

static uint32_t seed;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static size_t conns_of(size_t name)
{
	size_t n = 0;

	for (size_t i = 0; i < CONNS; i++) {
		n += m.conns[i].of && m.conns[i].name == name;
	}
	return n;
}

/* handler.go:runClient goes on when its stream has ended, whoever ended it. */
static void stream_ended(struct conn *c)
{
	struct name *n = &m.names[c->name];

	if (c->stream && c->of == m.kubelet) {
		n->throws_at = MIN(n->throws_at, now + dice(DELAY));
	}
	c->stream = false;
}

static void conn_gone(struct conn *c, bool told)
{
	struct name *n = &m.names[c->name];
	int i = (int)(c - m.conns);

	stream_ended(c);
	n->client = n->client == i ? -1 : n->client;
	c->of = 0;
	if (n->stream == i) {
		n->stream = -1;
		if (told) {
			plugin_closed(n->r, now);
		}
	}
	if (told && n->r) {
		plugin_connections(n->r, conns_of(c->name));
	}
}

static void all_gone(int kubelet, size_t name, bool told)
{
	for (size_t i = 0; i < CONNS; i++) {
		struct conn *c = &m.conns[i];

		if (c->of && (c->of == kubelet || (!kubelet && c->name == name))) {
			conn_gone(c, told);
		}
	}
}

/* What the kubelet has to do by now. */
static void answer(struct name *n)
{
	struct conn *c = m.conns;

	n->answers_at = NEVER;
	n->asked = 0;
	if (!n->file) {
		plugin_registered(n->r, GRPC_UNKNOWN, "no such file", now);
		return;
	}
	while (c->of) {
		c++;
		ok(c < m.conns + CONNS);
	}
	*c = (struct conn){.of = m.kubelet,
			   .name = (size_t)(n - m.names),
			   .opens_at = now + dice(DELAY),
			   .list = NO_LIST};
	n->client = (int)(c - m.conns); /* server.go:registerClient closes nobody's */
	plugin_connections(n->r, conns_of(c->name));
	plugin_registered(n->r, GRPC_OK, "", now);
}

static void kubelet_works(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		struct name *n = &m.names[i];

		if (n->answers_at <= now) {
			answer(n);
		}
		if (n->throws_at <= now) {
			n->throws_at = NEVER;
			if (n->client >= 0) {
				conn_gone(&m.conns[n->client], true);
			}
		}
	}
	for (size_t i = 0; i < CONNS; i++) {
		struct conn *c = &m.conns[i];

		if (c->of && c->opens_at <= now) {
			c->opens_at = NEVER;
			c->stream = true;
			m.names[c->name].stream = (int)i;
			plugin_opened(m.names[c->name].r, now);
		}
	}
}

static int64_t kubelet_wake(void)
{
	int64_t at = NEVER;

	for (size_t i = 0; i < NAMES; i++) {
		at = MIN(at, MIN(m.names[i].answers_at, m.names[i].throws_at));
	}
	for (size_t i = 0; i < CONNS; i++) {
		at = m.conns[i].of ? MIN(at, m.conns[i].opens_at) : at;
	}
	return at;
}

/* --- the rim, played ----------------------------------------------------------------------- */

static size_t index_of(const struct plugin_resource *r)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (str_eq(r->name, (const char *const[]){"n.com/a", "n.com/b", "n.com/c"}[i])) {
			return i;
		}
	}
	ok(!"a name that was never offered");
	return 0;
}

static void ask_kubelet(struct name *n)
{
	m.registrations++;
	ok(!n->asked);
	for (size_t i = 0; i < CONNS; i++) { /* the rule */
		ok(!(m.conns[i].of && m.conns[i].name == (size_t)(n - m.names)));
	}
	if (!m.kubelet) {
		plugin_registered(n->r, GRPC_UNAVAILABLE, "refused", now);
		return;
	}
	n->asked = m.kubelet;
	n->answers_at = now + dice(DELAY);
}

static void carry_out(const struct plugin_work *w)
{
	size_t i = index_of(w->resource);
	struct name *n = &m.names[i];

	n->r = w->resource;
	if (w->what == PLUGIN_LISTEN || w->what == PLUGIN_UNLISTEN) {
		all_gone(0, i, false);
		n->file = w->what == PLUGIN_LISTEN && dice(10);
	}
	if (w->what == PLUGIN_LISTEN) {
		plugin_listened(n->r, n->file, "no", now);
	} else if (w->what == PLUGIN_UNLISTEN) {
		n->r = NULL;
	} else if (w->what == PLUGIN_REGISTER) {
		ask_kubelet(n);
	} else if (w->what == PLUGIN_SEND) {
		ok(n->stream >= 0);
		ok(m.conns[n->stream].list != w->n || w->n == 0);
		m.conns[n->stream].list = w->n;
	} else if (w->what == PLUGIN_END) {
		struct conn *c = &m.conns[n->stream];

		ok(n->stream >= 0);
		stream_ended(c);
		n->stream = -1;
		if (c->of != m.kubelet && dice(2)) { /* an old one that lives on */
			conn_gone(c, true);
		}
	}
}

static void run_until(int64_t until)
{
	struct plugin_work w;

	for (int i = 0; i < 100000; i++) {
		kubelet_works();
		plugin_next(p, now, &w, &wake);
		if (w.what != PLUGIN_WAIT) {
			carry_out(&w);
			continue;
		}
		ok(wake > now);
		now = MIN(until, MIN(wake, kubelet_wake()));
		if (now >= until) {
			now = until;
			return;
		}
	}
	ok(!"it comes to rest");
}

/* --- what happens to it -------------------------------------------------------------------- */

static void change_offers(void)
{
	static const char *const names[NAMES] = {"n.com/a", "n.com/b", "n.com/c"};
	struct dpapi_device list[4] = {{"a", true, -1}, {"b", true, -1}, {"c", true, 1}};
	struct plugin_offer offers[NAMES];
	size_t n = 0;

	for (size_t i = 0; i < NAMES; i++) {
		size_t devices = dice(4);

		m.offered[i] = NO_LIST;
		if (dice(3)) {
			offers[n].resource = names[i];
			offers[n].devices.items = list;
			offers[n++].devices.n = devices;
			m.offered[i] = devices * 14 + (devices == 3) * 6; /* c has a node */
		}
	}
	plugin_offers(p, offers, n);
}

static void wipe(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		m.names[i].file = false;
		if (m.names[i].r) {
			plugin_file_gone(m.names[i].r);
		}
	}
}

/* Nobody listens at kubelet.sock any more; what was asked there has no answer. */
static void kubelet_away(bool dies)
{
	int old = m.kubelet;

	m.kubelet = 0;
	for (size_t i = 0; i < NAMES; i++) {
		struct name *n = &m.names[i];

		n->client = -1;
		n->throws_at = n->answers_at = NEVER;
		if (n->asked) {
			n->asked = 0;
			plugin_registered(n->r, GRPC_UNAVAILABLE, "closed", now);
		}
	}
	if (dies && old) {
		all_gone(old, 0, true);
	}
}

static void kubelet_starts(bool wipes)
{
	if (wipes) {
		wipe();
	}
	m.kubelet = ++m.kubelets;
	m.id = ++m.ids;
	if (dice(2)) {
		plugin_kubelet(p, 0);
	}
	plugin_kubelet(p, m.id);
}

static void happen(void)
{
	switch (dice(9)) {
	case 0: /* restarts */
		kubelet_away(true);
		run_until(now + dice(8000));
		kubelet_starts(true);
		break;
	case 1: /* only its socket is replaced; the old one lives on, or not */
		kubelet_away(dice(2));
		kubelet_starts(false);
		break;
	case 2: /* killed */
		kubelet_away(true);
		break;
	case 3: /* the folder is emptied */
		kubelet_away(false);
		wipe();
		plugin_kubelet(p, 0);
		break;
	case 4: { /* a connection breaks */
		struct conn *c = &m.conns[dice(CONNS)];

		if (c->of) {
			conn_gone(c, true);
		}
		break;
	}
	case 5:
		if (m.names[0].r) {
			m.names[0].file = false;
			plugin_file_gone(m.names[0].r);
		}
		break;
	default:
		change_offers();
	}
}

/* The kubelet has the last list of each resource that is offered, and an empty one, or nothing, of
 * those that are not. */
static void at_rest(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		const struct name *n = &m.names[i];
		size_t list = n->client < 0 ? NO_LIST : m.conns[n->client].list;

		if (m.offered[i] == NO_LIST) {
			ok(list == NO_LIST || list == 0);
		} else {
			ok(n->client >= 0 && m.conns[n->client].stream && n->stream == n->client);
			is_int(list, m.offered[i]);
		}
		is_int(conns_of(i), n->client >= 0);
	}
	is_int(wake, NEVER);
}

static void begin_model(uint32_t number)
{
	begin();
	seed = number;
	m = (struct model){.kubelet = 0};
	for (size_t i = 0; i < NAMES; i++) {
		m.names[i] = (struct name){
			.client = -1, .stream = -1, .answers_at = NEVER, .throws_at = NEVER};
		m.offered[i] = NO_LIST;
	}
}

static void random_lives(void)
{
	for (uint32_t run = 0; run < 3000; run++) {
		begin_model(run);
		change_offers();
		for (uint32_t i = dice(30); i; i--) {
			happen();
			run_until(now + (dice(3) ? dice(500) : dice(20000)));
		}
		kubelet_away(true);
		for (int k = 1; k <= m.kubelets; k++) { /* old ones end sometime */
			all_gone(k, 0, true);
		}
		kubelet_starts(dice(2));
		m.registrations = 0;
		run_until(now + 30000);
		at_rest();
		ok(m.registrations <= 4 * NAMES);
		end();
	}
}

/* None of the model's own doing: without faults each registers once. */
static void quiet_life(void)
{
	begin_model(1);
	kubelet_starts(false);
	for (int i = 0; i < 100; i++) {
		change_offers();
		run_until(now + 1000);
	}
	run_until(now + 86400000);
	at_rest();
	ok(m.registrations <= NAMES);
	end();
}

TESTS({"it listens, registers, sends its list, and again only when that has changed", registers},
      {"without a kubelet it waits, as long as that takes, without a wake-up", no_kubelet},
      {"where nobody answers it tries again at once, then ever more slowly", nobody_answers},
      {"where it is refused it ends up asking once a minute", refused},
      {"a socket that cannot be had is tried again, and said", cannot_listen},
      {"when it is thrown out it waits for the connection's end, and comes back", thrown_out},
      {"a kubelet that restarts is registered at with a new socket", kubelet_restarts},
      {"a stream of a kubelet that was replaced is ended in time", stream_hangs},
      {"a connection that does not end is cut", connection_hangs},
      {"the file of a socket that is gone matters at the next registration", file_removed},
      {"a kubelet that registers and never asks is asked again", never_watched},
      {"a resource that is offered no more is served with an empty list until the kubelet leaves",
       offered_no_more},
      {"a resource that is withdrawn before it was listed leaves nothing", withdrawn_early},
      {"of two offers of one name the first counts", one_name_twice},
      {"whatever happens to the kubelet, it ends up with all lists", random_lives},
      {"where nothing happens each resource is registered once", quiet_life}, )
