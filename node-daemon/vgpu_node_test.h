/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu_node_test.h: a node whose card (card_test.h) is cut on demand: a journal, pods that have vGPUs,
 * Allocate and what tidies up behind it; for tests of plan_vgpu.h. The journal and the card are what
 * outlive the node's death.
 */
#pragma once

#include "base/test.h"
#include "node-daemon/cut_test.h"
#include "node-daemon/plan_vgpu.h"

#define Q4 "NVIDIA L40S-4Q"
#define A4 "NVIDIA L40S-4A"
#define Q24 "NVIDIA L40S-24Q"

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

attr_unused static void append(const struct journal_record *r)
{
	struct err err = {""};
	size_t from = file.len;

	is_int(journal_line(&journal, r, &file, &err), 0);
	journal_note(&journal, file.bytes + from, file.len - from);
}

attr_unused static void append_slot(const struct journal_slot *s)
{
	append(&(struct journal_record){.slot = s});
}

/* Started again: what is in the file is known. */
attr_unused static void wake(void)
{
	journal_finish(&journal);
	journal_init(&journal);
	journal_read(file.bytes, file.len, &journal);
	is_int(journal.health, JOURNAL_GOOD);
}

attr_unused static void begin(enum vgpu_face face, uint16_t device, int vfs)
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

attr_unused static void hold(const struct pod *p, bool held)
{
	for (int i = 0; i < card_places(&card); i++) {
		bool here = card.total ? card_vf(i) == p->at : str_eq(card.vgpus[i].uuid, p->uuid);

		if (here && card.vgpus[i].id) {
			card.held[i] = held;
		}
	}
}

attr_unused static void look(void)
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

attr_unused static size_t n_free(const char *type)
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
attr_unused static const char *devices(const char *type)
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

attr_unused static bool lives(int *left)
{
	*left -= *left > 0;
	return *left != 0;
}

attr_unused static enum end run(const struct steps *steps, int *left)
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

attr_unused static const char *last_why;

attr_unused static enum end allocate(struct pod *p, struct vgpu_id id, const char *type, int *left)
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

attr_unused static enum end tidy(int *left)
{
	for (int i = 0; i < 20; i++) {
		struct vgpu_tidying t;
		enum end end;

		look();
		vgpu_tidy(&node, &units.items[0], 0, &arena, &t);
		list_each(s, &t.noted) {
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

attr_unused static void end_pod(struct pod *p)
{
	hold(p, false);
	*p = (struct pod){0};
}

attr_unused static struct pod *free_pod(void)
{
	for (int i = 0; i < PODS; i++) {
		if (!pods[i].type) {
			return &pods[i];
		}
	}
	return NULL;
}

attr_unused static int none = -1;

attr_unused static enum end ask(int64_t index, const char *type)
{
	return allocate(free_pod(), (struct vgpu_id){CARD_AT, index}, type, &none);
}

/* The machine boots: pods are gone, and so is all that was made. */
attr_unused static void reboot(void)
{
	int vfs = card.numvfs;

	memset(pods, 0, sizeof(pods));
	card_reboot(&card);
	card.numvfs = vfs;
	boot[0]++;
}
