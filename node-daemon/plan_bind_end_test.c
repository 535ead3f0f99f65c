/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the programs of plan_bind.h lead, on a kernel that is played (kernel_test.h), for the units
 * of all machines of the scans with three kinds of drivers: the same end whether or not we, or the
 * machine, stop anywhere on the way.
 */
#include "base/test.h"
#include "node-daemon/kernel_test.h"
#include "node-daemon/layout_test.h"
#include "node-daemon/plan_bind.h"

#define FILE_MAX 65536

struct world {
	struct kernel kernel;
	char journal[FILE_MAX]; /* what outlives us */
	size_t journal_n;
	char boot[2];
	uint64_t id;
	enum want want;
	enum bind_users users;
	int left; /* with so many things done we are dead; -1: we do not die */
	struct arena *arena;
};

static bool lives(struct world *w)
{
	w->left -= w->left > 0;
	return w->left != 0;
}

/* --- the journal --------------------------------------------------------------------------- */

static void add_record(struct world *w, const struct journal_record *r)
{
	attr_cleanup(journal_finish) struct journal j;
	attr_cleanup(buf_finish) struct buf line;
	struct err err = {""};

	journal_init(&j);
	buf_init(&line, MiB);
	journal_read(w->journal, w->journal_n, &j);
	journal_synced(&j);
	if (journal_line(&j, r, &line, &err) < 0 || w->journal_n + line.len > FILE_MAX) {
		printf("# %s\n", err.text);
		exit(1);
	}
	memcpy(w->journal + w->journal_n, line.bytes, line.len);
	w->journal_n += line.len;
}

static void begin_journal(struct world *w)
{
	add_record(w, &(struct journal_record){
			      .head = &(struct journal_head){JOURNAL_VERSION, "node", w->boot}});
}

static void record(struct world *w, const struct book *b, const struct unit *u,
		   enum book_doing doing)
{
	struct journal_unit r;

	book_record(b, u, doing == BOOK_BIND ? JOURNAL_BINDING : JOURNAL_RETURNING, w->boot,
		    w->arena, &r);
	add_record(w, &(struct journal_record){.unit = &r});
}

static void record_end(struct world *w, const struct book *b, const struct unit *u,
		       enum book_doing doing)
{
	struct journal_unit r;

	if (doing == BOOK_BIND) {
		book_record(b, u, JOURNAL_BOUND, w->boot, w->arena, &r);
	} else {
		book_returned(b, w->boot, w->arena, &r);
	}
	add_record(w, &(struct journal_record){.unit = &r});
}

/* The unit as it is now, and what is known of it. Both lie in the arena, or in j. */
static const struct unit *look(struct world *w, struct journal *j, struct book *ret)
{
	struct unit_list units;
	struct books books;

	journal_init(j);
	journal_read(w->journal, w->journal_n, j);
	units_make(w->kernel.m, w->arena, &units);
	books_make(j, &units, "node", w->boot, w->arena, &books);
	is_str(books.refusal, "");
	*ret = *books_find(&books, w->id);
	list_each(u, &units) {
		if (u->card->address == w->id) {
			return u;
		}
	}
	return NULL;
}

/* --- one turn ------------------------------------------------------------------------------ */

enum turn { AGAIN, END, FAILED, DEAD };

/* A helper process: what it said is what we learn. */
static enum turn run_steps(struct world *w, const struct steps *s, struct steps_heard *ret)
{
	attr_cleanup(buf_finish) struct buf said;
	enum kernel_answer answer = KERNEL_DONE;
	const char *read;

	buf_init(&said, MiB);
	for (size_t i = 0; i < s->n && answer == KERNEL_DONE; i++) {
		if (!lives(w)) {
			return DEAD;
		}
		answer = kernel_do(&w->kernel, &s->items[i], &read);
		steps_say(&said, i, answer == KERNEL_DONE, read);
	}
	steps_hear(s, buf_text(&said), said.len, w->arena, ret);
	return ret->done == s->n ? AGAIN : FAILED;
}

static enum turn read_first(struct world *w, struct book *b, const struct unit *u,
			    const struct bind_plan *p)
{
	struct steps_heard heard;
	enum turn t = run_steps(w, &p->steps, &heard);

	if (t == AGAIN && !lives(w)) {
		return DEAD;
	}
	if (t == AGAIN) {
		bind_learn(b, &p->steps, &heard);
		record(w, b, u, p->doing);
	}
	return t;
}

static enum turn write_then(struct world *w, struct book *b, const struct unit *u,
			    const struct bind_plan *p)
{
	struct steps_heard heard;
	enum turn t;

	if (b->doing != p->doing && !lives(w)) {
		return DEAD;
	}
	if (b->doing != p->doing) {
		record(w, b, u, p->doing);
	}
	t = run_steps(w, &p->steps, &heard);
	if (t == AGAIN && !lives(w)) {
		return DEAD;
	}
	if (t == AGAIN) {
		record_end(w, b, u, p->doing);
	}
	return t;
}

