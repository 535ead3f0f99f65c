/* SPDX-License-Identifier: Apache-2.0 */
/* kubectl-vmgpu: run as `kubectl vmgpu VERB` or on its own. */
#include <stdio.h>

#include "cli/command.h"

static const struct command *const commands[] = {&command_render, &command_get, &command_version};

static void usage(FILE *out)
{
	fputs("GPUs for KubeVirt virtual machines: what the operator would write, and what it sees.\n\n"
	      "Usage:\n  kubectl vmgpu COMMAND [flags]\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->about);
	}
	fputs("\nUse \"kubectl vmgpu COMMAND --help\" for its flags and examples.\n", out);
}

int command_fail(const char *verb, const struct err *err)
{
	fprintf(stderr, "kubectl vmgpu %s: %s\n", verb, err->text);
	return FLAG_EXIT;
}

int command_parse(const struct flag_text *text, const struct flag_group *groups, int argc,
		  char **argv, int *ret_args)
{
	attr_cleanup(buf_finish) struct buf help = {.max = MiB};
	struct err err = {""};
	int r = flag_parse(text, groups, argc - 1, argv + 1, ret_args, &err);

	if (r < 0) {
		return command_fail(argv[0], &err);
	}
	if (r > 0) {
		flag_help(text, groups, &help);
		fputs(buf_text(&help), stdout);
		return 0;
	}
	return -1;
}

static int unknown(const char *verb)
{
	const char *names[ARRAY_LEN(commands) + 1] = {NULL};
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		names[i] = commands[i]->name;
	}
	near = flag_nearest(verb, names);
	fprintf(stderr, "kubectl vmgpu: unknown command \"%s\"%s%s%s; see --help\n", verb,
		near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return FLAG_EXIT;
}

int main(int argc, char **argv)
{
	if (argc < 2 || str_eq(argv[1], "--help") || str_eq(argv[1], "-h") ||
	    str_eq(argv[1], "help")) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? FLAG_EXIT : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (str_eq(argv[1], commands[i]->name)) {
			return commands[i]->run(argc - 1, argv + 1);
		}
	}
	return unknown(argv[1]);
}
