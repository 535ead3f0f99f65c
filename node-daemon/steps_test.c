/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/steps.h"

#include "base/test.h"

#define AT 0x4100 /* 0000:41:00.0 */

static struct step three[] = {
	{STEP_READ_OVERRIDE, AT, ""}, {STEP_UNBIND, AT + 1, "snd_hda_intel"}, {STEP_PROBE, AT, ""}};
static const struct steps steps = {three, 3};
static struct arena arena;
static struct steps_heard heard;

static void hear(const char *out)
{
	arena_finish(&arena);
	arena_init(&arena, MiB);
	steps_hear(&steps, out, strlen(out), &arena, &heard);
}

static void words(void)
{
	static const struct {
		struct step step;
		const char *words;
	} rows[] = {
		{{STEP_READ_OVERRIDE, AT, ""}, "read driver_override of 0000:41:00.0"},
		{{STEP_UNBIND_LOCK, AT, "1"}, "set unbindLock of 0000:41:00.0 to 1"},
		{{STEP_OVERRIDE, AT, "vfio-pci"},
		 "set driver_override of 0000:41:00.0 to vfio-pci"},
		{{STEP_OVERRIDE, AT, ""}, "set driver_override of 0000:41:00.0 to none"},
		{{STEP_UNBIND, AT + 1, "nvidia"}, "unbind 0000:41:00.1 from nvidia"},
		{{STEP_PROBE, AT, ""}, "find a driver for 0000:41:00.0"},
		{{STEP_EXPECT_ALIVE, AT, ""}, "read the config space of 0000:41:00.0"},
		{{STEP_EXPECT_DRIVER, AT, "x"}, "see 0000:41:00.0 on x"},
		{{STEP_EXPECT_GROUP, AT, "7"}, "see vfio with 0000:41:00.0 in IOMMU group 7"},
		{{STEP_RESET, AT, ""}, "reset 0000:41:00.0"},
		{{STEP_AUTOPROBE, AT, "0"}, "set sriov_drivers_autoprobe of 0000:41:00.0 to 0"},
		{{STEP_VFS, AT, "16"}, "set sriov_numvfs of 0000:41:00.0 to 16"},
		{{STEP_TOOL, AT, "sriov-manage -e"},
		 "ask the vendor's tools for 0000:41:00.0 the work sriov-manage -e"},
		{{STEP_EXPECT_VFS, AT, "16"}, "see the virtual functions of 0000:41:00.0 be 16"},
		{{STEP_EXPECT_TYPE, AT, "1148"}, "see 0000:41:00.0 offer the vGPU type 1148"},
		{{STEP_TYPE, AT, "1148"}, "set current_vgpu_type of 0000:41:00.0 to 1148"},
		{{STEP_EXPECT_MADE, AT, "1148"}, "see 0000:41:00.0 carry the vGPU type 1148"},
		{{STEP_MDEV_MAKE, AT, "u t"}, "make on 0000:41:00.0 the mediated device u t"},
		{{STEP_MDEV_DROP, AT, "u"}, "remove from 0000:41:00.0 the mediated device u"},
		{{STEP_EXPECT_MDEV, AT, "u"}, "see on 0000:41:00.0 the state of u"},
	};

	arena_init(&arena, MiB);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_str(step_words(&rows[i].step, &arena), rows[i].words);
	}
	is_int(ARRAY_LEN(rows), STEP_VERBS + 1);
}

static void deadlines_add_up(void)
{
	struct steps none = {0}, one = {three, 1};

	is_int(steps_deadline_ms(&none), 0);
	is_int(steps_deadline_ms(&one), 5000);
	is_int(steps_deadline_ms(&steps), 30000);
}

static void a_copy_is_its_own(void)
{
	char value[] = "snd_hda_intel";
	struct step own[] = {three[0], {STEP_UNBIND, AT + 1, value}};
	struct steps of = {own, 2}, copy;

	steps_copy(&of, &arena, &copy);
	value[0] = 'x';
	own[0].at = 0;
	is_int(copy.n, 2);
	is_str(step_words(&copy.items[0], &arena), "read driver_override of 0000:41:00.0");
	is_str(step_words(&copy.items[1], &arena), "unbind 0000:41:00.1 from snd_hda_intel");
}

static void what_is_said_is_heard(void)
{
	attr_cleanup(buf_finish) struct buf out;

	buf_init(&out, MiB);
	steps_say(&out, 0, true, "nvidia");
	steps_say(&out, 1, true, "");
	is_str(buf_text(&out), "0 ok nvidia\n1 ok \n");
	hear(buf_text(&out));
	is_int(heard.done, 2);
	ok(!heard.why);
	is_str(heard.read[0], "nvidia");
	is_str(heard.read[1], "");
	is_str(heard.read[2], "");
	steps_say(&out, 2, false, "it\nburns \x01\xff~");
	hear(buf_text(&out));
	is_int(heard.done, 2);
	is_str(heard.why, "it burns   ~");
}

static void long_texts_are_cut(void)
{
	attr_cleanup(buf_finish) struct buf out;
	auto_free char *text = xcalloc(1, 5000);

	memset(text, 'x', 4999);
	buf_init(&out, MiB);
	steps_say(&out, 0, false, text);
	ok(out.len <= STEPS_LINE_MAX);
	hear(buf_text(&out));
	is_int(strlen(heard.why), STEPS_LINE_MAX - 32);
}

/* What is heard of bytes that no steps_say made, or that were cut. */
static void odd_bytes(void)
{
	static const struct {
		const char *out;
		size_t done;
		const char *why;
	} rows[] = {
		{"", 0, NULL},
		{"0 ok ", 0, NULL},
		{"0 ok \n1 ok", 1, NULL},
		{"0 ok \n1 ok \n2 ok \n3 ok \n", 3, NULL},
		{"1 ok \n", 0, NULL},
		{"0 ok \n0 ok \n", 1, NULL},
		{"0 no x\n1 ok \n", 0, "x"},
		{"0 ok \nnonsense\n1 ok \n", 1, NULL},
		{"00 ok \n", 0, NULL},
		{"0 ok\n", 0, NULL},
		{"\n0 ok \n", 0, NULL},
		{"0 no \n", 0, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hear(rows[i].out);
		is_int(heard.done, rows[i].done);
		is_str(heard.why, rows[i].why);
	}
}

static void nothing_stays(void)
{
	arena_finish(&arena);
}

TESTS({"steps in words", words}, {"deadlines add up", deadlines_add_up},
      {"a copy is its own", a_copy_is_its_own}, {"what is said is heard", what_is_said_is_heard},
      {"long texts are cut", long_texts_are_cut}, {"odd bytes end it", odd_bytes},
      {"nothing stays", nothing_stays})