static enum turn turn(struct world *w)
{
	attr_cleanup(journal_finish) struct journal j;
	struct bind_plan p;
	struct book b;
	const struct unit *u = look(w, &j, &b);

	plan_bind(&(struct bind_seen){w->kernel.m, u, &b, w->want, w->users, "", ""}, w->arena, &p);
	if (p.next == BIND_READ || p.next == BIND_WRITE) {
		return p.next == BIND_READ ? read_first(w, &b, u, &p) : write_then(w, &b, u, &p);
	}
	if (p.next == BIND_REST && p.doing == BOOK_BACK) {
		record_end(w, &b, u, BOOK_BACK);
	}
	return END;
}

static enum turn go(struct world *w)
{
	enum turn t = AGAIN;

	for (int i = 0; i < 10 && t == AGAIN; i++) {
		t = turn(w);
	}
	return t;
}

/* --- machines ------------------------------------------------------------------------------ */

enum kind { AS_IT_IS, DRIVERLESS, ON_HOST, KINDS };

/* Of ON_HOST one function has an override of the admin's. */
static void make(struct world *w, struct machine *m, const struct unit *u, enum kind kind,
		 struct arena *a)
{
	*w = (struct world){.left = -1, .arena = a, .id = u->card->address, .boot = "1"};
	begin_journal(w);
	list_each(item, &u->functions) {
		struct pci_function *f = machine_function(m, (*item)->address);

		if (kind != AS_IT_IS && f->kind != PCI_MEMBER) {
			f->driver = kind == DRIVERLESS	 ? ""
				    : f->kind == PCI_GPU ? "nvidia"
							 : "snd_hda_intel";
			f->boot_display = false;
			f->vfs.n = 0;
			f->mdevs.n = 0;
			f->face = VGPU_NONE;
		}
	}
	kernel_boot(&w->kernel, m);
	w->users = BIND_USERS_NONE;
	for (size_t i = 0; i < m->functions.n; i++) {
		struct kernel_function *f = &w->kernel.functions[i];

		f->native = kind == DRIVERLESS ? "nouveau" : f->native; /* loaded, but let go */
		if (kind == ON_HOST && m->functions.items[i] == u->card) {
			snprintf(f->override, sizeof(f->override), "nvidia");
			snprintf(f->first_override, sizeof(f->first_override), "nvidia");
		}
	}
}

static void print(struct world *w, struct buf *out)
{
	attr_cleanup(journal_finish) struct journal j;
	struct book b;

	look(w, &j, &b);
	buf_reset(out);
	buf_printf(out, "whose %d doing %d %s\n", b.whose, b.doing, b.why);
	kernel_print(&w->kernel, out);
}

/* The drivers at the start, for the next of many runs of one machine. */
static void start_again(struct world *w)
{
	for (size_t i = 0; i < w->kernel.m->functions.n; i++) {
		w->kernel.m->functions.items[i]->driver = w->kernel.functions[i].first;
	}
}

typedef bool story(struct world *w);

/* Death at any point, with or without the machine: the end is that without a death. *ret_runs: how
 * many. False with a line on what went wrong. */
static bool ends_the_same(const struct world *start, story *run, bool reboot, const char *what,
			  int *ret_runs)
{
	attr_cleanup(buf_finish) struct buf want, got;
	struct world w = *start;
	bool same = run(&w), died = true;

	buf_init(&want, MiB);
	buf_init(&got, MiB);
	print(&w, &want);
	start_again(&w);
	for (int k = 1; same && died; k++) {
		w = *start;
		w.left = k;
		same = run(&w);
		died = w.left == 0;
		w.left = -1;
		if (reboot) {
			kernel_reboot(&w.kernel);
			w.boot[0]++;
		}
		same = same && run(&w);
		print(&w, &got);
		same = same && str_eq(buf_text(&got), buf_text(&want));
		if (!same) {
			printf("# %s, stopped at %d%s\n# want %s# got %s", what, k,
			       reboot ? " with the machine" : "", buf_text(&want), buf_text(&got));
		}
		start_again(&w);
		++*ret_runs;
	}
	return same;
}

/* --- what must be true --------------------------------------------------------------------- */

static struct arena arena;
static int runs, machines;
static const char *const kind_names[] = {"as it is", "driverless", "on the host"};

/* Ends well, or by death. */
static bool to_vfio(struct world *w)
{
	enum turn t;

	w->want = WANT_VFIO;
	t = go(w);
	return t == END || t == DEAD;
}

static bool there_and_back(struct world *w)
{
	enum turn t;

	if (!to_vfio(w) || w->left == 0) {
		return w->left == 0;
	}
	w->want = WANT_HOST;
	t = go(w);
	return t == END || t == DEAD;
}

/* Dies on the way there, and finds when it lives again that the order has changed. */
static bool there_or_back(struct world *w)
{
	enum turn t;

	w->want = w->left >= 0 ? WANT_VFIO : WANT_HOST;
	t = go(w);
	return t == END || t == DEAD;
}

