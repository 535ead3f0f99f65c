/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uses_model_test.c: uses.h against a model of the kubelet (1.36, cm/devicemanager), of the processes
 * in its pods, of resets, and of a machine on which all of these fail, and we ourselves die, at
 * random.
 *
 * The kubelet of the model gives a device that it believes to be free; it frees it when its pod has
 * ended, or its Allocate was in vain, and tells nobody. Young it knows no pods, and rarely it has
 * forgotten which devices they have. A pod's process may outlive it.
 */
#include "node-daemon/uses_test.h"

#define NEVER INT64_MAX
#define UNITS 3 /* the last one has no reset */
#define PODS 8
#define HISTORY 64
#define BEAT_MS 10000
#ifdef __SANITIZE_ADDRESS__ /* which makes it slow */
#define RUNS 20000
#else
#define RUNS 100000
#endif

struct pod {
	enum { NO_POD, ASKING, LIVE, ENDED } state; /* ENDED: its process is there yet */
	int unit, second;			    /* second: -1 */
	int64_t asked, shows_at, opens_at, closes_at;
	bool open, forgotten;
	char name[16];
};

struct record {
	bool there;
	struct journal_reset reset;
	char state[12], ns[8], pod[16], boot[12];
};

static struct model {
	struct pod pods[PODS];
	struct {
		bool there;
		bool touched; /* by a process, and not made clean since */
		int64_t holders_at, reset_at;
		int holders; /* as seen when it was asked; -1: look at the answer */
		bool reset_bad;
	} units[UNITS];
	struct record journal[UNITS],
		history[HISTORY][UNITS]; /* on the disk; what a power cut may leave */
	int written;
	int64_t pods_at; /* when a list comes */
	int listed[UNITS];
	bool listed_then; /* it is of the time when it was asked for */
	bool kubelet, quiet;
	int64_t knows_at;    /* the kubelet, which pods there are */
	int64_t blind_until; /* nobody sees processes */
	int64_t beat;
	int boot, names;
	int answers, refusals, resets;
} m;

static uint32_t seed;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 8) * n) >> 24);
}

static const char *const ids[UNITS] = {"0000:01:00.0", "0000:02:00.0", "0000:03:00.0"};
static const char *const places[UNITS] = {"p1", "p2", "p3"};

static int unit_of(const char *id)
{
	for (int i = 0; i < UNITS; i++) {
		if (str_eq(id, ids[i]) || str_eq(id, places[i])) {
			return i;
		}
	}
	ok(!"no such unit");
	return 0;
}

static bool has_unit(const struct pod *p, int unit)
{
	return p->unit == unit || p->second == unit;
}

static bool is_open(int unit)
{
	for (int i = 0; i < PODS; i++) {
		if (m.pods[i].open && has_unit(&m.pods[i], unit)) {
			return true;
		}
	}
	return false;
}

/* The pod that has it, -1: none. */
static int live_pod(int unit)
{
	for (int i = 0; i < PODS; i++) {
		if (m.pods[i].state == LIVE && has_unit(&m.pods[i], unit)) {
			return i;
		}
	}
	return -1;
}

/* --- the machine --------------------------------------------------------------------------- */

static void tell_units(void)
{
	struct uses_unit list[UNITS];
	size_t n = 0;

	for (int i = 0; i < UNITS; i++) {
		if (m.units[i].there) {
			list[n++] = (struct uses_unit){
				ids[i], places[i], "r", "", i == UNITS - 1 ? "" : "flr", false};
		}
	}
	uses_units(u, list, n, now);
}

static void we_start(void)
{
	struct journal_use list[UNITS];
	char boot[12];
	size_t n = 0;

	snprintf(boot, sizeof(boot), "boot-%d", m.boot);
	for (int i = 0; i < UNITS; i++) {
		struct record *r = &m.journal[i];

		if (r->there) {
			list[n++] = (struct journal_use){places[i],
							 ids[i],
							 r->state,
							 r->ns,
							 r->pod,
							 r->boot,
							 r->reset.method ? &r->reset : NULL,
							 0};
		}
		m.units[i].holders_at = m.units[i].reset_at = NEVER;
	}
	m.pods_at = NEVER;
	u = uses_create(boot);
	uses_restore(u, list, n);
	tell_units();
	uses_kubelet(u, now);
}

