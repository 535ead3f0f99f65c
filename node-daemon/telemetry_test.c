/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of readings, and told: asked of the eyes of observe.h, with a library that says what it is told. */
#include "node-daemon/telemetry.h"

#include "base/log.h"
#include "base/test.h"
#include "node-daemon/fakenvml_test.h"
#include "node-daemon/observe.h"
#include "node-daemon/tree_test.h"

#define TWO                                                                                        \
	FAKENVML_VERSIONS "card 0000:41:00.0\nuuid GPU-1\ntemperature 41\npower 71500\n"           \
			  "memory 85899345920\nused 1048576\nlink 0000:42:00.0\n"                  \
			  "card 0000:42:00.0\nuuid GPU-2\ntemperature 42\nlink 0000:41:00.0\n"

static struct loop *loop;
static struct tree tree = {.fd = -1};
static char *path;
static struct observe *eyes;
static struct telemetry *telemetry;
static int changes;
static struct arena arena;
static struct report_read said;

static struct pci_function functions[3];
static struct pci_function *all[] = {&functions[0], &functions[1], &functions[2]};
static struct machine machine = {.functions = {all, 3}};
static const struct pci_function *first[] = {&functions[0]}, *second[] = {&functions[1]};
static const struct unit a = {.card = &functions[0], .functions = {first, 1}, .gpus = 1},
			 b = {.card = &functions[1], .functions = {second, 1}, .gpus = 1};

static void on_change(attr_unused void *ctx)
{
	changes++;
}

static void observe_with(const char *script)
{
	auto_free char *library = fakenvml_path("fakenvml");
	struct err err;

	if (eyes) {
		observe_destroy(eyes);
	}
	fakenvml_forget();
	fakenvml_says(script);
	eyes = observe_create(
		&(struct observe_settings){.loop = loop,
					   .socket = path,
					   .sys = tree.fd,
					   .proc = tree.fd,
					   .nvml = *script ? library : "/nowhere/nvml.so",
					   .read_ms = strstr(script, "hang") ? 100 : 0},
		&err);
	ok(eyes);
}

static void start(bool often)
{
	telemetry = telemetry_create(
		&(struct telemetry_settings){.eyes = {.loop = loop, .socket = path},
					     .node = "gpu-1",
					     .often = often,
					     .changed = on_change});
	changes = 0;
}

static void begin(const char *script, bool often)
{
	log_setup(LOG_LEVEL_ERROR, STDERR_FILENO, NULL);
	loop = loop_create();
	tree = tree_make("dir eyes\n");
	path = xprintf("%s/eyes/sock", tree.root);
	arena_init(&arena, 4 * MiB);
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		functions[i] = (struct pci_function){.address = 0x4100 + 0x100 * i,
						     .driver = i == 2 ? "vfio-pci" : "nvidia",
						     .vendor_words = "NVIDIA Corporation",
						     .device_words = "GH100 [H100 SXM5 80GB]",
						     .ids = {.vendor = 0x10de, .device = 0x2330}};
	}
	machine.nvidia = "550.54.14";
	observe_with(script);
	start(often);
}

static void end(void)
{
	telemetry_destroy(telemetry);
	eyes = observe_destroy(eyes);
	for (int i = 0; i < 20; i++) {
		loop_turn(loop, 5);
	}
	loop = loop_destroy(loop);
	free(take(path));
	tree_remove(&tree);
	fakenvml_forget();
	arena_finish(&arena);
}

static void turns(void)
{
	for (int i = 0; i < 50; i++) {
		loop_turn(loop, 10);
	}
}

static void beat(void)
{
	telemetry_beat(telemetry, &machine);
	turns();
	telemetry_report(telemetry, &arena, &said);
}

static const char *condition(void)
{
	const struct condition *c = &said.condition;

	return c->type ? arena_printf(&arena, "%s %s %s: %s", c->type, c->status, c->reason,
				      c->message)
		       : "";
}

