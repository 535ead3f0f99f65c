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

static void look_again(void *ctx)
{
	looked++;
	looks_soon(ctx);
}

static struct tree make_of(const char *id)
{
	static const char ids[] =
		"10de  NVIDIA Corporation\n\t26b9  AD102GL [L40S]\n\t9999  XX100 [New]\n";
	auto_free char *text = xprintf(
		"dir class/iommu/dmar0\ndevice 0000:01:00.0 id=%s class=030200 group=1\n", id);
	struct tree t = tree_make(text);

	tree_bytes(&t, "pci.ids", ids, sizeof(ids) - 1);
	return t;
}

static struct tree make(void)
{
	return make_of("10de:26b9");
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

static void a_name_of_words_has_them_at_once(void)
{
	auto_tree struct tree t = make_of("10de:9999");
	auto_free char *ids = xprintf("%s/pci.ids", t.root);
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err = {""};

	is_int(looks_start(&l, loop, t.fd, ids, &err), 0);
	is_str(l.machine.functions.items[0]->device_words, "XX100 [New]");
	looks_finish(&l);
	loop_destroy(loop);
}

static void the_first_look_has_words_later_and_a_next_one(void)
{
	auto_tree struct tree t = make();
	auto_free char *ids = xprintf("%s/pci.ids", t.root);
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err = {""};

	is_int(looks_start(&l, loop, t.fd, ids, &err), 0);
	is_str(err.text, "");
	is_int(l.machine.functions.n, 1);
	is_str(l.machine.functions.items[0]->device_words, "");
	is_int(wait_of(&l), seldom(&l));
	looks_words(&l);
	is_str(l.machine.functions.items[0]->device_words, "AD102GL [L40S]");
	pass_time(&l);
	is_str(l.machine.functions.items[0]->device_words, "AD102GL [L40S]");
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

/* Of a storm of events each look is followed by a pause, and what came in it is one look. */
static void events_are_seen_at_once_and_do_not_drown_it(void)
{
	auto_tree struct tree t = make();
	struct loop *loop = loop_create();
	struct looks l = {.fn = on_look};
	struct err err;

	is_int(looks_start(&l, loop, t.fd, "/nonexistent", &err), 0);
	looks_soon(&l);
	ok(loop_timer_at(l.timer) <= loop_now(loop));
	l.fn = look_again;
	l.ctx = &l;
	pass_time(&l);
	looks_soon(&l);
	ok(loop_timer_at(l.timer) >= l.looked_at + LOOKS_SPACE_MS);
	ok(loop_timer_at(l.timer) <= l.looked_at + LOOKS_SPACE_MAX_MS + 1000);
	l.free_at = loop_now(loop) + LOOKS_SPACE_MAX_MS;
	loop_timer_set(l.timer, INT64_MAX);
	for (int i = 0; i < 100; i++) {
		looks_soon(&l);
		is_int(loop_timer_at(l.timer), l.free_at);
	}
	looks_finish(&l);
	loop_destroy(loop);
}

TESTS({"the first look is followed by words, and by another look",
       the_first_look_has_words_later_and_a_next_one},
      {"a card whose name is made of words has them at once", a_name_of_words_has_them_at_once},
      {"events are seen at once, and do not drown it", events_are_seen_at_once_and_do_not_drown_it},
      {"a look that fails keeps the last, and is made again", a_look_that_fails_is_made_again},
      {"a first look that fails is an error", a_first_look_that_fails_is_an_error},
      {"without kernel events it looks often", without_events_it_looks_often})