static void write_record(const struct journal_use *r)
{
	struct record *to = &m.journal[unit_of(r->place)];

	memset(to, 0, sizeof(*to));
	to->there = !str_eq(r->state, JOURNAL_FREE) || r->reset;
	if (r->reset) {
		to->reset = *r->reset;
		to->reset.method = "flr";
	}
	snprintf(to->state, sizeof(to->state), "%s", r->state);
	snprintf(to->ns, sizeof(to->ns), "%s", r->ns);
	snprintf(to->pod, sizeof(to->pod), "%s", r->pod);
	snprintf(to->boot, sizeof(to->boot), "%s", r->boot);
	memcpy(m.history[m.written++ % HISTORY], m.journal, sizeof(m.journal));
}

/* --- the kubelet --------------------------------------------------------------------------- */

static void look_at_pods(void)
{
	for (int i = 0; i < UNITS; i++) {
		int p = live_pod(i);
		bool shown = p >= 0 && now >= m.knows_at && !m.pods[p].forgotten &&
			     m.pods[p].shows_at <= now;

		m.listed[i] = shown ? p : -1;
	}
}

static void list_comes(void)
{
	struct dpapi_hold holds[UNITS];
	size_t n = 0;

	m.pods_at = NEVER;
	if (!m.kubelet || (!m.quiet && !dice(20))) {
		uses_pods(u, NULL, "the kubelet is away", now);
		return;
	}
	if (!m.listed_then) {
		look_at_pods();
	}
	for (int i = 0; i < UNITS; i++) {
		if (m.listed[i] >= 0) {
			holds[n++] = (struct dpapi_hold){"ns", m.pods[m.listed[i]].name, "c", "r",
							 ids[i]};
		}
	}
	uses_pods(u, &(struct dpapi_holds){holds, n}, NULL, now);
}

static bool believed_free(int unit)
{
	for (int i = 0; i < PODS; i++) {
		const struct pod *p = &m.pods[i];

		if ((p->state == LIVE || p->state == ASKING) && !p->forgotten &&
		    has_unit(p, unit)) {
			return false;
		}
	}
	return true;
}

static bool told_healthy(int unit)
{
	struct uses_view v;

	for (size_t i = 0; uses_each(u, i, &v); i++) {
		if (str_eq(v.id, ids[unit])) {
			return v.healthy;
		}
	}
	return false;
}

static bool told_free(int unit)
{
	struct uses_view v;

	for (size_t i = 0; uses_each(u, i, &v); i++) {
		if (str_eq(v.id, ids[unit])) {
			return v.state == USES_FREE;
		}
	}
	return false;
}

static void pod_ends(struct pod *p)
{
	p->opens_at = NEVER;
	p->state = p->open ? ENDED : NO_POD;
	if (p->open) {
		p->closes_at = now + (dice(3) ? 0 : dice(4) ? dice(6000) : dice(60000));
	}
}

static void kubelet_stops(void)
{
	m.kubelet = false;
	for (int i = 0; i < PODS; i++) {
		if (m.pods[i].state == ASKING) {
			if (u) {
				uses_call_gone(u, &m.pods[i]);
			}
			pod_ends(&m.pods[i]);
		}
	}
	m.pods_at = m.pods_at == NEVER ? NEVER : now;
}

/* forgets: what only its checkpoint knows. Whoever has not opened his device yet fails then. */
static void kubelet_starts(bool forgets)
{
	m.kubelet = true;
	m.knows_at = now + dice(8000);
	for (int i = 0; i < PODS && forgets; i++) {
		struct pod *p = &m.pods[i];

		p->forgotten = p->state == LIVE;
		if (p->state == LIVE && !p->open) {
			pod_ends(p);
		}
	}
	if (u) {
		uses_kubelet(u, now);
	}
}

/* --- the rim, played ----------------------------------------------------------------------- */

static void given(struct pod *p, const struct dpapi_asks *asks)
{
	list_each(id, &asks->items[0]) {
		int i = unit_of(*id);

		ok(live_pod(i) < 0); /* never two pods on one device */
		ok(!is_open(i));
		ok(!m.units[i].touched); /* a reset between the two */
		ok(str_eq(m.journal[i].state, JOURNAL_GIVEN));
		ok(!*m.journal[i].pod);
		ok(m.units[i].there);
	}
	m.answers++;
	p->state = LIVE;
	if (!dice(5)) { /* another resource failed: it is free again, and nobody is told */
		p->state = NO_POD;
		return;
	}
	p->shows_at = now + (dice(8) ? dice(50) : dice(25000));
	p->opens_at = now + dice(9000);
}