/* The other way round: is on its way back when the order comes again. */
static bool back_or_there(struct world *w)
{
	int left = w->left;
	enum turn t;

	w->left = -1;
	if (!to_vfio(w)) {
		return false;
	}
	if (left < 0) {
		return true;
	}
	w->left = left;
	w->want = WANT_HOST;
	t = go(w);
	return t == END || t == DEAD;
}

static bool all_on_vfio(const struct world *w)
{
	for (size_t i = 0; i < w->kernel.m->functions.n; i++) {
		const struct pci_function *f = w->kernel.m->functions.items[i];

		if (f->address == w->id && !pcifn_driver_is_vfio(f->driver)) {
			return false;
		}
	}
	return true;
}

static void each_unit(struct machine *m, void (*fn)(const struct world *, const char *what),
		      const char *name)
{
	struct unit_list units;

	for (int kind = 0; kind < KINDS; kind++) {
		struct arena of_units;

		arena_init(&of_units, MiB);
		units_make(m, &of_units, &units);
		units.n = MIN(units.n, (size_t)2); /* the others are like these */
		list_each(u, &units) {
			struct world w;
			char text[PCIFN_TEXT_MAX];

			arena_reset(&arena);
			make(&w, m, u, kind, &arena);
			machines++;
			fn(&w, arena_printf(&arena, "%s %s %s", name,
					    pcifn_text(u->card->address, text), kind_names[kind]));
		}
		arena_finish(&of_units);
	}
}

static void one_dies(const struct world *w, const char *what)
{
	for (int reboot = 0; reboot < 2; reboot++) {
		ok(ends_the_same(w, to_vfio, reboot, what, &runs));
		ok(ends_the_same(w, there_and_back, reboot, what, &runs));
		ok(ends_the_same(w, there_or_back, reboot, what, &runs));
		ok(ends_the_same(w, back_or_there, reboot, what, &runs));
	}
}

/* At rest nothing is written; back is what was. */
static void one_rests(const struct world *start, const char *what)
{
	attr_cleanup(buf_finish) struct buf before, after;
	struct world w = *start;
	int writes;
	bool same;

	buf_init(&before, MiB);
	buf_init(&after, MiB);
	print(&w, &before);
	to_vfio(&w);
	writes = w.kernel.writes;
	to_vfio(&w);
	is_int(w.kernel.writes, writes);
	ok(writes == 0 || all_on_vfio(&w));
	same = there_and_back(&w);
	print(&w, &after);
	if (!same || !str_eq(buf_text(&before), buf_text(&after))) {
		printf("# %s\n", what);
	}
	is_str(buf_text(&after), buf_text(&before));
	ok(same);
	writes = w.kernel.writes;
	go(&w);
	is_int(w.kernel.writes, writes);
	start_again(&w);
}

/* One step is refused for a while, or hangs and is done at last, when nobody waits for it any more:
 * the end is the same. */
static void one_fails(const struct world *start, const char *what)
{
	static const enum step_verb verbs[] = {STEP_OVERRIDE, STEP_UNBIND, STEP_PROBE,
					       STEP_EXPECT_ALIVE};
	attr_cleanup(buf_finish) struct buf want, got;
	struct world w = *start;

	buf_init(&want, MiB);
	buf_init(&got, MiB);
	ok(to_vfio(&w));
	print(&w, &want);
	for (size_t i = 0; i < 4 * ARRAY_LEN(verbs); i++) {
		bool hangs = i & 2;

		start_again(&w);
		w = *start;
		w.kernel.exception = hangs ? KERNEL_HANGS : KERNEL_NO;
		w.kernel.verb = verbs[i / 4];
		w.kernel.at = i & 1 ? w.id : 0;
		w.want = WANT_VFIO;
		go(&w);
		if (!hangs) {
			go(&w);
		}
		kernel_let_go(&w.kernel);
		ok(to_vfio(&w));
		print(&w, &got);
		if (!str_eq(buf_text(&got), buf_text(&want))) {
			printf("# %s, fails %d\n", what, (int)i);
		}
		is_str(buf_text(&got), buf_text(&want));
	}
	start_again(&w);
}

static void layout_dies(const char *name, struct machine *m, attr_unused const struct tree *t)
{
	each_unit(m, one_dies, name);
}

static void layout_rests(const char *name, struct machine *m, attr_unused const struct tree *t)
{
	each_unit(m, one_rests, name);
}

static void layout_fails(const char *name, struct machine *m, attr_unused const struct tree *t)
{
	each_unit(m, one_fails, name);
}

static void deaths(void)
{
	arena_init(&arena, 64 * MiB);
	layout_each(layout_dies);
	printf("# %d runs of %d units\n", runs, machines);
	ok(runs > 3000);
	arena_finish(&arena);
}

static void rests(void)
{
	arena_init(&arena, 64 * MiB);
	layout_each(layout_rests);
	arena_finish(&arena);
}

static void failures(void)
{
	arena_init(&arena, 64 * MiB);
	layout_each(layout_fails);
	arena_finish(&arena);
}

TESTS({"killed between any two steps it comes to the same end", deaths},
      {"at rest nothing is written, and back is what was", rests},
      {"a step that was refused or hung for a while changes no end", failures})