static const char *metrics(void)
{
	auto_buf struct buf out = {.max = MiB};

	telemetry_metrics(telemetry, &out);
	return arena_strdup(&arena, buf_text(&out));
}

static void cards_are_read(void)
{
	const char *text;

	begin(TWO, true);
	telemetry_report(telemetry, &arena, &said);
	is_str(condition(), "");
	is_str(said.library, "");
	is_str(metrics(), "");
	beat();
	is_int(changes, 1);
	is_str(condition(), "CardsRead True Read: NVIDIA's library reads the cards on its driver");
	is_str(said.library, "550.54.15");
	is_int(links_lanes(said.links, &a, &b), 1);
	is_int(links_lanes(telemetry_links(telemetry), &a, &b), 1);
	text = metrics();
	has(text,
	    "\nDCGM_FI_DEV_GPU_TEMP{gpu=\"0000:41:00.0\",UUID=\"GPU-1\",modelName=\"H100 SXM5 80GB\","
	    "Hostname=\"gpu-1\"} 41\n");
	has(text, "\nDCGM_FI_DEV_GPU_TEMP{gpu=\"0000:42:00.0\",UUID=\"GPU-2\",");
	has(text, "\"} 42\n");
	has(text, "\nDCGM_FI_DEV_POWER_USAGE{gpu=\"0000:41:00.0\",");
	has(text, "\"} 71.5\n");
	has(text, "\nDCGM_FI_DEV_FB_USED{gpu=\"0000:41:00.0\",");
	has(text, "\"} 1\n");
	has(text, "\nDCGM_FI_DEV_FB_FREE{gpu=\"0000:41:00.0\",");
	has(text, "\"} 81919\n");
	has(text, "\nvmgpu_gpu_read_timestamp_seconds{");
	ok(!strstr(text, "FAN"));
	ok(!strstr(text, "0000:43:00.0"));
	end();
}

static void names_and_units(void)
{
	static const char *const rows[] = {
		"gauge DCGM_FI_DEV_GPU_TEMP 41",
		"gauge DCGM_FI_DEV_POWER_USAGE 301.5",
		"gauge DCGM_FI_DEV_ENFORCED_POWER_LIMIT 700",
		"gauge DCGM_FI_DEV_FB_TOTAL 81920",
		"gauge DCGM_FI_DEV_FB_USED 4",
		"gauge DCGM_FI_DEV_FB_FREE 81916",
		"gauge DCGM_FI_DEV_GPU_UTIL 97",
		"gauge DCGM_FI_DEV_MEM_COPY_UTIL 12",
		"gauge DCGM_FI_DEV_SM_CLOCK 1980",
		"gauge DCGM_FI_DEV_MEM_CLOCK 2619",
		"gauge DCGM_FI_DEV_FAN_SPEED 30",
		"gauge DCGM_FI_DEV_ECC_CURRENT 1",
		"counter DCGM_FI_DEV_ECC_SBE_VOL_TOTAL 3",
		"counter DCGM_FI_DEV_ECC_DBE_VOL_TOTAL 5",
		"gauge DCGM_FI_DEV_MIG_MODE 0",
		"gauge DCGM_FI_DEV_VIRTUAL_MODE 3",
		"gauge vmgpu_gpu_processes 2",
	};
	const char *text;

	begin(FAKENVML_VERSIONS FAKENVML_CARD
	      "memory 85899345920\nused 4194304\nbusy 97\nmemory-busy 12\npower 301500\n"
	      "power-limit 700000\nsm-clock 1980\nmemory-clock 2619\nfan 30\necc 1\ncorrected 3\n"
	      "uncorrected 5\nmig 0\nvirtualization 3\nprocesses 2\n",
	      true);
	beat();
	text = metrics();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char type[16], name[64], value[16];
		auto_free char *head = NULL, *line = NULL;

		sscanf(rows[i], "%15s %63s %15s", type, name, value);
		head = xprintf("\n# TYPE %s %s\n", name, type);
		line = xprintf(
			"\n%s{gpu=\"0000:41:00.0\",UUID=\"GPU-1\",modelName=\"H100 SXM5 80GB\","
			"Hostname=\"gpu-1\"} %s\n",
			name, value);
		has(text, head);
		has(text, line);
	}
	end();
}