static void carry_out(const struct uses_work *w)
{
	struct pod *p = w->call;
	int i = w->id ? unit_of(w->id) : 0;

	switch (w->what) {
	case USES_RECORD:
		if (!m.quiet && !dice(40)) {
			uses_record_failed(u, w->id, "the disk is full", now);
		} else {
			write_record(w->record);
		}
		break;
	case USES_ANSWER:
		ok(p->state == ASKING && now - p->asked <= USES_CALL_MS);
		given(p, w->asks);
		break;
	case USES_REFUSE:
		ok(p->state == ASKING && now - p->asked <= USES_CALL_MS);
		ok(*w->text);
		m.refusals++;
		p->state = NO_POD;
		break;
	case USES_ASK_PODS:
		ok(m.pods_at == NEVER);
		m.pods_at = now + (dice(4) ? dice(30) : dice(5000));
		m.listed_then = dice(2);
		look_at_pods();
		break;
	case USES_ASK_HOLDERS:
		ok(m.units[i].holders_at == NEVER);
		m.units[i].holders_at = now + (dice(4) ? dice(100) : dice(3000));
		m.units[i].holders = dice(2) ? is_open(i) : -1;
		break;
	default:
		ok(w->what == USES_RESET && m.units[i].reset_at == NEVER);
		ok(!is_open(i) && live_pod(i) < 0); /* never reset what somebody has */
		m.units[i].reset_at = now + (dice(6) ? dice(500) : dice(20000));
		m.units[i].reset_bad = !m.quiet && !dice(10);
	}
}

/* --- time ---------------------------------------------------------------------------------- */

static void holders_come(int i)
{
	int seen = m.units[i].holders < 0 ? is_open(i) : m.units[i].holders;

	m.units[i].holders_at = NEVER;
	if (now < m.blind_until) {
		uses_holders(u, ids[i], USES_NOT_KNOWN, "nobody sees", now);
	} else {
		uses_holders(u, ids[i], seen ? USES_SOMEBODY : USES_NOBODY, "process 7", now);
	}
}

static void reset_ends(int i)
{
	m.units[i].reset_at = NEVER;
	m.resets++;
	if (!m.units[i].reset_bad) {
		ok(!is_open(i));
		m.units[i].touched = false;
	}
	uses_reset_done(u, ids[i], !m.units[i].reset_bad, "flr", 1, "it burns", now);
}

static void pod_lives(struct pod *p)
{
	if (p->opens_at <= now) {
		p->opens_at = NEVER;
		p->open = true;
		m.units[p->unit].touched = true;
		if (p->second >= 0) {
			m.units[p->second].touched = true;
		}
	}
	if (p->closes_at <= now) {
		p->closes_at = NEVER;
		p->open = false;
		p->state = p->state == ENDED ? NO_POD : p->state;
	}
}

static void due(void)
{
	for (int i = 0; i < PODS; i++) {
		pod_lives(&m.pods[i]);
	}
	if (!u) {
		return;
	}
	if (m.pods_at <= now) {
		list_comes();
	}
	for (int i = 0; i < UNITS; i++) {
		if (m.units[i].holders_at <= now) {
			holders_come(i);
		}
		if (m.units[i].reset_at <= now) {
			reset_ends(i);
		}
	}
	if (m.beat <= now) {
		m.beat = now + BEAT_MS;
		uses_beat(u, now);
	}
}

static int64_t next_event(void)
{
	int64_t at = u ? MIN(m.pods_at, m.beat) : NEVER;

	for (int i = 0; i < PODS; i++) {
		at = MIN(at, MIN(m.pods[i].opens_at, m.pods[i].closes_at));
	}
	for (int i = 0; i < UNITS && u; i++) {
		at = MIN(at, MIN(m.units[i].holders_at, m.units[i].reset_at));
	}
	return at;
}

/* All that can be done at this moment. */
static void settle(void)
{
	struct uses_work w;

	for (int i = 0; u && i < 200; i++) {
		uses_next(u, now, &w, &wake);
		if (w.what == USES_WAIT) {
			ok(wake > now);
			for (int k = 0; k < PODS; k++) { /* the kubelet waits for each */
				ok(m.pods[k].state != ASKING ||
				   now - m.pods[k].asked < USES_CALL_MS);
			}
			return;
		}
		carry_out(&w);
	}
	ok(!u);
	wake = NEVER;
}

static void run_until(int64_t until)
{
	for (int i = 0; i < 20000; i++) {
		due();
		settle();
		if (now >= until) {
			return;
		}
		now = MIN(until, MIN(wake, next_event()));
	}
	ok(!"it comes to rest");
}

/* --- what happens -------------------------------------------------------------------------- */

