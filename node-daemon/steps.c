/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/steps.h"

#include <string.h>

#define SECOND 1000

/*
 * nvidia.ko's remove() and vfio's wait for ever for who has the device open (nvidia.md 3.2), so that
 * is no matter of seconds more. What is not held is let go at once; a driver's probe may start the
 * firmware of the card.
 */
static const struct {
	const char *words, *value; /* value: in front of it, NULL: not said */
	int64_t deadline_ms;
} verbs[STEP_VERBS] = {
	[STEP_READ_OVERRIDE] = {"read driver_override of", NULL, 5 * SECOND},
	[STEP_UNBIND_LOCK] = {"set unbindLock of", "to", 8 * SECOND},
	[STEP_OVERRIDE] = {"set driver_override of", "to", 5 * SECOND},
	[STEP_UNBIND] = {"unbind", "from", 10 * SECOND},
	[STEP_PROBE] = {"find a driver for", NULL, 15 * SECOND},
	[STEP_EXPECT_ALIVE] = {"read the config space of", NULL, SECOND},
	[STEP_EXPECT_DRIVER] = {"see", "on", SECOND},
	[STEP_EXPECT_GROUP] = {"see vfio with", "in IOMMU group", SECOND},
	/* pci_dev_wait gives a device a minute to come back (PCIE_RESET_READY_POLL_MS). */
	[STEP_RESET] = {"reset", NULL, 65 * SECOND},
	[STEP_AUTOPROBE] = {"set sriov_drivers_autoprobe of", "to", 5 * SECOND},
	/* Each function is probed by its driver meanwhile, where that is not switched off. */
	[STEP_VFS] = {"set sriov_numvfs of", "to", 60 * SECOND},
	[STEP_TOOL] = {"ask the vendor's tools for", "the work", 65 * SECOND},
	/* 160 functions take 30 s and more (gpu-operator#2002). */
	[STEP_EXPECT_VFS] = {"see the virtual functions of", "be", 65 * SECOND},
	[STEP_EXPECT_TYPE] = {"see", "offer the vGPU type", 10 * SECOND},
	[STEP_TYPE] = {"set current_vgpu_type of", "to", 15 * SECOND},
	[STEP_EXPECT_MADE] = {"see", "carry the vGPU type", SECOND},
	[STEP_MDEV_MAKE] = {"make on", "the mediated device", 15 * SECOND},
	[STEP_MDEV_DROP] = {"remove from", "the mediated device", 15 * SECOND},
	[STEP_EXPECT_MDEV] = {"see on", "the state of", SECOND},
};

int64_t steps_deadline_ms(const struct steps *s)
{
	int64_t sum = 0;

	list_each(step, s) {
		sum += verbs[step->verb].deadline_ms;
	}
	return sum;
}

void steps_copy(const struct steps *s, struct arena *a, struct steps *ret)
{
	struct step *items = arena_array(a, struct step, s->n);

	for (size_t i = 0; i < s->n; i++) {
		items[i] = s->items[i];
		items[i].value = arena_strdup(a, s->items[i].value);
	}
	*ret = (struct steps){items, s->n};
}

const char *step_words(const struct step *s, struct arena *a)
{
	const char *value = verbs[s->verb].value;
	char text[PCIFN_TEXT_MAX];

	pcifn_text(s->at, text);
	if (!value) {
		return arena_printf(a, "%s %s", verbs[s->verb].words, text);
	}
	return arena_printf(a, "%s %s %s %s", verbs[s->verb].words, text, value,
			    *s->value ? s->value : "none");
}

/* --- what a child says --------------------------------------------------------------------- */

void steps_say(struct buf *out, size_t i, bool done, const char *text)
{
	size_t room = STEPS_LINE_MAX - 32;

	buf_printf(out, "%zu %s ", i, done ? "ok" : "no");
	for (const char *s = text; *s && room; s++, room--) {
		buf_char(out, *s >= ' ' && *s <= '~' ? *s : ' ');
	}
	buf_char(out, '\n');
}

/* The rest of the line when it begins with that step, NULL when not. */
static const char *answer_to(const char *line, size_t i, struct arena *a, bool *ret_done)
{
	const char *ok = arena_printf(a, "%zu ok ", i), *no = arena_printf(a, "%zu no ", i);

	*ret_done = str_starts(line, ok);
	return *ret_done ? line + strlen(ok) : str_starts(line, no) ? line + strlen(no) : NULL;
}

void steps_hear(const struct steps *s, const char *out, size_t n, struct arena *a,
		struct steps_heard *ret)
{
	const char *end;

	*ret = (struct steps_heard){.read = arena_array(a, const char *, s->n)};
	for (size_t i = 0; i < s->n; i++) {
		ret->read[i] = "";
	}
	while (ret->done < s->n && n && (end = memchr(out, '\n', n))) {
		const char *line = arena_strndup(a, out, (size_t)(end - out)), *text;
		bool done;

		text = answer_to(line, ret->done, a, &done);
		if (!text || !done) {
			ret->why = text;
			return;
		}
		ret->read[ret->done++] = text;
		n -= (size_t)(end + 1 - out);
		out = end + 1;
	}
}