/* Temperatures are no news: not for the status, and not at each beat. */
static void what_always_changes_is_not_told(void)
{
	begin(TWO, true);
	beat();
	observe_with(FAKENVML_VERSIONS "card 0000:41:00.0\ntemperature 50\nlink 0000:42:00.0\n"
				       "card 0000:42:00.0\nlink 0000:41:00.0\n");
	beat();
	has(metrics(), "\"} 41\n"); /* it is not time yet */
	machine.nvidia = "550.54.99";
	beat();
	has(metrics(), "\"} 50\n");
	is_int(changes, 1);
	functions[2].driver = "nvidia"; /* one more */
	observe_with(TWO "card 0000:43:00.0\ntemperature 60\n");
	beat();
	has(metrics(), "{gpu=\"0000:43:00.0\",UUID=\"\",");
	is_int(changes, 1);
	end();
}

static void without_metrics_there_are_none(void)
{
	begin(TWO, false);
	beat();
	is_int(links_lanes(said.links, &a, &b), 1);
	is_str(metrics(), "");
	end();
}

/* What was read of it is over, aside from its links. */
static void a_card_leaves_the_driver(void)
{
	begin(TWO, true);
	beat();
	functions[1].driver = "vfio-pci";
	beat();
	ok(!strstr(metrics(), "0000:42:00.0"));
	has(metrics(), "0000:41:00.0");
	functions[0].driver = "";
	machine.nvidia = "";
	beat();
	is_str(metrics(), "");
	is_str(condition(), "");
	is_str(said.library, "");
	is_int(links_lanes(said.links, &a, &b), 1);
	is_int(changes, 2);
	end();
}

static void without_cards_nothing_is_asked(void)
{
	begin("", true);
	eyes = observe_destroy(eyes);
	functions[0].driver = functions[1].driver = "vfio-pci";
	beat();
	is_str(condition(), "");
	is_int(changes, 1); /* whatever was recalled is over */
	beat();
	is_int(changes, 1);
	observe_with("");
	end();
}

static void why_nothing_is_read(void)
{
	static const struct {
		const char *script, *says;
	} rows[] = {
		{"",
		 "CardsRead Unknown NoLibrary: vmgpu-node observe finds no library of NVIDIA's driver, "
		 "so NVLinks, temperature and memory of the cards on it are not known, and all else "
		 "goes on: /nowhere/nvml.so: "},
		{FAKENVML_VERSIONS "fail Init_v2 18\n",
		 "CardsRead False VersionMismatch: NVIDIA's library is of version 550.54.15 and the kernel "
		 "module that is loaded of 550.54.14, so no program can begin to use the cards on that "
		 "driver: reboot the node, or "},
		{"fail SystemGetNVMLVersion 3\nfail Init_v2 18\n",
		 "NVIDIA's library is of version another and"},
		{"hang Init_v2\n",
		 "CardsRead False Hangs: NVIDIA's library does not answer (no answer "
		 "within 0 s): a card or its driver hangs; "},
		{"fail Init_v2 9\n",
		 "CardsRead False Refused: NVIDIA's library reads no card: it does not begin: "},
		{FAKENVML_VERSIONS "card 0000:41:00.0\n",
		 "CardsRead False CardInTrouble: NVIDIA's library does not read 0000:42:00.0: it "
		 "does not show this card: "},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].script, true);
		beat();
		has(condition(), rows[i].says);
		is_int(changes, 1);
		beat(); /* not at once again */
		is_int(changes, 1);
		end();
	}
}

