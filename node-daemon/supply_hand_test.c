/* SPDX-License-Identifier: Apache-2.0 */
/* supply_hand_test.c: many cards on virtual time: who is asked, what is reset when, and what is told of it. */
#include "node-daemon/supply.h"

#include <unistd.h>

#include "base/log.h"
#include "node-daemon/books.h"
#include "node-daemon/eyes_hand_test.h"
#include "node-daemon/obey_hand_test.h"
#include "node-daemon/orders.h"
#include "node-daemon/plugin_io.h"
#include "node-daemon/podres.h"
#include "node-daemon/resets.h"
#include "node-daemon/scan.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/write.h"

#define MOST 80
#define RESOURCE "nvidia.com/AD102GL_L40S"

/* --- plugin_io.h and podres.h, by hand --------------------------------------------------------- */

struct plugin_io {
	struct plugin_io_settings s;
	struct plugin *plugin;
};

struct podres {
	podres_fn *done; /* NULL: nobody has asked */
	void *ctx;
};

static struct plugin_io *io;
static struct podres *podres;
static bool no_folder;
static size_t n_offered;

struct plugin_io *plugin_io_create(attr_unused struct loop *l, const struct plugin_io_settings *s,
				   struct err *err)
{
	if (no_folder) {
		err_set(err, "no folder");
		return NULL;
	}
	io = xcalloc(1, sizeof(*io));
	io->s = *s;
	io->plugin = plugin_create();
	return io;
}

struct plugin_io *plugin_io_destroy(struct plugin_io *p)
{
	plugin_destroy(p->plugin);
	free(p);
	io = NULL;
	return NULL;
}

void plugin_io_offers(attr_unused struct plugin_io *p, const struct plugin_offer *offers, size_t n)
{
	n_offered = 0;
	for (size_t i = 0; i < n; i++) {
		list_each(d, &offers[i].devices) {
			n_offered += d->healthy;
		}
	}
}

void plugin_io_check(attr_unused struct plugin_io *p)
{
}

const struct plugin *plugin_io_plugin(const struct plugin_io *p)
{
	return p->plugin;
}

void plugin_io_taken(attr_unused struct plugin_io *p, attr_unused const char *const *names,
		     attr_unused size_t n)
{
}

void plugin_io_others(attr_unused const struct plugin_io *p, attr_unused struct arena *a,
		      struct dpapi_ids *ret)
{
	ret->n = 0;
}

/* own NULL: it is asked for the devices of others. */
struct podres *podres_create(attr_unused struct loop *l, const char *folder, const char *own)
{
	struct podres *p = xcalloc(1, sizeof(*p));

	is_str(folder, "pods");
	if (own) {
		is_str(own, "n/us");
		podres = p;
	}
	return p;
}

struct podres *podres_destroy(struct podres *p)
{
	podres = p == podres ? NULL : podres;
	free(p);
	return NULL;
}

bool podres_ask(struct podres *p, podres_fn *done, void *ctx)
{
	ok(!p->done);
	p->done = done;
	p->ctx = ctx;
	return true;
}

bool podres_ask_allocatable(attr_unused struct podres *p, podres_fn *done, void *ctx)
{
	done(ctx, NULL, "the kubelet does not tell");
	return true;
}

int64_t podres_age_ms(attr_unused const struct podres *p)
{
	return 60000;
}

/* --- the node ---------------------------------------------------------------------------------- */

static struct tree tree = {.fd = -1};
static struct machine machine;
static struct arena arena;
static struct unit_list units;
static struct book book[MOST];
static struct order order[MOST];
static struct books books;
static struct orders orders;
static struct journal journal;
static struct supply *supply;
static int changes, looks;

static const char *id_of(size_t i)
{
	return arena_printf(&arena, "0000:%02x:00.0", (unsigned)i + 1);
}

static void on_changed(attr_unused void *ctx)
{
	changes++;
}

static void on_look(attr_unused void *ctx)
{
	looks++;
}

static void on_lost(attr_unused void *ctx)
{
	say("lost; ");
}

static void set_config(size_t i, const char *four)
{
	auto_free char *path = xprintf("bus/pci/devices/%s/config", id_of(i));

	tree_bytes(&tree, path, four, 4);
}

#define ALIVE "\xde\x10\xb9\x26"
#define DEAD "\xff\xff\xff\xff"

