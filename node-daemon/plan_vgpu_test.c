/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vGPUs on demand: tables, and long lives of a node on a played card (card_test.h) with a played kubelet,
 * which dies and boots anywhere. The journal and the card are what outlive it.
 */
#include "node-daemon/plan_vgpu.h"

#include "base/test.h"
#include "node-daemon/cut_test.h"
#include "node-daemon/fit.h"

#define PODS 40

struct pod {
	struct vgpu_id id;
	const char *type; /* NULL: there is none */
	uint64_t at;
	char uuid[37];
};

static struct journal journal;
static struct buf file;
static struct books books;
static struct vgpu_seen node;
static struct pod pods[PODS];
static struct cut_use in_use[PODS + 1];
static char boot[8];

/* --- the node ------------------------------------------------------------------------------ */

static void append(const struct journal_record *r)
{
	struct err err = {""};
	size_t from = file.len;

	is_int(journal_line(&journal, r, &file, &err), 0);
	journal_note(&journal, file.bytes + from, file.len - from);
}

static void append_slot(const struct journal_slot *s)
{
	append(&(struct journal_record){.slot = s});
}

/* Started again: what is in the file is known. */
static void wake(void)
{
	journal_finish(&journal);
	journal_init(&journal);
	journal_read(file.bytes, file.len, &journal);
	is_int(journal.health, JOURNAL_GOOD);
}

static void begin(enum vgpu_face face, uint16_t device, int vfs)
{
	cut_begin(face, device, vfs, WANT_VGPU);
	card.numvfs = vfs;
	buf_finish(&file);
	buf_init(&file, JOURNAL_MAX_BYTES);
	journal_finish(&journal);
	journal_init(&journal);
	memset(pods, 0, sizeof(pods));
	snprintf(boot, sizeof(boot), "1");
	append(&(struct journal_record){
		.head = &(struct journal_head){JOURNAL_VERSION, "node1", "1"}});
}

static void hold(const struct pod *p, bool held)
{
	for (int i = 0; i < card_places(&card); i++) {
		bool here = card.total ? card_vf(i) == p->at : str_eq(card.vgpus[i].uuid, p->uuid);

		if (here && card.vgpus[i].id) {
			card.held[i] = held;
		}
	}
}

static void look(void)
{
	arena_reset(&arena);
	cut_look();
	books = (struct books){.items = {&book, 1}, .refusal = "", .remark = ""};
	node = (struct vgpu_seen){.machine = &card.m,
				  .units = &units,
				  .books = &books,
				  .orders = &orders,
				  .journal = &journal,
				  .uses = {in_use, 0},
				  .looked = true,
				  .node = "node1",
				  .boot = boot};
	for (int i = 0; i < PODS; i++) {
		if (pods[i].type) {
			in_use[node.uses.n++] =
				(struct cut_use){pods[i].at, pods[i].uuid, "pod a/b"};
		}
	}
}

static size_t n_free(const char *type)
{
	struct vgpu_device_list l;
	size_t n = 0;

	vgpu_devices(&node, type, &arena, &l);
	list_each(d, &l) {
		n += !d->made;
	}
	return n;
}

/* "0000:41:00.0/0, 0000:41:00.0/1*": a star where it is made, a ! where it should be */
static const char *devices(const char *type)
{
	struct vgpu_device_list l;
	const char *text = "";

	look();
	vgpu_devices(&node, type, &arena, &l);
	list_each(d, &l) {
		const char *id = vgpu_id_text(d->id, &arena);

		text = arena_printf(&arena, "%s%s%s%s", text, *text ? " " : "", strchr(id, '/') + 1,
				    !d->healthy ? "!"
				    : d->made	? "*"
						: "");
	}
	return text;
}

/* --- an Allocate, and what comes after it -------------------------------------------------- */

enum end { DONE, REFUSED, FAILED, DEAD };

static bool lives(int *left)
{
	*left -= *left > 0;
	return *left != 0;
}

static enum end run(const struct steps *steps, int *left)
{
	list_each(s, steps) {
		if (!lives(left)) {
			return DEAD;
		}
		if (!card_do(&card, s)) {
			return FAILED;
		}
	}
	return DONE;
}

static const char *last_why;

