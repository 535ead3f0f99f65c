/* SPDX-License-Identifier: Apache-2.0 */
/* When the machine is looked at: after every look, whatever came of it, there is a next one. */
#include "node-daemon/looks.h"

#include <sys/resource.h>

#include "base/err.h"
#include "base/test.h"
#include "node-daemon/tree_test.h"

static int looked;

static void on_look(attr_unused void *ctx)
{
	looked++;
}

static struct tree make(void)
{
	static const char ids[] = "10de  NVIDIA Corporation\n\t26b9  AD102GL [L40S]\n";
	struct tree t = tree_make(
		"dir class/iommu/dmar0\ndevice 0000:01:00.0 id=10de:26b9 class=030200 group=1\n");

	tree_bytes(&t, "pci.ids", ids, sizeof(ids) - 1);
	return t;
}

/* So few descriptors as there are now: a scan has none. */
static struct rlimit starve(int sys)
{
	auto_close int next = dup(sys);
	struct rlimit before, few;

	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){(rlim_t)next, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	return before;
}

/* The time of the next look comes. */
static void pass_time(struct looks *l)
{
	int before = looked;

	loop_timer_set(l->timer, loop_now(l->loop));
	while (looked == before) {
		loop_turn(l->loop, 100);
	}
}

static int64_t wait_of(const struct looks *l)
{
	return loop_timer_at(l->timer) - l->looked_at;
}

static int64_t seldom(const struct looks *l)
{
	return l->events < 0 ? LOOKS_BLIND_MS : LOOKS_SELDOM_MS; /* a sandbox may have no events */
}

static void the_first_look_has_words_and_a_next_one(void)
{
	auto_tree struct tree t = make();
	auto_free char *ids = xprintf("%s/pci.ids", t.root);
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err = {""};

	is_int(looks_start(&l, loop, t.fd, ids, &err), 0);
	is_str(err.text, "");
	is_int(l.machine.functions.n, 1);
	is_str(l.machine.functions.items[0]->device_words, "AD102GL [L40S]");
	is_int(wait_of(&l), seldom(&l));
	looks_finish(&l);
	loop_destroy(loop);
}

static void a_look_that_fails_is_made_again(void)
{
	auto_tree struct tree t = make();
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct rlimit before;
	struct err err;

	is_int(looks_start(&l, loop, t.fd, "/nonexistent", &err), 0);
	for (int i = 0; i < 2; i++) {
		before = starve(t.fd);
		pass_time(&l);
		setrlimit(RLIMIT_NOFILE, &before);
		ok(l.blind && strstr(l.blind, "Too many open files"));
		is_int(l.machine.functions.n, 1); /* what was seen last */
		is_int(wait_of(&l), LOOKS_BLIND_MS);
	}
	pass_time(&l);
	is_str(l.blind ? l.blind : "", "");
	is_int(wait_of(&l), seldom(&l));
	looks_finish(&l);
	loop_destroy(loop);
}

static void a_first_look_that_fails_is_an_error(void)
{
	auto_tree struct tree t = make();
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err = {""};
	struct rlimit before = starve(t.fd);
	int rc = looks_start(&l, loop, t.fd, "/nonexistent", &err);

	setrlimit(RLIMIT_NOFILE, &before);
	is_int(rc, -1);
	ok(strstr(err.text, "Too many open files"));
	loop_destroy(loop);
}

static void without_events_it_looks_often(void)
{
	auto_tree struct tree t = make();
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err;

	is_int(looks_start(&l, loop, t.fd, "/nonexistent", &err), 0);
	if (l.events >= 0) {
		loop_remove(l.listening);
		close(l.events);
		l.events = -1;
	}
	pass_time(&l);
	is_int(wait_of(&l), LOOKS_BLIND_MS);
	looks_finish(&l);
	loop_destroy(loop);
}

TESTS({"the first look has words, and is followed by another",
       the_first_look_has_words_and_a_next_one},
      {"a look that fails keeps the last, and is made again", a_look_that_fails_is_made_again},
      {"a first look that fails is an error", a_first_look_that_fails_is_an_error},
      {"without kernel events it looks often", without_events_it_looks_often})