/* Looks at the machine: so many L40S on vfio-pci, ours. */
static void look(size_t n)
{
	struct err err = {""};

	machine_finish(&machine);
	machine_init(&machine);
	is_int(scan(tree.fd, &machine, &err), 0);
	units_make(&machine, &arena, &units);
	is_int(units.n, n);
	books = (struct books){.items = {book, n}, .refusal = "", .remark = ""};
	orders = (struct orders){.term = 1, .items = {order, n}};
	for (size_t i = 0; i < n; i++) {
		order[i] = (struct order){.unit = &units.items[i], .want = WANT_VFIO};
		book[i] = (struct book){.id = units.items[i].card->address,
					.whose = BOOK_OURS,
					.place = id_of(i),
					.name = "",
					.why = ""};
	}
	obey_is = (struct obey_facts){&machine, &units, &books, &orders, "boot", "node1"};
	obey_has = &journal;
}

static void begin_tree(void)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	arena_finish(&arena);
	arena_init(&arena, 64 * MiB);
	journal_finish(&journal);
	journal_init(&journal);
	tree = tree_make("dir class/iommu/dmar0\ndir bus/pci/drivers/vfio-pci\n"
			 "dir devices/virtual/vfio\n");
}

static void begin_supply(void)
{
	disk = no_process = NULL;
	too_large = false;
	changes = looks = 0;
	supply = supply_create(&(struct supply_settings){.sys = tree.fd,
							 .pods = "pods",
							 .pod = "n/us",
							 .changed = on_changed,
							 .lost = on_lost,
							 .look = on_look});
	heard();
}

static void begin(size_t n, const char *methods)
{
	begin_tree();
	for (size_t i = 0; i < n; i++) {
		auto_free char *text =
			xprintf("device %s id=10de:26b9 class=030200 driver=vfio-pci group=%zu\n"
				"  reset_method = %s\n"
				"dir devices/virtual/vfio/%zu\n  dev = 243:%zu\n",
				id_of(i), i + 1, methods, i + 1, i + 1);

		tree_add(&tree, text);
		set_config(i, ALIVE);
	}
	look(n);
	begin_supply();
}

static void end(void)
{
	supply = supply_destroy(supply);
	no_folder = false;
	tree_remove(&tree);
	is_int(n_asked + n_started, 0);
	ok(link_empty(&timers));
}

/* The kubelet lists no pods. */
static void no_pods(void)
{
	struct podres p = *podres;

	ok(p.done);
	podres->done = NULL;
	p.done(p.ctx, &(struct dpapi_holds){0}, NULL);
	run_timers();
}

/* The child's reset has worked. */
static void reset_works(size_t i)
{
	auto_buf struct buf out = {.max = KiB};

	steps_say(&out, 0, true, "flr");
	process_says(started[i], buf_text(&out), &(struct process_result){0});
	run_timers();
}

static uint64_t unit_at(size_t i)
{
	return (uint64_t)(i + 1) << 8;
}

static const char *busy(size_t i)
{
	const char *why = supply_busy(supply, unit_at(i), &arena);

	return why ? why : "";
}

/* --- tests ------------------------------------------------------------------------------------- */

static const struct condition *supplying(void)
{
	static struct report_obeyed r;

	r = (struct report_obeyed){0};
	supply_report(supply, &arena, &r);
	return &r.supplying;
}

static void says_supplying(const char *reason, const char *message)
{
	const struct condition *c = supplying();

	ok(c->type && c->message);
	is_str(c->type ? c->type : "", "Supplying");
	is_str(c->type ? c->status : "", "False");
	is_str(c->type ? c->reason : "", reason);
	is_str(c->type ? c->message : "", message);
}

/* Said until it is there. */
static void no_kubelet(void)
{
	no_folder = true;
	begin(1, "flr");
	run_timers();
	says_supplying("NoKubelet",
		       "no kubelet is told of the GPUs, and it is tried again: no folder");
	no_folder = false;
	supply_beat(supply);
	run_timers();
	ok(!supplying()->type);
	end();
}

/* The kubelet does not tell its pods, as one that has just started; or not us, for a wrong --pod. */
static void does_not_tell(const char *why)
{
	struct podres p = *podres;

	ok(p.done);
	podres->done = NULL;
	p.done(p.ctx, NULL, why);
}

