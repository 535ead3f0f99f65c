/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flag.h"

#include "base/test.h"

struct options {
	const char *node;
	bool elect, quiet;
	int64_t workers, any, timeout_ms;
	int level;
	struct flag_list files;
};

static const struct flag flags[] = {
	{"node", 'n', FLAG_STRING, offsetof(struct options, node), .arg = "NAME", .required = true,
	 .help = "name of this node"},
	{"leader-elect", 0, FLAG_BOOL, offsetof(struct options, elect), .value = "true",
	 .help = "elect one writer among the replicas"},
	{"quiet", 'q', FLAG_BOOL, offsetof(struct options, quiet), .help = "say less"},
	{"workers", 'w', FLAG_INT, offsetof(struct options, workers), .value = "4", .min = 1,
	 .max = 64, .help = "passes at once"},
	{"any", 0, FLAG_INT, offsetof(struct options, any), .help = "any number", .hidden = true},
	{"timeout", 0, FLAG_DURATION, offsetof(struct options, timeout_ms), .value = "1m30s",
	 .min = 1000, .max = 600000,
	 .help = "how long a request may take; a sentence that is long enough to be wrapped at the column of the help texts"},
	{"log-level", 0, FLAG_CHOICE, offsetof(struct options, level), .value = "info",
	 .choices = "error|warn|info", .help = "least important events to log"},
	{"filename", 'f', FLAG_LIST, offsetof(struct options, files), .arg = "FILE",
	 .help = "manifest to read"},
	{0},
};

static const struct flag_text text = {
	.program = "vmgpu-test",
	.args = "[flags] NAME...",
	.about = "Tests flags.",
	.examples = "  vmgpu-test --node=a",
};

#define WORDS_MAX 32

/* Splits line at blanks and parses; options and err are left for the caller to look at. */
static struct options o;
static struct err err;
static char words[256];
static char *argv_[WORDS_MAX];
static int args;

static int parse(const char *line)
{
	const struct flag_group groups[] = {{"Flags", flags, &o}, {0}};
	int argc = 0;

	flag_list_finish(&o.files);
	err_set(&err, "no error");
	args = -1;
	snprintf(words, sizeof(words), "%s", line);
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		argv_[argc++] = w;
	}
	return flag_parse(&text, groups, argc, argv_, &args, &err);
}

static void defaults_stand_where_nothing_is_given(void)
{
	is_int(parse("--node a"), 0);
	is_str(o.node, "a");
	ok(o.elect && !o.quiet);
	is_int(o.workers, 4);
	is_int(o.any, 0);
	is_int(o.timeout_ms, 90000);
	is_int(o.level, 2);
	is_int(o.files.n, 0);
	is_int(args, 0);
}

static void every_form_is_read(void)
{
	is_int(parse("x --node=a=b --leader-elect=false -q -w8 y --any -7 --timeout 500s --log-level=warn -f a.yaml --filename=b.yaml -f=c - -- -q"),
	       0);
	is_str(o.node, "a=b");
	ok(!o.elect && o.quiet);
	is_int(o.workers, 8);
	is_int(o.any, -7);
	is_int(o.timeout_ms, 500000);
	is_int(o.level, 1);
	is_int(o.files.n, 3);
	is_str(o.files.values[0], "a.yaml");
	is_str(o.files.values[1], "b.yaml");
	is_str(o.files.values[2], "c");
	is_int(args, 4);
	is_str(argv_[0], "x");
	is_str(argv_[1], "y");
	is_str(argv_[2], "-");
	is_str(argv_[3], "-q");
	is_int(parse("-n a -n b -qw3"), 0);
	is_str(o.node, "b");
	is_int(o.workers, 3);
	flag_list_finish(&o.files);
}

