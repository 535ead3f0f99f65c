/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demand_hand_test.h: vGPUs given to a kubelet and taken back, on virtual time: a played card
 * (vgpu_node_test.h), kubelet and eyes, and uses.h as it is.
 */
#pragma once

#include "node-daemon/demand.h"

#include "base/log.h"
#include "node-daemon/eyes_hand_test.h"
#include "node-daemon/obey_hand_test.h"
#include "node-daemon/tree_test.h"
#include "node-daemon/vgpu_node_test.h"
#include "node-daemon/write.h"

#define R4 "nvidia.com/NVIDIA_L40S-4Q"
#define ID(n) "0000:41:00.0/" #n

/* --- the node -------------------------------------------------------------------------------- */

static struct loop *const no_loop = NULL;
static struct demand *demand;
static struct uses *uses_of;
static struct tree tree = {.fd = -1};
static int looks, news;
static const char *pod; /* that has what `has_ids` names */
static const char *has_ids[8];
static size_t n_has;

attr_unused static void on_news(attr_unused void *ctx)
{
	news++;
}

attr_unused static void on_look(attr_unused void *ctx)
{
	looks++;
}

attr_unused static void add_groups(void)
{
	for (int i = 0; i < 8; i++) {
		char at[PCIFN_TEXT_MAX];
		auto_free char *path =
			xprintf("bus/pci/devices/%s/iommu_group", pcifn_text(card_vf(i), at));
		auto_free char *to = xprintf("../../../../kernel/iommu_groups/%d", 100 + i);

		tree_link(&tree, path, to);
	}
}

attr_unused static void know(bool anything)
{
	obey_is = anything ? (struct obey_facts){&card.m, &units, &books, &orders, boot, "node1"}
			   : (struct obey_facts){0};
	obey_has = &journal;
}

attr_unused static void restart(void)
{
	demand = demand ? demand_destroy(demand) : NULL;
	uses_destroy(uses_of);
	is_int(n_asked + n_started, 0);
	uses_of = uses_create(boot);
	uses_restore(uses_of, journal.uses.items, journal.uses.n);
	demand = demand_create(&(struct demand_settings){.loop = no_loop,
							 .eyes = &(struct eyes_settings){0},
							 .sys = tree.fd,
							 .uses = uses_of,
							 .again = on_news,
							 .look = on_look});
	said[0] = '\0';
}

attr_unused static const char *turn(void);

attr_unused static void begin_node(enum vgpu_face face, uint16_t device, int vfs)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	begin(face, device, vfs);
	if (tree.fd >= 0) {
		tree_remove(&tree);
	}
	tree = tree_make("");
	add_groups();
	too_large = false;
	know(true);
	obey_append = append;
	disk = no_process = pod = NULL;
	n_has = 0;
	restart();
	turn();
	looks = news = 0;
}

attr_unused static void end_node(void)
{
	demand = demand_destroy(demand);
	uses_of = uses_destroy(uses_of);
	tree_remove(&tree);
	is_int(n_asked + n_started, 0);
}

/* The list of pods. */
attr_unused static void tell_pods(void)
{
	struct dpapi_hold holds[8];

	for (size_t i = 0; i < n_has; i++) {
		holds[i] = (struct dpapi_hold){"n", pod, "c", R4, has_ids[i]};
	}
	uses_pods(uses_of, &(struct dpapi_holds){holds, pod ? n_has : 0}, NULL, now);
}

attr_unused static bool work_one(void)
{
	struct uses_work w;
	struct err err;
	int64_t wake;

	uses_next(uses_of, now, &w, &wake);
	switch (w.what) {
	case USES_WAIT:
		return false;
	case USES_RECORD:
		if (obey_record(NULL, &(struct journal_record){.use = w.record}, false, &err) < 0) {
			uses_record_failed(uses_of, w.id, err.text, now);
		}
		break;
	case USES_ANSWER:
		demand_answer(demand, &w);
		break;
	case USES_REFUSE:
		say("refuse %d: %s; ", ((struct grpc_call *)w.call)->number, w.text);
		break;
	case USES_ASK_PODS:
		tell_pods();
		break;
	case USES_ASK_HOLDERS:
		demand_ask_holders(demand, w.id);
		break;
	case USES_RESET:
		demand_remove(demand, w.id);
		break;
	}
	return true;
}

/* As supply.c has it. What was said since the last one. */
attr_unused static const char *turn(void)
{
	struct uses_unit *list;
	size_t n;

	look();
	demand_turn(demand);
	demand_units(demand, &arena, &list, &n);
	uses_units(uses_of, list, n, now);
	while (work_one()) {
	}
	return heard();
}

attr_unused static void ask_for(int call, const char *resource, const char *id, const char *id2)
{
	const char *ids[] = {id, id2};
	struct dpapi_ids one = {ids, id2 ? 2 : 1};

	uses_allocate(uses_of, &calls[call], resource, &(struct dpapi_asks){&one, 1}, now);
}

/* What obeying does with what is going. */
attr_unused static void tidy_up(void)
{
	struct vgpu_tidying t;

	look();
	demand_given(demand, &arena, &node.uses);
	vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
	list_each(s, &t.noted) {
		append_slot(s);
	}
	list_each(s, &t.before) {
		append_slot(s);
	}
	ok(run(&t.steps, &none) == DONE);
}

/* Child i does its steps on the card; why: the last one fails so. */
attr_unused static void make_it(size_t i, const char *why)
{
	struct process *p = started[i];
	const struct write_job *job = p->spec.ctx;
	struct buf out = {.max = 64 * KiB};
	size_t n = job->steps->n;

	ok(p->spec.run == write_run);
	ok(job->sys == tree.fd && *p->spec.keep == tree.fd && p->spec.n_keep == 1);
	ok(p->spec.max_out > n * STEPS_LINE_MAX);
	for (size_t k = 0; k < n; k++) {
		bool done = k + 1 < n || !why;

		ok(!done || card_do(&card, &job->steps->items[k]));
		steps_say(&out, k, done, done ? "" : why);
	}
	process_says(p, buf_text(&out), &(struct process_result){.status = why != NULL});
	buf_finish(&out);
}

/* The whole way of one that is asked for; and what a part of the answer is. */
attr_unused static void give_as(int call, const char *id, const char *part)
{
	ask_for(call, R4, id, NULL);
	turn();
	is_int(n_started, 1);
	make_it(0, NULL);
	has(turn(), part);
}

attr_unused static void give(int call, const char *id)
{
	give_as(call, id, "reply ");
}

/* Pod p has these from now on. */
attr_unused static void show(const char *name, const char *id, const char *id2)
{
	pod = name;
	has_ids[0] = id;
	has_ids[1] = id2;
	n_has = id2 ? 2 : 1;
	now += USES_SHOW_FIRST_MS;
	turn();
}

/* The pod ends, and is seen to have. */
attr_unused static void end_of_pod(void)
{
	n_has = 0;
	uses_beat(uses_of, now);
	turn();
}

attr_unused static const char *state_of(const char *id)
{
	static const char *const names[] = {"free",	 "given", "held",
					    "returning", "dirty", "unproven"};
	struct uses_view v;

	for (size_t i = 0; uses_each(uses_of, i, &v); i++) {
		if (str_eq(v.id, id)) {
			return names[v.state];
		}
	}
	return "none";
}