/* So many beats, at which it is asked and does not tell. */
static void deaf_for(int beats)
{
	for (int i = 0; i < beats; i++) {
		now += 10000;
		supply_beat(supply);
		run_timers();
		if (podres->done) {
			does_not_tell("its list lacks pod n/us");
		}
	}
}

static void deaf(void)
{
	int told;

	begin(1, "flr");
	run_timers();
	does_not_tell("its list lacks pod n/us");
	ok(!supplying()->type);
	deaf_for(1);
	ok(!supplying()->type);
	told = changes;
	deaf_for(1);
	says_supplying("PodsNotKnown",
		       "the kubelet does not tell which pods have GPUs, so none is taken back from "
		       "one, and it is asked again: its list lacks pod n/us");
	is_int(changes, told + 1);
	now += 10000;
	supply_beat(supply);
	no_pods();
	ok(!supplying()->type);
	is_int(changes, told + 2);
	end();
	begin(1, "flr"); /* what it was asked for has gone */
	run_timers();
	does_not_tell("its list lacks pod n/us");
	units.n = books.items.n = orders.items.n = 0;
	supply_turn(supply);
	now += 21000;
	supply_beat(supply);
	ok(!podres->done);
	ok(!supplying()->type);
	end();
}

/* Eight at once are reset, and of those that wait the eyes are asked again: somebody may have come. */
static void old_answers(void)
{
	begin(70, "flr");
	run_timers();
	no_pods();
	is_int(n_asked, 1);
	is_int(asked[0].q.n, EYES_MAX_UNITS);
	eyes_say(0, SIZE_MAX, BIND_USERS_NONE, "");
	run_timers();
	is_int(n_started, RESETS_AT_ONCE);
	is_int(n_asked, 1); /* of the rest */
	is_int(asked[0].q.n, 6);
	eyes_say(0, SIZE_MAX, BIND_USERS_NONE, "");
	run_timers();
	now += 3000;
	reset_works(0);
	is_int(n_started, RESETS_AT_ONCE - 1);
	is_str(eyes_words(0, &arena), "0000:09:00.0: 0000:09:00.0=vfio-pci");
	eyes_say(0, 0, BIND_USERS_SOME, "process 7 (qemu)"); /* meanwhile */
	run_timers();
	is_int(n_started, RESETS_AT_ONCE - 1);
	is_str(eyes_words(0, &arena),
	       "0000:0a:00.0: 0000:0a:00.0=vfio-pci"); /* the next one's turn */
	eyes_say(0, SIZE_MAX, BIND_USERS_NONE, "");
	run_timers();
	is_int(n_started, RESETS_AT_ONCE);
	is_str(busy(9), "it is being reset");
	is_str(busy(8), "");
	/* several are one question */
	now += 3000;
	{
		auto_buf struct buf out = {.max = KiB};

		steps_say(&out, 0, true, "flr");
		process_says(started[0], buf_text(&out), &(struct process_result){0});
		process_says(started[0], buf_text(&out), &(struct process_result){0});
		run_timers();
	}
	is_int(n_asked, 1);
	is_str(eyes_words(0, &arena), "0000:0b:00.0: 0000:0b:00.0=vfio-pci, "
				      "0000:0c:00.0: 0000:0c:00.0=vfio-pci");
	eyes_say(0, SIZE_MAX, BIND_USERS_UNKNOWN, "no answer");
	run_timers();
	is_int(n_started, RESETS_AT_ONCE - 2);
	is_int(n_asked, 1); /* and so on */
	end();
}

/* What it was asked of has gone. */
static void gone_meanwhile(void)
{
	begin(10, "flr");
	run_timers();
	no_pods();
	eyes_see_nobody();
	run_timers();
	is_int(n_started, RESETS_AT_ONCE);
	now += 3000;
	for (size_t i = 8; i < 10; i++) {
		auto_free char *path = xprintf("%s/bus/pci/devices/%s", tree.root, id_of(i));

		ok(unlink(path) == 0);
	}
	look(8);
	supply_turn(supply);
	reset_works(0);
	reset_works(0);
	is_int(n_asked, 0);
	is_int(n_started, RESETS_AT_ONCE - 2);
	end();
}