static enum end allocate(struct pod *p, struct vgpu_id id, const char *type, int *left)
{
	struct vgpu_plan plan;
	enum end end;

	look();
	vgpu_make(&node, id, type, &arena, &plan);
	last_why = plan.why;
	if (plan.why) {
		return REFUSED;
	}
	if (plan.steps.n && !lives(left)) {
		return DEAD;
	}
	if (plan.steps.n) {
		append_slot(&plan.before);
	}
	end = run(&plan.steps, left);
	if (end == DONE && plan.steps.n) {
		if (!lives(left)) {
			return DEAD;
		}
		append_slot(&plan.after);
	}
	if (end == DONE) {
		*p = (struct pod){.id = id, .type = type, .at = plan.at};
		snprintf(p->uuid, sizeof(p->uuid), "%s", plan.uuid);
		hold(p, true);
	}
	return end;
}

static enum end tidy(int *left)
{
	for (int i = 0; i < 20; i++) {
		struct vgpu_tidying t;
		enum end end;

		look();
		vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
		list_each(s, &t.forget) {
			if (!lives(left)) {
				return DEAD;
			}
			append_slot(s);
		}
		if (!t.steps.n) {
			return DONE;
		}
		list_each(s, &t.before) {
			if (!lives(left)) {
				return DEAD;
			}
			append_slot(s);
		}
		end = run(&t.steps, left);
		if (end != DONE) {
			return end;
		}
	}
	return FAILED;
}

static void end_pod(struct pod *p)
{
	hold(p, false);
	*p = (struct pod){0};
}

static struct pod *free_pod(void)
{
	for (int i = 0; i < PODS; i++) {
		if (!pods[i].type) {
			return &pods[i];
		}
	}
	return NULL;
}

static int none = -1;

static enum end ask(int64_t index, const char *type)
{
	return allocate(free_pod(), (struct vgpu_id){CARD_AT, index}, type, &none);
}

/* --- tables -------------------------------------------------------------------------------- */

static void ids(void)
{
	static const struct {
		const char *text;
		uint64_t card;
		int64_t index; /* -1: it is none */
	} rows[] = {
		{"0000:41:00.0/0", 0x4100, 0},
		{"0000:41:00.0/31", 0x4100, 31},
		{"10000:e1:00.0/4", 0x10000e100, 4},
		{"0000:41:00.0/4095", 0x4100, 4095},
		{"0000:41:00.0/4096", 0, -1},
		{"0000:41:00.0/", 0, -1},
		{"0000:41:00.0", 0, -1},
		{"0000:41:00.0/-1", 0, -1},
		{"0000:41:00.0/+1", 0, -1},
		{"0000:41:00.0/01", 0, -1},
		{"0000:41:00.0/00", 0, -1},
		{"0000:41:00.0/1/2", 0, -1},
		{"../0000:41:00.0/1", 0, -1},
		{"41:00.0/1", 0, -1},
		{"/1", 0, -1},
		{"", 0, -1},
		{"0000:41:00.0/1 ", 0, -1},
		{"0000:41:00.0000000000000/1", 0, -1},
	};

	arena_init(&arena, MiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vgpu_id id = {0, -1};

		is_int(vgpu_id_parse(rows[i].text, &id), rows[i].index < 0 ? -1 : 0);
		is_int(id.index, rows[i].index);
		is_int(id.card, rows[i].card);
		if (rows[i].index >= 0) {
			is_str(vgpu_id_text(id, &arena), rows[i].text);
		}
	}
}

#define Q4 "NVIDIA L40S-4Q"
#define A4 "NVIDIA L40S-4A"
#define Q24 "NVIDIA L40S-24Q"

static void counts_follow(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	is_str(devices(Q4), "0 1 2 3 4 5 6 7 8 9 10 11");
	is_str(devices(Q24), "0 1");
	is_int(ask(5, Q4), DONE);
	is_int(card.vgpus[0].id, 1150);
	is_str(devices(Q4), "0 1 2 3 4 5* 6 7 8 9 10 11");
	is_str(devices(A4), "0 1 2 3 4 6 7 8 9 10 11");
	is_str(devices(Q24), "");
	is_int(ask(0, A4), DONE);
	is_str(devices(Q4), "1 2 3 4 5* 6 7 8 9 10 11");
	is_int(ask(5, Q4), DONE); /* again: it is there */
	is_int(card.writes, 2);
	card_remove(&card, 0); /* somebody removed it under its pod */
	is_str(devices(Q4), "1 2 3 4 5! 6 7 8 9 10 11");
	order.want = WANT_HOST; /* no more are made; what a pod has stays listed */
	is_str(devices(Q4), "5!");
	is_str(devices(A4), "0*");
	is_str(devices(Q24), "");
}

