/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's library: one that says what it is told (e2e/node/fakenvml.c), in a child each. */
#include "node-daemon/nvml.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/test.h"
#include "node-daemon/fakenvml_test.h"

static struct arena arena;
static struct reading reading;
static char said[EYES_MAX_LINE];

/* As reader.c has it read: once a process, so that each library is loaded anew. */
static int read_by(const char *library, const char *script)
{
	static uint64_t cards[] = {0x4100, 0x4200};
	static const struct reading_question q = {cards, 2};
	struct nvml_job job = {library, &q};
	int out[2], status;
	struct err err;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	fakenvml_says(script);
	ok(pipe(out) == 0);
	pid = fork();
	if (pid == 0) {
		close(out[0]);
		_exit(nvml_run(&job, out[1]));
	}
	close(out[1]);
	while ((n = read(out[0], said + have, sizeof(said) - have)) > 0) {
		have += (size_t)n;
	}
	close(out[0]);
	ok(waitpid(pid, &status, 0) == pid);
	fakenvml_forget();
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	arena_finish(&arena);
	arena_init(&arena, MiB);
	if (reading_read(said, have, &q, &arena, &reading, &err)) {
		printf("# %s\n", err.text);
		return -1;
	}
	return 0;
}

static int read_fake(const char *script)
{
	auto_free char *library = fakenvml_path("fakenvml");

	return read_by(library, script);
}

static int64_t value(size_t card, enum reading_value v)
{
	return opt_int_or(reading.cards.items[card].values[v], -1);
}

#define WHOLE                                                                                      \
	FAKENVML_CARD "memory 85899345920\nused 4096\nbusy 97\nmemory-busy 12\npower 301500\n"     \
		      "power-limit 700000\nsm-clock 1980\nmemory-clock 2619\nfan 30\necc 1\n"      \
		      "corrected 3\nuncorrected 1\nmig 0\nvirtualization 3\nprocesses 2\n"

static void all_that_it_says(void)
{
	static const int64_t want[READING_VALUES] = {
		41, 301500, 700000, 85899345920, 4096, 97, 12, 1980, 2619, 30, 1, 3, 1, 0, 3, 2};

	is_int(read_fake(FAKENVML_VERSIONS WHOLE "card 0000:42:00.0\nuuid GPU-2\n"), 0);
	is_int(reading.state, READING_DONE);
	is_str(reading.why, "");
	is_str(reading.library, "550.54.15");
	is_str(reading.driver, "550.54.14");
	is_int(reading.cards.n, 2);
	is_str(reading.cards.items[0].uuid, "GPU-1");
	is_str(reading.cards.items[1].uuid, "GPU-2");
	for (int v = 0; v < READING_VALUES; v++) {
		is_int(value(0, v), want[v]);
		is_int(value(1, v), -1);
	}
}

/* What an old library lacks, and what a card does not support, is a reading less. */
static void an_old_library(void)
{
	auto_free char *old = fakenvml_path("fakenvml-old");

	is_int(read_by(old, FAKENVML_VERSIONS WHOLE "link 0000:42:00.0\n"), 0);
	is_int(reading.state, READING_DONE);
	is_int(value(0, READING_TEMPERATURE), 41);
	is_int(value(0, READING_MEMORY_TOTAL), 85899345920);
	is_int(value(0, READING_MEMORY_USED), 5096); /* what is reserved among it */
	is_int(value(0, READING_MIG), -1);
	is_int(value(0, READING_PROCESSES), -1);
	is_int(reading.cards.items[0].peers.n, 0);
}

static void no_processes_are_none(void)
{
	is_int(read_fake(FAKENVML_VERSIONS FAKENVML_CARD "processes 0\n"), 0);
	is_int(value(0, READING_PROCESSES), 0);
}

static void nvlinks(void)
{
	const struct reading_card *c;

	is_int(read_fake(FAKENVML_VERSIONS FAKENVML_CARD
			 "link 0000:42:00.0\nlink down\nlink 0000:42:00.0\nlink 0000:05:00.0\n"
			 "link ffffffff:ffffffff:ffffffff\n"),
	       0);
	c = &reading.cards.items[0];
	is_int(c->peers.n, 2);
	is_int(c->peers.items[0].at, 0x4200);
	is_int(c->peers.items[0].lanes, 2);
	is_int(c->peers.items[1].at, 0x500);
	is_int(c->peers.items[1].lanes, 1);
}