static void told_together(void)
{
	podres_fn *done;
	int before;

	begin(4, "flr");
	run_timers();
	no_pods();
	eyes_see_nobody();
	run_timers();
	before = changes;
	reset_works(0);
	now += 100; /* then the turn of the first is */
	run_timers();
	now += 300;
	reset_works(0);
	now += 599;
	reset_works(0);
	now += 100;
	run_timers();
	is_int(changes, before);
	now++;
	run_timers();
	is_int(changes, before + 1);
	now += 10000;
	run_timers();
	is_int(changes, before + 1);
	reset_works(0); /* with what cannot wait it does not */
	is_int(changes, before + 1);
	io->s.allocate(io->s.ctx, RESOURCE, &calls[1],
		       "\x0a\x0e\x0a\x0c"
		       "0000:01:00.0",
		       16);
	run_timers();
	has(heard(), "reply 1 ");
	now += 100;
	run_timers();
	done = take(podres->done);
	done(podres->ctx,
	     &(struct dpapi_holds){&(struct dpapi_hold){"n", "p", "c", RESOURCE, "0000:01:00.0"},
				   1},
	     NULL);
	is_int(changes, before + 2);
	now += 5000;
	run_timers();
	is_int(changes, before + 2);
	end();
}

/* --- what the kubelet asks --------------------------------------------------------------------- */

/* All are free. */
static void begin_free(size_t n)
{
	begin(n, "flr");
	run_timers();
	no_pods();
	eyes_see_nobody();
	run_timers();
	while (n_started) {
		reset_works(0);
	}
	is_int(n_offered, n);
	looks = 0;
}

/* Field 1 of one container: so many ids. */
static const char *allocate(const char *resource, const char *id)
{
	auto_buf struct buf m = {.max = KiB};

	buf_printf(&m, "\x0a%c\x0a%c%s", (int)strlen(id) + 2, (int)strlen(id), id);
	io->s.allocate(io->s.ctx, resource, &calls[1], m.bytes, m.len);
	run_timers();
	return heard();
}

static void read_once_more(void)
{
	static const char card[] = "bus/pci/devices/0000:01:00.0";
	auto_free char *link = xprintf("%s/driver", card), *config = xprintf("%s/config", card);

	begin_free(2);
	has(allocate(RESOURCE, "0000:02:00.0"), "reply 1 ");
	is_int(looks, 0);
	tree_link(&tree, link, "../../../bus/pci/drivers/nvidia");
	is_str(allocate(RESOURCE, "0000:01:00.0"),
	       "end 1 9: 0000:01:00.0: it is not on vfio-pci any more; ");
	is_int(looks, 1);
	tree_link(&tree, link, "../../../bus/pci/drivers/vfio-pci");
	unlinkat(tree.fd, config, 0);
	has(allocate(RESOURCE, "0000:01:00.0"),
	    "end 1 9: 0000:01:00.0: its config space reads as ones");
	set_config(0, DEAD);
	has(allocate(RESOURCE, "0000:01:00.0"),
	    "end 1 9: 0000:01:00.0: its config space reads as ones");
	supply_turn(supply);
	is_int(n_offered, 1); /* the other one */
	set_config(0, ALIVE);
	supply_turn(supply);
	is_int(n_offered, 2);
	is_int(looks, 3);
	has(allocate(RESOURCE, "0000:07:00.0"), "end 1 9: 0000:07:00.0: there is no such device");
	is_int(looks, 3);
	has(allocate("x.com/x", "0000:01:00.0"),
	    "end 1 9: 0000:01:00.0: it is offered as " RESOURCE);
	io->s.allocate(io->s.ctx, RESOURCE, &calls[2], "\xff", 1);
	has(heard(), "end 2 3: ");
	too_large = true;
	is_str(allocate(RESOURCE, "0000:01:00.0"),
	       "end 1 13: the answer is larger than the kubelet takes; ");
	end();
}

static void dead_ones(void)
{
	begin_free(3);
	set_config(1, DEAD);
	supply_turn(supply);
	is_int(n_offered, 2);
	has(allocate(RESOURCE, "0000:02:00.0"),
	    "end 1 9: 0000:02:00.0: its config space reads as ones");
	set_config(1, ALIVE);
	supply_turn(supply);
	is_int(n_offered, 3);
	has(allocate(RESOURCE, "0000:02:00.0"), "reply 1 ");
	set_config(1, DEAD); /* who has it sees for himself */
	supply_turn(supply);
	is_int(n_offered, 3);
	end();
}