/* A pod comes: the kubelet asks for what it believes to be free. */
static void pod_comes(void)
{
	const char *list[2];
	struct dpapi_ids one = {list, 0};
	struct pod *p = NULL;
	int first = -1, second = -1, asking = 0;
	bool at_once;

	for (int i = 0; i < PODS; i++) {
		asking += m.pods[i].state == ASKING;
		p = m.pods[i].state == NO_POD ? &m.pods[i] : p;
	}
	for (int i = (int)dice(UNITS), k = 0; k < UNITS; k++, i = (i + 1) % UNITS) {
		if (believed_free(i) && u && told_healthy(i)) {
			second = first >= 0 && !dice(4) ? i : second;
			first = first < 0 ? i : first;
		}
	}
	if (!p || !u || first < 0 || !m.kubelet || now < m.knows_at || asking == 2) {
		return;
	}
	*p = (struct pod){.state = ASKING,
			  .unit = first,
			  .second = second,
			  .asked = now,
			  .opens_at = NEVER,
			  .closes_at = NEVER};
	snprintf(p->name, sizeof(p->name), "pod-%d", m.names++);
	list[one.n++] = ids[first];
	if (second >= 0) {
		list[one.n++] = ids[second];
	}
	at_once = told_free(first) && (second < 0 || told_free(second));
	uses_allocate(u, p, "r", &(struct dpapi_asks){&one, 1}, now);
	settle();
	ok(!at_once || p->state != ASKING);
}

static void some_pod_ends(void)
{
	for (int i = (int)dice(PODS), k = 0; k < PODS; k++, i = (i + 1) % PODS) {
		if (m.pods[i].state == LIVE) {
			pod_ends(&m.pods[i]);
			if (dice(2)) {
				due();	     /* its process is gone */
				pod_comes(); /* and the next pod there at once */
			}
			return;
		}
	}
}

static void we_die(void)
{
	u = uses_destroy(u);
	for (int i = 0; i < PODS; i++) {
		if (m.pods[i].state == ASKING) {
			pod_ends(&m.pods[i]);
		}
	}
}

static void node_boots(void)
{
	we_die();
	kubelet_stops();
	for (int i = 0; i < PODS; i++) {
		m.pods[i] = (struct pod){.opens_at = NEVER, .closes_at = NEVER};
	}
	for (int i = 0; i < UNITS; i++) {
		m.units[i].touched = false;
	}
	if (m.written && dice(2)) { /* the last records were lost with the power */
		memcpy(m.journal,
		       m.history[(uint32_t)(m.written - 1 -
					    (int)dice((uint32_t)MIN(m.written, 5))) %
				 HISTORY],
		       sizeof(m.journal));
	}
	m.boot++;
	kubelet_starts(false);
	we_start();
}

static void happen(void)
{
	int i = (int)dice(UNITS);

	switch (dice(16)) {
	case 0:
		we_die();
		run_until(now + dice(20000));
		we_start();
		break;
	case 1:
		kubelet_stops();
		run_until(now + dice(20000));
		kubelet_starts(!dice(5));
		break;
	case 2:
		m.blind_until = now + dice(30000);
		break;
	case 3:
		m.units[i].there = !m.units[i].there;
		tell_units();
		break;
	case 4:
		if (!dice(4)) {
			node_boots();
		}
		break;
	case 5:
		for (int k = 0; k < PODS; k++) {
			if (m.pods[k].state == ASKING && !dice(3)) {
				uses_call_gone(u, &m.pods[k]);
				pod_ends(&m.pods[k]);
			}
		}
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		some_pod_ends();
		break;
	default:
		pod_comes();
	}
}

static void begin_model(uint32_t number)
{
	seed = number * 2654435761U + 1;
	now = 1000;
	m = (struct model){.boot = 2, .kubelet = true, .beat = now + BEAT_MS};
	for (int i = 0; i < PODS; i++) {
		m.pods[i] = (struct pod){.opens_at = NEVER, .closes_at = NEVER};
	}
	for (int i = 0; i < UNITS; i++) {
		m.units[i].there = true;
		m.journal[i] = (struct record){.there = true, .state = "given", .boot = "boot-1"};
	}
	we_start();
}

/* Everything that ended is free, but for what has no reset, which is when the node has booted. */
static void all_free(void)
{
	struct uses_view v;
	size_t n = 0;

	for (; uses_each(u, n, &v); n++) {
		bool may_be_dirty = str_eq(v.id, ids[UNITS - 1]) && v.state == USES_DIRTY;

		if (v.state != USES_FREE && !may_be_dirty) {
			printf("# run %u: %s is %d: %s\n", seed, v.id, v.state, v.why);
		}
		ok(v.state == USES_FREE || may_be_dirty);
	}
	is_int(n, UNITS);
}