static void a_card_that_it_does_not_show(void)
{
	is_int(read_fake(FAKENVML_VERSIONS FAKENVML_CARD), 0);
	is_str(reading.cards.items[0].trouble, "");
	is_str(reading.cards.items[1].trouble,
	       "it does not show this card: Unknown Error (NVML error 6)");
	is_int(value(0, READING_TEMPERATURE), 41);
}

static void one_reading_that_fails_is_one_less(void)
{
	is_int(read_fake(FAKENVML_VERSIONS "fail DeviceGetTemperature 15\n" WHOLE), 0);
	is_int(value(0, READING_TEMPERATURE), -1);
	is_int(value(0, READING_POWER), 301500);
	is_int(read_fake(FAKENVML_VERSIONS "fail DeviceGetMemoryInfo_v2 25\n" WHOLE), 0);
	is_int(value(0, READING_MEMORY_USED), 5096);
}

static void why_there_is_nothing(void)
{
	static const struct {
		const char *script;
		enum reading_state state;
		const char *why, *library;
	} rows[] = {
		{FAKENVML_VERSIONS "fail Init_v2 18\n", READING_MISMATCH,
		 "it does not begin: Driver/library version mismatch (NVML error 18)", "550.54.15"},
		{FAKENVML_VERSIONS "fail Init_v2 9\n", READING_REFUSED,
		 "it does not begin: Driver Not Loaded (NVML error 9)", "550.54.15"},
		{FAKENVML_VERSIONS "fail Init_v2 12\n", READING_ABSENT,
		 "it does not begin: ", "550.54.15"},
		{"fail SystemGetNVMLVersion 999\nfail Init_v2 999\n", READING_REFUSED,
		 "it does not begin: Unknown Error (NVML error 999)", ""},
		{"library 550.54.15\nfail Init_v2 9\n", READING_REFUSED, "", "550.54.15"},
		{"library 9.390.157\nfail Init_v2 9\n", READING_REFUSED, "", "390.157"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(read_fake(rows[i].script), 0);
		is_int(reading.state, rows[i].state);
		has(reading.why, rows[i].why);
		is_str(reading.library, rows[i].library);
		is_int(reading.cards.n, 0);
	}
}

static void no_library(void)
{
	auto_free char *text = fakenvml_path("fakenvml");

	is_int(read_by("/nowhere/libnvidia-ml.so.1", ""), 0);
	is_int(reading.state, READING_ABSENT);
	has(reading.why, "/nowhere/libnvidia-ml.so.1: cannot open shared object file");
	is_int(read_by("libc.so.6", ""), 0); /* a library, but another one */
	is_int(reading.state, READING_REFUSED);
	has(reading.why, "it is not NVML");
	is_int(read_by("/etc/passwd", ""), 0);
	is_int(reading.state, READING_ABSENT);
}

static void one_that_ends_the_process(void)
{
	is_int(read_fake(FAKENVML_VERSIONS FAKENVML_CARD "die DeviceGetUUID\n"), 77);
}

/* What it says is for logs and for the status of an object. */
static void what_it_says_is_printable(void)
{
	is_int(read_fake("library 12.5\x01\xff.1\nfail Init_v2 9\n"), 0);
	is_str(reading.library, "5??.1");
}

static bool status_has(const char *line)
{
	char text[8192];
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	return f && strstr(text, line);
}

/* What the library does it does without our rights, and can get none back. */
static void it_has_no_rights(void)
{
	auto_free char *library = fakenvml_path("fakenvml");
	struct nvml_job job = {library, &(struct reading_question){0}};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		nvml_run(&job, open("/dev/null", O_WRONLY));
		_exit(status_has("CapEff:\t0000000000000000") &&
				      status_has("CapPrm:\t0000000000000000") &&
				      status_has("NoNewPrivs:\t1") &&
				      status_has("Name:\t" NVML_PROCESS)
			      ? 0
			      : 1);
	}
	ok(waitpid(pid, &status, 0) == pid);
	is_int(status, 0);
}

TESTS({"all that it says is read", all_that_it_says},
      {"what an old library lacks is left out", an_old_library},
      {"no processes are told from none known", no_processes_are_none},
      {"NVLinks that are up are counted by where they lead", nvlinks},
      {"a card that it does not show", a_card_that_it_does_not_show},
      {"one reading that fails is one less", one_reading_that_fails_is_one_less},
      {"why nothing is read", why_there_is_nothing}, {"no library", no_library},
      {"one that ends the process", one_that_ends_the_process},
      {"it has no rights", it_has_no_rights},
      {"what it says is printable", what_it_says_is_printable})