/* "a,b" must, available, size. */
static const char *prefers(const char *resource, const char *must, const char *const *available,
			   size_t n, int size)
{
	auto_buf struct buf c = {.max = KiB}, m = {.max = KiB};

	for (size_t i = 0; i < n; i++) {
		buf_printf(&c, "\x0a%c%s", (int)strlen(available[i]), available[i]);
	}
	if (must) {
		buf_printf(&c, "\x12%c%s", (int)strlen(must), must);
	}
	buf_printf(&c, "\x18%c", size);
	buf_printf(&m, "\x0a%c", (int)c.len);
	buf_add(&m, c.bytes, c.len);
	io->s.preferred(io->s.ctx, resource, &calls[3], m.bytes, m.len);
	return heard();
}

static void preferred(void)
{
	static const char *const two[] = {"0000:02:00.0", "0000:01:00.0"};

	begin_free(2);
	is_str(prefers(RESOURCE, NULL, two, 2, 1), "reply 3 0000:01:00.0; ");
	is_str(prefers(RESOURCE, "0000:02:00.0", two, 2, 1), "reply 3 0000:02:00.0; ");
	is_str(prefers(RESOURCE, NULL, two, 2, 3),
	       "end 3 3: 3 devices are wanted, and 2 are there; ");
	io->s.preferred(io->s.ctx, RESOURCE, &calls[3], "\xff", 1);
	has(heard(), "end 3 3: ");
	obey_is = (struct obey_facts){0};
	supply_turn(supply);
	is_str(prefers(RESOURCE, NULL, two, 2, 1),
	       "end 3 14: nothing is known of this node's devices now; ");
	end();
}

#define T4_AT(bus) "devices/pci0000:" bus "/0000:" bus ":00.0"
#define T4(bus)                                                                                    \
	"device 0000:" bus ":00.0 id=10de:1eb8 class=030200 driver=nvidia group=1" bus "\n"        \
	"dir " T4_AT(bus) "/mdev_supported_types/nvidia-230\n"                                     \
			  "  name = GRID T4-1Q\n"                                                  \
			  "  description = num_heads=4, frl_config=60, framebuffer=1024M, "        \
			  "max_resolution=5120x2880, max_instance=16\n"                            \
			  "  available_instances = 15\n"                                           \
			  "dir class/mdev_bus\n  0000:" bus ":00.0 -> ../../" T4_AT(bus) "\n"
#define UUID "11111111-1111-4111-8111-111111111111"

/* The card is filled that is cut already. */
static void preferred_vgpus(void)
{
	static const char *const some[] = {"0000:02:00.0/0", "0000:01:00.0/0", "0000:01:00.0/1",
					   "0000:02:00.0/1"};
	static const char *permitted[] = {"GRID T4-1Q"};

	begin_tree();
	tree_add(&tree, T4("01") T4("02") "dir " T4_AT(
				"02") "/" UUID "\n"
				      "  mdev_type -> ../mdev_supported_types/nvidia-230\n"
				      "dir bus/mdev/devices\n  " UUID
				      " -> ../../../" T4_AT("02") "/" UUID "\n");
	look(2);
	order[0].want = order[1].want = WANT_VGPU;
	orders.permitted.items = permitted;
	orders.permitted.n = 1;
	begin_supply();
	run_timers();
	ok(n_offered > 20);
	is_str(prefers("nvidia.com/GRID_T4-1Q", NULL, some, 4, 1), "reply 3 0000:02:00.0/0; ");
	is_str(prefers("nvidia.com/GRID_T4-1Q", "0000:01:00.0/1", some, 4, 2),
	       "reply 3   0000:01:00.0/1 0000:01:00.0/0; ");
	end();
}

TESTS({"a reset that had to wait is not made upon an old answer", old_answers},
      {"what has gone meanwhile is not reset", gone_meanwhile},
      {"resets of one second are told together", told_together},
      {"before it counts a card is read once more", read_once_more},
      {"a free card that is dead is not listed", dead_ones}, {"what is preferred", preferred},
      {"of vGPUs that on the fullest card", preferred_vgpus},
      {"that no kubelet is there is said", no_kubelet},
      {"a kubelet that does not tell of its pods is said after a while", deaf})