static void refusals(void)
{
	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	is_int(ask(1, Q24), REFUSED);
	has(last_why,
	    "0000:41:00.0/1: NVIDIA L40S-24Q: the card carries vGPUs of 4096 MiB and takes "
	    "no other size beside them; creatable now: NVIDIA L40S-4Q, NVIDIA L40S-4A");
	is_int(ask(0, A4), REFUSED); /* two types asked for at once by one number */
	has(last_why,
	    "0000:41:00.0/0: it is a NVIDIA L40S-4Q by now; creatable now: NVIDIA L40S-4Q,");
	is_int(ask(1, "NVIDIA L40S-5Q"), REFUSED);
	has(last_why, "0000:41:00.0/1: the card has no vGPU type NVIDIA L40S-5Q; creatable now: ");
	is_int(allocate(free_pod(), (struct vgpu_id){0x9900, 0}, Q4, &none), REFUSED);
	is_str(last_why, "0000:99:00.0/0: no card is there");
	for (int i = 1; i < 12; i++) {
		is_int(ask(i, Q4), DONE);
	}
	is_int(ask(12, Q4), REFUSED);
	has(last_why, "NVIDIA L40S-4Q: 12 vGPUs are made, and the card takes 12 of this type");
	cut_slot(card_vf(0), Q4);
	is_int(ask(13, Q4), REFUSED);
	is_str(last_why, "0000:41:00.0/13: its card is not cut on demand now; see its orders in "
			 "GPUNode.spec");
	order.slots.n = 0;
	book.whose = BOOK_QUARANTINED;
	is_int(ask(13, Q4), REFUSED);
	has(last_why, "is not cut on demand now; ");
	begin(VGPU_MDEV, 0x25b6, 16);
	orders.permitted.n = 0;
	is_str(devices("NVIDIA A2-4Q"), "");
	is_int(ask(0, "NVIDIA A2-4Q"), REFUSED);
	is_str(last_why,
	       "0000:41:00.0/0: the KubeVirt CR does not name NVIDIA A2-4Q as served from "
	       "outside, and KubeVirt would delete it");
	begin(VGPU_VENDOR, 0x26b9, 32); /* which it does not delete */
	orders.permitted.n = 0;
	is_int(ask(0, Q4), DONE);
}

/* Two that are asked for before the first is made. */
static void two_at_once(void)
{
	struct vgpu_plan one, two;

	begin(VGPU_VENDOR, 0x26b9, 2);
	look();
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 0}, Q4, &arena, &one);
	ok(!one.why);
	append_slot(&one.before);
	in_use[node.uses.n++] = (struct cut_use){one.at, one.uuid, "an Allocate"};
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 1}, A4, &arena, &two);
	ok(!two.why && two.at != one.at);
	is_int(n_free(Q4), 1);
	append_slot(&two.before);
	in_use[node.uses.n++] = (struct cut_use){two.at, two.uuid, "an Allocate"};
	is_int(n_free(Q4), 0);
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 1}, A4, &arena, &one);
	ok(!one.why && one.at == two.at); /* its own promise keeps it from nothing */
	vgpu_make(&node, (struct vgpu_id){CARD_AT, 2}, Q4, &arena, &one);
	is_str(one.why,
	       "0000:41:00.0/2: others that were asked for before are being made, and then "
	       "no more fits");
}

static void types_are_named(void)
{
	const char **names;
	size_t n;

	begin(VGPU_MDEV, 0x25b6, 16);
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 30); /* the A2's, and those of the A16, which has its id */
	for (size_t i = 1; i < n; i++) {
		ok(strcmp(names[i - 1], names[i]) < 0);
	}
	is_int(ask(0, "NVIDIA A2-4Q"), DONE);
	order.want = WANT_HOST;
	look();
	vgpu_types(&node, &arena, &names, &n);
	is_int(n, 1);
	is_str(names[0], "NVIDIA A2-4Q");
}