static void mistakes_name_flag_and_remedy(void)
{
	static const struct {
		const char *line, *sentence;
	} rows[] = {
		{"", "--node is missing: name of this node; give --node=NAME"},
		{"--node=", "--node is missing: name of this node; give --node=NAME"},
		{"--node", "--node needs a value: --node=NAME"},
		{"-n", "--node needs a value: --node=NAME"},
		{"--nod a",
		 "unknown flag --nod: did you mean --node? `vmgpu-test --help` lists all flags"},
		{"--laeder-elect",
		 "unknown flag --laeder-elect: did you mean --leader-elect? `vmgpu-test --help` lists all flags"},
		{"--timeuot=3s",
		 "unknown flag --timeuot: did you mean --timeout? `vmgpu-test --help` lists all flags"},
		{"--colour=red", "unknown flag --colour: `vmgpu-test --help` lists all flags"},
		{"--=x", "unknown flag --: `vmgpu-test --help` lists all flags"},
		{"-x", "unknown flag -x: `vmgpu-test --help` lists all flags"},
		{"-qx", "unknown flag -x: `vmgpu-test --help` lists all flags"},
		{"--workers=many", "--workers: \"many\" is no whole number from 1 to 64"},
		{"--workers=0", "--workers: \"0\" is no whole number from 1 to 64"},
		{"--any=1.5", "--any: \"1.5\" is no whole number"},
		{"--leader-elect=maybe", "--leader-elect takes true or false, not \"maybe\""},
		{"--timeout=90",
		 "--timeout: \"90\" is no duration; write it like 90s, 1m30s or 500ms"},
		{"--timeout=500ms", "--timeout: 500ms is not between 1000 ms and 600000 ms"},
		{"--log-level=inf", "--log-level: \"inf\" is none of error|warn|info"},
		{"--log-level=", "--log-level: \"\" is none of error|warn|info"},
		{"--log-level", "--log-level needs a value: --log-level=error|warn|info"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(parse(rows[i].line), -1);
		is_str(err.text, rows[i].sentence);
	}
}

static void help_is_made_from_the_table(void)
{
	const struct flag_group groups[] = {{"Flags", flags, &o}, {0}};
	auto_buf struct buf b;

	buf_init(&b, 64 * KiB);
	flag_help(&text, groups, &b);
	is_str(buf_text(&b),
	       "Tests flags.\n"
	       "\n"
	       "Usage:\n"
	       "  vmgpu-test [flags] NAME...\n"
	       "\n"
	       "Examples:\n"
	       "  vmgpu-test --node=a\n"
	       "\n"
	       "Flags:\n"
	       "  -n, --node=NAME                 name of this node (required)\n"
	       "      --leader-elect              elect one writer among the replicas (default true)\n"
	       "  -q, --quiet                     say less\n"
	       "  -w, --workers=N                 passes at once (default 4)\n"
	       "      --timeout=DURATION          how long a request may take; a sentence that is long enough to be\n"
	       "                                  wrapped at the column of the help texts (default 1m30s)\n"
	       "      --log-level=error|warn|info\n"
	       "                                  least important events to log (default info)\n"
	       "  -f, --filename=FILE             manifest to read\n");
}

static void help_is_an_answer_even_when_something_is_missing(void)
{
	is_int(parse("--help"), 1);
	is_int(parse("-h"), 1);
	is_int(parse("x --help --unknown"), 1);
	is_int(parse("--node=a -- --help"), 0);
	is_int(args, 1);
}

static void durations(void)
{
	static const struct {
		const char *s;
		int64_t ms;
	} rows[] = {{"0", 0},	    {"0s", 0},	   {"90s", 90000}, {"1h1m1s1ms", 3661001},
		    {"500ms", 500}, {"2m", 120000}};
	static const char *const wrong[] = {
		"", "1", "s", "1x", "1s ", "-1s", "1.5s", "99999999999s", "1m30"};
	int64_t ms = 7;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(flag_duration(rows[i].s, &ms), 0);
		is_int(ms, rows[i].ms);
	}
	ms = 7;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		is_int(flag_duration(wrong[i], &ms), -1);
	}
	is_int(ms, 7);
}

static void nearest_name_is_near(void)
{
	static const char *const names[] = {"render", "explain", "get", "drain", NULL};
	char far[200];

	memset(far, 'r', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	is_str(flag_nearest("redner", names), "render");
	is_str(flag_nearest("explian", names), "explain");
	is_str(flag_nearest("gte", names), "get");
	is_str(flag_nearest("rain", names), "drain");
	is_str(flag_nearest("xyz", names), NULL);
	is_str(flag_nearest("", names), NULL);
	is_str(flag_nearest(far, names), NULL);
}

static void groups_fill_their_own_structs(void)
{
	struct common {
		const char *context;
	} common;
	static const struct flag shared[] = {
		{"context", 0, FLAG_STRING, offsetof(struct common, context),
		 .help = "kubeconfig context"},
		{0},
	};
	const struct flag_group groups[] = {
		{"Flags", flags, &o}, {"Global flags", shared, &common}, {0}};
	char *argv[] = {(char[]){"--context=c"}, (char[]){"--node=n"}};
	auto_buf struct buf b;

	flag_list_finish(&o.files);
	is_int(flag_parse(&text, groups, 2, argv, &args, &err), 0);
	is_str(common.context, "c");
	is_str(o.node, "n");
	buf_init(&b, 64 * KiB);
	flag_help(&text, groups, &b);
	has(buf_text(&b),
	    "\nGlobal flags:\n      --context=TEXT              kubeconfig context\n");
}

TESTS({"defaults stand where nothing is given", defaults_stand_where_nothing_is_given},
      {"every form of a flag is read", every_form_is_read},
      {"a mistake's sentence names flag and remedy", mistakes_name_flag_and_remedy},
      {"the help text is made from the table", help_is_made_from_the_table},
      {"help is an answer even when something is missing",
       help_is_an_answer_even_when_something_is_missing},
      {"durations are read whole or not at all", durations},
      {"the nearest name is near", nearest_name_is_near},
      {"two groups fill structs of their own", groups_fill_their_own_structs})