/* Of a card in trouble there are no numbers, which would be old ones. */
static void numbers_end_with_the_reading(void)
{
	begin(TWO, true);
	beat();
	observe_with("fail Init_v2 9\n");
	machine.nvidia = "550.54.99";
	beat();
	is_str(metrics(), "");
	is_int(changes, 2);
	end();
}

static void without_eyes_what_was_said_holds(void)
{
	begin(TWO, true);
	beat();
	eyes = observe_destroy(eyes);
	machine.nvidia = "550.54.99";
	beat();
	has(condition(), "CardsRead True Read");
	has(metrics(), "\"} 41\n");
	is_int(changes, 1);
	observe_with(TWO);
	end();
}

/* So it is right after it was taken: the eyes are quiet then. */
static void of_a_card_that_left_no_number_stays(void)
{
	begin(TWO, true);
	beat();
	eyes = observe_destroy(eyes);
	functions[0].driver = "vfio-pci";
	beat();
	ok(!strstr(metrics(), "0000:41:00.0"));
	has(metrics(),
	    "gpu=\"0000:42:00.0\",UUID=\"GPU-2\",modelName=\"H100 SXM5 80GB\",Hostname=\"gpu-1\"} 42\n");
	observe_with(TWO);
	end();
}

static void a_restart_is_no_news(void)
{
	struct status_link link = {"0000:42:00.0", "nvlink", 4};
	struct status_unit units[] = {
		{.id = "0000:41:00.0",
		 .vendor_id = "10de",
		 .device_id = "2330",
		 .links = {&link, 1}},
		{.id = "0000:42:00.0", .vendor_id = "10de", .device_id = "2330"}};
	struct condition conditions[] = {{"Ready", "True", "Reporting", "x", 0, NULL},
					 {"CardsRead", "False", "Hangs", "as before", 0, NULL}};
	struct pair versions[] = {{"nvidia", "550.54.14"}, {"libnvidia-ml", "550.54.13"}};
	struct status_node_info info = {.versions = {versions, 2}};
	const struct status old = {
		.node_info = &info, .units = {units, 2}, .conditions = {conditions, 2}};

	begin(TWO, true);
	telemetry_recall(telemetry, &machine, &old);
	telemetry_recall(telemetry, &machine, &old);
	telemetry_report(telemetry, &arena, &said);
	is_str(condition(), "CardsRead False Hangs: as before");
	is_str(said.library, "550.54.13");
	is_int(links_lanes(said.links, &a, &b), 4);
	beat();
	has(condition(), "CardsRead True Read: ");
	is_str(said.library, "550.54.15");
	is_int(links_lanes(said.links, &a, &b), 1);
	telemetry_recall(telemetry, &machine, &old); /* what was read holds */
	is_int(links_lanes(said.links, &a, &b), 1);
	telemetry_destroy(telemetry);

	start(true);
	functions[0].driver = functions[1].driver = "vfio-pci";
	telemetry_recall(telemetry, &machine, &old);
	telemetry_report(telemetry, &arena, &said);
	is_str(condition(), "");
	is_str(said.library, "");
	is_int(links_lanes(said.links, &a, &b), 4);
	end();
}

TESTS({"cards are read, told and measured", cards_are_read},
      {"names and units are DCGM's", names_and_units},
      {"what always changes is not told", what_always_changes_is_not_told},
      {"where nobody asks for metrics there are none", without_metrics_there_are_none},
      {"a card leaves the driver", a_card_leaves_the_driver},
      {"without cards nothing is asked", without_cards_nothing_is_asked},
      {"why nothing is read, and what to do", why_nothing_is_read},
      {"numbers end with the reading", numbers_end_with_the_reading},
      {"without eyes what was said holds", without_eyes_what_was_said_holds},
      {"of a card that left no number stays", of_a_card_that_left_no_number_stays},
      {"a restart is no news", a_restart_is_no_news})