static void come_to_rest(void)
{
	m.quiet = true;
	m.blind_until = 0;
	run_until(now + USES_CALL_MS); /* every call has its end */
	for (int i = 0; i < PODS; i++) {
		if (m.pods[i].state == LIVE) {
			pod_ends(&m.pods[i]);
		}
	}
	if (!m.kubelet) {
		kubelet_starts(false);
	}
	for (int i = 0; i < UNITS; i++) {
		m.units[i].there = true;
	}
	tell_units();
	run_until(now + 180000);
	for (int i = 0; i < PODS; i++) {
		is_int(m.pods[i].state, NO_POD);
	}
}

static bool any_reset_failed(void)
{
	struct uses_view v;
	bool any = false;

	for (size_t n = 0; uses_each(u, n, &v); n++) {
		any = any || (v.state == USES_DIRTY && !str_eq(v.id, ids[UNITS - 1]));
	}
	return any;
}

static void random_lives(void)
{
	const char *runs_text = getenv("RUNS");
	int runs = runs_text ? (int)strtol(runs_text, NULL, 10) : RUNS;
	int64_t answers = 0, refusals = 0, resets = 0;

	for (int run = 0; run < runs; run++) {
		begin_model((uint32_t)run);
		for (uint32_t k = 5 + dice(40); k; k--) {
			happen();
			run_until(now + (dice(3) ? dice(3000) : dice(40000)));
		}
		come_to_rest();
		if (any_reset_failed()) { /* tried again ever more rarely */
			run_until(now + USES_DIRTY_LAST_MS + 60000);
		}
		all_free();
		uses_beat(u, now);
		settle();
		is_int(m.pods_at, NEVER); /* nothing is held: nobody is asked */
		answers += m.answers;
		refusals += m.refusals;
		resets += m.resets;
		u = uses_destroy(u);
	}
	printf("# %d lives: %" PRId64 " answers, %" PRId64 " refusals, %" PRId64 " resets\n", runs,
	       answers, refusals, resets);
	ok(answers > 2 * (int64_t)runs && refusals > runs / 10 && resets > runs);
}

/* All orders of what can happen behind an Allocate, with time enough between or none. */
enum { POD_GONE, CLOSED, NEXT, KUBELET, DEATH, THINGS };

static void one_thing(int what)
{
	struct pod *p = &m.pods[PODS - 1]; /* of pod_comes the first */

	switch (what) {
	case POD_GONE:
		if (p->state == LIVE) {
			p->state = p->open ? ENDED : NO_POD;
		}
		break;
	case CLOSED:
		p->closes_at = now;
		p->opens_at = NEVER;
		break;
	case NEXT:
		pod_comes();
		break;
	case KUBELET:
		kubelet_stops();
		kubelet_starts(false);
		break;
	default:
		we_die();
		we_start();
	}
}

static int64_t orders_run;

static void in_order(const int *order, int64_t pause, bool opens)
{
	begin_model(7);
	m.quiet = true; /* nothing else fails */
	for (int i = 1; i < UNITS; i++) {
		m.units[i].there = false;
	}
	tell_units();
	run_until(now + 60000);
	while (m.pods[PODS - 1].state != LIVE) {
		pod_comes();
	}
	m.pods[PODS - 1].opens_at = opens ? now : NEVER;
	run_until(now + 1000);
	for (int i = 0; i < THINGS; i++) {
		one_thing(order[i]);
		run_until(now + pause);
	}
	come_to_rest();
	for (int i = 0; i < UNITS; i++) {
		ok(told_free(i) || i == UNITS - 1);
	}
	u = uses_destroy(u);
	orders_run++;
}

static void permute(int *order, int n)
{
	if (n == THINGS) {
		for (int64_t k = 0; k < 10; k++) {
			in_order(order, (const int64_t[]){0, 50, 2000, 11000, 40000}[k / 2], k % 2);
		}
		return;
	}
	for (int i = n; i < THINGS; i++) {
		int was = order[n];

		order[n] = order[i];
		order[i] = was;
		permute(order, n + 1);
		order[i] = order[n];
		order[n] = was;
	}
}

static void all_orders(void)
{
	int order[THINGS] = {POD_GONE, CLOSED, NEXT, KUBELET, DEATH};

	orders_run = 0;
	permute(order, 0);
	is_int(orders_run, 1200);
}

TESTS({"pod gone, handle closed, Allocate again, kubelet restart, our death: in every order",
       all_orders},
      {"whatever happens, nobody gets what somebody has, and nothing is lost", random_lives}, )
