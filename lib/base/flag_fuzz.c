/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flag_fuzz.c: bytes as a command line, words ended by 0. Any bytes: no crash, no leak; a failure
 * has a one-line sentence, a success keeps every argument that is no flag, in order.
 */
#include "base/flag.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct options {
	const char *text;
	bool yes;
	int64_t n, ms;
	int choice;
	struct flag_list list;
};

static const struct flag flags[] = {
	{"text", 't', FLAG_STRING, offsetof(struct options, text), .help = "a"},
	{"yes", 'y', FLAG_BOOL, offsetof(struct options, yes), .help = "b"},
	{"number", 'n', FLAG_INT, offsetof(struct options, n), .help = "c", .min = -5, .max = 5},
	{"time", 0, FLAG_DURATION, offsetof(struct options, ms), .value = "1s", .help = "d"},
	{"choice", 'c', FLAG_CHOICE, offsetof(struct options, choice), .value = "a",
	 .choices = "a|bb|ccc", .help = "e"},
	{"list", 'l', FLAG_LIST, offsetof(struct options, list), .help = "f"},
	{0},
};

#define MAX_WORDS 256

static void check(int r, const struct options *o, const char *sentence, int args, int argc)
{
	if (r < 0 && !*sentence) {
		abort();
	}
	if (r == 0 && (args < 0 || args > argc || o->n < -5 || o->n > 5 || o->ms < 0 ||
		       o->choice < 0 || o->choice > 2)) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xmalloc(size + 1);
	char *argv[MAX_WORDS];
	struct options o = {0};
	const struct flag_group groups[] = {{"Flags", flags, &o}, {0}};
	struct err err = {""};
	int argc = 0, args = -1, r;

	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t at = 0; at < size && argc < MAX_WORDS; at += strlen(text + at) + 1) {
		argv[argc++] = text + at;
	}
	r = flag_parse(&(struct flag_text){.program = "p"}, groups, argc, argv, &args, &err);
	check(r, &o, err.text, args, argc);
	flag_list_finish(&o.list);
	return 0;
}