/* Fullest first, then by address. */
static void cards_are_filled(void)
{
	struct vgpu_device items[] = {
		{.id = {1, 0}, .made_on_card = 0}, {.id = {2, 0}, .made = true, .made_on_card = 3},
		{.id = {3, 4}, .made_on_card = 2}, {.id = {3, 5}, .made_on_card = 2},
		{.id = {4, 0}, .made_on_card = 2},
	};
	struct vgpu_device_list l = {items, ARRAY_LEN(items)};

	is_int(vgpu_prefer(&l)->id.card, 3);
	is_int(vgpu_prefer(&l)->id.index, 4);
	l.n = 2;
	is_int(vgpu_prefer(&l)->id.card, 1);
	l.n = 0;
	ok(!vgpu_prefer(&l));
}

/* hypeman-kohakuriver.md H10: what is removed, and what stays. */
static void what_is_removed(void)
{
	static const struct {
		const char *what;
		bool ours, used, looked, refound; /* refound: its UUID is another's by now */
		int left, records;
	} rows[] = {
		{"ours and unused", true, false, true, false, 0, 0},
		{"ours and used", true, true, true, false, 1, 1},
		{"ours and nobody can say", true, false, false, false, 1, 1},
		{"foreign", false, false, true, false, 1, 0},
		{"foreign on our function", true, false, true, true, 1, 0},
		{"foreign on our function, used", true, true, true, true, 1, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vgpu_tidying t;

		begin(VGPU_MDEV, 0x25b6, 16);
		if (rows[i].ours) {
			is_int(ask(0, "NVIDIA A2-4Q"), DONE);
		} else {
			card_create(&card, 0, 746, "6b4c2f16-0000-4000-8000-00000000abcd");
		}
		if (rows[i].refound) {
			card_remove(&card, 0);
			card_create(&card, 0, 746, "6b4c2f16-0000-4000-8000-00000000abcd");
			card.killed = 0;
		}
		if (!rows[i].used && pods[0].type) {
			end_pod(&pods[0]);
		}
		for (int turn = 0; turn < 4; turn++) {
			look();
			node.looked = rows[i].looked;
			vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
			list_each(s, &t.forget) {
				append_slot(s);
			}
			list_each(s, &t.before) {
				append_slot(s);
			}
			run(&t.steps, &none);
		}
		if (!!card.vgpus[0].id != rows[i].left || (int)journal.slots.n != rows[i].records) {
			printf("# %s\n", rows[i].what);
		}
		is_int(!!card.vgpus[0].id, rows[i].left);
		is_int(journal.slots.n, rows[i].records);
		is_int(card.killed, 0);
	}
}

/* --- lives --------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned draw(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static int64_t creatable(int id)
{
	static struct card copy;
	int64_t n = 0;
	bool more = true;

	copy = card;
	while (more) {
		more = false;
		for (int i = 0; i < card_places(&copy) && !more; i++) {
			more = !copy.vgpus[i].id && card_create(&copy, i, id, "");
		}
		n += more;
	}
	return n;
}

static bool has_size(const struct vgpu_known *t)
{
	return t->id && t->max && t->framebuffer_mib && !vgpu_is_mig(t->name);
}

/* Every type: advertised is exactly what can be made, held ones are listed, and exist. */
static void advertised_is_true(void)
{
	look();
	for (size_t i = 0; i < card.n_types; i++) {
		if (has_size(&card.types[i])) {
			int64_t n = (int64_t)n_free(card.types[i].name),
				can = creatable(card.types[i].id);

			ok(card.mixed ? n <= can : n == can);
		}
	}
	for (int i = 0; i < PODS; i++) {
		struct vgpu_device_list l;
		bool listed = false;

		if (!pods[i].type) {
			continue;
		}
		vgpu_devices(&node, pods[i].type, &arena, &l);
		list_each(d, &l) {
			listed |= d->made && d->healthy && d->id.index == pods[i].id.index;
		}
		ok(listed);
	}
}

static const char *some_type(void)
{
	for (;;) {
		const struct vgpu_known *t = &card.types[draw((unsigned)card.n_types)];

		if (has_size(t)) {
			return t->name;
		}
	}
}

/* A pod of a type that fits, if there is one among a few; as the scheduler and the kubelet choose. */
static enum end one_asks(int *left)
{
	const char *type = some_type();
	struct vgpu_device_list l = {0};
	const struct vgpu_device *d = NULL;

	for (int i = 0; i < 30 && !d; i++) {
		type = some_type();
		look();
		vgpu_devices(&node, type, &arena, &l);
		d = vgpu_prefer(&l);
	}
	if (!d || !free_pod()) {
		return REFUSED;
	}
	return allocate(free_pod(), d->id, type, left);
}

/* The machine boots: pods are gone, and so is all that was made. */
static void reboot(void)
{
	int vfs = card.numvfs;

	memset(pods, 0, sizeof(pods));
	card_reboot(&card);
	card.numvfs = vfs;
	boot[0]++;
}

static void one_turn(int k)
{
	int left = draw(4) ? -1 : 1 + (int)draw(6);
	enum end end = DONE;

	if (draw(5) < 3) {
		end = one_asks(&left);
		ok(end == DONE || end == REFUSED || end == DEAD);
	} else {
		struct pod *p = &pods[draw(PODS)];

		if (p->type) {
			end_pod(p);
		}
	}
	if (end != DEAD) {
		end = tidy(&left);
		ok(end == DONE || end == DEAD);
	}
	if (end == DEAD) {
		if (k % 50 == 0) {
			reboot();
		}
		wake();
		is_int(tidy(&none), DONE);
	}
	is_int(card.killed, 0);
}

static int live(enum vgpu_face face, uint16_t device, int vfs, bool mixed, int turns)
{
	int64_t size;
	int given = 0;

	begin(face, device, vfs);
	card.mixed = mixed;
	random_state = device + (uint64_t)vfs;
	for (int k = 0; k < turns; k++) {
		one_turn(k);
		if (!mixed || k % 4 == 0) {
			advertised_is_true();
		}
		for (int i = 0; i < PODS; i++) {
			given += pods[i].type != NULL;
		}
		if (k % 60 == 59) { /* quiet: nothing is left over */
			memset(card.held, 0, sizeof(card.held));
			memset(pods, 0, sizeof(pods));
			is_int(tidy(&none), DONE);
			is_int(card_made(&card, &size), 0);
			is_int(journal.slots.n, 0);
		}
	}
	ok(given > turns);
	return turns;
}

static void long_lives(void)
{
	int n = 0;

	n += live(VGPU_VENDOR, 0x26b9, 32, false, 350);
	n += live(VGPU_MDEV, 0x25b6, 16, false, 350);
	n += live(VGPU_MDEV, 0x1eb8, 0, false, 350);
	ok(n >= 1000);
}

static void long_mixed_lives(void)
{
	live(VGPU_VENDOR, 0x26b9, 32, true, 200);
}

/* Each way through make and remove, killed at each step: the end is an empty card and an empty
 * journal, and the same number makes another vGPU. */
static void deaths(void)
{
	static const struct {
		enum vgpu_face face;
		uint16_t device;
		int vfs;
		const char *type;
	} cards[] = {{VGPU_VENDOR, 0x26b9, 32, Q4},
		     {VGPU_MDEV, 0x25b6, 16, "NVIDIA A2-4Q"},
		     {VGPU_MDEV, 0x1eb8, 0, "GRID T4-4Q"}};
	int runs = 0;

	for (size_t i = 0; i < 2 * ARRAY_LEN(cards); i++) {
		bool died = true, boots = i % 2;
		const size_t c = i / 2;

		for (int k = 1; died; k++, runs++) {
			int left = k;
			int64_t size;
			char before[37];

			begin(cards[c].face, cards[c].device, cards[c].vfs);
			if (allocate(&pods[0], (struct vgpu_id){CARD_AT, 3}, cards[c].type,
				     &left) == DONE) {
				snprintf(before, sizeof(before), "%s", pods[0].uuid);
				end_pod(&pods[0]);
				tidy(&left);
			}
			died = left == 0;
			if (boots) {
				reboot();
			}
			wake();
			is_int(tidy(&none), DONE);
			is_int(card_made(&card, &size), 0);
			is_int(journal.slots.n, 0);
			is_int(allocate(&pods[0], (struct vgpu_id){CARD_AT, 3}, cards[c].type,
					&none),
			       DONE);
			is_int(card_made(&card, &size), 1);
			ok(cards[c].face == VGPU_VENDOR || died || !str_eq(before, pods[0].uuid));
		}
	}
	printf("# %d runs\n", runs);
	ok(runs > 40);
}

/* One that cannot be removed keeps nobody else. */
static void one_stays(void)
{
	struct vgpu_tidying t;
	int64_t size;

	begin(VGPU_VENDOR, 0x26b9, 32);
	for (int i = 0; i < 12; i++) {
		is_int(ask(i, Q4), DONE);
	}
	for (int i = 0; i < 12; i++) {
		end_pod(&pods[i]);
	}
	card.no = STEP_TYPE;
	card.no_at = card_vf(2);
	for (uint64_t failed = 0, i = 0; i < 6; i++) {
		look();
		vgpu_tidy(&node, &units.items[0], failed, &arena, &t);
		is_int(t.steps.n, i ? t.steps.n : 2 * CUT_PLACES);
		failed = 0;
		list_each(s, &t.forget) {
			append_slot(s);
		}
		list_each(s, &t.before) {
			append_slot(s);
		}
		list_each(s, &t.steps) {
			if (!card_do(&card, s)) {
				failed = s->at;
				break;
			}
		}
	}
	is_int(card_made(&card, &size), 1);
	is_int(card.vgpus[2].id, 1150);
	is_int(journal.slots.n, 1);
	card.no = STEP_VERBS;
	is_int(tidy(&none), DONE);
	is_int(card_made(&card, &size), 0);
}

/* Of a full card the driver lists nothing, and the table lacks the number. */
static void types_without_a_name(void)
{
	struct vgpu_device_list l;
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	look();
	card.vfs[0].type = "9999";
	vgpu_devices(&node, Q4, &arena, &l);
	ok(l.items[0].made && l.items[0].healthy);
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.forget.n + t.steps.n, 0);
	end_pod(&pods[0]);
	look();
	card.vfs[0].type = "9999";
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.forget.n, 0);
	is_int(t.steps.n, 2);
}

