/* SPDX-License-Identifier: Apache-2.0 */
/* command.h: one verb of kubectl-vmgpu is one file and one row of the table in main.c. */
#pragma once

#include "base/flag.h"

struct command {
	const char *name, *about;
	/* argv[0] is the verb. The exit code: 0, 1 for an answer of no, 2 for what somebody wrote
	 * wrong. */
	int (*run)(int argc, char **argv);
};

extern const struct command command_render, command_get, command_version;

/* Prints "kubectl vmgpu VERB: sentence" and returns 2. */
int command_fail(const char *verb, const struct err *err);
/* flag_parse with help: <0 goes on, else the exit code. */
int command_parse(const struct flag_text *text, const struct flag_group *groups, int argc,
		  char **argv, int *ret_args);