/* Its removal has begun, and is not done. */
static void half_removed(void)
{
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(3, Q4), DONE);
	end_pod(&pods[0]);
	look();
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.before.n, 1);
	append_slot(&t.before.items[0]);
	is_int(ask(3, Q4), REFUSED);
	is_str(last_why, "0000:41:00.0/3: it is being removed; the next asker gets another one");
	look();
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.before.n, 0); /* that is said */
	is_int(t.steps.n, 2);
	is_int(run(&t.steps, &none), DONE);
	is_int(ask(3, Q4), DONE);
	is_str(journal.slots.items[0].state, JOURNAL_MADE);
}

/* What an older boot had is forgotten, also while nobody can say who uses what. */
static void older_boots(void)
{
	struct vgpu_tidying t;

	begin(VGPU_VENDOR, 0x26b9, 32);
	is_int(ask(0, Q4), DONE);
	reboot();
	look();
	node.looked = false;
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	is_int(t.forget.n, 1);
	is_str(t.forget.items[0].state, "");
	is_int(t.before.n + t.steps.n, 0);
	is_str(devices(Q4), "0 1 2 3 4 5 6 7 8 9 10 11"); /* nor does it keep its number */
}

static void nothing_stays(void)
{
	journal_finish(&journal);
	buf_finish(&file);
	cut_end();
}

TESTS({"ids are a card and a number", ids},
      {"every type that fits is offered, and the counts follow", counts_follow},
      {"what cannot be is said, with what can", refusals},
      {"two at once do not take the same place", two_at_once},
      {"types have their resources", types_are_named},
      {"cards are filled one after the other", cards_are_filled},
      {"only what is ours and unused is removed", what_is_removed},
      {"long lives: exactly what is advertised can be made", long_lives},
      {"long lives of mixed sizes: never less than is advertised can be made", long_mixed_lives},
      {"killed between any two steps it comes to the same end", deaths},
      {"one that cannot be removed keeps nobody else", one_stays},
      {"a type without a name is not taken for another", types_without_a_name},
      {"what is half removed is given to nobody", half_removed},
      {"what an older boot had is forgotten", older_boots}, {"nothing stays", nothing_stays})
